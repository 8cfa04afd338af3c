import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from cdb.database import Database
from cdb.errors import StoreUnavailable
from cdb.stores import Store, open_store
from cdb.stores.memory import MemoryStore
from cdb.web.app import make_app
from cdb.web.settings import Settings
from tests.web.v1.service import EPIX, SECRET, bearer, deployment, pedestals, serving

KEY = {"Idempotency-Key": "3f0e4d1c9b7a4e51"}


def post(client: TestClient, body: Any, **headers: str) -> Any:
    return client.post("/v1/constants", json=body, headers=headers)


def test_a_deployment_to_two_databases_is_one_event(client: TestClient) -> None:
    answer = post(client, deployment(experiment="xpp1", run=3, comment="dark"))
    assert answer.status_code == 201
    made = answer.json()
    assert made["new"]
    assert made["constant"]["database"] == "cdb_xpp1"
    assert (made["constant"]["uid"], made["constant"]["comment"]) == ("mona", "dark")
    (event,) = client.get("/v1/events").json()["events"]
    assert [e["database"] for e in event["versions"]] == ["cdb_xpp1", f"cdb_{EPIX}"]
    assert (event["actor"], made["seq"]) == ("mona", 1)


def test_what_is_there_already_is_not_added_again(client: TestClient) -> None:
    first = post(client, deployment()).json()
    again = post(client, deployment())
    assert again.status_code == 200
    assert not again.json()["new"]
    assert again.json()["constant"] == first["constant"]


def test_a_long_name_is_registered(client: TestClient) -> None:
    made = post(client, deployment(detector="epix10ka_0123-45_0123-46")).json()["constant"]
    assert made["detector"] == "epix10ka_000001"
    assert made["longname"] == "epix10ka_0123-45_0123-46"


def test_a_dry_run_writes_nothing(client: TestClient) -> None:
    answer = post(client, deployment(dry_run=True))
    assert (answer.status_code, answer.json()["seq"]) == (200, 0)


def test_what_the_rules_find_is_in_the_answer(client: TestClient) -> None:
    kept_out = deployment(["no", "text"], detector="epix100a_000001", ctype="geometry")
    answer = post(client, kept_out)
    assert answer.status_code == 201
    made = answer.json()["constant"]
    assert (made["state"], made["findings"][0]["code"]) == ("quarantined", "kind")
    assert post(client, kept_out).status_code == 200
    (listed,) = client.get("/v1/quarantine").json()["constants"]
    assert listed == made
    approved = client.post(f"/v1/constants/{made['id']}/approve", json={"reason": "meant"})
    assert approved.json()["constant"]["state"] == "live"
    assert client.get("/v1/quarantine").json()["constants"] == []


def test_what_was_in_force_elsewhere_is_only_warned_of(client: TestClient) -> None:
    kept_out = deployment(["no", "text"], detector="epix100a_000001", ctype="geometry")
    made = post(client, kept_out | {"recorded": True}).json()["constant"]
    assert (made["state"], made["gate"], made["findings"][0]["code"]) == ("live", "warned", "kind")


def test_what_left_elsewhere_is_added_as_what_has_left(client: TestClient) -> None:
    made = post(client, deployment(retired="a backup")).json()["constant"]
    assert made["state"] == "retired"
    (event,) = client.get("/v1/events").json()["events"]
    assert (event["action"], event["reason"]) == ("add", "a backup")


def test_what_is_refused_says_why(tmp_path: Path) -> None:
    lab = tmp_path / "lab.toml"
    lab.write_text("[epix.notes]\nkind = { is = 'array', severity = 'refuse' }")
    url = (tmp_path / "store").as_uri()
    with TestClient(make_app(Settings(url=url, jwt_secret=SECRET, gates=str(lab)))) as client:
        answer = client.post("/v1/constants", json=deployment(), headers=bearer(admin=True))
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "Refused")
    assert "notes is a text; it should be an array of numbers" in answer.text


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"colour": "red"}, 400),
        ({"run": "x"}, 400),
        ({"run": [1]}, 400),
        ({"run_end": -1}, 400),
        ({"time": "2021-10-01"}, 400),
        ({"detector": "../etc"}, 400),
        ({"detector": 7}, 400),
        ({"ctype": {}}, 400),
        ({"experiment": "epix_000001"}, 400),
        ({"again": "yes"}, 400),
        ({"recorded": 1}, 400),
        ({"retired": True}, 400),
        ({"comment": 7}, 422),
        ({"conditions": [1]}, 422),
        ({"conditions": {"a": [[1]]}}, 422),
        ({"conditions": {"$x": 1}}, 422),
        ({"extpars": "x"}, 400),
        ({"payload": None}, 422),
        ({"payload": {"fields": {"data_type": "any"}, "sha256": "0" * 64, "nbytes": 0}}, 422),
        ({"host": 7}, 400),
    ],
)
def test_a_deployment_that_makes_no_sense_is_refused(
    quick_client: TestClient, change: dict[str, Any], status: int
) -> None:
    answer = post(quick_client, deployment() | change)
    assert answer.status_code == status, answer.text
    assert quick_client.get("/v1/info").json()["seq"] == 0


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": "0" * 64},
        {"sha256": "beef"},
        {"nbytes": 25},
        {"nbytes": "24"},
        {"base64": "?"},
        {"base64": "AAAA"},
        {"more": 1},
        {"fields": {"data_type": "ndarray", "data_dtype": "float32", "data_shape": "(2, 4)"}},
        {"fields": {"data_type": "ndarray", "data_dtype": "object", "data_shape": "(3,)"}},
        {"fields": {"data_type": "ndarray", "data_dtype": "float32"}},
        {"fields": {"data_type": "str", "data_size": "23"}},
        {"fields": {"data_type": "json"}},
        {"fields": {"data_type": "json", "sha256": "x"}},
    ],
)
def test_a_payload_that_is_not_what_it_is_said_to_be_is_refused(
    quick_client: TestClient, change: dict[str, Any]
) -> None:
    body = deployment(pedestals(1))
    body["payload"] |= change
    answer = post(quick_client, body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["code"] == "BadPayload"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a": NaN}', b"\xff", b'{"a": "\\ud800"}'])
def test_a_body_that_is_no_json_object_is_refused(quick_client: TestClient, body: bytes) -> None:
    assert quick_client.post("/v1/constants", content=body).status_code == 400


def test_a_body_is_bounded_in_depth_and_size(quick_client: TestClient) -> None:
    deep = b'{"source":' * 50 + b"1" + b"}" * 50
    assert quick_client.post("/v1/constants", content=deep).status_code == 400
    very = b"[" * 100_000
    assert quick_client.post("/v1/constants", content=very).status_code == 400
    long = b'{"comment":"' + b"x" * (5 * 2**20) + b'"}'
    assert quick_client.post("/v1/constants", content=long).status_code == 413


def test_a_payload_of_more_than_a_megabyte_goes_by_put(client: TestClient) -> None:
    data = pedestals().repeat(60_000)
    assert post(client, deployment(data)).status_code == 413
    body = deployment(data, inline=False, experiment="xpp1")
    assert post(client, body).status_code == 409
    path = f"/v1/databases/cdb_xpp1/payloads/{body['payload']['sha256']}"
    for _ in range(2):
        sent = client.put(path, content=data.tobytes())
        assert sent.json() == {
            "server": "", "seq": 0,
            "database": "cdb_xpp1", "sha256": body["payload"]["sha256"], "nbytes": data.nbytes
        }  # fmt: skip
    assert client.get(path).status_code == 404  # nobody's yet
    assert post(client, body).status_code == 201
    for database in ("cdb_xpp1", f"cdb_{EPIX}"):
        assert client.get(path.replace("cdb_xpp1", database)).content == data.tobytes()


def test_bytes_sent_before_that_are_not_what_is_said_are_refused(client: TestClient) -> None:
    body = deployment("text", inline=False)
    path = f"/v1/databases/cdb_{EPIX}/payloads/{body['payload']['sha256']}"
    assert client.put(path, content=b"text").status_code == 200
    body["payload"]["fields"] = {"data_type": "json"}
    assert post(client, body).status_code == 422


def test_a_put_of_other_bytes_or_to_no_database_is_refused(quick_client: TestClient) -> None:
    sha256 = hashlib.sha256(b"text").hexdigest()
    for database, name, status in [
        ("cdb_xpp1", "0" * 64, 422),
        ("cdb_xpp1", "beef", 422),
        ("cdbjournal", sha256, 400),
        ("cdb_detnames", sha256, 400),
    ]:
        path = f"/v1/databases/{database}/payloads/{name}"
        assert quick_client.put(path, content=b"text").status_code == status


def test_a_swept_upload_must_be_sent_again(client: TestClient, quick_store: Store) -> None:
    body = deployment("text", inline=False)
    path = f"/v1/databases/cdb_{EPIX}/payloads/{body['payload']['sha256']}"
    client.put(path, content=b"text")
    for blob in quick_store.blobs(f"cdb_{EPIX}"):
        sweep(Database(quick_store), f"cdb_{EPIX}", blob.id)
    answer = post(client, body)
    assert answer.status_code == 409
    assert "send the data again" in answer.json()["error"]["message"]
    client.put(path, content=b"text")
    assert post(client, body).status_code == 201


def sweep(db: Database, database: str, blob_id: str) -> None:
    """Commit a sweep whose bytes are still there: what counts is the event."""
    from cdb.events import Proposal, entry

    made = entry(database, "fs.files", blob_id, f"{database}/fs.files/{blob_id}")
    db.journal.commit(lambda _: Proposal("sweep", "", lambda *_: [made], frozenset()))


# Who may ------------------------------------------------------------------------------------------


def test_an_experiments_writer_deploys_to_the_detector_along_with_it(client: TestClient) -> None:
    writer = bearer("lisa", write=["cdb_xpp*"])
    assert post(client, deployment(experiment="xpp1"), **writer).status_code == 201
    assert post(client, deployment(experiment="rix1"), **writer).status_code == 403
    assert post(client, deployment(), **writer).status_code == 403
    assert post(client, deployment(dbsuffix="test"), **writer).status_code == 403
    unknown = deployment(detector="jungfrau_0001-2_0001-3")
    assert post(client, unknown, **writer).status_code == 403
    assert client.get("/v1/info").json()["seq"] == 1


def test_who_may_not_write_changes_nothing(client: TestClient) -> None:
    made = post(client, deployment(experiment="xpp1")).json()["constant"]
    reader = bearer("eve", read=["*"], write=["cdb_rix*"])
    for verb in ("retire", "restore", "amend"):
        path = f"/v1/constants/{made['id']}/{verb}"
        change = {"reason": "why"} | ({"comment": "x"} if verb == "amend" else {})
        assert client.post(path, json=change, headers=reader).status_code == 403
        assert client.post(path, json=change, headers={"Authorization": ""}).status_code == 401
    path = f"/v1/databases/cdb_xpp1/payloads/{made['sha256']}"
    assert client.put(path, content=b"some text", headers=reader).status_code == 403
    assert client.get("/v1/info").json()["seq"] == 1


# Retired, restored, amended -----------------------------------------------------------------------


def test_a_version_is_retired_restored_and_amended(client: TestClient) -> None:
    made = post(client, deployment(experiment="xpp1")).json()["constant"]
    path = f"/v1/constants/{made['id']}"
    retired = client.post(f"{path}/retire", json={"reason": "beam was on"}).json()
    assert (retired["constant"]["state"], retired["seq"]) == ("retired", 2)
    assert client.post(f"{path}/retire", json={"reason": "again"}).status_code == 409
    back = client.post(f"{path}/restore", json={"reason": "it was not"}).json()["constant"]
    new = client.post(f"/v1/constants/{back['id']}/amend", json={"comment": "good"}).json()
    assert new["constant"]["comment"] == "good"
    found = client.get(f"/v1/resolve?detector={EPIX}&experiment=xpp1").json()["constants"]
    assert found["notes"] == new["constant"]


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("retire", {}),
        ("retire", {"reason": 7}),
        ("retire", {"reason": "x", "comment": "y"}),
        ("amend", {"reason": "nothing"}),
        ("amend", {"detector": "x"}),
        ("amend", {"run": 2**60}),
    ],
)
def test_a_change_that_makes_no_sense_is_refused(
    quick_client: TestClient, verb: str, body: dict[str, Any]
) -> None:
    made = post(quick_client, deployment()).json()["constant"]
    answer = quick_client.post(f"/v1/constants/{made['id']}/{verb}", json=body)
    assert answer.status_code == 400, answer.text


# The same key -------------------------------------------------------------------------------------


def test_the_same_key_again_gives_the_same_version(client: TestClient) -> None:
    first = post(client, deployment(again=True), **KEY).json()
    again = post(client, deployment(again=True), **KEY).json()
    assert (again["constant"], again["seq"]) == (first["constant"], 1)
    (event,) = client.get("/v1/events").json()["events"]
    assert event["nonce"] == KEY["Idempotency-Key"]


def test_a_change_is_made_once_under_its_key(client: TestClient) -> None:
    made = post(client, deployment()).json()["constant"]
    for verb in ("retire", "restore"):
        path = f"/v1/constants/{made['id']}/{verb}"
        key = {"Idempotency-Key": f"{verb}-12345"}
        answers = [client.post(path, json={"reason": "x"}, headers=key) for _ in range(2)]
        assert answers[0].status_code == 200
        assert answers[0].json()["constant"] == answers[1].json()["constant"]
    assert client.get("/v1/info").json()["seq"] == 3


def test_a_key_that_was_used_for_something_else_is_refused(client: TestClient) -> None:
    made = post(client, deployment(), **KEY).json()["constant"]
    assert post(client, deployment("other"), **KEY).status_code == 409
    other = bearer("lisa", admin=True)
    assert post(client, deployment(), **KEY, **other).status_code == 409
    path = f"/v1/constants/{made['id']}/retire"
    assert client.post(path, json={"reason": "x"}, headers=KEY).status_code == 409
    assert post(client, deployment(), **{"Idempotency-Key": "short"}).status_code == 400


def test_the_same_key_at_two_services_at_once_is_one_event(tmp_path: Path) -> None:
    url = (tmp_path / "store").as_uri()
    with serving(open_store(url)) as one, serving(open_store(url)) as two:
        for number in range(5):
            key = {"Idempotency-Key": f"key-number-{number}"}
            body = deployment(f"{number}", again=True)
            with ThreadPoolExecutor(4) as pool:
                made = list(pool.map(lambda c: post(c, body, **key), [one, two] * 2))  # noqa: B023
            assert len({answer.json()["constant"]["id"] for answer in made}) == 1
        assert one.get("/v1/info").json()["seq"] == 5


@pytest.mark.parametrize("transactional", [True, False])
def test_a_write_whose_answer_was_lost_happens_once(transactional: bool) -> None:
    store = MemoryStore(transactional=transactional)

    def lost(name: str) -> None:
        if name == "after event" and not raised:
            raised.append(name)
            raise StoreUnavailable("the connection broke")

    raised: list[str] = []
    with serving(store, make=lambda store: Database(store, step=lost)) as client:
        assert post(client, deployment(again=True), **KEY).status_code == 502
        answer = post(client, deployment(again=True), **KEY)
        assert (answer.status_code, answer.json()["seq"]) == (201, 1)
        notes = client.get(f"/v1/resolve?detector={EPIX}").json()["constants"]["notes"]
        assert notes == answer.json()["constant"]


def test_several_are_retired_in_one_event(client: TestClient) -> None:
    ids = [post(client, deployment(run=run)).json()["constant"]["id"] for run in (1, 2)]
    body = {"ids": ids, "reason": "beam was on"}
    rehearsed = client.post("/v1/retire", json={**body, "dry_run": True})
    assert (rehearsed.status_code, rehearsed.json()["seq"]) == (200, 2)
    for _ in "ab":  # a repetition is the same
        made = client.post("/v1/retire", json=body, headers=KEY).json()
        assert (made["seq"], [each["id"] for each in made["constants"]]) == (3, ids)


@pytest.mark.parametrize(
    ("body", "status"),
    [({"reason": "x"}, 400), ({"ids": [], "reason": "x"}, 400), ({"ids": "x", "reason": "x"}, 400),
     ({"ids": [7], "reason": "x"}, 400), ({"ids": ["0" * 24]}, 404),
     ({"ids": ["0" * 24], "reason": 7}, 400), ({"ids": ["0" * 24], "reason": "x"}, 404),
     ({"ids": ["0" * 24], "reason": "x", "all": 1}, 400)],
)  # fmt: skip
def test_what_cannot_be_retired_is_refused(
    quick_client: TestClient, body: Any, status: int
) -> None:
    answer = quick_client.post("/v1/retire", json=body)
    assert (answer.status_code, "\n" in answer.json()["error"]["message"]) == (status, False)


def test_a_detector_is_registered_once(client: TestClient) -> None:
    long = {"detector": "epix10ka_0123-45_0123-46"}
    rehearsed = client.post("/v1/detectors", json={**long, "dry_run": True})
    assert (rehearsed.status_code, rehearsed.json()["seq"]) == (200, 0)
    for status, new in ((201, True), (200, False)):
        answer = client.post("/v1/detectors", json=long)
        assert answer.status_code == status
        made = answer.json()
        assert (made["detector"], made["new"], made["seq"]) == ("epix10ka_000001", new, 1)


@pytest.mark.parametrize("name", [7, "", "a b", "epix_1", "../x", None])
def test_what_names_no_detector_is_refused(quick_client: TestClient, name: Any) -> None:
    answer = quick_client.post("/v1/detectors", json={"detector": name})
    assert answer.status_code == 400
    assert quick_client.get("/v1/info").json()["seq"] == 0


def test_bytes_are_not_taken_by_their_digest_from_where_one_may_not_read(
    quick_store: Store,
) -> None:
    with serving(quick_store, anonymous_read=False) as client:
        assert post(client, deployment("of the detector")).status_code == 201
        wanted = deployment("of the detector", inline=False, experiment="xpp1")
        eve = {"headers": bearer("eve", write=["cdb_xpp*"])}
        refused = client.post("/v1/constants", json=wanted, **eve)
        unknown = deployment("of nobody", inline=False, experiment="xpp1")
        as_unknown = client.post("/v1/constants", json=unknown, **eve)
        assert (refused.status_code, as_unknown.status_code) == (409, 409)
        message = refused.json()["error"]["message"]
        digests = [body["payload"]["sha256"] for body in (wanted, unknown)]
        assert message.replace(*digests) == as_unknown.json()["error"]["message"]
        reader = {"headers": bearer("rita", write=["cdb_xpp*"], read=[f"cdb_{EPIX}"])}
        assert client.post("/v1/constants", json=wanted, **reader).status_code == 201
