"""Who asks, and what they may do: rights on patterns of database names.

=============================== ==================================================================
who says it                     how
=============================== ==================================================================
``Authorization: Bearer cdb_.`` an opaque token, granted in the store (`cdb.tokens`)
``Authorization: Bearer eyJ.``  a JSON web token, verified with the configured key
the trusted user header         a front proxy that authenticated the user; the realm of Kerberos
                                (``mona@SLAC.STANFORD.EDU``) is cut off
``Authorization: Negotiate .``  nobody: psana sends it with every request, and it is for a proxy
=============================== ==================================================================

A JSON web token says with its claim ``cdb: {read: [...], write: [...], admin: false}`` what its
subject may do. To that, and to the word of a proxy, comes what the configured table of rights
says of the subject, and of ``*``, who is everybody so named; an opaque token may what was granted
and no more. A token that is not valid makes nobody in particular of its bearer, who may still read
what is open to all.
"""

import hashlib
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Self

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from cdb import names, tokens
from cdb.errors import BadName, CalibError, NotAllowed, NotAuthenticated
from cdb.moments import Moment
from cdb.rights import ANYTHING, Rights
from cdb.tokens import Grants
from cdb.web import answers, jwt_keys
from cdb.web.jwt_keys import Claims
from cdb.web.service import LOOKED_AT, Service
from cdb.web.settings import Settings

SAFE = ("GET", "HEAD", "OPTIONS")
# As many verified tokens are remembered by a worker.
KEPT = 4096


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
    problem : str
        Why the token that came with the request does not count; empty if it does.
    """

    name: str = ""
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    admin: bool = False
    problem: str = ""

    @classmethod
    def of(cls, name: str, rights: Rights) -> Self:
        """Return a caller with rights."""
        return cls(name, rights.read, rights.write, rights.admin)

    @cached_property
    def rights(self) -> Rights:
        """What the caller may do."""
        return Rights(self.read, self.write, self.admin)

    def may_read(self, database: str) -> bool:
        """Return whether this database's constants may be read; who may write may read."""
        return self.rights.may_read(database)

    def may_write(self, database: str) -> bool:
        """Return whether this database's constants may be written."""
        return self.rights.may_write(database)

    def may_go_along(self, database: str) -> bool:
        """Return whether a database may be written as part of a deployment to an experiment's.

        It is a detector's own. Of databases whose names differ only in case there can be one, so
        that one with capitals keeps another away: it wants a right on the name in small letters.
        """
        lower = database.lower()
        return names.is_detector_database(database) and (
            database == lower or self.may_write(database) or self.may_write(lower)
        )

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
                raise self.refusal("read", database)

    def require_reader(self) -> None:
        """Refuse who may read nothing at all; see `require_read`."""
        if not (self.admin or self.read or self.write):
            raise self.refusal("read", "anything here")

    def require_write(self, *databases: str) -> None:
        """Refuse who may not write; see `require_read`."""
        for database in databases:
            if not self.may_write(database):
                raise self.refusal("write", database)

    def require_deploy(self, *databases: str) -> None:
        """Refuse who may not deploy to these databases in one event; see `refused_deployment`."""
        refusal = refused_deployment(self, databases)
        if refusal is not None:
            raise refusal

    def require_writer(self) -> None:
        """Refuse who may write nothing at all; see `require_read`."""
        if not (self.admin or self.write):
            raise self.refusal("write", "anything here")

    def require_admin(self) -> None:
        """Refuse who is no administrator; see `require_read`."""
        if not self.admin:
            raise self.refusal("administrate", "this service")

    def refusal(self, verb: str, what: str) -> NotAuthenticated | NotAllowed:
        """Return the error that says that one may not."""
        if self.problem:
            return NotAuthenticated(f"{self.problem}; it is needed to {verb} {what}")
        if not self.name:
            return NotAuthenticated(f"a token is needed to {verb} {what}")
        return NotAllowed(f"{self.name} may not {verb} {what}; an administrator can grant it")


def refused_deployment(
    caller: Caller, databases: Sequence[str]
) -> NotAuthenticated | NotAllowed | None:
    """Return why a deployment is refused, None if it is admitted.

    An experiment's writer may write the detector's database too, but only together with the
    experiment's, in one event; a private database wants a right of its own. To retire, restore or
    amend is judged alike, by the databases of the copies that the event touches.

    Parameters
    ----------
    caller : Caller
        Who deploys.
    databases : sequence of str
        All that the event writes to, as `cdb.names.databases_of` gives them.

    Examples
    --------
    >>> writer = Caller("mona", write=("cdb_rixx*",))
    >>> refused_deployment(writer, ["cdb_rixx45619", "cdb_epix10ka_000001"])
    >>> refused_deployment(writer, ["cdb_epix10ka_000001"])
    NotAllowed('mona may not write cdb_epix10ka_000001; an administrator can grant it')
    """
    if not databases:
        return caller.refusal("write", "no database")
    is_experiments = any(_is_experiments(d) and caller.may_write(d) for d in databases)
    for database in databases:
        goes_along = is_experiments and caller.may_go_along(database)
        if not caller.may_write(database) and not goes_along:
            return caller.refusal("write", database)
    return None


def _is_experiments(database: str) -> bool:
    name = database.removeprefix(names.PREFIX)
    return name != database and database != names.REGISTER and not names.names_a_detector(name)


def caller_of(request: Request) -> Caller:
    """Return who asks; the access middleware has found it out."""
    caller: Caller = request.scope["caller"]
    return caller


async def caller_at(request: Request, moment: Moment) -> Caller:
    """Return who asks, found out again: of a request that lasts, as of a later moment.

    Raises
    ------
    NotAuthenticated
        If what proved it when the request came does so no more.
    """
    caller: Caller = await request.scope["caller_at"](moment)
    if caller.problem and not caller_of(request).problem:
        raise NotAuthenticated(f"{caller.problem}; ask again with another")
    return caller


# Finding it out -----------------------------------------------------------------------------------


class Proxies:
    """The addresses of front proxies that are believed.

    Parameters
    ----------
    addresses : sequence of str
        Addresses or networks.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        self._networks = [ipaddress.ip_network(address) for address in addresses]
        self.hold = lru_cache(1024)(self._hold)

    def _hold(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv6Address):
            parsed = parsed.ipv4_mapped or parsed
        return any(parsed in network for network in self._networks)

    def client_of(self, peer: str, forwarded: str) -> str:
        """Return the address of whoever asks, behind as many believed proxies as there are.

        Parameters
        ----------
        peer : str
            Who is connected.
        forwarded : str
            ``X-Forwarded-For``: each proxy has added whom it saw.

        Examples
        --------
        >>> proxies = Proxies(["10.0.0.0/8"])
        >>> proxies.client_of("10.0.0.1", "1.2.3.4, 134.79.1.2, 10.0.0.7")
        '134.79.1.2'
        >>> proxies.client_of("134.79.1.2", "1.2.3.4")
        '134.79.1.2'
        """
        seen = [part.strip() for part in forwarded.split(",") if part.strip()] + [peer]
        while len(seen) > 1 and self.hold(seen[-1]):
            seen.pop()
        return seen[-1]


class AccessMiddleware:
    """Finds out who asks, before anything else is done with a request.

    The scope gets a `caller`, the `address` of its machine, `credential`: what requests are
    counted by, the digest of a token or an address; and `caller_at`, for requests that last.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        self.anonymous = Caller(read=ANYTHING if settings.anonymous_read else ())
        self._proxies = Proxies(settings.trusted_proxies)
        self._header = settings.trusted_user_header.lower().encode()
        self._keys = jwt_keys.of(settings)
        self._claims: OrderedDict[bytes, Claims] = OrderedDict()
        self._grants: Grants | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with its caller."""
        if scope["type"] == "http":
            peer = scope["client"][0] if scope.get("client") else ""
            scope["address"] = peer
            if self.settings.trusted_proxies:
                forwarded = b",".join(_headers(scope, b"x-forwarded-for")).decode("latin-1")
                scope["address"] = self._proxies.client_of(peer, forwarded)
            scope["credential"] = scope["address"].encode()
            scope["caller_at"] = partial(self._caller, scope, peer)
            try:
                scope["caller"] = await self._caller(scope, peer)
            except CalibError as error:
                # Who it is stands in the store, and the store does not say.
                scope["caller"] = self.anonymous
                await answers.failure(error)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    async def _caller(self, scope: Scope, peer: str, moment: Moment | None = None) -> Caller:
        try:
            token = _bearer(scope)
            if token:
                digest = hashlib.sha256(token.encode()).digest()
                caller = await self._verified(scope, token, digest, moment)
                # Only what is valid counts by itself: else a new name a request evades the limit.
                scope["credential"] = digest
                return caller
            name = self._proxied(scope, peer)
        except NotAuthenticated as error:
            return Caller(read=self.anonymous.read, problem=str(error))
        return self._known(name, Rights()) if name else self.anonymous

    def _known(self, name: str, rights: Rights) -> Caller:
        """Return a caller with what the configured table adds to its rights."""
        table = self.settings.rights
        rights = rights | table.get(name, Rights()) | table.get("*", Rights())
        return Caller.of(name, rights | self.anonymous.rights)

    async def _verified(
        self, scope: Scope, token: str, digest: bytes, moment: Moment | None
    ) -> Caller:
        if tokens.looks_like_one(token):
            service: Service = scope["app"].state.service
            if self._grants is None:
                self._grants = Grants(service.db.journal)
            # On another machine the head is asked for once, for all requests that wait for it.
            moment = moment or await service.moment()
            LOOKED_AT.set(None)  # what the request itself asks for comes later
            grant = await service.read(self._grants.of, token, moment)
            if grant is None:
                raise NotAuthenticated("the token is unknown here, expired or revoked; get another")
            # Not what the table says of its subject: a token may be made to do less than he may.
            return Caller.of(grant.subject, grant.rights | self.anonymous.rights)
        claims = self._claims.get(digest)
        if claims is None or claims.until <= time.time():
            if self._keys is None:
                raise NotAuthenticated(
                    "this service takes tokens of `cdb token create`, and this is none; get one"
                )
            claims = self._claims[digest] = self._keys.verify(token)
            if len(self._claims) > KEPT:
                self._claims.popitem(last=False)
        return self._known(claims.subject, claims.rights)

    def _proxied(self, scope: Scope, peer: str) -> str:
        """Return the user whom a believed proxy names; empty if there is none."""
        if not self._header or not self._proxies.hold(peer):
            return ""
        users = _headers(scope, self._header)
        if len(users) > 1:
            raise NotAuthenticated("the proxy names two users, so it is none")
        name = users[0].decode("latin-1").partition("@")[0].strip() if users else ""
        try:
            return tokens.check_subject(name) if name else ""
        except BadName as error:
            raise NotAuthenticated(str(error)) from None


class WriteGate:
    """Lets nobody write who has no name, and nobody at all where one only reads.

    What each may write is for the handlers to say; this stands before them, so that none can
    forget it.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.read_only = settings.read_only
        self.origins = settings.cors_origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what reads, and what a caller with a name writes."""
        if scope["type"] == "http" and scope["method"] not in SAFE:
            caller: Caller = scope["caller"]
            refusal: CalibError | None = None
            if self.read_only:
                refusal = NotAllowed("this service is for reading only; write through another")
            elif not caller.name:
                refusal = caller.refusal("write", "here")
            elif is_foreign_page(scope, self.origins):
                refusal = NotAllowed(
                    "a page of another site may not write here; the operator can name it in "
                    "cors_origins"
                )
            if refusal is not None:
                await answers.failure(refusal)(scope, receive, send)
                return
        await self.app(scope, receive, send)


def is_foreign_page(scope: Scope, allowed: Sequence[str]) -> bool:
    """Return whether a browser sends a request for a page of another site.

    Where a proxy authenticates, the browser does so unasked: any page could write in its reader's
    name. Programs that are no browsers send neither header.
    """
    origins = [origin.decode("latin-1") for origin in _headers(scope, b"origin")]
    if not origins:
        return bool({*_headers(scope, b"sec-fetch-site")} & {b"cross-site", b"same-site"})
    if all(origin in allowed for origin in origins):  # "*" lets all pages read, but not write
        return False
    own = [host.decode("latin-1") for host in _headers(scope, b"host")]
    return [origin.partition("://")[2] for origin in origins] != own


def _bearer(scope: Scope) -> str:
    """Return the token of a request, empty if there is none."""
    given = _headers(scope, b"authorization")
    if len(given) > 1:
        raise NotAuthenticated("two Authorization headers came, so none counts")
    scheme, _, token = given[0].partition(b" ") if given else (b"", b"", b"")
    if scheme.lower() != b"bearer":
        return ""
    return token.strip().decode("latin-1")


def _headers(scope: Scope, name: bytes) -> list[bytes]:
    return [value for key, value in scope["headers"] if key == name]
