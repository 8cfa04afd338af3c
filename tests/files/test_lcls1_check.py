"""What `check` says of a tree: each fault once, nothing of a good one."""

import numpy as np
import pytest

from cdb.errors import NotFound
from cdb.files import text, xtcav
from cdb.files.lcls1_check import check
from tests.conftest import DATA
from tests.files.trees import CSPAD, EPIX, XTCAV, fill

OPAL = "CxiEnd.0:Opal1000.0"


@pytest.fixture
def calib(tmp_path):
    path = tmp_path / "calib"
    path.mkdir()
    return path


def said(calib, **options):
    """Return kind, name and message of what is wrong."""
    return [(one.kind, one.path.name, one.message) for one in check(calib, **options) if one.wrong]


def test_nothing_is_said_of_the_real_tree():
    assert list(check(DATA / "lcls1-calib")) == []


def test_nothing_is_said_of_nested_and_following_ranges(calib):
    fill(calib, OPAL, "pixel_rms", "0-end.data", "5-20.data", "8-12.data", "10-10.data")
    fill(calib, OPAL, "pedestals", "0-end.data", "5-end.data", "7-end.data")
    fill(calib, OPAL, "pixel_gain", "0-4.data", "5-9.data")
    assert said(calib, read=False) == []


@pytest.mark.parametrize(
    ("names", "kind", "name", "words"),
    [
        (["1-end.data", "7-END.data"], "name", "7-END.data", "names are"),
        (["1-end.data", "7-20000.data"], "name", "7-20000.data", "above 9999"),
        (["1-end.data", "20-10.data"], "name", "20-10.data", "ends before it begins"),
        (["1-9999.data", "1-end.data"], "spelling", "1-9999.data", "1-end.data holds for the same"),
        (["4-6.data", "5-end.data"], "hidden", "4-6.data", "runs 5-6 get 5-end.data"),
        (["4-6.data", "6-8.data"], "hidden", "4-6.data", "run 6 get 6-8.data"),
        (["5-end.data", "5-20.data", "21-end.data"], "hidden", "5-end.data", "no run"),
        (["5-20.data", "5-7.data", "8-20.data"], "hidden", "5-20.data", "5-7.data, 8-20.data"),
    ],
)
def test_names_and_ranges(calib, names, kind, name, words):
    fill(calib, OPAL, "common_mode", *names)
    [found] = said(calib)
    assert found[:2] == (kind, name)
    assert words in found[2]


@pytest.mark.parametrize(
    ("source", "ctype", "group", "kind", "words"),
    [
        ("MfxEnd.0:iStar.0", "common_mode", "iStar::CalibV1", "group", "Camera::CalibV1"),
        (EPIX, "common_mode", "CsPad::CalibV1", "group", "Epix100a::CalibV1"),
        ("MfxEnd.0:Ocean.0", "common_mode", "Camera::CalibV1", "source", "no reader knows"),
        (OPAL, "pedestal", None, "type", "nobody knows"),
    ],
)
def test_folders_where_no_reader_looks(calib, source, ctype, group, kind, words):
    fill(calib, source, ctype, "0-end.data", group=group)
    [found] = said(calib)
    assert found[0] == kind
    assert words in found[2]


def test_types_without_a_reader_are_only_noted(calib):
    fill(calib, OPAL, "filter", "0-end.data")
    fill(calib, XTCAV, "lasingoffreference", "0-end.data", group="Xtcav::CalibV1")
    found = list(check(calib))
    assert [one.kind for one in found] == ["type", "type"]
    assert not any(one.wrong for one in found)


def test_files_that_cannot_be_read_or_have_the_wrong_size(calib):
    folder = fill(calib, CSPAD, "pedestals", "0-end.data", "5-end.data", "7-end.data", "9-end.data")
    (folder / "5-end.data").write_text("1 2\n3 x\n")
    text.write(folder / "7-end.data", np.zeros((4, 8, 185, 388), "int8"))
    text.write(folder / "9-end.data", np.zeros((5920, 388), "int8"))
    found = said(calib)
    assert [one[:2] for one in found] == [("unreadable", "5-end.data"), ("size", "0-end.data")]
    assert "line 2, column 3" in found[0][2]
    assert "(32, 185, 388)" in found[1][2]
    assert said(calib, read=False) == []


def test_hdf5_where_nobody_reads_it(calib):
    for group in (None, "Xtcav::CalibV1"):
        folder = fill(calib, XTCAV, "pedestals", group=group)
        xtcav.write(folder / "1-end.data", {"image": np.arange(3)})
    [found] = said(calib)
    assert found[:2] == ("unreadable", "1-end.data")
    assert "HDF5 is read in Xtcav::CalibV1 alone" in found[2]


def test_lines_of_history_that_say_nothing(calib):
    folder = fill(calib, OPAL, "common_mode", "0-end.data")
    (folder / "HISTORY").write_text("file:0-end.data  user:me\nhello\nuser:you\n")
    assert [one[:2] for one in said(calib)] == [("history", "HISTORY")] * 2
    (folder / "HISTORY").unlink()
    (folder / "HISTORY").symlink_to("HISTORY")
    assert [one[0] for one in said(calib)] in ([], ["history"])


def test_hostile_names_and_what_killed_deployments_left(calib):
    folder = fill(calib, OPAL, "common_mode", "0-end.data")
    (folder.parent / "no ctype").mkdir()
    (folder / ".0123.part").touch()
    found = list(check(calib))
    assert [(one.kind, one.wrong) for one in found] == [("litter", False), ("name", True)]


def test_a_folder_as_a_file_is_told(calib):
    folder = fill(calib, OPAL, "common_mode", "0-end.data")
    (folder / "5-end.data").mkdir()
    assert [one[:2] for one in said(calib)] == [("unreadable", "5-end.data")]


def test_a_tree_that_is_not_there_is_told(calib):
    with pytest.raises(NotFound):
        list(check(calib / "none"))
