"""Documents of other programs on the same server, given a place in the journal.

Adopting changes neither a document's place among equals nor from when on it is visible: its
`order` and its `seq` follow from the second in its `_id`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cdb import payload, validity
from cdb.constant import NO_EXPERIMENT, SCHEMA, Version, key_of, second_of, version_of
from cdb.errors import NotFound, WrongState
from cdb.events import MAX_EVENT_BYTES, Proposal, canonical, entry
from cdb.journal import Journal
from cdb.moments import Moment
from cdb.names import PREFIX, REGISTER
from cdb.stores.layout import JOURNAL, JOURNAL_DATABASE

Document = dict[str, Any]

AT_ONCE = 500
BYTES_AT_ONCE = MAX_EVENT_BYTES // 2

# Those that left under an event stay as they are.
_FOREIGN = {"seq": {"$exists": False}, "out": {"$exists": False}}


@dataclass(frozen=True)
class Stranger:
    """A document that no event names, and why it cannot be adopted, if it cannot."""

    database: str
    collection: str
    document: Document
    trouble: str | None = None


def strangers(journal: Journal) -> Iterator[Stranger]:
    """Yield the documents of other programs, constants only.

    Raises
    ------
    WrongState
        If there is no journal that could take them in.
    """
    store = journal.store
    if store.no_journal:
        raise WrongState(f"nothing can be adopted: {store.no_journal}")
    for database in store.databases():
        if not database.startswith(PREFIX) or database == REGISTER:
            continue
        for collection in store.collections(database):
            for document in store.find(database, collection, _FOREIGN):
                yield Stranger(
                    database, collection, document, _trouble(journal, database, document)
                )


def _trouble(journal: Journal, database: str, document: Document) -> str | None:
    if not isinstance(document.get("detector"), str) or not isinstance(document.get("ctype"), str):
        return "it has no detector or no ctype"
    if not second_of(document["_id"]):
        return "its _id holds no time"
    if validity.range_of(document) is None:
        return "its run range cannot be understood"
    if journal.store.blob(database, str(document.get("id_data"))) is None:
        return "its payload is missing"
    return None


def adopt(journal: Journal, found: Sequence[Stranger]) -> list[Version]:
    """Give documents an event, digest, numeric `end` and `order`; copies of one in one event.

    Returns
    -------
    versions : list of Version
        What was adopted; documents that vanished meanwhile are left out.
    """
    able = [stranger for stranger in found if stranger.trouble is None]
    able.sort(key=lambda stranger: (_deployment(stranger.document), stranger.database))
    adopted: list[Version] = []
    for batch in _batches(able):
        adopted += _adopt(journal, batch)
    return adopted


def _deployment(document: Document) -> str:
    main = document.get("id_doc_exp")
    return main if isinstance(main, str) and len(main) == 24 else str(document["_id"])


def _batches(found: Sequence[Stranger]) -> Iterator[list[Stranger]]:
    batch: list[Stranger] = []
    nbytes = 0
    for stranger in found:
        begins = not batch or _deployment(batch[-1].document) != _deployment(stranger.document)
        if begins and (len(batch) >= AT_ONCE or nbytes >= BYTES_AT_ONCE):
            yield batch
            batch, nbytes = [], 0
        batch.append(stranger)
        nbytes += len(canonical(stranger.document))
    if batch:
        yield batch


def _adopt(journal: Journal, batch: Sequence[Stranger]) -> list[Version]:
    made = [_adopted(journal, stranger) for stranger in batch]
    ready = [(s, d) for s, d in zip(batch, made, strict=True) if d is not None]
    done: list[Document] = []

    def propose(_: Moment) -> Proposal | None:
        # Deleted by its own program meanwhile: not to be brought back.
        there = [(s, d) for s, d in ready if _is_there(journal, s)]
        keys = frozenset(key_of(s.database, s.collection, d) for s, d in there)

        def build(seq: int, _: int) -> list[Document]:
            # Asked for at each attempt: an event that came between may be the one.
            done[:] = [
                entry(s.database, s.collection, d["_id"], key_of(s.database, s.collection, d),
                      {**d, "seq": _first_event_after(journal, d["order"]) or seq, "adopted": seq})
                for s, d in there
            ]  # fmt: skip
            return done

        return Proposal("adopt", "", build, keys) if there else None

    journal.commit(propose)
    return [version_of(e["document"], e["database"], e["collection"]) for e in done]


def _is_there(journal: Journal, stranger: Stranger) -> bool:
    query = {"_id": stranger.document["_id"], "seq": {"$exists": False}}
    return bool(journal.store.rows(stranger.database, stranger.collection, ("_id",), query))


def _adopted(journal: Journal, stranger: Stranger) -> Document | None:
    """Return a document with our fields, but for its event; None if its bytes are gone."""
    document = stranger.document
    runs = validity.range_of(document)
    assert runs is not None  # `_trouble` refuses it
    try:
        data = journal.store.read(stranger.database, document["id_data"])
    except NotFound:
        return None
    order = second_of(document["_id"]) * 1_000_000
    return {
        **document,
        "experiment": document.get("experiment") or NO_EXPERIMENT,
        "run": runs.begin,
        "time_sec": _time_sec(document),
        "sha256": payload.digest(data),
        "nbytes": memoryview(data).nbytes,
        "end": runs.stored_end,
        "schema": SCHEMA,
        "order": order,
        "first": document["_id"],
    }


def _time_sec(document: Mapping[str, Any]) -> int:
    value = document.get("time_sec")
    return int(value) if isinstance(value, int | float) else 0


def _first_event_after(journal: Journal, at: int) -> int:
    rows = journal.store.rows(
        JOURNAL_DATABASE, JOURNAL, ("_id",), {"at": {"$gt": at}}, sort=[("at", 1)], limit=1
    )
    return rows[0][0] if rows else 0
