"""Processes at one cache folder, and the service and the witness that count what they do."""

import ctypes
import hashlib
import os
import random
import signal
import socket
import struct
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cdb.stores.cache import Cache
from cdb.stores.cached import CachedStore
from cdb.stores.rest import RestStore

DB = "cdb_epix_000001"
PIECE = 2**20


class Log:
    """Lines that several processes append."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def say(self, line: str) -> None:
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, f"{line}\n".encode())
        os.close(file)

    def lines(self) -> list[str]:
        return self.path.read_text().splitlines() if self.path.exists() else []


# The service --------------------------------------------------------------------------------------


def serve(folder: str, listener: socket.socket, pause: float) -> None:
    """Send the payloads of a folder piece by piece, and note each that was sent to its end."""
    log = Log(Path(folder) / "served")

    class Payloads(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:  # noqa: N802
            sha256 = self.path.rpartition("/")[2]
            # Each reader has its number as a token, so that one can tell who was killed.
            who = self.headers["Authorization"].partition(" ")[2]
            log.say(f"begun {sha256} {who}")
            with (Path(folder) / "stored" / sha256).open("rb") as file:
                nbytes = os.fstat(file.fileno()).st_size
                self.send_response(200)
                self.send_header("Content-Length", str(nbytes))
                self.end_headers()
                try:
                    for start in range(0, nbytes, PIECE):
                        self.connection.sendfile(file, start, min(PIECE, nbytes - start))
                        time.sleep(pause)
                except OSError:
                    self.close_connection = True
                else:
                    log.say(f"sent {sha256} {who}")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(listener.getsockname(), Payloads, bind_and_activate=False) as server:
        server.socket.close()
        server.socket = listener
        server.daemon_threads = True
        server.serve_forever(0.05)


# Readers ------------------------------------------------------------------------------------------


def opened(folder: Path, *, size: int = 2**40, patience: float = 10) -> CachedStore:
    """Return the store of the service of a folder, behind the folder's cache."""
    url = (folder / "url").read_text()
    cache = Cache(folder / "cache", size=size, patience=patience)
    return CachedStore(RestStore(url, token=str(os.getpid())), cache)


def read(store: CachedStore, sha256: str) -> bool:
    """Read a payload; return whether it is right, which a reader would not ask again."""
    return hashlib.sha256(store.read(DB, sha256, sha256=sha256)).hexdigest() == sha256


def read_payloads(folder: str, wanted: list[str], seed: int, size: int, n: int) -> None:
    """Read payloads in any order."""
    rng, log = random.Random(seed), Log(Path(folder) / "log")
    store = opened(Path(folder), size=size)
    for _ in range(n):
        log.say("right" if read(store, rng.choice(wanted)) else "WRONG")


def hold(folder: str, sha256: str, how: str) -> None:
    """Begin a download, then stop, or fork and be killed, in the midst of it."""
    log, store = Log(Path(folder) / "log"), opened(Path(folder))

    def in_the_midst() -> None:
        if how == "fork":
            child = os.fork()
            if child == 0:
                time.sleep(600)
                os._exit(0)
            log.say(f"forked {child}")
            os.kill(os.getpid(), signal.SIGKILL)
        log.say("stops")
        os.kill(os.getpid(), signal.SIGSTOP)

    whole = store.store.pieces

    def pieces(*arguments, **named) -> Iterator[bytes | memoryview]:
        for number, piece in enumerate(whole(*arguments, **named)):
            if number == 1:
                in_the_midst()
            yield piece

    store.store.pieces = pieces  # type: ignore[method-assign]
    log.say("right" if read(store, sha256) else "WRONG")


def map_and_wait(folder: str, first: str, large: str, gate, done) -> None:
    """Read a payload, touch all its pages, and say how much more memory this process takes."""
    store = opened(Path(folder))
    # What reading itself needs, whatever is read.
    kept = store.read(DB, first, sha256=first)
    hashlib.sha256(kept)
    gate.wait(120)
    before = proportional_set()
    gate.wait(120)
    data = store.read(DB, large, sha256=large)
    touched = hashlib.sha256(data).hexdigest() == large
    gate.wait(120)
    done.put((touched, proportional_set() - before))
    gate.wait(120)
    del kept, data


def proportional_set() -> int:
    """Return this process's share of memory [bytes]."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no Pss in smaps_rollup")


# The witness --------------------------------------------------------------------------------------

MOVED_TO, DELETED, OVERFLOW = 0x80, 0x200, 0x4000


class Witness:
    """What the kernel saw happen to the payloads of a cache: no process can die before it tells.

    Attributes
    ----------
    present : set of str
        The payloads that are there.
    placed, removed, replaced : int
        How often one was moved into its place, unlinked, or moved over one that was there.
    """

    def __init__(self, cache: Cache, wanted: list[str]) -> None:
        cache.check()
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self._descriptor >= 0, os.strerror(ctypes.get_errno())
        self.present: set[str] = set()
        self.placed = self.removed = self.replaced = 0
        for sha256 in wanted:
            folder = cache.folder / "payloads" / sha256[:2]
            folder.mkdir(mode=0o700, exist_ok=True)
            watch = libc.inotify_add_watch(
                self._descriptor, os.fsencode(folder), MOVED_TO | DELETED
            )
            assert watch >= 0, os.strerror(ctypes.get_errno())

    def look(self) -> None:
        """Take in what happened since the last look."""
        while True:
            try:
                data = os.read(self._descriptor, 2**16)
            except BlockingIOError:
                return
            while data:
                _, mask, _, length = struct.unpack_from("iIII", data)
                name = data[16 : 16 + length].rstrip(b"\0").decode()
                data = data[16 + length :]
                assert not mask & OVERFLOW
                if not name.endswith(".json"):
                    self._take(mask, name)

    def _take(self, mask: int, name: str) -> None:
        if mask & MOVED_TO:
            self.placed += 1
            self.replaced += name in self.present
            self.present.add(name)
        else:
            self.removed += 1
            self.present.discard(name)

    def close(self) -> None:
        os.close(self._descriptor)
