"""``cdb raw``: what a run holds, as people and programs read it."""

import json
import os
from pathlib import Path

import click
import pytest

from cdb.cli.main import cli
from tests.readers import writers

EPIX = "XcsEndstation.0:Epix10ka.1"


@pytest.fixture
def raw(cdb):
    """Type ``cdb raw`` with some words."""
    return lambda *words: cdb("raw", *map(str, words))


@pytest.fixture
def epix(tmp_path):
    """A run of an epix10ka in three steps, the second in medium gain by its data bits alone."""
    import numpy as np

    frames = np.full((7, 352, 384), 2000, dtype="u2")
    frames[3:5] |= 1 << 14
    return writers.translated(
        tmp_path / "xcsx31116-r0012.h5", {0: 3, 1: 2, 2: 2}, frames=frames,
        config=writers.epix_config([1, 1, 1, 1], 0),
    )  # fmt: skip


def test_a_run_is_told_by_step(raw, epix):
    shown = raw("info", epix).stdout
    assert "xcsx31116 run 12, hdf5" in shown
    assert "step 0: AHL-H (100%), step 1: AHL-L (100%), step 2: AHL-H (100%)" in shown
    assert "panel 0 of XcsEndstation.0:Epix10ka.1: 0000000001-0000000002-" in shown
    assert "gain 0.5" in shown


def test_the_same_as_json(raw, epix):
    (told,) = json.loads(raw("info", epix, "--json", "-c").stdout)
    assert [step["events"] for step in told["steps"]] == [3, 2, 2]
    (source,) = told["sources"]
    assert (source["name"], source["shape"], source["frames"]) == (EPIX, [352, 384], 7)
    assert [source["gain_modes"][step]["mode"] for step in "012"] == ["AHL-H", "AHL-L", "AHL-H"]
    assert source["longname"].startswith("epix10ka_0000000001-")
    assert source["configuration"][0]["asicPixelConfigArray"] == "uint16 352x384"


@pytest.mark.parametrize(
    ("words", "steps"),
    [
        (["--stepnum", 1], [1]), (["--stskip", 1], [1, 2]), (["--steps", 2], [0, 1]),
        (["--steps", 1, "--stskip", 2], [2]), (["--stepnum", 1, "--stskip", 2], [1]),
    ],
)  # fmt: skip
def test_steps_are_chosen(raw, epix, words, steps):
    (told,) = json.loads(raw("info", epix, "--json", *words).stdout)
    assert [step["number"] for step in told["steps"]] == steps
    assert sorted(map(int, told["sources"][0]["gain_modes"])) == steps


def test_event_codes_are_told(raw, epix):
    writers.with_codes(epix, [[40, 140], [40], [40]])
    assert "codes   40 (3), 140 (1)\n" in raw("info", epix).stdout
    assert "codes   40 (1), 140 (1) of the first 1 events\n" in raw("info", epix, "-n", 1).stdout
    (told,) = json.loads(raw("info", epix, "--json").stdout)
    assert told["event_codes"] == {"40": 3, "140": 1}


def test_constants_in_force_are_listed(raw, cdb, epix, tmp_path):
    (told,) = json.loads(raw("panels", epix, "--json").stdout)
    (tmp_path / "mask.txt").write_text("1 0\n0 1\n")
    added = cdb("add", "-f", str(tmp_path / "mask.txt"), "-d", told["longname"], "-c", "notes",
                "-r", "5", "-e", "xcsx31116")  # fmt: skip
    assert added.exit_code == 0, added.stderr
    shown = raw("info", epix, "--constants").stdout
    assert f"constants of {EPIX}\n" in shown
    assert "2x2" in shown
    (told,) = json.loads(raw("info", epix, "--constants", "--json").stdout)
    assert [one["ctype"] for one in told["sources"][0]["constants"]] == ["notes"]


def test_without_constants_the_rest_is_told(raw, epix):
    result = raw("info", epix, "--constants")
    assert result.exit_code == 0
    assert "xcsx31116 run 12" in result.stdout
    assert f"warning: no constants of {EPIX}: no detector 'epix10ka_" in result.stderr
    result = raw("info", epix, "--constants", "--url", "http://127.0.0.1:9/", "--json")
    assert json.loads(result.stdout)[0]["sources"][0]["constants"] == []
    assert f"warning: no constants of {EPIX}: " in result.stderr


def test_a_step_that_is_not_there(raw, epix):
    result = raw("info", epix, "--stepnum", 5)
    assert result.exit_code == 1
    assert "has no step 5; it has 3, from 0 on" in result.stderr


def test_pixels_in_no_mode_are_mixed(raw, tmp_path):
    path = writers.translated(
        tmp_path / "a.h5", {0: 1}, frames=writers.numbered(1, 352, 384),
        config=writers.epix_config([0, 0, 0, 0], 4),
    )  # fmt: skip
    assert "mixed" in raw("info", path).stdout


def test_damaged_frames_are_told_of_on_stderr(raw, tmp_path):
    path = writers.translated(tmp_path / "a.h5", {0: 3}, damaged=[1])
    result = raw("info", path)
    assert "warning: " in result.stderr
    assert "1 damaged frames left out" in result.stderr


def test_several_runs_of_a_dataset(raw, tmp_path):
    for run in (8, 9):
        writers.euxfel(tmp_path, writers.agipd(2), counts=[2], run=run)
    told = json.loads(raw("info", f"run=8-9:dir={tmp_path}", "--json").stdout)
    assert [(one["number"], one["experiment"]) for one in told] == [(8, "p900203"), (9, "p900203")]


def test_keys_are_listed_by_source_and_pattern(raw, tmp_path):
    writers.euxfel(tmp_path, writers.jungfrau(2), counts=[1, 1])
    found = json.loads(raw("keys", tmp_path, "-d", "jngfr", "-p", "ADC", "--json").stdout)
    assert [(key["key"], key["shape"]) for key in found] == [("data.adc", [2, 2, 6, 9])]
    assert "data.memoryCell" in raw("keys", tmp_path).stdout
    assert "no such keys" in raw("keys", tmp_path, "-p", "nothing").stderr


def test_panels_without_ids(raw, tmp_path):
    shown = raw("panels", writers.plain(tmp_path / "a.h5")).stdout
    assert "no ids of panels are recorded" in shown


def test_panels_as_json(raw, epix):
    (found,) = json.loads(raw("panels", epix, "--json").stdout)
    assert found["panels"] == ["-".join(f"{number:010d}" for number in range(1, 8))]
    assert found["longname"] == f"epix10ka_{found['panels'][0]}"


def test_runs_are_found_by_their_data_and_the_unreadable_are_told_of(raw, tmp_path):
    writers.plain(tmp_path / "dark.h5")
    writers.euxfel(tmp_path / "deep" / "raw", writers.agipd(2), counts=[2])
    (tmp_path / "broken.h5").write_bytes(b"\x89HDF\r\n\x1a\nand no more")
    result = raw("find", "agipd", tmp_path, "--json")
    told = json.loads(result.stdout)
    assert (told["runs"], told["unreadable"]) == (3, 1)
    assert [one["sources"] for one in told["found"]] == [["SPB_DET_AGIPD1M-1/DET/0CH0:xtdf"]]
    assert "broken.h5 cannot be read as HDF5" in result.stderr
    assert "SPB_DET_AGIPD1M-1" in raw("find", "AGIPD", tmp_path).stdout
    assert "none of 3 runs has 'cspad'" in raw("find", "cspad", tmp_path).stderr


def test_folders_that_cannot_be_read_stop_nothing(raw, tmp_path, monkeypatch):
    writers.plain(tmp_path / "dark.h5")
    for name in ("locked", "half"):
        (tmp_path / name).mkdir()
        writers.plain(tmp_path / name / "a.h5")
    scandir, is_file = os.scandir, Path.is_file

    def scandir_where_allowed(folder):
        if str(folder).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    def is_file_where_allowed(path, **how):
        if path.parent.name == "half":
            raise PermissionError(13, "Permission denied", str(path))
        return is_file(path, **how)

    monkeypatch.setattr(os, "scandir", scandir_where_allowed)
    monkeypatch.setattr(Path, "is_file", is_file_where_allowed)
    result = raw("find", "frames", tmp_path, "--json")
    told = json.loads(result.stdout)
    assert (told["runs"], told["unreadable"], len(told["found"])) == (1, 2, 1)
    assert f"cannot read {tmp_path / 'locked'}: Permission denied" in result.stderr
    assert f"cannot read {tmp_path / 'half' / 'a.h5'}: Permission denied" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["info", "nowhere.h5"], "there is no file or folder nowhere.h5"),
        (["panels", "exp=xpptut15:run=x"], "is no run, nor a list of them such as 54,56-58"),
        (["find", "x", "nowhere"], "there is no folder nowhere"),
    ],
)
def test_what_goes_wrong_is_one_line(raw, words, said):
    result = raw(*words)
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert said in result.stderr


def test_a_source_that_is_not_there(raw, tmp_path):
    result = raw("info", writers.plain(tmp_path / "a.h5"), "-d", "cspad")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no source of frames is named 'cspad'; there are: frames" in result.stderr


def test_a_run_without_frames_is_told_all_the_same(raw, tmp_path):
    import h5py

    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["evr/code_40"] = [1, 0]
    result = raw("info", tmp_path / "a.h5")
    assert result.exit_code == 0
    assert "no source of frames" in result.stdout
    assert "40 (1)" in result.stdout
    assert raw("panels", tmp_path / "a.h5", "--json").stdout == "[]\n"
    assert "no source of frames" in raw("panels", tmp_path / "a.h5").stderr


def test_the_group_shows_its_commands():
    group = cli.get_command(click.Context(cli), "raw")
    assert {*group.commands} == {"info", "keys", "panels", "find"}
