"""Masks of pixels, 1 for good and 0 for bad: from status bits, merged, grown, with edges.

All functions return new arrays and leave those that they are given as they are. The last two axes
are a panel, whose neighbours are never pixels of another one.
"""

import math
from collections.abc import Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from cdb.errors import BadArray, BadQuestion, shown

Mask = NDArray[np.uint8]

# All bits of a status: LCLS-I's 16 (0xffff), LCLS-II's 64.
ALL_BITS = 2**64 - 1
# Gain ranges that are measured in the dark: of epix10ka FH, FM, FL, AHL-H and AML-M, the other two
# are derived from them; of jungfrau all three, for what an array does not have is passed over.
MEASURED = (0, 1, 2, 3, 4)


def status_as_mask(status: NDArray[Any], code: int = ALL_BITS) -> Mask:
    """Return which pixels are good: those whose status has none of some bits.

    Parameters
    ----------
    status : ndarray of integers
        Bits of bad pixels, of any shape; see `cdb.bits`.
    code : int, optional
        The bits that make a pixel bad; without it any does.

    Returns
    -------
    mask : ndarray of uint8
        As the status is shaped.

    Raises
    ------
    BadArray
        If the status holds no integers.

    Examples
    --------
    >>> status_as_mask(np.array([0, 1, 2, 3]), code=2)
    array([1, 1, 0, 0], dtype=uint8)
    """
    if not 0 <= code <= ALL_BITS:
        raise BadQuestion(f"code is {shown(code)}; it is a word of at most 64 bits, as 0xffff")
    unsigned = np.dtype(f"u{_whole(status).dtype.itemsize}")
    # A code of more bits than the status has is no number of its dtype.
    within = unsigned.type(code & (2 ** (8 * unsigned.itemsize) - 1))
    good: NDArray[np.bool_] = (status.astype(unsigned) & within) == 0
    return good.astype(np.uint8)


def merge_status(status: NDArray[Any], indexes: Sequence[int] = MEASURED) -> NDArray[Any]:
    """Return the bits that a pixel has in any of some gain ranges.

    Parameters
    ----------
    status : ndarray of integers, shape (n_gains, ...)
        Bits of bad pixels by gain range.
    indexes : sequence of int, optional
        Gain ranges; those that there are not are passed over. Without it those that are measured.

    Returns
    -------
    status : ndarray, shape (...)
        Of the same dtype.

    Raises
    ------
    BadArray
        If there is no axis of gain ranges, or none of `indexes` is there.

    Examples
    --------
    >>> merge_status(np.array([[0, 1], [2, 2], [0, 4]]))
    array([2, 7])
    """
    chosen = _whole(status)[_ranges(status, indexes)]
    merged: NDArray[Any] = np.bitwise_or.reduce(chosen, axis=0)
    return merged


def merge_masks_for_gain_index(mask: NDArray[Any], indexes: Sequence[int] = MEASURED) -> Mask:
    """Return which pixels are good in all of some gain ranges.

    Parameters
    ----------
    mask : ndarray, shape (n_gains, ...)
        Good pixels by gain range; what is not 0 is good.
    indexes : sequence of int, optional
        Gain ranges, as for `merge_status`.

    Raises
    ------
    BadArray
        If there is no axis of gain ranges, or none of `indexes` is there.

    Examples
    --------
    >>> merge_masks_for_gain_index(np.array([[1, 1], [1, 0]]))
    array([1, 0], dtype=uint8)
    """
    chosen = _good(mask)[_ranges(mask, indexes)]
    good: NDArray[np.bool_] = np.logical_and.reduce(chosen, axis=0)
    return good.astype(np.uint8)


@overload
def merge_masks(mask1: NDArray[Any], mask2: NDArray[Any] | None = ...) -> Mask: ...
@overload
def merge_masks(mask1: NDArray[Any] | None, mask2: NDArray[Any]) -> Mask: ...
@overload
def merge_masks(mask1: None = ..., mask2: None = ...) -> None: ...
@overload
def merge_masks(mask1: NDArray[Any] | None, mask2: NDArray[Any] | None) -> Mask | None: ...
def merge_masks(
    mask1: NDArray[Any] | None = None, mask2: NDArray[Any] | None = None
) -> Mask | None:
    """Return which pixels are good in both masks.

    Parameters
    ----------
    mask1, mask2 : ndarray or None
        What is not 0 is good. Of equal shapes; or of equal sizes, and then the result has the
        shape of the one with more dimensions.

    Returns
    -------
    mask : ndarray of uint8, or None
        Without one of the masks the other one; None without both.

    Raises
    ------
    BadArray
        If they do not fit each other.

    Examples
    --------
    >>> merge_masks(np.array([0, 1, 0, 1]), np.array([[0, 0], [1, 1]]))
    array([[0, 0],
           [0, 1]], dtype=uint8)
    """
    if mask1 is None or mask2 is None:
        only = mask2 if mask1 is None else mask1
        return None if only is None else _good(only).astype(np.uint8)
    one, other = _good(mask1), _good(mask2)
    if one.shape != other.shape and (one.size != other.size or one.ndim == other.ndim):
        raise BadArray(
            f"masks of the shapes {one.shape} and {other.shape} are not of the same pixels"
        )
    shape = one.shape if one.ndim >= other.ndim else other.shape
    return (one.reshape(shape) & other.reshape(shape)).astype(np.uint8)


def mask_neighbors(mask: NDArray[Any], allnbrs: bool = True) -> Mask:
    """Return a mask whose bad pixels have grown by one.

    Parameters
    ----------
    mask : ndarray, shape (..., n_rows, n_cols)
        What is not 0 is good.
    allnbrs : bool, optional
        Whether all eight neighbours of a bad pixel become bad, or the four beside it.

    Raises
    ------
    BadArray
        If there are no rows and columns.

    Examples
    --------
    >>> mask_neighbors(np.array([[1, 1, 1], [1, 1, 0]]), allnbrs=False)
    array([[1, 1, 0],
           [1, 0, 0]], dtype=uint8)
    """
    return mask_neighbors_in_radius(mask, rad=1, ptrn="s" if allnbrs else "r")


def mask_neighbors_in_radius(mask: NDArray[Any], rad: int = 5, ptrn: str = "r") -> Mask:
    """Return a mask whose bad pixels have grown to regions.

    Parameters
    ----------
    mask : ndarray, shape (..., n_rows, n_cols)
        What is not 0 is good.
    rad : int, optional
        Radius of a region [pixel].
    ptrn : str, optional
        Its shape: ``r``, a rhombus with |rows| + |columns| <= rad; ``c``, a circle; ``s`` or any
        other letter, a square.

    Raises
    ------
    BadArray
        If there are no rows and columns.
    BadQuestion
        If the radius is negative.

    Examples
    --------
    >>> mask_neighbors_in_radius(np.array([[0, 1, 1], [1, 1, 1]]), rad=2)
    array([[0, 0, 0],
           [0, 0, 1]], dtype=uint8)
    """
    bad = ~_good(_panels(mask))
    if rad < 0:
        raise BadQuestion(f"rad is {shown(rad)}; it is a number of pixels, 0 or more")
    wide = _widened(bad, [_reach(rad, rows, ptrn) for rows in range(rad + 1)])
    grown = bad.copy()
    for rows, row in enumerate(wide):
        if rows < bad.shape[-2]:
            grown[..., rows:, :] |= row[..., : bad.shape[-2] - rows, :]
            grown[..., : bad.shape[-2] - rows, :] |= row[..., rows:, :]
    return (~grown).astype(np.uint8)


def _reach(rad: int, rows: int, ptrn: str) -> int:
    """Return how many columns a region reaches to either side, so many rows from its centre."""
    if ptrn == "r":
        return rad - rows
    return math.isqrt(rad * rad - rows * rows) if ptrn == "c" else rad


def _widened(bad: NDArray[np.bool_], reaches: Sequence[int]) -> list[NDArray[np.bool_]]:
    """Return the bad pixels, each wider by so many columns to either side."""
    made = {0: bad}
    wide = bad.copy()
    for reach in range(1, max(reaches) + 1):
        if reach < bad.shape[-1]:
            wide[..., reach:] |= bad[..., :-reach]
            wide[..., :-reach] |= bad[..., reach:]
        if reach in reaches:
            made[reach] = wide.copy()
    return [made[reach] for reach in reaches]


def mask_edges(mask: NDArray[Any], mrows: int = 1, mcols: int = 1) -> Mask:
    """Return a mask with the outer rows and columns of each panel bad.

    Parameters
    ----------
    mask : ndarray, shape (..., n_rows, n_cols)
        What is not 0 is good.
    mrows, mcols : int, optional
        How many rows and columns at each edge.

    Raises
    ------
    BadArray
        If there are no rows and columns, or fewer than are asked for.

    Examples
    --------
    >>> mask_edges(np.ones((3, 4)), mrows=1, mcols=0)
    array([[0, 0, 0, 0],
           [1, 1, 1, 1],
           [0, 0, 0, 0]], dtype=uint8)
    """
    edged = _good(_panels(mask)).astype(np.uint8)
    n_rows, n_cols = edged.shape[-2:]
    for asked, there, what in ((mrows, n_rows, "rows"), (mcols, n_cols, "columns")):
        if not 0 <= asked <= there:
            raise BadArray(f"{shown(asked)} edge {what} of a panel with {there} {what}")
    edged[..., :mrows, :] = edged[..., n_rows - mrows :, :] = 0
    edged[..., :mcols] = edged[..., n_cols - mcols :] = 0
    return edged


def evaluate_limits(
    values: NDArray[Any],
    nneg: float = 5,
    npos: float = 5,
    lim_lo: float = 1,
    lim_hi: float = 1000,
    *,
    robust: bool = False,
) -> tuple[float, float]:
    """Return between which limits the values of good pixels lie.

    Parameters
    ----------
    values : ndarray of numbers
        Such as the rms of each pixel; what is not finite takes no part.
    nneg, npos : float, optional
        How many spreads below and above the centre; 0 or less for no limit but the absolute one.
    lim_lo, lim_hi : float, optional
        The absolute limits.
    robust : bool, optional
        Take the median and the spread about it, which bad pixels do not move, instead of mean and
        standard deviation.

    Returns
    -------
    low, high : float
        In the unit of the values.

    Raises
    ------
    BadArray
        If no value is finite.

    References
    ----------
    LCLS-I, `PSCalib/src/GlobalUtils.py`, `evaluate_limits`. The spread about the median is 1.4826
    times the median distance from it, which is the standard deviation of a normal distribution.

    Examples
    --------
    >>> evaluate_limits(np.array([2.0, 4.0]), nneg=1, npos=0)
    (2.0, 1000)
    """
    wide = _array(values).astype(np.float64)
    finite = wide[np.isfinite(wide)]
    if not finite.size:
        raise BadArray(f"no value of {values.size} is finite: there are no limits to find")
    if robust:
        centre = float(np.median(finite))
        spread = 1.4826 * float(np.median(np.abs(finite - centre)))
    else:
        centre, spread = float(finite.mean()), float(finite.std())
    low = max(centre - nneg * spread, lim_lo) if nneg > 0 else lim_lo
    high = min(centre + npos * spread, lim_hi) if npos > 0 else lim_hi
    return low, high


# doors -----------------------------------------------------------------------------------------


def _array(values: NDArray[Any]) -> NDArray[Any]:
    if not isinstance(values, np.ndarray):
        raise BadArray(f"{shown(values)} is no array")
    return values


def _good(mask: NDArray[Any]) -> NDArray[np.bool_]:
    if _array(mask).dtype.kind not in "biuf":
        raise BadArray(f"a mask of {mask.dtype} says nothing; give numbers, 0 for a bad pixel")
    return np.asarray(mask != 0)


def _whole(status: NDArray[Any]) -> NDArray[Any]:
    if _array(status).dtype.kind not in "biu":
        raise BadArray(f"a status of {status.dtype} has no bits; give whole numbers")
    return status


def _ranges(values: NDArray[Any], indexes: Sequence[int]) -> list[int]:
    """Return those of some gain ranges that there are."""
    if _array(values).ndim < 2:
        raise BadArray(f"an array of the shape {values.shape} has no axis of gain ranges")
    found = [index for index in indexes if 0 <= index < values.shape[0]]
    if not found:
        raise BadArray(
            f"none of the gain ranges {shown(tuple(indexes))} is among the {values.shape[0]} there"
        )
    return found


def _panels(mask: NDArray[Any]) -> NDArray[Any]:
    if _array(mask).ndim < 2:
        raise BadArray(f"a mask of the shape {mask.shape} has no rows and columns")
    return mask
