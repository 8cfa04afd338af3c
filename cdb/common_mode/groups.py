"""Groups of pixels that share an offset: how panels are cut, when an offset is subtracted."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdb.errors import BadArray, shown

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Groups:
    """How panels are cut into groups of pixels that share an offset.

    Attributes
    ----------
    name : str
        In the plural, for people.
    height, width : int or None
        Rows and columns of a group; None for all of the panel's.
    interleaved : int
        Every so many-th column belongs to the same group.
    """

    name: str
    height: int | None = None
    width: int | None = None
    interleaved: int = 1

    def view(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return a view of an array, its last two axes being rows and columns of a group."""
        *lead, n_rows, n_cols = array.shape
        height, width = self.height or n_rows, self.width or n_cols
        if not height or not width or n_rows % height or n_cols % width:
            raise BadArray(f"panels of {n_rows} x {n_cols} pixels have no {self}")
        shape = (*lead, n_rows // height, height, n_cols // width, width // self.interleaved,
                 self.interleaved)  # fmt: skip
        split = array.reshape(shape)
        first = len(lead)
        order = (*range(first), first, first + 2, first + 4, first + 1, first + 3)
        return split.transpose(order)

    def __str__(self) -> str:
        """Return what people call them."""
        sizes = [size for size in (self.height, self.width) if size not in (None, 1)]
        told = f" of {' x '.join(map(str, sizes))} pixels" if sizes else ""
        apart = ", even and odd columns apart" if self.interleaved > 1 else ""
        return f"{self.name}{told}{apart}"


@dataclass(frozen=True)
class Rule:
    """When an offset is subtracted, and from what.

    Attributes
    ----------
    limit : float or None
        How large it may be, either way [ADU].
    at_least : int
        From how many values it must be found.
    inclusive : bool
        Whether it may be as large as the limit.
    within : float or None
        Values further from 0 do not count [ADU].
    below : float or None
        Values as large as this do not count [ADU].
    everywhere : bool
        Whether it is subtracted from all pixels, or from the good ones.
    mean : bool
        Whether it is the mean of the values that count, or their median.
    """

    limit: float | None = None
    at_least: int = 1
    inclusive: bool = False
    within: float | None = None
    below: float | None = None
    everywhere: bool = False
    mean: bool = False

    def __str__(self) -> str:
        """Return what people call it."""
        what = "mean" if self.mean else "median"
        which = ""
        if self.within is not None:
            which = f" between -{self.within:g} and {self.within:g} ADU"
        if self.below is not None:
            which = f" below {self.below:g} ADU"
        whom = "all pixels" if self.everywhere else "them"
        limits = [] if self.at_least == 1 else [f"there are at least {self.at_least} of them"]
        if self.limit is not None:
            than = "at most" if self.inclusive else "less than"
            limits.append(f"it is {than} {self.limit:g} ADU either way")
        when = f" where {' and '.join(limits)}" if limits else ""
        return f"{what} of the {{pixels}}{which}, subtracted from {whom}{when}"


def correct(data: Floats, mask: NDArray[Any] | None, groups: Groups, rule: Rule) -> None:
    """Find the offset of each group and subtract it, in place."""
    good = good_pixels(checked_floats(data), mask)
    values, usable = groups.view(data), groups.view(good)
    count = usable & np.isfinite(values)
    if rule.within is not None:
        count &= np.abs(values) <= rule.within
    if rule.below is not None:
        count &= values < rule.below
    offsets, n = (_means if rule.mean else _medians)(values, count)
    use = n >= rule.at_least
    if rule.limit is not None:
        size = np.abs(offsets)
        use &= (size <= rule.limit) if rule.inclusive else (size < rule.limit)
    offsets = np.where(use, offsets, 0)[..., np.newaxis, np.newaxis]
    values -= offsets if rule.everywhere else np.where(usable, offsets, 0)


def _medians(values: Floats, count: Bools) -> tuple[Floats, NDArray[np.int64]]:
    """Return the medians of the values that count in each group, and how many count."""
    counted = count.reshape(*count.shape[:-2], -1)
    n = counted.sum(axis=-1)
    # What does not count goes to the end.
    flat = np.where(counted, values.reshape(counted.shape), np.inf).astype(values.dtype)
    flat.sort(axis=-1)
    last = flat.shape[-1] - 1
    middle = [np.clip(place, 0, last) for place in ((n - 1) // 2, n // 2)]
    low, high = (np.take_along_axis(flat, place[..., np.newaxis], -1)[..., 0] for place in middle)
    with np.errstate(invalid="ignore"):
        return np.where(n > 0, (low + high) / 2, 0).astype(values.dtype), n


def _means(values: Floats, count: Bools) -> tuple[Floats, NDArray[np.int64]]:
    """Return the means of the values that count in each group, and how many count."""
    n = count.sum(axis=(-2, -1))
    sums = np.where(count, values, 0).sum(axis=(-2, -1), dtype=np.float64)
    return (sums / np.maximum(n, 1)).astype(values.dtype), n


def more_than(npix_min: float) -> int:
    """Return of how many pixels there must be more than so many."""
    return max(1, math.floor(npix_min) + 1)


def at_least(npix_min: float) -> int:
    """Return of how many pixels there must be at least so many."""
    return max(1, math.ceil(npix_min))


# doors -------------------------------------------------------------------------------------------


def checked_floats(data: Floats) -> Floats:
    """Return data that can be corrected.

    Raises
    ------
    BadArray
        If they are no floats in rows and columns.
    """
    if not isinstance(data, np.ndarray) or data.dtype.kind != "f" or data.ndim < 2:
        told = f"{data.dtype}, {data.shape}" if isinstance(data, np.ndarray) else shown(data)
        raise BadArray(f"a common mode is subtracted from floats in rows and columns, not {told}")
    if not data.flags.writeable:
        raise BadArray("a common mode is subtracted in place, and these data are read-only: copy")
    return data


def good_pixels(data: Floats, mask: NDArray[Any] | None) -> Bools:
    """Return which pixels are good, shaped as the data; all without a mask.

    Raises
    ------
    BadArray
        If the mask does not fit the data.
    """
    if mask is None:
        return np.ones(data.shape, np.bool_)
    if not isinstance(mask, np.ndarray) or mask.dtype.kind not in "biuf":
        raise BadArray(f"{shown(mask)} is no mask")
    try:
        return np.array(np.broadcast_to(mask != 0, data.shape))
    except ValueError:
        raise BadArray(f"a mask of the shape {mask.shape} does not fit {data.shape}") from None
