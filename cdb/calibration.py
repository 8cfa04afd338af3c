"""Raw data to calibrated intensities: pedestals, common mode, gain, mask.

============================== ==================================================================
epix10ka family, jungfrau      ((raw & 0x3fff) - pedestal - offset) of the pixel's gain range, the
                               common mode, then its gain; 0 where its gain bits are invalid
any other                      raw - pedestal, the common mode, the gain
============================== ==================================================================

Bad pixels are 0 in the end. Panels are done one after the other, which keeps them in the
processor's cache.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdb import common_mode, gain_modes
from cdb.errors import BadArray, BadQuestion, shown
from cdb.shapes import AREAS

Floats = NDArray[np.float32]
Words = NDArray[np.uint8] | str

EPIX10KA = ("epix10k", "epix10ka", "epix10kaquad", "epix10ka2m")
DATA_BITS = 0x3FFF
# Pixels of epix10ka in these modes have a common mode: FH, FM, AHL-H, AML-M.
_HIGH_GAIN = (0, 1, 3, 4)
# By the name of a mode, the word of all pixels; those that switch tell the rest in their data.
_MODE_WORDS = {"FH": 28, "FM": 12, "FL": 8, "AHL": 16, "AHL-H": 16, "AML": 0, "AML-M": 0}
# What cspad's pixels of low gain are multiplied by.
LOW_GAIN_FACTOR = 6.85
# Of LCLS-II, where a gain is in ADU/keV; all others that shapes are known of are LCLS-I's.
_IN_ADU_PER_KEV = ("epix100", "epixm320", "epixuhr", "jungfrau", *EPIX10KA)


def has_ranges(dettype: str) -> bool:
    """Return whether pixels of a detector type tell their gain range in their data."""
    return dettype.lower() in ("jungfrau", *EPIX10KA)


def check_raw(raw: Any, dettype: str) -> None:
    """Refuse what is no raw data of a detector type.

    Raises
    ------
    BadArray
        If it is no array of numbers; of whole ones where they tell gain ranges.
    """
    kinds = "iu" if has_ranges(dettype) else "iuf"
    if not isinstance(raw, np.ndarray) or raw.dtype.kind not in kinds:
        raise BadArray(f"{shown(raw)} are no raw data of {dettype}; give an array of numbers")


def gain_divides(unit: str | None, dettype: str) -> bool:
    """Return whether intensities are divided by a gain, or multiplied by it.

    Parameters
    ----------
    unit : str or None
        In the constant's metadata, such as ``ADU/keV``, which divides, or ``keV/ADU``.
    dettype : str
        Detector type; it decides where there is no unit. Generic detectors of LCLS-I (cspad,
        pnccd, epix100a, cameras) have a factor, all others ADU/keV.

    Raises
    ------
    BadQuestion
        If the unit says neither.

    Examples
    --------
    >>> gain_divides("keV/ADU", "jungfrau"), gain_divides(None, "jungfrau")
    (False, True)
    >>> gain_divides(None, "epix100a"), gain_divides(None, "epix100")
    (False, True)
    """
    if unit is None:
        name = dettype.lower()
        return name in _IN_ADU_PER_KEV or name not in AREAS
    plain = unit.lower().replace(" per ", "/").replace(" ", "")
    if plain.startswith("adu/") or plain.endswith("/adu"):
        return plain.startswith("adu/")
    raise BadQuestion(
        f"the unit of pixel_gain is {shown(unit)}: ADU/keV divides, keV/ADU multiplies; "
        "`cdb amend ID --unit ...` mends it"
    )


@dataclass(frozen=True)
class Calibration:
    """The constants of a detector, ready for its frames.

    Attributes
    ----------
    dettype : str
        Detector type.
    pedestals : ndarray of float32, shape (n_gains, n_panels, n_rows, n_cols)
        With offsets; 0 for bad pixels [ADU].
    factors : ndarray of float32, same shape, or None
        What a pixel is multiplied by; 0 for bad pixels. None for 1.
    mask : ndarray of uint8, shape (n_panels, n_rows, n_cols), or None
        Good pixels; None for all.
    parameters : tuple of float
        Of the common mode; empty for none.
    """

    dettype: str
    pedestals: Floats
    factors: Floats | None
    mask: NDArray[np.uint8] | None
    parameters: tuple[float, ...] = ()

    @property
    def frame(self) -> tuple[int, ...]:
        """Panels, rows and columns."""
        return self.pedestals.shape[1:]

    def apply(
        self,
        raw: NDArray[Any],
        *,
        parameters: Sequence[float] | None = None,
        words: Words | None = None,
        gain_mask: NDArray[Any] | None = None,
        compat: str | None = None,
    ) -> Floats:
        """Return the intensities of a frame.

        Parameters
        ----------
        raw : ndarray of numbers
            As many pixels as the constants have [ADU].
        parameters : sequence of float, optional
            Of the common mode, instead of its own; empty for none.
        words : ndarray of uint8, or str
            Of epix10ka: configuration of each pixel, see `cdb.gain_modes`; or the mode of all.
        gain_mask : ndarray, optional
            Of cspad: 1 where the pixel's gain is low.
        compat : str, optional
            See `cdb.common_mode.apply`.

        Returns
        -------
        intensities : ndarray of float32
            As the raw data are shaped.

        Raises
        ------
        BadArray
            If these are not the detector's pixels.
        BadQuestion
            If the configuration of an epix10ka is missing.
        """
        check_raw(raw, self.dettype)
        if has_ranges(self.dettype) and raw.dtype == np.int16:
            raw = raw.view(np.uint16)  # the range stands in the highest bits
        panels = _as_frame(raw, self.frame, "raw data")
        used = self.parameters if parameters is None else parameters
        low = None if gain_mask is None else _as_frame(gain_mask, self.frame, "gain_mask") != 0
        configured = self._words(words, raw)
        made = np.empty(self.frame, np.float32)
        for panel in range(self.frame[0]):
            ranges = self._ranges(panels[panel], None if configured is None else configured[panel])
            data = made[panel]
            self._subtract(data, panels[panel], panel, ranges)
            if len(used):
                mask = self._takes_part(panel, data.shape, ranges)
                common_mode.apply(data, used, self.dettype, mask, compat=compat)
            if low is not None:
                data[low[panel]] *= np.float32(LOW_GAIN_FACTOR)
            self._amplify(data, panel, ranges)
        return made.reshape(raw.shape)

    def _words(self, words: Words | None, raw: NDArray[Any]) -> NDArray[np.uint8] | None:
        if self.dettype.lower() not in EPIX10KA:
            return None
        if words is None:
            raise BadQuestion(
                f"the range of each pixel of a {self.dettype} follows from its configuration too: "
                f"give words=, an array (cdb.gain_modes.epix10ka_words) or one of "
                f"{', '.join(_MODE_WORDS)}"
            )
        if not isinstance(words, str):
            return _as_frame(np.asarray(words), self.frame, "words")
        if words not in _MODE_WORDS:
            raise BadQuestion(f"no mode {shown(words)}; there are {', '.join(_MODE_WORDS)}")
        return np.full(self.frame, _MODE_WORDS[words], np.uint8)

    def _ranges(self, raw: NDArray[Any], words: NDArray[np.uint8] | None) -> "_Ranges":
        if words is not None:
            return _Ranges.of(gain_modes.epix10ka_modes(gain_modes.with_data_bit(words, raw)))
        if has_ranges(self.dettype):
            return _Ranges.of_jungfrau(raw)
        return _Ranges()

    def _subtract(self, data: Floats, raw: NDArray[Any], panel: int, ranges: "_Ranges") -> None:
        """Write raw data without their pedestals."""
        pedestals = self.pedestals[:, panel]
        if not has_ranges(self.dettype):
            np.subtract(raw, pedestals[0], out=data, casting="unsafe")
            return
        bits = raw & raw.dtype.type(DATA_BITS)
        np.subtract(bits, pedestals[ranges.most], out=data, casting="unsafe")
        for number, places in ranges.others():
            data.flat[places] = bits.flat[places] - pedestals[number].flat[places]
        data.flat[ranges.invalid] = 0

    def _takes_part(
        self, panel: int, shape: tuple[int, ...], ranges: "_Ranges"
    ) -> NDArray[np.uint8] | None:
        """Return which pixels have a common mode."""
        mask = None if self.mask is None else self.mask[panel]
        if not has_ranges(self.dettype):
            return mask
        high = (0,) if self.dettype.lower() == "jungfrau" else _HIGH_GAIN
        takes_part = np.full(shape, ranges.most in high, np.uint8)
        for number, places in ranges.others():
            takes_part.flat[places] = number in high
        takes_part.flat[ranges.invalid] = 0
        return takes_part if mask is None else takes_part & mask

    def _amplify(self, data: Floats, panel: int, ranges: "_Ranges") -> None:
        """Multiply data by their factors."""
        if self.factors is None:
            return
        factors = self.factors[:, panel]
        apart = [
            (places, data.flat[places] * factors[number].flat[places])
            for number, places in ranges.others()
        ]
        data *= factors[ranges.most]
        for places, values in apart:
            data.flat[places] = values


@dataclass(frozen=True)
class _Ranges:
    """In which gain range the pixels of a panel are: the range of most, and where others are."""

    most: int = 0
    places: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, np.intp))
    numbers: NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, np.int8))

    @classmethod
    def of(cls, ranges: NDArray[np.int8]) -> "_Ranges":
        """Return those of an array; -1 for an invalid one."""
        # A sample tells which one most are in: what it says wrong costs time, nothing else.
        sample = ranges.flat[:: max(1, ranges.size // 1000)]
        most = int(np.bincount(sample[sample >= 0], minlength=1).argmax())
        places = np.flatnonzero(ranges != most)
        return cls(most, places, ranges.flat[places])

    @classmethod
    def of_jungfrau(cls, raw: NDArray[Any]) -> "_Ranges":
        """Return those of raw data."""
        places = np.flatnonzero(raw > DATA_BITS)
        return cls(0, places, gain_modes.jungfrau_ranges(raw.flat[places]))

    @property
    def invalid(self) -> NDArray[np.intp]:
        """Where no range is told."""
        return self.places[self.numbers < 0]

    def others(self) -> Iterator[tuple[int, NDArray[np.intp]]]:
        """Yield the other ranges that there are, each with its places."""
        if not self.places.size:
            return
        for number in np.flatnonzero(np.bincount(self.numbers[self.numbers >= 0])):
            yield int(number), self.places[self.numbers == number]


def prepare(
    dettype: str,
    pedestals: NDArray[Any],
    *,
    gain: NDArray[Any] | None = None,
    divides: bool = True,
    offset: NDArray[Any] | None = None,
    mask: NDArray[Any] | None = None,
    parameters: Sequence[float] = (),
) -> Calibration:
    """Return constants that are ready for frames.

    Parameters
    ----------
    dettype : str
        Detector type, in any case.
    pedestals : ndarray, shape (n_gains, n_panels, n_rows, n_cols) or that of a frame
        Of epix10ka and jungfrau by gain range [ADU].
    gain : ndarray, optional
        As the pedestals; a gain of 0 makes a pixel 0.
    divides : bool, optional
        Whether intensities are divided by the gain; see `gain_divides`.
    offset : ndarray, optional
        As the pedestals; subtracted too [ADU].
    mask : ndarray, optional
        Good pixels, as a frame is shaped.
    parameters : sequence of float, optional
        Of the common mode.

    Raises
    ------
    BadArray
        If these are not of the same pixels.
    BadQuestion
        If the detector has gain ranges, and nothing is known here of how its data tell them.
    """
    ranges = has_ranges(dettype)
    area = AREAS.get(dettype.lower())
    if area is not None and area.gains and not ranges:
        raise BadQuestion(
            f"frames of {dettype} are not calibrated here: how data tell their gain range is known "
            f"of jungfrau and epix10ka alone; det.pedestals() has {', '.join(area.gains)}"
        )
    if pedestals.ndim < 2 or (ranges and pedestals.ndim < 3):
        raise BadArray(f"pedestals of a {dettype} of the shape {pedestals.shape}")
    n_gains = pedestals.shape[0] if ranges else 1
    frame = (-1, *pedestals.shape[-2:])
    shaped = pedestals.reshape(n_gains, *frame).astype(np.float32)
    if offset is not None:
        shaped += _as_frame(offset, shaped.shape, "pixel_offset")
    factors = None
    if gain is not None:
        values = _as_frame(gain, shaped.shape, "pixel_gain").astype(np.float32)
        there = values != 0
        factors = (
            np.divide(1, values, out=np.zeros_like(values), where=there) if divides else values
        )
    good = None
    if mask is not None:
        good = (_as_frame(mask, shaped.shape[1:], "the mask") != 0).astype(np.uint8)
        factors = np.ones_like(shaped) if factors is None else factors
        # What a bad pixel's constants are, be it no number, does not matter.
        shaped[:, good == 0] = factors[:, good == 0] = 0
    for made in (shaped, factors, good):
        if made is not None:
            made.flags.writeable = False
    return Calibration(dettype, shaped, factors, good, tuple(map(float, parameters)))


def _as_frame(values: NDArray[Any], shape: tuple[int, ...], what: str) -> NDArray[Any]:
    if not isinstance(values, np.ndarray):
        raise BadArray(f"{what}: {shown(values)} is no array")
    if values.shape[-2:] != shape[-2:] or values.size != np.prod(shape):
        raise BadArray(f"{what} of the shape {values.shape} are not of the pixels {shape}")
    return values.reshape(shape)
