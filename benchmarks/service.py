"""The service under load: questions a second and alone, beside a bare server of the same run."""

import statistics
import urllib.request
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pymongo
import wrk
from filling import DETECTOR, EXPERIMENTS, fill
from servers import bare, service
from table import Row, Target
from timing import latencies
from wrk import Load

from cdb.database import Database
from cdb.stores import open_store
from cdb.stores.layout import JOURNAL, JOURNAL_DATABASE

CTYPES = (
    "pedestals", "pixel_status", "pixel_rms", "pixel_gain", "pixel_mask", "pixel_bkgd",
    "common_mode", "geometry", "pixel_offset", "users_mask",
)  # fmt: skip
SIZES = {"1e3": 1_000, "1e5": 100_000}
QUESTION = f"/v1/resolve?detector={DETECTOR}&experiment={EXPERIMENTS[3]}&run="
PATHS = {"the same run": f"{QUESTION}5000", "run after run": f"{QUESTION}{{run}}"}
BARE = "bare uvicorn, same size"
AT_ONCE = 32
ROUNDS = 3  # odd, for the median
ON_WIRE = 200

# At least 0.4 of the alternative's requests a second; at most twice its time.
RATE, ALONE = Target(0.4, "ratio", at_least=True), Target(2, "ratio")


def rows(folder: Path, wire: str | None) -> list[Row]:
    """Measure questions to a store in a folder, and to one over MongoDB's protocol."""
    try:
        wrk.find()
    except wrk.Unavailable as reason:
        print(reason)
        return []
    found = embedded_rows(folder)
    return found + (wire_rows(folder, wire) if wire else [])


def embedded_rows(folder: Path) -> list[Row]:
    """Measure questions to stores of two sizes, in turns with the bare server."""
    with ExitStack() as stack:
        log = folder / "servers.log"
        urls, writers = {}, {}
        for size, n_versions in SIZES.items():
            store = (folder / f"service-{size}").as_uri()
            writers[size] = stack.enter_context(Database(open_store(store)))
            fill(writers[size], n_versions, CTYPES)
            urls[size] = stack.enter_context(service(store, log))
        answer = urllib.request.urlopen(urls["1e5"] + PATHS["the same run"]).read()
        assert all(f'"{ctype}":{{'.encode() in answer for ctype in CTYPES)
        floor = stack.enter_context(bare(len(answer), log))
        asked = {("", "bare"): (floor, PATHS["the same run"])}
        asked |= {(s, w): (url, path) for s, url in urls.items() for w, path in PATHS.items()}
        busy, alone = loads(asked)
        anew = {size: after_writes(writers[size], url) for size, url in urls.items()}
    found = []
    base = busy["", "bare"]
    for size, what in list(asked)[1:]:
        name = f"resolve of {len(CTYPES)} types, {size} versions, {what}"
        rate = busy[size, what].rate
        found.append(Row(name, rate, BARE, base.rate, RATE, "requests/s"))
        time = alone[size, what].p50
        found.append(Row("the same, one at a time, p50", time, BARE, alone["", "bare"].p50, ALONE))
    for size, rate in anew.items():
        name = f"resolve, {size} versions, run after run, in the second after a write"
        found.append(Row(name, rate, BARE, base.rate, unit="requests/s"))
    for what in PATHS:
        times = 1 / busy["1e5", what].rate, 1 / busy["1e3", what].rate
        name = f"resolve at 1e5 versions, {what}, a request"
        found.append(Row(name, times[0], "the same at 1e3", times[1], Target(1.3, "ratio")))
    return found


Case = tuple[str, str]


def loads(asked: dict[Case, tuple[str, str]]) -> tuple[dict[Case, Load], dict[Case, Load]]:
    """Return the medians of each case, asked by many and by one; in turns."""
    busy: dict[Case, list[Load]] = {case: [] for case in asked}
    alone: dict[Case, list[Load]] = {case: [] for case in asked}
    for url, path in asked.values():
        # Long enough that each worker was asked about each run.
        wrk.load(url, path, connections=AT_ONCE, seconds=3)
    for turn in range(ROUNDS):
        for case, (url, path) in asked.items():
            many = wrk.load(url, path, connections=AT_ONCE, seconds=1, seed=turn * 1237)
            one = wrk.load(url, path, connections=1, seconds=1, seed=turn * 4001)
            busy[case].append(many)
            alone[case].append(one)
    return (
        {case: wrk.median(taken) for case, taken in busy.items()},
        {case: wrk.median(taken) for case, taken in alone.items()},
    )


def after_writes(db: Database, url: str) -> float:
    """Return requests a second, run after run, when workers know nothing of the present state."""
    found = []
    for turn in range(3):
        db.add(f"text {turn}", detector="epix100a_000002", ctype="comment", run=turn)
        path = PATHS["run after run"]
        found.append(wrk.load(url, path, connections=AT_ONCE, seconds=1, seed=turn * 1237))
    return wrk.median(found).rate


def wire_rows(folder: Path, wire: str) -> list[Row]:
    """Measure what it costs that no answer is older than the question.

    The head is asked for after each question came; those that wait share an answer.
    """
    with Database(open_store(wire)) as db:
        for ctype in CTYPES:
            db.add("text", detector="epix100a_000009", ctype=ctype, experiment="serve00", run=3)
    path = "/v1/resolve?detector=epix100a_000009&experiment=serve00&run=5"
    with service(wire, folder / "servers.log") as url, pymongo.MongoClient(wire) as client:
        events = client[JOURNAL_DATABASE][JOURNAL]
        head = partial(events.find_one, {}, ["_id"], sort=[("_id", -1)])
        head()
        reads = statistics.median(latencies([head] * ON_WIRE))
        name = "wire, state as of now, {}"
        one = wrk.load(url, "/v1/ready", connections=1, seconds=2)
        many = wrk.load(url, "/v1/ready", connections=AT_ONCE, seconds=2)
        whole = wrk.load(url, path, connections=1, seconds=2)
    theirs = "a read of the head by pymongo"
    return [
        Row(name.format("one at a time, p50"), one.p50, theirs, reads),
        Row(name.format(f"{AT_ONCE} at once, a request"), 1 / many.rate, theirs, reads),
        Row(f"wire, resolve of {len(CTYPES)} types, alone, p50", whole.p50, theirs, reads),
    ]
