"""Adding small constants: one writer and eight, on a folder and over MongoDB's protocol.

A deployment goes to the experiment's database and the detector's; its payload is new. The floor
is what no durable store can do without: one small file written and synced.
"""

import multiprocessing
import os
from collections.abc import Callable
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import pymongo
from bson import ObjectId
from filling import SHAPE
from table import Row, Target
from timing import latencies, percentile

from cdb.database import Database
from cdb.stores import open_store

DETECTOR = "epix100a_000002"
EXPERIMENT = "adds00"
WRITERS = 8
# How many adds of each writer are timed, if there is one and if there are eight.
N_FOLDER = {1: 300, WRITERS: 60}
N_WIRE = {1: 40, WRITERS: 6}
FLOOR = "write + fsync of one file"

Writer = Callable[[str, int, int], list[float]]


def rows(folder: Path, wire: str | None) -> list[Row]:
    """Measure one writer and eight."""
    url = (folder / "adds").as_uri()
    found = []
    for n_writers in (1, WRITERS):
        floor = together(write_files, str(folder), N_FOLDER[n_writers], n_writers)
        times = together(add_constants, url, N_FOLDER[n_writers], n_writers)
        target = Target(0.010) if n_writers == 1 else None
        found += rows_of("embedded", n_writers, times, floor, target)
        if wire:
            times = together(add_constants, wire, N_WIRE[n_writers], n_writers)
            found += rows_of("wire", n_writers, times, floor)
            if n_writers == 1:
                found.append(psana_row(wire, times))
    return found


def psana_row(wire: str, times: list[float]) -> Row:
    """Measure the same four objects without a journal, on the same server."""
    theirs = together(insert_as_psana, wire, N_WIRE[1], 1)
    what, name = "add, wire, 1 writer, p50", "2 payloads, 2 documents, no journal"
    return Row(what, percentile(times, 50), name, percentile(theirs, 50))


def rows_of(
    store: str,
    n_writers: int,
    times: list[float],
    floor: list[float],
    target: Target | None = None,
) -> list[Row]:
    """Return the rows of one set of writers: the quick half, and the slowest."""
    what = f"add, {store}, {n_writers} writer{'s' if n_writers > 1 else ''}"
    name = FLOOR + (f", {n_writers} at a time" if n_writers > 1 else "")
    return [
        Row(f"{what}, p50", percentile(times, 50), name, percentile(floor, 50), target),
        Row(f"{what}, p99", percentile(times, 99), name, percentile(floor, 99)),
    ]


def together(write: Writer, where: str, number: int, n_writers: int) -> list[float]:
    """Return the times of writers that begin together, each in a process of its own [s]."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(n_writers)
    with context.Pool(n_writers, initializer=keep_barrier, initargs=(barrier,)) as pool:
        asked = [(write, where, seed, number) for seed in range(n_writers)]
        return [time for times in pool.map(begin, asked, chunksize=1) for time in times]


def keep_barrier(barrier: Barrier) -> None:
    """Keep what makes the writers of a pool begin together."""
    global _barrier
    _barrier = barrier


_barrier: Barrier


def begin(asked: tuple[Writer, str, int, int]) -> list[float]:
    """Wait for the other writers, then write."""
    write, where, seed, number = asked
    _barrier.wait()
    return write(where, seed, number)


def small_array(rng: np.random.Generator) -> Any:
    """Return a new array of 1.5 kB."""
    return rng.normal(1000, 30, SHAPE).astype(np.float32)


def add_constants(url: str, seed: int, number: int) -> list[float]:
    """Add so many constants, and return how long each took; the first is not counted."""
    rng = np.random.default_rng([seed, os.getpid()])
    with Database(open_store(url)) as db:
        asked = [
            partial(db.add, small_array(rng), detector=DETECTOR, ctype="pedestals",
                    experiment=EXPERIMENT, run=seed * 1000 + n)
            for n in range(number + 1)
        ]  # fmt: skip
        return latencies(asked)[1:]


def write_files(folder: str, seed: int, number: int) -> list[float]:
    """Write so many small files, each synced."""
    payload = small_array(np.random.default_rng(seed)).tobytes()
    paths = [Path(folder, f"floor-{seed}-{n}") for n in range(number)]
    times = latencies([partial(write_file, path, payload) for path in paths])
    for path in paths:
        path.unlink()
    return times


def write_file(path: Path, payload: bytes) -> None:
    """Write a file, durably."""
    with path.open("wb", buffering=0) as file:
        file.write(payload)
        os.fsync(file.fileno())


def insert_as_psana(url: str, seed: int, number: int) -> list[float]:
    """Insert a payload and a document in two databases, as LCLS-II's writer did: no more."""
    rng = np.random.default_rng(seed)
    with pymongo.MongoClient(url) as client:
        databases = [client["cdbbench_experiment"], client["cdbbench_detector"]]

        def add(data: bytes) -> None:
            for database in databases:
                blob_id = ObjectId()
                database["fs.files"].insert_one({"_id": blob_id, "length": len(data)})
                database["fs.chunks"].insert_one({"files_id": blob_id, "n": 0, "data": data})
                database[DETECTOR].insert_one({"ctype": "pedestals", "id_data": str(blob_id)})

        return latencies([partial(add, small_array(rng).tobytes()) for _ in range(number)])
