"""What a file of an LCLS-I tree holds, as constants; and constants as such files.

============================ ==========================================================
in the tree                  as a constant
============================ ==========================================================
``geometry/*.data``          text, as it stands
HDF5, as those of XTCAV      nested dictionaries
any other ``*.data``         array, by its header
``HISTORY``                  text, of type ``history-<type of the folder>``
============================ ==========================================================
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdb.errors import BadFile, shown

GEOMETRY = "geometry"
# Before the type of a folder: the type of its HISTORY.
HISTORY_OF = "history-"

HDF5 = b"\x89HDF\r\n\x1a\n"
# As many characters of comments a version keeps.
MOST_COMMENTS = 2**18

_COMMENT = re.compile(r"^[ \t]*#[ \t]?(.*?)[ \t\r]*$", re.MULTILINE)
_STRUCTURE = re.compile(r"[ \t]*(SHAPE|DATATYPE|DTYPE|NDIM|DIM:\S*)(\s|$)")
_LATIN = "latin-1"

# How the old writers print the values of each type; anything else as `%.3f` or `%d`.
# Reference: lcls-psana, Detector and CalibManager, the deployers.
_SHORT = {
    "pedestals": "%.3f",
    "pixel_rms": "%.3f",
    "pixel_gain": "%.6f",
    "pixel_offset": "%.6f",
    "pixel_bkgd": "%.3f",
    "pixel_status": "%4d",
    "status_data": "%4d",
    "status_extra": "%4d",
    "pixel_mask": "%1d",
    "dark_min": "%6d",
    "dark_max": "%6d",
    "common_mode": "%.3f",
}


@dataclass(frozen=True)
class Content:
    """What a file holds.

    Attributes
    ----------
    data : ndarray, str or dict
        The constant.
    facts : dict
        What is worth keeping beside it: ``encoding`` of a text that is not UTF-8, ``comments`` of
        an array text's head.
    """

    data: Any
    facts: dict[str, Any]


def content_of(raw: bytes, path: Path, ctype: str) -> Content:
    """Return what the bytes of a file hold.

    Parameters
    ----------
    raw : bytes
        Of the file.
    path : Path
        Where it is.
    ctype : str
        Type of the constant; for HISTORY that of the constant, not of the folder.

    Raises
    ------
    BadFile
        If it cannot be understood.
    """
    if ctype == GEOMETRY or ctype.startswith(HISTORY_OF):
        text, facts = _decoded(raw)
        if "\0" in text:
            raise BadFile(f"{path}: is binary, not text (byte {text.index(chr(0))} is zero)")
        return Content(text, facts)
    if raw.startswith(HDF5):
        raise BadFile(f"{path}: is an HDF5 file")
    from cdb.files import text as array_text

    array = array_text.parse(raw, str(path))
    comments = _comments(raw)
    return Content(array, {"comments": comments} if comments else {})


def bytes_of(
    data: object, path: Path, ctype: str, facts: Mapping[str, Any], *, short: bool = False
) -> bytes:
    """Return the bytes of a file that holds a constant.

    Parameters
    ----------
    data : ndarray, str or dict
        The constant.
    path : Path
        Where the file will be.
    ctype : str
        Type of the constant.
    facts : mapping
        As `content_of` found them.
    short : bool, optional
        Print numbers as the old writers did, which loses digits.

    Raises
    ------
    BadFile
        If a file of a tree cannot hold it.
    """
    import numpy as np

    if isinstance(data, str):
        if ctype != GEOMETRY and not ctype.startswith(HISTORY_OF):
            raise BadFile(f"{ctype} is a text, and a tree holds no texts but geometry")
        return data.encode(str(facts.get("encoding", "utf-8")))
    if not isinstance(data, np.ndarray):
        raise BadFile(f"{ctype} holds {type(data).__name__}, and a tree arrays and geometry")
    from cdb.files import text as array_text

    fmt = short_format(ctype, data.dtype.kind) if short else None
    text = array_text.format_array(data, comments=_listed(facts.get("comments")), fmt=fmt)
    return text.encode("utf-8", "backslashreplace")


def short_format(ctype: str, kind: str) -> str:
    """Return how the old writers print a number.

    Parameters
    ----------
    ctype : str
        Type of the constant.
    kind : str
        Of the dtype, as numpy has it.

    Examples
    --------
    >>> short_format("pixel_status", "u"), short_format("pixel_status", "f")
    ('%4d', '%.3f')
    """
    known = _SHORT.get(ctype, "")
    whole = kind in "bui"
    if known and (known[-1] == "d") == whole:
        return known
    return "%d" if whole else "%.3f"


def digest_of(raw: bytes) -> str:
    """Return the digest of a file's bytes, hexadecimal."""
    return hashlib.sha256(raw).hexdigest()


def _decoded(raw: bytes) -> tuple[str, dict[str, Any]]:
    """Return a text and, if its bytes are no UTF-8, how to write them again."""
    try:
        return raw.decode(), {}
    except UnicodeDecodeError:
        return raw.decode(_LATIN), {"encoding": _LATIN}


def _comments(raw: bytes) -> list[str]:
    """Return the comments of an array text, but for those that say how to read it."""
    last = raw.rfind(b"#")
    end = raw.find(b"\n", last)
    head = _decoded(raw[: end if end >= 0 else len(raw)] if last >= 0 else b"")[0]
    kept = [line for line in _COMMENT.findall(head) if line and not _STRUCTURE.match(line)]
    if sum(map(len, kept)) > MOST_COMMENTS:
        raise BadFile(f"has more than {MOST_COMMENTS} characters of comments, as {shown(kept[0])}")
    return kept


def _listed(comments: object) -> list[str]:
    return [str(line) for line in comments] if isinstance(comments, list) else []
