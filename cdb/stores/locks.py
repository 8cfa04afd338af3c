"""Turns at a file: a lock that nobody waits for, and that no child of its holder keeps.

A lock here saves work and never guards what is right: where a file system has none, everybody
simply goes ahead.
"""

import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_held: set[int] = set()
_opening = threading.Lock()


@contextmanager
def turn(path: Path) -> Iterator[bool | None]:
    """Give True to whom the file is locked for, False to others; None where there are no locks.

    Parameters
    ----------
    path : Path
        Made for the lock and removed after it; its folder must exist.
    """
    descriptor = _opened(path)
    mine: bool | None = False
    try:
        mine = _locked(descriptor, path)
        yield mine
    finally:
        _let_go(descriptor, path if mine else None)


def _opened(path: Path) -> int:
    # A fork between the opening and the noting would leave a child with a lock unknown to it.
    with _opening:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        _held.add(descriptor)
    return descriptor


def _locked(descriptor: int, path: Path) -> bool | None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL):
            return None
        raise
    # The holder before us may have removed the file after we had opened it: that lock is nobody's.
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _let_go(descriptor: int, path: Path | None) -> None:
    with _opening:
        if descriptor not in _held:
            return  # in a child, which closed it when it was forked
        if path is not None:
            path.unlink(missing_ok=True)
        _held.discard(descriptor)
        os.close(descriptor)


def _in_child() -> None:
    # The lock belongs to the open file, which a fork shares: a child that kept it open would keep
    # the lock of a parent that was killed.
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()
    _opening.release()


os.register_at_fork(
    before=_opening.acquire, after_in_parent=_opening.release, after_in_child=_in_child
)
