"""Numbers of arrays: as numpy's, block by block, whatever is not finite."""

import math
import tracemalloc

import numpy as np
import pytest

from cdb import shapes, statistics
from cdb.errors import BadQuestion
from cdb.statistics import STATS, Numbers, joined, of_array, of_values

DTYPES = ["f2", ">f4", "f8", "u1", "<u2", ">i4", "i8", "u8", "?"]


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(shapes, "BLOCK", 7)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_numbers_are_numpys(dtype, small_blocks):
    values = np.random.default_rng(1).integers(0, 100, (3, 4, 5)).astype(dtype)
    wide = values.astype("f8")
    found = of_array(values)
    whole = joined(part.numbers for part in found)
    assert [part.panel for part in found] == [0, 1, 2]
    assert [part.numbers.mean for part in found] == pytest.approx(wide.mean((1, 2)))
    assert (whole.n, whole.lost, whole.bad) == (60, 0, 0)
    assert (whole.mean, whole.std) == pytest.approx((wide.mean(), wide.std()))
    assert whole.rms == pytest.approx(math.sqrt((wide**2).mean()))
    assert (whole.min, whole.max) == (wide.min(), wide.max())


def test_what_is_not_finite_is_counted_and_takes_no_part(small_blocks):
    values = np.array([[1.0, np.nan, 3.0], [np.inf, -np.inf, 5.0]])
    [part] = of_array(values)
    assert (part.numbers.n, part.numbers.lost, part.numbers.bad) == (3, 3, 3)
    assert (part.numbers.mean, part.numbers.min, part.numbers.max) == (3.0, 1.0, 5.0)


@pytest.mark.parametrize("values", [np.full((2, 2), np.nan), np.empty((0, 3)), np.empty((3, 0, 2))])
def test_where_nothing_is_finite_there_are_no_numbers(values):
    whole = joined(part.numbers for part in of_array(values))
    assert [math.isnan(whole.stat(name)) for name in STATS if name != "bad"] == [True] * 5
    assert whole.as_json()["mean"] is None
    assert whole.stat("bad") == values.size


def test_a_small_spread_far_from_zero_is_not_lost(small_blocks):
    values = 1e9 + np.tile([-0.5, 0.5], 500)
    [part] = of_array(values)
    assert part.numbers.std == pytest.approx(0.5)


def test_one_value_is_one_part():
    [part] = of_array(np.array(7))
    assert (part.numbers.n, part.numbers.mean, part.gain, part.panel) == (1, 7.0, None, None)


def test_values_whose_squares_do_not_fit_warn_of_nothing():
    assert of_values(np.array([1e300, -1e300])).max == 1e300
    assert of_values(np.array(["1e4000", "1"], np.longdouble)).lost == 1


def test_bad_ones_are_counted_as_the_type_says(small_blocks):
    status = np.zeros((2, 3, 4), "u8")
    status[1, 2, :3] = 64
    assert [part.numbers.bad for part in of_array(status, ctype="pixel_status")] == [0, 3]


def test_texts_have_no_mean():
    with pytest.raises(BadQuestion, match="no mean"):
        of_array(np.array(["one"]))


def test_an_unknown_statistic_names_those_there_are():
    with pytest.raises(BadQuestion, match="mean, rms, std"):
        Numbers(1).stat("median")


def test_joining_nothing_gives_nothing():
    assert joined([]) == joined([Numbers(), Numbers()]) == Numbers()
    assert joined([of_values(np.ones(3)), Numbers()]).n == 3


def test_memory_does_not_grow_with_the_array():
    values = np.broadcast_to(np.float32(3), (3, 16, 512, 1024))  # 100 MB that take 4 bytes
    tracemalloc.start()
    whole = joined(part.numbers for part in of_array(values, dettype="jungfrau"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert whole.n == values.size
    assert peak < 4 * 512 * 1024 * 8 * 2  # a few panels in float64
    assert statistics.has_numbers(values)
