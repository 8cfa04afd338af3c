"""Surveys as text: what is read, what is refused, what looks mistyped."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdb.errors import BadFile, BadQuestion, NotFound
from cdb.geometry import survey
from cdb.geometry.survey import Survey, mended, parse, read, typing_errors
from tests.geometry.surveys import camera, epix_survey

ONE = "1 0 0 0\n2 10 20911 5\n3 43560 20899 2\n4 43549 -10 -3\n"


def test_four_points_are_a_segment():
    [segment] = parse(ONE).segments
    assert segment.corners.tolist()[2] == [43560, 20899, 2]
    assert (segment.quad, segment.name) == (None, "points 1 to 4")


def test_titles_comments_and_remarks_are_passed_over():
    text = f"\ufeff# by hand\r\n\r\nSensor A\r\nPoint X Y Z\r\n{ONE}measured twice\r\n"
    assert parse(text).segments == tuple(
        replace(s, points=tuple(replace(p, line=p.line + 4) for p in s.points))
        for s in parse(ONE).segments
    )
    assert parse(text).passed_over == (9,)


def test_quads_have_numbers_of_their_own():
    quads = parse(f"Quad 1\n{ONE}QUAD 0\n{ONE}").segments
    assert [segment.quad for segment in quads] == [1, 0]
    assert quads[1].name == "points 1 to 4 of quad 0"


def test_points_are_taken_by_their_numbers():
    lines = ONE.splitlines()
    [segment] = parse("\n".join([lines[2], lines[0], lines[3], lines[1]])).segments
    assert [point.number for point in segment.points] == [1, 2, 3, 4]


def test_decimals_are_kept():
    assert parse(ONE.replace("20911", "20911.25")).points[1].y == 20911.25


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "has no line"),
        ("# nothing\n", "has no line"),
        (f"{ONE}5 1 2\n", "line 5: a point has 4 fields, number x y z; this line has 3"),
        (f"{ONE}5 1 2 3 4\n", "line 5: a point has 4 fields, number x y z; this line has 5"),
        (f"{ONE}1O 1 2 3\n", "line 5: '1O' is no number of a point"),
        (f"{ONE}0 1 2 3\n", "line 5: '0' is no number of a point"),
        (f"{ONE}-1 1 2 3\n", "line 5: '-1' is no number of a point"),
        (f"{ONE}1.5 1 2 3\n", "line 5: '1.5' is no number of a point"),
        (f"{ONE}{'9' * 5000} 1 2 3\n", r"line 5: '9+\.\.\.9+' is no number of a point"),
        (f"{ONE}5 1 x 3\n", "line 5: 'x' is no finite number"),
        (f"{ONE}5 1 -1e300 3\n", "line 5: a point stands 1e[+]12 um away at most"),
        (f"{ONE}5 1 nan 3\n", "line 5: 'nan' is no finite number"),
        (f"{ONE}5 1 1_0 3\n", "line 5: '1_0' is no finite number"),
        (f"Quad 4\n{ONE}", "line 1: a quad is 0, 1, 2 or 3, not '4'"),
        ("Quad\n", "line 1: a quad is 0, 1, 2 or 3, not ''"),
        (ONE + ONE, "line 5: point 1 stands in line 1 too; a line `Quad N` stands above"),
        (f"Quad 0\n{ONE}{ONE}", "line 6: point 1 stands in line 2 too$"),
        (f"{ONE}5 1 2 3\n", "line 5: point 5 belongs to a segment .* there is no point 6"),
        (ONE.replace("4 43", "5 43"), "line 1: point 1 .* of the points 1 to 4, .* no point 4"),
    ],
)
def test_what_is_wrong_with_a_survey_is_told_with_its_line(text, sentence):
    with pytest.raises(BadFile, match=sentence) as error:
        parse(text, "om.txt")
    assert str(error.value).startswith("om.txt")


def test_files_that_are_none_are_refused(tmp_path):
    with pytest.raises(NotFound, match="there is no file"):
        read(tmp_path / "none")
    (tmp_path / "om.xlsx").write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(BadFile, match="is no text"):
        read(tmp_path / "om.xlsx")


@given(
    st.text() | st.lists(st.sampled_from([*ONE.split("\n"), "Quad 0", "5 1", "1"])).map("\n".join)
)
def test_a_hostile_survey_is_refused_or_read(text):
    try:
        found = parse(text)
    except BadFile:
        return
    assert isinstance(found, Survey)
    assert len(found.points) == 4 * len(found.segments)


# Typing errors ---------------------------------------------------------------------------------


def off_by(text: str, errors: dict[int, float]) -> Survey:
    """Return a survey with z of some points, by number, off."""
    points = tuple(
        replace(point, z=point.z + errors.get(point.number, 0.0)) for point in parse(text).points
    )
    return Survey(points)


CAMERA = epix_survey(camera(tilts=0.02))


def test_a_sound_survey_has_no_typing_errors():
    assert typing_errors(parse(CAMERA)) == ()


@pytest.mark.parametrize("number", [1, 18, 35, 64])
@pytest.mark.parametrize("off", [-2000.0, -170.0, 170.0, 1000.0])
def test_a_mistyped_z_is_named_and_replaced(number, off):
    wrong = off_by(CAMERA, {number: off})
    [error] = typing_errors(wrong)
    assert (error.is_certain, error.points[0].number) == (True, number)
    assert error.off == pytest.approx(off, abs=0.01)
    assert f"point {number}" in error.sentence
    assert f"{abs(off):.0f} um {'above' if off > 0 else 'below'}" in error.sentence
    right = [point.z for point in parse(CAMERA).points]
    assert [p.z for p in mended(wrong, (error,)).points] == pytest.approx(right, abs=0.01)


def test_the_limit_is_an_argument():
    wrong = off_by(CAMERA, {18: 120.0})
    assert typing_errors(wrong) == ()
    assert len(typing_errors(wrong, limit=100)) == 1


def test_several_errors_are_found_and_a_slope_of_the_camera_does_not_hide_them():
    tilted = parse(CAMERA)
    points = tuple(replace(p, z=p.z + 0.01 * p.x - 0.02 * p.y) for p in tilted.points)
    wrong = replace(
        tilted, points=tuple(replace(p, z=p.z + 300 * (p.number in (7, 40))) for p in points)
    )
    assert [error.points[0].number for error in typing_errors(wrong)] == [7, 40]


def test_where_two_corners_may_be_wrong_nothing_is_replaced():
    wrong = off_by(CAMERA, {5: 400.0, 7: 400.0})
    [error] = typing_errors(wrong)
    assert (error.is_certain, len(error.points)) == (False, 4)
    assert "cannot be told" in error.sentence
    with pytest.raises(BadQuestion, match="measure the segment again"):
        mended(wrong, (error,))


def test_a_survey_of_one_bad_segment_takes_the_corner_far_from_the_others():
    wrong = Survey(tuple(survey.parse(ONE.replace(" 2\n", " 300\n")).points))
    [error] = typing_errors(wrong)
    assert error.points[0].number == 3
    assert np.isclose(error.z, 2 + (300 - 2) - error.off, atol=1)
