"""Commands between constants and files: add, get."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cdb.cli import options, output, versions
from cdb.cli.command import command
from cdb.constant import Version

if TYPE_CHECKING:
    from cdb.database import Database

# Exit code of what was stored, but is not seen: a script that deploys wants to know.
QUARANTINED = 3


@command(
    "add",
    r"""
    cdb add -e rixx45619 -d epixhr2x2_000001 -t 2021-10-01T00:00:00-0800 \
        -c pedestals -f mypeds
    cdb add -e rixx45619 -d epixhr2x2_000001 -t 2021-10-01T00:00:00-0800 \
        -c geometry -f mygeo -i txt
    cdb add -d epixhr2x2_000001 -c pixel_gain -r 5 -R 9 -f gains.npy --dry-run
    """,
    writes=True,
)
@options.detector
@options.ctype
@click.option("-f", "--iofname", "file", type=options.file_path, required=True, metavar="FILE",
              help="File with the constant.")  # fmt: skip
@options.experiment
@options.dbsuffix
@options.run_option("-r", "--run", default=0, help="First run.")
@options.run_end
@options.times
@options.label
@options.comment
@click.option("-i", "--dtype", metavar="TYPE",
              help="File type: txt, json, pkl, xtcav, ndarray."
              "  [default: by what it is]")  # fmt: skip
@options.run_option("--run_orig", help="Run that the constant was made from.")
@click.option("--detname", metavar="NAME", help="The detector's alias in the DAQ.")
@options.unit
@options.source
@options.allow_pickle
@click.option("--again", is_flag=True, help="Add even what is there already.")
@options.gates
@options.dry_run
@options.json_
@options.url
def add_command(
    file: Path,
    dtype: str | None,
    time_stamp: str | None,
    time_sec: int | str | None,
    allow_pickle: bool,
    gates: str | None,
    dry_run: bool,
    as_json: bool,
    url: str | None,
    source_file: Path | None,
    parents: Sequence[str],
    **fields: Any,
) -> None:
    """Add a constant from a file, to the experiment's database and to the detector's.

    The file is array text (with LCLS headers, or plain numbers), .npy, plain text, JSON, HDF5 as
    XTCAV's or, if allowed, a pickle. A constant that is there already, as the last one added of
    its names and validity, is not added again. The time is now if none is given. What it was made
    from is kept: this command, the file's digest, and what --source and --parent say.

    What the rules find is told (see `cdb check`); if they keep it from look-ups until somebody
    approves it, the exit code is 3.
    """
    from cdb.cli import provenance
    from cdb.files import formats
    from cdb.opening import open_present

    file_type = dtype.lower() if dtype else None
    time = options.given_time(time_stamp, time_sec)
    given = provenance.given(source_file, parents)
    data = formats.read(file, ctype=fields["ctype"], dtype=file_type, allow_pickle=allow_pickle)
    nbytes = _length(data)
    copies = 2 if fields["experiment"] and not fields["dbsuffix"] else 1
    what = f"adding {output.size(nbytes)}"
    with open_present(url, gates=gates) as db:
        with output.progress(what, nbytes * copies) as progress:
            version = db.add(
                data, **fields, time=time, dtype=file_type, iofname=_text_of(file),
                source=provenance.of_file(file, _text_of(file), given), dry_run=dry_run,
                progress=progress,
            )  # fmt: skip
        _print_added(db, version, data, dry_run=dry_run, as_json=as_json)
        _note_what_stays(version, fields | {"source": given or None})
    if version.state == "quarantined":
        click.get_current_context().exit(QUARANTINED)


def _print_added(
    db: "Database", version: Version, data: Any, *, dry_run: bool, as_json: bool
) -> None:
    from cdb import names, payload

    if not db.store.shared and not dry_run:
        output.say("warning: memory:// ends with this command, and what was added with it")
    meta = version.meta
    note = names.note_on_ctype(version.ctype, meta.get("data_dtype", meta["data_type"]))
    for warning in payload.warnings_about(data):
        output.say(f"warning: {warning}")
    for finding in version.findings if version.meta.get("gate") != "approved" else ():
        output.say(f"{finding['severity']}: {finding['code']}: {finding['message']}")
    if version.state == "quarantined":
        output.say("no look-up sees it; `cdb approve ID --reason ...` lets it in, if it is right")
    if note:
        output.say(f"note: {note}")
    if as_json:
        output.as_json(versions.change_as_json(version, dry_run=dry_run))
    else:
        _tell(version, payload.describe(data), dry_run=dry_run)


def _note_what_stays(version: Version, asked: dict[str, Any]) -> None:
    """Say which fields of a constant that is there already are not what was asked for."""
    names = ("comment", "unit", "source")
    given = {name: asked[name] for name in names if asked[name] is not None}
    other = [name for name, value in given.items() if version.meta.get(name) != value]
    if other and not version.new:
        output.say(
            f"note: its {' and '.join(other)} stayed as before; `cdb amend {version.id}` changes "
            f"{'them' if other[1:] else 'it'}, with the same options"
        )


def _text_of(path: Path) -> str:
    """Return a path as a document holds it; names of files are bytes, which may be no text."""
    return os.fsencode(path).decode(errors="replace")


def _length(data: Any) -> int:
    """Return about how many bytes data are."""
    return (
        int(data.nbytes) if hasattr(data, "nbytes") else len(data) if isinstance(data, str) else 0
    )


def _tell(version: Version, described: str, *, dry_run: bool) -> None:
    from cdb import names

    done, there = "added", "is there already"
    if version.state == "quarantined":
        done, there = "quarantined", "is in quarantine already"
    would = "would be " if dry_run else ""
    output.tell(f"{version.ctype} of {version.detector} {would + done if version.new else there}")
    private = version.meta.get("id_doc_exp") == "N/A"
    places = {version.database, *([] if private else [names.detector_database(version.detector)])}
    output.fields(
        {
            **({} if dry_run and version.new else {"id": version.id, "S": version.seq}),
            "in": ", ".join(sorted(places, key=lambda place: place != version.database)),
            "data": described,
            "bytes": version.nbytes,
            "runs": version.runs,
            "valid from": versions.moment(version),
        },
        indent="  ",
    )


@command(
    "get",
    """
    cdb get -e rixx45619 -d epixhr2x2_000001 -r 125 -c pedestals -f peds
    cdb get -d epixhr2x2_000001 -c geometry -o - | head
    cdb get -d epixhr2x2_000001 -c pedestals -v V2021-10-08
    cdb get -d epixhr2x2_000001 -c pedestals --as-of 2023-05-01T00:00:00Z -f then
    """,
)
@options.which_constant
@click.option("-f", "--iofname", "prefix", metavar="PREFIX",
              help="Write PREFIX.npy (or .txt, .json) and PREFIX.meta.json."
              "  [default: clb-<experiment>-<detector>-r<run>-<type>]")  # fmt: skip
@click.option("--format", "format_", type=click.Choice(["npy", "txt", "json", "h5", "raw"]),
              help="Of the file.  [default: the exact one: npy for arrays, txt for text, json"
              " for the rest]")  # fmt: skip
@click.option("-o", "--output", "to_stdout", type=click.Choice(["-"]), metavar="-",
              help="Write the data to stdout, for a pipe, and no files.")  # fmt: skip
@click.option("-y", "--yes", is_flag=True, help="Replace files that are there.")
@options.allow_pickle
@options.json_
@options.url
def get_command(
    which: options.Which,
    prefix: str | None,
    format_: str | None,
    to_stdout: str | None,
    yes: bool,
    allow_pickle: bool,
    as_json: bool,
    url: str | None,
) -> None:
    """Write the constant that holds for a run to PREFIX.npy (or .txt) and PREFIX.meta.json.

    The .npy file is exact, and so is .txt: numbers have the digits that they need. Format h5 is
    for dicts, as XTCAV's tools read them; raw gives the stored bytes.
    """
    import cdb
    from cdb import payload
    from cdb.files import formats

    if to_stdout and (prefix or as_json):
        raise click.UsageError("-o - writes the data alone: give neither -f nor --json with it")
    with cdb.open(url) as db:
        version = db.version(**which.arguments())
        what = f"reading {output.size(version.nbytes)}"
        with output.progress(what, version.nbytes or 0) as progress:
            raw = db.read(version, progress=progress)
        data: object = raw
        if format_ != "raw":
            data = payload.decode(raw, version.meta, allow_pickle=allow_pickle)
        chosen = format_ or formats.default_format(data)
        if to_stdout:
            _write_to_stdout(data, chosen)
            return
        files = formats.write_files(
            _prefix(version, which) if prefix is None else prefix,
            data,
            version.meta,
            chosen,
            overwrite=yes,
        )
    if as_json:
        output.as_json({**version.as_json(), "files": [str(path) for path in files]})
        return
    output.tell(
        f"{version.ctype} of {version.detector}, runs {version.runs}, from {version.database}"
    )
    for path in files:
        output.tell(f"  {path}")


def _prefix(version: Version, which: options.Which) -> str:
    """Return psana's default of a prefix."""
    run = "end" if which.run is None else f"{which.run:04d}"
    return f"clb-{which.experiment or 'undefined'}-{version.detector}-r{run}-{version.ctype}"


def _write_to_stdout(data: Any, chosen: str) -> None:
    from cdb.files import formats

    if sys.stdout is None:
        raise click.UsageError("stdout is closed: there is nowhere to write to")
    stream = sys.stdout.buffer
    if chosen in ("npy", "raw") and stream.isatty():
        raise click.UsageError("a terminal cannot show these data: pipe them, or --format txt")
    formats.write_stream(stream, data, chosen)
