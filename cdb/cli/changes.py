"""Commands that take back and mend: retire, restore, amend. Nothing is ever deleted."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from cdb.cli import options, versions
from cdb.cli.command import command
from cdb.constant import Version

version_id = click.argument("id", metavar="ID")


@command(
    "retire",
    """
    cdb retire 615717800000070123456789 --reason "beam was on"
    cdb retire 615717800000070123456789 --reason "wrong file" --yes
    """,
    writes=True,
)
@version_id
@options.reason
@options.yes
@options.dry_run
@options.json_
@options.url
def retire_command(
    id: str,  # noqa: A002 - the argument's name
    reason: str,
    yes: bool,
    dry_run: bool,
    as_json: bool,
    url: str | None,
) -> None:
    """Take a version out of look-ups, with its copies; its bytes stay, and so does the past.

    Whoever asks as of an earlier state still gets it.
    """
    import cdb

    with cdb.open(url) as db:
        version = db.retire(id, reason=reason, dry_run=True)
        if not dry_run:
            what = f"{version.ctype} of {version.detector}, runs {version.runs}"
            options.confirm(f"Retire {what} ({id})?", yes=yes)
            version = db.retire(id, reason=reason)
        versions.print_change(version, "retired", dry_run=dry_run, as_json=as_json)


@command(
    "restore",
    """
    cdb restore 615717800000070123456789 --reason "beam was off after all"
    """,
    writes=True,
)
@version_id
@options.reason
@options.dry_run
@options.json_
@options.url
def restore_command(
    id: str,  # noqa: A002 - the argument's name
    reason: str,
    dry_run: bool,
    as_json: bool,
    url: str | None,
) -> None:
    """Bring a retired version back, in its old place among equals, under a new id."""
    import cdb

    with cdb.open(url) as db:
        version = db.restore(id, reason=reason, dry_run=dry_run)
        versions.print_change(version, "restored", dry_run=dry_run, as_json=as_json)


@command(
    "amend",
    """
    cdb amend 615717800000070123456789 -R 140 --reason "gain changed at run 141"
    cdb amend 615717800000070123456789 -m "made with 800 events"
    """,
    writes=True,
)
@version_id
@options.run_option("-r", "--run", help="New first run.")
@options.run_end_option("New last run, or end.")
@options.times
@options.label
@options.comment
@options.unit
@options.source
@click.option("--reason", default="", metavar="TEXT", help="Why; it is kept for ever.")
@options.yes
@options.dry_run
@options.json_
@options.url
def amend_command(
    id: str,  # noqa: A002 - the argument's name
    time_stamp: str | None,
    time_sec: int | str | None,
    source_file: Path | None,
    parents: Sequence[str],
    reason: str,
    yes: bool,
    dry_run: bool,
    as_json: bool,
    url: str | None,
    **changes: Any,
) -> None:
    """Change validity, time or comment of a version; data and place among equals stay.

    The version itself never changes: a successor takes its place, under a new id. What would be
    hidden by that, runs or times that it no longer covers, is asked about first. What --source and
    --parent say replaces what it says it was made from.
    """
    from cdb.cli import provenance
    from cdb.opening import open_present

    changes["source"] = provenance.given(source_file, parents) or None
    changes["time"] = options.given_time(time_stamp, time_sec)
    with open_present(url) as db:
        version = db.amend(id, **changes, reason=reason, dry_run=True)
        if not dry_run:
            old = db.version_by_id(id)
            if not _covers(version, old):
                options.confirm(f"{_validity(old)} becomes {_validity(version)}. Go on?", yes=yes)
            version = db.amend(id, **changes, reason=reason)
        versions.print_change(version, "amended", dry_run=dry_run, as_json=as_json)


def _covers(new: Version, old: Version) -> bool:
    """Return whether a version holds wherever another does."""
    if new.runs is None or old.runs is None or new.time is None or old.time is None:
        return False
    first, last = new.runs.begin <= old.runs.begin, new.runs.end >= old.runs.end
    return first and last and new.time <= old.time


def _validity(version: Version) -> str:
    return f"runs {version.runs} from {versions.moment(version)}"
