"""Commands about the journal and what should agree with it: journal, fsck, adopt."""

from typing import TYPE_CHECKING, Any

import click

from cdb.cli import options, output
from cdb.cli.command import command
from cdb.cli.stores import when

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cdb.adoption import Stranger
    from cdb.audit import Finding
    from cdb.constant import Version

Event = dict[str, Any]

# As many constants of one event are named.
SHOWN = 3


@command(
    "journal",
    """
    cdb journal -n 20
    cdb journal --after 117 --json
    cdb journal --verify
    """,
)
@click.option("--after", type=click.IntRange(min=0), default=0, metavar="S",
              help="Only events after this one.")  # fmt: skip
@click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="Only the last N.")
@click.option("--verify", is_flag=True, help="Walk the chain of digests instead.")
@options.as_of
@options.json_
@options.url
def journal_command(
    after: int,
    limit: int | None,
    verify: bool,
    as_of: int | str | None,
    as_json: bool,
    url: str | None,
) -> None:
    """List the events of the store: every write, who did it, when and why.

    Over a service these are the events that you may read; -n N looks at the last N there are.
    """
    from cdb.events import ELSEWHERE
    from cdb.opening import open_present

    with open_present(url) as db:
        if verify:
            number = db.journal.verify()
            if as_json:
                output.as_json({"events": number, "whole": True})
            else:
                output.tell(f"the chain of {number} events is whole")
            return
        upto = db.moment(as_of).seq
        begin = max(after, upto - limit) if limit else after
        found = db.journal.events(after=begin, upto=upto)
        events = [event for event in found if event["action"] != ELSEWHERE]
    if as_json:
        output.as_json(events)
    elif events:
        output.table([row(event) for event in events], beneath=["what", "why"])
    else:
        output.say("no events")


def row(event: Event) -> dict[str, str]:
    """Return an event as a row of a table."""
    return {
        "S": str(event["_id"]),
        "at": when(event["at"]),
        "who": f"{event['actor']}@{event['host']}",
        "did": event["action"],
        "what": _what(event),
        "why": event["reason"],
    }


def _what(event: Event) -> str:
    """Return what an event is about: the constants, each with the experiments it is for."""
    if event["action"] == "purge":
        size = output.size(sum(made["nbytes"] for made in event["versions"]))
        return f"bytes of versions that had left: {len(event['versions'])}, {size}"
    if event["action"] == "sweep":
        return f"bytes that no event names: {len(event['versions'])}"
    if event["action"] == "tag":
        return "; ".join(filter(None, map(_tag, event["versions"])))
    named: dict[str, list[str]] = {}
    for made in event["versions"]:
        if "child" in made:
            continue  # a parent of what the event is about
        name, experiment = _constant(made)
        named.setdefault(name, []).extend(experiment)
    texts = [
        f"{name} ({', '.join(dict.fromkeys(experiments))})" if experiments else name
        for name, experiments in named.items()
    ]
    more = f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return "; ".join(texts[:SHOWN]) + more


def _tag(made: Event) -> str:
    """Return which revision of a tag an entry adds, or which one leaves for good."""
    document = made.get("document")
    if document:
        return f"{document['name']}#{document['revision']} {document['state']}"
    return f"{made['name']} deleted" if "name" in made else ""


def _constant(made: Event) -> tuple[str, list[str]]:
    """Return the name of an entry, and the experiment whose copy it is."""
    from cdb.names import PREFIX, names_a_detector

    parts = made["key"].split("/")
    if len(parts) != 4:  # of the register, or a token
        document = made.get("document", {})
        return str(document.get("short") or document.get("subject") or made["key"]), []
    database, detector, ctype, runs = parts
    name = database.removeprefix(PREFIX)
    return f"{detector} {ctype} {runs}", [] if names_a_detector(name) else [name]


@command(
    "fsck",
    """
    cdb fsck --dry-run
    cdb fsck --payloads
    cdb fsck --older-than 0
    """,
)
@click.option("--payloads", is_flag=True, help="Read all payloads and compare their digests.")
@click.option("--older-than", type=click.FloatRange(min=0), default=3600, show_default=True,
              metavar="SECONDS", help="Leave younger litter: a writer may be at work.")  # fmt: skip
@click.option("--accept", is_flag=True,
              help="Record what another program changed or deleted as retired.")  # fmt: skip
@options.dry_run
@options.yes
@options.json_
@options.url
def fsck_command(
    payloads: bool,
    older_than: float,
    accept: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    url: str | None,
) -> None:
    """Find what is wrong in the store, and mend it; exit code 0 if nothing was, 1 if something.

    Completes what killed writers left, sweeps bytes that nobody names, puts back documents that
    another program changed or deleted. Only told, not counted: young litter, and documents that
    other programs left.
    """
    import cdb
    from cdb.fsck import Check

    if accept and not dry_run:
        options.confirm("Retire what another program changed or deleted?", yes=yes)
    with cdb.open(url) as db:
        progress = _say_step if output.talks_to_someone() else None
        findings = list(Check(db.journal, payloads, dry_run, older_than, accept, progress).run())
    counted = [finding for finding in findings if finding.counts]
    if as_json:
        output.as_json({"found": len(counted), "findings": [vars(f) for f in findings]})
    elif not findings:
        output.tell("nothing is wrong")
    else:
        output.table([_finding(finding) for finding in findings], beneath=["where", "what"])
        output.tell(f"{len(counted)} found, {sum(f.mended for f in counted)} mended")
    if counted:
        click.get_current_context().exit(1)


def _say_step(words: str) -> None:
    output.say(f"checking {words}")


def _finding(finding: "Finding") -> dict[str, str]:
    done = "mended" if finding.mended else "found" if finding.counts else "told"
    return {"done": done, "kind": finding.kind, "where": finding.where, "what": finding.what}


@command(
    "adopt",
    """
    cdb adopt --dry-run
    cdb adopt
    """,
    writes=True,
)
@options.dry_run
@options.json_
@options.url
def adopt_command(dry_run: bool, as_json: bool, url: str | None) -> None:
    """Give documents that psana's server wrote beside us an event, a digest and a place.

    Neither their place among equals nor the time from which they are visible changes.
    """
    import cdb
    from cdb.adoption import adopt, strangers

    with cdb.open(url) as db:
        found = list(strangers(db.journal))
        adopted = [] if dry_run else adopt(db.journal, found)
        _print_adopted(found, adopted, dry_run=dry_run, as_json=as_json)


def _print_adopted(
    found: "Sequence[Stranger]", adopted: "Sequence[Version]", *, dry_run: bool, as_json: bool
) -> None:
    refused = [stranger for stranger in found if stranger.trouble]
    if as_json:
        output.as_json(
            {
                "found": len(found),
                "adopted": [version.as_json() for version in adopted],
                "refused": [
                    {"database": s.database, "id": s.document["_id"], "trouble": s.trouble}
                    for s in refused
                ],
                "dry_run": dry_run,
            }
        )
        return
    for stranger in refused:
        where = f"{stranger.database}/{stranger.collection}/{stranger.document['_id']}"
        output.say(f"warning: {where} cannot be adopted: {stranger.trouble}")
    able = len(found) - len(refused)
    done = f"{able} would be adopted" if dry_run else f"{len(adopted)} adopted"
    output.tell(f"documents of other programs: {len(found)}, {done}")
