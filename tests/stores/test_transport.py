"""Requests to a service that answers as a script says: faults, mirrors, errors, downloads."""

import hashlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import pytest

from cdb import errors
from cdb.errors import BadName, CalibError, Corrupt, StoreRefused, StoreUnavailable
from cdb.stores import transport
from cdb.stores.rest import RestStore
from cdb.stores.transport import Transport, addresses, token_of_environment

Answer = Callable[[BaseHTTPRequestHandler], None]
DATA = bytes(range(256)) * 20_000  # 5 MB
SHA = hashlib.sha256(DATA).hexdigest()


class Seen(NamedTuple):
    """A request."""

    path: str
    headers: Message


class Scripted(ThreadingHTTPServer):
    """Answers each request as the next line of its script says, the last one again and again."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[Answer] = []
        self.seen: list[Seen] = []
        self.bodies: list[bytes] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        server: Scripted = self.server  # type: ignore[assignment]
        server.seen.append(Seen(self.path, self.headers))
        server.bodies.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        (server.script.pop(0) if len(server.script) > 1 else server.script[0])(self)

    do_GET = do_POST = do_PUT = answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def says(status: int, content: object, **headers: str) -> Answer:
    """Answer with JSON, or with bytes as they are."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def fails(code: str, status: int = 400) -> Answer:
    return says(status, {"error": {"code": code, "message": "it was wrong; do better"}})


def breaks_off(handler: BaseHTTPRequestHandler) -> None:
    """Send half of what was asked for."""
    start = int((handler.headers.get("Range") or "bytes=0-")[6:-1])
    handler.send_response(206 if start else 200)
    handler.send_header("Content-Length", str(len(DATA) - start))
    handler.end_headers()
    handler.wfile.write(DATA[start : start + (len(DATA) - start) // 2])
    handler.close_connection = True


def sends_the_rest(handler: BaseHTTPRequestHandler) -> None:
    start = int((handler.headers.get("Range") or "bytes=0-")[6:-1])
    says(206 if start else 200, DATA[start:])(handler)


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "FIRST_SECONDS", 0.5)
    monkeypatch.setattr(transport, "AGAIN_SECONDS", 2.0)


@pytest.fixture
def free_url() -> str:
    """An address where nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def opened(url: str, token: str | None = None) -> Iterator[Transport]:
    made = Transport(url, token)
    yield made
    made.close()


@pytest.fixture
def service(server: Scripted) -> Iterator[Transport]:
    yield from opened(server.url, "secret")


def test_the_answer_comes_as_a_dict_and_the_token_goes_along(server, service):
    server.script = [says(200, {"seq": 7})]
    assert service.get("/v1/info", {"run": 7, "time": None}) == {"seq": 7}
    assert server.seen[0].path == "/v1/info?run=7"
    assert server.seen[0].headers["Authorization"] == "Bearer secret"


@pytest.mark.parametrize("status", [502, 503, 504])
def test_what_is_only_for_now_is_tried_again(server, service, status):
    server.script = [says(status, b"<html>"), fails("StoreUnavailable", 502), says(200, {"a": 1})]
    assert service.get("/v1/info") == {"a": 1}


def test_a_write_is_sent_again_under_the_same_key(server, service):
    server.script = [says(503, b""), says(200, {"new": True})]
    service.post("/v1/constants", {"run": 1}, key="k")
    assert [seen.headers["Idempotency-Key"] for seen in server.seen] == ["k", "k"]
    assert server.bodies == [b'{"run": 1}'] * 2


def test_a_write_whose_outcome_is_unknown_is_said_to_be(server, service):
    server.script = [fails("OutcomeUnknown", 502)]
    with pytest.raises(errors.OutcomeUnknown):
        service.post("/v1/constants", {}, key="k")
    assert len(server.seen) == 1


def test_who_asks_too_often_is_told_so_in_the_end(server, service):
    server.script = [fails("TooOften", 429)]
    with pytest.raises(errors.TooOften, match="do better"):
        service.get("/v1/info")
    assert len(server.seen) > 2


def test_trying_ends_and_says_why(server, service):
    server.script = [fails("StoreUnavailable", 502)]
    with pytest.raises(ConnectionError, match="it was wrong; do better"):
        service.get("/v1/info")
    assert 2 < len(server.seen) < 20


@pytest.mark.parametrize(
    "code", [name for name, kind in vars(errors).items()
             if isinstance(kind, type) and issubclass(kind, CalibError)]
)  # fmt: skip
def test_an_error_comes_back_as_what_it_was(server, service, code):
    server.script = [fails(code)]
    with pytest.raises(CalibError, match="it was wrong; do better") as caught:
        service.get("/v1/resolve")
    assert type(caught.value).__name__ == code


@pytest.mark.parametrize(("status", "kind"), [(404, KeyError), (403, PermissionError)])
def test_an_error_of_a_newer_service_is_known_by_its_status(server, service, status, kind):
    server.script = [fails("NotInventedYet", status)]
    with pytest.raises(kind, match="do better"):
        service.get("/v1/resolve")


def test_who_needs_a_token_is_told_where_it_goes(server):
    server.script = [fails("NotAuthenticated", 401)]
    with pytest.raises(PermissionError, match="CDB_TOKEN"):
        Transport(server.url).get("/v1/info")


@pytest.mark.parametrize(
    "answer",
    [says(404, b"<html>"), says(200, b"hello"), says(200, []), says(302, b"", Location="/x")],
)  # fmt: skip
def test_something_else_at_the_address_is_said_in_one_sentence(server, service, answer):
    server.script = [answer]
    with pytest.raises(StoreUnavailable, match="not as cdb's service does") as caught:
        service.get("/v1/info", {"detector": "x"})
    assert "\n" not in str(caught.value)


def test_nobody_at_the_address_is_said_in_one_sentence(free_url):
    with pytest.raises(StoreUnavailable, match="check the address") as caught:
        Transport(free_url).get("/v1/info")
    assert free_url in str(caught.value)
    assert "refused" in str(caught.value)


def test_mirrors_are_tried_in_order(server, free_url):
    server.script = [says(200, {"a": 1})]
    made = Transport(f"{free_url}/,{server.url}/")
    assert made.get("/v1/info") == {"a": 1}


def test_a_mirror_that_cannot_now_is_passed_over(server, service):
    server.script = [says(503, b""), says(200, {"a": 1})]
    made = Transport(f"{server.url}/one,{server.url}/two")
    assert made.get("/v1/info") == {"a": 1}
    assert [seen.path for seen in server.seen] == ["/one/v1/info", "/two/v1/info"]


@pytest.mark.parametrize(
    "url", ["https://", "ftp://x", "https://a,", "http://h:port", "http://h/?a=1"]
)
def test_what_is_no_address_is_refused(url):
    with pytest.raises(BadName, match="https://host/"):
        addresses(url)


def test_a_password_in_the_address_is_refused_and_not_shown():
    with pytest.raises(BadName, match="CDB_TOKEN") as caught:
        addresses("https://me:secret@host/")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("token", ["two words", "a\nb", "ä"])
def test_what_is_no_token_is_refused_and_not_shown(monkeypatch, token):
    monkeypatch.setenv("CDB_TOKEN", token)
    with pytest.raises(BadName, match="CDB_TOKEN") as caught:
        token_of_environment()
    assert token not in str(caught.value)
    assert "secret" not in repr(Transport("http://x", "secret"))


# Payloads -----------------------------------------------------------------------------------------


@pytest.fixture
def store(server: Scripted) -> Iterator[RestStore]:
    with RestStore(server.url) as store:
        yield store


def test_a_download_that_broke_off_goes_on_where_it_was(server, store):
    server.script = [breaks_off, breaks_off, sends_the_rest]
    steps: list[int] = []
    assert store.read("cdb_x", "1", sha256=SHA, progress=steps.append) == DATA
    assert sum(steps) == len(DATA)
    assert [seen.headers["Range"] is None for seen in server.seen] == [True, False, False]


def test_a_server_that_knows_no_ranges_sends_all_again(server, store):
    server.script = [breaks_off, says(200, DATA)]
    assert store.read("cdb_x", "1", sha256=SHA) == DATA


def test_bytes_with_another_digest_are_refused(server, store):
    server.script = [says(200, DATA[:-1])]
    with pytest.raises(Corrupt, match="damaged"):
        store.read("cdb_x", "1", sha256=SHA)


def test_absent_bytes_are_not_found(server, store):
    server.script = [fails("NotFound", 404)]
    with pytest.raises(errors.NotFound):
        store.read("cdb_x", "1", sha256=SHA)


def test_bytes_are_sent_by_their_digest_and_again_after_a_fault(server, store):
    server.script = [says(503, b""), says(200, {})]
    store.send("cdb_x", DATA, sha256=SHA)
    assert server.bodies == [DATA, DATA]
    assert server.seen[0].path == f"/v1/databases/cdb_x/payloads/{SHA}"


def test_raw_documents_are_refused_in_one_sentence(store):
    for call in (lambda: store.find("a", "b"), store.databases, lambda: list(store.blobs("a"))):
        with pytest.raises(StoreRefused, match="answers questions"):
            call()
