"""Archives: a whole database in one tar file, written in one pass, that any ``tar`` opens.

::

    archive.json               which journal it is of, and up to which event
    documents/000001.jsonl     documents that no event names, as other programs wrote them
    journal/000001.jsonl       the events, in order
    payloads/000001.jsonl      the next payloads: digest, length, ids in each database
    payloads/ab/abcd...        their bytes, each named by its sha256
    manifest.json              the digest of every member above; without it the file is not whole

A line is one JSON document. A payload stands in the file once, whatever names it has.
"""

import hashlib
import json
import os
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from cdb.errors import BadFile
from cdb.stores.query import Document

FORMAT = 1
BLOCK = 512
# A member of lines is held in memory while it is written and read [bytes].
LINES = 2**20
# So many payloads are announced at once.
ANNOUNCED = 1000

FIRST, LAST = "archive.json", "manifest.json"
# What the first member says, beside what is for people.
FACTS: Mapping[str, type] = {"identity": str, "seq": int, "digest": str}
DOCUMENTS, JOURNAL, PAYLOADS = "documents", "journal", "payloads"


@dataclass(frozen=True)
class Member:
    """A file inside the archive: its name, where its bytes start and how many there are."""

    name: str
    start: int
    nbytes: int

    @property
    def end(self) -> int:
        """Where the next member begins."""
        return self.start + -(-self.nbytes // BLOCK) * BLOCK

    @property
    def folder(self) -> str:
        """The first part of the name; empty for `FIRST` and `LAST`."""
        return self.name.partition("/")[0] if "/" in self.name else ""

    @property
    def sha256(self) -> str | None:
        """The digest that names a payload; None for a member of lines."""
        last = self.name.rpartition("/")[2]
        return last if self.folder == PAYLOADS and len(last) == 64 else None


def header(name: str, nbytes: int) -> bytes:
    """Return what stands before a member's bytes: one block, whatever its size."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = nbytes, 0o644
    return info.tobuf(tarfile.GNU_FORMAT)


def padding(nbytes: int) -> bytes:
    """Return what fills the last block of a member."""
    return bytes(-nbytes % BLOCK)


def payload_name(sha256: str) -> str:
    """Return the name of the member that holds a payload."""
    return f"{PAYLOADS}/{sha256[:2]}/{sha256}"


def as_line(document: Mapping[str, Any]) -> bytes:
    """Return a document as one line of JSON, its fields in their order."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return text.encode() + b"\n"


@dataclass
class Sums:
    """The digests of what was written or read, as the manifest holds them."""

    members: dict[str, str] = field(default_factory=dict)
    payloads: int = 0
    nbytes: int = 0
    _digest: Any = field(default_factory=hashlib.sha256)

    def take(self, member: Member, sha256: str) -> None:
        """Take in one more member."""
        if member.sha256 is None:
            self.members[member.name] = sha256
        else:
            self.payloads += 1
            self.nbytes += member.nbytes
            self._digest.update(f"{sha256} {member.nbytes}\n".encode())

    def copy(self) -> "Sums":
        """Return the digests as they are now."""
        return Sums(dict(self.members), self.payloads, self.nbytes, self._digest.copy())

    def facts(self) -> Document:
        """Return what the manifest says of them."""
        payloads = {
            "count": self.payloads,
            "bytes": self.nbytes,
            "sha256": self._digest.hexdigest(),
        }
        return {"members": dict(self.members), "payloads": payloads}


class Writer:
    """Writes an archive from its first byte to its last, or goes on with one that was cut off.

    Parameters
    ----------
    file : binary file
        Positioned where the next member goes.
    sums : Sums, optional
        Of what stands before that.
    """

    def __init__(self, file: BinaryIO, sums: Sums | None = None) -> None:
        self._file = file
        self.sums = sums or Sums()

    def add(self, name: str, data: bytes | memoryview) -> None:
        """Write a member."""
        view = memoryview(data).cast("B") if memoryview(data).nbytes else memoryview(b"")
        self._file.write(header(name, view.nbytes))
        start = self._file.tell()
        self._file.write(view)
        self._file.write(padding(view.nbytes))
        member = Member(name, start, view.nbytes)
        self.sums.take(member, member.sha256 or hashlib.sha256(view).hexdigest())

    def begin(self, facts: Mapping[str, Any]) -> None:
        """Write the first member."""
        self.add(FIRST, as_line({"format": FORMAT, **facts}))

    def lines(self, folder: str, documents: Iterable[Mapping[str, Any]], number: int = 1) -> int:
        """Write documents as members of lines, numbered from `number`; return the next number."""
        lines: list[bytes] = []
        held = 0
        for document in documents:
            lines.append(as_line(document))
            held += len(lines[-1])
            if held >= LINES:
                self.add(f"{folder}/{number:06d}.jsonl", b"".join(lines))
                lines, held, number = [], 0, number + 1
        if lines:
            self.add(f"{folder}/{number:06d}.jsonl", b"".join(lines))
            number += 1
        return number

    def finish(self, facts: Mapping[str, Any]) -> Document:
        """Write and return the manifest, and the end that ``tar`` expects."""
        made: Document = {"format": FORMAT, **facts, **self.sums.facts()}
        made["sha256"] = _own_digest(made)
        data = json.dumps(made, ensure_ascii=False, indent=1).encode() + b"\n"
        self._file.write(header(LAST, len(data)) + data + padding(len(data)))
        self._file.write(bytes(2 * BLOCK))
        return made


def _own_digest(manifest: Mapping[str, Any]) -> str:
    kept = {name: value for name, value in manifest.items() if name != "sha256"}
    text = json.dumps(kept, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class Reader:
    """Reads an archive, member by member.

    Parameters
    ----------
    path : Path
        Of the file.

    Raises
    ------
    BadFile
        If it is no archive, or one of a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("rb")
        self.nbytes = os.fstat(self._file.fileno()).st_size
        try:
            self.facts = self._first()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "Reader":
        """Use as a context: closed at its end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._file.close()

    def _first(self) -> Document:
        wrong = f"{self.path} is no archive of cdb; `cdb export FILE` makes one"
        try:
            first = self._member_at(0)
        except BadFile:
            raise BadFile(wrong) from None
        if first is None or first.name != FIRST:
            raise BadFile(wrong)
        facts = self._document(first)
        if facts.get("format") != FORMAT:
            raise BadFile(
                f"{self.path} has format {facts.get('format')!r:.40}, this cdb reads {FORMAT}; "
                "install the version that made it"
            )
        if any(type(facts.get(name)) is not kind for name, kind in FACTS.items()):
            raise self._damaged(FIRST)
        return facts

    def members(self, start: int = 0) -> Iterator[Member]:
        """Yield the members from a place in the file on; nothing is read but their names."""
        while True:
            member = self._member_at(start)
            if member is None:
                return
            yield member
            start = member.end

    def _member_at(self, start: int) -> Member | None:
        self._file.seek(start)
        block = self._file.read(BLOCK)
        if block == bytes(BLOCK):
            return None
        if len(block) < BLOCK:
            raise self._cut_off(start + len(block))
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            raise self._damaged(f"what should be a member's name at byte {start}") from None
        member = Member(info.name, start + BLOCK, info.size)
        if member.end > self.nbytes:
            raise self._cut_off(self.nbytes)
        return member

    def read(self, member: Member) -> bytes:
        """Return the bytes of a member; of a payload they are verified.

        Raises
        ------
        BadFile
            If a payload has not the digest that names it.
        """
        self._file.seek(member.start)
        data = self._file.read(member.nbytes)
        if member.sha256 is not None and hashlib.sha256(data).hexdigest() != member.sha256:
            raise self._damaged(f"payload {member.sha256}")
        return data

    def lines(self, member: Member) -> list[Document]:
        """Return the documents of a member of lines."""
        return self.parsed(member, self.read(member))

    def parsed(self, member: Member, data: bytes) -> list[Document]:
        """Return the documents in the bytes of a member of lines."""
        try:
            found = [json.loads(line) for line in data.splitlines()]
        except ValueError:
            raise self._damaged(member.name) from None
        if not all(isinstance(document, dict) for document in found):
            raise self._damaged(member.name)
        return found

    def _document(self, member: Member) -> Document:
        try:
            found = json.loads(self.read(member))
        except ValueError:
            raise self._damaged(member.name) from None
        if not isinstance(found, dict):
            raise self._damaged(member.name)
        return found

    def manifest(self) -> Document:
        """Return the manifest, to which names alone lead: of what is cut off, soon none is found.

        Raises
        ------
        BadFile
            If the file is cut off, or the manifest damaged.
        """
        last = None
        for last in self.members():
            if last.name == LAST:
                break
        if last is None or last.name != LAST:
            raise self._cut_off(self.nbytes)
        manifest = self._document(last)
        if manifest.get("sha256") != _own_digest(manifest):
            raise self._damaged(LAST)
        return manifest

    def verified(self) -> Iterator[tuple[Member, list[Document]]]:
        """Yield every member but the manifest, each verified, with its documents.

        That none is missing is known only when the last came.

        Raises
        ------
        BadFile
            If anything is damaged or missing.
        """
        manifest, sums = self.manifest(), Sums()
        for member in self.members():
            if member.name == LAST:
                break
            data = self.read(member)
            digest = member.sha256 or hashlib.sha256(data).hexdigest()
            if member.sha256 is None and manifest["members"].get(member.name) != digest:
                raise self._damaged(member.name)
            sums.take(member, digest)
            yield member, [] if member.sha256 else self.parsed(member, data)
        if any(manifest[name] != value for name, value in sums.facts().items()):
            raise self._damaged("the list of members")

    def _damaged(self, what: str) -> BadFile:
        return BadFile(
            f"{self.path} is damaged: {what} is not as it was written; nothing of it was taken: "
            "fetch the file again, or make a new one with `cdb export`"
        )

    def _cut_off(self, at: int) -> BadFile:
        return BadFile(
            f"{self.path} ends too early, after {at} bytes; nothing of it was taken: fetch the "
            "file again, or go on with the `cdb export` that was interrupted"
        )
