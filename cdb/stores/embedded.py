"""A store in one folder, no server: SQLite for documents, one file per payload.

::

    folder/documents.sqlite          documents and the records of payloads (WAL mode)
    folder/payloads/ab/abcd...       one file per payload, named by its sha256
    folder/payloads/.writers         the lock that writers of payloads share

A payload is written beside its place, synced and moved there; files are never rewritten, so a
reader may keep one mapped for as long as it likes.
"""

import contextlib
import hashlib
import itertools
import json
import os
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cdb.errors import Duplicate, NotFound, StoreRefused
from cdb.stores import forks, tables
from cdb.stores.base import Blob, Progress, Store
from cdb.stores.folders import BUSY_SECONDS, is_full, sync, translated, writable
from cdb.stores.layout import COLUMNS
from cdb.stores.payload_files import PayloadFiles
from cdb.stores.query import (
    Document,
    Query,
    Sort,
    check_query,
    matches,
    sort_documents,
    sort_values,
)
from cdb.stores.sql import (
    COLUMN_LIST,
    KEPT,
    Conditions,
    body_of,
    column,
    from_column,
    order_by,
    selected,
    to_column,
)

# Of connections, so that a new one is never taken for an old one.
_NUMBERS = itertools.count()


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
        self._files = PayloadFiles(self.folder / "payloads")
        self._local = threading.local()
        self._places: dict[tuple[str, str], int] = {}
        self._conditions = Conditions()
        with translated(self.folder):
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
        with translated(self.folder):
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
        with translated(self.folder):
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
                if alone or self._is_logged() or not is_full(self.folder):
                    raise
                frozen = self._stamp()
                connection, version = self._opened(alone=True)
            if version > tables.VERSION:
                raise StoreRefused(
                    f"{self.folder} was made by a newer cdb (layout {version}, this one knows "
                    f"{tables.VERSION}); install that version"
                )
            # Who may only read does without the indexes of a later layout.
            if version == 0 or (version < tables.VERSION and not alone and writable(self.path)):
                tables.make_tables(connection)
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
            connection.execute("PRAGMA query_only = ON" if not writable(self.path) else "SELECT 1")
            connection.execute("PRAGMA mmap_size = 268435456")
            return connection, connection.execute("PRAGMA user_version").fetchone()[0]
        except BaseException:
            connection.close()
            raise

    def _writing(self) -> sqlite3.Connection:
        connection = self._connection()
        if connection is None:
            with translated(self.folder):
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
                    tables.make_tables(connection)
                # If another process was first, its file is used; if no file may have two names,
                # one is made in its place.
                with contextlib.suppress(OSError):
                    os.link(beside, self.path)
                sync(self.folder)
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
        return self._files.folder

    def _place(self, database: str, collection: str, *, make: bool = False) -> int | None:
        place = self._places.get((database, collection))
        if place is not None:
            return place
        connection = self._writing() if make else self._connection()
        if connection is None:
            return None
        with translated(self.folder):
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

    def _find(
        self, database: str, collection: str, query: Query, sort: Sort, limit: int
    ) -> Iterator[Document]:
        place = self._place(database, collection)
        connection = self._connection()
        if place is None or connection is None:
            return
        where, values, exact = self._conditions.of(query, sort)
        order, sorted_here = order_by(tuple(sort))
        sql = f"SELECT body FROM documents WHERE place = ? AND {where}{order}"
        if limit and exact and sorted_here:
            sql += f" LIMIT {limit}"
        with translated(self.folder):
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
        where, values, exact = self._conditions.of(query, sort)
        order, sorted_here = order_by(tuple(sort))
        columns = selected(tuple(fields))
        if not (exact and sorted_here and columns):
            return super()._rows(database, collection, fields, query, sort, limit)
        sql = f"SELECT {columns} FROM documents WHERE place = ? AND {where}{order}"
        with translated(self.folder):
            rows = connection.execute(f"{sql} LIMIT {limit or -1}", (place, *values)).fetchall()
        return [tuple(from_column(value) for value in row) for row in rows]

    def _columns(
        self, database: str, collection: str, fields: Sequence[str], query: Query
    ) -> dict[str, list[Any]]:
        place = self._place(database, collection)
        connection = self._connection()
        where, values, exact = self._conditions.of(query)
        if place is None or connection is None or not exact or not {*fields} <= KEPT:
            return super()._columns(database, collection, fields, query)
        # As one text a column, made and read by C alone: a third of the time that rows take.
        arrays = ", ".join(f"json_group_array({column(name)})" for name in fields)
        sql = f"SELECT {arrays} FROM documents WHERE place = ? AND {where}"
        try:
            with translated(self.folder):
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
        with self.transaction(), translated(self.folder):
            connection = self._writing()
            place = self._place(database, collection, make=True)
            clause = "OR IGNORE " if ignore_duplicates else ""
            marks = ", ".join("?" * (len(COLUMNS) + 3))
            sql = f"INSERT {clause}INTO documents (place, id, body, {COLUMN_LIST}) VALUES ({marks})"
            for document in documents:
                columns = [to_column(document.get(name)) for name in COLUMNS]
                row = (place, document["_id"], body_of(document), *columns)
                try:
                    added = connection.execute(sql, row)
                except sqlite3.IntegrityError:
                    name = f"{database}/{collection}/{document['_id']}"
                    raise Duplicate(f"{name} is there already") from None
                if added.rowcount:
                    tables.add_parts(connection, added.lastrowid, document)

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
        with self.transaction(), translated(self.folder):
            connection = self._writing()
            found = list(self._find(database, collection, query, (), 0))
            assigned = ", ".join(f'"{name}" = ?' for name in COLUMNS)
            sql = f"UPDATE documents SET body = ?, {assigned} WHERE place = ? AND id = ?"
            place = self._place(database, collection)
            for document in found:
                document.update(set)
                for name in unset:
                    document.pop(name, None)
                columns = [to_column(document.get(name)) for name in COLUMNS]
                connection.execute(sql, (body_of(document), *columns, place, document["_id"]))
            return len(found)

    def distinct(
        self, database: str, collection: str, field: str, query: Query | None = None
    ) -> list[Any]:
        """See `Store.distinct`."""
        query = query or {}
        check_query(query)
        place = self._place(database, collection)
        where, values, exact = self._conditions.of(query)
        connection = self._connection()
        if place is None or connection is None:
            return []
        if not exact or field not in COLUMNS:
            values = self.columns(database, collection, [field], query)[field]
            return sort_values({value for value in values if value is not None})
        # One step of the index per value, instead of one per document.
        result: list[Any] = []
        smallest = f'SELECT MIN("{field}") FROM documents WHERE place = ? AND {where} AND "{field}"'
        with translated(self.folder):
            found = connection.execute(f"{smallest} IS NOT NULL", (place, *values)).fetchone()[0]
            while found is not None:
                result.append(from_column(found))
                found = connection.execute(f"{smallest} > ?", (place, *values, found)).fetchone()[0]
        return result

    def count(self, database: str, collection: str) -> int:
        """See `Store.count`."""
        place, connection = self._place(database, collection), self._connection()
        if place is None or connection is None:
            return 0
        with translated(self.folder):
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
        with translated(self.folder):
            return [row[0] for row in connection.execute(sql, values)]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """See `Store.transaction`; one inside another is part of it."""
        connection = self._writing()
        if self._local.depth:
            yield
            return
        with translated(self.folder):
            connection.execute("BEGIN IMMEDIATE")
        self._local.depth = 1
        try:
            yield
            with translated(self.folder):
                connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        finally:
            self._local.depth = 0

    # bytes -------------------------------------------------------------------------------------

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
        with self._files.locked(alone=False), translated(self.folder):
            self._files.write(sha256, data, progress)
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
        return self._files.read(record[1])

    def blob(self, database: str, blob_id: str) -> Blob | None:
        """See `Store.blob`."""
        record = self._record(database, blob_id)
        if record is None or not self._files.path(record[1]).exists():
            return None
        return Blob(record[0], record[2], record[1], record[3], record[4])

    def blobs(self, database: str) -> Iterator[Blob]:
        """See `Store.blobs`."""
        connection = self._connection()
        if connection is None:
            return
        sql = "SELECT id, sha256, nbytes, head, at FROM uploads WHERE database = ?"
        with translated(self.folder):
            records = connection.execute(sql, (database,)).fetchall()
        for record in records:
            yield Blob(record[0], record[2], record[1], record[3], record[4])

    def uploads(self, database: str, sha256: str) -> list[Blob]:
        """See `Store.uploads`."""
        connection = self._connection()
        if connection is None or not self._files.path(sha256).exists():
            return []
        sql = (
            "SELECT id, nbytes, sha256, head, at FROM uploads"
            " WHERE sha256 = ? AND +database = ? ORDER BY at DESC"
        )
        with translated(self.folder):
            return [Blob(*row) for row in connection.execute(sql, (sha256, database))]

    def remove(self, database: str, blob_ids: Sequence[str]) -> None:
        """See `Store.remove`; call it inside `sweeping`."""
        connection = self._writing()
        for blob_id in blob_ids:
            record = self._record(database, blob_id)
            if record is None:
                continue
            with translated(self.folder):
                connection.execute(
                    "DELETE FROM uploads WHERE database = ? AND id = ?", (database, blob_id)
                )
                shared = connection.execute(
                    "SELECT 1 FROM uploads WHERE sha256 = ? LIMIT 1", (record[1],)
                ).fetchone()
                if shared is None:
                    self._files.remove(record[1])

    @contextmanager
    def sweeping(self) -> Iterator[bool]:
        """See `Store.sweeping`; one inside another is part of it."""
        self._writing()
        if self._local.sweeping:
            yield True
            return
        try:
            with self._files.locked(alone=True):
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
        with translated(self.folder):
            known = {row[0] for row in connection.execute("SELECT DISTINCT sha256 FROM uploads")}
        return self._files.litter(known, older_than)

    def remove_litter(self, names: Sequence[str]) -> None:
        """See `Store.remove_litter`."""
        self._files.remove_litter(names)

    def _record(self, database: str, blob_id: str) -> tuple[str, str, int, int, float] | None:
        connection = self._connection()
        if connection is None:
            return None
        sql = "SELECT id, sha256, nbytes, head, at FROM uploads WHERE database = ? AND id = ?"
        with translated(self.folder):
            record: tuple[str, str, int, int, float] | None = connection.execute(
                sql, (database, blob_id)
            ).fetchone()
        return record

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
        return None if self._connection() is None else self._files.clock()

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


def _decoded(cursor: sqlite3.Cursor, folder: Path) -> Iterator[Document]:
    connection: Any = cursor.connection
    connection.readers += 1
    loads: Callable[[str], Document] = json.loads
    try:
        while True:
            with translated(folder):
                bodies = cursor.fetchmany(32)
            if not bodies:
                return
            for (body,) in bodies:
                yield loads(body)
            loads = _quick_loads  # there are many, worth its import
    finally:
        connection.readers -= 1


def _quick_loads(body: str) -> Document:
    """Return a document by orjson, which takes a third of the time."""
    import orjson

    try:
        document: Document = orjson.loads(body)
    except ValueError:  # written past this store: Python takes more
        document = json.loads(body)
    return document


class _Inexact(ValueError):
    """A number that SQLite's JSON may have rounded."""


def _refused(text: str) -> float:
    raise _Inexact(text)
