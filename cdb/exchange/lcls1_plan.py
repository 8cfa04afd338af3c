"""What an LCLS-I tree is to hold of an experiment, under which names, and what is left out.

Of the versions of the same runs the one that look-ups find; a version that was a file of a tree
goes back to the place that it had there; backups and HISTORY go with it. Nothing is written here.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdb.constant import Version, order_of
from cdb.database import Database
from cdb.errors import BadName
from cdb.exchange import lcls1_files
from cdb.exchange.lcls1_files import HISTORY_OF
from cdb.exchange.lcls1_standins import stand_ins
from cdb.exchange.lcls1_told import as_in_names, is_hidden, place_of, told_of
from cdb.files import groups, history, lcls1, lcls1_check
from cdb.files.lcls1 import CalibFile, Skipped
from cdb.lcls1_names import XTCAV
from cdb.validity import LAST_PSANA_RUN, RunRange, from_microseconds

# What a tree cannot say of a constant.
BEYOND = ("conditions", "valid_from", "valid_until")
NUMBERS = ("bool", "int", "uint", "float")  # dtypes of an array text
# Types that a tree may have; of others the backups are found where some version is in force.
_TYPES = (*lcls1_check.READ, *lcls1_check.KEPT)


@dataclass(frozen=True)
class File:
    """A file of the tree to be.

    Attributes
    ----------
    folder : Path
        Where it goes, inside the tree.
    name : str
        Its name there.
    version : Version
        What it holds.
    lines : str
        What is added at the end of a HISTORY; empty for every other file.
    """

    folder: Path
    name: str
    version: Version
    lines: str = ""

    @property
    def path(self) -> Path:
        """Where it goes, inside the tree."""
        return self.folder / self.name

    @property
    def runs(self) -> RunRange | None:
        """The runs that the name says; None of a backup or a HISTORY."""
        try:
            return lcls1.parse_name(self.name)
        except BadName:
            return None


class Plan:
    """The files of a tree.

    Parameters
    ----------
    db : Database
        What it is of.
    experiment : str
        Whose constants, checked already.
    detectors : sequence of str
        Only these, by any of their names; all without any.
    state : dict
        The argument `as_of` or `tag` of all questions.

    Attributes
    ----------
    files : list of File
        What is to be there.
    superseded : int
        Versions that another one of the same runs keeps from all look-ups.
    left_out : list of Skipped
        What a tree cannot hold, and why.
    stand_ins : list of Skipped
        What of it leaves runs to another file, and to which.
    """

    def __init__(
        self, db: Database, experiment: str, detectors: Sequence[str], state: dict[str, Any]
    ) -> None:
        self._db, self._experiment, self._state = db, experiment, state
        self.files: list[File] = []
        self.superseded = 0
        self.left_out: list[Skipped] = []
        self.stand_ins: list[Skipped] = []
        wanted = {db.short_name(name, **state) for name in detectors}
        by_detector: dict[str, list[Version]] = {}
        for version in db.find(experiment=experiment, **state):
            if not wanted or version.detector in wanted:
                by_detector.setdefault(version.detector, []).append(version)
        longnames = {each["detector"]: each["longname"] for each in db.detectors()}
        for detector, versions in sorted(by_detector.items()):
            self._add(detector, versions, longnames.get(detector, ""))

    def _add(self, detector: str, versions: list[Version], longname: str) -> None:
        """Plan the files of one detector."""
        by_type: dict[str, list[Version]] = {ctype: [] for ctype in _TYPES}
        for version in versions:
            by_type.setdefault(version.ctype.removeprefix(HISTORY_OF), []).append(version)
        home = _home(versions, longname)
        for ctype, several in sorted(by_type.items()):
            files = self._in_force(ctype, several, home)
            self.files += files
            self.files += self._hidden(ctype, detector, files)
            self.files += self._histories(ctype, several, files)

    def _in_force(self, ctype: str, versions: list[Version], home: tuple[str, str]) -> list[File]:
        """Return the files of the versions of one type that some look-up finds."""
        best: dict[RunRange, tuple[Version, str]] = {}
        for version in sorted(versions, key=lambda v: order_of(v.meta)):
            if version.ctype != ctype:
                continue
            runs = None if version.runs is None else as_in_names(version.runs)
            why = _why_not(version, runs)
            if why:
                self.leave_out(version, why)
            if runs is None:
                continue
            before = best.get(runs)
            self.superseded += before is not None and not why
            # A closed range up to 9999 is narrower than an open one of the same name.
            if before is None or _end(version) <= _end(before[0]):
                best[runs] = version, why
        files: list[File] = []
        missing: list[CalibFile] = []
        for runs, (version, why) in best.items():
            if not why:
                try:
                    files.append(_file_of(version, runs, home))
                    continue
                except BadName as error:
                    self.leave_out(version, str(error))
            if runs.begin <= LAST_PSANA_RUN:
                missing.append(CalibFile(_named(version), runs))
        listed = [*map(_as_listed, files), *missing]
        for one in stand_ins(listed, {file.path for file in missing}):
            why = f"leaves runs {one.runs} to {one.instead.path}"
            self.stand_ins.append(Skipped(one.missing.path, why))
        return files

    def leave_out(self, version: Version, why: str) -> None:
        """Note a version that a tree cannot hold, and why."""
        self.left_out.append(Skipped(_named(version), why))

    def _hidden(self, ctype: str, detector: str, files: list[File]) -> list[File]:
        """Return backups and the like, as far as they change no reader's choice."""
        last: dict[str, Version] = {}
        for kind in (ctype, HISTORY_OF + ctype):
            versions = self._db.history(detector, kind, experiment=self._experiment, **self._state)
            for version in sorted(versions, key=lambda v: order_of(v.meta)):
                if is_hidden(version) and version.out is not None:
                    last[place_of(version)] = version
        taken = {file.path for file in files}
        chosen = []
        for version in last.values():
            told = told_of(version)
            try:
                folder = lcls1.folder_of("", str(told["source"]), ctype, str(told["group"]))
                made = File(folder, _checked_name(str(told["name"])), version)
            except BadName as error:
                self.leave_out(version, str(error))
                continue
            if made.path not in taken and not self._disturbs(made, files):
                chosen.append(made)
        return chosen

    def _disturbs(self, made: File, files: list[File]) -> bool:
        """Return whether readers would choose a file that no look-up finds."""
        there = [file for file in files if file.folder == made.folder]
        if made.runs is None or (files and not there):
            return False
        chosen = lcls1.effective_ranges(map(_as_listed, [*there, made]))
        if all(span.file is None or span.file.path != made.path for span in chosen):
            return False
        self.leave_out(made.version, f"readers would choose {made.name}, and nobody does here")
        return True

    def _histories(self, ctype: str, versions: list[Version], files: list[File]) -> Iterator[File]:
        """Yield the HISTORY of each folder: as it was, and a line for what was added here."""
        last: dict[Path, Version] = {}
        for version in sorted(versions, key=lambda v: order_of(v.meta)):
            told = told_of(version)
            if version.ctype == HISTORY_OF + ctype and place_of(version):
                try:
                    group = str(told["group"])
                    last[lcls1.folder_of("", str(told["source"]), ctype, group)] = version
                except BadName as error:
                    self.leave_out(version, str(error))
        lines: dict[Path, str] = {}
        newest: dict[Path, Version] = {}
        for file in sorted(files, key=lambda file: order_of(file.version.meta)):
            if not place_of(file.version):
                line = _line(file, self._experiment)
                lines[file.folder] = lines.get(file.folder, "") + line
                newest[file.folder] = file.version
        for folder in sorted({*last, *lines}):
            version = last.get(folder) or newest[folder]
            yield File(folder, history.NAME, version, lines.get(folder, ""))


# In common -------------------------------------------------------------------------------------


def _file_of(version: Version, runs: RunRange, home: tuple[str, str]) -> File:
    """Return the file of a version that some look-up finds.

    Raises
    ------
    BadName
        If it has no place in a tree.
    """
    told = told_of(version) if place_of(version) and not is_hidden(version) else {}
    source, group = str(told.get("source", home[0])), str(told.get("group", home[1]))
    folder = lcls1.folder_of("", source, version.ctype, group)
    name = str(told.get("name", ""))
    return File(folder, name if _says(name, runs) else lcls1.file_name(runs), version)


def _why_not(version: Version, runs: RunRange | None) -> str:
    """Return why a tree cannot hold a version; empty if it can."""
    if runs is None:
        return "its runs cannot be understood"
    try:
        lcls1.file_name(runs)
    except BadName as error:
        return str(error)
    if "dcs" in told_of(version):
        return "it was in a dcs file, and these are only read"
    said = [name for name in BEYOND if version.meta.get(name)]
    if said:
        return f"it has {' and '.join(said)}, which a tree cannot say"
    kind = version.meta.get("data_type")
    if (kind == "str") != lcls1_files.is_text(version.ctype):
        return f"its data are {kind}, which files of this type are not"
    if kind == "ndarray" and not str(version.meta.get("data_dtype")).startswith(NUMBERS):
        return f"its numbers are {version.meta.get('data_dtype')}, which a text cannot hold"
    if kind == "json" and not place_of(version) and version.dettype != XTCAV:
        return "its data are json, which a tree holds for XTCAV alone"
    return ""


def _named(version: Version) -> Path:
    """Return what a version is called in a report."""
    return Path(f"{version.detector}/{version.ctype}/{version.runs}")


def _home(versions: Iterable[Version], longname: str) -> tuple[str, str]:
    """Return source and group of a detector whose versions do not say it themselves."""
    told = next((t for t in map(told_of, versions) if isinstance(t.get("source"), str)), None)
    dettype, _, rest = longname.partition("_")
    number, _, after = rest.partition("_")
    source = after if number.isdecimal() and ":" in after else rest
    source = str(told["source"]) if told else source
    group = groups.XTCAV if dettype == XTCAV else groups.group_of(source)
    if group == groups.UNDEFINED and told:
        group = str(told.get("group"))
    return source, group


def _end(version: Version) -> int | float:
    return version.runs.end if version.runs is not None else 0


def _says(name: str, runs: RunRange) -> bool:
    """Return whether a name is that of a file for some runs."""
    try:
        return lcls1.parse_name(name) == runs
    except BadName:
        return False


def _checked_name(name: str) -> str:
    """Return the name of a file in a folder of constants, of a backup or of a HISTORY."""
    of, dash, time = name.rpartition(f"{lcls1.SUFFIX}-")
    if name != history.NAME:
        lcls1.parse_name(of + lcls1.SUFFIX if dash else name)
        if dash and history.parse_time(time) is None:
            raise BadName(f"backup {name!a} has no time in its name")
    return name


def _as_listed(file: File) -> CalibFile:
    return CalibFile(file.path, lcls1.parse_name(file.name))


def _line(file: File, experiment: str) -> str:
    """Return the line of HISTORY about a version that was added here."""
    meta = file.version.meta
    time, zone = history.stamp(from_microseconds(order_of(meta)))
    fields = {"file": file.name, "copy_of": f"cdb:{file.version.id}", "exp": experiment}
    fields |= {"run": f"{meta.get('run_orig') or 0:04d}", "app": "cdb", "cptime": time}
    fields |= {"user": meta.get("uid", ""), "host": meta.get("host", ""), "zone": zone}
    fields |= {"comment": meta.get("comment", "")}
    plain = {key: " ".join(str(value).split()) for key, value in fields.items()}
    return history.format(plain, "finder") + "\n"
