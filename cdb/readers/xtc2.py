"""Runs of LCLS-II in xtc2: psana reads each file, its streams are joined here.

psana joins streams too, but by files in ``smalldata/`` and an answer of LCLS's own logbook, which
nobody has elsewhere. Here each stream is read by itself, and frames with the same stamp are one:
a detector may have its panels in several streams.
"""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cdb.errors import BadFile, CalibError
from cdb.readers.datagrams import Chain, nanoseconds, readable, walk
from cdb.readers.frames import (
    EVENTS,
    TIME,
    Block,
    Key,
    Run,
    Selection,
    Source,
    Step,
    detector_type_of,
    time_of,
)  # fmt: skip

_STREAM = re.compile(r"-s(\d+)-c(\d+)\.xtc2$")
# A source that is in none of so many events is taken for one without frames.
_PEEKED = 100
# Containers in containers, at most.
_DEPTH = 12
# What psana calls that which gives the event codes of an event, one for each that there could be.
_CODES = "eventcodes"

Take = Callable[[], npt.NDArray[Any] | None]


@dataclass(frozen=True)
class _File:
    """A file of a stream, with the number of the step that it begins in."""

    path: Path
    chain: Chain
    first_step: int


class _Stream:
    """The files of one stream, in order, through psana."""

    def __init__(self, psana: Any, paths: Sequence[Path], chains: Sequence[Chain]) -> None:
        self._psana = psana
        self._files: list[_File] = []
        self.events: list[int] = []
        for path, chain in zip(paths, chains, strict=True):
            inside = bool(self.events) and chain.starts_inside
            self._files.append(_File(path, chain, len(self.events) - inside))
            if inside:
                self.events[-1] += chain.events[0]
            self.events += chain.events[inside:]

    def begin(self) -> None:
        """Take from psana what it knows before the events."""
        self.run = self._open(self._files[0].path)
        self.names = sorted(
            name
            for (name, drp), methods in self.run.detinfo.items()
            if drp == "raw" and "raw" in methods
        )
        self.timing = sorted(
            name
            for (name, drp), methods in self.run.detinfo.items()
            if drp == "raw" and _CODES in methods
        )

    def _open(self, path: Path) -> Any:
        """Return psana's run, its events not yet begun."""
        for run in self._psana.DataSource(files=str(path), skip_calib_load="all").runs():
            return run
        raise BadFile(f"{path} has no run: no BeginRun among its datagrams")

    def panels(self, name: str) -> dict[int, dict[str, Any]]:
        """Return the configuration of the panels of a detector by their numbers."""
        panels: dict[int, dict[str, Any]] = {}
        for configuration in self.run.configs:
            about = getattr(getattr(configuration, "software", None), name, {})
            for number, panel in getattr(configuration, name, {}).items():
                values = dict(_flat(getattr(panel, "config", None)))
                panels.setdefault(number, {}).update(values)
            for number, panel in about.items():
                detid = getattr(panel, "detid", "")
                if detid:
                    panels.setdefault(number, {})["detid"] = str(detid)
        return panels

    def frames(self, name: str, what: str = "raw") -> Iterator[tuple[int, int, Take]]:
        """Yield stamp and step of each event, and what takes its frame, or something else."""
        for file in self._files:
            run = self._open(file.path)
            take = getattr(run.Detector(name).raw, what)
            events = iter(run.events())
            for step, many in enumerate(file.chain.events, file.first_step):
                # No more than there are: behind the last one a file may be cut.
                for _ in range(many):
                    event = next(events, None)
                    if event is None:
                        return
                    yield nanoseconds(event.timestamp), step, partial(take, event)

    def peek(self, name: str) -> tuple[str, npt.NDArray[Any]] | None:
        """Return the type of a detector and a frame of it; None if none of the first has one."""
        for number, (_, _, take) in enumerate(self.frames(name)):
            frame = take()
            if isinstance(frame, np.ndarray) and frame.ndim >= 2:
                known = str(getattr(self.run.Detector(name), "_dettype", ""))
                return known or detector_type_of(name), frame
            if number >= _PEEKED:
                break
        return None

    def scanned(self) -> list[dict[str, Any]]:
        """Return what was scanned, by step; nothing where nothing was."""
        names = sorted({key[0] for key in self.run.scaninfo})
        if not names:
            return []
        run = self._open(self._files[0].path)
        detectors = {name: run.Detector(name) for name in names}
        return [{name: det(step) for name, det in detectors.items()} for step in run.steps()]


class Xtc2Run(Run):
    """A run of LCLS-II.

    Parameters
    ----------
    files : sequence of Path
        One file, or the streams of one run.
    advance : callable, optional
        Called with the number of bytes that were passed.
    """

    kind = "xtc2"

    def __init__(
        self, files: Sequence[Path], advance: Callable[[int], object] | None = None
    ) -> None:
        self.where = str(files[0] if len(files) == 1 else files[0].parent)
        self.notes: list[str] = []
        psana = _psana()
        chains = {path: walk(path, advance) for path in files}
        for path, chain in chains.items():
            if chain.cut:
                self.notes.append(
                    f"{path} ends in the middle of a datagram; "
                    f"the {sum(chain.events)} events before it are read"
                )
        streams: dict[str, list[Path]] = defaultdict(list)
        for path in sorted(files):
            named = _STREAM.search(path.name)
            streams[named[1] if named else path.name].append(path)
        self._streams = [
            _Stream(psana, paths, [chains[path] for path in paths]) for paths in streams.values()
        ]
        self._events = max((stream.events for stream in self._streams), key=sum)
        first = min((chain.begin for chain in chains.values() if chain.begin), default=0)
        if first:
            self.begin = time_of(first)
            self.end = time_of(max(chain.end for chain in chains.values()))
        self._survive()
        with readable(self.where):
            self._begin()

    def _begin(self) -> None:
        """Take from psana what it knows before the events."""
        self._parts: dict[str, list[_Stream]] = defaultdict(list)
        self._panels: dict[str, dict[int, dict[str, Any]]] = {}
        found: dict[str, Source] = {}
        for stream in self._streams:
            stream.begin()
            for name in stream.names:
                peeked = stream.peek(name)
                if peeked is not None:
                    self._parts[name].append(stream)
                    self._panels.setdefault(name, {}).update(stream.panels(name))
                    found[name] = self._source(name, *peeked, before=found.get(name))
        self.sources = {name: found[name] for name in sorted(found)}
        run = self._streams[0].run
        self.experiment, self.number = str(run.expt) or None, int(run.runnum)
        values = next(filter(None, (stream.scanned() for stream in self._streams)), [])
        self.steps = [
            Step(number, many, values[number] if number < len(values) else {})
            for number, many in enumerate(self._events)
        ]

    def _source(
        self, name: str, type_: str, frame: npt.NDArray[Any], *, before: Source | None
    ) -> Source:
        """Return a source with the panels of one more stream."""
        shape = frame.shape
        if before is not None:
            if frame.ndim != 3 or (before.shape[1:], before.dtype) != (shape[1:], frame.dtype):
                raise BadFile(f"{self.where}: the streams of {name} have frames of other shapes")
            shape = (before.shape[0] + shape[0], *shape[1:])
        n_frames = min(sum(stream.events) for stream in self._parts[name])
        return Source(name, type_, "raw.raw", shape, frame.dtype, n_frames, TIME)

    def _survive(self) -> None:
        """Begin in a process of its own first: of some damaged files psana's compiled parts die.

        What else goes wrong there goes wrong here too, and is told then.
        """
        child = os.fork()
        if child == 0:
            try:
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, 1)
                os.dup2(nowhere, 2)
                self._begin()
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            raise BadFile(
                f"{self.where} is damaged: psana dies of it (signal {os.WTERMSIG(status)})"
            )

    def recorded(self) -> list[Key]:
        """Return what psana finds in the run, and how the detectors were configured."""
        found: dict[Key, None] = {}
        for stream in self._streams:
            for kind in ("detinfo", "epicsinfo", "scaninfo"):
                for key, methods in getattr(stream.run, kind).items():
                    name, what = (key[0], key[1]) if isinstance(key, tuple) else (str(key), "")
                    several = methods if isinstance(methods, list | tuple) else [methods]
                    for one in several:
                        found[Key("data", str(name), f"{what}.{one}".strip("."))] = None
            for name in sorted(stream.run.detnames):
                for panel in stream.panels(name).values():
                    for path, value in panel.items():
                        found[_setting(name, path, value)] = None
        return sorted(found, key=lambda key: (key.kind, key.source, key.name))

    def configuration(self, source: Source) -> list[Mapping[str, Any]]:
        """Return the configuration of each panel, its id as ``detid``."""
        panels = self._panels[source.name]
        return [panels[number] for number in sorted(panels)]

    def event_codes(self, limit: int = EVENTS) -> Mapping[int, int]:
        """Return with how many events each event code came, by the timing system."""
        found: Counter[int] = Counter()
        timed = [(stream, name) for stream in self._streams for name in stream.timing]
        for stream, name in timed[:1]:
            with readable(self.where):
                for _, _, take in islice(stream.frames(name, _CODES), limit):
                    found.update(_codes(take))
        return dict(sorted(found.items()))

    def _stream(self, source: Source, selection: Selection, n_frames: int) -> Iterator[Block]:
        held: list[tuple[int, Any]] = []
        in_step: dict[int, int] = {}
        step_of_held = 0
        with readable(self.where):
            for stamp, step, frame in self._taken(source, selection, in_step):
                in_step[step] = in_step.get(step, 0) + 1
                if in_step[step] <= selection.skip:
                    continue
                if held and (step != step_of_held or len(held) == n_frames):
                    yield _block(held, step_of_held)
                    held = []
                held.append((stamp, frame.copy()))
                step_of_held = step
        if held:
            yield _block(held, step_of_held)

    def _taken(
        self, source: Source, selection: Selection, in_step: Mapping[int, int]
    ) -> Iterator[tuple[int, int, npt.NDArray[Any]]]:
        """Yield whole frames of the steps that are wanted and not full."""
        parts = self._parts[source.name]
        numbers = [number for part in parts for number in sorted(part.panels(source.name))]
        order = np.argsort(numbers)
        last = max(filter(selection.takes, range(len(self._events))), default=-1)
        for stamp, step, takes in _together([part.frames(source.name) for part in parts]):
            full = in_step.get(step, 0) >= selection.end
            if step > last or (step == last and full):
                return  # psana would read all the rest
            if full or not selection.takes(step):
                continue
            frames = [frame for take in takes if (frame := take()) is not None]
            if len(frames) < len(parts):
                continue
            frame = frames[0] if len(parts) == 1 else np.concatenate(frames)
            if frame.shape != source.shape:
                self.notes.append(f"{self.where}: a frame of {frame.shape} was passed over")
                continue
            yield stamp, step, frame if len(parts) == 1 else frame[order]


def _together(
    parts: Sequence[Iterator[tuple[int, int, Take]]],
) -> Iterator[tuple[int, int, list[Take]]]:
    """Yield what all parts have of one stamp; stamps ascend in each."""
    heads = [next(part, None) for part in parts]
    while None not in heads:
        there = [head for head in heads if head is not None]
        newest = max(head[0] for head in there)
        if all(head[0] == newest for head in there):
            yield newest, there[0][1], [head[2] for head in there]
            heads = [next(part, None) for part in parts]
        else:
            heads = [
                next(part, None) if head[0] < newest else head
                for part, head in zip(parts, there, strict=True)
            ]


def _block(held: Sequence[tuple[int, Any]], step: int) -> Block:
    stamps = np.array([stamp for stamp, _ in held], dtype=np.uint64)
    return Block(np.stack([frame for _, frame in held]), stamps, step)


def _codes(take: Callable[[], Any]) -> list[int]:
    """Return the event codes of an event; none where the timing system was lost."""
    try:
        return np.flatnonzero(take()).tolist()
    except AttributeError:  # psana's way of saying that an event lacks it
        return []


def _psana() -> Any:
    try:
        import psana
    except (ImportError, RuntimeError) as error:
        why = "" if isinstance(error, ModuleNotFoundError) else f" ({error})"
        raise CalibError(
            f"xtc2 files need psana{why}: pip install 'cdb[psana]', with Python 3.11 at most"
        ) from error
    return psana


def _flat(value: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield the values in a container of psana by their names; of an enumeration its word."""
    if value is None or depth > _DEPTH:
        return
    names = [name for name in dir(value) if not name.startswith("_")]
    if {*names} >= {"value", "names"} and isinstance(value.names, dict):
        yield path, value.names.get(value.value, value.value)
    elif isinstance(value, int | float | str | np.ndarray | np.generic):
        yield path, value.item() if isinstance(value, np.generic) else value
    elif type(value).__name__ == "Container":
        for name in names:
            yield from _flat(getattr(value, name), f"{path}.{name}".strip("."), depth + 1)


def _setting(source: str, path: str, value: Any) -> Key:
    array = np.asarray(value)
    text = "str" if array.dtype.kind == "U" else str(array.dtype)
    return Key("configuration", source, path, text, array.shape)
