"""What a file of an LCLS-I tree holds, as a constant; and constants as such files.

Of what kind a file is, `cdb.files.contents` says; a ``HISTORY`` is a text, of type
``history-<type of the folder>``. A text is taken as it stands, whatever its letters and its
grammar, so that the same bytes can be written again.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdb.errors import BadFile, shown
from cdb.files import contents, formats

# Before the type of a folder: the type of its HISTORY.
HISTORY_OF = "history-"

HDF5 = b"\x89HDF\r\n\x1a\n"
# As many characters of comments a version keeps.
MOST_COMMENTS = 2**18

_COMMENT = re.compile(r"^[ \t]*#[ \t]?(.*?)[ \t\r]*$", re.MULTILINE)
_STRUCTURE = re.compile(r"[ \t]*(SHAPE|DATATYPE|DTYPE|NDIM|DIM:\S*)(\s|$)")
_LATIN = "latin-1"


def is_text(ctype: str) -> bool:
    """Return whether files of a type are texts.

    Examples
    --------
    >>> is_text("geometry"), is_text("history-pedestals"), is_text("pedestals")
    (True, True, False)
    """
    return ctype in contents.TEXTS or ctype.startswith(HISTORY_OF)


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
    CalibError
        If h5py is needed and not installed.
    """
    if raw.startswith(HDF5):
        return Content(formats.read(path, dtype=formats.XTCAV), {})
    if is_text(ctype):
        text, facts = decoded(raw)
        if "\0" in text and not ctype.startswith(HISTORY_OF):  # which may have holes
            raise BadFile(f"{path}: is binary, not text (byte {text.index(chr(0))} is zero)")
        return Content(text, facts)
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
        if not is_text(ctype):
            raise BadFile(f"{ctype} is a text, and a tree holds arrays of this type")
        return _encoded(data, facts)
    if isinstance(data, dict):
        from cdb.files import xtcav

        return xtcav.file_of(data)
    if not isinstance(data, np.ndarray):
        raise BadFile(f"{ctype} holds {type(data).__name__}, and a tree arrays and geometry")
    from cdb.files import text as array_text

    fmt = array_text.short_format(ctype, data.dtype.kind) if short else None
    text = array_text.format_array(data, comments=_listed(facts.get("comments")), fmt=fmt)
    return text.encode("utf-8", "backslashreplace")


def digest_of(raw: bytes) -> str:
    """Return the digest of a file's bytes, hexadecimal."""
    return hashlib.sha256(raw).hexdigest()


def decoded(raw: bytes) -> tuple[str, dict[str, Any]]:
    """Return the text of a file and, if its bytes are no UTF-8, how to write them again."""
    try:
        return raw.decode(), {}
    except UnicodeDecodeError:
        return raw.decode(_LATIN), {"encoding": _LATIN}


def _encoded(text: str, facts: Mapping[str, Any]) -> bytes:
    """Return the bytes that a text had."""
    if facts.get("encoding") != _LATIN:
        return text.encode()
    try:
        return text.encode(_LATIN)
    except UnicodeEncodeError:
        raise BadFile("its text does not have the letters that it says it has") from None


def _comments(raw: bytes) -> list[str]:
    """Return the comments of an array text, but for those that say how to read it."""
    last = raw.rfind(b"#")
    end = raw.find(b"\n", last)
    head = decoded(raw[: end if end >= 0 else len(raw)] if last >= 0 else b"")[0]
    kept = [line for line in _COMMENT.findall(head) if line and not _STRUCTURE.match(line)]
    if sum(map(len, kept)) > MOST_COMMENTS:
        raise BadFile(f"has more than {MOST_COMMENTS} characters of comments, as {shown(kept[0])}")
    return kept


def _listed(comments: object) -> list[str]:
    return [str(line) for line in comments] if isinstance(comments, list) else []
