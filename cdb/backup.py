"""A whole store in one file, and back: export, import.

A copy is made as the store itself was: payloads first, then the events in order, each seen as a
whole or not at all, last the documents that no event names. So whoever looks at a half-made copy
sees the original as it once was, and a copy that was interrupted is gone on with.
"""

import fcntl
import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Self

from cdb import inventory
from cdb.errors import BadDocument, BadFile, NotFound, WrongState, shown
from cdb.events import digest_of, place_of
from cdb.files import archive
from cdb.files.archive import Member, Reader, Sums, Writer
from cdb.journal import Journal
from cdb.ledger import Ledger, Payload, foreign, payload_of, places
from cdb.moments import Head
from cdb.names import PREFIX, REGISTER
from cdb.stores.base import Blob, Progress
from cdb.stores.layout import COLUMNS, JOURNAL_DATABASE, TAGS, TOKENS
from cdb.stores.query import Document, check_document
from cdb.validity import from_microseconds

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Exported:
    """What an archive holds.

    Attributes
    ----------
    seq : int
        S, the last event.
    identity : str
        Of the store; see `Journal.identity`.
    documents : int
        Documents that no event names.
    payloads, nbytes : int
        How many, and their length together [bytes].
    missing : int
        Payloads that the store itself could not give.
    """

    seq: int
    identity: str
    documents: int
    payloads: int
    nbytes: int
    missing: int = 0


class Export:
    """What of a store goes into an archive, as of its head; writers may go on beside.

    Parameters
    ----------
    journal : Journal
        Of the store.
    path : Path or str
        The archive to be; until it is whole it has the ending ``.part``, and where there is such
        a file of the same store already, it is gone on with, as of the event of that time.
    """

    def __init__(self, journal: Journal, path: Path | str) -> None:
        self.journal = journal
        self.path = Path(path)
        self.part = self.path.with_name(self.path.name + ".part")
        self._ledger = Ledger(journal.store)
        self._begun = self._unfinished()
        if self._begun is None:
            self._ledger = Ledger(
                journal.store
            )  # what of the interrupted one is not whole is not noted
            # Documents of other programs come first: one that is adopted meanwhile is then in
            # the events too, and not lost between the two.
            self._documents = self._note_foreign()
            self.head = journal.head()
            self.identity = journal.identity()
            for event in journal.events(upto=self.head.seq):
                self._ledger.follow(event)

    def __enter__(self) -> Self:
        """Use as a context: its list of payloads is gone at its end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the list of payloads."""
        self._ledger.__exit__()

    @property
    def planned(self) -> Exported:
        """What the archive is going to hold."""
        count, nbytes = self._ledger.size()
        return Exported(self.head.seq, self.identity, self._documents, count, nbytes)

    @property
    def begun(self) -> int:
        """How many bytes an interrupted export has written already."""
        return self._begun.end if self._begun else 0

    def _note_foreign(self) -> int:
        number = 0
        for line in foreign(self.journal.store):
            self._ledger.keep(line)
            self._ledger.note(line["database"], line["document"])
            number += 1
        return number

    # going on with one that was interrupted ----------------------------------------------------

    def _unfinished(self) -> "_Begun | None":
        """Return what is whole of an interrupted export of this store; None if too little is."""
        if not self.part.exists():
            return None
        try:
            with Reader(self.part) as reader:
                facts = reader.facts
                event = self.journal.event(facts["seq"])
                if facts["identity"] != self.journal.identity() or event is None:
                    return None
                if event["digest"] != facts["digest"]:
                    return None
                begun = self._followed(reader)
        except (BadFile, KeyError):
            return None
        self.head = Head(event["_id"], event["at"], event["digest"], event["open"])
        self.identity = facts["identity"]
        return begun

    def _followed(self, reader: Reader) -> "_Begun | None":
        """Read what there is, up to the last group of payloads that is whole."""
        self._documents = 0
        begun: _Begun | None = None
        sums, lists, last, digest = Sums(), 0, "", ""
        try:
            for member in reader.members():
                data = reader.read(member)
                lines = [] if member.sha256 else reader.parsed(member, data)
                if member.folder == archive.PAYLOADS and lines:
                    if digest != reader.facts["digest"]:
                        return None
                    begun = _Begun(member.start - archive.BLOCK, last, lists, sums.copy())
                    lists, last = lists + 1, payload_of(lines[-1]).sha256
                for line in lines:
                    if member.folder == archive.DOCUMENTS:
                        self._documents += 1
                        self._ledger.keep(line)
                        self._ledger.note(line["database"], line["document"])
                    elif member.folder == archive.JOURNAL:
                        digest = digest_of(line)
                        self._ledger.follow(line)
                sums.take(member, member.sha256 or hashlib.sha256(data).hexdigest())
        except BadFile:
            # Cut off here: what was whole before is kept.
            return begun
        return begun

    # writing -----------------------------------------------------------------------------------

    def write(self, *, progress: Progress | None = None) -> Exported:
        """Write the archive.

        Parameters
        ----------
        progress : callable, optional
            Called with the number of bytes of payloads written since the last call.

        Raises
        ------
        WrongState
            If another export is writing the same file.
        """
        made = Exported(self.head.seq, self.identity, self._documents, 0, 0)
        # Not truncated by opening it: another export may be writing it.
        descriptor = os.open(self.part, os.O_RDWR | os.O_CREAT, 0o666)
        with os.fdopen(descriptor, "r+b") as file:
            self._lock(file)
            writer, number, last = self._start(file)
            missing = self._write_payloads(writer, number, last, progress)
            sums = writer.sums
            writer.finish(self._facts() | {"missing": missing})
            file.flush()
            os.fsync(file.fileno())
            self.part.replace(self.path)
        return Exported(
            made.seq, made.identity, made.documents, sums.payloads, sums.nbytes, missing
        )

    def _lock(self, file: BinaryIO) -> None:
        """Keep other exports out of the file; refuse if one is, or was, at it."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = os.fstat(file.fileno()).st_size >= self.begun
        except BlockingIOError:
            free = False
        if not free:
            raise WrongState(
                f"another export is writing {self.path}; wait for it, or name another file"
            )

    def _facts(self) -> Document:
        return {
            "identity": self.identity,
            "seq": self.head.seq,
            "digest": self.head.digest,
            "at": f"{from_microseconds(self.head.at):%Y-%m-%dT%H:%M:%SZ}" if self.head.at else "",
            "cdb": version("cdb"),
        }

    def _start(self, file: BinaryIO) -> tuple[Writer, int, str]:
        """Write what comes before the payloads, or go to where the last export stopped."""
        if self._begun is not None:
            file.seek(self._begun.end)
            file.truncate()
            return Writer(file, self._begun.sums), self._begun.lists + 1, self._begun.last
        file.truncate()
        writer = Writer(file)
        writer.begin(self._facts())
        writer.lines(archive.DOCUMENTS, self._ledger.kept())
        events = self.journal.events(upto=self.head.seq)
        writer.lines(archive.JOURNAL, (_without_pending(event) for event in events))
        return writer, 1, ""

    def _write_payloads(
        self, writer: Writer, number: int, last: str, progress: Progress | None
    ) -> int:
        missing = 0
        payloads = self._ledger.payloads(after=last)
        while group := list(islice(payloads, archive.ANNOUNCED)):
            data = b"".join(archive.as_line(payload.as_line()) for payload in group)
            writer.add(f"{archive.PAYLOADS}/{number:06d}.jsonl", data)
            number += 1
            for payload in group:
                found = self._read(payload)
                if found is None:
                    missing += 1
                    continue
                writer.add(archive.payload_name(payload.sha256), found)
                self.journal.step("payload written")
                if progress:
                    progress(payload.nbytes)
        return missing

    def _read(self, payload: Payload) -> bytes | memoryview | None:
        """Return bytes from any database that has them whole; None, and a warning, if none has."""
        for name in payload.names:
            try:
                data = self.journal.store.read(*name)
            except NotFound:
                continue
            if hashlib.sha256(data).hexdigest() == payload.sha256:
                return data
        if not all(self.journal.purge_of(*name) for name in payload.names):
            where = ", ".join("/".join(name) for name in payload.names)
            logger.warning(
                "payload %s (%s) is missing or damaged, the archive goes without it; "
                "`cdb fsck --payloads` tells whose it is", payload.sha256, where,
            )  # fmt: skip
        return None


@dataclass(frozen=True)
class _Begun:
    """How far an interrupted export came: the groups of payloads that are whole."""

    end: int
    last: str
    lists: int
    sums: Sums


def _without_pending(event: Document) -> Document:
    return {name: value for name, value in event.items() if name != "pending"}


# Import ------------------------------------------------------------------------------------------


@dataclass
class Imported:
    """What an import adds to a store.

    Attributes
    ----------
    seq : int
        S of the archive.
    events, documents, payloads : int
        How many; documents are those that no event names.
    nbytes : int
        Length of the payloads together [bytes].
    left_out : list of str
        Documents of other programs that this kind of store cannot hold, and why.
    """

    seq: int
    events: int = 0
    documents: int = 0
    payloads: int = 0
    nbytes: int = 0
    left_out: list[str] = field(default_factory=list)


class Import:
    """An archive, verified from end to end, and what of it a store does not have yet.

    Parameters
    ----------
    journal : Journal
        Of the store: empty, or a copy of the archive's as it once was.
    path : Path or str
        The archive.
    progress : callable, optional
        Called with the number of bytes verified since the last call.

    Raises
    ------
    BadFile
        If the file is damaged, cut off or no archive: then nothing was taken of it.
    WrongState
        If the store is another one.
    """

    def __init__(
        self, journal: Journal, path: Path | str, *, progress: Progress | None = None
    ) -> None:
        self.journal = journal
        self.reader = Reader(Path(path))
        self._starts: dict[str, int] = {}
        try:
            self.facts = self.reader.facts
            self._head = journal.head()
            self._check_store()
            self.planned = self._verified(progress)
        except BaseException:
            self.reader.__exit__()
            raise

    def __enter__(self) -> Self:
        """Use as a context: the file is closed at its end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.reader.__exit__()

    def _check_store(self) -> None:
        """Refuse a store whose journal is no part of the archive's, nor the archive's of it."""
        seq, digest = self.facts["seq"], self.facts["digest"]
        if self._head.seq == 0:
            self._check_empty(seq)
            return
        if self.journal.identity() != self.facts["identity"]:
            raise WrongState(self._another())
        event = self.journal.event(seq) if self._head.seq >= seq else None
        if event is not None and event["digest"] != digest:
            raise WrongState(self._parted(seq))

    def _check_empty(self, seq: int) -> None:
        store = self.journal.store
        holding = [place for place in places(store) if any(store.find(*place, limit=1))]
        if seq and holding:
            raise WrongState(
                f"{store.describe()} has no journal, but documents of other programs in "
                f"{'/'.join(holding[0])}; import into an empty store"
            )

    def _another(self) -> str:
        return (
            f"{self.reader.path} is of the store {self.facts['identity'][:16]}, and "
            f"{self.journal.store.describe()} is the store {self.journal.identity()[:16]}; "
            "an archive goes into an empty store or an older copy of its own"
        )

    def _parted(self, seq: int) -> str:
        return (
            f"{self.reader.path} and {self.journal.store.describe()} are copies of one store, "
            f"{self.journal.identity()[:16]}, that were written to apart: event {seq} is not the "
            "same in both; import into an empty store"
        )

    # verifying ---------------------------------------------------------------------------------

    def _verified(self, progress: Progress | None) -> Imported:
        planned = Imported(self.facts["seq"])
        last = Head()
        for member, lines in self.reader.verified():
            self._starts.setdefault(member.folder, member.start - archive.BLOCK)
            if member.folder == archive.DOCUMENTS:
                planned.documents += sum(self._admits(line, planned.left_out) for line in lines)
            elif member.folder == archive.JOURNAL:
                last = self._followed(last, lines)
                if last.seq <= self._head.seq:
                    self._starts[archive.JOURNAL] = member.end
            elif member.folder == archive.PAYLOADS:
                self._count(map(payload_of, lines), planned)
            if progress:
                progress(member.nbytes)
        if (last.seq, last.digest) != (self.facts["seq"], self.facts["digest"]):
            raise BadFile(f"{self.reader.path} does not hold the events that it names; nothing "
                          "of it was taken: make a new one with `cdb export`")  # fmt: skip
        planned.events = max(0, last.seq - self._head.seq)
        return planned

    def _followed(self, last: Head, events: Iterable[Document]) -> Head:
        """Walk the chain on; where the store's head is, the two must agree."""
        for event in events:
            if not _is_event(event):
                raise self._no_line(event)
            follows = event.get("_id") == last.seq + 1 and event.get("previous") == last.digest
            if not follows or digest_of(event) != event.get("digest"):
                raise BadFile(
                    f"{self.reader.path} is damaged: event {last.seq + 1} does not follow the one "
                    "before it; nothing of it was taken"
                )
            for made in event["versions"]:
                if place_of(made) not in ((JOURNAL_DATABASE, TAGS), (JOURNAL_DATABASE, TOKENS)):
                    _check_database(made["database"])
            last = Head(event["_id"], event["at"], event["digest"], event["open"])
            if last.seq == self._head.seq and last.digest != self._head.digest:
                raise WrongState(self._parted(last.seq))
        return last

    def _no_line(self, line: Document) -> BadFile:
        return BadFile(
            f"{self.reader.path} holds {shown(line)}, which no export writes; nothing of it was "
            "taken: make a new one with `cdb export`"
        )

    def _admits(self, line: Document, left_out: list[str]) -> bool:
        if not _has(line, _LINE):
            raise self._no_line(line)
        _check_database(line["database"])
        try:
            check_document(line["document"], COLUMNS)
        except BadDocument as error:
            where = f"{line['database']}/{line['collection']}/{line['document'].get('_id')}"
            left_out.append(f"{where}: {error}")
            return False
        return True

    def _count(self, payloads: Iterable[Payload], planned: Imported) -> None:
        for payload in payloads:
            if any(True for _ in self._lacking(payload)):
                planned.payloads += 1
                planned.nbytes += payload.nbytes

    def _lacking(self, payload: Payload) -> Iterator[tuple[str, str]]:
        """Yield the names under which the store does not have bytes, but for what it purged."""
        for database, blob_id in payload.names:
            _check_database(database)
            if self.journal.store.blob(database, blob_id) is None and not (
                self._head.seq and self.journal.purge_of(database, blob_id)
            ):
                yield database, blob_id

    # taking in ---------------------------------------------------------------------------------

    def run(self, *, progress: Progress | None = None) -> Imported:
        """Add what the store lacks.

        Parameters
        ----------
        progress : callable, optional
            Called with the number of bytes of payloads copied since the last call.
        """
        done = Imported(self.planned.seq, left_out=self.planned.left_out)
        self._complete_pending()
        for payload, data in self._payloads():
            self._put(payload, data, done)
            if progress:
                progress(payload.nbytes)
        for events in self._lines(archive.JOURNAL):
            new = [event for event in events if event["_id"] > self._head.seq]
            self._prepare(new)
            self.journal.replay(new)
            done.events += len(new)
        for lines in self._lines(archive.DOCUMENTS):
            done.documents += self._take_foreign(lines)
        return done

    def _complete_pending(self) -> None:
        """Complete what an import that was killed left: the events that follow count on it."""
        for event in self.journal.moment().pending:
            self.journal.complete(event)

    def _section(self, folder: str) -> Iterator[Member]:
        if folder not in self._starts:
            return
        for member in self.reader.members(self._starts[folder]):
            if member.folder != folder:
                return
            yield member

    def _lines(self, folder: str) -> Iterator[list[Document]]:
        for member in self._section(folder):
            yield self.reader.lines(member)

    def _payloads(self) -> Iterator[tuple[Payload, Callable[[], bytes]]]:
        """Yield the payloads, each with what reads its bytes."""
        announced: dict[str, Payload] = {}
        for member in self._section(archive.PAYLOADS):
            if member.sha256 is None:
                announced = {p.sha256: p for p in map(payload_of, self.reader.lines(member))}
            else:
                payload = announced[member.sha256]
                yield payload, lambda member=member: self.reader.read(member)  # type: ignore[misc]

    def _put(self, payload: Payload, read: Callable[[], bytes], done: Imported) -> None:
        names = list(self._lacking(payload))
        if not names:
            return
        data = read()
        for database, blob_id in names:
            blob = Blob(blob_id, payload.nbytes, payload.sha256, 0, time.time())
            self.journal.store.put(database, blob, data)
        self.journal.step("payload copied")
        done.payloads += 1
        done.nbytes += payload.nbytes

    def _prepare(self, events: Iterable[Document]) -> None:
        """Make the indexes of collections that are new, before their first document."""
        filed = {(e["database"], e["collection"]): None for event in events
                 for e in event["versions"] if "document" in e}  # fmt: skip
        for database, collection in filed:
            if database in (REGISTER, JOURNAL_DATABASE):
                self.journal.store.prepare(database, collection)
            else:
                inventory.prepare(self.journal.store, [database], collection, "", dry_run=False)

    def _take_foreign(self, lines: Iterable[Document]) -> int:
        """Take in documents of other programs as they are; what is adopted here stays so."""
        taken = 0
        store = self.journal.store
        for line in lines:
            if not self._admits(line, []):
                continue
            place, document = (line["database"], line["collection"]), line["document"]
            there = next(store.find(*place, {"_id": document["_id"]}), None)
            if there is None:
                store.prepare(*place)
                store.insert(*place, [document], ignore_duplicates=True)
            elif "seq" not in there and there != document:
                extra = [name for name in there if name not in document]
                fields = {name: value for name, value in document.items() if name != "_id"}
                store.update(*place, {"_id": document["_id"]}, set=fields, unset=extra)
            else:
                continue
            self.journal.step("document copied")
            taken += 1
        return taken


# What the members of lines hold: by name, of which type.
_EVENT: Mapping[str, type] = {
    "_id": int, "at": int, "open": int, "action": str, "digest": str, "previous": str,
    "versions": list,
}  # fmt: skip
_ENTRY: Mapping[str, type] = {"database": str, "collection": str, "key": str}
_LINE: Mapping[str, type] = {"database": str, "collection": str, "document": dict}


def _has(value: object, form: Mapping[str, type]) -> bool:
    return isinstance(value, dict) and all(type(value.get(n)) is kind for n, kind in form.items())


def _is_event(event: Document) -> bool:
    """Return whether an event has what is looked at when it is put in place."""
    return _has(event, _EVENT) and all(
        _has(made, _ENTRY)
        and "id" in made
        and isinstance(made.get("document", {}), dict)
        and isinstance(made.get("set", {}), dict)
        for made in event["versions"]
    )


# What is granted travels with the events, beside the databases of constants.


def _check_database(name: str) -> None:
    if not name.startswith(PREFIX):
        raise BadFile(
            f"the archive names the database {name!r:.60}, which is none of constants "
            f"({PREFIX}...); nothing of it was taken"
        )
