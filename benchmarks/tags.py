"""Tags: what it costs to make one over a large store, and to compare two states."""

import random
from pathlib import Path

import filling
from table import Row, Target
from timing import medians

from cdb.database import Database
from cdb.stores import open_store

# A deployment is a version in the experiment's database and one in the detector's.
DEPLOYMENTS = (500, 500_000)
TYPES = ("pedestals", "pixel_rms", "pixel_status", "pixel_gain", "geometry")
RUNS = 10_000
EXPERIMENT = filling.EXPERIMENTS[0]


def rows(folder: Path) -> list[Row]:
    """Return the rows of the table."""
    return [*creation(folder), comparison(folder)]


def creation(folder: Path) -> list[Row]:
    """Measure the making of a tag over small and large stores."""
    found = []
    for n_deployments in DEPLOYMENTS:
        with Database(open_store((folder / f"tagged-{n_deployments}").as_uri())) as db:
            filling.fill(db, n_deployments)
            numbers = iter(range(10**6))
            made, added = medians(
                lambda db=db, n=numbers: db.tags.create(f"tag{next(n)}"),
                lambda db=db, n=numbers: db.add(
                    str(next(n)), detector=filling.DETECTOR, ctype="comment"
                ),
                repeats=20,
            )
        what = f"a tag made, {2 * n_deployments:.0e} versions".replace("e+0", "e")
        found.append(Row(what, made, "db.add of a text", added, Target(0.05)))
    return found


def comparison(folder: Path) -> Row:
    """Measure the comparison of two states, and the asking for every run."""
    rng = random.Random(1)
    with Database(open_store((folder / "compared").as_uri())) as db:
        payloads = [filling.make_payload(db, number) for number in range(filling.N_PAYLOADS)]
        db.store.prepare(filling.experiment_database(EXPERIMENT), filling.DETECTOR)
        heads = []
        for _ in range(2):
            for ctype in TYPES:
                for _ in range(RUNS // 1000):
                    some = [filling.version(n, rng, payloads, (ctype,)) for n in range(1000)]
                    more = {"experiment": EXPERIMENT, "ctype": ctype}
                    filling.commit(db, [(document | more, blobs) for document, blobs in some])
            heads.append(db.head)
        asked = {"detector": filling.DETECTOR, "experiment": EXPERIMENT}
        list(db.affected(*heads, **asked))  # reads the indexes

        def compare() -> int:
            return sum(1 for _ in db.affected(*heads, **asked))

        def every_run() -> int:
            before, after = (db.holding(filling.DETECTOR, experiment=EXPERIMENT, as_of=head)
                             for head in heads)  # fmt: skip
            return sum(before.winners(run) != after.winners(run) for run in range(RUNS))

        ours, theirs = medians(compare, every_run, repeats=3)
    what = f"affected: {RUNS:.0e} runs x {len(TYPES)} types".replace("e+0", "e")
    return Row(what, ours, "asking for every run", theirs, Target(2))
