"""What a file of an LCLS-I tree holds: read whole, or told by its beginning.

=========================================== =====================================================
file                                        read as
=========================================== =====================================================
of ctype geometry                           text; its grammar is checked
of a ctype in `TEXTS`                       text
that begins as HDF5 (XTCAV's)               nested dicts
of ctype common_mode                        one list of float64
any other                                   array text, see `cdb.files.text`
=========================================== =====================================================
"""

import math
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cdb import shapes
from cdb.errors import BadFile, Refused
from cdb.files import formats
from cdb.files.groups import XTCAV, type_of

TEXTS = ("geometry", "code_geometry", "filter", "hex_config", "hex_table")
COMMON_MODE = "common_mode"
BEGINNING = 2**16  # bytes that hold every header that was ever written
_NUMBER = re.compile(rb"^[ \t]*[^\s#]", re.MULTILINE)
_HDF5 = b"\x89HDF\r\n\x1a\n"

# What pixel_gain means: epix10ka and jungfrau are divided by it, all others multiplied.
# Reference: PSCalib and Detector, `GenericCalibPars`, `UtilsEpix10ka`, `UtilsJungfrau`.
_DIVIDED = ("jungfrau", "epix10k")
_IN_ADU = (
    "pedestals", "pixel_rms", "pixel_bkgd", "pixel_offset", "dark_min", "dark_max",
)  # fmt: skip


def read(path: Path | str, ctype: str = "") -> Any:
    """Return what a file holds.

    Parameters
    ----------
    path : Path or str
        A file of a tree.
    ctype : str, optional
        Type of constant of its folder.

    Returns
    -------
    data : ndarray, str or dict

    Raises
    ------
    BadFile
        If there is no such file, or it is not what its type says; with line and column where
        there is one.
    """
    path = Path(path)
    check_is_file(path)
    if _begins_as_hdf5(path):
        return formats.read(path, dtype=formats.XTCAV)
    if ctype in TEXTS:
        return formats.read(path, ctype=ctype, dtype="txt")
    from cdb.files import text

    with formats.readable(path):
        return text.read_common_mode(path) if ctype == COMMON_MODE else text.read(path)


def fields_of(path: Path | str, ctype: str = "") -> dict[str, str]:
    """Return the fields ``data_*`` of a file's document, as far as they are cheaply known.

    Parameters
    ----------
    path, ctype
        As `read` takes them.

    Returns
    -------
    fields : dict of str to str
        Those that `cdb.payload.encode` gives for what `read` returns. Only the beginning of the
        file is read, all of it where an array's rows alone tell its shape. Where the file cannot
        be read, reading it says why; here only its kind is told.
    """
    import numpy as np

    path = Path(path)
    if ctype in TEXTS:
        return {"data_type": "str"}
    try:
        check_is_file(path)
        if _begins_as_hdf5(path):
            return {"data_type": "json"}
        dtype, shape = _array_of(path)
        if ctype == COMMON_MODE:
            dtype, shape = np.dtype(np.float64), (math.prod(shape),)
    except BadFile:
        return {"data_type": "ndarray"}
    from cdb.payload.arrays import text_of_dtype

    return {
        "data_type": "ndarray",
        "data_dtype": text_of_dtype(dtype),
        "data_shape": str(shape),
        "data_ndim": str(len(shape)),
        "data_size": str(math.prod(shape)),
    }


def unit_of(dettype: str, ctype: str) -> str | None:
    """Return the unit of a constant, None where nobody says.

    Parameters
    ----------
    dettype : str
        Detector type, in small letters.
    ctype : str
        Type of the constant.

    Examples
    --------
    >>> unit_of("epix100a", "pixel_gain"), unit_of("jungfrau", "pixel_gain")
    ('keV/ADU', 'ADU/keV')
    >>> unit_of("cspad", "pedestals"), unit_of("cspad", "pixel_status")
    ('ADU', None)
    """
    if ctype == "pixel_gain":
        return "ADU/keV" if dettype.startswith(_DIVIDED) else "keV/ADU"
    return "ADU" if ctype in _IN_ADU else None


def check_size(shape: tuple[int, ...], source: str, ctype: str) -> None:
    """Refuse an array that cannot be a constant of a detector.

    Parameters
    ----------
    shape : tuple of int
        Of the array; one that has as many values as the detector is brought into shape by the
        readers.
    source : str
        The detector.
    ctype : str
        Type of constant.

    Raises
    ------
    Refused
        Naming the shapes that are good.

    Examples
    --------
    >>> check_size((5920, 388), "CxiDs1.0:Cspad.0", "pedestals")
    >>> check_size((7, 352, 384), "CxiDs1.0:Cspad.0", "pedestals")
    Traceback (most recent call last):
        ...
    cdb.errors.Refused: pedestals of cspad have the shape (32, 185, 388) or (4, 8, 185, 388), ...
    """
    dettype = type_of(source).lower()
    known = shapes.shapes_of(dettype, ctype)
    if not known or any(_has_size(shape, lengths) for lengths in known):
        return
    good = " or ".join(
        f"({', '.join('n' if n is None else str(n) for n in lengths)})" for lengths in known
    )
    raise Refused(f"{ctype} of {dettype} have the shape {good}, not {shape}")


def check_kind(data: Any, group: str) -> None:
    """Refuse HDF5 where its readers do not look.

    Parameters
    ----------
    data : ndarray, str or dict
        As `read` returns it.
    group : str
        Where the file is to lie.

    Raises
    ------
    Refused
        Naming the group of HDF5 files.
    """
    if isinstance(data, dict) and group != XTCAV:
        raise Refused(f"HDF5 is read in {XTCAV} alone, not in {group}; give text")


def _has_size(shape: tuple[int, ...], lengths: shapes.Lengths) -> bool:
    """Return whether a shape is one of the table's, or has as many values as it."""
    return shapes.fits(shape, lengths) or math.prod(shape) == math.prod(n or 0 for n in lengths)


def check_is_file(path: Path) -> None:
    """Refuse what is no regular file, before it is opened: a pipe would keep us waiting.

    Raises
    ------
    BadFile
        If it is none, or not there.
    """
    with formats.readable(path):
        path.stat()
        if not path.is_file():
            what = "a folder" if path.is_dir() else "no file but a pipe or a device"
            raise BadFile(f"{path} is {what}; a file of constants was expected")


def _begins_as_hdf5(path: Path) -> bool:
    with formats.readable(path), path.open("rb") as file:
        return file.read(len(_HDF5)) == _HDF5


def _array_of(path: Path) -> tuple[Any, tuple[int, ...]]:
    """Return dtype and shape of an array text."""
    from cdb.files import text

    with formats.readable(path):
        dtype, shape = text.header(_comments(path), os.fspath(path))
        if shape is None:
            with path.open(encoding="latin-1", newline=None) as lines:
                shape = _shape_of_rows(lines)
    if shape is None:
        raise BadFile(f"{path}: holds no numbers")
    return dtype, shape


def _comments(path: Path) -> bytes:
    """Return the lines of a text up to the first number, and some more."""
    with path.open("rb") as file:
        beginning = file.read(BEGINNING)
        while len(more := file.read(BEGINNING)) and not _NUMBER.search(beginning):
            beginning += more
    # A line that is cut might be taken for another one.
    return beginning[: beginning.rfind(b"\n") + 1] if more else beginning


def _shape_of_rows(lines: Iterable[str]) -> tuple[int, ...] | None:
    """Return how many rows there are, and how many numbers in the first; None without any."""
    rows = columns = 0
    for line in lines:
        numbers = line.partition("#")[0].strip()
        if numbers and not rows:
            columns = len(numbers.split())
        rows += bool(numbers)
    return ((rows, columns) if rows > 1 else (columns,)) if rows else None
