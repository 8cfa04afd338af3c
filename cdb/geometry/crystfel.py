"""Geometries as CrystFEL's, out and in.

Out, each ASIC becomes a panel. In, panels that make up a known sensor become one again, and other
panels a matrix of pixels each. There and back, all pixels stand where they stood, within
`BOUND`.

References
----------
psana 4.3.4, ``psana/pscalib/geometry/UtilsConvert.py``: names of panels, order of the data.
CrystFEL, ``doc/man/crystfel_geometry.5.md``: frame, corner, ``clen`` and ``coffset``.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cdb.errors import BadFile, BadName, BadQuestion, shown
from cdb.geometry.geom_file import BadRegion, GeomFile, Panel, Vector
from cdb.geometry.pixels import branches, panel_stack
from cdb.geometry.segments import MOST_PIXELS, NO_SHAPE, Floats, Segment, known_segments, segment
from cdb.geometry.tiles import Tile, angles_of, tiles
from cdb.geometry.tree import FARTHEST, Geometry, Part, shortest

# How far a pixel may be from where it was, there and back [um].
BOUND = 1e-6

# The frame of the camera: y up and z against the beam, as below the row that turns it by 90
# degrees into psana's.
_TO_CAMERA: Floats = np.diag([-1.0, 1.0, -1.0])
_COLUMNS = (
    "HDR parent, its index, object, its index, x0 y0 z0 [um], rotation and tilt around z y x [deg]"
)
# So little is left of sums [um], and means nothing.
_NOTHING = 1e-9


def from_geometry(
    geometry: Geometry,
    *,
    generation: str = "psana",
    wide: bool = False,
    clen: float | str | None = None,
    photon_energy: float | str | None = None,
    adu_per_eV: float | None = None,
    data: str = "/entry_1/data_1/data",
    dims: Sequence[str | int] = ("%", "ss", "fs"),
    mask: ArrayLike | None = None,
    compat: bool = False,
) -> GeomFile:
    """Return a geometry in CrystFEL's form.

    Parameters
    ----------
    geometry : Geometry
        The parts.
    generation : str
        As for `cdb.geometry.segments.segment`.
    wide : bool
        Whether wide pixels between ASICs are panels of their own, at their centres and as large
        as they are. By default they belong to their ASIC and stand on its grid, as in psana's
        converter and in all programs that know how many ASICs a detector has.
    clen : float or str, optional
        Distance of the detector [m], or where in the data it stands, such as
        ``/LCLS/detector_1/EncoderValue mm``; by default the one of the geometry.
    photon_energy : float or str, optional
        [eV], or where in the data it stands; by default a comment says that it is missing.
    adu_per_eV : float, optional
        By default a comment says that it is missing.
    data : str
        Where the images are in their file.
    dims : sequence of str or int
        The axes of the images: ``%`` counts events, ``panel`` panels; without ``panel`` all are
        stacked along ``ss``, as psana does.
    mask : array_like, optional
        In the shape that arrays of the detector have; where it is 0, pixels become bad regions.
    compat : bool
        Whether ``corner_x`` and ``corner_y`` are those of the first pixel's centre, half a pixel
        inside of the panel's corner, as psana's converter writes them by mistake.

    Returns
    -------
    file : GeomFile
        Panels ``p<panel>a<ASIC>``, and groups of the ASICs of a panel.

    Raises
    ------
    BadName
        If a sensor does not say its shape.
    BadQuestion
        If the geometry has no panel, the dims lack ``ss`` or ``fs``, the distance is below 0 or
        a number is not above it.
    BadPayload
        If the mask has another number of pixels.

    Examples
    --------
    >>> from cdb.geometry.defaults import default_for
    >>> file = from_geometry(default_for("epix10ka", 1), photon_energy=9500)
    >>> [panel.name for panel in file.panels], file.settings["clen"]
    (['p0a0', 'p0a1', 'p0a2', 'p0a3'], '1 m')
    """
    if [*dims].count("ss") != 1 or [*dims].count("fs") != 1:
        raise BadQuestion(f"dims {shown(list(dims))} have to have ss and fs once")
    if not (clen is None or isinstance(clen, str)):
        _check_distance(clen)
    for name, value in {"photon_energy": photon_energy, "adu_per_eV": adu_per_eV}.items():
        if not (value is None or isinstance(value, str) or 0 < value < math.inf):
            raise BadQuestion(f"{name} is a number above 0, not {value}")
    pieces = tiles(geometry, generation=generation, wide=wide)
    good = None
    if mask is not None:
        good = panel_stack(branches(geometry, generation=generation)[-1], np.asarray(mask))
    own = _distance(geometry)
    more = {} if adu_per_eV is None else {"adu_per_eV": shortest(adu_per_eV)}
    numbers: dict[int, int] = {}
    heights = _heights(pieces)
    panels = []
    for tile in pieces:
        asic = numbers[tile.panel] = numbers.get(tile.panel, -1) + 1
        shift = 0 if "panel" in dims else sum(heights[: tile.panel])
        panel = _panel(tile, f"p{tile.panel}a{asic}", shift, own, compat=compat)
        known = tuple(tile.panel if dim == "panel" else dim for dim in dims)
        panels.append(replace(panel, data=data, dims=known, more=dict(more)))
    comments = ["made of a geometry with the parts of LCLS"]
    if photon_energy is None:
        comments.append("photon_energy = SET ME")
    if adu_per_eV is None:
        comments.append("adu_per_eV = SET ME")
    return GeomFile(
        tuple(panels),
        bad=() if good is None else tuple(_bad_regions(pieces, panels, good)),
        settings=_settings(own if clen is None else clen, photon_energy),
        groups=_groups(panels, numbers),
        comments=tuple(comments),
    )


def _distance(geometry: Geometry) -> float:
    """Return how far behind the interaction point the parts are that hang on the top [m]."""
    top = geometry.top
    distances = [-part.z for part in geometry.parts if part.parent_key == top]
    return sum(distances) / len(distances) / 1e6


def _heights(pieces: Sequence[Tile]) -> list[int]:
    """Return the numbers of rows of the panels."""
    heights = [0] * (1 + max(tile.panel for tile in pieces))
    for tile in pieces:
        heights[tile.panel] = max(heights[tile.panel], tile.rows.stop)
    return heights


def _panel(tile: Tile, name: str, shift: int, distance: float, *, compat: bool) -> Panel:
    corner = tile.corner + (tile.fs + tile.ss) / 2 if compat else tile.corner
    behind = float(corner[2] - distance * 1e6)
    return Panel(
        name=name,
        min_fs=tile.cols.start,
        max_fs=tile.cols.stop - 1,
        min_ss=tile.rows.start + shift,
        max_ss=tile.rows.stop - 1 + shift,
        fs=_vector(tile.fs / tile.pitch),
        ss=_vector(tile.ss / tile.pitch),
        corner_x=float(corner[0] / tile.pitch),
        corner_y=float(corner[1] / tile.pitch),
        res=1e6 / tile.pitch,
        coffset=behind / 1e6 if abs(behind) > _NOTHING else 0.0,
    )


def _vector(values: Floats) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z


def _settings(clen: float | str, photon_energy: float | str | None) -> dict[str, str]:
    settings = {"clen": clen if isinstance(clen, str) else f"{shortest(clen)} m"}
    if photon_energy is not None:
        given = isinstance(photon_energy, str)
        settings["photon_energy"] = (
            str(photon_energy) if given else f"{shortest(float(photon_energy))} eV"
        )
    return settings


def _groups(panels: Sequence[Panel], numbers: dict[int, int]) -> dict[str, tuple[str, ...]]:
    """Return the groups, as CrystFEL has them (``group``) and had them (``rigid_group``)."""
    names = [panel.name for panel in panels]
    members = {f"p{n}": tuple(f"p{n}a{a}" for a in range(last + 1)) for n, last in numbers.items()}
    groups = {f"rigid_group_{key}": value for key, value in members.items()}
    groups["rigid_group_collection_modules"] = tuple(members)
    if len(names) > 1:
        groups |= {f"group_{key}": value for key, value in members.items()}
        groups["group_all"] = tuple(members)
    return groups


def _bad_regions(
    pieces: Sequence[Tile], panels: Sequence[Panel], good: NDArray[Any]
) -> Iterator[BadRegion]:
    """Yield rectangles that cover the pixels whose mask is 0, each of them once."""
    number = 0
    for tile, panel in zip(pieces, panels, strict=True):
        block = good[tile.panel, tile.rows, tile.cols] == 0
        for rows, cols in _rectangles(block):
            yield BadRegion(
                f"bad{number}",
                panel.name,
                fs=(panel.min_fs + cols.start, panel.min_fs + cols.stop - 1),
                ss=(panel.min_ss + rows.start, panel.min_ss + rows.stop - 1),
            )
            number += 1


def _rectangles(block: NDArray[np.bool_]) -> Iterator[tuple[slice, slice]]:
    """Yield rectangles that cover what is true: equal runs of rows that follow each other."""
    begun: dict[tuple[int, int], int] = {}
    for row in range(len(block) + 1):
        runs = _runs_of(block[row]) if row < len(block) else []
        for run in [run for run in begun if run not in runs]:
            yield slice(begun.pop(run), row), slice(*run)
        for run in runs:
            begun.setdefault(run, row)


def _runs_of(line: NDArray[np.bool_]) -> list[tuple[int, int]]:
    if not line.any():
        return []
    edges = np.flatnonzero(np.diff(line, prepend=False, append=False))
    return [(int(first), int(stop)) for first, stop in edges.reshape(-1, 2)]


@dataclass(frozen=True)
class FromCrystfel:
    """A CrystFEL file as a geometry.

    Attributes
    ----------
    geometry : Geometry
        A camera of panels.
    mask : ndarray of uint8, shape (panels, rows, cols)
        0 where the file has a bad region, a bad panel or an edge that it masks; else 1.
    off : float
        How far the panels' corner pixels are from where the file has them, at most [um].
    """

    geometry: Geometry
    mask: NDArray[np.uint8]
    off: float


def to_geometry(
    file: GeomFile,
    *,
    sensor: str | None = None,
    generation: str = "psana",
    clen: float | None = None,
    within: float = 1.0,
    compat: bool = False,
) -> FromCrystfel:
    """Return the geometry of a CrystFEL file.

    Parameters
    ----------
    file : GeomFile
        What `geom_file.parse` reads.
    sensor : str, optional
        Name of the sensor that the panels make up, such as ``JUNGFRAU:V1``. By default the one
        whose pixels are where the file has them, wide ones on the grid of their ASIC or at their
        centres; of two that are as good, the later version (``JUNGFRAU:V2``, which has the pixels
        at the gaps at their centres whatever the file says). Where there is none, or with
        ``MTRX``, each panel of the file becomes a matrix of pixels.
    generation : str
        As for `cdb.geometry.segments.segment`.
    clen : float, optional
        Distance of the detector [m]; needed where the file takes it from the data.
    within : float
        How far a corner pixel may be from where the file has it [um]. A file whose ASICs were
        moved against each other has no sensor within that.
    compat : bool
        Whether the corners of the file are the centres of the first pixels, as psana's converter
        writes them.

    Returns
    -------
    made : FromCrystfel
        The geometry, the mask and how well it fits.

    Raises
    ------
    BadName
        If there is no such sensor.
    BadQuestion
        If the distance is not known, or negative.
    BadFile
        If the panels do not make up the sensor that was asked for, are not rectangular, differ
        in shape, or stand where no detector does.

    Examples
    --------
    >>> from cdb.geometry.defaults import default_for
    >>> made = to_geometry(from_geometry(default_for("jungfrau", 2)))
    >>> [part.key for part in made.geometry.parts]
    [('JUNGFRAU:V2', 0), ('JUNGFRAU:V2', 1), ('CAMERA', 0)]
    """
    distance = file.distance if clen is None else clen
    if distance is None:
        said = file.settings.get("clen")
        raise BadQuestion(
            f"the file has {'no clen' if said is None else f'clen = {said}'}, not a distance; "
            "give one in metres"
        )
    _check_distance(distance)
    if sum(math.prod(panel.shape) for panel in file.panels) > MOST_PIXELS:
        raise BadFile(f"the file has more than {MOST_PIXELS} pixels")
    panels = [_Placed(panel, compat=compat) for panel in _in_order(file.panels)]
    found = _as_sensor(panels, sensor, generation, within)
    if found is None:
        found = _as_matrices(panels, within)
    parts, layout, off = found
    camera = Part("IP", 0, "CAMERA", 0, 0, 0, 0 - distance * 1e6, 90, 0, 0, 0, 0, 0)
    comments = (
        "TITLE made of a CrystFEL geometry",
        *filter(None, (comment.lstrip("#").strip() for comment in file.comments)),
        f"FIT corner pixels are within {off:.3g} um of that file",
        _COLUMNS,
    )
    return FromCrystfel(Geometry(comments, (*parts, camera)), _mask(file, layout), off)


def _check_distance(distance: float) -> None:
    """Check where a detector stands [m]."""
    if not 0 <= distance * 1e6 < FARTHEST:
        raise BadQuestion(
            f"a detector cannot stand {distance} m behind the sample: a geometry has it downstream"
        )


class _Placed:
    """A panel of the file, in the frame of the camera."""

    def __init__(self, panel: Panel, *, compat: bool) -> None:
        self.panel = panel
        size = 1e6 / panel.res
        numbers = (size, panel.corner_x * size, panel.corner_y * size, panel.coffset * 1e6)
        steps = [value * size for value in (*panel.fs, *panel.ss)]
        if max(map(abs, (*numbers, *steps))) > FARTHEST:
            raise BadFile(f"panel {panel.name} stands or reaches further than {FARTHEST:g} um")
        self.fs = _TO_CAMERA @ np.array(panel.fs) * size
        self.ss = _TO_CAMERA @ np.array(panel.ss) * size
        corner = np.array([panel.corner_x * size, panel.corner_y * size, panel.coffset * 1e6])
        self.corner = _TO_CAMERA @ corner
        if compat:
            self.corner = self.corner - (self.fs + self.ss) / 2

    def centers(self, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> Floats:
        """Return the centres of pixels, (n, 3) [um]."""
        places: Floats = (
            self.corner
            + (rows[:, np.newaxis] + 0.5) * self.ss
            + (cols[:, np.newaxis] + 0.5) * self.fs
        )
        return places


@dataclass(frozen=True)
class _Spot:
    """Where the pixels of a panel of the file stand in the stack of panels."""

    placed: _Placed
    panel: int
    row: int
    col: int


_Made = tuple[list[Part], list[_Spot], float]


def _in_order(panels: Sequence[Panel]) -> list[Panel]:
    """Return panels in the order of their data."""
    places = {data: n for n, data in enumerate(dict.fromkeys(panel.data for panel in panels))}
    return sorted(
        panels, key=lambda panel: (places[panel.data], _fixed(panel), panel.min_ss, panel.min_fs)
    )


def _fixed(panel: Panel) -> tuple[int, ...]:
    """Return the indices at which a panel stands in axes that are neither ss nor fs."""
    return tuple(dim for dim in panel.dims if isinstance(dim, int))


def _as_sensor(
    panels: Sequence[_Placed], wanted: str | None, generation: str, within: float
) -> _Made | None:
    """Return the panels as sensors of one type; None if they are to be matrices."""
    if wanted == "MTRX":
        return None
    best: _Made | None = None
    for kind in _candidates(wanted, generation):
        layout = _layout(panels, kind.shape)
        if layout is None:
            continue
        made = _fitted(kind, layout)
        # Rounding does not decide between two that fit.
        if best is None or made[2] <= best[2] + BOUND:
            best = made
    if wanted is not None and best is None:
        raise BadFile(f"the panels do not cover the pixels of a {wanted}")
    if best is None or best[2] <= within:
        return best
    if wanted is not None:
        raise BadFile(
            f"the panels of the file are up to {best[2]:.3g} um from where a {wanted} has them; "
            "allow that, or take MTRX: each panel by itself"
        )
    return None


def _candidates(wanted: str | None, generation: str) -> Iterator[Segment]:
    """Yield the sensors that the panels may make up, with wide pixels here and there."""
    if wanted is None:
        names = [name for name in known_segments(generation) if name not in NO_SHAPE]
    else:
        names = [wanted]
    seen: set[tuple[str, bytes, bytes]] = set()
    for name in names:
        if "[" in name or "rows" in name:
            continue
        kind = segment(name, generation=generation, wide_centers=True)
        if kind is None:
            raise BadName(
                f"no sensor {shown(name)}; there are {', '.join(known_segments(generation))}"
            )
        # Of two names for the same places the first is the one that all programs know.
        places = kind.frame, kind.rows.places.tobytes(), kind.cols.places.tobytes()
        if places not in seen:
            seen.add(places)
            yield from (kind,) if kind.regular is None else (kind, kind.regular)


def _layout(panels: Sequence[_Placed], shape: tuple[int, int]) -> list[_Spot] | None:
    """Return where the panels stand in a stack of sensors of a shape; None if they do not."""
    n_rows, n_cols = shape
    numbers: dict[tuple[str, tuple[int, ...], int], int] = {}
    spots = []
    for placed in panels:
        panel = placed.panel
        height, width = panel.shape
        number, row = divmod(panel.min_ss, n_rows)
        if row + height > n_rows or panel.min_fs + width > n_cols:
            return None
        key = panel.data, _fixed(panel), number
        spots.append(_Spot(placed, numbers.setdefault(key, len(numbers)), row, panel.min_fs))
    pixels = sum(math.prod(placed.panel.shape) for placed in panels)
    if pixels != len(numbers) * n_rows * n_cols:
        return None
    covered = np.zeros((len(numbers), n_rows, n_cols), dtype=np.uint8)
    for spot in spots:
        height, width = spot.placed.panel.shape
        covered[spot.panel, spot.row : spot.row + height, spot.col : spot.col + width] += 1
    return spots if (covered == 1).all() else None


def _fitted(kind: Segment, layout: Sequence[_Spot]) -> _Made:
    """Return sensors turned and moved to where their pixels are, and how far off these stay."""
    x, y = np.broadcast_to(kind.x, kind.shape), np.broadcast_to(kind.y, kind.shape)
    parts, off = [], 0.0
    for number in range(1 + max(spot.panel for spot in layout)):
        own, theirs = [], []
        for spot in layout:
            if spot.panel == number:
                rows, cols = _corner_pixels(spot, kind)
                own.append(np.stack([x[rows, cols], y[rows, cols], np.zeros(len(rows))], axis=1))
                theirs.append(spot.placed.centers(rows - spot.row, cols - spot.col))
        turn, origin, worst = _rigid(np.concatenate(own), np.concatenate(theirs))
        parts.append(_part(kind.name, number, turn, origin))
        off = max(off, worst)
    return parts, list(layout), off


def _corner_pixels(spot: _Spot, kind: Segment) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows and columns of the pixels at the corners of a panel and of its ASICs."""
    height, width = spot.placed.panel.shape
    lines = []
    for first, n, gaps in ((spot.row, height, kind.rows.gaps), (spot.col, width, kind.cols.gaps)):
        inside = [gap + side for gap in gaps if first < gap < first + n for side in (-1, 0)]
        lines.append(np.unique([first, *inside, first + n - 1]))
    rows, cols = np.meshgrid(*lines, indexing="ij")
    return rows.ravel(), cols.ravel()


def _rigid(own: Floats, theirs: Floats) -> tuple[Floats, Floats, float]:
    """Return the rotation and shift that bring points to others, and how far off one stays.

    References
    ----------
    W. Kabsch, Acta Cryst. A32 (1976) 922.
    """
    middle, target = own.mean(axis=0), theirs.mean(axis=0)
    left, _, right = np.linalg.svd((own - middle).T @ (theirs - target))
    # A mirror is no rotation.
    sign = np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    turn: Floats = right.T @ sign @ left.T
    origin: Floats = target - turn @ middle
    off = np.linalg.norm(own @ turn.T + origin - theirs, axis=1).max()
    return turn, origin, float(off)


def _as_matrices(panels: Sequence[_Placed], within: float) -> _Made:
    """Return each panel as a matrix of pixels."""
    shapes = {placed.panel.shape: placed.panel for placed in panels}
    if len(shapes) > 1:
        first, second, *_ = shapes.values()
        raise BadFile(
            f"the panels {first.name} of {first.shape} and {second.name} of {second.shape} pixels "
            "do not stack; a geometry has panels of one shape"
        )
    parts, off = [], 0.0
    for number, placed in enumerate(panels):
        rows, cols = placed.panel.shape
        sizes = [float(np.linalg.norm(step)) for step in (placed.ss, placed.fs)]
        name = f"MTRX:V2:{rows}:{cols}:{_size(sizes[0])}:{_size(sizes[1])}"
        try:
            kind = segment(name)
        except ValueError as error:
            raise BadFile(f"panel {placed.panel.name}: {error}") from None
        assert kind is not None  # a MTRX is one, or refused
        ((part,), _, worst) = _fitted(kind, [_Spot(placed, 0, 0, 0)])
        if worst > within:
            raise BadFile(
                f"panel {placed.panel.name}: fs and ss are not at right angles; its pixels are up "
                f"to {worst:.3g} um from those of a rectangle"
            )
        parts.append(replace(part, index=number))
        off = max(off, worst)
    return parts, [_Spot(placed, n, 0, 0) for n, placed in enumerate(panels)], off


def _size(size: float) -> str:
    return f"{size:.9f}".rstrip("0").rstrip(".")


def _part(name: str, number: int, turn: Floats, origin: Floats) -> Part:
    rotations, tilts = zip(*map(_rotation_and_tilt, angles_of(turn)), strict=True)
    x0, y0, z0 = (0.0 if abs(place) < _NOTHING else float(place) for place in origin)
    return Part("CAMERA", 0, name, number, x0, y0, z0, *rotations, *tilts)


def _rotation_and_tilt(angle: float) -> tuple[float, float]:
    """Return the nearest right angle and what is left [deg]."""
    turns = round(angle / 90)
    tilt = angle - 90 * turns
    return float(90 * turns % 360), 0.0 if abs(tilt) < 1e-12 else tilt


def _mask(file: GeomFile, layout: Sequence[_Spot]) -> NDArray[np.uint8]:
    """Return what the file has good and bad, as a stack of panels."""
    n_rows = max(spot.row + spot.placed.panel.shape[0] for spot in layout)
    n_cols = max(spot.col + spot.placed.panel.shape[1] for spot in layout)
    n_panels = 1 + max(spot.panel for spot in layout)
    mask = np.ones((n_panels, n_rows, n_cols), dtype=np.uint8)
    for spot in layout:
        height, width = spot.placed.panel.shape
        block = mask[spot.panel, spot.row : spot.row + height, spot.col : spot.col + width]
        _hide(block, spot.placed.panel, file.bad)
    return mask


def _hide(block: NDArray[np.uint8], panel: Panel, bad: Sequence[BadRegion]) -> None:
    if panel.no_index:
        block[...] = 0
    edge = panel.more.get("mask_edge_pixels", "0")
    if edge.isdecimal() and (width := min(int(edge), max(block.shape))):
        block[:width], block[-width:], block[:, :width], block[:, -width:] = 0, 0, 0, 0
    places: tuple[Floats, Floats] | None = None
    for region in bad:
        if region.panel not in (None, panel.name):
            continue
        if region.fs is not None and region.ss is not None:
            rows, cols = (
                slice(max(0, low - first), max(0, high + 1 - first))
                for (low, high), first in ((region.ss, panel.min_ss), (region.fs, panel.min_fs))
            )
            block[rows, cols] = 0
        elif region.x is not None and region.y is not None:
            x, y = places = places or _places(panel)
            inside = (x >= region.x[0]) & (x <= region.x[1])
            block[inside & (y >= region.y[0]) & (y <= region.y[1])] = 0


def _places(panel: Panel) -> tuple[Floats, Floats]:
    """Return x and y of the centres of a panel's pixels in the laboratory [pixels]."""
    rows, cols = (np.arange(n) + 0.5 for n in panel.shape)
    x: Floats = panel.corner_x + rows[:, np.newaxis] * panel.ss[0] + cols * panel.fs[0]
    y: Floats = panel.corner_y + rows[:, np.newaxis] * panel.ss[1] + cols * panel.fs[1]
    return x, y
