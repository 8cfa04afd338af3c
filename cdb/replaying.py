"""The constants that a stamp names, given again: the same bytes, or an error that says why not."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from cdb import stamps
from cdb.calibconst import Calibconst
from cdb.constant import Version
from cdb.database import Database
from cdb.detector import Detector
from cdb.errors import BadQuestion, Corrupt, WrongServer, WrongState
from cdb.names import TagName
from cdb.opening import open_present
from cdb.stamps import Cited, Stamp
from cdb.stores.base import Progress


def replay(stamp: Stamp | Path | str, url: str | None = None) -> Detector:
    """Return the constants that a stamp names, whatever was retired, amended or added since.

    Parameters
    ----------
    stamp : Stamp, Path or str
        A stamp, or a file with one: HDF5, or the stamp's text.
    url : str, optional
        Of the store; see `cdb.open`.

    Returns
    -------
    detector : Detector
        With its `calibconst`. All payloads were read and agree with the digests in the stamp.

    Raises
    ------
    NotFound
        If the file holds no stamp, or a version is not there.
    BadQuestion
        If the file holds several stamps; `cdb.stamps.read` returns them all.
    BadFile
        If the stamp cannot be read.
    WrongServer
        If it is of another store; both identities are named.
    Purged
        If an administrator removed a payload for good.
    Corrupt
        If a payload is damaged, or the stamp was changed.
    WrongState
        If a document had no digest when the stamp was made.

    Examples
    --------
    >>> import cdb
    >>> db = cdb.open("memory://")
    >>> version = db.add([4, 6], detector="epix_000001", ctype="common_mode", run=5)
    >>> stamp = db.detector("epix_000001", run=6).calibconst.stamp()
    >>> replayed(db, stamp).calibconst["common_mode"][0]
    [4, 6]
    """
    given = stamp if isinstance(stamp, Stamp) else _only(stamps.read(stamp), stamp)
    with open_present(url) as db:
        return replayed(db, given)


def _only(found: list[Stamp], path: Path | str) -> Stamp:
    if len(found) > 1:
        some = "; ".join(stamp.title for stamp in found[:5])
        raise BadQuestion(
            f"{path} holds {len(found)} stamps ({some}{'; ...' if found[5:] else ''}); give one "
            "of those that cdb.stamps.read(path) returns"
        )
    return found[0]


def replayed(db: Database, stamp: Stamp) -> Detector:
    """Return what `replay` does, of a database that is open."""
    from cdb import payload

    found = {version.ctype: (version, data) for version, data in constants(db, stamp)}
    recipe = (_again, (str(stamp), db.store.url, "calibconst")) if db.store.shared else None

    def decoded(version: Version) -> Any:
        return payload.decode(found[version.ctype][1], version.meta)

    calibconst = Calibconst(
        stamp.title,
        {ctype: version for ctype, (version, _) in found.items()},
        decoded,
        searched="the stamp",
        recipe=recipe,
        origin=stamp,
    )
    tag = None
    if stamp.tag is not None:
        tag = TagName(stamp.tag.name, int(stamp.tag.id[16:], 16))
    named = (stamp.detector, stamp.detector, stamp.experiment)
    return Detector(*named, stamp.run, stamp.seq, calibconst, tag)


def _again(text: str, url: str, what: str) -> Detector | Calibconst:
    """Make the same in another process, from its reference."""
    detector = replay(stamps.parse(text), url)
    return detector if what == "detector" else detector.calibconst


def constants(
    db: Database, stamp: Stamp, *, progress: Progress | None = None
) -> Iterator[tuple[Version, bytes | memoryview]]:
    """Yield the versions that a stamp names, with their bytes, which agree with its digests.

    Parameters
    ----------
    db : Database
        Where they are.
    stamp : Stamp
        What is asked for.
    progress : callable, optional
        Called with the number of bytes read since the last call.

    Raises
    ------
    NotFound, WrongServer, Purged, Corrupt, WrongState
        See `replay`.
    """
    check_server(db, stamp)
    for ctype, cited in stamp.constants.items():
        yield _constant(db, ctype, cited, stamp, progress)


def check_server(db: Database, stamp: Stamp) -> None:
    """Refuse a stamp of another store.

    Raises
    ------
    WrongServer
        Naming both identities.
    """
    server = db.server
    if server != stamp.server:
        here = f"is the store {server}" if server else "has no identity, for nothing is in it"
        raise WrongServer(
            f"the stamp is of the store {stamp.server}, but this one {here}; --url or CDB_URL "
            "choose another, also a copy or a bundle of the first"
        )


def _constant(
    db: Database, ctype: str, cited: Cited, stamp: Stamp, progress: Progress | None
) -> tuple[Version, bytes | memoryview]:
    whose = f"{ctype} {cited.id} of {stamp.detector}"
    if cited.sha256 is None:
        raise WrongState(
            f"{whose} was another program's document when the stamp was made, without a digest: "
            "nobody can say whether its bytes are still the same; after `cdb adopt` make a new "
            "stamp"
        )
    version = db.version_by_id(cited.id)
    known = (version.ctype, version.database, version.sha256)
    if known != (ctype, cited.database, cited.sha256):
        raise Corrupt(
            f"the stamp says that {cited.id} is {ctype} in {cited.database} with the digest "
            f"{cited.sha256}, the store says {known[0]} in {known[1]} with {known[2]}: the stamp "
            "was changed after it was made"
        )
    data = db.read(version, progress=progress)
    if hashlib.sha256(data).hexdigest() != cited.sha256:
        raise Corrupt(
            f"the bytes of {whose} are not those that the stamp names: they are damaged; "
            "`cdb fsck --payloads` finds all such"
        )
    # What became of it later is no part of what was handed out.
    meta = {name: value for name, value in version.meta.items() if name != "out"}
    return replace(version, meta=meta, note=""), data
