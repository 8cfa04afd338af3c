"""Documents and bytes, by name: one contract, several stores."""

import os
import re
from pathlib import Path
from urllib.parse import unquote_to_bytes

from cdb.errors import BadName, shown
from cdb.stores.base import Store

__all__ = ["Store", "open_store", "path_in"]

# In an address a query or a fragment begins; line ends slip in by copying.
_NO_PATH = re.compile(r"[?#\x00-\x1f]")

SCHEMES = (
    "mongodb://host:27017/, file:///folder, bundle:///file.cdb, lcls1:///path/calib, memory://, "
    "https://host/"
)


def open_store(url: str) -> Store:
    """Open the store at an address; nothing is asked or made before it is used.

    Parameters
    ----------
    url : str
        ``mongodb://host:port/`` (or ``mongodb+srv://``), ``file:///folder``,
        ``bundle:///file``, ``memory://``. Folder and file are absolute paths; ``%20`` stands for
        a blank, ``%23`` for ``#``, and so on.

    Raises
    ------
    BadName
        If the address is of another kind, or of a folder that cannot be.

    Examples
    --------
    >>> open_store("memory://").describe()
    'memory:// (in this process; gone when it ends)'
    """
    scheme, colon, rest = url.partition(":")
    match scheme.lower() if colon else "":
        case "mongodb" | "mongodb+srv":
            from cdb.stores.mongo import MongoStore

            return MongoStore(url)
        case "file":
            from cdb.stores.embedded import EmbeddedStore

            return EmbeddedStore(path_in(url, rest))
        case "bundle":
            from cdb.stores.bundle import BundleStore

            return BundleStore(path_in(url, rest))
        case "memory" if rest in ("", "//"):
            from cdb.stores.memory import MemoryStore

            return MemoryStore()
        case "lcls1":
            raise BadName(
                f"{shown(url)} is the address of an LCLS-I tree, which `cdb.open` opens; the "
                "store itself is wanted here: mongodb://host:27017/ or file:///folder"
            )
        case "http" | "https":
            raise BadName(
                f"{shown(url.split('@')[-1])} is the address of a service, and the store itself is "
                "wanted here: mongodb://host:27017/ or file:///folder"
            )
    # Without user and password.
    wrong = f"{shown(url.split('@')[-1])} is no address of a store; good ones: {SCHEMES}"
    if url and "://" not in url:
        wrong += f"; for a folder write {_uri(url)}"
    raise BadName(wrong)


def path_in(url: str, rest: str) -> Path:
    """Return the path in an address; `rest` is what follows ``file:``, ``bundle:``, ``lcls1:``.

    Raises
    ------
    BadName
        If it names none that is absolute and clear.
    """
    host, path = rest, ""
    if rest.startswith("//"):
        host, slash, path = rest[2:].partition("/")
        path = slash + path
    elif rest.startswith("/"):
        host, path = "", rest
    if not path or host not in ("", "localhost"):
        words = f"; for a folder write {_uri(rest)}" if rest.strip("/") else ""
        raise BadName(
            f"{shown(url)} is no address of a store: it names no absolute path; "
            f"good ones: {SCHEMES}{words}"
        )
    if strange := _NO_PATH.search(path):
        raise BadName(
            f"{shown(url)} has {shown(strange[0])} in it, which may mean several things; for a "
            f"folder that is called so write %{ord(strange[0]):02X}"
        )
    name = os.fsdecode(unquote_to_bytes(path))
    if "\0" in name:
        raise BadName(f"{shown(url)} names a path with a zero byte, which no path has")
    return Path(name)


def _uri(path: str) -> str:
    """Return the address of a folder that somebody named by its path."""
    try:
        return Path(path.lstrip("/") if path.startswith("//") else path).absolute().as_uri()
    except FileNotFoundError:  # the working folder is gone
        return "file:///some/folder"
