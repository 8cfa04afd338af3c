"""Questions that are worked out once: any run gets what it would get if asked alone."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlencode

import orjson
import pytest

from cdb.database import Database
from cdb.errors import CalibError, NotFound, StoreUnavailable
from cdb.stores.embedded import EmbeddedStore
from cdb.web import answers, resolving
from cdb.web.access import Caller
from cdb.web.resolving import Asked, Resolved
from cdb.web.service import Service
from cdb.web.settings import Settings
from tests.programs import OtherProgram
from tests.web.v1.service import EPIX, bearer, serving

T0 = 1_600_000_000
ADMIN = Caller("mona", admin=True)
TYPES = ("gain", "notes", "pedestals")
RUNS = [*range(12), 9999, 10**6, None]


class Worker:
    """A worker of a service, with a connection of its own to a store in a folder."""

    def __init__(self, folder: Path) -> None:
        self.db = Database(EmbeddedStore(folder))
        self.resolved = Resolved(Service(self.db, Settings()))
        self.n_at_once = 0

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Return an answer, at once where it is known."""
        query = urlencode(question).encode()
        body = self.resolved.known(query, ADMIN)
        self.n_at_once += body is not None
        if body is None:
            body = asyncio.run(self.resolved.work_out(query, ADMIN, dict(question)))
        answer: dict[str, Any] = orjson.loads(body)
        return answer


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[list[Worker]]:
    """Two of them; the first one writes."""
    made = [Worker(tmp_path), Worker(tmp_path)]
    yield made
    for worker in made:
        worker.db.close()


@pytest.mark.parametrize("seed", range(8))
def test_every_run_gets_what_the_store_says(workers: list[Worker], seed: int) -> None:
    chance = random.Random(seed)
    ids: list[str] = []
    for number in range(16):
        ids += write_at_random(workers[0].db, chance, ids, number)
        for _ in range(3):
            question = question_at_random(chance, workers[0].db.head)
            for run in chance.sample(RUNS, 6):
                asked = question | ({} if run is None else {"run": run})
                if run is None and question["rule"] == "psana":
                    continue
                assert chance.choice(workers).ask(asked) == looked_up(workers[0].db, asked)
    assert sum(worker.n_at_once for worker in workers) > 100


def write_at_random(db: Database, chance: random.Random, ids: list[str], number: int) -> list[str]:
    """Write something; return the ids that are new."""
    what = chance.choice(["add", "add", "add", "retire", "amend", "restore", "other"])
    if what == "other":
        OtherProgram(db.store).insert(number=number, run=chance.randrange(9), second=T0 + number)
        return []
    if what == "add" or not ids:
        run = chance.randrange(9)
        version = db.add(
            f"text {number}", detector=EPIX, ctype=chance.choice(TYPES), run=run,
            run_end=chance.choice([run, run + 2, 10, "end"]), time=T0 + chance.randrange(6),
            experiment=chance.choice([None, "xpp1", "xpp1", "cxi2"]),
        )  # fmt: skip
        return [version.id]
    with suppress(CalibError):  # it has left, or has not
        if what == "amend":
            return [db.amend(chance.choice(ids), run=chance.randrange(9), run_end="end").id]
        getattr(db, what)(chance.choice(ids), reason="why")
    return []


def question_at_random(chance: random.Random, head: int) -> dict[str, Any]:
    question: dict[str, Any] = {
        "detector": EPIX,
        "experiment": chance.choice(["xpp1", "xpp1", "new1"]),
    }
    question["rule"] = chance.choice(
        ["range", "range", "range", "latest", "prior", "closest", "psana"]
    )
    if question["rule"] == "closest" or chance.random() < 0.3:
        question["time"] = T0 + chance.randrange(7)
    if chance.random() < 0.3:
        question["as_of"] = chance.randrange(head + 1)
    if chance.random() < 0.2:
        question["ctype"] = ["notes"]
    return question


def looked_up(db: Database, question: dict[str, Any]) -> dict[str, Any]:
    """Return the same by bounded queries, type by type, with nothing kept."""
    asked = {name: value for name, value in question.items() if name != "ctype"}
    moment = db.moment(asked.pop("as_of", None))
    found, missing = {}, {}
    for ctype in question.get("ctype", TYPES):
        try:
            found[ctype] = db.version(ctype=ctype, **asked, as_of=moment)
        except NotFound as error:
            missing[ctype] = str(error)
    which = {name: asked[name] for name in ("experiment", "rule")}
    foreign = moment.asked and any(version.seq is None for version in found.values())
    return {
        "server": db.journal.identity(),
        "seq": moment.seq,
        "detector": EPIX,
        "searched": db.searched(EPIX, **which, as_of=moment),
        "constants": {ctype: answers.version(version) for ctype, version in found.items()},
        "missing": missing if "ctype" in question else {},
        "warnings": ["documents that no event names took part: run `cdb adopt`"] * foreign,
    }


# What buys the speed -----------------------------------------------------------------------------


def test_another_run_between_the_same_edges_costs_no_look_up(workers: list[Worker]) -> None:
    db, resolved = workers[0].db, workers[0].resolved
    for run in (3, 7):
        db.add("text", detector=EPIX, ctype="notes", run=run)
    workers[0].ask({"detector": EPIX, "run": 3})
    with mock.patch.object(resolving.Answers, "body", side_effect=AssertionError):
        body = resolved.known(b"detector=epix_000001&run=6", ADMIN)
        assert body is not None
        assert resolved.known(b"detector=epix_000001&run=4", ADMIN) is body
    workers[0].ask({"detector": EPIX, "run": 8})
    assert resolved.known(b"detector=epix_000001&run=9999", ADMIN) is not body


def test_a_new_run_reads_only_versions_that_are_not_known(workers: list[Worker]) -> None:
    db = workers[0].db
    for run in (3, 7):
        db.add("text", detector=EPIX, ctype="notes", run=run)
        db.add("text", detector=EPIX, ctype="gain", run=0)
    workers[0].ask({"detector": EPIX, "run": 3})
    with mock.patch.object(db.store, "find", wraps=db.store.find) as find:
        assert workers[0].ask({"detector": EPIX, "run": 8})["constants"]["notes"]["run"] == 7
        assert workers[0].ask({"detector": EPIX, "run": 0})["constants"].keys() == {"gain"}
    (called,) = find.call_args_list
    assert len(called.args[2]["_id"]["$in"]) == 1


def test_what_is_known_is_answered_before_the_routes(tmp_path: Path) -> None:
    with serving(EmbeddedStore(tmp_path)) as client:
        client.app.state.service.db.add("text", detector=EPIX, ctype="notes", run=3)  # type: ignore[attr-defined]
        first = client.get(f"/v1/resolve?detector={EPIX}&run=5")
        with mock.patch.object(resolving.Resolved, "work_out", side_effect=AssertionError):
            again = client.get(f"/v1/resolve?detector={EPIX}&run=6")
        assert (again.content, again.headers) == (first.content, first.headers)
        eve = bearer("eve", read=["cdb_xpp*"])
        assert client.head(f"/v1/resolve?detector={EPIX}&run=5").content == b""
        with serving(EmbeddedStore(tmp_path), anonymous_read=False) as closed:
            assert closed.get(f"/v1/resolve?detector={EPIX}&run=5").status_code == 200
            refused = closed.get(f"/v1/resolve?detector={EPIX}&run=6", headers=eve)
            assert refused.status_code == 403


def test_a_store_that_fails_is_said_as_ever(tmp_path: Path) -> None:
    with serving(EmbeddedStore(tmp_path)) as client:
        db = client.app.state.service.db  # type: ignore[attr-defined]
        for run in (3, 7):
            db.add("text", detector=EPIX, ctype="notes", run=run)
        assert client.get(f"/v1/resolve?detector={EPIX}&run=5").status_code == 200
        with mock.patch.object(db.store, "find", side_effect=StoreUnavailable("it is away")):
            answer = client.get(f"/v1/resolve?detector={EPIX}&run=8")
        assert answer.status_code == 502
        assert answer.json()["error"]["message"] == "it is away"


def test_what_is_kept_is_bounded(workers: list[Worker], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("BODIES_BYTES", 3000), ("PARTS_BYTES", 3000), ("PRESENT", 2)):
        monkeypatch.setattr(resolving, name, value)
    monkeypatch.setattr(resolving, "OTHERS", 2)
    for run in range(9):
        workers[0].db.add(f"{run}", detector=EPIX, ctype="notes", run=run)
    for as_of in (None, 5, 7, 9):
        for fields in (["run"], ["run", "sha256"], ["run", "version"]):
            for run in range(9):
                question = {"detector": EPIX, "fields": fields, "run": run}
                question |= {} if as_of is None else {"as_of": as_of}
                constants = workers[0].ask(question)["constants"]
                assert constants["notes"]["run"] == min(run, (as_of or 9) - 1)
    known = workers[0].resolved._kept.get("known")
    assert known is not None
    assert max(len(known._present), len(known._others)) <= 2
    assert sum(map(len, known._bodies.values())) < 6000
    assert sum(len(some) for some in known.parts._json.values()) < 12


@pytest.mark.parametrize(
    "query",
    [
        b"detector=epix_000001&r%75n=7",
        b"detector=epix_000001&run=7&r%75n=8",
        b"detector=epix_000001&rerun=7",
        b"detector=epix_000001&run",
        b"detector=epix_000001&&run",
        b"detector=epix_000001&run=-7",
        b"detector=epix_000001&run=7&run=8",
        b"detector=epix_000001&run=9999999999999999",
        b"detector=epix_000001&run=%37",
        b"detector=epix_000001&experiment=run=7",
    ],
)
def test_an_odd_address_is_left_to_the_parser(tmp_path: Path, query: bytes) -> None:
    worker = Worker(tmp_path)
    worker.db.add("text", detector=EPIX, ctype="notes", run=8)
    for run in ({}, {"run": 7}, {"run": 8}):
        worker.ask({"detector": EPIX, **run})
    assert worker.resolved.known(query, ADMIN) is None
    worker.db.close()


def test_a_run_written_with_percent_signs_is_not_taken_for_none(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    worker.db.add("text", detector=EPIX, ctype="notes", run=8)
    query = b"detector=epix_000001&r%75n=7"
    given = {"detector": EPIX, "run": 7}
    asyncio.run(worker.resolved.work_out(query, ADMIN, given))
    assert worker.resolved.known(query, ADMIN) is None
    assert Asked.of(b"run=07&detector=x") == Asked((b"detector=x", True), 7)
    worker.db.close()


def test_a_question_by_the_clock_is_asked_anew(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    worker.db.add("text", detector=EPIX, ctype="notes", run=8)
    for by_the_clock in ({"time": "now"}, {"as_of": "now"}, {"as_of": "2100-01-01T00:00:00Z"}):
        for _ in range(2):
            worker.ask({"detector": EPIX, "run": 9, **by_the_clock})
    assert worker.n_at_once == 0
    worker.db.close()
