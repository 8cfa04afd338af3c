"""Large arrays in and out, beside NumPy's own file and plain gridfs.

Both sides touch every page of what they got: a mapped file that nobody reads costs nothing. Each
put goes to a detector of its own, since FerretDB scans all bytes of a database for each get.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import gridfs
import numpy as np
import pymongo
from table import Row
from timing import medians

from cdb.database import Database
from cdb.stores import open_store

MEGABYTE = 2**20
SIZES = {"1 MB": MEGABYTE, "64 MB": 64 * MEGABYTE, "1 GB": 1024 * MEGABYTE}
ON_WIRE = ("1 MB", "64 MB")
CTYPE = "pedestals"
PAGE = 4096


def rows(folder: Path, wire: str | None) -> list[Row]:
    """Measure put and get of large arrays."""
    found = []
    for number, size in enumerate(SIZES):
        found += embedded_rows(folder, size, 100 * number)
    for number, size in enumerate(ON_WIRE if wire else ()):
        assert wire
        found += wire_rows(wire, folder, size, 100 * number)
    return found


def embedded_rows(folder: Path, size: str, first: int) -> list[Row]:
    """Measure one size in a folder."""
    repeats = 3 if SIZES[size] > 100 * MEGABYTE else 7
    url = (folder / "arrays").as_uri()
    array = make_array(size)
    with Database(open_store(url)) as db:
        puts, saves = Puts(db, array, first, repeats), Saves(folder, array)
        put, saved = medians(puts, saves, repeats=repeats)
        verified, repeated, loaded = medians(
            partial(first_get, url, puts.detector),
            partial(get_and_touch, db, puts.detector),
            partial(load_and_touch, saves.paths[-1]),
            repeats=repeats + 1,  # of the repeated, the first is one too
        )
    saves.remove()
    return [
        Row(f"put {size}, embedded", put, "np.save + fsync", saved),
        Row(f"get {size}, embedded, first (verified)", verified, "np.load", loaded),
        Row(f"get {size}, embedded, repeated", repeated, "np.load", loaded),
    ]


def wire_rows(url: str, folder: Path, size: str, first: int) -> list[Row]:
    """Measure one size over MongoDB's protocol."""
    repeats = 3 if SIZES[size] > MEGABYTE else 5
    array = make_array(size)
    with Database(open_store(url)) as db, plain_gridfs(url, size) as bucket:
        puts, saves = Puts(db, array, first, repeats), Saves(folder, array)
        put, saved, plain_put = medians(
            puts, saves, lambda: bucket.put(array.tobytes()), repeats=repeats
        )
    with Database(open_store(url)) as db, plain_gridfs(url, size + " once") as bucket:
        blob_id = bucket.put(array.tobytes())
        verified, repeated, loaded, plain_get = medians(
            partial(first_get, url, puts.detector),
            partial(get_and_touch, db, puts.detector),
            partial(load_and_touch, saves.paths[-1]),
            lambda: bucket.get(blob_id).read(),
            repeats=repeats,
        )
    saves.remove()
    return [
        Row(f"put {size}, wire", put, "np.save + fsync", saved),
        Row(f"put {size}, wire", put, "gridfs.put", plain_put),
        Row(f"get {size}, wire, first (verified)", verified, "np.load", loaded),
        Row(f"get {size}, wire, repeated", repeated, "np.load", loaded),
        Row(f"get {size}, wire, repeated", repeated, "gridfs.get(...).read()", plain_get),
    ]


class Puts:
    """Puts of an array, each time a new one, into detectors that are known already.

    Parameters
    ----------
    db : Database
        Where to.
    array : ndarray
        Changed a little for each put, so that its bytes are new.
    first, number : int
        The detectors are numbered from the first, so many.
    """

    def __init__(self, db: Database, array: Any, first: int, number: int) -> None:
        self._db = db
        self._array = array
        self._detectors = [f"epix_{first + n:06}" for n in range(number)]
        self.detector = self._detectors[-1]
        for detector in self._detectors:
            db.add("first", detector=detector, ctype="comment")

    def __call__(self) -> None:
        """Put once more."""
        self._array[0] += 1
        self._db.add(self._array, detector=self._detectors.pop(0), ctype=CTYPE)


class Saves:
    """Saves of an array, each to a new file, durably.

    All files stay until the end: blocks that were just freed are quicker to write than new ones.
    """

    def __init__(self, folder: Path, array: Any) -> None:
        self._folder = folder
        self._array = array
        self.paths: list[Path] = []

    def __call__(self) -> None:
        """Save once more."""
        self.paths.append(self._folder / f"large-{len(self.paths)}.npy")
        with self.paths[-1].open("wb") as file:
            np.save(file, self._array)
            file.flush()
            os.fsync(file.fileno())

    def remove(self) -> None:
        """Remove the files."""
        for path in self.paths:
            path.unlink()


@contextmanager
def plain_gridfs(url: str, size: str) -> Iterator[gridfs.GridFS]:
    """Give a bucket of its own on the same server."""
    name = f"cdbbench_{size.replace(' ', '_')}"
    with pymongo.MongoClient(url) as client:
        yield gridfs.GridFS(client[name])


def make_array(size: str) -> Any:
    """Return random numbers of so many bytes."""
    return np.random.default_rng(1).random(SIZES[size] // 8)


def first_get(url: str, detector: str) -> None:
    """Get an array as the first of a process, so that its digest is verified."""
    with Database(open_store(url)) as db:
        get_and_touch(db, detector)


def get_and_touch(db: Database, detector: str) -> None:
    """Get an array and touch it."""
    touch(db.get(detector, CTYPE)[0])


def load_and_touch(path: Path) -> None:
    """Load an array and touch it."""
    touch(np.load(path))


def touch(array: Any) -> int:
    """Read a byte of every page."""
    return int(array.view(np.uint8)[::PAGE].sum())
