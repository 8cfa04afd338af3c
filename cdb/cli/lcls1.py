"""Commands about an LCLS-I calibration tree where it is: list, check, find, deploy, remove."""

import math
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cdb.cli import options, output
from cdb.cli.command import command, failure, group

if TYPE_CHECKING:
    from cdb.files.lcls1 import CalibFile, Folder, Skipped, Span
    from cdb.files.lcls1_deploy import Done
    from cdb.validity import RunRange

WRONG = 1


def _mode(_: click.Context, option: click.Parameter, text: str) -> int:
    """Return a mode that is typed as chmod takes it, in octal digits."""
    digits = text.removeprefix("0o")
    if not (digits.isascii() and digits.isdecimal() and set(digits) <= set("01234567")):
        raise click.BadParameter(f"{text!r} is not octal; write it as chmod takes it, as 664")
    if int(digits, 8) > 0o7777:
        raise click.BadParameter(f"{text!r} has more than the bits of a mode; write it as 2775")
    mode, needed = int(digits, 8), 0o700 if option.name == "dirmode" else 0o600
    if mode & needed != needed:
        # As the decimal numbers that the old tools took do, 1533 and 436.
        raise click.BadParameter(f"{text!r} shuts the owner out; octal digits are wanted, as 2775")
    return mode


calib_ = click.argument("calib", type=options.file_path)
source_ = click.option("-d", "--detector", "source", required=True, metavar="SOURCE",
                       help="Source, as CxiDs1.0:Cspad.0.")  # fmt: skip
any_source_ = click.option("-d", "--detector", "source", metavar="SOURCE",
                           help="Only this source, as CxiDs1.0:Cspad.0.")  # fmt: skip
ctype_ = click.option("-c", "--ctype", required=True, metavar="TYPE",
                      help="Constant type: pedestals, pixel_rms, geometry, ...")  # fmt: skip
any_ctype_ = click.option("-c", "--ctype", metavar="TYPE", help="Only this constant type.")
group_ = click.option("--group", metavar="GROUP", help="Folder of the source, as Xtcav::CalibV1."
                      "  [default: the source's own]")  # fmt: skip
run_ = options.run_option("-r", "--run", help="Run.", default=9999)
comment_ = click.option("-m", "--comment", default="", metavar="TEXT", help="For HISTORY.")
modes_ = options.together(
    click.option("--dirmode", callback=_mode, default="2775", show_default=True, metavar="OCTAL",
                 help="Mode of new folders."),
    click.option("--filemode", callback=_mode, default="664", show_default=True, metavar="OCTAL",
                 help="Mode of new files."),
    click.option("--unix-group", metavar="NAME", help="Account group of what is new."),
)  # fmt: skip


@group("lcls1")
def lcls1_command() -> None:
    """Look after an LCLS-I calibration tree where it is, .../<INS>/<exp>/calib.

    A file's name says for which runs it holds. Of the files that hold for a run the one counts
    that begins latest, and of these the one that ends first. CDB_URL=lcls1:///path/calib asks the
    tree as a store, by `cdb get` and all others that only read.
    """


@command(
    "ls",
    """
    cdb lcls1 ls /sdf/data/lcls/ds/cxi/cxi83714/calib
    cdb lcls1 ls calib -d CxiDs1.0:Cspad.0 -c pedestals
    cdb lcls1 ls calib --json
    """,
)
@calib_
@any_source_
@any_ctype_
@options.json_
def ls_command(calib: Path, source: str | None, ctype: str | None, as_json: bool) -> None:
    """List which runs get which file, from run 0 on, for each source and type.

    Runs without a file are not listed, those after the last one of a closed range neither. A
    group is named where it is not the source's own.
    """
    from cdb.errors import StoreRefused
    from cdb.files import lcls1
    from cdb.files.groups import group_of

    found = []
    for folder in _folders(calib, source, ctype):
        try:
            files = lcls1.valid_files(folder.path, _passed_over)
        except StoreRefused:
            _passed_over(lcls1.Skipped(folder.path, "may not be read"))
            continue
        spans = lcls1.effective_ranges(files)
        records = _records(folder.path)
        found += [_row(folder, span, span.file, records) for span in spans if span.file]
    if as_json:
        output.as_json(found)
    elif found:
        columns = ("source", "group", "type", "runs", "file", "when", "by", "comment")
        rows = [{name: str(row[name] or "") for name in columns} for row in found]
        for row in rows:  # of most sources the group goes without saying
            row["group"] = "" if row["group"] == group_of(row["source"]) else row["group"]
        output.table(rows, above="source", beneath=["comment"], optional=["by", "when"])
    else:
        output.say("no files")


@command(
    "check",
    """
    cdb lcls1 check /sdf/data/lcls/ds/cxi/cxi83714/calib
    cdb lcls1 check calib --names --json
    """,
    answers=True,
)
@calib_
@click.option("--names", is_flag=True, help="Look at names and HISTORY only, read no file.")
@options.json_
@click.pass_context
def check_command(context: click.Context, calib: Path, names: bool, as_json: bool) -> None:
    """Say what is wrong in a tree; exit code 1 if something is.

    Names that are none, files that cannot be read or have the wrong size, runs that a broader
    range takes away, two names for the same runs, folders where no reader looks, types that nobody
    knows, lines of HISTORY that say nothing.
    """
    from cdb.files.lcls1_check import check

    found = list(check(calib, read=not names))
    wrong = sum(one.wrong for one in found)
    if as_json:
        output.as_json([{**vars(one), "path": _text(one.path)} for one in found])
    else:
        for one in found:
            where = _text(one.path.relative_to(calib))
            output.tell(f"{'' if one.wrong else 'note: '}{one.kind}: {where} {one.message}")
        output.say(f"{wrong} wrong, {len(found) - wrong} to know" if found else "nothing is wrong")
    if wrong:
        context.exit(WRONG)


@command(
    "path",
    """
    cdb lcls1 path calib -d CxiDs1.0:Cspad.0 -c pedestals -r 7
    cdb lcls1 path calib -d XrayTransportDiagnostic.0:Opal1000.0 -c pedestals \\
        --group Xtcav::CalibV1 -r 7
    """,
)
@calib_
@source_
@ctype_
@run_
@group_
@options.json_
def path_command(
    calib: Path, source: str, ctype: str, run: int, group: str | None, as_json: bool
) -> None:
    """Print the path of the file that holds for a run."""
    path = _chosen(calib, source, ctype, run, group)
    if as_json:
        output.as_json({"path": _text(path), "run": run})
        return
    output.tell(_text(path))


@command(
    "get",
    """
    cdb lcls1 get calib -d CxiDs1.0:Cspad.0 -c pedestals -r 7 -f peds.txt
    cdb lcls1 get calib -d CxiDs1.0:Cspad.0 -c pedestals -r 7 -f peds.npy
    """,
)
@calib_
@source_
@ctype_
@run_
@group_
@click.option("-f", "--file", "target", type=options.file_path, required=True, metavar="FILE",
              help="Where to; as .npy an array, else the file as it is.")  # fmt: skip
@options.yes
@options.json_
def get_command(
    calib: Path,
    source: str,
    ctype: str,
    run: int,
    group: str | None,
    target: Path,
    yes: bool,
    as_json: bool,
) -> None:
    """Copy the file that holds for a run."""
    from cdb.files import contents, formats

    path = _chosen(calib, source, ctype, run, group)
    data = contents.read(path, ctype)
    raw = path.read_bytes()
    if target.suffix == ".npy":
        npy = partial(formats.write_stream, data=data, format="npy")
        formats.write_file(target, npy, overwrite=yes)
    else:
        formats.write_file(target, lambda file: file.write(raw), overwrite=yes)
    if as_json:
        output.as_json({"path": _text(path), "file": _text(target), "run": run})
        return
    output.tell(f"{_text(path)} copied to {_text(target)}")


@command(
    "deploy",
    """
    cdb lcls1 deploy calib peds.npy -d CxiDs1.0:Cspad.0 -c pedestals -r 7-end \\
        -m "dark of run 7"
    cdb lcls1 deploy calib geo.data -d CxiDs1.0:Cspad.0 -c geometry -r 0-end \\
        --dry-run
    """,
    writes=True,
)
@calib_
@click.argument("file", type=options.file_path)
@source_
@ctype_
@click.option("-r", "--runs", required=True, metavar="A-B", help="Runs: 7-20, 7-end or 7.")
@comment_
@group_
@click.option("--fmt", metavar="FORMAT", help="Of the numbers of a .npy file, as %.3f."
              "  [default: all digits]")  # fmt: skip
@click.option("--any-size", is_flag=True, help="Take an array of another size than the detector's.")
@modes_
@options.dry_run
@options.json_
def deploy_command(
    calib: Path,
    file: Path,
    source: str,
    ctype: str,
    runs: str,
    comment: str,
    group: str | None,
    fmt: str | None,
    any_size: bool,
    dirmode: int,
    filemode: int,
    unix_group: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Put a file into a tree, for some runs; what it replaces stays as a backup.

    FILE is array text, the text of a geometry, or a .npy array, and is read before anything is
    written. Readers see the old file or the new one, whole. A single run holds for that run alone.
    """
    from cdb.files.lcls1 import Folder
    from cdb.files.lcls1_check import of_folder
    from cdb.files.lcls1_deploy import Deployment, Modes

    deployment = Deployment(
        calib, source, ctype, file, runs_of(runs), group=group, comment=comment, fmt=fmt,
        modes=Modes(dirmode, filemode, unix_group), check_shape=not any_size, report=_passed_over,
    )  # fmt: skip
    folder = Folder(deployment.folder, deployment.group, deployment.source, ctype)
    for odd in of_folder(folder):
        if odd.wrong:
            output.say(f"warning: {_text(odd.path)} {odd.message}")
    done = deployment.plan() if dry_run else deployment.commit()
    _print_done(done, "deployed", dry_run=dry_run, as_json=as_json)


@command(
    "remove",
    """
    cdb lcls1 remove calib -d CxiDs1.0:Cspad.0 -c pedestals -r 7-20 -m dark
    cdb lcls1 remove calib -d CxiDs1.0:Cspad.0 -c common_mode -r 7-END --dry-run
    """,
    writes=True,
)
@calib_
@source_
@ctype_
@click.option("-r", "--runs", "name", required=True, metavar="A-B",
              help="The file's name, without .data.")  # fmt: skip
@comment_
@group_
@options.dry_run
@options.yes
@options.json_
def remove_command(
    calib: Path,
    source: str,
    ctype: str,
    name: str,
    comment: str,
    group: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Take a file out of a tree; it stays as a backup, and HISTORY says who removed it."""
    from cdb.files.lcls1_deploy import Removal

    removal = Removal(
        calib, source, ctype, f"{name.removesuffix('.data')}.data", group=group, comment=comment,
        report=_passed_over,
    )  # fmt: skip
    if not dry_run:
        options.confirm(f"remove {_text(removal.path)}?", yes=yes)
    done = removal.plan() if dry_run else removal.commit()
    _print_done(done, "removed", dry_run=dry_run, as_json=as_json)


for _command in (
    ls_command, check_command, path_command, get_command, deploy_command, remove_command,
):  # fmt: skip
    lcls1_command.add_command(_command)


# In common -------------------------------------------------------------------------------------


def _folders(calib: Path, source: str | None, ctype: str | None) -> "Sequence[Folder]":
    from cdb.files import lcls1
    from cdb.files.groups import plain_source

    wanted = None if source is None else plain_source(source)
    return [
        folder
        for folder in lcls1.walk(calib, _passed_over)
        if wanted in (None, folder.source) and ctype in (None, folder.ctype)
    ]


def _passed_over(skipped: "Skipped") -> None:
    output.say(f"{_text(skipped.path)} {skipped.why}")


def _records(folder: Path) -> "Callable[[str], Any]":
    """Return what gives the record of HISTORY that counts for a file."""
    from cdb.errors import BadFile
    from cdb.files import history, lcls1

    try:
        records = lcls1.read_history(folder)
    except BadFile as error:
        output.say(str(error))
        records = []
    return history.standing(records).get


def _row(
    folder: "Folder", span: "Span", file: "CalibFile", records: "Callable[[str], Any]"
) -> dict[str, Any]:
    from cdb.validity import to_the_second

    record = records(file.name)
    time = record.time if record else None
    return {
        "source": folder.source,
        "group": folder.group,
        "type": folder.ctype,
        "runs": _span(span),
        "first": span.first,
        "last": None if math.isinf(span.last) else int(span.last),
        "file": file.name,
        "path": _text(file.path),
        "when": to_the_second(time) if time else None,
        "by": record.fields.get("user") if record else None,
        "comment": record.comment if record else None,
    }


def _span(span: "Span") -> str:
    if span.first == span.last:
        return str(span.first)
    return f"{span.first}-{'end' if math.isinf(span.last) else span.last}"


def _text(path: Path) -> str:
    return output.printable(os.fspath(path))


def _chosen(calib: Path, source: str, ctype: str, run: int, group: str | None) -> Path:
    from cdb.files import lcls1

    folder = lcls1.folder_of(calib, source, ctype, group)
    path = lcls1.choose_file(folder, run, report=_passed_over)
    if path is None:
        if not calib.is_dir():
            raise failure(f"no folder {_text(calib)}; give the path of an LCLS-I calib tree")
        files = lcls1.valid_files(folder, lambda skipped: None)
        there = ", ".join(file.name for file in files) or "no files"
        raise failure(f"no {ctype} of {source} for run {run} in {_text(folder)}: there are {there}")
    return path


def runs_of(text: str) -> "RunRange":
    """Return the runs of a text, as files are called by them: 7-20, 7-end, 7."""
    from cdb.validity import RunRange

    begin, dash, end = text.removesuffix(".data").partition("-")
    return RunRange.parse(begin, end if dash else begin)


def _print_done(done: "Done", what: str, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        output.as_json(
            {
                "path": _text(done.path),
                "backup": None if done.backup is None else _text(done.backup),
                "record": done.record,
                "before": _as_json(done.before),
                "after": _as_json(done.after),
                "dry_run": dry_run,
            }
        )
        return
    output.tell(f"{_text(done.path)} {'would be ' if dry_run else ''}{what}")
    if done.backup is not None:
        kept = "would stay" if dry_run else "is"
        output.tell(f"  what was there {kept} in {_text(Path(done.backup.name))}")
    output.table(_compared(done.before, done.after))


def _as_json(spans: "Sequence[Span]") -> list[dict[str, Any]]:
    return [{"runs": _span(span), "file": span.file and span.file.name} for span in spans]


def _compared(before: "Sequence[Span]", after: "Sequence[Span]") -> list[dict[str, str]]:
    """Return which runs got and get which file, cut where either changes."""
    from cdb.files.lcls1 import Span

    starts = sorted({span.first for span in (*before, *after)})
    rows = []
    for first, following in zip(starts, [*starts[1:], math.inf], strict=True):
        there = [
            next(span.file for span in reversed(spans) if span.first <= first)
            for spans in (before, after)
        ]
        names = ["-" if file is None else file.name for file in there]
        span = _span(Span(first, following - 1, None))
        rows.append({"runs": span, "before": names[0], "after": names[1]})
    return rows
