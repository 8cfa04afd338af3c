"""Geometry texts written, and parts moved."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdb.errors import BadQuestion, NotFound
from cdb.geometry import tree
from cdb.geometry.tree import LCLS_DECIMALS, NUMBERS, Geometry, Part, parse

REAL = Path(__file__).parents[3] / "shared" / "data" / "lcls1-calib"

QUADS = """\
# TITLE two quads of two panels
# HDR   parent and so on
QUAD 0  SENS2X1:V1 0  54.96 -37.5 0.01  90 0 0  0.48292 0 -0.00263
QUAD 0  SENS2X1:V1 1  0 0 0  0 0 0  0 0 0
QUAD 1  SENS2X1:V1 0  0 0 0  0 0 0  0 0 0
QUAD 1  SENS2X1:V1 1  0 0 0  0 0 0  0 0 0
CSPAD 0  QUAD 0  0 0 0  0 0 0  0 0 0
CSPAD 0  QUAD 1  0 0 0  0 0 0  0 0 0
IP 0  CSPAD 0  0 0 1000000  0 0 0  0 0 0
"""

numbers = st.floats(-tree.FARTHEST, tree.FARTHEST)


@given(st.lists(numbers, min_size=9, max_size=9))
def test_numbers_are_written_so_that_they_read_back_bit_for_bit(values):
    geometry = Geometry((), (Part("IP", 0, "A", 0, *values),))
    (part,) = parse(tree.format(geometry)).parts
    assert [getattr(part, name).hex() for name in NUMBERS] == [value.hex() for value in values]


def test_a_written_geometry_is_the_same_with_its_comments():
    text = tree.format(parse(QUADS))
    assert parse(text) == parse(QUADS)
    assert text == tree.format(parse(text))
    assert text.startswith("# TITLE two quads of two panels\n# HDR   parent and so on\n\nQUAD ")


def test_columns_are_aligned():
    rows = tree.format(parse(QUADS)).splitlines()[3:]
    assert len({len(row) for row in rows}) == 1
    assert rows[0].split()[4:7] == ["54.96", "-37.5", "0.01"]


def test_a_name_that_looks_like_a_byte_order_mark_survives():
    geometry = Geometry((), (Part("\ufeffIP", 0, "A", 0, *[0.0] * 9),))
    assert parse(tree.format(geometry)) == geometry


def test_the_short_form_of_lcls_rounds():
    row = tree.format(parse(QUADS), decimals=LCLS_DECIMALS).splitlines()[3].split()
    assert " ".join(row[4:]) == "55 -38 0 90.000 0.000 0.000 0.48292 0.00000 -0.00263"


@pytest.mark.parametrize(
    "file", sorted(REAL.glob("*/*/geometry/*.data")), ids=lambda f: f.parts[-4]
)
def test_real_geometries_are_written_as_they_are(file):
    geometry = parse(file.read_text())
    assert parse(tree.format(geometry)) == geometry


GOOD = Part("IP", 0, "A", 0, *[0.0] * 9)


@pytest.mark.parametrize(
    ("geometry", "sentence"),
    [
        (Geometry(("two\nlines",), (GOOD,)), "line 2: a row has 13 fields"),
        (Geometry((" blanks ",), (GOOD,)), "has blanks around it"),
        (Geometry(("",), (GOOD,)), "a comment is empty"),
        (Geometry((), (replace(GOOD, name="A B"),)), "a row has 13 fields, this one 14"),
        (Geometry((), (replace(GOOD, parent="#"), GOOD)), "a name begins with #"),
        (Geometry((), (GOOD, GOOD)), "stands in line 2 too"),
        (Geometry((), ()), "has no row"),
    ],
)
def test_what_no_text_stands_for_is_not_written(geometry, sentence):
    with pytest.raises(BadQuestion, match=sentence):
        tree.format(geometry)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0000001e12])
def test_a_number_that_places_nothing_makes_no_part(value):
    with pytest.raises(BadQuestion, match="^tilt_y of A 0 cannot be .* up to 1e[+]12$"):
        replace(GOOD, tilt_y=value)


def test_a_part_is_moved_and_nothing_else():
    before = parse(QUADS)
    after = tree.move(before, "QUAD", 1, x=0.25, y=-1, z=3)
    part = tree.find(after, "QUAD", 1)
    assert (part.x0, part.y0, part.z0) == (0.25, -1.0, 3.0)
    assert [one for one in after.parts if one != part] == [
        one for one in before.parts if one.key != ("QUAD", 1)
    ]
    assert before == parse(QUADS)


def test_a_part_is_rotated_and_tilted_on_top_of_what_it_was():
    before = parse(QUADS)
    after = tree.tilt(tree.rotate(before, "CSPAD", z=90, y=180), "CSPAD", z=0.5, x=-0.25)
    part = tree.tilt(after, "CSPAD", x=-0.25).parts[-1]
    assert (part.rot_z, part.rot_y, part.rot_x) == (90, 180, 0)
    assert (part.tilt_z, part.tilt_y, part.tilt_x) == (0.5, 0, -0.5)


def test_numbers_of_a_part_are_replaced():
    part = tree.place(parse(QUADS), "SENS2X1:V1", 1, parent=("QUAD", 1), y0=7, tilt_y=0.1).parts[3]
    assert part == Part("QUAD", 1, "SENS2X1:V1", 1, 0, 7, 0, 0, 0, 0, 0, 0.1, 0)


def test_an_old_distance_is_moved_in_the_frame_that_it_means():
    assert tree.find(tree.move(parse(QUADS), "CSPAD", z=-500), "CSPAD").z0 == -1_000_500
    assert tree.find(tree.move(parse(QUADS), "CSPAD", x=1), "CSPAD").z0 == 1_000_000
    with pytest.raises(BadQuestion, match="would come to z0 = 200.0 um; in the frame of IP"):
        tree.move(parse(QUADS), "CSPAD", z=1_000_200)


@pytest.mark.parametrize(
    ("question", "error", "sentence"),
    [
        (("QUAD", 7), NotFound, "no part 'QUAD' 7; the parts are SENS2X1:V1 0, SENS2X1:V1 1, QUAD"),
        (("IP", 0), NotFound, "no part 'IP' 0"),
        (("SENS2X1:V1", 1), BadQuestion, "there are 2 parts SENS2X1:V1 1, in QUAD 0, QUAD 1; say"),
    ],
)
def test_a_part_that_is_not_one_is_not_found(question, error, sentence):
    with pytest.raises(error, match=sentence):
        tree.move(parse(QUADS), *question, x=1)


def test_a_part_is_not_found_in_another_parent():
    with pytest.raises(NotFound, match="no part 'QUAD' 0 in 'IP' 0"):
        tree.find(parse(QUADS), "QUAD", 0, parent=("IP", 0))


def test_a_part_has_finite_numbers():
    with pytest.raises(BadQuestion, match="x0 of QUAD 0 cannot be nan"):
        tree.move(parse(QUADS), "QUAD", x=float("nan"))


@given(st.text(max_size=20), st.text(max_size=5))
def test_a_hostile_geometry_is_refused_or_reads_back(comment, name):
    geometry = Geometry((comment,), (replace(GOOD, name=name),))
    try:
        text = tree.format(geometry)
    except BadQuestion:
        return
    assert parse(text) == geometry


def test_the_line_of_a_row_does_not_make_another_part():
    assert parse("\n\nIP 0 A 0  0 0 0  0 0 0  0 0 0").parts == (GOOD,)
