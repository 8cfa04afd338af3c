"""The main job on a store in a folder: add constants, get them back, use them in analysis.

Usage: python scripts/demo.py [CALIB_FOLDER]

CALIB_FOLDER is an LCLS-I calibration tree (<group>/<source>/<type>/<begin>-<end>.data); without
one, small files are made. The store is a temporary folder, gone at the end.
"""

import code
import filecmp
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cdb.files import text

EXPERIMENT = "xppn4116"
RUN = 137
# A short name for each kind of source: this demonstration brings its own table.
DETECTORS = {
    "Epix100a": "epix100a_000001",
    "Epix10kaQuad": "epix10kaquad_000001",
    "Jungfrau": "jungfrau_000001",
}
GEOMETRY = "# TITLE one panel\nIP 0  EPIX100:V1 0  0 0 -100000  90 180 0  0 0 0\n"
SESSION = """\
import cdb
det = cdb.open().detector("{detector}", experiment="{experiment}", run={run})
det.calibconst
data, meta = det.calibconst["{ctype}"]
data.shape, data.dtype, meta["run"], meta["run_end"], meta["sha256"][:8], det.seq
"""


@dataclass(frozen=True)
class File:
    """A file of an LCLS-I calibration tree."""

    path: Path
    detector: str
    ctype: str
    begin: str
    end: str


def files_of(tree: Path) -> Iterator[File]:
    """Yield the constants in a tree."""
    for path in sorted(tree.glob("*::CalibV1/*/*/*-*.data")):
        detector = DETECTORS.get(path.parts[-4].partition("::")[0])
        if detector:
            begin, end = path.stem.split("-")
            yield File(path, detector, path.parent.name, begin, end)


def made_tree(folder: Path) -> Path:
    """Write a small tree in the same layout."""
    source = folder / "Epix100a::CalibV1" / "XppGon.0:Epix100a.1"
    arrays = {
        "pedestals": np.full((4, 6), 100.25, "float32"),
        "pixel_rms": np.full((4, 6), 2.5, "float32"),
        "pixel_status": np.eye(4, 6, dtype="uint64"),
    }
    for ctype, array in arrays.items():
        (source / ctype).mkdir(parents=True)
        text.write(source / ctype / "0-end.data", array)
    (source / "geometry").mkdir()
    (source / "geometry" / "0-end.data").write_text(GEOMETRY)
    return folder


def title(words: str) -> None:
    """Print what comes next."""
    print(f"\n── {words} {'─' * (76 - len(words))}", flush=True)


def type_in(*arguments: str, folder: Path | None = None) -> None:
    """Show a command as it is typed, and run it, in a folder."""
    print(f"$ {shlex.join(['cdb', *arguments])}", flush=True)
    program = Path(sys.executable).with_name("cdb").absolute()
    subprocess.run([program, *arguments], check=True, cwd=folder)


def session(lines: str) -> None:
    """Show lines of Python as they are typed, and run them."""
    console = code.InteractiveConsole()
    for line in lines.splitlines():
        print(f">>> {line}")
        console.push(line)


def main(tree: Path, folder: Path) -> None:
    """Add what a tree holds to a store in a folder, get it back and use it."""
    os.environ["CDB_URL"] = (folder / "store").as_uri()
    os.environ.setdefault("COLUMNS", "110")
    files = list(files_of(tree)) or list(files_of(made_tree(folder)))
    title("which store")
    type_in("info")
    for file in files:
        title(f"{file.ctype} of {file.detector}")
        type_in(
            "add", "-e", EXPERIMENT, "-d", file.detector, "-c", file.ctype, "-r", file.begin,
            "-R", file.end, "-f", str(file.path),
        )  # fmt: skip
    title("what there is")
    type_in("ls", "-e", EXPERIMENT)
    largest = max(files, key=lambda file: file.path.stat().st_size)
    which = ["-e", EXPERIMENT, "-d", largest.detector, "-c", largest.ctype, "-r", str(RUN)]
    title(f"what holds for run {RUN}, and why")
    type_in("explain", *which)
    title("and back again")
    type_in("get", *which, "-f", "got", folder=folder)
    geometry = next(file for file in files if file.ctype == "geometry")
    type_in("get", "-d", geometry.detector, "-c", "geometry", "-f", "geometry", folder=folder)
    same = filecmp.cmp(geometry.path, folder / "geometry.txt", shallow=False)
    print(f"  {'the same bytes as' if same else 'DIFFERS FROM'} the file that was added")
    title("in analysis")
    session(SESSION.format(
        detector=largest.detector, experiment=EXPERIMENT, run=RUN, ctype=largest.ctype
    ))  # fmt: skip


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="cdb-demo-") as temporary:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else "calib"), Path(temporary))
