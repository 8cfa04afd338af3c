"""A folder on a disk: synced, full or out of bounds; and what went wrong in it, in words."""

import errno
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cdb.errors import CalibError, Corrupt, StoreFull, StoreRefused, StoreUnavailable

BUSY_SECONDS = 60
# What SQLite's shared memory and the begin of a log take.
SHARED_BYTES = 2**16


def sync(folder: Path) -> None:
    """Let the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def age(path: Path) -> float | None:
    """Return how old a file is [s]; None if a writer has just moved it into place."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return None


def writable(path: Path) -> bool:
    """Return whether a file can be written, or is not there yet."""
    return os.access(path, os.W_OK) if path.exists() else True


# How SQLite says it where it was a file beside the database that found no room.
_NO_ROOM = re.compile("disk I/O|unable to open|readonly")


def is_full(folder: Path) -> bool:
    """Return whether a disk has no room for the files that readers and writers share."""
    try:
        disk = os.statvfs(next(path for path in (folder, *folder.parents) if path.exists()))
    except OSError:
        return False  # nobody can tell
    no_names = disk.f_files > 0 and disk.f_favail == 0
    return no_names or disk.f_bavail * disk.f_frsize < SHARED_BYTES


@contextmanager
def translated(folder: Path) -> Iterator[None]:
    """Say what went wrong with the folder in the words of this package."""
    try:
        yield
    except CalibError:
        raise  # said already; some are errors of the system too
    except sqlite3.OperationalError as error:
        text = str(error)
        if "full" in text or (_NO_ROOM.search(text) and is_full(folder)):
            raise StoreFull(f"no space left in {folder}: free some, then try again") from error
        if "locked" in text or "busy" in text:
            raise StoreUnavailable(
                f"{folder} is locked by another process for over {BUSY_SECONDS} s; "
                "look for a stopped one (`fuser documents.sqlite`)"
            ) from error
        raise StoreRefused(f"cannot use {folder}: {text}; check its rights and disk") from error
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.IntegrityError):
            raise
        raise Corrupt(
            f"{folder}/documents.sqlite is damaged: {error}; restore it from a copy"
        ) from error
    except PermissionError as error:
        raise StoreRefused(f"no permission to use {error.filename or folder}") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreFull(f"no space left in {folder}: free some, then try again") from error
        if isinstance(error, FileNotFoundError):
            raise
        raise StoreRefused(f"cannot use {error.filename or folder}: {error.strerror}") from error
