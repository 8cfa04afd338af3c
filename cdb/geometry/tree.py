"""The tree of detector parts: the grammar of geometry texts, read and written; parts moved.

A row of 13 fields places one part, a segment or a group of parts, in the frame of its parent::

    # parent ind  object      ind   x0[um]  y0[um]  z0[um]  rot_z rot_y rot_x  tilt_z tilt_y tilt_x
    CAMERA   0    EPIX10KA:V1 0     -20150   20950       0    180     0     0    0.01      0      0
    IP       0    CAMERA      0          0       0 -100000     90     0     0    0         0      0

Numbers are kept as they are written. Old files have the distance from the interaction point
(rows whose parent begins with ``IP``) as a positive z0, where the frame asks for a negative one;
`Part.z` has its sign turned, for those who compute with it.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import islice

from cdb.errors import BadFile, BadQuestion, NotFound, shown

Key = tuple[str, int]

NUMBERS = ("x0", "y0", "z0", "rot_z", "rot_y", "rot_x", "tilt_z", "tilt_y", "tilt_x")
_FIELDS = 4 + len(NUMBERS)
# What the writers of LCLS leave of an origin, a rotation and a tilt.
LCLS_DECIMALS = (0, 3, 5)
# No part is further from its parent [um]: a float has 0.1 nm left there.
FARTHEST = 1e12
_LINES = re.compile("\r\n|\r|\n")
# So many parts are named where one is looked for and not found.
_MOST_NAMES = 40


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
        Where the row stands in its text, from 1; 0 if it was not read. Does not count when two
        parts are compared.

    Raises
    ------
    BadQuestion
        If a number is not finite, or beyond `FARTHEST`.
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
    line: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in NUMBERS:
            value = getattr(self, name)
            if not abs(value) <= FARTHEST:
                raise BadQuestion(
                    f"{name} of {self.name} {self.index} cannot be {value}; it is a number of um "
                    f"or degrees up to {FARTHEST:g}"
                )

    @property
    def key(self) -> Key:
        """Name and index."""
        return self.name, self.index

    @property
    def parent_key(self) -> Key:
        """Name and index of the parent."""
        return self.parent, self.parent_index

    @property
    def z(self) -> float:
        """Origin along z in the frame of the parent [um]: z0, negative below an ``IP``."""
        return -self.z0 if self.z0 > 0 and self.is_below_ip else self.z0

    @property
    def is_below_ip(self) -> bool:
        """Whether the parent is the interaction point, which sees the detector at a negative z."""
        return self.parent.startswith("IP")


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
    def tops(self) -> list[Key]:
        """Names and indices of the frames that have no row of their own, in order."""
        keys = {part.key for part in self.parts}
        parents = dict.fromkeys(part.parent_key for part in self.parts)
        return [key for key in parents if key not in keys]

    @property
    def top(self) -> Key:
        """Name and index of the frame that holds everything.

        Where several parents have no row, the one that appears last is the top, as in the readers
        of LCLS.
        """
        return self.tops[-1]


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
    for number, line in enumerate(_LINES.split(text.removeprefix("\ufeff")), 1):
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
    x0, y0, z0, rot_z, rot_y, rot_x, tilt_z, tilt_y, tilt_x = map(parse_number, numbers)
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


def parse_number(text: str) -> float:
    """Return a finite number.

    Raises
    ------
    ValueError
        If the text is none, for who reads geometries.
    """
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
    lines: dict[tuple[Key, ...], int] = {}
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
    rooted: set[Key] = set()
    for part in parts:
        path: dict[Key, None] = {}
        key = part.parent_key
        while key in groups and key not in rooted:
            if key in path:
                raise BadFile(
                    f"{name}, line {groups[key].line}: {key[0]} {key[1]} is its own ancestor"
                )
            path[key] = None
            key = groups[key].parent_key
        rooted.update(path)


def format(geometry: Geometry, *, decimals: tuple[int, int, int] | None = None) -> str:
    r"""Write a geometry as text: comments, a blank line, and the rows in columns.

    Parameters
    ----------
    geometry : Geometry
        Comments and parts.
    decimals : (int, int, int), optional
        Digits after the point that are left of origins [um], rotations and tilts [deg]; of
        `LCLS_DECIMALS`, say, which the writers of LCLS leave. By default nothing is lost: each
        number is the shortest that reads back as itself.

    Returns
    -------
    text : str
        What `parse` makes into the same geometry again.

    Raises
    ------
    BadQuestion
        If no text stands for the geometry: it breaks a rule of `parse`, or has a comment that is
        empty, has blanks around it or more than one line.

    Examples
    --------
    >>> geometry = parse("# TITLE one panel\nIP 0 EPIX100:V1 0  0.25 0 -1e5  90 180 0  0 0 0")
    >>> print(format(geometry))
    # TITLE one panel
    <BLANKLINE>
    IP  0  EPIX100:V1  0  0.25  0  -100000  90  180  0  0  0  0
    <BLANKLINE>
    """
    text = _written(geometry, None)
    try:
        same = parse(text) == geometry
    except BadFile as error:
        raise BadQuestion(f"this geometry cannot be written: {error}") from None
    if not same:
        raise BadQuestion(
            "this geometry cannot be written: a comment is empty, has blanks around it or more "
            "than one line, or a name begins with #"
        )
    return text if decimals is None else _written(geometry, decimals)


def _written(geometry: Geometry, decimals: tuple[int, int, int] | None) -> str:
    rows = [_fields(part, decimals) for part in geometry.parts]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [f"# {comment}" for comment in geometry.comments]
    # The blank line stands also where there are no comments, and shields the first row's name
    # from what a reader drops at the beginning of a file.
    lines.append("")
    for fields in rows:
        # Names are flush left, numbers flush right.
        cells = (
            f"{field:{'<' if n in (0, 2) else '>'}{width}}"
            for n, (field, width) in enumerate(zip(fields, widths, strict=True))
        )
        lines.append("  ".join(cells))
    return "\n".join(lines) + "\n"


def _fields(part: Part, decimals: tuple[int, int, int] | None) -> list[str]:
    names = [part.parent, str(part.parent_index), part.name, str(part.index)]
    values = [getattr(part, name) for name in NUMBERS]
    if decimals is None:
        return names + [shortest(value) for value in values]
    return names + [f"{value:.{decimals[n // 3]}f}" for n, value in enumerate(values)]


def shortest(number: float) -> str:
    """Return the shortest text that reads back as the same number.

    Examples
    --------
    >>> shortest(-20150.0), shortest(0.1)
    ('-20150', '0.1')
    """
    return repr(float(number)).removesuffix(".0")


def find(geometry: Geometry, name: str, index: int = 0, *, parent: Key | None = None) -> Part:
    """Return a part by its name and index.

    Parameters
    ----------
    geometry : Geometry
        Where to look.
    name, index : str, int
        Of the part.
    parent : (str, int), optional
        Name and index of its parent, where parts of several parents are called alike.

    Raises
    ------
    NotFound
        If there is no such part.
    BadQuestion
        If there are several and no parent is given.
    """
    found = [part for part in geometry.parts if part.key == (name, index)]
    if parent is not None:
        found = [part for part in found if part.parent_key == tuple(parent)]
    if not found:
        below = f" in {shown(parent[0])} {parent[1]}" if parent is not None else ""
        known = named(part.key for part in geometry.parts)
        raise NotFound(f"no part {shown(name)} {index}{below}; the parts are {known}")
    if len(found) > 1:
        raise BadQuestion(
            f"there are {len(found)} parts {name} {index}, in "
            f"{named(part.parent_key for part in found)}; say in which one it is"
        )
    return found[0]


def named(keys: Iterable[Key]) -> str:
    """Return names and indices for a sentence, each once; the first ones of very many.

    Examples
    --------
    >>> named([("QUAD", 0), ("QUAD", 1), ("QUAD", 0)])
    'QUAD 0, QUAD 1'
    """
    different = dict.fromkeys(f"{name:.40} {index}" for name, index in keys)
    more = len(different) - _MOST_NAMES
    told = ", ".join(islice(different, _MOST_NAMES))
    return f"{told} and {more} more" if more > 0 else told


def place(
    geometry: Geometry,
    name: str,
    index: int = 0,
    *,
    x0: float | None = None,
    y0: float | None = None,
    z0: float | None = None,
    rot_z: float | None = None,
    rot_y: float | None = None,
    rot_x: float | None = None,
    tilt_z: float | None = None,
    tilt_y: float | None = None,
    tilt_x: float | None = None,
    parent: Key | None = None,
) -> Geometry:
    """Return a geometry with numbers of one part replaced.

    Parameters
    ----------
    geometry : Geometry
        Stays as it is.
    name, index, parent : str, int, (str, int)
        Which part, as `find` takes it.
    x0, y0, z0 : float, optional
        Origin [um].
    rot_z, rot_y, rot_x, tilt_z, tilt_y, tilt_x : float, optional
        Rotation and tilt [deg].

    Raises
    ------
    NotFound, BadQuestion
        As `find` does.
    BadQuestion
        If a number is not finite.
    """
    given = (x0, y0, z0, rot_z, rot_y, rot_x, tilt_z, tilt_y, tilt_x)
    numbers = {key: value for key, value in zip(NUMBERS, given, strict=True) if value is not None}
    return _changed(geometry, find(geometry, name, index, parent=parent), numbers)


def move(
    geometry: Geometry,
    name: str,
    index: int = 0,
    *,
    x: float = 0.0,
    y: float = 0.0,
    z: float = 0.0,
    parent: Key | None = None,
) -> Geometry:
    """Return a geometry with one part moved in the frame of its parent by x, y, z [um].

    Raises
    ------
    NotFound, BadQuestion
        As `place` does.
    BadQuestion
        If a part of an ``IP`` would come to a positive z0, which readers take for a negative one.

    Examples
    --------
    >>> geometry = parse("IP 0 EPIX100:V1 0  0 0 -100000  90 180 0  0 0 0")
    >>> move(geometry, "EPIX100:V1", x=0.5, z=-200).parts[0]
    Part(parent='IP', ..., x0=0.5, y0=0.0, z0=-100200.0, ...)
    """
    part = find(geometry, name, index, parent=parent)
    moved = part.z + z
    if moved > 0 and part.is_below_ip:
        raise BadQuestion(
            f"{name} {index} would come to z0 = {moved} um; in the frame of {part.parent} the "
            "detector has a negative z, and readers turn the sign of a positive one"
        )
    # A distance that an old file has as a positive number stays one where it is not changed.
    new = {"x0": part.x0 + x, "y0": part.y0 + y, "z0": moved if z else part.z0}
    return _changed(geometry, part, new)


def rotate(
    geometry: Geometry,
    name: str,
    index: int = 0,
    *,
    z: float = 0.0,
    y: float = 0.0,
    x: float = 0.0,
    parent: Key | None = None,
) -> Geometry:
    """Return a geometry with angles z, y, x [deg] added to the rotation of one part.

    Raises
    ------
    NotFound, BadQuestion
        As `place` does.
    """
    part = find(geometry, name, index, parent=parent)
    return _changed(
        geometry, part, {"rot_z": part.rot_z + z, "rot_y": part.rot_y + y, "rot_x": part.rot_x + x}
    )


def tilt(
    geometry: Geometry,
    name: str,
    index: int = 0,
    *,
    z: float = 0.0,
    y: float = 0.0,
    x: float = 0.0,
    parent: Key | None = None,
) -> Geometry:
    """Return a geometry with angles z, y, x [deg] added to the tilt of one part.

    Raises
    ------
    NotFound, BadQuestion
        As `place` does.
    """
    part = find(geometry, name, index, parent=parent)
    return _changed(
        geometry,
        part,
        {"tilt_z": part.tilt_z + z, "tilt_y": part.tilt_y + y, "tilt_x": part.tilt_x + x},
    )


def _changed(geometry: Geometry, part: Part, numbers: dict[str, float]) -> Geometry:
    """Return a geometry with numbers of one part, which is one of its own, replaced."""
    new = replace(part, **{key: float(value) for key, value in numbers.items()})  # type: ignore[arg-type]
    parts = tuple(new if each is part else each for each in geometry.parts)
    return replace(geometry, parts=parts)
