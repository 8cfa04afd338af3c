"""Commands about what a store holds: info, detectors, experiments."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from cdb.cli import options, output
from cdb.cli.command import command

if TYPE_CHECKING:
    from cdb.database import Database
    from cdb.remote import RemoteDatabase
    from cdb.sightings import Sighting


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


_below = click.option(
    "--below", "roots", multiple=True, metavar="FOLDER",
    help="Look into the LCLS-I calib trees below it too; may be repeated.",
)  # fmt: skip


@command(
    "detectors",
    """
    cdb detectors
    cdb detectors --json
    cdb detectors --below /cds/data/psdm
    """,
)
@_below
@options.as_of
@options.tag
@options.json_
@options.url
def detectors_command(
    roots: Sequence[str], as_of: int | str | None, tag: str | None, as_json: bool, url: str | None
) -> None:
    """List the detectors: short name, types of constants, long name.

    Those of trees, which have no short name, are listed by their source; their long name begins
    with the name under which psana converts it.
    """
    import cdb

    with cdb.open(url) as db:
        found = db.detectors(as_of=as_of, tag=tag)
    found += _in_trees(roots)
    if as_json:
        output.as_json(found)
    else:
        _print_detectors(found)


def _in_trees(roots: Sequence[str]) -> list[dict[str, Any]]:
    """Return the detectors of trees, each once."""
    found: dict[tuple[str, str], set[str]] = {}
    for one in _seen_below(roots):
        found.setdefault((one.detector, one.longname), set()).add(one.ctype)
    return [
        {"detector": name, "longname": longname, "ctypes": sorted(ctypes)}
        for (name, longname), ctypes in sorted(found.items())
    ]


def _seen_below(roots: Sequence[str]) -> Iterator["Sighting"]:
    from cdb import sightings

    trees = [tree for root in roots for tree in sightings.trees_below(root)]
    if roots and not trees:
        output.say(f"no calib tree below {', '.join(roots)}, as <INS>/<exp>/calib")
    with output.steps("looking through trees", lambda: len(trees)) as advance:
        for tree in trees:
            yield from sightings.in_tree(tree)
            advance(1)


@command(
    "experiments",
    """
    cdb experiments
    cdb experiments --json
    cdb experiments -d jungfrau -i CXI
    cdb experiments -d cspad. --below /cds/data/psdm
    """,
)
@click.option("-d", "--detector", metavar="TEXT",
              help="Detectors with this in their names; tells the runs too.")  # fmt: skip
@click.option("-i", "--instrument", metavar="INS", help="Of this instrument: CXI, MFX, ...")
@_below
@options.as_of
@options.tag
@options.json_
@options.url
def experiments_command(
    detector: str | None,
    instrument: str | None,
    roots: Sequence[str],
    as_of: int | str | None,
    tag: str | None,
    as_json: bool,
    url: str | None,
) -> None:
    """List the experiments with their detectors; of some detector with types and runs."""
    import cdb

    with cdb.open(url) as db:
        if detector is not None or instrument is not None or roots:
            from cdb import sightings

            seen = [*sightings.in_database(db, detector, as_of=as_of, tag=tag)]
            seen += _seen_below(roots)
            asked = {"detector": detector, "instrument": instrument}
            _print_sightings([one for one in seen if one.fits(**asked)], as_json=as_json)
            return
        found = db.experiments(as_of=as_of, tag=tag)
    if as_json:
        output.as_json(found)
    else:
        _print_experiments(found)


def _print_sightings(seen: Sequence["Sighting"], *, as_json: bool) -> None:
    if as_json:
        output.as_json([{**asdict(one), "runs": list(one.runs)} for one in seen])
        return
    if not seen:
        output.say("no such constants")
    rows = [
        {"experiment": one.experiment or "-", "detector": one.detector, "type": one.ctype,
         "runs": ", ".join(one.runs), "in": one.where}
        for one in seen
    ]  # fmt: skip
    output.table(rows, above="experiment", beneath=["runs"], optional=["in"])


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
