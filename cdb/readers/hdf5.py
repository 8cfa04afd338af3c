"""Runs in HDF5: translated from LCLS-I or LCLS-II, of the laboratory, or plain datasets.

========================= ===========================================================
of LCLS-I                 ``Configure:0000/Run:0000/CalibCycle:0000/<type>/<source>/``
                          with ``time``, ``_mask`` and the frames; a cycle is a step
of the laboratory         ``entry/instrument/detector/data``, ``sequence_number``
anything else             every dataset of numbers with three axes or more; its stamps lie
                          beside it or at the top: ``timestamp``, ``time``, ``trainId``
========================= ===========================================================

Several files of one run are one run: their datasets of the same name follow each other.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cdb.errors import BadFile
from cdb.readers import event_codes
from cdb.readers.frames import (
    EVENTS,
    INDEX,
    SEQUENCE,
    TIME,
    TRAIN,
    Block,
    Key,
    Run,
    Selection,
    Source,
    Step,
    detector_type_of,
    time_of,
)  # fmt: skip
from cdb.readers.hdf5_files import Dataset, Files, Piece, blocks, read_range, readable

_EVENT = re.compile(r"Configure:(\d+)/Run:(\d+)/CalibCycle:(\d+)/([^/]+)/([^/]+)/([^/]+)")
_CONFIGURED = re.compile(r"Configure:\d+/([^/]+)/([^/]+)/config")
_CONTROLLED = re.compile(
    r"Configure:\d+/Run:\d+/CalibCycle:(\d+)/ControlData::[^/]+/[^/]+/pvControls"
)
_RUN_IN_NAME = re.compile(r"(?:^|[-_/])(?:(?P<exp>[a-z]{3}[a-z0-9]{5,6})[-_])?r(?P<run>\d{4,})")
# Names of stamps, and what they are.
_STAMPS = {
    "timestamp": TIME, "timestamps": TIME, "time": TIME,
    "trainId": TRAIN, "sequence_number": SEQUENCE,
}  # fmt: skip
# Stamps of LCLS-II: seconds since 1990 above 32 bits of nanoseconds. As nanoseconds since 1970
# such numbers lie behind 2043.
_LCLS2, _1990 = 2**61, 631_152_000


class Hdf5Run(Run):
    """A run in one HDF5 file or several.

    Parameters
    ----------
    files : sequence of Path
        In the order of their frames.
    advance : callable, optional
        Called with the number of bytes that were looked through.
    """

    kind = "hdf5"

    def __init__(
        self, files: Sequence[Path], advance: Callable[[int], object] | None = None
    ) -> None:
        self.where = str(files[0] if len(files) == 1 else files[0].parent)
        self.notes: list[str] = []
        self._files = Files()
        self._paths = list(files)
        self._datasets: list[Dataset] = []
        for path in files:
            self._datasets += self._files.look_through(path, self.notes)
            if advance:
                advance(path.stat().st_size)
        by_name = _RUN_IN_NAME.search(files[0].name.lower())
        if by_name:
            self.experiment, self.number = by_name["exp"], int(by_name["run"])
        self._pieces: dict[str, list[Piece]] = {}
        translated = any(_EVENT.fullmatch(one.path) for one in self._datasets)
        (self._find_translated if translated else self._find_plain)()

    def close(self) -> None:
        """Close the files."""
        self._files.close()

    def recorded(self) -> list[Key]:
        """Return all datasets."""
        shapes: dict[tuple[str, str, str, str], list[tuple[int, ...]]] = defaultdict(list)
        for one in self._datasets:
            event, configured = _EVENT.fullmatch(one.path), _CONFIGURED.fullmatch(one.path)
            kind = "configuration" if configured else "data"
            if event:
                source, name = event[5], f"{event[4]}/{event[6]}"
            elif configured:
                source, name = configured[2], f"{configured[1]}/config"
            else:
                source, name = one.folder, one.name
            shapes[kind, source, name, one.kind].append(one.shape)
        return [Key(*names, shape=_joined(there)) for names, there in sorted(shapes.items())]

    def configuration(self, source: Source) -> list[Mapping[str, Any]]:
        """Return the configuration, of LCLS-I: that of each panel where it has them one by one."""
        for one in self._datasets:
            configured = _CONFIGURED.fullmatch(one.path)
            if configured and configured[2] == source.name and one.dtype.names:
                values = self._files.values(one.file, one.path)
                if values is not None and values.size:
                    return _panels(_plain(values.reshape(-1)[0]))
        return []

    def event_codes(self, limit: int = EVENTS) -> Mapping[int, int]:
        """Return with how many events each event code came."""
        return event_codes.count(self._files, self._datasets, limit)

    def _stream(self, source: Source, selection: Selection, n_frames: int) -> Iterator[Block]:
        yield from blocks(self._pieces[source.name], selection, n_frames)

    # Of LCLS-I ----------------------------------------------------------------------------------

    def _find_translated(self) -> None:
        groups: dict[tuple[Path, str], dict[str, Dataset]] = defaultdict(dict)
        for one in self._datasets:
            if _EVENT.fullmatch(one.path):
                groups[one.file, one.folder][one.name] = one
        sources: dict[str, Source] = {}
        cycles: dict[tuple[str, str, str], int] = {}
        events: dict[int, int] = defaultdict(int)
        values: dict[int, dict[str, Any]] = {}
        begin, end = [], []
        for (file, folder), there in sorted(groups.items()):
            parts = _EVENT.fullmatch(f"{folder}/-")
            times = self._times(there.get("time"))
            if parts is None or times is None:
                continue
            step = cycles.setdefault((parts[1], parts[2], parts[3]), len(cycles))
            events[step] = max(events[step], len(times))
            if len(times):
                begin.append(int(times.min()))
                end.append(int(times.max()))
            frames = _frames_of(there, len(times))
            if frames is None:
                continue
            pieces = list(self._valid(step, frames, times, there.get("_mask")))
            n = sum(piece.stop - piece.start for piece in pieces)
            name = parts[5]
            before = sources.get(name)
            if before and (before.shape, before.dtype) != (frames.shape[1:], frames.dtype):
                self.notes.append(f"{file}: {folder} has frames of another shape; passed over")
                continue
            self._pieces.setdefault(name, []).extend(pieces)
            sources[name] = Source(
                name, detector_type_of(name), f"{parts[4]}/{frames.name}", frames.shape[1:],
                frames.dtype, n + (before.n_frames if before else 0), TIME,
            )  # fmt: skip
        for one in self._datasets:
            controlled = _CONTROLLED.fullmatch(one.path)
            if controlled:
                step = next((n for key, n in cycles.items() if key[2] == controlled[1]), -1)
                values[step] = self._controls(one)
        self.sources = sources
        self.steps = [Step(n, events[n], values.get(n, {})) for n in sorted(cycles.values())]
        self.begin = time_of(min(begin)) if begin else None
        self.end = time_of(max(end)) if end else None

    def _times(self, times: Dataset | None) -> npt.NDArray[np.uint64] | None:
        """Return stamps of a dataset of seconds and nanoseconds."""
        if times is None or not {"seconds", "nanoseconds"} <= {*(times.dtype.names or ())}:
            return None
        with readable(times.file):
            found = self._files.open_dataset(times.file, times.path)[()]
            seconds = found["seconds"].astype(np.uint64)
            stamps: npt.NDArray[np.uint64] = seconds * np.uint64(10**9) + found["nanoseconds"]
            return stamps.reshape(-1)

    def _valid(
        self, step: int, frames: Dataset, times: npt.NDArray[np.uint64], mask: Dataset | None
    ) -> Iterator[Piece]:
        """Yield the frames whose mask is set: the others were damaged and are all zero."""
        valid: npt.NDArray[np.bool_] = np.ones(len(times), dtype=bool)
        if mask is not None and mask.shape[:1] == (len(times),):
            flags = self._files.values(mask.file, mask.path)
            if flags is not None and flags.dtype.kind in "iub":
                valid = np.all(flags, axis=tuple(range(1, flags.ndim)))
        if not valid.all():
            self.notes.append(f"{frames.folder}: {int((~valid).sum())} damaged frames left out")
        for start, stop in ranges(np.flatnonzero(valid)):
            yield Piece(step, start, stop, times[start:stop], self._reader(frames, {}))

    def _controls(self, one: Dataset) -> dict[str, Any]:
        """Return what was set for a step, by name."""
        rows = self._files.values(one.file, one.path)
        if rows is None or not {"name", "value"} <= {*(rows.dtype.names or ())}:
            return {}
        return {_text(row["name"]): _plain(row["value"]) for row in rows.reshape(-1)}

    # Anything else ------------------------------------------------------------------------------

    def _find_plain(self) -> None:
        there = {(one.file, one.path): one for one in self._datasets}
        sources: dict[str, Source] = {}
        n_events = 0
        for one in self._datasets:
            if not one.holds_frames:
                continue
            before = sources.get(one.path)
            if before and (before.shape, before.dtype) != (one.shape[1:], one.dtype):
                raise BadFile(
                    f"{one.file}: {one.path} has frames of shape {one.shape[1:]} and {one.dtype}, "
                    f"the file before it {before.shape} and {before.dtype}: no files of one run"
                )
            first = before.n_frames if before else 0
            stamps, by = self._stamps(one, there, first)
            errors = there.get((one.file, f"{one.folder}/collection/error_code".lstrip("/")))
            more = {"error": errors} if errors and errors.shape[:1] == one.shape[:1] else {}
            piece = Piece(0, 0, one.shape[0], stamps, self._reader(one, more))
            self._pieces.setdefault(one.path, []).append(piece)
            n_frames = first + one.shape[0]
            n_events = max(n_events, n_frames)
            sources[one.path] = Source(
                one.path, detector_type_of(f"{one.path} {self.where}"), one.path, one.shape[1:],
                one.dtype, n_frames, by,
            )  # fmt: skip
            if by == TIME and len(stamps):
                times = [time_of(stamps.min()), time_of(stamps.max())]
                self.begin = min(filter(None, [self.begin, times[0]]))
                self.end = max(filter(None, [self.end, times[1]]))
        self.sources = sources
        self.steps = [Step(0, n_events)]

    def _stamps(
        self, frames: Dataset, there: Mapping[tuple[Path, str], Dataset], first: int
    ) -> tuple[npt.NDArray[np.uint64], str]:
        """Return the stamps of frames, and what they are."""
        n = frames.shape[0]
        # Asked before anything of this length is made.
        self._files.open_dataset(frames.file, frames.path)
        for folder in dict.fromkeys([frames.folder, frames.folder.rpartition("/")[0], ""]):
            for name, by in _STAMPS.items():
                one = there.get((frames.file, f"{folder}/{name}".lstrip("/")))
                if one and one.shape in [(n,), (n, 1)] and one.dtype.kind in "iuf":
                    with readable(one.file):
                        found = self._files.open_dataset(one.file, one.path)[()].reshape(-1)
                    return _nanoseconds(found) if by == TIME else found.astype(np.uint64), by
        return np.arange(first, first + n, dtype=np.uint64), INDEX

    def _reader(self, frames: Dataset, more: Mapping[str, Dataset]) -> Callable[..., Any]:
        def read(start: int, stop: int) -> Any:
            with readable(frames.file):
                data = read_range(self._files.open_dataset(frames.file, frames.path), start, stop)
                beside = {
                    name: read_range(self._files.open_dataset(one.file, one.path), start, stop)
                    for name, one in more.items()
                }
                return data, beside

        return read


def ranges(places: npt.NDArray[np.intp]) -> Iterator[tuple[int, int]]:
    """Yield the ranges that ascending places are made of, ends excluded.

    Examples
    --------
    >>> list(ranges(np.array([0, 1, 2, 5, 6, 9])))
    [(0, 3), (5, 7), (9, 10)]
    """
    if not len(places):
        return
    cuts = np.flatnonzero(np.diff(places) != 1) + 1
    for part in np.split(places, cuts):
        yield int(part[0]), int(part[-1]) + 1


def _nanoseconds(found: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """Return nanoseconds since 1970 of seconds, nanoseconds or stamps of LCLS-II."""
    if found.dtype.kind == "f":
        whole = np.nan_to_num(found, nan=0.0, posinf=0.0, neginf=0.0)
        taken: npt.NDArray[np.uint64] = (np.clip(whole, 0, 2**33) * 1e9).astype(np.uint64)
        return taken
    stamps = found.astype(np.uint64)
    seconds, rest = stamps >> np.uint64(32), stamps & np.uint64(0xFFFFFFFF)
    of_lcls2 = (seconds + np.uint64(_1990)) * np.uint64(10**9) + rest
    known: npt.NDArray[np.uint64] = np.where(stamps > np.uint64(_LCLS2), of_lcls2, stamps)
    return known


def _frames_of(there: Mapping[str, Dataset], n: int) -> Dataset | None:
    """Return the frames among the datasets of a source: the largest that has one for each time."""
    found = [one for one in there.values() if one.holds_frames and one.shape[0] == n]
    return max(found, key=lambda one: (np.prod(one.shape[1:]), one.name == "data"), default=None)


def _panels(configuration: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the configuration of each panel, with what all of them share."""
    shared = {name: one for name, one in configuration.items() if not _of_panels(one)}
    parts: list[dict[str, Any]] = next(
        (one for one in configuration.values() if _of_panels(one)), [{}]
    )
    return [{**shared, **part} for part in parts]


def _of_panels(value: Any) -> bool:
    known = {"carrierId0", "serialNumber"}
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, dict) and known & {*one} for one in value)
    )


def _plain(value: Any) -> Any:
    """Return a value of HDF5 as Python's own: compounds as mappings, large arrays as they are."""
    names = getattr(getattr(value, "dtype", None), "names", None)
    if names and getattr(value, "shape", ()) == ():
        words = {name: (value.dtype[name].metadata or {}).get("enum", {}) for name in names}
        return {name.lstrip("_"): _worded(_plain(value[name]), words[name]) for name in names}
    if names:
        return [_plain(one) for one in value.reshape(-1)]
    if isinstance(value, np.ndarray) and value.ndim:
        return value
    if isinstance(value, bytes | np.bytes_ | str):
        return _text(value)
    return value.item() if isinstance(value, np.generic | np.ndarray) else value


def _worded(value: Any, words: Mapping[str, int]) -> Any:
    """Return the word of an enumeration for its number; anything else as it stands."""
    return next((word for word, number in words.items() if number == value), value)


def _text(value: Any) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return text.rstrip("\0")


def _joined(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """Return the shape of datasets that follow each other."""
    first = shapes[0]
    same = first and all(one and one[1:] == first[1:] for one in shapes)
    return (sum(one[0] for one in shapes), *first[1:]) if same else first
