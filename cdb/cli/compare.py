"""Commands that compare: diff, trend, stale."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from cdb.cli import options, output, tags, versions
from cdb.cli.command import command, failure

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cdb.comparison import Comparison, Side
    from cdb.difference import ArrayDifference, Difference, GeometryDifference, PartDifference
    from cdb.staleness import Condition, Thresholds
    from cdb.trends import Point

_plot = click.option(
    "--plot", type=options.file_path, metavar="FILE", help="Draw it: a .png, .pdf or .svg."
)

# diff ------------------------------------------------------------------------------------------


@command(
    "diff",
    """
    cdb diff 6156bb801e5184b7eb1e2153 6156bb873287dd3287dce235
    cdb diff 6156bb801e5184b7eb1e2153 mypeds.npy --plot peds.png
    cdb diff old.npy new.npy -c pixel_status -d jungfrau --json
    cdb diff summer26 now
    """,
    answers=True,
)
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option("-d", "--detector", metavar="NAME",
              help="Detector or its type, for files: which axes are panels.")  # fmt: skip
@options.any_ctype
@click.option("-i", "--dtype", metavar="TYPE",
              help="File type: txt, json, pkl, ndarray.  [default: by its ending]")  # fmt: skip
@_plot
@options.allow_pickle
@options.as_of
@options.tag
@options.json_
@options.url
def diff_command(
    a: str,
    b: str,
    detector: str | None,
    ctype: str | None,
    dtype: str | None,
    plot: Path | None,
    allow_pickle: bool,
    as_of: int | str | None,
    tag: str | None,
    as_json: bool,
    url: str | None,
) -> None:
    """Say what differs between A and B: ids of versions, or files; or two states of the store.

    Of arrays, by gain range and panel: pixels that changed, mean, root mean square, least and
    greatest of B - A, bits gained and lost; of geometries the parts that moved; of texts the
    lines; of the rest the keys. Of states, which are events, times with their zones or tags, the
    detectors, types and runs that they answer differently, as `cdb affected` does. The exit code
    is 0 if they are equal, 1 if they differ, 2 if something went wrong.
    """
    import cdb
    from cdb import comparison, plots

    sides = [_side(given) for given in (a, b)]
    if None in sides:
        _compare_states(a, b, as_json=as_json, url=url)
        return
    if plot:
        plots.check(plot)
    dettype = detector.partition("_")[0] if detector else None
    with cdb.open(url) as db:
        wanted = [db.version_by_id(x, as_of=as_of, tag=tag) for x in sides if isinstance(x, str)]
        nbytes = sum(version.nbytes or 0 for version in wanted)
        nbytes += sum(
            side.stat().st_size for side in sides if isinstance(side, Path) and side.exists()
        )
        downloaded = 0 if db.store.local else nbytes
        what = f"comparing {output.size(nbytes)}"
        with output.progress(what, nbytes + downloaded) as progress:
            found = comparison.compare(
                db, *(side for side in sides if side is not None), ctype=ctype, dettype=dettype,
                dtype=dtype.lower() if dtype else None, as_of=as_of, tag=tag,
                allow_pickle=allow_pickle, progress=progress,
            )  # fmt: skip
    types = {(version.dettype, version.ctype) for version in wanted}
    if len(types) > 1:
        some = " and ".join(f"{of_type} of {name}" for name, of_type in sorted(types))
        output.say(f"note: {some} are compared, as {found.ctype} of {found.dettype}")
    if as_json:
        output.as_json(found.as_json())
    else:
        _print(found)
    if plot:
        _plot_difference(plot, found)
    click.get_current_context().exit(0 if found.difference.equal else 1)


def _side(given: str) -> str | Path | None:
    """Return the id of a version, the path of a file, or None for what may be a state."""
    from cdb.drafts import is_id

    if is_id(given):
        return given
    path = Path(given)
    is_file = path.exists() and not path.is_dir()
    return path if os.path.sep in given or is_file else None


def _compare_states(a: str, b: str, *, as_json: bool, url: str | None) -> None:
    """Compare two states of the store."""
    context = click.get_current_context()
    for given, other in ((a, b), (b, a)):
        if _side(other) is not None:
            raise failure(
                f"{given} is neither the id of a version, as `cdb ls` shows, nor a file here; a "
                "state is compared with another state"
            )
    asked = [each for each in context.command.params if isinstance(each, click.Option)]
    for option in asked:
        is_given = context.get_parameter_source(option.name or "") == ParameterSource.COMMANDLINE
        if is_given and option.name not in ("as_json", "url"):
            raise click.UsageError(
                f"{option.opts[-1]} is for versions and files, and {a} and {b} are none here; "
                "`cdb affected` has options for states"
            )
    tags.compare_states(*(_state(given) for given in (a, b)), as_json=as_json, url=url)


def _state(given: str) -> int | str:
    parameter = next(each for each in click.get_current_context().command.params
                     if isinstance(each, click.Argument))  # fmt: skip
    try:
        found = options.state_or_tag(click.get_current_context(), parameter, given)
    except click.BadParameter:
        raise failure(
            f"{given} is neither the id of a version, as `cdb ls` shows, nor a file here, nor an "
            "event, a time with its zone, or a tag"
        ) from None
    assert found is not None  # for a text there is a state, or an error
    return found


def _print(found: "Comparison") -> None:
    from cdb.difference import (
        ArrayDifference,
        GeometryDifference,
        KindDifference,
        TextDifference,
        ValueDifference,
    )

    output.fields({"A": _described(found.a), "B": _described(found.b)})
    told: Difference = found.difference
    match told:
        case ArrayDifference():
            _print_arrays(told)
        case GeometryDifference():
            _print_geometries(told)
        case TextDifference():
            _print_lines(told.lines)
        case ValueDifference():
            output.table([change.as_json() for change in told.changes])
        case KindDifference():
            for name, text in zip("AB", told.described, strict=True):
                output.tell(f"{name} is {text}")
    if told.equal:
        output.tell("they are equal")


def _described(side: "Side") -> str:
    version = side.version
    if version is None:
        return side.name
    return (
        f"{version.id}  {version.ctype} of {version.detector}, runs {version.runs or '?'}, "
        f"valid from {versions.moment(version)}"
    )


def _print_arrays(found: "ArrayDifference") -> None:
    for name, (before, after) in (("dtype", found.dtypes), ("shape", found.shapes)):
        if before != after:
            output.tell(f"{name} {before} -> {after}")
    if not found.compared:
        output.tell("values are not compared")
        return
    if not found.total.changed:
        return
    rows = [_part_row(part, "", found) for part in found.parts if part.changed]
    if len(found.parts) > 1:
        rows.append(_part_row(found.total, "all", found))
    output.table(rows, optional=["min", "max", "rms"])
    if found.bit_names is None:
        return
    total = found.total
    output.table(
        [
            {
                "bit": str(bit),
                "name": found.bit_names.get(bit, ""),
                "gained": str(total.gained.get(bit, 0)),
                "lost": str(total.lost.get(bit, 0)),
            }
            for bit in sorted({*total.gained, *total.lost})
        ]
    )


def _part_row(part: "PartDifference", name: str, found: "ArrayDifference") -> dict[str, str]:
    numbers = part.numbers
    row = {
        "gain": name or part.gain or "",
        "panel": "" if part.panel is None else str(part.panel),
        "changed": f"{part.changed} of {part.size}",
    }
    if found.bit_names is not None:
        row["bits gained"] = str(sum(part.gained.values()))
        row["bits lost"] = str(sum(part.lost.values()))
        return row
    for stat in ("mean", "rms", "min", "max"):
        row[stat] = "" if numbers is None or not numbers.n else f"{numbers.stat(stat):.5g}"
    lost, gained = part.gone, part.come
    row["no longer finite"] = str(lost) if lost else ""
    row["now finite"] = str(gained) if gained else ""
    return row


def _print_geometries(found: "GeometryDifference") -> None:
    rows = []
    for move in found.moves:
        moved = {name: f"{by:+.6g}" for name, by in move.by.items()}
        rows.append(
            {
                "parent": f"{move.parent} {move.parent_index}",
                "part": f"{move.name} {move.index}",
                "what": move.what,
                **{name: moved.get(name, "") for name in _PLACE},
            }
        )
    output.table(rows, above="parent")
    if found.reordered:
        output.tell("parts stand in another order, and so do the panels")
    if not found.moves:
        _print_lines(found.lines)


# As the columns of geometry texts stand.
_PLACE = ("x0", "y0", "z0", "rot_z", "rot_y", "rot_x", "tilt_z", "tilt_y", "tilt_x")


def _print_lines(lines: tuple[str, ...]) -> None:
    for line in lines:
        output.tell(line)


def _plot_difference(path: Path, found: "Comparison") -> None:
    from cdb import plots

    a, b = (_array(side) for side in (found.a, found.b))
    title = f"{found.ctype} of {found.dettype}".strip() if found.ctype else ""
    plots.difference(
        path, a, b, names=(found.a.name, found.b.name), title=title, dettype=found.dettype
    )


def _array(side: "Side") -> "NDArray[np.generic]":
    import numpy as np

    if not isinstance(side.data, np.ndarray):
        raise failure(f"{side.name} is no array: only arrays are drawn; leave --plot away")
    return side.data


# trend -----------------------------------------------------------------------------------------


def _stat(context: click.Context, parameter: click.Parameter, value: str) -> str:
    from cdb.statistics import STATS

    if value not in STATS:
        known = ", ".join(STATS)
        raise click.BadParameter(f"no {value!r}; there are {known}", context, parameter)
    return value


def _complete_stat(_: click.Context, __: click.Parameter, typed: str) -> list[str]:
    from cdb.statistics import STATS

    return [name for name in STATS if name.startswith(typed)]


@command(
    "trend",
    """
    cdb trend -d epixhr2x2_000001 -c pedestals
    cdb trend -d jungfrau_000001 -c pixel_status --stat bad --gain g0 --panel 3
    cdb trend -d jungfrau_000001 -c pedestals --since 2026-01-01T00:00:00Z
    cdb trend -d jungfrau_000001 -c pixel_rms --plot noise.png
    """,
)
@options.detector
@options.ctype
@options.experiment
@options.dbsuffix
@click.option("--stat", default="mean", show_default=True, metavar="NAME",
              help="mean, rms (root mean square), std (spread around the mean), min, max or bad.",
              callback=_stat,
              shell_complete=_complete_stat)  # fmt: skip
@options.time_option("--since", help="Only what is valid from this time or later.")
@click.option("--panel", type=click.IntRange(min=0), metavar="N", help="Only this panel, from 0.")
@click.option("--gain", metavar="NAME", help="Only this gain range: g0, FH, ...")
@click.option("--all", "left", is_flag=True, help="Also versions that were retired or replaced.")
@_plot
@options.as_of
@options.tag
@options.json_
@options.url
def trend_command(
    detector: str,
    ctype: str,
    experiment: str | None,
    dbsuffix: str | None,
    stat: str,
    since: int | str | None,
    panel: int | None,
    gain: str | None,
    left: bool,
    plot: Path | None,
    as_of: int | str | None,
    tag: str | None,
    as_json: bool,
    url: str | None,
) -> None:
    """Show how a number of a constant went from version to version, the oldest first.

    What is not finite takes no part, but is bad. Of a status all values but 0 are bad, of a mask
    0 is. Numbers are kept in the folder of CDB_CACHE, by the digest of the data: a second call
    reads no data.
    """
    import cdb
    from cdb import computed, plots, trends

    if plot:
        plots.check(plot)
    kept = computed.beside_the_cache()
    with cdb.open(url) as db:
        chosen = trends.versions_of(
            db, detector, ctype, experiment=experiment, dbsuffix=dbsuffix, since=since, left=left,
            as_of=as_of, tag=tag,
        )  # fmt: skip
        nbytes = sum(v.nbytes or 0 for v in chosen if not trends.are_kept(v, kept))
        with output.progress(f"reading {output.size(nbytes)}", nbytes) as progress:
            points = trends.trend(db, chosen, panel=panel, gain=gain, kept=kept, progress=progress)
    if as_json:
        output.as_json([point.as_json() for point in points])
    elif points:
        output.table(
            [*_point_rows(points, stat)], beneath=["note"], optional=["S", "state", "runs"]
        )
    else:
        output.say("nothing fits; `cdb history` shows which versions there are")
    if plot and points:
        drawn = [point for point in points if point.numbers is not None]
        plots.over_time(
            plot,
            [point.version.time for point in drawn if point.version.time is not None],
            [point.numbers.stat(stat) for point in drawn if point.numbers is not None],
            name=stat,
            title=f"{ctype} of {points[0].version.detector}{_of_part(panel, gain)}",
        )


def _of_part(panel: int | None, gain: str | None) -> str:
    of_gain = "" if gain is None else f", {gain}"
    return of_gain + ("" if panel is None else f", panel {panel}")


def _point_rows(points: "list[Point]", stat: str) -> Iterator[dict[str, str]]:
    before: float | None = None
    for point in points:
        value = None if point.numbers is None else point.numbers.stat(stat)
        change = None if value is None or before is None else value - before
        yield {
            "valid from": versions.moment(point.version),
            "runs": str(point.version.runs or "?"),
            "S": "" if point.version.seq is None else str(point.version.seq),
            "state": "" if point.version.state == "live" else point.version.state,
            "id": point.version.id,
            stat: "" if value is None else f"{value:.6g}",
            "change": "" if change is None else f"{change:+.3g}",
            "note": point.note,
        }
        before = before if value is None else value


# stale -----------------------------------------------------------------------------------------


@command(
    "stale",
    """
    cdb stale
    cdb stale -e rixx45619 --max-age 36h
    cdb stale -d jungfrau_000001 --config limits.toml || echo "look"
    """,
    answers=True,
)
@options.any_detector
@options.experiment
@click.option("--config", type=options.file_path, metavar="FILE", help="Limits, as TOML.")
@click.option("--max-age", metavar="AGE", help="Of dark constants: 90min, 36h, 7d, 2w.")
@click.option("--max-bad", type=click.FloatRange(min=0), metavar="SHARE",
              help="Of bad values: 0.05 is 5 %.")  # fmt: skip
@click.option("--max-bad-change", type=click.FloatRange(min=0), metavar="SHARE",
              help="Growth of that share.")  # fmt: skip
@click.option("--max-mean-change", type=click.FloatRange(min=0), metavar="SHARE",
              help="Change of the mean: 0.1 is 10 %.")  # fmt: skip
@click.option("--last", type=click.IntRange(min=0), default=5, show_default=True, metavar="N",
              help="Versions before that make the trend; 0 reads no data.")  # fmt: skip
@options.times
@options.as_of
@options.tag
@options.json_
@options.url
def stale_command(
    detector: str | None,
    experiment: str | None,
    config: Path | None,
    max_age: str | None,
    max_bad: float | None,
    max_bad_change: float | None,
    max_mean_change: float | None,
    last: int,
    time_stamp: int | str | None,
    time_sec: int | str | None,
    as_of: int | str | None,
    tag: str | None,
    as_json: bool,
    url: str | None,
) -> None:
    """Say of what is in force how old it is, and how bad pixels and means changed.

    In force is what holds for coming runs, or at -t. The trend is against the median of the
    versions before. Options replace the limits of the file, for types that have that limit.
    The exit code is 0 if all is fresh, 1 if something is stale, 2 if something went wrong.
    """
    import cdb
    from cdb import computed, staleness, trends

    given: dict[str, float | None] = {
        "max_age": None if max_age is None else _age(max_age),
        "max_bad": max_bad,
        "max_bad_change": max_bad_change,
        "max_mean_change": max_mean_change,
    }
    limits = _limits(config, {name: value for name, value in given.items() if value is not None})
    kept = computed.beside_the_cache()
    with cdb.open(url) as db:
        there = staleness.in_force(
            db, detector=detector, experiment=experiment,
            time=options.given_time(time_stamp, time_sec), as_of=as_of, tag=tag, last=last,
        )  # fmt: skip
        unread = [v for each in there for v in each.measured if not trends.are_kept(v, kept)]
        nbytes = sum(version.nbytes or 0 for version in unread)
        with output.progress(f"reading {output.size(nbytes)}", nbytes) as progress:
            found = staleness.conditions(db, there, limits, kept=kept, progress=progress)
    if as_json:
        output.as_json([condition.as_json() for condition in found])
    else:
        rows = [_condition_row(condition) for condition in found]
        output.table(rows, above="detector", beneath=["why"], optional=["last dark", "mean"])
    click.get_current_context().exit(1 if any(condition.stale for condition in found) else 0)


def _age(text: str) -> float:
    from cdb.errors import BadTime
    from cdb.staleness import parse_age

    try:
        return parse_age(text)
    except BadTime as error:
        raise click.BadParameter(str(error), param_hint="--max-age") from None


def _limits(config: Path | None, given: dict[str, float]) -> "Thresholds":
    from dataclasses import replace

    from cdb.staleness import Thresholds, read

    return replace(read(config) if config else Thresholds(), given=given)


def _condition_row(condition: "Condition") -> dict[str, str]:
    from cdb import staleness

    mean = "" if condition.mean is None else f"{condition.mean:.5g}"
    return {
        "detector": condition.detector,
        "type": condition.ctype,
        "state": "stale" if condition.stale else "fresh",
        "age": staleness.age(condition.age),
        "last dark": staleness.age(condition.since_dark),
        "bad": _with_change(staleness.share(condition.bad), condition.bad_change),
        "mean": _with_change(mean, condition.mean_change),
        "why": "; ".join(condition.reasons),
    }  # fmt: skip


def _with_change(value: str, change: float | None) -> str:
    from cdb.staleness import share

    return value if change is None else f"{value} ({share(change, '+')})"
