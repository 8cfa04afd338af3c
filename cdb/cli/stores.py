"""Commands about what a store holds: info, detectors, experiments."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from cdb.cli import options, output
from cdb.cli.command import command

if TYPE_CHECKING:
    from cdb.database import Database
    from cdb.remote import RemoteDatabase


@command(
    "info",
    """
    cdb info
    cdb info --url mongodb://localhost:27017/ --json
    cdb info --as-of 2023-05-01T00:00:00Z
    cdb info --digest
    """,
)
@click.option(
    "--digest", is_flag=True, help="Read all documents; print one number for what there is."
)
@options.as_of
@options.json_
@options.url
def info_command(digest: bool, as_of: int | str | None, as_json: bool, url: str | None) -> None:
    """Say which store is in use and why, and what it holds, or held as of an earlier state.

    Two stores with the same digest hold the same: journal, documents, payloads.
    """
    from cdb import __version__
    from cdb.opening import locate, open_present
    from cdb.remote import RemoteDatabase

    address, why = locate(url)
    why = "given by --url" if url else why
    with open_present(address) as db:
        described = db.store.describe()
        if not as_json:
            # Said before the store is asked: it may not answer.
            output.tell(f"store: {described} - {why}")
        if isinstance(db, RemoteDatabase):
            _print_service(db, why, as_json=as_json)
            return
        moment = db.moment(as_of)
        state = None if as_of is None else moment.seq
        clock = db.store.clock()
        offset = None if clock is None else round(db.journal.now() - clock, 3)
        experiments = len(db.experiments(as_of=state))
        detectors = len(db.detectors(as_of=state))
        whole = _digest(db) if digest else {}
    last_event = when(moment.at) if moment.seq else None
    if as_json:
        output.as_json(
            {
                "store": described,
                "why": why,
                "seq": moment.seq,
                "provisional": moment.provisional,
                "last_event": last_event,
                "settled": moment.head.settled,
                "experiments": experiments,
                "detectors": detectors,
                "clock_offset": offset,
                "cdb": __version__,
                **whole,
            }
        )
        return
    output.fields(
        {
            "S": moment.seq,
            "last event": last_event or "none yet",
            "settled": "yes" if moment.head.settled else "no: events wait to be completed",
            "experiments": experiments,
            "detectors": detectors,
            "clock": "unknown" if offset is None else f"{offset:+.1f} s from the store's",
            "cdb": __version__,
            **whole,
        }
    )


def _digest(db: "Database") -> dict[str, Any]:
    from cdb.store_digest import store_digest

    found = store_digest(db.journal)
    return {"digest": found.sha256, "documents": found.documents, "payloads": found.payloads}


def _print_service(db: "RemoteDatabase", why: str, *, as_json: bool) -> None:
    """Print what a service says of itself, and whom it takes one for."""
    from cdb import __version__

    told = db.info()
    experiments, detectors = len(db.experiments()), len(db.detectors())
    if as_json:
        counts = {"experiments": experiments, "detectors": detectors}
        mine = {"store": db.store.describe(), "why": why, "cdb": __version__}
        output.as_json({**mine, **counts, "seq": told["seq"], "service": told})
        return
    caller = told["caller"]
    rights = [f"read {' '.join(caller['read'])}"] if caller["read"] else []
    rights += [f"write {' '.join(caller['write'])}"] if caller["write"] else []
    may = "do everything" if caller["admin"] else ", ".join(rights) or "do nothing"
    output.fields(
        {
            "server": told["server"] or "holds nothing yet",
            "S": told["seq"],
            "last event": told["at"] or "none yet",
            "you": f"{caller['name'] or 'nobody in particular'}, who may {may}",
            "experiments": experiments,
            "detectors": detectors,
            "cdb": f"{__version__}, the service {told['cdb']}",
        }
    )


def when(microseconds: int) -> str:
    """Return the time of an event."""
    return f"{datetime.fromtimestamp(microseconds // 1_000_000, UTC):%Y-%m-%d %H:%M:%S}Z"


@command(
    "detectors",
    """
    cdb detectors
    cdb detectors --json
    """,
)
@options.as_of
@options.tag
@options.json_
@options.url
def detectors_command(
    as_of: int | str | None, tag: str | None, as_json: bool, url: str | None
) -> None:
    """List the detectors: short name, types of constants, long name."""
    import cdb

    with cdb.open(url) as db:
        found = db.detectors(as_of=as_of, tag=tag)
    if as_json:
        output.as_json(found)
    else:
        _print_detectors(found)


@command(
    "experiments",
    """
    cdb experiments
    cdb experiments --json
    """,
)
@options.as_of
@options.tag
@options.json_
@options.url
def experiments_command(
    as_of: int | str | None, tag: str | None, as_json: bool, url: str | None
) -> None:
    """List the experiments with their detectors."""
    import cdb

    with cdb.open(url) as db:
        found = db.experiments(as_of=as_of, tag=tag)
    if as_json:
        output.as_json(found)
    else:
        _print_experiments(found)


def print_contents(
    db: "Database", as_of: int | str | None, tag: str | None, *, as_json: bool
) -> None:
    """Print the experiments and detectors of a store."""
    state = None if as_of is None else db.moment(as_of).seq
    experiments = db.experiments(as_of=state, tag=tag)
    detectors = db.detectors(as_of=state, tag=tag)
    if as_json:
        output.as_json({"experiments": experiments, "detectors": detectors})
        return
    _print_experiments(experiments)
    if experiments and detectors:
        output.tell("")
    _print_detectors(detectors)


def _print_experiments(found: Sequence[dict[str, Any]]) -> None:
    if not found:
        output.say("no experiments")
    rows = [{"experiment": k["experiment"], "detectors": ", ".join(k["detectors"])} for k in found]
    output.table(rows, beneath=["detectors"])


def _print_detectors(found: Sequence[dict[str, Any]]) -> None:
    if not found:
        output.say("no detectors")
    rows = [
        {"detector": k["detector"], "types": ", ".join(k["ctypes"]), "long name": k["longname"]}
        for k in found
    ]
    output.table(rows, beneath=["types", "long name"])
