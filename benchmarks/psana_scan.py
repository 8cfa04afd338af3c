"""Look-up as psana's client does it: all documents of a detector, filtered and sorted in Python.

The rule is that of `../shared/reference/lcls2-cdb.md`, section 2.2: the server filters by
equality and ``run <= asked``, the client sorts what came by first run, last run and second of
insertion, and takes the last one that covers the run. The way over HTTP, and the parsing of the
reply, are not counted here.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

LAST_RUN = 9999  # what psana takes `end` for

Document = Mapping[str, Any]


class Range(NamedTuple):
    """What psana's client makes of a document."""

    begin: int
    end: int
    inserted: int
    document: Document


def range_of(document: Document) -> Range:
    """Return the run range of a document, and the second in its `_id`."""
    end = LAST_RUN if document["run_end"] == "end" else int(document["run_end"])
    return Range(document["run"], end, int(document["_id"][:8], 16), document)


def choose(documents: Iterable[Document], detector: str, ctype: str, run: int) -> Document | None:
    """Return the document that holds for a run.

    Parameters
    ----------
    documents : iterable of mapping
        All documents of a collection.
    detector, ctype, run
        What is asked.
    """
    asked = [
        range_of(document)
        for document in documents
        if document["detector"] == detector
        and document["ctype"] == ctype
        and document["run"] <= run
    ]
    asked.sort(key=lambda found: (found.begin, -found.end, found.inserted))
    return next((f.document for f in reversed(asked) if f.begin <= run <= f.end), None)
