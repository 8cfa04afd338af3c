"""Who may do what: a table of roles and endpoints, which every route of the service is in."""

import base64
from typing import Any, NamedTuple

import pytest
from starlette.routing import Match, Route

from cdb import payload, tokens, uploads
from cdb.rights import Rights
from cdb.web import psana
from cdb.web.app import make_app
from cdb.web.settings import Settings

EXPERIMENT, DETECTOR = "cdb_rixx45619", "cdb_epix_000001"

# What each role may, beyond what is open to all; None comes without a token.
ROLES = {
    "nobody": None,
    "anonymous reader": None,
    "reader": Rights(read=("cdb_rixx*", DETECTOR)),
    "stranger": Rights(read=("cdb_xpp*",), write=("cdb_xpp*",)),
    "writer": Rights(read=(DETECTOR,), write=("cdb_rixx*",)),
    "detector's writer": Rights(read=(EXPERIMENT,), write=(DETECTOR,)),
    "admin": Rights(admin=True),
}
# Who is admitted to what an endpoint asks for. What is filtered depends on who asks: each sees what
# he may read. Data of a detector come before the document by which their sender is judged.
ADMITTED = {
    "open": {*ROLES},
    "filtered": {*ROLES},
    "filtered, of a reader": {*ROLES} - {"nobody"},
    "read": {*ROLES} - {"nobody", "stranger"},
    "write": {"writer", "admin"},
    "deploy": {"writer", "admin"},
    "detector": {"detector's writer", "admin"},
    "data of a detector": {"writer", "stranger", "detector's writer", "admin"},
    "register": {"writer", "stranger", "detector's writer", "admin"},
    "copy": {"writer", "detector's writer", "admin"},
    "read of the register": {*ROLES} - {"nobody"},
    "admin": {"admin"},
    "no such method": {*ROLES} - {"nobody", "anonymous reader"},
}


class Endpoint(NamedTuple):
    """A request, and what it asks for; a body may be the name of one that the fixture makes."""

    method: str
    path: str
    asks: str
    body: Any = None


def deployment(**names: str) -> dict[str, Any]:
    """Return what is posted to deploy a text."""
    encoded = payload.encode("a text")
    text = base64.b64encode(bytes(encoded.data)).decode()
    sent = {"fields": encoded.fields, "sha256": payload.digest(encoded.data),
            "nbytes": len(encoded.data), "base64": text}  # fmt: skip
    return {"detector": "epix_000001", "ctype": "notes", "run": 1, "payload": sent} | names


WHICH = "detector=epix_000001&experiment=rixx45619"
REASON = {"reason": "a table"}
VERBS = ("retire", "amend", "restore", "approve")
OURS = [
    Endpoint("GET", "/v1/info", "open"),
    Endpoint("GET", "/v1/health", "open"),
    Endpoint("GET", "/v1/ready", "open"),
    Endpoint("GET", "/openapi.json", "open"),
    Endpoint("GET", "/metrics", "open"),
    Endpoint("GET", "/v1/moment", "filtered, of a reader"),
    Endpoint("GET", "/v1/databases", "filtered, of a reader"),
    Endpoint("GET", "/v1/detectors", "filtered, of a reader"),
    Endpoint("GET", "/v1/experiments", "filtered, of a reader"),
    Endpoint("GET", "/v1/events?after=0&limit=1", "filtered, of a reader"),
    Endpoint("GET", "/v1/tags", "filtered, of a reader"),
    Endpoint("GET", "/v1/tags/summer26", "filtered, of a reader"),
    Endpoint("GET", "/v1/affected?a=0&b=summer26", "filtered, of a reader"),
    Endpoint("GET", "/v1/diff?a={id}&b={id}", "read"),
    Endpoint("GET", "/v1/diff?a={id}&b={alone}", "read"),
    Endpoint("GET", f"/v1/trend?{WHICH}&ctype=pedestals", "read"),
    Endpoint("GET", f"/v1/stale?{WHICH}", "read"),
    Endpoint("GET", "/v1/stale?experiment=rixx45619", "read"),
    Endpoint("GET", "/v1/stale", "filtered, of a reader"),
    Endpoint("GET", "/v1/audit", "admin"),
    Endpoint("POST", "/v1/tags", "admin", {"name": "winter26"}),
    Endpoint("POST", "/v1/tags/summer26/move", "admin", {"state": "testing"}),
    Endpoint("POST", "/v1/tags/summer26/pin", "admin", {"versions": ["0" * 24]}),
    Endpoint("POST", "/v1/tags/summer26/unpin", "admin", {"versions": ["0" * 24]}),
    Endpoint("POST", "/v1/tags/summer26/advance", "admin", {"experiment": "rixx45619", "run": 9}),
    Endpoint("POST", "/v1/tags/summer26/delete", "admin", {}),
    Endpoint("GET", f"/v1/constants?{WHICH}", "read"),
    Endpoint("GET", "/v1/constants/{id}", "read"),
    Endpoint("GET", "/v1/constants/{id}/lineage", "read"),
    Endpoint("GET", f"/v1/history?{WHICH}&ctype=pedestals", "read"),
    Endpoint("GET", f"/v1/explain?{WHICH}&ctype=pedestals&run=5", "read"),
    Endpoint("GET", f"/v1/resolve?{WHICH}&run=5", "read"),
    Endpoint("GET", f"/v1/databases/{EXPERIMENT}/payloads/{{sha256}}", "read"),
    Endpoint("PUT", f"/v1/databases/{EXPERIMENT}/payloads/{{sha256}}", "write"),
    Endpoint("PUT", f"/v1/databases/{DETECTOR}/payloads/{{sha256}}", "detector"),
    Endpoint("POST", "/v1/constants", "deploy", deployment(experiment="rixx45619")),
    Endpoint("POST", "/v1/constants", "detector", deployment()),
    Endpoint("POST", "/v1/constants", "admin", deployment(dbsuffix="mine")),
    Endpoint("POST", "/v1/constants/{id}/retire", "deploy", REASON),
    Endpoint("POST", "/v1/retire", "deploy", REASON | {"ids": ["{id}"]}),
    Endpoint("POST", "/v1/retire", "detector", REASON | {"ids": ["{alone}"]}),
    Endpoint("POST", "/v1/retire", "admin", REASON | {"ids": ["{id}", "{alone}"]}),
    Endpoint("POST", "/v1/detectors", "register", {"detector": "epix_a-1_b-2"}),
    Endpoint("POST", "/v1/constants/{id}/amend", "deploy", REASON | {"comment": "x"}),
    Endpoint("POST", "/v1/constants/{retired}/restore", "deploy", REASON),
    Endpoint("POST", "/v1/constants/{kept_out}/approve", "deploy", REASON),
    Endpoint("GET", "/v1/quarantine", "filtered, of a reader"),
    Endpoint("GET", "/v1/gates", "filtered, of a reader"),
    Endpoint("POST", "/v1/constants/{alone}/retire", "detector", REASON),
    Endpoint("POST", "/v1/constants/{alone}/amend", "detector", REASON | {"comment": "x"}),
]
ENTRY = {"long": "epix_b-1", "short": "epix_000008"}
DOCUMENT = {"ctype": "notes", "detector": "epix_000001", "run": 1, "run_end": "end"}


def psanas(prefix: str) -> list[Endpoint]:
    """Return the endpoints of psana's dialect below a prefix."""
    return [
        Endpoint("GET", prefix, "filtered"),
        Endpoint("GET", f"{prefix}/{EXPERIMENT}", "read"),
        Endpoint("GET", f"{prefix}/{EXPERIMENT}/epix_000001", "read"),
        Endpoint("GET", f"{prefix}/{EXPERIMENT}/epix_000001/{{id}}", "read"),
        Endpoint("GET", f"{prefix}/{EXPERIMENT}/gridfs/{{data}}", "read"),
        Endpoint("GET", f"{prefix}/{EXPERIMENT}/test_post_privilege", "write"),
        Endpoint("GET", f"{prefix}/{EXPERIMENT}/test_edit_privilege", "admin"),
        Endpoint("GET", f"{prefix}/{EXPERIMENT}/fs.files", "read"),
        Endpoint("GET", f"{prefix}/{EXPERIMENT}/fs.chunks", "read"),
        Endpoint("GET", f"{prefix}/cdb_detnames", "read of the register"),
        Endpoint("GET", f"{prefix}/cdb_detnames/epix", "read of the register"),
        Endpoint("GET", f"{prefix}/cdb_detnames/epix/{{entry}}", "read of the register"),
        Endpoint("POST", f"{prefix}/{EXPERIMENT}/gridfs/", "write"),
        Endpoint("POST", f"{prefix}/{EXPERIMENT}/notes/", "write", {"any": "document"}),
        Endpoint("POST", f"{prefix}/{DETECTOR}/gridfs/", "data of a detector"),
        Endpoint("POST", f"{prefix}/{DETECTOR}/epix_000001/", "detector", DOCUMENT),
        Endpoint("POST", f"{prefix}/cdb_detnames/epix/", "register",
                 {"long": "epix_a-1", "short": "epix_000009", "seqnumber": 9}),
        Endpoint("POST", f"{prefix}/{DETECTOR}/epix_000001/", "copy", "copy"),
        Endpoint("PUT", f"{prefix}/{EXPERIMENT}/epix_000001/{{id}}", "write", DOCUMENT),
        Endpoint("POST", f"{prefix}/{EXPERIMENT}/epix_000001/{{id}}", "write", DOCUMENT),
        Endpoint("PUT", f"{prefix}/{DETECTOR}/epix_000001/{{alone}}", "detector", DOCUMENT),
        Endpoint("POST", f"{prefix}/{DETECTOR}/epix_000001/{{alone}}", "detector", DOCUMENT),
        Endpoint("DELETE", f"{prefix}/{DETECTOR}/epix_000001/{{alone}}", "detector"),
        Endpoint("PUT", f"{prefix}/cdb_detnames/epix/{{entry}}", "admin", ENTRY),
        Endpoint("POST", f"{prefix}/cdb_detnames/epix/{{entry}}", "admin", ENTRY),
        Endpoint("DELETE", f"{prefix}/cdb_detnames/epix/{{entry}}", "admin"),
        Endpoint("DELETE", f"{prefix}/cdb_detnames/epix", "admin"),
        Endpoint("DELETE", f"{prefix}/cdb_detnames", "admin"),
        Endpoint("DELETE", f"{prefix}/{EXPERIMENT}/epix_000001/{{id}}", "write"),
        Endpoint("DELETE", f"{prefix}/{EXPERIMENT}/gridfs/{{data}}", "write"),
        Endpoint("DELETE", f"{prefix}/{EXPERIMENT}/epix_000001", "admin"),
        Endpoint("DELETE", f"{prefix}/{EXPERIMENT}", "admin"),
        Endpoint("DELETE", f"{prefix}/{EXPERIMENT}/", "no such method"),
        *(
            Endpoint(method, f"{prefix}/{EXPERIMENT}/{name}{tail}", "no such method", {"a": 1})
            for name in ("fs.files", "fs.chunks")
            for method, tail in (
                ("POST", "/"), ("DELETE", ""), ("PUT", "/{data}"), ("POST", "/{data}"),
                ("DELETE", "/{data}"),
            )
        ),
    ]  # fmt: skip


# All prefixes have one handler; below the first each of its cases is asked, below the others some.
FIRST, *OTHERS = psana.PREFIXES
PSANAS = [
    *psanas(FIRST),
    *(row for prefix in OTHERS for row in psanas(prefix) if row.path.endswith("/{id}")),
]
TABLE = [*OURS, *PSANAS]
ROUTES = [route for route in make_app(Settings()).routes if isinstance(route, Route)]


def matching(method: str, path: str) -> list[Route]:
    """Return the routes that answer a request."""
    scope = {"type": "http", "method": method, "path": path.partition("?")[0], "root_path": ""}
    return [route for route in ROUTES if route.matches(scope)[0] is Match.FULL]


def test_every_route_is_in_the_table():
    named = {(e.method, route.path) for e in TABLE for route in matching(e.method, e.path)}
    there = {(method, route.path) for route in ROUTES for method in route.methods - {"HEAD"}}
    assert there - named == set()


def test_every_row_has_a_route():
    assert [row for row in TABLE if not matching(row.method, row.path)] == []


def test_every_kind_of_route_is_one_that_the_table_can_name():
    assert {type(route) for route in make_app(Settings()).routes} <= {Route}


@pytest.fixture
def names(served_db):
    """What stands in braces in the table."""
    deployed = served_db.add("a", detector="epix_000001", ctype="pedestals", experiment="rixx45619")
    alone = served_db.add("b", detector="epix_000001", ctype="pixel_rms")
    retired = served_db.add("c", detector="epix_000001", ctype="notes", experiment="rixx45619")
    served_db.retire(retired.id, reason="a table")
    kept_out = served_db.add(
        ["no text"], detector="epix100a_000001", ctype="geometry", experiment="rixx45619"
    )
    entry = served_db.copies.file("cdb_detnames", "epix", ENTRY)
    half = DOCUMENT | {"experiment": "rixx45619"}
    half["id_data"] = uploads.write(served_db.journal, EXPERIMENT, b"half")
    first = served_db.copies.file(EXPERIMENT, "epix_000001", half)
    sent = uploads.write(served_db.journal, DETECTOR, b"half")
    copy = half | {"id_data": sent, "id_doc_exp": first["_id"]}
    _, token = tokens.create(served_db.journal, "other", Rights(admin=True))
    served_db.tags.create("summer26")
    return {
        "id": deployed.id, "sha256": deployed.meta["sha256"], "data": deployed.meta["id_data"],
        "alone": alone.id, "retired": retired.id, "kept_out": kept_out.id, "entry": entry["_id"],
        "copy": copy, "token": token.id,
    }  # fmt: skip


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("endpoint", TABLE, ids=lambda e: f"{e.method} {e.path} {e.asks}")
def test_who_is_admitted(serve, served_db, names, endpoint, role):
    rights = ROLES[role]
    token = tokens.create(served_db.journal, "somebody", rights)[0] if rights else ""
    service = serve(anonymous_read=role == "anonymous reader")
    body = names[endpoint.body] if isinstance(endpoint.body, str) else endpoint.body
    if isinstance(body, dict) and "ids" in body:
        body = body | {"ids": [each.format(**names) for each in body["ids"]]}
    answer = service.request(
        endpoint.method,
        endpoint.path.format(**names),
        json=body,
        headers={"Authorization": f"Bearer {token}"} if token else {},
    )
    if role in ADMITTED[endpoint.asks]:
        assert answer.status_code not in (401, 403), answer.text
        assert answer.status_code < 500
        assert (answer.status_code == 405) is (endpoint.asks == "no such method")
    else:
        assert answer.status_code == (403 if token else 401), answer.text


@pytest.mark.parametrize("what", ["entry", "token"])
def test_a_register_s_or_a_token_s_id_is_no_constant_s(serve, served_db, names, what):
    token, _ = tokens.create(served_db.journal, "somebody", ROLES["admin"])
    service, before = serve(), served_db.head
    id_ = names[what]
    for method, path in (
        ("GET", f"/v1/constants/{id_}"),
        *(
            ("POST", f"/v1/constants/{id_}/{verb}")
            for verb in ("retire", "amend", "restore", "approve")
        ),
        ("GET", f"/calib_ws/{EXPERIMENT}/gridfs/{id_}"),
        ("DELETE", f"/calib_ws/{EXPERIMENT}/epix_000001/{id_}"),
        ("GET", f"/calib_ws/cdbjournal/tokens/{id_}"),
    ):
        body = REASON | {"comment": "x"} if path.endswith("amend") else REASON
        answer = service.request(
            method,
            path,
            json=body if method == "POST" else None,
            headers={"Authorization": f"Bearer {token}"},
        )
        assert answer.status_code in (400, 404, 405), (path, answer.text)
    assert served_db.head == before
