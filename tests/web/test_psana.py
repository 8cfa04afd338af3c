"""psana's dialect, request by request: what is forgiven, what is refused, and with which status."""

import datetime
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from bson import Int64, ObjectId
from starlette.testclient import TestClient

from cdb.database import Database
from cdb.errors import StoreUnavailable
from cdb.stores import open_store
from cdb.web import psana
from cdb.web.access import ANYTHING, AccessMiddleware, Caller
from cdb.web.app import make_app
from cdb.web.psana_rights import COPIED, permit_of
from cdb.web.settings import Settings
from tests.programs import OtherProgram
from tests.test_copies import many

SHORT, DB, DETECTOR_DB = "epix_000001", "cdb_xpp1", "cdb_epix_000001"
BASE = "/ws-jwt/calib_ws"
ABSENT = "5fc6911af587a598cbb1a601"
ROOT = Caller("root", admin=True)
READER = Caller(read=ANYTHING)


@dataclass
class Site:
    """A service, and a client of it that may do what `caller` may."""

    db: Database
    http: TestClient
    caller: Caller = ROOT

    def __call__(self, method: str, path: str, **more: Any) -> Any:
        return self.http.request(method, BASE + path, **more)

    def get(self, path: str, **asked: Any) -> Any:
        """Return what a GET is answered with."""
        answer = self("GET", path, params=asked)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def upload(self, data: bytes = b"data", database: str = DB) -> str:
        return self("POST", f"/{database}/gridfs/", content=data).json()["_id"]

    def file(self, database: str = DB, **fields: Any) -> Any:
        """File a document of a constant; a field None is left out."""
        if "id_data" not in fields:
            fields["id_data"] = self.upload(database=database)
        document = {"detector": SHORT, "ctype": "pedestals", "run": 5, "run_end": "end",
                    "experiment": "xpp1", "id_doc_exp": 0, "data_type": "str"}  # fmt: skip
        document = {k: v for k, v in (document | fields).items() if v is not None}
        return self("POST", f"/{database}/{SHORT}/", json=document)


@pytest.fixture
def site(db: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    app = make_app(Settings(), make_database=lambda: db)
    with TestClient(app, raise_server_exceptions=True, follow_redirects=False) as http:
        yield for_any_caller(Site(db, http), monkeypatch)


@pytest.fixture
def memory_site(memory_db: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A site in memory, for rules that no store changes."""
    app = make_app(Settings(), make_database=lambda: memory_db)
    with TestClient(app, follow_redirects=False) as http:
        yield for_any_caller(Site(memory_db, http), monkeypatch)


def for_any_caller(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Let a site's caller be who asks; how that is found out has tests of its own."""

    async def caller(*_: Any) -> Caller:
        return site.caller

    monkeypatch.setattr(AccessMiddleware, "_caller", caller)
    return site


def code_of(answer: Any) -> str:
    return answer.json()["error"]["code"]


# Reading -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", psana.PREFIXES)
def test_every_prefix_leads_to_the_same(memory_site, prefix):
    made = memory_site.file().json()
    assert memory_site.http.get(f"{prefix}/{DB}/{SHORT}/{made['_id']}").json() == made


def test_unknown_names_hold_nothing(memory_site):
    for path in ("/", "/cdb_none", "/cdb_none/epix_000001", "/cdb_none/fs.files"):
        assert memory_site.get(path) == []
    assert memory_site.get(f"/cdb_none/epix_000001/{ABSENT}") is None
    assert memory_site("GET", f"/cdb_none/gridfs/{ABSENT}").status_code == 404


def test_lists_name_what_is_visible(site):
    made = site.file().json()
    assert (site.get("/"), site.get(f"/{DB}")) == ([DB], [SHORT, "fs.files", "fs.chunks"])
    site("DELETE", f"/{DB}/{SHORT}/{made['_id']}")
    assert (site.get("/"), site.get(f"/{DB}")) == ([], [])


@pytest.mark.parametrize("path", ["//cdb_xpp1", "/cdb_xpp1/", "///cdb_xpp1//", "/cdb_xpp1"])
def test_slashes_are_forgiven_in_a_get(memory_site, path):
    memory_site.file()
    assert memory_site.get(path) == [SHORT, "fs.files", "fs.chunks"]
    assert len(memory_site.get(f"{path}//{SHORT}/")) == 1


@pytest.mark.parametrize("path", ["/None/None", "/admin", "/cdbjournal/journal", "/local/x/y"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_a_database_without_the_prefix_is_405(memory_site, path, method):
    assert memory_site(method, path, content=b"{}").status_code == 405


def test_data_come_back_as_they_were_sent(site):
    for number, kind in enumerate(("application/json", "text/plain", "x-binary", None)):
        data = b"\xff{not json" + bytes([number])
        headers = {"Content-Type": kind} if kind else {}
        made = site("POST", f"/{DB}/gridfs", content=data, headers=headers).json()
        answer = site("GET", f"/{DB}/gridfs/{made['_id']}")
        assert answer.content == data
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-length"] == str(len(data))
        assert answer.headers["cache-control"] == "max-age=300"
        assert answer.headers["accept-ranges"] == "bytes"


def test_data_are_not_parsed_and_may_be_none_at_all(site):
    form = b'--x\r\nContent-Disposition: form-data; name="files"\r\n\r\n1\r\n--x--\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    for data in (form, b""):
        answer = site("POST", f"/{DB}/gridfs/", content=data, headers=headers)
        made = answer.json()["_id"]
        assert (answer.status_code, answer.json()) == (200, {"_id": made})
        assert site("GET", f"/{DB}/gridfs/{made}").content == data


@pytest.mark.parametrize(
    ("asked", "status", "data"),
    [("bytes=2-4", 206, b"234"), ("bytes=7-", 206, b"789"), ("bytes=-2", 206, b"89"),
     ("bytes=0-99", 206, b"0123456789"), ("bytes=10-", 416, b""), ("bytes=-", 200, b"0123456789"),
     ("lines=1-2", 200, b"0123456789"), (f"bytes={'9' * 18}-", 416, b"")],
)  # fmt: skip
def test_a_range_of_data(memory_site, asked, status, data):
    made = memory_site.upload(b"0123456789")
    answer = memory_site("GET", f"/{DB}/gridfs/{made}", headers={"Range": asked})
    assert answer.status_code == status
    assert answer.content == data or answer.json()["error"]["code"] == "BadRange"


def test_documents_come_in_the_order_they_were_added(site):
    made = [site.file(run=run).json()["_id"] for run in (9, 1, 5)]
    assert [document["_id"] for document in site.get(f"/{DB}/{SHORT}")] == made


def test_an_id_is_hex_with_the_second_of_its_adding_and_numbers_stay_numbers(site):
    before = int(time.time())
    made = site.file(run=5, time_sec=7, gain=1.5).json()
    assert before <= int(made["_id"][:8], 16) <= time.time()
    assert len(made["_id"]) == 24
    for shown in (made, site.get(f"/{DB}/{SHORT}/{made['_id']}"), site.get(f"/{DB}/{SHORT}")[0]):
        assert [type(shown[name]) for name in ("run", "time_sec", "gain")] == [int, int, float]


@pytest.mark.mongo
def test_what_bson_alone_can_say_is_shown_as_text(mongo_url, monkeypatch):
    second = datetime.datetime(2021, 10, 1, tzinfo=datetime.UTC)
    with open_store(mongo_url) as store:
        theirs = {"at": second, "id_data": ObjectId(ABSENT), "list": [second], "n": Int64(5)}
        store.client[DB][SHORT].insert_one({"_id": ObjectId(ABSENT), "detector": SHORT} | theirs)
        with TestClient(make_app(Settings(), make_database=lambda: Database(store))) as http:
            site = for_any_caller(Site(Database(store), http), monkeypatch)
            (found,) = site.get(f"/{DB}/{SHORT}")
    text = "2021-10-01T00:00:00+00:00"
    wanted = {"_id": ABSENT, "detector": SHORT, "at": text, "id_data": ABSENT, "list": [text]}
    assert found == wanted | {"n": 5}


def test_documents_of_other_programs_are_shown(site):
    theirs = OtherProgram(site.db.store).insert()
    ours = site.file().json()["_id"]
    assert [document["_id"] for document in site.get(f"/{DB}/{SHORT}")] == [theirs, ours]
    assert site.get("/") == [DB]


@pytest.mark.parametrize(
    ("query", "n_found"),
    [('{"run": {"$lte": 7}}', 2), ('{"run": 5, "ctype": "pedestals"}', 1), ("{}", 3), ("", 3),
     ("None", 3), ("{'run': {'$gt': 5}, 'none': None}", 1), ('{"version": None}', 3),
     ('{"run": {"$lte": 9999}, "detector": "epix_000001"}', 3), ('{"run": "5"}', 0),
     ('{"$or": [{"run": 5}, {"run": 9}]}', 2), ('{"_id": {"$exists": True}}', 3)],
)  # fmt: skip
def test_a_query_in_any_form(memory_site, query, n_found):
    for run in (1, 5, 9):
        memory_site.file(run=run)
    if query:
        assert len(memory_site.get(f"/{DB}/{SHORT}", query_string=query)) == n_found
    found = memory_site("GET", f"/{DB}/{SHORT}", content=query).json()
    assert len(found) == n_found


def test_plain_arguments_are_equalities_of_texts(memory_site):
    memory_site.file()
    assert len(memory_site.get(f"/{DB}/{SHORT}", ctype="pedestals", run_end="end")) == 1
    assert memory_site.get(f"/{DB}/{SHORT}", run="5") == []


@pytest.mark.parametrize("form", ['"ObjectId({})"', "ObjectId({})", "ObjectId('{}')", '"{}"'])
def test_the_text_of_an_id_is_the_id(memory_site, form):
    made = memory_site.file().json()["_id"]
    memory_site.file()
    for text in (made, made.upper()):
        query = f'{{"_id": {form.format(text)}}}'
        if form == '"{}"' and text != made:
            continue
        (found,) = memory_site.get(f"/{DB}/{SHORT}", query_string=query)
        assert found["_id"] == made


def test_the_text_of_an_id_may_stand_anywhere(memory_site):
    made = memory_site.file().json()
    memory_site.file()
    for query in (
        f'{{"_id": {{"$in": ["ObjectId({ABSENT})", "ObjectId({made["_id"]})"]}}}}',
        f'{{"id_data": "ObjectId({made["id_data"]})"}}',
        f"{{'$or': [{{'_id': ObjectId('{made['_id']}')}}, {{'run': None}}]}}",
    ):
        assert memory_site.get(f"/{DB}/{SHORT}", query_string=query) == [made]


BAD_QUERIES = [
    "{", "[]", "7", '"text"', '{"a": NaN}', '{"run": {"$lte": null}}', '{"$where": "1"}',
    '{"run": {"$regex": "a"}}', '{"_id": "all"}', '{"_id": {"$in": ["x"]}}', '{"_id": 7}',
    '{"a": {"b": 1}}', '{"": 1}', '{"a\\u0000": 1}', '{"a": "\\ud800"}', '{"\\ud800": 1}',
    '{"$\\ud800": 1}', '{"$or": []}', '{"$or": 7}', '{"$or": [7]}', '{"a": 1e999}',
    f'{{"a": {2**63}}}', f'{{"a": {"9" * 5000}}}', "[" * 100_000, '{"a":' * 1000 + "1" + "}" * 1000,
    '{"$or": [' + '{"a": 1},' * 300 + '{"a": 2}]}', "__import__('os').system('true')",
    '{"comment": "it"s"}', '{"$and": [' * 30 + '{"a": 1}' + "]}" * 30, "{1: 2}",
]  # fmt: skip


@pytest.mark.parametrize("query", BAD_QUERIES, ids=range(len(BAD_QUERIES)))
def test_a_bad_query_is_a_400(memory_site, query):
    memory_site.file()
    assert memory_site("GET", f"/{DB}/{SHORT}", content=query).status_code == 400
    if len(query) < 1000:
        answer = memory_site("GET", f"/{DB}/{SHORT}", params={"query_string": query})
        assert (answer.status_code, code_of(answer)) == (400, "BadQuery")


def test_a_body_that_is_no_text_is_a_400(memory_site):
    assert memory_site("GET", f"/{DB}/{SHORT}", content=b"\xff").status_code == 400


@pytest.mark.parametrize("bad", ["x", "5fc6911af587a598cbb1a60", "5fc6911af587a598cbb1a60g", "%00"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("where", [SHORT, "gridfs"])
def test_a_bad_id_is_a_4xx(memory_site, bad, method, where):
    answer = memory_site(method, f"/{DB}/{where}/{bad}", content=b"{}")
    assert answer.status_code == (405 if (method, where) == ("PUT", "gridfs") else 400)


UPLOAD = """
import asyncio
from pathlib import Path
from cdb.database import Database
from cdb.stores import open_store
from cdb.web import psana, requests

class Request:
    async def stream(self):
        for n in range(128):
            yield bytes([n]) * 2**20

def most():
    (line,) = [x for x in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in x]
    return int(line.split()[1]) * 1024

async def upload():
    before, journal = most(), Database(open_store({url!r})).journal
    body = await requests.body(Request(), 2**30)
    psana.uploads.write(journal, "cdb_xpp1", body)
    print(len(body), most() - before)

asyncio.run(upload())
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux says what was used")
def test_an_upload_is_in_memory_once(tmp_path):
    script = UPLOAD.format(url=(tmp_path / "store").as_uri())
    told = subprocess.check_output([sys.executable, "-c", script], text=True)
    length, most = map(int, told.split())
    assert most < 1.25 * length == 1.25 * 2**27


# Documents ---------------------------------------------------------------------------------------


def test_a_document_without_detector_is_stored_as_it_is(site):
    given = {"note": "text", "run": "five", "list": [{"a": None}], "big": 2**63 - 1}
    for kind in ("application/octet-stream", "application/json"):
        made = site(
            "POST", f"/{DB}/notes", content=json.dumps(given), headers={"Content-Type": kind}
        ).json()
        assert given.items() <= made.items()
        assert site.get(f"/{DB}/notes/{made['_id']}") == made


@pytest.mark.parametrize(
    "wrong",
    [{"ctype": None}, {"ctype": 7}, {"ctype": ""}, {"run": None}, {"run": -1}, {"run": "5"},
     {"run": 1.5}, {"run": True}, {"run_end": None}, {"run_end": "last"}, {"run_end": "4"},
     {"run_end": -1}, {"run_end": "9" * 400}, {"detector": 7}, {"detector": ""},
     {"detector": "retired:epix_000001"}, {"time_sec": "now"}, {"id_data": "x"},
     {"id_data": ABSENT}, {"id_data": 7}, {"run": 2**53}],
)  # fmt: skip
def test_a_constant_that_would_stop_look_ups_is_a_422(memory_site, wrong):
    if "id_data" not in wrong:
        wrong = {"id_data": memory_site.upload(), **wrong}
    answer = memory_site.file(**wrong)
    assert (answer.status_code, code_of(answer)) == (422, "BadDocument")
    assert memory_site.db.head == 0


@pytest.mark.parametrize("run_end", ["end", "5", "0012", 12])
def test_a_last_run_in_any_form(memory_site, run_end):
    assert memory_site.file(run_end=run_end).json()["run_end"] == run_end


def test_data_of_another_database_are_none(memory_site):
    elsewhere = memory_site.upload(database="cdb_xpp2")
    assert memory_site.file(id_data=elsewhere).status_code == 422


def test_fields_that_the_server_owns_are_ignored(site):
    forged = {
        "_id": ABSENT, "seq": 1, "out": 1, "order": 1, "first": ABSENT, "end": 1, "sha256": "0",
        "nbytes": 1, "schema": 9, "replaces": ABSENT, "source": {},
    }  # fmt: skip
    made = site.file(**forged).json()
    assert not {name for name, value in forged.items() if made.get(name) == value} - {"seq"}
    assert site.get(f"/{DB}/{SHORT}/{made['_id']}") == made


BESIDE = {"id": "x", "state": "gone", "note": "n", "database": "d", "collection": "c"}


def test_fields_called_as_what_is_said_of_a_version_do_not_shadow_it(site):
    sent = site.file().json() | BESIDE
    made = site("POST", f"/{DB}/{SHORT}/", json=sent | {"ctype": "gains"}).json()
    assert not BESIDE.keys() & made.keys()
    theirs = OtherProgram(site.db.store).insert()
    site.db.store.update(DB, SHORT, {"_id": theirs}, set=BESIDE)
    which = {"detector": SHORT, "experiment": "xpp1"}
    for ctype, id_, state in (("gains", made["_id"], "live"), ("notes", theirs, "unadopted")):
        answer = site.http.get("/v1/constants", params={**which, "ctype": ctype})
        (found,) = answer.json()["constants"]
        said = [found.get(name) for name in BESIDE]
        assert said == [id_, state, None, DB, SHORT]


def test_a_note_without_detector_keeps_all_its_fields(memory_site):
    made = memory_site("POST", f"/{DB}/notes", json=BESIDE).json()
    assert BESIDE.items() <= made.items()


BAD_DOCUMENTS = [
    b"", b"{", b"[]", b"7", b"null", b'{"a": NaN}', b'{"a": Infinity}', b'{"a": 1e999}',
    b'{"a": 18446744073709551616}', b'{"a": "\\ud800"}', b'{"\\ud800": 1}', b'{"": 1}',
    b'{"a$b": 1}', b'{"a.b": 1}', b'{"a\\u0000": 1}', b'{"a": {"$b": 1}}', b'{"a": [[1]]}',
    b'{"a":' * 22 + b"1" + b"}" * 22, b"[" * 100_000, b"\xff", b'{"a": ' + b"9" * 5000 + b"}",
    b"{'a': 1}", b'{"seq": 1, "run": {"a": 1}}',
]  # fmt: skip


@pytest.mark.parametrize("body", BAD_DOCUMENTS, ids=range(len(BAD_DOCUMENTS)))
def test_a_document_that_no_store_holds_is_a_422(memory_site, body):
    answer = memory_site("POST", f"/{DB}/notes/", content=body)
    assert (answer.status_code, code_of(answer)) == (422, "BadDocument")
    assert memory_site.db.head == 0


def test_a_document_of_more_than_1_mb_is_a_413(memory_site):
    body = json.dumps({"note": "x" * 10**6})
    assert memory_site("POST", f"/{DB}/notes/", content=body).status_code == 413
    assert memory_site("POST", f"/{DB}/notes/", content=body[1000:]).status_code == 422


def test_too_much_data_is_a_413(memory_site, monkeypatch):
    monkeypatch.setattr(psana, "MAX_DATA", 10)
    assert memory_site("POST", f"/{DB}/gridfs/", content=b"x" * 11).status_code == 413
    assert list(memory_site.db.store.blobs(DB)) == []


@pytest.mark.parametrize(
    "place", ["cdb_xpp1/a b", "cdb_a.b/notes", f"cdb_{'x' * 70}/notes",
              "cdb_/notes", "cdb_XPP1/notes", "cdb_xpp1/test_post_privilege"],
)  # fmt: skip
def test_a_name_that_cannot_be_is_a_400(memory_site, place):
    memory_site.file()
    answer = memory_site("POST", f"/{place}/", json={"a": 1})
    assert (answer.status_code, code_of(answer)) == (400, "BadName")


# Data --------------------------------------------------------------------------------------------


def test_each_upload_has_an_id_of_its_own(site):
    ids = {site.upload(b"same") for _ in range(3)}
    assert len(ids) == 3
    assert {blob.head for blob in site.db.store.blobs(DB)} == {0}


def test_a_document_carries_what_its_upload_says(site):
    made = site.file(id_data=site.upload(b"12345")).json()
    assert (made["nbytes"], made["seq"], made["first"]) == (5, 1, made["_id"])
    assert site.db.find(detector=SHORT, experiment="xpp1")[0].sha256 == made["sha256"]


def test_an_empty_array_of_a_client_with_a_ticket_can_be_read(site):
    blob_id = site.upload(b"{}")
    about = {"data_type": "ndarray", "data_dtype": "int16", "data_shape": "(0,)", "data_size": "0"}
    made = site.file(id_data=blob_id, **about).json()
    assert site("GET", f"/{DB}/gridfs/{made['id_data']}").content == b""
    assert site.db.get(SHORT, "pedestals", experiment="xpp1", run=7)[0].shape == (0,)


def test_data_that_a_visible_document_names_are_not_deleted(site):
    made = site.file().json()
    answer = site("DELETE", f"/{DB}/gridfs/{made['id_data']}")
    assert (answer.status_code, code_of(answer)) == (409, "WrongState")
    assert site("GET", f"/{DB}/gridfs/{made['id_data']}").content == b"data"


def test_deleted_data_are_hidden_and_their_bytes_stay(site):
    made = site.file().json()
    site("DELETE", f"/{DB}/{SHORT}/{made['_id']}")
    assert site("DELETE", f"/{DB}/gridfs/{made['id_data']}").json() == {"status": True}
    for method in ("GET", "DELETE"):
        assert site(method, f"/{DB}/gridfs/{made['id_data']}").status_code == 404
    assert site.file(id_data=made["id_data"]).status_code == 409
    as_of = site.db.get(SHORT, "pedestals", experiment="xpp1", run=7, as_of=1, allow_pickle=True)
    assert as_of[1]["_id"] == made["_id"]


def test_what_is_restored_has_its_data_again(site):
    made = site.file().json()
    site("DELETE", f"/{DB}/{SHORT}/{made['_id']}")
    site("DELETE", f"/{DB}/gridfs/{made['id_data']}")
    site.db.restore(made["_id"], reason="test")
    assert site.get(f"/{DB}/{SHORT}/{made['_id']}")["first"] == made["_id"]
    assert site("GET", f"/{DB}/gridfs/{made['id_data']}").content == b"data"


def test_a_document_whose_data_were_swept_wants_them_again(site):
    from cdb.fsck import Check

    blob_id = site.upload()
    list(Check(site.db.journal, older_than=0).run())
    answer = site.file(id_data=blob_id)
    assert answer.status_code == 409
    assert "send the data again" in answer.json()["error"]["message"]


# Replacing ---------------------------------------------------------------------------------------


def test_a_replaced_document_is_the_same_document(site):
    first = site.file(comment="a").json()
    other = site.file(run=6).json()
    for comment in ("b", "c"):
        made = site("PUT", f"/{DB}/{SHORT}/{first['_id']}", json={**first, "comment": comment})
        assert made.json()["_id"] == first["_id"]
    found = site.get(f"/{DB}/{SHORT}")
    assert [d["_id"] for d in found] == [first["_id"], other["_id"]]
    assert (found[0]["comment"], found[0]["order"]) == ("c", first["order"])
    query = json.dumps({"_id": first["_id"]})
    assert site.get(f"/{DB}/{SHORT}", query_string=query) == [found[0]]
    assert [e["action"] for e in site.db.journal.events()] == ["add", "add", "amend", "amend"]


def test_a_whole_document_is_replaced(site):
    first = site.file(comment="a").json()
    given = {"detector": SHORT, "ctype": "notes", "run": 1, "run_end": "9"}
    made = site("POST", f"/{DB}/{SHORT}/{first['_id']}", json=given).json()
    assert "comment" not in made
    assert (made["ctype"], made["end"], made["first"]) == ("notes", 9, first["_id"])


def test_a_chain_is_deleted_under_its_first_id(site):
    first = site.file().json()
    site("PUT", f"/{DB}/{SHORT}/{first['_id']}", json=first)
    amended = site.db.find(detector=SHORT, experiment="xpp1")[0].id
    assert site("DELETE", f"/{DB}/{SHORT}/{amended}").status_code == 404
    assert site("DELETE", f"/{DB}/{SHORT}/{first['_id']}").status_code == 200
    assert site.get(f"/{DB}/{SHORT}") == []


def test_what_we_amended_links_its_copies_by_their_first_ids(site):
    version = site.db.add("text", detector=SHORT, experiment="xpp1", ctype="notes")
    site.db.amend(version.id, comment="better")
    (copy,) = site.get(f"/{DETECTOR_DB}/{SHORT}")
    assert copy["id_doc_exp"] == version.id
    assert site.get(f"/{DB}/{SHORT}/{version.id}")["comment"] == "better"
    query = json.dumps({"id_doc_exp": version.id})
    assert site.get(f"/{DETECTOR_DB}/{SHORT}", query_string=query) == [copy]


def test_what_is_not_there_is_not_replaced(site):
    first = site.file().json()
    wrong = site("PUT", f"/{DB}/{SHORT}/{first['_id']}", json={**first, "_id": ABSENT})
    assert wrong.status_code == 400
    assert site("PUT", f"/{DB}/{SHORT}/{ABSENT}", json={"a": 1}).status_code == 404
    site("DELETE", f"/{DB}/{SHORT}/{first['_id']}")
    assert site("PUT", f"/{DB}/{SHORT}/{first['_id']}", json=first).status_code == 404


def test_a_document_of_another_program_is_replaced_and_deleted(site):
    theirs = OtherProgram(site.db.store).insert()
    document = site.get(f"/{DB}/{SHORT}/{theirs}")
    made = site("PUT", f"/{DB}/{SHORT}/{theirs}", json={**document, "comment": "ours"}).json()
    assert (made["_id"], made["comment"]) == (theirs, "ours")
    assert site("DELETE", f"/{DB}/{SHORT}/{theirs}").status_code == 200
    assert site.get(f"/{DB}/{SHORT}") == []


# Deleting ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [("DELETE", f"/{DB}/{SHORT}/"), ("DELETE", f"/{DB}/"), ("DELETE", f"//{DB}"),
     ("DELETE", f"/{DB}//{SHORT}"), ("DELETE", "/"), ("DELETE", f"/{DB}/{SHORT}/{ABSENT}/"),
     ("PUT", f"/{DB}/{SHORT}/"), ("PUT", f"/{DB}/{SHORT}//{ABSENT}"), ("PUT", f"/{DB}/{SHORT}"),
     ("POST", f"/{DB}//{SHORT}"), ("POST", f"//{DB}/{SHORT}"), ("POST", "/"), ("POST", f"/{DB}"),
     ("DELETE", f"/{DB}/gridfs"), ("DELETE", f"/{DB}/gridfs/"), ("DELETE", f"/{DB}/%2F")],
)  # fmt: skip
def test_an_empty_name_is_a_405_where_something_is_written(memory_site, method, path):
    memory_site.file()
    assert memory_site(method, path, json={"a": 1}).status_code == 405
    assert memory_site.db.head == 1


def test_a_slash_at_the_end_of_a_post_is_forgiven(memory_site):
    for end in ("", "/", "//"):
        assert memory_site("POST", f"/{DB}/notes{end}", json={"a": 1}).status_code == 200


def test_a_deleted_document_has_left_and_stays_known(site):
    made = site.file().json()
    assert site("DELETE", f"/{DB}/{SHORT}/{made['_id']}").json() == {"status": True}
    assert site("DELETE", f"/{DB}/{SHORT}/{made['_id']}").status_code == 404
    (version,) = site.db.history(SHORT, "pedestals", experiment="xpp1")
    assert version.note.startswith("retired by root")


def test_a_document_without_detector_is_deleted_too(site):
    made = site("POST", f"/{DB}/notes", json={"a": 1}).json()
    assert site("DELETE", f"/{DB}/notes/{made['_id']}").status_code == 200
    assert site.get(f"/{DB}/notes") == []


def test_one_copy_is_deleted_and_the_other_stays(site):
    version = site.db.add("text", detector=SHORT, experiment="xpp1", ctype="notes")
    site("DELETE", f"/{DB}/{SHORT}/{version.id}")
    assert len(site.get(f"/{DETECTOR_DB}/{SHORT}")) == 1


@pytest.mark.parametrize("path", [f"/{DB}/{SHORT}", f"/{DB}"])
def test_a_collection_or_a_database_is_deleted_under_one_event(site, path):
    for run in range(5):
        site.file(run=run)
    other = site("POST", f"/{DB}/notes", json={"a": 1}).json()
    assert site("DELETE", path).json() == {"status": True}
    assert site.get(f"/{DB}/{SHORT}") == []
    assert (site.get(f"/{DB}/notes") == [other]) is (path != f"/{DB}")
    assert [e["action"] for e in site.db.journal.events()][6:] == ["retire"]


def test_5000_documents_deleted_by_one_request_take_seconds_and_one_event(tmp_path, monkeypatch):
    with Database(open_store(tmp_path.as_uri())) as db:
        many(db, 5000)
        with TestClient(make_app(Settings(), make_database=lambda: db)) as http:
            site = for_any_caller(Site(db, http), monkeypatch)
            began = time.monotonic()
            assert site("DELETE", f"/{DB}/{SHORT}").json() == {"status": True}
            assert time.monotonic() - began < 10
            assert (db.head, site.get(f"/{DB}/{SHORT}"), site.get("")) == (2, [], [])


def test_what_is_empty_is_deleted_without_an_event(site):
    for path in ("/cdb_none", "/cdb_none/epix_000001"):
        assert site("DELETE", path).json() == {"status": True}
    assert site.db.head == 0


# Register ----------------------------------------------------------------------------------------


def register(site: Site, long: str, number: int, **more: Any) -> Any:
    entry = {"long": long, "short": f"epix_{number:06}", "seqnumber": number, "uid": "me"} | more
    return site("POST", "/cdb_detnames/epix/", json=entry)


def test_a_name_is_registered_once(site):
    made = register(site, "epix_a", 1).json()
    assert register(site, "epix_a", 1, uid="you").json() == made
    assert site.get("/cdb_detnames/epix") == [made]
    assert [e["action"] for e in site.db.journal.events()] == ["register"]
    assert site.db.short_name("epix_a") == "epix_000001"


@pytest.mark.parametrize(("long", "number"), [("epix_b", 1), ("epix_a", 2)])
def test_a_name_that_is_taken_is_a_409(site, long, number):
    register(site, "epix_a", 1)
    answer = register(site, long, number)
    assert (answer.status_code, code_of(answer)) == (409, "WrongState")
    assert site.db.head == 1


def test_a_number_whose_constants_are_filed_is_taken(site):
    site.file(DETECTOR_DB)
    assert register(site, "epix_a", 1).status_code == 409
    assert register(site, "epix_a", 2).status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [{"long": None}, {"long": 7}, {"short": "epix_1"}, {"short": "jungfrau_000001"},
     {"long": "jungfrau_a"}, {"seqnumber": 2}, {"seqnumber": "1"}, {"seqnumber": True},
     {"detector": "epix_000001"}, {"long": "epix_\ud800"}],
)  # fmt: skip
def test_an_entry_that_is_none_is_a_422(memory_site, wrong):
    entry = {"long": "epix_a", "short": "epix_000001", "seqnumber": 1} | wrong
    answer = memory_site("POST", "/cdb_detnames/epix/", content=json.dumps(entry))
    assert answer.status_code == 422


def test_an_entry_is_deleted_only_when_nothing_is_filed_under_it(site):
    entry = register(site, "epix_a", 1).json()
    constant = site.file(DETECTOR_DB).json()
    for path in (f"/cdb_detnames/epix/{entry['_id']}", "/cdb_detnames/epix", "/cdb_detnames"):
        assert site("DELETE", path).status_code == 409
    site("DELETE", f"/{DETECTOR_DB}/{SHORT}/{constant['_id']}")
    assert site("DELETE", f"/cdb_detnames/epix/{entry['_id']}").status_code == 200
    assert (site.get("/cdb_detnames/epix"), site.get("/")) == ([], [])
    assert register(site, "epix_b", 1).status_code == 200


def test_an_entry_is_replaced_with_its_names_kept(site):
    entry = register(site, "epix_a", 1).json()
    path = f"/cdb_detnames/epix/{entry['_id']}"
    assert site("PUT", path, json={**entry, "uid": "you"}).json()["_id"] == entry["_id"]
    assert site("PUT", path, json={**entry, "long": "epix_b"}).status_code == 409
    assert [d["uid"] for d in site.get("/cdb_detnames/epix")] == ["you"]
    assert site.db.short_name("epix_a") == "epix_000001"


# Rights ------------------------------------------------------------------------------------------

WRITER = Caller("mona", read=("cdb_xpp1",), write=("cdb_xpp1",))


def deploy(site: Site, **second: Any) -> list[int]:
    """Deploy as psana does; return the four statuses."""
    data = site("POST", f"/{DB}/gridfs/", content=b"data")
    first = site.file(id_data=data.json().get("_id"))
    copied = site("POST", f"/{DETECTOR_DB}/gridfs/", content=second.pop("data", b"data"))
    links = {"id_data": copied.json().get("_id"), "id_doc_exp": first.json().get("_id")} | second
    copy = site.file(DETECTOR_DB, **links)
    return [answer.status_code for answer in (data, first, copied, copy)]


def test_an_experiments_writer_files_the_detectors_copy_of_his_own(site):
    site.caller = WRITER
    assert register(site, "epix_a", 1).status_code == 200
    assert deploy(site) == [200, 200, 200, 200]


@pytest.mark.parametrize(
    "wrong",
    [{"data": b"other"}, {"ctype": "pixel_rms"}, {"run": 4}, {"run_end": "9"},
     {"id_doc_exp": ABSENT}, {"id_doc_exp": 0}, {"id_doc_exp": "N/A"}, {"experiment": "cxi2"},
     {"experiment": "epix_000001"}, {"experiment": None}, {"experiment": "detnames"},
     {"detector": "epix_000002"}, {"detector": None}, {"time_sec": 7}, {"version": "V2"},
     {"data_type": "ndarray"}, {"data_dtype": "int8"}, {"data_shape": "(4,)"}, {"data_size": "4"}],
    ids=str,
)  # fmt: skip
def test_nothing_else_is_filed_by_him_for_the_detector(memory_site, wrong):
    memory_site.caller = WRITER
    assert deploy(memory_site, **wrong)[3] == 403


def test_what_he_files_for_the_detector_names_data_or_none_as_his_own_does(memory_site):
    memory_site.caller = WRITER
    first = memory_site.file(id_data=None).json()["_id"]
    assert memory_site.file(DETECTOR_DB, id_doc_exp=first).status_code == 403
    assert memory_site.file(DETECTOR_DB, id_doc_exp=first, id_data=None).status_code == 200


def test_an_empty_array_is_deployed_by_an_experiments_writer(site):
    site.caller = WRITER
    about = {"data_type": "ndarray", "data_dtype": "int16", "data_shape": "(0,)", "data_size": "0"}
    first = site.file(id_data=site.upload(b"{}"), **about).json()
    copied = site.upload(b"{}", DETECTOR_DB)
    copy = site.file(DETECTOR_DB, id_data=copied, id_doc_exp=first["_id"], **about)
    assert (copy.status_code, copy.json()["nbytes"]) == (200, 0)


def copy_of(site: Site, first: dict[str, Any], **more: Any) -> Any:
    """File the detector's copy of a document."""
    names = ("ctype", "run", "run_end", "experiment", "data_type")
    fields = {name: first[name] for name in names} | {"id_doc_exp": first["_id"]} | more
    return site.file(DETECTOR_DB, **fields)


def test_a_document_has_one_copy_at_a_time(site):
    site.caller = WRITER
    first = site.file().json()
    copy = copy_of(site, first).json()
    again = copy_of(site, first)
    assert (again.status_code, copy["_id"] in again.text) == (403, True)
    site.caller = ROOT
    site("DELETE", f"/{DETECTOR_DB}/{SHORT}/{copy['_id']}")
    site.caller = WRITER
    assert copy_of(site, first).status_code == 200


def test_the_copy_of_an_amended_document_is_its_copy_still(site):
    version = site.db.add("text", detector=SHORT, experiment="xpp1", ctype="pedestals", run=5)
    site.db.amend(version.id, comment="better")
    site.caller = WRITER
    shown = site.get(f"/{DB}/{SHORT}/{version.id}")
    site("PUT", f"/{DB}/{SHORT}/{version.id}", json=shown)  # the copy names one before this
    fields = {name: shown[name] for name in COPIED if name in shown}
    upload = site.upload(bytes(site.db.store.read(DB, shown["id_data"])), DETECTOR_DB)
    answer = copy_of(site, shown, **fields, id_data=upload)
    assert (answer.status_code, "already" in answer.text) == (403, True)


def test_of_two_that_file_the_same_copy_at_once_one_is_refused(site):
    site.caller = WRITER
    first = site.file().json()
    uploads = [site.upload(database=DETECTOR_DB) for _ in range(2)]
    other = Database(site.db.store)
    given = {**first, "id_doc_exp": first["_id"], "id_data": uploads[0]}
    permit = permit_of(other.journal, WRITER, DETECTOR_DB, SHORT)
    rival = [lambda: other.copies.file(DETECTOR_DB, SHORT, given, permit=permit)]
    site.db.journal.step = lambda name: name == "before event" and rival and rival.pop()()
    answer = copy_of(site, first, id_data=uploads[1])
    assert (answer.status_code, rival) == (403, [])
    site.caller = ROOT
    assert len(site.get(f"/{DETECTOR_DB}/{SHORT}")) == 1


def test_a_copy_whose_original_is_deleted_meanwhile_is_refused(site):
    site.caller = WRITER
    first = site.file().json()
    upload = site.upload(database=DETECTOR_DB)
    other = Database(site.db.store)
    calls = [lambda: other.copies.delete(DB, SHORT, first["_id"])]
    site.db.journal.step = lambda name: name == "before event" and calls and calls.pop()()
    assert copy_of(site, first, id_data=upload).status_code == 403
    site.caller = ROOT
    assert site.get(f"/{DETECTOR_DB}/{SHORT}") == []


def test_what_he_may_not_file_leaves_nothing_behind(memory_site):
    memory_site.caller = Caller("carl", write=("cdb_cxi2",))
    assert memory_site.file(DETECTOR_DB, id_data=ABSENT).status_code == 403
    assert memory_site.db.store.databases() == []


def test_a_retired_document_admits_no_copy(memory_site):
    made = memory_site.file().json()
    memory_site("DELETE", f"/{DB}/{SHORT}/{made['_id']}")
    memory_site.caller = WRITER
    copied = memory_site.upload(database=DETECTOR_DB)
    answer = memory_site.file(DETECTOR_DB, id_data=copied, id_doc_exp=made["_id"])
    assert answer.status_code == 403


def test_a_first_copy_that_no_second_could_follow_is_a_403(memory_site):
    memory_site.caller = WRITER
    for experiment in ("cxi2", "", 7, None):
        assert memory_site.file(experiment=experiment).status_code == 403
    constant = {"detector": "opal", "ctype": "notes", "run": 1, "run_end": "end"}
    given = constant | {"experiment": "xpp1"}
    assert memory_site("POST", f"/{DB}/opal/", json=given).status_code == 403
    assert memory_site.file(experiment="xpp1").status_code == 200


def test_no_writer_takes_a_detectors_name_in_other_letters(memory_site):
    memory_site.caller = WRITER
    taken = "EPIX_000001"
    assert memory_site("POST", f"/cdb_{taken}/gridfs/", content=b"data").status_code == 403
    data = memory_site.upload()
    given = {"detector": taken, "ctype": "pedestals", "run": 5, "run_end": "end",
             "experiment": "xpp1", "data_type": "str", "id_data": data}  # fmt: skip
    first = memory_site("POST", f"/{DB}/{taken}/", json=given)
    assert (first.status_code, "could not follow" in first.text) == (403, True)
    copy = memory_site("POST", f"/cdb_{taken}/{taken}/", json=given | {"id_doc_exp": ABSENT})
    assert copy.status_code == 403
    assert memory_site.file().status_code == 200
    assert deploy(memory_site) == [200, 200, 200, 200]


REQUESTS: list[tuple[str, str, Callable[[Caller], int]]] = [
    ("POST", f"/{DB}/notes", lambda caller: 200 if caller.may_write(DB) else 403),
    ("POST", "/cdb_cxi2/notes", lambda caller: 200 if caller.admin else 403),
    ("POST", "/cdb_epix_000001_mine/notes", lambda caller: 200 if caller.admin else 403),
    ("GET", f"/{DB}/test_post_privilege", lambda caller: 200 if caller.may_write(DB) else 403),
    ("GET", f"/{DB}/test_edit_privilege", lambda caller: 200 if caller.admin else 403),
    ("DELETE", f"/{DB}/notes", lambda caller: 200 if caller.admin else 403),
    ("DELETE", f"/{DB}", lambda caller: 200 if caller.admin else 403),
    ("GET", f"/{DB}", lambda caller: 200 if caller.may_read(DB) else 403),
    ("GET", "/cdb_detnames/epix", lambda caller: 200),
]


@pytest.mark.parametrize(
    "caller", [ROOT, WRITER, Caller("bob", read=(DB,)), Caller("carl"), READER]
)
@pytest.mark.parametrize(("method", "path", "wanted"), REQUESTS)
def test_who_may_do_what(memory_site, caller, method, path, wanted):
    memory_site.caller = caller
    status = memory_site(method, path, json={"a": 1}).status_code
    expected = wanted(caller)
    if path.startswith("/cdb_detnames") and caller.name == "carl":
        expected = 403
    assert status == (401 if expected == 403 and not caller.name else expected)


@pytest.mark.parametrize("kind", ["post", "edit"])
def test_a_privilege_is_told_by_its_status(memory_site, kind):
    assert memory_site.get(f"/{DB}/test_{kind}_privilege") == {"status": True}
    memory_site.caller = Caller("carl", read=(DB,))
    assert memory_site("GET", f"/{DB}/test_{kind}_privilege").status_code == 403


def test_lists_name_what_one_may_read(memory_site):
    memory_site.file()
    memory_site.file("cdb_cxi2")
    memory_site.caller = WRITER
    assert memory_site.get("/") == [DB]


def test_who_writes_stands_in_the_journal(site):
    site.caller = WRITER
    site.file()
    assert {(e["actor"], e["host"]) for e in site.db.journal.events()} == {("mona", "testclient")}


def test_a_store_that_does_not_answer_is_never_a_503(memory_site, monkeypatch):
    def down(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("no answer")

    monkeypatch.setattr(memory_site.db.copies, "find", down)
    assert memory_site("GET", f"/{DB}/{SHORT}").status_code == 502


def test_no_request_is_evaluated(request: pytest.FixtureRequest) -> None:
    for module in ("psana", "psana_queries", "psana_rights"):
        text = (Path(psana.__file__).parent / f"{module}.py").read_text()
        assert "eval(" not in text.replace("literal_eval(", "")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("collection", ["fs.files", "fs.chunks"])
def test_the_stores_own_collections_are_nobodys_to_change(site, method, collection):
    id_data = site.file().json()["id_data"]
    body = {"json": {"a": 1}} if method == "PUT" else {}
    assert site(method, f"/{DB}/{collection}/{id_data}", **body).status_code == 405
    assert site("DELETE", f"/{DB}/{collection}").status_code == 405
    assert site("GET", f"/{DB}/gridfs/{id_data}").status_code == 200
