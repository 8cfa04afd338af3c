"""The indexes that a process keeps, brought up to date with the events since it last looked."""

import logging
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

from cdb import search
from cdb.constant import RETIRED
from cdb.journal import Journal
from cdb.lookup import (
    FIELDS,
    ROW_FIELDS,
    Columns,
    Index,
    Place,
    Question,
    Row,
    Rule,
    Steps,
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

# Where the version is that wins, and its id; and that of each type, sorted.
Winner = tuple[Place, str]
Winners = dict[str, Winner]

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

    def winners(self, moment: Moment, places: Sequence[Place], question: Question) -> Winners:
        """Return for each type where the version is that wins, and its id."""
        return self.table(moment, places, question).winners(question.run_asked)

    def table(self, moment: Moment, places: Sequence[Place], question: Question) -> "Table":
        """Return the answers to a question for any run; its own plays no part."""

        def read(both_forms: bool) -> Table:
            return self._table(moment, places, question, both_forms)

        named = [(place.database, place.collection) for place in places]
        return self._journal.steady(moment, named, read)

    def _table(
        self, moment: Moment, places: Sequence[Place], question: Question, both_forms: bool
    ) -> "Table":
        found: dict[str, list[_Asked]] = {}
        for place in places:
            foreign = self._foreign(moment, place, both_forms)
            with self._lock:
                types = {*self._up_to_date(moment, place).by_ctype, *foreign}
                types.update(_pinned_types(moment, place))
            for ctype in types:
                asked = self._asked(moment, place, ctype, question, foreign.get(ctype, []))
                found.setdefault(ctype, []).append(asked)
        return Table(found)

    def along(
        self,
        moment: Moment,
        places: Sequence[Place],
        ctype: str,
        *,
        experiment: str | None = None,
        time: int | None = None,
    ) -> list[tuple[int, Winner | None]]:
        """Return where, along the runs, the winner of rule `range` changes, and to whom.

        The first run is 0; what follows the last one is answered as that is.
        """
        question = Question(None, time, "range", experiment)

        def read(both_forms: bool) -> list[tuple[int, Winner | None]]:
            asked = []
            for place in places:
                foreign = self._foreign(moment, place, both_forms).get(ctype, [])
                with self._lock:
                    self._up_to_date(moment, place)
                asked.append(self._asked(moment, place, ctype, question, foreign))
            found: list[tuple[int, Winner | None]] = []
            for run in sorted({0}.union(*(each.edges() for each in asked))):
                winners = (each.winner(run) for each in asked)
                best = next((winner for winner in winners if winner is not None), None)
                if not found or found[-1][1] != best:
                    found.append((run, best))
            return found

        named = [(place.database, place.collection) for place in places]
        return self._journal.steady(moment, named, read)

    def _asked(
        self,
        moment: Moment,
        place: Place,
        ctype: str,
        question: Question,
        foreign: Sequence[Row],
    ) -> "_Asked":
        look = partial(self._view, moment, place, ctype)
        pins = [row_of(document) for document in _pinned_documents(moment, place, ctype)]
        pinned = partial(search.pinned, moment, place, ctype)
        return _Asked(place, question, look, foreign, pins, pinned, self._lock)

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
            detector=place.collection, both_forms=both_forms, fields=(*ROW_FIELDS, "adopted"),
        ):  # fmt: skip
            if document.get("seq") is None or document.get("adopted", 0) > moment.seq:
                row = row_of(document)
                found.setdefault(row.ctype, []).append(row)
        return found


class Table:
    """The answers of one state to a question, for any run."""

    def __init__(self, asked: Mapping[str, Sequence["_Asked"]]) -> None:
        self._asked = sorted(asked.items())

    def winners(self, run: int) -> Winners:
        """Return for each type, sorted, where the version is that wins, and its id."""
        found: Winners = {}
        for ctype, places in self._asked:
            for asked in places:
                best = asked.winner(run)
                if best is not None:
                    found[ctype] = best
                    break
        return found

    def interval(self, run: int) -> int | None:
        """Return the number of the interval of runs that have the same winners as this one.

        None where that is not known: each run has to be looked up.
        """
        edges = self._edges
        return None if edges is None else bisect_right(edges, run)

    @cached_property
    def _edges(self) -> list[int] | None:
        breaks = [asked.breaks() for _, places in self._asked for asked in places]
        if None in breaks:
            return None
        return sorted({run for some in breaks if some for run in some})


class _Asked:
    """One type in one place, looked at when it is first asked."""

    def __init__(
        self,
        place: Place,
        question: Question,
        look: Callable[[int | None], View | None],
        foreign: Sequence[Row],
        pins: Sequence[Row],
        pinned: Callable[[Rule], "search.Pin | None"],
        lock: AbstractContextManager[object],
    ) -> None:
        self._place = place
        self._question = question
        self._look = look
        self._foreign = foreign
        self._pins = pins
        self._pinned = pinned
        self._lock = lock
        self._swept = False
        self._breaks: list[int] | None = None
        self._winners: list[int] = []
        self._ids: list[str] = []

    def winner(self, run: int) -> Winner | None:
        """Return where the version is that wins, and its id."""
        breaks = self._breaks if self._swept else self.breaks()
        if breaks is None:
            return self._one(run)
        number = self._winners[bisect_right(breaks, run)]
        return None if number < 0 else (self._place, self._ids[number])

    def breaks(self) -> list[int] | None:
        """Return where, along the runs, the winner changes; None where only each run says."""
        if not self._swept:
            rule = rule_at(self._place, self._question)
            # Another thread may be at the index that the view shows.
            with self._lock:
                view = self._look(rule.until)
                steps = Steps([], [-1]) if view is None else view.steps(rule)
            if steps is not None and not self._foreign and not self._pins:
                self._ids = view.ids if view else []
                self._breaks, self._winners = steps
            self._swept = True
        return self._breaks

    def edges(self) -> set[int]:
        """Return the runs at which the winner may change, by a rule that goes by ranges."""
        breaks = self.breaks()
        if breaks is not None:
            return {run for run in breaks if 0 <= run <= OPEN_END}
        rule = rule_at(self._place, self._question)
        with self._lock:
            view = self._look(rule.until)
            steps = None if view is None else view.steps(rule)
        rows = (*self._foreign, *self._pins)
        found = {run for row in rows for run in (row.run, row.end + 1)}
        found.update(() if steps is None else steps.breaks)
        return {run for run in found if 0 <= run <= OPEN_END}

    def _one(self, run: int) -> Winner | None:
        """Return the winner for one run: pins and documents of other programs may take part."""
        rule = rule_at(self._place, replace(self._question, run=run))
        pin = self._pinned(rule) if self._pins else None
        if pin is not None:
            return self._place, str(pin.document["_id"])
        with self._lock:
            view = self._look(rule.until)
            best = view.winner(rule) if view else None
            rows = [*self._foreign, *([view.row(best)] if view and best else [])]
        if self._foreign:
            row = choose(rows, rule)
            best = None if row is None else row.id
        return None if best is None else (self._place, best)


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
