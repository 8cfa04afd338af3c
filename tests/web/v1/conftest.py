"""Fixtures for the service: one on every quick store, asked without a network."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from cdb.stores import Store
from cdb.stores.memory import MemoryStore
from tests.web.v1.service import serving


@pytest.fixture
def client(quick_store: Store) -> Iterator[TestClient]:
    """An administrator of a service, on every store that needs no server."""
    with serving(quick_store) as client:
        yield client


@pytest.fixture
def quick_client() -> Iterator[TestClient]:
    """An administrator of a service in memory, for what no store changes."""
    with serving(MemoryStore()) as client:
        yield client
