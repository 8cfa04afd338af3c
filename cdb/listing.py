"""What a store holds, listed: versions, their history, detectors, experiments."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from cdb import names, register, search
from cdb.constant import RETIRED, Version, version_of
from cdb.errors import BadQuery, BadQuestion, NotFound, shown
from cdb.journal import Journal
from cdb.moments import Moment
from cdb.stores.base import Place, Store
from cdb.stores.query import Document, Query, Sort, check_query, kind, sort_values

DEFAULT: Sort = (("ctype", 1), ("run", 1))


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
    after: "Mark | None" = None,
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
    after : Mark, optional
        Only those that come after this place in the list. What lies before it costs nothing.
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
    order = order_of(sort)
    places = _from(list(places), after)

    def read(both_forms: bool) -> list[Version]:
        found: list[Version] = []
        for number, (database, detector) in enumerate(places):
            begin = after.values if after and not number else None
            walk = _Walk(journal, moment, database, detector, both_forms, limit)
            for document in walk.documents(wanted, order, begin):
                made = version_of(document, database, detector, seq=moment.seq)
                if run is not None and (made.runs is None or run not in made.runs):
                    continue
                found.append(made)
                if limit and len(found) == limit:
                    return found
        return found

    return journal.steady(moment, places, read)


def version_by_id(store: Store, version_id: str) -> Version:
    """Return a version of a store without a journal, where one has to look for it.

    Raises
    ------
    NotFound
        If it is not there, or not any more.
    """
    for database in store.databases():
        for collection in store.collections(database):
            for document in store.find(database, collection, {"_id": version_id}):
                return version_of(document, database, collection)
    raise NotFound(
        f"no version {version_id} is in {store.describe()}; what is changed gets another id, and "
        "`cdb ls` shows those of now"
    )


def order_of(sort: Sort) -> list[tuple[str, int]]:
    """Return what versions of a place are sorted by, down to what no two of them share."""
    order = [*(sort or DEFAULT)]
    names = [name for name, _ in order]
    return order[: names.index("_id") + 1] if "_id" in names else [*order, ("_id", 1)]


@dataclass(frozen=True)
class Mark:
    """A place in a list of versions: right after one of them.

    Attributes
    ----------
    database, collection : str
        Where that one is filed.
    values : tuple
        What it is sorted by: a value for each field of `order_of`.
    """

    database: str
    collection: str
    values: tuple[Any, ...]

    @classmethod
    def after(cls, version: Version, sort: Sort) -> Self:
        """Return the place after a version of a list.

        Raises
        ------
        BadQuery
            If a field to sort by holds neither number nor text there.
        """
        values = [version.meta.get(name) for name, _ in order_of(sort)]
        for (name, _), value in zip(order_of(sort), values, strict=True):
            if kind(value) not in (0, 1, 2):
                raise BadQuery(
                    f"{name} of {version.id} is {shown(value)}; sort pages by numbers and texts"
                )
        return cls(version.database, version.collection, tuple(values))


def _from(places: list[Place], after: Mark | None) -> list[Place]:
    if after is None:
        return places
    where = (after.database, after.collection)
    if where not in places:
        raise BadQuestion("`after` belongs to another list; begin without it")
    return places[places.index(where) :]


def remaining(
    order: Sequence[tuple[str, int]], begin: Sequence[Any] | None
) -> Iterator[tuple[Document, list[tuple[str, int]]]]:
    """Yield the questions that together ask for what is sorted after some values, in order.

    Each is a condition that an index can serve, with the fields to sort by.

    Examples
    --------
    >>> for condition, _ in remaining([("run", -1), ("_id", 1)], [7, "b"]):
    ...     print(condition)
    {'run': {'$gte': 7, '$lte': 7}, '_id': {'$gt': 'b'}}
    {'run': {'$lt': 7}}
    {'run': None}
    """
    if begin is None:
        yield {}, list(order)
        return
    (name, direction), value = order[0], begin[0]
    if len(order) > 1:
        for condition, left in remaining(order[1:], begin[1:]):
            # A range of one value: SQLite would take equality for no help with the order.
            here = value if value is None else {"$gte": value, "$lte": value}
            yield {name: here, **condition}, [order[0], *left]
    for beyond in _beyond(value, direction):
        yield {name: beyond}, list(order)


# All values that one can sort by, in the order of their kinds.
_KINDS: tuple[tuple[int, Any], ...] = (
    (0, None), (1, {"$lt": 0}), (1, {"$gte": 0}), (2, {"$gte": ""}),
)  # fmt: skip


def _beyond(value: Any, direction: int) -> Iterator[Any]:
    """Yield the conditions on a field that comes after a value, one kind of values a time."""
    here = kind(value)
    if here in (1, 2):
        yield {"$gt" if direction > 0 else "$lt": value}
    for other, condition in _KINDS[::direction]:
        if (other - here) * direction > 0:
            yield condition


@dataclass(frozen=True)
class _Walk:
    """A walk over the documents of a place, in order; piece by piece, or all at once."""

    journal: Journal
    moment: Moment
    database: str
    detector: str
    both_forms: bool
    piece: int

    def documents(
        self, wanted: Document, order: list[tuple[str, int]], begin: Sequence[Any] | None
    ) -> Iterator[Document]:
        """Yield what fits, from some values on."""
        if not (self.piece and order[0] == DEFAULT[0] and "ctype" not in wanted):
            yield from self._sorted(wanted, order, begin)
            return
        # An index has the runs of one type in order, not those of all.
        types = self.journal.distinct(
            self.moment, self.database, self.detector, "ctype", {},
            detector=self.detector, both_forms=self.both_forms,
        )  # fmt: skip
        first = None if begin is None else begin[0]
        known = sort_values({None, first, *(name for name in types if kind(name) in (1, 2))})
        for ctype in known[known.index(first) :]:
            left = begin[1:] if begin is not None and ctype == first else None
            yield from self._sorted({**wanted, "ctype": ctype}, order[1:], left)

    def _sorted(
        self, wanted: Document, order: list[tuple[str, int]], begin: Sequence[Any] | None
    ) -> Iterator[Document]:
        while True:
            last: Document = {}
            for condition, left in remaining(order, begin):
                number = 0
                for document in self._found(wanted, condition, left):
                    number, last = number + 1, document
                    yield document
                if number and number == self.piece:
                    break  # there may be more of these
            else:
                return
            begin = [last.get(name) for name, _ in order]

    def _found(self, wanted: Document, condition: Document, sort: Sort) -> Iterator[Document]:
        query = {**wanted, "$and": [*wanted.get("$and", []), condition]} if condition else wanted
        return self.journal.find(
            self.moment, self.database, self.detector, query, detector=self.detector, sort=sort,
            limit=self.piece, both_forms=self.both_forms,
        )  # fmt: skip


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
    stored = {name for name in journal.store.databases() if may_read(name)}
    places = {(name, found) for name in stored for found in journal.store.collections(name)}
    counts = {place: journal.count(moment, *place) for place in {*places, *moment.added}}
    return by_database(counts, may_read)


def by_database(
    counts: Mapping[Place, int], may_read: Callable[[str], bool]
) -> list[dict[str, Any]]:
    """Return the databases with their collections, given the numbers of visible documents."""
    found: dict[str, list[dict[str, Any]]] = {}
    for (database, name), number in sorted(counts.items()):
        if number and database.startswith(names.PREFIX) and may_read(database):
            found.setdefault(database, []).append({"collection": name, "documents": number})
    return [{"database": name, "collections": known} for name, known in found.items()]


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
        if document.get("ctype") == ctype
        and (moment.knows(document) or document["_id"] in moment.added.get(place, {}))
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
