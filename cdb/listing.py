"""What a store holds, listed: versions, their history, detectors, experiments."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from cdb import names, register, search
from cdb.constant import RETIRED, Version, version_of
from cdb.errors import BadQuery, BadQuestion
from cdb.journal import Journal
from cdb.moments import Moment
from cdb.stores.base import Place
from cdb.stores.query import Document, Query, Sort, check_query


def shelves(
    journal: Journal,
    moment: Moment,
    detector: str | None,
    experiment: str | None,
    dbsuffix: str | None,
) -> list[Place]:
    """Return where the constants of a detector, or of all detectors of an experiment, are filed.

    Parameters
    ----------
    journal : Journal
        Of the store to ask.
    moment : Moment
        As of when.
    detector : str or None
        Short name.
    experiment, dbsuffix : str or None
        Whose database; without any the detector's.

    Raises
    ------
    BadQuestion
        If neither a detector nor an experiment is named.
    """
    if detector is not None:
        return [(names.databases_of(detector, experiment, dbsuffix)[0], detector)]
    if experiment is None:
        raise BadQuestion("name a detector, an experiment or both: -d, -e")
    database = names.experiment_database(experiment)
    pending = {name for place, name in moment.added if place == database}
    return [(database, name) for name in sorted({*journal.store.collections(database), *pending})]


def find(
    journal: Journal,
    moment: Moment,
    places: Iterable[Place],
    *,
    ctype: str | None = None,
    run: int | None = None,
    time: int | None = None,
    version: str | None = None,
    query: Query | None = None,
    sort: Sort = (),
    limit: int = 0,
    skip: int = 0,
) -> list[Version]:
    """Return the visible versions that fit, without payloads, by place, type and first run.

    Parameters
    ----------
    journal : Journal
        Of the store to ask.
    moment : Moment
        As of when.
    places : iterable of (str, str)
        Database and collection of each, as `shelves` says.
    ctype, version : str, optional
        Only this type, only this label.
    run : int, optional
        Only versions whose range covers it.
    time : int, optional
        Only versions that are valid from this second or earlier [Unix].
    query : mapping, optional
        What else their fields must fulfil.
    sort : sequence of (field, 1 or -1), optional
        Another order within a place.
    limit : int, optional
        At most so many.
    skip : int, optional
        So many of the first are left out.
    """
    check_question(query or {}, sort)
    wanted: Document = {}
    if ctype is not None:
        wanted["ctype"] = ctype
    if version is not None:
        wanted["version"] = version
    if time is not None:
        wanted["time_sec"] = {"$lte": time}
    if query:
        wanted["$and"] = [query]
    order = [*(sort or [("ctype", 1), ("run", 1)])]
    order += [] if any(name == "_id" for name, _ in order) else [("_id", 1)]
    places = list(places)

    def read(both_forms: bool) -> list[Version]:
        found: list[Version] = []
        passed = 0
        for database, detector in places:
            for document in journal.find(
                moment, database, detector, wanted, detector=detector, sort=order,
                both_forms=both_forms,
            ):  # fmt: skip
                made = version_of(document, database, detector, seq=moment.seq)
                if run is not None and (made.runs is None or run not in made.runs):
                    continue
                passed += 1
                if passed > skip:
                    found.append(made)
                if limit and len(found) == limit:
                    return found
        return found

    return journal.steady(moment, places, read)


# What of a document says more than the state that is looked at.
_HIDDEN = ("detector", "out", "adopted")


def check_question(query: Query, sort: Sort) -> None:
    """Refuse a query or a sort by fields that change when a version leaves.

    Raises
    ------
    BadQuery
        Naming the field.
    """
    check_query(query)
    for name in (*_fields(query), *(name for name, _ in sort)):
        if name.partition(".")[0] in _HIDDEN:
            raise BadQuery(
                f"{name} is no field to ask or sort by; a detector is named, not queried, and "
                "what left is asked for by an earlier state"
            )


def _fields(query: Query) -> Iterator[str]:
    for name, condition in query.items():
        if name in ("$and", "$or"):
            for part in condition:
                yield from _fields(part)
        else:
            yield name


def databases(
    journal: Journal, moment: Moment, may_read: Callable[[str], bool]
) -> list[dict[str, Any]]:
    """Return the databases with their collections and the numbers of visible documents.

    Parameters
    ----------
    journal : Journal
        Of the store to ask.
    moment : Moment
        As of when.
    may_read : callable
        From the name of a database to whether it is to be listed.
    """
    pending: dict[str, set[str]] = {}
    for database, collection in moment.added:
        pending.setdefault(database, set()).add(collection)
    found = []
    for database in sorted({*journal.store.databases(), *pending}):
        if not database.startswith(names.PREFIX) or not may_read(database):
            continue
        collections = []
        for name in sorted({*journal.store.collections(database), *pending.get(database, ())}):
            number = sum(1 for _ in journal.find(moment, database, name, {}, both_forms=True))
            if number:
                collections.append({"collection": name, "documents": number})
        if collections:
            found.append({"database": database, "collections": collections})
    return found


def history(
    journal: Journal, moment: Moment, database: str, detector: str, ctype: str
) -> list[Version]:
    """Return all versions, newest first; of those that left, who did it, when and why.

    Parameters
    ----------
    journal : Journal
        Of the store to ask.
    moment : Moment
        As of when.
    database, detector, ctype : str
        Where they are filed, the short name, the type.
    """
    place = (database, detector)
    query = {"ctype": ctype, "detector": {"$in": [detector, RETIRED + detector]}}
    documents = {
        document["_id"]: document
        for document in (
            *journal.store.find(*place, query),
            *moment.added.get(place, {}).values(),
        )
        if document.get("ctype") == ctype and moment.knows(document)
    }
    gone = moment.gone.get(place, {})
    found = []
    for document in documents.values():
        if document["_id"] in gone:
            document["out"] = gone[document["_id"]]
        version = version_of(document, *place, seq=moment.seq)
        found.append(_with_note(journal, version))
    return sorted(found, key=lambda v: (v.seq or 0, v.id), reverse=True)


def _with_note(journal: Journal, version: Version) -> Version:
    event = None if version.out is None else journal.event(version.out)
    if event is None:
        return version
    return replace(version, note=search.what_happened(event, version.id))


def detectors(journal: Journal, moment: Moment) -> list[dict[str, Any]]:
    """Return the known detectors: short name, long name, types there are.

    Of a moment that was asked for by name, only detectors that had constants or a long name then.
    """
    store = journal.store
    longnames = _longnames(journal, moment)
    databases = set(store.databases()) - {names.REGISTER}
    filed = {name.removeprefix(names.PREFIX) for name in databases if name.startswith(names.PREFIX)}
    found = []
    for short in sorted({*filter(names.is_short_name, filed), *longnames}):
        ctypes = _ctypes(journal, moment, names.detector_database(short), short)
        if ctypes or short in longnames or not moment.asked:
            known = {"detector": short, "longname": longnames.get(short, "")}
            found.append({**known, "ctypes": ctypes})
    return found


def _longnames(journal: Journal, moment: Moment) -> dict[str, str]:
    """Return the register's long names, by short name."""
    pending = {name for database, name in moment.added if database == names.REGISTER}
    return {
        document["short"]: document["long"]
        for dettype in {*journal.store.collections(names.REGISTER), *pending}
        for document in journal.find(moment, names.REGISTER, dettype, {})
        if register.is_entry(document) and names.is_short_name(document["short"])
    }


def experiments(journal: Journal, moment: Moment) -> list[dict[str, Any]]:
    """Return the known experiments with their detectors.

    Of a moment that was asked for by name, only those with constants then.
    """
    found = []
    for database in journal.store.databases():
        name = database.removeprefix(names.PREFIX)
        if name == database or database == names.REGISTER or names.names_a_detector(name):
            continue
        known = journal.store.collections(database)
        if moment.asked:
            known = [d for d in known if _ctypes(journal, moment, database, d)]
        if known:
            found.append({"experiment": name, "detectors": known})
    return found


def _ctypes(journal: Journal, moment: Moment, database: str, detector: str) -> list[str]:
    types = journal.distinct(moment, database, detector, "ctype", {}, detector=detector)
    return [str(ctype) for ctype in types]
