"""Numbers as decimal text, bit-true both ways.

Most floats are read as JSON by orjson, the others and integers by numpy; only what neither of them
reads is looked at token by token, which also says what is wrong.
"""

import re
from decimal import Decimal
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from cdb.errors import shown

_TOKEN = re.compile(rb"\S+")
_NUMBER = re.compile(rb"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_NOT_FINITE = re.compile(rb"[+-]?(nan|inf(inity)?)", re.IGNORECASE)
_WHOLE = b"0123456789+- \t\n\v\f"
_FLOAT = _WHOLE + b".eE"
_NOT_FINITE_LETTERS = b"nNaAiIfFtTyY"
# Of decimal numbers so long, float64 has one of its own for each.
_EXACT_DIGITS = 15
# Of all float32 numbers, this one alone has a shortest text that, read as a float64 and then
# rounded, becomes its neighbour: all 2**32 were tried. One digit more mends it.
_ROUNDED_TWICE = ("7.038531e-26", "7.0385307e-26")


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
    letters = block.translate(None, _FLOAT)
    if letters.strip(_NOT_FINITE_LETTERS):
        return None
    numbers = _parse_json(block) if not letters.strip(b"na") else None
    if numbers is None:
        numbers = _parse_with_numpy(block, np.dtype(np.float64))
    if numbers is None:
        return None
    with np.errstate(over="ignore"):
        numbers = numbers.astype(dtype, copy=False)
    infinite = np.count_nonzero(np.isinf(numbers))
    return numbers if infinite == letters.lower().count(b"inf") else None


def _parse_integers(block: bytes, dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """Read a block of whole numbers, None where a token needs a closer look."""
    letters = block.translate(None, _WHOLE)
    if not letters and dtype.kind != "b":
        return _parse_with_numpy(block, dtype)
    if letters.strip(b".") or _longest_token(block) > _EXACT_DIGITS:
        return None
    numbers = _parse_json(block)
    low, high = _limits(dtype)
    if numbers is None or (numbers.size and not low <= numbers.min() <= numbers.max() <= high):
        return None
    integers = numbers.astype(dtype)
    return integers if np.array_equal(integers, numbers) else None


def _longest_token(block: bytes) -> int:
    blanks = np.flatnonzero(np.frombuffer(block, np.uint8) <= ord(" "))
    return int(np.diff(blanks, prepend=-1, append=len(block)).max()) - 1


def _parse_json(block: bytes) -> NDArray[np.float64] | None:
    """Read numbers that JSON knows, faster than numpy; None if some are others.

    Only the letters of float numbers and of ``nan`` may be in the block: JSON could hold more. It
    knows no ``1.``, ``.5``, ``+1``, ``007``, and takes ``-0`` for a whole number without a sign.
    """
    pieces = block.split(b"n")  # faster than to replace
    if 1 + 2 * pieces[1:-1:2].count(b"a") != len(pieces):
        return None
    text = bytearray(b"[%b]" % b"null".join(pieces[::2]).strip())
    characters = np.frombuffer(text, np.uint8)
    blank = characters <= ord(" ")
    commas = (blank[1:] > blank[:-1]).view(np.uint8) * np.uint8(ord(","))
    np.maximum(characters[1:], commas, out=characters[1:])
    try:
        items = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    numbers = np.fromiter(items, np.float64, len(items))  # null becomes nan
    return None if not numbers.all() and (b"-0," in text or b"-0]" in text) else numbers


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


def shortest(numbers: NDArray[Any]) -> list[Any]:
    """Return what prints as the shortest texts that read back to the same bits."""
    if numbers.dtype not in (np.float16, np.float32):
        return list(numbers.tolist())
    texts = b" ".join(numbers.astype("S").tolist()).decode("ascii")
    return texts.replace(*_ROUNDED_TWICE).split(" ")
