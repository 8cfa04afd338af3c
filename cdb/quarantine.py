"""Versions in quarantine: stored, never seen by a look-up, waiting for somebody to let them in.

Such a version is added and leaves by the same event, `quarantine`, so everything that knows when
a version left keeps it out, psana's clients among it. Letting it in is a copy, as restoring is;
see `cdb.deployments`.
"""

from collections.abc import Callable, Iterator

from cdb import deployments, listing, names
from cdb.constant import QUARANTINED, RETIRED, Version, is_quarantined, version_of
from cdb.journal import Journal
from cdb.ledger import places
from cdb.moments import Moment
from cdb.names import REGISTER
from cdb.stores.base import Place


def waiting(
    journal: Journal,
    moment: Moment,
    *,
    detector: str | None = None,
    experiment: str | None = None,
    may_read: Callable[[str], bool] = lambda _: True,
) -> list[Version]:
    """Return the versions that wait in quarantine, newest first; of two copies the experiment's.

    Parameters
    ----------
    journal : Journal
        Of the store to ask.
    moment : Moment
        As of when.
    detector : str, optional
        Only of this one; short name.
    experiment : str, optional
        Only what this one deployed.
    may_read : callable, optional
        From the name of a database to whether it is to be looked into.
    """
    found: dict[str, Version] = {}
    for place in _places(journal, moment, detector, experiment):
        if may_read(place[0]):
            found |= {version.id: version for version in _in_place(journal, moment, place)}
    copies = [v for v in found.values() if experiment in (None, v.experiment)]
    chosen = [v for v in copies if v.meta.get("id_doc_exp") not in found]
    return sorted(chosen, key=lambda v: (v.seq or 0, v.id), reverse=True)


def _places(
    journal: Journal, moment: Moment, detector: str | None, experiment: str | None
) -> Iterator[Place]:
    """Yield where to look: everywhere, if nothing is named, private databases among it."""
    if experiment is not None:
        yield from listing.shelves(journal, moment, detector, experiment, None)
        return
    for place in dict.fromkeys([*places(journal.store), *moment.added]):
        database, collection = place
        filed = database.startswith(names.PREFIX) and database != REGISTER
        if filed and detector in (None, collection):
            yield place


def _in_place(journal: Journal, moment: Moment, place: Place) -> Iterator[Version]:
    database, collection = place
    query = {"detector": RETIRED + collection, "gate": QUARANTINED}
    documents = {d["_id"]: d for d in journal.store.find(database, collection, query)}
    documents |= moment.added.get(place, {})
    found = [d for d in documents.values() if is_quarantined(d) and moment.knows(d)]
    if not found:
        return
    fates = deployments.fates_of(journal, [d["_id"] for d in found], upto=moment.seq)
    for document in found:
        if deployments.waits(journal, fates[document["_id"]], moment.seq):
            yield version_of(document, database, collection, seq=moment.seq)
