"""Gains and offsets of a jungfrau, put together from the folders of its panels."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cdb.deploy.detectors import Asked
from cdb.deploy.ready import File, Ready, digested
from cdb.errors import BadArray, BadQuestion, NotFound
from cdb.files import contents, formats, repository
from cdb.files.lcls1 import Report, warn

if TYPE_CHECKING:
    from numpy.typing import NDArray

DETTYPE = "jungfrau"
RANGES = 3
PANEL = (512, 1024)
# The types of constants, and what the files of a panel are called.
KINDS = {"pixel_gain": "gain", "pixel_offset": "offset"}


class PanelFolder(NamedTuple):
    """Where the files of one panel are.

    Attributes
    ----------
    panel : str
        Its id.
    path : Path
        The folder.
    note : str
        What is to be said of it; empty if nothing is.
    """

    panel: str
    path: Path
    note: str = ""


def folders(
    folder: Path | str, asked: Asked, *, default: bool = False, report: Report = warn
) -> list[PanelFolder]:
    """Return the folder of each panel, for a time.

    Parameters
    ----------
    folder : Path or str
        The repository, such as ``.../detector/gains/jungfrau``.
    asked : Asked
        The detector, with the ids of its panels, and the time.
    default : bool, optional
        Whether to take ``MDEF`` for a panel that has no folder.
    report : callable, optional
        Called with folders that are passed over.

    Raises
    ------
    NotFound
        If a panel has none: all such are named.
    BadQuestion
        If it is no jungfrau.
    """
    if asked.dettype != DETTYPE:
        raise BadQuestion(f"{asked.detector} is no {DETTYPE}; gains by panel are kept for these")
    if not asked.ids:
        raise NotFound(
            f"the ids of the panels of {asked.detector} are not given; give --id, one a panel and "
            "in their order, or raw data that tell them (--raw, `cdb raw panels`)"
        )
    if not Path(folder).is_dir():
        raise NotFound(f"no folder {folder}; give the repository with --repo")
    common = Path(folder) / repository.COMMON_GAINS
    found, missing = [], []
    for panel in asked.ids:
        own = repository.panel_folder(folder, panel, asked.stamp, report=report)
        if own is not None:
            late = asked.stamp is not None and own.stamp > asked.stamp
            note = f"panel {panel}: all are later; the first, {own.path.name}, is taken"
            found.append(PanelFolder(panel, own.path, note if late else ""))
        elif default and common.is_dir():
            note = f"panel {panel}: it has no folder; the default, {common.name}, is taken"
            found.append(PanelFolder(panel, common, note))
        else:
            missing.append(panel)
    if missing:
        several = "s" if missing[1:] else ""
        way_out = (
            f"; the default {common} is taken with --default"
            if common.is_dir() and not default
            else ""
        )
        raise NotFound(f"no folder of panel{several} {', '.join(missing)} in {folder}{way_out}")
    return found


def from_repository(
    folder: Path | str, asked: Asked, *, default: bool = False, report: Report = warn
) -> list[Ready]:
    """Return gains [ADU/keV] and offsets [ADU] of a detector.

    Parameters
    ----------
    folder, asked, default, report
        As `folders` takes them.

    Returns
    -------
    ready : list of Ready
        ``pixel_gain`` and ``pixel_offset``, float32, shape (3, n_panels, 512, 1024), panels in
        the order of their ids.

    Raises
    ------
    NotFound
        If files are missing: all of them are named.
    BadArray
        If a file holds no panel.
    BadQuestion
        If it is no jungfrau.
    """
    places = folders(folder, asked, default=default, report=report)
    missing = [
        str(path)
        for place in places
        for kind in KINDS.values()
        for path in _files(place, kind)
        if not path.is_file()
    ]
    if missing:
        raise NotFound(f"there is no file {', '.join(dict.fromkeys(missing))}")
    notes = tuple(place.note for place in places if place.note)
    return [_stacked(ctype, kind, places, asked, notes) for ctype, kind in KINDS.items()]


def _files(place: PanelFolder, kind: str) -> list[Path]:
    return [place.path / f"g{gain}_{kind}.npy" for gain in range(RANGES)]


def _stacked(
    ctype: str, kind: str, places: Sequence[PanelFolder], asked: Asked, notes: tuple[str, ...]
) -> Ready:
    """Return the arrays of all panels and ranges as one; one panel more than it is in memory."""
    import numpy as np

    made: NDArray[Any] = np.empty((RANGES, len(places), *PANEL), np.float32)
    files: list[File] = []
    for panel, place in enumerate(places):
        for gain, path in enumerate(_files(place, kind)):
            files.append(digested(path))
            array = formats.read(path)
            if array.shape != PANEL or array.dtype.kind not in "fiu":
                raise BadArray(
                    f"{path} holds {array.dtype} {array.shape}; a panel is made of {PANEL} numbers"
                )
            made[gain, panel] = array
    parameters = {"panels": {place.panel: place.path.name for place in places}}
    return Ready(ctype, made, tuple(dict.fromkeys(files)), parameters,
                 contents.unit_of(DETTYPE, ctype), notes)  # fmt: skip
