"""psana's dialect: the REST calls of the real psana clients, translated and nothing more."""

from collections.abc import Callable
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from cdb import names, uploads
from cdb.actor import on_behalf_of
from cdb.database import Database
from cdb.errors import NotFound
from cdb.web import psana_rights as rights
from cdb.web.access import Caller, caller_of
from cdb.web.answers import as_json
from cdb.web.payloads import pieces
from cdb.web.psana_queries import (
    MAX_DOCUMENT,
    MAX_QUESTION,
    check_id,
    check_place,
    is_place,
    parse_document,
    parse_path,
    query_of,
)
from cdb.web.requests import body, range_of
from cdb.web.service import service_of

# Where clients of both generations look (`LCLS_CALIB_HTTP` is a base for one, the address itself
# for the other), and what they append to it for their writes.
PREFIXES = ("/calib_ws", "/ws/calib_ws", "/ws-kerb/calib_ws", "/ws-jwt/calib_ws")

METHODS = ["GET", "POST", "PUT", "DELETE"]
MAX_DATA = 2**30  # bytes, as on the LCLS-II server
GRIDFS = ["fs.files", "fs.chunks"]
DONE = {"status": True}


def routes() -> list[BaseRoute]:
    """Return the routes below every prefix."""
    return [Route(f"{prefix}{{path:path}}", answer, methods=METHODS) for prefix in PREFIXES]


async def answer(request: Request) -> Response:
    """Answer a request; the cases are the table of what psana's clients call."""
    path = request.path_params["path"]
    if path and not path.startswith("/"):
        raise NotFound(f"no such address: {request.url.path}")
    method = "GET" if request.method == "HEAD" else request.method
    named = parse_path(method, path)
    if named is None or (named and not named[0].startswith(names.PREFIX)):
        return _not_allowed(method, path)
    if len(named) > 1 and named[1] in GRIDFS and (method != "GET" or len(named) > 2):
        # Payloads have an address of their own; how a store keeps them is nobody's to change.
        return _not_allowed(method, path)
    call = _Call(request)
    match (method, *named):
        case ("GET",):
            return await call.databases()
        case ("GET", database):
            return await call.collections(database)
        case ("GET", database, "test_post_privilege"):
            return call.privilege(database, edit=False)
        case ("GET", database, "test_edit_privilege"):
            return call.privilege(database, edit=True)
        case ("GET", database, "gridfs", blob_id):
            return await call.data(database, blob_id)
        case ("GET", database, collection):
            return await call.documents(database, collection)
        case ("GET", database, collection, document_id):
            return await call.document(database, collection, document_id)
        case ("POST", database, "gridfs"):
            return await call.add_data(database)
        case ("POST", database, collection) if collection != "gridfs":
            return await call.add_document(database, collection)
        case ("PUT" | "POST", database, collection, document_id) if collection != "gridfs":
            return await call.replace(database, collection, document_id)
        case ("DELETE", database, "gridfs", blob_id):
            return await call.delete_data(database, blob_id)
        case ("DELETE", database, collection, document_id):
            return await call.delete(database, collection, document_id)
        case ("DELETE", database, collection) if collection != "gridfs":
            return await call.clear(database, collection)
        case ("DELETE", database):
            return await call.clear(database, None)
        case ("GET", *_):
            raise NotFound(f"no such address: {request.url.path}")
        case _:
            return _not_allowed(method, path)


class _Call:
    """One request, and what it may use."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.service = service_of(request)
        self.caller: Caller = caller_of(request)

    @property
    def db(self) -> Database:
        return self.service.db

    async def write(self, function: Callable[[], Any]) -> Any:
        """Call what writes, in the caller's name."""
        host = self.request.scope["address"]

        def act() -> Any:
            with on_behalf_of(self.caller.name, host=host):
                return function()

        return await self.service.work(act)

    # reading -----------------------------------------------------------------------------------

    async def databases(self) -> Response:
        found = await self.service.work(self.db.copies.tally.databases)
        return as_json([name for name in found if rights.may_read(self.caller, name)])

    async def collections(self, database: str) -> Response:
        rights.require_read(self.caller, database)
        if not is_place(database):
            return as_json([])
        found = await self.service.work(self.db.copies.tally.collections, database)
        return as_json(found + GRIDFS if found else [])

    async def documents(self, database: str, collection: str) -> Response:
        rights.require_read(self.caller, database)
        sent = await body(self.request, 4 * MAX_QUESTION)
        query = query_of(self.request.query_params, sent)
        if collection in GRIDFS or not is_place(database, collection):
            return as_json([])
        return as_json(await self.service.work(self.db.copies.find, database, collection, query))

    async def document(self, database: str, collection: str, document_id: str) -> Response:
        rights.require_read(self.caller, database)
        wanted = check_id(document_id)
        if not is_place(database, collection):
            return as_json(None)
        return as_json(await self.service.work(self.db.copies.get, database, collection, wanted))

    async def data(self, database: str, blob_id: str) -> Response:
        rights.require_read(self.caller, database)
        wanted = check_id(blob_id)
        if not is_place(database):
            raise NotFound(f"no bytes {wanted} in {database}")
        found = await self.service.work(uploads.read, self.db.journal, database, wanted)
        return _bytes(memoryview(found), self.request.headers.get("range"))

    def privilege(self, database: str, *, edit: bool) -> Response:
        rights.require_post(self.caller, database)
        if edit:
            self.caller.require_admin()
        return as_json(DONE)

    # writing -----------------------------------------------------------------------------------

    async def add_data(self, database: str) -> Response:
        rights.require_post(self.caller, database)
        data = await body(self.request, MAX_DATA)
        made = await self.write(lambda: uploads.write(self.db.journal, database, data))
        return as_json({"_id": made})

    async def add_document(self, database: str, collection: str) -> Response:
        rights.require_post(self.caller, database)
        check_place(database, collection)
        given = parse_document(await body(self.request, MAX_DOCUMENT))
        sent = given if isinstance(given, dict) else {}
        rights.require_file(self.caller, database, collection, sent)
        permit = rights.permit_of(self.db.journal, self.caller, database, collection)
        file = partial(self.db.copies.file, database, collection, given, permit=permit)
        return as_json(await self.write(file))

    async def replace(self, database: str, collection: str, document_id: str) -> Response:
        self.caller.require_write(database)
        check_place(database, collection)
        wanted = check_id(document_id)
        given = parse_document(await body(self.request, MAX_DOCUMENT))
        replace = self.db.copies.replace
        return as_json(await self.write(lambda: replace(database, collection, wanted, given)))

    async def delete_data(self, database: str, blob_id: str) -> Response:
        self.caller.require_write(database)
        check_place(database)
        wanted = check_id(blob_id)
        await self.write(lambda: uploads.hide(self.db.journal, database, wanted))
        return as_json(DONE)

    async def delete(self, database: str, collection: str, document_id: str) -> Response:
        self.caller.require_write(database)
        check_place(database, collection)
        wanted = check_id(document_id)
        await self.write(lambda: self.db.copies.delete(database, collection, wanted))
        return as_json(DONE)

    async def clear(self, database: str, collection: str | None) -> Response:
        self.caller.require_admin()
        check_place(database, collection)
        await self.write(lambda: self.db.copies.clear(database, collection))
        return as_json(DONE)


def _not_allowed(method: str, path: str) -> Response:
    message = (
        f"{method} of {path!r:.200} is not possible; databases begin with {names.PREFIX}, and "
        "what is changed or deleted is named without empty names or a final slash"
    )
    return as_json({"error": {"code": "BadQuestion", "message": message}}, status=405)


def _bytes(data: memoryview, asked: str | None) -> Response:
    """Return bytes, or the one range of them that was asked for."""
    headers = {"Accept-Ranges": "bytes", "Cache-Control": "max-age=300"}
    status, (begin, end) = 200, (0, data.nbytes)
    if (part := range_of(asked or "", data.nbytes)) is not None:
        status, (begin, end) = 206, part
        headers["Content-Range"] = f"bytes {begin}-{end - 1}/{data.nbytes}"
    headers["Content-Length"] = str(end - begin)
    return StreamingResponse(pieces(data[begin:end]), status, headers, "application/octet-stream")
