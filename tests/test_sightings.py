"""Where a detector was seen: in the database, and in trees."""

from pathlib import Path

import pytest

import cdb
from cdb.errors import BadFile
from cdb.sightings import in_database, in_tree, source_of, trees_below

SOURCE = "CxiDs1.0:Cspad.0"


def file_at(root: Path, *parts: str) -> None:
    path = root.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("1 2\n")


@pytest.fixture
def root(tmp_path):
    """A root with the trees of three experiments."""
    for parts in (
        ("CXI", "cxi01516", "calib", "CsPad::CalibV1", SOURCE, "pedestals", "10-20.data"),
        ("CXI", "cxi01516", "calib", "CsPad::CalibV1", SOURCE, "pedestals", "0-end.data"),
        ("CXI", "cxi01516", "calib", "CsPad::CalibV1", SOURCE, "pedestals", "x-y.data"),
        ("CXI", "cxi01516", "calib", "CsPad::CalibV1", SOURCE, "pixel_rms", "0-end.data"),
        ("CXI", "cxi02917", "calib", "CsPad2x2::CalibV1", "CxiSc1.0:Cspad2x2.0", "pedestals",
         "3-end.data"),
        ("MFX", "mfx00616", "calib", "Jungfrau::CalibV1", "MfxEndstation.0:Jungfrau.0",
         "pedestals", "8-end.data"),
        ("MFX", "mfx00616", "xtc", "calib", "Jungfrau::CalibV1", SOURCE, "pedestals", "1-2.data"),
    ):  # fmt: skip
        file_at(tmp_path, *parts)
    return tmp_path


def test_trees_are_found_below_any_level(root):
    calib = root / "CXI" / "cxi01516" / "calib"
    assert len(trees_below(root)) == 3
    assert len(trees_below(root / "CXI")) == 2
    assert trees_below(calib.parent) == trees_below(calib) == [calib]
    with pytest.raises(BadFile, match="there is no folder"):
        trees_below(root / "nothing")


def test_what_a_tree_has(root):
    skipped = []
    first, second = in_tree(root / "CXI" / "cxi01516" / "calib", skipped.append)
    assert (first.experiment, first.detector, first.ctype) == ("cxi01516", SOURCE, "pedestals")
    assert first.longname == f"cspad_0001_{SOURCE}"
    assert first.runs == ("0-end", "10-20")
    assert second.ctype == "pixel_rms"
    assert len(skipped) == 1


@pytest.mark.parametrize(
    ("detector", "instrument", "n"),
    [("cspad", None, 3), ("cspad.", "cxi", 2), ("cspad_0001", None, 2), ("jungfrau", "MFX", 1),
     ("jungfrau", "CXI", 0), (None, "CXI", 3)],
)  # fmt: skip
def test_sightings_are_chosen_by_detector_and_instrument(root, detector, instrument, n):
    seen = [one for tree in trees_below(root) for one in in_tree(tree, lambda _: None)]
    assert len([s for s in seen if s.fits(detector=detector, instrument=instrument)]) == n


def test_what_a_database_has():
    with cdb.open("memory://") as db:
        for run, run_end in ((5, "end"), (5, 7), (2, 3)):
            db.add("text", detector=SOURCE, experiment="cxi01516", ctype="notes", run=run,
                   run_end=run_end)  # fmt: skip
        db.add("text", detector="jungfrau_1-2-3", experiment="mfx00616", ctype="notes", run=8)
        cspad, jungfrau = in_database(db)
        assert (cspad.detector, cspad.runs) == (SOURCE, ("2-3", "5-7", "5-end"))
        assert (jungfrau.detector, jungfrau.longname) == ("jungfrau_000001", "jungfrau_1-2-3")
        assert [one.experiment for one in in_database(db, "CSPAD")] == ["cxi01516"]


def test_a_source_is_the_end_of_a_long_name():
    assert source_of(f"cspad_{SOURCE}") == SOURCE
    assert source_of("epix10ka_1-2_3-4") is None
