"""What of an LCLS-I tree is to be a version: the files, their runs, their times, their HISTORY.

They are found by their names and times alone; no constant is read.
"""

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cdb import lcls1_names, names
from cdb.errors import BadName, CalibError
from cdb.exchange.lcls1_files import HISTORY_OF, decoded
from cdb.files import history, lcls1
from cdb.files.groups import group_of
from cdb.files.history import Record
from cdb.files.lcls1 import Folder, Skipped
from cdb.validity import LAST_SECOND, RunRange

if TYPE_CHECKING:
    from cdb.files import dcs


class Part(NamedTuple):
    """A version in a dcs file, and the range of time that it is of."""

    range: "dcs.Range"
    version: "dcs.Version"


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
    part : Part or None
        Which version of a dcs file it is; None of a file of its own.
    broken : str
        Why it cannot be read, if that is known before it is opened.
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
    part: Part | None = None
    broken: str = ""

    @property
    def name(self) -> str:
        """Name of the file, or of the part inside it."""
        if self.part is None:
            return self.path.name
        return f"{self.part.range.name}/v{self.part.version.number:04}"

    @property
    def place(self) -> str:
        """The path inside the tree."""
        folder = self.folder
        return "/".join((folder.group, folder.source, folder.ctype, self.name))


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
    unreadable : list of Skipped
        Folders and dcs files that cannot be read: what is in them is not known.
    items : dict
        The files by detector and type, in the order in which they came to be.

    Raises
    ------
    NotFound
        If there is no such tree.
    """

    calib: Path
    skipped: list[Skipped] = field(default_factory=list)
    unreadable: list[Skipped] = field(default_factory=list)
    items: dict[tuple[str, str], list[Item]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Look through the folders."""
        folders: dict[tuple[str, str], list[Folder]] = {}
        for folder in lcls1.walk(self.calib, self._pass_over):
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

        for path in sorted(self.calib.glob("*/*.h5")):
            for item in self._in_dcs(path):
                self.items.setdefault((item.detector, item.ctype), []).append(item)

    def _pass_over(self, skipped: Skipped) -> None:
        """Note a folder that is none of constants, or one of which nobody knows."""
        is_open = os.access(skipped.path, os.R_OK | os.X_OK)
        (self.skipped if is_open else self.unreadable).append(skipped)

    def _in_dcs(self, path: Path) -> Iterator[Item]:
        """Yield the versions in a dcs file: all hold for all runs, each from its time on."""
        from cdb.files import dcs

        facts = self._facts(path)
        if facts is None or not stat.S_ISREG(facts.st_mode):
            return
        # What is called as a dcs file is one, so that what is wrong with it is a loss.
        is_dcs = path.name.startswith(f"{path.parent.name}-")
        refused = self.unreadable if is_dcs else self.skipped
        try:
            found = dcs.read(path)
            detector = names.check_detector(f"{found.dettype.lower()}_{found.detid}")
            for ctype in found.ctypes:
                names.check_ctype(ctype)
        except CalibError as error:
            refused.append(Skipped(path, f"is not taken in: {error}"))
            return
        if names.is_short_name(detector):
            why = f"is not taken in: {detector} is the short name of a detector"
            refused.append(Skipped(path, why))
            return
        refused += [Skipped(path, f"is not taken in whole: {why}") for why in found.refused]
        for ctype, ranges in found.ctypes.items():
            folder = Folder(path.parent, path.parent.name, path.name, ctype)
            for each in ranges:
                time = datetime.fromtimestamp(min(max(0, each.begin), LAST_SECOND - 1), UTC)
                for version in each.versions:
                    is_default = version == each.version()
                    why = "" if is_default else "another version counts in this range of time"
                    yield Item(
                        folder, path, detector, ctype, RunRange(0), time, facts,
                        retired=why, part=Part(each, version),
                    )  # fmt: skip

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
                self.unreadable.append(Skipped(folder.path, cannot(error)))
                continue
            hidden = f"{read.group} of {read.source} has this type, and readers look there"
            yield from self._in_folder(detector, folder, "" if folder is read else hidden)

    def _in_folder(self, detector: str, folder: Folder, hidden: str) -> Iterator[Item]:
        records: Mapping[str, Sequence[Record]] = {}
        path = folder.path / history.NAME
        if os.path.lexists(path):
            kind = HISTORY_OF + folder.ctype
            for item in self._item(detector, folder, path, RunRange(0), None, hidden):
                yield replace(item, ctype=kind)
                records = {} if item.broken else self._records(path)
        seen: set[RunRange] = set()
        for file in lcls1.valid_files(folder.path, self.skipped.append):
            other = "its runs are those of a file whose spelling readers prefer"
            why = hidden or (other if file.runs in seen else "")
            seen.add(file.runs)
            record = history.standing(records.get(file.name, ())).get(file.name)
            yield from self._item(detector, folder, file.path, file.runs, record, why)
        for backup in lcls1.backups(folder.path):
            try:
                runs = lcls1.parse_name(backup.of)
            except BadName as error:
                self.skipped.append(Skipped(backup.path, f"is a backup of what {error}"))
                continue
            before = (r for r in records.get(backup.of, ()) if r.time and r.time < backup.time)
            record = history.standing(before).get(backup.of)
            why = "a backup in the tree"
            for item in self._item(detector, folder, backup.path, runs, record, why):
                # Where no record tells when it came, it was there when the copy was made.
                made = backup.time if _is_stored(backup.time) else item.time
                yield replace(item, time=min(item.time, made))

    def _records(self, path: Path) -> dict[str, list[Record]]:
        """Return the records of each file; if HISTORY cannot be read, none: it is told later."""
        try:
            text, _ = decoded(path.read_bytes())
        except OSError:
            return {}
        by_file: dict[str, list[Record]] = {}
        for record in history.parse(text):
            by_file.setdefault(record.file, []).append(record)
        return by_file

    def _item(
        self,
        detector: str,
        folder: Folder,
        path: Path,
        runs: RunRange,
        record: Record | None,
        why: str,
    ) -> Iterator[Item]:
        """Yield what readers take for a file, also where it is none; nothing if it is gone."""
        facts, broken = self._facts(path), ""
        if facts is None:
            return
        if stat.S_ISLNK(facts.st_mode):
            broken = "is a link to what is not there"
        elif not stat.S_ISREG(facts.st_mode):
            broken = "is no file"
        time = _time_of(facts)
        told = record.time if record is not None else None
        if told is not None and _is_stored(told):
            time = told
        yield Item(
            folder, path, detector, folder.ctype, runs, time, facts, record, why, broken=broken
        )

    def _facts(self, path: Path) -> os.stat_result | None:
        """Return the facts of a file, of a link if it leads nowhere; None if it is gone."""
        try:
            return path.stat()
        except OSError:
            pass
        try:
            return path.lstat()
        except OSError as error:
            self.skipped.append(Skipped(path, cannot(error)))
            return None


def _is_stored(time: datetime) -> bool:
    """Return whether a time lies within what look-ups can ask for."""
    return 0 < time.timestamp() < LAST_SECOND


def _time_of(facts: os.stat_result) -> datetime:
    """Return the time of a file, within what can be stored."""
    return datetime.fromtimestamp(min(max(1, facts.st_mtime), LAST_SECOND - 1), UTC)


def cannot(error: OSError) -> str:
    """Say why a file is not taken in."""
    return f"cannot be read: {error.strerror or error}"


def _detector_of(folder: Folder) -> str:
    """Return type and source, which the register finds whether it knows a number or not."""
    long = lcls1_names.long_name(folder.source, folder.group)
    return f"{names.detector_type(long)}_{folder.source}"
