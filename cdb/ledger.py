"""Which payloads the documents of a store name: a list on disk, since there may be millions."""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from cdb.errors import BadFile, NotFound, shown
from cdb.events import PURGE
from cdb.names import PREFIX
from cdb.stores.base import Store
from cdb.stores.query import Document

FOREIGN = {"seq": {"$exists": False}}


@dataclass(frozen=True)
class Payload:
    """Bytes with all their names.

    Attributes
    ----------
    sha256 : str
        Digest, hexadecimal.
    nbytes : int
        Length [bytes].
    names : tuple of (database, id)
        Where they are, under which ids.
    """

    sha256: str
    nbytes: int
    names: tuple[tuple[str, str], ...]

    def as_line(self) -> Document:
        """Return it as a document."""
        names = [{"database": database, "id": blob_id} for database, blob_id in self.names]
        return {"sha256": self.sha256, "nbytes": self.nbytes, "names": names}


def payload_of(line: Mapping[str, Any]) -> Payload:
    """Return the payload that `Payload.as_line` wrote.

    Raises
    ------
    BadFile
        If it wrote nothing of the kind.
    """
    try:
        names = tuple((str(name["database"]), str(name["id"])) for name in line["names"])
        return Payload(str(line["sha256"]), int(line["nbytes"]), names)
    except (KeyError, TypeError, ValueError):
        raise BadFile(
            f"{shown(line)} is no payload of an archive; make a new one with `cdb export`"
        ) from None


class Ledger:
    """Payloads by digest, and documents of other programs; kept in a file that goes by itself.

    Parameters
    ----------
    store : Store
        Whose payloads they are: it is asked about those whose digest no document says.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        # An empty name makes SQLite keep a private file, which it removes when it is closed.
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute(
            "CREATE TABLE names (database TEXT, id TEXT, sha256 TEXT, nbytes INTEGER,"
            " PRIMARY KEY (database, id)) WITHOUT ROWID"
        )
        self._db.execute("CREATE INDEX by_digest ON names (sha256)")
        self._db.execute("CREATE TABLE documents (body TEXT)")

    def __enter__(self) -> Self:
        """Use as a context: gone at its end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the file."""
        self._db.close()

    def note(self, database: str, document: Mapping[str, Any]) -> None:
        """Note the payload that a document names, if it names one."""
        blob_id = document.get("id_data")
        if not isinstance(blob_id, str):
            return
        known = document.get("sha256"), document.get("nbytes")
        if not (isinstance(known[0], str) and isinstance(known[1], int)):
            known = self._looked_up(database, blob_id)
        if known[0] is not None:
            row = (database, blob_id, *known)
            self._db.execute("INSERT OR REPLACE INTO names VALUES (?, ?, ?, ?)", row)

    def _looked_up(self, database: str, blob_id: str) -> tuple[str | None, int | None]:
        """Return digest and length of bytes of which the document says neither."""
        blob = self._store.blob(database, blob_id)
        if blob is not None and blob.sha256 is not None:
            return blob.sha256, blob.nbytes
        try:
            data = self._store.read(database, blob_id)
        except NotFound:
            return None, None
        return hashlib.sha256(data).hexdigest(), memoryview(data).nbytes

    def follow(self, event: Mapping[str, Any]) -> None:
        """Note what an event names, and forget what it purges."""
        for made in event["versions"]:
            if "document" in made:
                self.note(made["database"], made["document"])
            elif event["action"] == PURGE:
                self._db.execute(
                    "DELETE FROM names WHERE database = ? AND id = ?",
                    (made["database"], made["id"]),
                )

    def keep(self, line: Mapping[str, Any]) -> None:
        """Keep a document for later."""
        self._db.execute("INSERT INTO documents VALUES (?)", (json.dumps(line),))

    def kept(self) -> Iterator[Document]:
        """Yield what was kept, in its order."""
        for (body,) in self._db.execute("SELECT body FROM documents ORDER BY rowid"):
            yield json.loads(body)

    def sha256_of(self, database: str, blob_id: str) -> str | None:
        """Return the digest under a name; None if nothing names it."""
        sql = "SELECT sha256 FROM names WHERE database = ? AND id = ?"
        row = self._db.execute(sql, (database, blob_id)).fetchone()
        return None if row is None else str(row[0])

    def payloads(self, after: str = "") -> Iterator[Payload]:
        """Yield the payloads whose digest is above another, in order of their digests."""
        sql = "SELECT sha256, nbytes, database, id FROM names WHERE sha256 > ? ORDER BY 1, 3, 4"
        last: Payload | None = None
        for sha256, nbytes, database, blob_id in self._db.execute(sql, (after,)):
            name = (database, blob_id)
            if last is not None and last.sha256 == sha256:
                last = Payload(sha256, nbytes, (*last.names, name))
                continue
            if last is not None:
                yield last
            last = Payload(sha256, nbytes, (name,))
        if last is not None:
            yield last

    def size(self, after: str = "") -> tuple[int, int]:
        """Return the number of payloads, and of their bytes, each counted once."""
        sql = "SELECT COUNT(*), COALESCE(SUM(n), 0) FROM (SELECT MAX(nbytes) AS n FROM names"
        row = self._db.execute(f"{sql} WHERE sha256 > ? GROUP BY sha256)", (after,)).fetchone()
        return int(row[0]), int(row[1])


def places(store: Store) -> Iterator[tuple[str, str]]:
    """Yield every database and collection of constants, and of the register."""
    for database in store.databases():
        if database.startswith(PREFIX):
            for collection in store.collections(database):
                yield database, collection


def foreign(store: Store) -> Iterable[Document]:
    """Yield the documents that no event names, each with its place."""
    for database, collection in places(store):
        for document in store.find(database, collection, FOREIGN):
            yield {"database": database, "collection": collection, "document": document}
