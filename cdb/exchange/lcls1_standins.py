"""Runs whose file is not to be had, and the file that they would get in its place."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from cdb.files.lcls1 import CalibFile, Span, effective_ranges
from cdb.validity import RunRange


class StandIn(NamedTuple):
    """Neighbouring runs that would get another file.

    Attributes
    ----------
    runs : RunRange
        Which.
    missing : CalibFile
        What holds for them.
    instead : CalibFile
        What they would get.
    """

    runs: RunRange
    missing: CalibFile
    instead: CalibFile


def stand_ins(files: Iterable[CalibFile], missing: Collection[Path]) -> Iterator[StandIn]:
    """Yield the runs that get another file if some are missing.

    Parameters
    ----------
    files : iterable of CalibFile
        Of one folder.
    missing : collection of Path
        Those of them that are not to be had.

    Examples
    --------
    >>> from cdb.files.lcls1 import parse_name
    >>> files = [CalibFile(Path(n), parse_name(n)) for n in ("0-9.data", "5-20.data")]
    >>> [(str(one.runs), one.instead.name) for one in stand_ins(files, [Path("5-20.data")])]
    [('5-9', '0-9.data')]
    """
    files = list(files)
    if not any(file.path in missing for file in files):
        return
    left = effective_ranges([file for file in files if file.path not in missing])
    for span in effective_ranges(files):
        if span.file is None or span.file.path not in missing:
            continue
        for other in _meeting(span, left):
            if other.file is not None:
                first, last = max(span.first, other.first), min(span.last, other.last)
                yield StandIn(RunRange(first, last), span.file, other.file)


def _meeting(span: Span, spans: Sequence[Span]) -> Iterator[Span]:
    return (other for other in spans if other.first <= span.last and span.first <= other.last)
