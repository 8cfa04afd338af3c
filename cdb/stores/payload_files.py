"""One file per payload, named by its sha256; written once, whole, never rewritten.

::

    folder/ab/abcd...       a payload
    folder/.writers         the lock that writers of payloads share

A payload is written beside its place, synced and moved there, so a reader may keep one mapped for
as long as it likes.
"""

import fcntl
import hashlib
import mmap
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cdb.errors import NotFound, StoreRefused
from cdb.stores.base import Progress
from cdb.stores.folders import age, sync, translated

BLOCK = 8 * 2**20
# Reading a small file is quicker than mapping it.
MAPPED_FROM = 2**20


class PayloadFiles:
    """Payloads in a folder.

    Parameters
    ----------
    folder : Path
        Must be there before something is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._folder = str(folder)
        self._store = folder.parent

    def path(self, sha256: str) -> Path:
        """Return where a payload is, or would be."""
        return Path(self._name(sha256))

    def _name(self, sha256: str) -> str:
        # On the way of every look-up, where a Path would cost as much as the reading.
        return f"{self._folder}/{sha256[:2]}/{sha256}"

    def read(self, sha256: str) -> bytes | memoryview:
        """Return a payload; a large one is mapped, read-only.

        Raises
        ------
        NotFound
            If its file is gone.
        """
        try:
            with translated(self._store), open(self._name(sha256), "rb", buffering=0) as file:
                if os.fstat(file.fileno()).st_size < MAPPED_FROM:
                    return file.read()
                return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except FileNotFoundError:
            raise NotFound(f"the file of payload {sha256} is gone: run `cdb fsck`") from None

    def write(self, sha256: str, data: bytes | memoryview, progress: Progress | None) -> None:
        """Write a payload beside its place, sync it, move it there; whole bytes stay."""
        path = self.path(sha256)
        view = memoryview(data).cast("B") if memoryview(data).nbytes else memoryview(b"")
        if path.exists() and _digest(path) == path.name:
            if progress:
                progress(view.nbytes)
            return
        if not path.parent.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            sync(path.parent.parent)
        beside = path.parent / f".{uuid.uuid4().hex}.part"
        try:
            with beside.open("xb", buffering=0) as file:
                for start in range(0, view.nbytes, BLOCK):
                    block = view[start : start + BLOCK]
                    written = 0
                    while written < block.nbytes:
                        written += file.write(block[written:])
                    if progress:
                        progress(block.nbytes)
                os.fsync(file.fileno())
            beside.chmod(0o444)
            beside.replace(path)
            sync(path.parent)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise

    def remove(self, sha256: str) -> None:
        """Remove a payload, if it is there."""
        self.path(sha256).unlink(missing_ok=True)

    def litter(self, known: set[str], older_than: float) -> list[str]:
        """Return halves of files, and files that are not known, of at least this age [s]."""
        found = []
        for path in sorted(self.folder.glob("*/*")):
            old = age(path)
            if path.name not in known and old is not None and old >= older_than:
                found.append(str(path.relative_to(self.folder)))
        return found

    def remove_litter(self, names: Sequence[str]) -> None:
        """Remove what `litter` named."""
        for name in names:
            (self.folder / name).unlink(missing_ok=True)

    @contextmanager
    def locked(self, *, alone: bool) -> Iterator[None]:
        """Hold the lock: shared by writers from the first byte on, or alone, without waiting.

        Raises
        ------
        BlockingIOError
            If a writer is at work.
        """
        with translated(self._store):
            descriptor = os.open(self.folder / ".writers", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)
            yield
        finally:
            # Closing lets go of the lock; a killed process does the same.
            os.close(descriptor)

    def clock(self) -> float | None:
        """Return the time of the file system; None for who may not write."""
        stamp = self.folder / ".writers"
        try:
            with translated(self._store):
                stamp.touch()
                return stamp.stat().st_mtime
        except StoreRefused:
            return None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
