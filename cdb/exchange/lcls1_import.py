"""An LCLS-I tree taken in: each file becomes a version, filed as an experiment's and a detector's.

A file that readers of the tree choose for some run is in force afterwards, for the same runs.
Backups, and files that no reader ever looks at, are added as versions that have left already: no
look-up sees them, `cdb history` shows them. The text of a HISTORY is a constant of its own.

Each version names its file in ``source``, so that a second import finds what is there: nothing is
added twice, an import that was killed goes on. What was retired here stays retired.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cdb import lcls1_names, names
from cdb.constant import Version, order_of
from cdb.database import Database
from cdb.errors import (
    BadDocument,
    BadFile,
    BadName,
    BadPayload,
    BadTime,
    CalibError,
    NotFound,
    Refused,
    TooLarge,
)
from cdb.exchange import lcls1_files
from cdb.exchange.lcls1_files import Content
from cdb.exchange.lcls1_told import as_in_names, file_of, holds, is_hidden, place_of, source_of
from cdb.exchange.lcls1_tree import Item, Tree, cannot
from cdb.files import contents
from cdb.files.lcls1 import Skipped
from cdb.payload import Encoded, digest, encode
from cdb.stores.base import Progress
from cdb.validity import LAST_SECOND, RunRange

_UNREADABLE = (BadFile, BadDocument, BadPayload, BadName, BadTime, Refused, TooLarge)


@dataclass
class Imported:
    """What an import did, or would do.

    Attributes
    ----------
    new, same : int
        Versions added, and files that are there already.
    detectors : dict of str to str
        Short name of each detector in the tree, as far as it is known, by its long one.
    unreadable : list of Skipped
        Files that could not be taken in, and why.
    passed_over : list of Skipped
        What is no file of constants, or is one that no reader chooses, and why.
    gone : list of str
        Files of an earlier import that are no longer in the tree; their versions are still there.
    """

    new: int = 0
    same: int = 0
    detectors: dict[str, str] = field(default_factory=dict)
    unreadable: list[Skipped] = field(default_factory=list)
    passed_over: list[Skipped] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)


class Filed:
    """The versions of one type that an experiment has already.

    Parameters
    ----------
    versions : iterable of Version
        All of them, those that have left too.
    """

    def __init__(self, versions: Iterable[Version]) -> None:
        self._by_place: dict[tuple[str, bool], Version] = {}
        self._in_force: dict[RunRange, Version] = {}
        for version in sorted(versions, key=lambda each: (order_of(each.meta), each.seq or 0)):
            place = place_of(version)
            if place:
                self._by_place[place, is_hidden(version)] = version
            if version.out is None and version.runs is not None:
                self._in_force[as_in_names(version.runs)] = version

    def of_file(self, item: Item) -> Version | None:
        """Return the last version that an import made of a file."""
        return self._by_place.get((item.place, bool(item.retired)))

    def in_force(self, item: Item) -> Version | None:
        """Return the version in force for the very runs of a file that readers choose."""
        return None if item.retired or item.part else self._in_force.get(item.runs)


class Import:
    """A tree about to be taken in: what is in it is known, nothing is written.

    Parameters
    ----------
    db : Database
        Where to: a store, or a service.
    calib : Path or str
        The tree.
    experiment : str
        Whose it is.

    Raises
    ------
    NotFound
        If there is no such tree.
    BadName
        If the experiment cannot be used.
    """

    def __init__(self, db: Database, calib: Path | str, experiment: str) -> None:
        self.db = db
        self.experiment = names.check_experiment(experiment)
        self.tree = Tree(Path(calib))
        self._digests: dict[Path, str] = {}

    @property
    def nbytes(self) -> int:
        """Of all files together."""
        return sum(item.facts.st_size for items in self.tree.items.values() for item in items)

    def run(self, *, dry_run: bool = False, progress: Progress | None = None) -> Imported:
        """Add what is not there yet.

        Parameters
        ----------
        dry_run : bool, optional
            Read all files, write nothing.
        progress : callable, optional
            Called with the number of bytes of files dealt with since the last call.

        Raises
        ------
        WrongClock, StoreUnavailable, StoreRefused, StoreFull
            As `Database.add`; what was added until then stays, and another run goes on.
        """
        made = Imported(passed_over=list(self.tree.skipped))
        longnames = {each["detector"]: each["longname"] for each in self.db.detectors()}
        for (detector, ctype), items in self.tree.items.items():
            short = self._short_name(detector)
            known = longnames.get(short or "", "")
            if known and known not in (detector, lcls1_names.whole(detector)):
                why = f"its source would be taken for {short}, which is {known}"
                made.unreadable += [Skipped(item.path, why) for item in items]
                continue
            filed = Filed(self._history(short, ctype))
            for item in items:
                self._take(item, filed, made, dry_run=dry_run)
                if progress:
                    progress(item.facts.st_size)
            short = short or self._short_name(detector)
            made.detectors |= {detector: short} if short else {}
        made.gone = self._gone()
        return made

    def _short_name(self, detector: str) -> str | None:
        try:
            return self.db.short_name(detector)
        except NotFound:
            return None

    def _history(self, short: str | None, ctype: str) -> list[Version]:
        if short is None:
            return []
        return self.db.history(short, ctype, experiment=self.experiment)

    def _gone(self) -> list[str]:
        there = {item.place for items in self.tree.items.values() for item in items}
        filed = map(place_of, self.db.find(experiment=self.experiment))
        return sorted({place for place in filed if place and place not in there})

    def _take(self, item: Item, filed: Filed, made: Imported, *, dry_run: bool) -> None:
        """Add a file's version, if it is new; note what became of it."""
        try:
            raw = b"" if item.path in self._digests else item.path.read_bytes()
            sha256 = self._digests.get(item.path) or lcls1_files.digest_of(raw)
            if item.part:  # of a file that holds many
                self._digests[item.path] = sha256
            before = filed.of_file(item)
            if before is not None and file_of(before).get("sha256") == sha256:
                made.same += 1
                return
            content, encoded = _understood(raw, item)
            known = (before, filed.in_force(item))
            if any(each is not None and holds(each, encoded) for each in known):
                made.same += 1
                return
            is_new = dry_run or self._deploy(item, encoded, source_of(item, content, sha256)).new
        except OSError as error:
            made.unreadable.append(Skipped(item.path, cannot(error)))
        except _UNREADABLE as error:
            made.unreadable.append(Skipped(item.path, str(error).removeprefix(f"{item.path}: ")))
        else:
            made.new += is_new
            made.same += not is_new

    def _deploy(self, item: Item, encoded: Encoded, source: dict[str, Any]) -> Version:
        record = item.record
        run = record.fields.get("run", "") if record is not None else ""
        fields = {
            "comment": record.comment if record is not None and record.comment else None,
            "detname": None if item.part else item.folder.source,
            "longname": lcls1_names.whole(item.detector),
            "iofname": item.place,
            "unit": contents.unit_of(names.detector_type(item.detector), item.ctype),
            "run_orig": int(run) if run.isascii() and run.isdecimal() and len(run) < 10 else None,
            "source": source,
        }
        if item.part and item.part.range.end < LAST_SECOND:
            end = datetime.fromtimestamp(item.part.range.end, UTC)
            fields["valid_until"] = end.isoformat()
        return self.db.deploy(
            encoded,
            detector=item.detector,
            ctype=item.ctype,
            experiment=self.experiment,
            run=item.runs.begin,
            run_end=item.runs.text_end,
            time=item.time,
            fields=fields,
            retired=item.retired,
            recorded=True,
        )


def _understood(raw: bytes, item: Item) -> tuple[Content, Encoded]:
    """Return what a file holds, also as it is stored."""
    try:
        if item.part:
            from cdb.files import dcs

            content = Content(dcs.read_data(item.path, item.part.version), {})
        else:
            content = lcls1_files.content_of(raw, item.path, item.ctype)
        plain = encode(content.data)
    except CalibError as error:
        raise BadFile(str(error)) from None
    size = memoryview(plain.data).nbytes
    return content, Encoded(plain.fields, digest(plain.data), size, plain.data)
