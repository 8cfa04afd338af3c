"""A store that was open before a fork is used by child and parent, each for itself."""

import multiprocessing
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cdb.database import Database
from cdb.errors import StoreRefused
from cdb.stores import Store, open_store

ADD = {"detector": "epix_000001", "experiment": "xpp1", "ctype": "notes"}
forks = multiprocessing.get_context("fork")

# From Python 3.12 on a process with threads is warned; these children use none of them.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


class Child:
    """A fork of this process that does one thing once it is told to."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.told, self.answers = forks.Event(), forks.SimpleQueue()
        self.process = forks.Process(target=self._run, args=(call,))
        self.process.start()

    def _run(self, call: Callable[[], Any]) -> None:
        self.told.wait(60)
        try:
            self.answers.put(call())
        except Exception as error:  # noqa: BLE001 - the parent waits for an answer
            self.answers.put(error)

    def answer(self) -> Any:
        self.told.set()
        answer = self.answers.get()
        self.process.join(60)
        return answer


@pytest.fixture
def db(shared_store: Store) -> Database:
    """A database that has been read and written."""
    db = Database(shared_store)
    db.add("before", **ADD)
    assert db.get("epix_000001", "notes")[0] == "before"
    return db


@pytest.fixture
def embedded(tmp_path) -> Iterator[Database]:
    """A database in a folder that has been read and written."""
    with open_store((tmp_path / "store").as_uri()) as store:
        db = Database(store)
        db.add("before", **ADD)
        yield db


def add_some(db: Database, who: str) -> int:
    """Add as another one does at the same time; return the last event."""
    return [db.add(f"{who} {n}", run=n, **ADD).seq for n in range(10)][-1]


def test_child_and_parent_write_side_by_side(db):
    child = Child(lambda: add_some(db, "child"))
    child.told.set()
    ours = add_some(db, "parent")
    theirs = child.answer()
    assert max(ours, theirs) == db.head == db.journal.verify() == 21
    assert len(db.find(detector="epix_000001")) == 21


def test_a_child_reads_what_its_parent_adds_later(db):
    child = Child(lambda: db.get("epix_000001", "notes")[0])
    db.add("after", **ADD)
    assert child.answer() == "after"


def test_a_child_keeps_what_it_acknowledged_when_its_parent_closed_the_store(db):
    db.detector("epix_000001", run=1)
    child = Child(lambda: add_some(db, "child"))
    db.close()
    assert child.answer() == 11
    assert db.head == 11


def test_a_child_of_a_child_writes_too(embedded):
    def have_a_child() -> int:
        embedded.add("child", **ADD)
        other = Child(lambda: add_some(embedded, "grandchild"))
        embedded.close()
        return other.answer()

    assert Child(have_a_child).answer() == embedded.head == 12


def test_a_fork_closes_no_cursor_that_is_being_read(embedded):
    add_some(embedded, "parent")
    events = embedded.journal.events()
    first = next(events)
    child = Child(lambda: embedded.head)
    assert [first["_id"], *(event["_id"] for event in events)] == list(range(1, 12))
    refused = child.answer()
    assert isinstance(refused, StoreRefused)
    assert "forkserver" in str(refused)


def test_a_child_is_refused_what_another_thread_had_open(embedded):
    used, go_on = threading.Event(), threading.Event()

    def use() -> None:
        embedded.head  # noqa: B018
        used.set()
        go_on.wait(60)

    thread = threading.Thread(target=use)
    thread.start()
    used.wait(60)
    assert isinstance(Child(lambda: embedded.head).answer(), StoreRefused)
    go_on.set()
    thread.join()
    assert Child(lambda: embedded.head).answer() == 1


def test_a_fork_in_a_transaction_leaves_it_to_the_parent(embedded):
    store = embedded.store
    with store.transaction():
        store.insert("cdb_xpp1", "other", [{"_id": 1}])
        child = Child(lambda: embedded.head)
        store.insert("cdb_xpp1", "other", [{"_id": 2}])
    assert isinstance(child.answer(), StoreRefused)
    assert store.count("cdb_xpp1", "other") == 2


def test_another_store_is_not_refused(embedded, tmp_path):
    with open_store((tmp_path / "other").as_uri()) as store:
        events = embedded.journal.events()
        next(events)
        assert Child(lambda: add_some(Database(store), "child")).answer() == 10


@pytest.mark.mongo
def test_a_child_has_a_client_of_its_own(mongo_url):
    with open_store(mongo_url) as store:
        ours = id(store.client)
        assert Child(lambda: id(store.client) == ours).answer() is False
        assert id(store.client) == ours
