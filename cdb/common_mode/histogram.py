"""The peak of a histogram of pixels: where most of them, which saw nothing, lie."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LOW, _HIGH = -1000, 2000


def find_peak(values: NDArray[np.floating[Any]], threshold: float) -> tuple[float, float] | None:
    """Return place and rms of the first peak of a histogram; None if there is no peak.

    References
    ----------
    LCLS-I, `ImgAlgos/include/CommonMode.h`, `findCommonMode`.
    """
    finite = values[np.isfinite(values)].astype(np.float64)
    bins = np.trunc(finite + np.copysign(0.5, finite)) - _LOW
    within = bins[(bins >= 0) & (bins < _HIGH - _LOW)].astype(np.int64)
    histogram = np.bincount(within, minlength=_HIGH - _LOW)
    threshold = threshold if threshold >= 1 else 100
    # The highest bin so far; the peak ends where a later bin has half of it.
    highest = np.maximum.accumulate(np.where(histogram > int(threshold), histogram, -1))
    before = np.concatenate([[-1], highest[:-1]])
    ends = np.flatnonzero((before > 0) & (histogram <= before // 2))
    right = int(ends[0]) if ends.size else len(histogram)
    count = int(highest[right - 1]) if right else -1
    if count <= 0:
        return None
    peak = int(np.flatnonzero(histogram[:right] == count)[0])
    halves = np.flatnonzero(histogram[: peak + 1] <= count // 2)
    left = int(halves[-1]) if halves.size else -1
    mean, sigma = float(peak), (right - left) / 2.36
    for _ in range(2):
        reach = int(2 * sigma + 0.5)
        places = np.arange(max(0, peak - reach), min(len(histogram), peak + reach + 1))
        weights = histogram[places]
        first = float((weights * (places - mean)).sum() / weights.sum())
        second = float((weights * (places - mean) ** 2).sum() / weights.sum())
        mean, sigma = mean + first, math.sqrt(max(0.0, second - first * first))
    return mean + _LOW, sigma
