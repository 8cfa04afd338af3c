"""Commands about dcs files of LCLS-I: show, get."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cdb.cli import options, output
from cdb.cli.command import command, group
from cdb.errors import BadTime

if TYPE_CHECKING:
    from cdb.files.dcs import Contents, Range, Version


@group("dcs")
def dcs_command() -> None:
    """Look into the HDF5 files of LCLS-I's dcs command: all constants of a detector, by time."""


@command(
    "show",
    """
    cdb dcs show epix100a-3925868555.h5
    cdb dcs show epix100a-3925868555.h5 -c pedestals --history
    cdb dcs show epix100a-3925868555.h5 --json
    """,
)
@click.argument("file", metavar="FILE", type=options.file_path)
@options.any_ctype
@click.option("--history", is_flag=True, help="Print what was noted when, at each level.")
@options.json_
def show_command(file: Path, ctype: str | None, history: bool, as_json: bool) -> None:
    """Print the types, ranges and versions in a file; a star is at the version that holds.

    What in the file makes no sense is told on stderr, and left out.
    """
    found = _read(file)
    shown = [ctype] if ctype else [*found.ctypes]
    rows = [_row(name, each) for name in shown for each in found.ranges(name)]
    if as_json:
        said = found.as_json()
        output.as_json(said | {"ctypes": {name: said["ctypes"][name] for name in shown}})
        return
    output.fields(
        {
            "detector": f"{found.dettype}-{found.detid}",
            **({"predecessor": found.predecessor} if found.predecessor else {}),
            **({"successor": found.successor} if found.successor else {}),
            "of": _moment(found.made),
        }
    )
    output.table(rows, beneath=["holds"])
    if history:
        output.table(_history(found, shown), beneath=["what"])


@command(
    "get",
    """
    cdb dcs get epix100a-3925868555.h5 -c pedestals -t 2016-09-23T00:00:00Z
    cdb dcs get epix100a-3925868555.h5 -c pedestals -g 1474587520-end -v 1 -f peds
    cdb dcs get epix100a-3925868555.h5 -c geometry -s 1474587521.5 -f geo --json
    """,
)
@click.argument("file", metavar="FILE", type=options.file_path)
@options.ctype
@options.times
@click.option("-g", "--range", "range_", metavar="RANGE",
              help="Range of time, by its name; instead of a time.")  # fmt: skip
@click.option("-v", "--version", "number", type=click.IntRange(0), metavar="N",
              help="Version.  [default: the one that holds]")  # fmt: skip
@click.option("-f", "--iofname", "prefix", metavar="PREFIX",
              help="Write PREFIX.npy (or .txt) and PREFIX.meta.json."
              "  [default: <detector>-<type>-<range>-v<N>]")  # fmt: skip
@click.option("--format", "format_", type=click.Choice(["npy", "txt"]),
              help="Of the file.  [default: npy for arrays, txt for text]")  # fmt: skip
@click.option("-y", "--yes", is_flag=True, help="Replace files that are there.")
@options.json_
def get_command(
    file: Path,
    ctype: str,
    time_stamp: int | str | None,
    time_sec: int | str | None,
    range_: str | None,
    number: int | None,
    prefix: str | None,
    format_: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Write the constant that holds at a time to PREFIX.npy (or .txt) and PREFIX.meta.json.

    Of several ranges that hold, the one that begins last is taken, of those the one that ends
    first. Format txt is array text with the headers of LCLS, exact.
    """
    from cdb.files import dcs, formats
    from cdb.validity import parse_time

    time = options.given_time(time_stamp, time_sec)
    if (time is None) == (range_ is None):
        raise click.UsageError("say which range: give its name with -g, or a time with -t or -s")
    found = _read(file)
    if range_ is not None:
        within = found.range_named(ctype, range_)
    else:
        within = found.range_for(ctype, parse_time(time).timestamp())
    version = within.version(number)
    data = dcs.read_data(file, version)
    detector = f"{found.dettype}-{found.detid}"
    meta = {"detector": detector, "ctype": ctype, **_meta(within, version)}
    name = f"{detector}-{ctype}-{within.name}-v{version.number:04d}"
    files = formats.write_files(
        prefix or re.sub("[^A-Za-z0-9._-]", "_", name), data, meta,
        format_ or formats.default_format(data), overwrite=yes,
    )  # fmt: skip
    if as_json:
        output.as_json({**meta, "files": [str(path) for path in files]})
        return
    output.tell(f"{ctype} of {detector}, range {within.name}, version {version.number}")
    for path in files:
        output.tell(f"  {path}")


dcs_command.add_command(show_command)
dcs_command.add_command(get_command)


def _read(file: Path) -> "Contents":
    from cdb.files import dcs, formats

    with formats.readable(file):
        found = dcs.read(file)
    for sentence in found.refused:
        output.say(f"warning: left out: {sentence}")
    return found


def _meta(within: "Range", version: "Version") -> dict[str, Any]:
    """Return what is known of a version, of its range too."""
    outer, inner = within.as_json(), version.as_json()
    del outer["versions"], outer["default"]
    return {
        **outer,
        **inner,
        "history": sorted(outer["history"] + inner["history"]),
        "parameters": outer["parameters"] | inner["parameters"],
    }


def _row(ctype: str, found: "Range") -> dict[str, str]:
    holds = found.version().number if found.versions else None
    numbers = [version.number for version in found.versions]
    return {
        "type": ctype,
        "range": found.name,
        "versions": ", ".join(f"{number}{'*' * (number == holds)}" for number in numbers),
        "experiment": str(found.notes.parameters.get("experiment", "")),
        "run": str(found.notes.parameters.get("run", "")),
        "holds": f"{_moment(found.begin)} to {_moment(found.end)}",
    }


def _history(found: "Contents", ctypes: list[str]) -> list[dict[str, str]]:
    levels: list[tuple[str, Any]] = [("", found.notes[""])]
    for ctype in ctypes:
        levels.append((ctype, found.notes[ctype]))
        for each in found.ranges(ctype):
            levels.append((f"{ctype} {each.name}", each.notes))
            levels += [
                (f"{ctype} {each.name} v{version.number}", version.notes)
                for version in each.versions
            ]
    return [
        {"when": _moment(time), "of": of, "what": what}
        for of, notes in levels
        for time, what in notes.history
    ]


def _moment(seconds: float | None) -> str:
    from cdb.validity import parse_time, to_the_second

    if seconds is None or seconds == float("inf"):
        return "" if seconds is None else "end"
    try:
        return to_the_second(parse_time(seconds))
    except BadTime:
        return f"{seconds:g} s"
