"""A store around a store: payloads are kept in a folder, everything else is passed on."""

import functools
import hashlib
import logging
from collections.abc import Callable, Iterator
from typing import Concatenate, ParamSpec, TypeVar

from cdb.errors import Corrupt
from cdb.stores.base import Progress, Store
from cdb.stores.cache import Cache, Unusable

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")


def _passed_on(
    method: Callable[Concatenate[Store, P], R],
) -> Callable[Concatenate["CachedStore", P], R]:
    """Return a method that calls the one of the same name of the store within."""
    name = method.__name__

    @functools.wraps(method)
    def call(self: "CachedStore", /, *arguments: P.args, **named: P.kwargs) -> R:
        within: Callable[P, R] = getattr(self.store, name)
        return within(*arguments, **named)

    # What the contract leaves open is closed here.
    call.__isabstractmethod__ = False  # type: ignore[attr-defined]
    return call


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

    # passed on ---------------------------------------------------------------------------------

    _find = _passed_on(Store._find)
    _rows = _passed_on(Store._rows)
    _columns = _passed_on(Store._columns)
    _insert = _passed_on(Store._insert)
    _update = _passed_on(Store._update)
    distinct = _passed_on(Store.distinct)
    count = _passed_on(Store.count)
    databases = _passed_on(Store.databases)
    collections = _passed_on(Store.collections)
    prepare = _passed_on(Store.prepare)
    transaction = _passed_on(Store.transaction)
    write = _passed_on(Store.write)
    put = _passed_on(Store.put)
    pieces = _passed_on(Store.pieces)
    blob = _passed_on(Store.blob)
    blobs = _passed_on(Store.blobs)
    uploads = _passed_on(Store.uploads)
    remove = _passed_on(Store.remove)
    sweeping = _passed_on(Store.sweeping)
    litter = _passed_on(Store.litter)
    remove_litter = _passed_on(Store.remove_litter)
    stamp = _passed_on(Store.stamp)
    clock = _passed_on(Store.clock)
    describe = _passed_on(Store.describe)
    close = _passed_on(Store.close)
