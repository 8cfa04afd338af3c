"""CrystFEL's .geom grammar."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdb.errors import BadFile, BadQuestion
from cdb.geometry import geom_file
from cdb.geometry.geom_file import BadRegion, GeomFile, Panel, parse

ONE = """\
res = 5000.0 ; 200 um
a/min_fs = 0
a/max_fs = 127
a/min_ss = 0
a/max_ss = 63
a/fs = -0.999987x -0.005104y
a/ss = +0.005104x -0.999987y
a/corner_x = 526.12
a/corner_y = -67.85
"""

EVERYTHING = """\
; camera of an old experiment

clen = 118.5 mm ; measured
photon_energy = /LCLS/photon_energy_eV
adu_per_eV = 0.0075
mask = /entry_1/data_1/mask
mask_good = 0x0000
data = /entry_1/data_1/data
dim0 = %
dim1 = 0
dim2 = ss
dim3 = fs
rigid_group_q0 = p0,p1
rigid_group_collection_quads = q0
group_all = p0, p1
res = 13333.3
fs = x
ss=y
min_fs = 0
max_fs = 3
min_ss = 0
max_ss = 1
p0/corner_x = -4
p0/corner_y = 0.5
   p1/dim1 = 1
p1/corner_x = 0
p1/corner_y = 0.5
coffset = 0.001
p2/dim1 = 2
p2/corner_x = 4.0
p2/corner_y = 0.5
p2/fs = -y+.5z
p2/no_index = true
p2/rigid_group = q1
p2/adu_per_eV = 1
badbeam/min_x = -2.5
badbeam/max_x = 2.5
badbeam/min_y = -2.5
badbeam/max_y = 2.5
bad_corner/panel = p1
bad_corner/min_fs = 2
bad_corner/max_fs = 3
bad_corner/min_ss = 0
bad_corner/max_ss = 0
"""


def test_a_panel_is_read():
    (panel,) = parse(ONE).panels
    assert panel == Panel(
        "a", 0, 127, 0, 63, (-0.999987, -0.005104, 0), (0.005104, -0.999987, 0), 526.12, -67.85, 5e3
    )
    assert panel.shape == (64, 128)


def test_what_stands_above_holds_for_the_panels_below():
    first, second, third = parse(EVERYTHING).panels
    assert (first.dims, second.dims, third.dims) == tuple(("%", n, "ss", "fs") for n in range(3))
    assert (first.coffset, third.coffset) == (0, 0.001)
    assert (first.fs, third.fs) == ((1, 0, 0), (0, -1, 0.5))
    assert (first.no_index, third.no_index) == (False, True)
    assert first.more["adu_per_eV"] == "0.0075"
    assert third.more == {
        "adu_per_eV": "1",
        "mask": "/entry_1/data_1/mask",
        "mask_good": "0x0000",
    }


def test_regions_groups_settings_and_comments_are_read():
    file = parse(EVERYTHING)
    assert file.bad == (
        BadRegion("badbeam", x=(-2.5, 2.5), y=(-2.5, 2.5)),
        BadRegion("bad_corner", "p1", fs=(2, 3), ss=(0, 0)),
    )
    assert file.groups == {
        "rigid_group_q0": ("p0", "p1"),
        "rigid_group_collection_quads": ("q0",),
        "group_all": ("p0", "p1"),
        "rigid_group_q1": ("p2",),
    }
    assert file.settings == {"clen": "118.5 mm", "photon_energy": "/LCLS/photon_energy_eV"}
    assert file.comments == ("camera of an old experiment",)


@pytest.mark.parametrize(
    ("clen", "distance"),
    [
        ("0.1", 0.1),
        ("0.1 m", 0.1),
        ("118.5 mm", 0.1185),
        ("/LCLS/EncoderValue mm", None),
        ("1 km", None),
        ("inf", None),
    ],
)
def test_a_distance_is_a_number_of_metres_or_stands_in_the_data(clen, distance):
    assert parse(f"clen = {clen}\n{ONE}").distance == distance


def test_a_distance_that_stands_in_each_panel_is_that_of_the_file():
    assert parse(f"{ONE}a/clen = 0.2\n").distance == 0.2


def test_panels_at_different_distances_are_that_far_apart():
    other = ONE.replace("res", "b/res").replace("a/", "b/")
    first, second = parse(f"{ONE}a/clen = 67.8e-3\n{other}b/clen = 70.8 mm\n").panels
    assert (first.coffset, second.coffset) == (0, pytest.approx(0.003))


@pytest.mark.parametrize("text", [ONE, EVERYTHING, ONE.replace("\n", "\r\n"), "\ufeff" + ONE])
def test_a_written_file_reads_back_the_same(text):
    file = parse(text)
    assert parse(geom_file.format(file)) == file


numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(st.tuples(numbers, numbers, numbers), numbers, st.floats(1e-300, 1e300))
def test_numbers_are_written_exactly_and_without_an_exponent(vector, corner, res):
    panel = replace(parse(ONE).panels[0], fs=vector, corner_x=corner, coffset=corner, res=res)
    text = geom_file.format(GeomFile((panel,)))
    assert parse(text).panels == (panel,)
    assert not any("e" in line.split(" = ")[1] for line in text.splitlines() if " = " in line)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "has no panel"),
        (ONE + "res\n", "line 10: 'res' is no `key = value`"),
        (ONE + "= 3\n", "line 10: '= 3' is no `key = value`"),
        (ONE + "a b = 3\n", "line 10: 'a b' is no key"),
        (ONE + "a/b/c = 3\n", "line 10: 'a/b/c' is no `panel/key`"),
        (ONE.replace("127", "x"), "line 3: max_fs = 'x' is no finite number"),
        (ONE.replace("127", "1.5"), "line 3: max_fs = '1.5' is no index"),
        (ONE.replace("127", "1e300"), "line 3: max_fs = '1e300' is no index"),
        (ONE.replace("127", "-1"), "line 3: max_fs = '-1' is no index"),
        (ONE.replace("526.12", "nan"), "line 8: corner_x = 'nan' is no finite number"),
        (ONE.replace("526.12", "5_0"), "line 8: corner_x = '5_0' is no finite number"),
        (ONE.replace("-0.005104y", "-0.005104"), "line 6: fs = .* is no direction such as"),
        (ONE.replace("-0.005104y", "0.005104y"), "line 6: fs = .* is no direction such as"),
        (ONE.replace("-0.005104y", "-.y"), "line 6: fs = .* is no direction such as"),
        (ONE.replace("-0.005104y", "-1e999y"), "line 6: fs = .* is no finite number"),
        (ONE.replace("5000.0", "0"), "line 2: panel 'a' has res = 0.0"),
        (ONE.replace("max_ss = 63", "max_ss = 63\na/min_ss = 64"), "panel 'a' ends before it"),
        (ONE.replace("a/corner_y", "a/corner_z"), "line 2: panel 'a' has no corner_y"),
        (ONE + "a/dim0 = xs\n", "line 10: dim0 = 'xs' is none of ss, fs, % and no index"),
        (ONE + "a/dim0 = ss\na/dim3 = fs\n", "line 2: panel 'a' has no dim2"),
        (ONE + "a/dim1 = ss\n", "panel 'a' has the dims ss, ss; one has to be ss, one fs"),
        (ONE + "a/dim2 = %\na/dim3 = %\n", "one at most %"),
        (ONE + "badx/min_x = 3\n", "line 10: badx has min_x; it needs either min_fs, max_fs"),
        (ONE + "badx/panel = b\n", "line 10: badx is in a panel 'b', which there is not"),
        (
            ONE + "".join(f"badx/{key} = 3\n" for key in ("min_x", "max_x", "min_y", "max_fs")),
            "line 10: badx has min_x, max_x, min_y, max_fs; it needs either",
        ),
        (
            ONE + "bad/min_x = 3\nbad/max_x = 2\nbad/min_y = 0\nbad/max_y = 0\n",
            "line 10: bad ends before it begins",
        ),
        (ONE + "group_all = a,b\n", "line 10: group_all has 'b', which is no panel or group"),
        (ONE + "clen = /z\na/clen = 2\n", "line 11: clen = 2 is not the one of the file, /z"),
    ],
)
def test_what_is_wrong_with_a_text_is_told_in_one_sentence(text, sentence):
    with pytest.raises(BadFile, match=sentence) as error:
        parse(text, "camera.geom")
    assert str(error.value).startswith("camera.geom")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "bad0"},
        {"name": "p 0"},
        {"corner_x": float("inf")},
        {"min_fs": 128},
        {"dims": ("ss", "ss")},
        {"data": " "},
        {"more": {"mask": "a;b"}},
        {"more": {"clen": "0.1"}},
    ],
)
def test_what_no_text_stands_for_is_not_written(change):
    panel = replace(parse(ONE).panels[0], **change)
    with pytest.raises(BadQuestion, match="cannot be written as .geom"):
        geom_file.format(GeomFile((panel,)))


WORDS = st.sampled_from([*"ax/=;. 01+-e", "fs", "ss", "min_fs", "dim", "bad", "group_", "\n", "%"])


@given(st.text() | st.lists(WORDS).map("".join), st.booleans())
def test_a_hostile_text_is_refused_or_read(text, after):
    try:
        file = parse(ONE + text if after else text)
    except BadFile:
        return
    assert file.panels
