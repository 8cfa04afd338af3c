"""Payloads: every value comes back bit for bit; nothing foreign runs code or crashes."""

import json
import math
import os
import pickle
import re
from collections import OrderedDict, namedtuple
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cdb import payload
from cdb.errors import BadPayload, CalibError, UnsafePayload
from cdb.payload import decode, describe, encode, warnings_about

DOCS = Path(__file__).parents[1] / "docs" / "payloads.md"
ANY = {"data_type": "any"}
XTCAV = {"data_type": "str", "ctype": "xtcav_lasingoff"}
POINT = np.dtype([("x", "<f4"), ("n", ">i2", (2,)), ("name", "<U3")])
ARRAYS = {
    "0-d": np.array(1.5),
    "empty": np.zeros((0, 3), "float32"),
    "not contiguous": np.arange(24, dtype="int16").reshape(4, 6)[::2, ::-3],
    "Fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "bool": np.array([True, False]),
    "big-endian": np.arange(3, dtype=">i4"),
    "text": np.array(["ab", "µ"]),
    "empty text": np.array([""]),
    "bytes": np.array([b"ab", b"c\0"]),
    "uint64": np.array([2**64 - 1, 2**63], "uint64"),
    "half": np.array([1.5, -0.0, np.nan], "float16"),
    "long": np.zeros(2, "longdouble"),
    "complex": np.array([1 + 2j, complex(0.0, np.nan)]),
    "dates": np.array(["2021-10-01", "NaT"], "datetime64[ns]"),
    "big-endian dates": np.array(["2021-10-01"], ">M8[s]"),
    "spans": np.array([3], "timedelta64[25s]"),
    "void": np.zeros(2, "V5"),
    "structured": np.zeros((2, 1), POINT),
    "aligned": np.zeros(2, np.dtype([("a", "i1"), ("b", "f8")], align=True)),
    "nested": np.zeros(2, [("p", POINT), ("q", "u1")]),
    "jungfrau": np.zeros((3, 1, 512, 1024), "float32"),
}


def stored(data):
    made = encode(data)
    return decode(bytes(made.data), made.fields)


def same(left, right):
    """Return whether two values are alike in type and in every bit."""
    if type(left) is not type(right):
        return False
    if isinstance(left, np.ndarray | np.generic):
        alike = left.dtype == right.dtype and left.shape == right.shape
        return alike and left.tobytes() == right.tobytes()
    if isinstance(left, dict):
        return same(list(left.items()), list(right.items()))
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return repr(left) == repr(right)


def array_document(**fields):
    return {"data_type": "ndarray", "data_dtype": "uint8", "data_shape": "(2,)"} | fields


# Arrays and texts


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


@pytest.mark.parametrize("text", ["", "geometry\n", "µm \U0001f600\0", "{'a': 1}", "x" * 10_000])
def test_a_text_comes_back_and_counts_its_characters(text):
    made = encode(text)
    assert made.fields == {"data_type": "str", "data_size": str(len(text))}
    assert made.data == text.encode()
    assert stored(text) == text


def test_stored_bytes_that_are_no_text_are_refused():
    with pytest.raises(BadPayload, match="not UTF-8: .* at byte 1"):
        decode(b"a\xff", {"data_type": "str"})


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


def test_an_old_document_without_dtype_and_shape_says_so():
    with pytest.raises(BadPayload, match="no data_dtype and no data_shape"):
        decode(b"ab", {"data_type": "ndarray"})


def test_characters_that_are_none_are_refused():
    for dtype in ("<U1", ">U1", "[('a', '<U1')]"):
        with pytest.raises(BadPayload, match="character number"):
            decode(b"\x7f\xff\xff\x7f", array_document(data_dtype=dtype, data_shape="(1,)"))


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


# JSON

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


def nested(depth):
    value = 0
    for level in range(depth):
        value = [[value], (value,), {"a": value}, {1: value}][level % 4]
    return value


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


# Dicts as literals


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


# Pickles

PICKLED = {
    **{name: array for name, array in ARRAYS.items() if name not in ("jungfrau", "aligned")},
    "dict": {"a": [np.arange(3), {"b": np.float32(2)}], "c": (None, True, 1.5, 2j, 10**30)},
    "objects": np.array([[1, None], ["x", 2.5]], object),
    "sets": [{1, 2}, frozenset("a"), bytearray(b"ab"), b"ab"],
    "ordered": OrderedDict(b=1, a=2),
    "dtype": np.dtype(">f4"),
    "structured scalar": np.zeros(1, POINT)[0],
    "key": {np.int64(3): 1},
}
BAITED = Path("/tmp") / f"cdb-baited-{os.getpid()}"


class Bait:
    """What runs a command when it is unpickled."""

    def __reduce__(self):
        return os.system, (f"touch {BAITED}",)


class Disguised:
    """The same, behind a container that is admitted."""

    def __reduce__(self):
        return set, ([Bait()],)


@pytest.mark.parametrize("protocol", [4, 5])
@pytest.mark.parametrize("value", PICKLED.values(), ids=PICKLED)
def test_a_pickle_of_psana_is_read_when_allowed(value, protocol):
    back = decode(pickle.dumps(value, protocol), ANY, allow_pickle=True)
    assert repr(back) == repr(value)
    assert type(back) is type(value)


def test_a_pickle_of_an_older_numpy_is_read():
    for data in (np.arange(3), np.float32(2)):
        old = pickle.dumps(data, 4).replace(
            b"\x16numpy._core.multiarray", b"\x15numpy.core.multiarray"
        )
        back = decode(_without_frame(old), ANY, allow_pickle=True)
        assert same(back, data)


def _without_frame(data):
    """Return a pickle of protocol 4 without the frame, whose length may be wrong."""
    return data[:2] + data[11:]


def test_a_pickle_is_refused_unless_allowed():
    with pytest.raises(UnsafePayload, match="allow_pickle=True"):
        decode(pickle.dumps({"a": 1}), ANY)


@pytest.mark.parametrize("allow_pickle", [False, True])
@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "bait", [Bait(), [Bait()], Disguised(), {"a": (Bait(),)}], ids=["bare", "list", "set", "dict"]
)
def test_a_pickle_never_runs_a_command(bait, protocol, allow_pickle):
    with pytest.raises(UnsafePayload):
        decode(pickle.dumps(bait, protocol), ANY, allow_pickle=allow_pickle)
    assert not BAITED.exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"cos\nsystem\n(S'touch x'\ntR.", "'os.system'"),
        (b"cbuiltins\neval\n(V1\ntR.", "'builtins.eval'"),
        (b"cbuiltins\ngetattr\n.", "'builtins.getattr'"),
        (b"ccollections\nOrderedDict.__init__.__globals__\n.", "globals"),
        (b"cnumpy\nload\n.", "'numpy.load'"),
        (b"cnumpy.testing._private.utils\nrunstring\n.", "runstring"),
        (b"cdatetime\ndatetime\n.", "'datetime.datetime'"),
        (b"ccdb.payload\ndecode\n.", "'cdb.payload.decode'"),
    ],
)
def test_a_pickle_that_asks_for_more_is_refused_by_name(text, words):
    with pytest.raises(UnsafePayload, match=words):
        decode(text, ANY, allow_pickle=True)


def cyclic():
    cycle = []
    cycle.append(cycle)
    return cycle


NO_PICKLES = {
    "nothing": b"",
    "text": b"hello",
    "no end": pickle.dumps([1])[:-1],
    "stack": b"....",
    "memo of 2**31": b"\x80\x04Nr\xff\xff\xff\x7f.",
    "persistent": b"Pid\n.",
    "class": b"cbuiltins\nset\n.",
    "cycle": pickle.dumps(cyclic()),
    "deep": pickle.dumps(nested(150)),
    "much memory": b"\x80\x04cbuiltins\nbytearray\n\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x40\x85R.",
    "array unmade": b"cnumpy\nndarray\n)R.",
    "state for a class": b"cnumpy\nndarray\nN}\x86b.",
    "objects in a field": pickle.dumps(np.zeros(2, [("a", "O")])),
}


@pytest.mark.parametrize("data", NO_PICKLES.values(), ids=NO_PICKLES)
def test_a_pickle_that_cannot_be_read_is_refused(data):
    with pytest.raises(BadPayload):
        decode(data, ANY, allow_pickle=True)


CHANGES = st.lists(st.tuples(st.integers(0, 10**4), st.integers(0, 255)), min_size=1, max_size=4)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(list(PICKLED.values())), st.sampled_from([4, 5]), CHANGES)
def test_a_changed_pickle_is_read_or_refused(value, protocol, changes):
    data = bytearray(pickle.dumps(value, protocol))
    for place, byte in changes:
        data[place % len(data)] = byte
    try:
        decode(bytes(data), ANY, allow_pickle=True)
    except CalibError as error:
        assert_short(error)


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=30), st.text(max_size=30), st.binary(max_size=30), st.booleans())
def test_any_texts_and_bytes_are_read_or_refused(dtype, shape, data, swap):
    known = array_document(data_shape=shape) if swap else array_document(data_dtype=dtype)
    for document in (known, XTCAV, {"data_type": "json"}, {"data_type": "str"}, ANY):
        try:
            decode(data, document, allow_pickle=True)
        except CalibError as error:
            assert_short(error)


SYNTAX = st.text("()[]{},'0123456789-:<>|ufiOSUVM \\", max_size=40)


@settings(deadline=None, max_examples=300)
@given(SYNTAX, SYNTAX)
def test_texts_that_look_right_are_read_or_refused(dtype, shape):
    for document in (array_document(data_dtype=dtype), array_document(data_shape=shape)):
        try:
            decode(b"ab", document)
        except CalibError as error:
            assert_short(error)


def assert_short(error):
    assert len(str(error).encode()) < 600


# Words


def test_the_digest_is_that_of_the_bytes():
    array = np.arange(3.0)
    assert payload.digest(encode(array).data) == payload.digest(array.tobytes())
    assert len(payload.digest(b"")) == 64


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (np.array([1, 5], "uint8"), "uint8 (2,), 1 .. 5"),
        (np.array([0.1, -2], "float32"), "float32 (2,), -2.0 .. 0.1"),
        (np.array([1, np.nan, np.inf]), "float64 (3,), 1.0 .. 1.0, 1 NaN, 1 infinite"),
        (np.full(2, np.nan), "float64 (2,), 2 NaN"),
        (np.zeros((0, 3)), "float64 (0, 3)"),
        (np.array([True, False, True]), "bool (3,), 2 of 3 true"),
        (np.array([1j, np.nan]), "complex128 (2,), 1 NaN"),
        (
            np.array(["2021-10-01", "NaT"], "M8[D]"),
            "datetime64[D] (2,), 2021-10-01 .. 2021-10-01, 1 NaT",
        ),
        (np.zeros(2, "M8"), "datetime64 (2,)"),
        (np.zeros(2, POINT), "(x, n, name) (2,)"),
        (np.array(["a"]), "<U1 (1,)"),
        ("a\nb", "text, 2 lines, 3 characters"),
        ("", "text, 0 lines, 0 characters"),
        ({}, "dict, 0 keys"),
        ({"a\n": 1, 2: 3}, r"dict, 2 keys: 'a\n', 2"),
        ({str(n): n for n in range(99)}, "dict, 99 keys: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ..."),
        ([1, 2], "list, 2 items"),
        (b"abc", "bytes, 3"),
        (1.5, "float, 1.5"),
        (-(2**250), "int, an integer of 251 bits"),
    ],
)
def test_describes_data_in_a_line(data, words):
    assert describe(data) == words


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (np.zeros((0, 3)), "data is empty: its shape is (0, 3)"),
        (np.full((2, 2), np.nan), "data holds no finite value in shape (2, 2)"),
        (np.array([1, np.inf, np.nan]), "2 of the 3 values of data are NaN or infinite"),
        (np.array(["2021-10-01", "NaT"], "M8[D]"), "1 of the 2 values of data is NaT"),
        ({"a": [np.zeros(0)]}, "data['a'][0] is empty: its shape is (0,)"),
        ("", "the text is empty"),
    ],
)
def test_warns_about_what_is_empty_or_not_finite(data, words):
    assert warnings_about(data) == [words]


@pytest.mark.parametrize(
    "data", [np.zeros(3), np.zeros(3, "u1"), np.array(["a"]), "a", {"a": 1}, [], 5]
)
def test_does_not_warn_about_the_usual(data):
    assert warnings_about(data) == []
