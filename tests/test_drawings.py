"""Pictures of geometries and surveys; images as files."""

import sys
from pathlib import Path

import numpy as np
import pytest

from cdb import drawings
from cdb.errors import BadFile, BadQuestion
from cdb.geometry import defaults, metrology, survey_check
from cdb.geometry.outlines import outlines
from cdb.geometry.survey import parse
from tests.geometry.surveys import camera, epix_survey

SURVEY = parse(epix_survey(camera()))
IMAGE = np.arange(12, dtype="f4").reshape(3, 4)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_panels_are_drawn(folder):
    drawn = outlines(defaults.named("epix10kaquad"))
    drawings.panels("a.svg", drawn, title="quad")
    text = Path("a.svg").read_text()
    assert text.startswith("<?xml")
    drawings.panels("b.png", drawn, image=IMAGE, origin=(-1e4, -2e4), pixel_size=1e4)
    assert Path("b.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in folder.iterdir()) == ["a.svg", "b.png"]


def test_residuals_and_surveys_are_drawn(folder):
    drawings.residuals("r.png", metrology.epix10ka2m(SURVEY), title="om.txt")
    drawings.survey("s.png", survey_check.check(SURVEY), outlines(defaults.named("epix10ka2m")))
    assert {path.read_bytes()[:4] for path in folder.iterdir()} == {b"\x89PNG"}


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f4"])
def test_a_tiff_keeps_values_exactly(folder, dtype):
    from PIL import Image

    drawings.write_image("a.tiff", IMAGE.astype(dtype))
    with Image.open("a.tiff") as read:
        assert np.array_equal(np.asarray(read), IMAGE.astype(dtype))


def test_other_types_become_float32_in_a_tiff(folder):
    from PIL import Image

    drawings.write_image("a.tif", IMAGE.astype("f8") + 0.25)
    with Image.open("a.tif") as read:
        assert np.array_equal(np.asarray(read), IMAGE + 0.25)


def test_npy_is_exact_and_png_has_a_pixel_each(folder):
    from PIL import Image

    drawings.write_image("a.npy", IMAGE)
    assert np.array_equal(np.load("a.npy"), IMAGE)
    drawings.write_image("a.png", np.where(IMAGE > 5, IMAGE, np.nan))
    with Image.open("a.png") as read:
        assert read.size == (4, 3)


@pytest.mark.parametrize(
    ("path", "sentence"),
    [("a.jpg", "give one that ends in .npy, .png"), ("no/a.png", "there is no folder no")],
)
def test_what_cannot_be_written_is_refused_first(folder, path, sentence):
    with pytest.raises(BadFile, match=sentence):
        drawings.write_image(path, IMAGE)


def test_a_failed_write_leaves_nothing(folder, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(BadFile, match="cannot write a.npy: No space left"):
        drawings.write_image("a.npy", IMAGE)
    assert [*folder.iterdir()] == []


def test_values_need_no_matplotlib_and_pictures_do(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    drawings.write_image("a.npy", IMAGE)
    with pytest.raises(BadQuestion, match=r"pip install 'cdb\[plot\]'"):
        drawings.write_image("a.png", IMAGE)


def test_limits_leave_wild_values_out():
    low, high = drawings.limits(np.append(np.arange(1000.0), [1e9, np.nan]))
    assert (low < 10, 990 < high < 1010) == (True, True)
    assert drawings.limits(np.full(3, np.nan)) == (0, 1)
    assert drawings.limits(np.full(3, 7)) == (6.5, 7.5)
