"""Opening: which address is meant, and that it is not asked before it is used."""

import time

import pytest

import cdb
from cdb.errors import BadName
from cdb.opening import locate
from tests.conftest import EPIX


def test_the_address_is_given_or_in_the_environment_or_the_default(monkeypatch):
    monkeypatch.setenv("CDB_URL", "memory://")
    assert locate("file:///x") == ("file:///x", "given")
    assert locate() == ("memory://", "from CDB_URL")
    monkeypatch.delenv("CDB_URL")
    assert locate()[0].startswith("file:///")


@pytest.mark.parametrize("url", ["http//x", "ftp://x", "mongo:27017", "file://host/x", ""])
def test_unknown_addresses_are_refused(url):
    from cdb.stores import open_store

    with pytest.raises(BadName, match="mongodb://"):
        open_store(url)


def test_opening_touches_nothing(tmp_path):
    with cdb.open((tmp_path / "store").as_uri()) as db:
        assert db.head == 0
        assert db.find(detector=EPIX) == []
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_down_is_said_within_five_seconds():
    begin = time.monotonic()
    with cdb.open("mongodb://127.0.0.1:1/") as db, pytest.raises(ConnectionError) as caught:
        db.head  # noqa: B018
    assert time.monotonic() - begin < 5
    assert "mongodb://127.0.0.1:1" in str(caught.value)
    assert "check that the server runs" in str(caught.value)


def test_an_address_of_a_service_may_be_written_in_capitals():
    from cdb.remote import RemoteDatabase

    with cdb.open("HTTPS://a.example.org/") as db:
        assert isinstance(db, RemoteDatabase)
