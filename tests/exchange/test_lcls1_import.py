"""Trees of LCLS-I taken in: afterwards every look-up answers what readers of the tree choose."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdb.database import Database
from cdb.errors import (
    BadFile,
    BadName,
    NotAllowed,
    NotFound,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
)
from cdb.exchange import lcls1_import
from cdb.exchange.lcls1_import import Import
from cdb.files import lcls1
from cdb.rights import Rights
from cdb.stores import open_store
from cdb.stores.memory import MemoryStore
from tests import service
from tests.conftest import DATA
from tests.exchange.conftest import (
    CSPAD,
    EXPERIMENT,
    LISTINGS,
    PEDESTALS,
    answer,
    array_text,
    check_choice,
    write,
)


def take_in(db, calib, **how):
    return Import(db, calib, EXPERIMENT).run(**how)


def logical(db):
    """Return what a store holds, without ids and times of writing."""
    found = []
    for known in db.detectors():
        for ctype in known["ctypes"]:
            for version in db.history(known["detector"], ctype, experiment=EXPERIMENT):
                told = version.meta["source"]
                found.append((
                    known["longname"], ctype, str(version.runs), version.sha256, version.state,
                    version.meta["time_sec"], version.meta["comment"], json.dumps(told),
                ))  # fmt: skip
    return sorted(found)


def test_look_ups_answer_what_readers_choose(quick_db, calib):
    made = take_in(quick_db, calib)
    assert (made.new, made.same, made.unreadable) == (16, 0, [])
    check_choice(quick_db, calib)
    again = take_in(quick_db, calib)
    assert (again.new, again.same, again.gone) == (0, 16, [])


@settings(max_examples=25, deadline=None)
@given(listings=st.tuples(LISTINGS, LISTINGS), later=LISTINGS)
def test_whatever_the_listing_is(tmp_path_factory, listings, later):
    calib = tmp_path_factory.mktemp("random") / "calib"
    for number, listing in enumerate(listings):
        for position, name in enumerate(listing):
            place = calib / f"CsPad::CalibV1/CxiDs{number + 1}.0:Cspad.0/pedestals"
            write(place / name, array_text(10 * number + position))
    calib.mkdir(exist_ok=True)
    db = Database(MemoryStore())
    take_in(db, calib)
    check_choice(db, calib)
    for position, name in enumerate(later):
        write(calib / PEDESTALS / name, array_text(100 + position))
    take_in(db, calib)
    check_choice(db, calib)
    assert take_in(db, calib).new == 0


def test_a_version_tells_of_its_file(memory_db, calib):
    take_in(memory_db, calib)
    meta = memory_db.get(CSPAD, "pedestals", experiment=EXPERIMENT, run=3)[1]
    told = meta["source"]
    assert meta["comment"] == "taken again: dark"
    assert (meta["run_orig"], meta["detname"]) == (8, CSPAD)
    assert meta["time_stamp"].startswith("2014-05-06T14:08:09")
    assert told["files"][0]["mtime_ns"] == 1_400_000_000 * 10**9
    assert told["lcls1"]["group"] == "CsPad::CalibV1"
    assert told["lcls1"]["history"]["user"] == "you"
    assert told["lcls1"]["comments"] == ["COMMENT  made up 1"]


def test_the_time_is_the_files_where_history_says_none(memory_db, calib):
    take_in(memory_db, calib)
    meta = memory_db.get(CSPAD, "center", experiment=EXPERIMENT)[1]
    assert meta["time_sec"] == 1_400_000_000


def test_backups_are_versions_that_never_were_in_force(memory_db, calib):
    take_in(memory_db, calib)
    versions = memory_db.history(CSPAD, "pedestals", experiment=EXPERIMENT)
    hidden = {v.meta["source"]["lcls1"]["name"]: v for v in versions if v.state == "retired"}
    assert sorted(hidden) == [
        "0-end.data-2014-05-06T07:08:09", "30-40.data-2014-05-06T07:08:09", "8-9999.data",
    ]  # fmt: skip
    first = hidden["0-end.data-2014-05-06T07:08:09"]
    assert first.meta["comment"] == "the first"
    assert "a backup in the tree" in first.note
    assert memory_db.restore(first.id, reason="it was right").state == "live"


def test_versions_are_in_the_order_of_their_times(memory_db, calib):
    take_in(memory_db, calib)
    versions = memory_db.history(CSPAD, "pedestals", experiment=EXPERIMENT)
    times = [version.time for version in reversed(versions)]
    assert times == sorted(times)


def test_history_is_a_constant_also_where_no_file_is_left(memory_db, calib):
    take_in(memory_db, calib)
    whole, _ = memory_db.get(CSPAD, "history-pedestals", experiment=EXPERIMENT)
    assert whole == (calib / PEDESTALS / "HISTORY").read_text()
    alone, _ = memory_db.get(CSPAD, "history-pixel_gain", experiment=EXPERIMENT)
    assert alone == "file:1-end.data cmd:rm"


def test_a_history_that_grew_is_a_new_version(memory_db, calib):
    take_in(memory_db, calib)
    with (calib / PEDESTALS / "HISTORY").open("a") as file:
        file.write("file:0-end.data cmd:rm comment:by mistake\n")
    made = take_in(memory_db, calib)
    assert (made.new, made.same) == (1, 15)
    assert memory_db.get(CSPAD, "history-pedestals")[0].endswith("by mistake\n")


def test_old_types_are_plain_arrays_under_their_name(memory_db, calib):
    take_in(memory_db, calib)
    center, _ = memory_db.get(CSPAD, "center", experiment=EXPERIMENT)
    np.testing.assert_array_equal(center, np.array([[1, 2, 3], [4, 5, 6]], np.float32), strict=True)
    mask, _ = memory_db.get(CSPAD, "pixel_mask", experiment=EXPERIMENT)
    np.testing.assert_array_equal(mask, np.array([1, 0, 1], np.uint8), strict=True)


def test_a_group_that_no_reader_looks_into_counts_where_it_is_the_only_one(memory_db, calib):
    take_in(memory_db, calib)
    istar = "XcsEndstation.0:iStar.0"
    assert answer(memory_db, istar, "pedestals", run=2) is None
    assert memory_db.get(istar, "pedestals", run=5)[0][0, 0] == 9
    assert memory_db.get(istar, "pixel_rms", run=5)[0][0, 0] == 10


def test_what_is_no_constant_is_told_and_hurts_nobody(memory_db, calib):
    bad = ["20-10.data", "1-END.data", "x-5.data", "5-99999.data"]
    for name in bad:
        write(calib / PEDESTALS / name, array_text(0))
    write(calib / "CsPad::CalibV1/no source/pedestals/0-end.data", array_text(0))
    made = take_in(memory_db, calib)
    assert (made.new, made.unreadable) == (16, [])
    assert {*bad, "no source"} <= {each.path.name for each in made.passed_over}


def spoil(calib):
    """Give a tree files that readers choose and cannot read: runs 2-4, 13-14, 50."""
    folder = calib / PEDESTALS
    write(folder / "2-4.data", "1 2 3\n4 five 6\n")
    (folder / "13-14.data").mkdir()
    (folder / "50-50.data").symlink_to("nowhere")
    write(folder / "20-3.data-2014-05-06T07:08:09", b"\x00\x01")


def test_where_a_file_cannot_be_read_nothing_stands_in_for_it(memory_db, calib):
    spoil(calib)
    made = take_in(memory_db, calib)
    why = {each.path.name: each.why for each in made.unreadable}
    assert sorted(why) == ["13-14.data", "2-4.data", "50-50.data"]
    assert "line 2, column 3" in why["2-4.data"]
    assert [(each.path.name, each.why) for each in made.stand_ins] == [
        ("2-4.data", "leaves runs 2-4 to 0-end.data"),
        ("13-14.data", "leaves runs 13-14 to 008-end.data"),
        ("50-50.data", "leaves runs 50-50 to 008-end.data"),
    ]
    assert len(made.withheld) == 4
    for run in (0, 3, 9, 50):
        assert answer(memory_db, CSPAD, "pedestals", run=run, experiment=EXPERIMENT) is None
    assert answer(memory_db, CSPAD, "center", run=3, experiment=EXPERIMENT) is not None
    assert len(memory_db.history(CSPAD, "pedestals", experiment=EXPERIMENT)) == 3  # the backups


def test_what_can_be_read_stands_in_on_request(memory_db, calib):
    spoil(calib)
    made = take_in(memory_db, calib, skip_unreadable=True)
    assert (made.new, len(made.unreadable), len(made.stand_ins), made.withheld) == (16, 3, 3, [])
    assert memory_db.get(CSPAD, "pedestals", experiment=EXPERIMENT, run=3)[0][0, 0] == 1


def test_a_file_that_was_mended_brings_what_was_withheld(memory_db, calib):
    bad = write(calib / PEDESTALS / "6-6.data", "1 x")
    assert len(take_in(memory_db, calib).withheld) == 4
    write(bad, array_text(66))
    made = take_in(memory_db, calib)
    assert (made.new, made.withheld) == (5, [])
    check_choice(memory_db, calib)


def test_an_unreadable_file_that_nobody_stands_in_for_holds_nothing_back(memory_db, calib):
    write(calib / f"CsPad::CalibV1/{CSPAD}/center/0-0.data", "1 x")
    write(calib / f"CsPad::CalibV1/{CSPAD}/center/1-end.data-2014-05-06T07:08:09", "1 x")
    made = take_in(memory_db, calib)
    assert (made.new, len(made.unreadable), made.stand_ins, made.withheld) == (16, 2, [], [])


def test_a_folder_that_may_not_be_read_is_told(memory_db, calib, monkeypatch):
    import cdb.exchange.lcls1_tree as module

    def listdir(path):
        if Path(path).name == "center":
            raise PermissionError(13, "Permission denied")
        return os_listdir(path)

    os_listdir = os.listdir
    take_in(memory_db, calib)
    monkeypatch.setattr(module.os, "listdir", listdir)
    made = take_in(memory_db, calib, retire_gone=True)
    assert [(each.path.name, each.why) for each in made.unreadable] == [
        ("center", "cannot be read: Permission denied")
    ]
    assert (made.gone, made.retired) == ([], 0)


def test_a_file_that_is_written_to_meanwhile_is_not_taken(memory_db, calib):
    plan = Import(memory_db, calib, EXPERIMENT)
    write(calib / PEDESTALS / "5-20.data", array_text(2)[:-9])
    (calib / f"CsPad::CalibV1/{CSPAD}/center/1-end.data").unlink()
    made = plan.run()
    assert {each.path.name: each.why for each in made.unreadable} == {
        "5-20.data": "was written to since the import began; import again",
        "1-end.data": "cannot be read: No such file or directory",
    }
    assert answer(memory_db, CSPAD, "pedestals", run=6) is None


@pytest.mark.parametrize("error", [StoreFull("no space"), StoreUnavailable("gone"),
                                   NotAllowed("not yours"), StoreRefused("no")])  # fmt: skip
def test_trouble_of_the_store_is_no_trouble_of_a_file(memory_db, calib, monkeypatch, error):
    def deploy(*_, **__):
        raise error

    monkeypatch.setattr(memory_db, "deploy", deploy)
    with pytest.raises(type(error)):
        take_in(memory_db, calib)


@pytest.mark.parametrize(
    ("line", "comment"),
    [
        (b"comment:5 \xb5m", "5 \xb5m"),
        (b"comment:" + b"x" * 3_000_000, "x" * 2**16),
        (b"user:a\0b comment:5", "5"),
        (b"cptime:0001-01-01T00:00:00 zone:GMT comment:1", "1"),
        (b"cptime:1960-01-01T00:00:00 zone:PST comment:1", "1"),
        (b"cptime:2014-01-01T00:00:00 zone:CEST comment:1", "1"),
        (b"run:99999999999 _id:7 seq:8 comment:1", "1"),
    ],
)
def test_no_history_keeps_a_constant_out(memory_db, tmp_path, line, comment):
    calib = tmp_path / "calib"
    write(calib / PEDESTALS / "0-end.data", array_text(1))
    text = write(calib / PEDESTALS / "HISTORY", b"file:0-end.data " + line).read_bytes()
    assert take_in(memory_db, calib).new == 2
    meta = memory_db.get(CSPAD, "pedestals", experiment=EXPERIMENT)[1]
    assert (meta["comment"], meta["time_sec"]) == (comment, 1_400_000_000)
    kept = memory_db.get(CSPAD, "history-pedestals", experiment=EXPERIMENT)[0]
    assert kept.encode("latin-1") == text
    assert take_in(memory_db, calib).same == 2


def test_a_file_that_came_back_does_not_say_why_it_was_removed(memory_db, tmp_path):
    calib = tmp_path / "calib"
    write(calib / PEDESTALS / "0-end.data", array_text(1))
    line = b"file:0-end.data cmd:rm comment:beam was on user:me cptime:2016-01-02T03:04:05"
    write(calib / PEDESTALS / "HISTORY", line)
    take_in(memory_db, calib)
    meta = memory_db.get(CSPAD, "pedestals", experiment=EXPERIMENT)[1]
    assert ("beam" in meta["comment"], meta["time_sec"]) == (False, 1_400_000_000)


@pytest.mark.parametrize("stamp", ["0001-01-02T00:00:00", "1960-01-01T00:00:00"])
def test_a_backup_from_before_all_times_has_that_of_its_file(memory_db, tmp_path, stamp):
    name = f"0-end.data-{stamp}"
    calib = tmp_path / "calib"
    write(calib / PEDESTALS / name, array_text(1))
    write(calib / PEDESTALS / "0-end.data", array_text(2), time=-1000)
    assert take_in(memory_db, calib).new == 2
    versions = memory_db.history(CSPAD, "pedestals", experiment=EXPERIMENT)
    assert sorted(v.meta["time_sec"] for v in versions) == [1, 1_400_000_000]


def test_a_large_file_is_read_again_rather_than_kept(memory_db, calib, monkeypatch):
    monkeypatch.setattr(lcls1_import, "KEPT", 20)
    assert take_in(memory_db, calib).new == 16
    check_choice(memory_db, calib, [9])


def test_a_source_that_the_register_would_take_for_another_is_told(memory_db, calib):
    memory_db.add("x", detector="cspad_a_b:Cspad.0", ctype="notes")
    write(calib / "CsPad::CalibV1/b:Cspad.0/pedestals/0-end.data", array_text(0))
    made = take_in(memory_db, calib)
    assert [each.path.parts[-3] for each in made.unreadable] == ["b:Cspad.0"]
    assert "would be taken for cspad_000001" in made.unreadable[0].why


def test_nothing_is_held_back_by_the_rules_and_what_they_find_is_kept(memory_db, tmp_path):
    threes = "# DTYPE float32\n# NDIM 2\n# DIM:0 704\n# DIM:1 768\n" + "3 " * (704 * 768)
    source = "XppGon.0:Epix100a.1"
    write(tmp_path / f"calib/Epix100a::CalibV1/{source}/pixel_rms/0-end.data", threes)
    assert take_in(memory_db, tmp_path / "calib").new == 1
    version = memory_db.version(source, "pixel_rms", experiment=EXPERIMENT)
    assert (version.state, version.findings[0]["code"]) == ("live", "constant")
    assert memory_db.quarantined() == []


def test_a_dry_run_says_the_same_and_writes_nothing(memory_db, calib):
    told = take_in(memory_db, calib, dry_run=True)
    assert (told.new, told.same, memory_db.head) == (16, 0, 0)
    assert memory_db.store.databases() == []


def test_what_was_retired_here_is_not_brought_back(memory_db, calib):
    take_in(memory_db, calib)
    version = memory_db.version(CSPAD, "center", experiment=EXPERIMENT)
    memory_db.retire(version.id, reason="wrong")
    assert take_in(memory_db, calib).new == 0
    assert answer(memory_db, CSPAD, "center") is None


def test_what_was_deployed_here_stays_in_force(memory_db, calib):
    take_in(memory_db, calib)
    memory_db.add(
        np.ones(3, "float32"), detector=CSPAD, ctype="center", experiment=EXPERIMENT, run=1
    )
    assert take_in(memory_db, calib).new == 0
    assert memory_db.get(CSPAD, "center", experiment=EXPERIMENT)[0].tolist() == [1, 1, 1]


def test_a_file_that_left_the_tree_is_told(memory_db, calib):
    take_in(memory_db, calib)
    (calib / PEDESTALS / "8-12.data").unlink()
    assert take_in(memory_db, calib).gone == [f"{PEDESTALS}/8-12.data"]


def test_what_left_the_tree_is_retired_on_request(memory_db, calib):
    take_in(memory_db, calib)
    narrow, center = calib / PEDESTALS / "8-12.data", calib / f"CsPad::CalibV1/{CSPAD}/center"
    text, head = narrow.read_bytes(), memory_db.head
    narrow.unlink()
    shutil.rmtree(center)
    (calib / PEDESTALS / "HISTORY").unlink()
    plan = take_in(memory_db, calib, retire_gone=True, dry_run=True)
    assert (plan.retired, len(plan.gone), memory_db.head) == (2, 3, head)
    assert take_in(memory_db, calib, retire_gone=True).retired == 2
    assert memory_db.head == head + 1
    check_choice(memory_db, calib)
    assert "file:0-end" in memory_db.get(CSPAD, "history-pedestals", experiment=EXPERIMENT)[0]
    write(narrow, text)
    assert take_in(memory_db, calib, retire_gone=True).new == 1
    check_choice(memory_db, calib)


def test_nothing_is_retired_while_files_cannot_be_read(memory_db, calib):
    take_in(memory_db, calib)
    (calib / PEDESTALS / "8-12.data").unlink()
    write(calib / f"CsPad::CalibV1/{CSPAD}/center/1-end.data", "1 x")
    assert take_in(memory_db, calib, retire_gone=True).retired == 0
    assert take_in(memory_db, calib, retire_gone=True, skip_unreadable=True).retired == 1


def test_a_deployment_is_one_event_for_both_databases(memory_db, calib):
    take_in(memory_db, calib)
    version = memory_db.version(CSPAD, "center", experiment=EXPERIMENT)
    entries = memory_db.journal.event(version.seq)["versions"]
    assert [made["database"] for made in entries] == [f"cdb_{EXPERIMENT}", "cdb_cspad_000001"]


def test_the_tree_must_be_there(memory_db, tmp_path):
    with pytest.raises(NotFound, match="give the path"):
        take_in(memory_db, tmp_path / "none")
    with pytest.raises(BadName):
        Import(memory_db, tmp_path, "a/b")
    with pytest.raises(BadFile, match="holds no constants of LCLS-I.* as /path/calib"):
        take_in(memory_db, tmp_path)
    (tmp_path / "calib").mkdir()
    with pytest.raises(BadFile, match=f"as {tmp_path}/calib"):
        take_in(memory_db, tmp_path)
    assert take_in(memory_db, tmp_path / "calib").new == 0


class Killed(BaseException):
    """The writer is gone."""


@pytest.mark.parametrize("kind", ["memory", "pending", "embedded"])
def test_an_import_killed_anywhere_goes_on_to_the_same_state(kind, calib, tmp_path):
    """Killed at every third step, again and again, until it comes through."""
    shutil.rmtree(calib / f"CsPad::CalibV1/{CSPAD}/pixel_mask")
    whole = Database(MemoryStore())
    take_in(whole, calib)
    url = (tmp_path / "store").as_uri()
    store = open_store(url) if kind == "embedded" else MemoryStore(transactional=kind == "memory")
    kills = 0
    while True:
        steps = 0

        def step(_, at=7 + kills % 5):
            nonlocal steps
            steps += 1
            if steps == at:
                raise Killed

        try:
            take_in(Database(store, step=step), calib)
            break
        except Killed:
            kills += 1
    db = Database(store)
    assert kills > 8
    assert logical(db) == logical(whole)
    check_choice(db, calib)
    assert take_in(db, calib).new == 0


@pytest.mark.skipif(not DATA.is_dir(), reason="the real tree is not here")
def test_the_real_tree(memory_db):
    tree = DATA / "lcls1-calib"
    made = take_in(memory_db, tree)
    assert (made.new, made.unreadable, made.passed_over) == (8, [], [])
    status, _ = memory_db.get("epix100a_0016", "pixel_status", experiment=EXPERIMENT, run=137)
    assert (status.dtype, status.shape) == (np.uint64, (704, 768))
    for source in ("XcsEndstation.0:Epix10kaQuad.0", "CxiDs1.0:Jungfrau.0", "XppGon.0:Epix100a.1"):
        chosen = lcls1.choose_file(lcls1.folder_of(tree, source, "geometry"), 7)
        found, _ = memory_db.get(source, "geometry", experiment=EXPERIMENT, run=7)
        assert found == Path(chosen).read_text()


def test_what_a_laboratory_refuses_is_told(calib, tmp_path):
    lab = tmp_path / "lab.toml"
    lab.write_text("[cspad.geometry]\nkind = { is = 'array', severity = 'refuse' }")
    made = take_in(Database(MemoryStore(), gates=lab), calib)
    assert made.new == 15
    assert "is refused" in made.unreadable[0].why


def test_the_versions_of_a_dcs_file_hold_by_time(memory_db, calib):
    from tests.files.hdf5_files import write_dcs

    (calib / "epix100a").mkdir()
    one, two, three = (np.full((2, 2), value, "float32") for value in (1, 2, 3))
    ranges = [(1474587520.5, 1474600000, {1: one, 2: two}), (1474700000, "end", {1: three})]
    write_dcs(calib / "epix100a" / "epix100a-3925868555.h5", {"pedestals": ranges})
    (calib / "epix100a" / "other.h5").write_bytes(b"no HDF5")
    (calib / "epix100a" / "epix100a-77.h5").write_bytes(b"no HDF5")
    made = take_in(memory_db, calib)
    assert (made.new, [each.path.name for each in made.passed_over][-1]) == (19, "other.h5")
    assert [each.path.name for each in made.unreadable] == ["epix100a-77.h5"]
    which = {"detector": "epix100a_3925868555", "ctype": "pedestals", "experiment": EXPERIMENT}
    for time, value in ((1474600000, 2), (1474700001, 3)):
        assert memory_db.get(**which, run=7, time=time)[0][0, 0] == value
    states = [version.state for version in memory_db.history(**which)]
    assert sorted(states) == ["live", "live", "retired"]
    assert memory_db.get(**which, time=1474600000)[1]["valid_until"].startswith("2016-09-23T03:06")
    assert take_in(memory_db, calib).new == 0


@pytest.mark.parametrize("size", [2, 300_000])
def test_who_may_not_write_leaves_nothing_behind(tmp_path, size):
    calib = tmp_path / "calib"
    write(calib / PEDESTALS / "0-end.data", "1 " * size)
    store = MemoryStore()
    with service.serving(store) as served:
        served.settings.rights["guest"] = Rights(read=("*",), write=("cdb_other",))
        with (
            service.remote(served, None, "guest") as db,
            pytest.raises(NotAllowed, match="may not write"),
        ):
            take_in(db, calib)
    assert (Database(store).head, store.databases()) == (0, [])


def test_two_imports_at_once_add_each_file_once(calib):
    """The second looks before the first has written anything."""
    store = MemoryStore()
    one, two = (Database(store) for _ in range(2))
    history = two.history
    two.history = lambda *_, **__: []
    take_in(one, calib)
    take_in(two, calib)
    two.history = history
    names = [v.meta["source"]["lcls1"]["name"] for v in history(CSPAD, "pedestals",
             experiment=EXPERIMENT)]  # fmt: skip
    assert sorted(names) == sorted(set(names))
    check_choice(two, calib)
    assert Import(two, calib, "cxi12345").run().new == 16  # the same files of another experiment
