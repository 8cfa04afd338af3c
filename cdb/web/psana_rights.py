"""Who may do what in psana's dialect, where a deployment comes as four requests.

An experiment's writer may deploy to its experiment and, as part of that deployment alone, to the
detector's database. A client of psana sends the experiment's copy first.
"""

from collections.abc import Mapping
from typing import Any

from cdb import chains, names, validity
from cdb.constant import key_of, order_of
from cdb.copies import Permit
from cdb.drafts import is_id
from cdb.errors import BadName, NotAllowed, shown
from cdb.journal import Journal
from cdb.moments import Moment
from cdb.stores.query import Document
from cdb.web.access import Caller

# What a detector's copy has as its original has it, besides the runs.
COPIED = (
    "experiment", "detector", "ctype", "time_sec", "version", "data_type", "data_dtype",
    "data_shape", "data_size", "sha256", "nbytes",
)  # fmt: skip


def may_read(caller: Caller, database: str) -> bool:
    """Return whether a database may be read; the register by whoever may read or write any."""
    known = database == names.REGISTER and bool(caller.read or caller.write)
    return known or caller.may_read(database)


def require_read(caller: Caller, database: str) -> None:
    """Refuse who may not read a database; see `Caller.require_read`."""
    if not may_read(caller, database):
        caller.require_read(database)


def may_post(caller: Caller, database: str) -> bool:
    """Return whether something may be sent to a database: what exactly is asked when it comes.

    Who may write any experiment may register a detector, and send to a detector's database data
    that his own copy of a constant will name.
    """
    own = database == names.REGISTER or caller.may_go_along(database)
    return caller.may_write(database) or (own and bool(caller.write))


def require_post(caller: Caller, database: str) -> None:
    """Refuse who may not send anything to a database; see `Caller.require_write`."""
    if not may_post(caller, database):
        caller.require_write(database)


def require_file(
    caller: Caller, database: str, collection: str, document: Mapping[str, Any]
) -> None:
    """Refuse who may not file a document, as far as the document itself says so.

    Parameters
    ----------
    caller : Caller
        Who asks.
    database, collection : str
        Where.
    document : mapping
        As it was sent.

    Raises
    ------
    NotAuthenticated, NotAllowed
        Also for an experiment's copy whose copy for the detector would be refused.
    """
    if database == names.REGISTER:
        require_post(caller, database)
    elif not caller.may_write(database):
        if not _may_be_copy(caller, database, collection, document):
            caller.require_write(database)
    elif not _may_follow(caller, database, collection, document):
        raise NotAllowed(
            f"the copy for the detector could not follow: {caller.name} may write "
            f"{names.PREFIX}{collection} only as part of a deployment, and this document says "
            f"experiment {shown(document.get('experiment'))} in {database}/{collection}"
        )


def permit_of(journal: Journal, caller: Caller, database: str, collection: str) -> Permit | None:
    """Return what judges a document by others that are there; None where none needs to be.

    It admits the detector's copy of a document that the caller may write: `id_doc_exp` names a
    visible one of an experiment's database, of equal type, runs, times and bytes, which has no
    copy yet.

    Parameters
    ----------
    journal : Journal
        Where the documents are.
    caller : Caller
        Who asks.
    database, collection : str
        Where the document is to be filed; see `require_file`.
    """
    if database == names.REGISTER or caller.may_write(database):
        return None

    def permit(moment: Moment, document: Document) -> list[str]:
        experiment, main = _experiment_of(document), str(document.get("id_doc_exp"))
        original = experiment and chains.current(journal, moment, experiment, collection, main)
        if not experiment or not original:
            raise _no_part(caller, database, f"no document {main} is in {experiment}/{collection}")
        differing = _differing(original, document)
        if differing:
            told = ", ".join(differing)
            raise _no_part(caller, database, f"{told} of {main} in {experiment} differ")
        query: Document = {"id_doc_exp": {"$in": list(chains.links(journal, experiment, main))}}
        # No copy is older than its original: few documents are looked into.
        query["$or"] = [{"order": {"$gte": order_of(original)}}, {"order": {"$exists": False}}]
        if other := next(journal.find(moment, database, collection, query, limit=1), None):
            shown_as = other.get("first") or other["_id"]
            raise _no_part(caller, database, f"{main} has its copy {shown_as} already")
        return [key_of(experiment, collection, original)]

    return permit


def _no_part(caller: Caller, database: str, why: str) -> NotAllowed:
    return NotAllowed(
        f"{caller.name} may write {database} only as part of a deployment, with the copy of a "
        f"document that id_doc_exp names: {why}"
    )


def _differing(original: Mapping[str, Any], copy: Mapping[str, Any]) -> list[str]:
    """Return the names of what a copy has otherwise than its original."""
    found = [name for name in COPIED if original.get(name) != copy.get(name)]
    if validity.range_of(original) != validity.range_of(copy):
        found.append("run and run_end")
    # Of data that another program stored nobody knows whether they are the same.
    if copy.get("id_data") is not None and copy.get("sha256") is None:
        found.append("sha256")
    return found


def _may_be_copy(
    caller: Caller, database: str, collection: str, document: Mapping[str, Any]
) -> bool:
    """Return whether a document may be the detector's copy of one that the caller may write."""
    experiment = _experiment_of(document)
    own = database == names.PREFIX + collection and caller.may_go_along(database)
    linked = "detector" in document and is_id(document.get("id_doc_exp"))
    return own and linked and experiment is not None and caller.may_write(experiment)


def _may_follow(
    caller: Caller, database: str, collection: str, document: Mapping[str, Any]
) -> bool:
    """Return whether the detector's copy of an experiment's document could be filed after it."""
    is_first = not names.names_a_detector(database.removeprefix(names.PREFIX))
    if not is_first or "detector" not in document:
        return True
    own = names.PREFIX + collection
    if caller.may_write(own):
        return True
    return caller.may_go_along(own) and _experiment_of(document) == database


def _experiment_of(document: Mapping[str, Any]) -> str | None:
    """Return the database of a document's experiment; None if it says none."""
    try:
        return names.experiment_database(document.get("experiment", ""))
    except BadName:
        return None
