"""Which files a run has: a path, those of a folder, of a dataset ``exp=...:run=...:dir=...``."""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cdb.errors import BadFile, BadQuestion, BadRun, shown
from cdb.readers import euxfel
from cdb.readers.hdf5_files import is_hdf5

HDF5, EUXFEL, XTC2 = "hdf5", "euxfel", "xtc2"
_ENDINGS = {".h5": HDF5, ".hdf5": HDF5, ".hdf": HDF5, ".nxs": HDF5, ".xtc2": XTC2}
_LCLS2 = re.compile(r"(?P<exp>[a-z0-9]+)-r(?P<run>\d+)-s(?P<stream>\d+)-c(?P<chunk>\d+)\.xtc2")
_LCLS1 = re.compile(r"e\d+-r(?P<run>\d+)-s\d+-c\d+\.xtc")
_PART = re.compile(r"(?P<stem>.+)_part(?P<part>\d+)\.(nxs|h5)")
# Run numbers in a list, at most.
_RUNS = 10_000


@dataclass(frozen=True)
class RunFiles:
    """The files of one run, of one kind."""

    kind: str
    files: tuple[Path, ...]
    run: int | None = None

    @property
    def where(self) -> str:
        """What names them to `find`."""
        if len(self.files) == 1:
            return str(self.files[0])
        first = self.files[0]
        part, lcls2 = _PART.fullmatch(first.name), _LCLS2.fullmatch(first.name)
        if part:
            return str(first.with_name(part["stem"]))
        experiment = f"exp={lcls2['exp']}:" if lcls2 else ""
        return f"{experiment}run={self.run}:dir={first.parent}"


@dataclass(frozen=True)
class Dataset:
    """What the text of a dataset says, such as ``exp=xpptut15:run=54,56-58:dir=/data``.

    Attributes
    ----------
    experiment : str or None
    runs : tuple of int
        None are given where the folder has one run.
    folder : Path or None
    streams : range or None
    options : tuple of str
        Words that say how to read (``smd``); they are understood, and change nothing.
    """

    experiment: str | None
    runs: tuple[int, ...]
    folder: Path | None
    streams: range | None = None
    options: tuple[str, ...] = ()


def parse(text: str) -> Dataset:
    """Return what the text of a dataset says.

    Raises
    ------
    BadQuestion
        If a part of it is not understood.
    BadRun
        If a run is none.

    Examples
    --------
    >>> parse("exp=xpptut15:run=54,56-58:smd").runs
    (54, 56, 57, 58)
    """
    head, found, folder = text.partition(":dir=")
    given: dict[str, str] = {"dir": folder} if found else {}
    options = []
    for part in head.split(":"):
        name, equals, value = part.partition("=")
        if not equals and name in ("smd", "idx", "live", "h5", "xtc", "ffb"):
            options.append(name)
        elif not equals or name not in ("exp", "run", "dir", "stream") or name in given:
            raise BadQuestion(
                f"{shown(part)} in the dataset {shown(text)} is not understood; write "
                "exp=xpptut15:run=54:dir=/some/folder, with run=54,56-58 for several"
            )
        else:
            given[name] = value
    experiment = re.sub("^[A-Z]{3}/", "", given.get("exp", "")) or None
    if experiment and not re.fullmatch(r"[a-z0-9]{3,20}", experiment):
        raise BadQuestion(f"{shown(experiment)} is no name of an experiment, such as xpptut15")
    runs = _numbers(given["run"], "run") if given.get("run") else ()
    streams = _numbers(given["stream"], "stream") if given.get("stream") else ()
    return Dataset(
        experiment, runs, Path(given["dir"]) if given.get("dir") else None,
        range(min(streams), max(streams) + 1) if streams else None, tuple(options),
    )  # fmt: skip


def is_dataset(text: str) -> bool:
    """Return whether a text is meant as a dataset, not as a path."""
    return bool(re.match(r"(exp|run|dir)=", text)) and not Path(text).exists()


def find(spec: str | Path) -> list[RunFiles]:
    """Return the runs that a file, a folder or a dataset has.

    Raises
    ------
    BadFile
        If there is nothing, or nothing that a reader can read; the message says what is.
    """
    if is_dataset(str(spec)):
        return _of_dataset(str(spec))
    path = Path(spec)
    try:
        if path.is_dir():
            runs = list(in_folder(path))
            if not runs:
                raise BadFile(_nothing_in(path))
            return runs
        if not path.exists():
            parts = [one for one in _siblings(path) if _is_part_of(one, path.name)]
            if not parts:
                raise BadFile(f"there is no file or folder {path}")
            return [RunFiles(HDF5, tuple(parts))]
        if not path.is_file():
            raise BadFile(f"{path} is no file; give a file, a folder or exp=...:run=...:dir=...")
        return [_of_file(path)]
    except PermissionError:
        raise BadFile(f"no permission to read {path}") from None
    except OSError as error:
        raise BadFile(f"cannot read {path}: {error.strerror or error}") from None


def in_folder(folder: Path) -> Iterator[RunFiles]:
    """Yield the runs that the files of one folder are, by what they are called."""
    groups: dict[tuple[str, str, int | None], list[Path]] = defaultdict(list)
    for path in sorted(folder.iterdir()):
        kind = _ENDINGS.get(path.suffix)
        if kind is None or not path.is_file():
            continue
        of_euxfel, of_lcls2 = euxfel.NAME.fullmatch(path.name), _LCLS2.fullmatch(path.name)
        part = _PART.fullmatch(path.name)
        if of_euxfel:
            groups[EUXFEL, of_euxfel["kind"], int(of_euxfel["run"])].append(path)
        elif of_lcls2:
            groups[XTC2, of_lcls2["exp"], int(of_lcls2["run"])].append(path)
        elif part:
            groups[HDF5, part["stem"], None].append(path)
        else:
            groups[kind, path.name, None].append(path)
    for (kind, name, run), files in groups.items():
        if kind == EUXFEL and name != "RAW" and (EUXFEL, "RAW", run) in groups:
            continue  # corrected files beside the raw ones of the same run
        yield RunFiles(kind, tuple(files), run)


def below(folder: Path, report: Callable[[str], object]) -> Iterator[RunFiles]:
    """Yield the runs in a folder and all below it, in the order of their names.

    Links to folders are not followed, so that no walk is endless.

    Parameters
    ----------
    folder : Path
    report : callable
        Called with a sentence for each folder that cannot be read.
    """

    def passed_over(error: OSError) -> None:
        report(f"cannot read {error.filename}: {error.strerror or error}")

    for here, folders, _ in os.walk(folder, onerror=passed_over):
        folders.sort()
        try:
            yield from in_folder(Path(here))
        except OSError as error:
            passed_over(error)


def _siblings(path: Path) -> list[Path]:
    return sorted(path.parent.iterdir()) if path.parent.is_dir() else []


def _is_part_of(path: Path, stem: str) -> bool:
    part = _PART.fullmatch(path.name)
    return part is not None and part["stem"] == stem


def _of_file(path: Path) -> RunFiles:
    if _LCLS1.fullmatch(path.name) or path.suffix == ".xtc":
        raise BadFile(_lcls1(path))
    if path.suffix == ".xtc2":
        return RunFiles(XTC2, (path,))
    if is_hdf5(path):
        named = euxfel.NAME.fullmatch(path.name)
        return RunFiles(EUXFEL if named else HDF5, (path,), int(named["run"]) if named else None)
    raise BadFile(f"{path} is neither HDF5 nor xtc2; these are what can be read")


def _lcls1(path: Path) -> str:
    return (
        f"{path} is xtc of LCLS-I, which nothing outside LCLS's own release reads; translate it "
        "there to HDF5 (psana -m Translator.H5Output) and give that file"
    )


def _of_dataset(text: str) -> list[RunFiles]:
    asked = parse(text)
    folder = asked.folder
    if folder is None:
        root = os.environ.get("SIT_PSDM_DATA")
        if not root or not asked.experiment:
            raise BadQuestion(
                f"where are the files of {text}? add :dir=/the/folder, or give exp= and set "
                "SIT_PSDM_DATA, below which they lie in <INS>/<exp>/xtc"
            )
        folder = Path(root) / asked.experiment[:3].upper() / asked.experiment / "xtc"
    if not folder.is_dir():
        raise BadFile(f"there is no folder {folder}, where the files of {text} would be")
    runs = asked.runs or (None,)
    return [one for run in runs for one in _of_run(folder, asked, run, text)]


def _of_run(folder: Path, asked: Dataset, run: int | None, text: str) -> list[RunFiles]:
    """Return the files of one run in a folder, or in the folder of this run below it."""
    found = []
    places = [folder] if run is None else [folder, folder / f"r{run:04d}"]
    for place in (place for place in places if place.is_dir()):
        for one in in_folder(place):
            files = tuple(path for path in one.files if _is_asked(path, one, asked, run))
            if files:
                found.append(RunFiles(one.kind, files, run if run is not None else one.run))
    if not found:
        lcls1 = [path for path in folder.glob("*.xtc") if (m := _LCLS1.fullmatch(path.name))
                 and (run is None or int(m["run"]) == run)]  # fmt: skip
        if lcls1:
            raise BadFile(_lcls1(min(lcls1)))
        which = "" if run is None else f" of run {run}"
        raise BadFile(f"{folder} has no files{which} of {text}; {_nothing_in(folder)}")
    return found


def _is_asked(path: Path, one: RunFiles, asked: Dataset, run: int | None) -> bool:
    named = _LCLS2.fullmatch(path.name)
    if named and asked.experiment and named["exp"] != asked.experiment:
        return False
    if named and asked.streams is not None and int(named["stream"]) not in asked.streams:
        return False
    number = one.run if one.run is not None else _number_in(path.name)
    return run is None or number == run


def _number_in(name: str) -> int | None:
    found = re.search(r"(?:^|[-_])[rR](\d{1,6})(?=\D|$)", name)
    return int(found[1]) if found else None


def _nothing_in(folder: Path) -> str:
    lcls1 = [path.name for path in sorted(folder.glob("*.xtc"))]
    if lcls1:
        return _lcls1(folder / lcls1[0])
    endings = ", ".join(_ENDINGS)
    return f"{folder} holds no file that ends in {endings}"


def _numbers(text: str, what: str) -> tuple[int, ...]:
    """Return the numbers of a list: ``54,56-58``; the second of a range may be short of ``r``."""
    found: list[int] = []
    for part in text.split(","):
        ends = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", part.strip())
        if not ends or int(ends[2] or ends[1]) < int(ends[1]):
            raise BadRun(f"{shown(text)} is no {what}, nor a list of them such as 54,56-58")
        if int(ends[2] or ends[1]) - int(ends[1]) >= _RUNS:
            raise BadRun(f"{shown(part)} is more than {_RUNS} of them")
        found += range(int(ends[1]), int(ends[2] or ends[1]) + 1)
    return tuple(dict.fromkeys(found))


def named(runs: Sequence[RunFiles]) -> str:
    """Return runs for a sentence."""
    return ", ".join(one.where for one in runs[:10]) + (" and more" if len(runs) > 10 else "")
