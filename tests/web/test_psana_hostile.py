"""psana's dialect and the hostile: whatever comes, on a folder and on the wire, is no 5xx."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from cdb.database import Database
from cdb.stores import Store
from cdb.web.app import make_app
from cdb.web.settings import Settings
from tests.web.test_psana import ABSENT, DB, SHORT, Site, for_any_caller

Request = tuple[str, str, dict[str, Any]]


@pytest.fixture
def site(shared_store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A site whose answers show faults as 500, on each store that several processes share."""
    db = Database(shared_store)
    app = make_app(Settings(), make_database=lambda: db)
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as http:
        site = for_any_caller(Site(db, http), monkeypatch)
        for run in range(3):
            site.file(run=run, listed=[{"x": 1}])
        site("POST", f"/{DB}/notes/", json={"run": "five", "list": [1, 2], "sub": {"x": 1}})
        site("POST", "/cdb_detnames/epix/", json={"long": "epix_a", "short": "epix_000009"})
        yield site


def faults(site: Site, requests: Iterable[Request]) -> list[str]:
    """Return what the server does not answer as the client's fault, or at all; nothing, if well."""
    found = []
    for method, path, more in requests:
        answer = site(method, path, **more)
        if answer.status_code >= 500:
            found.append(f"{method} {path:.60} {more!s:.60}: {answer.status_code} {answer.text}")
    return found


HUGE = "0x" + "f" * 5000
EVERY = '{"run": {"$lt": 9, "$lte": 9, "$gt": 1, "$gte": 1, "$ne": 5, "$in": [1], "$exists": true}}'
BAD_QUERIES = [
    f"{{'a': {HUGE}}}", f"{{'a': [{HUGE}]}}", f"{{'a': {{'$in': [{HUGE}]}}}}",
    f"{{'a': {{'$in': {HUGE}}}}}", f"{{'a': {{{HUGE}: 1}}}}", f"{{'a': {{'$lt': {HUGE}}}}}",
    f"{{'$or': {HUGE}}}", f"{{{HUGE}: 1}}", HUGE,
    '{"a..b": 1}', '{".a": 1}', '{"a.": 1}', '{".": 1}', "{'a': {1: 2}}", "{'a': 1j}",
    "{'a': b'x'}", "{'a': ...}", "{('a',): 1}", "{None: 1}", "{'a': (1, 2)}", "{**{}}",
    "lambda: 1", "\ufeff{}", "{'a': " + "-" * 5000 + "1}", json.dumps({"$" + "x" * 10**5: 1}),
    # More than SQLite takes, in values and in depth.
    "{'run': {'$in': (" + "1, " * 15_000 + ")}}",
    '{"$or": [' + ", ".join(['{"run": {"$in": [' + "1, " * 8_999 + "1]}}"] * 5) + "]}",
    '{"$or": [' + ", ".join(["{}"] * 1200) + "]}", '{"$and": [' + ", ".join([EVERY] * 200) + "]}",
]  # fmt: skip
ODD_QUERIES = [
    '{"run.x": 1}', '{"run.x": null}', '{"sub.x": 1}', '{"list.x": {"$exists": false}}',
    '{"_id.x": 1}', '{"a.$b": 1}', '{"a.0": 1}', json.dumps({".".join("a" * 100): 1}),
    json.dumps({"a" * 10**5: 1}), '{"run": {"$in": []}}', '{"run": {"$in": [null, true, 1.5]}}',
    '{"run": null}', '{"run": true}', '{"run": 1e308}', '{"run": -9223372036854775808}',
    '{"run": {"$gt": "a"}}', '{"detector": 7}', '{"detector": {"$gt": "\\u0000"}}',
    '{"out": {"$exists": false}}', '{"out": 5}', '{"seq": {"$in": [1, 2]}}', '{"versions.id": "a"}',
    '{"id_doc_exp": {"$in": [0, "N/A"]}}', f'{{"_id": {{"$ne": "{ABSENT}"}}}}',
    f'{{"$and": [{{"_id": "{ABSENT}"}}]}}', f'{{"a": ObjectId({ABSENT})}}', '{"é b": "\U0001f600"}',
    '{"run": {"$in": [' + "1, " * 9_998 + "1]}}", '{"$or": [' + ", ".join([EVERY] * 28) + "]}",
    '{"$and": [{}, {"$or": [{}, {}]}]}', '{"end": "end"}', '{"pending": true}', "{'a': 'x' 'y'}",
]  # fmt: skip
PLACES = [f"{DB}/{SHORT}", f"{DB}/notes", "cdb_detnames/epix"]


def test_a_query_that_no_store_can_answer_is_a_400(site):
    for query in BAD_QUERIES:
        answer = site("GET", f"/{DB}/{SHORT}", content=query)
        assert answer.status_code == 400, query[:60]
        assert len(answer.text) < 700


def test_a_query_that_nobody_would_ask_is_answered(site):
    for query in ODD_QUERIES:
        for place in PLACES:
            answer = site("GET", f"/{place}", content=query)
            assert answer.status_code == 200, (query[:60], answer.text)


def test_plain_arguments_may_be_anything(site):
    names = ("a..b", ".a", "$x", "_id", "run", "\0", "x" * 3000, "run.x", "é", "query_string")
    values = ("", "5", "\0", "$x", f"ObjectId({ABSENT})", "x" * 3000)
    arguments = ({name: value} for name in names for value in values)
    assert faults(site, (("GET", f"/{DB}/{SHORT}", {"params": a}) for a in arguments)) == []


NO_DATABASES = [
    "cdb_a b", "cdb_a.b", "cdb_$", "cdb_%00", "cdb_", "cdb_" + "x" * 60, "cdb_é", "cdb_a+b",
    "cdb_%FF", "cdb_..",
]  # fmt: skip
DATABASES = [*NO_DATABASES, "cdb_XPP1", "cdb_DETNAMES", "cdb_a%2Fb", "cdb_-", "cdb_%0a"]
COLLECTIONS = [
    "a b", "a.b", ".a", "a.", "a..b", "$a", "a$b", "%00", "x" * 128, "x" * 300, "%C3%A9", "%FF",
    "system.x", "_ferretdb_x", "fs.files", "fs.other", "gridfs", "test_post_privilege", "..", "%0a",
    "'", "%5C", "*", "%E2%80%A8",
]  # fmt: skip


def any_method(path: str) -> Iterator[Request]:
    yield from (("GET", path, {}), ("DELETE", path, {}))
    yield from ((method, path, {"json": {"a": 1}}) for method in ("PUT", "POST"))


def test_a_database_that_cannot_be_holds_nothing(site):
    for name in NO_DATABASES:
        assert site.get(f"/{name}") == site.get(f"/{name}/{SHORT}") == [], name
        assert site.get(f"/{name}/{SHORT}/{ABSENT}") is None
        assert site("GET", f"/{name}/gridfs/{ABSENT}").status_code == 404
        for path in (f"/{name}", f"/{name}/{SHORT}", f"/{name}/gridfs/{ABSENT}"):
            assert site("DELETE", path).status_code == 400
        assert site("POST", f"/{name}/{SHORT}", json={"a": 1}).status_code == 400
        assert site("POST", f"/{name}/gridfs/", content=b"x").status_code == 400


def test_names_may_be_anything(site):
    tails = ("", f"/{SHORT}", f"/{SHORT}/{ABSENT}", f"/gridfs/{ABSENT}", "/test_edit_privilege")
    paths = [f"/{name}{tail}" for name in DATABASES for tail in tails]
    paths += [f"/{DB}9/{name}{tail}" for name in COLLECTIONS for tail in ("", f"/{ABSENT}", "/x")]
    paths += [f"/cdb_detnames/{name}" for name in COLLECTIONS]
    assert faults(site, (request for path in paths for request in any_method(path))) == []


def test_a_name_that_a_server_keeps_for_itself_stops_nobody_else(site):
    for name in ("_ferretdb_x", "system.x"):
        assert site("POST", f"/{DB}/{name}", json={"a": 1}).status_code == 400
    assert site.file().status_code == 200


IDS = [
    "x", ABSENT, ABSENT.upper(), ABSENT[:-1], "%00" * 24, f"ObjectId({ABSENT})", "%C3%A9" * 12,
    "%EF%BC%91" * 24, "0" * 24, "f" * 24, f"{ABSENT}%20", f"{ABSENT}%0a", "-" + ABSENT[1:],
    "x" * 5000,
]  # fmt: skip


def test_ids_may_be_anything(site):
    where = (f"{DB}/{SHORT}", f"{DB}/gridfs", f"{DB}/notes", "cdb_detnames/epix")
    paths = [f"/{place}/{text}" for place in where for text in IDS]
    assert faults(site, (request for path in paths for request in any_method(path))) == []
    constant = {"detector": SHORT, "ctype": "notes", "run": 1, "run_end": "end"}
    links = [constant | {name: text} for name in ("id_data", "id_doc_exp") for text in IDS]
    assert faults(site, (("POST", f"/{DB}/{SHORT}/", {"json": link}) for link in links)) == []


VALUES: list[Any] = [
    None, True, -0.0, 1e308, 2**63 - 1, -(2**63), 10**30, "", "\0", "$x", "x" * 5000, "é/",
    "\u2028\U0001f600", "0" * 300 + "9", "٣", "5\n", [], {}, [1, {"b": [2]}], {"a": 1}, ABSENT,
]  # fmt: skip
FIELDS = [
    "ctype", "detector", "run", "run_end", "time_sec", "experiment", "id_doc_exp", "data_size",
    "data_type", "data_shape", "pending", "open", "nonce", "long", "short", "seqnumber", "version",
    "unit", "conditions", "id", "state", "note", "database", "_id", "a", "é b",
]  # fmt: skip


def test_documents_may_hold_anything(site):
    constant = {"detector": SHORT, "ctype": "notes", "run": 5, "run_end": "end"}
    entry = {"long": "epix_a", "short": "epix_000009"}
    made = site.file().json()["_id"]

    def requests() -> Iterator[Request]:
        for name in FIELDS:
            for value in VALUES:
                given = {name: value}
                yield "POST", f"/{DB}/notes/", {"json": given}
                yield "PUT", f"/{DB}/{SHORT}/{made}", {"json": constant | given}
                yield "POST", "/cdb_detnames/epix/", {"json": entry | given}

    # A write takes a while; which are left out has nothing to do with what they hold.
    some = list(requests())[:: 3 if site.db.store.local else 17]
    assert len(some) > 90
    assert faults(site, some) == []
    assert faults(site, (("GET", f"/{place}", {}) for place in PLACES)) == []
    site.db.find(detector=SHORT, experiment="xpp1")


BODIES = [
    b"", b"\0", b"\xff", b"null", b"[]", b"{", b"1" * 5000, b'"\\ud800"', b"\xef\xbb\xbf{}",
    b"{}{}", b'{"a": 1, "a": 2}', b"\x1f\x8b\x08", b"true",
]  # fmt: skip
KINDS = [
    b"application/json", b"multipart/form-data", b"multipart/form-data; boundary=x", b"text/plain",
    b"application/x-www-form-urlencoded; charset=\xff", b"x", b"",
]  # fmt: skip


def test_bodies_may_be_anything_under_any_content_type(site):
    assert faults(
        site,
        (
            (method, path, {"content": body, "headers": {b"Content-Type": kind}})
            for method, path in (
                ("POST", f"/{DB}/notes/"), ("POST", f"/{DB}/gridfs/"), ("GET", f"/{DB}/notes"),
                ("POST", "/cdb_detnames/epix/"), ("PUT", f"/{DB}/notes/{ABSENT}"),
            )
            for body in BODIES
            for kind in KINDS
        ),
    ) == []  # fmt: skip
