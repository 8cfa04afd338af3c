"""What the scripts with the names of LCLS's metrology programs share: old options, new commands."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from cdb.cli import output


def parser(says: str) -> argparse.ArgumentParser:
    """Return a parser of old options; it says what is typed today."""
    made = argparse.ArgumentParser(description=says, epilog="Today: cdb geometry metrology --help")
    made.add_argument("--compat", action="store_true", help="the numbers of the old program")
    made.add_argument("--mend", action="store_true", help="replace z values that were mistyped")
    return made


def quads_parser(says: str) -> argparse.ArgumentParser:
    """Return a parser of the options that the programs for cspads have."""
    made = parser(says)
    made.add_argument("file", nargs="?", help="survey text, instead of -d and -f")
    made.add_argument("-d", "--dir", default=".", help="folder of the survey")
    made.add_argument("-f", "--fnm", default="optical_metrology.txt", help="its name")
    made.add_argument("-p", "--pbits", type=int, help="was what to print; ignored")
    made.add_argument("-g", "--gbits", type=int, default=0, help="not 0: draw the residuals")
    made.add_argument("-o", "--out", default="calib-tmp", help="folder for what is written")
    return made


def run_quads(family: str, said: argparse.Namespace, *more: str) -> NoReturn:
    """Make the geometry of a cspad, and write it where the old program did."""
    folder = Path(said.out)
    survey = said.file or str(Path(said.dir) / said.fnm)
    if Path(survey).is_file():  # else nothing is left behind
        folder.mkdir(parents=True, exist_ok=True)
    picture = ("--plot", str(folder / "metrology_standard_det.png")) if said.gbits else ()
    geometry = str(folder / "geometry-0-end.data")
    run(said, survey, "--family", family, "--full", "-o", geometry, *picture, *more)


def run(said: argparse.Namespace, *words: str) -> NoReturn:
    """Run ``cdb geometry metrology`` with these words, and end with its exit code."""
    from cdb.cli.main import cli

    flags = [f"--{name}" for name in ("compat", "mend") if getattr(said, name)]
    typed: Sequence[str] = ("geometry", "metrology", *words, "--yes", *flags)
    output.say(f"runs: cdb {' '.join(typed)}")
    cli(args=[*typed], prog_name="cdb")
    raise SystemExit(0)  # click has ended already
