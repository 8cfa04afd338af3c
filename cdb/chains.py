"""The copies of one document, each replacing the one before: shown under the first one's id.

Who amends a document makes a new one. Clients that think of it as the same document find it,
whatever happened to it, under the ``_id`` that they were told first.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cdb import names, register
from cdb.constant import RETIRED, order_of
from cdb.drafts import is_id
from cdb.journal import Journal
from cdb.moments import Moment
from cdb.stores.query import Document, Query, matches

# What is shown otherwise than it is stored, so that a store cannot be asked for it.
_SHOWN = frozenset({"_id", "id_doc_exp"})


def find(
    journal: Journal, moment: Moment, database: str, collection: str, query: Query
) -> list[Document]:
    """Return the visible documents that fit, as they are shown, in the order they were added.

    Parameters
    ----------
    journal : Journal
        Of the store.
    moment : Moment
        As of when.
    database, collection : str
        Where; unknown names hold nothing.
    query : mapping
        Over documents as they are shown.
    """
    wanted = query.get("_id")
    if isinstance(wanted, str):
        document = current(journal, moment, database, collection, wanted)
        found = [] if document is None else [document]
    else:
        found = _visible(journal, moment, database, collection, query)
    found.sort(key=lambda document: (order_of(document), str(document["_id"])))
    made = _linked(journal, database, [as_shown(document) for document in found])
    return [document for document in made if matches(query, document)]


def _visible(
    journal: Journal, moment: Moment, database: str, collection: str, query: Query
) -> list[Document]:
    asked = {name: value for name, value in query.items() if _is_stored(name, value)}
    found = list(journal.find(moment, database, collection, asked))
    if not journal.overtaken(moment, [(database, collection)]):
        return found
    # Something left meanwhile: what it was called before is not what it is stored as now.
    everything = journal.find(moment, database, collection, {}, both_forms=True)
    return [_as_of(document, moment.seq) for document in everything]


def _is_stored(name: str, value: Any) -> bool:
    """Return whether a condition can be asked of documents as they are stored."""
    if name in ("$and", "$or"):
        return all(_is_stored(*item) for part in value for item in part.items())
    return name not in _SHOWN


def _as_of(document: Mapping[str, Any], seq: int) -> Document:
    """Return a document as it was before it left, if that was later."""
    made = register.unretired(document)
    if isinstance(made.get("detector"), str):
        made["detector"] = made["detector"].removeprefix(RETIRED)
    if made.get("out", 0) > seq:
        del made["out"]
    return made


def current(
    journal: Journal, moment: Moment, database: str, collection: str, first: str
) -> Document | None:
    """Return the visible document of a chain, as it is stored; None if there is none.

    Parameters
    ----------
    journal : Journal
        Of the store.
    moment : Moment
        As of when.
    database, collection : str
        Where.
    first : str
        The ``_id`` of the first of the chain.
    """
    for document_id in links(journal, database, first):
        found = next(journal.find(moment, database, collection, {"_id": document_id}), None)
        if found is not None:
            return found if found.get("first", found["_id"]) == first else None
    return None


def links(journal: Journal, database: str, first: str) -> Iterator[str]:
    """Yield the ids that the documents of a chain are stored under, from the first on."""
    document_id: str | None = first
    while document_id is not None:
        yield document_id
        document_id = _successor(journal, database, document_id)


def _successor(journal: Journal, database: str, document_id: str) -> str | None:
    """Return what replaced or restored a document, by the last event that says so."""
    successors = [
        made["copy"]
        for event in journal.events_naming(document_id)
        for made in event["versions"]
        if made["id"] == document_id and made["database"] == database and "copy" in made
    ]
    return successors[-1] if successors else None


def as_shown(document: Mapping[str, Any]) -> Document:
    """Return a document under the first id of its chain.

    Examples
    --------
    >>> as_shown({"_id": "b", "first": "a"})
    {'_id': 'a', 'first': 'a'}
    """
    return {**document, "_id": document.get("first") or document["_id"]}


def _linked(journal: Journal, database: str, documents: list[Document]) -> list[Document]:
    """Let copies for the detector name the experiment's by its first id too."""
    amended = [d for d in documents if "replaces" in d and is_id(d.get("id_doc_exp"))]
    for experiment in {d.get("experiment") for d in amended}:
        ids = [d["id_doc_exp"] for d in amended if d.get("experiment") == experiment]
        firsts = _firsts(journal, f"{names.PREFIX}{experiment}", amended, ids)
        for document in amended:
            link = document["id_doc_exp"]
            document["id_doc_exp"] = firsts.get(link, link)
    return documents


def _firsts(
    journal: Journal, database: str, amended: Iterable[Document], ids: list[str]
) -> dict[str, str]:
    collections = {d["detector"] for d in amended if isinstance(d.get("detector"), str)}
    return {
        document_id: first
        for collection in collections
        for document_id, first in journal.store.rows(
            database, collection, ("_id", "first"), {"_id": {"$in": ids}}
        )
        if first
    }
