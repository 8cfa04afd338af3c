"""Commands in new processes, beside a bare Python."""

import os
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from filling import CTYPE, DETECTOR
from lookups import Filled
from table import Row, Target
from timing import medians

CDB = str(Path(sys.executable).parent / "cdb")
REPEATS = 11


def rows(stores: Sequence[Filled], folder: Path) -> list[Row]:
    """Measure the start of commands, and what importing costs."""
    large = stores[-1]
    asked = [
        python("pass"),
        python("import numpy"),
        python("import cdb"),
        python(f"import cdb; cdb.open({large.url!r})"),
        partial(run, [CDB, "--help"], large.url),
        partial(run, [CDB, "info"], large.url),
        *(cold_get(filled, folder) for filled in stores),
    ]
    bare, numpy, package, opened, help_, info, *gets = medians(*asked, repeats=REPEATS)
    found = [
        Row("import cdb", package, "python -c pass", bare, Target(0.15, "more")),
        Row("import cdb; cdb.open(...)", opened, "python -c 'import numpy'", numpy),
        Row("cdb --help", help_, "python -c pass", bare, Target(0.3)),
        Row(f"cdb info, {large.size} versions", info, "python -c pass", bare, Target(0.3)),
    ]
    found += [
        Row(f"cdb get, {filled.size} versions", seconds, "python -c 'import numpy'", numpy)
        for filled, seconds in zip(stores, gets, strict=True)
    ]
    return found


def python(code: str) -> partial[None]:
    """Return an action that runs a line of Python in a new process."""
    return partial(run, [sys.executable, "-c", code])


def cold_get(filled: Filled, folder: Path) -> partial[None]:
    """Return an action that gets a constant by the command."""
    prefix = str(folder / f"got-{filled.n_versions}")
    asked = ["get", "-d", DETECTOR, "-c", CTYPE, "-r", "5000", "-f", prefix]
    return partial(run, [CDB, *asked], filled.url)


def run(command: Sequence[str], url: str = "memory://") -> None:
    """Run a command and wait for its end."""
    environment = {**os.environ, "CDB_URL": url}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
