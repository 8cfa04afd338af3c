"""``cdb lcls1``: what it prints, its exit codes, what it leaves behind."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from cdb.files import lcls1, text
from tests.files.trees import CSPAD, XTCAV, fill, text_of

SOURCE = ("-d", "CxiEnd.0:Opal1000.0", "-c", "common_mode")


@pytest.fixture
def calib(folder: Path) -> Path:
    """A tree with two files, in the folder where commands run."""
    path = folder / "calib"
    fill(path, SOURCE[1], "common_mode", "0-end.data", "5-9.data")
    return path


def names(calib):
    return {path.name for path in lcls1.folder_of(calib, SOURCE[1], SOURCE[3]).iterdir()}


def test_ls_lists_effective_ranges(calib, cdb, ask):
    fill(calib, CSPAD, "pedestals", "3-4.data", "bad.data")
    result = cdb("lcls1", "ls", "calib")
    assert result.exit_code == 0
    assert "bad.data does not say for which runs" in result.stderr
    rows = json.loads(cdb("lcls1", "ls", "calib", "--json").stdout)
    assert [(row["source"], row["first"], row["last"], row["file"]) for row in rows] == [
        (SOURCE[1], 0, 4, "0-end.data"),
        (SOURCE[1], 5, 9, "5-9.data"),
        (SOURCE[1], 10, None, "0-end.data"),
        (CSPAD, 3, 4, "3-4.data"),
    ]
    assert len(ask("lcls1", "ls", "calib", "-d", f"DetInfo({CSPAD})")) == 1
    assert ask("lcls1", "ls", "calib", "-c", "geometry") == []


def test_ls_names_a_group_that_is_not_the_source_s_own(calib, cdb):
    fill(calib, XTCAV, "pedestals", "1-end.data")
    assert "CalibV1" not in cdb("lcls1", "ls", "calib").stdout
    fill(calib, XTCAV, "pedestals", "2-end.data", group="Xtcav::CalibV1")
    lines = cdb("lcls1", "ls", "calib", "-d", XTCAV).stdout.splitlines()
    assert ["Xtcav::CalibV1" in line for line in lines] == [False, False, True]


def test_ls_passes_over_a_folder_that_may_not_be_read(calib, cdb, ask, monkeypatch):
    folder = fill(calib, CSPAD, "pedestals", "1-end.data").relative_to(Path.cwd())
    listed = os.scandir

    def scandir(path):
        if path == folder:
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert len(ask("lcls1", "ls", "calib")) == 3
    assert f"{folder} may not be read" in cdb("lcls1", "ls", "calib").stderr
    assert (
        f"{folder}' may not be read"
        in cdb("lcls1", "path", "calib", "-d", CSPAD, "-c", "pedestals").stderr
    )


def test_check_ends_with_1_if_something_is_wrong(calib, cdb):
    assert cdb("lcls1", "check", "calib").exit_code == 0
    fill(calib, SOURCE[1], "common_mode", "7-END.data")
    result = cdb("lcls1", "check", "calib")
    assert result.exit_code == 1
    assert result.stdout.startswith("name: Camera::CalibV1/")
    [found] = json.loads(cdb("lcls1", "check", "calib", "--json").stdout)
    assert (found["kind"], found["wrong"]) == ("name", True)
    assert cdb("lcls1", "check", "none").exit_code == 2


def test_path_and_get_give_the_file_of_a_run(calib, cdb, ask, folder):
    path = cdb("lcls1", "path", "calib", *SOURCE, "-r", "7").stdout.strip()
    assert Path(path) == Path("calib/Camera::CalibV1") / SOURCE[1] / "common_mode/5-9.data"
    assert ask("lcls1", "path", "calib", *SOURCE)["path"].endswith("0-end.data")
    assert cdb("lcls1", "get", "calib", *SOURCE, "-r", "7", "-f", "cm.txt").exit_code == 0
    assert (folder / "cm.txt").read_text() == text_of(1)
    assert cdb("lcls1", "get", "calib", *SOURCE, "-r", "7", "-f", "cm.npy").exit_code == 0
    assert np.load("cm.npy").tolist() == [1]
    assert cdb("lcls1", "get", "calib", *SOURCE, "-f", "cm.txt").exit_code == 1
    assert (folder / "cm.txt").read_text() == text_of(1)
    assert cdb("lcls1", "get", "calib", *SOURCE, "-f", "cm.txt", "--yes").exit_code == 0
    assert (folder / "cm.txt").read_text() == text_of(0)


def test_a_group_can_be_named(calib, cdb):
    fill(calib, XTCAV, "pedestals", "1-end.data", group="Xtcav::CalibV1")
    asked = ("lcls1", "path", "calib", "-d", XTCAV, "-c", "pedestals")
    assert "Xtcav::CalibV1" in cdb(*asked, "--group", "Xtcav::CalibV1").stdout
    missing = cdb(*asked)
    assert missing.exit_code == 1
    assert "there are no files" in missing.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("path", "none", *SOURCE), "calib tree"),
        (("path", "calib", "-d", "Ocean.0", "-c", "pedestals"), "source 'Ocean.0' is none"),
        (("path", "calib", *SOURCE[:3], "geometry", "-r", "3"), "no geometry of"),
        (("deploy", "calib", "none", *SOURCE, "-r", "1"), "no file none"),
        (("deploy", "calib", "mypeds", *SOURCE, "-r", "9-1"), "ends before it begins"),
        (("deploy", ".", "mypeds", *SOURCE, "-r", "1"), "not called calib"),
        (("remove", "calib", *SOURCE, "-r", "8-end"), "there are: 5-9.data, 0-end.data"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(calib, cdb, words, told):
    before = names(calib)
    result = cdb("lcls1", *words)
    assert result.exit_code == 1
    assert told in result.stderr
    assert result.stderr.count("\n") == 1
    assert names(calib) == before


@pytest.mark.parametrize("mode", ["0o9", "rw", "664.", "77777", "-1", "436", "1533"])
def test_modes_are_octal(calib, cdb, mode):
    for option in ("--filemode", "--dirmode"):
        result = cdb("lcls1", "deploy", "calib", "mypeds", *SOURCE, "-r", "1", option, mode)
        assert result.exit_code == 2


def test_deploying_where_no_reader_looks_is_warned_of(calib, cdb):
    Path("cm").write_text("4 6 30 10")
    asked = ("lcls1", "deploy", "calib", "cm", *SOURCE[:3])
    assert "warning" not in cdb(*asked, "common_mode", "-r", "5-9").stderr
    assert "a type that nobody knows" in cdb(*asked, "comon_mode", "-r", "5-9").stderr
    odd = cdb(*asked, "common_mode", "-r", "5-9", "--group", "iStar::CalibV1", "--dry-run")
    assert "who look into Camera::CalibV1" in odd.stderr


def test_deploy_replaces_and_keeps(calib, cdb, ask):
    Path("cm").write_text("4 6 30 10")
    planned = ask("lcls1", "deploy", "calib", "cm", *SOURCE, "-r", "5-9", "--dry-run")
    assert planned["dry_run"]
    assert names(calib) == {"0-end.data", "5-9.data"}
    done = ask("lcls1", "deploy", "calib", "cm", *SOURCE, "-r", "5-9", "-m", "again",
               "--filemode", "0o600")  # fmt: skip
    path = Path(done["path"])
    assert text.read(path).tolist() == [4, 6, 30, 10]
    assert path.stat().st_mode & 0o777 == 0o600
    assert names(calib) == {"0-end.data", "5-9.data", "HISTORY", Path(done["backup"]).name}
    assert done["before"] == done["after"]
    assert "comment:again" in done["record"]


def test_remove_asks_first(calib, cdb):
    asked = ("lcls1", "remove", "calib", *SOURCE, "-r", "5-9")
    refused = cdb(*asked, input="n\n")
    assert refused.exit_code == 1
    assert names(calib) == {"0-end.data", "5-9.data"}
    assert "would be removed" in cdb(*asked, "--dry-run").stdout
    assert names(calib) == {"0-end.data", "5-9.data"}
    assert cdb(*asked, "--yes").exit_code == 0
    assert {"0-end.data", "HISTORY"} < names(calib)
    assert "5-9.data" not in names(calib)
