"""Array, text, dict <-> bytes; never eval, pickle only if asked.

What is stored is the bytes and, in the document, the fields ``data_*`` that say how to read them:

============ ============================== ==================================================
`data_type`  Python value                   bytes
============ ============================== ==================================================
``ndarray``  array                          raw elements in C order, no header
``str``      text                           UTF-8
``json``     anything else                  JSON in UTF-8 with tagged values, as below
``any``      (psana's; read, never written) a pickle, read only where the caller allows it
============ ============================== ==================================================

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

import ast
import base64
import hashlib
import io
import json
import math
import pickle
import pickletools
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdb.errors import BadPayload, UnsafePayload, shown

TAG = "$cdb"
MAX_DEPTH = 100  # containers inside each other
# Beyond, JSON's readers in other languages lose digits.
MAX_PLAIN_INTEGER = 2**53
BLOCK = 2**22  # values that are looked at together
MAX_SHAPE_TEXT = 1_000  # characters
MAX_DTYPE_TEXT = 20_000  # characters
MAX_LITERAL = 64 * 2**20  # characters of a dict written as a Python literal
MAX_SYNTAX = 2**20  # of them outside of its strings, where each may cost a hundred bytes

# Constant types whose text is a dict, as psana 4.3.4 reads them (`MDBUtils.py`).
DICT_CTYPES = ("xtcav_lasingoff", "xtcav_pedestals", "lasingoffreference")

_UNIT = r"\[[0-9]{0,9}(?:Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as|generic)\]"
_DTYPE = re.compile(
    r"bool|u?int(?:8|16|32|64)|float(?:16|32|64|96|128)|complex(?:64|128|192|256)"
    r"|[<>=|]?(?:\?|b1|[iu][1248]|f(?:2|4|8|12|16)|c(?:8|16|24|32)|[SUV][0-9]{1,9})"
    rf"|(?:datetime64|timedelta64|[<>=|]?[mM]8)(?:{_UNIT})?"
)
_LENGTHS = r" *((?:[0-9]{1,19} *, *)*[0-9]{1,19}) *,? *"
_SHAPE = re.compile(rf"\( *\)|\[ *\]|\({_LENGTHS}\)|\[{_LENGTHS}\]|{_LENGTHS}")
_HEX = re.compile(r"-?0x[0-9a-f]+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_STRING = re.compile(r"""'(?:[^'\\]++|\\.)*+'|"(?:[^"\\]++|\\.)*+\"""", re.DOTALL)

Bytes = bytes | memoryview
Place = tuple[object, ...]  # keys and indexes on the way to a value


@dataclass(frozen=True)
class Payload:
    """Bytes to be stored and what the document says about them.

    Attributes
    ----------
    data : bytes or memoryview
        The bytes; those of an array that was contiguous are the array's own.
    fields : dict of str to str
        The fields ``data_*`` of the document.
    """

    data: Bytes
    fields: dict[str, str]


def encode(data: object) -> Payload:
    """Return data as bytes, with the fields that say how to read them.

    Parameters
    ----------
    data : ndarray, str, or what the module's tables hold
        An array of any dtype but objects; a contiguous one is not copied, so it must not change
        before its bytes are written.

    Raises
    ------
    BadPayload
        Naming what cannot be stored and its place.

    Examples
    --------
    >>> payload = encode(np.zeros((2, 3), "float32"))
    >>> payload.data.nbytes, payload.fields["data_dtype"], payload.fields["data_shape"]
    (24, 'float32', '(2, 3)')
    >>> encode({"gain": 1.5, "window": (3, 4)}).data
    b'{"gain":1.5,"window":{"$cdb":"tuple","items":[3,4]}}'
    """
    if isinstance(data, np.ndarray):
        array = _plain_array(data, ())
        fields = {
            "data_type": "ndarray",
            "data_dtype": _text_of_dtype(array.dtype, ()),
            "data_shape": str(array.shape),
            "data_ndim": str(array.ndim),
            "data_size": str(array.size),
        }
        return Payload(_elements(array), fields)
    if isinstance(data, str):
        text = _checked_text(data, ()).encode()
        return Payload(text, {"data_type": "str", "data_size": str(len(data))})
    value = _to_json(data, (), ())
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    return Payload(text, {"data_type": "json"})


def decode(data: Bytes, document: Mapping[str, object], *, allow_pickle: bool = False) -> object:
    """Return data from stored bytes, as the document says.

    Parameters
    ----------
    data : bytes or memoryview
        The stored bytes.
    document : mapping
        With ``data_type``; for an array with ``data_dtype`` and ``data_shape``.
    allow_pickle : bool, optional
        Read a pickle of psana's, and even then only arrays, scalars and plain containers.

    Returns
    -------
    data : ndarray, str or other
        An array is read-only and shares the memory of the bytes.

    Raises
    ------
    BadPayload
        If bytes and document do not agree, or one of them makes no sense.
    UnsafePayload
        If the bytes are a pickle and `allow_pickle` is false, or if the pickle asks for more.

    Examples
    --------
    >>> fields = {"data_type": "ndarray", "data_dtype": ">i2", "data_shape": "(2,)"}
    >>> decode(bytes([0, 1, 1, 0]), fields)
    array([  1, 256], dtype='>i2')
    """
    match document.get("data_type"):
        case "ndarray":
            return _decode_array(memoryview(data), document)
        case "str":
            text = _utf8(data)
            return _dict_of_literal(text) if document.get("ctype") in DICT_CTYPES else text
        case "json":
            return _decode_json(data)
        case "any" if allow_pickle:
            return _decode_pickle(data)
        case "any":
            raise UnsafePayload(
                "the payload is a pickle, which could run code; if you trust who stored it, ask "
                "with allow_pickle=True, which admits arrays, scalars and plain containers"
            )
        case other:
            raise BadPayload(
                f"data_type {shown(other)} of the document is not one of 'ndarray', 'str', "
                "'json', 'any'; mend the document, or take the stored bytes as they are"
            )


def digest(data: Bytes) -> str:
    """Return the SHA-256 of bytes, hexadecimal.

    Examples
    --------
    >>> digest(b"")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(data).hexdigest()


def describe(data: object) -> str:
    r"""Return what data look like, in a line.

    Examples
    --------
    >>> describe(np.array([[1, 2.5, np.nan]], "float32"))
    'float32 (1, 3), 1.0 .. 2.5, 1 NaN'
    >>> describe("first\nsecond\n"), describe({"gain": 1, "offset": 2})
    ('text, 2 lines, 13 characters', 'dict, 2 keys: gain, offset')
    """
    match data:
        case np.ndarray():
            return ", ".join((f"{_name_of_dtype(data.dtype)} {data.shape}", *_extent(data)))
        case str():
            return f"text, {_count(len(data.splitlines()), 'line')}, " + _count(
                len(data), "character"
            )
        case dict():
            names = [key if _is_short_word(key) else shown(key) for key in data]
            some = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
            return f"dict, {_count(len(data), 'key')}{': ' if names else ''}{some}"
        case list() | tuple():
            return f"{type(data).__name__}, {_count(len(data), 'item')}"
        case bytes():
            return f"bytes, {len(data)}"
        case _:
            return f"{type(data).__name__}, {shown(data)}"


def warnings_about(data: object) -> list[str]:
    """Return sentences on what is suspicious in data: arrays without values, or without finite.

    Examples
    --------
    >>> warnings_about({"rms": np.array([1.0, np.inf])})
    ["1 of the 2 values of data['rms'] is NaN or infinite"]
    """
    return list(_warnings(data, ()))


# Arrays ----------------------------------------------------------------------------------------


def _plain_array(data: NDArray[Any], place: Place) -> NDArray[Any]:
    """Return an array without its subclass, if nothing is lost with it."""
    if isinstance(data, np.ma.MaskedArray):
        raise BadPayload(
            f"{_where(place)} is a masked array, and bytes have no mask; store its data and its "
            "mask apart, such as {'data': a.data, 'mask': np.ma.getmaskarray(a)}"
        )
    if type(data).__module__.partition(".")[0] != "numpy":
        raise BadPayload(
            f"{_where(place)} is of type {type(data).__name__}, of which only the elements could "
            "be stored; if they suffice store np.asarray(...) of it"
        )
    return np.asarray(data)


def _elements(array: NDArray[Any]) -> memoryview:
    """Return the bytes of an array in C order; not copied if they are so already."""
    if array.nbytes == 0:
        return memoryview(b"")
    # Through uint8: the buffer protocol does not know dates.
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data.toreadonly()


def _text_of_dtype(dtype: np.dtype[Any], place: Place) -> str:
    """Return a dtype as psana writes it, a structured one as .npy files have it."""
    if dtype.hasobject:
        raise BadPayload(
            f"{_where(place)} has the dtype {shown(str(dtype))}, whose elements are objects "
            "elsewhere in memory; convert it to numbers or texts by .astype(...), or to a list by "
            ".tolist()"
        )
    try:
        text = str(dtype) if dtype.names is None else repr(dtype.descr)
        if _dtype(text, place) == dtype:
            return text
    except ValueError:
        pass  # fields that overlap have no description
    raise BadPayload(
        f"{_where(place)} has the dtype {shown(str(dtype))}, which has no text that can be read "
        "back; convert it to a plain one, such as float32"
    )


def _dtype(text: object, place: Place) -> np.dtype[Any]:
    """Return the dtype that a text of a document means."""
    if isinstance(text, str) and len(text) <= MAX_DTYPE_TEXT:
        try:
            if _DTYPE.fullmatch(text):
                return np.dtype(text)
            if text.startswith("["):
                return np.lib.format.descr_to_dtype(_checked_descr(ast.literal_eval(text)))
        except (ValueError, TypeError, SyntaxError, OverflowError, RecursionError, MemoryError):
            pass
    raise BadPayload(
        f"the dtype of {_where(place)}, {shown(text)}, is not the text of a dtype without "
        "objects, such as 'float32', '>i4' or \"[('x', '<f4')]\"; mend the document"
    )


def _checked_descr(descr: object) -> Any:
    """Return the description of a structured dtype if it holds nothing but plain ones."""
    if isinstance(descr, str):
        if not _DTYPE.fullmatch(descr):
            raise ValueError(descr)
    elif isinstance(descr, list) and all(isinstance(f, tuple) and len(f) in (2, 3) for f in descr):
        for field in descr:
            _checked_descr(field[1])
    else:
        raise ValueError(descr)
    return descr


def _shape(value: object, place: Place) -> tuple[int, ...]:
    """Return the shape that a document means: the text of a tuple, or numbers."""
    if isinstance(value, int):
        value = [value]
    if isinstance(value, str) and len(value) <= MAX_SHAPE_TEXT:
        shape = _SHAPE.fullmatch(value)
        if shape:
            lengths = shape[shape.lastindex].split(",") if shape.lastindex else []
            return tuple(int(length) for length in lengths)
    elif isinstance(value, list | tuple) and all(type(n) is int and n >= 0 for n in value):
        return tuple(value)
    raise BadPayload(
        f"the shape of {_where(place)}, {shown(value)}, is not the text of a tuple of lengths, "
        "such as '(3, 512, 1024)', '(5,)' or '()'; mend the document"
    )


def _decode_array(data: memoryview, document: Mapping[str, object]) -> NDArray[Any]:
    missing = [name for name in ("data_dtype", "data_shape") if document.get(name) is None]
    if missing:
        raise BadPayload(
            f"the document of this array has no {' and no '.join(missing)}, as those of old "
            "writers; take the stored bytes, and say yourself what they are"
        )
    dtype, shape = _dtype(document["data_dtype"], ()), _shape(document["data_shape"], ())
    # psana 4.3.4 with Kerberos sends its empty JSON document in place of no bytes.
    if data.nbytes == 2 and bytes(data) == b"{}" and str(document.get("data_size")) == "0":
        data = memoryview(b"")
    return _array(data, dtype, shape, ())


def _array(
    data: Bytes, dtype: np.dtype[Any], shape: tuple[int, ...], place: Place, order: Any = "C"
) -> NDArray[Any]:
    """Return bytes as a read-only array; not copied."""
    data = memoryview(data).toreadonly()
    expected = math.prod(shape) * dtype.itemsize
    if expected != data.nbytes:
        raise BadPayload(
            f"{_where(place)} of shape {shown(shape)} and dtype {shown(str(dtype))} has "
            f"{shown(expected)} bytes, but {data.nbytes} are stored; the document or the payload "
            "is damaged"
        )
    try:
        array: NDArray[Any] = np.ndarray(shape, dtype, buffer=data, order=order)
        _check_characters(array)
        return array
    except (ValueError, TypeError, OverflowError) as error:
        raise BadPayload(
            f"{_where(place)} of shape {shown(shape)} and dtype {shown(str(dtype))} cannot be "
            f"made of the stored bytes: {error}; the document or the payload is damaged"
        ) from None


def _check_characters(array: NDArray[Any]) -> None:
    """Refuse texts with characters that are none: NumPy finds them only when they are used."""
    for name in array.dtype.names or ():
        _check_characters(array[name])
    if array.dtype.kind == "U" and array.nbytes:
        codes = np.ascontiguousarray(array).reshape(-1).view(array.dtype.byteorder + "u4")
        if codes.max() > 0x10FFFF:
            raise ValueError(f"it holds the character number {codes.max()}")


# Texts -----------------------------------------------------------------------------------------


def _checked_text(text: str, place: Place) -> str:
    lone = None if text.isascii() else _SURROGATE.search(text)
    if lone:
        raise BadPayload(
            f"{_where(place)} holds {lone[0]!a} at {lone.start()}, half a character, which UTF-8 "
            "cannot hold; read the text in its own encoding first"
        )
    return text


def _utf8(data: Bytes) -> str:
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise BadPayload(
            f"the text is not UTF-8: {error.reason} at byte {error.start}; "
            "take the stored bytes, and decode them yourself"
        ) from None


def _dict_of_literal(text: str) -> object:
    """Return the dict that psana wrote as a Python literal; the text if it is none."""
    syntax = len(text) - sum(len(string[0]) for string in _STRING.finditer(text))
    if len(text) > MAX_LITERAL or syntax > MAX_SYNTAX:
        raise BadPayload(
            f"a dict of {len(text)} characters, {syntax} of them outside of strings, is too long "
            f"to be read safely, {MAX_LITERAL} and {MAX_SYNTAX} are the limits; take the stored "
            "bytes"
        )
    try:
        found = ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return text
    return _deserialized(found, ()) if isinstance(found, dict) else text


def _deserialized(value: object, place: Place) -> object:
    """Return a value of psana's dict, with its arrays and scalars made of their descriptions.

    References
    ----------
    psana 4.3.4, `pscalib/calib/MDBConvertUtils.py`, `serialize_dict`.
    """
    if not isinstance(value, dict):
        return value
    kind, data, dtype = value.get("type"), value.get("data"), value.get("dtype")
    if kind == "nd":
        if not isinstance(data, bytes):
            raise BadPayload(
                f"the elements of {_where(place)}, {shown(data)}, are not bytes; "
                "take the stored text"
            )
        return _array(data, _dtype(dtype, place), _shape(value.get("shape"), place), place)
    if kind != "sc":
        return {key: _deserialized(item, (*place, key)) for key, item in value.items()}
    try:
        return _scalar_of_text(str(dtype), str(data))
    except ValueError:
        raise BadPayload(
            f"{_where(place)}, {shown(data)}, is not the text of a scalar of type "
            f"{shown(dtype)}; types are int, float, complex, bool, str and NumPy's"
        ) from None


def _scalar_of_text(dtype: str, text: str) -> object:
    match dtype.rstrip("0123456789"):
        case "int" | "uint":
            return int(text)
        case "float":
            return float(text)
        case "complex":
            return complex(text)
        case "str":
            return text
        case "bool" if text in ("True", "False"):
            return text == "True"  # psana reads both as True
        case _:
            raise ValueError(dtype)


# JSON ------------------------------------------------------------------------------------------


def _to_json(value: object, place: Place, above: tuple[int, ...]) -> Any:
    """Return a value as JSON has it; `above` are the containers that it is in."""
    if value is None or type(value) is bool:
        return value
    if type(value) is str:
        return _checked_text(value, place)
    if type(value) is int:
        small = -MAX_PLAIN_INTEGER <= value <= MAX_PLAIN_INTEGER
        return value if small else {TAG: "int", "hex": hex(value)}
    if type(value) is float:
        return value if math.isfinite(value) else {TAG: "float", "value": repr(value)}
    if type(value) in (list, tuple, dict):
        _check_nesting(value, place, above)
        return _container_to_json(value, place, (*above, id(value)))
    if type(value) is complex:
        real, imag = (_to_json(part, place, above) for part in (value.real, value.imag))
        return {TAG: "complex", "real": real, "imag": imag}
    if type(value) is bytes:
        return {TAG: "bytes", "base64": _base64(value)}
    if isinstance(value, np.ndarray):
        array = _plain_array(value, place)
        dtype = _text_of_dtype(array.dtype, place)
        shape = list(array.shape)
        return {TAG: "ndarray", "dtype": dtype, "shape": shape, "base64": _base64(_elements(array))}
    if isinstance(value, np.generic):
        return _scalar_to_json(value, place)
    raise BadPayload(
        f"{_where(place)} is of type {type(value).__name__}, which has no stored form; convert it "
        "to a number, text, bytes, list, tuple, dict or array"
    )


def _container_to_json(value: Any, place: Place, above: tuple[int, ...]) -> Any:
    if not isinstance(value, dict):
        items = [_to_json(item, (*place, index), above) for index, item in enumerate(value)]
        return items if isinstance(value, list) else {TAG: "tuple", "items": items}
    pairs = [
        (_to_json(key, (*place, key), above), _to_json(item, (*place, key), above))
        for key, item in value.items()
    ]
    if TAG not in value and all(type(key) is str for key in value):
        return dict(pairs)
    return {TAG: "dict", "items": pairs}


def _scalar_to_json(value: np.generic, place: Place) -> Any:
    # An array would lose the zeros at the end of texts and bytes.
    if isinstance(value, np.str_):
        return {TAG: "scalar", "dtype": "str", "value": _checked_text(str(value), place)}
    dtype = "bytes" if isinstance(value, np.bytes_) else _text_of_dtype(value.dtype, place)
    return {TAG: "scalar", "dtype": dtype, "base64": _base64(value.tobytes())}


def _check_nesting(value: object, place: Place, above: tuple[int, ...]) -> None:
    if id(value) in above:
        raise BadPayload(f"{_where(place)} contains itself; store it without the cycle")
    if len(above) >= MAX_DEPTH:
        raise BadPayload(
            f"{_where(place)} is nested deeper than {MAX_DEPTH} containers; "
            "store it flatter, or in parts"
        )


def _decode_json(data: Bytes) -> object:
    try:
        value = json.loads(_utf8(data))
    except BadPayload:
        raise
    except (ValueError, RecursionError) as error:
        raise BadPayload(
            f"the payload is not JSON: {shown(str(error))}; take the stored bytes"
        ) from None
    return _from_json(value, ())


def _from_json(value: Any, place: Place) -> Any:
    """Return the Python value that JSON stands for."""
    if not isinstance(value, list | dict):
        return value
    if len(place) > MAX_DEPTH:
        raise BadPayload(
            f"{_where(place)} is nested deeper than {MAX_DEPTH} containers; take the stored bytes"
        )
    if isinstance(value, list):
        return [_from_json(item, (*place, index)) for index, item in enumerate(value)]
    if TAG not in value:
        return {key: _from_json(item, (*place, key)) for key, item in value.items()}
    try:
        return _from_tagged(value, place)
    except BadPayload:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadPayload(
            f"{_where(place)}, tagged {shown(value[TAG])}, cannot be read "
            f"({type(error).__name__}: {shown(str(error))}); "
            "docs/payloads.md has the tags with an example of each"
        ) from None


def _from_tagged(value: dict[str, Any], place: Place) -> object:
    match value[TAG]:
        case "int" if _HEX.fullmatch(value["hex"]):
            return int(value["hex"], 16)
        case "float" if value["value"] in ("nan", "inf", "-inf"):
            return float(value["value"])
        case "complex":
            real, imag = (_from_json(value[part], place) for part in ("real", "imag"))
            return complex(float(real), float(imag))
        case "bytes":
            return _from_base64(value["base64"])
        case "tuple" if isinstance(value["items"], list):
            return tuple(_from_json(item, (*place, i)) for i, item in enumerate(value["items"]))
        case "dict":
            keys = ((_from_json(key, (*place, "key")), item) for key, item in value["items"])
            return {key: _from_json(item, (*place, key)) for key, item in keys}
        case "ndarray":
            dtype, shape = _dtype(value["dtype"], place), _shape(value["shape"], place)
            return _array(_from_base64(value["base64"]), dtype, shape, place)
        case "scalar" if value["dtype"] == "str":
            return np.str_(_checked_text(value["value"], place))
        case "scalar" if value["dtype"] == "bytes":
            return np.bytes_(_from_base64(value["base64"]))
        case "scalar":
            data = _from_base64(value["base64"])
            return _array(data, _dtype(value["dtype"], place), (), place)[()]
        case _:
            raise ValueError("no such tag, or not its value")


def _base64(data: Bytes) -> str:
    return base64.b64encode(data).decode()


def _from_base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


# Pickles ---------------------------------------------------------------------------------------


class _Described:
    """What a pickle says about an array, a dtype or a scalar, before any of it is believed.

    NumPy trusts the states in pickles: a dtype with a wrong one reads foreign memory, and a few
    changed bytes are enough to crash the interpreter. So a pickle makes these, and NumPy's
    objects are made from them by calls that check what they are given.
    """

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def made(self, plain: "_Plain") -> object:
        """Return the object that is described."""
        raise NotImplementedError


class _Dtype(_Described):
    """``numpy.dtype(text, align, copy)``, its state (version, order, base, names, fields, ...)."""

    def made(self, plain: "_Plain") -> np.dtype[Any]:
        text = self.arguments[0]
        if self.state is None:
            return _dtype(text, ())
        _, order, base, names, fields, itemsize = self.state[:6]
        if base is not None:
            return np.dtype((plain.dtype(base[0]), _shape(base[1], ())))
        if names is not None:
            columns = [fields[name] for name in names]
            formats, offsets = [plain.dtype(c[0]) for c in columns], [c[1] for c in columns]
            titles = [c[2] if len(c) > 2 else None for c in columns]
            described: Any = {"names": list(names), "formats": formats, "offsets": offsets}
            made: np.dtype[Any] = np.dtype(described | {"titles": titles, "itemsize": itemsize})
            return made
        if text == "O8":
            return np.dtype(object)
        if text in ("m8", "M8"):
            unit, count = self.state[8][1][:2]
            text = f"{text}[{count}{unit.decode('ascii')}]"
        return _dtype(text, ()).newbyteorder(order if order in ("<", ">") else "=")


class _Array(_Described):
    """``_reconstruct(ndarray, ...)``, its state (version, shape, dtype, is_fortran, elements)."""

    def made(self, plain: "_Plain") -> NDArray[Any]:
        version, shape, dtype, is_fortran, data = self.state
        if version != 1:
            raise ValueError(f"version {shown(version)} of an array")
        shape, dtype = _shape(shape, ()), plain.dtype(dtype)
        if dtype.kind != "O":
            return _array(_only_bytes(data), dtype, shape, (), "F" if is_fortran else "C")
        array = np.empty(len(data), object)
        for index, item in enumerate(data):
            array[index] = plain(item)
        return array.reshape(shape)


class _Buffer(_Described):
    """``_frombuffer(buffer, dtype, shape, order)``."""

    def made(self, plain: "_Plain") -> NDArray[Any]:
        data, dtype, shape, order = self.arguments
        return _array(_only_bytes(data), plain.dtype(dtype), _shape(shape, ()), (), order)


class _Scalar(_Described):
    """``scalar(dtype, bytes)``."""

    def made(self, plain: "_Plain") -> object:
        dtype, data = self.arguments
        return _array(_only_bytes(data), plain.dtype(dtype), (), ())[()]


_ADMITTED: dict[tuple[str, str], type] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("builtins", "bytearray"): bytearray,
    ("builtins", "complex"): complex,
    ("collections", "OrderedDict"): OrderedDict,
} | {
    (f"numpy.{core}.{module}", name): described
    for core in ("core", "_core")
    for module, name, described in (
        ("multiarray", "_reconstruct", _Array),
        ("multiarray", "scalar", _Scalar),
        ("numeric", "_frombuffer", _Buffer),
    )
}


class _Unpickler(pickle.Unpickler):
    """Reads arrays, dtypes, scalars and plain containers; refuses whatever could run code."""

    def find_class(self, module: str, name: str) -> type:
        """Return what stands for a global in the pickle."""
        admitted = _ADMITTED.get((module, name))
        if admitted is None:
            raise UnsafePayload(
                f"the pickle asks for {shown(f'{module}.{name}')}, and only arrays, scalars and "
                "plain containers are admitted; take the stored bytes if you trust who stored them"
            )
        return admitted


class _Plain:
    """Replaces what a pickle describes by what it describes."""

    def __init__(self) -> None:
        self._done: dict[int, Any] = {}
        self._depth = 0

    def __call__(self, value: Any) -> Any:
        """Return a value of a pickle with arrays, dtypes and scalars for their descriptions."""
        if id(value) in self._done:
            return self._done[id(value)]
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH} containers, or contains itself")
        made = self._made(value)
        self._depth -= 1
        # The pickle's own objects live until it is read, so ids stay theirs.
        self._done[id(value)] = made
        return made

    def dtype(self, value: Any) -> np.dtype[Any]:
        """Return the dtype that a value of a pickle describes."""
        made = self(value)
        if not isinstance(made, np.dtype):
            raise TypeError(f"{shown(value)} is no dtype")
        return made

    def _made(self, value: Any) -> Any:
        if isinstance(value, _Described):
            return value.made(self)
        if isinstance(value, dict):
            return type(value)((self(key), self(item)) for key, item in dict.items(value))
        if isinstance(value, list | tuple | set | frozenset):
            return type(value)(self(item) for item in value)
        if value is None or isinstance(value, bool | int | float | complex | str | bytes):
            return value
        if isinstance(value, bytearray):
            return value
        raise TypeError(f"{shown(value)} is no value")


def _decode_pickle(data: Bytes) -> object:
    data = bytes(data)
    try:
        _check_memo(data)
        return _Plain()(_Unpickler(io.BytesIO(data)).load())
    except BadPayload:
        raise
    except Exception as error:
        # A hostile or damaged pickle can make the machine that reads it fail in any way.
        raise BadPayload(
            f"the pickle cannot be read ({type(error).__name__}: "
            f"{shown(str(error))}); take the stored bytes"
        ) from error


def _check_memo(data: bytes) -> None:
    """Refuse numbers of memorised objects beyond the pickle's length: memory is taken for each."""
    for opcode, argument, _ in pickletools.genops(data):
        if "PUT" in opcode.name and isinstance(argument, int) and argument > len(data):
            raise ValueError(f"{argument} objects in {len(data)} bytes")


def _only_bytes(data: object) -> bytes:
    if not isinstance(data, bytes | bytearray):
        raise TypeError(f"{shown(data)} is not bytes")
    return bytes(data)


# Words -----------------------------------------------------------------------------------------


def _where(place: Place) -> str:
    """Return a place in words: ``data['a'][3]``."""
    keys = "".join(f"[{shown(key)}]" for key in place[:6])
    return f"data{keys}{'[...]' if len(place) > 6 else ''}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _is_short_word(key: object) -> bool:
    return isinstance(key, str) and 0 < len(key) <= 60 and key.isprintable()


def _name_of_dtype(dtype: np.dtype[Any]) -> str:
    return str(dtype) if dtype.names is None else f"({', '.join(dtype.names)})"


def _extent(array: NDArray[Any]) -> Iterator[str]:
    """Yield the least and the greatest finite value, and how many are not finite."""
    if array.size == 0 or array.dtype.kind not in "biufcmM":
        return
    if array.dtype.kind == "b":
        yield f"{np.count_nonzero(array)} of {array.size} true"
        return
    has_order = array.dtype.kind != "c" and array.dtype.str[1:] != "M8"  # a date without a unit
    lowest, highest, n_finite = [], [], 0
    for block in _blocks(array):
        is_finite = np.isfinite(block)
        finite = block if is_finite.all() else block[is_finite]
        n_finite += finite.size
        if finite.size and has_order:
            lowest.append(finite.min())
            highest.append(finite.max())
    if lowest:
        yield f"{min(lowest)!s} .. {max(highest)!s}"
    if array.dtype.kind in "mM":
        missing = sum(np.count_nonzero(np.isnat(block)) for block in _blocks(array))
        yield from [f"{missing} NaT"] if missing else []
        return
    nans = sum(np.count_nonzero(np.isnan(block)) for block in _blocks(array))
    infinite = array.size - n_finite - nans
    yield from [f"{nans} NaN"] if nans else []
    yield from [f"{infinite} infinite"] if infinite else []


def _blocks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield parts of an array: what is asked of gigabytes takes as much memory again at once."""
    flat = array.reshape(-1)
    for start in range(0, flat.size, BLOCK):
        yield flat[start : start + BLOCK]


def _warnings(data: object, place: Place) -> Iterator[str]:
    if isinstance(data, np.ndarray):
        yield from _warnings_about_array(data, place)
    elif isinstance(data, str) and not data and not place:
        yield "the text is empty"
    elif isinstance(data, dict | list | tuple) and len(place) < MAX_DEPTH:
        pairs = data.items() if isinstance(data, dict) else enumerate(data)
        for key, item in pairs:
            yield from _warnings(item, (*place, key))


def _warnings_about_array(array: NDArray[Any], place: Place) -> Iterator[str]:
    if array.size == 0:
        yield f"{_where(place)} is empty: its shape is {array.shape}"
        return
    if array.dtype.kind not in "fcmM":
        return
    bad = array.size - sum(np.count_nonzero(np.isfinite(block)) for block in _blocks(array))
    what = "NaT" if array.dtype.kind in "mM" else "NaN or infinite"
    if bad == array.size:
        yield f"{_where(place)} holds no finite value in shape {array.shape}"
    elif bad:
        verb = "is" if bad == 1 else "are"
        yield f"{bad} of the {array.size} values of {_where(place)} {verb} {what}"
