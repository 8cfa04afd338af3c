"""Putting files into an LCLS-I tree and taking them out: whole or not at all, with HISTORY.

Whoever looks, at any moment, sees under a file's name the old content or the new one. What is
replaced or removed stays beside it as a backup, ``7-end.data-2016-01-02T03:04:05``, as the tree's
own deployers leave it; then HISTORY gets its line.
"""

import contextlib
import errno
import fcntl
import grp
import math
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdb.actor import actor
from cdb.errors import (
    BadFile,
    BadName,
    CalibError,
    NotFound,
    Refused,
    StoreFull,
    StoreRefused,
    WrongState,
    shown,
)
from cdb.files import contents, history, lcls1
from cdb.files.groups import plain_source
from cdb.files.lcls1 import CALIB, SUFFIX, CalibFile, Report, Span
from cdb.stores.folders import sync
from cdb.validity import RunRange

if TYPE_CHECKING:
    from numpy.typing import NDArray

PART = ".part"  # as `cdb.files.places` calls what is not in its place yet


@dataclass(frozen=True)
class Modes:
    """Who may do what with new files and folders.

    Attributes
    ----------
    folder, file : int
        As ``chmod`` takes them; the default of folders hands their group on to what is in them.
    group : str or None
        Name of the account group that they get; None leaves it to the system.
    """

    folder: int = 0o2775
    file: int = 0o664
    group: str | None = None

    def check(self) -> None:
        """Refuse a group that this machine does not have.

        Raises
        ------
        BadName
            Naming it.
        """
        try:
            if self.group is not None:
                grp.getgrnam(self.group)
        except KeyError:
            raise BadName(
                f"no group {shown(self.group)} on this machine; `groups` lists yours"
            ) from None

    def give(self, path: Path, mode: int) -> None:
        """Set the mode and the group of a new file or folder."""
        path.chmod(mode)
        if self.group is not None:
            shutil.chown(path, group=self.group)


@dataclass(frozen=True)
class Done:
    """What was done, or would be.

    Attributes
    ----------
    path : Path
        The file.
    backup : Path or None
        Where its old content is; None if there was none, or the same.
    record : str
        The line of HISTORY.
    before, after : tuple of Span
        Which runs got and get which file of the folder.
    """

    path: Path
    backup: Path | None
    record: str
    before: tuple[Span, ...]
    after: tuple[Span, ...]


class _Change:
    """A change of one file of a folder: checked when it is made, done by `commit`."""

    def __init__(
        self,
        calib: Path | str,
        source: str,
        ctype: str,
        group: str | None,
        modes: Modes,
        report: Report,
    ) -> None:
        self.calib = _checked(Path(calib))
        self.source = plain_source(source)
        self.ctype = ctype
        self.modes = modes
        self.folder = lcls1.folder_of(self.calib, source, ctype, group)
        self.group = self.folder.parents[1].name
        modes.check()
        self.files = lcls1.valid_files(self.folder, report)

    def step(self, name: str) -> None:
        """Do nothing: tests stop here."""

    def _look(self) -> None:
        """Look again at what others may have changed by now."""
        self.files = lcls1.valid_files(self.folder, lambda skipped: None)

    def _done(self, path: Path, backup: Path | None, record: str, after: list[CalibFile]) -> Done:
        before = tuple(lcls1.effective_ranges(self.files))
        return Done(path, backup, record, before, tuple(lcls1.effective_ranges(after)))

    def _back_up(self, path: Path, moment: datetime) -> Path:
        """Copy a file to the name of a backup that is free."""
        with self._beside() as copy:
            shutil.copyfile(path, copy)
            shutil.copystat(path, copy)
            sync(copy)
            self.step("backup written")
            while True:
                backup = path.with_name(f"{path.name}-{history.stamp(moment)[0]}")
                if _claim(copy, backup):
                    self.step("backup named")
                    return backup
                moment += timedelta(seconds=1)

    @contextlib.contextmanager
    def _beside(self) -> Iterator[Path]:
        """Give the path of a file that no reader looks at, and remove what is left there."""
        part = self.folder / f".{secrets.token_hex(8)}{PART}"
        try:
            yield part
        finally:
            part.unlink(missing_ok=True)

    def _check_history(self) -> None:
        """Refuse to begin what could not be told."""
        path = self.folder / history.NAME
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, "", os.fspath(path))

    def _note(self, line: str, done: str) -> None:
        """Append a line to HISTORY; what it tells of is done already."""
        try:
            self._append(line)
        except OSError as error:
            raise StoreRefused(
                f"{done}, but {self.folder / history.NAME} could not be told: "
                f"{error.strerror or error}; add the line by hand: {line}"
            ) from None

    def _append(self, line: str) -> None:
        """Append a line to HISTORY, in one piece."""
        path = self.folder / history.NAME
        new = not path.exists()
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o664)
        try:
            end = os.lseek(descriptor, 0, os.SEEK_END)
            # Whoever wrote before may have been stopped in the midst of a line.
            is_open = end > 0 and os.pread(descriptor, 1, end - 1) != b"\n"
            os.write(descriptor, ("\n" * is_open + line + "\n").encode("utf-8", "backslashreplace"))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if new:
            self.modes.give(path, self.modes.file)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep out others who change the folder through this module."""
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            # Where a file system has no locks, all go ahead, as the old deployers always did.
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class Deployment(_Change):
    """A file to be put into a tree; nothing is written before `commit`.

    Parameters
    ----------
    calib : Path or str
        The tree, a folder called ``calib``.
    source : str
        With or without ``DetInfo(...)``.
    ctype : str
        Type of constant.
    content : Path, ndarray or str
        A file that is taken as it is, but for ``.npy``, which becomes array text as an array
        does; or the text of a geometry and the like.
    runs : RunRange
        For which it will hold, up to 9999 or open.
    group : str, optional
        The source's own by default.
    comment : str, optional
        For HISTORY.
    fmt : str, optional
        How numbers of an array are written, as ``%.3f``; exactly by default.
    modes : Modes, optional
        Of new files and folders.
    check_shape : bool, optional
        Whether to refuse an array of another size than the detector's.
    report : callable, optional
        Called with files of the folder that are passed over.

    Raises
    ------
    BadName
        If the folder is not called calib, or a name cannot be used.
    NotFound
        If the tree is not there.
    BadFile
        If the content cannot be read as constants of this type.
    Refused
        If an array has not the size of the detector, or another spelling of the runs is there;
        if it is HDF5 and not for XTCAV.
    """

    def __init__(
        self,
        calib: Path | str,
        source: str,
        ctype: str,
        content: "Path | NDArray[Any] | str",
        runs: RunRange,
        *,
        group: str | None = None,
        comment: str = "",
        fmt: str | None = None,
        modes: Modes = Modes(),
        check_shape: bool = True,
        report: Report = lcls1.warn,
    ) -> None:
        super().__init__(calib, source, ctype, group, modes, report)
        self.path = self.folder / lcls1.file_name(runs)
        self.comment = comment
        self.origin = os.fspath(content) if isinstance(content, Path) else ""
        self.data, said = _content(content, ctype, fmt)
        contents.check_kind(said, self.group)
        if hasattr(said, "shape"):
            _check_array(said.shape, ctype)
            if check_shape:
                contents.check_size(said.shape, self.source, ctype)
        if self.path.is_dir():
            raise BadFile(f"{self.path} is a folder; remove it first")
        self._after = self._with_it()
        self._record(datetime.now(UTC))  # refuses what breaks a line

    def _with_it(self) -> list[CalibFile]:
        """Return the files of the folder with the new one, if it can lie beside the others."""
        new = CalibFile(self.path, lcls1.parse_name(self.path.name))
        others = [file for file in self.files if file.name != new.name]
        same = next((file.name for file in others if file.runs == new.runs), None)
        if same is not None:
            raise Refused(
                f"{same} holds for the same runs as {new.name}, so one of them would never be "
                f"read; remove it first: cdb lcls1 remove -r {same.removesuffix(SUFFIX)}"
            )
        return [*others, new]

    def plan(self) -> Done:
        """Return what `commit` would do."""
        is_same = self._is_there()
        now = datetime.now(UTC)
        replaced = self.path.exists() and not is_same
        backup = self.path.with_name(f"{self.path.name}-{history.stamp(now)[0]}")
        return self._done(self.path, backup if replaced else None, self._record(now), self._after)

    def commit(self) -> Done:
        """Put the file there.

        Raises
        ------
        StoreRefused
            If rights are missing.
        StoreFull
            If there is no space; the tree is as it was.
        """
        with _writing(self.folder):
            self._make_folders()
            with self._alone():
                self._check_history()
                self._look()
                self._after = self._with_it()
                now = datetime.now(UTC)
                backup = None
                if not self._is_there():
                    backup = self._put(now)
                record = self._record(now)
                self._note(record, f"{self.path} is in force")
                self.step("noted")
        return self._done(self.path, backup, record, self._after)

    def _put(self, now: datetime) -> Path | None:
        with self._beside() as part:
            with part.open("xb") as file:
                self.step("part begun")
                file.write(self.data)
                file.flush()
                os.fsync(file.fileno())
            self.modes.give(part, self.modes.file)
            self.step("part written")
            backup = self._back_up(self.path, now) if self.path.exists() else None
            part.replace(self.path)
            self.step("put")
        return backup

    def _make_folders(self) -> None:
        missing = [p for p in (self.folder, *self.folder.parents) if self.calib in p.parents]
        for path in reversed(missing):
            with contextlib.suppress(FileExistsError):
                path.mkdir()
                self.modes.give(path, self.modes.folder)
                self.step("folder made")

    def _is_there(self) -> bool:
        try:
            return self.path.stat().st_size == len(self.data) and (
                self.path.read_bytes() == self.data
            )
        except FileNotFoundError:
            return False

    def _record(self, now: datetime) -> str:
        begin = lcls1.parse_name(self.path.name).begin
        given = {
            "copy_of": self.origin,
            "exp": lcls1.experiment_of(self.calib) or "",
            "run": f"{begin:04}",
            "app": "cdb",
            "comment": self.comment,
        }
        return history.format(_by_whom(self.path.name, now) | given, "finder")


class Removal(_Change):
    """A file to be taken out of a tree; its content stays as a backup.

    Parameters
    ----------
    calib, source, ctype, group, modes, report
        As `Deployment` takes them.
    name : str
        Of the file in its folder; one that is no good name can be removed too.
    comment : str, optional
        For HISTORY.

    Raises
    ------
    NotFound
        If there is no such file.
    BadName
        As `Deployment` does.
    """

    def __init__(
        self,
        calib: Path | str,
        source: str,
        ctype: str,
        name: str,
        *,
        group: str | None = None,
        comment: str = "",
        modes: Modes = Modes(),
        report: Report = lcls1.warn,
    ) -> None:
        super().__init__(calib, source, ctype, group, modes, report)
        if os.path.basename(name) != name or os.path.splitext(name)[1] != SUFFIX:
            raise BadName(f"{shown(name)} is no name of a file of constants, as 7-end{SUFFIX}")
        self.path, self.comment = self.folder / name, comment
        if self.path.is_symlink() and not self.path.exists():
            raise BadFile(f"{self.path} is a link to nothing; nothing is lost by `rm`")
        if not self.path.exists():
            there = ", ".join(file.name for file in self.files) or "none"
            raise NotFound(f"no file {shown(name)} in {self.folder}; there are: {there}")
        if self.path.is_dir():
            raise BadFile(f"{self.path} is a folder, no file of constants")
        self._after = [file for file in self.files if file.name != name]
        self._record(datetime.now(UTC))

    def plan(self) -> Done:
        """Return what `commit` would do."""
        now = datetime.now(UTC)
        backup = self.path.with_name(f"{self.path.name}-{history.stamp(now)[0]}")
        return self._done(self.path, backup, self._record(now), self._after)

    def commit(self) -> Done:
        """Take the file out.

        Raises
        ------
        NotFound
            If somebody else removed it.
        StoreRefused
            If rights are missing.
        """
        with _writing(self.folder), self._alone():
            self._check_history()
            self._look()
            self._after = [file for file in self.files if file.name != self.path.name]
            now = datetime.now(UTC)
            try:
                backup = self._back_up(self.path, now)
                self.path.unlink()
            except FileNotFoundError:
                raise NotFound(f"{self.path} was removed by somebody else") from None
            self.step("removed")
            record = self._record(now)
            self._note(record, f"{self.path} is removed")
            self.step("noted")
        return self._done(self.path, backup, record, self._after)

    def _record(self, now: datetime) -> str:
        given = {"cmd": "rm", "comment": self.comment}
        return history.format(_by_whom(self.path.name, now) | given, "delete")


# In common -------------------------------------------------------------------------------------


def _checked(calib: Path) -> Path:
    """Return a tree that may be changed: whatever is called otherwise may be anything."""
    calib = Path(os.path.abspath(calib))
    if calib.name != CALIB:
        raise BadName(
            f"{os.fspath(calib)!r} is not called {CALIB}, so nothing is changed in it; give "
            f"the path of a tree, as /path/{CALIB}"
        )
    if not calib.is_dir():
        raise NotFound(f"no folder {os.fspath(calib)!r}; make it first")
    return calib


def _by_whom(name: str, now: datetime) -> dict[str, str]:
    writer = actor()
    cptime, zone = history.stamp(now)
    return {
        "file": name,
        "user": writer.login,
        "host": writer.host,
        "cptime": cptime,
        "zone": zone,
    }


def _content(
    content: "Path | NDArray[Any] | str", ctype: str, fmt: str | None
) -> tuple[bytes, Any]:
    """Return the bytes of a file, and what they say: an array, a text, a dict of HDF5."""
    from cdb.files import formats, text

    if isinstance(content, Path) and content.suffix == ".npy":
        content = formats.read(content)
    if isinstance(content, Path):
        if fmt is not None:
            raise BadFile(
                f"{content} is taken as it is, so there is nothing to write with {fmt!r}; give a "
                ".npy file"
            )
        return _bytes_of(content, ctype)
    if isinstance(content, str):
        if ctype not in contents.TEXTS:
            return content.encode(), text.parse(content)
        if ctype == "geometry":
            from cdb.geometry import tree

            tree.parse(content)
        return content.encode(), content
    if ctype in contents.TEXTS:
        raise BadFile(f"{ctype} is a text, and this is an array")
    return text.format_array(content, fmt=fmt).encode(), content


def _bytes_of(path: Path, ctype: str) -> tuple[bytes, Any]:
    """Return the bytes of a file, and what was read in it."""
    before = _changed(path)
    data = contents.read(path, ctype)
    raw = path.read_bytes()
    if _changed(path) != before:
        raise WrongState(f"{path} was changed while it was read; try again")
    return raw, data


def _check_array(shape: tuple[int, ...], ctype: str) -> None:
    """Refuse an array that no reader takes for constants, whatever the detector."""
    size = math.prod(shape)
    if not size:
        raise BadFile(f"an array of shape {shape} holds no numbers")
    if ctype == contents.COMMON_MODE and size != max(shape, default=1):
        raise BadFile(f"common_mode is one list of numbers, not an array of shape {shape}")


def _changed(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0  # reading it says why
    return found.st_ino, found.st_size, found.st_mtime_ns


def _claim(part: Path, name: Path) -> bool:
    """Give a file its name if no other has it."""
    try:
        os.link(part, name)
    except FileExistsError:
        return False
    except OSError:  # no hard links here
        if name.exists():
            return False
        part.rename(name)
    return True


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Say in one sentence why a folder cannot be written."""
    try:
        yield
    except CalibError:
        raise
    except PermissionError as error:
        where = repr(str(error.filename or folder))
        raise StoreRefused(
            f"no permission to write {where}; ask the owner of the tree for the rights"
        ) from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreFull(f"no space left for {folder}") from None
        raise BadFile(f"cannot write {folder}: {error.strerror or error}") from None
