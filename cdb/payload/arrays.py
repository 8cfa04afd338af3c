"""Arrays <-> bytes, and the texts of their dtypes and shapes: parsed, never evaluated as code."""

import ast
import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdb.errors import BadPayload, shown
from cdb.payload.keypaths import KeyPath, where

MAX_SHAPE_TEXT = 1_000  # characters
MAX_DTYPE_TEXT = 20_000  # characters

_UNIT = r"\[[0-9]{0,9}(?:Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as|generic)\]"
_DTYPE = re.compile(
    r"bool|u?int(?:8|16|32|64)|float(?:16|32|64|96|128)|complex(?:64|128|192|256)"
    r"|[<>=|]?(?:\?|b1|[iu][1248]|f(?:2|4|8|12|16)|c(?:8|16|24|32)|[SUV][0-9]{1,9})"
    rf"|(?:datetime64|timedelta64|[<>=|]?[mM]8)(?:{_UNIT})?"
)
_LENGTHS = r" *((?:[0-9]{1,19} *, *)*[0-9]{1,19}) *,? *"
_SHAPE = re.compile(rf"\( *\)|\[ *\]|\({_LENGTHS}\)|\[{_LENGTHS}\]|{_LENGTHS}")

Bytes = bytes | memoryview


def plain_array(data: NDArray[Any], path: KeyPath = ()) -> NDArray[Any]:
    """Return an array without its subclass.

    Raises
    ------
    BadPayload
        If something would be lost with it: a mask, a unit.
    """
    if isinstance(data, np.ma.MaskedArray):
        raise BadPayload(
            f"{where(path)} is a masked array, and bytes have no mask; store its data and its "
            "mask apart, such as {'data': a.data, 'mask': np.ma.getmaskarray(a)}"
        )
    if type(data).__module__.partition(".")[0] != "numpy":
        raise BadPayload(
            f"{where(path)} is of type {type(data).__name__}, of which only the elements could "
            "be stored; if they suffice store np.asarray(...) of it"
        )
    return np.asarray(data)


def elements(array: NDArray[Any]) -> memoryview:
    """Return the bytes of an array in C order; not copied if they are so already."""
    if array.nbytes == 0:
        return memoryview(b"")
    # Through uint8: the buffer protocol does not know dates.
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data.toreadonly()


def text_of_dtype(dtype: np.dtype[Any], path: KeyPath = ()) -> str:
    """Return a dtype as psana writes it, a structured one as .npy files have it.

    Raises
    ------
    BadPayload
        If `dtype_of` could not read it back.

    Examples
    --------
    >>> text_of_dtype(np.dtype("f4")), text_of_dtype(np.dtype([("x", "<f4")]))
    ('float32', "[('x', '<f4')]")
    """
    if dtype.hasobject:
        raise BadPayload(
            f"{where(path)} has the dtype {shown(str(dtype))}, whose elements are objects "
            "elsewhere in memory; convert it to numbers or texts by .astype(...), or to a list by "
            ".tolist()"
        )
    try:
        text = str(dtype) if dtype.names is None else repr(dtype.descr)
        if dtype_of(text, path) == dtype:
            return text
    except ValueError:
        pass  # fields that overlap have no description
    raise BadPayload(
        f"{where(path)} has the dtype {shown(str(dtype))}, which has no text that can be read "
        "back; convert it to a plain one, such as float32"
    )


def dtype_of(text: object, path: KeyPath = ()) -> np.dtype[Any]:
    """Return the dtype that a text of a document means.

    Raises
    ------
    BadPayload
        If it is not the text of a dtype, or of one with objects.

    Examples
    --------
    >>> dtype_of(">i2"), dtype_of("[('x', '<f4')]")
    (dtype('>i2'), dtype([('x', '<f4')]))
    """
    if isinstance(text, str) and len(text) <= MAX_DTYPE_TEXT:
        try:
            if _DTYPE.fullmatch(text):
                return np.dtype(text)
            if text.startswith("["):
                return np.lib.format.descr_to_dtype(_checked_descr(ast.literal_eval(text)))
        except (ValueError, TypeError, SyntaxError, OverflowError, RecursionError, MemoryError):
            pass
    raise BadPayload(
        f"the dtype of {where(path)}, {shown(text)}, is not the text of a dtype without "
        "objects, such as 'float32', '>i4' or \"[('x', '<f4')]\"; mend the document"
    )


def _checked_descr(descr: object) -> Any:
    """Return the description of a structured dtype if it holds nothing but plain ones."""
    if isinstance(descr, str):
        if not _DTYPE.fullmatch(descr):
            raise ValueError(descr)
    elif isinstance(descr, list) and all(isinstance(f, tuple) and len(f) in (2, 3) for f in descr):
        for field in descr:
            _checked_descr(field[1])
    else:
        raise ValueError(descr)
    return descr


def shape_of(value: object, path: KeyPath = ()) -> tuple[int, ...]:
    """Return the shape that a document means: the text of a tuple, or numbers.

    Raises
    ------
    BadPayload
        If it is neither.

    Examples
    --------
    >>> shape_of("(3, 512, 1024)"), shape_of([5]), shape_of("()")
    ((3, 512, 1024), (5,), ())
    """
    if isinstance(value, int):
        value = [value]
    if isinstance(value, str) and len(value) <= MAX_SHAPE_TEXT:
        shape = _SHAPE.fullmatch(value)
        if shape:
            lengths = shape[shape.lastindex].split(",") if shape.lastindex else []
            return tuple(int(length) for length in lengths)
    elif isinstance(value, list | tuple) and all(type(n) is int and n >= 0 for n in value):
        return tuple(value)
    raise BadPayload(
        f"the shape of {where(path)}, {shown(value)}, is not the text of a tuple of lengths, "
        "such as '(3, 512, 1024)', '(5,)' or '()'; mend the document"
    )


def array_of(
    data: Bytes,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    path: KeyPath = (),
    *,
    order: Any = "C",
) -> NDArray[Any]:
    """Return bytes as a read-only array; not copied.

    Raises
    ------
    BadPayload
        If there are not as many bytes as the shape takes, or texts with characters that are none.
    """
    data = memoryview(data).toreadonly()
    expected = math.prod(shape) * dtype.itemsize
    if expected != data.nbytes:
        raise BadPayload(
            f"{where(path)} of shape {shown(shape)} and dtype {shown(str(dtype))} has "
            f"{shown(expected)} bytes, but {data.nbytes} are stored; the document or the payload "
            "is damaged"
        )
    try:
        array: NDArray[Any] = np.ndarray(shape, dtype, buffer=data, order=order)
        _check_characters(array)
        return array
    except (ValueError, TypeError, OverflowError) as error:
        raise BadPayload(
            f"{where(path)} of shape {shown(shape)} and dtype {shown(str(dtype))} cannot be "
            f"made of the stored bytes: {error}; the document or the payload is damaged"
        ) from None


def _check_characters(array: NDArray[Any]) -> None:
    """Refuse texts with characters that are none: NumPy finds them only when they are used."""
    for name in array.dtype.names or ():
        _check_characters(array[name])
    if array.dtype.kind == "U" and array.nbytes:
        codes = np.ascontiguousarray(array).reshape(-1).view(array.dtype.byteorder + "u4")
        if codes.max() > 0x10FFFF:
            raise ValueError(f"it holds the character number {codes.max()}")
