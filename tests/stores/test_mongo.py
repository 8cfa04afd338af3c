"""What only the Mongo store has: GridFS, as other programs write and read it."""

import datetime
import hashlib

import gridfs
import pymongo
import pytest
from bson import ObjectId

from cdb.adoption import adopt, strangers
from cdb.database import Database
from cdb.errors import NotFound
from cdb.fsck import Check
from cdb.stores import open_store
from tests.programs import OtherProgram

DB = "cdb_epix_000001"
DATA = bytes(range(256)) * 3000  # three chunks


@pytest.fixture
def store(mongo_url):
    with open_store(mongo_url) as store:
        yield store


@pytest.fixture
def bucket(mongo_url):
    with pymongo.MongoClient(mongo_url) as client:
        yield gridfs.GridFS(client[DB])


pytestmark = pytest.mark.mongo


def write(store) -> str:
    return store.write(DB, DATA, sha256=hashlib.sha256(DATA).hexdigest(), head=0)


def test_gridfs_reads_what_the_store_wrote(store, bucket):
    file = bucket.get(ObjectId(write(store)))
    assert (file.read(), file.chunk_size, file.length) == (DATA, 255 * 1024, len(DATA))


def test_the_store_reads_what_gridfs_wrote(store, bucket):
    assert bytes(store.read(DB, str(bucket.put(DATA, chunk_size=1000)))) == DATA
    assert bytes(store.read(DB, str(bucket.put(b"")))) == b""


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_lost_chunk_is_noticed(store, number):
    blob_id = write(store)
    store.client[DB]["fs.chunks"].delete_one({"files_id": ObjectId(blob_id), "n": number})
    with pytest.raises(NotFound, match="are missing"):
        store.read(DB, blob_id)


@pytest.mark.parametrize(
    "wrong",
    [{"length": None}, {"length": "7"}, {"length": -1}, {"length": {"a": 1}}, {"length": True},
     {"chunkSize": None}, {"chunkSize": 0}, {"chunkSize": "x"}],
    ids=str,
)  # fmt: skip
def test_bytes_whose_record_nobody_can_read_are_not_there(store, caplog, wrong):
    good, blob_id = write(store), write(store)
    store.client[DB]["fs.files"].update_one({"_id": ObjectId(blob_id)}, {"$set": wrong})
    with pytest.raises(NotFound, match="damaged"):
        store.read(DB, blob_id)
    caplog.clear()
    assert store.blob(DB, blob_id) is None
    assert [record.message for record in caplog.records] == [
        f"bytes {blob_id} are not there: their record in fs.files is damaged"
    ]
    sha256 = hashlib.sha256(DATA).hexdigest()
    assert [b.id for b in store.blobs(DB)] == [b.id for b in store.uploads(DB, sha256)] == [good]


def test_what_a_record_says_wrongly_beside_is_not_believed(store):
    wrong = {"head": "x", "sha256": 7, "uploadDate": "today"}
    blob_id = write(store)
    store.client[DB]["fs.files"].update_one({"_id": ObjectId(blob_id)}, {"$set": wrong})
    blob = store.blob(DB, blob_id)
    assert (blob.nbytes, blob.head, blob.sha256, blob.at) == (len(DATA), None, None, 0.0)
    assert bytes(store.read(DB, blob_id)) == DATA


@pytest.mark.parametrize("wrong", [{"n": "x"}, {"n": -1}, {"n": 10**6}, {"data": "text"}], ids=str)
def test_a_chunk_that_nobody_can_place_is_noticed(store, wrong):
    blob_id = write(store)
    chunk = {"files_id": ObjectId(blob_id), "n": 1}
    store.client[DB]["fs.chunks"].update_one(chunk, {"$set": wrong})
    with pytest.raises(NotFound, match="not whole"):
        store.read(DB, blob_id)


def test_a_chunk_of_another_length_is_noticed(store):
    blob_id = write(store)
    query = {"files_id": ObjectId(blob_id), "n": 1}
    store.client[DB]["fs.chunks"].update_one(query, {"$set": {"data": b"short"}})
    with pytest.raises(NotFound, match="not whole"):
        store.read(DB, blob_id)


def test_adopting_leaves_the_types_of_other_fields_alone(store):
    made = datetime.datetime(2021, 10, 1, tzinfo=datetime.UTC)
    db = Database(store)
    id_ = OtherProgram(store).insert(run="7")
    theirs = store.client["cdb_xpp1"]["epix_000001"]
    theirs.update_one({}, {"$set": {"made": made, "ref": ObjectId(id_)}})
    adopt(db.journal, list(strangers(db.journal)))
    document = theirs.find_one()
    assert (document["made"], document["ref"]) == (made, ObjectId(id_))
    assert (document["run"], document["adopted"]) == (7, 1)
    assert list(Check(db.journal).run()) == []
