"""Geometries as pyFAI's; that pyFAI reads them is tested with pyFAI itself."""

import numpy as np
import pytest

from cdb.errors import BadFile, BadPayload, BadQuestion
from cdb.geometry import pyfai, tree
from cdb.geometry.defaults import named

h5py = pytest.importorskip("h5py")

DETECTOR = "entry_0000/pyFAI/detector"


def test_a_pixel_has_its_corners_around_its_centre():
    geometry = tree.parse("IP 0 MTRX:V2:3:2:100:50 0  0 0 -200000  90 0 0  0 0 0")
    (corners,) = pyfai.corners(geometry, distance=0.2)
    assert (corners.shape, corners.dtype) == ((3, 2, 4, 3), np.float32)
    np.testing.assert_allclose(corners[..., 0], 0, atol=1e-9)
    # The rows run down, and along the beam one sees the columns from left to right.
    up, right = corners[0, 0, :, 1], corners[0, 0, :, 2]
    np.testing.assert_allclose(up, [150e-6, 50e-6, 50e-6, 150e-6], atol=1e-9)
    np.testing.assert_allclose(right, [-50e-6, -50e-6, 0, 0], atol=1e-9)


def test_wide_pixels_are_wide():
    (corners,) = pyfai.corners(named("epix10ka"), distance=1)
    widths = np.linalg.norm(corners[0, :, 3] - corners[0, :, 0], axis=-1)
    assert sorted(set(np.round(widths * 1e6).tolist())) == [100, 225]
    # No pixel overlaps the next, and nothing is between them.
    np.testing.assert_allclose(corners[:, 1:, :2], corners[:, :-1, [3, 2]], atol=1e-8)


def test_the_distance_is_that_of_the_panels():
    geometry = tree.place(named("jungfrau1m"), "JUNGFRAU:V2", 0, z0=-200.0)
    assert pyfai.distance_of(geometry) == pytest.approx(0.1001)


def test_a_file_holds_what_pyfai_asks_for(tmp_path):
    mask = np.ones((2, 512, 1024))
    mask[1, 2, 3] = 0
    assert pyfai.write(tmp_path / "jf.h5", named("jungfrau1m"), mask=mask) == pytest.approx(0.1)
    with h5py.File(tmp_path / "jf.h5") as file:
        detector = file[DETECTOR]
        assert detector["pixel_corners"].shape == (1024, 1024, 4, 3)
        assert detector["shape"][()].tolist() == [1024, 1024]
        np.testing.assert_array_equal(np.argwhere(detector["mask"][()]), [[514, 3]])
    assert [path.name for path in tmp_path.iterdir()] == ["jf.h5"]


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path, monkeypatch):
    def broken(*args, **options):
        yield np.zeros((352, 384, 4, 3), dtype=np.float32)
        raise OSError("no space left")

    (tmp_path / "old.h5").write_text("old")
    monkeypatch.setattr(pyfai, "corners", broken)
    with pytest.raises(BadFile, match=r"cannot write .*old\.h5: no space left"):
        pyfai.write(tmp_path / "old.h5", named("epix10ka2m"))
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


MIXED = """\
IP 0 EPIX100:V1 0  0 0 0  0 0 0  0 0 0
IP 0 EPIX10KA:V1 1  0 0 0  0 0 0  0 0 0
"""


@pytest.mark.parametrize(
    ("geometry", "options", "error", "sentence"),
    [
        (tree.parse(MIXED), {}, BadFile, "do not stack"),
        (named("epix10ka"), {"mask": np.ones(3)}, BadPayload, r"\(3,\) does not hold"),
        (named("epix10ka"), {"name": "a/b"}, BadQuestion, "'a/b' cannot be the name"),
        (named("epix10ka"), {"name": ".."}, BadQuestion, "'..' cannot be the name"),
    ],
)
def test_what_pyfai_cannot_have_is_told(tmp_path, geometry, options, error, sentence):
    with pytest.raises(error, match=sentence):
        pyfai.write(tmp_path / "no.h5", geometry, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("wavelength", [0, -1e-10, float("nan")])
def test_a_wavelength_is_above_0(wavelength):
    with pytest.raises(BadQuestion, match="a wavelength is above 0 m"):
        pyfai.poni("camera.h5", 0.1, wavelength=wavelength)
