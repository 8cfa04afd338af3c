"""Trees of LCLS-I taken in: afterwards every look-up answers what readers of the tree choose."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdb.database import Database
from cdb.errors import BadName, NotFound
from cdb.exchange.lcls1_import import Import
from cdb.files import lcls1, text
from cdb.stores import open_store
from cdb.stores.memory import MemoryStore
from tests.conftest import DATA
from tests.exchange.conftest import (
    CSPAD,
    EXPERIMENT,
    LISTINGS,
    PEDESTALS,
    array_text,
    edges_of,
    folders_of,
    ignore,
    write,
)


def take_in(db, calib, **how):
    return Import(db, calib, EXPERIMENT).run(**how)


def answer(db, source, ctype, **asked):
    try:
        return db.get(source, ctype, **asked)[0]
    except NotFound:
        return None


def check_choice(db, calib, runs=None):
    """Compare all look-ups with the choice of the tree's readers."""
    for folder in folders_of(calib):
        if folder.group != lcls1.group_of(folder.source):
            continue
        for run in runs or edges_of(calib):
            chosen = lcls1.choose_file(folder.path, run, report=ignore)
            for asked in ({"experiment": EXPERIMENT}, {}):
                got = answer(db, folder.source, folder.ctype, run=run, **asked)
                if chosen is None:
                    assert got is None, (folder, run)
                elif folder.ctype == "geometry":
                    assert got.encode("latin-1") == chosen.read_bytes()
                else:
                    np.testing.assert_array_equal(got, text.read(chosen), strict=True)


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


def test_look_ups_answer_what_readers_choose(any_db, calib):
    made = take_in(any_db, calib)
    assert (made.new, made.same, made.unreadable) == (16, 0, [])
    check_choice(any_db, calib, [2, 9, 12_000])
    again = take_in(any_db, calib)
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
    folder = calib / PEDESTALS
    bad = ["20-10.data", "1-END.data", "x-5.data", "5-99999.data"]
    for name in bad:
        write(folder / name, array_text(0))
    (folder / "77-77.data").mkdir()
    write(folder / "0-3.data", "1 2 3\n4 five 6\n")
    write(folder / "0-2.data", b"\x00\x01")
    write(calib / "CsPad::CalibV1/no source/pedestals/0-end.data", array_text(0))
    made = take_in(memory_db, calib)
    assert made.new == 16
    told = {each.path.name for each in made.passed_over}
    assert {*bad, "77-77.data", "no source"} <= told
    unreadable = {each.path.name: each.why for each in made.unreadable}
    assert unreadable.keys() == {"0-3.data", "0-2.data"}
    assert "line 2, column 3" in unreadable["0-3.data"]


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
