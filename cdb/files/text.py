"""Arrays as text, with their headers: the ``NDArrIO`` files of LCLS, and plain columns of numbers.

A file holds comments and numbers. Comments that begin with one of these keys are its header; the
Python readers of LCLS-II follow the first two, all others and C++ the rest::

    # SHAPE       (2,2,3)
    # DATATYPE    float32

    # DTYPE       float32
    # NDIM        3
    # DIM:0       2
    # DIM:1       2
    # DIM:2       3

With a header only the order of the numbers matters, not how they are broken into lines. Without
one the rows stand as they are, in float32. What is written reads back to the same bits, in the
old readers too.
"""

import getpass
import math
import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cdb.errors import BadFile, shown
from cdb.files import numerals
from cdb.files.places import move_into_place

# How the old tools print the types of constants: short, and not to the last bit.
SHORT_FORMS: Mapping[str, str] = MappingProxyType(
    {
        "pedestals": "%.3f",
        "pixel_rms": "%.3f",
        "pixel_gain": "%.6f",
        "pixel_offset": "%.6f",
        "pixel_mask": "%1d",
        "users_mask": "%1d",
        "pixel_status": "%4d",
        "status_data": "%4d",
        "status_extra": "%4d",
        "dark_min": "%6d",
        "dark_max": "%6d",
    }
)

# A block of text and the arrays made of it stay in the processor's cache.
BLOCK = 2**18
# As many as numpy had before 2.0.
_MOST_DIMENSIONS = 32

_CODES = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"]
_DTYPES = [np.dtype(code) for code in _CODES]
_KNOWN = ", ".join(dtype.name for dtype in _DTYPES)
_TYPES: dict[str, np.dtype[Any]] = {
    **{dtype.name: dtype for dtype in _DTYPES},
    **{f"{dtype.name}_t": dtype for dtype in _DTYPES},
    **{order + dtype.str[1:]: dtype for dtype in _DTYPES for order in ["", *"<>|="]},
    "char": np.dtype("i1"),
    "signed char": np.dtype("i1"),
    "unsigned char": np.dtype("u1"),
    "short": np.dtype("i2"),
    "unsigned short": np.dtype("u2"),
    "unsigned": np.dtype("u4"),
    "unsigned int": np.dtype("u4"),
    "long": np.dtype("i8"),
    "unsigned long": np.dtype("u8"),
    "double": np.dtype("f8"),
}
# By these, Python and C++ mean different types.
_PYTHON_TYPES = _TYPES | {name: np.dtype(f"{name}64") for name in ("int", "uint", "float")}
_CPP_TYPES = _TYPES | {name: np.dtype(f"{name}32") for name in ("int", "uint", "float")}

_COMMENT = re.compile(rb"#([^\n]*)")
_BLANK = re.compile(rb"\s")
_TOKEN = re.compile(rb"\S+")
_DIMENSION = re.compile(r"\d{1,18}")
_SHAPE = re.compile(r"[(\[](\d{1,18}(,\d{1,18})*,?)?[)\]]")
_FORMAT = re.compile(r"%[-+ 0]*\d*(\.\d+)?[diueEfFgG]")


# reading ---------------------------------------------------------------------------------------


def read(path: Path | str) -> NDArray[Any]:
    """Read an array from a text file.

    Parameters
    ----------
    path : Path or str
        A file written by `write`, by the Python or C++ writers of LCLS, or by hand.

    Returns
    -------
    array : ndarray
        Shape and dtype of the header. Without one float32, 1-d from a single line, 2-d from more.

    Raises
    ------
    BadFile
        If the file is no such text; the sentence names the line and column where there is one.
    OSError
        If the file cannot be opened.

    See Also
    --------
    parse : The same from a text in memory, with the rules.
    """
    return parse(Path(path).read_bytes(), str(path))


def read_common_mode(path: Path | str) -> NDArray[np.float64]:
    """Read the parameters of a common-mode correction.

    Parameters
    ----------
    path : Path or str
        One line or column of numbers, plain or with a header.

    Returns
    -------
    parameters : ndarray of float64, shape (n_parameters,)
        The first says which correction is meant.

    Raises
    ------
    BadFile
        If the file is no such text, or holds an array of more dimensions.
    OSError
        If the file cannot be opened.
    """
    array = parse(Path(path).read_bytes(), str(path), dtype=np.float64)
    if not array.size or array.size != max(array.shape, default=1):
        raise BadFile(
            f"{path}: an array of shape {_format_shape(array.shape)} is no common_mode, which is "
            "a line of numbers such as 4 6 30 10"
        )
    return array.reshape(-1).astype(np.float64)


def parse(
    text: str | bytes, name: str = "array text", *, dtype: DTypeLike = np.float32
) -> NDArray[Any]:
    r"""Read an array from a text.

    Parameters
    ----------
    text : str or bytes
        Comments and numbers.
    name : str
        What errors call the text.
    dtype : dtype, optional
        Of numbers whose header names none: the old readers take float32.

    Returns
    -------
    array : ndarray
        Integers are exact to all 64 bits. Floats are rounded to float64 first and then to a
        shorter dtype, as every reader of these files does.

    Raises
    ------
    BadFile
        If the header contradicts itself or the numbers, if a token is no number, is not whole in
        an integer array or does not fit its dtype, or if rows differ in length and no header
        gives the shape.

    Notes
    -----
    DATATYPE and SHAPE win over DTYPE and DIM. DIM lines count in the order of appearance, and
    their number must be NDIM. ``int``, ``uint`` and ``float`` have 32 bits in a file of the C++
    writer (known by its ``Metadata for ndarray<``), 64 otherwise. A whole number may be written
    as ``1.0`` in an integer array.

    Examples
    --------
    >>> parse("# DTYPE uint16_t\n# NDIM 2\n# DIM:0 2\n# DIM:1 2\n1 2 3\n4")
    array([[1, 2],
           [3, 4]], dtype=uint16)
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if (zero := data.find(b"\0")) >= 0:
        raise BadFile(f"{name}: is binary, not text (byte {zero} is zero)")
    source = _source(name, data)
    return _read_numbers(source, _read_header(source, np.dtype(dtype)))


def header(data: bytes, name: str = "array text") -> tuple[np.dtype[Any], tuple[int, ...] | None]:
    r"""Return what the comments of a text say about its array, without reading the numbers.

    Parameters
    ----------
    data : bytes
        The text, or its beginning; of what is cut off, nothing is known.
    name : str
        What errors call the text.

    Returns
    -------
    dtype : dtype
        As `parse` would give it.
    shape : tuple of int or None
        None where only the rows tell it.

    Raises
    ------
    BadFile
        If the header contradicts itself.

    Examples
    --------
    >>> header(b"# DTYPE uint16_t\n# NDIM 2\n# DIM:0 2\n# DIM:1 2\n1 2 3\n")
    (dtype('uint16'), (2, 2))
    """
    found = _read_header(_source(name, data), np.dtype(np.float32))
    return found.dtype, found.shape


def _source(name: str, data: bytes) -> "_Source":
    data = data.removeprefix(b"\xef\xbb\xbf")
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return _Source(name, data, _end_of_comments(data))


def _end_of_comments(data: bytes) -> int:
    """Return where the last line with a comment ends, 0 without comments."""
    if b"#" not in data:
        return 0
    end = data.find(b"\n", data.rfind(b"#"))
    return end if end >= 0 else len(data)


@dataclass(frozen=True)
class _Source:
    """A text, and the name that errors call it."""

    name: str
    data: bytes
    end_of_comments: int

    def error(self, offset: int, sentence: str) -> BadFile:
        """Return an error that says where."""
        line = self.data.count(b"\n", 0, offset) + 1
        column = offset - self.data.rfind(b"\n", 0, offset)
        return BadFile(f"{self.name}, line {line}, column {column}: {sentence}")


@dataclass(frozen=True)
class _Header:
    """What a text says about its array; the shape, and where it is told, None if it is not."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...] | None
    offset: int


def _read_header(source: _Source, dtype: np.dtype[Any]) -> _Header:
    names: dict[str, np.dtype[Any]] = {}
    shape: tuple[int, ...] | None = None
    ndim: int | None = None
    dims: list[int] = []
    told: dict[str, int] = {}
    lines = list(_header_lines(source))
    from_cpp = any(key == "Metadata" and "ndarray<" in value for key, value, _ in lines)
    for key, value, offset in lines:
        try:
            if key in ("DATATYPE", "DTYPE"):
                names[key] = _parse_dtype(value, from_cpp=from_cpp)
            elif key == "SHAPE":
                shape = _parse_shape(value)
            elif key == "NDIM":
                ndim = _parse_dimension(value)
            elif key.startswith("DIM:"):
                dims.append(_parse_dimension(value))
                key = "DIM"
        except ValueError as error:
            raise source.error(offset, f"{key} {error}") from None
        told.setdefault(key, offset)
    if ndim not in (None, len(dims)):
        raise source.error(
            told["NDIM"], f"NDIM is {ndim}, but the number of DIM lines is {len(dims)}"
        )
    if shape is None and (dims or ndim == 0):
        shape = tuple(dims)
    dtype = names.get("DATATYPE", names.get("DTYPE", dtype))
    offsets = [told[key] for key in ("SHAPE", "DIM", "NDIM") if key in told]
    return _Header(dtype, shape, offsets[0] if offsets else 0)


def _header_lines(source: _Source) -> Iterator[tuple[str, str, int]]:
    """Yield first word, rest and offset of each line that is a comment from its beginning."""
    for comment in _COMMENT.finditer(source.data, 0, source.end_of_comments):
        beginning = source.data.rfind(b"\n", 0, comment.start()) + 1
        words = comment[1].decode("utf-8", "backslashreplace").split(None, 1)
        if words and not source.data[beginning : comment.start()].strip():
            yield words[0], words[1].strip() if len(words) > 1 else "", comment.start()


def _parse_dtype(text: str, *, from_cpp: bool) -> np.dtype[Any]:
    types = _CPP_TYPES if from_cpp else _PYTHON_TYPES
    name = " ".join(text.split())
    if name not in types:
        raise ValueError(f"{shown(text)} is no type that array text can hold; it holds {_KNOWN}")
    return types[name]


def _parse_shape(text: str) -> tuple[int, ...]:
    """Parse a shape as Python prints it; the readers of LCLS-II evaluate it, which we never do."""
    match = _SHAPE.fullmatch(text.replace(" ", ""))
    if match is None:
        raise ValueError(f"{shown(text)} is no shape such as (2,2,3)")
    return tuple(int(dimension) for dimension in (match[1] or "").split(",") if dimension)


def _parse_dimension(text: str) -> int:
    if not _DIMENSION.fullmatch(text):
        raise ValueError(f"{shown(text)} is no whole number from 0 on")
    return int(text)


def _read_numbers(source: _Source, header: _Header) -> NDArray[Any]:
    blocks = [_read_block(source, start, block, header.dtype) for start, block in _blocks(source)]
    numbers = np.concatenate([np.empty(0, header.dtype), *blocks])
    shape = header.shape
    if shape is None:
        return numbers.reshape(_shape_of_rows(source))
    if len(shape) > _MOST_DIMENSIONS:
        raise source.error(
            header.offset,
            f"the header has {len(shape)} dimensions, and an array at most {_MOST_DIMENSIONS}",
        )
    if numbers.size != math.prod(shape):
        raise source.error(
            header.offset,
            f"the number of values is {numbers.size}, but the header's shape "
            f"{_format_shape(shape)} needs {math.prod(shape)}",
        )
    try:
        return numbers.reshape(shape)
    except ValueError as error:  # no values at all, but more rows of them than numpy can count
        raise source.error(header.offset, f"the header's shape is impossible: {error}") from None


def _shape_of_rows(source: _Source) -> tuple[int, ...]:
    """Return how the numbers stand in lines, all of which must have as many."""
    lengths = _lengths_of_lines(source)
    rows = np.flatnonzero(lengths)
    if not rows.size:
        raise BadFile(f"{source.name}: holds no numbers")
    columns = int(lengths[rows[0]])
    odd = rows[lengths[rows] != columns]
    if odd.size:
        raise source.error(
            _end_of_row(source, int(odd[0]), columns),
            f"the number of values is {lengths[odd[0]]}, but {columns} in line {rows[0] + 1}, "
            "and no header gives the shape",
        )
    return (len(rows), columns) if len(rows) > 1 else (columns,)


def _lengths_of_lines(source: _Source) -> NDArray[np.intp]:
    """Return how many tokens each line has, comments left out."""
    n_tokens, up_to_lines = 0, []
    for _, block in _blocks(source):
        characters = np.frombuffer(b" %b" % block, np.uint8)
        blank, is_end = characters <= ord(" "), characters[1:] == ord("\n")
        starts_and_ends = np.flatnonzero((blank[:-1] > blank[1:]) | is_end)
        ends = np.flatnonzero(is_end[starts_and_ends])
        up_to_lines.append(n_tokens + ends - np.arange(len(ends)))
        n_tokens += len(starts_and_ends) - len(ends)
    return np.diff(np.concatenate([*up_to_lines, [n_tokens]]), prepend=0)


def _end_of_row(source: _Source, line: int, columns: int) -> int:
    """Return the offset of the first token too many in a line, or of where one is missing."""
    lines = source.data.split(b"\n", line + 1)[: line + 1]
    tokens = list(_TOKEN.finditer(lines[-1].split(b"#", 1)[0]))
    column = tokens[columns].start() if len(tokens) > columns else tokens[-1].end()
    return sum(len(before) + 1 for before in lines[:-1]) + column


def _blocks(source: _Source) -> Iterator[tuple[int, bytes]]:
    """Yield pieces of about `BLOCK` bytes, cut between tokens, and their offsets."""
    # Blanks instead of comments keep the offsets.
    head = _COMMENT.sub(
        lambda comment: b" " * len(comment[0]), source.data[: source.end_of_comments]
    )
    for text, start in ((head, 0), (source.data, len(head))):
        while start < len(text):
            blank = _BLANK.search(text, start + BLOCK)
            end = blank.end() if blank else len(text)
            yield start, text[start:end]
            start = end


def _read_block(source: _Source, start: int, block: bytes, dtype: np.dtype[Any]) -> NDArray[Any]:
    try:
        return numerals.parse(block, dtype)
    except numerals.BadNumeral as error:
        raise source.error(start + error.offset, str(error)) from None


# writing ---------------------------------------------------------------------------------------


def write(
    path: Path | str,
    array: NDArray[Any],
    *,
    comments: Sequence[str] = (),
    fmt: str | None = None,
) -> None:
    """Write an array to a text file, which old readers can read.

    The file is written beside its place and then moved there: at any time the path shows the old
    file or the new one, whole.

    Parameters
    ----------
    path : Path or str
        The file to make or to replace, in a folder that exists.
    array, comments, fmt
        See `format_array`.

    Raises
    ------
    BadFile
        If the array or the comments cannot be written so that they read back.
    OSError
        If the folder cannot be written.
    """
    text = format_array(array, comments=comments, fmt=fmt, origin=_origin(path))
    move_into_place(Path(path), text.encode("utf-8", "backslashreplace"))


def format_array(
    array: NDArray[Any],
    *,
    comments: Sequence[str] = (),
    fmt: str | None = None,
    origin: Mapping[str, str] | None = None,
) -> str:
    r"""Write an array as text.

    Parameters
    ----------
    array : ndarray of bool, int8 to int64, uint8 to uint64, float16 to float64
        Of any shape. The byte order is not kept.
    comments : sequence of str
        Lines for the head of the text.
    fmt : str, optional
        How to print a number, such as ``%.3f`` or ``%4d``; this may lose digits. `SHORT_FORMS`
        has the old tools' forms by type of constant. By default the shortest text that reads back
        to the same bits. (Of NaN only one kind survives.)
    origin : mapping of str to str, optional
        What the header says about where the text comes from: HOST, DATE_TIME and the like.

    Returns
    -------
    text : str
        The header, then rows as long as the last dimension; a 1-d array is one row.

    Raises
    ------
    BadFile
        If the dtype is another, `fmt` would write something that is no number or cut one, or a
        comment would be taken for a line of the header.

    Examples
    --------
    >>> print(format_array(np.array([[0.1, 2], [3, np.nan]], np.float32), comments=["rms"]))
    # rms
    <BLANKLINE>
    # SHAPE       (2,2)
    # DATATYPE    float32
    <BLANKLINE>
    # DTYPE       float32
    # NDIM        2
    # DIM:0       2
    # DIM:1       2
    <BLANKLINE>
    0.1 2.0
    3.0 nan
    <BLANKLINE>
    """
    array = np.asarray(array)
    dtype = array.dtype.newbyteorder("=")
    if dtype not in _DTYPES:
        raise BadFile(f"an array of {dtype} cannot be written as text, which holds {_KNOWN}")
    if fmt is not None:
        _check_format(fmt, array)
    dims = {f"DIM:{axis}": str(length) for axis, length in enumerate(array.shape)}
    parts = [
        _comment_lines(comments),
        _header({**(origin or {}), "SHAPE": _format_shape(array.shape), "DATATYPE": dtype.name}),
        _header({"DTYPE": dtype.name, "NDIM": str(array.ndim), **dims}),
        _rows(array.astype(np.uint8 if dtype.kind == "b" else dtype, copy=False), fmt),
    ]
    texts = ["\n".join(lines) for lines in parts]
    return "\n\n".join(text for text in texts if text) + "\n"


def _check_format(fmt: str, array: NDArray[Any]) -> None:
    if not _FORMAT.fullmatch(fmt):
        raise BadFile(f"{shown(fmt)} is no format of one number such as %.3f or %4d")
    if fmt[-1] in "diu" and not (np.isfinite(array).all() and np.array_equal(array // 1, array)):
        raise BadFile(f"{shown(fmt)} would cut numbers that are not whole; use %.3f or the like")


def _comment_lines(comments: Sequence[str]) -> Iterator[str]:
    for comment in [comments] if isinstance(comments, str) else comments:
        for line in comment.splitlines() or [""]:
            key = line.split(None, 1)[0] if line.strip() else ""
            if "\0" in line or key in ("SHAPE", "DATATYPE", "DTYPE", "NDIM") or key[:4] == "DIM:":
                raise BadFile(f"the comment {shown(line)} would be taken for part of the header")
            yield f"# {line}".rstrip()


def _header(lines: Mapping[str, str]) -> list[str]:
    # The old readers want one blank after the #, and split at the blanks after the key.
    return [f"# {key:<11} {' '.join(value.split())}" for key, value in lines.items()]


def _format_shape(shape: tuple[int, ...]) -> str:
    return str(shape).replace(" ", "")


def _rows(array: NDArray[Any], fmt: str | None) -> Iterator[str]:
    """Yield lines as long as the last dimension, an array of 0 or 1 dimensions in one."""
    length = max(1, array.shape[-1] if array.ndim > 1 else array.size)
    line = " ".join([fmt or "%s"] * length)
    numbers = array.reshape(-1)
    step = max(1, BLOCK // length) * length
    for start in range(0, numbers.size, step):
        block = numbers[start : start + step]
        values = block.tolist() if fmt else numerals.shortest(block)
        yield "\n".join([line] * (len(values) // length)) % tuple(values)


def _origin(path: Path | str) -> dict[str, str]:
    """Say where a text comes from, in the words of the old writers."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number that has no name
        user = str(os.getuid())
    return {
        "HOST": socket.gethostname(),
        "WORK_DIR": str(Path.cwd()),
        "FILE_NAME": str(path),
        "DATE_TIME": datetime.now().astimezone().isoformat(timespec="seconds"),
        "UID": user,
    }
