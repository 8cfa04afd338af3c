"""The one command that destroys data needs a yes and a reason."""

from tests.cli.conftest import WHICH


def test_it_says_what_it_will_remove_and_needs_a_yes(cdb, ask, peds):
    cdb("retire", peds, "-m", "beam was on", "--yes")
    told = cdb("purge")
    assert "epixhr2x2_000001  2         2         192 B  pedestals" in told.stdout
    assert (told.exit_code, told.stderr) == (
        1, "cdb: error: nothing was done: say --yes to remove these bytes for good\n"
    )  # fmt: skip
    assert "say why with -m" in cdb("purge", "--yes").stderr
    facts = ask("purge", "--dry-run")
    assert (facts["payloads"], facts["bytes"], facts["purged"]) == (2, 192, 0)
    assert ask("purge", "-m", "space", "--yes")["purged"] == 2
    assert "nothing to purge" in cdb("purge").stdout


def test_what_was_purged_says_so(cdb, peds):
    cdb("retire", peds, "-m", "beam was on", "--yes")
    cdb("purge", "-m", "space", "--yes")
    failed = cdb("get", *WHICH, "-c", "pedestals", "-o", "-", "--as-of", "1")
    assert (failed.exit_code, failed.stderr.count("\n")) == (1, 1)
    assert "were purged by" in failed.stderr
    assert "bytes of versions that had left: 2, 192 B" in cdb("journal").stdout


def test_a_choice_narrows_it(cdb, ask, peds):
    cdb("retire", peds, "-m", "beam was on", "--yes")
    assert ask("purge", "--dry-run", "--before", "1")["payloads"] == 0
    assert ask("purge", "--dry-run", "-d", "epixhr2x2_000001", "--before", "2")["payloads"] == 2
    assert ask("purge", "--dry-run", "-c", "geometry")["payloads"] == 0
