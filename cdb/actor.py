"""Who writes: the account that runs this process, or the one on whose behalf it acts."""

import getpass
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple


class Actor(NamedTuple):
    """Who writes, from which machine, in which folder."""

    login: str
    host: str
    folder: str


_ACTING: ContextVar[Actor | None] = ContextVar("acting", default=None)


def actor() -> Actor:
    """Return who writes.

    Examples
    --------
    >>> with on_behalf_of("mona", host="psana1"):
    ...     actor()
    Actor(login='mona', host='psana1', folder='')
    """
    return _ACTING.get() or Actor(_login(), socket.gethostname(), _folder())


@contextmanager
def on_behalf_of(login: str, *, host: str, folder: str = "") -> Iterator[None]:
    """Let what is written inside, in this thread or task, be somebody's else."""
    token = _ACTING.set(Actor(login, host, folder))
    try:
        yield
    finally:
        _ACTING.reset(token)


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container may run under a number that no account has.
        return f"uid{os.getuid()}"


def _folder() -> str:
    """Return the working folder; empty if it is gone."""
    try:
        return os.getcwdb().decode(errors="replace")
    except FileNotFoundError:
        return ""
