"""A database by its address: the one given, that of ``CDB_URL``, or a folder of the user's."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from cdb.calibconst import Calibconst
from cdb.database import Database
from cdb.detector import Detector
from cdb.errors import BadQuestion
from cdb.stores import open_store, path_in
from cdb.stores.base import Store

if TYPE_CHECKING:
    from cdb.gates import Gates


def locate(url: str | None = None) -> tuple[str, str]:
    """Return the address of the store to use, and why it is that one.

    Parameters
    ----------
    url : str, optional
        Wins if given; then the environment variable ``CDB_URL``; then a folder of the user's.
    """
    if url:
        return url, "given"
    if os.environ.get("CDB_URL"):
        return os.environ["CDB_URL"], "from CDB_URL"
    import platformdirs

    folder = Path(platformdirs.user_data_path("cdb", appauthor=False))
    return folder.as_uri(), "the default; --url or CDB_URL choose another"


def open(  # noqa: A001 - users write cdb.open()
    url: str | None = None, *, gates: "Gates | Path | str | None" = None
) -> Database:
    """Open a database.

    Parameters
    ----------
    url : str, optional
        ``mongodb://...``, ``file:///folder`` or ``memory://``; ``lcls1:///path/calib`` of an
        LCLS-I tree; ``https://host/`` of a service, or ``https://a/,https://b/`` of its mirrors;
        without it what ``CDB_URL`` says, else a folder of the user's own.
    gates : Gates, Path or str, optional
        The rules that new constants are held against: those of this TOML file over the package's,
        ``off`` for none; without it the file that ``CDB_GATES`` names. A service has its own.

    Returns
    -------
    database : Database
        Nothing is connected or made before it is used. A tag that ``CDB_TAG`` names answers
        where a question names neither a state nor a tag; writes do not depend on it.

    Examples
    --------
    >>> with open("memory://") as db:
    ...     version = db.add("some text", detector="epix_000001", ctype="notes", run=7)
    ...     db.get("epix_000001", "notes", run=8)[0]
    'some text'
    """
    db = open_present(url, gates=gates)
    db.tag = os.environ.get("CDB_TAG") or None
    return db


def open_present(url: str | None = None, *, gates: "Gates | Path | str | None" = None) -> Database:
    """Open a database that answers as of now, whatever ``CDB_TAG`` says; see `open`."""
    address = locate(url)[0]
    if address.lower().startswith(("http://", "https://")):
        from cdb.remote import open_service

        if gates is not None:
            raise BadQuestion(
                f"the service {address} has rules of its own: give no gates with it; its operator "
                "sets them"
            )
        return open_service(address)
    store = store_at(address)
    if not store.local:
        store = _cached(store)
    return Database(store, gates=gates or os.environ.get("CDB_GATES"))


def store_at(url: str) -> Store:
    """Open the store at an address, or an LCLS-I tree as one; see `cdb.stores.open_store`."""
    scheme, _, rest = url.partition(":")
    if scheme.lower() != "lcls1":
        return open_store(url)
    from cdb.files.lcls1_store import Lcls1Store

    return Lcls1Store(path_in(url, rest))


def _cached(store: Store) -> Store:
    """Put the folder of payloads before a store on another machine, unless it is turned off."""
    from cdb.stores.cache import default_cache
    from cdb.stores.cached import CachedStore

    cache = default_cache()
    return store if cache is None else CachedStore(store, cache)


def remade(
    url: str,
    name: str,
    experiment: str | None,
    dbsuffix: str | None,
    run: int | None,
    time: int | None,
    rule: str,
    seq: int | None,
    tag: str | None,
    what: str,
) -> Detector | Calibconst:
    """Make a detector again in another process, from its reference."""
    # Where no event is, 0 names no state: other programs' documents would not be seen in it.
    detector = open(url).detector(
        name, experiment=experiment, dbsuffix=dbsuffix, run=run, time=time, rule=rule,
        as_of=seq or None, tag=tag,
    )  # fmt: skip
    return detector if what == "detector" else detector.calibconst
