"""Which files a run has."""

from dataclasses import replace
from pathlib import Path

import pytest

from cdb.errors import BadFile, BadQuestion, BadRun
from cdb.readers import below, find, open_run, open_runs
from cdb.readers.datasets import parse
from tests.readers import writers


@pytest.mark.parametrize(
    ("text", "runs", "folder"),
    [
        ("exp=xpptut15:run=54", (54,), None),
        ("exp=XPP/xpptut15:run=54,56-58:smd", (54, 56, 57, 58), None),
        ("exp=xpptut15:run=54:dir=/a:b/c", (54,), Path("/a:b/c")),
        ("exp=cxi01516:run=92:stream=0-79:smd", (92,), None),
        ("dir=/data", (), Path("/data")),
    ],
)
def test_the_text_of_a_dataset(text, runs, folder):
    assert (parse(text).runs, parse(text).folder) == (runs, folder)


@pytest.mark.parametrize(
    "text",
    ["exp=xpptut15:run=54:what", "exp=a:run=1", "exp=xpptut15:exp=xpptut15", "exp=../etc:run=1"],
)
def test_a_text_that_is_none(text):
    with pytest.raises(BadQuestion):
        parse(text)


@pytest.mark.parametrize("runs", ["x", "5-4", "1-99999999", "-3", "54;55"])
def test_runs_that_are_none(runs):
    with pytest.raises(BadRun):
        parse(f"exp=xpptut15:run={runs}")


@pytest.fixture
def folder(tmp_path):
    """Files of several runs and origins."""
    writers.plain(tmp_path / "dark.h5")
    writers.laboratory(tmp_path)
    for run in (8, 9):
        writers.euxfel(tmp_path, writers.agipd(2), counts=[2], run=run)
    writers.translated(tmp_path / "xcsx31116-r0012.h5", {0: 2})
    (tmp_path / "notes.txt").write_text("none of these")
    return tmp_path


def test_the_runs_in_a_folder(folder):
    found = {(run.kind, run.run, len(run.files)) for run in find(folder)}
    assert found == {
        ("hdf5", None, 1), ("hdf5", None, 2), ("euxfel", 8, 1), ("euxfel", 9, 1)
    }  # fmt: skip


def test_several_runs_want_a_choice(folder):
    with pytest.raises(BadQuestion, match="has 5 runs; give one of .*dark.h5"):
        open_run(folder)


def test_every_run_in_a_folder_has_a_name_of_its_own(folder):
    for one in find(folder):
        assert find(one.where) == [replace(one, run=find(one.where)[0].run)]


def test_what_names_a_run_opens_it(tmp_path):
    for run in (8, 9):
        for sequence in (0, 1):
            writers.euxfel(tmp_path, writers.agipd(2), counts=[2], run=run, sequence=sequence)
    for one in find(tmp_path):
        with open_run(one.where) as run:
            assert (run.number, run.source().n_frames) == (one.run, 4)


@pytest.mark.parametrize(
    ("asked", "numbers"), [("run=12", [12]), ("exp=xcsx31116:run=12", [12]), ("run=8-9", [8, 9])]
)
def test_runs_of_a_dataset(folder, asked, numbers):
    assert [run.number for run in open_runs(f"{asked}:dir={folder}")] == numbers


def test_a_dataset_below_the_root_of_experiments(tmp_path, monkeypatch):
    folder = tmp_path / "XCS" / "xcsx31116" / "xtc"
    folder.mkdir(parents=True)
    writers.translated(folder / "xcsx31116-r0012.h5", {0: 2})
    monkeypatch.setenv("SIT_PSDM_DATA", str(tmp_path))
    with open_run("exp=xcsx31116:run=12") as run:
        assert run.experiment == "xcsx31116"
    monkeypatch.delenv("SIT_PSDM_DATA")
    with pytest.raises(BadQuestion, match="add :dir=/the/folder"):
        open_run("exp=xcsx31116:run=12")


def test_a_run_that_is_not_there(folder):
    with pytest.raises(BadFile, match="has no files of run 77"):
        find(f"run=77:dir={folder}")


def test_runs_below_a_folder_links_not_followed(folder):
    (folder / "deep" / "deeper").mkdir(parents=True)
    writers.plain(folder / "deep" / "deeper" / "a.hdf5")
    (folder / "deep" / "loop").symlink_to(folder)
    told: list[str] = []
    assert len(list(below(folder, told.append))) == 6
    assert told == []


def test_corrected_files_beside_raw_ones_are_another_matter(tmp_path):
    raw = writers.euxfel(tmp_path, writers.agipd(2), counts=[2])
    raw.with_name(raw.name.replace("RAW", "CORR")).write_bytes(raw.read_bytes())
    assert [one.files for one in find(tmp_path)] == [(raw,)]


def test_progress_is_told_in_bytes(tmp_path):
    path, told = writers.plain(tmp_path / "a.h5"), []
    with open_run(path, advance=told.append):
        assert sum(told) == path.stat().st_size
