"""How the values of a constant went from version to version."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from cdb import statistics
from cdb.computed import Computed
from cdb.constant import Version, order_of
from cdb.errors import BadFile, BadQuestion, Purged
from cdb.reading import AsOf, Readable, Time
from cdb.statistics import Numbers, PartNumbers, joined
from cdb.stores.base import Progress
from cdb.validity import parse_time

# States of versions that look-ups see.
VISIBLE = ("live", "unadopted")
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_NO_NUMBERS = "no numbers"
UNREADABLE = "cannot be read"


@dataclass(frozen=True)
class Point:
    """A version, and the numbers of its values.

    Attributes
    ----------
    version : Version
        Without its data.
    parts : tuple of PartNumbers
        By gain range and panel, as far as they were asked for.
    note : str
        Why there are no numbers, if there are none.
    """

    version: Version
    parts: tuple[PartNumbers, ...] = ()
    note: str = ""

    @property
    def numbers(self) -> Numbers | None:
        """The numbers of all parts together; None if there are none."""
        return joined(part.numbers for part in self.parts) if self.parts else None

    def as_json(self) -> dict[str, Any]:
        """Return it for a script."""
        version, numbers = self.version, self.numbers
        return {
            "id": version.id,
            "seq": version.seq,
            "state": version.state,
            "valid_from": version.time and version.time.isoformat(),
            "runs": str(version.runs or "?"),
            "sha256": version.sha256,
            "numbers": numbers and numbers.as_json(),
            "parts": [
                {"gain": part.gain, "panel": part.panel, **part.numbers.as_json()}
                for part in self.parts
            ],
            "note": self.note,
        }


def by_gain(parts: Iterable[PartNumbers]) -> dict[str | None, Numbers]:
    """Return the numbers of each gain range, its panels together."""
    several: dict[str | None, list[Numbers]] = {}
    for part in parts:
        several.setdefault(part.gain, []).append(part.numbers)
    return {gain: joined(numbers) for gain, numbers in several.items()}


def age_order(version: Version) -> tuple[datetime, int, int]:
    """Return what sorts versions: begin of validity, place among equals, event."""
    return version.time or _LONG_AGO, order_of(version.meta), version.seq or 0


def versions_of(
    db: Readable,
    detector: str,
    ctype: str,
    *,
    experiment: str | None = None,
    dbsuffix: str | None = None,
    since: Time | None = None,
    left: bool = False,
    as_of: AsOf | None = None,
    tag: str | None = None,
) -> list[Version]:
    """Return the versions that a trend is of, the oldest first by their begin of validity.

    Parameters
    ----------
    db : Readable
        Where they are.
    detector, ctype, experiment, dbsuffix, as_of, tag : optional
        See `Readable.history`.
    since : datetime, int, float or str, optional
        Only versions that are valid from this time or later.
    left : bool, optional
        Also those that were retired or replaced.
    """
    begin = None if since is None else parse_time(since)
    found = db.history(
        detector, ctype, experiment=experiment, dbsuffix=dbsuffix, as_of=as_of, tag=tag
    )
    chosen = [
        version
        for version in found
        if version.time is not None
        and (left or version.state in VISIBLE)
        and (begin is None or version.time >= begin)
    ]
    return sorted(chosen, key=age_order)


def _question(version: Version) -> tuple[str, ...] | None:
    """Return what numbers are kept by; None where no digest names the bytes."""
    if version.sha256 is None:
        return None
    read_as = (version.meta.get(name) for name in ("data_type", "data_dtype", "data_shape"))
    return (version.sha256, *map(str, read_as), version.dettype, version.ctype)


def are_kept(version: Version, kept: Computed | None) -> bool:
    """Return whether the numbers of a version can be told without reading its data."""
    question = _question(version)
    return kept is not None and question is not None and kept.get(question) is not None


def numbers_of(
    db: Readable,
    version: Version,
    *,
    kept: Computed | None = None,
    progress: Progress | None = None,
) -> Point:
    """Return the numbers of one version, by gain range and panel.

    Parameters
    ----------
    db : Readable
        Where its data are.
    version : Version
        Of an array; of anything else the note says that it has no numbers.
    kept : Computed, optional
        Where numbers are kept; None computes them.
    progress : callable, optional
        Called with the number of bytes whose numbers were computed since the last call.

    Raises
    ------
    Corrupt
        If the stored bytes are not those that were deployed.
    """
    if version.meta.get("data_type") != "ndarray":
        return Point(version, note=f"{_NO_NUMBERS}, it is {version.meta.get('data_type')}")
    question = _question(version)
    if kept is not None and question is not None:
        known = kept.get(question)
        if known is not None:
            return Point(version, tuple(known))
    try:
        array = db.data(version)
    except Purged:
        return Point(version, note="its data were purged")
    except BadFile as error:  # in a tree of files; the others can be read all the same
        return Point(version, note=f"{UNREADABLE}: {error}")
    if not isinstance(array, np.ndarray) or not statistics.has_numbers(array):
        return Point(version, note=f"{_NO_NUMBERS}, it is {version.meta.get('data_dtype')}")
    parts = statistics.of_array(array, dettype=version.dettype, ctype=version.ctype)
    if kept is not None and question is not None:
        kept.put(question, parts)
    if progress is not None:
        progress(array.nbytes)
    return Point(version, tuple(parts))


def trend(
    db: Readable,
    versions: Iterable[Version],
    *,
    panel: int | None = None,
    gain: str | None = None,
    kept: Computed | None = None,
    progress: Progress | None = None,
) -> list[Point]:
    """Return the numbers of several versions.

    Parameters
    ----------
    db : Readable
        Where their data are.
    versions : iterable of Version
        As `versions_of` gives them.
    panel : int, optional
        Only this panel, from 0.
    gain : str, optional
        Only this gain range, see `cdb.shapes.AREAS`.
    kept, progress : optional
        See `numbers_of`.

    Raises
    ------
    BadQuestion
        If no version has numbers, or that panel or gain range.

    Examples
    --------
    >>> import cdb
    >>> db, names = cdb.open("memory://"), {"detector": "epix100_000001", "ctype": "pedestals"}
    >>> for day in (1, 2):
    ...     dark = np.full((2, 3), 100.0 + day)
    ...     version = db.add(dark, time=f"2021-10-0{day}T00:00:00Z", **names)
    >>> points = trend(db, versions_of(db, **names))
    >>> [point.numbers.mean for point in points]
    [101.0, 102.0]
    """
    points = [numbers_of(db, version, kept=kept, progress=progress) for version in versions]
    chosen = [_chosen(point, panel, gain) for point in points]
    if points and all(point.note.startswith(_NO_NUMBERS) for point in points):
        raise BadQuestion(f"{points[-1].version.ctype} has {points[-1].note}; a trend is of arrays")
    there = [part for point in points for part in point.parts]
    if there and not any(point.parts for point in chosen):
        panels = sorted({part.panel for part in there if part.panel is not None})
        gains = dict.fromkeys(part.gain for part in there if part.gain is not None)
        of_panels = f"panels {panels[0]} to {panels[-1]}" if panels else "no panels"
        raise BadQuestion(
            f"no version has {_asked(panel, gain)}; there are {of_panels}, and "
            f"{'gain ranges ' + ', '.join(gains) if gains else 'no gain ranges'}"
        )
    return chosen


def _chosen(point: Point, panel: int | None, gain: str | None) -> Point:
    parts = tuple(
        part
        for part in point.parts
        if (panel is None or part.panel == panel) and (gain is None or part.gain == gain)
    )
    note = f"it has no {_asked(panel, gain)}" if point.parts and not parts else point.note
    return replace(point, parts=parts, note=note)


def _asked(panel: int | None, gain: str | None) -> str:
    names = ([] if panel is None else [f"panel {panel}"]) + (
        [] if gain is None else [f"gain range {gain}"]
    )
    return " in ".join(names)
