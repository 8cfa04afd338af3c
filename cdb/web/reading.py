"""Questions over HTTP: what there is, which version holds, why."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import orjson
from starlette.requests import Request
from starlette.responses import Response

import cdb
from cdb import listing, names
from cdb.constant import Version
from cdb.errors import BadQuestion, NotFound, shown
from cdb.listing import Mark
from cdb.moments import Moment
from cdb.reading import Holding
from cdb.validity import from_microseconds
from cdb.web import answers, requests
from cdb.web.access import Caller, caller_of
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


async def _moment(service: Service, given: Arguments) -> Moment:
    """Return the state that is asked for, by an event, a time or a tag; now without any."""
    asked = {name: given[name] for name in ("experiment", "run", "time") if name in given}
    return await service.moment(given.pop("as_of", None), given.pop("tag", None), **asked)


async def databases(request: Request, given: Arguments) -> Response:
    """List the databases that may be read."""
    service, caller = service_of(request), caller_of(request)
    if given:
        moment = await _moment(service, given)
        found = await service.work(service.db.databases, may_read=caller.may_read, as_of=moment)
    else:
        # Counted once, then told by the journal.
        moment, counts = await service.work(service.db.copies.tally.present)
        found = listing.by_database(counts, caller.may_read)
    return await answers.of_state(service, moment, databases=found)


async def detectors(request: Request, given: Arguments) -> Response:
    """List the detectors whose database may be read."""
    service, caller = service_of(request), caller_of(request)
    moment = await _moment(service, given)
    known = await service.work(service.db.detectors, as_of=moment)
    found = [d for d in known if caller.may_read(names.detector_database(d["detector"]))]
    return await answers.of_state(service, moment, detectors=found)


async def experiments(request: Request, given: Arguments) -> Response:
    """List the experiments whose database may be read."""
    service, caller = service_of(request), caller_of(request)
    moment = await _moment(service, given)
    known = await service.work(service.db.experiments, as_of=moment)
    found = [e for e in known if caller.may_read(names.PREFIX + e["experiment"])]
    return await answers.of_state(service, moment, experiments=found)


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
    moment = await _moment(service, given | state)
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
    moment = await _moment(service, given)
    version_id = request.path_params["id"]
    found = await service.read(service.db.version_by_id, version_id, as_of=moment)
    caller_of(request).require_read(found.database)
    return await answers.of_state(service, moment, constant=answers.version(found))


async def history(request: Request, given: Arguments) -> Response:
    """List all versions of a constant, newest first."""
    service = service_of(request)
    moment = await _moment(service, given)

    def find() -> list[Version]:
        which = (given["detector"], given.get("experiment"), given.get("dbsuffix"))
        caller_of(request).require_read(service.db.shelf(*which, as_of=moment))
        return service.db.history(**given, as_of=moment)

    found = await service.work(find)
    return await answers.of_state(service, moment, constants=[*map(answers.version, found)])


async def explain(request: Request, given: Arguments) -> Response:
    """Say of every candidate why it won or lost."""
    service = service_of(request)
    moment = await _moment(service, given)

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


async def resolve(request: Request, given: Arguments) -> Response:
    """Say which version holds of each type of a detector."""
    service, caller = service_of(request), caller_of(request)
    kept, stamp = service.resolved, service.resolved.stamp()
    asked = given.get("as_of")
    moment = await _moment(service, given)
    by_the_clock = moment.provisional or _is_now(asked) or _is_now(given.get("time"))
    searched, body = await service.read(_resolved, service, caller, given, moment)
    if not by_the_clock:
        kept.put(request.scope["query_string"], (searched, body), stamp)
    return Response(body, media_type="application/json")


def _is_now(time: object) -> bool:
    """Return whether a time is another one whenever it is read."""
    return isinstance(time, str) and "now" in time.lower()


def resolved_before(request: Request) -> Response | None:
    """Return the answer to a question that was asked before, if nothing was written since."""
    known = service_of(request).resolved.get(request.scope["query_string"])
    if known is None:
        return None
    searched, body = known
    caller_of(request).require_read(*searched)
    return Response(body, media_type="application/json")


def _resolved(
    service: Service, caller: Caller, given: Arguments, moment: Moment
) -> tuple[list[str], bytes]:
    wanted: Sequence[str] = given.pop("ctype", ())
    fields = given.pop("fields", None)
    for ctype in wanted:
        names.check_ctype(ctype)
    searched = _searched(service, given, moment)
    caller.require_read(*searched)
    when = {name: value for name, value in given.items() if name != "detector"}
    holding = service.db.holding(given["detector"], **when, as_of=moment)
    winners = {c: w for c, w in holding.winners.items() if not wanted or c in wanted}
    missing = {c: _why_missing(service, c, given, moment) for c in wanted if c not in winners}
    asked = (moment.seq, moment.asked, moment.provisional, moment.tag, *searched,
             *winners.values(), "fields", *(fields or ()), "missing", *missing.items())  # fmt: skip
    stamp = service.holding.stamp()
    body = service.holding.get(asked)
    if body is None:
        body = _described(service, replace(holding, winners=winners), searched, fields, missing)
        service.holding.put(asked, body, stamp)
    return searched, body


def _why_missing(service: Service, ctype: str, given: Arguments, moment: Moment) -> str:
    """Return the sentence with which `Database.get` says that there is no such constant."""
    try:
        service.db.version(ctype=ctype, **given, as_of=moment)
    except NotFound as error:
        return str(error)
    return f"no {ctype} of {given['detector']}"


def _described(
    service: Service,
    holding: Holding,
    searched: Sequence[str],
    fields: Sequence[str] | None,
    missing: Mapping[str, str],
) -> bytes:
    """Return the answer that the versions which hold make."""
    moment = holding.moment
    versions = service.db.versions(holding)
    found = {ctype: answers.version(versions[ctype]) for ctype in sorted(versions)}
    warnings = []
    if moment.asked and any(version["seq"] is None for version in found.values()):
        warnings.append("documents that no event names took part: run `cdb adopt`")
    if fields is not None:
        found = {
            ctype: {name: version[name] for name in ("id", *fields) if name in version}
            for ctype, version in found.items()
        }
    more = answers.of_moment(moment)
    return orjson.dumps(
        {
            "server": service.db.journal.identity(),
            "seq": moment.seq,
            **more,
            "detector": holding.detector,
            "searched": searched,
            "constants": found,
            "missing": missing,
            "warnings": warnings,
        }
    )


def _searched(service: Service, given: Arguments, moment: Moment) -> list[str]:
    which = {name: given[name] for name in ("experiment", "dbsuffix", "rule") if name in given}
    return service.db.searched(given["detector"], **which, as_of=moment)
