"""From an optical survey to a geometry: where each sensor is, as its four corners say.

A sensor is a rectangle; its size is that of the median sensor of the survey. The rectangle is
laid on the four corners by least squares, as a rigid body, and its place and its angles are
written as the transformation of a geometry wants them (z first, then y, then x, in the frame of
the parent). What is left between rectangle and corners are the residuals.

A family says which segment of a survey is which sensor of the camera:

============ =================================================================== =================
family       survey                                                              geometry
============ =================================================================== =================
epix10ka2m   4 quads clockwise from quad 0; 4 segments each, clockwise from the  16 sensors, or 4
             lower left one                                                      quads of 4
cspad-cxi    4 quads, each measured lying as the standard quad; 8 segments each  4 quads of 8
cspad-xpp    4 quads in their places; 8 segments each                            32 sensors
cspad2x2     2 segments                                                          2 sensors
============ =================================================================== =================

References
----------
LCLS: ``CalibManager/src/OpticAlignmentUtils.py`` (epix10ka2m; in psana 4.3.4
``psana/pscalib/geometry/UtilsOpticAlignment.py``), ``OpticAlignmentCspadV1.py``,
``OpticAlignmentCspadV2.py``, ``OpticAlignmentCspad2x2V1.py``: which point is which corner of which
sensor. How their numbers differ from these is told in `cdb.geometry.metrology_compat`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import asin, atan2, degrees
from types import MappingProxyType
from typing import Any

import numpy as np

from cdb.errors import BadQuestion
from cdb.geometry.survey import CORNERS, Segment, Survey, Values
from cdb.geometry.tree import Geometry, Key, Part

# Where a camera is put until its distance is known [um]: 10 cm and 1 m from the sample.
NEAR, FAR = -1e5, -1e6
# The centre of a camera in the frame of the microscope [um], asked for only where quads are
# missing from a survey.
CENTER = (78000.0, -4150.0)

EPIX, CSPAD = "EPIX10KA:V1", "SENS2X1:V1"

# epix10ka2m, quad 0 at the upper left: numbers in the DAQ of the segments that a survey has
# clockwise from the lower left one; each quad is the one before turned clockwise.
EPIX_WALKS = ((0, 1, 3, 2), (2, 0, 1, 3), (3, 2, 0, 1), (1, 3, 2, 0))
# Rotation of the quads in the camera [deg], and their centres and those of their sensors [um].
EPIX_QUAD_ANGLES = (90.0, 0.0, 270.0, 180.0)
EPIX_QUADS = ((-38450.0, 42850.0), (42850.0, 38450.0), (38450.0, -42850.0), (-42850.0, -38450.0))
EPIX_SENSORS = ((-20150.0, 20950.0), (20150.0, 20950.0), (-20150.0, -20950.0), (20150.0, -20950.0))

# cspad: the segment of a standard quad that each sensor of the DAQ is, and its corner in that
# segment which is the lower left one of the sensor.
CSPAD_SLOTS = (1, 0, 3, 2, 4, 5, 7, 6)
CSPAD_FIRST = (0, 0, 1, 1, 2, 2, 1, 1)
# How the sensors are turned in a standard quad, in multiples of 90 deg.
CSPAD_ANGLES = (0, 0, 3, 3, 2, 2, 3, 3)
# Segments of a quad that was measured turned by 0, 90, 180, 270 deg, in the order of the standard
# quad. The corners are numbered as the segment lies: the lower left one of the standard quad is
# then corner 0, 3, 2, 1.
CSPAD_TURNED = (
    (0, 1, 2, 3, 4, 5, 6, 7),
    (7, 6, 0, 1, 3, 2, 4, 5),
    (5, 4, 7, 6, 1, 0, 3, 2),
    (2, 3, 5, 4, 6, 7, 1, 0),
)
# Quads of the cspad with moving quads: rotation [deg] and origin [um].
CXI_ANGLES = (90.0, 0.0, 270.0, 180.0)
CXI_QUADS = ((-4500.0, -4500.0), (-4500.0, 4500.0), (4500.0, 4500.0), (4500.0, -4500.0))
# Quads of the fixed cspad, in multiples of 90 deg, quad 0 at the upper left.
XPP_TURNS = (1, 0, 3, 2)


@dataclass(frozen=True)
class Sensor:
    """Which segment of a survey is which sensor.

    Attributes
    ----------
    quad, index : int
        Its number in the camera.
    segment : Segment
        Its corners.
    first : int
        Which of them is the lower left one of the sensor, x of the sensor being to the right.
    """

    quad: int
    index: int
    segment: Segment
    first: int

    @property
    def corners(self) -> Values:
        """Corners, clockwise from the lower left one of the sensor [um], shape (4, 3)."""
        return np.roll(self.segment.corners, -self.first, axis=0)

    @property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of the points of these corners."""
        numbers = [point.number for point in self.segment.points]
        return tuple(numbers[self.first :] + numbers[: self.first])


@dataclass(frozen=True)
class Fit:
    """A rectangle laid on four corners.

    Attributes
    ----------
    sensor : Sensor
        Whose corners they are.
    center : ndarray, shape (3,)
        Of the rectangle, in the frame of the survey [um].
    rotation : ndarray, shape (3, 3)
        From the frame of the sensor to that of the survey.
    residuals : ndarray, shape (4, 3)
        Corners less those of the rectangle, in the frame of the sensor [um].
    """

    sensor: Sensor
    center: Values
    rotation: Values
    residuals: Values

    @property
    def name(self) -> str:
        """What people call the sensor."""
        return f"quad {self.sensor.quad} sensor {self.sensor.index}"

    @property
    def rms(self) -> float:
        """Root mean square of the distances between corners and rectangle [um]."""
        return float(np.sqrt((self.residuals**2).sum(axis=1).mean()))

    @property
    def worst(self) -> float:
        """The greatest of the distances [um]."""
        return float(np.sqrt((self.residuals**2).sum(axis=1).max()))

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "quad": self.sensor.quad,
            "index": self.sensor.index,
            "points": list(self.sensor.numbers),
            "rms": self.rms,
            "max": self.worst,
            "residuals": self.residuals.tolist(),
        }


@dataclass(frozen=True)
class Metrology:
    """A survey made into a geometry.

    Attributes
    ----------
    geometry : Geometry
        All numbers as they were computed, unless those of the old programs were asked for.
    fits : tuple of Fit
        In the order of the sensors in the geometry.
    size : (float, float)
        Of a sensor along its x and its y, between the marks that were measured [um].
    """

    geometry: Geometry
    fits: tuple[Fit, ...]
    size: tuple[float, float]

    @property
    def rms(self) -> float:
        """Root mean square of all distances between corners and rectangles [um]."""
        return float(np.sqrt(np.mean([fit.rms**2 for fit in self.fits])))


# Rectangles ------------------------------------------------------------------------------------


def fitted(sensors: Sequence[Sensor]) -> tuple[tuple[Fit, ...], tuple[float, float]]:
    """Lay a rectangle on the corners of each sensor; return the fits and its size.

    Parameters
    ----------
    sensors : sequence of Sensor
        All of one kind.

    Raises
    ------
    BadQuestion
        If the corners of one of them are not clockwise, or lie on one line.
    """
    corners = np.array([sensor.corners for sensor in sensors])
    size = _size_of(corners)
    x, y = size[0] / 2, size[1] / 2
    rectangle = np.array([(-x, -y, 0), (-x, y, 0), (x, y, 0), (x, -y, 0)])
    fits = []
    for sensor, measured in zip(sensors, corners, strict=True):
        center = measured.mean(axis=0)
        rotation = _rotation(rectangle, measured - center)
        if rotation[2, 2] <= 0.5:
            raise BadQuestion(
                f"{sensor.segment.name}: the corners are not clockwise from the lower left one; "
                "see in which order they were measured, and from which side"
            )
        residuals = (measured - center) @ rotation - rectangle
        fits.append(Fit(sensor, center, rotation, residuals))
    return tuple(fits), size


def _size_of(corners: Values) -> tuple[float, float]:
    """Return length and width of the median sensor [um]."""
    sides = np.linalg.norm(np.roll(corners, -1, axis=1) - corners, axis=2)
    lengths, widths = (sides[:, 1] + sides[:, 3]) / 2, (sides[:, 0] + sides[:, 2]) / 2
    return float(np.median(lengths)), float(np.median(widths))


def _rotation(rectangle: Values, corners: Values) -> Values:
    """Return the rotation that lays one set of corners on another, by least squares.

    References
    ----------
    W. Kabsch, Acta Cryst. A32 (1976) 922: from the singular values of the covariance.
    """
    u, _, vt = np.linalg.svd(rectangle.T @ corners)
    handedness = np.sign(np.linalg.det(vt.T @ u.T))
    turned: Values = vt.T @ np.diag([1.0, 1.0, handedness]) @ u.T
    return turned


def turned(angle: float) -> Values:
    """Return the rotation around z by an angle [deg]."""
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return np.array([(c, -s, 0.0), (s, c, 0.0), (0.0, 0.0, 1.0)])


def _angles(rotation: Values) -> tuple[float, float, float, float]:
    """Return rot_z, a multiple of 90, and tilt_z, tilt_y, tilt_x [deg] of a rotation."""
    z = degrees(atan2(-rotation[0, 1], rotation[0, 0]))
    y = degrees(asin(float(np.clip(rotation[0, 2], -1, 1))))
    x = degrees(atan2(-rotation[1, 2], rotation[2, 2]))
    design = 90.0 * round(z / 90)
    return design % 360, z - design, y, x


def part_of(parent: Key, key: Key, center: Values, rotation: Values, *, use_z: bool = True) -> Part:
    """Return a part at a place, turned by a rotation."""
    rot_z, tilt_z, tilt_y, tilt_x = _angles(rotation)
    x, y, z = map(float, center)
    if not use_z:
        z = tilt_y = tilt_x = 0.0
    return Part(*parent, *key, x, y, z, rot_z, 0.0, 0.0, tilt_z, tilt_y, tilt_x)


def flat_part(parent: Key, key: Key, x: float, y: float, z: float, angle: float) -> Part:
    """Return a part without tilts."""
    return Part(*parent, *key, x, y, z, angle, 0.0, 0.0, 0.0, 0.0, 0.0)


# The survey ------------------------------------------------------------------------------------


def levelled(survey: Survey) -> tuple[Survey, Values]:
    """Return a survey with its centre in the origin and its plane at right angles to z.

    Returns
    -------
    survey : Survey
        Turned as a rigid body, around an axis in the plane of x and y.
    centroid : ndarray, shape (3,)
        What was the mean of all points [um].
    """
    places = np.array([(point.x, point.y, point.z) for point in survey.points])
    centroid = places.mean(axis=0)
    normal = np.linalg.svd(places - centroid)[2][2]
    normal = normal * (np.sign(normal[2]) or 1.0)
    axis = np.cross(normal, (0.0, 0.0, 1.0))
    cross = np.array([(0.0, -axis[2], axis[1]), (axis[2], 0.0, -axis[0]), (-axis[1], axis[0], 0.0)])
    # Rodrigues: the shortest turn from the normal to z.
    turn = np.eye(3) + cross + cross @ cross / (1.0 + normal[2])
    moved = (places - centroid) @ turn.T
    points = tuple(
        replace(point, x=float(x), y=float(y), z=float(z))
        for point, (x, y, z) in zip(survey.points, moved, strict=True)
    )
    return replace(survey, points=points), centroid


def quads_of(survey: Survey, segments: int) -> dict[int, tuple[Segment, ...]]:
    """Return the segments of each quad, which its header names, or else its place in the text.

    Raises
    ------
    BadQuestion
        If a quad has another number of segments.
    """
    quads: dict[int, list[Segment]] = {}
    for number, segment in enumerate(survey.segments):
        quad = number // segments if segment.quad is None else segment.quad
        quads.setdefault(quad, []).append(segment)
    for quad, found in quads.items():
        if len(found) != segments or quad > 3:
            raise BadQuestion(
                f"{survey.name}: quad {quad} has {len(found)} segments; a survey of this family "
                f"has at most 4 quads of {segments} segments, {CORNERS} points each"
            )
    return {quad: tuple(found) for quad, found in sorted(quads.items())}


def _all_quads(survey: Survey, segments: int) -> dict[int, tuple[Segment, ...]]:
    quads = quads_of(survey, segments)
    if len(quads) != 4:
        there = ", ".join(map(str, quads))
        raise BadQuestion(f"{survey.name}: has the quads {there}; the camera has 0, 1, 2, 3")
    return quads


# Families --------------------------------------------------------------------------------------


def epix_sensors(survey: Survey, turn: int, quad_offset: int) -> list[Sensor]:
    """Return the sensors of an epix10ka2m, quad by quad in the order of the survey."""
    sensors = []
    for place, segments in quads_of(survey, 4).items():
        quad = (place + quad_offset) % 4
        walk = EPIX_WALKS[(quad + turn) % 4]
        sensors += [
            Sensor(quad, walk[n], segment, (1 + quad + turn) % 4)
            for n, segment in enumerate(segments)
        ]
    return sensors


def epix10ka2m(
    survey: Survey,
    *,
    quads: bool = False,
    turn: int = 0,
    quad_offset: int = 0,
    use_z: bool = True,
    level: bool = True,
    center: tuple[float, float] = CENTER,
    at: tuple[float, float, float] | None = None,
    angle: float | None = None,
    compat: bool = False,
) -> Metrology:
    """Make the geometry of an epix10ka2m from its survey.

    Parameters
    ----------
    survey : Survey
        Four quads clockwise, four segments each, clockwise from the lower left one.
    quads : bool, optional
        Make quads that can be moved; else the sensors belong to the camera itself.
    turn : int, optional
        How the camera lay: 0 with quad 0 at the upper left, and 1, 2, 3 turned clockwise.
    quad_offset : int, optional
        Added to the number of a quad in the survey, it is that in the DAQ.
    use_z : bool, optional
        Whether z counts; else all sensors lie flat in one plane.
    level : bool, optional
        Take away the slope of the whole camera.
    center : (float, float), optional
        Of the camera in the frame of the survey, if quads are missing from it [um]. These are
        put where they are by design; `quads` must be given.
    at : (float, float, float), optional
        Of the camera in the frame of the interaction point [um]; by default 10 cm behind it.
    angle : float, optional
        Of the camera there [deg]; by default what turns quad 0 to the upper left corner of
        an image.
    compat : bool, optional
        Give the numbers of LCLS's ``optical_metrology_epix10ka2m``: whole um, tilts around y and
        x in the frame of the sensor. `at` and `angle` are (0, 0, 10000) and 90 then, unless they
        are given.

    Returns
    -------
    metrology : Metrology
        The geometry and the fits.

    Raises
    ------
    BadQuestion
        If the survey is none of such a camera, or lies otherwise than `turn` says.
    """
    found, centroid = levelled(survey) if level else (survey, np.zeros(3))
    sensors = epix_sensors(found, turn % 4, quad_offset % 4)
    fits, size = fitted(sensors)
    if not quads and len(sensors) != 16:
        raise BadQuestion(
            f"{survey.name}: has {len(sensors)} of 16 segments; where quads are missing, make a "
            "geometry with quads"
        )
    if compat:
        from cdb.geometry import metrology_compat

        return replace(
            Metrology(Geometry((), ()), _in_order(fits), size),
            geometry=metrology_compat.epix10ka2m(
                survey, quads=quads, turn=turn, quad_offset=quad_offset, use_z=use_z,
                level=level, center=center, at=at, angle=angle,
            ),
        )  # fmt: skip
    whole = len(sensors) == 16
    middle = np.array([*center, 0.0]) - centroid
    middle[2] = 0.0
    if whole:
        middle = np.mean([fit.center for fit in fits], axis=0)
        _check_turn(survey, fits, turn % 4, clockwise=True)
    if quads:
        rows = _epix_quads(fits, middle, turn=turn % 4, use_z=use_z)
    else:
        rows = _epix_camera(fits, middle, use_z=use_z)
    if angle is None:
        angle = (90.0 * (turn + 1)) % 360
    rows.append(flat_part(("IP", 0), ("CAMERA", 0), *(at or (0.0, 0.0, NEAR)), angle))
    return Metrology(_titled("epix10ka2m", survey, rows), _in_order(fits), size)


def _in_order(fits: Sequence[Fit]) -> tuple[Fit, ...]:
    return tuple(sorted(fits, key=lambda fit: (fit.sensor.quad, fit.sensor.index)))


def _check_turn(survey: Survey, fits: Sequence[Fit], turn: int, *, clockwise: bool) -> None:
    """Check that quad 0 of a whole camera lies where it is said to be."""
    around = {quad: [fit.center for fit in fits if fit.sensor.quad == quad] for quad in range(4)}
    centers = {quad: np.mean(centers, axis=0) for quad, centers in around.items()}
    away = centers[0] - np.mean([*centers.values()], axis=0)
    # Quad 0 belongs to the upper left, at some 135 deg, and goes round with the camera.
    turns = round((135 - degrees(atan2(away[1], away[0]))) / 90)
    lies, sense = (turns % 4, 1) if clockwise else (-turns % 4, -1)
    if lies != turn:
        corners = ("upper left", "upper right", "lower right", "lower left")
        raise BadQuestion(
            f"{survey.name}: quad 0 lies at the {corners[sense * lies]}, and turn {turn} is for "
            f"one at the {corners[sense * turn]}; give turn {lies}, or see how quads are numbered"
        )


def _epix_camera(fits: Sequence[Fit], middle: Values, *, use_z: bool) -> list[Part]:
    parts = {}
    for fit in fits:
        number = 4 * fit.sensor.quad + fit.sensor.index
        parts[number] = part_of(
            ("CAMERA", 0), (EPIX, number), fit.center - middle, fit.rotation, use_z=use_z
        )
    return [parts[number] for number in sorted(parts)]


def _epix_quads(fits: Sequence[Fit], middle: Values, *, turn: int, use_z: bool) -> list[Part]:
    """Return rows of sensors in quads, then those of the quads; by design where none is known."""
    sensors, rows = [], []
    for quad in range(4):
        here = [fit for fit in fits if fit.sensor.quad == quad]
        angle = (EPIX_QUAD_ANGLES[quad] - 90 * turn) % 360
        back = turned(-angle)
        if here:
            around = np.mean([fit.center for fit in here], axis=0)
            around[2] = middle[2]
            places = {f.sensor.index: (back @ (f.center - around), back @ f.rotation) for f in here}
            x, y, _ = map(float, around - middle)
        else:
            half = turned(180.0)
            places = {n: (np.array([*xy, 0.0]), half) for n, xy in enumerate(EPIX_SENSORS)}
            x, y, _ = map(float, turned(-90.0 * turn) @ (*EPIX_QUADS[quad], 0.0))
        sensors += [
            part_of(("QUAD", quad), (EPIX, n), *places[n], use_z=use_z) for n in sorted(places)
        ]
        rows.append(flat_part(("CAMERA", 0), ("QUAD", quad), x, y, 0.0, angle))
    return sensors + rows


def cspad_sensors(segments: Sequence[Segment], quad: int, turn: int) -> list[Sensor]:
    """Return the sensors of a quad of a cspad that was measured turned by `turn` * 90 deg."""
    order = CSPAD_TURNED[turn]
    return [
        Sensor(quad, n, segments[order[slot]], (CSPAD_FIRST[n] - turn) % 4)
        for n, slot in enumerate(CSPAD_SLOTS)
    ]


def cspad_cxi(survey: Survey, *, use_z: bool = True, compat: bool = False) -> Metrology:
    """Make the geometry of a cspad with moving quads, as CXI has it, from its survey.

    Parameters
    ----------
    survey : Survey
        Four quads of eight segments, each quad measured alone.
    use_z : bool, optional
        Whether z counts; else all sensors lie flat.
    compat : bool, optional
        Give the numbers of LCLS's ``optical_metrology_cspad_v1_cxi``.

    Returns
    -------
    metrology : Metrology
        Quads keep the frame in which they were measured, and stand 4.5 mm off the beam.

    Raises
    ------
    BadQuestion
        If the survey is none of such a camera.
    """
    quads = _all_quads(survey, 8)
    sensors = [s for quad, segments in quads.items() for s in cspad_sensors(segments, quad, 0)]
    parents = [("QUAD:V1", sensor.quad) for sensor in sensors]
    keys = [(CSPAD, sensor.index) for sensor in sensors]
    fits, size, rows = _cspad_rows(survey, sensors, parents, keys, [0] * 4, use_z, compat)
    rows += [
        flat_part(("CSPAD:V1", 0), ("QUAD:V1", quad), *CXI_QUADS[quad], 0.0, CXI_ANGLES[quad])
        for quad in quads
    ]
    rows.append(flat_part(("RAIL", 0), ("CSPAD:V1", 0), 0.0, 0.0, -FAR if compat else FAR, 0.0))
    rows.append(flat_part(("IP", 0), ("RAIL", 0), 0.0, 0.0, 0.0, 0.0))
    return Metrology(_titled("cspad-cxi", survey, rows), fits, size)


def cspad_xpp(
    survey: Survey, *, turn: int = 0, use_z: bool = True, compat: bool = False
) -> Metrology:
    """Make the geometry of a cspad with fixed quads, as XPP has it, from its survey.

    Parameters
    ----------
    survey : Survey
        Four quads of eight segments, measured together; quads have their numbers in the DAQ.
    turn : int, optional
        How the camera lay: 0 with quad 0 at the upper left, and 1, 2, 3 turned counter-clockwise.
    use_z : bool, optional
        Whether z counts; else all sensors lie flat.
    compat : bool, optional
        Give the numbers of LCLS's ``optical_metrology_cspad_v2_xpp``, whose tables of points are
        wrong for the turns 1 and 3.

    Raises
    ------
    BadQuestion
        If the survey is none of such a camera.
    """
    turns = [(quad_turn + turn) % 4 for quad_turn in XPP_TURNS]
    sensors = []
    for quad, segments in _all_quads(survey, 8).items():
        lies = (XPP_TURNS[quad] - turn) % 4 if compat else turns[quad]
        sensors += cspad_sensors(segments, quad, lies)
    keys = [(CSPAD, 8 * sensor.quad + sensor.index) for sensor in sensors]
    parents = [("CSPAD:V2", 0)] * len(keys)
    fits, size, rows = _cspad_rows(survey, sensors, parents, keys, turns, use_z, compat)
    if not compat:
        _check_turn(survey, fits, turn % 4, clockwise=False)
    rows.append(flat_part(("IP", 0), ("CSPAD:V2", 0), 0.0, 0.0, -FAR if compat else FAR, 0.0))
    return Metrology(_titled("cspad-xpp", survey, rows), fits, size)


def cspad2x2(survey: Survey, *, use_z: bool = True, compat: bool = False) -> Metrology:
    """Make the geometry of a cspad2x2 from its survey.

    Parameters
    ----------
    survey : Survey
        Two segments.
    use_z : bool, optional
        Whether z counts; else both sensors lie flat.
    compat : bool, optional
        Give the numbers of LCLS's ``optical_metrology_cspad2x2``.

    Raises
    ------
    BadQuestion
        If the survey is none of such a camera.
    """
    if len(survey.segments) != 2:
        raise BadQuestion(f"{survey.name}: has {len(survey.segments)} segments; a cspad2x2 has 2")
    sensors = [Sensor(0, n, segment, 2) for n, segment in enumerate(survey.segments)]
    keys = [(CSPAD, sensor.index) for sensor in sensors]
    parents = [("CSPAD2X2:V1", 0)] * 2
    fits, size, rows = _cspad_rows(survey, sensors, parents, keys, [0], use_z, compat)
    rows.append(flat_part(("IP", 0), ("CSPAD2X2:V1", 0), 0.0, 0.0, -FAR if compat else FAR, 0.0))
    return Metrology(_titled("cspad2x2", survey, rows), fits, size)


def _cspad_rows(
    survey: Survey,
    sensors: list[Sensor],
    parents: list[Key],
    keys: list[Key],
    turns: list[int],
    use_z: bool,
    compat: bool,
) -> tuple[tuple[Fit, ...], tuple[float, float], list[Part]]:
    """Return fits, size and rows of the sensors of a cspad."""
    fits, size = fitted(sensors)
    if compat:
        from cdb.geometry import metrology_compat

        return fits, size, metrology_compat.cspad(sensors, parents, keys, turns)
    rows = [
        part_of(parent, key, fit.center, fit.rotation, use_z=use_z)
        for parent, key, fit in zip(parents, keys, fits, strict=True)
    ]
    for row, sensor in zip(rows, sensors, strict=True):
        design = cspad_angle(sensor, turns)
        if row.rot_z != design:
            raise BadQuestion(
                f"{survey.name}: {sensor.segment.name} lie at {row.rot_z:g} deg, where sensor "
                f"{sensor.index} of quad {sensor.quad} is at {design:g}; see how the points are "
                "numbered, and how the camera lay"
            )
    return fits, size, rows


def cspad_angle(sensor: Sensor, turns: Sequence[int]) -> float:
    """Return how a sensor is turned by design [deg]: quads of a cspad by `turns`, or a cspad2x2."""
    in_quad = CSPAD_ANGLES[sensor.index] if len(turns) == 4 else 2
    return 90.0 * ((turns[sensor.quad] + in_quad) % 4)


FAMILIES: Mapping[str, Callable[..., Metrology]] = MappingProxyType(
    {
        "epix10ka2m": epix10ka2m,
        "cspad-cxi": cspad_cxi,
        "cspad-xpp": cspad_xpp,
        "cspad2x2": cspad2x2,
    }
)

# Comments --------------------------------------------------------------------------------------


def _titled(family: str, survey: Survey, rows: Sequence[Part]) -> Geometry:
    return Geometry(comments(family, survey.name), tuple(rows))


def comments(family: str, source: str) -> tuple[str, ...]:
    """Return what stands above the rows."""
    return (
        f"TITLE Geometry of {family} from an optical survey",
        f"METROLOGY {' '.join(source.split()) or '-'}",
        "CALIB_TYPE geometry",
        "parent ind object ind x0[um] y0[um] z0[um] rot_z rot_y rot_x tilt_z tilt_y tilt_x [deg]",
    )
