"""A constant that is ready to be deployed: its data, and all that is known of how it came to be."""

import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdb import shapes
from cdb.errors import BadArray
from cdb.files import contents, formats

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class File:
    """A file that went into a constant.

    Attributes
    ----------
    path : Path
        Where it was.
    sha256 : str
        Digest of its bytes.
    nbytes : int
        How many they were.
    """

    path: Path
    sha256: str
    nbytes: int

    def as_source(self) -> dict[str, Any]:
        """Return what a `source` says of it."""
        return {"path": str(self.path), "sha256": self.sha256, "nbytes": self.nbytes}


@dataclass(frozen=True)
class Ready:
    """A constant ready to be deployed.

    Attributes
    ----------
    ctype : str
        Its type.
    data : ndarray or str
        What it is.
    files : tuple of File
        What it was made from.
    parameters : mapping
        What else it was made from, as JSON can say it.
    unit : str or None
        Of its values.
    notes : tuple of str
        What somebody should know before it is deployed: that it is a default, say.
    copied : bool
        Whether it is what its one file holds, so that a tree may get the file as it is.
    """

    ctype: str
    data: "NDArray[Any] | str"
    files: tuple[File, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    unit: str | None = None
    notes: tuple[str, ...] = ()
    copied: bool = False

    @property
    def file(self) -> Path | None:
        """The file that a tree may get as it is."""
        return self.files[0].path if self.copied else None

    @property
    def origin(self) -> str:
        """What it was made from, in a few words; empty if a tree gets the file as it is."""
        if self.copied or not self.files:
            return ""
        paths = [str(file.path) for file in self.files]
        several = f"{len(paths)} files in {os.path.commonpath(paths)}"
        return f"from {several if paths[1:] else paths[0]}"

    def as_source(self) -> dict[str, Any]:
        """Return what its document says that it was made from."""
        source: dict[str, Any] = {}
        if self.files:
            source["files"] = [file.as_source() for file in self.files]
        told = dict(self.parameters)
        if self.notes:
            told["notes"] = list(self.notes)
        return source | ({"parameters": told} if told else {})


def digested(path: Path) -> File:
    """Return a file with its digest.

    Raises
    ------
    BadFile
        If it cannot be read.
    """
    with formats.readable(path), path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return File(path, digest, stream.tell())


def read(path: Path, ctype: str, dettype: str) -> "tuple[NDArray[Any] | str, bool]":
    """Return what a file of a repository holds.

    Parameters
    ----------
    path : Path
        Array text, ``.npy``, or the text of a geometry.
    ctype : str
        Type of the constant.
    dettype : str
        Detector type, in small letters.

    Returns
    -------
    data : ndarray or str
        An array that has as many values as the detector, and another shape, is given its shape.
    copied : bool
        Whether this is what readers make of the very file.

    Raises
    ------
    BadFile
        If it is no such file.
    BadArray
        If it has not as many values as the detector.
    """
    is_npy = path.suffix == ".npy"
    data = formats.read(path, ctype=ctype) if is_npy else contents.read(path, ctype)
    if isinstance(data, str) or ctype == contents.COMMON_MODE:
        return data, True
    array = shaped(data, dettype, ctype, str(path))
    return array, array.shape == data.shape and not is_npy


def shaped(array: "NDArray[Any]", dettype: str, ctype: str, name: str) -> "NDArray[Any]":
    """Return an array in the shape that constants of a detector have.

    Parameters
    ----------
    array : ndarray
        Rows of all panels below each other, perhaps.
    dettype, ctype : str
        Detector type, in small letters; type of the constant.
    name : str
        What the sentence calls it.

    Raises
    ------
    BadArray
        If it has not as many values as the detector.

    Examples
    --------
    >>> import numpy as np
    >>> shaped(np.zeros((5920, 388)), "cspad", "pixel_gain", "gain.txt").shape
    (32, 185, 388)
    """
    known = shapes.shapes_of(dettype, ctype)
    if not known or any(shapes.fits(array.shape, lengths) for lengths in known):
        return array
    full = [_lengths(lengths) for lengths in known]
    same = next((one for one in full if one and math.prod(one) == array.size), None)
    if same is not None:
        return array.reshape(same)
    good = " or ".join(_said(lengths) for lengths in known)
    raise BadArray(f"{name}: {ctype} of {dettype} have the shape {good}, not {array.shape}")


def _lengths(lengths: shapes.Lengths) -> tuple[int, ...]:
    """Return a shape of the table, empty where it leaves a length open."""
    whole = tuple(length for length in lengths if length is not None)
    return whole if len(whole) == len(lengths) else ()


def _said(lengths: Sequence[int | None]) -> str:
    return f"({', '.join('n' if length is None else str(length) for length in lengths)})"
