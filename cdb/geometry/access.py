"""`GeometryAccess`: the geometry of a detector under the names that psana's users know.

Thin aliases over `cdb.geometry.pixels`. Nothing is kept between calls, so that a result does not
depend on what was asked before. Where psana's answer is a fault, ours is not; ``compat=True``
gives psana's numbers.
"""

import logging
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from cdb.errors import BadFile, BadName, shown
from cdb.geometry import pixels, psf, tree
from cdb.geometry.objects import Array, GeometryObject
from cdb.geometry.pixels import Branch, Indices
from cdb.geometry.psf import Psf
from cdb.geometry.segments import Floats
from cdb.geometry.tree import Geometry

_log = logging.getLogger(__name__)
_CSPAD_SHAPE = (32, 185, 388)


class GeometryAccess:
    r"""The parts of a detector and the places of its pixels.

    Without a geometry, methods answer None, or as many of them as there are results.

    Parameters
    ----------
    path_or_text : str or Path, optional
        A geometry file, or a geometry text. A file that does not exist makes an object that is
        not valid.
    pbits : int
        Kept as `pbits`, nothing else.
    use_wide_pix_center : bool
        Whether wide pixels stand at their centres.
    path : str or Path, optional
        The file, under psana's name.
    detector : object, optional
        Whose constants say the shape of sensors whose name does not, see
        `cdb.geometry.objects.shape_of`; psana's argument for the Archon.
    cframe : int, optional
        Not looked at, as in psana: each method has its own.
    generation : str
        ``psana`` (LCLS-II, today's) or ``PSCalib`` (LCLS-I), whose arrays keep the levels of the
        tree and whose masks go by bits.
    compat : bool
        Whether the faults of that software are repeated: numbers in whole um in files, flawed
        places of pixels of EPIXHR1X4 and EPIXUHR3X2, masks of four neighbours.
    shape, pixel_size : tuple, optional
        Of sensors whose name does not say it, see `cdb.geometry.segments.segment`.

    Attributes
    ----------
    list_of_geos : list of GeometryObject
        The parts in the order of their rows, then the tops.
    dict_of_comments : dict of int to str
        The comments in their order.

    Raises
    ------
    BadFile
        If a geometry is none; the sentence names the line.

    Examples
    --------
    >>> geo = GeometryAccess("# two panels\nCAM 0 EPIX100:V1 0  0 0 0  0 0 0  0 0 0\n"
    ...                      "CAM 0 EPIX100:V1 1  0 40000 0  0 0 0  0 0 0\n")
    >>> x, y, z = geo.get_pixel_coords()
    >>> x.shape, float(y[1, 0, 0])
    ((2, 704, 768), 22300.0)
    """

    def __init__(
        self,
        path_or_text: str | Path | None = None,
        pbits: int = 0,
        use_wide_pix_center: bool = False,
        *,
        path: str | Path | None = None,
        detector: Any = None,
        cframe: int = 0,
        generation: str = "psana",
        compat: bool = False,
        shape: tuple[int, int] | None = None,
        pixel_size: tuple[float, float] | None = None,
    ) -> None:
        self.path = path
        self.pbits = pbits
        self.use_wide_pix_center = use_wide_pix_center
        self.detector = detector
        self.generation, self.compat = generation, compat
        self.shape, self.pixel_size = shape, pixel_size
        self.valid = False
        self.list_of_geos: list[GeometryObject] = []
        self.dict_of_comments: dict[int, str] = {}
        if isinstance(path_or_text, str) and _is_text(path_or_text):
            self.load_pars_from_str(path_or_text)
            return
        if path_or_text is not None:
            self.path = path_or_text
        if self.path is not None and os.path.exists(self.path):
            self.load_pars_from_file()

    def is_valid(self) -> bool:
        """Return whether a geometry is loaded."""
        return self.valid

    def load_pars_from_file(self, path: str | Path | None = None) -> None:
        """Load a geometry file; without a path that of the constructor.

        Raises
        ------
        BadFile
            If it holds no geometry.
        BadName
            If there is no path.
        OSError
            If it cannot be read.
        """
        self.valid = False
        if path is not None:
            self.path = path
        if self.path is None:
            raise BadName("no geometry file is named")
        # Comments may be in any encoding; they go out as they came in.
        text = Path(self.path).read_text(encoding="utf-8", errors="surrogateescape")
        self._load(tree.parse(text, str(self.path)))

    def load_pars_from_str(self, s: str | None) -> None:
        """Load a geometry text; what is no text leaves the object not valid.

        Raises
        ------
        BadFile
            If the text is no geometry.
        """
        self.valid = False
        if isinstance(s, str):
            self._load(tree.parse(s))

    def _load(self, geometry: Geometry) -> None:
        parts = geometry.parts
        made = [self._made(part.parent, part.parent_index, part.name, part.index) for part in parts]
        for geo, part in zip(made, parts, strict=True):
            numbers = {name: getattr(part, name) for name in tree.NUMBERS} | {"z0": part.z}
            geo.set_geo_pars(**numbers)
        made += [self._made(None, 0, *key) for key in geometry.tops]
        groups: dict[tuple[str, int], GeometryObject] = {}
        for geo in made:
            groups.setdefault((geo.oname, geo.oindex), geo)
        for geo in made:
            if geo.pname is not None:
                parent = groups[geo.pname, geo.pindex or 0]
                geo.set_parent(parent)
                parent.add_child(geo)
        self.list_of_geos = made
        self.dict_of_comments = dict(enumerate(geometry.comments))
        self.valid = True

    def _made(self, pname: str | None, pindex: int, oname: str, oindex: int) -> GeometryObject:
        return GeometryObject(
            pname,
            pindex,
            oname,
            oindex,
            use_wide_pix_center=self.use_wide_pix_center,
            detector=self.detector,
            generation=self.generation,
            shape=self.shape,
            pixel_size=self.pixel_size,
            compat=self.compat,
        )

    @property
    def geometry(self) -> Geometry:
        """The parts as they stand now, and the comments."""
        comments = tuple(self.dict_of_comments[key] for key in sorted(self.dict_of_comments))
        parts = tuple(geo.part for geo in self.list_of_geos if geo.pname is not None)
        return Geometry(tuple(filter(None, comments)), parts)

    def save_pars_in_file(self, path: str | Path, *, compat: bool | None = None) -> None:
        """Write the geometry as it stands now.

        Parameters
        ----------
        path : str or Path
            The file; one that is there is replaced.
        compat : bool, optional
            Whether as psana writes: positions in whole um, rotations and tilts to 3 and 5 digits.
            By default as the object is; else nothing is lost.

        Raises
        ------
        BadFile
            If the path is a folder, or in none.
        """
        if not self.valid:
            return
        if self.compat if compat is None else compat:
            text = self._old_text()
        else:
            text = tree.format(self.geometry)
        _write(Path(os.path.realpath(path)), text)

    def _old_text(self) -> str:
        comments = [f"# {self.dict_of_comments[key]}" for key in sorted(self.dict_of_comments)]
        rows = [geo.old_row() for geo in self.list_of_geos if geo.pname is not None]
        return "\n".join([*comments, "", *rows, ""])

    def get_dict_of_comments(self) -> dict[int, str] | None:
        """Return the comments by their number."""
        return self.dict_of_comments if self.valid else None

    def get_geo(self, oname: str, oindex: int) -> GeometryObject | None:
        """Return the first part of a name and index; None if there is none."""
        if not self.valid:
            return None
        for geo in self.list_of_geos:
            if (geo.oname, geo.oindex) == (oname, oindex):
                return geo
        return None

    def get_top_geo(self) -> GeometryObject | None:
        """Return the frame that holds everything."""
        return self.list_of_geos[-1] if self.valid else None

    def get_seg_geo(self) -> GeometryObject | None:
        """Return the first part that has pixels of its own."""
        if not self.valid:
            return None
        return next((geo for geo in self.list_of_geos if geo.algo is not None), None)

    def _geo(self, oname: str | None, oindex: int) -> GeometryObject:
        """Return a part, or the top where none is named."""
        geo = self.list_of_geos[-1] if oname is None else self.get_geo(oname, oindex)
        if geo is None:
            there = tree.named((geo.oname, geo.oindex) for geo in self.list_of_geos)
            raise BadName(f"no part {shown(oname)} {oindex} in the geometry; there are {there}")
        return geo

    def _branch(self, oname: str | None, oindex: int) -> Branch:
        return self._geo(oname, oindex).branch()

    def shape3d(self) -> tuple[int, int, int] | None:
        """Return (panels, rows, cols)."""
        if not self.valid:
            return None
        segments = pixels.segments_of(self._branch(None, 0))
        return len(segments), *segments[0].shape

    def get_pixel_coords(
        self, oname: str | None = None, oindex: int = 0, do_tilt: bool = True, cframe: int = 0
    ) -> tuple[Floats, Floats, Floats] | None:
        """Return x, y, z of the pixels of a part, or of all, as `pixels.coordinates` [um]."""
        if not self.valid:
            return None
        return pixels.coordinates(self._branch(oname, oindex), tilt=do_tilt, frame=cframe)

    def coords_psana_to_lab_frame(
        self, x: Floats, y: Floats, z: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Return coordinates of the one frame in the other."""
        return -y, -x, -z

    def coords_lab_to_psana_frame(
        self, x: Floats, y: Floats, z: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Return coordinates of the one frame in the other."""
        return -y, -x, -z

    def get_pixel_xy_at_z(
        self,
        zplane: float | None = None,
        oname: str | None = None,
        oindex: int = 0,
        do_tilt: bool = True,
        cframe: int = 0,
    ) -> tuple[Floats, Floats] | tuple[None, None]:
        """Return x, y projected through the origin onto a plane, as `pixels.project` [um]."""
        coordinates = self.get_pixel_coords(oname, oindex, do_tilt, cframe)
        return (None, None) if coordinates is None else pixels.project(*coordinates, zplane)

    def get_pixel_areas(self, oname: str | None = None, oindex: int = 0) -> Floats | None:
        """Return the areas of the pixels, 1 is a normal one."""
        return pixels.areas(self._branch(oname, oindex)) if self.valid else None

    def get_pixel_mask(
        self,
        oname: str | None = None,
        oindex: int = 0,
        mbits: int = 0o377,
        width: int | None = None,
        wcenter: int | None = None,
        edge_rows: int | None = None,
        edge_cols: int | None = None,
        center_rows: int | None = None,
        center_cols: int | None = None,
        wcentral: int | None = None,
        dtype: DTypeLike = np.uint8,
    ) -> Array | None:
        """Return the mask, 1 good; options as of `cdb.geometry.masks.segment_mask`.

        `wcentral` is what PSCalib calls `wcenter`.
        """
        if not self.valid:
            return None
        return self._geo(oname, oindex).get_pixel_mask(
            mbits=mbits,
            width=width,
            wcenter=wcenter,
            edge_rows=edge_rows,
            edge_cols=edge_cols,
            center_rows=center_rows,
            center_cols=center_cols,
            wcentral=wcentral,
            dtype=dtype,
        )

    def get_pixel_scale_size(self, oname: str | None = None, oindex: int = 0) -> float | None:
        """Return the pixel size of the first sensor [um]."""
        return pixels.scale_size(self._branch(oname, oindex)) if self.valid else None

    def get_pixel_coord_indexes(
        self,
        oname: str | None = None,
        oindex: int = 0,
        pix_scale_size_um: float | None = None,
        xy0_off_pix: tuple[float, float] | None = None,
        do_tilt: bool = True,
        cframe: int = 0,
    ) -> tuple[Indices, Indices] | tuple[None, None]:
        """Return rows and columns of an image for the pixels, as `pixels.indexes`."""
        coordinates = self.get_pixel_coords(oname, oindex, do_tilt, cframe)
        if coordinates is None:
            return None, None
        size = self._pixel_size(pix_scale_size_um, oname, oindex)
        return pixels.indexes(*coordinates[:2], size, offset=xy0_off_pix, frame=cframe)

    def get_pixel_xy_inds_at_z(
        self,
        zplane: float | None = None,
        oname: str | None = None,
        oindex: int = 0,
        pix_scale_size_um: float | None = None,
        xy0_off_pix: tuple[float, float] | None = None,
        do_tilt: bool = True,
        cframe: int = 0,
    ) -> tuple[Indices, Indices] | tuple[None, None]:
        """Return rows and columns for the pixels projected onto a plane."""
        x, y = self.get_pixel_xy_at_z(zplane, oname, oindex, do_tilt, cframe)
        if x is None or y is None:
            return None, None
        size = self._pixel_size(pix_scale_size_um, oname, oindex)
        return pixels.indexes(x, y, size, offset=xy0_off_pix, frame=cframe)

    def point_coord_indexes(
        self,
        p_um: tuple[float, float] = (0, 0),
        oname: str | None = None,
        oindex: int = 0,
        pix_scale_size_um: float | None = None,
        xy0_off_pix: tuple[float, float] | None = None,
        do_tilt: bool = True,
        cframe: int = 0,
        fract: bool = False,
    ) -> tuple[float, float] | tuple[None, None]:
        """Return row and column of a point, whole or with fractions; maybe outside of the image."""
        coordinates = self.get_pixel_coords(oname, oindex, do_tilt, cframe)
        if coordinates is None:
            return None, None
        size = self._pixel_size(pix_scale_size_um, oname, oindex)
        return self.xy_to_rc_point(*coordinates[:2], p_um, size, xy0_off_pix, cframe, fract)

    def xy_to_rc_point(
        self,
        X: Floats | None,  # noqa: N803 - psana's names
        Y: Floats | None,  # noqa: N803
        p_um: tuple[float, float] = (0, 0),
        pix_scale_size_um: float | None = None,
        xy0_off_pix: tuple[float, float] | None = None,
        cframe: int = 0,
        fract: bool = False,
    ) -> tuple[float, float] | tuple[None, None]:
        """Return row and column of a point in the image of some coordinates."""
        if X is None or Y is None or not (self.valid or pix_scale_size_um):
            return None, None
        size = self._pixel_size(pix_scale_size_um, None, 0)
        row, col = pixels.point_indexes(p_um, X, Y, size, offset=xy0_off_pix, frame=cframe)
        return (row, col) if fract else (math.floor(row), math.floor(col))

    def xy_to_rc_arrays(
        self,
        X: Floats | None,  # noqa: N803 - psana's names
        Y: Floats | None,  # noqa: N803
        pix_scale_size_um: float | None = None,
        xy0_off_pix: tuple[float, float] | None = None,
        cframe: int = 0,
    ) -> tuple[Indices, Indices] | tuple[None, None]:
        """Return rows and columns of the image of some coordinates."""
        if X is None or Y is None or not (self.valid or pix_scale_size_um):
            return None, None
        size = self._pixel_size(pix_scale_size_um, None, 0)
        return pixels.indexes(X, Y, size, offset=xy0_off_pix, frame=cframe)

    def _pixel_size(self, asked: float | None, oname: str | None, oindex: int) -> float:
        return pixels.scale_size(self._branch(oname, oindex)) if asked is None else asked

    def set_geo_pars(
        self,
        oname: str | None = None,
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
    ) -> None:
        """Set origin [um], rotation and tilt [deg] of a part; what is not named becomes 0."""
        if self.valid:
            geo = self._geo(oname, oindex)
            geo.set_geo_pars(x0, y0, z0, rot_z, rot_y, rot_x, tilt_z, tilt_y, tilt_x)

    def move_geo(
        self,
        oname: str | None = None,
        oindex: int = 0,
        dx: float = 0,
        dy: float = 0,
        dz: float = 0,
    ) -> None:
        """Move a part in the frame of its parent [um]."""
        if self.valid:
            self._geo(oname, oindex).move_geo(dx, dy, dz)

    def tilt_geo(
        self,
        oname: str | None = None,
        oindex: int = 0,
        dt_x: float = 0,
        dt_y: float = 0,
        dt_z: float = 0,
    ) -> None:
        """Add to the tilts of a part [deg]."""
        if self.valid:
            self._geo(oname, oindex).tilt_geo(dt_x, dt_y, dt_z)

    def get_psf(self) -> list[Psf] | None:
        """Return position, slow and fast step of each panel of a CSPAD; None of others."""
        if not self.valid:
            return None
        coordinates = pixels.panel_coordinates(self._branch(None, 0))
        if coordinates[0].shape != _CSPAD_SHAPE:
            return None
        return [psf.corner_psf([u[panel] for u in coordinates], 0, 0) for panel in range(32)]

    def psf(self, cframe: int = 1) -> list[Psf] | None:
        """Return position, slow and fast step of each ASIC, as `psf.psf_of` [um]."""
        return psf.psf_of(self._branch(None, 0), frame=cframe) if self.valid else None

    def data_psf(self, data: Array) -> Array | None:
        """Return data of the detector by ASIC, (asics, rows, cols)."""
        return psf.data_psf(self._branch(None, 0), data) if self.valid else None

    def pixel_coords_psf(self, cframe: int = 1) -> list[Floats] | None:
        """Return x, y, z of the pixels that `psf` means, each (asics, rows, cols) [um]."""
        vectors = self.psf(cframe)
        if vectors is None:
            return None
        first = pixels.segments_of(self._branch(None, 0))[0]
        return psf.pixel_coords_psf(vectors, first.asic_shape)

    def info_psf(self, cframe: int = 1) -> str | None:
        """Return the vectors of `psf` as text, a line each."""
        vectors = self.psf(cframe)
        return None if vectors is None else psf.info_psf(vectors)

    def info_get_psf(self) -> str | None:
        """Return the vectors of `get_psf` as text, a line each; None of others than CSPAD."""
        vectors = self.get_psf()
        if vectors is None:
            return None
        return f"print_psf(): psf.shape: {np.shape(vectors)} \npsf vectors:" + psf.info_psf(vectors)

    def print_psf(self) -> None:
        """Tell the log the vectors of `get_psf`."""
        _log.info("%s", self.info_get_psf())

    def print_list_of_geos(self) -> None:
        """Tell the log where the parts are."""
        self._print("print_list_of_geos():", [geo.info_geo() for geo in self.list_of_geos])

    def print_list_of_geos_children(self) -> None:
        """Tell the log which parts are on which."""
        lines = [geo.info_geo_children() for geo in self.list_of_geos]
        self._print("print_list_of_geos_children():", lines)

    def print_comments_from_dict(self) -> None:
        """Tell the log the comments."""
        comments = sorted(self.dict_of_comments.items())
        lines = [f"  key: {key:3}  val: {text}" for key, text in comments]
        self._print("print_comments_from_dict():", lines)

    def print_pixel_coords(
        self, oname: str | None = None, oindex: int = 0, cframe: int = 0
    ) -> None:
        """Tell the log the coordinates of the first pixels."""
        coordinates = self.get_pixel_coords(oname, oindex, cframe=cframe)
        if coordinates is not None:
            lines = [
                f" {name}: {', '.join(f'{value:10.1f}' for value in u.reshape(-1)[:9])}..."
                for name, u in zip("XYZ", coordinates, strict=True)
            ]
            self._print(f"size={coordinates[0].size}", lines)

    def _print(self, title: str, lines: list[str]) -> None:
        if self.valid:
            _log.info("%s", "\n".join([title, *lines]))

    def set_print_bits(self, pbits: int = 0) -> None:
        """Keep `pbits`, nothing else."""
        self.pbits = pbits

    def reset_cash(self) -> None:
        """Do nothing: there is no cache."""


def _write(path: Path, text: str) -> None:
    """Write a file as a whole or not at all."""
    if not path.parent.is_dir():
        raise BadFile(f"there is no folder {path.parent} for {path.name}; make it first")
    if path.is_dir():
        raise BadFile(f"{path} is a folder; give a file")
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8", errors="surrogateescape")
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _is_text(path_or_text: str) -> bool:
    """Return whether a string is a geometry text: several lines, or as many fields as a row has."""
    return "\n" in path_or_text or len(path_or_text.split()) == 4 + len(tree.NUMBERS)
