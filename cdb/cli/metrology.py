"""The command that makes geometries of optical surveys."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from cdb.cli import geometry_changes, options, output
from cdb.cli.command import command
from cdb.cli.which_geometry import replace

if TYPE_CHECKING:
    from cdb.geometry.metrology import Metrology
    from cdb.geometry.survey import Segment
    from cdb.geometry.survey_check import Check

# Options that some families have, by the name of the argument.
_SPECIAL = {
    "quads": "--quads", "turn": "--turn", "quad_offset": "--quad-offset", "level": "--no-level",
    "center": "--center", "at": "--at", "angle": "--angle",
}  # fmt: skip


@command(
    "metrology",
    """
    cdb geometry metrology om.txt --plot survey.png
    cdb geometry metrology om.txt --family epix10ka2m --turn 3 -o geometry.data
    cdb geometry metrology om.txt --family cspad-xpp --mend --plot residuals.png
    """,
)
@click.argument("survey", type=options.file_path, metavar="FILE")
@click.option("-f", "--family", metavar="NAME",
              help="epix10ka2m, cspad-cxi, cspad-xpp or cspad2x2; without it the survey is only "
              "checked.")  # fmt: skip
@click.option("-o", "--output", "target", type=options.file_path, metavar="FILE",
              help="Write the geometry to this file.")  # fmt: skip
@click.option("--plot", type=options.file_path, metavar="FILE",
              help="Draw the residuals, or the survey: a .png, .pdf or .svg.")  # fmt: skip
@click.option("--over", type=options.file_path, metavar="GEOMETRY",
              help="Draw the panels of this geometry over the survey.")  # fmt: skip
@click.option("--full", is_flag=True, help="All quantities of the check, in two tables.")
@click.option("--mend", is_flag=True,
              help="Replace mistyped z values by the plane of the other corners.")  # fmt: skip
@click.option("--turn", type=click.IntRange(0, 3), default=0,
              help="How the camera lay: quarter turns from quad 0 at the upper left, clockwise "
              "(cspad-xpp: counter-clockwise).")  # fmt: skip
@click.option("--quads", is_flag=True, help="epix10ka2m: make quads that can be moved.")
@click.option("--quad-offset", type=int, default=0, metavar="N",
              help="epix10ka2m: added to a quad's number, it is that in the DAQ.")  # fmt: skip
@click.option("--flat", is_flag=True, help="Leave z and the tilts around x and y at 0.")
@click.option("--no-level", "level", is_flag=True, flag_value=False, default=True,
              help="epix10ka2m: keep the slope of the whole camera.")  # fmt: skip
@click.option("--center", type=(float, float), metavar="X Y",
              help="epix10ka2m: its centre in the survey, if quads are missing [um].")  # fmt: skip
@click.option("--at", type=(float, float, float), metavar="X Y Z",
              help="epix10ka2m: of the camera in the experiment [um].")  # fmt: skip
@click.option("--angle", type=float, metavar="DEG", help="epix10ka2m: of the camera there [deg].")
@click.option("--tolerance-xy", type=float, metavar="UM",
              help="What opposite sides and diagonals may differ by.  [default: 60]")  # fmt: skip
@click.option("--tolerance-z", type=float, metavar="UM",
              help="What a corner may be off the plane of the others.  [default: 100]")  # fmt: skip
@click.option("--compat", is_flag=True, help="The numbers of LCLS's programs, in whole um.")
@replace
@options.json_
def metrology_command(
    survey: Path,
    family: str | None,
    target: Path | None,
    plot: Path | None,
    over: Path | None,
    full: bool,
    mend: bool,
    flat: bool,
    tolerance_xy: float | None,
    tolerance_z: float | None,
    compat: bool,
    yes: bool,
    as_json: bool,
    **special: Any,
) -> None:
    """Check an optical survey, and make a geometry of it.

    The survey has a line `number x y z` [um] for each corner, four a sensor, clockwise from the
    lower left one, and headers `Quad N`. Told are what the check finds (sides, diagonals,
    flatness, mistyped values), and what the fit of each sensor leaves.
    """
    from cdb import plots
    from cdb.geometry import survey as surveys
    from cdb.geometry import survey_check

    make = _maker(family, {**special, "use_z": not flat, "compat": compat})
    if make is None and target:
        raise click.UsageError("-o writes a geometry; say which --family it is of")
    if over and (make is not None or not plot):
        raise click.UsageError("--over is for a --plot of the survey, without --family")
    if plot:
        plots.check(plot)
    read = surveys.read(survey)
    check = survey_check.check(
        read,
        tolerance_xy=survey_check.TOLERANCE_XY if tolerance_xy is None else tolerance_xy,
        tolerance_z=survey_check.TOLERANCE_Z if tolerance_z is None else tolerance_z,
    )
    if mend:
        read = surveys.mended(read, check.typing_errors)
    found = None if make is None else make(read)
    if found is not None:
        _write(found, target, plot, str(survey), yes=yes)
    elif plot:
        _plot_survey(plot, check, over)
    if as_json:
        output.as_json(_as_json(check, found, mend=mend))
        return
    if full:
        _print_all(check)
    elif found is None:
        _print_check(check)
    _say(check, mend=mend)
    if found is not None:
        _print_fits(found, target)


def _maker(family: str | None, asked: dict[str, Any]) -> Any:
    """Return what makes a geometry of a survey, with its options; None without a family."""
    import functools
    import inspect

    from cdb.geometry.metrology import FAMILIES

    context = click.get_current_context()
    given = {
        name
        for name in _SPECIAL
        if context.get_parameter_source(name) == ParameterSource.COMMANDLINE
    }
    if family is None:
        if given or asked["compat"]:
            names = ", ".join(_SPECIAL[name] for name in sorted(given)) or "--compat"
            raise click.UsageError(f"{names}: for which --family?")
        return None
    if family not in FAMILIES:
        raise click.UsageError(f"no family {family!r}; there are {', '.join(FAMILIES)}")
    make = FAMILIES[family]
    known = inspect.signature(make).parameters
    strange = sorted(_SPECIAL[name] for name in given if name not in known)
    if strange:
        raise click.UsageError(f"{family} has no {', '.join(strange)}")
    chosen = {
        name: value
        for name, value in asked.items()
        if name in known and (name not in _SPECIAL or name in given)
    }
    return functools.partial(make, **chosen)


def _write(
    found: "Metrology", target: Path | None, plot: Path | None, name: str, *, yes: bool
) -> None:
    from cdb import drawings
    from cdb.geometry import tree

    if target is not None:
        geometry_changes.write(tree.format(found.geometry), target, yes=yes)
    if plot is not None:
        drawings.residuals(plot, found, title=f"{name}: rms {found.rms:.2f} um")


def _as_json(check: "Check", found: "Metrology | None", *, mend: bool) -> dict[str, Any]:
    from cdb.geometry import tree

    told = {**check.as_json(), "mended": mend}
    if found is None:
        return told
    return {
        **told,
        "size": list(found.size),
        "rms": found.rms,
        "fits": [fit.as_json() for fit in found.fits],
        "geometry": tree.format(found.geometry),
    }


def _plot_survey(path: Path, check: "Check", over: Path | None) -> None:
    from cdb import drawings
    from cdb.cli.which_geometry import read_file
    from cdb.geometry.outlines import outlines

    panels = () if over is None else outlines(read_file(over).geometry)
    drawings.survey(path, check, panels)


def _print_check(check: "Check") -> None:
    output.table(
        [
            {
                **_segment_row(quality.segment),
                "short": f"{abs(quality.sa):.1f}",
                "long": f"{abs(quality.la):.1f}",
                "angle": f"{quality.angle:.5f}",
                **{name: f"{getattr(quality, name):.1f}" for name in ("dd", "dds", "ddl")},
                "dz3": f"{quality.dz3:.1f}",
            }
            for quality in check.segments
        ]
    )


def _segment_row(segment: "Segment") -> dict[str, str]:
    first, *_, last = (point.number for point in segment.points)
    quad = "" if segment.quad is None else str(segment.quad)
    return {"quad": quad, "points": f"{first} to {last}"}


def _print_all(check: "Check") -> None:
    """Print the tables of LCLS's program, with a digit more."""
    from cdb.geometry.survey_check import HEIGHTS, SIDES

    for names in (SIDES, HEIGHTS):
        output.table(
            [
                {
                    **_segment_row(quality.segment),
                    **{
                        name: f"{getattr(quality, name):.{5 if 'angle' in name else 1}f}"
                        for name in names
                    },
                }
                for quality in check.segments
            ],
            above="quad",
        )


def _say(check: "Check", *, mend: bool) -> None:
    for line in check.survey.passed_over:
        output.say(f"note: line {line} is neither a point nor a title, and is passed over")
    for warning in check.warnings:
        output.say(f"warning: {warning}")
    for error in check.typing_errors if mend else ():
        output.say(f"mended: point {error.points[0].number} has z {error.z:.1f} now")


def _print_fits(found: "Metrology", target: Path | None) -> None:
    output.table(
        [
            {
                "sensor": fit.name,
                "points": ", ".join(map(str, fit.sensor.numbers)),
                "rms": f"{fit.rms:.2f}",
                "max": f"{fit.worst:.2f}",
            }
            for fit in found.fits
        ],
        optional=["points"],
    )
    length, width = found.size
    output.tell(f"sensors of {length:.1f} by {width:.1f} um, residuals {found.rms:.2f} um rms")
    if target is not None:
        output.tell(f"{target}: {len(found.geometry.parts)} parts")
