"""A store with many versions, made in bulk events, as an import of an old archive would make them.

Each version was once deployed by an experiment, so it is in two databases; it keeps the time at
which it was first added as its `order`, as restored versions do. The events go through
`Journal.commit`, so that nothing distinguishes them from those of `Database.add`.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from cdb import names, payload, validity
from cdb.constant import key_of, new_document, placed
from cdb.database import Database
from cdb.events import Proposal, entry
from cdb.moments import Moment
from cdb.stores.base import new_id

DETECTOR = "epix100a_000001"
CTYPE = "pedestals"
EXPERIMENTS = tuple(f"bench{number:02}" for number in range(10))
SHAPE = (4, 96)
LAST_RUN = 9998
VERSIONS_AN_EVENT = 1000
N_PAYLOADS = 16

BEGIN = 1_400_000_000  # Unix seconds of the first version
APART = 3_000  # seconds from one version to the next: 1e5 of them are ten years

Document = dict[str, Any]
Blobs = Mapping[str, str]  # the id of a payload's bytes in each database


@dataclass(frozen=True)
class Payload:
    """Bytes that many versions share, and a document that names them, not yet placed."""

    document: Document
    blobs: Blobs


def fill(db: Database, n_versions: int, ctypes: Sequence[str] = (CTYPE,)) -> None:
    """Fill an empty store.

    Parameters
    ----------
    db : Database
        On an empty store.
    n_versions : int
        So many in the detector's database, a tenth of them in each experiment's.
    ctypes : sequence of str, optional
        Types, each of as many versions.
    """
    rng = random.Random(n_versions)
    for database in (names.detector_database(DETECTOR), *map(experiment_database, EXPERIMENTS)):
        db.store.prepare(database, DETECTOR)
    payloads = [make_payload(db, number) for number in range(N_PAYLOADS)]
    for start in range(0, n_versions, VERSIONS_AN_EVENT):
        numbers = range(start, min(start + VERSIONS_AN_EVENT, n_versions))
        commit(db, [version(number, rng, payloads, ctypes) for number in numbers])
    # The last event is an ordinary one, as nearly always.
    db.add("ordinary", detector=DETECTOR, ctype="comment", experiment=EXPERIMENTS[0])


def experiment_database(experiment: str) -> str:
    """Return the database of an experiment."""
    return names.experiment_database(experiment)


def make_payload(db: Database, number: int) -> Payload:
    """Upload a small array to all databases."""
    array = np.random.default_rng(number).normal(1000, 30, SHAPE).astype(np.float32)
    encoded = payload.encode(array)
    sha256 = payload.digest(encoded.data)
    head = db.head
    document = new_document(
        detector=DETECTOR,
        ctype=CTYPE,
        runs=validity.RunRange.parse(0, "end"),
        time=datetime.fromtimestamp(BEGIN, UTC),
        experiment=None,
        payload_fields=encoded.fields,
        sha256=sha256,
        nbytes=array.nbytes,
        fields={},
    )
    databases = (names.detector_database(DETECTOR), *map(experiment_database, EXPERIMENTS))
    blobs = {
        database: db.store.write(database, encoded.data, sha256=sha256, head=head)
        for database in databases
    }
    return Payload(document, blobs)


def version(
    number: int, rng: random.Random, payloads: list[Payload], ctypes: Sequence[str]
) -> tuple[Document, Blobs]:
    """Return the document of a version and where its bytes are.

    Three in five are open-ended, the others hold for up to 50 runs; the first of each type covers
    all runs.
    """
    turn, experiment = divmod(number, len(EXPERIMENTS))
    is_first = experiment == 0 and turn < len(ctypes)
    chosen = payloads[turn % len(payloads)]  # so that each is used by each
    begin = 0 if is_first else rng.randint(0, LAST_RUN)
    end = "end" if is_first or rng.random() < 0.6 else begin + rng.randint(0, 50)
    runs = validity.RunRange.parse(begin, end)
    time = datetime.fromtimestamp(BEGIN + APART * number - rng.randint(0, 10 * APART), UTC)
    changes = {
        "ctype": ctypes[turn % len(ctypes)],
        "experiment": EXPERIMENTS[experiment],
        "run": runs.begin,
        "run_end": runs.text_end,
        "end": runs.stored_end,
        "time_sec": validity.seconds(time),
        "time_stamp": validity.time_stamp(time),
        "order": (BEGIN + APART * number) * 1_000_000 + rng.randrange(1_000_000),
    }
    return chosen.document | changes, chosen.blobs


def commit(db: Database, versions: list[tuple[Document, Blobs]]) -> None:
    """Add versions in one event."""

    def propose(_: Moment) -> Proposal:
        return Proposal(
            "add",
            "imported",
            lambda seq, _: [made for document in versions for made in entries(*document, seq)],
            keys=frozenset(),
        )

    db.journal.commit(propose)


def entries(document: Document, blobs: Blobs, seq: int) -> Iterator[Document]:
    """Yield the two copies of a version, the experiment's first."""
    copy_of: tuple[str, str] | None = None
    order = document["order"]
    for database in (
        experiment_database(document["experiment"]),
        names.detector_database(DETECTOR),
    ):
        made = placed(
            document,
            id=new_id(order),
            seq=seq,
            order=order,
            id_data=blobs[database],
            experiment_copy=copy_of,
        )
        copy_of = made["_id"], made["id_data"]
        yield entry(database, DETECTOR, made["_id"], key_of(database, DETECTOR, made), made)
