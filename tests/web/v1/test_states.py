"""Every answer that depends on the state carries S, and whose state it is: all of the table."""

import hashlib
from typing import Any

import pytest
from starlette.testclient import TestClient

from cdb.web import v1
from tests.web.v1.service import EPIX, deployment

WHICH = f"detector={EPIX}&ctype=notes"
# What is asked of each, and sent to it.
ASKED: dict[tuple[str, str], tuple[str, Any]] = {
    ("GET", "/v1/info"): ("", None),
    ("GET", "/v1/ready"): ("", None),
    ("GET", "/v1/moment"): ("", None),
    ("POST", "/v1/detectors"): ("", {"detector": "epix_0123-45"}),
    ("POST", "/v1/retire"): ("", {"ids": ["{id}"], "reason": "bad"}),
    ("GET", "/v1/databases"): ("", None),
    ("GET", "/v1/detectors"): ("", None),
    ("GET", "/v1/experiments"): ("", None),
    ("GET", "/v1/constants"): (f"?detector={EPIX}", None),
    ("POST", "/v1/constants"): ("", deployment("another")),
    ("GET", "/v1/constants/{id}"): ("", None),
    ("GET", "/v1/constants/{id}/lineage"): ("", None),
    ("POST", "/v1/constants/{id}/retire"): ("", {"reason": "bad"}),
    ("POST", "/v1/constants/{id}/restore"): ("", {"reason": "good"}),
    ("POST", "/v1/constants/{id}/amend"): ("", {"comment": "better"}),
    ("POST", "/v1/constants/{id}/approve"): ("", {"reason": "good"}),
    ("GET", "/v1/quarantine"): ("", None),
    ("GET", "/v1/gates"): ("", None),
    ("GET", "/v1/history"): (f"?{WHICH}", None),
    ("GET", "/v1/explain"): (f"?{WHICH}", None),
    ("GET", "/v1/resolve"): (f"?{WHICH}", None),
    ("PUT", v1.PAYLOAD): ("", b"bytes"),
    ("GET", "/v1/events"): ("", None),
    ("GET", "/v1/tags"): ("", None),
    ("POST", "/v1/tags"): ("", {"name": "winter26"}),
    ("GET", "/v1/tags/{tag}"): ("", None),
    ("POST", "/v1/tags/{tag}/move"): ("", {"state": "testing"}),
    ("POST", "/v1/tags/{tag}/pin"): ("", {"versions": ["{id}"]}),
    ("POST", "/v1/tags/{tag}/unpin"): ("", {"versions": ["{id}"]}),
    ("POST", "/v1/tags/{tag}/advance"): ("", {"experiment": "xpp1", "run": 9}),
    ("POST", "/v1/tags/{tag}/delete"): ("", {"dry_run": False}),
    ("GET", "/v1/affected"): ("?a=0&b=summer26", None),
    ("GET", "/v1/diff"): ("?a={id}&b={id}", None),
    ("GET", "/v1/trend"): (f"?detector={EPIX}&ctype=pedestals", None),
    ("GET", "/v1/stale"): ("", None),
    ("GET", "/v1/audit"): ("", None),
}
# What is the same whatever is written; the bytes of a payload never change.
TIMELESS = {
    ("GET", "/v1/health"),
    ("GET", "/openapi.json"),
    ("GET", "/metrics"),
    ("GET", v1.PAYLOAD),
}


def test_every_endpoint_is_in_one_of_the_tables() -> None:
    assert {(e.method, e.path) for e in v1.ENDPOINTS} == {*ASKED} | TIMELESS
    assert not {*ASKED} & TIMELESS


@pytest.mark.parametrize("which", ASKED, ids=" ".join)
def test_an_answer_carries_its_state_and_whose_it_is(
    every_client: TestClient, which: tuple[str, str]
) -> None:
    client = every_client
    made = client.post("/v1/constants", json=deployment()).json()
    id_ = made["constant"]["id"]
    if which[1].endswith("restore"):
        client.post(f"/v1/constants/{id_}/retire", json={"reason": "bad"})
    if "/tags" in which[1] or "summer26" in ASKED[which][0]:
        client.post("/v1/tags", json={"name": "summer26"})
    if which[1].endswith("unpin"):
        client.post("/v1/tags/summer26/pin", json={"versions": [id_]})
    if which[1].endswith("approve"):
        kept_out = deployment(["no", "text"], detector="epix100a_000001", ctype="geometry")
        id_ = client.post("/v1/constants", json=kept_out).json()["constant"]["id"]
    method, path = which
    query, sent = ASKED[which]
    raw = sent if isinstance(sent, bytes) else b""
    names = {"id": id_, "database": f"cdb_{EPIX}", "sha256": hashlib.sha256(raw).hexdigest(),
             "tag": "summer26"}  # fmt: skip
    if isinstance(sent, dict) and "ids" in sent:
        sent = {**sent, "ids": [id_]}
    if isinstance(sent, dict) and "versions" in sent:
        sent = {**sent, "versions": [id_]}
    body = {"content": sent} if isinstance(sent, bytes) else {"json": sent}
    answer = client.request(method, (path + query).format(**names), **(body if sent else {}))
    assert answer.status_code in (200, 201), answer.text
    head = client.get("/v1/info").json()["seq"]
    assert (answer.json()["server"], answer.json()["seq"]) == (made["server"], head)


NOBODY, ABSENT = "0" * 64, "f" * 24
# What is not there, or not possible as things are.
FAILING: dict[str, tuple[str, str, Any, int]] = {
    "no version": ("GET", f"/v1/constants/{ABSENT}", None, 404),
    "no detector": ("GET", "/v1/resolve?detector=epix_0123-99", None, 404),
    "no payload": ("GET", f"/v1/databases/cdb_{EPIX}/payloads/{NOBODY}", None, 404),
    "nothing to retire": ("POST", f"/v1/constants/{ABSENT}/retire", {"reason": "bad"}, 404),
    "not retired": ("POST", "/v1/constants/{id}/restore", {"reason": "good"}, 409),
    "of psana": ("DELETE", f"/calib_ws/cdb_{EPIX}/{EPIX}/{ABSENT}", None, 404),
}


@pytest.mark.parametrize("which", FAILING)
def test_an_error_by_the_state_carries_it_too(every_client: TestClient, which: str) -> None:
    made = every_client.post("/v1/constants", json=deployment()).json()
    method, path, sent, status = FAILING[which]
    path = path.format(id=made["constant"]["id"])
    answer = every_client.request(method, path, **({"json": sent} if sent else {}))
    assert answer.status_code == status, answer.text
    assert (answer.json()["server"], answer.json()["seq"]) == (made["server"], made["seq"])


def test_an_error_as_of_the_past_carries_that_state(every_client: TestClient) -> None:
    made = every_client.post("/v1/constants", json=deployment()).json()
    answer = every_client.get(f"/v1/constants/{made['constant']['id']}?as_of=0")
    assert (answer.status_code, answer.json()["seq"]) == (404, 0)


def test_an_error_by_what_was_asked_carries_no_state(every_client: TestClient) -> None:
    every_client.post("/v1/constants", json=deployment())
    for path in ("/v1/constants?rum=7", "/v1/nowhere"):
        assert every_client.get(path).json().keys() == {"error"}
