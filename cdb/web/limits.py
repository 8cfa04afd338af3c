"""Limits: how large a request may be, how often one may ask, how long is waited for bytes."""

import asyncio
import fcntl
import hashlib
import math
import mmap
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cdb.errors import TooLarge, TooOften, TooSlow
from cdb.web import answers
from cdb.web.settings import Settings

# Bytes that came before a refusal was read are taken in, else the connection's reset would
# overtake the refusal; but not for longer than this [s].
LINGER_SECONDS = 5
# What fits into the buffers of a connection need not be waited for.
LARGE_PIECE = 2**16
# A lock that is held for microseconds is free after this, or its holder was stopped [s].
LOCK_SECONDS = 0.01

_SLOT = struct.Struct("=Qd")


class BodyMiddleware:
    """Refuses what is too large, and gives up on who does not send or take what was begun."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.limit = settings.body_limit
        self.body_seconds = settings.body_seconds
        self.send_seconds = settings.send_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with its body watched."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        length = body_length(scope)
        if length > self.limit:
            await self._refuse(scope, receive, send)
            return
        taken, over = 0, length == 0
        broken = False

        async def watched() -> Message:
            nonlocal taken, over, broken
            if over:
                return await receive()  # the end of the connection, which may be far
            try:
                async with asyncio.timeout(self.body_seconds):
                    message = await receive()
            except TimeoutError:
                broken = True
                raise TooSlow(
                    f"no further byte of the request came for {self.body_seconds} s; send it again"
                ) from None
            taken += len(message.get("body", b""))
            over = not message.get("more_body", False)
            if taken > self.limit:
                broken = True
                raise self._too_large()
            return message

        async def sent(message: Message) -> None:
            if broken and message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            if len(message.get("body", b"")) < LARGE_PIECE:
                await send(message)
                return
            try:
                async with asyncio.timeout(self.send_seconds):
                    await send(message)
            except TimeoutError:
                # Who does not take an answer is cut off: it has begun, so nothing can be said.
                raise ConnectionAbortedError(
                    f"the reader took no bytes for {self.send_seconds} s"
                ) from None

        await self.app(scope, watched if length else receive, sent)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = answers.failure(self._too_large())
        headers = [*answer.raw_headers, (b"connection", b"close")]
        start = {"type": "http.response.start", "status": answer.status_code, "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": answer.body, "more_body": True})
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while (await receive()).get("more_body", False):
                    pass
        except TimeoutError:
            pass  # the refusal was sent; the rest is cut off
        finally:
            await send({"type": "http.response.body", "body": b""})

    def _too_large(self) -> TooLarge:
        return TooLarge(
            f"the request is larger than the {self.limit} bytes that this service takes; the "
            "operator can raise body_limit"
        )


def body_length(scope: Scope) -> float:
    """Return the length of a request's body that its headers promise, infinity if they do not."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() and len(value) < 20 else math.inf
        if name == b"transfer-encoding":
            return -1
    return 0


class RateLimit:
    """How often each may ask, over all processes that share a file.

    One time is kept for each caller: when its requests so far would be through if they came at
    the permitted rate. Who is further ahead of the clock than a burst has to wait (the *generic
    cell rate algorithm*).

    Parameters
    ----------
    rate : int
        Requests a second.
    burst : int
        Requests at once.
    path : Path, optional
        The file, made by `make`; without it the process counts alone.
    now : callable, optional
        A clock that all processes share [s].

    References
    ----------
    ITU-T I.371, annex A: the virtual scheduling algorithm.
    """

    SLOTS = 2**16
    PROBED = 8

    def __init__(
        self,
        rate: int,
        burst: int,
        path: Path | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.interval = 1 / rate
        self.ahead = (burst - 1) * self.interval
        self.now = now
        self._descriptor = -1 if path is None else os.open(path, os.O_RDWR)
        self._memory = mmap.mmap(self._descriptor, self.SLOTS * _SLOT.size)

    @classmethod
    def make(cls, path: Path) -> None:
        """Make the file that processes share."""
        path.touch(mode=0o600)
        os.truncate(path, cls.SLOTS * _SLOT.size)

    def wait(self, caller: bytes) -> float:
        """Count a request; return how long its caller has to wait [s], 0 if it is admitted."""
        key = int.from_bytes(hashlib.blake2b(caller, digest_size=8).digest()) | 1
        locked = self._lock()
        try:
            return self._count(key)
        finally:
            if locked:
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    def _count(self, key: int) -> float:
        now = self.now()
        offset, until = self._slot(key, now)
        until = max(until, now)
        # A millionth for the rounding of sums.
        if until - now > self.ahead + 1e-6:
            return until - now - self.ahead
        _SLOT.pack_into(self._memory, offset, key, until + self.interval)
        return 0.0

    def _slot(self, key: int, now: float) -> tuple[int, float]:
        """Return where a caller's time is, and that time; who is through gives up a place."""
        free = None
        for step in range(self.PROBED):
            offset = (key + step) % self.SLOTS * _SLOT.size
            other, until = _SLOT.unpack_from(self._memory, offset)
            if other == key:
                return offset, until
            if free is None and until <= now:
                free = offset
        if free is not None:
            return free, 0.0
        # All places hold somebody at work: two share one, and the limit of one.
        return key % self.SLOTS * _SLOT.size, _SLOT.unpack_from(
            self._memory, key % self.SLOTS * _SLOT.size
        )[1]

    def _lock(self) -> bool:
        """Keep other processes out for the microseconds that counting takes.

        A process may be stopped while it holds the lock. Nobody waits for that: a request that is
        counted twice or not at all is the smaller evil.
        """
        if self._descriptor < 0:
            return False
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                if time.monotonic() > deadline:
                    return False
                os.sched_yield()
            else:
                return True


class RateMiddleware:
    """Refuses who asks too often; with the `credential` that the access middleware found."""

    def __init__(self, app: ASGIApp, limit: RateLimit | None) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or say when to come back."""
        if scope["type"] == "http" and self.limit is not None:
            seconds = self.limit.wait(scope["credential"])
            if seconds:
                error = TooOften(
                    f"more than {1 / self.limit.interval:.0f} requests a second; "
                    f"come back in {math.ceil(seconds)} s",
                    math.ceil(seconds),
                )
                await answers.failure(error)(scope, receive, send)
                return
        await self.app(scope, receive, send)
