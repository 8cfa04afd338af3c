"""A store on a MongoDB server, through pymongo, in the layout of gridfs.

Documents and GridFS buckets are laid out as LCLS-II's own programs lay them out, so that these
read what is written here. Writes are acknowledged by a majority and journaled; reads go to the
primary and see what a majority has.
"""

import datetime
import logging
import math
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pymongo
from bson import ObjectId
from bson.errors import InvalidDocument
from bson.int64 import Int64
from pymongo import errors, monitoring
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.uri_parser import parse_uri
from pymongo.write_concern import WriteConcern

from cdb.errors import (
    BadDocument,
    BadName,
    CalibError,
    Duplicate,
    NotFound,
    OutcomeUnknown,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
)
from cdb.stores.base import Blob, Progress, Store, new_id
from cdb.stores.layout import FILE_INDEXES, Index
from cdb.stores.query import Document, Query, Sort, check_query, sort_values

logger = logging.getLogger(__name__)

# A user waits at most 5 s for "the server is down".
SELECTION_SECONDS = 3
SOCKET_SECONDS = 300
CHUNK = 255 * 1024  # the default of GridFS, and so what psana's server writes
MESSAGE = 32 * 2**20  # a command may hold 48 MB
BATCH = 1000

DUPLICATE_KEY = 11000
DIFFERS_IN_CASE = 13297
REFUSED = {13, 18, 8000}  # Unauthorized, AuthenticationFailed, Atlas
NO_SPACE = {14031}


class MongoStore(Store):
    """Documents and bytes on a MongoDB server.

    Parameters
    ----------
    url : str
        ``mongodb://...``, with what the server wants in it (user, replica set, TLS).
    client : callable, optional
        Makes the client instead of `pymongo.MongoClient`; for tests.

    Raises
    ------
    BadName
        If the address cannot be understood.
    """

    local = False

    def __init__(self, url: str, *, client: Callable[..., Any] | None = None) -> None:
        self.url = url
        try:
            nodes = parse_uri(url, warn=False)["nodelist"] if client is None else []
        except (errors.InvalidURI, errors.ConfigurationError, ValueError) as error:
            raise BadName(
                f"the address is no MongoDB address: {error}; write mongodb://host:27017/"
            ) from None
        # Without user and password: addresses are shown in messages.
        self.address = "mongodb://" + ",".join(f"{host}:{port}" for host, port in nodes)
        self._make = client or pymongo.MongoClient
        self._lock = threading.Lock()
        self._clients: dict[int, Any] = {}
        self._heartbeat = _ClockListener()

    # connections -------------------------------------------------------------------------------

    @property
    def client(self) -> Any:
        """The client of this process: it must not cross a fork."""
        client = self._clients.get(os.getpid())
        if client is None:
            with self._lock:
                client = self._clients.get(os.getpid()) or self._connect()
                self._clients[os.getpid()] = client
        return client

    def _connect(self) -> Any:
        try:
            return self._make(
                self.url,
                appname="cdb",
                serverSelectionTimeoutMS=SELECTION_SECONDS * 1000,
                connectTimeoutMS=SELECTION_SECONDS * 1000,
                socketTimeoutMS=SOCKET_SECONDS * 1000,
                event_listeners=[self._heartbeat],
                tz_aware=True,
            )
        except (errors.ConfigurationError, errors.InvalidURI, ValueError) as error:
            raise BadName(f"the address {self.address} cannot be used: {error}") from None

    def _collection(self, database: str, collection: str) -> Any:
        return self.client.get_database(
            database,
            read_preference=ReadPreference.PRIMARY,
            read_concern=ReadConcern("majority"),
            write_concern=WriteConcern(w="majority", j=True),
        ).get_collection(collection)

    @contextmanager
    def _translated(self, *, writes: bool = False) -> Iterator[None]:
        """Say what went wrong with the server in the words of this package."""
        try:
            yield
        except errors.PyMongoError as error:
            raise self._meaning(error, writes) from error
        except (InvalidDocument, OverflowError) as error:
            raise BadDocument(f"the document cannot be stored: {error}") from error

    def _meaning(self, error: errors.PyMongoError, writes: bool) -> CalibError:
        text = str(error).split(", Timeout:")[0].split(", full error")[0]
        text = re.sub(r" \(configured timeouts:[^)]*\)", "", text)
        if isinstance(error, errors.ServerSelectionTimeoutError):
            return StoreUnavailable(
                f"no answer from {self.address}: {text}; check that the server runs, that the "
                "address is right (--url, CDB_URL) and that the network lets you through"
            )
        if isinstance(error, errors.DocumentTooLarge):
            return BadDocument(f"the document is too large for MongoDB: {text}")
        if isinstance(error, errors.WriteConcernError | errors.WTimeoutError) or (
            isinstance(error, errors.AutoReconnect | errors.ConnectionFailure) and writes
        ):
            return OutcomeUnknown(
                f"the answer of {self.address} was lost: {text}; the write may or may not have "
                "happened: ask again, or repeat it (an add repeated is the same add)"
            )
        if isinstance(error, errors.OperationFailure):
            if error.code in REFUSED:
                return StoreRefused(
                    f"{self.address} refuses: {text}; check user, password and rights"
                )
            if error.code in NO_SPACE:
                return StoreFull(f"{self.address} has no space left: {text}")
            if error.code == DIFFERS_IN_CASE:
                return BadName(f"{self.address}: {text}")
        return StoreUnavailable(f"{self.address} failed: {text}")

    # documents ---------------------------------------------------------------------------------

    def _find(
        self, database: str, collection: str, query: Query, sort: Sort, limit: int
    ) -> Iterator[Document]:
        for document in self._cursor(database, collection, query, sort, limit):
            yield {name: _plain(value) for name, value in document.items()}

    def _rows(
        self,
        database: str,
        collection: str,
        fields: Sequence[str],
        query: Query,
        sort: Sort,
        limit: int,
    ) -> list[tuple[Any, ...]]:
        documents = self._cursor(database, collection, query, sort, limit, fields)
        return [tuple(_plain(document.get(name)) for name in fields) for document in documents]

    def _cursor(
        self,
        database: str,
        collection: str,
        query: Query,
        sort: Sort,
        limit: int,
        fields: Sequence[str] | None = None,
    ) -> Iterator[dict[str, Any]]:
        with self._translated():
            cursor = self._collection(database, collection).find(
                _with_ids(query),
                {"_id": False, **dict.fromkeys(fields, True)} if fields else None,
                sort=list(sort) or None,
                # A negative limit asks for one batch: nothing is left open on the server.
                limit=-limit,
                batch_size=limit or BATCH,
            )
            yield from cursor

    def _insert(
        self,
        database: str,
        collection: str,
        documents: Sequence[Mapping[str, Any]],
        ignore_duplicates: bool,
    ) -> None:
        target = self._collection(database, collection)
        converted = [{**document, "_id": _to_id(document["_id"])} for document in documents]
        with self._translated(writes=True):
            try:
                target.insert_many(converted, ordered=not ignore_duplicates)
            except errors.BulkWriteError as error:
                self._judge(error, f"{database}/{collection}", ignore_duplicates)

    def _judge(self, error: errors.BulkWriteError, where: str, ignore_duplicates: bool) -> None:
        """Raise what a failed bulk write means, or nothing where it means no harm."""
        failures = error.details.get("writeErrors", [])
        others = [failure for failure in failures if failure["code"] != DUPLICATE_KEY]
        if others:
            failure = errors.OperationFailure(others[0]["errmsg"], others[0]["code"])
            raise self._meaning(failure, writes=True) from error
        if error.details.get("writeConcernErrors"):
            raise self._meaning(errors.WTimeoutError(str(error)), writes=True) from error
        if failures and not ignore_duplicates:
            raise Duplicate(f"{where}: {failures[0]['errmsg']}") from error

    def _update(
        self,
        database: str,
        collection: str,
        query: Query,
        set: Mapping[str, Any],  # noqa: A002
        unset: Sequence[str],
    ) -> int:
        changes: dict[str, Any] = {"$set": dict(set)} if set else {}
        if unset:
            changes["$unset"] = dict.fromkeys(unset, "")
        with self._translated(writes=True):
            result = self._collection(database, collection).update_many(_with_ids(query), changes)
            return int(result.matched_count)

    def distinct(
        self, database: str, collection: str, field: str, query: Query | None = None
    ) -> list[Any]:
        """See `Store.distinct`."""
        check_query(query or {})
        with self._translated():
            values = self._collection(database, collection).distinct(field, _with_ids(query or {}))
        return sort_values(_plain(value) for value in values)

    def count(self, database: str, collection: str) -> int:
        """See `Store.count`."""
        with self._translated():
            return int(self._collection(database, collection).count_documents({}))

    def databases(self) -> list[str]:
        """See `Store.databases`."""
        with self._translated():
            return sorted(self.client.list_database_names())

    def collections(self, database: str) -> list[str]:
        """See `Store.collections`."""
        with self._translated():
            names = self.client.get_database(database).list_collection_names()
        return sorted(
            name for name in names if name not in FILE_INDEXES and not name.startswith("system.")
        )

    def _make_indexes(self, database: str, collection: str, indexes: Sequence[Index]) -> None:
        with self._translated(writes=True):
            # One at a time: FerretDB 1.24 drops the connection at several in a new collection.
            for index in indexes:
                self._collection(database, collection).create_index(
                    list(index.fields), name=index.name, sparse=index.sparse, unique=index.unique
                )

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
        """See `Store.write`.

        The record goes in before the chunks, unlike in `gridfs`: so a half upload of ours has a
        record with the head it saw, and `fsck` can tell it from another program's.
        """
        view = memoryview(data).cast("B") if memoryview(data).nbytes else memoryview(b"")
        blob_id = ObjectId(new_id())
        record = {
            "_id": blob_id,
            "length": Int64(view.nbytes),
            "chunkSize": CHUNK,
            "uploadDate": datetime.datetime.now(datetime.UTC),
            "sha256": sha256,
            "head": head,
        }
        with self._translated(writes=True):
            self._collection(database, "fs.files").insert_one(record)
            self._write_chunks(database, blob_id, view, progress)
        return str(blob_id)

    def _write_chunks(
        self, database: str, blob_id: Any, view: memoryview, progress: Progress | None
    ) -> None:
        chunks = self._collection(database, "fs.chunks")
        for start in range(0, view.nbytes, MESSAGE // CHUNK * CHUNK):
            message = view[start : start + MESSAGE // CHUNK * CHUNK]
            first = start // CHUNK
            chunks.insert_many(
                {"files_id": blob_id, "n": first + n, "data": bytes(message[at : at + CHUNK])}
                for n, at in enumerate(range(0, message.nbytes, CHUNK))
            )
            if progress:
                progress(message.nbytes)

    def put(
        self,
        database: str,
        blob: Blob,
        data: bytes | memoryview,
        *,
        progress: Progress | None = None,
    ) -> None:
        """See `Store.put`.

        Until the chunks are all there the record says so (`partial`), and `blob` knows none: a
        copy that was killed half-way is made again.
        """
        view = memoryview(data).cast("B") if memoryview(data).nbytes else memoryview(b"")
        blob_id = _to_id(blob.id)
        record = {
            "length": Int64(view.nbytes),
            "chunkSize": CHUNK,
            "uploadDate": datetime.datetime.now(datetime.UTC),
            "partial": True,
        }
        if blob.head is not None:
            record |= {"sha256": blob.sha256, "head": blob.head}
        with self._translated(writes=True):
            files = self._collection(database, "fs.files")
            files.update_one({"_id": blob_id}, {"$set": record}, upsert=True)
            self._collection(database, "fs.chunks").delete_many({"files_id": blob_id})
            self._write_chunks(database, blob_id, view, progress)
            files.update_one({"_id": blob_id}, {"$unset": {"partial": ""}})

    def read(
        self,
        database: str,
        blob_id: str,
        *,
        sha256: str | None = None,
        progress: Progress | None = None,
    ) -> bytes | memoryview:
        """See `Store.read`.

        Chunks are placed by their number, in whatever order they come, a few a message: some
        servers send a whole reply at once, which pymongo then refuses.
        """
        query = {"files_id": _to_id(blob_id)}
        with self._translated():
            record = self._collection(database, "fs.files").find_one({"_id": query["files_id"]})
            if record is None:
                raise NotFound(f"no bytes {blob_id} in {database}")
            if _blob(record) is None:
                raise NotFound(f"the record of {blob_id} in {database} is damaged")
            length, size = int(record["length"]), int(record["chunkSize"])
            result, missing = bytearray(length), length
            chunks = self._collection(database, "fs.chunks").find(
                query, {"_id": False, "n": True, "data": True}, batch_size=MESSAGE // CHUNK // 4
            )
            for chunk in chunks:
                number, data = chunk.get("n"), chunk.get("data")
                start = number * size if isinstance(number, int) and number >= 0 else length
                if not isinstance(data, bytes) or len(data) != min(size, length - start):
                    raise NotFound(f"chunk {number!r:.20} of {blob_id} in {database} is not whole")
                result[start : start + len(data)] = data
                missing -= len(data)
                if progress:
                    progress(len(data))
        if missing:
            raise NotFound(f"{missing} of the {length} bytes {blob_id} in {database} are missing")
        return memoryview(result).toreadonly()

    def part(self, database: str, blob_id: str, start: int, stop: int) -> bytes | memoryview:
        """See `Store.part`."""
        file = {"files_id": _to_id(blob_id)}
        with self._translated():
            record = self._collection(database, "fs.files").find_one({"_id": file["files_id"]})
            if record is None:
                raise NotFound(f"no bytes {blob_id} in {database}")
            size = int(record["chunkSize"])
            first, last = start // size, max(stop - 1, start) // size
            found = self._collection(database, "fs.chunks").find(
                {**file, "n": {"$gte": first, "$lte": last}},
                {"_id": False, "n": True, "data": True},
                batch_size=MESSAGE // CHUNK // 4,
            )
            chunks = {chunk["n"]: chunk["data"] for chunk in found}
        data = b"".join(chunks.get(n, b"") for n in range(first, last + 1))
        data = data[start - first * size : stop - first * size]
        if len(data) != stop - start:
            raise NotFound(f"some of the bytes {blob_id} in {database} are missing")
        return data

    def blob(self, database: str, blob_id: str) -> Blob | None:
        """See `Store.blob`."""
        with self._translated():
            record = self._collection(database, "fs.files").find_one({"_id": _to_id(blob_id)})
        return _blob(record) if record and not record.get("partial") else None

    def blobs(self, database: str) -> Iterator[Blob]:
        """See `Store.blobs`."""
        with self._translated():
            for record in self._collection(database, "fs.files").find(batch_size=BATCH):
                blob = _blob(record)
                if blob is not None:
                    yield blob

    def uploads(self, database: str, sha256: str) -> list[Blob]:
        """See `Store.uploads`."""
        with self._translated():
            found = self._collection(database, "fs.files").find({"sha256": sha256})
            blobs = [blob for blob in map(_blob, found) if blob is not None]
        return sorted(blobs, key=lambda blob: blob.at, reverse=True)

    def remove(self, database: str, blob_ids: Sequence[str]) -> None:
        """See `Store.remove`."""
        with self._translated(writes=True):
            for start in range(0, len(blob_ids), BATCH):
                ids = {"$in": [_to_id(blob_id) for blob_id in blob_ids[start : start + BATCH]]}
                # Chunks first: a record without chunks is found again, chunks alone are not.
                self._collection(database, "fs.chunks").delete_many({"files_id": ids})
                self._collection(database, "fs.files").delete_many({"_id": ids})

    # the store itself --------------------------------------------------------------------------

    def clock(self) -> float | None:
        """Return the primary's time, from the heartbeats that pymongo exchanges anyway."""
        return self._heartbeat.now()

    def describe(self) -> str:
        """See `Store.describe`."""
        return f"{self.address} (a MongoDB server)"

    def close(self) -> None:
        """Close this process's client."""
        client = self._clients.pop(os.getpid(), None)
        if client is not None:
            client.close()


class _ClockListener(monitoring.ServerHeartbeatListener):
    """Remembers the server's `hello.localTime` of the last heartbeat."""

    def __init__(self) -> None:
        self._last: tuple[float, float] | None = None

    def started(self, event: monitoring.ServerHeartbeatStartedEvent) -> None:
        """Nothing to remember."""

    def succeeded(self, event: monitoring.ServerHeartbeatSucceededEvent) -> None:
        """Remember the server's time and when it came."""
        reply = event.reply.document
        local = reply.get("localTime")
        if isinstance(local, datetime.datetime) and reply.get("isWritablePrimary", True):
            if local.tzinfo is None:
                local = local.replace(tzinfo=datetime.UTC)
            self._last = (time.monotonic(), local.timestamp())

    def failed(self, event: monitoring.ServerHeartbeatFailedEvent) -> None:
        """Nothing to remember."""

    def now(self) -> float | None:
        """Return the server's time, as far as it is known."""
        if self._last is None:
            return None
        received, local = self._last
        return local + time.monotonic() - received


def _to_id(value: Any) -> Any:
    if isinstance(value, str) and len(value) == 24 and ObjectId.is_valid(value):
        return ObjectId(value)
    return value


def _with_ids(query: Query) -> dict[str, Any]:
    """Turn the texts of ``_id`` into ObjectIds."""
    result: dict[str, Any] = {}
    for name, condition in query.items():
        if name in ("$and", "$or"):
            result[name] = [_with_ids(part) for part in condition]
        elif name == "_id" and isinstance(condition, Mapping):
            result[name] = {
                operator: [_to_id(v) for v in value] if operator == "$in" else _to_id(value)
                for operator, value in condition.items()
            }
        else:
            result[name] = _to_id(condition) if name == "_id" else condition
    return result


def _plain(value: Any) -> Any:
    """Return a value of BSON as JSON-like Python: ids as hex, times as ISO texts."""
    if value is None or type(value) in (str, int, float, bool):
        return value
    if isinstance(value, dict):
        return {name: _plain(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_plain(member) for member in value]
    if isinstance(value, int):
        return int(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    return value.hex() if isinstance(value, bytes) else str(value)


def _blob(record: Mapping[str, Any]) -> Blob | None:
    """Return what a record says; None where another program wrote one that nobody can read by."""
    length, size, head = (_integer(record.get(name)) for name in ("length", "chunkSize", "head"))
    sha256, when = record.get("sha256"), record.get("uploadDate")
    if length is None or length < 0 or size is None or size < 1:
        logger.warning("bytes %s are not there: their record in fs.files is damaged", record["_id"])
        return None
    return Blob(
        str(record["_id"]),
        length,
        sha256 if isinstance(sha256, str) else None,
        head,
        when.timestamp() if isinstance(when, datetime.datetime) else 0.0,
    )


def _integer(value: Any) -> int | None:
    """Return a number of BSON as an integer, None if it is none."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if is_number and math.isfinite(value) else None
