"""The numbers that LCLS's programs for optical surveys give, with their faults.

They cut what they read and what they write to whole um, and:

- tilts around y and x are taken from the sides of a sensor in its own frame (epix10ka2m), or
  along the sides without their direction (cspad), where a geometry has them around the axes of
  the parent, and that around y with the other sign: corners come out of the geometry up to some
  10 um off the measured ones in z;
- with quads, an epix10ka2m has each of them turned by 90 deg in its place, unless -q 3 is given;
- the slope of a camera is estimated from sums of z * sign(x), in which x and y mix;
- cspad: points are taken for those of other sensors if the camera lay turned by 90 or 270 deg;
- the camera is put at a positive z, which below ``RAIL`` nobody turns.

`cdb.geometry.metrology` gives the same places without these.
"""

from collections.abc import Sequence
from math import atan2, degrees

import numpy as np
from numpy.typing import NDArray

from cdb.geometry import metrology
from cdb.geometry.metrology import EPIX, EPIX_QUAD_ANGLES, EPIX_QUADS, EPIX_SENSORS, Sensor
from cdb.geometry.survey import Survey, Values
from cdb.geometry.tree import Geometry, Key, Part

_AT, _ANGLE = (0.0, 0.0, 1e4), 90.0
# As the cspad programs have it.
_RAD_TO_DEG = 180 / 3.14159265359


def epix10ka2m(
    survey: Survey,
    *,
    quads: bool,
    turn: int,
    quad_offset: int,
    use_z: bool,
    level: bool,
    center: tuple[float, float],
    at: tuple[float, float, float] | None,
    angle: float | None,
) -> Geometry:
    """Return the rows that ``optical_metrology_epix10ka2m`` writes, version 0 or 1."""
    points = np.array([(p.x, p.y, p.z) for p in survey.points]).astype(np.int32)
    if level:
        points = _levelled(points)
    places = {point: points[n] for n, point in enumerate(survey.points)}

    def numbers(sensor: Sensor) -> Values:
        corners = np.array([places[point] for point in sensor.segment.points], dtype=np.int64)
        return _of_epix(np.roll(corners, -sensor.first, axis=0))

    # Version 0 knows an offset of quads only where it turns them.
    sensors = metrology.epix_sensors(survey, turn % 4, 0 if quads else quad_offset % 4)
    values = np.array([numbers(sensor) for sensor in sensors])
    make = _epix_quads if quads else _epix_camera
    rows = make(sensors, values, use_z, center, turn + quad_offset)
    where = _AT if at is None else at
    turned = _ANGLE if angle is None else angle
    rows.append(_row(("IP", 0), ("CAMERA", 0), (*where, turned, 0, 0, 0, 0, 0)))
    return Geometry(metrology.comments("epix10ka2m", survey.name), tuple(rows))


def _levelled(points: NDArray[np.int32]) -> NDArray[np.int32]:
    points = points - np.mean(points, axis=0).astype(np.int32)
    x, y, z = points.astype(np.float64).T
    slope_x = np.sum(z * np.sign(x)) / np.sum(np.abs(x))
    slope_y = np.sum(z * np.sign(y)) / np.sum(np.abs(y))
    points[:, 2] -= (slope_x * x + slope_y * y).astype(np.int32)
    return points


def _of_epix(corners: NDArray[np.int64]) -> Values:
    """Return place and angles of a sensor from its corners, clockwise from the lower left one."""
    origin, up, across, right = corners
    vx, vy, vd = right - origin, up - origin, across - origin
    vx, vy = 0.5 * (vx + (vd - vy)), 0.5 * (vy + (vd - vx))
    first = right - origin
    turns = round(degrees(atan2(first[1], first[0])) / 90) % 4
    back = metrology.turned(-90.0 * turns)
    x, y = back @ vx, back @ vy
    tilts = (atan2(x[1], x[0]), atan2(x[2], x[0]), atan2(y[2], y[1]))
    return np.array([*corners.mean(axis=0), 90.0 * turns, 0, 0, *map(degrees, tilts)])


def _epix_camera(sensors: Sequence[Sensor], values: Values, use_z: bool, *_: object) -> list[Part]:
    values[:, :3] -= values[:, :3].mean(axis=0)
    if not use_z:
        values[:, [2, 7, 8]] = 0
    rows = {
        4 * sensor.quad + sensor.index: numbers
        for sensor, numbers in zip(sensors, values, strict=True)
    }
    return [_row(("CAMERA", 0), (EPIX, number), rows[number]) for number in sorted(rows)]


def _epix_quads(
    sensors: Sequence[Sensor],
    values: Values,
    use_z: bool,
    center: tuple[float, float],
    quad_turn: int,
) -> list[Part]:
    values[:, 2] -= values[:, 2].mean()
    quads = sorted({sensor.quad for sensor in sensors})
    centers = {}
    numbers = {}
    for quad in quads:
        here = [n for n, sensor in enumerate(sensors) if sensor.quad == quad]
        centers[quad] = values[here, :2].mean(axis=0)
        values[here, :2] -= centers[quad]
        angle = 90.0 * ((quad + quad_turn) % 4)
        for n in here:
            if not use_z:
                values[n, [2, 7, 8]] = 0
            values[n, :3] = metrology.turned(angle) @ values[n, :3]
            values[n, 3] = (values[n, 3] + angle) % 360
            numbers[quad, sensors[n].index] = values[n]
    middle = np.mean([*centers.values()], axis=0) if len(quads) == 4 else np.array(center)
    rows = []
    for quad in range(4):
        for index, (x, y) in enumerate(EPIX_SENSORS):
            design = np.array([x, y, 0, 180.0, 0, 0, 0, 0, 0])
            rows.append(_row(("QUAD", quad), (EPIX, index), numbers.get((quad, index), design)))
    for quad, (x, y) in enumerate(EPIX_QUADS):
        if quad in centers:
            x, y = centers[quad] - middle
        rows.append(
            _row(("CAMERA", 0), ("QUAD", quad), (x, y, 0, EPIX_QUAD_ANGLES[quad], 0, 0, 0, 0, 0))
        )
    return rows


def cspad(
    sensors: Sequence[Sensor], parents: Sequence[Key], keys: Sequence[Key], turns: Sequence[int]
) -> list[Part]:
    """Return the rows of sensors that the programs for cspads write."""
    return [
        _row(parent, key, _of_cspad(sensor, metrology.cspad_angle(sensor, turns)))
        for sensor, parent, key in zip(sensors, parents, keys, strict=True)
    ]


def _of_cspad(sensor: Sensor, angle: float) -> Values:
    """Return place and angles of a sensor; averages are cut to whole um on the way."""
    low_left, up_left, up_right, low_right = np.trunc(sensor.corners)
    s1, l1, d1 = sorted(
        (low_left - up_left, up_right - up_left, low_right - up_left),
        key=lambda v: float(np.dot(v, v)),
    )
    short, long = 0.5 * (s1 + (d1 - l1)), 0.5 * (l1 + (d1 - s1))
    horizontal = angle in (0, 180)
    x_side, y_side = (long, short) if horizontal else (short, long)
    z = atan2(long[1], long[0])
    if abs(z) > 0.1 and z < 0:
        z += 2 * 3.14159265359
    tilts = (
        _RAD_TO_DEG * z - angle,
        _RAD_TO_DEG * atan2(np.trunc(x_side[2]), abs(np.trunc(x_side[0]))),
        _RAD_TO_DEG * atan2(np.trunc(y_side[2]), abs(np.trunc(y_side[1]))),
    )
    center = np.trunc(sensor.corners).sum(axis=0) * 0.25
    return np.array([*center, angle, 0, 0, *map(np.float32, tilts)])


def _row(parent: Key, key: Key, numbers: Sequence[float] | Values) -> Part:
    """Return a row as it is after it was written: whole um, 5 digits of a tilt."""
    x, y, z, rot_z, rot_y, rot_x = (float(int(number)) for number in numbers[:6])
    tilt_z, tilt_y, tilt_x = (float(f"{number:.5f}") for number in numbers[6:])
    return Part(*parent, *key, x, y, z, rot_z, rot_y, rot_x, tilt_z, tilt_y, tilt_x)
