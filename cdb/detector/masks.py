"""Masks of a detector: of its status, deployed ones, of its sensors, and all of them together."""

from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

from cdb.detector.pixels import Pixels
from cdb.detector.run import Run
from cdb.errors import BadQuestion, NotFound, shown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Mask = NDArray[np.uint8]

STATUS_TYPES = ("pixel_status", "status_extra", "status_data")
# What the bits of `mask_comb` ask for.
_STATUS, _CALIB, _EDGES, _CENTRAL, _UNBOND, _UNBOND4, _UNBOND8 = 1, 2, 4, 8, 16, 32, 64
# Bits of `cdb.geometry.masks`.
_GEO_EDGES, _GEO_CENTRAL, _GEO_UNBOND, _GEO_UNBOND4, _GEO_UNBOND8 = 1, 2, 4, 8, 16


class Masks(Pixels):
    """The calls that give masks."""

    def status_as_mask(
        self,
        run: Run = None,
        mstcode: int | None = None,
        mstextra: int | None = None,
        mstdata: int | None = None,
        mode: int = 0,
        indexes: Sequence[int] | None = None,
        *,
        default: bool = False,
    ) -> "Mask":
        """Return which pixels have no bits of bad ones.

        Parameters
        ----------
        run : int, optional
            The run; without it the detector's own.
        mstcode, mstextra, mstdata : int, optional
            Which bits of pixel_status, of status_extra and of status_data make a pixel bad: all
            without it, none for 0. What is not there says nothing.
        mode : int, optional
            0, or 1 and 2 to make the four or eight neighbours of a bad pixel bad too.
        indexes : sequence of int, optional
            Gain ranges that count; without it those that are measured, see
            `cdb.masks.merge_status`.
        default : bool, optional
            Return 1 for each pixel where there is no status.

        Returns
        -------
        mask : ndarray of uint8
            As a frame is shaped.

        Raises
        ------
        NotFound
            If there is no status of these types.
        """
        from cdb import masks

        there = self.for_run(run)
        codes = zip(STATUS_TYPES, (mstcode, mstextra, mstdata), strict=True)
        wanted = {ctype: code for ctype, code in codes if code != 0}
        if mode not in (0, 1, 2):
            raise BadQuestion(f"mode is {shown(mode)}; 0, 1 or 2 for no, four, eight neighbours")
        mask: Mask | None = None
        for ctype, code in wanted.items():
            stored = there._stored_as(ctype)
            if stored in there.calibconst:
                status = there._bits(stored, indexes)
                one = masks.status_as_mask(status, masks.ALL_BITS if code is None else code)
                mask = masks.merge_masks(mask, one)
        if mask is None:
            if not default:
                there._require("pixel_status")
            return there._all_good()
        return masks.mask_neighbors(mask, allnbrs=mode == 2) if mode else mask

    def _bits(self, ctype: str, indexes: Sequence[int] | None) -> "Array":
        """Return the bits of a status of any width, gain ranges merged."""
        from cdb import masks, pixel_constants

        status = self._stored(ctype)
        if status.dtype.kind == "f":  # read from a text
            status = pixel_constants.cast(status, "status_extra")
        if status.ndim == len(self.shape()) + 1:
            status = masks.merge_status(status, masks.MEASURED if indexes is None else indexes)
        return status

    def _has_status(self) -> bool:
        return any(self._stored_as(ctype) in self.calibconst for ctype in STATUS_TYPES)

    def _all_good(self) -> "Mask":
        import numpy as np

        return np.ones(self.shape(), np.uint8)

    def mask_total(
        self,
        run: Run = None,
        status: bool = True,
        unbond: bool = False,
        neighbors: bool = False,
        edges: bool = False,
        central: bool = False,
        calib: bool = False,
        *,
        mstcode: int | None = None,
        mstextra: int | None = None,
        mstdata: int | None = None,
        indexes: Sequence[int] | None = None,
        rad: int = 5,
        ptrn: str = "r",
        mrows: int = 1,
        mcols: int = 1,
        wcentral: int = 1,
        default: bool = False,
    ) -> "Mask":
        """Return which pixels are good in all of the masks that are asked for.

        Parameters
        ----------
        run : int, optional
            The run; without it the detector's own.
        status : bool, optional
            That of `status_as_mask`, with `mstcode`, `mstextra`, `mstdata` and `indexes`.
        unbond : bool, optional
            Without unbonded pixels, which cspad has.
        neighbors : bool, optional
            What is bad so far grows by `rad` pixels to a rhombus (`ptrn` r), circle (c), square.
        edges : bool, optional
            Without the outer `mrows` rows and `mcols` columns of each panel.
        central : bool, optional
            Without `wcentral` rows and columns on either side of the borders between ASICs.
        calib : bool, optional
            That of `mask_calib`, good in all gain ranges.
        default : bool, optional
            What is not there says nothing.

        Returns
        -------
        mask : ndarray of uint8
            As a frame is shaped.

        Raises
        ------
        NotFound
            If a constant is missing.
        BadQuestion
            If no mask is asked for.
        """
        from cdb import masks

        there = self.for_run(run)
        if not (status or unbond or edges or central or calib):
            raise BadQuestion("no mask is asked for; give status, unbond, edges, central or calib")
        mask = there._all_good()
        if status:
            of_status = there.status_as_mask(
                None, mstcode, mstextra, mstdata, indexes=indexes, default=default
            )
            mask = masks.merge_masks(mask, of_status)
        if unbond:
            mask = masks.merge_masks(mask, there._sensor_mask(_GEO_UNBOND, default))
        if neighbors:
            mask = masks.mask_neighbors_in_radius(mask, rad, ptrn)
        if edges:
            mask = masks.mask_edges(mask, mrows, mcols)
        if central:
            of_borders = there._sensor_mask(_GEO_CENTRAL, default, wcentral=wcentral)
            mask = masks.merge_masks(mask, of_borders)
        if calib:
            mask = masks.merge_masks(mask, there._calib_mask(default))
        return mask

    # The name that newer scripts of LCLS-I use.
    mask_v2 = mask_total

    def _calib_mask(self, default: bool) -> "Mask":
        from cdb import masks

        mask = self._own("pixel_mask", default)
        if mask.ndim == len(self.shape()) + 1:
            return masks.merge_masks_for_gain_index(mask, range(mask.shape[0]))
        return masks.merge_masks(mask)

    def mask(
        self,
        run: Run = None,
        calib: bool = False,
        status: bool | None = None,
        edges: bool = False,
        central: bool = False,
        unbond: bool = False,
        unbondnbrs: bool = False,
        unbondnbrs8: bool = False,
        *,
        mstcode: int | None = None,
        mode: int = 0,
        indexes: Sequence[int] | None = None,
        width: int = 1,
        wcentral: int = 1,
        default: bool = False,
    ) -> "Mask":
        """Return which pixels are good in all of the masks that are asked for; the older call.

        Parameters
        ----------
        run : int, optional
            The run; without it the detector's own.
        calib : bool, optional
            That of `mask_calib`.
        status : bool, optional
            That of `status_as_mask`, with `mstcode`, `mode` and `indexes`. Without it yes if
            nothing else is asked for.
        edges, central : bool, optional
            Without `width` rows and columns at the edges of each panel, `wcentral` on either side
            of borders between ASICs.
        unbond, unbondnbrs, unbondnbrs8 : bool, optional
            Without unbonded pixels, which cspad has; with their four, their eight neighbours.
        default : bool, optional
            What is not there says nothing.

        Raises
        ------
        NotFound
            If a constant is missing.
        """
        from cdb import masks

        there = self.for_run(run)
        bits = {
            _GEO_EDGES: edges, _GEO_CENTRAL: central, _GEO_UNBOND: unbond,
            _GEO_UNBOND4: unbondnbrs, _GEO_UNBOND8: unbondnbrs8,
        }  # fmt: skip
        mbits = sum(bit for bit, asked in bits.items() if asked)
        mask = there._all_good()
        if status or (status is None and not mbits and not calib):
            of_status = there.status_as_mask(
                None, mstcode, mode=mode, indexes=indexes, default=default
            )
            mask = masks.merge_masks(mask, of_status)
        if calib:
            mask = masks.merge_masks(mask, there._calib_mask(default))
        if mbits:
            of_type = there._sensor_mask(mbits, default, width=width, wcentral=wcentral)
            mask = masks.merge_masks(mask, of_type)
        return mask

    def _sensor_mask(
        self, mbits: int, default: bool, *, width: int = 1, wcentral: int = 1
    ) -> "Mask":
        """Return the mask of the sensor type; without any geometry a default says nothing."""
        try:
            return self._map(default).mask(mbits, width=width, wcentral=wcentral)
        except NotFound:
            if not default:
                raise
            return self._all_good()

    def mask_comb(self, run: Run, mbits: int, *, default: bool = False) -> "Mask":
        """Return what `mask` does, by bits.

        Parameters
        ----------
        run : int or None
            The run; None for the detector's own.
        mbits : int
            A sum: 1 status, 2 calib, 4 edges, 8 central, 16 unbonded, 32 and 64 these and their
            four, their eight neighbours.
        default : bool, optional
            What is not there says nothing.

        Raises
        ------
        BadQuestion
            If no bit is set, or one that means nothing.
        """
        if not isinstance(mbits, Integral) or not 0 < mbits < 2 * _UNBOND8:
            raise BadQuestion(
                f"mbits is {shown(mbits)}; it is a sum of 1 status, 2 calib, 4 edges, 8 central, "
                "16 unbonded pixels, 32 and 64 with their neighbours"
            )
        return self.mask(
            run,
            bool(mbits & _CALIB),
            bool(mbits & _STATUS),
            bool(mbits & _EDGES),
            bool(mbits & _CENTRAL),
            bool(mbits & _UNBOND),
            bool(mbits & _UNBOND4),
            bool(mbits & _UNBOND8),
            default=default,
        )

    def mask_geo(
        self,
        run: Run = None,
        mbits: int = 255,
        width: int = 1,
        wcentral: int = 1,
        *,
        default: bool = False,
    ) -> "Mask":
        """Return which pixels are good by the sensor type alone.

        Parameters
        ----------
        run : int, optional
            The run; without it the detector's own.
        mbits : int, optional
            A sum: 1 edges, 2 borders between ASICs, 4 unbonded pixels, 8 and 16 with their
            neighbours.
        width, wcentral : int, optional
            Rows and columns at an edge, and on either side of a border.
        default : bool, optional
            Take a packaged geometry where there is none.
        """
        return self.for_run(run)._map(default).mask(mbits, width=width, wcentral=wcentral)

    # Masks that are given, of whatever; they stay as they are.

    def mask_neighbors(self, mask: "Array", allnbrs: bool = True) -> "Mask":
        """Return a mask whose bad pixels have grown by one; see `cdb.masks.mask_neighbors`."""
        from cdb import masks

        return masks.mask_neighbors(mask, allnbrs)

    def mask_neighbors_in_radius(self, mask: "Array", rad: int = 9, ptrn: str = "r") -> "Mask":
        """Return a mask whose bad pixels have grown to regions; see `cdb.masks`."""
        from cdb import masks

        return masks.mask_neighbors_in_radius(mask, rad, ptrn)

    def mask_edges(self, mask: "Array", mrows: int = 1, mcols: int = 1) -> "Mask":
        """Return a mask with the edges of each panel bad; see `cdb.masks.mask_edges`."""
        from cdb import masks

        return masks.mask_edges(mask, mrows, mcols)
