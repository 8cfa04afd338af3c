"""The bytes of payloads in a store: sent before their document, found by digest, verified."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cdb import inventory, names
from cdb.constant import Version
from cdb.errors import Corrupt, NotFound, Purged, WrongState
from cdb.events import PURGE, SWEEP, by_whom
from cdb.journal import Journal
from cdb.stores.base import Blob, Progress

if TYPE_CHECKING:
    from cdb.payload import Encoded


class Blobs:
    """The bytes that one journal's versions name.

    Parameters
    ----------
    journal : Journal
        Of the store.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._store = journal.store
        self._verified: set[tuple[str, str]] = set()

    # coming in ---------------------------------------------------------------------------------

    def upload(
        self,
        database: str,
        data: bytes | memoryview,
        *,
        sha256: str,
        progress: Progress | None = None,
    ) -> None:
        """Store bytes for a deployment that comes later; once, however often it is called.

        Parameters and errors are those of `cdb.Database.upload`.
        """
        names.check_database(database)
        inventory.prepare(self._store, [database], "fs.files", "", dry_run=True)
        for blob_id in self._copies_of(database, sha256):
            if self._whole(database, blob_id, sha256) is not None:
                return
        moment = self._journal.moment()
        self._journal.check_clock(moment)
        inventory.prepare(self._store, [database], "fs.files", "", dry_run=False)
        self._store.write(database, data, sha256=sha256, head=moment.seq, progress=progress)

    def sent(
        self, encoded: "Encoded", databases: Sequence[str]
    ) -> tuple[bytes | memoryview, dict[str, str]]:
        """Return bytes that were uploaded before, and where they are under which id.

        Raises
        ------
        WrongState
            If they are in none of the databases.
        """
        sent: dict[str, str] = {}
        data: bytes | memoryview | None = None
        for database in databases:
            for blob_id in self._copies_of(database, encoded.sha256):
                found = self._whole(database, blob_id, encoded.sha256)
                if found is not None:
                    data, sent[database] = found, blob_id
                    break
        if data is None:
            raise WrongState(
                f"no payload {encoded.sha256} is in {' or '.join(databases)}: it was not sent, or "
                "too long ago; send the data again, then repeat"
            )
        encoded.check(data)
        return data, sent

    # going out ---------------------------------------------------------------------------------

    def read(self, version: Version, *, progress: Progress | None = None) -> bytes | memoryview:
        """Return the stored bytes of a version, verified when this process first reads them.

        Raises
        ------
        Corrupt
            If they are missing, or do not have the digest that the document says.
        Purged
            If an administrator removed them after the version had left.
        """
        blob_id = str(version.meta.get("id_data"))
        try:
            data = self._store.read(
                version.database, blob_id, sha256=version.sha256, progress=progress
            )
        except NotFound as error:
            purge = self._journal.purge_of(version.database, blob_id)
            if purge is not None:
                raise Purged(
                    f"the data of {version.ctype} {version.id} in {version.database} were "
                    f"{how_purged(purge)}; the document is all that is left"
                ) from error
            # No KeyError, which would read as "no such constant" to a mapping's caller.
            raise Corrupt(
                f"the payload of {version.ctype} {version.id} in {version.database} is missing: "
                f"{error}; `cdb fsck --payloads` finds all such, and adding the data again heals"
            ) from error
        wanted = None if self._store.verifies else version.sha256
        if wanted is not None and not self._agrees(version.database, blob_id, data, wanted):
            raise Corrupt(
                f"the payload of {version.ctype} {version.id} in {version.database} is "
                "damaged: its digest is not the one that was deployed; "
                "`cdb fsck --payloads` finds all such, and adding the data again heals"
            )
        return data

    def payload(self, database: str, sha256: str) -> bytes | memoryview:
        """Return the bytes with a digest that a version in a database names or named, verified.

        Raises
        ------
        NotFound
            If no version there does; bytes that were only uploaded are nobody's yet.
        Corrupt
            If the stored bytes are damaged.
        Purged
            If an administrator removed them.
        """
        named = inventory.payload_id(self._store, database, sha256)
        if named is None:
            named = self._pending(database, sha256)
        if named is None:
            raise NotFound(f"no version in {database} has or had the payload {sha256}")
        for blob_id in dict.fromkeys([named, *self._copies_of(database, sha256)]):
            data = self._whole(database, blob_id, sha256)
            if data is not None:
                return data
        purge = self._journal.purge_of(database, named)
        if purge is not None:
            raise Purged(
                f"the payload {sha256} in {database} was {how_purged(purge)}; the "
                "document is all that is left"
            )
        raise Corrupt(
            f"the payload {sha256} in {database} is damaged; `cdb fsck --payloads` finds all such, "
            "and adding the data again heals"
        )

    def stored(self, database: str, sha256: str) -> Blob | None:
        """Return the record of what `payload` returns, without reading it; None if it cannot."""
        named = inventory.payload_id(self._store, database, sha256)
        blob = None if named is None else self._store.blob(database, named)
        return blob if blob is not None and blob.sha256 == sha256 else None

    def foreign(self, database: str, blob_id: str) -> bytes | memoryview:
        """Return bytes that another program stored, by their id: no digest names them.

        Raises
        ------
        NotFound
            If there are none, or a writer of ours stored them.
        """
        blob = self._store.blob(database, blob_id)
        if blob is None or blob.head is not None:
            raise NotFound(
                f"no bytes {blob_id} of another program are in {database}; payloads of ours are "
                "asked for by their sha256"
            )
        return self._store.read(database, blob_id)

    def _pending(self, database: str, sha256: str) -> str | None:
        """Return the id of bytes that an event names which is not completed yet."""
        for place, documents in self._journal.moment().added.items():
            for document in documents.values():
                if place[0] == database and document.get("sha256") == sha256:
                    return str(document["id_data"])
        return None

    # copies ------------------------------------------------------------------------------------

    def _copies_of(self, database: str, sha256: str) -> list[str]:
        """Return the ids of bytes with a digest that a document may name."""
        named = inventory.payload_id(self._store, database, sha256)
        uploads = [blob.id for blob in self._store.uploads(database, sha256)]
        kept = [id_ for id_ in uploads if is_kept(self._journal, database, id_)]
        return list(dict.fromkeys([*([named] if named else []), *kept]))

    def _whole(self, database: str, blob_id: str, sha256: str) -> bytes | memoryview | None:
        """Return stored bytes; None if they are not there, or do not have their digest."""
        try:
            data = self._store.read(database, blob_id)
        except NotFound:
            return None
        return data if self._agrees(database, blob_id, data, sha256) else None

    def _agrees(self, database: str, blob_id: str, data: bytes | memoryview, sha256: str) -> bool:
        """Return whether bytes have their digest, which a process asks once."""
        if (database, blob_id + sha256) not in self._verified:
            if hashlib.sha256(data).hexdigest() != sha256:
                return False
            self._verified.add((database, blob_id + sha256))
        return True


def is_kept(journal: Journal, database: str, blob_id: str) -> bool:
    """Return whether bytes are there and no event removes them; who takes them back does not."""
    removed = journal.removal_of(database, blob_id, (SWEEP, PURGE))
    return removed is None and journal.store.blob(database, blob_id) is not None


def how_purged(event: Mapping[str, Any]) -> str:
    """Say by whom bytes were purged, when and why."""
    return f"purged {by_whom(event)}"
