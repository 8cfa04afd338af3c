"""Pages of constants: each goes on where the one before ended, and costs no more for it."""

import base64
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from cdb.database import Database
from cdb.listing import order_of, remaining
from cdb.stores import Store
from cdb.stores.memory import MemoryStore
from cdb.stores.query import kind, matches, sort_documents
from tests.programs import OtherProgram
from tests.web.v1.service import EPIX, deployment, serving

SORTS = ["", "-run", "ctype,-run", "-ctype,comment", "-_id", "time_sec,-comment", "unit,-version"]


def pages(client: TestClient, **question: Any) -> Iterator[list[dict[str, Any]]]:
    """Yield the pages of a question."""
    after: str | None = None
    while True:
        more = {"after": after} if after else {}
        answer = client.get("/v1/constants", params={**question, **more})
        assert answer.status_code == 200, answer.text
        yield answer.json()["constants"]
        after = answer.json()["next"]
        if after is None:
            return


def fill(db: Database, number: int = 40) -> None:
    chance = random.Random(7)
    for n in range(number):
        db.add(
            f"text {n}", detector=EPIX, ctype=chance.choice(["notes", "gain", "mask"]),
            run=chance.randrange(6), experiment="xpp1", again=True,
            comment=chance.choice(["a", "b", "é"]), time=1_600_000_000 + chance.randrange(3),
            unit=chance.choice([None, "ADU"]),
        )  # fmt: skip


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_pages_together_are_the_whole_list(every_store: Store, limit: int) -> None:
    fill(Database(every_store), 12 if limit == 1 else 40)
    with serving(every_store) as client:
        for sort in SORTS:
            question = {"detector": EPIX, "experiment": "xpp1"} | ({"sort": sort} if sort else {})
            whole = client.get("/v1/constants", params={**question, "limit": 1000}).json()
            found = [v["id"] for page in pages(client, **question, limit=limit) for v in page]
            assert found == [v["id"] for v in whole["constants"]], sort
            assert len(set(found)) == len(found) > 11


def test_pages_go_through_all_detectors_of_an_experiment(client: TestClient) -> None:
    for detector in ("epix_000001", "epix_000002", "jungfrau_000001"):
        for run in range(3):
            body = deployment(f"{detector} {run}", detector=detector, run=run, experiment="xpp1")
            assert client.post("/v1/constants", json=body).status_code == 201
    found = [
        (v["detector"], v["run"]) for p in pages(client, experiment="xpp1", limit=2) for v in p
    ]
    assert found == sorted(found)
    assert len(found) == 9


def test_pages_of_a_run_hold_those_that_cover_it(client: TestClient) -> None:
    for run in range(10):
        client.post("/v1/constants", json=deployment(f"{run}", run=run, run_end=run + run % 3))
    found = [v["run"] for page in pages(client, detector=EPIX, run=5, limit=1) for v in page]
    assert found == [4, 5]


def test_a_page_shows_the_state_of_the_first_whatever_is_written(client: TestClient) -> None:
    made = [client.post("/v1/constants", json=deployment(f"{n}", run=n)).json() for n in range(6)]
    coming = pages(client, detector=EPIX, limit=2)
    assert [v["run"] for v in next(coming)] == [0, 1]
    client.post("/v1/constants", json=deployment("late", run=2))
    client.post(f"/v1/constants/{made[4]['constant']['id']}/retire", json={"reason": "bad"})
    assert [v["run"] for page in coming for v in page] == [2, 3, 4, 5]


def test_documents_that_no_event_names_are_in_all_pages() -> None:
    store = MemoryStore()
    for run in range(5):
        OtherProgram(store).insert("theirs", run=run, _id=f"5f5e1000{run:016x}")
    with serving(store) as client:
        question = {"detector": EPIX, "experiment": "xpp1", "limit": 2}
        assert [len(page) for page in pages(client, **question)] == [2, 2, 1]


def token(*parts: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def test_a_page_of_another_question_or_of_none_is_refused(quick_client: TestClient) -> None:
    for run in range(3):
        quick_client.post("/v1/constants", json=deployment(f"{run}", run=run))
    question = {"detector": EPIX, "limit": 1}
    following = quick_client.get("/v1/constants", params=question).json()["next"]
    (digest, *rest) = json.loads(base64.urlsafe_b64decode(following + "=="))
    bad = ["", "x", "e30", "NQ", token(), token(digest), token(digest, *rest[:-1]),
           token(digest, *rest, 1), token("0" * 16, *rest), token(digest, -1, *rest[1:]),
           token(digest, 10**6, *rest[1:]), token(digest, True, *rest[1:]),
           token(digest, *rest[:4], 10**30, "x"), token(digest, *rest[:4], [1], "x"),
           token(digest, rest[0], False, "cdb_other", EPIX, *rest[4:])]  # fmt: skip
    for text in bad:
        answer = quick_client.get("/v1/constants", params={**question, "after": text})
        assert answer.status_code == 400, text
    other = {**question, "ctype": "gain", "after": following}
    assert quick_client.get("/v1/constants", params=other).status_code == 400


def test_a_page_reads_no_more_documents_than_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    for run in range(30):
        Database(store).add(f"{run}", detector=EPIX, ctype="notes", run=run)
    read, find = [], store.find

    def counted(database: str, collection: str, *args: Any, **named: Any) -> Any:
        for document in find(database, collection, *args, **named):
            read.append(collection)
            yield document

    with serving(store) as client:
        for number, _ in enumerate(pages(client, detector=EPIX, limit=5)):
            if number == 4:
                monkeypatch.setattr(store, "find", counted)
    # Of the last page; and the page before it, which saw that there is one more.
    assert read.count(EPIX) <= 2 * 6


VALUES = st.sampled_from([None, -1, 0, 2.5, 7, "", "a", "é"])
DOCUMENTS = st.lists(
    st.fixed_dictionaries({}, optional={"a": VALUES, "b": VALUES}), min_size=1, max_size=12
)


@given(DOCUMENTS, st.sampled_from([1, -1]), st.sampled_from([1, -1]), st.integers(0, 11))
def test_what_remains_is_what_is_sorted_after(
    documents: list[dict[str, Any]], first: int, second: int, number: int
) -> None:
    found = [{"_id": f"{n:02}", **document} for n, document in enumerate(documents)]
    order = order_of([("a", first), ("b", second)])
    whole = sort_documents(found, order)
    place = number % len(whole)
    begin = [whole[place].get(name) for name, _ in order]
    rest = [
        document
        for condition, left in remaining(order, begin)
        for document in sort_documents([d for d in found if matches(condition, d)], left)
    ]
    assert [d["_id"] for d in rest] == [d["_id"] for d in whole[place + 1 :]]
    assert all(kind(value) in (0, 1, 2) for value in begin)
