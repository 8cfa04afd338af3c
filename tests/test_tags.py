"""Tags: whatever is written, a tag answers as it did; against answers worked out the slow way."""

import pytest

from cdb.database import Database
from cdb.stores.memory import MemoryStore
from tests.conftest import make_store
from tests.tag_histories import (
    History,
    answer,
    answer_explained,
    answer_of_a_view,
    expected,
)

QUESTIONS = 10


def check(history: History) -> int:
    """Ask what the library and the oracle say; return the number of answers."""
    db, documents = history.db, history.documents()
    told = 0
    for number in range(QUESTIONS):
        asked = history.question()
        ask = (answer, answer_of_a_view, answer_explained)[number % 3]
        seq = history.rng.randint(0, db.head)
        assert ask(db, asked, as_of=seq) == expected(documents, asked, seq, [])
        for name, account in history.tags.items():
            wanted = expected(documents, asked, account.state_for(asked), account.layers())
            assert ask(db, asked, tag=name) == wanted, (asked, name, account)
            told += wanted is not None
    return told


@pytest.mark.slow
@pytest.mark.parametrize("hundred", range(10))
def test_a_thousand_random_histories_answer_as_the_oracle_does(hundred):
    told = 0
    for seed in range(100 * hundred, 100 * hundred + 100):
        db = Database(MemoryStore(transactional=seed % 2 == 0))
        history = History(db, seed)
        history.write(20)
        told += check(history)
    assert told > 1000


@pytest.fixture(params=["pending", "embedded", "cached"])
def some_store(request, tmp_path):
    """Stores that commit in steps and at once, on disk."""
    with make_store(request, tmp_path) as store:
        yield store


@pytest.mark.parametrize("seed", range(5))
def test_random_histories_answer_as_the_oracle_does(some_store, seed):
    history = History(Database(some_store), 10_000 + seed)
    for _ in range(4):
        history.write(10)
        check(history)
    # Another process, which has seen nothing yet, says the same.
    again = History(Database(some_store), seed)
    again.tags = history.tags
    check(again)
    assert history.db.journal.verify() == history.db.head


@pytest.mark.mongo
def test_a_random_history_on_the_wire_answers_as_the_oracle_does(mongo_url):
    from cdb.stores import open_store

    with open_store(mongo_url) as store:
        history = History(Database(store), 20_000)
        for _ in range(3):
            history.write(10)
            check(history)
