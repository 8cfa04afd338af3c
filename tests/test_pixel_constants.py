"""Constants of pixels: shapes of today, dtypes of their types, defaults; nothing is wrapped."""

import numpy as np
import pytest

from cdb import pixel_constants
from cdb.errors import BadArray, BadName
from cdb.pixel_constants import cast, shaped


@pytest.mark.parametrize(
    ("dettype", "ctype", "stored", "today"),
    [
        ("cspad", "pedestals", (32, 185, 388), (32, 185, 388)),
        ("cspad", "pixel_mask", (4, 8, 185, 388), (32, 185, 388)),
        ("cspad", "pixel_rms", (5920, 388), (32, 185, 388)),
        ("cspad2x2", "pedestals", (185, 388, 2), (2, 185, 388)),
        ("cspad2x2", "pedestals", (2, 185, 388), (2, 185, 388)),
        ("cspad2x2", "pedestals", (71780, 2), (2, 185, 388)),
        ("pnccd", "pixel_gain", (4, 512, 512), (4, 512, 512)),
        ("epix100a", "pedestals", (704, 768), (704, 768)),
        ("epix100a", "pedestals", (1, 704, 768), (1, 704, 768)),
        ("epix10ka", "pedestals", (7, 352, 384), (7, 1, 352, 384)),
        ("Epix10kaQuad", "pixel_status", (7, 4, 352, 384), (7, 4, 352, 384)),
        ("epix10ka2M", "pixel_mask", (16, 352, 384), (16, 352, 384)),
        ("jungfrau", "pixel_gain", (3, 512, 1024), (3, 1, 512, 1024)),
        ("jungfrau", "pixel_mask", (2, 512, 1024), (2, 512, 1024)),
        ("opal1000", "pedestals", (100, 90), (100, 90)),
        ("epixhr", "pedestals", (3, 4, 5), (3, 4, 5)),
        ("jungfrau", "common_mode", (16,), (16,)),
    ],
)
def test_shapes_are_those_of_today(dettype, ctype, stored, today):
    values = np.arange(np.prod(stored), dtype="uint32").reshape(stored)
    made = shaped(values, dettype, ctype)
    assert made.shape == today
    assert made.flags.c_contiguous
    np.testing.assert_array_equal(np.sort(made, axis=None), values.ravel())


def test_the_last_axis_of_cspad2x2_counts_panels():
    values = np.zeros((185, 388, 2))
    values[3, 5, 1] = 7
    assert shaped(values, "cspad2x2", "pedestals")[1, 3, 5] == 7


@pytest.mark.parametrize(
    ("dettype", "shape"),
    [
        ("cspad", (32, 388, 185)), ("cspad", (31, 185, 388)), ("jungfrau", (2, 512, 1024)),
        ("jungfrau", (3, 1024, 512)), ("epix100a", (352, 384)), ("opal1000", (3, 100, 90)),
        ("epix10ka", (5, 1, 352, 384)), ("cspad2x2", (388, 185, 2)), ("opal1000", (90,)),
    ],
)  # fmt: skip
def test_other_pixels_are_refused_with_what_may_be(dettype, shape):
    with pytest.raises(BadArray, match=r"has the shape \(.*; it may be \("):
        shaped(np.zeros(shape), dettype, "pedestals")


@pytest.mark.parametrize(
    ("ctype", "values", "dtype"),
    [
        ("pedestals", [1.5, np.nan, np.inf], "float32"),
        ("pedestals", np.array([1, 2], "uint16"), "float32"),
        ("pixel_status", np.array([0, 65535], "uint64"), "uint16"),
        ("pixel_status", [0.0, 8.0], "uint16"),
        ("pixel_mask", np.array([True, False]), "uint8"),
        ("status_extra", np.array([2**40]), "uint64"),
        ("common_mode", [7, 2, 10], "float64"),
        ("dark_max", np.array([7], "int16"), "int16"),
    ],
)
def test_values_get_the_dtype_of_their_type(ctype, values, dtype):
    made = cast(np.asarray(values), ctype)
    assert made.dtype == dtype
    np.testing.assert_array_equal(made, values)


@pytest.mark.parametrize(
    ("ctype", "values", "says"),
    [
        ("pixel_mask", [1.0, 1.9], "holds 1.9, which uint8 cannot"),
        ("pixel_mask", [1, -1], "holds -1"),
        ("pixel_mask", [0, 256], "holds 256"),
        ("pixel_status", [3, -1], "holds -1, which uint16 cannot"),
        ("pixel_status", [65536], "holds 65536"),
        ("pixel_status", [np.nan], "holds nan"),
        ("status_extra", np.array([-1]), "holds -1, which uint64"),
        ("pedestals", [1e300], "which float32 cannot"),
        ("pedestals", np.array(["a"]), "no numbers"),
        ("pedestals", np.array([1j]), "no numbers"),
    ],
)
def test_values_that_do_not_fit_are_refused_not_wrapped(ctype, values, says):
    with pytest.raises(BadArray, match=says):
        cast(np.asarray(values), ctype)


def test_what_is_right_already_is_not_copied():
    values = np.zeros((3, 1, 512, 1024), "float32")
    assert cast(shaped(values, "jungfrau", "pedestals"), "pedestals") is values


@pytest.mark.parametrize(
    ("ctype", "dettype", "frame", "shape", "value"),
    [
        ("pedestals", "cspad", (32, 185, 388), (32, 185, 388), 0),
        ("pixel_rms", "epix10ka", (1, 352, 384), (7, 1, 352, 384), 1),
        ("pixel_gain", "jungfrau", (2, 512, 1024), (3, 2, 512, 1024), 1),
        ("pixel_mask", "jungfrau", (2, 512, 1024), (2, 512, 1024), 1),
        ("pixel_status", "opal1000", (10, 12), (10, 12), 0),
    ],
)
def test_defaults_are_those_of_the_table(ctype, dettype, frame, shape, value):
    made = pixel_constants.default(ctype, dettype, frame)
    assert (made.shape, made.dtype) == (shape, pixel_constants.DTYPES[ctype])
    assert (made == value).all()


@pytest.mark.parametrize(
    ("dettype", "ctype", "stored", "frame"),
    [
        ("jungfrau", "pedestals", (3, 8, 512, 1024), (8, 512, 1024)),
        ("jungfrau", "pixel_mask", (8, 512, 1024), (8, 512, 1024)),
        ("epix10ka", "pedestals", (7, 352, 384), (1, 352, 384)),
        ("cspad", "pixel_mask", (4, 8, 185, 388), (32, 185, 388)),
        ("opal", "pedestals", (10, 12), (10, 12)),
        ("opal", "pedestals", (3, 1, 10, 12), (1, 10, 12)),
        ("opal", "pedestals", (120,), None),
        ("cspad", "pedestals", (2, 3), None),
        ("jungfrau", "pedestals", (3, 10**9, 512, 1024), None),
    ],
)
def test_a_constant_tells_the_shape_of_a_frame(dettype, ctype, stored, frame):
    assert pixel_constants.frame_of(stored, dettype, ctype) == frame


def test_types_by_number_are_those_of_the_table():
    rows = [line.split() for line in pixel_constants.__doc__.splitlines()]
    told = {int(row[0]): row[1:3] for row in rows if row and row[0].isdigit()}
    for number, (ctype, dtype) in told.items():
        assert pixel_constants.ctype_of(number) == ctype
        assert ctype == "geometry" or pixel_constants.DTYPES[ctype] == dtype
    for wrong in (11, -1):
        with pytest.raises(BadName, match="0 to 10"):
            pixel_constants.ctype_of(wrong)
    with pytest.raises(BadName, match="has no default"):
        pixel_constants.default("notes", "cspad", (2, 2))
