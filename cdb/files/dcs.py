"""The "dcs" files of LCLS-I: all constants of a detector in one HDF5 file, valid by time.

A file ``<type>-<id>.h5`` has types of constants, these ranges of time, and these versions::

    /dettype /detid /detname /tscfile /predecessor /successor
    /<ctype>/<begin>-<end>/begin, end, versdef
    /<ctype>/<begin>-<end>/v0001/version, tsprod, data

and at each level ``_history/<time>`` and ``_parameters/<name>``. Times are Unix seconds; the name
of a range is rounded, what counts is its ``begin`` and ``end``. The format is read, not written.

Under Python 3 the old writer left out the number of a version that it appended; here it is taken
from the name of the group. What makes no sense is left out and named in `Contents.refused`.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from cdb.errors import BadFile, BadTime, NotFound, shown
from cdb.files import hdf5

_HISTORY, _PARAMETERS = "_history", "_parameters"
_VERSION = re.compile(r"v(\d{4,9})")
_MOST_VERSIONS = 10**9 - 1
_FIELDS = ("dettype", "detid", "predecessor", "successor")

Parsed = TypeVar("Parsed")


@dataclass(frozen=True)
class Notes:
    """What is said about a part of a file.

    Attributes
    ----------
    history : tuple of (float, str)
        Time [Unix seconds] and text of each record, in order.
    parameters : mapping of str to str or float
        Such as experiment and run.
    """

    history: tuple[tuple[float, str], ...] = ()
    parameters: Mapping[str, str | float] = field(default_factory=dict)


@dataclass(frozen=True)
class Version:
    """One version of a constant.

    Attributes
    ----------
    number : int
        Of the version.
    made : float or None
        When [Unix seconds], where the file says it.
    place : str
        Of its group in the file.
    notes : Notes
    """

    number: int
    made: float | None
    place: str
    notes: Notes


@dataclass(frozen=True)
class Range:
    """A range of time for which constants hold.

    Attributes
    ----------
    name : str
        As the file has it, such as ``1474587520-end``.
    begin, end : float
        First and last moment [Unix seconds]; infinity if the end is open.
    default : int
        Number of the version that holds unless another is asked; 0 for the last.
    versions : tuple of Version
        In the order of their names.
    notes : Notes
    """

    name: str
    begin: float
    end: float
    default: int
    versions: tuple[Version, ...]
    notes: Notes

    def version(self, number: int | None = None) -> Version:
        """Return a version; without a number the one that holds.

        Raises
        ------
        NotFound
            If there is none.
        """
        known = {version.number: version for version in self.versions}
        if number is None:
            number = self.default if self.default in known else next(reversed(known), None)
        if number is None or number not in known:
            have = ", ".join(map(str, known)) or "none"
            asked = "" if number is None else f" {number}"
            raise NotFound(f"no version{asked} in the range {self.name}; there are: {have}")
        return known[number]


@dataclass(frozen=True)
class Contents:
    """What a file holds, without the data.

    Attributes
    ----------
    path : Path
        The file.
    dettype, detid : str
        Type and id of the detector.
    predecessor, successor : str or None
        Names of the detectors before and after this one, where the file says them.
    made : float or None
        When the file was last written [Unix seconds].
    ctypes : mapping of str to tuple of Range
        Ranges by type of constant, in the order of their begins.
    notes : mapping of str to Notes
        Of the file, under the empty name, and of each type.
    refused : tuple of str
        What in the file makes no sense, in a sentence each.
    """

    path: Path
    dettype: str
    detid: str
    predecessor: str | None
    successor: str | None
    made: float | None
    ctypes: Mapping[str, tuple[Range, ...]]
    notes: Mapping[str, Notes]
    refused: tuple[str, ...]

    def ranges(self, ctype: str) -> tuple[Range, ...]:
        """Return the ranges of a type.

        Raises
        ------
        NotFound
            If there is no such type.
        """
        if ctype not in self.ctypes:
            have = ", ".join(self.ctypes) or "none"
            raise NotFound(f"no {ctype} in {self.path}; types are: {have}")
        return self.ctypes[ctype]

    def range_for(self, ctype: str, time: float) -> Range:
        """Return the range that holds at a time.

        Parameters
        ----------
        ctype : str
            Type of the constant.
        time : float
            Unix seconds, not rounded.

        Raises
        ------
        NotFound
            If none does, or there is no such type.
        BadTime
            If the time is no finite number.

        Notes
        -----
        Of the ranges that hold, the one that begins last; of several, the one that ends first.
        """
        if not math.isfinite(time):
            raise BadTime(f"{shown(time)} is no time; give Unix seconds")
        ranges = self.ranges(ctype)
        holding = [found for found in ranges if found.begin <= time <= found.end]
        if not holding:
            known = ", ".join(found.name for found in ranges) or "none"
            raise NotFound(f"no {ctype} in {self.path} for the time {time:.6f}; ranges: {known}")
        return max(holding, key=lambda found: (found.begin, -found.end))

    def range_named(self, ctype: str, name: str) -> Range:
        """Return the range of a name.

        Raises
        ------
        NotFound
            If there is none, or no such type.
        """
        for found in self.ranges(ctype):
            if found.name == name:
                return found
        known = ", ".join(found.name for found in self.ranges(ctype)) or "none"
        raise NotFound(f"no range {name} of {ctype} in {self.path}; ranges: {known}")


def read(path: Path | str) -> Contents:
    """Return what a file holds, without the data.

    Parameters
    ----------
    path : Path or str
        The file.

    Raises
    ------
    BadFile
        If it is no dcs file, or a damaged or hostile one.
    CalibError
        If h5py is not installed.
    OSError
        If the file cannot be opened.
    """
    path = Path(path)
    with hdf5.File(path) as file:
        return _Reader(file).contents()


def read_data(path: Path | str, version: Version) -> Any:
    """Return the data of a version.

    Parameters
    ----------
    path : Path or str
        The file that the version is in.
    version : Version
        As `read` found it.

    Returns
    -------
    data : ndarray or str
        An array as it is; a text, such as a geometry, as str.

    Raises
    ------
    BadFile
        If the version has no data, or they make no sense.
    """
    with hdf5.File(Path(path)) as file:
        group = file.root
        for name in [*version.place.strip("/").split("/"), "data"]:
            children = file.children(group) if file.is_group(group) else {}
            if name not in children:
                raise file.error(version.place, f"has no {name}")
            group = children[name]
        if file.is_group(group):
            raise file.error(version.place, "has a group where its data should be")
        value = file.value(group)
        try:
            return _text(value) if _is_text(value) else value
        except ValueError as error:
            raise file.error(version.place, f"data: {error}") from None


class _Reader:
    """Reads a file, and notes what makes no sense."""

    def __init__(self, file: hdf5.File) -> None:
        self.file = file
        self.refused: list[str] = []

    def contents(self) -> Contents:
        children = self.file.children(self.file.root)
        found = {name: self.value(children, name, _text) for name in _FIELDS}
        if not found["dettype"] or not found["detid"]:
            raise self.file.error("/", "is no dcs file: it does not say dettype and detid")
        notes = {"": self.notes(children)}
        ctypes = {}
        for ctype, group in self.groups(children):
            inside = self.file.children(group)
            notes[ctype] = self.notes(inside)
            ranges = [self.range(name, part) for name, part in self.groups(inside)]
            ctypes[ctype] = tuple(
                sorted(filter(None, ranges), key=lambda found: (found.begin, -found.end))
            )
        return Contents(
            self.file.path, found["dettype"], found["detid"], found["predecessor"],
            found["successor"], self.value(children, "tscfile", _number), ctypes, notes,
            tuple(self.refused),
        )  # fmt: skip

    def range(self, name: str, group: Any) -> Range | None:
        children = self.file.children(group)
        begin, end = self.value(children, "begin", _number), self.value(children, "end", _end)
        if begin is None or end is None:
            self.refuse(self.file.error(group.name, "has no begin or no end that is a time"))
            return None
        default = self.value(children, "versdef", _count) or 0
        versions: dict[int, Version] = {}
        for label, part in self.groups(children):
            version = self.version(label, part)
            if version and version.number in versions:
                self.refuse(
                    self.file.error(part.name, f"is another version {version.number} of its range")
                )
            elif version:
                versions[version.number] = version
        return Range(name, begin, end, default, tuple(versions.values()), self.notes(children))

    def version(self, name: str, group: Any) -> Version | None:
        match = _VERSION.fullmatch(name)
        if match is None:
            self.refuse(self.file.error(group.name, "is no name of a version such as v0001"))
            return None
        children = self.file.children(group)
        number = self.value(children, "version", _count)
        made = self.value(children, "tsprod", _number)
        return Version(
            int(match[1]) if number is None else number, made, group.name, self.notes(children)
        )

    def notes(self, children: Mapping[str, Any]) -> Notes:
        history = []
        for name, text in self.values(children, _HISTORY, _text).items():
            try:
                history.append((_number(float(name)), text))
            except ValueError:
                self.refuse(self.file.error(f"{_HISTORY}/{name}", "is no time"))
        return Notes(tuple(sorted(history)), self.values(children, _PARAMETERS, _text_or_number))

    def values(
        self, children: Mapping[str, Any], name: str, parse: Callable[[Any], Parsed]
    ) -> dict[str, Parsed]:
        """Return what the datasets of a group say, without those that make no sense."""
        group = children.get(name)
        if group is None or not self.file.is_group(group):
            return {}
        inside = self.file.children(group)
        found = {label: self.value(inside, label, parse) for label in inside}
        return {label: value for label, value in found.items() if value is not None}

    def value(
        self, children: Mapping[str, Any], name: str, parse: Callable[[Any], Parsed]
    ) -> Parsed | None:
        """Return what a dataset says, None if there is none or it makes no sense."""
        child = children.get(name)
        if child is None:
            return None
        try:
            if self.file.is_group(child):
                raise ValueError("is a group, not a value")
            return parse(self.file.value(child))
        except BadFile as error:
            self.refuse(error)
        except ValueError as error:
            self.refuse(self.file.error(child.name, str(error)))
        return None

    def groups(self, children: Mapping[str, Any]) -> list[tuple[str, Any]]:
        return [
            (name, child)
            for name, child in children.items()
            if self.file.is_group(child) and name not in (_HISTORY, _PARAMETERS)
        ]

    def refuse(self, error: BadFile) -> None:
        self.refused.append(str(error))


def _only(value: Any, kinds: str, what: str) -> Any:
    """Return the one item of a value of shape (1,) or ()."""
    items = np.ravel(np.asarray(value))
    if len(items) != 1 or items.dtype.kind not in kinds:
        raise ValueError(f"is not one {what}")
    return items[0]


def _text(value: Any) -> str:
    text = _only(value, "SU", "text")
    return text.decode() if isinstance(text, bytes) else str(text)


def _number(value: Any) -> float:
    number = float(_only(value, "iuf", "number"))
    if not math.isfinite(number):
        raise ValueError(f"is no number but {number}")
    return number


def _count(value: Any) -> int:
    number = _number(value)
    if not 0 <= number <= _MOST_VERSIONS or not number.is_integer():
        raise ValueError(f"{shown(number)} is no number of a version")
    return int(number)


def _end(value: Any) -> float:
    return math.inf if _is_text(value) and _text(value) == "end" else _number(value)


def _text_or_number(value: Any) -> str | float:
    return _text(value) if _is_text(value) else _number(value)


def _is_text(value: Any) -> bool:
    return np.asarray(value).dtype.kind in "SU"
