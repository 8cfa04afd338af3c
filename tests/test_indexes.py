"""The indexes that a process keeps give what a question to the store gives, at any state."""

import random
import threading
from collections.abc import Iterator

import pytest

from cdb import search
from cdb.database import Database
from cdb.indexes import Indexes
from cdb.lookup import Place, Question
from cdb.stores import Store
from cdb.stores.memory import MemoryStore
from tests.conftest import make_store
from tests.programs import EPIX, Died, OtherProgram, dying_at

ADD = {"detector": EPIX, "experiment": "xpp1", "ctype": "notes"}
PLACES = [
    Place("cdb_xpp1", EPIX, "experiment"),
    Place("cdb_epix_000001", EPIX, "detector", fallback=True),
]
T0 = 1_600_000_000
QUESTIONS = [
    Question(run=3, experiment="xpp1"),
    Question(experiment="xpp1"),
    Question(run=3, time=T0 + 2, experiment="xpp1"),
    Question(run=3, rule="latest", experiment="xpp1"),
    Question(time=T0 + 2, rule="prior", experiment="xpp1"),
    Question(time=T0 + 2, rule="closest", experiment="xpp1"),
    Question(run=3, rule="psana", experiment="xpp1"),
    Question(run=3, experiment="cxi2"),
]


def add(db: Database, label: str = "text", **more):
    return db.add(label, **{**ADD, "time": T0, "comment": label, **more})


@pytest.fixture(params=["pending", "embedded"])
def quick_store(request, tmp_path) -> Iterator[Store]:
    """The stores that commit in steps and at once; indexes see no other difference."""
    with make_store(request, tmp_path) as store:
        yield store


@pytest.fixture
def indexes(quick_db) -> Indexes:
    """Indexes that were asked before anything happens."""
    indexes = Indexes(quick_db.journal)
    add(quick_db, "first", ctype="geometry")
    assert [*winners(indexes, quick_db)] == ["geometry"]
    return indexes


def winners(indexes: Indexes, db: Database, as_of=None, question=QUESTIONS[0]) -> dict[str, str]:
    """Return the id that holds of each type."""
    found = indexes.winners(db.journal.moment(as_of), PLACES, question)
    return {ctype: version_id for ctype, (_, version_id) in found.items()}


def asked(db: Database, as_of=None, question=QUESTIONS[0]) -> dict[str, str]:
    """Return the same by questions to the store."""
    moment = db.journal.moment(as_of)
    found = {
        ctype: search.winner(db.journal, moment, PLACES, question, EPIX, ctype)
        for ctype in ("geometry", "notes", "pedestals")
    }
    return {ctype: version.id for ctype, version in found.items() if version is not None}


def assert_agree(indexes: Indexes, db: Database) -> None:
    """Compare at every state, the present first and last."""
    for as_of in [None, *range(db.head + 1), *reversed(range(db.head + 1)), None]:
        for question in QUESTIONS:
            found = winners(indexes, db, as_of, question)
            assert found == asked(db, as_of, question), (as_of, question)


# Brought up to date ------------------------------------------------------------------------------


def test_what_is_added_since_is_found(quick_db, indexes):
    version = add(quick_db)
    assert winners(indexes, quick_db)["notes"] == version.id
    newer = add(quick_db, "newer", run=2)
    assert winners(indexes, quick_db)["notes"] == newer.id
    assert_agree(indexes, quick_db)


def test_what_is_retired_since_is_not_found(quick_db, indexes):
    version = add(quick_db)
    assert "notes" in winners(indexes, quick_db)
    quick_db.retire(version.id, reason="test")
    assert "notes" not in winners(indexes, quick_db)
    assert winners(indexes, quick_db, as_of=2)["notes"] == version.id


def test_what_is_restored_since_is_found_in_its_old_place(quick_db, indexes):
    old = add(quick_db, "old")
    new = add(quick_db, "new")
    quick_db.retire(old.id, reason="test")
    assert winners(indexes, quick_db)["notes"] == new.id
    restored = quick_db.restore(old.id, reason="test")
    assert winners(indexes, quick_db)["notes"] == new.id
    quick_db.retire(new.id, reason="test")
    assert winners(indexes, quick_db)["notes"] == restored.id
    assert_agree(indexes, quick_db)


def test_what_is_amended_since_is_found_by_its_new_runs(quick_db, indexes):
    version = add(quick_db, run=1)
    assert winners(indexes, quick_db)["notes"] == version.id
    quick_db.amend(version.id, run=5)
    assert "notes" not in winners(indexes, quick_db)
    assert_agree(indexes, quick_db)


def test_what_is_adopted_since_is_found_once(quick_db, indexes):
    from cdb.adoption import adopt, strangers

    theirs = OtherProgram(quick_db.store).insert(run=1)
    assert winners(indexes, quick_db)["notes"] == theirs
    adopt(quick_db.journal, list(strangers(quick_db.journal)))
    assert winners(indexes, quick_db)["notes"] == theirs
    assert_agree(indexes, quick_db)


def test_what_others_write_is_found(quick_db, indexes):
    version = add(Database(quick_db.store))
    assert winners(indexes, quick_db)["notes"] == version.id


@pytest.mark.parametrize("number", [1, 2])
def test_documents_of_other_programs_compete(quick_db, indexes, number):
    other = OtherProgram(quick_db.store)
    ours = add(quick_db, run=1)
    theirs = other.insert(number=number, run=number - 1)
    later = other.insert(number=9, run=1, second=2**32 - 1)
    assert winners(indexes, quick_db)["notes"] == later
    other.delete("cdb_xpp1", EPIX, later)
    assert winners(indexes, quick_db)["notes"] == ours.id
    quick_db.retire(ours.id, reason="test")
    assert winners(indexes, quick_db)["notes"] == theirs


def test_only_the_events_since_are_read(quick_db, indexes, monkeypatch):
    events, reads = quick_db.journal.events, []

    def counted(**options):
        reads.append((options["after"], options["upto"]))
        return events(**options)

    monkeypatch.setattr(quick_db.journal, "events", counted)
    winners(indexes, quick_db)
    assert reads == []
    add(quick_db)
    winners(indexes, quick_db)
    winners(indexes, quick_db)
    assert reads == [(1, 2)] * len(PLACES)


def test_documents_are_read_once_for_all_questions(quick_db, indexes, monkeypatch):
    add(quick_db)
    winners(indexes, quick_db)
    rows = quick_db.store.rows
    loads: list[tuple[str, ...]] = []

    def counted(database, collection, fields, *more, **options):
        if "adopted" not in fields:  # other programs' documents: a store without stamps is asked
            loads.append((database, collection))
        return rows(database, collection, fields, *more, **options)

    monkeypatch.setattr(quick_db.store, "rows", counted)
    for question in QUESTIONS:
        winners(indexes, quick_db, question=question)
    assert {*loads} <= {("cdbjournal", "journal")}


@pytest.mark.parametrize(
    ("field", "value"),
    [("run", "x"), ("end", 1.5), ("order", "z"), ("time_sec", "now"), ("seq", "one"),
     ("ctype", 7), ("out", "gone")],
)  # fmt: skip
def test_a_document_that_another_program_spoilt_spoils_no_other(quick_db, caplog, field, value):
    version, good = add(quick_db), add(quick_db, ctype="pedestals")
    OtherProgram(quick_db.store).change("cdb_xpp1", EPIX, version.id, **{field: value})
    indexes = Indexes(quick_db.journal)
    found = winners(indexes, quick_db, question=QUESTIONS[1])
    assert found["pedestals"] == good.id
    assert "1 documents of cdb_xpp1/epix_000001 were changed" in caplog.text
    assert "`cdb fsck` puts them back" in caplog.text


# Pending events ----------------------------------------------------------------------------------


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("step", ["after event", "after documents"])
def test_what_a_pending_event_adds_is_found(pending_db, step, fresh):
    kept = Indexes(pending_db.journal)
    first = add(pending_db, "first")
    assert winners(kept, pending_db)["notes"] == first.id
    with pytest.raises(Died):
        add(dying_at(pending_db.store, step), "left", run=1)
    indexes = Indexes(pending_db.journal) if fresh else kept
    found = winners(indexes, pending_db)["notes"]
    assert found != first.id
    pending_db.journal.complete(pending_db.journal.event(2))
    assert winners(indexes, pending_db)["notes"] == found
    assert_agree(indexes, pending_db)


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("step", ["after event", "after retiring"])
def test_what_a_pending_event_retires_is_not_found(pending_db, step, fresh):
    kept = Indexes(pending_db.journal)
    version = add(pending_db)
    assert winners(kept, pending_db)["notes"] == version.id
    with pytest.raises(Died):
        dying_at(pending_db.store, step).retire(version.id, reason="test")
    indexes = Indexes(pending_db.journal) if fresh else kept
    assert winners(indexes, pending_db) == {}
    assert winners(indexes, pending_db, as_of=1)["notes"] == version.id
    pending_db.journal.complete(pending_db.journal.event(2))
    assert winners(indexes, pending_db) == {}
    assert_agree(indexes, pending_db)


# States of the past ------------------------------------------------------------------------------


@pytest.fixture
def history(quick_db) -> Database:
    """A dozen events of every kind."""
    rng = random.Random(1)
    live = []
    for n in range(8):
        run = rng.randrange(4)
        live.append(
            add(quick_db, str(n), run=run, run_end=run + 3, time=T0 + rng.randrange(4),
                ctype=rng.choice(["notes", "pedestals"]),
                experiment=rng.choice(["xpp1", "cxi2"])).id
        )  # fmt: skip
    quick_db.retire(live[0], reason="test")
    quick_db.restore(live[0], reason="test")
    quick_db.amend(live[1], run=3, run_end="end")
    quick_db.retire(live[2], reason="test")
    return quick_db


def test_every_state_is_as_it_was_whatever_was_asked_before(history):
    assert_agree(Indexes(history.journal), history)


@pytest.mark.parametrize("seq", [0, 1, 6, 9, 12])
def test_indexes_that_began_with_the_past_know_the_present(history, seq):
    indexes = Indexes(history.journal)
    winners(indexes, history, as_of=seq)
    assert winners(indexes, history) == asked(history)
    assert_agree(indexes, history)


def test_a_state_is_the_same_before_and_after_what_came_later(history):
    indexes = Indexes(history.journal)
    before = {as_of: winners(indexes, history, as_of) for as_of in range(13)}
    for n in range(3):
        add(history, f"later {n}", run=3)
        history.retire(add(history, f"bad {n}", run=3).id, reason="test")
    assert {as_of: winners(indexes, history, as_of) for as_of in range(13)} == before


def test_few_views_are_kept_however_many_states_are_asked_for(history):
    indexes = Indexes(history.journal)
    for as_of in range(13):
        for time in range(5):
            winners(indexes, history, as_of, Question(run=3, time=T0 + time, experiment="xpp1"))
    assert len(indexes._views) <= 4 * 2 * len(PLACES)


# Threads -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("transactional", [True, False])
def test_threads_that_ask_and_write_agree_on_every_state(transactional):
    db = Database(MemoryStore(transactional=transactional))
    add(db, "first")
    indexes = Indexes(db.journal)
    told: list[tuple[int, dict]] = []
    failures: list[BaseException] = []

    def ask(seed: int) -> None:
        rng = random.Random(seed)
        try:
            for _ in range(60):
                moment = db.journal.moment(rng.choice([None, rng.randint(0, db.head)]))
                found = indexes.winners(moment, PLACES, QUESTIONS[0])
                told.append((moment.seq, {c: id_ for c, (_, id_) in found.items()}))
        except BaseException as error:  # noqa: BLE001 - shown below
            failures.append(error)

    def write() -> None:
        other = Database(db.store)
        for n in range(15):
            version = add(other, str(n), run=n % 4)
            if n % 3 == 0:
                other.retire(version.id, reason="test")

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(2)]
    threads.append(threading.Thread(target=write))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    for seq, found in told:
        assert found == asked(db, seq), seq
