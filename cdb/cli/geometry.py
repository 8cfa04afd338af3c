"""Commands about geometries: show, check, compare, image, plot; the group of all of them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cdb.cli import geometry_changes, metrology, options, output
from cdb.cli.command import command, failure, group
from cdb.cli.which_geometry import (
    Found,
    Where,
    parsed,
    read_file,
    replace,
    text_of,
    which_geometry,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cdb.constant import Version
    from cdb.geometry.comparison import Displacement
    from cdb.geometry.findings import Finding
    from cdb.geometry.pixels import Branch
    from cdb.geometry.tree import Geometry, Part

# Panels that moved by less stand where they stood [um].
SAME = 1e-3

_out = click.option(
    "-o", "--output", "target", type=options.file_path, required=True, metavar="FILE",
    help="Write this file.",
)  # fmt: skip
_data = options.together(
    click.option("--data", type=options.file_path, metavar="ARRAY",
                 help="The array: a .npy file, or array text."),
    click.option("-c", "--ctype", metavar="TYPE",
                 help="The array: the constant of this type in force."),
    click.option("--gain", metavar="NAME", help="Gain range, by name (g0, FH) or number."),
)  # fmt: skip


@group("geometry")
def geometry_command() -> None:
    """Look at where the pixels of a detector are, check it, and change it.

    A geometry is given as a FILE, a geometry text or CrystFEL's .geom, or as the constant in force
    for -e EXPERIMENT, -d DETECTOR, -r RUN. Lengths are um, angles degrees.
    """


# show ------------------------------------------------------------------------------------------


@command(
    "show",
    """
    cdb geometry show 0-end.data
    cdb geometry show -e rixx45619 -d epixhr2x2_000001 -r 125
    cdb geometry show -d epixhr2x2_000001 --json
    """,
)
@which_geometry
@options.json_
def show_command(where: Where, as_json: bool) -> None:
    """Print the parts of a geometry, its sensors, and the sizes of arrays and images."""
    where.require_alone()
    found = where.read()
    sizes = _sizes(found.geometry)
    if as_json:
        parts = [_part_as_json(part) for part in found.geometry.parts]
        comments = [*found.geometry.comments]
        output.as_json({**found.as_json(), **sizes, "comments": comments, "parts": parts})
        return
    output.fields({name: _told(value) for name, value in sizes.items()})
    rows = [_part_row(part) for part in found.geometry.parts]
    filled = {name for row in rows for name, text in row.items() if text not in ("0", "")}
    rows = [{name: row[name] if name in filled else "" for name in row} for row in rows]
    width = output.width_of_terminal()
    if width and any(len(line) > width for line in output.layout(rows, width, above="parent")):
        rows = [*map(_folded, rows)]
    output.table(rows, above="parent", beneath=["and"])


def _sizes(geometry: "Geometry") -> dict[str, Any]:
    """Return what a geometry is about, in numbers."""
    from cdb.geometry.outlines import outlines
    from cdb.geometry.pixels import branches, coordinates, indexes

    drawn = outlines(geometry)
    kinds = dict.fromkeys(panel.segment.name for panel in drawn)
    top = branches(geometry)[-1]
    x, y, _ = coordinates(top)
    size = drawn[0].segment.scale
    rows, cols = indexes(x, y, size)
    z = [float(panel.center[2]) for panel in drawn]
    return {
        "top": " ".join(map(str, geometry.top)),
        "panels": len(drawn),
        "sensors": ", ".join(kinds),
        "shape": list(x.shape),
        "image": [_length(rows), _length(cols)],
        "pixel": size,
        "z": sum(z) / len(z),
    }


def _length(index: "NDArray[np.uint64]") -> int:
    """Return how many rows or columns an image has."""
    from cdb.geometry.pixels import NOWHERE

    return int(index.max(where=index != NOWHERE, initial=0)) + 1


def _told(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.10g} um"
    return f"({', '.join(map(str, value))})" if isinstance(value, list) else str(value)


def _part_as_json(part: "Part") -> dict[str, Any]:
    return {name: value for name, value in vars(part).items() if name != "line"}


def _part_row(part: "Part") -> dict[str, str]:
    from cdb.geometry.tree import NUMBERS

    numbers = {name.replace("_", " "): f"{getattr(part, name):.10g}" for name in NUMBERS}
    return {
        "parent": f"{part.parent} {part.parent_index}",
        "part": f"{part.name} {part.index}",
        **numbers,
    }


def _folded(row: dict[str, str]) -> dict[str, str]:
    """Return a row for a narrow terminal: the angles that are rarely there in one text."""
    rare = {name: row[name] for name in ("rot y", "rot x", "tilt y", "tilt x")}
    told = ", ".join(f"{name} {text}" for name, text in rare.items() if text not in ("", "0"))
    return {name: text for name, text in row.items() if name not in rare} | {"and": told}


# check -----------------------------------------------------------------------------------------


@command(
    "check",
    """
    cdb geometry check 0-end.data
    cdb geometry check 0-end.data -d jungfrau
    cdb geometry check -e rixx45619 -d epixhr2x2_000001 -r 125 --json
    """,
    answers=True,
)
@which_geometry
@options.json_
def check_command(where: Where, as_json: bool) -> None:
    """Say what is wrong with a geometry, or looks so.

    Errors are what nobody can want: a text that cannot be read, sensors nobody knows, panels that
    cover each other or lie far away, a wrong number of them (beside a FILE, -d says of which
    detector). The exit code is 1 if there are any, else 0; 2 if something went wrong.
    """
    from cdb.errors import BadFile
    from cdb.geometry import findings

    where.require_alone("detector")
    if where.file is None:
        told = _findings_of(where.read())
    else:
        text = text_of(where.file)
        try:
            found = parsed(text, where.file, where.dettype)
        except BadFile as error:
            told = [findings.Finding("error", "grammar", str(error))]
        else:
            told = _findings_of(found)
    if as_json:
        output.as_json([finding.as_json() for finding in told])
    else:
        _print_findings(told)
    bad = any(finding.severity == "error" for finding in told)
    click.get_current_context().exit(1 if bad else 0)


def _findings_of(found: Found) -> "list[Finding]":
    from cdb.geometry import findings

    return findings.check(found.geometry, panels=_panels_of(found.dettype))


def _panels_of(dettype: str | None) -> Sequence[int] | None:
    """Return how many panels a detector type may have; None if any number will do."""
    from cdb.shapes import AREAS

    area = AREAS.get(dettype or "")
    return None if area is None or area.panels is None else area.panels or (1,)


def _print_findings(found: "list[Finding]") -> None:
    rows = [
        {
            "severity": finding.severity,
            "code": finding.code,
            "line": str(finding.line or ""),
            "what": finding.message,
        }
        for finding in found
    ]
    if rows:
        output.table(rows, beneath=["what"])
    else:
        output.tell("nothing is wrong")


# compare ---------------------------------------------------------------------------------------


@command(
    "compare",
    """
    cdb geometry compare old.data new.data
    cdb geometry compare 6156bb801e5184b7eb1e2153 aligned.geom
    cdb geometry compare old.data new.data --within 5 --json
    """,
    answers=True,
)
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option("--within", type=float, default=SAME, show_default=True, metavar="UM",
              help="What a corner may have moved to count as the same.")  # fmt: skip
@options.as_of
@options.tag
@options.json_
@options.url
def compare_command(
    a: str,
    b: str,
    within: float,
    as_of: int | str | None,
    tag: str | None,
    as_json: bool,
    url: str | None,
) -> None:
    """Say how far each panel moved from A to B: files, or ids of versions.

    Panels are compared where they stand in the end, however the trees are made; `cdb diff` tells
    which rows changed. The exit code is 0 if no corner moved further than --within, 1 if one did,
    2 if something went wrong.
    """
    from cdb.geometry.comparison import displacements, pixel_shift

    if not within >= 0:
        raise click.UsageError(f"--within is a length of 0 um or more, not {within:g}")
    first, second = (_one_of_two(given, as_of, tag, url) for given in (a, b))
    told = displacements(first.geometry, second.geometry)
    moved = [panel for panel in told if panel.corner > within]
    shift = pixel_shift(first.geometry, second.geometry)
    if as_json:
        panels = [panel.as_json() for panel in told]
        output.as_json({"a": first.as_json(), "b": second.as_json(), "pixels": shift.as_json(),
                        "panels": panels})  # fmt: skip
    else:
        output.table([*_displacement_rows(moved)], optional=["panel in B"])
        output.tell(
            f"{len(moved)} of {len(told)} panels moved by more than {within:g} um; all pixels by "
            f"{shift.rms:.3f} um rms"
        )
    click.get_current_context().exit(1 if moved else 0)


def _one_of_two(given: str, as_of: int | str | None, tag: str | None, url: str | None) -> Found:
    import cdb
    from cdb.drafts import is_id
    from cdb.geometry import tree

    if not is_id(given):
        return read_file(Path(given))
    with cdb.open(url) as db:
        version = db.version_by_id(given, as_of=as_of, tag=tag)
        data = db.data(version)
    if not isinstance(data, str):
        raise failure(f"{given} is {version.ctype} of {version.detector}, no geometry")
    return Found(tree.parse(data, given), given, version.dettype, version)


def _displacement_rows(moved: "list[Displacement]") -> Iterator[dict[str, str]]:
    for panel in moved:
        yield {
            "n": str(panel.number),
            "panel": panel.before,
            "panel in B": panel.after if panel.after != panel.before else "",
            **{name: f"{getattr(panel, name):+.3f}" for name in ("dx", "dy", "dz")},
            "turned": f"{panel.turned:.5f}",
            "leaned": f"{panel.leaned:.5f}",
            "corner": f"{panel.corner:.3f}",
        }


# image, plot -----------------------------------------------------------------------------------


@command(
    "image",
    """
    cdb geometry image -d epixhr2x2_000001 -r 125 -c pedestals -o peds.png
    cdb geometry image 0-end.data --data sum.npy -o sum.tiff
    cdb geometry image 0-end.data --data dark.npy --gain 0 --fill nan -o image.npy
    """,
)
@which_geometry
@_data
@_out
@click.option("--fill", type=float, default=0.0, show_default=True, metavar="VALUE",
              help="Where there is no pixel.")  # fmt: skip
@click.option("--frame", type=click.Choice(["psana", "lab"]), default="psana", show_default=True,
              help="Rows along x, as psana has images, or y up as in the laboratory.")  # fmt: skip
@click.option("--no-tilt", is_flag=True, help="Place panels by design, without their tilts.")
@click.option("--pixel", type=click.FloatRange(min=0, min_open=True), metavar="UM",
              help="Pixel size of the image.  [default: the first sensor's]")  # fmt: skip
@click.option("--plane", type=float, metavar="Z",
              help="Project along rays from the origin onto the plane at z [um].")  # fmt: skip
@replace
@options.json_
def image_command(
    where: Where,
    data: Path | None,
    ctype: str | None,
    gain: str | None,
    target: Path,
    fill: float,
    frame: str,
    no_tilt: bool,
    pixel: float | None,
    plane: float | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Put the pixels of an array where they are, in one image.

    A .npy or .tiff file holds the values (a TIFF as uint8, uint16, int32 or float32), a .png shows
    them. The array is a constant (-c) or a file (--data). Where pixels meet the last one is seen.
    """
    from cdb import drawings

    found, array = _geometry_and_array(where, data, ctype, gain)
    drawings.check_image(target)
    if target.exists() and not yes:
        raise failure(f"{target} is there already; take another name, or say --yes to replace")
    if array is None:
        raise click.UsageError("which array? give --data ARRAY or -c TYPE")
    image, *_ = _assembled(
        found.geometry, array, fill=fill, frame=int(frame == "lab"), tilt=not no_tilt,
        pixel=pixel, plane=plane,
    )  # fmt: skip
    drawings.write_image(target, image)
    low, high = drawings.limits(image)
    if as_json:
        output.as_json({"file": str(target), "shape": list(image.shape),
                        "dtype": image.dtype.name, "from": found.as_json()})  # fmt: skip
        return
    output.tell(f"{target}: {image.dtype.name} ({image.shape[0]}, {image.shape[1]}), nearly all "
                f"between {low:.6g} and {high:.6g}")  # fmt: skip


@command(
    "plot",
    """
    cdb geometry plot 0-end.data -o panels.png
    cdb geometry plot -d epixhr2x2_000001 -r 125 -c pedestals -o peds.pdf
    """,
)
@which_geometry
@_data
@_out
@options.json_
def plot_command(
    where: Where,
    data: Path | None,
    ctype: str | None,
    gain: str | None,
    target: Path,
    as_json: bool,
) -> None:
    """Draw the outlines of the panels, with numbers and axes.

    A dot is at the first pixel of each panel, a cross where the beam is. An array (-c or --data)
    is drawn beneath.
    """
    from cdb import drawings, plots
    from cdb.geometry.outlines import outlines

    plots.check(target)
    found, array = _geometry_and_array(where, data, ctype, gain)
    drawn = outlines(found.geometry)
    if array is None:
        drawings.panels(target, drawn, title=found.name)
    else:
        image, origin, size = _assembled(found.geometry, array, fill=0.0)
        drawings.panels(
            target, drawn, title=found.name, image=image, origin=origin, pixel_size=size
        )
    if as_json:
        output.as_json({"file": str(target), "panels": len(drawn), "from": found.as_json()})
    else:
        output.tell(f"{target}: {len(drawn)} panels")


def _geometry_and_array(
    where: Where, data: Path | None, ctype: str | None, gain: str | None
) -> "tuple[Found, NDArray[np.generic] | None]":
    """Return the geometry, and the array of a file or of the constant in force."""
    import numpy as np

    from cdb.files import formats

    if data is not None and ctype is not None:
        raise click.UsageError("--data and -c both name an array; give one of them")
    if gain is not None and data is None and ctype is None:
        raise click.UsageError("--gain is one of an array; give it with --data or -c")
    names = ("detector", "experiment", "dbsuffix", "run", "time", "version")
    where.require_alone(*(names if ctype else ("detector",)))
    found = where.read()
    if ctype is not None:
        array, version = where.array(ctype)
        return found, _one_gain(found, array, gain, version)
    if data is None:
        return found, None
    array = formats.read(data)
    if not isinstance(array, np.ndarray):
        raise failure(f"{data} holds no array")
    return found, _one_gain(found, array, gain, None)


def _one_gain(
    found: Found, array: "NDArray[np.generic]", gain: str | None, version: "Version | None"
) -> "NDArray[np.generic]":
    """Return the panels of one gain range, where an array has several."""
    from cdb.geometry.pixels import branches, n_pixels
    from cdb.shapes import axes_of

    size = n_pixels(branches(found.geometry)[-1])
    ranges = array.size // size if size and not array.size % size else 1
    if ranges == 1 and gain is None:
        return array
    dettype = (version.dettype if version else found.dettype) or ""
    names = axes_of(array.shape, dettype).gains
    known = [names[n] if len(names) == ranges else str(n) for n in range(ranges)]
    if gain in known:
        chosen = known.index(str(gain))
    elif gain is not None and gain.isdecimal() and int(gain) < ranges:
        chosen = int(gain)
    else:
        raise failure(
            f"the array of {array.shape} has the gain ranges {', '.join(known)}; say which one "
            "with --gain"
        )
    panels: NDArray[np.generic] = array.reshape(ranges, -1)[chosen]
    return panels


def _assembled(
    geometry: "Geometry",
    array: "NDArray[np.generic]",
    *,
    fill: float,
    frame: int = 0,
    tilt: bool = True,
    pixel: float | None = None,
    plane: float | None = None,
) -> "tuple[NDArray[np.generic], tuple[float, float], float]":
    """Return the image of an array, x and y of its outer corner, and its pixel size [um]."""
    import numpy as np

    from cdb.geometry import pixels
    from cdb.geometry.images import ImageIndex

    branch: Branch = pixels.branches(geometry)[-1]
    stack = pixels.panel_stack(branch, array)
    dtype = _dtype_of(stack.dtype, fill)
    x, y, z = pixels.panel_coordinates(branch, tilt=tilt, frame=frame)
    if plane is not None:
        x, y = pixels.project(x, y, z, plane)
    size = pixels.scale_size(branch) if pixel is None else pixel
    index = ImageIndex(*pixels.indexes(x, y, size, frame=frame))
    empty = np.empty(index.shape, dtype=dtype)
    image = index.assemble(stack, vbase=int(fill) if dtype.kind in "iu" else fill, out=empty)
    return image, (float(np.nanmin(x)) - size / 2, float(np.nanmin(y)) - size / 2), size


def _dtype_of(values: "np.dtype[Any]", fill: float) -> "np.dtype[Any]":
    """Return the type of an image that holds some values, and what stands where there are none."""
    import numpy as np

    if values.kind not in "biuf":
        raise failure(f"values of type {values} make no image; numbers do")
    if values.kind == "f":
        return values
    if not (fill.is_integer() and abs(fill) < 2**63):
        return np.dtype(np.float64)
    whole = np.dtype(np.uint8) if values.kind == "b" else values
    return np.promote_types(whole, np.min_scalar_type(int(fill)))


for _each in (
    show_command,
    check_command,
    compare_command,
    geometry_changes.convert_command,
    image_command,
    geometry_changes.move_command,
    geometry_changes.rotate_command,
    plot_command,
    metrology.metrology_command,
    geometry_changes.default_command,
):
    geometry_command.add_command(_each)
