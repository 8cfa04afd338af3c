"""Where pixels are: the transformation, the order of panels, shapes, indices."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdb.errors import BadFile, BadName, BadPayload, BadQuestion
from cdb.geometry import pixels
from cdb.geometry.segments import segment
from cdb.geometry.tree import parse

SMALL = "MTRX:2:3:50:40"


def top_of(text, name=None, index=0, **options):
    return pixels.find_branch(pixels.branches(parse(text), **options), name, index)


def row(parent, name, *numbers):
    return f"{parent} {name} {' '.join(map(str, [*numbers] + [0] * (9 - len(numbers))))}\n"


def moved(parts, x, y, z):
    """Return where one pixel ends up, by the formula and plain numbers."""
    for x0, y0, z0, rot_z, rot_y, rot_x, tilt_z, tilt_y, tilt_x in parts:
        for axes, angle in (("xy", rot_z + tilt_z), ("zx", rot_y + tilt_y), ("yz", rot_x + tilt_x)):
            at = {"x": x, "y": y, "z": z}
            u, v, a = at[axes[0]], at[axes[1]], math.radians(angle)
            at[axes[0]] = u * math.cos(a) - v * math.sin(a)
            at[axes[1]] = v * math.cos(a) + u * math.sin(a)
            x, y, z = at["x"], at["y"], at["z"]
        x, y, z = x + x0, y + y0, z + z0
    return x, y, z


LENGTHS = st.floats(-1e5, 1e5).map(lambda x: round(x, 2))
ANGLES = st.sampled_from([0, 90, 180, 270]) | st.floats(-180, 180).map(lambda x: round(x, 4))
PLACES = st.tuples(*[LENGTHS] * 3, *[ANGLES] * 6)


@settings(max_examples=50)
@given(st.lists(st.lists(PLACES, min_size=1, max_size=3), min_size=1, max_size=3), PLACES)
def test_pixels_of_any_tree_are_where_the_formula_says(groups, whole):
    rows, paths = [], []
    for number, panels in enumerate(groups):
        group = panels[0][::-1][:3] + panels[0][3:]
        rows += [row(f"G {number}", f"{SMALL} {i}", *place) for i, place in enumerate(panels)]
        rows.append(row("DET 0", f"G {number}", *group))
        paths += [(place, group, whole) for place in panels]
    text = "".join(rows) + row("TOP 0", "DET 0", *whole)
    x, y, z = pixels.coordinates(top_of(text))
    assert x.shape == y.shape == z.shape == (len(paths), 2, 3)
    for panel, path in enumerate(paths):
        for r in range(2):
            for c in range(3):
                expected = moved(path, r * 50.0, c * 40.0, 0.0)
                got = (x[panel, r, c], y[panel, r, c], z[panel, r, c])
                assert got == pytest.approx(expected, abs=1e-6)


def test_panels_stand_in_the_order_of_their_rows():
    text = (
        row("D 0", f"{SMALL} 2", 200) + row("D 0", f"{SMALL} 0", 0) + row("D 0", f"{SMALL} 1", 100)
    )
    x, _, _ = pixels.coordinates(top_of(text))
    assert x[:, 0, 0].tolist() == [200, 0, 100]


def test_panels_of_a_group_stand_where_the_row_of_the_group_is():
    text = (
        row("Q 0", f"{SMALL} 0", 1) + row("Q 1", f"{SMALL} 0", 2)
        + row("D 0", "Q 1") + row("D 0", "Q 0") + row("D 0", f"{SMALL} 7", 3)
    )  # fmt: skip
    x, _, _ = pixels.coordinates(top_of(text))
    assert x[:, 0, 0].tolist() == [2, 1, 3]


def test_tilts_are_left_out_where_they_are_not_asked_for():
    text = row("D 0", f"{SMALL} 0", 0, 0, 0, 90, 0, 0, 1, 2, 3)
    same = row("D 0", f"{SMALL} 0", 0, 0, 0, 90, 0, 0)
    got = pixels.coordinates(top_of(text), tilt=False)
    for one, other in zip(got, pixels.coordinates(top_of(same)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_in_the_laboratory_y_is_up_and_z_along_the_beam():
    branch = top_of(row("IP 0", f"{SMALL} 0", 1, 2, -3))
    x, y, z = pixels.coordinates(branch)
    lab_x, lab_y, lab_z = pixels.coordinates(branch, frame=1)
    for one, other in ((lab_x, -y), (lab_y, -x), (lab_z, -z)):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("parent", "z"), [("IP", -7), ("IP:V1", -7), ("DET", 7)])
def test_a_positive_distance_from_the_interaction_point_is_turned(parent, z):
    branch = top_of(row(f"{parent} 0", f"{SMALL} 0", 0, 0, 7))
    assert pixels.coordinates(branch)[2][0, 0, 0] == z


def test_a_panel_has_two_axes_a_group_three():
    text = row("D 0", f"{SMALL} 0") + row("IP 0", "D 0")
    assert pixels.coordinates(top_of(text, SMALL))[0].shape == (2, 3)
    assert pixels.coordinates(top_of(text, "D"))[0].shape == (1, 2, 3)
    assert pixels.coordinates(top_of(text))[0].shape == (1, 2, 3)


def test_of_lcls1_the_levels_are_kept():
    text = "".join(row(f"Q {q}", f"{SMALL} {i}") for q in range(4) for i in range(5))
    text += "".join(row("D 0", f"Q {q}") for q in range(4)) + row("IP 0", "D 0")
    for shape, generation in (((1, 4, 5, 2, 3), "PSCalib"), ((20, 2, 3), "psana")):
        branch = top_of(text, generation=generation)
        assert pixels.coordinates(branch)[0].shape == shape
        assert pixels.areas(branch).shape == pixels.mask(branch).shape == shape


def test_a_cspad2x2_has_the_shape_of_its_data():
    text = "".join(
        row("CSPAD2X2:V1 0", f"SENS2X1:V1 {i}", 0, 40_000 * i, 0, 180 * i) for i in range(2)
    )
    text += row("IP 0", "CSPAD2X2:V1 0")
    for shape, options in (
        ((185, 388, 2), {}),
        ((185, 388, 2), {"name": "CSPAD2X2:V1"}),
        ((1, 185, 388, 2), {"generation": "PSCalib"}),
    ):
        branch = top_of(text, **options)
        x, y, z = pixels.coordinates(branch)
        assert {u.shape for u in (x, y, z, pixels.areas(branch), pixels.mask(branch))} == {shape}
        for panel, stack in enumerate(pixels.panel_stack(branch, y)):
            np.testing.assert_array_equal(y.reshape(185, 388, 2)[..., panel], stack)
        assert (pixels.panel_stack(branch, y)[1] - 40_000 < 11_000).all()


def test_two_parts_may_have_different_numbers_of_panels():
    text = row("A 0", f"{SMALL} 0") + row("A 0", f"{SMALL} 1") + row("B 0", f"{SMALL} 0")
    text += row("D 0", "A 0") + row("D 0", "B 0")
    assert pixels.coordinates(top_of(text))[0].shape == (3, 2, 3)
    with pytest.raises(BadFile, match="the parts of D 0 have different shapes"):
        pixels.coordinates(top_of(text, generation="PSCalib"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (row("D 0", "CAMERA 0"), "line 1: CAMERA 0 has neither pixels nor parts; sensors are SENS"),
        (
            row("D 0", f"{SMALL} 0") + row("D 0", "EPIX100:V1 0"),
            r"line 2: the \(704, 768\) pixels of EPIX100:V1 do not stack with the \(2, 3\)",
        ),
        (
            "".join(row("CSPAD2X2:V1 0", f"SENS2X1:V1 {i}") for i in range(2))
            + row("D 0", "CSPAD2X2:V1 0") + row("D 0", "SENS2X1:V1 2"),
            "do not stack with others",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_stacked_is_told_in_one_sentence(text, sentence):
    with pytest.raises(BadFile, match=sentence):
        pixels.coordinates(top_of(text))


def test_a_part_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(BadName, match="no part 'QUAD' 3 in the geometry; there are MTRX.* 0, D 0"):
        top_of(row("D 0", f"{SMALL} 0"), "QUAD", 3)


def test_of_several_panels_called_alike_the_first_is_meant():
    text = row("Q 0", f"{SMALL} 0", 1) + row("Q 1", f"{SMALL} 0", 2)
    text += row("D 0", "Q 0") + row("D 0", "Q 1")
    assert top_of(text, SMALL).part.x0 == 1


def test_a_deep_tree_is_no_trouble():
    text = row("P 0", f"{SMALL} 0") + "".join(row(f"P {i + 1}", f"P {i}", 1) for i in range(3000))
    assert pixels.coordinates(top_of(text))[0][0, 0, 0] == 3000


def test_a_plane_is_hit_on_the_line_through_the_origin():
    x, y, z = np.array([[100.0, 3.0]]), np.array([[-50.0, 4.0]]), np.array([[-2000.0, 0.0]])
    near_x, near_y = pixels.project(x, y, z, -4000.0)
    assert (near_x.tolist(), near_y.tolist()) == ([[200.0, 0.0]], [[-100.0, 0.0]])
    np.testing.assert_array_equal(pixels.project(x, y, z)[0], [[50.0, 0.0]])
    assert pixels.project(x, y, z, 999.0)[0] is x


def test_the_first_pixel_of_an_image_is_the_outermost():
    x, y = np.array([0.0, 50.0, 120.0]), np.array([75.0, 0.0, 24.9])
    rows, cols = pixels.indexes(x, y, 50)
    assert (rows.tolist(), cols.tolist()) == ([0, 1, 2], [2, 0, 0])
    assert rows.dtype == cols.dtype == np.uint64


def test_in_the_laboratory_rows_go_down():
    rows, cols = pixels.indexes(np.array([0.0, 50.0]), np.array([0.0, 50.0]), 50, frame=1)
    assert (rows.tolist(), cols.tolist()) == ([1, 0], [0, 1])


@pytest.mark.parametrize(
    ("frame", "offset", "first"),
    [(0, (2, 3), (2, 3)), (0, (-2, 3), (0, 3)), (1, (2, 3), (3, 2)), (1, (2, -3), (0, 2))],
)
def test_an_offset_moves_the_image_if_it_is_positive(frame, offset, first):
    x = y = np.array([0.0])
    rows, cols = pixels.indexes(x, y, 50, offset=offset, frame=frame)
    assert (rows[0], cols[0]) == first


def test_pixels_that_do_not_exist_fall_nowhere():
    kind = segment("ARCHON:V1", shape=(30, 4800))
    cols, rows = pixels.indexes(*kind.coordinates()[:2], kind.scale)
    there = cols != pixels.NOWHERE
    np.testing.assert_array_equal(there, rows != pixels.NOWHERE)
    assert there[0].reshape(16, 300).sum(axis=1).tolist() == [264] * 16
    assert (cols[there].max(), rows[there].max()) == (16 * 264 - 1, 58)


@pytest.mark.parametrize(
    ("places", "size", "sentence"),
    [
        ([0, math.nan, 1e12], 1e-9, "pixels of 1e-09 um make no image that is 1e[+]12 um long"),
        ([-1e308, 1e308], 50, "make no image that is inf um long"),
        ([math.nan, math.nan], 50, "no pixel stands anywhere"),
    ],
)
def test_an_image_that_nobody_can_hold_is_refused(places, size, sentence):
    with pytest.raises(BadQuestion, match=sentence):
        pixels.indexes(np.array(places), np.zeros(len(places)), size)
    with pytest.raises(BadQuestion, match=sentence):
        pixels.point_indexes((0, 0), np.array(places), np.zeros(len(places)), size)


def test_a_point_is_finite():
    with pytest.raises(BadQuestion, match=r"no point \(nan, 0\)"):
        pixels.point_indexes((math.nan, 0), np.zeros(1), np.zeros(1), 50)


def test_more_pixels_than_the_memory_holds_are_told_in_one_sentence():
    top = top_of("".join(row("D 0", f"MTRX:16384:16384:1:1 {n}") for n in range(2)))
    with pytest.raises(BadFile, match="2 panels of 16384 x 16384 pixels are more than the 268"):
        pixels.coordinates(top)


@pytest.mark.parametrize("size", [0, -75, math.nan, math.inf])
def test_pixels_of_an_image_have_a_size(size):
    with pytest.raises(BadQuestion, match="larger than 0 um"):
        pixels.indexes(np.zeros(1), np.zeros(1), size)


def test_there_are_two_frames():
    with pytest.raises(BadQuestion, match="no frame 2; 0 is psana's, 1 the laboratory's"):
        pixels.coordinates(top_of(row("D 0", f"{SMALL} 0")), frame=2)


def test_an_array_of_another_size_is_no_stack():
    with pytest.raises(BadPayload, match=r"\(7,\) does not hold 1 panels of 2 x 3 pixels"):
        pixels.panel_stack(top_of(row("D 0", f"{SMALL} 0")), np.zeros(7))
