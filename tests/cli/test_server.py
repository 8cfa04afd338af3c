"""The same commands on a server that speaks MongoDB's protocol."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import DEPLOY, PEDS, WHICH


@pytest.fixture
def server(folder, mongo_url, monkeypatch):
    """Commands go to the server."""
    monkeypatch.setenv("CDB_URL", mongo_url)


@pytest.mark.mongo
def test_a_constants_life_on_a_server(cdb, ask, server):
    assert cdb(*DEPLOY, "-c", "pedestals", "-f", "mypeds").exit_code == 0
    assert "is there already" in cdb(*DEPLOY, "-c", "pedestals", "-f", "mypeds").stdout
    peds = ask("show", *WHICH, "-c", "pedestals")["id"]
    assert cdb("retire", peds, "--reason", "beam was on", "--yes").exit_code == 0
    assert cdb("get", *WHICH, "-c", "pedestals").exit_code == 1
    assert cdb("get", *WHICH, "-c", "pedestals", "--as-of", "1", "-f", "x").exit_code == 0
    assert np.load("x.npy").tolist() == PEDS.tolist()
    assert [event["action"] for event in ask("journal")] == ["add", "retire"]
    assert cdb("fsck", "--payloads").stdout == "nothing is wrong\n"


@pytest.mark.mongo
def test_info_and_lists_on_a_server(cdb, ask, server):
    cdb("add", "-d", "epix100a_0123-45", "-e", "rixx45619", "-c", "geometry", "-f", "mygeo")
    assert cdb("info").stdout.startswith("store: mongodb://127.0.0.1:")
    assert ask("detectors")[0]["longname"] == "epix100a_0123-45"
    assert cdb("get", "-d", "epix100a_0123-45", "-c", "geometry", "-f", "geo").exit_code == 0
    assert Path("geo.txt").read_bytes() == Path("mygeo").read_bytes()


@pytest.mark.mongo
def test_a_command_does_not_outlive_its_answer(cdb, server):
    """Threads of pymongo sleep half a second; nobody waits for them."""

    def lasts_after_its_answer() -> float:
        command = [str(Path(sys.executable).with_name("cdb")), "ls"]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
            assert process.stderr.readline() == b"cdb: no experiments\n"
            answered = time.monotonic()
            process.wait()
            return time.monotonic() - answered

    assert min(lasts_after_its_answer() for _ in range(3)) < 0.3
