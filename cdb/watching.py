"""The journal as it grows: events, some or all, one after the other, from a store or a service.

A store or a service that goes away is waited for. Events come in their order, each once.
"""

import logging
import random
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from cdb import names
from cdb.database import Database
from cdb.delivery import Deliver, Position
from cdb.errors import (
    BadQuestion,
    Corrupt,
    NotDelivered,
    StoreUnavailable,
    TooOften,
    WrongState,
    shown,
)
from cdb.journal import Step, no_step
from cdb.remote import RemoteDatabase

logger = logging.getLogger(__name__)

Event = dict[str, Any]

# What events do.
ACTIONS = (
    "add", "adopt", "amend", "approve", "grant", "hide", "purge", "quarantine", "register",
    "restore", "retire", "sweep", "tag",
)  # fmt: skip
# As many events are read at once, and so long one waits for the next one before asking again [s].
PAGE, WAIT_SECONDS = 100, 25
# How often a store is asked for its head: in this process, on another machine [s].
LOCAL_SECONDS, REMOTE_SECONDS = 0.05, 0.5
# How long it takes until something that failed is tried again, at first and at most [s].
FIRST_SECONDS, LONGEST_SECONDS = 0.5, 60.0


@dataclass(frozen=True)
class Wanted:
    """Which events are wanted.

    Attributes
    ----------
    detector : str or None
        Short name.
    ctype, experiment : str or None
        Type of the constant; experiment in whose database it is filed.
    actions : collection of str
        What the event does; empty for anything.
    """

    detector: str | None = None
    ctype: str | None = None
    experiment: str | None = None
    actions: Collection[str] = ()

    def admits(self, event: Event) -> bool:
        """Return whether an event is wanted: what it does, and one thing that it does it to."""
        if self.actions and event.get("action") not in self.actions:
            return False
        if self.detector is None and self.ctype is None and self.experiment is None:
            return True
        # What something was made from is mentioned, and nothing is done to it.
        done = (made for made in event.get("versions", ()) if "child" not in made)
        return any(map(self._is_about, done))

    def _is_about(self, made: Event) -> bool:
        database, *_ = parts = str(made.get("key", "")).split("/")
        detector, ctype = parts[1:3] if len(parts) == 4 else (_registered(made), None)
        if self.experiment is not None and database != names.experiment_database(self.experiment):
            return False
        if self.detector is not None and detector != self.detector:
            return False
        return self.ctype is None or ctype == self.ctype


def _registered(made: Event) -> object:
    document = made.get("document")
    return document.get("short") if isinstance(document, dict) else None


def wanted(
    db: Database,
    *,
    detector: str | None = None,
    ctype: str | None = None,
    experiment: str | None = None,
    actions: Collection[str] = (),
) -> Wanted:
    """Return which events are wanted, checked.

    Raises
    ------
    BadName, BadQuestion, NotFound
        If a name is none, an action is unknown, or a long name is not registered.
    """
    unknown = sorted({*actions} - {*ACTIONS})
    if unknown:
        raise BadQuestion(f"no event does {shown(unknown[0])}; there are {', '.join(ACTIONS)}")
    if ctype is not None:
        names.check_ctype(ctype)
    if experiment is not None:
        names.check_experiment(experiment)
    short = None if detector is None else db.short_name(detector)
    return Wanted(short, ctype, experiment, frozenset(actions))


def watch(
    db: Database,
    *,
    after: int | None = None,
    detector: str | None = None,
    ctype: str | None = None,
    experiment: str | None = None,
    actions: Collection[str] = (),
    follow: bool = True,
) -> Iterator[Event]:
    """Yield events as they come.

    Parameters
    ----------
    db : Database
        Or one behind a service: then as far as one may read what they touch.
    after : int, optional
        S of the last event that is known; without it only what comes from now on.
    detector, ctype, experiment : str, optional
        Only events about these.
    actions : collection of str, optional
        Only events that do one of these: add, retire, amend, ...
    follow : bool, optional
        False ends with the events that there are now.

    Yields
    ------
    event : dict
        See `cdb.journal`.

    Raises
    ------
    BadQuestion
        If there is no event `after` yet.
    StoreUnavailable
        If the store never answered; once it did, it is waited for.
    WrongState
        If another store answers under the same address.

    Examples
    --------
    >>> import cdb
    >>> db = cdb.open("memory://")
    >>> version = db.add("text", detector="epix_000001", ctype="notes")
    >>> [event["action"] for event in watch(db, after=0, ctype="notes", follow=False)]
    ['add']
    """
    chosen = wanted(db, detector=detector, ctype=ctype, experiment=experiment, actions=actions)
    for page in Feed(db, after).pages(follow=follow):
        yield from filter(chosen.admits, page.events)


@dataclass(frozen=True)
class Page:
    """Some events, and the number up to which there are no others."""

    events: tuple[Event, ...]
    upto: int


class Feed:
    """The events of a store or a service after one of them.

    Parameters
    ----------
    db : Database
        Whose events.
    after : int, optional
        The last one that is known; the head without it.
    server : str, optional
        The identity of the store that `after` is a number of.

    Attributes
    ----------
    server : str
        The identity of the store; empty while it holds nothing.
    after : int
        The last event that was given.
    head : int
        The last event when the feed began.
    """

    def __init__(self, db: Database, after: int | None = None, server: str | None = None) -> None:
        if db.store.no_journal:
            raise WrongState(f"no event will ever come: {db.store.no_journal}")
        self._db = db
        self.server, self.head = self._ask()
        if server is not None and server != self.server and (server or after):
            raise WrongState(
                f"the position is one of server {server or 'unknown'}, but this is server "
                f"{self.server or 'that holds nothing yet'}: numbers of events mean nothing "
                "elsewhere; name the other store, or begin with a new position"
            )
        self.after = self.head if after is None else after
        if self.after > self.head:
            raise BadQuestion(
                f"after event {self.after} is asked, but the last event is {self.head}; "
                f"give 0 to {self.head}"
            )

    def pages(self, *, follow: bool = True) -> Iterator[Page]:
        """Yield pages of events; an empty one now and then, if none come."""
        failures = 0
        while True:
            begun = self.after
            try:
                page = self._page(WAIT_SECONDS if follow else 0)
            except (StoreUnavailable, TooOften) as error:
                if not follow:
                    raise
                failures += 1
                pause = pause_after(failures)
                logger.warning("%s; trying again in %.1f s", error, pause)
                time.sleep(pause)
                continue
            failures = 0
            self.after = page.upto
            yield page
            if not follow and (page.upto >= self.head or page.upto == begun):
                return

    def _ask(self) -> tuple[str, int]:
        if isinstance(self._db, RemoteDatabase):
            told = self._db.info()
            return str(told["server"] or ""), int(told["seq"])
        return self._db.journal.identity(), self._db.head

    def _page(self, wait: float) -> Page:
        if isinstance(self._db, RemoteDatabase):
            return self._page_of_service(self._db, wait)
        return self._page_of_store(wait)

    def _page_of_store(self, wait: float) -> Page:
        local = self._db.store.local
        deadline = time.monotonic() + wait
        while (head := self._db.head) <= self.after:
            left = deadline - time.monotonic()
            if left <= 0:
                return Page((), self.after)
            time.sleep(min(left, LOCAL_SECONDS if local else REMOTE_SECONDS))
        self._check_server(self._db.journal.identity())
        upto = min(head, self.after + PAGE)
        events = tuple(self._db.journal.events(after=self.after, upto=upto))
        numbers = [event["_id"] for event in events]
        if numbers != list(range(self.after + 1, upto + 1)):
            raise Corrupt(
                f"of the events {self.after + 1} to {upto} some are missing; `cdb audit verify` "
                "says which"
            )
        return Page(events, upto)

    def _page_of_service(self, db: RemoteDatabase, wait: float) -> Page:
        asked = {"after": self.after, "wait": int(wait), "limit": PAGE}
        answer = db.service.transport.get("/v1/events", asked)
        try:
            self._check_server(str(answer["server"] or ""))
            # A mirror may lag behind: what it tells again is known.
            events = tuple(event for event in answer["events"] if event["_id"] > self.after)
            upto = max(self.after, int(answer["next"]), *(event["_id"] for event in events))
        except (KeyError, TypeError, ValueError) as error:
            raise StoreUnavailable(
                f"{db.service.url} answers, but not with events; check the address"
            ) from error
        if upto == self.after and wait and answer["seq"] < self.after:
            time.sleep(REMOTE_SECONDS)
        return Page(events, upto)

    def _check_server(self, server: str) -> None:
        if self.server and server != self.server:
            raise WrongState(
                f"another store answers here: it was server {self.server}, now it is "
                f"{server or 'one that holds nothing'}"
            )
        self.server = server


def pause_after(failures: int) -> float:
    """Return how long to wait after so many failures in a row [s]."""
    longest = min(FIRST_SECONDS * 2.0 ** min(failures - 1, 30), LONGEST_SECONDS)
    return longest * random.uniform(0.5, 1)


def hand_on(
    feed: Feed,
    chosen: Wanted,
    deliver: Deliver,
    position: Position | None = None,
    *,
    follow: bool = True,
    tries: int = 0,
    busy: Callable[[], AbstractContextManager[object]] = nullcontext,
    step: Step = no_step,
) -> None:
    """Deliver events in their order, each at least once.

    Parameters
    ----------
    feed : Feed
        Where they come from.
    chosen : Wanted
        Which of them.
    deliver : callable
        Delivers an event of a server, or raises `NotDelivered`; then it is called again, after a
        while, before any later event is looked at.
    position : Position, optional
        Keeps how far it is; written after an event was delivered, and never before.
    follow : bool, optional
        False ends with the events that there are now.
    tries : int, optional
        How often an event is tried; 0 for ever.
    busy : callable, optional
        Gives a context that is entered while an event is delivered and the position is written.
    step : callable, optional
        Called between the two; for tests.

    Raises
    ------
    NotDelivered
        If an event was tried as often as it may be.
    """
    if position is not None:
        # Whatever comes from here on is delivered, even if this process dies at once.
        position.keep(feed.server, feed.after)
    for page in feed.pages(follow=follow):
        for event in filter(chosen.admits, page.events):
            _insist(event, feed.server, deliver, position, tries, busy, step)
        if position is not None:
            position.keep(feed.server, page.upto)


def _insist(
    event: Event,
    server: str,
    deliver: Deliver,
    position: Position | None,
    tries: int,
    busy: Callable[[], AbstractContextManager[object]],
    step: Step,
) -> None:
    """Deliver one event, however often it takes."""
    failures = 0
    while True:
        try:
            with busy():
                deliver(event, server)
                step("delivered")
                if position is not None:
                    position.keep(server, event["_id"])
            return
        except NotDelivered as error:
            failures += 1
            if tries and failures >= tries:
                raise NotDelivered(
                    f"event {event['_id']} was tried {failures} times: {error}"
                ) from error
            pause = max(pause_after(failures), min(error.seconds, LONGEST_SECONDS))
            logger.warning("event %d: %s; trying again in %.1f s", event["_id"], error, pause)
            time.sleep(pause)
