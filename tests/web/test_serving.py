"""The service in processes of its own: what its workers share, and how they stop."""

import base64
import contextlib
import hashlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

import cdb
from cdb import payload, tokens
from cdb.database import Database
from cdb.rights import Rights
from tests.serving import Server, serving

EPIX = "epix_000001"
SECRET = "a-secret-of-which-nothing-may-be-seen!"


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    """The store that is served, from outside."""
    with cdb.open((tmp_path / "store").as_uri()) as db:
        yield db


@pytest.fixture
def token(db: Database) -> str:
    """An administrator's token."""
    return tokens.create(db.journal, "op", Rights(admin=True))[0]


def body_of(text: str) -> bytes:
    """Return what is posted to deploy a text."""
    encoded = payload.encode(text)
    sent = {"fields": encoded.fields, "sha256": payload.digest(encoded.data),
            "nbytes": len(encoded.data),
            "base64": base64.b64encode(bytes(encoded.data)).decode()}  # fmt: skip
    return json.dumps({"detector": EPIX, "ctype": "notes", "payload": sent}).encode()


# What the workers share ---------------------------------------------------------------------------


def test_a_write_by_one_worker_is_seen_by_the_next_read_of_another(
    tmp_path: Path, token: str
) -> None:
    with serving(tmp_path, "--workers", "2", "--anonymous-read") as server:
        one, other = server.workers()
        for number in range(25):
            with server.answered_by((one, other)[number % 2]):
                made = deploy(server, f"text {number}", token)
            with server.answered_by((other, one)[number % 2]):
                assert resolved(server) == made


def test_a_write_is_seen_by_whoever_answers_next(tmp_path: Path, token: str) -> None:
    with serving(tmp_path, "--workers", "2", "--anonymous-read") as server:
        for number in range(300):
            assert deploy(server, f"text {number}", token) == resolved(server)


def deploy(server: Server, text: str, token: str) -> tuple[int, str]:
    """Deploy a text; return S and the id."""
    answer = server.ask("/v1/constants", method="POST", body=body_of(text), token=token)
    assert answer.status == 201, answer.body
    made = json.loads(answer.body)
    return made["seq"], made["constant"]["id"]


def resolved(server: Server) -> tuple[int, str]:
    """Return S and the id of what holds."""
    answer = json.loads(server.ask(f"/v1/resolve?detector={EPIX}&run=5&fields=id").body)
    return answer["seq"], answer["constants"]["notes"]["id"]


def test_metrics_are_added_up_over_the_workers_also_over_one_that_died(
    tmp_path: Path, token: str
) -> None:
    with serving(tmp_path, "--workers", "2") as server:
        one, other = server.workers()
        for pid, number, together in ((one, 7, 7), (other, 5, 12)):
            with server.answered_by(pid):
                for _ in range(number):
                    server.ask("/v1/health")
                # It is counted after it is answered.
                wait_until(lambda n=together: counted(server, "/v1/health") == n)
        # The one that dies is not stopped before: its parent would wait for an answer.
        for pid in (other, one):
            with server.answered_by(pid):
                assert counted(server, "/v1/health") == 12
        os.kill(one, signal.SIGKILL)
        wait_until(lambda: len(server.workers()) > 2)
        server.ask("/v1/health")
        wait_until(lambda: counted(server, "/v1/health") == 13)


def counted(server: Server, route: str) -> float:
    text = server.ask("/metrics").body.decode()
    (family,) = [f for f in text_string_to_metric_families(text) if f.name == "cdb_requests"]
    return sum(s.value for s in family.samples if s.labels.get("route") == route)


def wait_until(true: object) -> None:
    deadline = time.monotonic() + 30
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_service_that_is_killed_leaves_no_secret_behind(tmp_path: Path, token: str) -> None:
    left = tmp_path / "left"
    left.mkdir()
    environment = {"CDB_JWT_SECRET": SECRET, "TMPDIR": str(left)}
    with serving(tmp_path, "--workers", "2", environment=environment) as server:
        assert secrets_in(left) == []
        # A worker that is started later is handed it too.
        os.kill(server.workers()[0], signal.SIGKILL)
        wait_until(lambda: len(server.workers()) > 2)
        server.process.kill()
        server.process.wait()
    assert list(left.rglob("settings.json"))
    assert secrets_in(left) == []


def secrets_in(folder: Path) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if SECRET.encode() in path.read_bytes()]


# Readiness ----------------------------------------------------------------------------------------


@pytest.mark.mongo
def test_a_service_says_that_its_store_is_away_and_when_it_is_back(
    tmp_path: Path, mongo_url: str
) -> None:
    with Gate(mongo_url) as gate:
        with cdb.open(gate.url) as db:
            token = tokens.create(db.journal, "op", Rights(admin=True))[0]
        with serving(tmp_path, "--workers", "1", "--anonymous-read", url=gate.url) as server:
            made = deploy(server, "before", token)
            gate.close()
            answer = server.ask("/v1/ready")
            assert answer.status == 502
            assert json.loads(answer.body)["error"]["code"] == "StoreUnavailable"
            assert server.ask(f"/v1/resolve?detector={EPIX}").status == 502
            assert server.ask("/v1/info", token=token).status == 502
            assert server.ask("/v1/health").status == 200
            gate.open()
            wait_until(lambda: server.ask("/v1/ready").status == 200)
            assert resolved(server) == made


class Gate:
    """A way to a server of MongoDB's protocol that can be closed, and opened again."""

    def __init__(self, url: str) -> None:
        host, port = url.removeprefix("mongodb://").strip("/").split(":")
        self._behind = (host, int(port))
        self._port = 0
        self.open()

    @property
    def url(self) -> str:
        return f"mongodb://127.0.0.1:{self._port}/?serverSelectionTimeoutMS=1500"

    def open(self) -> None:
        self._there: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        """Cut all connections, and take no new one."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        for end in self._there:
            _cut(end)
        for thread in self._threads:
            thread.join()
        for end in self._there:
            end.close()

    def __enter__(self) -> "Gate":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._behind)
            self._there += [near, far]
            for ends in ((near, far), (far, near)):
                self._threads.append(threading.Thread(target=_pass_on, args=ends))
                self._threads[-1].start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(2**16):
            target.sendall(data)
    except OSError:
        return  # cut off, which is what a gate is for
    finally:
        _cut(source)
        _cut(target)


def _cut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the other side has done it
        end.shutdown(socket.SHUT_RDWR)


# Stopping -----------------------------------------------------------------------------------------


def uploading(server: Server, token: str, data: bytes) -> socket.socket:
    """Begin to send a payload, but not all of it; return the connection."""
    path = f"/v1/databases/cdb_{EPIX}/payloads/{hashlib.sha256(data).hexdigest()}"
    connection = server.connect()
    connection.sendall(
        f"PUT {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Length: {len(data)}\r\n\r\n".encode()
        + data[:1]
    )
    return connection


def answered(connection: socket.socket) -> int:
    answer = HTTPResponse(connection)
    answer.begin()
    answer.read()
    return answer.status


def test_a_request_under_way_ends_before_the_stop(tmp_path: Path, token: str) -> None:
    with serving(tmp_path, "--workers", "2") as server:
        with uploading(server, token, b"constants") as connection:
            time.sleep(0.5)
            server.process.terminate()
            time.sleep(1.5)
            connection.sendall(b"onstants")
            assert answered(connection) == 200
        assert server.process.wait(10) == 0


def test_a_request_without_end_does_not_hold_up_the_stop(tmp_path: Path, token: str) -> None:
    environment = {"CDB_STOP_SECONDS": "2"}
    with serving(tmp_path, "--workers", "2", environment=environment) as server:
        with uploading(server, token, b"constants"):
            time.sleep(0.5)
            began = time.monotonic()
            server.process.terminate()
            assert server.process.wait(30) == 0
        assert time.monotonic() - began < 8


def test_sighup_replaces_the_workers_and_fails_no_request(tmp_path: Path, token: str) -> None:
    failed, codes, over = [], [], threading.Event()

    def load() -> None:
        while not over.is_set():
            try:
                codes.append(server.ask("/v1/health").status)
            except OSError as error:
                failed.append(error)

    with serving(tmp_path, "--workers", "2") as server:
        before = server.workers()
        thread = threading.Thread(target=load)
        with uploading(server, token, b"constants") as connection, feed(server, token) as stream:
            thread.start()
            server.process.send_signal(signal.SIGHUP)
            time.sleep(1)
            connection.sendall(b"onstants")
            assert answered(connection) == 200
            wait_until(lambda: len(server.workers()) == 4)
            wait_until(lambda: not any(map(lives, before)))
            with stream.makefile("rb") as read:
                assert read.read().endswith(b"0\r\n\r\n")
        over.set()
        thread.join()
        assert server.ask("/v1/health").status == 200
        assert server.stop() == 0
    assert (failed, {*codes}) == ([], {200})
    assert len(codes) > 50


def feed(server: Server, token: str) -> socket.socket:
    """Return the connection of a feed that has begun."""
    connection = server.connect()
    connection.sendall(
        f"GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        "Accept: text/event-stream\r\n\r\n".encode()
    )
    assert b"200 OK" in connection.recv(1000)
    return connection


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_stop_that_comes_while_workers_are_replaced_takes_no_longer(
    tmp_path: Path, token: str
) -> None:
    environment = {"CDB_STOP_SECONDS": "6"}
    with serving(tmp_path, "--workers", "2", environment=environment) as server:
        connections = []
        for pid in server.workers():
            with server.answered_by(pid):
                connections.append(uploading(server, token, b"constants"))
                time.sleep(0.3)
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(server.workers()) > 2)
        time.sleep(1)
        began = time.monotonic()
        server.process.terminate()
        assert server.process.wait(30) == 0
        took = time.monotonic() - began
        for connection in connections:
            connection.close()
    assert took < 9
