import hashlib

import pytest
from pymongo import monitoring
from starlette.testclient import TestClient

from cdb.database import Database
from cdb.stores import Store, open_store
from tests.programs import OtherProgram
from tests.web.v1.service import EPIX, bearer, deployment, serving

TEXT = "0123456789"


@pytest.fixture
def path(client: TestClient) -> str:
    """Where a payload of ten bytes is."""
    made = client.post("/v1/constants", json=deployment(TEXT)).json()["constant"]
    return f"/v1/databases/{made['database']}/payloads/{made['sha256']}"


def test_a_payload_is_immutable(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.text == TEXT
    assert answer.headers["etag"] == f'"{path[-64:]}"'
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-length"] == "10"


def test_who_has_it_already_is_told_so(client: TestClient, path: str) -> None:
    etag = client.get(path).headers["etag"]
    for known in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        answer = client.get(path, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content) == (304, b"")
    assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_head_has_the_length_alone(client: TestClient, path: str) -> None:
    answer = client.head(path)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == "10"


@pytest.mark.parametrize(
    ("asked", "status", "content", "said"),
    [
        ("bytes=2-3", 206, "23", "bytes 2-3/10"),
        ("bytes=8-", 206, "89", "bytes 8-9/10"),
        ("bytes=-3", 206, "789", "bytes 7-9/10"),
        ("bytes=0-999", 206, TEXT, "bytes 0-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=-0", 416, None, "bytes */10"),
        ("bytes=3-2", 200, TEXT, None),
        ("bytes=0-1,3-4", 200, TEXT, None),
        ("lines=1-2", 200, TEXT, None),
    ],
)
def test_a_range_is_given(
    client: TestClient, path: str, asked: str, status: int, content: str | None, said: str | None
) -> None:
    answer = client.get(path, headers={"Range": asked})
    assert answer.status_code == status
    if content is None:
        assert answer.json()["error"]["code"] == "BadRange"
    else:
        assert answer.text == content
    assert answer.headers.get("content-range") == said


def test_a_range_of_another_payload_gives_the_whole(client: TestClient, path: str) -> None:
    answer = client.get(path, headers={"Range": "bytes=2-3", "If-Range": '"other"'})
    assert (answer.status_code, answer.text) == (200, TEXT)


def test_a_large_payload_comes_in_pieces(client: TestClient) -> None:
    data = bytes(range(256)) * 20_000
    text = data.hex()
    body = deployment(text, inline=False)
    path = f"/v1/databases/cdb_{EPIX}/payloads/{body['payload']['sha256']}"
    client.put(path, content=text.encode())
    assert client.post("/v1/constants", json=body).status_code == 201
    assert client.get(path).text == text
    part = client.get(path, headers={"Range": "bytes=100-3000099"})
    assert part.text == text[100:3_000_100]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/v1/databases/cdb_{EPIX}/payloads/{'0' * 64}", 404),
        (f"/v1/databases/cdb_{EPIX}/payloads/beef", 404),
        (f"/v1/databases/cdb_{EPIX}/payloads/{'0' * 24}", 404),
        (f"/v1/databases/cdbjournal/payloads/{'0' * 64}", 400),
        (f"/v1/databases/..%2Fetc/payloads/{'0' * 64}", 404),
    ],
)
def test_what_names_no_payload_is_not_found(client: TestClient, path: str, status: int) -> None:
    assert client.get(path).status_code == status


def test_a_payload_is_read_by_the_right_on_its_own_database(quick_store: Store) -> None:
    with serving(quick_store, anonymous_read=False) as client:
        made = client.post("/v1/constants", json=deployment(TEXT, experiment="xpp1")).json()
        path = f"/v1/databases/{{}}/payloads/{made['constant']['sha256']}"
        eve = bearer("eve", read=["cdb_xpp*"])
        assert client.get(path.format("cdb_xpp1"), headers=eve).status_code == 200
        assert client.get(path.format(f"cdb_{EPIX}"), headers=eve).status_code == 403
        assert client.get(path.format("cdb_xpp2"), headers=eve).status_code == 404


def test_the_payload_of_a_version_that_left_is_still_served(client: TestClient, path: str) -> None:
    found = client.get(f"/v1/constants?detector={EPIX}").json()["constants"]
    client.post(f"/v1/constants/{found[0]['id']}/retire", json={"reason": "bad"})
    assert client.get(path).text == TEXT


def test_damaged_bytes_are_never_served(quick_store: Store) -> None:
    version = Database(quick_store).add(TEXT, detector=EPIX, ctype="notes")
    OtherProgram(quick_store).flip_a_byte(version.database, version.meta["id_data"])
    with serving(quick_store) as client:
        path = f"/v1/databases/{version.database}/payloads/{version.sha256}"
        answer = client.get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "Corrupt")
        body = deployment(TEXT, again=True)
        assert client.post("/v1/constants", json=body).status_code == 201
        assert client.get(path).text == TEXT


def test_bytes_of_another_program_are_asked_for_by_their_id() -> None:
    from tests.conftest import mocked_mongo

    with mocked_mongo() as store, serving(store) as client:
        theirs = OtherProgram(store)
        blob_id = theirs.upload(b"theirs")
        theirs.insert(id_data=blob_id)
        assert client.get(f"/v1/databases/cdb_xpp1/payloads/{blob_id}").text == "theirs"
        sha256 = hashlib.sha256(b"ours").hexdigest()
        Database(store).upload("cdb_xpp1", b"ours", sha256=sha256)
        (ours,) = store.uploads("cdb_xpp1", sha256)
        assert client.get(f"/v1/databases/cdb_xpp1/payloads/{ours.id}").status_code == 404


@pytest.mark.mongo
def test_no_more_chunks_are_read_than_are_asked_for(
    mongo_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HEAD and 304 need none, a range its own."""
    commands: list[tuple[str, str]] = []

    class Listener(monitoring.CommandListener):
        def started(self, event: monitoring.CommandStartedEvent) -> None:
            query = event.command.get("filter", {})
            if event.command.get(event.command_name) == "fs.chunks":
                commands.append((event.command_name, str(query.get("n"))))

        def succeeded(self, event: object) -> None:
            """Nothing to note."""

        def failed(self, event: object) -> None:
            """Nothing to note."""

    text = TEXT * 100_000
    monkeypatch.setattr(monitoring, "_LISTENERS", monitoring._LISTENERS)
    with open_store(mongo_url) as store:
        version = Database(store).add(text, detector=EPIX, ctype="notes")
    monitoring.register(Listener())
    with open_store(mongo_url) as store, serving(store) as client:
        path = f"/v1/databases/{version.database}/payloads/{version.sha256}"
        assert client.head(path).headers["content-length"] == str(len(text))
        known = {"If-None-Match": f'"{version.sha256}"'}
        assert client.get(path, headers=known).status_code == 304
        assert commands == []
        part = client.get(path, headers={"Range": "bytes=300000-300009"})
        assert (part.status_code, part.text) == (206, TEXT)
        across = client.get(path, headers={"Range": "bytes=261000-523000"})
        assert across.text == text[261_000:523_001]
        assert client.get(path, headers={"Range": "bytes=9999999-"}).status_code == 416
        assert commands == [("find", "{'$gte': 1, '$lte': 1}"), ("find", "{'$gte': 0, '$lte': 2}")]
