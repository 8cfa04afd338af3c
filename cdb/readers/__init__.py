"""Runs and their raw frames: HDF5, the European XFEL's folders, xtc2.

>>> run = open_run("no/such/run.h5")
Traceback (most recent call last):
    ...
cdb.errors.BadFile: there is no file or folder no/such/run.h5
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from cdb.errors import BadQuestion
from cdb.readers.datasets import EUXFEL, XTC2, RunFiles, below, find, named
from cdb.readers.frames import Block, Key, Run, Source, Step

__all__ = [
    "Block", "Key", "Run", "RunFiles", "Source", "Step", "below", "find", "open_files", "open_run",
    "open_runs",
]  # fmt: skip


def open_run(spec: str | Path, *, advance: Callable[[int], object] | None = None) -> Run:
    """Open a run.

    Parameters
    ----------
    spec : str or Path
        A file (HDF5, xtc2); a folder with the files of one run; or the text of a dataset,
        ``exp=xpptut15:run=54:dir=/some/folder``. Without ``dir`` the folder is ``<INS>/<exp>/xtc``
        below SIT_PSDM_DATA.
    advance : callable, optional
        Called with the number of bytes that were looked through since the last call.

    Returns
    -------
    run : Run
        To be closed; a context manager.

    Raises
    ------
    BadFile
        If there is no run, or it cannot be read.
    BadQuestion
        If there are several.
    CalibError
        If an extra is missing: ``hdf5`` or ``psana``.
    """
    runs = find(spec)
    if len(runs) > 1:
        raise BadQuestion(f"{spec} has {len(runs)} runs; give one of {named(runs)}")
    return open_files(runs[0], advance=advance)


def open_runs(spec: str | Path, *, advance: Callable[[int], object] | None = None) -> Iterator[Run]:
    """Yield the runs that a file, a folder or a dataset has, each open until the next is asked for.

    Parameters and errors are those of `open_run`, but that several runs are fine.
    """
    for files in find(spec):
        with open_files(files, advance=advance) as run:
            yield run


def open_files(files: RunFiles, *, advance: Callable[[int], object] | None = None) -> Run:
    """Open the run that some files are."""
    if files.kind == XTC2:
        from cdb.readers.xtc2 import Xtc2Run

        run: Run = Xtc2Run(files.files, advance)
    elif files.kind == EUXFEL or _has_trains(files.files[0]):
        from cdb.readers.euxfel import EuxfelRun

        run = EuxfelRun(files.files, advance)
    else:
        from cdb.readers.hdf5 import Hdf5Run

        run = Hdf5Run(files.files, advance)
    if run.number is None:
        run.number = files.run
    return run


def _has_trains(path: Path) -> bool:
    """Return whether a file that is called otherwise is one of the European XFEL."""
    from cdb.readers.hdf5_files import h5py, readable

    with readable(path), h5py().File(path, "r") as file:
        return "INDEX/trainId" in file and "METADATA" in file
