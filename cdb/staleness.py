"""What is in force and grows old: age, bad pixels, means, against limits.

Limits are those of `DEFAULTS`, then of a TOML file, for a type of constant and for a detector::

    [types.pedestals]
    max_age = "36h"             # min, h, d, w; false: no limit
    max_mean_change = 0.05

    [detectors.jungfrau]        # a detector type, or a short name, which comes last
    pixel_status = { max_bad = 0.02, max_bad_change = 0.005 }
"""

import re
import statistics as stdlib
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypedDict

from cdb import trends
from cdb.bits import has_bits
from cdb.computed import Computed
from cdb.constant import Version
from cdb.errors import BadFile, BadQuestion, BadTime, NotFound, shown
from cdb.reading import AsOf, Readable, Time
from cdb.statistics import joined
from cdb.stores.base import Progress
from cdb.trends import Point
from cdb.validity import parse_time

# What a dark run gives.
DARK = ("pedestals", "pixel_rms", "pixel_status")
# So many versions before the one in force make its trend.
LAST = 5

_AGE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(min|h|d|w)")
_SECONDS = {"min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


@dataclass(frozen=True)
class Limits:
    """What a constant in force may be; None is no limit.

    Attributes
    ----------
    max_age : float or None
        Since its begin of validity [s]. A type with this limit must hold for coming runs.
    max_bad : float or None
        Share of values that say *bad*, see `cdb.bits.count_bad`.
    max_bad_change : float or None
        Of that share, against the median of the versions before.
    max_mean_change : float or None
        Of the mean in any gain range, as a share of the median of the means before.
    """

    max_age: float | None = None
    max_bad: float | None = None
    max_bad_change: float | None = None
    max_mean_change: float | None = None


_NAMES = tuple(limit.name for limit in fields(Limits))
_WEEK = 7 * 86400.0
DEFAULTS: Mapping[str, Limits] = MappingProxyType(
    {
        "pedestals": Limits(max_age=_WEEK, max_mean_change=0.1),
        "pixel_rms": Limits(max_age=_WEEK, max_mean_change=0.5),
        "pixel_status": Limits(max_age=_WEEK, max_bad=0.05, max_bad_change=0.01),
    }
)

Values = Mapping[str, float | None]


@dataclass(frozen=True)
class Thresholds:
    """Limits by type of constant and by detector.

    Attributes
    ----------
    types : mapping
        Values of limits by type of constant.
    detectors : mapping
        By detector type or short name, then by type of constant.
    given : mapping
        Values that replace all others, where a type has that limit at all.
    """

    types: Mapping[str, Values] = field(default_factory=dict)
    detectors: Mapping[str, Mapping[str, Values]] = field(default_factory=dict)
    given: Values = field(default_factory=dict)

    def of(self, detector: str, ctype: str) -> Limits:
        r"""Return the limits of a type of constant of a detector.

        Examples
        --------
        >>> thresholds = parse('[detectors.jungfrau]\npedestals = { max_age = "12h" }')
        >>> thresholds.of("jungfrau_000001", "pedestals").max_age
        43200.0
        >>> thresholds.of("epix100_000001", "pedestals").max_age
        604800.0
        """
        limits = replace(DEFAULTS.get(ctype, Limits()), **self.types.get(ctype, {}))
        for name in (detector.partition("_")[0], detector):
            limits = replace(limits, **self.detectors.get(name, {}).get(ctype, {}))
        meant = {k: v for k, v in self.given.items() if getattr(limits, k) is not None}
        return replace(limits, **meant)


def read(path: Path | str) -> Thresholds:
    """Return the thresholds of a TOML file.

    Raises
    ------
    BadFile
        If it cannot be read, or says what is no limit.
    """
    try:
        return parse(Path(path).read_text(encoding="utf-8"), name=str(path))
    except FileNotFoundError:
        raise BadFile(f"there is no file {path}; give the path of a TOML file") from None
    except UnicodeDecodeError as error:
        raise BadFile(f"{path} is no UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise BadFile(f"cannot read {path}: {error.strerror or error}") from None


def parse(text: str, name: str = "the TOML text") -> Thresholds:
    """Return the thresholds that a TOML text says; errors are those of `read`."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadFile(f"{name} is no TOML: {error}") from None
    unknown = {*tables} - {"types", "detectors"}
    if unknown:
        raise BadFile(
            f"{name}: no table [{min(unknown)}] is known; write [types.pedestals] or "
            "[detectors.jungfrau]"
        )
    types = _by_ctype(tables.get("types", {}), f"{name}: types")
    by_detector = _table(tables.get("detectors", {}), f"{name}: detectors")
    detectors = {
        detector: _by_ctype(table, f"{name}: detectors.{detector}")
        for detector, table in by_detector.items()
    }
    return Thresholds(types, detectors)


def _table(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadFile(f"{where} is {shown(value)}; it must be a table")
    return value


def _by_ctype(value: Any, where: str) -> dict[str, Values]:
    found: dict[str, Values] = {}
    for ctype, limits in _table(value, where).items():
        place = f"{where}.{ctype}"
        found[ctype] = {k: _limit(k, v, place) for k, v in _table(limits, place).items()}
    return found


def _limit(name: str, value: Any, where: str) -> float | None:
    if name not in _NAMES:
        raise BadFile(f"{where}: {name} is no limit; there are {', '.join(_NAMES)}")
    if value is False:
        return None
    if name == "max_age":
        try:
            return parse_age(value)
        except BadTime as error:
            raise BadFile(f"{where}: max_age: {error}") from None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise BadFile(f"{where}: {name} is {shown(value)}; give a share, as 0.05, or false")
    return float(value)


def parse_age(value: object) -> float:
    """Return an age in seconds.

    Raises
    ------
    BadTime
        If it is no number with a unit.

    Examples
    --------
    >>> parse_age("36h"), parse_age("1.5d"), parse_age("90 min")
    (129600.0, 129600.0, 5400.0)
    """
    found = _AGE.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise BadTime(f"{shown(value)} is no age; give a number and min, h, d or w, as 36h or 7d")
    return float(found[1]) * _SECONDS[found[2]]


# What is in force ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Condition:
    """How it stands with one type of constant of a detector.

    Attributes
    ----------
    detector, ctype : str
        Short name, type of the constant.
    version : Version or None
        What holds for coming runs, or at the time that was asked about; None if nothing does.
    age : float or None
        Of that since its begin of validity [s].
    last_dark : datetime or None
        Begin of validity of the detector's latest dark constant, in force or not.
    since_dark : float or None
        Since then [s].
    bad, bad_change : float or None
        Share of bad values; less the median of the versions before.
    mean : float or None
        Of all values; None where they are bits.
    mean_change : float or None
        The largest of any gain range, as a share of the median of the means before.
    gain : str or None
        The gain range of that change.
    before : int
        How many versions before were looked at.
    reasons : tuple of str
        Why it is stale; empty if it is not.
    """

    detector: str
    ctype: str
    version: Version | None
    age: float | None = None
    last_dark: datetime | None = None
    since_dark: float | None = None
    bad: float | None = None
    bad_change: float | None = None
    mean: float | None = None
    mean_change: float | None = None
    gain: str | None = None
    before: int = 0
    reasons: tuple[str, ...] = ()

    @property
    def stale(self) -> bool:
        """Whether a limit is passed."""
        return bool(self.reasons)

    def as_json(self) -> dict[str, Any]:
        """Return it for a script."""
        version = self.version
        return {
            "detector": self.detector,
            "ctype": self.ctype,
            "stale": self.stale,
            "reasons": list(self.reasons),
            "id": version and version.id,
            "database": version and version.database,
            "valid_from": version and version.time and version.time.isoformat(),
            "age": self.age,
            "last_dark": self.last_dark and self.last_dark.isoformat(),
            "since_dark": self.since_dark,
            "bad": self.bad,
            "bad_change": self.bad_change,
            "mean": self.mean,
            "mean_change": self.mean_change,
            "gain": self.gain,
            "before": self.before,
        }


@dataclass(frozen=True)
class InForce:
    """What holds of one type of constant of a detector, and what came before it.

    Attributes
    ----------
    detector, ctype : str
        Short name, type of the constant.
    version : Version or None
        What holds for coming runs, or at the time that was asked about; None if nothing does.
    before : tuple of Version
        Versions before it, the oldest first; empty if no trend is asked for.
    last_dark : datetime or None
        Begin of validity of the detector's latest dark constant, in force or not.
    now : datetime
        When its age is taken.
    measured : tuple of Version
        Whose data its condition needs.
    """

    detector: str
    ctype: str
    version: Version | None
    before: tuple[Version, ...]
    last_dark: datetime | None
    now: datetime
    measured: tuple[Version, ...]


class _State(TypedDict):
    """As of when one asks: an event, a time, or a tag."""

    as_of: AsOf | None
    tag: str | None


def stale(
    db: Readable,
    *,
    detector: str | None = None,
    experiment: str | None = None,
    thresholds: Thresholds | None = None,
    time: Time | None = None,
    as_of: AsOf | None = None,
    tag: str | None = None,
    last: int = LAST,
    kept: Computed | None = None,
) -> list[Condition]:
    """Return how it stands with each type of constant of each detector.

    Parameters
    ----------
    db : Readable
        To look into.
    detector, experiment, time, as_of, tag, last : optional
        See `in_force`.
    thresholds : Thresholds, optional
        Limits; `DEFAULTS` without them.
    kept : Computed, optional
        Where numbers are kept; None computes them.

    Raises
    ------
    BadQuestion
        If `last` is negative.
    NotFound
        If there are no constants at all.
    Corrupt
        If the stored bytes of a version are not those that were deployed.

    Examples
    --------
    >>> import cdb, numpy
    >>> db, names = cdb.open("memory://"), {"detector": "epix100_000001", "ctype": "pedestals"}
    >>> version = db.add(numpy.ones((2, 3)), time="2021-10-01T00:00:00Z", **names)
    >>> [found] = stale(db, time="2021-10-20T00:00:00Z")
    >>> found.stale, found.reasons
    (True, ('19 d old, limit 7 d',))
    """
    there = in_force(
        db, detector=detector, experiment=experiment, time=time, as_of=as_of, tag=tag, last=last
    )
    return conditions(db, there, thresholds or Thresholds(), kept=kept)


def in_force(
    db: Readable,
    *,
    detector: str | None = None,
    experiment: str | None = None,
    time: Time | None = None,
    as_of: AsOf | None = None,
    tag: str | None = None,
    last: int = LAST,
    may_read: Callable[[str], bool] = lambda _: True,
) -> list[InForce]:
    """Return what holds of each type of constant, without reading data.

    Parameters
    ----------
    db : Readable
        To look into.
    detector : str, optional
        Short or long name; all detectors, of the experiment if one is named, without it.
    experiment : str, optional
        Whose analysis it is.
    time : datetime, int, float or str, optional
        As it stood at this time of validity; now without it.
    as_of : int, datetime or str, optional
        Event or time.
    tag : str, optional
        Tag, instead.
    last : int, optional
        So many versions before the one in force make its trend; with 0 no data will be read.
    may_read : callable, optional
        From the name of a database to whether it is to be looked into. A detector is left out
        where one of those is not that its constants are looked for in.

    Raises
    ------
    BadQuestion
        If `last` is negative.
    NotFound
        If there are no constants at all.
    """
    if last < 0:
        raise BadQuestion(f"last is {last}; give 0 (no trend) or more")
    now = datetime.now(UTC) if time is None else parse_time(time)
    found: list[InForce] = []
    state: _State = {"as_of": as_of, "tag": tag}
    for name in _detectors(db, detector, experiment, state):
        places = db.places(name, experiment)
        if not all(may_read(place.database) for place in places):
            continue
        found += _of_detector(db, name, experiment, time, state, now, last)
    if not found:
        # For cron, a name that is mistyped must not read as *fresh*.
        where = " and ".join(each for each in (detector, experiment) if each) or "this store"
        raise NotFound(f"no constants of {where} are there; `cdb ls` shows what there is")
    return found


def _detectors(
    db: Readable, detector: str | None, experiment: str | None, state: _State
) -> list[str]:
    if detector is not None:
        return [db.short_name(detector, **state)]
    if experiment is not None:
        found = db.find(experiment=experiment, **state)
        return sorted({version.collection for version in found})
    return sorted(str(each["detector"]) for each in db.detectors(**state))


def _of_detector(
    db: Readable,
    detector: str,
    experiment: str | None,
    time: Time | None,
    state: _State,
    now: datetime,
    last: int,
) -> Iterator[InForce]:
    constants = db.detector(detector, experiment=experiment, time=time, **state).calibconst
    holding = {ctype: constants.version(ctype) for ctype in constants}
    filed = db.find(detector=detector, experiment=experiment, time=time, **state)
    types = {*holding, *(version.ctype for version in filed)}
    if {version.database for version in holding.values()} - {v.database for v in filed}:
        # What holds is the detector's own, and so is what came before it.
        filed += db.find(detector=detector, time=time, **state)
    dark = [v.time for v in filed if v.ctype in DARK and v.time is not None]
    for ctype in sorted(types):
        version = holding.get(ctype)
        before = tuple(_before(version, filed)[-last:]) if version and last else ()
        measured = (version, *before) if version and last else ()
        yield InForce(detector, ctype, version, before, max(dark, default=None), now, measured)


def conditions(
    db: Readable,
    there: Iterable[InForce],
    thresholds: Thresholds,
    *,
    kept: Computed | None = None,
    progress: Progress | None = None,
) -> list[Condition]:
    """Return how it stands with what is in force, against limits.

    Parameters
    ----------
    db : Readable
        Where the data are.
    there : iterable of InForce
        As `in_force` gives it.
    thresholds : Thresholds
        Limits.
    kept, progress : optional
        See `cdb.trends.numbers_of`.
    """
    return [_condition(db, each, thresholds, kept, progress) for each in there]


def _condition(
    db: Readable,
    there: InForce,
    thresholds: Thresholds,
    kept: Computed | None,
    progress: Progress | None,
) -> Condition:
    version, limits = there.version, thresholds.of(there.detector, there.ctype)
    made = Condition(
        there.detector,
        there.ctype,
        version,
        age=_since(version.time if version else None, there.now),
        last_dark=there.last_dark,
        since_dark=_since(there.last_dark, there.now),
    )
    if version is None:
        return replace(made, reasons=tuple(_why_nothing(limits)))
    if there.measured:
        point, *before = (
            trends.numbers_of(db, each, kept=kept, progress=progress) for each in there.measured
        )
        if point.note.startswith(trends.UNREADABLE):
            return replace(made, reasons=(point.note,))
        made = _with_trend(made, point, [each for each in before if each.parts])
    return replace(made, reasons=tuple(_reasons(made, limits)))


def _before(version: Version, filed: Iterable[Version]) -> list[Version]:
    """Return the versions of the same type and database before one, the oldest first."""
    same = (v for v in filed if (v.ctype, v.database) == (version.ctype, version.database))
    timed = [v for v in same if v.time is not None and v.id != version.id]
    if version.time is None:
        return []
    place = trends.age_order(version)
    return sorted((v for v in timed if trends.age_order(v) < place), key=trends.age_order)


def _since(time: datetime | None, now: datetime) -> float | None:
    """Return an age [s]; what begins later is new."""
    return None if time is None else max(0.0, (now - time).total_seconds())


def _with_trend(made: Condition, point: Point, before: list[Point]) -> Condition:
    """Return a condition with the numbers of what is in force, and how they changed."""
    whole = point.numbers
    if whole is None or not whole.size:
        return made
    bad = whole.bad / whole.size
    made = replace(made, bad=bad, before=len(before))
    earlier = [joined(part.numbers for part in each.parts) for each in before]
    shares = [numbers.bad / numbers.size for numbers in earlier if numbers.size]
    if shares:
        made = replace(made, bad_change=bad - stdlib.median(shares))
    if has_bits(made.ctype) or not whole.n:
        return made  # a mean of bits says nothing
    made = replace(made, mean=whole.mean)
    ranges = [trends.by_gain(each.parts) for each in before]
    changes: list[tuple[float, str | None]] = []
    for gain, numbers in trends.by_gain(point.parts).items():
        means = [each[gain].mean for each in ranges if gain in each and each[gain].n]
        usual = stdlib.median(means) if means else 0.0
        if numbers.n and usual:
            changes.append(((numbers.mean - usual) / abs(usual), gain))
    if changes:
        change, gain = max(changes, key=lambda each: abs(each[0]))
        made = replace(made, mean_change=change, gain=gain)
    return made


def _why_nothing(limits: Limits) -> Iterator[str]:
    if limits.max_age is not None:
        yield "nothing holds for coming runs"


def _reasons(made: Condition, limits: Limits) -> Iterator[str]:
    """Yield the limits that are passed, as sentences."""
    if _above(made.age, limits.max_age):
        yield f"{age(made.age)} old, limit {age(limits.max_age)}"
    if _above(made.bad, limits.max_bad):
        yield f"{share(made.bad)} of the values are bad, limit {share(limits.max_bad)}"
    if _above(made.bad_change, limits.max_bad_change):
        yield (
            f"the share of bad values grew by {share(made.bad_change)}, "
            f"limit {share(limits.max_bad_change)}"
        )
    if made.mean_change is not None and _above(abs(made.mean_change), limits.max_mean_change):
        where = "" if made.gain is None else f" of {made.gain}"
        yield (
            f"the mean{where} changed by {share(made.mean_change)}, "
            f"limit {share(limits.max_mean_change)}"
        )


def _above(value: float | None, limit: float | None) -> bool:
    return value is not None and limit is not None and value > limit


def age(seconds: float | None) -> str:
    """Return an age for people.

    Examples
    --------
    >>> age(59), age(5400), age(100 * 3600), age(None)
    ('0 min', '90 min', '4 d', '')
    """
    if seconds is None:
        return ""
    for unit in ("d", "h"):
        if seconds >= 2 * _SECONDS[unit]:
            return f"{int(seconds // _SECONDS[unit])} {unit}"
    return f"{int(seconds // 60)} min"


def share(value: float | None, sign: str = "") -> str:
    """Return a share for people; with the sign ``+`` a change of one.

    Examples
    --------
    >>> share(0.01234), share(-0.5), share(1.234, "+"), share(None)
    ('1.2 %', '-50 %', '+123 %', '')
    """
    if value is None:
        return ""
    percent = 100 * value
    return f"{percent:{sign}.2g} %" if abs(percent) < 99.5 else f"{percent:{sign}.0f} %"
