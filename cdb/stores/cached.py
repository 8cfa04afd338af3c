"""A store around a store: payloads are kept in a folder, everything else is passed on."""

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from cdb.errors import Corrupt
from cdb.stores.base import Blob, Progress, Store
from cdb.stores.cache import Cache, Unusable
from cdb.stores.query import Document, Query, Sort

logger = logging.getLogger(__name__)


class CachedStore(Store):
    """A store whose payloads are read from a local folder where they are there.

    Bytes are asked for there by their digest alone; without one, as a check of the store itself
    reads them, they come from the store.

    Parameters
    ----------
    store : Store
        What is cached.
    cache : Cache
        The folder.
    """

    verifies = True

    def __init__(self, store: Store, cache: Cache) -> None:
        self.store = store
        self.cache = cache
        self.url = store.url
        self.shared = store.shared
        self.transactional = store.transactional
        self.local = store.local

    def read(
        self,
        database: str,
        blob_id: str,
        *,
        sha256: str | None = None,
        progress: Progress | None = None,
    ) -> bytes | memoryview:
        """See `Store.read`; large payloads are mapped, read-only."""
        if sha256 is None:
            return self.store.read(database, blob_id, progress=progress)
        downloaded = False

        def pieces() -> Iterator[bytes | memoryview]:
            nonlocal downloaded
            downloaded = True
            return self.store.pieces(database, blob_id, sha256=sha256, progress=progress)

        try:
            data = self.cache.fetch(sha256, pieces)
        except Unusable as error:
            logger.warning("read without the cache: %s", error)
            return self._read_beside(database, blob_id, sha256, progress)
        if progress and not downloaded:
            progress(memoryview(data).nbytes)
        return data

    def _read_beside(
        self, database: str, blob_id: str, sha256: str, progress: Progress | None
    ) -> bytes | memoryview:
        data = self.store.read(database, blob_id, sha256=sha256, progress=progress)
        if not self.store.verifies and hashlib.sha256(data).hexdigest() != sha256:
            raise Corrupt(f"the payload {sha256} in {database} is damaged: `cdb fsck --payloads`")
        return data

    def pieces(
        self,
        database: str,
        blob_id: str,
        *,
        sha256: str | None = None,
        progress: Progress | None = None,
    ) -> Iterator[bytes | memoryview]:
        """See `Store.pieces`; they come from the store."""
        return self.store.pieces(database, blob_id, sha256=sha256, progress=progress)

    # passed on ---------------------------------------------------------------------------------

    def _find(
        self, database: str, collection: str, query: Query, sort: Sort, limit: int
    ) -> Iterator[Document]:
        return self.store._find(database, collection, query, sort, limit)

    def _rows(
        self,
        database: str,
        collection: str,
        fields: Sequence[str],
        query: Query,
        sort: Sort,
        limit: int,
    ) -> list[tuple[Any, ...]]:
        return self.store._rows(database, collection, fields, query, sort, limit)

    def _columns(
        self, database: str, collection: str, fields: Sequence[str], query: Query
    ) -> dict[str, list[Any]]:
        return self.store._columns(database, collection, fields, query)

    def _insert(
        self,
        database: str,
        collection: str,
        documents: Sequence[Mapping[str, Any]],
        ignore_duplicates: bool,
    ) -> None:
        self.store._insert(database, collection, documents, ignore_duplicates)

    def _update(
        self,
        database: str,
        collection: str,
        query: Query,
        set: Mapping[str, Any],  # noqa: A002
        unset: Sequence[str],
    ) -> int:
        return self.store._update(database, collection, query, set, unset)

    def distinct(
        self, database: str, collection: str, field: str, query: Query | None = None
    ) -> list[Any]:
        """See `Store.distinct`."""
        return self.store.distinct(database, collection, field, query)

    def count(self, database: str, collection: str) -> int:
        """See `Store.count`."""
        return self.store.count(database, collection)

    def databases(self) -> list[str]:
        """See `Store.databases`."""
        return self.store.databases()

    def collections(self, database: str) -> list[str]:
        """See `Store.collections`."""
        return self.store.collections(database)

    def prepare(self, database: str, collection: str) -> None:
        """See `Store.prepare`."""
        self.store.prepare(database, collection)

    def transaction(self) -> AbstractContextManager[None]:
        """See `Store.transaction`."""
        return self.store.transaction()

    def write(
        self,
        database: str,
        data: bytes | memoryview,
        *,
        sha256: str,
        head: int,
        progress: Progress | None = None,
    ) -> str:
        """See `Store.write`; what is written here is cached when it is read."""
        return self.store.write(database, data, sha256=sha256, head=head, progress=progress)

    def put(
        self,
        database: str,
        blob: Blob,
        data: bytes | memoryview,
        *,
        progress: Progress | None = None,
    ) -> None:
        """See `Store.put`."""
        self.store.put(database, blob, data, progress=progress)

    def blob(self, database: str, blob_id: str) -> Blob | None:
        """See `Store.blob`."""
        return self.store.blob(database, blob_id)

    def blobs(self, database: str) -> Iterator[Blob]:
        """See `Store.blobs`."""
        return self.store.blobs(database)

    def uploads(self, database: str, sha256: str) -> list[Blob]:
        """See `Store.uploads`."""
        return self.store.uploads(database, sha256)

    def remove(self, database: str, blob_ids: Sequence[str]) -> None:
        """See `Store.remove`."""
        self.store.remove(database, blob_ids)

    def sweeping(self) -> AbstractContextManager[bool]:
        """See `Store.sweeping`."""
        return self.store.sweeping()

    def litter(self, older_than: float) -> list[str]:
        """See `Store.litter`."""
        return self.store.litter(older_than)

    def remove_litter(self, names: Sequence[str]) -> None:
        """See `Store.remove_litter`."""
        self.store.remove_litter(names)

    def stamp(self) -> object | None:
        """See `Store.stamp`."""
        return self.store.stamp()

    def clock(self) -> float | None:
        """See `Store.clock`."""
        return self.store.clock()

    def describe(self) -> str:
        """See `Store.describe`."""
        return self.store.describe()

    def close(self) -> None:
        """See `Store.close`."""
        self.store.close()
