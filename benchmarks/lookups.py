"""Look-up in this process: views, indexes, `Database.get`; beside a scan and NumPy's files."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psana_scan
from filling import CTYPE, DETECTOR, EXPERIMENTS, LAST_RUN, SHAPE
from table import Row, Target
from timing import each, latencies, medians, percentile, settle

from cdb.constant import RETIRED
from cdb.database import Database
from cdb.lookup import FIELDS, Covering, Index
from cdb.names import detector_database
from cdb.stores import open_store

BATCH = 1000  # look-ups between two readings of the clock
NOW = 10**9  # above the number of any event
PLACE = (detector_database(DETECTOR), DETECTOR)
SCAN = "linear scan, as psana's client"


@dataclass(frozen=True)
class Filled:
    """A filled store: its address, how many versions it has, and these as documents."""

    url: str
    n_versions: int
    documents: Sequence[dict[str, Any]]

    @property
    def size(self) -> str:
        """Return how many versions, as the table writes it."""
        return f"1e{len(str(self.n_versions)) - 1}"

    def scan(self) -> object:
        """Look up a constant as psana's client would."""
        run = random.randint(0, LAST_RUN)
        return psana_scan.choose(self.documents, DETECTOR, CTYPE, run)


def read_documents(url: str) -> list[dict[str, Any]]:
    """Return all documents of the detector's database."""
    with open_store(url) as store:
        return list(store.find(*PLACE))


def rows(stores: Sequence[Filled], folder: Path) -> list[Row]:
    """Measure look-ups, from the innermost to what a user calls."""
    settle()
    gets = [warm_get(filled, folder) for filled in stores]
    scans = [medians(filled.scan, repeats=5)[0] for filled in stores]
    found = []
    for filled, scan in zip(stores, scans, strict=True):
        found += view_rows(filled, scan)
    found += [index_row(stores[-1]), first_detector_row(stores[-1], scans[-1])]
    for filled, (ours, _, _), scan in zip(stores, gets, scans, strict=True):
        what = f"warm db.get of 1.5 kB, {filled.size} versions, p50"
        found.append(Row(what, ours, SCAN, scan, Target(2e-4)))
    small, large = gets[0], gets[-1]
    found += [
        Row("the same, p50", large[0], "np.load of a .npy file", large[2]),
        Row("the same, p99", large[1], "np.load of a .npy file", large[2]),
        Row("warm db.get, 1e5 versions", large[0], "the same at 1e3", small[0],
            Target(1.5, "ratio")),
    ]  # fmt: skip
    return [*found, *other_gets(stores[-1], scans[-1])]


def load_index(filled: Filled) -> Index:
    """Build an index as `cdb.indexes` does: from the columns of the embedded store."""
    query = {"detector": {"$in": [DETECTOR, RETIRED + DETECTOR]}, "seq": {"$exists": True}}
    index = Index()
    with open_store(filled.url) as store:
        index.extend(store.columns(*PLACE, FIELDS, query))
    return index


def view_rows(filled: Filled, scan: float) -> list[Row]:
    """Measure look-ups in a view, and what a new view costs."""
    index = load_index(filled)
    view = index.view(NOW)
    runs = [random.randint(0, LAST_RUN) for _ in range(BATCH)]
    look_up = each(view.winner, [Covering(run) for run in runs])
    look_up()
    seconds = medians(look_up, repeats=31)[0] / BATCH
    new = medians(lambda: index.view(NOW).winner(Covering(7)), repeats=7)[0]
    after = medians(partial(view_after_event, index), repeats=7)[0]
    return [
        Row(f"look-up in a view of {filled.size} versions, p50", seconds, SCAN, scan, Target(2e-6)),
        Row(f"new view of {filled.size} with its sweep", new, SCAN, scan, Target(0.15)),
        Row(f"one version more at {filled.size}, and new view", after, SCAN, scan),
    ]


def view_after_event(index: Index) -> object:
    """Take a version into an index, and look it up in a view that shows it."""
    number = len(index.ids)
    values = {"run": 0, "end": 9, "time_sec": 0, "order": number, "seq": number}
    version = {"_id": f"new{number}", "ctype": CTYPE, "experiment": EXPERIMENTS[0], **values}
    index.extend({name: [version.get(name)] for name in FIELDS})
    return index.view(NOW).winner(Covering(7))


def index_row(filled: Filled) -> Row:
    """Measure the building of an index."""
    bodies = [json.dumps(document) for document in filled.documents]
    ours, theirs = medians(
        partial(load_index, filled), lambda: [json.loads(body) for body in bodies], repeats=5
    )
    what = f"index of {filled.size} versions, built"
    return Row(what, ours, "json.loads of all documents", theirs, Target(0.3))


def first_detector_row(filled: Filled, scan: float) -> Row:
    """Measure the first look-up of a process through an index: everything but the payload."""

    def ask() -> object:
        with Database(open_store(filled.url)) as db:
            return db.detector(DETECTOR, run=7).calibconst.version(CTYPE)

    what = f"first db.detector() at {filled.size} versions"
    return Row(what, medians(ask, repeats=5)[0], SCAN, scan)


def warm_get(filled: Filled, folder: Path) -> tuple[float, float, float]:
    """Return p50 and p99 of `Database.get` for random runs, and p50 of np.load."""
    path = folder / "small.npy"
    np.save(path, np.zeros(SHAPE, np.float32))
    with Database(open_store(filled.url)) as db:
        ask = [partial(db.get, DETECTOR, CTYPE, run=n % LAST_RUN) for n in range(0, 10**6, 997)]
        latencies(ask)
        ours = latencies(ask)
        theirs = latencies([partial(np.load, path)] * len(ask))
    return percentile(ours, 50), percentile(ours, 99), percentile(theirs, 50)


def other_gets(filled: Filled, scan: float) -> list[Row]:
    """Measure the other ways to ask, and the one that finds no early end."""
    asked = {
        "experiment named, its own": {"experiment": EXPERIMENTS[0], "run": 5000},
        "experiment named, fallback": {"experiment": "nothing00", "run": 5000},
        "no run (the far future)": {},
        "as of half the events": {"run": 5000, "as_of": filled.n_versions // 2000},
        "rule latest": {"run": 5000, "rule": "latest"},
    }
    found = []
    with Database(open_store(filled.url)) as db:
        for what, question in asked.items():
            times = latencies([partial(db.get, DETECTOR, CTYPE, **question)] * 101)
            name = f"warm db.get at {filled.size}: {what}"
            found.append(Row(name, percentile(times, 50), SCAN, scan))
    return found
