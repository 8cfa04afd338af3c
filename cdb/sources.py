"""What a constant was made from, as its document says in `source`: checked field by field.

=========== =====================================================================================
field       what it holds
=========== =====================================================================================
runs        list of run numbers, or of ``{experiment, run}``
files       list of ``{path, sha256, nbytes}``; only the path must be there
software    ``{name, version}``
parameters  whatever JSON can say
parents     list of ``{id, sha256}``: the constants that went into it; with `server` those of
            another store, by its identity
=========== =====================================================================================

Further fields are kept as they are, beside these and inside of them.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cdb import names
from cdb.errors import BadDocument, BadName, shown

# As many parents and runs a constant can name; of each parent the journal tells its children.
MAX_PARENTS = 1000
MAX_LISTED = 10_000

_ID = re.compile("[0-9a-f]{24}")
_DIGEST = re.compile("[0-9a-f]{64}")

Source = dict[str, Any]


@dataclass(frozen=True)
class Parent:
    """A constant that went into another one.

    Attributes
    ----------
    id : str
        Of any copy of a version.
    sha256 : str or None
        Digest of its payload.
    server : str or None
        The identity of the store that knows it; None for the one that says so.
    """

    id: str
    sha256: str | None = None
    server: str | None = None


def checked(source: object) -> Source:
    """Return what a constant was made from, as it stands.

    Parameters
    ----------
    source : mapping
        See the module.

    Raises
    ------
    BadDocument
        If a known field is not what its readers expect.

    Examples
    --------
    >>> checked({"runs": [7], "software": {"name": "darkproc", "version": "2.1"}, "shift": "owl"})
    {'runs': [7], 'software': {'name': 'darkproc', 'version': '2.1'}, 'shift': 'owl'}
    >>> checked({"runs": 7})
    Traceback (most recent call last):
        ...
    cdb.errors.BadDocument: source.runs is 7; it must be a list
    """
    if not isinstance(source, Mapping):
        raise BadDocument(f"source is {shown(source)}; it must be a dict")
    for number, run in enumerate(_listed(source, "runs", MAX_LISTED)):
        _check_run(run, f"source.runs[{number}]")
    for number, file in enumerate(_listed(source, "files", MAX_LISTED)):
        _check_file(file, f"source.files[{number}]")
    if "software" in source:
        _check_software(source["software"])
    parents = [
        _parent(parent, f"source.parents[{number}]")
        for number, parent in enumerate(_listed(source, "parents", MAX_PARENTS))
    ]
    if len({parent.id for parent in parents}) < len(parents):
        raise BadDocument("source.parents names a version twice; name each once")
    return dict(source)


def parents_of(source: object) -> list[Parent]:
    """Return the parents that a source names; what makes no sense is left out.

    Documents of before, and of other programs, hold what their writers liked.

    Examples
    --------
    >>> parents_of({"parents": [{"id": "615717800000070123456789"}, "mine"]})
    [Parent(id='615717800000070123456789', sha256=None, server=None)]
    >>> parents_of("a dark run")
    []
    """
    listed = source.get("parents") if isinstance(source, Mapping) else None
    return list(_sensible(listed)) if isinstance(listed, list) else []


def _sensible(listed: list[Any]) -> Iterator[Parent]:
    for parent in listed[:MAX_PARENTS]:
        try:
            yield _parent(parent, "parent")
        except BadDocument:
            continue


def _listed(source: Mapping[str, Any], name: str, most: int) -> list[Any]:
    value = source.get(name, [])
    if not isinstance(value, list):
        raise BadDocument(f"source.{name} is {shown(value)}; it must be a list")
    if len(value) > most:
        raise BadDocument(f"source.{name} has {len(value)} members; at most {most} are kept")
    return value


def _check_run(run: object, where: str) -> None:
    number = run
    if isinstance(run, Mapping):
        number = run.get("run")
        try:
            names.check_experiment(run.get("experiment"))  # type: ignore[arg-type]
        except BadName as error:
            raise BadDocument(f"{where}: {error}") from None
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 2**53:
        raise BadDocument(
            f"{where} is {shown(run)}; it must be a run number, as 7, or "
            '{"experiment": "rixx45619", "run": 7}'
        )


def _check_file(file: object, where: str) -> None:
    if not isinstance(file, Mapping) or not _is_text(file.get("path")):
        raise BadDocument(f'{where} is {shown(file)}; it must be {{"path": ..., "sha256": ...}}')
    sha256, nbytes = file.get("sha256"), file.get("nbytes")
    if sha256 is not None:
        _check_digest(sha256, where)
    if isinstance(nbytes, bool) or not (nbytes is None or isinstance(nbytes, int)):
        raise BadDocument(f"{where}.nbytes is {shown(nbytes)}; it must be a number of bytes")


def _check_software(software: object) -> None:
    fine = isinstance(software, Mapping) and _is_text(software.get("name"))
    version = software.get("version", "") if isinstance(software, Mapping) else ""
    if not fine or not isinstance(version, str):
        raise BadDocument(
            f'source.software is {shown(software)}; it must be {{"name": ..., "version": ...}}, '
            "both texts"
        )


def _parent(parent: object, where: str) -> Parent:
    id_ = parent.get("id") if isinstance(parent, Mapping) else None
    if not isinstance(parent, Mapping) or not isinstance(id_, str) or not _ID.fullmatch(id_):
        raise BadDocument(
            f'{where} is {shown(parent)}; it must be {{"id": ..., "sha256": ...}} with the id of '
            "a version, 24 hexadecimal digits"
        )
    sha256, server = parent.get("sha256"), parent.get("server")
    if sha256 is not None:
        _check_digest(sha256, where)
    if server is not None and not (isinstance(server, str) and _DIGEST.fullmatch(server)):
        raise BadDocument(
            f"{where}.server is {shown(server)}; it must be the identity of a store, 64 "
            "hexadecimal digits, as `server` in its stamps"
        )
    if server is not None and sha256 is None:
        raise BadDocument(f"{where} is another store's, so nobody here can add its sha256; give it")
    return Parent(id_, sha256, server)


def _check_digest(sha256: object, where: str) -> None:
    if not isinstance(sha256, str) or not _DIGEST.fullmatch(sha256):
        raise BadDocument(f"{where}.sha256 is {shown(sha256)}; it must be 64 hexadecimal digits")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)
