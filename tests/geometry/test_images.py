"""Images from pixels, and pixels from images."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdb.errors import BadPayload
from cdb.geometry import (
    ImageIndex,
    convert_mask2d_to_ndarray,
    data2x2ToTwo2x1,
    img_from_pixel_arrays,
    two2x1ToData2x2,
)
from cdb.geometry.pixels import NOWHERE

ROWS = np.array([[0, 0, 1], [2, 0, 1]])
COLS = np.array([[0, 3, 1], [2, 3, 0]])
DATA = np.array([[1, 2, 3], [4, 5, 6]])


def naive(rows, cols, data, vbase, dtype):
    image = np.full((rows.max() + 1, cols.max() + 1), vbase, dtype=dtype)
    for row, col, value in zip(rows.ravel(), cols.ravel(), data.ravel(), strict=True):
        image[row, col] = value
    return image


@st.composite
def pixels_of_an_image(draw):
    n = draw(st.integers(1, 40))
    lines = st.lists(st.integers(0, 9), min_size=n, max_size=n)
    values = st.lists(st.integers(-1000, 1000), min_size=n, max_size=n)
    return [np.array(draw(numbers)) for numbers in (lines, lines, values)]


@given(pixels_of_an_image(), st.sampled_from(["f4", "f8", "i2"]), st.sampled_from([0, -1]))
def test_an_image_is_what_the_naive_loop_makes(pixels, dtype, vbase):
    rows, cols, data = pixels
    expected = naive(rows, cols, data, vbase, dtype)
    index = ImageIndex(rows.astype(np.uint64), cols.astype(np.uint64))
    for image in (
        index.assemble(data, dtype=dtype, vbase=vbase),
        img_from_pixel_arrays(rows, cols, data, dtype, vbase),
        index.assemble(data, vbase=vbase, out=np.full(index.shape, 77, dtype)),
    ):
        np.testing.assert_array_equal(image, expected)
        assert image.dtype == dtype


def test_of_pixels_in_one_place_the_last_is_seen():
    n = 100_000
    image = ImageIndex(np.zeros(n, int), np.zeros(n, int)).assemble(np.arange(n), dtype=int)
    assert image.tolist() == [[n - 1]]


def test_without_data_pixels_are_ones():
    image = img_from_pixel_arrays(ROWS, COLS, vbase=0.5)
    assert image.dtype == np.float32
    assert (image[0, 3], image[1, 3]) == (1, 0.5)


def test_pixels_that_fall_nowhere_are_left_out():
    cols = COLS.astype(np.uint64)
    cols[0, 1] = cols[1, 1] = NOWHERE
    index = ImageIndex(ROWS.astype(np.uint64), cols)
    image = index.assemble(DATA, vbase=-1)
    assert image.tolist() == [[1, -1, -1], [6, 3, -1], [-1, -1, 4]]
    assert index.values_of(image).tolist() == [[1, 0, 3], [4, 0, 6]]


def test_values_come_back_from_an_image():
    index = ImageIndex(ROWS, COLS)
    assert index.values_of(index.assemble(DATA)).tolist() == [[1, 5, 3], [4, 5, 6]]


def test_a_mask_comes_back_in_the_shape_of_the_pixels():
    mask = img_from_pixel_arrays(ROWS, COLS, DATA > 3, np.uint8)
    back = convert_mask2d_to_ndarray(mask, ROWS, COLS)
    assert (back.dtype, back.tolist()) == (np.uint8, [[0, 1, 0], [1, 1, 1]])
    flat = convert_mask2d_to_ndarray(mask, ROWS, COLS, dtype=bool, compat=True)
    assert flat.tolist() == [False, True, False, True, True, True]


def test_a_larger_mask_will_do():
    assert convert_mask2d_to_ndarray(np.ones((9, 9)), ROWS, COLS).all()


@pytest.mark.parametrize(
    ("action", "sentence"),
    [
        (lambda: img_from_pixel_arrays(ROWS, COLS[0]), r"rows \(2, 3\) and columns \(3,\) do not"),
        (lambda: img_from_pixel_arrays(ROWS, COLS, DATA[0]), r"\(3,\) do not fill the image"),
        (lambda: ImageIndex(ROWS, COLS.T), "do not belong together"),
        (lambda: ImageIndex([], []), "do not belong together"),
        (lambda: ImageIndex(ROWS - 1, COLS), "count from 0"),
        (lambda: ImageIndex(ROWS + 0.5, COLS), "are integers, not float64"),
        (lambda: ImageIndex(ROWS + 10**9, COLS + 10**9), "more than the 268435456"),
        (lambda: ImageIndex([NOWHERE], [NOWHERE]), "count from 0"),
        (lambda: ImageIndex(ROWS, COLS).assemble(DATA, out=np.zeros((3, 3))), "in one piece"),
        (lambda: ImageIndex(ROWS, COLS).values_of(np.zeros((2, 4))), "does not hold"),
        (
            lambda: img_from_pixel_arrays(ROWS, COLS, DATA, np.uint8, vbase=-1),
            "uint8 cannot hold vbase = -1",
        ),
        (
            lambda: ImageIndex(ROWS, COLS).assemble(
                DATA, vbase=np.nan, out=np.zeros((3, 4), np.int16)
            ),
            "int16 cannot hold vbase = nan",
        ),
        (lambda: data2x2ToTwo2x1(np.zeros((2, 185, 388))), r"are \(185, 388, 2\), not"),
        (lambda: two2x1ToData2x2(np.zeros((185, 388, 2))), r"are \(2, 185, 388\), not"),
    ],
)
def test_what_makes_no_image_is_told_in_one_sentence(action, sentence):
    with pytest.raises(BadPayload, match=sentence):
        action()


def test_data_of_a_cspad2x2_go_to_and_fro():
    data = np.arange(185 * 388 * 2).reshape(185, 388, 2)
    panels = data2x2ToTwo2x1(data)
    np.testing.assert_array_equal(panels[1], data[..., 1])
    np.testing.assert_array_equal(two2x1ToData2x2(panels), data)
    np.testing.assert_array_equal(two2x1ToData2x2(panels.reshape(370, 388)), data)
