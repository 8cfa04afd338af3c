"""The command line over a service: the same commands, the same answers."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from cdb.actor import actor
from cdb.stores import open_store
from tests import service
from tests.cli.conftest import DEPLOY, PEDS, WHICH, Cdb
from tests.service import Service, token_of


@pytest.fixture
def served(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A service over the folder's store, which CDB_URL names."""
    with open_store((folder / "store").as_uri()) as store, service.serving(store) as served:
        monkeypatch.setenv("CDB_URL", served.url)
        monkeypatch.setenv("CDB_TOKEN", token_of(actor().login))
        monkeypatch.setenv("CDB_CACHE", str(folder / "cache"))
        yield served


@pytest.fixture
def added(served: Service, cdb: Cdb, ask: Callable) -> str:
    """The id of pedestals that were added over the service."""
    assert cdb(*DEPLOY, "-c", "pedestals", "-f", "mypeds").exit_code == 0
    return str(ask("show", *WHICH, "-c", "pedestals")["id"])


def test_what_is_added_comes_back_as_a_file(added, cdb, folder):
    assert cdb("get", *WHICH, "-c", "pedestals", "-f", "back").exit_code == 0
    (path,) = folder.glob("back*.npy")
    assert np.array_equal(np.load(path), PEDS)


@pytest.mark.parametrize(
    "words",
    [("show", *WHICH, "-c", "pedestals"), ("ls", *WHICH), ("history", *WHICH, "-c", "pedestals"),
     ("explain", *WHICH, "-c", "pedestals"), ("detectors",), ("experiments",),
     ("ls", *WHICH, "--as-of", "2100-01-01T00:00Z")],
)  # fmt: skip
def test_reading_commands_print_what_they_print_at_the_store(added, cdb, folder, words):
    remote = cdb(*words)
    local = cdb(*words, "--url", (folder / "store").as_uri())
    assert remote.exit_code == 0, remote.stderr
    assert remote.stdout == local.stdout


def test_a_version_is_amended_retired_and_restored(added, cdb, ask, served):
    assert cdb("amend", added, "-m", "better", "--yes").exit_code == 0
    amended = ask("show", *WHICH, "-c", "pedestals")
    assert amended["comment"] == "better"
    assert cdb("retire", amended["id"], "-m", "test", "--yes").exit_code == 0
    assert cdb("show", *WHICH, "-c", "pedestals").exit_code == 1
    assert cdb("restore", amended["id"], "-m", "test").exit_code == 0
    assert ask("ls", *WHICH)[0]["comment"] == "better"
    assert served.db.head == 4


def test_info_says_the_service_its_identity_and_who_one_is(added, cdb, ask, served):
    told = ask("info")
    assert told["service"]["server"] == served.db.journal.identity()
    assert (told["seq"], told["why"]) == (1, "from CDB_URL")
    shown = cdb("info").stdout
    assert f"{served.url} (a service) - from CDB_URL" in shown
    assert f"{actor().login}, who may do everything" in " ".join(shown.split())


def test_a_bundle_of_a_service_is_used_without_it(added, cdb, ask, folder, served):
    made = ask("bundle", "make", *WHICH, "out.cdb")
    assert (made["seq"], made["payloads"]) == (1, 1)
    before = ask("ls", *WHICH)
    served.stop()
    bundle = f"bundle://{folder}/out.cdb"
    assert ask("ls", *WHICH, "--url", bundle) == before
    got = cdb("get", *WHICH, "-c", "pedestals", "-f", "back", "--url", bundle)
    assert got.exit_code == 0, got.stderr
    assert [event["_id"] for event in ask("journal", "--url", bundle)] == [1]
    served.start()


def test_prefetch_fills_the_cache(added, cdb, ask):
    assert cdb("cache", "prefetch", *WHICH).exit_code == 0
    assert ask("cache", "info")["payloads"] == 1


@pytest.mark.parametrize(
    "words",
    [(), ("-n", "1"), ("--after", "1"), ("--as-of", "1"), ("--as-of", "2100-01-01T00:00Z"),
     ("--verify",), ("--json",), ("--verify", "--json")],
)  # fmt: skip
def test_the_journal_is_printed_as_at_the_store(added, cdb, folder, words):
    cdb("retire", added, "-m", "test", "--yes")
    remote = cdb("journal", *words)
    local = cdb("journal", *words, "--url", (folder / "store").as_uri())
    assert remote.exit_code == 0, remote.stderr
    assert remote.stdout == local.stdout


@pytest.mark.parametrize("words", [("fsck",), ("adopt",), ("export", "out.tar"), ("purge",)])
def test_what_needs_the_store_itself_says_so_in_one_line(served, cdb, words):
    result = cdb(*words)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "is a service" in result.stderr
    assert "--url STORE" in result.stderr


def test_a_wrong_token_is_one_line(served, cdb, monkeypatch):
    monkeypatch.setenv("CDB_TOKEN", "cdb_wrong")
    result = cdb("ls", *WHICH)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "CDB_TOKEN" in result.stderr


def test_an_address_where_nobody_answers_is_one_line(cdb, monkeypatch):
    monkeypatch.setattr("cdb.stores.transport.FIRST_SECONDS", 0.2)
    result = cdb("ls", *WHICH, "--url", "http://127.0.0.1:1/")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "check the address" in result.stderr
