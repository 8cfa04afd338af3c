"""Documents that other programs' clients send: checked, and rid of what only the server says.

A *draft* is such a document before it has a place: no ``_id``, no event, no digest.
"""

from collections.abc import Mapping
from typing import Any

from cdb import names, register
from cdb.constant import BESIDE, NO_EXPERIMENT, RETIRED, SCHEMA
from cdb.errors import BadDocument, BadName, BadRun, shown
from cdb.stores.layout import COLUMNS
from cdb.stores.query import Document, check_fields
from cdb.validity import END, RunRange

# What the server says of a document; ignored where a client sends it back.
OWNED = frozenset(
    {"_id", "seq", "out", "order", "first", "end", "sha256", "nbytes", "schema", "replaces",
     "source", "adopted", "gate", "findings"}
)  # fmt: skip
DEFAULT_TIME = 1_000_000_000  # where a constant has no `time_sec`: the default of psana's `docdic`


def draft_of(given: object) -> Document:
    """Return what is kept of a client's document.

    Parameters
    ----------
    given : dict
        As JSON said it. With `detector` it is a constant, which psana's look-up must be able to
        read; without, it is stored as it is.

    Raises
    ------
    BadDocument
        If no store can hold it, or one such constant would stop look-ups of its detector.

    Examples
    --------
    >>> draft_of({"_id": "1", "seq": 7, "note": "text"})
    {'note': 'text'}
    """
    kept = _without_owned(given)
    if "detector" in kept:
        # They would be taken for what is said of the version.
        kept = {name: value for name, value in kept.items() if name not in BESIDE}
        kept |= _constant_fields(kept)
    check_fields(kept, COLUMNS)
    return kept


def register_draft_of(given: object, dettype: str) -> Document:
    """Return what is kept of a client's document for the register of detectors.

    Parameters
    ----------
    given : dict
        With `long` and `short`.
    dettype : str
        Type of the detector, which both names begin with.

    Raises
    ------
    BadDocument
        If a name is missing or is none.
    """
    kept = _without_owned(given)
    long, short = kept.get("long"), kept.get("short")
    if not isinstance(long, str) or not isinstance(short, str):
        raise BadDocument(
            f"the register wants `long` and `short` as texts, not {shown(long)} and {shown(short)}"
        )
    try:
        names.check_detector(long)
    except BadName as error:
        raise BadDocument(str(error)) from error
    fits = names.is_short_name(short) and names.detector_type(short) == dettype
    if not fits or names.detector_type(long) != dettype:
        raise BadDocument(
            f"{shown(long)} and {shown(short)} are not both names of type {dettype}; good ones "
            f"begin with {dettype}_, the short one ends with six digits"
        )
    kept.setdefault("seqnumber", names.sequence_number(short))
    if kept["seqnumber"] != register.number_of(kept) or isinstance(kept["seqnumber"], bool):
        raise BadDocument(
            f"seqnumber {shown(kept['seqnumber'])} is not the number in {short}; leave it out"
        )
    if "detector" in kept:
        raise BadDocument("an entry of the register has no `detector`; leave it out")
    check_fields(kept, COLUMNS)
    return kept


def _without_owned(given: object) -> Document:
    if not isinstance(given, Mapping):
        raise BadDocument(f"a document is a JSON object, not {shown(given)}")
    kept = {name: value for name, value in given.items() if name not in OWNED}
    check_fields(kept)
    _check_keys(kept)
    return kept


def _check_keys(value: Any) -> None:
    """Refuse a ``$`` anywhere in a key, which servers of old do not give back."""
    if isinstance(value, dict):
        for key, member in value.items():
            if "$" in key:
                raise BadDocument(f"the key {shown(key)} holds '$'; leave it out")
            _check_keys(member)
    elif isinstance(value, list):
        for member in value:
            _check_keys(member)


def _constant_fields(draft: Mapping[str, Any]) -> Document:
    """Return what the look-up of a constant needs besides what the client sent."""
    for name in ("detector", "ctype"):
        value = draft.get(name)
        if not isinstance(value, str) or not value:
            raise BadDocument(f"{name} is {shown(value)}; a constant's is a text, not empty")
    if draft["detector"].startswith(RETIRED):
        raise BadDocument(f"detector {shown(draft['detector'])} begins with {RETIRED!r}")
    time_sec = draft.get("time_sec", DEFAULT_TIME)
    if not _is_integer(time_sec):
        raise BadDocument(f"time_sec is {shown(time_sec)}; it is a Unix time in whole seconds")
    id_data = draft.get("id_data")
    if id_data is not None and not is_id(id_data):
        raise BadDocument(f"id_data is {shown(id_data)}; it is what the upload was answered with")
    experiment = draft.get("experiment") or NO_EXPERIMENT
    runs = _runs_of(draft)
    made = {"experiment": experiment, "time_sec": time_sec, "end": runs.stored_end}
    return {**made, "schema": SCHEMA}


def _runs_of(draft: Mapping[str, Any]) -> RunRange:
    run, end = draft.get("run"), draft.get("run_end")
    if not _is_integer(run):
        raise BadDocument(f"run is {shown(run)}; a constant's is an integer, 0 or more")
    is_digits = isinstance(end, str) and end.isascii() and end.isdigit()
    if not (_is_integer(end) or is_digits or end == END):
        raise BadDocument(f"run_end is {shown(end)}; a constant's is digits or {END!r}")
    try:
        return RunRange.parse(run, end)
    except BadRun as error:
        raise BadDocument(str(error)) from error


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_id(value: object) -> bool:
    """Return whether a value has the form of an identifier: 24 hexadecimal digits, lower case.

    Examples
    --------
    >>> is_id("615717800000070123456789"), is_id("all")
    (True, False)
    """
    return isinstance(value, str) and len(value) == 24 and not set(value) - set("0123456789abcdef")
