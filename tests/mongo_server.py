"""A server that speaks MongoDB's protocol, for the tests marked ``mongo``."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pymongo
from pymongo.errors import PyMongoError

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "mongo-for-tests"
URL_TIMEOUT = 600.0  # s: the first start on a machine may build a server
PING_TIMEOUT = 20.0  # s
STOP_TIMEOUT = 30.0  # s: longer than the script gives its server


class Unavailable(Exception):
    """No server can be had; the message is the reason, fit for a skip."""


def start() -> tuple[str, Callable[[], None]]:
    """Start a server, or take the one that ``CDB_TEST_MONGODB`` names.

    Returns
    -------
    url : str
        Where it answers: ``mongodb://host:port/``.
    stop : callable
        Stops what was started; may be called more than once. Should this process be killed,
        the server stops by itself.

    Raises
    ------
    Unavailable
        If no server can be had on this machine, or it does not answer.
    """
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for pytest, whose fixtures still need the server
        text=True,
    )
    stdin = process.stdin
    assert stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    said: list[str] = []
    url_lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    readers = [
        threading.Thread(target=_pass_on, args=(process.stderr, said.append), daemon=True),
        threading.Thread(target=_pass_on, args=(process.stdout, url_lines.put), daemon=True),
    ]
    for reader in readers:
        reader.start()

    def stop() -> None:
        stdin.close()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for reader in readers:
            reader.join()

    try:
        url = url_lines.get(timeout=URL_TIMEOUT).strip()
    except queue.Empty:
        url = ""
    if not url:
        stop()
        raise Unavailable("".join(said).strip() or f"no server within {URL_TIMEOUT:.0f} s")
    try:
        ping(url)
    except PyMongoError as error:
        stop()
        raise Unavailable(f"{url} does not answer: {error}") from error
    return url, stop


def ping(url: str, *, timeout: float = PING_TIMEOUT) -> None:
    """Ask a server whether it is there.

    Parameters
    ----------
    url : str
        Where it answers: ``mongodb://host:port/``.
    timeout : float
        How long to wait for it [s].

    Raises
    ------
    pymongo.errors.PyMongoError
        If it does not answer in time.
    """
    client: pymongo.MongoClient[dict[str, object]] = pymongo.MongoClient(
        url, serverSelectionTimeoutMS=int(1000 * timeout)
    )
    with client:
        client.admin.command("ping")


def _pass_on(stream: IO[str], take: Callable[[str], None]) -> None:
    """Hand over the lines of a stream, and an empty one at its end."""
    with stream:
        for line in stream:
            take(line)
    take("")
