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


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63), 1e-7, 1.7976931348623157e308, -0.0, 0.1,
                                   "é\u2028", True, None, [{"a": 1}]])  # fmt: skip
def test_many_documents_are_read_as_one_is(tmp_path, value):
    with open_store(tmp_path.as_uri()) as store:
        store.insert("cdb_x", "y", [{"_id": number, "value": value} for number in range(80)])
        read = [document["value"] for document in store.find("cdb_x", "y")]
        assert {repr(found) for found in read} == {repr(value)}
