"""Repositories of LCLS-I: constants by panel and time, before they are deployed to a tree.

========================= =======================================================================
below                     are
========================= =======================================================================
``calib/constants``       ``<dettype>/<id or name>/<ctype>/``, ``<dettype>/.aliases.txt``, and
                          ``<dettype>/default/<dettype>_default_<ctype>.txt``
``calib/geometry``        ``<dettype>/<dettype>_<alias or name>_<time>.data``,
                          ``<dettype>/<dettype>_default.data``
``gains/jungfrau``        ``<id>[-<time>]/g{0,1,2}_{gain,offset}.npy``, and ``MDEF/``
``gains/epix10k/panels``  ``<id>/<ctype>/``, ``.aliases.txt``
========================= =======================================================================

A panel has a long id and an **alias**, a number of four digits that names of files can hold::

    0007 3925999616-0996579585-0553648138 2022-09-01T12:00:00   xpptut15 r0260 you

A file says of which time it is, by SLAC's clock: ``epix100a_0007_20160318190730_xpptut15_r0260_
gain.txt``. **The file for a time is the newest that is not later.**
"""

import contextlib
import errno
import fcntl
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from cdb import lcls1_names
from cdb.actor import actor
from cdb.errors import BadFile, BadName, BadTime, NotFound, StoreRefused, shown
from cdb.files import history
from cdb.files.groups import UNDEFINED, type_of
from cdb.files.lcls1 import Report, Skipped, warn
from cdb.validity import parse_time

ALIASES = ".aliases.txt"
# Below the folder that SIT_ROOT names.
PLACES: Mapping[str, str] = MappingProxyType(
    {
        "constants": "detector/calib/constants",
        "geometry": "detector/calib/geometry",
        "jungfrau gains": "detector/gains/jungfrau",
        "epix10ka": "detector/gains/epix10k/panels",
        "jungfrau": "detector/gains/jungfrau/panels",
    }
)
# In the names of files with constants.
ENDINGS = (".txt", ".dat", ".data")
# The jungfrau gains of no panel in particular.
COMMON_GAINS = "MDEF"
DEFAULT = "default"

_STAMP = re.compile(r"[0-9]{8}(?:[0-9]{2}){0,3}")
_ALIAS = re.compile(r"[0-9]{4,9}")
_DIGITS = 14
# What separates the fields of a name, or of a line of aliases.
_UNFIT = re.compile(r"[\s/\x00-\x1f\x7f]")


def standard_place(kind: str) -> Path | None:
    """Return where a repository is on LCLS's machines, None where SIT_ROOT is not set.

    Parameters
    ----------
    kind : str
        One of `PLACES`.
    """
    root = os.environ.get("SIT_ROOT")
    return Path(root) / PLACES[kind] if root else None


def _no_step(_: str) -> None:
    """Do nothing: tests stop here."""


# Times -----------------------------------------------------------------------------------------


def parse_stamp(text: str) -> str:
    """Return a time as names of files have it: 14 digits, by SLAC's clock.

    Parameters
    ----------
    text : str
        8 to 14 digits, what is missing being zeros; or a time with its zone.

    Raises
    ------
    BadTime
        If it is none.

    Examples
    --------
    >>> parse_stamp("20160318"), parse_stamp("2016-03-19T02:07:30Z")
    ('20160318000000', '20160318190730')
    """
    if _STAMP.fullmatch(text):
        if not _stamp_in(text):
            raise BadTime(f"{shown(text)} is no time; write the digits of YYYYmmddHHMMSS")
        return _stamp_in(text)
    try:
        return stamp_of(parse_time(text))
    except BadTime:
        raise BadTime(
            f"time {shown(text)} is none; write YYYYmmddHHMMSS, by SLAC's clock, or a time with "
            "its zone, as 2016-03-19T02:07:30Z"
        ) from None


def stamp_of(time: datetime) -> str:
    """Return a moment as names of files have it.

    Examples
    --------
    >>> stamp_of(datetime(2016, 3, 19, 2, 7, 30, tzinfo=UTC))
    '20160318190730'
    """
    return re.sub(r"\D", "", history.stamp(time)[0])


def time_of_stamp(stamp: str) -> datetime:
    """Return the moment that 14 digits name, in UTC.

    Raises
    ------
    BadTime
        If they name none.

    Examples
    --------
    >>> time_of_stamp("20160318190730").isoformat()
    '2016-03-19T02:07:30+00:00'
    """
    moment = _moment(stamp)
    if moment is None:
        raise BadTime(f"{shown(stamp)} is no time; write the digits of YYYYmmddHHMMSS")
    return moment


def _stamp_in(field: str) -> str:
    """Return the time that a part of a name says, 14 digits; empty if it says none."""
    stamp = field.ljust(_DIGITS, "0") if _STAMP.fullmatch(field) else ""
    return stamp if stamp and _moment(stamp) else ""


def _moment(stamp: str) -> datetime | None:
    year, month, day = stamp[:4], stamp[4:6], stamp[6:8]
    hour, minute, second = stamp[8:10], stamp[10:12], stamp[12:14]
    return history.parse_time(f"{year}-{month}-{day}T{hour}:{minute}:{second}")


# Names of files --------------------------------------------------------------------------------


def name_of_source(source: str) -> str:
    """Return a source as folders and files of a repository are called after it.

    Examples
    --------
    >>> name_of_source("XcsEndstation.0:Opal1000.1")
    'XcsEndstation-0-Opal1000-1'
    """
    return source.replace(":", "-").replace(".", "-")


def file_name(
    dettype: str, alias: str, stamp: str, experiment: str, run: int, ctype: str, *, mode: str = ""
) -> str:
    """Return the name of a file with constants of one panel.

    Parameters
    ----------
    dettype, alias, stamp, experiment, run, ctype : str, str, str, str, int, str
        Detector type, alias, time of the run in 14 digits, experiment, run, type of constant.
    mode : str, optional
        Gain mode; files of one mode end in ``.dat``, merged ones in ``.txt``.

    Raises
    ------
    BadName
        If a part cannot stand in such a name.

    Examples
    --------
    >>> file_name("epix10ka", "0007", "20160318190730", "xpptut15", 260, "pedestals", mode="FH")
    'epix10ka_0007_20160318190730_xpptut15_r0260_pedestals_FH.dat'
    >>> file_name("epix100a", "0007", "20160318190730", "xpptut15", 260, "gain")
    'epix100a_0007_20160318190730_xpptut15_r0260_gain.txt'
    """
    for part in (dettype, alias, experiment, ctype):
        if not part or _UNFIT.search(part):
            raise BadName(f"{shown(part)} cannot stand in the name of a file of a repository")
    parts = [dettype, alias, parse_stamp(stamp), experiment, f"r{run:04}", ctype]
    return "_".join([*parts, mode]) + ".dat" if mode else "_".join(parts) + ".txt"


def merged_name(source: str, stamp: str, experiment: str, run: int, ctype: str) -> str:
    """Return the name of a file with constants of all panels together, in ``merge_tmp``.

    Examples
    --------
    >>> merged_name("CxiDs1.0:Jungfrau.0", "20160318190730", "cxi01516", 7, "pixel_gain")
    'CxiDs1-0-Jungfrau-0-20160318190730-cxi01516-r0007-pixel_gain.txt'
    """
    parts = (name_of_source(source), parse_stamp(stamp), experiment, f"r{run:04}", ctype)
    return "-".join(parts) + ".txt"


class Dated(NamedTuple):
    """A file, or a folder, whose name says of which time it is.

    Attributes
    ----------
    path : Path
        Where it is.
    stamp : str
        The time, 14 digits; empty if the name says none.
    """

    path: Path
    stamp: str


def dated_files(folder: Path | str, pattern: str, report: Report = warn) -> list[Dated]:
    """Return the files of a folder whose names hold a text, the newest first.

    Parameters
    ----------
    folder : Path or str
        Which need not be there.
    pattern : str
        The text, such as ``epix100a_0007_``.
    report : callable, optional
        Called with what has such a name and says no time or is no file; by default it is logged.

    Returns
    -------
    files : list of Dated
        Of one time, by their names.

    Raises
    ------
    StoreRefused, BadFile
        If the folder cannot be read.
    """
    found = []
    for name in _names_in(Path(folder)):
        stem, ending = os.path.splitext(name)
        if ending not in ENDINGS or pattern not in name:
            continue
        stamp = _stamp_in([*stem.split("_", 3), "", ""][2])
        path = Path(folder) / name
        if not stamp:
            report(Skipped(path, "says no time as the third part of its name"))
        elif not path.is_file():  # a pipe would be waited for
            report(Skipped(path, "is no file, or a link that leads to none"))
        else:
            found.append(Dated(path, stamp))
    found.sort(key=lambda file: file.path.name)
    return sorted(found, key=lambda file: file.stamp, reverse=True)


def find_file_for_timestamp(
    folder: Path | str, pattern: str, stamp: str | None = None, *, report: Report = warn
) -> Path | None:
    """Return the newest file of a folder that is not later than a time.

    Parameters
    ----------
    folder, pattern, report
        As `dated_files` takes them.
    stamp : str, optional
        The time, 14 digits; without one the newest of all is meant.

    Returns
    -------
    path : Path or None
        Of several of one time, the first by name. None if there is none.

    Raises
    ------
    StoreRefused, BadFile
        If the folder cannot be read.
    """
    files = dated_files(folder, pattern, report)
    return next((file.path for file in files if stamp is None or file.stamp <= stamp), None)


def default_file(repository: Path | str, dettype: str, ctype: str) -> Path:
    """Return where the constants of no panel in particular are, there or not.

    Examples
    --------
    >>> default_file("constants", "epix100a", "gain").as_posix()
    'constants/epix100a/default/epix100a_default_gain.txt'
    """
    return Path(repository) / dettype / DEFAULT / f"{dettype}_default_{ctype}.txt"


# Panels ----------------------------------------------------------------------------------------


def panel_folder(
    repository: Path | str, panel: str, stamp: str | None = None, *, report: Report = warn
) -> Dated | None:
    """Return the folder of a panel for a time: ``<id>`` or ``<id>-<time>``.

    Parameters
    ----------
    repository : Path or str
        Where the folders are.
    panel : str
        Id of the panel.
    stamp : str, optional
        The time, 14 digits; without one the newest is meant.
    report : callable, optional
        Called with folders whose names begin with the id and go on with no time.

    Returns
    -------
    folder : Dated or None
        The last that is not later; if all are later, the first. One without a time comes first.
        None if the panel has none.

    Raises
    ------
    StoreRefused, BadFile
        If the repository cannot be read.
    """
    found = []
    for name in _names_in(Path(repository)):
        path = Path(repository) / name
        rest = name.removeprefix(panel)
        if not name.startswith(panel) or not (rest == "" or rest[0] == "-") or not path.is_dir():
            continue
        if rest == "" or _stamp_in(rest[1:]):
            found.append(Dated(path, _stamp_in(rest[1:])))
        else:
            report(Skipped(path, f"is of no panel {panel}: its name goes on with no time"))
    found.sort(key=lambda folder: folder.stamp)
    past = [folder for folder in found if stamp is None or folder.stamp <= stamp]
    return next(iter([*reversed(past), *found]), None)


def folders_of(folder: Path | str, prefix: str) -> list[str]:
    """Return the names of the folders in a folder that begin with a text, sorted."""
    path = Path(folder)
    return [n for n in _names_in(path) if n.startswith(prefix) and (path / n).is_dir()]


# Aliases ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Alias:
    """A line of a file of aliases.

    Attributes
    ----------
    alias : str
        At least four digits.
    id : str
        Of a panel, or of all panels of a detector, joined by ``_``; or the name of a source.
    rest : tuple of str
        What else the line says: the time, the experiment, the run, ..., the login.
    line : int
        Where it stands, from 1.
    """

    alias: str
    id: str
    rest: tuple[str, ...] = ()
    line: int = 0


def read_aliases(path: Path | str) -> list[Alias]:
    """Return the lines of a file of aliases; none if it is not there.

    Raises
    ------
    BadFile
        If a line is none; the sentence names the line.
    StoreRefused
        If the file may not be read.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _cannot(Path(path), error) from None
    return parse_aliases(data.decode("utf-8", "backslashreplace"), os.fspath(path))


def parse_aliases(text: str, name: str = "aliases") -> list[Alias]:
    """Return the lines of a text of aliases.

    Parameters
    ----------
    text : str
        Empty lines are passed over.
    name : str
        What errors call the text.

    Raises
    ------
    BadFile
        As `read_aliases` does.

    Examples
    --------
    >>> [found] = parse_aliases("0007 39259-99657 2022-09-01T12:00:00   xpptut15 r0260 you")
    >>> found.alias, found.id, found.rest[1:3]
    ('0007', '39259-99657', ('xpptut15', 'r0260'))
    """
    found: dict[tuple[str, str], Alias] = {}
    for number, line in enumerate(text.split("\n"), 1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) < 2 or not _ALIAS.fullmatch(fields[0]):
            raise BadFile(
                f"{name}, line {number}: {shown(line)} is no alias; lines are as "
                "0007 3925999616-0996579585 2022-09-01T12:00:00 you"
            )
        alias, id_, *rest = fields
        found.setdefault((alias, id_), Alias(alias, id_, tuple(rest), number))
    return list(found.values())


def alias_of(path: Path | str, id: str) -> str | None:  # noqa: A002 - the word of the file
    """Return the alias of an id, None if the file has none.

    Parameters
    ----------
    path : Path or str
        The file of aliases.
    id : str
        See `Alias`.

    Raises
    ------
    BadFile
        If another id has the alias too: writers that did not wait for each other left such files.
        As `read_aliases` does.
    StoreRefused
        As `read_aliases` does.
    """
    return _among(read_aliases(path), id, path)


def add_alias(
    path: Path | str,
    id: str,  # noqa: A002 - the word of the file
    *,
    experiment: str | None = None,
    run: int | None = None,
    more: Sequence[str] = (),
    step: Callable[[str], None] = _no_step,
) -> str:
    """Return the alias of an id; one that has none gets the next number.

    Writers of this module wait for each other, so that no number is given away twice. The line is
    appended in one piece: whoever reads sees it whole or not at all.

    Parameters
    ----------
    path : Path or str
        The file of aliases, which is made if it is not there; its folder must be.
    id : str
        See `Alias`.
    experiment, run : str, int, optional
        Where the id was first met.
    more : sequence of str, optional
        Further words of the line, such as the source.
    step : callable, optional
        For tests.

    Raises
    ------
    BadName
        If a word has blanks.
    BadFile, StoreRefused
        If the file cannot be read or written.
    """
    path = Path(path)
    words = [id, *([experiment] if experiment else []), *more]
    broken = next((word for word in words if not word or _UNFIT.search(word)), None)
    if broken is not None:
        raise BadName(f"{shown(broken)} cannot stand in a line of aliases: it is one word")
    try:
        with _locked(path) as file:
            content = os.pread(file, os.fstat(file).st_size, 0)
            known = parse_aliases(content.decode("utf-8", "backslashreplace"), str(path))
            alias = _among(known, id, path)
            if alias is not None:
                return alias
            alias = f"{max((int(one.alias) for one in known), default=0) + 1:04}"
            step("chosen")
            line = _line(alias, id, experiment, run, more)
            # Whoever wrote before may have been stopped in the midst of a line.
            is_open = not (content or b"\n").endswith(b"\n")
            os.write(file, ("\n" * is_open + line + "\n").encode())
            step("written")
            os.fsync(file)
            return alias
    except OSError as error:
        raise _cannot(path, error) from None


def _line(
    alias: str, id_: str, experiment: str | None, run: int | None, more: Sequence[str]
) -> str:
    words = [alias, id_, history.stamp(datetime.now(UTC))[0]]
    words += [f"{experiment:>10}"] if experiment else []
    words += [f"r{run:04}"] if run is not None else []
    return " ".join([*words, *more, actor().login])


def _among(known: Sequence[Alias], id_: str, path: Path | str) -> str | None:
    own = next((one for one in known if one.id == id_), None)
    other = next((one for one in known if own and one.alias == own.alias and one.id != id_), None)
    if own is not None and other is not None:
        raise BadFile(
            f"{path}: alias {own.alias} is given away twice, in the lines {own.line} and "
            f"{other.line}; mend the file by hand, one of them needs another number"
        )
    return own.alias if own else None


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Open a file for appending, alone among the writers of this module."""
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o664)
    try:
        # Where a file system has no locks, all go ahead, as the old tools always did.
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)


# Links -----------------------------------------------------------------------------------------


def add_link(folder: Path | str, name: str, target: str) -> Path:
    """Give a file of a folder a second name.

    Parameters
    ----------
    folder : Path or str
        Where the file is, and the link will be.
    name : str
        Of the link.
    target : str
        Of the file.

    Returns
    -------
    path : Path
        Of the link.

    Raises
    ------
    NotFound
        If there is no such file.
    BadName
        If one of the names is a path.
    BadFile
        If the name is taken.
    """
    for each in (name, target):
        if not each or os.path.basename(each) != each or each in (".", ".."):
            raise BadName(f"{shown(each)} is no name of a file in {folder}; give it without folder")
    path = Path(folder) / name
    if not (Path(folder) / target).is_file():
        raise NotFound(f"no file {shown(target)} in {folder}; put it there first")
    try:
        path.symlink_to(target)
    except FileExistsError:
        raise BadFile(f"{path} is there already; choose another time for the link") from None
    except OSError as error:
        raise _cannot(path, error) from None
    return path


# In common -------------------------------------------------------------------------------------


def dettype_of(detector: str) -> str:
    """Return the type of a detector as repositories call it.

    Parameters
    ----------
    detector : str
        A source, a short or a long name.

    Examples
    --------
    >>> dettype_of("DetInfo(XcsEndstation.0:Epix100a.1)"), dettype_of("jungfrau_000001")
    ('epix100a', 'jungfrau')
    """
    source = lcls1_names.source_in(detector)
    if source is None:
        return detector.partition("_")[0].lower()
    known = type_of(source)
    return lcls1_names.device_type(source) if known == UNDEFINED else known.lower()


def _names_in(folder: Path) -> list[str]:
    """Return the names in a folder, sorted; none if it is not there, or cannot be."""
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # the ids of sixteen panels
            return []
        raise _cannot(folder, error) from None


def _cannot(path: Path, error: OSError) -> Exception:
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StoreRefused(f"no permission for {path}; ask the owner of the repository")
    return BadFile(f"cannot use {path}: {error.strerror or error}")
