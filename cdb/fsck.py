"""What is wrong in a store, and mending it: the journal is the truth.

Litter of killed writers is swept under an event; documents that another program changed or
deleted are put back from the events that added them. Young litter and other programs' documents
are told, not counted.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cdb import deployments, register
from cdb.constant import order_of
from cdb.errors import Corrupt, NotFound
from cdb.events import PURGE, Proposal, entry
from cdb.journal import PENDING_SECONDS, Journal
from cdb.moments import Moment
from cdb.names import PREFIX, REGISTER, is_short_name, names_a_detector
from cdb.stores.base import Blob, Place
from cdb.truth import Truth

Document = dict[str, Any]

SECONDS_OLD = 3600
SWEPT_AT_ONCE = 10_000


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    Attributes
    ----------
    kind : str
        chain, pending, document, half, payload, litter, foreign.
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


@dataclass(frozen=True)
class Check:
    """A check of one store.

    Attributes
    ----------
    journal : Journal
        Of the store.
    payloads : bool
        Read all payloads and compare their digests.
    dry_run : bool
        Only tell.
    older_than : float
        Litter younger than this may belong to a writer at work [s].
    accept : bool
        Record what another program changed or deleted as retired.
    progress : callable or None
        Called with a few words per step.
    """

    journal: Journal
    payloads: bool = False
    dry_run: bool = False
    older_than: float = SECONDS_OLD
    accept: bool = False
    progress: Callable[[str], None] | None = None

    def run(self) -> Iterator[Finding]:
        """Yield findings; each is mended before it is yielded, if it can be."""
        self._say("journal")
        yield from self._chain()
        yield from self._pending()
        truth = Truth()
        for event in self.journal.events():
            truth.follow(event)
        for place in sorted({*truth.documents, *self._places()}):
            self._say("/".join(place))
            yield from self._documents(place, truth)
        yield from self._halves(truth)
        for database in self.journal.store.databases():
            if database.startswith(PREFIX):
                self._say(f"payloads of {database}")
                yield from self._blobs(database, truth)
        yield from self._litter()

    def _say(self, words: str) -> None:
        if self.progress:
            self.progress(words)

    # journal -----------------------------------------------------------------------------------

    def _chain(self) -> Iterator[Finding]:
        try:
            self.journal.verify()
        except Corrupt as error:
            what = f"{error}; put the journal back from a copy"
            yield Finding("chain", "journal", what)

    def _pending(self) -> Iterator[Finding]:
        """Complete what dead writers left, oldest first."""
        old = min(self.older_than, PENDING_SECONDS)
        pending = [event for event in self.journal.events() if event.get("pending")]
        for event in pending:
            age = self.journal.now() - event["at"] / 1e6
            where = f"event {event['_id']}"
            if age < old:
                what = f"incomplete for {age:.1f} s: its writer may be at work"
                yield Finding("pending", where, what, counts=False)
            else:
                done = not self.dry_run and self.journal.complete(event)
                yield Finding("pending", where, f"was left incomplete {age:.0f} s ago", done)

    # documents ---------------------------------------------------------------------------------

    def _places(self) -> Iterator[Place]:
        for database in self.journal.store.databases():
            if database.startswith(PREFIX):
                for collection in self.journal.store.collections(database):
                    yield database, collection

    def _documents(self, place: Place, truth: Truth) -> Iterator[Finding]:
        expected = truth.documents.get(place, {})
        seen = set()
        foreign = broken = 0
        for document in self.journal.store.find(*place):
            seen.add(document["_id"])
            if document["_id"] in expected:
                if document != expected[document["_id"]]:
                    yield from self._mend(place, document["_id"], document)
            elif document.get("seq") is None:
                foreign += 1
                broken += _is_broken(document, place)
            else:
                yield from self._mend(place, document["_id"], document)
        for missing in expected.keys() - seen:
            yield from self._mend(place, missing, None)
        if foreign:
            what = f"{foreign} documents of other programs" + (
                f", {broken} of them unreadable" if broken else "; `cdb adopt` takes them in"
            )
            yield Finding("foreign", "/".join(place), what, counts=False)

    def _mend(self, place: Place, document_id: str, found: Document | None) -> Iterator[Finding]:
        """Put a document back as the events say, unless a writer is just at work on it."""
        where = "/".join((*place, document_id))
        events = self.journal.events_naming(document_id)
        if any(event.get("pending") for event in events):
            return
        truth = Truth()
        for event in events:
            truth.follow(event)
        expected = truth.documents.get(place, {}).get(document_id)
        now = next(self.journal.store.find(*place, {"_id": document_id}), None)
        if now == expected:
            return
        if expected is None:
            what = "carries an event number, but no event names it"
            yield Finding("document", where, what)
            return
        what = "is missing" if now is None else f"was changed ({_difference(now, expected)})"
        if not self.dry_run:
            self._put_back(place, expected, now)
            # A token that somebody tampered with is put back as it was granted, come what may.
            if self.accept and "out" not in expected and place[0].startswith(PREFIX):
                self._retire(place, expected, what)
        yield Finding("document", where, what, mended=not self.dry_run)

    def _put_back(self, place: Place, expected: Document, now: Document | None) -> None:
        store = self.journal.store
        if now is None:
            store.insert(*place, [expected], ignore_duplicates=True)
            return
        fields = {name: value for name, value in expected.items() if name != "_id"}
        extra = [name for name in now if name not in expected]
        store.update(*place, {"_id": expected["_id"]}, set=fields, unset=extra)

    def _retire(self, place: Place, document: Document, what: str) -> None:
        """Record as retired, all copies of a deployment in one event."""
        reason = f"accepted: it {what}"
        if place[0] != REGISTER:
            deployments.retire(self.journal, self.journal.commit, document["_id"], reason)
            return

        def leaving(seq: int, _: int) -> list[Document]:
            gone = register.retired(document)
            gone["set"] = {"out": seq, **gone["set"]}
            return [entry(*place, document["_id"], "/".join(place)) | gone]

        ids = frozenset([document["_id"]])
        self.journal.commit(lambda _: Proposal("retire", reason, leaving, frozenset(), ids=ids))

    def _halves(self, truth: Truth) -> Iterator[Finding]:
        """Tell of experiments' copies that none for the detector followed: a client died."""
        everything = [d for documents in truth.documents.values() for d in documents.values()]
        followed = {document.get("id_doc_exp") for document in everything}
        for place, documents in sorted(truth.documents.items()):
            if not _is_experiments(place):
                continue
            for document in documents.values():
                known = {document["_id"], document.get("first")}
                if known & followed or not _wants_copy(document, place[1]):
                    continue
                age = self.journal.now() - order_of(document) / 1e6
                what = (
                    f"{document.get('ctype')} has no copy for the detector: the client that "
                    "deployed it died halfway; deploy again, or `cdb retire` it"
                )
                where = "/".join((*place, document["_id"]))
                yield Finding("half", where, what, counts=age >= self.older_than)

    # bytes -------------------------------------------------------------------------------------

    def _blobs(self, database: str, truth: Truth) -> Iterator[Finding]:
        store = self.journal.store
        records = {blob.id: blob for blob in store.blobs(database)}
        foreign_named = {
            document.get("id_data")
            for collection in store.collections(database)
            for document in store.find(database, collection, {"seq": {"$exists": False}})
        }
        for (db, _), documents in sorted(truth.documents.items()):
            if db == database:
                named = [d for d in documents.values()
                         if (database, d.get("id_data")) not in truth.purged]  # fmt: skip
                yield from self._payloads(database, named, records)
        yield from self._unpurged(database, records, truth)
        unnamed = [
            blob
            for blob in records.values()
            if (database, blob.id) not in truth.named and blob.id not in foreign_named
        ]
        if unnamed:
            # Bytes that were uploaded since the events were read may have been named since.
            since = self._named_since(database, truth.head, self.journal.head().seq)
            unnamed = [blob for blob in unnamed if blob.id not in since]
        yield from self._sweep(database, unnamed, truth.head)

    def _payloads(
        self, database: str, documents: Iterable[Document], records: Mapping[str, Blob]
    ) -> Iterator[Finding]:
        seen: set[str] = set()
        for document in documents:
            blob_id = document.get("id_data")
            if not isinstance(blob_id, str) or blob_id in seen or "sha256" not in document:
                continue
            seen.add(blob_id)
            fault = self._fault(database, blob_id, document, records)
            if fault:
                where = f"{database}/{blob_id}"
                yield Finding("payload", where, f"{fault}; put it back from a copy")

    def _unpurged(
        self, database: str, records: Mapping[str, Blob], truth: Truth
    ) -> Iterator[Finding]:
        """Remove again what was purged and came back, with a copy from before for example."""
        found = sorted(blob_id for name, blob_id in truth.purged if name == database)
        back = [blob_id for blob_id in found if blob_id in records]
        if not back:
            return
        pending = {e["_id"] for e in self.journal.moment().pending if e["action"] == PURGE}
        if pending:  # a writer is about to remove them
            return
        done = False
        if not self.dry_run:
            with self.journal.store.sweeping() as done:
                if done:
                    self.journal.store.remove(database, back)
        for blob_id in back:
            what = f"{records[blob_id].nbytes} bytes that were purged are there again"
            yield Finding("litter", f"{database}/{blob_id}", what, done)

    def _fault(
        self, database: str, blob_id: str, document: Document, records: Mapping[str, Blob]
    ) -> str | None:
        store = self.journal.store
        blob = records.get(blob_id)
        whose = f"the payload of {document.get('ctype')} {document['_id']}"
        if blob is None or store.blob(database, blob_id) is None:
            return f"{whose} is missing"
        if blob.nbytes != document.get("nbytes"):
            return f"{whose} has {blob.nbytes} bytes instead of {document.get('nbytes')}"
        if not self.payloads:
            return None
        try:
            digest = hashlib.sha256(store.read(database, blob_id)).hexdigest()
        except NotFound:
            return f"{whose} is not whole"
        return None if digest == document["sha256"] else f"{whose} is damaged (digest {digest})"

    def _sweep(self, database: str, unnamed: Iterable[Blob], head: int) -> Iterator[Finding]:
        litter = []
        now = time.time()
        for blob in unnamed:
            where = f"{database}/{blob.id}"
            if blob.head is None:
                what = f"{blob.nbytes} bytes of another program that no document names"
                yield Finding("foreign", where, what, counts=False)
            elif now - blob.at < self.older_than:
                what = f"{blob.nbytes} bytes that no event names, {now - blob.at:.0f} s old"
                yield Finding("litter", where, what, counts=False)
            else:
                litter.append(blob)
        for start in range(0, len(litter), SWEPT_AT_ONCE):
            some = litter[start : start + SWEPT_AT_ONCE]
            done = set() if self.dry_run else self._swept(database, some, head)
            for blob in some:
                what = f"{blob.nbytes} bytes that no event names"
                yield Finding("litter", f"{database}/{blob.id}", what, blob.id in done)

    def _swept(self, database: str, litter: Iterable[Blob], head: int) -> set[str]:
        """Remove bytes under an event that names them; return which."""
        done: set[str] = set()
        ids = {blob.id for blob in litter}

        def propose(moment: Moment) -> Proposal | None:
            done.clear()
            done.update(ids - self._named_since(database, head, moment.seq))
            entries = [entry(database, "fs.files", id_, f"{database}/fs.files") for id_ in done]
            return _Sweep("sweep", "left by writers that died", lambda *_: entries,
                          keys=frozenset(), ids=frozenset(done)) if done else None  # fmt: skip

        with self.journal.store.sweeping() as free:
            if free:
                self.journal.commit(propose)
        return {id_ for id_ in done if self.journal.store.blob(database, id_) is None}

    def _named_since(self, database: str, after: int, upto: int) -> set[str]:
        return {
            made["document"].get("id_data")
            for event in self.journal.events(after=after, upto=upto)
            for made in event["versions"]
            if made["database"] == database and "document" in made
        }

    def _litter(self) -> Iterator[Finding]:
        """Remove files of killed writers that never got a record."""
        store = self.journal.store
        names = store.litter(0)
        old = {*store.litter(self.older_than)}
        done = False
        if old and not self.dry_run:
            with store.sweeping() as free:
                if free:
                    # Looked for again inside the lock: no writer is at work now.
                    old = {*store.litter(self.older_than)}
                    store.remove_litter(sorted(old))
                    done = True
        for name in names:
            if name in old:
                yield Finding("litter", name, "a file that no record names", done)
            else:
                yield Finding("litter", name, "a young file that no record names", counts=False)


class _Sweep(Proposal):
    """A sweep, which rests on nobody naming the bytes."""

    def is_stale_after(self, event: Mapping[str, Any]) -> bool:
        """Return whether an event names bytes that were to be swept."""
        return any(
            made.get("document", {}).get("id_data") in self.ids for made in event["versions"]
        )


def _is_experiments(place: Place) -> bool:
    """Return whether an experiment's constants of a detector are filed here."""
    database, collection = place
    is_one = database != REGISTER and not names_a_detector(database.removeprefix(PREFIX))
    return is_one and is_short_name(collection)


def _wants_copy(document: Document, detector: str) -> bool:
    """Return whether a copy for the detector should be there; of adopted ones nobody knows."""
    is_first = document.get("id_doc_exp") == 0 and document.get("detector") == detector
    return is_first and "adopted" not in document


def _difference(now: Document, expected: Document) -> str:
    names = sorted(name for name in {*now, *expected} if now.get(name) != expected.get(name))
    return ", ".join(names[:5])


def _is_broken(document: Document, place: Place) -> bool:
    if place[0] == REGISTER:
        return "long" not in document or "short" not in document
    return "detector" in document and not ("ctype" in document and order_of(document))
