"""One event: what it holds, how it is proposed and sealed, how it follows the one before.

An event is the commit and the truth. It holds the complete documents that it adds, and its
``_id`` is the next number, so of several writers exactly one inserts it. Until its documents are
in their collections it is *pending*: readers take them from the event, and anyone may complete it.

======== ===================================================================================
field    meaning
======== ===================================================================================
_id      seq: 1, 2, 3, ... without gaps
at       time [us, Unix], strictly increasing
nonce    random, or the idempotency key of a request; tells a writer whether an event is its own
actor    login and `host` of the writer
action   add, retire, restore, amend, register, sweep, hide, purge, adopt, grant,
         quarantine, approve, tag
reason   free text
previous digest of the event before
digest   of this event: sha256 over its canonical JSON without `digest` and `pending`
open     the lowest event that may have been incomplete when this one was written
versions entries ``{database, collection, id, key, document}``; without a document the version
         leaves: ``set`` and ``unset`` say how its document then looks; or it is mentioned: as
         parent of a ``child``, or as what a ``copy`` restores
pending  true until completed, then absent
======== ===================================================================================

`open` spares readers a question: what is pending lies between it and the head, and where it is
the head's own number and the head is complete, nothing is.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cdb.errors import BadDocument
from cdb.names import PREFIX, REGISTER
from cdb.stores.base import Place
from cdb.stores.layout import FILE_INDEXES
from cdb.stores.query import Document, check_fields
from cdb.validity import from_microseconds

MAX_EVENT_BYTES = 12 * 10**6
# What removes bytes, after the event: of nobody, and of versions that have left; and what takes
# them back from who sent them.
SWEEP, PURGE, HIDE = "sweep", "purge", "hide"
REMOVING = (SWEEP, PURGE, HIDE)
# Of an event about what a bundle does not hold there are number and time.
ELSEWHERE = "elsewhere"
# What adds versions that leave at once.
QUARANTINE = "quarantine"


@dataclass(frozen=True)
class Proposal:
    """What a writer wants to commit, as of a moment.

    Attributes
    ----------
    action, reason : str
        See the module.
    build : callable
        From the event's `seq` and `at` to its entries.
    keys : frozenset of str
        What the proposal rests on: an event that names one of these makes it stale.
    uploads : frozenset of (database, id)
        Bytes that the entries name and no event named before.
    ids : frozenset of str
        Documents that will leave.
    blobs : frozenset of (database, id)
        Bytes that the entries name and that an event named before: a purge may take them.
    """

    action: str
    reason: str
    build: Callable[[int, int], Sequence[Document]]
    keys: frozenset[str]
    uploads: frozenset[tuple[str, str]] = frozenset()
    ids: frozenset[str] = frozenset()
    blobs: frozenset[tuple[str, str]] = frozenset()

    def is_stale_after(self, event: Mapping[str, Any]) -> bool:
        """Return whether an event that came between touches what this proposal rests on."""
        if event["action"] in (SWEEP, PURGE):
            named = self.uploads | self.blobs
            return any((e["database"], e["id"]) in named for e in event["versions"])
        return any(e["key"] in self.keys for e in event["versions"])


def entry(
    database: str,
    collection: str,
    id: str,  # noqa: A002 - the field's name
    key: str,
    document: Mapping[str, Any] | None = None,
    **more: object,
) -> Document:
    """Return an entry of an event."""
    made: Document = {"database": database, "collection": collection, "id": id, "key": key, **more}
    if document is not None:
        made["document"] = dict(document)
    return made


def place_of(made: Mapping[str, Any]) -> Place:
    """Return the database and the collection of an entry."""
    return made["database"], made["collection"]


def is_of_constants(made: Mapping[str, Any]) -> bool:
    """Return whether an entry is about a constant: not the register, tokens or bytes."""
    database, collection = place_of(made)
    return database.startswith(PREFIX) and database != REGISTER and collection not in FILE_INDEXES


def grouped(
    entries: Iterable[Document], key: Callable[[Document], Any]
) -> dict[Any, list[Document]]:
    """Return entries by what is made of each, in the order of the first."""
    groups: dict[Any, list[Document]] = {}
    for made in entries:
        groups.setdefault(key(made), []).append(made)
    return groups


def removal_in(
    events: Iterable[Document], database: str, blob_id: str, actions: Sequence[str] = REMOVING
) -> Document | None:
    """Return the first of some events that removed bytes, None if none did."""
    for event in events:
        named = ((made["database"], made["id"]) for made in event["versions"])
        if event["action"] in actions and (database, blob_id) in named:
            return event
    return None


def is_number(value: object) -> bool:
    """Return whether a value can be the number of an event; what was put in under another is none.

    Examples
    --------
    >>> is_number(1), is_number(2.5), is_number("zzz"), is_number(True)
    (True, False, False, False)
    """
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def by_whom(event: Mapping[str, Any]) -> str:
    """Say by whom an event was written, when and why."""
    when = from_microseconds(event["at"])
    because = f" ({event['reason']})" if event["reason"] else ""
    return f"by {event['actor']} at {when:%Y-%m-%dT%H:%M:%SZ}{because}"


# The digest and the chain ------------------------------------------------------------------------


# Made once: `json.dumps` would make one for each value.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def canonical(value: object) -> bytes:
    """Return canonical JSON: sorted keys, no spaces, UTF-8."""
    return _ENCODER.encode(value).encode()


def digest_of(event: Mapping[str, Any]) -> str:
    """Return the digest of an event, hexadecimal."""
    kept = {name: value for name, value in event.items() if name not in ("digest", "pending")}
    return _sha256(canonical(kept))


def _sha256(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def sealed(event: Document) -> Document:
    """Return an event with its digest.

    Raises
    ------
    BadDocument
        If no store can hold it, or it is too large.
    """
    try:
        text = canonical(event)
    except (TypeError, ValueError):
        check_fields(event)  # says which value it is
        raise
    if len(text) > MAX_EVENT_BYTES:
        raise BadDocument(
            f"one event of {len(text) / 1e6:.1f} MB is too large (at most "
            f"{MAX_EVENT_BYTES / 1e6:.0f} MB); write fewer constants at once"
        )
    # As `digest_of`: what that leaves out is not there yet.
    return {**event, "digest": _sha256(text)}


def replayable(events: Sequence[Document], *, at_once: bool) -> Iterator[list[Document]]:
    """Yield groups that go in together: what removes bytes is completed before what follows."""
    group: list[Document] = []
    for event in events:
        group.append(event)
        if not at_once or event["action"] in (SWEEP, PURGE):
            yield group
            group = []
    if group:
        yield group
