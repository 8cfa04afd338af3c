"""The LCLS-I calibration tree: its paths, its file names, and which file holds for a run.

::

    .../<INS>/<exp>/calib/<group>/<source>/<ctype>/<first>-<last>.data
    .../CXI/cxi83714/calib/CsPad::CalibV1/CxiDs1.0:Cspad.0/pedestals/7-end.data

A file's name says for which runs it holds, both included; ``end`` is as good as 9999, the last run
that a name can hold. **The file for a run is, of those that hold for it, the one that begins
latest, and of these the one that ends first.** When a file was made plays no role. Beside the files
lie HISTORY, which `cdb.files.history` reads, and backups, ``7-end.data-2016-01-02T03:04:05``.

Names that are none are reported and passed over; they never spoil a folder.
"""

import heapq
import logging
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from cdb import names
from cdb.errors import BadFile, BadName, NotFound, StoreRefused, shown
from cdb.files import history
from cdb.files.groups import group_of, plain_source
from cdb.validity import END, LAST_PSANA_RUN, RunRange, parse_run

logger = logging.getLogger(__name__)

CALIB = "calib"
SUFFIX = ".data"

_RUNS = re.compile(r"([0-9]+)-([0-9]+|end)")
_BACKUP = re.compile(r"(.+\.data)-([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})")
_GROUP = re.compile(r"\w+::\w+", re.ASCII)
_SOURCE = re.compile(r"[\w.-]+:[\w.-]+", re.ASCII)
_EXPERIMENT = re.compile(r"[a-z]{3}[a-z0-9]{5,6}", re.ASCII)
_GOOD_NAMES = f"names are <first>-<last>{SUFFIX}, as 7-20{SUFFIX} or 7-end{SUFFIX}"


@dataclass(frozen=True)
class Skipped:
    """Something in a tree that is passed over, or hidden, and why.

    Attributes
    ----------
    path : Path
        Where it is.
    why : str
        The rest of a sentence that begins with it.
    """

    path: Path
    why: str

    @property
    def name(self) -> str:
        """Name in its folder."""
        return self.path.name


Report = Callable[[Skipped], object]


def warn(skipped: Skipped) -> None:
    """Log what is passed over."""
    logger.warning("%r %s", os.fspath(skipped.path), skipped.why)


@dataclass(frozen=True)
class CalibFile:
    """A file of constants whose name says for which runs it holds.

    Attributes
    ----------
    path : Path
        Where it is.
    runs : RunRange
        For which it holds; open for ``end`` and for 9999, which mean the same.
    """

    path: Path
    runs: RunRange

    @property
    def name(self) -> str:
        """Name in its folder."""
        return self.path.name


class Backup(NamedTuple):
    """A copy of a file from before it was replaced or removed.

    Attributes
    ----------
    path : Path
        Of the copy.
    of : str
        Name of the file in the same folder; it may be gone.
    time : datetime
        When the copy was made, in UTC.
    """

    path: Path
    of: str
    time: datetime


class Span(NamedTuple):
    """Neighbouring runs that get the same file.

    Attributes
    ----------
    first : int
        First of the runs.
    last : int or float
        Last of the runs, infinity if there is none.
    file : CalibFile or None
        What they get.
    """

    first: int
    last: int | float
    file: CalibFile | None


class SourceFolder(NamedTuple):
    """Where the types of constants of one source lie.

    Attributes
    ----------
    path : Path
        Of the folder.
    group, source : str
        Its names in the tree.
    """

    path: Path
    group: str
    source: str


@dataclass(frozen=True)
class Folder:
    """Where the files of one type of constant of one source lie.

    Attributes
    ----------
    path : Path
        Of the folder.
    group, source, ctype : str
        Its names in the tree.
    """

    path: Path
    group: str
    source: str
    ctype: str


# File names ------------------------------------------------------------------------------------


def parse_name(name: str) -> RunRange:
    """Return the runs for which a file holds, from its name.

    Raises
    ------
    BadName
        If it is no name of a file of constants; the message is the rest of a sentence that begins
        with the name.

    Examples
    --------
    >>> str(parse_name("0007-0020.data")), str(parse_name("7-9999.data"))
    ('7-20', '7-end')
    >>> parse_name("7-END.data")
    Traceback (most recent call last):
        ...
    cdb.errors.BadName: does not say for which runs it holds; names are <first>-<last>.data, ...
    """
    stem, suffix = os.path.splitext(name)
    found = _RUNS.fullmatch(stem) if suffix == SUFFIX else None
    if not found:
        raise BadName(f"does not say for which runs it holds; {_GOOD_NAMES}")
    begin, end = (_number(text) for text in found.groups())
    if begin > LAST_PSANA_RUN or LAST_PSANA_RUN < end < math.inf:
        raise BadName(
            f"holds a run above {LAST_PSANA_RUN}, the last that a name can hold; {_GOOD_NAMES}"
        )
    if end < begin:
        raise BadName(f"ends before it begins, so no run gets it; {_GOOD_NAMES}")
    return RunRange(int(begin), end if end < LAST_PSANA_RUN else math.inf)


def file_name(runs: RunRange) -> str:
    """Return the name of a file that holds for some runs.

    Raises
    ------
    BadName
        If a run is above 9999.

    Examples
    --------
    >>> file_name(RunRange(7, 20)), file_name(RunRange(7))
    ('7-20.data', '7-end.data')
    """
    if runs.begin > LAST_PSANA_RUN or LAST_PSANA_RUN < runs.end < math.inf:
        raise BadName(
            f"runs {runs} go beyond {LAST_PSANA_RUN}, the last that a file's name in an LCLS-I "
            "tree can hold; leave the end open, which holds for all later runs"
        )
    return f"{runs}{SUFFIX}"


# The choice of the file ------------------------------------------------------------------------


def choose_file(folder: Path | str, run: int, *, report: Report = warn) -> Path | None:
    """Return the file of constants that holds for a run.

    Parameters
    ----------
    folder : Path or str
        Of one type of constant of one source.
    run : int
        Above 9999 it is asked for as 9999.
    report : callable, optional
        Called with what is passed over, or hidden by another spelling of the same runs; by
        default it is logged.

    Returns
    -------
    path : Path or None
        None if no file holds for the run, or if the folder is not there.

    Raises
    ------
    BadRun
        If the run is none.
    StoreRefused
        If the folder may not be read.

    Notes
    -----
    Of the files whose first and last run enclose the run, the one that begins latest; of these the
    one that ends first; of these, spellings of the same runs, the one with ``end`` in its name,
    then the shorter name. A long range that begins later so hides a short one that begins earlier.
    """
    number = min(parse_run(run), LAST_PSANA_RUN)
    return next((file.path for file in valid_files(folder, report) if number in file.runs), None)


def valid_files(folder: Path | str, report: Report = warn) -> list[CalibFile]:
    """Return the files of constants of a folder, those before others that win over them.

    The folder's own names decide, no file is opened. Names that are none are reported, HISTORY,
    backups and whatever does not end in ``.data`` left out; none if the folder is not there.
    """
    files = []
    for entry in _entries(Path(folder)):
        if os.path.splitext(entry.name)[1] != SUFFIX:
            continue
        path = Path(folder) / entry.name
        try:
            files.append(CalibFile(path, parse_name(entry.name)))
        except BadName as error:
            report(Skipped(path, str(error)))
    files.sort(key=_place)
    for winner, file in zip(files, files[1:], strict=False):
        if winner.runs == file.runs:
            report(Skipped(file.path, f"is never read: {winner.name} holds for the same runs"))
    return files


def effective_ranges(files: Iterable[CalibFile]) -> list[Span]:
    """Return which runs get which file, from run 0 on, without a gap.

    Parameters
    ----------
    files : iterable of CalibFile
        Of one folder, as `valid_files` returns them.

    Examples
    --------
    >>> files = [CalibFile(Path(name), parse_name(name)) for name in ("0-5.data", "3-8.data")]
    >>> [(first, last, file and file.name) for first, last, file in effective_ranges(files)]
    [(0, 2, '0-5.data'), (3, 8, '3-8.data'), (9, inf, None)]
    """
    coming = sorted(files, key=_place)  # the next to begin last
    starts = {0} | {file.runs.begin for file in coming}
    starts |= {int(file.runs.end) + 1 for file in coming if file.runs.end < math.inf}
    spans: list[Span] = []
    best: list[tuple[tuple[object, ...], CalibFile]] = []
    for first in sorted(starts):
        while coming and coming[-1].runs.begin <= first:
            file = coming.pop()
            heapq.heappush(best, (_place(file), file))
        while best and best[0][1].runs.end < first:
            heapq.heappop(best)
        chosen = best[0][1] if best else None
        if spans and spans[-1].file == chosen:
            continue
        if spans:
            spans[-1] = spans[-1]._replace(last=first - 1)
        spans.append(Span(first, math.inf, chosen))
    return spans


def backups(folder: Path | str) -> list[Backup]:
    """Return the copies of replaced files in a folder, by name, then by time."""
    found = []
    for entry in _entries(Path(folder)):
        parts = _BACKUP.fullmatch(entry.name)
        time = history.parse_time(parts[2]) if parts else None
        if parts and time is not None:
            found.append(Backup(Path(folder) / entry.name, parts[1], time))
    return sorted(found, key=lambda backup: (backup.of, backup.time, backup.path))


def read_history(
    folder: Path | str, report: Callable[[int, str], object] = history.ignore
) -> list[history.Record]:
    """Return the records of a folder's HISTORY, in order; none if it has none.

    Parameters
    ----------
    folder : Path or str
        Of one type of constant of one source.
    report : callable, optional
        Called with the number and the text of each line that names no file.

    Raises
    ------
    BadFile
        If it cannot be read.
    """
    path = Path(folder) / history.NAME
    try:
        data = path.read_bytes() if path.is_file() else b""
    except FileNotFoundError:
        return []
    except OSError as error:
        raise BadFile(f"cannot read {path}: {error.strerror or error}") from None
    # Names of users and hosts in whatever encoding; a line must not spoil the others.
    return history.parse(data.decode("utf-8", "backslashreplace"), report)


# Places ----------------------------------------------------------------------------------------


def folder_of(calib: Path | str, source: str, ctype: str, group: str | None = None) -> Path:
    """Return the folder of one type of constant of one source, which need not be there.

    Parameters
    ----------
    calib : Path or str
        The tree.
    source : str
        With or without ``DetInfo(...)``.
    ctype : str
        Type of constant.
    group : str, optional
        The source's own by default; ``Xtcav::CalibV1`` must be said.

    Raises
    ------
    BadName
        If a name cannot stand in a path, or if the source's device is in no group.

    Examples
    --------
    >>> folder_of("/ds/cxi83714/calib", "CxiDs1.0:Cspad.0", "pedestals").as_posix()
    '/ds/cxi83714/calib/CsPad::CalibV1/CxiDs1.0:Cspad.0/pedestals'
    """
    source = check_source(plain_source(source))
    group = group_of(source) if group is None else group
    if not _GROUP.fullmatch(group):
        raise BadName(
            f"source {shown(source)} has no group that is known; give one, as Camera::CalibV1"
            if group == "UNDEFINED"
            else f"group {shown(group)} is none; groups are as CsPad::CalibV1"
        )
    return Path(calib) / group / source / names.check_ctype(ctype)


def check_source(source: str) -> str:
    """Return the name of a source if it can be used.

    Raises
    ------
    BadName
        If it is not two names with a colon between.
    """
    if not _SOURCE.fullmatch(source) or source.startswith("."):
        raise BadName(f"source {shown(source)} is none; sources are as CxiDs1.0:Cspad.0")
    return source


def experiment_of(calib: Path | str) -> str | None:
    """Return the experiment whose tree it is, None if the path does not tell.

    Examples
    --------
    >>> experiment_of("/ds/CXI/cxi83714/calib"), experiment_of("/ds/cxi/cxi83714/calib/")
    ('cxi83714', 'cxi83714')
    >>> experiment_of("/home/me/calib") is None
    True
    """
    *_, instrument, experiment, last = ("", "", *Path(os.path.abspath(calib)).parts)
    tells = last == CALIB and _EXPERIMENT.fullmatch(experiment)
    return experiment if tells and experiment[:3] == instrument.lower() else None


def walk(calib: Path | str, report: Report = warn) -> Iterator[Folder]:
    """Walk over the folders of files of a tree, in the order of their names.

    Parameters
    ----------
    calib : Path or str
        The tree.
    report : callable, optional
        Called with folders whose names cannot be used and with those that may not be read; what
        has no ``::`` in its name is no group and nothing to report.

    Raises
    ------
    NotFound
        If the tree is not there.
    """
    for source in walk_sources(calib, report):
        yield from types_of(source, report)


def walk_sources(calib: Path | str, report: Report = warn) -> Iterator[SourceFolder]:
    """Walk over the sources of a tree only; parameters and errors are those of `walk`."""
    if not Path(calib).is_dir():
        raise NotFound(f"no folder {os.fspath(calib)!r}; give the path of an LCLS-I calib tree")
    entries = [entry for entry in _entries(Path(calib)) if "::" in entry.name]
    for group in _folders(entries, _is_group, "is no group; groups are as CsPad::CalibV1", report):
        inside = _inside(group, report)
        for path in _folders(inside, _is_source, "is no source, as CxiDs1.0:Cspad.0", report):
            yield SourceFolder(path, group.name, path.name)


def types_of(source: SourceFolder, report: Report = warn) -> Iterator[Folder]:
    """Walk over the types of constants of a source; see `walk`."""
    for path in _folders(_inside(source.path, report), _is_ctype, "is no type of constant", report):
        yield Folder(path, source.group, source.source, path.name)


# In common -------------------------------------------------------------------------------------


def _number(text: str) -> int | float:
    """Return a run of a name; digits past counting are above all others."""
    if text == END:
        return math.inf
    return int(text) if len(text.lstrip("0")) < 10 else 10**9


def _place(file: CalibFile) -> tuple[object, ...]:
    """Return what orders the files of a folder, the winner first."""
    stem = file.name.removesuffix(SUFFIX)
    return -file.runs.begin, file.runs.end, not stem.endswith(END), len(stem), stem


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what is in a folder, by name; nothing if it is not there."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []
    except NotADirectoryError:
        raise BadFile(f"{os.fspath(folder)!r} is no folder") from None
    except PermissionError:
        raise StoreRefused(
            f"folder {os.fspath(folder)!r} may not be read; ask its owner for the rights"
        ) from None


def _inside(folder: Path, report: Report) -> list[os.DirEntry[str]]:
    """Return what is in a folder, or report that it may not be read."""
    try:
        return _entries(folder)
    except StoreRefused:
        report(Skipped(folder, "may not be read"))
        return []


def _folders(
    entries: list[os.DirEntry[str]], is_good: Callable[[str], bool], why: str, report: Report
) -> Iterator[Path]:
    """Walk over the folders among some entries, report those whose names are not good."""
    for entry in entries:
        try:
            is_folder = entry.is_dir()
        except PermissionError:
            report(Skipped(Path(entry.path), "may not be read"))
            continue
        if is_folder and is_good(entry.name):
            yield Path(entry.path)
        elif is_folder:
            report(Skipped(Path(entry.path), why))


def _is_group(name: str) -> bool:
    return _GROUP.fullmatch(name) is not None


def _is_source(name: str) -> bool:
    return _SOURCE.fullmatch(name) is not None and not name.startswith(".")


def _is_ctype(name: str) -> bool:
    try:
        return names.check_ctype(name) == name
    except BadName:
        return False
