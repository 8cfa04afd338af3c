"""What data look like, in a line, and what is suspicious in them."""

import numpy as np
import pytest

from cdb.payload import describe, warnings_about
from tests.payload.samples import POINT


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (np.array([1, 5], "uint8"), "uint8 (2,), 1 .. 5"),
        (np.array([0.1, -2], "float32"), "float32 (2,), -2.0 .. 0.1"),
        (np.array([1, np.nan, np.inf]), "float64 (3,), 1.0 .. 1.0, 1 NaN, 1 infinite"),
        (np.full(2, np.nan), "float64 (2,), 2 NaN"),
        (np.zeros((0, 3)), "float64 (0, 3)"),
        (np.array([True, False, True]), "bool (3,), 2 of 3 true"),
        (np.array([1j, np.nan]), "complex128 (2,), 1 NaN"),
        (
            np.array(["2021-10-01", "NaT"], "M8[D]"),
            "datetime64[D] (2,), 2021-10-01 .. 2021-10-01, 1 NaT",
        ),
        (np.zeros(2, "M8"), "datetime64 (2,)"),
        (np.zeros(2, POINT), "(x, n, name) (2,)"),
        (np.array(["a"]), "<U1 (1,)"),
        ("a\nb", "text, 2 lines, 3 characters"),
        ("", "text, 0 lines, 0 characters"),
        ({}, "dict, 0 keys"),
        ({"a\n": 1, 2: 3}, r"dict, 2 keys: 'a\n', 2"),
        ({str(n): n for n in range(99)}, "dict, 99 keys: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ..."),
        ([1, 2], "list, 2 items"),
        (b"abc", "bytes, 3"),
        (1.5, "float, 1.5"),
        (-(2**250), "int, an integer of 251 bits"),
    ],
)
def test_describes_data_in_a_line(data, words):
    assert describe(data) == words


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (np.zeros((0, 3)), "data is empty: its shape is (0, 3)"),
        (np.full((2, 2), np.nan), "data holds no finite value in shape (2, 2)"),
        (np.array([1, np.inf, np.nan]), "2 of the 3 values of data are NaN or infinite"),
        (np.array(["2021-10-01", "NaT"], "M8[D]"), "1 of the 2 values of data is NaT"),
        ({"a": [np.zeros(0)]}, "data['a'][0] is empty: its shape is (0,)"),
        ("", "the text is empty"),
    ],
)
def test_warns_about_what_is_empty_or_not_finite(data, words):
    assert warnings_about(data) == [words]


@pytest.mark.parametrize(
    "data", [np.zeros(3), np.zeros(3, "u1"), np.array(["a"]), "a", {"a": 1}, [], 5]
)
def test_does_not_warn_about_the_usual(data):
    assert warnings_about(data) == []
