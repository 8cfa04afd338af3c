"""Bytes of versions that have left are removed for good, and nothing else is."""

import pytest

from cdb.backup import Export, Import
from cdb.copies import Copies
from cdb.database import Database
from cdb.errors import BadQuestion, Purged, WrongState
from cdb.fsck import Check
from cdb.purge import Choice, purge, purgeable
from cdb.store_digest import store_digest
from cdb.stores.memory import MemoryStore
from tests.programs import EPIX, Died, OtherProgram, dying_at, interrupted_at

NOTES = {"detector": EPIX, "ctype": "notes", "experiment": "xpp1"}


def purge_all(db: Database, **choice):
    found, seen = purgeable(db.journal, Choice(**choice))
    return purge(db.journal, found, seen=seen, reason="space")


def blobs(db: Database) -> int:
    return sum(len(list(db.store.blobs(d))) for d in ("cdb_xpp1", f"cdb_{EPIX}"))


def wrong(db: Database, data: str = "wrong", run: int = 1):
    """Add a version and retire it."""
    version = db.add(data, **NOTES, run=run)
    db.retire(version.id, reason="beam was on")
    return version


def test_what_is_purged_was_named_before_and_reads_say_by_whom(db):
    version = wrong(db)
    assert [one.nbytes for one in purge_all(db)] == [5, 5]
    assert blobs(db) == 0
    event = db.journal.event(db.head)
    assert (event["action"], event["reason"], len(event["versions"])) == ("purge", "space", 2)
    assert db.version(EPIX, "notes", experiment="xpp1", run=1, as_of=1).id == version.id
    with pytest.raises(Purged, match=r"purged by .* at 20.*Z \(space\)"):
        db.get(EPIX, "notes", experiment="xpp1", run=1, as_of=1)
    assert purgeable(db.journal, Choice()) == ([], db.head)


def test_what_a_visible_version_names_is_kept(quick_db):
    version = quick_db.add("right", **NOTES, run=1)
    quick_db.amend(version.id, comment="better", reason="typo")
    shared = quick_db.add("right", **NOTES, run=2)
    quick_db.retire(shared.id, reason="twice")
    assert purge_all(quick_db) == []
    assert quick_db.get(EPIX, "notes", experiment="xpp1", run=1)[0] == "right"


def test_what_another_program_names_is_kept(quick_db):
    version = wrong(quick_db)
    OtherProgram(quick_db.store).insert(id_data=version.meta["id_data"])
    assert [one.database for one in purge_all(quick_db)] == [f"cdb_{EPIX}"]


@pytest.mark.parametrize(
    "choice",
    [{"detector": "epix_000002"}, {"ctype": "pedestals"}, {"experiment": "xpp2"}, {"before": 1}],
)
def test_only_what_was_chosen_is_found(memory_db, choice):
    wrong(memory_db)
    assert purge_all(memory_db, **choice) == []
    kept = {"detector": EPIX, "ctype": "notes", "experiment": "xpp1", "before": 2}
    assert len(purge_all(memory_db, **kept)) == 2


def test_a_reason_is_needed(memory_db):
    wrong(memory_db)
    found, seen = purgeable(memory_db.journal, Choice())
    with pytest.raises(BadQuestion, match="a reason is needed"):
        purge(memory_db.journal, found, seen=seen, reason=" ")


def test_what_was_purged_cannot_be_restored_but_added_again(quick_db):
    version = wrong(quick_db)
    purge_all(quick_db)
    with pytest.raises(WrongState, match="purged by .* add them again"):
        quick_db.restore(version.id, reason="it was right")
    assert quick_db.add("wrong", **NOTES, run=1).new
    assert quick_db.get(EPIX, "notes", experiment="xpp1", run=1)[0] == "wrong"


def test_fsck_misses_nothing_that_was_purged(db):
    wrong(db)
    purge_all(db)
    assert list(Check(db.journal, payloads=True, older_than=0).run()) == []


def test_fsck_removes_what_came_back(quick_db):
    version = wrong(quick_db)
    purge_all(quick_db)
    blob = next(iter(quick_db.store.blobs("cdb_xpp1")), None)
    assert blob is None
    from cdb.stores.base import Blob

    back = Blob(version.meta["id_data"], 5, version.sha256, 0, 0.0)
    quick_db.store.put("cdb_xpp1", back, b"wrong")
    assert [f.mended for f in Check(quick_db.journal).run()] == [True]
    assert blobs(quick_db) == 0


@pytest.mark.parametrize("step", ["after event", "before removal", "before done"])
def test_killed_after_its_event_a_purge_is_completed_by_the_next(quick_store, step):
    wrong(Database(quick_store))
    with pytest.raises(Died):
        purge_all(dying_at(quick_store, step))
    db = Database(quick_store)
    assert not db.journal.head().settled
    assert [f.kind for f in Check(db.journal, older_than=0).run()] == ["pending"]
    assert blobs(db) == 0
    assert db.journal.head().settled


def test_the_next_writer_completes_it_too(quick_store, monkeypatch):
    wrong(Database(quick_store))
    with pytest.raises(Died):
        purge_all(dying_at(quick_store, "after event"))
    monkeypatch.setattr("cdb.journal.PENDING_SECONDS", -1)
    db = Database(quick_store)
    db.add("other", **NOTES, run=3)
    assert blobs(db) == 2


def test_killed_before_its_event_nothing_is_removed(quick_store):
    wrong(Database(quick_store))
    with pytest.raises(Died):
        purge_all(dying_at(quick_store, "before event"))
    assert blobs(Database(quick_store)) == 2


def test_an_add_that_shares_the_bytes_meanwhile_keeps_its_data(quick_store):
    other = Database(quick_store)
    version = wrong(other)
    purging = interrupted_at(
        quick_store, "before event", lambda: other.restore(version.id, reason="it was right")
    )
    assert purge_all(purging) == []
    assert other.get(EPIX, "notes", experiment="xpp1", run=1)[0] == "wrong"


def test_an_add_that_was_about_to_share_purged_bytes_uploads_them(quick_store):
    other = Database(quick_store)
    wrong(other)
    adding = interrupted_at(quick_store, "before event", lambda: purge_all(other))
    adding.add("wrong", **NOTES, run=7)
    assert other.get(EPIX, "notes", experiment="xpp1", run=7)[0] == "wrong"
    assert list(Check(other.journal, payloads=True, older_than=0).run()) == []


def test_an_add_beside_a_purge_that_has_not_removed_yet_uploads_anew(quick_store):
    wrong(Database(quick_store))
    with pytest.raises(Died):
        purge_all(dying_at(quick_store, "after event"))
    db = Database(quick_store)
    db.add("wrong", **NOTES, run=7)
    list(Check(db.journal, older_than=0).run())
    assert db.get(EPIX, "notes", experiment="xpp1", run=7)[0] == "wrong"


def test_a_document_that_was_about_to_name_purged_bytes_is_refused(quick_store):
    other = Database(quick_store)
    id_data = wrong(other).meta["id_data"]
    filing = interrupted_at(quick_store, "before event", lambda: purge_all(other))
    given = {"detector": EPIX, "ctype": "notes", "run": 1, "run_end": "end", "id_data": id_data}
    with pytest.raises(WrongState, match="send the data again"):
        Copies(filing.journal).file("cdb_xpp1", EPIX, given)


def test_a_restore_that_was_overtaken_by_a_purge_is_refused(quick_store):
    other = Database(quick_store)
    version = wrong(other)
    restoring = interrupted_at(quick_store, "before event", lambda: purge_all(other))
    with pytest.raises(WrongState, match="purged by"):
        restoring.restore(version.id, reason="it was right")


def test_a_purge_travels_in_an_archive(quick_store, tmp_path):
    """A copy from before loses the bytes too; the archive from before does not bring them back."""
    db, copy = Database(MemoryStore()), Database(quick_store)
    wrong(db)
    db.add("right", **NOTES, run=5)
    for name in ("before", "after"):
        with Export(db.journal, tmp_path / name) as export:
            export.write()
        if name == "before":
            purge_all(db)
    for name in ("before", "after", "before"):
        with Import(copy.journal, tmp_path / name) as plan:
            plan.run()
    assert store_digest(copy.journal) == store_digest(db.journal)
    assert blobs(copy) == 2
