"""A constant version: its document, made and read; the names of its fields.

The document is LCLS-II's, field for field, so that psana reads what is written here; what we add
stands in `docs/mongodb.md`. Documents of older and other writers may lack any field.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cdb import names, sources, validity
from cdb.actor import actor
from cdb.errors import BadDocument, shown
from cdb.stores.query import check_fields
from cdb.validity import RunRange

SCHEMA = 1
QUARANTINED = "quarantined"  # in `gate`; see `cdb.inspection`
RETIRED = "retired:"  # before the detector's name once a version is retired

# What the 30 fields hold where the caller gives nothing (LCLS-II's `docdic`).
DEFAULT_VERSION = "V2021-10-08"
DEFAULT_COMMENT = "no comment"
NO_EXPERIMENT = "undefined"
NO_COPY = "N/A"

# What a caller may give as text, and as a dict.
_TEXTS = {
    "version", "comment", "detname", "longname", "dettype", "dtype", "tstamp_orig", "iofname",
    "unit", "valid_from", "valid_until",
}  # fmt: skip
_TABLES = {"extpars", "conditions", "source"}

# What `adopt` gives a document of another program; its other fields are not written.
ADOPTED = (
    "experiment", "run", "time_sec", "sha256", "nbytes", "end", "schema", "order", "first", "seq",
    "adopted",
)  # fmt: skip

# What is said of a version beside the fields of its document; a field so called is not shown.
BESIDE = ("id", "seq", "state", "note", "database", "collection")

# What `amend` may change besides the validity.
AMENDABLE = ("version", "comment", "unit", "conditions", "valid_from", "valid_until", "source")


@dataclass(frozen=True)
class Version:
    """One version of a constant, without its data.

    Attributes
    ----------
    id : str
        Of its document; of the experiment's copy where there are two.
    database, collection : str
        Where that document is.
    meta : dict
        The document, with psana's field names.
    new : bool
        False if `add` found it there already.
    note : str
        Why it left, as far as the journal was asked.
    """

    id: str
    database: str
    collection: str
    meta: dict[str, Any] = field(repr=False)
    new: bool = False
    note: str = ""

    @property
    def detector(self) -> str:
        """Short name of the detector."""
        return str(self.meta.get("detector", ""))

    @property
    def dettype(self) -> str:
        """Type of the detector, as its name begins."""
        return self.detector.partition("_")[0]

    @property
    def ctype(self) -> str:
        """Type of the constant."""
        return str(self.meta.get("ctype", ""))

    @property
    def experiment(self) -> str | None:
        """The experiment that deployed it."""
        name = self.meta.get("experiment")
        return None if name in (None, "", NO_EXPERIMENT) else str(name)

    @property
    def runs(self) -> RunRange | None:
        """The runs that it is valid for; None if the document's cannot be understood."""
        return validity.range_of(self.meta)

    @property
    def time(self) -> datetime | None:
        """Begin of validity, UTC; None if the document's cannot be understood."""
        return validity.time_of(self.meta)

    @property
    def seq(self) -> int | None:
        """The event that added it; None for another program's document."""
        return _event(self.meta.get("seq"))

    @property
    def out(self) -> int | None:
        """The event that retired or replaced it."""
        return _event(self.meta.get("out"))

    @property
    def sha256(self) -> str | None:
        """Digest of the payload, hexadecimal; None where no writer of ours stored it."""
        return self.meta.get("sha256")

    @property
    def nbytes(self) -> int | None:
        """Length of the payload [bytes]."""
        return self.meta.get("nbytes")

    @property
    def state(self) -> str:
        """``live``, ``retired``, ``quarantined``, or ``unadopted`` for another program's."""
        if is_quarantined(self.meta):
            return "quarantined"
        if self.out is not None:
            return "retired"
        return "live" if self.seq is not None else "unadopted"

    @property
    def findings(self) -> list[dict[str, Any]]:
        """What the rules found when it was added: `code`, `severity`, `message` and more."""
        found = self.meta.get("findings")
        # Other programs may call anything so.
        return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []

    def as_json(self) -> dict[str, Any]:
        """Return the document's fields with `id`, `seq` and `state`."""
        note = {"note": self.note} if self.note else {}
        fields = {name: value for name, value in self.meta.items() if name not in BESIDE}
        return {"id": self.id, "seq": self.seq, "state": self.state, **note, **fields}


def version_of(
    document: Mapping[str, Any], database: str, collection: str, *, seq: int | None = None
) -> Version:
    """Return the version that a stored document describes; its detector by its own name.

    As of an event `seq`, what happened to it later is not said: the answer stays the same.
    """
    meta = dict(document)
    detector = meta.get("detector")
    if isinstance(detector, str):
        meta["detector"] = detector.removeprefix(RETIRED)
    if seq is not None and (_event(meta.get("out")) or 0) > seq:
        del meta["out"]
    return Version(str(document["_id"]), database, collection, meta)


def _event(number: Any) -> int | None:
    """Return the number of an event; None if another program spoilt it."""
    return number if isinstance(number, int) else None


def hidden(document: Mapping[str, Any]) -> dict[str, str]:
    """Return what is set in a document that leaves, so that psana's queries do not find it."""
    detector = document.get("detector")
    return {"detector": RETIRED + detector} if isinstance(detector, str) else {}


def left_at_once(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a placed document as one that leaves with the event that adds it."""
    return {**document, **hidden(document), "out": document["seq"]}


def is_quarantined(document: Mapping[str, Any]) -> bool:
    """Return whether a document never was visible: it left with the event that added it."""
    seq = _event(document.get("seq"))
    return document.get("gate") == QUARANTINED and seq is not None and document.get("out") == seq


def key_of(database: str, collection: str, document: Mapping[str, Any]) -> str:
    """Return the key of a version in the journal: where it is filed, its type and its runs."""
    runs = validity.range_of(document)
    return "/".join((database, collection, str(document.get("ctype", "")), str(runs)))


def order_of(document: Mapping[str, Any]) -> int:
    """Return the place among equals [us]: the first adding, or the second in a foreign `_id`."""
    order = document.get("order")
    return order if isinstance(order, int) else second_of(str(document["_id"])) * 1_000_000


def second_of(document_id: str) -> int:
    """Return the second in an identifier [Unix]; 0 if it holds none.

    Examples
    --------
    >>> second_of("615717800000070123456789")
    1633097600
    """
    try:
        return int(document_id[:8], 16) if len(document_id) == 24 else 0
    except ValueError:
        return 0


def end_of(document: Mapping[str, Any]) -> int | None:
    """Return the last run as a number, 2**53 if open; None if it cannot be understood."""
    runs = validity.range_of(document)
    return None if runs is None else runs.stored_end


def check_given(fields: Mapping[str, Any]) -> None:
    """Refuse fields of a document that are not what their readers expect.

    Raises
    ------
    BadDocument
        Naming the field.
    """
    for name, value in fields.items():
        if name in _TABLES and not isinstance(value, Mapping):
            raise BadDocument(f"{name} is {shown(value)}; it must be a dict")
        if name in _TEXTS and not isinstance(value, str):
            raise BadDocument(f"{name} is {shown(value)}; it must be a text")
        if name == "run_orig" and (isinstance(value, bool) or not isinstance(value, int)):
            raise BadDocument(f"{name} is {shown(value)}; it must be a run number, as 7")
    if "source" in fields:
        sources.checked(fields["source"])
    check_fields(fields)


def new_document(
    *,
    detector: str,
    ctype: str,
    runs: RunRange,
    time: datetime,
    experiment: str | None,
    payload_fields: Mapping[str, str],
    sha256: str,
    nbytes: int,
    fields: Mapping[str, Any],
) -> dict[str, Any]:
    """Return a document as LCLS-II's `docdic` makes it, with our additions, not yet placed.

    Parameters
    ----------
    detector : str
        Short name.
    ctype : str
        Type of the constant.
    runs : RunRange
        Validity in runs.
    time : datetime
        Begin of validity, aware.
    experiment : str or None
        Who deploys.
    payload_fields : mapping
        The ``data_*`` fields.
    sha256 : str
        Digest of the payload.
    nbytes : int
        Its length [bytes].
    fields : mapping
        Any other fields by name; None means the default.

    Raises
    ------
    BadDocument
        If one of `fields` is not what its readers expect, or no store can hold it.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    check_given(given)
    writer = actor()
    extpars = {"content": "further parameters, as JSON", "command": " ".join(sys.argv)}
    document: dict[str, Any] = {
        "experiment": experiment or NO_EXPERIMENT,
        "run": runs.begin,
        "run_end": runs.text_end,
        "detector": detector,
        "ctype": ctype,
        "dtype": {"ndarray": "ndarray", "str": "txt"}.get(payload_fields["data_type"], "json"),
        "time_sec": validity.seconds(time),
        "time_stamp": validity.time_stamp(time),
        "version": DEFAULT_VERSION,
        "comment": DEFAULT_COMMENT,
        "uid": writer.login,
        "host": writer.host,
        "cwd": writer.folder,
        "detname": "",
        "longname": "",
        "shortname": detector,
        "dettype": names.detector_type(detector),
        "run_orig": 0,
        "tstamp_orig": "",
        "iofname": "",
        "extpars": json.dumps(extpars | dict(given.pop("extpars", {}))),
        **payload_fields,
        "sha256": sha256,
        "nbytes": nbytes,
        "end": runs.stored_end,
        "schema": SCHEMA,
    }
    return document | given


def placed(
    document: Mapping[str, Any],
    *,
    id: str,  # noqa: A002 - the field's name
    seq: int,
    order: int,
    id_data: str,
    experiment_copy: tuple[str, str] | str | None,
    first: str | None = None,
    replaces: str | None = None,
) -> dict[str, Any]:
    """Return a document in its place: with its ids, its event and its order.

    Parameters
    ----------
    experiment_copy : (str, str), "N/A" or None
        Ids of the experiment copy's document and data, for a detector copy; None for the
        experiment copy itself, or where there is no other; ``N/A`` in a private database.
    """
    if isinstance(experiment_copy, tuple):
        links: dict[str, Any] = {
            "id_doc_exp": experiment_copy[0],
            "id_data_exp": experiment_copy[1],
        }
    else:
        links = dict.fromkeys(("id_doc_exp", "id_data_exp"), experiment_copy or 0)
    made = {"_id": id, **document, "id_data": id_data, **links, "seq": seq, "order": order}
    made["first"] = first or id
    if replaces is not None:
        made["replaces"] = replaces
    return made


def is_experiment_copy(document: Mapping[str, Any]) -> bool:
    """Return whether a document stands for itself, rather than being a copy for the detector."""
    return document.get("id_doc_exp") in (0, None, NO_COPY, "0", "")
