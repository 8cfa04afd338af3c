"""Commands that hold a store against its own past: audit verify, audit head."""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from cdb.cli import options, output
from cdb.cli.command import command, failure, group
from cdb.cli.stores import when

if TYPE_CHECKING:
    from cdb.audit import Finding, Seal
    from cdb.database import Database
    from cdb.remote import RemoteDatabase


@group("audit")
def audit_command() -> None:
    """Find out whether the past was tampered with: edited, removed, put in."""


def _seals(_: click.Context, __: click.Parameter, given: Sequence[str]) -> list["Seal"]:
    from cdb.audit import Seal

    found = []
    for text in given:
        parts = re.fullmatch(r"([0-9a-f]{64})(?:@([0-9]{1,15}))?", text.strip())
        if not parts or parts[2] == "0":
            raise click.BadParameter(
                f"{text[:80]!r} is no digest; give its 64 digits, or DIGEST@S as `cdb audit head` "
                "prints it"
            )
        found.append(Seal(parts[1], int(parts[2]) if parts[2] else None))
    return found


@command(
    "verify",
    """
    cdb audit verify
    cdb audit verify --payloads
    cdb audit verify --from 100000 --json
    cdb audit verify --head \\
      9d908ecfb6b256def8b49a7c504e6c889c4b0e41fe6ce3e01863dd7b61a20aa0@5
    """,
    answers=True,
)
@click.option("--from", "begin", type=click.IntRange(min=1), default=1, metavar="S",
              help="Look at this event and later ones only.")  # fmt: skip
@click.option("--payloads", is_flag=True, help="Read all payloads and compare their digests.")
@click.option("--head", "seals", multiple=True, callback=_seals, metavar="DIGEST[@S]",
              help="Look for a digest that was written down once.")  # fmt: skip
@options.json_
@options.url
def verify_command(
    begin: int, payloads: bool, seals: list["Seal"], as_json: bool, url: str | None
) -> None:
    """Walk the chain of all events, and compare what they say with the documents.

    Finds an event or a document that was edited, removed or put in; changes nothing. Exit code 0
    if nothing was found, 1 if something was, 2 if it could not be looked at.
    """
    import cdb
    from cdb.remote import RemoteDatabase

    with cdb.open(url) as db:
        if not isinstance(db, RemoteDatabase):
            findings, facts = _of_store(db, begin, payloads, seals)
        elif payloads:
            raise failure("a service does not show its payloads all; do this where its store is")
        else:
            findings, facts = _of_service(db, begin, seals)
    _print(findings, facts, as_json=as_json)
    if any(finding.counts for finding in findings):
        click.get_current_context().exit(1)


def _of_store(
    db: "Database", begin: int, payloads: bool, seals: Sequence["Seal"]
) -> tuple[list["Finding"], dict[str, Any]]:
    from cdb.audit import Audit

    audit = Audit(db.journal, begin=begin, payloads=payloads, seals=seals)
    with output.steps("verifying", audit.size) as advance:
        audit.tell(advance)
        findings = list(audit.run())
    return findings, audit.facts()


def _of_service(
    db: "RemoteDatabase", begin: int, seals: Sequence["Seal"]
) -> tuple[list["Finding"], dict[str, Any]]:
    """Verify what a service shows of its journal: who may not read all cannot verify all."""
    from cdb.audit import Finding, broken
    from cdb.errors import NotAllowed
    from cdb.links import Walk
    from cdb.watching import Feed

    told = db.info()
    feed = Feed(db, begin - 1)
    walk = Walk(begin - 1, partly=not told["caller"]["admin"])
    findings: list[Finding] = []
    carried: dict[str, int] = {}
    with output.steps("verifying", lambda: told["seq"] - begin + 1) as advance:
        for page in feed.pages(follow=False):
            for event in page.events:
                carried[str(event.get("digest"))] = event["_id"]
                faults: Iterator[Any] = walk.follow(event)
                findings += [Finding("chain", f"event {f.seq}", f.what) for f in faults]
            advance(len(page.events))
    findings += [Finding("chain", f"event {f.seq}", f.what) for f in walk.end(told["seq"])]
    numbers = {*carried.values()}
    for seal in seals:
        hidden = walk.unseen and seal.digest not in carried
        if hidden and (seal.seq is None or (seal.seq <= told["seq"] and seal.seq not in numbers)):
            which = f"event {seal.seq}" if seal.seq else "some events"
            raise NotAllowed(f"you may not see {which}: ask somebody who may read every database")
        findings += broken(seal, carried, told["seq"], feed.server)
    return findings, {
        "server": feed.server,
        "seq": told["seq"],
        "digest": walk.digest,
        "events": walk.events,
        "unseen": walk.unseen,
        "emptied": walk.emptied,
        "documents": None,
        "payloads": False,
    }


def _print(findings: Sequence["Finding"], facts: dict[str, Any], *, as_json: bool) -> None:
    from cdb.audit import findings_as_json

    told = findings_as_json(findings)
    if as_json:
        output.as_json({**facts, **told})
        return
    if findings:
        output.table([_row(finding) for finding in findings], beneath=["where", "what"])
    number, documents = facts["events"], facts["documents"]
    looked = f"{number} events" + ("" if documents is None else f" and {documents} documents")
    output.tell(f"{looked} of {facts['server'][:16] or 'an empty store'}: {told['found']} found")
    if facts["unseen"] or facts["emptied"]:
        output.tell(
            f"{facts['unseen']} events more are not shown to you, and {facts['emptied']} in part: "
            "what is left out was not verified"
        )
    if documents is None:
        output.tell("a service does not show its documents: verify them where its store is")


def _row(finding: "Finding") -> dict[str, str]:
    done = "found" if finding.counts else "told"
    texts = {"done": done, "kind": finding.kind, "where": finding.where, "what": finding.what}
    return {name: output.printable(text) for name, text in texts.items()}


@command(
    "head",
    """
    cdb audit head
    cdb audit head --json
    """,
    answers=True,
)
@options.json_
@options.url
def head_command(as_json: bool, url: str | None) -> None:
    """Print the digest of the last event, to be written into a logbook.

    It stands for all that the store holds now. Whoever rewrites history changes it: `cdb audit
    verify --head` says later whether it still lies on the chain.
    """
    import cdb
    from cdb.remote import RemoteDatabase

    with cdb.open(url) as db:
        if isinstance(db, RemoteDatabase):
            told = db.info()
            facts = {name: told.get(name) for name in ("seq", "at", "server", "digest")}
        else:
            head = db.journal.head()
            at = when(head.at) if head.seq else None
            server = db.journal.identity()
            facts = {"seq": head.seq, "at": at, "server": server, "digest": head.digest}
    if facts["seq"] and not facts["digest"]:
        raise failure("the service is too old to tell its digest; do this where its store is")
    typed = f"cdb audit verify --head {facts['digest']}@{facts['seq']}" if facts["seq"] else None
    if as_json:
        output.as_json({**facts, "verify": typed})
    elif typed is None:
        output.tell("no events yet: there is nothing to write down")
    else:
        named = {"S": "seq", "time": "at", "server": "server", "digest": "digest"}
        for name, fact in named.items():
            output.tell(f"{name:<7} {facts[fact]}")
        output.tell(f"verify  {typed}")


audit_command.add_command(verify_command)
audit_command.add_command(head_command)
