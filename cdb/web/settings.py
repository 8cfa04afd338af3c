"""How a service is to run: from a TOML file, then the environment, then the command line."""

import ipaddress
import json
import os
import re
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from cdb import gates
from cdb.errors import BadFile, BadName, BadSettings, shown
from cdb.opening import locate
from cdb.rights import Rights

# What an HS256 signature is worth: RFC 7518, 3.2 asks for a key as long as the digest.
SECRET_BYTES = 32
# The secret is the one setting that no file of settings holds and no command line shows.
SECRET = "jwt_secret"
# What must not lie on a disk: an address may hold a password.
SECRETS = (SECRET, "url")

# As browsers send it (RFC 6454, 6.2), so that it can be compared as it stands.
_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?")

_YES = {"1": True, "true": True, "yes": True, "on": True}
_NO = {"0": False, "false": False, "no": False, "off": False, "": False}


@dataclass(frozen=True)
class Settings:
    """How a service is to run.

    Attributes
    ----------
    url : str
        The store.
    host, port : str, int
        Where to listen; port 0 takes a free one.
    workers : int
        Processes.
    anonymous_read : bool
        Whether one may read without a token.
    read_only : bool
        Whether nobody may write.
    jwt_secret : str
        Of HS256, at least 32 bytes; from the environment or `jwt_secret_file`.
    jwt_secret_file, jwt_public_key_file, jwt_jwks_file : str
        Where the one key is by which tokens are verified: a secret, a PEM file, a JWKS file.
    jwt_issuer, jwt_audience : str
        What a token has to say; needed with a public key or JWKS.
    rights : mapping of str to Rights
        What a subject may do beyond what its token says; ``"*"`` is every subject.
    trusted_user_header : str
        In which a front proxy names the user it authenticated; empty for none.
    trusted_proxies : tuple of str
        Addresses or networks from which that header, and ``X-Forwarded-For``, are believed.
    body_limit : int
        Of a request [bytes].
    rate_limit, rate_burst : int
        Requests of one token, or one address without a token, over all workers [1/s], 0 for no
        limit; and how many at once.
    body_seconds, send_seconds, keep_alive_seconds, header_seconds, stop_seconds : int
        How long to wait: for the next piece of a request's body, for a reader to take a piece of
        an answer, for the next request of a connection, for a request's headers, and at the stop
        for requests to end [s].
    cors_origins : tuple of str
        Whose pages may ask from a browser; empty for none.
    accel_redirect : str
        The internal location under which nginx serves payload files; empty to send them oneself.
    gates : str
        The file of rules that new constants are held against, over the package's; ``off`` for
        none.
    log_level : str
        DEBUG (every request), INFO (writes and refusals), WARNING or ERROR.
    """

    url: str = "memory://"
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 2
    anonymous_read: bool = False
    read_only: bool = False
    jwt_secret: str = field(default="", repr=False)
    jwt_secret_file: str = ""
    jwt_public_key_file: str = ""
    jwt_jwks_file: str = ""
    jwt_issuer: str = ""
    jwt_audience: str = ""
    rights: Mapping[str, Rights] = field(default_factory=dict)
    trusted_user_header: str = ""
    trusted_proxies: tuple[str, ...] = ()
    body_limit: int = 2 * 2**30
    rate_limit: int = 0
    rate_burst: int = 200
    body_seconds: int = 60
    send_seconds: int = 60
    keep_alive_seconds: int = 75
    header_seconds: int = 30
    stop_seconds: int = 30
    cors_origins: tuple[str, ...] = ()
    accel_redirect: str = ""
    gates: str = ""
    log_level: str = "INFO"

    @property
    def checks_jwt(self) -> bool:
        """Whether tokens of an issuer are accepted."""
        return bool(self.jwt_secret or self.jwt_public_key_file or self.jwt_jwks_file)

    @property
    def trusts_proxies(self) -> bool:
        """Whether a front proxy may name the user."""
        return bool(self.trusted_user_header and self.trusted_proxies)

    def as_json(self) -> str:
        """Return all settings but those that may be secret, for a file."""
        return json.dumps({n: v for n, v in asdict(self).items() if n not in SECRETS})

    def secrets(self) -> str:
        """Return the settings that may be secret, for the memory of a process of one's own."""
        return json.dumps({name: getattr(self, name) for name in SECRETS})

    def shown(self) -> dict[str, Any]:
        """Return the settings for people: no secret, no password."""
        made = asdict(self)
        made[SECRET] = "given" if self.jwt_secret else ""
        made["url"] = without_password(self.url)
        return made


NAMES = tuple(f.name for f in fields(Settings))
_TYPES = typing.get_type_hints(Settings)


def from_json(text: str, secrets: str) -> Settings:
    """Return the settings that `Settings.as_json` and `Settings.secrets` wrote."""
    values = json.loads(text) | json.loads(secrets)
    values["rights"] = {name: Rights.of(given) for name, given in values["rights"].items()}
    for name in values:
        if _TYPES[name] == tuple[str, ...]:
            values[name] = tuple(values[name])
    return Settings(**values)


def load(
    path: Path | None, environment: Mapping[str, str], given: Mapping[str, Any]
) -> tuple[Settings, list[str]]:
    """Return the settings, and what is wrong with them.

    Parameters
    ----------
    path : Path or None
        A TOML file.
    environment : mapping of str to str
        ``CDB_`` and a setting's name in capitals; wins over the file.
    given : mapping
        From the command line; wins over both. What is None was not given.

    Returns
    -------
    settings : Settings
        With defaults in the places of what cannot be used.
    faults : list of str
        A sentence each; empty if all is well.
    """
    faults: list[str] = []
    values: dict[str, Any] = {"url": locate()[0]}
    _take(values, _of_file(path, faults) if path else {}, "the file", faults)
    from_shell = {name: environment[_variable(name)] for name in NAMES
                  if name != "rights" and _variable(name) in environment}  # fmt: skip
    _take(values, from_shell, "the environment", faults)
    _take(values, {n: v for n, v in given.items() if v is not None}, "the command line", faults)
    settings = Settings(**values)
    if settings.jwt_secret_file and not settings.jwt_secret:
        settings = replace(settings, jwt_secret=_secret_of(settings.jwt_secret_file, faults))
    return settings, [*faults, *faults_of(settings)]


def check(settings: Settings, faults: Sequence[str]) -> Settings:
    """Return settings that are without fault.

    Raises
    ------
    BadSettings
        With all that is wrong.
    """
    if faults:
        raise BadSettings("; ".join(faults))
    return settings


def faults_of(settings: Settings) -> list[str]:
    """Return what is wrong with settings that are well typed, a sentence each."""
    return [*_ranges(settings), *_keys(settings), *_proxies(settings), *_others(settings)]


def without_password(url: str) -> str:
    """Return an address without what is secret in it.

    Examples
    --------
    >>> without_password("mongodb://cdb-writer:hunter2@db1/?replicaSet=cdb")
    'mongodb://cdb-writer:***@db1/?replicaSet=cdb'
    """
    scheme, separator, rest = url.partition("://")
    before, at, after = rest.rpartition("@")
    user, colon, _ = before.partition(":")
    return f"{scheme}{separator}{user}{colon and ':***'}{at}{after}"


# Where settings come from -------------------------------------------------------------------------


def _of_file(path: Path, faults: list[str]) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        faults.append(f"the file of settings {path} cannot be read: {error.strerror}")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        faults.append(f"the file of settings {path} is not TOML: {error}")
    return {}


def _take(values: dict[str, Any], new: Mapping[str, Any], where: str, faults: list[str]) -> None:
    for name, value in new.items():
        if name == SECRET and where != "the environment":
            faults.append(
                f"{where} holds {SECRET}: a secret stands in a file of its own; name that file as "
                f"{SECRET}_file, or set {_variable(SECRET)}"
            )
        elif name not in NAMES:
            faults.append(f"{where} has {shown(name)}, which is no setting; {_near(name)}")
        else:
            try:
                values[name] = _typed(name, value)
            except (BadName, ValueError) as error:
                said = value if name != SECRET else "a secret"
                faults.append(f"{name} is {shown(said)} in {where}; {error}")


def _near(name: str) -> str:
    import difflib

    near = difflib.get_close_matches(name, NAMES, 1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(NAMES)}"


def _variable(name: str) -> str:
    return f"CDB_{name.upper()}"


def _typed(name: str, value: Any) -> Any:
    """Return a value in its setting's type; texts of the environment are read, others must fit."""
    kind = _TYPES[name]
    if name == "rights":
        return _rights(value)
    if kind is bool:
        if isinstance(value, str) and value.lower() in _YES | _NO:
            value = (_YES | _NO)[value.lower()]
        if not isinstance(value, bool):
            raise ValueError("write true or false")
        return value
    if kind is int:
        if isinstance(value, str) and value.isdecimal() and len(value) < 20:
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError("write a whole number")
        return value
    if isinstance(kind, types.GenericAlias):
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
            raise ValueError("write a list of texts; in the environment with commas between")
        return tuple(value)
    if not isinstance(value, str):
        raise ValueError("write a text")
    return value


def _rights(value: Any) -> dict[str, Rights]:
    if not isinstance(value, Mapping):
        raise ValueError('write tables, as [rights."mona"] with write = ["cdb_rixx*"]')
    return {str(subject): Rights.of(given) for subject, given in value.items()}


def _secret_of(path: str, faults: list[str]) -> str:
    try:
        # A file that `echo` or an editor made ends with a line's end that is no part of it.
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        faults.append(f"the secret's file {path} cannot be read: {why}")
        return ""


# What can be wrong --------------------------------------------------------------------------------


def _ranges(settings: Settings) -> list[str]:
    bounds = {
        "port": (0, 65535), "workers": (1, 1024), "body_limit": (2**10, 2**40),
        "rate_limit": (0, 10**6), "rate_burst": (1, 10**6), "body_seconds": (1, 3600),
        "send_seconds": (1, 3600), "keep_alive_seconds": (1, 3600), "header_seconds": (1, 3600),
        "stop_seconds": (1, 3600),
    }  # fmt: skip
    return [
        f"{name} is {getattr(settings, name)}; it can be {low} to {high}"
        for name, (low, high) in bounds.items()
        if not low <= getattr(settings, name) <= high
    ]


def _keys(settings: Settings) -> list[str]:
    sources = {
        _variable(SECRET) if not settings.jwt_secret_file else "jwt_secret_file": (
            settings.jwt_secret or settings.jwt_secret_file
        ),
        "jwt_public_key_file": settings.jwt_public_key_file,
        "jwt_jwks_file": settings.jwt_jwks_file,
    }
    there = [name for name, value in sources.items() if value]
    if len(there) > 1:
        # A public key taken for a secret is the classic way to forge a token.
        return [f"{' and '.join(there)} are both given; tokens have one kind of key: give one"]
    found = []
    length = len(settings.jwt_secret.encode())
    if settings.jwt_secret and length < SECRET_BYTES:
        found.append(
            f"the JWT secret has {length} bytes; at least {SECRET_BYTES} are needed, as "
            "`openssl rand -hex 32` makes them"
        )
    if there and there[0] in ("jwt_public_key_file", "jwt_jwks_file"):
        found += [
            f"{name} is not set; with {there[0]} it must be, or tokens meant for other services "
            "of the same issuer would be good here"
            for name in ("jwt_issuer", "jwt_audience")
            if not getattr(settings, name)
        ]
        from cdb.web import jwt_keys

        try:
            jwt_keys.of(settings)
        except BadSettings as error:
            found.append(str(error))
    return found


def _proxies(settings: Settings) -> list[str]:
    found = []
    for address in settings.trusted_proxies:
        try:
            ipaddress.ip_network(address)
        except ValueError:
            found.append(
                f"trusted_proxies names {shown(address)}; write addresses or networks, as "
                "127.0.0.1 or 10.1.0.0/16"
            )
    header = settings.trusted_user_header
    if header and not settings.trusted_proxies:
        found.append(
            f"trusted_user_header is {header}, but trusted_proxies names no address from which to "
            "believe it; name the proxies"
        )
    if header and not all(c.isascii() and (c.isalnum() or c == "-") for c in header):
        found.append(f"trusted_user_header is {shown(header)}; write a header's name: Remote-User")
    if header.lower() in ("authorization", "host", "cookie"):
        found.append(f"trusted_user_header cannot be {header}; name one that the proxy makes")
    return found


def _others(settings: Settings) -> list[str]:
    found = []
    if settings.log_level.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        found.append(
            f"log_level is {shown(settings.log_level)}; there are DEBUG, INFO, WARNING and ERROR"
        )
    if settings.url.startswith("memory:") and settings.workers > 1:
        found.append(
            f"memory:// is in one process and workers is {settings.workers}; give --url, or "
            "--workers 1"
        )
    if settings.accel_redirect and not (
        settings.accel_redirect.startswith("/") and settings.accel_redirect.endswith("/")
    ):
        found.append(
            f"accel_redirect is {shown(settings.accel_redirect)}; write an internal location of "
            "nginx, as /payload-files/"
        )
    try:
        gates.load(settings.gates)
    except BadFile as error:
        found.append(str(error))
    found += [
        f"cors_origins names {shown(origin)}; write https://elog.example.org, without a path"
        for origin in settings.cors_origins
        if origin != "*" and not _ORIGIN.fullmatch(origin)
    ]
    if "*" in settings.cors_origins and len(settings.cors_origins) > 1:
        found.append("cors_origins names * and others; name either all or some")
    return found


def of_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings that a worker was handed by the process that started it."""
    return from_json(Path(environment[HANDED]).read_text(), environment[HANDED_SECRETS])


# How settings reach the workers: in a file, for there may be many rights; what is secret in the
# environment, which leaves nothing behind, however the service ends.
HANDED = "CDB_SERVE_SETTINGS"
HANDED_SECRETS = "CDB_SERVE_SECRETS"
