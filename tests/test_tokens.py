"""Opaque tokens: in the store there are digests alone; a revoked one is worth nothing at once."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from cdb import tokens
from cdb.database import Database
from cdb.errors import BadName, BadTime, NotFound, WrongState
from cdb.fsck import Check
from cdb.rights import Rights
from cdb.tokens import Grants
from tests.programs import Died, OtherProgram, dying_at

WRITER = Rights(read=("*",), write=("cdb_rixx*",))


def in_hours(hours: float) -> datetime:
    return datetime.now(UTC) + timedelta(hours=hours)


def test_a_token_stands_for_what_was_granted(db):
    token, grant = tokens.create(db.journal, "mona", WRITER, expires=in_hours(1))
    found = tokens.find(db.journal, token)
    assert found == grant
    assert (found.subject, found.rights, found.revoked) == ("mona", WRITER, False)
    assert tokens.looks_like_one(token)


def test_each_token_is_another(quick_db):
    made = {tokens.create(quick_db.journal, "mona", WRITER)[0] for _ in range(5)}
    assert len(made) == 5
    assert all(tokens.find(quick_db.journal, token) for token in made)


def test_the_store_holds_no_token(quick_db):
    token, _ = tokens.create(quick_db.journal, "mona", WRITER)
    store = quick_db.store
    held = [d for c in store.collections("cdbjournal") for d in store.find("cdbjournal", c)]
    assert held
    assert token not in json.dumps(held)
    assert token.removeprefix("cdb_") not in json.dumps(held)


def test_a_grant_is_an_event(quick_db):
    _, grant = tokens.create(quick_db.journal, "mona", WRITER)
    tokens.revoke(quick_db.journal, grant.id, "left the lab")
    events = list(quick_db.journal.events())
    assert [event["action"] for event in events] == ["grant", "grant"]
    assert events[1]["reason"] == "left the lab"
    assert quick_db.journal.verify() == 2


def test_a_revoked_token_is_worth_nothing(db):
    token, grant = tokens.create(db.journal, "mona", WRITER)
    assert tokens.revoke(db.journal, grant.id[:8]).revoked
    assert tokens.find(db.journal, token) is None
    assert [(g.subject, g.revoked) for g in tokens.grants(db.journal)] == [("mona", True)]
    assert not tokens.any_hold(db.journal)


def test_a_token_is_revoked_once(quick_db):
    _, grant = tokens.create(quick_db.journal, "mona", WRITER)
    tokens.revoke(quick_db.journal, grant.id)
    with pytest.raises(WrongState, match="before"):
        tokens.revoke(quick_db.journal, grant.id)


@pytest.mark.parametrize("grant_id", ["", "00000000", "x" * 24])
def test_an_unknown_token_cannot_be_revoked(memory_db, grant_id):
    tokens.create(memory_db.journal, "mona", WRITER)
    with pytest.raises(NotFound, match="token list"):
        tokens.revoke(memory_db.journal, grant_id)


def test_what_is_remembered_is_forgotten_when_another_process_revokes(quick_db):
    grants = Grants(quick_db.journal)
    token, grant = tokens.create(quick_db.journal, "mona", WRITER)
    assert grants.of(token) == grants.of(token) == grant
    tokens.revoke(Database(quick_db.store).journal, grant.id)
    assert grants.of(token) is None


def test_what_is_remembered_is_not_asked_again(quick_db, monkeypatch):
    grants = Grants(quick_db.journal)
    token, _ = tokens.create(quick_db.journal, "mona", WRITER)
    grants.of(token)
    monkeypatch.setattr(tokens, "find", None)
    assert grants.of(token)


def test_an_unknown_token_is_accepted_once_it_is_known(quick_db, monkeypatch):
    grants = Grants(quick_db.journal)
    known = "cdb_" + 43 * "a"
    assert grants.of(known) is None
    monkeypatch.setattr(tokens.secrets, "token_urlsafe", lambda _: 43 * "a")
    tokens.create(quick_db.journal, "mona", WRITER)
    assert grants.of(known)


def test_an_expired_token_is_worth_nothing(memory_db):
    token, _ = tokens.create(memory_db.journal, "mona", WRITER, expires=in_hours(1))
    grants = Grants(memory_db.journal)
    assert grants.of(token)
    memory_db.journal.now = lambda: in_hours(2).timestamp()
    assert grants.of(token) is None


def test_the_whole_digest_is_compared(memory_db):
    token, grant = tokens.create(memory_db.journal, "mona", WRITER)
    place = ("cdbjournal", "tokens", {"_id": grant.id})
    memory_db.store.update(*place, set={"digest": grant.id + 40 * "0"})
    assert tokens.find(memory_db.journal, token) is None


def test_a_grant_whose_writer_died_holds(pending_db):
    with pytest.raises(Died):
        tokens.create(dying_at(pending_db.store, "after event").journal, "mona", WRITER)
    assert [grant.subject for grant in tokens.grants(pending_db.journal)] == ["mona"]


def test_a_pending_revocation_holds(pending_db):
    token, grant = tokens.create(pending_db.journal, "mona", WRITER)
    with pytest.raises(Died):
        tokens.revoke(dying_at(pending_db.store, "after event").journal, grant.id)
    assert Grants(pending_db.journal).of(token) is None
    assert tokens.grants(pending_db.journal)[0].revoked


@pytest.mark.parametrize("accept", [False, True])
def test_rights_that_somebody_gave_himself_are_found_and_taken_back(quick_db, accept):
    token, grant = tokens.create(quick_db.journal, "mona", WRITER)
    admin = {"read": [], "write": [], "admin": True}
    OtherProgram(quick_db.store).change("cdbjournal", "tokens", grant.id, rights=admin)
    findings = list(Check(quick_db.journal, accept=accept).run())
    assert [(f.kind, f.mended) for f in findings] == [("document", True)]
    assert tokens.find(quick_db.journal, token).rights == WRITER


def test_a_store_with_tokens_alone_shows_no_constants(quick_db):
    tokens.create(quick_db.journal, "mona", WRITER)
    assert (quick_db.experiments(), quick_db.detectors()) == ([], [])
    assert list(Check(quick_db.journal).run()) == []


@pytest.mark.parametrize(
    ("subject", "rights", "error"),
    [("", WRITER, BadName), ("a b", WRITER, BadName), ("mona", Rights(), BadName),
     ("mona", Rights(read=("rixx",)), BadName), ("m\n", WRITER, BadName)],
)  # fmt: skip
def test_what_makes_no_sense_is_not_granted(memory_db, subject, rights, error):
    with pytest.raises(error):
        tokens.create(memory_db.journal, subject, rights)
    assert memory_db.head == 0


def test_a_token_that_would_have_expired_is_not_granted(memory_db):
    with pytest.raises(BadTime, match="already"):
        tokens.create(memory_db.journal, "mona", WRITER, expires=in_hours(-1))
