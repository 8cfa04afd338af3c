"""Commands that take constants in and hand them out: import, export."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cdb.cli import archive, options, output
from cdb.cli.command import command, group

if TYPE_CHECKING:
    from cdb.files.lcls1 import Skipped
    from cdb.stores.base import Progress

    Lists = Mapping[str, Sequence[Skipped] | Sequence[str]]

# As many lines of a list a report has; --json has all.
SHOWN = 20

tree_ = click.argument("path", metavar="PATH", type=options.file_path)
experiment_ = click.option("-e", "--experiment", metavar="EXP", required=True,
                           shell_complete=options.complete_experiment,
                           help="Whose constants they are.")  # fmt: skip


@group("export", default="archive")
def export_command() -> None:
    """Write the whole store to one file, or constants in the form of another program.

    `cdb export FILE` is `cdb export archive FILE`; a file called as a command is written ./lcls1.
    """


@group("import", default="archive")
def import_command() -> None:
    """Take in a file that `cdb export` wrote, or the constants of another program.

    `cdb import FILE` is `cdb import archive FILE`; a file called as a command is written ./lcls1.
    """


@command(
    "lcls1",
    """
    cdb import lcls1 /sdf/data/lcls/ds/CXI/cxi83714/calib -e cxi83714 --dry-run
    cdb import lcls1 /sdf/data/lcls/ds/CXI/cxi83714/calib -e cxi83714
    cdb import lcls1 calib -e cxi83714 --url https://cdb.example.org/ --json
    """,
    writes=True,
)
@tree_
@experiment_
@click.option("--skip-unreadable", is_flag=True,
              help="Let other files stand in for those that cannot be read.")  # fmt: skip
@click.option("--retire-gone", is_flag=True,
              help="Retire what an earlier import took in and the tree no longer has.")  # fmt: skip
@options.dry_run
@options.json_
@options.url
def import_lcls1_command(
    path: Path,
    experiment: str,
    skip_unreadable: bool,
    retire_gone: bool,
    dry_run: bool,
    as_json: bool,
    url: str | None,
) -> None:
    """Take in a calib tree of LCLS-I: values, runs, HISTORY, comments, times, backups.

    What is there already is passed over, so an import that was interrupted goes on. A detector is
    found by its source (CxiDs1.0:Cspad.0) as by the name under which psana converts it
    (cspad_0001). If files cannot be read, the exit code is 1, and no other file is put in force
    that would stand in for one. See docs/lcls1-exchange.md.
    """
    import cdb
    from cdb.exchange.lcls1_import import Import
    from cdb.files import lcls1

    told = lcls1.experiment_of(path)
    if told not in (None, experiment):
        output.say(f"warning: by its path this is the tree of {told}, taken in for {experiment}")
    with cdb.open(url) as db:
        plan = Import(db, path, experiment)
        with _progress("importing", plan.nbytes, plan.n_files) as advance:
            made = plan.run(
                dry_run=dry_run, skip_unreadable=skip_unreadable, retire_gone=retire_gone,
                progress=advance,
            )  # fmt: skip
    numbers = {"new": made.new, "already there": made.same, "retired": made.retired}
    lists: Lists = {
        "unreadable": made.unreadable,
        "stand-ins": made.stand_ins,
        "withheld": made.withheld,
        "passed over": made.passed_over,
        "gone from the tree": made.gone,
    }
    if as_json:
        output.as_json({"path": str(path), **_plain(asdict(made)), "dry_run": dry_run})
    else:
        _tell(f"{path} {'would be taken in' if dry_run else 'taken in'}", numbers, lists)
    if made.unreadable and skip_unreadable:
        output.say(f"warning: files that could not be taken in: {len(made.unreadable)}")
    elif made.unreadable:
        output.say(
            f"files that could not be taken in: {len(made.unreadable)}, withheld with them: "
            f"{len(made.withheld)}; mend them and import again, or --skip-unreadable"
        )
        click.get_current_context().exit(1)


@command(
    "lcls1",
    """
    cdb export lcls1 calib -e cxi83714 --dry-run
    cdb export lcls1 calib -e cxi83714 -d CxiDs1.0:Cspad.0
    cdb export lcls1 calib -e cxi83714 --tag summer26 --short
    """,
)
@tree_
@experiment_
@click.option("-d", "--detector", "detectors", metavar="DET", multiple=True,
              help="Only this detector; may be given several times.")  # fmt: skip
@click.option("--short", is_flag=True,
              help="Print numbers as the old programs did, which loses digits.")  # fmt: skip
@click.option("--replace", is_flag=True,
              help="Write over files that hold something else; they stay as backups.")  # fmt: skip
@options.as_of
@options.tag
@options.dry_run
@options.json_
@options.url
def export_lcls1_command(
    path: Path,
    experiment: str,
    detectors: Sequence[str],
    short: bool,
    replace: bool,
    as_of: int | str | None,
    tag: str | None,
    dry_run: bool,
    as_json: bool,
    url: str | None,
) -> None:
    """Write a calib tree of LCLS-I, which the old programs read.

    For each run they choose the files that the experiment's look-ups choose; where they cannot, the
    exit code is 1. Files that are there are left alone, so an export that was interrupted goes on.
    See docs/lcls1-exchange.md.
    """
    from cdb.exchange.lcls1_export import Export
    from cdb.opening import open_present

    with open_present(url) as db:
        plan = Export(db, path, experiment, detectors=detectors, as_of=as_of, tag=tag, short=short)
        with _progress("exporting", plan.nbytes, plan.n_files) as advance:
            made = plan.run(dry_run=dry_run, replace=replace, progress=advance)
    numbers = {
        "new": made.new, "already there": made.same, "replaced": made.replaced,
        "superseded": made.superseded,
    }  # fmt: skip
    lists: Lists = {
        "differ": made.differ,
        "left out": made.left_out,
        "stand-ins": made.stand_ins,
        "not the store's": made.foreign,
    }
    if as_json:
        output.as_json({"path": str(path), **_plain(asdict(made)), "dry_run": dry_run})
    else:
        _tell(f"{path} {'would be written' if dry_run else 'written'}", numbers, lists)
    if path.absolute().name != "calib":
        output.say("note: the old programs write only to a folder that is called calib")
    if made.differ:
        output.say("files that are there hold something else; --replace writes over them")
    if made.stand_ins:
        output.say("for some runs readers of the tree choose what look-ups do not: see stand-ins")
    if made.differ or made.stand_ins:
        click.get_current_context().exit(1)


@contextmanager
def _progress(what: str, nbytes: int, n_files: int) -> Iterator["Progress | None"]:
    """Show how far a tree is: bytes, or the number of files where these are many small ones."""
    if nbytes >= output.LONG_WORK:
        with output.progress(f"{what} {output.size(nbytes)}", nbytes) as advance:
            yield advance
        return
    with output.steps(f"{what} files", lambda: n_files) as step:
        yield lambda _: step(1)


def _plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return a report as JSON can say it."""
    return {
        name: [each if isinstance(each, str) else {**each, "path": str(each["path"])}
               for each in value] if isinstance(value, list) else value
        for name, value in facts.items()
    }  # fmt: skip


def _tell(done: str, numbers: Mapping[str, int], lists: "Lists") -> None:
    """Print a report: numbers, then the beginning of each list."""
    output.tell(done)
    output.fields({**numbers, **{name: len(each) for name, each in lists.items()}}, indent="  ")
    for name, each in lists.items():
        for one in each[:SHOWN]:
            output.tell(f"{name}: {one if isinstance(one, str) else f'{one.path} {one.why}'}")
        if len(each) > SHOWN:
            output.tell(f"{name}: and {len(each) - SHOWN} more, which --json names")


export_command.add_command(archive.export_command)
export_command.add_command(export_lcls1_command)
import_command.add_command(archive.import_command)
import_command.add_command(import_lcls1_command)
