"""Several versions leave together or not at all, and any version is there by its id."""

import pytest

import cdb
from cdb.errors import NotFound, WrongState
from tests.conftest import EPIX

EXPERIMENT = "rixx45619"
NAMES = {"detector": EPIX, "experiment": EXPERIMENT, "ctype": "notes"}


@pytest.fixture
def db(any_db):
    return any_db


@pytest.fixture
def ids(db):
    """Three versions, events 1 to 3."""
    return [db.add(f"text {run}", run=run, **NAMES).id for run in (1, 2, 3)]


def live(db):
    """The ids that are live in each database."""
    places = ({"experiment": EXPERIMENT}, {})
    return [[v.id for v in db.find(detector=EPIX, **place)] for place in places]


def test_several_leave_in_one_event_with_their_copies(db, ids):
    gone = db.retire_all(ids[:2], reason="beam was on")
    assert [(version.id, version.state, version.out) for version in gone] == [
        (ids[0], "retired", 4),
        (ids[1], "retired", 4),
    ]
    assert (db.head, [len(found) for found in live(db)]) == (4, [1, 1])
    assert len(db.find(detector=EPIX, as_of=3)) == 3


def test_two_copies_of_one_deployment_leave_once(db, ids):
    copy = db.find(detector=EPIX)[0].id
    db.retire_all([ids[0], copy], reason="test")
    assert len(db.journal.event(4)["versions"]) == 2


def test_a_version_that_cannot_leave_keeps_all_others(db, ids):
    db.retire(ids[1], reason="test")
    with pytest.raises(WrongState, match=f"{ids[1]} has left already"):
        db.retire_all(ids, reason="test")
    with pytest.raises(NotFound, match=f"no version {'0' * 24} is known"):
        db.retire_all([ids[0], "0" * 24], reason="test")
    assert (db.head, live(db)[0]) == (4, [ids[0], ids[2]])


def test_a_rehearsal_of_retiring_several_writes_nothing(db, ids):
    assert [v.id for v in db.retire_all(ids, reason="test", dry_run=True)] == ids
    assert (db.head, len(live(db)[0])) == (3, 3)


def test_retiring_nothing_is_nothing(db, ids):
    assert db.retire_all([], reason="test") == []
    assert db.head == 3


def test_many_leave_at_once(tmp_path):
    """More than SQLite takes as a chain of conditions."""
    with cdb.open(tmp_path.as_uri()) as db:
        made = [db.add("text", run=run, **NAMES).id for run in range(1100)]
        db.retire_all(made, reason="test")
        assert live(db) == [[], []]


def test_a_version_is_there_by_its_id_before_and_after_it_left(db, ids):
    before = db.version_by_id(ids[0])
    assert (before.id, before.state, before.meta["run"]) == (ids[0], "live", 1)
    db.retire(ids[0], reason="test")
    assert (db.version_by_id(ids[0]).state, db.version_by_id(ids[0]).out) == ("retired", 4)


def test_the_id_of_a_copy_is_the_copys(db, ids):
    copy = db.find(detector=EPIX)[0]
    assert db.version_by_id(copy.id) == copy


def test_an_id_that_no_event_names_is_not_found(db, ids):
    with pytest.raises(NotFound, match="known to the journal"):
        db.version_by_id("0" * 24)
