"""Limits: what is too large, too often or too slow is refused, counted over all workers."""

import asyncio
import multiprocessing
import time

import pytest
from starlette.responses import Response
from starlette.routing import Route

from cdb import tokens
from cdb.errors import TooSlow
from cdb.rights import Rights
from cdb.web.limits import BodyMiddleware, RateLimit
from cdb.web.settings import Settings


async def _size(request):
    return Response(str(len(await request.body())))


ROUTES = [Route("/size", _size, methods=["GET", "POST", "PUT"])]


@pytest.fixture
def header(served_db):
    """What an administrator sends."""

    def made(subject="op"):
        token, _ = tokens.create(served_db.journal, subject, Rights(admin=True))
        return {"Authorization": f"Bearer {token}"}

    return made


# Bodies -------------------------------------------------------------------------------------------


def pieces(number, size=1000):
    for _ in range(number):
        yield bytes(size)


@pytest.mark.parametrize("method", ["POST", "PUT", "GET"])
def test_a_body_up_to_the_limit_is_taken(serve, header, method):
    service = serve(routes=ROUTES, body_limit=4000)
    for body in (bytes(4000), pieces(4)):
        answer = service.request(method, "/size", content=body, headers=header())
        assert (answer.status_code, answer.text) == (200, "4000")


@pytest.mark.parametrize("method", ["POST", "PUT", "GET"])
def test_a_larger_body_is_refused(serve, header, method):
    service = serve(routes=ROUTES, body_limit=4000)
    for body in (bytes(4001), pieces(5)):
        answer = service.request(method, "/size", content=body, headers=header())
        assert answer.status_code == 413
        assert "4000 bytes" in answer.json()["error"]["message"]
        assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("length", ["-1", "1e3", "9" * 30, "x", "\xb2"])
def test_a_length_that_is_none_is_too_large(serve, header, length):
    headers = {"Content-Length": length.encode("latin-1")} | header()
    assert serve(routes=ROUTES).post("/size", content=b"x", headers=headers).status_code == 413


def run(app, receive, send=None, **settings):
    """Pass one POST through the middleware."""
    scope = {"type": "http", "method": "POST", "headers": [(b"content-length", b"10")]}

    async def nothing(message):
        pass

    made = BodyMiddleware(app, Settings(**settings))
    asyncio.run(made(scope, receive, send or nothing))


def test_a_body_that_does_not_come_is_given_up():
    async def app(scope, receive, send):
        await receive()

    async def never():
        await asyncio.sleep(60)

    began = time.monotonic()
    with pytest.raises(TooSlow, match="send it again"):
        run(app, never, body_seconds=1)
    assert time.monotonic() - began < 10


def test_the_end_of_a_connection_may_be_waited_for():
    messages = [{"type": "http.request", "body": b"x" * 10}, {"type": "http.disconnect"}]
    got = []

    async def app(scope, receive, send):
        got.extend([await receive(), await receive()])

    async def slowly():
        if len(messages) == 1:
            await asyncio.sleep(1.5)
        return messages.pop(0)

    run(app, slowly, body_seconds=1)
    assert got[1]["type"] == "http.disconnect"


def test_a_reader_that_takes_nothing_is_cut_off():
    async def app(scope, receive, send):
        await send({"type": "http.response.body", "body": bytes(10**6), "more_body": True})

    async def stuck(message):
        await asyncio.sleep(60)

    with pytest.raises(ConnectionAbortedError, match="took no bytes"):
        run(app, None, stuck, send_seconds=1)


# Rates --------------------------------------------------------------------------------------------


class Clock:
    """A clock that is set."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_a_burst_is_admitted_and_then_the_rate(clock):
    limit = RateLimit(10, 5, now=clock)
    assert [limit.wait(b"a") for _ in range(5)] == [0.0] * 5
    assert limit.wait(b"a") == pytest.approx(0.1)
    clock.now += 0.1
    assert [limit.wait(b"a") > 0 for _ in range(2)] == [False, True]
    clock.now += 60
    assert sum(limit.wait(b"a") == 0 for _ in range(50)) == 5


def test_each_is_counted_for_itself(clock):
    limit = RateLimit(1, 1, now=clock)
    assert [limit.wait(name) > 0 for name in (b"a", b"b", b"a", b"b")] == [False, False, True, True]


def test_more_callers_than_places_are_counted_together_at_worst(clock, monkeypatch):
    monkeypatch.setattr(RateLimit, "SLOTS", 4)
    limit = RateLimit(1, 2, now=clock)
    admitted = [limit.wait(b"%d" % number) == 0 for number in range(40)]
    assert admitted[:4] == [True] * 4
    assert sum(admitted) <= 8
    clock.now += 60
    assert limit.wait(b"99") == 0


def _ask(path, number, results):
    limit = RateLimit(1, 500, path)
    results.put(sum(limit.wait(b"one") == 0 for _ in range(number)))


def test_all_processes_count_together(tmp_path):
    path = tmp_path / "rates"
    RateLimit.make(path)
    assert path.stat().st_mode & 0o777 == 0o600
    spawn = multiprocessing.get_context("spawn")
    results = spawn.Queue()
    workers = [spawn.Process(target=_ask, args=(path, 400, results)) for _ in range(3)]
    for worker in workers:
        worker.start()
    admitted = sum(results.get(timeout=60) for _ in workers)
    for worker in workers:
        worker.join()
    # One a second comes in while they run; a count is lost where a lock was not to be had.
    assert 500 <= admitted <= 520


def test_who_asks_too_often_is_told_when_to_come_back(serve, header):
    service = serve(routes=ROUTES, rate_limit=1, rate_burst=2)
    mona, other = header("mona"), header("other")
    codes = [service.get("/size", headers=mona).status_code for _ in range(3)]
    assert codes == [200, 200, 429]
    refused = service.get("/size", headers=mona)
    assert int(refused.headers["Retry-After"]) >= 1
    assert "come back" in refused.json()["error"]["message"]
    assert service.get("/size", headers=other).status_code == 200


def test_who_makes_up_tokens_is_counted_by_his_address(serve):
    service = serve(routes=ROUTES, rate_limit=1, rate_burst=3)
    made_up = [{"Authorization": f"Bearer cdb_{number:043}"} for number in range(5)]
    codes = [service.post("/size", headers=headers).status_code for headers in made_up]
    assert codes == [401, 401, 401, 429, 429]


def test_there_is_no_limit_unless_it_is_set(serve, header):
    service, headers = serve(routes=ROUTES), header()
    assert {service.get("/size", headers=headers).status_code for _ in range(300)} == {200}
