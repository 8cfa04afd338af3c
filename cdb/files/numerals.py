"""Numbers as decimal text, bit-true both ways.

Most floats are read as JSON by orjson, the others and integers by numpy; only what neither of them
reads is looked at token by token, which also says what is wrong.
"""

import itertools
import re
import struct
from decimal import Decimal
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from cdb.errors import shown

_TOKEN = re.compile(rb"\S+")
_NUMBER = re.compile(rb"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_SIGNED_ZERO = re.compile(rb"-0(?!\S)")
_NOT_FINITE = re.compile(rb"[+-]?(nan|inf(inity)?)", re.IGNORECASE)
_WHOLE = b"0123456789+- \t\n\v\f"
_FLOAT = _WHOLE + b".eE"
_NOT_FINITE_LETTERS = b"nNaAiIfFtTyY"
# By these is known what JSON holds beside numbers: lists, dicts, texts, true, false and null.
_OTHER_JSON = (b",", b"[", b"{", b'"', b"u", b"l")
# Stands for nan while a text is read as JSON.
_NAN = b"-1.7e308"
# Of decimal numbers so long, float64 has one of its own for each.
_EXACT_DIGITS = 15
# Of all float32 numbers, this one alone has a shortest text that, read as a float64 and then
# rounded, becomes its neighbour: all 2**32 were tried. One digit more mends it.
_ROUNDED_TWICE = (b"7.038531e-26", b"7.0385307e-26")


class BadNumeral(ValueError):
    """A token that is no number, or none of the dtype; `offset` is where it begins."""

    def __init__(self, sentence: str, offset: int) -> None:
        super().__init__(sentence)
        self.offset = offset


def parse(block: bytes, dtype: np.dtype[Any]) -> NDArray[Any]:
    r"""Read the numbers of a text that has nothing else but blanks.

    Parameters
    ----------
    block : bytes
        ASCII; of a size whose numbers stay in the processor's cache, for speed.
    dtype : dtype
        Bool, integer or float. Integers are exact to all 64 bits and may be written as ``1.0``;
        floats are rounded to float64 first and then to a shorter dtype.

    Returns
    -------
    numbers : ndarray of dtype, shape (n_tokens,)

    Raises
    ------
    BadNumeral
        If a token is no number, is not whole in an integer array or does not fit its dtype.

    Examples
    --------
    >>> parse(b"1.5 2e3\nnan", np.dtype("float32"))
    array([1.5e+00, 2.0e+03,     nan], dtype=float32)
    """
    numbers = _parse_floats(block, dtype) if dtype.kind == "f" else _parse_integers(block, dtype)
    if numbers is not None:
        return numbers
    exact = []
    for token in _TOKEN.finditer(block):
        try:
            exact.append(_parse_token(token[0], dtype))
        except ValueError as error:
            raise BadNumeral(str(error), token.start()) from None
    return np.array(exact, dtype)


def _parse_floats(block: bytes, dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """Read a block of float numbers, None where a token needs a closer look."""
    numbers, n_infinite = _parse_finite_floats(block, dtype), 0
    if numbers is None:
        letters = block.translate(None, _FLOAT)
        if letters.strip(_NOT_FINITE_LETTERS):
            return None
        numbers = _parse_with_numpy(block, np.dtype(np.float64))
        n_infinite = letters.lower().count(b"inf")
    if numbers is None:
        return None
    with np.errstate(over="ignore"):
        numbers = numbers.astype(dtype, copy=False)
    # One more is a number that is too large.
    return numbers if np.count_nonzero(np.isinf(numbers)) == n_infinite else None


def _parse_finite_floats(block: bytes, dtype: np.dtype[Any]) -> NDArray[np.floating] | None:
    """Read numbers that JSON knows, and nan; None if anything else is there."""
    n_nan = 0
    text = block
    if b"n" in block:
        text, n_nan = _with_number_for_nan(block)
    items = _load_json(text)
    if items is None:
        return None
    numbers = _pack(items, np.dtype(np.float64) if n_nan else dtype)
    # Zeros are rare, and quicker to find among the numbers than in the text.
    if numbers is None or (not numbers.all() and _SIGNED_ZERO.search(block)):
        return None
    if not n_nan:
        return numbers
    is_nan = numbers == float(_NAN)
    return np.where(is_nan, np.nan, numbers) if np.count_nonzero(is_nan) == n_nan else None


def _with_number_for_nan(block: bytes) -> tuple[bytes, int]:
    """Return a block with `_NAN` for ``nan``, and how many; as it is if an n means otherwise."""
    pieces = block.split(b"n")  # faster than to replace
    n_nan = len(pieces) // 2
    if len(pieces) % 2 and pieces[1::2].count(b"a") == n_nan:
        return _NAN.join(pieces[::2]), n_nan
    return block, 0


def _parse_integers(block: bytes, dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """Read a block of whole numbers, None where a token needs a closer look."""
    letters = block.translate(None, _WHOLE)
    if not letters and dtype.kind != "b":
        return _parse_with_numpy(block, dtype)
    if letters.strip(b".") or _longest_token(block) > _EXACT_DIGITS:
        return None
    items = _load_json(block)
    numbers = None if items is None else _pack(items, np.dtype(np.float64))
    low, high = _limits(dtype)
    if numbers is None or (numbers.size and not low <= numbers.min() <= numbers.max() <= high):
        return None
    integers = numbers.astype(dtype)
    return integers if np.array_equal(integers, numbers) else None


def _longest_token(block: bytes) -> int:
    blanks = np.flatnonzero(np.frombuffer(block, np.uint8) <= ord(" "))
    return int(np.diff(blanks, prepend=-1, append=len(block)).max()) - 1


def _load_json(block: bytes) -> list[Any] | None:
    """Read numbers that JSON knows, faster than numpy; None if anything else is there.

    JSON knows no ``1.``, ``.5``, ``+1``, ``007``, and takes ``-0`` for a whole number without a
    sign.
    """
    if any(letter in block for letter in _OTHER_JSON):
        return None
    text = bytearray(b"[%b]" % block.replace(b"\t", b" ").strip())
    characters = np.frombuffer(text, np.uint8)
    blank = (characters == ord(" ")) | (characters == ord("\n"))
    commas = (blank[1:] > blank[:-1]).view(np.uint8) * np.uint8(ord(","))
    np.maximum(characters[1:], commas, out=characters[1:])
    try:
        items: list[Any] = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return items


def _pack(items: list[Any], dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """Return Python's numbers as an array of floats, None if float16 has no room for one."""
    try:  # in a third of the time that numpy takes
        return np.frombuffer(struct.pack(f"{len(items)}{dtype.char}", *items), dtype)
    except (struct.error, OverflowError):
        return None


def _parse_with_numpy(block: bytes, dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """Let numpy read a block, None if it cannot."""
    line = block.replace(b"\n", b" ").decode("ascii")
    if not line or line.isspace():
        return np.empty(0, dtype)
    try:
        return np.loadtxt([line], dtype, comments=None, ndmin=1)
    except ValueError:
        return None


def _parse_token(token: bytes, dtype: np.dtype[Any]) -> int | float:
    """Read one number; a ValueError says in a sentence why it is none, or not of this dtype."""
    text = token.decode("utf-8", "backslashreplace")
    if dtype.kind == "f" and _NOT_FINITE.fullmatch(token):
        return float(text)
    if not _NUMBER.fullmatch(token):
        raise ValueError(f"{shown(text)} is not a number")
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            if not np.isfinite(dtype.type(text)):
                raise ValueError(f"{shown(text)} is too large for {dtype}")
        return float(text)
    low, high = _limits(dtype)
    try:
        number = Decimal(text)
    except ArithmeticError:
        raise ValueError(f"{shown(text)} has an exponent beyond all measure") from None
    if not low <= number <= high:
        raise ValueError(f"{shown(text)} is not within {low} to {high} of {dtype}")
    if number != number.to_integral_value():
        raise ValueError(f"{shown(text)} is not whole, and the array is {dtype}")
    return int(number) if number else 0


def _limits(dtype: np.dtype[Any]) -> tuple[int, int]:
    if dtype.kind == "b":
        return 0, 1
    limits = np.iinfo(dtype)
    return int(limits.min), int(limits.max)


def format_rows(rows: NDArray[Any], fmt: str | None = None) -> bytes:
    r"""Write numbers as lines of text, the last without its end.

    Parameters
    ----------
    rows : ndarray of integers or floats, shape (n_rows, n_columns)
        In C order and of native byte order.
    fmt : str, optional
        How to print a number, such as ``%.3f``; by default the shortest text that reads back to
        the same bits.

    Examples
    --------
    >>> format_rows(np.array([[0.1, np.nan], [-0.0, 2]]))
    b'0.1 nan\n-0.0 2.0'
    """
    if fmt is not None or rows.dtype == np.float16:  # JSON has no shortest text of float16
        line = " ".join([fmt or "%s"] * rows.shape[1])
        numbers = (rows if fmt else rows.astype("S").astype("U")).reshape(-1).tolist()
        return ("\n".join([line] * len(rows)) % tuple(numbers)).encode("ascii")
    text = orjson.dumps(rows, option=orjson.OPT_SERIALIZE_NUMPY)
    if rows.dtype == np.float32:
        text = text.replace(*_ROUNDED_TWICE)
    if b"n" in text:
        others = rows[~np.isfinite(rows)].astype("S").tolist()
        pieces = text.split(b"null")
        text = b"".join(itertools.chain.from_iterable(zip(pieces, [*others, b""], strict=True)))
    return text[2:-2].replace(b"],[", b"\n").replace(b",", b" ")
