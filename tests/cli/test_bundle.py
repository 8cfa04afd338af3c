"""Bundles, typed."""

import re
import shlex

import pytest

from tests.cli.conftest import DEPLOY, WHICH


def test_a_bundle_is_a_store(cdb, ask, folder, peds, monkeypatch):
    made = ask("bundle", "make", *WHICH, "out.cdb")
    assert (made["seq"], made["payloads"], made["nbytes"]) == (1, 1, 96)
    assert ask("bundle", "verify", "out.cdb")["payloads"] == 1
    before = ask("ls", *WHICH), cdb("explain", *WHICH, "-c", "pedestals").stdout
    monkeypatch.setenv("CDB_URL", f"bundle://{folder}/out.cdb")
    assert (ask("ls", *WHICH), cdb("explain", *WHICH, "-c", "pedestals").stdout) == before
    assert "a bundle, read-only" in cdb("info").stdout


def test_what_it_lacks_and_what_it_refuses_are_one_line(cdb, folder, peds, monkeypatch):
    cdb("bundle", "make", *WHICH, "--run", "3", "out.cdb")
    monkeypatch.setenv("CDB_URL", f"bundle://{folder}/out.cdb")
    missed = cdb("show", "-e", "xpp1", "-d", "epix_000001", "-c", "pedestals")
    assert (missed.exit_code, missed.stderr.count("\n")) == (1, 1)
    assert f"--run 3-3 --url {(folder / 'store').as_uri()} out.cdb" in missed.stderr
    refused = cdb("retire", peds, "-m", "no", "--yes")
    assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
    assert "is a bundle, which is only read" in refused.stderr


def test_the_command_that_a_miss_names_fetches_what_was_missed(cdb, ask, folder, peds, monkeypatch):
    cdb("amend", peds, "-R", "9", "--reason", "x")
    cdb(*DEPLOY, "-c", "pixel_rms", "-d", "epix_000002", "-f", "mypeds")
    cdb("bundle", "make", *WHICH, "--run", "3", "out.cdb")
    bundle = f"bundle://{folder}/out.cdb"
    other = ("show", "-e", "rixx45619", "-d", "epix_000002", "-c", "pixel_rms", "--url", bundle)
    missed = cdb(*other)
    assert missed.exit_code == 1
    command = shlex.split(re.search("`cdb (.*)`", missed.stderr)[1])
    assert cdb(*command, "--yes").exit_code == 0
    assert cdb(*other).exit_code == 0


@pytest.mark.parametrize("runs", ["7-3", "a-b", "-5"])
def test_runs_that_are_none_are_refused(cdb, peds, runs):
    assert cdb("bundle", "make", *WHICH, f"--run={runs}", "out.cdb").exit_code in (1, 2)


def test_a_dry_run_makes_no_file(cdb, folder, peds):
    assert "would be packed" in cdb("bundle", "make", *WHICH, "--dry-run", "out.cdb").stdout
    assert not (folder / "out.cdb").exists()
