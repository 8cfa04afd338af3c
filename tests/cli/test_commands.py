"""Every command has help with examples, a section in the docs, and the options of its kind."""

import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cdb.cli.command import Command, Group
from cdb.cli.main import COMMANDS, cli

CONTEXT = click.Context(cli, info_name="cdb", **cli.context_settings)
TOP = cli.list_commands(CONTEXT)
GROUPS = {name for name in TOP if isinstance(cli.get_command(CONTEXT, name), click.Group)}


def names() -> list[str]:
    """Return what is typed for each command, those of groups included."""
    found = []
    for name in cli.list_commands(CONTEXT):
        made = cli.get_command(CONTEXT, name)
        inner = made.list_commands(CONTEXT) if isinstance(made, click.Group) else []
        found += [f"{name} {one}" for one in inner] or [name]
    return found


NAMES = names()
PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()

WRITES = {
    "add", "retire", "restore", "amend", "fsck", "adopt", "deldoc", "delcol", "deldb",
    "token create", "token revoke", "export archive", "import archive", "bundle make", "purge",
    "export lcls1", "import lcls1",
    "tag create", "tag move", "tag pin", "tag unpin", "tag advance", "tag delete",
    "approve", "geometry move", "geometry rotate", "deploy constants", "deploy geometry",
    "deploy jungfrau-gains", "deploy common-mode",
}  # fmt: skip
# What is about a folder or a file of this machine, and asks no store.
TREE = {f"lcls1 {name}" for name in ("ls", "check", "path", "get", "deploy", "remove")}
RAW = {f"raw {name}" for name in ("info", "keys", "panels", "find")}
HERE = {
    "cache info", "cache verify", "cache clear", "bundle verify", "geometry default",
    "geometry metrology", "deploy link", "dcs show", "dcs get", *TREE, *RAW,
}  # fmt: skip
READS = {*NAMES} - WRITES - HERE - {"completion", "serve"}
# What is about the store as such, or names the states itself.
AS_OF = READS - {
    "token list", "watch", "audit verify", "audit head", "tag list", "tag show", "tag compare",
    "affected", "replay",
}  # fmt: skip
# Not what answers for a run: no tag chooses among it.
TAG = AS_OF - {"info", "journal", "bundle make", "check", "quarantine"}
HIDES = {"lcls1 remove", "purge", "retire", "amend", "fsck", "deldoc", "delcol", "deldb"}
# psana 4.3.4, `cdb --help`.
LETTERS = {
    "add": "-d -e -c -i -r -R -t -s -v -f -m -S",
    "get": "-d -e -c -r -t -s -v -f -S",
    "ls": "-d -e -c -r -t -s -v -S",
    "print": "-d -e -S",
    "delcol": "-d -e -S -C",
}


def command(name: str) -> Command:
    found: click.Command | None = cli
    for word in name.split():
        assert isinstance(found, click.Group)
        found = found.get_command(CONTEXT, word)
    assert isinstance(found, Command)
    return found


def options(name: str) -> set[str]:
    return {option for parameter in command(name).params for option in parameter.opts}


def examples(name: str) -> list[list[str]]:
    """Return the arguments of each ``cdb`` in the examples of a command."""
    lines = command(name).examples.replace("\\\n", "").splitlines()
    typed = [shlex.split(line.partition("|")[0].partition(">")[0]) for line in lines]
    return [words[1:] for words in typed if words[0] == "cdb"]


def parsed(words: list[str]) -> click.Context:
    """Return what a command makes of its arguments."""
    group = cli.get_command(CONTEXT, words[0]) if words[0] in GROUPS else None
    if group is not None and words[1] not in group.commands:
        words = [words[0], group.default, *words[1:]]
    depth = 1 if group is None else 2
    name = " ".join(words[:depth])
    return command(name).make_context(name, words[depth:], parent=CONTEXT)


@pytest.mark.parametrize("name", NAMES)
def test_help_has_a_sentence_and_examples_within_80_columns(name):
    shown = CliRunner().invoke(cli, [*name.split(), "--help"], prog_name="cdb").stdout
    assert "\nExamples:\n  " in shown
    assert f"cdb {name}" in shown.partition("Examples:")[2]
    assert re.search(r"^  [A-Z].*", shown, re.MULTILINE)
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("name", sorted({*NAMES} - {"completion"}))
def test_the_examples_are_well_typed(name):
    assert examples(name)
    for words in examples(name):
        parsed(words)


@pytest.mark.parametrize("name", NAMES)
def test_the_page_has_a_section_with_an_example_that_is_run(name):
    section = re.search(rf"^##+ cdb {name}\n(.*?)(?=^##|\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert section, f"docs/cli.md has no section cdb {name}"
    assert re.search(rf"^\$ .*cdb {name}\b", section[1], re.MULTILINE)
    assert f"(#cdb-{name.replace(' ', '-')})" in PAGE


@pytest.mark.parametrize("name", sorted(READS))
def test_what_reads_has_json_and_url(name):
    assert {"--json", "--url"} <= options(name)


@pytest.mark.parametrize("name", sorted(AS_OF))
def test_what_answers_about_constants_has_as_of(name):
    assert "--as-of" in options(name)


@pytest.mark.parametrize("name", sorted(TAG))
def test_what_answers_about_constants_has_tag(name):
    assert "--tag" in options(name)


@pytest.mark.parametrize("name", sorted(WRITES))
def test_what_writes_has_dry_run_and_url(name):
    assert {"--dry-run", "--url"} <= options(name)


@pytest.mark.parametrize("name", sorted(TREE))
def test_what_is_about_a_tree_has_json_and_what_changes_it_dry_run(name):
    assert "--json" in options(name)
    assert ("--dry-run" in options(name)) == (name in ("lcls1 deploy", "lcls1 remove"))


@pytest.mark.parametrize("name", sorted(HIDES))
def test_what_hides_can_be_told_not_to_ask(name):
    assert "--yes" in options(name)


@pytest.mark.parametrize("name", LETTERS)
def test_psanas_letters_are_there(name):
    assert {*LETTERS[name].split()} <= options(name)


def test_the_table_names_every_command_once():
    names = [name for section in COMMANDS.values() for name in section]
    assert sorted(names) == sorted(set(names)) == sorted({name.split()[0] for name in NAMES})
    assert {name for name in names if isinstance(cli.get_command(CONTEXT, name), Group)} == GROUPS


def test_a_group_shows_its_commands():
    shown = CliRunner().invoke(cli, ["token", "--help"], prog_name="cdb").stdout
    assert [name in shown for name in ("create", "list", "revoke")] == [True] * 3


def test_a_mistyped_command_of_a_group_gets_a_hint():
    result = CliRunner().invoke(cli, ["token", "creat"], prog_name="cdb")
    assert result.exit_code == 2
    assert "did you mean 'create'?" in result.stderr


def test_psanas_underscores_may_be_typed_as_dashes():
    for spelling in ("--run_end", "--run-end"):
        context = command("add").make_context(
            "add", ["-d", "x", "-c", "y", "-f", "z", spelling, "7"], parent=CONTEXT
        )
        assert context.params["run_end"] == "7"


def test_the_help_names_every_rule():
    from cdb.lookup import RULES

    shown = " ".join(CliRunner().invoke(cli, ["get", "--help"], prog_name="cdb").stdout.split())
    assert [rule for rule in RULES if f" {rule} " not in shown.replace("(", " ")] == []
