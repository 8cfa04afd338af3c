"""Look-up: every way to ask gives what a brute-force oracle says, over random histories."""

import itertools
from dataclasses import dataclass, replace
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdb.database import Database
from cdb.errors import BadQuestion, NotFound
from cdb.lookup import (
    FIELDS,
    Closest,
    Covering,
    Fallback,
    Index,
    Latest,
    Prior,
    Question,
    Row,
    choose,
    places,
)
from cdb.stores.memory import MemoryStore

EPIX = "epix_000001"
EXPERIMENTS = ("xpp1", "cxi2", None)
T0 = 1_600_000_000


# The oracle: design, chapter 6, by brute force ---------------------------------------------------


@dataclass(frozen=True)
class Record:
    place: str
    experiment: str | None
    run: int
    end: float
    time: int
    order: int
    seq: int
    out: float
    label: str


def oracle(records, experiment, suffix, run, time, rule, as_of):
    """The label of what holds, or None: written from the design alone."""
    run = inf if run is None else run
    seen = [r for r in records if r.seq <= as_of < r.out]
    seen = [r for r in seen if time is None or rule == "closest" or r.time <= time]
    for place in (
        ([f"private {suffix}"] if suffix else [])
        + ([experiment] if experiment else [])
        + ["detector"]
    ):
        fallback = place == "detector" and experiment is not None
        here = [r for r in seen if r.place == place]
        bound = [r for r in here if not (fallback and r.experiment != experiment)]
        free = [r for r in here if fallback and r.experiment != experiment]
        if rule == "range":
            fit = [r for r in bound if r.run <= run <= r.end] + free
            rank = (
                (lambda r: (r.time, r.order)) if fallback else (lambda r: (r.run, -r.end, r.order))
            )
        elif rule == "latest":
            fit, rank = [r for r in bound if r.run <= run] + free, lambda r: r.order
        elif rule == "prior":
            fit, rank = here, lambda r: (r.time, r.order)
        else:
            fit, rank = here, lambda r: (-abs(r.time - time), r.time, r.order)
        if fit:
            return max(fit, key=rank).label
    return None


# Random histories --------------------------------------------------------------------------------

runs = st.integers(0, 12)
moments = st.integers(0, 6).map(lambda n: T0 + 10 * n)
adds = st.tuples(
    st.just("add"),
    st.sampled_from(EXPERIMENTS),
    st.sampled_from([None, None, None, "mine"]),
    runs,
    st.one_of(st.none(), st.integers(0, 5), st.just(20_000)),
    moments,
)
changes = st.tuples(
    st.sampled_from(["retire", "restore", "amend", "amend runs"]), st.integers(0, 30), runs, moments
)
histories = st.lists(st.one_of(adds, adds, changes), min_size=1, max_size=14)
questions = st.lists(
    st.tuples(
        st.sampled_from(EXPERIMENTS),
        st.sampled_from([None, None, "mine"]),
        st.one_of(st.none(), st.integers(0, 14), st.just(15_000)),
        st.one_of(st.none(), st.integers(-5, 65).map(lambda n: T0 + n)),
        st.sampled_from(["range", "range", "range", "latest", "prior", "closest"]),
        st.integers(0, 30),
    ),
    min_size=1,
    max_size=6,
)


class History:
    """Does things to a database, and keeps the oracle's records beside."""

    def __init__(self, db: Database, number: int) -> None:
        self.db = db
        self.number = number
        self.detector = f"epix_{number:06d}"
        self.records: list[Record] = []
        self.versions: list[tuple[str, list[int]]] = []  # id, its records
        self.retired: set[str] = set()  # and not restored since

    def do(self, step) -> None:
        if step[0] == "add":
            self.add(*step[1:])
        elif self.versions:
            action, which, run, time = step
            self.change(action, which % len(self.versions), run, time)

    def add(self, experiment, suffix, run, length, time):
        label = f"v{len(self.versions)}"
        end = "end" if length is None else run + length
        version = self.db.add(
            label, detector=self.detector, ctype="notes", dbsuffix=suffix,
            experiment=experiment and f"{experiment}{self.number}",
            run=run, run_end=end, time=time, comment=label,
        )  # fmt: skip
        where = [f"private {suffix}"] if suffix else [p for p in (experiment, "detector") if p]
        last = inf if length is None else run + length
        made = [
            Record(place, experiment, run, last, time, version.seq, version.seq, inf, label)
            for place in where
        ]
        self.keep(version.id, made)

    def change(self, action, which, run, time):
        version_id, indices = self.versions[which]
        old = [self.records[i] for i in indices]
        label = f"v{len(self.versions)}"
        live, retired = old[0].out == inf, version_id in self.retired
        if action == "retire" and live:
            seq = self.db.retire(version_id, reason="test").out
            self.leave(indices, seq)
            self.retired.add(version_id)
        elif action == "restore" and retired:
            version = self.db.restore(version_id, reason="test")
            self.retired.discard(version_id)
            self.keep(version.id, [replace(r, seq=version.seq, out=inf) for r in old])
        elif action.startswith("amend") and live:
            if action == "amend":
                version = self.db.amend(version_id, time=time, comment=label)
                fresh = {"time": time}
            else:
                version = self.db.amend(version_id, run=run, run_end="end", comment=label)
                fresh = {"run": run, "end": inf}
            self.leave(indices, version.seq)
            self.keep(
                version.id,
                [replace(r, seq=version.seq, out=inf, label=label, **fresh) for r in old],
            )

    def keep(self, version_id, made):
        begin = len(self.records)
        self.records += made
        self.versions.append((version_id, list(range(begin, begin + len(made)))))

    def leave(self, indices, seq):
        for i in indices:
            self.records[i] = replace(self.records[i], out=seq)


def play(db: Database, history, number: int) -> History:
    told = History(db, number)
    for step in history:
        told.do(step)
    return told


def label_of(ask) -> str | None:
    try:
        return ask().meta["comment"]
    except NotFound:
        return None


def check(db: Database, history, asked, number: int = 1) -> None:
    """Ask in all ways; each history has a detector and experiments of its own."""
    told = play(db, history, number)
    for experiment, suffix, run, time, rule, state in asked:
        if rule == "closest" and time is None:
            continue
        seq = state % (db.head + 1)
        own = experiment and f"{experiment}{number}"
        names = {"experiment": own, "dbsuffix": suffix, "run": run, "time": time,
                 "rule": rule}  # fmt: skip
        for as_of in (seq, None) if seq == db.head else (seq,):
            expected = oracle(told.records, experiment, suffix, run, time, rule, seq)
            where = {**names, "as_of": as_of}
            bounded = label_of(lambda w=where: db.version(told.detector, "notes", **w))
            winner = db.explain(told.detector, "notes", **where).winner
            viewed = label_of(
                lambda w=where: db.detector(told.detector, **w).calibconst.version("notes")
            )
            explained = None if winner is None else winner.meta["comment"]
            assert (bounded, viewed, explained) == (expected,) * 3, where


@pytest.mark.parametrize("transactional", [True, False])
@settings(max_examples=1000, deadline=None)
@given(history=histories, asked=questions)
def test_agrees_with_the_oracle(transactional, history, asked):
    check(Database(MemoryStore(transactional=transactional)), history, asked)


@pytest.mark.parametrize(
    ("shared_store", "examples"),
    [("embedded", 60), pytest.param("mongo", 12, marks=pytest.mark.mongo)],
    indirect=["shared_store"],
)
def test_agrees_with_the_oracle_on_a_real_store(shared_store, examples):
    numbers = itertools.count(1)

    @settings(max_examples=examples, deadline=None)
    @given(history=histories, asked=questions)
    def agrees(history, asked):
        check(Database(shared_store), history, asked, next(numbers))

    agrees()


# Views: the same rules, swept together -----------------------------------------------------------

rows = st.lists(
    st.tuples(
        st.sampled_from(["xpp1", "cxi2", "undefined"]),
        st.integers(0, 9),
        st.one_of(st.integers(0, 4), st.just(2**53)),
        st.integers(0, 5),
        st.integers(1, 8),
        st.one_of(st.none(), st.integers(1, 8)),
    ),
    max_size=15,
)


def made_rows(drawn) -> list[Row]:
    return [
        Row(f"{n:08x}{'0' * 16}", "notes", experiment, run, min(run + length, 2**53), time,
            1000 * n, seq, out if out is None else max(out, seq + 1), True)
        for n, (experiment, run, length, time, seq, out) in enumerate(drawn)
    ]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(rows, st.integers(0, 9), st.one_of(st.none(), st.integers(0, 5)))
def test_a_view_gives_what_the_rule_chooses(drawn, seq, time):
    made = made_rows(drawn)
    index = Index()
    index.extend({name: [row[n] for row in made] for n, name in enumerate(FIELDS)})
    view = index.view(seq, time=time)
    seen = [r for r in made if r.seq <= seq and (r.out is None or r.out > seq)]
    seen = [r for r in seen if time is None or r.time_sec <= time]
    rules = [Prior(time), Closest(3), Latest(4, time, "xpp1")]
    for run in (*range(15), 2**53):
        rules += [Covering(run, time), Latest(run, time), Fallback(time, run, "xpp1")]
    for rule in rules:
        best = choose(seen, rule)
        assert view.winner(rule) == (None if best is None else best.id), rule


# The examples of the reference -------------------------------------------------------------------

# Reference lcls2-cdb, 2.2: documents (begin, end), and what is selected for a run.
RANGES = {"A": (1, "end"), "B": (5, 10), "C": (3, 20), "D": (5, "end")}
SELECTED = {0: None, 1: "A", 2: "A", 3: "C", 4: "C", 5: "B", 10: "B", 11: "D", 9999: "D"}


@pytest.fixture
def ranges(memory_db) -> Database:
    for label, (begin, end) in RANGES.items():
        memory_db.add(label, detector=EPIX, ctype="notes", run=begin, run_end=end, comment=label)
    return memory_db


@pytest.mark.parametrize(("run", "label"), SELECTED.items())
def test_the_latest_starting_range_wins_then_the_narrowest(ranges, run, label):
    assert label_of(lambda: ranges.version(EPIX, "notes", run=run)) == label


def test_runs_above_psanas_end_are_covered(ranges):
    assert ranges.version(EPIX, "notes", run=10_000).meta["comment"] == "D"
    assert ranges.version(EPIX, "notes").meta["comment"] == "D"


def test_unknown_rules_are_refused(memory_db):
    with pytest.raises(BadQuestion, match="known: range, latest"):
        memory_db.get(EPIX, "notes", rule="newest")


def test_closest_needs_a_time():
    with pytest.raises(BadQuestion, match="needs a time"):
        Question(rule="closest")


@pytest.mark.parametrize(
    ("experiment", "suffix", "rule", "expected"),
    [
        (None, None, "range", ["cdb_epix_000001"]),
        ("xpp1", None, "range", ["cdb_xpp1", "cdb_epix_000001"]),
        ("xpp1", "my", "range", ["cdb_epix_000001_my", "cdb_xpp1", "cdb_epix_000001"]),
        ("xpp1", "my", "psana", ["cdb_epix_000001_my", "cdb_epix_000001"]),
        (None, None, "psana", ["cdb_epix_000001", "cdb_epix_000001"]),
    ],
)
def test_places_are_asked_in_order(experiment, suffix, rule, expected):
    found = places(EPIX, experiment, suffix, rule)
    assert [place.database for place in found] == expected


# The fallback ------------------------------------------------------------------------------------


def add(db, label, **more):
    return db.add(label, detector=EPIX, ctype="notes", comment=label, **more)


def test_falls_back_to_the_detector_database_by_time(memory_db):
    add(memory_db, "early", experiment="cxi2", run=900, time=T0)
    add(memory_db, "late", experiment="cxi2", run=3, time=T0 + 100)
    asked = {"experiment": "xpp1", "run": 5}
    assert memory_db.version(EPIX, "notes", **asked).meta["comment"] == "late"
    assert memory_db.version(EPIX, "notes", **asked, time=T0 + 50).meta["comment"] == "early"


def test_the_experiments_own_constants_come_first(memory_db):
    add(memory_db, "own", experiment="xpp1", run=1, time=T0)
    add(memory_db, "other", experiment="cxi2", run=5, time=T0 + 100)
    asked = {"experiment": "xpp1", "run": 5}
    assert memory_db.version(EPIX, "notes", **asked).meta["comment"] == "own"


def test_a_private_database_comes_before_both(memory_db):
    add(memory_db, "own", experiment="xpp1")
    add(memory_db, "mine", experiment="xpp1", dbsuffix="test")
    asked = {"experiment": "xpp1", "run": 5}
    assert memory_db.version(EPIX, "notes", **asked, dbsuffix="test").meta["comment"] == "mine"
    assert memory_db.version(EPIX, "notes", **asked).meta["comment"] == "own"


def test_psanas_fallback_takes_the_last_inserted_of_any_experiment(memory_db):
    clock = iter(range(T0, T0 + 1000, 10))
    memory_db.journal.now = lambda: next(clock)
    add(memory_db, "dated later", experiment="cxi2", run=900, time=T0 + 500)
    add(memory_db, "inserted later", experiment="mfx3", run=7000, time=T0)
    asked = {"experiment": "xpp1", "run": 5}
    psana = memory_db.version(EPIX, "notes", **asked, rule="psana")
    assert psana.meta["comment"] == "inserted later"
    assert memory_db.version(EPIX, "notes", **asked).meta["comment"] == "dated later"


@pytest.mark.parametrize(("run", "label"), [*SELECTED.items(), (10_000, None)])
def test_psanas_rule_is_its_range_rule(memory_db, run, label):
    for name, (begin, end) in RANGES.items():
        add(memory_db, name, experiment="xpp1", run=begin, run_end=end)
    memory_db.add("x", detector=EPIX, ctype="other", experiment="cxi2")
    found = memory_db.explain(EPIX, "notes", experiment="xpp1", run=run, rule="psana")
    inside = [c for c in found.candidates if c.version.database == "cdb_xpp1" and c.won]
    assert [c.version.meta["comment"] for c in inside] == ([label] if label else [])


def test_psana_passes_over_ranges_beyond_its_last_run(memory_db):
    add(memory_db, "narrow", experiment="xpp1", run=1)
    add(memory_db, "beyond", experiment="xpp1", run=2, run_end=10_000)
    asked = {"experiment": "xpp1", "run": 5}
    assert memory_db.version(EPIX, "notes", **asked).meta["comment"] == "beyond"
    assert memory_db.version(EPIX, "notes", **asked, rule="psana").meta["comment"] == "narrow"


def test_psana_takes_end_and_9999_for_the_same_range(memory_db):
    add(memory_db, "numbered", experiment="xpp1", run=1, run_end=9999)
    add(memory_db, "open", experiment="xpp1", run=1)
    asked = {"experiment": "xpp1", "run": 5}
    assert memory_db.version(EPIX, "notes", **asked).meta["comment"] == "numbered"
    assert memory_db.version(EPIX, "notes", **asked, rule="psana").meta["comment"] == "open"


# Explaining --------------------------------------------------------------------------------------


def test_explains_every_candidate(memory_db):
    add(memory_db, "wide", experiment="xpp1", run=1)
    add(memory_db, "narrow", experiment="xpp1", run=1, run_end=9)
    gone = add(memory_db, "bad", experiment="xpp1", run=3)
    memory_db.retire(gone.id, reason="beam was on")
    add(memory_db, "later", experiment="xpp1", run=50)
    found = memory_db.explain(EPIX, "notes", experiment="xpp1", run=5)
    reasons = {
        c.version.meta["comment"]: c.reason
        for c in found.candidates
        if c.version.database == "cdb_xpp1"
    }
    assert found.winner.meta["comment"] == "narrow"
    assert reasons["narrow"].startswith("wins: ")
    assert reasons["wide"] == "same start, but a wider range than the winner"
    assert "retired by" in reasons["bad"]
    assert "beam was on" in reasons["bad"]
    assert reasons["later"] == "begins later, with run 50"
    assert "not asked: cdb_xpp1 had one" in str(found)


def test_explains_that_nothing_holds(memory_db):
    add(memory_db, "later", run=50)
    found = memory_db.explain(EPIX, "notes", run=5)
    assert found.winner is None
    assert [c.reason for c in found.candidates] == ["begins later, with run 50"]
