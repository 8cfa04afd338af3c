"""Where the pixels of a detector are: coordinates, indices, images, and the detector moved."""

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from cdb.detector.constants import Constants
from cdb.detector.run import Run
from cdb.errors import BadQuestion, shown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cdb.geometry.access import GeometryAccess
    from cdb.geometry.psf import Psf
    from cdb.pixel_map import Motion, Offset

    Array = NDArray[Any]
    Floats = NDArray[np.floating[Any]]

# Detectors with one panel whose image is made by their geometry; those of all other 2-d arrays
# are the array.
_PLACED = ("epix100", "epix100a", "epix10k", "epix10ka", "jungfrau")


class Pixels(Constants):
    """The calls that want a geometry."""

    def geometry(self, run: Run = None, *, default: bool = False) -> "GeometryAccess":
        """Return the geometry, as an object of its own: what is done to it stays there.

        Parameters
        ----------
        run : int, optional
            The run; without it the detector's own.
        default : bool, optional
            Take a packaged one, by detector type and number of panels, where there is none.

        Raises
        ------
        NotFound
            If there is none.
        BadFile
            If it is no geometry; the sentence names the line.
        """
        from cdb.geometry import tree
        from cdb.geometry.access import GeometryAccess

        geometry = GeometryAccess(tree.format(self.for_run(run)._geometry_tree(default)))
        for step in self.motions:
            geometry.move_geo(None, 0, step.dx, step.dy, step.dz)
            geometry.tilt_geo(None, 0, step.dt_x, step.dt_y, step.dt_z)
        return geometry

    def move_geo(self, run: Run, dx: float, dy: float, dz: float) -> Self:
        """Return the detector moved [um]; this one stays where it is."""
        from cdb.pixel_map import Motion

        return self._moved(run, Motion(dx=dx, dy=dy, dz=dz))

    def tilt_geo(self, run: Run, dtx: float, dty: float, dtz: float) -> Self:
        """Return the detector tilted about its axes [deg]; this one stays as it is."""
        from cdb.pixel_map import Motion

        return self._moved(run, Motion(dt_x=dtx, dt_y=dty, dt_z=dtz))

    def _moved(self, run: Run, motion: "Motion") -> Self:
        there = self.for_run(run)
        return replace(there, motions=(*there.motions, motion))

    def coords_x(self, run: Run = None, cframe: int = 0, *, default: bool = False) -> "Floats":
        """Return x of each pixel [um]; see `coords_xyz`."""
        return self.coords_xyz(run, cframe, default=default)[0]

    def coords_y(self, run: Run = None, cframe: int = 0, *, default: bool = False) -> "Floats":
        """Return y of each pixel [um]; see `coords_xyz`."""
        return self.coords_xyz(run, cframe, default=default)[1]

    def coords_z(self, run: Run = None, cframe: int = 0, *, default: bool = False) -> "Floats":
        """Return z of each pixel [um]; see `coords_xyz`."""
        return self.coords_xyz(run, cframe, default=default)[2]

    def coords_xy(
        self, run: Run = None, cframe: int = 0, *, default: bool = False
    ) -> "tuple[Floats, Floats]":
        """Return x and y of each pixel [um]; see `coords_xyz`."""
        return self.coords_xyz(run, cframe, default=default)[:2]

    def coords_xyz(
        self, run: Run = None, cframe: int = 0, *, default: bool = False
    ) -> "tuple[Floats, Floats, Floats]":
        """Return x, y and z of each pixel, float64 [um].

        Parameters
        ----------
        run : int, optional
            The run; without it the detector's own.
        cframe : int, optional
            0 psana's frame of images, 1 the laboratory's; see `cdb.geometry.pixels`.
        default : bool, optional
            Take a packaged geometry where there is none.
        """
        return self.for_run(run)._map(default).coords(cframe)

    def areas(self, run: Run = None, *, default: bool = False) -> "Floats":
        """Return the area of each pixel; 1 is a normal one."""
        return self.for_run(run)._map(default).areas()

    def pixel_size(self, run: Run = None, *, default: bool = False) -> float:
        """Return the size of a normal pixel [um]."""
        return self.for_run(run)._map(default).pixel_size

    def psf(self, run: Run = None, cframe: int = 1, *, default: bool = False) -> "list[Psf]":
        """Return position, slow and fast vectors of each ASIC [um]."""
        return self.for_run(run)._map(default).psf(cframe)

    def pixel_coords_psf(self, run: Run = None, cframe: int = 1) -> "list[Array] | None":
        """Return x, y and z of each pixel by the vectors of `psf` [um], ASIC by ASIC."""
        return self.geometry(run).pixel_coords_psf(cframe)

    def data_psf(self, run: Run, data: "Array") -> "Array | None":
        """Return data ASIC by ASIC, in the order of `psf`."""
        return self.geometry(run).data_psf(data)

    def indexes_x(
        self,
        run: Run = None,
        pix_scale_size_um: float | None = None,
        xy0_off_pix: "Offset | None" = None,
        *,
        default: bool = False,
    ) -> "Array":
        """Return the row of each pixel in an image; see `indexes_xy`."""
        return self.indexes_xy(run, pix_scale_size_um, xy0_off_pix, default=default)[0]

    def indexes_y(
        self,
        run: Run = None,
        pix_scale_size_um: float | None = None,
        xy0_off_pix: "Offset | None" = None,
        *,
        default: bool = False,
    ) -> "Array":
        """Return the column of each pixel in an image; see `indexes_xy`."""
        return self.indexes_xy(run, pix_scale_size_um, xy0_off_pix, default=default)[1]

    def indexes_xy(
        self,
        run: Run = None,
        pix_scale_size_um: float | None = None,
        xy0_off_pix: "Offset | None" = None,
        *,
        default: bool = False,
    ) -> "tuple[Array, Array]":
        """Return row and column of each pixel in an image, uint64.

        Parameters
        ----------
        run : int, optional
            The run; without it the detector's own.
        pix_scale_size_um : float, optional
            Pixel size of the image; without it the detector's [um].
        xy0_off_pix : tuple of float, optional
            By how many pixels the image begins before the smallest x, and before the smallest y.
        default : bool, optional
            Take a packaged geometry where there is none.
        """
        found = self.for_run(run)._map(default)
        return found.indexes(pix_scale_size_um, _pair(xy0_off_pix))

    def indexes_xy_at_z(
        self,
        run: Run = None,
        zplane: float | None = None,
        pix_scale_size_um: float | None = None,
        xy0_off_pix: "Offset | None" = None,
        *,
        default: bool = False,
    ) -> "tuple[Array, Array]":
        """Return the same, of pixels projected onto a plane [um]; without z that of their mean."""
        found = self.for_run(run)._map(default)
        return found.indexes_at_z(zplane, pix_scale_size_um, _pair(xy0_off_pix))

    def point_indexes(
        self,
        run: Run = None,
        pxy_um: tuple[float, float] = (0, 0),
        pix_scale_size_um: float | None = None,
        xy0_off_pix: "Offset | None" = None,
        cframe: int = 0,
        fract: bool = False,
        *,
        default: bool = False,
    ) -> tuple[float, float]:
        """Return row and column of a point [um] in an image, maybe outside of it.

        Whole numbers, or with their fractions if `fract`; other parameters as of `indexes_xy`.
        """
        return (
            self.for_run(run)
            ._map(default)
            .point_indexes(pxy_um, pix_scale_size_um, _pair(xy0_off_pix), cframe, fract=fract)
        )

    def image(
        self,
        run: "Run | Array" = None,
        nda_in: "Array | None" = None,
        pix_scale_size_um: float | None = None,
        xy0_off_pix: "Offset | None" = None,
        *,
        default: bool = False,
    ) -> "Array":
        """Return the image that a frame makes: ``det.image(nda)``, ``det.image(run, nda)``.

        Parameters
        ----------
        run : int, optional
            The run; or, in the place of an event, the frame.
        nda_in : ndarray
            The frame, a value for each pixel.
        pix_scale_size_um, xy0_off_pix, default : optional
            As of `indexes_xy`.

        Returns
        -------
        image : ndarray of floats, 2-d
            0 where no pixel is; of pixels that meet the last one is seen. A frame in two
            dimensions is its own image, as a copy, but for epix and jungfrau.

        Raises
        ------
        NotFound
            If there is no geometry.
        BadArray
            If the frame is not of the detector's pixels.
        """
        run, nda = run_and_array(run, nda_in, "image")
        there = self.for_run(run)
        if nda.ndim == 2 and self.dettype.lower() not in _PLACED:
            return nda.copy()
        return there._map(default).image(nda, pix_scale_size_um, _pair(xy0_off_pix))

    def ndarray_from_image(
        self,
        run: Run,
        image: "Array",
        pix_scale_size_um: float | None = None,
        xy0_off_pix: "Offset | None" = None,
        *,
        default: bool = False,
    ) -> "Array":
        """Return what an image holds at each pixel: the inverse of `image`."""
        there = self.for_run(run)
        return there._map(default).values_of(image, pix_scale_size_um, _pair(xy0_off_pix))

    def image_xaxis(
        self,
        run: Run = None,
        pix_scale_size_um: float | None = None,
        x0_off_pix: float | None = None,
        *,
        default: bool = False,
    ) -> "Floats":
        """Return x of the rows of an image [um]; see `indexes_xy`."""
        found = self.for_run(run)._map(default)
        return found.axes(pix_scale_size_um, _pair((x0_off_pix or 0, 0)))[0]

    def image_yaxis(
        self,
        run: Run = None,
        pix_scale_size_um: float | None = None,
        y0_off_pix: float | None = None,
        *,
        default: bool = False,
    ) -> "Floats":
        """Return y of the columns of an image [um]; see `indexes_xy`."""
        found = self.for_run(run)._map(default)
        return found.axes(pix_scale_size_um, _pair((0, y0_off_pix or 0)))[1]


def run_and_array(run: "Run | Array", nda: "Array | None", call: str) -> "tuple[Run, Array]":
    """Return a run and an array, where the array may stand in the place of an event.

    Raises
    ------
    BadQuestion
        If there is no array, or one too many.
    """
    import numpy as np

    if isinstance(run, np.ndarray) and nda is None:
        return None, run
    if isinstance(run, np.ndarray) or not isinstance(nda, np.ndarray):
        raise BadQuestion(
            f"det.{call}(nda) or det.{call}(run, nda) is what it takes; anything else by its name"
        )
    return run, nda


def _pair(offset: "Offset | None") -> "Offset | None":
    """Return an offset that can be kept under its values."""
    if offset is None:
        return None
    try:
        by_x, by_y = map(float, offset)
    except (TypeError, ValueError):
        by_x = by_y = math.nan
    if not math.isfinite(by_x + by_y):
        raise BadQuestion(f"an image is offset by two numbers of pixels, not {shown(offset)}")
    return by_x, by_y
