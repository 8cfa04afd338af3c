"""psana's names of commands, mapped onto ours: nothing here destroys bytes.

psana's ``cdb deldoc``, ``delcol`` and ``deldb`` delete; ours retire, so that the past stays.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from cdb.cli import options, output, versions
from cdb.cli.command import command
from cdb.constant import Version
from cdb.errors import BadName, NotFound, WrongState

if TYPE_CHECKING:
    from cdb.database import Database

# As many documents a message names.
NAMED = 3

# psana's ways to name a collection; without --dbname it is the experiment's, else the detector's.
place = options.together(
    click.option("--dbname", metavar="DATABASE", help="Database, with its prefix cdb_."),
    click.option("--colname", metavar="DETECTOR", help="Collection: the short name."),
    options.experiment,
    options.any_detector,
    options.dbsuffix,
)
confirm = click.option(
    "-C", "--confirm", "-y", "--yes", "yes", is_flag=True, help="Really do it; do not ask."
)
why = click.option(
    "--reason",
    default="retired by psana's command",
    show_default=True,
    metavar="TEXT",
    help="Why; it is kept for ever.",
)


def _place(
    dbname: str | None,
    colname: str | None,
    experiment: str | None,
    detector: str | None,
    dbsuffix: str | None,
) -> dict[str, Any]:
    """Return psana's names of a place as the arguments of `Database.find`."""
    from cdb import names

    detector = colname or detector
    if dbname is not None:
        name = names.check_database(dbname).removeprefix(names.PREFIX)
        if names.names_a_detector(name):
            dettype, number, *suffix = name.split("_", 2)
            detector, experiment = f"{dettype}_{number}", None
            dbsuffix = suffix[0] if suffix else None
        else:
            experiment = name
    if experiment is None and detector is None:
        raise BadName("name a database: --dbname, -e or -d")
    return {"experiment": experiment, "detector": detector, "dbsuffix": dbsuffix}


@command(
    "print",
    """
    cdb print
    cdb print --dbname cdb_rixx45619
    cdb print -e rixx45619 -d epixhr2x2_000001 --docid 615717800000070123456789
    """,
)
@place
@click.option("--docid", metavar="ID", help="Only this document, with all its fields.")
@options.as_of
@options.tag
@options.json_
@options.url
def print_command(
    docid: str | None,
    as_of: int | str | None,
    tag: str | None,
    as_json: bool,
    url: str | None,
    **names: str | None,
) -> None:
    """Print what there is: all databases, one, one collection, or one document."""
    import cdb
    from cdb.cli.stores import print_contents

    with cdb.open(url) as db:
        if not any(names.values()) and docid is None:
            print_contents(db, as_of, tag, as_json=as_json)
            return
        found = db.find(**_place(**names), as_of=as_of, tag=tag)
    if docid is None:
        versions.print_all(found, as_json=as_json)
    else:
        versions.print_document(_one(found, docid), as_json=as_json)


def _one(found: Sequence[Version], docid: str) -> Version:
    for version in found:
        if version.id == docid:
            return version
    raise NotFound(f"no document {docid} there; `cdb print` without --docid lists them")


@command(
    "deldoc",
    """
    cdb deldoc -e rixx45619 -d epixhr2x2_000001 --docid 615717800000070123456789
    """,
    writes=True,
)
@place
@click.option("--docid", metavar="ID", required=True, help="The document.")
@why
@confirm
@options.dry_run
@options.json_
@options.url
def deldoc_command(
    docid: str,
    reason: str,
    yes: bool,
    dry_run: bool,
    as_json: bool,
    url: str | None,
    **names: str | None,
) -> None:
    """Retire one document and its copies; the bytes stay, and so does the past."""
    from cdb.opening import open_present

    with open_present(url) as db:
        found = [_one(db.find(**_place(**names)), docid)]
        _retire_all(db, found, reason, yes=yes, dry_run=dry_run, as_json=as_json)


@command(
    "delcol",
    """
    cdb delcol -e rixx45619 -d epixhr2x2_000001
    """,
    writes=True,
)
@place
@why
@confirm
@options.dry_run
@options.json_
@options.url
def delcol_command(
    reason: str, yes: bool, dry_run: bool, as_json: bool, url: str | None, **names: str | None
) -> None:
    """Retire all documents of a collection and their copies; the bytes stay."""
    from cdb.opening import open_present

    asked = _place(**names)
    if asked["detector"] is None:
        raise BadName("name a collection: --colname or -d")
    with open_present(url) as db:
        _retire_all(db, db.find(**asked), reason, yes=yes, dry_run=dry_run, as_json=as_json)


@command(
    "deldb",
    """
    cdb deldb -e rixx45619
    """,
    writes=True,
)
@click.option("--dbname", metavar="DATABASE", help="Database, with its prefix cdb_.")
@options.experiment
@options.any_detector
@options.dbsuffix
@why
@confirm
@options.dry_run
@options.json_
@options.url
def deldb_command(
    reason: str, yes: bool, dry_run: bool, as_json: bool, url: str | None, **names: str | None
) -> None:
    """Retire all documents of a database and their copies; the bytes stay.

    The database is --dbname, else the experiment's, else the detector's.
    """
    from cdb.opening import open_present

    asked = _place(**names, colname=None)
    if asked["experiment"] is not None:
        asked["detector"] = None
    with open_present(url) as db:
        _retire_all(db, db.find(**asked), reason, yes=yes, dry_run=dry_run, as_json=as_json)


def _refuse_unadopted(found: Sequence[Version]) -> None:
    strange = [version.id for version in found if version.state == "unadopted"]
    if strange:
        named = ", ".join(strange[:NAMED]) + (", ..." if strange[NAMED:] else "")
        raise WrongState(
            f"nothing was done: {len(strange)} of {len(found)} documents were written by another "
            f"program and cannot be retired yet ({named}); run `cdb adopt`, then this again"
        )


def _retire_all(
    db: "Database",
    found: Sequence[Version],
    reason: str,
    *,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Retire versions and their copies in one event; what cannot be, is told before all else."""
    _refuse_unadopted(found)
    ids = [version.id for version in found]
    retired = db.retire_all(ids, reason=reason, dry_run=True)
    if found and not as_json:
        versions.print_all(found, as_json=False)
    if found and not dry_run:
        options.confirm(f"Retire {len(found)} of them, with their copies?", yes=yes)
        retired = db.retire_all(ids, reason=reason)
    if as_json:
        output.as_json([versions.change_as_json(version, dry_run=dry_run) for version in retired])
    else:
        output.tell(f"{len(retired)} {'would be ' if dry_run else ''}retired")
