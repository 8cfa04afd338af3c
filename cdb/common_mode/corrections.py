"""Corrections that a list of parameters can ask for; as a text each says what it does."""

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cdb.common_mode.groups import Bools, Floats, Groups, Rule, correct
from cdb.common_mode.histogram import find_peak
from cdb.errors import BadArray


class Correction(Protocol):
    """One correction of a list of parameters; as a text it says what it does."""

    def apply(self, data: Floats, good: Bools) -> None:
        """Correct data, shape (..., n_rows, n_cols), in place."""


@dataclass(frozen=True)
class Grouped:
    """The median or mean of groups of pixels."""

    groups: Groups
    rule: Rule
    pixels: str = "good pixels"

    def apply(self, data: Floats, good: Bools) -> None:
        """Correct data in place."""
        correct(data, good, self.groups, self.rule)

    def as_psana_does(self) -> "Grouped":
        """Return what psana does where no mask is given: of banks it corrects the rows."""
        if self.groups.name != "banks":
            return self
        return replace(self, groups=Groups("rows", 1, self.groups.width))

    def __str__(self) -> str:
        """Return what it does."""
        return f"{self.groups}: {str(self.rule).format(pixels=self.pixels)}"


@dataclass(frozen=True)
class Stretches:
    """The median or mean of stretches of so many pixels, as they follow each other in memory."""

    length: int
    rule: Rule

    def apply(self, data: Floats, good: Bools) -> None:
        """Correct data in place."""
        if data.size % self.length:
            raise BadArray(f"{data.size} pixels are not cut into groups of {self.length}")
        flat, usable = data.reshape(1, -1), good.reshape(1, -1)
        correct(flat, usable, Groups("groups", height=1, width=self.length), self.rule)

    def __str__(self) -> str:
        """Return what it does."""
        return f"groups of {self.length} pixels: {str(self.rule).format(pixels='good pixels')}"


# The unbonded pixels of a cspad panel of 185 x 388; the one in the corner is left out.
_UNBONDED = np.arange(10, 185, 10)


@dataclass(frozen=True)
class Unbonded:
    """The mean of the unbonded pixels of a cspad panel, subtracted from all of the panel."""

    limit: float | None

    def apply(self, data: Floats, good: Bools) -> None:
        """Correct data in place; that unbonded pixels are bad does not matter."""
        for panel in cspad_panels(data):
            self.apply_to_panel(panel)

    def apply_to_panel(self, panel: Floats) -> None:
        """Correct one panel in place."""
        columns = np.concatenate([_UNBONDED, _UNBONDED + 194])
        mean = panel[np.tile(_UNBONDED, 2), columns].mean(dtype=np.float64)
        if np.isfinite(mean) and (self.limit is None or abs(mean) <= self.limit):
            panel -= panel.dtype.type(mean)

    def __str__(self) -> str:
        """Return what it does."""
        limit = "" if self.limit is None else f" where it is at most {self.limit:g} ADU either way"
        return f"panels: mean of the unbonded pixels, subtracted from all pixels{limit}"


def cspad_panels(data: NDArray[Any]) -> NDArray[Any]:
    """Return the panels of a cspad one after the other, as a view."""
    if data.shape[-2:] != (185, 388):
        raise BadArray(f"panels of cspad are 185 x 388, not {data.shape[-2:]}")
    return data.reshape(-1, 185, 388)


@dataclass(frozen=True)
class Peak:
    """The place of the peak of a histogram, subtracted from all of a section.

    Attributes
    ----------
    limit, rms_limit : float
        How far from 0 and how wide the peak may be [ADU].
    threshold : float
        More pixels than this are in its highest bin.
    sections, size, stride : int or None
        Sections of the detector in memory; all of it is one without them.
    fallback : Unbonded or None
        What to do with a cspad panel that has no such peak.
    """

    limit: float
    rms_limit: float
    threshold: float
    sections: int = 1
    size: int | None = None
    stride: int = 1
    fallback: Unbonded | None = None
    panels: bool = False

    def apply(self, data: Floats, good: Bools) -> None:
        """Correct data in place."""
        if self.panels:
            for panel, usable in zip(cspad_panels(data), cspad_panels(good), strict=True):
                self._apply_to(panel, usable)
            return
        flat, usable = data.reshape(-1), good.reshape(-1)
        size = self.size or flat.size // self.sections
        for section in range(self.sections):
            piece = slice(section * size, section * size + size * self.stride, self.stride)
            if piece.stop - self.stride >= flat.size:
                raise BadArray(
                    f"{self.sections} sections of {size} pixels with stride {self.stride} are more "
                    f"than the {flat.size} pixels there are"
                )
            self._apply_to(flat[piece], usable[piece])

    def _apply_to(self, section: Floats, usable: Bools) -> None:
        found = find_peak(section[usable], self.threshold)
        if found is not None and abs(found[0]) <= self.limit and found[1] <= self.rms_limit:
            section -= section.dtype.type(found[0])
        elif self.fallback is not None:
            self.fallback.apply_to_panel(section)

    def __str__(self) -> str:
        """Return what it does."""
        where = "panels" if self.panels else "the whole"
        if self.size:
            apart = f", every {self.stride}th" if self.stride > 1 else ""
            where = f"{self.sections} sections of {self.size} pixels{apart}"
        rest = "; else the mean of the unbonded pixels" if self.fallback else ""
        return (
            f"{where}: peak of the histogram of the good pixels, subtracted from all pixels where "
            f"its highest bin of 1 ADU has more than {self.threshold:g}, it is at most "
            f"{self.limit:g} ADU away from 0 and its rms at most {self.rms_limit:g} ADU{rest}"
        )
