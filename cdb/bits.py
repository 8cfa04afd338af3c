"""Bits of bad pixels: which constants hold them, what they are called, which pixels are bad."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdb.shapes import MASKS

# psana 4.3.4, `detector/UtilsCalib.py` (`DarkProc`); LCLS-I's `Detector/src/UtilsCalib.py` has the
# same.
_DARK = {
    0: "rms above limit",
    1: "rms below limit",
    2: "often above int_hi",
    3: "often below int_lo",
    4: "average above limit",
    5: "average below limit",
}
_JUNGFRAU = {**_DARK, 6: "wrong gain bits"}
# LCLS-I, `Detector/src/UtilsPixelStatus.py`; status_extra is these of several files, joined.
_FEATURES = {
    0: "mean low",
    1: "mean high",
    2: "spread low",
    3: "spread high",
    4: "residual low",
    5: "residual high",
    6: "residual spread low",
    7: "residual spread high",
    8: "maximum low",
    9: "maximum high",
}
_GOOD = {0: "good"}
# EXtra, `extra.calibration.BadPixels`; bits 24 to 29 are free.
_EUXFEL = {
    0: "OFFSET_OUT_OF_THRESHOLD",
    1: "NOISE_OUT_OF_THRESHOLD",
    2: "OFFSET_NOISE_EVAL_ERROR",
    3: "NO_DARK_DATA",
    4: "CI_GAIN_OF_OF_THRESHOLD",
    5: "CI_LINEAR_DEVIATION",
    6: "CI_EVAL_ERROR",
    7: "FF_GAIN_EVAL_ERROR",
    8: "FF_GAIN_DEVIATION",
    9: "FF_NO_ENTRIES",
    10: "CI2_EVAL_ERROR",
    11: "VALUE_IS_NAN",
    12: "VALUE_OUT_OF_RANGE",
    13: "GAIN_THRESHOLDING_ERROR",
    14: "DATA_STD_IS_ZERO",
    15: "ASIC_STD_BELOW_NOISE",
    16: "INTERPOLATED",
    17: "NOISY_ADC",
    18: "OVERSCAN",
    19: "NON_SENSITIVE",
    20: "NON_LIN_RESPONSE_REGION",
    21: "WRONG_GAIN_VALUE",
    22: "NON_STANDARD_SIZE",
    23: "EXPERT_CHOICE",
    30: "USER1",
    31: "USER2",
}
_BY_FEATURES = ("status_data", "status_extra", "status_dark", "status_light", "status_max")
_NONE: Mapping[int, str] = MappingProxyType({})


def has_bits(ctype: str) -> bool:
    """Return whether the values of a constant are bits, where they are whole numbers.

    Examples
    --------
    >>> has_bits("pixel_status"), has_bits("pixel_mask"), has_bits("pedestals")
    (True, True, False)
    """
    return ctype in ("pixel_status", *_BY_FEATURES, *MASKS) or ctype.startswith("BadPixels")


def names_of(dettype: str, ctype: str) -> Mapping[int, str]:
    """Return what bits are called, by their number; bits that nobody named are not in it.

    Examples
    --------
    >>> names_of("jungfrau", "pixel_status")[6], names_of("epix10ka", "pixel_status").get(6)
    ('wrong gain bits', None)
    """
    if ctype == "pixel_status":
        return MappingProxyType(_JUNGFRAU if dettype.lower() == "jungfrau" else _DARK)
    if ctype in _BY_FEATURES:
        return MappingProxyType(_FEATURES)
    if ctype in MASKS:
        return MappingProxyType(_GOOD)
    return MappingProxyType(_EUXFEL) if ctype.startswith("BadPixels") else _NONE


def as_bits(values: NDArray[Any]) -> NDArray[np.uint64]:
    """Return whole numbers as 64 bits each; negative ones keep the bits that they have.

    Examples
    --------
    >>> as_bits(np.array([-1, 2], "int16"))
    array([65535,     2], dtype=uint64)
    """
    if values.dtype.kind == "b":
        return values.astype(np.uint64)
    unsigned = np.dtype(f"u{values.dtype.itemsize}").newbyteorder(values.dtype.byteorder)
    return np.ascontiguousarray(values).view(unsigned).astype(np.uint64)


def count_bad(values: NDArray[Any], ctype: str) -> int:
    """Return how many values say *bad*: no good mask, any bit of a status, else no finite number.

    Examples
    --------
    >>> count_bad(np.array([0, 1, 6]), "pixel_status"), count_bad(np.array([0, 1]), "pixel_mask")
    (2, 1)
    >>> count_bad(np.array([1.0, np.nan]), "pedestals")
    1
    """
    if ctype in MASKS:
        return int(values.size - np.count_nonzero(values))
    if has_bits(ctype):
        return int(np.count_nonzero(values))
    return 0 if values.dtype.kind in "biu" else int(values.size - np.isfinite(values).sum())
