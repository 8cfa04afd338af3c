"""Many processes at one cache folder, some killed, stopped or forked: no bad bytes, no stuck lock.

`CDB_TEST_CACHE_MB` and `CDB_TEST_CACHE_SECONDS` make it the full trial (64 MB, 60 s).
"""

import collections
import hashlib
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.stores.cache_workers import (
    DB,
    Log,
    hold,
    map_and_wait,
    opened,
    read_payloads,
)

MB = 2**20
SIZE = int(os.environ.get("CDB_TEST_CACHE_MB", "8")) * MB
SECONDS = float(os.environ.get("CDB_TEST_CACHE_SECONDS", "4"))
PROCESSES = 16
processes = multiprocessing.get_context("spawn")

pytestmark = pytest.mark.slow


@pytest.fixture
def blobs(tmp_path: Path) -> list[tuple[str, str]]:
    """Ids and digests of four payloads in a store."""
    rng = random.Random(1)
    store = opened(tmp_path, size=2**40)
    made = []
    for _ in range(4):
        data = rng.randbytes(SIZE)
        sha256 = hashlib.sha256(data).hexdigest()
        made.append((store.write(DB, data, sha256=sha256, head=0), sha256))
    return made


def start(target, *arguments) -> multiprocessing.process.BaseProcess:
    process = processes.Process(target=target, args=arguments)
    process.start()
    return process


def said(tmp_path: Path) -> collections.Counter[str]:
    return collections.Counter(Log(tmp_path / "log").lines())


def wait_for(tmp_path: Path, line: str, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while line not in said(tmp_path):
        assert time.monotonic() < end, f"nobody said {line!r}"
        time.sleep(0.01)


def test_one_download_a_payload_however_many_ask(tmp_path, blobs):
    readers = [
        start(read_payloads, str(tmp_path), blobs, seed, 2**40, 4) for seed in range(PROCESSES)
    ]
    for reader in readers:
        reader.join(120)
    assert {reader.exitcode for reader in readers} == {0}
    counted = said(tmp_path)
    assert (counted["right"], counted["WRONG"]) == (4 * PROCESSES, 0)
    assert counted["sent"] == len(
        {entry.sha256 for entry in opened(tmp_path, size=0).cache.entries()}
    )


@pytest.mark.parametrize("kept", [4, 2], ids=["all fit", "evicted"])
def test_readers_killed_at_random_leave_nothing_bad(tmp_path, blobs, kept):
    size = kept * SIZE
    seeds = iter(range(10_000))
    rng = random.Random(7)
    readers = [
        start(read_payloads, str(tmp_path), blobs, next(seeds), size, 10_000)
        for _ in range(PROCESSES)
    ]
    killed = 0
    end = time.monotonic() + SECONDS
    wait_for(tmp_path, "begun")
    while time.monotonic() < end or killed < 5:
        time.sleep(rng.uniform(0.02, 0.3))
        place = rng.randrange(PROCESSES)
        readers[place].kill()
        readers[place].join()
        killed += 1
        readers[place] = start(read_payloads, str(tmp_path), blobs, next(seeds), size, 10_000)
    for reader in readers:
        reader.kill()
        reader.join()
    counted = said(tmp_path)
    assert counted["right"] > 0
    assert counted["WRONG"] == 0
    assert counted["sent"] <= len(blobs) + counted["evicted"] + killed + PROCESSES
    nobody_waits_for_long(tmp_path, blobs, size)


def nobody_waits_for_long(tmp_path: Path, blobs: list[tuple[str, str]], size: int) -> None:
    """A new reader gets every payload, and no lock of a dead one is in its way."""
    begin = time.monotonic()
    store = opened(tmp_path, size=size, pause=0)
    for blob, sha256 in blobs:
        data = store.read(DB, blob, sha256=sha256)
        assert hashlib.sha256(data).hexdigest() == sha256
    assert time.monotonic() - begin < 5


def test_a_killed_holder_whose_child_lives_keeps_nobody_waiting(tmp_path, blobs):
    holder = start(hold, str(tmp_path), *blobs[0], "fork")
    holder.join()  # with a time-out it would wait for the child too
    assert holder.exitcode == -signal.SIGKILL
    nobody_waits_for_long(tmp_path, blobs[:1], 2**40)


def test_a_stopped_holder_is_waited_for_only_so_long(tmp_path, blobs):
    holder = start(hold, str(tmp_path), *blobs[0], "stop")
    wait_for(tmp_path, "stops")
    store = opened(tmp_path, size=2**40, patience=0.5)
    begin = time.monotonic()
    store.read(DB, blobs[0][0], sha256=blobs[0][1])
    assert 0.5 <= time.monotonic() - begin < 10
    os.kill(holder.pid, signal.SIGCONT)
    holder.join(60)
    assert said(tmp_path) == {"begun": 2, "stops": 1, "sent": 2, "right": 1}


def test_a_stopped_holder_whose_part_was_swept_has_its_bytes(tmp_path, blobs):
    holder = start(hold, str(tmp_path), *blobs[0], "stop")
    wait_for(tmp_path, "stops")
    opened(tmp_path, size=2**40).cache.sweep(older_than=-1)
    os.kill(holder.pid, signal.SIGCONT)
    holder.join(60)
    assert holder.exitcode == 0
    assert said(tmp_path)["right"] == 1


def test_eight_processes_share_the_memory_of_a_payload(tmp_path, blobs):
    size = max(SIZE, 64 * MB)
    data = random.Random(2).randbytes(size)
    sha256 = hashlib.sha256(data).hexdigest()
    large = opened(tmp_path, size=2**40).write(DB, data, sha256=sha256, head=0)
    gate, done = processes.Barrier(8), processes.Queue()
    readers = [start(map_and_wait, str(tmp_path), blobs[0], (large, sha256), gate, done)
               for _ in range(8)]  # fmt: skip
    answers = [done.get(timeout=60) for _ in readers]
    for reader in readers:
        reader.join(60)
    assert all(touched for touched, _ in answers)
    assert 0.9 * size <= sum(more for _, more in answers) <= 1.15 * size
