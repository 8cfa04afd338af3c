"""What the requests of a worker share: the database, and how it is asked."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ParamSpec, TypeVar

from anyio import to_thread
from starlette.requests import Request

from cdb.database import Database
from cdb.web.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Service:
    """A database on the network.

    Attributes
    ----------
    db : Database
        Of this worker.
    settings : Settings
        As the operator wants it.
    """

    db: Database
    settings: Settings

    async def read(self, function: Callable[P, R], *args: P.args, **named: P.kwargs) -> R:
        """Call what reads a few documents: at once where the store is local, else in a thread."""
        if self.db.store.local:
            return function(*args, **named)
        return await self.work(function, *args, **named)

    async def work(self, function: Callable[P, R], *args: P.args, **named: P.kwargs) -> R:
        """Call what may take long, every write among it, in a thread."""
        return await to_thread.run_sync(partial(function, *args, **named))


def service_of(request: Request) -> Service:
    """Return what a request's worker shares."""
    service: Service = request.app.state.service
    return service
