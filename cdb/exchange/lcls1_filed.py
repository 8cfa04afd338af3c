"""What an experiment has already of a type, when a tree comes in: by file, and by runs."""

from collections.abc import Iterable

from cdb.constant import Version, order_of
from cdb.exchange.lcls1_told import as_in_names, is_hidden, place_of
from cdb.exchange.lcls1_tree import Item
from cdb.validity import RunRange

# Why a version is retired whose file left the tree: if the file comes back, so does a version.
GONE = "gone from the tree"


class Filed:
    """The versions of one type that an experiment has already.

    Parameters
    ----------
    versions : iterable of Version
        All of them, those that have left too.
    """

    def __init__(self, versions: Iterable[Version]) -> None:
        self._by_place: dict[tuple[str, bool], Version] = {}
        self._in_force: dict[RunRange, Version] = {}
        for version in sorted(versions, key=lambda each: (order_of(each.meta), each.seq or 0)):
            place = place_of(version)
            if place:
                self._by_place[place, is_hidden(version)] = version
            if version.out is None and version.runs is not None:
                self._in_force[as_in_names(version.runs)] = version

    def of_file(self, item: Item) -> Version | None:
        """Return the last version that an import made of a file, unless it went with the file."""
        found = self._by_place.get((item.place, bool(item.retired)))
        return None if found is not None and GONE in found.note else found

    def in_force(self, item: Item) -> Version | None:
        """Return the version in force for the very runs of a file that readers choose."""
        return None if item.retired or item.part else self._in_force.get(item.runs)
