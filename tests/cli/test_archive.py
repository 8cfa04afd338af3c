"""A store in one file, typed."""

import pytest

from tests.cli.conftest import WHICH


@pytest.fixture
def copy(folder) -> str:
    """The address of a store that is to be a copy."""
    return (folder / "copy").as_uri()


def test_export_and_import_tell_what_they_did(cdb, ask, peds, copy):
    assert cdb("export", "store.tar").stdout.startswith("store.tar written\n  S ")
    done = cdb("import", "--url", copy, "store.tar")
    assert done.stdout.splitlines()[:2] == [
        "store.tar is whole; added",
        "  events                       1, up to S = 1",
    ]
    assert ask("info", "--digest")["digest"] == ask("info", "--digest", "--url", copy)["digest"]
    assert cdb("show", "--url", copy, *WHICH, "-c", "pedestals").exit_code == 0


def test_a_dry_run_writes_nothing(ask, folder, peds, copy):
    told = ask("export", "--dry-run", "store.tar")
    assert (told["payloads"], told["seq"], told["dry_run"]) == (1, 1, True)
    assert not (folder / "store.tar").exists()
    ask("export", "store.tar")
    told = ask("import", "--dry-run", "--url", copy, "store.tar")
    assert (told["events"], told["payloads"], told["nbytes"]) == (1, 1, 96)
    assert not (folder / "copy").exists()


def test_an_export_replaces_a_file_only_with_a_yes(cdb, folder, peds):
    (folder / "store.tar").write_text("mine")
    refused = cdb("export", "store.tar", input="n\n")
    assert (refused.exit_code, (folder / "store.tar").read_text()) == (1, "mine")
    assert cdb("export", "store.tar", "--yes").exit_code == 0


def test_damage_is_one_line(cdb, folder, peds, copy):
    cdb("export", "store.tar")
    whole = (folder / "store.tar").read_bytes()
    (folder / "store.tar").write_bytes(whole[:3000])
    failed = cdb("import", "--url", copy, "store.tar")
    assert failed.exit_code == 1
    assert failed.stderr.startswith("cdb: error: store.tar ends too early, after 3000 bytes")
    assert failed.stderr.count("\n") == 1
    assert not (folder / "copy").exists()


def test_a_file_that_is_not_there_is_one_line(cdb, folder):
    failed = cdb("import", "none.tar")
    assert (failed.exit_code, failed.stderr.count("\n")) == (1, 1)
    assert "none.tar" in failed.stderr


def test_a_folder_that_is_not_there_is_one_line(cdb, peds):
    failed = cdb("export", "none/store.tar")
    assert (failed.exit_code, failed.stderr.count("\n")) == (1, 1)


def test_large_payloads_show_how_long_it_took(cdb, folder, copy):
    import numpy as np

    np.save("big.npy", np.random.default_rng(1).random((1600, 1600)))
    cdb("add", "-d", "epix_000001", "-c", "pedestals", "-f", "big.npy")
    assert "exporting 20.5 MB took" in cdb("export", "store.tar").stderr
    said = cdb("import", "--url", copy, "store.tar").stderr
    assert "verifying 20.5 MB took" in said
    assert "importing 20.5 MB took" in said
