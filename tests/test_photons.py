"""Photons: whole ones, and those that two neighbours share, counted as LCLS-I does."""

import numpy as np
import pytest

from cdb.errors import BadArray, BadQuestion
from cdb.photons import _is_highest, count_photons


def one_by_one(data, threshold=0.9):
    """Count the photons of a panel pixel by pixel, in LCLS-I's order."""
    whole = np.floor(data)
    rest = (data - whole).astype("float32")
    n_rows, n_cols = data.shape
    taken = np.zeros(data.shape, bool)

    def beside(r, c):
        near = [(r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)]
        return [(i, j) for i, j in near if 0 <= i < n_rows and 0 <= j < n_cols]

    def area(r, c):
        up, down, left, right = r == 0, r == n_rows - 1, c == 0, c == n_cols - 1
        corners = [down and left, down and right, up and left, up and right]
        edges = [left, right, up, down]
        if any(corners):
            return 5 + corners.index(True)
        return 1 + edges.index(True) if any(edges) else 0

    for r, c in sorted(np.ndindex(data.shape), key=lambda p: (area(*p), p)):
        if rest[r, c] < 0.5 or any(rest[p] >= rest[r, c] for p in beside(r, c)):
            continue
        free = [p for p in beside(r, c) if not taken[p]]
        best = max(free, key=lambda p: rest[p], default=None)
        if rest[r, c] + (rest[best] if best else 0) >= np.float32(threshold):
            whole[r, c] += 1
            if best:
                taken[best] = True
    return whole


@pytest.mark.parametrize("shape", [(30, 40), (2, 2), (2, 9), (17, 3)])
@pytest.mark.parametrize("threshold", [0.9, 0.7, 1.2])
def test_pairs_are_made_in_the_old_order(shape, threshold):
    data = np.random.default_rng(3).exponential(0.9, shape)
    counted = count_photons(data, thr_fraction=threshold)
    np.testing.assert_array_equal(counted, one_by_one(data, threshold))
    assert counted.dtype == np.uint16


def test_panels_are_counted_by_themselves_and_data_stay():
    data = np.random.default_rng(4).exponential(1.2, (3, 8, 9)).astype("float32")
    before = data.copy()
    counted = count_photons(data * 50, adu_per_photon=50)
    for panel in range(3):
        np.testing.assert_array_equal(counted[panel], one_by_one(data[panel]))
    np.testing.assert_array_equal(data, before)


def test_bad_pixels_and_what_is_no_number_count_nothing():
    data = np.array([[2.0, 0.6, 0.4], [np.nan, -3.0, np.inf]])
    mask = np.array([[1, 1, 0], [1, 1, 1]])
    assert count_photons(data, mask).tolist() == [[2, 0, 0], [0, 0, 0]]


def test_of_equal_fractions_the_first_is_the_highest():
    flat = np.array([[0.0, 0, 0, 0, 0], [0.0, 0.6, 0.6, 0.6, 0], [0.0, 0, 0, 0, 0]], "float32")
    assert np.argwhere(_is_highest(flat)).tolist() == [[1, 1]]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (([1.0],), BadArray),
        ((np.zeros(4),), BadArray),
        ((np.zeros((1, 4)),), BadArray),
        ((np.zeros((2, 4)), np.zeros((4, 2))), BadArray),
        ((np.zeros((2, 2)), [[1, 0], [1, 1]]), BadArray),
        ((np.full((2, 2), 70000.0),), BadArray),
    ],
)
def test_what_cannot_be_counted_is_refused(arguments, error):
    with pytest.raises(error):
        count_photons(*arguments)


def test_a_photon_has_an_intensity():
    with pytest.raises(BadQuestion, match="adu_per_photon is 0"):
        count_photons(np.zeros((2, 2)), adu_per_photon=0)
