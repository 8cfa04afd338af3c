"""What differs between dicts and lists: keys."""

import numpy as np
import pytest

from cdb import difference
from cdb.difference import KindDifference


def changes(a, b):
    return [(one.key, one.what) for one in difference.of(a, b).changes]


def test_keys_are_named_wherever_they_are():
    a = {"same": 1, "gain": {"high": [1, 2], "low": 3}, "gone": None}
    b = {"same": 1, "gain": {"high": [1, 5, 6], "low": 3}, "come": None}
    assert changes(a, b) == [
        ("gain.high[1]", "changed"),
        ("gain.high[2]", "added"),
        ("gone", "removed"),
        ("come", "added"),
    ]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (1, 1.0),
        (1, True),
        ([1], (1,)),
        ({"a": 1}, {"a": "1"}),
        (b"x", b"y"),
        ({1: "x"}, {2: "x"}),
        ({}, []),
        (None, 0),
        (np.float32(1), np.float64(1)),
    ],
)
def test_values_differ_in_type_too(a, b):
    assert not difference.of(a, b).equal


@pytest.mark.parametrize(
    "value",
    [{"a": [1, {"b": (2, None)}]}, float("nan"), {"x": np.array([1.0, np.nan])}, [], {1: b"x"}],
)
def test_what_is_the_same_is_equal(value):
    assert difference.of(value, value).equal


def test_arrays_inside_tell_how_many_values_changed():
    [change] = difference.of({"x": np.zeros(3)}, {"x": np.array([0.0, 1, 2])}).changes
    assert (change.key, change.what) == ("x", "changed")
    assert change.after.endswith("2 changed")
    [change] = difference.of({"x": np.zeros(3)}, {"x": np.zeros(4)}).changes
    assert "changed" not in change.after


def test_deep_values_take_no_stack():
    a, b = 1, 2
    for _ in range(5000):
        a, b = [a], [b]
    assert [change.what for change in difference.of(a, b).changes] == ["changed"]


@pytest.mark.parametrize(
    ("a", "b"), [(np.zeros(2), "text"), ("text", {"a": 1}), ([0.0, 0.0], np.zeros(2))]
)
def test_an_array_is_no_text(a, b):
    found = difference.of(a, b)
    assert isinstance(found, KindDifference)
    assert not found.equal
    assert found.described[0] != found.described[1]
