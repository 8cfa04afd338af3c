"""The constants of a detector as arrays: pedestals, noise, gains, status; and their shape."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cdb.detector.run import OfRun, Run
from cdb.errors import BadArray, BadPayload, CalibError, NotFound, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cdb.geometry.tree import Geometry
    from cdb.pixel_constants import LoadingStatus
    from cdb.pixel_map import PixelMap
    from cdb.shapes import Shape

    Array = NDArray[Any]


class Constants(OfRun):
    """The calls that give constants."""

    def pedestals(self, run: Run = None, *, default: bool = False) -> "Array":
        """Return the averages of dark frames, float32 [ADU].

        Parameters
        ----------
        run : int, optional
            The run; without it the detector's own.
        default : bool, optional
            Return 0 for each pixel where there are none.

        Raises
        ------
        NotFound
            If there are none; with `default`, if the shape of the detector is not known either.
        BadArray
            If they are not of the detector's pixels, or do not fit their dtype.
        BadPayload
            If they are no array.
        Corrupt
            If the stored bytes are not those that were deployed.
        """
        return self._constant("pedestals", run, default)

    def rms(self, run: Run = None, *, default: bool = False) -> "Array":
        """Return the noise of each pixel, float32 [ADU]; default 1. See `pedestals`."""
        return self._constant("pixel_rms", run, default)

    def gain(self, run: Run = None, *, default: bool = False) -> "Array":
        """Return the gain of each pixel, float32; default 1. See `pedestals`.

        Its unit stands in the metadata; where it does not, `cdb.calibration.gain_divides` tells
        what is the custom of the detector type.
        """
        return self._constant("pixel_gain", run, default)

    def offset(self, run: Run = None, *, default: bool = False) -> "Array":
        """Return what is subtracted besides the pedestals, float32 [ADU]. See `pedestals`."""
        return self._constant("pixel_offset", run, default)

    def bkgd(self, run: Run = None, *, default: bool = False) -> "Array":
        """Return the background of each pixel, float32; default 0. See `pedestals`."""
        return self._constant("pixel_bkgd", run, default)

    def status(self, run: Run = None, *, default: bool = False) -> "Array":
        """Return the bits of bad pixels by dark runs, uint16; default 0. See `pedestals`."""
        return self._constant("pixel_status", run, default)

    def status_extra(self, run: Run = None, *, default: bool = False) -> "Array":
        """Return further bits of bad pixels, uint64; default 0. See `pedestals`."""
        return self._constant("status_extra", run, default)

    def status_data(self, run: Run = None, *, default: bool = False) -> "Array":
        """Return the bits of bad pixels by data runs, uint16; default 0. See `pedestals`."""
        return self._constant("status_data", run, default)

    # Its name in LCLS-I's older scripts.
    datast = status_data

    def mask_calib(self, run: Run = None, *, default: bool = False) -> "Array":
        """Return the deployed mask of good pixels, uint8; default 1. See `pedestals`."""
        return self._constant("pixel_mask", run, default)

    def common_mode(self, run: Run = None, *, default: bool = False) -> "Array":
        """Return the parameters of the common mode, float64, 1-d.

        `cdb.common_mode.describe` tells what they mean; the default is that of LCLS-I's Python
        readers. See `pedestals`.
        """
        return self._constant("common_mode", run, default)

    def _constant(self, ctype: str, run: Run, default: bool) -> "Array":
        return self.for_run(run)._own(ctype, default)

    def _own(self, ctype: str, default: bool = False) -> "Array":
        """Return a constant for the detector's own run."""
        stored = self._stored_as(ctype)
        if not default:
            self._require(stored)
        if default and stored not in self.calibconst:
            found: Array = self._once((ctype, "default"), lambda: self._default(ctype))
        else:
            found = self._once(stored, lambda: self._load(stored))
        return found

    def _require(self, ctype: str) -> None:
        """Refuse what is not there, and say how to go on without it."""
        try:
            self.calibconst.version(ctype)
        except NotFound as error:
            raise NotFound(f"{error}; with default=True a default stands in") from None

    def _stored_as(self, ctype: str) -> str:
        """Return the type by which a constant is stored: status_data has an old name."""
        old = ctype == "status_data" and ctype not in self.calibconst
        return "pixel_datast" if old and "pixel_datast" in self.calibconst else ctype

    def _load(self, ctype: str) -> "Array":
        import numpy as np

        from cdb import pixel_constants

        values = pixel_constants.cast(self._stored(ctype), ctype)
        if ctype == "common_mode":
            values = np.atleast_1d(values.squeeze())
        return _read_only(values)

    def _stored(self, ctype: str) -> "Array":
        """Return a constant in today's shape, and the dtype that it is stored with."""
        import numpy as np

        from cdb import pixel_constants

        data, _ = self.calibconst[ctype]
        if not isinstance(data, np.ndarray | list):
            raise BadPayload(f"{ctype} of {self.name} is no array: {shown(data)}")
        try:
            values = np.asarray(data)
        except ValueError:  # rows of different lengths
            raise BadPayload(f"{ctype} of {self.name} is no array: {shown(data)}") from None
        return pixel_constants.shaped(values, self.dettype, ctype)

    def _default(self, ctype: str) -> "Array":
        import numpy as np

        from cdb import common_mode, pixel_constants

        if ctype == "common_mode":
            shape = self._shape_if_known() or ()
            return _read_only(np.array(common_mode.defaults(self.dettype, shape)))
        return _read_only(pixel_constants.default(ctype, self.dettype, self.shape()))

    def loading_status(
        self, run: Run, ctype: str | int, *, default: bool = False
    ) -> "LoadingStatus":
        """Return what becomes of a constant that is asked for, with the true cause.

        Parameters
        ----------
        run : int or None
            The run; None for the detector's own.
        ctype : str or int
            Type of the constant, or LCLS-I's number of it.
        default : bool, optional
            Whether its default is asked for too.

        Returns
        -------
        status : LoadingStatus
            LOADED; DEFAULT if the default stands in; NONFOUND; WRONGSIZE if it is not of the
            detector's pixels or its values do not fit; UNREADABLE if the stored bytes are damaged
            or no array; UNDEFINED for a type without such a call.
        """
        from cdb import pixel_constants
        from cdb.pixel_constants import LoadingStatus

        name = pixel_constants.ctype_of(ctype)
        there = self.for_run(run)
        if name == "geometry":
            call: Callable[[], Any] = lambda: there._map(default)  # noqa: E731 - one of two
        elif name in pixel_constants.DTYPES:
            call = lambda: there._own(name, default)  # noqa: E731
        else:
            return LoadingStatus.UNDEFINED
        stored = there._stored_as(name)
        try:
            call()
        except NotFound:
            return LoadingStatus.NONFOUND
        except BadArray:
            return LoadingStatus.WRONGSIZE
        except CalibError:
            return LoadingStatus.UNREADABLE
        return LoadingStatus.LOADED if stored in there.calibconst else LoadingStatus.DEFAULT

    def shape(self, run: Run = None) -> "Shape":
        """Return the shape of a frame: (n_panels, n_rows, n_cols) or (n_rows, n_cols).

        Raises
        ------
        NotFound
            If neither the constants nor the detector type tell it.
        """
        there = self.for_run(run)
        known = there._once("shape", there._shape_if_known)
        if known is None:
            raise NotFound(
                f"no constant of {self.name} tells how many pixels it has, nor does its type; "
                f"there are: {', '.join(there.calibconst) or 'none'}"
            )
        found: Shape = known
        return found

    def size(self, run: Run = None) -> int:
        """Return how many pixels a frame has; see `shape`."""
        return math.prod(self.shape(run))

    def ndim(self, run: Run = None) -> int:
        """Return how many dimensions a frame has; see `shape`."""
        return len(self.shape(run))

    def _shape_if_known(self) -> "Shape | None":
        from cdb import pixel_constants

        for ctype in pixel_constants.DTYPES:
            if ctype in self.calibconst and ctype != "common_mode":
                shape = self._frame_by(ctype)
                if shape is not None:
                    return shape
        fixed = pixel_constants.fixed_shape(self.dettype)
        if fixed is None and "geometry" in self.calibconst:
            from cdb.pixel_map import PixelMap

            shape = PixelMap(self._geometry_tree(default=False)).shape
            return shape[1:] if pixel_constants.is_one_panel(self.dettype) else shape
        return fixed

    def _frame_by(self, ctype: str) -> "Shape | None":
        """Return the shape of a frame as the document of a constant tells it."""
        from cdb import pixel_constants
        from cdb.payload.arrays import shape_of

        try:
            stored = shape_of(self.calibconst.version(ctype).meta.get("data_shape"))
        except BadPayload:
            return None
        return pixel_constants.frame_of(stored, self.dettype, ctype)

    def _geometry_tree(self, default: bool) -> "Geometry":
        from cdb.geometry import tree

        if not default:
            self._require("geometry")
        if "geometry" in self.calibconst:
            text, _ = self.calibconst["geometry"]
            if not isinstance(text, str):
                raise BadPayload(f"geometry of {self.name} is no text: {shown(text)}")
            return tree.parse(text, f"geometry of {self.name}")
        from cdb.geometry.defaults import default_for

        shape = self._shape_if_known()
        panels = 1 if shape is None or len(shape) < 3 else shape[0]
        return default_for(self.dettype, None if shape is None else panels)

    def _map(self, default: bool) -> "PixelMap":
        from cdb.pixel_map import PixelMap

        def made() -> PixelMap:
            geometry = self._geometry_tree(default)
            return PixelMap(geometry, self._once("shape", self._shape_if_known), self.motions)

        found: PixelMap = self._once(("map", default), made)
        return found


def _read_only(values: "Array") -> "Array":
    if values.flags.writeable:
        values = values.view()
        values.flags.writeable = False
    return values
