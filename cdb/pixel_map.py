"""Where the pixels of a detector's arrays are, and the images that arrays make.

A map never changes: what was once computed is kept, and arrays that it gives are read-only. It is
moved or tilted by making another one.
"""

import math
from dataclasses import astuple, dataclass, replace
from functools import lru_cache
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdb.errors import BadArray, BadQuestion
from cdb.geometry import pixels, psf
from cdb.geometry.images import ImageIndex
from cdb.geometry.pixels import Branch, Indices
from cdb.geometry.psf import Psf
from cdb.geometry.segments import Floats
from cdb.geometry.tree import Geometry
from cdb.shapes import Shape

Offset = tuple[float, float]

EDGES, CENTRAL = 1, 2
# So many images of different pixel sizes or offsets are kept.
_KEPT = 4


@dataclass(frozen=True)
class Motion:
    """A step of the whole detector.

    Attributes
    ----------
    dx, dy, dz : float
        Added to its origin [um].
    dt_x, dt_y, dt_z : float
        Added to its tilts [deg].
    """

    dx: float = 0
    dy: float = 0
    dz: float = 0
    dt_x: float = 0
    dt_y: float = 0
    dt_z: float = 0

    def __post_init__(self) -> None:
        """Refuse what is no step."""
        if not all(isinstance(by, Real) and math.isfinite(by) for by in astuple(self)):
            raise BadQuestion(f"a detector is moved and tilted by numbers, not by {self}")


class PixelMap:
    """The pixels of a detector in space.

    Parameters
    ----------
    geometry : Geometry
        Its parts.
    shape : tuple of int, optional
        Of arrays, by which all results are shaped; (n_panels, n_rows, n_cols) without it.
    motions : tuple of Motion, optional
        Steps of the whole detector, in any order.

    Raises
    ------
    BadArray
        If the geometry has other pixels than the arrays.

    Examples
    --------
    >>> from cdb.geometry import tree
    >>> text = "IP 0 EPIX100:V1 0  0 0 -100000  90 180 0  0 0 0"
    >>> PixelMap(tree.parse(text), (704, 768)).image(np.ones((704, 768))).shape
    (709, 773)
    """

    def __init__(
        self, geometry: Geometry, shape: Shape | None = None, motions: tuple[Motion, ...] = ()
    ) -> None:
        top = pixels.branches(geometry)[-1]
        for motion in motions:
            top = _moved(top, motion)
        self._top = top
        first, *_ = kinds = pixels.segments_of(top)
        panels = (len(kinds), *first.shape)
        self.shape = panels if shape is None else shape
        if np.prod(self.shape) != np.prod(panels) or self.shape[-2:] != panels[-2:]:
            raise BadArray(
                f"the geometry has {panels[0]} panels of {panels[1]} x {panels[2]} pixels, and "
                f"arrays of the detector are {self.shape}"
            )
        self._coords = lru_cache(2)(self._find_coords)
        self._indexes = lru_cache(_KEPT)(self._find_indexes)
        self._image_index = lru_cache(_KEPT)(self._make_image_index)

    @property
    def pixel_size(self) -> float:
        """The size of a normal pixel [um]."""
        return pixels.scale_size(self._top)

    def _size_or_own(self, size: float | None) -> float:
        return self.pixel_size if size is None else size

    def coords(self, cframe: int = 0) -> tuple[Floats, Floats, Floats]:
        """Return x, y and z of the pixels [um].

        Parameters
        ----------
        cframe : int, optional
            0 psana's frame, 1 the laboratory's.
        """
        return self._coords(cframe)

    def _find_coords(self, cframe: int) -> tuple[Floats, Floats, Floats]:
        x, y, z = pixels.panel_coordinates(self._top, frame=cframe)
        return self._shaped(x), self._shaped(y), self._shaped(z)

    def areas(self) -> Floats:
        """Return the areas of the pixels; 1 is a normal one."""
        return self._shaped(pixels.panel_stack(self._top, pixels.areas(self._top)))

    def mask(self, mbits: int, *, width: int = 1, wcentral: int = 1) -> NDArray[np.uint8]:
        """Return which pixels are good by the sensor type.

        Parameters
        ----------
        mbits : int
            A sum: 1 edges and 2 borders between ASICs are bad, 4 unbonded pixels, 8 these and
            their four neighbours, 16 these and their eight.
        width, wcentral : int, optional
            Rows and columns at an edge, and on either side of a border.
        """
        edge = width if mbits & EDGES else 0
        center = wcentral if mbits & CENTRAL else 0
        mask = pixels.mask(
            self._top, mbits=mbits, edge_rows=edge, edge_cols=edge, center_rows=center,
            center_cols=center,
        )  # fmt: skip
        return self._shaped(pixels.panel_stack(self._top, mask))

    def indexes(
        self,
        pix_scale_size_um: float | None = None,
        xy0_off_pix: Offset | None = None,
        cframe: int = 0,
    ) -> tuple[Indices, Indices]:
        """Return row and column of each pixel in an image.

        Parameters
        ----------
        pix_scale_size_um : float, optional
            Pixel size of the image; without it the detector's [um].
        xy0_off_pix : tuple of float, optional
            By how many pixels the image begins before the smallest x, and before the smallest y.
        cframe : int, optional
            As of `coords`.
        """
        return self._indexes(pix_scale_size_um, xy0_off_pix, cframe, None)

    def indexes_at_z(
        self,
        zplane: float | None = None,
        pix_scale_size_um: float | None = None,
        xy0_off_pix: Offset | None = None,
    ) -> tuple[Indices, Indices]:
        """Return the same, of the pixels projected onto a plane; without z that of their mean."""
        return self._indexes(pix_scale_size_um, xy0_off_pix, 0, (zplane,))

    def _find_indexes(
        self,
        size: float | None,
        offset: Offset | None,
        cframe: int,
        plane: tuple[float | None] | None,
    ) -> tuple[Indices, Indices]:
        x, y, z = self.coords(cframe)
        if plane is not None:
            x, y = pixels.project(x, y, z, plane[0])
        rows, cols = pixels.indexes(x, y, self._size_or_own(size), offset=offset, frame=cframe)
        return self._shaped(rows), self._shaped(cols)

    def point_indexes(
        self,
        p_um: tuple[float, float] = (0, 0),
        pix_scale_size_um: float | None = None,
        xy0_off_pix: Offset | None = None,
        cframe: int = 0,
        *,
        fract: bool = False,
    ) -> tuple[float, float]:
        """Return row and column of a point [um]; whole unless their fractions are asked for."""
        x, y, _ = self.coords(cframe)
        size = self._size_or_own(pix_scale_size_um)
        row, col = pixels.point_indexes(p_um, x, y, size, offset=xy0_off_pix, frame=cframe)
        return (row, col) if fract else (int(np.floor(row)), int(np.floor(col)))

    def image(
        self,
        values: NDArray[Any],
        pix_scale_size_um: float | None = None,
        xy0_off_pix: Offset | None = None,
    ) -> NDArray[Any]:
        """Return the image that values make; of pixels that meet the last one is seen.

        Parameters
        ----------
        values : ndarray
            One for each pixel.
        pix_scale_size_um, xy0_off_pix : optional
            As of `indexes`.

        Raises
        ------
        BadArray
            If they are not of the detector's pixels.
        """
        if values.size != np.prod(self.shape) or values.shape[-2:] != self.shape[-2:]:
            raise BadArray(f"values of the shape {values.shape} are not of {self.shape} pixels")
        dtype = values.dtype if values.dtype.kind == "f" else np.dtype(np.float64)
        index = self._image_index(pix_scale_size_um, xy0_off_pix)
        return index.assemble(np.ascontiguousarray(values), dtype=dtype)

    def values_of(
        self,
        image: NDArray[Any],
        pix_scale_size_um: float | None = None,
        xy0_off_pix: Offset | None = None,
    ) -> NDArray[Any]:
        """Return what an image holds at each pixel; see `image`."""
        return self._image_index(pix_scale_size_um, xy0_off_pix).values_of(image)

    def _make_image_index(self, size: float | None, offset: Offset | None) -> ImageIndex:
        return ImageIndex(*self._indexes(size, offset, 0, None))

    def axes(
        self, pix_scale_size_um: float | None = None, xy0_off_pix: Offset | None = None
    ) -> tuple[Floats, Floats]:
        """Return x of the rows of an image, and y of its columns [um]; see `image`."""
        size = self._size_or_own(pix_scale_size_um)
        lengths = self._image_index(pix_scale_size_um, xy0_off_pix).shape
        before = (0.0, 0.0) if xy0_off_pix is None else xy0_off_pix
        x, y = (
            np.nanmin(place) - max(0.0, by) * size + size * np.arange(length)
            for place, by, length in zip(self.coords()[:2], before, lengths, strict=True)
        )
        return x, y

    def psf(self, cframe: int = 1) -> list[Psf]:
        """Return position, slow and fast vectors of each ASIC [um]."""
        return psf.psf_of(self._top, frame=cframe)

    def _shaped(self, stack: NDArray[Any]) -> NDArray[Any]:
        shaped = np.ascontiguousarray(stack).reshape(self.shape)
        shaped.flags.writeable = False
        return shaped


def _moved(top: Branch, motion: Motion) -> Branch:
    part = top.part
    part = replace(
        part,
        x0=part.x0 + motion.dx, y0=part.y0 + motion.dy, z0=part.z0 + motion.dz,
        tilt_x=part.tilt_x + motion.dt_x, tilt_y=part.tilt_y + motion.dt_y,
        tilt_z=part.tilt_z + motion.dt_z,
    )  # fmt: skip
    return replace(top, part=part)
