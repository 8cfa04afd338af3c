"""Two geometries: parts that stand elsewhere, and how far panels and pixels moved."""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from cdb.errors import BadQuestion
from cdb.geometry.outlines import Outline, outlines
from cdb.geometry.segments import Floats
from cdb.geometry.tiles import Placement, placements
from cdb.geometry.tree import NUMBERS, Geometry, Key, Part

# So many shapes of panels are named where those of two geometries differ.
_MOST_KINDS = 3


@dataclass(frozen=True)
class Move:
    """A part of a detector that stands elsewhere, or in one of two geometries alone.

    Attributes
    ----------
    parent, parent_index, name, index : str, int, str, int
        Which part.
    before, after : Part or None
        Where it stands.
    """

    parent: str
    parent_index: int
    name: str
    index: int
    before: Part | None
    after: Part | None

    @property
    def what(self) -> str:
        """``moved``, ``added`` or ``removed``."""
        if self.before is None:
            return "added"
        return "removed" if self.after is None else "moved"

    @property
    def by(self) -> dict[str, float]:
        """By how much a moved part moved: what is not zero of `NUMBERS` [um, deg]."""
        if self.before is None or self.after is None:
            return {}
        moved = {name: getattr(self.after, name) - getattr(self.before, name) for name in NUMBERS}
        return {name: distance for name, distance in moved.items() if distance}

    def as_json(self) -> dict[str, Any]:
        """Return it for a script."""
        return {
            "parent": self.parent,
            "parent_index": self.parent_index,
            "name": self.name,
            "index": self.index,
            "what": self.what,
            "before": _numbers(self.before),
            "after": _numbers(self.after),
            "by": self.by,
        }


def moves(a: Geometry, b: Geometry) -> tuple[Move, ...]:
    """Return the parts that stand elsewhere, in the order of b; then those that only a has.

    Examples
    --------
    >>> from cdb.geometry.tree import move, parse
    >>> before = parse("IP 0 EPIX100:V1 0  0 0 -100000  90 180 0  0 0 0")
    >>> [found.by for found in moves(before, move(before, "EPIX100:V1", x=12.5))]
    [{'x0': 12.5}]
    """
    old, new = _by_key(a), _by_key(b)
    found = [
        Move(*key[0], *key[1], old.get(key), part)
        for key, part in new.items()
        if key not in old or _numbers(old[key]) != _numbers(part)
    ]
    found += [Move(*key[0], *key[1], part, None) for key, part in old.items() if key not in new]
    return tuple(found)


def is_reordered(a: Geometry, b: Geometry) -> bool:
    """Whether parts that both have stand in another order, which is that of the panels."""
    old, new = _by_key(a), _by_key(b)
    return [key for key in old if key in new] != [key for key in new if key in old]


def _by_key(geometry: Geometry) -> dict[tuple[Key, Key], Part]:
    return {(part.parent_key, part.key): part for part in geometry.parts}


def _numbers(part: Part | None) -> dict[str, float] | None:
    return None if part is None else {name: getattr(part, name) for name in NUMBERS}


@dataclass(frozen=True)
class Displacement:
    """How far a panel moved.

    Attributes
    ----------
    number : int
        In the stack of panels.
    before, after : str
        Its names.
    dx, dy, dz : float
        By how much its centre moved, in psana's frame [um].
    turned, leaned : float
        How far its rows turned, and how far its normal [deg].
    corner : float
        The longest way of a corner [um].
    """

    number: int
    before: str
    after: str
    dx: float
    dy: float
    dz: float
    turned: float
    leaned: float
    corner: float

    def as_json(self) -> dict[str, Any]:
        """Return it for a script."""
        return dict(vars(self))


def displacements(a: Geometry, b: Geometry) -> list[Displacement]:
    """Return how far each panel moved from one geometry to another, however their trees differ.

    Raises
    ------
    BadQuestion
        If they have different numbers of panels, or panels of different shapes.

    Examples
    --------
    >>> from cdb.geometry.defaults import default_for
    >>> from cdb.geometry.tree import move
    >>> before = default_for("epix10kaquad")
    >>> after = move(before, "EPIX10KA:V1", 2, x=30, y=-40)
    >>> [round(panel.corner, 6) for panel in displacements(before, after)]
    [0.0, 0.0, 50.0, 0.0]
    """
    first, second = outlines(a), outlines(b)
    _check_panels([[panel.segment.shape for panel in panels] for panels in (first, second)])
    return [_displacement(*pair) for pair in zip(first, second, strict=True)]


def _displacement(a: Outline, b: Outline) -> Displacement:
    dx, dy, dz = map(float, b.center - a.center)
    rows = a.corners[1] - a.corners[0], b.corners[1] - b.corners[0]
    return Displacement(
        a.number,
        a.name,
        b.name,
        dx,
        dy,
        dz,
        _angle(*rows),
        _angle(a.normal, b.normal),
        float(np.linalg.norm(b.corners - a.corners, axis=1).max()),
    )


def _angle(u: Floats, v: Floats) -> float:
    """Return the angle between two directions [deg]; exact also where it is small."""
    return float(np.degrees(np.arctan2(np.linalg.norm(np.cross(u, v)), np.dot(u, v))))


@dataclass(frozen=True)
class PixelShift:
    """How far pixels are from where they were.

    Attributes
    ----------
    max, rms : float
        Of the distances, over all pixels [um].
    mean : (float, float, float)
        By how much all of them moved, in psana's frame [um].
    """

    max: float
    rms: float
    mean: tuple[float, float, float]

    def as_json(self) -> dict[str, Any]:
        """Return it for a script."""
        return {"max": self.max, "rms": self.rms, "mean": list(self.mean)}


def pixel_shift(a: Geometry, b: Geometry, *, generation: str = "psana") -> PixelShift:
    """Return how far the pixels of one geometry are from those of another.

    Pixels are those of the same place in the stack of panels, however the trees are made.

    Parameters
    ----------
    a, b : Geometry
        Of as many panels of the same shapes.
    generation : str
        As for `cdb.geometry.segments.segment`.

    Raises
    ------
    BadName
        If a sensor does not say its shape.
    BadQuestion
        If the geometries differ in number or shape of their panels, or have none.

    Examples
    --------
    >>> from cdb.geometry.defaults import default_for
    >>> from cdb.geometry.tree import move
    >>> quad = default_for("epix10kaquad")
    >>> shift = pixel_shift(quad, move(quad, "EPIX10KA:V1", 2, x=30, y=-40))
    >>> round(shift.max, 6), round(shift.rms, 6)
    (50.0, 25.0)
    """
    old, new = (placements(geometry, generation=generation) for geometry in (a, b))
    _check_panels([[placed.segment.shape for placed in panels] for panels in (old, new)])
    most, squares, n = 0.0, 0.0, 0
    sums = np.zeros(3)
    for before, after in zip(old, new, strict=True):
        steps = [last - first for first, last in zip(_axes(before), _axes(after), strict=True)]
        square = sum(step**2 for step in steps)
        there = ~np.isnan(square)
        most = max(most, float(np.nanmax(square)))
        squares += float(np.nansum(square))
        sums += [float(np.sum(step, where=there)) for step in steps]
        n += int(there.sum())
    x, y, z = (float(value) / n for value in sums)
    return PixelShift(math.sqrt(most), math.sqrt(squares / n), (x, y, z))


def _axes(placed: Placement) -> list[Floats]:
    """Return x, y and z of the pixels of a panel, each (rows, cols) [um]."""
    x, y = placed.segment.x, placed.segment.y
    return [
        line[0] * x + line[1] * y + shift
        for line, shift in zip(placed.turn, placed.origin, strict=True)
    ]


def _check_panels(shapes: list[list[tuple[int, int]]]) -> None:
    """Check that two geometries have as many panels of the same shapes."""
    if shapes[0] != shapes[1]:
        here, there = map(_described, shapes)
        raise BadQuestion(
            f"panels are compared one by one, and there are {here} here and {there} there"
        )


def _described(shapes: list[tuple[int, int]]) -> str:
    kinds = Counter(shapes).most_common(_MOST_KINDS)
    return " and ".join(f"{n} panel{'s' * (n > 1)} of {r} x {c} pixels" for (r, c), n in kinds)
