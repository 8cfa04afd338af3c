"""Trees of LCLS-I taken in and handed out, typed; archives are what is meant without a word."""

import json

import pytest

from tests.exchange.conftest import CSPAD, PEDESTALS, array_text, write

EXP = ("-e", "cxi83714")


@pytest.fixture
def tree(folder):
    """A tree of two files and a HISTORY, as `tree/calib`."""
    calib = folder / "tree" / "calib"
    write(calib / PEDESTALS / "0-end.data", array_text(1))
    write(calib / PEDESTALS / "5-7.data", array_text(2))
    write(calib / PEDESTALS / "HISTORY", "file:5-7.data  user:me  comment:a dark run")
    return calib


def test_a_tree_goes_in_and_comes_out(cdb, ask, folder, tree):
    told = cdb("import", "lcls1", "tree/calib", *EXP)
    assert told.stdout.splitlines()[:3] == [
        "tree/calib taken in", "  new                 3", "  already there       0",
    ]  # fmt: skip
    for name in (CSPAD, "cspad_0001"):
        shown = ask("show", "-d", name, "-c", "pedestals", "-r", "6", *EXP)
        assert (shown["run"], shown["comment"]) == (5, "a dark run")
    assert ask("export", "lcls1", "out/calib", *EXP)["new"] == 3
    again = ask("import", "lcls1", "out/calib", *EXP)
    assert (again["new"], again["same"], again["unreadable"]) == (0, 3, [])


def test_a_dry_run_writes_nothing(cdb, ask, folder, tree):
    assert ask("import", "lcls1", "tree/calib", *EXP, "--dry-run")["new"] == 3
    assert not (folder / "store").exists()
    cdb("import", "lcls1", "tree/calib", *EXP)
    told = ask("export", "lcls1", "out/calib", *EXP, "--dry-run")
    assert (told["new"], told["dry_run"], (folder / "out").exists()) == (3, True, False)


def test_what_was_not_taken_in_is_told_with_the_reason(cdb, ask, tree):
    write(tree / PEDESTALS / "1-2.data", "1 2 three")
    write(tree / PEDESTALS / "1-END.data", array_text(3))
    told = cdb("import", "lcls1", "tree/calib", *EXP)
    assert told.exit_code == 1
    assert "could not be taken in: 1, withheld with them: 2; mend them" in told.stderr
    assert f"unreadable: tree/calib/{PEDESTALS}/1-2.data" in told.stdout
    assert f"stand-ins: tree/calib/{PEDESTALS}/1-2.data leaves runs 1-2 to 0-end" in told.stdout
    told = cdb("import", "lcls1", "tree/calib", *EXP, "--skip-unreadable", "--json")
    assert told.exit_code == 0
    assert "warning: files that could not be taken in: 1" in told.stderr
    facts = json.loads(told.stdout)
    assert [each["path"].rpartition("/")[2] for each in facts["passed_over"]] == ["1-END.data"]
    assert "line 1, column 5" in facts["unreadable"][0]["why"]
    assert (facts["new"], facts["withheld"], len(facts["stand_ins"])) == (2, [], 1)


def test_what_left_the_tree_is_retired_on_request(cdb, ask, tree):
    cdb("import", "lcls1", "tree/calib", *EXP)
    (tree / PEDESTALS / "5-7.data").unlink()
    assert ask("import", "lcls1", "tree/calib", *EXP)["retired"] == 0
    assert ask("import", "lcls1", "tree/calib", *EXP, "--retire-gone")["retired"] == 1
    assert ask("show", "-d", CSPAD, "-c", "pedestals", "-r", "6", *EXP)["run"] == 0


def test_a_tree_of_another_experiment_is_told(cdb, folder, tree):
    tree.parent.rename(folder / "cxi12345")
    (folder / "CXI").mkdir()
    (folder / "cxi12345").rename(folder / "CXI" / "cxi12345")
    told = cdb("import", "lcls1", "CXI/cxi12345/calib", *EXP, "--dry-run")
    assert "warning: by its path this is the tree of cxi12345, taken in for cxi83714" in told.stderr


def test_a_file_that_differs_is_replaced_only_on_demand(cdb, folder, tree):
    cdb("import", "lcls1", "tree/calib", *EXP)
    mine = write(folder / "out" / PEDESTALS / "5-7.data", array_text(9))
    refused = cdb("export", "lcls1", "out", *EXP)
    assert (refused.exit_code, mine.read_text()) == (1, array_text(9))
    assert "--replace writes over them" in refused.stderr
    assert "a folder that is called calib" in refused.stderr
    assert cdb("export", "lcls1", "out", *EXP, "--replace").exit_code == 0
    assert "2.0 0.1" in mine.read_text()


@pytest.mark.parametrize(
    ("typed", "code", "said"),
    [
        (["import", "lcls1", "none", *EXP], 1, "no folder 'none'"),
        (["import", "lcls1", "tree", *EXP], 1, "give the path of a tree, as tree/calib"),
        (["import", "lcls1", "tree/calib"], 2, "Missing option '-e'"),
        (["import", "lcls1", "tree/calib", "-e", "a/b"], 1, "a/b"),
        (["export", "lcls1", "out", *EXP, "-d", "cspad_0002"], 1, "registered"),
        (["export", "lcls1", "tree/calib/file", *EXP], 1, "ot a directory"),
        (["import"], 2, "Missing argument 'FILE'"),
    ],
)
def test_what_goes_wrong_is_one_sentence(cdb, folder, tree, typed, code, said):
    cdb("import", "lcls1", "tree/calib", *EXP)
    write(tree / "file", "x")
    failed = cdb(*typed)
    assert (failed.exit_code, said in failed.stderr) == (code, True), failed.stderr


def test_without_a_word_an_archive_is_meant(cdb, ask, folder, peds):
    assert cdb("export", "--yes", "store.tar").exit_code == 0
    assert cdb("export", "archive", "lcls1").exit_code == 0
    copy = (folder / "copy").as_uri()
    assert ask("import", "--url", copy, "./lcls1")["events"] == 1
    assert ask("import", "archive", "--url", copy, "store.tar")["events"] == 0


def test_the_help_of_the_group_names_both(cdb):
    told = cdb("import", "--help").stdout
    assert ["archive" in told, "lcls1" in told] == [True, True]
