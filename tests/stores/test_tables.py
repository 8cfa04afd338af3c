"""The layout of the embedded store: of a newer version, and of an older one."""

import sqlite3

import pytest

from cdb.database import Database
from cdb.errors import StoreRefused
from cdb.stores import open_store


def test_a_folder_of_a_newer_version_is_refused_by_that_name(tmp_path):
    url = (tmp_path / "store").as_uri()
    with open_store(url) as store:
        Database(store).add("x", detector="epix_000001", ctype="notes")
    with sqlite3.connect(tmp_path / "store" / "documents.sqlite") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with open_store(url) as store, pytest.raises(StoreRefused, match="made by a newer cdb"):
        Database(store).head  # noqa: B018


def test_a_store_of_the_first_layout_gets_the_index_of_nonces(tmp_path):
    with open_store(tmp_path.as_uri()) as store:
        store.insert("cdbjournal", "journal", [{"_id": 1, "nonce": "a"}])
    with sqlite3.connect(tmp_path / "documents.sqlite") as connection:
        connection.execute("DROP INDEX documents_nonce")
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    with open_store(tmp_path.as_uri()) as store:
        assert [d["_id"] for d in store.find("cdbjournal", "journal", {"nonce": "a"})] == [1]
        found = store._writing().execute("SELECT name FROM sqlite_master WHERE name LIKE '%nonce'")
        assert found.fetchone() is not None
