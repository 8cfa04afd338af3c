"""A detector as an analysis sees it: its constants, masks, coordinates, and what they do to frames.

Knows no database: it is given the constants that hold for its run, and how to ask for another run.

The calls are those that scripts of LCLS-I make on ``psana.Detector``. A run number comes first, as
there; without one the run that the detector was made for is meant. Calls that took an event take
what it held: the raw data, or an array. Arrays have today's shapes, see `cdb.pixel_constants`;
they are read-only, and kept for the run. A constant that is not there is an error; its default
stands in only where ``default=True`` is given.
"""

from collections.abc import Sequence
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdb.detector.masks import Masks
from cdb.detector.pixels import run_and_array
from cdb.detector.run import Run
from cdb.errors import BadQuestion, shown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cdb.calibration import Calibration, Words

    Array = NDArray[Any]
    Floats = NDArray[np.floating[Any]]

__all__ = ["Detector"]


class Detector(Masks):
    """A detector for one run or time, as of one state of the database.

    Attributes
    ----------
    name : str
        Short name.
    longname : str
        As it was asked for.
    experiment : str or None
        Whose analysis it is.
    run : int or None
        For which run.
    seq : int
        S: the state of the database that all answers are as of.
    calibconst : Calibconst
        The constants, by type.
    tag : TagName or None
        The tag, and its revision, that all answers are by.
    ask : callable, optional
        From a run number to the detector for it, as of the same state.
    motions : tuple of Motion
        By which it was moved and tilted.
    """

    def calib(
        self,
        raw: "Array",
        cmpars: Sequence[float] | int | None = None,
        *,
        run: Run = None,
        mask: "Array | None" = None,
        words: "Words | None" = None,
        gain_mask: "Array | None" = None,
        default: bool = False,
        compat: str | None = None,
    ) -> "Floats":
        """Return the calibrated intensities of a frame; see `cdb.calibration`.

        Parameters
        ----------
        raw : ndarray of numbers
            Raw data of the detector [ADU].
        cmpars : sequence of float, optional
            Parameters of the common mode; 0 for none. Without it those of the constant
            common_mode if there is one.
        run : int, optional
            The run; without it the detector's own.
        mask : ndarray, optional
            Good pixels. Without it those of `status_as_mask`, if there is a status.
        words : ndarray of uint8, or str
            Of epix10ka, whose gain ranges follow from its configuration too: the word of each
            pixel, see `cdb.gain_modes`; or the mode of all of them: FH, FM, FL, AHL, AML.
        gain_mask : ndarray, optional
            Of cspad: 1 where a pixel's gain is low; it is multiplied by 6.85.
        default : bool, optional
            Without pedestals return the raw data as floats; of epix10ka and jungfrau take
            pedestals 0 and gain 1 where there are none.
        compat : str, optional
            See `cdb.common_mode.apply`.

        Returns
        -------
        intensities : ndarray of float32
            [keV], or [ADU] of a generic detector without a gain; 0 for bad pixels.

        Raises
        ------
        NotFound
            If there are no pedestals; of epix10ka and jungfrau, if there is no gain.
        BadArray
            If the raw data are not of the detector's pixels.
        BadQuestion
            If the parameters make no sense, or the configuration of an epix10ka is missing.
        """
        from cdb import calibration, pixel_constants

        calibration.check_raw(raw, self.dettype)
        there = self.for_run(run)
        if default and "pedestals" not in there.calibconst and not there._has_ranges():
            import numpy as np

            return raw.astype(np.float32)
        prepared: Calibration
        if mask is None:
            prepared = there._once(("calib", default), lambda: there._prepare(None, default))
        else:
            prepared = there._prepare(mask, default)
        if self.dettype.lower() == "cspad2x2":
            raw = pixel_constants.shaped(raw, self.dettype, "pedestals")
        return prepared.apply(
            raw, parameters=_parameters(cmpars), words=words, gain_mask=gain_mask, compat=compat
        )

    def _has_ranges(self) -> bool:
        from cdb import calibration

        return calibration.has_ranges(self.dettype)

    def _prepare(self, mask: "Array | None", default: bool) -> "Calibration":
        from cdb import calibration

        if mask is None and self._has_status():
            mask = self.status_as_mask()
        pedestals = self._own("pedestals", default)
        gain = None
        if self._has_ranges() or "pixel_gain" in self.calibconst:
            gain = self._own("pixel_gain", default)
        divides = True
        if "pixel_gain" in self.calibconst:
            unit = self.calibconst.version("pixel_gain").meta.get("unit")
            divides = calibration.gain_divides(str(unit) if unit else None, self.dettype)
        there = self.calibconst
        return calibration.prepare(
            self.dettype,
            pedestals,
            gain=gain,
            divides=divides,
            offset=self._own("pixel_offset") if "pixel_offset" in there else None,
            mask=mask,
            parameters=self._own("common_mode").tolist() if "common_mode" in there else (),
        )

    def common_mode_apply(
        self,
        run: Run,
        nda: "Floats",
        cmpars: Sequence[float] | int | None = None,
        *,
        mask: "Array | None" = None,
        default: bool = False,
        compat: str | None = None,
    ) -> None:
        """Subtract the common mode from a frame, in place.

        Parameters
        ----------
        run : int or None
            The run; None for the detector's own.
        nda : ndarray of floats
            A frame with its pedestals subtracted [ADU].
        cmpars : sequence of float, optional
            Parameters; 0 for none. Without it those of the constant common_mode.
        mask : ndarray, optional
            The pixels that take part. Without it those of `status_as_mask`, if there is a status.
        default : bool, optional
            Take the default parameters where there is no constant.
        compat : str, optional
            See `cdb.common_mode.apply`.
        """
        from cdb import common_mode

        there = self.for_run(run)
        parameters = _parameters(cmpars)
        if parameters is None:
            parameters = there._own("common_mode", default).tolist()
        if not len(parameters):
            return
        if mask is None and there._has_status():
            mask = there.status_as_mask()
        if mask is not None and mask.shape != nda.shape and mask.size == nda.size:
            mask = mask.reshape(nda.shape)
        common_mode.apply(nda, parameters, self.dettype, mask, compat=compat)

    def common_mode_correction(
        self,
        run: Run,
        nda: "Array",
        cmpars: Sequence[float] | int | None = None,
        *,
        mask: "Array | None" = None,
        default: bool = False,
        compat: str | None = None,
    ) -> "Floats":
        """Return what `common_mode_apply` adds to each pixel; the frame stays as it is."""
        import numpy as np

        corrected = np.array(nda, np.float32)
        self.common_mode_apply(run, corrected, cmpars, mask=mask, default=default, compat=compat)
        return corrected - nda.astype(np.float32)

    def photons(
        self,
        run: "Run | Array" = None,
        nda_calib: "Array | None" = None,
        mask: "Array | None" = None,
        adu_per_photon: float | None = None,
        thr_fraction: float = 0.9,
    ) -> "NDArray[np.uint16]":
        """Return how many photons each pixel saw; see `cdb.photons.count_photons`.

        Parameters
        ----------
        run : int, optional
            The run; or, in the place of an event, the intensities.
        nda_calib : ndarray
            Calibrated intensities.
        mask : ndarray, optional
            Good pixels. Without it what status, pixel_mask and geometry say, as far as they are
            there: no edges, borders between ASICs, unbonded pixels and their four neighbours.
        adu_per_photon : float, optional
            Intensity of one photon; without it the intensities are in photons.
        thr_fraction : float, optional
            From which sum on two neighbours are one photon.
        """
        from cdb.photons import count_photons

        run, nda_calib = run_and_array(run, nda_calib, "photons")
        there = self.for_run(run)
        if mask is None:
            placed = "geometry" in there.calibconst
            mask = there.mask(
                None, calib=True, status=True, edges=placed, central=placed, unbond=placed,
                unbondnbrs=placed, default=True,
            )  # fmt: skip
            if mask.shape != nda_calib.shape and mask.size == nda_calib.size:
                mask = mask.reshape(nda_calib.shape)
        unit = 1 if adu_per_photon is None else adu_per_photon
        return count_photons(nda_calib, mask, adu_per_photon=unit, thr_fraction=thr_fraction)

    # files -------------------------------------------------------------------------------------

    def save_txtnda(
        self,
        fname: Path | str,
        ndarr: "Array",
        cmts: Sequence[str] = (),
        fmt: str | None = None,
        verbos: bool = False,
        addmetad: bool = True,
    ) -> None:
        """Write an array to a text file, which names the detector; see `cdb.files.text.write`.

        Parameters
        ----------
        fname : Path or str
            The file.
        ndarr : ndarray
            Of any shape.
        cmts : sequence of str, optional
            Comments for its head.
        fmt : str, optional
            How to print a number, such as ``%.1f``; without it nothing is lost.
        verbos, addmetad : bool, optional
            As LCLS-I's scripts give them, and without effect: nothing is printed, and the shape
            stands in the comments at the head, which other readers pass over.
        """
        from cdb.files import text

        text.write(fname, ndarr, comments=[*cmts, f"SOURCE  {self.longname}"], fmt=fmt)

    def save_asdaq(
        self,
        fname: Path | str,
        ndarr: "Array",
        cmts: Sequence[str] = (),
        fmt: str | None = None,
        verbos: bool = False,
        addmetad: bool = True,
    ) -> None:
        """Write an array as the detector's data are ordered: cspad2x2 as (185, 388, 2).

        Parameters are those of `save_txtnda`.
        """
        if self.dettype.lower() == "cspad2x2" and ndarr.shape[-3:] == (2, 185, 388):
            from cdb.geometry.images import two2x1ToData2x2

            ndarr = two2x1ToData2x2(ndarr)
        self.save_txtnda(fname, ndarr, cmts, fmt)

    def load_txtnda(self, fname: Path | str) -> "Array":
        """Return the array of a text file as it stands there; see `cdb.files.text.read`."""
        from cdb.files import text

        return text.read(fname)


def _parameters(cmpars: Sequence[float] | float | None) -> Sequence[float] | None:
    """Return parameters of a common mode; none for 0, None if they were not given."""
    if isinstance(cmpars, Real):
        if cmpars:
            raise BadQuestion(f"cmpars is {shown(cmpars)}; it is a list of numbers, or 0 for off")
        return ()
    # mypy does not take a float for a Real.
    return cmpars  # type: ignore[return-value]
