"""A geometry as tiles: rectangles of equal pixels, each with its place in the laboratory.

Panels are cut where ASICs meet, since a wide pixel or a gap stands there; what is left of a panel
is a corner and two steps. Other programs know detectors in this form.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdb.errors import BadQuestion
from cdb.geometry.pixels import Branch, branches
from cdb.geometry.segments import Axis, Floats, Segment
from cdb.geometry.tree import Geometry, Part

# From psana's frame to the laboratory's, and back: it is its own inverse.
TO_LAB: Floats = np.array([[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
TO_LAB.flags.writeable = False
# Steps that differ by less are the same, but for how they were added up.
_SAME = 1e-9
# So little of a step is left of a rotation by 90 degrees, and means nothing.
_NOTHING = 1e-15


@dataclass(frozen=True, eq=False)
class Placement:
    """A panel and where it stands: a pixel at p of the segment is at ``turn @ p + origin``.

    Attributes
    ----------
    segment : Segment
        Its pixels.
    turn : ndarray of float64, shape (3, 3)
        A rotation.
    origin : ndarray of float64, shape (3,)
        [um].
    """

    segment: Segment
    turn: Floats
    origin: Floats


@dataclass(frozen=True, eq=False)
class Tile:
    """Equal pixels of a panel, in the laboratory: y up, z along the beam.

    Attributes
    ----------
    panel : int
        Which one in the stack of panels.
    rows, cols : slice
        What part of the panel it is.
    corner : ndarray of float64, shape (3,)
        The outer corner of its first pixel [um].
    fs, ss : ndarray of float64, shape (3,)
        The step to the next pixel of a row, and to the next row [um].
    pitch : float
        Size of a normal pixel of the panel [um].
    """

    panel: int
    rows: slice
    cols: slice
    corner: Floats
    fs: Floats
    ss: Floats
    pitch: float

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows.stop - self.rows.start, self.cols.stop - self.cols.start

    def points(self, rows: NDArray[Any], cols: NDArray[Any]) -> Floats:
        """Return points, (rows, cols, 3) [um]; (0.5, 0.5) is the centre of the first pixel."""
        along: Floats = (
            self.corner + rows[:, np.newaxis, np.newaxis] * self.ss + cols[:, np.newaxis] * self.fs
        )
        return along

    def centers(self) -> Floats:
        """Return the centres of its pixels, (rows, cols, 3) [um]."""
        n_rows, n_cols = self.shape
        return self.points(np.arange(n_rows) + 0.5, np.arange(n_cols) + 0.5)


def placements(
    geometry: Geometry, *, generation: str = "psana", wide_centers: bool = False
) -> list[Placement]:
    """Return the panels of a geometry in psana's frame, in the order of `pixels.coordinates`.

    Parameters
    ----------
    geometry : Geometry
        The parts.
    generation, wide_centers
        As for `cdb.geometry.segments.segment`.

    Raises
    ------
    BadName
        If a sensor does not say its shape.
    BadQuestion
        If the geometry has no panel.
    """
    top = branches(geometry, generation=generation, wide_centers=wide_centers)[-1]
    found = list(_placed(top))
    if not found:
        raise BadQuestion("this geometry has no part with pixels")
    return found


def _placed(top: Branch) -> Iterator[Placement]:
    waiting = [(top, np.eye(3), np.zeros(3))]
    while waiting:
        node, turn, origin = waiting.pop()
        own_turn, own_origin = _frame(node.part)
        turn, origin = turn @ own_turn, turn @ own_origin + origin
        if node.segment is not None:
            yield Placement(node.segment, turn, origin)
        else:
            waiting += [(child, turn, origin) for child in reversed(node.children)]


def _frame(part: Part) -> tuple[Floats, Floats]:
    """Return the frame of a part as its parent sees it."""
    turn = _turn(part.rot_z + part.tilt_z, part.rot_y + part.tilt_y, part.rot_x + part.tilt_x)
    return turn, np.array([part.x0, part.y0, part.z0])


def _turn(about_z: float, about_y: float, about_x: float) -> Floats:
    """Return the rotation about z, then y, then x [deg]."""
    (sz, cz), (sy, cy), (sx, cx) = (
        (math.sin(math.radians(angle)), math.cos(math.radians(angle)))
        for angle in (about_z, about_y, about_x)
    )
    first = np.array([[cz, -sz, 0.0], [sz, cz, 0.0], [0.0, 0.0, 1.0]])
    second = np.array([[cy, 0.0, sy], [0.0, 1.0, 0.0], [-sy, 0.0, cy]])
    third = np.array([[1.0, 0.0, 0.0], [0.0, cx, -sx], [0.0, sx, cx]])
    turn: Floats = third @ second @ first
    return turn


def angles_of(turn: Floats) -> tuple[float, float, float]:
    """Return the angles about z, y and x of a rotation [deg], as a row of a geometry has them.

    Examples
    --------
    >>> [round(angle, 9) for angle in angles_of(TO_LAB)]
    [90.0, 0.0, -180.0]
    """
    cosine = math.hypot(turn[0, 0], turn[0, 1])
    about_y = math.atan2(turn[0, 2], cosine)
    if cosine > 1e-9:
        about_z = math.atan2(-turn[0, 1], turn[0, 0])
        about_x = math.atan2(-turn[1, 2], turn[2, 2])
    else:
        # z and x turn about the same line now; one of them will do.
        about_z, about_x = 0.0, math.atan2(math.copysign(1, about_y) * turn[1, 0], turn[1, 1])
    return math.degrees(about_z), math.degrees(about_y), math.degrees(about_x)


def tiles(geometry: Geometry, *, generation: str = "psana", wide: bool = False) -> list[Tile]:
    """Return the tiles of a geometry, panel by panel, row by row.

    Parameters
    ----------
    geometry : Geometry
        The parts.
    generation : str
        As for `cdb.geometry.segments.segment`.
    wide : bool
        Whether the wide pixels between ASICs are tiles of their own, at their centres and as
        large as they are. Else they stand on the normal grid of their ASIC, which is a tile.

    Raises
    ------
    BadName, BadQuestion
        As `placements` does.

    Examples
    --------
    >>> from cdb.geometry.defaults import default_for
    >>> [tile.shape for tile in tiles(default_for("cspad2x2"))]
    [(185, 194), (185, 194), (185, 194), (185, 194)]
    >>> len(tiles(default_for("cspad2x2"), wide=True))
    6
    """
    made: list[Tile] = []
    for number, placed in enumerate(placements(geometry, generation=generation, wide_centers=wide)):
        kind = placed.segment if wide else placed.segment.regular or placed.segment
        turn, origin = TO_LAB @ placed.turn, TO_LAB @ placed.origin
        along_rows, along_cols = _directions(kind)
        for rows, row_place, row_size in _runs(kind.rows, kind.regular is not None):
            for cols, col_place, col_size in _runs(kind.cols, kind.regular is not None):
                corner = (row_place - row_size / 2) * along_rows
                corner = corner + (col_place - col_size / 2) * along_cols
                made.append(
                    Tile(
                        panel=number,
                        rows=rows,
                        cols=cols,
                        corner=turn @ corner + origin,
                        fs=_cleaned(turn @ along_cols) * col_size,
                        ss=_cleaned(turn @ along_rows) * row_size,
                        pitch=min(kind.rows.pitch, kind.cols.pitch),
                    )
                )
    return made


def _directions(kind: Segment) -> tuple[Floats, Floats]:
    """Return where rows and columns run in the segment's frame."""
    x, y = np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])
    if kind.frame == "matrix":
        return x, y
    return (y if kind.frame == "bottom" else -y), x


def _runs(axis: Axis, wide: bool) -> Iterator[tuple[slice, float, float]]:
    """Yield the stretches of equal pixels without a gap: which, the first one's place, the size."""
    sizes = axis.sizes if wide else np.full(len(axis), axis.pitch)
    real = ~np.isnan(axis.places)
    follows = np.zeros(len(axis), dtype=bool)
    with np.errstate(invalid="ignore"):
        steps = np.diff(axis.places)
        follows[1:] = (np.abs(steps - sizes[1:]) <= _SAME * sizes[1:]) & (sizes[1:] == sizes[:-1])
    starts = np.flatnonzero(real & ~follows)
    for start in starts:
        rest = follows[start + 1 :]
        stop = start + 1 + (int(np.argmin(rest)) if not rest.all() else len(rest))
        yield slice(int(start), int(stop)), float(axis.places[start]), float(sizes[start])


def _cleaned(direction: Floats) -> Floats:
    return np.where(np.abs(direction) < _NOTHING, 0.0, direction)
