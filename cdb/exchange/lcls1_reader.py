"""Files of an LCLS-I tree read: what is in them, if it is new to an experiment."""

import os
from dataclasses import dataclass
from pathlib import Path

from cdb.errors import BadFile, CalibError
from cdb.exchange import lcls1_files
from cdb.exchange.lcls1_filed import Filed
from cdb.exchange.lcls1_files import Content
from cdb.exchange.lcls1_told import file_of, holds
from cdb.exchange.lcls1_tree import Item, cannot
from cdb.payload import Encoded, digest, encode


@dataclass(frozen=True)
class New:
    """What a file holds that is not there yet.

    Attributes
    ----------
    sha256 : str
        Digest of its bytes, hexadecimal.
    content : Content
        What it holds.
    encoded : Encoded
        The same, as it is stored.
    """

    sha256: str
    content: Content
    encoded: Encoded


class Reader:
    """Reads files as they were when the tree was looked through."""

    def __init__(self) -> None:
        self._digests: dict[Path, str] = {}  # of files that hold many versions

    def read(self, item: Item, filed: Filed) -> New | None:
        """Return what a file holds, None if it is there already.

        Raises
        ------
        BadFile
            If it cannot be read or understood, or changed since it was found; the message is the
            rest of a sentence that begins with its path.
        """
        if item.broken:
            raise BadFile(item.broken)
        try:
            return self._read(item, filed)
        except MemoryError:
            raise BadFile("is too large for the memory of this machine") from None
        except CalibError as error:
            raise BadFile(str(error).removeprefix(f"{item.path}: ")) from None

    def _read(self, item: Item, filed: Filed) -> New | None:
        raw = b"" if item.path in self._digests else bytes_of(item)
        sha256 = self._digests.get(item.path) or lcls1_files.digest_of(raw)
        if item.part:
            self._digests[item.path] = sha256
        before = filed.of_file(item)
        if before is not None and file_of(before).get("sha256") == sha256:
            return None
        content = _content(raw, item)
        plain = encode(content.data)
        size = memoryview(plain.data).nbytes
        encoded = Encoded(plain.fields, digest(plain.data), size, plain.data)
        known = (before, filed.in_force(item))
        if any(each is not None and holds(each, encoded) for each in known):
            return None
        return New(sha256, content, encoded)


def bytes_of(item: Item) -> bytes:
    """Return the bytes of a file, if they are those that were found.

    Raises
    ------
    BadFile
        If it cannot be read, or was written to since: half of it might be taken for the whole.
    """
    try:
        with item.path.open("rb") as file:
            raw = file.read()
            now = os.fstat(file.fileno())
    except OSError as error:
        raise BadFile(cannot(error)) from None
    if _state(now) != _state(item.facts) or len(raw) != now.st_size:
        raise BadFile("was written to since the import began; import again")
    return raw


def _state(facts: os.stat_result) -> tuple[int, int]:
    return facts.st_size, facts.st_mtime_ns


def _content(raw: bytes, item: Item) -> Content:
    if item.part is None:
        return lcls1_files.content_of(raw, item.path, item.ctype)
    from cdb.files import dcs

    return Content(dcs.read_data(item.path, item.part.version), {})
