"""The stop of a service: who waits for events that may never come is told to come back."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cdb.errors import StoreUnavailable
from cdb.web import answers

FEED = "/v1/events"


class Stopping:
    """Whether this worker is about to stop, and waiting for it."""

    def __init__(self) -> None:
        self._begun = False
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def begun(self) -> bool:
        """Whether the worker is about to stop."""
        return self._begun

    def begin(self) -> None:
        """Say that the worker is about to stop; in the loop's thread, any number of times."""
        self._begun = True
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    async def wait(self) -> None:
        """Return once the worker is about to stop."""
        if self._begun:
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await future
        finally:
            self._waiting.discard(future)


class FeedMiddleware:
    """Ends the feeds of a worker that is about to stop: a feed has no end of its own."""

    def __init__(self, app: ASGIApp, stopping: Stopping) -> None:
        self.app = app
        self.stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and take it back if need be."""
        if scope["type"] != "http" or scope["path"] != FEED:
            await self.app(scope, receive, send)
            return
        started = ended = False

        async def noted(message: Message) -> None:
            nonlocal started, ended
            started = True
            ended = message["type"] == "http.response.body" and not message.get("more_body")
            await send(message)

        feed = asyncio.ensure_future(self._passed(scope, receive, noted))
        stop = asyncio.ensure_future(self.stopping.wait())
        try:
            await asyncio.wait({feed, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            taken_back = feed.cancel()
            await asyncio.wait({feed})
        if not feed.cancelled():
            feed.result()
        if not taken_back or ended:
            return
        if started:
            await send({"type": "http.response.body", "body": b""})
        else:
            error = StoreUnavailable("the service is about to stop; ask again")
            await answers.failure(error)(scope, receive, send)

    async def _passed(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)
