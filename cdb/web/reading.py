"""Questions over HTTP: what there is, which version holds, why."""

import base64
import binascii
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

import cdb
from cdb import names
from cdb.constant import Version
from cdb.errors import BadQuestion, shown
from cdb.moments import Moment
from cdb.validity import from_microseconds
from cdb.web import answers
from cdb.web.access import caller_of
from cdb.web.service import Service, service_of

PAGE = 100
INLINE = 2**20  # bytes

Arguments = dict[str, Any]


async def info(request: Request, _: Arguments) -> Response:
    """Say what this is, and who asks."""
    service, caller = service_of(request), caller_of(request)
    moment = await service.moment()
    who = {
        "name": caller.name,
        "read": list(caller.read),
        "write": list(caller.write),
        "admin": caller.admin,
    }
    return await answers.of_state(
        service,
        moment,
        at=None if not moment.seq else from_microseconds(moment.at).isoformat(),
        digest=moment.head.digest,
        cdb=cdb.__version__,
        store=type(service.db.store).__name__,
        caller=who,
        limits={"inline": INLINE, "body": service.settings.body_limit},
    )


async def health(request: Request, _: Arguments) -> Response:
    """Say that the process answers."""
    return answers.as_json({"status": "ok"})


async def ready(request: Request, _: Arguments) -> Response:
    """Say whether the store answers."""
    await service_of(request).moment()
    return answers.as_json({"status": "ready"})


async def moment(request: Request, given: Arguments) -> Response:
    """Say which event is the last as of a time, and when an event was."""
    service = service_of(request)
    caller_of(request).require_reader()
    found = await service.moment(given.get("as_of"))
    at = from_microseconds(found.at).isoformat() if found.seq else None
    return await answers.of_state(service, found, at=at, head=found.head.seq)


async def databases(request: Request, given: Arguments) -> Response:
    """List the databases that may be read."""
    service, caller = service_of(request), caller_of(request)
    caller.require_reader()
    moment = await service.moment(given.get("as_of"))
    found = await service.work(service.db.databases, may_read=caller.may_read, as_of=moment)
    return await answers.of_state(service, moment, databases=found)


async def detectors(request: Request, given: Arguments) -> Response:
    """List the detectors whose database may be read."""
    service, caller = service_of(request), caller_of(request)
    caller.require_reader()
    moment = await service.moment(given.get("as_of"))
    known = await service.work(service.db.detectors, as_of=moment)
    found = [d for d in known if caller.may_read(names.detector_database(d["detector"]))]
    return await answers.of_state(service, moment, detectors=found)


async def experiments(request: Request, given: Arguments) -> Response:
    """List the experiments whose database may be read."""
    service, caller = service_of(request), caller_of(request)
    caller.require_reader()
    moment = await service.moment(given.get("as_of"))
    known = await service.work(service.db.experiments, as_of=moment)
    found = [e for e in known if caller.may_read(names.PREFIX + e["experiment"])]
    return await answers.of_state(service, moment, experiments=found)


async def constants(request: Request, given: Arguments) -> Response:
    """List the versions that fit, a page at a time, all pages as of one state."""
    service = service_of(request)
    limit = given.pop("limit", PAGE)
    as_of, skip = given.pop("as_of", None), 0
    if "after" in given:
        seq, skip = page_of(given.pop("after"))
        if as_of is not None and as_of != seq:
            raise BadQuestion("`after` holds its own state; leave as_of out after the first page")
        as_of = seq
    moment = await service.moment(as_of)

    def find() -> list[Version]:
        which = (given.get("detector"), given.get("experiment"), given.get("dbsuffix"))
        caller_of(request).require_read(service.db.shelf(*which, as_of=moment))
        return service.db.find(**given, limit=limit + 1, skip=skip, as_of=moment)

    found = await service.work(find)
    following = page_after(moment, skip + limit) if len(found) > limit else None
    versions = [answers.version(version) for version in found[:limit]]
    return await answers.of_state(service, moment, constants=versions, next=following)


def page_after(moment: Moment, skip: int) -> str:
    """Return the token of the page that begins after so many versions.

    Examples
    --------
    >>> page_of(page_after(Moment(7, 0, False, False, None), 100))
    (7, 100)
    """
    return base64.urlsafe_b64encode(f"{moment.seq}.{skip}".encode()).decode().rstrip("=")


def page_of(token: str) -> tuple[int, int]:
    """Return the state and the number of versions before the page of a token.

    Raises
    ------
    BadQuestion
        If it is none.
    """
    try:
        text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        seq, skip = (int(number) for number in text.decode("ascii").split("."))
        if 0 <= seq < 2**53 and 0 <= skip < 2**53:
            return seq, skip
    except (ValueError, binascii.Error):
        pass  # said below, with what to do
    raise BadQuestion(f"after={shown(token)} is no `next` of a page; begin without `after`")


async def constant(request: Request, given: Arguments) -> Response:
    """Give one version, whether it holds or has left."""
    service = service_of(request)
    moment = await service.moment(given.get("as_of"))
    version_id = request.path_params["id"]
    found = await service.read(service.db.version_by_id, version_id, as_of=moment)
    caller_of(request).require_read(found.database)
    return await answers.of_state(service, moment, constant=answers.version(found))


async def history(request: Request, given: Arguments) -> Response:
    """List all versions of a constant, newest first."""
    service = service_of(request)
    moment = await service.moment(given.pop("as_of", None))

    def find() -> list[Version]:
        which = (given["detector"], given.get("experiment"), given.get("dbsuffix"))
        caller_of(request).require_read(service.db.shelf(*which, as_of=moment))
        return service.db.history(**given, as_of=moment)

    found = await service.work(find)
    return await answers.of_state(service, moment, constants=[*map(answers.version, found)])


async def explain(request: Request, given: Arguments) -> Response:
    """Say of every candidate why it won or lost."""
    service = service_of(request)
    moment = await service.moment(given.pop("as_of", None))

    def find() -> cdb.search.Explanation:
        caller_of(request).require_read(*_searched(service, given, moment))
        return service.db.explain(**given, as_of=moment)

    found = await service.work(find)
    return await answers.of_state(
        service,
        moment,
        winner=None if found.winner is None else answers.version(found.winner),
        candidates=[
            {"constant": answers.version(candidate.version), "reason": candidate.reason}
            for candidate in found.candidates
        ],
        note=found.note,
    )


def _searched(service: Service, given: Arguments, moment: Moment) -> list[str]:
    which = {name: given[name] for name in ("experiment", "dbsuffix", "rule") if name in given}
    return service.db.searched(given["detector"], **which, as_of=moment)
