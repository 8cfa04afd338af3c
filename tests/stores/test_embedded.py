"""What only the store in a folder has."""

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
