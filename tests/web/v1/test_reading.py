import random
import time
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import cdb
from cdb.database import Database
from cdb.errors import NotFound
from cdb.stores import Store
from cdb.stores.memory import MemoryStore
from tests.programs import OtherProgram
from tests.web.v1.service import EPIX, bearer, deployment, pedestals, serving

GOOD = [
    "/v1/info",
    "/v1/health",
    "/v1/ready",
    "/v1/databases",
    "/v1/detectors",
    "/v1/experiments",
    f"/v1/constants?detector={EPIX}",
    f"/v1/history?detector={EPIX}&ctype=notes",
    f"/v1/explain?detector={EPIX}&ctype=notes&run=3",
    f"/v1/resolve?detector={EPIX}&run=3",
    "/v1/events",
    "/metrics",
    "/openapi.json",
]


@pytest.mark.parametrize("path", GOOD)
def test_every_question_is_answered_by_a_service_that_holds_nothing(
    client: TestClient, path: str
) -> None:
    assert client.get(path).status_code == 200


@pytest.mark.parametrize("path", GOOD)
def test_an_unknown_parameter_is_refused_everywhere(quick_client: TestClient, path: str) -> None:
    answer = quick_client.get(path + ("&" if "?" in path else "?") + "colour=red")
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "BadQuestion"
    assert "'colour'" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/resolve",  # no detector
        f"/v1/resolve?detector={EPIX}&run=-1",
        f"/v1/resolve?detector={EPIX}&run=1&run=2",
        f"/v1/resolve?detector={EPIX}&run=",
        f"/v1/resolve?detector={EPIX}&rule=best",
        f"/v1/resolve?detector={EPIX}&time=yesterday",
        f"/v1/resolve?detector={EPIX}&as_of=99",
        f"/v1/resolve?detector={EPIX}&fields=a..b",
        "/v1/resolve?detector=../etc",
        "/v1/resolve?detector=%FF%FE",
        "/v1/resolve?detector=%ED%A0%80",
        f"/v1/constants?detector={EPIX}&query=run",
        f'/v1/constants?detector={EPIX}&query={{"run":NaN}}',
        f'/v1/constants?detector={EPIX}&query={{"$where":"1"}}',
        f'/v1/constants?detector={EPIX}&query={{"out":{{"$exists":true}}}}',
        f'/v1/constants?detector={EPIX}&query={{"$or":[{{"detector":"x"}}]}}',
        f'/v1/constants?detector={EPIX}&query={{"$and":[1]}}',
        f"/v1/constants?detector={EPIX}&query={'[' * 5000}",
        f'/v1/constants?detector={EPIX}&query={{"ctype":"\\ud800"}}',
        f"/v1/constants?detector={EPIX}&sort=$x",
        f"/v1/constants?detector={EPIX}&limit=0",
        f"/v1/constants?detector={EPIX}&after=nonsense",
        "/v1/constants",
        "/v1/events?after=-1",
        "/v1/events?wait=1e9",
    ],
)
def test_a_bad_question_gets_a_sentence(quick_client: TestClient, path: str) -> None:
    answer = quick_client.get(path)
    assert answer.status_code == 400, answer.text
    assert len(answer.json()["error"]["message"]) > 20


@pytest.mark.parametrize("path", [p for p in GOOD if "detector=" in p])
def test_who_may_not_read_a_database_is_refused(path: str) -> None:
    with serving(MemoryStore(), anonymous_read=False) as client:
        assert client.get(path, headers=bearer("eve", read=["cdb_xpp*"])).status_code == 403
        assert client.get(path, headers={"Authorization": ""}).status_code == 401
        assert client.get(path, headers=bearer("eve", read=["cdb_epix*"])).status_code == 200


def test_a_state_stands_in_every_answer(client: TestClient) -> None:
    made = client.post("/v1/constants", json=deployment()).json()
    for path in GOOD[3:-2] + ["/v1/info"]:
        answer = client.get(path).json()
        assert (answer["seq"], answer["server"]) == (1, made["server"]), path


def test_resolve_gives_the_whole_document_or_the_fields_that_are_named(
    client: TestClient,
) -> None:
    made = client.post("/v1/constants", json=deployment(run=3)).json()["constant"]
    question = {"detector": EPIX, "run": 5}
    whole = client.get("/v1/resolve", params=question).json()
    assert whole["constants"] == {"notes": made}
    assert whole["searched"] == [f"cdb_{EPIX}"]
    few = client.get("/v1/resolve", params=question | {"fields": "run,sha256"}).json()
    assert few["constants"]["notes"] == {n: made[n] for n in ("id", "run", "sha256")}
    none = client.get("/v1/resolve", params=question | {"ctype": "gain"}).json()
    assert none["constants"] == {}


def test_a_question_is_answered_anew_after_a_write(client: TestClient) -> None:
    question = {"detector": EPIX, "run": 5}
    for number in range(3):
        client.post("/v1/constants", json=deployment(f"text {number}"))
        for _ in range(2):
            answer = client.get("/v1/resolve", params=question).json()
            assert answer["seq"] == number + 1
            assert answer["constants"]["notes"]["seq"] == number + 1


def test_an_answer_as_of_now_is_not_kept_for_later(tmp_path: Path) -> None:
    """The last event may be dated after now, by a clock that is ahead."""
    with cdb.open(tmp_path.as_uri()) as db, serving(db.store) as client:
        ahead = Database(db.store, now=lambda: time.time() + 2)
        ahead.add("text", detector=EPIX, ctype="notes")
        path = f"/v1/resolve?detector={EPIX}&as_of=now"
        assert client.get(path).json()["seq"] == 0
        time.sleep(2.1)
        assert client.get(path).json()["seq"] == 1


UNKNOWN_OR_NOT = [
    "/v1/constants?detector={detector}",
    "/v1/constants/{id}",
    "/v1/history?detector={detector}&ctype=notes",
    "/v1/explain?detector={detector}&ctype=notes",
    "/v1/resolve?detector={detector}",
    "/v1/databases/cdb_epix_000001/payloads/{sha256}",
]


@pytest.mark.parametrize("path", UNKNOWN_OR_NOT)
def test_who_may_read_nothing_does_not_learn_what_there_is(path: str) -> None:
    with serving(MemoryStore(), anonymous_read=False) as client:
        made = client.post("/v1/constants", json=deployment(detector="epix_0123-45")).json()
        there = {**made["constant"], "detector": "epix_0123-45"}
        not_there = {"detector": "epix_0123-46", "id": "0" * 24, "sha256": "0" * 64}
        for headers, status in (({"Authorization": ""}, 401), (bearer("eve"), 403)):
            answers = [client.get(path.format(**w), headers=headers) for w in (there, not_there)]
            assert [answer.status_code for answer in answers] == [status, status]
            assert answers[0].json() == answers[1].json()


@pytest.mark.parametrize("verb", ["retire", "restore", "amend"])
def test_who_may_write_nothing_does_not_learn_what_there_is(verb: str) -> None:
    with serving(MemoryStore()) as client:
        made = client.post("/v1/constants", json=deployment()).json()["constant"]["id"]
        eve = bearer("eve", read=["*"])
        paths = [f"/v1/constants/{id_}/{verb}" for id_ in (made, "0" * 24)]
        answers = [client.post(path, json={"reason": "x"}, headers=eve) for path in paths]
        assert [answer.status_code for answer in answers] == [403, 403]
        assert answers[0].json() == answers[1].json()


def test_an_answer_that_was_kept_is_given_to_nobody_who_may_not_read(
    quick_store: Store,
) -> None:
    with serving(quick_store, anonymous_read=False) as client:
        client.post("/v1/constants", json=deployment())
        for _ in range(2):
            assert client.get(f"/v1/resolve?detector={EPIX}").status_code == 200
        eve = bearer("eve", read=["cdb_xpp*"])
        assert client.get(f"/v1/resolve?detector={EPIX}", headers=eve).status_code == 403


def test_documents_of_other_programs_take_part_at_once(quick_store: Store) -> None:
    with serving(quick_store) as client:
        question = {"detector": EPIX, "experiment": "xpp1", "run": 5}
        client.post("/v1/constants", json=deployment(experiment="xpp2"))
        client.get("/v1/resolve", params=question)
        theirs = OtherProgram(quick_store).insert("theirs")
        found = client.get("/v1/resolve", params=question).json()["constants"]["notes"]
        assert found["id"] == theirs


def test_pages_are_all_as_of_the_state_of_the_first(client: TestClient) -> None:
    for run in range(5):
        client.post("/v1/constants", json=deployment(run=run))
    question: dict[str, Any] = {"detector": EPIX, "sort": "-run", "limit": 2}
    runs, after = [], {}
    while after is not None:
        page = client.get("/v1/constants", params=question | after).json()
        runs += [version["run"] for version in page["constants"]]
        after = {"after": page["next"]} if page["next"] else None
        client.post("/v1/constants", json=deployment(run=100 + len(runs)))
    assert runs == [4, 3, 2, 1, 0]


def test_find_takes_a_query(client: TestClient) -> None:
    for run in range(4):
        client.post("/v1/constants", json=deployment(run=run, comment=f"run {run}"))
    query = '{"$or":[{"run":{"$gte":3}},{"comment":"run 1"}]}'
    found = client.get("/v1/constants", params={"detector": EPIX, "query": query}).json()
    assert [version["run"] for version in found["constants"]] == [1, 3]


def test_one_version_is_given_as_it_stood(client: TestClient) -> None:
    made = client.post("/v1/constants", json=deployment()).json()["constant"]
    client.post(f"/v1/constants/{made['id']}/retire", json={"reason": "bad"})
    path = f"/v1/constants/{made['id']}"
    assert client.get(path).json()["constant"]["state"] == "retired"
    assert client.get(path, params={"as_of": 1}).json()["constant"] == made
    assert client.get(path, params={"as_of": 0}).status_code == 404
    assert client.get("/v1/constants/none").status_code == 404


def test_explain_has_a_reason_for_each_candidate(client: TestClient) -> None:
    for run in (1, 3):
        client.post("/v1/constants", json=deployment(run=run))
    answer = client.get(f"/v1/explain?detector={EPIX}&ctype=notes&run=2").json()
    assert answer["winner"]["run"] == 1
    reasons = {c["constant"]["run"]: c["reason"] for c in answer["candidates"]}
    assert reasons[1].startswith("wins")
    assert reasons[3] == "begins later, with run 3"


def test_what_may_not_be_read_is_not_listed(quick_store: Store) -> None:
    with serving(quick_store, anonymous_read=False) as client:
        for experiment in ("xpp1", "rix1"):
            client.post("/v1/constants", json=deployment(experiment=experiment, ctype=experiment))
        eve = bearer("eve", read=["cdb_xpp*"])
        databases = client.get("/v1/databases", headers=eve).json()["databases"]
        assert [d["database"] for d in databases] == ["cdb_xpp1"]
        experiments = client.get("/v1/experiments", headers=eve).json()["experiments"]
        assert experiments == [{"experiment": "xpp1", "detectors": [EPIX]}]
        assert client.get("/v1/detectors", headers=eve).json()["detectors"] == []
        assert len(client.get("/v1/databases").json()["databases"]) == 3


@pytest.mark.parametrize("seed", range(4))
def test_answers_as_of_any_state_are_those_of_the_database(quick_store: Store, seed: int) -> None:
    with serving(quick_store) as client:
        _write_at_random(client, random.Random(seed))
        db = Database(quick_store)
        for seq in range(db.head + 1):
            for run in (None, 0, 2, 9):
                _compare(client, db, seq, run)


def _write_at_random(client: TestClient, chance: random.Random) -> None:
    ids: list[str] = []
    for number in range(12):
        what = chance.choice(["add", "add", "add", "retire", "amend", "restore"])
        if what == "add" or not ids:
            more = {
                "run": chance.randrange(4), "run_end": chance.choice([5, "end"]),
                "ctype": chance.choice(["notes", "gain"]),
                "experiment": chance.choice([None, "xpp1", "rix1"]),
            }  # fmt: skip
            answer = client.post("/v1/constants", json=deployment(f"{number}", **more))
            assert answer.status_code == 201, answer.text
        else:
            change = {"reason": "why"} | ({"comment": f"{number}"} if what == "amend" else {})
            path = f"/v1/constants/{chance.choice(ids)}/{what}"
            answer = client.post(path, json=change)
            assert answer.status_code in (200, 409), answer.text
        if answer.status_code < 400:
            ids.append(answer.json()["constant"]["id"])


def _compare(client: TestClient, db: Database, seq: int, run: int | None) -> None:
    question: dict[str, Any] = {"detector": EPIX, "experiment": "xpp1", "as_of": seq}
    question |= {} if run is None else {"run": run}
    answer = client.get("/v1/resolve", params=question).json()
    for ctype in ("notes", "gain"):
        try:
            expected = db.version(EPIX, ctype, experiment="xpp1", run=run, as_of=seq)
        except NotFound:
            assert ctype not in answer["constants"]
            continue
        found = answer["constants"][ctype]
        assert found == expected.as_json() | {
            "database": expected.database, "collection": expected.collection
        }  # fmt: skip
        path = f"/v1/databases/{found['database']}/payloads/{found['sha256']}"
        assert client.get(path).text == db.data(expected)
    listed = client.get("/v1/constants", params={"detector": EPIX, "as_of": seq}).json()
    assert [v["id"] for v in listed["constants"]] == [
        v.id for v in db.find(detector=EPIX, as_of=seq)
    ]


def test_an_array_comes_back_bit_for_bit(client: TestClient) -> None:
    made = client.post("/v1/constants", json=deployment(pedestals(2.5))).json()["constant"]
    path = f"/v1/databases/{made['database']}/payloads/{made['sha256']}"
    assert client.get(path).content == pedestals(2.5).tobytes()
