"""Tags over HTTP: by which one reads, what one sees of them, who writes them."""

import pytest

from tests.web.v1.service import EPIX, bearer, serving

WHICH = f"detector={EPIX}&experiment=xpp1"


@pytest.fixture
def tagged(quick_client):
    """A service with one constant, a tag of it, and another constant."""
    db = quick_client.app.state.service.db
    add = {"detector": EPIX, "experiment": "xpp1", "ctype": "notes", "time": 1_600_000_000}
    first = db.add("first", run=1, **add)
    tag = db.tags.create("summer26")
    second = db.add("second", run=5, **add)
    quick_client.first, quick_client.second, quick_client.tag = first, second, tag
    return quick_client


def resolved(client, query: str) -> dict:
    answer = client.get(f"/v1/resolve?{WHICH}&run=7&{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_answers_carry_the_tag_and_its_state(tagged):
    answer = resolved(tagged, "tag=summer26")
    assert (answer["seq"], answer["tag"]) == (1, {"name": "summer26", "id": tagged.tag.id})
    assert answer["constants"]["notes"]["id"] == tagged.first.id
    assert resolved(tagged, "rule=range")["constants"]["notes"]["id"] == tagged.second.id
    for path in (f"/v1/constants?{WHICH}", "/v1/databases?", f"/v1/history?{WHICH}&ctype=notes",
                 f"/v1/explain?{WHICH}&ctype=notes", f"/v1/constants/{tagged.first.id}?",
                 "/v1/detectors?", "/v1/experiments?"):  # fmt: skip
        answer = tagged.get(f"{path}&tag=summer26").json()
        assert (answer["seq"], answer["tag"]["name"]) == (1, "summer26"), path


def test_an_answer_that_is_kept_does_not_outlive_the_tags_state(tagged):
    assert resolved(tagged, "tag=summer26")["constants"]["notes"]["id"] == tagged.first.id
    tagged.post("/v1/tags/summer26/pin", json={"versions": [tagged.second.id]})
    assert resolved(tagged, "tag=summer26")["constants"]["notes"]["id"] == tagged.second.id
    assert resolved(tagged, "tag=summer26%231")["constants"]["notes"]["id"] == tagged.first.id
    tagged.post("/v1/tags/summer26/unpin", json={"versions": [tagged.second.id]})
    assert resolved(tagged, "tag=summer26")["constants"]["notes"]["id"] == tagged.first.id


def test_all_pages_are_of_the_tag_as_it_was_in_the_first(tagged):
    tagged.post("/v1/tags/summer26/pin", json={"versions": [tagged.second.id]})
    page = tagged.get(f"/v1/constants?{WHICH}&tag=summer26&limit=1").json()
    tagged.post("/v1/tags/summer26/unpin", json={"versions": [tagged.second.id]})
    following = tagged.get(f"/v1/constants?{WHICH}&limit=1&after={page['next']}").json()
    ids = [page["constants"][0]["id"], following["constants"][0]["id"]]
    assert sorted(ids) == sorted([tagged.first.id, tagged.second.id])
    assert following["next"] is None
    assert following["tag"] == page["tag"]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("tag=winter26", 404, "NotFound"),
        ("tag=summer26@00000000", 409, "WrongServer"),
        ("tag=a%20b", 400, "BadName"),
        ("tag=summer26&as_of=1", 400, "BadQuestion"),
        ("tag=summer26&tag=summer26", 400, "BadQuestion"),
    ],
)
def test_what_is_no_tag_is_refused(tagged, query, status, code):
    answer = tagged.get(f"/v1/resolve?{WHICH}&{query}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("", {}),
        ("", {"name": "new", "at": 1.5}),
        ("", {"name": "new", "at": True}),
        ("", {"name": "new", "colour": "red"}),
        ("/summer26/move", {"state": 3}),
        ("/summer26/move", {}),
        ("/summer26/pin", {"versions": "x"}),
        ("/summer26/pin", {"versions": [3]}),
        ("/summer26/pin", {"versions": []}),
        ("/summer26/advance", {"run": 3}),
        ("/summer26/delete", {"dry_run": "yes"}),
    ],
)
def test_a_body_that_makes_no_sense_changes_nothing(tagged, path, body):
    before = tagged.get("/v1/tags").json()
    answer = tagged.post(f"/v1/tags{path}", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadQuestion")
    assert tagged.get("/v1/tags").json() == before


def test_a_write_is_done_once_and_in_the_name_of_who_asks(tagged):
    key = {"Idempotency-Key": "k" * 16}
    said = [tagged.post("/v1/tags", json={"name": "new"}, headers=key).json() for _ in range(2)]
    assert said[0]["tag"] == said[1]["tag"]
    assert len(tagged.get("/v1/tags/new").json()["revisions"]) == 1
    assert tagged.get("/v1/tags").json()["tags"][0]["by"] == said[0]["tag"]["by"]


def test_pins_that_one_may_not_read_are_left_out(tagged):
    tagged.post("/v1/tags/summer26/pin", json={"versions": [tagged.second.id]})
    store = tagged.app.state.service.db.store
    stranger = bearer("stranger", read=["cdb_cxi*"])
    with serving(store, anonymous_read=False) as client:
        seen = client.get("/v1/tags/summer26", headers=stranger).json()["tag"]
        told = client.get("/v1/affected?a=0&b=summer26", headers=stranger).json()
        whole = client.get("/v1/affected?a=0&b=summer26").json()
    assert (seen["pins"], seen["partial"]) == ([], True)
    assert (told["affected"], told["partial"]) == ([], True)
    assert (len(whole["affected"]), "partial" in whole) == (3, False)
