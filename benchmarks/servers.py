"""Servers in processes of their own: `cdb serve`, and what it is compared with."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

WORKERS = 2
START_SECONDS = 60
BIN = Path(sys.executable).parent
HERE = Path(__file__).parent


@contextmanager
def service(store: str, log: Path) -> Iterator[str]:
    """Serve a store with two workers to anybody who reads; gives the address."""
    port = free_port()
    options = ["--workers", str(WORKERS), "--anonymous-read", "--read-only"]
    command = [BIN / "cdb", "serve", "--url", store, "--port", str(port), *options]
    with running([*map(str, command)], log, {}):
        yield answering(port, "/v1/ready")


@contextmanager
def bare(nbytes: int, log: Path) -> Iterator[str]:
    """Answer a constant body from the same server of HTTP, with as many workers."""
    port = free_port()
    options = ["--workers", str(WORKERS), "--loop", "uvloop", "--http", "httptools"]
    quiet = ["--no-access-log", "--log-level", "warning", "--port", str(port)]
    command = [str(BIN / "uvicorn"), "--app-dir", str(HERE), "bare:app", *options, *quiet]
    with running(command, log, {"CDB_BENCH_BYTES": str(nbytes)}):
        yield answering(port, "/")


@contextmanager
def raw_socket(nbytes: int, log: Path) -> Iterator[str]:
    """Send bytes from memory over a plain socket, with no more of HTTP than a header."""
    port = free_port()
    command = [sys.executable, str(HERE / "raw_socket.py"), str(port), str(nbytes)]
    with running(command, log, {}):
        yield answering(port, "/")


@contextmanager
def running(command: Sequence[str], log: Path, more: Mapping[str, str]) -> Iterator[None]:
    """Run a server; stop it at the end."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CDB_")}
    with log.open("ab") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env={**clean, **more})
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def answering(port: int, path: str) -> str:
    """Return the address of a server once it answers."""
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url + path, timeout=10) as answer:
                answer.read()
            time.sleep(0.5)  # for the other worker
            return url
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
