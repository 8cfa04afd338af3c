"""The inventory: names that differ only in case, indexes made once, payloads found by digest."""

import pytest

from cdb import inventory
from cdb.errors import BadName
from cdb.stores.layout import INVENTORY, JOURNAL_DATABASE

EPIX = "epix_000001"
NAMES = {"detector": EPIX, "experiment": "rixx45619", "ctype": "pedestals"}
DATABASES = ["cdb_rixx45619", "cdb_epix_000001"]


def noted(store):
    return sorted(row[0] for row in store.rows(JOURNAL_DATABASE, INVENTORY, ("_id",)))


def test_notes_names_collections_and_payloads(db):
    version = db.add("x", **NAMES)
    wanted = [
        f"{name}{end}" for name in DATABASES for end in ("", f"/{EPIX}", f"/{version.sha256}")
    ]
    assert noted(db.store) == sorted(wanted)
    db.add("x", **NAMES, run=7)
    assert noted(db.store) == sorted(wanted)


def test_a_payload_is_shared_once_an_event_names_it(db):
    version = db.add("x", **NAMES)
    shared = inventory.prepare(db.store, DATABASES, EPIX, version.sha256, dry_run=False)
    assert shared["cdb_rixx45619"] == version.meta["id_data"]
    assert list(shared) == DATABASES
    assert inventory.prepare(db.store, DATABASES, EPIX, "0" * 64, dry_run=False) == {}


def test_a_rehearsal_notes_nothing(db):
    assert inventory.prepare(db.store, DATABASES, EPIX, "0" * 64, dry_run=True) == {}
    assert (noted(db.store), db.store.databases()) == ([], [])


def test_database_names_that_differ_only_in_case_are_refused(db):
    db.add("x", **NAMES)
    with pytest.raises(BadName, match="only in case"):
        db.add("x", **{**NAMES, "experiment": "RIXX45619"})
    assert db.head == 1


def test_a_name_is_refused_that_another_writer_claimed_first(store):
    other = {"_id": "cdb_rixx45619", "database": "cdb_RIXX45619"}
    store.insert(JOURNAL_DATABASE, INVENTORY, [other])
    with pytest.raises(BadName, match="cdb_rixx45619 differs from cdb_RIXX45619 only in case"):
        inventory.prepare(store, ["cdb_rixx45619"], EPIX, "0" * 64, dry_run=False)


@pytest.mark.parametrize(("winner", "fine"), [("cdb_rixx45619", True), ("cdb_RIXX45619", False)])
def test_the_loser_of_a_race_for_a_name_sees_the_winner(store, monkeypatch, winner, fine):
    def databases():  # asked right before the claim: here another writer comes between
        made = {"_id": "cdb_rixx45619", "database": winner}
        store.insert(JOURNAL_DATABASE, INVENTORY, [made], ignore_duplicates=True)
        return []

    monkeypatch.setattr(store, "databases", databases)
    if fine:
        inventory.prepare(store, ["cdb_rixx45619"], EPIX, "0" * 64, dry_run=False)
    else:
        with pytest.raises(BadName, match="only in case"):
            inventory.prepare(store, ["cdb_rixx45619"], EPIX, "0" * 64, dry_run=False)
