"""The panels of a geometry as flat rectangles: where their corners are, and how far they moved."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from cdb.errors import BadQuestion
from cdb.geometry.pixels import Branch, branches
from cdb.geometry.segments import Floats, Segment
from cdb.geometry.tiles import placements
from cdb.geometry.tree import Geometry, Part


@dataclass(frozen=True, eq=False)
class Outline:
    """A panel and where it stands.

    Attributes
    ----------
    number : int
        In the stack of panels, from 0.
    parts : tuple of Part
        From the outermost group down to the panel.
    segment : Segment
        Its pixels.
    corners : ndarray of float64, shape (4, 3)
        Outer corners of the first pixel, the last of the first row, the last, and the first of the
        last row, in psana's frame [um].
    """

    number: int
    parts: tuple[Part, ...]
    segment: Segment
    corners: Floats

    @property
    def name(self) -> str:
        """Name and index, those of its group before them."""
        return " / ".join(f"{part.name} {part.index}" for part in self.parts[-2:])

    @property
    def line(self) -> int:
        """Where its row stands in the text."""
        return self.parts[-1].line

    @property
    def center(self) -> Floats:
        """The middle of the corners [um]."""
        middle: Floats = self.corners.mean(axis=0)
        return middle

    @property
    def normal(self) -> Floats:
        """At right angles to the panel, of length 1."""
        across = np.cross(self.corners[1] - self.corners[0], self.corners[3] - self.corners[0])
        normal: Floats = across / np.linalg.norm(across)
        return normal

    @property
    def diagonal(self) -> float:
        """From corner to corner [um]."""
        return float(np.linalg.norm(self.corners[2] - self.corners[0]))


def outlines(geometry: Geometry, *, generation: str = "psana") -> list[Outline]:
    """Return the panels of a geometry, in the order of arrays.

    Parameters
    ----------
    geometry : Geometry
        The parts; those below another top than `Geometry.top` do not count.
    generation : str
        As for `cdb.geometry.segments.segment`.

    Raises
    ------
    BadName
        If a sensor does not say its shape.
    BadQuestion
        If there is no part with pixels.

    Examples
    --------
    >>> from cdb.geometry.defaults import default_for
    >>> [panel.name for panel in outlines(default_for("cspad2x2"))]
    ['CSPAD2X2:V1 0 / SENS2X1:V1 0', 'CSPAD2X2:V1 0 / SENS2X1:V1 1']
    """
    top = branches(geometry, generation=generation)[-1]
    placed = placements(geometry, generation=generation)
    return [
        Outline(n, parts, place.segment, _edges(place.segment) @ place.turn.T + place.origin)
        for n, (parts, place) in enumerate(zip(_paths(top), placed, strict=True))
    ]


def _paths(top: Branch) -> Iterator[tuple[Part, ...]]:
    """Yield the parts down to each panel, without the top, which has no row."""
    waiting: list[tuple[Branch, tuple[Part, ...]]] = [(top, ())]
    while waiting:
        node, above = waiting.pop()
        parts = (*above, node.part) if node.part.parent else above
        if node.segment is not None:
            yield parts
        else:
            # A panel is named by itself and its group; more would grow with the depth.
            waiting += [(child, parts[-1:]) for child in reversed(node.children)]


def _edges(kind: Segment) -> Floats:
    """Return the outer corners of a segment in its own frame, (4, 3) [um]."""
    (top, bottom), (left, right) = (
        (
            float(np.nanmin(axis.places - axis.sizes / 2)),
            float(np.nanmax(axis.places + axis.sizes / 2)),
        )
        for axis in (kind.rows, kind.cols)
    )
    around = ((top, left), (top, right), (bottom, right), (bottom, left))
    return np.array([(*_place(kind.frame, row, col), 0.0) for row, col in around])


def _place(frame: str, row: float, col: float) -> tuple[float, float]:
    if frame == "matrix":
        return row, col
    return (col, row) if frame == "bottom" else (col, -row)


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
    shapes = [panel.segment.shape for panel in first], [panel.segment.shape for panel in second]
    if shapes[0] != shapes[1]:
        raise BadQuestion(
            f"panels are compared one by one, and there are {_described(shapes[0])} here and "
            f"{_described(shapes[1])} there"
        )
    return [_displacement(*pair) for pair in zip(first, second, strict=True)]


def _described(shapes: list[tuple[int, int]]) -> str:
    kinds = dict.fromkeys(shapes)
    return " and ".join(
        f"{shapes.count(shape)} panels of {shape[0]} x {shape[1]} pixels" for shape in kinds
    )


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
