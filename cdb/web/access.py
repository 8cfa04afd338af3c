"""Who asks, and what they may do: rights on patterns of database names."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from cdb.errors import NotAllowed, NotAuthenticated
from cdb.web.settings import Settings

ANYTHING = ("*",)


@dataclass(frozen=True)
class Caller:
    """Who asks.

    Attributes
    ----------
    name : str
        Stands as actor in the journal; empty for nobody in particular.
    read, write : tuple of str
        Patterns of database names (``cdb_rixx*``).
    admin : bool
        May do everything, everywhere.
    """

    name: str = ""
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    admin: bool = False

    def may_read(self, database: str) -> bool:
        """Return whether this database's constants may be read; who may write may read."""
        return self.admin or _fits(database, (*self.read, *self.write))

    def may_write(self, database: str) -> bool:
        """Return whether this database's constants may be written."""
        return self.admin or _fits(database, self.write)

    def require_read(self, *databases: str) -> None:
        """Refuse who may not read.

        Raises
        ------
        NotAuthenticated
            If nobody in particular asks.
        NotAllowed
            If the one who asks may not.
        """
        for database in databases:
            if not self.may_read(database):
                raise self._refusal("read", database)

    def require_write(self, *databases: str) -> None:
        """Refuse who may not write; see `require_read`."""
        for database in databases:
            if not self.may_write(database):
                raise self._refusal("write", database)

    def require_admin(self) -> None:
        """Refuse who is no administrator; see `require_read`."""
        if not self.admin:
            raise self._refusal("administrate", "this service")

    def _refusal(self, verb: str, what: str) -> NotAuthenticated | NotAllowed:
        if not self.name:
            return NotAuthenticated(f"a token is needed to {verb} {what}")
        return NotAllowed(f"{self.name} may not {verb} {what}; an administrator can grant it")


def _fits(database: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(database, pattern) for pattern in patterns)


def caller_of(request: Request) -> Caller:
    """Return who asks; the access middleware has found it out."""
    caller: Caller = request.scope["caller"]
    return caller


class AccessMiddleware:
    """Finds out who asks, before anything else is done with a request."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with its caller."""
        if scope["type"] == "http":
            scope["caller"] = Caller(read=ANYTHING) if self.settings.anonymous_read else Caller()
        await self.app(scope, receive, send)
