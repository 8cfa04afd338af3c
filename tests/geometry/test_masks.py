"""Masks of sensor types, by the words of both generations."""

import itertools

import numpy as np
import pytest

from cdb.geometry.masks import segment_mask
from cdb.geometry.segments import segment

NOTHING = {"edge_rows": 0, "edge_cols": 0, "center_rows": 0, "center_cols": 0}


def masked_rows_and_cols(mask):
    return (
        np.flatnonzero((mask == 0).all(axis=1)).tolist(),
        np.flatnonzero((mask == 0).all(axis=0)).tolist(),
    )


@pytest.mark.parametrize(
    ("name", "rows", "cols"),
    [
        ("EPIX10KA:V1", [0, 175, 176, 351], [0, 191, 192, 383]),
        ("JUNGFRAU:V2", [0, 255, 256, 511], [0, 255, 256, 511, 512, 767, 768, 1023]),
        ("EPIXUHR3X2:V1", [0, 167, 168, 335], [0, 191, 192, 383, 384, 575]),
        ("EPIXHR1X4:V1", [0, 143], [0, 767]),
        ("PNCCD:V1", [0, 511], [0, 511]),
        ("MTRX:8:9:50:50", [0, 7], [0, 8]),
        ("MTRX:V2:8:9:50:50", [], []),
        ("EPIXMASIC:V1", [], []),
    ],
)
def test_edges_and_borders_are_masked_by_default(name, rows, cols):
    mask = segment_mask(segment(name))
    assert mask.dtype == np.uint8
    assert masked_rows_and_cols(mask) == (rows, cols)
    assert (mask == 0).sum() == len(rows) * mask.shape[1] + len(cols) * (mask.shape[0] - len(rows))


def test_widths_stand_for_rows_and_columns_alike():
    mask = segment_mask(segment("EPIX10KA:V1"), width=2, wcenter=3)
    rows, cols = masked_rows_and_cols(mask)
    assert rows == [0, 1, 173, 174, 175, 176, 177, 178, 350, 351]
    assert cols == [0, 1, 189, 190, 191, 192, 193, 194, 382, 383]


def test_each_kind_of_line_is_asked_for_by_itself():
    mask = segment_mask(segment("EPIXHR1X4:V1"), **NOTHING | {"center_cols": 1})
    assert masked_rows_and_cols(mask) == ([], [191, 192, 383, 384, 575, 576])


@pytest.mark.parametrize("width", [0, 1000])
def test_any_width_can_be_asked_for(width):
    mask = segment_mask(segment("MTRX:8:9:50:50"), edge_rows=width, edge_cols=0)
    assert mask.any() == (width == 0)


@pytest.mark.parametrize(
    ("mbits", "first", "second", "per_pixel"),
    [
        (4, [(0, 0)], [(10, 10)], 1),
        (8, [(0, 0), (0, 1), (1, 0)], [(9, 10), (10, 9), (10, 10), (10, 11), (11, 10)], 5),
        (16, [(0, 0), (0, 1), (1, 0), (1, 1)], [*itertools.product((9, 10, 11), repeat=2)], 9),
    ],
)  # fmt: skip
def test_pixels_that_are_not_bonded_are_masked_with_their_neighbours(
    mbits, first, second, per_pixel
):
    masked = np.argwhere(segment_mask(segment("SENS2X1:V1"), mbits=mbits, **NOTHING) == 0)
    places = {(int(row), int(col)) for row, col in masked}
    assert {place for place in places if max(place) < 5} == set(first)
    assert {place for place in places if min(place) > 5 and max(place) < 15} == set(second)
    assert {(row, col + 194) for row, col in first} <= places
    assert len(places) == 2 * (len(first) + 18 * per_pixel)


def test_of_lcls1_the_bits_say_what_is_masked():
    kind = segment("EPIX10KA:V1", generation="PSCalib")
    assert masked_rows_and_cols(segment_mask(kind, mbits=1)) == ([0, 351], [0, 383])
    assert masked_rows_and_cols(segment_mask(kind, mbits=2, wcenter=2)) == (
        [174, 175, 176, 177], [190, 191, 192, 193]
    )  # fmt: skip
    assert segment_mask(kind, mbits=4).all()


def test_of_lcls1_the_borders_of_jungfrau_are_as_wide_as_its_edges():
    kind = segment("JUNGFRAU:V1", generation="PSCalib")
    rows, _ = masked_rows_and_cols(segment_mask(kind, mbits=3, width=2))
    assert rows == [0, 1, 254, 255, 256, 257, 510, 511]


def test_columns_that_do_not_exist_are_masked():
    mask = segment_mask(segment("ARCHON:V1", shape=(30, 4800)), **NOTHING)
    assert (mask[0].reshape(16, 300).sum(axis=1) == 264).all()


def test_a_mask_has_the_dtype_that_is_asked_for():
    assert segment_mask(segment("PNCCD:V1"), dtype=bool).dtype == bool
