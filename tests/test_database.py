"""The Python API over every store: add, find, get, retire, amend."""

import hashlib
import json
import time

import numpy as np
import pytest

import cdb
from cdb.adoption import adopt, strangers
from cdb.database import Database, locate
from cdb.errors import (
    BadName,
    BadQuestion,
    BadRun,
    BadTime,
    Corrupt,
    NotFound,
    UnsafePayload,
    WrongState,
)
from tests.programs import OtherProgram
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


def test_not_found_names_the_types_and_places(db):
    db.add("x", **{**NAMES, "ctype": "geometry"})
    with pytest.raises(KeyError) as caught:
        get(db)
    assert str(caught.value) == (
        "no pedestals of epix_000001 run 7 in cdb_rixx45619, cdb_epix_000001; "
        "types there are: geometry"
    )


def test_not_found_names_the_first_runs_there_are(db):
    db.add("x", run=50, **NAMES)
    with pytest.raises(NotFound, match="known first runs: 50"):
        db.get(EPIX, "pedestals", run=7)


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


# As of -------------------------------------------------------------------------------------------


def test_answers_as_of_an_event_or_a_time(db):
    db.add("a", **NAMES)
    db.add("b", **NAMES)
    at = behind(db).journal.event(1)["at"]
    assert get(db, as_of=1)[0] == "a"
    assert get(db, as_of=at / 1e6 + 1e-6)[0] == "a"
    assert get(db, as_of="2100-01-01T00:00:00Z")[0] == "b"
    with pytest.raises(NotFound):
        get(db, as_of=0)
    with pytest.raises(BadQuestion, match="the last event is 2"):
        get(db, as_of=3)


# What others wrote -------------------------------------------------------------------------------


def upload(db: Database, data: bytes) -> str:
    if behind(db) is not db:
        pytest.skip("an embedded store has no bytes without a digest; tests/test_remote.py has")
    sha256 = hashlib.sha256(data).hexdigest()
    return behind(db).store.write("cdb_rixx45619", data, sha256=sha256, head=0)


def foreign(db: Database, number: int = 1, **fields) -> str:
    """Store a document as another program does; return its id."""
    blob = upload(db, b"theirs")
    document = {"_id": f"60000000{number:016x}", "detector": EPIX, "ctype": "pedestals",
                "id_data": blob, "data_type": "str", "run": 0, **fields}  # fmt: skip
    behind(db).store.insert("cdb_rixx45619", EPIX, [document])
    return document["_id"]


@pytest.mark.parametrize(
    ("fields", "covers"),
    [({}, True), ({"run_end": "end"}, True), ({"run_end": 9}, True), ({"run_end": "9"}, True),
     ({"run_end": "3"}, False), ({"run_end": "garbage"}, False), ({"run": "0"}, False),
     ({"run_end": 9999}, True)],
)  # fmt: skip
def test_documents_of_older_writers_are_read(db, fields, covers):
    foreign(db, **fields)
    found = db.explain(EPIX, "pedestals", experiment=EXPERIMENT, run=7).winner
    assert (found is not None) is covers
    if covers:
        assert get(db)[0] == "theirs"
        assert db.find(detector=EPIX, experiment=EXPERIMENT)[0].state == "unadopted"
        det = db.detector(EPIX, experiment=EXPERIMENT, run=7)
        assert det.calibconst["pedestals"][0] == "theirs"


def test_many_documents_of_others_are_paged(db):
    for number in range(1, 30):
        foreign(db, number, run=3, run_end="5")
    foreign(db, 99, run=2)
    db.add("ours", run=1, **NAMES)
    assert get(db)[1]["run"] == 2


def test_a_pickle_is_refused_unless_allowed(db):
    import pickle

    data = pickle.dumps({"a": np.arange(3)})
    blob = upload(db, data)
    foreign(db, id_data=blob, data_type="any")
    with pytest.raises(UnsafePayload):
        get(db)
    assert get(db, allow_pickle=True)[0]["a"].tolist() == [0, 1, 2]


def test_damaged_payloads_are_never_returned(tmp_path):
    with cdb.open((tmp_path / "store").as_uri()) as db:
        version = db.add("precious", **NAMES)
        path = db.store.payloads / version.sha256[:2] / version.sha256
        path.chmod(0o600)
        path.write_bytes(b"worthless"[:8])
        with pytest.raises(Corrupt, match="damaged"):
            get(db)
        from cdb.fsck import Check

        found = list(Check(behind(db).journal, payloads=True).run())
        assert {(f.kind, f.mended) for f in found} == {("payload", False)}


# Opening -----------------------------------------------------------------------------------------


def test_the_address_is_given_or_in_the_environment_or_the_default(monkeypatch):
    monkeypatch.setenv("CDB_URL", "memory://")
    assert locate("file:///x") == ("file:///x", "given")
    assert locate() == ("memory://", "from CDB_URL")
    monkeypatch.delenv("CDB_URL")
    assert locate()[0].startswith("file:///")


@pytest.mark.parametrize("url", ["http//x", "ftp://x", "mongo:27017", "file://host/x", ""])
def test_unknown_addresses_are_refused(url):
    from cdb.stores import open_store

    with pytest.raises(BadName, match="mongodb://"):
        open_store(url)


def test_opening_touches_nothing(tmp_path):
    with cdb.open((tmp_path / "store").as_uri()) as db:
        assert db.head == 0
        assert db.find(detector=EPIX) == []
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_down_is_said_within_five_seconds():
    import time

    begin = time.monotonic()
    with cdb.open("mongodb://127.0.0.1:1/") as db, pytest.raises(ConnectionError) as caught:
        db.head  # noqa: B018
    assert time.monotonic() - begin < 5
    assert "mongodb://127.0.0.1:1" in str(caught.value)
    assert "check that the server runs" in str(caught.value)


def test_a_lost_payload_is_corrupt_and_not_a_missing_constant(db, peds):
    version = db.add(peds, run=1, **NAMES)
    OtherProgram(behind(db).store).lose(version.database, version.meta["id_data"])
    det = db.detector(EPIX, experiment=EXPERIMENT, run=1)
    with pytest.raises(Corrupt, match="adding the data again heals"):
        det.calibconst.get("pedestals")


def test_adding_lost_data_again_heals(db, peds):
    version = db.add(peds, run=1, **NAMES)
    OtherProgram(behind(db).store).lose(version.database, version.meta["id_data"])
    healed = db.add(peds, run=1, **NAMES)
    assert healed.new
    assert np.array_equal(db.get(EPIX, "pedestals", experiment=EXPERIMENT, run=1)[0], peds)


def test_adding_damaged_data_again_heals(db, peds):
    version = db.add(peds, run=1, **NAMES)
    OtherProgram(behind(db).store).flip_a_byte(version.database, version.meta["id_data"])
    assert db.add(peds, run=1, again=True, **NAMES).new
    assert np.array_equal(db.get(EPIX, "pedestals", experiment=EXPERIMENT, run=1)[0], peds)


@pytest.mark.mongo
def test_a_large_payload_comes_back_over_the_wire(mongo_url):
    array = np.random.default_rng(1).integers(0, 255, 100 * 2**20, dtype="uint8")
    with cdb.open(mongo_url) as db:
        db.add(array, detector=EPIX, ctype="pixel_bkgd")
        assert np.array_equal(db.get(EPIX, "pixel_bkgd")[0], array)


# reads that others' writes overlap ---------------------------------------------------------------

READS = {
    "get": lambda db: db.get(EPIX, "notes", experiment="xpp1")[0],
    "find": lambda db: [db.data(v) for v in db.find(detector=EPIX, experiment="xpp1")][0],
    "detector": lambda db: db.detector(EPIX, experiment="xpp1").calibconst["notes"][0],
}


def overlapped(db: Database, write) -> Database:
    """Return a database that sees an older head, since `write` happens right after it looked."""
    reader = Database(behind(db).store)
    look, looks = reader.journal._ask_head, iter([write])

    def look_then_write():
        head = look()
        next(looks, lambda: None)()
        return head

    reader.journal._ask_head = look_then_write
    return reader


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_read_that_an_amend_overlaps_finds_the_version_as_it_was(db, read):
    version = db.add("ours", detector=EPIX, ctype="notes", experiment="xpp1")
    reader = overlapped(db, lambda: db.amend(version.id, comment="mended"))
    assert read(reader) == "ours"


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_read_that_an_adoption_overlaps_finds_the_document_still(db, read):
    OtherProgram(behind(db).store).insert("theirs", second=int(time.time()) + 2)
    reader = overlapped(db, lambda: adopt(behind(db).journal, list(strangers(behind(db).journal))))
    assert read(reader) == "theirs"
