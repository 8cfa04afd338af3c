"""Readers of an embedded store who may not write into its folder."""

import os
import subprocess
import sys

import pytest

import cdb

ADD = """
import sys, cdb
with cdb.open(sys.argv[1]) as db:
    db.add(sys.argv[2], detector="epix_000001", ctype="notes", run=7)
    if len(sys.argv) > 3:
        import os
        os._exit(0)  # its log stays
"""


def add(url, *words):
    subprocess.run([sys.executable, "-c", ADD, url, *words], check=True)


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """A reader of a store with one constant, whose writer is gone."""
    url = (tmp_path / "store").as_uri()
    add(url, "one")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with cdb.open(url) as db:
        assert db.get("epix_000001", "notes", run=7)[0] == "one"
        yield db


@pytest.mark.parametrize("killed", [[], ["killed"]])
def test_a_reader_sees_what_is_added_while_it_reads(reader, killed):
    for number, text in enumerate(("two", "three", "four"), 2):
        add(reader.store.url, text, *killed)
        assert reader.head == number
        assert reader.get("epix_000001", "notes", run=7)[0] == text


def test_a_reader_cannot_write(reader):
    with pytest.raises(cdb.CalibError, match="readonly"):
        reader.add("two", detector="epix_000001", ctype="notes", run=7)


def test_a_reader_leaves_no_files(reader, tmp_path):
    assert sorted(path.name for path in (tmp_path / "store").glob("documents*")) == [
        "documents.sqlite"
    ]
