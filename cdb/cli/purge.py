"""The one command that destroys data: purge."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from cdb.cli import options, output
from cdb.cli.command import Failure, command

if TYPE_CHECKING:
    from cdb.purge import Purgeable


@command(
    "purge",
    """
    cdb purge --dry-run
    cdb purge -d epixhr2x2_000001 --before 2024-01-01T00:00:00Z \\
        -m "test runs of 2023" --yes
    """,
    writes=True,
)
@options.any_detector
@options.any_ctype
@click.option("-e", "--experiment", metavar="NAME", help="Only what this experiment deployed.")
@options.before
@click.option("-m", "--reason", metavar="TEXT", help="Why; it is kept for ever.")
@options.dry_run
@options.yes
@options.json_
@options.url
def purge_command(
    detector: str | None,
    ctype: str | None,
    experiment: str | None,
    before: int | str | None,
    reason: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    url: str | None,
) -> None:
    """Remove for good the bytes of retired and replaced versions; documents and history stay.

    Bytes that a visible version names are kept, and those that a tag answers with, unless it is
    invalid. What is to be removed is told first; nothing happens without --yes. Later reads of
    these versions as of the past say who purged them.
    """
    from cdb.opening import open_present
    from cdb.purge import Choice, purge, purgeable

    with open_present(url) as db:
        short = db.short_name(detector) if detector else None
        choice = Choice(short, ctype, experiment, None if before is None else db.moment(before).seq)
        every, seen = purgeable(db.journal, choice)
        found = [one for one in every if not one.tags]
        kept = [one for one in every if one.tags]
        if not as_json:
            _tell(found)
            _tell_kept(kept)
        purged: list[Purgeable] = []
        if found and not dry_run:
            if not yes:
                raise Failure("nothing was done: say --yes to remove these bytes for good")
            if not reason:
                raise Failure("nothing was done: say why with -m, it is kept for ever")
            purged = purge(db.journal, found, seen=seen, reason=reason)
    if as_json:
        more = {"kept": _kept(kept), "purged": len(purged), "dry_run": dry_run}
        output.as_json(_facts(found) | more)
    elif found:
        left = f", {len(found) - len(purged)} left: named again" if purged != found else ""
        output.tell("nothing was removed" if dry_run else f"{len(purged)} payloads removed{left}")


def _facts(found: "Sequence[Purgeable]") -> dict[str, Any]:
    from cdb.purge import detectors_of

    return {
        "payloads": len(found),
        "versions": len({version.id for one in found for version in one.versions}),
        "bytes": sum(one.nbytes for one in found),
        "detectors": [
            {"detector": name, **_counts(some)} for name, some in detectors_of(found).items()
        ],
    }


def _kept(kept: "Sequence[Purgeable]") -> dict[str, int]:
    """Return how many payloads each tag keeps."""
    tags = sorted({tag for one in kept for tag in one.tags})
    return {tag: sum(tag in one.tags for one in kept) for tag in tags}


def _tell_kept(kept: "Sequence[Purgeable]") -> None:
    for tag, number in _kept(kept).items():
        output.tell(f"{number} payloads stay: the tag {tag} answers with them")


def _counts(found: "Sequence[Purgeable]") -> dict[str, Any]:
    return {
        "payloads": len(found),
        "versions": sum(len(one.versions) for one in found),
        "bytes": sum(one.nbytes for one in found),
        "ctypes": sorted({version.ctype for one in found for version in one.versions}),
    }


def _tell(found: "Sequence[Purgeable]") -> None:
    from cdb.purge import detectors_of

    if not found:
        output.tell("nothing to purge: no bytes are named by versions that have left alone")
        return
    output.table(
        [
            {
                "detector": name,
                "versions": str(counts["versions"]),
                "payloads": str(counts["payloads"]),
                "bytes": output.size(counts["bytes"]),
                "types": ", ".join(counts["ctypes"]),
            }
            for name, counts in ((n, _counts(s)) for n, s in detectors_of(found).items())
        ],
        beneath=["types"],
    )
    total = output.size(sum(one.nbytes for one in found))
    output.tell(f"{len(found)} payloads, {total}, can be removed for good")
