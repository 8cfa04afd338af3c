"""Payloads of 64 MB over HTTP, beside a raw socket and `requests`; a detector, beside psana."""

import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import requests
import wrk
from servers import raw_socket, service
from table import Row, Target
from timing import medians

from cdb.database import Database
from cdb.remote import RemoteDatabase
from cdb.stores import open_store
from cdb.stores.cache import Cache
from cdb.stores.rest import RestStore

NBYTES = 64 * 2**20
# A long name, as psana asks.
EXPERIMENT, DETECTOR = "transfer00", "epix10ka_0123-45_0123-46"
# What a panel of an area detector has: eight types of 2 MB each.
CTYPES = (
    "pedestals", "pixel_status", "pixel_rms", "pixel_gain", "pixel_mask", "pixel_bkgd",
    "pixel_offset", "users_mask",
)  # fmt: skip
SHAPE = (4, 352, 384)
LARGE = "pixel_max"
REPEATS = 7
PSANA = Path(__file__).resolve().parent.parent / "scripts" / "psana-for-tests"
PSANA_SCRIPT = """
import json, sys, time
import psana.pscalib.calib.MDBWebUtils as wu
times = []
for _ in range(int(sys.argv[3])):
    begin = time.perf_counter()
    found = wu.calib_constants_all_types(sys.argv[1], sys.argv[2], run=7)
    times.append(time.perf_counter() - begin)
    assert len(found) == int(sys.argv[4]), sorted(found)
print("TIMES " + json.dumps(times))
"""


def rows(folder: Path) -> list[Row]:
    """Measure downloads from a service of a store in a folder."""
    store = (folder / "transfers").as_uri()
    about = {"detector": DETECTOR, "experiment": EXPERIMENT}
    rng = np.random.default_rng(0)
    with Database(open_store(store), gates="off") as db:
        for ctype in CTYPES:
            db.add(rng.normal(size=SHAPE).astype(np.float32), ctype=ctype, run=3, **about)
        # Of another detector: psana fetches every type of the first.
        array = rng.integers(0, 255, NBYTES, np.uint8)
        large = db.add(array, detector="epix10ka_000002", ctype=LARGE, run=3)
    log = folder / "servers.log"
    with ExitStack() as stack:
        url = stack.enter_context(service(store, log))
        raw = stack.enter_context(raw_socket(NBYTES, log))
        path = f"/v1/databases/{large.database}/payloads/{large.sha256}"
        return [
            *served_rows(url, raw, path),
            *received_rows(url, raw, path, folder),
            *psana_rows(url, folder),
        ]


def served_rows(url: str, raw: str, path: str) -> list[Row]:
    """Measure how fast the service sends; `wrk` takes the bytes and does nothing with them."""
    try:
        wrk.find()
    except wrk.Unavailable as reason:
        print(reason)
        return []
    ours, theirs = [], []
    for _ in range(3):
        ours.append(wrk.load(url, path, connections=1, seconds=2).rate)
        theirs.append(wrk.load(raw, path, connections=1, seconds=2).rate)
    rates = [statistics.median(found) * NBYTES / 1e9 for found in (ours, theirs)]
    target = Target(0.6, "ratio", at_least=True)
    return [Row("64 MB served", rates[0], "a raw socket", rates[1], target, "GB/s")]


def received_rows(url: str, raw: str, path: str, folder: Path) -> list[Row]:
    """Measure a download with its digest verified: into memory, into the cache, out of it."""
    sha256 = path.rpartition("/")[2]
    database = path.split("/")[3]
    transport = RestStore(url)

    def into_memory() -> None:
        assert len(transport.read(database, "", sha256=sha256)) == NBYTES

    def into_cache() -> None:
        with tempfile.TemporaryDirectory(dir=folder) as name:
            read_cached(url, Path(name), database, sha256)

    def by_requests() -> None:
        assert len(requests.get(url + path, timeout=60).content) == NBYTES

    actions = (partial(receive, raw), into_memory, into_cache, by_requests)
    for action in actions:
        action()
    plain, memory, cached, theirs = medians(*actions, repeats=REPEATS)
    kept = folder / "kept"
    with RemoteDatabase(RestStore(url), Cache(kept)) as db:
        large = partial(db.payload, database, sha256)
        memoryview(large())
        warm, mapped = medians(large, partial(map_file, kept), repeats=31)
    speeds = [NBYTES / seconds / 1e9 for seconds in (plain, memory, cached, theirs)]
    return [
        Row("64 MB received in memory, digest verified", speeds[1], "a raw socket", speeds[0],
            Target(0.45, "ratio", at_least=True), "GB/s"),
        Row("the same", speeds[1], "requests, digest not verified", speeds[3],
            Target(3, "ratio", at_least=True), "GB/s"),
        Row("64 MB received into the cache, verified", speeds[2], "a raw socket", speeds[0],
            Target(0.35, "ratio", at_least=True), "GB/s"),
        Row("64 MB, warm, through the cache", warm, "np.memmap of the file", mapped,
            Target(1e-3)),
    ]  # fmt: skip


def receive(url: str) -> None:
    """Receive a body into new memory, and look at nothing."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port)
    connection.request("GET", "/")
    answer = connection.getresponse()
    view, there = memoryview(bytearray(NBYTES)), 0
    while there < NBYTES:
        there += answer.readinto(view[there:])
    connection.close()


def read_cached(url: str, cache: Path, database: str, sha256: str) -> None:
    """Download a payload into a new cache."""
    cache.chmod(0o700)
    with RemoteDatabase(RestStore(url), Cache(cache)) as db:
        assert memoryview(db.payload(database, sha256)).nbytes == NBYTES


def map_file(folder: Path) -> None:
    """Map the one large file of a folder."""
    (path,) = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size > 2**20]
    np.memmap(path, np.uint8, "r")


def psana_rows(url: str, folder: Path) -> list[Row]:
    """Measure all types of a detector, with their data, by a client that has nothing yet."""
    found = subprocess.run([sys.executable, str(PSANA)], capture_output=True, text=True)
    if found.returncode:
        print(found.stderr.strip())
        return []

    def ours() -> None:
        cache = Path(tempfile.mkdtemp(dir=folder))
        with RemoteDatabase(RestStore(url), Cache(cache)) as db:
            constants = db.detector(DETECTOR, experiment=EXPERIMENT, run=7).calibconst
            assert len([constants[ctype] for ctype in constants]) == len(CTYPES)
        shutil.rmtree(cache)

    kept = ("HOME", "LANG", "PATH", "USER")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    asked = [found.stdout.strip(), "-c", PSANA_SCRIPT, DETECTOR, EXPERIMENT, str(REPEATS)]
    done = subprocess.run(
        [*asked, str(len(CTYPES))],
        env=environment | {"LCLS_CALIB_HTTP": f"{url}/ws"},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    said = [line for line in done.stdout.splitlines() if line.startswith("TIMES ")]
    if not said:
        raise RuntimeError(f"psana failed:\n{done.stdout}\n{done.stderr}")
    theirs = statistics.median(json.loads(said[0].removeprefix("TIMES ")))
    what = f"{len(CTYPES)} types of 2 MB of a detector, cold"
    (mine,) = medians(ours, repeats=REPEATS)
    return [Row(what, mine, "psana's calib_constants_all_types", theirs)]
