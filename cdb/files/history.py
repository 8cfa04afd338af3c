"""HISTORY of a folder of an LCLS-I calibration tree: who put which file there, one line a deed.

A line holds ``key:value`` fields, in one of three dialects or as the record of a removal:

============ ==================================================================================
dialect      written by
============ ==================================================================================
``finder``   the deployers of CalibFileFinder: ``comment:`` ends the line
``deploy``   the later deploy scripts: ``ctype:`` and ``cwd:``, no zone; ``cmt:`` ends the line
``calibman`` calibman and calibrun: ``comment:`` in the midst, user, host and time after it
``delete``   calibman's file manager: ``cmd:`` says what became of the file
============ ==================================================================================

The last record of a file is the one that counts.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from types import MappingProxyType

from cdb.errors import BadFile, shown

NAME = "HISTORY"
TIME = "%Y-%m-%dT%H:%M:%S"

# The spaces are those of the old writers, to the letter.
DIALECTS: Mapping[str, str] = MappingProxyType(
    {
        "finder": "file:{file:14}  copy_of:{copy_of}  exp:{exp:8}  run:{run:4}  app:{app:10}  "
        "user:{user}  host:{host}  cptime:{moment:29}  comment:{comment}",
        "deploy": "file:{file:14} copy_of:{copy_of} ctype:{ctype} user:{user} host:{host} "
        "cptime:{cptime} cwd:{cwd} cmt:{cmt}",
        "calibman": "file:{file:14}  copy_of:{copy_of}  exp:{exp:8}  run:{run:4}  "
        "comment:{comment:10}  user:{user}  host:{host}  cptime:{moment:29}",
        "delete": "file:{file:14}  cmd:{cmd:4}  comment:{comment:10}  user:{user}  host:{host}  "
        "cptime:{moment:29}",
    }
)

# SLAC's clock, where the trees lie, by the rule of all years in which LCLS took data; a rule needs
# no table of zones, which not every machine has.
_SLAC = "PST8PDT,M3.2.0,M11.1.0"
_ZONES = {"PST": -8, "PDT": -7, "UTC": 0, "GMT": 0}

_KEY = re.compile(r"(?:^|(?<=\s))([A-Za-z_]\w*):")
_COMMENTS = ("comment", "cmt")
# What follows a comment in the dialects that do not end with it.
_AFTER = re.compile(r"(.*)\suser:(\S*)\s+host:(\S*)\s+cptime:(\S*)(?:\s+zone:(\S*))?\s*", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")


@dataclass(frozen=True)
class Record:
    """A line of HISTORY.

    Attributes
    ----------
    line : str
        As it stands, without its end.
    number : int
        Of the line in its file, from 1.
    fields : mapping of str to str
        By their keys, in order; values without blanks around them.
    """

    line: str
    number: int = 0
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def file(self) -> str:
        """Name of the file that the record is about."""
        return self.fields.get("file", "")

    @property
    def comment(self) -> str:
        """What the writer said, under either key."""
        return next((self.fields[key] for key in _COMMENTS if key in self.fields), "")

    @property
    def removes(self) -> bool:
        """Whether the file was removed."""
        return "cmd" in self.fields

    @property
    def time(self) -> datetime | None:
        """When it happened, in UTC; None if the record does not say so that one can tell."""
        return parse_time(self.fields.get("cptime", ""), self.fields.get("zone", ""))


def ignore(number: int, line: str) -> None:
    """Let a line pass that is no record."""


def parse(text: str, report: Callable[[int, str], object] = ignore) -> list[Record]:
    """Return the records of a HISTORY, in order.

    Parameters
    ----------
    text : str
        Of the whole file. Empty lines are passed over.
    report : callable, optional
        Called with the number and the text of each line that names no file.

    Notes
    -----
    A comment keeps all its words, up to the end of the line or to the ``user:``, ``host:`` and
    ``cptime:`` that calibman writes after it. A word without a colon belongs to the value before
    it, so that paths with blanks stay whole.

    Examples
    --------
    >>> [one] = parse("file:1-end.data  user:me  host:here  cptime:2020-01-02T03:04:05  zone:PST"
    ...               "  comment:dark of run: 7")
    >>> one.file, one.comment, one.time.isoformat()
    ('1-end.data', 'dark of run: 7', '2020-01-02T11:04:05+00:00')
    """
    records = []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.rstrip("\r")
        if not line.strip():
            continue
        fields = _fields(line)
        if fields.get("file"):
            records.append(Record(line, number, MappingProxyType(fields)))
        else:
            report(number, line)
    return records


def format(fields: Mapping[str, str], dialect: str) -> str:
    """Return a line of HISTORY, without its end, as the old writer of a dialect wrote it.

    Parameters
    ----------
    fields : mapping of str to str
        By their keys; what the dialect has no place for is left out, what it has and is not
        given stays empty.
    dialect : str
        One of `DIALECTS`.

    Raises
    ------
    BadFile
        If a value would break the line.

    Examples
    --------
    >>> format({"file": "1-end.data", "ctype": "geometry", "cmt": "by hand"}, "deploy")
    'file:1-end.data     copy_of: ctype:geometry user: host: cptime: cwd: cmt:by hand'
    """
    broken = next((key for key, value in fields.items() if _CONTROL.search(value)), None)
    if broken is not None:
        raise BadFile(
            f"{broken} {shown(fields[broken])} of a line of {NAME} holds a line break or another "
            "control character; a record is one line of text"
        )
    comment = next((fields[key] for key in _COMMENTS if key in fields), "")
    moment = fields.get("cptime", "")
    if fields.get("zone"):
        moment = f"{moment}  zone:{fields['zone']}"
    known = dict.fromkeys(("file", "copy_of", "exp", "run", "app", "ctype", "cmd"), "")
    known |= dict.fromkeys(("user", "host", "cptime", "cwd"), "")
    given = known | dict(fields) | {"moment": moment, "comment": comment, "cmt": comment}
    return DIALECTS[dialect].format(**given).rstrip()


def standing(records: Iterable[Record]) -> dict[str, Record]:
    r"""Return the record that counts of each file, by name; none of one that was removed.

    If there is such a file all the same, it came without a record.

    Examples
    --------
    >>> list(standing(parse("file:1-end.data user:me\nfile:1-end.data cmd:rm user:me")))
    []
    """
    last = {record.file: record for record in records}
    return {name: record for name, record in last.items() if not record.removes}


# Times -----------------------------------------------------------------------------------------


def parse_time(text: str, zone: str = "") -> datetime | None:
    """Return the moment of a stamp in a tree, in UTC; None if it is none.

    Parameters
    ----------
    text : str
        As ``2020-01-02T03:04:05``.
    zone : str, optional
        PST, PDT, UTC or GMT; empty for SLAC's clock on that day.

    Examples
    --------
    >>> parse_time("2020-07-02T03:04:05").isoformat(), parse_time("2020-07-02T03:04:05", "CEST")
    ('2020-07-02T10:04:05+00:00', None)
    """
    try:
        moment = datetime.strptime(text, TIME)  # noqa: DTZ007 - the zone stands beside it
    except ValueError:
        return None
    if zone and zone not in _ZONES:
        return None
    offset = timezone(timedelta(hours=_ZONES[zone])) if zone else _slac()
    try:
        return moment.replace(tzinfo=offset).astimezone(UTC)
    except OverflowError:
        return None


def stamp(moment: datetime) -> tuple[str, str]:
    """Return a moment as trees have it: by SLAC's clock, and the zone's name on that day.

    Examples
    --------
    >>> stamp(datetime(2020, 1, 2, 11, 4, 5, tzinfo=UTC))
    ('2020-01-02T03:04:05', 'PST')
    """
    there = moment.astimezone(_slac())
    return there.strftime(TIME), there.strftime("%Z")


# In common -------------------------------------------------------------------------------------


def _slac() -> tzinfo:
    from dateutil.tz import tzstr  # only where a time is asked for

    return tzstr(_SLAC)


def _fields(line: str) -> dict[str, str]:
    """Return the fields of a line; none of a line that begins with no key."""
    found = list(_KEY.finditer(line))
    fields: dict[str, str] = {}
    ends = [at.start() for at in found[1:]] + [len(line)]
    for at, end in zip(found, ends, strict=False):
        if at[1] in _COMMENTS:
            return fields | _comment(at[1], line[at.end() :], "user" in fields)
        fields[at[1]] = line[at.end() : end].strip()
    return fields


def _comment(key: str, rest: str, is_last: bool) -> dict[str, str]:
    """Return a comment and what calibman writes after it, from the rest of the line."""
    after = None if is_last else _AFTER.fullmatch(rest)
    if after is None:
        return {key: rest.strip()}
    values = zip((key, "user", "host", "cptime", "zone"), after.groups(), strict=True)
    return {name: value.strip() for name, value in values if value is not None}
