"""Our own API: every call of `cdb.Database`, over HTTP; see docs/service.md."""

from starlette.routing import BaseRoute


def routes() -> list[BaseRoute]:
    """Return the routes below ``/v1``."""
    return []
