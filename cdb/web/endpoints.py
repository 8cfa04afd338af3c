"""Endpoints of our API: what each takes and gives, in one record that serves and documents it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

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
        Returns the answer to a request if it is known already, before anything is parsed.
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
    known: Callable[[Request], Response | None] | None = None
    needs: Callable[[Caller], None] | None = Caller.require_reader

    def route(self) -> Route:
        """Return the route that serves it."""
        known = self.known

        async def endpoint(request: Request) -> Response:
            answer = None if known is None else known(request)
            if answer is not None:
                return answer
            if self.needs is not None:
                self.needs(caller_of(request))
            found = requests.arguments(self.parameters, request.scope["query_string"])
            return await self.handler(request, found)

        return Route(self.path, endpoint, methods=[self.method], name=self.summary)
