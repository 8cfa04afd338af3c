"""An LCLS-I tree made of an experiment's constants, which the old programs read.

For every run the tree's readers then choose what the experiment's own database answers. A version
that was a file of a tree goes back to the place that it had there; backups and HISTORY go with it.
What a tree cannot say is not written, but told.

Each file is written beside its place and then moved there, and what is there already is left
alone, so that an export that was killed goes on. A file that differs is replaced only on demand,
and kept as a backup then.
"""

import contextlib
import errno
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cdb import names
from cdb.constant import Version, order_of
from cdb.database import Database
from cdb.errors import (
    BadArray,
    BadFile,
    BadPayload,
    CalibError,
    Corrupt,
    NotBundled,
    Purged,
    StoreFull,
    StoreRefused,
)
from cdb.exchange import lcls1_files
from cdb.exchange.lcls1_files import HISTORY_OF
from cdb.exchange.lcls1_plan import File, Plan
from cdb.exchange.lcls1_standins import stand_ins
from cdb.exchange.lcls1_told import file_of, holds, place_of, told_of
from cdb.files import history, lcls1
from cdb.files.lcls1 import CalibFile, Skipped
from cdb.payload import Encoded, digest, encode
from cdb.reading import AsOf
from cdb.stores.base import Progress
from cdb.stores.folders import sync
from cdb.validity import RunRange

# As the old programs make them, less the umask; a folder inherits set-gid where its parent has it.
FOLDER_MODE, FILE_MODE = 0o775, 0o664
# What may be the matter with a constant; all else is trouble of the store or of the tree.
_NOT_WRITTEN = (BadArray, BadFile, BadPayload, Corrupt, NotBundled, Purged)


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
    stand_ins : list of Skipped
        What leaves runs to another file than the one that look-ups answer, and which runs.
    foreign : list of Skipped
        Files of the tree that readers may choose, and that are not the store's.
    """

    new: int = 0
    same: int = 0
    replaced: int = 0
    superseded: int = 0
    differ: list[Skipped] = field(default_factory=list)
    left_out: list[Skipped] = field(default_factory=list)
    stand_ins: list[Skipped] = field(default_factory=list)
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
        asked: dict[str, Any] = {"as_of": state} if tag is None else {"tag": tag}
        self._plan = Plan(db, self.experiment, detectors, asked)
        self._changed: set[Path] = set()

    @property
    def nbytes(self) -> int:
        """Of the constants together, as they are stored."""
        return sum(file.version.nbytes or 0 for file in self._plan.files)

    @property
    def n_files(self) -> int:
        """How many files there are to be."""
        return len(self._plan.files)

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
            Called after each file with the number of bytes of its constant.

        Raises
        ------
        StoreFull, StoreRefused, OSError
            If the tree cannot be written; what was written stays, and another run goes on.
        StoreUnavailable
            If the store went away.
        """
        plan = self._plan
        made = Exported(
            superseded=plan.superseded,
            left_out=list(plan.left_out),
            stand_ins=list(plan.stand_ins),
        )
        broken: set[Path] = set()
        for file in plan.files:
            try:
                self._write(file, made, dry_run=dry_run, replace=replace)
            except _NOT_WRITTEN as error:
                made.left_out.append(Skipped(file.path, str(error)))
                broken.add(self.calib / file.path)
            if progress:
                progress(file.version.nbytes or 0)
        for folder in sorted(self._changed):
            sync(folder)
        self._tell_choices(made, broken)
        return made

    def _write(self, file: File, made: Exported, *, dry_run: bool, replace: bool) -> None:
        path = self.calib / file.path
        there = self._is_there(file, path)
        if there:
            made.same += 1
            if not dry_run:  # somebody may have been killed just before the end
                _beside(path).unlink(missing_ok=True)
        elif there is False and not replace:
            made.differ.append(Skipped(path, "holds something else; it was left alone"))
        else:
            data = self._content(file, path)  # of which some cannot be written
            if not dry_run:
                self._put(data, file, path, keep=there is not None)
            made.new += there is None
            made.replaced += there is not None

    def _tell_choices(self, made: Exported, broken: Collection[Path]) -> None:
        """Note files that are not the store's, and the runs that get others than they should."""
        planned: dict[Path, dict[Path, CalibFile]] = {}
        for file in self._plan.files:
            mine = planned.setdefault(file.folder, {})
            if file.runs is not None:
                path = self.calib / file.path
                mine[path] = CalibFile(path, file.runs)
        for folder, mine in sorted(planned.items()):
            found = lcls1.valid_files(self.calib / folder, _ignore)
            foreign = [file for file in found if file.path not in mine]
            made.foreign += [Skipped(file.path, "is not the store's") for file in foreign]
            for one in stand_ins(mine.values(), broken):
                why = f"leaves runs {one.runs} to {one.instead.name}"
                made.stand_ins.append(Skipped(one.missing.path, why))
            for span in lcls1.effective_ranges([*mine.values(), *foreign]):
                if span.file in foreign:
                    why = f"is not the store's, and gets runs {RunRange(span.first, span.last)}"
                    made.stand_ins.append(Skipped(span.file.path, why))

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

    def _put(self, data: bytes, file: File, path: Path, *, keep: bool) -> None:
        """Write a file beside its place, with its time, and move it there."""
        part = _beside(path)
        try:
            _make_folder(path.parent)
            part.unlink(missing_ok=True)
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
            with open(handle, "wb") as opened:
                opened.write(data)
                opened.flush()
                os.fsync(opened.fileno())
            time = _mtime(file)
            os.utime(part, ns=(time, time))
            if keep:
                _keep(path)
                part.replace(path)
            else:
                _move_where_nothing_is(part, path)
        except BadFile:  # somebody was quicker
            part.unlink(missing_ok=True)
            raise
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise _trouble(error, path) from None
        self._changed.add(path.parent)


# In common -------------------------------------------------------------------------------------


def _header(version: Version) -> Mapping[str, Any]:
    """Return what the head of a file says of a version that never was one."""
    meta = version.meta
    said = {"HOST": "host", "WORK_DIR": "cwd", "DATE_TIME": "time_stamp", "UID": "uid"}
    lines = [f"{key:<11} {meta.get(name, '')}" for key, name in said.items()]
    return {"comments": [f"{'COMMENT':<11} {meta.get('comment', '')}", *lines]}


def _mtime(file: File) -> int:
    """Return the time of a file [ns]: as it had, or when it was added here."""
    told = file_of(file.version).get("mtime_ns")
    if isinstance(told, int) and abs(told) < 2**62 and not file.lines:
        return told
    return order_of(file.version.meta) * 1000


def _make_folder(folder: Path) -> None:
    for each in (*reversed(folder.parents), folder):
        if each.is_dir():
            continue
        with contextlib.suppress(FileExistsError):  # somebody was quicker
            each.mkdir(FOLDER_MODE)


def _trouble(error: OSError, path: Path) -> OSError:
    """Return what to say of a file that cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFull(f"no space left for {path}; make some, then repeat the command")
    if isinstance(error, PermissionError):
        return StoreRefused(f"no permission to write {path}; ask the owner of the tree for it")
    return OSError(error.errno, error.strerror, str(path))


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def _keep(path: Path) -> None:
    """Give a file the name of a backup too, one that is free; it stays where it is meanwhile."""
    moment = datetime.now(UTC)
    while True:
        backup = path.with_name(f"{path.name}-{history.stamp(moment)[0]}")
        try:
            os.link(path, backup)
            return
        except FileExistsError:
            moment += timedelta(seconds=1)
        except OSError:  # a file system without links
            if not backup.exists():
                path.rename(backup)
                return
            moment += timedelta(seconds=1)


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
