"""Writes over HTTP: deployments, retirements, what mends them; each one event."""

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from cdb import deployments, enrolment, names, payload
from cdb.actor import on_behalf_of
from cdb.constant import AMENDABLE, Version
from cdb.errors import BadPayload, BadQuestion, TooLarge, shown
from cdb.web import answers, requests
from cdb.web.access import caller_of
from cdb.web.reading import INLINE, Arguments
from cdb.web.service import service_of

T = TypeVar("T")

# The arguments of `Database.add`: those of its own, and the further fields of the document.
OWN = (
    "detector", "ctype", "experiment", "dbsuffix", "run", "run_end", "time", "again", "dry_run",
    "retired", "recorded",
)  # fmt: skip
FURTHER = (
    "version", "comment", "detname", "longname", "dettype", "dtype", "run_orig", "tstamp_orig",
    "iofname", "extpars", "unit", "conditions", "valid_from", "valid_until", "source",
)  # fmt: skip
PLACE = ("host", "cwd")
CHANGES = ("run", "run_end", "time", *AMENDABLE)
PAYLOAD = ("fields", "sha256", "nbytes", "base64")


async def add(request: Request, _: Arguments) -> Response:
    """Add a constant: one deployment, one event."""
    given = await requests.json_object(request, ("payload", *OWN, *FURTHER, *PLACE))
    for name in ("detector", "ctype", "payload"):
        if name not in given:
            raise BadQuestion(f"{name} is missing in the body; a deployment needs it")
    _check_kinds(given)
    key = requests.idempotency_key(request)
    service, caller = service_of(request), caller_of(request)

    def deploy() -> Version:
        encoded = encoded_payload(given["payload"])
        own = {name: given[name] for name in OWN if given.get(name) is not None}
        fields = {name: given[name] for name in FURTHER if given.get(name) is not None}
        fields["extpars"] = {"command": "POST /v1/constants", **_table(fields.get("extpars"))}
        return service.db.deploy(
            encoded,
            **own,
            fields=fields,
            key=key,
            permit=lambda databases: caller.require_deploy(*databases),
            may_read=caller.may_read,
        )

    return await _written(request, deploy, given, created=not given.get("dry_run"))


async def retire(request: Request, _: Arguments) -> Response:
    """Take a version out of look-ups."""
    given = await _reasoned(request, ())
    db, key = service_of(request).db, requests.idempotency_key(request)
    version_id = request.path_params["id"]
    return await _changed(
        request,
        lambda: db.retire(version_id, reason=given["reason"], dry_run=_dry(given), key=key),
        given,
    )


async def retire_all(request: Request, _: Arguments) -> Response:
    """Take several versions out of look-ups, in one event."""
    given = await requests.json_object(request, ("ids", "reason", "dry_run", *PLACE))
    ids = given.get("ids")
    if not (isinstance(ids, list) and ids and all(isinstance(each, str) for each in ids)):
        raise BadQuestion(f"ids is {shown(ids)}; it must be a list of ids of versions")
    _check_reasoned(given)
    service, caller = service_of(request), caller_of(request)
    key = requests.idempotency_key(request)

    def retired() -> list[Version]:
        # Each is judged by its own copies: the right to one lends none to another.
        for fate in deployments.fates_of(service.db.journal, ids).values():
            caller.require_deploy(*(made["database"] for made in fate.copies))
        return service.db.retire_all(ids, reason=given["reason"], dry_run=_dry(given), key=key)

    found, seq = await _in_the_name(request, retired, given)
    return await answers.of_state(service, seq, constants=[*map(answers.version, found)])


async def register(request: Request, _: Arguments) -> Response:
    """Give a detector a short name, ahead of its first constant."""
    given = await requests.json_object(request, ("detector", "dry_run", *PLACE))
    detector = given.get("detector")
    if not isinstance(detector, str):
        raise BadQuestion(f"detector is {shown(detector)}; give its long name")
    _check_kinds(given)
    detector = names.check_detector(detector)
    service = service_of(request)
    made, seq = await _in_the_name(
        request,
        lambda: enrolment.enrol(service.db.journal, detector, dry_run=_dry(given)),
        given,
    )
    status = 201 if made.new and not _dry(given) else 200
    return await answers.of_state(
        service, seq, status_code=status, detector=made.short, new=made.new
    )


async def restore(request: Request, _: Arguments) -> Response:
    """Bring a retired version back."""
    given = await _reasoned(request, ())
    db, key = service_of(request).db, requests.idempotency_key(request)
    version_id = request.path_params["id"]
    return await _changed(
        request,
        lambda: db.restore(version_id, reason=given["reason"], dry_run=_dry(given), key=key),
        given,
    )


async def approve(request: Request, _: Arguments) -> Response:
    """Let a version out of quarantine: who may deploy it may."""
    given = await _reasoned(request, ())
    db, key = service_of(request).db, requests.idempotency_key(request)
    version_id = request.path_params["id"]
    return await _changed(
        request,
        lambda: db.approve(version_id, reason=given["reason"], dry_run=_dry(given), key=key),
        given,
    )


async def amend(request: Request, _: Arguments) -> Response:
    """Change the metadata of a version."""
    given = await _reasoned(request, CHANGES)
    db, key = service_of(request).db, requests.idempotency_key(request)
    version_id = request.path_params["id"]
    changes = {name: given[name] for name in CHANGES if given.get(name) is not None}
    return await _changed(
        request,
        lambda: db.amend(
            version_id, **changes, reason=given["reason"], dry_run=_dry(given), key=key
        ),
        given,
    )


def encoded_payload(given: object) -> payload.Encoded:
    """Return the payload that a body describes.

    Raises
    ------
    BadPayload
        If it makes no sense.
    TooLarge
        If too many bytes stand in the body itself.
    """
    if not isinstance(given, dict) or not isinstance(given.get("fields"), dict):
        raise BadPayload(
            "payload is an object with fields, sha256, nbytes and, for at most "
            f"{INLINE} bytes, base64; `cdb.payload.encode` makes the fields"
        )
    for name in given:
        if name not in PAYLOAD:
            raise BadPayload(f"unknown name {shown(name)} in payload; good: {', '.join(PAYLOAD)}")
    text = given.get("base64")
    data = None
    if text is not None:
        if not isinstance(text, str):
            raise BadPayload(f"base64 is {shown(text)}; it must be a text")
        if len(text) > 4 * (INLINE // 3 + 2):
            raise TooLarge(
                f"the payload is longer than {INLINE} bytes; send it by "
                "PUT /v1/databases/{database}/payloads/{sha256} first"
            )
        try:
            data = base64.b64decode(text, validate=True)
        except (ValueError, binascii.Error) as error:
            raise BadPayload(f"base64 cannot be read: {error}; send it again") from None
    return payload.encoded(given["fields"], given.get("sha256"), given.get("nbytes"), data)


async def _reasoned(request: Request, more: tuple[str, ...]) -> dict[str, Any]:
    given = await requests.json_object(request, ("reason", *more, "dry_run", *PLACE))
    _check_reasoned(given)
    return given


def _check_reasoned(given: dict[str, Any]) -> None:
    given.setdefault("reason", "")
    if not isinstance(given["reason"], str):
        raise BadQuestion(f"reason is {shown(given['reason'])}; it must be a text")
    _check_kinds(given)


def _check_kinds(given: Mapping[str, Any]) -> None:
    for name in ("again", "dry_run", "recorded"):
        if not isinstance(given.get(name, False), bool):
            raise BadQuestion(f"{name} is {shown(given[name])}; it must be true or false")
    for name in ("run", "run_end"):
        if isinstance(given.get(name), list | dict | float | bool):
            raise BadQuestion(f"{name} is {shown(given[name])}; it must be a run number")
    if isinstance(given.get("time"), list | dict | bool):
        raise BadQuestion(f"time is {shown(given['time'])}; it must be a text or seconds")
    for name in (*PLACE, "retired"):
        text = given.get(name, "")
        if not isinstance(text, str) or len(text) > 1000:
            raise BadQuestion(f"{name} is {shown(text)}; it must be a text")


def _dry(given: Mapping[str, Any]) -> bool:
    return given.get("dry_run") is True


def _table(value: object) -> Mapping[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise BadQuestion(f"extpars is {shown(value)}; it must be an object")
    return value or {}


async def _changed(
    request: Request, change: Callable[[], Version], given: Mapping[str, Any]
) -> Response:
    """Write what touches a version, if its copies may be written."""
    db, caller = service_of(request).db, caller_of(request)

    def permitted() -> Version:
        caller.require_deploy(*db.filed(request.path_params["id"]))
        return change()

    return await _written(request, permitted, given)


async def _written(
    request: Request,
    write: Callable[[], Version],
    given: Mapping[str, Any],
    *,
    created: bool = False,
) -> Response:
    service = service_of(request)
    version, seq = await _in_the_name(request, write, given)
    return await answers.of_state(
        service,
        seq,
        status_code=201 if created and version.new else 200,
        constant=answers.version(version),
        new=version.new,
    )


async def _in_the_name(
    request: Request, write: Callable[[], T], given: Mapping[str, Any]
) -> tuple[T, int]:
    """Write in the name of who asks; return what was written, and S."""
    service, caller = service_of(request), caller_of(request)
    host = given.get("host") or request.scope.get("address") or "unknown"

    def written() -> tuple[T, int]:
        with on_behalf_of(caller.name, host=host, folder=given.get("cwd") or ""):
            made = write()
        return made, service.db.journal.head().seq

    return await service.work(written)
