"""Documents of other programs are taken in: their place and who sees them when stay the same."""

import pytest

from cdb import adoption
from cdb.adoption import adopt, strangers
from cdb.database import Database
from cdb.errors import NotFound
from cdb.events import MAX_EVENT_BYTES, canonical
from cdb.fsck import Check
from cdb.payload import digest
from cdb.stores.memory import MemoryStore
from tests.programs import EPIX, OtherProgram, interrupted_at

ADD = {"detector": EPIX, "experiment": "xpp1", "ctype": "notes"}
OWN = ("cdb_xpp1", EPIX)
T0 = 1_600_000_000


@pytest.fixture
def other(quick_db) -> OtherProgram:
    """A program that writes beside us."""
    return OtherProgram(quick_db.store)


def adopt_all(db: Database) -> list:
    return adopt(db.journal, list(strangers(db.journal)))


def adopted(db: Database, version_id: str) -> dict:
    (document,) = db.store.find(*OWN, {"_id": version_id})
    return document


# What a document gets ----------------------------------------------------------------------------


def test_a_document_gets_what_ours_have(quick_db, other):
    id_ = other.insert("theirs", run=3, run_end="9", second=T0)
    before = adopted(quick_db, id_)
    (version,) = adopt_all(quick_db)
    after = adopted(quick_db, id_)
    assert {name: after[name] for name in before} == before
    added = {name: after[name] for name in after.keys() - before.keys()}
    assert added == {
        "sha256": digest(b"theirs"), "nbytes": 6, "end": 9, "schema": 1, "order": T0 * 10**6,
        "first": id_, "seq": 1, "adopted": 1,
    }  # fmt: skip
    assert (version.id, version.state, version.seq) == (id_, "live", 1)


def test_the_event_holds_the_document_whole(quick_db, other):
    id_ = other.insert()
    adopt_all(quick_db)
    event = quick_db.journal.event(1)
    assert (event["action"], quick_db.journal.verify()) == ("adopt", 1)
    assert event["versions"][0]["document"] == adopted(quick_db, id_)
    assert event["versions"][0]["key"] == f"cdb_xpp1/{EPIX}/notes/0-end"
    assert list(Check(quick_db.journal, payloads=True, older_than=0).run()) == []


@pytest.mark.parametrize(
    ("fields", "run", "end"),
    [({"run": "3"}, 3, 2**53), ({"run": "3", "run_end": "7"}, 3, 7), ({"run_end": 9}, 0, 9),
     ({"run": None, "run_beg": "4"}, 4, 2**53), ({"run_end": None}, 0, 2**53),
     ({"run": 2.0, "run_end": " END "}, 2, 2**53)],
)  # fmt: skip
def test_runs_of_older_writers_become_numbers(quick_db, other, fields, run, end):
    id_ = other.insert(**fields)
    (version,) = adopt_all(quick_db)
    after = adopted(quick_db, id_)
    assert (after["run"], after["end"]) == (run, end)
    assert (type(after["run"]), version.runs.begin) == (int, run)
    assert quick_db.get(EPIX, "notes", experiment="xpp1", run=run)[0] == "theirs"


def test_what_older_writers_left_out_is_filled_in(quick_db, other):
    id_ = other.insert(experiment=None, time_sec=None)
    adopt_all(quick_db)
    after = adopted(quick_db, id_)
    assert (after["experiment"], after["time_sec"]) == ("undefined", 0)


@pytest.mark.parametrize(
    ("fields", "trouble"),
    [({"detector": None}, "it has no detector or no ctype"),
     ({"ctype": None}, "it has no detector or no ctype"),
     ({"_id": "a name"}, "its _id holds no time"),
     ({"run": "three"}, "its run range cannot be understood"),
     ({"run": 5, "run_end": 4}, "its run range cannot be understood"),
     ({"id_data": "0" * 24}, "its payload is missing"),
     ({"id_data": None}, "its payload is missing")],
)  # fmt: skip
def test_what_cannot_be_adopted_is_said(quick_db, other, fields, trouble):
    if fields == {"id_data": None}:
        fields = {"id_data": ""}
    other.insert(**fields)
    good = other.insert(number=2)
    found = list(strangers(quick_db.journal))
    assert sorted(str(stranger.trouble) for stranger in found) == sorted(["None", trouble])
    assert [version.id for version in adopt(quick_db.journal, found)] == [good]


def test_only_constants_are_strangers(quick_db, other):
    other.insert()
    quick_db.store.insert("cdb_detnames", "epix", [{"_id": "1" * 24, "long": "epix_a"}])
    quick_db.store.insert("theirs", "papers", [{"_id": "1" * 24, "detector": EPIX}])
    assert [stranger.database for stranger in strangers(quick_db.journal)] == ["cdb_xpp1"]


# Place and visibility ----------------------------------------------------------------------------


@pytest.fixture(params=[True, False])
def history(request) -> Database:
    """Events 1 to 4, ten seconds apart, the first at T0 + 10."""
    db = Database(MemoryStore(transactional=request.param))
    db.journal.now = lambda: T0 + 10 + 10 * db.head
    for n in range(4):
        db.add(f"ours {n}", run=n % 2, time=T0, **ADD)
    return db


# Before all events, at the second of one, between two, after all.
SECONDS = [T0, T0 + 10, T0 + 20, T0 + 25, T0 + 1000]
RULES = [{}, {"rule": "latest"}, {"rule": "prior"}, {"rule": "closest", "time": T0}]


def answers(db: Database, upto: int) -> list:
    """Return what every rule says as of every state, and now."""
    said = []
    for as_of in [*range(upto + 1), None]:
        for asked in RULES:
            where = {"experiment": "xpp1", "run": 1, "as_of": as_of, **asked}
            try:
                said.append(db.version(EPIX, "notes", **where).id)
            except NotFound:
                said.append(None)
            found = db.detector(EPIX, **where).calibconst
            said.append(found.version("notes").id if "notes" in found else None)
        where = {"detector": EPIX, "experiment": "xpp1", "as_of": as_of}
        said.append([version.id for version in db.find(**where)])
    return said


@pytest.mark.parametrize("second", SECONDS)
@pytest.mark.parametrize("run", [0, 1])
def test_no_answer_changes_by_adoption(history, second, run):
    OtherProgram(history.store).insert(second=second, run=run, time_sec=T0)
    before = answers(history, upto=4)
    adopt_all(history)
    assert answers(history, upto=4) == before
    assert answers(Database(history.store), upto=4) == before


@pytest.mark.parametrize(
    ("second", "seq"), [(T0, 1), (T0 + 10, 2), (T0 + 20, 3), (T0 + 25, 3), (T0 + 1000, 5)]
)
def test_it_is_visible_from_the_first_event_after_its_second(history, second, seq):
    id_ = OtherProgram(history.store).insert(second=second)
    adopt_all(history)
    assert adopted(history, id_)["seq"] == seq
    seen = [s for s in range(6) if id_ in
            [v.id for v in history.find(detector=EPIX, experiment="xpp1", as_of=s)]]  # fmt: skip
    assert seen == list(range(seq, 6))


def test_an_event_that_comes_between_changes_no_visibility(quick_store):
    id_ = OtherProgram(quick_store).insert(second=T0)
    quick = Database(quick_store)
    slow = interrupted_at(quick_store, "before event", lambda: quick.add("ours", run=9, **ADD))
    adopt_all(slow)
    assert (adopted(quick, id_)["seq"], adopted(quick, id_)["adopted"]) == (1, 2)
    assert id_ in [v.id for v in quick.find(detector=EPIX, experiment="xpp1", as_of=1)]


def test_the_adopted_lose_to_what_was_added_later(quick_db, other):
    other.insert(second=T0)
    quick_db.add("ours", **ADD)
    adopt_all(quick_db)
    assert quick_db.get(EPIX, "notes", experiment="xpp1", run=1)[0] == "ours"


# Events ------------------------------------------------------------------------------------------


def test_adopting_twice_is_adopting_once(quick_db, other):
    other.insert()
    found = list(strangers(quick_db.journal))
    assert len(adopt(quick_db.journal, found)) == 1
    assert adopt(quick_db.journal, found) == []
    assert (list(strangers(quick_db.journal)), quick_db.head) == ([], 1)


def test_what_vanished_meanwhile_is_left_out(quick_db, other):
    gone, lost, kept = (other.insert(number=number) for number in (1, 2, 3))
    found = list(strangers(quick_db.journal))
    other.delete(*OWN, gone)
    other.lose("cdb_xpp1", adopted(quick_db, lost)["id_data"])
    assert [version.id for version in adopt(quick_db.journal, found)] == [kept]
    assert quick_db.store.count(*OWN) == 2


def test_nothing_to_adopt_is_no_event(quick_db):
    assert adopt_all(quick_db) == []
    assert quick_db.head == 0


@pytest.fixture
def pair(other) -> list[str]:
    """A deployment as psana makes one: the experiment's document and the detector's copy."""
    own = other.insert(number=1, second=T0, id_doc_exp=0)
    copy = other.insert(number=2, second=T0 + 1, database="cdb_epix_000001", id_doc_exp=own)
    return [own, copy]


def test_both_copies_are_one_event(quick_db, pair):
    assert {version.id for version in adopt_all(quick_db)} == {*pair}
    assert {made["id"] for made in quick_db.journal.event(1)["versions"]} == {*pair}


def test_an_adopted_version_leaves_with_its_copy(quick_db, pair):
    adopt_all(quick_db)
    quick_db.retire(pair[1], reason="test")
    assert quick_db.find(detector=EPIX) == quick_db.find(detector=EPIX, experiment="xpp1") == []
    restored = quick_db.restore(pair[0], reason="test")
    assert (restored.meta["first"], restored.meta["order"]) == (pair[0], T0 * 10**6)
    (copy,) = quick_db.find(detector=EPIX)
    assert copy.meta["id_doc_exp"] == restored.id


def test_many_are_adopted_in_several_events_copies_together(quick_db, other, pair, monkeypatch):
    monkeypatch.setattr(adoption, "AT_ONCE", 2)
    for number in range(3, 6):
        other.insert(number=number, second=T0 + number)
    assert len(adopt_all(quick_db)) == 5
    sizes = [len(event["versions"]) for event in quick_db.journal.events()]
    assert sizes == [2, 2, 1]


def test_large_documents_are_adopted_in_events_that_a_store_holds(memory_db):
    other = OtherProgram(memory_db.store)
    for number in range(4):
        other.insert(number=number, extpars="x" * 5_000_000)
    assert len(adopt_all(memory_db)) == 4
    sizes = [len(canonical(event)) for event in memory_db.journal.events()]
    assert len(sizes) == 2
    assert max(sizes) <= MAX_EVENT_BYTES
