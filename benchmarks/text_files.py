"""Text files of arrays: our reader and writer beside numpy's, on the same numbers.

Run as ``python benchmarks/text_files.py``: 16 M values a file. Each file is read in turns by both;
what counts is the processor's time, since both compute in one thread and others may be at work.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from table import Row, Target, lines
from timing import medians

from cdb.files import text

SHAPE = (4000, 4000)
REPEATS = 5


def rows(shape: tuple[int, int] = SHAPE) -> list[Row]:
    """Measure reading of each kind of text, and writing of some."""
    pedestals = np.random.default_rng(1).normal(1000, 50, shape).astype(np.float32)
    status = (pedestals > 1100).astype(np.uint64)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "0-end.data"
        return [
            *(read_row(path, *case) for case in floats(pedestals)),
            *(read_plain_row(path, *case) for case in plain(pedestals)),
            read_row(path, "uint16, %d", pedestals.astype(np.uint16), None),
            read_row(path, "uint64, %d", status, None),
            write_row(path, "float32, shortest", pedestals, None, "%.9g"),
            write_row(path, "float32, %.3f", pedestals, "%.3f", "%.3f"),
            write_row(path, "uint64", status, None, "%d"),
        ]


def floats(
    pedestals: NDArray[np.float32],
) -> Iterator[tuple[str, NDArray[np.floating], str | None]]:
    """Yield kinds of float text: name, array, format."""
    yield "float32, shortest", pedestals, None
    for fmt in ("%.1f", "%.3f", "%8.2f", "%.6E", "%.18e"):
        yield f"float32, {fmt}", pedestals, fmt
    masked = pedestals.copy()
    masked[::7, ::13] = np.nan
    yield "float32 with 1 % nan", masked, None
    yield "float64, shortest", pedestals.astype(np.float64) / 3, None


def plain(pedestals: NDArray[np.float32]) -> Iterator[tuple[str, NDArray[np.floating], str]]:
    """Yield kinds of float text without a header: name, array, format."""
    yield "plain rows, %.3f", pedestals, "%.3f"
    yield "plain rows, %.9g", pedestals, "%.9g"
    yield "four columns, %.3f", pedestals.reshape(-1, 4), "%.3f"
    yield "a column, %.3f", pedestals.reshape(-1, 1), "%.3f"


def read_plain_row(path: Path, what: str, array: NDArray[np.generic], fmt: str) -> Row:
    np.savetxt(path, array, fmt)
    return read_times(path, what, array)


def read_row(path: Path, what: str, array: NDArray[np.generic], fmt: str | None) -> Row:
    text.write(path, array, fmt=fmt)
    return read_times(path, what, array)


def read_times(path: Path, what: str, array: NDArray[np.generic]) -> Row:
    ours, theirs = medians(
        lambda: text.read(path),
        lambda: np.loadtxt(path, array.dtype),
        repeats=REPEATS,
        clock=time.process_time,
    )
    target = Target(1.0, of="ratio") if array.dtype.kind == "f" else None
    return Row(f"read {what}", ours, "np.loadtxt", theirs, target)


def write_row(
    path: Path, what: str, array: NDArray[np.generic], fmt: str | None, numpy_fmt: str
) -> Row:
    ours, theirs = medians(
        lambda: text.write(path, array, fmt=fmt),
        lambda: np.savetxt(path, array, numpy_fmt),
        repeats=REPEATS,
        clock=time.process_time,
    )
    return Row(f"write {what}", ours, f"np.savetxt {numpy_fmt}", theirs)


def main() -> None:
    print(f"{SHAPE[0] * SHAPE[1]:,} numbers")
    print("\n".join(lines(rows())))


if __name__ == "__main__":
    main()
