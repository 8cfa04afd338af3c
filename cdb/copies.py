"""Documents that clients file, replace and delete one by one, each under an event of its own.

psana sends the experiment's copy of a constant and the detector's as separate requests, so here
a deployment is two events, and each copy has a life of its own.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cdb import chains, drafts, inventory, names, register, uploads
from cdb.constant import hidden, key_of, order_of
from cdb.errors import BadName, BadQuestion, NotFound, WrongState, shown
from cdb.events import MAX_EVENT_BYTES, Proposal, canonical, entry
from cdb.journal import Journal
from cdb.moments import Moment
from cdb.stores.base import Blob, Place, new_id
from cdb.stores.query import Document, Query
from cdb.tallies import Tally

# From a moment and the document that would be filed to the keys that the permission rests on.
Permit = Callable[[Moment, Document], Iterable[str]]

DELETED = "deleted through the service"
REPLACED = "replaced through the service"
AT_ONCE = 10_000  # documents that one event lets leave
BYTES_AT_ONCE = MAX_EVENT_BYTES * 2 // 3

# What the addresses of the LCLS-II service mean something else by.
RESERVED = ("gridfs", "test_post_privilege", "test_edit_privilege")


class Copies:
    """Documents one by one, in one journal.

    Parameters
    ----------
    journal : Journal
        Of the store.

    Attributes
    ----------
    tally : Tally
        What is where.
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.tally = Tally(journal)

    # reading -----------------------------------------------------------------------------------

    def find(self, database: str, collection: str, query: Query) -> list[Document]:
        """Return the visible documents that fit, in the order they were added; see `chains`."""
        return chains.find(self.journal, self.journal.moment(), database, collection, query)

    def get(self, database: str, collection: str, first: str) -> Document | None:
        """Return the visible document of a chain, as it is shown; None if there is none."""
        return next(iter(self.find(database, collection, {"_id": first})), None)

    # filing ------------------------------------------------------------------------------------

    def file(
        self, database: str, collection: str, given: object, *, permit: Permit | None = None
    ) -> Document:
        """File a document; return it as it is shown.

        Parameters
        ----------
        database, collection : str
            Where. In the register of detectors it is registered.
        given : dict
            See `drafts.draft_of`; its `id_data` names an upload of the same database.
        permit : callable, optional
            Asked, as of the moment that the document would follow, whether it may be filed: it
            raises what refuses it, or returns the keys of the versions that it looked at. Who
            touches one of those meanwhile makes it be asked again.

        Raises
        ------
        BadDocument
            If it cannot be read as what it is, or its upload is missing.
        WrongState
            If its upload was removed; if a name is taken in the register.
        """
        if database == names.REGISTER:
            return self._register(collection, given)
        self._check_place(database, collection)
        draft = drafts.draft_of(given)
        inventory.prepare(self.journal.store, [database], collection, "", dry_run=False)

        def propose(moment: Moment) -> Proposal:
            self.journal.check_clock(moment)
            document = self._with_data(database, draft)
            looked_at = permit(moment, document) if permit else ()

            def build(seq: int, at: int) -> list[Document]:
                id_ = new_id(at)
                made = {"_id": id_, **document, "seq": seq, "order": at, "first": id_}
                return [entry(database, collection, id_, keys[0], made)]

            keys = _keys(database, collection, document)
            named = _uploads(database, document)
            return Proposal("add", "", build, frozenset([*keys, *looked_at]), named, blobs=named)

        return self._committed(propose)

    def _check_place(self, database: str, collection: str) -> None:
        names.check_database(database)
        names.check_collection(collection)
        if collection in RESERVED:
            raise BadName(f"no collection can be called {collection!r}; it is an address")

    def _with_data(self, database: str, draft: Document) -> Document:
        """Return a draft with what its upload says."""
        blob_id = draft.get("id_data")
        if "detector" not in draft or blob_id is None:
            if blob_id is not None and drafts.is_id(blob_id):
                uploads.usable(self.journal, database, blob_id)
            return draft
        blob = uploads.usable(self.journal, database, blob_id)
        if _is_empty_array(draft) and self._holds(database, blob, b"{}"):
            # psana's client without a token sends `{}`, its empty JSON, in place of no bytes.
            blob_id = uploads.write(self.journal, database, b"")
            blob = uploads.usable(self.journal, database, blob_id)
        digest = {} if blob.sha256 is None else {"sha256": blob.sha256}
        return {**draft, "id_data": blob_id, **digest, "nbytes": blob.nbytes}

    def _holds(self, database: str, blob: Blob, data: bytes) -> bool:
        return blob.nbytes == len(data) and self.journal.store.read(database, blob.id) == data

    def _committed(self, propose: Any) -> Document:
        event = self.journal.commit(propose)
        assert event is not None  # `propose` always proposes
        return chains.as_shown(next(e["document"] for e in event["versions"] if "document" in e))

    # registering -------------------------------------------------------------------------------

    def _register(self, dettype: str, given: object) -> Document:
        names.short_name(dettype, 1)
        draft = drafts.register_draft_of(given, dettype)
        place = (names.REGISTER, dettype)
        key = "/".join(place)
        there: Document = {}

        def propose(moment: Moment) -> Proposal | None:
            known = list(self.journal.find(moment, *place, {}))
            same = [d for d in known if _names_of(d) == _names_of(draft)]
            if same:
                there.update(same[0])
                return None
            self._check_free(draft, known)
            if not known:
                self.journal.store.prepare(*place)

            def build(seq: int, at: int) -> list[Document]:
                made = {"_id": new_id(at), **draft, "seq": seq, "order": at}
                return [entry(*place, made["_id"], key, made)]

            return Proposal("register", "", build, frozenset([key]))

        event = self.journal.commit(propose)
        return chains.as_shown(there if event is None else event["versions"][0]["document"])

    def _check_free(self, draft: Document, known: Iterable[Document]) -> None:
        long, short = _names_of(draft)
        for document in known:
            if document.get("short") == short:
                raise WrongState(f"{short} is taken by another detector; take a higher number")
            if document.get("long") == long:
                raise WrongState(f"{long} is registered as {document.get('short')} already")
        filed = self.tally.filed_under(short)
        if filed:
            raise WrongState(
                f"constants are filed under {short} in {', '.join(filed)}, though nobody "
                "registered it: they are another detector's; take a higher number"
            )

    # replacing ---------------------------------------------------------------------------------

    def replace(self, database: str, collection: str, first: str, given: object) -> Document:
        """Replace a document as a whole, this copy alone; return it as it is shown.

        Parameters
        ----------
        database, collection, first : str
            Which: `first` is the id that it is shown under.
        given : dict
            As for `file`.

        Raises
        ------
        NotFound
            If it is not there, or not any more.
        BadQuestion
            If the document itself says another ``_id``.
        """
        if isinstance(given, Mapping) and given.get("_id", first) != first:
            raise BadQuestion(
                f"the document says _id {shown(given['_id'])}, but {first} is replaced"
            )
        if database == names.REGISTER:
            draft = drafts.register_draft_of(given, collection)
        else:
            draft = drafts.draft_of(given)

        def propose(moment: Moment) -> Proposal:
            old = self._present(moment, database, collection, first)
            if database == names.REGISTER and _names_of(old) != _names_of(draft):
                raise WrongState("the names in the register do not change; register the new ones")
            document = self._with_data(database, draft)
            keys = [*_keys(database, collection, document), *_keys(database, collection, old)]

            def build(seq: int, _: int) -> list[Document]:
                order = order_of(old)
                made = {"_id": new_id(order), **document, "seq": seq, "order": order}
                made |= {"first": first, "replaces": old["_id"]}
                gone = _leaving(database, collection, old, seq)
                return [
                    entry(database, collection, made["_id"], keys[0], made),
                    gone | {"copy": made["_id"]},
                ]

            named, ids = _uploads(database, document), frozenset([old["_id"]])
            return Proposal("amend", REPLACED, build, frozenset(keys), named, ids, named)

        return self._committed(propose)

    def _present(self, moment: Moment, database: str, collection: str, first: str) -> Document:
        found = chains.current(self.journal, moment, database, collection, first)
        if found is None:
            raise NotFound(f"no document {first} in {database}/{collection}")
        return found

    # deleting ----------------------------------------------------------------------------------

    def delete(self, database: str, collection: str, first: str) -> None:
        """Retire a document, this copy alone; its bytes stay.

        Raises
        ------
        NotFound
            If it is not there, or not any more.
        WrongState
            If it is a detector's entry in the register, and constants are filed under its name.
        """

        def propose(moment: Moment) -> Proposal:
            old = self._present(moment, database, collection, first)
            return self._retiring([((database, collection), old)])

        self.journal.commit(propose)

    def clear(self, database: str, collection: str | None = None) -> int:
        """Retire all documents of a collection, or of a database, in few events.

        Returns
        -------
        number : int
            How many there were.

        Raises
        ------
        WrongState
            As `delete`; then nothing was done.
        """
        last = self.journal.head().seq
        number = 0

        def propose(moment: Moment) -> Proposal | None:
            collections = self.tally.collections(database) if collection is None else [collection]
            found = [
                ((database, name), document)
                for name in collections
                for document in self.journal.find(moment, database, name, {}, both_forms=True)
                # What others add meanwhile is theirs to delete.
                if document.get("seq", 0) <= last and not _has_left(document)
            ]
            self._check_unused(found)
            some = _at_once(found)
            return self._retiring(some) if some else None

        while (event := self.journal.commit(propose)) is not None:
            number += len(event["versions"])
        return number

    def _retiring(self, found: list[tuple[Place, Document]]) -> Proposal:
        self._check_unused(found)
        keys = frozenset(_key(*place, document) for place, document in found)
        ids = frozenset(document["_id"] for _, document in found)
        shorts = frozenset(d["short"] for place, d in found if _is_entry(place, d))

        def build(seq: int, _: int) -> list[Document]:
            return [_leaving(*place, document, seq) for place, document in found]

        if shorts:
            return _Unregistering("retire", DELETED, build, keys | shorts, ids=ids)
        return Proposal("retire", DELETED, build, keys, ids=ids)

    def _check_unused(self, found: Iterable[tuple[Place, Document]]) -> None:
        """Refuse to free the name of a detector that has constants."""
        for place, document in found:
            filed = self.tally.filed_under(document["short"]) if _is_entry(place, document) else ()
            if filed:
                raise WrongState(
                    f"constants are filed under {document['short']} in {', '.join(filed)}: "
                    "without its entry another detector would get the name and inherit them; "
                    "delete those first"
                )


class _Unregistering(Proposal):
    """Freeing names of detectors, which rests on nothing being filed under them."""

    def is_stale_after(self, event: Mapping[str, Any]) -> bool:
        """Return whether an event files something under one of the names."""
        filed = {made["collection"] for made in event["versions"] if "document" in made}
        return bool(filed & self.keys) or super().is_stale_after(event)


def _is_empty_array(draft: Mapping[str, Any]) -> bool:
    return draft.get("data_type") == "ndarray" and str(draft.get("data_size")) == "0"


def _names_of(document: Mapping[str, Any]) -> tuple[Any, Any]:
    return document.get("long"), document.get("short")


def _is_entry(place: Place, document: Mapping[str, Any]) -> bool:
    return place[0] == names.REGISTER and isinstance(document.get("short"), str)


def _has_left(document: Mapping[str, Any]) -> bool:
    return "out" in document


def _key(database: str, collection: str, document: Mapping[str, Any]) -> str:
    if database == names.REGISTER:
        return f"{database}/{collection}"
    return key_of(database, collection, document)


def _keys(database: str, collection: str, document: Mapping[str, Any]) -> list[str]:
    """Return what an event must name to touch a document: its own key first, then its bytes'."""
    uploaded = [uploads.key_of(database, blob_id) for _, blob_id in _uploads(database, document)]
    return [_key(database, collection, document), *uploaded]


def _uploads(database: str, document: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    blob_id = document.get("id_data")
    return frozenset([(database, str(blob_id))] if drafts.is_id(blob_id) else [])


def _leaving(database: str, collection: str, document: Mapping[str, Any], seq: int) -> Document:
    """Return the entry under which a document leaves, so that psana's queries do not find it."""
    key = _key(database, collection, document)
    if _is_entry((database, collection), document) and "long" in document:
        gone = register.retired(document)
    else:
        gone = {"set": hidden(document)}
    gone["set"] = {"out": seq, **gone["set"]}
    return entry(database, collection, document["_id"], key) | gone


def _at_once(found: list[tuple[Place, Document]]) -> list[tuple[Place, Document]]:
    """Return as many documents, from the first, as one event can let leave."""
    nbytes = 0
    for number, (place, document) in enumerate(found[:AT_ONCE]):
        nbytes += len(canonical(_leaving(*place, document, 0)))
        if nbytes > BYTES_AT_ONCE:
            return found[:number]
    return found[:AT_ONCE]
