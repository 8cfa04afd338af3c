"""Commands that deploy: constants, geometry, link, jungfrau-gains, common-mode."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cdb.cli import options, output
from cdb.cli.command import command, failure, group
from cdb.cli.deploying import Deploying, deploying, passed_over, repository, repository_at

if TYPE_CHECKING:
    from cdb.deploy import Asked
    from cdb.deploy.geometries import Placement

default_ = click.option("--default", is_flag=True, help="Where the detector has none of its own,"
                        " take the repository's default.")  # fmt: skip


@group("deploy")
def deploy_command() -> None:
    """Deploy constants from the repositories of LCLS-I, to a store or to a calib tree.

    What is missing is an error; a default is taken only where an option says so. The table tells
    which runs get what, before and after; if runs get another constant than now, you are asked.
    """


@command(
    "constants",
    """
    cdb deploy constants -e xpptut15 -d XcsEndstation.0:Epix100a.1 -c gain \\
        -r 7-end --id 3925999616-0996579585-0553648138 --dry-run
    cdb deploy constants --calib calib -d CxiDs1.0:Cspad.0 -c gain \\
        -r 0-end --default
    """,
    writes=True,
)
@deploying
@click.option("-c", "--ctype", "name", required=True, metavar="TYPE",
              help="gain, rms, status, status_extra, common_mode, geometry.")  # fmt: skip
@repository("constants")
@default_
def constants_command(where: Deploying, name: str, repo: Path | None, default: bool) -> None:
    """Deploy constants from a repository.

    The newest of a detector that are not later than a time; they lie in <dettype>/<id or
    name>/<type>/. For status_extra the newest file of each folder status_* is taken, and a pixel
    is bad for all the reasons that these say.
    """
    from cdb.deploy import constants
    from cdb.errors import BadQuestion

    try:
        constants.check_type(name)
    except BadQuestion as error:
        raise click.UsageError(str(error)) from None
    asked = where.asked()
    place = repository_at(repo, "constants")
    ready = constants.from_repository(place, asked, name, default=default, report=passed_over)
    where.carry_out([ready], asked)


# geometry --------------------------------------------------------------------------------------


def _number(name: str, unit: str, says: str) -> Callable[[Any], Any]:
    return click.option(f"--{name}", type=float, metavar=unit, help=says)


@command(
    "geometry",
    """
    cdb deploy geometry -e cxilu9218 -d CxiDs1.0:Jungfrau.0 -r 10-20 \\
        --posz -100000
    cdb deploy geometry --calib calib -d XppGon.0:Cspad.0 -r 0-end --rotz 90 \\
        --dry-run
    """,
    writes=True,
)
@deploying
@repository("geometry")
@click.option("--package", is_flag=True, help="Look into no repository, take the package's own.")
@click.option("--panels", type=click.IntRange(min=1), metavar="N",
              help="How many it has, for the package's own.")  # fmt: skip
@click.option("--parent", metavar="NAME", help="Name of the frame that holds it, as IP.")
@_number("posx", "UM", "Where the detector stands in it, x [um].")
@_number("posy", "UM", "y [um].")
@_number("posz", "UM", "z [um]; negative behind the sample.")
@_number("rotx", "DEG", "How it is turned, around x [deg].")
@_number("roty", "DEG", "Around y [deg].")
@_number("rotz", "DEG", "Around z [deg].")
@click.option("--matrix", type=(int, int, int), metavar="ROWS COLS BINNING",
              help="Of a rayonix frame.")  # fmt: skip
def geometry_command(
    where: Deploying,
    repo: Path | None,
    package: bool,
    panels: int | None,
    **placed: Any,
) -> None:
    """Deploy a geometry, placed where it stands.

    The newest of a repository that is not later than a time: <dettype>_<alias or
    name>_<time>.data, else <dettype>_default.data, else the package's own, and it is said which.
    Numbers that are not given stay as they are, and so do tilts.
    """
    from cdb.deploy import geometries

    asked = where.asked()
    place = None if package else repository_at(repo, "geometry")
    ready = geometries.from_repository(
        place, asked, _placement(placed), panels=panels, report=passed_over
    )
    where.carry_out([ready], asked)


def _placement(given: dict[str, Any]) -> "Placement":
    from cdb.deploy.geometries import Placement

    return Placement(
        given["parent"], given["posx"], given["posy"], given["posz"],
        given["rotx"], given["roty"], given["rotz"], given["matrix"],
    )  # fmt: skip


@command(
    "link",
    """
    cdb deploy link metrology-2m.1.txt -d MfxEndstation.0:Epix10ka2M.0 \\
        --id 1-2_3-4 -t 20241003211628 --dry-run
    """,
)
@click.argument("file", metavar="FILE")
@options.detector
@click.option("--id", "ids", multiple=True, metavar="ID",
              help="Id of a panel; one after the other, or joined by _.")  # fmt: skip
@click.option("-t", "--time", "stamp", metavar="TIME", help="From when on the file holds.")
@click.option("--raw", metavar="RUN", help="Raw data that tell ids and time.")
@click.option("-e", "--experiment", metavar="NAME", help="Noted beside a new alias.")
@options.run_option("-r", "--run", help="Noted beside a new alias.")
@repository("geometry")
@options.dry_run
@options.json_
def link_command(
    file: str,
    detector: str,
    ids: Sequence[str],
    stamp: str | None,
    raw: str | None,
    experiment: str | None,
    run: int | None,
    repo: Path | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Add a name for a geometry to a repository.

    A link, by which it is found for a detector and a time. FILE lies in the folder of the
    detector's type, <dettype>/; a detector whose ids the repository does not know yet gets the
    next alias.
    """
    from cdb.deploy import Asked
    from cdb.deploy.geometries import Link

    asked = Asked.of(detector, ids=ids, stamp=stamp, run=raw)
    link = Link(repository_at(repo, "geometry") / asked.dettype, asked, file)
    path = link.folder / link.name() if dry_run else link.add(experiment=experiment, run=run)
    if as_json:
        output.as_json({"link": str(path), "target": file, "dry_run": dry_run})
        return
    output.tell(f"{path} {'would be' if dry_run else 'is'} a link to {file}")


# jungfrau-gains --------------------------------------------------------------------------------


@command(
    "jungfrau-gains",
    """
    cdb deploy jungfrau-gains -e cxilu9218 -d CxiDs1.0:Jungfrau.0 -r 7-end \\
        --id 170505-149520170815-3d00b0 --id 170505-149520170815-3d00f7 --dry-run
    cdb deploy jungfrau-gains --calib calib -d CxiDs1.0:Jungfrau.0 -r 7-end \\
        --raw cxilu9218-r0007.h5 -t 20220908160000
    """,
    writes=True,
)
@deploying
@repository("jungfrau gains")
@default_
def jungfrau_gains_command(where: Deploying, repo: Path | None, default: bool) -> None:
    """Deploy the gains of a jungfrau, by panel.

    Gains and offsets; a panel's files are <id>[-<time>]/g{0,1,2}_gain.npy and _offset.npy, and
    panels come in the order of their ids. Gains are ADU/keV, which is kept with them. A store
    gets both by one event.
    """
    from cdb.deploy import jungfrau_gains

    asked = where.asked()
    place = repository_at(repo, "jungfrau gains")
    ready = jungfrau_gains.from_repository(place, asked, default=default, report=passed_over)
    where.carry_out(ready, asked)


# common-mode -----------------------------------------------------------------------------------


@command(
    "common-mode",
    """
    cdb deploy common-mode -e xpptut15 -d XcsEndstation.0:Epix100a.1 -r 7
    cdb deploy common-mode -e xpptut15 -d XcsEndstation.0:Epix100a.1 -r 7-end \\
        4 6 30 30
    cdb deploy common-mode --calib calib -d CxiDs1.0:Cspad.0 -r 0-end --default
    """,
    writes=True,
)
@deploying
@click.argument("parameters", nargs=-1, type=float, metavar="[NUMBER]...")
@click.option("--default", is_flag=True, help="What LCLS-I's readers take where none is deployed.")
@click.option("--readers", type=click.Choice(["python", "c++"]), default="python",
              show_default=True, help="Whose default.")  # fmt: skip
@click.option("--shape", type=(int, int), metavar="ROWS COLS",
              help="Of a frame, where the default depends on it.")  # fmt: skip
def common_mode_command(
    where: Deploying,
    parameters: Sequence[float],
    default: bool,
    readers: str,
    shape: tuple[int, int] | None,
) -> None:
    """Deploy the common mode, or tell it in words.

    Without parameters those that hold are told. NUMBERS are the algorithm and what it wants, as
    7 2 10 10 for an epix10ka: they are checked for the detector, and told in words before they
    are deployed.
    """
    from cdb.deploy import common_modes

    asked = where.asked()
    if not parameters and not default:
        _tell_in_force(where, asked)
        return
    if parameters and default:
        raise click.UsageError("NUMBERS or --default: give one of them")
    ready = (
        common_modes.from_defaults(asked, shape or (), readers=readers)
        if default
        else common_modes.from_parameters(asked, parameters)
    )
    if not where.as_json:
        output.tell_lines(common_modes.in_words(asked, ready.data))  # type: ignore[arg-type]
    where.carry_out([ready], asked)


def _tell_in_force(where: Deploying, asked: "Asked") -> None:
    """Tell in words which parameters hold for a run."""
    from cdb.cli.lcls1 import runs_of
    from cdb.deploy import common_modes

    run = None if where.runs is None else runs_of(where.runs).begin
    parameters, place = _in_force(where, asked, run)
    words = common_modes.in_words(asked, parameters)
    if where.as_json:
        output.as_json({"parameters": [*map(float, parameters)], "words": words, "from": place})
        return
    output.tell_lines(words)
    output.say(f"from {place}")


def _in_force(where: Deploying, asked: "Asked", run: int | None) -> tuple[Any, str]:
    """Return the parameters that hold for a run, and where they are."""
    import cdb
    from cdb.deploy.common_modes import CTYPE

    if where.calib is None:
        with cdb.open(where.url) as db:
            version = db.version(
                asked.detector, CTYPE, experiment=where.experiment, dbsuffix=where.dbsuffix,
                run=run, time=asked.time,
            )  # fmt: skip
            return db.data(version), f"{version.database}, runs {version.runs}, id {version.id}"
    from cdb.files import contents, lcls1

    folder = lcls1.folder_of(where.calib, asked.detector, CTYPE)
    path = lcls1.choose_file(folder, 9999 if run is None else run, report=passed_over)
    if path is None:
        raise failure(f"no {CTYPE} of {asked.detector} in {folder}; --default tells what is taken")
    return contents.read(path, CTYPE), str(path)


for _command in (
    constants_command, geometry_command, link_command, jungfrau_gains_command, common_mode_command,
):  # fmt: skip
    deploy_command.add_command(_command)
