"""What differs between arrays: by gain range and panel, against sums written out here."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from cdb import difference, shapes
from cdb.difference.arrays import of_arrays

RNG = np.random.default_rng(3)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(shapes, "BLOCK", 7)


def test_each_panel_of_each_gain_range_has_its_numbers(small_blocks):
    a = RNG.normal(100, 5, (3, 2, 4, 6)).astype("f4")
    b = a.copy()
    b[1, 0, 2, 3:] += 7
    b[2, 1] -= 0.5
    found = of_arrays(a, b, dettype="jungfrau")
    apart = b.astype("f8") - a.astype("f8")
    assert [(part.gain, part.panel) for part in found.parts] == [
        (gain, panel) for gain in ("g0", "g1", "g2") for panel in (0, 1)
    ]
    assert [part.changed for part in found.parts] == [0, 0, 3, 0, 0, 24]
    for part in found.parts:
        of_part = apart[("g0", "g1", "g2").index(part.gain), part.panel]
        assert part.numbers.mean == pytest.approx(of_part.mean())
        assert part.numbers.rms == pytest.approx(math.sqrt((of_part**2).mean()))
        assert (part.numbers.min, part.numbers.max) == (of_part.min(), of_part.max())
    assert found.total.changed == 27
    assert found.total.numbers.mean == pytest.approx(apart.mean())
    assert not found.equal


def test_differences_are_those_of_float64():
    found = of_arrays(np.array([[250, 1]], "u1"), np.array([[1, 250]], "u1"))
    assert (found.total.numbers.min, found.total.numbers.max) == (-249, 249)
    tiny = of_arrays(np.array([[16777216.0]], "f8"), np.array([[16777217.0]], "f8"))
    assert (tiny.total.changed, tiny.total.numbers.mean) == (1, 1.0)


def test_nan_is_equal_to_nan_and_takes_no_part_in_the_numbers():
    a = np.array([[np.nan, np.nan, 1.0, np.inf, np.inf, 2.0]])
    b = np.array([[np.nan, 5.00, np.nan, np.inf, -np.inf, 4.0]])
    found = of_arrays(a, b)
    assert found.total.changed == 4
    assert (found.total.gone, found.total.come) == (1, 1)
    assert (found.total.numbers.n, found.total.numbers.mean) == (1, 2.0)
    assert of_arrays(a, a.copy()).equal


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_changed_pixels_are_those_of_a_loop(data):
    shape = data.draw(npst.array_shapes(min_dims=0, max_dims=4, max_side=4))
    dtype = data.draw(st.sampled_from(["f4", "f8", "i2", "u8", "?", "c8", "S2", "M8[s]"]))
    # Equal values are rare where all may come.
    few = st.sampled_from([0.0, 1.0, float("nan"), float("inf")])
    elements = data.draw(st.sampled_from([None, few])) if dtype in ("f4", "f8") else None
    a, b = (data.draw(npst.arrays(dtype, shape, elements=elements)) for _ in range(2))
    found = of_arrays(a, b)

    def same(x, y):
        if dtype == "M8[s]":
            return x.tobytes() == y.tobytes()
        return x == y or (x != x and y != y)

    loop = sum(not same(x, y) for x, y in zip(a.ravel(), b.ravel(), strict=True))
    assert found.total.changed == loop
    assert found.equal == (loop == 0)
    assert found.total.size == a.size


def test_bits_gained_and_lost_are_counted_by_name(small_blocks):
    a, b = np.zeros((3, 2, 4, 6), "u8"), np.zeros((3, 2, 4, 6), "u8")
    a[0, 0, 0, :5] = 1
    b[0, 0, 0, 3:] = 1 | 64
    b[2, 1, 1, 1] = 2**63
    found = of_arrays(a, b, dettype="jungfrau", ctype="pixel_status")
    assert found.parts[0].gained == {0: 1, 6: 3}
    assert found.parts[0].lost == {0: 3}
    assert found.total.gained == {0: 1, 6: 3, 63: 1}
    assert found.bit_names[6] == "wrong gain bits"
    assert found.as_json()["total"]["bits_lost"] == {"0": 3}


def test_bits_of_another_width_are_compared_and_the_dtype_told():
    a, b = np.array([[1, 2]], "u2"), np.array([[1, 6]], "u8")
    found = of_arrays(a, b, ctype="pixel_status")
    assert found.dtypes == ("uint16", "uint64")
    assert found.total.gained == {2: 1}
    assert of_arrays(a, a.astype("u8"), ctype="pixel_status").total.changed == 0
    assert not of_arrays(a, a.astype("u8"), ctype="pixel_status").equal


def test_what_is_no_status_has_no_bits():
    values = np.array([[1, 2]])
    assert of_arrays(values, values + 1, ctype="pixel_max").bit_names is None
    assert of_arrays(values * 1.5, values * 2.0, ctype="pixel_status").bit_names is None


def test_another_shape_is_told_and_nothing_compared():
    found = of_arrays(np.zeros((2, 3)), np.zeros((3, 2)))
    assert (found.equal, found.compared) == (False, False)
    assert found.as_json()["shape"] == [[2, 3], [3, 2]]


def test_texts_and_numbers_are_not_compared():
    assert not of_arrays(np.array(["1"]), np.array([1])).compared


def test_structured_values_are_compared_by_their_bytes():
    a = np.zeros((2, 3), [("x", "f4"), ("y", "S0")])
    b = a.copy()
    b["x"][1, 1] = 2
    assert of_arrays(a, b).total.changed == 1
    assert of_arrays(a, b).total.numbers is None
    assert of_arrays(np.zeros(3, "S0"), np.zeros(3, "S0")).equal


def test_arrays_without_values_are_equal():
    found = of_arrays(np.empty((3, 0, 4, 6)), np.empty((3, 0, 4, 6)), dettype="jungfrau")
    assert found.equal
    assert found.compared


def test_the_axis_of_cspad2x2s_panels_is_the_last():
    a = np.zeros((185, 388, 2), "f4")
    b = a.copy()
    b[..., 1] = 3
    assert [part.changed for part in of_arrays(a, b, dettype="cspad2x2").parts] == [0, 185 * 388]


def test_memory_does_not_grow_with_the_arrays():
    a = np.broadcast_to(np.float32(3), (3, 16, 512, 1024))  # 100 MB that take 4 bytes
    b = np.broadcast_to(np.float32(5), a.shape)
    tracemalloc.start()
    found = difference.of(a, b, dettype="jungfrau")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found.total.changed, found.total.numbers.mean) == (a.size, 2.0)
    assert peak < 10 * 512 * 1024 * 8  # a few panels in float64


def test_a_panel_that_is_large_is_cut_too():
    a = np.broadcast_to(np.float32(3), (7680, 7680))
    tracemalloc.start()
    assert of_arrays(a, a).equal
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * shapes.BLOCK * 8
