"""An LCLS-I calibration tree as a store that is only read: its files are documents and bytes.

Each source is a detector, each file a document, in the detector's own database and, where the
path tells the experiment, in that one's. Ranges of runs are those of the file names, so that rule
`range` chooses as the tree's own readers do. Nothing is kept but what files begin with: every
question looks at the folders again, since others write there.
"""

import hashlib
import json
import logging
import os
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from cdb import lcls1_names, names, payload
from cdb.constant import DEFAULT_COMMENT, DEFAULT_VERSION, NO_EXPERIMENT, SCHEMA
from cdb.errors import (
    BadFile,
    CalibError,
    NotFound,
    StoreRefused,
    WrongState,
)
from cdb.files import contents, history, lcls1
from cdb.files.groups import group_of
from cdb.files.lcls1 import CalibFile, Folder, Skipped, SourceFolder
from cdb.payload.arrays import dtype_of
from cdb.stores.base import Blob, Progress, ReadOnlyStore
from cdb.stores.layout import REGISTER_DATABASE
from cdb.stores.query import Document, Query, Sort, matches, sort_documents, sort_values
from cdb.validity import EPOCH, from_microseconds, microseconds, time_stamp

logger = logging.getLogger(__name__)

SCHEME = "lcls1"

# A source that has no number in the table gets one above this, made from its name: it stays the
# same whatever else comes into the tree.
_FIRST_UNKNOWN = 1000
# What the files of a folder have in common, or all lack.
_SHARED = {"ctype", "detector", "seq", "out"}
# What is remembered of files by what the file system says of them.
_MOST_KEPT = 100_000


@dataclass(frozen=True)
class Detector:
    """A source of the tree as the register has it.

    Attributes
    ----------
    short, long : str
        Its names.
    folders : tuple of SourceFolder
        Where its constants lie: that in the group of the source first.
    """

    short: str
    long: str
    folders: tuple[SourceFolder, ...]

    @property
    def source(self) -> str:
        """Return its name in the tree."""
        return self.folders[0].source


class _State(NamedTuple):
    """What the file system says of a file: another file, or other content, says otherwise."""

    inode: int
    nbytes: int
    changed: int  # [ns]


class Lcls1Store(ReadOnlyStore):
    """Documents and bytes in a calibration tree.

    Parameters
    ----------
    calib : Path or str
        The tree; one that is called ``.../<INS>/<exp>/calib`` is that experiment's, any other
        is that of whichever experiment is asked for.
    """

    no_journal = (
        "an LCLS-I tree keeps no journal; `cdb lcls1 check` looks it over, and `cdb import lcls1` "
        "takes it into a store that keeps one"
    )

    def __init__(self, calib: Path | str) -> None:
        self.calib = Path(calib).expanduser().absolute()
        self.url = self.calib.as_uri().replace("file:", f"{SCHEME}:", 1)
        self.experiment = lcls1.experiment_of(self.calib)
        self._fields: dict[tuple[str, str, _State], Document] = {}
        self._records: dict[tuple[str, _State], list[history.Record]] = {}
        self._files: dict[tuple[str, str], tuple[Path, str]] = {}
        self._told: set[Skipped] = set()
        self._lock = threading.Lock()

    @property
    def shares_detectors(self) -> bool:
        """See `Store.shares_detectors`: the files of a tree are one experiment's."""
        return False

    # what there is -----------------------------------------------------------------------------

    def _detectors(self) -> dict[str, Detector]:
        """Return the sources of the tree, by short name."""
        folders: dict[tuple[str, str], list[SourceFolder]] = {}
        for folder in lcls1.walk_sources(self.calib, self._tell):
            long = lcls1_names.long_name(folder.source, folder.group)
            folders.setdefault((long, folder.source), []).append(folder)
        taken: dict[str, set[int]] = {}
        found = {}
        for long, source in sorted(folders, key=lambda pair: (_table_number(*pair) is None, pair)):
            dettype = names.detector_type(long)
            number = _number(long, source, taken.setdefault(dettype, set()))
            short = names.short_name(dettype, number)
            # The tree's own readers look into the group of the source alone.
            good = sorted(folders[long, source], key=lambda f: f.group != group_of(f.source))
            found[short] = Detector(short, long, tuple(good))
        return found

    def _folders(self, detector: Detector) -> list[Folder]:
        """Return where the constants of a detector lie, one folder a type."""
        found: dict[str, Folder] = {}
        for place in detector.folders:
            for folder in lcls1.types_of(place, self._tell):
                found.setdefault(folder.ctype, folder)
        return list(found.values())

    def _tell(self, skipped: Skipped) -> None:
        """Log what is passed over, once."""
        if skipped not in self._told:
            self._told.add(skipped)
            lcls1.warn(skipped)

    def _is_experiments(self, database: str) -> bool:
        """Return whether a database is of an experiment whose tree this is, or may be."""
        name = database.removeprefix(names.PREFIX)
        if name == database or database == REGISTER_DATABASE or names.names_a_detector(name):
            return False
        # Whoever asks a tree whose path does not tell knows whose it is.
        return self.experiment in (name, None)

    def _documents(
        self, database: str, collection: str, query: Query | None = None
    ) -> list[Document]:
        """Return the documents of a collection without what files have to be opened for.

        What a query cannot want need not be among them.
        """
        if database == REGISTER_DATABASE:
            detectors = self._detectors().values()
            return [_entry(d) for d in detectors if names.detector_type(d.short) == collection]
        detector = self._filed(database, collection)
        if detector is None:
            return []
        make = partial(self._document, database, detector)
        wanted = (query or {}).get("ctype")
        found = []
        for folder in self._folders(detector):
            if isinstance(wanted, str) and folder.ctype != wanted:
                continue
            files = self._files_of(folder, must=wanted == folder.ctype)
            states = {file.name: _state_of(file.path) for file in files}
            records = history.standing(self._history(folder.path))
            orders = _orders(files, states, records)
            for file in files:
                name = file.name
                found.append(make(folder, file, states[name], records.get(name), orders[name]))
        return found

    def _filed(self, database: str, collection: str) -> Detector | None:
        """Return the detector whose constants are in a collection; None if nobody's are."""
        if database == names.PREFIX + collection or self._is_experiments(database):
            return self._detectors().get(collection)
        return None

    def _filled(self, database: str, collection: str) -> Iterator[tuple[Folder, list[CalibFile]]]:
        """Yield the folders of a detector that have files, with their files."""
        detector = self._filed(database, collection)
        for folder in self._folders(detector) if detector else ():
            files = self._files_of(folder)
            if files:
                yield folder, files

    def _files_of(self, folder: Folder, *, must: bool = False) -> list[CalibFile]:
        """Return the files of a folder; one that may not be read hides no other.

        Where it alone is asked for, it `must` be read: that nothing is there would be a lie.
        """
        try:
            return lcls1.valid_files(folder.path, self._tell)
        except StoreRefused:
            if must:
                raise
            self._tell(Skipped(folder.path, "may not be read"))
            return []

    def _document(
        self,
        database: str,
        detector: Detector,
        folder: Folder,
        file: CalibFile,
        state: _State,
        record: history.Record | None,
        order: int,
    ) -> Document:
        told = record.fields if record else {}
        is_own = database == names.PREFIX + detector.short
        experiment = self.experiment if is_own else database.removeprefix(names.PREFIX)
        id_data = self._remember(database, file.path, folder.ctype, state)
        # Of documents, psana takes the time from the identifier.
        make_id = partial(_identifier, order // 1_000_000)
        own_id = make_id(database, os.fspath(file.path), state)
        copied: tuple[str | int, str | int] = (0, 0)
        if is_own and self.experiment:
            other = make_id(names.PREFIX + self.experiment, os.fspath(file.path), state)
            copied = other, id_data
        time = from_microseconds(order)
        unit = contents.unit_of(names.detector_type(detector.short), folder.ctype)
        run = told.get("run", "")
        return {
            "_id": own_id,
            "experiment": experiment or NO_EXPERIMENT,
            "run": file.runs.begin,
            "run_end": file.runs.text_end,
            "end": file.runs.stored_end,
            "detector": detector.short,
            "ctype": folder.ctype,
            "time_sec": order // 1_000_000,
            "time_stamp": time_stamp(time),
            "version": DEFAULT_VERSION,
            "comment": (record.comment if record else "") or DEFAULT_COMMENT,
            "uid": told.get("user", ""),
            "host": told.get("host", ""),
            "cwd": told.get("cwd", ""),
            "detname": detector.source,
            "longname": detector.long,
            "shortname": detector.short,
            "dettype": names.detector_type(detector.short),
            "run_orig": int(run) if run.isdecimal() and len(run) < 16 else 0,
            "tstamp_orig": "",
            "iofname": told.get("copy_of", ""),
            "extpars": json.dumps({"history": dict(told)}),
            "id_data": id_data,
            "id_doc_exp": copied[0],
            "id_data_exp": copied[1],
            "order": order,
            "schema": SCHEMA,
            "file": os.fsencode(file.path).decode("utf-8", "backslashreplace"),
            "group": folder.group,
            "history": dict(told),
            **({"unit": unit} if unit else {}),
        }

    def _remember(self, database: str, path: Path, ctype: str, state: _State) -> str:
        """Return the identifier of a file's bytes in a state, and remember whose it is."""
        made = _identifier(state.changed // 10**9, os.fspath(path), ctype, state)
        with self._lock:
            if len(self._files) >= _MOST_KEPT:
                self._files.clear()
            self._files[database, made] = path, ctype
        return made

    def _completed(self, database: str, document: Document) -> Document:
        """Return a constant's document with what its file begins with."""
        if database == REGISTER_DATABASE:
            return document
        return {**document, **self._begins(*self._file(database, document["id_data"]))}

    def _begins(self, path: Path, ctype: str) -> Document:
        """Return what a file's document says of what it begins with."""
        key = os.fspath(path), ctype, _state_of(path)
        if key not in self._fields:
            if len(self._fields) >= _MOST_KEPT:
                self._fields.clear()
            self._fields[key] = _content(path, ctype)
        return self._fields[key]

    def _history(self, folder: Path) -> list[history.Record]:
        """Return the records of a folder; none if it has no HISTORY that can be read."""
        path = folder / history.NAME
        state = _state_of(path)
        key = os.fspath(path), state
        if key not in self._records:
            if len(self._records) >= _MOST_KEPT:
                self._records.clear()
            self._records[key] = _read_history(folder)
        return self._records[key]

    # documents ---------------------------------------------------------------------------------

    def _find(
        self, database: str, collection: str, query: Query, sort: Sort, limit: int
    ) -> Iterator[Document]:
        documents = self._documents(database, collection, query)
        if _asks_for_content(query) or any(_is_content(name) for name, _ in sort):
            documents = [self._completed(database, document) for document in documents]
        found = sort_documents((d for d in documents if matches(query, d)), sort)
        # One by one: of what nobody looks at, no file is opened.
        return map(partial(self._completed, database), found[: limit or None])

    def _rows(
        self,
        database: str,
        collection: str,
        fields: Sequence[str],
        query: Query,
        sort: Sort,
        limit: int,
    ) -> list[tuple[Any, ...]]:
        if any(map(_is_content, fields)) or _asks_for_content(query):
            return super()._rows(database, collection, fields, query, sort, limit)
        documents = self._documents(database, collection, query)
        found = sort_documents((d for d in documents if matches(query, d)), sort)
        return [tuple(d.get(name) for name in fields) for d in found[: limit or None]]

    def distinct(
        self, database: str, collection: str, field: str, query: Query | None = None
    ) -> list[Any]:
        """See `Store.distinct`."""
        if field == "ctype" and _asked(query or {}) <= _SHARED:
            # Asked of each detector, to list them: the files themselves need not be looked at.
            samples = [
                {"ctype": folder.ctype, "detector": collection}
                for folder, _ in self._filled(database, collection)
            ]
            return sort_values({one["ctype"] for one in samples if matches(query or {}, one)})
        rows = self.rows(
            database, collection, (field,), {**(query or {}), field: {"$exists": True}}
        )
        return sort_values({value for (value,) in rows})

    def count(self, database: str, collection: str) -> int:
        """See `Store.count`."""
        if database == REGISTER_DATABASE:
            return len(self._documents(database, collection))
        return sum(len(files) for _, files in self._filled(database, collection))

    def databases(self) -> list[str]:
        """See `Store.databases`."""
        own = [names.PREFIX + short for short in self._detectors()]
        mine = [names.PREFIX + self.experiment] if self.experiment and own else []
        return sorted([*own, *mine, *([REGISTER_DATABASE] if own else [])])

    def collections(self, database: str) -> list[str]:
        """See `Store.collections`."""
        shorts = self._detectors()
        if database == REGISTER_DATABASE:
            return sorted({names.detector_type(short) for short in shorts})
        if self._is_experiments(database):
            return sorted(shorts)
        short = database.removeprefix(names.PREFIX)
        return [short] if short in shorts and short != database else []

    # bytes -------------------------------------------------------------------------------------

    def read(
        self,
        database: str,
        blob_id: str,
        *,
        sha256: str | None = None,
        progress: Progress | None = None,
    ) -> bytes | memoryview:
        """See `Store.read`: what the file holds, encoded.

        Raises
        ------
        BadFile
            If the file cannot be read; the sentence says why.
        WrongState
            If it was replaced since its document was read.
        """
        path, ctype = self._file(database, blob_id)
        self._check_unchanged(path, ctype, blob_id)
        try:
            data = contents.read(path, ctype)
            told = contents.fields_of(path, ctype)
        finally:
            # Half of one content and half of another make an error, or worse, none.
            self._check_unchanged(path, ctype, blob_id)
        encoded = payload.encode(data)
        wrong = [n for n in ("data_dtype", "data_shape") if encoded.fields.get(n) != told.get(n)]
        if wrong:
            raise BadFile(
                f"{path}: its header is not at its beginning: read as a whole it holds "
                f"{payload.describe(data)}"
            )
        if progress:
            progress(memoryview(encoded.data).nbytes)
        return encoded.data

    def _file(self, database: str, blob_id: str) -> tuple[Path, str]:
        known = self._files.get((database, blob_id))
        if known is None:
            # Another process was told the identifier, or it was forgotten.
            for collection in self.collections(database):
                self._documents(database, collection)
            known = self._files.get((database, blob_id))
        if known is None:
            raise NotFound(
                f"no bytes {blob_id} in {database}: no file in {self.calib} has them now"
            )
        return known

    def _check_unchanged(self, path: Path, ctype: str, blob_id: str) -> None:
        state = _state_of(path)
        if _identifier(state.changed // 10**9, os.fspath(path), ctype, state) != blob_id:
            raise WrongState(f"{path} was changed while it was read; ask again")

    def blob(self, database: str, blob_id: str) -> Blob | None:
        """See `Store.blob`; of a file that cannot be read, the error says why."""
        try:
            path, ctype = self._file(database, blob_id)
        except NotFound:
            return None
        self._check_unchanged(path, ctype, blob_id)
        nbytes = self._begins(path, ctype).get("nbytes")
        if nbytes is None:
            nbytes = memoryview(self.read(database, blob_id)).nbytes
        return Blob(blob_id, nbytes, None, None, float(int(blob_id[:8], 16)))

    def blobs(self, database: str) -> Iterator[Blob]:
        """See `Store.blobs`."""
        for collection in self.collections(database):
            for document in self._documents(database, collection):
                with suppress(CalibError):
                    found = self.blob(database, str(document.get("id_data")))
                    if found is not None:
                        yield found

    # writing -----------------------------------------------------------------------------------

    def _refuse(self) -> NoReturn:
        raise StoreRefused(
            f"{self.calib} is an LCLS-I tree, which is only read as a store: `cdb lcls1 deploy` "
            "puts a file into it, `cdb import lcls1` takes it into a store that can be written to"
        )

    # the store itself --------------------------------------------------------------------------

    def describe(self) -> str:
        """See `Store.describe`."""
        if not self.calib.is_dir():
            return f"{self.url} (an LCLS-I tree; no such folder)"
        whose = f" of experiment {self.experiment}" if self.experiment else ""
        return f"{self.url} (an LCLS-I tree{whose}, read-only)"


# In common -------------------------------------------------------------------------------------


def _state_of(path: Path) -> _State:
    """Return what the file system says of a file; nothing of one that is not there."""
    try:
        found = path.stat()
    except OSError:
        return _State(0, 0, 0)
    return _State(found.st_ino, found.st_size, max(found.st_mtime_ns, 0))


def _identifier(second: int, *parts: object) -> str:
    """Return 24 hexadecimal digits: a second, and what tells these parts from all others."""
    digest = hashlib.sha256(os.fsencode("\0".join(map(str, parts)))).hexdigest()
    return f"{second & 0xFFFFFFFF:08x}{digest[:16]}"


def _content(path: Path, ctype: str) -> Document:
    """Return what a document says of its payload."""
    fields: Document = dict(contents.fields_of(path, ctype))
    dtype = {"ndarray": "ndarray", "str": "txt"}.get(fields["data_type"], "json")
    length = {}
    if dtype == "txt":
        length = {"nbytes": _state_of(path).nbytes}
    elif "data_size" in fields:
        itemsize = dtype_of(fields["data_dtype"]).itemsize
        length = {"nbytes": int(fields["data_size"]) * itemsize}
    return {"dtype": dtype, **fields, **length}


def _read_history(folder: Path) -> list[history.Record]:
    """Return the records of a folder; where they cannot be read, its files still are."""
    try:
        return lcls1.read_history(folder)
    except BadFile as error:
        logger.warning("%s", error)
        return []


def _orders(
    files: Sequence[CalibFile],
    states: Mapping[str, _State],
    records: Mapping[str, history.Record],
) -> dict[str, int]:
    """Return when each file was put there [us]; of the same runs, later for the one that is taken.

    Files come as `lcls1.valid_files` has them: the one that is taken first.
    """
    orders: dict[str, int] = {}
    taken: dict[object, int] = {}
    for file in reversed(files):
        record = records.get(file.name)
        time = record.time if record else None
        order = states[file.name].changed // 1000 if time is None else microseconds(time)
        order = max(order, taken.get(file.runs, 0) + 1)
        orders[file.name] = taken[file.runs] = order
    return orders


def _table_number(long: str, source: str) -> int | None:
    """Return the number of a source in the table, from 1; None if it has none."""
    number = long.removesuffix(f"_{source}").partition("_")[2]
    return int(number) + 1 if number else None


def _number(long: str, source: str, taken: set[int]) -> int:
    """Return the number of a source's short name, and take it."""
    number = _table_number(long, source)
    if number is None:
        width = names.LAST_NUMBER - _FIRST_UNKNOWN
        number = _FIRST_UNKNOWN + zlib.crc32(long.encode()) % width
        while number in taken:
            number = number + 1 if number < names.LAST_NUMBER else _FIRST_UNKNOWN
    taken.add(number)
    return number


def _entry(detector: Detector) -> Document:
    """Return a detector's document in the register."""
    return {
        "_id": _identifier(0, detector.long),
        "long": detector.long,
        "short": detector.short,
        "seqnumber": names.sequence_number(detector.short),
        "uid": "",
        "host": "",
        "cwd": "",
        "time_sec": 0,
        "time_stamp": time_stamp(EPOCH),
    }


def _is_content(field: str) -> bool:
    return field in ("dtype", "nbytes") or field.startswith("data_")


def _asks_for_content(query: Query) -> bool:
    return any(map(_is_content, _asked(query)))


def _asked(query: Query) -> set[str]:
    """Return the fields that a query looks at."""
    found: set[str] = set()
    for name, condition in query.items():
        if name in ("$and", "$or"):
            found = found.union(*map(_asked, condition))
        else:
            found.add(name.partition(".")[0])
    return found
