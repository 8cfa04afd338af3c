"""Plans: what would be done is told, one write does it, and nobody ever sees half of a set."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from cdb.deploy import Asked, Plan, Ready
from cdb.deploy.plan import compared
from cdb.deploy.ready import digested
from cdb.errors import BadName, BadQuestion, Refused, StoreRefused, WrongState
from cdb.files import lcls1, text
from cdb.files.lcls1 import CalibFile, parse_name
from cdb.files.lcls1_deploy import Deployment
from cdb.fsck import Check
from cdb.validity import RunRange
from tests.deploy.conftest import OPAL

EXPERIMENT = "cxi83714"
GAIN, OFFSET = np.full((4, 6), 2, "f4"), np.full((4, 6), 3, "f4")
FROM_7 = RunRange(7)


def gains(factor=1):
    return [
        Ready("pixel_gain", GAIN * factor, unit="keV/ADU", notes=("a default",)),
        Ready("pixel_offset", OFFSET * factor, parameters={"panels": ["1-2"]}),
    ]


@pytest.fixture
def plan(db, calib):
    """Return a plan for a store and a tree."""

    def made(ready=None, runs=FROM_7, **more):
        given = {"db": db, "calib": calib, "experiment": EXPERIMENT, **more}
        asked = Asked.of(OPAL, stamp="20160318190730")
        return Plan(gains() if ready is None else ready, asked, runs, **given)

    return made


def seen(db, ctype, run=8):
    return db.get(OPAL, ctype, experiment=EXPERIMENT, run=run)


def files(calib):
    return sorted(
        path.relative_to(calib).as_posix() for path in calib.rglob("*.data") if path.is_file()
    )


# What is there afterwards ----------------------------------------------------------------------


def test_a_store_gets_a_set_by_one_event_and_a_tree_its_files(plan, db, calib):
    changes = plan(comment="from the site").commit()
    assert [change.is_new for change in changes] == [True] * 4
    added = [event for event in db.journal.events() if event["action"] == "add"]
    assert [len(event["versions"]) for event in added] == [4]
    data, meta = seen(db, "pixel_gain")
    assert data.tobytes() == GAIN.tobytes()
    assert (meta["unit"], meta["comment"], meta["run"]) == ("keV/ADU", "from the site", 7)
    assert meta["time_stamp"].startswith("2016-03-1")
    assert meta["source"]["parameters"]["notes"] == ["a default"]
    path = lcls1.choose_file(lcls1.folder_of(calib, OPAL, "pixel_offset"), 9)
    assert text.read(path).tobytes() == OFFSET.tobytes()
    [record] = lcls1.read_history(lcls1.folder_of(calib, OPAL, "pixel_gain"))
    assert record.comment == "from the site; a default"


def test_the_same_again_adds_nothing(plan, db, calib):
    plan().commit()
    before = db.head, files(calib)
    changes = plan().commit()
    assert [change.is_new for change in changes] == [False] * 4
    assert (db.head, files(calib)) == before
    assert [change.replaced for change in changes] == [()] * 4


def test_of_a_set_only_what_is_new_is_added(plan, db):
    plan(gains()[:1], calib=None).commit()
    changes = plan(calib=None).commit()
    assert [change.is_new for change in changes] == [False, True]
    assert [change.version.ctype for change in changes] == ["pixel_gain", "pixel_offset"]
    assert len(changes[1].places) == 2


def test_a_rehearsal_writes_nothing_and_tells_the_same(plan, db, calib):
    rehearsed = plan().rehearse()
    assert (db.head, files(calib)) == (0, [])
    done = plan().commit()
    for one, other in zip(rehearsed, done, strict=True):
        assert (one.places, one.is_new, one.runs) == (other.places, other.is_new, other.runs)


def test_the_source_of_a_document_has_all(plan, db, calib, tmp_path):
    file = tmp_path / "gain.txt"
    text.write(file, GAIN)
    ready = Ready("pixel_gain", GAIN, (digested(file),), {"a": 1}, copied=True)
    plan([ready], source={"command": "deploy", "parameters": {"b": 2}}).commit()
    source = seen(db, "pixel_gain")[1]["source"]
    assert source["parameters"] == {"a": 1, "b": 2}
    assert source["command"] == "deploy"
    assert source["files"][0]["sha256"] == digested(file).sha256
    path = lcls1.choose_file(lcls1.folder_of(calib, OPAL, "pixel_gain"), 9)
    assert path.read_bytes() == file.read_bytes()


def test_history_says_what_was_made_from_which_files(plan, calib, tmp_path):
    files = []
    for name in ("g0.txt", "g1.txt"):
        text.write(tmp_path / name, GAIN)
        files.append(digested(tmp_path / name))
    made = [Ready("pixel_gain", GAIN, tuple(files)), Ready("pixel_offset", OFFSET, (files[0],))]
    plan(made, db=None).commit()
    folders = [lcls1.folder_of(calib, OPAL, ready.ctype) for ready in made]
    told = [record.comment for folder in folders for record in lcls1.read_history(folder)]
    assert told == [f"from 2 files in {tmp_path}", f"from {tmp_path}/g0.txt"]


def test_numbers_are_short_in_a_tree_where_that_is_said(plan, db, calib, tmp_path):
    array = np.full((4, 6), 1 / 3, "f4")
    file = tmp_path / "gain.txt"
    text.write(file, array)
    ready = [
        Ready("pixel_offset", array),
        Ready("pixel_gain", array, (digested(file),), copied=True),
    ]
    plan(ready, short=True).commit()
    assert seen(db, "pixel_offset")[0].tobytes() == array.tobytes()
    path = lcls1.folder_of(calib, OPAL, "pixel_offset") / "7-end.data"
    assert path.read_text().split()[-1] == "0.333333"
    assert (lcls1.folder_of(calib, OPAL, "pixel_gain") / "7-end.data").read_bytes() == (
        file.read_bytes()
    )
    assert [change.is_new for change in plan(ready, short=True).rehearse()] == [False] * 4


def test_a_file_that_changed_since_it_was_read_is_not_deployed(plan, db, calib, tmp_path):
    file = tmp_path / "gain.txt"
    text.write(file, GAIN)
    ready = Ready("pixel_gain", GAIN, (digested(file),), copied=True)
    text.write(file, OFFSET)
    with pytest.raises(WrongState, match="was changed since it was read"):
        plan([ready]).commit()
    assert (db.head, files(calib)) == (0, [])


# Which runs get what ---------------------------------------------------------------------------


def told(runs):
    return [(each.first, each.last, each.before, each.after) for each in runs]


@pytest.mark.parametrize("place", ["store", "tree"])
def test_the_effective_ranges_before_and_after(plan, place):
    where = {"calib": None} if place == "store" else {"db": None}
    one = gains()[:1]
    plan(one, RunRange(0), **where).commit()
    plan([Ready("pixel_gain", GAIN * 2)], RunRange(10, 20), **where).commit()
    [change] = plan([Ready("pixel_gain", GAIN * 3)], RunRange(5), **where).rehearse()
    open_, closed = {
        "store": ("0-end, S 2", "10-20, S 3"), "tree": ("0-end.data", "10-20.data")
    }[place]  # fmt: skip
    assert told(change.runs) == [
        (0, 4, open_, open_),
        (5, 9, open_, "new"),
        (10, 20, closed, closed),
        (21, math.inf, open_, "new"),
    ]
    assert [(each.first, each.last) for each in change.replaced] == [(5, 9), (21, math.inf)]


def test_of_equal_ranges_the_last_added_holds(plan, db):
    for factor in (1, 2, 3):
        plan(gains(factor)[:1], calib=None).commit()
    [change] = plan(gains(4)[:1], calib=None).rehearse()
    assert told(change.runs) == [
        (0, 6, "", ""),
        (7, math.inf, f"7-end, S {db.head}", "new"),
    ]
    plan(gains(4)[:1], calib=None).commit()
    assert seen(db, "pixel_gain")[0][0, 0] == 8


def test_what_is_hidden_from_all_runs_is_new_all_the_same(plan):
    plan(gains()[:1], RunRange(7), db=None).commit()
    [change] = plan(gains(2)[:1], RunRange(7, 9998), db=None).commit()
    assert change.is_new
    plan(gains(3)[:1], RunRange(0, 4), db=None).commit()
    [change] = plan(gains(4)[:1], RunRange(0, 4), db=None).rehearse()
    assert change.done.backup.name.startswith("0-4.data-")


def test_runs_are_compared_where_either_changes():
    def named(*names):
        return [CalibFile(Path(name), parse_name(name)) for name in names]

    assert told(compared(named("0-5.data", "3-8.data"), named("0-5.data"))) == [
        (0, 2, "0-5.data", "0-5.data"),
        (3, 5, "3-8.data", "0-5.data"),
        (6, 8, "3-8.data", ""),
        (9, math.inf, "", ""),
    ]


# What is refused -------------------------------------------------------------------------------


def test_a_plan_leads_somewhere(calib):
    asked = Asked.of(OPAL)
    with pytest.raises(BadQuestion, match="where to"):
        Plan(gains(), asked, FROM_7)
    with pytest.raises(BadName, match="is no source, and a tree"):
        Plan(gains(), Asked.of("opal1000_000001"), FROM_7, calib=calib)


def test_what_a_tree_refuses_is_refused_before_a_store_is_written(plan, db, calib):
    folder = lcls1.folder_of(calib, OPAL, "pixel_offset")
    folder.mkdir(parents=True)
    (folder / "7-9999.data").write_text("1\n")
    with pytest.raises(Refused, match="holds for the same runs"):
        plan().commit()
    assert (db.head, files(calib)[1:]) == (0, [])


# Stopped in the midst --------------------------------------------------------------------------


class Stopped(BaseException):
    """The process went away."""


@pytest.mark.parametrize("step", ["folder made", "part begun", "part written", "put", "noted"])
@pytest.mark.parametrize("file", [0, 1])
def test_a_plan_that_was_stopped_in_a_tree_is_finished_by_another(
    plan, db, calib, monkeypatch, step, file
):
    ctypes = ("pixel_gain", "pixel_offset")

    def stop(self, name):
        if name == step and self.ctype == ctypes[file]:
            raise Stopped

    monkeypatch.setattr(Deployment, "step", stop)
    with pytest.raises(Stopped):
        plan().commit()
    monkeypatch.undo()
    for found in calib.rglob("*.data"):
        assert text.read(found).tobytes() in (GAIN.tobytes(), OFFSET.tobytes())
    head = db.head
    plan().commit()
    assert db.head == head
    assert len(files(calib)) == 2


def test_rights_that_are_missing_say_so_and_the_rest_is_done_again(plan, db, calib, monkeypatch):
    def refuse(self):
        raise StoreRefused("no permission")

    monkeypatch.setattr(Deployment, "commit", refuse)
    with pytest.raises(StoreRefused):
        plan().commit()
    monkeypatch.undo()
    assert [change.is_new for change in plan().commit()] == [False, False, True, True]
    assert list(Check(db.journal).run()) == []


def test_all_that_is_told_is_json(plan):
    for change in plan().commit():
        assert json.loads(json.dumps(change.ready.as_source())) == change.ready.as_source()
