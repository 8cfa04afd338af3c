"""Lineage over HTTP: what one may not read is there, and has no name."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from cdb.constant import Version
from cdb.database import Database
from cdb.stores.memory import MemoryStore
from tests.web.v1.service import EPIX, bearer, deployment, serving

TIME = 1_600_000_000


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(transactional=False)


@pytest.fixture
def client(store: MemoryStore) -> Iterator[TestClient]:
    with serving(store, anonymous_read=False) as client:
        yield client


@pytest.fixture
def family(store: MemoryStore) -> list[Version]:
    """One of an experiment, one made from it in a private database, one from that elsewhere."""
    db = Database(store)
    made: list[Version] = []
    for ctype, where in (
        ("dark", {"experiment": "xpp1"}),
        ("secret", {"dbsuffix": "mine"}),
        ("gains", {"experiment": "xpp2"}),
    ):
        source = {"parents": [{"id": parent.id} for parent in made[-1:]]}
        made.append(db.add(ctype, detector=EPIX, ctype=ctype, time=TIME, source=source, **where))
    return made


READER = {"read": ["cdb_xpp*"]}


def test_what_may_not_be_read_is_hidden_not_named(client, family):
    dark, secret, gains = family
    answer = client.get(f"/v1/constants/{dark.id}/lineage", headers=bearer("ann", **READER))
    assert answer.status_code == 200
    (hidden,) = answer.json()["lineage"]["children"]
    assert {name: hidden[name] for name in hidden if name != "children"} == {
        "state": "hidden", "parents": [],
    }  # fmt: skip
    assert [child["id"] for child in hidden["children"]] == [gains.id]
    assert all(str(word) not in answer.text for word in (secret.id, "mine", secret.sha256))


def test_an_administrator_sees_all(client, family):
    dark, secret, gains = family
    answer = client.get(f"/v1/constants/{gains.id}/lineage?direction=up").json()
    (parent,) = answer["lineage"]["parents"]
    assert (parent["id"], parent["parents"][0]["id"]) == (secret.id, dark.id)
    assert answer["seq"] == 3


def test_of_two_copies_the_one_is_named_that_may_be_read(client, family):
    dark, secret, _ = family
    rights = {"read": [f"cdb_{EPIX}", f"cdb_{EPIX}_mine"]}
    answer = client.get(f"/v1/constants/{secret.id}/lineage", headers=bearer("ann", **rights))
    (parent,) = answer.json()["lineage"]["parents"]
    assert (parent["database"], parent["ctype"]) == (f"cdb_{EPIX}", "dark")
    assert dark.id not in answer.text


def test_who_may_not_read_the_constant_itself_is_refused(client, family):
    answer = client.get(f"/v1/constants/{family[1].id}/lineage", headers=bearer("ann", **READER))
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "NotAllowed")


@pytest.mark.parametrize(
    "asked", ["direction=sideways", "depth=-1", "depth=101", "depth=x", "as_of=9", "colour=red"]
)
def test_what_makes_no_sense_is_refused(client, family, asked):
    answer = client.get(f"/v1/constants/{family[0].id}/lineage?{asked}")
    assert answer.status_code == 400


def test_directions_and_depth_are_taken(client, family):
    path = f"/v1/constants/{family[1].id}/lineage"
    found = {way: client.get(f"{path}?direction={way}").json()["lineage"]
             for way in ("up", "down", "both", "none")}  # fmt: skip
    numbers = {w: (len(one["parents"]), len(one["children"])) for w, one in found.items()}
    assert numbers == {"up": (1, 0), "down": (0, 1), "both": (1, 1), "none": (0, 0)}
    assert client.get(f"{path}?depth=0").json()["lineage"]["more"] is True


def test_the_feed_names_a_child_to_those_who_may_read_it(client, family):
    dark, secret, gains = family
    seen = client.get("/v1/events", headers=bearer("ann", **READER))
    assert secret.id not in seen.json()["events"][0].__repr__()
    mentions = [made for event in seen.json()["events"] for made in event["versions"]
                if "child" in made]  # fmt: skip
    assert mentions == []
    everything = client.get("/v1/events").json()["events"]
    mentions = [(made["id"], made["child"]) for event in everything
                for made in event["versions"] if "child" in made]  # fmt: skip
    assert mentions == [(f"parent:{dark.id}", secret.id), (f"parent:{secret.id}", gains.id)]


def test_a_deployment_names_its_parents(client, family):
    dark = family[0]
    source = {"parents": [{"id": dark.id}], "runs": [5]}
    made = client.post("/v1/constants", json=deployment(source=source)).json()["constant"]
    assert made["source"]["parents"] == [{"id": dark.id, "sha256": dark.sha256}]
    for wrong in ({"parents": [{"id": "6" * 24}]}, {"runs": 5}, "dark run"):
        answer = client.post("/v1/constants", json=deployment("other", source=wrong))
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "BadDocument")
    circle = {"source": {"parents": [{"id": made["id"]}]}, "reason": "test"}
    answer = client.post(f"/v1/constants/{dark.id}/amend", json=circle)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "WrongState")
