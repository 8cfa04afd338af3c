"""What a service says: a line of JSON each, and never a secret.

A request is logged with its method and path, never with what follows the question mark; a text
that looks like a token or a password is struck out wherever it comes from.
"""

import json
import logging
import re
import time
from datetime import UTC, datetime
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cdb.web.access import SAFE, Caller
from cdb.web.settings import Settings

logger = logging.getLogger(__name__)

_SECRETS = re.compile(
    # Opaque tokens; a database of as long a name is told apart by its small letters.
    r"cdb_(?=[a-z0-9_-]*[A-Z])[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])"
    r"|eyJ[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*)?"  # JSON web tokens
    r"|(?i:bearer|negotiate|basic)\s+[A-Za-z0-9._~+/=-]+"
    r"|(?<=://)[^\s:@\"/]*:[^\s\"]*(?=@)"  # user and password in an address
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*"
)
# Fields of a record that are not said, or said under another name.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}
LONGEST = 500


def without_secrets(text: str) -> str:
    """Return a text in which secrets are struck out.

    Examples
    --------
    >>> without_secrets("GET with Authorization: Bearer abc.def")
    'GET with Authorization: ***'
    >>> without_secrets("mongodb://writer:hunter2@db1/ does not answer")
    'mongodb://***@db1/ does not answer'
    """
    return _SECRETS.sub("***", text)


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        said: dict[str, Any] = {
            "time": f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
            "level": record.levelname,
            "process": record.process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        said |= {k: v for k, v in vars(record).items() if k not in _STANDARD}
        if record.exc_info:
            said["traceback"] = self.formatException(record.exc_info)
        return without_secrets(json.dumps(said, ensure_ascii=False, default=str))


def configuration(level: str) -> dict[str, Any]:
    """Return what `logging.config.dictConfig` wants: all of it on stderr, as lines of JSON."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "cdb.web.logs.JsonLines"}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "json",
                "stream": "ext://sys.stderr",
            }
        },
        "root": {"level": level, "handlers": ["stderr"]},
        "loggers": {
            # Its own lines about requests would hold query strings.
            "uvicorn.access": {"level": "CRITICAL", "propagate": False},
            # pymongo tells each retry; the error at the end says it once.
            "pymongo": {"level": "ERROR"},
        },
    }


class LogsMiddleware:
    """Logs each write, admitted or refused, and each refused read; with DEBUG every request."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.everything = settings.log_level.upper() == "DEBUG"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and log how it ended."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 500
        began = time.monotonic()

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            what = _what(scope["method"], status)
            if what or self.everything:
                _log(scope, status, what or "request answered", time.monotonic() - began)


def _what(method: str, status: int) -> str:
    """Return what a request was, if it is worth a line at all levels but the quiet ones."""
    if status >= 500:
        return "request failed"
    if method in SAFE:
        return "read refused" if status in (401, 403, 429) else ""
    return "write admitted" if status < 400 else "write refused"


def _log(scope: Scope, status: int, what: str, seconds: float) -> None:
    caller: Caller = scope.get("caller", Caller())
    peer = scope.get("client")
    more = {
        "actor": caller.name,
        "address": scope.get("address") or (peer[0] if peer else ""),
        "method": scope["method"],
        "path": scope["path"][:LONGEST],
        "status": status,
        "milliseconds": round(seconds * 1e3, 3),
    }
    level = logging.DEBUG if what == "request answered" else logging.INFO
    logger.log(level if status < 500 else logging.ERROR, what, extra=more)
