"""Small files as those who take data write them, their values known by construction."""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

SECOND = 1_600_000_000
TRAIN = 10_000
TIMES = np.dtype([("seconds", "u4"), ("nanoseconds", "u4"), ("fiducials", "u4")])


def numbered(n: int, *shape: int, dtype: str = "u2") -> np.ndarray:
    """Return frames of which each pixel holds 100 times the place of its frame, plus its own."""
    pixels = np.arange(int(np.prod(shape))).reshape(shape) % 97
    return (100 * np.arange(n).reshape(-1, *(1,) * len(shape)) + pixels).astype(dtype)


def plain(path: Path, n: int = 6, **more: Any) -> Path:
    """Write frames with stamps in nanoseconds."""
    with h5py.File(path, "w") as file:
        file["frames"] = numbered(n, 4, 5)
        file["timestamp"] = SECOND * 10**9 + np.arange(n, dtype="u8")
        for name, value in more.items():
            file[name] = value
    return path


def laboratory(folder: Path, parts: Sequence[int] = (4, 2)) -> Path:
    """Write the parts of a laboratory's run; one frame of the last is damaged."""
    folder.mkdir(exist_ok=True)
    done = 0
    for part, n in enumerate(parts):
        path = folder / f"M304_m2_dark_tint150ns_00001_part{part:05}.nxs"
        with h5py.File(path, "w") as file:
            detector = file.create_group("entry/instrument/detector")
            detector["data"] = numbered(sum(parts), 8, 16, dtype="i2")[done : done + n]
            detector["sequence_number"] = np.arange(done + 1, done + n + 1)
            detector["collection/frame_numbers"] = [sum(parts)]
            detector["collection/error_code"] = np.arange(n) == n - 1
        done += n
    return folder


EPIX_CONFIG = np.dtype(
    [
        *[(f"_{name}", "u4") for name in
          ("version", "carrierId0", "carrierId1", "digitalCardId0", "digitalCardId1",
           "analogCardId0", "analogCardId1")],
        ("asics", [("trbit", "u1"), ("mask", "u1")], (4,)),
        ("asicPixelConfigArray", "u2", (352, 384)),
    ]
)  # fmt: skip


def epix_config(trbits: Sequence[int], map_: int) -> np.ndarray:
    """Return the configuration of an epix10ka panel, as it is translated to HDF5."""
    config = np.zeros((), dtype=EPIX_CONFIG)
    for place, name in enumerate(EPIX_CONFIG.names[:7]):
        config[name] = place + 1
    config["asics"]["trbit"] = trbits
    config["asicPixelConfigArray"] = map_
    return config


def jungfrau_config(gain_mode: str) -> np.ndarray:
    """Return the configuration of a jungfrau of two panels, as it is translated to HDF5."""
    modes = {"Normal": 0, "FixedGain1": 1, "FixedGain2": 2, "ForcedGain1": 3, "ForcedGain2": 4}
    panel = [("serialNumber", "u8"), ("moduleVersion", "u8"), ("firmwareVersion", "u8")]
    fields = [("biasVoltage", "u4"), ("gainMode", h5py.enum_dtype(modes)),
              ("moduleConfig", panel, (2,))]  # fmt: skip
    config = np.zeros((), dtype=fields)
    config["gainMode"] = modes[gain_mode]
    config["moduleConfig"]["serialNumber"] = [0x20004002C, 0x300]
    config["moduleConfig"]["moduleVersion"] = 0x8000000020000
    config["moduleConfig"]["firmwareVersion"] = 0x230920
    return config


def translated(
    path: Path,
    cycles: Mapping[int, int],
    *,
    source: str = "XcsEndstation.0:Epix10ka.1",
    frames: np.ndarray | None = None,
    config: np.ndarray | None = None,
    damaged: Sequence[int] = (),
) -> Path:
    """Write what LCLS-I's translator writes: a group a calibration cycle."""
    made, done = frames if frames is not None else numbered(sum(cycles.values()), 6, 7), 0
    with h5py.File(path, "w") as file:
        if config is not None:
            file[f"Configure:0000/{source.partition(':')[2]}::ConfigV3/{source}/config"] = config
        for cycle, n in cycles.items():
            above = file.create_group(f"Configure:0000/Run:0000/CalibCycle:{cycle:04}")
            controls = np.array([(b"gain", cycle / 2)], dtype=[("name", "S16"), ("value", "f8")])
            above["ControlData::ConfigV3/Control/pvControls"] = controls
            group = above.create_group(f"Epix::ElementV3/{source}")
            group["frame"] = made[done : done + n]
            group["environmentalRegisters"] = np.zeros((n, 1, 8), dtype="u4")
            times = np.zeros(n, dtype=TIMES)
            times["seconds"], times["nanoseconds"] = SECOND + cycle, np.arange(n)
            group["time"] = times
            group["_mask"] = (~np.isin(np.arange(done, done + n), damaged)).astype("u1")
            done += n
    return path


def euxfel(
    folder: Path,
    sources: Mapping[str, Mapping[str, np.ndarray]],
    *,
    counts: Sequence[int],
    aggregator: str = "AGIPD00",
    sequence: int = 0,
    run: int = 9,
    first: int = TRAIN,
    control: Mapping[str, Mapping[str, Any]] | None = None,
    flags: Sequence[int] | None = None,
    padding: int = 0,
    old: bool = False,
) -> Path:
    """Write a file of the European XFEL: `counts` entries of each source a train."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"RAW-R{run:04}-{aggregator}-S{sequence:05}.h5"
    n = len(counts)
    with h5py.File(path, "w") as file:
        file["INDEX/trainId"] = np.r_[first + np.arange(n), np.zeros(padding)].astype("u8")
        file["METADATA/proposalNumber"] = [900203]
        if not old:
            file["METADATA/dataFormatVersion"] = [b"1.2"]
            file["METADATA/creationDate"] = [b"20210304T050607Z"]
            stamps = SECOND * 10**9 + 10**8 * np.arange(n)
            file["INDEX/timestamp"] = np.r_[stamps, np.zeros(padding)].astype("u8")
            file["INDEX/flag"] = np.r_[flags or [1] * n, np.zeros(padding)].astype("i4")
        for source, keys in sources.items():
            part = next(iter(keys)).partition("/")[0]
            begin = np.r_[np.cumsum([0, *counts])[:-1], np.zeros(padding)].astype("u8")
            many = np.r_[counts, np.zeros(padding)].astype("u8")
            index = file.create_group(f"INDEX/{source}/{part}")
            index["first"] = begin
            if old:
                index["last"] = begin + np.maximum(many, 1) - 1
                index["status"] = (many > 0).astype("u4")
            else:
                index["count"] = many
            for key, values in keys.items():
                file[f"INSTRUMENT/{source}/{key}"] = values
        for device, values in (control or {}).items():
            for key, value in values.items():
                file[f"CONTROL/{device}/{key}/value"] = [value] * n
    return path


def agipd(n: int, module: int = 0) -> dict[str, dict[str, np.ndarray]]:
    """Return the entries of a module: analogue values, and gain signals 7 above them."""
    data = numbered(n, 8, 4)
    cells = np.arange(n, dtype="u2").reshape(-1, 1) % 3
    return {
        f"SPB_DET_AGIPD1M-1/DET/{module}CH0:xtdf": {
            "image/data": np.stack([data, data + 7], axis=1),
            "image/cellId": cells,
            "image/pulseId": cells.astype("u8") * 4,
        }
    }


def jungfrau(n: int, module: int = 1, cells: int = 2) -> dict[str, dict[str, np.ndarray]]:
    """Return the entries of a module; a third of its pixels is in range 1."""
    gain = np.zeros((n, cells, 6, 9), dtype="u1")
    gain[..., :3] = 1
    return {
        f"SPB_IRDA_JF4M/DET/JNGFR{module:02}:daqOutput": {
            "data/adc": numbered(n * cells, 6, 9).reshape(n, cells, 6, 9),
            "data/gain": gain,
            "data/memoryCell": np.tile(np.arange(cells, dtype="u1"), (n, 1)),
        }
    }


def datagrams(path: Path) -> list[bytes]:
    """Return the datagrams of a file, one by one."""
    whole, found = path.read_bytes(), []
    while whole:
        length = 12 + struct.unpack_from("<I", whole, 20)[0]
        found.append(whole[:length])
        whole = whole[length:]
    return found


def datagram(what: int, payload: bytes = b"", stamp: int = 5 << 32) -> bytes:
    """Return a datagram of xtc2 that holds one container of plain bytes, if any."""
    payload = payload and struct.pack("<IHHI", 0, 0, 3, 12 + len(payload)) + payload
    return struct.pack("<QIIHHI", stamp, what << 24, 0, 0, 0, 12 + len(payload)) + payload


def with_codes(path: Path, events: Sequence[Sequence[int]], cycle: int = 0) -> Path:
    """Add the event codes of a calibration cycle, as they are translated to HDF5."""
    event = np.dtype([("timestampHigh", "u4"), ("timestampLow", "u4"), ("eventCode", "u4")])
    rows = np.empty(len(events), dtype=[("fifoEvents", h5py.vlen_dtype(event))])
    for row, codes in enumerate(events):
        rows["fifoEvents"][row] = np.array([(1, 2, code) for code in codes], dtype=event)
    above = f"Configure:0000/Run:0000/CalibCycle:{cycle:04}/EvrData::DataV3/NoDetector.0:Evr.0"
    with h5py.File(path, "a") as file:
        file[f"{above}/data"] = rows
    return path
