"""Commands that write geometries: move, rotate, convert, default."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cdb.cli import options, output
from cdb.cli.command import command, failure
from cdb.cli.which_geometry import Found, Where, replace, text_of, which_geometry

if TYPE_CHECKING:
    from cdb.geometry.tree import Geometry, Key, Part

_out = click.option("-o", "--output", "target", type=options.file_path, metavar="FILE",
                    help="Write this file.  [default: stdout]")  # fmt: skip


def write(text: str, target: Path | None, *, yes: bool) -> None:
    """Write a text to a file, or to stdout."""
    from cdb.files import formats

    if target is None:
        click.echo(text, nl=False)
        return
    formats.write_file(target, lambda file: file.write(text.encode()), overwrite=yes)


# move, rotate ----------------------------------------------------------------------------------

_changes = options.together(
    which_geometry,
    click.option("-p", "--part", required=True, metavar="NAME:INDEX",
                 help="Which part: QUAD:0, EPIX10KA:V1:3, as `cdb geometry show` lists them."),
    click.option("--in", "parent", metavar="NAME:INDEX",
                 help="Its parent, where parts of several are called alike."),
    _out,
    click.option("--add", is_flag=True, help="Add it as a new constant, valid from -r on."),
    options.run_end_option("Last run of the new constant, or end.  [default: end]"),
    options.comment,
    options.gates,
    replace,
    options.dry_run,
    options.json_,
)  # fmt: skip


def _length(name: str) -> Callable[[Any], Any]:
    return click.option(f"--{name}", type=float, default=0.0, metavar="UM",
                        help=f"Along {name} of its parent [um].")  # fmt: skip


def _angle(name: str) -> Callable[[Any], Any]:
    return click.option(f"--{name}", type=float, default=0.0, metavar="DEG",
                        help=f"Around {name} of its parent [deg].")  # fmt: skip


@command(
    "move",
    r"""
    cdb geometry move 0-end.data --part QUAD:0 --x 12.5 -o moved.data
    cdb geometry move -e rixx45619 -d epixhr2x2_000001 -r 125 --part CAMERA:0 \
        --z -500 --add -m "detector moved back" --dry-run
    """,
    writes=True,
)
@_changes
@_length("x")
@_length("y")
@_length("z")
def move_command(where: Where, part: str, parent: str | None, **others: Any) -> None:
    """Move a part in the frame of its parent; what hangs on it goes along.

    The new geometry is written to a file or stdout, exactly: nothing is rounded. With --add it is
    added as a constant from run -r on; that it was made from the one in force is kept.
    """
    from cdb.geometry import tree

    by = {name: others.pop(name) for name in ("x", "y", "z")}
    _change(where, part, parent, tree.move, by, "moved", **others)


@command(
    "rotate",
    r"""
    cdb geometry rotate 0-end.data --part QUAD:0 --z 0.02 --tilt -o turned.data
    cdb geometry rotate -e rixx45619 -d epixhr2x2_000001 -r 125 --part CAMERA:0 \
        --z 90 --add --dry-run
    """,
    writes=True,
)
@_changes
@_angle("x")
@_angle("y")
@_angle("z")
@click.option("--tilt", is_flag=True, help="Add to the tilt, not to the rotation by design.")
def rotate_command(where: Where, part: str, parent: str | None, tilt: bool, **others: Any) -> None:
    """Turn a part in the frame of its parent; what hangs on it goes along.

    Angles are added to the part's own: it is turned around z first, then y, then x. What becomes
    of the new geometry is told under `cdb geometry move`.
    """
    from cdb.geometry import tree

    by = {name: others.pop(name) for name in ("x", "y", "z")}
    change = tree.tilt if tilt else tree.rotate
    _change(where, part, parent, change, by, "tilted" if tilt else "rotated", **others)


def _change(
    where: Where,
    part: str,
    parent: str | None,
    change: "Callable[..., Geometry]",
    by: dict[str, float],
    done: str,
    *,
    target: Path | None,
    add: bool,
    run_end: str | None,
    comment: str | None,
    gates: str | None,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Write the geometry with one part changed, or add it."""
    from cdb.geometry import tree

    if not any(by.values()):
        raise click.UsageError("by how much? give --x, --y or --z")
    if add and target is not None:
        raise click.UsageError("--add adds a constant and -o writes a file; give one of them")
    if not add and (run_end, comment, gates) != (None, None, None):
        raise click.UsageError("-R, -m and --gates are for a new constant; give --add with them")
    found = _source(where, add=add)
    name, index = _key(part, found.geometry)
    above = None if parent is None else _key(parent, found.geometry)
    changed = change(found.geometry, name, index, parent=above, **by)
    said = {"part": f"{name}:{index}", done: {k: v for k, v in by.items() if v}}
    if above is not None:
        said["in"] = f"{above[0]}:{above[1]}"
    text = tree.format(changed)
    if add:
        _add(where, found, text, said, run_end=run_end, comment=comment, gates=gates,
             dry_run=dry_run, as_json=as_json)  # fmt: skip
        return
    before, after = (
        tree.find(each, name, index, parent=above) for each in (found.geometry, changed)
    )
    if not dry_run and not (as_json and target is None):
        write(text, target, yes=yes)
    if as_json:
        told = {"from": found.as_json(), "file": None if target is None else str(target)}
        output.as_json({**told, "before": vars(before), "after": vars(after), "geometry": text})
    elif dry_run or target is not None:
        _tell_change(before, after, target, dry_run=dry_run)


def _source(where: Where, *, add: bool) -> Found:
    """Return the geometry to change; a file may be changed for a detector."""
    names = ("detector", "experiment", "dbsuffix", "run", "time", "version")
    where.require_alone(*(names if add else ()), reason=", or add it with --add")
    if add and (where.asked["detector"] is None or where.asked["run"] is None):
        raise click.UsageError("--add needs -d DETECTOR and -r RUN, the first run of the new one")
    return where.read()


def _key(text: str, geometry: "Geometry") -> "Key":
    """Return the name and index of a part as people write it: QUAD:0, QUAD 0, QUAD."""
    names = {name for part in geometry.parts for name in (part.name, part.parent)}
    text = text.strip()
    name, _, index = text.rpartition(" " if " " in text else ":")
    # A name may end as an index does: MTRX:512:512:54:54.
    if text in names or not (name and index.isascii() and index.isdecimal() and len(index) < 10):
        return text, 0
    return name.strip(), int(index)


def _tell_change(before: "Part", after: "Part", target: Path | None, *, dry_run: bool) -> None:
    from cdb.geometry.tree import NUMBERS

    would = "would be " if dry_run else ""
    where = "" if target is None else f" in {target}"
    output.tell(f"{after.name} {after.index} of {after.parent} {after.parent_index} {would}changed"
                f"{where}")  # fmt: skip
    output.table(
        [
            {
                "number": name,
                "before": f"{getattr(before, name):.10g}",
                "after": f"{getattr(after, name):.10g}",
            }
            for name in NUMBERS
            if getattr(before, name) != getattr(after, name)
        ]
    )


def _add(
    where: Where,
    found: Found,
    text: str,
    said: dict[str, Any],
    *,
    run_end: str | None,
    comment: str | None,
    gates: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Add a changed geometry as a constant that was made from the one in force, or from a file."""
    from cdb.cli import files, provenance
    from cdb.opening import open_present

    source = provenance.of_change(
        said, None if found.version is None else found.version.id, where.file
    )
    asked = where.asked
    with open_present(where.url, gates=gates) as db:
        version = db.add(
            text, detector=asked["detector"], ctype="geometry", experiment=asked["experiment"],
            dbsuffix=asked["dbsuffix"], run=asked["run"], run_end=run_end or "end",
            time=asked["time"], comment=comment, dtype="txt", source=source, dry_run=dry_run,
        )  # fmt: skip
        files.print_added(db, version, text, dry_run=dry_run, as_json=as_json)
    if version.state == "quarantined":
        click.get_current_context().exit(files.QUARANTINED)


# convert, default ------------------------------------------------------------------------------

# Forms, and the endings by which a file to write says which one it wants.
FORMS = {"psana": (), "crystfel": (".geom",), "pyfai": (".h5", ".nxs")}
# Of a photon of 1 eV [m], CODATA 2018.
_HC = 1.239841984e-6


@command(
    "convert",
    """
    cdb geometry convert 0-end.data -o detector.geom
    cdb geometry convert -e rixx45619 -d epixhr2x2_000001 -r 125 --to crystfel
    cdb geometry convert aligned.geom --clen 0.125 -o aligned.data
    cdb geometry convert 0-end.data -o camera.h5
    """,
)
@which_geometry
@click.option("--to", "form", type=click.Choice([*FORMS]),
              help="Form.  [default: by the ending of -o: .geom, .h5, else psana]")  # fmt: skip
@_out
@click.option("--clen", type=float, metavar="M", help="Distance of the detector [m].")
@click.option("--sensor", metavar="NAME",
              help="What panels of a .geom make up: JUNGFRAU:V2, ...; MTRX: none.")  # fmt: skip
@click.option("--quadrant", "quadrants", type=(float, float), multiple=True, metavar="X Y",
              help="Of an LPD's FILE.h5: place of a quadrant [mm]; four times.")  # fmt: skip
@click.option("--photon-energy", type=float, metavar="EV", help="For a .geom or a .poni [eV].")
@click.option("--data-path", default="/entry_1/data_1/data", show_default=True, metavar="PATH",
              help="Where a .geom finds the data in HDF5.")  # fmt: skip
@click.option("--mask", type=options.file_path, metavar="ARRAY",
              help="0 where pixels are bad; for a .geom and for pyFAI.")  # fmt: skip
@click.option("--rounded", is_flag=True, help="Whole um, as LCLS's programs write geometries.")
@click.option("--compat", is_flag=True,
              help="Corners of a .geom are centres of pixels, as psana writes them.")  # fmt: skip
@replace
@options.json_
def convert_command(
    where: Where,
    form: str | None,
    target: Path | None,
    clen: float | None,
    sensor: str | None,
    quadrants: Sequence[tuple[float, float]],
    photon_energy: float | None,
    data_path: str,
    mask: Path | None,
    rounded: bool,
    compat: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Write a geometry in another form: CrystFEL's .geom, pyFAI's NeXus, or psana's text.

    CrystFEL's is what EXtra-geom reads too; for pyFAI a .poni is written beside the .h5. A .geom
    that is read keeps its panels: those that make up a known sensor become one again. A FILE.h5
    that is read is the LPD's.
    """
    from cdb.geometry import crystfel, geom_file, tree

    where.require_alone()
    if form is None:
        ending = "" if target is None else target.suffix.lower()
        form = next((name for name, endings in FORMS.items() if ending in endings), "psana")
    if photon_energy is not None and not 0 < photon_energy < float("inf"):
        raise click.UsageError(f"--photon-energy is above 0 eV, not {photon_energy:g}")
    crystfels = form == "crystfel" or _ending(where) == ".geom"
    if sensor is not None and _ending(where) != ".geom":
        raise click.UsageError("--sensor is for a FILE.geom")
    if compat and not crystfels:
        raise click.UsageError("--compat is for a FILE.geom and for --to crystfel")
    if clen is not None and not (crystfels or _ending(where) == ".h5"):
        raise click.UsageError("--clen is for a FILE.geom or FILE.h5, and for --to crystfel")
    found, note = _read_form(where, sensor, clen, quadrants, compat=compat)
    if form == "psana" and (mask is not None or photon_energy is not None):
        raise click.UsageError("--mask and --photon-energy are for --to crystfel or pyfai")
    if form != "psana" and rounded:
        raise click.UsageError("--rounded is for --to psana")
    if form == "pyfai":
        text = _write_pyfai(found, target, mask, photon_energy, yes=yes)
    elif form == "crystfel":
        text = geom_file.format(
            crystfel.from_geometry(
                found.geometry, clen=clen, photon_energy=photon_energy, mask=_mask(mask),
                compat=compat, data=data_path,
            )
        )  # fmt: skip
    else:
        text = tree.format(found.geometry, decimals=tree.LCLS_DECIMALS if rounded else None)
    if form != "pyfai" and not (as_json and target is None):
        write(text, target, yes=yes)
    if as_json:
        output.as_json({"from": found.as_json(), "form": form, "text": text,
                        "file": None if target is None else str(target)})  # fmt: skip
        return
    if note:
        output.say(f"note: {note}")
    if target is not None:
        output.tell(f"{target}: {form}")


def _ending(where: Where) -> str:
    """Return what the name of a file ends in; nothing if there is none."""
    return "" if where.file is None else where.file.suffix.lower()


def _read_form(
    where: Where,
    sensor: str | None,
    clen: float | None,
    quadrants: Sequence[tuple[float, float]],
    *,
    compat: bool,
) -> tuple[Found, str]:
    """Return a geometry that may have another form, and what is to be said of that."""
    from cdb.geometry import crystfel, geom_file, lpd

    file, ending = where.file, _ending(where)
    if quadrants and ending != ".h5":
        raise click.UsageError("--quadrant is for a FILE.h5 of the LPD")
    if file is None or ending not in (".geom", ".h5"):
        return where.read(), ""
    if ending == ".h5":
        geometry = lpd.read(file, quadrants or None, distance=clen or 0.0)
        note = "" if clen else "the file does not know the distance: --clen says it"
        return Found(geometry, str(file), None, None), note
    made = crystfel.to_geometry(
        geom_file.parse(text_of(file), str(file)), sensor=sensor, clen=clen, compat=compat
    )
    bad = int((made.mask == 0).sum())
    note = f"corner pixels are within {made.off:.3g} um of the file; {bad} are bad there"
    return Found(made.geometry, str(file), None, None), note


def _write_pyfai(
    found: Found, target: Path | None, mask: Path | None, energy: float | None, *, yes: bool
) -> str:
    """Write the NeXus file and the .poni beside it; return the text of that."""
    from cdb.geometry import pyfai

    if target is None:
        raise click.UsageError("pyFAI's form is an HDF5 file; give its name with -o")
    beside = target.with_suffix(".poni")
    there = [str(path) for path in (target, beside) if path.exists()]
    if there and not yes:
        raise failure(f"{' and '.join(there)} there already; take another name, or say --yes")
    distance = pyfai.write(target, found.geometry, mask=_mask(mask))
    text = pyfai.poni(target.name, distance, wavelength=_HC / energy if energy else None)
    write(text, beside, yes=True)
    return text


def _mask(path: Path | None) -> Any:
    import numpy as np

    from cdb.files import formats

    if path is None:
        return None
    mask = formats.read(path)
    if not isinstance(mask, np.ndarray):
        raise failure(f"{path} holds no array")
    return mask


@command(
    "default",
    """
    cdb geometry default
    cdb geometry default jungfrau --panels 8 -o jungfrau4m.data
    cdb geometry default epix10ka2m | cdb geometry show /dev/stdin
    """,
)
@click.argument("dettype", required=False, metavar="[TYPE]")
@click.option("--panels", type=click.IntRange(min=1), metavar="N", help="How many it has.")
@_out
@replace
@options.json_
def default_command(
    dettype: str | None, panels: int | None, target: Path | None, yes: bool, as_json: bool
) -> None:
    """Write the geometry that stands in where a detector's own is not known; or list them.

    Good for a picture: panels are where they are by design, or were in some detector.
    """
    from cdb.geometry import defaults, tree

    if dettype is None and panels is not None:
        raise click.UsageError("--panels says how many a TYPE has; give the TYPE")
    if dettype is None:
        if as_json:
            output.as_json({name: {str(n): file for n, file in files.items()}
                            for name, files in defaults.DEFAULTS.items()})  # fmt: skip
        else:
            output.table([{"type": name, "panels": ", ".join(map(str, files))}
                          for name, files in defaults.DEFAULTS.items()])  # fmt: skip
        return
    text = tree.format(defaults.default_for(dettype, panels))
    if as_json:
        output.as_json({"type": dettype, "panels": panels, "geometry": text})
        return
    write(text, target, yes=yes)
