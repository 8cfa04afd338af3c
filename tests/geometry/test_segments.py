"""The table of sensor types: the facts of both generations."""

import numpy as np
import pytest

from cdb.errors import BadName
from cdb.geometry.segments import known_segments, segment

# rows, cols, pixel sizes along them, largest place along cols and rows [um].
FACTS = {
    "SENS2X1:V1": (185, 388, 109.92, 21434.4, 10112.64),
    "EPIX100:V1": (704, 768, 50, 19300, 17700),
    "EPIX10KA:V1": (352, 384, 100, 19275, 17675),
    "EPIX10KA:V2": (352, 384, 100, 19275, 17675),
    "JUNGFRAU:V1": (512, 1024, 75, 38587.5, 19237.5),
    "JUNGFRAU:V2": (512, 1024, 75, 38587.5, 19237.5),
    "PNCCD:V1": (512, 512, 75, 38325, 38325),
    "EPIXHR2X2:V1": (288, 384, 100, 19275, 14475),
    "EPIXHR1X4:V1": (144, 768, 100, 38825, 7150),
    "EPIXUHR3X2:V1": (336, 576, 100, 29075, 16912.5),
    "EPIXMASIC:V1": (192, 384, 50, 9575, 4775),
    "EPIXUHRASIC:V1": (168, 192, 100, 9550, 8350),
}
OLD = ["SENS2X1:V1", "EPIX100:V1", "EPIX10KA:V1", "EPIX10KA:V2", "JUNGFRAU:V1", "JUNGFRAU:V2",
       "PNCCD:V1"]  # fmt: skip


@pytest.mark.parametrize("name", FACTS)
def test_a_sensor_is_as_large_as_the_facts_say(name):
    rows, cols, pitch, x, y = FACTS[name]
    kind = segment(name)
    assert kind.shape == (rows, cols)
    assert (kind.scale, kind.rows.pitch, kind.cols.pitch) == (pitch, pitch, pitch)
    assert kind.cols.places.max() == pytest.approx(x, abs=1e-9)
    assert kind.rows.places.max() == pytest.approx(y, abs=1e-9)


@pytest.mark.parametrize("name", FACTS)
def test_all_but_one_sensor_are_centred(name):
    kind = segment(name)
    middle = 38325 / 2 if name == "PNCCD:V1" else 0
    for axis in (kind.rows, kind.cols):
        assert (axis.places[0] + axis.places[-1]) / 2 == pytest.approx(middle, abs=1e-9)
        assert (np.diff(axis.places) > 0).all()


@pytest.mark.parametrize(
    ("name", "sign"),
    [("EPIX100:V1", 1), ("JUNGFRAU:V2", 1), ("JUNGFRAU:V1", -1), ("SENS2X1:V1", -1)],
)
def test_y_goes_up_or_down_with_the_rows(name, sign):
    assert np.sign(segment(name).y[1, 0] - segment(name).y[0, 0]) == sign


@pytest.mark.parametrize("name", ["PNCCD:V1", "MTRX:4:6:54:45.5", "MTRX:V1:4:6:54:45.5"])
def test_x_of_a_matrix_is_the_row_and_its_origin_a_corner(name):
    x, y, z = segment(name).coordinates()
    assert (x[1, 0], y[0, 1]) == ((75, 75) if name == "PNCCD:V1" else (54, 45.5))
    assert x[0, 0] == y[0, 0] == z.max() == 0


def test_the_second_matrix_is_centred_and_its_x_is_the_column():
    kind = segment("MTRX:V2:4:6:54:45.5")
    x, y, _ = kind.coordinates()
    np.testing.assert_allclose(x[0], (np.arange(6) - 2.5) * 45.5)
    np.testing.assert_allclose(y[:, 0], (1.5 - np.arange(4)) * 54)
    assert kind.scale == 45.5


@pytest.mark.parametrize(
    ("name", "normal", "center"),
    [("SENS2X1:V1", 219.84, 137.4), ("EPIX10KA:V1", 175, 112.5), ("EPIX100:V1", 150, 87.5),
     ("EPIXHR2X2:V1", 175, 112.5)],
)  # fmt: skip
def test_wide_pixels_are_on_the_normal_grid_or_at_their_centres(name, normal, center):
    middle = segment(name).shape[1] // 2
    for wide, place in ((False, normal), (True, center)):
        places = segment(name, wide_centers=wide).cols.places
        assert places[middle] == pytest.approx(place)
        assert places[middle - 1] == pytest.approx(-place)


def test_the_wide_pixels_of_epixuhr_move_towards_the_borders():
    normal, moved = (segment("EPIXUHR3X2:V1", wide_centers=wide).cols for wide in (False, True))
    shifts = moved.places - normal.places
    assert {n: shifts[n] for n in np.flatnonzero(shifts)} == {
        191: 81.25, 192: -81.25, 383: 81.25, 384: -81.25
    }  # fmt: skip


@pytest.mark.parametrize("name", ["JUNGFRAU:V1", "JUNGFRAU:V2", "EPIXHR1X4:V1"])
def test_the_wide_pixels_of_some_do_not_move(name):
    normal, asked = (segment(name, wide_centers=wide).cols.places for wide in (False, True))
    np.testing.assert_array_equal(normal, asked)


def test_the_pixels_at_the_gaps_of_jungfrau_are_moved_by_psana_alone():
    old, new = (segment("JUNGFRAU:V2", generation=name) for name in ("PSCalib", "psana"))
    shifts = new.cols.places - old.cols.places
    assert [shifts[n] for n in (255, 256, 511, 512, 767, 768)] == [37.5, -37.5] * 3
    assert np.count_nonzero(shifts) == 6
    assert [new.rows.places[n] - old.rows.places[n] for n in (255, 256)] == [37.5, -37.5]


def test_epix10ka_was_wider_in_lcls1():
    old = segment("EPIX10KA:V1", generation="PSCalib")
    assert (old.cols.places.max(), old.rows.places.max()) == (19300, 17700)
    assert old.areas().max() == 6.25
    second = segment("EPIX10KA:V2", generation="PSCalib")
    np.testing.assert_array_equal(second.cols.places, segment("EPIX10KA:V1").cols.places)


@pytest.mark.parametrize(
    ("name", "areas"),
    [("SENS2X1:V1", [1, 2.5]), ("EPIX100:V1", [1, 3.5, 12.25]), ("EPIX10KA:V1", [1, 2.25, 5.0625]),
     ("EPIXUHR3X2:V1", [1, 2.625, 6.890625]), ("JUNGFRAU:V1", [1]), ("JUNGFRAU:V2", [1, 2, 4]),
     ("MTRX:4:6:54:45.5", [1]), ("EPIXHR1X4:V1", [1])],
)  # fmt: skip
def test_a_normal_pixel_has_the_area_1(name, areas):
    assert np.unique(np.round(segment(name).areas(), 12)).tolist() == areas


def test_the_rows_of_epixhr1x4_do_not_overlap_unless_they_are_to():
    right, as_psana = (segment("EPIXHR1X4:V1", compat=compat) for compat in (False, True))
    np.testing.assert_array_equal(-right.y[:, 0], (np.arange(144) - 71.5) * 100)
    assert as_psana.y[70:74, 0].tolist() == [50, -50, 50, -50]


@pytest.mark.parametrize(
    ("name", "asic", "n"),
    [("SENS2X1:V1", (185, 194), 2), ("EPIX100:V1", (352, 384), 4), ("EPIX10KA:V1", (176, 192), 4),
     ("JUNGFRAU:V2", (256, 256), 8), ("EPIXHR1X4:V1", (144, 192), 4),
     ("EPIXUHR3X2:V1", (168, 192), 6), ("MTRX:4:6:54:45.5", (4, 6), 1)],
)  # fmt: skip
def test_asics_tile_the_sensor(name, asic, n):
    kind = segment(name)
    assert (kind.asic_shape, len(kind.asics), kind.grid[0] * kind.grid[1]) == (asic, n, n)
    times = np.zeros(kind.shape)
    for row, col in kind.asics:
        times[row : row + asic[0], col : col + asic[1]] += 1
    assert (times == 1).all()


def test_the_columns_of_an_archon_that_do_not_exist_have_no_place():
    for name, real in (("ARCHON:V1", slice(0, 264)), ("ARCHON:V2", slice(36, 300))):
        kind = segment(name, shape=(30, 4800))
        there = ~np.isnan(kind.cols.places).reshape(16, 300)
        assert there[:, real].all()
        assert there.sum() == 16 * 264
        assert np.nanmax(kind.cols.places) == 21115


@pytest.mark.parametrize("name", ["CAMERA", "IP", "EPIX100", "epix100:V1", "MTRX", "CSPAD:V1"])
def test_what_is_no_sensor_is_a_group(name):
    assert segment(name) is None


@pytest.mark.parametrize("generation", ["psana", "PSCalib"])
def test_each_generation_knows_its_sensors(generation):
    known = known_segments(generation)
    assert {name for name in FACTS if segment(name, generation=generation)} == {*known} & {*FACTS}
    assert {*OLD} <= {*known}
    assert ("EPIXHR2X2:V1" in known) == (generation == "psana")


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("MTRX:1:2:3", {}, r"'MTRX:1:2:3' is no matrix; MTRX\[:V1\|:V2\]:rows"),
        ("MTRX:V3:1:2:3:4", {}, "is no matrix"),
        ("MTRX:4:6:54:__import__('os')", {}, "is no matrix"),
        ("MTRX:4:6:-54:54", {}, "is no matrix"),
        ("MTRX:4:6:1e3:54", {}, "is no matrix"),
        ("MTRX:\u0664:6:54:54", {}, "is no matrix"),
        ("MTRX:0:6:54:54", {}, "has 0 x 6 pixels"),
        ("MTRX:100000:100000:54:54", {}, "has 100000 x 100000 pixels"),
        ("MTRX:V2:2000000:1:54:54", {}, "has 2000000 x 1 pixels; .* 1048576 in a row or column"),
        ("MTRX:4:6:0:54", {}, "pixels of no size"),
        ("MTRXANY:V1", {}, r"does not say its shape; give shape=\(rows, cols\)"),
        ("ARCHON:V1", {"shape": (30, 100)}, "has 4800 columns, not 100"),
        (
            "EPIX100:V1",
            {"generation": "psana2"},
            "no generation 'psana2'; there are psana, PSCalib",
        ),
    ],
)
def test_what_is_wrong_with_a_name_is_told_in_one_sentence(name, options, sentence):
    with pytest.raises(BadName, match=sentence):
        segment(name, **options)


def test_a_sensor_cannot_be_changed():
    kind = segment("EPIX100:V1")
    with pytest.raises(ValueError, match="read-only"):
        kind.cols.places[0] = 0
    x, _, _ = kind.coordinates()
    x[0, 0] = 0
    assert segment("EPIX100:V1").coordinates()[0][0, 0] == -19300
