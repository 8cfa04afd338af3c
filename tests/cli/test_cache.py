"""The folder of payloads, from the command line: info, verify, clear, prefetch."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cdb.database import Database
from cdb.stores.cache import Cache
from cdb.stores.cached import CachedStore
from cdb.stores.memory import MemoryStore
from tests.cli.conftest import Cdb

DATA = b"payload" * 1000
SHA = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    """The cache that commands use, with one payload."""
    monkeypatch.setenv("CDB_CACHE", str(folder / "cache"))
    made = Cache(folder / "cache")
    made.fetch(SHA, lambda: [DATA])
    return made


@pytest.fixture
def path(cache: Cache) -> Path:
    """The file of the payload."""
    return cache.folder / "payloads" / SHA[:2] / SHA


def test_info_says_what_is_there(cdb: Cdb, ask: Callable, cache):
    told = ask("cache", "info")
    assert (told["payloads"], told["bytes"], told["locks"]) == (1, len(DATA), True)
    assert told["folder"] == str(cache.folder)
    shown = cdb("cache", "info").stdout
    assert "by CDB_CACHE" in shown
    assert "7.0 kB of 32.0 GB" in shown


def test_the_limit_is_obeyed_and_said(ask, cache, monkeypatch):
    monkeypatch.setenv("CDB_CACHE_SIZE", "500M")
    assert ask("cache", "info")["limit"] == 500 * 10**6


def test_without_locks_info_says_so(cdb, cache, monkeypatch):
    monkeypatch.setattr(Cache, "has_locks", False)
    assert "several processes may download" in cdb("cache", "info").stdout


def test_a_network_disk_is_said(cdb, cache, monkeypatch):
    monkeypatch.setattr(Cache, "file_system", "lustre")
    assert "lustre: a network file system" in cdb("cache", "info").stdout


def test_verify_finds_what_is_damaged_and_removes_it(cdb, cache, path):
    assert cdb("cache", "verify").exit_code == 0
    path.chmod(0o600)
    path.write_bytes(DATA[:-1] + b"!")
    found = cdb("cache", "verify", "--json")
    assert (found.exit_code, json.loads(found.stdout)) == (1, {"whole": 0, "damaged": [SHA]})
    assert not path.exists()


def test_clear_removes_all_and_a_dry_run_nothing(cdb, cache, path):
    assert "1 payloads" in cdb("cache", "clear", "--dry-run").stdout
    assert path.exists()
    assert cdb("cache", "clear").exit_code == 0
    assert cache.entries() == []


def test_prefetch_fills_the_cache_for_a_run(cdb, folder, cache, monkeypatch):
    db = Database(CachedStore(MemoryStore(), cache))
    names = {"detector": "epix_000001", "experiment": "xpp1"}
    for ctype in ("pedestals", "notes"):
        db.add(ctype, ctype=ctype, **names)
    monkeypatch.setattr("cdb.open", lambda url=None: db)
    done = cdb("cache", "prefetch", "-d", "epix_000001", "-e", "xpp1", "-c", "notes", "--json")
    assert [each["ctype"] for each in json.loads(done.stdout)] == ["notes"]
    assert len(cache.entries()) == 2


def test_a_local_store_has_nothing_to_prefetch(cdb, peds):
    result = cdb("cache", "prefetch", "-d", "epixhr2x2_000001")
    assert result.exit_code == 1
    assert "nothing to prefetch" in result.stderr


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [("CDB_CACHE", "off", "there is no cache"), ("CDB_CACHE_SIZE", "much", "20G")],
)
def test_settings_that_leave_no_cache_are_said(cdb, cache, monkeypatch, name, value, sentence):
    monkeypatch.setenv(name, value)
    result = cdb("cache", "info")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert sentence in result.stderr
