"""What the commands that deploy share: for whom and where to, what is told before and after."""

import functools
import math
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cdb.cli import files, options, output
from cdb.cli.lcls1 import modes_, runs_of

if TYPE_CHECKING:
    from cdb.database import Database
    from cdb.deploy import Asked, Change, Plan, Ready
    from cdb.deploy.ready import File
    from cdb.files.lcls1 import Skipped

# As many files of a constant are named.
_NAMED = 3


@dataclass(frozen=True)
class Deploying:
    """For whom something is deployed, and where to: what all these commands are told."""

    detector: str
    ids: Sequence[str]
    stamp: str | None
    raw: str | None
    runs: str | None
    experiment: str | None
    dbsuffix: str | None
    calib: Path | None
    store: bool
    comment: str | None
    gates: str | None
    modes: tuple[int, int, str | None]
    short: bool
    dry_run: bool
    yes: bool
    as_json: bool
    url: str | None

    @property
    def to_store(self) -> bool:
        """Whether a store gets it."""
        return self.store or self.calib is None

    def asked(self) -> "Asked":
        """Return what is asked for."""
        from cdb.deploy import Asked

        return Asked.of(self.detector, ids=self.ids, stamp=self.stamp, run=self.raw)

    def carry_out(self, ready: "Sequence[Ready]", asked: "Asked") -> None:
        """Tell what is deployed and which runs get it, ask where runs got others, and deploy it."""
        from cdb.deploy import Plan
        from cdb.files.lcls1_deploy import Modes
        from cdb.opening import open_present

        if self.runs is None:
            raise click.UsageError("for which runs? give -r, as 7-20, 7-end or 7")
        runs = runs_of(self.runs)
        opened = open_present(self.url, gates=self.gates) if self.to_store else nullcontext(None)
        with opened as db:
            plan = Plan(
                ready, asked, runs, db=db, experiment=self.experiment, dbsuffix=self.dbsuffix,
                calib=self.calib, comment=self.comment or "", source=_source(),
                modes=Modes(*self.modes), short=self.short, report=passed_over,
            )  # fmt: skip
            self._carry_out(plan, db)

    def _carry_out(self, plan: "Plan", db: "Database | None") -> None:
        for note in dict.fromkeys(note for ready in plan.ready for note in ready.notes):
            output.say(f"note: {note}")
        asks = not (self.yes or self.dry_run)
        rehearsed = plan.rehearse() if self.dry_run or asks else []
        replaced = any(change.replaced for change in rehearsed)
        if self.dry_run or (asks and replaced and not self.as_json):
            _print(rehearsed, plan, dry_run=True, as_json=self.as_json)
        elif asks:
            _say_replaced(rehearsed)  # where it does not disturb the JSON
        if self.dry_run:
            return
        if asks and replaced:
            options.confirm("Runs get another constant than now; deploy?", yes=False)
        nbytes = sum(getattr(each.data, "nbytes", 0) for each in plan.ready) if db else 0
        with output.progress(f"deploying {output.size(nbytes)}", nbytes) as progress:
            done = plan.commit(progress=progress)
        _print(done, plan, dry_run=False, as_json=self.as_json, brief=asks and replaced)
        if any(change.version and change.version.state == "quarantined" for change in done):
            click.get_current_context().exit(files.QUARANTINED)


def passed_over(skipped: "Skipped") -> None:
    """Say what is passed over."""
    output.say(f"{os.fspath(skipped.path)} {skipped.why}")


def _source() -> dict[str, Any]:
    """Return what a document says of who made it, and how."""
    from cdb import __version__

    command = os.fsencode(" ".join(sys.argv)).decode(errors="replace")
    return {"command": command, "software": {"name": "cdb", "version": __version__}}


# Options ---------------------------------------------------------------------------------------

_OPTIONS = options.together(
    click.option("-d", "--detector", required=True, metavar="NAME",
                 help="Detector: source (CxiDs1.0:Cspad.0), short or long name."),
    click.option("-r", "--runs", metavar="A-B", help="Runs that get it: 7-20, 7-end or 7."),
    click.option("-t", "--time", "stamp", metavar="TIME",
                 help="Take what was newest then, and let it hold from then on: YYYYmmddHHMMSS by"
                 " SLAC's clock, or with a zone.  [default: the newest, from now on]"),
    click.option("--id", "ids", multiple=True, metavar="ID",
                 help="Id of a panel; one after the other, or joined by _."),
    click.option("--raw", metavar="RUN",
                 help="Raw data that tell ids and time: a file, or exp=...:run=...:dir=..."),
    options.experiment,
    options.dbsuffix,
    click.option("--calib", type=options.file_path, metavar="PATH",
                 help="Deploy to this LCLS-I tree, instead of the store."),
    click.option("--store", is_flag=True, help="With --calib: to the store too."),
    options.comment,
    modes_,
    click.option("--short", is_flag=True, help="In a tree: print the numbers of what was put"
                 " together as the old programs did, which loses digits."),
    options.gates,
    options.dry_run,
    options.yes,
    options.json_,
    options.url,
)  # fmt: skip


def repository(kind: str) -> Callable[[Any], Any]:
    """Return the option that says where a repository is."""
    from cdb.files.repository import PLACES

    return click.option("--repo", type=options.file_path, metavar="DIR",
                        help=f"Repository.  [default: $SIT_ROOT/{PLACES[kind]}]")  # fmt: skip


def repository_at(given: Path | None, kind: str) -> Path:
    """Return where a repository is."""
    from cdb.files.repository import standard_place

    place = given or standard_place(kind)
    if place is None:
        raise click.UsageError("which repository? give --repo, or set SIT_ROOT")
    return place


def deploying(command: Callable[..., Any]) -> Any:
    """Give a command the options of all that deploy, as its first argument, a `Deploying`."""

    @functools.wraps(command)
    def gathered(
        *,
        detector: str,
        ids: Sequence[str],
        stamp: str | None,
        raw: str | None,
        runs: str | None,
        experiment: str | None,
        dbsuffix: str | None,
        calib: Path | None,
        store: bool,
        comment: str | None,
        gates: str | None,
        dirmode: int,
        filemode: int,
        unix_group: str | None,
        short: bool,
        dry_run: bool,
        yes: bool,
        as_json: bool,
        url: str | None,
        **others: Any,
    ) -> None:
        of_stores = {"-e": experiment, "-S": dbsuffix, "--gates": gates, "--url": url}
        beside = [name for name, value in of_stores.items() if value is not None]
        if calib is not None and not store and beside:
            raise click.UsageError(
                f"{', '.join(beside)} is about a store, and --calib deploys to a tree; say --store "
                "for both"
            )
        if short and calib is None:
            raise click.UsageError("--short is about the files of a tree; give one, --calib PATH")
        command(
            Deploying(
                detector, ids, stamp, raw, runs, experiment, dbsuffix, calib, store, comment,
                gates, (dirmode, filemode, unix_group), short, dry_run, yes, as_json, url,
            ),
            **others,
        )  # fmt: skip

    return _OPTIONS(gathered)


# What is told ----------------------------------------------------------------------------------


def _print(
    changes: "Sequence[Change]", plan: "Plan", *, dry_run: bool, as_json: bool, brief: bool = False
) -> None:
    """Print what became of constants, or would."""
    for change in changes:
        for finding in change.version.findings if change.version else ():
            output.say(f"{finding['severity']}: {finding['code']}: {finding['message']}")
    if as_json:
        output.as_json([_as_json(change, plan, dry_run=dry_run) for change in changes])
        return
    for change in changes:
        done = "deployed" if change.is_new else "is there already"
        if change.version is not None and change.version.state == "quarantined":
            done = "quarantined"
            output.say(
                "no look-up sees it; `cdb approve ID --reason ...` lets it in, if it is right"
            )
        would = "would be " if dry_run and change.is_new else ""
        output.tell(f"{change.ready.ctype} of {_name(change, plan)} {would}{done}")
        if not brief:
            _tell(_fields(change, plan, dry_run=dry_run))
            if change.is_new:
                output.table(_rows(change))


def _say_replaced(changes: "Sequence[Change]") -> None:
    """Say which runs would get another constant than now."""
    for change in changes:
        for first, last, before, after in change.replaced:
            output.say(f"{change.ready.ctype}, runs {_span(first, last)}: {before} -> {after}")


def _tell(fields: dict[str, Sequence[str]]) -> None:
    """Print names and values, each value on one line: a path that is folded cannot be copied."""
    width = max(map(len, fields))
    for name, values in fields.items():
        for number, value in enumerate(values):
            output.tell(f"  {'' if number else name:<{width}}  {value}")


def _name(change: "Change", plan: "Plan") -> str:
    return change.version.detector if change.version else plan.asked.detector


def _fields(change: "Change", plan: "Plan", *, dry_run: bool) -> dict[str, Sequence[str]]:
    from cdb import payload
    from cdb.cli import versions

    ready, version = change.ready, change.version
    known = version is not None and not (dry_run and version.new)
    backup = change.done.backup if change.done else None
    told: dict[str, Sequence[str]] = {
        "id": [version.id] if known and version else [],
        "S": [str(version.seq)] if known and version else [],
        "in": change.places if change.done else [", ".join(change.places)],
        "data": [payload.describe(ready.data)],
        "unit": [ready.unit] if ready.unit else [],
        "from": _named(ready.files),
        "runs": [str(plan.runs)],
        "valid from": [versions.moment(version)] if version else [],
        "backup": [backup.name] if backup else [],
    }
    return {name: values for name, values in told.items() if values}


def _named(made_from: "Sequence[File]") -> list[str]:
    paths = [str(file.path) for file in made_from]
    more = [f"and {len(paths) - _NAMED} more"] if len(paths) > _NAMED else []
    return [*paths[:_NAMED], *more]


def _rows(change: "Change") -> list[dict[str, str]]:
    return [
        {"runs": _span(first, last), "before": before or "-", "after": after or "-"}
        for first, last, before, after in change.runs
    ]


def _span(first: int, last: int | float) -> str:
    end = "end" if math.isinf(last) else str(last)
    return end if end == str(first) else f"{first}-{end}"


def _as_json(change: "Change", plan: "Plan", *, dry_run: bool) -> dict[str, Any]:
    ready, version = change.ready, change.version
    return {
        "ctype": ready.ctype,
        "detector": _name(change, plan),
        "places": list(change.places),
        "new": change.is_new,
        "dry_run": dry_run,
        "id": version.id if version and not (dry_run and version.new) else None,
        "seq": version.seq if version and not (dry_run and version.new) else None,
        "state": version.state if version else None,
        "runs": str(plan.runs),
        "unit": ready.unit,
        "source": ready.as_source(),
        "notes": list(ready.notes),
        "backup": str(change.done.backup) if change.done and change.done.backup else None,
        "effective": [
            {"runs": row["runs"], "before": each.before or None, "after": each.after or None}
            for row, each in zip(_rows(change), change.runs, strict=True)
        ],
    }
