"""Numbers of one array: how many values are finite, how many bad, mean, rms, spread, extremes.

All in float64, block by block, so that the memory taken does not grow with the array. What is
not finite (NaN, infinite) is counted and takes no part in the rest.
"""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdb import bits
from cdb.errors import BadQuestion
from cdb.shapes import Axes, Part, axes_of, blocks, parts

# What `Numbers` can be asked for by name.
STATS = ("mean", "rms", "std", "min", "max", "bad")


@dataclass(frozen=True)
class Numbers:
    """What is kept of some values: numbers that can be joined with those of others.

    Attributes
    ----------
    n : int
        Values that are finite.
    lost : int
        Values that are not.
    bad : int
        Values that say *bad*, see `cdb.bits.count_bad`.
    centre : float
        Mean of the finite values.
    m2 : float
        Sum of their squared distances from it.
    min, max : float
        The least and the greatest of them; infinite where there is none.
    """

    n: int = 0
    lost: int = 0
    bad: int = 0
    centre: float = 0.0
    m2: float = 0.0
    min: float = math.inf
    max: float = -math.inf

    @property
    def size(self) -> int:
        """All values."""
        return self.n + self.lost

    @property
    def mean(self) -> float:
        """Mean; NaN where no value is finite."""
        return self.centre if self.n else math.nan

    @property
    def std(self) -> float:
        """Spread: root of the mean squared distance from the mean."""
        return math.sqrt(self.m2 / self.n) if self.n else math.nan

    @property
    def rms(self) -> float:
        """Root of the mean square."""
        return math.hypot(self.centre, self.std) if self.n else math.nan

    def stat(self, name: str) -> float:
        """Return one of `STATS`; NaN where no value is finite.

        Raises
        ------
        BadQuestion
            If there is none of this name.
        """
        if name not in STATS:
            raise BadQuestion(f"no statistic {name!r}; there are {', '.join(STATS)}")
        value = float(getattr(self, name))
        return value if self.n or name == "bad" else math.nan

    def as_json(self) -> dict[str, float | int | None]:
        """Return all of them; None where no value is finite."""
        values = {name: self.stat(name) for name in STATS if name != "bad"}
        finite = {name: v if math.isfinite(v) else None for name, v in values.items()}
        return {"n": self.n, "not_finite": self.lost, "bad": self.bad, **finite}


def joined(several: Iterable[Numbers]) -> Numbers:
    """Return the numbers of all values together.

    References
    ----------
    Chan, Golub and LeVeque (1979): updating a mean and a sum of squares pairwise; nothing is lost
    where a mean is far from zero.

    Examples
    --------
    >>> whole = joined([of_values(np.array([1.0, 2.0])), of_values(np.array([6.0]))])
    >>> whole.n, whole.mean, whole.max
    (3, 3.0, 6.0)
    """
    total = Numbers()
    for one in several:
        n = total.n + one.n
        apart = one.centre - total.centre
        total = Numbers(
            n,
            total.lost + one.lost,
            total.bad + one.bad,
            total.centre + apart * one.n / n if n else 0.0,
            total.m2 + one.m2 + apart * apart * total.n * one.n / n if n else 0.0,
            min(total.min, one.min),
            max(total.max, one.max),
        )
    return total


def of_values(values: NDArray[Any], *, bad: int = 0) -> Numbers:
    """Return the numbers of an array that is small enough to be taken at once.

    Parameters
    ----------
    values : ndarray of numbers
        Whole, real, or true and false.
    bad : int, optional
        How many of them say *bad*.
    """
    # A float64 may hold neither all that a float128 does, nor the squares of what it holds.
    with np.errstate(over="ignore", invalid="ignore"):
        wide = values.astype(np.float64)
        finite = wide[np.isfinite(wide)]
        if not finite.size:
            return Numbers(0, int(values.size), bad)
        mean = float(finite.mean())
        m2 = float(np.square(finite - mean).sum())
    return Numbers(
        int(finite.size),
        int(values.size - finite.size),
        bad,
        mean,
        m2,
        float(finite.min()),
        float(finite.max()),
    )


@dataclass(frozen=True)
class PartNumbers:
    """The numbers of one panel in one gain range.

    Attributes
    ----------
    gain : str or None
        Name of the gain range.
    panel : int or None
        Number of the panel.
    numbers : Numbers
        Of its values.
    """

    gain: str | None
    panel: int | None
    numbers: Numbers = field(default_factory=Numbers)

    def kept(self) -> dict[str, Any]:
        """Return it as JSON keeps it."""
        return asdict(self)


def has_numbers(array: NDArray[Any]) -> bool:
    """Return whether the elements of an array are real numbers, or true and false."""
    return array.dtype.kind in "biuf"


def of_array(array: NDArray[Any], *, dettype: str = "", ctype: str = "") -> list[PartNumbers]:
    """Return the numbers of each panel in each gain range.

    Parameters
    ----------
    array : ndarray of numbers
        The data of a constant.
    dettype : str, optional
        Detector type: which axes count what.
    ctype : str, optional
        Type of the constant: which values say *bad*.

    Raises
    ------
    BadQuestion
        If its elements are no numbers.

    Examples
    --------
    >>> [part.numbers.mean for part in of_array(np.arange(8.0).reshape(2, 2, 2))]
    [1.5, 5.5]
    """
    if not has_numbers(array):
        raise BadQuestion(f"values of the dtype {array.dtype} have no mean; ask for numbers")
    axes = axes_of(array.shape, dettype) if array.size else Axes()
    return [
        PartNumbers(part.gain, part.panel, _of_part(array, part, ctype))
        for part in parts(array.shape, axes)
    ]


def _of_part(array: NDArray[Any], part: Part, ctype: str) -> Numbers:
    values = np.atleast_1d(array[part.index])
    pieces = (values[rows] for rows in blocks(values.shape))
    return joined(of_values(piece, bad=bits.count_bad(piece, ctype)) for piece in pieces)
