"""Two constants beside each other: versions in a database, files, or one of each."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cdb import difference
from cdb.constant import Version
from cdb.difference import Difference
from cdb.drafts import is_id
from cdb.files import formats
from cdb.reading import AsOf, Readable
from cdb.stores.base import Progress


@dataclass(frozen=True)
class Side:
    """One of two constants that are compared.

    Attributes
    ----------
    name : str
        What it was asked for by.
    data : ndarray, str or other
        Its payload.
    version : Version or None
        None of a file.
    """

    name: str
    data: Any = field(repr=False)
    version: Version | None = None


@dataclass(frozen=True)
class Comparison:
    """Two constants, and what differs between them.

    Attributes
    ----------
    a, b : Side
        What was compared.
    dettype, ctype : str
        As what: detector type and type of the constants; empty if nobody says.
    difference : Difference
        Of *b* against *a*.
    """

    a: Side
    b: Side
    dettype: str
    ctype: str
    difference: Difference

    def as_json(self) -> dict[str, Any]:
        """Return it for a script."""
        sides = {
            name: {"name": side.name, "constant": side.version and side.version.as_json()}
            for name, side in (("a", self.a), ("b", self.b))
        }
        kinds = {"detector_type": self.dettype, "ctype": self.ctype}
        return {**sides, **kinds, **self.difference.as_json()}


def compare(
    db: Readable,
    a: str | Path,
    b: str | Path,
    *,
    ctype: str | None = None,
    dettype: str | None = None,
    dtype: str | None = None,
    as_of: AsOf | None = None,
    tag: str | None = None,
    allow_pickle: bool = False,
    progress: Progress | None = None,
) -> Comparison:
    """Return what differs between two constants.

    Parameters
    ----------
    db : Readable
        Where versions are; for two files it is not asked.
    a, b : str or Path
        The id of a version, which may have left, or the path of a file.
    ctype, dettype : str, optional
        Type of the constants and of the detector, where files alone do not say them.
    dtype : str, optional
        File type, see `cdb.files.formats.read`.
    as_of : int, datetime or str, optional
        Event or time.
    tag : str, optional
        Tag, instead.
    allow_pickle : bool, optional
        Whether to read a pickle: arrays and plain containers only.
    progress : callable, optional
        Called with the number of bytes downloaded, then compared, since the last call.

    Returns
    -------
    comparison : Comparison
        Differences are those of b against a.

    Raises
    ------
    NotFound
        If there is no such version.
    BadFile
        If a file is not what it should be.
    Corrupt, Purged
        If the bytes of a version are damaged or gone.

    Examples
    --------
    >>> import cdb, numpy
    >>> db, names = cdb.open("memory://"), {"detector": "epix100_000001", "ctype": "pedestals"}
    >>> first, second = (db.add(numpy.full((2, 2), level), **names) for level in (100.0, 101.5))
    >>> compare(db, first.id, second.id).difference.total.numbers.mean
    1.5
    """
    versions = [
        db.version_by_id(given, as_of=as_of, tag=tag)
        if isinstance(given, str) and is_id(given)
        else None
        for given in (a, b)
    ]
    known = next((version for version in versions if version is not None), None)
    of_type = ctype or (known.ctype if known else "")
    of_detector = dettype or (known.dettype if known else "")
    sides = [
        Side(str(given), formats.read(given, ctype=of_type, dtype=dtype, allow_pickle=allow_pickle))
        if version is None
        else Side(
            version.id, db.data(version, allow_pickle=allow_pickle, progress=progress), version
        )
        for given, version in zip((a, b), versions, strict=True)
    ]
    found = difference.of(
        sides[0].data, sides[1].data, dettype=of_detector, ctype=of_type, progress=progress
    )
    return Comparison(sides[0], sides[1], of_detector, of_type, found)
