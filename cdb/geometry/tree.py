"""The tree of detector parts: the grammar of geometry texts.

A row of 13 fields places one part, a segment or a group of parts, in the frame of its parent::

    # parent ind  object      ind   x0[um]  y0[um]  z0[um]  rot_z rot_y rot_x  tilt_z tilt_y tilt_x
    CAMERA   0    EPIX10KA:V1 0     -20150   20950       0    180     0     0    0.01      0      0
    IP       0    CAMERA      0          0       0 -100000     90     0     0    0         0      0

Numbers are kept as they are written. Old files have the distance from the interaction point
(rows whose parent begins with ``IP``) as a positive z0, where the frame asks for a negative one;
to turn its sign is up to those who compute with it.
"""

import math
from collections import Counter
from dataclasses import dataclass

from cdb.errors import BadFile, shown

_FIELDS = 13


@dataclass(frozen=True)
class Part:
    """One row: a part, and its place in the frame of its parent.

    Attributes
    ----------
    parent, parent_index : str, int
        The part that this one belongs to.
    name, index : str, int
        This part. Parts of different parents may share both.
    x0, y0, z0 : float
        Origin [um].
    rot_z, rot_y, rot_x : float
        Rotation by design [deg].
    tilt_z, tilt_y, tilt_x : float
        Small rotation on top of it, by alignment [deg].
    line : int
        Where the row stands in its text, from 1.
    """

    parent: str
    parent_index: int
    name: str
    index: int
    x0: float
    y0: float
    z0: float
    rot_z: float
    rot_y: float
    rot_x: float
    tilt_z: float
    tilt_y: float
    tilt_x: float
    line: int

    @property
    def key(self) -> tuple[str, int]:
        """Name and index."""
        return self.name, self.index

    @property
    def parent_key(self) -> tuple[str, int]:
        """Name and index of the parent."""
        return self.parent, self.parent_index


@dataclass(frozen=True)
class Geometry:
    """A geometry text, read.

    Attributes
    ----------
    comments : tuple of str
        The comments in their order, without ``#`` and blanks around; empty ones are dropped.
    parts : tuple of Part
        The rows in their order, which is also the order of the panels in an array.
    """

    comments: tuple[str, ...]
    parts: tuple[Part, ...]

    @property
    def top(self) -> tuple[str, int]:
        """Name and index of the frame that holds everything.

        It has no row of its own. Where several parents have none, the one that appears last is
        the top, as in the readers of LCLS.
        """
        keys = {part.key for part in self.parts}
        tops = dict.fromkeys(part.parent_key for part in self.parts)
        return [top for top in tops if top not in keys][-1]


def parse(text: str, name: str = "geometry text") -> Geometry:
    r"""Read a geometry text.

    Parameters
    ----------
    text : str
        Comments, blank lines and rows of 13 fields.
    name : str
        What errors call the text.

    Returns
    -------
    geometry : Geometry
        Comments and parts; the parts make a tree, or several.

    Raises
    ------
    BadFile
        If a row has other than 13 fields, an index is no whole number from 0 on, a number is not
        finite, a part stands twice or below itself, or there is no row; the sentence names the
        line.

    Examples
    --------
    >>> geometry = parse("# TITLE one panel\nIP 0 EPIX100:V1 0  0 0 -100000  90 180 0  0 0 0")
    >>> geometry.parts[0].key, geometry.parts[0].z0, geometry.top
    (('EPIX100:V1', 0), -100000.0, ('IP', 0))
    """
    comments: list[str] = []
    parts: list[Part] = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        row = line.strip()
        if row.startswith("#"):
            comments.append(row.lstrip("#").strip())
        elif row:
            try:
                parts.append(_parse_row(row, number))
            except ValueError as error:
                raise BadFile(f"{name}, line {number}: {error}") from None
    if not parts:
        raise BadFile(f"{name}: has no row with a part")
    _check_names(parts, name)
    _check_ancestors(parts, name)
    return Geometry(tuple(filter(None, comments)), tuple(parts))


def _parse_row(row: str, line: int) -> Part:
    fields = row.split()
    if len(fields) != _FIELDS:
        raise ValueError(f"a row has {_FIELDS} fields, this one {len(fields)}")
    parent, parent_index, name, index, *numbers = fields
    x0, y0, z0, rot_z, rot_y, rot_x, tilt_z, tilt_y, tilt_x = map(_parse_number, numbers)
    return Part(
        parent=parent,
        parent_index=_parse_index(parent_index),
        name=name,
        index=_parse_index(index),
        x0=x0,
        y0=y0,
        z0=z0,
        rot_z=rot_z,
        rot_y=rot_y,
        rot_x=rot_x,
        tilt_z=tilt_z,
        tilt_y=tilt_y,
        tilt_x=tilt_x,
        line=line,
    )


def _parse_index(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise ValueError(f"{shown(text)} is no index, a whole number from 0 on")
    return int(text)


def _parse_number(text: str) -> float:
    try:
        # Python reads 1_000 and the digits of all scripts; who else reads geometries does not.
        number = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{shown(text)} is no finite number")
    return number


def _check_names(parts: list[Part], name: str) -> None:
    """Check that no part stands twice, and that no group of parts has two places."""
    times = Counter(part.parent_key for part in parts)
    lines: dict[tuple[tuple[str, int], ...], int] = {}
    for part in parts:
        # The panels of several quads are called alike; a group with parts of its own never is.
        keys = (part.key,) if times[part.key] else (part.parent_key, part.key)
        if keys in lines:
            this = f"{part.name} {part.index}"
            raise BadFile(f"{name}, line {part.line}: {this} stands in line {lines[keys]} too")
        lines[keys] = part.line


def _check_ancestors(parts: list[Part], name: str) -> None:
    """Check that no part is its own ancestor."""
    groups = {part.key: part for part in parts}
    rooted: set[tuple[str, int]] = set()
    for part in parts:
        path: dict[tuple[str, int], None] = {}
        key = part.parent_key
        while key in groups and key not in rooted:
            if key in path:
                raise BadFile(
                    f"{name}, line {groups[key].line}: {key[0]} {key[1]} is its own ancestor"
                )
            path[key] = None
            key = groups[key].parent_key
        rooted.update(path)
