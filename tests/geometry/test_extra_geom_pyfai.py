"""What EXtra-geom and pyFAI read of our files, and we of theirs; they start once for all of it."""

import numpy as np
import pytest

from cdb.errors import BadFile, BadQuestion
from cdb.geometry import crystfel, geom_file, lpd, pyfai, tree
from cdb.geometry.defaults import named
from cdb.geometry.pixels import branches, panel_coordinates
from cdb.geometry.tree import Geometry, Part
from tests.geometry import programs

h5py = pytest.importorskip("h5py", reason="NeXus files need h5py")

OURS = {
    "agipd": "AGIPD_1MGeometry",
    "epix100a": "Epix100Geometry",
    "epix10ka": "Epix10KGeometry",
    "jungfrau1m": "JUNGFRAUGeometry",
    "jungfrau4m": "JUNGFRAUGeometry",
}
# With the panels that we read of each.
THEIRS = {
    "AGIPD_1MGeometry": "MTRX:V2:64:128:200:200",
    "AGIPD_500K2GGeometry": "MTRX:V2:64:128:200:200",
    "Epix100Geometry": "EPIX100:V1",
    "JUNGFRAUGeometry": "JUNGFRAU:V1",
    "LPD_1MGeometry": "MTRX:V2:32:128:500:500",
}
PYFAI = ["cspad", "epix10kaquad-ued", "jungfrau1m", "pnccd"]
# So many pixels are passed over for one that is compared.
STRIDE = 61

PROGRAM = f"""
import sys
from pathlib import Path
import extra_geom
import numpy as np
from pyFAI import load

folder = Path(sys.argv[1])
for name, kind in {OURS!r}.items():
    read = getattr(extra_geom, kind).from_crystfel_geom(folder / f"{{name}}.geom")
    np.save(folder / f"{{name}}.npy", read.get_pixel_positions())
for kind in {list(THEIRS)!r}:
    example = getattr(extra_geom, kind).example()
    example.write_crystfel_geom(folder / f"{{kind}}.geom", clen=0.5, photon_energy=9000)
    np.save(folder / f"{{kind}}.npy", example.get_pixel_positions())
lpd = extra_geom.LPD_1MGeometry.example()
lpd.to_h5_file_and_quad_positions(folder / "lpd.h5")
for name in {PYFAI!r}:
    poni = load(str(folder / f"{{name}}.poni"))
    shape = poni.detector.shape
    rows, cols = np.unravel_index(np.arange(0, shape[0] * shape[1], {STRIDE}), shape)
    places = poni.calc_pos_zyx(d1=rows, d2=cols, corners=False)
    np.savez(
        folder / f"{{name}}.npz",
        places=np.stack(places),
        two_theta=poni.center_array(shape, unit="2th_rad")[rows, cols],
        bad=poni.detector.mask.sum(),
    )
"""


def agipd():
    """Return a camera as large as an AGIPD 1M: 16 panels of 8 tiles, each of them askew."""
    rng = np.random.default_rng(1)
    name = "MTRX:V2:64:128:200:200"
    tiles = (
        Part("CAMERA", 0, name, n, *rng.normal(0, 1e5, 3), 90, 180, 0, *rng.normal(0, 1, 3))
        for n in range(128)
    )
    return Geometry((), (*tiles, Part("IP", 0, "CAMERA", 0, 0, 0, -3e5, 90, 0, 0, 0, 0, 0)))


def geometry_of(name):
    """Return a geometry whose pixels all stand on the grid of their ASIC."""
    if name == "agipd":
        return agipd()
    return tree.parse(tree.format(named(name)).replace("JUNGFRAU:V2", "JUNGFRAU:V1"))


def places_of(geometry, *, wide_centers=False):
    """Return the places of all pixels in the laboratory, (panels, rows, cols, 3) [m]."""
    top = branches(geometry, wide_centers=wide_centers)[-1]
    return np.stack(panel_coordinates(top, frame=1), axis=-1) / 1e6


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with our files, theirs, and where they have the pixels of both."""
    folder = tmp_path_factory.mktemp("forms")
    for name in OURS:
        text = geom_file.format(crystfel.from_geometry(geometry_of(name)))
        (folder / f"{name}.geom").write_text(text)
    for name in PYFAI:
        path, mask = folder / f"{name}.h5", np.ones(places_of(named(name)).shape[:-1])
        mask[0, :3, :5] = 0
        distance = pyfai.write(path, named(name), mask=mask)
        (folder / f"{name}.poni").write_text(pyfai.poni(path, distance, wavelength=1e-10))
    programs.run("geometry", PROGRAM, folder)
    return folder


@pytest.mark.parametrize("name", OURS)
def test_extra_geom_reads_our_file(folder, name):
    theirs, ours = np.load(folder / f"{name}.npy"), places_of(geometry_of(name))
    ours = ours.reshape(theirs.shape)
    # It has the place of the detector along the beam without the distance.
    file = geom_file.parse((folder / f"{name}.geom").read_text())
    np.testing.assert_allclose(theirs + [0, 0, file.distance], ours, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", THEIRS)
def test_a_file_of_extra_geom_is_read(folder, kind):
    file = geom_file.parse((folder / f"{kind}.geom").read_text())
    # The later version would have the pixels at the gaps at their centres.
    made = crystfel.to_geometry(file, sensor="JUNGFRAU:V1" if "JUNGFRAU" in kind else None)
    assert made.geometry.parts[0].name == THEIRS[kind]
    assert made.off < crystfel.BOUND
    theirs, ours = np.load(folder / f"{kind}.npy"), places_of(made.geometry)
    if kind == "LPD_1MGeometry":
        theirs = tiles_of_lpd(theirs)
    ours = ours.reshape(theirs.shape)
    np.testing.assert_allclose(ours, theirs + [0, 0, 0.5], rtol=0, atol=1e-12)


def tiles_of_lpd(places):
    """Return the places tile by tile: two stand side by side in the data."""
    tiles = places.reshape(16, 8, 32, 2, 128, 3)
    return np.moveaxis(tiles, 3, 2)


@pytest.mark.parametrize("name", PYFAI)
def test_pyfai_reads_our_file(folder, name):
    theirs = np.load(folder / f"{name}.npz")
    x, y, z = places_of(named(name), wide_centers=True).reshape(-1, 3)[::STRIDE].T
    # It keeps corners in float32.
    np.testing.assert_allclose(theirs["places"], [z, y, -x], rtol=0, atol=5e-8)
    two_theta = np.arctan2(np.hypot(x, y), z)
    np.testing.assert_allclose(theirs["two_theta"], two_theta, rtol=0, atol=1e-6)
    assert theirs["bad"] == 15


def test_a_file_of_the_lpd_is_read(folder):
    theirs = tiles_of_lpd(np.load(folder / "LPD_1MGeometry.npy"))
    geometry = lpd.read(folder / "lpd.h5", distance=0.2)
    assert tree.parse(tree.format(geometry)) == geometry
    ours = places_of(geometry).reshape(theirs.shape)
    np.testing.assert_allclose(ours, theirs + [0, 0, 0.2], rtol=0, atol=1e-12)


def test_quadrants_of_the_lpd_may_be_given(folder, tmp_path):
    with h5py.File(folder / "lpd.h5") as old, h5py.File(tmp_path / "lpd.h5", "w") as new:
        given = [tuple(old[f"Q{n}/Position"][:2]) for n in range(1, 5)]
        for n in range(1, 5):
            old.copy(f"Q{n}", new)
            del new[f"Q{n}/Position"]
    parts = lpd.read(tmp_path / "lpd.h5", given).parts
    assert parts == lpd.read(folder / "lpd.h5").parts
    with pytest.raises(BadFile, match=r"lpd\.h5 has no place of Q1; give the quadrants"):
        lpd.read(tmp_path / "lpd.h5")
    with pytest.raises(BadQuestion, match="quadrants are 4 pairs of x and y, not"):
        lpd.read(tmp_path / "lpd.h5", given[:3])


def test_what_is_no_file_of_the_lpd_is_told(tmp_path):
    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(BadFile, match=r"text\.h5 cannot be read as HDF5"):
        lpd.read(tmp_path / "text.h5")
    with h5py.File(tmp_path / "odd.h5", "w") as file:
        file["Q1/Position"] = "here"
    with pytest.raises(BadFile, match="no place of Q1"):
        lpd.read(tmp_path / "odd.h5")
