"""Which kind of file holds what: what ``cdb add`` reads and ``cdb get`` writes.

============================== ==================================================================
read                           by
============================== ==================================================================
text                           ctype geometry (its grammar is checked), or type txt, text, str
``.npy``                       its ending, or its first bytes
nested dicts                   HDF5 by its first bytes, as XTCAV's files, or type xtcav
JSON                           its ending, or type json; values tagged as `cdb.payload` does
pickle                         its ending, or type pkl, pickle; only if the caller allows it
array text                     anything else, see `cdb.files.text`
============================== ==================================================================
"""

import contextlib
import filecmp
import json
import math
import os
import re
import stat
import tokenize
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

from cdb import payload
from cdb.errors import BadFile, BadPayload, UnsafePayload, shown

TEXT = ("txt", "text", "str")
JSON = ("json",)
PICKLE = ("pkl", "pickle")
XTCAV = "xtcav"
FILE_TYPES = ("ndarray", *TEXT, *JSON, *PICKLE, XTCAV)
ENDINGS = {"npy": ".npy", "txt": ".txt", "json": ".json", "h5": ".h5", "raw": ".raw"}

# Larger arrays stay in their file, and are read from there when their bytes are written.
MAPPED_FROM = 2**28
_NPY, _ZIP, _HDF5 = b"\x93NUMPY", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"

# What numpy raises for headers that are damaged or made up.
_NPY_TROUBLE = (
    ValueError, EOFError, OverflowError, TypeError, SyntaxError, RecursionError, MemoryError,
    tokenize.TokenError,
)  # fmt: skip
# What to do about stored bytes is nothing to do about a file.
_ADVICE = re.compile("; (if you trust who stored it, )?take the stored bytes")

Write = Callable[[IO[bytes]], object]


# Reading ---------------------------------------------------------------------------------------


def read(
    path: Path | str,
    *,
    ctype: str = "",
    dtype: str | None = None,
    allow_pickle: bool = False,
) -> Any:
    """Read a file that holds a constant.

    Parameters
    ----------
    path : Path or str
        The file.
    ctype : str, optional
        Geometry is read as text, and its grammar checked.
    dtype : str, optional
        One of `FILE_TYPES`; told from the file if absent.
    allow_pickle : bool, optional
        Whether to read a pickle: numpy arrays and plain containers only.

    Returns
    -------
    data : ndarray, str or other

    Raises
    ------
    BadFile
        If there is no such file, or it is not what its type says.
    UnsafePayload
        If it is a pickle and `allow_pickle` is not given.
    """
    path = Path(path)
    if dtype is not None and dtype not in FILE_TYPES:
        raise BadFile(f"unknown file type {shown(dtype)}; known: {', '.join(FILE_TYPES)}")
    with readable(path):
        if ctype == "geometry" or dtype in TEXT:
            return _read_text(path, ctype)
        if dtype == XTCAV or (dtype is None and _begins(path, _HDF5)):
            from cdb.files import xtcav

            return xtcav.read(path)
        if path.suffix == ".npy":
            return _read_npy(path)
        if path.suffix == ".json" or dtype in JSON:
            return _read_json(path)
        if path.suffix in (".pkl", ".pickle") or dtype in PICKLE:
            return _read_pickle(path, allow_pickle)
        return _read_npy(path) if _begins(path, _NPY) else _read_array_text(path, ctype)


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Say in one sentence why a file cannot be read."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISCHR(mode):
            raise BadFile(f"{path} is a device; give a file")
        if stat.S_ISDIR(mode):
            raise BadFile(f"{path} is a folder; give a file")
        yield
    except FileNotFoundError:
        raise BadFile(f"there is no file {path}; give the path of a file") from None
    except PermissionError:
        raise BadFile(f"no permission to read {path}") from None
    except OSError as error:
        raise BadFile(f"cannot read {path}: {error.strerror or error}") from None


def _begins(path: Path, magic: bytes) -> bool:
    # A pipe can be read only once.
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def _read_text(path: Path, ctype: str) -> str:
    try:
        content = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise BadFile(f"{path} is no UTF-8 text (byte {error.start})") from None
    if ctype == "geometry":
        from cdb.geometry import tree

        tree.parse(content, name=str(path))
    return content


def _read_array_text(path: Path, ctype: str) -> Any:
    from cdb.files import text

    try:
        return text.read_common_mode(path) if ctype == "common_mode" else text.read(path)
    except BadFile as error:
        raise BadFile(f"{error}; a text that holds no array is added with type txt") from None


def _read_npy(path: Path) -> Any:
    import numpy as np

    if _begins(path, _ZIP):
        raise BadFile(f"{path} holds several arrays (.npz); add them one by one, as .npy files")
    if not _begins(path, _NPY):
        raise BadFile(f"{path} is no .npy file: it does not begin as one")
    mode: Any = "r" if path.stat().st_size >= MAPPED_FROM else None
    try:
        _check_length(path)
        return np.load(path, mmap_mode=mode, allow_pickle=False)
    except _NPY_TROUBLE as error:
        if "bject arrays" in str(error) or "Python objects" in str(error):
            raise UnsafePayload(f"{path} holds Python objects, not numbers") from None
        raise BadFile(f"{path} is no whole .npy file: {error}") from None


def _check_length(path: Path) -> None:
    """Refuse a header that promises more than the file holds, before memory is taken for it."""
    from numpy.lib import format as npy

    with path.open("rb") as file:
        old = npy.read_magic(file) == (1, 0)
        header = npy.read_array_header_1_0(file) if old else npy.read_array_header_2_0(file)
        held = path.stat().st_size - file.tell()
    shape, _, dtype = header
    promised = math.prod(shape) * dtype.itemsize
    if promised > held and not dtype.hasobject:
        raise ValueError(f"its header promises {shown(promised)} bytes of data, it holds {held}")


def _read_json(path: Path) -> Any:
    try:
        return payload.decode(path.read_bytes(), {"data_type": "json"})
    except BadPayload as error:
        raise BadFile(_said_of(path, error)) from None


def _said_of(path: Path, error: BadPayload) -> str:
    """Return what is wrong with a payload, as a sentence about the file that it is in."""
    trouble = _ADVICE.split(str(error))[0].replace("the payload", "the file")
    return f"{path}: {trouble}; mend the file, or write it anew"


def _read_pickle(path: Path, allow_pickle: bool) -> Any:
    if not allow_pickle:
        raise UnsafePayload(
            f"{path} is a pickle, which could run code; save it as .npy or .json or, if you trust "
            "it, say allow_pickle=True in Python, --allow-pickle on the command line"
        )
    try:
        return payload.decode(path.read_bytes(), {"data_type": "any"}, allow_pickle=True)
    except UnsafePayload as error:
        raise UnsafePayload(_said_of(path, error)) from None
    except BadPayload as error:
        raise BadFile(_said_of(path, error)) from None


# Writing ---------------------------------------------------------------------------------------


def default_format(data: Any) -> str:
    """Return the format that keeps data exactly: npy for arrays, txt for text, json else."""
    import numpy as np

    if isinstance(data, np.ndarray):
        return "npy"
    return "txt" if isinstance(data, str) else "json"


def write_stream(file: IO[bytes], data: Any, format: str) -> None:  # noqa: A002
    """Write a constant to an open file.

    Parameters
    ----------
    file : binary file
        Where to.
    data : ndarray, str or other
        The constant; for format ``raw`` its bytes as they are stored.
    format : str
        One of `ENDINGS`.

    Raises
    ------
    BadFile
        If the data do not go into this format.
    """
    import numpy as np

    if format == "raw":
        file.write(data)
    elif format == "npy":
        if not isinstance(data, np.ndarray):
            raise BadFile(f"{type(data).__name__} is no array: take format txt, json or raw")
        # Given a real file, numpy asks for its position, which a pipe has not.
        writer = SimpleNamespace(write=file.write)
        np.lib.format.write_array(writer, data, allow_pickle=False)
    elif format == "txt" and isinstance(data, np.ndarray):
        from cdb.files import text

        file.write(text.format_array(data).encode())
    elif format == "txt" and isinstance(data, str):
        file.write(data.encode())
    elif format == "h5":
        from cdb.files import xtcav

        file.write(xtcav.file_of(data))
    else:
        # Alone, arrays and texts are stored otherwise; in a list they are JSON.
        file.write(bytes(payload.encode([data]).data)[1:-1] + b"\n")


def write_file(path: Path, write: Write) -> None:
    """Write a file in one piece, or not at all; one that is there is replaced.

    Parameters
    ----------
    path : Path
        Where to.
    write : callable
        Called with the open file, to fill it.

    Raises
    ------
    BadFile
        If it cannot be written.
    """
    with _beside(path, write) as new, _writable(path):
        new.replace(path)


def write_files(
    prefix: Path | str,
    data: Any,
    meta: Mapping[str, Any],
    format: str,  # noqa: A002
    *,
    overwrite: bool = False,
) -> tuple[Path, Path]:
    """Write a constant and its document: both in one piece, or none.

    Parameters
    ----------
    prefix : Path or str
        Path without ending; that of the format is taken for one.
    data : ndarray, str or other
        The constant; for format ``raw`` its bytes as they are stored.
    meta : mapping
        The document.
    format : str
        One of `ENDINGS`.
    overwrite : bool, optional
        Whether to replace files that are there with other content.

    Returns
    -------
    data_path, meta_path : Path
        ``PREFIX.npy`` (or ``.txt``, ``.json``, ``.raw``) and ``PREFIX.meta.json``.

    Raises
    ------
    BadFile
        If a file is there, or cannot be written.
    """
    stem = str(prefix).removesuffix(ENDINGS[format])
    if stem.endswith(os.sep) or not stem:
        raise BadFile(f"{shown(str(prefix))} is no name of a file; give one without its ending")
    data_path, meta_path = Path(f"{stem}{ENDINGS[format]}"), Path(f"{stem}.meta.json")
    document = json.dumps(meta, indent=2, ensure_ascii=False) + "\n"
    with (
        _beside(data_path, lambda file: write_stream(file, data, format)) as new_data,
        _beside(meta_path, lambda file: file.write(document.encode())) as new_meta,
    ):
        pairs = [(new_data, data_path), (new_meta, meta_path)]
        changed = [path for new, path in pairs if _differs(new, path)]
        if changed and not overwrite:
            raise BadFile(
                f"{' and '.join(map(str, changed))} {'are' if changed[1:] else 'is'} there "
                "already, with other content; take another name, or say --yes to replace"
            )
        for new, path in pairs:
            with _writable(path):
                new.replace(path)
    return data_path, meta_path


def _differs(new: Path, old: Path) -> bool:
    """Return whether a file is there, with other content."""
    with _writable(old):
        if old.is_dir():
            raise BadFile(f"{old} is a folder; take another name")
        return old.exists() and not filecmp.cmp(new, old, shallow=False)


@contextlib.contextmanager
def _beside(path: Path, write: Write) -> Iterator[Path]:
    """Write a file beside a path; what is not moved from there is removed again."""
    with _writable(path):
        if not path.parent.is_dir():
            raise BadFile(f"there is no folder {path.parent} for {path.name}; make it first")
    beside = path.with_name(f".{os.urandom(8).hex()}.part")
    try:
        with _writable(path), beside.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        yield beside
    finally:
        beside.unlink(missing_ok=True)


@contextlib.contextmanager
def _writable(path: Path) -> Iterator[None]:
    """Say in one sentence why a file cannot be written."""
    try:
        yield
    except PermissionError:
        raise BadFile(f"no permission to write {path}") from None
    except OSError as error:
        raise BadFile(f"cannot write {path}: {error.strerror or error}") from None
