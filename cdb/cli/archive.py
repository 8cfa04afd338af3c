"""Commands about whole stores in one file: export archive, import archive."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cdb.cli import options, output
from cdb.cli.command import command

if TYPE_CHECKING:
    from cdb.backup import Imported


@command(
    "archive",
    """
    cdb export archive store.tar
    cdb export store.tar
    cdb export --dry-run store.tar
    cdb export --url mongodb://localhost:27017/ /backup/cdb.tar --yes
    """,
)
@click.argument("path", metavar="FILE", type=options.file_path)
@options.dry_run
@options.yes
@options.json_
@options.url
def export_command(path: Path, dry_run: bool, yes: bool, as_json: bool, url: str | None) -> None:
    """Write the whole store to one file: journal, documents, payloads.

    The file is as of one event, whoever writes meanwhile. An export that was interrupted goes on
    where it stopped when the command is repeated. The file is a tar archive; see docs/archive.md.
    """
    import cdb
    from cdb.backup import Export

    if path.exists() and not dry_run:
        options.confirm(f"{path} is there; replace it?", yes=yes)
    with cdb.open(url) as db, Export(db.journal, path) as export:
        made = export.planned
        what = f"exporting {output.size(made.nbytes)}"
        if export.begun:
            output.say(f"going on with {export.part}, as of event {made.seq}")
        if not dry_run:
            with output.progress(what, made.nbytes) as advance:
                made = export.write(progress=advance)
    if as_json:
        output.as_json({"file": str(path), **vars(made), "dry_run": dry_run})
        return
    done = "would be written" if dry_run else "written"
    output.tell(f"{path} {done}")
    output.fields(
        {
            "S": made.seq,
            "store": made.identity[:16] or "has no events yet",
            "payloads": f"{made.payloads}, {output.size(made.nbytes)}",
            "documents of other programs": made.documents,
            **({"payloads missing": made.missing} if made.missing else {}),
        },
        indent="  ",
    )


@command(
    "archive",
    """
    cdb import archive store.tar
    cdb import --dry-run store.tar
    cdb import --url file:///data/copy store.tar
    """,
)
@click.argument("path", metavar="FILE", type=options.file_path)
@options.dry_run
@options.json_
@options.url
def import_command(path: Path, dry_run: bool, as_json: bool, url: str | None) -> None:
    """Take in a file that `cdb export` wrote: into an empty store, or an older copy of its own.

    The file is verified first, from end to end. What is there already is passed over, so that an
    import that was interrupted goes on, and a copy can be kept up to date.
    """
    import cdb
    from cdb.backup import Import

    size = path.stat().st_size
    with cdb.open(url) as db:
        with output.progress(f"verifying {output.size(size)}", size) as advance:
            plan = Import(db.journal, path, progress=advance)
        with plan:
            made = plan.planned
            for trouble in made.left_out:
                output.say(f"warning: left out, this store cannot hold it: {trouble}")
            if not dry_run:
                what = f"importing {output.size(made.nbytes)}"
                with output.progress(what, made.nbytes) as advance:
                    made = plan.run(progress=advance)
    _print_imported(made, path, dry_run, as_json)


def _print_imported(made: "Imported", path: Path, dry_run: bool, as_json: bool) -> None:
    facts: dict[str, Any] = {"file": str(path), **vars(made), "dry_run": dry_run}
    if as_json:
        output.as_json(facts)
        return
    output.tell(f"{path} is whole" + ("; it would add" if dry_run else "; added"))
    output.fields(
        {
            "events": f"{made.events}, up to S = {made.seq}",
            "payloads": f"{made.payloads}, {output.size(made.nbytes)}",
            "documents of other programs": made.documents,
        },
        indent="  ",
    )
