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
from cdb.errors import BadPayload, NotFound, shown
from cdb.web import answers, requests
from cdb.web.access import Caller, caller_of
from cdb.web.headers import accelerated
from cdb.web.reading import Arguments
from cdb.web.service import service_of

PIECE = 2**20
# What is received beyond this is written to a temporary file [bytes].
IN_MEMORY = 8 * 2**20

_DIGEST = re.compile("[0-9a-f]{64}")
_ID = re.compile("[0-9a-f]{24}")


async def get(request: Request, _: Arguments) -> Response:
    """Give the bytes of a payload, whole or a range of them."""
    service, caller = service_of(request), caller_of(request)
    database, name = request.path_params["database"], request.path_params["sha256"]
    names.check_database(database)
    caller.require_read(database)
    elsewhere: dict[str, str] = {}
    if _DIGEST.fullmatch(name):
        data = await service.work(service.db.payload, database, name)
        elsewhere = accelerated(service.settings, service.db.store, name)
    elif _ID.fullmatch(name):
        data = await service.work(service.db.foreign_payload, database, name)
    else:
        raise NotFound(f"{shown(name)} names no payload; give its sha256, 64 hexadecimal digits")
    return answer(request, caller, memoryview(data), name, elsewhere)


def answer(
    request: Request,
    caller: Caller,
    data: memoryview,
    name: str,
    elsewhere: Mapping[str, str] | None = None,
) -> Response:
    """Return bytes, a range of them, that they are known already, or where a proxy finds them."""
    etag = f'"{name}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Vary": "Authorization",
        "Cache-Control": f"{'private' if caller.name else 'public'}, max-age=31536000, immutable",
    }
    known = request.headers.get("if-none-match", "")
    if known == "*" or etag in [tag.strip().removeprefix("W/") for tag in known.split(",")]:
        return Response(status_code=304, headers=headers)
    if elsewhere:
        # The proxy cuts out the range that was asked for, and says how long it is.
        headers["Content-Type"] = "application/octet-stream"
        return Response(headers=headers | {**elsewhere})
    status, start, stop = 200, 0, data.nbytes
    if request.method == "GET" and request.headers.get("if-range", etag) == etag:
        asked = requests.range_of(request.headers.get("range", ""), data.nbytes)
        if asked is not None:
            status, (start, stop) = 206, asked
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{data.nbytes}"
    headers["Content-Length"] = str(stop - start)
    headers["Content-Type"] = "application/octet-stream"
    if request.method == "HEAD" or stop - start <= PIECE:
        content = b"" if request.method == "HEAD" else bytes(data[start:stop])
        return Response(content, status, headers)
    return StreamingResponse(pieces(data[start:stop]), status, headers)


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
