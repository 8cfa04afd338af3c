"""Connections of SQLite and forks: none may cross one.

SQLite counts the locks of a file per process, in memory that a fork copies. A child of a process
that had the file open takes locks for its own that only the parent holds, even through a new
connection; once the parent closes the file, the child writes into a log that is gone, and what it
acknowledges is lost. So what the forking thread has open is closed before the fork and opened
anew when it is next used. What other threads have open cannot be closed under them: that file the
child is refused.
"""

import os
import sqlite3
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

File = tuple[int, int]


class Connection(sqlite3.Connection):
    """A connection that a fork finds.

    Attributes
    ----------
    closed : bool
        Whether it was closed, here or before a fork.
    readers : int
        How many cursors are being read.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.closed = False
        self.readers = 0
        self.thread = threading.get_ident()
        self.file = _file(self.execute("PRAGMA database_list").fetchone()[2])
        with _lock:
            _open.add(self)

    def close(self) -> None:
        """Close; a fork need not look at it any more."""
        self.closed = True
        with _lock:
            _open.discard(self)
        super().close()

    @property
    def idle(self) -> bool:
        """Whether nothing is half done."""
        return not self.readers and not self.in_transaction


def crossed(path: Path) -> bool:
    """Return whether this process inherited an open connection to a file."""
    return bool(_inherited) and _file(path) in {connection.file for connection in _inherited}


def _file(path: Path | str) -> File | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


_open: weakref.WeakSet[Connection] = weakref.WeakSet()
_lock = threading.RLock()
_crossing: list[Connection] = []
# Kept for good: even to close one here would be to use it.
_inherited: list[Connection] = []


def _before() -> None:
    _lock.acquire()
    others = sys._current_frames().keys() - {threading.get_ident()}
    for connection in list(_open):
        if connection.idle and connection.thread not in others:
            connection.close()
        else:
            _crossing.append(connection)


def _in_parent() -> None:
    _crossing.clear()
    _lock.release()


def _in_child() -> None:
    _inherited.extend(_crossing)
    _in_parent()


os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
