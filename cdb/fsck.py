"""What is wrong in a store, and mending it: the journal is the truth.

Litter of killed writers is swept under an event; documents that another program changed or
deleted are put back from the events that added them. Young litter and other programs' documents
are told, not counted.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cdb import deployments, register
from cdb.audit import PAYLOAD, Audit, Deviation, Finding, constants, places_of
from cdb.constant import order_of
from cdb.events import PURGE, Proposal, entry
from cdb.journal import PENDING_SECONDS, Journal
from cdb.moments import Moment
from cdb.names import PREFIX, REGISTER, is_short_name, names_a_detector
from cdb.stores.base import Blob, Place

Document = dict[str, Any]

SECONDS_OLD = 3600
SWEPT_AT_ONCE = 10_000


# What of a document tells whether it is half of a deployment.
HALF = ("adopted", "first", "id_doc_exp", "order")


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
    _doubtful: set[int] = field(default_factory=set)

    def run(self) -> Iterator[Finding]:
        """Yield findings; each is mended before it is yielded, if it can be."""
        self._say("journal")
        audit = Audit(self.journal, keep=(*PAYLOAD, *HALF))
        yield from self._chain(audit)
        yield from self._pending(audit)
        truth = audit.truth
        for place in places_of(self.journal.store, truth.documents):
            self._say("/".join(place))
            for found in audit.deviations(place):
                yield self._mended(found) if isinstance(found, Deviation) else found
        yield from self._halves(audit)
        for database in constants(self.journal.store):
            self._say(f"payloads of {database}")
            yield from self._blobs(database, audit)
        yield from self._litter()

    def _say(self, words: str) -> None:
        if self.progress:
            self.progress(words)

    # journal -----------------------------------------------------------------------------------

    def _chain(self, audit: Audit) -> Iterator[Finding]:
        for found in audit.walk():
            number = found.where.removeprefix("event ")
            if number.isdecimal():
                # An event that was replaced shows by the next one, which does not follow it.
                self._doubtful.update((int(number) - 1, int(number)))
            yield replace(found, what=f"{found.what}; put the journal back from a copy")

    def _pending(self, audit: Audit) -> Iterator[Finding]:
        """Complete what dead writers left, oldest first."""
        old = min(self.older_than, PENDING_SECONDS)
        for event in audit.pending:
            found = audit.unfinished(event, old)
            if found.counts and not self.dry_run:
                found = replace(found, mended=self.journal.complete(event))
            yield found

    # documents ---------------------------------------------------------------------------------

    def _mended(self, found: Deviation) -> Finding:
        """Put a document back as the events say, if they can be believed."""
        should = found.should
        if should is None:
            return found.finding()
        naming = {event["_id"] for event in self.journal.events_naming(found.id)}
        if self.dry_run or naming & self._doubtful:
            return found.finding()
        self._put_back(found.place, should, found.found)
        # A token that somebody tampered with is put back as it was granted, come what may.
        if self.accept and "out" not in should and found.place[0].startswith(PREFIX):
            self._retire(found.place, should, found.what)
        return found.finding(mended=True)

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

    def _halves(self, audit: Audit) -> Iterator[Finding]:
        """Tell of experiments' copies that none for the detector followed: a client died."""
        named = audit.truth.documents
        followed = {
            known.fields.get("id_doc_exp") for documents in named.values()
            for known in documents.values()
        }  # fmt: skip
        for place in sorted(named):
            if not _is_experiments(place):
                continue
            for document in (known.fields for known in named[place].values()):
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

    def _blobs(self, database: str, audit: Audit) -> Iterator[Finding]:
        store, truth = self.journal.store, audit.truth
        records = {blob.id: blob for blob in store.blobs(database)}
        foreign_named = {
            document.get("id_data")
            for collection in store.collections(database)
            for document in store.find(database, collection, {"seq": {"$exists": False}})
        }
        yield from audit.payloads(database, records, digests=self.payloads)
        yield from self._unpurged(database, records, truth.purged)
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

    def _unpurged(
        self, database: str, records: Mapping[str, Blob], purged: Iterable[tuple[str, str]]
    ) -> Iterator[Finding]:
        """Remove again what was purged and came back, with a copy from before for example."""
        found = sorted(blob_id for name, blob_id in purged if name == database)
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
