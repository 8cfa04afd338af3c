"""Tags over HTTP: asked for by readers; written by administrators, being the whole store's."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cdb import affected as affected_
from cdb import tags as tags_
from cdb.actor import on_behalf_of
from cdb.errors import BadQuestion, shown
from cdb.names import parse_tag
from cdb.tags import Tag
from cdb.web import answers, requests
from cdb.web.access import Caller, caller_of
from cdb.web.reading import Arguments
from cdb.web.service import service_of

COMMON = ("dry_run", "host", "cwd")
NEW = ("name", "at", "base", "comment", *COMMON)
MOVE = ("state", "reason", *COMMON)
PINS = ("versions", *COMMON)
ADVANCE = ("at", "experiment", "run", "time", *COMMON)


async def every(request: Request, _: Arguments) -> Response:
    """List the tags."""
    service, caller = service_of(request), caller_of(request)
    moment = await service.moment()
    found = await service.work(tags_.current, service.db.journal, moment)
    return await answers.of_state(service, moment, tags=[_seen(tag, caller) for tag in found])


async def one(request: Request, _: Arguments) -> Response:
    """Give one tag, and its revisions."""
    service, caller = service_of(request), caller_of(request)
    moment = await service.moment()
    cited = parse_tag(request.path_params["tag"])
    found = await service.work(tags_.revisions, service.db.journal, moment, cited.name)
    tag = await service.work(tags_.find, service.db.journal, moment, cited)
    return await answers.of_state(
        service,
        moment,
        tag=_seen(tag, caller),
        revisions=[_seen(each, caller) for each in found],
    )


async def affected(request: Request, given: Arguments) -> Response:
    """Say which keys and runs two states answer differently, of what may be read."""
    service, caller = service_of(request), caller_of(request)
    moment = await service.moment()
    hidden: set[str] = set()

    def may_read(database: str) -> bool:
        allowed = caller.may_read(database)
        if not allowed:
            hidden.add(database)
        return allowed

    def compare() -> list[dict[str, Any]]:
        rows = affected_.between(service.db, **given, may_read=may_read)
        return [row.as_json() for row in rows]

    found = await service.work(compare)
    partial = {"partial": True} if hidden else {}
    return await answers.of_state(service, moment, affected=found, **partial)


async def create(request: Request, _: Arguments) -> Response:
    """Give a state a name."""
    given = await _given(request, NEW)
    if "name" not in given:
        raise BadQuestion("name is missing in the body; a tag needs one")
    tags = service_of(request).db.tags
    return await _written(request, given, lambda **how: tags.create(given["name"], **how),
                          ("at", "base", "comment"))  # fmt: skip


async def move(request: Request, _: Arguments) -> Response:
    """Move a tag to another state."""
    given, name = await _given(request, MOVE), request.path_params["tag"]
    tags = service_of(request).db.tags
    state = given.get("state", "")
    return await _written(request, given, lambda **how: tags.move(name, state, **how), ("reason",))


async def pin(request: Request, _: Arguments) -> Response:
    """Pin versions."""
    given, name = await _given(request, PINS), request.path_params["tag"]
    tags, ids = service_of(request).db.tags, _versions(given)
    return await _written(request, given, lambda **how: tags.pin(name, ids, **how), ())


async def unpin(request: Request, _: Arguments) -> Response:
    """Take pins back."""
    given, name = await _given(request, PINS), request.path_params["tag"]
    tags, ids = service_of(request).db.tags, _versions(given)
    return await _written(request, given, lambda **how: tags.unpin(name, ids, **how), ())


async def advance(request: Request, _: Arguments) -> Response:
    """Let another state answer from a run or a time on."""
    given, name = await _given(request, ADVANCE), request.path_params["tag"]
    tags = service_of(request).db.tags
    return await _written(request, given, lambda **how: tags.advance(name, **how),
                          ("at", "experiment", "run", "time"))  # fmt: skip


async def delete(request: Request, _: Arguments) -> Response:
    """Delete an open tag."""
    given, name = await _given(request, COMMON), request.path_params["tag"]
    tags = service_of(request).db.tags
    return await _written(request, given, lambda **how: tags.delete(name, **how), ())


async def _given(request: Request, good: Sequence[str]) -> dict[str, Any]:
    """Return what the body of an administrator's request says."""
    given = {k: v for k, v in (await requests.json_object(request, good)).items() if v is not None}
    for name, value in given.items():
        kinds = _KINDS.get(name, (str,))
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise BadQuestion(f"{name} is {shown(value)}; it must be {_SAID.get(name, 'a text')}")
    return given


_KINDS: Mapping[str, tuple[type, ...]] = {
    "dry_run": (bool,),
    "versions": (list,),
    "at": (int, str),
    "run": (int, str),
    "time": (int, float, str),
}
_SAID = {
    "dry_run": "true or false",
    "versions": "a list of ids",
    "at": "the number of an event, or a time",
    "run": "a run number",
    "time": "a time, or seconds",
}


def _versions(given: Mapping[str, Any]) -> list[str]:
    ids = given.get("versions", [])
    if not ids or not all(isinstance(each, str) for each in ids):
        raise BadQuestion("versions is a list of ids, at least one")
    return list(ids)


async def _written(
    request: Request,
    given: Mapping[str, Any],
    write: Callable[..., Tag],
    names: Sequence[str],
) -> Response:
    """Write what becomes of a tag, as who asks for it."""
    service, caller = service_of(request), caller_of(request)
    host = given.get("host") or request.scope.get("address") or "unknown"
    how = {name: given[name] for name in (*names, "dry_run") if name in given}
    key = requests.idempotency_key(request)

    def written() -> tuple[Tag, int]:
        with on_behalf_of(caller.name, host=host, folder=given.get("cwd") or ""):
            tag = write(**how, key=key)
        return tag, service.db.journal.head().seq

    tag, seq = await service.work(written)
    return await answers.of_state(service, seq, tag=tag.as_json())


def _seen(tag: Tag, caller: Caller) -> dict[str, Any]:
    """Return a tag; pins in databases that the caller may not read are left out."""
    said = tag.as_json()
    pins = [pin for pin in said["pins"] if caller.may_read(pin["database"])]
    return said | {"pins": pins, **({"partial": True} if len(pins) < len(said["pins"]) else {})}
