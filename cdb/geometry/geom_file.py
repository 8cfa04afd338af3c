"""CrystFEL's geometry files, .geom: the grammar, read and written.

A file lists panels, rectangles of equal pixels, each with the data it holds and its place::

    clen = 0.1 m
    res = 13333.3
    p0a0/min_fs = 0
    p0a0/max_fs = 255
    p0a0/min_ss = 0
    p0a0/max_ss = 255
    p0a0/fs = -1.0x +0.002y
    p0a0/ss = -0.002x -1.0y
    p0a0/corner_x = 514.5
    p0a0/corner_y = 570.0

``fs`` and ``ss`` are the steps to the next pixel of a row and to the next row, and ``corner`` is
the outer corner of the first pixel, in pixels; the frame is the laboratory's: y up, z along the
beam. What stands without a panel's name holds for the panels that are named below it first.

References
----------
CrystFEL, ``doc/man/crystfel_geometry.5.md`` and ``libcrystfel/src/datatemplate.c``.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cdb.errors import BadFile, BadQuestion, shown
from cdb.geometry.tree import parse_number

Vector = tuple[float, float, float]

# What CrystFEL reads where a file does not say where data are.
DATA = "/data/data"
DIMS: tuple[str | int, ...] = ("ss", "fs")

_OF_THE_FILE = re.compile(
    r"clen|photon_energy\w*|wavelength|electron_voltage|bandwidth|peak_list|peak_list_type|"
    r"peak_info_location|detector_shift_[xy]"
)
_GROUP = re.compile(r"(?:rigid_)?group_\w.*", re.A)
_DIM = re.compile(r"dim(\d)", re.A)
_TERM = re.compile(r"([+-]?)((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)?([xyz])", re.A)
_NAME = re.compile(r"[^\s/=;]+")
_RANGES = ("min_fs", "max_fs", "min_ss", "max_ss")
_LIMITS = ("min_x", "max_x", "min_y", "max_y")


@dataclass(frozen=True)
class Panel:
    """A rectangle of equal pixels.

    Attributes
    ----------
    name : str
        Does not begin with ``bad``.
    min_fs, max_fs, min_ss, max_ss : int
        The columns and rows that it has in the data; the last ones included.
    fs, ss : (float, float, float)
        The step to the next pixel of a row, and to the next row [pixels].
    corner_x, corner_y : float
        The outer corner of its first pixel [pixels].
    res : float
        Pixels per metre.
    coffset : float
        Of the corner along the beam, from `GeomFile.distance` [m].
    data : str
        Where the data are in their file.
    dims : tuple of str or int
        What the axes of the data mean: ``ss``, ``fs``, ``%`` for one that counts events, or the
        index at which this panel stands.
    no_index : bool
        Whether the whole panel is bad.
    more : mapping of str to str
        What else the file says of it, such as ``adu_per_eV`` or ``mask``.
    """

    name: str
    min_fs: int
    max_fs: int
    min_ss: int
    max_ss: int
    fs: Vector
    ss: Vector
    corner_x: float
    corner_y: float
    res: float
    coffset: float = 0.0
    data: str = DATA
    dims: tuple[str | int, ...] = DIMS
    no_index: bool = False
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.max_ss - self.min_ss + 1, self.max_fs - self.min_fs + 1


@dataclass(frozen=True)
class BadRegion:
    """A rectangle whose pixels are bad: in the data, or in the laboratory.

    Attributes
    ----------
    name : str
        Begins with ``bad``.
    panel : str or None
        The panel that rows and columns are meant of; None: of every one that has them.
    fs, ss : (int, int) or None
        First and last column, first and last row, as `Panel.min_fs` counts them.
    x, y : (float, float) or None
        Limits in the laboratory [pixels]; the region has these, or the others.
    """

    name: str
    panel: str | None = None
    fs: tuple[int, int] | None = None
    ss: tuple[int, int] | None = None
    x: tuple[float, float] | None = None
    y: tuple[float, float] | None = None


@dataclass(frozen=True)
class GeomFile:
    """A .geom file, read.

    Attributes
    ----------
    panels : tuple of Panel
        In their order.
    bad : tuple of BadRegion
        In their order.
    settings : mapping of str to str
        What the file says of itself: ``clen``, ``photon_energy``, ...
    groups : mapping of str to tuple of str
        Lines such as ``group_q0`` or ``rigid_group_collection_quads``, and who belongs to them.
    comments : tuple of str
        Lines of comment, without ``;`` and blanks around; those beside a value are dropped.
    """

    panels: tuple[Panel, ...]
    bad: tuple[BadRegion, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    comments: tuple[str, ...] = ()

    @property
    def distance(self) -> float | None:
        """The number of ``clen`` [m]; None where it stands in the data or nowhere."""
        return _distance(self.settings.get("clen", ""))


@dataclass
class _Said:
    """What a file says of a panel or a bad region: key to text and line."""

    name: str
    line: int
    texts: dict[str, tuple[str, int]]


def parse(text: str, name: str = "geom text") -> GeomFile:
    r"""Read a .geom text.

    Parameters
    ----------
    text : str
        Comments, blank lines and lines ``key = value`` or ``panel/key = value``.
    name : str
        What errors call the text.

    Returns
    -------
    file : GeomFile
        What it says; keys that are unknown here are kept as text.

    Raises
    ------
    BadFile
        If a line has no value, a number is none, a panel misses what places it, or a region or a
        group has a panel that there is not; the sentence names the line.

    Examples
    --------
    >>> file = parse('''
    ... res = 10000  ; pixels of 100 um
    ... a/min_fs = 0
    ... a/max_fs = 383
    ... a/min_ss = 0
    ... a/max_ss = 351
    ... a/fs = x
    ... a/ss = -0.5z+y
    ... a/corner_x = -192
    ... a/corner_y = 0
    ... ''')
    >>> file.panels[0].shape, file.panels[0].ss
    ((352, 384), (0.0, 1.0, -0.5))
    """
    reader = _Reader(name)
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text.removeprefix("\ufeff")), 1):
        reader.read_line(line.strip(), number)
    return reader.result()


class _Reader:
    """Reads line by line, and keeps what holds for the panels that are still to come."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.defaults: dict[str, tuple[str, int]] = {}
        self.panels: dict[str, _Said] = {}
        self.bad: dict[str, _Said] = {}
        self.settings: dict[str, str] = {}
        self.groups: dict[str, tuple[tuple[str, ...], int]] = {}
        self.comments: list[str] = []

    def error(self, line: int, sentence: str) -> BadFile:
        return BadFile(f"{self.name}, line {line}: {sentence}")

    def read_line(self, line: str, number: int) -> None:
        said, semicolon, comment = line.partition(";")
        if not said.strip():
            if semicolon and comment.strip():
                self.comments.append(comment.strip())
            return
        key, equals, value = (word.strip() for word in said.partition("="))
        if not (equals and key and value):
            raise self.error(number, f"{shown(said.strip())} is no `key = value`")
        owner, slash, own_key = key.partition("/")
        if not slash:
            self._read_setting(key, value, number)
            return
        if not (_NAME.fullmatch(owner) and _NAME.fullmatch(own_key)):
            raise self.error(number, f"{shown(key)} is no `panel/key`")
        if own_key == "rigid_group":
            self._add_to_group(f"rigid_group_{value}", owner, number)
        elif owner.startswith("bad"):
            self.bad.setdefault(owner, _Said(owner, number, {})).texts[own_key] = value, number
        else:
            known = self.panels.setdefault(owner, _Said(owner, number, dict(self.defaults)))
            known.texts[own_key] = value, number

    def _read_setting(self, key: str, value: str, number: int) -> None:
        if _GROUP.fullmatch(key):
            members = tuple(member.strip() for member in value.split(","))
            self.groups[key] = members, number
        elif _OF_THE_FILE.fullmatch(key):
            self.settings[key] = value
        elif not _NAME.fullmatch(key):
            raise self.error(number, f"{shown(key)} is no key")
        else:
            self.defaults[key] = value, number

    def _add_to_group(self, group: str, panel: str, number: int) -> None:
        members, _ = self.groups.get(group, ((), number))
        if panel not in members:
            self.groups[group] = (*members, panel), number

    def result(self) -> GeomFile:
        if not self.panels:
            raise BadFile(f"{self.name}: has no panel")
        panels = tuple(map(self._panel, self.panels.values()))
        bad = tuple(map(self._bad_region, self.bad.values()))
        self._check_groups()
        groups = {key: members for key, (members, _) in self.groups.items()}
        return GeomFile(panels, bad, self.settings, groups, tuple(self.comments))

    def _panel(self, said: _Said) -> Panel:
        texts = dict(said.texts)
        dims = self._dims(said, texts)
        apart = self._clen_apart(texts)
        found: dict[str, Any] = {}
        for key, (read, default) in _PANEL_KEYS.items():
            if key in texts:
                found[key] = self._value(read, key, *texts.pop(key))
            elif default is None:
                raise self.error(said.line, f"panel {shown(said.name)} has no {key}")
            else:
                found[key] = default
        found["coffset"] += apart
        more = {key: value for key, (value, _) in texts.items()}
        panel = Panel(name=said.name, dims=dims, more=more, **found)
        if panel.max_fs < panel.min_fs or panel.max_ss < panel.min_ss:
            raise self.error(said.line, f"panel {shown(said.name)} ends before it begins")
        if not panel.res > 0:
            raise self.error(said.line, f"panel {shown(said.name)} has res = {panel.res}")
        return panel

    def _value(self, read: Callable[[str], Any], key: str, text: str, line: int) -> Any:
        try:
            return read(text)
        except ValueError as error:
            raise self.error(line, f"{key} = {error}") from None

    def _dims(self, said: _Said, texts: dict[str, tuple[str, int]]) -> tuple[str | int, ...]:
        given = {key: texts.pop(key) for key in sorted(texts) if _DIM.fullmatch(key)}
        if not given:
            return DIMS
        last = int(max(given)[3:])
        # What a file does not say of the first two axes is as in CrystFEL.
        known = {"dim0": ("ss", said.line), "dim1": ("fs", said.line)} | given
        dims: list[str | int] = []
        for n in range(last + 1):
            if f"dim{n}" not in known:
                raise self.error(said.line, f"panel {shown(said.name)} has no dim{n}")
            dims.append(self._value(_parse_dim, f"dim{n}", *known[f"dim{n}"]))
        if [dims.count(axis) for axis in ("ss", "fs")] != [1, 1] or dims.count("%") > 1:
            raise self.error(
                said.line,
                f"panel {shown(said.name)} has the dims {', '.join(map(str, dims))}; one has to "
                "be ss, one fs, and one at most %",
            )
        return tuple(dims)

    def _clen_apart(self, texts: dict[str, tuple[str, int]]) -> float:
        """Take the distance that old files have in each panel; return how far it is off [m]."""
        if "clen" not in texts:
            return 0.0
        clen, line = texts.pop("clen")
        of_the_file = self.settings.setdefault("clen", clen)
        if clen == of_the_file:
            return 0.0
        own, first = _distance(clen), _distance(of_the_file)
        if own is None or first is None:
            raise self.error(line, f"clen = {clen} is not the one of the file, {of_the_file}")
        return own - first

    def _bad_region(self, said: _Said) -> BadRegion:
        texts = dict(said.texts)
        panel, line = texts.pop("panel", (None, said.line))
        if panel is not None and panel not in self.panels:
            raise self.error(line, f"{said.name} is in a panel {shown(panel)}, which there is not")
        for keys, read in ((_RANGES, _parse_index), (_LIMITS, parse_number)):
            if set(texts) == set(keys):
                low1, high1, low2, high2 = (self._value(read, key, *texts[key]) for key in keys)
                if high1 < low1 or high2 < low2:
                    raise self.error(said.line, f"{said.name} ends before it begins")
                first, second = (low1, high1), (low2, high2)
                if keys == _RANGES:
                    return BadRegion(said.name, panel, fs=first, ss=second)
                return BadRegion(said.name, panel, x=first, y=second)
        raise self.error(
            said.line,
            f"{said.name} has {', '.join(texts) or 'no limits'}; it needs either "
            f"{', '.join(_RANGES)} or {', '.join(_LIMITS)}",
        )

    def _check_groups(self) -> None:
        names = {key.split("group_", 1)[1] for key in self.groups} | set(self.panels)
        for key, (members, line) in self.groups.items():
            for member in members:
                if member not in names:
                    raise self.error(line, f"{key} has {shown(member)}, which is no panel or group")


def _distance(clen: str) -> float | None:
    value, _, unit = clen.partition(" ")
    in_a_metre = {"": 1.0, "m": 1.0, "mm": 1e3}.get(unit.strip())
    try:
        number = parse_number(value)
    except ValueError:
        return None
    return number / in_a_metre if in_a_metre else None


def _parse_index(text: str) -> int:
    number = parse_number(text)
    if not (number.is_integer() and 0 <= number < 2**31):
        raise ValueError(f"{shown(text)} is no index, a whole number from 0 on")
    return int(number)


def _parse_vector(text: str) -> Vector:
    packed = re.sub(r"[ \t]", "", text)
    terms = list(_TERM.finditer(packed))
    if not terms or "".join(term[0] for term in terms) != packed:
        raise ValueError(f"{shown(text)} is no direction such as -0.002x +1.0y")
    sums = dict.fromkeys("xyz", 0.0)
    for n, (sign, number, axis) in enumerate(term.groups() for term in terms):
        if n and not sign:
            raise ValueError(f"{shown(text)} is no direction such as -0.002x +1.0y")
        sums[axis] += parse_number(f"{sign}{number or '1'}")
    return sums["x"], sums["y"], sums["z"]


def _parse_dim(text: str) -> str | int:
    if text in ("ss", "fs", "%"):
        return text
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise ValueError(f"{shown(text)} is none of ss, fs, % and no index")
    return int(text)


def _parse_flag(text: str) -> bool:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    return parse_number(text) != 0


_PANEL_KEYS: dict[str, tuple[Callable[[str], Any], Any]] = {
    **dict.fromkeys(_RANGES, (_parse_index, None)),
    "fs": (_parse_vector, None),
    "ss": (_parse_vector, None),
    "corner_x": (parse_number, None),
    "corner_y": (parse_number, None),
    "res": (parse_number, None),
    "coffset": (parse_number, 0.0),
    "data": (str, DATA),
    "no_index": (_parse_flag, False),
}


def format(file: GeomFile) -> str:
    r"""Write a .geom text.

    Each number is the shortest that reads back as itself, without an exponent, which CrystFEL
    does not read.

    Raises
    ------
    BadQuestion
        If no text stands for it: a name has a blank, a number is not finite, ...

    Examples
    --------
    >>> panel = Panel("p0", 0, 1, 0, 1, (1.0, 0.0, 1e-5), (0.0, 1.0, 0.0), -1.0, -1.0, 1e4)
    >>> print("\n".join(format(GeomFile((panel,), settings={"clen": "0.1 m"})).split("\n")[:4]))
    clen = 0.1 m
    <BLANKLINE>
    res = 10000
    coffset = 0
    >>> "p0/fs = +1x +0y +0.00001z" in format(GeomFile((panel,)))
    True
    """
    text = "\n".join(_lines(file))
    try:
        same = parse(text) == file
    except BadFile as error:
        raise BadQuestion(f"this geometry cannot be written as .geom: {error}") from None
    if not same:
        raise BadQuestion(
            "this geometry cannot be written as .geom: a comment is empty or has more than one "
            "line, a text has blanks around it or a ;, or a panel is called bad"
        )
    return text


def _lines(file: GeomFile) -> Iterator[str]:
    yield from (f"; {comment}" for comment in file.comments)
    yield from (f"{key} = {value}" for key, value in file.settings.items())
    yield ""
    of_panels = [_texts(panel) for panel in file.panels]
    common = dict(set.intersection(*(set(texts.items()) for texts in of_panels)))
    # What places a panel stands with it, also where there is but one.
    common = {
        key: common[key]
        for key in of_panels[0]
        if key in common and not (key in _OWN or _OF_THE_FILE.fullmatch(key))
    }
    yield from (f"{key} = {value}" for key, value in common.items())
    yield ""
    for key, members in file.groups.items():
        yield f"{key} = {','.join(members)}"
    for panel, texts in zip(file.panels, of_panels, strict=True):
        yield ""
        for key, value in texts.items():
            if key not in common:
                yield f"{panel.name}/{key} = {value}"
    for region in file.bad:
        yield ""
        yield from _region_lines(region)
    yield ""


_OWN = frozenset((*_RANGES, "fs", "ss", "corner_x", "corner_y"))


def _texts(panel: Panel) -> dict[str, str]:
    """Return what is written of a panel, key to text; what is as CrystFEL has it is left out."""
    texts = {"res": _number(panel.res)}
    if panel.data != DATA:
        texts["data"] = panel.data
    if panel.dims != DIMS:
        texts |= {f"dim{n}": str(dim) for n, dim in enumerate(panel.dims)}
    texts |= panel.more
    texts |= {key: str(getattr(panel, key)) for key in _RANGES}
    texts |= {key: _vector(getattr(panel, key)) for key in ("fs", "ss")}
    texts |= {key: _number(getattr(panel, key)) for key in ("corner_x", "corner_y", "coffset")}
    if panel.no_index:
        texts["no_index"] = "1"
    return texts


def _region_lines(region: BadRegion) -> Iterator[str]:
    if region.panel is not None:
        yield f"{region.name}/panel = {region.panel}"
    for axis in ("fs", "ss", "x", "y"):
        limits = getattr(region, axis)
        if limits is not None:
            for word, limit in zip(("min", "max"), limits, strict=True):
                yield f"{region.name}/{word}_{axis} = {_number(limit)}"


def _number(value: float) -> str:
    return np.format_float_positional(value, trim="-")


def _vector(vector: Vector) -> str:
    return " ".join(
        f"{np.format_float_positional(value, trim='-', sign=True)}{axis}"
        for value, axis in zip(vector, "xyz", strict=True)
    )
