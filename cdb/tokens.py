"""Opaque tokens: made, listed, revoked; kept in the store itself, as digests.

A token is ``cdb_`` and 43 random characters. The store holds its sha256 and what its bearer may
do, in a collection beside the journal, under events `grant`; the token itself is nowhere. The
document's ``_id`` is the beginning of the digest, so that the index which every store has finds it.

========= ======================================================================================
field     meaning
========= ======================================================================================
_id       first 24 digits of the digest; what ``cdb token list`` shows
digest    sha256 of the token, hexadecimal
subject   whose it is: stands as actor in the journal
rights    `read`, `write`, `admin`; see `cdb.rights`
made, by  when [us, Unix] and by whom
expires   time [us, Unix]; absent if it does not
seq, out  the event that granted it, and the one that revoked it, as of any document
========= ======================================================================================
"""

import hashlib
import hmac
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from cdb.actor import actor
from cdb.errors import BadName, BadTime, NotFound, WrongState, shown
from cdb.events import Proposal, entry
from cdb.journal import Journal
from cdb.moments import Moment
from cdb.rights import Rights, check_pattern
from cdb.stores.layout import JOURNAL, JOURNAL_DATABASE, TOKENS
from cdb.stores.query import Document
from cdb.validity import from_microseconds, microseconds

TOKEN_PREFIX = "cdb_"
PLACE = (JOURNAL_DATABASE, TOKENS)

# As many tokens are remembered by a process.
KEPT = 4096

_TOKEN = re.compile(rf"{TOKEN_PREFIX}[A-Za-z0-9_-]{{43}}")
_SUBJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,126}")


@dataclass(frozen=True)
class Grant:
    """What a token stands for.

    Attributes
    ----------
    id : str
        By which it is listed and revoked.
    subject : str
        Whose token it is.
    rights : Rights
        What its bearer may do.
    made : datetime
        When it was granted.
    by : str
        Who granted it.
    expires : datetime or None
        From when on it is worth nothing.
    revoked : bool
        Whether somebody took it back.
    """

    id: str
    subject: str
    rights: Rights
    made: datetime
    by: str
    expires: datetime | None = None
    revoked: bool = False

    def holds_at(self, time: float) -> bool:
        """Return whether the token is worth anything at a time [Unix seconds]."""
        return not self.revoked and (self.expires is None or time < self.expires.timestamp())


def looks_like_one(text: str) -> bool:
    """Return whether a text has the form of a token.

    Examples
    --------
    >>> looks_like_one("cdb_" + 43 * "x"), looks_like_one("eyJhbGciOi.eyJzdWIi.c2ln")
    (True, False)
    """
    return _TOKEN.fullmatch(text) is not None


def id_of(token: str) -> str:
    """Return the id under which a token is listed."""
    return _digest(token)[:24]


def check_subject(subject: str) -> str:
    """Return a subject as it stands.

    Raises
    ------
    BadName
        If it cannot stand as actor in the journal.
    """
    if not _SUBJECT.fullmatch(subject):
        raise BadName(
            f"subject {shown(subject)} cannot be used; write a login or a service's name of "
            "letters, digits and . _ @ + -, at most 127 of them"
        )
    return subject


def create(
    journal: Journal,
    subject: str,
    rights: Rights,
    *,
    expires: datetime | None = None,
    dry_run: bool = False,
) -> tuple[str, Grant]:
    """Grant a token.

    Parameters
    ----------
    journal : Journal
        Of the store whose service shall accept it.
    subject : str
        Whose it is.
    rights : Rights
        What its bearer may do.
    expires : datetime, optional
        From when on it is worth nothing.
    dry_run : bool, optional
        Check everything, but grant nothing.

    Returns
    -------
    token : str
        To be handed to its bearer: nobody can read it again.
    grant : Grant
        What it stands for.

    Raises
    ------
    BadName
        If the subject or a pattern cannot be used, or the token would be good for nothing.
    BadTime
        If it would have expired already.
    """
    check_subject(subject)
    for pattern in (*rights.read, *rights.write):
        check_pattern(pattern)
    if not rights:
        raise BadName("this token would be good for nothing; give --read, --write or --admin")
    if expires is not None and expires.timestamp() <= journal.now():
        raise BadTime(f"the token would have expired already, at {expires:%Y-%m-%dT%H:%M:%SZ}")
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    digest = _digest(token)
    document: Document = {
        "_id": digest[:24],
        "digest": digest,
        "subject": subject,
        "rights": {
            "read": list(rights.read),
            "write": list(rights.write),
            "admin": rights.admin,
        },
        "by": actor().login,
    }
    if expires is not None:
        document["expires"] = microseconds(expires)

    def build(seq: int, at: int) -> list[Document]:
        made = document | {"made": at, "seq": seq, "order": at}
        return [entry(*PLACE, made["_id"], _key(made["_id"]), made)]

    def propose(moment: Moment) -> Proposal:
        if not moment.seq and not dry_run:
            journal.store.prepare(JOURNAL_DATABASE, JOURNAL)
        return Proposal("grant", "", build, frozenset([_key(document["_id"])]))

    event = (journal.rehearse if dry_run else journal.commit)(propose)
    assert event is not None  # `propose` always proposes
    return token, _grant_of(event["versions"][0]["document"])


def find(journal: Journal, token: str, moment: Moment | None = None) -> Grant | None:
    """Return what a token stands for, None if nothing: it is unknown or revoked."""
    digest = _digest(token)
    query = {"_id": digest[:24]}
    found = next(journal.find(moment or journal.moment(), *PLACE, query), None)
    if found is None or not hmac.compare_digest(str(found["digest"]), digest):
        return None
    return _grant_of(found)


def grants(journal: Journal) -> list[Grant]:
    """Return all that was ever granted, oldest first, what was revoked included."""
    moment = journal.moment()
    documents = {d["_id"]: d for d in journal.store.find(*PLACE)}
    documents |= moment.added.get(PLACE, {})
    for id_, seq in moment.gone.get(PLACE, {}).items():
        documents[id_] = documents[id_] | {"out": seq}
    known = (d for d in documents.values() if isinstance(d.get("seq"), int))
    return [_grant_of(document) for document in sorted(known, key=lambda d: int(d["seq"]))]


def any_hold(journal: Journal) -> bool:
    """Return whether there is a token that is worth anything now."""
    return any(grant.holds_at(journal.now()) for grant in grants(journal))


def revoke(journal: Journal, grant_id: str, reason: str = "", *, dry_run: bool = False) -> Grant:
    """Take a token back; every service on the store refuses it from the next request on.

    Parameters
    ----------
    journal : Journal
        Of the store.
    grant_id : str
        As `grants` shows it, or its beginning, of eight digits at least.
    reason : str, optional
        Kept in the journal.
    dry_run : bool, optional
        Check everything, but take nothing back.

    Raises
    ------
    NotFound
        If no token has this id, or several begin with it.
    WrongState
        If it was revoked before.
    """
    known = grants(journal)
    fits = [g for g in known if g.id == grant_id or (len(grant_id) >= 8 <= len(g.id)
            and g.id.startswith(grant_id))]  # fmt: skip
    if len(fits) != 1:
        many = "several tokens begin with" if fits else "no token has"
        raise NotFound(f"{many} the id {shown(grant_id)}; `cdb token list` shows the ids")
    chosen = fits[0]

    def propose(moment: Moment) -> Proposal:
        if next(journal.find(moment, *PLACE, {"_id": chosen.id}), None) is None:
            raise WrongState(f"the token {chosen.id} of {chosen.subject} was revoked before")

        def build(seq: int, _: int) -> list[Document]:
            return [entry(*PLACE, chosen.id, _key(chosen.id), set={"out": seq})]

        key = frozenset([_key(chosen.id)])
        return Proposal("grant", reason, build, key, ids=frozenset([chosen.id]))

    (journal.rehearse if dry_run else journal.commit)(propose)
    return replace(chosen, revoked=True)


class Grants:
    """What tokens stand for, remembered while the journal has not moved.

    Parameters
    ----------
    journal : Journal
        Of the store; its head is asked each time, so that a token that was revoked anywhere is
        refused at once.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._kept: OrderedDict[str, tuple[int, Grant | None]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, token: str, moment: Moment | None = None) -> Grant | None:
        """Return what a token stands for; None if it is unknown, revoked or expired.

        Parameters
        ----------
        token : str
            As it was sent.
        moment : Moment, optional
            The present state; asked for without it.
        """
        moment = moment or self._journal.moment()
        digest = _digest(token)
        kept = self._kept.get(digest)
        if kept is None or kept[0] != moment.seq:
            kept = moment.seq, find(self._journal, token, moment)
            with self._lock:
                self._kept[digest] = kept
                if len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
        grant = kept[1]
        return grant if grant is not None and grant.holds_at(self._journal.now()) else None


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _key(grant_id: str) -> str:
    return "/".join((*PLACE, grant_id))


def _grant_of(document: Mapping[str, Any]) -> Grant:
    expires = document.get("expires")
    return Grant(
        document["_id"],
        document["subject"],
        Rights.of(document["rights"]),
        from_microseconds(document["made"]),
        document["by"],
        None if expires is None else from_microseconds(expires),
        "out" in document,
    )
