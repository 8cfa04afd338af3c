"""Bodies that end too early or are too long, and ranges: the same in every dialect."""

import asyncio

import pytest

from cdb.errors import BadRange
from cdb.web.requests import range_of
from tests.web.conftest import Serve
from tests.web.v1.service import SECRET, bearer

PAYLOAD = f"/v1/databases/cdb_xpp1/payloads/{'0' * 64}"
WITH_A_BODY = [
    ("POST", "/v1/constants"),
    ("POST", f"/v1/constants/{'0' * 24}/amend"),
    ("PUT", PAYLOAD),
    ("POST", "/calib_ws/cdb_xpp1/gridfs"),
    ("POST", "/calib_ws/cdb_xpp1/epix_000001"),
    ("GET", "/calib_ws/cdb_xpp1/epix_000001"),
]


def cut_off(app, method, path):
    """Send half a body and go away; return what was answered, and what was raised."""
    messages = [
        {"type": "http.request", "body": b'{"half', "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(),
        "query_string": b"", "root_path": "", "scheme": "http", "http_version": "1.1",
        "headers": [
            (b"content-length", b"99"),
            *((n.lower().encode(), v.encode()) for n, v in bearer(admin=True).items()),
        ],
        "client": ("127.0.0.1", 1), "server": ("test", 80),
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    return sent


@pytest.mark.parametrize(("method", "path"), WITH_A_BODY)
def test_who_goes_away_inside_a_body_is_no_fault_of_ours(serve: Serve, method, path):
    client = serve(jwt_secret=SECRET)
    sent = cut_off(client.app, method, path)
    assert sent[0]["status"] == 422
    assert b"ended before it was whole" in sent[1]["body"]


@pytest.mark.parametrize(
    ("header", "bounds"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=9-99", (9, 10)),
        ("bytes=-99", (0, 10)),
        ("bytes=3-2", None),
        ("bytes=12-11", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("", None),
    ],
)
def test_a_range_is_read_as_http_says(header, bounds):
    assert range_of(header, 10) == bounds


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-10", "bytes=-0"])
def test_a_range_that_is_not_there_says_how_much_is(header):
    with pytest.raises(BadRange, match="10 bytes") as caught:
        range_of(header, 10)
    assert caught.value.nbytes == 10
