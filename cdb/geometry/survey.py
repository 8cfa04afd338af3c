"""Optical surveys of a camera: the corners of its sensors as a microscope saw them.

A survey is a text with a line for each point: its number, and x, y, z [um]. Numbers begin with 1;
four points are a segment, clockwise from its lower left corner as it was measured. Each quad of a
camera may have a header, after which the numbers may begin anew::

    # taken 2020-02-25
    Quad 0
    Point      X      Y    Z
        1      0      0    0
        2     12  20911    5
        3  43560  20899    2
        4  43549    -10   -3

Comments, blank lines and titles (lines that begin with ``Point`` or ``Sensor``) are passed over.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cdb.errors import BadFile, BadQuestion, NotFound, shown
from cdb.geometry.tree import FARTHEST, parse_number

Values = NDArray[np.float64]

CORNERS = 4
# A single z that is further than this from the plane of the other three was mistyped [um]:
# practice at LCLS, whose sensors are flat to some 20 um.
TYPING_ERROR = 150.0
_MAX_NUMBER = 9999


@dataclass(frozen=True)
class Point:
    """A point of a survey.

    Attributes
    ----------
    number : int
        From 1, within its quad.
    x, y, z : float
        Where it is [um]: x to the right, y up, z towards the one who looks.
    quad : int or None
        The number in the header above it; None if there is none.
    line : int
        Where it stands in the text, from 1; 0 if it was not read.
    """

    number: int
    x: float
    y: float
    z: float
    quad: int | None = None
    line: int = 0


@dataclass(frozen=True)
class Segment:
    """The four corners of a sensor, clockwise from the lower left one as measured.

    Attributes
    ----------
    points : tuple of Point
        Four.
    """

    points: tuple[Point, ...]

    @property
    def quad(self) -> int | None:
        """The quad that it belongs to."""
        return self.points[0].quad

    @property
    def name(self) -> str:
        """What sentences call it."""
        quad = "" if self.quad is None else f" of quad {self.quad}"
        return f"points {self.points[0].number} to {self.points[-1].number}{quad}"

    @property
    def corners(self) -> Values:
        """Coordinates of the corners [um], shape (4, 3)."""
        return np.array([(point.x, point.y, point.z) for point in self.points])


@dataclass(frozen=True)
class Survey:
    """A survey text, read.

    Attributes
    ----------
    points : tuple of Point
        In the order of the text.
    name : str
        What errors call it.
    passed_over : tuple of int
        Lines that are neither a point nor a header, a title, a comment or blank.
    """

    points: tuple[Point, ...]
    name: str = "survey"
    passed_over: tuple[int, ...] = ()

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """The segments, by the numbers of their points; quads in the order of the text."""
        quads = dict.fromkeys(point.quad for point in self.points)
        places = {quad: place for place, quad in enumerate(quads)}
        rows = sorted(self.points, key=lambda point: (places[point.quad], point.number))
        starts = range(0, len(rows), CORNERS)
        return tuple(Segment(tuple(rows[start : start + CORNERS])) for start in starts)


def read(path: Path | str) -> Survey:
    """Read a file with a survey.

    Raises
    ------
    NotFound
        If there is no such file.
    BadFile
        As `parse`, or if the file is no text.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}") from None
    except UnicodeDecodeError:
        raise BadFile(f"{path} is no text; a survey has a line `number x y z` a point") from None
    return parse(text, str(path))


def parse(text: str, name: str = "survey") -> Survey:
    r"""Read the text of a survey.

    Parameters
    ----------
    text : str
        Lines of points, headers of quads, titles, comments.
    name : str, optional
        What errors call the text.

    Raises
    ------
    BadFile
        If a line that begins as a point does has other than four numbers, a number stands twice
        in a quad, or a segment lacks a point; the sentence names the line.

    Examples
    --------
    >>> survey = parse("Quad 0\n1 0 0 0\n2 0 20911 5\n3 43560 20899 2\n4 43549 -10 -3")
    >>> survey.segments[0].name, survey.segments[0].corners[2]
    ('points 1 to 4 of quad 0', array([4.3560e+04, 2.0899e+04, 2.0000e+00]))
    """
    quad: int | None = None
    points: list[Point] = []
    passed_over = []
    for line, row in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        fields = row.split()
        if not fields or fields[0].startswith("#"):
            continue
        try:
            first = fields[0].lower()
            if first == "quad":
                quad = _quad(fields)
            elif _begins_a_point(fields):
                points.append(_point(fields, quad, line))
            elif first not in ("point", "sensor"):
                passed_over.append(line)
        except ValueError as error:
            raise BadFile(f"{name}, line {line}: {error}") from None
    if not points:
        raise BadFile(f"{name}: has no line `number x y z`")
    _check_numbers(points, name)
    return Survey(tuple(points), name, tuple(passed_over))


def _quad(fields: list[str]) -> int:
    text = fields[1].rstrip(":") if len(fields) > 1 else ""
    if text not in ("0", "1", "2", "3"):
        raise ValueError(f"a quad is 0, 1, 2 or 3, not {shown(text)}")
    return int(text)


def _begins_a_point(fields: list[str]) -> bool:
    """Return whether a line is meant to be a point, however badly it is written."""
    numbers = [_is_number(field) for field in fields]
    return _is_digits(fields[0]) or numbers[0] or (len(fields) == 4 and all(numbers[1:]))


def _is_digits(text: str) -> bool:
    return text.isascii() and text.lstrip("+-").isdecimal()


def _is_number(text: str) -> bool:
    try:
        parse_number(text)
    except ValueError:
        return False
    return True


def _point(fields: list[str], quad: int | None, line: int) -> Point:
    if len(fields) != 4:
        raise ValueError(f"a point has 4 fields, number x y z; this line has {len(fields)}")
    number = fields[0]
    if not (_is_digits(number) and len(number) < 9 and 1 <= int(number) <= _MAX_NUMBER):
        raise ValueError(f"{shown(number)} is no number of a point, one of 1 to {_MAX_NUMBER}")
    x, y, z = map(parse_number, fields[1:])
    if max(abs(x), abs(y), abs(z)) > FARTHEST:
        raise ValueError(f"a point stands {FARTHEST:g} um away at most")
    return Point(int(number), x, y, z, quad, line)


def _check_numbers(points: list[Point], name: str) -> None:
    """Check that every segment has its four points."""
    lines: dict[tuple[int | None, int], int] = {}
    for point in points:
        if (point.quad, point.number) in lines:
            before = lines[point.quad, point.number]
            hint = "" if point.quad is not None else "; a line `Quad N` stands above each quad"
            raise BadFile(
                f"{name}, line {point.line}: point {point.number} stands in line {before} too{hint}"
            )
        lines[point.quad, point.number] = point.line
    for (quad, number), line in lines.items():
        first = number - (number - 1) % CORNERS
        for missing in range(first, first + CORNERS):
            if (quad, missing) not in lines:
                raise BadFile(
                    f"{name}, line {line}: point {number} belongs to a segment of the points "
                    f"{first} to {first + CORNERS - 1}, and there is no point {missing}"
                )


@dataclass(frozen=True)
class TypingError:
    """A z that cannot be right.

    Attributes
    ----------
    segment : Segment
        Where it is.
    points : tuple of Point
        The point; several if the segment is not flat and nobody can say which corner is wrong.
    off : float
        How far its z is from the plane of the other three [um].
    z : float
        What z that plane has at the point [um].
    """

    segment: Segment
    points: tuple[Point, ...]
    off: float
    z: float

    @property
    def is_certain(self) -> bool:
        """Whether it is known which corner is wrong."""
        return len(self.points) == 1

    @property
    def sentence(self) -> str:
        """What is wrong, in one sentence."""
        if not self.is_certain:
            return (
                f"{self.segment.name}: the corners are {abs(self.off):.0f} um off a plane, and "
                "which of them is wrong cannot be told"
            )
        [point] = self.points
        where = f"line {point.line}: " if point.line else ""
        quad = "" if point.quad is None else f" of quad {point.quad}"
        return (
            f"{where}point {point.number}{quad} has z {point.z:g}, {abs(self.off):.0f} um "
            f"{'above' if self.off > 0 else 'below'} the plane of the other three"
        )


def typing_errors(survey: Survey, *, limit: float = TYPING_ERROR) -> tuple[TypingError, ...]:
    """Return the z values that were mistyped, as it seems.

    Four corners off a plane do not say which of them is wrong: that is the one that is far from
    the plane of all flat segments where the other three are near to it together.

    Parameters
    ----------
    survey : Survey
        Any.
    limit : float, optional
        What is allowed between a corner and the plane of the other three [um].
    """
    off = [np.array([_off(s.corners, i) for i in range(CORNERS)]) for s in survey.segments]
    bad = [n for n, offs in enumerate(off) if np.abs(offs).max() > limit]
    flat = [s.corners for n, s in enumerate(survey.segments) if n not in bad]
    slope = _plane(np.concatenate(flat)) if flat else np.zeros(3)
    found = []
    for n in bad:
        segment, corners = survey.segments[n], survey.segments[n].corners
        rest = corners[:, 2] - corners[:, :2] @ slope[:2]
        apart = np.abs([rest[i] - np.median(np.delete(rest, i)) for i in range(CORNERS)])
        worst = int(apart.argmax())
        certain = np.partition(apart, -2)[-2] < apart[worst] / 2
        which = segment.points[worst : worst + 1] if certain else segment.points
        off_plane = float(off[n][worst])
        found.append(TypingError(segment, which, off_plane, segment.points[worst].z - off_plane))
    return tuple(found)


def mended(survey: Survey, errors: tuple[TypingError, ...]) -> Survey:
    """Return a survey with each mistyped z replaced by that of the plane of the other three.

    Raises
    ------
    BadQuestion
        If it is not certain which corner of a segment is wrong.
    """
    new = {}
    for error in errors:
        if not error.is_certain:
            raise BadQuestion(f"{survey.name}: {error.sentence}; measure the segment again")
        new[error.points[0]] = replace(error.points[0], z=error.z)
    return replace(survey, points=tuple(new.get(point, point) for point in survey.points))


def _off(corners: Values, which: int) -> float:
    """Return how far a corner is above the plane of the other three [um]."""
    others = np.delete(corners, which, axis=0)
    a, b, c = _plane(others)
    x, y, z = corners[which]
    return float(z - (a * x + b * y + c))


def _plane(points: Values) -> Values:
    """Return a, b, c of the plane z = a x + b y + c nearest to points."""
    around = points.mean(axis=0)
    design = np.column_stack([points[:, :2] - around[:2], np.ones(len(points))])
    a, b, c = np.linalg.lstsq(design, points[:, 2], rcond=None)[0]
    return np.array([a, b, c - a * around[0] - b * around[1]])
