"""Common mode: offsets of groups of pixels, by each algorithm of the lists of parameters."""

import numpy as np
import pytest

from cdb import common_mode as cm
from cdb.errors import BadArray, BadQuestion


@pytest.fixture
def noise():
    return np.random.default_rng(5)


def frame(noise, *shape, dtype="float32"):
    """Noise of 1 ADU about 0."""
    return noise.normal(0, 1, shape).astype(dtype)


def offset(noise, *shape, size=9):
    """Whole offsets, some of them negative."""
    return noise.integers(-size, size + 1, shape).astype("float32")


# the core ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "groups"),
    [
        (cm.common_mode_rows, (40, 1)),
        (cm.common_mode_cols, (1, 48)),
        (cm.common_mode_2d, (1, 1)),
        (lambda d, m: cm.common_mode_rows_hsplit_nbanks(d, m, 3), (40, 3)),
        (lambda d, m: cm.common_mode_2d_hsplit_nbanks(d, m, 4), (1, 4)),
    ],
)
def test_each_group_loses_the_median_of_its_good_pixels(noise, call, groups):
    data = frame(noise, 40, 48)
    shifts = offset(noise, *groups)
    data += np.kron(shifts, np.ones((40 // groups[0], 48 // groups[1]), "float32"))
    mask = (noise.random((40, 48)) > 0.1).astype("uint8")
    before = data.copy()
    call(data, mask)
    np.testing.assert_array_equal(data[mask == 0], before[mask == 0])
    split = (groups[0], 40 // groups[0], groups[1], 48 // groups[1])
    values = np.where(mask, data, np.nan).reshape(split).transpose(0, 2, 1, 3)
    medians = np.nanmedian(values.reshape(*groups, -1), axis=-1)
    np.testing.assert_allclose(medians, 0, atol=1e-5)


def test_a_large_offset_is_left(noise):
    data = frame(noise, 2, 100) + np.array([[50], [3]], "float32")
    cm.common_mode_rows(data, cormax=20)
    assert np.round(np.median(data, axis=1)).tolist() == [50, 0]


@pytest.mark.parametrize(
    ("n_good", "rows", "whole"), [(9, False, False), (10, False, True), (11, True, True)]
)
def test_rows_want_more_than_the_least_number_of_pixels_and_panels_as_many(n_good, rows, whole):
    mask = np.zeros((1, 30), "uint8")
    mask[0, :n_good] = 1
    for call, done in ((cm.common_mode_rows, rows), (cm.common_mode_2d, whole)):
        data = np.full((1, 30), 4.0)
        call(data, mask, npix_min=10)
        assert (data[0, 0] == 0) == done


def test_what_is_not_finite_takes_no_part():
    data = np.array([[1.0, 1, np.nan, 3, np.inf, 1, 9] + 20 * [1.0]])
    cm.common_mode_rows(data)
    assert data[0, [0, 1, 3, 6]].tolist() == [0, 0, 2, 8]


def test_banks_without_a_mask_are_banks_unless_psanas_numbers_are_asked_for(noise):
    data = frame(noise, 20, 24) + offset(noise, 20, 1)
    ours, rows, psanas = data.copy(), data.copy(), data.copy()
    cm.common_mode_2d_hsplit_nbanks(ours, nbanks=2)
    cm.common_mode_rows_hsplit_nbanks(rows, nbanks=2)
    cm.common_mode_2d_hsplit_nbanks(psanas, nbanks=2, compat="psana")
    np.testing.assert_array_equal(psanas, rows)
    assert np.abs(np.median(ours, axis=1)).max() > 1


def test_panels_are_corrected_one_by_one_and_views_in_place(noise):
    data = frame(noise, 3, 20, 20)
    data[1] += 7
    cm.common_mode_2d(data[:, 4:, ::2])
    assert abs(np.median(data[1, 4:, ::2])) < 1e-5
    assert np.median(data[1, :4]) > 5


@pytest.mark.parametrize(
    "call",
    [
        lambda: cm.common_mode_rows(np.zeros((3, 3), int)),
        lambda: cm.common_mode_rows(np.zeros(3)),
        lambda: cm.common_mode_rows([[1.0]]),
        lambda: cm.common_mode_rows(np.zeros((3, 3)), np.ones((2, 3))),
        lambda: cm.common_mode_rows(np.zeros((3, 3)), np.array(["a"])),
        lambda: cm.common_mode_rows(np.broadcast_to(1.0, (3, 3))),
        lambda: cm.common_mode_rows_hsplit_nbanks(np.zeros((3, 10)), nbanks=3),
        lambda: cm.apply(np.zeros((100, 100)), [7, 2, 10], "jungfrau"),
        lambda: cm.apply(np.zeros((10, 101)), [2, 10, 10, 100], "andor"),
        lambda: cm.apply(np.zeros((100, 100)), [1, 10, 10, 100, 2, 9999, 1], "opal1000"),
        lambda: cm.apply(np.zeros((185, 386)), [5, 10], "cspad"),
    ],
)
def test_data_that_cannot_be_corrected_are_refused(call):
    with pytest.raises(BadArray):
        call()


# algorithms --------------------------------------------------------------------------------------


def corrected(data, parameters, dettype, mask=None):
    data = data.copy()
    cm.apply(data, parameters, dettype, mask)
    return data


def residual(data, height, width):
    """Return the medians of blocks of a panel."""
    split = (data.shape[-2] // height, height, data.shape[-1] // width, width)
    blocks = data.reshape(-1, *split).swapaxes(2, 3).reshape(-1, height * width)
    return np.abs(np.median(blocks, axis=-1)).max()


@pytest.mark.parametrize(
    ("parameters", "dettype", "panel", "block"),
    [
        ([4, 1, 30, 0], "epix100a", (704, 768), (352, 96)),
        ([4, 2, 30, 30], "epix100a", (704, 768), (1, 96)),
        ([6, 4, 30, 30], "epix100a", (704, 768), (352, 1)),
        ([4, 2, 30, 30], "fccd960", (960, 960), (480, 10)),
        ([7, 4, 30], "epix10ka", (352, 384), (176, 48)),
        ([7, 1, 30], "epix10ka2M", (352, 384), (1, 48)),
        ([7, 2, 30, 10], "epix10kaQuad", (352, 384), (176, 1)),
        ([7, 4, 30], "jungfrau", (512, 1024), (256, 64)),
        ([7, 1, 30], "jungfrau", (512, 1024), (1, 64)),
        ([7, 2, 30], "jungfrau", (512, 1024), (256, 1)),
        ([7, 4, 30], "epix100", (704, 768), (352, 96)),
        ([8, 1, 30], "pnccd", (512, 512), (1, 128)),
        ([8, 2, 30], "pnccd", (512, 512), (1, 512)),
        ([8, 4, 30], "pnccd", (512, 512), (512, 1)),
        ([8, 8, 30], "pnccd", (512, 512), (512, 128)),
        ([3, 30, 30, 128], "pnccd", (512, 512), (1, 128)),
    ],
)
def test_the_groups_of_a_detector_are_corrected(noise, parameters, dettype, panel, block):
    data = frame(noise, 1, *panel)
    shifts = offset(noise, 1, panel[0] // block[0], panel[1] // block[1])
    data += np.kron(shifts, np.ones((1, *block), "float32"))
    assert residual(data, *block) > 5
    assert residual(corrected(data, parameters, dettype), *block) < 1e-4


def test_rows_of_fccd960_have_even_and_odd_columns_apart(noise):
    data = frame(noise, 960, 960)
    data[:, ::2] += 5
    done = corrected(data, [4, 1, 30, 0], "fccd960")
    assert max(abs(np.median(done[:, ::2])), abs(np.median(done[:, 1::2]))) < 0.1


def test_modes_are_taken_together(noise):
    data = frame(noise, 512, 1024) + offset(noise, 512, 1) + offset(noise, 1, 1024)
    done = corrected(data, [7, 3, 30], "jungfrau")
    assert (residual(done, 256, 1) < 1e-4, residual(done, 1, 64) < 3) == (True, True)


def test_algorithm_4_counts_within_its_range_and_corrects_all_pixels():
    data = np.full((704, 768), 3.0)
    data[:, :40] = 500
    mask = np.ones((704, 768))
    mask[0, 95] = 0
    done = corrected(data, [4, 2, 30, 30], "epix100a", mask)
    assert (done[0, 0], done[0, 95], done[0, 50]) == (497, 0, 0)
    assert corrected(data, [4, 2, 30, 3], "epix100a")[0, 50] == 0  # as large as the limit
    assert corrected(data, [4, 2, 30, 2], "epix100a")[0, 50] == 3


def test_algorithm_7_corrects_what_takes_part_alone():
    data = np.full((1, 512, 1024), 5.0)
    takes_part = np.zeros((1, 512, 1024), bool)
    takes_part[:, :, ::2] = True
    done = corrected(data, [7, 1, 100], "jungfrau", takes_part)
    assert (done[takes_part] == 0).all()
    assert (done[~takes_part] == 5).all()
    assert (corrected(data, [7, 1, 5], "jungfrau") == 5).all()  # smaller than the limit


def test_algorithm_2_is_the_mean_of_what_lies_below_a_threshold():
    data = np.tile([1.0, 3.0, 100.0, 1.0], 64).reshape(1, 256)
    done = corrected(data, [2, 10, 10, 128], "andor")
    assert done[0, 2] == pytest.approx(100 - 5 / 3)
    assert (corrected(data, [2, 10, 1, 128], "andor") == data).all()
    assert corrected(data, [3, 10, 10, 128], "andor")[0, 2] == 99


def with_peak(noise, place, panels=1):
    data = frame(noise, panels, 185, 388, dtype="float64") * 5 + place
    data[:, :, :60] += noise.exponential(200, (panels, 185, 60))
    return data


@pytest.mark.parametrize("place", [-13.3, 0, 17.5])
def test_algorithm_1_takes_the_peak_of_a_histogram(noise, place):
    data = with_peak(noise, place, panels=2)
    done = corrected(data, [1, 25, 25, 100], "cspad")
    np.testing.assert_allclose(data - done, place, atol=0.3)


def test_algorithm_1_falls_back_to_unbonded_pixels_of_cspad_alone(noise):
    data = with_peak(noise, 60)
    places = np.arange(10, 185, 10)
    data[0, places, places] = data[0, places, places + 194] = 20
    assert data[0, 0, 200] - corrected(data, [1, 25, 25, 100], "cspad")[0, 0, 200] == 20
    for off in ([1, 25, 25, 100, 0], [1, 19, 25, 100, 1]):
        np.testing.assert_array_equal(corrected(data, off, "cspad"), data)
    np.testing.assert_array_equal(corrected(data, [1, 25, 25, 100], "opal1000"), data)
    np.testing.assert_array_equal(corrected(data, [5], "cspad2x2"), data - 20)
    np.testing.assert_array_equal(corrected(data, [5, 10], "cspad"), data)


def test_algorithm_1_takes_sections_as_they_lie_in_memory(noise):
    data = frame(noise, 4, 1000) * 3 + np.array([[1], [1], [9], [9]], "float32")
    done = corrected(data, [1, 50, 50, 100, 2, 2000, 1], "opal1000")
    assert np.abs(np.median(done, axis=1)).max() < 0.3


@pytest.mark.parametrize("values", [[], [5.0] * 50, [np.nan] * 500, [9999.0] * 500])
def test_too_few_pixels_make_no_peak(values):
    data = np.array([values or [0.0]])
    np.testing.assert_array_equal(corrected(data, [1, 50, 50, 100], "opal1000"), data)


def test_off_is_off(noise):
    data = frame(noise, 8, 8)
    np.testing.assert_array_equal(corrected(data, [0], "anything"), data)
    np.testing.assert_array_equal(corrected(data, np.zeros(16), "jungfrau"), data)


def test_data_that_do_not_lie_in_one_piece_are_corrected_too():
    data = np.asfortranarray(np.tile([1.0, 3.0, 100.0, 1.0], 64).reshape(1, 256).T).T[:, ::1]
    wide = np.zeros((2, 512))
    wide[:, ::2] = np.tile(data, (2, 1))
    cm.apply(wide[:, ::2], [3, 10, 10, 128], "andor")
    assert wide[0, 4] == 99


# lists -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dettype", "shape", "readers", "begins", "length"),
    [
        ("cspad2x2", (), "python", (1, 25, 25, 100), 4),
        ("pnccd", (), "python", (3, 350, 350, 128), 4),
        ("epix100a", (), "python", (4, 6, 30, 30, 0), 16),
        ("epix10ka2M", (), "python", (7, 2, 10, 10, 0), 16),
        ("jungfrau", (), "python", (7, 1, 100, 0), 16),
        ("princeton", (1300, 1340), "python", (1, 50, 50, 100, 1, 1742000, 1), 16),
        ("andor3d", (2, 2048, 2048), "python", (2, 10, 10, 2048, 0), 16),
        ("opal1000", (), "python", (0, 0), 16),
        ("uxi", (), "python", (0,), 16),
        ("cspad", (), "c++", (1, 25, 25, 100, 1), 5),
        ("pnccd", (), "c++", (3, 50, 10, 128), 4),
        ("epix100a", (), "c++", (4, 6, 30, 10), 4),
        ("opal1000", (1024, 1024), "c++", (1, 50, 50, 100, 1, 1048576, 1), 7),
    ],
)
def test_defaults_are_those_of_the_old_readers(dettype, shape, readers, begins, length):
    numbers = cm.defaults(dettype, shape, readers=readers)
    assert (numbers[: len(begins)], len(numbers)) == (begins, length)
    assert cm.parse(numbers, dettype) or numbers[0] == 0


@pytest.mark.parametrize(
    ("parameters", "dettype", "says"),
    [
        ([4, 1, 30, 30], "jungfrau", "no algorithm 4 for jungfrau"),
        ([8, 1, 30], "epix10ka", "no algorithm 8"),
        ([9], "cspad", "no algorithm 9"),
        ([1.5], "cspad", "no algorithm 1.5"),
        ([7, 2], "jungfrau", "wants mode, limit"),
        ([7, 9, 30], "jungfrau", "the mode is 9"),
        ([7, 1.5, 30], "jungfrau", "the mode is 1.5"),
        ([2, 10, 10, 0], "andor", "groups of 0 pixels"),
        ([], "andor", "no parameters"),
        (["a"], "andor", "no parameters"),
        ([7, np.nan, 1], "jungfrau", "no parameters"),
        (None, "jungfrau", "no parameters"),
    ],
)
def test_lists_that_mean_nothing_are_refused(parameters, dettype, says):
    with pytest.raises(BadQuestion, match=says):
        cm.describe(parameters, dettype)


@pytest.mark.parametrize(
    ("parameters", "dettype", "says"),
    [
        ([1, 25, 25, 100], "cspad", "else the mean of the unbonded pixels"),
        ([1, 50, 50, 100, 2, 512, 4], "opal1000", "2 sections of 512 pixels, every 4th"),
        ([2, 10, 12, 128], "andor", "mean of the good pixels below 10 ADU, subtracted from all"),
        ([4, 7, 30, 0], "epix100a", "banks of 352 x 96 pixels"),
        ([4, 1, 30, 0], "fccd960", "even and odd columns apart"),
        ([5, 20], "cspad", "at most 20 ADU"),
        ([7, 1, 10, 5], "jungfrau", "good pixels in range 0"),
        ([8, 2, 500], "pnccd", "rows: median"),
    ],
)
def test_a_list_is_told_in_words(parameters, dettype, says):
    assert says in cm.describe(parameters, dettype)


def test_readers_and_programs_that_there_are_not_are_refused():
    with pytest.raises(BadQuestion, match="no readers 'java'"):
        cm.defaults("cspad", readers="java")
    with pytest.raises(BadQuestion, match="depend on its shape"):
        cm.defaults("andor")
    with pytest.raises(BadQuestion, match="compat is 'ami'"):
        cm.apply(np.zeros((8, 8)), [0], "andor", compat="ami")
