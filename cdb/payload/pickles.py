"""Pickles that psana stored, read without running code: arrays, scalars, plain containers."""

import io
import pickle
import pickletools
from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdb.errors import BadPayload, UnsafePayload, shown
from cdb.payload.arrays import Bytes, array_of, dtype_of, shape_of
from cdb.payload.keypaths import MAX_NESTING


def decode(data: Bytes) -> object:
    """Return what a pickle holds.

    Raises
    ------
    UnsafePayload
        If it asks for anything but arrays, scalars and plain containers; nothing was called.
    BadPayload
        If it is damaged, or describes an array that cannot be.

    Examples
    --------
    >>> import pickle
    >>> decode(pickle.dumps({"gain": 1.5, "window": (3, 4)}))
    {'gain': 1.5, 'window': (3, 4)}
    """
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
            return dtype_of(text)
        _, order, base, names, fields, itemsize = self.state[:6]
        if base is not None:
            return np.dtype((plain.dtype(base[0]), shape_of(base[1])))
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
        return dtype_of(text).newbyteorder(order if order in ("<", ">") else "=")


class _Array(_Described):
    """``_reconstruct(ndarray, ...)``, its state (version, shape, dtype, is_fortran, elements)."""

    def made(self, plain: "_Plain") -> NDArray[Any]:
        version, shape, dtype, is_fortran, data = self.state
        if version != 1:
            raise ValueError(f"version {shown(version)} of an array")
        shape, dtype = shape_of(shape), plain.dtype(dtype)
        if dtype.kind != "O":
            return array_of(_only_bytes(data), dtype, shape, order="F" if is_fortran else "C")
        array = np.empty(len(data), object)
        for index, item in enumerate(data):
            array[index] = plain(item)
        return array.reshape(shape)


class _Buffer(_Described):
    """``_frombuffer(buffer, dtype, shape, order)``."""

    def made(self, plain: "_Plain") -> NDArray[Any]:
        data, dtype, shape, order = self.arguments
        return array_of(_only_bytes(data), plain.dtype(dtype), shape_of(shape), order=order)


class _Scalar(_Described):
    """``scalar(dtype, bytes)``."""

    def made(self, plain: "_Plain") -> object:
        dtype, data = self.arguments
        return array_of(_only_bytes(data), plain.dtype(dtype), ())[()]


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
                "plain containers are admitted; if you trust who stored it, take the stored bytes "
                "(Database.read in Python, `cdb get --format raw`) and unpickle them yourself"
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
        if self._depth > MAX_NESTING:
            raise ValueError(f"nested deeper than {MAX_NESTING} containers, or contains itself")
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


def _check_memo(data: bytes) -> None:
    """Refuse numbers of memorised objects beyond the pickle's length: memory is taken for each."""
    for opcode, argument, _ in pickletools.genops(data):
        if "PUT" in opcode.name and isinstance(argument, int) and argument > len(data):
            raise ValueError(f"{argument} objects in {len(data)} bytes")


def _only_bytes(data: object) -> bytes:
    if not isinstance(data, bytes | bytearray):
        raise TypeError(f"{shown(data)} is not bytes")
    return bytes(data)
