"""Fixtures for the service: one on every quick store, asked without a network."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from cdb.stores import Store
from cdb.stores.memory import MemoryStore
from tests.conftest import make_store
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


@pytest.fixture(params=["memory", "embedded", pytest.param("mongo", marks=pytest.mark.mongo)])
def every_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """The stores that one serves, that on the wire among them."""
    with make_store(request, tmp_path) as store:
        yield store


@pytest.fixture
def every_client(every_store: Store) -> Iterator[TestClient]:
    """An administrator of a service, on the stores that one serves."""
    with serving(every_store) as client:
        yield client
