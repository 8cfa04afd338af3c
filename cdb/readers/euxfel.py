"""Runs of the European XFEL: a folder of HDF5 files, one a module and sequence.

``RAW-R0238-AGIPD03-S00001.h5`` is the second sequence of module 3 in run 238. ``INDEX`` says for
each train which entries of a source are its own; a train may be absent from a module, have no
frames, or be padding. A module is a source by itself, since modules lose trains on their own.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cdb.errors import BadFile
from cdb.readers.frames import (
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

NAME = re.compile(
    r"(?P<kind>[A-Z]+)-R(?P<run>\d+)-(?P<aggregator>[A-Z0-9]+)-S(?P<sequence>\d+)\.h5"
)
# A source has three parts, the last with the name of its channel.
_RECORDED = re.compile(r"INSTRUMENT/([^/]+/[^/]+/[^/]+:[^/]+)/([^/]+)/(.+)")
_CONTROLLED = re.compile(r"CONTROL/([^/]+/[^/]+/[^/]+)/(.+)/value")
_MODULE = re.compile(r"(\d+)(?:CH0)?(?=:)")
# Where a jungfrau's control device keeps what is burnt in, by its names before and since 2021.
_BURNT_IN = {
    "firmwareVersion": ("firmwareVersion", "detectorVersion"),
    "serialNumber": ("serialNumber", "detectorNumber"),
}


@dataclass(frozen=True)
class _Trains:
    """The trains of one file: which are valid, and when they were."""

    ids: npt.NDArray[np.uint64]
    valid: npt.NDArray[np.bool_]


class EuxfelRun(Run):
    """A run of the European XFEL.

    Parameters
    ----------
    files : sequence of Path
        All of its files, or some.
    advance : callable, optional
        Called with the number of bytes that were looked through.
    """

    kind = "euxfel"

    def __init__(
        self, files: Sequence[Path], advance: Callable[[int], object] | None = None
    ) -> None:
        self.where = str(files[0] if len(files) == 1 else files[0].parent)
        self.notes: list[str] = []
        self._files = Files()
        self._datasets: list[Dataset] = []
        self._pieces: dict[str, list[Piece]] = defaultdict(list)
        self._times: list[datetime] = []
        found: dict[str, Source] = {}
        trains: set[int] = set()
        for path in sorted(files, key=_place_of):
            there = self._files.look_through(path, self.notes)
            self._datasets += there
            by_path = {one.path: one for one in there}
            of_file = self._trains(path, by_path)
            trains.update(of_file.ids[of_file.valid].tolist())
            for source, frames in _frames_in(there).items():
                self._add(source, frames, by_path, of_file, found)
            if advance:
                advance(path.stat().st_size)
        named = NAME.fullmatch(files[0].name)
        self.number = int(named["run"]) if named else None
        self.experiment = self._proposal(files[0])
        self.sources = dict(sorted(found.items(), key=lambda item: _natural(item[0])))
        self.steps = [Step(0, len(trains))]
        self.begin, self.end = min(self._times, default=None), max(self._times, default=None)

    def close(self) -> None:
        """Close the files."""
        self._files.close()

    def recorded(self) -> list[Key]:
        """Return what devices have recorded, and how they were set."""
        found: dict[tuple[str, str, str, str], list[tuple[int, ...]]] = defaultdict(list)
        for one in self._datasets:
            recorded, controlled = _RECORDED.fullmatch(one.path), _CONTROLLED.fullmatch(one.path)
            if recorded:
                name = f"{recorded[2]}/{recorded[3]}".replace("/", ".")
                found["data", recorded[1], name, one.kind].append(one.shape)
            elif controlled:
                name = controlled[2].replace("/", ".")
                found["configuration", controlled[1], name, one.kind].append(one.shape)
        return [
            Key(*names, shape=(sum(shape[0] for shape in shapes), *shapes[0][1:]))
            for names, shapes in sorted(found.items())
            if all(shapes)
        ]

    def configuration(self, source: Source) -> list[Mapping[str, Any]]:
        """Return what the control device of a detector was set to, at the run's beginning.

        Of a jungfrau, `firmwareVersion` and `serialNumber` are those of this module.
        """
        device = self._device_of(source)
        if device is None:
            return []
        values: dict[str, Any] = {}
        for one in self._datasets:
            controlled = _CONTROLLED.fullmatch(one.path)
            if controlled and controlled[1] == device:
                name = controlled[2].replace("/", ".")
                value = self._first_value(one)
                if value is not None:
                    values.setdefault(name, value)
        if source.detector_type == "jungfrau":
            values |= self._burnt_in(source, values)
        return [values]

    def _stream(self, source: Source, selection: Selection, n_frames: int) -> Iterator[Block]:
        yield from blocks(self._pieces[source.name], selection, n_frames)

    # A file -------------------------------------------------------------------------------------

    def _trains(self, path: Path, there: Mapping[str, Dataset]) -> _Trains:
        ids = self._column(path, there, "INDEX/trainId")
        if ids is None:
            raise BadFile(f"{path} has no INDEX/trainId: it is no file of the European XFEL")
        valid = ids != 0
        version = self._text(path, there, "METADATA/dataFormatVersion") or "0.5"
        flags = self._column(path, there, "INDEX/flag")
        if flags is not None and flags.shape == ids.shape and version != "1.1":
            suspect = int((valid & (flags != 1)).sum())
            if suspect:
                self.notes.append(f"{path.name}: {suspect} trains are marked as suspect; left out")
            valid &= flags == 1
        stamps = self._column(path, there, "INDEX/timestamp")
        if stamps is not None and stamps.shape == ids.shape and (stamps[valid] > 0).any():
            taken = stamps[valid & (stamps > 0)]
            self._times += [time_of(int(taken.min())), time_of(int(taken.max()))]
        else:
            for name in ("METADATA/creationDate", "METADATA/updateDate"):
                self._times += _parsed(self._text(path, there, name))
        return _Trains(ids, valid)

    def _add(
        self,
        source: str,
        frames: Dataset,
        there: Mapping[str, Dataset],
        trains: _Trains,
        found: dict[str, Source],
    ) -> None:
        """Add the frames that a file has of a source."""
        part = frames.path.removeprefix(f"INSTRUMENT/{source}/").partition("/")[0]
        layout = _Layout.of(source, frames)
        index = self._index(frames, there, f"INDEX/{source}/{part}", trains)
        n_frames = 0
        for start, stop, ids in index:
            cells = layout.cells
            stamps = np.repeat(ids, cells)
            piece = Piece(
                0, start * cells, stop * cells, stamps, self._reader(frames, layout, there)
            )
            self._pieces[source].append(piece)
            n_frames += piece.stop - piece.start
        before = found.get(source)
        if before and before.shape != layout.shape:
            raise BadFile(f"{frames.file}: {source} has frames of {layout.shape}, "
                          f"in the files before {before.shape}")  # fmt: skip
        found[source] = Source(
            source, detector_type_of(source),
            frames.path.removeprefix(f"INSTRUMENT/{source}/").replace("/", "."), layout.shape,
            frames.dtype, n_frames + (before.n_frames if before else 0), TRAIN,
        )  # fmt: skip

    def _index(
        self, frames: Dataset, there: Mapping[str, Dataset], where: str, trains: _Trains
    ) -> Iterator[tuple[int, int, npt.NDArray[np.uint64]]]:
        """Yield ranges of entries with the id of the train of each entry."""
        path = frames.file
        first = self._column(path, there, f"{where}/first")
        count = self._column(path, there, f"{where}/count")
        if first is not None and count is None:
            # Files of 2017: the last entry, and a status that is 0 where there are no data.
            last = self._column(path, there, f"{where}/last")
            status = self._column(path, there, f"{where}/status")
            if last is not None and status is not None and last.shape == status.shape:
                count = np.where(status != 0, last - first + np.uint64(1), 0).astype(np.uint64)
        if first is None or count is None or first.shape != count.shape:
            raise BadFile(f"{path} has no {where}/first and count: which frames are whose?")
        n = min(len(first), len(trains.ids))
        first, count, ids = first[:n], count[:n], trains.ids[:n]
        length = np.uint64(frames.shape[0])
        inside = (first <= length) & (count <= length - np.minimum(first, length))
        if not inside[trains.valid[:n]].all():
            self.notes.append(
                f"{path.name}: {where} names entries behind the {length} that there are; "
                f"{int((~inside & trains.valid[:n]).sum())} trains left out"
            )
        wanted = np.flatnonzero(trains.valid[:n] & inside & (count > 0))
        start = stop = -1
        held: list[npt.NDArray[np.uint64]] = []
        for train in wanted:
            begin, many = int(first[train]), int(count[train])
            if begin != stop:
                if held:
                    yield start, stop, np.concatenate(held)
                start, stop, held = begin, begin, []
            held.append(np.full(many, ids[train], dtype=np.uint64))
            stop += many
        if held:
            yield start, stop, np.concatenate(held)

    def _reader(
        self, frames: Dataset, layout: "_Layout", there: Mapping[str, Dataset]
    ) -> Callable[[int, int], Any]:
        def read(start: int, stop: int) -> Any:
            with readable(frames.file):
                rows = start // layout.cells, -(-stop // layout.cells)
                cut = slice(start - rows[0] * layout.cells, stop - rows[0] * layout.cells)

                def column(path: str, entry: int | None = None) -> Any:
                    dataset = self._files.open_dataset(frames.file, path)
                    return read_range(dataset, *rows, entry=entry)

                data = column(frames.path, layout.entry).reshape(-1, *layout.shape)[cut]
                more = {
                    name: column(f"{frames.folder}/{key}").reshape(-1)[cut]
                    for name, key in layout.beside.items()
                    if f"{frames.folder}/{key}" in there
                }
                gain = f"{frames.folder}/gain"
                if layout.has_gain:
                    more["gain"] = column(frames.path, 1)
                elif gain in there and there[gain].shape == frames.shape:
                    more["gain"] = column(gain).reshape(-1, *layout.shape)[cut]
                return data, more

        return read

    # Small values -------------------------------------------------------------------------------

    def _column(
        self, path: Path, there: Mapping[str, Dataset], name: str
    ) -> npt.NDArray[np.uint64] | None:
        one = there.get(name)
        if one is None or len(one.shape) != 1 or one.dtype.kind not in "iub":
            return None
        with readable(path):
            found: npt.NDArray[np.uint64] = (
                self._files.open_dataset(path, name)[()].astype(np.uint64)
            )  # fmt: skip
            return found

    def _text(self, path: Path, there: Mapping[str, Dataset], name: str) -> str | None:
        values = self._files.values(path, name) if name in there else None
        if values is None or not values.size:
            return None
        first = values.reshape(-1)[0]
        return first.decode(errors="replace") if isinstance(first, bytes) else str(first)

    def _first_value(self, one: Dataset) -> Any:
        values = self._files.values(one.file, one.path)
        if values is None or values.ndim == 0 or not len(values):
            return None
        first = values[0]
        if isinstance(first, bytes):
            return first.decode(errors="replace")
        return first.item() if isinstance(first, np.generic) else first

    def _proposal(self, path: Path) -> str | None:
        for one in self._datasets:
            if one.path == "METADATA/proposalNumber":
                values = self._files.values(one.file, one.path)
                if values is not None and values.size and values.dtype.kind in "iu":
                    return f"p{int(values.reshape(-1)[0]):06d}"
        return next((part for part in path.parts[::-1] if re.fullmatch(r"p\d{6}", part)), None)

    # Control devices ----------------------------------------------------------------------------

    def _device_of(self, source: Source) -> str | None:
        """Return the control device of a detector: of the same domain, or of the same type."""
        devices = {match[1] for one in self._datasets if (match := _CONTROLLED.fullmatch(one.path))}
        domain = source.name.partition("/")[0]
        wanted = (
            lambda name: name == f"{domain}/DET/CONTROL",
            lambda name: name.startswith(f"{domain}/") and name.endswith("/CONTROL"),
            lambda name: name.endswith("/MDL/FPGA_COMP")
            and bool(source.detector_type) and source.detector_type in name.lower(),
        )  # fmt: skip
        for fits in wanted:
            found = sorted(filter(fits, devices))
            if found:
                return found[0]
        return None

    def _burnt_in(self, source: Source, values: Mapping[str, Any]) -> dict[str, int]:
        """Return the numbers of one module of several, which are kept in their order."""
        domain = source.name.partition("/")[0]
        modules = [name for name in self.sources if name.startswith(f"{domain}/DET/")]
        place = modules.index(source.name)
        found = {}
        for name, spellings in _BURNT_IN.items():
            value = next((values[one] for one in spellings if one in values), None)
            numbers = np.atleast_1d(value) if value is not None else np.array([])
            if numbers.dtype.kind in "iu" and len(numbers) == len(modules):
                found[name] = int(numbers[place])
        return found


@dataclass(frozen=True)
class _Layout:
    """How the frames of a source lie in their dataset.

    Attributes
    ----------
    shape : tuple of int
        Of a frame.
    cells : int
        Frames an entry, where the second axis is memory cells.
    entry : int or None
        Of the second axis, where it holds data and gain.
    has_gain : bool
        Whether entry 1 is the gain signal.
    beside : mapping of str to str
        What is known of each frame, and its dataset.
    """

    shape: tuple[int, ...]
    cells: int = 1
    entry: int | None = None
    has_gain: bool = False
    beside: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, source: str, frames: Dataset) -> "_Layout":
        shape = frames.shape[1:]
        if source.endswith(":xtdf"):
            beside = {"cell": "cellId", "pulse": "pulseId"}
            if len(shape) == 3 and shape[0] in (1, 2):
                return cls(shape[1:], 1, 0, shape[0] == 2, beside)
            return cls(shape, beside=beside)
        if frames.name == "adc" and len(shape) == 3:
            return cls(shape[1:], shape[0], beside={"cell": "memoryCell"})
        return cls(shape)


def _frames_in(datasets: Sequence[Dataset]) -> dict[str, Dataset]:
    """Return the frames of each source: its largest dataset that has the form of frames."""
    found: dict[str, Dataset] = {}
    for one in datasets:
        recorded = _RECORDED.fullmatch(one.path)
        # What is beside raw values for each pixel (gain, mask) is smaller, or named later.
        if recorded and one.holds_frames and one.name not in ("gain", "mask"):
            before = found.get(recorded[1])
            if before is None or _size(one) > _size(before):
                found[recorded[1]] = one
    return found


def _size(one: Dataset) -> int:
    return int(np.prod(one.shape[1:])) * one.dtype.itemsize


def _place_of(path: Path) -> tuple[str, int]:
    named = NAME.fullmatch(path.name)
    return (named["aggregator"], int(named["sequence"])) if named else (path.name, 0)


def _natural(name: str) -> tuple[str, int]:
    """Return what sorts modules by their number."""
    module = _MODULE.search(name)
    return (name[: module.start()], int(module[1])) if module else (name, 0)


def _parsed(text: str | None) -> list[datetime]:
    try:
        return [datetime.strptime(text or "", "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)]
    except ValueError:
        return []
