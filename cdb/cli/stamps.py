"""Commands of results and their constants: stamp, replay, lineage."""

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cdb.cli import options, output
from cdb.cli.command import command

if TYPE_CHECKING:
    from cdb.constant import Version
    from cdb.lineage import Relative
    from cdb.stamps import Stamp

Found = list[tuple["Stamp", "Version", bytes | memoryview]]


@command(
    "stamp",
    """
    cdb stamp -e rixx45619 -d epixhr2x2_000001 -r 125 > stamp.json
    cdb stamp -d epixhr2x2_000001 -r 125 -c pedestals -c geometry
    """,
)
@options.detector
@click.option("-c", "--ctype", "ctypes", multiple=True, metavar="TYPE",
              help="Only this type; may be repeated.  [default: all that hold]")  # fmt: skip
@options.experiment
@options.dbsuffix
@options.run_option("-r", "--run", help="Run.  [default: the far future: open ranges only]")
@options.times
@options.rule
@options.as_of
@options.tag
@options.json_
@options.url
def stamp_command(
    ctypes: Sequence[str],
    time_stamp: str | None,
    time_sec: int | str | None,
    as_json: bool,
    url: str | None,
    detector: str,
    **question: Any,
) -> None:
    """Print a stamp: which constants hold for a run, by id and digest.

    Keep it with your results: `cdb replay` gives the same bytes again, whatever was retired,
    amended or added since. It is one line of JSON; with --json it is spread over several.
    """
    import cdb

    time = options.given_time(time_stamp, time_sec)
    with cdb.open(url) as db:
        calibconst = db.detector(detector, time=time, **question).calibconst
        stamp = calibconst.stamp(ctypes or None)
    for ctype, cited in stamp.constants.items():
        if cited.sha256 is None:
            output.say(f"warning: {ctype} is another program's and has no digest, so it cannot "
                       "be replayed; run `cdb adopt` first")  # fmt: skip
    if not stamp.constants:
        output.say("warning: nothing holds, so the stamp names nothing; `cdb ls` shows what is")
    if as_json:
        output.as_json(stamp.as_json())
    else:
        output.tell(str(stamp))


@command(
    "replay",
    """
    cdb replay results.h5
    cdb replay results.h5 --out constants --format npy
    cdb replay stamp.json --url bundle:///data/rixx45619.bundle --json
    """,
)
@click.argument("file", type=options.file_path, metavar="FILE")
@click.option("--out", "folder", type=options.file_path, metavar="DIR",
              help="Write the constants there, as `cdb get` does.")  # fmt: skip
@click.option("--format", "format_", type=click.Choice(["npy", "txt", "json", "raw"]),
              help="Of the files.  [default: the exact one of each]")  # fmt: skip
@click.option("-y", "--yes", is_flag=True, help="Replace files that are there.")
@options.allow_pickle
@options.json_
@options.url
def replay_command(
    file: Path,
    folder: Path | None,
    format_: str | None,
    yes: bool,
    allow_pickle: bool,
    as_json: bool,
    url: str | None,
) -> None:
    """Get the constants again that the stamps in a file name: the same bytes, or an error.

    FILE is HDF5, or the text of stamps. All payloads are read and compared with the digests in the
    stamps before anything is written.
    """
    from cdb import replaying, stamps
    from cdb.opening import open_present

    found: Found = []
    with open_present(url) as db:
        read = stamps.read(file)
        for stamp in read:
            nbytes = sum(cited.nbytes or 0 for cited in stamp.constants.values())
            with output.progress(f"reading {output.size(nbytes)}", nbytes) as progress:
                constants = replaying.constants(db, stamp, progress=progress)
                found += [(stamp, version, data) for version, data in constants]
        written = [] if folder is None else _write(folder, found, format_, yes, allow_pickle)
    if as_json:
        output.as_json(
            {
                "stamps": [stamp.as_json() for stamp in read],
                "constants": [version.as_json() for _, version, _ in found],
                "files": [str(path) for path in written],
            }
        )
        return
    if found:
        output.table([_row(*each) for each in found], above="stamp", optional=["size"])
    for path in written:
        output.tell(f"  {path}")


def _row(stamp: "Stamp", version: "Version", data: bytes | memoryview) -> dict[str, str]:
    return {
        "stamp": stamp.title,
        "type": version.ctype,
        "size": output.size(memoryview(data).nbytes),
        "id": version.id,
        "sha256": f"{str(version.sha256)[:16]}...",
    }


def _write(
    folder: Path, found: Found, format_: str | None, overwrite: bool, allow_pickle: bool
) -> list[Path]:
    from cdb import payload
    from cdb.files import formats

    prefixes = [_prefix(stamp, version) for stamp, version, _ in found]
    # Of the same question as of several states each file says which.
    prefixes = [
        f"{prefix}-s{stamp.seq}-{version.id}" if prefixes.count(prefix) > 1 else prefix
        for prefix, (stamp, version, _) in zip(prefixes, found, strict=True)
    ]
    decoded: list[Any] = [
        raw if format_ == "raw" else payload.decode(raw, version.meta, allow_pickle=allow_pickle)
        for _, version, raw in found
    ]
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for prefix, data, (_, version, _) in zip(prefixes, decoded, found, strict=True):
        chosen = format_ or formats.default_format(data)
        target = str(folder / prefix)
        written += formats.write_files(target, data, version.meta, chosen, overwrite=overwrite)
    return written


def _prefix(stamp: "Stamp", version: "Version") -> str:
    """Return the name that `cdb get` gives."""
    run = "end" if stamp.run is None else f"{stamp.run:04d}"
    return f"clb-{stamp.experiment or 'undefined'}-{stamp.detector}-r{run}-{version.ctype}"


@command(
    "lineage",
    """
    cdb lineage 615717800000070123456789
    cdb lineage 615717800000070123456789 --down --json
    cdb lineage 615717800000070123456789 --up --depth 2
    """,
)
@click.argument("id", metavar="ID")
@click.option("--up", "way", flag_value="up", help="Only what it was made from.")
@click.option("--down", "way", flag_value="down", help="Only what was made from it.")
@click.option("--both", "way", flag_value="both", default="both", help="Both.  [default]")
@click.option("--depth", type=click.IntRange(0, 100), default=100, show_default=True,
              metavar="N", help="At most so many generations either way.")  # fmt: skip
@options.as_of
@options.tag
@options.json_
@options.url
def lineage_command(
    id: str,  # noqa: A002 - the argument's name
    way: str,
    depth: int,
    as_of: int | str | None,
    tag: str | None,
    as_json: bool,
    url: str | None,
) -> None:
    """Show what a constant was made from, and what was made from it.

    A version, its copies and what amended or restored them are one constant. What was made from
    bad data is found under --down, whichever of them its maker named.
    """
    import cdb

    with cdb.open(url) as db:
        found = db.lineage(
            id, up=way != "down", down=way != "up", depth=depth, as_of=as_of, tag=tag
        )
    if as_json:
        output.as_json(found.as_json())
        return
    for line in _told(found, way, output.width_of_terminal()):
        output.tell(line)


def _told(root: "Relative", way: str, width: int | None) -> Iterator[str]:
    """Yield the lines of a lineage."""
    yield from _folded(_words(root), "", "", width)
    for title, side, wanted in (
        ("made from", "parents", way != "down"),
        ("made into", "children", way != "up"),
    ):
        if wanted:
            near = getattr(root, side)
            yield f"{title}:" if near else f"{title}: nothing that is known"
            yield from _branches(near, side, "", width)


def _branches(
    near: Sequence["Relative"], side: str, indent: str, width: int | None
) -> Iterator[str]:
    for number, one in enumerate(near, start=1):
        last = number == len(near)
        first, below = ("└─ ", "   ") if last else ("├─ ", "│  ")
        yield from _folded(_words(one), indent + first, indent + below, width)
        yield from _branches(getattr(one, side), side, indent + below, width)


def _words(one: "Relative") -> str:
    marks = " (shown elsewhere)" if one.again else ""
    marks += " ..." if one.more else ""
    if one.state == "hidden":
        return f"one that you may not read{marks}"
    if one.state == "unknown":
        where = f"of the store {one.server[:16]}..." if one.server else "not in this store"
        return f"{one.id} {where}"
    whose = f" ({one.experiment})" if one.experiment else ""
    state = "" if one.state == "live" else f" {one.state}"
    now = f", now {one.now}" if one.now else ""
    return f"{one.detector} {one.ctype} {one.runs}{whose} {one.id}{state}{now}{marks}"


def _folded(text: str, first: str, below: str, width: int | None) -> list[str]:
    text = output.printable(text)
    if width is None or len(first) + len(text) <= width:
        return [first + text]
    # Deep down in the tree a line keeps room for an id.
    return textwrap.wrap(
        text,
        max(width, len(first) + 30),
        initial_indent=first,
        subsequent_indent=below + "  ",
        break_on_hyphens=False,
        break_long_words=False,
    )
