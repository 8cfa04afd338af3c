"""The README and the pages that show programs at work say what is true: blocks are run."""

import re
from pathlib import Path

import pytest

from tests.blocks import ID, Session, blocks_of, commands_in, masked

ROOT = Path(__file__).parents[1]
DOCS = (
    "cli", "python", "tags", "compare", "audit", "watching", "gates", "provenance", "lcls1",
    "lcls1-exchange", "raw", "text", "geometry", "geometry-forms", "geometry-commands", "metrology",
    "detector", "lcls1-tools",
)  # fmt: skip
PAGES = [ROOT / "README.md", *(ROOT / "docs" / f"{name}.md" for name in DOCS)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_blocks_of_a_page_do_and_print_what_it_says(page, tmp_path):
    session = Session(tmp_path)
    for language, text in blocks_of(page):
        session.run(language, text)


def test_the_goals_that_the_readme_names_are_in_the_makefile():
    shell = "".join(text for language, text in blocks_of(ROOT / "README.md") if language == "sh")
    goals = re.findall(r"^make (\w+)", shell, re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text()
    assert goals[:2] == ["demo", "test"]
    assert [goal for goal in goals if not re.search(rf"^{goal}:", makefile, re.MULTILINE)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_inside_a_page_lead_to_its_titles(page):
    text = page.read_text()
    titles = {title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.*)$", text, re.M)}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= titles


def test_commands_and_what_they_print_are_told_apart():
    console = "$ one \\\n> more\nprinted\n$ two\n"
    assert list(commands_in(console)) == [("one \\\nmore", "printed\n"), ("two", "")]


def test_identifiers_are_compared_by_their_form():
    first, second = "6157178000000701234567aa", "6157178000000701234567bb"
    assert masked(f"id   {first} ") == masked(f"id {second}") != masked("id 61571780")
    assert ID.findall(f"{first}, {second}") == [first, second]


def test_a_command_that_fails_unsaid_is_found(tmp_path):
    with pytest.raises(AssertionError, match="no-such"):
        Session(tmp_path).run("console", "$ cat no-such-file\n")


def test_the_changelog_has_the_four_headings_and_no_other():
    titles = re.findall(r"^### (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert {*titles} <= {"Added", "Changed", "Fixed", "Removed"}
