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
import io
import itertools
import math
import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

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
BLOCK = 2**16
# So many numbers are written at once.
_NUMBERS = 2**14
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

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_COMMENT = re.compile(rb"#([^\n]*)")
_TOKEN = re.compile(rb"\S+")
_DIMENSION = re.compile(r"\d{1,18}")
_SHAPE = re.compile(r"[(\[](\d{1,18}(,\d{1,18})*,?)?[)\]]")
_FORMAT = re.compile(r"%[-+ 0]*\d*(\.\d+)?[diueEfFgG]")


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
    known = SHORT_FORMS.get(ctype, "")
    whole = kind in "bui"
    if known and (known[-1] == "d") == whole:
        return known
    return "%d" if whole else "%.3f"


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
    return _read_file(path, np.float32)


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
    array = _read_file(path, np.float64)
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
    return _read_numbers(_Source(name, io.BytesIO(data), len(data)), np.dtype(dtype))


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
    found = _read_header(_Source(name, io.BytesIO(data), len(data)), np.dtype(np.float32))
    return found.dtype, found.shape


def _read_file(path: Path | str, dtype: DTypeLike) -> NDArray[Any]:
    """Read a file piece by piece; one that is written meanwhile might give some of each."""
    with Path(path).open("rb", buffering=0) as file:
        before = os.fstat(file.fileno())
        if not before.st_size:  # a pipe cannot be read twice
            return parse(file.read(), str(path), dtype=dtype)
        try:
            return _read_numbers(_Source(str(path), file, before.st_size), np.dtype(dtype))
        finally:
            after = os.fstat(file.fileno())
            if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
                raise BadFile(f"{path}: was written while it was read; read it again") from None


@dataclass(frozen=True)
class _Source:
    """A text, how many bytes it has, and the name that errors call it."""

    name: str
    stream: BinaryIO | io.RawIOBase
    size: int

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """Yield the text, and where in it each piece begins; from the beginning each time.

        A piece ends where a line does, or between two numbers of a line that is longer than
        `BLOCK`; no comment is cut. The last line is given an end.
        """
        start, held, has_comment = 0, list[bytes](), False
        for chunk in self._chunks():
            has_comment |= b"#" in chunk
            end = chunk.rfind(b"\n") + 1
            if not end and not has_comment:
                end = _end_of_last_blank(chunk)
            if end:
                piece = b"".join([*held, chunk[:end]])
                yield start, piece
                start += len(piece)
                held, chunk = [], chunk[end:]
                has_comment = b"#" in chunk
            held.append(chunk)
        yield start, b"".join([*held, b"\n"])

    def _chunks(self) -> Iterator[bytes]:
        """Yield the text as it is read, any end of a line as a line feed."""
        self.stream.seek(0)
        if self.stream.read(len(_BYTE_ORDER_MARK)) != _BYTE_ORDER_MARK:
            self.stream.seek(0)
        after_return = False
        while chunk := self.stream.read(BLOCK):
            if (zero := chunk.find(b"\0")) >= 0:
                byte = self.stream.tell() - len(chunk) + zero
                raise BadFile(f"{self.name}: is binary, not text (byte {byte} is zero)")
            if b"\r" in chunk or after_return:
                if after_return:
                    chunk = chunk.removeprefix(b"\n")
                after_return = chunk.endswith(b"\r")
                chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            yield chunk

    def error(self, offset: int, sentence: str) -> BadFile:
        """Return an error that says where: in a line and column, which a second look finds."""
        line, column = 1, 1
        for start, piece in self.pieces():
            before = piece[: offset - start]
            line += before.count(b"\n")
            newline = before.rfind(b"\n")
            column = len(before) - newline if newline >= 0 else column + len(before)
            if start + len(piece) > offset:
                break
        return BadFile(f"{self.name}, line {line}, column {column}: {sentence}")


def _end_of_last_blank(chunk: bytes) -> int:
    if chunk[-1:].isspace():
        return len(chunk)
    words = chunk.rsplit(None, 1)
    return len(chunk) - len(words[-1]) if words else 0


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
    is_begun = False
    for start, piece in source.pieces():
        for comment in _COMMENT.finditer(piece) if b"#" in piece else ():
            before = piece[piece.rfind(b"\n", 0, comment.start()) + 1 : comment.start()]
            is_header = not before.strip() and not (is_begun and len(before) == comment.start())
            words = comment[1].decode("utf-8", "backslashreplace").split(None, 1)
            if is_header and words:
                rest = words[1].strip() if len(words) > 1 else ""
                yield words[0], rest, start + comment.start()
        is_begun = not piece.endswith(b"\n") and (is_begun or not piece.isspace())


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


def _read_numbers(source: _Source, dtype: np.dtype[Any]) -> NDArray[Any]:
    header = _read_header(source, dtype)
    if header.shape is None:
        rows = _Rows(source)
        return _gather(source, np.empty(0, header.dtype), rows).reshape(rows.shape())
    if len(header.shape) > _MOST_DIMENSIONS:
        raise source.error(
            header.offset,
            f"the header has {len(header.shape)} dimensions, and an array at most "
            f"{_MOST_DIMENSIONS}",
        )
    size = math.prod(header.shape)
    # No text has more numbers than half its bytes, whatever its header says.
    numbers = _gather(source, np.empty(min(size, source.size // 2 + 1), header.dtype))
    if numbers.size != size:
        raise source.error(
            header.offset,
            f"the number of values is {numbers.size}, but the header's shape "
            f"{_format_shape(header.shape)} needs {size}",
        )
    try:
        return numbers.reshape(header.shape)
    except ValueError as error:  # no values at all, but more rows of them than numpy can count
        raise source.error(header.offset, f"the header's shape is impossible: {error}") from None


def _gather(source: _Source, numbers: NDArray[Any], rows: "_Rows | None" = None) -> NDArray[Any]:
    """Return all numbers of a text: in the array given, or a longer one if they are more."""
    filled = 0
    for start, piece in source.pieces():
        if b"#" in piece:  # blanks instead keep the offsets
            piece = _COMMENT.sub(lambda comment: b" " * len(comment[0]), piece)
        try:
            block = numerals.parse(piece, numbers.dtype)
        except numerals.BadNumeral as error:
            raise source.error(start + error.offset, str(error)) from None
        if rows is not None:
            rows.add(start, piece, block.size)
        end = filled + block.size
        if end > numbers.size:
            expected = 1.02 * end * source.size / (start + len(piece))
            longer = np.empty(max(end, int(expected)), numbers.dtype)
            longer[:filled] = numbers[:filled]
            numbers = longer
        numbers[filled:end] = block
        filled = end
    numbers.resize(filled, refcheck=False)
    return numbers


class _Rows:
    """How the numbers of a text stand in lines, all of which must have as many, or none."""

    def __init__(self, source: _Source) -> None:
        self.source = source
        self.n_lines = self.n_rows = self.columns = self.first_line = 0
        self.begun = 0  # numbers of a line that goes on in the next piece

    def add(self, start: int, piece: bytes, n_numbers: int) -> None:
        """Count the rows of a piece without comments."""
        n_rows = n_numbers // self.columns if self.columns else 0
        if not self.begun and _are_usual_rows(piece, n_rows, self.columns, n_numbers):
            self.n_lines += n_rows
            self.n_rows += n_rows
            return
        lengths = _lengths_of_lines(piece)
        lengths[0] += self.begun
        whole = lengths[:-1]
        if not self.columns and whole.any():
            first = int(np.flatnonzero(whole)[0])
            self.columns, self.first_line = int(whole[first]), self.n_lines + first + 1
        is_odd = (lengths != self.columns) & (lengths != 0)
        is_odd[-1] = lengths[-1] > self.columns > 0
        if is_odd.any():
            raise self._error(start, piece, int(np.flatnonzero(is_odd)[0]), lengths)
        self.n_lines += len(whole)
        self.n_rows += int(np.count_nonzero(whole))
        self.begun = int(lengths[-1])

    def _error(self, start: int, piece: bytes, line: int, lengths: NDArray[np.intp]) -> BadFile:
        """Return an error that shows the first number too many, or where one is missing."""
        lines = piece.split(b"\n")
        tokens = list(_TOKEN.finditer(lines[line]))
        expected = self.columns - (self.begun if line == 0 else 0)
        ends = [0, *(token.end() for token in tokens)]
        column = tokens[expected].start() if len(tokens) > expected else ends[-1]
        return self.source.error(
            start + sum(len(before) + 1 for before in lines[:line]) + column,
            f"the number of values is {lengths[line]}, but {self.columns} in line "
            f"{self.first_line}, and no header gives the shape",
        )

    def shape(self) -> tuple[int, ...]:
        """Return the shape of what was added."""
        if not self.n_rows:
            raise BadFile(f"{self.source.name}: holds no numbers")
        return (self.n_rows, self.columns) if self.n_rows > 1 else (self.columns,)


def _are_usual_rows(piece: bytes, n_rows: int, columns: int, n_numbers: int) -> bool:
    """Tell quickly whether one character follows each number, the end of a line after each row."""
    characters = np.frombuffer(piece, np.uint8)
    blanks = np.flatnonzero(characters <= ord(" "))
    return (
        len(blanks) == n_numbers == n_rows * columns
        and np.count_nonzero(characters == ord("\n")) == n_rows
        and bool((characters[blanks[columns - 1 :: columns]] == ord("\n")).all())
    )


def _lengths_of_lines(piece: bytes) -> NDArray[np.intp]:
    """Return how many numbers each line has; the last is what follows the last end of a line."""
    characters = np.frombuffer(b" %b" % piece, np.uint8)
    blank, is_end = characters <= ord(" "), characters[1:] == ord("\n")
    starts_and_ends = np.flatnonzero((blank[:-1] > blank[1:]) | is_end)
    ends = np.flatnonzero(is_end[starts_and_ends])
    return np.diff(ends, prepend=-1, append=len(starts_and_ends)) - 1


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
    head = _head(array, comments, fmt, _origin(path)).encode("utf-8", "backslashreplace")
    move_into_place(Path(path), itertools.chain([head], _rows(array, fmt)))


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
    head = _head(array, comments, fmt, origin or {})
    return head + b"".join(_rows(array, fmt)).decode("ascii")


def _head(
    array: NDArray[Any], comments: Sequence[str], fmt: str | None, origin: Mapping[str, str]
) -> str:
    """Return what stands before the numbers of an array that can be written."""
    array = np.asarray(array)
    dtype = array.dtype.newbyteorder("=")
    if dtype not in _DTYPES:
        raise BadFile(f"an array of {dtype} cannot be written as text, which holds {_KNOWN}")
    if fmt is not None:
        _check_format(fmt, array)
    dims = {f"DIM:{axis}": str(length) for axis, length in enumerate(array.shape)}
    parts = [
        _comment_lines(comments),
        _header({**origin, "SHAPE": _format_shape(array.shape), "DATATYPE": dtype.name}),
        _header({"DTYPE": dtype.name, "NDIM": str(array.ndim), **dims}),
    ]
    texts = ["\n".join(lines) for lines in parts]
    return "\n\n".join(text for text in texts if text) + ("\n\n" if array.size else "\n")


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


def _rows(array: NDArray[Any], fmt: str | None) -> Iterator[bytes]:
    """Yield rows as long as the last dimension, some at a time, or a row in pieces."""
    array = np.asarray(array)
    length = max(1, array.shape[-1] if array.ndim > 1 else array.size)
    rows = array.reshape(-1, length)
    height = max(1, _NUMBERS // length)
    for top, left in itertools.product(range(0, len(rows), height), range(0, length, _NUMBERS)):
        block = rows[top : top + height, left : left + _NUMBERS]
        block = block.astype(np.uint8 if block.dtype.kind == "b" else block.dtype.newbyteorder("="))
        yield numerals.format_rows(block, fmt)
        yield b"\n" if left + _NUMBERS >= length else b" "


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
