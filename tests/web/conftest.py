"""Fixtures of the service: an application over a database in memory, and requests to it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from starlette.testclient import TestClient

from cdb.database import Database
from cdb.stores.memory import MemoryStore
from cdb.web.app import make_app
from cdb.web.settings import Settings

SECRET = "an-hs256-secret-of-more-than-32-bytes!"
Serve = Callable[..., TestClient]


@pytest.fixture
def served_db() -> Database:
    """The database that `serve` serves."""
    return Database(MemoryStore())


@pytest.fixture
def serve(served_db: Database) -> Iterator[Serve]:
    """Start a service with settings; give its test client."""
    with ExitStack() as stack:

        def started(
            *,
            client: tuple[str, int] = ("127.0.0.1", 50000),
            routes: Any = (),
            **settings: Any,
        ) -> TestClient:
            app = make_app(Settings(**settings), make_database=lambda: served_db)
            app.router.routes.extend(routes)
            return stack.enter_context(TestClient(app, client=client))

        yield started
