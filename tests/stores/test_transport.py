"""Requests to a service that answers as a script says: faults, mirrors, errors, downloads."""

import email.utils
import hashlib
import ipaddress
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
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

    method: str
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
        server.seen.append(Seen(self.command, self.path, self.headers))
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


def state(seq: int, identity: str = "abc", **more: object) -> Answer:
    return says(200, {"server": identity, "seq": seq, **more})


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


def breaks_off_at_once(handler: BaseHTTPRequestHandler) -> None:
    """Promise all, and send nothing of it."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(DATA)))
    handler.end_headers()
    handler.close_connection = True


def sends_the_rest(handler: BaseHTTPRequestHandler) -> None:
    start = int((handler.headers.get("Range") or "bytes=0-")[6:-1])
    says(206 if start else 200, DATA[start:])(handler)


@pytest.fixture
def server() -> Iterator[Scripted]:
    yield from running()


def running() -> Iterator[Scripted]:
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
    server.script = [state(7)]
    assert service.get("/v1/info", {"run": 7, "time": None})["seq"] == 7
    assert server.seen[0].path == "/v1/info?run=7"
    assert server.seen[0].headers["Authorization"] == "Bearer secret"


@pytest.mark.parametrize("status", [502, 503, 504])
def test_what_is_only_for_now_is_tried_again(server, service, status):
    server.script = [says(status, b"<html>"), fails("StoreUnavailable", 502), state(1, a=1)]
    assert service.get("/v1/info")["a"] == 1


def test_a_write_is_sent_again_under_the_same_key(server, service):
    server.script = [says(503, b""), state(1, new=True)]
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
    [says(404, b"<html>"), says(400, {"error": {"code": [], "message": 7}}), says(200, b"hello"),
     says(200, []), says(200, {"seq": "7"}), says(200, {}), says(302, b"", Location="/x")],
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


def test_those_who_try_again_do_not_come_at_once(monkeypatch):
    pauses: list[float] = []
    monkeypatch.setattr(transport.time, "sleep", pauses.append)
    for _ in range(50):
        patience = transport.Patience(1000)
        assert all(patience.pause() for _ in range(8))
    longest = [min(0.05 * 2**number, 2.0) for number in range(8)]
    for number, most in enumerate(longest):
        waited = pauses[number::8]
        assert 0.5 * most <= min(waited) < 0.7 * most
        assert 0.8 * most < max(waited) <= most


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("as_date", [False, True], ids=["seconds", "date"])
def test_a_service_that_says_when_to_come_back_is_left_alone_until_then(
    server, service, status, as_date
):
    # A date is of whole seconds: up to one of them is cut off.
    when = email.utils.formatdate(time.time() + 2, usegmt=True) if as_date else "1"
    code = "TooOften" if status == 429 else "StoreUnavailable"
    said = {"error": {"code": code, "message": "later"}}
    server.script = [says(status, said, **{"Retry-After": when}), state(1, a=1)]
    begin = time.monotonic()
    assert service.get("/v1/info")["a"] == 1
    assert 0.9 <= time.monotonic() - begin <= 2.5
    assert len(server.seen) == 2


def test_who_is_to_come_back_much_later_is_told_so_at_once(server, service):
    said = {"error": {"code": "TooOften", "message": "come back in 600 s"}}
    server.script = [says(429, said, **{"Retry-After": "600"})]
    begin = time.monotonic()
    with pytest.raises(errors.TooOften, match="600 s"):
        service.get("/v1/info")
    assert time.monotonic() - begin < 0.5
    assert len(server.seen) == 1


@pytest.mark.parametrize("text", ["soon", "-5", "1e9x", ""])
def test_a_retry_after_that_makes_no_sense_is_passed_over(server, service, text):
    server.script = [says(503, b"", **{"Retry-After": text}), state(1, a=1)]
    assert service.get("/v1/info")["a"] == 1


# TLS ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a key and a certificate for 127.0.0.1 that nobody else signed."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a test")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    plain = serialization.NoEncryption()
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path.write_bytes(key.private_bytes(pem, form, plain) + made.public_bytes(pem))
    return path


@pytest.fixture
def encrypted(server: Scripted, certificate: Path) -> Scripted:
    """A service behind https."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    server.url = server.url.replace("http:", "https:")
    server.script = [state(1, a=1)]
    return server


def test_a_service_is_asked_over_https(encrypted, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert Transport(encrypted.url, "secret").get("/v1/info")["a"] == 1


def test_a_service_whose_certificate_nobody_knows_gets_no_token(encrypted):
    with pytest.raises(StoreUnavailable, match="(?i)certificate"):
        Transport(encrypted.url, "secret").get("/v1/info")
    assert encrypted.seen == []


# Mirrors ------------------------------------------------------------------------------------------


@pytest.fixture
def second() -> Iterator[Scripted]:
    yield from running()


@pytest.fixture
def mirrors(server: Scripted, second: Scripted) -> Iterator[Transport]:
    yield from opened(f"{server.url}/,{second.url}/")


def asked(server: Scripted) -> list[str]:
    return [f"{seen.method} {seen.path}" for seen in server.seen]


def test_mirrors_are_tried_in_order(server, free_url):
    server.script = [state(1, a=1)]
    made = Transport(f"{free_url}/,{server.url}/")
    assert made.get("/v1/resolve")["a"] == 1


def test_a_mirror_that_cannot_now_is_passed_over(server, second, mirrors):
    server.script, second.script = [says(503, b"")], [state(7)]
    assert mirrors.get("/v1/resolve")["seq"] == 7
    assert asked(server) == ["GET /v1/info"]
    assert asked(second) == ["GET /v1/info", "GET /v1/resolve"]


def test_a_mirror_is_compared_once_and_then_asked_without_delay(server, mirrors):
    server.script = [state(7)]
    for _ in range(3):
        mirrors.get("/v1/resolve")
    assert asked(server) == ["GET /v1/info", *["GET /v1/resolve"] * 3]


UNFIT = {"another database": state(9, "xyz"), "behind": state(6), "empty": state(0, ""),
         "no service": says(200, b"welcome")}  # fmt: skip


@pytest.mark.parametrize("unfit", UNFIT.values(), ids=UNFIT)
@pytest.mark.parametrize(
    "ask",
    [lambda made: made.get("/v1/resolve"), lambda made: made.get("/v1/resolve", {"as_of": 3}),
     lambda made: made.post("/v1/constants", {}, key="k"),
     lambda made: made.put("/v1/databases/x/payloads/y", lambda: b"", {}),
     lambda made: list(made.pieces("/v1/databases/x/payloads/y"))],
    ids=["now", "the past", "a write", "bytes sent", "bytes got"],
)  # fmt: skip
def test_a_mirror_that_is_none_counts_as_not_there(server, second, mirrors, unfit, ask):
    server.script = [state(7)]
    mirrors.get("/v1/resolve")
    server.script, second.script = [says(503, b"")], [unfit]
    with pytest.raises(StoreUnavailable, match=r"no answer from the service \(http") as caught:
        ask(mirrors)
    assert {*asked(second)} == {"GET /v1/info"}
    assert "\n" not in str(caught.value)


def test_what_is_wrong_with_the_mirrors_is_said(server, second, mirrors):
    server.script, second.script = [state(7)], [state(9, "xyz")]
    mirrors.get("/v1/resolve")
    server.script = [state(6)]
    with pytest.raises(
        StoreUnavailable,
        match=f"{server.url}: its last event is 6, but event 7 was seen before; "
        f"{second.url}: it is another database, xyz, and not abc that was asked before",
    ):
        mirrors.get("/v1/resolve")


def test_mirrors_that_are_all_other_databases_are_not_waited_for(server, second, mirrors):
    server.script = [state(7)]
    mirrors.get("/v1/resolve")
    server.script = second.script = [state(9, "xyz")]
    begin = time.monotonic()
    with pytest.raises(StoreUnavailable, match="another database"):
        mirrors.get("/v1/resolve")
    assert time.monotonic() - begin < 0.5


def test_the_next_mirror_answers_for_one_that_is_behind(server, second, mirrors):
    server.script = [state(7)]
    mirrors.get("/v1/resolve")
    server.script, second.script = [state(6)], [state(8)]
    assert mirrors.get("/v1/resolve")["seq"] == 8


def test_a_mirror_that_catches_up_is_one_again(server, second, mirrors):
    server.script = [state(7)]
    mirrors.get("/v1/resolve")
    server.script, second.script = [says(503, b"")], [state(6), state(6), state(7)]
    assert mirrors.get("/v1/resolve")["seq"] == 7


def test_an_old_state_that_was_asked_for_is_no_sign_of_being_behind(server, mirrors):
    server.script = [state(7), state(7), state(3)]
    mirrors.get("/v1/resolve")
    assert mirrors.get("/v1/resolve", {"as_of": 3})["seq"] == 3


def test_every_write_is_preceded_by_a_comparison(server, mirrors):
    server.script = [state(7)]
    for _ in range(2):
        mirrors.post("/v1/constants", {}, key="k")
    assert asked(server) == ["GET /v1/info", "POST /v1/constants"] * 2


@pytest.mark.parametrize("answer", [state(6), state(9, "xyz")], ids=["behind", "another"])
def test_a_single_service_that_was_put_back_is_not_believed(server, service, answer):
    server.script = [state(7), answer]
    service.get("/v1/resolve")
    with pytest.raises(StoreUnavailable, match="seen before|asked before"):
        service.get("/v1/resolve")


def test_a_write_that_another_database_took_is_said_and_not_sent_again(server, service):
    server.script = [state(7), state(9, "xyz")]
    service.get("/v1/resolve")
    with pytest.raises(StoreUnavailable, match="has taken what was sent, but it is another"):
        service.post("/v1/constants", {}, key="k")
    assert len(server.seen) == 2


# Addresses and tokens -----------------------------------------------------------------------------


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


@pytest.mark.parametrize("times", [1, 4])
def test_a_download_that_broke_off_before_its_first_byte_is_tried_again(server, store, times):
    server.script = [breaks_off_at_once] * times + [sends_the_rest]
    assert store.read("cdb_x", "1", sha256=SHA) == DATA
    assert len(server.seen) == times + 1


def test_a_download_that_always_breaks_off_ends(server, store):
    server.script = [breaks_off, breaks_off_at_once]
    with pytest.raises(StoreUnavailable, match="broke off a download again and again"):
        store.read("cdb_x", "1", sha256=SHA)
    assert 3 < len(server.seen) < 30


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
    server.script = [says(503, b""), state(1)]
    store.send("cdb_x", DATA, sha256=SHA)
    assert server.bodies == [DATA, DATA]
    assert server.seen[0].path == f"/v1/databases/cdb_x/payloads/{SHA}"


def test_raw_documents_are_refused_in_one_sentence(store):
    for call in (lambda: store.find("a", "b"), store.databases, lambda: list(store.blobs("a"))):
        with pytest.raises(StoreRefused, match="answers questions"):
            call()
