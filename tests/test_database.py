"""The Python API over every store: add, find, get, retire, amend."""

import hashlib
import json

import numpy as np
import pytest

from cdb.database import Database
from cdb.errors import (
    BadName,
    BadQuestion,
    BadRun,
    BadTime,
    NotFound,
    WrongState,
)
from tests.service import behind

EPIX, EXPERIMENT = "epix_000001", "rixx45619"
NAMES = {"detector": EPIX, "experiment": EXPERIMENT, "ctype": "pedestals"}
TIME = "2021-10-01T00:00:00-0800"
# Reference lcls2-cdb, 1.2: all fields of an array's document, with their types.
FIELDS = {
    "_id": str, "experiment": str, "run": int, "run_end": str, "detector": str, "ctype": str,
    "dtype": str, "time_sec": int, "time_stamp": str, "version": str, "comment": str, "uid": str,
    "host": str, "cwd": str, "id_data": str, "id_doc_exp": int, "id_data_exp": int,
    "detname": str, "longname": str, "shortname": str, "dettype": str, "run_orig": int,
    "tstamp_orig": str, "iofname": str, "extpars": str, "data_type": str, "data_dtype": str,
    "data_shape": str, "data_ndim": str, "data_size": str,
}  # fmt: skip


@pytest.fixture
def db(any_db: Database) -> Database:
    return any_db


@pytest.fixture
def peds() -> np.ndarray:
    return np.arange(24, dtype="float32").reshape(2, 3, 4)


def get(db: Database, run: int = 7, **more):
    return db.get(EPIX, "pedestals", experiment=EXPERIMENT, run=run, **more)


def test_gives_back_what_was_added(db, peds):
    version = db.add(peds, run=5, time=TIME, **NAMES)
    data, meta = get(db)
    np.testing.assert_array_equal(data, peds)
    assert (data.dtype, data.flags.writeable) == (peds.dtype, False)
    assert meta["_id"] == version.id
    assert version.sha256 == hashlib.sha256(peds.tobytes()).hexdigest()
    assert (version.new, version.seq, db.head) == (True, 1, 1)


def test_the_document_is_lcls2s(db, peds):
    meta = db.add(peds, run=5, time=TIME, **NAMES).meta
    assert {name: type(meta[name]) for name in FIELDS} == FIELDS
    assert len(FIELDS) == 30
    assert meta["time_sec"] == 1_633_075_200
    assert (meta["run"], meta["run_end"], meta["end"]) == (5, "end", 2**53)
    assert (meta["data_shape"], meta["data_ndim"], meta["data_size"]) == ("(2, 3, 4)", "3", "24")
    assert (meta["detector"], meta["shortname"], meta["dettype"]) == (EPIX, EPIX, "epix")
    assert (meta["id_doc_exp"], meta["id_data_exp"]) == (0, 0)
    assert set(json.loads(meta["extpars"])) == {"content", "command"}


def test_a_deployment_goes_to_experiment_and_detector(db, peds):
    version = db.add(peds, **NAMES)
    (own,) = db.find(detector=EPIX, experiment=EXPERIMENT)
    (copy,) = db.find(detector=EPIX)
    assert (own.id, own.database) == (version.id, "cdb_rixx45619")
    assert (copy.database, copy.meta["id_doc_exp"]) == ("cdb_epix_000001", version.id)
    assert copy.meta["id_data_exp"] == own.meta["id_data"]
    np.testing.assert_array_equal(db.data(copy), peds)


def test_a_private_constant_goes_to_its_own_database_only(db):
    version = db.add("x", dbsuffix="mytest", **NAMES)
    assert version.database == "cdb_epix_000001_mytest"
    assert version.meta["id_doc_exp"] == version.meta["id_data_exp"] == "N/A"
    assert db.find(detector=EPIX) == []
    assert get(db, dbsuffix="mytest")[0] == "x"


def test_the_fields_of_the_document_are_given_by_name(db):
    wanted = {"run_orig": 3, "detname": "epixquad", "iofname": "a.txt", "version": "V2",
              "comment": "c", "unit": "ADU", "source": {"runs": [3]}}  # fmt: skip
    version = db.add("x", extpars={"a": 1}, **wanted, **NAMES)
    assert {name: version.meta[name] for name in wanted} == wanted
    assert json.loads(version.meta["extpars"])["a"] == 1


@pytest.mark.parametrize("data", ["text", {"a": [1, 2.5, None]}, [1, 2], 7, b"bytes", np.zeros(0)])
def test_anything_reasonable_comes_back(db, data):
    db.add(data, **NAMES)
    found = get(db)[0]
    assert type(found) is type(data)
    np.testing.assert_array_equal(found, data)


def test_equal_payloads_are_stored_once_in_a_database(db, peds):
    first = db.add(peds, run=1, **NAMES)
    second = db.add(peds, run=2, **NAMES)
    other = db.add(peds, detector="epix_000002", experiment=EXPERIMENT, ctype="pedestals")
    assert first.meta["id_data"] == second.meta["id_data"] == other.meta["id_data"]
    assert len(list(behind(db).store.blobs("cdb_rixx45619"))) == 1


def test_the_same_added_again_is_the_same_version(db, peds):
    first = db.add(peds, run=5, time=TIME, **NAMES)
    again = db.add(peds.copy(), run=5, time=TIME, **NAMES)
    without_time = db.add(peds, run=5, **NAMES)
    assert [again.id, without_time.id] == [first.id] * 2
    assert (again.new, without_time.new, db.head) == (False, False, 1)


@pytest.mark.parametrize(
    "change",
    [{"run": 6}, {"run_end": 9}, {"version": "V2"}, {"time": "2022-01-01T00:00:00Z"},
     {"again": True}, {"ctype": "pixel_rms"}, {"experiment": None}, {"data": np.zeros(2)}],
)  # fmt: skip
def test_anything_else_is_a_new_version(db, peds, change):
    given = {"data": peds, "run": 5, "time": TIME, **NAMES}
    db.add(**given)
    assert db.add(**{**given, **change}).new


def test_what_was_superseded_comes_into_force_when_added_again(db):
    db.add("a", run=5, **NAMES)
    db.add("b", run=5, **NAMES)
    assert db.add("a", run=5, **NAMES).new
    assert get(db)[0] == "a"


def test_dry_run_writes_nothing(db, peds):
    version = db.add(peds, run=5, dry_run=True, **NAMES)
    assert (version.new, version.meta["data_shape"]) == (True, "(2, 3, 4)")
    assert (db.head, behind(db).store.databases()) == (0, [])
    first = db.add(peds, run=5, **NAMES)
    db.retire(first.id, reason="test", dry_run=True)
    db.amend(first.id, comment="x", dry_run=True)
    assert (db.head, get(db)[1]["comment"]) == (1, "no comment")


@pytest.mark.parametrize(
    ("change", "error"),
    [({"run": 5, "run_end": 4}, BadRun), ({"run": -1}, BadRun), ({"time": "yesterday"}, BadTime),
     ({"time": "2021-10-01T00:00:00"}, BadTime), ({"detector": "../x_000001"}, BadName),
     ({"experiment": "a/b"}, BadName), ({"experiment": "epix_000002"}, BadName),
     ({"ctype": "$where"}, BadName), ({"dbsuffix": "a b"}, BadName),
     ({"experiment": "x" * 200}, BadName), ({"detector": "retired:epix_000001"}, BadName)],
)  # fmt: skip
def test_bad_input_leaves_nothing_behind(db, change, error):
    with pytest.raises(error) as caught:
        db.add(**{"data": "x", **NAMES, **change})
    assert "\n" not in str(caught.value)
    assert (db.head, behind(db).store.databases()) == (0, [])


# Retire, restore, amend --------------------------------------------------------------------------


def test_a_retired_version_is_not_found_but_the_past_stays(db):
    version = db.add("x", **NAMES)
    gone = db.retire(version.id, reason="beam was on")
    assert (gone.state, gone.out) == ("retired", 2)
    for asked in ({}, {"experiment": EXPERIMENT}):
        with pytest.raises(NotFound):
            db.get(EPIX, "pedestals", run=7, **asked)
        assert db.get(EPIX, "pedestals", run=7, as_of=1, **asked)[0] == "x"
    (told,) = db.history(EPIX, "pedestals", experiment=EXPERIMENT)
    assert told.state == "retired"
    assert "beam was on" in told.note


def test_the_past_does_not_tell_what_came_later(db):
    version = db.add("x", **NAMES)
    before = get(db)[1]
    db.retire(version.id, reason="test")
    assert get(db, as_of=1)[1] == before


def test_a_restored_version_keeps_its_place(db):
    old = db.add("old", run=5, **NAMES)
    db.add("new", run=5, **NAMES)
    db.retire(old.id, reason="test")
    restored = db.restore(old.id, reason="it was right")
    assert get(db)[0] == "new"
    assert (restored.meta["order"], restored.meta["first"]) == (old.meta["order"], old.id)
    assert len(db.find(detector=EPIX)) == 2


def test_an_amended_version_keeps_place_and_payload(db):
    old = db.add("old", run=5, **NAMES)
    db.add("new", run=5, **NAMES)
    amended = db.amend(old.id, comment="better said", run_end=20, reason="was too wide")
    assert get(db, run=21)[0] == "new"
    assert get(db, run=6)[0] == "old"
    assert amended.meta["comment"] == "better said"
    assert (amended.meta["replaces"], amended.meta["id_data"]) == (old.id, old.meta["id_data"])
    assert get(db, run=6, as_of=2)[0] == "new"
    copies = [v.meta["run_end"] for v in db.find(detector=EPIX)]
    assert copies == ["20", "end"]


def test_any_copys_id_will_do(db):
    db.add("x", **NAMES)
    (copy,) = db.find(detector=EPIX)
    db.retire(copy.id, reason="test")
    assert db.find(detector=EPIX, experiment=EXPERIMENT) == []


def test_what_has_left_cannot_leave_again(db):
    old = db.add("x", **NAMES)
    new = db.amend(old.id, comment="y")
    for call in (db.retire, db.restore):
        with pytest.raises(WrongState, match=new.id):
            call(old.id, reason="test")
    with pytest.raises(WrongState, match=new.id):
        db.amend(old.id, comment="z")
    with pytest.raises(WrongState, match="not retired"):
        db.restore(new.id, reason="test")


def test_a_restored_version_is_restored_once(db):
    old = db.add("x", **NAMES)
    db.retire(old.id, reason="test")
    new = db.restore(old.id, reason="test")
    with pytest.raises(WrongState, match=new.id):
        db.restore(old.id, reason="test")


def test_a_reason_is_needed(db):
    version = db.add("x", **NAMES)
    with pytest.raises(BadQuestion, match="reason"):
        db.retire(version.id, reason=" ")


def test_unknown_ids_are_not_found(db):
    with pytest.raises(NotFound, match="known to the journal"):
        db.retire("0" * 24, reason="test")


def test_amending_nothing_is_refused(db):
    version = db.add("x", **NAMES)
    with pytest.raises(BadQuestion, match="nothing to change"):
        db.amend(version.id)
