"""Payloads: what is stored and what the document says of it; nothing foreign crashes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cdb.errors import BadPayload, CalibError
from cdb.payload import decode, digest, encode
from tests.payload.samples import ANY, ARRAYS, XTCAV, array_document, assert_short, same, stored


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_an_array_comes_back_bit_for_bit(array):
    back = stored(array)
    assert same(back, array)
    assert not back.flags.writeable


@settings(deadline=None)
@given(
    hnp.arrays(hnp.array_dtypes() | hnp.scalar_dtypes(), hnp.array_shapes(min_dims=0, min_side=0))
)
def test_any_array_comes_back_bit_for_bit(array):
    assert same(stored(array), array)


@pytest.mark.parametrize(
    ("array", "dtype", "shape", "ndim", "size"),
    [
        (ARRAYS["jungfrau"], "float32", "(3, 1, 512, 1024)", "4", "1572864"),
        (np.zeros(5, "bool"), "bool", "(5,)", "1", "5"),
        (np.array(1, ">i4"), ">i4", "()", "0", "1"),
        (np.array(["ab"]), "<U2", "(1,)", "1", "1"),
        (np.zeros(2, [("a", "<i4")]), "[('a', '<i4')]", "(2,)", "1", "2"),
    ],
)
def test_the_fields_of_an_array_are_those_of_psana(array, dtype, shape, ndim, size):
    assert encode(array).fields == {
        "data_type": "ndarray",
        "data_dtype": dtype,
        "data_shape": shape,
        "data_ndim": ndim,
        "data_size": size,
    }


def test_an_array_is_not_copied_on_either_way():
    array = ARRAYS["jungfrau"]
    made = encode(array)
    assert np.shares_memory(np.frombuffer(made.data, "u1"), array)
    assert np.shares_memory(decode(made.data, made.fields), array)


def test_an_old_document_without_dtype_and_shape_says_so():
    with pytest.raises(BadPayload, match="no data_dtype and no data_shape"):
        decode(b"ab", {"data_type": "ndarray"})


def test_an_empty_array_of_psana_is_two_braces():
    document = array_document(data_shape="(0, 3)", data_size="0")
    assert decode(b"{}", document).shape == (0, 3)
    assert decode(b"{}", array_document(data_size="2")).tolist() == [123, 125]
    with pytest.raises(BadPayload):
        decode(b"{}", array_document(data_shape="(0, 3)"))


@pytest.mark.parametrize("kind", [None, "", "pickle", "ndarray ", 5, []])
def test_an_unknown_kind_of_data_is_refused(kind):
    with pytest.raises(BadPayload, match="'ndarray', 'str', 'json', 'any'"):
        decode(b"", {"data_type": kind})


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=30), st.text(max_size=30), st.binary(max_size=30), st.booleans())
def test_any_texts_and_bytes_are_read_or_refused(dtype, shape, data, swap):
    known = array_document(data_shape=shape) if swap else array_document(data_dtype=dtype)
    for document in (known, XTCAV, {"data_type": "json"}, {"data_type": "str"}, ANY):
        try:
            decode(data, document, allow_pickle=True)
        except CalibError as error:
            assert_short(error)


def test_the_digest_is_that_of_the_bytes():
    array = np.arange(3.0)
    assert digest(encode(array).data) == digest(array.tobytes())
    assert len(digest(b"")) == 64
