"""What a sender says of bytes that are encoded already: checked, never trusted."""

import math
import re
from collections.abc import Mapping
from typing import Any

from cdb.errors import BadPayload, shown
from cdb.payload import tagged, texts
from cdb.payload.arrays import Bytes, dtype_of, shape_of, text_of_dtype

_SHA256 = re.compile("[0-9a-f]{64}")
_GOOD = {
    "ndarray": {"data_type", "data_dtype", "data_shape", "data_ndim", "data_size"},
    "str": {"data_type", "data_size"},
    "json": {"data_type"},
}


def checked_digest(value: object) -> str:
    """Return a SHA-256 as payloads are named by it.

    Raises
    ------
    BadPayload
        If it is none.

    Examples
    --------
    >>> checked_digest("beef")
    Traceback (most recent call last):
        ...
    cdb.errors.BadPayload: sha256 'beef' is no digest; give the 64 hexadecimal digits, in lower case
    """
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise BadPayload(
            f"sha256 {shown(value)} is no digest; give the 64 hexadecimal digits, in lower case"
        )
    return value


def checked_fields(fields: Mapping[str, Any], nbytes: int) -> dict[str, str]:
    """Return the fields ``data_*`` as a writer of ours would have made them for so many bytes.

    Parameters
    ----------
    fields : mapping
        As `cdb.payload.encode` makes them; `data_ndim` and `data_size` of an array may be absent.
    nbytes : int
        Length of the payload [bytes].

    Raises
    ------
    BadPayload
        If they make no sense, or bytes of this length cannot be what they say.

    Examples
    --------
    >>> checked_fields({"data_type": "ndarray", "data_dtype": "<f4", "data_shape": "[2,3]"}, 24)
    ... # doctest: +NORMALIZE_WHITESPACE
    {'data_type': 'ndarray', 'data_dtype': 'float32', 'data_shape': '(2, 3)', 'data_ndim': '2',
     'data_size': '6'}
    """
    kind = fields.get("data_type")
    if not isinstance(kind, str) or kind not in _GOOD:
        raise BadPayload(f"data_type {shown(kind)} cannot be added; good ones: {', '.join(_GOOD)}")
    unknown = sorted(set(fields) - _GOOD[kind])
    if unknown:
        raise BadPayload(
            f"the fields of a payload of type {kind} hold {shown(unknown[0])}; "
            f"good ones: {', '.join(sorted(_GOOD[kind]))}"
        )
    if kind == "json":
        return {"data_type": kind}
    if kind == "str":
        size = str(fields.get("data_size", ""))
        # A character takes 1 to 4 bytes.
        if not re.fullmatch("[0-9]{1,15}", size) or not int(size) <= nbytes <= 4 * int(size):
            raise BadPayload(
                f"a text of {shown(size)} characters cannot have {nbytes} bytes; "
                "data_size is the number of its characters"
            )
        return {"data_type": kind, "data_size": str(int(size))}
    return _array_fields(fields, nbytes)


def _array_fields(fields: Mapping[str, Any], nbytes: int) -> dict[str, str]:
    dtype, shape = dtype_of(fields.get("data_dtype")), shape_of(fields.get("data_shape"))
    size = math.prod(shape)
    if size * dtype.itemsize != nbytes:
        raise BadPayload(
            f"an array of shape {shown(shape)} and dtype {shown(str(dtype))} has "
            f"{shown(size * dtype.itemsize)} bytes, not {nbytes}; say what the bytes are"
        )
    made = {
        "data_type": "ndarray",
        "data_dtype": text_of_dtype(dtype),
        "data_shape": str(shape),
        "data_ndim": str(len(shape)),
        "data_size": str(size),
    }
    for name in ("data_ndim", "data_size"):
        if name in fields and str(fields[name]) != made[name]:
            raise BadPayload(
                f"{name} is {shown(fields[name])}, but of shape {shown(shape)} it is {made[name]}"
            )
    return made


def check_content(fields: Mapping[str, str], data: Bytes) -> None:
    """Refuse bytes that are not the text or the JSON that they are said to be.

    Raises
    ------
    BadPayload
        Naming what is wrong.
    """
    if fields["data_type"] == "json":
        tagged.decode(data)
    if fields["data_type"] == "str":
        length = len(texts.utf8(data))
        if str(length) != fields["data_size"]:
            raise BadPayload(
                f"the text has {length} characters, not {fields['data_size']} as data_size says"
            )
