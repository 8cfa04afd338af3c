"""Stamps: a line of JSON, hostile until parsed; in files, where h5py alone reads them too."""

import json
import pickle

import h5py
import numpy as np
import pytest

from cdb import stamps
from cdb.errors import BadFile, CalibError, NotFound
from cdb.stamps import Cited, CitedTag, Stamp

SERVER, DIGEST, ID = "ab" * 32, "cd" * 32, "615717800000070123456789"
STAMP = Stamp(
    SERVER, 7, "epix10ka_000001", CitedTag("summer26", "0123456789abcdef00000003"), "rixx45619",
    125, 1633075200, "range", {"pedestals": Cited("cdb_rixx45619", ID, DIGEST, 48)},
)  # fmt: skip
OTHER = Stamp(SERVER, 8, "epix10ka_000002")


def changed(**fields):
    return STAMP.as_json() | fields


def cited(**fields):
    return {"constants": {"pedestals": STAMP.as_json()["constants"]["pedestals"] | fields}}


BAD = [
    ("", "no JSON"),
    ("x" * 2**21, "at most 1048576"),
    ("[" * 100_000, "no JSON"),
    (b"\xff\xfe", "no JSON"),
    ("[1]", "is no JSON object"),
    (changed(cdb=2), "cdb is 2, this cdb reads 1"),
    (changed(cdb=True), "cdb is True"),
    (changed(server="here"), "server is 'here', not 64 hexadecimal digits"),
    (changed(server=None), "server is None"),
    (changed(seq=-1), "seq is -1, not a whole number"),
    (changed(seq=True), "seq is True"),
    (changed(seq=2**70), "seq is"),
    (changed(tag="summer26"), "tag is 'summer26', not an object"),
    (changed(tag={"name": "a b", "id": ID}), "tag 'a b' cannot be used"),
    (changed(tag={"name": "a", "id": "x"}), "id is 'x', not the id of a tag's document"),
    (changed(detector="../etc"), "detector '../etc'"),
    (changed(detector=7), "detector 7"),
    (changed(experiment="a b"), "experiment 'a b'"),
    (changed(run=1.5), "run is 1.5"),
    (changed(time="now"), "time is 'now'"),
    (changed(rule="; drop"), "rule is '; drop'"),
    (changed(constants=[1]), r"constants is \[1\]"),
    (changed(constants={"../x": {}}), "constant type '../x'"),
    (changed(constants={"pedestals": 7}), "constants.pedestals is 7"),
    (changed(**cited(database="admin")), "'admin' is no database of constants"),
    (changed(**cited(id="../../x")), "id is '../../x'"),
    (changed(**cited(sha256="zz")), "sha256 is 'zz'"),
    (changed(**cited(nbytes=-3)), "nbytes is -3"),
]


def test_a_stamp_is_one_line_of_json_and_comes_back():
    text = str(STAMP)
    assert "\n" not in text
    assert len(text) < 600
    assert json.loads(text)["constants"]["pedestals"]["sha256"] == DIGEST
    assert stamps.parse(text) == stamps.parse(text.encode()) == STAMP
    assert stamps.parse(str(OTHER)) == OTHER


def test_it_can_be_pickled_and_is_a_key():
    assert pickle.loads(pickle.dumps(STAMP)) == STAMP
    assert len({STAMP, stamps.parse(str(STAMP)), OTHER}) == 2


def test_fields_of_later_versions_do_no_harm():
    assert stamps.parse(json.dumps(changed(later={"a": 1}))) == STAMP


@pytest.mark.parametrize(("given", "says"), BAD)
def test_what_is_no_stamp_is_refused_in_a_sentence(given, says):
    text = given if isinstance(given, str | bytes) else json.dumps(given)
    with pytest.raises(BadFile, match=says) as refused:
        stamps.parse(text)
    assert len(str(refused.value)) < 400


# files -----------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "results.h5", "w") as file:
        yield file


def test_attributes_of_files_groups_and_datasets_hold_stamps(file):
    images = file.create_dataset("entry/images", data=np.zeros(3))
    stamps.write_hdf5(images, STAMP)
    stamps.write_hdf5(file, OTHER)
    path = file.filename
    file.close()
    assert stamps.read(path) == [OTHER, STAMP]


def test_one_place_holds_several_each_once(file):
    for stamp in (STAMP, OTHER, STAMP):
        stamps.write_hdf5(file, stamp)
    assert stamps.read_hdf5(file) == [STAMP, OTHER]
    assert file.attrs["cdb_stamp"].tolist() == [str(STAMP), str(OTHER)]


@pytest.mark.parametrize("as_written", [str, str.encode, np.bytes_])
def test_a_single_text_that_others_copied_is_read(file, as_written):
    file.create_group("a/b").attrs["cdb_stamp"] = as_written(str(STAMP))
    assert stamps.read_hdf5(file) == [STAMP]


def test_a_nexus_group_is_as_the_definitions_say(file):
    file.create_group("scan").attrs["NX_class"] = "NXentry"
    process = stamps.write_nexus(file, STAMP)
    assert process.name == "/scan/calibration_constants"
    assert process.attrs["NX_class"] == "NXprocess"
    assert (process["program"].asstr()[()], process["sequence_index"][()]) == ("cdb", 1)
    assert {"version", "date"} <= process.keys()
    note = process["note"]
    assert note.attrs["NX_class"] == "NXnote"
    assert note["type"].asstr()[()] == "application/json"
    assert json.loads(note["data"].asstr()[()]) == STAMP.as_json()
    assert stamps.read_hdf5(file) == [STAMP]


def test_nexus_groups_are_numbered_and_the_same_stamp_has_one(file):
    names = [stamps.write_nexus(file, stamp).name for stamp in (STAMP, OTHER, STAMP)]
    first = "/entry/calibration_constants"
    assert names == [first, f"{first}_2", first]
    assert file["entry"].attrs["NX_class"] == "NXentry"
    assert stamps.write_nexus(file["entry"], OTHER)["sequence_index"][()] == 2


def test_of_several_entries_one_is_to_be_given(file):
    for name in ("one", "two"):
        file.create_group(name).attrs["NX_class"] = "NXentry"
    with pytest.raises(BadFile, match="give one of them: /one, /two"):
        stamps.write_nexus(file, STAMP)


def test_notes_of_others_are_theirs(file):
    note = file.create_group("entry/process/note")
    note.attrs["NX_class"] = "NXnote"
    note["type"] = "application/json"
    for data in ("{", "[1]", '{"cdb": 1}', np.zeros(4), "x" * 2**21):
        note.pop("data", None)
        note["data"] = data
        assert stamps.read_hdf5(file) == []
    del note["data"]
    file["entry/process/note/data"] = h5py.SoftLink("/nowhere")
    assert stamps.read_hdf5(file) == []


@pytest.mark.parametrize("value", ["{", 7, np.zeros(3), "x" * 2**21, h5py.Empty("f")])
def test_a_spoilt_attribute_is_told_with_its_place(file, value):
    file.create_group("a").attrs["cdb_stamp"] = value
    with pytest.raises(BadFile, match=r"results.h5 at a: this is no stamp"):
        stamps.read_hdf5(file)


def test_texts_of_one_and_of_several_stamps_are_read(tmp_path):
    one, several = tmp_path / "one.json", tmp_path / "several.jsonl"
    one.write_text(json.dumps(STAMP.as_json(), indent=2))
    several.write_text(f"{STAMP}\n\n{OTHER}\n{STAMP}\n")
    assert stamps.read(one) == [STAMP]
    assert stamps.read(several) == [STAMP, OTHER]


def test_hdf5_after_a_user_block_is_hdf5(tmp_path):
    with h5py.File(tmp_path / "block.h5", "w", userblock_size=1024) as file:
        stamps.write_hdf5(file, STAMP)
    assert stamps.read(tmp_path / "block.h5") == [STAMP]


def test_what_holds_no_stamp_says_how_to_put_one_there(file, tmp_path):
    path = file.filename
    file.close()
    with pytest.raises(NotFound, match="write_hdf5"):
        stamps.read(path)
    with pytest.raises(NotFound, match=r"no file .*nowhere"):
        stamps.read(tmp_path / "nowhere")


@pytest.mark.parametrize("data", [b"", b"\x00" * 4096, b"not json", b"{}\n{}\n", b"x" * 2**21])
def test_a_file_of_something_else_is_refused(tmp_path, data):
    path = tmp_path / "other"
    path.write_bytes(data)
    with pytest.raises(BadFile, match=r"other: this is no stamp"):
        stamps.read(path)


def test_a_broken_hdf5_file_is_refused(tmp_path):
    path = tmp_path / "broken.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + b"\x00" * 100)
    with pytest.raises(BadFile, match="cannot be read as HDF5"):
        stamps.read(path)


def test_without_h5py_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(CalibError, match=r"pip install 'cdb\[hdf5\]'"):
        stamps.write_hdf5(None, STAMP)
