"""Load from `wrk`, a compiled generator: a Python client would measure itself."""

import os
import shutil
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("wrk.lua")
INSTALL = ("apt-get", "install", "--yes", "--no-install-recommends", "wrk")


class Unavailable(Exception):
    """`wrk` cannot be had; the message says what to do."""


@dataclass(frozen=True)
class Load:
    """What `wrk` counted.

    Attributes
    ----------
    rate : float
        Requests a second.
    p50, p99 : float
        Of the time from a request to its answer [s].
    """

    rate: float
    p50: float
    p99: float


def find() -> str:
    """Return where `wrk` is; it is installed from Debian where one may."""
    if not shutil.which("wrk") and shutil.which("apt-get") and os.geteuid() == 0:
        for command in (("apt-get", "update"), INSTALL):
            subprocess.run(command, capture_output=True, check=False)
    found = shutil.which("wrk")
    if found is None:
        raise Unavailable(f"rows of load are left out: wrk is missing, `{' '.join(INSTALL)}`")
    return found


def load(url: str, path: str, *, connections: int, seconds: int, seed: int = 0) -> Load:
    """Ask for a path again and again.

    Parameters
    ----------
    url : str
        Of the server.
    path : str
        With ``{run}`` in it, another run each time.
    connections : int
        So many at once.
    seconds : int
        How long.
    seed : int, optional
        Other runs come first.
    """
    command = [find(), "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(SCRIPT), url, "--"]
    done = subprocess.run(
        [*command, path, str(seed)], capture_output=True, text=True, check=True, timeout=60
    )
    (said,) = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("CDB ")]
    requests, microseconds, p50, p99, failed = map(float, said)
    if failed or not requests:
        raise RuntimeError(f"{failed:.0f} of {requests:.0f} requests to {url}{path} failed")
    return Load(requests / microseconds * 1e6, p50 / 1e6, p99 / 1e6)


def median(loads: Sequence[Load]) -> Load:
    """Return the median of each figure."""
    return Load(
        statistics.median(load.rate for load in loads),
        statistics.median(load.p50 for load in loads),
        statistics.median(load.p99 for load in loads),
    )
