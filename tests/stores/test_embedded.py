"""What only the store in a folder has."""

import os

import pytest

from cdb.stores import open_store, tables


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

    monkeypatch.setattr(tables, "make_tables", stopped)
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
