"""Geometries that come with the package: for a detector whose own is not known.

They say where panels are by design, or were in one detector that somebody measured (the comment
``POSITIONS`` of each tells which); the beam is where the origin is. Good for a picture, not for
an experiment.

References
----------
The numbers are those of ``geometry-def-*.data`` of LCLS: ``lcls-psana/Detector/data`` (epix10ka,
epix10kaquad, epix10ka2m) and psana 4.3.4, ``psana/pscalib/geometry/data`` (all others).
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from cdb.errors import NotFound, shown
from cdb.geometry import tree
from cdb.geometry.tree import Geometry

_FOLDER = Path(__file__).parent / "data"

# By detector type and number of panels: the name of a geometry.
DEFAULTS: Mapping[str, Mapping[int, str]] = MappingProxyType(
    {
        "archon": {1: "archon"},
        "axis": {1: "axis"},
        "cspad": {32: "cspad"},
        "cspad2x2": {2: "cspad2x2"},
        "epix100": {1: "epix100a"},
        "epix100a": {1: "epix100a"},
        "epix10k": {1: "epix10ka"},
        "epix10ka": {1: "epix10ka", 4: "epix10kaquad", 16: "epix10ka2m"},
        "epix10ka2m": {16: "epix10ka2m"},
        "epix10kaquad": {4: "epix10kaquad"},
        "epixhr": {1: "epixhr2x2", 20: "epixhremu"},
        "epixhr1x4": {1: "epixhr1x4", 20: "epixhremu"},
        "epixhr2x2": {1: "epixhr2x2"},
        "epixhremu": {1: "epixhr1x4", 20: "epixhremu"},
        "epixm": {4: "epixm320"},
        "epixm320": {4: "epixm320"},
        # Read out by ASIC, then by panels of six of them.
        "epixuhr": {1: "epixuhr3x2-1", 2: "epixuhr3x2-2", 4: "epixuhr"},
        "epixuhr3x2": {1: "epixuhr3x2-1", 2: "epixuhr3x2-2"},
        "jungfrau": {1: "jungfrau05m", 2: "jungfrau1m", 8: "jungfrau4m", 32: "jungfrau16m"},
        "pnccd": {4: "pnccd"},
    }
)


def names() -> tuple[str, ...]:
    """Return the names of all geometries of the package, sorted.

    Examples
    --------
    >>> names()[:3]
    ('archon', 'axis', 'cspad')
    """
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.data")))


@cache
def named(name: str) -> Geometry:
    """Return a geometry of the package by its name.

    Raises
    ------
    NotFound
        If there is none of this name; the sentence has those that there are.
    """
    if name not in names():
        raise NotFound(f"no packaged geometry {shown(name)}; there are {', '.join(names())}")
    return tree.parse((_FOLDER / f"{name}.data").read_text("utf-8"), name)


def default_for(dettype: str, panels: int | None = None) -> Geometry:
    """Return the geometry that stands in for a detector's own.

    Parameters
    ----------
    dettype : str
        Detector type, as in ``jungfrau_000001`` or ``Jungfrau``; small or capital letters.
    panels : int, optional
        How many panels it has. Need not be said where a type has one number of them.

    Returns
    -------
    geometry : Geometry
        With as many panels.

    Raises
    ------
    NotFound
        If there is none for this type, for this number of panels, or none that could be told from
        others without the number.

    Examples
    --------
    >>> [part.key for part in default_for("jungfrau", 1).parts]
    [('JUNGFRAU:V2', 0), ('JFCAMERA:V1', 0)]
    """
    known = DEFAULTS.get(dettype.lower())
    if known is None:
        raise NotFound(
            f"no default geometry for the detector type {shown(dettype)}; there are some for "
            f"{', '.join(DEFAULTS)}"
        )
    if panels is None and len(known) == 1:
        (panels,) = known
    if panels is None or panels not in known:
        asked = "an unknown number of" if panels is None else str(panels)
        raise NotFound(
            f"no default geometry for a {dettype.lower()} of {asked} panels; there are some for "
            f"{', '.join(map(str, known))}"
        )
    return named(known[panels])
