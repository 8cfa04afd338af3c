"""Random documents, queries, sorts and limits: every store answers as the one in memory does."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from cdb.stores import Store
from cdb.stores.memory import MemoryStore
from tests.conftest import make_store

DB, COLL = "cdb_test", "epix_000001"
# Fields with an index and without one; two of them share their values' kinds on purpose.
INDEXED = ("run", "end", "ctype", "out", "seq")
PLAIN = ("comment", "unit")

numbers = st.one_of(
    st.integers(-3, 6), st.sampled_from([2**53, 2**62, -1.5, 2.0, 5.0, 1e300, -(2**63)])
)
texts = st.sampled_from(["", "a", "b", "B", "end", "é", "z\u2028", "10", "9"])
values = st.one_of(numbers, texts)
documents = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(INDEXED, values),
            **dict.fromkeys(PLAIN, st.one_of(values, st.booleans(), st.none())),
            "pending": st.booleans(),
        },
    ),
    max_size=12,
)
fields = st.sampled_from((*INDEXED, *PLAIN))
conditions = st.one_of(
    values,
    st.booleans(),
    st.none(),
    st.dictionaries(st.sampled_from(["$lt", "$lte", "$gt", "$gte"]), values, min_size=1),
    st.fixed_dictionaries({"$ne": st.one_of(values, st.none())}),
    st.fixed_dictionaries({"$in": st.lists(st.one_of(values, st.none()), max_size=3)}),
    st.fixed_dictionaries({"$exists": st.booleans()}),
)
simple = st.dictionaries(fields, conditions, max_size=3)
queries = st.recursive(
    simple,
    lambda inner: st.builds(
        lambda rest, name, parts: {**rest, name: parts},
        simple,
        st.sampled_from(["$and", "$or"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=6,
)
# The _id at the end makes every order total.
sorts = st.lists(st.tuples(st.sampled_from((*INDEXED, "comment")), st.sampled_from([1, -1])),
                 max_size=3, unique_by=lambda term: term[0])  # fmt: skip


@pytest.fixture(params=["embedded", "mock", pytest.param("mongo", marks=pytest.mark.mongo)])
def other(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store to compare with the one in memory; each example takes a collection of its own."""
    with make_store(request, tmp_path) as store:
        yield store


ROUNDS = iter(range(1_000_000))


def holds_truth_values(value) -> bool:
    """Return whether there is one anywhere: mongomock takes True for 1, as MongoDB does not."""
    if isinstance(value, dict):
        return any(map(holds_truth_values, (v for k, v in value.items() if k != "$exists")))
    if isinstance(value, list | tuple):
        return any(map(holds_truth_values, value))
    return isinstance(value, bool)


def is_mock(store: Store) -> bool:
    return getattr(store, "url", "") == "mongodb://mock/"


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(documents, queries, sorts, st.integers(0, 5))
def test_all_stores_give_the_same_documents(other, documents, query, sort, limit):
    assume(not (is_mock(other) and holds_truth_values([documents, query])))
    collection = f"{COLL}_{next(ROUNDS)}"
    reference = MemoryStore()
    made = [{"_id": f"{n:024x}", **document} for n, document in enumerate(documents)]
    order = [*sort, ("_id", -1)]
    for store in (reference, other):
        store.insert(DB, collection, made)
    expected = list(reference.find(DB, collection, query, sort=order, limit=limit))
    assert list(other.find(DB, collection, query, sort=order, limit=limit)) == expected
    columns = ("_id", "run", "comment")
    expected_rows = [tuple(d.get(name) for name in columns) for d in expected]
    assert other.rows(DB, collection, columns, query, sort=order, limit=limit) == expected_rows
    by_field = (
        store.columns(DB, collection, ("_id", *INDEXED), query) for store in (reference, other)
    )
    found = [sorted(zip(*each.values(), strict=True)) for each in by_field]
    assert found[0] == found[1]


@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(documents, simple, st.sampled_from(INDEXED), values)
def test_all_stores_update_the_same_documents(other, documents, query, field, value):
    assume(not (is_mock(other) and holds_truth_values([documents, query])))
    collection = f"{COLL}_{next(ROUNDS)}"
    reference = MemoryStore()
    made = [{"_id": f"{n:024x}", **document} for n, document in enumerate(documents)]
    found = []
    for store in (reference, other):
        store.insert(DB, collection, made)
        store.update(DB, collection, query, set={field: value}, unset=["comment"])
        found.append(list(store.find(DB, collection, sort=[("_id", 1)])))
    assert found[0] == found[1]
