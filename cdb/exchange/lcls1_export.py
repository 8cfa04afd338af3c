"""An LCLS-I tree made of an experiment's constants, which the old programs read.

For every run the tree's readers then choose what the experiment's own database answers. A version
that was a file of a tree goes back to the place that it had there; backups and HISTORY go with it.
What a tree cannot say is not written, but told.

Each file is written beside its place and then moved there, and what is there already is left
alone, so that an export that was killed goes on. A file that differs is replaced only on demand,
and kept as a backup then.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cdb import names
from cdb.constant import Version, order_of
from cdb.database import Database
from cdb.errors import BadFile, BadName, CalibError
from cdb.exchange import lcls1_files
from cdb.exchange.lcls1_files import HISTORY_OF
from cdb.exchange.lcls1_import import as_in_names, file_of, holds, is_hidden, place_of, told_of
from cdb.files import groups, history, lcls1
from cdb.files.lcls1 import CalibFile, Skipped
from cdb.lcls1_names import XTCAV
from cdb.payload import Encoded, digest, encode
from cdb.reading import AsOf
from cdb.stores.base import Progress
from cdb.validity import RunRange, from_microseconds

# As the old programs make them, less the umask; a folder inherits set-gid where its parent has it.
FOLDER_MODE, FILE_MODE = 0o775, 0o664
# What a tree cannot say of a constant.
BEYOND = ("conditions", "valid_from", "valid_until")


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


@dataclass
class Exported:
    """What an export did, or would do.

    Attributes
    ----------
    new, same, replaced : int
        Files written, there already with the same values, and written over others.
    superseded : int
        Versions that another one of the same runs keeps from all look-ups.
    differ : list of Skipped
        Files that are there, hold something else and were left alone.
    left_out : list of Skipped
        What a tree cannot hold, and why.
    foreign : list of Skipped
        Files of the tree that readers may choose, and that are not the store's.
    """

    new: int = 0
    same: int = 0
    replaced: int = 0
    superseded: int = 0
    differ: list[Skipped] = field(default_factory=list)
    left_out: list[Skipped] = field(default_factory=list)
    foreign: list[Skipped] = field(default_factory=list)


class Export:
    """A tree about to be written: what goes into it is known, nothing is written.

    Parameters
    ----------
    db : Database
        What it is of: a store, or a service.
    calib : Path or str
        The tree, which need not be there.
    experiment : str
        Whose constants.
    detectors : sequence of str, optional
        Only these, by any of their names.
    as_of : int, datetime or str, optional
        The state after this event, or at this time, instead of now.
    tag : str, optional
        The state that this tag names, instead.
    short : bool, optional
        Print numbers as the old writers did, which loses digits; by default none is lost.

    Raises
    ------
    BadName, NotFound
        If the experiment or a detector cannot be used, or is not there.
    """

    def __init__(
        self,
        db: Database,
        calib: Path | str,
        experiment: str,
        *,
        detectors: Sequence[str] = (),
        as_of: AsOf | None = None,
        tag: str | None = None,
        short: bool = False,
    ) -> None:
        self.db, self.calib, self._short = db, Path(calib), short
        self.experiment = names.check_experiment(experiment)
        state = db.moment(as_of).seq if tag is None else None
        self._state: dict[str, Any] = {"as_of": state} if tag is None else {"tag": tag}
        self._made = Exported()
        wanted = {db.short_name(name, **self._state) for name in detectors}
        found = db.find(experiment=self.experiment, **self._state)
        by_detector: dict[str, list[Version]] = {}
        for version in found:
            if not wanted or version.detector in wanted:
                by_detector.setdefault(version.detector, []).append(version)
        longnames = {each["detector"]: each["longname"] for each in db.detectors()}
        self.files: list[File] = []
        for detector, versions in sorted(by_detector.items()):
            self._plan(versions, longnames.get(detector, ""))

    @property
    def nbytes(self) -> int:
        """Of the constants together, as they are stored."""
        return sum(file.version.nbytes or 0 for file in self.files)

    # planning ----------------------------------------------------------------------------------

    def _plan(self, versions: list[Version], longname: str) -> None:
        """Plan the files of one detector."""
        by_type: dict[str, list[Version]] = {}
        for version in versions:
            by_type.setdefault(version.ctype.removeprefix(HISTORY_OF), []).append(version)
        source, group = _home(versions, longname)
        for ctype, several in sorted(by_type.items()):
            files = [*self._in_force(ctype, several, source, group)]
            self.files += files
            self.files += self._hidden(ctype, several[0].detector, files)
            self.files += self._histories(ctype, several, files)

    def _in_force(
        self, ctype: str, versions: list[Version], source: str, group: str
    ) -> Iterator[File]:
        """Yield the files of the versions of one type that some look-up finds."""
        best: dict[RunRange, Version] = {}
        for version in sorted(versions, key=lambda v: order_of(v.meta)):
            if version.ctype != ctype:
                continue
            runs = None if version.runs is None else as_in_names(version.runs)
            why = self._why_not(version, runs)
            if why or runs is None:
                self._leave_out(version, why)
                continue
            before = best.get(runs)
            self._made.superseded += before is not None
            # A closed range up to 9999 is narrower than an open one, though a name says the same.
            if before is None or _end(version) <= _end(before):
                best[runs] = version
        for runs, version in best.items():
            told = told_of(version)
            try:
                own = told if place_of(version) and not is_hidden(version) else {}
                folder = lcls1.folder_of(
                    "", str(own.get("source", source)), ctype, str(own.get("group", group))
                )
                name = str(own.get("name", ""))
                yield File(folder, name if _says(name, runs) else lcls1.file_name(runs), version)
            except BadName as error:
                self._leave_out(version, str(error))

    def _why_not(self, version: Version, runs: RunRange | None) -> str:
        """Return why a tree cannot hold a version; empty if it can."""
        if runs is None:
            return "its runs cannot be understood"
        try:
            lcls1.file_name(runs)
        except BadName as error:
            return str(error)
        said = [name for name in BEYOND if version.meta.get(name)]
        if said:
            return f"it has {' and '.join(said)}, which a tree cannot say"
        kind = version.meta.get("data_type")
        if (kind == "str") != lcls1_files.is_text(version.ctype):
            return f"its data are {kind}, which files of this type are not"
        if kind == "json" and not place_of(version) and version.dettype != XTCAV:
            return "its data are json, which a tree holds for XTCAV alone"
        return ""

    def _leave_out(self, version: Version, why: str) -> None:
        what = f"{version.detector}/{version.ctype}/{version.runs}"
        self._made.left_out.append(Skipped(Path(what), why))

    def _hidden(self, ctype: str, detector: str, files: list[File]) -> list[File]:
        """Return backups and the like, as far as they change no reader's choice."""
        last: dict[str, Version] = {}
        for kind in (ctype, HISTORY_OF + ctype):
            versions = self.db.history(detector, kind, experiment=self.experiment, **self._state)
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
                self._leave_out(version, str(error))
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
        self._leave_out(made.version, f"readers would choose {made.name}, and nobody does here")
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
                    self._leave_out(version, str(error))
        lines: dict[Path, str] = {}
        newest: dict[Path, Version] = {}
        for file in sorted(files, key=lambda file: order_of(file.version.meta)):
            if not place_of(file.version):
                line = _line(file, self.experiment)
                lines[file.folder] = lines.get(file.folder, "") + line
                newest[file.folder] = file.version
        for folder in sorted({*last, *lines}):
            version = last.get(folder) or newest[folder]
            yield File(folder, history.NAME, version, lines.get(folder, ""))

    # writing -----------------------------------------------------------------------------------

    def run(
        self, *, dry_run: bool = False, replace: bool = False, progress: Progress | None = None
    ) -> Exported:
        """Write what is not there yet.

        Parameters
        ----------
        dry_run : bool, optional
            Only say what would be done.
        replace : bool, optional
            Write over files that hold something else; these are kept as backups.
        progress : callable, optional
            Called with the number of bytes of constants dealt with since the last call.

        Raises
        ------
        OSError
            If the tree cannot be written.
        """
        made = self._made
        for file in self.files:
            self._write(file, dry_run=dry_run, replace=replace)
            if progress:
                progress(file.version.nbytes or 0)
        planned = {file.path for file in self.files}
        for folder in sorted({file.folder for file in self.files}):
            for there in lcls1.valid_files(self.calib / folder, _ignore):
                if folder / there.name not in planned:
                    made.foreign.append(Skipped(there.path, "is not the store's"))
        return made

    def _write(self, file: File, *, dry_run: bool, replace: bool) -> None:
        path = self.calib / file.path
        try:
            there = self._is_there(file, path)
            if there:
                self._made.same += 1
                if not dry_run:  # somebody may have been killed just before the end
                    _beside(path).unlink(missing_ok=True)
                return
            if there is None:
                self._made.new += 1
            elif replace:
                self._made.replaced += 1
            else:
                self._made.differ.append(Skipped(path, "holds something else; it was left alone"))
                return
            if not dry_run:
                self._put(file, path, keep=there is not None)
        except CalibError as error:
            self._leave_out(file.version, str(error))

    def _is_there(self, file: File, path: Path) -> bool | None:
        """Return whether a path holds what it should; None if nothing is there."""
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            return None
        if file.name == history.NAME:
            return raw == self._content(file, path)
        if file_of(file.version).get("sha256") == lcls1_files.digest_of(raw):
            return True
        try:
            plain = encode(lcls1_files.content_of(raw, path, file.version.ctype).data)
        except CalibError:
            return False
        size = memoryview(plain.data).nbytes
        if holds(file.version, Encoded(plain.fields, digest(plain.data), size)):
            return True
        return self._short and raw == self._content(file, path)

    def _content(self, file: File, path: Path) -> bytes:
        """Return the bytes of a file."""
        told = told_of(file.version)
        if file.name == history.NAME:
            text = b""
            if file.version.ctype.startswith(HISTORY_OF):
                data = self.db.data(file.version)
                text = lcls1_files.bytes_of(data, path, file.version.ctype, told)
            between = b"\n" if file.lines and text and not text.endswith(b"\n") else b""
            return text + between + file.lines.encode()
        facts = told if "comments" in told or place_of(file.version) else _header(file.version)
        data = self.db.data(file.version)
        return lcls1_files.bytes_of(data, path, file.version.ctype, facts, short=self._short)

    def _put(self, file: File, path: Path, *, keep: bool) -> None:
        """Write a file beside its place, with its time, and move it there."""
        data = self._content(file, path)
        _make_folder(path.parent)
        part = _beside(path)
        part.unlink(missing_ok=True)
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
        with open(handle, "wb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        time = _mtime(file)
        os.utime(part, ns=(time, time))
        if keep:
            stamp, _ = history.stamp(datetime.now(UTC))
            os.replace(path, path.with_name(f"{path.name}-{stamp}"))
        _move_where_nothing_is(part, path)


# In common -------------------------------------------------------------------------------------


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


def _header(version: Version) -> Mapping[str, Any]:
    """Return what the head of a file says of a version that never was one."""
    meta = version.meta
    said = {"HOST": "host", "WORK_DIR": "cwd", "DATE_TIME": "time_stamp", "UID": "uid"}
    lines = [f"{key:<11} {meta.get(name, '')}" for key, name in said.items()]
    return {"comments": [f"{'COMMENT':<11} {meta.get('comment', '')}", *lines]}


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


def _mtime(file: File) -> int:
    """Return the time of a file [ns]: as it had, or when it was added here."""
    told = file_of(file.version).get("mtime_ns")
    if isinstance(told, int) and 0 <= told < 2**62 and not file.lines:
        return told
    return order_of(file.version.meta) * 1000


def _make_folder(folder: Path) -> None:
    for each in (*reversed(folder.parents), folder):
        if each.is_dir():
            continue
        with contextlib.suppress(FileExistsError):  # somebody was quicker
            each.mkdir(FOLDER_MODE)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def _move_where_nothing_is(part: Path, path: Path) -> None:
    """Move a file to its place; somebody else's, who was quicker, stays.

    Raises
    ------
    BadFile
        If somebody was.
    """
    try:
        os.link(part, path)
    except FileExistsError:
        raise BadFile(f"{path} came to be while it was written; it was left alone") from None
    except OSError:  # a file system without links
        part.replace(path)
    part.unlink(missing_ok=True)


def _ignore(_: Skipped) -> None:
    """Let pass what is no file of constants."""
