"""Which keys and runs two states answer differently: the same as asking for every run."""

import pytest

from cdb import affected
from cdb.database import Database
from cdb.errors import NotFound, WrongServer
from cdb.stores.memory import MemoryStore
from tests.tag_histories import CTYPES, EPIX, EXPERIMENTS, LAST, T0, History, refusals

EXPERIMENT = "xpp1"


def add(db: Database, text: str = "text", **more):
    given = {"detector": EPIX, "ctype": "notes", "experiment": EXPERIMENT, "run": 1} | more
    return db.add(text, **{"time": T0, **given})


def asked_for_every_run(db: Database, a: dict, b: dict, time: int | None = None) -> dict:
    """Return what every run is answered before and after, where the two differ."""
    found = {}
    for experiment in (None, *EXPERIMENTS):
        for run in (*range(LAST + 5), None):
            sides = []
            for state in (a, b):
                asked = {"experiment": experiment, "run": run, "time": time, **state}
                held = db.holding(EPIX, **asked)
                held = db.versions(held.moment, held.winners(run))
                sides.append({c: (v.database, v.id) for c, v in held.items()})
            for ctype in CTYPES:
                before, after = (side.get(ctype) for side in sides)
                if before != after:
                    found[experiment, ctype, run] = (before, after)
    return found


def told(rows) -> dict:
    """Return the same of what `affected` yields."""
    found = {}
    for row in rows:
        last = LAST + 4 if row.last is None else min(row.last, LAST + 4)
        runs = [None] if row.first is None else [*range(row.first, last + 1)]
        if row.first is not None and row.last is None:
            runs.append(None)
        for run in runs:
            found[row.experiment, row.ctype, run] = (row.before, row.after)
    return found


def experiments_with_constants(db: Database) -> set[str | None]:
    return {None, *(each["experiment"] for each in db.experiments())}


@pytest.mark.parametrize("seed", range(60))
def test_it_is_what_asking_for_every_run_says(seed):
    history = History(Database(MemoryStore(transactional=seed % 2 == 0)), 50_000 + seed)
    history.write(30)
    db, rng = history.db, history.rng
    states = [{"as_of": rng.randint(0, db.head)} for _ in range(2)]
    states += [{"tag": name} for name in history.tags]
    for _ in range(6):
        a, b = rng.choice(states), rng.choice(states)
        time = rng.choice([None, T0 + 4])
        expected = {
            key: answers
            for key, answers in asked_for_every_run(db, a, b, time).items()
            if key[0] in experiments_with_constants(db)
        }
        found = told(db.affected(*a.values(), *b.values(), time=time))
        # Where a tag runs by time, a question without a run has an answer of its own.
        with_runs = {key for key in expected if key[2] is not None}
        assert {k: v for k, v in found.items() if k[2] is not None} == {
            key: expected[key] for key in with_runs
        }
        without = {k: v for k, v in found.items() if k[2] is None and k in expected}
        assert without == {k: v for k, v in expected.items() if k[2] is None}


def test_the_runs_of_a_range_are_named(any_db):
    add(any_db, "first")
    second = add(any_db, "second", run=5, run_end=9)
    rows = list(any_db.affected(1, 2, experiment=EXPERIMENT))
    assert [(r.detector, r.experiment, r.ctype, r.runs) for r in rows] == [
        (EPIX, EXPERIMENT, "notes", "5-9")
    ]
    assert rows[0].after == ("cdb_xpp1", second.id)
    assert [r.experiment for r in any_db.affected(1, 2)] == [None, EXPERIMENT]
    assert list(any_db.affected(2, 2)) == []


def test_tags_are_compared(any_db):
    add(any_db, "first")
    any_db.tags.create("summer26")
    second = add(any_db, "second", run=5)
    any_db.tags.create("autumn26", base="summer26")
    assert list(any_db.tags.compare("summer26", "autumn26")) == []
    any_db.tags.pin("autumn26", second.id)
    (row,) = any_db.tags.compare("summer26", "autumn26", detector=EPIX)
    assert (row.runs, row.after[1]) == ("5-end", second.id)
    any_db.tags.move("autumn26", "invalid")
    assert list(any_db.tags.compare("summer26", "autumn26")) == [row]
    with pytest.raises(NotFound, match="no tag 'winter26'"):
        list(any_db.affected("winter26", 1))
    with pytest.raises(WrongServer):
        list(any_db.affected("summer26@00000000", 1))


def test_an_experiment_without_constants_is_asked_for_by_name(any_db):
    add(any_db, "first")
    add(any_db, "second", run=5)
    assert [row.experiment for row in any_db.affected(1, 2, experiment="cxi9")] == ["cxi9"]


def test_what_may_not_be_read_is_not_told(memory_db):
    add(memory_db, "first")
    rows = affected.between(memory_db, 0, 1, may_read=lambda name: name != "cdb_xpp1")
    assert [row.experiment for row in rows] == [None]


def test_a_state_that_has_not_come_is_refused(any_db):
    add(any_db, "first")
    assert "the last event is" in refusals(lambda: list(any_db.affected(0, 99)))
