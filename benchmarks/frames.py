"""Frames of a jungfrau of 4 Mpixel: calibrated, and their common mode, beside plain NumPy."""

from typing import Any

import numpy as np
from table import Row, Target
from timing import medians

from cdb import calibration, common_mode

SHAPE = (8, 512, 1024)
REPEATS = 7


def rows() -> list[Row]:
    """Measure a frame with all pixels in one range, one with some in others, and a common mode."""
    random = np.random.default_rng(1)
    pedestals = random.normal(2000, 50, (3, *SHAPE)).astype("float32")
    gain = random.normal(40, 1, (3, *SHAPE)).astype("float32")
    mask = (random.random(SHAPE) > 0.01).astype("uint8")
    factors = 1 / gain
    made = calibration.prepare("jungfrau", pedestals, gain=gain, mask=mask)
    found = []
    for share in (0.0, 0.05):
        raw = random.integers(1900, 2200, SHAPE).astype("uint16")
        raw[random.random(SHAPE) < share] |= 0x4000
        ours, theirs = medians(
            lambda raw=raw: made.apply(raw),
            lambda raw=raw: plain(raw, pedestals, factors, mask),
            repeats=REPEATS,
        )
        what = f"calibrate 4 Mpixel of jungfrau, {share:.0%} in range 1"
        found.append(Row(what, ours, "numpy.select of ranges", theirs, Target(1, "ratio")))
    frame = random.normal(3, 1, SHAPE).astype("float32")
    ours, theirs = medians(
        lambda: common_mode.apply(frame.copy(), (7, 1, 200, 10), "jungfrau", mask),
        lambda: plain_rows(frame.copy(), mask),
        repeats=3,
    )
    what = "common mode in rows of 64, 4 Mpixel"
    return [*found, Row(what, ours, "numpy.ma.median", theirs, Target(1, "ratio"))]


def plain(raw: Any, pedestals: Any, factors: Any, mask: Any) -> Any:
    """Return the frame as one writes it down."""
    bits = raw >> 14
    ranges = (bits == 0, bits == 1, bits == 3)
    dark = np.select(ranges, (pedestals[0], pedestals[1], pedestals[2]), 0)
    factor = np.select(ranges, (factors[0], factors[1], factors[2]), 0)
    return ((raw & 0x3FFF).astype("float32") - dark) * factor * mask


def plain_rows(frame: Any, mask: Any) -> Any:
    """Subtract the median of good pixels from rows of 64."""
    banks = np.ma.array(frame.reshape(-1, 64), mask=mask.reshape(-1, 64) == 0)
    frame.reshape(-1, 64)[...] -= np.ma.median(banks, axis=1).filled(0)[:, np.newaxis]
