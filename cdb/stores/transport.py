"""Requests to a service: a pool of connections, mirrors, bounded retries, errors as exceptions.

Every request may be sent again: what reads changes nothing, bytes are named by their digest, and
what writes carries a key by which the service knows it again.

Several addresses are mirrors of one database, tried in order. Who answers says which database it
is and how far it has come: one that is another, or behind what was seen already, is passed over
like one that does not answer. A mirror is asked for that before anything is written to it, and
when it takes the place of another.
"""

import json
import logging
import os
import random
import threading
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
# Arguments that ask for a state by name.
PAST = ("as_of", "tag", "after")

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
    after : float
        How long it wants to be left alone [s].
    """

    def __init__(self, reason: str, said: CalibError | None = None, after: float = 0) -> None:
        super().__init__(reason)
        self.said = said
        self.after = after


class NotThisOne(NotNow):
    """An address where another database is; to wait for it would be of no use."""


class Patience:
    """How long one goes on trying, and the pauses between."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._wait = 0.05

    def pause(self, least: float = 0) -> bool:
        """Wait, longer each time, and at least so long [s]; False if there is no time for that."""
        wait = max(least, self._wait * random.uniform(0.5, 1))
        if time.monotonic() + wait > self._end:
            return False
        time.sleep(wait)
        self._wait = min(2 * self._wait, 2.0)
        return True


@dataclass
class _Known:
    """What was seen of a database: whose it is, how far it has come, which address said so last."""

    server: str = ""
    seq: int = 0
    address: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def check(self, answer: Mapping[str, Any], least: int) -> None:
        """Compare an answer with what was known before it was asked for, and note what it says.

        Parameters
        ----------
        answer : mapping
            With `server` and `seq`.
        least : int
            S that it must have reached.

        Raises
        ------
        NotNow
            If it is of another database, or of a state before that.
        """
        server, seq = answer["server"], answer["seq"]
        with self.lock:
            if self.server and server and server != self.server:
                raise NotThisOne(
                    f"it is another database, {server:.16}, and not {self.server:.16} that was "
                    "asked before"
                )
            if seq < least:
                raise NotNow(f"its last event is {seq}, but event {least} was seen before")
            self.server = self.server or server
            self.seq = max(self.seq, seq)


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
    _known: _Known = field(default_factory=_Known, repr=False)

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
        # The answer to a question about the past names that state, and not how far one has come.
        past = query is not None and not query.keys().isdisjoint(PAST)
        return self._send("GET", with_query(path, query), current=not past)

    def post(self, path: str, content: Mapping[str, Any], *, key: str) -> dict[str, Any]:
        """Return the answer to a write, which a key tells from every other."""
        body = json.dumps(content, allow_nan=False).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        return self._send("POST", path, lambda: body, headers)

    def put(self, path: str, body: Callable[[], Any], headers: Mapping[str, str]) -> None:
        """Send bytes.

        Parameters
        ----------
        path : str
            Below the address.
        body : callable
            Makes them; called for each attempt.
        headers : mapping
            That say what and how many they are.
        """
        self._send("PUT", path, body, headers)

    def _send(
        self,
        method: str,
        path: str,
        body: Callable[[], Any] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        current: bool = True,
    ) -> dict[str, Any]:
        """Return the answer to a request.

        Raises
        ------
        CalibError
            The one that the service names, or `StoreUnavailable` if it does not answer.
        """

        def attempt(address: str) -> dict[str, Any]:
            least = self._known.seq if current else 0
            answer = self._whole(method, address + path, body and body(), headers)
            try:
                self._known.check(answer, least)
            except NotNow as fault:
                if method == "GET":
                    raise
                # What was written is written: to send it elsewhere would not undo it.
                raise StoreUnavailable(f"{address} has taken what was sent, but {fault}") from fault
            return answer

        return self._persevere(attempt, writes=method != "GET")

    def _whole(
        self, method: str, url: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        response = self._request(method, url, body, headers, whole=True)
        return _answer(response, response.data, url)

    def pieces(self, path: str) -> Iterator[bytes]:
        """Yield the bytes at a path; after a fault the download goes on where it was."""
        done = 0
        patience: Patience | None = None
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
                # While something comes it is worth while to go on; else for some time only.
                patience = None if done > start else patience or Patience(AGAIN_SECONDS)
                if patience is not None and not patience.pause():
                    raise StoreUnavailable(
                        f"{self.url} broke off a download again and again, after {done} bytes: "
                        f"{_reason(error)}; try again later"
                    ) from error
                logger.warning("a download broke off after %s bytes; it goes on", done)

    def _begin(self, path: str, start: int, address: str) -> "urllib3.BaseHTTPResponse":
        headers = {"Range": f"bytes={start}-"} if start else {}
        response = self._request("GET", address + path, None, headers, whole=False)
        if response.status not in (200, 206):
            _answer(response, response.read(), address + path)
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

    def _persevere(self, attempt: Callable[[str], T], *, writes: bool = False) -> T:
        """Try the addresses in order, again and again while there is time."""
        patience: Patience | None = None
        while True:
            faults = []
            for address in self.addresses:
                try:
                    self._compare(address, writes=writes)
                    found = attempt(address)
                except NotNow as fault:
                    faults.append((address, fault))
                else:
                    self._known.address = address
                    return found
            why = "; ".join(f"{address}: {fault}" for address, fault in faults)
            if patience is None:
                patience = Patience(AGAIN_SECONDS if self._answered else FIRST_SECONDS)
                logger.info("no answer, trying again: %s", why)
            for_good = all(isinstance(fault, NotThisOne) for _, fault in faults)
            if for_good or not patience.pause(min(fault.after for _, fault in faults)):
                said = faults[-1][1].said
                if isinstance(said, TooOften):
                    raise said
                raise StoreUnavailable(
                    f"no answer from the service ({why}); check the address "
                    "(CDB_URL or --url) and that the server runs"
                )

    def _compare(self, address: str, *, writes: bool) -> None:
        """Make sure that a mirror is one, before it is written to or takes another's place."""
        if len(self.addresses) > 1 and (writes or address != self._known.address):
            least = self._known.seq
            try:
                answer = self._whole("GET", f"{address}/v1/info")
            except StoreUnavailable as error:
                raise NotNow(str(error)) from error
            self._known.check(answer, least)

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


def _answer(response: "urllib3.BaseHTTPResponse", body: bytes, url: str) -> dict[str, Any]:
    """Return what a service answered, or raise what it says was wrong."""
    status = response.status
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    if 200 <= status < 300 and isinstance(content, dict) and _says_its_state(content):
        return content
    after = retry_after(response.headers.get("Retry-After", "")) if status in NOT_NOW else 0
    said = content.get("error") if isinstance(content, dict) else None
    if not isinstance(said, dict) or not all(
        isinstance(said.get(name), str) for name in ("code", "message")
    ):
        if status in NOT_NOW:
            raise NotNow(f"status {status}", after=after)
        raise StoreUnavailable(
            f"{url.partition('?')[0]} answers, but not as cdb's service does (status {status}); "
            "check the address (CDB_URL or --url)"
        )
    error = _error(said["code"], said["message"], status)
    # To try again would be wrong where it is not known whether a write has happened.
    if status in NOT_NOW and said["code"] != "OutcomeUnknown":
        raise NotNow(said["message"], error, after)
    raise error


def _says_its_state(content: Mapping[str, Any]) -> bool:
    return isinstance(content.get("server"), str) and type(content.get("seq")) is int


def retry_after(text: str) -> float:
    """Return how long a ``Retry-After`` asks to wait [s]; 0 if it makes no sense.

    Parameters
    ----------
    text : str
        Seconds, or a date of HTTP.

    Examples
    --------
    >>> retry_after("120"), retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), retry_after("soon")
    (120.0, 0.0, 0.0)
    """
    from urllib3 import Retry
    from urllib3.exceptions import InvalidHeader

    try:
        return float(Retry().parse_retry_after(text)) if text else 0.0
    except (InvalidHeader, OverflowError):
        return 0.0


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
