"""Kinds of files: what is read is what was written, and what is wrong is said in a sentence."""

import io
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cdb.errors import BadFile, UnsafePayload
from cdb.files import formats, text

GEOMETRY = "IP 0  EPIX100:V1 0  0 0 -100000  90 180 0  0 0 0\n"
ARRAYS = {
    "float": np.array([[0.1, np.nan], [np.inf, -0.0]], "float32"),
    "0-d": np.array(1.5),
    "empty": np.zeros((0, 3), "float32"),
    "bool": np.array([True, False]),
    "big-endian": np.arange(3, dtype=">i4"),
    "unicode": np.array(["ab", "µ"]),
    "uint64": np.array([2**64 - 1], "uint64"),
    "structured": np.zeros(2, [("x", "<f4"), ("n", "<i2")]),
}


@pytest.fixture
def path(tmp_path: Path):
    """Write a file with some content; give its path."""

    def written(name: str, content: bytes | str) -> Path:
        file = tmp_path / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    return written


# Reading ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_npy_is_read_as_it_was_saved(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    got = formats.read(tmp_path / "a.npy")
    assert (got.dtype, got.shape, got.tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_npy_is_known_by_its_beginning_too(tmp_path):
    with (tmp_path / "array").open("wb") as file:
        np.save(file, ARRAYS["float"])
    assert formats.read(tmp_path / "array").shape == (2, 2)


def test_a_large_npy_stays_in_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "MAPPED_FROM", 64)
    np.save(tmp_path / "a.npy", np.arange(100))
    assert isinstance(formats.read(tmp_path / "a.npy"), np.memmap)


def test_array_text_is_read_in_both_dialects_and_without_header(path):
    rows = "1 2\n3 4\n"
    new = formats.read(path("new", f"# SHAPE (2,2)\n# DATATYPE uint8\n{rows}"))
    old = formats.read(path("old", f"# DTYPE uint8\n# NDIM 2\n# DIM:0 2\n# DIM:1 2\n{rows}"))
    bare = formats.read(path("bare.data", rows))
    assert [a.dtype for a in (new, old, bare)] == ["uint8", "uint8", "float32"]
    assert new.tolist() == old.tolist() == bare.tolist() == [[1, 2], [3, 4]]


def test_common_mode_is_one_list_whatever_its_lines(path):
    assert formats.read(path("0-end.data", "4\n6\n30\n"), ctype="common_mode").tolist() == [
        4,
        6,
        30,
    ]


@pytest.mark.parametrize("content", ["", "a\r\nb\n", "\ufeffµm", "1 2 3"])
def test_a_text_is_read_byte_by_byte(path, content):
    assert formats.read(path("note", content), dtype="txt") == content


def test_a_geometry_is_a_text_whatever_its_ending(path):
    assert formats.read(path("0-end.data", GEOMETRY), ctype="geometry") == GEOMETRY


def test_json_with_tagged_values_is_read_as_it_was_written(path):
    data = {"gain": 1.5, "offsets": np.arange(3, dtype="int16"), "window": (3, 4)}
    file = io.BytesIO()
    formats.write_stream(file, data, "json")
    got = formats.read(path("a.json", file.getvalue()))
    assert (got["gain"], got["window"], got["offsets"].dtype) == (1.5, (3, 4), "int16")


def test_json_of_other_programs_is_read_too(path):
    assert formats.read(path("a", '{"x": [1, 2.5, null]}'), dtype="json") == {"x": [1, 2.5, None]}


def test_a_pickle_is_read_only_where_it_is_allowed(path):
    file = path("a.pkl", pickle.dumps({"x": np.arange(2)}))
    with pytest.raises(UnsafePayload, match="--allow-pickle"):
        formats.read(file)
    assert formats.read(file, allow_pickle=True)["x"].tolist() == [0, 1]


def test_a_pickle_that_would_run_code_is_refused_even_then(path):
    with pytest.raises(UnsafePayload, match="system"):
        formats.read(path("a", b"cos\nsystem\n(S'true'\ntR."), dtype="pkl", allow_pickle=True)


def test_a_pipe_can_be_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen([sys.executable, "-c", "open('pipe', 'w').write('1 2')"], cwd=tmp_path):
        assert formats.read(tmp_path / "pipe").tolist() == [1, 2]


@pytest.mark.parametrize(
    ("name", "content", "asked", "sentence"),
    [
        ("a", "1 x", {}, "line 1, column 3: 'x' is not a number.*type txt"),
        ("a", "", {}, "holds no numbers"),
        ("a.npy", "hello", {}, "is no .npy file"),
        ("a.npy", b"PK\x03\x04", {}, "several arrays"),
        ("a.npy", b"\x93NUMPY\x01\x00", {}, "is no whole .npy file"),
        ("a.json", "{", {}, "is not JSON"),
        ("a", b"\xff", {"dtype": "txt"}, r"no UTF-8 text \(byte 0\)"),
        ("a", "1 2", {"dtype": "tiff"}, "unknown file type 'tiff'; known: ndarray, txt"),
        ("a", "1 2", {"dtype": "xtcav"}, "a: cannot be read as HDF5"),
        ("a", "1 2\n3 4", {"ctype": "common_mode"}, "is no common_mode, .*type txt"),
        ("a", f"{GEOMETRY}IP 0 X", {"ctype": "geometry"}, "a, line 2: a row has 13 fields"),
        ("a.pkl", "hello", {"allow_pickle": True}, "the pickle cannot be read"),
    ],
)
def test_what_is_wrong_with_a_file_is_a_sentence(path, name, content, asked, sentence):
    with pytest.raises(BadFile, match=sentence):
        formats.read(path(name, content), **asked)


def npy(header: str) -> bytes:
    """Return a .npy file of this header, with 16 bytes of data."""
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header.encode() + bytes(16)


@pytest.mark.parametrize(
    "header", ["(((", "'a", "{" * 300, "-" * 9000 + "1", "\0", "[]", "{[]: 1}"]
)
def test_a_header_that_is_none_is_a_sentence(path, header):
    with pytest.raises(BadFile, match="a.npy is no whole .npy file"):
        formats.read(path("a.npy", npy(header)))


@pytest.mark.parametrize(
    "shape",
    ["(5,)", "(1" + "0" * 12 + ",)", "(1" + "0" * 29 + ",)", "(0, 1" + "0" * 29 + ")",
     "(10000000000, 10000000000)", "(True,)", "(-1,)", "(2.0,)"],
)  # fmt: skip
def test_a_shape_that_cannot_be_is_a_sentence(path, shape):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}"
    with pytest.raises(BadFile, match="a.npy is no whole .npy file"):
        formats.read(path("a.npy", npy(header)))


def test_a_header_that_promises_too_much_is_told_with_its_numbers(path):
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (10, 10)}"
    with pytest.raises(BadFile, match="promises 400 bytes of data, it holds 16"):
        formats.read(path("a.npy", npy(header)))


@pytest.mark.parametrize("name", ["a.npy", "a.json", "a.pkl", "a"])
def test_a_folder_is_told_as_one(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(BadFile, match=f"{name} is a folder; give a file"):
        formats.read(tmp_path / name, allow_pickle=True)


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.json", "{"), ("a.json", b"\xff"), ("a.pkl", "x"), ("a.pkl", b"cos\nsystem\n(S'x'\ntR.")],
)
def test_what_is_wrong_is_said_of_the_file_not_of_stored_bytes(path, name, content):
    with pytest.raises((BadFile, UnsafePayload)) as refused:
        formats.read(path(name, content), allow_pickle=True)
    assert str(refused.value).endswith("; mend the file, or write it anew")
    assert f"{name}: " in str(refused.value)
    assert "stored" not in str(refused.value)


def test_a_cut_npy_is_refused(path, tmp_path):
    np.save(tmp_path / "a.npy", np.arange(100))
    cut = path("cut.npy", (tmp_path / "a.npy").read_bytes()[:-1])
    with pytest.raises(BadFile, match="is no whole .npy file"):
        formats.read(cut)


def test_objects_in_an_npy_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(UnsafePayload, match="Python objects"):
        formats.read(tmp_path / "a.npy")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("none", "there is no file"),
        (".", "is a folder"),
        ("/dev/null", "is a device"),
        ("a" * 300, "cannot read"),
        ("file/a", "cannot read"),
    ],
)
def test_what_is_no_file_is_a_sentence(tmp_path, name, sentence):
    (tmp_path / "file").touch()
    with pytest.raises(BadFile, match=sentence):
        formats.read(tmp_path / name)


# Writing ---------------------------------------------------------------------------------------


def written(folder: Path, data: object, format: str, **how: object) -> Path:  # noqa: A002
    path, _ = formats.write_files(folder / "x", data, {"run": 5}, format, **how)
    return path


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_npy_is_written_exactly(tmp_path, array):
    got = np.load(written(tmp_path, array, "npy"))
    assert (got.dtype, got.shape, got.tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_text_of_an_array_has_the_digits_that_it_needs(tmp_path):
    array = np.array([0.1, 1 / 3, 1e-40], "float32")
    assert text.read(written(tmp_path, array, "txt")).tobytes() == array.tobytes()


@pytest.mark.parametrize("content", ["", "a\r\nb", "µm\n"])
def test_a_text_is_written_byte_by_byte(tmp_path, content):
    assert written(tmp_path, content, "txt").read_bytes() == content.encode()


def test_raw_is_the_bytes_as_they_are_stored(tmp_path):
    assert written(tmp_path, memoryview(b"\0\1"), "raw").read_bytes() == b"\0\1"


@pytest.mark.parametrize(
    ("data", "format_"), [(np.zeros(1), "npy"), ("a", "txt"), ({}, "json"), ([1], "json")]
)
def test_the_default_is_the_format_that_keeps_data_exactly(data, format_):
    assert formats.default_format(data) == format_


def test_the_document_is_beside_the_data(tmp_path):
    path, meta = formats.write_files(tmp_path / "x", "text", {"comment": "µm"}, "txt")
    assert (path.name, meta.name) == ("x.txt", "x.meta.json")
    assert json.loads(meta.read_text()) == {"comment": "µm"}


def test_an_ending_that_is_typed_is_not_doubled(tmp_path):
    path, meta = formats.write_files(tmp_path / "x.npy", np.zeros(1), {}, "npy")
    assert (path.name, meta.name) == ("x.npy", "x.meta.json")


def test_files_of_other_content_stay_unless_told_otherwise(tmp_path):
    written(tmp_path, "one", "txt")
    with pytest.raises(BadFile, match="x.txt is there already, with other content.*--yes"):
        written(tmp_path, "two", "txt")
    assert (tmp_path / "x.txt").read_text() == "one"
    assert written(tmp_path, "two", "txt", overwrite=True).read_text() == "two"


def test_the_same_may_be_written_again(tmp_path):
    assert written(tmp_path, "one", "txt") == written(tmp_path, "one", "txt")


def test_files_get_the_rights_that_the_user_wants(tmp_path):
    old = os.umask(0o027)
    try:
        assert written(tmp_path, "one", "txt").stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(old)


@pytest.mark.parametrize(
    ("data", "format_", "sentence"),
    [
        ("text", "npy", "str is no array"),
        ({"a": 1}, "npy", "dict is no array"),
        (np.array(["a"]), "txt", "cannot be written as text"),
    ],
)
def test_data_that_do_not_go_into_a_format_leave_no_file(tmp_path, data, format_, sentence):
    with pytest.raises(BadFile, match=sentence):
        written(tmp_path, data, format_)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("prefix", "sentence"),
    [
        ("none/x", "there is no folder"),
        ("x/", "is no name"),
        (".txt/", "is no name"),
        ("a" * 300, "cannot write"),
    ],
)
def test_a_prefix_that_cannot_be_written_is_a_sentence(tmp_path, prefix, sentence):
    with pytest.raises(BadFile, match=sentence):
        formats.write_files(f"{tmp_path}/{prefix}", "text", {}, "txt")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x.txt", "x.meta.json"])
def test_a_folder_in_the_way_keeps_both_files_from_being_written(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(BadFile, match="is a folder"):
        written(tmp_path, "text", "txt", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_an_array_goes_through_a_pipe():
    read, write = os.pipe()
    with os.fdopen(write, "wb") as file:
        formats.write_stream(file, ARRAYS["float"], "npy")
    with os.fdopen(read, "rb") as file:
        got = np.load(io.BytesIO(file.read()))
    assert got.tobytes() == ARRAYS["float"].tobytes()
