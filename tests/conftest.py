"""Fixtures for all tests: the stores, a database on each, a server of MongoDB's protocol."""

import os
from collections.abc import Iterator
from pathlib import Path

import pymongo
import pytest

from cdb.database import Database
from cdb.stores import Store, open_store
from cdb.stores.cache import Cache
from cdb.stores.cached import CachedStore
from cdb.stores.memory import MemoryStore
from tests import mongo_server, psana_clients, service

DATA = Path(__file__).parents[2] / "shared" / "data"
EPIX = "epix_000001"


@pytest.fixture(autouse=True, scope="session")
def _nothing_of_the_users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the home and the settings of who runs the tests out of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CDB_CACHE", str(tmp_path_factory.mktemp("cache", numbered=True)))
        patch.delenv("CDB_GATES", raising=False)
        # What runs several tests at a time sets it, and output is told by its lines.
        patch.delenv("COLUMNS", raising=False)
        yield


@pytest.fixture(scope="session")
def server_can_start() -> None:
    """Skip, with the reason, where no server that speaks MongoDB's protocol can be had."""
    try:
        _, stop = mongo_server.start()
    except mongo_server.Unavailable as reason:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no MongoDB server for tests: {reason}")
    stop()


@pytest.fixture(scope="session")
def psana_python() -> str:
    """The Python of psana's environment; skips, with the reason, where it cannot be had."""
    try:
        return psana_clients.python()
    except psana_clients.Unavailable as reason:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def lent_server() -> str | None:
    """Address of a server that somebody lends; it must hold nothing of ours, for it is wiped."""
    url = os.environ.get("CDB_TEST_MONGODB")
    if url and databases_of_ours(url):
        pytest.exit(f"CDB_TEST_MONGODB={url} holds databases named cdb*: tests would remove them")
    return url


@pytest.fixture
def mongo_url(server_can_start: None, lent_server: str | None) -> Iterator[str]:
    """Address of a server that speaks MongoDB's protocol and holds nothing.

    Each test has a server of its own, which starts in 0.1 s: FerretDB does not survive that
    databases are dropped while others use them.
    """
    url, stop = mongo_server.start()
    yield url
    if lent_server:
        for name in databases_of_ours(url):
            with pymongo.MongoClient(url) as client:
                client.drop_database(name)
    stop()


def databases_of_ours(url: str) -> list[str]:
    """Return the databases that the library makes."""
    with pymongo.MongoClient(url) as client:
        return [name for name in client.list_database_names() if name.startswith("cdb")]


def mocked_mongo() -> Store:
    """Return a Mongo store on mongomock."""
    import mongomock
    from mongomock.gridfs import enable_gridfs_integration

    from cdb.stores.mongo import MongoStore

    enable_gridfs_integration()
    client = mongomock.MongoClient()
    return MongoStore("mongodb://mock/", client=lambda *_, **__: client)


QUICK = ["memory", "pending", "embedded", "mock", "cached"]
KINDS = [*QUICK, pytest.param("mongo", marks=pytest.mark.mongo)]


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Every store; ``pending`` is one in memory that commits in steps, as MongoDB does."""
    with make_store(request, tmp_path) as store:
        yield store


def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Return the store that a parameter names."""
    if request.param == "memory":
        return MemoryStore()
    if request.param == "pending":
        return MemoryStore(transactional=False)
    if request.param == "embedded":
        return open_store((tmp_path / "store").as_uri())
    if request.param == "cached":
        folder = (tmp_path / "store").as_uri()
        return CachedStore(open_store(folder), Cache(tmp_path / "cache"))
    if request.param == "mock":
        return mocked_mongo()
    return open_store(request.getfixturevalue("mongo_url"))


@pytest.fixture(params=QUICK)
def quick_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Every store that needs no server."""
    with make_store(request, tmp_path) as store:
        yield store


@pytest.fixture(params=["embedded", pytest.param("mongo", marks=pytest.mark.mongo)])
def shared_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """The stores that several processes share."""
    with make_store(request, tmp_path) as store:
        yield store


@pytest.fixture
def db(store: Store) -> Database:
    """A database on every store."""
    return Database(store)


@pytest.fixture(params=[*KINDS, "service", pytest.param("wire", marks=pytest.mark.mongo)])
def any_db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database on every store, and behind a service: for what all of them answer alike.

    The store of ``service`` is an embedded one, that of ``wire`` a MongoDB server.
    """
    yield from any_database(request, tmp_path)


@pytest.fixture(params=[*KINDS, "service in memory", pytest.param("wire", marks=pytest.mark.mongo)])
def db_of_others(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """As `any_db`, of stores where other programs write beside us.

    Nobody else writes payloads into an embedded store, where a digest names each: over a service
    bytes are had by their digest, or by the id that another program gave them.
    """
    yield from any_database(request, tmp_path)


def any_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Yield the database that a parameter names."""
    made = {
        "service": lambda: open_store((tmp_path / "store").as_uri()),
        "service in memory": MemoryStore,
        "wire": lambda: open_store(request.getfixturevalue("mongo_url")),
    }
    if request.param not in made:
        with make_store(request, tmp_path) as store:
            yield Database(store)
        return
    with (
        made[request.param]() as store,
        service.serving(store) as served,
        service.remote(served, tmp_path / "cache") as db,
    ):
        db.served = served.db  # type: ignore[attr-defined]
        yield db


@pytest.fixture
def memory_db() -> Database:
    """A database in memory, for rules that no store changes."""
    return Database(MemoryStore())


@pytest.fixture
def pending_db() -> Database:
    """A database in memory that commits in steps, as on MongoDB."""
    return Database(MemoryStore(transactional=False))


@pytest.fixture
def quick_db(quick_store: Store) -> Database:
    """A database on every store that needs no server."""
    return Database(quick_store)
