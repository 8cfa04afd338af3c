"""What is wrong in a store is found, said and mended; what is sound is left alone."""

import contextlib
import fcntl
import re
import time
from typing import Any

import pytest

from cdb import deployments
from cdb.database import Database
from cdb.errors import NotFound
from cdb.events import Proposal
from cdb.fsck import Check, Finding
from cdb.stores.memory import MemoryStore
from tests.programs import EPIX, SECOND, Died, OtherProgram, dying_at

ADD = {"detector": EPIX, "experiment": "xpp1", "ctype": "notes"}
OWN = ("cdb_xpp1", EPIX)
EVENTS = ("cdbjournal", "journal")
REGISTER = ("cdb_detnames", "epix")


def check(db: Database, **options: Any) -> list[Finding]:
    return list(Check(db.journal, **options).run())


def counted(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.counts]


def content(db: Database) -> dict:
    """Return all that a store holds."""
    places = [(d, c) for d in db.store.databases() for c in db.store.collections(d)]
    return {
        "documents": {place: list(db.store.find(*place, sort=[("_id", 1)])) for place in places},
        "bytes": {d: {b.id for b in db.store.blobs(d)} for d in db.store.databases()},
        "files": db.store.litter(0),
    }


@pytest.fixture
def db(quick_db):
    """A sound store: a version with its copy, one that was retired, a registered detector."""
    quick_db.add("precious", **ADD)
    quick_db.retire(quick_db.add("bad", run=1, **ADD).id, reason="beam was on")
    quick_db.add("x", detector="epix_a_b", ctype="notes")
    return quick_db


@pytest.fixture
def other(db):
    """A program that does things behind the journal's back."""
    return OtherProgram(db.store)


@pytest.fixture
def version(db):
    """The version in force, of the experiment."""
    return db.version(EPIX, "notes", experiment="xpp1", run=0)


# What is sound -----------------------------------------------------------------------------------


def test_nothing_is_wrong_in_a_sound_store(db):
    before = content(db)
    assert check(db, payloads=True, older_than=0, accept=True) == []
    assert content(db) == before


def test_an_empty_store_is_sound(quick_db):
    assert check(quick_db, payloads=True, older_than=0) == []
    assert quick_db.store.databases() == []


def test_it_says_what_it_is_looking_at(db):
    words: list[str] = []
    check(db, progress=words.append)
    assert words[0] == "journal"
    assert {"cdb_xpp1/epix_000001", "cdb_detnames/epix", "payloads of cdb_xpp1"} <= {*words}


# Every finding, with where and what ---------------------------------------------------------------


def edit_an_event(other, version):
    other.change(*EVENTS, 2, reason="forged")
    return "event 2"


def change_a_document(other, version):
    other.change(*OWN, version.id, comment="forged", run=7)
    return f"cdb_xpp1/{EPIX}/{version.id}"


def add_a_field(other, version):
    other.change(*OWN, version.id, extra=1)
    return f"cdb_xpp1/{EPIX}/{version.id}"


def delete_a_document(other, version):
    other.delete(*OWN, version.id)
    return f"cdb_xpp1/{EPIX}/{version.id}"


def bring_back_a_retired_one(other, version):
    (gone,) = other.store.find(*OWN, {"out": 3})
    other.store.update(*OWN, {"_id": gone["_id"]}, set={"detector": EPIX}, unset=["out"])
    return f"cdb_xpp1/{EPIX}/{gone['_id']}"


def change_the_register(other, version):
    (document,) = other.store.find(*REGISTER)
    other.change(*REGISTER, document["_id"], short="epix_000009")
    return f"cdb_detnames/epix/{document['_id']}"


def put_in_an_event(other, version):
    event = next(other.store.find(*EVENTS, {"_id": 2}))
    (forged,) = other.store.find(*OWN, {"_id": version.id})
    made = event["versions"][0] | {"id": version.id, "document": forged | {"run": 99}}
    other.store.insert(*EVENTS, [event | {"_id": "zzz", "versions": [made]}])
    return "event zzz"


def insert_an_event_number(other, version):
    return f"cdb_xpp1/{EPIX}/{other.insert(id_data=version.meta['id_data'], seq=1)}"


def insert_an_event_number_to_come(other, version):
    return f"cdb_xpp1/{EPIX}/{other.insert(id_data=version.meta['id_data'], seq=1000)}"


def insert_a_text_for_an_event_number(other, version):
    return f"cdb_xpp1/{EPIX}/{other.insert(id_data=version.meta['id_data'], seq='one')}"


def lose_a_payload(other, version):
    other.lose("cdb_xpp1", version.meta["id_data"])
    return f"cdb_xpp1/{version.meta['id_data']}"


def leave_bytes(other, version):
    return "cdb_xpp1/" + other.store.write("cdb_xpp1", b"litter", sha256="0" * 64, head=0)


def leave_an_event(other, version):
    # With transactions no event is left incomplete: what another program marked so is as good.
    other.change(*EVENTS, 1, pending=True)
    return "event 1"


MENDED = {
    change_a_document: ("document", r"was changed \(comment, run\)"),
    add_a_field: ("document", r"was changed \(extra\)"),
    delete_a_document: ("document", "is missing"),
    bring_back_a_retired_one: ("document", r"was changed \(detector, out\)"),
    change_the_register: ("document", r"was changed \(short\)"),
    leave_bytes: ("litter", "6 bytes that no event names"),
    leave_an_event: ("pending", "was left incomplete 0 s ago"),
}
ONLY_SAID = {
    edit_an_event: ("chain", "event 2 of the journal was changed .*; put the journal back from"),
    put_in_an_event: ("chain", "event 'zzz' of the journal was put in: no event has such a number"),
    insert_an_event_number: ("document", "carries an event number, but no event names it"),
    insert_an_event_number_to_come: ("document", "carries an event number, but no event names it"),
    insert_a_text_for_an_event_number: ("document", "carries an event number, but no event names"),
    lose_a_payload: ("payload", "the payload of notes .* is missing; put it back from a copy"),
}


def names(call) -> str:
    return call.__name__


@pytest.mark.parametrize("fault", MENDED, ids=names)
def test_a_fault_is_said_and_mended_and_gone(db, other, version, fault):
    sound = content(db)["documents"]
    where = fault(other, version)
    (found,) = check(db, older_than=0)
    kind, what = MENDED[fault]
    assert (found.kind, found.where, found.mended, found.counts) == (kind, where, True, True)
    assert_matches(found.what, what)
    assert check(db, older_than=0, payloads=True) == []
    if kind != "litter":  # a sweep is an event
        assert content(db)["documents"] == sound


def assert_matches(text: str, pattern: str) -> None:
    assert re.match(pattern, text), text


@pytest.mark.parametrize("fault", ONLY_SAID, ids=names)
def test_what_only_a_copy_can_mend_is_said_each_time(db, other, version, fault):
    where = fault(other, version)
    kind, what = ONLY_SAID[fault]
    for _ in range(2):
        (found,) = check(db, older_than=0)
        assert (found.kind, found.where, found.mended, found.counts) == (kind, where, False, True)
        assert_matches(found.what, what)


@pytest.mark.parametrize("fault", [*MENDED, *ONLY_SAID], ids=names)
def test_a_dry_run_says_the_same_and_changes_nothing(db, other, version, fault):
    where = fault(other, version)
    before = content(db)
    (found,) = check(db, older_than=0, dry_run=True, accept=True)
    assert (found.where, found.mended, found.counts) == (where, False, True)
    assert content(db) == before


def test_answers_are_as_before_once_it_is_mended(db, other, version):
    other.change(*OWN, version.id, run=99)
    assert db.find(detector=EPIX, experiment="xpp1", run=0) == []
    check(db)
    assert db.get(EPIX, "notes", experiment="xpp1", run=0)[0] == "precious"


def test_what_an_event_in_doubt_says_is_not_put_back(db, other, version):
    (event,) = other.store.find(*EVENTS, {"_id": 1})
    forged = [made | {"document": made["document"] | {"run": 99}} for made in event["versions"]]
    other.change(*EVENTS, 1, versions=forged)
    other.delete(*OWN, version.id)
    found = {finding.where: finding for finding in check(db)}
    assert {"event 1", f"cdb_xpp1/{EPIX}/{version.id}"} <= {*found}
    assert not any(finding.mended for finding in found.values())
    assert list(other.store.find(*OWN, {"_id": version.id})) == []


def test_what_was_put_in_under_a_number_between_two_says_nothing(db, other, version):
    (event,) = other.store.find(*EVENTS, {"_id": 1})
    forged = [made | {"document": made["document"] | {"run": 99}} for made in event["versions"]]
    other.store.insert(*EVENTS, [event | {"_id": 2.5, "versions": forged}])
    other.delete(*OWN, version.id)
    check(db)
    assert db.version_by_id(version.id).meta["run"] == 0


def test_a_dropped_database_is_put_back_but_its_bytes_are_missed(db, other, version):
    for document in list(db.store.find(*OWN)):
        other.delete(*OWN, document["_id"])
    for blob in list(db.store.blobs("cdb_xpp1")):
        other.lose("cdb_xpp1", blob.id)
    found = check(db)
    assert sorted((f.kind, f.mended) for f in found) == [
        ("document", True), ("document", True), ("payload", False), ("payload", False),
    ]  # fmt: skip
    assert db.version(EPIX, "notes", experiment="xpp1", run=0).meta == version.meta


# Payloads ----------------------------------------------------------------------------------------


def test_a_flipped_byte_is_found_where_payloads_are_read(db, other, version):
    blob = version.meta["id_data"]
    other.flip_a_byte("cdb_xpp1", blob)
    assert f"cdb_xpp1/{blob}" not in [f.where for f in check(db)]
    found = [f for f in check(db, payloads=True) if f.where == f"cdb_xpp1/{blob}"]
    assert [(f.kind, f.mended, f.counts) for f in found] == [("payload", False, True)]
    assert "is damaged (digest " in found[0].what
    assert f"notes {version.id}" in found[0].what


def test_a_payload_of_another_length_is_found_without_reading(memory_db):
    version = memory_db.add("precious", **ADD)
    place = "cdb_xpp1", version.meta["id_data"]
    blob, data = memory_db.store._blobs[place]
    memory_db.store._blobs[place] = type(blob)(blob.id, 3, blob.sha256, blob.head, blob.at), data
    assert [f.what.split(" has ")[1] for f in check(memory_db)] == [
        "3 bytes instead of 8; put it back from a copy"
    ]


@pytest.mark.parametrize("quick_store", ["mock"], indirect=True)
def test_a_payload_with_a_hole_is_found_where_payloads_are_read(db, version):
    from bson import ObjectId

    blob = ObjectId(version.meta["id_data"])
    db.store.client["cdb_xpp1"]["fs.chunks"].delete_many({"files_id": blob})
    assert check(db) == []
    assert ["is not whole" in f.what for f in check(db, payloads=True)] == [True]


def test_the_payload_of_a_retired_version_is_checked_too(db, other):
    (document,) = db.store.find(*OWN, {"out": 3})
    other.lose("cdb_xpp1", document["id_data"])
    assert [(f.kind, f.where) for f in check(db)] == [
        ("payload", f"cdb_xpp1/{document['id_data']}")
    ]


def test_shared_bytes_are_said_once(db, other, version):
    db.add("precious", run=2, **ADD)
    other.lose("cdb_xpp1", version.meta["id_data"])
    assert len(check(db)) == 1


# Litter ------------------------------------------------------------------------------------------


def test_young_bytes_are_told_and_left(db, other):
    where = leave_bytes(other, None)
    (found,) = check(db)
    assert (found.kind, found.where, found.mended, found.counts) == ("litter", where, False, False)
    assert_matches(found.what, r"6 bytes that no event names, \d s old")
    assert where.split("/")[1] in content(db)["bytes"]["cdb_xpp1"]


def test_a_sweep_is_an_event_that_names_what_it_takes(db, other):
    ids = {leave_bytes(other, None).split("/")[1] for _ in range(3)}
    assert len(counted(check(db, older_than=0))) == 3
    event = db.journal.event(db.head)
    assert (event["action"], {made["id"] for made in event["versions"]}) == ("sweep", ids)
    assert not ids & content(db)["bytes"]["cdb_xpp1"]
    assert db.journal.verify() == db.head


def test_bytes_that_an_event_named_meanwhile_are_not_litter(db):
    def add_now(words: str) -> None:
        if words == "payloads of cdb_xpp1":
            db.add("meanwhile", run=2, **ADD)

    assert check(db, older_than=0, progress=add_now) == []
    assert db.get(EPIX, "notes", experiment="xpp1", run=2)[0] == "meanwhile"
    assert [event["action"] for event in db.journal.events()][-1] == "add"


@pytest.fixture
def writer_at_work(db):
    """Somebody who is uploading bytes and keeps sweepers out."""
    if hasattr(db.store, "_payload_lock"):
        return db.store._payload_lock(fcntl.LOCK_SH)

    @contextlib.contextmanager
    def working():
        sweeping, db.store.sweeping = db.store.sweeping, lambda: contextlib.nullcontext(False)
        yield
        db.store.sweeping = sweeping

    return working()


def test_a_sweep_that_gets_no_lock_leaves_the_litter(db, other, writer_at_work):
    leave_bytes(other, None)
    before = content(db)
    with writer_at_work:
        assert [f.mended for f in check(db, older_than=0)] == [False]
        assert content(db) == before
    assert [f.mended for f in check(db, older_than=0)] == [True]


@pytest.mark.parametrize("quick_store", ["embedded"], indirect=True)
@pytest.mark.parametrize("name", [".0123.part", "0" * 64])
def test_files_that_no_record_names_are_swept_once_they_are_old(db, name, writer_at_work):
    path = db.store.payloads / "00" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"half")
    where = f"00/{name}"
    assert check(db) == [
        Finding("litter", where, "a young file that no record names", False, False)
    ]
    with writer_at_work:
        assert [f.mended for f in check(db, older_than=0)] == [False]
    assert [f.mended for f in check(db, older_than=0, dry_run=True)] == [False]
    assert check(db, older_than=0) == [
        Finding("litter", where, "a file that no record names", True)
    ]
    assert not path.exists()
    assert check(db, older_than=0) == []


@pytest.mark.parametrize("quick_store", ["pending", "mock"], indirect=True)
def test_a_sweep_that_died_before_its_deletion_is_finished(db, other):
    where = leave_bytes(other, None)
    dying = dying_at(db.store, "before removal")
    with pytest.raises(Died):
        check(dying, older_than=0)
    assert [(f.kind, f.mended) for f in check(db, older_than=0)] == [("pending", True)]
    assert where.split("/")[1] not in content(db)["bytes"]["cdb_xpp1"]
    assert check(db, older_than=0) == []


# Pending events ----------------------------------------------------------------------------------


@pytest.fixture
def left(pending_db):
    """A database in which a writer died after its event."""
    with pytest.raises(Died):
        dying_at(pending_db.store, "after event").add("left", **ADD)
    return pending_db


def test_a_young_pending_event_is_told_and_left(left):
    (found,) = check(left)
    assert (found.kind, found.where, found.mended, found.counts) == (
        "pending", "event 1", False, False,
    )  # fmt: skip
    assert_matches(found.what, r"incomplete for 0\.\d s: its writer may be at work")
    assert left.journal.event(1)["pending"]


def test_an_old_pending_event_is_completed(left):
    left.journal.now = lambda: time.time() + 60
    (found,) = check(left)
    assert (found.kind, found.mended, found.counts) == ("pending", True, True)
    assert_matches(found.what, "was left incomplete 60 s ago")
    assert left.store.count(*OWN) == left.store.count("cdb_epix_000001", EPIX) == 1
    assert check(left) == []


def test_documents_of_a_young_pending_event_are_no_fault(left):
    assert counted(check(left, accept=True)) == []
    assert left.store.count(*OWN) == 0


# Documents of other programs ---------------------------------------------------------------------


def test_documents_of_other_programs_are_told_and_left(db, other):
    for number in (1, 2):
        other.insert(number=number)
    before = content(db)
    told = check(db, older_than=0, accept=True)
    assert [(f.kind, f.where, f.counts) for f in told] == [("foreign", f"cdb_xpp1/{EPIX}", False)]
    assert told[0].what == "2 documents of other programs; `cdb adopt` takes them in"
    assert content(db) == before


@pytest.mark.parametrize("broken", [{"ctype": None}, {"_id": "not an id"}])
def test_unreadable_documents_of_other_programs_are_told(db, other, broken):
    other.insert(number=1)
    other.insert(number=2, **broken)
    assert [f.what for f in check(db)] == ["2 documents of other programs, 1 of them unreadable"]


def test_entries_of_other_programs_in_the_register_are_told(db):
    db.store.insert(*REGISTER, [{"_id": "1" * 24, "long": "epix_c", "short": "epix_000007"},
                                {"_id": "2" * 24, "long": "epix_d"}])  # fmt: skip
    (told,) = check(db)
    assert (told.where, told.counts) == ("cdb_detnames/epix", False)
    assert "2 documents of other programs, 1 of them unreadable" in told.what


@pytest.mark.parametrize("quick_store", ["memory", "pending", "mock"], indirect=True)
def test_bytes_of_other_programs_are_told_and_never_swept(db, other):
    blob = other.upload(b"theirs")
    (told,) = check(db, older_than=0)
    assert (told.kind, told.where, told.counts) == ("foreign", f"cdb_xpp1/{blob}", False)
    assert told.what == "6 bytes of another program that no document names"
    assert blob in content(db)["bytes"]["cdb_xpp1"]


def test_other_databases_are_not_looked_at(db):
    db.store.insert("theirs", "papers", [{"_id": 1, "seq": 1}])
    assert check(db, older_than=0) == []


# Accepting ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [change_a_document, delete_a_document], ids=names)
def test_what_is_accepted_is_recorded_as_retired(db, other, version, fault):
    fault(other, version)
    (found,) = check(db, accept=True)
    assert (found.kind, found.mended, found.counts) == ("document", True, True)
    event = db.journal.event(db.head)
    assert (event["action"], event["reason"]) == ("retire", f"accepted: it {found.what}")
    assert db.find(detector=EPIX, experiment="xpp1") == []
    assert check(db, accept=True) == []


def test_the_past_of_what_is_accepted_stays(db, other, version):
    before = db.get(EPIX, "notes", experiment="xpp1", run=0, as_of=1)
    other.change(*OWN, version.id, comment="forged")
    check(db, accept=True)
    assert db.get(EPIX, "notes", experiment="xpp1", run=0, as_of=1) == before
    (gone,) = [v for v in db.history(EPIX, "notes", experiment="xpp1") if v.id == version.id]
    assert gone.state == "retired"
    assert "accepted: it was changed (comment)" in gone.note


def test_all_copies_of_what_is_accepted_leave_in_one_event(db, other, version):
    other.delete(*OWN, version.id)
    check(db, accept=True)
    assert db.find(detector=EPIX, experiment="xpp1") == db.find(detector=EPIX) == []
    restored = db.restore(version.id, reason="it was good")
    assert [v.id for v in db.find(detector=EPIX, experiment="xpp1")] == [restored.id]
    assert len(db.find(detector=EPIX)) == 1


def test_a_document_leaves_by_the_first_event_that_says_so(db, version):
    own, copy = deployments.fate_of(db.journal, version.id).copies
    retire(db, own)
    retire(db, own, copy)
    assert check(db) == []
    assert db.find(detector=EPIX, experiment="xpp1", as_of=db.head - 1) == []


def retire(db: Database, *entries: dict) -> None:
    """Write an event that retires these copies, as an earlier version might have."""
    leave = Proposal("retire", "", lambda seq, _: [deployments._leaving(e, seq) for e in entries],
                     frozenset())  # fmt: skip
    db.journal.commit(lambda _: leave)


def test_what_was_retired_already_is_only_put_back(db, other, version):
    bring_back_a_retired_one(other, version)
    head = db.head
    assert [f.mended for f in check(db, accept=True)] == [True]
    assert db.head == head
    assert check(db) == []


def test_an_accepted_entry_of_the_register_is_retired_as_psana_sees_it(db, other):
    change_the_register(other, None)
    check(db, accept=True)
    (document,) = db.store.find(*REGISTER)
    assert (document["retired"], document["short"]) == ("epix_a_b", "retired:epix_000002")
    assert not {"long", "detector"} & document.keys()
    with pytest.raises(NotFound):
        db.short_name("epix_a_b")
    assert db.short_name("epix_a_b", as_of=4) == "epix_000002"
    assert check(db) == []


def test_each_finding_says_whether_it_counts(memory_db):
    store = memory_db.store
    assert isinstance(store, MemoryStore)
    memory_db.add("x", **ADD)
    OtherProgram(store).insert(second=SECOND)
    leave_bytes(OtherProgram(store), None)
    assert [(f.kind, f.counts) for f in check(memory_db)] == [("foreign", False), ("litter", False)]
    assert [(f.kind, f.counts) for f in check(memory_db, older_than=0)] == [
        ("foreign", False), ("litter", True),
    ]  # fmt: skip
