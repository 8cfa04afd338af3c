"""What only the store in a folder has."""

import os
import sqlite3

import pytest

from cdb.database import Database
from cdb.errors import StoreRefused
from cdb.stores import embedded, open_store


def test_a_folder_of_a_newer_version_is_refused_by_that_name(tmp_path):
    url = (tmp_path / "store").as_uri()
    with open_store(url) as store:
        Database(store).add("x", detector="epix_000001", ctype="notes")
    with sqlite3.connect(tmp_path / "store" / "documents.sqlite") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with open_store(url) as store, pytest.raises(StoreRefused, match="made by a newer cdb"):
        Database(store).head  # noqa: B018


def test_an_empty_file_is_an_empty_store(tmp_path):
    (tmp_path / "documents.sqlite").touch()
    with open_store(tmp_path.as_uri()) as store:
        assert store.databases() == []
        assert [path.name for path in tmp_path.iterdir()] == ["documents.sqlite"]
        store.insert("cdb_x", "y", [{"_id": 1}])
        assert store.databases() == ["cdb_x"]


def test_a_store_appears_whole(tmp_path, monkeypatch):
    def stopped(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(embedded, "_make_tables", stopped)
    with open_store((tmp_path / "a" / "b").as_uri()) as store, pytest.raises(KeyboardInterrupt):
        store.insert("cdb_x", "y", [{"_id": 1}])
    assert list(tmp_path.iterdir()) == []


def test_a_disk_whose_files_have_one_name_holds_a_store_too(tmp_path, monkeypatch):
    def refused(*_):
        raise PermissionError

    monkeypatch.setattr(os, "link", refused)
    with open_store(tmp_path.as_uri()) as store:
        store.insert("cdb_x", "y", [{"_id": 1}])
        assert store.databases() == ["cdb_x"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["documents.sqlite", "payloads"]
