"""The journal: the chain, the race for the next event, pending events, states of the past."""

import logging
import threading
import time

import pytest

from cdb import journal as rules
from cdb.database import Database
from cdb.errors import (
    BadDocument,
    BadQuestion,
    Corrupt,
    Duplicate,
    OutcomeUnknown,
    StoreUnavailable,
    WrongClock,
)
from cdb.events import MAX_EVENT_BYTES, Proposal, digest_of, entry
from cdb.fsck import Check
from cdb.journal import Journal
from cdb.moments import Head, Moment
from cdb.stores.memory import MemoryStore
from tests.programs import EPIX, Died, OtherProgram, dying_at, interrupted_at

ADD = {"detector": EPIX, "experiment": "xpp1", "ctype": "notes"}
EVENTS = ("cdbjournal", "journal")
T0 = 1_600_000_000


def add(db: Database, text: str = "text", **more):
    return db.add(text, **{**ADD, **more})


def texts(db: Database, **asked) -> list[str]:
    return [db.data(version) for version in db.find(detector=EPIX, experiment="xpp1", **asked)]


@pytest.fixture
def three(quick_db):
    """A journal of three events."""
    version = add(quick_db, "first")
    add(quick_db, "second", run=1)
    quick_db.retire(version.id, reason="beam was on")
    return quick_db


@pytest.fixture
def impatient(monkeypatch):
    """Nobody waits for a store."""
    monkeypatch.setattr(rules, "PATIENCE_SECONDS", 0.3)


# The chain ---------------------------------------------------------------------------------------


def test_an_untouched_chain_is_whole(three):
    assert three.journal.verify() == 3
    events = list(three.journal.events())
    assert [event["_id"] for event in events] == [1, 2, 3]
    assert [event["previous"] for event in events] == ["", *(e["digest"] for e in events[:2])]


@pytest.mark.parametrize(
    "change",
    [{"reason": "no reason"}, {"actor": "nobody"}, {"host": "elsewhere"}, {"at": 7},
     {"action": "retire"}, {"nonce": "0"}, {"open": 1000}, {"versions": []}, {"previous": "0" * 64},
     {"digest": "0" * 64}, {"more": 1}],
)  # fmt: skip
def test_an_edited_event_is_found(three, change):
    OtherProgram(three.store).change(*EVENTS, 2, **change)
    with pytest.raises(Corrupt, match="event 2 of the journal was changed"):
        three.journal.verify()


@pytest.mark.parametrize("field", ["sha256", "comment", "run", "id_data"])
def test_an_edited_document_in_an_event_is_found(three, field):
    event = three.journal.event(2)
    event["versions"][0]["document"][field] = "other"
    OtherProgram(three.store).change(*EVENTS, 2, versions=event["versions"])
    with pytest.raises(Corrupt, match="event 2 of the journal was changed"):
        three.journal.verify()


def test_an_edited_event_with_a_digest_to_fit_breaks_the_chain(three):
    event = three.journal.event(2) | {"reason": "forged"}
    OtherProgram(three.store).change(*EVENTS, 2, reason="forged", digest=digest_of(event))
    with pytest.raises(Corrupt, match="event 3 of the journal does not follow"):
        three.journal.verify()


def test_a_removed_event_is_found(three):
    OtherProgram(three.store).delete(*EVENTS, 2)
    with pytest.raises(Corrupt, match="event 2 of the journal is missing"):
        three.journal.verify()


@pytest.mark.parametrize(
    ("number", "found"),
    [(2.5, "event 2.5 of the journal was put in"), (4, "event 4 of the journal was changed"),
     (5, "event 4 of the journal is missing")],
)  # fmt: skip
def test_an_inserted_event_is_found(three, number, found):
    event = three.journal.event(3) | {"_id": number}
    three.store.insert(*EVENTS, [event])
    with pytest.raises(Corrupt, match=found):
        three.journal.verify()


@pytest.mark.parametrize("number", ["zzz", "", 7.5])
def test_what_was_put_in_under_no_number_of_an_event_is_not_the_head(three, number):
    head = three.journal.head()
    three.store.insert(*EVENTS, [three.journal.event(3) | {"_id": number}])
    other = Database(three.store)
    assert other.journal.head() == head
    other.add("text", detector=EPIX, ctype="notes", experiment="xpp1", run=9)
    assert other.journal.head().seq == head.seq + 1


@pytest.mark.parametrize("change", [{"at": 1}, {"previous": ""}])
def test_an_appended_event_has_to_follow(three, change):
    last = three.journal.event(3)
    forged = last | {"_id": 4, "at": last["at"] + 1, "previous": last["digest"]} | change
    three.store.insert(*EVENTS, [forged | {"digest": digest_of(forged)}])
    with pytest.raises(Corrupt, match="event 4 of the journal does not follow"):
        three.journal.verify()


def test_completing_an_event_does_not_change_its_digest(pending_db):
    with pytest.raises(Died):
        add(dying_at(pending_db.store, "after event"))
    before = pending_db.journal.event(1)
    pending_db.journal.complete(before)
    after = pending_db.journal.event(1)
    assert (before["pending"], "pending" in after) == (True, False)
    assert digest_of(before) == digest_of(after) == after["digest"]


# The race for the next event ---------------------------------------------------------------------


@pytest.mark.parametrize("transactional", [True, False])
def test_many_writers_leave_no_gap(transactional):
    store = MemoryStore(transactional=transactional)

    def write(name: int) -> None:
        db = Database(store)
        for n in range(5):
            add(db, f"{name}-{n}", run=n)

    threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    db = Database(store)
    assert db.journal.verify() == len(set(texts(db))) == 20


def test_a_writer_that_lost_takes_the_next_number(quick_db):
    slow = interrupted_at(
        quick_db.store, "before event", lambda: add(quick_db, "quick", ctype="other")
    )
    assert add(slow, "slow").seq == 2
    assert [e["versions"][0]["key"].split("/")[2] for e in quick_db.journal.events()] == [
        "other",
        "notes",
    ]
    assert quick_db.journal.verify() == 2


@pytest.mark.parametrize("transactional", [True, False])
def test_a_writer_that_loses_often_does_not_follow_complete_events_for_ever(transactional):
    store = MemoryStore(transactional=transactional)
    other, followed = Database(store), []
    busy = Database(store, step=lambda name: outrun(name))
    losses = iter(range(2 * rules.MANY_PENDING))

    def outrun(name: str) -> None:
        if name == "before event" and (n := next(losses, None)) is not None:
            add(other, f"{n}", run=n + 1)

    settled = busy.journal._settled
    busy.journal._settled = lambda moment: followed.append(m := settled(moment)) or m
    assert add(busy, "slow").seq == 2 * rules.MANY_PENDING + 1
    assert max(len(moment.pending) for moment in followed) <= rules.MANY_PENDING
    assert busy.journal.verify() == 2 * rules.MANY_PENDING + 1


def test_a_writer_that_lost_to_the_same_constant_adds_nothing(quick_db):
    slow = interrupted_at(quick_db.store, "before event", lambda: add(quick_db))
    version = add(slow)
    assert (version.new, version.seq, quick_db.head) == (False, 1, 1)


def test_a_writer_never_takes_its_own_event_for_anothers(pending_db, monkeypatch):
    store = pending_db.store
    lose_reply(store, monkeypatch, happens=True)
    version = add(pending_db)
    assert (version.new, version.seq, pending_db.head) == (True, 1, 1)


def test_a_lost_request_is_sent_again(quick_db, monkeypatch):
    lose_reply(quick_db.store, monkeypatch, happens=False)
    assert (add(quick_db).new, quick_db.head) == (True, 1)
    assert texts(quick_db) == ["text"]


def test_a_lost_request_that_another_overtook_takes_the_next_number(pending_db, monkeypatch):
    other = Database(pending_db.store)
    lose_reply(
        pending_db.store, monkeypatch, happens=False, then=lambda: add(other, "quick", run=1)
    )
    assert add(pending_db, "slow").seq == 2
    assert texts(pending_db) == ["slow", "quick"]


def lose_reply(store, monkeypatch, *, happens, then=lambda: None):
    """Let the store's first answer to an event be lost, whether the event is in or not."""
    insert, lost = store._insert, []

    def inserting(database, collection, documents, ignore_duplicates):
        if (database, collection) == EVENTS and not lost:
            lost.append(1)
            if happens:
                insert(database, collection, documents, ignore_duplicates)
            then()
            raise OutcomeUnknown("the reply was lost")
        insert(database, collection, documents, ignore_duplicates)

    monkeypatch.setattr(store, "_insert", inserting)


def test_an_outcome_that_stays_unknown_is_told(pending_db, monkeypatch, impatient):
    def lost(*_):
        raise OutcomeUnknown("the reply was lost")

    pending_db.journal.head()
    proposal = Proposal("add", "", lambda *_: [], frozenset())
    monkeypatch.setattr(pending_db.store, "_insert", lost)
    with pytest.raises(OutcomeUnknown, match="whether event 1 was written is unknown; repeat"):
        pending_db.journal.commit(lambda _: proposal)


def test_a_taken_number_that_nobody_shows_is_told(pending_db, monkeypatch, impatient):
    def taken(*_):
        raise Duplicate("1 is there")

    proposal = Proposal("add", "", lambda *_: [], frozenset())
    monkeypatch.setattr(pending_db.store, "_insert", taken)
    with pytest.raises(StoreUnavailable, match="event 1 is taken, but the store does not show"):
        pending_db.journal.commit(lambda _: proposal)


def test_a_writer_of_another_key_is_not_asked_again(pending_db):
    asked = []

    def propose(moment: Moment) -> Proposal:
        asked.append(moment.seq)
        return Proposal("add", "", lambda *_: [], frozenset(["mine"]))

    other = Database(pending_db.store)
    slow = interrupted_at(pending_db.store, "before event", lambda: add(other))
    assert slow.journal.commit(propose)["_id"] == 2
    assert asked == [0]


def test_a_rehearsal_writes_nothing(quick_db):
    proposal = Proposal("add", "", lambda seq, at: [], frozenset())
    made = quick_db.journal.rehearse(lambda _: proposal)
    assert (made["_id"], made["action"], quick_db.head) == (1, "add", 0)
    assert quick_db.store.databases() == []


# Pending events ----------------------------------------------------------------------------------


@pytest.fixture
def left(pending_db):
    """A database in which a writer died after its event: a version is added, pending."""
    with pytest.raises(Died):
        add(dying_at(pending_db.store, "after event"), "left")
    return pending_db


@pytest.fixture
def half_retired(pending_db):
    """A database in which a writer died after the event that retires a version."""
    version = add(pending_db, "left")
    with pytest.raises(Died):
        dying_at(pending_db.store, "after event").retire(version.id, reason="test")
    return pending_db


def test_a_pending_event_is_seen_before_it_is_complete(left):
    assert left.store.collections("cdb_xpp1") == []
    assert texts(left) == ["left"]
    assert left.get(EPIX, "notes", experiment="xpp1")[0] == "left"
    assert not left.journal.head().settled


def test_what_a_pending_event_retires_is_hidden(half_retired):
    (document,) = half_retired.store.find("cdb_xpp1", EPIX)
    assert "out" not in document
    assert texts(half_retired) == []
    assert texts(half_retired, as_of=1) == ["left"]


def test_a_writer_completes_the_event_whose_documents_it_touches(left):
    (version,) = left.find(detector=EPIX, experiment="xpp1")
    left.retire(version.id, reason="test")
    (document,) = left.store.find("cdb_xpp1", EPIX)
    assert (document["out"], "pending" in left.journal.event(1)) == (2, False)


def test_a_young_pending_event_is_left_to_its_writer(left):
    add(left, "next", run=1)
    assert left.journal.event(1)["pending"]
    assert left.journal.event(2)["open"] == 1
    assert texts(left) == ["left", "next"]


def test_an_old_pending_event_is_completed_by_any_writer(left):
    later = Database(left.store, now=lambda: time.time() + rules.PENDING_SECONDS + 1)
    add(later, "next", run=1)
    assert "pending" not in left.journal.event(1)
    assert left.store.count("cdb_xpp1", EPIX) == left.store.count("cdb_epix_000001", EPIX) == 2


def test_a_settled_head_comes_back_once_all_is_complete(left):
    list(Check(left.journal, older_than=0).run())
    add(left, "next", run=1)
    assert left.journal.head().settled
    assert left.journal.moment().pending == ()


@pytest.mark.parametrize("step", ["after documents", "before done"])
def test_completing_twice_is_completing_once(pending_db, step):
    with pytest.raises(Died):
        add(dying_at(pending_db.store, step), "left")
    event = pending_db.journal.event(1)
    assert pending_db.journal.complete(event)
    first = list(pending_db.store.find("cdb_xpp1", EPIX))
    assert pending_db.journal.complete(event)
    assert list(pending_db.store.find("cdb_xpp1", EPIX)) == first
    assert len(first) == 1


def test_a_late_completion_does_not_undo_what_came_after(half_retired):
    late = half_retired.journal.event(2)
    (version,) = half_retired.find(detector=EPIX, experiment="xpp1", as_of=1)
    restored = half_retired.restore(version.id, reason="test")
    half_retired.retire(restored.id, reason="test")
    before = list(half_retired.store.find("cdb_xpp1", EPIX))
    half_retired.journal.complete(late)
    assert list(half_retired.store.find("cdb_xpp1", EPIX)) == before


def test_a_store_that_goes_away_after_the_event_is_no_failure(pending_db, monkeypatch, caplog):
    def gone(_):
        raise StoreUnavailable("gone")

    monkeypatch.setattr(pending_db.journal, "_apply", gone)
    with caplog.at_level(logging.WARNING):
        assert add(pending_db).seq == 1
    assert "event 1 is in, others will complete it: gone" in caplog.text
    assert texts(Database(pending_db.store)) == ["text"]


# The head ----------------------------------------------------------------------------------------


def lag(journal: Journal, monkeypatch, answers: list[Head]) -> None:
    """Let the store show older states first."""
    ask = journal._ask_head
    monkeypatch.setattr(journal, "_ask_head", lambda: answers.pop(0) if answers else ask())


def test_a_head_that_falls_is_not_taken(three, monkeypatch, impatient):
    assert three.head == 3
    lag(three.journal, monkeypatch, [Head(seq=2)] * 99)
    with pytest.raises(StoreUnavailable, match="event 2 as its last, but event 3 was seen before"):
        three.get(EPIX, "notes")


def test_a_head_that_falls_for_a_moment_is_asked_for_again(three, monkeypatch):
    assert three.head == 3
    lag(three.journal, monkeypatch, [Head(seq=2)] * 2)
    assert three.head == 3


def test_what_a_writer_wrote_it_has_seen(quick_db, monkeypatch, impatient):
    add(quick_db)
    lag(quick_db.journal, monkeypatch, [Head()] * 99)
    with pytest.raises(StoreUnavailable, match="lags behind or was put back to an older copy"):
        quick_db.head  # noqa: B018


def test_an_empty_store_has_head_0(quick_db):
    assert quick_db.journal.head() == Head()
    assert quick_db.journal.head().settled is False or quick_db.journal.moment().pending == ()
    assert (quick_db.journal.moment().seq, quick_db.journal.verify()) == (0, 0)


# The clock ---------------------------------------------------------------------------------------


def test_time_goes_on_though_the_clock_stands_still():
    db = Database(MemoryStore(), now=lambda: T0)
    for run in range(3):
        add(db, run=run)
    assert [event["at"] - T0 * 10**6 for event in db.journal.events()] == [0, 1, 2]


def test_time_goes_on_though_the_clocks_are_apart():
    store = MemoryStore()
    early, late = Database(store, now=lambda: T0 + 4), Database(store, now=lambda: T0)
    for run, db in enumerate((early, late, early, late, late)):
        add(db, run=run)
    times = [event["at"] for event in early.journal.events()]
    assert times == sorted(set(times))
    assert early.journal.verify() == 5


@pytest.mark.parametrize(
    ("off", "refused"), [(-6, True), (-4, False), (0, False), (4, False), (6, True)]
)
def test_a_clock_that_is_not_the_stores_is_refused(off, refused):
    store = MemoryStore()
    store.clock = lambda: T0
    db = Database(store, now=lambda: T0 + off)
    if not refused:
        assert add(db).seq == 1
        return
    with pytest.raises(WrongClock, match=rf"\{off:+d} s off the store's; at most 5 s"):
        add(db)
    assert list(store.blobs("cdb_xpp1")) == []
    assert db.head == 0


def test_a_clock_behind_the_last_event_is_refused():
    store = MemoryStore()
    add(Database(store, now=lambda: T0 + 60))
    late = Database(store, now=lambda: T0)
    with pytest.raises(WrongClock, match="60 s behind the last event"):
        add(late, "other", run=1)
    assert (late.head, len(list(store.blobs("cdb_xpp1")))) == (1, 1)


def test_a_wrong_clock_still_reads_and_says_what_is_there_already():
    store = MemoryStore()
    first = add(Database(store, now=lambda: T0 + 60), time=T0)
    late = Database(store, now=lambda: T0)
    assert late.get(EPIX, "notes")[0] == "text"
    assert add(late, time=T0).id == first.id


# What an event may hold --------------------------------------------------------------------------


def test_an_event_that_is_too_large_is_refused(memory_db):
    big = "x" * MAX_EVENT_BYTES
    made = [entry("cdb_xpp1", EPIX, "0" * 24, "k", {"_id": "0" * 24, "comment": big})]
    proposal = Proposal("add", "", lambda *_: made, frozenset())
    with pytest.raises(BadDocument, match=r"of 12\.0 MB is too large .* fewer constants at once"):
        memory_db.journal.commit(lambda _: proposal)
    assert memory_db.head == 0


@pytest.mark.parametrize(
    "fields",
    [{"comment": "caf\udce9"}, {"version": "\ud800"}, {"iofname": "a\udcff.txt"},
     {"conditions": {"gas": "\udcff"}}, {"source": {"\udcff": 1}}],
)  # fmt: skip
def test_texts_that_utf8_cannot_hold_are_refused_before_anything_is_written(quick_db, fields):
    with pytest.raises(BadDocument, match="UTF-8"):
        add(quick_db, **fields)
    assert (quick_db.head, quick_db.store.databases()) == (0, [])


@pytest.mark.parametrize(
    "conditions",
    [{"gain": float("nan")}, {"gain": 2**63}, {"a.b": 1}, {"$a": 1}, {"gain": [[1]]},
     {"gain": object()}, {"gain": b"x"}, {1: 2}],
)  # fmt: skip
def test_values_that_no_store_holds_are_refused_before_anything_is_written(quick_db, conditions):
    with pytest.raises(BadDocument, match="conditions"):
        add(quick_db, conditions=conditions)
    assert (quick_db.head, quick_db.store.databases()) == (0, [])


def test_a_reason_that_utf8_cannot_hold_is_refused(quick_db):
    version = add(quick_db)
    with pytest.raises(BadDocument, match="UTF-8"):
        quick_db.retire(version.id, reason="caf\udce9")
    assert (quick_db.head, texts(quick_db)) == (1, ["text"])


# States of the past ------------------------------------------------------------------------------


@pytest.fixture
def history():
    """Five events, ten seconds apart, on a store without transactions."""
    db = Database(MemoryStore(transactional=False))
    db.journal.now = lambda: T0 + 10 * db.head
    for run in range(5):
        add(db, f"run {run}", run=run, time=T0)
    return db


def at_of(db: Database, seq: int) -> int:
    return db.journal.event(seq)["at"]


@pytest.mark.parametrize(("after", "seq"), [(-1, 0), (0, 1), (1, 1)])
@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_time_is_the_last_event_at_or_before_it(history, number, after, seq):
    moment = history.journal.moment(at=at_of(history, number) + after)
    assert moment.seq == number - 1 + seq
    assert (moment.asked, moment.provisional) == (True, False)


@pytest.mark.parametrize(("after", "provisional"), [(-1, False), (0, True), (10**9, True)])
def test_a_time_not_before_the_heads_is_provisional(history, after, provisional):
    moment = history.journal.moment(at=at_of(history, 5) + after)
    assert (moment.seq, moment.provisional) == (5 if provisional else 4, provisional)


def test_a_time_before_all_is_the_empty_state(history):
    assert history.journal.moment(at=0).seq == 0
    assert texts(history, as_of="1990-01-01T00:00:00Z") == []


@pytest.mark.parametrize("seq", range(6))
def test_every_state_of_the_past_can_be_asked_for(history, seq):
    assert texts(history, as_of=seq) == [f"run {run}" for run in range(seq)]
    moment = history.journal.moment(seq)
    assert (moment.past, moment.at) == (seq < 5, at_of(history, seq) if seq else 0)


@pytest.mark.parametrize("seq", [6, 10**9, -1])
def test_a_state_that_never_was_is_an_error(history, seq):
    with pytest.raises(BadQuestion, match=f"as of event {seq} is asked, but the last event is 5"):
        history.get(EPIX, "notes", as_of=seq)


def test_the_present_is_not_asked_for_by_name(history):
    moment = history.journal.moment()
    assert (moment.seq, moment.asked, moment.provisional, moment.past) == (5, False, False, False)


# What happens between the head and a question ----------------------------------------------------

PLACE = ("cdb_xpp1", EPIX)


def test_a_retirement_since_the_moment_overtakes_it(quick_db):
    version = add(quick_db)
    moment = quick_db.journal.moment()
    quick_db.retire(version.id, reason="test")
    assert quick_db.journal.overtaken(moment, [PLACE])
    assert not quick_db.journal.overtaken(moment, [("cdb_cxi2", EPIX)])
    assert not quick_db.journal.overtaken(quick_db.journal.moment(), [PLACE])


def test_an_addition_since_the_moment_does_not_overtake_it(quick_db):
    add(quick_db)
    moment = quick_db.journal.moment()
    add(quick_db, run=1)
    assert not quick_db.journal.overtaken(moment, [PLACE])


def test_a_moment_of_the_past_is_never_overtaken(quick_db):
    version = add(quick_db)
    add(quick_db, run=1)
    moment = quick_db.journal.moment(1)
    quick_db.retire(version.id, reason="test")
    assert not quick_db.journal.overtaken(moment, [PLACE])
    assert [d["_id"] for d in quick_db.journal.find(moment, *PLACE, {}, detector=EPIX)] == [
        version.id
    ]


def test_what_was_overtaken_is_found_in_its_other_form(quick_db):
    version = add(quick_db)
    moment = quick_db.journal.moment()
    quick_db.retire(version.id, reason="test")
    find = quick_db.journal.find
    assert list(find(moment, *PLACE, {}, detector=EPIX)) == []
    found = find(moment, *PLACE, {}, detector=EPIX, both_forms=True)
    assert [document["_id"] for document in found] == [version.id]


# Identity ----------------------------------------------------------------------------------------


def test_a_store_is_told_from_another_by_its_first_event(quick_db):
    assert quick_db.journal.identity() == ""
    add(quick_db)
    first = quick_db.journal.identity()
    add(quick_db, run=1)
    assert first == quick_db.journal.event(1)["digest"] == Journal(quick_db.store).identity()
    other = Database(MemoryStore())
    add(other)
    assert other.journal.identity() != first
