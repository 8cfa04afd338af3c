"""A real ``cdb serve``, in processes of its own, and what one may ask of it from outside."""

import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

CDB = str(Path(sys.executable).with_name("cdb"))
PIDFD_GETFD = 438  # Linux 5.6, the same number on all architectures


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class Server:
    """A service that runs.

    Attributes
    ----------
    process : Popen
        The parent of the workers.
    log : Path
        All that it says, stdout and stderr.
    """

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log
        self.port = self._port()

    def _port(self) -> int:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            text = self.log.read_text()
            found = re.search(r'"port": (\d+)', text)
            if found and text.count("Application startup complete") >= self.workers_of(text):
                return int(found[1])
            assert self.process.poll() is None, text
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    @staticmethod
    def workers_of(text: str) -> int:
        found = re.search(r'"workers": (\d+)', text)
        return int(found[1]) if found else 1

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def lines(self) -> list[dict[str, Any]]:
        """Return what it has said: each line is JSON."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def workers(self) -> list[int]:
        """Return the numbers of the worker processes."""
        said = [line for line in self.lines() if line["message"] == "Application startup complete."]
        return sorted({line["process"] for line in said})

    def ask(
        self, path: str, *, method: str = "GET", body: bytes | None = None, token: str = ""
    ) -> Answer:
        """Send a request over a connection of its own."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())

    def connect(self) -> socket.socket:
        """Return a bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def accepted(self) -> Iterator[tuple[int, socket.socket]]:
        """Yield the workers' own ends of their connections, as copies of their descriptors."""
        for pid in self.workers():
            pidfd = os.pidfd_open(pid)
            try:
                for descriptor in map(int, os.listdir(f"/proc/{pid}/fd")):
                    copied = _copy(pidfd, descriptor)
                    if copied is not None:
                        with copied:
                            if copied.family == socket.AF_INET and _peer(copied):
                                yield pid, copied
            finally:
                os.close(pidfd)

    @contextmanager
    def answered_by(self, pid: int) -> Iterator[None]:
        """Let one worker alone answer: an idle one may take all connections there are."""
        others = [other for other in self.workers() if other != pid]
        for other in others:
            os.kill(other, signal.SIGSTOP)
        try:
            yield
        finally:
            for other in others:
                os.kill(other, signal.SIGCONT)

    def stop(self, seconds: float = 60) -> int:
        """Ask it to stop; return its exit code."""
        self.process.terminate()
        return self.process.wait(seconds)


def _copy(pidfd: int, descriptor: int) -> socket.socket | None:
    copied = ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, pidfd, descriptor, 0)
    if copied < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    try:
        return socket.socket(fileno=copied)
    except OSError:
        os.close(copied)
        return None


def _peer(connection: socket.socket) -> bool:
    try:
        connection.getpeername()
    except OSError:
        return False
    return True


@contextmanager
def serving(
    folder: Path,
    *arguments: str,
    url: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Serve the store in a folder, or another, at a free port; stopped at the end."""
    log = folder / "serve.log"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CDB_")}
    with log.open("wb") as file:
        process = subprocess.Popen(
            [CDB, "serve", "--url", url or (folder / "store").as_uri(), "--port", "0", *arguments],
            stdout=file, stderr=file, env=clean | (environment or {}),
        )  # fmt: skip
    try:
        yield Server(process, log)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
