"""XTCAV's HDF5 files: nested dicts in and out, every type and bit; hostile ones are refused."""

import builtins

import numpy as np
import pytest

from cdb import payload
from cdb.errors import BadFile, CalibError
from cdb.files import formats, hdf5, xtcav
from tests.files.hdf5_files import h5py, write_dcs

DATA = {
    "ROI": {"empty": {}, "x0": np.int64(10), "xN": np.uint16(1024)},
    "darkreference": np.arange(6, dtype=">i2").reshape(2, 3),
    "image": np.array([[0.1, np.nan]], "float32"),
    "label": "Größe",
    "mask": np.array([True, False]),
    "name": np.bytes_(b"opal"),
    "none": np.zeros((0, 3)),
    "ok": np.True_,
    "scale": np.float32(0.1),
    "table": np.array([(1, 2.5)], [("n", "<i4"), ("x", "<f8")]),
    "texts": ["a", "µm"],
}


def assert_same(found, expected):
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert [*found] == [*expected]
        for name in expected:
            assert_same(found[name], expected[name])
    elif isinstance(expected, np.ndarray | np.generic):
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert found.tobytes() == expected.tobytes()
    else:
        assert found == expected


@pytest.fixture
def path(tmp_path):
    return tmp_path / "104-end.data"


def test_nested_dicts_come_back_with_every_type_and_bit(path):
    xtcav.write(path, DATA)
    assert_same(xtcav.read(path), DATA)
    assert [*path.parent.iterdir()] == [path]


def test_what_is_read_is_kept_by_a_payload_as_it_is(path):
    xtcav.write(path, DATA)
    stored = payload.encode(xtcav.read(path))
    assert stored.fields["data_type"] == "json"
    assert_same(payload.decode(stored.data, stored.fields), DATA)


def test_a_group_is_a_dict_and_a_dataset_a_value_of_it(path):
    xtcav.write(path, {"a": {"b": {"c": 1}}})
    with h5py.File(path) as file:
        assert isinstance(file["a/b"], h5py.Group)
        assert file["a/b/c"][()] == 1


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ([1], "list is no dict"),
        ({"a": {1: 2}}, "1 of '/a' is no name in an HDF5 file"),
        ({"a/b": 1}, "'a/b' of '/' is no name"),
        ({".": 1}, "is no name"),
        ({"": 1}, "is no name"),
        ({"a": {"b": {3}}}, "'/a/b', of type set, has no form"),
        ({"a": None}, "'/a', of type NoneType, has no form"),
        ({"a": [1, 2]}, "a list may hold texts only; make an array"),
        ({"a": ["x", ["y"]]}, "'/a', of type list, has no form"),
        ({"a": "x\0y"}, "its texts end at a zero byte"),
        ({"a": b"x"}, "of type bytes, has no form"),
        ({"a": 2**70}, "'/a', of type int, has no form"),
        ({"a": np.array(["x"])}, "of type ndarray, has no form"),
        ({"a": np.array([None])}, "of type ndarray, has no form"),
    ],
)
def test_what_has_no_place_in_the_file_is_told_and_nothing_is_written(path, data, sentence):
    with pytest.raises(BadFile, match=sentence):
        xtcav.write(path, data)
    assert [*path.parent.iterdir()] == []


def test_dicts_too_deep_are_refused(path):
    data = {}
    for _ in range(hdf5.MAX_DEPTH + 1):
        data = {"a": data}
    with pytest.raises(BadFile, match="more than 50 dicts inside each other"):
        xtcav.write(path, data)


def linked_twice(file):
    file["b"] = file.create_group("a")


def in_itself(file):
    file["a/b"] = file.create_group("a")


def deep(file):
    file.create_group("/".join("a" * (hdf5.MAX_DEPTH + 1)))


def with_references(file):
    file.create_dataset("a", (1,), h5py.ref_dtype)


def with_lists(file):
    file.create_dataset("a", (1,), h5py.vlen_dtype("i4"))


def without_value(file):
    file["a"] = h5py.Empty("f4")


def huge(file):
    file.create_dataset("a", (2**20, 2**20), "f8", chunks=(1024, 1024), compression="gzip")


def huge_in_parts(file):
    for name in "abcdef":
        file.create_dataset(name, (2**23,), "f8", chunks=(1024,))


def same_text_often(file):
    texts = file.create_dataset("a", (300,), h5py.string_dtype())
    texts[0] = "x" * 2**20
    texts[:] = texts[0]


def no_utf8(file):
    file.create_dataset("a", (), h5py.string_dtype())[()] = b"\xff"


def elsewhere(file):
    file.create_dataset("a", (4,), "u1", external=[("/etc/passwd", 0, 4)])


def virtual(file):
    layout = h5py.VirtualLayout((4,), "u1")
    layout[:] = h5py.VirtualSource("/etc/passwd", "a", (4,))
    file.create_virtual_dataset("a", layout)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (linked_twice, "'/b': is the same group as '/a'"),
        (in_itself, "'/a/b': is the same group as '/a'"),
        (deep, "more than 50 groups are inside each other"),
        (with_references, "'/a': has the type object: references"),
        (with_lists, "'/a': has the type object"),
        (without_value, "'/a': has a type, but no value"),
        (huge, r"'/a': promises data of shape \(1048576, 1048576\)"),
        (huge_in_parts, "'/e': promises data"),
        (same_text_often, "'/a': promises data"),
        (no_utf8, "'/a': cannot be read as HDF5: 'utf-8' codec"),
        (elsewhere, "'/a': has its data in another file"),
        (virtual, "'/a': has its data in another file"),
    ],
)
def test_a_hostile_file_is_refused_in_a_sentence(path, make, sentence):
    with h5py.File(path, "w") as file:
        make(file)
    with pytest.raises(BadFile, match=sentence) as error:
        xtcav.read(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_a_file_of_too_many_objects_is_refused(path, monkeypatch):
    monkeypatch.setattr(hdf5, "MAX_OBJECTS", 3)
    xtcav.write(path, {"a": {"b": 1, "c": 2}, "d": {"e": 1}})
    with pytest.raises(BadFile, match="or 3 objects in the file"):
        xtcav.read(path)


def test_much_that_was_packed_well_is_read(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("mask", (2000, 2000), "f8", compression="gzip")[:] = 1
    assert xtcav.read(path)["mask"].sum() == 4e6


def test_a_dcs_file_is_none_of_xtcav(path):
    write_dcs(path, {})
    with pytest.raises(BadFile, match="is a dcs file, .* `cdb dcs get` takes out one"):
        xtcav.read(path)


def test_hdf5_is_known_by_its_first_bytes(path):
    xtcav.write(path, DATA)
    assert_same(formats.read(path), DATA)
    assert_same(formats.read(path, dtype="xtcav", ctype="pedestals"), DATA)


def test_dicts_are_written_to_a_stream_as_hdf5(path):
    with path.open("wb") as file:
        formats.write_stream(file, DATA, "h5")
    assert_same(xtcav.read(path), DATA)


def test_without_h5py_the_extra_is_named(path, monkeypatch):
    xtcav.write(path, {})
    original = builtins.__import__

    def without(name, *rest):
        if name == "h5py":
            raise ImportError(name)
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(CalibError, match=r"pip install 'cdb\[hdf5\]'"):
        xtcav.read(path)


def test_a_missing_file_is_the_systems_error(path):
    with pytest.raises(FileNotFoundError):
        xtcav.read(path)
