"""Tagged JSON: every value comes back bit for bit; the page of examples is true."""

import json
import re
from collections import OrderedDict, namedtuple
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cdb.errors import BadPayload
from cdb.payload import decode, encode
from tests.payload.samples import nested, same, stored

DOCS = Path(__file__).parents[2] / "docs" / "payloads.md"
EXAMPLES = re.findall(r"^\| `(.+?)` \| `([^`]+)` \|$", DOCS.read_text(), re.MULTILINE)
NUMBERS = st.integers() | st.floats() | st.complex_numbers() | st.integers(2**53 - 2, 2**53 + 2)
SCALARS = hnp.arrays(hnp.scalar_dtypes() | hnp.array_dtypes(), ()).map(lambda array: array[()])
LEAVES = (
    st.none() | st.booleans() | NUMBERS | st.text() | st.binary() | SCALARS | hnp.arrays("f4", 3)
)
KEYS = st.text() | st.integers() | st.binary() | st.tuples(st.text(), st.none()) | st.just("$cdb")
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(KEYS, inner),
    max_leaves=20,
)


def test_the_page_has_an_example_of_each_tag():
    tags = {tag for _, text in EXAMPLES for tag in re.findall(r'"\$cdb":"(\w+)"', text)}
    assert tags == {"int", "float", "complex", "bytes", "tuple", "dict", "ndarray", "scalar"}


@pytest.mark.parametrize(("value", "text"), EXAMPLES)
def test_the_examples_of_the_page_are_true(value, text):
    data = eval(value, {"np": np})  # our own page, not a user's
    assert encode(data).data.decode() == text
    assert same(stored(data), data)


@settings(deadline=None)
@given(VALUES)
def test_any_value_comes_back_bit_for_bit(value):
    data = [value]  # arrays and texts on their own are stored otherwise
    assert same(stored(data), data)
    assert encode(data) == encode(stored(data))


BIG = [2**53, -(2**53), 2**53 + 1, -(2**63), 2**64, 10**5000, -(10**5000)]


@pytest.mark.parametrize("number", BIG, ids=lambda number: f"{number.bit_length()} bits")
def test_integers_have_any_size(number):
    assert stored(number) == number
    assert encode(number).data.startswith(b'{"$cdb":"int"') is (abs(number) > 2**53)


def test_nested_arrays_are_read_only():
    back = stored({"a": [np.arange(3)]})
    assert not back["a"][0].flags.writeable


def test_the_order_of_a_dict_is_kept():
    assert list(stored({"b": 1, "a": 2})) == ["b", "a"]


def test_the_stored_form_says_no_more_than_its_kind():
    assert encode({"a": 1}).fields == {"data_type": "json"}


@pytest.mark.parametrize("text", ['{"a": [1, 2.5, null]}', " [] ", "NaN", "1e999", '"text"', "{}"])
def test_plain_json_of_others_is_read(text):
    back = decode(text.encode(), {"data_type": "json"})
    assert repr(back) == repr(json.loads(text))


NO_JSON = ["", "{", "'a'", "[1,]", "\ufeff1", "[" * 100_000, '{"a":' * 3000, "9" * 9999, "[1] 2"]
NO_JSON += ['{"$cdb": 1}', '{"$cdb": "set"}', '{"$cdb": ["int"]}', '{"$cdb": null}']
NO_JSON += [
    '{"$cdb": "' + tag + '", ' + rest + "}"
    for tag, rest in [
        ("int", '"hex": "12"'),
        ("int", '"hex": 12'),
        ("int", '"value": "0x1"'),
        ("float", '"value": "1.5"'),
        ("float", '"value": []'),
        ("complex", '"real": "x", "imag": 0'),
        ("complex", '"real": {"$cdb": "complex"}, "imag": 0'),
        ("bytes", '"base64": "A"'),
        ("bytes", '"base64": "\u00e9"'),
        ("bytes", '"base64": 5'),
        ("tuple", '"items": "ab"'),
        ("dict", '"items": [[1]]'),
        ("dict", '"items": [[[1], 2]]'),
        ("dict", '"items": 5'),
        ("ndarray", '"dtype": "O", "shape": [1], "base64": "AAAAAAAAAAA="'),
        ("ndarray", '"dtype": "f4", "shape": [2], "base64": "AAAAAA=="'),
        ("ndarray", '"dtype": "f4", "shape": [-1], "base64": "AAAAAA=="'),
        ("scalar", '"dtype": "f4", "base64": ""'),
        ("scalar", '"dtype": "str", "value": 5'),
        ("scalar", '"dtype": "str", "value": "\\ud800"'),
        ("scalar", '"dtype": ["f4"], "base64": ""'),
    ]
]


@pytest.mark.parametrize("text", NO_JSON, ids=lambda text: text[:40])
def test_json_that_means_nothing_is_refused(text):
    with pytest.raises(BadPayload) as caught:
        decode(text.encode(), {"data_type": "json"})
    assert len(str(caught.value)) < 400


Pair = namedtuple("Pair", "a b")


@pytest.mark.parametrize(
    "value", [{1}, Pair(1, 2), OrderedDict(), bytearray(), object, print, range(3), np.dtype("f4")]
)
def test_values_of_other_types_are_refused_by_name_and_place(value):
    words = rf"data\['a'\]\[3\] is of type {type(value).__name__}, which has no stored form"
    with pytest.raises(BadPayload, match=words):
        encode({"a": [0, 1, 2, value]})


def test_containers_may_be_a_hundred_deep():
    assert same(stored(nested(100)), nested(100))
    with pytest.raises(BadPayload, match="deeper than 100"):
        encode(nested(101))
    with pytest.raises(BadPayload, match="deeper than 100"):
        decode(b"[" * 102 + b"]" * 102, {"data_type": "json"})


def test_what_contains_itself_is_refused():
    cycle = {"a": []}
    cycle["a"].append(cycle)
    with pytest.raises(BadPayload, match=r"data\['a'\]\[0\] contains itself"):
        encode(cycle)


def test_what_stands_twice_is_stored_twice():
    item = [1]
    assert stored({"a": item, "b": item}) == {"a": [1], "b": [1]}
