"""Masks: from status bits, merged, grown, with edges; what they are made of stays as it is."""

import numpy as np
import pytest

from cdb import masks
from cdb.errors import BadArray, BadQuestion

ONE_BAD = np.ones((7, 9), np.uint8)
ONE_BAD[3, 4] = 0


def bad(mask):
    """Return places of bad pixels, counted from the one at (3, 4)."""
    return {(int(r) - 3, int(c) - 4) for r, c in np.argwhere(mask == 0)}


# status ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "good"),
    [(masks.ALL_BITS, [1, 0, 0, 0]), (1, [1, 0, 1, 0]), (0, [1, 1, 1, 1]), (0x30000, [1, 0, 1, 0])],
)
@pytest.mark.parametrize("dtype", ["uint32", "int64", "uint64", ">u4"])
def test_a_pixel_is_good_without_any_of_the_bits(dtype, code, good):
    status = np.array([0, 1, 4, 0x10003], dtype)
    if code == 0x30000:
        good = [1, 1, 1, 0]
    mask = masks.status_as_mask(status, code)
    assert (mask.tolist(), mask.dtype) == (good, np.uint8)


def test_a_code_of_more_bits_than_the_status_has_is_all_of_them():
    assert masks.status_as_mask(np.array([0, 255], "uint8"), 0xFFFF).tolist() == [1, 0]
    assert masks.status_as_mask(np.array([0, -1], "int16")).tolist() == [1, 0]


def test_status_of_the_measured_ranges_is_merged():
    status = np.zeros((7, 2, 3), "uint16")
    status[1, 0, 0], status[2, 0, 0], status[5, 1, 1] = 2, 8, 4
    merged = masks.merge_status(status)
    assert (merged.shape, merged.dtype, merged[0, 0], merged[1, 1]) == ((2, 3), "uint16", 10, 0)
    assert masks.merge_status(status, (5, 6))[1, 1] == 4


def test_ranges_that_there_are_not_are_passed_over():
    mask = np.ones((3, 2, 2))
    mask[2, 0, 1] = 0
    np.testing.assert_array_equal(masks.merge_masks_for_gain_index(mask), [[1, 0], [1, 1]])
    assert masks.merge_masks_for_gain_index(mask, [0, 1, 9]).all()
    with pytest.raises(BadArray, match="none of the gain ranges"):
        masks.merge_masks_for_gain_index(mask, [3, 4])


# two masks -------------------------------------------------------------------------------------


def test_masks_are_joined_by_and_in_the_shape_of_more_dimensions():
    flat, shaped = np.array([0, 1, 0, 5]), np.array([[[0, 0], [1, 2]]])
    for pair in ((flat, shaped), (shaped, flat)):
        merged = masks.merge_masks(*pair)
        assert (merged.tolist(), merged.dtype) == ([[[0, 0], [0, 1]]], np.uint8)
    assert (flat.shape, shaped.shape) == ((4,), (1, 2, 2))


def test_without_one_mask_it_is_the_other_one():
    assert masks.merge_masks(None, np.array([0, 7])).tolist() == [0, 1]
    assert masks.merge_masks(np.array([0, 7]), None).tolist() == [0, 1]
    assert masks.merge_masks() is None


@pytest.mark.parametrize("shape", [(3, 2), (5,), (2, 2)])
def test_masks_of_other_pixels_are_refused(shape):
    with pytest.raises(BadArray, match="not of the same pixels"):
        masks.merge_masks(np.ones((2, 3)), np.ones(shape))


# growing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ptrn", "inside"),
    [
        ("r", lambda r, c: abs(r) + abs(c) <= 2),
        ("c", lambda r, c: r * r + c * c <= 4),
        ("s", lambda r, c: max(abs(r), abs(c)) <= 2),
    ],
)
def test_a_bad_pixel_grows_to_a_region(ptrn, inside):
    around = {(r, c) for r in range(-3, 4) for c in range(-4, 5) if inside(r, c)}
    assert bad(masks.mask_neighbors_in_radius(ONE_BAD, 2, ptrn)) == around


@pytest.mark.parametrize(("allnbrs", "n"), [(True, 9), (False, 5)])
def test_a_bad_pixel_takes_eight_or_four_neighbours_along(allnbrs, n):
    assert len(bad(masks.mask_neighbors(ONE_BAD, allnbrs))) == n


@pytest.mark.parametrize("ptrn", ["r", "c", "s"])
def test_a_radius_may_reach_beyond_the_panel_and_be_nothing(ptrn):
    assert not masks.mask_neighbors_in_radius(ONE_BAD, 20, "s").any()
    np.testing.assert_array_equal(masks.mask_neighbors_in_radius(ONE_BAD, 0, ptrn), ONE_BAD)


def test_regions_end_at_their_panel():
    panels = np.ones((2, 3, 4))
    panels[0, 2, 3] = 0
    assert masks.mask_neighbors(panels)[1].all()


def test_edges_of_each_panel_are_bad():
    edged = masks.mask_edges(np.ones((2, 5, 6)), mrows=1, mcols=2)
    assert edged.sum() == 2 * 3 * 2
    assert edged[:, 1:4, 2:4].all()
    assert not masks.mask_edges(np.ones((5, 6)), mrows=5).any()
    assert masks.mask_edges(np.ones((5, 6)), 0, 0).all()


# limits ----------------------------------------------------------------------------------------


def test_limits_are_so_many_spreads_around_the_mean():
    values = np.array([90.0, 110.0, np.nan, np.inf])
    assert masks.evaluate_limits(values, 2, 3) == (80.0, 130.0)
    assert masks.evaluate_limits(values, 0, 0, 2, 200) == (2, 200)
    assert masks.evaluate_limits(values, 99, 99, 5, 115) == (5, 115)


def test_robust_limits_are_not_moved_by_bad_pixels():
    values = np.random.default_rng(1).normal(10, 1, 10001)
    values[:100] = 900
    low, high = masks.evaluate_limits(values, 3, 3, robust=True)
    assert low == pytest.approx(7, abs=0.2)
    assert high == pytest.approx(13, abs=0.2)
    assert masks.evaluate_limits(values, 3, 3)[1] > 200


# doors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda: masks.merge_status(np.zeros(4, int)),
        lambda: masks.merge_status(np.zeros((2, 2))),
        lambda: masks.status_as_mask(np.zeros(4)),
        lambda: masks.status_as_mask([0, 1]),
        lambda: masks.mask_neighbors(np.ones(4)),
        lambda: masks.mask_edges(np.ones((4, 4)), mrows=5),
        lambda: masks.mask_edges(np.ones((4, 4)), mcols=-1),
        lambda: masks.mask_edges(np.ones(4)),
        lambda: masks.merge_masks(np.array(["a"]), np.ones(1)),
        lambda: masks.evaluate_limits(np.array([np.nan])),
    ],
)
def test_what_is_no_such_array_is_refused(call):
    with pytest.raises(BadArray) as error:
        call()
    assert isinstance(error.value, ValueError)


def test_questions_that_make_no_sense_are_refused():
    with pytest.raises(BadQuestion, match="rad is -1"):
        masks.mask_neighbors_in_radius(ONE_BAD, -1)
    with pytest.raises(BadQuestion, match="code is -1"):
        masks.status_as_mask(np.array([1]), -1)


@pytest.mark.parametrize(
    "call",
    [
        lambda a: masks.mask_edges(a),
        lambda a: masks.mask_neighbors(a),
        lambda a: masks.mask_neighbors_in_radius(a),
        lambda a: masks.merge_masks(a, a.ravel()),
        lambda a: masks.merge_masks(a),
        lambda a: masks.merge_masks_for_gain_index(a),
        lambda a: masks.merge_status(a),
        lambda a: masks.status_as_mask(a),
    ],
)
def test_what_is_given_stays_as_it_is(call):
    given = ONE_BAD.copy()
    given.flags.writeable = False
    made = call(given)
    assert not np.shares_memory(made, given)
    np.testing.assert_array_equal(given, ONE_BAD)
