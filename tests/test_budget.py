"""What goes over the wire: commands and documents, however many versions there are."""

import collections

import pytest
from pymongo import monitoring

from cdb.database import Database
from cdb.stores import open_store
from cdb.stores.base import new_id
from cdb.stores.layout import CONSTANT_INDEXES, JOURNAL_INDEXES, REGISTER_INDEXES

EPIX, EXPERIMENT = "epix_000001", "xpp1"
PAYLOAD = ("fs.files", "fs.chunks")
pytestmark = pytest.mark.mongo


class Wire(monitoring.CommandListener):
    """Counts commands, and the documents that each place sends."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, str]] = []
        self.sent: collections.Counter[str] = collections.Counter()

    def started(self, event) -> None:
        self.commands.append((event.command_name, str(event.command.get(event.command_name))))

    def succeeded(self, event) -> None:
        cursor = event.reply.get("cursor", {})
        batch = cursor.get("firstBatch", cursor.get("nextBatch", ()))
        if batch:
            self.sent[cursor["ns"]] += len(batch)

    def failed(self, event) -> None:
        """Nothing to count; FerretDB knows no `endSessions`."""

    @property
    def besides_payload(self) -> int:
        return sum(collection not in PAYLOAD for _, collection in self.commands)

    @property
    def most_per_place(self) -> int:
        return max((n for ns, n in self.sent.items()
                    if ns.startswith("cdb_") and not ns.endswith(PAYLOAD)), default=0)  # fmt: skip


def watched(url: str) -> tuple[Database, Wire]:
    """Return a database that has not asked anything yet, and what will go over its wire."""
    import pymongo

    from cdb.stores.mongo import MongoStore

    wire = Wire()

    def client(*arguments, event_listeners=(), **options):
        listeners = [*event_listeners, wire]
        return pymongo.MongoClient(*arguments, event_listeners=listeners, **options)

    return Database(MongoStore(url, client=client)), wire


def documents(n: int, begin: int, **more) -> list[dict]:
    """Return stored documents as an add leaves them, seq from `begin` on."""
    made = []
    for number in range(begin, begin + n):
        order = 1_700_000_000_000_000 + number
        made.append(
            {"_id": new_id(order), "detector": EPIX, "ctype": "notes", "experiment": EXPERIMENT,
             "run": 1, "run_end": "end", "end": 2**53, "time_sec": 1_600_000_000, "seq": number,
             "order": order, "data_type": "str", **more}
        )  # fmt: skip
    return made


@pytest.fixture(params=[10, 100, 1000])
def crowded(request, mongo_url) -> tuple[str, int]:
    """A store with many versions, 1,000 retired ones on top, 1,000 closed ranges above the run."""
    n = request.param
    with open_store(mongo_url) as store:
        db = Database(store)
        db.add("first", detector=EPIX, experiment=EXPERIMENT, ctype="notes", run=1, time=1e9)
        blob = db.find(detector=EPIX, experiment=EXPERIMENT)[0].meta["id_data"]
        made = documents(n, 2, id_data=blob)
        gone = documents(1000, n + 2, id_data=blob, out=n + 1003, detector=f"retired:{EPIX}")
        above = documents(1000, n + 2, id_data=blob, run=50, run_end="60", end=60)
        for database in ("cdb_xpp1", "cdb_epix_000001"):
            for group in (made, gone, above):
                store.insert(database, EPIX, group)
        last = {"_id": n + 1003, "at": 1_790_000_000_000_000, "nonce": "x", "actor": "test",
                "host": "test", "action": "add", "reason": "", "previous": "", "open": n + 1003,
                "digest": "x", "versions": []}  # fmt: skip
        store.insert("cdbjournal", "journal", [last])
    return mongo_url, n


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        ({"experiment": EXPERIMENT, "run": 7}, 5),
        ({"experiment": "other1", "run": 7}, 5),
        ({"experiment": "other1", "dbsuffix": "mine", "run": 7}, 5),
        ({"run": 7}, 5),
        ({"experiment": EXPERIMENT, "run": 7, "as_of": 1}, 5),
        ({"experiment": EXPERIMENT, "run": 7, "as_of": "2026-11-01T00:00:00Z"}, 6),
    ],
)
def test_a_cold_get_stays_in_its_budget(crowded, asked, allowed):
    url, _ = crowded
    db, wire = watched(url)
    with db:
        version = db.version(EPIX, "notes", **asked)
        commands = wire.besides_payload
    assert version.runs.begin == (50 if asked.get("experiment") == "other1" else 1)
    assert commands <= allowed, wire.commands
    assert wire.most_per_place <= 4, wire.sent


def test_a_long_name_costs_one_command_more(mongo_url):
    with open_store(mongo_url) as store:
        Database(store).add("x", detector="epix_a-1_b-2", experiment=EXPERIMENT, ctype="notes")
    db, wire = watched(mongo_url)
    with db:
        assert db.get("epix_b-2_a-1", "notes", experiment=EXPERIMENT, run=7)[0] == "x"
    assert wire.besides_payload <= 6, wire.commands


def test_an_add_to_two_databases_stays_in_its_budget(mongo_url):
    names = {"detector": EPIX, "experiment": EXPERIMENT, "ctype": "notes"}
    with open_store(mongo_url) as store:
        Database(store).add("first", run=1, **names)
    db, wire = watched(mongo_url)
    with db:
        for run in (1, 2):
            wire.commands.clear()
            assert db.add(f"text {run}", run=run, **names).new
            assert len(wire.commands) <= 13, wire.commands
        wire.commands.clear()
        assert db.add("text 1", run=3, **names).new  # the payload is shared
        assert len(wire.commands) <= 13, wire.commands


def test_listing_the_types_fetches_no_payload(mongo_url):
    with open_store(mongo_url) as store:
        Database(store).add("x", detector=EPIX, experiment=EXPERIMENT, ctype="notes")
    db, wire = watched(mongo_url)
    with db:
        det = db.detector(EPIX, experiment=EXPERIMENT, run=7)
        assert list(det.calibconst) == ["notes"]
        assert "notes" in det.calibconst
        assert not [c for c in wire.commands if c[1] in PAYLOAD]
        assert det.calibconst["notes"][0] == "x"
    assert [c[1] for c in wire.commands if c[1] in PAYLOAD] == ["fs.files", "fs.chunks"]


def test_the_declared_indexes_are_made(mongo_url):
    import pymongo

    with open_store(mongo_url) as store:
        Database(store).add("x", detector="epix_a-1", experiment=EXPERIMENT, ctype="notes")
    with pymongo.MongoClient(mongo_url) as client:
        for database, collection, indexes in (
            ("cdb_xpp1", EPIX, CONSTANT_INDEXES),
            ("cdb_epix_000001", EPIX, CONSTANT_INDEXES),
            ("cdbjournal", "journal", JOURNAL_INDEXES),
            ("cdb_detnames", "epix", REGISTER_INDEXES),
        ):
            there = client[database][collection].index_information()
            for index in indexes:
                assert there[index.name]["key"] == list(index.fields)
