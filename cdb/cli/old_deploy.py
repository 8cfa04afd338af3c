"""What the scripts with the names of LCLS's deployers share: old options, new commands."""

import argparse
import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from cdb.cli import output
from cdb.errors import CalibError

# As the old programs took their modes; as octal digits they would mean others.
_DECIMAL = {"1533": "2775", "436": "664"}


def parser(says: str, today: str) -> argparse.ArgumentParser:
    """Return a parser of the options that these programs share; it says what is typed today."""
    made = argparse.ArgumentParser(description=says, epilog=f"Today: {today} --help")
    made.add_argument("-e", "--exp", help="experiment")
    made.add_argument("-d", "--det", help="source, as CxiDs1.0:Cspad.0")
    made.add_argument("-r", "--run", help="run whose time and detector are meant")
    made.add_argument("-t", "--tstamp", help="time instead, YYYYmmddHHMMSS, or a run up to 9999")
    made.add_argument("-x", "--dsnamex", "--dsname", default="",
                      help="added to -e and -r, as :dir=/data; or the data instead")  # fmt: skip
    made.add_argument("-o", "--dirrepo", help="repository [below SIT_ROOT]")
    made.add_argument("-c", "--dircalib", help="calib folder [SIT_PSDM_DATA/INS/exp/calib]")
    made.add_argument("-R", "--runrange", default="0-end", help="runs [%(default)s]")
    made.add_argument("-D", "--deploy", action="store_true", help="deploy; else only tell")
    made.add_argument("-l", "-L", "--loglev", "--logmode", help="DEBUG, INFO, WARNING, ERROR")
    made.add_argument("--id", action="append", default=[], help="ids of panels, if no data say")
    add_modes(made)
    return made


def add_modes(made: argparse.ArgumentParser) -> None:
    """Add the options for who may do what with new files."""
    made.add_argument("--dirmode", default="2775", help="octal, of new folders [%(default)s]")
    made.add_argument("--filemode", default="664", help="octal, of new files [%(default)s]")
    made.add_argument("--group", help="account group of what is new")


def modes(said: argparse.Namespace) -> list[str]:
    """Return who may do what, in today's options."""
    for name, mode in (("dirmode", said.dirmode), ("filemode", said.filemode)):
        if mode in _DECIMAL:
            stop(f"--{name} {mode} is decimal; write {_DECIMAL[mode]}, as chmod takes it")
    group = ["--unix-group", said.group] if said.group else []
    return ["--dirmode", said.dirmode, "--filemode", said.filemode, *group]


def standard_calib(experiment: str) -> Path:
    """Return the calib folder of an experiment, by SIT_PSDM_DATA.

    Raises
    ------
    SystemExit
        If that is not set, or there can be no such experiment.
    """
    from cdb.names import check_experiment

    try:
        check_experiment(experiment)
    except CalibError as error:
        stop(str(error))
    root = os.environ.get("SIT_PSDM_DATA")
    if not root:
        stop("where is the tree? give it with -c, or set SIT_PSDM_DATA")
    upper, lower = Path(root, experiment[:3].upper()), Path(root, experiment[:3].lower())
    is_lower = not upper.is_dir() and lower.is_dir()  # some have it so
    return (lower if is_lower else upper) / experiment / "calib"


def dataset(said: argparse.Namespace) -> str:
    """Return the raw data that -e, -r and -x name; empty if they name none."""
    whole = said.dsnamex and not said.dsnamex.startswith(":")
    if whole:
        return str(said.dsnamex)
    if not said.exp or not said.run:
        return ""
    return f"exp={said.exp}:run={said.run}{said.dsnamex}"


def dataset_of_run(said: argparse.Namespace, number: int) -> str:
    """Return the raw data of a run that stands in place of a time."""
    whole = str(said.dsnamex)
    if whole.startswith("exp="):
        return re.sub(r":run=[^:]*", f":run={number}", whole)
    if not said.exp or (whole and not whole.startswith(":")):
        stop(f"-t {number} is a run, and -e and -x do not say where it is; give its time with -t")
    return f"exp={said.exp}:run={number}{whole}"


def repository_words(said: argparse.Namespace) -> list[str]:
    """Return where the repository is, in today's option."""
    return ["--repo", said.dirrepo] if said.dirrepo else []


def jungfrau_in(said: argparse.Namespace) -> argparse.Namespace:
    """Return options that name a dataset and a part of a source, as those of other deployers."""
    from cdb.lcls1_names import source_in
    from cdb.readers import open_run
    from cdb.readers.datasets import is_dataset, parse

    said.dsnamex, said.exp, said.run, said.det = said.dsname, None, None, source_in(said.source)
    try:
        if is_dataset(said.dsname):
            asked = parse(said.dsname)
            said.exp, said.run = asked.experiment, next(iter(asked.runs), None)
        if said.det is None and said.dsname:
            with open_run(said.dsname) as opened:
                said.det = source_in(opened.source(said.source).name.partition("/")[0])
                said.exp, said.run = said.exp or opened.experiment, said.run or opened.number
    except CalibError as error:
        stop(f"{error}; or give the whole source with -s, the time with -t and ids with --id", 1)
    if said.det is None:
        stop("which detector? give -d with data that name it, or the whole source with -s")
    if said.runrange is None and said.run is None:
        stop("for which runs? give --runs, as 7-end")
    said.runrange = said.runrange or f"{said.run}-end"
    return said


def deploy(
    said: argparse.Namespace, name: str, *words: str, repo: bool = True, tells: bool = False
) -> NoReturn:
    """Run ``cdb deploy NAME`` to the tree that was said; one that tells has nothing to write."""
    if not said.det:
        stop("for which detector? give its source with -d")
    if not said.exp and not said.dircalib:
        stop("for which experiment? give it with -e, or its calib folder with -c")
    calib = said.dircalib or str(standard_calib(said.exp))
    where = ["--calib", calib, "-d", said.det, "-r", said.runrange, *when(said), *modes(said)]
    where += repository_words(said) if repo else []
    if not (said.deploy or tells):
        output.say("note: nothing is written without -D")
    run(said, "deploy", name, *where, "--yes" if said.deploy else "--dry-run", *words)


def when(said: argparse.Namespace) -> list[str]:
    """Return the time and the ids that are meant, or the raw data that tell them."""
    from cdb.deploy.detectors import run_of_stamp, stamp_of_run

    ids = [word for id_ in said.id for word in ("--id", id_)]
    stamp, number = said.tstamp, run_of_stamp(said.tstamp)
    if number is not None:
        try:
            stamp = stamp_of_run(dataset_of_run(said, number), number)
        except CalibError as error:
            stop(str(error), 1)
    # Data that are asked for nothing but their time were asked already.
    data = "" if stamp and getattr(said, "backwrd", False) else dataset(said)
    told = ["-t", stamp] if stamp else []
    # What is given need not be looked for in data that are large, or far away.
    needed = not stamp or not (ids or not _has_ids(said.det or ""))
    return [*told, *ids, *(["--raw", data] if data and needed else [])]


def _has_ids(source: str) -> bool:
    from cdb.deploy.detectors import WITH_IDS
    from cdb.files.repository import dettype_of

    return dettype_of(source).startswith(WITH_IDS)


def stop(why: str, code: int = 2) -> NoReturn:
    """End with a sentence."""
    output.say(f"error: {why}")
    raise SystemExit(code)


def run(said: argparse.Namespace, *words: str) -> NoReturn:
    """Run a command of ``cdb`` with these words, and end with its exit code."""
    from cdb.cli.main import cli

    typed: Sequence[str] = (*level(said), *words)
    output.say(f"runs: cdb {shlex.join(typed)}")
    cli(args=[*typed], prog_name="cdb")
    raise SystemExit(0)  # click has ended already


def level(said: argparse.Namespace) -> list[str]:
    """Return which messages are wanted, in today's option."""
    return ["-l", said.loglev.upper()] if said.loglev else []
