"""Common mode: the offset that a group of pixels shares in one frame, found and subtracted.

What is corrected are floats with the pedestals subtracted and no gain applied. All corrections
are done in place; pixels whose value is not finite take no part in finding an offset.

How it is done is told by a list of numbers, the constant ``common_mode``. The first one is the
algorithm, the others mean:

==== ===================== =======================================================================
 0   any                   off
 1   cspad, cameras        peak of a histogram from -1000 to 2000 ADU: limit of its place, limit of
                           its rms, threshold of pixels, [sections, their size, their stride];
                           cspad: [0 not to fall back to unbonded pixels]
 2   any                   mean of the values below a threshold: threshold, limit, length of group
 3   any                   median of these, likewise
 4   epix100a              mode (1 banks of 352 x 96, 2 their rows, 4 their columns), half range
                           of values that count, limit (0 for none)
 4   fccd960               mode (1 rows of 160, even and odd columns apart, 2 blocks of 480 x 10),
                           half range, limit
 5   cspad                 mean of the unbonded pixels: [limit]
 6   epix100a              as 4
 7   epix10ka, jungfrau,   mode (4 banks, 1 their rows, 2 columns), limit, [pixels that are too
     epix100, epixhr2x2    few]
 8   pnccd                 mode (1 rows of 128, 2 rows, 4 columns, 8 banks of 512 x 128), limit
==== ===================== =======================================================================

References
----------
psana 4.3.4, `psana/detector/UtilsCommonMode.py`; LCLS-I, `Detector/src/UtilsCommonMode.py`,
`UtilsPNCCD.py` and, in C++, `ImgAlgos/include/CommonMode.h` and `CommonModeCorrection.h`.
"""

from cdb.common_mode.corrections import Correction
from cdb.common_mode.defaults import defaults
from cdb.common_mode.medians import (
    common_mode_2d,
    common_mode_2d_hsplit_nbanks,
    common_mode_cols,
    common_mode_rows,
    common_mode_rows_hsplit_nbanks,
)  # fmt: skip
from cdb.common_mode.parameters import apply, describe, parse

__all__ = [
    "Correction", "apply", "common_mode_2d", "common_mode_2d_hsplit_nbanks", "common_mode_cols",
    "common_mode_rows", "common_mode_rows_hsplit_nbanks", "defaults", "describe", "parse",
]  # fmt: skip
