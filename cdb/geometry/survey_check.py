"""The quality of an optical survey: sides, diagonals, angles and flatness of each segment.

The names of the quantities are those of LCLS's ``optical_metrology_check``: vectors from the
first corner to the other three, ordered by length, are S (short), L (long) and D (diagonal); S2,
L2 and D2 are their counterparts across.
"""

from dataclasses import dataclass
from functools import cached_property
from math import atan2, degrees
from typing import Any

import numpy as np

from cdb.errors import BadFile
from cdb.geometry.survey import CORNERS, Segment, Survey, TypingError, typing_errors

# Beyond these a segment is told of [um].
TOLERANCE_XY = 60.0
TOLERANCE_Z = 100.0

SIDES = ("s1", "s2", "ds1", "ds2", "l1", "l2", "dl1", "dl2", "angle", "d1", "d2", "dd", "dds",
         "ddl")  # fmt: skip
HEIGHTS = ("sa", "la", "x_size", "y_size", "dzs1", "dzs2", "dzl1", "dzl2", "dzsa", "dzla", "ddzs",
           "ddzl", "dzx", "dzy", "angle_xz", "angle_yz", "dz3")  # fmt: skip


@dataclass(frozen=True)
class Quality:
    """What four corners say of a segment.

    Attributes
    ----------
    segment : Segment
        The four corners.
    s1, s2, l1, l2, d1, d2 : float
        Short and long sides along themselves, and the diagonals [um].
    ds1, ds2, dl1, dl2 : float
        Components of the long and of the short sides across [um].
    dd, dds, ddl : float
        Differences d1 - d2, ds1 - ds2, dl1 - dl2: 0 for a rectangle [um].
    angle : float
        Of the long sides, from the next multiple of 90 deg [deg].
    sa, la, x_size, y_size : float
        Means of the short and of the long sides, and their lengths along x and y [um].
    dzs1, dzs2, dzl1, dzl2, dzsa, dzla, ddzs, ddzl, dzx, dzy : float
        How z changes along the sides, the means, the differences, and along x and y [um].
    angle_xz, angle_yz : float
        Slopes along x and y [deg].
    dz3 : float
        Distance of the corner across from the plane of the other three [um].
    """

    segment: Segment
    s1: float
    s2: float
    ds1: float
    ds2: float
    l1: float
    l2: float
    dl1: float
    dl2: float
    angle: float
    d1: float
    d2: float
    dd: float
    dds: float
    ddl: float
    sa: float
    la: float
    x_size: float
    y_size: float
    dzs1: float
    dzs2: float
    dzl1: float
    dzl2: float
    dzsa: float
    dzla: float
    ddzs: float
    ddzl: float
    dzx: float
    dzy: float
    angle_xz: float
    angle_yz: float
    dz3: float

    def as_json(self) -> dict[str, Any]:
        """Return the quad, the numbers of the points and all quantities."""
        numbers = {name: getattr(self, name) for name in (*SIDES, *HEIGHTS)}
        points = [point.number for point in self.segment.points]
        return {"quad": self.segment.quad, "points": points, **numbers}


@dataclass(frozen=True)
class Check:
    """What a survey is worth.

    Attributes
    ----------
    survey : Survey
        What was looked at.
    segments : tuple of Quality
        A segment each.
    tolerance_xy, tolerance_z : float
        What is allowed of dd, dds, ddl and of dz3 [um].
    typing_errors : tuple of TypingError
        The z values that were mistyped, as it seems.
    """

    survey: Survey
    segments: tuple[Quality, ...]
    tolerance_xy: float
    tolerance_z: float
    typing_errors: tuple[TypingError, ...]

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """Sentences on what is beyond a tolerance or out of order."""
        found = [*_numbering(self.survey)]
        for quality in self.segments:
            for name, limit in (
                ("dd", self.tolerance_xy),
                ("dds", self.tolerance_xy),
                ("ddl", self.tolerance_xy),
                ("dz3", self.tolerance_z),
            ):
                value = getattr(quality, name)
                if abs(value) > limit:
                    found.append(
                        f"{quality.segment.name}: {name} is {value:.1f} um, more than {limit:g} um"
                    )
        return (*found, *(error.sentence for error in self.typing_errors))

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        return {
            "survey": self.survey.name,
            "segments": [quality.as_json() for quality in self.segments],
            "warnings": list(self.warnings),
            "passed_over": list(self.survey.passed_over),
        }


def check(
    survey: Survey,
    *,
    tolerance_xy: float = TOLERANCE_XY,
    tolerance_z: float = TOLERANCE_Z,
) -> Check:
    r"""Return what a survey is worth.

    Parameters
    ----------
    survey : Survey
        Any.
    tolerance_xy : float, optional
        What opposite sides, and the two diagonals, may differ by [um].
    tolerance_z : float, optional
        What a corner may be off the plane of the other three [um].

    Raises
    ------
    BadFile
        If the corners of a segment are not four different places on no line.

    Examples
    --------
    >>> from cdb.geometry.survey import parse
    >>> found = check(parse("1 0 0 0\n2 0 20911 5\n3 43560 20899 2\n4 43549 -10 -3"))
    >>> found.segments[0].s1, found.segments[0].l2, found.warnings
    (20911.0, 43560.0, ())
    """
    return Check(
        survey,
        tuple(quality_of(segment, survey.name) for segment in survey.segments),
        tolerance_xy,
        tolerance_z,
        typing_errors(survey),
    )


def quality_of(segment: Segment, name: str = "survey") -> Quality:
    """Return what four corners say of a segment."""
    corners = segment.corners
    # Stable where lengths are equal, as those of a square are.
    s1, l1, d1 = sorted(corners[1:] - corners[0], key=lambda v: float(np.dot(v, v)))
    s2, l2, d2 = d1 - l1, d1 - s1, l1 - s1
    normal = np.cross(l1, s1)
    if not normal.any():
        raise BadFile(f"{name}: {segment.name}: the corners lie on one line")
    across = normal / np.linalg.norm(normal)
    turns = round(degrees(atan2(l1[1], l1[0])) / 90)
    # Along the long sides, and across them.
    along, up = (0, 1) if turns % 2 == 0 else (1, 0)
    la, sa = (l1 + l2) / 2, (s1 + s2) / 2
    sizes = (abs(float(la[along])), abs(float(sa[up])))
    rises = (float(la[2]), float(sa[2]))
    (x_size, y_size), (dzx, dzy) = (sizes, rises) if along == 0 else (sizes[::-1], rises[::-1])
    return Quality(
        segment,
        **{
            name: float(value)
            for name, value in {
                "s1": s1[up], "s2": s2[up], "ds1": l1[up], "ds2": l2[up],
                "l1": l1[along], "l2": l2[along], "dl1": s1[along], "dl2": s2[along],
                "angle": _folded(degrees(atan2(la[1], la[0])) - 90 * turns),
                "d1": np.linalg.norm(d1), "d2": np.linalg.norm(d2),
                "dd": np.linalg.norm(d1) - np.linalg.norm(d2),
                "dds": l1[up] - l2[up], "ddl": s1[along] - s2[along],
                "sa": sa[up], "la": la[along], "x_size": x_size, "y_size": y_size,
                "dzs1": s1[2], "dzs2": s2[2], "dzl1": l1[2], "dzl2": l2[2],
                "dzsa": sa[2], "dzla": la[2], "ddzs": s1[2] - s2[2], "ddzl": l1[2] - l2[2],
                "dzx": dzx, "dzy": dzy,
                "angle_xz": degrees(atan2(dzx, x_size)),
                "angle_yz": degrees(atan2(dzy, y_size)),
                "dz3": np.dot(d1, across),
            }.items()
        },
    )  # fmt: skip


def _folded(angle: float) -> float:
    """Return an angle between -180 and 180 deg."""
    return (angle + 180) % 360 - 180


def _numbering(survey: Survey) -> list[str]:
    """Return a sentence for each quad whose points are out of order in the text."""
    found = []
    for quad in dict.fromkeys(point.quad for point in survey.points):
        points = [point for point in survey.points if point.quad == quad]
        of_quad = "" if quad is None else f" of quad {quad}"
        for before, after in zip(points, points[1:], strict=False):
            if after.number != before.number + 1:
                found.append(
                    f"line {after.line}: point {after.number}{of_quad} comes after point "
                    f"{before.number}; the segments are made by the numbers, "
                    f"{CORNERS} points each"
                )
    return found
