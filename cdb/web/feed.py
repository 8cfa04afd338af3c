"""The journal as a feed: the events after one, at once, when they come, or as they come."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from cdb import names
from cdb.errors import BadQuestion
from cdb.web import answers
from cdb.web.access import Caller, caller_of
from cdb.web.reading import Arguments
from cdb.web.service import Service, service_of

PAGE = 100
MAX_BYTES = 16 * 10**6  # of the events in one answer
# How often the head is looked at while somebody waits [s]: on this machine, on another.
LOCAL_SECONDS, REMOTE_SECONDS = 0.05, 0.5
# How often a stream says that it lives [s]: proxies end what is silent.
HEARTBEAT_SECONDS = 15

Event = dict[str, Any]


async def events(request: Request, given: Arguments) -> Response:
    """Give the events after one, as far as the caller may read what they touch."""
    service, caller = service_of(request), caller_of(request)
    caller.require_reader()
    if "text/event-stream" in request.headers.get("accept", ""):
        last = request.headers.get("last-event-id", "")
        if last and not (last.isascii() and last.isdecimal() and len(last) <= 15):
            raise BadQuestion("Last-Event-ID is no number of an event; leave it out")
        after = int(last) if last else given.get("after", 0)
        return StreamingResponse(
            _stream(service, caller, after),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )
    after, limit = given.get("after", 0), given.get("limit", PAGE)
    deadline = time.monotonic() + given.get("wait", 0)
    found, after, head = await page(service, caller, after, limit)
    while not found and after >= head and (left := deadline - time.monotonic()) > 0:
        if not await comes_after(service, after, left):
            break
        found, after, head = await page(service, caller, after, limit)
    return await answers.of_state(service, head, events=found, next=after)


async def page(
    service: Service, caller: Caller, after: int, limit: int
) -> tuple[list[Event], int, int]:
    """Return events that a caller may see, the last number that was looked at, and the head."""
    moment = await service.moment()
    upto = min(moment.seq, after + limit)

    def read() -> tuple[list[Event], int]:
        found, last, size = [], min(after, moment.seq), 0
        for event in service.db.journal.events(after=after, upto=upto):
            last = event["_id"]
            seen = visible(event, caller)
            if seen is not None:
                found.append(seen)
                size += len(orjson.dumps(seen))
            if size > MAX_BYTES:
                break
        return found, last

    if upto <= after:
        return [], after if after <= moment.seq else moment.seq, moment.seq
    found, last = await service.work(read)
    return found, last, moment.seq


def visible(event: Event, caller: Caller) -> Event | None:
    """Return what a caller may see of an event, None if nothing.

    Entries of databases that he may not read are left out; `partial` says so.
    """
    entries = [made for made in event["versions"] if _may_see(caller, made["database"])]
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


async def comes_after(service: Service, seq: int, seconds: float) -> bool:
    """Return whether an event after `seq` comes within so many seconds."""
    local = service.db.store.local
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        await asyncio.sleep(min(left, LOCAL_SECONDS if local else REMOTE_SECONDS))
        if (await service.moment()).seq > seq:
            return True
    return False


async def _stream(service: Service, caller: Caller, after: int) -> AsyncIterator[bytes]:
    yield b": the journal, an event each\n\n"
    while True:
        found, after, head = await page(service, caller, after, PAGE)
        for event in found:
            yield b"id: %d\nevent: journal\ndata: %s\n\n" % (event["_id"], orjson.dumps(event))
        if after >= head and not await comes_after(service, after, HEARTBEAT_SECONDS):
            yield b": alive at %d\n\n" % after
