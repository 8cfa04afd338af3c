"""Lists of parameters: what they ask for, in corrections and in words."""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdb.common_mode.corrections import Correction, Grouped, Peak, Stretches, Unbonded
from cdb.common_mode.groups import (
    Floats,
    Groups,
    Rule,
    at_least,
    checked_floats,
    good_pixels,
    more_than,
)  # fmt: skip
from cdb.common_mode.medians import COMPAT, check_compat
from cdb.errors import BadQuestion, shown

# Rows and columns of the banks that algorithms 4, 6 and 7 know.
_BANKS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "epix100": (352, 96),
        "epix100a": (352, 96),
        **dict.fromkeys(("epix10k", "epix10ka", "epix10kaquad", "epix10ka2m"), (176, 48)),
        "epixhr2x2": (144, 48),
        "jungfrau": (256, 64),
    }
)
_CSPAD = ("cspad", "cspad2x2")
_EPIX100 = ("epix", "epix100", "epix100a")
_EPIX10KA = ("epix10k", "epix10ka", "epix10kaquad", "epix10ka2m", "epixhr2x2")
_WHO_TAKES_PART = {
    **dict.fromkeys(_EPIX10KA, "good pixels in FH, FM, AHL-H or AML-M"),
    "jungfrau": "good pixels in range 0",
}


def parse(parameters: Sequence[float] | NDArray[Any], dettype: str) -> list[Correction]:
    """Return the corrections that a list of parameters asks for, in their order.

    Parameters
    ----------
    parameters : sequence of float
        The list; see the module.
    dettype : str
        Detector type, in any case.

    Raises
    ------
    BadQuestion
        If there is no such algorithm for this detector, or numbers are missing.

    Examples
    --------
    >>> [str(each) for each in parse([8, 4, 500], "pnccd")]
    ['columns: median of the good pixels, subtracted from them where there are at least 11 of
    them and it is less than 500 ADU either way']
    """
    numbers = _numbers(parameters)
    name = dettype.lower()
    algorithm = numbers[0]
    if algorithm == 0:
        return []
    if algorithm == 1:
        return [_peak(numbers, name)]
    if algorithm in (2, 3):
        return [_stretches(numbers)]
    if algorithm in (4, 6) and name in _EPIX100:
        return _epix100(numbers)
    if algorithm == 4 and name == "fccd960":
        return _fccd960(numbers)
    if algorithm == 5 and name in _CSPAD:
        limit = numbers[1] if len(numbers) > 1 else 0
        return [Unbonded(limit if limit > 0 else None)]
    if algorithm == 7 and name in _BANKS:
        return _banks(numbers, name)
    if algorithm == 8 and name == "pnccd":
        return _pnccd(numbers)
    raise BadQuestion(
        f"common mode {_said(numbers)}: no algorithm {algorithm:g} for {dettype}; 0 to 3 are for "
        "any detector, 4 for epix100a and fccd960, 5 for cspad, 6 for epix100a, 7 for epix10ka "
        "and jungfrau, 8 for pnccd"
    )


def _numbers(parameters: Sequence[float] | NDArray[Any]) -> list[float]:
    try:
        numbers = [float(number) for number in np.ravel(np.asarray(parameters))]
    except (TypeError, ValueError):
        numbers = []
    if not numbers or not all(map(math.isfinite, numbers)):
        raise BadQuestion(
            f"{shown(parameters)} are no parameters of a common mode; give numbers, the algorithm "
            "first, as 7 2 10 10"
        )
    return numbers


def _said(numbers: Sequence[float]) -> str:
    return " ".join(f"{number:g}" for number in numbers)


def _want(numbers: Sequence[float], *names: str) -> Sequence[float]:
    """Return the numbers after the algorithm, as many as have names."""
    if len(numbers) <= len(names):
        raise BadQuestion(
            f"common mode {_said(numbers)}: algorithm {numbers[0]:g} wants {', '.join(names)}"
        )
    return numbers[1 : 1 + len(names)]


def _bits(numbers: Sequence[float], mode: float, largest: int) -> int:
    if mode != int(mode) or not 0 <= mode <= largest:
        raise BadQuestion(
            f"common mode {_said(numbers)}: the mode is {mode:g}; it is a sum of bits, 0 to "
            f"{largest}"
        )
    return int(mode)


def _peak(numbers: Sequence[float], dettype: str) -> Correction:
    limit, rms_limit, threshold = _want(
        numbers, "limit of the peak", "limit of its rms", "threshold of pixels"
    )
    if dettype in _CSPAD:
        # LCLS-I reads a fifth number beyond a list of four.
        falls_back = len(numbers) < 5 or numbers[4] > 0.1
        fallback = Unbonded(limit) if falls_back else None
        return Peak(limit, rms_limit, threshold, fallback=fallback, panels=True)
    sections, size, stride = (*map(int, numbers[4:7]), 0, 0, 0)[:3]
    return Peak(limit, rms_limit, threshold, max(1, sections), max(0, size) or None,
                 max(1, stride))  # fmt: skip


def _stretches(numbers: Sequence[float]) -> Correction:
    threshold, limit, length = _want(numbers, "threshold", "limit", "length of group")
    if length < 1:
        raise BadQuestion(f"common mode {_said(numbers)}: groups of {length:g} pixels")
    rule = Rule(limit, inclusive=True, below=threshold, everywhere=True, mean=numbers[0] == 2)
    return Stretches(int(length), rule)


def _epix100(numbers: Sequence[float]) -> list[Correction]:
    mode, within, limit = _want(numbers, "mode", "half range", "limit")
    bits = _bits(numbers, mode, 7)
    height, width = _BANKS["epix100a"]
    rule = Rule(limit or None, 10, inclusive=True, within=within, everywhere=True)
    steps = {
        1: Groups("banks", height, width),
        2: Groups("rows", 1, width),
        4: Groups("columns", height, 1),
    }
    return [Grouped(groups, rule) for bit, groups in steps.items() if bits & bit]


def _fccd960(numbers: Sequence[float]) -> list[Correction]:
    mode, within, limit = _want(numbers, "mode", "half range", "limit")
    bits = _bits(numbers, mode, 3)
    rule = Rule(limit or None, 10, inclusive=True, within=within, everywhere=True)
    steps = {1: Groups("rows", 1, 160, interleaved=2), 2: Groups("blocks", 480, 10)}
    return [Grouped(groups, rule) for bit, groups in steps.items() if bits & bit]


def _banks(numbers: Sequence[float], dettype: str) -> list[Correction]:
    mode, limit = _want(numbers, "mode", "limit")
    bits = _bits(numbers, mode, 7)
    npix_min = numbers[3] if len(numbers) > 3 else 10
    height, width = _BANKS[dettype]
    rows, banks = Rule(limit, more_than(npix_min)), Rule(limit, at_least(npix_min))
    pixels = _WHO_TAKES_PART.get(dettype, "good pixels")
    steps = {
        4: (Groups("banks", height, width), banks),
        1: (Groups("rows", 1, width), rows),
        2: (Groups("columns", height, 1), rows),
    }
    return [Grouped(groups, rule, pixels) for bit, (groups, rule) in steps.items() if bits & bit]


def _pnccd(numbers: Sequence[float]) -> list[Correction]:
    mode, limit = _want(numbers, "mode", "limit")
    bits = _bits(numbers, mode, 15)
    rows, banks = Rule(limit, more_than(10)), Rule(limit, at_least(10))
    steps = {
        1: (Groups("rows", 1, 128), rows),
        2: (Groups("rows", 1), rows),
        4: (Groups("columns", None, 1), rows),
        8: (Groups("banks", 512, 128), banks),
    }
    return [Grouped(groups, rule) for bit, (groups, rule) in steps.items() if bits & bit]


def describe(parameters: Sequence[float] | NDArray[Any], dettype: str) -> str:
    """Return what a list of parameters means for a detector, in words.

    Raises
    ------
    BadQuestion
        If there is no such algorithm for this detector, or numbers are missing.

    Examples
    --------
    >>> print(describe([7, 2, 10, 10], "epix10ka"))
    7 2 10 10 for epix10ka:
      columns of 176 pixels: median of the good pixels in FH, FM, AHL-H or AML-M, subtracted from
      them where there are at least 11 of them and it is less than 10 ADU either way
    >>> describe([0, 0], "jungfrau")
    '0 0 for jungfrau: no correction'
    """
    head = f"{_said(_numbers(parameters))} for {dettype}:"
    lines = [f"  {correction}" for correction in parse(parameters, dettype)]
    return "\n".join([head, *lines]) if lines else f"{head} no correction"


def apply(
    data: Floats,
    parameters: Sequence[float] | NDArray[Any],
    dettype: str,
    mask: NDArray[Any] | None = None,
    *,
    compat: str | None = None,
) -> None:
    """Correct data in place as a list of parameters says.

    Parameters
    ----------
    data : ndarray of floats, shape (n_rows, n_cols) or (n_panels, n_rows, n_cols)
        Pedestals subtracted, no gain applied [ADU].
    parameters : sequence of float
        The list; see the module.
    dettype : str
        Detector type, in any case.
    mask : ndarray, optional
        The pixels that take part: good ones, and for algorithm 7 those in a range of high gain.
    compat : str, optional
        ``psana`` for its numbers where it is at fault: banks without a mask.

    Raises
    ------
    BadArray
        If the data are no floats, or not shaped as the detector's.
    BadQuestion
        If there is no such algorithm for this detector, or numbers are missing.

    Examples
    --------
    >>> frame = np.full((1, 512, 1024), 3, np.float32)
    >>> apply(frame, [7, 4, 100], "jungfrau")
    >>> float(frame.max())
    0.0
    """
    check_compat(compat)
    good = good_pixels(checked_floats(data), mask)
    # Sections and stretches are told as they lie in memory.
    work = np.ascontiguousarray(data)
    for correction in parse(parameters, dettype):
        if compat == COMPAT and mask is None and isinstance(correction, Grouped):
            correction = correction.as_psana_does()
        correction.apply(work, good)
    if work is not data:
        data[...] = work
