"""Commands about rules for new constants: check, quarantine, approve."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cdb.cli import options, output, versions
from cdb.cli.command import command
from cdb.constant import Version

if TYPE_CHECKING:
    from cdb.inspection import Verdict


@command(
    "check",
    """
    cdb check mypeds.npy -d epix10ka_000001 -c pedestals -e rixx45619 -r 125
    cdb check mypeds.npy -d jungfrau_000001 -c pedestals --gates lab.toml --strict
    cdb check 615717800000070123456789 --json
    """,
    answers=True,
)
@click.argument("what", metavar="FILE|ID")
@options.any_detector
@options.any_ctype
@options.experiment
@options.dbsuffix
@options.run_option("-r", "--run", help="First run that it is for.  [default: 0]")
@options.times
@click.option("-i", "--dtype", metavar="TYPE",
              help="File type: txt, json, pkl, xtcav, ndarray."
              "  [default: by what it is]")  # fmt: skip
@options.allow_pickle
@click.option("--strict", is_flag=True, help="A warning does not pass either.")
@options.gates
@options.as_of
@options.json_
@options.url
def check_command(
    what: str,
    detector: str | None,
    ctype: str | None,
    time_stamp: int | str | None,
    time_sec: int | str | None,
    dtype: str | None,
    allow_pickle: bool,
    strict: bool,
    gates: str | None,
    as_json: bool,
    url: str | None,
    **where: Any,
) -> None:
    """Hold a constant against the rules, and say what `cdb add` would do; nothing is written.

    A version, named by its ID, is compared with what was in force before it. Exit code 0: it
    passes, 1: it would be quarantined or refused (with --strict: or warned of), 2: trouble.
    """
    from cdb.drafts import is_id
    from cdb.opening import open_present

    is_version = is_id(what) and not Path(what).exists()
    given = {name: value for name, value in where.items() if value is not None}
    time = options.given_time(time_stamp, time_sec)
    if is_version and (detector or ctype or given or time is not None or dtype):
        raise click.UsageError("an ID says all by itself: give it alone")
    if not is_version and not (detector and ctype):
        raise click.UsageError(f"{what} is a file: say what it is for, -d and -c")
    with open_present(url, gates=gates) as db:
        if is_version:
            verdict = db.check_version(what)
        else:
            from cdb.files import formats

            file_type = dtype.lower() if dtype else None
            data = formats.read(
                Path(what), ctype=str(ctype), dtype=file_type, allow_pickle=allow_pickle
            )
            verdict = db.check(data, detector=str(detector), ctype=str(ctype), time=time, **given)
    _print_verdict(verdict, as_json=as_json)
    good = ("accepted",) if strict else ("accepted", "warned")
    if verdict.outcome not in good:
        click.get_current_context().exit(1)


def _print_verdict(verdict: "Verdict", *, as_json: bool) -> None:
    if as_json:
        output.as_json(verdict.as_json())
        return
    would = {
        "accepted": "passes",
        "warned": "passes, with warnings",
        "quarantined": "would be quarantined",
        "refused": "would be refused",
    }
    output.tell(f"{would[verdict.outcome]}; {len(verdict.rules)} rules looked at it")
    output.table([_row(finding.as_json()) for finding in verdict.findings], beneath=["what"])
    for note in verdict.notes:
        output.say(f"note: {note}")


def _row(finding: dict[str, Any]) -> dict[str, str]:
    return {
        "code": str(finding.get("code", "")),
        "severity": str(finding.get("severity", "")),
        "rule": str(finding.get("rule", "")),
        "what": str(finding.get("message", "")),
    }


@command(
    "quarantine",
    """
    cdb quarantine
    cdb quarantine -d epix10ka_000001
    cdb quarantine -e rixx45619 --json
    """,
)
@options.any_detector
@options.experiment
@options.as_of
@options.json_
@options.url
def quarantine_command(
    detector: str | None,
    experiment: str | None,
    as_of: int | str | None,
    as_json: bool,
    url: str | None,
) -> None:
    """List the versions that wait in quarantine, newest first, each with what was found.

    No look-up sees them. `cdb approve` lets one in; what nobody wants may stay where it is.
    """
    from cdb.opening import open_present

    with open_present(url) as db:
        found = db.quarantined(detector=detector, experiment=experiment, as_of=as_of)
    if as_json:
        output.as_json([version.as_json() for version in found])
    elif found:
        output.table([_waiting(version) for version in found], beneath=["found"])
    else:
        output.say("nothing is in quarantine")


def _waiting(version: Version) -> dict[str, str]:
    return {
        "id": version.id,
        "detector": version.detector,
        "type": version.ctype,
        "experiment": version.experiment or "",
        "runs": str(version.runs or "?"),
        "by": str(version.meta.get("uid", "")),
        "S": str(version.seq),
        "found": versions.found_in(version),
    }


@command(
    "approve",
    """
    cdb approve 615717800000070123456789 --reason "panel 3 is off"
    """,
    writes=True,
)
@click.argument("id", metavar="ID")
@options.reason
@options.dry_run
@options.json_
@options.url
def approve_command(
    id: str,  # noqa: A002 - the argument's name
    reason: str,
    dry_run: bool,
    as_json: bool,
    url: str | None,
) -> None:
    """Let a version out of quarantine, with its copies, in its place among equals.

    It holds from now on, under a new id; what was found stays in its document. Whoever may
    deploy it may approve it: that, and why, is kept for ever.
    """
    from cdb.opening import open_present

    with open_present(url) as db:
        version = db.approve(id, reason=reason, dry_run=dry_run)
        versions.print_change(version, "approved", dry_run=dry_run, as_json=as_json)
