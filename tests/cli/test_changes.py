"""Taking back and mending: what hides data asks, and nothing is ever destroyed."""

import pytest

from tests.cli.conftest import DEPLOY, WHICH

PEDS = (*WHICH, "-c", "pedestals")
WHY = ("--reason", "beam was on")


def files_below(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("payloads/*/*")}


def test_retire_hides_both_copies_in_one_event(cdb, db, peds):
    told = cdb("retire", peds, *WHY, "--yes")
    assert told.stdout.startswith(f"pedestals of epixhr2x2_000001 retired\n  id          {peds}\n")
    assert db.head == 2
    assert cdb("get", *PEDS).exit_code == 1
    assert cdb("get", "-d", "epixhr2x2_000001", "-c", "pedestals").exit_code == 1


@pytest.mark.parametrize("answer", [None, "", "n\n", "\n", "perhaps\n"])
def test_retire_asks_and_does_nothing_without_a_yes(cdb, db, peds, answer):
    result = cdb("retire", peds, *WHY, input=answer)
    assert result.exit_code == 1
    assert f"Retire pedestals of epixhr2x2_000001, runs 0-end ({peds})?" in result.stderr
    assert result.stderr.splitlines()[-1].endswith("nothing was done: answer y, or say --yes")
    assert db.head == 1


def test_retire_takes_yes_for_an_answer(cdb, db, peds):
    assert cdb("retire", peds, *WHY, input="y\n").exit_code == 0
    assert db.head == 2


def test_a_dry_run_of_retire_neither_asks_nor_writes(cdb, db, peds):
    result = cdb("retire", peds, *WHY, "--dry-run")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "would be retired" in result.stdout
    assert db.head == 1


def test_the_bytes_stay(cdb, folder, peds):
    before = files_below(folder)
    cdb("retire", peds, *WHY, "--yes")
    cdb("fsck", "--older-than", "0")
    assert files_below(folder) == before
    assert cdb("get", *PEDS, "--as-of", "1").exit_code == 0


@pytest.mark.parametrize("command", ["retire", "restore"])
def test_a_reason_is_wanted(cdb, db, peds, command):
    assert cdb(command, peds).exit_code == 2
    assert cdb(command, peds, "--reason", " ").exit_code == 1
    assert db.head == 1


def test_what_has_left_cannot_leave_again(cdb, db, peds):
    cdb("retire", peds, *WHY, "--yes")
    result = cdb("retire", peds, *WHY, "--yes")
    assert result.exit_code == 1
    assert "has left already: retired by" in result.stderr
    assert db.head == 2


@pytest.mark.parametrize("command", ["retire", "restore", "amend"])
@pytest.mark.parametrize("version", ["615717800000070123456789", "../x", "", "µ"])
def test_an_id_that_is_none_is_one_line(cdb, peds, command, version):
    why = ["-m", "x"]
    result = cdb(command, version, *why)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "no version" in result.stderr


def test_restore_brings_back_under_a_new_id(cdb, ask, peds):
    cdb("retire", peds, *WHY, "--yes")
    assert "would be restored" in cdb("restore", peds, "--reason", "no", "--dry-run").stdout
    told = cdb("restore", peds, "--reason", "it was not").stdout
    assert "pedestals of epixhr2x2_000001 restored" in told
    assert ask("show", *PEDS)["replaces"] == peds


def test_what_is_live_or_came_back_cannot_be_restored(cdb, peds):
    assert "was not retired" in cdb("restore", peds, "--reason", "x").stderr
    cdb("retire", peds, *WHY, "--yes")
    cdb("restore", peds, "--reason", "x")
    assert "has a successor already" in cdb("restore", peds, "--reason", "x").stderr


def test_amend_changes_a_comment_unasked(cdb, ask, peds):
    result = cdb("amend", peds, "-m", "made with 800 events", "-v", "V2", "--unit", "ADU")
    assert (result.exit_code, result.stderr) == (0, "")
    version = ask("show", *PEDS)
    assert (version["comment"], version["version"], version["unit"]) == (
        "made with 800 events", "V2", "ADU",
    )  # fmt: skip


@pytest.mark.parametrize(
    "narrower", [["-R", "140"], ["-r", "5"], ["-t", "2022-01-01T00:00:00Z"], ["-s", "1700000000"]]
)
def test_amend_asks_before_it_hides_something(cdb, db, peds, narrower):
    result = cdb("amend", peds, *narrower)
    assert result.exit_code == 1
    assert "becomes" in result.stderr
    assert db.head == 1
    assert cdb("amend", peds, *narrower, "--yes").exit_code == 0
    assert db.head == 2


@pytest.mark.parametrize("wider", [["-t", "2020-01-01T00:00:00Z"], ["-r", "0"], ["-R", "END"]])
def test_amend_that_hides_nothing_does_not_ask(cdb, db, peds, wider):
    assert cdb("amend", peds, *wider).exit_code == 0
    assert db.head == 2


def test_a_dry_run_of_amend_writes_nothing(cdb, db, peds):
    result = cdb("amend", peds, "-R", "140", "--dry-run")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "would be amended" in result.stdout
    assert "0-140" in result.stdout
    assert db.head == 1


@pytest.mark.parametrize("changes", [[], ["-r", "9", "-R", "5"]])
def test_amend_that_makes_no_sense_is_one_line(cdb, db, peds, changes):
    result = cdb("amend", peds, *changes, "--yes")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert db.head == 1


def test_a_change_in_json_says_what_it_did(ask, cdb, peds):
    planned = ask("amend", peds, "-m", "x", "--dry-run")
    assert (planned["id"], planned["comment"], planned["dry_run"]) == (None, "x", True)
    done = ask("retire", peds, *WHY, "--yes")
    assert (done["id"], done["state"], done["dry_run"]) == (peds, "retired", False)


def test_the_latest_after_a_change_is_what_get_gives(cdb, ask, peds):
    cdb(*DEPLOY, "-c", "pedestals", "-f", "mypeds", "-v", "newer")
    cdb("amend", peds, "-m", "an old one, mended")
    assert ask("show", *PEDS)["version"] == "newer"


def test_amend_only_looks_at_the_version_that_it_replaces(cdb, db, peds, monkeypatch):
    monkeypatch.delattr("cdb.database.Database.retire")
    assert cdb("amend", peds, "-R", "140", "--yes").exit_code == 0
