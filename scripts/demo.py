"""The main job on a store in a folder: add constants, get them back, use them in analysis.

Usage: python scripts/demo.py [CALIB_FOLDER]

CALIB_FOLDER is an LCLS-I calibration tree (<group>/<source>/<type>/<begin>-<end>.data); without
one, small files are made. The store is a temporary folder, gone at the end.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

EXPERIMENT = "xppn4116"
# A short name for each source: this demonstration brings its own table.
DETECTORS = {"Epix100a": "epix100a_000001", "Epix10kaQuad": "epix10kaquad_000001",
             "Jungfrau": "jungfrau_000001"}  # fmt: skip
SESSION = """\
import cdb
det = cdb.open().detector("{detector}", experiment="{experiment}", run=137)
data, meta = det.calibconst["{ctype}"]
print(det.calibconst)
print(data.dtype, data.shape, "runs", meta["run"], "to", meta["run_end"])
"""


def run(*command: str) -> str:
    """Show a command and run it; return what it printed."""
    print(f"\n$ {' '.join(command)}", flush=True)
    shown = subprocess.run(command, check=True, capture_output=True, text=True)
    print(shown.stdout, end="")
    print(shown.stderr, end="", file=sys.stderr)
    return shown.stdout


def files_of(tree: Path) -> list[tuple[Path, str, str, str, str]]:
    """Return file, detector, type, first and last run of each constant in a tree."""
    found = []
    for path in sorted(tree.glob("*::CalibV1/*/*/*.data")):
        begin, end = path.stem.split("-")
        detector = DETECTORS.get(path.parts[-4].partition("::")[0])
        if detector:
            found.append((path, detector, path.parent.name, begin, end))
    return found


def made_tree(folder: Path) -> Path:
    """Write a small tree in the same layout."""
    source = folder / "Epix100a::CalibV1" / "XppGon.0:Epix100a.1"
    for ctype, value in (("pedestals", 100.25), ("pixel_rms", 2.5), ("pixel_status", 0)):
        (source / ctype).mkdir(parents=True)
        np.savetxt(source / ctype / "0-end.data", np.full((4, 6), value))
    return folder


def main(tree: Path) -> None:
    """Add what the tree holds, and use it."""
    with tempfile.TemporaryDirectory(prefix="cdb-demo-") as folder:
        if not tree.is_dir():
            tree = made_tree(Path(folder) / "calib")
        os.environ["CDB_URL"] = (Path(folder) / "store").as_uri()
        cdb = str(Path(sys.executable).parent / "cdb")
        run(cdb, "info")
        constants = files_of(tree)
        for path, detector, ctype, begin, end in constants:
            run(cdb, "add", "-e", EXPERIMENT, "-d", detector, "-c", ctype, "-r", begin,
                "-R", end, "-f", str(path))  # fmt: skip
        run(cdb, "ls", "-e", EXPERIMENT)
        path, detector, ctype, _, _ = max(constants, key=lambda found: found[0].stat().st_size)
        run(cdb, "get", "-e", EXPERIMENT, "-d", detector, "-c", ctype, "-r", "137",
            "-f", str(Path(folder) / "got"))  # fmt: skip
        run(cdb, "explain", "-e", EXPERIMENT, "-d", detector, "-c", ctype, "-r", "137")
        session = SESSION.format(detector=detector, experiment=EXPERIMENT, ctype=ctype)
        print("\n" + "\n".join(f">>> {line}" for line in session.splitlines()), flush=True)
        subprocess.run([sys.executable, "-c", session], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "calib"))
