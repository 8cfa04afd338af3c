import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route, Router
from starlette.testclient import TestClient

from cdb.database import Database
from cdb.stores import open_store
from cdb.stores.memory import MemoryStore
from cdb.web import openapi, psana, v1
from cdb.web.app import make_app
from cdb.web.metrics import MetricsMiddleware
from cdb.web.settings import Settings
from tests.web.v1.service import EPIX, SECRET, bearer, deployment, serving


@pytest.fixture
def app_routes() -> list[Route]:
    return [route for route in make_app(Settings()).routes if isinstance(route, Route)]


def test_no_endpoint_takes_a_thread_of_its_own(app_routes: list[Route]) -> None:
    assert all(inspect.iscoroutinefunction(route.endpoint) for route in app_routes)
    assert all(inspect.iscoroutinefunction(endpoint.handler) for endpoint in v1.ENDPOINTS)
    assert len(app_routes) == len(v1.ENDPOINTS) + len(psana.PREFIXES)


def test_no_middleware_starts_a_task_for_each_request() -> None:
    kinds = passed(make_app(Settings(cors_origins=("https://elog.example.org",))))
    assert {MetricsMiddleware, CORSMiddleware, Router} <= {*kinds}
    assert not any(issubclass(kind, BaseHTTPMiddleware) for kind in kinds)


def passed(app: Starlette) -> list[type]:
    """Return the kinds of all that a request passes through, from the first to the router."""
    found: list[type] = []
    stage: Any = app.build_middleware_stack()
    while stage is not None:
        found.append(type(stage))
        stage = getattr(stage, "app", None)
    return found


def test_the_document_has_all_endpoints_with_examples(quick_client: TestClient) -> None:
    document = quick_client.get("/openapi.json").json()
    described = {(method.upper(), path) for path, of in document["paths"].items() for method in of}
    assert described == {(e.method, e.path) for e in v1.ENDPOINTS}
    for of in document["paths"].values():
        for operation in of.values():
            good = operation["responses"]["200"]["content"]
            assert "example" in good.get("application/json", {"example": None})
            for parameter in operation["parameters"]:
                assert parameter["description"]


def test_the_example_of_a_deployment_is_good(quick_client: TestClient) -> None:
    assert quick_client.post("/v1/constants", json=v1.DEPLOYMENT).status_code == 201


def test_what_is_not_there_is_said_in_the_same_form(quick_client: TestClient) -> None:
    for method, path, status in [("GET", "/v2", 404), ("DELETE", "/v1/info", 405)]:
        answer = quick_client.request(method, path)
        assert answer.status_code == status
        assert set(answer.json()["error"]) == {"code", "message"}


def test_a_slash_too_many_sends_nobody_elsewhere(quick_client: TestClient) -> None:
    for path in ("/v1/info/", "/metrics/", "/v1/events/"):
        answer = quick_client.get(
            path, headers={"Host": "evil.example.org"}, follow_redirects=False
        )
        assert answer.status_code == 404
        assert "location" not in answer.headers


def test_a_fault_of_ours_says_nothing_of_its_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Database, **_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(Database, "detectors", broken)
    app = make_app(Settings(anonymous_read=True), make_database=lambda: Database(MemoryStore()))
    with TestClient(app, raise_server_exceptions=False) as client:
        answer = client.get("/v1/detectors")
    assert answer.status_code == 500
    assert "secret" not in answer.text


# Metrics ------------------------------------------------------------------------------------------


def test_requests_are_counted_by_route_and_not_by_path(quick_client: TestClient) -> None:
    quick_client.get("/v1/constants/made_up")
    quick_client.get("/made_up")
    text = quick_client.get("/metrics").text
    assert "made_up" not in text
    (family,) = [f for f in text_string_to_metric_families(text) if f.name == "cdb_requests"]
    routes = {sample.labels["route"] for sample in family.samples}
    assert {"/v1/constants/{id}", "none"} <= routes


def test_the_page_names_every_metric(quick_client: TestClient) -> None:
    page = (Path(__file__).parents[3] / "docs" / "operate.md").read_text()
    table = page.partition("### Metrics")[2].partition("\n#")[0]
    told = set(re.findall(r"^\| `(cdb_\w+)` \|", table, re.MULTILINE))
    text = quick_client.get("/metrics").text
    made = set(re.findall(r"^# HELP (cdb_\w+) ", text, re.MULTILINE))
    assert made - {name for name in made if name.endswith("_created")} == told


WORKER = """
import sys
from tests.web.v1.service import serving
from cdb.stores import open_store
from cdb.stores.memory import MemoryStore
with serving(MemoryStore()) as client:
    for _ in range(int(sys.argv[1])):
        client.get("/v1/health")
    print(client.get("/metrics").text)
"""


def test_metrics_are_those_of_all_workers(tmp_path: Path) -> None:
    text = ""
    for number in (2, 3):
        text = subprocess.run(
            [sys.executable, "-W", "error", "-c", WORKER, str(number)],
            env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    (family,) = [f for f in text_string_to_metric_families(text) if f.name == "cdb_requests"]
    (sample,) = [s for s in family.samples if s.labels["route"] == "/v1/health"]
    assert sample.value == 5


# Hostile requests ---------------------------------------------------------------------------------


def _hostile_app() -> object:
    db = Database(MemoryStore())
    for run in (1, 3):
        db.add(f"run {run}", detector=EPIX, ctype="notes", run=run, experiment="xpp1")
    return make_app(Settings(jwt_secret=SECRET, anonymous_read=True), make_database=lambda: db)


def _without_waiting() -> dict[str, object]:
    """Return the document without the wait for events, which a test has no time for."""
    document = json.loads(json.dumps(openapi.document(v1.ENDPOINTS)))
    feed = document["paths"]["/v1/events"]["get"]
    feed["parameters"] = [p for p in feed["parameters"] if p["name"] != "wait"]
    return document


schema = schemathesis.openapi.from_dict(_without_waiting())
schema.app = _hostile_app()


HOSTILE = settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
ROLES = {
    "an administrator": bearer("mona", admin=True),
    "a writer": bearer("eve", write=["cdb_xpp*"]),
    "nobody": {"Authorization": ""},
}


def _is_never_broken(case: schemathesis.Case, headers: dict[str, str]) -> None:
    case.headers = {**(case.headers or {}), **headers}
    answer = case.call()
    assert answer.status_code < 500, answer.text


@pytest.mark.parametrize("role", ROLES)
@schema.parametrize()
@HOSTILE
def test_no_request_breaks_the_service(case: schemathesis.Case, role: str) -> None:
    _is_never_broken(case, ROLES[role])


@pytest.mark.mongo
def test_no_request_breaks_the_service_on_the_wire(mongo_url: str) -> None:
    with open_store(mongo_url) as store:
        db = Database(store)
        db.add("run 1", detector=EPIX, ctype="notes", run=1, experiment="xpp1")
        wire = schemathesis.openapi.from_dict(_without_waiting())
        wire.app = make_app(
            Settings(jwt_secret=SECRET, anonymous_read=True), make_database=lambda: db
        )
        operations = [found.ok() for found in wire.get_all_operations()]
        for operation in operations:

            @given(operation.as_strategy())
            @settings(HOSTILE, max_examples=3, database=None)
            def asked(case: schemathesis.Case) -> None:
                _is_never_broken(case, ROLES["an administrator"])

            asked()
    assert len(operations) == len(v1.ENDPOINTS)


def test_hostile_ids_are_refused_or_not_found(quick_client: TestClient) -> None:
    quick_client.post("/v1/constants", json=deployment())
    for text in ("%00", "..", "%2e%2e%2f", "$where", "x" * 5000, "%ff", "retired:x", "'--"):
        answer = quick_client.get(f"/v1/constants/{text}")
        assert 400 <= answer.status_code < 500 or text == "..", text
        path = f"/v1/databases/{text}/payloads/{text}"
        assert 400 <= quick_client.get(path).status_code < 500
        assert 400 <= quick_client.put(path, content=b"x").status_code < 500


def test_serving_needs_no_store_of_its_own() -> None:
    with serving(MemoryStore(transactional=False)) as client:
        assert client.get("/v1/ready").json() == {"server": "", "seq": 0, "status": "ready"}
