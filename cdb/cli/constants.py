"""Commands that look at constants: show, ls, history, explain."""

import click

from cdb.cli import options, output, versions
from cdb.cli.command import command


@command(
    "show",
    """
    cdb show -e rixx45619 -d epixhr2x2_000001 -r 125 -c pedestals
    cdb show -d epixhr2x2_000001 -c geometry --json
    """,
)
@options.which_constant
@options.json_
@options.url
def show_command(which: options.Which, as_json: bool, url: str | None) -> None:
    """Print the document of the constant that holds for a run; no data are fetched."""
    import cdb

    with cdb.open(url) as db:
        version = db.version(**which.arguments())
    versions.print_document(version, as_json=as_json)


@command(
    "ls",
    """
    cdb ls
    cdb ls -e rixx45619
    cdb ls -d epixhr2x2_000001 -c pedestals -r 125 --json
    """,
)
@options.any_detector
@options.any_ctype
@options.experiment
@options.dbsuffix
@options.run_option("-r", "--run", help="Only what covers this run.")
@options.times
@options.label
@click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="At most N.")
@options.as_of
@options.tag
@options.json_
@options.url
def ls_command(
    detector: str | None,
    ctype: str | None,
    experiment: str | None,
    dbsuffix: str | None,
    run: int | None,
    time_stamp: str | None,
    time_sec: int | str | None,
    version: str | None,
    limit: int | None,
    as_of: int | str | None,
    tag: str | None,
    as_json: bool,
    url: str | None,
) -> None:
    """List the constants of an experiment or a detector; without options, what there is.

    With -t, what is valid from that time or earlier. A terminal shows the columns that it has
    room for, a pipe all of them.
    """
    import cdb

    time = options.given_time(time_stamp, time_sec)
    filters = (detector, ctype, experiment, dbsuffix, run, time, version, limit)
    with cdb.open(url) as db:
        if all(given is None for given in filters):
            from cdb.cli.stores import print_contents

            print_contents(db, as_of, tag, as_json=as_json)
            return
        found = db.find(
            detector=detector, ctype=ctype, experiment=experiment, dbsuffix=dbsuffix, run=run,
            time=time, version=version, limit=limit or 0, as_of=as_of, tag=tag,
        )  # fmt: skip
    versions.print_all(found, as_json=as_json)


@command(
    "history",
    """
    cdb history -e rixx45619 -d epixhr2x2_000001 -c pedestals
    cdb history -d epixhr2x2_000001 -c geometry --json
    """,
)
@options.detector
@options.ctype
@options.experiment
@options.dbsuffix
@options.as_of
@options.tag
@options.json_
@options.url
def history_command(
    detector: str,
    ctype: str,
    experiment: str | None,
    dbsuffix: str | None,
    as_of: int | str | None,
    tag: str | None,
    as_json: bool,
    url: str | None,
) -> None:
    """List all versions, newest first; of those that left: who did it, when and why."""
    import cdb

    with cdb.open(url) as db:
        found = db.history(
            detector, ctype, experiment=experiment, dbsuffix=dbsuffix, as_of=as_of, tag=tag
        )
    versions.print_all(found, as_json=as_json)


@command(
    "explain",
    """
    cdb explain -e rixx45619 -d epixhr2x2_000001 -r 125 -c pedestals
    cdb explain -d epixhr2x2_000001 -r 125 -c pedestals --rule psana
    """,
)
@options.which_constant
@options.json_
@options.url
def explain_command(which: options.Which, as_json: bool, url: str | None) -> None:
    """Say of every candidate why it wins or loses; the winner is what `cdb get` gives."""
    import cdb

    with cdb.open(url) as db:
        found = db.explain(**which.arguments())
    if as_json:
        candidates = [
            {**c.version.as_json(), "database": c.version.database, "reason": c.reason}
            for c in found.candidates
        ]
        winner = found.winner.as_json() if found.winner else None
        output.as_json(
            {"seq": found.seq, "winner": winner, "candidates": candidates, "note": found.note}
        )
        return
    rows = [
        {
            "database": candidate.version.database,
            "id": candidate.version.id,
            "runs": str(candidate.version.runs or "?"),
            "valid from": versions.moment(candidate.version),
            "reason": candidate.reason,
        }
        for candidate in found.candidates
    ]
    output.table(rows, above="database", beneath=["reason"])
    if found.winner is None:
        output.say("nothing wins")
    if found.note:
        output.say(f"note: {found.note}")
