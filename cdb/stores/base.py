"""The contract of a store: documents and bytes, by name.

A store knows nothing of detectors, runs or arrays. All meaning lives above it, so a new store is
finished when `tests/stores/test_contract.py` passes over it.
"""

import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NoReturn, Self

from cdb.errors import BadQuery, StoreRefused
from cdb.stores.layout import COLUMNS, Index, indexes_of
from cdb.stores.query import Document, Query, Sort, check_document, check_query

Progress = Callable[[int], None]
# A database and a collection in it.
Place = tuple[str, str]


@dataclass(frozen=True)
class Blob:
    """The record of some stored bytes.

    Attributes
    ----------
    id : str
        Hexadecimal, 24 digits; `id_data` in documents.
    nbytes : int
        Length [bytes].
    sha256 : str or None
        Digest; None where another program wrote the bytes.
    head : int or None
        The head of the journal that the writer saw; None where another program wrote the bytes.
    at : float
        Time of the upload [Unix seconds].
    """

    id: str
    nbytes: int
    sha256: str | None
    head: int | None
    at: float


def new_id(microseconds: int | None = None) -> str:
    """Return a new identifier in the form of a MongoDB ObjectId, 24 hexadecimal digits.

    The first 4 bytes are the second, as MongoDB's own programs expect, the next 3 the
    microsecond within it, so that identifiers sort by their time; the last 5 are random.

    Parameters
    ----------
    microseconds : int, optional
        Unix time [us]; now if absent.

    Examples
    --------
    >>> new_id(1_633_075_200_000_007)[:14]
    '6156c000000007'
    """
    if microseconds is None:
        microseconds = time.time_ns() // 1000
    second, fraction = divmod(microseconds, 1_000_000)
    return f"{second & 0xFFFFFFFF:08x}{fraction:06x}{secrets.token_hex(5)}"


class Store(ABC):
    """Documents and bytes, by database and name.

    A document is a dict of JSON-like values (see `cdb.stores.query.check_document`) with an
    ``_id``: a number, or a text (24 hexadecimal digits where MongoDB keeps an ObjectId).

    Attributes
    ----------
    url : str
        Where the store is; `cdb.stores.open_store` opens it again, if `shared`.
    shared : bool
        Whether another process can open the same store.
    transactional : bool
        Whether what happens inside `transaction` is seen as a whole or not at all.
    local : bool
        Whether a question is answered in this process, in less time than a thread takes to start.
    verifies : bool
        Whether `read`, given a digest, returns no other bytes than those.
    no_journal : str
        Why there is no journal here and never will be, in a sentence that says what there is
        instead; empty for all stores that are written to.
    """

    url: str
    shared: bool = True
    transactional: bool = False
    local: bool = True
    verifies: bool = False
    no_journal: str = ""

    @property
    def shares_detectors(self) -> bool:
        """Whether the database of a detector holds what all experiments deployed.

        Then an experiment that has nothing of its own is answered from there.
        """
        return True

    # documents ---------------------------------------------------------------------------------

    def find(
        self,
        database: str,
        collection: str,
        query: Query | None = None,
        *,
        sort: Sort = (),
        limit: int = 0,
    ) -> Iterator[Document]:
        """Yield the documents that a query asks for; unknown names hold nothing.

        Parameters
        ----------
        database, collection : str
            Where to look.
        query : mapping, optional
            See `cdb.stores.query`; all documents without it.
        sort : sequence of (field, 1 or -1), optional
            As MongoDB sorts: a missing field comes first.
        limit : int, optional
            At most so many; 0 for all.

        Raises
        ------
        BadQuery
            If the query is not in the common subset.
        StoreUnavailable
            If the store does not answer.
        """
        query = query or {}
        check_query(query)
        if limit < 0:
            raise BadQuery(f"limit is {limit}; it must be 0 (for all) or more")
        return self._find(database, collection, query, sort, limit)

    def rows(
        self,
        database: str,
        collection: str,
        fields: Sequence[str],
        query: Query | None = None,
        *,
        sort: Sort = (),
        limit: int = 0,
    ) -> list[tuple[Any, ...]]:
        """Return the named fields of the documents that a query asks for, None where missing."""
        query = query or {}
        check_query(query)
        return self._rows(database, collection, fields, query, sort, limit)

    def columns(
        self, database: str, collection: str, fields: Sequence[str], query: Query | None = None
    ) -> dict[str, list[Any]]:
        """Return what `rows` does, by field: a list for each, all in the same order."""
        query = query or {}
        check_query(query)
        return self._columns(database, collection, fields, query)

    def insert(
        self,
        database: str,
        collection: str,
        documents: Sequence[Mapping[str, Any]],
        *,
        ignore_duplicates: bool = False,
    ) -> None:
        """Add documents; durable when this returns.

        Raises
        ------
        BadDocument
            If one cannot be held; then none is added.
        Duplicate
            If an ``_id`` is taken (`ignore_duplicates`: that document is passed over).
        OutcomeUnknown
            If the store's answer was lost.
        """
        for document in documents:
            check_document(document, COLUMNS)
        if documents:
            self._insert(database, collection, documents, ignore_duplicates)

    def update(
        self,
        database: str,
        collection: str,
        query: Query,
        *,
        set: Mapping[str, Any] | None = None,  # noqa: A002 - MongoDB's word
        unset: Sequence[str] = (),
    ) -> int:
        """Set and remove fields of all documents that a query asks for; return how many."""
        check_query(query)
        check_document({"_id": 0, **(set or {})}, COLUMNS)
        return self._update(database, collection, query, set or {}, unset)

    @abstractmethod
    def _find(
        self, database: str, collection: str, query: Query, sort: Sort, limit: int
    ) -> Iterator[Document]: ...

    def _rows(
        self,
        database: str,
        collection: str,
        fields: Sequence[str],
        query: Query,
        sort: Sort,
        limit: int,
    ) -> list[tuple[Any, ...]]:
        found = self._find(database, collection, query, sort, limit)
        return [tuple(document.get(name) for name in fields) for document in found]

    def _columns(
        self, database: str, collection: str, fields: Sequence[str], query: Query
    ) -> dict[str, list[Any]]:
        rows = self._rows(database, collection, fields, query, (), 0)
        return {name: [row[number] for row in rows] for number, name in enumerate(fields)}

    @abstractmethod
    def _insert(
        self,
        database: str,
        collection: str,
        documents: Sequence[Mapping[str, Any]],
        ignore_duplicates: bool,
    ) -> None: ...

    @abstractmethod
    def _update(
        self,
        database: str,
        collection: str,
        query: Query,
        set: Mapping[str, Any],  # noqa: A002
        unset: Sequence[str],
    ) -> int: ...

    @abstractmethod
    def distinct(
        self, database: str, collection: str, field: str, query: Query | None = None
    ) -> list[Any]:
        """Return the values of a field, sorted, each once."""

    @abstractmethod
    def count(self, database: str, collection: str) -> int:
        """Return the number of documents in a collection."""

    @abstractmethod
    def databases(self) -> list[str]:
        """Return the names of all databases, sorted."""

    @abstractmethod
    def collections(self, database: str) -> list[str]:
        """Return the names of a database's collections of documents, sorted."""

    def prepare(self, database: str, collection: str) -> None:
        """Make the indexes that a new collection wants, and those of its bytes."""
        for name in (collection, "fs.files", "fs.chunks"):
            self._make_indexes(database, name, indexes_of(database, name))

    def _make_indexes(  # noqa: B027 - a store whose indexes are fixed has nothing to do
        self, database: str, collection: str, indexes: Sequence[Index]
    ) -> None:
        """Make indexes."""

    def transaction(self) -> AbstractContextManager[None]:
        """Do what is inside as a whole or not at all, where the store is `transactional`."""
        return nullcontext()

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
        """Store bytes under a new id of their own, durably, with the head that the writer saw.

        Parameters
        ----------
        database : str
            Whose bytes they are.
        data : bytes or memoryview
            The payload.
        sha256 : str
            Its digest, hexadecimal.
        head : int
            The head of the journal before the upload.
        progress : callable, optional
            Called with the number of bytes written since the last call.

        Returns
        -------
        id : str
            24 hexadecimal digits.

        Raises
        ------
        StoreFull
            If there is no space; nothing is left behind.
        """
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
        """Store bytes under the id that they have in another store; may be repeated.

        Parameters
        ----------
        database : str
            Whose bytes they are.
        blob : Blob
            Their record; without a head where another program wrote them.
        data : bytes or memoryview
            The payload.
        progress : callable, optional
            Called with the number of bytes written since the last call.

        Raises
        ------
        StoreRefused
            If this store gives its own ids.
        StoreFull
            If there is no space.
        """
        raise StoreRefused(
            f"{self.describe()} takes no copies of another store; run the command where its "
            "own store is (file:///folder, mongodb://host)"
        )

    @abstractmethod
    def read(
        self,
        database: str,
        blob_id: str,
        *,
        sha256: str | None = None,
        progress: Progress | None = None,
    ) -> bytes | memoryview:
        """Return stored bytes; verified only by a store that `verifies`, given their digest.

        Parameters
        ----------
        database : str
            Whose bytes they are.
        blob_id : str
            As `write` returned it.
        sha256 : str, optional
            Their digest, hexadecimal, where the caller knows it.
        progress : callable, optional
            Called with the number of bytes read since the last call.

        Raises
        ------
        NotFound
            If there are none.
        Corrupt
            From a store that verifies: if they have another digest.
        """

    def pieces(
        self,
        database: str,
        blob_id: str,
        *,
        sha256: str | None = None,
        progress: Progress | None = None,
    ) -> Iterator[bytes | memoryview]:
        """Yield stored bytes in order, piece by piece, unverified; see `read`."""
        yield self.read(database, blob_id, sha256=sha256, progress=progress)

    def part(self, database: str, blob_id: str, start: int, stop: int) -> bytes | memoryview:
        """Return some of stored bytes, unverified, and read no more than needed; see `read`."""
        return memoryview(self.read(database, blob_id))[start:stop]

    @abstractmethod
    def blob(self, database: str, blob_id: str) -> Blob | None:
        """Return the record of stored bytes, None if there is none or its bytes are gone."""

    @abstractmethod
    def blobs(self, database: str) -> Iterator[Blob]:
        """Yield the records of all bytes stored in a database."""

    def uploads(self, database: str, sha256: str) -> list[Blob]:
        """Return the records of stored bytes that have a digest, the last upload first."""
        found = [blob for blob in self.blobs(database) if blob.sha256 == sha256]
        return sorted(found, key=lambda blob: blob.at, reverse=True)

    @abstractmethod
    def remove(self, database: str, blob_ids: Sequence[str]) -> None:
        """Remove bytes and their records. Only what a ``sweep`` event names may be removed."""

    def sweeping(self) -> AbstractContextManager[bool]:
        """Keep writers of bytes out; gives False, at once, where one is at work."""
        return nullcontext(True)

    def litter(self, older_than: float) -> list[str]:
        """Return what killed writers left outside the records, older than so many seconds."""
        return []

    def remove_litter(self, names: Sequence[str]) -> None:  # noqa: B027 - most leave none
        """Remove what `litter` named; call it inside `sweeping`."""

    # the store itself --------------------------------------------------------------------------

    def stamp(self) -> object | None:
        """Return what changes whenever anything in the store does, None if it cannot say.

        Two stamps of one thread that are equal mean that nothing was written between them.
        """
        return None

    def clock(self) -> float | None:
        """Return the store's own time [Unix seconds], None if it has no clock of its own."""
        return None

    @abstractmethod
    def describe(self) -> str:
        """Return one line that says what and where the store is."""

    def close(self) -> None:  # noqa: B027 - a store may hold nothing
        """Let go of files and connections."""

    def __enter__(self) -> Self:
        """Use as a context: closed at its end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()


class ReadOnlyStore(Store):
    """A store that nobody can write to by these calls, and that says in a sentence why."""

    @abstractmethod
    def _refuse(self) -> NoReturn:
        """Raise `StoreRefused`, saying what to do instead."""

    def _insert(
        self,
        database: str,
        collection: str,
        documents: Sequence[Mapping[str, Any]],
        ignore_duplicates: bool,
    ) -> None:
        self._refuse()

    def _update(
        self,
        database: str,
        collection: str,
        query: Query,
        set: Mapping[str, Any],  # noqa: A002
        unset: Sequence[str],
    ) -> int:
        self._refuse()

    def prepare(self, database: str, collection: str) -> None:
        """Refuse."""
        self._refuse()

    def put(
        self,
        database: str,
        blob: Blob,
        data: bytes | memoryview,
        *,
        progress: Progress | None = None,
    ) -> None:
        """Refuse."""
        self._refuse()

    def remove(self, database: str, blob_ids: Sequence[str]) -> None:
        """Refuse."""
        self._refuse()
