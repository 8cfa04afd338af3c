"""Numbers as decimal text: the quick ways read what the careful one reads, and nothing else."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cdb.errors import shown
from cdb.files.numerals import BadNumeral, _parse_token, parse

FLOATS = ["float16", "float32", "float64"]
DTYPES = ["bool", "int8", "uint16", "int32", "int64", "uint64", *FLOATS]

NUMERALS = st.one_of(
    st.decimals(-(10**9), 10**9, places=3).map(str),
    st.floats(allow_infinity=False).map(repr),
    st.integers(-(2**64), 2**64).map(str),
    st.integers(-300, 300).map(lambda number: f"{number}.0"),
    st.from_regex(r"\A[+-]?[0-9]{0,25}\.?[0-9]{1,25}([eE][+-]?[0-9]{1,2})?\Z"),
    st.sampled_from(["1", "0", "-0", "-0.0", "1.", ".5", "+1", "007", "nan", "-nan", "inf", "1E5"]),
)
# What JSON knows beside numbers, and what is nearly a number.
OTHERS = st.sampled_from(
    ["null", "true", "false", '"1"', "[1]", "{}", "1,2", ",", "n", "na", "a", "nann", "an", "nan1",
     "1nan", "-", "+", ".", "e", "1e", "1.2.3", "1-2", "1_0", "0x1", "1e400", "1e39", "infinit",
     "\x01", "-null", "NaN", "Infinity"]
)  # fmt: skip


def one_by_one(tokens, dtype):
    """Read tokens as the careful way does, None where one of them is bad."""
    try:
        return np.array([_parse_token(token.encode(), dtype) for token in tokens], dtype)
    except ValueError:
        return None


def same(tokens, dtype, blanks):
    """Return whether a block reads as its tokens do one by one."""
    block = blanks.join(tokens).encode()
    expected = one_by_one(tokens, dtype)
    if expected is None:
        with pytest.raises(BadNumeral) as error:
            parse(block, dtype)
        found = block[error.value.offset :].split()[0].decode()
        assert shown(found) in str(error.value)
        return True
    array = parse(block, dtype)
    assert array.dtype == dtype
    nan = np.isnan(expected)
    return array[~nan].tobytes() == expected[~nan].tobytes() and bool(np.isnan(array[nan]).all())


@given(
    st.lists(NUMERALS, min_size=1),
    st.sampled_from(DTYPES),
    st.sampled_from([" ", "\n", "\t  ", "\n\n", "\v", " \f"]),
)
@example(["9007199254740993.0"], "uint64", " ")
@example(["5.0000000000000000001"], "int8", " ")
@example(["4503599627370497.1"], "int64", " ")
@example(["-0", "1.5"], "float32", " ")
def test_a_block_reads_as_its_numbers_do_one_by_one(tokens, dtype, blanks):
    assert same(tokens, np.dtype(dtype), blanks)


@given(st.lists(NUMERALS | OTHERS), OTHERS, st.lists(NUMERALS | OTHERS), st.sampled_from(DTYPES))
def test_what_is_no_number_is_found_among_numbers(before, token, after, dtype):
    assert same([*before, token, *after], np.dtype(dtype), " ")


@given(st.lists(st.floats(), min_size=1))
def test_floats_are_rounded_as_python_rounds_them(numbers):
    array = parse(" ".join(map(repr, numbers)).encode(), np.dtype("float64"))
    np.testing.assert_array_equal(array, numbers)
    zeros = array == 0
    np.testing.assert_array_equal(np.signbit(array[zeros]), np.signbit(np.array(numbers)[zeros]))


@pytest.mark.parametrize("block", [b"", b" \n\t"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_blanks_alone_are_no_numbers(block, dtype):
    assert parse(block, np.dtype(dtype)).shape == (0,)
