"""An LCLS-I tree taken in: each file becomes a version, filed as an experiment's and a detector's.

A file that readers of the tree choose for some run is in force afterwards, for the same runs.
Backups, and files that no reader ever looks at, are added as versions that have left already: no
look-up sees them, `cdb history` shows them. The text of a HISTORY is a constant of its own.

All files of one type are read before one is added. If one cannot be read, and another would answer
for its runs, nothing of this type is put in force: a wrong constant is worse than none.

Each version names its file in ``source``, so that a second import finds what is there: nothing is
added twice, an import that was killed goes on. What was retired here stays retired.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cdb import lcls1_names, names
from cdb.actor import actor
from cdb.constant import Version
from cdb.database import Database
from cdb.errors import (
    BadDocument,
    BadFile,
    BadPayload,
    NotFound,
    Refused,
    TooLarge,
    shown,
)
from cdb.exchange.lcls1_filed import GONE, Filed
from cdb.exchange.lcls1_files import HISTORY_OF
from cdb.exchange.lcls1_reader import New, Reader
from cdb.exchange.lcls1_standins import stand_ins
from cdb.exchange.lcls1_told import comment_of, place_of, source_of
from cdb.exchange.lcls1_tree import Item, Tree
from cdb.files import contents
from cdb.files.lcls1 import CALIB, CalibFile, Skipped
from cdb.stores.base import Progress
from cdb.validity import LAST_SECOND

# What a store may have against a constant; all else is the store's trouble, and ends an import.
_NOT_TAKEN = (BadDocument, BadPayload, Refused, TooLarge)
# As many bytes of what was read wait until all of a type is; what is beyond is read twice.
KEPT = 2**27


@dataclass
class Imported:
    """What an import did, or would do.

    Attributes
    ----------
    new, same, retired : int
        Versions added, files that are there already, and versions that were retired since their
        files left the tree.
    detectors : dict of str to str
        Short name of each detector in the tree, as far as it is known, by its long one.
    unreadable : list of Skipped
        Files and folders that could not be taken in, and why.
    stand_ins : list of Skipped
        Those of them whose runs fall to another file, and to which.
    withheld : list of Skipped
        Files that could be taken in and were not, so that none of them stands in for another.
    passed_over : list of Skipped
        What is no file of constants, or is one that no reader chooses, and why.
    gone : list of str
        Files of an earlier import that are no longer in the tree; their versions are still there
        unless they were retired now.
    """

    new: int = 0
    same: int = 0
    retired: int = 0
    detectors: dict[str, str] = field(default_factory=dict)
    unreadable: list[Skipped] = field(default_factory=list)
    stand_ins: list[Skipped] = field(default_factory=list)
    withheld: list[Skipped] = field(default_factory=list)
    passed_over: list[Skipped] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)


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
    BadFile
        If the folder is no tree.
    BadName
        If the experiment cannot be used.
    """

    def __init__(self, db: Database, calib: Path | str, experiment: str) -> None:
        self.db = db
        self.experiment = names.check_experiment(experiment)
        self.tree = Tree(Path(calib))
        _check_is_tree(self.tree)
        self._reader = Reader()

    @property
    def nbytes(self) -> int:
        """Of all files together."""
        return sum(item.facts.st_size for items in self.tree.items.values() for item in items)

    @property
    def n_files(self) -> int:
        """How many files there are, and parts of dcs files."""
        return sum(map(len, self.tree.items.values()))

    def run(
        self,
        *,
        dry_run: bool = False,
        skip_unreadable: bool = False,
        retire_gone: bool = False,
        progress: Progress | None = None,
    ) -> Imported:
        """Add what is not there yet.

        Parameters
        ----------
        dry_run : bool, optional
            Read all files, write nothing.
        skip_unreadable : bool, optional
            Put a file in force also where it then stands in for one that cannot be read.
        retire_gone : bool, optional
            Retire, by one event, the versions whose files left the tree; not HISTORY, and nothing
            while files are unreadable, unless these are to be skipped.
        progress : callable, optional
            Called after each file with its number of bytes.

        Raises
        ------
        WrongClock, StoreUnavailable, StoreRefused, StoreFull, NotAllowed
            As `Database.add`; what was added until then stays, and another run goes on.
        """
        made = Imported(passed_over=list(self.tree.skipped), unreadable=list(self.tree.unreadable))
        advance = progress or _stay
        longnames = {each["detector"]: each["longname"] for each in self.db.detectors()}
        for (detector, ctype), items in self.tree.items.items():
            short = self._short_name(detector)
            known = longnames.get(short or "", "")
            if known and known not in (detector, lcls1_names.whole(detector)):
                why = f"its source would be taken for {short}, which is {known}"
                made.unreadable += [Skipped(item.path, why) for item in items]
                continue
            filed = Filed(self._history(short, ctype))
            new, broken = self._read(items, filed, made, advance)
            if not skip_unreadable and any(stand_ins(_in_force(items), broken)):
                new = _withhold(new, made, advance)
            for item, read in new:
                if not self._add(item, read, filed, made, dry_run=dry_run):
                    broken.add(item.path)
                advance(item.facts.st_size)
            for one in stand_ins(_in_force(items), broken):
                why = f"leaves runs {one.runs} to {one.instead.name}"
                made.stand_ins.append(Skipped(one.missing.path, why))
            short = short or self._short_name(detector)
            made.detectors |= {detector: short} if short else {}
        self._tell_gone(
            made, retire=retire_gone and (skip_unreadable or not made.unreadable), dry_run=dry_run
        )
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

    def _read(
        self, items: Sequence[Item], filed: Filed, made: Imported, advance: Progress
    ) -> tuple[list[tuple[Item, New | None]], set[Path]]:
        """Return the files of one type that are new, with their content; and the unreadable."""
        new: list[tuple[Item, New | None]] = []
        broken: set[Path] = set()
        room = KEPT
        for item in items:
            try:
                read = self._reader.read(item, filed)
                if read is not None:
                    self._check(item, read)
            except (BadFile, *_NOT_TAKEN) as error:
                made.unreadable.append(Skipped(item.path, str(error)))
                broken.add(item.path)
            else:
                if read is not None:
                    room -= read.encoded.nbytes
                    new.append((item, read if room >= 0 else None))
                    continue
                made.same += 1
            advance(item.facts.st_size)
        return new, broken

    def _check(self, item: Item, read: New) -> None:
        """Ask a laboratory's rules, if any may refuse a constant of this type."""
        rules = self.db.gates.rules(names.detector_type(item.detector), item.ctype)
        if any(rule.severity == "refuse" for rule in rules.values()):
            self._deploy(item, read, dry_run=True)

    def _add(
        self, item: Item, read: New | None, filed: Filed, made: Imported, *, dry_run: bool
    ) -> bool:
        """Add a file's version; return whether it is there."""
        try:
            found = read or self._reader.read(item, filed)
            key = self._key(item, found, filed) if found and item.retired else None
            is_new = found is not None and (dry_run or self._deploy(item, found, key=key).new)
        except (BadFile, *_NOT_TAKEN) as error:
            made.unreadable.append(Skipped(item.path, str(error)))
            return False
        made.new += is_new
        made.same += not is_new
        return True

    def _deploy(
        self, item: Item, read: New, *, dry_run: bool = False, key: str | None = None
    ) -> Version:
        run = item.record.fields.get("run", "") if item.record is not None else ""
        fields = {
            "comment": comment_of(item),
            "detname": None if item.part else item.folder.source,
            "longname": lcls1_names.whole(item.detector),
            "iofname": item.place,
            "unit": contents.unit_of(names.detector_type(item.detector), item.ctype),
            "run_orig": int(run) if run.isascii() and run.isdecimal() and len(run) < 10 else None,
            "source": source_of(item, read.content, read.sha256),
        }
        if item.part and item.part.range.end < LAST_SECOND:
            end = datetime.fromtimestamp(item.part.range.end, UTC)
            fields["valid_until"] = end.isoformat()
        return self.db.deploy(
            read.encoded,
            detector=item.detector,
            ctype=item.ctype,
            experiment=self.experiment,
            run=item.runs.begin,
            run_end=item.runs.text_end,
            time=item.time,
            fields=fields,
            retired=item.retired,
            recorded=True,
            dry_run=dry_run,
            key=key,
        )

    def _key(self, item: Item, read: New, filed: Filed) -> str:
        """Return the idempotency key of a file that is not put in force.

        Nothing else keeps two imports at the same time from adding it twice.
        """
        before = filed.of_file(item)
        told = [actor().login, self.experiment, item.place, item.retired, read.sha256]
        told.append(before.id if before else "")
        return hashlib.sha256("\n".join(told).encode("utf-8", "surrogateescape")).hexdigest()[:32]

    def _tell_gone(self, made: Imported, *, retire: bool, dry_run: bool) -> None:
        """Note the versions whose files left the tree; retire them if that is asked."""
        there = {item.place for items in self.tree.items.values() for item in items}
        gone: dict[str, list[Version]] = {}
        for version in self.db.find(experiment=self.experiment):
            place = place_of(version)
            if place and place not in there and not _may_be_there(self.tree.calib, place):
                gone.setdefault(place, []).append(version)
        made.gone = sorted(gone)
        leaving = [each for several in gone.values() for each in several]
        ids = [each.id for each in leaving if not each.ctype.startswith(HISTORY_OF)]
        if retire and ids:
            self.db.retire_all(ids, reason=GONE, dry_run=dry_run)
            made.retired = len(ids)


def _check_is_tree(tree: Tree) -> None:
    """Refuse a folder in which nothing is like a tree; one that is called so may be empty.

    Raises
    ------
    BadFile
        Naming the tree inside, if there is one.
    """
    calib = tree.calib
    if tree.items or tree.unreadable or calib.absolute().name == CALIB:
        return
    inside = calib / CALIB
    hint = inside if inside.is_dir() else f"/path/{CALIB}"
    raise BadFile(
        f"{shown(os.fspath(calib))} holds no constants of LCLS-I, which lie in folders as "
        f"CsPad::CalibV1/CxiDs1.0:Cspad.0/pedestals; give the path of a tree, as {hint}"
    )


def _in_force(items: Sequence[Item]) -> list[CalibFile]:
    """Return the files of one type that readers may choose."""
    return [CalibFile(i.path, i.runs) for i in items if not i.retired and not i.part]


def _withhold(
    new: Sequence[tuple[Item, New | None]], made: Imported, advance: Progress
) -> list[tuple[Item, New | None]]:
    """Note what is not to be put in force; return the rest."""
    for item, _ in new:
        if not item.retired:
            why = "is not taken in, since a file of its folder cannot be read"
            made.withheld.append(Skipped(item.path, why))
            advance(item.facts.st_size)
    return [(item, read) for item, read in new if item.retired]


def _may_be_there(calib: Path, place: str) -> bool:
    """Return whether a file may still be in a tree: what nobody may look at is not gone."""
    try:
        os.lstat(calib / place)
    except FileNotFoundError:
        return False
    except (OSError, ValueError):  # ValueError: a document that says nonsense
        return True
    return True


def _stay(_: int) -> None:
    """Show no progress."""
