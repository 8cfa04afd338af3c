"""Dicts that psana wrote as the text of a Python literal: parsed, never evaluated."""

import ast
import re

from cdb.errors import BadPayload, shown
from cdb.payload.arrays import array_of, dtype_of, shape_of
from cdb.payload.keypaths import KeyPath, where

MAX_LITERAL = 64 * 2**20  # characters
MAX_SYNTAX = 2**20  # of them outside of its strings, where each may cost a hundred bytes

_STRING = re.compile(r"""'(?:[^'\\]++|\\.)*+'|"(?:[^"\\]++|\\.)*+\"""", re.DOTALL)


def dict_of_literal(text: str) -> object:
    """Return the dict that psana wrote as a Python literal; the text if it is none.

    Raises
    ------
    BadPayload
        If it is too long to be read safely, or describes an array or a scalar that cannot be.

    Examples
    --------
    >>> dict_of_literal("{'n': {'type': 'sc', 'dtype': 'int', 'data': '7'}, 'who': 'me'}")
    {'n': 7, 'who': 'me'}
    """
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


def _deserialized(value: object, path: KeyPath) -> object:
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
                f"the elements of {where(path)}, {shown(data)}, are not bytes; take the stored text"
            )
        return array_of(data, dtype_of(dtype, path), shape_of(value.get("shape"), path), path)
    if kind != "sc":
        return {key: _deserialized(item, (*path, key)) for key, item in value.items()}
    try:
        return _scalar_of_text(str(dtype), str(data))
    except ValueError:
        raise BadPayload(
            f"{where(path)}, {shown(data)}, is not the text of a scalar of type "
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
