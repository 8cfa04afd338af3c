"""Run ranges and times: parse, order, contain.

A constant holds from its first to its last run, both included, and from its time on. Runs are
integers; an open end is infinity here, ``end`` in psana's documents, and `OPEN_END` as a number
that databases can order. Times are aware and in UTC; a time without its zone is refused.
"""

import math
import numbers
import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from cdb.errors import BadRun, BadTime, shown

OPEN_END = 2**53  # the stored number of an open end; every run is below
LAST_PSANA_RUN = 9999  # what psana takes `end` for; it passes over documents with runs above
END = "end"

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LCLS_EPOCH = 631_152_000  # 1990-01-01 [Unix seconds], where LCLS-II's stamps begin
LAST_SECOND = 5_000_000_000  # psana's bound of seconds: year 2128
# LCLS saw its first light in 2009. Milliseconds, microseconds and nanoseconds since 1970, read
# as a stamp, all lie before, and so are found out.
FIRST_STAMP = 1_230_768_000 - LCLS_EPOCH

_DIGITS = re.compile(r"0*([0-9]{1,16})")
# Nine digits at least: a text as short as "20211001" is rather a date, and "5" is neither.
_SECONDS = re.compile(r"[0-9]{9,19}(\.[0-9]{1,9})?")
# What dateutil would read besides is left out: 20211001T00Z, week 39, and 24:00 for the next day.
_TEXT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ](?!24)([0-9]{2}:[0-9]{2}[0-9:.,]*) ?(.*)", re.IGNORECASE
)
_OFFSET = re.compile("[+-][0-9:]+")
_LARGEST_OFFSET = timedelta(hours=15)
_GOOD_TIMES = "write 2021-10-01T00:00:00Z or 2021-10-01T00:00:00-0800"


# Runs ------------------------------------------------------------------------------------------


def parse_run(value: object, what: str = "run") -> int:
    """Return a run number.

    Parameters
    ----------
    value : int or str
        An integer of Python or NumPy, or its decimal text.
    what : str, optional
        What it is called in the error.

    Raises
    ------
    BadRun
        If it is not an integer from 0 to 2**53 - 1.

    Examples
    --------
    >>> parse_run(7), parse_run("0012")
    (7, 12)
    >>> parse_run(-1)
    Traceback (most recent call last):
        ...
    cdb.errors.BadRun: run -1 is not an integer from 0 to 9007199254740991; give one, as 7 or '7'
    """
    run = _integer(value)
    if run is None or not 0 <= run < OPEN_END:
        raise BadRun(
            f"{what} {shown(value)} is not an integer from 0 to {OPEN_END - 1}; "
            "give one, as 7 or '7'"
        )
    return run


def parse_run_end(value: object) -> int | float:
    """Return the last run of a range, infinity for an open end.

    Parameters
    ----------
    value : int, str or None
        As `parse_run` takes it; ``"end"``, in any case, None and infinity leave the end open.

    Raises
    ------
    BadRun
        If it is neither.

    Examples
    --------
    >>> parse_run_end("20"), parse_run_end("end")
    (20, inf)
    """
    if isinstance(value, str) and value.strip().lower() == END:
        return math.inf
    if value is None or (isinstance(value, float) and value == math.inf):
        return math.inf
    try:
        return parse_run(value)
    except BadRun:
        raise BadRun(
            f"last run {shown(value)} is neither an integer from 0 to {OPEN_END - 1} nor 'end'; "
            "give a number, or 'end' for an open end"
        ) from None


@dataclass(frozen=True)
class RunRange:
    """The runs from `begin` to `end`, both included.

    Attributes
    ----------
    begin : int
        First run.
    end : int or float
        Last run, infinity if open.

    Examples
    --------
    >>> runs = RunRange.parse(5, "end")
    >>> 5 in runs, 4 in runs, str(runs), runs.stored_end == OPEN_END
    (True, False, '5-end', True)
    """

    begin: int
    end: int | float = math.inf

    def __post_init__(self) -> None:
        """Refuse a range that ends before it begins."""
        if self.end < self.begin:
            raise BadRun(
                f"the range of runs ends before it begins: the first is {self.begin}, the last "
                f"{self.end}; give a last run that is not below, or 'end'"
            )

    @classmethod
    def parse(cls, begin: object, end: object = END) -> Self:
        """Return the range between two runs as users write them.

        Raises
        ------
        BadRun
            If one of them is none, or the end comes first.
        """
        return cls(parse_run(begin, "first run"), parse_run_end(end))

    def __contains__(self, run: int) -> bool:
        """Return whether a run is in the range."""
        return self.begin <= run <= self.end

    def __str__(self) -> str:
        """Return the range as the LCLS-I files are named: ``5-end``."""
        return f"{self.begin}-{self.text_end}"

    @property
    def stored_end(self) -> int:
        """The last run as a number that databases can order, `OPEN_END` if open."""
        return OPEN_END if math.isinf(self.end) else int(self.end)

    @property
    def text_end(self) -> str:
        """The last run as psana's documents have it: digits or ``end``."""
        return END if math.isinf(self.end) else str(self.end)


def range_of(document: Mapping[str, object]) -> RunRange | None:
    """Return the runs that a stored document is valid for, whoever wrote it.

    Parameters
    ----------
    document : mapping
        With ``run``, or ``run_beg``, or neither for run 0; with our numeric ``end``, or
        ``run_end`` as a number or a text, or neither for an open end.

    Returns
    -------
    runs : RunRange or None
        None if nothing can be made of the document.

    Examples
    --------
    >>> str(range_of({"run": 5, "run_end": "20"})), str(range_of({"run_beg": "3"}))
    ('5-20', '3-end')
    >>> range_of({"run": "five"}) is None
    True
    """
    first = (document[name] for name in ("run", "run_beg") if document.get(name) is not None)
    begin = _stored_number(next(first, 0))
    end = _stored_number(document.get("end"))
    if end is None:
        text = document.get("run_end")
        is_open = text is None or (isinstance(text, str) and text.strip().lower() == END)
        end = math.inf if is_open else _stored_number(text)
    if begin is None or end is None or not begin <= end or begin >= OPEN_END:
        return None
    return RunRange(int(begin), math.inf if end >= OPEN_END else end)


# Times -----------------------------------------------------------------------------------------


def parse_time(value: object, *, now: datetime | None = None) -> datetime:
    """Return a moment in UTC.

    Parameters
    ----------
    value : datetime, int, float or str
        An aware datetime; seconds since 1970, above 0 and below 5e9 [s]; a 64-bit stamp of
        LCLS-II, with the seconds since 1990 in its upper half and nanoseconds in its lower; the
        decimal text of one of these, of nine digits at least; a date with time and zone; or
        ``now``.
    now : datetime, optional
        What ``now`` means, for tests.

    Returns
    -------
    time : datetime
        Aware, in UTC, to the microsecond.

    Raises
    ------
    BadTime
        If it is none of these. A date without a zone is refused, as it is a different time in
        Stanford and in Hamburg; names of zones such as PST are, as several zones share them.

    Notes
    -----
    The offset in a text is obeyed. psana ignores it, and takes the wall clock for the local one.

    Examples
    --------
    >>> int(parse_time("2021-10-01T00:00:00-0800").timestamp())
    1633075200
    >>> parse_time(1001894400 << 32).isoformat()
    '2021-10-01T00:00:00+00:00'
    >>> parse_time("2021-10-01 00:00:00")
    Traceback (most recent call last):
        ...
    cdb.errors.BadTime: time '2021-10-01 00:00:00' has no zone; write ...
    """
    if isinstance(value, str):
        return _time_of_text(value, now)
    if isinstance(value, datetime):
        return _in_utc(value, value)
    number = _integer(value)
    if number is not None:
        return _time_of_integer(number, value)
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return _time_of_seconds(float(value), value)
    raise BadTime(
        f"time {shown(value)} is of type {type(value).__name__}; "
        f"give an aware datetime, Unix seconds, a stamp or a text: {_GOOD_TIMES}"
    )


def microseconds(time: datetime) -> int:
    """Return Unix microseconds.

    Raises
    ------
    BadTime
        If the time has no zone.

    Examples
    --------
    >>> microseconds(datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC))
    1000005
    """
    return (_in_utc(time, time) - EPOCH) // timedelta(microseconds=1)


def seconds(time: datetime) -> int:
    """Return Unix seconds, rounded down.

    Raises
    ------
    BadTime
        If the time has no zone.

    Examples
    --------
    >>> seconds(datetime(1970, 1, 1, 0, 0, 1, 999_999, tzinfo=UTC))
    1
    """
    return microseconds(time) // 1_000_000


def time_of(document: Mapping[str, object]) -> datetime | None:
    """Return the begin of validity of a stored document, whoever wrote it.

    Returns
    -------
    time : datetime or None
        In UTC; None if nothing can be made of ``time_sec``.

    Examples
    --------
    >>> time_of({"time_sec": 1_633_075_200.9}), time_of({"time_sec": "yesterday"})
    (datetime.datetime(2021, 10, 1, 8, 0, tzinfo=datetime.timezone.utc), None)
    """
    count = document.get("time_sec")
    if isinstance(count, bool) or not isinstance(count, int | float):
        return None
    try:
        return EPOCH + timedelta(seconds=math.floor(count))
    except (OverflowError, ValueError):
        return None


def to_the_second(time: datetime | None) -> str:
    """Return a moment as tables show it, ``?`` for None.

    Examples
    --------
    >>> to_the_second(from_microseconds(1_633_075_200_000_000))
    '2021-10-01 08:00:00Z'
    """
    return "?" if time is None else f"{time:%Y-%m-%d %H:%M:%S}Z"


def from_microseconds(count: int) -> datetime:
    """Return the moment in UTC of Unix microseconds.

    Raises
    ------
    BadTime
        If it is outside the years 1 to 9999.

    Examples
    --------
    >>> from_microseconds(1_633_075_200_000_000).isoformat()
    '2021-10-01T08:00:00+00:00'
    """
    try:
        return EPOCH + timedelta(microseconds=count)
    except OverflowError:
        raise BadTime(
            f"{shown(count)} microseconds since 1970 are outside the years 1 to 9999; "
            "microseconds of today are about 1.8e15"
        ) from None


def time_stamp(time: datetime) -> str:
    """Return a moment as psana's documents have it: in this machine's zone, with the offset.

    Raises
    ------
    BadTime
        If the time has no zone.

    Examples
    --------
    >>> parse_time(time_stamp(EPOCH)) == EPOCH
    True
    """
    return _in_utc(time, time).astimezone().strftime("%Y-%m-%dT%H:%M:%S%z")


# In common -------------------------------------------------------------------------------------


def _integer(value: object) -> int | None:
    """Return the integer that a value is or spells, None if it does not."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        digits = _DIGITS.fullmatch(value)
        return int(digits[1]) if digits else None
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def _stored_number(value: object) -> int | float | None:
    """Return a run of a document; MongoDB's shell stores whole numbers as floats."""
    if isinstance(value, float):
        whole = value.is_integer() or value == math.inf
        value = (int(value) if value < OPEN_END else OPEN_END) if whole else None
    elif isinstance(value, str):
        value = value.strip()
    number = _integer(value)
    return number if number is not None and number >= 0 else None


def _in_utc(time: datetime, value: object) -> datetime:
    """Return an aware time in UTC; `value` is what the user gave."""
    if time.utcoffset() is None:
        raise BadTime(f"time {shown(str(value))} has no zone; {_GOOD_TIMES}")
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise BadTime(
            f"time {shown(str(value))} is outside the years 1 to 9999 in UTC; {_GOOD_TIMES}"
        ) from None


def _time_of_integer(number: int, value: object) -> datetime:
    if number < LAST_SECOND:
        return _time_of_seconds(number, value)
    since_1990, nanoseconds = divmod(number, 2**32)
    if not FIRST_STAMP <= since_1990 < 2**32 or nanoseconds >= 1_000_000_000:
        raise BadTime(
            f"time {shown(value)} is neither Unix seconds (above 0, below {LAST_SECOND}) nor an "
            "LCLS-II stamp of 2009 or later (seconds since 1990 in the upper 32 bits, nanoseconds "
            f"in the lower); {_GOOD_TIMES}"
        )
    return from_microseconds((LCLS_EPOCH + since_1990) * 1_000_000 + nanoseconds // 1000)


def _time_of_seconds(number: int | float, value: object) -> datetime:
    # Not `not 0 < number`: NaN must fail as well.
    if not (0 < number < LAST_SECOND):
        raise BadTime(
            f"time {shown(value)} is not in the Unix seconds above 0 and below {LAST_SECOND}; "
            f"{_GOOD_TIMES}"
        )
    return datetime.fromtimestamp(number, UTC)


def _time_of_text(text: str, now: datetime | None) -> datetime:
    if text == "now":
        return datetime.now(UTC) if now is None else _in_utc(now, now)
    if number := _SECONDS.fullmatch(text):
        return (
            _time_of_seconds(float(text), text) if number[1] else _time_of_integer(int(text), text)
        )
    found = _TEXT.fullmatch(text)
    if not found:
        raise BadTime(f"time {shown(text)} is not a date, a time and a zone; {_GOOD_TIMES}")
    date, clock, zone = found.groups()
    time = _time_of_iso(f"{date}T{clock}{_iso_zone(zone, text)}", text)
    if abs(time.utcoffset() or timedelta()) > _LARGEST_OFFSET:
        raise BadTime(
            f"the offset {shown(zone)} of time {shown(text)} is no zone's: offsets are from -1500 "
            f"to +1500; {_GOOD_TIMES}"
        )
    return _in_utc(time, text)


def _iso_zone(zone: str, text: str) -> str:
    """Return the zone that a time text ends with, as ISO 8601 has it."""
    if not zone:
        raise BadTime(f"time {shown(text)} has no zone; {_GOOD_TIMES}")
    if zone.upper() in ("Z", "UTC", "GMT"):
        return "Z"
    if _OFFSET.fullmatch(zone):
        return zone
    raise BadTime(
        f"the zone {shown(zone)} of time {shown(text)} is neither Z, UTC, GMT nor an offset; "
        f"{_GOOD_TIMES}"
    )


def _time_of_iso(iso: str, text: str) -> datetime:
    from dateutil.parser import isoparse  # loads as slowly as all of this module

    try:
        return isoparse(iso)
    except ValueError as error:
        raise BadTime(f"time {shown(text)} does not exist: {error}; {_GOOD_TIMES}") from None
