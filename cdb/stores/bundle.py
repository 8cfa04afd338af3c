"""A store in one file, read-only and offline: the index and the payloads that were packed.

::

    bundle.json          what it was made for, and where the index is
    payloads/ab/abcd...  bytes, each named by its sha256; mapped from where they are
    index.sqlite         documents, events, and where each payload begins; read as it is

The file is a tar archive; nothing of it is unpacked. The index has the tables of the embedded
store, so questions are answered by the same code and as quickly. What was not packed is never
answered with *nothing*: it is a miss, with the command that packs it.
"""

import hashlib
import json
import mmap
import os
import shlex
import sqlite3
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cdb.errors import BadFile, Corrupt, NotBundled, NotFound, StoreRefused
from cdb.stores import forks
from cdb.stores.base import Blob, Progress
from cdb.stores.embedded import EmbeddedStore
from cdb.stores.layout import JOURNAL_DATABASE, REGISTER_DATABASE
from cdb.stores.query import Query

FORMAT = 1
FIRST, INDEX = "bundle.json", "index.sqlite"
BLOCK = 512
# So long is the first member: it is written anew, in its place, when all else is known.
FIRST_BYTES = 8 * BLOCK

TABLES = (
    "CREATE TABLE payloads (sha256 TEXT PRIMARY KEY, start INTEGER, nbytes INTEGER) WITHOUT ROWID",
    # Collections that are known, and whether they were packed.
    "CREATE TABLE known (database TEXT, collection TEXT, packed INTEGER,"
    " PRIMARY KEY (database, collection)) WITHOUT ROWID",
)


class BundleStore(EmbeddedStore):
    """Documents and bytes in one file that is only read.

    Parameters
    ----------
    path : Path or str
        What ``cdb bundle make`` wrote.
    """

    def __init__(self, path: Path | str) -> None:
        super().__init__(Path(path).parent)
        self.folder = self.path = Path(path).expanduser().absolute()
        self.url = self.path.as_uri().replace("file:", "bundle:", 1)
        self._map: mmap.mmap | None = None
        self._facts: dict[str, Any] = {}
        self._known: dict[tuple[str, str], bool] = {}

    # the file ----------------------------------------------------------------------------------

    @property
    def facts(self) -> dict[str, Any]:
        """What the bundle was made for.

        Raises
        ------
        NotFound
            If there is no such file.
        BadFile
            If it is no bundle.
        Corrupt
            If it is damaged.
        """
        if not self._facts:
            self._open()
        return self._facts

    @property
    def shares_detectors(self) -> bool:
        """See `Store.shares_detectors`: as in the store that was packed."""
        return bool(self.facts.get("shares_detectors", True))

    def _open(self) -> mmap.mmap:
        if self._map is not None:
            return self._map
        try:
            with self.path.open("rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError:
            raise NotFound(
                f"no bundle {self.path}; `cdb bundle make {self.path}` makes one"
            ) from None
        except PermissionError:
            raise StoreRefused(f"no permission to read {self.path}") from None
        except (ValueError, OSError):
            raise self._no_bundle() from None
        facts = self._first(mapped)
        index = facts["index"]
        data = memoryview(mapped)[index["start"] : index["start"] + index["nbytes"]]
        if hashlib.sha256(data).hexdigest() != index["sha256"]:
            raise Corrupt(f"{self.path} is damaged or cut off: make it again, or copy it again")
        self._facts, self._map = facts, mapped
        return mapped

    def _first(self, mapped: mmap.mmap) -> dict[str, Any]:
        try:
            name = tarfile.TarInfo.frombuf(mapped[:BLOCK], "utf-8", "surrogateescape").name
            facts = json.loads(mapped[BLOCK : BLOCK + FIRST_BYTES])
        except (tarfile.HeaderError, ValueError):
            raise self._no_bundle() from None
        if name != FIRST or not isinstance(facts, dict) or "index" not in facts:
            raise self._no_bundle()
        if facts.get("format") != FORMAT:
            raise BadFile(
                f"{self.path} has format {facts.get('format')!r:.40}, this cdb reads {FORMAT}; "
                "make the bundle again"
            )
        return facts

    def _no_bundle(self) -> BadFile:
        return BadFile(f"{self.path} is no bundle; `cdb bundle make` makes one")

    def verify(self) -> tuple[int, int]:
        """Read every payload; return how many there are, and their length together [bytes].

        Raises
        ------
        Corrupt
            Naming the first that is not as it was packed.
        """
        mapped = self._open()
        rows = self._connection().execute("SELECT sha256, start, nbytes FROM payloads").fetchall()
        for sha256, start, nbytes in rows:
            if hashlib.sha256(memoryview(mapped)[start : start + nbytes]).hexdigest() != sha256:
                raise Corrupt(f"{self.path} is damaged: payload {sha256}; make it or copy it again")
        return len(rows), sum(row[2] for row in rows)

    # what the embedded store asks --------------------------------------------------------------

    def _connection(self) -> sqlite3.Connection:
        """Return this thread's connection to the index, which it holds in memory."""
        connection: forks.Connection | None = getattr(self._local, "connection", None)
        if connection is not None and not connection.closed and self._local.pid == os.getpid():
            return connection
        mapped = self._open()
        index = self._facts["index"]
        connection = sqlite3.connect(
            ":memory:", isolation_level=None, check_same_thread=False, factory=forks.Connection
        )
        connection.deserialize(mapped[index["start"] : index["start"] + index["nbytes"]])
        connection.execute("PRAGMA query_only = ON")
        self._known = {
            (database, collection): bool(packed)
            for database, collection, packed in connection.execute("SELECT * FROM known")
        }
        self._local.connection, self._local.pid = connection, os.getpid()
        self._local.depth, self._local.sweeping = 0, False
        self._local.number = 0  # for `stamp`: whatever the connection, a bundle never changes
        return connection

    def _writing(self) -> sqlite3.Connection:
        raise StoreRefused(
            f"{self.path} is a bundle, which is only read; write to the store that it is of: "
            f"--url {self.facts['source']}"
        )

    def _place(self, database: str, collection: str, *, make: bool = False) -> int | None:
        if make:
            self._writing()
        self._connection()
        if database not in (JOURNAL_DATABASE, REGISTER_DATABASE):
            self._check_packed(database, collection)
        return super()._place(database, collection)

    def _check_packed(self, database: str, collection: str) -> None:
        if not self._known.get((database, collection)):
            place = _options_of(database, collection)
            command = self._command([*place, *self.facts["options"]])
            raise NotBundled(
                f"{database}/{collection} is not in the bundle {self.path}; "
                f"`{command}` packs it too"
            )

    def _command(self, more: Sequence[str]) -> str:
        """Return the command that packs more; options stand in pairs, the last may stand alone."""
        words = [*self.facts["asked"], *more]
        pairs = dict.fromkeys(tuple(words[n : n + 2]) for n in range(0, len(words), 2))
        words = [str(word) for pair in pairs for word in pair]
        source = ["--url", str(self.facts["source"])]
        return f"cdb bundle make {shlex.join([*words, *source, self.path.name])}"

    def distinct(
        self, database: str, collection: str, field: str, query: Query | None = None
    ) -> list[Any]:
        """See `Store.distinct`; lists of what there is go on past what was not packed."""
        self._connection()
        packed = self._known.get((database, collection))
        if not packed and database not in (JOURNAL_DATABASE, REGISTER_DATABASE):
            return []
        return super().distinct(database, collection, field, query)

    def databases(self) -> list[str]:
        """See `Store.databases`."""
        return sorted({JOURNAL_DATABASE, *self._names("SELECT DISTINCT database FROM known")})

    def collections(self, database: str) -> list[str]:
        """See `Store.collections`; those that were not packed too."""
        if database in (JOURNAL_DATABASE, REGISTER_DATABASE):
            return super().collections(database)
        sql = "SELECT collection FROM known WHERE database = ? ORDER BY 1"
        return self._names(sql, database)

    # bytes -------------------------------------------------------------------------------------

    def read(
        self,
        database: str,
        blob_id: str,
        *,
        sha256: str | None = None,
        progress: Progress | None = None,
    ) -> bytes | memoryview:
        """See `Store.read`; payloads are mapped from the file itself.

        Raises
        ------
        NotBundled
            If the bytes were not packed.
        """
        record = self._record(database, blob_id)
        if record is None:
            raise NotFound(f"no bytes {blob_id} in {database}")
        sql = "SELECT start, nbytes FROM payloads WHERE sha256 = ?"
        found = self._connection().execute(sql, (record[1],)).fetchone()
        if found is None:
            raise NotBundled(
                f"the data of {self._who_names(database, blob_id)} are not in the bundle "
                f"{self.path}, which was made for {self.facts['scope']}; "
                f"`{self._command(['--all'])}` packs them too"
            )
        return memoryview(self._open())[found[0] : found[0] + found[1]]

    def _who_names(self, database: str, blob_id: str) -> str:
        """Return the key of a constant whose payload this is."""
        for collection in self.collections(database):
            if self._known.get((database, collection)):
                for document in self.find(database, collection, {"id_data": blob_id}):
                    runs = f"{document.get('run')}-{document.get('run_end')}"
                    return "/".join((database, collection, str(document.get("ctype")), runs))
        return f"{database}/{blob_id}"

    def blob(self, database: str, blob_id: str) -> Blob | None:
        """See `Store.blob`: the record, packed or not."""
        record = self._record(database, blob_id)
        return record and Blob(record[0], record[2], record[1], record[3], record[4])

    def put(self, *_: object, **__: object) -> None:
        """Refuse."""
        self._writing()

    def write(self, *_: object, **__: object) -> str:
        """Refuse."""
        self._writing()
        return ""

    @contextmanager
    def sweeping(self) -> Iterator[bool]:
        """Refuse: there is nothing to sweep."""
        self._writing()
        yield False

    def litter(self, older_than: float) -> list[str]:
        """Return nothing: nobody writes here."""
        return []

    # the store itself --------------------------------------------------------------------------

    def stamp(self) -> object | None:
        """See `Store.stamp`: nothing is ever written."""
        return self.url

    def clock(self) -> float | None:
        """Return None: nobody writes here."""
        return None

    def describe(self) -> str:
        """See `Store.describe`."""
        if not self.path.exists():
            return f"{self.url} (a bundle; no such file)"
        return (
            f"{self.url} (a bundle, read-only: {self.facts['scope']}, as of event "
            f"{self.facts['seq']} of {self.facts['source']})"
        )


def _options_of(database: str, collection: str) -> list[str]:
    """Return the options that name a place: experiment or private suffix, and detector."""
    name = database.removeprefix("cdb_")
    if name == collection:
        return ["-d", collection]
    if name.startswith(f"{collection}_"):
        return ["-d", collection, "-S", name.removeprefix(f"{collection}_")]
    return ["-e", name, "-d", collection]
