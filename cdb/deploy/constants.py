"""Constants of LCLS-I's repository: the newest that are not later than a time."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cdb.deploy.detectors import Asked
from cdb.deploy.ready import Ready, digested, read, shaped
from cdb.errors import BadFile, BadQuestion, NotFound, shown
from cdb.files import contents, repository
from cdb.files.lcls1 import Report, warn

# What users type, and the type of constant that is meant.
CTYPES: Mapping[str, str] = MappingProxyType(
    {
        "gain": "pixel_gain",
        "rms": "pixel_rms",
        "status": "pixel_status",
        "pixel_gain": "pixel_gain",
        "pixel_rms": "pixel_rms",
        "pixel_status": "pixel_status",
        "status_extra": "status_extra",
        "common_mode": "common_mode",
        "geometry": "geometry",
    }
)
STATUS_EXTRA = "status_extra"
_STATUS = "status_"
# What is made of the folders status_*, and so is none of them.
_MERGED = ("status_extra", "status_merged")


def check_type(name: str) -> str:
    """Return the type of constant that a word means.

    Raises
    ------
    BadQuestion
        If it means none that is kept in a repository.

    Examples
    --------
    >>> check_type("gain")
    'pixel_gain'
    """
    if name not in CTYPES:
        raise BadQuestion(
            f"no type {shown(name)} is deployed from a repository; there are {', '.join(CTYPES)}"
        )
    return CTYPES[name]


def from_repository(
    folder: Path | str,
    asked: Asked,
    name: str,
    *,
    default: bool = False,
    report: Report = warn,
) -> Ready:
    """Return constants of a detector, as they stood at a time.

    Parameters
    ----------
    folder : Path or str
        The repository, such as ``.../detector/calib/constants``.
    asked : Asked
        The detector, and the time.
    name : str
        One of `CTYPES`.
    default : bool, optional
        Whether to take ``default/<dettype>_default_<type>.txt`` where there are no others.
    report : callable, optional
        Called with files that are passed over.

    Returns
    -------
    ready : Ready
        Of ``status_extra`` the OR of the newest file in each folder ``status_*``.

    Raises
    ------
    BadQuestion
        If there is no such type.
    NotFound
        If there are no constants; the sentence says where they were looked for.
    BadFile, BadArray
        If they cannot be used.
    """
    ctype = check_type(name)
    home = Path(folder) / asked.dettype
    if not home.is_dir():
        raise NotFound(f"no folder {home}; give the repository with --repo")
    _check_id(home, asked)
    if ctype == STATUS_EXTRA:
        return _status_extra(home, asked, report)
    folders = [home / asked.id / each for each in _folders(name, ctype)]
    pattern = _pattern(home, asked)
    found = [file for each in folders for file in repository.dated_files(each, pattern, report)]
    past = [file for file in found if asked.stamp is None or file.stamp <= asked.stamp]
    if past:
        newest = max(past, key=lambda file: file.stamp)
        return _ready(newest.path, ctype, asked, {"repository": str(folder)})
    others = [repository.default_file(folder, asked.dettype, each.name) for each in folders]
    there = next((path for path in others if path.is_file()), None)
    if default and there is not None:
        note = f"the default of all {asked.dettype}, of no panel in particular"
        return _ready(there, ctype, asked, {"repository": str(folder), "default": True}, note)
    raise NotFound(_missing(ctype, asked, folders, len(found), there, default=default))


def _folders(name: str, ctype: str) -> Sequence[str]:
    """Return what folders of a type are called, the word that was said first."""
    return list(dict.fromkeys([name, *(word for word, one in CTYPES.items() if one == ctype)]))


def _check_id(home: Path, asked: Asked) -> None:
    """Refuse to guess of which panels a detector is made; say which ones were met with it."""
    try:
        asked.id  # noqa: B018 - asked for what it raises
    except NotFound as error:
        lines = repository.read_aliases(home / repository.ALIASES)
        met = [one.id for one in lines if asked.source in one.rest]
        hint = f"; the repository has met it with {', '.join(met)}" if met else ""
        raise NotFound(f"{error.args[0]}{hint}") from None


def _pattern(home: Path, asked: Asked) -> str:
    """Return what names of files begin with: the alias, where the repository has given one."""
    alias = repository.alias_of(home / repository.ALIASES, asked.id)
    return f"{asked.dettype}_{alias}_" if alias else f"{asked.dettype}_"


def _ready(
    path: Path, ctype: str, asked: Asked, parameters: Mapping[str, Any], *notes: str
) -> Ready:
    before = digested(path)
    data, copied = read(path, ctype, asked.dettype)
    if digested(path) != before:
        raise BadFile(f"{path} was changed while it was read; try again")
    unit = contents.unit_of(asked.dettype, ctype)
    told = {**parameters, **({"panels": list(asked.ids)} if asked.ids else {})}
    return Ready(ctype, data, (before,), told, unit, notes, copied)


def _missing(
    ctype: str, asked: Asked, folders: Sequence[Path], later: int, there: Path | None, *,
    default: bool,
) -> str:  # fmt: skip
    there_are = [str(folder) for folder in folders if os.path.isdir(folder)]
    where = " and ".join(there_are or [str(folders[0])])
    sentence = f"no {ctype} of {asked.detector}{asked.before()} in {where}"
    if later:
        sentence += f"; there {'is 1' if later == 1 else f'are {later}'} of later times"
    if there is not None:
        return f"{sentence}; the default {there} is taken with --default"
    if default:
        return f"{sentence}, and no default {folders[0].name} of {asked.dettype} beside it"
    return sentence


# Status ----------------------------------------------------------------------------------------


def _status_extra(home: Path, asked: Asked, report: Report) -> Ready:
    """Return the bits of all that was found out about pixels."""
    import numpy as np

    place = home / asked.id
    kinds = [n for n in repository.folders_of(place, _STATUS) if n not in _MERGED]
    if not kinds:
        raise NotFound(f"no folders {_STATUS}* of {asked.detector} in {place}")
    pattern = _pattern(home, asked)
    paths = {
        kind: repository.find_file_for_timestamp(place / kind, pattern, asked.stamp, report=report)
        for kind in kinds
    }
    empty = [str(place / kind) for kind, path in paths.items() if path is None]
    if empty:
        raise NotFound(f"no file of {asked.detector}{asked.before()} in {' and '.join(empty)}")
    merged: Any = None
    files = []
    for path in filter(None, paths.values()):
        files.append(digested(path))
        bits = _bits(path, asked)
        if merged is None:
            merged = bits
        elif merged.shape != bits.shape:
            raise BadFile(f"{path} has the shape {bits.shape}, and {files[0].path} {merged.shape}")
        else:
            np.bitwise_or(merged, bits, out=merged)
    return Ready(STATUS_EXTRA, merged, tuple(files), {"or of": kinds})


def _bits(path: Path, asked: Asked) -> Any:
    """Return what a file of status holds, as uint64."""
    import numpy as np

    data, _ = read(path, "pixel_status", asked.dettype)
    array = np.asarray(data)
    fine = array.dtype.kind in "iu" or (array.dtype.kind == "f" and (array == array // 1).all())
    if not fine or (array.dtype.kind != "u" and (array < 0).any()):
        raise BadFile(f"{path}: a status is made of whole numbers from 0 on")
    return shaped(array.astype(np.uint64), asked.dettype, STATUS_EXTRA, str(path))
