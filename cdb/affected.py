"""Which keys and runs two states, or tags, answer differently.

Along the runs an answer changes only where a range begins or ends, or a tag takes its next step;
so it is asked there alone. And it can have changed only for keys that an event between the states
names, or that a tag pins.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cdb import names, tags
from cdb.constant import RETIRED
from cdb.moments import Moment
from cdb.names import is_tag, parse_tag
from cdb.reading import AsOf, Readable, Time
from cdb.tags import Tag
from cdb.validity import OPEN_END, parse_time, seconds

# A version by its database and its id.
Named = tuple[str, str] | None
Answers = list[tuple[int, Named]]
Key = tuple[str, str | None, str]

# As many events are read; of more it is asked what documents they left.
FEW = 20


@dataclass(frozen=True)
class Affected:
    """A key, and runs of it that are answered differently.

    Attributes
    ----------
    detector : str
        Short name.
    experiment : str or None
        Whose analysis it is; None if the detector is asked directly.
    ctype : str
        Type of the constant.
    first : int or None
        The first of the runs; None if what is meant is a question without a run.
    last : int or None
        The last of them; None for all that follow.
    before, after : (str, str) or None
        Database and id of what is answered; None if nothing is.
    """

    detector: str
    experiment: str | None
    ctype: str
    first: int | None
    last: int | None
    before: Named
    after: Named

    @property
    def runs(self) -> str:
        """The runs in a few words."""
        if self.first is None:
            return "none given"
        if self.last == self.first:
            return str(self.first)
        return f"{self.first}-{'end' if self.last is None else self.last}"

    def as_json(self) -> dict[str, Any]:
        """Return it as the command line and services say it."""
        return {
            "detector": self.detector,
            "experiment": self.experiment,
            "ctype": self.ctype,
            "first": self.first,
            "last": self.last,
            "before": _named(self.before),
            "after": _named(self.after),
        }


def affected_of(said: Mapping[str, Any]) -> Affected:
    """Return what `Affected.as_json` described."""
    ends = (said[name] and (said[name]["database"], said[name]["id"]) for name in _ENDS)
    return Affected(*(said[name] for name in _FIELDS), *ends)


_FIELDS = ("detector", "experiment", "ctype", "first", "last")
_ENDS = ("before", "after")


def _named(version: Named) -> dict[str, str] | None:
    return None if version is None else {"database": version[0], "id": version[1]}


def between(
    db: Readable,
    a: AsOf,
    b: AsOf,
    *,
    detector: str | None = None,
    experiment: str | None = None,
    time: Time | None = None,
    may_read: Callable[[str], bool] = lambda _: True,
) -> Iterator[Affected]:
    """Yield the keys and runs that two states answer differently, by rule ``range``.

    Parameters
    ----------
    db : Readable
        The store's constants.
    a, b : int, datetime or str
        Event, time, or tag: before, and after.
    detector : str, optional
        Only this one.
    experiment : str, optional
        Only its analyses. Without it the detectors' own answers, and those of each experiment
        that has constants of them.
    time : datetime, int, float or str, optional
        Ask for what is valid from this time or earlier.
    may_read : callable, optional
        From the name of a database to whether it is to be told of.

    Raises
    ------
    BadQuestion, NotFound, WrongServer
        As `Readable.moment`. Invalid tags are compared like any other.

    Notes
    -----
    Private databases take no part; nor do documents of other programs, unless their key is
    looked at anyway: `cdb adopt` gives them events.
    """
    now = db.journal.moment()
    second = None if time is None else seconds(parse_time(time))
    sides = _Side(db, now, a, second), _Side(db, now, b, second)
    short = None if detector is None else db.short_name(detector, as_of=now)
    if experiment is not None:
        names.check_experiment(experiment)
    for key in _keys(db, now, sides, short, experiment):
        places = db.places(key[0], key[1])
        if all(may_read(place.database) for place in places):
            yield from _differences(key, *(side.answers(key) for side in sides))


class _Side:
    """A state, or a tag, that is compared."""

    def __init__(self, db: Readable, now: Moment, asked: AsOf, time: int | None) -> None:
        self.db = db
        self.now = now
        self.time = time
        self.tag: Tag | None = None
        self.chain: list[Tag] = []
        if isinstance(asked, str) and is_tag(asked):
            self.tag = tags.find(db.journal, now, parse_tag(asked))
            self.chain = db.meanings.chain(self.tag, now)
            self.moment = self._meant(None, None)
            return
        is_now = isinstance(asked, str) and asked.lower() == "now"
        self.moment = now if is_now else db.moment(asked, head=now.head)

    @property
    def states(self) -> set[int]:
        """Every S that it answers with."""
        return tags.states_of(self.chain) if self.tag else {self.moment.seq}

    @property
    def pinned(self) -> set[tuple[str, str, str, str]]:
        """What it pins: database, collection, type and id."""
        return {(p.database, p.collection, p.ctype, p.id) for tag in self.chain for p in tag.pins}

    def answers(self, key: Key) -> "tuple[Answers, Named]":
        """Return what is answered along the runs, and without a run."""
        detector, experiment, ctype = key
        places = self.db.places(detector, experiment)
        steps = {
            step.run
            for tag in self.chain
            for step in tag.steps
            if step.run is not None and step.experiment == experiment
        }
        begins = sorted({0, *steps})
        found: Answers = []
        for begin, end in zip(begins, [*begins[1:], OPEN_END + 1], strict=True):
            moment = self._meant(experiment, begin)
            along = self.db.along(moment, places, ctype, experiment=experiment, time=self.time)
            found += _cut(along, begin, end)
        without = self._meant(experiment, None)
        if without.seq == self._meant(experiment, OPEN_END).seq:
            return found, found[-1][1]
        along = self.db.along(without, places, ctype, experiment=experiment, time=self.time)
        return found, _at(along, OPEN_END)

    def _meant(self, experiment: str | None, run: int | None) -> Moment:
        if self.tag is None:
            return self.moment
        return self.db.meanings.meant(
            self.tag, self.now, experiment=experiment, run=run, time=self.time
        )


def _cut(along: Answers, begin: int, end: int) -> Answers:
    """Return the answers from a run on, up to before another one."""
    inside = [(run, answer) for run, answer in along if begin < run < end]
    return [(begin, _at(along, begin)), *inside]


def _at(along: Answers, run: int) -> Named:
    return along[bisect_right(along, run, key=lambda each: each[0]) - 1][1]


def _keys(
    db: Readable,
    now: Moment,
    sides: tuple[_Side, _Side],
    detector: str | None,
    experiment: str | None,
) -> Iterator[Key]:
    """Yield the keys whose answers may differ, sorted."""
    filed = {each for each in _filed(db, now, sides, detector) if detector in (None, each[1])}
    shared: dict[tuple[str, str], None] = {}
    found: set[Key] = set()
    for database, short, ctype in filed:
        if database == names.detector_database(short):
            shared[short, ctype] = None
            if experiment is None:
                found.add((short, None, ctype))
        elif experiment is None or database == names.experiment_database(experiment):
            found.add((short, database.removeprefix(names.PREFIX), ctype))
    if shared:
        # What an experiment does not have itself, the detector's database answers.
        others = {experiment: None} if experiment else _experiments(db)
        for short, ctype in shared:
            for name, detectors in others.items():
                if detectors is None or short in detectors:
                    found.add((short, name, ctype))
    yield from sorted(found, key=lambda key: (key[0], key[1] or "", key[2]))


def _experiments(db: Readable) -> dict[str, set[str] | None]:
    """Return the experiments with their detectors."""
    found: dict[str, set[str] | None] = {}
    for database in db.store.databases():
        name = database.removeprefix(names.PREFIX)
        if name != database and database != names.REGISTER and not names.names_a_detector(name):
            found[name] = set(db.store.collections(database))
    return found


def _filed(
    db: Readable, now: Moment, sides: tuple[_Side, _Side], detector: str | None
) -> set[tuple[str, str, str]]:
    """Return database, collection and type of all that events between the states name."""
    states = sides[0].states | sides[1].states
    pinned = sides[0].pinned | sides[1].pinned
    found = {(database, short, ctype) for database, short, ctype, _ in pinned}
    first, last = min(states), max(states)
    if last - first <= FEW:
        named = db.journal.events(after=first, upto=last)
    else:
        named = iter(now.pending)
        found |= _changed(db, first, last, detector)
    for event in named:
        for made in event["versions"]:
            found |= set(_named_in(made))
    return {each for each in found if _is_shelf(each[0], each[1])}


def _changed(
    db: Readable, first: int, last: int, detector: str | None
) -> set[tuple[str, str, str]]:
    """Return the same by the documents: of many events that is less to read."""
    between = {"$gt": first, "$lte": last}
    found: set[tuple[str, str, str]] = set()
    for database in db.store.databases():
        for short in db.store.collections(database):
            if detector not in (None, short) or not _is_shelf(database, short):
                continue
            left = RETIRED + short
            for query in (
                {"detector": {"$in": [short, left]}, "seq": between},
                {"detector": left, "out": between},
            ):
                ctypes = db.store.distinct(database, short, "ctype", query)
                found.update((database, short, str(ctype)) for ctype in ctypes)
    return found


def _named_in(made: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    """Yield the database, collection and type that an entry names."""
    if "document" in made:
        ctype = made["document"].get("ctype")
    elif "set" in made and made["key"].count("/") == 3:
        ctype = made["key"].split("/")[2]
    else:
        return
    if isinstance(ctype, str):
        yield made["database"], made["collection"], ctype


def _is_shelf(database: str, short: str) -> bool:
    """Return whether a database is an experiment's, or the detector's own."""
    name = database.removeprefix(names.PREFIX)
    if name == database or database == names.REGISTER or not names.is_short_name(short):
        return False
    return name == short or not names.names_a_detector(name)


def _differences(
    key: Key, before: tuple[Answers, Named], after: tuple[Answers, Named]
) -> Iterator[Affected]:
    """Yield the longest stretches of runs that are answered differently in the same way."""
    stretches = list(_stretches(before[0], after[0]))
    for number, (first, was, is_now) in enumerate(stretches):
        follows = number + 1 < len(stretches)
        last = stretches[number + 1][0] - 1 if follows else None
        if was != is_now:
            yield Affected(*key, first, last, was, is_now)
    without = (before[1], after[1])
    if without[0] != without[1] and without != stretches[-1][1:]:
        yield Affected(*key, None, None, *without)


def _stretches(before: Answers, after: Answers) -> Iterator[tuple[int, Named, Named]]:
    """Yield where either answer changes, with both."""
    last: tuple[Named, Named] | None = None
    n = m = 0
    run = 0
    while True:
        both = before[n][1], after[m][1]
        if both != last:
            yield run, *both
            last = both
        following = [a[i + 1][0] for a, i in ((before, n), (after, m)) if i + 1 < len(a)]
        if not following:
            return
        run = min(following)
        n += n + 1 < len(before) and before[n + 1][0] == run
        m += m + 1 < len(after) and after[m + 1][0] == run
