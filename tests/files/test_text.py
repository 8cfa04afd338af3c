"""Arrays as text: every dialect, every dtype bit for bit, and nothing hostile gets through."""

import os
import socket
import sys
import tracemalloc
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cdb.errors import BadFile
from cdb.files import numerals
from cdb.files.text import (
    BLOCK,
    SHORT_FORMS,
    format_array,
    parse,
    read,
    read_common_mode,
    write,
)

REAL = Path(__file__).parents[3] / "shared" / "data" / "lcls1-calib"
INTEGERS = [f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)]
FLOATS = ["float16", "float32", "float64"]
DTYPES = ["bool", *INTEGERS, *FLOATS]

BY_PYTHON = """\
# COMMENT  made up by hand

# HOST        node1
# WORK_DIR    here
# FILE_NAME   3-15.data
# DATE_TIME   2020-01-02T03:04:05 PST
# UID         me
# SHAPE       (2,2,3)
# DATATYPE    float32

# DTYPE       float32
# NDIM        3
# DIM:0       2
# DIM:1       2
# DIM:2       3
  1.0 2.0 3.0
  4.0 5.0 6.0
  7.0 8.0 9.0
 10.0 11.0 12.0
"""

BY_CPP = """\
# TITLE      pedestals

# DATE_TIME  2014-05-06 15:24:10
# AUTHOR     me

# Metadata for ndarray<{dtype},1>
# DTYPE    {dtype}
# NDIM     1
# DIM:0    12

         1          2          3          4          5          6          7          8          9         10
        11         12
"""  # noqa: E501


def assert_same_bits(result, expected):
    """Compare dtype, shape and bits; of NaN, text keeps one kind."""
    assert (result.dtype, result.shape) == (expected.dtype.newbyteorder("="), expected.shape)
    nan = np.isnan(expected)
    np.testing.assert_array_equal(np.isnan(result), nan)
    same = expected.astype(result.dtype)[~nan]
    assert result[~nan].tobytes() == same.tobytes()


# dialects ----------------------------------------------------------------------------------------


def test_reads_what_python_wrote():
    array = parse(BY_PYTHON)
    assert_same_bits(array, np.arange(1, 13, dtype=np.float32).reshape(2, 2, 3))


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("float", "float32"),
        ("double", "float64"),
        ("int", "int32"),
        ("unsigned", "uint32"),
        ("unsigned short", "uint16"),
        ("int16_t", "int16"),
        ("uint8_t", "uint8"),
    ],
)
def test_reads_what_cpp_wrote_ten_numbers_to_a_line(name, dtype):
    array = parse(BY_CPP.format(dtype=name))
    assert_same_bits(array, np.arange(1, 13, dtype=dtype))


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("float", "float64"),
        ("int", "int64"),
        ("short", "int16"),
        ("unsigned", "uint32"),
        ("uint16_t", "uint16"),
        (">f4", "float32"),
        ("<u8", "uint64"),
        ("bool", "bool"),
    ],
)
def test_a_type_without_a_cpp_writer_has_its_python_meaning(name, dtype):
    assert parse(f"# DTYPE {name}\n1 0").dtype == dtype


@pytest.mark.parametrize("line", ["#NDIM 1", "#   NDIM   1", "#\tNDIM\t1", "  # NDIM 1 "])
def test_any_blanks_may_stand_around_a_key(line):
    assert parse(f"{line}\n# DIM:0 4\n1 2\n3 4").shape == (4,)


def test_shape_and_datatype_win_over_dim_and_dtype():
    text = "# SHAPE (3,2)\n# DATATYPE int16\n# DTYPE float32\n# NDIM 1\n# DIM:0 6\n1 2 3 4 5 6"
    assert_same_bits(parse(text), np.array([[1, 2], [3, 4], [5, 6]], np.int16))


def test_dims_count_in_the_order_of_their_lines():
    assert parse("# NDIM 2\n# DIM:7 3\n# DIM:0 2\n1 2 3 4 5 6").shape == (3, 2)


def test_two_dimensions_are_shaped_too():
    assert parse("# NDIM 2\n# DIM:0 2\n# DIM:1 3\n1 2 3 4 5 6").shape == (2, 3)


def test_a_header_below_the_numbers_counts():
    assert parse("1 2\n3 4\n# DTYPE int8\n# NDIM 1\n# DIM:0 4").tolist() == [1, 2, 3, 4]


def test_a_comment_behind_numbers_is_none_of_the_header():
    assert parse("1 2 # NDIM 7\n3 4").shape == (2, 2)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("# mode\n4 6 30 10\n", [4, 6, 30, 10]),
        ("7", [7]),
        ("1\n2\n3", [[1], [2], [3]]),
        ("1 2\n\n3 4 # two\n# three\n 5 6", [[1, 2], [3, 4], [5, 6]]),
    ],
)
def test_plain_text_stands_as_it_is(text, rows):
    assert_same_bits(parse(text), np.array(rows, np.float32))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_may_end_as_on_any_system(end):
    assert parse(BY_PYTHON.replace("\n", end)).shape == (2, 2, 3)


def test_a_byte_order_mark_and_letters_of_latin_1_do_no_harm():
    assert parse("\ufeff# DTYPE int8\n5".encode()).dtype == np.int8
    assert parse("# André\n5".encode("latin-1")).tolist() == [5]


def test_nan_and_infinities_survive():
    array = parse("nan NaN -nan inf -inf Infinity 1e5 -0.0")
    np.testing.assert_array_equal(array, [np.nan] * 3 + [np.inf, -np.inf, np.inf, 1e5, -0.0])


@pytest.mark.parametrize("shape", [(1, 4), (4, 1), (1,), (1, 1), (2, 1, 2), ()])
def test_shapes_that_old_readers_flatten_are_kept(shape):
    numbers = np.arange(np.prod(shape, dtype=int), dtype=np.float32)
    header = f"# SHAPE {str(shape).replace(' ', '')}"
    assert parse(f"{header}\n{' '.join(map(str, numbers))}").shape == shape


@pytest.mark.parametrize(
    "text",
    ["# any\n4 6 30 0.1\n", "4\n6\n30\n0.1", "# DTYPE double\n# NDIM 1\n# DIM:0 4\n4 6 30\n0.1"],
)
def test_common_mode_is_one_list_of_float64(tmp_path, text):
    (tmp_path / "0-end.data").write_text(text)
    assert_same_bits(read_common_mode(tmp_path / "0-end.data"), np.array([4, 6, 30, 0.1]))


@pytest.mark.parametrize("text", ["1 2\n3 4\n", "# SHAPE (0,)\n"])
def test_an_array_is_no_common_mode(tmp_path, text):
    (tmp_path / "0-end.data").write_text(text)
    with pytest.raises(BadFile, match=r"0-end.data: an array of shape .* is no common_mode"):
        read_common_mode(tmp_path / "0-end.data")


def test_the_caller_says_what_numbers_without_a_type_are():
    assert parse("0.1", dtype=np.float64)[0] == 0.1
    assert parse("# DTYPE int8\n1", dtype=np.float64).dtype == np.int8


def test_reads_the_real_pixel_status():
    path = REAL / "Epix100a::CalibV1" / "XppGon.0:Epix100a.1" / "pixel_status" / "0-end.data"
    if not path.exists():
        pytest.skip(f"the real files are not at {REAL}")
    array = read(path)
    assert (array.dtype, array.shape) == (np.uint64, (704, 768))
    np.testing.assert_array_equal(array, np.loadtxt(path, np.uint64))


# numbers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [2**53 + 1, 2**63 - 1, 2**63 + 1, 2**64 - 1])
def test_integers_above_2_to_53_are_exact(number):
    assert parse(f"# DTYPE uint64\n{number}")[0] == number
    assert parse(f"# DTYPE uint64\n{number}.0")[0] == number


def test_whole_numbers_may_be_written_as_floats():
    assert parse("# DTYPE int16\n1.0 -2.00 3. 1e2").tolist() == [1, -2, 3, 100]
    assert parse("# DTYPE bool\n1.0 0.0").tolist() == [True, False]


@pytest.mark.parametrize(
    ("dtype", "token"),
    [
        ("uint8", "256"),
        ("uint8", "-1"),
        ("uint64", "-1"),
        ("uint64", "18446744073709551616"),
        ("int64", "-9223372036854775809"),
        ("int64", "1e999999999"),
        ("int64", "1e99999999999999999999"),
        ("int8", "1.5"),
        ("int8", "1e-999999999"),
        ("int8", "nan"),
        ("bool", "2"),
        ("float32", "1e39"),
        ("float64", "1e400"),
        ("float16", "70000"),
        ("float32", "1_0"),
        ("float32", "0x10"),
        ("float32", "1,2"),
        ("float32", "1.2.3"),
        ("float32", "1-2"),
        ("float32", "."),
        ("float32", "\x01"),
        ("float32", "5\x1c5"),
        ("float32", "٣"),
    ],
)
def test_a_bad_token_is_named_with_its_line_and_column(dtype, token):
    with pytest.raises(BadFile, match=r"^x\.data, line 4, column 3: ") as error:
        parse(f"# DTYPE {dtype} \n\n1 1 1 1 # 1\n1 {token} 1 1\n", "x.data")
    assert repr(token) in str(error.value)


def test_rows_are_counted_over_many_blocks():
    n_lines = BLOCK // 5
    text = "# 1 2\n" + "1.5 2.5\n" * n_lines + "\n  3.5\v4.5"
    assert parse(text).shape == (n_lines + 1, 2)
    with pytest.raises(BadFile, match=rf"line {n_lines + 3}, column 11: .* is 3, but 2 in line 2"):
        parse(f"{text} 5.5")


def test_a_bad_token_is_found_far_down():
    lines = ["1.5 " * 1000] * (BLOCK // 2000)
    lines[-1] = "1.5 1.5 oops"
    with pytest.raises(BadFile, match=rf"line {len(lines)}, column 9: 'oops' is not a number"):
        parse("\n".join(lines))


def test_texts_longer_than_a_block_are_read_whole():
    numbers = np.random.default_rng(1).normal(0, 1e3, 100_000).astype(np.float32)
    text = format_array(numbers, comments=["behind # is nothing"])
    assert len(text) > 3 * BLOCK
    assert_same_bits(parse(text), numbers)


# pieces ------------------------------------------------------------------------------------------


@pytest.fixture
def short_blocks(monkeypatch):
    """Let texts be read a few bytes at a time."""
    return lambda size: monkeypatch.setattr("cdb.files.text.BLOCK", size)


@given(
    st.lists(
        st.sampled_from(
            ["1.5", "22", "-3e1", "nan", " ", "\n", "\r", "\r\n", "\t", "# a\n", "#", "x", "\0"]
        )
    ).map("".join)
    | st.sampled_from([BY_PYTHON, BY_PYTHON.replace("\n", "\r\n"), BY_CPP.format(dtype="int")]),
    st.integers(1, 40),
)
def test_a_text_reads_the_same_in_pieces_of_any_size(text, size):
    def outcome(size):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("cdb.files.text.BLOCK", size)
            try:
                array = parse(text)
            except BadFile:
                return "refused"
        return array.dtype, array.shape, array.tobytes()

    assert outcome(size) == outcome(10_000)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("# a\r\n1 2\r\n3 oops", "line 3, column 3"),
        ("\ufeff# a\r1 2\r\r3 oops 4", "line 4, column 3"),
        ("1 2 3 # DTYPE int8\n# DTYPE int16\n# NDIM 1 1", "line 3, column 1"),
        ("1 2 3 4 5 6\n1 2 3 4 5 6 7 8 9\n", "line 2, column 13"),
        ("\n1 2 3 4 5 6\n\n1 2 3 4", "line 4, column 8"),
    ],
)
def test_an_error_is_placed_alike_in_pieces_of_any_size(short_blocks, text, place, size):
    short_blocks(size)
    with pytest.raises(BadFile, match=f"^x.data, {place}: "):
        parse(text.encode(), "x.data")


def test_rows_longer_than_a_piece_are_counted(short_blocks):
    short_blocks(16)
    row = " ".join(["1.25"] * 50)
    assert parse(f"# none\n{row}\n\n{row}\n{row}").shape == (3, 50)
    assert parse(row).shape == (50,)
    with pytest.raises(BadFile, match="line 2, column 251: the number of values is 5[1-9], but 50"):
        parse(f"{row}\n{row} 1.25 1.25 1.25 1.25 1.25 1.25 1.25 1.25\n")


def test_a_comment_longer_than_a_piece_is_one_comment(short_blocks):
    short_blocks(16)
    text = f"1 2 # {'5 ' * 100}\n   #    {'-' * 100} 7\n# DTYPE {' ' * 100} int8\n3 4"
    assert_same_bits(parse(text), np.array([[1, 2], [3, 4]], np.int8))


def test_memory_is_that_of_the_array_and_some_pieces(tmp_path):
    path = tmp_path / "0-end.data"
    array = np.random.default_rng(5).normal(1000, 50, (1000, 600)).astype(np.float32)
    tracemalloc.start()
    try:
        write(path, array)
        _, to_write = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        again = read(path)
        _, to_read = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert path.stat().st_size > 5_500_000
    assert to_write < 3_000_000
    assert to_read < array.nbytes + 3_000_000
    assert_same_bits(again, array)


def test_a_pipe_is_read_too():
    read_end, write_end = os.pipe()
    with os.fdopen(read_end), os.fdopen(write_end, "w") as file:
        file.write(BY_PYTHON)
        file.close()
        assert read(f"/dev/fd/{read_end}").shape == (2, 2, 3)


@pytest.mark.parametrize("change", ["shorter", "longer", "as long"])
def test_a_file_that_is_written_while_it_is_read_is_no_array(tmp_path, monkeypatch, change):
    path = tmp_path / "0-end.data"
    path.write_text("1 2 3 4\n5 6 7 8\n")
    os.utime(path, ns=(1, 1))
    parse_block = numerals.parse

    def write_meanwhile(block, dtype):
        path.write_text(
            {"shorter": "1", "longer": "9 " * 50, "as long": "8 7 6 5\n4 3 2 1\n"}[change]
        )
        return parse_block(block, dtype)

    monkeypatch.setattr(numerals, "parse", write_meanwhile)
    with pytest.raises(BadFile, match="0-end.data: was written while it was read; read it again"):
        read(path)


def test_a_file_that_is_replaced_while_it_is_read_is_read_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "0-end.data"
    write(path, np.zeros(3))
    parse_block = numerals.parse

    def replace_meanwhile(block, dtype):
        write(path, np.ones(4))
        return parse_block(block, dtype)

    monkeypatch.setattr(numerals, "parse", replace_meanwhile)
    assert read(path).tolist() == [0, 0, 0]


# errors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("# a\n # SHAPE (3,2)\n1 2 3", r"line 2, column 2: .* is 3, .* shape \(3,2\) needs 6"),
        ("# NDIM 1\n# DIM:0 4\n1 2 3", r"line 2, column 1: .* is 3, .* shape \(4,\) needs 4"),
        ("# NDIM 0\n1 2 3", r"line 1, column 1: .* is 3, .* shape \(\) needs 1"),
        ("# NDIM 1\n# DIM:0 999999999999999999\n1", "needs 999999999999999999"),
        (
            "# NDIM 2\n# DIM:0 3\n1 2 3",
            "line 1, column 1: NDIM is 2, but .* DIM lines is 1",
        ),
        ("# SHAPE (3,)\n# NDIM 2\n# DIM:0 3\n1 2 3", "NDIM is 2"),
        ("\n# NDIM two\n1", "line 2, column 1: NDIM 'two' is no whole number"),
        ("# DIM:0 -3\n1 2 3", "DIM:0 '-3' is no whole number"),
        ("# SHAPE (-1,)\n1", r"SHAPE '\(-1,\)' is no shape such as"),
        ("# SHAPE __import__('os').abort()\n1", "is no shape such as"),
        ("# SHAPE (9**9**9,)\n1", "is no shape such as"),
        ("# SHAPE (" + "1," * 33 + ")\n1", "33 dimensions, and an array at most 32"),
        ("# SHAPE (0,999999999999999999,999999999999999999)", "is impossible"),
        ("# DTYPE object\n1", "'object' is no type that array text can hold; it holds bool, int8"),
        ("# DATATYPE <U3\n1", "'<U3' is no type"),
        ("# DTYPE f4,i4\n1", "'f4,i4' is no type"),
        ("# DTYPE complex64\n1", "'complex64' is no type"),
        ("# DTYPE float128\n1", "'float128' is no type"),
        ("# DTYPE\n1", "DTYPE '' is no type"),
        ("1 2 3\n\n4 5\n", "line 3, column 4: the number of values is 2, but 3 in line 1"),
        ("#\n1 2\n 3\t4 5 # 6", "line 3, column 6: the number of values is 3, but 2 in line 2"),
        ("", "holds no numbers"),
        ("# nothing\n\n", "holds no numbers"),
        ("# SHAPE (2,)\n", "number of values is 0"),
        (b"\x89HDF\r\n\x1a\n\x00\x00", "is binary, not text"),
        (b"\x93NUMPY\x01\x00v\x00", "is binary, not text"),
        (b"\xff\xfe1\x002\x00", "is binary, not text"),
        (b"\x89PNG\r\n\x1a\n", "line 1, column 1: .* is not a number"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_in_one_sentence(text, sentence):
    with pytest.raises(BadFile, match=sentence) as error:
        parse(text, "x.data")
    assert str(error.value).startswith("x.data")
    assert "\n" not in str(error.value)


KEYS = ["SHAPE", "DATATYPE", "DTYPE", "NDIM", "DIM:0", "DIM:x", "Metadata for ndarray<", "x"]
VALUES = ["(2,2)", "()", "(0,)", "int", "float", "uint64", "bool", "4", "0", "-1", "9" * 5000]
TOKENS = ["1", "-0", "1.5", "1e400", "nan", "inf", ".", "+", "#", "\v", "\r", "1" * 30, "e", "٣"]


@given(
    st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(VALUES) | st.text(max_size=9))),
    st.lists(st.sampled_from(TOKENS) | st.text(max_size=9)),
)
def test_a_hostile_header_is_refused_or_right(header, tokens):
    text = "".join(f"# {key} {value}\n" for key, value in header) + " ".join(tokens)
    try:
        array = parse(text)
    except BadFile:
        return
    assert array.size <= len(text)
    assert array.dtype.name in DTYPES


@given(st.binary(max_size=50))
def test_any_bytes_are_refused_or_right(data):
    try:
        array = parse(data)
    except BadFile:
        return
    assert array.dtype.name in DTYPES


def test_a_missing_file_is_the_systems_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.data")


# writing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_array_reads_back_bit_for_bit(dtype):
    shapes = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)

    @given(arrays.arrays(dtype, shapes))
    def reads_back(array):
        assert_same_bits(parse(format_array(array)), array)

    reads_back()


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_short_floats_of_any_bits_read_back(dtype):
    size = 2**16
    bits = np.random.default_rng(7).integers(0, 2**32, size, np.uint32)
    array = np.arange(size, dtype=np.uint16).view(dtype) if dtype == "float16" else bits.view(dtype)
    assert_same_bits(parse(format_array(array)), array)


def test_the_one_float32_whose_shortest_text_rounds_twice_reads_back():
    array = np.array([0x15AE43FD, 0x95AE43FD], np.uint32).view(np.float32)
    assert np.float32(float(str(array[0]))) != array[0]
    assert_same_bits(parse(format_array(array)), array)


@pytest.mark.parametrize(
    ("dtype", "row"),
    [
        ("float32", "0.1 1023.4567 nan -0.0"),
        ("float64", "0.1 1023.4567 nan -0.0"),
        ("uint64", "18446744073709551615 0"),
        ("bool", "1 0 1"),
    ],
)
def test_numbers_are_written_short(dtype, row):
    array = np.array(row.split()).astype(np.uint8 if dtype == "bool" else dtype).astype(dtype)
    assert format_array(array).splitlines()[-1] == row


def test_the_file_has_the_header_and_rows_of_the_old_writers(tmp_path):
    path = tmp_path / "3-15.data"
    write(path, np.ones((2, 2, 3), np.float32), comments=["TITLE one", "two\nlines"], fmt="%.1f")
    origin = path.read_text().split("\n\n")[1].splitlines()
    expected = BY_PYTHON.splitlines()[2:7]
    assert [line[:14] for line in origin[:5]] == [line[:14] for line in expected]
    assert origin[0] == f"# HOST        {socket.gethostname()}"
    assert datetime.fromisoformat(origin[3][14:]).utcoffset() is not None
    rest = format_array(np.ones((2, 2, 3), np.float32), fmt="%.1f").split("\n", 2)[2]
    assert path.read_text().startswith("# TITLE one\n# two\n# lines\n\n# HOST ")
    assert path.read_text().endswith(rest)


def test_header_and_rows_stand_as_in_the_old_files():
    text = format_array(np.arange(1, 13, dtype=np.float32).reshape(2, 2, 3), fmt="%.1f")
    old = BY_PYTHON.splitlines()
    assert text.splitlines()[:9] == [*old[7:15], ""]
    assert [line.split() for line in text.splitlines()[9:]] == [row.split() for row in old[15:]]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fmt", [None, "%d"])
@pytest.mark.parametrize("shape", [(17,), (3, 5), (2, 3, 4), (40, 1), (), (0, 3), (3, 0)])
def test_rows_are_the_same_written_at_once_or_in_pieces(monkeypatch, dtype, fmt, shape):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    whole = format_array(array, fmt=fmt)
    monkeypatch.setattr("cdb.files.text._NUMBERS", 4)
    assert format_array(array, fmt=fmt) == whole
    assert_same_bits(parse(whole), array)


def test_one_dimension_is_one_line():
    assert format_array(np.arange(2000)).splitlines()[-1].split() == [str(i) for i in range(2000)]


def old_reader(text):
    """Read as psana 4.3.4 and LCLS-I do: exactly ``# KEY value``, floats, DIM in order."""
    fields = [line.split(" ", 2) for line in text.splitlines() if line.startswith("#")]
    header = {key: value.strip() for _, key, value in fields}
    rows = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    dims = [int(value) for key, value in header.items() if key.startswith("DIM:")]
    assert int(header["NDIM"]) == len(dims)
    assert header["SHAPE"] == str(tuple(dims)).replace(" ", "")
    assert header["DATATYPE"] == header["DTYPE"]
    return np.array([[float(field) for field in row] for row in rows], header["DTYPE"]).reshape(
        dims
    )


@pytest.mark.parametrize("dtype", [*FLOATS, "uint16", "int32", "bool", ">f4"])
@pytest.mark.parametrize("shape", [(6,), (2, 3), (3, 1, 2)])
def test_old_readers_read_the_same(dtype, shape):
    array = (np.random.default_rng(3).normal(0, 9, shape) ** 2).astype(dtype)
    assert_same_bits(old_reader(format_array(array)), array)


def test_a_big_endian_array_is_written_under_its_native_name():
    text = format_array(np.array([1, 2], ">u2"))
    assert "# DATATYPE    uint16\n" in text
    assert parse(text).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("fmt", "row"),
    [("%.1f", "1.0 -2.0"), ("%8.2f", "    1.00    -2.00"), ("%4d", "   1   -2"), ("%d", "1 -2")],
)
def test_a_format_makes_the_numbers_short(fmt, row):
    assert format_array(np.array([1.0, -2.0]), fmt=fmt).splitlines()[-1] == row


@pytest.mark.parametrize("ctype", SHORT_FORMS)
def test_the_old_tools_short_forms_print_what_reads_back_nearly(ctype):
    array = np.array([[0, 1, 12.0625]] if "f" in SHORT_FORMS[ctype] else [[0, 1, 12]], np.float32)
    back = parse(format_array(array, fmt=SHORT_FORMS[ctype]))
    np.testing.assert_allclose(back, array, atol=0.0005)
    assert back.dtype == np.float32


@pytest.mark.parametrize(
    "fmt", ["", "%s", "%x", "%.1f %.1f", "%.1f,", "%*d", "%(a)d", "%d\n", "%c"]
)
def test_a_format_that_is_none_of_a_number_is_refused(fmt):
    with pytest.raises(BadFile, match="is no format of one number"):
        format_array(np.ones(2), fmt=fmt)


@pytest.mark.parametrize("number", [1.5, np.nan, np.inf])
def test_a_format_of_integers_does_not_cut_floats(number):
    with pytest.raises(BadFile, match="'%d' would cut numbers"):
        format_array(np.array([1.0, number]), fmt="%d")


@pytest.mark.parametrize("dtype", ["U3", "S3", "O", "M8[s]", "c8", "V4", "f4,i4", np.longdouble])
def test_what_is_no_number_is_refused(dtype):
    with pytest.raises(BadFile, match="cannot be written as text, which holds bool, int8"):
        format_array(np.zeros(2, dtype))


@pytest.mark.parametrize("comment", ["SHAPE (9,)", " DIM:0 9", "hi\nDTYPE int8", "NDIM", "a\0b"])
def test_a_comment_cannot_pass_for_the_header(comment):
    with pytest.raises(BadFile, match="would be taken for part of the header"):
        format_array(np.ones(2), comments=[comment])


@given(st.lists(st.text()))
def test_no_comment_changes_the_array(comments):
    array = np.array([[1.5, 2], [3, np.inf]])
    try:
        text = format_array(array, comments=comments)
    except BadFile:
        return
    assert_same_bits(parse(text), array)


def test_a_comment_may_be_one_text():
    assert format_array(np.ones(1), comments="one\ntwo").startswith("# one\n# two\n\n# SHAPE")


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "0-end.data"
    write(path, np.zeros(3))
    write(str(path), np.ones((2, 2), np.int16))
    assert_same_bits(read(path), np.ones((2, 2), np.int16))
    assert list(tmp_path.iterdir()) == [path]


def test_after_a_failure_the_old_file_stands_alone(tmp_path, monkeypatch):
    path = tmp_path / "0-end.data"
    write(path, np.zeros(3))

    def full(_):
        raise OSError("no space left")

    monkeypatch.setattr("cdb.files.places.os.fsync", full)
    with pytest.raises(OSError, match="no space left"):
        write(path, np.ones(4))
    assert read(path).tolist() == [0, 0, 0]
    assert list(tmp_path.iterdir()) == [path]


def test_a_user_without_a_name_is_a_number(tmp_path, monkeypatch):
    def nobody():
        raise KeyError("uid not found")

    monkeypatch.setattr("cdb.files.text.getpass.getuser", nobody)
    write(tmp_path / "a", np.ones(1))
    assert "# UID         " in (tmp_path / "a").read_text()


def test_digits_are_not_limited_by_pythons_guard():
    digits = "1." + "0" * (sys.get_int_max_str_digits() + 1)
    assert parse(f"# DTYPE int8\n{digits}").tolist() == [1]
