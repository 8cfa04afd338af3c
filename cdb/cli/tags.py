"""Commands about names for states of the store, and about what differs between two of them."""

import inspect
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from cdb.cli import options, output
from cdb.cli.command import command, group

if TYPE_CHECKING:
    from cdb.affected import Affected
    from cdb.tags import Tag

DIFFERENT = 1

name_ = click.argument("name", shell_complete=options.complete_tag)
version_ids_ = click.argument("version_ids", metavar="VERSION...", nargs=-1, required=True)
at_ = click.option("--at", metavar="S", callback=options.state,
                   help="Which state: after event S, or at a time.  [default: now]")  # fmt: skip


@group("tag")
def tag_command() -> None:
    """Give states of the store names: freeze them, pin versions over them, let them run.

    A tag is a name for an S, the number of an event; reading with --tag NAME, or with CDB_TAG set,
    gives the answers of that state, whatever is written later. It goes from open to testing,
    validated and published, after which it never changes again; or it becomes invalid.
    """


@command(
    "create",
    """
    cdb tag create summer26 -m "constants of the paper"
    cdb tag create before-dark --at 2026-07-01T00:00:00Z
    cdb tag create summer26-fixed --base summer26
    """,
    writes=True,
)
@click.argument("name")
@at_
@click.option("--base", metavar="TAG", shell_complete=options.complete_tag,
              help="Another tag, instead of a state: what this one does not say, "
              "that one says.")  # fmt: skip
@options.comment
@options.dry_run
@options.json_
@options.url
def create_command(
    name: str,
    at: int | str | None,
    base: str | None,
    comment: str | None,
    dry_run: bool,
    as_json: bool,
    url: str | None,
) -> None:
    """Give the present state of the store a name, or an earlier one; it costs one small event."""
    from cdb.opening import open_present

    if at is not None and base is not None:
        raise click.UsageError("--at and --base are both given: give one of them")
    with open_present(url) as db:
        tag = db.tags.create(name, at=at, base=base, comment=comment or "", dry_run=dry_run)
    _print_written(tag, "created", dry_run=dry_run, as_json=as_json)


@command(
    "list",
    """
    cdb tag list
    cdb tag list --json
    """,
)
@options.json_
@options.url
def list_command(as_json: bool, url: str | None) -> None:
    """List the tags."""
    from cdb.opening import open_present

    with open_present(url) as db:
        found = db.tags.list()
    if as_json:
        output.as_json([tag.as_json() for tag in found])
    elif found:
        output.table([_row(tag) for tag in found], beneath=["comment"], optional=["made", "by"])
    else:
        output.say("no tags")


@command(
    "show",
    """
    cdb tag show summer26
    cdb tag show 'summer26#3' --json
    """,
)
@name_
@options.json_
@options.url
def show_command(name: str, as_json: bool, url: str | None) -> None:
    """Print all that a tag says, and how it came to say it.

    NAME may be one revision, as 'summer26#3', and name its server, as summer26@1f3a9c0b.
    """
    from cdb.opening import open_present

    with open_present(url) as db:
        tag, revisions = db.tags.get(name), db.tags.revisions(name)
    if as_json:
        output.as_json(tag.as_json() | {"revisions": [each.as_json() for each in revisions]})
        return
    said = tag.as_json()
    said |= {"base": str(tag.base or ""), "pins": len(tag.pins), "steps": len(tag.steps)}
    output.fields({field: value for field, value in said.items() if value not in (None, "")})
    for title, rows in (
        ("pins", [vars(pin) for pin in tag.pins]),
        ("steps", [{"from": str(step), "S": str(step.at)} for step in tag.steps]),
        ("revisions", [_revision(each) for each in revisions]),
    ):
        if rows:
            output.tell("")
            output.tell(title)
            output.table(rows, beneath=["why"] if title == "revisions" else [])


@command(
    "move",
    """
    cdb tag move summer26 testing
    cdb tag move summer26 invalid -m "wrong gains of panel 3"
    """,
    writes=True,
)
@name_
@click.argument("state", shell_complete=options.complete_tag_state)
@click.option("-m", "--reason", default="", metavar="TEXT", help="Why; it is kept for ever.")
@options.dry_run
@options.json_
@options.url
def move_command(
    name: str, state: str, reason: str, dry_run: bool, as_json: bool, url: str | None
) -> None:
    """Move a tag on: open, testing, validated, published; or, before that, to invalid.

    A published tag never changes again; an invalid one answers no more. Their names are never
    used again.
    """
    from cdb.opening import open_present

    with open_present(url) as db:
        tag = db.tags.move(name, state, reason=reason, dry_run=dry_run)
    _print_written(tag, "moved", dry_run=dry_run, as_json=as_json)


@command(
    "pin",
    """
    cdb tag pin summer26 615717800000070123456789
    cdb tag pin summer26 615717800000070123456789 --dry-run
    """,
    writes=True,
)
@name_
@version_ids_
@options.dry_run
@options.json_
@options.url
def pin_command(
    name: str, version_ids: tuple[str, ...], dry_run: bool, as_json: bool, url: str | None
) -> None:
    """Let versions stand in their places, whatever the tag's state shows there.

    A version wins for all runs and times that it is valid for, in the database that it is in;
    elsewhere the tag answers as before. Only a tag that is open or testing can be pinned in.
    """
    from cdb.opening import open_present

    with open_present(url) as db:
        tag = db.tags.pin(name, version_ids, dry_run=dry_run)
    _print_written(tag, "changed", dry_run=dry_run, as_json=as_json)


@command(
    "unpin",
    """
    cdb tag unpin summer26 615717800000070123456789
    """,
    writes=True,
)
@name_
@version_ids_
@options.dry_run
@options.json_
@options.url
def unpin_command(
    name: str, version_ids: tuple[str, ...], dry_run: bool, as_json: bool, url: str | None
) -> None:
    """Take pins back."""
    from cdb.opening import open_present

    with open_present(url) as db:
        tag = db.tags.unpin(name, version_ids, dry_run=dry_run)
    _print_written(tag, "changed", dry_run=dry_run, as_json=as_json)


@command(
    "advance",
    """
    cdb tag advance running -e rixx45619 -r 120
    cdb tag advance running -t 2026-07-01T00:00:00Z --at 4711
    """,
    writes=True,
)
@name_
@at_
@options.experiment
@options.run_option("-r", "--run", help="From this run of the experiment on.")
@options.times
@options.dry_run
@options.json_
@options.url
def advance_command(
    name: str,
    at: int | str | None,
    experiment: str | None,
    run: int | None,
    time_stamp: int | str | None,
    time_sec: int | str | None,
    dry_run: bool,
    as_json: bool,
    url: str | None,
) -> None:
    """Let another state answer from a run of an experiment on, or from a time on.

    Earlier runs and times keep their answers: a step that would change one is refused.
    """
    from cdb.opening import open_present

    time = options.given_time(time_stamp, time_sec)
    with open_present(url) as db:
        tag = db.tags.advance(
            name, at=at, experiment=experiment, run=run, time=time, dry_run=dry_run
        )
    _print_written(tag, "advanced", dry_run=dry_run, as_json=as_json)


@command(
    "delete",
    """
    cdb tag delete summer26 --dry-run
    cdb tag delete summer26
    """,
    writes=True,
)
@name_
@options.dry_run
@options.json_
@options.url
def delete_command(name: str, dry_run: bool, as_json: bool, url: str | None) -> None:
    """Delete an open tag; its name is free again."""
    from cdb.opening import open_present

    with open_present(url) as db:
        tag = db.tags.delete(name, dry_run=dry_run)
    _print_written(tag, "deleted", dry_run=dry_run, as_json=as_json)


def _compared(name: str, examples: str, what: str) -> Any:
    """Return the command that compares two states, which has two names."""

    @command(name, examples, answers=True)
    @click.argument("a", callback=options.state_or_tag, shell_complete=options.complete_tag)
    @click.argument("b", callback=options.state_or_tag, shell_complete=options.complete_tag)
    @options.any_detector
    @click.option("-e", "--experiment", metavar="NAME", help="Only its analyses.",
                  shell_complete=options.complete_experiment)  # fmt: skip
    @options.times
    @options.json_
    @options.url
    def compare(
        a: int | str,
        b: int | str,
        detector: str | None,
        experiment: str | None,
        time_stamp: int | str | None,
        time_sec: int | str | None,
        as_json: bool,
        url: str | None,
    ) -> None:
        time = options.given_time(time_stamp, time_sec)
        compare_states(
            a, b, as_json=as_json, url=url, detector=detector, experiment=experiment, time=time
        )

    compare.help = inspect.cleandoc(what)
    return compare


affected_command = _compared(
    "affected",
    """
    cdb affected 4711 4720
    cdb affected summer26 2026-07-01T00:00:00Z -e rixx45619
    cdb affected summer26 autumn26 -d epixhr2x2_000001 --json
    """,
    """Say for which detectors, experiments, types and runs two states answer differently.

    A and B are events, times with their zones, or tags. Answers are those of rule range, for the
    detectors themselves and for each experiment that has constants of them; any other experiment
    is asked for with -e. Exit code: 0 they answer alike, 1 they do not, 2 trouble.
    """,
)
compare_command = _compared(
    "compare",
    """
    cdb tag compare summer26 autumn26
    cdb tag compare summer26 now -d epixhr2x2_000001 --json
    """,
    """Say for which detectors, experiments, types and runs two tags answer differently.

    A and B may be events or times as well: `cdb affected` is the same. Exit code: 0 they answer
    alike, 1 they do not, 2 trouble.
    """,
)

for _made in (create_command, list_command, show_command, move_command, pin_command,
              unpin_command, advance_command, compare_command, delete_command):  # fmt: skip
    tag_command.add_command(_made)


def _print_written(tag: "Tag", done: str, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        output.as_json(tag.as_json() | {"dry_run": dry_run})
        return
    would = "would be " if dry_run else ""
    click.echo(f"tag {tag.name} {would}{done}: {tag.state}, {_said(tag)}")


def _said(tag: "Tag") -> str:
    parts = [f"based on {tag.base}" if tag.base else f"as of event {tag.at}"]
    parts += [f"{len(tag.pins)} pinned"] if tag.pins else []
    parts += [f"{tag.steps[-1]} as of event {tag.steps[-1].at}"] if tag.steps else []
    return ", ".join(parts)


def _row(tag: "Tag") -> dict[str, str]:
    return {
        "tag": tag.name,
        "state": tag.state,
        "S": str(tag.at),
        "base": str(tag.base or ""),
        "pins": str(len(tag.pins) or ""),
        "steps": str(len(tag.steps) or ""),
        "made": f"{tag.made:%Y-%m-%d %H:%M:%S}Z",
        "by": tag.by,
        "comment": tag.comment,
    }


def _revision(tag: "Tag") -> dict[str, str]:
    return {
        "revision": str(tag.revision),
        "at": f"{tag.changed:%Y-%m-%d %H:%M:%S}Z",
        "by": tag.by,
        "state": tag.state,
        "says": _said(tag),
        "why": tag.reason,
    }


def compare_states(
    a: int | str, b: int | str, *, as_json: bool, url: str | None, **chosen: Any
) -> None:
    """Print what two states answer differently, and end with the exit code that says whether."""
    from cdb.opening import open_present

    with open_present(url) as db:
        found = list(db.affected(a, b, **chosen))
    _print_affected(found, as_json=as_json)
    click.get_current_context().exit(DIFFERENT if found else 0)


def _print_affected(found: "Sequence[Affected]", *, as_json: bool) -> None:
    if as_json:
        output.as_json([row.as_json() for row in found])
    elif found:
        output.table(list(_rows(found)), above="detector", beneath=["before", "after"])
    else:
        output.say("they answer alike")


def _rows(found: "Iterable[Affected]") -> "Iterable[dict[str, str]]":
    for row in found:
        yield {
            "detector": row.detector,
            "experiment": row.experiment or "",
            "type": row.ctype,
            "runs": row.runs,
            "before": "nothing" if row.before is None else "/".join(row.before),
            "after": "nothing" if row.after is None else "/".join(row.after),
        }
