"""Who may do what in psana's dialect, where a deployment comes as four requests.

An experiment's writer may deploy to its experiment and, as part of that deployment alone, to the
detector's database. A client of psana sends the experiment's copy first.
"""

from collections.abc import Mapping
from typing import Any

from cdb import names, validity
from cdb.database import Database
from cdb.drafts import is_id
from cdb.errors import NotAllowed
from cdb.web.access import Caller


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
    own = database == names.REGISTER or names.is_detector_database(database)
    return caller.may_write(database) or (own and bool(caller.write))


def require_post(caller: Caller, database: str) -> None:
    """Refuse who may not send anything to a database; see `Caller.require_write`."""
    if not may_post(caller, database):
        caller.require_write(database)


def require_file(
    db: Database, caller: Caller, database: str, collection: str, document: Mapping[str, Any]
) -> None:
    """Refuse who may not file a document; see `Caller.require_write`.

    Parameters
    ----------
    db : Database
        Where it is to be filed.
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
        if not admits_copy(db, caller, database, collection, document):
            caller.require_write(database)
    elif not _may_follow(caller, database, collection, document):
        raise NotAllowed(
            f"the copy for the detector could not follow: {caller.name} may write "
            f"{names.PREFIX}{collection} only as part of a deployment, and this document says "
            f"experiment {document.get('experiment')!r:.60} in {database}"
        )


def admits_copy(
    db: Database, caller: Caller, database: str, collection: str, document: Mapping[str, Any]
) -> bool:
    """Return whether a document is the detector's copy of one that the caller may write.

    Its `id_doc_exp` names a visible document of an experiment's database that the caller may
    write, of equal type, equal runs and equal bytes.
    """
    main, blob_id = document.get("id_doc_exp"), document.get("id_data")
    experiment = f"{names.PREFIX}{document.get('experiment')}"
    if database != names.PREFIX + collection or not names.is_detector_database(database):
        return False
    if not (isinstance(main, str) and is_id(main) and isinstance(blob_id, str) and is_id(blob_id)):
        return False
    if names.names_a_detector(experiment.removeprefix(names.PREFIX)):
        return False
    if not caller.may_write(experiment):
        return False
    original = db.copies.get(experiment, collection, main)
    blob = db.store.blob(database, blob_id)
    if original is None or blob is None or blob.sha256 is None:
        return False
    same = all(original.get(name) == document.get(name) for name in ("ctype", "detector"))
    runs = validity.range_of({**document, "end": None})
    return same and runs == validity.range_of(original) and blob.sha256 == original.get("sha256")


def _may_follow(
    caller: Caller, database: str, collection: str, document: Mapping[str, Any]
) -> bool:
    """Return whether the detector's copy of an experiment's document could be filed after it."""
    is_first = database != names.REGISTER and not names.names_a_detector(_bare(database))
    if not is_first or "detector" not in document:
        return True
    if caller.may_write(names.PREFIX + collection):
        return True
    return names.PREFIX + str(document.get("experiment")) == database


def _bare(database: str) -> str:
    return database.removeprefix(names.PREFIX)
