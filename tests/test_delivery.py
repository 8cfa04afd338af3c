"""Commands and webhooks that take events, and the file that says which they have."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cdb.delivery import Position, ToCommand, ToWebhook, secret_of, signature, variables
from cdb.errors import BadFile, BadName, BadSettings, NotDelivered, WrongState

EVENT = {"_id": 7, "action": "add", "actor": "mona", "reason": "é\n\x1b[31m", "versions": []}
SERVER = "9f2c" * 16
SECRET = b"0123456789abcdef"


# Commands ----------------------------------------------------------------------------------------


def test_no_shell_looks_at_a_command(tmp_path):
    out = tmp_path / "out; touch hacked"
    ToCommand(["tee", str(out)])(EVENT, SERVER)
    assert json.loads(out.read_text()) == EVENT
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_variables_are_one_line():
    assert variables(EVENT | {"actor": "a\0b"}, SERVER) == {
        "CDB_EVENT": "7", "CDB_ACTION": "add", "CDB_ACTOR": "a b", "CDB_REASON": "é  [31m",
        "CDB_SERVER": SERVER,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "why"),
    [(["false"], "'false' ended with exit code 1"), (["no-such-program"], "cannot be run: No such"),
     (["sh", "-c", "kill -9 $$"], "ended with exit code -9")],
)  # fmt: skip
def test_a_command_that_fails_did_not_take_it(words, why):
    with pytest.raises(NotDelivered, match=why):
        ToCommand(words)(EVENT, SERVER)


def test_a_command_that_reads_nothing_took_it():
    ToCommand(["true"])(EVENT | {"reason": "x" * 10**6}, SERVER)


def test_a_command_that_takes_too_long_is_killed_with_its_children(tmp_path):
    began = time.monotonic()
    script = f"(sleep 2; touch {tmp_path}/late) & sleep 60"
    with pytest.raises(NotDelivered, match="took over 0.3 s and was killed"):
        ToCommand(["sh", "-c", script], 0.3)(EVENT, SERVER)
    assert time.monotonic() - began < 10
    time.sleep(2.5)
    assert not (tmp_path / "late").exists()


# Webhooks ----------------------------------------------------------------------------------------


class Receiver(ThreadingHTTPServer):
    """Keeps what is posted, and answers as it is told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[dict[str, str], bytes]] = []
        self.status, self.headers = 204, {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook?who=me"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append(({k.lower(): v for k, v in self.headers.items()}, body))
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_webhook_is_signed(receiver):
    ToWebhook(receiver.url, SECRET, now=lambda: 1_700_000_000.9)(EVENT, SERVER)
    ((headers, body),) = receiver.seen
    assert json.loads(body) == EVENT
    assert headers["content-type"] == "application/json"
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == (
        f"{SERVER[:16]}-7", "1700000000",
    )  # fmt: skip
    signed = f"{SERVER[:16]}-7.1700000000.".encode() + body
    digest = base64.b64encode(hmac.new(SECRET, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{digest}"


def test_a_signature_is_that_of_the_specification():
    # The example of github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md.
    secret = secret_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    assert signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == (
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


@pytest.mark.parametrize("status", [302, 400, 410, 500, 503])
def test_a_webhook_that_refuses_did_not_take_it(receiver, status):
    receiver.status, receiver.headers = status, {"Location": receiver.url, "Retry-After": "7"}
    with pytest.raises(NotDelivered, match=f"127.0.0.1 answers with status {status}") as caught:
        ToWebhook(receiver.url, SECRET)(EVENT, SERVER)
    assert caught.value.seconds == 7
    assert len(receiver.seen) == 1


def test_nobody_there_did_not_take_it():
    with pytest.raises(NotDelivered, match="no answer from 127.0.0.1"):
        ToWebhook("http://127.0.0.1:9/secret-path", SECRET)(EVENT, SERVER)


@pytest.mark.parametrize("url", ["ftp://host/", "host/path", "http://", "http://[/", "http://a:0/"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(BadName, match="is no address of a webhook"):
        ToWebhook(url, SECRET)


@pytest.mark.parametrize("text", ["short", "", "whsec_MfKQ", "whsec_***************************"])
def test_a_bad_secret_is_refused_and_not_shown(text):
    with pytest.raises(BadSettings) as caught:
        secret_of(text)
    assert len(text) < 6 or text not in str(caught.value)


def test_a_secret_may_end_with_a_line():
    assert secret_of("0123456789abcdef\n") == SECRET


# Positions ---------------------------------------------------------------------------------------


def test_a_position_is_kept(tmp_path):
    with Position(tmp_path / "seen") as position:
        assert (position.server, position.seq) == (None, None)
        position.keep(SERVER, 7)
    with Position(tmp_path / "seen") as position:
        assert (position.server, position.seq) == (SERVER, 7)


def test_a_position_that_cannot_be_moved_into_place_leaves_the_old_one(tmp_path, monkeypatch):
    with Position(tmp_path / "seen") as position:
        position.keep(SERVER, 7)
        monkeypatch.setattr("cdb.delivery.os.fsync", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            position.keep(SERVER, 8)
    assert json.loads((tmp_path / "seen").read_text())["seq"] == 7


def test_two_do_not_share_a_position(tmp_path):
    with Position(tmp_path / "seen"), pytest.raises(WrongState, match="another process keeps"):
        Position(tmp_path / "seen")
    with Position(tmp_path / "seen") as position:
        assert position.seq is None


@pytest.mark.parametrize("name", ["/", ".", "folder"])
def test_a_folder_keeps_no_position(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    with pytest.raises(BadFile, match="is a folder; name a file"):
        Position(Path(name))
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize(
    "text", ["", "7", "[]", '{"seq": 7}', '{"server": "a", "seq": -1}', '{"server": 1, "seq": 1}',
             '{"server": "a", "seq": true}', "\xff"],
)  # fmt: skip
def test_what_is_no_position_is_refused(tmp_path, text):
    (tmp_path / "seen").write_bytes(text.encode("latin-1"))
    with pytest.raises(BadFile, match="holds no position"):
        Position(tmp_path / "seen")
