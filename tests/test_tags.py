"""Tags: whatever is written, a tag answers as it did; against answers worked out the slow way."""

import contextlib
import hashlib
import json
import random
import sys
from pathlib import Path

import pytest

from cdb import tagging, tags
from cdb.backup import Export, Import
from cdb.database import Database
from cdb.errors import (
    BadName,
    BadQuestion,
    CalibError,
    NotFound,
    WrongServer,
    WrongState,
)
from cdb.events import MAX_EVENT_BYTES, canonical
from cdb.fsck import Check
from cdb.purge import Choice, purge, purgeable
from cdb.store_digest import store_digest
from cdb.stores import open_store
from cdb.stores.memory import MemoryStore
from tests.conftest import make_store
from tests.programs import Died, OtherProgram, dying_at, interrupted_at
from tests.tag_histories import (
    EPIX,
    EXPERIMENTS,
    LAST,
    T0,
    Account,
    History,
    answer,
    answer_explained,
    answer_of_a_view,
    expected,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import filling  # noqa: E402

QUESTIONS = 10


def check(history: History) -> int:
    """Ask what the library and the oracle say; return the number of answers."""
    db, documents = history.db, history.documents()
    told = 0
    for number in range(QUESTIONS):
        asked = history.question()
        ask = (answer, answer_of_a_view, answer_explained)[number % 3]
        seq = history.rng.randint(0, db.head)
        assert ask(db, asked, as_of=seq) == expected(documents, asked, seq, [])
        for name, account in history.tags.items():
            wanted = expected(documents, asked, account.state_for(asked), account.layers())
            assert ask(db, asked, tag=name) == wanted, (asked, name, account)
            told += wanted is not None
    return told


@pytest.mark.slow
@pytest.mark.parametrize("hundred", range(10))
def test_a_thousand_random_histories_answer_as_the_oracle_does(hundred):
    told = 0
    for seed in range(100 * hundred, 100 * hundred + 100):
        db = Database(MemoryStore(transactional=seed % 2 == 0))
        history = History(db, seed)
        history.write(20)
        told += check(history)
    assert told > 300


@pytest.fixture(params=["pending", "embedded", "cached"])
def some_store(request, tmp_path):
    """Stores that commit in steps and at once, on disk."""
    with make_store(request, tmp_path) as store:
        yield store


@pytest.mark.parametrize("seed", range(5))
def test_a_random_history_answers_as_the_oracle_does_while_it_grows(some_store, seed):
    history = History(Database(some_store), 10_000 + seed)
    for _ in range(4):
        history.write(10)
        check(history)
    # Another process, which has seen nothing yet, says the same.
    again = History(Database(some_store), seed)
    again.tags = history.tags
    check(again)
    assert history.db.journal.verify() == history.db.head


@pytest.mark.mongo
def test_a_random_history_on_the_wire_answers_as_the_oracle_does(mongo_url):
    with open_store(mongo_url) as store:
        history = History(Database(store), 20_000)
        for _ in range(3):
            history.write(10)
            check(history)


# Names and servers -------------------------------------------------------------------------------


@pytest.fixture
def filled(any_db) -> Database:
    """A store with one constant, of any kind, or behind a service."""
    add(any_db, "first")
    return any_db


def add(db: Database, text: str = "text", **more):
    given = {"detector": EPIX, "ctype": "notes", "experiment": "xpp1", "run": 1} | more
    return db.add(text, **{"time": T0, **given})


def got(db: Database, run: int = 5, **more):
    return db.get(EPIX, "notes", **{"experiment": "xpp1", "run": run, **more})[0]


def test_a_tag_keeps_its_answer(filled):
    tag = filled.tags.create("summer26", comment="for the paper")
    add(filled, "second", run=2)
    assert (tag.state, tag.at, tag.comment) == ("open", 1, "for the paper")
    assert (got(filled), got(filled, tag="summer26")) == ("second", "first")
    assert filled.tags.get("summer26") == tag
    assert filled.tags.list() == [tag]


def test_a_tag_may_name_the_past(filled):
    add(filled, "second", run=2)
    filled.tags.create("before", at=1)
    filled.tags.create("empty", at=0)
    assert got(filled, tag="before") == "first"
    with pytest.raises(NotFound, match="of the tag empty"):
        got(filled, tag="empty")
    with pytest.raises(BadQuestion, match="the last event is"):
        filled.tags.create("later", at=99)


def test_every_read_takes_a_tag(filled):
    filled.tags.create("summer26")
    second = add(filled, "second", run=2, ctype="geometry")
    of = {"tag": "summer26"}
    det = filled.detector(EPIX, experiment="xpp1", run=5, **of)
    assert (list(det.calibconst), det.seq, str(det.tag)) == (["notes"], 1, "summer26#1")
    assert len(filled.find(experiment="xpp1", **of)) == 1
    assert len(filled.history(EPIX, "geometry", experiment="xpp1", **of)) == 0
    assert filled.explain(EPIX, "geometry", experiment="xpp1", **of).winner is None
    assert filled.detectors(**of)[0]["ctypes"] == ["notes"]
    assert filled.experiments(**of) == [{"experiment": "xpp1", "detectors": [EPIX]}]
    assert filled.databases(**of)[0]["collections"] == [{"collection": EPIX, "documents": 1}]
    assert filled.short_name(EPIX, **of) == EPIX
    with pytest.raises(NotFound, match="is known as of event 1"):
        filled.version_by_id(second.id, **of)


def test_a_tag_and_a_state_are_not_both_given(filled):
    filled.tags.create("summer26")
    with pytest.raises(BadQuestion, match="give one of them"):
        got(filled, tag="summer26", as_of=1)


@pytest.mark.parametrize(
    "name", ["", "26summer", "a b", "x" * 65, "now", "a/b", "é", "a#0", "a@xyz"]
)
def test_a_bad_name_is_refused(filled, name):
    with pytest.raises(BadName):
        filled.tags.create(name)
    assert filled.tags.list() == []


def test_an_empty_store_has_no_state_to_name(any_db):
    with pytest.raises(WrongState, match="holds nothing yet"):
        any_db.tags.create("summer26")
    assert any_db.head == 0


def test_an_unknown_tag_names_those_there_are(filled):
    with pytest.raises(NotFound, match="there are no tags yet"):
        got(filled, tag="summer26")
    filled.tags.create("winter25")
    with pytest.raises(NotFound, match="there are winter25"):
        got(filled, tag="summer26")


def test_a_name_is_given_once(filled):
    filled.tags.create("summer26")
    with pytest.raises(WrongState, match="is there already, open, of event 1"):
        filled.tags.create("summer26")


def test_a_tag_may_be_cited_with_its_server(filled):
    tag = filled.tags.create("summer26")
    assert got(filled, tag=f"summer26@{tag.server[:8]}") == "first"
    with pytest.raises(WrongServer, match=f"of the store 00000000, but this store is {tag.server}"):
        got(filled, tag="summer26@00000000")
    with pytest.raises(WrongServer):
        filled.tags.move("summer26@00000000", "testing")
    with pytest.raises(WrongServer):
        filled.tags.revisions("summer26@00000000")
    assert filled.tags.get("summer26").state == "open"


def test_a_tag_that_came_from_another_store_is_refused(quick_db):
    add(quick_db, "first")
    add(other := Database(MemoryStore()), "other")
    tag = other.tags.create("summer26")
    (document,) = other.store.find("cdbjournal", "tags")
    quick_db.tags.create("mine")
    quick_db.store.insert("cdbjournal", "tags", [document])
    with pytest.raises(WrongServer, match=tag.server) as refused:
        got(quick_db, tag="summer26")
    assert quick_db.journal.identity() in str(refused.value)


def test_a_revision_can_be_cited(filled):
    filled.tags.create("summer26")
    second = add(filled, "second", run=2)
    filled.tags.pin("summer26", second.id)
    assert (got(filled, tag="summer26"), got(filled, tag="summer26#1")) == ("second", "first")
    assert [tag.revision for tag in filled.tags.revisions("summer26")] == [2, 1]
    with pytest.raises(BadQuestion, match="is one revision, which never changes"):
        filled.tags.move("summer26#1", "testing")
    with pytest.raises(NotFound, match="cdb tag show summer26"):
        got(filled, tag="summer26#3")


# States ------------------------------------------------------------------------------------------

LEGAL = {
    ("open", "testing"), ("testing", "validated"), ("validated", "published"),
    ("open", "invalid"), ("testing", "invalid"), ("validated", "invalid"),
}  # fmt: skip
WAY = ("testing", "validated", "published")


def tag_in(db: Database, state: str) -> str:
    """Create a tag and bring it into a state."""
    db.tags.create(state)
    for each in (state,) if state == "invalid" else WAY[: (*WAY, "open").index(state) + 1]:
        if state != "open":
            db.tags.move(state, each)
    return state


@pytest.mark.parametrize("to", tags.STATES)
@pytest.mark.parametrize("state", tags.STATES)
def test_only_legal_moves_are_made(memory_db, state, to):
    add(memory_db)
    name = tag_in(memory_db, state)
    before = memory_db.tags.get(name)
    if (state, to) in LEGAL:
        assert memory_db.tags.move(name, to, reason="checked").state == to
        assert memory_db.tags.get(name).reason == "checked"
        return
    with pytest.raises(WrongState, match=f"is {state}, not to become {to}") as refused:
        memory_db.tags.move(name, to)
    assert all(legal in str(refused.value) for begin, legal in LEGAL if begin == state)
    assert memory_db.tags.get(name) == before


def test_an_unknown_state_is_refused(filled):
    filled.tags.create("summer26")
    with pytest.raises(BadQuestion, match="there are open, testing, validated"):
        filled.tags.move("summer26", "final")


MAY = {
    "pin": {"open", "testing"},
    "unpin": {"open", "testing"},
    "advance": {"open", "testing", "validated"},
    "delete": {"open"},
}


@pytest.mark.parametrize("state", tags.STATES)
@pytest.mark.parametrize("act", MAY)
def test_a_tag_is_changed_only_in_some_states(memory_db, act, state):
    version = add(memory_db)
    memory_db.tags.create(state)
    memory_db.tags.pin(state, version.id)
    for each in (state,) if state == "invalid" else WAY[: (*WAY, "open").index(state) + 1]:
        if state != "open":
            memory_db.tags.move(state, each)
    calls = {
        "pin": lambda: memory_db.tags.pin(state, add(memory_db, run=9).id),
        "unpin": lambda: memory_db.tags.unpin(state, version.id),
        "advance": lambda: memory_db.tags.advance(state, experiment="xpp1", run=3),
        "delete": lambda: memory_db.tags.delete(state),
    }
    if state in MAY[act]:
        calls[act]()
        return
    before = memory_db.tags.get(state)
    with pytest.raises(WrongState, match=f"the tag {state} is {state}, and only one"):
        calls[act]()
    assert memory_db.tags.get(state) == before


@pytest.mark.parametrize("state", ["published", "invalid"])
def test_the_name_of_a_final_tag_is_never_used_again(memory_db, state):
    add(memory_db)
    with pytest.raises(WrongState, match="never used again"):
        memory_db.tags.create(tag_in(memory_db, state))


def test_the_name_of_a_deleted_tag_is_free(filled):
    filled.tags.create("summer26")
    gone = filled.tags.delete("summer26")
    assert gone.out == filled.head
    with pytest.raises(NotFound, match="was deleted by event"):
        got(filled, tag="summer26")
    add(filled, "second", run=2)
    assert filled.tags.create("summer26").revision == 2
    assert (got(filled, tag="summer26"), got(filled, tag="summer26#1")) == ("second", "first")


def test_an_invalid_tag_answers_no_more(filled):
    filled.tags.create("summer26")
    filled.tags.move("summer26", "invalid", reason="wrong gains")
    with pytest.raises(WrongState, match=r"is invalid \(wrong gains\).*as of event 1 "):
        got(filled, tag="summer26")
    with pytest.raises(WrongState, match="base none on it"):
        filled.tags.create("autumn26", base="summer26")


# Pins, bases and steps ---------------------------------------------------------------------------


def test_a_pinned_version_wins_where_the_rule_admits_it(filled):
    filled.tags.create("summer26")
    second = add(filled, "second", run=2, run_end=6)
    filled.tags.pin("summer26", second.id)
    assert [got(filled, run, tag="summer26") for run in (1, 2, 6, 7)] == [
        "first", "second", "second", "first",
    ]  # fmt: skip
    found = filled.explain(EPIX, "notes", experiment="xpp1", run=5, tag="summer26")
    assert [c.reason for c in found.candidates][:2] == [
        "wins: pinned by tag summer26",
        f"passed over: tag summer26 pins {second.id}",
    ]


def test_a_pinned_version_answers_when_it_is_retired(filled):
    filled.tags.create("summer26")
    second = add(filled, "second", run=2)
    filled.tags.pin("summer26", second.id)
    filled.retire(second.id, reason="test")
    assert (got(filled), got(filled, tag="summer26")) == ("first", "second")
    version = filled.version_by_id(second.id, tag="summer26")
    assert (version.state, version.out) == ("live", None)
    assert {v.id for v in filled.find(experiment="xpp1", tag="summer26")} >= {second.id}
    det = filled.detector(EPIX, experiment="xpp1", run=5, tag="summer26")
    assert det.calibconst.version("notes").state == "live"
    assert det.calibconst["notes"][0] == "second"


def test_a_version_that_left_is_not_pinned_unless_it_is_in_the_tags_state(filled):
    first = filled.version(EPIX, "notes", experiment="xpp1", run=1)
    filled.tags.create("summer26")
    second = add(filled, "second", run=2)
    for version in (first, second):
        filled.retire(version.id, reason="test")
    filled.tags.pin("summer26", first.id)
    with pytest.raises(WrongState, match="was retired by"):
        filled.tags.pin("summer26", second.id)
    with pytest.raises(NotFound, match="no version ffff"):
        filled.tags.pin("summer26", "f" * 24)


def test_pins_are_made_and_taken_back_one_by_one(filled):
    filled.tags.create("summer26")
    second, third = add(filled, "second", run=2), add(filled, "third", run=3)
    filled.tags.pin("summer26", [second.id, third.id])
    with pytest.raises(WrongState, match="is pinned in summer26 already"):
        filled.tags.pin("summer26", third.id)
    filled.tags.unpin("summer26", third.id)
    assert got(filled, tag="summer26") == "second"
    with pytest.raises(NotFound, match=f"it pins {second.id}"):
        filled.tags.unpin("summer26", third.id)


def test_a_tag_pins_at_most_so_many(memory_db, monkeypatch):
    monkeypatch.setattr(tagging, "MAX_PINS", 2)
    ids = [add(memory_db, str(run), run=run).id for run in range(3)]
    memory_db.tags.create("summer26")
    with pytest.raises(WrongState, match="at most 2 versions, and these would be 3"):
        memory_db.tags.pin("summer26", ids)


def test_the_largest_tag_goes_into_an_event(memory_db):
    pin = {"database": "d" * 63, "collection": "c" * 63, "ctype": "t" * 127, "id": "f" * 24}
    step = {"at": 2**53, "experiment": "e" * 59, "run": 2**53}
    whole = {"pins": [pin] * tagging.MAX_PINS, "steps": [step] * tagging.MAX_STEPS}
    assert len(canonical(whole)) < 0.9 * MAX_EVENT_BYTES


def test_a_tag_is_based_on_a_revision_of_another(filled):
    filled.tags.create("summer26")
    second, third = add(filled, "second", run=2), add(filled, "third", run=3)
    filled.tags.pin("summer26", second.id)
    filled.tags.create("paper", base="summer26")
    filled.tags.pin("summer26", third.id)
    filled.tags.move("summer26", "invalid")
    assert got(filled, tag="paper") == "second"
    filled.tags.pin("paper", third.id)
    assert [got(filled, run, tag="paper") for run in (1, 2, 3)] == ["first", "second", "third"]
    with pytest.raises(BadQuestion, match="give at or base"):
        filled.tags.create("both", at=1, base="paper")


def test_a_tag_advances_from_a_run_or_a_time_on(filled):
    filled.tags.create("running")
    add(filled, "second", run=2)
    filled.tags.advance("running", experiment="xpp1", run=10)
    add(filled, "third", run=3)
    filled.tags.advance("running", time=T0 + 100)
    asked = [(5, None), (10, None), (5, T0), (5, T0 + 100), (None, None)]
    assert [got(filled, run, time=time, tag="running") for run, time in asked] == [
        "first", "second", "first", "third", "second",
    ]  # fmt: skip
    assert got(filled, 5, experiment="xpp2", tag="running") == "first"
    assert [str(step) for step in filled.tags.get("running").steps] == [
        "runs of xpp1 from 10 on", "times from 2020-09-13 12:28:20Z on",
    ]  # fmt: skip


def test_a_step_that_would_change_an_earlier_answer_is_refused(filled):
    filled.tags.create("running")
    filled.tags.advance("running", at=1, experiment="xpp1", run=20)
    filled.tags.advance("running", at=1, time=T0)
    for run in (10, 20):
        with pytest.raises(WrongState, match="runs of xpp1 from 20 on as of event 1; begin after"):
            filled.tags.advance("running", experiment="xpp1", run=run)
    with pytest.raises(WrongState, match="times from 2020-09-13"):
        filled.tags.advance("running", time=T0)
    filled.tags.advance("running", experiment="xpp2", run=10)
    filled.tags.create("based", base="running")
    with pytest.raises(WrongState, match="runs of xpp1 from 20 on"):
        filled.tags.advance("based", experiment="xpp1", run=10)


@pytest.mark.parametrize(
    "given", [{}, {"run": 1}, {"experiment": "xpp1"}, {"experiment": "xpp1", "run": 1, "time": T0}]
)
def test_a_step_begins_with_a_run_of_an_experiment_or_a_time(filled, given):
    filled.tags.create("running")
    with pytest.raises(BadQuestion, match="give experiment and run, or time"):
        filled.tags.advance("running", **given)


@pytest.mark.parametrize("seed", range(30))
def test_advancing_changes_no_answer_for_what_was_earlier(seed):
    history = History(Database(MemoryStore()), 30_000 + seed)
    history.write(25)
    db, rng = history.db, history.rng
    if not history.tags:
        history.db.tags.create("a")
        history.tags["a"] = Account(db.head - 1)
    for name in list(history.tags):
        if db.tags.get(name).state == "published":
            continue
        experiment, run = rng.choice(EXPERIMENTS), LAST + 1
        asked = [a for a in (history.question() for _ in range(60)) if a.run is not None]
        asked = [a for a in asked if a.experiment != experiment or a.run < run]
        before = [answer(db, a, tag=name) for a in asked]
        history.add()
        db.tags.advance(name, experiment=experiment, run=run)
        assert [answer(db, a, tag=name) for a in asked] == before
        asked = [a for a in asked if a.time is None or a.time < T0 + 8]
        before = [answer(db, a, tag=name) for a in asked]
        db.tags.advance(name, time=T0 + 8)
        assert [answer(db, a, tag=name) for a in asked] == before


# Writers -----------------------------------------------------------------------------------------


def test_dry_runs_write_nothing(filled):
    tag = filled.tags.create("summer26", dry_run=True)
    assert (tag.name, tag.at) == ("summer26", 1)
    assert (filled.tags.list(), filled.head) == ([], 1)
    filled.tags.create("summer26")
    head = filled.head
    assert filled.tags.move("summer26", "testing", dry_run=True).state == "testing"
    assert filled.tags.advance("summer26", experiment="xpp1", run=3, dry_run=True).steps
    filled.tags.delete("summer26", dry_run=True)
    assert (filled.tags.get("summer26").state, filled.head) == ("open", head)


def test_a_write_with_a_key_is_done_once(filled):
    first = filled.tags.create("summer26", key="a" * 16)
    assert filled.tags.create("summer26", key="a" * 16) == first
    moved = filled.tags.move("summer26", "testing", key="b" * 16)
    assert filled.tags.move("summer26", "testing", key="b" * 16) == moved
    with pytest.raises(WrongState, match="something else"):
        add(filled, "second", key="a" * 16)


def test_the_past_of_a_tag_is_an_event_each(filled):
    filled.tags.create("summer26")
    filled.tags.move("summer26", "testing", reason="checked")
    if not hasattr(filled, "served"):
        events = list(filled.journal.events(after=1))
        assert [(e["action"], e["reason"]) for e in events] == [("tag", ""), ("tag", "checked")]
        assert filled.journal.verify() == 3


RACES = {
    "create": (lambda db, n: db.tags.create("new", comment=str(n)), "is there already"),
    "move": (lambda db, n: db.tags.move("old", "testing"), "is testing, not to become testing"),
    "delete": (lambda db, n: db.tags.delete("old"), "was deleted"),
    "advance": (
        lambda db, n: db.tags.advance("old", experiment="xpp1", run=7), "would change answers"),
    "pin": (lambda db, n: db.tags.pin("old", db.history(EPIX, "notes", experiment="xpp1")[0].id),
            "is pinned in old already"),
}  # fmt: skip


@pytest.mark.parametrize("act", RACES)
def test_of_two_at_once_one_wins_and_the_other_is_told(quick_db, act):
    call, sentence = RACES[act]
    add(quick_db, "first")
    quick_db.tags.create("old")
    racing = interrupted_at(
        quick_db.store, "before event", lambda: call(Database(quick_db.store), 1)
    )
    with pytest.raises(CalibError, match=sentence):
        call(racing, 2)
    assert quick_db.journal.verify() == quick_db.head == 3


def test_pins_of_two_at_once_are_both_in(quick_db):
    ids = [add(quick_db, str(run), run=run).id for run in range(2)]
    quick_db.tags.create("old")
    racing = interrupted_at(
        quick_db.store, "before event", lambda: Database(quick_db.store).tags.pin("old", ids[0])
    )
    racing.tags.pin("old", ids[1])
    assert {pin.id for pin in quick_db.tags.get("old").pins} == {*ids}


def test_a_version_that_leaves_meanwhile_is_not_pinned(quick_db):
    add(quick_db, "first")
    quick_db.tags.create("old")
    version = add(quick_db, "second", run=2)
    racing = interrupted_at(
        quick_db.store, "before event",
        lambda: Database(quick_db.store).retire(version.id, reason="test"),
    )  # fmt: skip
    with pytest.raises(WrongState, match="was retired by"):
        racing.tags.pin("old", version.id)


@pytest.mark.parametrize("step", ["before event", "in event", "after event", "after documents"])
@pytest.mark.parametrize("act", ["create", "move"])
def test_a_writer_that_dies_leaves_all_or_nothing(quick_db, act, step):
    add(quick_db, "first")
    quick_db.tags.create("old")
    call, _ = RACES[act]
    with contextlib.suppress(Died):
        call(dying_at(quick_db.store, step), 1)
    fresh = Database(quick_db.store)
    found = {tag.name: tag.state for tag in fresh.tags.list()}
    done = {"create": {"old": "open", "new": "open"}, "move": {"old": "testing"}}[act]
    assert found == (done if fresh.head == 3 else {"old": "open"})
    assert all(got(fresh, tag=name) == "first" for name in found)
    list(Check(fresh.journal, older_than=0).run())
    assert list(Check(fresh.journal, older_than=0).run()) == []
    assert {tag.name: tag.state for tag in fresh.tags.list()} == found


def test_a_tag_that_was_tampered_with_is_put_back(quick_db):
    add(quick_db, "first")
    tag = quick_db.tags.create("old")
    OtherProgram(quick_db.store).change("cdbjournal", "tags", tag.id, at=0)
    (finding,) = list(Check(quick_db.journal, older_than=0).run())
    assert finding.mended
    assert quick_db.tags.get("old") == tag


def test_tags_travel_with_their_store(quick_db, tmp_path):
    add(quick_db, "first")
    quick_db.tags.create("old")
    quick_db.tags.move("old", "testing")
    with Export(quick_db.journal, tmp_path / "all.cdb") as made:
        made.write()
    copy = Database(MemoryStore())
    with Import(copy.journal, tmp_path / "all.cdb") as plan:
        plan.run()
    assert copy.tags.list() == quick_db.tags.list()
    assert got(copy, tag="old") == "first"
    assert store_digest(copy.journal) == store_digest(quick_db.journal)


# Bytes -------------------------------------------------------------------------------------------


def purged(db: Database) -> int:
    found, seen = purgeable(db.journal, Choice())
    return len(purge(db.journal, found, seen=seen, reason="space"))


def test_a_purge_leaves_what_a_tag_answers_with(quick_db):
    first = add(quick_db, "first")
    quick_db.tags.create("frozen")
    second = add(quick_db, "second", run=2)
    quick_db.tags.create("pins", at=0)
    quick_db.tags.pin("pins", second.id)
    third = add(quick_db, "third", run=3)
    for version in (first, second, third):
        quick_db.retire(version.id, reason="test")
    found, _ = purgeable(quick_db.journal, Choice(experiment="xpp1"))
    kept = {one.versions[0].meta["run"]: one.tags for one in found if one.database == "cdb_xpp1"}
    assert kept == {1: ("frozen",), 2: ("pins",), 3: ()}
    purged(quick_db)
    assert (got(quick_db, tag="frozen"), got(quick_db, tag="pins")) == ("first", "second")
    quick_db.tags.delete("frozen")
    quick_db.tags.move("pins", "invalid")
    assert purged(quick_db) > 0
    assert quick_db.store.blob("cdb_xpp1", first.meta["id_data"]) is None


def test_a_tag_that_comes_during_a_purge_keeps_its_bytes(quick_db):
    quick_db.retire(add(quick_db, "first").id, reason="test")
    racing = interrupted_at(
        quick_db.store, "before event", lambda: Database(quick_db.store).tags.create("late", at=1)
    )
    assert purged(racing) == 0
    assert got(quick_db, tag="late") == "first"


# A published tag ---------------------------------------------------------------------------------


def table_digest(db: Database, tag: str) -> str:
    """Return the digest of all that a tag answers."""
    answers = []
    for experiment in (None, *filling.EXPERIMENTS):
        for run in range(0, filling.LAST_RUN + 100, 101):
            asked = {"experiment": experiment, "run": run, "tag": tag}
            held = db.holding(filling.DETECTOR, **asked)
            versions = db.versions(held.moment, held.winners(run))
            answers.append([[c, v.database, v.meta] for c, v in sorted(versions.items())])
        found = db.find(detector=filling.DETECTOR, experiment=experiment, tag=tag)
        answers.append([version.meta for version in found])
    return hashlib.sha256(json.dumps(answers, sort_keys=True).encode()).hexdigest()


@pytest.mark.slow
def test_the_answers_of_a_published_tag_never_change(tmp_path):
    rng = random.Random(1)
    with Database(open_store((tmp_path / "store").as_uri())) as db:
        filling.fill(db, 1_000)
        ids = [v.id for v in db.find(detector=filling.DETECTOR)]
        db.tags.create("published")
        db.tags.advance("published", at=db.head - 1, experiment="bench01", run=5000)
        db.tags.pin("published", ids[:20])
        for state in WAY:
            db.tags.move("published", state)
        before = table_digest(db, "published")
        payloads = [filling.make_payload(db, n) for n in range(2)]
        written = 0
        for _ in range(10):
            some = [
                filling.version(1_000 + written + n, rng, payloads, (filling.CTYPE,))
                for n in range(1_000)
            ]
            filling.commit(db, some)
            written += 1_000
        live = [v.id for v in db.find(detector=filling.DETECTOR, limit=900)]
        db.retire_all(live[::2], reason="test")
        written += len(live[::2])
        for id_ in [*ids[:5], *live[1:1200:2]]:
            with contextlib.suppress(WrongState):
                db.amend(id_, run=rng.randrange(9000), run_end="end", reason="test")
                written += 1
            if rng.random() < 0.3:
                db.retire(db.find(detector=filling.DETECTOR, limit=1)[0].id, reason="test")
                written += 1
        assert written > 10_000
        assert table_digest(db, "published") == before
    with Database(open_store((tmp_path / "store").as_uri())) as again:
        assert table_digest(again, "published") == before
