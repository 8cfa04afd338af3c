"""HDF5 files as they come from outside: opened, looked through and read without trusting them."""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cdb.errors import BadFile, CalibError
from cdb.readers.frames import FRAME_BYTES, Block, Selection
from cdb.readers.trouble import told

# Files that are open at a time; a run may have hundreds.
OPEN_FILES = 16
# Groups and datasets in a file; one with more was not written by a data acquisition.
OBJECTS = 200_000
# What a dataset claims is at most so many times what is stored for it: the best that zlib does
# is 1032. Smaller ones are not worth a question [bytes].
EXPANSION, SMALL = 1100, 2**26
# A value of a configuration is no longer [elements].
VALUES = 2**21

# What h5py raises for files that are damaged or made up.
_TROUBLE = (
    OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError,
    MemoryError, SystemError,
)  # fmt: skip


def h5py() -> Any:
    """Return h5py, which is loaded where a file is read."""
    try:
        import h5py
    except ImportError as error:
        raise CalibError("HDF5 files need h5py: pip install 'cdb[hdf5]'") from error
    return h5py


def readable(path: Path | str) -> AbstractContextManager[None]:
    """Say in one sentence why a file cannot be read."""
    return told(path, "HDF5, it may be cut short or damaged", _TROUBLE)


def is_hdf5(path: Path) -> bool:
    """Return whether a file begins as HDF5 does, a user's block before it allowed for."""
    with path.open("rb") as file:
        size = path.stat().st_size
        offset = 0
        while offset < size:
            file.seek(offset)
            if file.read(8) == b"\x89HDF\r\n\x1a\n":
                return True
            offset = max(512, 2 * offset)
    return False


@dataclass(frozen=True)
class Dataset:
    """A dataset that was seen while looking through a file.

    Attributes
    ----------
    path : str
        In its file, with no slash at its beginning.
    """

    file: Path
    path: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def folder(self) -> str:
        """The group that holds it."""
        return self.path.rpartition("/")[0]

    @property
    def name(self) -> str:
        """What it is called in its group."""
        return self.path.rpartition("/")[2]

    @property
    def kind(self) -> str:
        """What its values are, in a word: ``uint16``, ``text``, ``(seconds, nanoseconds)``."""
        if self.dtype.names:
            return f"({', '.join(self.dtype.names)})"
        return {"O": "text or objects", "S": "text"}.get(self.dtype.kind, str(self.dtype))

    @property
    def holds_frames(self) -> bool:
        """Whether it has the form of frames: numbers, (n_frames, [n_panels,] n_rows, n_cols)."""
        return (
            len(self.shape) >= 3
            and self.dtype.kind in "iuf"
            and min(self.shape[-2:]) > 1
            and math.prod(self.shape[1:]) * self.dtype.itemsize <= FRAME_BYTES
        )


class Files:
    """The files of a run: opened on demand, a few at a time."""

    def __init__(self) -> None:
        self._open: OrderedDict[Path, Any] = OrderedDict()

    def get(self, path: Path) -> Any:
        """Return an open file."""
        if path in self._open:
            self._open.move_to_end(path)
            return self._open[path]
        while len(self._open) >= OPEN_FILES:
            self._open.popitem(last=False)[1].close()
        with readable(path):
            self._open[path] = h5py().File(path, "r")
        return self._open[path]

    def close(self) -> None:
        """Close all."""
        while self._open:
            self._open.popitem()[1].close()

    def look_through(self, path: Path, notes: list[str]) -> list[Dataset]:
        """Return the datasets of a file, each once, by name; what leads elsewhere is noted.

        Links are not followed: a dataset has a place in the file too, and what has none is
        another file's.
        """
        found: list[Dataset] = []
        library, seen = h5py(), 0

        def look(name: str, thing: Any) -> None:
            nonlocal seen
            seen += 1
            if seen > OBJECTS:
                raise BadFile(f"{path} has more than {OBJECTS} groups and datasets")
            if isinstance(thing, library.Dataset):
                shape = thing.shape
                if shape is None:  # it says that it is empty
                    return
                found.append(Dataset(path, name, tuple(map(int, shape)), thing.dtype))

        def look_at_link(name: str, link: Any) -> None:
            if isinstance(link, library.ExternalLink):
                notes.append(f"{path}: {name} leads to another file and was not followed")

        with readable(path):
            file = self.get(path)
            file.visititems(look)
            file.visititems_links(look_at_link)
        return sorted(found, key=lambda one: one.path)

    def open_dataset(self, file: Path, path: str) -> Any:
        """Return a dataset to read from, after it was made sure that this file holds its data.

        Raises
        ------
        BadFile
            If its data lie in another folder, or it claims what nothing stored could be.
        """
        with readable(file):
            dataset = self.get(file)[path]
            where = f"{file}: {path}"
            stored = dataset.id.get_storage_size()
            if dataset.external:
                raise BadFile(f"{where} has its data in another file; they are not read")
            if dataset.is_virtual:
                stored = sum(_sources(file, dataset, where))
            claimed = math.prod(map(int, dataset.shape)) * dataset.dtype.itemsize
            if claimed > max(SMALL, EXPANSION * stored):
                shape = "x".join(map(str, dataset.shape))
                raise BadFile(
                    f"{where} claims {shape} values of {dataset.dtype}, "
                    f"for which only {stored} bytes are stored"
                )
            return dataset

    def values(self, file: Path, path: str) -> npt.NDArray[Any] | None:
        """Return a small dataset of plain numbers or texts; None for anything else."""
        with readable(file):
            dataset = self.open_dataset(file, path)
            if dataset.size is None or dataset.size > VALUES:
                return None
            found: npt.NDArray[Any] = np.asarray(dataset[()])
            return found


def _sources(file: Path, dataset: Any, where: str) -> Iterator[int]:
    """Yield the lengths of the files that a virtual dataset is made of [bytes]."""
    folder = file.resolve().parent
    for name in {source.file_name for source in dataset.virtual_sources()}:
        target = file if name == "." else folder / name
        if target.resolve().parent != folder:
            raise BadFile(f"{where} is made of files in another folder ({name}); not read")
        yield target.stat().st_size if target.exists() else 0


# Frames that lie one after the other ------------------------------------------------------------


@dataclass(frozen=True)
class Piece:
    """Frames of one step that lie one after the other in one dataset.

    Attributes
    ----------
    start, stop : int
        The places of the first frame, and behind the last one.
    stamps : ndarray of uint64, shape (stop - start,)
    read : callable
        Returns the frames of a range of places: `data`, shape (n, [n_panels,] n_rows, n_cols),
        and `more` by name.
    """

    step: int
    start: int
    stop: int
    stamps: npt.NDArray[np.uint64]
    read: Callable[[int, int], tuple[npt.NDArray[Any], dict[str, npt.NDArray[Any]]]] = field(
        compare=False
    )


def blocks(pieces: Sequence[Piece], selection: Selection, n_frames: int) -> Iterator[Block]:
    """Yield the selected frames of pieces, at most `n_frames` in a block."""
    passed: dict[int, int] = {}
    for piece in pieces:
        before = passed.get(piece.step, 0)
        passed[piece.step] = before + piece.stop - piece.start
        if not selection.takes(piece.step):
            continue
        begin = piece.start + max(0, selection.skip - before)
        end = int(min(piece.stop, piece.start + selection.end - before))
        for start in range(begin, end, n_frames):
            stop = min(end, start + n_frames)
            data, more = piece.read(start, stop)
            stamps = piece.stamps[start - piece.start : stop - piece.start]
            yield Block(data, stamps, piece.step, more)


def read_range(dataset: Any, start: int, stop: int, *, entry: int | None = None) -> Any:
    """Return values of a dataset in the byte order of this machine.

    Parameters
    ----------
    entry : int, optional
        Of the second axis, which is left out then.
    """
    shape = dataset.shape[1:] if entry is None else dataset.shape[2:]
    where = (slice(start, stop),) if entry is None else (slice(start, stop), entry)
    data = np.empty((stop - start, *shape), dtype=dataset.dtype.newbyteorder("="))
    dataset.read_direct(data, source_sel=where)
    return data
