"""Dicts that psana wrote as literals: read, and nothing evaluated."""

import math

import numpy as np
import pytest

from cdb.errors import BadPayload
from cdb.payload import decode
from tests.payload.samples import XTCAV, same


def psana_array(array):
    """Return an array as psana's `serialize_dict` writes it."""
    return {
        "type": "nd",
        "shape": str(array.shape),
        "size": str(array.size),
        "dtype": str(array.dtype),
        "data": array.tobytes(),
    }


def psana_scalar(value, dtype):
    return {"type": "sc", "dtype": dtype, "data": str(value)}


@pytest.mark.parametrize("ctype", ["xtcav_lasingoff", "xtcav_pedestals", "lasingoffreference"])
def test_a_dict_of_psana_is_read(ctype):
    array = np.linspace(-1, 1, 60).reshape(3, 20)
    text = str({"profiles": {"deep": psana_array(array)}, "n": psana_scalar(7, "int"), "who": "me"})
    back = decode(text.encode(), {"data_type": "str", "ctype": ctype})
    assert same(back["profiles"]["deep"], array)
    assert (back["n"], back["who"]) == (7, "me")
    assert decode(text.encode(), {"data_type": "str", "ctype": "geometry"}) == text


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (7, "uint64"),
        (7, "int"),
        (0.1, "float32"),
        (math.nan, "float"),
        (1 + 2j, "complex128"),
        (False, "bool"),
        (True, "bool"),
        ("a'b", "str"),
    ],
)
def test_a_scalar_of_psana_is_read(value, dtype):
    text = str({"a": psana_scalar(value, dtype)})
    assert same(decode(text.encode(), XTCAV)["a"], value)


@pytest.mark.parametrize("text", ["", "geometry", "[1]", "{1, 2}", "{'a': open('x')}", "(" * 999])
def test_a_text_that_is_no_dict_stays_a_text(text):
    assert decode(text.encode(), XTCAV) == text


@pytest.mark.parametrize(
    "item",
    [
        {"type": "nd"},
        {"type": "nd", "data": b"ab", "dtype": "u1", "shape": "(3,)"},
        {"type": "nd", "data": b"ab", "dtype": "O", "shape": "(3,)"},
        {"type": "nd", "data": "ab", "dtype": "u1", "shape": "(2,)"},
        {"type": "sc"},
        {"type": "sc", "dtype": "int", "data": "five"},
        {"type": "sc", "dtype": "bool", "data": "0"},
        {"type": "sc", "dtype": "code", "data": "__import__('os')"},
    ],
    ids=str,
)
def test_a_dict_of_psana_that_means_nothing_is_refused(item):
    with pytest.raises(BadPayload, match=r"data\['a'\]\['b'\]"):
        decode(str({"a": {"b": item}}).encode(), XTCAV)


def test_a_dict_of_too_many_numbers_is_not_read():
    text = "{'a': [" + "1, " * 400_000 + "]}"
    with pytest.raises(BadPayload, match="too long to be read safely"):
        decode(text.encode(), XTCAV)
