"""Event codes in HDF5: with how many events each came, as far as it was recorded.

==================================== ==============================================================
translated from LCLS-I               ``.../EvrData::DataV3/<source>/data``, in which ``fifoEvents``
                                     lists the codes of an event
tables of LCLS-I's analyses          ``evr/code_162``, not 0 where the code came
tables of LCLS-II's analyses         ``timing/eventcodes``, shape (n_events, n_codes)
==================================== ==============================================================
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from cdb.readers.hdf5_files import Dataset, Files, readable

_LISTED = re.compile(r"EvrData::DataV\d+/[^/]+/(evrData|data)$")
_COLUMN = re.compile(r"(?:^|/)evr/code_(\d{1,3})$")
_TABLE = re.compile(r"(?:^|/)timing/eventcodes$")
_FIELD, _CODE = "fifoEvents", "eventCode"
# LCLS-I has 256 codes, LCLS-II 288: a larger number is none.
_CODES = 512
# Events that are read together.
_BLOCK = 256


def count(files: Files, datasets: Sequence[Dataset], limit: int) -> dict[int, int]:
    """Return with how many events each code came, by code.

    Parameters
    ----------
    files : Files
        Of a run.
    datasets : sequence of Dataset
        All that it has.
    limit : int
        So many events are looked at, the first ones.

    Raises
    ------
    BadFile
        If the data cannot be read.
    """
    found: Counter[int] = Counter()
    left = {"listed": limit, "table": limit}
    columns: dict[str, int] = {}
    for one in datasets:
        column = _COLUMN.search(one.path)
        if _LISTED.search(one.path) and _lists_codes(one.dtype):
            left["listed"] -= _add(found, _listed(files, one, left["listed"]))
        elif _TABLE.search(one.path) and one.dtype.kind in "biu" and _is_table(one.shape):
            left["table"] -= _add(found, _in_table(files, one, left["table"]))
        elif column and one.dtype.kind in "biuf" and len(one.shape) == 1:
            columns.setdefault(one.path, limit)
            columns[one.path] -= _add(found, _in_column(files, one, int(column[1]),
                                                        columns[one.path]))  # fmt: skip
    return dict(sorted(found.items()))


def _add(found: Counter[int], events: Iterator[tuple[int, Sequence[int]]]) -> int:
    """Add what each block of events has; return how many events that were."""
    n_events = 0
    for n, codes in events:
        n_events += n
        found.update(codes)
    return n_events


def _blocks(files: Files, one: Dataset, limit: int) -> Iterator[Any]:
    n = min(one.shape[0], max(0, limit))
    for start in range(0, n, _BLOCK):
        with readable(one.file):
            yield files.open_dataset(one.file, one.path)[start : min(n, start + _BLOCK)]


def _listed(files: Files, one: Dataset, limit: int) -> Iterator[tuple[int, Sequence[int]]]:
    for block in _blocks(files, one, limit):
        codes: list[int] = []
        for event in block[_FIELD]:
            codes += [code for code in np.unique(event[_CODE]).tolist() if 0 <= code < _CODES]
        yield len(block), codes


def _in_table(files: Files, one: Dataset, limit: int) -> Iterator[tuple[int, Sequence[int]]]:
    for block in _blocks(files, one, limit):
        yield len(block), np.nonzero(block)[1].tolist()


def _in_column(
    files: Files, one: Dataset, code: int, limit: int
) -> Iterator[tuple[int, Sequence[int]]]:
    for block in _blocks(files, one, limit):
        yield len(block), [code] * int(np.count_nonzero(block > 0))


def _lists_codes(dtype: np.dtype[Any]) -> bool:
    """Return whether values of a type list the codes of an event."""
    if _FIELD not in (dtype.names or ()):
        return False
    listed = dict(dtype[_FIELD].metadata or {}).get("vlen")
    return isinstance(listed, np.dtype) and _CODE in (listed.names or ())


def _is_table(shape: Sequence[int]) -> bool:
    return len(shape) == 2 and shape[1] <= _CODES
