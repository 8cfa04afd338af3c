"""What the writes propose: when an add is the same, what may follow what, what a dry run leaves."""

import pytest

from cdb import deployments
from cdb.database import Database
from cdb.errors import NotFound, WrongState
from cdb.events import Proposal
from cdb.fsck import Check
from cdb.stores.memory import MemoryStore
from tests.programs import EPIX, interrupted_at

ADD = {"detector": EPIX, "experiment": "xpp1", "ctype": "notes", "time": 1_600_000_000}
OWN, COPY = ("cdb_xpp1", EPIX), ("cdb_epix_000001", EPIX)


def add(db: Database, text: str = "text", **more):
    return db.add(text, **{**ADD, **more})


def get(db: Database, **asked) -> str:
    return db.get(EPIX, "notes", experiment="xpp1", run=7, **asked)[0]


def documents(db: Database, place: tuple[str, str] = OWN) -> dict[str, dict]:
    return {document["_id"]: document for document in db.store.find(*place)}


@pytest.fixture
def version(quick_db):
    """A version that was added."""
    return add(quick_db)


# When an add is the same -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [{"comment": "other words"}, {"unit": "ADU"}, {"source": {"runs": [1]}}, {"time": None},
     {"iofname": "a.txt"}, {"conditions": {"gain": 1}}, {"run_end": None}, {"extpars": {"a": 1}}],
)  # fmt: skip
def test_what_only_describes_makes_no_new_version(quick_db, version, change):
    again = add(quick_db, **change)
    assert (again.id, again.new, quick_db.head) == (version.id, False, 1)
    assert again.meta == version.meta


@pytest.mark.parametrize(
    ("text", "change"),
    [("other", {}), ("text", {"time": 1_600_000_001}), ("text", {"version": "V2"}),
     ("text", {"run": 1}), ("text", {"run_end": 9999}), ("text", {"again": True}),
     ("text", {"experiment": "cxi2"}), ("text", {"experiment": None}),
     ("text", {"dbsuffix": "mine"}), ("text", {"detector": "epix_000002"})],
)  # fmt: skip
def test_what_changes_a_look_up_makes_a_new_version(quick_db, version, text, change):
    made = add(quick_db, text, **change)
    assert (made.new, made.seq) == (True, 2)
    assert made.id != version.id


def test_an_empty_text_and_an_empty_list_are_two_constants(quick_db):
    assert add(quick_db, "[]").new
    assert quick_db.add([], **ADD).new
    assert not quick_db.add([], **ADD).new


def test_the_same_in_a_private_database_is_the_same(quick_db):
    first = add(quick_db, dbsuffix="mine")
    assert add(quick_db, dbsuffix="mine").id == first.id
    assert add(quick_db, dbsuffix="yours").new


def test_the_same_once_it_was_retired_is_new(quick_db, version):
    quick_db.retire(version.id, reason="test")
    made = add(quick_db)
    assert (made.new, made.meta["first"]) == (True, made.id)
    assert get(quick_db) == "text"


def test_the_same_as_what_a_retirement_uncovered_is_there_already(quick_db, version):
    newer = add(quick_db, "newer")
    quick_db.retire(newer.id, reason="test")
    assert add(quick_db).id == version.id


def test_the_same_as_an_amended_version_is_the_amended_one(quick_db, version):
    amended = quick_db.amend(version.id, comment="better said")
    assert add(quick_db).id == amended.id


def test_the_same_as_before_an_amended_label_is_new(quick_db, version):
    quick_db.amend(version.id, version="V2")
    assert add(quick_db).new
    assert not add(quick_db).new


def test_the_same_by_two_writers_is_one_version(quick_db):
    other = Database(quick_db.store)
    slow = interrupted_at(quick_db.store, "before event", lambda: add(other))
    version = add(slow)
    assert (version.new, quick_db.head, len(documents(quick_db))) == (False, 1, 1)


def test_the_same_twice_with_again_is_twice_there(quick_db, version):
    second = add(quick_db, again=True)
    assert second.meta["id_data"] == version.meta["id_data"]
    assert len(documents(quick_db)) == 2


# Bytes -------------------------------------------------------------------------------------------


def blobs(db: Database, database: str = "cdb_xpp1") -> set[str]:
    return {blob.id for blob in db.store.blobs(database)}


def test_bytes_are_shared_with_any_version_of_the_database(quick_db, version):
    for change in ({"run": 1}, {"ctype": "other"}, {"detector": "epix_000002"}):
        assert add(quick_db, **change).meta["id_data"] == version.meta["id_data"]
    assert len(blobs(quick_db)) == 1


def test_bytes_that_are_gone_are_uploaded_again(quick_db, version):
    quick_db.store.remove("cdb_xpp1", [version.meta["id_data"]])
    made = add(quick_db, run=1)
    assert made.meta["id_data"] != version.meta["id_data"]
    assert quick_db.data(made) == "text"


def test_bytes_that_no_event_names_are_not_shared(quick_db):
    from cdb.payload import digest

    left = quick_db.store.write("cdb_xpp1", b"text", sha256=digest(b"text"), head=0)
    assert add(quick_db).meta["id_data"] != left


@pytest.mark.parametrize("transactional", [True, False])
def test_bytes_that_were_swept_before_the_event_are_uploaded_again(transactional):
    db = Database(MemoryStore(transactional=transactional))
    slow = interrupted_at(
        db.store, "after blob", lambda: list(Check(db.journal, older_than=0).run())
    )
    assert slow.data(add(slow)) == "text"
    assert [event["action"] for event in db.journal.events()] == ["sweep", "sweep", "add"]
    assert list(Check(db.journal, older_than=0, payloads=True).run()) == []


def test_progress_is_told_for_what_is_uploaded_only(quick_db):
    steps: list[int] = []
    add(quick_db, "12345", progress=steps.append)
    assert sum(steps) == 10  # both databases
    add(quick_db, "12345", run=1, progress=steps.append)
    assert sum(steps) == 10


# What may follow what ----------------------------------------------------------------------------


def retire(db: Database, id_: str):
    return db.retire(id_, reason="test")


def restore(db: Database, id_: str):
    return db.restore(id_, reason="test")


def amend(db: Database, id_: str):
    return db.amend(id_, comment="other")


def live(db: Database) -> tuple[str, str]:
    return add(db).id, ""


def retired(db: Database) -> tuple[str, str]:
    return retire(db, add(db).id).id, ""


def replaced(db: Database) -> tuple[str, str]:
    id_ = add(db).id
    return id_, amend(db, id_).id


def restored(db: Database) -> tuple[str, str]:
    id_ = retired(db)[0]
    return id_, restore(db, id_).id


def successor_of_restored(db: Database) -> tuple[str, str]:
    return restored(db)[1], ""


def successor_of_replaced_retired(db: Database) -> tuple[str, str]:
    return retire(db, replaced(db)[1]).id, ""


ALLOWED = [
    (live, retire), (live, amend), (retired, restore), (successor_of_restored, retire),
    (successor_of_restored, amend), (successor_of_replaced_retired, restore),
]  # fmt: skip
REFUSED = {
    (live, restore): "was not retired: nothing to restore",
    (retired, retire): r"has left already: retired by \S+ at \S+Z \(test\)$",
    (retired, amend): r"has left already: retired by .*; `cdb restore` brings it back",
    (replaced, retire): "has left already: replaced by {successor} by",
    (replaced, restore): "has a successor already, {successor}: replaced by {successor} by",
    (replaced, amend): "has left already: replaced by {successor} by",
    (restored, retire): "has left already: retired by",
    (restored, restore): "has a successor already, {successor}: retired by",
    (restored, amend): r"has left already: retired by \S+ at \S+ \(test\)$",
    (successor_of_restored, restore): "was not retired",
    (successor_of_replaced_retired, retire): "has left already",
    (successor_of_replaced_retired, amend): "has left already: .*; `cdb restore` brings it back",
}


def named(value) -> str:
    return value.__name__ if callable(value) else ""


@pytest.mark.parametrize(("state", "change"), ALLOWED, ids=named)
def test_what_may_follow(memory_db, state, change):
    id_, _ = state(memory_db)
    head = memory_db.head
    change(memory_db, id_)
    assert memory_db.head == head + 1
    assert len(memory_db.find(detector=EPIX)) == (0 if change is retire else 1)
    assert list(Check(memory_db.journal, older_than=0).run()) == []


@pytest.mark.parametrize(("state", "change"), REFUSED, ids=named)
def test_what_may_not_follow_says_why_and_names_the_successor(memory_db, state, change):
    id_, successor = state(memory_db)
    head = memory_db.head
    expected = REFUSED[state, change].format(successor=successor)
    with pytest.raises(WrongState, match=f"^{id_} {expected}"):
        change(memory_db, id_)
    assert memory_db.head == head


@pytest.mark.parametrize("change", [retire, restore, amend])
def test_unknown_versions_are_not_found(memory_db, change):
    with pytest.raises(NotFound, match="`cdb history` shows ids, and `cdb adopt` takes in"):
        change(memory_db, "0" * 24)


@pytest.mark.parametrize("first", [retire, amend])
@pytest.mark.parametrize("second", [retire, amend])
def test_of_two_who_change_one_version_the_second_is_refused(quick_db, version, first, second):
    other = Database(quick_db.store)
    slow = interrupted_at(quick_db.store, "before event", lambda: first(other, version.id))
    with pytest.raises(WrongState, match="has left already"):
        second(slow, version.id)
    assert quick_db.head == 2


def test_of_two_who_restore_one_version_the_second_is_refused(quick_db, version):
    retire(quick_db, version.id)
    other = Database(quick_db.store)
    made = []
    slow = interrupted_at(
        quick_db.store, "before event", lambda: made.append(restore(other, version.id))
    )
    with pytest.raises(WrongState) as caught:
        restore(slow, version.id)
    assert made[0].id in str(caught.value)
    assert len(quick_db.find(detector=EPIX)) == 1


# What a change leaves ----------------------------------------------------------------------------


def test_a_retired_document_is_hidden_from_psana_and_else_unchanged(quick_db, version):
    before = documents(quick_db)[version.id]
    retire(quick_db, version.id)
    after = documents(quick_db)[version.id]
    assert after == before | {"out": 2, "detector": f"retired:{EPIX}"}


def test_both_copies_leave_and_come_back_in_one_event(quick_db, version):
    retire(quick_db, version.id)
    assert len(quick_db.journal.event(2)["versions"]) == 2
    made = restore(quick_db, version.id)
    (copy,) = quick_db.find(detector=EPIX)
    assert copy.meta["id_doc_exp"] == made.id
    assert copy.meta["id_data_exp"] == made.meta["id_data"] == version.meta["id_data"]


def test_a_chain_of_changes_keeps_place_payload_and_first(quick_db, version):
    amended = amend(quick_db, version.id)
    back = restore(quick_db, retire(quick_db, amended.id).id)
    for made, replaces in ((amended, version), (back, amended)):
        kept = ("order", "first", "id_data", "sha256", "run", "end", "time_sec")
        assert {n: made.meta[n] for n in kept} == {n: version.meta[n] for n in kept}
        assert made.meta["replaces"] == replaces.id
        assert (made.id[:14], made.new) == (version.id[:14], True)
    assert back.meta["comment"] == "other"


def test_a_private_version_stays_private(quick_db):
    amended = amend(quick_db, add(quick_db, dbsuffix="mine").id)
    assert amended.database == "cdb_epix_000001_mine"
    assert (amended.meta["id_doc_exp"], amended.meta["id_data_exp"]) == ("N/A", "N/A")
    assert quick_db.store.count(*COPY) == 0


def test_a_version_of_the_detector_alone_stays_alone(quick_db):
    amended = amend(quick_db, add(quick_db, experiment=None).id)
    assert (amended.database, amended.meta["id_doc_exp"]) == ("cdb_epix_000001", 0)
    assert quick_db.store.count(*OWN) == 0


def test_the_copy_stands_for_the_deployment(quick_db, version):
    (copy,) = quick_db.find(detector=EPIX)
    amended = amend(quick_db, copy.id)
    assert (amended.database, amended.meta["replaces"]) == ("cdb_xpp1", version.id)
    with pytest.raises(WrongState, match="replaced by"):
        retire(quick_db, version.id)


# Dry runs ----------------------------------------------------------------------------------------


def everything(db: Database) -> dict:
    """Return all that a store holds."""
    return {
        database: (
            {c: list(db.store.find(database, c)) for c in db.store.collections(database)},
            {blob.id for blob in db.store.blobs(database)},
        )
        for database in db.store.databases()
    }


@pytest.mark.parametrize(
    ("change", "asked"),
    [("retire", {"reason": "test"}), ("amend", {"comment": "other"}), ("amend", {"run": 7})],
)
def test_a_dry_run_says_what_would_be_and_writes_nothing(quick_db, version, change, asked):
    before = everything(quick_db)
    planned = getattr(quick_db, change)(version.id, dry_run=True, **asked)
    assert everything(quick_db) == before
    done = getattr(quick_db, change)(version.id, **asked)
    ids = ("_id", "first", "replaces", "order")
    assert {n: v for n, v in planned.meta.items() if n not in ids} == {
        n: v for n, v in done.meta.items() if n not in ids
    }


def test_a_dry_restore_writes_nothing(quick_db, version):
    retire(quick_db, version.id)
    before = everything(quick_db)
    assert quick_db.restore(version.id, reason="test", dry_run=True).new
    assert everything(quick_db) == before


@pytest.mark.parametrize(("text", "new"), [("text", False), ("other", True)])
def test_a_dry_add_says_whether_it_would_be_new_and_writes_nothing(quick_db, version, text, new):
    before = everything(quick_db)
    planned = add(quick_db, text, dry_run=True)
    assert planned.new is new
    assert everything(quick_db) == before


@pytest.mark.parametrize("change", [retire, restore, amend])
def test_a_dry_run_refuses_what_the_change_would(quick_db, version, change):
    amend(quick_db, version.id)
    before = everything(quick_db)
    asked = {"comment": "x"} if change is amend else {"reason": "x"}
    with pytest.raises(WrongState):
        getattr(quick_db, change.__name__)(version.id, dry_run=True, **asked)
    assert everything(quick_db) == before


def test_copies_that_left_one_by_one_are_not_touched_again(db):
    version = add(db)
    made = deployments.fate_of(db.journal, version.id).copies[1]
    leave = Proposal("retire", "one", lambda seq, _: [deployments._leaving(made, seq)], frozenset())
    db.journal.commit(lambda _: leave)
    first = db.head
    db.retire(version.id, reason="the other")
    assert [v.out for v in db.history(EPIX, "notes")] == [first]
    db.restore(version.id, reason="both")
    assert len(db.find(detector=EPIX)) == 1


def test_what_is_no_constant_cannot_be_retired_or_amended(db):
    db.add("x", detector="epix_a-1", ctype="notes")
    (entry,) = db.store.find("cdb_detnames", "epix")
    for change in (lambda: db.retire(entry["_id"], reason="x"),
                   lambda: db.amend(entry["_id"], comment="x")):  # fmt: skip
        with pytest.raises(NotFound):
            change()
    assert db.short_name("epix_a-1") == EPIX


def elsewhere(db, text="text", **given):
    from cdb import payload

    plain = payload.encode(text)
    made = payload.Encoded(plain.fields, payload.digest(plain.data), len(plain.data), plain.data)
    return db.deploy(made, **{**ADD, **given})


def test_what_left_elsewhere_is_never_in_force(quick_db, version):
    old = elsewhere(quick_db, "old", retired="a backup")
    assert (old.new, old.state, quick_db.head) == (True, "retired", 2)
    assert get(quick_db) == "text"
    history = quick_db.history(ADD["detector"], ADD["ctype"], experiment=ADD["experiment"])
    assert [v.id for v in history] == [old.id, version.id]
    assert history[0].note.endswith("(event 2): a backup")
    assert [e["database"] for e in quick_db.journal.event(2)["versions"]] == 2 * [
        f"cdb_{ADD['experiment']}", f"cdb_{ADD['detector']}",
    ]  # fmt: skip


def test_what_left_elsewhere_can_be_brought_back(quick_db, version):
    old = elsewhere(quick_db, "old", retired="a backup")
    back = quick_db.restore(old.id, reason="it was right")
    assert (get(quick_db), back.state) == ("old", "live")


@pytest.mark.parametrize("step", ["after blob", "before event", "after event"])
def test_a_writer_of_what_left_elsewhere_dies_at_a_step(quick_db, step):
    slow = interrupted_at(quick_db.store, step, lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        elsewhere(slow, retired="a backup")
    with pytest.raises(NotFound):
        get(quick_db)
    elsewhere(quick_db, retired="a backup")
    with pytest.raises(NotFound):
        get(quick_db)
