"""Rights: what somebody may do, as patterns of database names."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Self

from cdb.errors import BadName, shown
from cdb.names import PREFIX

ANYTHING = ("*",)

_PATTERN = re.compile(r"\*|cdb_[A-Za-z0-9_*?-]*")


@dataclass(frozen=True)
class Rights:
    """What somebody may do.

    Attributes
    ----------
    read, write : tuple of str
        Patterns of database names (``cdb_rixx*``); who may write may read.
    admin : bool
        May do everything, everywhere.

    Examples
    --------
    >>> rights = Rights(read=("*",), write=("cdb_rixx*",))
    >>> rights.may_read("cdb_xpp1"), rights.may_write("cdb_xpp1"), rights.may_write("cdb_rixx1")
    (True, False, True)
    """

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    admin: bool = False

    @classmethod
    def of(cls, value: object) -> Self:
        """Return rights as a token's claims or a configuration say them.

        Parameters
        ----------
        value : mapping
            Of `read` and `write`, lists of patterns, and `admin`; each may be absent.

        Raises
        ------
        BadName
            If it is anything else.

        Examples
        --------
        >>> Rights.of({"write": ["cdb_rixx*"]})
        Rights(read=(), write=('cdb_rixx*',), admin=False)
        """
        if not isinstance(value, Mapping):
            raise BadName(f"rights are {shown(value)}; write read, write and admin with values")
        if unknown := sorted(map(str, value.keys() - {"read", "write", "admin"})):
            raise BadName(f"rights name {shown(unknown[0])}; there are read, write and admin")
        admin = value.get("admin", False)
        if not isinstance(admin, bool):
            raise BadName(f"rights say admin: {shown(admin)}; it is true or false")
        return cls(_patterns(value.get("read", ())), _patterns(value.get("write", ())), admin)

    def __or__(self, other: "Rights") -> "Rights":
        """Return what one may do who has both."""
        return Rights(
            tuple(dict.fromkeys((*self.read, *other.read))),
            tuple(dict.fromkeys((*self.write, *other.write))),
            self.admin or other.admin,
        )

    def __bool__(self) -> bool:
        """Return whether one may do anything at all."""
        return bool(self.read or self.write or self.admin)

    def may_read(self, database: str) -> bool:
        """Return whether this database's constants may be read; who may write may read."""
        return self.admin or _fits(database, (*self.read, *self.write))

    def may_write(self, database: str) -> bool:
        """Return whether this database's constants may be written."""
        return self.admin or _fits(database, self.write)


def check_pattern(pattern: str) -> str:
    """Return a pattern of database names as it stands.

    Raises
    ------
    BadName
        If no database could fit it.

    Examples
    --------
    >>> check_pattern("rixx*")
    Traceback (most recent call last):
        ...
    cdb.errors.BadName: no database fits the pattern 'rixx*'; write cdb_rixx*, or * for all
    """
    if not isinstance(pattern, str) or not _PATTERN.fullmatch(pattern):
        hint = f"{PREFIX}{pattern}" if _is_tail(pattern) else f"{PREFIX}rixx*"
        raise BadName(f"no database fits the pattern {shown(pattern)}; write {hint}, or * for all")
    return pattern


def _is_tail(pattern: object) -> bool:
    return isinstance(pattern, str) and _PATTERN.fullmatch(PREFIX + pattern) is not None


def _patterns(value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise BadName(f'rights are {shown(value)}; write a list of patterns, as ["cdb_rixx*"]')
    return tuple(check_pattern(pattern) for pattern in value)


def _fits(database: str, patterns: tuple[str, ...]) -> bool:
    # What lies outside the prefix, the journal and its tokens above all, is an administrator's.
    if not database.startswith(PREFIX):
        return False
    return "*" in patterns or any(fnmatchcase(database, pattern) for pattern in patterns)
