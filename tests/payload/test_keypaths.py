"""The place of a value in data, in words."""

import pytest

from cdb.payload.keypaths import where


@pytest.mark.parametrize(
    ("path", "words"),
    [((), "data"), (("a", 3), "data['a'][3]"), (((1, "b"),), "data[(1, 'b')]")],
)
def test_a_place_reads_as_python(path, words):
    assert where(path) == words


def test_a_long_way_is_cut():
    assert where((0,) * 99) == "data[0][0][0][0][0][0][...]"
    assert len(where(("x" * 999,))) < 100
