"""What Prometheus is told: requests by route, method and status; how long they took; the head.

Where workers share a folder (``PROMETHEUS_MULTIPROC_DIR``, set before a worker starts), each
writes its numbers there, and whichever is asked adds them up.
"""

import asyncio
import os
import time

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cdb.web.reading import Arguments
from cdb.web.service import service_of

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")

REQUESTS = Counter("cdb_requests_total", "Requests answered.", ["route", "method", "status"])
SECONDS = Histogram(
    "cdb_request_seconds",
    "Time to the end of an answer [s].",
    ["route"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)
BYTES = Counter("cdb_sent_bytes_total", "Bytes of bodies sent.", ["route"])
HEAD = Gauge("cdb_head_seq", "S, the number of the last event.", multiprocess_mode="max")


class MetricsMiddleware:
    """Counts and times what is answered."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._kept: dict[tuple[str, str, int], tuple[Counter, Histogram, Counter]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and note what became of it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, sent = 500, 0

        async def counted(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                sent += len(message.get("body", b""))
            await send(message)

        began = time.perf_counter()
        try:
            await self.app(scope, receive, counted)
        finally:
            took = time.perf_counter() - began
            # The answer leaves at the end of this turn of the loop: it need not wait for this.
            asyncio.get_running_loop().call_soon(self._note, scope, status, took, sent)

    def _note(self, scope: Scope, status: int, took: float, sent: int) -> None:
        requests, seconds, nbytes = self._of(scope, status)
        requests.inc()
        seconds.observe(took)
        nbytes.inc(sent)

    def _of(self, scope: Scope, status: int) -> tuple[Counter, Histogram, Counter]:
        # What a caller makes up must not make a new time series.
        route = getattr(scope.get("route"), "path", "none")
        method = scope["method"] if scope["method"] in METHODS else "other"
        key = (route, method, status)
        if key not in self._kept:
            self._kept[key] = (
                REQUESTS.labels(route, method, str(status)),
                SECONDS.labels(route),
                BYTES.labels(route),
            )
        return self._kept[key]


async def show(request: Request, _: Arguments) -> Response:
    """Give the numbers of all workers."""
    service = service_of(request)
    HEAD.set((await service.moment()).seq)
    return Response(await service.work(_text), media_type=CONTENT_TYPE_LATEST)


def _text() -> bytes:
    if not os.environ.get(FOLDER):
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
