"""A folder of payloads by digest, shared by all processes of a node; it cannot be wrong.

::

    folder/payloads/ab/abcd...        the bytes, read-only
    folder/payloads/ab/abcd....json   the file that was verified; its time is that of the last use
    folder/parts/abcd....1234         a download on its way
    folder/locks/abcd...              somebody downloads; abcd....1 instead of one who is stopped

A file is written beside its place and moved there, then never written again: who has it mapped
keeps it, whatever is removed or replaced. It is used without another look only while inode, size
and time are those that were recorded when its digest was compared. Nothing is synced: what a
power cut spoils has another size or digest, and is downloaded again.
"""

import contextlib
import errno
import hashlib
import json
import logging
import mmap
import os
import random
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cdb.errors import BadQuestion, CalibError, Corrupt, StoreRefused, shown
from cdb.stores.hashing import Digest
from cdb.stores.locks import turn

logger = logging.getLogger(__name__)

Bytes = bytes | memoryview
Pieces = Callable[[], Iterable[Bytes]]

DEFAULT_SIZE = 32 * 10**9
# Reading a small file is quicker than mapping it.
MAPPED_FROM = 2**20
# A download that does not grow for so long may be a stopped process: one does without it [s].
PATIENCE = 10.0
# A download that did not grow for so long is litter [s].
DEAD = 60.0
# The last use is noted to this precision [s].
USE = 1.0

NETWORK = {
    "9p", "afs", "beegfs", "ceph", "cifs", "fuse.sshfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4",
    "panfs", "smb3", "smbfs", "wekafs",
}  # fmt: skip


class Unusable(StoreRefused):
    """A folder that cannot keep anything: no space, no right to write. One can do without."""


@dataclass(frozen=True)
class Entry:
    """A payload in the folder: its digest, length [bytes] and last use [Unix seconds]."""

    sha256: str
    nbytes: int
    used: float


def default_cache() -> "Cache | None":
    """Return the cache of ``CDB_CACHE``, else of a folder of the user's; None if it is ``off``.

    Raises
    ------
    BadQuestion
        If ``CDB_CACHE_SIZE`` is no size.
    """
    named = os.environ.get("CDB_CACHE")
    if named == "off":
        return None
    size = os.environ.get("CDB_CACHE_SIZE")
    return Cache(named or _own_folder(), size=parse_size(size) if size else DEFAULT_SIZE)


def _own_folder() -> Path:
    import platformdirs

    return platformdirs.user_cache_path("cdb", appauthor=False)


def parse_size(text: str) -> int:
    """Return a size in bytes: ``500M``, ``20G``, ``1T`` (powers of 1000), or plain bytes.

    Examples
    --------
    >>> parse_size("20G")
    20000000000
    """
    units = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
    number, unit = text.strip().upper().removesuffix("B"), ""
    if number[-1:] in units:
        number, unit = number[:-1], number[-1:]
    if not (number.isascii() and number.isdecimal() and len(number) < 20):
        raise BadQuestion(f"CDB_CACHE_SIZE is {shown(text)}; give bytes, or 500M, 20G, 1T")
    return int(number) * units[unit]


class Cache:
    """Payloads in a folder.

    Parameters
    ----------
    folder : Path or str
        Made, for its owner alone, when it is first used.
    size : int, optional
        What the payloads may take together [bytes]; those not used for longest go first.
    patience : float, optional
        How long a download of another process may stand still [s].
    """

    def __init__(
        self, folder: Path | str, *, size: int = DEFAULT_SIZE, patience: float = PATIENCE
    ) -> None:
        self.folder = Path(folder).expanduser().absolute()
        self.size = size
        self.patience = patience
        self._payloads = str(self.folder / "payloads")
        self._is_ready = False

    # one payload -------------------------------------------------------------------------------

    def fetch(self, sha256: str, pieces: Pieces) -> Bytes:
        """Return a payload from the folder, or download it into there, one process for all.

        Parameters
        ----------
        sha256 : str
            Its digest, hexadecimal.
        pieces : callable
            Begins a download.

        Raises
        ------
        Corrupt
            If what was downloaded has another digest.
        Unusable
            If the folder cannot keep it.
        StoreRefused
            If the folder is not the caller's alone.
        """
        with _translated(self.folder):
            return self._fetch(sha256, pieces)

    def _fetch(self, sha256: str, pieces: Pieces) -> Bytes:
        self._make_ready()
        begin, seen = time.monotonic(), self._growth(sha256)
        wait, lock = 0.001, 0
        while True:
            data = self.get(sha256)
            if data is not None:
                return data
            grown = self._growth(sha256)
            if grown != seen:
                begin, seen = time.monotonic(), grown
            elif time.monotonic() - begin > self.patience:
                # Who has the lock is stopped: of all that wait one takes the next one.
                begin, lock = time.monotonic(), lock + 1
            with turn(self.folder / "locks" / (f"{sha256}.{lock}" if lock else sha256)) as mine:
                if mine is not False:
                    # Another may have finished between the look and the lock.
                    data = self.get(sha256)
                    return self._download(sha256, pieces) if data is None else data
            time.sleep(wait * random.uniform(0.5, 1))
            wait = min(wait * 1.5, 0.1)

    def get(self, sha256: str) -> Bytes | None:
        """Return a payload that is there, verified; None if it is not, or was damaged."""
        self._make_ready()
        path = self._path(sha256)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            status = os.fstat(descriptor)
            data = _content(descriptor, status.st_size)
        finally:
            os.close(descriptor)
        recorded, used = _recorded(path)
        if recorded != _identity(status):
            if hashlib.sha256(data).hexdigest() != sha256:
                logger.warning("%s was damaged: it is removed, and downloaded again", path)
                _unlink_if(path, status)
                return None
            self._record(path, status)
        elif time.time() - used > USE:
            with contextlib.suppress(FileNotFoundError):  # another has just removed it
                os.utime(_record_of(path))
        return data

    def _download(self, sha256: str, pieces: Pieces) -> Bytes:
        """Download a payload beside its place, compare its digest, move it there."""
        part = self.folder / "parts" / f"{sha256}.{uuid.uuid4().hex}"
        path = self._path(sha256)
        digest = Digest()
        try:
            with part.open("x+b", buffering=0) as file:
                for piece in pieces():
                    digest.update(piece)
                    _write(file.fileno(), piece)
                if digest.hexdigest() != sha256:
                    raise Corrupt(
                        f"the payload {sha256} that was downloaded is damaged: its digest is not "
                        "the one that was deployed; `cdb fsck --payloads` at its store finds all "
                        "such, and adding the data again heals"
                    )
                os.fchmod(file.fileno(), 0o400)
                status = os.fstat(file.fileno())
                data = _content(file.fileno(), status.st_size)
                # First the record: nobody finds the file without it and verifies it once more.
                self._record(path, status)
                # Who is stopped for long is taken for dead and its part removed.
                with contextlib.suppress(FileNotFoundError):
                    part.replace(path)
        finally:
            digest.close()
            part.unlink(missing_ok=True)
        self._make_room()
        return data

    def _growth(self, sha256: str) -> tuple[tuple[str, int], ...]:
        """Return what changes while somebody downloads a payload."""
        found = []
        for part in (self.folder / "parts").glob(f"{sha256}.*"):
            with contextlib.suppress(FileNotFoundError):
                found.append((part.name, part.stat().st_size))
        return tuple(sorted(found))

    def _path(self, sha256: str) -> str:
        return f"{self._payloads}/{sha256[:2]}/{sha256}"

    def _record(self, path: str, status: os.stat_result) -> None:
        """Note that a file has been verified."""
        beside = self.folder / "parts" / f"record.{uuid.uuid4().hex}"
        folder = os.path.dirname(path)
        if not os.path.isdir(folder):
            os.makedirs(folder, 0o700, exist_ok=True)
        beside.write_text(json.dumps(_identity(status)))
        beside.replace(_record_of(path))

    # all of them -------------------------------------------------------------------------------

    def entries(self) -> list[Entry]:
        """Return what is there, the least recently used first."""
        found = []
        for path in _files(self._payloads):
            if path.suffix != ".json":
                with contextlib.suppress(FileNotFoundError):
                    found.append(Entry(path.name, path.stat().st_size, _last_use(path)))
        return sorted(found, key=lambda entry: entry.used)

    def verify(self) -> Iterator[tuple[Entry, bool]]:
        """Yield each payload and whether it is whole; a damaged one is removed."""
        for entry in self.entries():
            path = Path(self._path(entry.sha256))
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                status = os.fstat(file.fileno())
                whole = hashlib.file_digest(file, "sha256").hexdigest() == entry.sha256
                if not whole:
                    _unlink_if(str(path), status)
                yield entry, whole

    def remove(self, entries: Iterable[Entry]) -> None:
        """Remove payloads; who has one mapped keeps it."""
        for entry in entries:
            path = Path(self._path(entry.sha256))
            path.unlink(missing_ok=True)
            Path(_record_of(str(path))).unlink(missing_ok=True)

    def _make_room(self) -> None:
        """Remove what was not used for longest, and what killed processes left."""
        entries = self.entries()
        excess = sum(entry.nbytes for entry in entries) - self.size
        for entry in entries:
            if excess <= 0:
                break
            self.remove([entry])
            excess -= entry.nbytes
        self.sweep()

    def sweep(self, older_than: float = DEAD) -> None:
        """Remove what killed processes left, untouched for so many seconds."""
        litter = [
            *(self.folder / "parts").glob("*"),
            *(p for p in _files(self._payloads) if p.suffix == ".json" and not _has_payload(p)),
        ]
        for path in litter:
            if _age(path) > older_than:
                path.unlink(missing_ok=True)
        for path in (self.folder / "locks").glob("*"):
            if _age(path) > older_than:
                with turn(path):  # which removes it, unless somebody has it
                    continue

    # the folder itself -------------------------------------------------------------------------

    def _make_ready(self) -> None:
        if self._is_ready:
            return
        for folder in (self.folder, *map(self.folder.joinpath, ("payloads", "parts", "locks"))):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check_ours(folder)
        if self.is_remote:
            logger.warning(
                "the cache %s is on a network file system (%s): it is slow, and what is saved by "
                "one node is not seen at once by others; CDB_CACHE names a folder on a local disk",
                self.folder,
                self.file_system,
            )
        self._is_ready = True

    @property
    def file_system(self) -> str:
        """The kind of file system that the folder is on; empty if that is not known."""
        try:
            mounts = Path("/proc/self/mountinfo").read_text()
        except OSError:
            return ""
        return kind_of_mount(self.folder.resolve(), mounts)

    @property
    def is_remote(self) -> bool:
        """Whether the folder is on a disk of another machine."""
        return self.file_system in NETWORK

    @property
    def has_locks(self) -> bool:
        """Whether the file system has locks; without them several processes may download."""
        self._make_ready()
        with turn(self.folder / "locks" / f"probe.{uuid.uuid4().hex}") as mine:
            has = mine is not None
        if not has:
            for probe in (self.folder / "locks").glob("probe.*"):
                probe.unlink(missing_ok=True)
        return has

    def check(self) -> None:
        """Make the folder if it is not there, and refuse one that is not the caller's alone.

        Raises
        ------
        StoreRefused
            Saying whose it is, and what to do.
        """
        with _translated(self.folder):
            self._make_ready()


def kind_of_mount(folder: Path, mounts: str) -> str:
    """Return the kind of file system that a folder is on, from ``/proc/self/mountinfo``.

    Examples
    --------
    >>> mounts = '''22 1 8:1 / / rw - ext4 /dev/sda1 rw
    ... 36 22 0:31 / /home rw,relatime shared:1 - nfs4 server:/home rw'''
    >>> kind_of_mount(Path("/home/me/.cache"), mounts), kind_of_mount(Path("/homely"), mounts)
    ('nfs4', 'ext4')
    """
    best, kind = -1, ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) < 5 or not after:
            continue
        # Blanks and the like are written as octal numbers.
        point = Path(fields[4].replace("\\040", " ").replace("\\011", "\t"))
        if folder.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), after.split()[0]
    return kind


def _check_ours(folder: Path) -> None:
    status = folder.stat()
    if status.st_uid not in (os.geteuid(), 0):
        raise StoreRefused(
            f"the cache {folder} belongs to user {status.st_uid}, who could change what is read "
            "from it; let CDB_CACHE name a folder of your own (off: do without)"
        )
    if status.st_mode & 0o077:
        raise StoreRefused(
            f"the cache {folder} is open to others (mode {status.st_mode & 0o777:04o}), who could "
            f"change what is read from it; `chmod 700 {folder}`, or let CDB_CACHE name another"
        )


def _identity(status: os.stat_result) -> list[int]:
    return [status.st_ino, status.st_size, status.st_mtime_ns]


def _record_of(path: str) -> str:
    return path + ".json"


def _recorded(path: str) -> tuple[list[int] | None, float]:
    """Return the file that was verified, and when it was last used; None if that is not known."""
    try:
        with open(_record_of(path), "rb", buffering=0) as file:
            return json.loads(file.read()), os.fstat(file.fileno()).st_mtime
    except (FileNotFoundError, ValueError):
        return None, 0.0


def _content(descriptor: int, nbytes: int) -> Bytes:
    if nbytes < MAPPED_FROM:
        return os.pread(descriptor, nbytes, 0)
    return memoryview(mmap.mmap(descriptor, nbytes, access=mmap.ACCESS_READ))


def _write(descriptor: int, piece: Bytes) -> None:
    view = memoryview(piece)
    while view.nbytes:
        view = view[os.write(descriptor, view) :]


def _unlink_if(path: str, status: os.stat_result) -> None:
    """Remove a file unless another has taken its place."""
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(os.stat(path), status):
            os.unlink(path)


def _files(folder: str) -> Iterator[Path]:
    return Path(folder).glob("*/*")


def _has_payload(record: Path) -> bool:
    return record.with_suffix("").exists()


def _last_use(path: Path) -> float:
    try:
        return os.stat(_record_of(str(path))).st_mtime
    except FileNotFoundError:
        return path.stat().st_mtime


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


@contextlib.contextmanager
def _translated(folder: Path) -> Iterator[None]:
    """Say what went wrong with the folder in the words of this package."""
    try:
        yield
    except CalibError:
        raise  # said already, by the store; some are errors of the system too
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise Unusable(
                f"no space left for the cache {folder}; free some, or let CDB_CACHE name a folder "
                "with room and CDB_CACHE_SIZE say how much of it may be used"
            ) from error
        raise Unusable(
            f"{error.filename or folder} cannot be used as a cache: {error.strerror or error}; "
            "let CDB_CACHE name another folder (off: do without)"
        ) from error
