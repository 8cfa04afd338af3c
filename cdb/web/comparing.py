"""Comparisons over HTTP: of two versions, of one with those before it, of a store with its past.

All of it reads much, payloads among it, and is done in a thread.
"""

from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cdb import comparison, staleness, trends
from cdb.audit import Audit, findings_as_json
from cdb.staleness import Thresholds
from cdb.web import answers
from cdb.web.access import Caller, caller_of
from cdb.web.reading import Arguments, moment_of
from cdb.web.service import service_of

# Limits that a question may give in place of the usual ones.
LIMITS = ("max_age", "max_bad", "max_bad_change", "max_mean_change")


@dataclass
class _Readable:
    """What a caller may read, and whether anything was left out because of it."""

    caller: Caller
    left_out: bool = field(default=False, init=False)

    def __call__(self, database: str) -> bool:
        allowed = self.caller.may_read(database)
        self.left_out = self.left_out or not allowed
        return allowed


async def diff(request: Request, given: Arguments) -> Response:
    """Say what differs between two versions."""
    service, caller = service_of(request), caller_of(request)
    moment = await moment_of(service, given)

    def compare() -> dict[str, Any]:
        for version_id in (given["a"], given["b"]):
            caller.require_read(service.db.version_by_id(version_id, as_of=moment).database)
        found = comparison.compare(service.db, given["a"], given["b"], as_of=moment)
        return found.as_json()

    found = await service.work(compare)
    return await answers.of_state(service, moment, diff=found)


async def trend(request: Request, given: Arguments) -> Response:
    """Say how the numbers of a constant went from version to version, the oldest first."""
    service, caller = service_of(request), caller_of(request)
    moment = await moment_of(service, given)
    part = {name: given.pop(name) for name in ("panel", "gain") if name in given}
    left = given.pop("all", False)

    def compute() -> list[dict[str, Any]]:
        which = (given["detector"], given.get("experiment"), given.get("dbsuffix"))
        caller.require_read(service.db.shelf(*which, as_of=moment))
        chosen = trends.versions_of(service.db, **given, left=left, as_of=moment)
        return [point.as_json() for point in trends.trend(service.db, chosen, **part)]

    found = await service.work(compute)
    return await answers.of_state(service, moment, trend=found)


async def stale(request: Request, given: Arguments) -> Response:
    """Say of what is in force, and may be read, how old it is and how it changed."""
    service, caller = service_of(request), caller_of(request)
    moment = await moment_of(service, given)
    limits = Thresholds(given={name: given.pop(name) for name in LIMITS if name in given})
    may_read = _Readable(caller)

    def judge() -> list[dict[str, Any]]:
        db, detector, experiment = service.db, given.get("detector"), given.get("experiment")
        if detector is not None:
            caller.require_read(*db.searched(detector, experiment=experiment, as_of=moment))
        elif experiment is not None:
            caller.require_read(db.shelf(None, experiment, None, as_of=moment))
        there = staleness.in_force(db, **given, as_of=moment, may_read=may_read)
        return [each.as_json() for each in staleness.conditions(db, there, limits)]

    found = await service.work(judge)
    partial = {"partial": True} if may_read.left_out else {}
    return await answers.of_state(service, moment, stale=found, **partial)


async def audit(request: Request, given: Arguments) -> Response:
    """Walk the chain of all events, and compare what they say with the documents."""
    service = service_of(request)

    def verify() -> dict[str, Any]:
        made = Audit(service.db.journal, **given)
        findings = [*made.run()]
        return {**made.facts(), **findings_as_json(findings)}

    found = await service.work(verify)
    return await answers.of_state(service, found.pop("seq"), **found)
