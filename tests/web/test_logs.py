"""Every write is logged, admitted or refused, with who and from where; never a secret."""

import json
import logging

import jwt
import pytest
from starlette.responses import Response
from starlette.routing import Route

from cdb import tokens
from cdb.errors import NotAllowed
from cdb.rights import Rights
from cdb.web.logs import JsonLines, without_secrets
from tests.web.conftest import SECRET


async def _fine(request):
    return Response("x")


async def _refused(request):
    raise NotAllowed("mona may not")


async def _broken(request):
    raise RuntimeError(f"token {request.headers['authorization']}")


METHODS = ["GET", "POST", "PUT", "DELETE"]
ROUTES = [
    Route("/fine", _fine, methods=METHODS),
    Route("/refused", _refused, methods=METHODS),
    Route("/broken", _broken, methods=METHODS),
]


@pytest.fixture
def token(served_db):
    return tokens.create(served_db.journal, "mona", Rights(write=("*",)))[0]


@pytest.fixture
def said(serve, token, caplog):
    """Ask for something; give the lines that are written about it."""
    caplog.set_level("DEBUG")
    caplog.handler.setFormatter(JsonLines())

    def asked(method, path, *, named=True, body=b"", **settings):
        service = serve(routes=ROUTES, client=("134.79.1.2", 7), **settings)
        caplog.clear()
        headers = {"Authorization": f"Bearer {token}"} if named else {}
        service.request(method, path, headers=headers, content=body)
        lines = [JsonLines().format(r) for r in caplog.records if r.name == "cdb.web.logs"]
        return [json.loads(line) for line in lines]

    return asked


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_an_admitted_write_is_logged_with_actor_and_address(said, method):
    (line,) = said(method, "/fine")
    assert (line["message"], line["level"], line["status"]) == ("write admitted", "INFO", 200)
    assert (line["actor"], line["address"]) == ("mona", "134.79.1.2")
    assert (line["method"], line["path"]) == (method, "/fine")


def test_a_refused_write_is_logged(said):
    (line,) = said("POST", "/refused")
    assert (line["message"], line["actor"], line["status"]) == ("write refused", "mona", 403)
    (line,) = said("POST", "/fine", named=False)
    assert (line["message"], line["actor"], line["status"]) == ("write refused", "", 401)
    assert line["address"] == "134.79.1.2"


def test_what_is_refused_by_its_length_is_logged_with_its_actor(said):
    (line,) = said("POST", "/fine", body=bytes(2000), body_limit=1024)
    assert (line["message"], line["status"]) == ("write refused", 413)
    assert (line["actor"], line["address"]) == ("mona", "134.79.1.2")


def test_a_refused_read_is_logged_and_others_are_not(said):
    assert [line["message"] for line in said("GET", "/refused")] == ["read refused"]
    assert said("GET", "/fine") == []


def test_every_request_is_logged_where_one_looks_for_a_fault(said):
    assert [line["message"] for line in said("GET", "/fine", log_level="DEBUG")] == [
        "request answered"
    ]


def test_what_follows_the_question_mark_is_not_logged(said):
    (line,) = said("POST", "/fine?token=hidden&password=hidden")
    assert "hidden" not in json.dumps(line)


def test_a_long_path_is_cut(said):
    (line,) = said("POST", "/" + 5000 * "x")
    assert len(line["path"]) == 500


@pytest.mark.parametrize(
    "secret",
    [
        "cdb_" + 42 * "k" + "K",
        jwt.encode({"sub": "mona"}, SECRET, "HS256"),
        "mongodb://cdb-writer:hunter2@db1/",
        "mongodb://cdb-writer:hun/ter2@db1/",
        "Authorization: Bearer hunter2",
        "authorization: negotiate hunter2==",
        "Authorization: Basic hunter2",
        "https://user:hunter2@service/v1",
        "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----",
    ],
)
def test_secrets_are_struck_out(secret):
    struck = without_secrets(f"before {secret} after")
    assert "***" in struck
    assert "hunter2" not in struck
    assert struck.startswith("before ")
    for part in secret.split("."):
        assert len(part) < 20 or part not in struck


def test_names_of_databases_are_no_secrets():
    text = "GET /v1/databases/cdb_epix10ka_000001_a_private_database_of_49_chrs/payloads"
    assert without_secrets(text) == text


def test_a_line_is_json_whatever_is_said():
    record = logging.makeLogRecord({"msg": 'a "quote"\n and %s', "args": ("b",), "extra": {1: 2}})
    line = JsonLines().format(record)
    assert "\n" not in line
    assert json.loads(line)["message"] == 'a "quote"\n and b'


def test_a_traceback_holds_no_token(token):
    try:
        raise RuntimeError(f"token {token}")
    except RuntimeError as error:
        info = (type(error), error, error.__traceback__)
    line = JsonLines().format(logging.makeLogRecord({"msg": "failed", "exc_info": info}))
    assert "RuntimeError" in line
    assert token not in line


SENT = [
    ("GET", "/v1/constants?detector={}", {}, None),
    ("GET", "/v1/constants/{}", {}, None),
    ("GET", "/{}", {}, None),
    ("GET", "/calib_ws/cdb_xpp1/{}?query_string={}", {}, None),
    (
        "GET",
        "/v1/info",
        {"X-Token": "{}", "Cookie": "t={}", "Referer": "https://a/?t={}"},
        None,
    ),
    ("POST", "/v1/constants", {"Idempotency-Key": "{}"}, {"detector": "{}", "ctype": "notes"}),
    ("POST", "/v1/constants/{}/retire?token={}", {}, {"reason": "{}"}),
    ("PUT", "/v1/databases/{}/payloads/{}", {}, {"token": "{}"}),
    ("POST", "/calib_ws/cdb_xpp1/{}/", {"Content-Type": "{}"}, {"{}": "{}"}),
    ("DELETE", "/calib_ws/cdb_xpp1/{}/{}", {}, None),
]


@pytest.mark.parametrize("authorization", ["Bearer {}", "Bearer {}x", "Basic {}", "Negotiate {}"])
@pytest.mark.parametrize("kind", ["opaque", "signed"])
def test_no_line_holds_a_token_wherever_it_was_sent(serve, token, caplog, authorization, kind):
    now = {"sub": "mona", "exp": 4_000_000_000, "cdb": {"write": ["*"]}}
    secret = token if kind == "opaque" else jwt.encode(now, SECRET, "HS256")
    caplog.set_level("DEBUG")
    service = serve(log_level="DEBUG", jwt_secret=SECRET, anonymous_read=True)
    caplog.clear()
    for method, path, headers, body in SENT:
        sent = {name: value.format(secret) for name, value in headers.items()}
        sent["Authorization"] = authorization.format(secret)
        raw = json.dumps(body).replace("{}", secret) if body else ""
        service.request(method, path.replace("{}", secret), headers=sent, content=raw)
    lines = [JsonLines().format(record) for record in caplog.records]
    assert len([line for line in lines if '"cdb.web.logs"' in line]) == len(SENT)
    for line in lines:
        for part in (*secret.split("."), SECRET):
            assert len(part) < 20 or part not in line
