"""HDF5 files from outside: their groups and datasets, as plain values; nothing in them is trusted.

A file may claim more data than it holds, name other files, or hold a group inside itself. Here
it is read only as far as it is a tree of its own groups and datasets, of a size that fits.
h5py, the extra ``[hdf5]``, is loaded when a file is opened.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from cdb.errors import BadFile, CalibError, shown

MAX_OBJECTS = 100_000  # groups and datasets of a file
MAX_DEPTH = 50  # groups inside each other
MAX_PROMISED = 2**28  # bytes beyond those that a file really holds

# What h5py and the library under it raise for files that are damaged or made up.
_TROUBLE = (
    OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError,
)  # fmt: skip


def h5py() -> Any:
    """Return the module h5py.

    Raises
    ------
    CalibError
        If it is not installed; the sentence says how it is.
    """
    try:
        import h5py
    except ImportError as error:
        raise CalibError("HDF5 files need h5py: pip install 'cdb[hdf5]'") from error
    return h5py


class File:
    """An open HDF5 file; a context manager.

    Parameters
    ----------
    path : Path
        The file.

    Attributes
    ----------
    path : Path
        Of the file.
    root : h5py.Group
        What holds all the rest.

    Raises
    ------
    BadFile
        If it is no HDF5 file, here and in all methods if it is a damaged or hostile one.
    OSError
        If it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._nbytes = path.stat().st_size
        with path.open("rb"):
            pass  # what keeps it from being opened, Python says better
        self._h5py = h5py()
        self._seen: dict[int, str] = {}
        self._n_objects = self._promised = 0
        with self._said_of("/"):
            # Nobody writes while we read, and some file systems have no locks.
            self.root = self._h5py.File(path, "r", locking=False)

    def __enter__(self) -> "File":
        """Return the file itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.root.close()

    def error(self, name: str, sentence: str) -> BadFile:
        """Return an error that says where in the file something is."""
        where = f", {shown(name)}" if name != "/" else ""
        return BadFile(f"{self.path}{where}: {sentence}")

    def children(self, group: Any) -> dict[str, Any]:
        """Return the groups and datasets of a group, in the order of their names.

        Each group may be asked once.
        """
        with self._said_of(group.name):
            self._enter(group)
            names = sorted(group)
            links = [group.get(name, getlink=True) for name in names]
        for name, link in zip(names, links, strict=True):
            if not isinstance(link, self._h5py.HardLink):
                raise self.error(
                    f"{group.name.rstrip('/')}/{name}",
                    "is a link to somewhere else, which is not followed",
                )
        with self._said_of(group.name):
            found = {name: group[name] for name in names}
        for name, child in found.items():
            if not isinstance(child, self._h5py.Group | self._h5py.Dataset):
                raise self.error(f"{group.name}/{name}", "is neither a group nor a dataset")
        return found

    def is_group(self, child: Any) -> bool:
        """Return whether a child is a group."""
        return isinstance(child, self._h5py.Group)

    def value(self, dataset: Any) -> Any:
        """Return what a dataset holds.

        Returns
        -------
        value : ndarray, NumPy scalar, str, or lists of str
            Texts of any length are str; those of a fixed length stay bytes of NumPy.
        """
        with self._said_of(dataset.name):
            dtype = dataset.dtype
            text = self._h5py.check_string_dtype(dtype)
            if dataset.shape is None:
                raise self.error(dataset.name, "has a type, but no value")
            if dataset.is_virtual or dataset.external:
                raise self.error(dataset.name, "has its data in another file")
            claimed = math.prod(dataset.shape) * dtype.itemsize
            held = min(dataset.id.get_storage_size(), self._nbytes)
            self._promise(dataset, max(0, claimed - held))
            if text is not None and text.length is None:
                return self._texts(dataset)
            if dtype.hasobject:
                raise self.error(
                    dataset.name, f"has the type {dtype}: references, or lists of any length"
                )
            return dataset[()]

    def _texts(self, dataset: Any) -> Any:
        texts, as_text = np.empty(dataset.shape, object), dataset.asstr()
        for index in np.ndindex(dataset.shape):
            texts[index] = as_text[index]
            # The same text may stand in the file once, and be meant a million times.
            self._promise(dataset, len(texts[index]))
        return texts.tolist()

    def _enter(self, group: Any) -> None:
        # Else a group inside itself would be read for ever.
        info = self._h5py.h5o.get_info(group.id)
        if info.addr in self._seen:
            raise self.error(group.name, f"is the same group as {shown(self._seen[info.addr])}")
        self._seen[info.addr] = group.name
        self._n_objects += len(group)
        if group.name.count("/") > MAX_DEPTH or self._n_objects > MAX_OBJECTS:
            raise self.error(
                group.name,
                f"more than {MAX_DEPTH} groups are inside each other, or {MAX_OBJECTS} objects in "
                "the file",
            )

    def _promise(self, dataset: Any, nbytes: int) -> None:
        if self._promised + nbytes > MAX_PROMISED:
            raise self.error(
                dataset.name,
                f"promises data of shape {shown(dataset.shape)} and type {dataset.dtype}, of which "
                "the file holds next to nothing",
            )
        self._promised += nbytes

    @contextmanager
    def _said_of(self, name: str) -> Iterator[None]:
        try:
            yield
        except CalibError:
            raise
        except _TROUBLE as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise self.error(name, f"cannot be read as HDF5: {reason[:200]}") from None
