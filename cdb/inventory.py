"""The inventory of a store: its databases' names, its collections, its payloads by digest.

One collection beside the journal, made from what the events say: a hint, never the truth.

====================== ============= =========================================================
_id                    other field   meaning
====================== ============= =========================================================
name in lower case     `database`    the name as it is written; no other may differ in case only
database/collection    `database`    the collection has its indexes
database/sha256        `id_data`     bytes with this digest, which an event has named
====================== ============= =========================================================
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from cdb import names
from cdb.errors import BadName, Duplicate
from cdb.stores.base import Store
from cdb.stores.layout import INVENTORY, JOURNAL, JOURNAL_DATABASE
from cdb.stores.query import Document


def prepare(
    store: Store, databases: Sequence[str], collection: str, sha256: str, *, dry_run: bool
) -> dict[str, str]:
    """Make sure that databases have their indexes, and names that no other has; in one question.

    Parameters
    ----------
    store : Store
        Where they are, or will be.
    databases : sequence of str
        What a constant is about to be written to.
    collection : str
        In each of them.
    sha256 : str
        Digest of the payload, hexadecimal.
    dry_run : bool
        Whether only to check.

    Returns
    -------
    shared : dict of str to str
        Ids of bytes with this digest that an event has named already, by database.

    Raises
    ------
    BadName
        If a database has the name of another but for case.
    """
    lower = {database.lower(): database for database in databases}
    indexed = {f"{database}/{collection}": database for database in databases}
    payloads = {_payload_key(database, sha256): database for database in databases}
    wanted = {"_id": {"$in": [*lower, *indexed, *payloads]}}
    rows = store.rows(JOURNAL_DATABASE, INVENTORY, ("_id", "database", "id_data"), wanted)
    known = {key: (database, id_data) for key, database, id_data in rows}
    unclaimed = {key: database for key, database in lower.items() if key not in known}
    taken = store.databases() if unclaimed else []
    for key, database in lower.items():
        # All are compared before one is claimed: a refused add leaves no name behind.
        other = known[key][0] if key in known else names.same_but_for_case(database, taken)
        _check_case(database, other)
    for key, database in unclaimed.items():
        if not dry_run:
            _check_case(database, _claim(store, key, database))
    for key, database in indexed.items():
        if key not in known and not dry_run:
            _index(store, key, database, collection)
    return {payloads[key]: known[key][1] for key in payloads if key in known}


def payload_id(store: Store, database: str, sha256: str) -> str | None:
    """Return the id of bytes with a digest that an event has named; None if there are none."""
    key = {"_id": _payload_key(database, sha256)}
    rows = store.rows(JOURNAL_DATABASE, INVENTORY, ("id_data",), key)
    return str(rows[0][0]) if rows else None


def _check_case(database: str, other: str | None) -> None:
    if other not in (None, database):
        raise BadName(
            f"database {database} differs from {other} only in case, which MongoDB does not "
            "allow; write the name as it is there"
        )


def _claim(store: Store, key: str, database: str) -> str:
    """Claim a name; return who has it: the database, or one that another writer made just now."""
    try:
        store.insert(JOURNAL_DATABASE, INVENTORY, [{"_id": key, "database": database}])
    except Duplicate:
        ((found,),) = store.rows(JOURNAL_DATABASE, INVENTORY, ("database",), {"_id": key})
        return str(found)
    return database


def _index(store: Store, key: str, database: str, collection: str) -> None:
    """Make the indexes of a new collection, and of the journal if it is new too."""
    store.prepare(JOURNAL_DATABASE, JOURNAL)
    store.prepare(database, collection)
    made = {"_id": key, "database": database}
    store.insert(JOURNAL_DATABASE, INVENTORY, [made], ignore_duplicates=True)


def note_payloads(store: Store, added: Iterable[Mapping[str, Any]]) -> None:
    """Note the bytes that the entries of an event name: they may be shared from then on."""
    store.insert(JOURNAL_DATABASE, INVENTORY, list(_payloads_of(added)), ignore_duplicates=True)


def _payloads_of(added: Iterable[Mapping[str, Any]]) -> Iterator[Document]:
    for made in added:
        document = made["document"]
        if document.get("sha256") and document.get("id_data"):
            key = _payload_key(made["database"], document["sha256"])
            yield {"_id": key, "id_data": document["id_data"]}


def _payload_key(database: str, sha256: str) -> str:
    return f"{database}/{sha256}"
