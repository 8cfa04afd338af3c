"""Gain modes: which range each pixel was in, by configuration and data bits, and so a run.

An epix10ka pixel is told by a word of bits:

==== ===================================================
 4   bit 2 of the pixel map
 8   bit 3 of the pixel map
16   trbit of the pixel's ASIC
32   bit 14 of the raw value
==== ===================================================

=============== ========= =============== =========
condition       mode      condition       mode
=============== ========= =============== =========
w & 28 == 28    FH        w & 60 == 16    AHL-H
w & 28 == 12    FM        w & 60 == 0     AML-M
w & 12 == 8     FL        w & 60 == 48    AHL-L
..              ..        w & 60 == 32    AML-L
=============== ========= =============== =========

A jungfrau pixel tells its range in bits 15 and 14 of its raw value: 00, 01 and 11 for ranges 0, 1
and 2; 10 is invalid.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from cdb.errors import BadQuestion, shown

EPIX10KA = ("FH", "FM", "FL", "AHL-H", "AML-M", "AHL-L", "AML-L")
# Mask and value of the word for each mode, in the order of `EPIX10KA`.
_CONDITIONS = ((28, 28), (28, 12), (12, 8), (60, 16), (60, 0), (60, 48), (60, 32))
EPIX10KA_SHAPE = (352, 384)
_TRBIT, _DATA_BIT = 16, 32

JUNGFRAU = ("0", "1", "2")
# By the names that LCLS-I, LCLS-II and the European XFEL give; a switching pixel tells its range
# in its data, and begins in 0.
JUNGFRAU_NAMES: Mapping[str, int] = {
    "Normal": 0, "HighGain0": 0,
    "FixedGain1": 1, "ForcedGain1": 1,
    "FixedGain2": 2, "ForcedGain2": 2,
    "DYNAMIC": 0, "FORCE_SWITCH_G1": 1, "FORCE_SWITCH_G2": 2, "FIX_G1": 1, "FIX_G2": 2,
    "dynamic": 0, "forceswitchg1": 1, "forceswitchg2": 2, "fixg0": 0, "fixg1": 1, "fixg2": 2,
    "dynamicgain": 0, "dynamichg0": 0, "fixgain1": 1, "fixgain2": 2,
}  # fmt: skip
_RANGES = np.array([0, 1, -1, 2], dtype=np.int8)

Bits = npt.NDArray[np.uint8]
Modes = npt.NDArray[np.int8]


def epix10ka_words(trbits: Sequence[int], pixel_map: npt.ArrayLike) -> Bits:
    """Return the word of each pixel of an epix10ka panel, by its configuration.

    Parameters
    ----------
    trbits : sequence of 4 int
        The bit of each ASIC.
    pixel_map : array_like of int, shape (4, 176, 192), (4, 178, 192), (352, 384) or (356, 384)
        The configuration of each pixel, by ASIC or as the panel lies. More rows than a panel has
        are left out.

    Returns
    -------
    words : ndarray of uint8, shape (352, 384)
        Without bit 32, which the data give.

    Raises
    ------
    BadQuestion
        If the shapes are others.

    Notes
    -----
    ASICs 0, 1, 2, 3 lie lower right, upper right, upper left, lower left. Each counts from its
    outer corner below, so that the two upper ones stand on their heads.
    """
    n_rows, n_cols = EPIX10KA_SHAPE
    rows, cols = n_rows // 2, n_cols // 2
    map_ = np.asarray(pixel_map)
    if len(trbits) != 4:
        raise BadQuestion(f"an epix10ka panel has the trbits of 4 ASICs, not {len(trbits)}")
    if map_.shape in [(4, rows, cols), (4, rows + 2, cols)]:
        asics = map_[:, :rows]
        upper = np.hstack([asics[2][::-1, ::-1], asics[1][::-1, ::-1]])
        panel = np.vstack([upper, np.hstack([asics[3], asics[0]])])
    elif map_.shape in [(n_rows, n_cols), (n_rows + 4, n_cols)]:
        panel = map_[:n_rows]
    else:
        raise BadQuestion(
            f"the pixel map of an epix10ka has shape (4, {rows}, {cols}) or ({n_rows}, {n_cols}), "
            f"not {shown(map_.shape)}"
        )
    words = (panel & 12).astype(np.uint8)
    quarters = (
        words[rows:, cols:],
        words[:rows, cols:],
        words[:rows, :cols],
        words[rows:, :cols],
    )
    for quarter, trbit in zip(quarters, trbits, strict=True):
        if trbit:
            quarter |= _TRBIT
    return words


def with_data_bit(words: Bits, raw: npt.NDArray[np.integer]) -> Bits:
    """Return words with the bit that the data give.

    Parameters
    ----------
    words : ndarray of uint8, shape (..., 352, 384)
        By the configuration.
    raw : ndarray of uint16, shape (..., 352, 384)
        Raw values, gain bit included.
    """
    bits = ((raw >> 14) & 1).astype(np.uint8) * np.uint8(_DATA_BIT)
    return words | bits


def epix10ka_modes(words: Bits) -> Modes:
    """Return the mode of each word, as its place in `EPIX10KA`; -1 where no condition holds.

    Examples
    --------
    >>> epix10ka_modes(np.array([28, 12, 8, 16, 0, 48, 32, 4], dtype=np.uint8))
    array([ 0,  1,  2,  3,  4,  5,  6, -1], dtype=int8)
    """
    modes: Modes = _MODES[words & 63]
    return modes


def jungfrau_ranges(raw: npt.NDArray[np.integer]) -> Modes:
    """Return the range of each raw value; -1 where its bits are invalid.

    Examples
    --------
    >>> jungfrau_ranges(np.array([100, 0x4064, 0xC064, 0x8064], dtype=np.uint16))
    array([ 0,  1,  2, -1], dtype=int8)
    """
    ranges: Modes = _RANGES[(raw >> 14) & 3]
    return ranges


def jungfrau_range(name: str) -> int:
    """Return the range that a configuration asks for, by the name that it has there.

    Raises
    ------
    BadQuestion
        If there is no such name.
    """
    if name not in JUNGFRAU_NAMES:
        raise BadQuestion(
            f"unknown gain mode {shown(name)} of a jungfrau; known: {', '.join(JUNGFRAU_NAMES)}"
        )
    return JUNGFRAU_NAMES[name]


def fractions(modes: Modes, names: Sequence[str]) -> dict[str, float]:
    """Return which part of the pixels is in each mode.

    Parameters
    ----------
    modes : ndarray of int8
        Places in `names`, -1 for none.
    names : sequence of str
        `EPIX10KA` or `JUNGFRAU`.
    """
    counts = np.bincount(modes.ravel()[modes.ravel() >= 0], minlength=len(names))
    return {
        name: float(count / max(1, modes.size)) for name, count in zip(names, counts, strict=True)
    }


def majority(parts: Mapping[str, float]) -> str | None:
    """Return the mode that more than half of the pixels are in; None where there is none."""
    return next((name for name, part in parts.items() if part > 0.5), None)


def _table() -> Modes:
    """Return the mode of every word; no word fits two conditions."""
    modes = np.full(64, -1, dtype=np.int8)
    words = np.arange(64)
    for mode, (mask, value) in enumerate(_CONDITIONS):
        modes[(words & mask) == value] = mode
    return modes


_MODES = _table()
