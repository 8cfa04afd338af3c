"""Headers that every answer carries, and whose pages may read answers in a browser."""

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cdb.stores.base import Store
from cdb.web.settings import Settings

# A page sets its own policy; anything else that a browser is made to show may load nothing.
SECURITY = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    # Answers depend on who asks and when; what is immutable says so itself.
    (b"cache-control", b"no-store"),
)
_NAMES = frozenset(name for name, _ in SECURITY)


class HeadersMiddleware:
    """Adds to each answer the security headers that it has not set itself."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        foreign = b"cross-origin" if settings.cors_origins else b"same-origin"
        policy = b"cross-origin-resource-policy"
        self.headers = tuple((n, foreign if n == policy else v) for n, v in SECURITY)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = message.get("headers", ())
                there = {name.lower() for name, _ in own}
                added = self.headers
                if not _NAMES.isdisjoint(there):
                    added = tuple(header for header in added if header[0] not in there)
                message["headers"] = [*own, *added]
            await send(message)

        await self.app(scope, receive, with_headers)


def accelerated(settings: Settings, store: Store, sha256: str) -> dict[str, str]:
    """Return the headers that let nginx send a payload's file; none where it cannot.

    Parameters
    ----------
    settings : Settings
        With `accel_redirect`, the internal location of the store's folder of payloads.
    store : Store
        Only one in a folder has files.
    sha256 : str
        Of a payload that the caller may read, hexadecimal.
    """
    if not settings.accel_redirect or not store.url.startswith("file:"):
        return {}
    return {"X-Accel-Redirect": f"{settings.accel_redirect}{sha256[:2]}/{sha256}"}


def cross_origin(app: ASGIApp, settings: Settings) -> ASGIApp:
    """Return the application, open to the pages of the configured origins; of none by default."""
    if not settings.cors_origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=settings.cors_origins,
        allow_methods=["GET", "HEAD", "POST", "PUT", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "If-None-Match"],
        expose_headers=["ETag", "Retry-After"],
        max_age=3600,
    )
