"""Whole photons from calibrated intensities: a photon that two pixels share is counted once.

Intensities in photons are cut into whole ones and fractions. A fraction of half a photon or more
that is larger than those of the four pixels beside it makes a pair with the largest of these that
is in no pair yet; where the two together are nearly one, it is one more photon of the first pixel.

References
----------
LCLS-I, `ImgAlgos/include/AlgImgProc.h`, `mapOfPhotonNumbersV1`, and `src/AlgImgProc.cpp`,
`_mergeConnectedPixelCouples`: the same pairs in the same order, the inner pixels of a panel before
those at its edges. Of equal neighbours the last one of up, down, left, right is taken, as there.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdb.errors import BadArray, BadQuestion, shown

# Less than this makes no pair.
_HALF = 0.5
_MOST = 65535
_BESIDE = ((-1, 0), (1, 0), (0, -1), (0, 1))

Floats = NDArray[np.float32]


def count_photons(
    data: NDArray[Any],
    mask: NDArray[Any] | None = None,
    *,
    adu_per_photon: float = 1,
    thr_fraction: float = 0.9,
) -> NDArray[np.uint16]:
    """Return how many photons each pixel saw.

    Parameters
    ----------
    data : ndarray of numbers, shape (n_rows, n_cols) or (n_panels, n_rows, n_cols)
        Calibrated intensities.
    mask : ndarray, optional
        Good pixels; bad ones count nothing.
    adu_per_photon : float, optional
        Intensity of one photon.
    thr_fraction : float, optional
        From which sum on a pair is one photon.

    Returns
    -------
    photons : ndarray of uint16
        As the data are shaped.

    Raises
    ------
    BadArray
        If the data are no panels, the mask does not fit, or there are too many photons.
    BadQuestion
        If a photon has no intensity.

    Examples
    --------
    >>> count_photons(np.array([[0.0, 0.6, 0.4], [0.0, 0.0, 2.2]]))
    array([[0, 1, 0],
           [0, 0, 2]], dtype=uint16)
    """
    if not isinstance(data, np.ndarray) or data.dtype.kind not in "biuf" or data.ndim < 2:
        raise BadArray(f"{shown(data)} are no intensities in rows and columns")
    if mask is not None and (not isinstance(mask, np.ndarray) or mask.shape != data.shape):
        raise BadArray(f"the mask {shown(mask)} does not fit data of the shape {data.shape}")
    if not adu_per_photon > 0:
        raise BadQuestion(f"adu_per_photon is {shown(adu_per_photon)}; it is above 0")
    if min(data.shape[-2:]) < 2:
        raise BadArray(f"panels of {data.shape[-2:]} have no neighbours in rows and columns")
    intensities = data / adu_per_photon
    good = np.isfinite(intensities) & (intensities > 0)
    if mask is not None:
        good &= mask != 0
    positive = np.where(good, intensities, 0)
    if positive.max() > _MOST:
        raise BadArray(f"{positive.max():g} photons in a pixel; at most {_MOST} can be counted")
    whole = np.floor(positive)
    fractions = (positive - whole).astype(np.float32)
    photons = whole.astype(np.uint16)
    panels = fractions.reshape(-1, *data.shape[-2:])
    for counted, panel in zip(photons.reshape(panels.shape), panels, strict=True):
        counted += _pairs(panel, thr_fraction)
    return photons


def _pairs(fractions: Floats, thr_fraction: float) -> NDArray[np.uint16]:
    """Return 1 where a pair makes one more photon."""
    found = np.zeros(fractions.shape, np.uint16)
    rows, cols = np.nonzero(_is_highest(fractions) & (fractions >= _HALF))
    if not rows.size:
        return found
    order = _in_order(rows, cols, fractions.shape)
    rows, cols = rows[order], cols[order]
    # A frame around the panel whose pixels are in pairs already.
    padded = np.pad(fractions, 1)
    taken = np.pad(np.zeros(fractions.shape, np.bool_), 1, constant_values=True)
    places = np.ravel_multi_index((rows + 1, cols + 1), padded.shape)
    steps = np.array([step * padded.shape[1] + by for step, by in _BESIDE])
    flat, busy = padded.reshape(-1), taken.reshape(-1)
    counted = found.reshape(-1)
    itself = np.ravel_multi_index((rows, cols), found.shape)
    waiting = np.arange(rows.size)
    while waiting.size:
        near = places[waiting, np.newaxis] + steps
        # Who comes first at each neighbour decides before the others.
        first = np.full(flat.size, rows.size)
        np.minimum.at(first, near, waiting[:, np.newaxis])
        ready = (first[near] == waiting[:, np.newaxis]).all(axis=1)
        chosen = waiting[ready]
        beside = near[ready]
        values = np.where(busy[beside], -1, flat[beside])
        best = values.shape[1] - 1 - values[:, ::-1].argmax(axis=1)
        pick = np.arange(chosen.size), best
        partner = np.maximum(values[pick], 0)
        one = flat[places[chosen]] + partner >= np.float32(thr_fraction)
        counted[itself[chosen[one]]] = 1
        busy[places[chosen[one]]] = True
        free = one & (values[pick] >= 0)
        busy[beside[pick][free]] = True
        waiting = waiting[~ready]
    return found


def _is_highest(fractions: Floats) -> NDArray[np.bool_]:
    """Return which pixels are higher than their neighbours; of equal ones the first is."""
    highest = np.ones(fractions.shape, np.bool_)
    for lines, values in ((highest, fractions), (highest.T, fractions.T)):
        rising = values[1:] > values[:-1]
        lines[1:] &= rising
        lines[:-1] &= ~rising
        lines[0] &= values[0] > values[1]
    return highest


def _in_order(
    rows: NDArray[np.intp], cols: NDArray[np.intp], shape: tuple[int, ...]
) -> NDArray[np.intp]:
    """Return the order in which LCLS-I makes pairs: inner pixels, edges, corners."""
    last_row, last_col = shape[0] - 1, shape[1] - 1
    up, down, left, right = rows == 0, rows == last_row, cols == 0, cols == last_col
    areas = [
        down & left, down & right, up & left, up & right, left, right, up, down,
    ]  # fmt: skip
    area = np.select(areas, [5, 6, 7, 8, 1, 2, 3, 4], 0)
    return np.lexsort((cols, rows, area))
