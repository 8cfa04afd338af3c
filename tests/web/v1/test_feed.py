import asyncio
import json
import threading
import time
from typing import Any

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from cdb import tokens
from cdb.database import Database
from cdb.rights import Rights
from cdb.stores import Store
from cdb.stores.memory import MemoryStore
from cdb.web import feed
from cdb.web.access import Caller
from cdb.web.service import Heads, Service
from cdb.web.settings import Settings
from tests.web.v1.service import EPIX, bearer, deployment, serving


def test_events_come_in_pages(client: TestClient) -> None:
    for run in range(5):
        client.post("/v1/constants", json=deployment(run=run))
    seen, after = [], 0
    while after < 5:
        page = client.get(f"/v1/events?after={after}&limit=2").json()
        seen += [event["_id"] for event in page["events"]]
        after = page["next"]
    assert seen == [1, 2, 3, 4, 5]
    last = client.get("/v1/events?after=5").json()
    assert (last["events"], last["next"]) == ([], 5)


def test_each_reader_sees_what_he_may_read(quick_store: Store) -> None:
    with serving(quick_store, anonymous_read=False) as client:
        for experiment in ("xpp1", "rix1"):
            client.post("/v1/constants", json=deployment(experiment, experiment=experiment))
        eve = bearer("eve", read=["cdb_xpp*"])
        page = client.get("/v1/events", headers=eve).json()
        (event,) = page["events"]
        assert [e["database"] for e in event["versions"]] == ["cdb_xpp1"]
        assert event["partial"]
        assert page["next"] == 2
        assert "rix1" not in json.dumps(page)
        assert client.get("/v1/events", headers=bearer("bob")).status_code == 403
        assert client.get("/v1/events", headers={"Authorization": ""}).status_code == 401


def test_tokens_are_seen_by_administrators_alone() -> None:
    store = MemoryStore()
    tokens.create(Database(store).journal, "lisa", Rights(read=("*",)))
    with serving(store) as client:
        assert client.get("/v1/events", headers=bearer("eve", read=["*"])).json()["events"] == []
        assert len(client.get("/v1/events").json()["events"]) == 1


def test_who_waits_is_answered_when_an_event_comes(client: TestClient, quick_store: Store) -> None:
    def write() -> None:
        Database(quick_store).add("text", detector=EPIX, ctype="notes")

    writer = threading.Timer(0.3, write)
    writer.start()
    began = time.monotonic()
    page = client.get("/v1/events?wait=20").json()
    writer.join()
    assert [event["_id"] for event in page["events"]] == [1]
    assert time.monotonic() - began < 10


def test_who_waits_in_vain_gets_an_empty_page(quick_client: TestClient) -> None:
    assert quick_client.get("/v1/events?wait=1").json()["events"] == []


def test_a_stream_goes_on_where_it_ended(client: TestClient) -> None:
    for run in range(3):
        client.post("/v1/constants", json=deployment(run=run))
    _, second, third = _first(client, 3, after=1)
    assert second.startswith(b"id: 2\nevent: journal\ndata: {")
    assert json.loads(third.partition(b"data: ")[2])["_id"] == 3


def _first(client: TestClient, number: int, **asked: Any) -> list[bytes]:
    """Return the first messages of a stream, which has no end that a test client could wait for."""
    found: list[bytes] = []

    async def stream() -> None:
        app, caller = client.app, Caller("mona", admin=True)

        async def caller_at(moment: object) -> Caller:
            return caller

        scope = {"type": "http", "app": app, "caller": caller, "caller_at": caller_at,
                 "headers": [(b"accept", b"text/event-stream")]}  # fmt: skip
        answer = await feed.events(Request(scope), asked)
        async for piece in answer.body_iterator:  # type: ignore[attr-defined]
            found.append(piece)
            if len(found) == number:
                return

    asyncio.run(stream())
    return found


@pytest.mark.parametrize("last", ["x", "-1", "9" * 30])
def test_a_stream_from_nowhere_is_refused(quick_client: TestClient, last: str) -> None:
    headers = {"Accept": "text/event-stream", "Last-Event-ID": last}
    assert quick_client.get("/v1/events", headers=headers).status_code == 400


def test_the_head_is_asked_once_for_all_who_wait() -> None:
    db = Database(MemoryStore(transactional=False))
    asked = []

    def question() -> object:
        asked.append(None)
        time.sleep(0.05)
        return db.journal.head()

    async def many() -> None:
        heads = Heads()
        await asyncio.gather(*(heads.ask(question) for _ in range(50)))  # type: ignore[arg-type]

    asyncio.run(many())
    assert len(asked) <= 2


def test_a_head_is_asked_after_the_question() -> None:
    """What was under way may have been answered before a write that the caller knows of."""
    answers = iter(range(10))

    def question() -> int:
        answer = next(answers)
        time.sleep(0.05)
        return answer

    async def late() -> int:
        heads = Heads()
        first = asyncio.ensure_future(heads.ask(question))  # type: ignore[arg-type]
        await asyncio.sleep(0.02)
        second = await heads.ask(question)  # type: ignore[arg-type]
        await first
        return second  # type: ignore[return-value]

    assert asyncio.run(late()) == 1


def test_an_admin_sees_an_event_that_is_nobody_elses() -> None:
    event = {"_id": 1, "versions": [{"database": "cdbjournal"}], "pending": True}
    assert feed.visible(event, Caller(read=("*",))) is None
    assert feed.visible(event, Caller(admin=True)) == {"_id": 1, "versions": event["versions"]}


def test_a_service_knows_its_state() -> None:
    service = Service(Database(MemoryStore()), Settings())
    assert asyncio.run(service.moment()).seq == 0
