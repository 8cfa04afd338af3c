"""What an untouched store would hold, and where this one differs: the journal is the truth.

An audit reads and reports; `cdb.fsck` mends. The chain of events is walked first, and what the
events say is compared with the documents, of which only fingerprints are kept meanwhile.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cdb.constant import order_of
from cdb.errors import BadQuestion, Corrupt, NotFound, WrongState
from cdb.events import PURGE, canonical
from cdb.journal import PENDING_SECONDS, Journal
from cdb.ledger import places
from cdb.links import Walk, agrees, compact
from cdb.moments import Head
from cdb.names import PREFIX, REGISTER
from cdb.stores.base import Blob, Place, Store
from cdb.stores.layout import INVENTORY, JOURNAL, JOURNAL_DATABASE
from cdb.stores.query import Document, Query
from cdb.truth import Truth, entries

# What may change in a document, once, when it leaves.
LEAVING = ("detector", "long", "out", "retired", "short")
# What is known of a payload.
PAYLOAD = ("_id", "ctype", "id_data", "nbytes", "sha256")
# Progress is told after so many events or documents.
STRIDE = 1000


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    Attributes
    ----------
    kind : str
        chain, head, pending, document, half, payload, litter, foreign.
    where : str
        Event, or database and name.
    what : str
        A sentence.
    mended : bool
        Whether it has been put right.
    counts : bool
        False for what is only told: young litter, and what other programs left.
    """

    kind: str
    where: str
    what: str
    mended: bool = False
    counts: bool = True

    def as_json(self) -> dict[str, Any]:
        """Return it for a script; an audit mends nothing."""
        return {"kind": self.kind, "where": self.where, "what": self.what, "counts": self.counts}


@dataclass(frozen=True)
class Seal:
    """A digest that was written down once, and the event that it was of, where that is known."""

    digest: str
    seq: int | None = None


_NOTHING: Document = {}


class Expected:
    """How a document should be: what may change, what was to be kept, of the rest a fingerprint."""

    __slots__ = ("_fingerprint", "_leaving", "_kept")

    def __init__(self, document: Document, keep: Sequence[str]) -> None:
        self._leaving, self._fingerprint = _parted(document)
        self._kept = (
            {name: document[name] for name in keep if name in document} if keep else _NOTHING
        )

    @property
    def fields(self) -> Document:
        """The fields that are known of it."""
        return {**self._leaving, **self._kept}

    @property
    def has_left(self) -> bool:
        """Whether an event said so."""
        return "out" in self._leaving

    def leave(self, made: Mapping[str, Any]) -> None:
        """Follow an event that says how the document looks once it has left."""
        self._leaving.update(made["set"])
        for name in made.get("unset", ()):
            self._leaving.pop(name, None)
        if not all(name in LEAVING for name in (*made["set"], *made.get("unset", ()))):
            self._fingerprint = b""  # known from the events alone

    def fits(self, document: Document) -> bool:
        """Return whether a document is quickly seen to be as it should."""
        leaving, fingerprint = _parted(document)
        return (
            self._fingerprint == fingerprint
            and self._leaving == leaving
            and type(self._leaving.get("out")) is type(leaving.get("out"))  # 1, 1.0 and true
        )


def _parted(document: Document) -> tuple[Document, bytes]:
    """Return the fields that may change, and a fingerprint of the others."""
    rest, leaving = document.copy(), {}
    for name in LEAVING:
        if name in rest:
            leaving[name] = rest.pop(name)
    try:
        return leaving, hashlib.sha256(compact(rest)).digest()
    except (TypeError, ValueError):
        return leaving, b"no JSON"


@dataclass
class Fingerprints:
    """What the events say up to `head`: how each document should be, and which bytes are named.

    Attributes
    ----------
    keep : sequence of str
        Further fields that are kept of each document.
    head : int
        The last event that was followed.
    documents : dict
        By place and `_id`.
    earlier : dict
        Documents that left, and of whose adding nothing was said.
    named, purged : set of (database, id)
        Bytes.
    """

    keep: Sequence[str] = ()
    head: int = 0
    documents: dict[Place, dict[str, Expected]] = field(default_factory=dict)
    earlier: dict[Place, set[str]] = field(default_factory=dict)
    named: set[tuple[str, str]] = field(default_factory=set)
    purged: set[tuple[str, str]] = field(default_factory=set)

    def follow(self, event: Mapping[str, Any]) -> None:
        """Follow the next event."""
        self.head = event["_id"]
        for made in entries(event):
            place = made["database"], made["collection"]
            documents = self.documents.get(place, {})
            if "document" in made:
                documents[made["id"]] = Expected(made["document"], self.keep)
                self.documents[place] = documents
                self.named.add((made["database"], made["document"].get("id_data")))
            elif event.get("action") == PURGE:
                self.purged.add((made["database"], made["id"]))
            elif "set" in made:
                known = documents.get(made["id"])
                if known is None:
                    self.earlier.setdefault(place, set()).add(made["id"])
                elif not known.has_left:
                    # A document leaves once, whatever later events say.
                    known.leave(made)


def expected(journal: Journal, place: Place, document_id: str) -> tuple[Document | None, bool]:
    """Return how a document should be, from the events that name it, and whether one is pending."""
    events = journal.events_naming(document_id)
    truth = Truth()
    for event in events:
        truth.follow(event)
    return truth.documents.get(place, {}).get(document_id), any(
        event.get("pending") for event in events
    )


@dataclass(frozen=True)
class Deviation:
    """A document that is not as the events say.

    Attributes
    ----------
    place : (str, str)
        Database and collection.
    id : str or int
        Its `_id`.
    should, found : dict or None
        The document as the events say and as it is; None if there should be, or is, none.
    """

    place: Place
    id: Any
    should: Document | None
    found: Document | None

    @property
    def what(self) -> str:
        """What happened to it."""
        if self.should is None:
            if "seq" not in (self.found or {}):
                return "no event names it"
            return "carries an event number, but no event names it"
        if self.found is None:
            return "is missing"
        return f"was changed ({_difference(self.found, self.should)})"

    def finding(self, *, mended: bool = False) -> Finding:
        """Return it as something found."""
        where = "/".join((*self.place, str(self.id)))
        return Finding("document", where, self.what, mended=mended)


def _difference(found: Document, should: Document) -> str:
    names = [
        name
        for name in sorted({*found, *should})
        if (name in found) != (name in should) or not _is_same(found.get(name), should.get(name))
    ]
    return ", ".join(names[:5])


def _is_same(left: object, right: object) -> bool:
    """Return whether two values are one in JSON, where 1, 1.0 and true are three."""
    try:
        return canonical(left) == canonical(right)
    except (TypeError, ValueError):
        return False


class Audit:
    """An audit of one store, which changes nothing.

    Parameters
    ----------
    journal : Journal
        Of the store.
    begin : int, optional
        The first event that is looked at, and only what it and the later ones say.
    payloads : bool, optional
        Read all payloads too, and compare their digests.
    seals : sequence of Seal, optional
        Digests that should lie on the chain.
    keep : sequence of str, optional
        See `Fingerprints`.

    Attributes
    ----------
    head : Head
        The last event when the audit began; what comes later is not looked at.
    truth : Fingerprints
        What the events say, once they were walked.
    pending : list of dict
        Events that are incomplete.
    events, documents : int
        How many were looked at.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        begin: int = 1,
        payloads: bool = False,
        seals: Sequence[Seal] = (),
        keep: Sequence[str] = (),
    ) -> None:
        self.journal = journal
        self.begin = begin
        self.with_payloads = payloads
        self.seals = seals
        if journal.store.no_journal:
            raise WrongState(f"there is nothing to compare with: {journal.store.no_journal}")
        self.head: Head = journal.head()
        self.truth = Fingerprints((*keep, *PAYLOAD) if payloads else keep)
        self.pending: list[Document] = []
        self.events = self.documents = 0
        self._advance: Callable[[int], None] = lambda _: None
        if not 1 <= begin <= self.head.seq + 1:
            raise BadQuestion(
                f"event {begin} is to be the first, but the last one is {self.head.seq}; "
                f"give 1 to {self.head.seq}"
            )
        for seal in seals:
            if seal.seq is not None and seal.seq < begin:
                raise BadQuestion(
                    f"the digest of event {seal.seq} is asked for, but the walk begins at {begin}: "
                    f"begin at {seal.seq} at the latest"
                )

    def run(self) -> Iterator[Finding]:
        """Yield all that is found."""
        yield from self.walk()
        for event in self.pending:
            yield self.unfinished(event)
        for place in places_of(self.journal.store, self.truth.documents):
            for found in self.deviations(place):
                yield found.finding() if isinstance(found, Deviation) else found
        if self.with_payloads:
            for database in constants(self.journal.store, self.truth.documents):
                yield from self.payloads(database, digests=True)

    def tell(self, advance: Callable[[int], None]) -> None:
        """Call this with the number of events and documents looked at since the last call."""
        self._advance = advance

    def size(self) -> int:
        """Return about how many events and documents there are."""
        store = self.journal.store
        documents = sum(store.count(*place) for place in places_of(store))
        return self.head.seq - self.begin + 1 + documents

    def facts(self) -> dict[str, Any]:
        """Return for a script what was looked at, once it was."""
        return {
            "server": self.journal.identity(),
            "seq": self.head.seq,
            "digest": self.head.digest,
            "events": self.events,
            "unseen": 0,
            "emptied": 0,
            "documents": self.documents,
            "payloads": self.with_payloads,
        }

    # events ------------------------------------------------------------------------------------

    def walk(self) -> Iterator[Finding]:
        """Walk the chain, and follow what the events say."""
        yield from self._strangers()
        walk = Walk(self.begin - 1, self._before())
        carried: dict[str, int] = {}
        wanted = {seal.digest for seal in self.seals}
        for event in self.journal.events(after=self.begin - 1, upto=self.head.seq):
            for fault in walk.follow(event):
                yield Finding("chain", f"event {fault.seq}", fault.what)
            if walk.seq != event["_id"]:
                continue  # it was put in
            self.events += 1
            if event.get("digest") in wanted:
                carried[event["digest"]] = event["_id"]
            if "pending" in event:
                self.pending.append(event)
            self.truth.follow(event)
            if not self.events % STRIDE:
                self._advance(STRIDE)
        for fault in walk.end(self.head.seq):
            yield Finding("chain", f"event {fault.seq}", fault.what)
        self._advance(self.events % STRIDE)
        identity = self.journal.identity()
        for seal in self.seals:
            yield from broken(seal, carried, self.head.seq, identity)

    def _before(self) -> Document | None:
        """Return the event before the first one, which the first one should follow."""
        if self.begin == 1:
            return None
        event = self.journal.event(self.begin - 1)
        if event is None or not agrees(event):
            state = "missing" if event is None else "changed after it was written"
            raise Corrupt(
                f"event {self.begin - 1}, which the first one should follow, is {state}; "
                "begin earlier, and see what was done to it"
            )
        return event

    def _strangers(self) -> Iterator[Finding]:
        """Find events under what is no number of an event: nothing else would read them."""
        for (seq,) in self.journal.store.rows(JOURNAL_DATABASE, JOURNAL, ("_id",)):
            if isinstance(seq, bool) or not isinstance(seq, int | float) or seq < 1:
                what = f"event {seq!r} of the journal was put in: no event has such a number"
                yield Finding("chain", f"event {seq}", what)

    def unfinished(
        self, event: Mapping[str, Any], older_than: float = PENDING_SECONDS, *, done: bool = False
    ) -> Finding:
        """Return what is to be said of an event that is incomplete."""
        where, at = f"event {event['_id']}", event.get("at")
        age = self.journal.now() - (at if isinstance(at, int) else 0) / 1e6
        if age < older_than:
            what = f"incomplete for {age:.1f} s: its writer may be at work"
            return Finding("pending", where, what, counts=False)
        return Finding("pending", where, f"was left incomplete {age:.0f} s ago", done)

    # documents ---------------------------------------------------------------------------------

    def deviations(self, place: Place) -> Iterator[Deviation | Finding]:
        """Yield the documents of a place that are not as the events say.

        What a writer is just at work on is left out. What other programs left is told in one
        finding at the end.
        """
        known = self.truth.documents.get(place, {})
        query: Query = {"seq": {"$gte": self.begin}} if self.begin > 1 else {}
        seen: set[Any] = set()
        foreign = broken = 0
        for number, document in enumerate(self.journal.store.find(*place, query), 1):
            self.documents += 1
            if not number % STRIDE:
                self._advance(STRIDE)
            document_id = document["_id"]
            should = known.get(document_id) if isinstance(document_id, str) else None
            if should is not None:
                seen.add(document_id)
                if not should.fits(document):
                    yield from self._deviation(place, document_id, document)
            elif document.get("seq") is None and place[0] != JOURNAL_DATABASE:
                foreign += 1
                broken += is_broken(document, place)
            else:
                yield from self._deviation(place, document_id, document)
        earlier = self.truth.earlier.get(place, set()) if self.begin > 1 else set()
        for document_id in sorted((known.keys() - seen) | earlier):
            yield from self._deviation(place, document_id, None)
        if foreign:
            what = f"{foreign} documents of other programs" + (
                f", {broken} of them unreadable" if broken else "; `cdb adopt` takes them in"
            )
            yield Finding("foreign", "/".join(place), what, counts=False)

    def _deviation(
        self, place: Place, document_id: Any, found: Document | None
    ) -> Iterator[Deviation]:
        """Yield the deviation of a document, if there is one at a second look at both sides."""
        should, pending = expected(self.journal, place, document_id)
        if pending:
            return
        now = next(self.journal.store.find(*place, {"_id": document_id}), None)
        if should is None and now is None:
            return
        if should is None or now is None or not _is_same(now, should):
            yield Deviation(place, document_id, should, now)

    # bytes -------------------------------------------------------------------------------------

    def payloads(
        self, database: str, records: Mapping[str, Blob] | None = None, *, digests: bool
    ) -> Iterator[Finding]:
        """Yield the payloads that documents of a database name and that are not as they say.

        Parameters
        ----------
        database : str
            Whose documents.
        records : mapping, optional
            Its payloads by their id, where they were asked for before.
        digests : bool
            Whether to read them; else only that they are there, with their length.
        """
        store = self.journal.store
        if records is None:
            records = {blob.id: blob for blob in store.blobs(database)}
        seen: set[str] = set()
        for place in sorted(self.truth.documents):
            if place[0] != database:
                continue
            for document_id, known in self.truth.documents[place].items():
                named = known.fields
                blob_id = named.get("id_data")
                if (database, blob_id) in self.truth.purged or "sha256" not in named:
                    continue
                if not isinstance(blob_id, str) or blob_id in seen:
                    continue
                seen.add(blob_id)
                whose = f"the payload of {named.get('ctype')} {document_id}"
                fault = _fault(store, database, named, records.get(blob_id), digests)
                if fault:
                    what = f"{whose} {fault}; put it back from a copy"
                    yield Finding("payload", f"{database}/{blob_id}", what)


def findings_as_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return for a script what was found, and how many of it count."""
    found = sum(finding.counts for finding in findings)
    return {"found": found, "findings": [finding.as_json() for finding in findings]}


def broken(seal: Seal, carried: Mapping[str, int], head: int, identity: str) -> Iterator[Finding]:
    """Yield what is wrong if a digest that was written down is not where it was.

    Parameters
    ----------
    seal : Seal
        What was written down.
    carried : mapping
        The numbers of the events that carry such digests.
    head : int
        The last event.
    identity : str
        Of the store.
    """
    seq = carried.get(seal.digest)
    if seq is not None and seal.seq in (None, seq):
        return
    if seq is not None:
        where = f"is that of event {seq}, not of event {seal.seq}"
    elif seal.seq is None:
        where = "is on no event"
    elif seal.seq > head:
        where = f"is to be that of event {seal.seq}, but the last one is {head}"
    else:
        where = f"is not that of event {seal.seq}"
    what = (
        f"the digest {seal.digest} {where}: history was rewritten since it was written down, or it "
        f"is of another store than this, {identity or 'which is empty'}"
    )
    yield Finding("head", "journal" if seal.seq is None else f"event {seal.seq}", what)


def _fault(
    store: Store, database: str, named: Mapping[str, Any], blob: Blob | None, digests: bool
) -> str | None:
    """Return what is wrong with a payload, None if nothing is."""
    if blob is None or store.blob(database, blob.id) is None:
        return "is missing"
    if blob.nbytes != named.get("nbytes"):
        return f"has {blob.nbytes} bytes instead of {named.get('nbytes')}"
    if not digests:
        return None
    try:
        digest = hashlib.sha256(store.read(database, blob.id)).hexdigest()
    except NotFound:
        return "is not whole"
    return None if digest == named["sha256"] else f"is damaged (digest {digest})"


def places_of(store: Store, named: Iterable[Place] = ()) -> list[Place]:
    """Return every place with documents that events name, or should; sorted."""
    beside = {
        (JOURNAL_DATABASE, collection)
        for collection in store.collections(JOURNAL_DATABASE)
        if collection not in (JOURNAL, INVENTORY)
    }
    return sorted({*places(store), *beside, *named})


def constants(store: Store, named: Iterable[Place] = ()) -> list[str]:
    """Return the databases of constants, those included that are gone; sorted."""
    found = {*store.databases(), *(database for database, _ in named)}
    return sorted(database for database in found if database.startswith(PREFIX))


def is_broken(document: Document, place: Place) -> bool:
    """Return whether a document of another program cannot be read."""
    if place[0] == REGISTER:
        return "long" not in document or "short" not in document
    return "detector" in document and not ("ctype" in document and order_of(document))
