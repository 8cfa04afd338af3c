"""A store in a dict: for tests and notebooks; gone with the process."""

import copy
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from cdb.errors import Duplicate, NotFound
from cdb.stores.base import Blob, Progress, Store
from cdb.stores.query import (
    Document,
    Query,
    Sort,
    check_query,
    matches,
    sort_documents,
    sort_values,
)


class MemoryStore(Store):
    """Documents and bytes in dicts.

    Parameters
    ----------
    transactional : bool, optional
        False makes writers go through pending events, as on MongoDB.
    """

    url = "memory://"
    shared = False

    def __init__(self, *, transactional: bool = True) -> None:
        self.transactional = transactional
        self._documents: dict[tuple[str, str], dict[Any, Document]] = {}
        self._blobs: dict[tuple[str, str], tuple[Blob, bytes]] = {}
        self._undo: list[tuple[dict[Any, Document], Any, Document | None]] | None = None
        self._lock = threading.RLock()

    def _find(
        self, database: str, collection: str, query: Query, sort: Sort, limit: int
    ) -> Iterator[Document]:
        with self._lock:
            documents = self._documents.get((database, collection), {})
            wanted = query.get("_id")
            if isinstance(wanted, int | str):
                documents = {wanted: documents[wanted]} if wanted in documents else {}
            found = sort_documents((d for d in documents.values() if matches(query, d)), sort)
            return iter(copy.deepcopy(found[: limit or None]))

    def _insert(
        self,
        database: str,
        collection: str,
        documents: Sequence[Mapping[str, Any]],
        ignore_duplicates: bool,
    ) -> None:
        with self._lock:
            there = self._documents.setdefault((database, collection), {})
            if not ignore_duplicates:
                for document in documents:
                    if document["_id"] in there:
                        raise Duplicate(f"{database}/{collection}/{document['_id']} is there")
            for document in documents:
                if document["_id"] not in there:
                    self._put(there, document["_id"], copy.deepcopy(dict(document)))

    def _update(
        self,
        database: str,
        collection: str,
        query: Query,
        set: Mapping[str, Any],  # noqa: A002
        unset: Sequence[str],
    ) -> int:
        with self._lock:
            there = self._documents.get((database, collection), {})
            found = [document for document in there.values() if matches(query, document)]
            for document in found:
                changed = document | copy.deepcopy(dict(set))
                for name in unset:
                    changed.pop(name, None)
                self._put(there, document["_id"], changed)
            return len(found)

    def _put(self, there: dict[Any, Document], key: object, document: Document) -> None:
        if self._undo is not None:
            self._undo.append((there, key, there.get(key)))
        there[key] = document

    def distinct(
        self, database: str, collection: str, field: str, query: Query | None = None
    ) -> list[Any]:
        """See `Store.distinct`."""
        check_query(query or {})
        found = self._find(database, collection, query or {}, (), 0)
        values = {document[field] for document in found if field in document}
        return sort_values(values)

    def count(self, database: str, collection: str) -> int:
        """See `Store.count`."""
        return len(self._documents.get((database, collection), {}))

    def databases(self) -> list[str]:
        """See `Store.databases`."""
        with self._lock:
            holding = [name for (name, _), documents in self._documents.items() if documents]
            return sorted({*holding, *(name for name, _ in self._blobs)})

    def collections(self, database: str) -> list[str]:
        """See `Store.collections`."""
        with self._lock:
            return sorted(c for (name, c), documents in self._documents.items()
                          if name == database and documents)  # fmt: skip

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """See `Store.transaction`; other threads wait."""
        if not self.transactional:
            yield
            return
        with self._lock:
            undo: list[tuple[dict[Any, Document], Any, Document | None]] = []
            self._undo = undo
            try:
                yield
            except BaseException:
                for there, key, before in reversed(undo):
                    if before is None:
                        del there[key]
                    else:
                        there[key] = before
                raise
            finally:
                self._undo = None

    def put(
        self,
        database: str,
        blob: Blob,
        data: bytes | memoryview,
        *,
        progress: Progress | None = None,
    ) -> None:
        """See `Store.put`."""
        self._blobs[database, blob.id] = blob, bytes(data)
        if progress:
            progress(blob.nbytes)

    def read(
        self,
        database: str,
        blob_id: str,
        *,
        sha256: str | None = None,
        progress: Progress | None = None,
    ) -> bytes | memoryview:
        """See `Store.read`."""
        if (database, blob_id) not in self._blobs:
            raise NotFound(f"no bytes {blob_id} in {database}")
        return self._blobs[database, blob_id][1]

    def blob(self, database: str, blob_id: str) -> Blob | None:
        """See `Store.blob`."""
        entry = self._blobs.get((database, blob_id))
        return entry and entry[0]

    def blobs(self, database: str) -> Iterator[Blob]:
        """See `Store.blobs`."""
        return iter([blob for (name, _), (blob, _) in self._blobs.items() if name == database])

    def remove(self, database: str, blob_ids: Sequence[str]) -> None:
        """See `Store.remove`."""
        for blob_id in blob_ids:
            self._blobs.pop((database, blob_id), None)

    def describe(self) -> str:
        """See `Store.describe`."""
        return "memory:// (in this process; gone when it ends)"
