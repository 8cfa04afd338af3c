"""Bytes that come before their document, in a request of their own, and perhaps without one.

An upload is a record with the head it saw. A client may take it back: then it is *hidden* under
an event, while its bytes stay for the versions that name them.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from cdb import inventory, names
from cdb.errors import BadDocument, NotFound, WrongState
from cdb.events import HIDE, Proposal, entry
from cdb.journal import Journal
from cdb.moments import Moment
from cdb.stores.base import Blob

PLACE = "fs.files"


def write(journal: Journal, database: str, data: bytes | bytearray | memoryview) -> str:
    """Store bytes under an id of their own; return it.

    Parameters
    ----------
    journal : Journal
        Of the store.
    database : str
        Whose bytes they are.
    data : bytes, bytearray or memoryview
        The payload, as it is.

    Raises
    ------
    BadName
        If there can be no such database.
    """
    names.check_database(database)
    inventory.prepare(journal.store, [database], PLACE, "", dry_run=False)
    moment = journal.moment()
    journal.check_clock(moment)
    sha256 = hashlib.sha256(data).hexdigest()
    return journal.store.write(database, memoryview(data), sha256=sha256, head=moment.seq)


def read(journal: Journal, database: str, blob_id: str) -> bytes | memoryview:
    """Return the bytes of an upload.

    Raises
    ------
    NotFound
        If there are none, or they were taken back.
    """
    if is_hidden(journal, database, blob_id):
        raise NotFound(f"no bytes {blob_id} in {database}: they were deleted")
    return journal.store.read(database, blob_id)


def is_hidden(journal: Journal, database: str, blob_id: str) -> bool:
    """Return whether an upload was taken back, and nothing visible names it since."""
    if journal.removal_of(database, blob_id, (HIDE,)) is None:
        return False
    return _named_by(journal, journal.moment(), database, blob_id) is None


def usable(journal: Journal, database: str, blob_id: str) -> Blob:
    """Return the record of an upload that a document is about to name.

    Raises
    ------
    BadDocument
        If there is no such upload.
    WrongState
        If it was swept, or taken back.
    """
    if journal.removal_of(database, blob_id):
        raise WrongState(f"the data {blob_id} in {database} were removed: send the data again")
    blob = journal.store.blob(database, blob_id)
    if blob is None:
        raise BadDocument(f"id_data {blob_id} names no upload in {database}; send the data first")
    return blob


def key_of(database: str, blob_id: str) -> str:
    """Return the key of an upload in the journal."""
    return f"{database}/{PLACE}/{blob_id}"


def hide(journal: Journal, database: str, blob_id: str) -> None:
    """Take an upload back; its bytes stay while a version that left names them.

    Raises
    ------
    NotFound
        If there is no such upload.
    WrongState
        If a visible document names it.
    """

    def propose(moment: Moment) -> Proposal:
        if journal.store.blob(database, blob_id) is None:
            raise NotFound(f"no bytes {blob_id} in {database}")
        named = _named_by(journal, moment, database, blob_id)
        if named is not None:
            raise WrongState(
                f"the data {blob_id} in {database} are those of {named['_id']}; delete that first"
            )
        if journal.removal_of(database, blob_id, (HIDE,)):
            raise NotFound(f"no bytes {blob_id} in {database}: they were deleted")
        made = entry(database, PLACE, blob_id, key_of(database, blob_id))
        ids = frozenset([blob_id])
        return _Hiding(HIDE, "", lambda *_: [made], keys=frozenset([made["key"]]), ids=ids)

    journal.commit(propose)


class _Hiding(Proposal):
    """Taking back bytes, which rests on nothing naming them."""

    def is_stale_after(self, event: Mapping[str, Any]) -> bool:
        """Return whether an event names the bytes."""
        named = {made.get("document", {}).get("id_data") for made in event["versions"]}
        return bool(named & self.ids) or super().is_stale_after(event)


def _named_by(
    journal: Journal, moment: Moment, database: str, blob_id: str
) -> dict[str, Any] | None:
    """Return a visible document that names an upload; None if there is none."""
    pending = {name for place, name in moment.added if place == database}
    for collection in sorted({*journal.store.collections(database), *pending}):
        found = next(
            journal.find(moment, database, collection, {"id_data": blob_id}, limit=1), None
        )
        if found is not None:
            return found
    return None
