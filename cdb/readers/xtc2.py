"""Runs of LCLS-II in xtc2, through psana; its datagrams are counted here.

A file is a chain of datagrams. Each begins with a time stamp, 32 bits that say what it is (4 of
them: Configure, BeginRun, BeginStep, an event), and its length. So counts, times and steps cost a
few bytes a datagram, and a file that is cut short or is no xtc2 never reaches psana, whose
compiled parts trust their files.

Several streams of a run are joined by psana, by way of its files in ``smalldata/``.
"""

import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cdb.errors import BadFile, CalibError
from cdb.readers.frames import (
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

_HEADER = struct.Struct("<QIIHHI")  # time, env; src, damage, type, extent
_BEFORE_XTC = 12  # the extent counts from behind the time and env [bytes]
CONFIGURE, BEGIN_RUN, BEGIN_STEP, EVENT = 2, 4, 6, 12
# Seconds from 1970 to 1990, from which stamps count.
_1990 = 631_152_000
# A source that is in none of so many events is taken for one without frames.
_PEEKED = 100
# Containers in containers, at most.
_DEPTH = 12

_TROUBLE = (
    OSError, RuntimeError, ValueError, LookupError, AttributeError, TypeError, SystemError,
    SystemExit,
)  # fmt: skip


@dataclass
class Chain:
    """What the datagrams of a file say of it.

    Attributes
    ----------
    events : list of int
        How many each step has.
    begin, end : int
        Of the first and last datagram since the run began [ns since 1970].
    cut : bool
        Whether the file ends in the middle of a datagram.
    """

    events: list[int] = field(default_factory=lambda: [0])
    begin: int = 0
    end: int = 0
    cut: bool = False


def walk(path: Path, advance: Callable[[int], object] | None = None) -> Chain:
    """Follow the chain of datagrams.

    Raises
    ------
    BadFile
        If this is no xtc2.
    """
    chain, offset, told, stepped = Chain(), 0, 0, False
    with _readable(path), path.open("rb") as file:
        size = path.stat().st_size
        if size == 0:
            raise BadFile(f"{path} is empty")
        while offset < size:
            file.seek(offset)
            header = file.read(_HEADER.size)
            whole = len(header) == _HEADER.size
            stamp, env, _, _, _, extent = _HEADER.unpack(header) if whole else (0,) * 6
            what = (env >> 24) & 0xF
            length = _BEFORE_XTC + extent
            if offset == 0 and (not whole or what != CONFIGURE or length < _HEADER.size):
                raise BadFile(f"{path} is no xtc2: it does not begin with a configuration")
            if whole and length < _HEADER.size:
                raise BadFile(f"{path} is damaged: a datagram of {length} bytes at byte {offset}")
            if not whole or offset + length > size:
                chain.cut = True
                break
            if what == BEGIN_STEP and stepped and chain.events[-1]:
                chain.events.append(0)
            stepped = stepped or what == BEGIN_STEP
            chain.events[-1] += what == EVENT
            if what in (BEGIN_RUN, EVENT):
                chain.end = nanoseconds(stamp)
                chain.begin = chain.begin or chain.end
            offset += length
            if advance and offset - told > 2**24:
                advance(offset - told)
                told = offset
        if chain.cut and offset == 0:
            raise BadFile(f"{path} is cut short: its configuration is not whole")
    if advance:
        advance(size - told)
    return chain


def nanoseconds(stamp: int) -> int:
    """Return the nanoseconds since 1970 of a stamp of LCLS-II.

    Examples
    --------
    >>> nanoseconds(4776162079372773723) // 10**9
    1743188891
    """
    return ((stamp >> 32) + _1990) * 10**9 + (stamp & 0xFFFFFFFF)


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
        self._files = list(files)
        self._psana = _psana()
        chains = [walk(path, advance) for path in files]
        for path, chain in zip(files, chains, strict=True):
            if chain.cut:
                self.notes.append(
                    f"{path} ends in the middle of a datagram; "
                    f"the {sum(chain.events)} events before it are read"
                )
        fullest = max(chains, key=lambda chain: sum(chain.events))
        self._events = fullest.events
        first = min((chain.begin for chain in chains if chain.begin), default=0)
        if first:
            self.begin, self.end = time_of(first), time_of(max(chain.end for chain in chains))
        with _readable(self.where):
            self._run = self._open()
            self.experiment, self.number = str(self._run.expt) or None, int(self._run.runnum)
            self._names = sorted(
                name
                for (name, drp), methods in self._run.detinfo.items()
                if drp == "raw" and "raw" in methods
            )
            self.sources = self._peek()
            self.steps = self._with_values()

    def _open(self) -> Any:
        """Return psana's run, its events not yet begun."""
        if len(self._files) == 1:
            asked: dict[str, Any] = {"files": str(self._files[0])}
        else:
            asked = _dataset_of(self._files)
        for run in self._psana.DataSource(**asked, skip_calib_load="all").runs():
            return run
        raise BadFile(f"{self.where} has no run: no BeginRun among its datagrams")

    def recorded(self) -> list[Key]:
        """Return what psana finds in the run, and how the detectors were configured."""
        run, found = self._run, []
        for kind in ("detinfo", "epicsinfo", "scaninfo"):
            for key, methods in getattr(run, kind).items():
                name, what = (key[0], key[1]) if isinstance(key, tuple) else (str(key), "")
                several = methods if isinstance(methods, list | tuple) else [methods]
                found += [Key("data", str(name), f"{what}.{one}".strip(".")) for one in several]
        for configuration in run.configs:
            for name in sorted(run.detnames):
                panels = getattr(configuration, name, {})
                names = {
                    path: value
                    for number in sorted(panels)
                    for path, value in _flat(getattr(panels[number], "config", None))
                }
                found += [_configured(name, path, value) for path, value in names.items()]
        return sorted(found, key=lambda key: (key.kind, key.source, key.name))

    def configuration(self, source: Source) -> list[Mapping[str, Any]]:
        """Return the configuration of each panel, its id as ``detid``."""
        panels: dict[int, dict[str, Any]] = {}
        with _readable(self.where):
            for configuration in self._run.configs:
                about = getattr(getattr(configuration, "software", None), source.name, {})
                for number, panel in getattr(configuration, source.name, {}).items():
                    values = dict(_flat(getattr(panel, "config", None)))
                    panels.setdefault(number, {}).update(values)
                for number, panel in about.items():
                    detid = getattr(panel, "detid", "")
                    if detid:
                        panels.setdefault(number, {})["detid"] = str(detid)
        return [panels[number] for number in sorted(panels)]

    def _stream(self, source: Source, selection: Selection, n_frames: int) -> Iterator[Block]:
        held: list[tuple[int, Any]] = []
        in_step: dict[int, int] = {}
        step_of_held = 0
        with _readable(self.where):
            run = self._open()
            raw = run.Detector(source.name).raw
            for step, event in self._numbered(run):
                if not selection.takes(step):
                    continue
                if in_step.get(step, 0) >= selection.end:
                    continue
                frame = raw.raw(event)
                if frame is None:
                    continue
                if frame.shape != source.shape:
                    self.notes.append(f"{self.where}: a frame of {frame.shape} was passed over")
                    continue
                in_step[step] = in_step.get(step, 0) + 1
                if in_step[step] <= selection.skip:
                    continue
                if held and (step != step_of_held or len(held) == n_frames):
                    yield _block(held, step_of_held)
                    held = []
                held.append((nanoseconds(event.timestamp), frame.copy()))
                step_of_held = step
        if held:
            yield _block(held, step_of_held)

    def _numbered(self, run: Any) -> Iterator[tuple[int, Any]]:
        """Yield events with the numbers of their steps; no more than there are."""
        if len(self._files) == 1:
            events = iter(run.events())
            for step, many in enumerate(self._events):
                for _ in range(many):
                    event = next(events, None)
                    if event is None:
                        return
                    yield step, event
        else:
            for number, step in enumerate(run.steps()):
                for event in step.events():
                    yield number, event

    def _peek(self) -> dict[str, Source]:
        """Return the sources that have frames in one of the first events."""
        run, found = self._open(), {}
        detectors = {name: run.Detector(name) for name in self._names}
        for number, (_, event) in enumerate(self._numbered(run)):
            for name in [name for name in self._names if name not in found]:
                frame = detectors[name].raw.raw(event)
                if isinstance(frame, np.ndarray) and frame.ndim >= 2:
                    known = str(getattr(detectors[name], "_dettype", "")) or detector_type_of(name)
                    found[name] = Source(
                        name, known, "raw.raw", frame.shape, frame.dtype, sum(self._events), TIME
                    )
            if len(found) == len(self._names) or number >= _PEEKED:
                break
        return {name: found[name] for name in self._names if name in found}

    def _with_values(self) -> list[Step]:
        """Return the steps, with what was scanned where anything was."""
        values: list[dict[str, Any]] = []
        scanned = sorted({key[0] for key in self._run.scaninfo})
        if scanned:
            run = self._open()
            detectors = {name: run.Detector(name) for name in scanned}
            values = [{name: det(step) for name, det in detectors.items()} for step in run.steps()]
        return [
            Step(number, many, values[number] if number < len(values) else {})
            for number, many in enumerate(self._events)
        ]


def _block(held: Sequence[tuple[int, Any]], step: int) -> Block:
    stamps = np.array([stamp for stamp, _ in held], dtype=np.uint64)
    return Block(np.stack([frame for _, frame in held]), stamps, step)


def _psana() -> Any:
    try:
        import psana
    except (ImportError, RuntimeError) as error:
        why = "" if isinstance(error, ModuleNotFoundError) else f" ({error})"
        raise CalibError(
            f"xtc2 files need psana{why}: pip install 'cdb[psana]', with Python 3.11 at most"
        ) from error
    return psana


@contextmanager
def _readable(path: Path | str) -> Iterator[None]:
    """Say in one sentence why a file cannot be read."""
    try:
        yield
    except CalibError:
        raise
    except FileNotFoundError:
        raise BadFile(f"there is no file {path}; give the path of a file") from None
    except PermissionError:
        raise BadFile(f"no permission to read {path}") from None
    except _TROUBLE as error:
        why = " ".join(str(error).split())[:300] or type(error).__name__
        raise BadFile(f"{path} cannot be read as xtc2: {why}") from None


def _dataset_of(files: Sequence[Path]) -> dict[str, Any]:
    """Return what psana calls a run of several files, which it looks for by their names."""
    named = re.fullmatch(r"([a-z0-9]+)-r(\d+)-s\d+-c\d+\.xtc2", files[0].name)
    folder = files[0].parent
    if named is None or not any((folder / "smalldata").glob("*.smd.xtc2")):
        raise BadFile(
            f"{folder} has {len(files)} files of one run, and no folder smalldata by which psana "
            "joins them; give one of the files"
        )
    return {"exp": named[1], "run": int(named[2]), "dir": str(folder)}


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


def _configured(source: str, path: str, value: Any) -> Key:
    array = np.asarray(value)
    text = "str" if array.dtype.kind == "U" else str(array.dtype)
    return Key("configuration", source, path, text, array.shape)
