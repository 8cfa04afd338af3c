"""The grammar of geometry texts."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdb.errors import BadFile, NotFound
from cdb.geometry.tree import Geometry, Part, find, parse

REAL = Path(__file__).parents[3] / "shared" / "data" / "lcls1-calib"

CAMERA = """\
# TITLE      made-up two-panel camera
# COMMENT:01 anything; order is kept
#

# parent ind  object      ind     x0[um]  y0[um]   z0[um]   rot_z rot_y rot_x   tilt_z tilt_y tilt_x
CAMERA   0    EPIX10KA:V1 0       -20150   20950        0     180     0     0   0.01   0.00   0.00
CAMERA   0    EPIX10KA:V1 1        20150   20950       12     180     0     0  -0.02   0.00   0.00
   \t
IP       0    CAMERA      0            0       0  1000000      90     0     0   0.00   0.00   0.00
"""


def row(parent, name, numbers="0 0 0  0 0 0  0 0 0"):
    return f"{parent} {name} {numbers}\n"


def test_a_row_is_a_part_in_the_frame_of_its_parent():
    part = parse(CAMERA).parts[1]
    assert part == Part(
        "CAMERA", 0, "EPIX10KA:V1", 1, 20150, 20950, 12, 180, 0, 0, -0.02, 0, 0, line=7
    )
    assert (part.key, part.parent_key) == (("EPIX10KA:V1", 1), ("CAMERA", 0))


def test_comments_keep_their_order_and_empty_ones_are_dropped():
    comments = parse(CAMERA).comments
    assert comments[:2] == (
        "TITLE      made-up two-panel camera",
        "COMMENT:01 anything; order is kept",
    )
    assert len(comments) == 3


def test_a_positive_distance_is_kept_as_written():
    assert parse(CAMERA).parts[2].z0 == 1_000_000


def test_lines_may_end_as_on_windows():
    geometry = parse("\ufeff" + CAMERA.replace("\n", "\r\n"))
    assert geometry == parse(CAMERA)


def test_the_top_has_no_row():
    assert parse(CAMERA).top == ("IP", 0)


def test_of_several_tops_the_last_wins():
    geometry = parse(row("IP 0", "A 0") + row("IP 1", "B 0") + row("IP 0", "C 0"))
    assert geometry.top == ("IP", 1)


def test_panels_of_several_quads_may_be_called_alike():
    quads = [row(f"QUAD {quad}", f"SENS2X1:V1 {i}") for quad in range(4) for i in range(8)]
    groups = [row("CSPAD 0", f"QUAD {quad}") for quad in range(4)]
    assert len(parse("".join(quads + groups)).parts) == 36


@pytest.mark.parametrize(
    ("path", "parts", "top"),
    [
        ("Epix100a::CalibV1/XppGon.0:Epix100a.1", 1, ("IP", 0)),
        ("Epix10kaQuad::CalibV1/XcsEndstation.0:Epix10kaQuad.0", 5, ("IP", 0)),
        ("Jungfrau::CalibV1/CxiDs1.0:Jungfrau.0", 9, ("IP:V1", 0)),
    ],
)
def test_real_geometries_are_read(path, parts, top):
    file = REAL / path / "geometry" / "0-end.data"
    if not file.exists():
        pytest.skip(f"the real files are not at {REAL}")
    geometry = parse(file.read_text(), str(file))
    assert (len(geometry.parts), geometry.top) == (parts, top)
    assert geometry.comments[0].startswith("TITLE")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "has no row with a part"),
        ("# only comments\n", "has no row with a part"),
        ("\nIP 0 A 0 1 2 3\n", "line 2: a row has 13 fields, this one 7"),
        (row("IP 0", "A 0", "0 0 0  0 0 0  0 0 0  0"), "line 1: a row has 13 fields, this one 14"),
        (row("IP -1", "A 0"), "line 1: '-1' is no index"),
        (row("IP 0", "A 1.0"), "line 1: '1.0' is no index"),
        (row("IP 0", "A " + "9" * 5000), r"'9+\.\.\.9+' is no index"),
        (row("IP 0", "A 0", "0 x 0  0 0 0  0 0 0"), "line 1: 'x' is no finite number"),
        (row("IP 0", "A 0", "0 1_000 0  0 0 0  0 0 0"), "line 1: '1_000' is no finite number"),
        (row("IP 0", "A 0", "0 \u0661 0  0 0 0  0 0 0"), "line 1: '\u0661' is no finite number"),
        (row("IP 0", "A 0", "0 0 nan  0 0 0  0 0 0"), "line 1: 'nan' is no finite number"),
        (row("IP 0", "A 0", "0 0 1e300  0 0 0  0 0 0"), "line 1: z0 of A 0 cannot be 1e[+]300; "),
        (row("IP 0", "A 0", "0 0 0  0 0 0  0 0 1e999"), "line 1: '1e999' is no finite number"),
        (row("IP 0", "A 0") * 2, "line 2: A 0 stands in line 1 too"),
        (
            row("IP 0", "B 0") + row("IP 1", "B 0") + row("B 0", "A 0"),
            "line 2: B 0 stands in line 1",
        ),
        (row("A 0", "A 0"), "line 1: A 0 is its own ancestor"),
        (row("A 0", "B 0") + row("B 0", "C 0") + row("C 0", "A 0"), "is its own ancestor"),
        (row("IP 0", "D 0") + row("A 0", "B 0") + row("B 0", "A 0"), "is its own ancestor"),
    ],
)
def test_what_is_wrong_with_a_text_is_told_in_one_sentence(text, sentence):
    with pytest.raises(BadFile, match=sentence) as error:
        parse(text, "0-end.data")
    assert str(error.value).startswith("0-end.data")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_of_every_system_are_lines(end):
    text = ("# a comment\n" + row("IP 0", "A 0") + row("IP 0", "A 1")).replace("\n", end)
    assert [part.line for part in parse(text).parts] == [2, 3]


def test_very_many_parts_are_not_all_named_where_one_is_missing():
    geometry = parse("".join(row("IP 0", f"{'P' * 500} {n}") for n in range(1000)))
    with pytest.raises(NotFound, match="P 39 and 960 more$") as error:
        find(geometry, "Q")
    assert len(str(error.value)) < 3000


def test_a_deep_tree_is_no_trouble():
    chain = "".join(row(f"P {i + 1}", f"P {i}") for i in range(20_000))
    assert parse(chain).top == ("P", 20_000)


FIELDS = st.sampled_from(["IP", "A", "0", "1", "-1", "nan", "1.5", "#"]) | st.text(max_size=4)


@given(
    st.text() | st.lists(st.lists(FIELDS, min_size=12, max_size=14).map(" ".join)).map("\n".join)
)
def test_a_hostile_text_is_refused_or_read(text):
    try:
        geometry = parse(text)
    except BadFile:
        return
    assert isinstance(geometry, Geometry)
    assert geometry.parts
