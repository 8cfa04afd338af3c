"""Questions over HTTP: what there is, which version holds, why."""

import base64
import hashlib
from dataclasses import dataclass, replace
from typing import Any, Self

import orjson
from starlette.requests import Request
from starlette.responses import Response

import cdb
from cdb import listing, names
from cdb.constant import Version
from cdb.errors import BadQuestion, shown
from cdb.listing import Mark
from cdb.moments import Moment
from cdb.validity import from_microseconds
from cdb.web import answers, requests
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
    service = service_of(request)
    return await answers.of_state(service, await service.moment(), status="ready")


async def moment(request: Request, given: Arguments) -> Response:
    """Say which event is the last as of a time, and when an event was."""
    service = service_of(request)
    found = await service.moment(given.get("as_of"))
    at = from_microseconds(found.at).isoformat() if found.seq else None
    return await answers.of_state(service, found, at=at, head=found.head.seq)


async def moment_of(service: Service, given: Arguments) -> Moment:
    """Return the state that is asked for, by an event, a time or a tag; now without any."""
    asked = {name: given[name] for name in ("experiment", "run", "time") if name in given}
    return await service.moment(given.pop("as_of", None), given.pop("tag", None), **asked)


async def databases(request: Request, given: Arguments) -> Response:
    """List the databases that may be read."""
    service, caller = service_of(request), caller_of(request)
    if given:
        moment = await moment_of(service, given)
        found = await service.work(service.db.databases, may_read=caller.may_read, as_of=moment)
    else:
        # Counted once, then told by the journal.
        moment, counts = await service.work(service.db.copies.tally.present)
        found = listing.by_database(counts, caller.may_read)
    return await answers.of_state(service, moment, databases=found)


async def detectors(request: Request, given: Arguments) -> Response:
    """List the detectors whose database may be read."""
    service, caller = service_of(request), caller_of(request)
    moment = await moment_of(service, given)
    known = await service.work(service.db.detectors, as_of=moment)
    found = [d for d in known if caller.may_read(names.detector_database(d["detector"]))]
    return await answers.of_state(service, moment, detectors=found)


async def experiments(request: Request, given: Arguments) -> Response:
    """List the experiments whose database may be read."""
    service, caller = service_of(request), caller_of(request)
    moment = await moment_of(service, given)
    known = await service.work(service.db.experiments, as_of=moment)
    found = [e for e in known if caller.may_read(names.PREFIX + e["experiment"])]
    return await answers.of_state(service, moment, experiments=found)


async def gates(request: Request, _: Arguments) -> Response:
    """Say by which rules new constants are let in."""
    service, caller = service_of(request), caller_of(request)
    caller.require_reader()
    rules = service.db.gates
    moment = await service.moment()
    return await answers.of_state(service, moment, source=rules.source, layers=rules.layers)


async def quarantined(request: Request, given: Arguments) -> Response:
    """List the versions that wait in quarantine, of the databases that may be read."""
    service, caller = service_of(request), caller_of(request)
    caller.require_reader()
    moment = await service.moment(given.pop("as_of", None))
    found = await service.work(
        service.db.quarantined, **given, may_read=caller.may_read, as_of=moment
    )
    return await answers.of_state(
        service, moment, constants=[answers.version(version) for version in found]
    )


async def constants(request: Request, given: Arguments) -> Response:
    """List the versions that fit, a page at a time, all pages as of one state."""
    service = service_of(request)
    limit = given.pop("limit", PAGE)
    state: Arguments = {name: given.pop(name) for name in ("as_of", "tag") if name in given}
    token = given.pop("after", None)
    page = None if token is None else Page.read(token, given)
    if page is not None:
        own: Arguments = {"as_of": page.seq}
        if isinstance(page.asked, str):
            own = {"tag": page.asked}
        if state.items() - own.items():
            raise BadQuestion(
                "`after` holds its own state; leave as_of and tag out after the first page"
            )
        state = own
    moment = await moment_of(service, given | state)
    if page is not None and not page.asked:
        # Documents that no event names take part, as they did in the first page.
        moment = replace(moment, asked=False)

    def find() -> list[Version]:
        which = (given.get("detector"), given.get("experiment"), given.get("dbsuffix"))
        caller_of(request).require_read(service.db.shelf(*which, as_of=moment))
        mark = None if page is None else page.mark
        return service.db.find(**given, limit=limit + 1, after=mark, as_of=moment)

    found = await service.work(find)
    following = None
    if len(found) > limit:
        mark = Mark.after(found[limit - 1], given.get("sort", ()))
        how = moment.asked if moment.tag is None else str(moment.tag)
        following = Page(moment.seq, how, mark).token(given)
    versions = [answers.version(version) for version in found[:limit]]
    return await answers.of_state(service, moment, constants=versions, next=following)


@dataclass(frozen=True)
class Page:
    """Where a page of versions begins: the state that all pages show, and the place in the list.

    Examples
    --------
    >>> page = Page(7, False, Mark("cdb_xpp1", "epix_000001", ("notes", 3, "6156c0")))
    >>> Page.read(page.token({"run": 5}), {"run": 5}) == page
    True
    """

    seq: int
    asked: bool | str  # the tag, where one was
    mark: Mark

    def token(self, question: Arguments) -> str:
        """Return what brings this page, of this question alone."""
        parts = [_digest(question), self.seq, self.asked]
        mark = [self.mark.database, self.mark.collection, *self.mark.values]
        return base64.urlsafe_b64encode(orjson.dumps([*parts, *mark])).decode().rstrip("=")

    @classmethod
    def read(cls, token: str, question: Arguments) -> Self:
        """Return the page of a token.

        Raises
        ------
        BadQuestion
            If it is none, or that of another question.
        """
        parts = _parts(token)
        digest, seq, asked, database, collection = (parts + 5 * [None])[:5]
        values = parts[5:]
        number = len(listing.order_of(question.get("sort", ())))
        if (
            digest != _digest(question)
            or not (type(seq) is int and 0 <= seq < 2**53 and isinstance(asked, bool | str))
            or not (isinstance(database, str) and isinstance(collection, str))
            or len(values) != number
            or not all(isinstance(v, bool | int | float | str | None) for v in values)
        ):
            raise BadQuestion(
                f"after={shown(token)} is no `next` of a page of this question; begin without it"
            )
        return cls(seq, asked, Mark(database, collection, tuple(values)))


def _parts(token: str) -> list[Any]:
    """Return what a token says; nothing if it cannot be read."""
    try:
        text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        parts = requests.parsed_json(text.decode())
    except ValueError:  # all that can go wrong is one
        return []
    return parts if isinstance(parts, list) else []


def _digest(question: Arguments) -> str:
    return hashlib.sha256(orjson.dumps(question, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


async def constant(request: Request, given: Arguments) -> Response:
    """Give one version, whether it holds or has left."""
    service = service_of(request)
    moment = await moment_of(service, given)
    version_id = request.path_params["id"]
    found = await service.read(service.db.version_by_id, version_id, as_of=moment)
    caller_of(request).require_read(found.database)
    return await answers.of_state(service, moment, constant=answers.version(found))


async def lineage(request: Request, given: Arguments) -> Response:
    """Say what a constant was made from, and what was made from it."""
    service, caller = service_of(request), caller_of(request)
    moment = await moment_of(service, given)
    way = given.pop("direction", "both")

    def find() -> cdb.lineage.Relative:
        version_id = request.path_params["id"]
        caller.require_read(service.db.version_by_id(version_id, as_of=moment).database)
        return service.db.lineage(
            version_id,
            up=way in ("up", "both"),
            down=way in ("down", "both"),
            **given,
            may_read=caller.may_read,
            as_of=moment,
        )

    found = await service.work(find)
    return await answers.of_state(service, moment, lineage=found.as_json())


async def history(request: Request, given: Arguments) -> Response:
    """List all versions of a constant, newest first."""
    service = service_of(request)
    moment = await moment_of(service, given)

    def find() -> list[Version]:
        which = (given["detector"], given.get("experiment"), given.get("dbsuffix"))
        caller_of(request).require_read(service.db.shelf(*which, as_of=moment))
        return service.db.history(**given, as_of=moment)

    found = await service.work(find)
    return await answers.of_state(service, moment, constants=[*map(answers.version, found)])


async def explain(request: Request, given: Arguments) -> Response:
    """Say of every candidate why it won or lost."""
    service = service_of(request)
    moment = await moment_of(service, given)

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
