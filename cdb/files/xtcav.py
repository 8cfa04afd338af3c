"""XTCAV's constants: HDF5 under the name of a text file, as nested dictionaries.

A group is a dictionary, a dataset one of its values. XTCAV's own code writes dark references
(pedestals) and lasing-off references so, as ``<begin>-<end>.data`` in a calib tree.

===================== =========================================================================
in the file           in Python
===================== =========================================================================
group                 dict; an empty one too
number, truth value   NumPy scalar of the same type
array                 ndarray of the same type and shape
text of any length    str; lists of str where there are several
text of fixed length  numpy.bytes_, or an array of them
===================== =========================================================================

This is what `cdb.payload` keeps as JSON with every type and bit. Attributes of groups and datasets
are not read: XTCAV has none.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np

from cdb.errors import BadFile, shown
from cdb.files import hdf5
from cdb.files.places import move_into_place

_OF_DCS = ("detid", "dettype", "tscfile")


def read(path: Path | str) -> dict[str, Any]:
    """Read an HDF5 file as nested dictionaries.

    Parameters
    ----------
    path : Path or str
        The file, of whatever ending.

    Returns
    -------
    data : dict
        By name, in the order of the names; a dict for each group.

    Raises
    ------
    BadFile
        If it is no HDF5 file, a damaged one, or holds what no constant can: references, links to
        other files, a group inside itself, more data than are there.
    CalibError
        If h5py is not installed.
    OSError
        If the file cannot be opened.
    """
    with hdf5.File(Path(path)) as file:
        children = file.children(file.root)
        if {*_OF_DCS} <= {*children}:
            raise file.error(
                "/", "is a dcs file, with many constants; `cdb dcs get` takes out one of them"
            )
        return _dict_of(file, children)


def _dict_of(file: hdf5.File, children: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _dict_of(file, file.children(child)) if file.is_group(child) else file.value(child)
        for name, child in children.items()
    }


def write(path: Path | str, data: dict[str, Any]) -> None:
    """Write nested dictionaries as an HDF5 file, which psana reads.

    The file is written beside its place and then moved there.

    Parameters
    ----------
    path : Path or str
        The file to make or to replace, in a folder that exists.
    data : dict
        As `read` returns it; Python's own numbers become those of NumPy.

    Raises
    ------
    BadFile
        If a name or a value has no place in an HDF5 file.
    CalibError
        If h5py is not installed.
    OSError
        If the folder cannot be written.
    """
    move_into_place(Path(path), [file_of(data)])


def file_of(data: Any) -> bytes:
    """Return nested dictionaries as the bytes of an HDF5 file.

    Raises
    ------
    BadFile
        If they are none, or a name or a value has no place in such a file.
    """
    if not isinstance(data, dict):
        raise BadFile(f"{type(data).__name__} is no dict, which an HDF5 file is made of")
    content = io.BytesIO()
    with hdf5.h5py().File(content, "w") as file:
        _fill(file, data, "")
    return content.getvalue()


def _fill(group: Any, data: dict[str, Any], above: str) -> None:
    for name, value in data.items():
        path = f"{above}/{name}"
        if type(name) is not str or name in ("", ".", "..") or {*"/\0"} & {*name}:
            raise BadFile(f"{shown(name)} of {shown(above or '/')} is no name in an HDF5 file")
        if path.count("/") > hdf5.MAX_DEPTH:
            raise BadFile(f"{shown(path)}: more than {hdf5.MAX_DEPTH} dicts inside each other")
        if isinstance(value, dict):
            _fill(group.create_group(name), value, path)
            continue
        try:
            group[name] = _checked(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise BadFile(
                f"{shown(path)}, of type {type(value).__name__}, has no form in an HDF5 file: "
                f"{error}"
            ) from None


def _checked(value: Any) -> Any:
    """Return what h5py writes of a value so that it reads back; a ValueError says why not."""
    if type(value) is list:
        texts = np.array(value, object)
        for text in texts.flat:
            if type(text) is not str:
                raise ValueError("a list may hold texts only; make an array of numbers")
            _checked(text)
        return texts.astype(hdf5.h5py().string_dtype())
    if type(value) is str and "\0" in value:
        raise ValueError("its texts end at a zero byte")
    if type(value) in (bool, int, float, str) or isinstance(value, np.generic | np.ndarray):
        return value
    raise ValueError("write a number, text, array or dict")
