"""Any value <-> JSON in UTF-8, with tags where JSON does not know the value.

JSON holds None, truth values, texts, lists, dicts with texts for keys, integers up to 2**53 and
finite floats as they are; plain JSON of other programs is read as such. A value that JSON does
not know is an object whose key ``$cdb`` says what it is:

============ ===================================================================================
``$cdb``     other keys
============ ===================================================================================
``int``      ``hex``: an integer beyond 2**53, as ``0x20000000000001``
``float``    ``value``: ``nan``, ``inf`` or ``-inf``
``complex``  ``real``, ``imag``
``bytes``    ``base64``
``tuple``    ``items``
``dict``     ``items``: pairs of key and value, where a key is no text, or is ``$cdb`` itself
``ndarray``  ``dtype``, ``shape``, ``base64``: the elements in C order
``scalar``   ``dtype``, ``base64``: a NumPy scalar; of ``dtype`` ``str`` with ``value`` instead
============ ===================================================================================

The page ``docs/payloads.md`` has an example of each, and what psana makes of them.
"""

import base64
import json
import math
import re
from typing import Any

import numpy as np

from cdb.errors import BadPayload, shown
from cdb.payload.arrays import (
    Bytes,
    array_of,
    dtype_of,
    elements,
    plain_array,
    shape_of,
    text_of_dtype,
)
from cdb.payload.keypaths import MAX_NESTING, KeyPath, where
from cdb.payload.texts import checked_text, utf8

TAG = "$cdb"
# Beyond, JSON's readers in other languages lose digits.
MAX_PLAIN_INTEGER = 2**53

_HEX = re.compile(r"-?0x[0-9a-f]+")


def encode(data: object) -> bytes:
    """Return data as tagged JSON.

    Raises
    ------
    BadPayload
        Naming what has no stored form and its place.

    Examples
    --------
    >>> encode({"gain": 1.5, "window": (3, 4)})
    b'{"gain":1.5,"window":{"$cdb":"tuple","items":[3,4]}}'
    """
    value = _to_json(data, (), ())
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def decode(data: Bytes) -> object:
    """Return data from JSON, tagged or plain.

    Raises
    ------
    BadPayload
        If it is not JSON, or a tag makes no sense.

    Examples
    --------
    >>> decode(b'{"window":{"$cdb":"tuple","items":[3,4]}}')
    {'window': (3, 4)}
    """
    try:
        value = json.loads(utf8(data))
    except BadPayload:
        raise
    except (ValueError, RecursionError) as error:
        raise BadPayload(
            f"the payload is not JSON: {shown(str(error))}; take the stored bytes"
        ) from None
    return _from_json(value, ())


def _to_json(value: object, path: KeyPath, above: tuple[int, ...]) -> Any:
    """Return a value as JSON has it; `above` are the containers that it is in."""
    if value is None or type(value) is bool:
        return value
    if type(value) is str:
        return checked_text(value, path)
    if type(value) is int:
        small = -MAX_PLAIN_INTEGER <= value <= MAX_PLAIN_INTEGER
        return value if small else {TAG: "int", "hex": hex(value)}
    if type(value) is float:
        return value if math.isfinite(value) else {TAG: "float", "value": repr(value)}
    if type(value) in (list, tuple, dict):
        _check_nesting(value, path, above)
        return _container_to_json(value, path, (*above, id(value)))
    if type(value) is complex:
        real, imag = (_to_json(part, path, above) for part in (value.real, value.imag))
        return {TAG: "complex", "real": real, "imag": imag}
    if type(value) is bytes:
        return {TAG: "bytes", "base64": _base64(value)}
    if isinstance(value, np.ndarray):
        array = plain_array(value, path)
        dtype = text_of_dtype(array.dtype, path)
        shape = list(array.shape)
        return {TAG: "ndarray", "dtype": dtype, "shape": shape, "base64": _base64(elements(array))}
    if isinstance(value, np.generic):
        return _scalar_to_json(value, path)
    raise BadPayload(
        f"{where(path)} is of type {type(value).__name__}, which has no stored form; convert it "
        "to a number, text, bytes, list, tuple, dict or array"
    )


def _container_to_json(value: Any, path: KeyPath, above: tuple[int, ...]) -> Any:
    if not isinstance(value, dict):
        items = [_to_json(item, (*path, index), above) for index, item in enumerate(value)]
        return items if isinstance(value, list) else {TAG: "tuple", "items": items}
    pairs = [
        (_to_json(key, (*path, key), above), _to_json(item, (*path, key), above))
        for key, item in value.items()
    ]
    if TAG not in value and all(type(key) is str for key in value):
        return dict(pairs)
    return {TAG: "dict", "items": pairs}


def _scalar_to_json(value: np.generic, path: KeyPath) -> Any:
    # An array would lose the zeros at the end of texts and bytes.
    if isinstance(value, np.str_):
        return {TAG: "scalar", "dtype": "str", "value": checked_text(str(value), path)}
    dtype = "bytes" if isinstance(value, np.bytes_) else text_of_dtype(value.dtype, path)
    return {TAG: "scalar", "dtype": dtype, "base64": _base64(value.tobytes())}


def _check_nesting(value: object, path: KeyPath, above: tuple[int, ...]) -> None:
    if id(value) in above:
        raise BadPayload(f"{where(path)} contains itself; store it without the cycle")
    if len(above) >= MAX_NESTING:
        raise BadPayload(
            f"{where(path)} is nested deeper than {MAX_NESTING} containers; "
            "store it flatter, or in parts"
        )


def _from_json(value: Any, path: KeyPath) -> Any:
    """Return the Python value that JSON stands for."""
    if not isinstance(value, list | dict):
        return value
    if len(path) > MAX_NESTING:
        raise BadPayload(
            f"{where(path)} is nested deeper than {MAX_NESTING} containers; take the stored bytes"
        )
    if isinstance(value, list):
        return [_from_json(item, (*path, index)) for index, item in enumerate(value)]
    if TAG not in value:
        return {key: _from_json(item, (*path, key)) for key, item in value.items()}
    try:
        return _from_tagged(value, path)
    except BadPayload:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadPayload(
            f"{where(path)}, tagged {shown(value[TAG])}, cannot be read "
            f"({type(error).__name__}: {shown(str(error))}); "
            "docs/payloads.md has the tags with an example of each"
        ) from None


def _from_tagged(value: dict[str, Any], path: KeyPath) -> object:
    match value[TAG]:
        case "int" if _HEX.fullmatch(value["hex"]):
            return int(value["hex"], 16)
        case "float" if value["value"] in ("nan", "inf", "-inf"):
            return float(value["value"])
        case "complex":
            real, imag = (_from_json(value[part], path) for part in ("real", "imag"))
            return complex(float(real), float(imag))
        case "bytes":
            return _from_base64(value["base64"])
        case "tuple" if isinstance(value["items"], list):
            return tuple(_from_json(item, (*path, i)) for i, item in enumerate(value["items"]))
        case "dict":
            keys = ((_from_json(key, (*path, "key")), item) for key, item in value["items"])
            return {key: _from_json(item, (*path, key)) for key, item in keys}
        case "ndarray":
            dtype, shape = dtype_of(value["dtype"], path), shape_of(value["shape"], path)
            return array_of(_from_base64(value["base64"]), dtype, shape, path)
        case "scalar" if value["dtype"] == "str":
            return np.str_(checked_text(value["value"], path))
        case "scalar" if value["dtype"] == "bytes":
            return np.bytes_(_from_base64(value["base64"]))
        case "scalar":
            data = _from_base64(value["base64"])
            return array_of(data, dtype_of(value["dtype"], path), (), path)[()]
        case _:
            raise ValueError("no such tag, or not its value")


def _base64(data: Bytes) -> str:
    return base64.b64encode(data).decode()


def _from_base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
