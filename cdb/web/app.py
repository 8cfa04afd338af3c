"""The application: its routes, and the order in which a request passes through them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from cdb.database import Database
from cdb.errors import CalibError, shown
from cdb.opening import store_at
from cdb.web import answers, psana, v1
from cdb.web.access import AccessMiddleware, WriteGate
from cdb.web.endpoints import KnownMiddleware
from cdb.web.headers import SECURITY, HeadersMiddleware, cross_origin
from cdb.web.limits import BodyMiddleware, RateLimit, RateMiddleware
from cdb.web.logs import LogsMiddleware
from cdb.web.metrics import MetricsMiddleware
from cdb.web.resolving import Resolved
from cdb.web.service import Service, service_of
from cdb.web.settings import Settings
from cdb.web.stopping import FeedMiddleware, Stopping


def make_app(
    settings: Settings,
    *,
    make_database: Callable[[], Database] | None = None,
    rate_limit: RateLimit | None = None,
    stopping: Stopping | None = None,
) -> Starlette:
    """Return the application.

    Parameters
    ----------
    settings : Settings
        How it is to run.
    make_database : callable, optional
        What opens the database; from ``settings.url`` without it. Called once a worker, when it
        starts.
    rate_limit : RateLimit, optional
        How often each may ask, counted with other workers; counted alone without it.
    stopping : Stopping, optional
        Says that the worker is about to stop.
    """
    if rate_limit is None and settings.rate_limit:
        rate_limit = RateLimit(settings.rate_limit, settings.rate_burst)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        db = (
            make_database()
            if make_database
            else Database(store_at(settings.url), gates=settings.gates)
        )
        app.state.service = Service(db, settings)
        app.state.resolved = Resolved(app.state.service)
        try:
            yield
        finally:
            if not make_database:
                db.close()

    app = Starlette(
        # Those that are asked most come first: each is tried in turn.
        routes=[*v1.routes(), *psana.routes()],
        exception_handlers={
            CalibError: _failed,  # type: ignore[dict-item]
            HTTPException: _refused,  # type: ignore[dict-item]
            Exception: _broken,
        },
        # A request passes from the first to the last.
        middleware=[
            Middleware(MetricsMiddleware),
            Middleware(LogsMiddleware, settings),
            Middleware(HeadersMiddleware, settings),
            Middleware(cross_origin, settings),
            # Who asks is found out first, so that whatever is refused has a name in the log.
            Middleware(AccessMiddleware, settings),
            Middleware(BodyMiddleware, settings),
            Middleware(RateMiddleware, rate_limit),
            Middleware(KnownMiddleware, v1.ENDPOINTS),
            Middleware(WriteGate, settings),
            Middleware(FeedMiddleware, stopping or Stopping()),
        ],
        lifespan=lifespan,
    )
    # A slash too many is no address: who is sent elsewhere would send his token there, too.
    app.router.redirect_slashes = False
    return app


async def _failed(request: Request, error: CalibError) -> Response:
    return await answers.failure_of_state(service_of(request), error)


async def _refused(request: Request, error: HTTPException) -> Response:
    """Answer what no route takes."""
    path = shown(request.url.path)
    if error.status_code == 405:
        good = (error.headers or {}).get("Allow", "another")
        message = f"{request.method} is not for {path}; good: {good}"
    else:
        message = f"there is no {path} here; /openapi.json has what there is"
    code = "NotFound" if error.status_code == 404 else "BadQuestion"
    return answers.as_json(
        {"error": {"code": code, "message": message}},
        status=error.status_code,
        headers=dict(error.headers or {}),
    )


async def _broken(request: Request, error: Exception) -> Response:
    """Answer a fault of ours, of which the log has more."""
    message = "a fault of the service, not of the request; its log says more: tell its operator"
    answer = answers.failure(CalibError(message), status=500)
    # It is made outside of all middleware.
    answer.raw_headers.extend(SECURITY)
    return answer
