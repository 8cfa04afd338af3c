"""The register of detectors in a store: short names found, new long names enrolled."""

from typing import NamedTuple

from cdb import lcls1_names, names, register
from cdb.errors import BadName, NotFound, shown
from cdb.events import Proposal, entry
from cdb.journal import Journal
from cdb.moments import Moment
from cdb.stores.base import new_id
from cdb.stores.query import Document
from cdb.validity import from_microseconds


class Enrolled(NamedTuple):
    """A detector's short name, and whether its long name is new to the register."""

    short: str
    new: bool


def short_name(journal: Journal, longname: str, moment: Moment) -> str:
    """Return the short name that the register holds for a long one.

    Parameters
    ----------
    journal : Journal
        Of the store to ask.
    longname : str
        Checked already.
    moment : Moment
        As of when.

    Raises
    ------
    NotFound
        If it is not in the register.
    """
    short = _match(journal, longname, moment)
    if short is None:
        dettype = names.detector_type(longname)
        raise NotFound(
            f"no detector {shown(longname)} is registered; a short name has the form "
            f"{dettype}_000001, `cdb detectors` shows them, and `cdb add` registers new ones"
        )
    return short


def enrol(journal: Journal, detector: str, *, dry_run: bool = False) -> Enrolled:
    """Return a detector's short name; register a long name that is new.

    Of a detector of LCLS-I, the whole name is registered, whichever part is given.

    Parameters
    ----------
    journal : Journal
        Of the store to write to.
    detector : str
        Short name, which is returned as it stands, or long name; checked already.
    dry_run : bool, optional
        Only say which short name it would get.

    Raises
    ------
    BadName
        If all numbers of its type are taken, or a new long name looks like a mistyped short one.
    """
    if names.is_short_name(detector):
        return Enrolled(detector, new=False)
    dettype = names.detector_type(detector)
    whole = lcls1_names.whole(detector)
    place = (names.REGISTER, dettype)
    key = "/".join(place)
    found = Enrolled("", new=False)

    def propose(moment: Moment) -> Proposal | None:
        nonlocal found
        known = _match(journal, detector, moment)
        if known is not None:
            found = Enrolled(known, new=False)
            return None
        _check_not_mistyped(whole)
        everything = [*journal.store.find(*place), *moment.added.get(place, {}).values()]
        number = register.next_number(dettype, everything, journal.store.databases())
        if not everything and not dry_run:
            journal.store.prepare(*place)
        found = Enrolled(names.short_name(dettype, number), new=True)
        return Proposal("register", "", lambda seq, at: [made(number, seq, at)], frozenset([key]))

    def made(number: int, seq: int, at: int) -> Document:
        document = register.new_entry(whole, number, id=new_id(at), time=from_microseconds(at))
        return entry(*place, document["_id"], key, document | {"seq": seq, "order": at})

    (journal.rehearse if dry_run else journal.commit)(propose)
    return found


def _match(journal: Journal, longname: str, moment: Moment) -> str | None:
    """Return the short name among the register's visible documents of a detector's type."""
    visible = journal.find(moment, names.REGISTER, names.detector_type(longname), {})
    return register.match(longname, map(register.unretired, visible))


def _check_not_mistyped(detector: str) -> None:
    """Refuse to register what differs from a short name only in the number of digits."""
    dettype, _, number = detector.partition("_")
    digits = number.lstrip("0")
    if number.isascii() and number.isdecimal() and len(digits) <= 6:
        meant = names.short_name(dettype, int(digits or 1))
        raise BadName(
            f"detector {shown(detector)} is not registered and looks like a short name, which has "
            f"six digits, as {meant}; the ids of panels in a long name are longer"
        )
