"""Parts of a detector under the names that psana's users know: `GeometryObject`, `SegGeometry`.

Thin aliases: the numbers come from `cdb.geometry.pixels`, anew at each call, so that nothing
depends on what was asked before.
"""

import logging
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cdb.errors import BadName, BadQuestion, shown
from cdb.geometry import pixels
from cdb.geometry.images import two2x1ToData2x2
from cdb.geometry.masks import segment_mask
from cdb.geometry.pixels import Branch
from cdb.geometry.segments import NO_SHAPE, Floats, Segment, segment
from cdb.geometry.tree import Part, shortest

Array = NDArray[Any]
_log = logging.getLogger(__name__)
_AXES = ("X", "Y", "Z")


class SegGeometry:
    """A sensor type, as psana's classes of this name show it; `segment` holds the facts."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment

    def name(self) -> str:
        """Return the name of the sensor type."""
        return self.segment.name

    def rows(self) -> int:
        """Return the number of rows."""
        return self.segment.shape[0]

    def cols(self) -> int:
        """Return the number of columns."""
        return self.segment.shape[1]

    def shape(self) -> tuple[int, int]:
        """Return rows and columns."""
        return self.segment.shape

    def size(self) -> int:
        """Return the number of pixels."""
        return self.segment.size

    def pixel_scale_size(self) -> float:
        """Return the pixel size from which indices are made [um]."""
        return self.segment.scale

    def pixel_area_array(self) -> Floats:
        """Return the areas of the pixels, 1 is a normal one."""
        return self.segment.areas()

    def pixel_size_array(self, axis: str | None = None) -> Any:
        """Return the sizes of the pixels along X, Y and Z, or along one of them [um]."""
        return _of_axis(self.segment.sizes(), axis)

    def pixel_coord_array(self, axis: str | None = None) -> Any:
        """Return X, Y and Z of the pixels, or one of them [um]."""
        return _of_axis(self.segment.coordinates(), axis)

    def pixel_coord_min(self, axis: str | None = None) -> Any:
        """Return the smallest X, Y and Z, or one of them [um]."""
        places = (self.segment.x, self.segment.y, np.zeros(1))
        return _of_axis(tuple(float(np.nanmin(u)) for u in places), axis)

    def pixel_coord_max(self, axis: str | None = None) -> Any:
        """Return the largest X, Y and Z, or one of them [um]."""
        places = (self.segment.x, self.segment.y, np.zeros(1))
        return _of_axis(tuple(float(np.nanmax(u)) for u in places), axis)

    def pixel_mask_array(
        self,
        mbits: int = 0o377,
        width: int | None = None,
        wcenter: int | None = None,
        edge_rows: int | None = None,
        edge_cols: int | None = None,
        center_rows: int | None = None,
        center_cols: int | None = None,
        wcentral: int | None = None,
        dtype: DTypeLike = np.uint8,
    ) -> Array:
        """Return the mask, 1 good; `wcentral` is what PSCalib calls `wcenter`."""
        return segment_mask(
            self.segment,
            mbits=mbits,
            width=width,
            wcenter=wcentral if wcenter is None else wcenter,
            edge_rows=edge_rows,
            edge_cols=edge_cols,
            center_rows=center_rows,
            center_cols=center_cols,
            dtype=dtype,
        )

    def asic0indices(self) -> tuple[tuple[int, int], ...]:
        """Return row and column of the first pixel of each ASIC."""
        return self.segment.asics

    def asic_rows_cols(self) -> tuple[int, int]:
        """Return rows and columns of an ASIC."""
        return self.segment.asic_shape

    def number_of_asics_in_rows_cols(self) -> tuple[int, int]:
        """Return how many ASICs stand along the rows and along the columns."""
        return self.segment.grid


def _of_axis(values: tuple[Any, ...], axis: str | None) -> Any:
    if axis is None:
        return values
    if axis not in _AXES:
        raise BadQuestion(f"no axis {shown(axis)}; there are {', '.join(_AXES)}")
    return values[_AXES.index(axis)]


def shape_of(detector: Any, name: str) -> tuple[int, int] | None:
    """Return rows and columns of a sensor whose name does not say them; None of all others.

    Parameters
    ----------
    detector : object or None
        psana's, whose `_shape` or `_calibconst` know, or one with a `calibconst`: its pedestals
        have that shape.
    name : str
        Of the sensor type.
    """
    if detector is None or name not in NO_SHAPE:
        return None
    shape = getattr(detector, "_shape", None)
    if not shape:
        own = getattr(detector, "_calibconst", None)
        constants = getattr(detector, "calibconst", None) if own is None else own
        if not constants or "pedestals" not in constants:
            raise BadName(f"{name} does not say its shape, nor does the detector: no pedestals")
        shape = np.shape(constants["pedestals"][0])
    rows, cols = shape[-2:]
    return int(rows), int(cols)


class GeometryObject:
    """A part of a detector that can be moved, with the parts on it; psana's names.

    Parameters
    ----------
    pname, pindex : str or None, int or None
        The parent; None of a top.
    oname, oindex : str, int
        The part.
    x0, y0, z0 : float
        Origin in the frame of the parent [um].
    rot_z, rot_y, rot_x, tilt_z, tilt_y, tilt_x : float
        Rotation by design and small rotation on top of it [deg].
    use_wide_pix_center : bool
        Whether wide pixels stand at their centres.
    detector : object, optional
        Whose constants say the shape of a sensor whose name does not, see `shape_of`.
    generation, shape, pixel_size, compat
        As for `cdb.geometry.segments.segment`.

    Attributes
    ----------
    algo : SegGeometry or None
        Its pixels; None for a group of parts.
    """

    def __init__(
        self,
        pname: str | None = None,
        pindex: int | None = None,
        oname: str = "",
        oindex: int = 0,
        x0: float = 0,
        y0: float = 0,
        z0: float = 0,
        rot_z: float = 0,
        rot_y: float = 0,
        rot_x: float = 0,
        tilt_z: float = 0,
        tilt_y: float = 0,
        tilt_x: float = 0,
        use_wide_pix_center: bool = False,
        detector: Any = None,
        *,
        generation: str = "psana",
        shape: tuple[int, int] | None = None,
        pixel_size: tuple[float, float] | None = None,
        compat: bool = False,
    ) -> None:
        self.pname, self.pindex = pname, pindex
        self.oname, self.oindex = oname, oindex
        self.set_geo_pars(x0, y0, z0, rot_z, rot_y, rot_x, tilt_z, tilt_y, tilt_x)
        kind = segment(
            oname,
            generation=generation,
            wide_centers=use_wide_pix_center,
            shape=shape_of(detector, oname) if shape is None else shape,
            pixel_size=pixel_size,
            compat=compat,
        )
        self.algo = None if kind is None else SegGeometry(kind)
        self.compat = compat
        self.parent: GeometryObject | None = None
        self.list_of_children: list[GeometryObject] = []

    @property
    def part(self) -> Part:
        """The part as it stands now."""
        return Part(
            self.pname or "",
            self.pindex or 0,
            self.oname,
            self.oindex,
            *self.get_origin(),
            *self.get_rot(),
            *self.get_tilt(),
        )

    def branch(self) -> Branch:
        """Return the part with all parts on it as they stand now."""
        top = self._leaf()
        waiting = [(self, top)]
        while waiting:
            parent, node = waiting.pop()
            for child in parent.list_of_children:
                node.children.append(child._leaf())
                waiting.append((child, node.children[-1]))
        return top

    def _leaf(self) -> Branch:
        return Branch(self.part, None if self.algo is None else self.algo.segment)

    def set_geo_pars(
        self,
        x0: float = 0,
        y0: float = 0,
        z0: float = 0,
        rot_z: float = 0,
        rot_y: float = 0,
        rot_x: float = 0,
        tilt_z: float = 0,
        tilt_y: float = 0,
        tilt_x: float = 0,
    ) -> None:
        """Set origin [um], rotation and tilt [deg]; what is not named becomes 0."""
        self.x0, self.y0, self.z0 = x0, y0, z0
        self.rot_z, self.rot_y, self.rot_x = rot_z, rot_y, rot_x
        self.tilt_z, self.tilt_y, self.tilt_x = tilt_z, tilt_y, tilt_x

    def move_geo(self, dx: float = 0, dy: float = 0, dz: float = 0) -> None:
        """Move the part in the frame of its parent [um]."""
        self.x0 += dx
        self.y0 += dy
        self.z0 += dz

    def tilt_geo(self, dt_x: float = 0, dt_y: float = 0, dt_z: float = 0) -> None:
        """Add to the tilts of the part [deg]."""
        self.tilt_z += dt_z
        self.tilt_y += dt_y
        self.tilt_x += dt_x

    def get_geo_name(self) -> str:
        """Return the name."""
        return self.oname

    def get_geo_index(self) -> int:
        """Return the index."""
        return self.oindex

    def get_parent_name(self) -> str | None:
        """Return the name of the parent; None of a top."""
        return self.pname

    def get_parent_index(self) -> int | None:
        """Return the index of the parent."""
        return self.pindex

    def set_parent(self, parent: "GeometryObject") -> None:
        """Make another part the parent."""
        self.parent = parent

    def get_parent(self) -> "GeometryObject | None":
        """Return the parent; None of a top."""
        return self.parent

    def add_child(self, child: "GeometryObject") -> None:
        """Put another part on this one."""
        self.list_of_children.append(child)

    def get_list_of_children(self) -> list["GeometryObject"]:
        """Return the parts on this one, in the order of their rows."""
        return self.list_of_children

    def get_origin(self) -> tuple[float, float, float]:
        """Return x0, y0, z0 in the frame of the parent [um]."""
        return self.x0, self.y0, self.z0

    def get_rot(self) -> tuple[float, float, float]:
        """Return the rotations by design around z, y, x [deg]."""
        return self.rot_z, self.rot_y, self.rot_x

    def get_tilt(self) -> tuple[float, float, float]:
        """Return the tilts around z, y, x [deg]."""
        return self.tilt_z, self.tilt_y, self.tilt_x

    def get_size_geo_array(self) -> int:
        """Return the number of pixels."""
        return pixels.n_pixels(self.branch())

    def get_pixel_scale_size(self) -> float:
        """Return the pixel size of the first sensor [um]."""
        return pixels.scale_size(self.branch())

    def get_pixel_coords(self, do_tilt: bool = True) -> tuple[Floats, Floats, Floats]:
        """Return x, y, z of the pixels in the frame of the parent [um]."""
        return pixels.coordinates(self.branch(), tilt=do_tilt)

    def get_2d_pixel_coords(self, do_tilt: bool = True) -> tuple[Floats, Floats]:
        """Return x, y with the rotations around z alone [um]; of a group all in one row."""
        branch = pixels.flattened(self.branch())
        x, y, _ = pixels.coordinates(branch, tilt=do_tilt)
        if self.algo is not None or x.shape[-1] == 2:
            return x, y
        return x.reshape(-1), y.reshape(-1)

    def get_pixel_areas(self) -> Floats:
        """Return the areas of the pixels, 1 is a normal one."""
        return pixels.areas(self.branch())

    def get_pixel_mask(
        self,
        mbits: int = 0o377,
        width: int | None = None,
        wcenter: int | None = None,
        edge_rows: int | None = None,
        edge_cols: int | None = None,
        center_rows: int | None = None,
        center_cols: int | None = None,
        wcentral: int | None = None,
        dtype: DTypeLike = np.uint8,
    ) -> Array:
        """Return the mask, 1 good; options as of `cdb.geometry.masks.segment_mask`.

        `wcentral` is what PSCalib calls `wcenter`.
        """
        return pixels.mask(
            self.branch(),
            mbits=mbits,
            width=width,
            wcenter=wcentral if wcenter is None else wcenter,
            edge_rows=edge_rows,
            edge_cols=edge_cols,
            center_rows=center_rows,
            center_cols=center_cols,
            dtype=dtype,
        )

    def transform_geo_coord_arrays(
        self,
        X: Floats,  # noqa: N803 - psana's names
        Y: Floats,  # noqa: N803
        Z: Floats,  # noqa: N803
        do_tilt: bool = True,
    ) -> tuple[Floats, Floats, Floats]:
        """Return coordinates in the frame of the part in the frame of its parent [um]."""
        return pixels.transformed(self.part, X, Y, Z, tilt=do_tilt)

    def transform_2d_geo_coord_arrays(
        self,
        X: Floats,  # noqa: N803 - psana's names
        Y: Floats,  # noqa: N803
        do_tilt: bool = True,
    ) -> tuple[Floats, Floats]:
        """Return the same with the rotation around z alone [um]."""
        part = pixels.flat_part(self.part)
        x, y, _ = pixels.transformed(part, X, Y, np.zeros(1), tilt=do_tilt)
        return x, y

    def det_shape(self, arr: Array) -> Array:
        """Return an array in the shape of the part's data: (185, 388, 2), or three axes at most."""
        if self.oname == "CSPAD2X2:V1" and arr.size == 2 * 185 * 388:
            return two2x1ToData2x2(arr)
        return arr if arr.ndim < 4 else arr.reshape(-1, *arr.shape[-2:])

    def str_data(self) -> str:
        """Return the row for a file; if `compat`, as psana writes it."""
        if self.compat:
            return self.old_row()
        numbers = (*self.get_origin(), *self.get_rot(), *self.get_tilt())
        return f"{self._names()}  " + " ".join(f"{shortest(number):>8}" for number in numbers)

    def old_row(self) -> str:
        """Return the row as psana writes it: in whole um, angles to 3 and 5 digits."""
        part = self.part
        rotations = [f"{angle:8.3f}".rstrip("0").rstrip(".") for angle in self.get_rot()]
        return (
            f"{self._names()}  {part.x0:8.0f} {part.y0:8.0f} {part.z0:8.0f}"
            f"  {rotations[0]:>8}   {rotations[1]:>8}   {rotations[2]:>8}  "
            f"  {part.tilt_z:8.5f} {part.tilt_y:8.5f} {part.tilt_x:8.5f}"
        )

    def _names(self) -> str:
        part = self.part
        return f"{part.parent:11} {part.parent_index:3} {part.name:11} {part.index:3}"

    def info_geo(self) -> str:
        """Return a line that says where the part is."""
        part = self.part
        return (
            f"parent:{self.pname!s:>10} {part.parent_index:2}   geo: {part.name:>10} {part.index:2}"
            f"  x0:{part.x0:8.0f}  y0:{part.y0:8.0f}  z0:{part.z0:8.0f}"
            f"  rot_z:{part.rot_z:8.3f}  rot_y:{part.rot_y:8.3f}  rot_x:{part.rot_x:8.3f}"
            f"  tilt_z:{part.tilt_z:8.5f}  tilt_y:{part.tilt_y:8.5f}  tilt_x:{part.tilt_x:8.5f}"
        )

    def info_geo_children(self) -> str:
        """Return a line that names the parts on this one."""
        children = "".join(f" {child.oname}:{child.oindex}" for child in self.list_of_children)
        return (
            f"parent:{self.pname!s:>10} {self.pindex or 0:2}   geo: {self.oname:>10} "
            f"{self.oindex:2} #children: {len(self.list_of_children)}:{children}"
        )

    def print_geo(self) -> None:
        """Tell the log where the part is."""
        _log.info(self.info_geo())

    def print_geo_children(self) -> None:
        """Tell the log which parts are on this one."""
        _log.info(self.info_geo_children())
