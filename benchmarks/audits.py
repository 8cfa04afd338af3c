"""Audits: the chain of 1e5 events walked, and all that they say compared with the documents."""

from collections.abc import Iterator
from pathlib import Path

from filling import DETECTOR
from table import Row, Target
from timing import seconds

from cdb import audit
from cdb.database import Database
from cdb.events import digest_of
from cdb.stores import open_store
from cdb.stores.base import new_id
from cdb.stores.layout import JOURNAL, JOURNAL_DATABASE

N_EVENTS = 100_000
AT_ONCE = 1_000


def rows(folder: Path) -> list[Row]:
    """Measure a whole audit, beside reading all events and documents and nothing else."""
    url = (folder / "audited").as_uri()
    fill(url)
    with Database(open_store(url)) as db:
        whole = seconds(lambda: sound(db))
        read = seconds(lambda: read_all(db))
    what = f"audit of 1e5 events, {2 * N_EVENTS:.0e} documents"
    return [Row(what, whole, "reading them, no more", read, Target(5.0))]


def sound(db: Database) -> None:
    """Audit a store in which nothing is wrong."""
    walked = audit.Audit(db.journal)
    assert not list(walked.run())
    assert walked.events == N_EVENTS


def read_all(db: Database) -> int:
    """Read all events and documents; return how many."""
    places = [(JOURNAL_DATABASE, JOURNAL), *audit.places_of(db.store)]
    return sum(1 for place in places for _ in db.store.find(*place))


def fill(url: str) -> None:
    """Make a store of so many deployments, an event each, as `Database.add` writes them."""
    with Database(open_store(url)) as db:
        db.add("one", detector=DETECTOR, ctype="notes", experiment="bench00")
        (first,) = db.journal.events()
        batch = []
        for event in copies(first):
            batch.append(event)
            if len(batch) == AT_ONCE or event["_id"] == N_EVENTS:
                db.journal.replay(batch)
                batch = []


def copies(first: dict) -> Iterator[dict]:
    """Yield events that follow the first one, each with versions of its own."""
    last = first
    for seq in range(2, N_EVENTS + 1):
        at = last["at"] + 1
        entries = [
            made | {"id": new, "document": made["document"] | {"_id": new, "seq": seq, "order": at}}
            for made in first["versions"]
            for new in [new_id(at)]
        ]
        event = last | {"_id": seq, "at": at, "nonce": f"{seq:016x}", "open": seq,
                        "previous": last["digest"], "versions": entries}  # fmt: skip
        last = event | {"digest": digest_of(event)}
        yield last
