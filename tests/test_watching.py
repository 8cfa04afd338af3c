"""The feed: events in order, each once, whatever goes away; handed on, at least once."""

import json
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from cdb import watching
from cdb.database import Database
from cdb.delivery import Position, ToCommand
from cdb.errors import (
    BadName,
    BadQuestion,
    Corrupt,
    NotDelivered,
    NotFound,
    StoreUnavailable,
    WrongState,
)
from cdb.rights import Rights
from cdb.stores import open_store
from cdb.stores.memory import MemoryStore
from cdb.watching import Feed, Wanted, hand_on, watch
from tests import service
from tests.programs import EPIX, OtherProgram

processes = multiprocessing.get_context("forkserver")

ADD = {"detector": EPIX, "experiment": "xpp1", "ctype": "notes"}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    """Nobody waits for long."""
    monkeypatch.setattr(watching, "FIRST_SECONDS", 0.01)
    monkeypatch.setattr(watching, "LONGEST_SECONDS", 0.05)


def fill(db: Database) -> None:
    """Write events 1 to 5: two adds, a retirement, a register entry with its add."""
    served = service.behind(db)
    served.add("one", **ADD)
    bad = served.add("two", run=1, **ADD | {"ctype": "gains"})
    served.retire(bad.id, reason="beam was on")
    served.add("x", detector="epix_a_b", ctype="notes")


def numbers(events) -> list[int]:
    return [event["_id"] for event in events]


# Watching ----------------------------------------------------------------------------------------


def test_all_events_there_are(any_db):
    fill(any_db)
    head = any_db.head
    assert numbers(watch(any_db, after=0, follow=False)) == list(range(1, head + 1))
    assert numbers(watch(any_db, after=head - 1, follow=False)) == [head]


def test_without_a_beginning_nothing_old_is_told(any_db):
    fill(any_db)
    assert numbers(watch(any_db, follow=False)) == []


def test_events_come_as_they_are_written(any_db):
    fill(any_db)
    head = any_db.head
    events = watch(any_db)
    writer = threading.Timer(0.2, lambda: service.behind(any_db).add("new", run=9, **ADD))
    writer.start()
    assert next(events)["_id"] == head + 1
    writer.join()


@pytest.mark.parametrize(
    ("asked", "expected"),
    [({"ctype": "gains"}, [2, 3]), ({"ctype": "gains", "actions": ["retire"]}, [3]),
     ({"actions": ["register"]}, [4]), ({"experiment": "xpp1"}, [1, 2, 3]),
     ({"experiment": "xpp2"}, []), ({"detector": EPIX}, [1, 2, 3]),
     ({"detector": "epix_a_b"}, [4, 5]), ({"detector": EPIX, "ctype": "notes"}, [1])],
)  # fmt: skip
def test_only_what_is_wanted(any_db, asked, expected):
    fill(any_db)
    assert numbers(watch(any_db, after=0, follow=False, **asked)) == expected


def test_what_something_was_made_from_is_not_what_happened_to_it(memory_db):
    dark = memory_db.add("old", **ADD | {"ctype": "dark"})
    source = {"parents": [{"id": dark.id}]}
    memory_db.add("new", **ADD | {"ctype": "gains"}, source=source)
    assert numbers(watch(memory_db, after=0, follow=False, ctype="dark")) == [1]


@pytest.mark.parametrize(
    ("asked", "error"),
    [({"actions": ["ad"]}, BadQuestion), ({"ctype": "no type"}, BadName),
     ({"experiment": "no/name"}, BadName), ({"detector": "epix_never_seen"}, NotFound),
     ({"after": 99}, BadQuestion)],
)  # fmt: skip
def test_what_cannot_be_watched_is_refused(any_db, asked, error):
    fill(any_db)
    with pytest.raises(error):
        next(watch(any_db, follow=False, **asked))


def test_many_events_come_in_pages(memory_db, monkeypatch):
    monkeypatch.setattr(watching, "PAGE", 3)
    for run in range(8):
        memory_db.add(str(run), run=run, **ADD)
    pages = list(Feed(memory_db, 0).pages(follow=False))
    assert [len(page.events) for page in pages] == [3, 3, 2]


def test_a_missing_event_is_no_event_that_is_passed_over(memory_db):
    fill(memory_db)
    OtherProgram(memory_db.store).delete("cdbjournal", "journal", 2)
    with pytest.raises(Corrupt, match="`cdb audit verify` says which"):
        list(watch(memory_db, after=0, follow=False))


def test_who_may_read_little_sees_little(tmp_path):
    with service.serving(MemoryStore(), anonymous_read=False) as served:
        fill(served.db)
        served.settings.rights["eve"] = Rights(read=("cdb_xpp*",))
        with service.remote(served, None, "eve") as db:
            found = list(watch(db, after=0, follow=False))
    assert numbers(found) == [1, 2, 3, 4]
    assert [event.get("partial", False) for event in found] == [True, True, True, False]


# What goes away ----------------------------------------------------------------------------------


def test_a_service_that_goes_away_is_no_end(tmp_path, monkeypatch):
    monkeypatch.setattr("cdb.stores.transport.AGAIN_SECONDS", 0.1)
    with service.serving(MemoryStore()) as served:
        fill(served.db)
        with service.remote(served, None) as db:
            events = watch(db, after=3)
            assert next(events)["_id"] == 4
            served.stop()
            back = threading.Timer(1.0, served.start)
            back.start()
            assert next(events)["_id"] == 5
            served.db.add("late", run=7, **ADD)
            assert next(events)["_id"] == 6
            back.join()


def test_a_store_that_goes_away_is_no_end(memory_db, monkeypatch):
    fill(memory_db)
    events = watch(memory_db)
    faults = [StoreUnavailable("gone"), StoreUnavailable("gone")]
    ask = memory_db.journal.head

    def head():
        if faults:
            raise faults.pop()
        return ask()

    feed = Feed(memory_db, 3)
    monkeypatch.setattr(memory_db.journal, "head", head)
    assert numbers(next(feed.pages()).events) == [4, 5]
    assert faults == []
    events.close()


def test_one_that_never_answered_is_an_error(free_address):
    from cdb.remote import open_service

    with open_service(free_address) as db, pytest.raises(StoreUnavailable):
        next(watch(db))


@pytest.fixture
def free_address(monkeypatch):
    monkeypatch.setattr("cdb.stores.transport.FIRST_SECONDS", 0.1)
    return "http://127.0.0.1:9/"


def test_another_store_under_the_same_address_ends_it(memory_db):
    fill(memory_db)
    feed = Feed(memory_db, 3)
    memory_db.journal._identity = "f" * 64
    with pytest.raises(WrongState, match=f"it was server {feed.server}, now it is {'f' * 64}"):
        next(feed.pages())


def test_pauses_grow_and_are_bounded(monkeypatch):
    monkeypatch.setattr(watching, "FIRST_SECONDS", 1.0)
    monkeypatch.setattr(watching, "LONGEST_SECONDS", 60.0)
    assert 0.5 <= watching.pause_after(1) <= 1
    assert 4 <= watching.pause_after(4) <= 8
    assert 30 <= watching.pause_after(10_000) <= 60


# Handing on --------------------------------------------------------------------------------------


class Taker:
    """Takes events, and fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.failures, self.taken = failures, []

    def __call__(self, event, server) -> None:
        if self.failures:
            self.failures -= 1
            raise NotDelivered("not now")
        self.taken.append(event["_id"])


def run(db: Database, deliver, path: Path, *, chosen: Wanted | None = None, **how) -> None:
    with Position(path) as position:
        feed = Feed(db, 0 if position.seq is None else position.seq, position.server)
        hand_on(feed, chosen or Wanted(), deliver, position, follow=False, **how)


def test_what_was_delivered_is_not_delivered_again(any_db, tmp_path):
    fill(any_db)
    taker = Taker()
    run(any_db, taker, tmp_path / "seen")
    service.behind(any_db).add("new", run=9, **ADD)
    run(any_db, taker, tmp_path / "seen")
    assert taker.taken == [1, 2, 3, 4, 5, 6]
    kept = json.loads((tmp_path / "seen").read_text())
    assert kept == {"server": service.behind(any_db).journal.identity(), "seq": 6}
    assert sorted(path.name for path in tmp_path.glob("seen*")) == ["seen", "seen.lock"]


def test_a_failure_is_tried_again_in_order(memory_db, tmp_path):
    fill(memory_db)
    taker = Taker(failures=3)
    run(memory_db, taker, tmp_path / "seen")
    assert taker.taken == [1, 2, 3, 4, 5]


def test_who_gives_up_keeps_the_place(memory_db, tmp_path):
    fill(memory_db)
    taker = Taker()

    def fails_at_three(event, server):
        if event["_id"] == 3:
            raise NotDelivered("never")
        taker(event, server)

    with pytest.raises(NotDelivered, match="event 3 was tried 2 times: never"):
        run(memory_db, fails_at_three, tmp_path / "seen", tries=2)
    assert json.loads((tmp_path / "seen").read_text())["seq"] == 2
    run(memory_db, taker, tmp_path / "seen")
    assert taker.taken == [1, 2, 3, 4, 5]


def test_what_is_not_wanted_moves_the_position_too(memory_db, tmp_path):
    fill(memory_db)
    taker = Taker()
    run(memory_db, taker, tmp_path / "seen", chosen=Wanted(actions=["retire"]))
    assert taker.taken == [3]
    assert json.loads((tmp_path / "seen").read_text())["seq"] == 5


def test_a_position_of_another_server_is_refused(memory_db, tmp_path):
    fill(memory_db)
    other = Database(MemoryStore())
    fill(other)
    run(memory_db, Taker(), tmp_path / "seen")
    mine, theirs = memory_db.journal.identity(), other.journal.identity()
    with pytest.raises(WrongState, match=f"of server {mine}, but this is server {theirs}"):
        run(other, Taker(), tmp_path / "seen")


def test_a_position_beyond_the_end_is_refused(memory_db, tmp_path):
    fill(memory_db)
    server = memory_db.journal.identity()
    (tmp_path / "seen").write_text(json.dumps({"server": server, "seq": 99}))
    with pytest.raises(BadQuestion, match="the last event is 5"):
        run(memory_db, Taker(), tmp_path / "seen")


def test_a_position_in_an_empty_store_is_good_for_what_comes(memory_db, tmp_path):
    run(memory_db, Taker(), tmp_path / "seen")
    assert json.loads((tmp_path / "seen").read_text()) == {"server": "", "seq": 0}
    fill(memory_db)
    taker = Taker()
    run(memory_db, taker, tmp_path / "seen")
    assert taker.taken == [1, 2, 3, 4, 5]


# Killed ------------------------------------------------------------------------------------------


def deliver_and_die(url: str, path: str, log: str, number: int) -> None:
    """Deliver events, and be killed between a delivery and its position."""
    seen = []

    def step(name: str) -> None:
        seen.append(name)
        if len(seen) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def deliver(event, server) -> None:
        with open(log, "a") as file:
            file.write(f"{event['_id']}\n")

    with open_store(url) as store:
        run(Database(store), deliver, Path(path), step=step)


def test_who_is_killed_before_the_position_delivers_again_and_skips_nothing(tmp_path):
    url, path, log = (tmp_path / "store").as_uri(), tmp_path / "seen", tmp_path / "log"
    with open_store(url) as store:
        fill(Database(store))
    for _ in range(3):
        killed = processes.Process(target=deliver_and_die, args=(url, str(path), str(log), 2))
        killed.start()
        killed.join(60)
        assert killed.exitcode == -signal.SIGKILL
    with open_store(url) as store:
        taker = Taker()
        run(Database(store), taker, path)
    assert [*map(int, log.read_text().split()), *taker.taken] == [1, 2, 2, 3, 3, 4, 4, 5]


def test_a_position_is_kept_before_the_first_event_is_waited_for(memory_db, tmp_path):
    fill(memory_db)
    with Position(tmp_path / "seen") as position:
        pages = Feed(memory_db)
        stopped = threading.Thread(
            target=hand_on, args=(pages, Wanted(), Taker(), position), daemon=True
        )
        stopped.start()
        deadline = time.monotonic() + 10
        while not (tmp_path / "seen").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert json.loads((tmp_path / "seen").read_text())["seq"] == 5


def test_a_command_takes_events(memory_db, tmp_path):
    fill(memory_db)
    script = f'cat >> {tmp_path}/got; echo "$CDB_EVENT $CDB_ACTION $CDB_SERVER" >> {tmp_path}/said'
    run(memory_db, ToCommand(["sh", "-c", script]), tmp_path / "seen")
    got = [json.loads(line) for line in (tmp_path / "got").read_text().splitlines()]
    assert got == list(memory_db.journal.events())
    identity = memory_db.journal.identity()
    assert (tmp_path / "said").read_text().splitlines()[2] == f"3 retire {identity}"
