"""Every write of a store, in order: commit, complete, sweep, verify the chain; the head.

What an event holds `cdb.events` says, and what is visible as of one `cdb.moments`.
"""

import logging
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from cdb import inventory
from cdb.actor import actor
from cdb.constant import ADOPTED, RETIRED
from cdb.errors import (
    BadQuestion,
    Duplicate,
    NotAllowed,
    NotFound,
    OutcomeUnknown,
    StoreUnavailable,
    WrongClock,
    WrongState,
)
from cdb.events import (
    PURGE,
    REMOVING,
    SWEEP,
    Proposal,
    canonical,
    grouped,
    is_number,
    place_of,
    removal_in,
    replayable,
    sealed,
)
from cdb.links import check_chain
from cdb.moments import Head, Moment, followed, visible, with_pending
from cdb.stores.base import Place, Store
from cdb.stores.kept import Kept
from cdb.stores.layout import JOURNAL, JOURNAL_DATABASE
from cdb.stores.query import (
    Document,
    Query,
    Sort,
    matches,
    sort_documents,
    sort_values,
)

logger = logging.getLogger(__name__)

PENDING_SECONDS = 5
CLOCK_SECONDS = 5
PATIENCE_SECONDS = 10
# As many events that may be incomplete a writer follows before it asks which of them still are.
MANY_PENDING = 50

T = TypeVar("T")
Step = Callable[[str], None]
Commit = Callable[[Callable[[Moment], Proposal | None]], Document | None]


def no_step(name: str) -> None:
    """Go on; tests put a fault here."""


def _unless_refused(
    propose: Callable[[Moment], Proposal | None], moment: Moment
) -> Proposal | None:
    """Return what is proposed as of a moment that may have passed; None too if it is refused."""
    try:
        return propose(moment)
    except (NotFound, WrongState, NotAllowed):
        return None


class Journal:
    """The journal of one store.

    Parameters
    ----------
    store : Store
        Where the events are.
    step : callable, optional
        Called with the name of each step of a write; tests stop or kill the writer there.
    now : callable, optional
        The clock [Unix seconds].

    Attributes
    ----------
    outcome : str
        What is known of the writes made here, for one who interrupts them.
    """

    def __init__(
        self, store: Store, *, step: Step = no_step, now: Callable[[], float] = time.time
    ) -> None:
        self.store = store
        self.step = step
        self.now = now
        self.outcome = "nothing was written"
        self._seen = 0
        self._last: Moment | None = None
        self._lock = threading.Lock()
        self._identity = ""
        self._heads: Kept[Head] = Kept(store.stamp)

    # reading -----------------------------------------------------------------------------------

    def head(self) -> Head:
        """Return the last event's head.

        Raises
        ------
        StoreUnavailable
            If the store keeps showing an older state than this process has seen.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            head = self._ask_head()
            if head.seq >= self._seen:
                self._saw(head.seq)
                return head
            if time.monotonic() > deadline:
                raise StoreUnavailable(
                    f"the store shows event {head.seq} as its last, but event {self._seen} was "
                    "seen before: it lags behind or was put back to an older copy; try again later"
                )
            time.sleep(0.1)

    def _ask_head(self) -> Head:
        known = self._heads.get("head")
        if known is not None:
            return known
        stamp = self.store.stamp()
        head = self._read_head()
        self._heads.put("head", head, stamp)
        return head

    def _read_head(self) -> Head:
        last = self._last_event({})
        # What was put in under no number of an event is not one; an audit tells of it.
        while last and not is_number(last[0]):
            below = {"$lt": last[0]} if isinstance(last[0], float) else {}
            last = self._last_event({"_id": {"$gte": 1, **below}})
        if last is None:
            return Head()
        seq, at, digest, open_from, pending = last
        return Head(seq, at, digest, open_from, bool(pending))

    def _last_event(self, query: Query) -> tuple[Any, ...] | None:
        fields = ("_id", "at", "digest", "open", "pending")
        sort = [("_id", -1)]
        rows = self.store.rows(JOURNAL_DATABASE, JOURNAL, fields, query, sort=sort, limit=1)
        return tuple(rows[0]) if rows else None

    @property
    def seen(self) -> int:
        """The last event that was seen here."""
        return self._seen

    @property
    def known_identity(self) -> str:
        """What `identity` said before; empty if it was not asked, or there was none."""
        return self._identity

    def identity(self) -> str:
        """Return what tells this store from every other: the digest of its first event.

        Empty while there is none. It goes with the store wherever it is moved or copied to.
        """
        if not self._identity:
            rows = self.store.rows(JOURNAL_DATABASE, JOURNAL, ("digest",), {"_id": 1})
            self._identity = rows[0][0] if rows else ""
        return self._identity

    def _saw(self, seq: int) -> None:
        with self._lock:
            self._seen = max(self._seen, seq)

    def moment(
        self, as_of: int | None = None, *, at: int | None = None, head: Head | None = None
    ) -> Moment:
        """Return the state as of an event, as of a time, or now.

        Parameters
        ----------
        as_of : int, optional
            Number of an event.
        at : int, optional
            Time [us, Unix]: the last event at or before it.
        head : Head, optional
            The head, if it was asked for just now.

        Raises
        ------
        BadQuestion
            If there is no such event yet.
        """
        head = head or self.head()
        seq, when, provisional = head.seq, head.at, False
        if as_of is not None:
            if not 0 <= as_of <= head.seq:
                raise BadQuestion(
                    f"as of event {as_of} is asked, but the last event is {head.seq}; "
                    f"give 0 to {head.seq}, or a time"
                )
            seq = as_of
            when = head.at if seq == head.seq else self._time_of(seq)
        elif at is not None and at < head.at:
            query = {"at": {"$lte": at}}
            rows = self.store.rows(
                JOURNAL_DATABASE, JOURNAL, ("_id", "at"), query, sort=[("at", -1)], limit=1
            )
            seq, when = rows[0] if rows else (0, 0)
        elif at is not None:
            provisional = True
        asked = as_of is not None or at is not None
        return self._moment(seq, when, asked, provisional, head)

    def _time_of(self, seq: int) -> int:
        rows = self.store.rows(JOURNAL_DATABASE, JOURNAL, ("at",), {"_id": seq})
        return int(rows[0][0]) if rows else 0

    def _moment(self, seq: int, at: int, asked: bool, provisional: bool, head: Head) -> Moment:
        if head.settled:
            return Moment(seq, at, asked, provisional, head)
        query = {"_id": {"$gte": head.open, "$lte": seq}, "pending": True}
        pending = self.store.find(JOURNAL_DATABASE, JOURNAL, query, sort=[("_id", 1)])
        return with_pending(Moment(seq, at, asked, provisional, head), pending)

    def find(
        self,
        moment: Moment,
        database: str,
        collection: str,
        query: Query,
        *,
        detector: str | None = None,
        sort: Sort = (),
        limit: int = 0,
        both_forms: bool = False,
        fields: Sequence[str] | None = None,
    ) -> Iterator[Document]:
        """Yield the documents that are visible at a moment.

        Parameters
        ----------
        moment : Moment
            As of when.
        database, collection, query, sort, limit
            As `Store.find` has them.
        detector : str, optional
            Equality on `detector`, in the form that the moment asks for.
        both_forms : bool, optional
            Look also at what was retired since; always done for a past moment.
        fields : sequence of str, optional
            What will be looked at, ``_id`` among it; the rest may be missing.

        Notes
        -----
        Of a moment that is the head's, retired documents are not looked at, so a document that
        is retired between the head and this query is missed; read through `steady`.
        """
        place = (database, collection)
        wanted = dict(query)
        if detector is not None:
            forms = [detector, RETIRED + detector]
            wanted["detector"] = {"$in": forms} if moment.past or both_forms else detector
        gone, added = moment.gone.get(place, {}), moment.added.get(place, {})
        seen = visible(wanted, moment, again=both_forms)
        if fields is not None and not gone and not added:
            rows = self.store.rows(database, collection, fields, seen, sort=sort, limit=limit)
            pairs = (zip(fields, row, strict=True) for row in rows)
            return ({name: value for name, value in each if value is not None} for each in pairs)
        found = self.store.find(
            database,
            collection,
            seen,
            sort=sort,
            limit=limit + len(gone) if limit else 0,
        )
        if not gone and not added:
            return found
        merged = {document["_id"]: document for document in found}
        merged |= {id_: document for id_, document in added.items() if matches(wanted, document)}
        kept = [document for id_, document in merged.items() if id_ not in gone]
        return iter(sort_documents(kept, sort)[: limit or None])

    def distinct(
        self,
        moment: Moment,
        database: str,
        collection: str,
        field: str,
        query: Query,
        *,
        detector: str,
        both_forms: bool = False,
    ) -> list[Any]:
        """Return the values of a field among the documents that `find` would yield, sorted."""
        place = (database, collection)
        if moment.gone.get(place) or moment.added.get(place):
            found = self.find(
                moment, database, collection, query, detector=detector, both_forms=both_forms
            )
            return sort_values({document[field] for document in found if field in document})
        forms = [detector, RETIRED + detector]
        wanted = {**query, "detector": {"$in": forms} if moment.past or both_forms else detector}
        return self.store.distinct(
            database, collection, field, visible(wanted, moment, again=both_forms)
        )

    def count(self, moment: Moment, database: str, collection: str) -> int:
        """Return the number of documents that are visible at a moment."""
        place = (database, collection)
        if moment.gone.get(place) or moment.added.get(place):
            return sum(1 for _ in self.find(moment, *place, {}, both_forms=True))
        return len(self.store.rows(*place, ("_id",), visible({}, moment, again=True)))

    def steady(self, moment: Moment, places: Iterable[Place], read: Callable[[bool], T]) -> T:
        """Return what is read of places at a moment, whatever others write meanwhile.

        Parameters
        ----------
        moment : Moment
            As of when.
        places : iterable of (str, str)
            Database and collection of all that is read.
        read : callable
            From whether to look at `both_forms` (see `find`) to what was found. It is called
            again, then with True, if something left these places since the moment was made.
        """
        found = read(False)
        return read(True) if self.overtaken(moment, places) else found

    def overtaken(self, moment: Moment, places: Iterable[Place]) -> bool:
        """Return whether something left these places, or was adopted there, since the moment."""
        if moment.past:
            return False
        head = self.head()
        if head.seq == moment.head.seq:
            return False
        touched = set(places)
        return any(
            place_of(e) in touched and ("set" in e or event["action"] == "adopt")
            for event in self.events(after=moment.seq, upto=head.seq)
            for e in event["versions"]
        )

    def events(self, *, after: int = 0, upto: int | None = None) -> Iterator[Document]:
        """Yield events, oldest first, from the one after `after` up to `upto`."""
        numbers = {"$gt": after} if upto is None else {"$gt": after, "$lte": upto}
        return self.store.find(JOURNAL_DATABASE, JOURNAL, {"_id": numbers}, sort=[("_id", 1)])

    def event(self, seq: int) -> Document | None:
        """Return one event."""
        return next(self.store.find(JOURNAL_DATABASE, JOURNAL, {"_id": seq}), None)

    def event_of(self, nonce: str) -> Document | None:
        """Return the event that was committed under a nonce."""
        return next(self.store.find(JOURNAL_DATABASE, JOURNAL, {"nonce": nonce}, limit=1), None)

    def events_naming(self, *version_ids: str) -> list[Document]:
        """Return the events that name any of these versions, oldest first."""
        several = len(version_ids) != 1
        query = {"versions.id": {"$in": list(version_ids)} if several else version_ids[0]}
        found = self.store.find(JOURNAL_DATABASE, JOURNAL, query, sort=[("_id", 1)])
        return [event for event in found if is_number(event["_id"])]

    # writing -----------------------------------------------------------------------------------

    def commit(
        self, propose: Callable[[Moment], Proposal | None], *, nonce: str | None = None
    ) -> Document | None:
        """Commit what `propose` makes of the present state, exactly once.

        Parameters
        ----------
        propose : callable
            From a moment to a `Proposal`, or None if there is nothing to do. It is called again
            if another writer's event touched what the proposal rests on.
        nonce : str, optional
            Of the caller's own: what was committed under it before, by whatever process, is
            returned as it is.

        Returns
        -------
        event : dict or None
            What was committed; complete, or to be completed by whoever comes next.

        Raises
        ------
        WrongClock
            If this machine's clock and the store's differ by more than 5 s.
        OutcomeUnknown
            If the store went away and nobody can say whether the event is in.
        """
        # What this process last saw is good enough to propose on: had others written since, the
        # event's number is taken. Only "nothing to do" and "no" have to be said of the present.
        last = self._last
        moment = last or self.moment()
        # Asked after the moment: an event of this nonce that comes later takes a number above it.
        if nonce is not None and (before := self.event_of(nonce)):
            return before
        proposal = propose(moment) if last is None else _unless_refused(propose, last)
        if proposal is None and last is not None:
            moment = self.moment()
            if nonce is not None and (before := self.event_of(nonce)):
                return before
            proposal = propose(moment)
        own = secrets.token_hex(8) if nonce is None else nonce
        losses = 0
        done: set[int] = set()
        while proposal is not None:
            self._complete_others(moment, proposal, done)
            began = time.monotonic()
            event = self._event(proposal, moment, own)
            later = self._send(event)
            # Others may have the same nonce, if it is the caller's.
            same = None if nonce is None else self._same(event, later)
            if same is not None:
                return same
            if not later:
                self._saw(event["_id"])
                self._last = self._after(event, done=self._finish(event))
                return event
            moment = self._settled(followed(moment, later))
            self._saw(moment.seq)
            if any(proposal.is_stale_after(event) for event in later):
                proposal = propose(moment)
            # Of many writers one wins at a time: the others step back for some attempts' time.
            losses += 1
            time.sleep(random.random() * min(losses, 4) * (time.monotonic() - began))
        return None

    def _settled(self, moment: Moment) -> Moment:
        """Return a moment without the events that have been completed, if it has many."""
        if len(moment.pending) < MANY_PENDING:
            return moment
        query = {"_id": {"$gte": moment.pending[0]["_id"], "$lte": moment.seq}, "pending": True}
        rows = self.store.rows(JOURNAL_DATABASE, JOURNAL, ("_id",), query)
        still = {seq for (seq,) in rows}
        kept = [e for e in moment.pending if e["_id"] in still or e["action"] in REMOVING]
        return with_pending(moment, kept)

    def _same(self, event: Document, later: Sequence[Document]) -> Document | None:
        """Return an event that another writer committed under this event's nonce."""
        if not later:
            stored = self.event(event["_id"])
            return stored if stored and stored["digest"] != event["digest"] else None
        return next((other for other in later if other["nonce"] == event["nonce"]), None)

    def rehearse(self, propose: Callable[[Moment], Proposal | None]) -> Document | None:
        """Return the event that `commit` would write now, without writing it."""
        moment = self.moment()
        proposal = propose(moment)
        return None if proposal is None else self._event(proposal, moment, "")

    def _event(self, proposal: Proposal, moment: Moment, nonce: str) -> Document:
        seq = moment.seq + 1
        at = max(self._checked_now(moment.head), moment.head.at + 1)
        writer = actor()
        lowest = min((e["_id"] for e in moment.pending if e.get("pending")), default=seq)
        event: Document = {
            "_id": seq,
            "at": at,
            "nonce": nonce,
            "actor": writer.login,
            "host": writer.host,
            "action": proposal.action,
            "reason": proposal.reason,
            "previous": moment.head.digest,
            "open": lowest,
            "versions": [dict(made) for made in proposal.build(seq, at)],
        }
        event = sealed(event)
        if not self.store.transactional or proposal.action == PURGE:
            event["pending"] = True  # bytes go after the event, on every store
        return event

    def check_clock(self, moment: Moment) -> None:
        """Refuse to write with a wrong clock; a writer asks before it uploads bytes.

        Raises
        ------
        WrongClock
            If this machine's clock and the store's, or the last event's, differ by more than 5 s.
        """
        self._checked_now(moment.head)

    def _checked_now(self, head: Head) -> int:
        now = self.now()
        clock = self.store.clock()
        if clock is not None and abs(now - clock) > CLOCK_SECONDS:
            raise WrongClock(
                f"this machine's clock is {now - clock:+.0f} s off the store's; at most "
                f"{CLOCK_SECONDS} s is allowed: set the clock (chrony, ntp), then write"
            )
        if head.at / 1e6 - now > CLOCK_SECONDS:
            raise WrongClock(
                f"this machine's clock is {head.at / 1e6 - now:.0f} s behind the last event; at "
                f"most {CLOCK_SECONDS} s is allowed: set the clock (chrony, ntp), then write"
            )
        return int(now * 1e6)

    def _send(self, event: Document) -> list[Document]:
        """Insert an event, see `_insert`; say in `outcome` what is known of it meanwhile."""
        before, name = self.outcome, f"event {event['_id']} ({event['action']})"
        self.outcome = f"whether {name} was written is unknown: `cdb journal -n 1` tells"
        later = self._insert(event)
        self.outcome = before if later else f"{name} was written, and nothing after it"
        return later

    def _insert(self, event: Document) -> list[Document]:
        """Insert an event, and on a transactional store all that it does.

        Returns
        -------
        later : list of dict
            Empty if the event is in; else the events that others inserted first.
        """
        self.step("before event")
        try:
            with self.store.transaction():
                self.store.insert(JOURNAL_DATABASE, JOURNAL, [event])
                self.step("in event")
                if self.store.transactional:
                    self._apply(event)
                    self.step("applied")
        except Duplicate:
            return self._winners_over(event)
        except StoreUnavailable as error:
            return self._insert_again(event, error)
        return []

    def _winners_over(self, event: Document) -> list[Document]:
        """Return the events from an event's number on; none if that one is its own."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            later = list(self.events(after=event["_id"] - 1))
            if later:
                return [] if later[0]["nonce"] == event["nonce"] else later
            # Taken, but a majority does not have it yet.
            time.sleep(0.05)
        raise StoreUnavailable(
            f"event {event['_id']} is taken, but the store does not show it; try again later"
        )

    def _insert_again(self, event: Document, error: StoreUnavailable) -> list[Document]:
        """After an unclear outcome: the same event once more, which at most one can win."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            time.sleep(0.2)
            try:
                if self.store.transactional:
                    with self.store.transaction():
                        self.store.insert(JOURNAL_DATABASE, JOURNAL, [event])
                        self._apply(event)
                else:
                    self.store.insert(JOURNAL_DATABASE, JOURNAL, [event])
            except Duplicate:
                return self._winners_over(event)
            except StoreUnavailable as again:
                error = again
                continue
            return []
        raise OutcomeUnknown(
            f"{error} - whether event {event['_id']} was written is unknown; repeat the command: "
            "an add that happened is not added twice"
        ) from error

    def _finish(self, event: Document) -> bool:
        """Complete one's own event; it is committed already, so a failure here is no failure."""
        self.step("after event")
        if self.store.transactional and event["action"] != PURGE:
            return self._sweep_bytes(event)
        try:
            return self.complete(event)
        except StoreUnavailable as error:
            logger.warning("event %d is in, others will complete it: %s", event["_id"], error)
            return False

    def _after(self, event: Document, *, done: bool) -> Moment | None:
        """Return the moment of an event that nothing is pending at, None if something may be."""
        if not done or event["open"] < event["_id"]:
            return None
        head = Head(event["_id"], event["at"], event["digest"], event["open"])
        return Moment(head.seq, head.at, False, False, head)

    def complete(self, event: Mapping[str, Any]) -> bool:
        """Do what an event says, if it is not done yet; anyone may, any number of times.

        Returns
        -------
        done : bool
            False if bytes that it sweeps are kept by a writer at work: later, then.
        """
        self._apply(event)
        if not self._sweep_bytes(event):
            return False
        self.step("before done")
        seq = {"_id": event["_id"]}
        self.store.update(JOURNAL_DATABASE, JOURNAL, seq, unset=["pending"])
        self.step("done")
        return True

    def _complete_others(self, moment: Moment, proposal: Proposal, done: set[int]) -> None:
        """Complete pending events whose documents will leave, and those of writers that died."""
        for event in moment.pending:
            if event["_id"] in done or not event.get("pending"):
                continue
            old = self.now() - event["at"] / 1e6 > PENDING_SECONDS
            touched = any(made["id"] in proposal.ids for made in event["versions"])
            if old or touched:
                done.add(event["_id"])
                if self._is_pending(event["_id"]):
                    self.complete(event)

    def _is_pending(self, seq: int) -> bool:
        rows = self.store.rows(JOURNAL_DATABASE, JOURNAL, ("pending",), {"_id": seq})
        return bool(rows and rows[0][0])

    def _apply(self, event: Mapping[str, Any]) -> None:
        """Bring the documents into the state that an event says."""
        entries: list[Document] = event["versions"]
        added = [e for e in entries if "document" in e]
        for (database, collection), group in grouped(added, place_of).items():
            documents = [e["document"] for e in group]
            self.store.insert(database, collection, documents, ignore_duplicates=True)
            if event["action"] == "adopt":
                for document in documents:
                    query = {"_id": document["_id"], "seq": {"$exists": False}}
                    given = {name: document[name] for name in ADOPTED}
                    self.store.update(database, collection, query, set=given)
            self.step("after documents")
        leaving = [e for e in entries if "set" in e]
        for group in grouped(leaving, lambda e: canonical([*place_of(e), e["set"]])).values():
            query = {"_id": {"$in": [e["id"] for e in group]}, "out": {"$exists": False}}
            # Guarded by `out`: a document leaves once, however late its writer comes.
            self.store.update(
                *place_of(group[0]), query, set=group[0]["set"], unset=group[0].get("unset", [])
            )
            self.step("after retiring")
        inventory.note_payloads(self.store, added)

    def _sweep_bytes(self, event: Mapping[str, Any]) -> bool:
        if event["action"] not in (SWEEP, PURGE):
            return True
        self.step("before removal")
        with self.store.sweeping() as free:
            if free:
                for database, group in grouped(event["versions"], lambda e: e["database"]).items():
                    self.store.remove(database, [e["id"] for e in group])
        return free

    # copies ------------------------------------------------------------------------------------

    def replay(self, events: Sequence[Document]) -> None:
        """Write events of another copy of this journal, as they are, right after the head.

        Each is seen as a whole or not at all, and the next only after it: so whoever reads
        meanwhile sees the other copy as it once was.

        Parameters
        ----------
        events : sequence of dict
            In order, without gaps.

        Raises
        ------
        WrongState
            If another writer was quicker.
        StoreUnavailable
            If bytes that an event removes are kept by a writer at work.
        """
        for group in replayable(events, at_once=self.store.transactional):
            self.step("before event")
            try:
                with self.store.transaction():
                    self._insert_copies(group)
            except Duplicate as error:
                raise WrongState(
                    f"another writer wrote event {group[0]['_id']} or a later one meanwhile; "
                    "repeat the command when nobody writes"
                ) from error
            self._saw(group[-1]["_id"])
            self._last = None
            self.step("after event")
            last = group[-1]
            if self._is_completed_later(last) and not self.complete(last):
                raise StoreUnavailable(
                    f"a writer of payloads keeps event {last['_id']} from being completed; "
                    "repeat the command"
                )

    def _insert_copies(self, group: Sequence[Document]) -> None:
        copies = [e | {"pending": True} if self._is_completed_later(e) else e for e in group]
        self.store.insert(JOURNAL_DATABASE, JOURNAL, copies)
        self.step("in event")
        if self.store.transactional:
            for event in group:
                self._apply(event)

    def _is_completed_later(self, event: Mapping[str, Any]) -> bool:
        return not self.store.transactional or event["action"] in (SWEEP, PURGE)

    def purge_of(self, database: str, blob_id: str) -> Document | None:
        """Return the event that purged bytes, None if none did."""
        return self.removal_of(database, blob_id, (PURGE,))

    def removal_of(
        self, database: str, blob_id: str, actions: Sequence[str] = REMOVING
    ) -> Document | None:
        """Return the event that removed bytes, None if none did.

        The bytes may still be there, but not for long: what counts is the event.

        Parameters
        ----------
        database, blob_id : str
            Which bytes.
        actions : sequence of str, optional
            Of `REMOVING`, those that count.
        """
        return removal_in(self.events_naming(blob_id), database, blob_id, actions)

    # the chain ---------------------------------------------------------------------------------

    def verify(self) -> int:
        """Walk the chain from the first event to the last; return how many there are.

        Raises
        ------
        Corrupt
            Naming the first event that is missing, changed or out of place.
        BadQuestion
            If the events are those of a bundle, which keeps them in part.
        """
        return check_chain(self.events())
