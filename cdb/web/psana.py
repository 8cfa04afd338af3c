"""psana's dialect: the REST calls of the real psana clients, translated and nothing more."""

from starlette.routing import BaseRoute

# Where clients of both generations look (`LCLS_CALIB_HTTP` is a base for one, the address itself
# for the other), and what they append to it for their writes.
PREFIXES = ("/calib_ws", "/ws/calib_ws", "/ws-kerb/calib_ws", "/ws-jwt/calib_ws")


def routes() -> list[BaseRoute]:
    """Return the routes below every prefix."""
    return []
