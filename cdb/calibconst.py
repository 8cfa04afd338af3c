"""The constants of a detector, by type: ``det.calibconst['pedestals'] -> (data, meta)``.

Knows no database: it is given the versions that hold, and how to read one.
"""

import html
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from cdb import validity
from cdb.constant import Version
from cdb.errors import NotFound, WrongState
from cdb.stamps import Cited, Stamp

Read = Callable[[Version], Any]
# A function of a module and its arguments: enough to make the same thing elsewhere.
Recipe = tuple[Callable[..., Any], tuple[Any, ...]]


class Calibconst(Mapping[str, tuple[Any, dict[str, Any]]]):
    """The constants of one detector, by type; all as of one state of the database.

    Listing, ``in`` and ``len`` fetch no payload; a payload is fetched on first use and kept.

    Parameters
    ----------
    title : str
        The detector and the question, for people.
    versions : mapping of str to Version
        What holds, by type.
    read : callable
        From a version to its data.
    searched : str
        Where it was looked, for messages.
    recipe : tuple
        How another process makes the same mapping, or None if it cannot.
    origin : Stamp
        The store, the state and the question: a stamp that names no constants yet.
    """

    def __init__(
        self,
        title: str,
        versions: Mapping[str, Version],
        read: Read,
        *,
        searched: str = "",
        recipe: Recipe | None = None,
        origin: Stamp | None = None,
    ) -> None:
        self._title = title
        self._versions = dict(sorted(versions.items()))
        self._read = read
        self._searched = searched
        self._recipe = recipe
        self._origin = origin
        self._data: dict[str, Any] = {}

    def version(self, ctype: str) -> Version:
        """Return the version that holds for a type, without its data.

        Raises
        ------
        NotFound
            Naming the types there are.
        """
        try:
            return self._versions[ctype]
        except KeyError:
            raise NotFound(
                f"no {ctype} of {self._title} in {self._searched}; "
                f"there are: {', '.join(self) or 'none'}"
            ) from None

    @property
    def used(self) -> list[str]:
        """The types whose data this process has read, in the order of first use."""
        return list(self._data)

    def stamp(self, ctypes: Iterable[str] | None = None) -> Stamp:
        """Return what to write into one's results, so that `cdb.replay` gives these bytes again.

        Parameters
        ----------
        ctypes : iterable of str, optional
            Only these types, for example those in `used`; all without it.

        Raises
        ------
        NotFound
            Naming the types there are.
        WrongState
            If nothing tells the store from others: no event was ever written to it.
        """
        if self._origin is None or not self._origin.server:
            raise WrongState(
                f"the store that {self._title} is of has no identity yet, for nothing was written "
                "to it by cdb; `cdb adopt` takes in what other programs wrote, `cdb import` "
                "what lies elsewhere"
            )
        versions = [self.version(ctype) for ctype in (self if ctypes is None else ctypes)]
        cited = {v.ctype: Cited(v.database, v.id, v.sha256, v.nbytes) for v in versions}
        return replace(self._origin, constants=cited)

    def __getitem__(self, ctype: str) -> tuple[Any, dict[str, Any]]:
        """Return (data, meta): a read-only array, a text or whatever was stored, and its document.

        Raises
        ------
        NotFound
            If no version of this type holds.
        Corrupt
            If the stored bytes are not those that were deployed.
        """
        version = self.version(ctype)
        if ctype not in self._data:
            self._data[ctype] = self._read(version)
        return self._data[ctype], dict(version.meta)

    def __contains__(self, ctype: object) -> bool:
        """Return whether a version of this type holds; nothing is fetched to say so."""
        return ctype in self._versions

    def __iter__(self) -> Iterator[str]:
        """Iterate over the types, sorted."""
        return iter(self._versions)

    def __len__(self) -> int:
        """Return the number of types."""
        return len(self._versions)

    def __repr__(self) -> str:
        """Return one line: the detector and the types."""
        return f"<Calibconst {self._title}: {', '.join(self) or 'nothing'}>"

    def _repr_html_(self) -> str:
        """Return the table that a notebook shows."""
        head = ("type", "shape", "dtype", "runs", "valid from", "version", "comment")
        rows = [head, *(_cells(version) for version in self._versions.values())]
        lines = [
            "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row) + "</tr>"
            for row, tag in zip(rows, ["th"] + ["td"] * len(self), strict=True)
        ]
        return f"<table><caption>{html.escape(self._title)}</caption>{''.join(lines)}</table>"

    def __reduce__(self) -> Recipe:
        """Pickle by reference: the store, the question and the state, not the data."""
        if self._recipe is None:
            raise WrongState(
                "constants of a memory:// store cannot go to another process: its data are in "
                "this one; use file:// or mongodb://"
            )
        return self._recipe


def _cells(version: Version) -> tuple[str, ...]:
    meta = version.meta
    return (
        version.ctype,
        str(meta.get("data_shape", "")),
        str(meta.get("data_dtype", meta.get("data_type", ""))),
        str(version.runs or "?"),
        validity.to_the_second(version.time),
        str(meta.get("version", "")),
        str(meta.get("comment", "")),
    )
