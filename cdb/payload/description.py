"""What data look like, for people: a line, and what is suspicious."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdb.errors import shown
from cdb.payload.keypaths import MAX_NESTING, KeyPath, where

BLOCK = 2**22  # values that are looked at together


def describe(data: object) -> str:
    r"""Return what data look like, in a line.

    Examples
    --------
    >>> describe(np.array([[1, 2.5, np.nan]], "float32"))
    'float32 (1, 3), 1.0 .. 2.5, 1 NaN'
    >>> describe("first\nsecond\n"), describe({"gain": 1, "offset": 2})
    ('text, 2 lines, 13 characters', 'dict, 2 keys: gain, offset')
    """
    match data:
        case np.ndarray():
            return ", ".join((f"{_name_of_dtype(data.dtype)} {data.shape}", *_extent(data)))
        case str():
            return f"text, {_count(len(data.splitlines()), 'line')}, " + _count(
                len(data), "character"
            )
        case dict():
            names = [key if _is_short_word(key) else shown(key) for key in data]
            some = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
            return f"dict, {_count(len(data), 'key')}{': ' if names else ''}{some}"
        case list() | tuple():
            return f"{type(data).__name__}, {_count(len(data), 'item')}"
        case bytes():
            return f"bytes, {len(data)}"
        case _:
            return f"{type(data).__name__}, {shown(data)}"


def warnings_about(data: object) -> list[str]:
    """Return sentences on what is suspicious in data: arrays without values, or without finite.

    Examples
    --------
    >>> warnings_about({"rms": np.array([1.0, np.inf])})
    ["1 of the 2 values of data['rms'] is NaN or infinite"]
    """
    return list(_warnings(data, ()))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _is_short_word(key: object) -> bool:
    return isinstance(key, str) and 0 < len(key) <= 60 and key.isprintable()


def _name_of_dtype(dtype: np.dtype[Any]) -> str:
    return str(dtype) if dtype.names is None else f"({', '.join(dtype.names)})"


def _extent(array: NDArray[Any]) -> Iterator[str]:
    """Yield the least and the greatest finite value, and how many are not finite."""
    if array.size == 0 or array.dtype.kind not in "biufcmM":
        return
    if array.dtype.kind == "b":
        yield f"{np.count_nonzero(array)} of {array.size} true"
        return
    has_order = array.dtype.kind != "c" and array.dtype.str[1:] != "M8"  # a date without a unit
    lowest, highest, n_finite = [], [], 0
    for block in _blocks(array):
        is_finite = np.isfinite(block)
        finite = block if is_finite.all() else block[is_finite]
        n_finite += finite.size
        if finite.size and has_order:
            lowest.append(finite.min())
            highest.append(finite.max())
    if lowest:
        yield f"{min(lowest)!s} .. {max(highest)!s}"
    if array.dtype.kind in "mM":
        missing = sum(np.count_nonzero(np.isnat(block)) for block in _blocks(array))
        yield from [f"{missing} NaT"] if missing else []
        return
    nans = sum(np.count_nonzero(np.isnan(block)) for block in _blocks(array))
    infinite = array.size - n_finite - nans
    yield from [f"{nans} NaN"] if nans else []
    yield from [f"{infinite} infinite"] if infinite else []


def _blocks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield parts of an array: what is asked of gigabytes takes as much memory again at once."""
    flat = array.reshape(-1)
    for start in range(0, flat.size, BLOCK):
        yield flat[start : start + BLOCK]


def _warnings(data: object, path: KeyPath) -> Iterator[str]:
    if isinstance(data, np.ndarray):
        yield from _warnings_about_array(data, path)
    elif isinstance(data, str) and not data and not path:
        yield "the text is empty"
    elif isinstance(data, dict | list | tuple) and len(path) < MAX_NESTING:
        pairs = data.items() if isinstance(data, dict) else enumerate(data)
        for key, item in pairs:
            yield from _warnings(item, (*path, key))


def _warnings_about_array(array: NDArray[Any], path: KeyPath) -> Iterator[str]:
    if array.size == 0:
        yield f"{where(path)} is empty: its shape is {array.shape}"
        return
    if array.dtype.kind not in "fcmM":
        return
    bad = array.size - sum(np.count_nonzero(np.isfinite(block)) for block in _blocks(array))
    what = "NaT" if array.dtype.kind in "mM" else "NaN or infinite"
    if bad == array.size:
        yield f"{where(path)} holds no finite value in shape {array.shape}"
    elif bad:
        verb = "is" if bad == 1 else "are"
        yield f"{bad} of the {array.size} values of {where(path)} {verb} {what}"
