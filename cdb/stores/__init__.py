"""Documents and bytes, by name: one contract, several stores."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from cdb.errors import BadName
from cdb.stores.base import Store

__all__ = ["Store", "open_store"]

SCHEMES = "mongodb://host:27017/, file:///folder, memory://, https://host/ of a service"


def open_store(url: str) -> Store:
    """Open the store at an address; nothing is asked or made before it is used.

    Parameters
    ----------
    url : str
        ``mongodb://host:port/`` (or ``mongodb+srv://``), ``file:///folder``, ``memory://``.

    Raises
    ------
    BadName
        If the address is of another kind.

    Examples
    --------
    >>> open_store("memory://").describe()
    'memory:// (in this process; gone when it ends)'
    """
    parts = urlsplit(url)
    if parts.scheme in ("mongodb", "mongodb+srv"):
        from cdb.stores.mongo import MongoStore

        return MongoStore(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path:
        from cdb.stores.embedded import EmbeddedStore

        return EmbeddedStore(Path(unquote(parts.path)))
    if url in ("memory://", "memory:"):
        from cdb.stores.memory import MemoryStore

        return MemoryStore()
    wrong = f"{url.split('@')[-1]!r} is no address of a store; good ones: {SCHEMES}"
    if url and "://" not in url:
        wrong += f"; for a folder write {Path(url).absolute().as_uri()}"
    raise BadName(wrong)
