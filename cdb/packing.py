"""Packing what an analysis asks of a database into one file, to be used without a network.

All documents of the places asked about are packed, so that every answer is the one that the store
itself gives as of the same event; of the payloads those that these answers can be. They are taken
from the events that added them, each verified, and so from a service as well as from a store.
"""

import hashlib
import json
import logging
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Self
from urllib.parse import urlsplit, urlunsplit

from cdb import names, register
from cdb.constant import Version, hidden, version_of
from cdb.database import Database
from cdb.errors import BadQuestion, Corrupt, NotFound, Purged
from cdb.events import ELSEWHERE, PURGE, digest_of
from cdb.files import archive
from cdb.names import REGISTER
from cdb.stores.base import Place, Progress
from cdb.stores.bundle import FIRST, FIRST_BYTES, FORMAT, INDEX, TABLES
from cdb.stores.embedded import EmbeddedStore
from cdb.stores.layout import JOURNAL, JOURNAL_DATABASE
from cdb.stores.query import Document
from cdb.truth import Truth
from cdb.validity import RunRange, from_microseconds

logger = logging.getLogger(__name__)

Where = dict[str, Any]
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
    """Payloads to be packed, by digest: their length, and versions that have them."""

    nbytes: dict[str, int] = field(default_factory=dict)
    versions: dict[str, list[Version]] = field(default_factory=dict)

    def add(self, version: Version, db: Database) -> tuple[str | None, int]:
        """Add the payload of a version; return digest and length, None and 0 if it is lost."""
        sha256, nbytes = version.sha256, version.nbytes
        if sha256 is None or nbytes is None:
            try:
                data = db.read(version)
            except (Corrupt, Purged):
                return None, 0
            sha256, nbytes = hashlib.sha256(data).hexdigest(), memoryview(data).nbytes
        self.nbytes[sha256] = nbytes
        self.versions.setdefault(sha256, []).append(version)
        return sha256, nbytes


class Packing:
    """A bundle in the making: what it will hold is known, nothing is written.

    Parameters
    ----------
    db : Database
        What it is of: a store, or a service.
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
    NotAllowed
        If a service does not show all that is asked for.
    Corrupt
        If an event was changed after it was written.
    """

    def __init__(
        self, db: Database, asked: Asked, *, as_of: int | str | datetime | None = None
    ) -> None:
        if not asked.experiments and not asked.detectors:
            raise BadQuestion("name experiments, detectors or both: -e, -d")
        self.db, self.asked = db, asked
        self._moment = db.moment(as_of)
        self._identity = db.journal.identity()
        # Of the present, other programs' documents are taken as they are now.
        self._at = self._moment.seq if self._moment.asked else None
        self._pairs = list(self._asked_pairs())
        self._places = self._asked_places()
        self._folder = tempfile.TemporaryDirectory(prefix="cdb-bundle-")
        self._index = EmbeddedStore(Path(self._folder.name) / "index")
        self._truth = Truth()
        try:
            self._take_events()
            self._documents = self._take_documents()
            self._chosen = self._choose()
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Self:
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
            return [self.db.short_name(name, as_of=self._at) for name in self.asked.detectors]
        assert experiment is not None  # one of the two is named
        known = [
            short
            for each in self.db.experiments(as_of=self._at)
            if each["experiment"] == experiment
            for short in each["detectors"]
        ]
        found = {v.collection for v in self.db.find(experiment=experiment, as_of=self._at)}
        if not (found := found | {*known}):
            raise NotFound(f"no experiment {experiment}; `cdb experiments` shows those there are")
        return sorted(found)

    def _asked_places(self) -> dict[Place, Where]:
        """Return the places that are packed, and how each is asked for."""
        found: dict[Place, Where] = {}
        for experiment, short in self._pairs:
            for suffix in (None, *self.asked.dbsuffixes):
                which = {"private": {"dbsuffix": suffix}, "experiment": {"experiment": experiment}}
                for place in self.db.places(short, experiment, suffix):
                    where = which.get(place.kind, {})
                    found[place.database, place.collection] = {"detector": short, **where}
        return found

    # events ------------------------------------------------------------------------------------

    def _take_events(self) -> None:
        """Take the events about what is packed, of their entries those that are; and all numbers.

        Of the other events there are number and time, by which a state is asked for.
        """
        batch: list[Document] = []
        for event in self._all_numbers():
            batch.append(event)
            if len(batch) == BATCH:
                self._index.insert(JOURNAL_DATABASE, JOURNAL, batch)
                batch = []
        self._index.insert(JOURNAL_DATABASE, JOURNAL, batch)

    def _all_numbers(self) -> Iterator[Document]:
        seq, at = 0, 0
        for event in self.db.journal.events():
            if event["_id"] > self._moment.seq:
                self._take_adopted(event)
                continue
            # Events that one may not read are not there: they get the time of the one before.
            yield from (self._elsewhere(n, at) for n in range(seq + 1, event["_id"]))
            seq, at = event["_id"], event["at"]
            yield self._packed(event) or self._elsewhere(seq, at)
        yield from (self._elsewhere(n, at) for n in range(seq + 1, self._moment.seq + 1))

    def _elsewhere(self, seq: int, at: int) -> Document:
        event = {"_id": seq, "at": at, "action": ELSEWHERE, "versions": [], "trimmed": True}
        if seq in (1, self._moment.seq):  # by them a store is known, and how far it has come
            event |= {"digest": self._identity if seq == 1 else "", "open": seq}
        return event

    def _packed(self, event: Document) -> Document | None:
        """Return what is packed of an event, verified; None if nothing is."""
        kept = [made for made in event["versions"] if self._is_about(made, event["action"])]
        named = {None, *(made["id"] for made in kept)}
        kept = [made for made in kept if made.get("child") in named]
        if not kept:
            return None
        if not event.get("partial") and digest_of(event) != event.get("digest"):
            raise Corrupt(f"event {event['_id']} of the journal was changed after it was written")
        is_whole = len(kept) == len(event["versions"]) and "partial" not in event
        left_out = ("pending", "partial")
        packed = {name: value for name, value in event.items() if name not in left_out}
        packed |= {"versions": kept} | ({} if is_whole else {"trimmed": True})
        self._truth.follow(packed)
        return packed

    def _is_about(self, made: Mapping[str, Any], action: str) -> bool:
        database = made["database"]
        if action == PURGE:
            return any(database == place[0] for place in self._places)
        return database == REGISTER or (database, made["collection"]) in self._places

    def _take_adopted(self, event: Mapping[str, Any]) -> None:
        """Take documents that were there at the moment, and were adopted only later."""
        if event["action"] == "adopt":
            for made in event["versions"]:
                place = (made["database"], made["collection"])
                if place in self._places and self._moment.knows(made["document"]):
                    self._truth.documents.setdefault(place, {})[made["id"]] = made["document"]

    # documents ---------------------------------------------------------------------------------

    def _take_documents(self) -> int:
        """Take the documents as the events say, and those of other programs; return how many."""
        number = 0
        for place in self._places:
            ours = self._truth.documents.get(place, {})
            documents = [*ours.values(), *self._foreign(place, {*ours})]
            self._index.insert(*place, documents)
            number += len(documents)
        dettypes = [place for place in self._truth.documents if place[0] == REGISTER]
        for place in dettypes:
            self._index.insert(*place, [*self._truth.documents[place].values()])
        self._take_foreign_names(dettypes)
        return number

    def _foreign(self, place: Place, ours: Set[str]) -> Iterator[Document]:
        """Yield the documents of a place that no event added."""
        where = self._places[place]
        ctypes = {v.ctype for v in self.db.find(**where, as_of=self._at)}
        ctypes |= {made["key"].split("/")[2] for made in self._leaving(place)}
        for ctype in sorted(filter(None, ctypes)):
            for version in self.db.history(**where, ctype=ctype, as_of=self._at):
                if version.seq is None and version.id not in ours:
                    yield _as_stored(version, self._moment.seq)

    def _leaving(self, place: Place) -> Iterator[Document]:
        for event in self._index.find(JOURNAL_DATABASE, JOURNAL, {"action": {"$ne": ELSEWHERE}}):
            for made in event["versions"]:
                if "set" in made and (made["database"], made["collection"]) == place:
                    yield made

    def _take_foreign_names(self, known: Iterable[Place]) -> None:
        """Take the long names that another program registered."""
        there = {
            str(register.unretired(document).get("short"))
            for place in known
            for document in self._index.find(*place)
        }
        for each in self.db.detectors(as_of=self._at):
            short, longname = each["detector"], each["longname"]
            if longname and short not in there:
                made = {"long": longname, "short": short, "seqnumber": names.sequence_number(short)}
                blank = hashlib.sha256(short.encode()).hexdigest()[:16]
                document = {"_id": f"{0:08x}{blank}", **made}
                self._index.insert(REGISTER, names.detector_type(short), [document])

    # payloads ----------------------------------------------------------------------------------

    def _choose(self) -> _Chosen:
        """Choose the payloads, and note under which ids all are that documents name."""
        chosen = _Chosen()
        wanted = {(v.database, v.id) for v in self._wanted()}
        rows = {}
        for database, collection in self._places:
            for document in self._index.find(database, collection):
                blob_id, version = (
                    document.get("id_data"),
                    version_of(document, database, collection),
                )
                if not isinstance(blob_id, str) or (database, blob_id) in self._truth.purged:
                    continue
                sha256, nbytes = version.sha256, version.nbytes or 0
                if (database, version.id) in wanted:
                    sha256, nbytes = chosen.add(version, self.db)
                # Bytes of another program that are not packed have no digest: any name will do.
                row = (database, blob_id, sha256 or f"unknown:{blob_id}", nbytes, 0, 0.0)
                if sha256 or (database, blob_id) not in rows:
                    rows[database, blob_id] = row
        connection = self._index._writing()
        connection.executemany("INSERT INTO uploads VALUES (?, ?, ?, ?, ?, ?)", rows.values())
        return chosen

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
        packed = Database(self._index)
        for experiment, short in self._pairs:
            if experiment is None:
                continue
            for suffix in (None, *self.asked.dbsuffixes):
                for run in self._turning_points(short, experiment, suffix):
                    holds = packed.detector(
                        short, experiment=experiment, dbsuffix=suffix, run=run
                    ).calibconst
                    yield from (holds.version(ctype) for ctype in holds)

    def _turning_points(
        self, short: str, experiment: str, suffix: str | None
    ) -> Iterator[int | None]:
        """Yield the runs at which another version may begin to hold."""
        asked = self.asked.runs
        points: set[int] = {asked.begin} if asked else {0}
        for place in self.db.places(short, experiment, suffix):
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
        for version in self._chosen.versions[sha256]:
            try:
                data = self.db.read(version)
            except (Corrupt, Purged) as error:
                logger.debug("%s", error)
                continue
            # Whoever verified it before: what is packed is what its name says.
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
            "identity": self._identity,
            "seq": moment.seq,
            "at": f"{from_microseconds(moment.at):%Y-%m-%dT%H:%M:%SZ}" if moment.at else "",
            "asked": self._words(),
            "options": self._which_payloads(),
            "scope": self.asked.scope(),
            "shares_detectors": self.db.store.shares_detectors,
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
        # Of bytes that are lost the bundle says that they are, as the store does.
        lost = self._chosen.nbytes.keys() - {sha256 for sha256, _, _ in starts}
        connection.executemany("DELETE FROM uploads WHERE sha256 = ?", ((name,) for name in lost))
        connection.executemany("INSERT INTO payloads VALUES (?, ?, ?)", starts)
        connection.executemany("INSERT INTO known VALUES (?, ?, ?)", self._known())
        target = Path(self._folder.name) / INDEX
        connection.execute("VACUUM INTO ?", (str(target),))
        with sqlite3.connect(target) as packed:
            packed.execute("PRAGMA journal_mode = DELETE")
        packed.close()
        return target.read_bytes()

    def _known(self) -> Iterable[tuple[str, str, bool]]:
        databases = {database for database, _ in self._places}
        listed = self.db.databases(may_read=databases.__contains__, as_of=self._at)
        there = {(d["database"], c["collection"]) for d in listed for c in d["collections"]}
        return [(*place, place in self._places) for place in sorted({*self._places} | there)]


def _as_stored(version: Version, seq: int) -> Document:
    """Return the document of a version of another program, as it was stored at an event."""
    document = dict(version.meta)
    if version.out is not None and version.out > seq:
        del document["out"]
    return {**document, **(hidden(document) if "out" in document else {})}


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
