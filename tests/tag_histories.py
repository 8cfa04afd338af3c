"""Random histories of a store with tags, and what they answer, worked out the slow way.

The oracle keeps its own account of every tag and goes through all documents for each question; of
the library it takes nothing but the stored documents.
"""

import random
from dataclasses import dataclass, field

from cdb.database import Database
from cdb.errors import CalibError, NotFound, WrongState

EPIX = "epix_000001"
OWN = "cdb_epix_000001"
EXPERIMENTS = ("xpp1", "xpp2")
CTYPES = ("pedestals", "notes")
LAST = 12
T0 = 1_600_000_000
FAR = 2**53


@dataclass(frozen=True)
class Asked:
    """A question."""

    experiment: str | None
    ctype: str
    run: int | None
    time: int | None

    def arguments(self) -> dict:
        return {"experiment": self.experiment, "run": self.run, "time": self.time}


@dataclass
class Account:
    """What a tag is, as of its last revision."""

    at: int
    state: str = "open"
    steps: list[tuple] = field(default_factory=list)
    pins: list[str] = field(default_factory=list)
    base: "Account | None" = None

    def copied(self) -> "Account":
        return Account(self.at, self.state, list(self.steps), list(self.pins), self.base)

    def state_for(self, asked: Asked) -> int:
        for at, experiment, run, _ in reversed(self.steps):
            of_runs = run is not None and experiment == asked.experiment
            if of_runs and (asked.run is None or asked.run >= run):
                return at
        for at, _, _, time in reversed(self.steps):
            if time is None:
                continue
            if asked.time is None and asked.run is None:
                return at
            if asked.time is not None and asked.time >= time:
                return at
        return self.at if self.base is None else self.base.state_for(asked)

    def layers(self) -> list[list[str]]:
        return [self.pins, *(self.base.layers() if self.base else [])]


class History:
    """A store that is written to at random, with an account of its tags."""

    def __init__(self, db: Database, seed: int) -> None:
        self.db = db
        self.rng = random.Random(seed)
        self.tags: dict[str, Account] = {}
        self.taken: set[str] = set()
        self.versions: list[str] = []
        self.refused = 0

    def write(self, n: int) -> None:
        """Do so many things; each is refused or done, and the account follows."""
        self.add()
        for _ in range(n):
            act = self.rng.choice(
                ["add"] * 4 + ["retire", "restore", "amend", "tag", "tag", "pin", "pin", "unpin"]
                + ["advance"] * 3 + ["move", "delete"]
            )  # fmt: skip
            try:
                getattr(self, act)()
            except WrongState:
                self.refused += 1

    def add(self) -> None:
        begin = self.rng.randrange(LAST)
        made = self.db.add(
            self.rng.randrange(10**9),
            detector=EPIX,
            ctype=self.rng.choice(CTYPES),
            experiment=self.rng.choice([*EXPERIMENTS, None]),
            run=begin,
            run_end=self.rng.choice(["end", begin, begin + 3]),
            time=T0 + self.rng.randrange(8),
        )
        self.versions += [id_ for id_, _ in self.of_event(made.seq)]

    def of_event(self, seq: int) -> list[tuple[str, str]]:
        event = self.db.journal.event(seq)
        return [(e["id"], e["database"]) for e in event["versions"] if "document" in e]

    def some(self) -> str:
        return self.rng.choice(self.versions)

    def retire(self) -> None:
        self.db.retire(self.some(), reason="test")

    def restore(self) -> None:
        made = self.db.restore(self.some(), reason="test")
        self.versions += [id_ for id_, _ in self.of_event(made.seq)]

    def amend(self) -> None:
        begin = self.rng.randrange(LAST)
        made = self.db.amend(self.some(), run=begin, run_end="end")
        self.versions += [id_ for id_, _ in self.of_event(made.seq)]

    def tag(self) -> None:
        name = self.rng.choice("abcde")
        base = self.rng.choice([None, *self.tags])
        at = self.rng.choice([None, self.rng.randint(0, self.db.head)])
        head = self.db.head
        if base is not None:
            self.db.tags.create(name, base=base)
            account = Account(self.tags[base].at, base=self.tags[base].copied())
        else:
            self.db.tags.create(name, at=at)
            account = Account(head if at is None else at)
        assert name not in self.taken
        self.tags[name] = account
        self.taken.add(name)

    def any_tag(self) -> str:
        if not self.tags:
            raise WrongState("there is none")
        return self.rng.choice([*self.tags])

    def pin(self) -> None:
        name, version = self.any_tag(), self.some()
        self.db.tags.pin(name, version)
        assert self.tags[name].state in ("open", "testing")
        self.tags[name].pins.append(version)

    def unpin(self) -> None:
        name = self.any_tag()
        if not self.tags[name].pins:
            raise WrongState("none is pinned")
        version = self.rng.choice(self.tags[name].pins)
        self.db.tags.unpin(name, version)
        self.tags[name].pins.remove(version)

    def advance(self) -> None:
        name, head = self.any_tag(), self.db.head
        at = self.rng.choice([None, self.rng.randint(0, head)])
        if self.rng.random() < 0.6:
            step = (self.rng.choice(EXPERIMENTS), self.rng.randrange(LAST), None)
            self.db.tags.advance(name, at=at, experiment=step[0], run=step[1])
        else:
            step = (None, None, T0 + self.rng.randrange(8))
            self.db.tags.advance(name, at=at, time=step[2])
        assert self.tags[name].state in ("open", "testing", "validated")
        self.tags[name].steps.append((head if at is None else at, *step))

    def move(self) -> None:
        name = self.any_tag()
        state = self.rng.choice(["testing", "testing", "validated", "published", "invalid"])
        self.db.tags.move(name, state)
        self.tags[name].state = state
        if state == "invalid":
            del self.tags[name]

    def delete(self) -> None:
        name = self.any_tag()
        self.db.tags.delete(name)
        assert self.tags[name].state == "open"
        del self.tags[name]
        self.taken.discard(name)

    # questions ---------------------------------------------------------------------------------

    def question(self) -> Asked:
        return Asked(
            self.rng.choice([*EXPERIMENTS, "xpp3", None]),
            self.rng.choice(CTYPES),
            self.rng.choice([None, *range(LAST + 4)]),
            self.rng.choice([None, T0 + self.rng.randrange(8)]),
        )

    def documents(self) -> list[dict]:
        """Return every document of the store, with its database."""
        return [
            {**document, "database": database}
            for database in (OWN, *(f"cdb_{name}" for name in EXPERIMENTS))
            for document in self.db.store.find(database, EPIX)
        ]


def expected(documents: list[dict], asked: Asked, seq: int, layers: list[list[str]]) -> str | None:
    """Return the id of what answers a question in a state, with pins over it."""
    databases = [OWN] if asked.experiment is None else [f"cdb_{asked.experiment}", OWN]
    for number, database in enumerate(databases):
        here = [d for d in documents if d["database"] == database and d["ctype"] == asked.ctype]
        sets = [[d for d in here if d["_id"] in layer] for layer in layers]
        sets.append([d for d in here if d["seq"] <= seq and not d.get("out", FAR) <= seq])
        for candidates in sets:
            best = _best(candidates, asked, fallback=number > 0)
            if best is not None:
                return best
    return None


def _best(candidates: list[dict], asked: Asked, *, fallback: bool) -> str | None:
    run = FAR if asked.run is None else asked.run
    if asked.time is not None:
        candidates = [d for d in candidates if d["time_sec"] <= asked.time]
    covering = [d for d in candidates if d["run"] <= run <= d["end"]]
    if fallback:
        foreign = [d for d in candidates if d["experiment"] != asked.experiment]
        own = [d for d in covering if d["experiment"] == asked.experiment]
        ranked = [((d["time_sec"], d["order"], d["_id"]), d["_id"]) for d in foreign + own]
    else:
        ranked = [((d["run"], -d["end"], d["order"], d["_id"]), d["_id"]) for d in covering]
    return max(ranked)[1] if ranked else None


def answer(db: Database, asked: Asked, **state: object) -> str | None:
    """Return the id of what the library answers, by a bounded query."""
    try:
        return db.version(EPIX, asked.ctype, **asked.arguments(), **state).id
    except NotFound:
        return None


def answer_of_a_view(db: Database, asked: Asked, **state: object) -> str | None:
    """Return the same, by the indexes that a process keeps."""
    calibconst = db.detector(EPIX, **asked.arguments(), **state).calibconst
    return calibconst.version(asked.ctype).id if asked.ctype in calibconst else None


def answer_explained(db: Database, asked: Asked, **state: object) -> str | None:
    """Return the same, by the explanation of every candidate."""
    found = db.explain(EPIX, asked.ctype, **asked.arguments(), **state)
    winners = [c.version.id for c in found.candidates if c.won]
    assert winners == ([] if found.winner is None else [found.winner.id])
    return winners[0] if winners else None


def refusals(call) -> str:
    """Return the sentence with which something is refused, empty if it is not."""
    try:
        call()
    except CalibError as error:
        return str(error)
    return ""
