"""Processes that read through one cache folder while others are killed, stopped or forked."""

import hashlib
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from cdb.stores.cache import Cache, Entry
from cdb.stores.cached import CachedStore
from cdb.stores.embedded import EmbeddedStore

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


class Server(EmbeddedStore):
    """A store that sends piece by piece and notes each complete download."""

    def __init__(self, folder: Path, log: Log, *, pause: float = 0.001) -> None:
        super().__init__(folder)
        self.log = log
        self.pause = pause

    def pieces(self, database: str, blob_id: str, **named) -> Iterator[memoryview]:
        whole = memoryview(self.read(database, blob_id))
        self.log.say("begun")
        for start in range(0, whole.nbytes, PIECE):
            time.sleep(self.pause)
            yield whole[start : start + PIECE]
        self.log.say("sent")


class Evicting(Cache):
    """A cache that notes what it removes, before it does."""

    log: Log

    def remove(self, entries) -> None:
        entries: list[Entry] = list(entries)
        for _ in entries:
            self.log.say("evicted")
        super().remove(entries)


def opened(folder: Path, *, size: int, pause: float = 0.001, patience: float = 10) -> CachedStore:
    """Return a cached store in a folder: its server, its log and its cache."""
    cache = Evicting(folder / "cache", size=size, patience=patience)
    cache.log = log = Log(folder / "log")
    return CachedStore(Server(folder / "store", log, pause=pause), cache)


def read_payloads(folder: str, blobs: list[tuple[str, str]], seed: int, size: int, n: int) -> None:
    """Read payloads in any order, and compare each with its digest as a reader would not."""
    rng = random.Random(seed)
    store = opened(Path(folder), size=size)
    for _ in range(n):
        blob, sha256 = rng.choice(blobs)
        data = store.read(DB, blob, sha256=sha256)
        right = hashlib.sha256(data).hexdigest() == sha256
        store.cache.log.say("right" if right else "WRONG")


def hold(folder: str, blob: str, sha256: str, how: str) -> None:
    """Begin a download, then stop, or fork and be killed, in the midst of it."""
    store = opened(Path(folder), size=2**40)

    def in_the_midst(piece: int) -> None:
        if how == "fork":
            if os.fork() == 0:
                time.sleep(30)
                os._exit(0)
            store.cache.log.say("forked")
            os.kill(os.getpid(), signal.SIGKILL)
        store.cache.log.say("stops")
        os.kill(os.getpid(), signal.SIGSTOP)

    whole = store.store.pieces

    def pieces(*arguments, **named):
        for number, piece in enumerate(whole(*arguments, **named)):
            if number == 1:
                in_the_midst(number)
            yield piece

    store.store.pieces = pieces  # type: ignore[method-assign]
    data = store.read(DB, blob, sha256=sha256)
    right = hashlib.sha256(data).hexdigest() == sha256
    store.cache.log.say("right" if right else "WRONG")


def map_and_wait(folder: str, first: tuple[str, str], large: tuple[str, str], gate, done) -> None:
    """Read a payload, touch all its pages, and say how much more memory this process takes."""
    store = opened(Path(folder), size=2**40)
    # What reading itself needs, whatever is read.
    kept = store.read(DB, first[0], sha256=first[1])
    hashlib.sha256(kept)
    gate.wait(60)
    before = proportional_set()
    gate.wait(60)
    data = store.read(DB, large[0], sha256=large[1])
    touched = hashlib.sha256(data).hexdigest() == large[1]
    gate.wait(60)
    done.put((touched, proportional_set() - before))
    gate.wait(60)
    del kept, data


def proportional_set() -> int:
    """Return this process's share of memory [bytes]."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no Pss in smaps_rollup")
