"""What differs between two arrays, by gain range and panel: values, numbers that are none, bits."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdb import bits, statistics
from cdb.shapes import Axes, Part, axes_of, blocks, parts
from cdb.statistics import Numbers

Flags = NDArray[np.bool_]
Progress = Callable[[int], object]


@dataclass(frozen=True)
class PartDifference:
    """What differs in one panel of one gain range; of b against a.

    Attributes
    ----------
    gain : str or None
        Name of the gain range.
    panel : int or None
        Number of the panel.
    size : int
        Values.
    changed : int
        Values that differ. NaN is equal to NaN.
    numbers : Numbers or None
        Of b - a in float64, over the values that are finite in both; None if they are no numbers.
    gone, come : int
        Values that are finite in a alone, in b alone.
    gained, lost : mapping of int to int
        By the number of a bit: the values in which b alone, a alone, has it.
    """

    gain: str | None
    panel: int | None
    size: int = 0
    changed: int = 0
    numbers: Numbers | None = None
    gone: int = 0
    come: int = 0
    gained: Mapping[int, int] = field(default_factory=dict)
    lost: Mapping[int, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return it for a script."""
        told = None
        if self.numbers is not None:
            told = {k: v for k, v in self.numbers.as_json().items() if k not in ("bad", "std")}
            told = {k: v for k, v in told.items() if k != "not_finite"}
        return {
            "gain": self.gain,
            "panel": self.panel,
            "size": self.size,
            "changed": self.changed,
            "difference": told,
            "finite_lost": self.gone,
            "finite_gained": self.come,
            "bits_gained": {str(bit): n for bit, n in self.gained.items()},
            "bits_lost": {str(bit): n for bit, n in self.lost.items()},
        }


@dataclass(frozen=True)
class ArrayDifference:
    """What differs between two arrays.

    Attributes
    ----------
    dtypes : (str, str)
        Of a and b.
    shapes : (tuple of int, tuple of int)
        Of a and b.
    parts : tuple of PartDifference
        By gain range and panel; none where shapes or kinds of dtype keep values from being
        compared.
    bit_names : mapping of int to str or None
        What bits are called; None where values are no bits.
    """

    dtypes: tuple[str, str]
    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    parts: tuple[PartDifference, ...] = ()
    bit_names: Mapping[int, str] | None = None
    kind = "array"

    @property
    def equal(self) -> bool:
        """Whether dtype, shape and all values are the same."""
        same = self.dtypes[0] == self.dtypes[1] and self.shapes[0] == self.shapes[1]
        return same and not self.total.changed

    @property
    def compared(self) -> bool:
        """Whether the values could be compared."""
        return bool(self.parts)

    @property
    def total(self) -> PartDifference:
        """What differs in all parts together."""
        return _joined(None, None, self.parts)

    def as_json(self) -> dict[str, Any]:
        """Return it for a script."""
        return {
            "kind": self.kind,
            "equal": self.equal,
            "dtype": list(self.dtypes),
            "shape": [list(shape) for shape in self.shapes],
            "compared": self.compared,
            "total": self.total.as_json(),
            "parts": [part.as_json() for part in self.parts],
            "bit_names": None
            if self.bit_names is None
            else {str(bit): name for bit, name in self.bit_names.items()},
        }


def of_arrays(
    a: NDArray[Any],
    b: NDArray[Any],
    *,
    dettype: str = "",
    ctype: str = "",
    progress: Progress | None = None,
) -> ArrayDifference:
    """Return what differs between two arrays; parameters are those of `cdb.difference.of`."""
    dtypes, shapes = (str(a.dtype), str(b.dtype)), (a.shape, b.shape)
    are_numbers = statistics.has_numbers(a) and statistics.has_numbers(b)
    if a.shape != b.shape or not (are_numbers or a.dtype == b.dtype):
        return ArrayDifference(dtypes, shapes)
    are_bits = bits.has_bits(ctype) and a.dtype.kind in "biu" and b.dtype.kind in "biu"
    axes = axes_of(a.shape, dettype) if a.size else Axes()
    found = []
    for part in parts(a.shape, axes):
        found.append(_of_part(a, b, part, are_numbers=are_numbers, are_bits=are_bits))
        if progress is not None:
            progress(found[-1].size * (a.dtype.itemsize + b.dtype.itemsize))
    names = bits.names_of(dettype, ctype) if are_bits else None
    return ArrayDifference(dtypes, shapes, tuple(found), names)


def _of_part(
    a: NDArray[Any], b: NDArray[Any], part: Part, *, are_numbers: bool, are_bits: bool
) -> PartDifference:
    first, second = np.atleast_1d(a[part.index]), np.atleast_1d(b[part.index])
    pieces = (
        _of_piece(first[rows], second[rows], are_numbers=are_numbers, are_bits=are_bits)
        for rows in blocks(first.shape)
    )
    return _joined(part.gain, part.panel, pieces)


def _of_piece(
    a: NDArray[Any], b: NDArray[Any], *, are_numbers: bool, are_bits: bool
) -> PartDifference:
    if not are_numbers:
        return PartDifference(None, None, a.size, int(np.count_nonzero(_differ(a, b))))
    finite_a, finite_b = np.isfinite(a), np.isfinite(b)
    both = finite_a & finite_b
    # Those that are converted could overflow: a float128 that no float64 holds.
    with np.errstate(over="ignore"):
        difference = b[both].astype(np.float64) - a[both].astype(np.float64)
    gained, lost = _bits_changed(a, b) if are_bits else ({}, {})
    return PartDifference(
        None,
        None,
        a.size,
        int(np.count_nonzero(_differ(a, b))),
        statistics.of_values(difference),
        int(np.count_nonzero(finite_a & ~finite_b)),
        int(np.count_nonzero(finite_b & ~finite_a)),
        gained,
        lost,
    )


def _differ(a: NDArray[Any], b: NDArray[Any]) -> Flags:
    """Return where values differ; numbers by their value, anything else by its bytes."""
    if a.dtype.kind in "biufc":
        differ: Flags = a != b
        if a.dtype.kind in "fc" or b.dtype.kind in "fc":
            differ &= ~(np.isnan(a) & np.isnan(b))
        return differ
    if not a.dtype.itemsize:
        return np.zeros(a.shape, bool)
    as_bytes = (np.ascontiguousarray(x).reshape(-1).view(np.uint8) for x in (a, b))
    first, second = (x.reshape(a.size, a.dtype.itemsize) for x in as_bytes)
    return np.asarray((first != second).any(axis=1))


def _bits_changed(a: NDArray[Any], b: NDArray[Any]) -> tuple[dict[int, int], dict[int, int]]:
    before, after = bits.as_bits(a), bits.as_bits(b)
    return _count_bits(after & ~before), _count_bits(before & ~after)


def _count_bits(values: NDArray[np.uint64]) -> dict[int, int]:
    there = int(np.bitwise_or.reduce(values, axis=None)) if values.size else 0
    return {
        bit: int(np.count_nonzero(values & np.uint64(1 << bit)))
        for bit in range(64)
        if there >> bit & 1
    }


def _joined(gain: str | None, panel: int | None, some: Iterable[PartDifference]) -> PartDifference:
    several = [*some]
    numbers = [one.numbers for one in several if one.numbers is not None]
    return PartDifference(
        gain,
        panel,
        sum(one.size for one in several),
        sum(one.changed for one in several),
        statistics.joined(numbers) if numbers else None,
        sum(one.gone for one in several),
        sum(one.come for one in several),
        _added_up(one.gained for one in several),
        _added_up(one.lost for one in several),
    )


def _added_up(counts: Iterable[Mapping[int, int]]) -> dict[int, int]:
    total: dict[int, int] = {}
    for count in counts:
        for bit, n in count.items():
            total[bit] = total.get(bit, 0) + n
    return dict(sorted(total.items()))
