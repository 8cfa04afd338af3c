"""``cdb audit``: what is found, said and told by the exit code; digests for a logbook."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cdb.cli import audit as command
from cdb.database import Database
from cdb.rights import Rights
from cdb.stores.memory import MemoryStore
from tests import service
from tests.programs import EPIX, OtherProgram

EVENTS = ("cdbjournal", "journal")
ADD = {"detector": EPIX, "ctype": "notes"}
CDB = str(Path(sys.executable).with_name("cdb"))


@pytest.fixture
def three(db):
    """A store of three events."""
    for run in range(3):
        db.add(f"text {run}", run=run, **ADD)
    return db


@pytest.fixture
def served(monkeypatch):
    """A service with three events, of two experiments, where `CDB_URL` leads as administrator."""
    with service.serving(MemoryStore(), anonymous_read=False) as served:
        for run, experiment in enumerate(["xpp1", "rix1", "xpp1"]):
            served.db.add(f"text {run}", run=run, experiment=experiment, **ADD)
        monkeypatch.setenv("CDB_URL", served.url)
        be(monkeypatch, service.actor().login)
        yield served


def be(monkeypatch, name: str) -> None:
    monkeypatch.setenv("CDB_TOKEN", service.token_of(name))


def test_a_sound_store(cdb, three):
    result = cdb("audit", "verify", "--payloads")
    identity = three.journal.identity()[:16]
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"3 events and 3 documents of {identity}: 0 found\n"


def test_an_empty_store(cdb):
    result = cdb("audit", "verify")
    assert result.exit_code == 0
    assert result.stdout == "0 events and 0 documents of an empty store: 0 found\n"
    assert cdb("audit", "head").stdout == "no events yet: there is nothing to write down\n"


def test_what_is_found_is_named_and_told_by_the_exit_code(cdb, three):
    OtherProgram(three.store).change(*EVENTS, 2, reason="forged \x1b[31m")
    result = cdb("audit", "verify")
    assert result.exit_code == 1
    assert "event 2 of the journal was changed after it was written" in result.stdout
    assert result.stdout.endswith(": 1 found\n")


def test_hostile_names_are_printable(cdb, three):
    forged = {"_id": "\x1b[2J\n", "seq": 1}
    three.store.insert("cdb_epix_000001", EPIX, [forged])
    result = cdb("audit", "verify")
    assert result.exit_code == 1
    assert "\x1b" not in result.stdout
    assert "no event names it" in result.stdout


def test_json_says_all(cdb, three):
    OtherProgram(three.store).change(*EVENTS, 2, reason="forged")
    result = cdb("audit", "verify", "--json")
    told = json.loads(result.stdout)
    assert result.exit_code == 1
    assert {name: told[name] for name in ("seq", "events", "documents", "found", "payloads")} == {
        "seq": 3, "events": 3, "documents": 3, "found": 1, "payloads": False,
    }  # fmt: skip
    (finding,) = told["findings"]
    assert (finding["kind"], finding["where"], finding["counts"]) == ("chain", "event 2", True)


def test_a_digest_for_the_logbook_is_found_again(cdb, ask, three):
    head = ask("audit", "head")
    assert (head["seq"], head["server"]) == (3, three.journal.identity())
    assert head["verify"].split()[:3] == ["cdb", "audit", "verify"]
    assert head["verify"] in cdb("audit", "head").stdout
    three.add("later", run=9, **ADD)
    typed = head["verify"].split()[1:]
    assert cdb(*typed).exit_code == 0
    event = three.journal.event(3)
    OtherProgram(three.store).change(*EVENTS, 3, digest="0" * 64)
    assert cdb(*typed).exit_code == 1
    assert event["digest"] == head["digest"]


@pytest.mark.parametrize("text", ["", "abc", "0" * 63, "0" * 64 + "@", "0" * 64 + "@0", "g" * 64])
def test_what_is_no_digest_is_a_mistake_in_usage(cdb, three, text):
    result = cdb("audit", "verify", "--head", text)
    assert result.exit_code == 2
    assert "is no digest" in result.stderr


def test_a_part_of_the_chain(cdb, three):
    OtherProgram(three.store).change(*EVENTS, 1, pending=True)
    assert "2 events and 2 documents" in cdb("audit", "verify", "--from", "2").stdout
    refused = cdb("audit", "verify", "--from", "9")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "give 1 to 3" in refused.stderr


def test_a_store_that_does_not_answer_is_trouble(cdb, folder):
    (folder / "store").mkdir()
    (folder / "store" / "documents.sqlite").write_text("this is no database, but long enough")
    result = cdb("audit", "verify")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("cdb: error: ")
    assert cdb("audit", "head").exit_code == 2


def test_a_bar_on_a_terminal(three):
    terminal, its_end = os.openpty()
    done = subprocess.run(
        [CDB, "audit", "verify"], stdout=subprocess.PIPE, stderr=its_end, check=True, text=True
    )
    os.close(its_end)
    assert done.stdout.startswith("3 events")
    assert b"verifying" in os.read(terminal, 10_000)
    os.close(terminal)


# Over a service ----------------------------------------------------------------------------------


def test_an_administrator_verifies_the_whole_chain(cdb, served):
    result = cdb("audit", "verify")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"3 events of {served.db.journal.identity()[:16]}: 0 found",
        "a service does not show its documents: verify them where its store is",
    ]


def test_a_fault_is_found_over_a_service(cdb, served):
    OtherProgram(served.db.store).change(*EVENTS, 2, reason="forged")
    result = cdb("audit", "verify", "--json")
    assert result.exit_code == 1
    assert [f["where"] for f in json.loads(result.stdout)["findings"]] == ["event 2"]


def test_a_missing_event_is_found_over_a_service(cdb, served):
    OtherProgram(served.db.store).delete(*EVENTS, 2)
    result = cdb("audit", "verify", "--json")
    assert [f["what"] for f in json.loads(result.stdout)["findings"]] == [
        "event 2 of the journal is missing"
    ]


def test_who_may_not_read_all_is_told_what_was_not_verified(cdb, served, monkeypatch):
    served.settings.rights["eve"] = Rights(read=("cdb_xpp*",))
    be(monkeypatch, "eve")
    result = cdb("audit", "verify")
    assert result.exit_code == 0
    assert "2 events of" in result.stdout
    assert "1 events more are not shown to you, and 2 in part" in result.stdout
    OtherProgram(served.db.store).change(*EVENTS, 3, previous="0" * 64, digest="1" * 64)
    assert cdb("audit", "verify").exit_code == 0  # the event before is not shown to her
    OtherProgram(served.db.store).change(*EVENTS, 3, at=1)
    assert cdb("audit", "verify").exit_code == 1


def test_a_digest_that_one_may_not_see_is_trouble(cdb, served, monkeypatch):
    hidden = served.db.journal.event(2)["digest"]
    assert cdb("audit", "verify", "--head", f"{hidden}@2").exit_code == 0
    served.settings.rights["eve"] = Rights(read=("cdb_xpp*",))
    be(monkeypatch, "eve")
    result = cdb("audit", "verify", "--head", f"{hidden}@2")
    assert (result.exit_code, "you may not see event 2" in result.stderr) == (2, True)
    shown = served.db.journal.event(3)["digest"]
    assert cdb("audit", "verify", "--head", f"{shown}@3").exit_code == 0
    assert cdb("audit", "verify", "--head", f"{hidden}@3").exit_code == 1


def test_the_head_works_over_a_service(ask, served):
    head = ask("audit", "head")
    event = served.db.journal.event(3)
    assert (head["seq"], head["digest"]) == (3, event["digest"])
    assert head["server"] == served.db.journal.identity()


def test_payloads_are_not_verified_over_a_service(cdb, served):
    result = cdb("audit", "verify", "--payloads")
    assert (result.exit_code, "do this where its store is" in result.stderr) == (2, True)


def test_a_service_that_is_not_there_is_trouble(cdb, monkeypatch):
    monkeypatch.setattr("cdb.stores.transport.FIRST_SECONDS", 0.1)
    assert cdb("audit", "verify", "--url", "http://127.0.0.1:9/").exit_code == 2
    assert cdb("audit", "head", "--url", "http://127.0.0.1:9/").exit_code == 2


def test_the_command_has_its_two(three):
    assert isinstance(three, Database)
    assert sorted(command.audit_command.commands) == ["head", "verify"]
