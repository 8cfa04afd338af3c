"""Constants of LCLS detectors as analyses want them: their shapes, dtypes and defaults.

===== ============== ======== ==================================================================
index ctype          dtype    default
===== ============== ======== ==================================================================
0     pedestals      float32  0
1     pixel_status   uint16   0
2     pixel_rms      float32  1
3     pixel_gain     float32  1
4     pixel_mask     uint8    1
5     pixel_bkgd     float32  0
6     common_mode    float64  a list by detector type, see `cdb.common_mode.defaults`
7     geometry       text     a packaged one by detector type
8     pixel_offset   float32  0
9     status_data    uint16   0
10    status_extra   uint64   0
===== ============== ======== ==================================================================

Of the other pixel types `pixel_datast` is an old name of status_data, the rest keep the dtype that
they are stored with.

References
----------
LCLS-I, `PSCalib/src/GlobalUtils.py` and `CalibParsBase*V1.py`.
"""

import math
from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdb.errors import BadArray, BadName, shown
from cdb.shapes import AREAS, MASKS, Area, Lengths, Shape, fits, shapes_of

# By the number that LCLS-I gives them.
INDEXED = (
    "pedestals", "pixel_status", "pixel_rms", "pixel_gain", "pixel_mask", "pixel_bkgd",
    "common_mode", "geometry", "pixel_offset", "status_data", "status_extra",
)  # fmt: skip
DTYPES: Mapping[str, np.dtype[Any]] = MappingProxyType(
    {
        **{
            ctype: np.dtype("float32")
            for ctype in ("pedestals", "pixel_rms", "pixel_gain", "pixel_bkgd", "pixel_offset")
        },
        "pixel_status": np.dtype("uint16"),
        "pixel_mask": np.dtype("uint8"),
        "common_mode": np.dtype("float64"),
        "status_data": np.dtype("uint16"),
        "pixel_datast": np.dtype("uint16"),
        "status_extra": np.dtype("uint64"),
    }
)
# No detector has more, in all gain ranges.
_MOST_PIXELS = 2**40
_ONES = ("pixel_rms", "pixel_gain", "pixel_mask")


class LoadingStatus(IntEnum):
    """What became of a constant that was asked for; LCLS-I's numbers, with the true cause."""

    LOADED = 1
    DEFAULT = 2
    UNREADABLE = 3
    UNDEFINED = 4
    WRONGSIZE = 5
    NONFOUND = 6
    DCSTORE = 7


def ctype_of(asked: str | int) -> str:
    """Return the type of a constant by its name, or by its number in LCLS-I.

    Raises
    ------
    BadName
        If there is no such number.

    Examples
    --------
    >>> ctype_of(3), ctype_of("pixel_gain")
    ('pixel_gain', 'pixel_gain')
    """
    if isinstance(asked, str):
        return asked
    if not 0 <= asked < len(INDEXED):
        raise BadName(f"no type of constants has the number {shown(asked)}; give 0 to 10 or a name")
    return INDEXED[asked]


def cast(values: NDArray[Any], ctype: str) -> NDArray[Any]:
    """Return values in the dtype of their type, as they are where that has none.

    Floats are rounded to float32; nothing else may change.

    Parameters
    ----------
    values : ndarray of numbers
        As stored.
    ctype : str
        Type of the constant.

    Returns
    -------
    values : ndarray
        The same array if it has that dtype.

    Raises
    ------
    BadArray
        If a value does not fit: it is not whole, negative, too large, or no number.

    Examples
    --------
    >>> cast(np.array([0.0, 1.0]), "pixel_mask")
    array([0, 1], dtype=uint8)
    >>> cast(np.array([0, 65536]), "pixel_status")
    Traceback (most recent call last):
    cdb.errors.BadArray: pixel_status holds 65536, which uint16 cannot: ...
    """
    if values.dtype.kind not in "biuf":
        raise BadArray(f"{ctype} are {values.dtype}, no numbers")
    wanted = DTYPES.get(ctype, values.dtype)
    if values.dtype == wanted:
        return values
    if wanted.kind == "f":
        return _as_floats(values, wanted, ctype)
    with np.errstate(invalid="ignore"):
        made = values.astype(wanted)
    kept = (made == values) & (values >= 0)
    if not kept.all():
        odd = values[~kept].flat[0]
        raise BadArray(
            f"{ctype} holds {odd}, which {wanted} cannot: det.calibconst[{ctype!r}] has it as it "
            "was stored"
        )
    return made


def _as_floats(values: NDArray[Any], wanted: np.dtype[Any], ctype: str) -> NDArray[Any]:
    with np.errstate(over="ignore"):
        made = values.astype(wanted)
    lost = np.isinf(made) & np.isfinite(values)
    if lost.any():
        raise BadArray(f"{ctype} holds {values[lost].flat[0]}, which {wanted} cannot")
    return made


def shaped(values: NDArray[Any], dettype: str, ctype: str) -> NDArray[Any]:
    """Return the values of pixels in today's shape: (n_gains, n_panels, n_rows, n_cols).

    Axes that a detector does not have are left out; those of quads are joined with their panels,
    the two panels of a cspad2x2 come first. Numbers in lines, as old text files have them, are
    taken in the order of the detector's data.

    Parameters
    ----------
    values : ndarray
        As stored.
    dettype : str
        Detector type, in any case.
    ctype : str
        Type of the constant; what has no value for each pixel stays as it is.

    Returns
    -------
    values : ndarray
        A view where one will do.

    Raises
    ------
    BadArray
        If the detector has other pixels than these.

    Examples
    --------
    >>> shaped(np.zeros((4, 8, 185, 388)), "cspad", "pedestals").shape
    (32, 185, 388)
    >>> shaped(np.zeros((185, 388, 2)), "cspad2x2", "pedestals").shape
    (2, 185, 388)
    """
    allowed = shapes_of(dettype, ctype)
    area = AREAS.get(dettype.lower())
    if not allowed or area is None:
        return values
    found = _fitted(values, allowed, area)
    if found is None:
        raise BadArray(
            f"{ctype} of a {dettype} has the shape {values.shape}; it may be "
            f"{' or '.join(map(_told, allowed))}"
        )
    if area.panel_last and not fits(found.shape, (2, *area.panel)):
        found = np.ascontiguousarray(np.moveaxis(found, -1, 0))
    if not area.gains and found.ndim == len(area.panel) + 2:  # cspad's quads
        found = found.reshape(-1, *found.shape[2:])
    return found


def _fitted(values: NDArray[Any], allowed: tuple[Lengths, ...], area: Area) -> NDArray[Any] | None:
    """Return values in one of some shapes; None if they fit in none."""
    if any(fits(values.shape, lengths) for lengths in allowed):
        return values
    if not area.panels and values.shape[:1] == (1,) and fits(values.shape[1:], allowed[0]):
        return values  # LCLS-II's custom: one panel is an axis too
    for lengths in allowed:
        shape = _completed(lengths, values.size)
        as_lines = values.ndim <= 2 or values.shape[-2:] == shape[-2:]
        if math.prod(shape) == values.size and shape and as_lines:
            return values.reshape(shape)
    return None


def _completed(lengths: Lengths, size: int) -> Shape:
    """Return lengths with the one that is open as so many values want it; () if it cannot be."""
    known = math.prod(length for length in lengths if length is not None)
    n_open = sum(length is None for length in lengths)
    if n_open > 1 or not known or size % known:
        return ()
    return tuple(size // known if length is None else length for length in lengths)


def _told(lengths: Lengths) -> str:
    return f"({', '.join('any' if n is None else str(n) for n in lengths)})"


def fixed_shape(dettype: str) -> Shape | None:
    """Return the shape of a frame of a detector type; None where it depends on the detector.

    Examples
    --------
    >>> fixed_shape("cspad"), fixed_shape("epix100a"), fixed_shape("jungfrau")
    ((32, 185, 388), (704, 768), None)
    """
    area = AREAS.get(dettype.lower())
    if area is None or area.panels is None or len(area.panels) > 1:
        return None
    shape = (*area.panels, *area.panel)
    return None if None in shape else tuple(n for n in shape if n is not None)


def is_one_panel(dettype: str) -> bool:
    """Return whether frames of a detector type have no axis of panels."""
    area = AREAS.get(dettype.lower())
    return area is not None and area.panels == ()


def frame_of(stored: Shape, dettype: str, ctype: str) -> Shape | None:
    """Return the shape of a frame by that of a constant; None if the detector has other pixels.

    Examples
    --------
    >>> frame_of((3, 8, 512, 1024), "jungfrau", "pedestals")
    (8, 512, 1024)
    >>> frame_of((185, 388, 2), "cspad2x2", "pixel_mask")
    (2, 185, 388)
    """
    if len(stored) < 2 or math.prod(stored) > _MOST_PIXELS:
        return None
    try:
        # One byte that stands for all of them: there is no array, only its shape.
        shape = shaped(np.broadcast_to(np.uint8(0), stored), dettype, ctype).shape
    except BadArray:
        return None
    area = AREAS.get(dettype.lower())
    # Of a type that no table has, LCLS-II's custom: the first of four axes counts gain ranges.
    gains = len(shape) > 3 if ctype in MASKS or area is None else bool(area.gains)
    return shape[1:] if gains else shape


def default(ctype: str, dettype: str, frame: Shape) -> NDArray[Any]:
    """Return what stands in for a constant that is not there.

    Parameters
    ----------
    ctype : str
        A type with a value for each pixel.
    dettype : str
        Detector type: whether there are gain ranges.
    frame : tuple of int
        Shape of a frame.

    Raises
    ------
    BadName
        If the type has no default.

    Examples
    --------
    >>> default("pedestals", "jungfrau", (1, 512, 1024)).shape
    (3, 1, 512, 1024)
    """
    if ctype not in DTYPES or ctype == "common_mode":
        raise BadName(f"{ctype} has no default; such have {', '.join(DTYPES)}")
    area = AREAS.get(dettype.lower())
    gains = (len(area.gains),) if area and area.gains and ctype not in MASKS else ()
    return np.full((*gains, *frame), int(ctype in _ONES), DTYPES[ctype])
