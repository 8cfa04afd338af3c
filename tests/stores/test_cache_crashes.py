"""Many processes at one cache folder, some killed, stopped or forked: no bad bytes, no stuck lock.

Downloads are counted by the service that sends them, and what becomes of the files by the kernel.
`CDB_TEST_CACHE_SECONDS=60` makes it the long trial; `--log-cli-level=INFO` shows its figures.
"""

import hashlib
import logging
import multiprocessing
import os
import random
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stores.cache_workers import (
    Log,
    Witness,
    hold,
    map_and_wait,
    opened,
    read,
    read_payloads,
    serve,
)
from tests.workers import wait_until_stopped

MB = 2**20
SIZE = 64 * MB
LARGE = 512 * MB
SECONDS = float(os.environ.get("CDB_TEST_CACHE_SECONDS", "15"))
PROCESSES = 16
# Its processes start at once, and inherit nothing of pytest's.
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["tests.stores.cache_workers"])

logger = logging.getLogger(__name__)

pytestmark = pytest.mark.slow


def start(target, *arguments) -> multiprocessing.process.BaseProcess:
    process = processes.Process(target=target, args=arguments)
    process.start()
    return process


def end(process: multiprocessing.process.BaseProcess) -> None:
    process.kill()
    process.join(60)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the bytes that services send; tests read them only."""
    return tmp_path_factory.mktemp("stored")


@pytest.fixture
def service(tmp_path: Path, stored: Path) -> Iterator[Path]:
    """The folder of a service in a process of its own, with what it stores, serves and logs."""
    (tmp_path / "stored").symlink_to(stored)
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    (tmp_path / "url").write_text(f"http://127.0.0.1:{listener.getsockname()[1]}/")
    process = start(serve, str(tmp_path), listener, 0.0005)
    listener.close()
    yield tmp_path
    end(process)


def store(stored: Path, nbytes: int) -> str:
    """Store a payload; return its digest."""
    data = os.urandom(nbytes)
    sha256 = hashlib.sha256(data).hexdigest()
    (stored / sha256).write_bytes(data)
    return sha256


@pytest.fixture(scope="module")
def payloads(stored: Path) -> list[str]:
    """The digests of four payloads."""
    return [store(stored, SIZE) for _ in range(4)]


def served(service: Path, what: str = "sent") -> list[tuple[str, int]]:
    """Return digest and reader of each download that was begun, or sent to its end."""
    lines = (line.split() for line in Log(service / "served").lines())
    return [(sha256, int(who)) for said, sha256, who in lines if said == what]


def said(service: Path) -> Counter[str]:
    return Counter(line.partition(" ")[0] for line in Log(service / "log").lines())


def wait_for(service: Path, word: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while word not in said(service):
        assert time.monotonic() < deadline, f"nobody said {word!r}"
        time.sleep(0.01)


def test_one_download_a_payload_however_many_ask(service, payloads):
    readers = [
        start(read_payloads, str(service), payloads, seed, 2**40, 4) for seed in range(PROCESSES)
    ]
    for reader in readers:
        reader.join(120)
    assert {reader.exitcode for reader in readers} == {0}
    assert said(service) == {"right": 4 * PROCESSES}
    assert Counter(sha256 for sha256, _ in served(service)) == dict.fromkeys(payloads, 1)


@pytest.mark.parametrize("kept", [4, 2], ids=["all fit", "evicted"])
def test_readers_killed_at_random_leave_nothing_bad(service, payloads, kept):
    """While one holder of a lock is stopped, and of another that was killed a child lives."""
    size = kept * SIZE
    witness = Witness(opened(service).cache, payloads)
    holders = [start(hold, str(service), payloads[n], how) for n, how in ((0, "stop"), (1, "fork"))]
    for word in ("stops", "forked"):
        wait_for(service, word)
    killed = trial(service, payloads, size, witness)
    for holder in holders:
        killed.add(holder.pid)
        end(holder)
    nobody_waits_for_long(service, payloads, size)
    end_the_child(service)
    witness.look()
    witness.close()
    assert said(service)["WRONG"] == 0
    assert said(service)["right"] > PROCESSES
    complete = served(service)
    # Downloads that nobody placed are each the last one of a process that was killed.
    unplaced = len(complete) - witness.placed
    last = {reader: number for number, (_, reader) in enumerate(complete)}
    assert 0 <= unplaced <= len(last.keys() & killed)
    assert witness.replaced == 0
    assert len(complete) == len(witness.present) + witness.removed + unplaced
    assert kept == 2 or (witness.removed, len(witness.present)) == (0, 4)
    logger.info(
        "%d reads, %d killed; %d complete downloads = %d present + %d evicted + %d killed before "
        "their rename; %d begun",
        said(service)["right"], len(killed), len(complete), len(witness.present),
        witness.removed, unplaced, len(served(service, "begun")),
    )  # fmt: skip


def trial(service: Path, payloads: list[str], size: int, witness: Witness) -> set[int]:
    """Let processes read, kill one now and then; return the numbers of those that were killed."""
    rng, seeds = random.Random(7), iter(range(100_000))

    def reader() -> multiprocessing.process.BaseProcess:
        return start(read_payloads, str(service), payloads, next(seeds), size, 100_000)

    readers = [reader() for _ in range(PROCESSES)]
    killed = set()
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        time.sleep(rng.uniform(0.02, 0.3))
        witness.look()
        place = rng.randrange(PROCESSES)
        killed.add(readers[place].pid)
        end(readers[place])
        readers[place] = reader()
    for one in readers:
        killed.add(one.pid)
        end(one)
    return killed


def end_the_child(service: Path) -> None:
    """Kill the child of the holder that forked."""
    for line in Log(service / "log").lines():
        word, _, number = line.partition(" ")
        if word == "forked":
            os.kill(int(number), signal.SIGKILL)


def nobody_waits_for_long(service: Path, payloads: list[str], size: int) -> None:
    """A new reader gets every payload, and no lock of a dead one is in its way."""
    begin = time.monotonic()
    reader = opened(service, size=size)
    assert all(read(reader, sha256) for sha256 in payloads)
    assert time.monotonic() - begin < 5


def test_a_killed_holder_whose_child_lives_keeps_nobody_waiting(service, payloads):
    holder = start(hold, str(service), payloads[0], "fork")
    wait_for(service, "forked")
    holder.join(60)
    nobody_waits_for_long(service, payloads[:1], 2**40)
    end_the_child(service)


def test_a_stopped_holder_is_waited_for_only_so_long(service, payloads):
    holder = start(hold, str(service), payloads[0], "stop")
    wait_for(service, "stops")
    reader = opened(service, patience=0.5)
    begin = time.monotonic()
    assert read(reader, payloads[0])
    assert 0.5 <= time.monotonic() - begin < 10
    wait_until_stopped(holder)
    os.kill(holder.pid, signal.SIGCONT)
    holder.join(60)
    assert said(service) == {"stops": 1, "right": 1}
    assert len(served(service)) == 2


def test_instead_of_a_stopped_holder_one_downloads_for_all(service, payloads):
    holder = start(hold, str(service), payloads[0], "stop")
    wait_for(service, "stops")
    readers = [
        start(read_payloads, str(service), payloads[:1], seed, 2**40, 1)
        for seed in range(PROCESSES)
    ]
    for reader in readers:
        reader.join(60)
    end(holder)
    assert said(service) == {"stops": 1, "right": PROCESSES}
    assert len(served(service)) == 1


def test_a_stopped_holder_whose_part_was_swept_has_its_bytes(service, payloads):
    holder = start(hold, str(service), payloads[0], "stop")
    wait_for(service, "stops")
    opened(service).cache.sweep(older_than=-1)
    wait_until_stopped(holder)
    os.kill(holder.pid, signal.SIGCONT)
    holder.join(60)
    assert holder.exitcode == 0
    assert said(service)["right"] == 1


def test_eight_processes_share_the_memory_of_a_payload(service, stored, payloads):
    large = store(stored, LARGE)
    gate, done = processes.Barrier(8), processes.Queue()
    readers = [start(map_and_wait, str(service), payloads[0], large, gate, done) for _ in range(8)]
    answers = [done.get(timeout=120) for _ in readers]
    for reader in readers:
        reader.join(60)
    assert all(touched for touched, _ in answers)
    assert 0.9 * LARGE <= sum(more for _, more in answers) <= 1.15 * LARGE
