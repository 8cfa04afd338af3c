"""Rules at the command line: what is checked, kept out, listed and let in, and the exit codes."""

import json
from pathlib import Path

import numpy as np
import pytest

LIST = ("-d", "epix100a_000001", "-c", "pedestals")
LAB = """
[lab.pedestals]
low = { value = 0, severity = "warn" }
high = { value = 100, severity = "quarantine" }
drift = { value = 5, severity = "refuse" }
"""
PEDS = ("-d", "lab_000001", "-c", "pedestals")


@pytest.fixture
def lab(folder, monkeypatch) -> None:
    """A laboratory with rules, and a file for each outcome."""
    Path("lab.toml").write_text(LAB)
    monkeypatch.setenv("CDB_GATES", "lab.toml")
    for name, value in (("good", 3), ("warned", -1), ("kept_out", 101)):
        np.save(name, np.full((2, 3), value, "float32"))
    Path("list.json").write_text('["no", "text"]')


def kept_out(cdb, *where) -> str:
    """Add what the package's rules keep out; return its id."""
    result = cdb("add", *LIST, *where, "-f", "list.json", "-i", "json", "--json")
    assert result.exit_code == 3
    return json.loads(result.stdout)["id"]


def add(cdb, name, *more):
    return cdb("add", *PEDS, "-f", f"{name}.npy", *more)


def test_what_is_accepted_says_nothing_of_rules(cdb, lab):
    result = add(cdb, "good")
    assert (result.exit_code, result.stderr) == (0, "")


def test_a_warning_goes_to_stderr_and_the_exit_code_is_0(cdb, lab):
    result = add(cdb, "warned")
    assert result.exit_code == 0
    assert result.stdout.startswith("pedestals of lab_000001 added\n")
    assert result.stderr == (
        "cdb: warn: low: the panel has 100 % of its values below 0; 0 % may be\n"
    )


def test_quarantine_has_an_exit_code_of_its_own(cdb, ask, db, lab):
    result = add(cdb, "kept_out")
    assert result.exit_code == 3
    assert result.stdout.startswith("pedestals of lab_000001 quarantined\n")
    assert "cdb: quarantine: high: the panel has 100 % of its values above 100" in result.stderr
    assert "`cdb approve ID --reason ...` lets it in" in result.stderr
    again = add(cdb, "kept_out")
    assert again.exit_code == 3
    assert again.stdout.startswith("pedestals of lab_000001 is in quarantine already\n")
    assert db.head == 1
    assert cdb("get", *PEDS).exit_code == 1


def test_a_dry_run_tells_the_same(cdb, db, lab):
    result = add(cdb, "kept_out", "--dry-run", "--json")
    assert (result.exit_code, db.head) == (3, 0)
    assert '"state": "quarantined"' in result.stdout
    assert add(cdb, "kept_out", "--dry-run").stdout.startswith(
        "pedestals of lab_000001 would be quarantined\n"
    )


def test_what_is_refused_is_an_error(cdb, db, lab):
    add(cdb, "good")
    result = add(cdb, "kept_out")
    assert (result.exit_code, db.head) == (1, 1)
    assert "error: pedestals of lab_000001 is refused: the panel has" in result.stderr
    assert "mend it, or the rules of lab.toml" in result.stderr


def test_an_option_wins_over_the_environment(cdb, lab):
    assert add(cdb, "kept_out", "--gates", "off").exit_code == 0


def test_a_bad_file_of_rules_is_one_sentence(cdb, db, lab):
    Path("lab.toml").write_text("[lab.pedestals]\nlow = { value = 'x' }")
    result = add(cdb, "good")
    assert (result.exit_code, db.head) == (1, 0)
    assert result.stderr == (
        "cdb: error: lab.pedestals.low.value in the rules of lab.toml is 'x'; write a number\n"
    )
    assert cdb("check", "good.npy", *PEDS).exit_code == 2


@pytest.mark.parametrize(
    ("name", "strict", "code"),
    [("good", 0, 0), ("warned", 0, 1), ("kept_out", 1, 1), ("none", 2, 2)],
)
def test_check_says_what_would_be(cdb, db, lab, name, strict, code):
    result = cdb("check", f"{name}.npy", *PEDS)
    assert result.exit_code == (code if name != "warned" else 0)
    assert cdb("check", f"{name}.npy", *PEDS, "--strict").exit_code == code
    assert db.head == 0


def test_check_prints_a_table(cdb, lab):
    first, head, row = cdb("check", "kept_out.npy", *PEDS).stdout.splitlines()
    assert first == "would be quarantined; 3 rules looked at it"
    assert head.split() == ["code", "severity", "rule", "what"]
    assert row.split(maxsplit=3) == [
        "high", "quarantine", "lab.pedestals.high",
        "the panel has 100 % of its values above 100; 0 % may be",
    ]  # fmt: skip


def test_check_says_what_it_did_not_look_at(cdb, lab):
    result = cdb("check", "good.npy", "-d", "epix_000001", "-c", "pedestals")
    assert result.exit_code == 0
    assert result.stderr == ("cdb: note: no rule is about pedestals of epix: it passes\n")


def test_check_answers_in_json(ask, lab):
    told = ask("check", "good.npy", *PEDS)
    assert (told["outcome"], told["findings"]) == ("accepted", [])
    assert told["rules"] == ["lab.pedestals.low", "lab.pedestals.high", "lab.pedestals.drift"]
    assert told["notes"] == ["drift was not looked at: nothing is in force"]


def test_a_version_is_checked_by_its_id(cdb, lab):
    kept = kept_out(cdb)
    result = cdb("check", kept)
    assert result.exit_code == 1
    assert "pedestals is a list; it should be an array of numbers" in result.stdout
    assert cdb("check", "0" * 24).exit_code == 2


def test_check_wants_to_know_what_a_file_is_for(cdb, lab):
    result = cdb("check", "good.npy", "-d", "lab_000001")
    assert result.exit_code == 2
    assert "good.npy is a file: say what it is for, -d and -c" in result.stderr
    assert cdb("check", "0" * 24, *PEDS).exit_code == 2


def test_quarantine_lists_and_approve_lets_in(cdb, ask, lab):
    kept = kept_out(cdb, "-e", "xpp1", "-r", "5")
    (row,) = cdb("quarantine").stdout.splitlines()[1:]
    assert row.split()[:5] == [kept, "epix100a_000001", "pedestals", "xpp1", "5-end"]
    assert row.endswith("kind: pedestals is a list; it should be an array of numbers")
    (listed,) = ask("quarantine", "-d", "epix100a_000001")
    assert (listed["id"], listed["state"]) == (kept, "quarantined")
    assert cdb("quarantine", "-e", "xpp2").stderr == "cdb: nothing is in quarantine\n"
    told = cdb("approve", kept, "--reason", "a table is meant", "--dry-run")
    assert told.stdout.startswith("pedestals of epix100a_000001 would be approved\n")
    assert cdb("approve", kept, "--reason", "a table is meant").exit_code == 0
    assert cdb("quarantine").stderr == "cdb: nothing is in quarantine\n"
    assert cdb("get", *LIST, "-r", "9", "-o", "-").stdout == '["no","text"]\n'
    assert "approve" in cdb("journal").stdout


def test_show_tells_what_was_found_in_words(cdb, lab):
    assert add(cdb, "warned").exit_code == 0
    (line,) = [each for each in cdb("show", *PEDS).stdout.splitlines() if "findings" in each]
    assert line.split(maxsplit=1)[1] == (
        "low: the panel has 100 % of its values below 0; 0 % may be"
    )


def test_approve_wants_a_reason(cdb, lab):
    kept = kept_out(cdb)
    assert cdb("approve", kept).exit_code == 2
    result = cdb("restore", kept, "--reason", "test")
    assert result.exit_code == 1
    assert "`cdb approve` lets it in" in result.stderr
