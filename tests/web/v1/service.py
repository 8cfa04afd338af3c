"""A service in this process, and callers with tokens."""

import base64
import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jwt
import numpy as np
from starlette.testclient import TestClient

from cdb import payload
from cdb.database import Database
from cdb.stores import Store
from cdb.web.app import make_app
from cdb.web.settings import Settings

SECRET = "a secret for tests, of 32 bytes and more"
EPIX = "epix_000001"


def bearer(name: str = "mona", **rights: Any) -> dict[str, str]:
    """Return the headers of a caller with rights."""
    claims = {"sub": name, "exp": time.time() + 3600, "cdb": rights}
    return {"Authorization": f"Bearer {jwt.encode(claims, SECRET, 'HS256')}"}


@contextmanager
def serving(
    store: Store, *, make: Callable[[Store], Database] = Database, **settings: Any
) -> Iterator[TestClient]:
    """Serve a store; requests come from an administrator unless they say otherwise."""
    settings = {"jwt_secret": SECRET, "anonymous_read": True, **settings}
    app = make_app(Settings(**settings), make_database=lambda: make(store))
    with TestClient(app, headers=bearer("mona", admin=True)) as client:
        yield client


def deployment(data: Any = "some text", *, inline: bool = True, **more: Any) -> dict[str, Any]:
    """Return the body of a deployment."""
    encoded = payload.encode(data)
    raw = bytes(encoded.data)
    sent = {"base64": base64.b64encode(raw).decode()} if inline else {}
    return {
        "detector": EPIX,
        "ctype": "notes",
        "payload": {
            "fields": encoded.fields,
            "sha256": hashlib.sha256(raw).hexdigest(),
            "nbytes": len(raw),
            **sent,
        },
    } | more


def pedestals(value: float = 0) -> np.ndarray[Any, Any]:
    return np.full((2, 3), value, "float32")
