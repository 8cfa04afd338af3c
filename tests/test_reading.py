"""Questions over every store: what was not found, states of the past, others' documents."""

import time

import numpy as np
import pytest

from cdb.adoption import adopt, strangers
from cdb.database import Database
from cdb.errors import BadQuestion, NotFound, UnsafePayload
from tests.conftest import EPIX
from tests.programs import OtherProgram
from tests.service import behind

EXPERIMENT = "rixx45619"
NAMES = {"detector": EPIX, "experiment": EXPERIMENT, "ctype": "pedestals"}


@pytest.fixture
def db(any_db: Database) -> Database:
    return any_db


def get(db: Database, run: int = 7, **more):
    return db.get(EPIX, "pedestals", experiment=EXPERIMENT, run=run, **more)


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


def foreign(db: Database, number: int = 1, *, data: bytes = b"theirs", **fields) -> str:
    """Store a document as another program does; return its id."""
    blob = OtherProgram(behind(db).store).upload(data, database="cdb_rixx45619")
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
def test_documents_of_older_writers_are_read(db_of_others, fields, covers):
    db = db_of_others
    foreign(db, **fields)
    found = db.explain(EPIX, "pedestals", experiment=EXPERIMENT, run=7).winner
    assert (found is not None) is covers
    if covers:
        assert get(db)[0] == "theirs"
        assert db.find(detector=EPIX, experiment=EXPERIMENT)[0].state == "unadopted"
        det = db.detector(EPIX, experiment=EXPERIMENT, run=7)
        assert det.calibconst["pedestals"][0] == "theirs"


def test_many_documents_of_others_are_paged(db_of_others):
    db = db_of_others
    for number in range(1, 30):
        foreign(db, number, run=3, run_end="5")
    foreign(db, 99, run=2)
    db.add("ours", run=1, **NAMES)
    assert get(db)[1]["run"] == 2


def test_a_pickle_is_refused_unless_allowed(db_of_others):
    import pickle

    db = db_of_others
    foreign(db, data=pickle.dumps({"a": np.arange(3)}), data_type="any")
    with pytest.raises(UnsafePayload):
        get(db)
    assert get(db, allow_pickle=True)[0]["a"].tolist() == [0, 1, 2]


# Reads that others' writes overlap ---------------------------------------------------------------

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
