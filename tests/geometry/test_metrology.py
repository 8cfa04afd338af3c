"""From surveys of cameras whose geometry is known back to that geometry."""

from dataclasses import replace

import numpy as np
import pytest

from cdb.errors import BadQuestion
from cdb.geometry import metrology, tree
from cdb.geometry.metrology import FAMILIES, cspad2x2, cspad_cxi, cspad_xpp, epix10ka2m
from cdb.geometry.survey import Survey, parse
from tests.geometry.surveys import (
    CSPAD_SIZE,
    EPIX_SIZE,
    camera,
    corners_of,
    cspad_camera,
    cspad_pair,
    cspad_quads,
    epix_survey,
)

ANGLES = ("rot_z", "tilt_z", "tilt_y", "tilt_x")


def places(parts):
    return np.array([(part.x0, part.y0, part.z0) for part in parts])


def angles(parts):
    return np.array([[getattr(part, name) for name in ANGLES] for part in parts])


def in_the_top(geometry, part, size):
    """Return the corners of a sensor in the outermost frame."""
    corners = corners_of(part, size)
    groups = {each.key: each for each in geometry.parts}
    key = part.parent_key
    while key in groups:
        group = groups[key]
        # A group of sensors is moved as its corners would be, were it a point each.
        corners = np.array(
            [
                corners_of(replace(group, x0=0, y0=0, z0=0), (0, 0))[0] + _moved(group, corner)
                for corner in corners
            ]
        )
        key = group.parent_key
    return corners


def _moved(group, corner):
    angle = np.radians(group.rot_z + group.tilt_z)
    x, y, z = corner
    c, s = np.cos(angle), np.sin(angle)
    return np.array([x * c - y * s + group.x0, y * c + x * s + group.y0, z + group.z0])


# epix10ka2m ------------------------------------------------------------------------------------


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("offset", [0, 3])
def test_the_sensors_of_an_epix10ka2m_come_back(turn, offset):
    parts = camera(turn=turn)
    survey = parse(epix_survey(parts, turn=turn, offset=offset))
    found = epix10ka2m(survey, turn=turn, quad_offset=offset, level=False)
    sensors, ip = found.geometry.parts[:-1], found.geometry.parts[-1]
    assert [part.key for part in sensors] == [("EPIX10KA:V1", n) for n in range(16)]
    assert np.allclose(places(sensors), places(parts) - places(parts).mean(axis=0), atol=1e-4)
    assert np.allclose(angles(sensors), angles(parts), atol=1e-6)
    assert found.size == pytest.approx(EPIX_SIZE)
    assert found.rms < 1e-4
    assert (ip.key, ip.z0, ip.rot_z) == (("CAMERA", 0), -1e5, (90 * turn + 90) % 360)


def test_nothing_is_rounded():
    found = epix10ka2m(parse(epix_survey(camera(), digits=2)))
    assert any(part.x0 != round(part.x0, 3) for part in found.geometry.parts[:-1])
    assert tree.parse(tree.format(found.geometry)) == found.geometry


@pytest.mark.parametrize("turn", range(4))
def test_quads_put_the_corners_where_they_are_without(turn):
    survey = parse(epix_survey(camera(turn=turn), turn=turn))
    alone, quads = (epix10ka2m(survey, turn=turn, quads=flag).geometry for flag in (False, True))
    assert [part.name for part in quads.parts[16:]] == ["QUAD"] * 4 + ["CAMERA"]
    for one, other in zip(alone.parts[:16], quads.parts[:16], strict=True):
        assert np.allclose(
            in_the_top(alone, one, EPIX_SIZE), in_the_top(quads, other, EPIX_SIZE), atol=1e-3
        )


def test_quads_are_near_their_design():
    found = epix10ka2m(parse(epix_survey(camera())), quads=True).geometry
    for quad, (x, y) in enumerate(metrology.EPIX_QUADS):
        row = tree.find(found, "QUAD", quad)
        assert abs(row.x0 - x) < 1500
        assert abs(row.y0 - y) < 1500
        for index, (x, y) in enumerate(metrology.EPIX_SENSORS):
            sensor = tree.find(found, "EPIX10KA:V1", index, parent=("QUAD", quad))
            assert (abs(sensor.x0 - x) < 500, abs(sensor.y0 - y) < 500) == (True, True)
            assert sensor.rot_z == 180


def test_without_headers_the_order_of_the_text_says_the_quad():
    parts = camera()
    with_headers, without = (
        epix10ka2m(parse(epix_survey(parts, quads=flag))).geometry.parts for flag in (True, False)
    )
    assert with_headers == without


def test_the_slope_of_the_camera_is_taken_away():
    survey = parse(epix_survey(camera()))
    points = tuple(
        replace(p, x=p.x + 5e5, z=p.z + 0.002 * p.x - 0.003 * p.y + 77) for p in survey.points
    )
    sloping = Survey(points)
    flat, level = epix10ka2m(survey), epix10ka2m(sloping)
    apart = places(flat.geometry.parts) - places(level.geometry.parts)
    # A slope of 2 mrad turns 300 mm sideways by less than a um.
    assert np.abs(apart).max() < 1
    raw = epix10ka2m(sloping, level=False)
    assert np.abs(places(raw.geometry.parts) - places(flat.geometry.parts)).max() > 100


def test_z_can_be_left_out():
    parts = epix10ka2m(parse(epix_survey(camera())), use_z=False).geometry.parts[:-1]
    assert {(part.z0, part.tilt_y, part.tilt_x) for part in parts} == {(0, 0, 0)}
    assert all(part.tilt_z for part in parts)


def test_the_camera_is_put_where_it_is_said_to_be():
    found = epix10ka2m(parse(epix_survey(camera())), at=(1.5, -2, -250000), angle=17.0)
    ip = found.geometry.parts[-1]
    assert (ip.x0, ip.y0, ip.z0, ip.rot_z) == (1.5, -2, -250000, 17)


def test_quads_that_were_not_measured_are_where_they_are_by_design():
    text = epix_survey(camera())
    survey = parse(text[: text.index("Quad 2")])
    points = tuple(replace(p, x=p.x + 78000, y=p.y - 4150) for p in survey.points)
    found = epix10ka2m(Survey(points), quads=True, level=False).geometry
    whole = epix10ka2m(parse(text), quads=True, level=False).geometry
    row = tree.find(found, "QUAD", 2)
    assert (row.x0, row.y0, row.rot_z) == (38450, -42850, 270)
    sensor = tree.find(found, "EPIX10KA:V1", 1, parent=("QUAD", 3))
    assert (sensor.x0, sensor.y0, sensor.rot_z) == (20150, 20950, 180)
    measured = tree.find(found, "EPIX10KA:V1", 1, parent=("QUAD", 0))
    same = tree.find(whole, "EPIX10KA:V1", 1, parent=("QUAD", 0))
    assert (measured.x0, measured.tilt_z) == pytest.approx((same.x0, same.tilt_z))
    with pytest.raises(BadQuestion, match="8 of 16 segments; .* make a geometry with quads"):
        epix10ka2m(survey)


def test_a_camera_that_lies_otherwise_is_refused():
    survey = parse(epix_survey(camera(turn=3), turn=3))
    with pytest.raises(BadQuestion, match="quad 0 lies at the lower left, .* give turn 3"):
        epix10ka2m(survey)


def test_corners_the_wrong_way_round_are_refused():
    survey = parse(epix_survey(camera()))
    mirrored = Survey(tuple(replace(p, x=-p.x) for p in survey.points))
    with pytest.raises(BadQuestion, match="the corners are not clockwise"):
        epix10ka2m(mirrored)


def test_a_survey_of_another_camera_is_refused():
    with pytest.raises(BadQuestion, match="quad 0 has 8 segments"):
        epix10ka2m(parse(cspad_quads()))


# Fits ------------------------------------------------------------------------------------------


def test_residuals_are_what_the_rectangle_leaves():
    rng = np.random.default_rng(5)
    survey = parse(epix_survey(camera(tilts=0.05)))
    noisy = Survey(
        tuple(
            replace(p, x=p.x + dx, y=p.y + dy, z=p.z + dz)
            for p, (dx, dy, dz) in zip(survey.points, rng.normal(0, 3, (64, 3)), strict=True)
        )
    )
    found = epix10ka2m(noisy, level=False)
    # 12 numbers a sensor, 6 of them fitted: half of the variance of 3 coordinates is left.
    assert found.rms == pytest.approx(3 * np.sqrt(3 * 6 / 12), rel=0.2)
    for fit in found.fits:
        assert np.allclose(fit.residuals.mean(axis=0), 0, atol=1e-6)
        assert fit.worst >= fit.rms
    assert [fit.name for fit in found.fits] == [f"quad {n // 4} sensor {n % 4}" for n in range(16)]


def test_a_corner_off_the_plane_shows_in_the_residuals_along_z():
    survey = parse(epix_survey(camera(tilts=0.0)))
    off = Survey(tuple(replace(p, z=p.z + 40 * (p.number == 6)) for p in survey.points))
    fits = epix10ka2m(off, level=False).fits
    worst = max(fits, key=lambda fit: fit.rms)
    assert 6 in worst.sensor.numbers
    assert np.abs(worst.residuals[:, 2]) == pytest.approx(10, abs=0.01)


def test_the_fit_is_the_best_there_is():
    rng = np.random.default_rng(7)
    [sensor, *_] = metrology.epix_sensors(parse(epix_survey(camera())), 0, 0)
    points = tuple(
        replace(p, x=p.x + rng.normal(0, 50), z=p.z + rng.normal(0, 50))
        for p in sensor.segment.points
    )
    sensor = replace(sensor, segment=replace(sensor.segment, points=points))
    ([fit], size) = metrology.fitted([sensor])
    x, y = size[0] / 2, size[1] / 2
    rectangle = np.array([(-x, -y, 0), (-x, y, 0), (x, y, 0), (x, -y, 0)])
    best = np.sum((sensor.corners - fit.center - rectangle @ fit.rotation.T) ** 2)
    for axis in range(3):
        for angle in (-1e-4, 1e-4):
            c, s = np.cos(angle), np.sin(angle)
            little = np.eye(3)
            i, j = [(1, 2), (0, 2), (0, 1)][axis]
            little[[i, j, i, j], [i, j, j, i]] = c, c, -s, s
            turned = rectangle @ (little @ fit.rotation).T
            assert np.sum((sensor.corners - fit.center - turned) ** 2) > best


# cspad -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("turn", range(4))
def test_the_sensors_of_a_cspad_with_fixed_quads_come_back(turn):
    parts, text = cspad_camera(turn)
    found = cspad_xpp(parse(text), turn=turn)
    sensors, ip = found.geometry.parts[:-1], found.geometry.parts[-1]
    assert [part.key for part in sensors] == [("SENS2X1:V1", n) for n in range(32)]
    assert np.allclose(places(sensors), places(parts), atol=1e-4)
    assert np.allclose(angles(sensors), angles(parts), atol=1e-6)
    assert (ip.parent, ip.name, ip.z0) == ("IP", "CSPAD:V2", -1e6)
    assert found.size == pytest.approx(CSPAD_SIZE)


def test_the_sensors_of_a_cspad_with_moving_quads_come_back():
    parts, text = cspad_quads(with_parts=True)
    found = cspad_cxi(parse(text)).geometry
    assert [part.parent_key for part in found.parts[:32:8]] == [("QUAD:V1", n) for n in range(4)]
    assert np.allclose(places(found.parts[:32]), places(parts), atol=1e-4)
    assert np.allclose(angles(found.parts[:32]), angles(parts), atol=1e-6)
    assert [(p.x0, p.y0, p.rot_z) for p in found.parts[32:36]] == [
        (-4500, -4500, 90), (-4500, 4500, 0), (4500, 4500, 270), (4500, -4500, 180),
    ]  # fmt: skip
    assert [(p.parent, p.name, p.z0) for p in found.parts[36:]] == [
        ("RAIL", "CSPAD:V1", -1e6), ("IP", "RAIL", 0),
    ]  # fmt: skip
    assert found.top == ("IP", 0)


def test_the_sensors_of_a_cspad2x2_come_back():
    parts, text = cspad_pair()
    found = cspad2x2(parse(text)).geometry
    assert np.allclose(places(found.parts[:2]), places(parts), atol=1e-4)
    assert np.allclose(angles(found.parts[:2]), angles(parts), atol=1e-6)
    assert found.parts[2].key == ("CSPAD2X2:V1", 0)


def test_a_cspad_that_lies_otherwise_is_refused():
    _, text = cspad_camera(1)
    with pytest.raises(BadQuestion, match="quad 0 lies at the lower left, .* give turn 1"):
        cspad_xpp(parse(text))
    pair = parse(cspad_pair()[1])
    sideways = Survey(tuple(replace(p, x=-p.y, y=p.x) for p in pair.points))
    with pytest.raises(BadQuestion, match="points 1 to 4 lie at 270 deg, where sensor 0 .* at 180"):
        cspad2x2(sideways)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (cspad_cxi, "quad 0 has 2 segments; a survey of this family has at most 4 quads of 8"),
        (cspad_xpp, "quad 0 has 2 segments"),
    ],
)
def test_a_survey_with_too_little_is_refused(make, sentence):
    with pytest.raises(BadQuestion, match=sentence):
        make(parse(cspad_pair()[1]))
    with pytest.raises(BadQuestion, match="has 32 segments; a cspad2x2 has 2"):
        cspad2x2(parse(cspad_quads()))
    text = cspad_quads()
    with pytest.raises(BadQuestion, match="has the quads 0, 1, 2; the camera has 0, 1, 2, 3"):
        make(parse(text[: text.index("Quad 3")]))


def test_every_family_says_where_its_geometry_comes_from():
    texts = {"epix10ka2m": epix_survey(camera()), "cspad-cxi": cspad_quads(),
             "cspad-xpp": cspad_camera(0)[1], "cspad2x2": cspad_pair()[1]}  # fmt: skip
    assert {*texts} == {*FAMILIES}
    for family, make in FAMILIES.items():
        comments = make(parse(texts[family], "om.txt")).geometry.comments
        assert comments[0] == f"TITLE Geometry of {family} from an optical survey"
        assert comments[1] == "METROLOGY om.txt"
