"""The server: worker processes that share a port, from their start to their end."""

import asyncio
import logging
import logging.config
import multiprocessing
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.config import STARTUP_FAILURE
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.supervisors import Multiprocess

from cdb import tokens
from cdb.database import Database
from cdb.errors import BadQuestion, BadSettings, CalibError
from cdb.opening import store_at
from cdb.web import answers
from cdb.web.headers import SECURITY
from cdb.web.limits import RateLimit
from cdb.web.settings import HANDED, HANDED_SECRETS, Settings, of_environment
from cdb.web.stopping import Stopping

logger = logging.getLogger(__name__)

# How long a worker may not answer its parent before it is replaced [s]: a write of a large
# payload keeps the interpreter for a while.
PATIENCE_SECONDS = 60
BACKLOG = 2048
# How long a worker that stops waits for the first request of a connection [s].
FIRST_REQUEST_SECONDS = 0.5

_STOPPING = Stopping()


def run(settings: Settings) -> None:
    """Serve until a signal says to stop; requests under way end first.

    Raises
    ------
    BadSettings
        If one cannot listen at the address.
    """
    logging.config.dictConfig(_logging(settings))
    with _listening(settings) as listener, _handed(settings):
        host, port = listener.getsockname()[:2]
        logger.info("listening", extra={"host": host, "port": port, "workers": settings.workers})
        supervisor = Supervisor(_configuration(settings), sockets=[listener])
        supervisor.run()
    if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
        raise BadSettings("a worker could not start; the lines above say why")


class Supervisor(Multiprocess):
    """The parent of the workers, which hears of the stop while it replaces them, too."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)

    def _stop(self, number: int, _: object) -> None:
        self.signal_queue.append(number)
        self.should_exit.set()
        # Whoever is waited for while he is replaced has begun to stop before the others.
        self.terminate_all()


def faults_at_start(settings: Settings) -> list[str]:
    """Return why one cannot serve what settings without fault describe, a sentence each."""
    try:
        with Database(store_at(settings.url)) as db:
            db.journal.head()
            knows_writers = (
                settings.checks_jwt or settings.trusts_proxies or tokens.any_hold(db.journal)
            )
    except CalibError as error:
        return [str(error)]
    ways = (
        "set CDB_JWT_SECRET or jwt_secret_file, make a token with `cdb token create`, or name "
        "trusted proxies"
    )
    if not settings.read_only and not knows_writers:
        return [f"nobody could prove who writes; {ways}, or serve with --read-only"]
    if not knows_writers and not settings.anonymous_read:
        return [f"nobody could read; {ways}, or serve with --anonymous-read"]
    return []


def app() -> Starlette:
    """Return the application of a worker, with the settings that its parent left for it."""
    from cdb.web.app import make_app

    # Python says of some texts that are parsed what it thinks of them: in a line as all else.
    logging.captureWarnings(True)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    settings = of_environment()
    path = Path(os.environ[HANDED]).with_name(_RATES)
    limit = RateLimit(settings.rate_limit, settings.rate_burst, path) if path.exists() else None
    return make_app(settings, rate_limit=limit, stopping=_STOPPING)


def _end_with_parent() -> None:
    """Stop when the parent dies: nobody else would ever stop a worker, which has its port."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _configuration(settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        "cdb.web.server:app",
        factory=True,
        workers=settings.workers,
        host=settings.host,
        port=settings.port,
        # uvloop turns Nagle's algorithm off on what it accepts; asyncio's own loop does not on
        # sockets that it was handed, and each answer then takes 44 ms.
        loop="uvloop",
        http=Protocol,
        ws="none",
        lifespan="on",
        log_config=_logging(settings),
        access_log=False,
        # `cdb.web.access` looks at the headers of proxies; it needs to know who is connected.
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=settings.stop_seconds,
        timeout_worker_healthcheck=PATIENCE_SECONDS,
        headers=[],
    )


def _logging(settings: Settings) -> dict[str, Any]:
    from cdb.web import logs

    return logs.configuration(settings.log_level.upper())


class Protocol(HttpToolsProtocol):
    """A connection that is closed when a request's headers do not come, and hears of the stop."""

    _headers_due: asyncio.TimerHandle | None = None
    _is_last = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._expect_headers()

    def data_received(self, data: bytes) -> None:
        """Take bytes; with the first of a request its headers are due."""
        super().data_received(data)
        idle = self.cycle is None or self.cycle.response_complete
        if idle and self._headers_due is None and not self.transport.is_closing():
            self._expect_headers()

    def on_headers_complete(self) -> None:
        """Take a request."""
        self._expect_nothing()
        super().on_headers_complete()
        if self._is_last and self.cycle is not None:
            self.cycle.keep_alive = False

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, as everything else is refused."""
        answer = answers.failure(BadQuestion(f"{msg.rstrip('.')}; send a request of HTTP/1.1"))
        headers = [*answer.raw_headers, *SECURITY, (b"connection", b"close")]
        lines = [b"HTTP/1.1 400 Bad Request", *(b": ".join(header) for header in headers), b""]
        self.transport.write(b"\r\n".join([*lines, bytes(answer.body)]))
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._expect_nothing()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """End when the request under way ends; feeds are told."""
        _STOPPING.begin()
        if self.cycle is not None or self.transport.is_closing():
            super().shutdown()
            return
        # Whoever connected just now may have sent already what was not read yet.
        self._is_last = True
        self.loop.call_later(FIRST_REQUEST_SECONDS, self._leave)

    def _leave(self) -> None:
        if self.cycle is None:
            self.transport.close()

    def _expect_headers(self) -> None:
        seconds = _header_seconds()
        self._headers_due = self.loop.call_later(seconds, self.transport.close)

    def _expect_nothing(self) -> None:
        if self._headers_due is not None:
            self._headers_due.cancel()
            self._headers_due = None


def _header_seconds() -> int:
    return _of_worker().header_seconds


_SETTINGS: list[Settings] = []


def _of_worker() -> Settings:
    """Return the settings of this worker, read once."""
    if not _SETTINGS:
        _SETTINGS.append(of_environment())
    return _SETTINGS[0]


@contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, settings.port))
        except (OSError, OverflowError) as error:
            raise BadSettings(
                f"cannot listen at {settings.host}:{settings.port}: "
                f"{getattr(error, 'strerror', None) or error}; choose another --host or --port"
            ) from error
        listener.set_inheritable(True)
        yield listener


_RATES = "rates"


@contextmanager
def _handed(settings: Settings) -> Iterator[None]:
    """Leave for the workers, in a folder that nobody else can read, what they need."""
    with tempfile.TemporaryDirectory(prefix="cdb-serve-") as folder:
        path = Path(folder) / "settings.json"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w") as file:
            file.write(settings.as_json())
        if settings.rate_limit:
            RateLimit.make(path.with_name(_RATES))
        metrics = path.with_name("metrics")
        metrics.mkdir(mode=0o700)
        os.environ[HANDED] = str(path)
        os.environ[HANDED_SECRETS] = settings.secrets()
        # Where the workers' counts are added up; it must be known before they are made.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)
        try:
            yield
        finally:
            for name in (HANDED, HANDED_SECRETS, "PROMETHEUS_MULTIPROC_DIR"):
                os.environ.pop(name, None)
