"""Pictures are made, whole or not at all; without matplotlib a sentence says what to do."""

import sys
from datetime import UTC, datetime

import numpy as np
import pytest

from cdb import plots, shapes
from cdb.errors import BadFile, BadQuestion

SIGNATURES = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}
A = np.random.default_rng(5).normal(100, 3, (3, 2, 8, 12)).astype("f4")


@pytest.mark.parametrize("ending", plots.ENDINGS)
def test_a_difference_is_drawn(tmp_path, ending):
    path = tmp_path / f"picture{ending}"
    plots.difference(path, A, A + 1, dettype="jungfrau", title="pedestals")
    assert path.read_bytes().startswith(SIGNATURES[ending])
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "array",
    [
        np.array(5.0),
        np.arange(7),
        np.full((4, 6), np.nan),
        np.array([[1.0, np.inf], [np.nan, -np.inf]]),
        np.zeros((4, 6), "?"),
        np.zeros((2, 2, 3, 4, 5)),
        np.full((2, 2), 1e300),
    ],
)
def test_every_array_of_numbers_can_be_drawn(tmp_path, array):
    plots.difference(tmp_path / "picture.png", array, array)
    assert (tmp_path / "picture.png").stat().st_size > 1000


def test_panels_stand_side_by_side_and_gain_ranges_below():
    first, second, apart = plots._pictures(A, A + 2, "jungfrau")
    assert first.shape == second.shape == (3 * 8, 2 * 12)
    assert np.array_equal(first[8:16, 12:], A[1, 1])
    assert apart == pytest.approx(2, abs=1e-4)


def test_one_pixel_that_differs_is_seen_in_a_large_array(monkeypatch):
    monkeypatch.setattr(plots, "PIXELS", 50)
    a = np.zeros((301, 1000), "f4")
    b = a.copy()
    b[207, 511] = -9
    first, _, apart = plots._pictures(a, b, "")
    assert first.shape == apart.shape == (16, 50)
    assert np.argwhere(apart).tolist() == [[207 // 20, 511 // 20]]
    assert apart.min() == -9


def test_histograms_count_every_finite_pixel(monkeypatch):
    monkeypatch.setattr(shapes, "BLOCK", 7)
    b = A.copy()
    b[0, 0, 0, 0] = np.nan
    counts = [int(count.sum()) for count, _ in plots._histograms(A, b, "jungfrau")]
    assert counts == [A.size, A.size - 1, A.size - 1]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (np.zeros(3), np.zeros(4)),
        (np.array(["x"]), np.array(["y"])),
        (np.empty((0, 2)), np.empty((0, 2))),
    ],
)
def test_what_cannot_be_drawn_is_said(tmp_path, a, b):
    with pytest.raises(BadQuestion, match="drawn"):
        plots.difference(tmp_path / "picture.png", a, b)
    assert list(tmp_path.iterdir()) == []


def test_a_value_is_drawn_over_time(tmp_path):
    times = [datetime(2021, 10, n, tzinfo=UTC) for n in (1, 2, 3)]
    plots.over_time(tmp_path / "trend.png", times, [1.0, np.nan, 3.0], name="mean", title="peds")
    assert (tmp_path / "trend.png").read_bytes().startswith(SIGNATURES[".png"])


@pytest.mark.parametrize(
    ("name", "said"),
    [("picture", "no name of a picture"), ("x.jpg", "no name"), ("none/x.png", "no folder")],
)
def test_a_name_that_is_none_is_said_first(tmp_path, name, said):
    with pytest.raises(BadFile, match=said):
        plots.check(tmp_path / name)


def test_a_picture_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "x.png").mkdir()
    with pytest.raises(BadFile, match="cannot write"):
        plots.difference(tmp_path / "x.png", A, A)
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


def test_without_matplotlib_a_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(BadQuestion, match=r"pip install 'cdb\[plot\]'"):
        plots.check(tmp_path / "picture.png")
