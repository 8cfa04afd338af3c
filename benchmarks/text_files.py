"""Text files of arrays: our reader and writer beside numpy's, on the same numbers.

Run as ``python benchmarks/text_files.py``.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cdb.files import text

SHAPE = (4000, 1000)
REPEATS = 3

Row = tuple[str, float, str, float]


def seconds(action: Callable[[], object]) -> float:
    """Return the shortest time of a few runs."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def rows(shape: tuple[int, int] = SHAPE) -> list[Row]:
    """Measure: what, our seconds, the alternative's name, its seconds."""
    pedestals = np.random.default_rng(1).normal(1000, 50, shape).astype(np.float32)
    status = (pedestals > 1100).astype(np.uint64)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "0-end.data"
        return [
            read_row(path, "float32, shortest", pedestals, None),
            read_row(path, "float32, %.3f", pedestals, "%.3f"),
            read_row(path, "float32, %.18e", pedestals, "%.18e"),
            read_row(path, "float64, shortest", pedestals.astype(np.float64) / 3, None),
            read_row(path, "uint64", status, None),
            write_row(path, "float32, shortest", pedestals, None, "%.9g"),
            write_row(path, "float32, %.3f", pedestals, "%.3f", "%.3f"),
            write_row(path, "uint64", status, None, "%d"),
        ]


def read_row(path: Path, what: str, array: np.ndarray, fmt: str | None) -> Row:
    text.write(path, array, fmt=fmt)
    ours = seconds(lambda: text.read(path))
    return f"read {what}", ours, "np.loadtxt", seconds(lambda: np.loadtxt(path, array.dtype))


def write_row(path: Path, what: str, array: np.ndarray, fmt: str | None, numpy_fmt: str) -> Row:
    ours = seconds(lambda: text.write(path, array, fmt=fmt))
    theirs = seconds(lambda: np.savetxt(path, array, numpy_fmt))
    return f"write {what}", ours, f"np.savetxt {numpy_fmt}", theirs


def main() -> None:
    print(f"{SHAPE[0] * SHAPE[1]:,} numbers")
    for what, ours, name, theirs in rows():
        print(f"{what:25} {ours:6.2f} s   {name:16} {theirs:6.2f} s   ratio {ours / theirs:.2f}")


if __name__ == "__main__":
    main()
