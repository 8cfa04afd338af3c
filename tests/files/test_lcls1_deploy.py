"""Deploying into a tree: whole or not at all, nothing lost, HISTORY told; killed at every step."""

import errno
import grp
import multiprocessing
import os
import re
import signal
import stat
import threading
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from cdb.errors import BadFile, BadName, BadRun, NotFound, Refused, StoreFull, StoreRefused
from cdb.files import contents, history, lcls1, lcls1_deploy, text, xtcav
from cdb.files.lcls1_deploy import Deployment, Modes, Removal
from cdb.validity import RunRange
from tests.conftest import DATA
from tests.files.trees import CSPAD, EPIX, XTCAV, fill, killed_at, listing, text_of

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["tests.files.trees", "cdb.files.lcls1_deploy", "cdb.files.text"])

OPAL = "CxiEnd.0:Opal1000.0"
FROM_7 = RunRange(7)
HISTORY = history.NAME
GEOMETRY = DATA / "lcls1-calib/Jungfrau::CalibV1/CxiDs1.0:Jungfrau.0/geometry/0-end.data"
BACKUP = r"\d+-\w+\.data-\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"


@pytest.fixture
def calib(tmp_path):
    path = tmp_path / "CXI" / "cxi83714" / "calib"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def source(tmp_path):
    """Return a file to deploy."""
    path = tmp_path / "peds.txt"
    path.write_text(text_of(42))
    return path


def records(folder):
    return lcls1.read_history(folder)


def deploy(calib, content, runs=FROM_7, **more):
    return Deployment(calib, OPAL, "common_mode", content, runs, **more).commit()


# What is put there -----------------------------------------------------------------------------


def test_a_file_is_put_there_as_it_is_with_its_line(calib, source):
    done = deploy(calib, source, RunRange(7, 20), comment="dark of run 7")
    assert done.path == calib / "Camera::CalibV1" / OPAL / "common_mode" / "7-20.data"
    assert done.path.read_bytes() == source.read_bytes()
    assert done.backup is None
    [record] = records(done.path.parent)
    assert record.line == done.record
    assert record.comment == "dark of run 7"
    told = record.fields
    assert (told["file"], told["copy_of"]) == ("7-20.data", str(source))
    assert (told["exp"], told["run"], told["app"]) == ("cxi83714", "0007", "cdb")
    assert abs(record.time - datetime.now(UTC)) < timedelta(minutes=5)
    assert {*listing(done.path.parent)} == {"7-20.data", "HISTORY"}


def test_an_array_is_written_exactly_or_as_told(calib, tmp_path):
    array = np.array([1 / 3, 2.5], "float32")
    done = deploy(calib, array)
    assert text.read(done.path).tobytes() == array.tobytes()
    np.save(tmp_path / "a.npy", array)
    done = deploy(calib, tmp_path / "a.npy", RunRange(9), fmt="%.1f")
    assert text.read(done.path).tolist() == [np.float32(0.3), 2.5]


def test_what_was_there_stays_as_a_backup(calib, source):
    first = deploy(calib, source)
    old = first.path.stat()
    source.write_text(text_of(43))
    done = deploy(calib, source, comment="again")
    assert text.read(done.path).tolist() == [43]
    assert text.read(done.backup).tolist() == [42]
    assert re.fullmatch(BACKUP, done.backup.name)
    assert done.backup.stat().st_mtime_ns == old.st_mtime_ns
    [backup] = lcls1.backups(done.path.parent)
    assert (backup.path, backup.of) == (done.backup, "7-end.data")
    assert [one.comment for one in records(done.path.parent)] == ["", "again"]


def test_backups_of_one_second_do_not_meet(calib, source):
    done = [deploy(calib, np.arange(n)) for n in range(1, 5)]
    names = {each.backup.name for each in done[1:]}
    assert len(names) == 3
    kept = [text.read(backup.path).size for backup in lcls1.backups(done[0].path.parent)]
    assert kept == [1, 2, 3]


def test_a_backup_is_no_second_name_of_the_file(calib, source):
    """An old deployer writes into a file that is there: the backup must not change with it."""
    deploy(calib, source)
    done = deploy(calib, np.arange(3))
    done.path.write_text("1 2 3 4")
    assert text.read(done.backup).tolist() == [42]


def test_the_same_content_again_only_gets_a_line(calib, source):
    first = deploy(calib, source)
    inode = first.path.stat().st_ino
    done = deploy(calib, source)
    assert done.backup is None
    assert done.path.stat().st_ino == inode
    assert len(records(done.path.parent)) == 2


def test_effective_ranges_are_told_before_and_after(calib, source):
    fill(calib, OPAL, "common_mode", "0-end.data")
    plan = Deployment(calib, OPAL, "common_mode", source, RunRange(5, 9)).plan()
    assert [(s.first, s.file.name) for s in plan.before] == [(0, "0-end.data")]
    assert [(s.first, s.file.name) for s in plan.after] == [
        *((0, "0-end.data"), (5, "5-9.data"), (10, "0-end.data"))
    ]
    assert not plan.path.exists()


def test_a_plan_writes_nothing(calib, source):
    Deployment(calib, OPAL, "common_mode", source, RunRange(5)).plan()
    assert list(calib.iterdir()) == []


def test_old_and_new_readers_choose_what_was_deployed(calib, source):
    done = deploy(calib, source, RunRange(5, 9))
    assert lcls1.choose_file(done.path.parent, 7) == done.path
    assert lcls1.choose_file(done.path.parent, 10) is None


def test_modes_are_set_whatever_the_umask(calib, source):
    before = os.umask(0o077)
    try:
        done = deploy(calib, source, modes=Modes(folder=0o2750, file=0o640))
        other = Deployment(calib, CSPAD, "common_mode", source, RunRange(1)).commit()
    finally:
        os.umask(before)

    def modes(one):
        places = (*list(one.path.parents)[:3], one.path, one.path.parent / HISTORY)
        return [stat.S_IMODE(path.stat().st_mode) for path in places]

    assert modes(done) == [0o2750] * 3 + [0o640] * 2
    assert modes(other) == [0o2775] * 3 + [0o664] * 2


def test_the_group_is_set(calib, source):
    mine = grp.getgrgid(os.getgid()).gr_name
    done = deploy(calib, source, modes=Modes(group=mine))
    assert done.path.group() == mine
    with pytest.raises(BadName, match="no group 'no-such-group'"):
        deploy(calib, source, modes=Modes(group="no-such-group"))


def test_a_line_that_was_cut_off_does_not_swallow_the_next(calib, source):
    folder = fill(calib, OPAL, "common_mode")
    (folder / HISTORY).write_text("file:1-end.data  user:me")
    deploy(calib, source)
    assert [one.file for one in records(folder)] == ["1-end.data", "7-end.data"]


# What is refused -------------------------------------------------------------------------------


def test_only_a_folder_called_calib_is_changed(tmp_path, source):
    (tmp_path / "other").mkdir()
    with pytest.raises(BadName, match="not called calib"):
        deploy(tmp_path / "other", source)
    with pytest.raises(NotFound, match="make it first"):
        deploy(tmp_path / "calib", source)


@pytest.mark.parametrize(
    ("content", "ctype", "error"),
    [
        ("1 2\n3 x\n", "pedestals", BadFile),
        ("", "pedestals", BadFile),
        ("# NDIM 1\n# DIM:0 3\n1 2\n", "pedestals", BadFile),
        ("no geometry at all", "geometry", BadFile),
        ("1 2 3", "pedestals", Refused),
    ],
)
def test_content_is_checked_before_anything_is_written(calib, tmp_path, content, ctype, error):
    file = tmp_path / "file.txt"
    file.write_text(content)
    with pytest.raises(error) as told:
        Deployment(calib, EPIX, ctype, file, RunRange(1))
    assert "\n" not in str(told.value)
    assert list(calib.iterdir()) == []


def test_a_good_size_in_another_shape_is_taken_and_any_size_if_told(calib):
    flat = np.zeros((704 * 768,), "float32")
    Deployment(calib, EPIX, "pedestals", flat, RunRange(1)).commit()
    part = np.zeros((3,), "float32")
    Deployment(calib, EPIX, "pedestals", part, RunRange(2), check_shape=False).commit()
    with pytest.raises(Refused, match=r"\(704, 768\), not \(3,\)"):
        Deployment(calib, EPIX, "pedestals", part, RunRange(2))


def test_an_array_that_cannot_be_read_back_is_refused(calib):
    with pytest.raises(BadFile, match="holds no numbers"):
        deploy(calib, np.zeros((0, 3)))
    with pytest.raises(BadFile, match="one list of numbers"):
        deploy(calib, np.zeros((2, 3)))
    assert list(calib.iterdir()) == []


def test_hdf5_is_taken_for_xtcav_alone(calib, tmp_path):
    xtcav.write(tmp_path / "x.h5", {"image": np.arange(3)})
    asked = (XTCAV, "pedestals", tmp_path / "x.h5", RunRange(1))
    with pytest.raises(Refused, match="HDF5 is read in Xtcav::CalibV1 alone"):
        Deployment(calib, *asked)
    done = Deployment(calib, *asked, group="Xtcav::CalibV1").commit()
    assert done.path.read_bytes() == (tmp_path / "x.h5").read_bytes()


def test_a_geometry_is_taken(calib):
    done = Deployment(calib, EPIX, "geometry", GEOMETRY, RunRange(0)).commit()
    assert done.path.read_bytes() == GEOMETRY.read_bytes()
    again = Deployment(calib, EPIX, "geometry", GEOMETRY.read_text(), RunRange(1)).commit()
    assert again.path.read_bytes() == GEOMETRY.read_bytes()
    with pytest.raises(BadFile, match="is a text"):
        Deployment(calib, EPIX, "geometry", np.zeros(3), RunRange(1))


@pytest.mark.parametrize(
    ("there", "runs"),
    [("1-9999.data", RunRange(1)), ("01-end.data", RunRange(1)), ("003-15.data", RunRange(3, 15))],
)
def test_another_spelling_of_the_same_runs_is_refused(calib, source, there, runs):
    fill(calib, OPAL, "common_mode", there)
    with pytest.raises(Refused, match=f"{there} holds for the same runs"):
        deploy(calib, source, runs)


def test_another_spelling_that_came_in_between_is_refused(calib, source):
    deployment = Deployment(calib, OPAL, "common_mode", source, RunRange(1))
    folder = fill(calib, OPAL, "common_mode", "1-9999.data")
    with pytest.raises(Refused, match="1-9999.data holds for the same runs"):
        deployment.commit()
    assert {*listing(folder)} == {"1-9999.data"}


def test_what_others_changed_in_between_is_told_as_it_is(calib, source):
    deployment = Deployment(calib, OPAL, "common_mode", source, RunRange(5, 9))
    fill(calib, OPAL, "common_mode", "0-end.data")
    done = deployment.commit()
    assert [span.file and span.file.name for span in done.before] == ["0-end.data"]
    assert len(done.after) == 3


@pytest.mark.parametrize("runs", [RunRange(10_000), RunRange(1, 10_000), RunRange(10_000, 10_001)])
def test_runs_beyond_9999_are_refused(calib, source, runs):
    with pytest.raises((BadName, BadRun), match="9999"):
        deploy(calib, source, runs)


def test_a_comment_of_two_lines_is_refused(calib, source):
    with pytest.raises(BadFile, match="one line"):
        deploy(calib, source, comment="one\ntwo")
    assert list(calib.iterdir()) == []


def test_missing_rights_and_space_are_told_and_leave_nothing(calib, source, monkeypatch):
    folder = fill(calib, OPAL, "common_mode", "7-end.data")
    before = listing(folder)
    for number, error, words in (
        (errno.EACCES, StoreRefused, "no permission"),
        (errno.ENOSPC, StoreFull, "no space"),
        (errno.EIO, BadFile, "cannot write"),
    ):

        def fail(descriptor, number=number):
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            with pytest.raises(error, match=words):
                deploy(calib, source)
        assert listing(folder) == before
        assert [path.name for path in folder.iterdir() if path.name[0] == "."] == []


def test_history_that_cannot_be_written_stops_it_before(calib, source, monkeypatch):
    folder = fill(calib, OPAL, "common_mode", "7-end.data", "8-end.data")
    (folder / HISTORY).touch()
    before = listing(folder)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(StoreRefused, match="no permission to write .*HISTORY"):
        deploy(calib, source)
    with pytest.raises(StoreRefused, match="no permission to write .*HISTORY"):
        Removal(calib, OPAL, "common_mode", "8-end.data").commit()
    assert listing(folder) == before


def test_history_that_fails_after_all_says_what_is_done(calib, source, monkeypatch):
    folder = fill(calib, OPAL, "common_mode", "7-end.data")

    def fail(descriptor, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(lcls1_deploy.os, "write", fail)
    with pytest.raises(StoreRefused, match=r"7-end.data is in force, but .* by hand: file:7-end"):
        deploy(calib, source)
    assert (folder / "7-end.data").read_text() == text_of(42)


# Removing --------------------------------------------------------------------------------------


def test_what_is_removed_stays_as_a_backup_with_its_line(calib, source):
    deploy(calib, source)
    done = Removal(calib, OPAL, "common_mode", "7-end.data", comment="wrong gain").commit()
    assert not done.path.exists()
    assert text.read(done.backup).tolist() == [42]
    last = records(done.path.parent)[-1]
    assert (last.file, last.removes, last.comment) == ("7-end.data", True, "wrong gain")
    assert lcls1.choose_file(done.path.parent, 8) is None
    assert [span.file for span in done.after] == [None]


def test_a_bad_name_can_be_removed(calib):
    folder = fill(calib, OPAL, "common_mode", "7-END.data", "0-end.data")
    done = Removal(calib, OPAL, "common_mode", "7-END.data", report=lambda skipped: None).commit()
    assert {*listing(folder)} == {"0-end.data", done.backup.name, HISTORY}


@pytest.mark.parametrize("name", ["../7-end.data", "HISTORY", "7-end.data-2016-01-02T03:04:05", ""])
def test_only_files_of_constants_are_removed(calib, name):
    fill(calib, OPAL, "common_mode", "7-end.data")
    with pytest.raises(BadName, match="no name of a file"):
        Removal(calib, OPAL, "common_mode", name)


def test_a_file_that_is_not_there_is_told(calib):
    fill(calib, OPAL, "common_mode", "7-end.data")
    with pytest.raises(NotFound, match=r"there are: 7-end\.data"):
        Removal(calib, OPAL, "common_mode", "8-end.data")
    removal = Removal(calib, OPAL, "common_mode", "7-end.data")
    Removal(calib, OPAL, "common_mode", "7-end.data").commit()
    with pytest.raises(NotFound, match="somebody else"):
        removal.commit()


def test_a_link_to_nothing_is_told(calib):
    folder = fill(calib, OPAL, "common_mode")
    (folder / "7-end.data").symlink_to("nothing")
    with pytest.raises(BadFile, match="link to nothing"):
        Removal(calib, OPAL, "common_mode", "7-end.data")


# Killed ----------------------------------------------------------------------------------------


def killed(step, kind, *arguments, **options):
    process = processes.Process(target=killed_at, args=(step, kind, *arguments), kwargs=options)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL


def assert_whole(folder, good):
    """Nothing under a valid name is half of anything."""
    for file in lcls1.valid_files(folder):
        assert file.path.read_text() in good
    for backup in lcls1.backups(folder):
        assert backup.path.read_text() in good
    for record in records(folder):
        assert record.time is not None


DEPLOYING = ["part begun", "part written", "backup written", "backup named", "put", "noted"]
REMOVING = ["backup written", "backup named", "removed", "noted"]


@pytest.mark.parametrize("step", DEPLOYING)
def test_a_deployment_killed_anywhere_shows_the_old_or_the_new(calib, source, step):
    old, new = text_of(0), text_of(42)
    folder = fill(calib, OPAL, "common_mode", "7-end.data")
    killed(step, Deployment, calib, OPAL, "common_mode", source, RunRange(7))
    assert (folder / "7-end.data").read_text() == (new if step in ("put", "noted") else old)
    assert_whole(folder, {old, new})
    assert lcls1.choose_file(folder, 8) == folder / "7-end.data"
    # Who repeats it gets it done, and the old content is kept whatever happened.
    deploy(calib, source, comment="again")
    assert (folder / "7-end.data").read_text() == new
    assert old in {backup.path.read_text() for backup in lcls1.backups(folder)}
    assert records(folder)[-1].comment == "again"
    assert_whole(folder, {old, new})


@pytest.mark.parametrize("step", ["folder made", "part begun", "part written", "put"])
def test_a_first_deployment_killed_anywhere_shows_nothing_or_the_new(calib, source, step):
    killed(step, Deployment, calib, OPAL, "common_mode", source, RunRange(7))
    folder = lcls1.folder_of(calib, OPAL, "common_mode")
    chosen = lcls1.choose_file(folder, 8)
    assert (chosen and chosen.read_text()) == (text_of(42) if step == "put" else None)
    done = deploy(calib, source)
    assert done.path.read_text() == text_of(42)


@pytest.mark.parametrize("step", REMOVING)
def test_a_removal_killed_anywhere_keeps_the_content(calib, step):
    folder = fill(calib, OPAL, "common_mode", "7-end.data")
    killed(step, Removal, calib, OPAL, "common_mode", "7-end.data")
    assert (folder / "7-end.data").exists() == (step not in ("removed", "noted"))
    kept = [path.read_text() for path in folder.iterdir() if path.name.startswith("7-end.data")]
    assert kept
    assert {*kept} == {text_of(0)}
    assert_whole(folder, {text_of(0)})


def test_deployers_beside_each_other_lose_nothing(calib):
    """Each content that was ever in force is there: as the file, or as a backup."""

    def many(first):
        for number in range(first, first + 8):
            deploy(calib, np.array([number]))

    threads = [threading.Thread(target=many, args=(first,)) for first in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    folder = lcls1.folder_of(calib, OPAL, "common_mode")
    paths = [folder / "7-end.data", *(backup.path for backup in lcls1.backups(folder))]
    found = sorted(int(contents.read(path)[0]) for path in paths)
    assert found == [*range(8), *range(100, 108), *range(200, 208)]
    assert len(records(folder)) == 24


def test_where_there_are_no_hard_links_backups_are_moved_into_place(calib, source, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(lcls1_deploy.os, "link", refuse)
    for number in range(4):
        deploy(calib, np.array([number]))
    folder = lcls1.folder_of(calib, OPAL, "common_mode")
    assert [int(text.read(one.path)[0]) for one in lcls1.backups(folder)] == [0, 1, 2]
