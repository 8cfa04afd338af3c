"""The machine and the programs that figures were measured with."""

import os
import platform
import sqlite3
from pathlib import Path


def describe(folder: Path) -> list[str]:
    """Return lines that name what the figures depend on.

    Parameters
    ----------
    folder : Path
        Where the benchmarks write.
    """
    import numpy
    import pymongo

    return [
        f"{cpu_model()}, {os.cpu_count()} cores, {memory() / 2**30:.0f} GiB, "
        f"Linux {platform.release()}, {folder} on {file_system(folder)}",
        f"Python {platform.python_version()}, numpy {numpy.__version__}, "
        f"SQLite {sqlite3.sqlite_version}, pymongo {pymongo.version}",
        "load before the start: " + " ".join(f"{load:.1f}" for load in os.getloadavg()),
    ]


def cpu_model() -> str:
    """Return the processor's name for itself."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def memory() -> int:
    """Return the size of the memory [bytes]."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def file_system(folder: Path) -> str:
    """Return the type of the file system that a folder is on: the longest mount point above it."""
    found = ("", "an unknown file system")
    for line in Path("/proc/mounts").read_text().splitlines():
        _, point, kind, *_ = line.split()
        if folder.resolve().is_relative_to(point) and len(point) >= len(found[0]):
            found = (point, kind)
    return found[1]
