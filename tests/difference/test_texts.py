"""What differs between texts: lines as diff shows them, parts that moved."""

import pytest

from cdb import difference
from cdb.difference import GeometryDifference, TextDifference
from cdb.difference.texts import MAX_LINES, of_geometries, of_texts

TITLE = "# TITLE camera\n"
IP = "IP 0  CAMERA 0   0 0 -100000   90 0 0   0 0 0\n"
QUADS = [f"CAMERA 0  QUAD {n}   {n}00 0 0   0 0 0   0 0 0\n" for n in range(2)]
PANELS = [f"QUAD {q}  EPIX 0   {q}5 0 0   180 0 0   0 0 0.1\n" for q in range(2)]
WHOLE = "".join([TITLE, IP, *QUADS, *PANELS])


def test_lines_are_those_of_a_unified_diff():
    found = of_texts("same\nold\n", "same\nnew\n")
    assert found.lines == ("@@ -1,2 +1,2 @@", " same", "-old", "+new")
    assert not found.equal
    assert of_texts("one\n", "one\n").equal


@pytest.mark.parametrize(
    ("a", "b"), [("one\n", "one"), ("", "\n"), ("one\r\n", "one\n"), ("", "x")]
)
def test_ends_of_lines_differ_too(a, b):
    assert not of_texts(a, b).equal
    assert not of_texts(b, a).equal


def test_long_texts_are_not_compared_line_by_line():
    lines = [f"line {n}\n" for n in range(MAX_LINES + 1)]
    other = [*lines[:700], "changed\n", *lines[701:]]
    assert of_texts("".join(lines), "".join(other)).lines == (
        f"@@ {MAX_LINES + 2} and {MAX_LINES + 2} lines, which differ from line 701 on @@",
    )


def test_parts_that_moved_are_named_with_how_far():
    moved = WHOLE.replace("QUAD 1   100 0 0   0", "QUAD 1   125 0 -3   90")
    found = difference.of(WHOLE, moved, ctype="geometry")
    [move] = found.moves
    assert (move.name, move.index, move.parent, move.what) == ("QUAD", 1, "CAMERA", "moved")
    assert move.by == {"x0": 25.0, "z0": -3.0, "rot_z": 90.0}
    assert move.as_json()["after"]["x0"] == 125.0
    assert not found.equal


def test_panels_that_are_called_alike_are_told_apart_by_their_parents():
    moved = WHOLE.replace("QUAD 1  EPIX 0   15", "QUAD 1  EPIX 0   16")
    [move] = of_geometries(WHOLE, moved).moves
    assert (move.parent, move.parent_index, move.by) == ("QUAD", 1, {"x0": 1.0})


def test_parts_that_only_one_has_are_added_or_removed():
    smaller = WHOLE.replace(QUADS[1], "").replace(PANELS[1], "")
    assert {move.what for move in of_geometries(WHOLE, smaller).moves} == {"removed"}
    assert len(of_geometries(smaller, WHOLE).moves) == 2
    assert {move.what for move in of_geometries(smaller, WHOLE).moves} == {"added"}


def test_another_order_of_panels_is_told():
    turned = "".join([TITLE, IP, *QUADS, *PANELS[::-1]])
    found = of_geometries(WHOLE, turned)
    assert (found.moves, found.reordered, found.equal) == ((), True, False)
    assert not of_geometries(WHOLE, WHOLE + "# more\n").reordered


def test_a_comment_alone_shows_as_a_line():
    found = of_geometries(WHOLE, WHOLE.replace("TITLE camera", "TITLE other"))
    assert (found.moves, found.equal) == ((), False)
    assert "+# TITLE other" in found.lines


def test_a_text_that_is_no_geometry_is_compared_as_text():
    assert isinstance(difference.of("one", "two", ctype="geometry"), TextDifference)
    assert isinstance(difference.of(WHOLE, WHOLE, ctype="geometry"), GeometryDifference)
    assert isinstance(difference.of(WHOLE, WHOLE, ctype="notes"), TextDifference)
