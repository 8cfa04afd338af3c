"""The indexes that a process keeps, brought up to date with the events since it last looked."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from cdb import search
from cdb.constant import RETIRED
from cdb.journal import Journal
from cdb.lookup import (
    FIELDS,
    Columns,
    Index,
    Place,
    Question,
    Row,
    Rule,
    View,
    choose,
    picked,
    row_of,
    rule_at,
)
from cdb.moments import Moment
from cdb.stores.kept import Kept
from cdb.validity import OPEN_END

logger = logging.getLogger(__name__)

# What the columns of a document of ours hold; of an experiment's name any type will do.
_TYPES: dict[str, set[type]] = {"ctype": {str}, "out": {int, type(None)}}
_TYPES |= {name: {int} for name in ("run", "end", "time_sec", "order", "seq")}


@dataclass
class _Kept:
    """The indexes of one place, by type, as of an event."""

    seq: int
    by_ctype: dict[str, Index] = field(default_factory=dict)

    def extend(self, columns: Columns, seq: int) -> None:
        groups: dict[str, list[int]] = {}
        for number, ctype in enumerate(columns["ctype"]):
            groups.setdefault(ctype, []).append(number)
        for ctype, numbers in groups.items():
            index = self.by_ctype.setdefault(ctype, Index())
            index.extend(columns if len(groups) == 1 else picked(columns, numbers))
            index.last = max(index.last, seq)

    def retire(self, ctype: str, version_id: str, seq: int) -> None:
        index = self.by_ctype.setdefault(ctype, Index())
        index.retire(version_id, seq)
        index.last = max(index.last, seq)


class Indexes:
    """Indexes of the places that were asked, for one journal.

    Parameters
    ----------
    journal : Journal
        Whose events keep them up to date.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._kept: dict[tuple[str, str], _Kept] = {}
        self._views: dict[tuple[str, str, str, int, int | None], View] = {}
        self._foreigners: Kept[dict[str, list[Row]]] = Kept(journal.store.stamp)
        self._lock = threading.RLock()

    def winners(
        self, moment: Moment, places: Sequence[Place], question: Question
    ) -> dict[str, tuple[Place, str]]:
        """Return for each type where the version is that wins, and its id."""

        def read(both_forms: bool) -> dict[str, tuple[Place, str]]:
            return self._winners(moment, places, question, both_forms)

        named = [(place.database, place.collection) for place in places]
        return self._journal.steady(moment, named, read)

    def _winners(
        self, moment: Moment, places: Sequence[Place], question: Question, both_forms: bool
    ) -> dict[str, tuple[Place, str]]:
        found: dict[str, tuple[Place, str]] = {}
        for place in places:
            rule = rule_at(place, question)
            foreign = self._foreign(moment, place, both_forms)
            with self._lock:
                kept = self._up_to_date(moment, place)
                for ctype in sorted({*kept.by_ctype, *foreign, *_pinned_types(moment, place)}):
                    if ctype in found:
                        continue
                    view = self._view(moment, place, ctype, rule.until)
                    best = _best(moment, place, ctype, rule, view, foreign.get(ctype, []))
                    if best is not None:
                        found[ctype] = (place, best)
        return found

    def along(
        self,
        moment: Moment,
        places: Sequence[Place],
        ctype: str,
        *,
        experiment: str | None = None,
        time: int | None = None,
    ) -> list[tuple[int, tuple[Place, str] | None]]:
        """Return where, along the runs, the winner of rule `range` changes, and to whom.

        The first run is 0; what follows the last one is answered as that is.
        """

        def read(both_forms: bool) -> list[tuple[int, tuple[Place, str] | None]]:
            ways = [
                self._way(moment, place, ctype, experiment, time, both_forms) for place in places
            ]
            found: list[tuple[int, tuple[Place, str] | None]] = []
            for run in sorted({0, *(run for _, breaks, _ in ways for run in breaks)}):
                winners = ((place, winner(run)) for place, _, winner in ways)
                best = next(((place, id_) for place, id_ in winners if id_ is not None), None)
                if not found or found[-1][1] != best:
                    found.append((run, best))
            return found

        named = [(place.database, place.collection) for place in places]
        return self._journal.steady(moment, named, read)

    def _way(
        self,
        moment: Moment,
        place: Place,
        ctype: str,
        experiment: str | None,
        time: int | None,
        both_forms: bool,
    ) -> tuple[Place, set[int], Callable[[int], str | None]]:
        """Return a place, the runs at which its winner may change, and who wins for a run."""
        foreign = self._foreign(moment, place, both_forms).get(ctype, [])
        with self._lock:
            self._up_to_date(moment, place)
            view = self._view(moment, place, ctype, time)
        first = rule_at(place, Question(0, time, "range", experiment))
        rows = [*foreign, *map(row_of, _pinned_documents(moment, place, ctype))]
        breaks = {run for row in rows for run in (row.run, row.end + 1) if 0 <= run <= OPEN_END}
        breaks.update(() if view is None else view.breaks(first))

        def winner(run: int) -> str | None:
            if not rows and view is None:
                return None
            if not rows and view is not None and not place.fallback:
                number = view.covering(run)
                return None if number < 0 else view.id(number)
            rule = rule_at(place, Question(run, time, "range", experiment))
            return _best(moment, place, ctype, rule, view, foreign)

        return place, breaks, winner

    def _view(self, moment: Moment, place: Place, ctype: str, time: int | None) -> View | None:
        index = self._kept[place.database, place.collection].by_ctype.get(ctype)
        if index is None:
            return None
        # All states since the index last changed look alike.
        seq = min(moment.seq, index.last)
        key = (place.database, place.collection, ctype, seq, time)
        if key not in self._views:
            stale = [k for k in self._views if k[:3] == key[:3]]
            for old in stale[:-3]:
                del self._views[old]
            self._views[key] = index.view(seq, time=time)
        return self._views[key]

    def _up_to_date(self, moment: Moment, place: Place) -> _Kept:
        name = (place.database, place.collection)
        kept = self._kept.get(name)
        if kept is None:
            kept = self._kept[name] = self._load(moment, name)
        if kept.seq < moment.head.seq:
            for event in self._journal.events(after=kept.seq, upto=moment.head.seq):
                _follow(kept, name, event)
            kept.seq = moment.head.seq
        return kept

    def _load(self, moment: Moment, name: tuple[str, str]) -> _Kept:
        """Read the columns of a place, and add what pending events say."""
        database, detector = name
        query = {"detector": {"$in": [detector, RETIRED + detector]}, "seq": {"$exists": True}}
        head = moment.head
        complete = head.seq if head.settled else head.open - 1
        kept = _Kept(max(moment.seq, complete))
        columns = self._journal.store.columns(database, detector, FIELDS, query)
        readable = _readable(columns)
        if unreadable := len(columns["_id"]) - len(readable["_id"]):
            logger.warning(
                "%d documents of %s/%s were changed by another program and cannot be read; "
                "`cdb fsck` puts them back", unreadable, database, detector,
            )  # fmt: skip
        kept.extend(readable, moment.head.seq)
        for event in moment.pending:
            _follow(kept, name, event)
        return kept

    def _foreign(self, moment: Moment, place: Place, both_forms: bool) -> dict[str, list[Row]]:
        """Return the visible documents that no event up to the moment names, by type."""
        asked = (place.database, place.collection, moment.seq, moment.asked, moment.tag, both_forms)
        known = self._foreigners.get(asked)
        if known is not None:
            return known
        stamp = self._journal.store.stamp()
        found = self._find_foreign(moment, place, both_forms)
        self._foreigners.put(asked, found, stamp)
        return found

    def _find_foreign(self, moment: Moment, place: Place, both_forms: bool) -> dict[str, list[Row]]:
        named_later = {"$or": [{"seq": {"$exists": False}}, {"adopted": {"$gt": moment.seq}}]}
        query = named_later if both_forms else {"seq": {"$exists": False}}
        found: dict[str, list[Row]] = {}
        for document in self._journal.find(
            moment, place.database, place.collection, query,
            detector=place.collection, both_forms=both_forms,
        ):  # fmt: skip
            if document.get("seq") is None or document.get("adopted", 0) > moment.seq:
                row = row_of(document)
                found.setdefault(row.ctype, []).append(row)
        return found


def _best(
    moment: Moment, place: Place, ctype: str, rule: Rule, view: View | None, foreign: list[Row]
) -> str | None:
    """Return the id of the version that wins in a place."""
    pin = search.pinned(moment, place, ctype, rule)
    if pin is not None:
        return str(pin.document["_id"])
    best = view.winner(rule) if view else None
    if not foreign:
        return best
    row = choose(foreign + ([view.row(best)] if view and best else []), rule)
    return None if row is None else row.id


def _pinned_documents(moment: Moment, place: Place, ctype: str) -> Iterator[dict[str, Any]]:
    """Yield what is pinned in a place."""
    for pins in moment.pins:
        yield from pins.documents.get((place.database, place.collection, ctype), ())


def _pinned_types(moment: Moment, place: Place) -> Iterator[str]:
    """Yield the types of which a version is pinned in a place."""
    for pins in moment.pins:
        for database, collection, ctype in pins.documents:
            if (database, collection) == (place.database, place.collection):
                yield ctype


def _readable(columns: Columns) -> Columns:
    """Return the documents whose columns hold what they should."""
    if all({*map(type, columns[name])} <= types for name, types in _TYPES.items()):
        return columns
    numbers = range(len(columns["_id"]))
    good = [n for n in numbers if all(type(columns[f][n]) in t for f, t in _TYPES.items())]
    return picked(columns, good)


def _follow(kept: _Kept, name: tuple[str, str], event: dict[str, Any]) -> None:
    """Take an event into the indexes of a place."""
    for made in event["versions"]:
        if (made["database"], made["collection"]) != name:
            continue
        if "document" in made:
            document = made["document"]
            # As `_load` asks for them: others may file what is no constant of this detector.
            if document.get("detector") == name[1] and document.get("ctype") is not None:
                kept.extend({name: [document.get(name)] for name in FIELDS}, event["_id"])
        elif "set" in made:
            for ctype, index in kept.by_ctype.items():
                if index.holds(made["id"]):
                    kept.retire(ctype, made["id"], event["_id"])
                    break
