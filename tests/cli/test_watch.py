"""``cdb watch``: lines, commands, webhooks; ends at a signal, goes on where it was."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import service
from tests.blocks import blocks_of
from tests.programs import EPIX
from tests.test_delivery import Receiver, receiver  # noqa: F401

ADD = {"detector": EPIX, "ctype": "notes"}
CDB = str(Path(sys.executable).with_name("cdb"))
SECRET = "0123456789abcdef0123456789abcdef"
PAGE = Path(__file__).parents[2] / "docs" / "watching.md"


@pytest.fixture
def three(db):
    """A store of three events, the last one hostile."""
    db.add("text 0", **ADD)
    bad = db.add("text 1", run=1, **ADD)
    db.retire(bad.id, reason="beam\n4  was \x1b[31mon\u202e")
    return db


def test_lines(cdb, three):
    result = cdb("watch", "--after", "1", "--once")
    assert result.exit_code == 0
    first, second = result.stdout.splitlines()
    assert first.startswith("2  ")
    assert first.endswith("  add  epix_000001 notes 1-end")
    assert second.endswith("  retire  epix_000001 notes 1-end  beam 4  was  [31mon ")


def test_json_lines(cdb, three):
    result = cdb("watch", "--after", "0", "--once", "--json", "--action", "add,retire")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert events == list(three.journal.events())
    assert result.stdout.isascii()
    assert "\x1b" not in result.stdout


def test_nothing_old_is_told(cdb, three):
    result = cdb("watch", "--once")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "cdb: no events after 3\n"


@pytest.mark.parametrize(
    ("words", "why"),
    [(["--action", "ad"], "no event does 'ad'; there are add, adopt,"),
     (["--exec", "true", "--webhook", "http://a/"], "exclude each other"),
     (["--exec", "'"], "is no command"), (["--exec", " "], "no command is given"),
     (["--webhook", "http://a/"], "a webhook is signed"),
     (["--secret-file", "x"], "--secret-file is for --webhook")],
)  # fmt: skip
def test_mistakes_in_usage(cdb, three, words, why):
    result = cdb("watch", "--once", *words)
    assert result.exit_code == 2
    assert why in result.stderr


def test_what_cannot_be_watched_is_one_line(cdb, three):
    result = cdb("watch", "--after", "9", "--once")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "cdb: error: after event 9 is asked, but the last event is 3; give 0 to 3\n"
    )


def test_a_command_is_tried_again_and_goes_on(cdb, three, monkeypatch):
    monkeypatch.setattr("cdb.watching.FIRST_SECONDS", 0.01)
    watch = ("watch", "--once", "--position", "seen", "--after", "0")
    failed = cdb(*watch, "--exec", "false", "--tries", "2")
    assert failed.exit_code == 1
    assert "event 1 was tried 2 times: 'false' ended with exit code 1" in failed.stderr
    assert failed.stdout == ""
    assert cdb(*watch, "--exec", "sh -c 'cat >> got'").exit_code == 0
    got = [json.loads(line)["_id"] for line in Path("got").read_text().splitlines()]
    assert got == [1, 2, 3]
    assert cdb(*watch, "--exec", "false").exit_code == 0


def test_a_position_of_another_server_is_refused_with_both(cdb, three, tmp_path):
    cdb("watch", "--once", "--position", "seen")
    url = (tmp_path / "other").as_uri()
    cdb("add", "-d", EPIX, "-c", "notes", "-f", "mygeo", "-i", "txt", "--url", url)
    result = cdb("watch", "--once", "--position", "seen", "--url", url)
    assert result.exit_code == 1
    assert three.journal.identity() in result.stderr
    assert "but this is server" in result.stderr


# Webhooks ----------------------------------------------------------------------------------------


def is_genuine():
    """Return the receiver's half of the page."""
    (text,) = [text for language, text in blocks_of(PAGE) if "def is_genuine" in text]
    names: dict = {}
    exec(text, names)
    return names["is_genuine"]


@pytest.mark.parametrize("where", ["file", "environment"])
def test_a_receiver_verifies_as_the_page_says(cdb, three, receiver: Receiver, where, monkeypatch):  # noqa: F811
    watch = ["watch", "--once", "--after", "0", "--webhook", receiver.url]
    if where == "file":
        Path("secret").write_text(SECRET + "\n")
        watch += ["--secret-file", "secret"]
    else:
        monkeypatch.setenv("CDB_WEBHOOK_SECRET", SECRET)
    assert cdb(*watch).exit_code == 0
    assert [json.loads(body)["_id"] for _, body in receiver.seen] == [1, 2, 3]
    genuine, secret = is_genuine(), SECRET.encode()
    for headers, body in receiver.seen:
        assert genuine(secret, headers, body)
        assert not genuine(b"another secret", headers, body)
        assert not genuine(secret, headers, body + b" ")
        late = headers | {"webhook-timestamp": str(int(time.time()) + 1)}
        assert not genuine(secret, late, body)
        assert not genuine(secret, headers, body, seconds=-1)


def test_a_receiver_that_is_away_gets_it_later(cdb, three, receiver: Receiver, monkeypatch):  # noqa: F811
    monkeypatch.setattr("cdb.watching.FIRST_SECONDS", 0.01)
    monkeypatch.setenv("CDB_WEBHOOK_SECRET", SECRET)
    receiver.status = 500
    watch = ("watch", "--once", "--after", "0", "--webhook", receiver.url, "--position", "seen")
    assert cdb(*watch).exit_code == 1
    receiver.status = 200
    receiver.seen.clear()
    assert cdb(*watch).exit_code == 0
    assert [headers["webhook-id"].split("-")[1] for headers, _ in receiver.seen] == ["1", "2", "3"]


# Processes ---------------------------------------------------------------------------------------


def started(folder: Path, *words: str, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [CDB, "watch", *words], cwd=folder, env=os.environ | environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def wait_for(path: Path, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_who_waits(folder, three, number):
    watcher = started(folder, "--position", "seen")
    wait_for(folder / "seen")
    three.add("new", run=7, **ADD)
    assert watcher.stdout.readline().startswith("4  ")
    watcher.send_signal(number)
    assert watcher.communicate(timeout=20) == ("", "")
    assert watcher.returncode == 0
    assert json.loads((folder / "seen").read_text())["seq"] == 4


def test_a_signal_lets_the_delivery_at_work_end(folder, three):
    script = "sh -c 'echo $CDB_EVENT >> begun; sleep 1; echo $CDB_EVENT >> done'"
    watcher = started(folder, "--after", "0", "--position", "seen", "--exec", script)
    wait_for(folder / "begun")
    watcher.terminate()
    watcher.communicate(timeout=20)
    assert watcher.returncode == 0
    assert (folder / "done").read_text() == "1\n"
    assert json.loads((folder / "seen").read_text())["seq"] == 1


def test_a_second_signal_ends_the_delivery_too(folder, three):
    script = "sh -c 'echo $$ >> begun; sleep 60'"
    watcher = started(folder, "--after", "0", "--position", "seen", "--exec", script)
    wait_for(folder / "begun")
    watcher.terminate()
    time.sleep(0.3)
    watcher.terminate()
    watcher.communicate(timeout=20)
    assert json.loads((folder / "seen").read_text())["seq"] == 0
    child = int((folder / "begun").read_text())
    assert not Path(f"/proc/{child}").exists()


def test_over_a_service_a_signal_ends_who_waits(folder, db):
    with service.serving(db.store) as served:
        db.add("text", **ADD)
        token = service.token_of(service.actor().login)
        watcher = started(folder, "--position", "seen", CDB_URL=served.url, CDB_TOKEN=token)
        wait_for(folder / "seen")
        db.add("new", run=7, **ADD)
        assert watcher.stdout.readline().startswith("2  ")
        watcher.terminate()
        assert watcher.communicate(timeout=20) == ("", "")
        assert watcher.returncode == 0
