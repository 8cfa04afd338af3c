"""A database behind a service: what differs from one that is here, and what must not."""

import inspect
import pickle
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import cdb
from cdb.database import Database
from cdb.errors import (
    BadDocument,
    BadQuestion,
    Corrupt,
    NotAllowed,
    NotAuthenticated,
    StoreRefused,
)
from cdb.fsck import Check
from cdb.journal import Proposal
from cdb.remote import INLINE, RemoteDatabase, open_service
from cdb.remote_tags import RemoteTags
from cdb.rights import Rights
from cdb.stores import open_store
from cdb.stores.memory import MemoryStore
from cdb.stores.transport import NotNow
from cdb.tagging import Tags
from tests import service
from tests.programs import OtherProgram
from tests.service import Service

EPIX, EXPERIMENT = "epix_000001", "xpp1"
NAMES = {"detector": EPIX, "experiment": EXPERIMENT, "ctype": "pedestals"}
LARGE = np.random.default_rng(1).random(INLINE // 8 + 1)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Service]:
    """A service over an embedded store."""
    with open_store((tmp_path / "store").as_uri()) as store, service.serving(store) as served:
        yield served


@pytest.fixture
def db(served: Service, tmp_path: Path) -> Iterator[RemoteDatabase]:
    with service.remote(served, tmp_path / "cache") as db:
        yield db


def counted(db: RemoteDatabase, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list that the requests of a client are going to be written to."""
    requests: list[str] = []
    request = type(db.service.transport)._request

    def noted(self, method, url, *arguments, **named):
        requests.append(f"{method} {url.partition('?')[0].partition('/v1/')[2]}")
        return request(self, method, url, *arguments, **named)

    monkeypatch.setattr(type(db.service.transport), "_request", noted)
    return requests


def test_the_calls_have_the_signatures_and_docstrings_of_a_database():
    for remote, local in ((RemoteDatabase, Database), (RemoteTags, Tags)):
        for name, theirs in inspect.getmembers(local, callable):
            if name.startswith("_"):
                continue
            ours = getattr(remote, name)
            assert inspect.signature(ours) == inspect.signature(theirs), name
            assert ours.__doc__ == theirs.__doc__ or ours.__doc__ == f"See `Tags.{name}`.", name


def test_a_detector_with_all_its_types_is_one_request(db, monkeypatch):
    for ctype in ("pedestals", "pixel_rms", "notes"):
        db.add(ctype, **{**NAMES, "ctype": ctype})
    requests = counted(db, monkeypatch)
    det = db.detector(EPIX, experiment=EXPERIMENT, run=7)
    assert sorted(det.calibconst) == ["notes", "pedestals", "pixel_rms"]
    assert requests == ["GET resolve"]


def test_a_get_is_one_request_and_its_payload_once(db, monkeypatch):
    db.add(LARGE, **NAMES)
    requests = counted(db, monkeypatch)
    for _ in range(3):
        data = db.get(EPIX, "pedestals", experiment=EXPERIMENT)[0]
        assert np.array_equal(data, LARGE)
    assert [request[:11] for request in requests].count("GET resolve") == 3
    assert len(requests) == 4


def test_a_large_payload_is_rehearsed_sent_once_and_named(db, monkeypatch):
    requests, steps = counted(db, monkeypatch), []
    version = db.add(LARGE, **NAMES, progress=steps.append)
    assert [request.partition(" ")[0] for request in requests] == ["POST", "PUT", "POST"]
    assert (version.new, sum(steps), db.head) == (True, LARGE.nbytes, 1)
    assert np.array_equal(db.data(db.find(detector=EPIX)[0]), LARGE)


def test_a_large_payload_that_is_there_is_not_sent_again(db, monkeypatch):
    db.add(LARGE, **NAMES)
    requests = counted(db, monkeypatch)
    assert not db.add(LARGE, **NAMES).new
    assert requests == ["POST constants"]


LONG = "epix10ka_a-1_b-2"


@pytest.mark.parametrize(
    ("place", "database"),
    [({}, "cdb_epix10ka_000001"), ({"experiment": EXPERIMENT}, "cdb_xpp1"),
     ({"dbsuffix": "mine"}, "cdb_epix10ka_000001_mine"),
     ({"experiment": EXPERIMENT, "dbsuffix": "mine"}, "cdb_epix10ka_000001_mine")],
)  # fmt: skip
def test_a_large_payload_of_a_new_detector_gives_it_the_next_number(db, served, place, database):
    version = db.add(LARGE, detector=LONG, ctype="pedestals", **place)
    assert (version.new, version.database) == (True, database)
    assert version.detector == db.short_name("epix10ka_b-2_a-1") == "epix10ka_000001"
    assert np.array_equal(db.data(version), LARGE)
    other = served.db.add("x", detector="epix10ka_c-3", ctype="notes")
    assert other.detector == "epix10ka_000002"


def test_a_rehearsal_of_a_large_payload_registers_nobody(db):
    assert db.add(LARGE, detector=LONG, ctype="pedestals", dry_run=True).new
    assert (db.head, db.detectors()) == (0, [])


def test_who_may_not_write_the_detector_registers_nobody(served, tmp_path):
    with service.remote(served, None, "mona") as db, pytest.raises(NotAllowed, match="mona"):
        db.add(LARGE, detector=LONG, ctype="pedestals")
    assert served.db.head == 0


def test_a_dry_run_of_a_large_payload_sends_nothing(db, monkeypatch):
    requests = counted(db, monkeypatch)
    assert db.add(LARGE, **NAMES, dry_run=True).new
    assert requests == ["POST constants"]
    assert db.head == 0


def test_the_event_names_the_subject_and_this_host(db, served):
    db.add("x", **NAMES)
    event, meta = served.db.journal.event(1), db.get(EPIX, "pedestals")[1]
    assert event["actor"] == cdb.actor.actor().login
    assert event["host"] == meta["host"] == cdb.actor.actor().host
    assert meta["cwd"] == str(Path.cwd())


def test_what_no_document_may_hold_is_refused_before_anything_is_sent(db, monkeypatch):
    requests = counted(db, monkeypatch)
    with pytest.raises(BadDocument):
        db.add("x", **NAMES, conditions={"bias": float("nan")})
    assert requests == []


def test_a_write_whose_answer_was_lost_happens_once(db, served, monkeypatch):
    request = type(db.service.transport)._request
    lost = []

    def losing(self, method, *arguments, **named):
        answer = request(self, method, *arguments, **named)
        if method == "POST" and not lost:
            lost.append(method)
            raise NotNow("the connection was reset")
        return answer

    monkeypatch.setattr(type(db.service.transport), "_request", losing)
    version = db.add("x", **NAMES, again=True)
    lost.clear()
    db.retire(version.id, reason="test")
    assert served.db.head == 2


def test_all_pages_are_of_one_state(db, monkeypatch):
    for run in range(7):
        db.add(f"text {run}", **NAMES, run=run)
    monkeypatch.setattr("cdb.remote.PAGE", 3)
    assert [v.meta["run"] for v in db.find(detector=EPIX)] == [*range(7)]
    assert [v.meta["run"] for v in db.find(detector=EPIX, limit=5)] == [0, 1, 2, 3, 4]
    assert len(db.find(detector=EPIX, as_of=4)) == 4


def test_constants_go_to_another_process_by_reference(db, served, monkeypatch, tmp_path):
    monkeypatch.setenv("CDB_CACHE", str(tmp_path / "cache"))
    db.add("x", **NAMES)
    det = db.detector(EPIX, experiment=EXPERIMENT, run=7)
    db.add("y", **NAMES)
    monkeypatch.setenv("CDB_TOKEN", db.service.transport.token)
    remade = pickle.loads(pickle.dumps(det))
    assert (remade.seq, remade.calibconst["pedestals"][0]) == (1, "x")


def test_bytes_of_another_program_are_had_by_their_id(tmp_path):
    store = MemoryStore()
    OtherProgram(store).insert("theirs")
    with service.serving(store) as served, service.remote(served, tmp_path / "cache") as db:
        assert db.get("epix_000001", "notes", experiment="xpp1")[0] == "theirs"
        assert db.find(detector="epix_000001", experiment="xpp1")[0].state == "unadopted"


def test_several_leave_in_one_event_whose_answer_may_be_lost(db, served, monkeypatch):
    ids = [db.add(str(run), **NAMES, run=run).id for run in (1, 2, 3)]
    request, lost = type(db.service.transport)._request, []

    def losing(self, method, *arguments, **named):
        answer = request(self, method, *arguments, **named)
        if method == "POST" and not lost:
            lost.append(method)
            raise NotNow("the connection was reset")
        return answer

    monkeypatch.setattr(type(db.service.transport), "_request", losing)
    gone = db.retire_all(ids[:2], reason="test")
    assert ([v.id for v in gone], {v.state for v in gone}) == (ids[:2], {"retired"})
    assert (served.db.head, [v.id for v in db.find(detector=EPIX, experiment=EXPERIMENT)]) == (
        4,
        ids[2:],
    )


def test_one_that_may_not_be_retired_keeps_all_others(db, served, tmp_path):
    ours = db.add("ours", **NAMES).id
    theirs = db.add("theirs", **NAMES | {"experiment": "xpp2"}).id
    served.settings.rights["mona"] = Rights(write=("cdb_xpp1",))
    with service.remote(served, None, "mona") as mona:
        with pytest.raises(NotAllowed, match="cdb_xpp2"):
            mona.retire_all([ours, theirs], reason="test")
        assert served.db.head == 2
        assert [version.id for version in mona.retire_all([ours], reason="test")] == [ours]


def moments(db: Database) -> list[tuple]:
    """What is said of the states of a database that are asked for by number and by time."""
    times = [event["at"] / 1e6 for event in db.journal.events()]
    asked = [None, 0, *range(1, 4), *(at + 1e-5 for at in times[:-1]), "2100-01-01T00:00:00Z"]
    found = [db.moment(as_of) for as_of in asked]
    return [(m.seq, m.at, m.asked, m.provisional, m.past) for m in found]


def test_a_time_is_the_same_state_as_at_the_store(db, served):
    for run in (1, 2, 3):
        db.add(str(run), **NAMES, run=run)
    assert moments(db) == moments(served.db)
    assert db.get(EPIX, "pedestals", as_of=db.moment(2))[0] == "2"
    with pytest.raises(BadQuestion, match="the last event is 3"):
        db.moment(4)


def test_an_empty_database_has_a_moment_too(db):
    assert (db.moment().seq, db.moment("2100-01-01T00:00:00Z").at) == (0, 0)


def test_the_journal_is_read_as_at_the_store(db, served, monkeypatch):
    monkeypatch.setattr("cdb.remote_journal.PAGE", 2)
    db.add("x", **NAMES | {"detector": "epix_a-1_b-2"}, conditions={"bias": 180.5})
    for run in range(4):
        db.add(str(run), **NAMES, run=run)
    journal, own = db.journal, served.db.journal
    assert (journal.head().seq, journal.identity()) == (6, own.identity())
    for asked in ({}, {"after": 2}, {"upto": 3}, {"after": 1, "upto": 4}, {"after": 6}):
        assert [*journal.events(**asked)] == [*own.events(**asked)]
    assert [journal.event(seq) for seq in (0, 1, 6, 7)] == [own.event(n) for n in (0, 1, 6, 7)]
    assert journal.verify() == own.verify() == 6


def test_a_chain_that_was_tampered_with_is_found_over_a_service(db, served):
    for run in (1, 2):
        db.add(str(run), **NAMES, run=run)
    served.db.store.update("cdbjournal", "journal", {"_id": 1}, set={"reason": "other"})
    with pytest.raises(Corrupt, match="event 1 of the journal was changed"):
        db.journal.verify()


@pytest.mark.parametrize("read", ["cdb_xpp1", "cdb_xpp2"], ids=["in part", "not at all"])
def test_who_may_not_read_all_sees_events_in_part(db, served, read):
    db.add("x", **NAMES)
    served.settings.rights["mona"] = Rights(read=(read,))
    with service.remote(served, None, "mona") as mona:
        seen = [[made["database"] for made in e["versions"]] for e in mona.journal.events()]
        assert seen == ([["cdb_xpp1"]] if read == "cdb_xpp1" else [])
        with pytest.raises(BadQuestion, match="verify"):
            mona.journal.verify()


def test_the_store_itself_is_refused_in_one_sentence(db):
    for call in (
        lambda: db.journal.commit(lambda _: Proposal("add", "", lambda *_: [], frozenset())),
        lambda: db.journal.event_of("nonce"),
        lambda: db.copies.get("cdb_xpp1", EPIX, "0" * 24),
        lambda: list(Check(db.journal).run()),
    ):
        with pytest.raises(StoreRefused, match="is a service"):
            call()


def test_opening_asks_nothing_and_makes_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("CDB_CACHE", str(tmp_path / "cache"))
    with cdb.open("https://nowhere.invalid/"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_token_is_said_in_one_sentence(served, monkeypatch):
    monkeypatch.setenv("CDB_TOKEN", "cdb_wrong")
    monkeypatch.setenv("CDB_CACHE", "off")
    with open_service(served.url) as db, pytest.raises(NotAuthenticated) as caught:
        db.find(detector=EPIX)
    assert "CDB_TOKEN" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_who_may_not_write_is_told(served, tmp_path):
    with service.remote(served, None, "mona") as db, pytest.raises(NotAllowed, match="mona"):
        db.add("x", **NAMES)


def test_a_server_that_is_away_for_seconds_fails_nobody(db, served):
    db.add(LARGE, **NAMES)
    failures, took, began = [], [], threading.Event()

    def read() -> None:
        for number in range(1000):
            begin = time.monotonic()
            try:
                data, meta = db.get(EPIX, "pedestals", experiment=EXPERIMENT)
                assert (data[0], meta["nbytes"]) == (LARGE[0], LARGE.nbytes)
            except Exception as error:  # noqa: BLE001 - counted
                failures.append(error)
            took.append(time.monotonic() - begin)
            if number == 100:
                began.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert began.wait(60)
    served.stop()
    time.sleep(5)
    served.start()
    reader.join(120)
    assert (len(took), failures) == (1000, [])
    assert 4 < max(took) < 10  # one of them waited meanwhile
