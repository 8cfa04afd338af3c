"""What the requests of a worker share: the database, and how it is asked."""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, ParamSpec, TypeVar

from anyio import to_thread
from starlette.requests import Request

from cdb.database import Database
from cdb.errors import CalibError
from cdb.moments import Head, Moment
from cdb.reading import AsOf
from cdb.web.settings import Settings
from cdb.web.waiting import LOCAL_SECONDS, REMOTE_SECONDS, Watch

P = ParamSpec("P")
R = TypeVar("R")


# S of the state that the request under way has looked at; None before it does.
LOOKED_AT: ContextVar[int | None] = ContextVar("looked_at", default=None)


class Heads:
    """The head of a journal on another machine, asked once for all requests that wait for it.

    A question that is under way already may have been answered before a write which the caller
    knows of; so a caller waits for the next one, which all share that come meanwhile.
    """

    def __init__(self) -> None:
        self._running: asyncio.Future[Head] | None = None
        self._next: asyncio.Future[Head] | None = None

    async def ask(self, question: Callable[[], Head]) -> Head:
        """Return an answer that was asked for after this call."""
        if self._next is None:
            self._next = asyncio.ensure_future(self._after(self._running, question))
        # Who gives up must not take the others' answer away.
        return await asyncio.shield(self._next)

    async def _after(
        self, before: asyncio.Future[Head] | None, question: Callable[[], Head]
    ) -> Head:
        if before is not None and not before.done():
            await asyncio.wait([before])
        self._running, self._next = self._next, None
        return await to_thread.run_sync(question)


@dataclass(frozen=True, eq=False)
class Service:
    """A database on the network.

    Attributes
    ----------
    db : Database
        Of this worker.
    settings : Settings
        As the operator wants it.
    """

    db: Database
    settings: Settings
    heads: Heads = field(default_factory=Heads)

    @cached_property
    def watch(self) -> Watch:
        """What tells feeds of new events."""
        return Watch(self.moment, LOCAL_SECONDS if self.db.store.local else REMOTE_SECONDS)

    async def moment(
        self, as_of: AsOf | None = None, tag: str | None = None, **asked: Any
    ) -> Moment:
        """Return the state as of an event, a time or a tag, or the present one: no older than now.

        Parameters
        ----------
        as_of : int, datetime or str, optional
            Event or time.
        tag : str, optional
            Tag, instead.
        experiment, run, time : optional
            What is asked, for a tag that runs.
        """
        local = self.db.store.local
        head = None if local else await self.heads.ask(self.db.journal.head)
        if local and tag is None:
            found = self.db.moment(as_of)
        elif as_of is None and tag is None and head is not None and head.settled:
            found = self.db.moment(head=head)
        else:
            found = await self.work(self.db.moment, as_of, tag=tag, **asked, head=head)
        LOOKED_AT.set(found.seq)
        return found

    async def identity(self) -> str:
        """Return what tells this database from every other; empty while it holds nothing."""
        return self.known_identity or await self.read(self.db.journal.identity)

    @property
    def known_identity(self) -> str:
        """The identity, if it is known already."""
        return self.db.journal.known_identity

    async def read(self, function: Callable[P, R], *args: P.args, **named: P.kwargs) -> R:
        """Call what reads a few documents: at once where the store is local, else in a thread."""
        if self.db.store.local:
            return function(*args, **named)
        return await self.work(function, *args, **named)

    async def work(self, function: Callable[P, R], *args: P.args, **named: P.kwargs) -> R:
        """Call what may take long, every write among it, in a thread."""
        try:
            return await to_thread.run_sync(partial(function, *args, **named))
        except CalibError:
            # What looks at a state of its own has seen it by now.
            if LOOKED_AT.get() is None:
                LOOKED_AT.set(self.db.journal.seen)
            raise


def service_of(request: Request) -> Service:
    """Return what a request's worker shares."""
    service: Service = request.app.state.service
    return service
