"""The scripts that give the tests other people's programs: psana, EXtra-geom and pyFAI."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"

# Stands in for Python: makes "environments" whose pip fails or not, and notes how often.
FAKE = """\
#!/bin/sh
echo "$*" >> {notes}
if [ "$1 $2" = "-m venv" ]; then mkdir -p "$3/bin"; cp {fake} "$3/bin/python"; fi
if [ "$1 $2" = "-m pip" ]; then {pip}; fi
"""


def call(tmp_path: Path, script: str = "psana", **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-c", RUN, str(SCRIPTS), script, str(tmp_path / "fake")],
        env={**kept, "CDB_TEST_CACHE": str(tmp_path / "cache"), **environ},
        capture_output=True,
        text=True,
    )


# Runs the script with another Python to make environments with.
RUN = """
import runpy, sys
_, folder, name, fake = sys.argv
sys.path.insert(0, folder)
sys.argv[1:] = []
import environments
environments.interpreter = lambda recipe: fake
runpy.run_path(f"{folder}/{name}-for-tests", run_name="__main__")
"""


@pytest.fixture
def fake(tmp_path):
    """Make a Python whose pip does something."""

    def made(pip: str) -> Path:
        path = tmp_path / "fake"
        path.write_text(FAKE.format(notes=tmp_path / "notes", fake=path, pip=pip))
        path.chmod(0o755)
        return path

    return made


@pytest.mark.parametrize("script", ["psana", "geometry"])
def test_an_environment_is_made_once(tmp_path, fake, script):
    fake("true")
    first, second = call(tmp_path, script), call(tmp_path, script)
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout == second.stdout
    assert Path(first.stdout.strip()).is_file()
    assert (tmp_path / "notes").read_text().count("-m pip install") == 1


def test_what_cannot_be_installed_is_one_reason_and_exit_code_3(tmp_path, fake):
    fake("echo no krb5-config; exit 1")
    done = call(tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert "no krb5-config" in done.stderr
    assert "libkrb5-dev" in done.stderr
    fake("true")
    assert call(tmp_path).returncode == 0


def test_an_environment_that_is_given_is_tried_and_taken(tmp_path, fake):
    path = fake("true")
    assert call(tmp_path, CDB_TEST_PSANA=str(path)).stdout == f"{path}\n"
    assert call(tmp_path, CDB_TEST_PSANA="/nonexistent/python").returncode == 3
