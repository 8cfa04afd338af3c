"""How versions of constants are printed."""

from collections.abc import Sequence
from typing import Any

from cdb import validity
from cdb.cli import output
from cdb.constant import Version

# What a version has once it is committed, and not before.
_OF_EVENTS = ("_id", "id_data", "id_doc_exp", "id_data_exp", "order", "first", "out")


def moment(version: Version) -> str:
    """Return the begin of validity."""
    return validity.to_the_second(version.time)


def row(version: Version) -> dict[str, str]:
    """Return the cells of a table."""
    meta = version.meta
    shape, dtype = meta.get("data_shape", ""), meta.get("data_dtype", meta.get("data_type", ""))
    return {
        "detector": version.detector,
        "type": version.ctype,
        "runs": str(version.runs or "?"),
        "valid from": moment(version),
        "data": f"{dtype} {shape}".strip(),
        "size": output.size(version.nbytes),
        "version": str(meta.get("version", "")),
        "S": "" if version.seq is None else str(version.seq),
        "state": "" if version.state == "live" else version.state,
        "id": version.id,
        "note": version.note,
    }


def print_all(versions: Sequence[Version], *, as_json: bool) -> None:
    """Print a table of versions, or all of their documents."""
    if as_json:
        output.as_json([version.as_json() for version in versions])
    elif versions:
        output.table(
            [row(version) for version in versions],
            above="detector",
            beneath=["note"],
            optional=["version", "size", "data", "S"],
        )
    else:
        output.say("nothing fits; `cdb ls` alone shows which experiments and detectors there are")


def print_document(version: Version, *, as_json: bool) -> None:
    """Print all fields of one version."""
    if as_json:
        output.as_json(version.as_json())
        return
    document = {name: value for name, value in version.as_json().items() if name != "_id"}
    if version.findings:
        document["findings"] = found_in(version)
    output.fields({**document, "database": version.database})


def found_in(version: Version) -> str:
    """Return in words what the rules found in a version."""
    told = ((finding.get("code", ""), finding.get("message", "")) for finding in version.findings)
    return "; ".join(f"{code}: {message}" for code, message in told)


def print_change(version: Version, done: str, *, dry_run: bool, as_json: bool) -> None:
    """Print what became of a version."""
    if as_json:
        output.as_json(change_as_json(version, dry_run=dry_run))
        return
    would = "would be " if dry_run else ""
    output.tell(f"{version.ctype} of {version.detector} {would}{done}")
    output.fields(
        {
            **({} if dry_run and version.new else {"id": version.id}),
            "runs": version.runs,
            "valid from": moment(version),
            "version": version.meta.get("version", ""),
            "comment": version.meta.get("comment", ""),
        },
        indent="  ",
    )


def change_as_json(version: Version, *, dry_run: bool) -> dict[str, Any]:
    """Return a document with what a write did; of a dry run without what only a write gives."""
    document = version.as_json()
    if dry_run and version.new:
        document |= {"id": None, "seq": None}
        document = {name: value for name, value in document.items() if name not in _OF_EVENTS}
    return {**document, "new": version.new, "dry_run": dry_run}
