"""A feed lasts no longer than the right of who reads it; all feeds share one look at the head."""

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from cdb import tokens
from cdb.database import Database
from cdb.rights import Rights
from cdb.stores import Store
from cdb.web import feed, jwt_keys
from tests.service import SECRET, Service, serving

EPIX = "epix_000001"


@pytest.fixture
def service(shared_store: Store) -> Iterator[Service]:
    """A service, on the stores that several processes share."""
    with serving(shared_store) as service:
        Database(shared_store).add("first", detector=EPIX, ctype="notes")
        yield service


Ask = Callable[..., http.client.HTTPResponse]


@pytest.fixture
def asked() -> Iterator[Ask]:
    """Ask a service, over a connection of its own that is closed at the end."""
    with contextlib.ExitStack() as stack:

        def ask(
            service: Service, path: str, token: str, **headers: str
        ) -> http.client.HTTPResponse:
            connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}", **headers})
            answer = connection.getresponse()
            stack.callback(connection.close)
            stack.callback(answer.close)
            return answer

        yield ask


@pytest.fixture
def stream(asked: Ask) -> Ask:
    """Ask for a stream of server-sent events."""
    return lambda service, token: asked(service, "/v1/events", token, Accept="text/event-stream")


def messages(answer: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
    """Yield kind and data of a stream's messages, until it ends."""
    kind = ""
    for line in answer:
        if line.startswith(b"event: "):
            kind = line[7:].decode().strip()
        elif line.startswith(b"data: "):
            yield kind, json.loads(line[6:])


def signed(seconds: float) -> str:
    claims = {"sub": "eve", "exp": time.time() + seconds, "cdb": {"read": ["*"]}}
    return jwt.encode(claims, SECRET, "HS256")


def test_a_stream_ends_when_its_token_is_revoked(service: Service, stream: Ask) -> None:
    token, grant = tokens.create(service.db.journal, "eve", Rights(read=("*",)))
    coming = messages(stream(service, token))
    assert next(coming)[1]["_id"] == 1
    tokens.revoke(service.db.journal, grant.id)
    service.db.add("not for eve", detector=EPIX, ctype="notes")
    kind, said = next(coming)
    assert (kind, said["error"]["code"]) == ("error", "NotAuthenticated")
    assert list(coming) == []


def test_a_stream_ends_when_its_token_expires(
    service: Service, stream: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwt_keys, "LEEWAY", 0)
    began = time.monotonic()
    *_, (kind, said) = messages(stream(service, signed(2)))
    assert (kind, said["error"]["code"]) == ("error", "NotAuthenticated")
    assert time.monotonic() - began < 2 + 2 * feed.ASKED_SECONDS


def test_who_waits_is_refused_when_his_token_is_revoked(service: Service, asked: Ask) -> None:
    token, grant = tokens.create(service.db.journal, "eve", Rights(read=("*",)))
    taking = threading.Timer(0.5, tokens.revoke, (service.db.journal, grant.id))
    taking.start()
    answer = asked(service, "/v1/events?after=2&wait=20", token)
    assert answer.status == 401
    assert b"revoked" in answer.read()
    taking.join()


def test_who_waits_is_refused_when_his_token_expires(
    service: Service, asked: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwt_keys, "LEEWAY", 0)
    began = time.monotonic()
    assert asked(service, "/v1/events?after=1&wait=30", signed(2)).status == 401
    assert time.monotonic() - began < 2 + 2 * feed.ASKED_SECONDS


def test_all_who_wait_share_one_look_at_the_head(
    tmp_path: Path, asked: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cdb

    looks = []
    with cdb.open(tmp_path.as_uri()) as db, serving(db.store, anonymous_read=True) as service:
        db.add("first", detector=EPIX, ctype="notes")
        ask = type(service.db).moment

        def counted(self: Database, *args: Any, **named: Any) -> Any:
            looks.append(threading.get_ident())
            return ask(self, *args, **named)

        for _ in range(100):
            asked(service, "/v1/events?after=1", "", Accept="text/event-stream").readline()
        time.sleep(0.5)
        monkeypatch.setattr(type(service.db), "moment", counted)
        time.sleep(2)
        monkeypatch.undo()
    assert 10 < len(looks) < 60  # twenty a second, however many wait


def test_the_store_that_does_not_answer_ends_what_waits(
    service: Service, stream: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cdb.errors import StoreUnavailable

    def away(*_: object, **__: object) -> Any:
        raise StoreUnavailable("the store is away; try again")

    coming = messages(stream(service, signed(60)))
    assert next(coming)[1]["_id"] == 1
    monkeypatch.setattr(service.db.journal, "head", away)
    monkeypatch.setattr(service.db.journal, "moment", away)
    assert [(kind, said["error"]["code"]) for kind, said in coming] == [
        ("error", "StoreUnavailable")
    ]
