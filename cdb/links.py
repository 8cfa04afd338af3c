"""The links of the journal's chain: the digest of an event, and whether events follow each other.

The digest is sha256 over canonical JSON, and each event holds that of the one before.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cdb.errors import BadQuestion, Corrupt, shown
from cdb.events import canonical

# What is no part of an event's digest.
OUTSIDE = ("digest", "pending")


def compact(value: object) -> bytes:
    """Return JSON with sorted keys, quickly: equal for equal values, in this process.

    Nearly always it is the canonical one; fractions may be written otherwise.

    Raises
    ------
    TypeError, ValueError
        If JSON cannot say it.
    """
    import orjson

    options = (
        orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS
    )
    try:
        text = orjson.dumps(value, option=options)
    except TypeError:
        return canonical(value)
    # It writes null for what is no number.
    return canonical(value) if b"null" in text else text


def agrees(event: Mapping[str, Any]) -> bool:
    """Return whether the digest that an event carries is its own."""
    inside = dict(event)
    for name in OUTSIDE:
        inside.pop(name, None)
    digest = event.get("digest")
    try:
        # Whatever text has this digest is the event's: the quick one will do if it has.
        return _sha256(compact(inside)) == digest or _sha256(canonical(inside)) == digest
    except (TypeError, ValueError):
        return False  # no event holds what JSON cannot say


def _sha256(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


@dataclass(frozen=True)
class Break:
    """A place where the chain is broken.

    Attributes
    ----------
    seq : int
        The event, or the first of several.
    what : str
        A sentence.
    """

    seq: int
    what: str


class Walk:
    """A walk along the chain, event by event.

    Parameters
    ----------
    after : int, optional
        The number before the first one.
    last : mapping, optional
        The event of that number, which the first one should follow, where it is known.
    partly : bool, optional
        Whether what one may not read is left out: events, and parts of events (`partial`). What
        is there is verified as far as it can be.

    Attributes
    ----------
    seq : int
        The last event that was walked over.
    events : int
        How many were.
    digest : str
        Of the last one.
    unseen, emptied : int
        Events that were left out, and those that are there in part.
    """

    def __init__(
        self, after: int = 0, last: Mapping[str, Any] | None = None, *, partly: bool = False
    ) -> None:
        self.seq = after
        self.digest = str(last["digest"]) if last else ""
        self.events = self.unseen = self.emptied = 0
        self._partly = partly
        self._at: int = last["at"] if last else 0
        # Whether the next event can be held against the last one.
        self._linked = last is not None or not after

    def follow(self, event: Mapping[str, Any]) -> Iterator[Break]:
        """Yield what is wrong with the next event.

        Raises
        ------
        BadQuestion
            If the events are here in part, as those of a bundle.
        """
        seq = event["_id"]
        if isinstance(seq, bool) or not isinstance(seq, int) or seq <= self.seq:
            yield Break(self.seq, f"event {shown(seq)} of the journal was put in: no event has "
                                  "such a number")  # fmt: skip
            return
        if seq > self.seq + 1:
            yield from self._missing(seq)
        self.seq = seq
        self.events += 1
        if event.get("trimmed") or (event.get("partial") and not self._partly):
            raise BadQuestion(
                f"event {seq} is here in part, as in every bundle and for who may not read all "
                "that it touches: verify the store itself"
            )
        emptied = self._partly and event.get("partial") is True
        self.emptied += emptied
        if not emptied and not agrees(event):
            yield Break(seq, f"event {seq} of the journal was changed after it was written")
            self._linked = False
            self.digest = str(event.get("digest"))
            return
        if not self._follows(event):
            yield Break(seq, f"event {seq} of the journal does not follow the one before it")
        self.digest, self._at, self._linked = event["digest"], event["at"], True

    def end(self, head: int) -> Iterator[Break]:
        """Yield what is wrong if the walk ended before the last event."""
        if self.seq < head:
            yield from self._missing(head + 1)

    def _missing(self, seq: int) -> Iterator[Break]:
        first, last = self.seq + 1, seq - 1
        self._linked = False
        if self._partly:
            self.unseen += last - self.seq
        elif first == last:
            yield Break(first, f"event {first} of the journal is missing")
        else:
            yield Break(first, f"event {first} of the journal is missing, and all up to {last}")

    def _follows(self, event: Mapping[str, Any]) -> bool:
        at = event.get("at")
        if not isinstance(at, int) or at <= self._at:
            return False
        return not self._linked or event.get("previous") == self.digest


def check_chain(events: Iterable[Mapping[str, Any]]) -> int:
    """Walk a chain from the first event to the last; return how many there are.

    Raises
    ------
    Corrupt
        Naming the first event that is missing, changed or out of place.
    BadQuestion
        If the events are here in part, as those of a bundle.
    """
    walk = Walk()
    for event in events:
        for fault in walk.follow(event):
            raise Corrupt(fault.what)
    return walk.seq
