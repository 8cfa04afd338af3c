"""Fixtures of the command line: a folder with a store of its own, and ``cdb`` typed in there."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import cdb as package
from cdb.cli.main import cli
from cdb.database import Database

TIME = "2021-10-01T00:00:00-0800"
DEPLOY = ("add", "-e", "rixx45619", "-d", "epixhr2x2_000001", "-t", TIME)
WHICH = ("-e", "rixx45619", "-d", "epixhr2x2_000001")
GEOMETRY = "# TITLE one panel\nIP 0  EPIX100:V1 0   0 0 -100000   90 180 0   0 0 0\n"
PEDS = (100 + np.arange(24).reshape(4, 6) / 8).astype("float32")

Cdb = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that commands run in, with two files and an empty store."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CDB_URL", (tmp_path / "store").as_uri())
    monkeypatch.delenv("COLUMNS", raising=False)
    np.savetxt("mypeds", PEDS, fmt="%.3f")
    Path("mygeo").write_text(GEOMETRY)
    return tmp_path


@pytest.fixture
def cdb(folder: Path) -> Cdb:
    """Type a command; give its exit code, stdout and stderr."""

    def typed(*arguments: str, input: str | None = None) -> Result:
        result = CliRunner().invoke(cli, arguments, input=input, prog_name="cdb")
        assert result.exception is None or isinstance(result.exception, SystemExit), result
        return result

    return typed


@pytest.fixture
def ask(cdb: Cdb) -> Callable[..., Any]:
    """Type a command with --json; give what it answers."""

    def asked(*arguments: str) -> Any:
        result = cdb(*arguments, "--json")
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    return asked


@pytest.fixture
def db(folder: Path) -> Iterator[Database]:
    """The same store in Python."""
    with package.open() as db:
        yield db


@pytest.fixture
def peds(cdb: Cdb, ask: Callable[..., Any]) -> str:
    """The id of pedestals that are there, as event 1."""
    assert cdb(*DEPLOY, "-c", "pedestals", "-f", "mypeds").exit_code == 0
    return str(ask("show", *WHICH, "-c", "pedestals")["id"])
