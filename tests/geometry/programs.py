"""The real psana, EXtra-geom and pyFAI, each in an environment and in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
SECONDS = 300


def run(name: str, program: str, *arguments: str | Path) -> str:
    """Run a program in the environment of a script, and return what it prints.

    Skips, with the reason, where the environment cannot be had.
    """
    made = subprocess.run(
        [sys.executable, str(SCRIPTS / f"{name}-for-tests")], capture_output=True, text=True
    )
    if made.returncode:
        if os.environ.get("CI"):
            pytest.fail(made.stderr)
        pytest.skip(made.stderr.strip())
    done = subprocess.run(
        [made.stdout.strip(), "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout
