"""Processes that write and read a store while others are killed; each keeps a record.

A record is a file of JSON lines, two per call: what was asked, with the time before, and what was
told, with the time after (CLOCK_MONOTONIC, the same for all processes of a machine).
"""

import json
import os
import random
import signal
import time
from pathlib import Path

from cdb.backup import Import, Imported
from cdb.database import Database
from cdb.errors import CalibError, NotFound, WrongState
from cdb.fsck import Check
from cdb.purge import Choice, purge, purgeable
from cdb.stores import open_store

EPIX = "epix_000001"
EXPERIMENT = "xpp1"
RUNS = range(4)


class Record:
    """The record of one process."""

    def __init__(self, path: Path) -> None:
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.number = 0

    def ask(self, **what: object) -> None:
        self.number += 1
        self._write(says="ask", **what)

    def tell(self, **what: object) -> None:
        self._write(says="tell", **what)

    def _write(self, **what: object) -> None:
        line = {"n": self.number, "time": time.monotonic_ns(), **what}
        os.write(self.file, (json.dumps(line) + "\n").encode())


def write_constants(url: str, path: str, seed: int, n: int | None, detector: str = EPIX) -> None:
    """Add constants, n or until killed."""
    record, rng = Record(Path(path)), random.Random(seed)
    with open_store(url) as store:
        db = Database(store)
        count = 0
        while n is None or count < n:
            label = f"{seed}-{count}"
            run = rng.choice(RUNS)
            record.ask(do="add", label=label, run=run)
            version = db.add(
                # Some payloads are shared with other writers.
                label if rng.random() < 0.7 else rng.choice("abc"),
                detector=detector, experiment=EXPERIMENT, ctype="notes", run=run,
                time=1_600_000_000, version=label, comment=label,
            )  # fmt: skip
            record.tell(do="add", label=label, run=run, id=version.id, seq=version.seq)
            count += 1


def change_constants(url: str, path: str, seed: int) -> None:
    """Add, retire, restore and amend until killed."""
    record, rng = Record(Path(path)), random.Random(seed)
    with open_store(url) as store:
        db = Database(store)
        count = 0
        while True:
            count += 1
            label = f"{seed}-{count}"
            run = rng.choice(RUNS)
            record.ask(do="add", label=label, run=run)
            version = db.add(label, detector=EPIX, experiment=EXPERIMENT, ctype="notes", run=run,
                             time=1_600_000_000, version=label, comment=label)  # fmt: skip
            record.tell(do="add", label=label, run=run, id=version.id, seq=version.seq)
            for change in rng.sample(("retire", "restore", "amend"), 2):
                record.ask(do=change, id=version.id)
                try:
                    version = _changed(db, change, version.id, label, run)
                except WrongState as error:
                    record.tell(do=change, refused=str(error))
                else:
                    record.tell(do=change, id=version.id)


def _changed(db: Database, change: str, version_id: str, label: str, run: int):
    if change == "amend":
        return db.amend(version_id, run=run, comment=f"{label} amended")
    return getattr(db, change)(version_id, reason="test")


def read_constants(url: str, path: str, seed: int, seconds: float) -> None:
    """Ask for constants, now and as of earlier states, for so many seconds."""
    record, rng = Record(Path(path)), random.Random(seed)
    with open_store(url) as store:
        db = Database(store)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            run = rng.choice(RUNS)
            record.ask(do="read", run=run)
            seq, answer = answer_now(db, run)
            record.tell(do="read", run=run, seq=seq, answer=answer)
            past = rng.randint(max(0, seq - 5), seq)
            record.ask(do="read past", run=run)
            record.tell(do="read past", run=run, seq=past, answer=answer_then(db, run, past))


def answer_now(db: Database, run: int) -> tuple[int, dict]:
    """Return S and what holds, through a view."""
    det = db.detector(EPIX, experiment=EXPERIMENT, run=run)
    if "notes" not in det.calibconst:
        return det.seq, {}
    data, meta = det.calibconst["notes"]
    return det.seq, {"id": meta["_id"], "comment": meta["comment"], "data": data}


def answer_then(db: Database, run: int, seq: int) -> dict:
    """Return what held as of a state, through bounded queries."""
    try:
        data, meta = db.get(EPIX, "notes", experiment=EXPERIMENT, run=run, as_of=seq)
    except NotFound:
        return {}
    return {"id": meta["_id"], "comment": meta["comment"], "data": data}


def stop_at(url: str, step: str, how: str, call: str, arguments: dict) -> None:
    """Do one thing, and be killed or stopped at a step of it."""
    seen = []

    def at_step(name: str) -> None:
        if name == step and not seen:
            seen.append(name)
            os.kill(os.getpid(), signal.SIGKILL if how == "kill" else signal.SIGSTOP)

    with open_store(url) as store:
        db = Database(store, step=at_step)
        if call == "fsck":
            list(Check(db.journal, older_than=0).run())
        elif call == "purge":
            purge_all(db)
        elif call == "import":
            import_from(db, **arguments)
        elif call.startswith("tags."):
            getattr(db.tags, call.removeprefix("tags."))(**arguments)
        else:
            getattr(db, call)(**arguments)


def purge_all(db: Database) -> int:
    """Purge whatever can be; return how many payloads were."""
    found, seen = purgeable(db.journal, Choice())
    return len(purge(db.journal, found, seen=seen, reason="test"))


def import_from(db: Database, path: str) -> Imported:
    """Take in an archive."""
    with Import(db.journal, path) as plan:
        return plan.run()


def import_until_killed(url: str, path: str) -> None:
    """Take in an archive, in a process of its own."""
    with open_store(url) as store:
        import_from(Database(store), path)


def run_fsck(url: str) -> None:
    """Mend at once what looks dead, as an impatient operator would."""
    with open_store(url) as store:
        db = Database(store)
        try:
            list(Check(db.journal, older_than=0).run())
        except CalibError as error:  # told by the exit code
            raise SystemExit(str(error)) from error


def wait_until_stopped(process, seconds: float = 20) -> None:
    """Wait until a process has stopped itself."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        state = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]
        if state == "T":
            return
        time.sleep(0.005)
    raise AssertionError("the process did not come to the step")
