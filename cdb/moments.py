"""The state of a store as of an event: what is visible in it, and what pending events say."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cdb.events import REMOVING, place_of
from cdb.names import TagName
from cdb.stores.base import Place
from cdb.stores.query import Document


@dataclass(frozen=True)
class Head:
    """The last event: its number, time and digest, and from where on events may be pending."""

    seq: int = 0
    at: int = 0
    digest: str = ""
    open: int = 1
    pending: bool = False

    @property
    def settled(self) -> bool:
        """Whether no event up to this one is pending."""
        return not self.pending and self.open >= self.seq


@dataclass(frozen=True)
class Pinned:
    """The versions that a tag pins, each in its place, whatever else is visible there.

    Attributes
    ----------
    tag : str
        Name of the tag.
    documents : mapping of (database, collection, ctype) to tuple of dict
        The pinned documents, as those of live versions look.
    """

    tag: str
    documents: Mapping[tuple[str, str, str], tuple[Document, ...]]


@dataclass(frozen=True)
class Moment:
    """The state of a store as of an event, and what pending events add to it and hide.

    Attributes
    ----------
    seq : int
        S: what was added up to this event and not retired up to it is visible.
    at : int
        The time of that event [us].
    asked : bool
        Whether somebody asked for this state by name; else it is the head's.
    provisional : bool
        Whether it was asked for by a time that is not before the head's: later events may have
        an earlier time than that.
    head : Head
        The head when the moment was made.
    pending : tuple of dict
        Events up to `seq` that may be pending, in order; what they say is taken from them.
    added : mapping
        By place, the documents that are visible whatever their collections say.
    gone : mapping
        By place, the documents that are not, with the event that retired them.
    tag : TagName or None
        The tag that was asked for, with its revision.
    pins : tuple of Pinned
        What it pins, then what the tags pin that it is based on: the first that fits stands.
    """

    seq: int
    at: int
    asked: bool
    provisional: bool
    head: Head
    pending: tuple[Document, ...] = ()
    added: Mapping[Place, Mapping[str, Document]] = field(default_factory=dict)
    gone: Mapping[Place, Mapping[str, int]] = field(default_factory=dict)
    tag: TagName | None = None
    pins: tuple[Pinned, ...] = ()

    @property
    def past(self) -> bool:
        """Whether later events may have retired what is visible here."""
        return self.seq < self.head.seq

    @property
    def foreign_before(self) -> str:
        """The `_id` before which those of other programs lie that were there; they hold seconds."""
        return f"{-(-self.at // 1_000_000):08x}{'0' * 16}"

    def knows(self, document: Mapping[str, Any]) -> bool:
        """Return whether a document was there, retired since or not."""
        seq = document.get("seq")
        if not isinstance(seq, int):
            return not self.asked or str(document["_id"]) < self.foreign_before
        return bool(seq <= self.seq)


def with_pending(moment: Moment, pending: Iterable[Document]) -> Moment:
    """Return a moment at which these events may be pending: what they say is taken from them."""
    events = tuple(pending)
    added: dict[Place, dict[str, Document]] = {}
    gone: dict[Place, dict[str, int]] = {}
    for event in events:
        for made in event["versions"]:
            if "document" in made:
                added.setdefault(place_of(made), {})[made["id"]] = made["document"]
            elif "set" in made:
                gone.setdefault(place_of(made), {})[made["id"]] = event["_id"]
    return Moment(
        moment.seq,
        moment.at,
        moment.asked,
        moment.provisional,
        moment.head,
        events,
        added,
        gone,
    )


def with_tag(moment: Moment, tag: TagName, pins: Sequence[Pinned]) -> Moment:
    """Return a moment as a tag has it: what it pins is visible, retired or not."""
    added = {place: dict(documents) for place, documents in moment.added.items()}
    gone = {place: dict(events) for place, events in moment.gone.items()}
    for pinned in pins:
        for (database, collection, _), documents in pinned.documents.items():
            for document in documents:
                added.setdefault((database, collection), {})[document["_id"]] = document
                gone.get((database, collection), {}).pop(document["_id"], None)
    return replace(moment, asked=True, added=added, gone=gone, tag=tag, pins=tuple(pins))


def followed(moment: Moment, later: Sequence[Document]) -> Moment:
    """Return the moment after some more events.

    What they say is taken from themselves if they may be incomplete; the others are in their
    collections, and keeping them would make each attempt of a writer that loses often slower than
    the one before, until it never wins. Of bytes that are removed it is told for good.
    """
    last = later[-1]
    head = Head(last["_id"], last["at"], last["digest"], last["open"], bool(last.get("pending")))
    after = Moment(head.seq, head.at, False, False, head)
    kept = [e for e in later if e.get("pending") or e["action"] in REMOVING]
    return with_pending(after, (*moment.pending, *kept))


def visible(query: Mapping[str, Any], moment: Moment, *, again: bool) -> Document:
    """Add to a query: visible at a moment; if asked `again`, whatever was adopted since."""
    foreign: Document = {"seq": {"$exists": False}}
    if moment.asked:
        foreign["_id"] = {"$lt": moment.foreign_before}
    there = [{"seq": {"$lte": moment.seq}}, foreign]
    if again and not moment.asked:
        there.append({"adopted": {"$gt": moment.seq}})
    still = {"$or": [{"out": {"$exists": False}}, {"out": {"$gt": moment.seq}}]}
    return {**query, "$and": [{"$or": there}, still, *query.get("$and", [])]}
