"""Commands about raw data: raw info, keys, panels, find."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cdb.cli import options, output, run_report
from cdb.cli.command import command, failure, group
from cdb.errors import CalibError

if TYPE_CHECKING:
    from cdb.readers import Key, Run, RunFiles, Source


@group("raw")
def raw_command() -> None:
    """Look into raw data: HDF5, files of the European XFEL, xtc2.

    A RUN is a file, a folder with the files of a run, or the text of a dataset:
    exp=xpptut15:run=54,56-58:dir=/some/folder.
    """


_spec = click.argument("specs", metavar="RUN...", nargs=-1, required=True)
_det = click.option("-d", "--detname", metavar="TEXT", help="Sources with this in their names.")


@command(
    "info",
    """
    cdb raw info dark.h5
    cdb raw info /gpfs/exfel/exp/SPB/202130/p900203/raw/r0015 -d AGIPD
    cdb raw info exp=ueddaq02:run=109:dir=/data -d epixquad --json
    """,
)
@_spec
@_det
@click.option("-n", "--events", type=click.IntRange(min=0), default=1000, show_default=True,
              metavar="N", help="Events whose event codes are counted, at most.")  # fmt: skip
@click.option("-m", "--evskip", type=click.IntRange(min=0), default=0, metavar="N",
              help="Frames of each step that are passed over.")  # fmt: skip
@click.option("--steps", "n_steps", type=click.IntRange(min=0), default=1000, show_default=True,
              metavar="N", help="Steps that are told of, at most.")  # fmt: skip
@click.option("--stskip", type=click.IntRange(min=0), default=0, metavar="N",
              help="Steps that are passed over.")  # fmt: skip
@click.option("--stepnum", type=click.IntRange(min=0), metavar="N", help="This step alone.")
@click.option("-c", "--configuration", is_flag=True, help="Tell how each panel was configured.")
@click.option("--constants", is_flag=True,
              help="List the constants in force for the run, by the store.")  # fmt: skip
@options.json_
@options.url
def info_command(
    specs: Sequence[str],
    detname: str | None,
    events: int,
    evskip: int,
    n_steps: int,
    stskip: int,
    stepnum: int | None,
    configuration: bool,
    constants: bool,
    as_json: bool,
    url: str | None,
) -> None:
    """Say what a run holds: times, steps, event codes, sources, shapes, gain mode, ids of panels.

    Events are counted without being read; event codes are read.
    """
    told = []
    for run in _runs(specs):
        wanted = [step.number for step in run.steps[stskip : stskip + n_steps]]
        if stepnum is not None:
            wanted = [step.number for step in run.steps if step.number == stepnum]
            if not wanted:
                raise failure(
                    f"{run.where} has no step {stepnum}; it has {len(run.steps)}, from 0 on"
                )
        sources = _sources(run, detname)
        facts = [_facts(run, one, wanted, evskip) for one in sources]
        if configuration:
            for one in facts:
                one["configuration"] = [
                    run_report.settings(panel) for panel in run.configuration(one["source"])
                ]
        if constants:
            _add_constants(run, facts, url)
        codes = run_report.Codes(run.event_codes(events), events)
        if as_json:
            told.append(run_report.as_json(run, wanted, codes, facts))
        else:
            run_report.tell(run, wanted, codes, facts)
    if as_json:
        output.as_json(told)


@command(
    "keys",
    """
    cdb raw keys dark.h5
    cdb raw keys /data/r0015 -d CONTROL --json
    """,
)
@_spec
@_det
@click.option("-p", "--pattern", metavar="TEXT", help="Keys with this in their names.")
@options.json_
def keys_command(
    specs: Sequence[str], detname: str | None, pattern: str | None, as_json: bool
) -> None:
    """List what a run has recorded: of which source, under which name, how much."""
    found: list[tuple[str, Key]] = []
    for run in _runs(specs):
        found += [
            (run.where, key)
            for key in run.recorded()
            if (detname or "").lower() in key.source.lower()
            and (pattern or "").lower() in key.name.lower()
        ]
    if as_json:
        output.as_json(
            [
                {"run": where, "kind": key.kind, "source": key.source, "key": key.name,
                 "dtype": key.dtype, "shape": None if key.shape is None else list(key.shape)}
                for where, key in found
            ]
        )  # fmt: skip
    elif not found:
        output.say("no such keys")
    else:
        several = len({where for where, _ in found}) > 1
        output.table(
            [
                {**({"run": where} if several else {}), "kind": key.kind,
                 "source": key.source or "/", "key": key.name,
                 "values": run_report.values(key.dtype, key.shape)}
                for where, key in found
            ],
            above="source",
            beneath=["values"],
        )  # fmt: skip


@command(
    "panels",
    """
    cdb raw panels exp=ueddaq02:run=109:dir=/data -d epixquad
    cdb raw panels /data/r0012 -d JNGFR --json
    """,
)
@_spec
@_det
@options.json_
def panels_command(specs: Sequence[str], detname: str | None, as_json: bool) -> None:
    """Print the ids of panels, and the long name by which the register knows a detector."""
    from cdb import run_facts

    found: list[dict[str, Any]] = []
    for run in _runs(specs):
        for source in _sources(run, detname):
            ids = run_facts.panels_of(run, source)
            name = run_facts.long_name_of(source, ids)
            found.append(
                {"run": run.where, "source": source.name, "detector_type": source.detector_type,
                 "panels": ids, "longname": name}
            )  # fmt: skip
    if as_json:
        output.as_json(found)
        return
    if not found:
        output.say("no source of frames")
    for one in found:
        output.tell(f"{one['source']} of {one['run']}")
        for number, id_ in enumerate(one["panels"]):
            output.tell(f"  panel {number:>2}  {id_}")
        output.tell(f"  name      {one['longname'] or 'no ids of panels are recorded'}")


@command(
    "find",
    """
    cdb raw find AGIPD /data/raw
    cdb raw find Cspad /data /archive --json
    """,
)
@click.argument("text")
@click.argument("folders", nargs=-1, required=True, metavar="FOLDER...",
                type=click.Path(path_type=Path))  # fmt: skip
@options.json_
def find_command(text: str, folders: Sequence[Path], as_json: bool) -> None:
    """Find the runs below folders that have a text in the names of their sources or keys.

    Files and folders that cannot be read are told of on stderr; they stop nothing.
    """
    from cdb import readers

    found, passed = [], 0

    def passed_over(why: object) -> None:
        nonlocal passed
        passed += 1
        output.say(f"warning: {why}")

    for folder in folders:
        if not folder.is_dir():
            raise failure(f"there is no folder {folder}")
    files = [one for folder in folders for one in readers.below(folder, passed_over)]
    with output.steps("looking through", lambda: len(files)) as advance:
        for one in files:
            try:
                found += _hits(one, text)
            except CalibError as error:
                passed_over(error)
            advance(1)
    if as_json:
        output.as_json({"runs": len(files), "unreadable": passed, "found": found})
    elif not found:
        output.say(f"none of {len(files)} runs has {text!r}")
    else:
        rows = [
            {"run": one["where"], "experiment": one["experiment"] or "",
             "number": "" if one["number"] is None else str(one["number"]),
             "sources": ", ".join(one["sources"])}
            for one in found
        ]  # fmt: skip
        output.table(rows, beneath=["sources"])


for _one in (info_command, keys_command, panels_command, find_command):
    raw_command.add_command(_one)


# Runs ------------------------------------------------------------------------------------------


def _runs(specs: Sequence[str]) -> Iterator["Run"]:
    """Yield open runs; what was passed over in them is told when they are done with."""
    from cdb import readers

    for files in [one for spec in specs for one in readers.find(spec)]:
        with _open(files) as run:
            yield run
            for note in dict.fromkeys(run.notes):
                output.say(f"warning: {note}")


@contextmanager
def _open(files: "RunFiles") -> Iterator["Run"]:
    from cdb import readers

    nbytes = sum(path.stat().st_size for path in files.files)
    with output.progress(f"looking through {output.size(nbytes)}", nbytes) as advance:
        run = readers.open_files(files, advance=advance)
    with run:
        yield run


def _sources(run: "Run", detname: str | None) -> list["Source"]:
    found = run.matching(detname)
    if detname and not found:
        run.source(detname)  # says what there is
    return found


def _hits(files: "RunFiles", text: str) -> list[dict[str, Any]]:
    """Return the run with its sources that have a text in their names or those of their keys."""
    from cdb import readers

    asked = text.lower()
    with readers.open_files(files) as run:
        keys = [key for key in run.recorded() if asked in f"{key.source} {key.name}".lower()]
        names = [name for name in run.sources if asked in name.lower()]
        others = [key.source or key.name for key in keys]
        more = [one for one in others if not any(name.startswith(one) for name in names)]
        sources = dict.fromkeys([*names, *more])
        if not sources:
            return []
        return [
            {"where": run.where, "experiment": run.experiment, "number": run.number,
             "sources": list(sources)}
        ]  # fmt: skip


def _facts(run: "Run", source: "Source", steps: Sequence[int], skip: int) -> dict[str, Any]:
    from cdb import run_facts

    ids = run_facts.panels_of(run, source)
    return {
        "source": source,
        "panels": ids,
        "longname": run_facts.long_name_of(source, ids),
        "configured": run_facts.configured_gain(run, source),
        "modes": run_facts.gain_modes_of(run, source, steps=list(steps), skip=skip),
    }


def _add_constants(run: "Run", facts: list[dict[str, Any]], url: str | None) -> None:
    """Add the constants that are in force for each source; why there are none goes to stderr."""
    from cdb.opening import open_present

    for one in facts:
        name = one["longname"] or one["source"].name
        one["constants"] = []
        try:
            with open_present(url) as db:
                there = db.detector(name, experiment=run.experiment, run=run.number).calibconst
                one["constants"] = [there.version(ctype) for ctype in there]
        except CalibError as error:
            output.say(f"warning: no constants of {one['source'].name}: {error}")
