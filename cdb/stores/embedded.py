"""A store in one folder, no server: SQLite for documents, one file per payload.

::

    folder/documents.sqlite          documents and the records of payloads (WAL mode)
    folder/payloads/ab/abcd...       one file per payload, named by its sha256
    folder/payloads/.writers         the lock that writers of payloads share

A payload is written beside its place, synced and moved there; files are never rewritten, so a
reader may keep one mapped for as long as it likes.
"""

import contextlib
import errno
import fcntl
import functools
import hashlib
import itertools
import json
import mmap
import os
import re
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cdb.errors import (
    CalibError,
    Corrupt,
    Duplicate,
    NotFound,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
)
from cdb.stores import forks
from cdb.stores.base import Blob, Progress, Store, new_id
from cdb.stores.layout import (
    COLUMNS,
    CONSTANT_INDEXES,
    JOURNAL_INDEXES,
    REGISTER_INDEXES,
)
from cdb.stores.query import (
    Document,
    Query,
    Sort,
    check_query,
    kind,
    matches,
    sort_documents,
    sort_values,
)

VERSION = 2  # 2: the index of nonces
BUSY_SECONDS = 60
BLOCK = 8 * 2**20
# What SQLite's shared memory and the begin of a log take.
SHARED_BYTES = 2**16
# Reading a small file is quicker than mapping it.
MAPPED_FROM = 2**20

# Of connections, so that a new one is never taken for an old one.
_NUMBERS = itertools.count()

_ORDERINGS = {"$lt": "<", "$lte": "<=", "$gt": ">", "$gte": ">="}


class EmbeddedStore(Store):
    """Documents and bytes in a folder.

    Parameters
    ----------
    folder : Path or str
        Made when something is first written.

    Raises
    ------
    StoreRefused
        If the folder cannot be read, or was made by a newer version.
    """

    transactional = True

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder).expanduser().absolute()
        self.url = self.folder.as_uri()
        self.path = self.folder / "documents.sqlite"
        self._payloads = str(self.folder / "payloads")
        self._local = threading.local()
        self._places: dict[tuple[str, str], int] = {}
        self._conditions: dict[tuple[object, ...], tuple[str, bool]] = {}
        with _translated(self.folder):
            is_in_the_way = self.folder.exists() and not self.folder.is_dir()
        if is_in_the_way:
            raise StoreRefused(f"{self.folder} is not a folder; give one that is, or a new name")

    # connections -------------------------------------------------------------------------------

    def _connection(self) -> sqlite3.Connection | None:
        """Return this thread's connection, None while the store holds nothing."""
        connection: forks.Connection | None = getattr(self._local, "connection", None)
        if connection is not None and not connection.closed and self._local.pid == os.getpid():
            if self._local.frozen is None or self._local.frozen == self._stamp():
                return connection
            self.close()
        with _translated(self.folder):
            # An empty file was left by a writer that found no room, and holds nothing.
            there = self.path.exists() and self.path.stat().st_size > 0
        return self._connect() if there else None

    def _stamp(self) -> tuple[bool, int, int]:
        """Return whether a writer is at work, and what changes when one was."""
        status = self.path.stat()
        return self._is_logged(), status.st_mtime_ns, status.st_size

    def _is_logged(self) -> bool:
        """Return whether there is a log, which holds what the file alone does not."""
        try:
            return self.path.with_name(self.path.name + "-wal").stat().st_size > 0
        except FileNotFoundError:
            return False

    def _connect(self) -> sqlite3.Connection:
        with _translated(self.folder):
            if forks.crossed(self.path):
                raise StoreRefused(
                    f"{self.folder} was in use when this process was forked; start processes "
                    "with 'spawn' or 'forkserver', or fork when no thread is using the store"
                )
            # Who may not write cannot make the files that readers and writers share, and nobody
            # can on a full disk. While there is no log, no writer is at work and the file alone
            # is whole; it is opened anew as soon as that changes.
            alone = not os.access(self.folder, os.W_OK) and not self._is_logged()
            frozen = self._stamp() if alone else None
            try:
                connection, version = self._opened(alone=alone)
            except sqlite3.OperationalError:
                if alone or self._is_logged() or not _is_full(self.folder):
                    raise
                frozen = self._stamp()
                connection, version = self._opened(alone=True)
            if version > VERSION:
                raise StoreRefused(
                    f"{self.folder} was made by a newer cdb (layout {version}, this one knows "
                    f"{VERSION}); install that version"
                )
            # Who may only read does without the indexes of a later layout.
            if version == 0 or (version < VERSION and not alone and _writable(self.path)):
                _make_tables(connection)
        self._local.connection, self._local.depth = connection, 0
        self._local.number = next(_NUMBERS)
        self._local.frozen = frozen
        self._local.sweeping = False
        self._local.pid = os.getpid()
        return connection

    def _opened(self, *, alone: bool) -> tuple[sqlite3.Connection, int]:
        """Return a connection and the layout's version, read from the file alone if asked to."""
        connection = sqlite3.connect(
            f"{self.path.as_uri()}{'?immutable=1' if alone else ''}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            factory=forks.Connection,
        )
        try:
            connection.execute("PRAGMA query_only = ON" if not _writable(self.path) else "SELECT 1")
            connection.execute("PRAGMA mmap_size = 268435456")
            return connection, connection.execute("PRAGMA user_version").fetchone()[0]
        except BaseException:
            connection.close()
            raise

    def _writing(self) -> sqlite3.Connection:
        connection = self._connection()
        if connection is None:
            with _translated(self.folder):
                self._make()
            connection = self._connect()
        elif self._local.frozen and not self._local.depth and os.access(self.folder, os.W_OK):
            # The disk was full when this was opened; it may not be any more.
            self.close()
            connection = self._connect()
        return connection

    def _make(self) -> None:
        """Make the store: whole, or nothing is left of it."""
        missing = [folder for folder in (self.folder, *self.folder.parents) if not folder.exists()]
        beside = self.folder / f".{uuid.uuid4().hex}.sqlite"
        try:
            try:
                self.payloads.mkdir(parents=True, exist_ok=True)
            except FileNotFoundError as error:
                raise StoreRefused(f"{error.filename} cannot be made") from error
            try:
                beside.touch()
                connection = sqlite3.connect(beside, isolation_level=None, factory=forks.Connection)
                with contextlib.closing(connection):
                    _make_tables(connection)
                # If another process was first, its file is used; if no file may have two names,
                # one is made in its place.
                with contextlib.suppress(OSError):
                    os.link(beside, self.path)
                _sync_folder(self.folder)
            finally:
                for ending in ("", "-wal", "-shm", "-journal"):
                    beside.with_name(beside.name + ending).unlink(missing_ok=True)
        except BaseException:
            for folder in (self.payloads, *missing):
                with contextlib.suppress(OSError):  # another process uses it
                    folder.rmdir()
            raise

    @property
    def payloads(self) -> Path:
        """The folder of the payloads."""
        return self.folder / "payloads"

    def _place(self, database: str, collection: str, *, make: bool = False) -> int | None:
        place = self._places.get((database, collection))
        if place is not None:
            return place
        connection = self._writing() if make else self._connection()
        if connection is None:
            return None
        with _translated(self.folder):
            if make:
                connection.execute(
                    "INSERT OR IGNORE INTO places (database, collection) VALUES (?, ?)",
                    (database, collection),
                )
            row = connection.execute(
                "SELECT id FROM places WHERE database = ? AND collection = ?",
                (database, collection),
            ).fetchone()
        if row is None:
            return None
        # A place made inside a transaction that fails is unknown again.
        if not self._local.depth:
            self._places[database, collection] = row[0]
        return int(row[0])

    # documents ---------------------------------------------------------------------------------

    def _condition(self, query: Query, sort: Sort = ()) -> tuple[str, list[Any], bool]:
        """Translate a query; the text of one that differs only in values is kept."""
        first = sort[0][0] if sort else None
        shape: list[object] = [first]
        values: list[Any] = []
        _flatten(query, shape, values)
        key = tuple(shape)
        if key not in self._conditions:
            where, _, exact = _where(query, first)
            self._conditions[key] = where, exact
        return self._conditions[key][0], values, self._conditions[key][1]

    def _find(
        self, database: str, collection: str, query: Query, sort: Sort, limit: int
    ) -> Iterator[Document]:
        place = self._place(database, collection)
        connection = self._connection()
        if place is None or connection is None:
            return
        where, values, exact = self._condition(query, sort)
        order, sorted_here = _order(tuple(sort))
        sql = f"SELECT body FROM documents WHERE place = ? AND {where}{order}"
        if limit and exact and sorted_here:
            sql += f" LIMIT {limit}"
        with _translated(self.folder):
            cursor = connection.execute(sql, (place, *values))
        documents = _decoded(cursor, self.folder)
        if not exact:
            documents = (document for document in documents if matches(query, document))
        if not sorted_here:
            documents = iter(sort_documents(documents, sort))
        for number, document in enumerate(documents, 1):
            yield document
            if number == limit:
                return

    def _rows(
        self,
        database: str,
        collection: str,
        fields: Sequence[str],
        query: Query,
        sort: Sort,
        limit: int,
    ) -> list[tuple[Any, ...]]:
        place = self._place(database, collection)
        connection = self._connection()
        if place is None or connection is None:
            return []
        where, values, exact = self._condition(query, sort)
        order, sorted_here = _order(tuple(sort))
        columns = _selected(tuple(fields))
        if not (exact and sorted_here and columns):
            return super()._rows(database, collection, fields, query, sort, limit)
        sql = f"SELECT {columns} FROM documents WHERE place = ? AND {where}{order}"
        with _translated(self.folder):
            rows = connection.execute(f"{sql} LIMIT {limit or -1}", (place, *values)).fetchall()
        return [tuple(_from_column(value) for value in row) for row in rows]

    def _columns(
        self, database: str, collection: str, fields: Sequence[str], query: Query
    ) -> dict[str, list[Any]]:
        place = self._place(database, collection)
        connection = self._connection()
        where, values, exact = self._condition(query)
        if place is None or connection is None or not exact or not {*fields} <= _KEPT:
            return super()._columns(database, collection, fields, query)
        # As one text a column, made and read by C alone: a third of the time that rows take.
        arrays = ", ".join(f"json_group_array({_column(name)})" for name in fields)
        sql = f"SELECT {arrays} FROM documents WHERE place = ? AND {where}"
        try:
            with _translated(self.folder):
                texts = connection.execute(sql, (place, *values)).fetchone()
            return {
                name: json.loads(text, parse_float=_refused)
                for name, text in zip(fields, texts, strict=True)
            }
        except (_Inexact, StoreRefused):
            # Truth values are kept as bytes, which JSON cannot say, and fractions it may round.
            return super()._columns(database, collection, fields, query)

    def _insert(
        self,
        database: str,
        collection: str,
        documents: Sequence[Mapping[str, Any]],
        ignore_duplicates: bool,
    ) -> None:
        with self.transaction(), _translated(self.folder):
            connection = self._writing()
            place = self._place(database, collection, make=True)
            clause = "OR IGNORE " if ignore_duplicates else ""
            marks = ", ".join("?" * (len(COLUMNS) + 3))
            sql = f"INSERT {clause}INTO documents (place, id, body, {_COLUMNS}) VALUES ({marks})"
            for document in documents:
                columns = [_to_column(document.get(name)) for name in COLUMNS]
                row = (place, document["_id"], _body(document), *columns)
                try:
                    added = connection.execute(sql, row)
                except sqlite3.IntegrityError:
                    name = f"{database}/{collection}/{document['_id']}"
                    raise Duplicate(f"{name} is there already") from None
                if added.rowcount:
                    _add_parts(connection, added.lastrowid, document)

    def _update(
        self,
        database: str,
        collection: str,
        query: Query,
        set: Mapping[str, Any],  # noqa: A002
        unset: Sequence[str],
    ) -> int:
        if self._place(database, collection) is None:
            return 0
        with self.transaction(), _translated(self.folder):
            connection = self._writing()
            found = list(self._find(database, collection, query, (), 0))
            assigned = ", ".join(f'"{name}" = ?' for name in COLUMNS)
            sql = f"UPDATE documents SET body = ?, {assigned} WHERE place = ? AND id = ?"
            place = self._place(database, collection)
            for document in found:
                document.update(set)
                for name in unset:
                    document.pop(name, None)
                columns = [_to_column(document.get(name)) for name in COLUMNS]
                connection.execute(sql, (_body(document), *columns, place, document["_id"]))
            return len(found)

    def distinct(
        self, database: str, collection: str, field: str, query: Query | None = None
    ) -> list[Any]:
        """See `Store.distinct`."""
        query = query or {}
        check_query(query)
        place = self._place(database, collection)
        where, values, exact = self._condition(query)
        connection = self._connection()
        if place is None or connection is None:
            return []
        if not exact or field not in COLUMNS:
            values = self.columns(database, collection, [field], query)[field]
            return sort_values({value for value in values if value is not None})
        # One step of the index per value, instead of one per document.
        result: list[Any] = []
        smallest = f'SELECT MIN("{field}") FROM documents WHERE place = ? AND {where} AND "{field}"'
        with _translated(self.folder):
            found = connection.execute(f"{smallest} IS NOT NULL", (place, *values)).fetchone()[0]
            while found is not None:
                result.append(_from_column(found))
                found = connection.execute(f"{smallest} > ?", (place, *values, found)).fetchone()[0]
        return result

    def count(self, database: str, collection: str) -> int:
        """See `Store.count`."""
        place, connection = self._place(database, collection), self._connection()
        if place is None or connection is None:
            return 0
        with _translated(self.folder):
            sql = "SELECT COUNT(*) FROM documents WHERE place = ?"
            return int(connection.execute(sql, (place,)).fetchone()[0])

    def databases(self) -> list[str]:
        """See `Store.databases`."""
        return self._names(
            "SELECT DISTINCT database FROM places"
            " WHERE EXISTS (SELECT 1 FROM documents WHERE place = places.id)"
            " UNION SELECT DISTINCT database FROM uploads ORDER BY 1"
        )

    def collections(self, database: str) -> list[str]:
        """See `Store.collections`."""
        return self._names(
            "SELECT collection FROM places WHERE database = ?"
            " AND EXISTS (SELECT 1 FROM documents WHERE place = places.id) ORDER BY 1",
            database,
        )

    def _names(self, sql: str, *values: str) -> list[str]:
        connection = self._connection()
        if connection is None:
            return []
        with _translated(self.folder):
            return [row[0] for row in connection.execute(sql, values)]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """See `Store.transaction`; one inside another is part of it."""
        connection = self._writing()
        if self._local.depth:
            yield
            return
        with _translated(self.folder):
            connection.execute("BEGIN IMMEDIATE")
        self._local.depth = 1
        try:
            yield
            with _translated(self.folder):
                connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        finally:
            self._local.depth = 0

    # bytes -------------------------------------------------------------------------------------

    def write(
        self,
        database: str,
        data: bytes | memoryview,
        *,
        sha256: str,
        head: int,
        progress: Progress | None = None,
    ) -> str:
        """See `Store.write`."""
        blob = Blob(new_id(), memoryview(data).nbytes, sha256, head, time.time())
        self.put(database, blob, data, progress=progress)
        return blob.id

    def put(
        self,
        database: str,
        blob: Blob,
        data: bytes | memoryview,
        *,
        progress: Progress | None = None,
    ) -> None:
        """See `Store.put`; the name of the file needs a digest, whoever wrote the bytes."""
        connection = self._writing()
        sha256 = blob.sha256 or hashlib.sha256(data).hexdigest()
        with self._payload_lock(fcntl.LOCK_SH), _translated(self.folder):
            self._write_file(self._file(sha256), data, progress)
            # The record needs no sync of its own: the event that names it comes later in the
            # same log, and a power cut that takes the record takes the event too.
            connection.execute("PRAGMA synchronous = NORMAL")
            try:
                connection.execute(
                    "INSERT OR IGNORE INTO uploads (database, id, sha256, nbytes, head, at)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    (database, blob.id, sha256, blob.nbytes, blob.head or 0, blob.at),
                )
            finally:
                connection.execute("PRAGMA synchronous = FULL")

    def _write_file(self, path: Path, data: bytes | memoryview, progress: Progress | None) -> None:
        """Write a payload beside its place, sync it, move it there; whole bytes stay."""
        view = memoryview(data).cast("B") if memoryview(data).nbytes else memoryview(b"")
        if path.exists() and _digest(path) == path.name:
            if progress:
                progress(view.nbytes)
            return
        if not path.parent.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            _sync_folder(path.parent.parent)
        beside = path.parent / f".{uuid.uuid4().hex}.part"
        try:
            with beside.open("xb", buffering=0) as file:
                for start in range(0, view.nbytes, BLOCK):
                    block = view[start : start + BLOCK]
                    written = 0
                    while written < block.nbytes:
                        written += file.write(block[written:])
                    if progress:
                        progress(block.nbytes)
                os.fsync(file.fileno())
            beside.chmod(0o444)
            beside.replace(path)
            _sync_folder(path.parent)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise

    def read(
        self,
        database: str,
        blob_id: str,
        *,
        sha256: str | None = None,
        progress: Progress | None = None,
    ) -> bytes | memoryview:
        """See `Store.read`; large payloads are mapped, read-only."""
        record = self._record(database, blob_id)
        if record is None:
            raise NotFound(f"no bytes {blob_id} in {database}")
        try:
            with _translated(self.folder), open(self._name(record[1]), "rb", buffering=0) as file:
                if os.fstat(file.fileno()).st_size < MAPPED_FROM:
                    return file.read()
                return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except FileNotFoundError:
            raise NotFound(f"the file of payload {record[1]} is gone: run `cdb fsck`") from None

    def blob(self, database: str, blob_id: str) -> Blob | None:
        """See `Store.blob`."""
        record = self._record(database, blob_id)
        if record is None or not self._file(record[1]).exists():
            return None
        return Blob(record[0], record[2], record[1], record[3], record[4])

    def blobs(self, database: str) -> Iterator[Blob]:
        """See `Store.blobs`."""
        connection = self._connection()
        if connection is None:
            return
        sql = "SELECT id, sha256, nbytes, head, at FROM uploads WHERE database = ?"
        with _translated(self.folder):
            records = connection.execute(sql, (database,)).fetchall()
        for record in records:
            yield Blob(record[0], record[2], record[1], record[3], record[4])

    def uploads(self, database: str, sha256: str) -> list[Blob]:
        """See `Store.uploads`."""
        connection = self._connection()
        if connection is None or not self._file(sha256).exists():
            return []
        sql = (
            "SELECT id, nbytes, sha256, head, at FROM uploads"
            " WHERE sha256 = ? AND +database = ? ORDER BY at DESC"
        )
        with _translated(self.folder):
            return [Blob(*row) for row in connection.execute(sql, (sha256, database))]

    def remove(self, database: str, blob_ids: Sequence[str]) -> None:
        """See `Store.remove`; call it inside `sweeping`."""
        connection = self._writing()
        for blob_id in blob_ids:
            record = self._record(database, blob_id)
            if record is None:
                continue
            with _translated(self.folder):
                connection.execute(
                    "DELETE FROM uploads WHERE database = ? AND id = ?", (database, blob_id)
                )
                shared = connection.execute(
                    "SELECT 1 FROM uploads WHERE sha256 = ? LIMIT 1", (record[1],)
                ).fetchone()
                if shared is None:
                    self._file(record[1]).unlink(missing_ok=True)

    @contextmanager
    def sweeping(self) -> Iterator[bool]:
        """See `Store.sweeping`; one inside another is part of it."""
        self._writing()
        if self._local.sweeping:
            yield True
            return
        try:
            with self._payload_lock(fcntl.LOCK_EX | fcntl.LOCK_NB):
                self._local.sweeping = True
                yield True
        except BlockingIOError:
            yield False
        finally:
            self._local.sweeping = False

    def litter(self, older_than: float) -> list[str]:
        """See `Store.litter`: halves of files, and files that no record names."""
        connection = self._connection()
        if connection is None:
            return []
        with _translated(self.folder):
            known = {row[0] for row in connection.execute("SELECT DISTINCT sha256 FROM uploads")}
        found = []
        for path in sorted(self.payloads.glob("*/*")):
            age = _age(path)
            if path.name not in known and age is not None and age >= older_than:
                found.append(str(path.relative_to(self.payloads)))
        return found

    def remove_litter(self, names: Sequence[str]) -> None:
        """See `Store.remove_litter`."""
        for name in names:
            (self.payloads / name).unlink(missing_ok=True)

    def _record(self, database: str, blob_id: str) -> tuple[str, str, int, int, float] | None:
        connection = self._connection()
        if connection is None:
            return None
        sql = "SELECT id, sha256, nbytes, head, at FROM uploads WHERE database = ? AND id = ?"
        with _translated(self.folder):
            record: tuple[str, str, int, int, float] | None = connection.execute(
                sql, (database, blob_id)
            ).fetchone()
        return record

    def _file(self, sha256: str) -> Path:
        return Path(self._name(sha256))

    def _name(self, sha256: str) -> str:
        # On the way of every look-up, where a Path would cost as much as the reading.
        return f"{self._payloads}/{sha256[:2]}/{sha256}"

    @contextmanager
    def _payload_lock(self, how: int) -> Iterator[None]:
        with _translated(self.folder):
            descriptor = os.open(self.payloads / ".writers", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, how)
            yield
        finally:
            # Closing lets go of the lock; a killed process does the same.
            os.close(descriptor)

    # the store itself --------------------------------------------------------------------------

    def stamp(self) -> object | None:
        """See `Store.stamp`; SQLite counts what other connections commit."""
        connection = self._connection()
        if connection is None:
            return None
        try:
            (version,) = connection.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error:
            return None  # whoever asks for what is stored will be told why
        return self._local.number, version, connection.total_changes

    def clock(self) -> float | None:
        """Return the time of the file system, which is another machine's on a network disk.

        None where there is nothing yet, or for who may not write.
        """
        if self._connection() is None:
            return None
        stamp = self.payloads / ".writers"
        try:
            with _translated(self.folder):
                stamp.touch()
                return stamp.stat().st_mtime
        except StoreRefused:
            return None

    def describe(self) -> str:
        """See `Store.describe`."""
        try:
            state = "" if self.path.exists() else " (empty: made at the first add)"
        except OSError:
            state = " (no permission to look into it)"
        return f"{self.url} (embedded, in the folder {self.folder}){state}"

    def close(self) -> None:
        """Close this thread's connection."""
        if getattr(self._local, "pid", None) == os.getpid():
            self._local.connection.close()
        self._local.pid = None


_COLUMNS = ", ".join(f'"{name}"' for name in COLUMNS)


def _make_tables(connection: sqlite3.Connection) -> None:
    _log_ahead(connection)
    connection.execute("BEGIN IMMEDIATE")
    if connection.execute("PRAGMA user_version").fetchone()[0] < VERSION:
        for statement in _schema():
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def _log_ahead(connection: sqlite3.Connection) -> None:
    """Switch to WAL mode, for which SQLite does not wait while another process does the same."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _schema() -> Iterator[str]:
    yield (
        "CREATE TABLE IF NOT EXISTS places (id INTEGER PRIMARY KEY, database TEXT,"
        " collection TEXT, UNIQUE (database, collection))"
    )
    # Columns without a type keep numbers and texts as they are; the body comes last, so that
    # reading columns does not walk over it.
    yield (
        "CREATE TABLE IF NOT EXISTS documents (number INTEGER PRIMARY KEY,"
        f" place INTEGER NOT NULL, id NOT NULL, {_COLUMNS}, body TEXT NOT NULL, UNIQUE (place, id))"
    )
    yield (
        "CREATE TABLE IF NOT EXISTS parts (number INTEGER NOT NULL, name TEXT NOT NULL,"
        " value NOT NULL, PRIMARY KEY (name, value, number)) WITHOUT ROWID"
    )
    yield (
        "CREATE TABLE IF NOT EXISTS uploads (database TEXT NOT NULL, id TEXT NOT NULL,"
        " sha256 TEXT NOT NULL, nbytes INTEGER NOT NULL, head INTEGER NOT NULL, at REAL NOT NULL,"
        " PRIMARY KEY (database, id)) WITHOUT ROWID"
    )
    yield "CREATE INDEX IF NOT EXISTS uploads_by_digest ON uploads (sha256)"
    for index in (*CONSTANT_INDEXES, *JOURNAL_INDEXES, *REGISTER_INDEXES):
        if "." in index.fields[0][0]:
            continue  # table `parts` serves it
        fields = ", ".join(
            f"{_column(name)} {'ASC' if direction > 0 else 'DESC'}"
            for name, direction in index.fields
        )
        first = _column(index.fields[0][0])
        yield (
            f"CREATE INDEX IF NOT EXISTS documents_{index.name} ON documents (place, {fields})"
            f" WHERE {first} IS NOT NULL"
        )


_PARTS = {index.fields[0][0] for index in JOURNAL_INDEXES if "." in index.fields[0][0]}


def _add_parts(
    connection: sqlite3.Connection, number: int | None, document: Mapping[str, Any]
) -> None:
    for name in _PARTS:
        outer, inner = name.split(".")
        for member in document.get(outer) or ():
            if isinstance(member, dict) and kind(member.get(inner)) in (1, 2):
                connection.execute(
                    "INSERT OR IGNORE INTO parts VALUES (?, ?, ?)", (number, name, member[inner])
                )


def _column(name: str) -> str:
    return "id" if name == "_id" else f'"{name}"'


def _to_column(value: object) -> object:
    # Truth values sort after texts on MongoDB, as blobs do in SQLite.
    return bytes([value]) if isinstance(value, bool) else value


def _from_column(value: object) -> object:
    return value != b"\0" if isinstance(value, bytes) else value


def _body(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _decoded(cursor: sqlite3.Cursor, folder: Path) -> Iterator[Document]:
    connection: Any = cursor.connection
    connection.readers += 1
    try:
        while True:
            with _translated(folder):
                bodies = cursor.fetchmany(32)
            if not bodies:
                return
            for (body,) in bodies:
                yield json.loads(body)
    finally:
        connection.readers -= 1


class _Inexact(ValueError):
    """A number that SQLite's JSON may have rounded."""


def _refused(text: str) -> float:
    raise _Inexact(text)


@functools.lru_cache(256)
def _selected(fields: tuple[str, ...]) -> str:
    """Return the columns of fields; nothing if one has none."""
    if not {*fields} <= _KEPT:
        return ""
    return ", ".join(_column(name) for name in fields)


@functools.lru_cache(256)
def _order(sort: tuple[tuple[str, int], ...]) -> tuple[str, bool]:
    """Return the ORDER BY clause, and whether SQLite can do the sort."""
    if not all(name == "_id" or name in COLUMNS for name, _ in sort):
        return "", False
    terms = [f"{_column(name)} {'ASC' if direction > 0 else 'DESC'}" for name, direction in sort]
    return f" ORDER BY {', '.join(terms)}" if terms else "", True


def _flatten(query: Query, shape: list[object], values: list[Any]) -> None:
    """Part a query into what its SQL text depends on and the values, in the order of the text."""
    for name, condition in query.items():
        shape.append(name)
        if name in ("$and", "$or"):
            shape.append(len(condition))
            for part in condition:
                _flatten(part, shape, values)
                shape.append(";")
        elif name in _KEPT:
            if not isinstance(condition, dict):
                condition = {"=": condition}
            for operator, value in condition.items():
                shape.append(operator)
                members = value if operator == "$in" else (value,)
                for member in members:
                    shape.append(member if operator == "$exists" else kind(member))
                    if operator != "$exists" and member is not None:
                        values.append(_to_column(member))
            shape.append(",")
        elif (members := _members(name, condition)) is not None:
            shape.append(len(members))
            values += [name, *members]
        else:
            shape.append(None)


_KEPT = {"_id", *COLUMNS}


def _where(query: Query, first: str | None = None) -> tuple[str, list[Any], bool]:
    """Return a condition that every match fulfils, its values, and whether it is exact.

    `first` is the first field of the sort: a range of another field is kept from SQLite's
    planner (by a ``+``), which would rather use its index and sort all that it finds.
    """
    terms: list[str] = []
    values: list[Any] = []
    exact = True
    for name, condition in query.items():
        if name in ("$and", "$or"):
            parts = [_where(part, first) for part in condition]
            exact = exact and all(part[2] for part in parts)
            joined = (" AND " if name == "$and" else " OR ").join(part[0] for part in parts)
            terms.append(f"({joined})")
            values += [value for part in parts for value in part[1]]
        elif name == "_id" or name in COLUMNS:
            conditions = condition if isinstance(condition, Mapping) else {"=": condition}
            for operator, value in conditions.items():
                hidden = "+" if operator in _ORDERINGS and first not in (None, name) else ""
                term, more = _term(hidden + _column(name), operator, value)
                terms.append(term)
                values += more
        elif (members := _members(name, condition)) is not None:
            within = f"SELECT number FROM parts WHERE name = ? AND {_among('value', len(members))}"
            terms.append(f"number IN ({within})")
            values += [name, *members]
        else:
            exact = False
    return " AND ".join(terms) or "1", values, exact


def _members(name: str, condition: Any) -> Sequence[Any] | None:
    """Return what a field of documents in a list may be; None if table `parts` cannot say."""
    if name not in _PARTS:
        return None
    several = isinstance(condition, Mapping) and condition.keys() == {"$in"}
    members: Sequence[Any] = condition["$in"] if several else [condition]
    return members if all(kind(member) in (1, 2) for member in members) else None


def _among(column: str, number: int) -> str:
    # A chain of OR as long as this may be is more than SQLite takes.
    return f"{column} = ?" if number == 1 else f"{column} IN ({', '.join('?' * number)})"


def _term(column: str, operator: str, value: Any) -> tuple[str, list[Any]]:
    """Translate one condition on a column; a column is NULL only where the field is missing."""
    if operator == "$exists":
        return f"{column} IS {'NOT ' if value else ''}NULL", []
    if operator == "$in":
        given = [_to_column(member) for member in value if member is not None]
        missing = f" OR {column} IS NULL" if None in value else ""
        return f"({_among(column, len(given))}{missing})", given
    if operator in ("=", "$ne"):
        if value is None:
            return f"{column} IS {'NOT ' if operator == '$ne' else ''}NULL", []
        if operator == "$ne":
            return f"{column} IS NOT ?", [_to_column(value)]
        return f"{column} = ?", [_to_column(value)]
    # In SQLite numbers come before texts and texts before blobs; an ordering keeps to its kind.
    term = f"{column} {_ORDERINGS[operator]} ?"
    if isinstance(value, str):
        return f"({term} AND {column} {'< x' if operator in ('$gt', '$gte') else '>= '}'')", [value]
    return (f"({term} AND {column} < '')" if operator in ("$gt", "$gte") else f"({term})"), [value]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _age(path: Path) -> float | None:
    """Return how old a file is [s]; None if a writer has just moved it into place."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return None


def _writable(path: Path) -> bool:
    return os.access(path, os.W_OK) if path.exists() else True


# How SQLite says it where it was a file beside the database that found no room.
_NO_ROOM = re.compile("disk I/O|unable to open|readonly")


def _is_full(folder: Path) -> bool:
    """Return whether a disk has no room for the files that readers and writers share."""
    try:
        disk = os.statvfs(next(path for path in (folder, *folder.parents) if path.exists()))
    except OSError:
        return False  # nobody can tell
    no_names = disk.f_files > 0 and disk.f_favail == 0
    return no_names or disk.f_bavail * disk.f_frsize < SHARED_BYTES


@contextmanager
def _translated(folder: Path) -> Iterator[None]:
    """Say what went wrong with the folder in the words of this package."""
    try:
        yield
    except CalibError:
        raise  # said already; some are errors of the system too
    except sqlite3.OperationalError as error:
        text = str(error)
        if "full" in text or (_NO_ROOM.search(text) and _is_full(folder)):
            raise StoreFull(f"no space left in {folder}: free some, then try again") from error
        if "locked" in text or "busy" in text:
            raise StoreUnavailable(
                f"{folder} is locked by another process for over {BUSY_SECONDS} s; "
                "look for a stopped one (`fuser documents.sqlite`)"
            ) from error
        raise StoreRefused(f"cannot use {folder}: {text}; check its rights and disk") from error
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.IntegrityError):
            raise
        raise Corrupt(
            f"{folder}/documents.sqlite is damaged: {error}; restore it from a copy"
        ) from error
    except PermissionError as error:
        raise StoreRefused(f"no permission to use {error.filename or folder}") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreFull(f"no space left in {folder}: free some, then try again") from error
        if isinstance(error, FileNotFoundError):
            raise
        raise StoreRefused(f"cannot use {error.filename or folder}: {error.strerror}") from error
