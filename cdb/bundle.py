"""Packing what an analysis asks of a store into one file, to be used where there is no network.

All documents of the places asked about are packed, so that every answer is the one that the store
itself gives as of the same event; of the payloads those that these answers can be.
"""

import hashlib
import json
import logging
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit, urlunsplit

from cdb import names, register
from cdb.constant import RETIRED, Version, version_of
from cdb.database import Database
from cdb.errors import BadQuestion, NotFound
from cdb.files import archive
from cdb.ledger import places as all_places
from cdb.lookup import places as places_of
from cdb.names import REGISTER
from cdb.stores.base import Place, Progress
from cdb.stores.bundle import FIRST, FIRST_BYTES, FORMAT, INDEX, TABLES
from cdb.stores.embedded import EmbeddedStore
from cdb.stores.layout import JOURNAL, JOURNAL_DATABASE
from cdb.stores.query import Document
from cdb.validity import RunRange, from_microseconds

logger = logging.getLogger(__name__)

BATCH = 500


@dataclass(frozen=True)
class Asked:
    """What a bundle is made for.

    Attributes
    ----------
    experiments, detectors : tuple of str
        Every pair of them; without detectors all of the experiments', without experiments only
        the detectors' own databases. Detectors by short or long name.
    dbsuffixes : tuple of str
        Private databases of the detectors.
    runs : RunRange or None
        Only payloads that these runs can need.
    everything : bool
        All payloads of the places, those of versions that have left too.
    """

    experiments: tuple[str, ...] = ()
    detectors: tuple[str, ...] = ()
    dbsuffixes: tuple[str, ...] = ()
    runs: RunRange | None = None
    everything: bool = False

    def scope(self) -> str:
        """Return what it is about, in a few words."""
        named = ", ".join((*self.experiments, *self.detectors, *self.dbsuffixes))
        payloads = ", all payloads" if self.everything else ""
        return f"{named}{f' runs {self.runs}' if self.runs else ''}{payloads}"


@dataclass(frozen=True)
class Bundled:
    """What a bundle holds.

    Attributes
    ----------
    seq : int
        S, the event that it is as of.
    documents, payloads : int
        How many.
    nbytes : int
        Length of the payloads together [bytes].
    missing : int
        Payloads that the store itself could not give.
    """

    seq: int
    documents: int
    payloads: int
    nbytes: int
    missing: int = 0


@dataclass
class _Chosen:
    """Payloads to be packed, by digest: their length, and where they can be read."""

    nbytes: dict[str, int] = field(default_factory=dict)
    names: dict[str, list[Place]] = field(default_factory=dict)


class Bundle:
    """A bundle in the making: what it will hold is known, nothing is written.

    Parameters
    ----------
    db : Database
        What it is of.
    asked : Asked
        What it is for.
    as_of : int, datetime or str, optional
        The state after this event, or at this time, instead of now.

    Raises
    ------
    BadQuestion
        If neither experiments nor detectors are named.
    NotFound
        If a detector is not registered, or nothing at all is there.
    """

    def __init__(
        self, db: Database, asked: Asked, *, as_of: int | str | datetime | None = None
    ) -> None:
        if not asked.experiments and not asked.detectors:
            raise BadQuestion("name experiments, detectors or both: -e, -d")
        self.db, self.asked = db, asked
        self._moment = db.moment(as_of)
        self._pairs = list(self._asked_pairs())
        self._places = self._asked_places()
        self._folder = tempfile.TemporaryDirectory(prefix="cdb-bundle-")
        self._index = EmbeddedStore(Path(self._folder.name) / "index")
        self._documents = self._take_documents()
        self._take_events()
        self._chosen = self._choose()

    def __enter__(self) -> "Bundle":
        """Use as a context: the index in the making is gone at its end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the index in the making."""
        self._index.close()
        self._folder.cleanup()

    @property
    def planned(self) -> Bundled:
        """What the bundle is going to hold."""
        sizes = self._chosen.nbytes.values()
        return Bundled(self._moment.seq, self._documents, len(sizes), sum(sizes))

    # where -------------------------------------------------------------------------------------

    def _asked_pairs(self) -> Iterator[tuple[str | None, str]]:
        """Yield experiment and short name of each that is asked for."""
        for experiment in self.asked.experiments or [None]:
            if experiment is not None:
                names.check_experiment(experiment)
            yield from ((experiment, short) for short in self._detectors(experiment))

    def _detectors(self, experiment: str | None) -> list[str]:
        if self.asked.detectors:
            at = self._moment.seq if self._moment.asked else None
            return [self.db.short_name(name, as_of=at) for name in self.asked.detectors]
        assert experiment is not None  # one of the two is named
        database = names.experiment_database(experiment)
        pending = {collection for place, collection in self._moment.added if place == database}
        found = sorted({*self.db.store.collections(database), *pending})
        if not found:
            raise NotFound(f"no experiment {experiment}; `cdb experiments` shows those there are")
        return found

    def _asked_places(self) -> list[Place]:
        found: dict[Place, None] = {}
        for experiment, short in self._pairs:
            for suffix in (None, *self.asked.dbsuffixes):
                for place in places_of(short, experiment, suffix, "range"):
                    found[place.database, place.collection] = None
        return list(found)

    # documents ---------------------------------------------------------------------------------

    def _take_documents(self) -> int:
        number = 0
        filed = [place for place in all_places(self.db.store) if place[0] == REGISTER]
        for place in (*self._places, *filed):
            batch: list[Document] = []
            for document in self._states(place):
                batch.append(document)
                number += place[0] != REGISTER
                if len(batch) == BATCH:
                    self._index.insert(*place, batch)
                    batch = []
            self._index.insert(*place, batch)
        return number

    def _states(self, place: Place) -> Iterator[Document]:
        """Yield the documents of a place as they were at the moment."""
        moment = self._moment
        added = moment.added.get(place, {})
        left = {
            made["id"]: made
            for event in moment.pending
            for made in event["versions"]
            if "set" in made and (made["database"], made["collection"]) == place
        }
        found = (d for d in self.db.store.find(*place) if d["_id"] not in added)
        for document in (*added.values(), *found):
            if not moment.knows(document):
                continue
            made = left.get(document["_id"])
            if made is not None and "out" not in document:
                document = {**document, **made["set"]}
                document = {k: v for k, v in document.items() if k not in made.get("unset", ())}
            yield _as_of(document, moment.seq)

    def _take_events(self) -> None:
        """Take the events, of their entries those about what is packed."""
        packed = {*self._places}
        databases = {database for database, _ in packed}
        batch: list[Document] = []
        for event in self.db.journal.events(upto=self._moment.seq):
            kept = [
                made
                for made in event["versions"]
                if (made["database"], made["collection"]) in packed
                or made["database"] == REGISTER
                or (made["database"] in databases and made["collection"] == "fs.files")
            ]
            trimmed = {"trimmed": True} if len(kept) < len(event["versions"]) else {}
            event.pop("pending", None)
            batch.append({**event, "versions": kept, **trimmed})
            if len(batch) == BATCH:
                self._index.insert(JOURNAL_DATABASE, JOURNAL, batch)
                batch = []
        self._index.insert(JOURNAL_DATABASE, JOURNAL, batch)

    # payloads ----------------------------------------------------------------------------------

    def _choose(self) -> _Chosen:
        """Choose the payloads, and note the records of all that documents name."""
        wanted = {(v.database, str(v.meta.get("id_data"))) for v in self._wanted()}
        named: dict[str, set[str]] = {}
        for database, collection in self._places:
            for document in self._index.find(database, collection):
                named.setdefault(database, set()).add(str(document.get("id_data")))
        chosen = _Chosen()
        rows = []
        for database, ids in named.items():
            for blob in self.db.store.blobs(database):
                if blob.id not in ids or self.db.store.blob(database, blob.id) is None:
                    continue
                sha256 = blob.sha256
                if (database, blob.id) in wanted:
                    sha256 = sha256 or self._digest(database, blob.id)
                    chosen.nbytes[sha256] = blob.nbytes
                    chosen.names.setdefault(sha256, []).append((database, blob.id))
                # Bytes of another program that are not packed have no digest: any name will do.
                sha256 = sha256 or f"unknown:{blob.id}"
                rows.append((database, blob.id, sha256, blob.nbytes, blob.head or 0, blob.at))
        connection = self._index._writing()
        connection.executemany("INSERT INTO uploads VALUES (?, ?, ?, ?, ?, ?)", rows)
        return chosen

    def _digest(self, database: str, blob_id: str) -> str:
        return hashlib.sha256(self.db.store.read(database, blob_id)).hexdigest()

    def _wanted(self) -> Iterator[Version]:
        """Yield the versions whose payloads are packed.

        Of an experiment's own database, and of a detector's that is asked about for itself, all
        that are visible; of a detector's that is only the fallback, what falls back on it.
        """
        own = {names.experiment_database(e) for e in self.asked.experiments}
        fallback = {names.detector_database(short) for e, short in self._pairs if e is not None}
        for database, collection in self._places:
            if self.asked.everything or database in own or database not in fallback:
                for document in self._index.find(database, collection):
                    version = version_of(document, database, collection)
                    if self.asked.everything or self._is_wanted(version):
                        yield version
        if not self.asked.everything:
            yield from self._winners()

    def _is_wanted(self, version: Version) -> bool:
        runs, asked = version.runs, self.asked.runs
        if version.out is not None:
            return False
        return asked is None or runs is None or _overlap(runs, asked)

    def _winners(self) -> Iterator[Version]:
        """Yield what holds for each run that is asked about, wherever it is found."""
        at = self._moment.seq if self._moment.asked else None
        for experiment, short in self._pairs:
            if experiment is None:
                continue
            for suffix in (None, *self.asked.dbsuffixes):
                for run in self._turning_points(short, experiment, suffix):
                    holds = self.db.detector(
                        short, experiment=experiment, dbsuffix=suffix, run=run, as_of=at
                    ).calibconst
                    yield from (holds.version(ctype) for ctype in holds)

    def _turning_points(
        self, short: str, experiment: str, suffix: str | None
    ) -> Iterator[int | None]:
        """Yield the runs at which another version may begin to hold."""
        asked = self.asked.runs
        points: set[int] = {asked.begin} if asked else {0}
        for place in places_of(short, experiment, suffix, "range"):
            for document in self._index.find(place.database, place.collection):
                runs = version_of(document, place.database, place.collection).runs
                if runs is not None:
                    points.add(runs.begin)
                    if isinstance(runs.end, int):
                        points.add(runs.end + 1)
        yield from sorted(p for p in points if asked is None or p in asked)
        if asked is None:
            yield None

    # writing -----------------------------------------------------------------------------------

    def write(self, path: Path | str, *, progress: Progress | None = None) -> Bundled:
        """Write the bundle, beside its place and then into it.

        Parameters
        ----------
        path : Path or str
            The file to be.
        progress : callable, optional
            Called with the number of bytes of payloads written since the last call.
        """
        path = Path(path)
        part = path.with_name(path.name + ".part")
        with part.open("wb") as file:
            file.write(archive.header(FIRST, FIRST_BYTES) + bytes(FIRST_BYTES))
            starts, missing = self._write_payloads(file, progress)
            self._write_index(file, starts)
        part.replace(path)
        nbytes = sum(nbytes for _, _, nbytes in starts)
        return Bundled(self._moment.seq, self._documents, len(starts), nbytes, missing)

    def _write_payloads(
        self, file: BinaryIO, progress: Progress | None
    ) -> tuple[list[tuple[str, int, int]], int]:
        starts, missing = [], 0
        for sha256 in sorted(self._chosen.nbytes):
            data = self._read(sha256)
            if data is None:
                missing += 1
                continue
            nbytes = memoryview(data).nbytes
            file.write(archive.header(archive.payload_name(sha256), nbytes))
            starts.append((sha256, file.tell(), nbytes))
            file.write(data)
            file.write(archive.padding(nbytes))
            if progress:
                progress(nbytes)
        return starts, missing

    def _read(self, sha256: str) -> bytes | memoryview | None:
        for place in self._chosen.names[sha256]:
            try:
                data = self.db.store.read(*place)
            except NotFound:
                continue
            if hashlib.sha256(data).hexdigest() == sha256:
                return data
        logger.warning(
            "payload %s is missing or damaged, the bundle goes without it; "
            "`cdb fsck --payloads` tells whose it is", sha256,
        )  # fmt: skip
        return None

    def _write_index(self, file: BinaryIO, starts: Sequence[tuple[str, int, int]]) -> None:
        data = self._packed_index(starts)
        file.write(archive.header(INDEX, len(data)))
        index = {
            "start": file.tell(),
            "nbytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        file.write(data + archive.padding(len(data)) + bytes(2 * archive.BLOCK))
        facts = json.dumps(self._facts() | {"index": index}, ensure_ascii=False, indent=1).encode()
        if len(facts) > FIRST_BYTES:
            raise BadQuestion("too many experiments and detectors for one bundle; make several")
        file.seek(archive.BLOCK)
        file.write(facts.ljust(FIRST_BYTES))

    def _facts(self) -> Document:
        moment = self._moment
        return {
            "format": FORMAT,
            "source": without_secrets(self.db.store.url),
            "identity": self.db.journal.identity(),
            "seq": moment.seq,
            "at": f"{from_microseconds(moment.at):%Y-%m-%dT%H:%M:%SZ}" if moment.at else "",
            "asked": self._words(),
            "options": self._which_payloads(),
            "scope": self.asked.scope(),
        }

    def _which_payloads(self) -> list[str]:
        if self.asked.everything:
            return ["--all"]
        return ["--run", str(self.asked.runs)] if self.asked.runs else []

    def _words(self) -> list[str]:
        """Return the options that ask for the same, each detector by its name."""
        detectors = dict.fromkeys(short for _, short in self._pairs)
        asked = {"-e": self.asked.experiments, "-d": detectors, "-S": self.asked.dbsuffixes}
        words: list[str] = []
        for name, values in asked.items():
            for value in values:
                words += [name, value]
        return words

    def _packed_index(self, starts: Sequence[tuple[str, int, int]]) -> bytes:
        """Return the index as one file that needs no other beside it."""
        connection = self._index._writing()
        for statement in TABLES:
            connection.execute(statement)
        connection.executemany("INSERT INTO payloads VALUES (?, ?, ?)", starts)
        connection.executemany("INSERT INTO known VALUES (?, ?, ?)", self._known())
        target = Path(self._folder.name) / INDEX
        connection.execute("VACUUM INTO ?", (str(target),))
        with sqlite3.connect(target) as packed:
            packed.execute("PRAGMA journal_mode = DELETE")
        packed.close()
        return target.read_bytes()

    def _known(self) -> Iterable[tuple[str, str, bool]]:
        packed = {*self._places}
        databases = {database for database, _ in packed}
        there = {place for place in all_places(self.db.store) if place[0] in databases}
        return [(*place, place in packed) for place in sorted(packed | there)]


def _as_of(document: Mapping[str, object], seq: int) -> Document:
    """Return a document as it was, if it left only later."""
    out = document.get("out")
    if not isinstance(out, int) or out <= seq:
        return dict(document)
    made = {name: value for name, value in document.items() if name != "out"}
    if isinstance(made.get("detector"), str):
        made["detector"] = str(made["detector"]).removeprefix(RETIRED)
    return register.unretired(made)


def _overlap(one: RunRange, other: RunRange) -> bool:
    return one.begin <= other.end and other.begin <= one.end


def without_secrets(url: str) -> str:
    """Return an address without user and password.

    Examples
    --------
    >>> without_secrets("mongodb://writer:secret@host:27017/")
    'mongodb://host:27017/'
    """
    parts = urlsplit(url)
    plain = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    return urlunsplit(plain) if "@" in parts.netloc else url
