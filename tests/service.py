"""A service on loopback: a real server of HTTP in a thread, over any store."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jwt
import uvicorn

from cdb.actor import actor
from cdb.database import Database
from cdb.remote import RemoteDatabase
from cdb.rights import Rights
from cdb.stores import Store
from cdb.stores.cache import Cache
from cdb.stores.rest import RestStore
from cdb.web.app import make_app
from cdb.web.settings import Settings

SECRET = "an-hs256-secret-of-more-than-32-bytes!"


def token_of(name: str) -> str:
    """Return a token of a subject."""
    return jwt.encode({"sub": name, "exp": int(time.time()) + 3600}, SECRET, algorithm="HS256")


class Service:
    """A server that can be stopped and started again at the same address.

    Its administrator is who runs the tests, so that events name the same writer as elsewhere.
    """

    def __init__(self, db: Database, **settings: object) -> None:
        self.db = db
        self.settings = Settings(
            jwt_secret=SECRET, rights={actor().login: Rights(admin=True)}, **settings
        )
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Listen; return when requests are taken."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        app = make_app(self.settings, make_database=lambda: self.db)
        config = uvicorn.Config(
            app, log_config=None, timeout_graceful_shutdown=1, timeout_keep_alive=60
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listener],))
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            time.sleep(0.002)

    def stop(self) -> None:
        """Close all connections."""
        self._server.should_exit = True
        self._thread.join(30)


@contextmanager
def serving(store: Store, **settings: object) -> Iterator[Service]:
    """Serve a store."""
    service = Service(Database(store), **settings)
    try:
        yield service
    finally:
        service.stop()


@contextmanager
def remote(
    service: Service, cache: Path | None, name: str | None = None
) -> Iterator[RemoteDatabase]:
    """Open a service as somebody; without a name as its administrator."""
    token = token_of(name or actor().login)
    with RemoteDatabase(RestStore(service.url, token=token), cache and Cache(cache)) as db:
        yield db


def behind(db: Database) -> Database:
    """Return the database that a service serves; any other is its own."""
    served: Database = getattr(db, "served", db)
    return served
