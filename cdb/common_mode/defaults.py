"""What LCLS-I's readers take where no common mode is deployed, by detector type."""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from cdb.errors import BadQuestion, shown
from cdb.shapes import AREAS

_OFF = (0.0,) * 16


def _padded(*numbers: float) -> tuple[float, ...]:
    return tuple(map(float, numbers)) + (0.0,) * (16 - len(numbers))


# By detector type, what LCLS-I's readers take where no constant is deployed; `None` stands for the
# size of the image, or its columns.
_DEFAULTS: Mapping[str, tuple[float | None, ...]] = MappingProxyType(
    {
        **dict.fromkeys(("cspad", "cspad2x2"), (1, 25, 25, 100)),
        "pnccd": (3, 350, 350, 128),
        "epix100a": _padded(4, 6, 30, 30),
        **dict.fromkeys(
            ("epix10k", "epix10ka", "epix10kaquad", "epix10ka2m"), _padded(7, 2, 10, 10)
        ),
        "jungfrau": _padded(7, 1, 100),
        "princeton": (1, 50, 50, 100, 1, None, 1) + (0,) * 9,
        **dict.fromkeys(("andor", "andor3d"), (2, 10, 10, None) + (0,) * 12),
    }
)
_CPP_DEFAULTS: Mapping[str, tuple[float | None, ...]] = MappingProxyType(
    {
        **_DEFAULTS,
        "cspad": (1, 25, 25, 100, 1),
        "pnccd": (3, 50, 10, 128),
        "epix100a": (4, 6, 30, 10),
    }
)
# Cameras: off in Python, on in C++.
_CPP_CAMERA = (1, 50, 50, 100, 1, None, 1)
_READERS = ("python", "c++")


def defaults(
    dettype: str, shape: Sequence[int] = (), *, readers: str = "python"
) -> tuple[float, ...]:
    """Return the parameters that LCLS-I's readers take where no constant is deployed.

    Parameters
    ----------
    dettype : str
        Detector type, such as ``epix100a``, in any case.
    shape : sequence of int, optional
        Of a frame; princeton, andor and cameras of C++ want it.
    readers : str, optional
        ``python`` or ``c++``: they differ for cspad, pnccd, epix100a and cameras.

    Returns
    -------
    parameters : tuple of float
        Sixteen zeros, which is off, for a type that has no other.

    Raises
    ------
    BadQuestion
        If there are no such readers, or the shape is missing.

    Examples
    --------
    >>> defaults("cspad"), defaults("pnccd", readers="c++")
    ((1.0, 25.0, 25.0, 100.0), (3.0, 50.0, 10.0, 128.0))
    >>> defaults("andor", (2048, 1024))[:4]
    (2.0, 10.0, 10.0, 1024.0)
    """
    if readers not in _READERS:
        raise BadQuestion(f"no readers {shown(readers)}; there are {', '.join(_READERS)}")
    name = dettype.lower()
    area = AREAS.get(name)
    table, other = (_DEFAULTS, _OFF) if readers == "python" else (_CPP_DEFAULTS, _OFF)
    found: tuple[float | None, ...] = table.get(name, other)
    is_camera = area is not None and area.panel == (None, None)
    if readers == "c++" and name not in table and is_camera:
        found = _CPP_CAMERA
    if None in found and not shape:
        raise BadQuestion(f"the parameters of {dettype} depend on its shape; give shape=(...)")
    size = math.prod(shape) if found[0] == 1 else (shape[-1] if shape else 0)
    return tuple(float(size if number is None else number) for number in found)
