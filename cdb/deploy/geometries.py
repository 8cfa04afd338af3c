"""Geometries of LCLS-I's repository: the newest at a time, placed where the detector stands."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cdb.deploy.detectors import WITH_IDS, Asked
from cdb.deploy.ready import File, Ready, digested
from cdb.errors import BadName, BadQuestion, NotFound, shown
from cdb.files import formats, repository
from cdb.files.lcls1 import Report, warn
from cdb.geometry import defaults, tree
from cdb.geometry.tree import Geometry, Key, Part

CTYPE = "geometry"
# Of a rayonix, unbinned [um]: 85.00 mm for 1920 pixels.
RAYONIX_PIXEL = 44.271
RAYONIX = "rayonix"
_MATRIX = "MTRX"


@dataclass(frozen=True)
class Placement:
    """Where a detector stands; what is None stays as it is.

    Attributes
    ----------
    parent : str or None
        Name of the frame that holds everything, as ``IP``.
    x, y, z : float or None
        Origin of the detector in it [um].
    rot_x, rot_y, rot_z : float or None
        Rotation [deg].
    matrix : (int, int, int) or None
        Of a rayonix: rows and columns of a frame, and how many pixels were read as one along each.
    """

    parent: str | None = None
    x: float | None = None
    y: float | None = None
    z: float | None = None
    rot_x: float | None = None
    rot_y: float | None = None
    rot_z: float | None = None
    matrix: tuple[int, int, int] | None = None

    def given(self) -> dict[str, Any]:
        """Return what is said, by name."""
        told = {name: value for name, value in vars(self).items() if value is not None}
        return told | ({"matrix": list(self.matrix)} if self.matrix else {})


def aliases(home: Path) -> Path:
    """Return the file with the aliases of a detector type's folder."""
    own = home / f".aliases-{home.name}.txt"
    return own if own.exists() or not (home / repository.ALIASES).exists() else (
        home / repository.ALIASES
    )  # fmt: skip


def from_repository(
    folder: Path | str | None,
    asked: Asked,
    placement: Placement = Placement(),
    *,
    panels: int | None = None,
    report: Report = warn,
) -> Ready:
    """Return the geometry of a detector, as it stood at a time.

    Parameters
    ----------
    folder : Path, str or None
        The repository, such as ``.../detector/calib/geometry``; None for no other than the
        package's own.
    asked : Asked
        The detector, and the time.
    placement : Placement, optional
        Where it stands.
    panels : int, optional
        How many it has, for the package's default.
    report : callable, optional
        Called with files that are passed over.

    Returns
    -------
    ready : Ready
        The newest of the detector's own that is not later; else ``<dettype>_default.data``; else
        the package's. Its notes say which, if it is not the detector's own, and where it is placed.

    Raises
    ------
    NotFound
        If there is none.
    BadQuestion
        If it cannot be placed.
    BadFile
        If a file is no geometry.
    """
    home = None if folder is None else Path(folder) / asked.dettype
    if folder is not None and not Path(folder).is_dir():
        raise NotFound(f"no folder {folder}; give the repository with --repo")
    path, notes = (None, ()) if home is None else _file(home, asked, report)
    files: tuple[File, ...] = ()
    if path is not None:
        text = str(formats.read(path, ctype=CTYPE))
        files = (digested(path),)
        geometry = tree.parse(text, str(path))
    else:
        count = panels or len(asked.ids) or None
        geometry = defaults.default_for(asked.dettype, count)
        text = tree.format(geometry)
        notes = ("the default of the package: good for a picture, not for an experiment",)
    placed = place(geometry, placement)
    if placed != geometry:
        given = ", ".join(f"{name} {value}" for name, value in placement.given().items())
        notes = (*notes, f"placed: {given}")
    if asked.dettype == RAYONIX and placement.matrix is None:
        segments = " and ".join(dict.fromkeys(p.name for p in placed.parts if _is_matrix(p)))
        notes = (*notes, f"{segments} stays as it is; if frames are binned otherwise, --matrix")
    told = {**placement.given(), **({"panels": list(asked.ids)} if asked.ids else {})}
    if placed == geometry:
        return Ready(CTYPE, text, files, told, None, notes, copied=bool(files))
    return Ready(CTYPE, tree.format(placed), files, told, None, notes)


def _file(home: Path, asked: Asked, report: Report) -> tuple[Path | None, tuple[str, ...]]:
    """Return the file of a detector, or of its type, and what is to be said of it."""
    for name, note in _names(home, asked):
        pattern = f"{asked.dettype}_{name}_"
        path = repository.find_file_for_timestamp(home, pattern, asked.stamp, report=report)
        if path is not None:
            return path, note
    other = home / f"{asked.dettype}_default.data"
    if other.is_file():
        return other, (f"the default of all {asked.dettype}, of no detector in particular",)
    return None, ()


def _names(home: Path, asked: Asked) -> Sequence[tuple[str, tuple[str, ...]]]:
    """Return what the detector's own files may be called by: its alias, then its source."""
    found: list[tuple[str, tuple[str, ...]]] = []
    alias = repository.alias_of(aliases(home), "_".join(asked.ids)) if asked.ids else None
    if alias is not None:
        found.append((alias, ()))
    if asked.source is not None:
        has_ids = asked.dettype.startswith(WITH_IDS)
        note = (f"found by the source {asked.source}, where other panels may have stood",)
        found.append((repository.name_of_source(asked.source), note if has_ids else ()))
    return found


# Placing ---------------------------------------------------------------------------------------


def place(geometry: Geometry, placement: Placement) -> Geometry:
    """Return a geometry with its detector placed.

    Parameters
    ----------
    geometry : Geometry
        Stays as it is.
    placement : Placement
        What is None stays too: the other numbers, and the tilts.

    Raises
    ------
    BadQuestion
        If not one detector alone hangs below the top, or there is no segment of a rayonix.

    Examples
    --------
    >>> geometry = tree.parse("IP 0 EPIX100:V1 0  0.25 0 -1e5  90 180 0  0.1 0 0")
    >>> place(geometry, Placement(parent="IP", z=-2e5)).parts[0]
    Part(parent='IP', ..., x0=0.25, y0=0.0, z0=-200000.0, rot_z=90.0, ..., tilt_z=0.1, ...)
    """
    numbers = {
        "x0": placement.x, "y0": placement.y, "z0": placement.z, "rot_x": placement.rot_x,
        "rot_y": placement.rot_y, "rot_z": placement.rot_z,
    }  # fmt: skip
    if placement.matrix is not None:
        geometry = _with_matrix(geometry, placement.matrix)
    top = geometry.top
    if any(number is not None for number in numbers.values()):
        below = [part for part in geometry.parts if part.parent_key == top]
        if len(below) > 1:
            parts = ", ".join(f"{part.name} {part.index}" for part in below)
            raise BadQuestion(
                f"{len(below)} parts hang below {top[0]} {top[1]} ({parts}), so the detector is "
                "not placed by one of them; `cdb geometry move` moves each"
            )
        one = below[0]
        geometry = tree.place(geometry, one.name, one.index, parent=top, **numbers)
    if placement.parent is not None and placement.parent != top[0]:
        geometry = _renamed(geometry, top, placement.parent)
    return geometry


def _renamed(geometry: Geometry, top: Key, name: str) -> Geometry:
    taken = {part.key for part in geometry.parts}
    if len(name.split()) != 1 or name[0] == "#" or (name, top[1]) in taken:
        raise BadName(f"{shown(name)} cannot be the name of the frame that holds all others")
    parts = tuple(
        replace(part, parent=name) if part.parent_key == top else part for part in geometry.parts
    )
    return replace(geometry, parts=parts)


def _with_matrix(geometry: Geometry, matrix: tuple[int, int, int]) -> Geometry:
    """Return a geometry whose segment is that of a rayonix with this binning."""
    rows, columns, binning = matrix
    if min(matrix) < 1:
        raise BadQuestion("rows, columns and binning of a rayonix are whole numbers from 1 on")
    pixel = f"{RAYONIX_PIXEL * binning:.3f}"
    name = f"{_MATRIX}:V2:{rows}:{columns}:{pixel}:{pixel}"
    if not any(map(_is_matrix, geometry.parts)):
        raise BadQuestion(f"there is no segment {_MATRIX} in this geometry; leave --matrix out")

    def changed(part: Part) -> Part:
        return replace(part, name=name) if _is_matrix(part) else part

    return replace(geometry, parts=tuple(map(changed, geometry.parts)))


def _is_matrix(part: Part) -> bool:
    return part.name.startswith(_MATRIX)


# Links -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Link:
    """A second name for a file of a repository, by which it is found for a detector and a time.

    Attributes
    ----------
    folder : Path
        Of the detector type, in the repository.
    asked : Asked
        The detector, and the time from which on the file holds.
    target : str
        Name of the file in the folder.
    """

    folder: Path
    asked: Asked
    target: str

    def name(self) -> str:
        """Return what the link is called, or would be, without the detector's number if it is new.

        Raises
        ------
        NotFound
            If the time or the file is missing.
        """
        return self._name(repository.alias_of(aliases(self.folder), self.asked.id) or "NNNN")

    def add(self, *, experiment: str | None = None, run: int | None = None) -> Path:
        """Make it, after a detector that is new got its alias.

        Raises
        ------
        NotFound, BadFile, StoreRefused
            As `cdb.files.repository.add_link`.
        """
        self.name()
        by_id = bool(self.asked.ids)
        more = () if self.asked.source is None else (self.asked.source,)
        alias = (
            repository.add_alias(aliases(self.folder), self.asked.id, experiment=experiment,
                                 run=run, more=more)
            if by_id
            else ""
        )  # fmt: skip
        return repository.add_link(self.folder, self._name(alias), self.target)

    def _name(self, alias: str) -> str:
        if self.asked.stamp is None:
            raise NotFound("from when on does the file hold? give the time with -t YYYYmmddHHMMSS")
        if not (self.folder / self.target).is_file():
            raise NotFound(f"no file {self.target!r} in {self.folder}; put it there first")
        name = alias if self.asked.ids else self.asked.id
        formats.read(self.folder / self.target, ctype=CTYPE)
        return f"{self.asked.dettype}_{name}_{self.asked.stamp}.data"
