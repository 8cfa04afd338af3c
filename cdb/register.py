"""The register of detectors: long name <-> short name. Pure rules over its documents."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from cdb import names, validity
from cdb.actor import actor
from cdb.constant import RETIRED
from cdb.errors import BadName
from cdb.stores.query import Document


def match(longname: str, documents: Iterable[Mapping[str, Any]]) -> str | None:
    """Return the short name that a register holds for a long one.

    Parameters
    ----------
    longname : str
        Detector type, then the ids of its panels, joined by ``_``.
    documents : iterable of mapping
        The register's documents of that type.

    Returns
    -------
    short : str or None
        Of an exact match, else of a detector that has all the panels, in any order; of several
        the lowest number.

    Examples
    --------
    >>> match("epix_b", [{"long": "epix_a_b", "short": "epix_000001", "seqnumber": 1}])
    'epix_000001'
    """
    known = [document for document in documents if is_entry(document)]
    exact = [document for document in known if document["long"] == longname]
    panels = set(names.panel_ids(longname))
    whole = [d for d in known if panels and panels <= set(names.panel_ids(d["long"]))]
    best = min(exact or whole, key=number_of, default=None)
    return None if best is None else str(best["short"])


def unretired(document: Mapping[str, Any]) -> Document:
    """Return a register document by the names that it had before it was retired."""
    shown = dict(document)
    if "retired" in shown:
        shown["long"] = shown.pop("retired")
        shown["short"] = str(shown.get("short", "")).removeprefix(RETIRED)
    return shown


def retired(document: Mapping[str, Any]) -> Document:
    """Return what is set and unset in a register document that leaves; see `unretired`."""
    names_ = {"retired": document["long"], "short": RETIRED + document["short"]}
    return {"set": names_, "unset": ["long"]}


def is_entry(document: Mapping[str, Any]) -> bool:
    """Return whether a document of the register can be used: it has both names, as texts."""
    return isinstance(document.get("long"), str) and isinstance(document.get("short"), str)


def number_of(document: Mapping[str, Any]) -> int:
    """Return an entry's number: of its short name, or what it says itself."""
    short = str(document.get("short", "")).removeprefix(RETIRED)
    if names.is_short_name(short):
        return names.sequence_number(short)
    number = document.get("seqnumber")
    return number if isinstance(number, int) else names.LAST_NUMBER


def next_number(
    dettype: str, documents: Iterable[Mapping[str, Any]], databases: Iterable[str]
) -> int:
    """Return a number that no detector of a type has had.

    It is above every number in the register, retired ones included, and above that of every
    database of a detector of this type, so that nobody inherits the constants of another; also
    where the type is written with other capitals, since such databases cannot stand side by side.

    Raises
    ------
    BadName
        If all numbers are taken.
    """
    taken = [0]
    for document in documents:
        number = document.get("seqnumber")
        taken += [number] if isinstance(number, int) else []
        short = str(document.get("short", "")).removeprefix(RETIRED)
        taken += [names.sequence_number(short)] if names.is_short_name(short) else []
    for database in databases:
        short = database.removeprefix(names.PREFIX)[: len(dettype) + 7]
        if names.is_short_name(short) and names.detector_type(short).lower() == dettype.lower():
            taken.append(names.sequence_number(short))
    number = max(taken) + 1
    if number > names.LAST_NUMBER:
        raise BadName(f"all {names.LAST_NUMBER} numbers of detector type {dettype} are taken")
    return number


def new_entry(longname: str, number: int, *, id: str, time: datetime) -> Document:  # noqa: A002
    """Return a register document, as psana's clients write it."""
    writer = actor()
    return {
        "_id": id,
        "long": longname,
        "short": names.short_name(names.detector_type(longname), number),
        "seqnumber": number,
        "uid": writer.login,
        "host": writer.host,
        "cwd": writer.folder,
        "time_sec": time.timestamp(),
        "time_stamp": validity.time_stamp(time),
    }
