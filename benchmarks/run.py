"""All figures in one table, each beside a named alternative that was measured in the same run.

Run as ``make bench``, or ``python benchmarks/run.py [ROOM ...]`` for some of it. What needs a
server of MongoDB's protocol is left out where ``CDB_TEST_MONGODB`` names none; the server must
hold nothing of ours. Figures are written to a folder of its own in ``TMPDIR``, which must be on a
real disk if those of writing are to mean something.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import adds
import arrays
import audits
import filling
import frames
import geometry
import inspections
import lookups
import machine
import service
import starts
import tags
import text_files
import transfers
from table import Row, lines

from cdb.database import Database
from cdb.stores import open_store

SIZES = (1_000, 100_000)


def main(rooms: Sequence[str] = ()) -> None:
    """Measure and print."""
    begin = time.monotonic()
    wire = os.environ.get("CDB_TEST_MONGODB")
    with tempfile.TemporaryDirectory(prefix="cdb-bench-") as name:
        folder = Path(name)
        print("\n".join(machine.describe(folder)))
        found: list[Row] = []
        for room, measure in all_rooms(folder, wire).items():
            if not rooms or room in rooms:
                tell(f"{time.monotonic() - begin:4.0f} s: {room} ...")
                found += measure()
    if not wire:
        print("CDB_TEST_MONGODB names no server: rows `wire` are left out")
    print(f"measured in {time.monotonic() - begin:.0f} s\n")
    print("\n".join(lines(found)))


def all_rooms(folder: Path, wire: str | None) -> dict[str, Callable[[], list[Row]]]:
    """Return what measures each part of the table."""
    stores: list[lookups.Filled] = []

    def filled() -> list[lookups.Filled]:
        if not stores:
            stores.extend(fill(folder, n_versions) for n_versions in SIZES)
        return stores

    return {
        "starts": lambda: starts.rows(filled(), folder),
        "lookups": lambda: lookups.rows(filled(), folder),
        "adds": lambda: adds.rows(folder, wire),
        "audits": lambda: audits.rows(folder),
        "tags": lambda: tags.rows(folder),
        "inspections": inspections.rows,
        "arrays": lambda: arrays.rows(folder, wire),
        "service": lambda: service.rows(folder, wire),
        "frames": frames.rows,
        "transfers": lambda: transfers.rows(folder),
        "geometry": geometry.rows,
        "text_files": lambda: text_files.rows((2000, 1000)),
    }


def fill(folder: Path, n_versions: int) -> lookups.Filled:
    """Make a store with so many versions."""
    url = (folder / f"filled-{n_versions}").as_uri()
    with Database(open_store(url)) as db:
        filling.fill(db, n_versions)
    return lookups.Filled(url, n_versions, lookups.read_documents(url))


def tell(words: str) -> None:
    """Say on stderr how far it is."""
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
