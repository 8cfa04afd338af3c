"""At the stop feeds end, whether they had begun or not; other requests are left in peace."""

import asyncio

import pytest

from cdb.web.stopping import FeedMiddleware, Stopping

START = {"type": "http.response.start", "status": 200, "headers": []}


def feed(app, *, path="/v1/events", stop_after=0.05):
    """Ask for a feed, and begin to stop meanwhile; return what was sent."""
    sent = []

    async def send(message):
        sent.append(message)

    async def asked():
        stopping = Stopping()
        asyncio.get_running_loop().call_later(stop_after, stopping.begin)
        scope = {"type": "http", "path": path, "method": "GET"}
        await asyncio.wait_for(FeedMiddleware(app, stopping)(scope, None, send), 5)

    asyncio.run(asked())
    return sent


async def endless(scope, receive, send):
    await send(START)
    while True:
        await send({"type": "http.response.body", "body": b":\n\n", "more_body": True})
        await asyncio.sleep(0.01)


async def waiting(scope, receive, send):
    await asyncio.sleep(60)


async def finished(scope, receive, send):
    await send(START)
    await send({"type": "http.response.body", "body": b"[]"})


def test_a_feed_that_has_begun_ends():
    sent = feed(endless)
    assert sent[-1] == {"type": "http.response.body", "body": b""}


def test_who_waits_for_an_event_is_told_to_ask_again():
    sent = feed(waiting)
    assert sent[0]["status"] == 502
    assert b"ask again" in sent[1]["body"]


def test_a_feed_that_is_over_is_left_as_it_is():
    assert len(feed(finished)) == 2


def test_other_requests_are_left_in_peace():
    async def slow(scope, receive, send):
        await asyncio.sleep(0.2)
        await finished(scope, receive, send)

    for path in ("/v1/constants", "/calib_ws/cdb_xpp1/events", "/v1/databases/events"):
        assert len(feed(slow, path=path)) == 2


def test_what_goes_wrong_in_a_feed_is_not_hidden():
    async def broken(scope, receive, send):
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        feed(broken)


def test_a_feed_that_comes_after_the_stop_began_ends():
    assert feed(waiting, stop_after=0)[0]["status"] == 502
