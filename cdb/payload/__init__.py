"""Array, text, dict <-> bytes; never eval, pickle only if asked.

What is stored is the bytes and, in the document, the fields ``data_*`` that say how to read them:

============ ============================== ==================================================
`data_type`  Python value                   bytes
============ ============================== ==================================================
``ndarray``  array                          raw elements in C order, no header
``str``      text                           UTF-8
``json``     anything else                  JSON in UTF-8, see `cdb.payload.tagged`
``any``      (psana's; read, never written) a pickle, read only where the caller allows it
============ ============================== ==================================================

The page ``docs/payloads.md`` has examples, and what psana makes of them.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdb.errors import BadPayload, UnsafePayload, shown
from cdb.payload import arrays, claims, literals, pickles, tagged, texts
from cdb.payload.arrays import Bytes
from cdb.payload.description import describe, warnings_about

__all__ = [
    "Bytes",
    "Encoded",
    "Payload",
    "decode",
    "describe",
    "digest",
    "encode",
    "encoded",
    "warnings_about",
]

# Constant types whose text is a dict, as psana 4.3.4 reads them (`MDBUtils.py`).
DICT_CTYPES = ("xtcav_lasingoff", "xtcav_pedestals", "lasingoffreference")


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


@dataclass(frozen=True)
class Encoded:
    """A payload by its digest: its bytes are here, or were sent before.

    Attributes
    ----------
    fields : dict of str to str
        The fields ``data_*`` of the document.
    sha256 : str
        Digest of the bytes, hexadecimal.
    nbytes : int
        Their length [bytes].
    data : bytes, memoryview or None
        The bytes; None where the store has them already.
    """

    fields: dict[str, str]
    sha256: str
    nbytes: int
    data: Bytes | None = None

    def check(self, data: Bytes) -> None:
        """Refuse bytes that are not these.

        Raises
        ------
        BadPayload
            If they are of another length or digest, or not what the fields say.
        """
        length = memoryview(data).nbytes
        if length != self.nbytes:
            raise BadPayload(f"the payload has {length} bytes, not {self.nbytes} as was said")
        if digest(data) != self.sha256:
            raise BadPayload(
                f"the payload's digest is {digest(data)}, not {self.sha256}: it was damaged on "
                "its way, or it is another one; send it again"
            )
        claims.check_content(self.fields, data)


def encoded(
    fields: Mapping[str, Any], sha256: object, nbytes: object, data: Bytes | None = None
) -> Encoded:
    """Return a payload that somebody else encoded, if it makes sense.

    Parameters
    ----------
    fields : mapping
        As `encode` makes them.
    sha256 : str
        Digest of the bytes, hexadecimal.
    nbytes : int
        Their length [bytes].
    data : bytes or memoryview, optional
        The bytes, if they are here.

    Raises
    ------
    BadPayload
        If something is not what it is said to be.
    """
    if isinstance(nbytes, bool) or not isinstance(nbytes, int) or not 0 <= nbytes < 2**53:
        raise BadPayload(f"nbytes {shown(nbytes)} is no length; give the number of bytes")
    made = Encoded(
        claims.checked_fields(fields, nbytes), claims.checked_digest(sha256), nbytes, data
    )
    if data is not None:
        made.check(data)
    return made


def encode(data: object) -> Payload:
    """Return data as bytes, with the fields that say how to read them.

    Parameters
    ----------
    data : ndarray, str, or what JSON's tags can say
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
        array = arrays.plain_array(data)
        fields = {
            "data_type": "ndarray",
            "data_dtype": arrays.text_of_dtype(array.dtype),
            "data_shape": str(array.shape),
            "data_ndim": str(array.ndim),
            "data_size": str(array.size),
        }
        return Payload(arrays.elements(array), fields)
    if isinstance(data, str):
        text = texts.checked_text(data).encode()
        return Payload(text, {"data_type": "str", "data_size": str(len(data))})
    return Payload(tagged.encode(data), {"data_type": "json"})


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
            text = texts.utf8(data)
            return literals.dict_of_literal(text) if document.get("ctype") in DICT_CTYPES else text
        case "json":
            return tagged.decode(data)
        case "any" if allow_pickle:
            return pickles.decode(data)
        case "any":
            raise UnsafePayload(
                "the payload is a pickle, which could run code; if you trust who stored it, ask "
                "with allow_pickle=True in Python, --allow-pickle on the command line: arrays, "
                "scalars and plain containers are read then, and nothing else"
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


def _decode_array(data: memoryview, document: Mapping[str, object]) -> NDArray[Any]:
    missing = [name for name in ("data_dtype", "data_shape") if document.get(name) is None]
    if missing:
        raise BadPayload(
            f"the document of this array has no {' and no '.join(missing)}, as those of old "
            "writers; take the stored bytes, and say yourself what they are"
        )
    dtype, shape = arrays.dtype_of(document["data_dtype"]), arrays.shape_of(document["data_shape"])
    # psana 4.3.4 with Kerberos sends its empty JSON document in place of no bytes.
    if data.nbytes == 2 and bytes(data) == b"{}" and str(document.get("data_size")) == "0":
        data = memoryview(b"")
    return arrays.array_of(data, dtype, shape)
