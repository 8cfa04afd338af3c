"""``cdb dcs``: what is in a dcs file, and one constant out of it."""

import json

import numpy as np
import pytest

from cdb.files import text
from tests.files.hdf5_files import fixed, h5py, write_dcs

BEGIN = 1474587520.25
PEDS = np.arange(6, dtype=np.float32).reshape(2, 3)
GEOMETRY = "IP 0  EPIX100:V1 0  0 0 -100000  90 180 0  0 0 0\n"


@pytest.fixture
def file(tmp_path):
    ranges = [(BEGIN, "end", {1: PEDS, 2: PEDS + 1}), (BEGIN + 100, BEGIN + 200, {1: PEDS / 3})]
    geometry = [(1400000000.0, "end", {1: GEOMETRY})]
    return write_dcs(tmp_path / "x.h5", {"geometry": geometry, "pedestals": ranges})


def test_show_prints_a_line_for_each_range(cdb, file):
    done = cdb("dcs", "show", str(file))
    assert done.exit_code == 0
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["detector", "epix100a-3925868555"]
    assert lines[3][:6] == ["geometry", "1400000000-end", "1*", "xpptut15", "54", "2014-05-13"]
    assert lines[4][:5] == ["pedestals", "1474587520-end", "1,", "2*", "xpptut15"]
    assert lines[5][-5:] == ["2016-09-22", "23:40:20Z", "to", "2016-09-22", "23:42:00Z"]


def test_show_gives_the_whole_tree_as_json(cdb, file):
    done = cdb("dcs", "show", str(file), "-c", "pedestals", "--json")
    said = json.loads(done.stdout)
    assert [*said["ctypes"]] == ["pedestals"]
    first = said["ctypes"]["pedestals"]["ranges"][0]
    assert (first["begin"], first["end"], first["default"]) == (BEGIN, None, 2)
    assert first["versions"][0]["made"] == 1474587521.5
    assert said["history"] == [[1474587520.25, "add ctype pedestals"]]


def test_show_prints_the_history(cdb, file):
    done = cdb("dcs", "show", str(file), "--history")
    words = done.stdout.split()
    at = words.index("add")
    assert words[at - 2 : at + 3] == ["2016-09-22", "23:38:40Z", "add", "ctype", "pedestals"]


def test_what_is_left_out_is_told_on_stderr(cdb, file):
    with h5py.File(file, "r+") as opened:
        del opened["pedestals/1474587520-end/begin"]
        opened["pedestals/1474587620-1474587721/begin"][0] = 1e300
    done = cdb("dcs", "show", str(file))
    assert (done.exit_code, "1474587520-end" in done.stdout) == (0, False)
    assert "warning: left out" in done.stderr
    assert "1e+300 s" in done.stdout


def test_get_writes_the_constant_that_holds_at_a_time(cdb, file, tmp_path):
    where = str(tmp_path / "peds")
    done = cdb("dcs", "get", str(file), "-c", "pedestals", "-s", str(BEGIN + 150), "-f", where)
    assert done.exit_code == 0, done.stderr
    assert "pedestals of epix100a-3925868555, range 1474587620-1474587721, version 1" in done.stdout
    assert np.load(f"{where}.npy").tobytes() == (PEDS / 3).tobytes()
    meta = json.loads((tmp_path / "peds.meta.json").read_text())
    assert (meta["begin"], meta["version"], meta["made"]) == (BEGIN + 100, 1, 1474587521.5)
    assert meta["parameters"] == {"experiment": "xpptut15", "run": "54"}


def test_a_hostile_name_of_a_detector_is_none_of_a_folder(cdb, folder, file):
    with h5py.File(file, "r+") as opened:
        del opened["detid"]
        opened["detid"] = fixed("../../x\0y")
    done = cdb("dcs", "get", str(file), "-c", "geometry", "-g", "1400000000-end")
    assert done.exit_code == 0
    made = "epix100a-.._.._x_y-geometry-1400000000-end-v0001"
    assert sorted(path.name for path in folder.glob("epix*")) == [
        f"{made}.meta.json",
        f"{made}.txt",
    ]


def test_get_takes_a_named_range_and_version_as_exact_text(cdb, file, tmp_path):
    named = ["-g", "1474587520-end", "-v", "1", "--format", "txt", "-f", str(tmp_path / "peds")]
    done = cdb("dcs", "get", str(file), "-c", "pedestals", *named, "--json")
    assert json.loads(done.stdout)["files"][0] == str(tmp_path / "peds.txt")
    assert text.read(tmp_path / "peds.txt").tobytes() == PEDS.tobytes()


def test_get_writes_a_text_as_it_is(cdb, file, tmp_path):
    asked = ["-t", "2016-09-23T00:00:00Z", "-f", str(tmp_path / "geo")]
    assert cdb("dcs", "get", str(file), "-c", "geometry", *asked).exit_code == 0
    assert (tmp_path / "geo.txt").read_text() == GEOMETRY


@pytest.mark.parametrize(
    ("asked", "code", "sentence"),
    [
        (["-c", "pedestals"], 2, "say which range"),
        (["-c", "pedestals", "-g", "1-2", "-s", "1474587521"], 2, "say which range"),
        (["-c", "pedestals", "-g", "1-2"], 1, "no range 1-2 of pedestals"),
        (["-c", "pixel_gain", "-g", "1-2"], 1, "no pixel_gain in"),
        (["-c", "pedestals", "-s", "1300000000"], 1, "for the time 1300000000.000000; ranges: "),
        (["-c", "pedestals", "-s", "1474587521", "-v", "9"], 1, "no version 9"),
    ],
)
def test_what_is_not_there_is_a_sentence_and_nothing_is_written(
    cdb, file, tmp_path, asked, code, sentence
):
    done = cdb("dcs", "get", str(file), *asked, "-f", str(tmp_path / "out"))
    assert (done.exit_code, [*tmp_path.glob("out*")]) == (code, [])
    assert sentence in " ".join(done.stderr.split())


@pytest.mark.parametrize("name", ["none.h5", "text.h5"])
def test_what_is_no_dcs_file_is_a_sentence(cdb, tmp_path, name):
    (tmp_path / "text.h5").write_text("1 2")
    done = cdb("dcs", "show", str(tmp_path / name))
    assert (done.exit_code, len(done.stderr.splitlines())) == (1, 1)
    assert name in done.stderr


def test_a_detector_without_an_id_is_no_dcs_file(cdb, file):
    with h5py.File(file, "r+") as opened:
        del opened["detid"]
        opened["detid"] = fixed("")
    assert "does not say dettype and detid" in cdb("dcs", "show", str(file)).stderr
