"""Removing for good the bytes of versions that have left and that nothing visible names.

Documents and events stay: it is known for ever what there was, who removed its bytes, when and
why. The event comes first and names what it removes; who is killed between it and the removal is
finished by whoever comes next, as with any pending event.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cdb import tags
from cdb.constant import RETIRED, Version, version_of
from cdb.errors import BadQuestion
from cdb.events import PURGE, Proposal, entry
from cdb.journal import Journal
from cdb.ledger import places
from cdb.moments import Moment
from cdb.names import REGISTER
from cdb.stores.query import Document

AT_ONCE = 5_000

Name = tuple[str, str]


@dataclass(frozen=True)
class Choice:
    """Which of the versions that have left.

    Attributes
    ----------
    detector, ctype, experiment : str or None
        Only versions of these; the experiment is the one that deployed them.
    before : int or None
        Only versions that had left by this event.
    """

    detector: str | None = None
    ctype: str | None = None
    experiment: str | None = None
    before: int | None = None

    def admits(self, version: Version) -> bool:
        """Return whether a version that has left is one of those."""
        return (
            self.detector in (None, version.detector)
            and self.ctype in (None, version.ctype)
            and self.experiment in (None, version.experiment)
            and (self.before is None or (version.out or 0) <= self.before)
        )


@dataclass(frozen=True)
class Purgeable:
    """Bytes that only versions name which have left.

    Attributes
    ----------
    database, blob_id : str
        Where they are.
    nbytes : int
        Length [bytes].
    versions : tuple of Version
        Who names them.
    tags : tuple of str
        The tags, invalid ones left out, in whose states one of them is visible, or that pin one:
        for these the bytes stay.
    """

    database: str
    blob_id: str
    nbytes: int
    versions: tuple[Version, ...]
    tags: tuple[str, ...] = ()


def purgeable(journal: Journal, choice: Choice) -> tuple[list[Purgeable], int]:
    """Return the bytes that a purge would remove, and the head that this was seen at.

    Parameters
    ----------
    journal : Journal
        Of the store.
    choice : Choice
        Which versions; bytes that also others name stay, and those with `Purgeable.tags`.
    """
    moment = journal.moment()
    needs = tags.needs(journal, moment)
    filed: dict[str, list[str]] = {}
    for database, collection in places(journal.store):
        if database != REGISTER:
            filed.setdefault(database, []).append(collection)
    found: list[Purgeable] = []
    for database, collections in filed.items():
        for one in _in_database(journal, moment, database, collections, choice):
            found.append(replace(one, tags=_needed(needs, one)))
    return found, moment.seq


def _in_database(
    journal: Journal, moment: Moment, database: str, collections: Iterable[str], choice: Choice
) -> Iterator[Purgeable]:
    kept = {
        document.get("id_data")
        for place, added in moment.added.items()
        if place[0] == database
        for document in added.values()
    }
    gone: dict[str, list[Version]] = {}
    for collection in collections:
        for document in journal.store.find(database, collection):
            version = version_of(document, database, collection)
            blob_id = str(document.get("id_data"))
            if version.seq is not None and version.out is not None and choice.admits(version):
                gone.setdefault(blob_id, []).append(version)
            else:
                kept.add(blob_id)
    if not gone.keys() - kept:
        return
    for blob in journal.store.blobs(database):
        if blob.id in gone and blob.id not in kept and journal.store.blob(database, blob.id):
            yield Purgeable(database, blob.id, blob.nbytes, tuple(gone[blob.id]))


def _needed(needs: Iterable[tags.Need], one: Purgeable) -> tuple[str, ...]:
    """Return the tags that answer with any version of some bytes."""
    return tuple(
        need.tag
        for need in needs
        if any(need.is_for(version.id, version.seq, version.out) for version in one.versions)
    )


def purge(
    journal: Journal, found: Sequence[Purgeable], *, seen: int, reason: str
) -> list[Purgeable]:
    """Remove bytes for good, under events that name them; return which were.

    Parameters
    ----------
    journal : Journal
        Of the store.
    found : sequence of Purgeable
        As `purgeable` found them; what a visible version or a tag names, or has come to name
        since, is left.
    seen : int
        The head that they were seen at.
    reason : str
        Why; it is kept.
    """
    if not reason.strip():
        raise BadQuestion("a reason is needed: it is what others will read years later")
    purged: list[Purgeable] = []
    for start in range(0, len(found), AT_ONCE):
        purged += _purge_some(journal, found[start : start + AT_ONCE], seen, reason)
    return purged


def _purge_some(
    journal: Journal, found: Sequence[Purgeable], seen: int, reason: str
) -> list[Purgeable]:
    some = {(one.database, one.blob_id): one for one in found}
    chosen: list[Purgeable] = []

    def propose(moment: Moment) -> Proposal | None:
        named = _named_since(journal, seen, moment)
        needs = tags.needs(journal, moment)
        chosen[:] = [
            one for name, one in some.items() if name not in named and not _needed(needs, one)
        ]
        entries = [_entry(one) for one in chosen]
        blobs = frozenset((one.database, one.blob_id) for one in chosen)
        return _Purge(
            PURGE, reason, lambda *_: entries, keys=frozenset(), blobs=blobs
        ) if chosen else None  # fmt: skip

    journal.commit(propose)
    return chosen


def _entry(one: Purgeable) -> Document:
    ids = [version.id for version in one.versions]
    key = f"{one.database}/fs.files"
    return entry(one.database, "fs.files", one.blob_id, key, nbytes=one.nbytes, of=ids)


def _named_since(journal: Journal, seen: int, moment: Moment) -> set[Name]:
    """Return the bytes that events after the one seen name, to add or to remove them."""
    events = [*journal.events(after=seen, upto=moment.seq), *moment.pending]
    return {name for event in events if event["_id"] > seen for name in _names(event)}


def _names(event: Mapping[str, Any]) -> Iterator[Name]:
    for made in event["versions"]:
        if "document" in made:
            yield made["database"], str(made["document"].get("id_data"))
        elif event["action"] == PURGE:
            yield made["database"], made["id"]


class _Purge(Proposal):
    """A purge, which rests on nobody naming the bytes, and on the tags there are."""

    def is_stale_after(self, event: Mapping[str, Any]) -> bool:
        """Return whether an event names bytes that were to be removed, or is of a tag."""
        return event["action"] == tags.TAG or any(name in self.blobs for name in _names(event))


def detectors_of(found: Iterable[Purgeable]) -> dict[str, list[Purgeable]]:
    """Return bytes by the detector of the versions that name them."""
    by_detector: dict[str, list[Purgeable]] = {}
    for one in found:
        name = one.versions[0].detector.removeprefix(RETIRED)
        by_detector.setdefault(name, []).append(one)
    return dict(sorted(by_detector.items()))
