"""Requests to a service: a pool of connections, mirrors, bounded retries, errors as exceptions.

Every request may be sent again: what reads changes nothing, bytes are named by their digest, and
what writes carries a key by which the service knows it again.
"""

import json
import logging
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode, urlsplit

from cdb import errors
from cdb.errors import BadName, CalibError, StoreUnavailable, TooOften, shown

if TYPE_CHECKING:
    import urllib3

logger = logging.getLogger(__name__)

T = TypeVar("T")

PIECE = 2**20
# How long one goes on trying a service that was never reached, and one that answered before [s].
FIRST_SECONDS, AGAIN_SECONDS = 5.0, 30.0
CONNECT_SECONDS, READ_SECONDS = 4.0, 60.0
# The service, or a proxy before it, says: not now.
NOT_NOW = (429, 502, 503, 504)

_STATUS = {
    401: errors.NotAuthenticated, 403: errors.NotAllowed, 404: errors.NotFound,
    409: errors.WrongState, 413: errors.TooLarge, 507: errors.StoreFull,
}  # fmt: skip


class NotNow(Exception):
    """An address that does not answer, or says that it cannot just now; the next one may.

    Attributes
    ----------
    said : CalibError or None
        What the service itself said.
    """

    def __init__(self, reason: str, said: CalibError | None = None) -> None:
        super().__init__(reason)
        self.said = said


def addresses(url: str) -> list[str]:
    """Return the addresses of a service and its mirrors, in order, without final slashes.

    Raises
    ------
    BadName
        If one of them is none.

    Examples
    --------
    >>> addresses("https://a.org/cdb/,https://b.org/")
    ['https://a.org/cdb', 'https://b.org']
    """
    found = [part.strip().rstrip("/") for part in url.split(",")]
    for address in found:
        try:
            parts = urlsplit(address)
            good = parts.scheme in ("http", "https") and bool(parts.hostname)
            good = good and parts.port != 0 and not (parts.query or parts.fragment)
        except ValueError:
            good = False
        if good and parts.username is not None:
            raise BadName(
                f"the address of {parts.hostname} holds a name or password; let CDB_TOKEN hold a "
                "token instead"
            )
        if not good:
            raise BadName(
                f"{shown(address)} is no address of a service; write https://host/, or several "
                "as https://a/,https://b/"
            )
    return found


def token_of_environment() -> str | None:
    """Return the token in ``CDB_TOKEN``, None without one.

    Raises
    ------
    BadName
        If it is nothing that a request can carry; the token is not shown.
    """
    token = os.environ.get("CDB_TOKEN", "").strip()
    if not token:
        return None
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise BadName("CDB_TOKEN is no token: it holds blanks or strange characters; set it anew")
    return token


@dataclass
class Transport:
    """Requests to one service.

    Attributes
    ----------
    url : str
        Its address, or several of mirrors with commas between.
    token : str or None
        Who asks.
    """

    url: str
    token: str | None = field(default=None, repr=False)
    _pool: "urllib3.PoolManager | None" = field(default=None, repr=False)
    _pid: int = 0
    _answered: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no address."""
        self.addresses = addresses(self.url)

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the answer to a question.

        Parameters
        ----------
        path : str
            Below the address, as ``/v1/info``.
        query : mapping, optional
            By name; None is left out, a list is several.
        """
        return self.send("GET", with_query(path, query))

    def post(self, path: str, content: Mapping[str, Any], *, key: str) -> dict[str, Any]:
        """Return the answer to a write, which a key tells from every other."""
        body = json.dumps(content, allow_nan=False).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        return self.send("POST", path, lambda: body, headers)

    def send(
        self,
        method: str,
        path: str,
        body: Callable[[], Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Return the answer to any request.

        Parameters
        ----------
        method, path : str
            As in HTTP.
        body : callable, optional
            Makes the body; called for each attempt.
        headers : mapping, optional
            Further ones.

        Raises
        ------
        CalibError
            The one that the service names, or `StoreUnavailable` if it does not answer.
        """

        def attempt(address: str) -> dict[str, Any]:
            response = self._request(method, address + path, body and body(), headers, whole=True)
            return _answer(response.status, response.data, address + path)

        return self._persevere(attempt)

    def pieces(self, path: str) -> Iterator[bytes]:
        """Yield the bytes at a path; after a fault the download goes on where it was."""
        done = 0
        while True:
            start = done
            response = self._persevere(partial(self._begin, path, start))
            try:
                # Not every server knows ranges.
                skipped = 0 if response.status == 206 else start
                while piece := response.read(PIECE):
                    if skipped:
                        skipped, piece = max(0, skipped - len(piece)), piece[skipped:]
                    if piece:
                        done += len(piece)
                        yield piece
                response.release_conn()
                return
            except _faults() as error:
                response.close()
                if done == start:
                    # Nothing came: one that always breaks off would be asked for ever.
                    raise StoreUnavailable(f"{self.url} broke off a download: {error}") from error
                logger.warning("a download broke off after %s bytes; it goes on", done)

    def _begin(self, path: str, start: int, address: str) -> "urllib3.BaseHTTPResponse":
        headers = {"Range": f"bytes={start}-"} if start else {}
        response = self._request("GET", address + path, None, headers, whole=False)
        if response.status not in (200, 206):
            _answer(response.status, response.read(), address + path)
        return response

    def _request(
        self, method: str, url: str, body: Any, headers: Mapping[str, str] | None, *, whole: bool
    ) -> "urllib3.BaseHTTPResponse":
        own = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            response = self._connections().request(
                method,
                url,
                body=body,
                headers={"User-Agent": "cdb", **own, **(headers or {})},
                preload_content=whole,
                decode_content=whole,
            )
        except _faults() as error:
            raise NotNow(_reason(error)) from error
        self._answered = True
        return response

    def _persevere(self, attempt: Callable[[str], T]) -> T:
        """Try the addresses in order, again and again while there is time."""
        end: float | None = None
        wait = 0.05
        while True:
            why, said = [], None
            for address in self.addresses:
                try:
                    return attempt(address)
                except NotNow as fault:
                    why.append(f"{address}: {fault}")
                    said = fault.said
            now = time.monotonic()
            if end is None:
                end = now + (AGAIN_SECONDS if self._answered else FIRST_SECONDS)
                logger.info("no answer, trying again: %s", "; ".join(why))
            if now + wait > end:
                if isinstance(said, TooOften):
                    raise said
                raise StoreUnavailable(
                    f"no answer from the service ({'; '.join(why)}); check the address "
                    "(CDB_URL or --url) and that the server runs"
                )
            time.sleep(wait * random.uniform(0.5, 1))
            wait = min(2 * wait, 2.0)

    def _connections(self) -> "urllib3.PoolManager":
        # A connection must not be used by two processes: a forked child has its own.
        if self._pool is None or self._pid != os.getpid():
            import urllib3

            self._pool = urllib3.PoolManager(
                maxsize=8,
                retries=urllib3.Retry(total=0, redirect=False, raise_on_status=False),
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
            )
            self._pid = os.getpid()
        return self._pool

    def close(self) -> None:
        """Let go of the connections."""
        if self._pool is not None and self._pid == os.getpid():
            self._pool.clear()
        self._pool = None


def with_query(path: str, query: Mapping[str, Any] | None) -> str:
    """Return a path with a query: None is left out, a list is several.

    Examples
    --------
    >>> with_query("/v1/resolve", {"run": 7, "ctype": ["a", "b"], "time": None})
    '/v1/resolve?run=7&ctype=a&ctype=b'
    """
    given = {name: value for name, value in (query or {}).items() if value is not None}
    return f"{path}?{urlencode(given, doseq=True)}" if given else path


def _answer(status: int, body: bytes, url: str) -> dict[str, Any]:
    """Return what a service answered, or raise what it says was wrong."""
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    if 200 <= status < 300 and isinstance(content, dict):
        return content
    said = content.get("error") if isinstance(content, dict) else None
    if not (isinstance(said, dict) and {"code", "message"} <= said.keys()):
        if status in NOT_NOW:
            raise NotNow(f"status {status}")
        raise StoreUnavailable(
            f"{url.partition('?')[0]} answers, but not as cdb's service does (status {status}); "
            "check the address (CDB_URL or --url)"
        )
    error = _error(said["code"], said["message"], status)
    # To try again would be wrong where it is not known whether a write has happened.
    if status in NOT_NOW and said["code"] != "OutcomeUnknown":
        raise NotNow(said["message"], error)
    raise error


def _error(code: str, message: str, status: int) -> CalibError:
    kind: Any = vars(errors).get(code)
    if not (isinstance(kind, type) and issubclass(kind, CalibError)):
        kind = _STATUS.get(status, CalibError)
    if status == 401 and "CDB_TOKEN" not in message:
        message += "; CDB_TOKEN holds the token to use"
    error: CalibError = kind(message)
    return error


def _faults() -> tuple[type[Exception], ...]:
    from urllib3.exceptions import HTTPError

    return HTTPError, ConnectionError, TimeoutError


def _reason(error: BaseException) -> str:
    """Return the innermost reason of a fault, in a few words."""
    reason = getattr(error, "reason", None) or error
    text = str(reason).partition(": ")[2] or str(reason)
    return shown(text)[1:-1]
