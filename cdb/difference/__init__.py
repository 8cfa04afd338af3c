"""What differs between two payloads: pixels and bits, moved parts, lines, keys.

================= ================================= ===========================================
both are          what is told                      equal if
================= ================================= ===========================================
arrays            `ArrayDifference`: by gain range  dtype and shape are the same, and no value
                  and panel                         differs (NaN is equal to NaN, 0.0 to -0.0)
geometry texts    `GeometryDifference`: the parts   the texts are
                  that moved, and the lines
other texts       `TextDifference`: the lines       the texts are
dicts, lists, ... `ValueDifference`: the keys       no key and no value differs, in type either
anything else     `KindDifference`                  never
================= ================================= ===========================================
"""

from typing import Any

import numpy as np

from cdb.difference.arrays import ArrayDifference, PartDifference, Progress, of_arrays
from cdb.difference.texts import GeometryDifference, TextDifference, of_geometries, of_texts
from cdb.difference.values import Change, KindDifference, ValueDifference, of_values
from cdb.geometry.comparison import Move

__all__ = [
    "ArrayDifference",
    "Change",
    "Difference",
    "GeometryDifference",
    "KindDifference",
    "Move",
    "PartDifference",
    "TextDifference",
    "ValueDifference",
    "of",
]

Difference = (
    ArrayDifference | GeometryDifference | TextDifference | ValueDifference | KindDifference
)


def of(
    a: Any, b: Any, *, dettype: str = "", ctype: str = "", progress: Progress | None = None
) -> Difference:
    """Return what differs between two payloads.

    Parameters
    ----------
    a, b : ndarray, str or other
        As `cdb.payload.decode` gives them. Arrays are looked at in pieces, so maps of files
        take no memory.
    dettype : str, optional
        Detector type: which axes count gain ranges and panels, what bits are called.
    ctype : str, optional
        Type of the constant: whether values are bits, whether a text is a geometry.
    progress : callable, optional
        Called with the number of bytes of arrays that were compared since the last call.

    Returns
    -------
    difference : Difference
        With `equal`, and `as_json()`; differences are *b* minus *a*.

    Examples
    --------
    >>> found = of(np.zeros((2, 3)), np.array([[0, 0, 0], [0, 0, 3.0]]))
    >>> found.equal, found.total.changed, found.total.numbers.mean
    (False, 1, 0.5)
    """
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return of_arrays(a, b, dettype=dettype, ctype=ctype, progress=progress)
    if isinstance(a, str) and isinstance(b, str):
        moved = of_geometries(a, b) if ctype == "geometry" else None
        return of_texts(a, b) if moved is None else moved
    alone = (np.ndarray, str)
    if isinstance(a, alone) or isinstance(b, alone):
        return KindDifference(a, b)
    return of_values(a, b)
