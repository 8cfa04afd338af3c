"""Which version holds for a run or a time, and where to look next: pure rules.

A `Rule` admits versions and ranks them; the best-ranked one that is admitted wins. The same rule
serves three ways: `choose` among a few candidates that a bounded query gave, a `View` of an
`Index` for many questions in a row, and a reason for every candidate (`explain`).

============ =============================================================== ===================
rule         chooses                                                         for
============ =============================================================== ===================
``range``    latest-starting range that covers the run, then the narrowest,  `det.calibconst`
             then the last added
``latest``   last added with first run at or before the run                  psana's `cdb get`
``prior``    last valid at or before a time                                  CalCat
``closest``  nearest in time, before or after                                CalCat
``psana``    as LCLS-II's client, its fallback included                      comparison
============ =============================================================== ===================
"""

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from heapq import heappop, heappush
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NamedTuple

from cdb import names
from cdb.constant import NO_EXPERIMENT, end_of, order_of, second_of
from cdb.errors import BadQuestion
from cdb.validity import LAST_PSANA_RUN, OPEN_END

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RULES = ("range", "latest", "prior", "closest", "psana")
Columns = Mapping[str, Sequence[Any]]

FIELDS = ("_id", "ctype", "experiment", "run", "end", "time_sec", "order", "seq", "out")
# What `row_of` looks at; other programs write the runs otherwise.
ROW_FIELDS = (*FIELDS, "run_beg", "run_end")

Query = dict[str, Any]
Sort = tuple[tuple[str, int], ...]


class Row(NamedTuple):
    """What a rule knows of a version."""

    id: str
    ctype: str
    experiment: str
    run: int
    end: int
    time_sec: int
    order: int
    seq: int | None
    out: int | None
    exact: bool
    """Whether the document itself has a numeric `end`, and so its place in a store's sort."""

    @property
    def dated_by_id(self) -> bool:
        """Whether the identifier sorts as `order` does, to the microsecond."""
        return self.seq is not None and self.order % 1_000_000 == int(self.id[8:14], 16)


def row_of(document: Mapping[str, Any]) -> Row:
    """Return what the rules need of a document.

    Older writers left fields out or wrote numbers as text. A first run or a time that is no
    number is -1 here and not admitted where a rule asks for it: a query could not find it
    either, psana's own included. `cdb adopt` mends such documents.
    """
    end = end_of(document)
    return Row(
        str(document["_id"]),
        str(document.get("ctype", "")),
        str(document.get("experiment", NO_EXPERIMENT)),
        _number(document.get("run")),
        -1 if end is None else end,
        _number(document.get("time_sec")),
        order_of(document),
        document.get("seq"),
        document.get("out"),
        isinstance(document.get("end"), int),
    )


def _number(value: object) -> int:
    """Return a number as it stands in a document, -1 if it is none."""
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else -1


@dataclass(frozen=True)
class Question:
    """What is asked of a detector's constants, whatever their type.

    Attributes
    ----------
    run : int or None
        None asks for the far future, which only open-ended ranges cover.
    time : int or None
        Unix time [s]; nothing is hidden for its date if absent.
    rule : str
        One of `RULES`.
    experiment : str or None
        Whose analysis it is.
    version : str or None
        The label that a version has to have; `View` does not know it.
    """

    run: int | None = None
    time: int | None = None
    rule: str = "range"
    experiment: str | None = None
    version: str | None = None

    def __post_init__(self) -> None:
        """Refuse questions that make no sense."""
        if self.rule not in RULES:
            raise BadQuestion(f"unknown rule {self.rule!r}; known: {', '.join(RULES)}")
        if self.rule == "closest" and self.time is None:
            raise BadQuestion("rule 'closest' needs a time: closest to what?")
        if self.rule == "psana" and self.run is None:
            raise BadQuestion("rule 'psana' needs a run, as psana does")

    @property
    def run_asked(self) -> int:
        """The run as a number; that of the far future if none is given."""
        return OPEN_END if self.run is None else self.run


class Place(NamedTuple):
    """A database to look in, and whether only as a fallback for what others did not have."""

    database: str
    collection: str
    kind: str
    fallback: bool = False


def places(
    detector: str,
    experiment: str | None,
    dbsuffix: str | None,
    rule: str,
    *,
    shared: bool = True,
) -> list[Place]:
    """Return where to look for the constants of a detector, in order.

    Where detectors are not `shared`, an experiment has its own constants or none.

    Examples
    --------
    >>> [place.database for place in places("epix_000001", "xpp1", None, "range")]
    ['cdb_xpp1', 'cdb_epix_000001']
    """
    own = names.detector_database(detector)
    found = []
    if dbsuffix:
        found.append(Place(names.detector_database(detector, dbsuffix), detector, "private"))
    if experiment and not (rule == "psana" and dbsuffix):
        found.append(Place(names.experiment_database(experiment), detector, "experiment"))
        if not shared:
            return found
    if rule == "psana":
        # psana asks the detector's database twice when no experiment is named.
        found += [] if found else [Place(own, detector, "detector")]
        return [*found, Place(own, detector, "detector", fallback=True)]
    return [*found, Place(own, detector, "detector", fallback=experiment is not None)]


# The rules -------------------------------------------------------------------------------------


class Rule(ABC):
    """Admits versions and ranks them."""

    sort: Sort = (("_id", -1),)
    time: int | None
    run: int  # where it plays a part

    @property
    def until(self) -> int | None:
        """The time after which nothing is admitted [s]."""
        return self.time

    @abstractmethod
    def why_not(self, row: Row) -> str | None:
        """Return why a version is not admitted, None if it is."""

    @abstractmethod
    def rank(self, row: Row) -> tuple[Any, ...]:
        """Return the rank of an admitted version: the greatest wins."""

    @abstractmethod
    def query(self) -> Query:
        """Return a query that every admitted version fulfils."""

    @abstractmethod
    def is_settled(self, best: Row, row: Row) -> bool:
        """Return whether nothing that follows `row`, in the order of `sort`, can beat `best`."""


@dataclass(frozen=True)
class Covering(Rule):
    """The latest-starting range that covers the run, then the narrowest, then the last added."""

    run: int
    time: int | None = None

    sort = (("run", -1), ("end", 1), ("order", -1))

    def why_not(self, row: Row) -> str | None:
        """See `Rule.why_not`."""
        if row.run < 0 or row.end < row.run:
            return "its run range cannot be understood"
        if row.run > self.run:
            return f"begins later, with run {row.run}"
        if row.end < self.run:
            return f"ended with run {row.end}"
        return _dated_after(row, self.time)

    def rank(self, row: Row) -> tuple[Any, ...]:
        """See `Rule.rank`."""
        return row.run, -row.end, *_last_added(row)

    def query(self) -> Query:
        """See `Rule.query`."""
        ends = [{"end": {"$gte": self.run}}, {"end": {"$exists": False}}]
        return {"run": {"$lte": self.run}, "$or": ends, **_dated(self.time)}

    def is_settled(self, best: Row, row: Row) -> bool:
        """See `Rule.is_settled`."""
        # Documents without a numeric end come first among those of one run.
        return row.exact or row.run < best.run


@dataclass(frozen=True)
class Latest(Rule):
    """The last added with a first run at or before the run.

    As a fallback, the run bounds only versions of `experiment`.
    """

    run: int
    time: int | None = None
    experiment: str | None = None

    def why_not(self, row: Row) -> str | None:
        """See `Rule.why_not`."""
        bound = self.experiment is None or row.experiment == self.experiment
        if bound and row.run < 0:
            return "its first run cannot be understood"
        if bound and row.run > self.run:
            return f"begins later, with run {row.run}"
        return _dated_after(row, self.time)

    def rank(self, row: Row) -> tuple[Any, ...]:
        """See `Rule.rank`."""
        return _last_added(row)

    def query(self) -> Query:
        """See `Rule.query`."""
        begins: Query = {"run": {"$lte": self.run}}
        if self.experiment is not None:
            begins = {"$or": [{"experiment": {"$ne": self.experiment}}, begins]}
        return {**begins, **_dated(self.time)}

    def is_settled(self, best: Row, row: Row) -> bool:
        """See `Rule.is_settled`."""
        return row.dated_by_id or second_of(row.id) < second_of(best.id)


@dataclass(frozen=True)
class Prior(Rule):
    """The last valid at or before a time; without a time, the last valid of all."""

    time: int | None = None

    sort = (("time_sec", -1), ("_id", -1))

    def why_not(self, row: Row) -> str | None:
        """See `Rule.why_not`."""
        return _dated_after(row, self.time)

    def rank(self, row: Row) -> tuple[Any, ...]:
        """See `Rule.rank`."""
        return row.time_sec, *_last_added(row)

    def query(self) -> Query:
        """See `Rule.query`."""
        return _dated(self.time)

    def is_settled(self, best: Row, row: Row) -> bool:
        """See `Rule.is_settled`."""
        if best.time_sec < 0:  # a text, which sorts before all numbers
            return False
        if row.time_sec < best.time_sec or row.dated_by_id:
            return True
        return second_of(row.id) < second_of(best.id)


@dataclass(frozen=True)
class Fallback(Prior):
    """What the detector's database offers where the experiment has nothing: the latest in time.

    Run numbers of another experiment mean nothing here; a version of the same experiment takes
    part only if its runs cover the run.
    """

    run: int = OPEN_END
    experiment: str = ""

    def why_not(self, row: Row) -> str | None:
        """See `Rule.why_not`."""
        if row.experiment == self.experiment:
            return Covering(self.run, self.time).why_not(row)
        return _dated_after(row, self.time)

    def query(self) -> Query:
        """See `Rule.query`."""
        own = Covering(self.run).query()
        return {"$or": [{"experiment": {"$ne": self.experiment}}, own], **_dated(self.time)}


@dataclass(frozen=True)
class Closest(Rule):
    """The nearest in time; of two as near the later one, then the last added."""

    time: int

    @property
    def until(self) -> int | None:
        """Later ones may be the nearest."""
        return None

    def why_not(self, row: Row) -> str | None:
        """See `Rule.why_not`."""
        return None

    def rank(self, row: Row) -> tuple[Any, ...]:
        """See `Rule.rank`."""
        return -abs(row.time_sec - self.time), row.time_sec, *_last_added(row)

    def query(self) -> Query:
        """See `Rule.query`."""
        return {}

    def is_settled(self, best: Row, row: Row) -> bool:
        """See `Rule.is_settled`."""
        return False


@dataclass(frozen=True)
class PsanaCovering(Rule):
    """psana's range rule: `end` is 9999, and ranges that go beyond are passed over.

    References
    ----------
    psana 4.3.4, `pscalib/calib/MDBWebUtils.py`, class `CalibDoc`.
    """

    run: int
    time: int | None = None

    sort = (("run", -1), ("end", 1), ("order", -1))

    def why_not(self, row: Row) -> str | None:
        """See `Rule.why_not`."""
        if row.run > LAST_PSANA_RUN or LAST_PSANA_RUN < row.end < OPEN_END:
            return f"has runs above {LAST_PSANA_RUN}, which psana passes over"
        if self.run > LAST_PSANA_RUN:
            return f"psana takes its end for run {LAST_PSANA_RUN}"
        return Covering(self.run, self.time).why_not(row)

    def rank(self, row: Row) -> tuple[Any, ...]:
        """See `Rule.rank`."""
        return row.run, -min(row.end, LAST_PSANA_RUN), *_last_added(row)

    def query(self) -> Query:
        """See `Rule.query`."""
        ends = [
            {"end": {"$gte": self.run, "$lte": LAST_PSANA_RUN}},
            {"end": OPEN_END},
            {"end": {"$exists": False}},
        ]
        run = min(self.run, LAST_PSANA_RUN)
        return {"run": {"$lte": run}, "$or": ends, **_dated(self.time)}

    def is_settled(self, best: Row, row: Row) -> bool:
        """See `Rule.is_settled`."""
        return (row.exact and row.end != LAST_PSANA_RUN) or row.run < best.run


@dataclass(frozen=True)
class PsanaLastInserted(Rule):
    """psana's fallback: the last inserted, to the second, of any experiment; ties: the first."""

    time: int | None = None

    def why_not(self, row: Row) -> str | None:
        """See `Rule.why_not`."""
        if not 0 <= row.run <= LAST_PSANA_RUN:
            return f"does not begin with a run of 0 to {LAST_PSANA_RUN}"
        return _dated_after(row, self.time)

    def rank(self, row: Row) -> tuple[Any, ...]:
        """See `Rule.rank`."""
        return second_of(row.id), -row.order, [-ord(letter) for letter in row.id]

    def query(self) -> Query:
        """See `Rule.query`."""
        return {"run": {"$lte": LAST_PSANA_RUN}, **_dated(self.time)}

    def is_settled(self, best: Row, row: Row) -> bool:
        """See `Rule.is_settled`."""
        return second_of(row.id) < second_of(best.id)


def rule_at(place: Place, question: Question) -> Rule:
    """Return the rule by which a place is asked."""
    run, time, experiment = question.run_asked, question.time, question.experiment
    if question.rule == "psana":
        return PsanaLastInserted(time) if place.fallback else PsanaCovering(run, time)
    if question.rule == "prior":
        return Prior(time)
    if question.rule == "closest":
        assert time is not None  # Question refuses it
        return Closest(time)
    if question.rule == "latest":
        return Latest(run, time, experiment if place.fallback else None)
    if place.fallback:
        return Fallback(time, run, experiment or "")
    return Covering(run, time)


def choose(rows: Iterable[Row], rule: Rule) -> Row | None:
    """Return the version that wins."""
    admitted = [row for row in rows if rule.why_not(row) is None]
    return max(admitted, key=rule.rank, default=None)


def _last_added(row: Row) -> tuple[Any, ...]:
    return row.order, row.id


def _dated_after(row: Row, time: int | None) -> str | None:
    if time is not None and row.time_sec < 0:
        return "its time cannot be understood"
    if time is not None and row.time_sec > time:
        return f"is valid only from a later time, {row.time_sec} s"
    return None


def _dated(time: int | None) -> Query:
    return {} if time is None else {"time_sec": {"$lte": time}}


# Many questions in a row ------------------------------------------------------------------------

_NUMBERS = ("run", "end", "time_sec", "order", "seq", "out")


def picked(columns: Columns, numbers: Sequence[int]) -> Columns:
    """Return the versions with these numbers, of every column."""
    return {name: [column[n] for n in numbers] for name, column in columns.items()}


@dataclass
class Index:
    """All versions of one (place, detector, ctype) that the journal names, in columns.

    Versions that left are kept with the event that retired them, so that any past state can be
    seen.
    """

    ids: list[str] = field(default_factory=list)
    experiments: list[str] = field(default_factory=list)
    last: int = 0
    """The last event that changed the index."""
    numbers: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in _NUMBERS})
    """Columns run, end, time_sec, order, seq, out."""

    def extend(self, columns: Columns) -> None:
        """Add versions, a list for each of `FIELDS`; those that are there already stay."""
        if self.ids:
            new = [n for n, id_ in enumerate(columns["_id"]) if id_ not in self._position]
            columns = picked(columns, new)
        self.ids += columns["_id"]
        self.experiments += [name or NO_EXPERIMENT for name in columns["experiment"]]
        for name in _NUMBERS[:-1]:
            self.numbers[name] += columns[name]
        self.numbers["out"] += [OPEN_END if out is None else out for out in columns["out"]]
        self._forget()

    def retire(self, id: str, seq: int) -> None:  # noqa: A002 - the field's name
        """Say that an event retired a version."""
        number = self._position.get(id)
        if number is not None:
            self.numbers["out"][number] = min(self.numbers["out"][number], seq)
            self._forget()

    def holds(self, id: str) -> bool:  # noqa: A002 - the field's name
        """Return whether a version is in the index."""
        return id in self._position

    def _forget(self) -> None:
        for name in ("_arrays", "_position"):
            self.__dict__.pop(name, None)

    @cached_property
    def _position(self) -> dict[str, int]:
        return {id_: number for number, id_ in enumerate(self.ids)}

    @cached_property
    def _arrays(self) -> "dict[str, NDArray[np.int64]]":
        import numpy as np

        return {name: np.array(column, np.int64) for name, column in self.numbers.items()}

    def view(self, seq: int, *, time: int | None = None) -> "View":
        """Return what is visible as of an event.

        Parameters
        ----------
        seq : int
            S.
        time : int, optional
            Leave out what is valid only from a later time [s].
        """
        import numpy as np

        columns = self._arrays
        seen = (columns["seq"] <= seq) & (columns["out"] > seq)
        if time is not None:
            seen &= columns["time_sec"] <= time
        return View(self, np.flatnonzero(seen))


class View:
    """An index as of a moment; a look-up in it is a bisection.

    What a rule needs is swept together when it is first asked for.
    """

    def __init__(self, index: Index, visible: "NDArray[np.int64]") -> None:
        self._index = index
        self._visible = visible
        self._fallbacks: dict[str, Steps] = {}

    def winner(self, rule: Rule) -> str | None:
        """Return the id of the version that wins, the same as `choose` among all of them."""
        steps = self.steps(rule)
        if steps is None:
            number = self._linear(rule)
        else:
            number = steps.at(rule.run) if steps.breaks else steps.winners[0]
        return None if number < 0 else self._index.ids[number]

    @property
    def ids(self) -> list[str]:
        """The id of each version, by its number in `Steps`."""
        return self._index.ids

    def row(self, id: str) -> Row:  # noqa: A002 - the field's name
        """Return what the rules know of a version."""
        return self._row_of(self._index._position[id])

    def steps(self, rule: Rule) -> "Steps | None":
        """Return who wins by a rule, whatever its run; None where each run is asked by itself."""
        if isinstance(rule, Covering):
            return self._covering
        if isinstance(rule, Fallback):
            return self._fallback(rule.experiment)
        if isinstance(rule, Prior):
            return Steps([], [self._by_time[-1] if self._by_time else -1])
        if isinstance(rule, Closest):
            return Steps([], [self._closest(rule)])
        if isinstance(rule, Latest) and rule.experiment is None:
            return self._added
        return None

    def _linear(self, rule: Rule) -> int:
        """Choose by going through versions: for rules that no sweep serves."""
        rows = {self._row_of(number): number for number in self._visible.tolist()}
        best = choose(rows, rule)
        return -1 if best is None else rows[best]

    def _row_of(self, number: int) -> Row:
        run, end, time_sec, order, seq, _ = (self._index.numbers[name][number] for name in _NUMBERS)
        return Row(
            self._index.ids[number], "", self._index.experiments[number],
            run, end, time_sec, order, seq, None, True,
        )  # fmt: skip

    def _column(self, name: str) -> "NDArray[np.int64]":
        return self._index._arrays[name][self._visible]

    @cached_property
    def _ties(self) -> "NDArray[np.int64]":
        """The last key of every sort: where orders are equal, the identifier decides."""
        import numpy as np

        order = self._column("order")
        if len(np.unique(order)) == len(order):
            return np.zeros(len(order), np.int64)
        ids = np.array([self._index.ids[number] for number in self._visible])
        return np.unique(ids, return_inverse=True)[1].astype(np.int64)

    @cached_property
    def _covering(self) -> "Steps":
        """For rule `range`.

        A later start always wins, so the ranges that are open at a run form a stack: a new one
        goes on top, and what ends no later than the top can never win again.
        """
        import numpy as np

        run, end = self._column("run"), self._column("end")
        order = np.lexsort((self._ties, self._column("order"), -end, run))
        order = order[end[order] >= run[order]]
        breaks: list[int] = []
        winners = [-1]
        stack: list[tuple[int, int]] = []

        def change(at: int, number: int) -> None:
            if breaks and breaks[-1] == at:
                winners[-1] = number
            else:
                breaks.append(at)
                winners.append(number)

        def close_before(begin: int) -> None:
            while stack and stack[-1][0] < begin:
                ended = stack.pop()[0]
                change(ended + 1, stack[-1][1] if stack else -1)

        numbers = self._visible[order].tolist()
        for begin, last, number in zip(
            run[order].tolist(), end[order].tolist(), numbers, strict=True
        ):
            close_before(begin)
            while stack and stack[-1][0] <= last:
                stack.pop()
            stack.append((last, number))
            change(begin, number)
        close_before(OPEN_END + 2)
        return Steps(breaks, winners)

    @cached_property
    def _added(self) -> "Steps":
        """For rule `latest`: along the first runs, who is the last added so far."""
        import numpy as np

        by_order = np.lexsort((self._ties, self._column("order")))
        rank = np.empty(len(by_order), np.int64)
        rank[by_order] = np.arange(len(by_order))
        by_run = np.argsort(self._column("run"), kind="stable")
        best = np.maximum.accumulate(rank[by_run]) if len(by_run) else rank
        return Steps(
            self._column("run")[by_run].tolist(),
            [-1, *self._visible[by_order[best]].tolist()],
        )

    @cached_property
    def _by_time(self) -> list[int]:
        """All versions by time of validity, equal times by the adding."""
        import numpy as np

        keys = (self._ties, self._column("order"), self._column("time_sec"))
        found: list[int] = self._visible[np.lexsort(keys)].tolist()
        return found

    def _closest(self, rule: Closest) -> int:
        times = self._times
        after = bisect_right(times, rule.time)
        if after == len(times):
            return self._by_time[-1] if times else -1
        # Of the first later time, the last added.
        later = bisect_right(times, times[after]) - 1
        if after and rule.time - times[after - 1] < times[later] - rule.time:
            return self._by_time[after - 1]
        return self._by_time[later]

    @cached_property
    def _times(self) -> list[int]:
        column = self._index.numbers["time_sec"]
        return [column[number] for number in self._by_time]

    def _fallback(self, experiment: str) -> "Steps":
        """For the fallback: the latest in time of the others, or of this experiment's later ones.

        Those take part only at the runs that they cover.
        """
        if experiment not in self._fallbacks:
            experiments, numbers = self._index.experiments, self._index.numbers
            later = list(takewhile(lambda n: experiments[n] == experiment, reversed(self._by_time)))
            others = self._by_time[: len(self._by_time) - len(later)]
            ranges = [(numbers["run"][n], numbers["end"][n], n) for n in later]
            self._fallbacks[experiment] = _painted(ranges, others[-1] if others else -1)
        return self._fallbacks[experiment]

    def __len__(self) -> int:
        """Return how many versions are visible."""
        return len(self._visible)


class Steps(NamedTuple):
    """Along the runs: where the winner changes, and the number of each winner, -1 for nobody."""

    breaks: list[int]
    winners: list[int]

    def at(self, run: int) -> int:
        """Return the winner for a run."""
        return self.winners[bisect_right(self.breaks, run)]


def _painted(ranges: Sequence[tuple[int, int, int]], below: int) -> Steps:
    """Return who is on top at each run, where ranges lie one over the other.

    Parameters
    ----------
    ranges : sequence of (first run, last run, number)
        The topmost first. Those that begin before run 0 or end before they begin are left out.
    below : int
        Who is there where no range is.
    """
    good = [(height, *given) for height, given in enumerate(ranges) if 0 <= given[0] <= given[1]]
    begins = sorted((begin, height, end, number) for height, begin, end, number in good)
    breaks: list[int] = []
    winners = [below]
    open_ranges: list[tuple[int, int, int]] = []
    begun = 0
    for edge in sorted({run for _, begin, end, _ in good for run in (begin, end + 1)}):
        while begun < len(begins) and begins[begun][0] <= edge:
            heappush(open_ranges, begins[begun][1:])
            begun += 1
        while open_ranges and open_ranges[0][1] < edge:
            heappop(open_ranges)
        top = open_ranges[0][2] if open_ranges else below
        if top != winners[-1]:
            breaks.append(edge)
            winners.append(top)
    return Steps(breaks, winners)
