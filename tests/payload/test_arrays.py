"""Arrays: the dtypes and shapes of any writer are read, nothing foreign crashes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdb.errors import BadPayload, CalibError
from cdb.payload import decode, encode
from tests.payload.samples import array_document, assert_short, same, stored


@pytest.mark.parametrize("subclass", [np.matrix, np.recarray], ids=lambda c: c.__name__)
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_subclasses_of_numpy_are_stored_as_plain_arrays(subclass):
    array = np.zeros((2, 2), [("a", "i4")] if subclass is np.recarray else "f4")
    back = stored(array.view(subclass))
    assert type(back) is np.ndarray
    assert same(back, array)


class Quantity(np.ndarray):
    """An array with a unit, say."""


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (np.ma.masked_array([1, 2], [True, False]), "mask apart"),
        ({"a": [0, np.ma.masked_array([1])]}, r"data\['a'\]\[1\] is a masked array"),
        (np.zeros(2).view(Quantity), "type Quantity"),
        (np.array([1, None]), "dtype 'object'"),
        (np.zeros(2, [("a", "i4"), ("b", [("c", "O")])]), "objects elsewhere"),
        (np.zeros(1, {"names": ["a", "b"], "formats": ["u1", "u1"], "offsets": [1, 0]}), "no text"),
        ("half \ud800 a pair", r"'\\ud800' at 5"),
        ({"a": {"b": (1, "\udfff")}}, r"data\['a'\]\['b'\]\[1\] holds"),
    ],
)
def test_what_has_no_stored_form_is_refused_at_its_place(data, words):
    with pytest.raises(BadPayload, match=words):
        encode(data)


@pytest.mark.parametrize("dtype", ["float32", "<f4", "f4", "=f4", "|f4"])
@pytest.mark.parametrize("shape", ["(2, 3)", "[2,3]", "2,3", "(2, 3,)", " 2 , 3 ", [2, 3], (2, 3)])
def test_reads_the_shapes_and_dtypes_of_other_writers(dtype, shape):
    back = decode(bytes(24), array_document(data_dtype=dtype, data_shape=shape))
    assert back.shape == (2, 3)
    assert back.dtype == np.float32


@pytest.mark.parametrize("shape", ["(2,)", "(2)", "2", 2])
def test_a_shape_of_one_length_has_many_forms(shape):
    assert decode(b"ab", array_document(data_shape=shape)).tolist() == [97, 98]


NO_SHAPES = ["", "(2", "2]", "(-2,)", "(1 2)", "(2.0,)", "(True,)", "(2,,)", "__import__('os')"]
NO_SHAPES += [
    "(" * 500,
    "2," * 600,
    "9" * 900,
    "(" + "9" * 19 + ",)",
    "(1,)" + "(1,)",
    -2,
    True,
    2.0,
]
NO_SHAPES += [None, [2.0], [-2], {"a": 1}, ["2"], "(0, " + "9" * 19 + ")", str((1,) * 99 + (2,))]


@pytest.mark.parametrize("shape", NO_SHAPES, ids=lambda v: str(v)[:12])
def test_a_shape_that_is_none_is_refused(shape):
    with pytest.raises(BadPayload) as caught:
        decode(b"ab", array_document(data_shape=shape))
    assert len(str(caught.value)) < 400


NO_DTYPES = [
    "",
    "object",
    "O",
    "|O8",
    "i4,f8",
    "f5",
    "U99999999999",
    "a5",
    "void",
    "float31",
    " f4",
]
NO_DTYPES += ["[('a', 'O')]", "[('a', 'i4,O')]", "[('a', 'u1'), ('a', 'u1')]", "[1]", "[('a',)]"]
NO_DTYPES += ["[" * 9000, "[" * 50_000, "[('a', 'u1', 99999999999999999999)]", "[('a', 'u1', -1)]"]
NO_DTYPES += ["[('a', (1).__class__)]", "M8[s/25]", "M8[parsec]", 5, None, ["u1"], "[(1, 'u1')]"]


@pytest.mark.parametrize("dtype", NO_DTYPES, ids=lambda v: str(v)[:20])
def test_a_dtype_that_is_none_is_refused(dtype):
    with pytest.raises(BadPayload) as caught:
        decode(b"ab", array_document(data_dtype=dtype))
    assert len(str(caught.value)) < 400


def test_bytes_that_do_not_fit_the_shape_are_refused():
    with pytest.raises(BadPayload, match="has 24 bytes, but 23 are stored"):
        decode(bytes(23), array_document(data_dtype="f4", data_shape="(2, 3)"))


def test_characters_that_are_none_are_refused():
    for dtype in ("<U1", ">U1", "[('a', '<U1')]"):
        with pytest.raises(BadPayload, match="character number"):
            decode(b"\x7f\xff\xff\x7f", array_document(data_dtype=dtype, data_shape="(1,)"))


SYNTAX = st.text("()[]{},'0123456789-:<>|ufiOSUVM \\", max_size=40)


@settings(deadline=None, max_examples=300)
@given(SYNTAX, SYNTAX)
def test_texts_that_look_right_are_read_or_refused(dtype, shape):
    for document in (array_document(data_dtype=dtype), array_document(data_shape=shape)):
        try:
            decode(b"ab", document)
        except CalibError as error:
            assert_short(error)
