"""The real psana, in an environment and in processes of its own, and a service for it."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "psana-for-tests"
START_SECONDS = 20
CLIENT_SECONDS = 120

# What a client's script may use; what it passes to `answer` comes back to the test.
PRELUDE = """
import json, sys
import numpy as np
import psana.pscalib.calib.MDBWebUtils as wu

def answer(value):
    print("ANSWER " + json.dumps(value))

LONG, SHORT, EXP, DB = "epixhr_0123-45_0123-46", "epixhr_000001", "tstx00417", "cdb_tstx00417"
PEDS = np.arange(12, dtype="float32").reshape(3, 4)

def deploy(data=PEDS, long=LONG, **more):
    about = dict(experiment=EXP, detector=SHORT, ctype="pedestals", run=5, run_end="end",
                 time_sec=1600000000) | more
    return wu.add_data_and_two_docs(data, EXP, long, **about)
"""


class Unavailable(Exception):
    """psana cannot be had; the message is the reason, fit for a skip."""


def python() -> str:
    """Return the Python of an environment with psana."""
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True)
    if done.returncode:
        raise Unavailable(done.stderr.strip())
    return done.stdout.strip()


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """Serve an application on a free port of loopback; gives its address."""
    config = uvicorn.Config(app, port=0, log_level="warning", ws="none", access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + START_SECONDS
        while not server.started and thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


class Client:
    """A user of psana, at a service.

    Parameters
    ----------
    python : str
        Of psana's environment.
    address : str
        Of the service.
    folder : Path
        For what a user with a ticket has: a `klist` that says so, a `krtc` that shows it.
    mode : str
        ``token``, ``kerberos`` or ``anonymous``.
    token : str
        For the first of these.
    """

    def __init__(self, python: str, address: str, folder: Path, mode: str, token: str) -> None:
        self.python = python
        kept = ("HOME", "LANG", "PATH", "USER")
        self.environment = {name: os.environ[name] for name in kept if name in os.environ}
        self.environment |= {"LCLS_CALIB_HTTP": f"{address}/ws"}
        if mode == "token":
            self.environment["CALIB_JWT"] = token
        else:
            self._give_ticket(folder, valid=mode == "kerberos")

    def _give_ticket(self, folder: Path, *, valid: bool) -> None:
        (folder / "krtc").mkdir(parents=True)
        shows = 'return {"Authorization": "Negotiate ticket"}' if valid else "raise OSError"
        (folder / "krtc" / "__init__.py").write_text(
            "class KerberosTicket:\n    def __init__(self, service): pass\n"
            f"    def getAuthHeaders(self): {shows}\n"
        )
        klist = folder / "klist"
        klist.write_text(f"#!/bin/sh\nexit {0 if valid else 1}\n")
        klist.chmod(0o755)
        self.environment["PYTHONPATH"] = str(folder)
        self.environment["PATH"] = f"{folder}:{self.environment['PATH']}"

    def start(self, script: str) -> subprocess.Popen[str]:
        """Start a script in psana's Python."""
        return subprocess.Popen(
            [self.python, "-c", PRELUDE + script],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, script: str) -> Any:
        """Return what a script answers in psana's Python."""
        return answered(self.start(script))


def answered(process: subprocess.Popen[str]) -> Any:
    """Return what a started script answers."""
    try:
        said, complained = process.communicate(timeout=CLIENT_SECONDS)
    finally:
        process.kill()
    lines = [line for line in said.splitlines() if line.startswith("ANSWER ")]
    assert lines, f"exit code {process.returncode}:\n{said}\n{complained}"
    return json.loads(lines[-1].removeprefix("ANSWER "))
