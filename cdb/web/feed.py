"""The journal as a feed: the events after one, at once, when they come, or as they come."""

import time
from collections.abc import AsyncIterator
from typing import Any, Self

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from cdb import names
from cdb.errors import BadQuestion, CalibError
from cdb.moments import Moment
from cdb.web import answers
from cdb.web.access import Caller, caller_at
from cdb.web.reading import Arguments
from cdb.web.service import Service, service_of

PAGE = 100
MAX_BYTES = 16 * 10**6  # of the events in one answer
# How old an answer to the question may be whether a feed's caller still may read [s].
ASKED_SECONDS = 3
# How often a stream says that it lives [s]: proxies end what is silent.
HEARTBEAT_SECONDS = 15

Event = dict[str, Any]


async def events(request: Request, given: Arguments) -> Response:
    """Give the events after one, as far as the caller may read what they touch."""
    service = service_of(request)
    if "text/event-stream" in request.headers.get("accept", ""):
        last = request.headers.get("last-event-id", "")
        if last and not (last.isascii() and last.isdecimal() and len(last) <= 15):
            raise BadQuestion("Last-Event-ID is no number of an event; leave it out")
        after = int(last) if last else given.get("after", 0)
        return StreamingResponse(
            _stream(await _Reader.of(request), after),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )
    reader = await _Reader.of(request)
    after, limit = given.get("after", 0), given.get("limit", PAGE)
    deadline = time.monotonic() + given.get("wait", 0)
    while True:
        read, after = await page(service, reader.moment, after, limit)
        found = [seen for event in read for seen in await reader.seen(event)]
        if found or after < reader.moment.seq or not await reader.waits(after, deadline):
            return await answers.of_state(service, reader.moment.seq, events=found, next=after)


async def page(service: Service, moment: Moment, after: int, limit: int) -> tuple[list[Event], int]:
    """Return events after one, as of a moment, and the last number that was looked at."""
    upto = min(moment.seq, after + limit)

    def read() -> tuple[list[Event], int]:
        found, last, size = [], after, 0
        for event in service.db.journal.events(after=after, upto=upto):
            last = event["_id"]
            found.append(event)
            size += len(orjson.dumps(event))
            if size > MAX_BYTES:
                break
        return found, last

    if upto <= after:
        return [], min(after, moment.seq)
    return await service.work(read)


class _Reader:
    """Who reads a feed, for as long as he may.

    Attributes
    ----------
    moment : Moment
        The state that was looked at last.
    """

    def __init__(self, request: Request, moment: Moment) -> None:
        self._request = request
        self.service = service_of(request)
        self._take(moment)

    @classmethod
    async def of(cls, request: Request) -> Self:
        """Return the reader that a request is of."""
        return cls(request, await service_of(request).moment())

    def _take(self, moment: Moment) -> None:
        self.moment = moment
        self._at = time.monotonic()

    async def caller(self) -> Caller:
        """Return who it is, asked again.

        Raises
        ------
        NotAuthenticated, NotAllowed
            If he may not read any more.
        """
        caller = await caller_at(self._request, self.moment)
        caller.require_reader()
        return caller

    async def seen(self, event: Event) -> list[Event]:
        """Return the event as he may see it, or nothing; he may be slow to take one by one."""
        if time.monotonic() - self._at > ASKED_SECONDS:
            self._take(await self.service.moment())
        seen = visible(event, await self.caller())
        return [] if seen is None else [seen]

    async def waits(self, after: int, deadline: float) -> bool:
        """Return whether an event after another comes in time; it is in the new `moment`."""
        while (left := deadline - time.monotonic()) > 0:
            moment = await self.service.watch.after(after, min(left, ASKED_SECONDS))
            self._take(moment or self.moment)
            if moment is not None:
                return True
            # Without an event nothing was revoked, but a token may have expired.
            await self.caller()
        return False


def visible(event: Event, caller: Caller) -> Event | None:
    """Return what a caller may see of an event, None if nothing.

    Entries of databases that he may not read are left out; `partial` says so.
    """
    entries = [made for made in event["versions"] if _may_see(caller, made["database"])]
    # What was made from a constant is named to those alone who may read that.
    named = {None, *(made.get("id") for made in entries)}
    entries = [made for made in entries if made.get("child") in named]
    if not entries and not caller.admin:
        return None
    seen = {name: value for name, value in event.items() if name != "pending"}
    seen["versions"] = entries
    if len(entries) < len(event["versions"]):
        seen["partial"] = True
    return seen


def _may_see(caller: Caller, database: str) -> bool:
    # Beside the databases of constants lie tokens, which are an administrator's.
    if not database.startswith(names.PREFIX):
        return caller.admin
    if database == names.REGISTER:
        return caller.admin or bool(caller.read or caller.write)
    return caller.may_read(database)


async def _stream(reader: _Reader, after: int) -> AsyncIterator[bytes]:
    yield b": the journal, an event each\n\n"
    try:
        while True:
            read, after = await page(reader.service, reader.moment, after, PAGE)
            for event in read:
                for seen in await reader.seen(event):
                    yield _message(b"journal", orjson.dumps(seen), seen["_id"])
            if after >= reader.moment.seq:
                deadline = time.monotonic() + HEARTBEAT_SECONDS
                if not await reader.waits(after, deadline):
                    yield b": alive at %d\n\n" % after
    except CalibError as error:
        # The answer has begun: what ends it can be said by a message alone.
        yield _message(b"error", answers.failure(error).body)


def _message(kind: bytes, data: bytes | memoryview, number: int | None = None) -> bytes:
    id_ = b"" if number is None else b"id: %d\n" % number
    return id_ + b"event: %s\ndata: %s\n\n" % (kind, data)
