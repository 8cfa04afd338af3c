"""Tokens on the command line: one is printed alone, once; the list shows none."""

import json

import pytest

from cdb import tokens
from cdb.rights import Rights

CREATE = ("token", "create", "--subject", "mona", "--write", "cdb_rixx*")


@pytest.fixture
def token(cdb) -> str:
    """A token of mona's."""
    return cdb(*CREATE).stdout.strip()


def test_a_token_is_alone_on_stdout(cdb, db):
    result = cdb(*CREATE, "--read", "*", "--expires", "2099-01-01T00:00:00Z")
    assert result.exit_code == 0
    assert tokens.looks_like_one(result.stdout.removesuffix("\n"))
    grant = tokens.find(db.journal, result.stdout.strip())
    assert (grant.subject, grant.rights) == ("mona", Rights(("*",), ("cdb_rixx*",)))
    assert grant.expires.year == 2099
    assert grant.id in result.stderr
    assert result.stdout.strip() not in result.stderr


def test_patterns_may_be_repeated(cdb, db):
    result = cdb(*CREATE, "--write", "cdb_xpp*", "--read", "cdb_a", "--read", "cdb_b")
    rights = tokens.find(db.journal, result.stdout.strip()).rights
    assert rights == Rights(("cdb_a", "cdb_b"), ("cdb_rixx*", "cdb_xpp*"))


def test_the_list_tells_all_but_the_token(cdb, ask, token):
    (listed,) = ask("token", "list")
    assert (listed["subject"], listed["state"], listed["write"]) == ("mona", "holds", ["cdb_rixx*"])
    assert token not in cdb("token", "list").stdout
    assert "write cdb_rixx*" in cdb("token", "list").stdout


def test_what_is_revoked_is_listed_only_on_demand(cdb, ask, token):
    (listed,) = ask("token", "list")
    result = cdb("token", "revoke", listed["id"][:8], "-m", "left the lab")
    assert result.stdout == f"token {listed['id']} of mona revoked\n"
    assert ask("token", "list") == []
    assert [found["state"] for found in ask("token", "list", "--all")] == ["revoked"]
    assert ask("journal")[-1]["reason"] == "left the lab"


def test_the_token_itself_may_be_given_to_revoke_it(cdb, db, token):
    assert cdb("token", "revoke", token).exit_code == 0
    assert tokens.find(db.journal, token) is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--subject", "mona"), "good for nothing"),
        (("--subject", "mona", "--read", "rixx*"), "write cdb_rixx*"),
        (("--subject", "a b", "--admin"), "cannot be used"),
        (("--subject", "mona", "--admin", "--expires", "2001-01-01T00:00:00Z"), "already"),
        (("--subject", "mona", "--admin", "--expires", "2099-01-01"), "zone"),
    ],
)
def test_what_makes_no_sense_is_one_line(cdb, db, arguments, said):
    result = cdb("token", "create", *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr
    assert db.head == 0


def test_a_dry_run_grants_and_revokes_nothing(cdb, ask, db):
    dry = cdb(*CREATE, "--dry-run")
    assert (dry.exit_code, dry.stdout, db.head) == (0, "", 0)
    token = cdb(*CREATE).stdout.strip()
    assert "would be" in cdb("token", "revoke", token, "--dry-run").stdout
    assert tokens.find(db.journal, token)


def test_the_journal_names_the_subject_and_no_token(cdb, token):
    assert "mona" in cdb("journal").stdout
    assert token not in json.dumps(cdb("journal", "--json").stdout)
