"""What a version tells, in its `source`, of the file that it was in an LCLS-I tree.

Such a version says ``lcls1: {group, source, ctype, name, ...}`` and, in ``files``, its file's path,
digest, length and time. Documents come from outside: what makes no sense is not told.
"""

import math
from collections.abc import Mapping
from typing import Any

from cdb.constant import Version
from cdb.errors import BadName
from cdb.exchange.lcls1_files import Content
from cdb.exchange.lcls1_tree import Item
from cdb.files import lcls1
from cdb.payload import Encoded
from cdb.validity import END, RunRange

# Under this name a version's `source` tells of its file.
LCLS1 = "lcls1"
# As many characters of a record a version keeps; the whole HISTORY is a constant of its own.
MOST_CHARACTERS = 2**16
_SAME = ("data_type", "data_dtype", "data_shape")


def source_of(item: Item, content: Content, sha256: str) -> dict[str, Any]:
    """Return what a version keeps of its file."""
    folder, facts = item.folder, item.facts
    told: dict[str, Any] = {"group": folder.group, "source": folder.source, "ctype": folder.ctype}
    told |= {"name": item.name, **content.facts}
    if item.part is not None:
        span, notes = item.part.range, item.part.version.notes
        told["dcs"] = {
            "begin": span.begin,
            "end": span.end if math.isfinite(span.end) else END,
            "notes": [{"time": time, "text": text} for time, text in notes.history],
            "parameters": dict(notes.parameters),
        }
    if item.record is not None and len(item.record.line) <= MOST_CHARACTERS:
        told["history"] = dict(item.record.fields)
    if item.retired:
        told["hidden"] = item.retired
    file = {"path": item.place, "sha256": sha256, "nbytes": facts.st_size}
    return {"files": [file | {"mtime_ns": facts.st_mtime_ns}], LCLS1: told}


def comment_of(item: Item) -> str | None:
    """Return what HISTORY remarks on a file; None if nothing."""
    comment = item.record.comment if item.record is not None else ""
    return comment[:MOST_CHARACTERS] or None


def told_of(version: Version) -> Mapping[str, Any]:
    """Return what a version tells of the file in a tree that it was; nothing if it was none."""
    source = version.meta.get("source")
    told = source.get(LCLS1) if isinstance(source, Mapping) else None
    return told if isinstance(told, Mapping) else {}


def file_of(version: Version) -> Mapping[str, Any]:
    """Return what a version tells of the bytes of that file; nothing if it was none."""
    source = version.meta.get("source")
    files = source.get("files") if isinstance(source, Mapping) and told_of(version) else None
    first = files[0] if isinstance(files, list) and files else None
    return first if isinstance(first, Mapping) else {}


def place_of(version: Version) -> str:
    """Return the path inside a tree of the file that a version was; empty if it was none."""
    told = told_of(version)
    parts = [told.get(part) for part in ("group", "source", "ctype", "name")]
    return "/".join(parts) if all(isinstance(part, str) for part in parts) else ""  # type: ignore[arg-type]


def is_hidden(version: Version) -> bool:
    """Return whether a version was a file that no reader chooses."""
    return bool(told_of(version).get("hidden"))


def as_in_names(runs: RunRange) -> RunRange:
    """Return runs as a file's name can say them, where 9999 leaves the end open."""
    try:
        return lcls1.parse_name(lcls1.file_name(runs))
    except BadName:
        return runs


def holds(version: Version, encoded: Encoded) -> bool:
    """Return whether a version has a payload."""
    same = (version.meta.get(name) == encoded.fields.get(name) for name in _SAME)
    return version.sha256 == encoded.sha256 and all(same)
