"""How many documents are visible in each collection: counted once, then told by the journal."""

import threading
from collections.abc import Iterable, Mapping
from typing import Any

from cdb.journal import Journal
from cdb.moments import Moment
from cdb.names import PREFIX
from cdb.stores.base import Place


class Tally:
    """The number of visible documents by place, of one journal.

    Parameters
    ----------
    journal : Journal
        Whose events keep it up to date.

    Notes
    -----
    Documents of other programs have no event. On a store that other programs share, collections
    that nothing is known of are counted when they are first seen.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._seq: int | None = None
        self._counts: dict[Place, int] = {}
        self._lock = threading.Lock()

    def counts(self) -> dict[Place, int]:
        """Return the places that have visible documents, with their number."""
        with self._lock:
            self._follow()
            return {place: number for place, number in self._counts.items() if number > 0}

    def present(self) -> tuple[Moment, dict[Place, int]]:
        """Return the present moment, and the places that have visible documents, with number."""
        if not self._journal.store.local:
            self._look_at(self._journal.store.databases())
        with self._lock:
            moment = self._follow()
            return moment, {place: number for place, number in self._counts.items() if number > 0}

    def databases(self) -> list[str]:
        """Return the databases with a visible document, sorted."""
        if not self._journal.store.local:
            self._look_at(self._journal.store.databases())
        return sorted({database for database, _ in self.counts()})

    def collections(self, database: str) -> list[str]:
        """Return a database's collections with a visible document, sorted."""
        if not self._journal.store.local:
            self._look_at([database])
        return sorted(name for place, name in self.counts() if place == database)

    def filed_under(self, short: str) -> list[str]:
        """Return the databases where constants are filed under a detector's short name, sorted."""
        return sorted(database for database, name in self.counts() if name == short)

    def _follow(self) -> Moment:
        """Bring the counts up to the present moment; return it."""
        moment = self._journal.moment()
        if self._seq is None:
            self._seq = moment.seq
            self._count(moment, self._stored(self._journal.store.databases()))
        elif moment.seq > self._seq:
            emptied: set[Place] = set()
            for event in self._journal.events(after=self._seq, upto=moment.seq):
                for made in event["versions"]:
                    place = (made["database"], made["collection"])
                    self._counts[place] = self._counts.get(place, 0) + _change(event, made)
                    if "set" in made and self._counts[place] <= 0:
                        emptied.add(place)
            self._seq = moment.seq
            # Whether nothing is left is worth a question: others may have added something.
            self._count(moment, emptied)
        return moment

    def _count(self, moment: Moment, places: Iterable[Place]) -> None:
        pending = {place for place in moment.added if place not in self._counts}
        for place in {*places, *pending}:
            self._counts[place] = self._journal.count(moment, *place)

    def _stored(self, databases: Iterable[str]) -> set[Place]:
        collections = self._journal.store.collections
        ours = [name for name in databases if name.startswith(PREFIX)]
        return {(name, collection) for name in ours for collection in collections(name)}

    def _look_at(self, databases: Iterable[str]) -> None:
        """Count the collections that nothing is known of, or that others added to."""
        with self._lock:
            moment = self._follow()
            unknown = set()
            for place in self._stored(databases):
                if self._counts.get(place, 0) > 0:
                    continue
                foreign = {"seq": {"$exists": False}}
                if place not in self._counts or any(
                    self._journal.find(moment, *place, foreign, detector=place[1], limit=1)
                ):
                    unknown.add(place)
            self._count(moment, unknown)


def _change(event: Mapping[str, Any], made: Mapping[str, Any]) -> int:
    """Return by how many documents an entry changes its place."""
    if "document" in made:
        return 0 if event["action"] == "adopt" else 1
    return -1 if "out" in made.get("set", {}) else 0
