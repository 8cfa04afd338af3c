"""Documents one by one, among other writers: what comes between, what dies, what stays whole."""

import contextlib
import threading
import time

import pytest

from cdb import uploads
from cdb.copies import Copies
from cdb.database import Database
from cdb.errors import BadDocument, NotFound, WrongState
from cdb.fsck import Check
from cdb.purge import Choice, purge, purgeable
from cdb.stores import Store, open_store
from tests.programs import EPIX, Died, OtherProgram, dying_at, interrupted_at

DB, DETECTOR_DB = "cdb_xpp1", "cdb_epix_000001"


def constant(**more):
    return {"detector": EPIX, "ctype": "notes", "run": 5, "run_end": "end", "data_type": "str",
            "experiment": "xpp1"} | more  # fmt: skip


def file(db: Database, **more):
    if "id_data" not in more:
        more["id_data"] = uploads.write(db.journal, DB, b"text")
    return db.copies.file(DB, EPIX, constant(**more))


def entry(long: str, number: int = 1):
    return {"long": long, "short": f"epix_{number:06}", "seqnumber": number}


def findings(db: Database) -> list[str]:
    return [f.what for f in Check(db.journal, payloads=True, older_than=0).run() if f.counts]


# Other writers -----------------------------------------------------------------------------------


def test_a_document_that_another_replaced_meanwhile_is_replaced_again(quick_db):
    made = file(quick_db)
    other = Database(quick_db.store)
    slow = interrupted_at(
        quick_db.store,
        "before event",
        lambda: other.copies.replace(DB, EPIX, made["_id"], constant(comment="theirs")),
    )
    slow.copies.replace(DB, EPIX, made["_id"], constant(comment="ours"))
    (found,) = quick_db.copies.find(DB, EPIX, {})
    assert (found["comment"], found["_id"], quick_db.head) == ("ours", made["_id"], 3)


def test_a_document_that_another_deleted_meanwhile_is_not_replaced(quick_db):
    made = file(quick_db)
    other = Database(quick_db.store)
    slow = interrupted_at(
        quick_db.store, "before event", lambda: other.copies.delete(DB, EPIX, made["_id"])
    )
    with pytest.raises(NotFound, match="no document"):
        slow.copies.replace(DB, EPIX, made["_id"], constant())
    assert quick_db.copies.find(DB, EPIX, {}) == []


def test_a_document_does_not_name_data_that_another_took_back_meanwhile(quick_db):
    blob_id = uploads.write(quick_db.journal, DB, b"text")
    other = Database(quick_db.store)
    slow = interrupted_at(
        quick_db.store, "before event", lambda: uploads.hide(other.journal, DB, blob_id)
    )
    with pytest.raises(WrongState, match="send the data again"):
        file(slow, id_data=blob_id)


def test_data_that_another_named_meanwhile_are_not_taken_back(quick_db):
    blob_id = uploads.write(quick_db.journal, DB, b"text")
    other = Database(quick_db.store)
    slow = interrupted_at(quick_db.store, "before event", lambda: file(other, id_data=blob_id))
    with pytest.raises(WrongState, match="delete that first"):
        uploads.hide(slow.journal, DB, blob_id)
    assert bytes(uploads.read(quick_db.journal, DB, blob_id)) == b"text"


def test_a_short_name_that_another_took_meanwhile_is_taken(quick_db):
    other = Database(quick_db.store)
    slow = interrupted_at(
        quick_db.store,
        "before event",
        lambda: other.copies.file("cdb_detnames", "epix", entry("epix_a")),
    )
    with pytest.raises(WrongState, match="taken"):
        slow.copies.file("cdb_detnames", "epix", entry("epix_b"))


def test_an_entry_under_whose_name_another_filed_meanwhile_stays(quick_db):
    made = quick_db.copies.file("cdb_detnames", "epix", entry("epix_a"))
    other = Database(quick_db.store)
    slow = interrupted_at(quick_db.store, "before event", lambda: file(other))
    with pytest.raises(WrongState, match="inherit"):
        slow.copies.delete("cdb_detnames", "epix", made["_id"])
    assert quick_db.short_name("epix_a") == EPIX


def test_what_another_files_while_a_collection_is_deleted_stays(quick_db):
    file(quick_db)
    other = Database(quick_db.store)
    slow = interrupted_at(quick_db.store, "before event", lambda: file(other, run=6))
    assert slow.copies.clear(DB, EPIX) == 1
    assert [document["run"] for document in quick_db.copies.find(DB, EPIX, {})] == [6]


def test_what_left_while_it_was_read_is_read_as_it_was(quick_db):
    made = file(quick_db)
    moments = iter([quick_db.journal.moment()])
    other = Database(quick_db.store)
    other.copies.delete(DB, EPIX, made["_id"])
    quick_db.journal.moment = lambda: next(moments)
    (found,) = quick_db.copies.find(DB, EPIX, {"detector": EPIX})
    assert found == made


@pytest.mark.parametrize("step", ["before event", "after event", "after documents", "before done"])
def test_a_writer_that_dies_leaves_all_or_nothing(step, quick_store):
    db = Database(quick_store)
    made = file(db)
    # A transaction has no such step.
    with contextlib.suppress(Died):
        dying_at(quick_store, step).copies.replace(DB, EPIX, made["_id"], constant(comment="new"))
    (found,) = Database(quick_store).copies.find(DB, EPIX, {})
    assert (found.get("comment") == "new") is (Database(quick_store).head == 2)
    assert found["_id"] == made["_id"]


def test_a_store_that_psanas_clients_used_is_sound(quick_db):
    kept, gone = file(quick_db), file(quick_db, run=6)
    blob_id = uploads.write(quick_db.journal, DETECTOR_DB, b"text")
    links = {"id_doc_exp": kept["_id"], "id_data_exp": kept["id_data"]}
    quick_db.copies.file(DETECTOR_DB, EPIX, constant(id_data=blob_id, **links))
    quick_db.copies.replace(DB, EPIX, kept["_id"], kept)
    quick_db.copies.delete(DB, EPIX, gone["_id"])
    uploads.hide(quick_db.journal, DB, gone["id_data"])
    quick_db.copies.file(DB, "notes", {"a": 1})
    quick_db.copies.clear(DB, "notes")
    quick_db.copies.delete(
        "cdb_detnames", "epix",
        quick_db.copies.file("cdb_detnames", "epix", entry("epix_a", 9))["_id"],
    )  # fmt: skip
    assert findings(quick_db) == []
    assert quick_db.journal.verify() == quick_db.head


def test_half_a_deployment_is_reported_until_it_is_whole_or_retired(quick_db):
    made = file(quick_db, id_doc_exp=0)
    (half,) = Check(quick_db.journal, older_than=0).run()
    assert (half.kind, half.where, half.counts) == ("half", f"{DB}/{EPIX}/{made['_id']}", True)
    assert [f.counts for f in Check(quick_db.journal).run()] == [False]  # it may be on its way
    quick_db.copies.replace(DB, EPIX, made["_id"], made)
    assert len(findings(quick_db)) == 1
    quick_db.copies.file(DETECTOR_DB, EPIX, constant(id_doc_exp=made["_id"]))
    assert findings(quick_db) == []


def test_what_we_deployed_and_amended_is_no_half(quick_db):
    version = quick_db.add("text", detector=EPIX, ctype="notes", experiment="xpp1")
    quick_db.amend(version.id, comment="better")
    quick_db.copies.delete(DETECTOR_DB, EPIX, quick_db.copies.find(DETECTOR_DB, EPIX, {})[0]["_id"])
    assert findings(quick_db) == []


def test_bytes_that_were_taken_back_before_any_document_are_litter(quick_db):
    blob_id = uploads.write(quick_db.journal, DB, b"text")
    uploads.hide(quick_db.journal, DB, blob_id)
    assert findings(quick_db) == ["4 bytes that no event names"]
    assert list(quick_db.store.blobs(DB)) == []


def test_what_another_filed_since_our_last_write_is_replaced_and_deleted(quick_db):
    other = Database(quick_db.store)
    file(other)  # what it saw is what it proposes on
    replaced, deleted = file(quick_db, run=6), file(quick_db, run=7)
    other.copies.replace(DB, EPIX, replaced["_id"], constant(comment="better"))
    file(other)
    gone = file(quick_db, run=8)
    other.copies.delete(DB, EPIX, deleted["_id"])
    other.copies.delete(DB, EPIX, gone["_id"])
    assert [d.get("comment") for d in quick_db.copies.find(DB, EPIX, {})] == [None, "better", None]


def test_a_name_that_another_freed_since_our_last_write_is_free(quick_db):
    other = Database(quick_db.store)
    made = other.copies.file("cdb_detnames", "epix", entry("epix_a"))
    quick_db.copies.delete("cdb_detnames", "epix", made["_id"])
    assert other.copies.file("cdb_detnames", "epix", entry("epix_b"))["short"] == EPIX


# Many at once ------------------------------------------------------------------------------------


def many(db: Database, number: int) -> None:
    """File documents under a few events, as an import would."""
    from cdb.events import Proposal
    from cdb.events import entry as entry_of
    from cdb.stores.base import new_id

    def build(seq: int, at: int):
        for run in range(number):
            id_ = new_id(at)
            made = constant(run=run, end=2**53, time_sec=1, comment="x" * 500)
            made |= {"_id": id_, "seq": seq, "order": at, "first": id_}
            yield entry_of(DB, EPIX, id_, f"{DB}/{EPIX}/notes/{run}-end", made)

    db.journal.commit(lambda _: Proposal("add", "", lambda *at: list(build(*at)), frozenset()))


def test_5000_documents_deleted_at_once_take_seconds_and_one_event(tmp_path):
    with Database(open_store(tmp_path.as_uri())) as db:
        many(db, 5000)
        began = time.monotonic()
        assert db.copies.clear(DB) == 5000
        assert time.monotonic() - began < 10
        assert (db.head, db.copies.find(DB, EPIX, {})) == (2, [])
        assert db.copies.tally.databases() == []


@pytest.mark.mongo
def test_documents_deleted_at_once_are_one_update_on_a_server(mongo_url):
    # FerretDB takes 20 us for each document and each member of a list; MongoDB has an index.
    updates = []
    with open_store(mongo_url) as store:
        many(Database(store), 100)
        real = store._update
        store._update = lambda *asked: updates.append(asked[:2]) or real(*asked)
        assert Database(store).copies.clear(DB) == 100
    assert updates == [(DB, EPIX), ("cdbjournal", "journal")]


def test_more_than_one_event_holds_leave_under_several(memory_db, monkeypatch):
    monkeypatch.setattr("cdb.copies.BYTES_AT_ONCE", 1000)
    many(memory_db, 20)
    assert memory_db.copies.clear(DB, EPIX) == 20
    assert 4 < memory_db.head < 12


# Lists -------------------------------------------------------------------------------------------


def test_a_tally_follows_what_others_write(quick_db):
    other = Copies(Database(quick_db.store).journal)
    assert other.tally.databases() == []
    version = quick_db.add("text", detector=EPIX, ctype="notes", experiment="xpp1")
    assert other.tally.databases() == [DETECTOR_DB, DB]
    amended = quick_db.amend(version.id, comment="better")
    assert other.tally.counts() == {(DB, EPIX): 1, (DETECTOR_DB, EPIX): 1}
    quick_db.retire(amended.id, reason="test")
    assert other.tally.databases() == []
    quick_db.restore(amended.id, reason="test")
    assert other.tally.databases() == [DETECTOR_DB, DB]
    assert Copies(quick_db.journal).tally.databases() == [DETECTOR_DB, DB]


def test_lists_are_told_by_the_journal_and_not_by_scans(quick_db, monkeypatch):
    file(quick_db)
    assert quick_db.copies.tally.collections(DB) == [EPIX]
    for name in ("find", "rows", "columns"):
        real = getattr(quick_db.store, name)

        def watched(database, *more, real=real, **named):
            assert database == "cdbjournal"
            return real(database, *more, **named)

        monkeypatch.setattr(quick_db.store, name, watched)
    assert quick_db.copies.tally.databases() == [DB]


def test_a_tally_counts_what_a_dead_writer_left(quick_store):
    with contextlib.suppress(Died):
        file(dying_at(quick_store, "after event"))
    assert Copies(Database(quick_store).journal).tally.databases() == [DB]


def test_a_shared_server_lists_what_other_programs_add(pending_db, monkeypatch):
    monkeypatch.setattr(type(pending_db.store), "local", False)
    assert pending_db.copies.tally.databases() == []
    OtherProgram(pending_db.store).insert()
    assert pending_db.copies.tally.databases() == [DB]
    pending_db.copies.clear(DB)
    assert pending_db.copies.tally.collections(DB) == []
    OtherProgram(pending_db.store).insert(number=2)
    assert pending_db.copies.tally.collections(DB) == [EPIX]


def test_threads_may_share_copies(shared_store: Store):
    db = Database(shared_store)
    threads = [threading.Thread(target=file, args=(db,), kwargs={"run": n}) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(d["run"] for d in db.copies.find(DB, EPIX, {})) == list(range(8))
    assert db.copies.tally.counts()[DB, EPIX] == 8


# With our own calls ------------------------------------------------------------------------------


def test_documents_that_are_no_constants_disturb_no_look_up(quick_db):
    quick_db.add("text", detector=EPIX, ctype="notes", experiment="xpp1")
    quick_db.detector(EPIX, experiment="xpp1", run=7)  # now an index is kept
    quick_db.copies.file(DB, EPIX, {"ctype": "notes", "run": "five"})
    found = quick_db.detector(EPIX, experiment="xpp1", run=7).calibconst
    assert found["notes"][0] == "text"


def test_a_filed_constant_is_retired_restored_and_amended_by_its_id(quick_db):
    made = file(quick_db)
    quick_db.retire(made["_id"], reason="test")
    assert quick_db.copies.get(DB, EPIX, made["_id"]) is None
    restored = quick_db.restore(made["_id"], reason="test")
    quick_db.amend(restored.id, comment="better")
    found = quick_db.copies.get(DB, EPIX, made["_id"])
    assert (found["comment"], found["order"]) == ("better", made["order"])


def test_a_constant_without_data_is_retired_restored_and_amended_too(quick_db):
    made = quick_db.copies.file(DB, EPIX, constant(id_doc_exp="N/A"))
    quick_db.retire(made["_id"], reason="test")
    restored = quick_db.restore(made["_id"], reason="test")
    quick_db.amend(restored.id, comment="better")
    assert quick_db.copies.get(DB, EPIX, made["_id"])["comment"] == "better"
    assert findings(quick_db) == []


def test_data_that_were_purged_meanwhile_are_sent_again(quick_db):
    made = file(quick_db)
    quick_db.copies.delete(DB, EPIX, made["_id"])
    other = Database(quick_db.store).journal
    found, seen = purgeable(other, Choice())
    slow = interrupted_at(
        quick_db.store, "before event", lambda: purge(other, found, seen=seen, reason="test")
    )
    with pytest.raises(WrongState, match="send the data again"):
        file(slow, id_data=made["id_data"])


def test_a_filed_document_needs_an_upload(quick_db):
    with pytest.raises(BadDocument, match="send the data first"):
        file(quick_db, id_data="5fc6911af587a598cbb1a601")
