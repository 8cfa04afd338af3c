"""Where constants go, which runs get them, and what these runs got before: a plan, then one write.

A store gets all constants of a plan by one event, so that none is seen without the others. A tree
gets them file by file, each whole or not at all; a plan that was stopped is carried out again, and
does what is left.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from cdb import names
from cdb.constant import Version, order_of
from cdb.database import Database
from cdb.deploy.detectors import Asked
from cdb.deploy.ready import Ready
from cdb.errors import BadName, BadQuestion, NotFound, WrongState
from cdb.files import lcls1, text
from cdb.files.lcls1 import CalibFile, Report, Span, warn
from cdb.files.lcls1_deploy import Deployment, Done, Modes
from cdb.stores.base import Progress
from cdb.validity import RunRange

NEW = "new"


class Runs(NamedTuple):
    """Neighbouring runs that get the same constant.

    Attributes
    ----------
    first : int
        First of the runs.
    last : int or float
        Last of the runs, infinity if there is none.
    before, after : str
        What they get: a file, or the runs of a version and its event; ``new`` for the constant of
        the plan. Empty for nothing.
    """

    first: int
    last: int | float
    before: str
    after: str


@dataclass(frozen=True)
class Change:
    """What becomes of one constant at one place.

    Attributes
    ----------
    ready : Ready
        The constant.
    places : tuple of str
        Databases, or the path of a file.
    is_new : bool
        Whether it was not there already.
    runs : tuple of Runs
        Which runs get what.
    version : Version or None
        In a store.
    done : Done or None
        In a tree.
    """

    ready: Ready
    places: tuple[str, ...]
    is_new: bool
    runs: tuple[Runs, ...]
    version: Version | None = None
    done: Done | None = None

    @property
    def replaced(self) -> tuple[Runs, ...]:
        """The runs that got another constant before."""
        return tuple(each for each in self.runs if each.before and each.before != each.after)


@dataclass(frozen=True)
class Plan:
    """Constants of one detector, for some runs, on their way to a store, a tree, or both.

    Attributes
    ----------
    ready : sequence of Ready
        The constants, each of another type.
    asked : Asked
        The detector, and from when on they hold.
    runs : RunRange
        The runs.
    db : Database or None
        The store.
    experiment, dbsuffix : str or None
        As `Database.add` takes them.
    calib : Path or None
        The tree.
    comment : str
        Kept with the constants; in a tree by HISTORY, which also tells the notes on them, and what
        they were made from.
    source : mapping
        What else the documents say that the constants were made from: the command, the software.
    modes : Modes
        Of what is new in a tree.
    short : bool
        Whether arrays are written to a tree as the old programs did, which loses digits; a file
        that it gets as it is stays so.
    report : callable
        Called with files of a tree that are passed over.
    """

    ready: Sequence[Ready]
    asked: Asked
    runs: RunRange
    db: Database | None = None
    experiment: str | None = None
    dbsuffix: str | None = None
    calib: Path | None = None
    comment: str = ""
    source: Mapping[str, Any] = field(default_factory=dict)
    modes: Modes = Modes()
    short: bool = False
    report: Report = warn

    def __post_init__(self) -> None:
        """Refuse a plan that leads nowhere."""
        if self.db is None and self.calib is None:
            raise BadQuestion("where to? give a store, or the path of a tree")
        if self.calib is not None and self.asked.source is None:
            raise BadName(
                f"{self.asked.detector} is no source, and a tree keeps constants by these; give "
                "one, as CxiDs1.0:Cspad.0"
            )

    def rehearse(self) -> list[Change]:
        """Return what `commit` would do; nothing is written.

        Raises
        ------
        CalibError
            What `commit` raises, as far as it is known now.
        """
        deployments = self._deployments()
        return [*self._to_store(dry_run=True), *self._to_tree(deployments, dry_run=True)]

    def commit(self, *, progress: Progress | None = None) -> list[Change]:
        """Put the constants there.

        Parameters
        ----------
        progress : callable, optional
            Called with the number of bytes written to a store.

        Returns
        -------
        changes : list of Change
            For each constant and each place.

        Raises
        ------
        CalibError
            As `Database.deploy_together` and `Deployment` do. What can be refused is refused
            before anything is written.
        """
        deployments = self._deployments()
        made = self._to_store(dry_run=False, progress=progress)
        return [*made, *self._to_tree(deployments, dry_run=False)]

    # a store -----------------------------------------------------------------------------------

    def _to_store(self, *, dry_run: bool, progress: Progress | None = None) -> list[Change]:
        if self.db is None:
            return []
        before = [self._in_force(self.db, each.ctype) for each in self.ready]
        versions = self.db.deploy_together(
            [self._arguments(each) for each in self.ready], dry_run=dry_run, progress=progress
        )
        changes = []
        for ready, version, files in zip(self.ready, versions, before, strict=True):
            databases = names.databases_of(version.detector, self.experiment, self.dbsuffix)
            seen = version.new and version.state != "quarantined"
            others = [file for file in files if file.runs != self.runs]
            after = [*others, CalibFile(Path(NEW), self.runs)] if seen else files
            runs = compared(files, after)
            changes.append(Change(ready, tuple(databases), version.new, runs, version))
        return changes

    def _arguments(self, ready: Ready) -> dict[str, Any]:
        from cdb import payload

        plain = payload.encode(ready.data)
        nbytes = memoryview(plain.data).nbytes
        encoded = payload.Encoded(plain.fields, payload.digest(plain.data), nbytes, plain.data)
        said = ready.as_source()
        parameters = {**self.source.get("parameters", {}), **said.pop("parameters", {})}
        source = {**self.source, **said, **({"parameters": parameters} if parameters else {})}
        fields = {
            "comment": self.comment or None,
            "unit": ready.unit,
            "detname": self.asked.source,
            "dtype": "txt" if isinstance(ready.data, str) else None,
            "iofname": str(ready.files[0].path) if len(ready.files) == 1 else None,
            "source": source,
        }
        return {
            "encoded": encoded, "detector": self.asked.detector, "ctype": ready.ctype,
            "experiment": self.experiment, "dbsuffix": self.dbsuffix, "run": self.runs.begin,
            "run_end": self.runs.text_end, "time": self.asked.time, "fields": fields,
        }  # fmt: skip

    def _in_force(self, db: Database, ctype: str) -> list[CalibFile]:
        """Return the versions of the first database, the last added of each range of runs."""
        try:
            found = db.find(
                detector=self.asked.detector, ctype=ctype, experiment=self.experiment,
                dbsuffix=self.dbsuffix,
            )  # fmt: skip
        except NotFound:
            return []
        last: dict[RunRange, Version] = {}
        for version in sorted(found, key=lambda each: (order_of(each.meta), each.seq or 0)):
            if version.runs is not None:
                last[version.runs] = version
        return [CalibFile(Path(_label(version)), runs) for runs, version in last.items()]

    # a tree ------------------------------------------------------------------------------------

    def _to_tree(self, deployments: Sequence[Deployment], *, dry_run: bool) -> list[Change]:
        changes = []
        # None at all without a tree.
        for ready, deployment in zip(self.ready, deployments, strict=False):
            there = _holds(deployment.path, deployment.data)
            done = deployment.plan() if dry_run else deployment.commit()
            runs = tuple(_along(done.before, done.after))
            if not there:
                runs = tuple(
                    each._replace(after=NEW) if each.after == done.path.name else each
                    for each in runs
                )
            place = (str(done.path),)
            changes.append(Change(ready, place, not there, _merged(runs), None, done))
        return changes

    def _deployments(self) -> list[Deployment]:
        """Return the files to be put into the tree: all that can be refused is, now."""
        if self.calib is None or self.asked.source is None:
            return []
        made = []
        for ready in self.ready:
            comment = "; ".join(filter(None, [self.comment, ready.origin, *ready.notes]))
            deployment = Deployment(
                self.calib, self.asked.source, ready.ctype, ready.file or ready.data, self.runs,
                comment=comment, fmt=self._format(ready), modes=self.modes, report=self.report,
            )  # fmt: skip
            sha256 = hashlib.sha256(deployment.data).hexdigest()
            if ready.file is not None and sha256 != ready.files[0].sha256:
                raise WrongState(f"{ready.file} was changed since it was read; try again")
            made.append(deployment)
        return made

    def _format(self, ready: Ready) -> str | None:
        """Return how numbers are written to a tree; None for exactly."""
        if not self.short or ready.copied or isinstance(ready.data, str):
            return None
        return text.short_format(ready.ctype, ready.data.dtype.kind)


# In common -------------------------------------------------------------------------------------


def compared(before: Iterable[CalibFile], after: Iterable[CalibFile]) -> tuple[Runs, ...]:
    """Return which runs got and get what, cut where either changes.

    Parameters
    ----------
    before, after : iterable of CalibFile
        No two for the same runs; what they are called is told.

    Examples
    --------
    >>> old, new = CalibFile(Path("old"), RunRange(0)), CalibFile(Path("new"), RunRange(5, 9))
    >>> [tuple(runs) for runs in compared([old], [old, new])]
    [(0, 4, 'old', 'old'), (5, 9, 'old', 'new'), (10, inf, 'old', 'old')]
    """
    return _merged(_along(lcls1.effective_ranges(before), lcls1.effective_ranges(after)))


def _along(before: Sequence[Span], after: Sequence[Span]) -> Iterable[Runs]:
    starts = sorted({span.first for span in (*before, *after)})
    for first, following in zip(starts, [*starts[1:], math.inf], strict=True):
        there = [
            next(span.file for span in reversed(spans) if span.first <= first)
            for spans in (before, after)
        ]
        old, new = ("" if file is None else file.name for file in there)
        yield Runs(first, following - 1, old, new)


def _merged(runs: Iterable[Runs]) -> tuple[Runs, ...]:
    """Return runs with neighbours that are alike as one."""
    made: list[Runs] = []
    for each in runs:
        if made and made[-1][2:] == each[2:]:
            made[-1] = made[-1]._replace(last=each.last)
        else:
            made.append(each)
    return tuple(made)


def _holds(path: Path, data: bytes) -> bool:
    """Return whether a file has a content already."""
    return path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data


def _label(version: Version) -> str:
    return f"{version.runs}, S {'?' if version.seq is None else version.seq}"
