"""Nothing acknowledged is lost, nothing half-deployed is seen, no past answer changes.

Real processes write, are killed and stopped; every call is recorded, and a checker goes through
the record.
"""

import contextlib
import json
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdb.backup import Export
from cdb.database import Database
from cdb.errors import NotFound, OutcomeUnknown, Purged, WrongClock, WrongState
from cdb.fsck import Check
from cdb.store_digest import StoreDigest, store_digest
from cdb.stores import Store, open_store
from cdb.stores.memory import MemoryStore
from tests import workers
from tests.workers import EPIX, EXPERIMENT, wait_until_stopped

# Processes start from one that has everything loaded, in some ms.
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(
    ["tests.workers", "cdb.payload", "cdb.stores.mongo", "cdb.stores.embedded"]
)

SHARED = ["embedded", pytest.param("mongo", marks=pytest.mark.mongo)]


@pytest.fixture(params=SHARED)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of a store that several processes share."""
    if request.param == "embedded":
        return (tmp_path / "store").as_uri()
    return request.getfixturevalue("mongo_url")


def is_embedded(url: str) -> bool:
    return url.startswith("file:")


def start(call, *arguments):
    process = processes.Process(target=call, args=arguments)
    process.start()
    return process


def send(process, what: signal.Signals) -> None:
    """Send a signal; the process may have ended by itself."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, what)


def go_on(process) -> int:
    send(process, signal.SIGCONT)
    process.join(60)
    return process.exitcode


def calls(folder: Path) -> Iterator[list[dict]]:
    """Yield the calls of each process: what was asked, and what was told if it came to that."""
    for path in sorted(folder.glob("*.jsonl")):
        found: dict[int, dict] = {}
        for line in path.read_bytes().split(b"\n")[:-1]:
            said = json.loads(line)
            found.setdefault(said["n"], {})[said.pop("says")] = said
        yield [found[n] for n in sorted(found)]


def check_store(url: str) -> None:
    """The store as such is whole: mended once, then nothing is wrong any more."""
    with open_store(url) as store:
        db = Database(store)
        list(Check(db.journal, older_than=0).run())
        again = list(Check(db.journal, payloads=True, older_than=0).run())
        assert again == []
        assert db.journal.verify() == db.head


def check_deployments(db: Database) -> None:
    """What an event adds is in all its databases, payload included."""
    for event in db.journal.events():
        for made in event["versions"]:
            if "document" not in made:
                continue
            place = made["database"], made["collection"]
            (document,) = db.store.find(*place, {"_id": made["id"]})
            assert {**document, "detector": EPIX, "out": None} == {
                **made["document"], "detector": EPIX, "out": None,
            }  # fmt: skip
            assert db.store.blob(made["database"], document["id_data"]) is not None


def check_record(url: str, folder: Path) -> int:
    """Go through what all processes asked and were told; return the number of adds told."""
    answers: dict[tuple[int, int], dict] = {}
    told_adds: list[tuple[int, int]] = []
    n_adds = 0
    with open_store(url) as store:
        db = Database(store)
        check_deployments(db)
        events = {e["document"]["_id"]: e for ev in db.journal.events()
                  for e in ev["versions"] if "document" in e}  # fmt: skip
        for process in calls(folder):
            for call in process:
                tell = call.get("tell")
                if tell and tell["do"] == "add":
                    n_adds += 1
                    told_adds.append((tell["time"], tell["seq"]))
                    assert events[tell["id"]]["document"]["comment"] == tell["label"]
        told_adds.sort()
        for process in calls(folder):
            last = 0
            for call in process:
                tell = call.get("tell")
                if not tell or not tell["do"].startswith("read"):
                    continue
                key = tell["run"], tell["seq"]
                # The same question as of the same S has one answer, whoever asks and when.
                assert answers.setdefault(key, tell["answer"]) == tell["answer"], key
                if tell["do"] == "read":
                    assert tell["seq"] >= last
                    last = tell["seq"]
                    before = [seq for at, seq in told_adds if at < call["ask"]["time"]]
                    assert tell["seq"] >= max(before, default=0)
        for (run, seq), answer in answers.items():
            assert workers.answer_then(db, run, seq) == answer
    return n_adds


# Many writers ------------------------------------------------------------------------------------


def race(url: str, folder: Path, n_writers: int, n_adds: int) -> None:
    writers = [
        start(workers.write_constants, url, str(folder / f"w{seed}.jsonl"), seed, n_adds)
        for seed in range(n_writers)
    ]
    reader = start(workers.read_constants, url, str(folder / "reader.jsonl"), 99, 2.0)
    for process in [*writers, reader]:
        process.join(1200)
        assert process.exitcode == 0


@pytest.mark.slow
def test_eight_writers_leave_a_whole_journal(url, tmp_path):
    n_adds = 200 if is_embedded(url) else 20
    race(url, tmp_path, 8, n_adds)
    assert check_record(url, tmp_path) == 8 * n_adds
    with open_store(url) as store:
        db = Database(store)
        assert db.journal.verify() == 8 * n_adds
        assert [event["_id"] for event in db.journal.events()] == list(range(1, 8 * n_adds + 1))
    check_store(url)


def register_some(url: str, path: str, seed: int) -> None:
    """Add for detectors that others are adding for the first time too."""
    record, rng = workers.Record(Path(path)), random.Random(seed)
    names = [f"epix_{n:03d}-a_{n:03d}-b" for n in range(12)]
    rng.shuffle(names)
    with open_store(url) as store:
        db = Database(store)
        for name in names:
            record.ask(do="register", name=name)
            version = db.add(name, detector=name, ctype="notes", version=str(seed))
            record.tell(do="register", name=name, short=version.detector)


@pytest.mark.slow
def test_numbers_of_the_register_are_unique(url, tmp_path):
    writers = [start(register_some, url, str(tmp_path / f"r{s}.jsonl"), s) for s in range(8)]
    for process in writers:
        process.join(1200)
        assert process.exitcode == 0
    given: dict[str, set[str]] = {}
    for process in calls(tmp_path):
        for call in process:
            given.setdefault(call["tell"]["name"], set()).add(call["tell"]["short"])
    assert all(len(shorts) == 1 for shorts in given.values())
    assert sorted(short for shorts in given.values() for short in shorts) == [
        f"epix_{n:06d}" for n in range(1, 13)
    ]
    check_store(url)


# Killed and stopped at random --------------------------------------------------------------------


@pytest.mark.slow
def test_killed_writers_lose_nothing_that_was_acknowledged(url, tmp_path):
    rng = random.Random(1)
    kills = 200 if is_embedded(url) else 40
    longest = 0.1 if is_embedded(url) else 0.3
    reader = start(workers.read_constants, url, str(tmp_path / "reader.jsonl"), 99, 5.0)
    for n in range(0, kills, 2):
        pair = [
            start(workers.write_constants, url, str(tmp_path / f"w{n}.jsonl"), n, None),
            start(workers.change_constants, url, str(tmp_path / f"c{n}.jsonl"), n + 10_000),
        ]
        if n % 4:
            # However slow the machine, of every other pair one is killed after its first add.
            wait_for_a_word(tmp_path / f"w{n}.jsonl")
        for process in pair:
            time.sleep(rng.uniform(0, longest))
            process.kill()
        for process in pair:
            process.join()
    reader.join(60)
    assert reader.exitcode == 0
    assert check_after(url, tmp_path) >= kills // 4
    check_store(url)


def wait_for_a_word(record: Path) -> None:
    """Wait until a writer was told that something of its is in."""
    deadline = time.monotonic() + 60
    while not record.exists() or '"tell"' not in record.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def check_after(url: str, folder: Path) -> int:
    """Complete what dead writers left, as the next writer would, then check the record."""
    with open_store(url) as store:
        list(Check(Database(store).journal, older_than=0).run())
    return check_record(url, folder)


@pytest.mark.slow
def test_stopped_writers_go_on_beside_an_impatient_fsck(url, tmp_path):
    rng = random.Random(2)
    rounds = 30 if is_embedded(url) else 8
    for n in range(rounds):
        writer = start(workers.write_constants, url, str(tmp_path / f"w{n}.jsonl"), n, 6)
        for _ in range(3):
            time.sleep(rng.uniform(0, 0.05))
            send(writer, signal.SIGSTOP)
            # A writer stopped inside a transaction keeps fsck waiting: it is let go first.
            fsck = start(workers.run_fsck, url)
            time.sleep(rng.uniform(0, 0.15))
            send(writer, signal.SIGCONT)
            fsck.join(60)
            assert fsck.exitcode == 0
        writer.join(60)
        assert writer.exitcode == 0
    assert check_after(url, tmp_path) == 6 * rounds
    check_store(url)


# Placed faults -----------------------------------------------------------------------------------

ADD = {"detector": EPIX, "experiment": EXPERIMENT, "ctype": "notes", "run": 1,
       "time": 1_600_000_000}  # fmt: skip
MONGO = pytest.mark.mongo


def steps(**names: list[str]):
    """Parametrize over stores and the steps that each has: the embedded one commits at once."""
    return pytest.mark.parametrize(
        ("url", "step"),
        [
            pytest.param(kind, name, marks=[MONGO] if kind == "mongo" else [])
            for kind, each in names.items()
            for name in each
        ],
        indirect=["url"],
    )


def on_mongo():
    """Parametrize over the one store that commits in steps."""
    return pytest.mark.parametrize("url", [pytest.param("mongo", marks=MONGO)], indirect=True)


def killed_at(url: str, step: str, call: str, **arguments) -> None:
    process = start(workers.stop_at, url, step, "kill", call, arguments)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL, f"never came to the step {step!r}"


@pytest.fixture
def db(url: str) -> Iterator[Database]:
    """A database that this process keeps open."""
    with open_store(url) as store:
        yield Database(store)


@steps(
    embedded=["after blob", "before event", "in event", "applied"],
    mongo=["after blob", "before event"],
)
def test_an_add_killed_before_its_event_is_not_there(url, db, step):
    db.add("first", **ADD)
    killed_at(url, step, "add", data="second", **ADD)
    assert db.get(EPIX, "notes", experiment=EXPERIMENT, run=1)[0] == "first"
    assert db.head == 1
    assert db.add("second", **ADD).new
    check_store(url)


@steps(
    embedded=["after event"],
    mongo=["in event", "after event", "after documents", "before done", "done"],
)
def test_an_add_killed_after_its_event_is_there_for_all(url, db, step):
    db.add("first", **ADD)
    killed_at(url, step, "add", data="second", **ADD)
    for asked in ({"experiment": EXPERIMENT}, {}):
        assert db.get(EPIX, "notes", run=1, **asked)[0] == "second"
        assert db.detector(EPIX, run=1, **asked).calibconst["notes"][0] == "second"
    assert len(db.find(detector=EPIX)) == len(db.find(detector=EPIX, experiment=EXPERIMENT)) == 2
    again = db.add("second", **ADD)
    assert not again.new
    check_store(url)
    check_deployments(db)


@steps(
    embedded=["after blob", "in event", "applied"],
    mongo=["after blob", "before event"],
)
def test_a_child_killed_before_its_event_is_not_known_to_its_parent(url, db, step):
    dark = db.add("first", **ADD)
    child = {"data": "second", **ADD, "source": {"parents": [{"id": dark.id}]}}
    killed_at(url, step, "add", **child)
    assert db.lineage(dark.id).children == ()
    assert db.add(**child).new
    assert len(db.lineage(dark.id).children) == 1
    check_store(url)


@steps(
    embedded=["after event"],
    mongo=["in event", "after event", "after documents", "before done", "done"],
)
def test_a_child_killed_after_its_event_is_known_to_its_parent(url, db, step):
    dark = db.add("first", **ADD)
    killed_at(url, step, "add", data="second", **ADD, source={"parents": [{"id": dark.id}]})
    (child,) = db.lineage(dark.id).children
    assert db.version_by_id(child.id).meta["source"]["parents"][0]["sha256"] == dark.sha256
    db.retire(dark.id, reason="test")
    assert [parent.state for parent in db.lineage(child.id).parents] == ["retired"]
    check_store(url)
    check_deployments(db)


@on_mongo()
def test_what_a_dead_writer_left_is_completed_by_one_who_touches_it(url, db):
    killed_at(url, "after event", "add", data="first", **ADD)
    (version,) = db.find(detector=EPIX, experiment=EXPERIMENT)
    assert not db.journal.head().settled
    db.retire(version.id, reason="test")
    assert db.find(detector=EPIX, experiment=EXPERIMENT) == []
    assert [v.state for v in db.history(EPIX, "notes", experiment=EXPERIMENT)] == ["retired"]
    check_store(url)


@steps(embedded=["after event"], mongo=["after event", "after retiring"])
def test_a_retire_killed_half_way_holds(url, db, step):
    version = db.add("first", **ADD)
    killed_at(url, step, "retire", id=version.id, reason="test")
    with pytest.raises(NotFound):
        db.get(EPIX, "notes", experiment=EXPERIMENT, run=1)
    assert db.get(EPIX, "notes", experiment=EXPERIMENT, run=1, as_of=1)[0] == "first"
    check_store(url)


# No text: the rules keep it out of the geometry of every detector that they know.
KEPT_OUT = ADD | {"detector": "epix100a_000001", "ctype": "geometry", "data": ["no", "text"]}


def in_force(db: Database) -> set:
    """Return what all kinds of look-ups give, in both databases."""
    found = set()
    for asked in ({"experiment": EXPERIMENT, "run": 1}, {"run": 1}):
        found.add(str(db.get("epix100a_000001", "geometry", **asked)[0]))
        found.add(str(db.detector("epix100a_000001", **asked).calibconst["geometry"][0]))
    return found


def names_that_psana_sees(db: Database) -> list[str]:
    """Return the versions that psana's own server shows: it filters by name and type alone."""
    query = {"detector": "epix100a_000001", "ctype": "geometry"}
    places = (("cdb_xpp1", "epix100a_000001"), ("cdb_epix100a_000001", "epix100a_000001"))
    return [d["_id"] for place in places for d in db.store.find(*place, query)]


@steps(
    embedded=["after blob", "before event", "in event", "applied", "after event"],
    mongo=["after blob", "before event", "in event", "after event", "after documents",
           "after retiring", "before done", "done"],
)  # fmt: skip
def test_what_is_kept_out_is_seen_by_nobody_whenever_its_writer_dies(url, db, step):
    db.add(**KEPT_OUT | {"data": "IP 0 TOP"})
    shown = names_that_psana_sees(db)
    killed_at(url, step, "add", **KEPT_OUT)
    assert in_force(db) == {"IP 0 TOP"}
    assert names_that_psana_sees(db) == shown
    again = db.add(**KEPT_OUT)
    assert (again.state, db.head) == ("quarantined", 2)
    assert [v.id for v in db.quarantined()] == [again.id]
    check_store(url)
    check_deployments(db)
    assert in_force(db) == {"IP 0 TOP"}
    assert names_that_psana_sees(db) == shown


@steps(
    embedded=["before event", "in event", "applied", "after event"],
    mongo=["before event", "in event", "after event", "after documents", "before done", "done"],
)
def test_an_approval_killed_half_way_lets_all_in_or_nothing(url, db, step):
    db.add(**KEPT_OUT | {"data": "IP 0 TOP"})
    kept = db.add(**KEPT_OUT)
    killed_at(url, step, "approve", id=kept.id, reason="test")
    now = "IP 0 TOP" if db.head == 2 else "['no', 'text']"
    assert db.head == 2 or step not in ("before event", "applied")
    assert in_force(db) == {now}
    assert len(db.quarantined()) == 3 - db.head
    check_store(url)
    check_deployments(db)
    assert in_force(db) == {now}


def test_a_stopped_retire_does_not_undo_a_restore(url, db):
    version = db.add("first", **ADD)
    process = start(workers.stop_at, url, "after event", "stop", "retire",
                    {"id": version.id, "reason": "test"})  # fmt: skip
    wait_until_stopped(process)
    list(Check(db.journal, older_than=0).run())
    restored = db.restore(version.id, reason="it was right")
    assert go_on(process) == 0
    data, meta = db.get(EPIX, "notes", experiment=EXPERIMENT, run=1)
    assert (data, meta["_id"]) == ("first", restored.id)
    check_store(url)


def test_an_add_stopped_before_its_event_survives_a_sweep(url, db):
    db.add("first", **ADD)
    process = start(workers.stop_at, url, "after blob", "stop", "add", {"data": "second", **ADD})
    wait_until_stopped(process)
    found = list(Check(db.journal, older_than=0).run())
    assert [f.mended for f in found if f.kind == "litter"] == [True, True]
    assert go_on(process) == 0
    assert db.get(EPIX, "notes", experiment=EXPERIMENT, run=1)[0] == "second"
    assert db.get(EPIX, "notes", run=1)[0] == "second"
    check_store(url)


def test_a_sweep_stopped_before_its_deletion_takes_nothing_that_is_named(url, db):
    killed_at(url, "after blob", "add", data="second", **ADD)
    process = start(workers.stop_at, url, "before removal", "stop", "fsck", {})
    wait_until_stopped(process)
    writer = start(workers.stop_at, url, "never", "stop", "add", {"data": "second", **ADD})
    if not is_embedded(url):  # there the sweeper's lock keeps the writer waiting
        writer.join(60)
    assert go_on(process) in (0, None)
    writer.join(60)
    assert writer.exitcode == 0
    assert db.get(EPIX, "notes", experiment=EXPERIMENT, run=1)[0] == "second"
    check_store(url)


@on_mongo()
def test_an_add_stopped_over_a_sweep_that_has_not_deleted_uploads_again(url, db):
    adding = start(workers.stop_at, url, "after blob", "stop", "add", {"data": "second", **ADD})
    wait_until_stopped(adding)
    sweeping = start(workers.stop_at, url, "before removal", "stop", "fsck", {})
    wait_until_stopped(sweeping)
    assert go_on(adding) == 0
    assert go_on(sweeping) == 0
    assert db.get(EPIX, "notes", experiment=EXPERIMENT, run=1)[0] == "second"
    check_store(url)


def test_a_dead_writers_bytes_are_not_shared(url, db):
    killed_at(url, "after blob", "add", data="second", **ADD)
    version = db.add("second", **ADD)
    left = {blob.id for blob in db.store.blobs("cdb_xpp1")} - {version.meta["id_data"]}
    assert len(left) == 1
    list(Check(db.journal, older_than=0).run())
    assert db.get(EPIX, "notes", experiment=EXPERIMENT, run=1)[0] == "second"
    check_store(url)


def test_a_sweep_killed_before_its_deletion_is_finished_by_the_next(url, db):
    db.add("first", **ADD)
    killed_at(url, "after blob", "add", data="second", **ADD)
    killed_at(url, "before removal", "fsck")
    assert len(list(db.store.blobs("cdb_xpp1"))) == 2
    list(Check(db.journal, older_than=0).run())
    assert len(list(db.store.blobs("cdb_xpp1"))) == 1
    check_store(url)


def test_a_lost_reply_is_no_second_event(url, db, monkeypatch):
    inserted = db.store._insert
    lost = []

    def insert(database, collection, documents, ignore_duplicates):
        inserted(database, collection, documents, ignore_duplicates)
        if (database, collection) == ("cdbjournal", "journal") and not lost:
            lost.append(1)
            raise OutcomeUnknown("the reply was lost")

    monkeypatch.setattr(db.store, "_insert", insert)
    version = db.add("first", **ADD)
    assert (version.new, version.seq, db.head, lost) == (True, 1, 1, [1])
    check_store(url)


def test_a_writer_whose_clock_is_off_refuses(url, db):
    db.add("first", **ADD)
    with open_store(url) as store:
        early = Database(store, now=lambda: time.time() + 30)
        early.head  # noqa: B018 - on MongoDB the clock comes with the connection
        with pytest.raises(WrongClock, match="off the store's"):
            early.add("second", **ADD)
    with open_store(url) as store, pytest.raises(WrongClock):
        Database(store, now=lambda: time.time() - 30).add("second", **ADD)
    assert db.get(EPIX, "notes", experiment=EXPERIMENT, run=1)[0] == "first"


def test_two_writers_with_clocks_a_little_apart_keep_time_in_order(url, db):
    with open_store(url) as store:
        early = Database(store, now=lambda: time.time() + 3)
        for n in range(3):
            early.add(f"early {n}", **ADD)
            db.add(f"late {n}", **ADD)
    times = [event["at"] for event in db.journal.events()]
    assert times == sorted(set(times))
    assert db.get(EPIX, "notes", experiment=EXPERIMENT, run=1)[0] == "late 2"


def test_nobody_retires_twice(url, db):
    version = db.add("first", **ADD)
    db.retire(version.id, reason="test")
    with pytest.raises(WrongState, match="has left already"):
        db.retire(version.id, reason="test")


# Purges and copies -------------------------------------------------------------------------------


@steps(embedded=["before event", "in event"], mongo=["before event"])
def test_a_purge_killed_before_its_event_removes_nothing(url, db, step):
    db.retire(db.add("wrong", **ADD).id, reason="test")
    killed_at(url, step, "purge")
    assert db.get(EPIX, "notes", experiment=EXPERIMENT, run=1, as_of=1)[0] == "wrong"
    assert workers.purge_all(db) == 2
    check_store(url)


@steps(
    embedded=["after event", "before removal", "before done"],
    mongo=["in event", "after event", "before removal", "before done"],
)
def test_a_purge_killed_after_its_event_is_completed_by_the_next(url, db, step):
    db.retire(db.add("wrong", **ADD).id, reason="test")
    killed_at(url, step, "purge")
    # Whoever adds the same bytes meanwhile keeps them.
    assert db.add("wrong", **ADD).new
    list(Check(db.journal, older_than=0).run())
    assert db.journal.moment().pending == ()
    assert db.get(EPIX, "notes", experiment=EXPERIMENT, run=1)[0] == "wrong"
    with pytest.raises(Purged):
        db.get(EPIX, "notes", experiment=EXPERIMENT, run=1, as_of=1)
    check_store(url)


@pytest.fixture
def archive(tmp_path: Path) -> tuple[Path, StoreDigest]:
    """An archive of a store with a history, and the digest of that."""
    original = Database(MemoryStore())
    for n in range(6):
        version = original.add(f"number {n}", **{**ADD, "run": n})
    original.retire(version.id, reason="test")
    workers.purge_all(original)
    path = tmp_path / "store.tar"
    with Export(original.journal, path) as export:
        export.write()
    return path, store_digest(original.journal)


@steps(
    embedded=["payload copied", "before event", "in event", "after event"],
    mongo=["payload copied", "in event", "after documents", "before done"],
)
def test_an_import_killed_anywhere_is_gone_on_with(url, db, archive, step):
    path, digest = archive
    killed_at(url, step, "import", path=str(path))
    workers.import_from(db, str(path))
    assert store_digest(db.journal) == digest
    check_store(url)


@pytest.mark.slow
def test_an_import_killed_again_and_again_shows_only_what_once_was(url, db, archive):
    path, digest = archive
    rng = random.Random(3)
    seen = set()
    for _ in range(15):
        copying = start(workers.import_until_killed, url, str(path))
        time.sleep(rng.uniform(0.02, 0.4))
        copying.kill()
        copying.join()
        list(Check(db.journal, older_than=3600).run())
        seen.add(db.head)
        # Of each event all or nothing: both copies, with their data.
        for made in db.find(detector=EPIX, experiment=EXPERIMENT):
            assert db.get(EPIX, "notes", run=made.runs.begin)[0] == db.data(made)
    workers.import_from(db, str(path))
    assert store_digest(db.journal) == digest
    check_store(url)


# Another program beside us -----------------------------------------------------------------------


@pytest.mark.mongo
def test_another_programs_documents_are_served_adopted_and_kept(mongo_url):
    import pymongo
    from bson import ObjectId

    from cdb.adoption import adopt, strangers

    with pymongo.MongoClient(mongo_url) as client, open_store(mongo_url) as store:
        db = Database(store)
        db.add("ours", **ADD)
        psana = Psana(client, store)
        theirs = psana.insert("theirs", run=1)
        asked = {"experiment": EXPERIMENT, "run": 1}
        assert db.get(EPIX, "notes", **asked)[0] == "theirs"
        assert db.get(EPIX, "notes", **asked, as_of=1)[0] == "ours"
        db.add("an event", **{**ADD, "run": 3})
        before = [db.get(EPIX, "notes", **asked, as_of=s)[0] for s in (1, 2)]
        gone = psana.insert("gone soon", run=2)
        found = list(strangers(db.journal))
        client["cdb_xpp1"][EPIX].delete_one({"_id": ObjectId(gone)})
        adopted = adopt(db.journal, found)
        assert [version.id for version in adopted] == [theirs]
        assert [db.get(EPIX, "notes", **asked, as_of=s)[0] for s in (1, 2)] == before
        assert db.get(EPIX, "notes", **asked)[0] == "theirs"
        client["cdb_xpp1"][EPIX].delete_one({"_id": ObjectId(theirs)})
        client["cdb_xpp1"][EPIX].update_one({"run": 3}, {"$set": {"comment": "changed"}})
        findings = list(Check(db.journal).run())
        assert [(f.kind, f.mended) for f in findings if f.counts] == [("document", True)] * 2
        assert db.get(EPIX, "notes", **asked)[0] == "theirs"
        assert [f.kind for f in Check(db.journal).run()] == ["foreign"]  # the blob of `gone`


class Psana:
    """Writes as LCLS-II's server does: the blob, then the document, with no event."""

    def __init__(self, client, store: Store) -> None:
        self.client, self.store = client, store

    def insert(self, text: str, run: int) -> str:
        import gridfs
        from bson import ObjectId

        time.sleep(1.1)  # an _id has whole seconds
        database = self.client["cdb_xpp1"]
        blob = gridfs.GridFS(database).put(text.encode())
        document = {
            "_id": ObjectId(), "experiment": EXPERIMENT, "run": run, "run_end": "end",
            "detector": EPIX, "ctype": "notes", "time_sec": 1_600_000_000, "version": "V1",
            "comment": text, "id_data": str(blob), "data_type": "str", "data_size": str(len(text)),
        }  # fmt: skip
        database[EPIX].insert_one(document)
        return str(document["_id"])


# Tags --------------------------------------------------------------------------------------------

TAG_WRITES = [
    ("tags.create", {"name": "new"}, {"old": "open", "new": "open"}),
    ("tags.move", {"name": "old", "state": "testing"}, {"old": "testing"}),
    ("tags.delete", {"name": "old"}, {}),
]


@pytest.mark.parametrize(("call", "arguments", "done"), TAG_WRITES, ids=lambda v: str(v)[:11])
@steps(
    embedded=["before event", "in event", "applied", "after event"],
    mongo=["before event", "in event", "after event", "after documents", "before done"],
)
def test_a_killed_writer_of_a_tag_leaves_all_or_nothing(url, db, step, call, arguments, done):
    if (call, step) == ("tags.delete", "after documents"):
        step = "after retiring"  # it adds none
    db.add("first", **ADD)
    db.tags.create("old")
    killed_at(url, step, call, **arguments)
    states = {tag.name: tag.state for tag in db.tags.list()}
    assert states == (done if db.head == 3 else {"old": "open"})
    assert (db.head == 3) == (step in ("after event", "after documents", "after retiring",
                                       "before done") or (step, is_embedded(url))
                              == ("in event", False))  # fmt: skip
    for name in states:
        assert db.get(EPIX, "notes", experiment=EXPERIMENT, run=1, tag=name)[0] == "first"
    db.tags.create("later")
    check_store(url)
