"""Defaults and CrystFEL's form against psana 4.3.4, which starts once for all of it."""

from pathlib import Path

import numpy as np
import pytest

from cdb.geometry import crystfel, geom_file, tree
from cdb.geometry.defaults import named
from cdb.geometry.pixels import branches, coordinates, indexes, scale_size
from tests.geometry import programs

# What psana calls its own files.
PSANA = {
    "archon": "archon",
    "axis": "axis",
    "cspad": "cspad",
    "cspad2x2": "cspad2x2",
    "epix100a": "epix100a",
    "epix10kaquad-ued": "epix10kaquad",
    "epixhr1x4": "epixhr1x4-01",
    "epixhr2x2": "epixhr2x2",
    "epixhremu": "epixhr1x4-20",
    "epixm320": "epixm320",
    "epixuhr": "epixuhr",
    "epixuhr3x2-1": "epixuhr3x2-01",
    "epixuhr3x2-2": "epixuhr3x2-02",
    "jungfrau05m": "jungfrau05M",
    "jungfrau16m": "jungfrau16M",
    "jungfrau1m": "jungfrau1M",
    "jungfrau4m": "jungfrau4M",
    "pnccd": "pnccd",
}
CONVERTED = ["cspad", "epix10ka", "epix10ka2m", "epix10kaquad-ued", "jungfrau4m", "pnccd"]

PROGRAM = f"""
import sys
from pathlib import Path
import psana.pscalib.geometry as package
from psana.pscalib.geometry.UtilsConvert import geometry_to_crystfel

folder = Path(sys.argv[1])
theirs = Path(package.__file__).parent / "data"
for path in theirs.glob("geometry-def-*.data"):
    (folder / path.name).write_text(path.read_text())
for name in {CONVERTED!r}:
    geometry_to_crystfel(str(folder / f"{{name}}.data"), str(folder / f"{{name}}.geom"))
"""


def converted(name):
    """Return a geometry that psana's converter takes: of the Jungfrau, the first version."""
    text = tree.format(named(name))
    return tree.parse(text.replace("JUNGFRAU:V2", "JUNGFRAU:V1"))


@pytest.fixture(scope="module")
def psanas(tmp_path_factory):
    """A folder with psana's files, what it makes of them, and of ours."""
    folder = tmp_path_factory.mktemp("psana")
    for name in CONVERTED:
        (folder / f"{name}.data").write_text(tree.format(converted(name)))
    programs.run("psana", PROGRAM, folder)
    return folder


@pytest.mark.parametrize("name", sorted(PSANA))
def test_the_numbers_of_a_default_are_psanas(psanas, name):
    # That the same numbers place the same pixels is the matter of test_psana.py.
    text = (psanas / f"geometry-def-{PSANA[name]}.data").read_text()
    assert named(name).parts == tree.parse(text).parts


@pytest.mark.parametrize("name", CONVERTED)
def test_crystfels_form_is_that_of_psanas_converter(psanas, name):
    theirs = geom_file.parse((psanas / f"{name}.geom").read_text())
    ours = crystfel.from_geometry(converted(name), compat=True)
    assert [panel.name for panel in ours.panels] == [panel.name for panel in theirs.panels]
    for mine, psanas_own in zip(ours.panels, theirs.panels, strict=True):
        assert data_of(mine) == data_of(psanas_own)
        # It writes six digits after the point.
        assert mine.fs == pytest.approx(psanas_own.fs, abs=1e-6)
        assert mine.ss == pytest.approx(psanas_own.ss, abs=1e-6)
        assert mine.corner_x == pytest.approx(psanas_own.corner_x, abs=1e-6)
        assert mine.corner_y == pytest.approx(psanas_own.corner_y, abs=1e-6)
        assert ours.distance + mine.coffset == pytest.approx(psanas_own.coffset, abs=1e-6)


def data_of(panel):
    return panel.min_fs, panel.max_fs, panel.min_ss, panel.max_ss


@pytest.mark.parametrize("name", CONVERTED)
def test_a_file_of_psanas_converter_is_read(psanas, name):
    before, file = converted(name), geom_file.parse((psanas / f"{name}.geom").read_text())
    made = crystfel.to_geometry(file, sensor=before.parts[0].name, clen=0, compat=True)
    ours, theirs = (coordinates(branches(each)[-1]) for each in (before, made.geometry))
    apart = [np.abs(a.ravel() - b.ravel()).max() for a, b in zip(ours, theirs, strict=True)]
    # It rounds distances to whole um.
    assert max(*apart, made.off) < 1


# Rows and columns of an image; of LCLS-I's own files those of today's software.
SIZES = {
    "cspad": (1942, 1940),
    "cspad2x2": (454, 459),
    "epix100a": (709, 773),
    "epix10kaquad": (774, 790),
    "epix10kaquad-ued": (775, 793),
    "epix10ka2m": (1673, 1671),
    "jungfrau1m": (1064, 1030),
    "jungfrau4m": (2203, 2299),
    "pnccd": (1400, 1312),
}


@pytest.mark.parametrize(("name", "size"), SIZES.items(), ids=SIZES)
def test_the_image_of_a_default_has_its_size(name, size):
    top = branches(named(name))[-1]
    rows, cols = indexes(*coordinates(top)[:2], scale_size(top))
    assert (rows.max() + 1, cols.max() + 1) == size


def test_the_image_of_an_epix10ka2m_was_larger_in_lcls_i():
    top = branches(named("epix10ka2m"), generation="PSCalib")[-1]
    rows, cols = indexes(*coordinates(top)[:2], scale_size(top))
    assert (rows.max() + 1, cols.max() + 1) == (1674, 1672)


def test_an_old_geometry_of_a_jungfrau_is_our_default_but_for_the_version():
    file = Path(__file__).parents[3] / "shared" / "data" / "lcls1-calib"
    file /= "Jungfrau::CalibV1/CxiDs1.0:Jungfrau.0/geometry/0-end.data"
    if not file.exists():
        pytest.skip(f"there is no {file}")
    assert tree.parse(file.read_text()).parts == converted("jungfrau4m").parts
