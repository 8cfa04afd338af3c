"""A bare server: what uvicorn alone answers, a constant body, for comparison with the service."""

import os

from starlette.types import Receive, Scope, Send

BODY = b"x" * int(os.environ.get("CDB_BENCH_BYTES", "100"))
HEADERS = [(b"content-type", b"text/plain"), (b"content-length", str(len(BODY)).encode())]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer every request with the same bytes."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await send({"type": "http.response.body", "body": BODY})
