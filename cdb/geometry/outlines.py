"""The panels of a geometry as flat rectangles: where their corners are."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

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
