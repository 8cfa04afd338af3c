"""The quality of surveys, and psana's numbers for it."""

from dataclasses import replace

import numpy as np
import pytest

from cdb.errors import BadFile
from cdb.geometry.survey import Survey, parse
from cdb.geometry.survey_check import HEIGHTS, SIDES, check
from tests.geometry.surveys import camera, epix_survey
from tests.geometry.test_survey import CAMERA, ONE


def test_a_rectangle_has_equal_sides_and_diagonals():
    [found] = check(parse("1 0 0 0\n2 0 200 0\n3 400 200 0\n4 400 0 0")).segments
    assert (found.s1, found.s2, found.l1, found.l2) == (200, 200, 400, 400)
    assert (found.dd, found.dds, found.ddl, found.dz3, found.angle) == (0, 0, 0, 0, 0)


def test_slopes_are_told_along_x_and_y():
    [found] = check(parse("1 0 0 0\n2 0 2000 10\n3 4000 2000 30\n4 4000 0 20")).segments
    assert (found.dzx, found.dzy, found.x_size, found.y_size) == (20, 10, 4000, 2000)
    assert found.angle_xz == pytest.approx(np.degrees(np.arctan(0.005)))


def test_a_square_is_no_trouble():
    [found] = check(parse("1 0 0 0\n2 0 100 0\n3 100 100 7\n4 100 0 0")).segments
    assert (found.s1, found.l1, found.dz3) == (100, 100, 7)


def test_a_turned_segment_has_a_small_angle():
    angle = np.radians(269.5)
    c, s = np.cos(angle), np.sin(angle)
    rows = [(1, 0, 0), (2, 0, 200), (3, 400, 200), (4, 400, 0)]
    text = "\n".join(f"{n} {x * c - y * s} {y * c + x * s} 0" for n, x, y in rows)
    assert check(parse(text)).segments[0].angle == pytest.approx(-0.5)


@pytest.mark.parametrize(
    ("number", "change", "name"),
    [(3, {"x": 130.0}, "dds"), (3, {"y": 130.0}, "ddl"), (4, {"z": 120.0}, "dz3")],
)
def test_what_is_beyond_a_tolerance_is_told(number, change, name):
    points = tuple(
        replace(p, **{k: getattr(p, k) + v for k, v in change.items()}) if p.number == number else p
        for p in parse(CAMERA).points
    )
    told = check(Survey(points)).warnings
    assert any(w.startswith(f"points 1 to 4 of quad 0: {name} is ") for w in told)
    assert check(Survey(points), tolerance_xy=300, tolerance_z=300).warnings == ()


def test_a_sound_survey_has_no_warnings():
    assert check(parse(CAMERA)).warnings == ()


def test_points_out_of_order_are_told():
    lines = ONE.splitlines()
    told = check(parse("\n".join([lines[1], lines[0], *lines[2:]]))).warnings
    assert [w[:6] for w in told] == ["line 2", "line 3"]
    assert "point 1 comes after point 2" in told[0]


def test_mistyped_values_are_told():
    points = tuple(replace(p, z=p.z + 500 * (p.number == 9)) for p in parse(CAMERA).points)
    assert any("point 9 of quad 0 has z" in w for w in check(Survey(points)).warnings)


def test_corners_on_a_line_are_refused():
    with pytest.raises(BadFile, match="points 1 to 4: the corners lie on one line"):
        check(parse("1 0 0 0\n2 1 0 0\n3 2 0 0\n4 3 0 0"))


def test_json_has_every_quantity():
    told = check(parse(CAMERA)).as_json()
    assert {*SIDES, *HEIGHTS} < {*told["segments"][0]}
    assert told["segments"][4]["points"] == [17, 18, 19, 20]
    assert epix_survey(camera(tilts=0.02)) == CAMERA
