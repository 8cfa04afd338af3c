"""Tags on the command line: created, moved, pinned, advanced, compared; read through everywhere."""

import json

import pytest

from tests.cli.conftest import DEPLOY, WHICH

SHOW = ("show", *WHICH, "-c", "pedestals")


@pytest.fixture
def first(cdb) -> None:
    """A store with one constant, and a tag of it."""
    assert cdb(*DEPLOY, "-c", "pedestals", "-f", "mypeds").exit_code == 0
    assert cdb("tag", "create", "summer26", "-m", "for the paper").exit_code == 0


@pytest.fixture
def second(cdb, first) -> str:
    """The id of a constant that came later."""
    result = cdb(*DEPLOY, "-c", "pedestals", "-f", "mypeds", "-r", "5", "--again")
    assert result.exit_code == 0, result.stderr
    return json.loads(cdb(*SHOW, "-r", "7", "--json").stdout)["id"]


def test_a_tag_is_created_and_listed(cdb, ask, first):
    (tag,) = ask("tag", "list")
    assert (tag["name"], tag["state"], tag["at"], tag["comment"]) == (
        "summer26", "open", 1, "for the paper",
    )  # fmt: skip
    assert "summer26" in cdb("tag", "list").stdout
    assert ask("tag", "show", "summer26")["revisions"][0]["revision"] == 1
    assert "for the paper" in cdb("tag", "show", "summer26").stdout


@pytest.mark.parametrize(
    "words",
    [
        SHOW,
        ("explain", *WHICH, "-c", "pedestals"),
        ("ls", *WHICH),
        ("history", *WHICH, "-c", "pedestals"),
        ("print", "-e", "rixx45619"),
    ],
    ids=lambda words: words[0],
)
def test_reading_commands_answer_by_a_tag(cdb, second, words, monkeypatch):
    by_tag = cdb(*words, "--tag", "summer26", "--json")
    assert by_tag.exit_code == 0, by_tag.stderr
    assert (
        second not in by_tag.stdout.replace(f"added later: {second}", "") or words[0] == "explain"
    )
    assert second in cdb(*words, "--json").stdout
    monkeypatch.setenv("CDB_TAG", "summer26")
    assert cdb(*words, "--json").stdout == by_tag.stdout
    assert second in cdb(*words, "--as-of", "3", "--json").stdout


def test_a_tag_and_a_state_are_mistyped(cdb, first):
    result = cdb(*SHOW, "--tag", "summer26", "--as-of", "1")
    assert (result.exit_code, "give one of them" in result.stderr) == (2, True)
    assert cdb(*SHOW, "--tag", "a b").exit_code == 2


def test_writes_do_not_look_at_the_environment(cdb, ask, second, monkeypatch):
    monkeypatch.setenv("CDB_TAG", "nothing")
    assert cdb("retire", second, "-m", "test", "--yes").exit_code == 0
    assert cdb(*DEPLOY, "-c", "geometry", "-f", "mygeo", "-i", "txt").exit_code == 0
    assert len(ask("journal")) == 5
    assert cdb("info").exit_code == 0
    for words in (("quarantine",), ("watch", "-d", "epixhr2x2_000001", "--after", "0", "--once"),
                  ("check", "mypeds", *WHICH, "-c", "pedestals")):  # fmt: skip
        assert cdb(*words).exit_code == 0, words
    result = cdb(*SHOW)
    assert (result.exit_code, "no tag 'nothing'" in result.stderr) == (1, True)


def test_versions_are_pinned_and_steps_made(cdb, ask, second):
    assert "1 pinned" in cdb("tag", "pin", "summer26", second).stdout
    assert ask(*SHOW, "-r", "7", "--tag", "summer26")["id"] == second
    assert cdb("tag", "unpin", "summer26", second).exit_code == 0
    told = cdb("tag", "advance", "summer26", "-e", "rixx45619", "-r", "10")
    assert "runs of rixx45619 from 10 on" in told.stdout
    refused = cdb("tag", "advance", "summer26", "-e", "rixx45619", "-r", "8")
    assert (refused.exit_code, "begin after run 10" in refused.stderr) == (1, True)
    assert ask(*SHOW, "-r", "10", "--tag", "summer26")["id"] == second
    assert len(ask("tag", "show", "summer26")["steps"]) == 1


def test_a_tag_is_moved_and_deleted(cdb, ask, first):
    assert cdb("tag", "delete", "summer26", "--dry-run").stdout.startswith("tag summer26 would")
    assert ask("tag", "move", "summer26", "testing", "-m", "good")["state"] == "testing"
    refused = cdb("tag", "delete", "summer26")
    assert (refused.exit_code, "only one that is open" in refused.stderr) == (1, True)
    cdb("tag", "create", "draft", "--base", "summer26")
    assert "deleted" in cdb("tag", "delete", "draft").stdout
    assert [tag["name"] for tag in ask("tag", "list")] == ["summer26"]


@pytest.mark.parametrize("words", [("affected",), ("tag", "compare")], ids=" ".join)
def test_a_comparison_tells_by_its_exit_code(cdb, second, words):
    alike = cdb(*words, "1", "summer26")
    assert (alike.exit_code, alike.stdout, alike.stderr) == (0, "", "cdb: they answer alike\n")
    different = cdb(*words, "summer26", "now", "-e", "rixx45619", "--json")
    (row,) = json.loads(different.stdout)
    assert (different.exit_code, row["first"], row["last"]) == (1, 5, None)
    assert row["after"] == {"database": "cdb_rixx45619", "id": second}
    assert "5-end" in cdb(*words, "summer26", "now").stdout
    trouble = cdb(*words, "winter26", "now")
    assert (trouble.exit_code, "no tag 'winter26'" in trouble.stderr) == (2, True)


def test_diff_compares_states_as_well(cdb, ask, second):
    different = cdb("diff", "summer26", "now", "--json")
    assert different.exit_code == 1
    assert different.stdout == cdb("affected", "summer26", "now", "--json").stdout
    assert [row["first"] for row in json.loads(different.stdout)] == [5, 5]
    assert cdb("diff", "3", "2021-01-01T00:00:00Z").exit_code == 1
    alike = cdb("diff", "1", "summer26#1")
    assert (alike.exit_code, alike.stderr) == (0, "cdb: they answer alike\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("summer26", "0" * 24), "summer26 is neither the id of a version"),
        (("mypeds", "3"), "3 is neither the id of a version"),
        (("summer26", "2021-01-01"), "a time with its zone, or a tag"),
        (("summer26", "winter26"), "no tag 'winter26' is here"),
        (("summer26", "99"), "the last event is 3"),
        (("summer26", "now", "--plot", "x.png"), "--plot is for versions and files"),
        (("summer26", "now", "-c", "pedestals"), "`cdb affected` has options for states"),
    ],
)
def test_states_that_cannot_be_compared_give_2(cdb, second, words, said):
    result = cdb("diff", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_the_journal_says_what_became_of_which_tag(cdb, first):
    cdb("tag", "move", "summer26", "testing")
    cdb("tag", "create", "other")
    cdb("tag", "delete", "other")
    told = [line.partition("  tag  ")[2] for line in cdb("journal").stdout.splitlines()[2:]]
    assert [line.strip() for line in told] == [
        "summer26#1 open", "summer26#2 testing", "other#1 open", "other deleted",
    ]  # fmt: skip


def test_names_are_completed(cdb, first):
    from cdb.cli import options

    class Context:
        params = {"url": None}

    found = options.complete_tag(Context(), None, "sum")
    assert [item.value for item in found] == ["summer26"]
    assert [i.value for i in options.complete_tag_state(Context(), None, "te")] == ["testing"]


def test_a_purge_says_which_tag_keeps_bytes(cdb, ask, second):
    for id_ in (second, ask(*SHOW, "-r", "1")["id"]):
        assert cdb("retire", id_, "-m", "test", "--yes").exit_code == 0
    # Both have the same bytes, in two databases.
    assert ask("purge", "--dry-run")["kept"] == {"summer26": 2}
    assert "2 payloads stay: the tag summer26 answers" in cdb("purge", "--dry-run").stdout
