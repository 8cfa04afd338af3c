"""An LCLS-I tree taken in: each file becomes a version, filed as an experiment's and a detector's.

A file that readers of the tree choose for some run is in force afterwards, for the same runs.
Backups, and files that no reader ever looks at, are added as versions that have left already: no
look-up sees them, `cdb history` shows them. The text of a HISTORY is a constant of its own.

Each version names its file in ``source``, so that a second import finds what is there: nothing is
added twice, an import that was killed goes on. What was retired here stays retired.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cdb import lcls1_names, names
from cdb.constant import Version, order_of
from cdb.database import Database
from cdb.errors import (
    BadDocument,
    BadFile,
    BadName,
    BadPayload,
    BadTime,
    CalibError,
    NotFound,
    TooLarge,
)
from cdb.exchange import lcls1_files
from cdb.exchange.lcls1_files import HISTORY_OF, Content
from cdb.files import contents, history, lcls1
from cdb.files.groups import group_of
from cdb.files.history import Record
from cdb.files.lcls1 import Folder, Skipped
from cdb.payload import Encoded, digest, encode
from cdb.stores.base import Progress
from cdb.validity import LAST_SECOND, RunRange

# Under this name a version's `source` tells of its file.
LCLS1 = "lcls1"
_SAME = ("data_type", "data_dtype", "data_shape")

_UNREADABLE = (BadFile, BadDocument, BadPayload, BadName, BadTime, TooLarge)


@dataclass(frozen=True)
class Item:
    """A file of the tree that is to be a version.

    Attributes
    ----------
    folder : Folder
        Where it lies.
    path : Path
        The file.
    detector : str
        Its type and its source.
    ctype : str
        Type of the constant.
    runs : RunRange
        For which it holds.
    time : datetime
        Since when: as HISTORY says, else the time of the file.
    facts : os.stat_result
        Of the file.
    record : Record or None
        What HISTORY says of it.
    retired : str
        Why no reader chooses it; empty if one does.
    """

    folder: Folder
    path: Path
    detector: str
    ctype: str
    runs: RunRange
    time: datetime
    facts: os.stat_result
    record: Record | None = None
    retired: str = ""

    @property
    def place(self) -> str:
        """The path inside the tree."""
        folder = self.folder
        return "/".join((folder.group, folder.source, folder.ctype, self.path.name))


@dataclass
class Imported:
    """What an import did, or would do.

    Attributes
    ----------
    new, same : int
        Versions added, and files that are there already.
    detectors : dict of str to str
        Short name of each detector in the tree, as far as it is known, by its long one.
    unreadable : list of Skipped
        Files that could not be taken in, and why.
    passed_over : list of Skipped
        What is no file of constants, or is one that no reader chooses, and why.
    gone : list of str
        Files of an earlier import that are no longer in the tree; their versions are still there.
    """

    new: int = 0
    same: int = 0
    detectors: dict[str, str] = field(default_factory=dict)
    unreadable: list[Skipped] = field(default_factory=list)
    passed_over: list[Skipped] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)


# What is in the tree ---------------------------------------------------------------------------


@dataclass
class Tree:
    """What is to be taken in of a tree: found by names and times, no constant is read.

    Parameters
    ----------
    calib : Path
        The tree.

    Attributes
    ----------
    skipped : list of Skipped
        What is not.
    items : dict
        The files by detector and type, in the order in which they came to be.

    Raises
    ------
    NotFound
        If there is no such tree.
    """

    calib: Path
    skipped: list[Skipped] = field(default_factory=list)
    items: dict[tuple[str, str], list[Item]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Look through the folders."""
        folders: dict[tuple[str, str], list[Folder]] = {}
        for folder in lcls1.walk(self.calib, self.skipped.append):
            try:
                detector = names.check_detector(_detector_of(folder))
                names.check_ctype(HISTORY_OF + folder.ctype)
            except BadName as error:
                self.skipped.append(Skipped(folder.path, f"cannot be named here: {error}"))
                continue
            folders.setdefault((detector, folder.ctype), []).append(folder)
        for (detector, ctype), several in folders.items():
            found = [*self._items_of(detector, several)]
            for kind in (ctype, HISTORY_OF + ctype):
                mine = [item for item in found if item.ctype == kind]
                mine.sort(key=lambda item: (item.time, item.place))
                self.items.setdefault((detector, kind), []).extend(mine)

    def _items_of(self, detector: str, folders: list[Folder]) -> Iterator[Item]:
        """Yield the files of the folders that hold one type of one detector.

        The same source may have two, since one of the old programs wrote to groups of its own;
        readers look into the group that its device tells.
        """
        read = next((f for f in folders if f.group == group_of(f.source)), folders[0])
        for folder in folders:
            try:
                os.listdir(folder.path)
            except OSError as error:
                self.skipped.append(Skipped(folder.path, _cannot(error)))
                continue
            hidden = f"{read.group} of {read.source} has this type, and readers look there"
            yield from self._in_folder(detector, folder, "" if folder is read else hidden)

    def _in_folder(self, detector: str, folder: Folder, hidden: str) -> Iterator[Item]:
        records: list[Record] = []
        path = folder.path / history.NAME
        facts = self._facts(path) if path.exists() else None
        if facts is not None:
            time = _time_of(facts)
            kind = HISTORY_OF + folder.ctype
            yield Item(folder, path, detector, kind, RunRange(0), time, facts, None, hidden)
            records = self._records(path)
        seen: set[RunRange] = set()
        for file in lcls1.valid_files(folder.path, self.skipped.append):
            other = "its runs are those of a file whose spelling readers prefer"
            why = hidden or (other if file.runs in seen else "")
            seen.add(file.runs)
            record = history.latest_for(records, file.name)
            yield from self._item(detector, folder, file.path, file.runs, record, why)
        for backup in lcls1.backups(folder.path):
            try:
                runs = lcls1.parse_name(backup.of)
            except BadName as error:
                self.skipped.append(Skipped(backup.path, f"is a backup of what {error}"))
                continue
            before = [r for r in records if r.time is None or r.time < backup.time]
            record = history.latest_for(before, backup.of)
            why = "a backup in the tree"
            for item in self._item(detector, folder, backup.path, runs, record, why):
                # Where no record tells when it came, it was there when the copy was made.
                yield replace(item, time=min(item.time, backup.time))

    def _records(self, path: Path) -> list[Record]:
        """Return the records of a HISTORY; of one that cannot be read, none: it is told later."""
        try:
            return history.parse(path.read_bytes().decode(errors="replace"))
        except OSError:
            return []

    def _item(
        self,
        detector: str,
        folder: Folder,
        path: Path,
        runs: RunRange,
        record: Record | None,
        why: str,
    ) -> Iterator[Item]:
        """Yield a file, if it is one."""
        facts = self._facts(path)
        if facts is not None:
            told = record.time if record is not None else None
            time = told or _time_of(facts)
            yield Item(folder, path, detector, folder.ctype, runs, time, facts, record, why)

    def _facts(self, path: Path) -> os.stat_result | None:
        """Return the facts of a file; None, and a report, of anything else."""
        try:
            facts = path.stat()
        except OSError as error:
            self.skipped.append(Skipped(path, _cannot(error)))
            return None
        if not stat.S_ISREG(facts.st_mode):
            self.skipped.append(Skipped(path, "is no file"))
            return None
        return facts


def _time_of(facts: os.stat_result) -> datetime:
    """Return the time of a file, within what can be stored."""
    return datetime.fromtimestamp(min(max(0, facts.st_mtime), LAST_SECOND - 1), UTC)


def _cannot(error: OSError) -> str:
    return f"cannot be read: {error.strerror or error}"


def _detector_of(folder: Folder) -> str:
    """Return type and source, which the register finds whether it knows a number or not."""
    long = lcls1_names.long_name(folder.source, folder.group)
    return f"{names.detector_type(long)}_{folder.source}"


# What is in the store --------------------------------------------------------------------------


class Filed:
    """The versions of one type that an experiment has already.

    Parameters
    ----------
    versions : iterable of Version
        All of them, those that have left too.
    """

    def __init__(self, versions: Iterable[Version]) -> None:
        self._by_place: dict[tuple[str, bool], Version] = {}
        self._in_force: dict[RunRange, Version] = {}
        for version in sorted(versions, key=lambda each: (order_of(each.meta), each.seq or 0)):
            place = place_of(version)
            if place:
                self._by_place[place, is_hidden(version)] = version
            if version.out is None and version.runs is not None:
                self._in_force[as_in_names(version.runs)] = version

    def of_file(self, item: Item) -> Version | None:
        """Return the last version that an import made of a file."""
        return self._by_place.get((item.place, bool(item.retired)))

    def in_force(self, item: Item) -> Version | None:
        """Return the version in force for the very runs of a file that readers choose."""
        return None if item.retired else self._in_force.get(item.runs)


def told_of(version: Version) -> Mapping[str, Any]:
    """Return what a version tells of the file in a tree that it was; nothing if it was none."""
    source = version.meta.get("source")
    told = source.get(LCLS1) if isinstance(source, Mapping) else None
    return told if isinstance(told, Mapping) else {}


def file_of(version: Version) -> Mapping[str, Any]:
    """Return what a version tells of the bytes of that file; nothing if it was none."""
    source = version.meta.get("source")
    files = source.get("files") if isinstance(source, Mapping) and told_of(version) else None
    first = files[0] if isinstance(files, list) and files else None
    return first if isinstance(first, Mapping) else {}


def place_of(version: Version) -> str:
    """Return the path inside a tree of the file that a version was; empty if it was none."""
    told = told_of(version)
    parts = [told.get(part) for part in ("group", "source", "ctype", "name")]
    return "/".join(parts) if all(isinstance(part, str) for part in parts) else ""  # type: ignore[arg-type]


def is_hidden(version: Version) -> bool:
    """Return whether a version was a file that no reader chooses."""
    return bool(told_of(version).get("hidden"))


def as_in_names(runs: RunRange) -> RunRange:
    """Return runs as a file's name can say them, where 9999 leaves the end open."""
    try:
        return lcls1.parse_name(lcls1.file_name(runs))
    except BadName:
        return runs


# Taking in -------------------------------------------------------------------------------------


class Import:
    """A tree about to be taken in: what is in it is known, nothing is written.

    Parameters
    ----------
    db : Database
        Where to: a store, or a service.
    calib : Path or str
        The tree.
    experiment : str
        Whose it is.

    Raises
    ------
    NotFound
        If there is no such tree.
    BadName
        If the experiment cannot be used.
    """

    def __init__(self, db: Database, calib: Path | str, experiment: str) -> None:
        self.db = db
        self.experiment = names.check_experiment(experiment)
        self.tree = Tree(Path(calib))

    @property
    def nbytes(self) -> int:
        """Of all files together."""
        return sum(item.facts.st_size for items in self.tree.items.values() for item in items)

    def run(self, *, dry_run: bool = False, progress: Progress | None = None) -> Imported:
        """Add what is not there yet.

        Parameters
        ----------
        dry_run : bool, optional
            Read all files, write nothing.
        progress : callable, optional
            Called with the number of bytes of files dealt with since the last call.

        Raises
        ------
        WrongClock, StoreUnavailable, StoreRefused, StoreFull
            As `Database.add`; what was added until then stays, and another run goes on.
        """
        made = Imported(passed_over=list(self.tree.skipped))
        longnames = {each["detector"]: each["longname"] for each in self.db.detectors()}
        for (detector, ctype), items in self.tree.items.items():
            short = self._short_name(detector)
            known = longnames.get(short or "", "")
            if known and known not in (detector, lcls1_names.whole(detector)):
                why = f"its source would be taken for {short}, which is {known}"
                made.unreadable += [Skipped(item.path, why) for item in items]
                continue
            filed = Filed(self._history(short, ctype))
            for item in items:
                self._take(item, filed, made, dry_run=dry_run)
                if progress:
                    progress(item.facts.st_size)
            short = short or self._short_name(detector)
            made.detectors |= {detector: short} if short else {}
        made.gone = self._gone()
        return made

    def _short_name(self, detector: str) -> str | None:
        try:
            return self.db.short_name(detector)
        except NotFound:
            return None

    def _history(self, short: str | None, ctype: str) -> list[Version]:
        if short is None:
            return []
        return self.db.history(short, ctype, experiment=self.experiment)

    def _gone(self) -> list[str]:
        there = {item.place for items in self.tree.items.values() for item in items}
        filed = map(place_of, self.db.find(experiment=self.experiment))
        return sorted({place for place in filed if place and place not in there})

    def _take(self, item: Item, filed: Filed, made: Imported, *, dry_run: bool) -> None:
        """Add a file's version, if it is new; note what became of it."""
        try:
            raw = item.path.read_bytes()
            sha256 = lcls1_files.digest_of(raw)
            before = filed.of_file(item)
            if before is not None and file_of(before).get("sha256") == sha256:
                made.same += 1
                return
            content, encoded = _understood(raw, item)
            known = (before, filed.in_force(item))
            if any(each is not None and holds(each, encoded) for each in known):
                made.same += 1
                return
            is_new = dry_run or self._deploy(item, encoded, _source(item, content, sha256)).new
        except OSError as error:
            made.unreadable.append(Skipped(item.path, _cannot(error)))
        except _UNREADABLE as error:
            made.unreadable.append(Skipped(item.path, str(error).removeprefix(f"{item.path}: ")))
        else:
            made.new += is_new
            made.same += not is_new

    def _deploy(self, item: Item, encoded: Encoded, source: dict[str, Any]) -> Version:
        record = item.record
        run = record.fields.get("run", "") if record is not None else ""
        fields = {
            "comment": record.comment if record is not None and record.comment else None,
            "detname": item.folder.source,
            "longname": lcls1_names.long_name(item.folder.source, item.folder.group),
            "iofname": item.place,
            "unit": contents.unit_of(names.detector_type(item.detector), item.ctype),
            "run_orig": int(run) if run.isascii() and run.isdecimal() and len(run) < 10 else None,
            "source": source,
        }
        return self.db.deploy(
            encoded,
            detector=item.detector,
            ctype=item.ctype,
            experiment=self.experiment,
            run=item.runs.begin,
            run_end=item.runs.text_end,
            time=item.time,
            fields=fields,
            retired=item.retired,
            recorded=True,
        )


def _understood(raw: bytes, item: Item) -> tuple[Content, Encoded]:
    """Return what a file holds, also as it is stored."""
    try:
        content = lcls1_files.content_of(raw, item.path, item.ctype)
        plain = encode(content.data)
    except CalibError as error:
        raise BadFile(str(error)) from None
    size = memoryview(plain.data).nbytes
    return content, Encoded(plain.fields, digest(plain.data), size, plain.data)


def _source(item: Item, content: Content, sha256: str) -> dict[str, Any]:
    """Return what a version keeps of its file."""
    folder, facts = item.folder, item.facts
    told: dict[str, Any] = {"group": folder.group, "source": folder.source, "ctype": folder.ctype}
    told |= {"name": item.path.name, **content.facts}
    if item.record is not None:
        told["history"] = dict(item.record.fields)
    if item.retired:
        told["hidden"] = item.retired
    file = {"path": item.place, "sha256": sha256, "nbytes": facts.st_size}
    return {"files": [file | {"mtime_ns": facts.st_mtime_ns}], LCLS1: told}


def holds(version: Version, encoded: Encoded) -> bool:
    """Return whether a version has a payload."""
    same = (version.meta.get(name) == encoded.fields.get(name) for name in _SAME)
    return version.sha256 == encoded.sha256 and all(same)
