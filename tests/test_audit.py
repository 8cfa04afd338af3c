"""Whatever was edited, removed or put in behind the journal's back is found and named."""

import copy
import random

import pytest

from cdb import tokens
from cdb.audit import Audit, Finding, Seal
from cdb.database import Database
from cdb.errors import BadQuestion, Corrupt
from cdb.events import canonical, digest_of
from cdb.links import agrees, compact
from cdb.rights import Rights
from cdb.stores.memory import MemoryStore
from tests.programs import EPIX, Died, OtherProgram, dying_at, live_at_random

ADD = {"detector": EPIX, "experiment": "xpp1", "ctype": "notes"}
OWN = ("cdb_xpp1", EPIX)
EVENTS = ("cdbjournal", "journal")
TOKENS = ("cdbjournal", "tokens")


def found(db: Database, **options) -> list[Finding]:
    return [finding for finding in Audit(db.journal, **options).run() if finding.counts]


def fill(db: Database) -> Database:
    """Do a little of everything: events 1 to 6."""
    db.add("precious", **ADD)
    bad = db.add("bad", run=1, **ADD)
    db.retire(bad.id, reason="beam was on")
    db.add("x", detector="epix_a_b", ctype="notes")
    tokens.create(db.journal, "lisa", Rights(read=("*",)))
    return db


@pytest.fixture
def db(db):
    return fill(db)


@pytest.fixture
def other(db):
    return OtherProgram(db.store)


def document_of(db: Database, seq: int) -> dict:
    """Return the experiment's document that an event added."""
    made = db.journal.event(seq)["versions"][0]
    return made["document"]


# What is sound -----------------------------------------------------------------------------------


def test_nothing_is_found_in_a_sound_store(db):
    audit = Audit(db.journal, payloads=True)
    assert list(audit.run()) == []
    assert (audit.events, audit.head.seq) == (db.head, db.head)
    assert audit.documents == 2 + 2 + 2 + 1


def test_nothing_is_found_in_an_empty_store(quick_db):
    assert list(Audit(quick_db.journal, payloads=True).run()) == []


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_found_after_years_of_use(quick_db, seed):
    live_at_random(quick_db, seed)
    assert found(quick_db, payloads=True) == []


def test_every_beginning_is_sound(db):
    for begin in range(1, db.head + 2):
        audit = Audit(db.journal, begin=begin)
        assert list(audit.run()) == []
        assert audit.events == db.head - begin + 1


def test_progress_reaches_the_number_that_was_foretold(memory_db):
    for run in range(30):
        memory_db.add(str(run), run=run, **ADD)
    told: list[int] = []
    audit = Audit(memory_db.journal)
    audit.tell(told.append)
    assert list(audit.run()) == []
    assert 0 < sum(told) <= audit.size() == 90


# Every planted fault -----------------------------------------------------------------------------


def edit_a_reason(db, other):
    other.change(*EVENTS, 2, reason="forged")
    return "event 2", "was changed after it was written"


def edit_a_document_in_an_event(db, other):
    versions = db.journal.event(2)["versions"]
    versions[0]["document"]["comment"] = "forged"
    other.change(*EVENTS, 2, versions=versions)
    return "event 2", "was changed after it was written"


def edit_an_event_and_its_digest(db, other):
    forged = db.journal.event(2) | {"reason": "forged"}
    other.change(*EVENTS, 2, reason="forged", digest=digest_of(forged))
    return "event 3", "does not follow the one before it"


def edit_a_digest(db, other):
    other.change(*EVENTS, 2, digest="0" * 64)
    return "event 2", "was changed after it was written"


def remove_an_event(db, other):
    other.delete(*EVENTS, 3)
    return "event 3", "is missing"


def remove_the_last_event(db, other):
    id_ = document_of(db, db.head)["_id"]
    other.delete(*EVENTS, db.head)
    db.journal.__init__(db.store)  # this process has seen it
    return "/".join((*TOKENS, id_)), "no event names it"


def insert_an_event_between(db, other):
    other.store.insert(*EVENTS, [db.journal.event(3) | {"_id": 2.5}])
    return "event 2", "event 2.5 of the journal was put in"


def insert_an_event_before_all(db, other):
    other.store.insert(*EVENTS, [db.journal.event(3) | {"_id": 0}])
    return "event 0", "was put in"


def append_an_event(db, other):
    other.store.insert(*EVENTS, [db.journal.event(3) | {"_id": db.head + 1}])
    return f"event {db.head}", "was changed after it was written"


def renumber_an_event(db, other):
    event = db.journal.event(3)
    other.delete(*EVENTS, 3)
    other.store.insert(*EVENTS, [event | {"_id": db.head + 1}])
    return "event 3", "is missing"


def edit_a_document(db, other):
    id_ = document_of(db, 1)["_id"]
    other.change(*OWN, id_, comment="forged")
    return "/".join((*OWN, id_)), "was changed (comment)"


def edit_the_kind_of_a_value(db, other):
    id_ = document_of(db, 1)["_id"]
    other.change(*OWN, id_, run=False)
    return "/".join((*OWN, id_)), "was changed (run)"


def edit_out(db, other):
    id_ = document_of(db, 2)["_id"]
    other.change(*OWN, id_, out=4)
    return "/".join((*OWN, id_)), "was changed (out)"


def bring_back_a_retired_one(db, other):
    id_ = document_of(db, 2)["_id"]
    other.store.update(*OWN, {"_id": id_}, set={"detector": EPIX}, unset=["out"])
    return "/".join((*OWN, id_)), "was changed (detector, out)"


def let_one_leave(db, other):
    id_ = document_of(db, 1)["_id"]
    other.change(*OWN, id_, detector=f"retired:{EPIX}", out=3)
    return "/".join((*OWN, id_)), "was changed (detector, out)"


def remove_a_document(db, other):
    id_ = document_of(db, 1)["_id"]
    other.delete(*OWN, id_)
    return "/".join((*OWN, id_)), "is missing"


def insert_a_document(db, other):
    id_ = other.insert(id_data=document_of(db, 1)["id_data"], seq=1)
    return "/".join((*OWN, id_)), "carries an event number, but no event names it"


def insert_a_document_elsewhere(db, other):
    document = document_of(db, 1)
    other.store.insert("cdb_xpp9", EPIX, [document])
    return f"cdb_xpp9/{EPIX}/{document['_id']}", "carries an event number, but no event names it"


def grant_oneself_rights(db, other):
    (token,) = other.store.find(*TOKENS)
    other.change(*TOKENS, token["_id"], rights={"read": ["*"], "write": ["*"], "admin": True})
    return "/".join((*TOKENS, token["_id"])), "was changed (rights)"


def grant_a_token_without_an_event(db, other):
    (token,) = other.store.find(*TOKENS)
    made = {name: value for name, value in token.items() if name != "seq"} | {"_id": "f" * 24}
    other.store.insert(*TOKENS, [made])
    return "/".join((*TOKENS, "f" * 24)), "no event names it"


def change_the_register(db, other):
    (document,) = other.store.find("cdb_detnames", "epix")
    other.change("cdb_detnames", "epix", document["_id"], short="epix_000009")
    return f"cdb_detnames/epix/{document['_id']}", "was changed (short)"


FAULTS = [
    edit_a_reason, edit_a_document_in_an_event, edit_an_event_and_its_digest, edit_a_digest,
    remove_an_event, remove_the_last_event, insert_an_event_between, insert_an_event_before_all,
    append_an_event, renumber_an_event, edit_a_document, edit_the_kind_of_a_value, edit_out,
    bring_back_a_retired_one, let_one_leave, remove_a_document, insert_a_document,
    insert_a_document_elsewhere, grant_oneself_rights, grant_a_token_without_an_event,
    change_the_register,
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda call: call.__name__)
def test_a_planted_fault_is_found_and_named(db, other, fault):
    where, what = fault(db, other)
    findings = found(db)
    named = [finding for finding in findings if finding.where == where]
    assert named, findings
    assert what in named[0].what


@pytest.mark.parametrize("fault", [edit_a_document, edit_out, remove_a_document, insert_a_document])
def test_a_fault_of_one_document_is_one_finding(quick_store, fault):
    db = fill(Database(quick_store))
    where, _ = fault(db, OtherProgram(db.store))
    assert [finding.where for finding in found(db)] == [where]


def test_what_is_found_is_not_mended(memory_db):
    db = fill(memory_db)
    where, _ = edit_a_document(db, OtherProgram(db.store))
    assert [f.where for f in found(db)] == [f.where for f in found(db)] == [where]


# Any single change --------------------------------------------------------------------------------


def mutated(value: object, rng: random.Random) -> object:
    """Return a value that is another in JSON, nearly the same."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return rng.choice([value + 1, -value - 1, float(value) + 0.5, str(value), bool(value)])
    if isinstance(value, str):
        return rng.choice([value + " ", value[:-1] + "\x00", value.swapcase() + "_", 7])
    if isinstance(value, list):
        return [*value, "more"] if not value or rng.random() < 0.5 else value[:-1]
    if isinstance(value, dict):
        changed = copy.deepcopy(value)
        name = rng.choice(sorted(changed)) if changed else None
        if name is None or rng.random() < 0.2:
            changed["more"] = 1
        elif rng.random() < 0.2:
            del changed[name]
        else:
            changed[name] = mutated(changed[name], rng)
        return changed
    return "something else"


def mutate(db: Database, rng: random.Random) -> str:
    """Change one event or one document in one way; say what was done."""
    other = OtherProgram(db.store)
    places = [EVENTS, TOKENS, OWN, ("cdb_epix_000001", EPIX), ("cdb_detnames", "epix")]
    place = rng.choice([*places, EVENTS])
    document = rng.choice(list(db.store.find(*place)))
    name = rng.choice(sorted({*document} - {"_id"}))
    how = rng.choice(["edit", "edit", "edit", "unset", "more", "remove", "insert"])
    if how == "edit":
        new = mutated(document[name], rng)
        other.change(*place, document["_id"], **{name: new})
        return f"{place} {document['_id']} {name}: {document[name]!r} -> {new!r}"
    if how == "unset" and name != "seq":
        db.store.update(*place, {"_id": document["_id"]}, unset=[name])
    elif how == "more":
        other.change(*place, document["_id"], more=rng.choice([0, "", None, [], 1.5]))
    elif how == "insert":
        new_id = (
            rng.choice([0, -3, 999, 2.5, "2", "zzz"])
            if place == EVENTS
            else f"{rng.getrandbits(96):024x}"
        )
        db.store.insert(*place, [document | {"_id": new_id}])
    else:
        other.delete(*place, document["_id"])
    return f"{how} {place} {document['_id']} {name}"


@pytest.mark.parametrize("seed", range(300))
def test_any_single_change_is_found(seed):
    db = fill(Database(MemoryStore(transactional=seed % 2 == 0)))
    assert found(db) == []
    done = mutate(db, random.Random(seed))
    assert found(Database(db.store)), done


def test_single_changes_are_found_on_every_store(quick_store):
    db = fill(Database(quick_store))
    done = mutate(db, random.Random(7))
    assert found(Database(db.store)), done


# A part of the chain ------------------------------------------------------------------------------


def test_from_an_event_on_only_later_ones_are_looked_at(quick_store):
    db = fill(Database(quick_store))
    edit_a_document(db, OtherProgram(db.store))
    assert [f.where for f in found(db, begin=2)] == []
    other_where, _ = bring_back_a_retired_one(db, OtherProgram(db.store))
    assert [f.where for f in found(db, begin=2)] == [other_where]
    assert [f.where for f in found(db, begin=3)][:1] == [other_where]


def test_the_event_before_the_first_has_to_be_sound(memory_db):
    db = fill(memory_db)
    edit_a_reason(db, OtherProgram(db.store))
    with pytest.raises(Corrupt, match="event 2, which the first one should follow, is changed"):
        found(db, begin=3)
    assert found(db, begin=4) == []


def test_a_beginning_after_the_end_is_refused(memory_db):
    db = fill(memory_db)
    with pytest.raises(BadQuestion, match="give 1 to"):
        Audit(db.journal, begin=db.head + 2)


# Digests that were written down -------------------------------------------------------------------


def test_a_digest_that_was_written_down_lies_on_the_chain(db):
    seals = [Seal(db.journal.event(seq)["digest"], seq) for seq in (1, 3, db.head)]
    assert found(db, seals=[*seals, Seal(seals[1].digest)]) == []


def test_a_rewritten_history_is_found(memory_db):
    """All events are replaced by others that are sound among themselves."""
    seal = Seal(fill(memory_db).journal.event(3)["digest"], 3)
    rewritten = fill(Database(MemoryStore()))
    assert found(rewritten) == []
    (finding,) = found(rewritten, seals=[seal])
    assert (finding.kind, finding.where) == ("head", "event 3")
    assert "is not that of event 3: history was rewritten" in finding.what
    assert rewritten.journal.identity() in finding.what
    (finding,) = found(rewritten, seals=[Seal(seal.digest)])
    assert (finding.where, "is on no event" in finding.what) == ("journal", True)


def test_a_history_that_was_cut_off_is_found(memory_db):
    db = fill(memory_db)
    seal = Seal("0" * 64, db.head + 1)
    assert f"but the last one is {db.head}" in found(db, seals=[seal])[0].what


def test_a_digest_of_another_event_is_found(memory_db):
    db = fill(memory_db)
    seal = Seal(db.journal.event(2)["digest"], 3)
    assert "is that of event 2, not of event 3" in found(db, seals=[seal])[0].what


def test_a_digest_before_the_beginning_is_refused(memory_db):
    db = fill(memory_db)
    with pytest.raises(BadQuestion, match="begin at 2 at the latest"):
        Audit(db.journal, begin=3, seals=[Seal("0" * 64, 2)])


# What is at work, what is others' -----------------------------------------------------------------


def test_what_a_writer_is_at_work_on_is_told(pending_db):
    with pytest.raises(Died):
        dying_at(pending_db.store, "after event").add("left", **ADD)
    (told,) = Audit(pending_db.journal).run()
    assert (told.kind, told.counts) == ("pending", False)


def test_what_a_dead_writer_left_is_found(pending_db):
    with pytest.raises(Died):
        dying_at(pending_db.store, "after event").add("left", **ADD)
    now = pending_db.journal.now
    pending_db.journal.now = lambda: now() + 60
    (told,) = Audit(pending_db.journal).run()
    assert (told.kind, told.where, told.counts) == ("pending", "event 1", True)


def test_documents_of_other_programs_are_told(db, other):
    other.insert()
    (told,) = Audit(db.journal).run()
    assert (told.kind, told.where, told.counts) == ("foreign", "/".join(OWN), False)


def test_an_event_that_makes_no_sense_stops_no_audit(memory_db):
    db = fill(memory_db)
    for nonsense in ([1, {}], "text", None, [{"database": 1, "set": 7}], [{"unset": [{}]}]):
        OtherProgram(db.store).change(*EVENTS, 3, versions=nonsense)
        assert found(db)[0].where == "event 3"


# Payloads ----------------------------------------------------------------------------------------


def test_a_flipped_byte_is_found_where_payloads_are_read(db, other):
    named = document_of(db, 1)
    other.flip_a_byte("cdb_xpp1", named["id_data"])
    assert found(db) == []
    # On a store that keeps equal bytes once, the detector's copy is damaged too.
    *_, finding = found(db, payloads=True)
    assert (finding.kind, finding.where) == ("payload", f"cdb_xpp1/{named['id_data']}")
    assert "is damaged (digest " in finding.what


def test_a_lost_payload_is_found_where_payloads_are_read(db, other):
    other.lose("cdb_xpp1", document_of(db, 2)["id_data"])
    assert ["is missing" in finding.what for finding in found(db, payloads=True)] == [True]


# Digests -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [{"a": 1e16}, {"a": 1e-7}, {"é": [1, None]}, {"a": 2**70}, {"a": "\udcff"}, {"a": -0.0}],
)
def test_an_event_agrees_however_its_values_are_written(value):
    event = {"_id": 1, **value}
    try:
        digest = digest_of(event)
    except UnicodeEncodeError:
        assert not agrees(event | {"digest": ""})
        return
    assert agrees(event | {"digest": digest, "pending": True})
    assert not agrees(event | {"digest": digest, "more": 1})


@pytest.mark.parametrize("pair", [(1, 1.0), (1, True), (None, float("nan")), ("1", 1), ([], {})])
def test_values_that_are_not_one_are_written_differently(pair):
    left, right = pair
    assert compact({"a": left}) != compact({"a": right})
    assert canonical({"a": left}) != canonical({"a": right})
