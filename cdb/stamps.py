"""A stamp: which constants an analysis had, of which store, as of which state; kept in its files.

A stamp is one line of JSON of some hundred bytes. It names each version by its id and the digest of
its bytes, so `cdb.replay` gives the same bytes whatever was retired, amended or added since.

========= =======================================================================================
field     meaning
========= =======================================================================================
cdb       1, the format
server    identity of the store
seq       S, the state that was asked
tag       ``{name, id}`` of the tag that was asked, else null
detector  short name
experiment, run, time, rule
          the question; null where it was not asked so, the time in Unix seconds
constants by type ``{database, id, sha256, nbytes}``
========= =======================================================================================

In an HDF5 file it is an attribute of the file, a group or a dataset, or the note of an NXprocess;
h5py, the extra ``[hdf5]``, is loaded only for these.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cdb import names
from cdb.errors import BadFile, BadName, CalibError, NotFound, shown

FORMAT = 1
MAX_BYTES = 2**20  # of the text of one stamp
MAX_STAMPS = 10_000  # in one file
ATTRIBUTE = "cdb_stamp"
PROGRAM = "cdb"

_ID = re.compile("[0-9A-Za-z_.:-]{1,127}")
_DIGEST = re.compile("[0-9a-f]{64}")
_WORD = re.compile("[A-Za-z][A-Za-z0-9_]{0,31}")
_TAG_ID = re.compile("[0-9a-f]{24}")
_HDF5 = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class Cited:
    """A version that a stamp names.

    Attributes
    ----------
    database : str
        Where its document is.
    id : str
        Of its document.
    sha256 : str or None
        Digest of the payload; None for another program's document that nobody adopted.
    nbytes : int or None
        Length of the payload [bytes].
    """

    database: str
    id: str
    sha256: str | None
    nbytes: int | None


@dataclass(frozen=True)
class CitedTag:
    """A tag that a stamp names: its name, and the id of the document that it was then."""

    name: str
    id: str


@dataclass(frozen=True)
class Stamp:
    """Which constants an analysis had.

    Attributes
    ----------
    server : str
        Identity of the store.
    seq : int
        S, the state that was asked.
    detector : str
        Short name.
    tag : CitedTag or None
        The tag that was asked.
    experiment : str or None
        Whose analysis it was.
    run : int or None
        For which run.
    time : int or None
        For which time [Unix seconds].
    rule : str
        How the versions were chosen.
    constants : mapping of str to Cited
        The versions, by type.

    Examples
    --------
    >>> stamp = Stamp("ab" * 32, 7, "epix10ka_000001", experiment="rixx45619", run=7)
    >>> parse(str(stamp)) == stamp
    True
    """

    server: str
    seq: int
    detector: str
    tag: CitedTag | None = None
    experiment: str | None = None
    run: int | None = None
    time: int | None = None
    rule: str = "range"
    constants: Mapping[str, Cited] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return what the text says, as JSON values."""
        return {
            "cdb": FORMAT,
            "server": self.server,
            "seq": self.seq,
            "tag": None if self.tag is None else asdict(self.tag),
            "detector": self.detector,
            "experiment": self.experiment,
            "run": self.run,
            "time": self.time,
            "rule": self.rule,
            "constants": {ctype: asdict(cited) for ctype, cited in self.constants.items()},
        }

    def __str__(self) -> str:
        """Return the text: one line of JSON."""
        return json.dumps(self.as_json(), separators=(",", ":"))

    def __hash__(self) -> int:
        """Equal stamps have equal texts but for the order of the constants."""
        return hash((self.server, self.seq, self.detector, self.run, frozenset(self.constants)))

    @property
    def title(self) -> str:
        """What was asked, in a few words."""
        whose = f" of {self.experiment}" if self.experiment else ""
        run = "" if self.run is None else f" run {self.run}"
        state = f"tag {self.tag.name}" if self.tag else f"event {self.seq}"
        return f"{self.detector}{whose}{run} as of {state}"


# The text ----------------------------------------------------------------------------------------


def parse(text: str | bytes) -> Stamp:
    """Return the stamp that a text is.

    Raises
    ------
    BadFile
        Naming the field that is not what it should be.

    Examples
    --------
    >>> parse('{"cdb": 1, "server": "here"}')
    Traceback (most recent call last):
        ...
    cdb.errors.BadFile: this is no stamp: server is 'here', not 64 hexadecimal digits
    """
    return from_json(_json(text))


def _json(text: str | bytes) -> Any:
    if len(text) > MAX_BYTES:
        raise BadFile(f"this is no stamp: {len(text)} bytes, and a stamp has at most {MAX_BYTES}")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        why = str(error) or "nested too deep"
        raise BadFile(f"this is no stamp: no JSON, {shown(why)}") from None


def from_json(value: object) -> Stamp:
    """Return the stamp that JSON values say; see `parse`."""
    if not isinstance(value, Mapping):
        raise BadFile(f"this is no stamp: {shown(value)} is no JSON object")
    version = value.get("cdb")
    if version != FORMAT or isinstance(version, bool):
        raise BadFile(
            f"this is no stamp that can be read: cdb is {shown(version)}, this cdb reads {FORMAT}"
        )
    return Stamp(
        server=_text(value, "server", _DIGEST, "64 hexadecimal digits"),
        seq=_number(value, "seq"),
        detector=_named(value, "detector", names.check_detector),
        tag=_tag(value.get("tag")),
        experiment=_optional(value, "experiment", _experiment),
        run=_optional(value, "run", _number),
        time=_optional(value, "time", _number),
        rule=_text(value, "rule", _WORD, "a rule, as range"),
        constants=_constants(value.get("constants")),
    )


def _constants(value: object) -> dict[str, Cited]:
    if not isinstance(value, Mapping):
        raise _bad("constants", value, "an object of versions by type")
    found = {}
    for ctype, cited in value.items():
        _named({"a type": ctype}, "a type", names.check_ctype)
        if not isinstance(cited, Mapping):
            raise _bad(f"constants.{ctype}", cited, "an object of database, id, sha256, nbytes")
        found[ctype] = Cited(
            _named(cited, "database", names.check_database),
            _text(cited, "id", _ID, "the id of a version"),
            _optional(cited, "sha256", _digest),
            _optional(cited, "nbytes", _number),
        )
    return found


def _tag(value: object) -> CitedTag | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise _bad("tag", value, "an object of name and id")
    return CitedTag(
        _named(value, "name", names.check_tag),
        _text(value, "id", _TAG_ID, "the id of a tag's document, 24 hexadecimal digits"),
    )


def _bad(name: str, value: object, good: str) -> BadFile:
    return BadFile(f"this is no stamp: {name[:60]} is {shown(value)}, not {good}")


def _optional(value: Mapping[str, Any], name: str, parse_one: Any) -> Any:
    return None if value.get(name) is None else parse_one(value, name)


def _number(value: Mapping[str, Any], name: str) -> int:
    found = value.get(name)
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found < 2**53:
        raise _bad(name, found, "a whole number, 0 or more")
    return found


def _text(value: Mapping[str, Any], name: str, good: re.Pattern[str], says: str) -> str:
    found = value.get(name)
    if not isinstance(found, str) or not good.fullmatch(found):
        raise _bad(name, found, says)
    return found


def _digest(value: Mapping[str, Any], name: str) -> str:
    return _text(value, name, _DIGEST, "64 hexadecimal digits")


def _experiment(value: Mapping[str, Any], name: str) -> str:
    return _named(value, name, names.check_experiment)


def _named(value: Mapping[str, Any], name: str, check: Any) -> str:
    try:
        return str(check(value.get(name)))
    except BadName as error:
        raise BadFile(f"this is no stamp: {error}") from None


# Files -------------------------------------------------------------------------------------------


def read(path: Path | str) -> list[Stamp]:
    """Return all stamps in a file: HDF5, or the text of one stamp, or of several, one a line.

    Parameters
    ----------
    path : Path or str
        The file.

    Returns
    -------
    stamps : list of Stamp
        Each once, in the order of the groups that hold them.

    Raises
    ------
    NotFound
        If there is no such file, or no stamp in it.
    BadFile
        If a stamp in it cannot be read.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            is_hdf5 = _is_hdf5(file)
            file.seek(0)
            text = b"" if is_hdf5 else file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise NotFound(f"no file {path}") from None
    if is_hdf5:
        with _opened(path) as hdf5:
            found = read_hdf5(hdf5)
    else:
        found = _read_text(path, text)
    if not found:
        raise NotFound(
            f"no stamp is in {path}; `cdb.stamps.write_hdf5(file, det.calibconst.stamp())` puts "
            "one there"
        )
    return found


def _read_text(path: Path, text: bytes) -> list[Stamp]:
    try:
        try:
            return [parse(text)]
        except BadFile:
            lines = [line for line in text.splitlines() if line.strip()]
            if len(text) > MAX_BYTES or len(lines) < 2 or not _is_json(lines[0]):
                raise
            return _once(map(parse, lines))
    except BadFile as error:
        raise BadFile(f"{path}: {error}") from None


def _is_json(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _is_hdf5(file: Any) -> bool:
    """Return whether a file has HDF5's signature: at its begin, or after a user block."""
    offset = 0
    while True:
        file.seek(offset)
        head = file.read(len(_HDF5))
        if head == _HDF5:
            return True
        if len(head) < len(_HDF5):
            return False
        offset = max(512, 2 * offset)


def _once(stamps: Any) -> list[Stamp]:
    return list(dict.fromkeys(stamps))


# HDF5 --------------------------------------------------------------------------------------------


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise CalibError("HDF5 files need h5py: pip install 'cdb[hdf5]'") from error
    return h5py


def _opened(path: Path) -> Any:
    try:
        return _h5py().File(path, "r")
    except OSError as error:
        raise BadFile(f"{path} cannot be read as HDF5: {error}") from None


def write_hdf5(where: Any, stamp: Stamp) -> None:
    """Write a stamp into an attribute of an HDF5 file, group or dataset.

    Parameters
    ----------
    where : h5py.File, h5py.Group or h5py.Dataset
        What was made with the constants; open for writing.
    stamp : Stamp
        Stands beside those that are there already, of other detectors or runs; once.
    """
    h5py = _h5py()
    texts = list(_attribute(where))
    if str(stamp) in texts:
        return
    where.attrs.create(ATTRIBUTE, [*texts, str(stamp)], dtype=h5py.string_dtype())


def write_nexus(where: Any, stamp: Stamp, *, name: str = "calibration_constants") -> Any:
    """Write a stamp into a NeXus file: as the note of an NXprocess group.

    The group says `program`, `version` and `date`, its NXnote `note` holds the stamp in `data`, of
    type ``application/json``.

    Parameters
    ----------
    where : h5py.File or h5py.Group
        The NXentry, or a file with one; a file without any gets one.
    stamp : Stamp
        What is written; where it is in such a group already, nothing is.
    name : str, optional
        Of the group; a number goes after it where another stamp has it.

    Returns
    -------
    process : h5py.Group
        The NXprocess group.

    Raises
    ------
    BadFile
        If a file has several entries.

    References
    ----------
    NeXus definitions, base classes NXprocess and NXnote.
    """
    from datetime import UTC, datetime

    from cdb import __version__

    entry = _entry(where)
    taken = [child for child in entry.values() if _is_class(child, "NXprocess")]
    for process in taken:
        if str(stamp) in _note(process.get("note")):
            return process
    number = 1
    while (free := name if number == 1 else f"{name}_{number}") in entry:
        number += 1
    process = entry.create_group(free)
    process.attrs["NX_class"] = "NXprocess"
    process["program"] = PROGRAM
    process["version"] = __version__
    process["date"] = datetime.now(UTC).isoformat(timespec="seconds")
    process["sequence_index"] = len(taken) + 1
    note = process.create_group("note")
    note.attrs["NX_class"] = "NXnote"
    note["type"] = "application/json"
    note["description"] = f"calibration constants: {stamp.title}; `cdb replay` gives them again"
    note["data"] = str(stamp)
    return process


def _entry(where: Any) -> Any:
    if where.name != "/":
        return where
    entries = [child for child in where.values() if _is_class(child, "NXentry")]
    if len(entries) > 1:
        good = ", ".join(entry.name for entry in entries[:10])
        raise BadFile(f"the file has several entries; give one of them: {good}")
    if entries:
        return entries[0]
    entry = where.require_group("entry")
    entry.attrs["NX_class"] = "NXentry"
    return entry


def read_hdf5(where: Any) -> list[Stamp]:
    """Return all stamps in an open HDF5 file or group, each once.

    Parameters
    ----------
    where : h5py.File, h5py.Group or h5py.Dataset
        It, and everything in it, is looked at; links to other files are not followed.

    Raises
    ------
    BadFile
        If one cannot be read, naming where it is.
    """
    found: dict[Stamp, None] = {}

    def look(name: str, thing: Any) -> None:
        try:
            for text in (*_attribute(thing), *_note(thing)):
                found[parse(text)] = None
        except (BadFile, OSError) as error:
            raise BadFile(f"in {thing.file.filename} at {name or '/'}: {error}") from None
        if len(found) > MAX_STAMPS:
            raise BadFile(f"{thing.file.filename} holds more than {MAX_STAMPS} stamps")

    look(where.name, where)
    if hasattr(where, "visititems"):
        where.visititems(look)
    return list(found)


def _attribute(thing: Any) -> Iterator[str]:
    if ATTRIBUTE not in thing.attrs:
        return
    value = thing.attrs[ATTRIBUTE]
    listed = value.ravel().tolist() if hasattr(value, "ravel") else [value]
    yield from map(_decoded, listed)


def _note(thing: Any) -> Iterator[str]:
    """Yield the stamp that an NXnote is; notes of others are theirs."""
    if not _is_class(thing, "NXnote") or _value(thing, "type") != "application/json":
        return
    text = _value(thing, "data")
    try:
        value = _json(text or "")
    except BadFile:
        return
    if isinstance(value, dict) and {"cdb", "server", "constants"} <= value.keys():
        yield text


def _value(group: Any, name: str) -> str:
    """Return the one text in a field of a group; empty if there is none."""
    dataset = group.get(name)
    if dataset is None or not hasattr(dataset, "shape") or dataset.size != 1:
        return ""
    value = dataset[()]
    while hasattr(value, "item") and not isinstance(value, bytes | str):
        value = value.item()
    return _decoded(value) if isinstance(value, bytes | str) else ""


def _is_class(thing: Any, name: str) -> bool:
    value = thing.attrs.get("NX_class", "") if hasattr(thing, "attrs") else ""
    return isinstance(value, bytes | str) and hasattr(thing, "get") and _decoded(value) == name


def _decoded(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if not isinstance(value, str):
        raise BadFile(f"this is no stamp: {shown(value)} is no text")
    return value
