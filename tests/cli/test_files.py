"""Constants come from files and go to files, and nothing is lost on the way."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import DEPLOY, GEOMETRY, PEDS, TIME, WHICH

CDB = str(Path(sys.executable).with_name("cdb"))
EPIX = ("-d", "epix_000001")
FILES = {
    "plain.data": "1 2.5\n3 nan\n",
    "new.data": "# SHAPE (2,2)\n# DATATYPE float32\n1 2.5 3 nan\n",
    "old.data": "# DTYPE float\n# NDIM 2\n# DIM:0 2\n# DIM:1 2\n1 2.5 3 nan\n",
}


def both(cdb, file, *options, ctype="pixel_bkgd"):
    """Add a file and get it back as ``got``; return the paths that were written."""
    added = cdb("add", *EPIX, "-c", ctype, "-f", str(file), *options)
    assert added.exit_code == 0, added.stderr
    got = cdb("get", *EPIX, "-c", ctype, "-f", "got", "--json")
    assert got.exit_code == 0, got.stderr
    return json.loads(got.stdout)["files"]


# add -------------------------------------------------------------------------------------------


def test_both_lines_of_the_manual_work_as_they_stand(cdb, db):
    for line in (
        f"add -e rixx45619 -d epixhr2x2_000001 -t {TIME} -c pedestals -f mypeds",
        f"add -e rixx45619 -d epixhr2x2_000001 -t {TIME} -c geometry -f mygeo -i txt",
    ):
        assert cdb(*line.split()).exit_code == 0
    det = db.detector("epixhr2x2_000001", experiment="rixx45619", run=5)
    assert det.calibconst["pedestals"][0].tolist() == PEDS.tolist()
    assert det.calibconst["geometry"][0] == GEOMETRY
    assert det.calibconst["geometry"][1]["time_sec"] == 1633075200


def test_add_tells_what_it_stored(cdb, ask):
    told = cdb(*DEPLOY, "-c", "pedestals", "-f", "mypeds").stdout
    version = ask("show", *WHICH, "-c", "pedestals")
    assert told.splitlines() == [
        "pedestals of epixhr2x2_000001 added",
        f"  id          {version['id']}",
        "  S           1",
        "  in          cdb_rixx45619, cdb_epixhr2x2_000001",
        "  data        float32 (4, 6), 100.0 .. 102.875",
        "  bytes       96",
        "  runs        0-end",
        "  valid from  2021-10-01 08:00:00Z",
    ]


def test_add_fills_the_document(cdb, ask):
    options = ("-r", "5", "-R", "9", "-v", "V7", "-m", "a remark", "--unit", "ADU")
    cdb(*DEPLOY, "-c", "pedestals", "-f", "mypeds", *options, "--run_orig", "4", "--detname", "x")
    meta = ask("show", *WHICH, "-c", "pedestals", "-r", "7")
    wanted = {"run": 5, "run_end": "9", "version": "V7", "comment": "a remark", "unit": "ADU",
              "run_orig": 4, "detname": "x", "iofname": "mypeds", "dtype": "ndarray"}  # fmt: skip
    assert {name: meta[name] for name in wanted} == wanted


def test_the_same_again_is_there_already(cdb, peds, db):
    again = cdb(*DEPLOY, "-c", "pedestals", "-f", "mypeds")
    assert "pedestals of epixhr2x2_000001 is there already" in again.stdout
    assert peds in again.stdout
    assert db.head == 1


@pytest.mark.parametrize(
    ("fields", "stays"),
    [
        (["-m", "better said"], "note: its comment stayed as before; `cdb amend {} ` changes it"),
        (["-m", "x", "--unit", "ADU"], "note: its comment and unit stayed as before"),
        (["-m", "no comment"], ""),
    ],
)
def test_what_is_there_already_keeps_its_remarks_and_says_so(cdb, peds, fields, stays):
    for mode in ([], ["--dry-run"]):
        again = cdb(*DEPLOY, "-c", "pedestals", "-f", "mypeds", *fields, *mode)
        assert "is there already" in again.stdout
        assert stays.replace("{} ", peds) in again.stderr
        assert bool(stays) == bool(again.stderr)


def test_again_makes_a_new_version(cdb, peds, db):
    again = cdb(*DEPLOY, "-c", "pedestals", "-f", "mypeds", "--again")
    assert "pedestals of epixhr2x2_000001 added" in again.stdout
    assert peds not in again.stdout
    assert db.head == 2


def test_a_dry_run_of_add_writes_nothing_and_names_no_id(cdb, folder):
    result = cdb(*DEPLOY, "-c", "pedestals", "-f", "mypeds", "--dry-run")
    assert "pedestals of epixhr2x2_000001 would be added" in result.stdout
    assert "  id" not in result.stdout
    assert not (folder / "store").exists()


def test_a_dry_run_of_add_in_json_has_no_id_either(ask, folder):
    answer = ask(*DEPLOY, "-c", "pedestals", "-f", "mypeds", "--dry-run")
    assert (answer["id"], answer["seq"], answer["new"], answer["dry_run"]) == (
        None, None, True, True,
    )  # fmt: skip
    assert not {"_id", "id_data", "order", "first"} & answer.keys()


def test_a_dry_run_of_what_is_there_says_so(cdb, peds, db):
    result = cdb(*DEPLOY, "-c", "pedestals", "-f", "mypeds", "--dry-run")
    assert "is there already" in result.stdout
    assert peds in result.stdout
    assert db.head == 1


def test_a_long_name_gets_a_short_one(cdb, db):
    cdb("add", "-d", "epix100a_0123-45_0123-46", "-c", "pedestals", "-f", "mypeds")
    got = cdb("get", "-d", "epix100a_0123-46_0123-45", "-c", "pedestals")
    assert "pedestals of epix100a_000001" in got.stdout
    assert db.detectors()[0]["longname"] == "epix100a_0123-45_0123-46"


def test_a_private_constant_stays_private(cdb):
    added = cdb("add", *EPIX, "-S", "mytest", "-c", "pedestals", "-f", "mypeds")
    assert "  in          cdb_epix_000001_mytest\n" in added.stdout
    assert cdb("get", *EPIX, "-c", "pedestals").exit_code == 1
    assert cdb("get", *EPIX, "-c", "pedestals", "-S", "mytest").exit_code == 0


@pytest.mark.parametrize("time", [["-s", "1633075200"], ["-t", TIME, "-s", "1633075200"], ["-t",
                         "2021-10-01T08:00:00Z"]])  # fmt: skip
def test_a_time_is_told_in_several_ways(cdb, ask, time):
    cdb("add", *EPIX, "-c", "pedestals", "-f", "mypeds", *time)
    assert ask("show", *EPIX, "-c", "pedestals")["time_sec"] == 1633075200


def test_what_is_unusual_is_noted_and_stored(cdb):
    np.save("a.npy", PEDS.astype("float64"))
    result = cdb("add", *EPIX, "-c", "pedestals", "-f", "a.npy")
    assert result.exit_code == 0
    assert result.stderr.startswith("cdb: note: values of pedestals are usually float32")


def test_what_is_added_to_memory_is_warned_of(cdb, monkeypatch):
    monkeypatch.setenv("CDB_URL", "memory://")
    warned = cdb(*DEPLOY, "-c", "pedestals", "-f", "mypeds")
    assert (warned.exit_code, warned.stderr.count("\n")) == (0, 1)
    assert "memory:// ends with this command" in warned.stderr
    assert cdb(*DEPLOY, "-c", "pedestals", "-f", "mypeds", "--dry-run").stderr == ""


# there and back --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "uint64", ">i4", "bool", "<U2", "float16"])
def test_npy_comes_back_exactly(cdb, dtype):
    array = np.arange(12).reshape(3, 4).astype(dtype)
    np.save("a.npy", array)
    data, _ = both(cdb, "a.npy")
    got = np.load(data)
    assert (data, got.dtype, got.tobytes()) == ("got.npy", array.dtype, array.tobytes())


@pytest.mark.parametrize("name", FILES)
def test_array_text_comes_back(cdb, name):
    Path(name).write_text(FILES[name])
    data, _ = both(cdb, name)
    got = np.load(data)
    assert got.shape == (2, 2)
    np.testing.assert_array_equal(got, [[1, 2.5], [3, np.nan]])


@pytest.mark.parametrize("content", ["one\r\ntwo", "µm\n", "# not an array\n"])
def test_text_comes_back_byte_by_byte(cdb, content):
    Path("note").write_bytes(content.encode())
    data, _ = both(cdb, "note", "-i", "txt", ctype="notes")
    assert (data, Path(data).read_bytes()) == ("got.txt", content.encode())


def test_a_geometry_comes_back_byte_by_byte(cdb):
    data, _ = both(cdb, "mygeo", ctype="geometry")
    assert Path(data).read_bytes() == Path("mygeo").read_bytes()


def test_json_comes_back_and_can_be_added_again(cdb, db):
    Path("a.json").write_text('{"gain": 1.5, "panels": [1, 2], "µ": null}')
    data, _ = both(cdb, "a.json", ctype="calibcfg")
    assert json.loads(Path(data).read_text()) == {"gain": 1.5, "panels": [1, 2], "µ": None}
    assert "is there already" in cdb("add", *EPIX, "-c", "calibcfg", "-f", data).stdout


def test_a_pickle_is_refused_unless_it_is_allowed(cdb):
    Path("a.pkl").write_bytes(pickle.dumps({"x": np.arange(3)}))
    refused = cdb("add", *EPIX, "-c", "pop_rbfs", "-f", "a.pkl")
    assert refused.exit_code == 1
    assert "--allow-pickle" in refused.stderr
    data, _ = both(cdb, "a.pkl", "--allow-pickle", ctype="pop_rbfs")
    assert '"$cdb":"ndarray"' in Path(data).read_text()


# get -------------------------------------------------------------------------------------------


def test_get_writes_data_and_document(cdb, peds):
    result = cdb("get", *WHICH, "-r", "5", "-c", "pedestals", "-f", "peds")
    assert result.stdout.splitlines()[1:] == ["  peds.npy", "  peds.meta.json"]
    assert np.load("peds.npy").tolist() == PEDS.tolist()
    assert json.loads(Path("peds.meta.json").read_text())["_id"] == peds


def test_get_without_a_prefix_takes_psanas(cdb, peds):
    cdb("get", *WHICH, "-r", "5", "-c", "pedestals")
    cdb("get", "-d", "epixhr2x2_000001", "-c", "pedestals")
    assert Path("clb-rixx45619-epixhr2x2_000001-r0005-pedestals.npy").exists()
    assert Path("clb-undefined-epixhr2x2_000001-rend-pedestals.meta.json").exists()


def test_a_name_that_is_no_text_is_shown_by_its_bytes(cdb, folder, peds):
    name = os.fsdecode(b"i\xff")
    command = [CDB, "get", *WHICH, "-c", "pedestals", "-f", name]
    told = subprocess.run(command, capture_output=True, text=True)
    assert (told.returncode, told.stdout.splitlines()[1]) == (0, r"  i\xff.npy")
    files = subprocess.run([*command, "--json"], capture_output=True, text=True)
    assert json.loads(files.stdout)["files"] == [f"{name}.npy", f"{name}.meta.json"]


def test_get_to_a_stdout_that_is_closed_is_refused(cdb, folder, peds):
    shell = f"{CDB} get {' '.join(WHICH)} -c pedestals -o - >&-"
    told = subprocess.run(["sh", "-c", shell], capture_output=True, text=True)
    assert (told.returncode, "stdout is closed" in told.stderr) == (2, True)


def test_an_empty_prefix_is_refused(cdb, peds, folder):
    result = cdb("get", *WHICH, "-c", "pedestals", "-f", "")
    assert (result.exit_code, list(folder.glob("clb*"))) == (1, [])
    assert "'' is no name of a file" in result.stderr


def test_format_txt_has_all_digits(cdb):
    np.save("a.npy", np.array([[1 / 3, 0.1]], "float32"))
    cdb("add", *EPIX, "-c", "pedestals", "-f", "a.npy")
    cdb("get", *EPIX, "-c", "pedestals", "-f", "a", "--format", "txt")
    assert "added" in cdb("add", *EPIX, "-c", "pixel_rms", "-f", "a.txt").stdout
    cdb("get", *EPIX, "-c", "pixel_rms", "-f", "b")
    assert Path("a.npy").read_bytes() == Path("b.npy").read_bytes()


def test_format_raw_is_the_stored_bytes(cdb, peds):
    cdb("get", *WHICH, "-c", "pedestals", "-f", "peds", "--format", "raw")
    assert Path("peds.raw").read_bytes() == PEDS.tobytes()


def test_a_pipe_gets_the_data_alone(folder, peds):
    command = [CDB, "get", *WHICH, "-c", "pedestals", "-o", "-"]
    Path("a.npy").write_bytes(subprocess.run(command, stdout=subprocess.PIPE).stdout)
    assert np.load("a.npy").tolist() == PEDS.tolist()
    text = subprocess.run([*command, "--format", "txt"], stdout=subprocess.PIPE, text=True).stdout
    assert "# SHAPE       (4,6)\n" in text
    assert "100.0 100.125" in text


def test_get_replaces_nothing_unasked(cdb, peds):
    Path("peds.npy").write_text("mine")
    result = cdb("get", *WHICH, "-c", "pedestals", "-f", "peds")
    assert result.exit_code == 1
    assert "peds.npy is there already, with other content" in result.stderr
    assert Path("peds.npy").read_text() == "mine"
    assert not Path("peds.meta.json").exists()
    assert cdb("get", *WHICH, "-c", "pedestals", "-f", "peds", "--yes").exit_code == 0
    assert np.load("peds.npy").shape == (4, 6)


def test_get_the_same_twice_is_fine(cdb, peds):
    for _ in range(2):
        assert cdb("get", *WHICH, "-c", "pedestals", "-f", "peds").exit_code == 0


def test_a_format_that_does_not_fit_leaves_no_file(cdb, folder):
    cdb(*DEPLOY, "-c", "geometry", "-f", "mygeo")
    result = cdb("get", *WHICH, "-c", "geometry", "-f", "x", "--format", "npy")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert [path.name for path in folder.glob("x*")] == []


def test_get_fetches_the_payload_once(cdb, peds, monkeypatch):
    from cdb.stores.embedded import EmbeddedStore

    reads = []
    read = EmbeddedStore.read
    monkeypatch.setattr(EmbeddedStore, "read", lambda *a, **k: reads.append(a) or read(*a, **k))
    cdb("get", *WHICH, "-c", "pedestals")
    assert len(reads) == 1


def test_a_pickle_of_psanas_is_read_only_on_demand(cdb, db, peds, ask):
    from cdb.payload import digest
    from cdb.stores.base import new_id

    data = pickle.dumps([1, 2])
    blob = db.store.write("cdb_epix_000001", data, sha256=digest(data), head=0)
    document = {"_id": new_id(), "detector": "epix_000001", "ctype": "x", "run": 0,
                "run_end": "end", "time_sec": 1, "data_type": "any", "id_data": blob}  # fmt: skip
    db.store.insert("cdb_epix_000001", "epix_000001", [document])
    assert cdb("get", *EPIX, "-c", "x").exit_code == 1
    cdb("get", *EPIX, "-c", "x", "-f", "x", "--allow-pickle")
    assert json.loads(Path("x.json").read_text()) == [1, 2]
