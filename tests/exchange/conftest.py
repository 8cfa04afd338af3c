"""Fixtures of exchange: trees of LCLS-I, small ones that are written here and random ones."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from cdb.files import lcls1
from cdb.files.lcls1 import Skipped

EXPERIMENT = "cxi83714"
CSPAD = "CxiDs1.0:Cspad.0"
PEDESTALS = f"CsPad::CalibV1/{CSPAD}/pedestals"


def array_text(value: float) -> str:
    return (
        f"# COMMENT  made up {value}\n\n# DTYPE       float32\n# NDIM        2\n"
        f"# DIM:0       2\n# DIM:1       2\n{value} 0.1\n-1.5 nan\n"
    )


def write(path: Path, text: str | bytes, time: int = 1_400_000_000) -> Path:
    """Write a file of a tree with a time of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    os.utime(path, (time, time))
    return path


def ignore(_: Skipped) -> None:
    """Let pass what a tree has besides."""


def folders_of(calib: Path) -> list[lcls1.Folder]:
    return list(lcls1.walk(calib, ignore))


def edges_of(calib: Path) -> list[int]:
    """Return the runs at which any choice can change, and those around them."""
    edges = {0, 1, 9999, 10_000, 20_000}
    for folder in folders_of(calib):
        for file in lcls1.valid_files(folder.path, ignore):
            ends = [file.runs.begin, *([file.runs.end] if file.runs.end < 10_000 else [])]
            edges |= {int(end) + step for end in ends for step in (-1, 0, 1)}
    return sorted(run for run in edges if run >= 0)


@pytest.fixture
def calib(tmp_path: Path) -> Path:
    """A tree with all that trees have: backups, spellings, two groups, HISTORY alone, old types."""
    calib = tmp_path / "tree" / "calib"
    folder = calib / PEDESTALS
    write(folder / "0-end.data", array_text(1))
    write(folder / "5-20.data", array_text(2))
    write(folder / "8-12.data", array_text(3))
    write(folder / "8-9999.data", array_text(4))
    write(folder / "008-end.data", array_text(5))
    write(folder / "0-end.data-2014-05-06T07:08:09", array_text(6))
    write(folder / "30-40.data-2014-05-06T07:08:09", array_text(7))
    write(
        folder / "HISTORY",
        "file:0-end.data  copy_of:x.txt  exp:cxi83714  run:0007  app:deploy  user:me  host:here  "
        "cptime:2013-01-02T03:04:05  zone:PST  comment:the first\n"
        "file:0-end.data  copy_of:y.txt  exp:cxi83714  run:0008  app:deploy  user:you  host:here  "
        "cptime:2014-05-06T07:08:09  zone:PDT  comment:taken again: dark\n",
    )
    write(calib / f"CsPad::CalibV1/{CSPAD}/geometry/0-end.data", b"# TITLE 5 \xb5m\r\n\r\n")
    write(calib / f"CsPad::CalibV1/{CSPAD}/center/1-end.data", "1 2 3\n4 5 6")
    write(calib / f"CsPad::CalibV1/{CSPAD}/pixel_gain/HISTORY", "file:1-end.data cmd:rm")
    mask = "# DTYPE uint8_t\n# NDIM 1\n# DIM:0 3\n1 0 1\n"
    write(calib / f"CsPad::CalibV1/{CSPAD}/pixel_mask/3-end.data", mask)
    common = calib / f"CsPad::CalibV1/{CSPAD}/common_mode"
    write(common / "0-end.data", "# any comment\n4 6 30 10\n")
    write(calib / "iStar::CalibV1/XcsEndstation.0:iStar.0/pedestals/0-end.data", array_text(8))
    write(calib / "Camera::CalibV1/XcsEndstation.0:iStar.0/pedestals/4-end.data", array_text(9))
    write(calib / "iStar::CalibV1/XcsEndstation.0:iStar.0/pixel_rms/0-end.data", array_text(10))
    return calib


NAMES = st.builds(
    lambda first, length, spelling: spelling.format(
        first, first + length, "end" if length > 6 else first + length
    ),
    st.integers(0, 12),
    st.integers(0, 9),
    st.sampled_from(["{0}-{1}.data", "{0}-{2}.data", "{0:03}-{1:04}.data", "{0}-9999.data"]),
)
LISTINGS = st.lists(NAMES, max_size=7, unique=True)


@pytest.fixture
def xtcav_tree(calib: Path) -> Path:
    """A tree with constants of XTCAV beside those of its camera."""
    from cdb.files import xtcav

    camera = "XrayTransportDiagnostic.0:Opal1000.0"
    folder = calib / f"Xtcav::CalibV1/{camera}/pedestals"
    folder.mkdir(parents=True)
    xtcav.write(folder / "3-end.data", {"ROI": {"x0": 5, "x1": 9}, "image": np.ones((2, 3))})
    write(calib / f"Camera::CalibV1/{camera}/pedestals/0-end.data", array_text(11))
    return calib
