"""Values that payloads hold, and how to compare them."""

import numpy as np

from cdb.payload import decode, encode

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


def nested(depth):
    value = 0
    for level in range(depth):
        value = [[value], (value,), {"a": value}, {1: value}][level % 4]
    return value


def assert_short(error):
    assert len(str(error).encode()) < 600
