"""psana 4.3.4 reads what we write, and we read what it writes: one process of psana for all."""

import json
import random
import subprocess

import numpy as np
import pytest

from cdb.files import formats, lcls1, text, xtcav

RNG = np.random.default_rng(4)
ARRAYS = {
    "float32": RNG.normal(1000, 50, (2, 3, 4)).astype(np.float32),
    "float64": RNG.normal(0, 1e-9, (5, 2)),
    "float16": RNG.normal(0, 9, (2, 2)).astype(np.float16),
    "not-finite": np.array([[np.nan, np.inf], [-np.inf, -0.0]], np.float32),
    "uint16": RNG.integers(0, 2**16, (3, 4)).astype(np.uint16),
    "int64": np.array([[-(2**53), 2**53]]),
    "bool": np.array([[True, False], [False, True]]),
    "row": np.arange(7, dtype=np.float32),
    "row-of-2-d": np.arange(4, dtype=np.float32).reshape(1, 4),
    "column": np.arange(4, dtype=np.float64).reshape(4, 1),
}
NESTED = {
    "ROI": {"x0": 10, "xN": 1024},
    "calibration": {"units": {"name": "fs", "umperpix": 0.25}},
    "image": RNG.normal(0, 1, (4, 5)),
    "version": 0,
}


def listings() -> list[list[str]]:
    """Return folders as runs leave them, each runs in one spelling: of two psana takes any."""
    rng, found = random.Random(3), []
    for _ in range(150):
        folder = {}
        for _ in range(rng.randrange(9)):
            begin = rng.choice([*range(12), 9998, 9999, 10_000])
            end = rng.choice([*range(12), "end", "end", "END", "", 9998, 9999, 10_000])
            suffix = rng.choice([".data"] * 7 + [".data~", ".DATA", ".data-2016-01-02T03:04:05"])
            name = f"{rng.choice(['', '', '00'])}{begin}-{end}{suffix}"
            folder[begin, 9999 if end == "end" else end, suffix] = name
        odd = ["HISTORY", "-5.data", "5.data", "5-6-7.data", ".5-end.data", ".data", "x-end.data"]
        found.append([*folder.values(), *rng.sample(odd, 2)])
    return found


LISTINGS = listings()
RUNS = [*range(13), 9998, 9999, 20_000]

PROGRAM = """
import json, sys
import numpy as np
from psana.pscalib.calib.NDArrIO import load_txt, load_txt_v2, save_txt
# Not XtcavUtils around it, which asks numpy for what numpy 2 has not.
from psana.pscalib.calib.XtcavConstants import Empty, Load, Save

def told(array):
    return [str(array.dtype), list(array.shape), array.tobytes().hex()]

def plain(value):
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return told(value)
    return value.decode() if isinstance(value, bytes) else value.item()

arrays, nested = json.loads(sys.argv[1]), json.loads(sys.argv[2])
answer = {"load_txt": {}, "load_txt_v2": {}}
for name in arrays:
    answer["load_txt"][name] = told(load_txt(f"ours/{name}"))
    answer["load_txt_v2"][name] = told(load_txt_v2(f"ours/{name}"))
    array = np.load(f"ours/{name}.npy")
    save_txt(f"theirs/{name}", array.copy(), cmts=["TITLE of it"], fmt="%.18e")
    save_txt(f"theirs/{name}-short", array.copy(), fmt="%.1f")
answer["xtcav"] = plain(vars(Load("ours/xtcav")))
constants = Empty()
vars(constants).update(nested, image=np.load("ours/image.npy"))
Save(constants, "theirs/xtcav")

from psana.pscalib.calib import CalibFileFinder as finder

class File(finder.CalibFile):
    # Without its faults: it has no order, and stumbles over what it says of a bad name.
    def __init__(self, path):
        try:
            super().__init__(path, pbits=0)
        except TypeError:
            self.valid = False

    def __lt__(self, other):
        return self.__cmp__(other) < 0

finder.CalibFile = File
listings, runs = json.loads(sys.argv[3]), json.loads(sys.argv[4])
choose = finder.CalibFileFinder("calib", "group", pbits=0).selectCalibFile
answer["chosen"] = [[choose(files, min(run, 9999)) for run in runs] for files in listings]
print(json.dumps(answer))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("exchange")


@pytest.fixture(scope="module")
def told(psana_python, folder):
    """Write our files, let psana read them and write its own; give what it read."""
    for name in ("ours", "theirs"):
        (folder / name).mkdir()
    for name, array in ARRAYS.items():
        text.write(folder / "ours" / name, array, comments=["TITLE of it"])
        np.save(folder / "ours" / f"{name}.npy", array)
    np.save(folder / "ours" / "image.npy", NESTED["image"])
    xtcav.write(folder / "ours" / "xtcav", NESTED)
    rest = {name: value for name, value in NESTED.items() if name != "image"}
    done = subprocess.run(
        [psana_python, "-c", PROGRAM, *map(json.dumps, ([*ARRAYS], rest, LISTINGS, RUNS))],
        cwd=folder, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def bits(array: np.ndarray) -> list[object]:
    return [str(array.dtype), list(array.shape), array.tobytes().hex()]


@pytest.mark.parametrize("name", ARRAYS)
def test_psana_reads_what_we_write_to_the_bit(told, name):
    assert told["load_txt"][name] == bits(ARRAYS[name])


@pytest.mark.parametrize("name", ARRAYS)
def test_psanas_reader_by_numpy_reads_the_same_numbers(told, name):
    # As LCLS-I's own it leaves arrays of two dimensions as numpy.loadtxt has them.
    dtype, _, found = told["load_txt_v2"][name]
    assert (dtype, found) == (str(ARRAYS[name].dtype), ARRAYS[name].tobytes().hex())


@pytest.mark.parametrize("name", ARRAYS)
def test_we_read_what_psana_writes_to_the_bit(told, folder, name):
    assert bits(text.read(folder / "theirs" / name)) == bits(ARRAYS[name])


@pytest.mark.parametrize("name", ARRAYS)
def test_we_read_what_psana_writes_short(told, folder, name):
    array = text.read(folder / "theirs" / f"{name}-short")
    assert (array.dtype, array.shape) == (ARRAYS[name].dtype, ARRAYS[name].shape)
    np.testing.assert_allclose(array, ARRAYS[name], atol=0.051, rtol=1e-3)


def test_psana_reads_our_xtcav_files(told):
    expected = NESTED | {"image": bits(NESTED["image"])}
    assert told["xtcav"] == expected


def test_we_read_psanas_xtcav_files(told, folder):
    found = formats.read(folder / "theirs" / "xtcav")
    assert found.pop("image").tobytes() == NESTED["image"].tobytes()
    assert found == {name: value for name, value in NESTED.items() if name != "image"}


def test_psana_chooses_the_same_files(told, tmp_path):
    chosen = []
    for number, files in enumerate(LISTINGS):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name in files:
            (folder / name).touch()
        found = [lcls1.choose_file(folder, run, report=lambda skipped: None) for run in RUNS]
        chosen.append([path.name if path else "" for path in found])
    assert chosen == told["chosen"]
    assert sum(map(bool, sum(chosen, []))) > 500
