"""Endpoints of our API: what each takes and gives, in one record that serves and documents it."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from cdb.errors import CalibError
from cdb.web import requests
from cdb.web.access import Caller, caller_of
from cdb.web.requests import Parameter, Schema

Handler = Callable[[Request, dict[str, Any]], Awaitable[Response]]


@dataclass(frozen=True)
class Body:
    """What the body of a request is.

    Attributes
    ----------
    schema : dict
        Of JSON Schema.
    example : object
        For the documentation.
    type : str
        Media type.
    """

    schema: Schema
    example: Any = None
    type: str = "application/json"


@dataclass(frozen=True)
class Endpoint:
    """An endpoint.

    Attributes
    ----------
    method, path : str
        As in ``GET /v1/info``.
    handler : callable
        From the request and its parameters to the answer.
    summary : str
        What it is for.
    answer : object
        An example of what it answers.
    parameters : sequence of Parameter
        In the address, after the question mark.
    body : Body, optional
        What is sent.
    headers : sequence of Parameter
        That mean something here.
    answer_type : str
        Media type of the answer.
    errors : sequence of int
        Statuses beside those that every endpoint has.
    known : callable, optional
        Returns the body of the answer to a request if it can be given at once, as JSON.
    needs : callable or None
        Refuses whoever has no right that could suffice, before anything is looked at: by what
        they are refused with, they would learn what there is.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    answer: Any = None
    parameters: Sequence[Parameter] = ()
    body: Body | None = None
    headers: Sequence[Parameter] = ()
    answer_type: str = "application/json"
    errors: Sequence[int] = field(default=(400, 401, 403, 404))
    known: Callable[[Scope], bytes | None] | None = None
    needs: Callable[[Caller], None] | None = Caller.require_reader

    def route(self) -> Route:
        """Return the route that serves it."""

        async def endpoint(request: Request) -> Response:
            if self.needs is not None:
                self.needs(caller_of(request))
            found = requests.arguments(self.parameters, request.scope["query_string"])
            return await self.handler(request, found)

        return Route(self.path, endpoint, methods=[self.method], name=self.summary)


class KnownMiddleware:
    """Answers at once what is known, where what else lies between would take most of the time.

    Parameters
    ----------
    app : callable
        What answers the rest.
    endpoints : sequence of Endpoint
        Those of them with `known` are looked at.
    """

    def __init__(self, app: ASGIApp, endpoints: Sequence[Endpoint]) -> None:
        self.app = app
        self._known = {e.path: (e.route(), e.known) for e in endpoints if e.known is not None}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on."""
        found = self._known.get(scope["path"]) if scope["type"] == "http" else None
        body = None
        if found is not None and scope["method"] == "GET":
            with suppress(CalibError):  # the endpoint meets it too, where it becomes an answer
                body = found[1](scope)
        if found is None or body is None:
            await self.app(scope, receive, send)
            return
        scope["route"] = found[0]
        headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
