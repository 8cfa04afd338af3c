"""What is wrong in an LCLS-I tree, and what one should know of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdb.errors import CalibError
from cdb.files import contents, history, lcls1
from cdb.files.groups import UNDEFINED, XTCAV, group_of
from cdb.files.lcls1 import CalibFile, Folder, Skipped, Span
from cdb.files.lcls1_deploy import PART

# Types that the readers' API serves, those that it does not but that are deployed, and those of
# experiments of long ago. Reference: PSCalib, `GlobalUtils.py`.
READ = (
    "pedestals", "pixel_status", "pixel_rms", "pixel_gain", "pixel_mask", "pixel_bkgd",
    "common_mode", "geometry", "pixel_offset", "status_data", "status_extra",
)  # fmt: skip
KEPT = (
    "dark_min", "dark_max", "filter", "hex_config", "hex_table", "center", "center_corr",
    "center_global", "offset", "offset_corr", "marg_gap_shift", "quad_rotation", "quad_tilt",
    "rotation", "tilt", "beam_vector", "beam_intersect", "lasingoffreference",
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """Something in a tree.

    Attributes
    ----------
    kind : str
        What it is, in a word.
    path : Path
        Where.
    message : str
        The rest of a sentence that begins with the path.
    wrong : bool
        Whether it should be mended; else one should know.
    """

    kind: str
    path: Path
    message: str
    wrong: bool = True


def check(calib: Path | str, *, read: bool = True) -> Iterator[Finding]:
    """Walk over what is wrong in a tree.

    Parameters
    ----------
    calib : Path or str
        The tree.
    read : bool, optional
        Whether to read the files; else only their names and HISTORY are looked at.

    Raises
    ------
    NotFound
        If the tree is not there.
    """
    skipped: list[Skipped] = []
    for folder in lcls1.walk(calib, skipped.append):
        yield from _drained(skipped, "name")
        yield from of_folder(folder)
        files, passed = _files(folder.path)
        yield from passed
        yield from _hidden(files)
        yield from _litter(folder.path)
        yield from _history(folder.path)
        if read:
            for file in files:
                yield from _content(file, folder)
    yield from _drained(skipped, "name")


def _drained(skipped: list[Skipped], kind: str) -> Iterator[Finding]:
    while skipped:
        one = skipped.pop(0)
        yield Finding(kind, one.path, one.why)


def of_folder(folder: Folder) -> Iterator[Finding]:
    """Yield what is wrong with where files lie, whatever they are."""
    group = group_of(folder.source)
    if group == UNDEFINED:
        yield Finding(
            "source", folder.path, f"is of a device that no reader knows: {folder.source}"
        )
    elif folder.group not in (group, XTCAV):
        yield Finding("group", folder.path, f"is not looked at by readers, who look into {group}")
    if folder.ctype in KEPT:
        yield Finding("type", folder.path, "is of a type that the readers' API lacks", wrong=False)
    elif folder.ctype not in READ:
        yield Finding("type", folder.path, "is of a type that nobody knows")


def _files(folder: Path) -> tuple[list[CalibFile], list[Finding]]:
    """Return the files of a folder, and what was passed over."""
    found: list[Finding] = []

    def note(skipped: Skipped) -> None:
        kind = "spelling" if "holds for the same runs" in skipped.why else "name"
        found.append(Finding(kind, skipped.path, skipped.why))

    try:
        return lcls1.valid_files(folder, note), found
    except CalibError as error:
        why = str(error).removeprefix(f"folder {str(folder)!r} ")
        return [], [Finding("unreadable", folder, f"cannot be listed: it {why}")]


def _hidden(files: list[CalibFile]) -> Iterator[Finding]:
    """Yield the files of which a broader one, which begins later, takes runs away."""
    spans = lcls1.effective_ranges(files)
    effective = {span.file for span in spans}
    spelled = {(file.runs, file.name) for file in _others(files)}
    for file in files:
        if (file.runs, file.name) in spelled:
            continue  # told already
        takers = [span for span in spans if _takes(span, file)]
        if file not in effective:
            names = ", ".join(sorted({s.file.name for s in spans if s.file and _meets(s, file)}))
            yield Finding("hidden", file.path, f"is the file of no run: they get {names}")
        elif takers:
            told = ", ".join(
                f"{_runs(span, file)} get {span.file.name}" for span in takers if span.file
            )
            yield Finding("hidden", file.path, f"does not hold for all its runs: {told}")


def _others(files: list[CalibFile]) -> list[CalibFile]:
    """Return the files that another spelling of the same runs hides; the one that wins is first."""
    return [
        file for winner, file in zip(files, files[1:], strict=False) if winner.runs == file.runs
    ]


def _meets(span: Span, file: CalibFile) -> bool:
    return span.first <= file.runs.end and span.last >= file.runs.begin


def _takes(span: Span, file: CalibFile) -> bool:
    """Return whether runs of a closed range get a file that begins later and ends later."""
    taker = span.file
    return (
        taker is not None
        and _meets(span, file)
        and file.runs.end < taker.runs.end
        and taker.runs.begin > file.runs.begin
    )


def _runs(span: Span, file: CalibFile) -> str:
    first, last = max(span.first, file.runs.begin), min(span.last, file.runs.end)
    return f"run {first}" if first == last else f"runs {first}-{last}"


def _litter(folder: Path) -> Iterator[Finding]:
    try:
        parts = sorted(folder.glob(f".*{PART}"))
    except OSError:
        return  # told already
    for path in parts:
        yield Finding("litter", path, "was left by a deployment that was killed", wrong=False)


def _history(folder: Path) -> Iterator[Finding]:
    path = folder / history.NAME
    odd: list[tuple[int, str]] = []
    try:
        lcls1.read_history(folder, lambda number, line: odd.append((number, line)))
    except CalibError as error:
        why = str(error).removeprefix(f"cannot read {path}: ")
        yield Finding("history", path, f"cannot be read: {why}")
    for number, line in odd:
        yield Finding("history", path, f"line {number} names no file: {line[:60]!r}")


def _content(file: CalibFile, folder: Folder) -> Iterator[Finding]:
    try:
        data: Any = contents.read(file.path, folder.ctype)
    except (CalibError, OSError) as error:
        why = str(error).removeprefix(str(file.path)).lstrip(",: ")
        yield Finding("unreadable", file.path, f"cannot be read: {why}")
        return
    try:
        contents.check_kind(data, folder.group)
    except CalibError as error:
        yield Finding("unreadable", file.path, f"is not read: {error}")
    shape = getattr(data, "shape", None)
    if shape is None or folder.group == XTCAV:
        return
    try:
        contents.check_size(shape, folder.source, folder.ctype)
    except CalibError as error:
        yield Finding("size", file.path, f"has the wrong size: {error}")
