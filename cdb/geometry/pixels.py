"""Where the pixels of a detector are: coordinates, indices in an image, areas and masks.

Pure functions of a tree of parts. For the pixels of a child, by the angles rot + tilt, with
R(u, v, a) = (u cos a - v sin a, v cos a + u sin a)::

    (x, y) = R(x, y, a_z);  (z, x) = R(z, x, a_y);  (y, z) = R(y, z, a_x);  plus x0, y0, z0

from the segment up to the part that was asked for, itself included. The order of the operations
is that of psana, so that pixels on the border between two pixels of an image fall to the same.

Frames: 0, psana's of images, has x along the rows (down), y along the columns (right) and z
against the beam; 1, the laboratory's, has y up and z along the beam: (x, y, z) -> (-y, -x, -z).
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cdb.errors import BadFile, BadName, BadPayload, BadQuestion, shown
from cdb.geometry.masks import segment_mask
from cdb.geometry.segments import MOST_PIXELS, Floats, Segment, known_segments, segment
from cdb.geometry.tree import Geometry, Key, Part, named

Indices = NDArray[np.uint64]
Value = TypeVar("Value", bound=np.generic)
# The index of a pixel that is read out but does not exist.
NOWHERE = np.iinfo(np.uint64).max

# No image has more rows or columns than these.
LONGEST = 2**31
# Two panels of this one are read out as pairs of pixels.
_PAIR, _PAIR_SHAPE = "CSPAD2X2:V1", (185, 388)
# Rows of a panel that are worked on together stay in the processor's cache.
_BLOCK_PIXELS = 2**16


@dataclass(frozen=True, eq=False)
class Branch:
    """A part with all that hangs on it.

    Attributes
    ----------
    part : Part
        The part; of the top, which has no row, with zeros.
    segment : Segment or None
        Its pixels; None for a group of parts.
    children : list of Branch
        The parts of a group, in the order of their rows.
    """

    part: Part
    segment: Segment | None
    children: list["Branch"] = field(default_factory=list, repr=False)


def top_part(key: Key) -> Part:
    """Return the part that a frame without a row is."""
    return Part("", 0, key[0], key[1], 0, 0, 0, 0, 0, 0, 0, 0, 0)


def branches(
    geometry: Geometry,
    *,
    generation: str = "psana",
    wide_centers: bool = False,
    shape: tuple[int, int] | None = None,
    pixel_size: tuple[float, float] | None = None,
    compat: bool = False,
) -> list[Branch]:
    """Return the parts of a geometry in the order of their rows, then the tops.

    The last is *the* top, as of `Geometry.top`.

    Parameters
    ----------
    geometry : Geometry
        The parts.
    generation, wide_centers, shape, pixel_size, compat
        As for `cdb.geometry.segments.segment`.

    Returns
    -------
    branches : list of Branch
        Linked to each other.
    """
    made = [replace(part, z0=part.z) for part in geometry.parts]
    nodes = []
    for part in [*made, *map(top_part, geometry.tops)]:
        kind = segment(
            part.name,
            generation=generation,
            wide_centers=wide_centers,
            shape=shape,
            pixel_size=pixel_size,
            compat=compat,
        )
        nodes.append(Branch(part, kind))
    link(nodes)
    return nodes


def link(nodes: Iterable[Branch]) -> None:
    """Give each branch its children; of several with a parent's name the first is the parent."""
    nodes = list(nodes)
    groups: dict[Key, Branch] = {}
    for node in nodes:
        groups.setdefault(node.part.key, node)
    for node in nodes:
        if node.part.parent:
            groups[node.part.parent_key].children.append(node)


def find_branch(nodes: Sequence[Branch], name: str | None = None, index: int = 0) -> Branch:
    """Return the first branch of a name and index; without a name the top.

    Raises
    ------
    BadName
        If there is none.
    """
    if name is None:
        return nodes[-1]
    for node in nodes:
        if node.part.key == (name, index):
            return node
    there = named(node.part.key for node in nodes)
    raise BadName(f"no part {shown(name)} {index} in the geometry; there are {there}")


@dataclass(frozen=True)
class _Path:
    """The way from a part up to the one that was asked for."""

    part: Part
    above: "_Path | None"


def _walk(branch: Branch) -> Iterator[tuple[Branch, _Path]]:
    """Yield a branch and all below it, parents first, children in the order of their rows."""
    waiting = [(branch, _Path(branch.part, None))]
    while waiting:
        node, path = waiting.pop()
        yield node, path
        if node.segment is None:
            waiting += [(child, _Path(child.part, path)) for child in reversed(node.children)]


def segments_of(branch: Branch) -> list[Segment]:
    """Return the segments of a branch in the order of its panels, all of one shape."""
    return [kind for kind, _ in _panels(branch)]


def _panels(branch: Branch) -> list[tuple[Segment, _Path]]:
    """Return the segments of a branch, all of one shape."""
    found: list[tuple[Segment, _Path]] = []
    for node, path in _walk(branch):
        part = node.part
        if node.segment is None:
            if not node.children:
                raise BadFile(
                    f"{_row_of(part)}: {part.name} {part.index} has neither pixels nor parts; "
                    f"sensors are {', '.join(known_segments())}"
                )
            continue
        if found and node.segment.shape != found[0][0].shape:
            raise BadFile(
                f"{_row_of(part)}: the {node.segment.shape} pixels of {part.name} do not stack "
                f"with the {found[0][0].shape} of {found[0][0].name}"
            )
        found.append((node.segment, path))
    n_rows, n_cols = found[0][0].shape
    if len(found) * n_rows * n_cols > MOST_PIXELS:
        raise BadFile(
            f"{len(found)} panels of {n_rows} x {n_cols} pixels are more than the {MOST_PIXELS} "
            "that can be had"
        )
    return found


def _row_of(part: Part) -> str:
    return f"geometry, line {part.line}"


def n_pixels(branch: Branch) -> int:
    """Return the number of pixels of a branch."""
    return sum(node.segment.size for node, _ in _walk(branch) if node.segment is not None)


def scale_size(branch: Branch) -> float:
    """Return the pixel size of the first segment of a branch [um]."""
    return _panels(branch)[0][0].scale


def coordinates(
    branch: Branch, *, tilt: bool = True, frame: int = 0
) -> tuple[Floats, Floats, Floats]:
    """Return where the pixels of a branch are, in the frame of its parent.

    Parameters
    ----------
    branch : Branch
        The part.
    tilt : bool
        Whether tilts count, or rotations by design alone.
    frame : int
        0 psana's, 1 the laboratory's.

    Returns
    -------
    x, y, z : ndarray of float64
        Of a segment (rows, cols), of a group (panels, rows, cols) [um]. Of a CSPAD2X2:V1
        (185, 388, 2), as its data are. The generation ``PSCalib`` keeps the levels of the tree,
        as in (1, 4, 8, 185, 388).
    """
    x, y, z = panel_coordinates(branch, tilt=tilt, frame=frame)
    return arranged(branch, x), arranged(branch, y), arranged(branch, z)


def panel_coordinates(
    branch: Branch, *, tilt: bool = True, frame: int = 0, regular: bool = False
) -> tuple[Floats, Floats, Floats]:
    """Return the same, always (panels, rows, cols); if regular, without centres of wide pixels."""
    _check_frame(frame)
    panels = _panels(branch)
    if regular:
        panels = [(kind.regular or kind, path) for kind, path in panels]
    n_rows, n_cols = panels[0][0].shape
    x, y, z = (np.empty((len(panels), n_rows, n_cols)) for _ in range(3))
    step = max(1, _BLOCK_PIXELS // n_cols)
    for number, (kind, path) in enumerate(panels):
        for first in range(0, n_rows, step):
            rows = slice(first, first + step)
            placed = _placed(kind, rows, path, tilt)
            blocks = x[number, rows], y[number, rows], z[number, rows]
            if frame:
                for block, value in zip(blocks, (placed[1], placed[0], placed[2]), strict=True):
                    np.negative(value, out=block)
            else:
                for block, value in zip(blocks, placed, strict=True):
                    block[...] = value
    return x, y, z


def _check_frame(frame: int) -> None:
    if frame not in (0, 1):
        raise BadQuestion(f"no frame {shown(frame)}; 0 is psana's, 1 the laboratory's")


def _placed(
    kind: Segment, rows: slice, path: _Path | None, tilt: bool
) -> tuple[Floats, Floats, Floats]:
    """Return the coordinates of some rows; what is the same along an axis has length 1 there."""
    x, y, z = kind.x, kind.y, np.zeros((1, 1))
    x, y = (place[rows] if len(place) > 1 else place for place in (x, y))
    while path is not None:
        x, y, z = transformed(path.part, x, y, z, tilt=tilt)
        path = path.above
    return x, y, z


def transformed(
    part: Part, x: Floats, y: Floats, z: Floats, *, tilt: bool = True
) -> tuple[Floats, Floats, Floats]:
    """Return coordinates in the frame of a part as they are in the frame of its parent [um]."""
    tilts = (part.tilt_z, part.tilt_y, part.tilt_x) if tilt else (0.0, 0.0, 0.0)
    x, y = _rotated(x, y, part.rot_z + tilts[0])
    z, x = _rotated(z, x, part.rot_y + tilts[1])
    y, z = _rotated(y, z, part.rot_x + tilts[2])
    return _shifted(x, part.x0), _shifted(y, part.y0), _shifted(z, part.z0)


def _rotated(u: Floats, v: Floats, angle: float) -> tuple[Floats, Floats]:
    if angle == 0:
        return u, v
    sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    return u * cosine - v * sine, v * cosine + u * sine


def _shifted(u: Floats, by: float) -> Floats:
    return u + by if by else u


def arranged(branch: Branch, stack: NDArray[Value]) -> NDArray[Value]:
    """Return a stack of panels in the shape that arrays of the branch have.

    Parameters
    ----------
    branch : Branch
        The part.
    stack : ndarray, shape (panels, rows, cols)
        A value for each pixel, the panels in the order of the rows of the text.

    Returns
    -------
    array : ndarray
        Of a segment (rows, cols), else as `coordinates` says.
    """
    if branch.segment is not None:
        return stack.reshape(stack.shape[1:])
    pairs = sum(_is_pair(node) for node, _ in _walk(branch))
    if pairs:
        if 2 * pairs != len(stack):
            raise BadFile("parts of a CSPAD2X2:V1 do not stack with others")
        n_rows, n_cols = stack.shape[1:]
        stack = np.moveaxis(stack.reshape(pairs, 2, n_rows, n_cols), 1, -1)
        stack = np.ascontiguousarray(stack).reshape(pairs * n_rows, n_cols, 2)
    return stack.reshape(_nested_shape(branch)) if _is_of(branch, "PSCalib") else stack


def panel_stack(branch: Branch, array: NDArray[Any]) -> NDArray[Any]:
    """Return an array of the branch as (panels, rows, cols): the inverse of `arranged`.

    Raises
    ------
    BadPayload
        If it has another number of pixels.
    """
    panels = _panels(branch)
    n_rows, n_cols = panels[0][0].shape
    if array.size != len(panels) * n_rows * n_cols:
        raise BadPayload(
            f"an array of {shown(array.shape)} does not hold "
            f"{len(panels)} panels of {n_rows} x {n_cols} pixels"
        )
    if array.shape[-1] == 2 and any(_is_pair(node) for node, _ in _walk(branch)):
        array = np.moveaxis(array.reshape(-1, n_rows, n_cols, 2), -1, 1)
    return array.reshape(len(panels), n_rows, n_cols)


def _is_pair(node: Branch) -> bool:
    shapes = [child.segment.shape for child in node.children if child.segment is not None]
    return node.part.name == _PAIR and node.segment is None and shapes == [_PAIR_SHAPE] * 2


def _is_of(branch: Branch, generation: str) -> bool:
    return _panels(branch)[0][0].generation == generation


def _nested_shape(branch: Branch) -> tuple[int, ...]:
    """Return the shape of a branch whose levels are kept."""
    shapes: dict[int, tuple[int, ...]] = {}
    for node, _ in reversed(list(_walk(branch))):
        below = {shapes[id(child)] for child in node.children}
        if node.segment is not None:
            shapes[id(node)] = node.segment.shape
        elif _is_pair(node):
            shapes[id(node)] = (*_PAIR_SHAPE, 2)
        elif len(below) == 1:
            shapes[id(node)] = (len(node.children), *below.pop())
        else:
            raise BadFile(
                f"{_row_of(node.part)}: the parts of {node.part.name} {node.part.index} have "
                f"different shapes: {', '.join(map(str, sorted(below)))}"
            )
    return shapes[id(branch)]


def flat_part(part: Part) -> Part:
    """Return a part that turns around z alone and stays in its plane."""
    return replace(part, z0=0.0, rot_y=0.0, rot_x=0.0, tilt_y=0.0, tilt_x=0.0)


def flattened(branch: Branch) -> Branch:
    """Return a branch whose parts turn around z alone and stay in a plane."""
    walked = [node for node, _ in _walk(branch)]
    copies = {id(node): Branch(flat_part(node.part), node.segment) for node in walked}
    for node in walked:
        if node.segment is None:
            copies[id(node)].children.extend(copies[id(child)] for child in node.children)
    return copies[id(branch)]


def project(x: Floats, y: Floats, z: Floats, zplane: float | None = None) -> tuple[Floats, Floats]:
    """Return x and y where the line from the origin through a pixel meets a plane.

    Parameters
    ----------
    x, y, z : ndarray of float64
        Coordinates [um].
    zplane : float, optional
        z of the plane; without it the mean z of the pixels [um].

    Returns
    -------
    x, y : ndarray of float64
        As they are where the plane is nearer than 1000 um; 0 where z is 0.
    """
    plane = float(z.mean()) if zplane is None else zplane
    if abs(plane) < 1000:
        return x, y
    there = z != 0
    quotients = [np.divide(u, z, out=np.zeros(u.shape), where=there) for u in (x, y)]
    return plane * quotients[0], plane * quotients[1]


def indexes(
    x: Floats,
    y: Floats,
    pixel_size: float,
    *,
    offset: tuple[float, float] | None = None,
    frame: int = 0,
) -> tuple[Indices, Indices]:
    """Return the row and the column of an image into which each pixel falls.

    Parameters
    ----------
    x, y : ndarray of float64
        Coordinates [um].
    pixel_size : float
        Of the image [um].
    offset : tuple of float, optional
        By how many pixels the image begins before the smallest x, and before the smallest y (in
        frame 1: above the largest). Only positive numbers count.
    frame : int
        Of the coordinates.

    Returns
    -------
    rows, cols : ndarray of uint64
        In the shape of the coordinates; `NOWHERE` for pixels that do not exist.

    Raises
    ------
    BadQuestion
        If the pixel size is not above 0, no pixel exists, or the image would be longer than
        `LONGEST`.
    """
    begin = _Image(x, y, pixel_size, offset, frame)
    along_x = _truncated(begin.x, x, 1, pixel_size)
    along_y = _truncated(begin.y, y, -1 if frame else 1, pixel_size)
    if begin.has_missing:
        missing = (along_x == NOWHERE) | (along_y == NOWHERE)
        along_x[missing] = along_y[missing] = NOWHERE
    return (along_y, along_x) if frame else (along_x, along_y)


def point_indexes(
    point: tuple[float, float],
    x: Floats,
    y: Floats,
    pixel_size: float,
    *,
    offset: tuple[float, float] | None = None,
    frame: int = 0,
) -> tuple[float, float]:
    """Return the row and the column of a point (x, y), with their fractions; maybe outside."""
    if not (math.isfinite(point[0]) and math.isfinite(point[1])):
        raise BadQuestion(f"no point {shown(point)}; give finite x and y [um]")
    begin = _Image(x, y, pixel_size, offset, frame)
    along_x = (point[0] - begin.x) / pixel_size
    if frame:
        return (begin.y - point[1]) / pixel_size, along_x
    return along_x, (point[1] - begin.y) / pixel_size


class _Image:
    """The corner of an image, half a pixel outside of the outermost centres."""

    def __init__(
        self,
        x: Floats,
        y: Floats,
        pixel_size: float,
        offset: tuple[float, float] | None,
        frame: int,
    ) -> None:
        _check_frame(frame)
        if not 0 < pixel_size < math.inf:
            raise BadQuestion(f"a pixel of an image is larger than 0 um, not {pixel_size}")
        given = (0, 0) if offset is None else offset
        before_x, before_y = (max(0.0, by) * pixel_size for by in given)
        (self.x, end_x, gone_x), (self.y, end_y, gone_y) = (_extent(u) for u in (x, y))
        self.has_missing = gone_x or gone_y
        length = max(end_x - self.x + before_x, end_y - self.y + before_y)
        if not length < LONGEST * pixel_size:
            raise BadQuestion(
                f"pixels of {pixel_size:g} um make no image that is {length:g} um long; {LONGEST} "
                "rows or columns can be had"
            )
        # Half a pixel comes last, as in psana.
        self.x = self.x - before_x - pixel_size / 2
        if frame:
            self.y = end_y + before_y + pixel_size / 2
        else:
            self.y = self.y - before_y - pixel_size / 2


def _extent(values: Floats) -> tuple[float, float, bool]:
    """Return the smallest and the largest of the values that exist, and whether some do not."""
    first, last = float(values.min()), float(values.max())
    if not math.isnan(first):
        return first, last, False
    there = values[~np.isnan(values)]
    if not there.size:
        raise BadQuestion("no pixel stands anywhere: all coordinates are NaN")
    return float(there.min()), float(there.max()), True


def _truncated(begin: float, values: Floats, sign: int, pixel_size: float) -> Indices:
    """Return the whole part of the distance from where the image begins, in pixels."""
    values = np.ascontiguousarray(values)
    found = np.empty(values.shape, dtype=np.uint64)
    flat, flat_found = values.reshape(-1), found.reshape(-1)
    for first in range(0, flat.size, _BLOCK_PIXELS):
        block = flat[first : first + _BLOCK_PIXELS]
        distance = block - begin if sign > 0 else begin - block
        distance /= pixel_size
        missing = np.isnan(distance)
        if missing.any():
            distance[missing] = 0
        flat_found[first : first + _BLOCK_PIXELS] = distance
        flat_found[first : first + _BLOCK_PIXELS][missing] = NOWHERE
    return found


def areas(branch: Branch) -> Floats:
    """Return the areas of the pixels of a branch; 1 is a normal pixel."""
    return arranged(branch, _stacked([(kind, kind.areas()) for kind in _kinds(branch)], branch))


def mask(
    branch: Branch,
    *,
    mbits: int = 0o377,
    width: int | None = None,
    wcenter: int | None = None,
    edge_rows: int | None = None,
    edge_cols: int | None = None,
    center_rows: int | None = None,
    center_cols: int | None = None,
    dtype: DTypeLike = np.uint8,
) -> NDArray[Any]:
    """Return the mask of a branch, 1 good, 0 masked; options as of `masks.segment_mask`."""
    made = [
        (
            kind,
            segment_mask(
                kind,
                mbits=mbits,
                width=width,
                wcenter=wcenter,
                edge_rows=edge_rows,
                edge_cols=edge_cols,
                center_rows=center_rows,
                center_cols=center_cols,
                dtype=dtype,
            ),
        )
        for kind in _kinds(branch)
    ]
    return arranged(branch, _stacked(made, branch))


def _kinds(branch: Branch) -> list[Segment]:
    return list({id(kind): kind for kind in segments_of(branch)}.values())


def _stacked(values: list[tuple[Segment, NDArray[Any]]], branch: Branch) -> NDArray[Any]:
    """Return the panels' values, of which all of a kind have the same."""
    of_kind = {id(kind): value for kind, value in values}
    return np.stack([of_kind[id(kind)] for kind in segments_of(branch)])
