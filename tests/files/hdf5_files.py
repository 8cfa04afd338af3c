"""Small HDF5 files as the old programs wrote them, and as nobody should."""

from pathlib import Path

import numpy as np
import pytest

h5py = pytest.importorskip("h5py", reason="HDF5 files need h5py")


def fixed(text: str) -> np.ndarray:
    """Return a text as the dcs writer stores it: one of fixed length, shape (1,)."""
    return np.array([text.encode()])


def number(value: float) -> np.ndarray:
    return np.array([value])


def write_dcs(path: Path, ctypes: dict, **fields: object) -> Path:
    """Write a dcs file of ranges by type: ``{ctype: [(begin, end, {version: data})]}``."""
    with h5py.File(path, "w") as file:
        about = {"dettype": "epix100a", "detid": "3925868555", "tscfile": 1474587520.25} | fields
        for name, value in about.items():
            file[name] = fixed(value) if isinstance(value, str) else number(value)
        file["_history/1474587520.250000"] = fixed("add ctype pedestals")
        for ctype, ranges in ctypes.items():
            group = file.create_group(ctype)
            group["ctype"] = fixed(ctype)
            for begin, end, versions in ranges:
                write_range(group, begin, end, versions)
    return path


def write_range(group, begin: float, end: float | str, versions: dict, default: int = 0):
    """Write a range and its versions; return its group."""
    last = "end" if end == "end" else f"{int(np.ceil(end))}"
    made = group.create_group(f"{int(np.floor(begin))}-{last}")
    made["begin"] = number(begin)
    made["end"] = fixed("end") if end == "end" else number(end)
    made["range"] = fixed(made.name.rpartition("/")[2])
    made["versdef"] = number(default)
    made["_parameters/experiment"] = fixed("xpptut15")
    made["_parameters/run"] = fixed("54")
    for version, data in versions.items():
        made[f"v{version:04d}/version"] = number(version)
        made[f"v{version:04d}/tsprod"] = number(1474587521.5)
        made[f"v{version:04d}/data"] = fixed(data) if isinstance(data, str) else data
    return made
