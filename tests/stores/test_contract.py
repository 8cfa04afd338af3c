"""The contract of `cdb.stores.base.Store`, over every store."""

import hashlib
import threading

import pytest

from cdb.errors import BadDocument, BadQuery, Duplicate, NotFound
from cdb.stores import Store, open_store
from cdb.stores.base import new_id

DB, COLL = "cdb_test", "epix_000001"


def ids(documents):
    return [document["_id"] for document in documents]


def named(number: int) -> str:
    return f"{number:024x}"


def fill(store: Store, *documents: dict) -> None:
    store.prepare(DB, COLL)
    store.insert(DB, COLL, [{"_id": named(n), **d} for n, d in enumerate(documents)])


def upload(store: Store, data: bytes, **more) -> str:
    fields = {"sha256": hashlib.sha256(data).hexdigest(), "head": 0} | more
    return store.write(DB, data, **fields)


def test_gives_back_what_was_inserted(store):
    document = {
        "text": "é\n\u2028",
        "number": 2**53,
        "big": -(2**63),
        "real": 0.1,
        "yes": True,
        "none": None,
        "list": [1, {"a": "b"}],
        "nested": {"a": {"b": [1, 2]}},
    }
    fill(store, document)
    (found,) = store.find(DB, COLL)
    assert found == {"_id": named(0), **document}
    assert type(found["number"]) is int
    assert list(found) == ["_id", *document]


def test_unknown_names_hold_nothing(store):
    assert list(store.find("cdb_nowhere", "nothing")) == []
    assert store.rows("cdb_nowhere", "nothing", ("_id",)) == []
    assert store.distinct("cdb_nowhere", "nothing", "ctype") == []
    assert store.count("cdb_nowhere", "nothing") == 0
    assert store.update("cdb_nowhere", "nothing", {"run": 1}, set={"run": 2}) == 0


def test_finds_by_equality_and_order(store):
    fill(store, {"run": 1}, {"run": 5}, {"run": "5"}, {}, {"run": 5, "end": 7})
    assert ids(store.find(DB, COLL, {"run": 5}, sort=[("_id", 1)])) == [named(1), named(4)]
    assert ids(store.find(DB, COLL, {"run": {"$lte": 4}})) == [named(0)]
    assert ids(store.find(DB, COLL, {"run": {"$gt": 1}}, sort=[("_id", 1)])) == [
        named(1),
        named(4),
    ]
    assert ids(store.find(DB, COLL, {"run": {"$exists": False}})) == [named(3)]


def test_an_ordering_keeps_to_its_kind(store):
    fill(store, {"run": 1}, {"run": "1"}, {"run": "end"}, {"run": True})
    assert ids(store.find(DB, COLL, {"run": {"$gte": 0}})) == [named(0)]
    assert ids(store.find(DB, COLL, {"run": {"$gt": "1"}})) == [named(2)]
    assert ids(store.find(DB, COLL, {"run": {"$lte": "1"}})) == [named(1)]


def test_none_stands_for_missing(store):
    fill(store, {"run": 1}, {"run": 2, "out": 3})
    assert ids(store.find(DB, COLL, {"out": None})) == [named(0)]
    assert ids(store.find(DB, COLL, {"out": {"$in": [None, 3]}}, sort=[("_id", 1)])) == [
        named(0),
        named(1),
    ]
    assert ids(store.find(DB, COLL, {"out": {"$ne": 3}})) == [named(0)]


def test_sorts_missing_first_then_numbers_then_texts(store):
    fill(store, {"run": "a"}, {"run": 2}, {}, {"run": -1.5})
    up = ids(store.find(DB, COLL, sort=[("run", 1)]))
    down = ids(store.find(DB, COLL, sort=[("run", -1)]))
    assert up == [named(2), named(3), named(1), named(0)]
    assert down == up[::-1]


def test_gives_the_columns_of_what_a_query_asks_for(store):
    fill(store, {"run": 0}, {"run": 1, "order": "a"}, {"run": 2, "order": 2**60}, {"run": 3})
    found = store.columns(DB, COLL, ("run", "order"), {"run": {"$gt": 0}})
    assert sorted(zip(*found.values(), strict=True)) == [(1, "a"), (2, 2**60), (3, None)]


@pytest.mark.parametrize("value", [0.1 + 0.2, True, False])
def test_columns_keep_fractions_and_truth_values(store, value):
    fill(store, {"run": 1, "order": value})
    assert store.columns(DB, COLL, ("order",)) == {"order": [value]}
    assert type(store.columns(DB, COLL, ("order",))["order"][0]) is type(value)


def test_columns_of_unknown_names_are_empty(store):
    assert store.columns("cdb_nowhere", "nothing", ("_id", "run")) == {"_id": [], "run": []}


def test_limits_after_sorting(store):
    fill(store, *({"run": n % 3, "order": n} for n in range(9)))
    found = store.rows(DB, COLL, ("run", "order"), sort=[("run", -1), ("order", -1)], limit=4)
    assert found == [(2, 8), (2, 5), (2, 2), (1, 7)]


def test_combines_with_and_and_or(store):
    fill(store, *({"run": n, "end": 10 - n} for n in range(10)))
    query = {"$and": [{"$or": [{"run": 3}, {"end": {"$lt": 3}}]}, {"run": {"$ne": 9}}]}
    assert ids(store.find(DB, COLL, query, sort=[("_id", 1)])) == [named(3), named(8)]


def test_finds_by_a_field_of_the_documents_in_a_list(store):
    store.prepare("cdbjournal", "journal")
    events = [{"_id": n, "versions": [{"id": named(n)}, {"id": named(n + 1)}]} for n in (1, 2)]
    store.insert("cdbjournal", "journal", events)
    assert ids(store.find("cdbjournal", "journal", {"versions.id": named(1)})) == [1]
    query = {"versions.id": named(2)}
    assert ids(store.find("cdbjournal", "journal", query, sort=[("_id", 1)])) == [1, 2]


@pytest.mark.parametrize(
    "query",
    [{"run": {"$regex": "x"}}, {"$nor": []}, {"run": {"$lt": None}}, {"run": [1]}, {"run": {}},
     {"$or": []}, {"run": {"$in": 3}}, {"run": float("nan")}, {"run": 2**63}],
)  # fmt: skip
def test_refuses_queries_outside_the_subset(store, query):
    with pytest.raises(BadQuery):
        store.find(DB, COLL, query)


@pytest.mark.parametrize(
    "document",
    [{"a": float("nan")}, {"a": 2**63}, {"a": "\ud800"}, {"": 1}, {"$a": 1}, {"a.b": 1},
     {"a\0": 1}, {"a": [[1]]}, {"a": b"x"}, {"run": [1]}, {"run": None}, {"a": {"b": {"$c": 1}}}],
)  # fmt: skip
def test_refuses_documents_that_not_every_store_holds(store, document):
    with pytest.raises(BadDocument):
        store.insert(DB, COLL, [{"_id": named(1)}, {"_id": named(2), **document}])
    assert store.count(DB, COLL) == 0


def test_refuses_a_taken_id(store):
    fill(store, {"run": 1})
    with pytest.raises(Duplicate):
        store.insert(DB, COLL, [{"_id": named(0), "run": 2}])
    assert store.rows(DB, COLL, ("run",)) == [(1,)]


def test_passes_over_taken_ids_if_asked(store):
    fill(store, {"run": 1})
    documents = [{"_id": named(0), "run": 2}, {"_id": named(1), "run": 3}]
    store.insert(DB, COLL, documents, ignore_duplicates=True)
    assert store.rows(DB, COLL, ("run",), sort=[("_id", 1)]) == [(1,), (3,)]


def test_updates_only_what_fits(store):
    fill(store, {"run": 1, "pending": True}, {"run": 2, "out": 4})
    query = {"_id": {"$in": [named(0), named(1)]}, "out": {"$exists": False}}
    assert store.update(DB, COLL, query, set={"out": 5}, unset=["pending"]) == 1
    assert list(store.find(DB, COLL, sort=[("_id", 1)])) == [
        {"_id": named(0), "run": 1, "out": 5},
        {"_id": named(1), "run": 2, "out": 4},
    ]


def test_lists_databases_collections_and_values(store):
    fill(store, {"ctype": "pedestals"}, {"ctype": "geometry"}, {"ctype": "pedestals"}, {})
    upload(store, b"x")
    assert DB in store.databases()
    assert store.collections(DB) == [COLL]
    assert store.distinct(DB, COLL, "ctype") == ["geometry", "pedestals"]
    assert store.distinct(DB, COLL, "ctype", {"ctype": {"$ne": "geometry"}}) == ["pedestals"]
    assert store.count(DB, COLL) == 4


def test_exactly_one_of_several_writers_takes_an_id(store):
    store.prepare("cdbjournal", "journal")
    won = []

    def write(name: int) -> None:
        try:
            store.insert("cdbjournal", "journal", [{"_id": 1, "nonce": str(name)}])
        except Duplicate:
            return
        won.append(str(name))

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert store.rows("cdbjournal", "journal", ("nonce",)) == [(won[0],)]


@pytest.mark.parametrize("size", [0, 1, 255 * 1024, 255 * 1024 + 1, 3_000_000])
def test_gives_back_the_bytes(store, size):
    data = bytes(range(256)) * (size // 256 + 1)
    data = data[:size]
    steps = []
    blob_id = upload(store, data, progress=steps.append)
    assert bytes(store.read(DB, blob_id)) == data
    assert sum(steps) == size


def test_gives_back_the_record_of_bytes(store):
    blob_id = upload(store, b"abc", head=17)
    blob = store.blob(DB, blob_id)
    assert (blob.id, blob.nbytes, blob.head) == (blob_id, 3, 17)
    assert blob.sha256 == hashlib.sha256(b"abc").hexdigest()
    assert [found.id for found in store.blobs(DB)] == [blob_id]
    assert list(store.blobs("cdb_nowhere")) == []


def test_each_upload_has_an_id_of_its_own(store):
    first, second = upload(store, b"abc"), upload(store, b"abc")
    assert first != second
    with store.sweeping() as free:
        assert free
        store.remove(DB, [first])
    assert bytes(store.read(DB, second)) == b"abc"
    assert store.blob(DB, first) is None


def test_absent_bytes_are_not_found(store):
    with pytest.raises(NotFound):
        store.read(DB, new_id())
    assert store.blob(DB, new_id()) is None


def fail_half_way(store: Store) -> None:
    with store.transaction():
        store.insert(DB, "other", [{"_id": named(7)}])
        store.update(DB, COLL, {"run": 1}, set={"run": 2})
        store.insert(DB, COLL, [{"_id": named(0)}])


@pytest.mark.parametrize("store", ["memory", "embedded"], indirect=True)
def test_a_failed_transaction_leaves_nothing(store):
    assert store.transactional
    fill(store, {"run": 1})
    with pytest.raises(Duplicate):
        fail_half_way(store)
    assert store.rows(DB, COLL, ("run",)) == [(1,)]
    assert store.count(DB, "other") == 0


@pytest.mark.parametrize("store", ["pending", "mock"], indirect=True)
def test_a_store_without_transactions_says_so_and_keeps_what_was_done(store):
    assert not store.transactional
    fill(store, {"run": 1})
    with pytest.raises(Duplicate):
        fail_half_way(store)
    assert store.rows(DB, COLL, ("run",)) == [(2,)]
    assert store.count(DB, "other") == 1


def test_ids_hold_their_time_and_sort_by_it():
    early, late = new_id(1_633_075_200_000_007), new_id(1_633_075_200_000_008)
    assert early < late
    assert int(early[:8], 16) == 1_633_075_200
    assert len(early) == 24


def test_a_stamp_changes_with_whatever_is_written(shared_store: Store) -> None:
    with open_store(shared_store.url) as other:
        shared_store.insert("cdb_x", "c", [{"_id": 1}])
        before = shared_store.stamp()
        assert shared_store.stamp() == before
        for write in (
            lambda: other.insert("cdb_x", "c", [{"_id": 2}]),
            lambda: shared_store.insert("cdb_x", "c", [{"_id": 3}]),
            lambda: other.write("cdb_x", b"bytes", sha256="0" * 64, head=0),
        ):
            write()
            assert before is None or shared_store.stamp() != before
            before = shared_store.stamp()
