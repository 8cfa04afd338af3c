"""Payloads over HTTP: immutable bytes by their digest, in ranges if asked; and sent before."""

import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from mmap import ACCESS_READ, mmap
from tempfile import SpooledTemporaryFile

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from cdb import names
from cdb.drafts import is_id
from cdb.errors import BadPayload, NotFound, shown
from cdb.stores.base import Blob
from cdb.web import answers, requests
from cdb.web.access import Caller, caller_of
from cdb.web.headers import accelerated
from cdb.web.reading import Arguments
from cdb.web.service import service_of

PIECE = 2**20
# What is received beyond this is written to a temporary file [bytes].
IN_MEMORY = 8 * 2**20

_DIGEST = re.compile("[0-9a-f]{64}")
_KNOWING = {"if-none-match", "range"}
_TYPE = {"Content-Type": "application/octet-stream"}


async def get(request: Request, _: Arguments) -> Response:
    """Give the bytes of a payload, whole or a range of them."""
    service, caller = service_of(request), caller_of(request)
    database, name = request.path_params["database"], request.path_params["sha256"]
    names.check_database(database)
    caller.require_read(database)
    elsewhere: dict[str, str] = {}
    if _DIGEST.fullmatch(name):
        if request.method == "HEAD" or _KNOWING & {*request.headers}:
            blob = await service.work(service.db.stored, database, name)
            if (
                blob is not None
                and (light := await _light(request, caller, blob, name)) is not None
            ):
                return light
        data = await service.work(service.db.payload, database, name)
        elsewhere = accelerated(service.settings, service.db.store, name)
    elif is_id(name):
        data = await service.work(service.db.foreign_payload, database, name)
    else:
        raise NotFound(f"{shown(name)} names no payload; give its sha256, 64 hexadecimal digits")
    return answer(request, caller, memoryview(data), name, elsewhere)


async def _light(request: Request, caller: Caller, blob: Blob, name: str) -> Response | None:
    """Return an answer for which not all bytes need be read; None if all are asked for."""
    headers, store = _headers(caller, name), service_of(request).db.store
    if _is_known(request, name):
        return Response(status_code=304, headers=headers)
    if request.method == "HEAD":
        return Response(headers=headers | {"Content-Length": str(blob.nbytes)} | _TYPE)
    asked = _asked(request, name, blob.nbytes)
    # Here a file is mapped and verified; on another machine it would all have to come.
    if asked is None or store.local:
        return None
    database = request.path_params["database"]
    data = await service_of(request).work(store.part, database, blob.id, *asked)
    return _part(headers, memoryview(data), asked, blob.nbytes)


def answer(
    request: Request,
    caller: Caller,
    data: memoryview,
    name: str,
    elsewhere: Mapping[str, str] | None = None,
) -> Response:
    """Return bytes, a range of them, that they are known already, or where a proxy finds them."""
    headers = _headers(caller, name)
    if _is_known(request, name):
        return Response(status_code=304, headers=headers)
    if elsewhere:
        # The proxy cuts out the range that was asked for, and says how long it is.
        return Response(headers=headers | _TYPE | {**elsewhere})
    if request.method == "HEAD":
        return Response(headers=headers | _TYPE | {"Content-Length": str(data.nbytes)})
    asked = _asked(request, name, data.nbytes)
    if asked is not None:
        return _part(headers, data[slice(*asked)], asked, data.nbytes)
    return _sent(data, 200, headers)


def _headers(caller: Caller, name: str) -> dict[str, str]:
    return {
        "ETag": f'"{name}"',
        "Accept-Ranges": "bytes",
        "Vary": "Authorization",
        "Cache-Control": f"{'private' if caller.name else 'public'}, max-age=31536000, immutable",
    }


def _is_known(request: Request, name: str) -> bool:
    known = request.headers.get("if-none-match", "")
    tags = [tag.strip().removeprefix("W/") for tag in known.split(",")]
    return known == "*" or f'"{name}"' in tags


def _asked(request: Request, name: str, nbytes: int) -> tuple[int, int] | None:
    """Return the range that is asked for, None if all is."""
    if request.headers.get("if-range", f'"{name}"') != f'"{name}"':
        return None
    return requests.range_of(request.headers.get("range", ""), nbytes)


def _part(
    headers: dict[str, str], data: memoryview, asked: tuple[int, int], nbytes: int
) -> Response:
    start, stop = asked
    return _sent(data, 206, headers | {"Content-Range": f"bytes {start}-{stop - 1}/{nbytes}"})


def _sent(data: memoryview, status: int, headers: dict[str, str]) -> Response:
    headers = headers | _TYPE | {"Content-Length": str(data.nbytes)}
    if data.nbytes <= PIECE:
        return Response(bytes(data), status, headers)
    return StreamingResponse(pieces(data), status, headers)


async def pieces(data: memoryview) -> AsyncIterator[memoryview]:
    """Yield bytes as they are sent: piece by piece."""
    # Not copied. Pages of a mapped file are in memory as a rule: they were verified there.
    for start in range(0, data.nbytes, PIECE):
        yield data[start : start + PIECE]


async def put(request: Request, _: Arguments) -> Response:
    """Take the bytes of a payload, for a deployment that comes later."""
    service, caller = service_of(request), caller_of(request)
    database, sha256 = request.path_params["database"], request.path_params["sha256"]
    names.check_database(database)
    caller.require_write(database)
    if not _DIGEST.fullmatch(sha256):
        raise BadPayload(f"{shown(sha256)} is no digest; PUT to .../payloads/ and its sha256")
    with SpooledTemporaryFile(IN_MEMORY) as file, ExitStack() as stack:
        found = await _received(request, service.settings.body_limit, file)
        data = _content(file, stack)
        if found != sha256:
            raise BadPayload(
                f"the bytes have the digest {found}, not {sha256}: they were damaged on their "
                "way, or it is another payload; send them again"
            )
        await service.work(service.db.upload, database, data, sha256=sha256)
        nbytes = data.nbytes
    return await answers.of_state(
        service, await service.moment(), database=database, sha256=sha256, nbytes=nbytes
    )


async def _received(request: Request, limit: int, file: SpooledTemporaryFile[bytes]) -> str:
    """Write the body of a request to a file; return its digest."""
    digest, pending = hashlib.sha256(), bytearray()

    def take(piece: bytes) -> None:
        digest.update(piece)
        file.write(piece)

    async for piece in requests.received(request, limit):
        pending += piece
        if len(pending) >= PIECE:
            await to_thread.run_sync(take, bytes(pending))
            pending.clear()
    take(bytes(pending))
    return digest.hexdigest()


def _content(file: SpooledTemporaryFile[bytes], stack: ExitStack) -> memoryview:
    """Return what was written to a file; mapped if it is large."""
    length = file.tell()
    if length <= IN_MEMORY:
        file.seek(0)
        return memoryview(file.read())
    file.flush()
    mapped = memoryview(mmap(file.fileno(), 0, access=ACCESS_READ))
    stack.callback(mapped.release)
    return mapped
