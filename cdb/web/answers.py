"""Answers: JSON, and what becomes of errors, for every dialect in one place."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson
from starlette.responses import Response

from cdb import errors
from cdb.constant import Version
from cdb.errors import CalibError
from cdb.moments import Moment
from cdb.web.service import LOOKED_AT, Service

# The first class that an error belongs to decides.
STATUS: tuple[tuple[type[CalibError], int], ...] = (
    (errors.NotAuthenticated, 401),
    (errors.NotAllowed, 403),
    (errors.NotFound, 404),
    (errors.NotBundled, 404),
    (errors.Purged, 410),
    (errors.WrongState, 409),
    (errors.WrongServer, 409),
    (errors.Duplicate, 409),
    (errors.TooSlow, 408),
    (errors.BadRange, 416),
    (errors.TooLarge, 413),
    (errors.TooOften, 429),
    (errors.BadDocument, 422),
    (errors.BadPayload, 422),
    (errors.Refused, 422),
    (errors.Corrupt, 500),
    (errors.WrongClock, 500),
    (errors.StoreUnavailable, 502),
    (errors.StoreFull, 507),
    (errors.StoreRefused, 500),
    (errors.CalibError, 400),
)


def status_of(error: CalibError) -> int:
    """Return the HTTP status that says what kind of trouble an error is."""
    return next(status for kind, status in STATUS if isinstance(error, kind))


def as_json(value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON answer; what UTF-8 has no bytes for, of JSON that was stored, is escaped."""
    try:
        body = orjson.dumps(value)
    except TypeError:
        body = json.dumps(value, allow_nan=False).encode("ascii")
    return Response(body, status, headers, "application/json")


def version(found: Version) -> dict[str, Any]:
    """Return a version as JSON: what the command line prints, and where it is filed."""
    return {**found.as_json(), "database": found.database, "collection": found.collection}


def of_moment(moment: Moment) -> dict[str, Any]:
    """Return what an answer says of its state besides S."""
    found: dict[str, Any] = {"provisional": True} if moment.provisional else {}
    if moment.tag is not None:
        found["tag"] = {"name": moment.tag.name, "id": moment.tag.id}
    return found


async def of_state(
    service: Service, moment: Moment | int, *, status_code: int = 200, **values: Any
) -> Response:
    """Return an answer that depends on the state of the database: with S and whose it is."""
    seq = moment if isinstance(moment, int) else moment.seq
    more = {} if isinstance(moment, int) else of_moment(moment)
    return as_json(
        {"server": await service.identity(), "seq": seq, **more, **values}, status=status_code
    )


async def failure_of_state(service: Service, error: CalibError) -> Response:
    """Return the answer that a request's error becomes; with S and whose it is if it rests on them.

    What the store does not have, or does not permit as things are, it may have or permit as of
    another event.
    """
    seq, state = LOOKED_AT.get(), {}
    if seq is not None and status_of(error) in (404, 409, 410):
        with suppress(CalibError):  # the first error is the one to tell
            state = {"server": await service.identity(), "seq": seq}
    return failure(error, state)


def failure(
    error: CalibError, state: Mapping[str, Any] | None = None, *, status: int | None = None
) -> Response:
    """Return the answer that an error becomes: what was wrong, and what to do."""
    status = status or status_of(error)
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    if isinstance(error, errors.TooOften):
        headers = {"Retry-After": str(error.seconds)}
    if isinstance(error, errors.BadRange):
        headers = {"Content-Range": f"bytes */{error.nbytes}"}
    return as_json(
        {"error": {"code": type(error).__name__, "message": str(error)}, **(state or {})},
        status=status,
        headers=headers,
    )
