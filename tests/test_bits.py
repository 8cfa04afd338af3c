"""Bits of bad pixels: their names, and which pixels are bad."""

import numpy as np
import pytest

from cdb import bits
from cdb.shapes import MASKS


@pytest.mark.parametrize(
    ("dettype", "ctype", "bit", "name"),
    [
        ("epix10ka", "pixel_status", 0, "rms above limit"),
        ("epix10ka", "pixel_status", 5, "average below limit"),
        ("jungfrau", "pixel_status", 6, "wrong gain bits"),
        ("cspad", "status_extra", 9, "maximum high"),
        ("cspad", "status_data", 4, "residual low"),
        ("epix10ka", "pixel_mask", 0, "good"),
        ("agipd", "BadPixelsDark", 31, "USER2"),
    ],
)
def test_bits_have_the_names_of_the_references(dettype, ctype, bit, name):
    assert bits.has_bits(ctype)
    assert bits.names_of(dettype, ctype)[bit] == name


def test_what_holds_no_bits_has_no_names():
    assert not bits.has_bits("pedestals")
    assert bits.names_of("jungfrau", "pedestals") == {}


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "i4", ">i8", "u8", "?"])
def test_bits_are_the_same_in_every_dtype(dtype):
    values = np.array([[0, 1], [1, 0]]).astype(dtype)
    assert bits.as_bits(values).tolist() == [[0, 1], [1, 0]]


def test_the_highest_bit_is_kept():
    assert bits.as_bits(np.array([2**63], "u8")).tolist() == [2**63]
    assert bits.as_bits(np.array([-(2**63)], "i8")).tolist() == [2**63]
    assert bits.as_bits(np.arange(6, dtype="u2")[::2]).tolist() == [0, 2, 4]


def test_bad_is_what_the_type_says():
    values = np.array([0, 0, 1, 64])
    assert bits.count_bad(values, "pixel_status") == 2
    assert [bits.count_bad(values, mask) for mask in MASKS] == [2, 2]
    assert bits.count_bad(values, "pixel_max") == 0
    assert bits.count_bad(np.array([1, np.nan, np.inf, 0]), "pedestals") == 2
