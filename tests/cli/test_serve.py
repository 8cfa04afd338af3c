"""A started service answers, stops gracefully, does not start without keys, tells no secret."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.parse
from http.client import HTTPResponse
from pathlib import Path

import jwt
import pytest

import cdb as package
from cdb import tokens
from cdb.rights import Rights
from tests.serving import CDB, serving

SECRET = "a-secret-of-which-nothing-may-be-seen!"


@pytest.fixture
def db(tmp_path):
    """The store that is served, from outside."""
    with package.open((tmp_path / "store").as_uri()) as db:
        yield db


@pytest.fixture
def token(db):
    """An administrator's token."""
    return tokens.create(db.journal, "op", Rights(admin=True))[0]


def serve(*arguments, environment=None, **how) -> subprocess.CompletedProcess[str]:
    """Type a ``cdb serve`` that ends by itself."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CDB_")}
    return subprocess.run(
        [CDB, "serve", *arguments],
        capture_output=True, text=True, timeout=60, env=clean | (environment or {}), **how,
    )  # fmt: skip


def answered(connection: socket.socket) -> int:
    """Take an answer whole; return its status."""
    answer = HTTPResponse(connection)
    answer.begin()
    answer.read()
    return answer.status


# Starting -----------------------------------------------------------------------------------------


def test_without_anybody_who_could_write_it_does_not_start(tmp_path):
    store = ("--url", tmp_path.as_uri())
    for arguments in ((), ("--anonymous-read",)):
        refused = serve(*store, *arguments)
        assert refused.returncode == 1
        assert "CDB_JWT_SECRET" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
    assert "nobody could read" in serve(*store, "--read-only").stderr


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [(("--anonymous-read", "--read-only"), {}), ((), {"CDB_JWT_SECRET": SECRET})],
)
def test_what_could_be_served_is_checked(tmp_path, arguments, environment):
    checked = serve("--url", tmp_path.as_uri(), "--check", *arguments, environment=environment)
    assert checked.returncode == 0
    assert f"url                 {tmp_path.as_uri()}" in checked.stdout
    assert SECRET not in checked.stdout + checked.stderr


def test_a_token_in_the_store_is_a_way_to_prove_who_writes(tmp_path, db, token):
    assert serve("--url", (tmp_path / "store").as_uri(), "--check").returncode == 0
    tokens.revoke(db.journal, tokens.id_of(token))
    assert serve("--url", (tmp_path / "store").as_uri(), "--check").returncode == 1


def test_faults_are_told_one_a_line(tmp_path):
    (tmp_path / "serve.toml").write_text('port = "x"\njwt_secret_file = "/none"\n')
    checked = serve("--config", str(tmp_path / "serve.toml"), "--check")
    assert checked.returncode == 1
    assert len(checked.stderr.splitlines()) == 3


def test_a_service_is_no_store_to_serve():
    done = serve("--read-only", "--anonymous-read", "--url", "https://u:hidden@a.org/")
    assert done.returncode == 1
    assert "'a.org/' is the address of a service, and the store itself is wanted" in done.stderr
    assert "hidden" not in done.stderr


def test_a_short_secret_is_refused_and_not_shown(tmp_path):
    refused = serve("--url", tmp_path.as_uri(), environment={"CDB_JWT_SECRET": "hunter2"})
    assert refused.returncode == 1
    assert "7 bytes" in refused.stderr
    assert "hunter2" not in refused.stderr


def test_a_port_that_is_taken_is_one_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        arguments = ("--anonymous-read", "--read-only", "--port", str(taken.getsockname()[1]))
        refused = serve("--url", tmp_path.as_uri(), *arguments)
    assert refused.returncode == 1
    assert "cannot listen at 127.0.0.1" in refused.stderr


# Serving ------------------------------------------------------------------------------------------


def test_who_may_not_write_is_refused_and_logged(tmp_path, token):
    with serving(tmp_path, "--anonymous-read") as server:
        assert server.ask("/v1/nowhere", method="POST", body=b"{}").status == 401
        assert server.ask("/v1/nowhere", method="POST", body=b"{}", token=token).status == 404
        assert server.stop() == 0
    refused = [line for line in server.lines() if line["message"] == "write refused"]
    assert [(line["actor"], line["status"]) for line in refused] == [("", 401), ("op", 404)]
    assert {line["address"] for line in refused} == {"127.0.0.1"}


def answers_of_all(server, token) -> list[int]:
    """Return what each worker answers to a write."""
    answers = []
    for pid in server.workers():
        with server.answered_by(pid):
            answers.append(server.ask("/x", method="POST", token=token).status)
    return answers


def test_a_token_revoked_anywhere_is_refused_by_every_worker(tmp_path, db, token):
    with serving(tmp_path, "--workers", "2") as server:
        before = answers_of_all(server, token)
        tokens.revoke(db.journal, tokens.id_of(token))
        assert (before, answers_of_all(server, token)) == ([404, 404], [401, 401])


@pytest.mark.mongo
def test_so_it_is_on_a_server_of_mongodbs_protocol(tmp_path, mongo_url):
    with package.open(mongo_url) as db:
        token, grant = tokens.create(db.journal, "op", Rights(admin=True))
        with serving(tmp_path, "--workers", "2", url=mongo_url) as server:
            before = answers_of_all(server, token)
            tokens.revoke(db.journal, grant.id)
            assert (before, answers_of_all(server, token)) == ([404, 404], [401, 401])


def test_no_secret_is_told_anywhere(tmp_path, token):
    signed = jwt.encode({"sub": "mona", "exp": time.time() + 99}, SECRET, "HS256")
    hidden = {SECRET, token, signed, signed.rpartition(".")[2], "cdb_" + 42 * "x" + "X"}
    environment = {"CDB_JWT_SECRET": SECRET, "CDB_LOG_LEVEL": "debug"}
    with serving(tmp_path, environment=environment) as server:
        for secret in hidden:
            path = f"/{secret}" if secret in (token, signed) else "/x"
            server.ask(f"{path}?token={secret}", method="POST", body=secret.encode())
            server.ask("/v1/info", token=secret)
            server.ask("/v1/info?Bearer=" + secret)
        shown = Path(f"/proc/{server.process.pid}/cmdline").read_bytes()
        for pid in server.workers():
            shown += Path(f"/proc/{pid}/cmdline").read_bytes()
        with server.connect() as connection:
            connection.sendall(f"GARBAGE {signed}\r\n\r\n".encode())
            connection.recv(1000)
        server.stop()
    text = server.log.read_text() + shown.decode()
    assert "request answered" in text
    assert [secret for secret in hidden if secret in text] == []


def test_what_python_warns_of_is_a_line_like_all(tmp_path):
    arguments = ("--workers", "1", "--anonymous-read", "--read-only")
    environment = {"PYTHONWARNINGS": "default::DeprecationWarning,default::SyntaxWarning"}
    with serving(tmp_path, *arguments, environment=environment) as server:
        asked = urllib.parse.quote(r"{'a': '\d'}")
        assert server.ask(f"/calib_ws/cdb_xpp1/x?query_string={asked}").body == b"[]"
        server.stop()
        assert [line for line in server.lines() if line["logger"] == "py.warnings"]


def test_what_workers_are_handed_is_for_their_eyes_and_gone_at_the_end(tmp_path, token):
    environment = {"CDB_JWT_SECRET": SECRET, "TMPDIR": str(tmp_path)}
    with serving(tmp_path, environment=environment) as server:
        (folder,) = tmp_path.glob("cdb-serve-*")
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / "settings.json").stat().st_mode & 0o777 == 0o600
        server.stop()
    assert not folder.exists()


def test_rates_are_counted_over_all_workers(tmp_path, token):
    environment = {"CDB_RATE_LIMIT": "1", "CDB_RATE_BURST": "20"}
    codes = []
    began = time.monotonic()
    with serving(tmp_path, "--workers", "2", environment=environment) as server:
        for pid in server.workers():
            with server.answered_by(pid):
                codes += [server.ask("/x", token=token).status for _ in range(15)]
        assert server.ask("/x", token=token).headers["Retry-After"]
    assert codes.count(404) <= 20 + 1 + time.monotonic() - began
    assert codes.count(429) == 30 - codes.count(404) > 0


def test_what_is_too_large_is_refused_while_it_is_sent(tmp_path, token):
    with serving(tmp_path, environment={"CDB_BODY_LIMIT": "100000"}) as server:
        answer = server.ask("/x", method="PUT", body=bytes(20_000_000), token=token)
        assert answer.status == 413


# Connections --------------------------------------------------------------------------------------


def test_nagles_algorithm_is_off_in_every_worker(tmp_path, token):
    connections = []
    with serving(tmp_path, "--workers", "2") as server:
        for pid in server.workers():
            with server.answered_by(pid):
                connections.append(server.connect())
                connections[-1].sendall(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
                assert answered(connections[-1]) == 404
        found = {
            pid: accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            for pid, accepted in server.accepted()
        }
        for connection in connections:
            connection.close()
    assert len(found) == 2
    assert all(found.values())


def test_what_is_no_http_is_refused_as_everything_else(tmp_path, token):
    with serving(tmp_path) as server, server.connect() as connection:
        connection.sendall(b"no HTTP\r\n\r\n")
        with connection.makefile("rb") as read:
            head, _, body = read.read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"\r\nx-content-type-options: nosniff\r\n" in head
    assert json.loads(body)["error"]["code"] == "BadQuestion"


def test_who_sends_no_headers_is_cut_off(tmp_path, token):
    with serving(tmp_path, environment={"CDB_HEADER_SECONDS": "1"}) as server:
        with server.connect() as silent, server.connect() as slow:
            slow.sendall(b"GET /x HTTP/1.1\r\n")
            assert (silent.recv(1), slow.recv(1)) == (b"", b"")
        with server.connect() as second:
            second.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
            assert answered(second) == 404
            second.sendall(b"GET /x HTTP/1.1\r\n")
            assert second.recv(1) == b""


def test_who_leaves_off_in_the_middle_of_a_body_is_cut_off(tmp_path, token):
    head = f"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nAuthorization: Bearer {token}\r\n"
    with (
        serving(tmp_path, environment={"CDB_KEEP_ALIVE_SECONDS": "1"}) as server,
        server.connect() as slow,
        slow.makefile("rb") as read,
    ):
        slow.sendall(f"{head}\r\nhalf".encode())
        assert read.read().startswith(b"HTTP/1.1 404")


# Stopping -----------------------------------------------------------------------------------------


def test_a_stop_under_load_fails_no_request_that_was_taken(tmp_path, token):
    failed, answered = [], []
    stopping = threading.Event()

    def load(server):
        while not stopping.is_set():
            try:
                connection = server.connect()
            except OSError:
                return  # nobody listens any more
            with connection:
                try:
                    connection.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                    answer = connection.recv(2000)
                except ConnectionError:
                    return  # never accepted: it lay in the queue of who listened
                if answer:
                    (answered if b"Not Found" in answer else failed).append(answer)

    with serving(tmp_path, "--workers", "2") as server:
        threads = [threading.Thread(target=load, args=(server,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        began = time.monotonic()
        code = server.stop()
        took = time.monotonic() - began
        stopping.set()
        for thread in threads:
            thread.join()
    assert (code, failed) == (0, [])
    assert len(answered) > 50
    assert took < 10


def test_an_idle_connection_does_not_hold_up_the_stop(tmp_path, token):
    with serving(tmp_path) as server, server.connect() as idle:
        idle.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answered(idle) == 404
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 10


def test_a_worker_that_dies_is_replaced(tmp_path, token):
    with serving(tmp_path, "--workers", "2") as server:
        first = server.workers()[0]
        os.kill(first, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while len(server.workers()) < 3 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert len(server.workers()) == 3
        assert server.ask("/x").status == 404


def test_workers_do_not_outlive_their_parent(tmp_path, token):
    with serving(tmp_path, "--workers", "2") as server:
        pids = server.workers()
        server.process.kill()
        server.process.wait()
        deadline = time.monotonic() + 30
        while any(_lives(pid) for pid in pids) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert [pid for pid in pids if _lives(pid)] == []


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_feeds_are_closed_at_the_stop(tmp_path, token):
    head = (
        f"GET /v1/events?wait=60&after=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
    )
    with (
        serving(tmp_path, "--workers", "1") as server,
        server.connect() as polling,
        server.connect() as streaming,
    ):
        if server.ask("/v1/events", token=token).status == 404:
            pytest.skip("there is no feed yet")
        polling.sendall(f"{head}\r\n".encode())
        streaming.sendall(f"{head}Accept: text/event-stream\r\n\r\n".encode())
        assert b"200 OK" in streaming.recv(1000)
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 10
        with polling.makefile("rb") as read:
            assert b"ask again" in read.read()
        with streaming.makefile("rb") as read:
            assert read.read().endswith(b"0\r\n\r\n")
