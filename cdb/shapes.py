"""Shapes of constants by detector type: how many gain ranges and panels, and along which axes.

The table is that of LCLS-I's detectors and of those LCLS-II detectors whose shapes are written
down; who is not in it follows LCLS-II's custom: the last two axes are a panel, the one before
counts panels, the first of four counts gain ranges.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import EllipsisType, MappingProxyType

Shape = tuple[int, ...]
# A length that the table leaves open is None.
Lengths = tuple[int | None, ...]
Index = tuple[int | slice | EllipsisType, ...]

# With more panels than any detector has, it is no panels that an axis counts.
MAX_PARTS = 2000
# Elements that are looked at together: in float64 8 MB.
BLOCK = 2**20


@dataclass(frozen=True)
class Area:
    """What the constants of a detector type look like, pixel by pixel.

    Attributes
    ----------
    panel : tuple of int or None
        Rows and columns of a panel, or the samples of a channel.
    panels : tuple of int or None
        Lengths of the axis that counts panels; ``()`` if there is none, None if any will do.
    gains : tuple of str
        Names of the gain ranges in the order of the first axis; empty if there is no such axis.
    panel_last : bool
        Whether the last axis counts panels, as cspad2x2's does.
    """

    panel: Lengths
    panels: tuple[int, ...] | None = ()
    gains: tuple[str, ...] = ()
    panel_last: bool = False


_EPIX10KA = ("FH", "FM", "FL", "AHL-H", "AML-M", "AHL-L", "AML-L")
_EPIX = (352, 384)
_ANY = (None, None)

# LCLS-I: the tables of psana 1 (`PSCalib/src/*BaseV1.h`, `UtilsEpix10ka.py`), whose detector types
# are written here in small letters. LCLS-II: what psana 4.3.4's deploy tools make
# (`jungfrau_deploy_constants`, `epix_dark_proc`, `epixm320_dark_proc`).
AREAS: Mapping[str, Area] = MappingProxyType(
    {
        "cspad": Area((185, 388), (32,)),
        "cspad2x2": Area((185, 388), (2,), panel_last=True),
        "pnccd": Area((512, 512), (4,)),
        "epix100": Area((704, 768)),
        "epix100a": Area((704, 768)),
        "epix10k": Area(_EPIX, (1,), _EPIX10KA),
        # LCLS-II calls a detector of any number of panels so.
        "epix10ka": Area(_EPIX, None, _EPIX10KA),
        "epix10kaquad": Area(_EPIX, (4,), _EPIX10KA),
        "epix10ka2m": Area(_EPIX, (16,), _EPIX10KA),
        "epixm320": Area((192, 384), (4,), ("AHL", "SH", "SL")),
        "epixuhr": Area(
            (336, 576),
            None,
            ("FHG", "FMG", "FLG1", "FLG2", "AHLG1", "AHLG2", "AMLG1", "AMLG2"),
        ),
        "jungfrau": Area((512, 1024), None, ("g0", "g1", "g2")),
        "fccd": Area((480, 480)),
        "fccd960": Area((960, 960)),
        "imp": Area((1023,), (4,)),
        "acqiris": Area((None,), None),
        "andor3d": Area(_ANY, (2,)),
        "uxi": Area((1024, 512), tuple(range(1, 9))),
        # Binning and regions are a matter of the configuration.
        **dict.fromkeys(
            (
                "opal1000", "opal1600", "opal2000", "opal4000", "opal8000", "tm6740", "orcafl40",
                "quartz4a150", "streak", "zyla", "istar", "alvium", "controlscamera", "archon",
                "rayonix", "princeton", "pimax", "pixis", "fli", "timepix", "andor",
            ),
            Area(_ANY),
        ),
    }
)  # fmt: skip

# Constants with a value for each pixel; the first two lists may lack the axis of gain ranges.
MASKS = ("pixel_mask", "users_mask")
PIXELS = (
    "pedestals", "pixel_rms", "pixel_status", "pixel_gain", "pixel_offset", "pixel_bkgd",
    "pixel_datast", "pixel_max", "pixel_min", "status_data", "status_extra", "dark_max", "dark_min",
    *MASKS,
)  # fmt: skip


def shapes_of(dettype: str, ctype: str) -> tuple[Lengths, ...]:
    """Return the shapes that a constant may have; none if nobody says.

    Parameters
    ----------
    dettype : str
        Detector type, such as ``jungfrau``; LCLS-I's and LCLS-II's names, in any case.
    ctype : str
        Type of the constant.

    Returns
    -------
    shapes : tuple of tuple of int or None
        None stands for any length.

    Examples
    --------
    >>> shapes_of("jungfrau", "pedestals"), shapes_of("jungfrau", "pixel_mask")
    (((3, None, 512, 1024),), ((3, None, 512, 1024), (None, 512, 1024)))
    >>> shapes_of("cspad2x2", "pedestals"), shapes_of("opal", "notes")
    (((185, 388, 2), (2, 185, 388)), ())
    """
    area = AREAS.get(dettype.lower())
    if area is None or ctype not in PIXELS:
        return ()
    counts: tuple[Lengths, ...] = (
        ((None,),) if area.panels is None else tuple((n,) for n in area.panels) or ((),)
    )
    found: list[Lengths] = [(*count, *area.panel) for count in counts]
    if area.panel_last:
        # psana turns them to the usual order when it reads them.
        found = [(*area.panel, *count) for count in counts] + found
    if dettype.lower() == "cspad":
        found.append((4, 8, *area.panel))
    if not area.gains:
        return tuple(found)
    with_gains: list[Lengths] = [(len(area.gains), *lengths) for lengths in found]
    return tuple(with_gains + (found if ctype in MASKS else []))


def fits(shape: Shape, lengths: Lengths) -> bool:
    """Return whether a shape is one that the table allows.

    Examples
    --------
    >>> fits((3, 8, 512, 1024), (3, None, 512, 1024)), fits((8, 512), (None, 512, 1024))
    (True, False)
    """
    return len(shape) == len(lengths) and all(
        wanted in (None, there) for there, wanted in zip(shape, lengths, strict=True)
    )


@dataclass(frozen=True)
class Axes:
    """Which axes of an array count gain ranges and panels.

    Attributes
    ----------
    gain : int or None
        The axis of gain ranges.
    panels : tuple of int
        The axes of panels: one, or cspad's quads and their panels, or none.
    gains : tuple of str
        Names of the gain ranges.
    """

    gain: int | None = None
    panels: tuple[int, ...] = ()
    gains: tuple[str, ...] = ()


def axes_of(shape: Shape, dettype: str) -> Axes:
    """Return which axes count gain ranges and panels.

    Rows and columns are not compared with the table: a detector may be read in part.

    Parameters
    ----------
    shape : tuple of int
        Of the array.
    dettype : str
        Detector type; of an unknown one LCLS-II's custom is taken.

    Examples
    --------
    >>> axes_of((3, 8, 512, 1024), "jungfrau")
    Axes(gain=0, panels=(1,), gains=('g0', 'g1', 'g2'))
    >>> axes_of((8, 512, 1024), "jungfrau").panels, axes_of((185, 388, 2), "cspad2x2").panels
    ((0,), (2,))
    >>> axes_of((4, 8, 185, 388), "cspad").panels, axes_of((704, 768), "epix100a")
    ((0, 1), Axes(gain=None, panels=(), gains=()))
    """
    area = AREAS.get(dettype.lower())
    depth = len(area.panel) if area else 2
    extra = len(shape) - depth
    if area and area.panel_last and extra == 1 and shape[0] != 2:
        axes = Axes(panels=(len(shape) - 1,))
    elif extra == 1:
        axes = Axes(panels=(0,))
    elif extra == 2 and area and not area.gains:
        axes = Axes(panels=(0, 1))
    elif extra == 2:
        named = area.gains if area and len(area.gains) == shape[0] else ()
        axes = Axes(0, (1,), named or tuple(map(str, range(min(shape[0], MAX_PARTS)))))
    else:
        axes = Axes()
    counted = [axis for axis in (axes.gain, *axes.panels) if axis is not None]
    return axes if math.prod(shape[axis] for axis in counted) <= MAX_PARTS else Axes()


@dataclass(frozen=True)
class Part:
    """One panel in one gain range, or the whole of an array that has neither.

    Attributes
    ----------
    gain : str or None
        Name of the gain range.
    panel : int or None
        Number of the panel, from 0.
    index : tuple
        What chooses it from the array, as an array; its last item is an ellipsis.
    """

    gain: str | None
    panel: int | None
    index: Index


def parts(shape: Shape, axes: Axes) -> Iterator[Part]:
    """Yield the panels of an array, gain range by gain range.

    Examples
    --------
    >>> for part in parts((2, 2, 5, 6), Axes(0, (1,), ("high", "low"))):
    ...     print(part.gain, part.panel, part.index[:2])
    high 0 (0, 0)
    high 1 (0, 1)
    low 0 (1, 0)
    low 1 (1, 1)
    """
    gains = range(shape[axes.gain]) if axes.gain is not None else (None,)
    lengths = [shape[axis] for axis in axes.panels]
    panels = range(math.prod(lengths)) if axes.panels else (None,)
    for gain in gains:
        for panel in panels:
            index: list[int | slice] = [slice(None)] * len(shape)
            if axes.gain is not None and gain is not None:
                index[axes.gain] = gain
            rest = panel or 0
            for axis, length in reversed([*zip(axes.panels, lengths, strict=True)]):
                rest, index[axis] = divmod(rest, length)
            yield Part(None if gain is None else axes.gains[gain], panel, (*index, ...))


def blocks(shape: Shape) -> Iterator[slice]:
    """Yield slices of the first axis that cut an array into pieces of some `BLOCK` elements.

    Examples
    --------
    >>> list(blocks((3000, 1024)))
    [slice(0, 1024, None), slice(1024, 2048, None), slice(2048, 3072, None)]
    """
    step = max(1, BLOCK // max(1, math.prod(shape[1:])))
    return (slice(start, start + step) for start in range(0, shape[0], step))
