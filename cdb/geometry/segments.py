"""The pixel grid of each sensor type, as a table.

A segment is a sensor whose pixels stand in rows and columns, so that two lists of places say all:
one along the rows, one along the columns. Its origin is its centre and x runs along the columns,
y upwards against the rows, unless `Segment.frame` says otherwise.

Two generations of software differ in some sensors: ``psana`` (LCLS-II, today's) and ``PSCalib``
(LCLS-I). What either does by mistake is not repeated; ``compat=True`` gives its numbers.

Where ASICs meet, pixels are wide. Their places are those of the normal grid, half a normal pixel
inside the far edge of the wide pixel; ``wide_centers=True`` moves them to the centre of the wide
pixel.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cdb.errors import BadName, shown

Floats = NDArray[np.float64]

GENERATIONS = ("psana", "PSCalib")
# Sensors whose name does not say their shape.
NO_SHAPE = frozenset(("MTRXANY:V1", "ARCHON:V1", "ARCHON:V2"))
# Coordinates of more pixels than these would fill the memory, and places of so many along a side:
# a text is not to be trusted so far.
MOST_PIXELS = 2**28
_LONGEST = 2**20


@dataclass(frozen=True, eq=False)
class Axis:
    """The pixels along the rows, or along the columns.

    Attributes
    ----------
    places : ndarray of float64, shape (n,)
        Where the pixels stand, ascending [um]; NaN for those that are read out but do not exist.
    sizes : ndarray of float64, shape (n,)
        How large they are [um].
    pitch : float
        Size of a normal pixel [um].
    gaps : tuple of int
        Indices of the first pixel behind each border between ASICs.
    """

    places: Floats
    sizes: Floats
    pitch: float
    gaps: tuple[int, ...] = ()

    def __len__(self) -> int:
        """Return the number of pixels."""
        return len(self.places)

    def with_wide_centers(self) -> "Axis":
        """Return the axis with its wide pixels at their centres."""
        places = self.places.copy()
        for gap in self.gaps:
            border = (self.places[gap - 1] + self.places[gap]) / 2
            places[gap - 1] = border - self.sizes[gap - 1] / 2
            places[gap] = border + self.sizes[gap] / 2
        return replace(self, places=places)


@dataclass(frozen=True)
class MaskRule:
    """What `masks.segment_mask` hides of a sensor type where nothing else is asked.

    Attributes
    ----------
    edges : int
        Rows and columns at the edge.
    center_rows, center_cols : int or None
        Rows and columns on either side of a border between ASICs; None: cannot be asked for.
    unbonded : bool
        Whether the sensor has pixels that are not bonded.
    """

    edges: int = 1
    center_rows: int | None = 1
    center_cols: int | None = 1
    unbonded: bool = False


@dataclass(frozen=True, eq=False)
class Segment:
    """A sensor type: where its pixels stand and how large they are.

    Attributes
    ----------
    name : str
        As in geometry texts.
    rows, cols : Axis
        Its pixels.
    frame : str
        ``top``: row 0 at the largest y; ``bottom``: row 0 at the smallest y; ``matrix``: x is the
        place along the rows, y along the columns.
    scale : float
        Pixel size from which indices in an image are made [um].
    depth : float
        Thickness [um].
    asic_shape : tuple of int
        Rows and columns of an ASIC.
    asics : tuple of (int, int)
        The pixel with the lowest row and column of each ASIC.
    grid : tuple of int
        How many ASICs stand along the rows and along the columns.
    generation : str
        Of the software whose numbers these are.
    compat : bool
        Whether with its faults.
    mask_rule : MaskRule
        What is masked by default.
    regular : Segment or None
        The segment with all pixels on the normal grid; None where they are.
    """

    name: str
    rows: Axis
    cols: Axis
    frame: str
    scale: float
    depth: float
    asic_shape: tuple[int, int]
    asics: tuple[tuple[int, int], ...]
    grid: tuple[int, int]
    generation: str = "psana"
    compat: bool = False
    mask_rule: MaskRule = MaskRule()
    regular: "Segment | None" = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.rows), len(self.cols)

    @property
    def size(self) -> int:
        """Number of pixels."""
        return len(self.rows) * len(self.cols)

    @property
    def x(self) -> Floats:
        """Places of the pixels; one axis has length 1 and is meant to be broadcast [um]."""
        if self.frame == "matrix":
            return self.rows.places[:, np.newaxis]
        return self.cols.places[np.newaxis, :]

    @property
    def y(self) -> Floats:
        """Places of the pixels; one axis has length 1 and is meant to be broadcast [um]."""
        if self.frame == "matrix":
            return self.cols.places[np.newaxis, :]
        places = self.rows.places[:, np.newaxis]
        return places if self.frame == "bottom" else -places

    def coordinates(self) -> tuple[Floats, Floats, Floats]:
        """Return x, y and z of all pixels in the segment's frame, each (rows, cols) [um]."""
        x, y = (np.broadcast_to(place, self.shape).copy() for place in (self.x, self.y))
        return x, y, np.zeros(self.shape)

    def sizes(self) -> tuple[Floats, Floats, Floats]:
        """Return the sizes of all pixels along x, y and z, each (rows, cols) [um]."""
        along_rows = np.broadcast_to(self.rows.sizes[:, np.newaxis], self.shape).copy()
        along_cols = np.broadcast_to(self.cols.sizes, self.shape).copy()
        depth = np.full(self.shape, float(self.depth))
        if self.frame == "matrix":
            return along_rows, along_cols, depth
        return along_cols, along_rows, depth

    def areas(self) -> Floats:
        """Return the areas of all pixels, (rows, cols); 1 is a normal pixel."""
        return np.multiply.outer(
            self.rows.sizes / self.rows.pitch, self.cols.sizes / self.cols.pitch
        )


def segment(
    name: str,
    *,
    generation: str = "psana",
    wide_centers: bool = False,
    shape: tuple[int, int] | None = None,
    pixel_size: tuple[float, float] | None = None,
    compat: bool = False,
) -> Segment | None:
    """Return the sensor type of a name in a geometry text.

    Parameters
    ----------
    name : str
        Such as ``EPIX10KA:V1``, ``MTRX:512:512:54:54`` (rows, columns, and their pixel sizes [um];
        x is the row) or ``MTRX:V2:512:512:54:54`` (centred, x is the column).
    generation : str
        ``psana`` or ``PSCalib``.
    wide_centers : bool
        Whether wide pixels stand at their centres.
    shape : tuple of int, optional
        Rows and columns of a ``MTRXANY:V1``, ``ARCHON:V1`` or ``ARCHON:V2``, whose name does not
        say them.
    pixel_size : tuple of float, optional
        Along rows and columns, of a ``MTRXANY:V1`` [um]; 75 by 75 where it is not said.
    compat : bool
        Whether the faults of that generation are repeated.

    Returns
    -------
    segment : Segment or None
        None where the name is no sensor type: then the part is a group of parts.

    Raises
    ------
    BadName
        If the generation is unknown, a ``MTRX`` does not say its four numbers, or the shape is
        missing or impossible.

    Examples
    --------
    >>> segment("EPIX10KA:V1").shape, segment("CAMERA")
    ((352, 384), None)
    >>> float(segment("EPIX10KA:V1", wide_centers=True).cols.places[192])
    112.5
    """
    if generation not in GENERATIONS:
        raise BadName(f"no generation {shown(generation)}; there are {', '.join(GENERATIONS)}")
    wanted = None if shape is None else (shape[0], shape[1])
    sizes = None if pixel_size is None else (float(pixel_size[0]), float(pixel_size[1]))
    return _segment(name, generation, bool(wide_centers), wanted, sizes, bool(compat))


def known_segments(generation: str = "psana") -> tuple[str, ...]:
    """Return the names of all sensor types of a generation, of those with parameters a pattern."""
    fixed = [name for name, kind in _TABLE.items() if generation in kind.generations]
    return (*fixed, "MTRX[:V1]:rows:cols:um:um", "MTRX:V2:rows:cols:um:um")


@lru_cache(maxsize=64)
def _segment(
    name: str,
    generation: str,
    wide: bool,
    shape: tuple[int, int] | None,
    pixel_size: tuple[float, float] | None,
    compat: bool,
) -> Segment | None:
    # What is kept cannot change: its arrays are closed against writing.
    kind = _TABLE.get(name)
    if kind is not None and generation in kind.generations:
        made = kind.make(_Request(name, generation, wide, shape, pixel_size, compat))
    elif name.startswith("MTRX:"):
        made = _matrix(name, generation, compat)
    else:
        return None
    for axis in (made.rows, made.cols):
        axis.places.flags.writeable = axis.sizes.flags.writeable = False
    return made


@dataclass(frozen=True)
class _Request:
    """What is asked of a row of the table."""

    name: str
    generation: str
    wide: bool
    shape: tuple[int, int] | None
    pixel_size: tuple[float, float] | None
    compat: bool


@dataclass(frozen=True)
class _Kind:
    """A row of the table: how a sensor type is made, and which software knows it."""

    make: Callable[[_Request], Segment]
    generations: tuple[str, ...] = GENERATIONS


def _axis(places: Floats, pitch: float, gaps: Sequence[int] = (), wide: float = 0.0) -> Axis:
    """Return an axis whose pixels next to the gaps are wide."""
    sizes = np.where(np.isnan(places), np.nan, float(pitch))
    if wide:
        for gap in gaps:
            sizes[gap - 1 : gap + 1] = wide
    return Axis(places, sizes, float(pitch), tuple(gaps))


def _count(n: int) -> Floats:
    return np.arange(n, dtype=np.float64)


def _mirrored(half: Floats) -> Floats:
    """Return the places on both sides of the middle."""
    return np.concatenate([-half[::-1], half])


def _halves(n: int, pitch: float, wide: float) -> Axis:
    """Return two ASICs that meet with a wide pixel each."""
    # In this order the old software adds up; the last bit of 109.92 depends on it.
    return _axis(_mirrored(_count(n // 2) * pitch + wide - pitch / 2), pitch, [n // 2], wide)


def _centred(n: int, pitch: float) -> Axis:
    """Return equal pixels around the middle."""
    return _axis((_count(n) - (n - 1) / 2) * pitch, pitch)


def _asic_grid(
    rows: Axis, cols: Axis
) -> tuple[tuple[int, int], tuple[tuple[int, int], ...], tuple[int, int]]:
    """Return shape and first pixels of equal ASICs between gaps, and how many there are."""
    grid = len(rows.gaps) + 1, len(cols.gaps) + 1
    firsts = tuple((row, col) for row in (0, *rows.gaps) for col in (0, *cols.gaps))
    return (len(rows) // grid[0], len(cols) // grid[1]), firsts, grid


def _made(
    asked: _Request,
    rows: Axis,
    cols: Axis,
    *,
    frame: str = "top",
    scale: float | None = None,
    depth: float = 400.0,
    mask_rule: MaskRule | None = None,
    wide: bool | None = None,
) -> Segment:
    """Return a segment; where wide pixels are at their centres, with the regular one beside."""
    asic_shape, asics, grid = _asic_grid(rows, cols)
    regular = Segment(
        name=asked.name,
        rows=rows,
        cols=cols,
        frame=frame,
        scale=float(min(rows.pitch, cols.pitch) if scale is None else scale),
        depth=depth,
        asic_shape=asic_shape,
        asics=asics,
        grid=grid,
        generation=asked.generation,
        compat=asked.compat,
        mask_rule=mask_rule or MaskRule(),
    )
    if not (asked.wide if wide is None else wide):
        return regular
    return replace(
        regular, rows=rows.with_wide_centers(), cols=cols.with_wide_centers(), regular=regular
    )


def _sens2x1(asked: _Request) -> Segment:
    places = _count(185) * 109.92
    rows = _axis(places - places[-1] / 2, 109.92)
    rule = MaskRule(center_rows=None, unbonded=True)
    return _made(asked, rows, _halves(388, 109.92, 274.8), mask_rule=rule)


def _epix100(asked: _Request) -> Segment:
    return _made(asked, _halves(704, 50, 175), _halves(768, 50, 175), frame="bottom")


def _epix10ka(asked: _Request) -> Segment:
    old = asked.generation == "PSCalib" and asked.name == "EPIX10KA:V1"
    wide = 250 if old else 225
    return _made(asked, _halves(352, 100, wide), _halves(384, 100, wide))


def _epixhr2x2(asked: _Request) -> Segment:
    return _made(asked, _halves(288, 100, 225), _halves(384, 100, 225))


def _epixhr1x4(asked: _Request) -> Segment:
    asic = _count(192) * 100
    cols = _axis(_mirrored(np.concatenate([asic + 175, asic + 19725])), 100, [192, 384, 576])
    rows = _centred(144, 100)
    if asked.compat:
        # The halves overlap: the innermost two rows of each lie behind the middle.
        rows = replace(rows, places=_mirrored(_count(72) * 100 - 50))
    rule = MaskRule(center_rows=None, center_cols=0)
    return _made(asked, rows, cols, mask_rule=rule, wide=False)


def _epixuhr3x2(asked: _Request) -> Segment:
    asic = _count(192) * 100 - 9550
    places = np.concatenate([asic - 19525, asic, asic + 19525])
    made = _made(
        asked, _halves(336, 100, 262.5), _axis(places, 100, [192, 384], 262.5), wide=asked.wide
    )
    if asked.compat and asked.wide:
        # Whole um only; and behind a border, the second pixel is moved instead of the first.
        moved = places.copy()
        for gap in made.cols.gaps:
            moved[gap - 1] = np.trunc(places[gap - 1] + 81.25)
            moved[gap + 1] = np.trunc(places[gap + 1] - 81.25)
        made = replace(made, cols=replace(made.cols, places=moved))
    return made


def _jungfrau(asked: _Request) -> Segment:
    asic = _count(256)
    # Today's software has the pixels at the gaps of the second version twice as wide, and there.
    wide = asked.name == "JUNGFRAU:V2" and asked.generation == "psana"
    size = 150 if wide else 75
    rows = _axis(_mirrored((asic + 1.5) * 75), 75, [256], size)
    cols_half = np.concatenate([asic + 1.5, asic + 259.5]) * 75
    cols = _axis(_mirrored(cols_half), 75, [256, 512, 768], size)
    frame = "bottom" if asked.name == "JUNGFRAU:V2" else "top"
    return _made(asked, rows, cols, frame=frame, wide=wide)


def _pnccd(asked: _Request) -> Segment:
    axis = _axis(_count(512) * 75, 75)
    return _made(asked, axis, axis, frame="matrix", mask_rule=_CORNER_RULE)


def _asic(rows: int, cols: int, pitch: float) -> Callable[[_Request], Segment]:
    def make(asked: _Request) -> Segment:
        rule = _CENTRED_RULE
        return _made(
            asked, _centred(rows, pitch), _centred(cols, pitch), depth=500.0, mask_rule=rule
        )

    return make


def _matrix_any(asked: _Request) -> Segment:
    rows, cols = _wanted_shape(asked)
    row_size, col_size = asked.pixel_size or (75.0, 75.0)
    return _made(asked, _centred(rows, row_size), _centred(cols, col_size), mask_rule=_CENTRED_RULE)


def _archon(asked: _Request) -> Segment:
    n_rows, n_cols = _wanted_shape(asked)
    if n_cols != 4800:
        raise BadName(f"{asked.name} has 4800 columns, not {n_cols}")
    # Of the 300 columns of a bank 36 are read out but do not exist.
    real = _count(16 * 264).reshape(16, 264) * 10
    fake = np.full((16, 36), np.nan)
    banks = [real, fake] if asked.name == "ARCHON:V1" else [fake, real]
    places = np.concatenate(banks, axis=1).ravel()
    cols = _axis(places - real[-1, -1] / 2, 10, range(300, 4800, 300))
    first = 0 if asked.name == "ARCHON:V1" else 36
    made = _made(asked, _centred(n_rows, 20), cols, wide=False)
    return replace(
        made, asic_shape=(n_rows, 264), asics=tuple((0, 300 * i + first) for i in range(16))
    )


def _wanted_shape(asked: _Request) -> tuple[int, int]:
    if asked.shape is None:
        raise BadName(f"{asked.name} does not say its shape; give shape=(rows, cols)")
    return _checked_shape(asked.name, *asked.shape)


def _checked_shape(name: str, rows: int, cols: int) -> tuple[int, int]:
    if not (0 < rows <= _LONGEST and 0 < cols <= _LONGEST and rows * cols <= MOST_PIXELS):
        raise BadName(
            f"{shown(name)} has {rows} x {cols} pixels; {MOST_PIXELS} can be had, {_LONGEST} in a "
            "row or column"
        )
    return rows, cols


_NUMBER = r"\d{1,9}(?:\.\d{0,9})?"
_MATRIX = re.compile(rf"MTRX(?::(V[12]))?:(\d{{1,9}}):(\d{{1,9}}):({_NUMBER}):({_NUMBER})", re.A)
_CORNER_RULE = MaskRule(center_rows=None, center_cols=None)
_CENTRED_RULE = MaskRule(edges=0, center_rows=None, center_cols=None)


def _matrix(name: str, generation: str, compat: bool) -> Segment:
    match = _MATRIX.fullmatch(name)
    if match is None:
        raise BadName(
            f"{shown(name)} is no matrix; MTRX[:V1|:V2]:rows:cols:um:um with the pixel sizes "
            "along rows and columns is"
        )
    version, *numbers = match.groups()
    rows, cols = _checked_shape(name, int(numbers[0]), int(numbers[1]))
    row_size, col_size = float(numbers[2]), float(numbers[3])
    if not (row_size and col_size):
        raise BadName(f"{shown(name)} has pixels of no size")
    asked = _Request(name, generation, False, None, None, compat)
    if version == "V2":
        axes = _centred(rows, row_size), _centred(cols, col_size)
        return _made(asked, *axes, depth=100.0, mask_rule=_CENTRED_RULE)
    corner = (
        _axis(_count(rows) * row_size, row_size),
        _axis(_count(cols) * col_size, col_size),
    )
    return _made(asked, *corner, frame="matrix", depth=100.0, mask_rule=_CORNER_RULE)


_NEW = ("psana",)
_TABLE: dict[str, _Kind] = {
    "SENS2X1:V1": _Kind(_sens2x1),
    "EPIX100:V1": _Kind(_epix100),
    "EPIX10KA:V1": _Kind(_epix10ka),
    "EPIX10KA:V2": _Kind(_epix10ka),
    "JUNGFRAU:V1": _Kind(_jungfrau),
    "JUNGFRAU:V2": _Kind(_jungfrau),
    "PNCCD:V1": _Kind(_pnccd),
    "EPIXHR2X2:V1": _Kind(_epixhr2x2, _NEW),
    "EPIXHR1X4:V1": _Kind(_epixhr1x4, _NEW),
    "EPIXUHR3X2:V1": _Kind(_epixuhr3x2, _NEW),
    "EPIXMASIC:V1": _Kind(_asic(192, 384, 50), _NEW),
    "EPIXUHRASIC:V1": _Kind(_asic(168, 192, 100), _NEW),
    "MTRXANY:V1": _Kind(_matrix_any, _NEW),
    "ARCHON:V1": _Kind(_archon, _NEW),
    "ARCHON:V2": _Kind(_archon, _NEW),
}
