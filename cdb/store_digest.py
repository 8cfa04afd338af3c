"""The digest of a whole store: two stores that hold the same have the same, of whatever kind.

It is over the journal's chain, the documents as they are, and the payloads that documents name:
their ids, digests and lengths. The digests of documents and of payloads are added up, so their
order, which differs between stores, does not count. What does not: bytes that nobody names, and
the inventory, which is made from the rest.
"""

import hashlib
from dataclasses import dataclass

from cdb.errors import WrongState
from cdb.events import canonical
from cdb.journal import Journal
from cdb.ledger import Ledger, places
from cdb.names import PREFIX
from cdb.stores.base import Store
from cdb.stores.layout import JOURNAL_DATABASE, TAGS, TOKENS

ATTEMPTS = 3
_ALL_BITS = 2**256


@dataclass(frozen=True)
class StoreDigest:
    """What a store holds, in one number.

    Attributes
    ----------
    sha256 : str
        Hexadecimal.
    seq : int
        The last event.
    documents, payloads : int
        How many took part.
    """

    sha256: str
    seq: int
    documents: int
    payloads: int


def store_digest(journal: Journal) -> StoreDigest:
    """Return the digest of a store that nobody writes to.

    Memory does not grow with the store; every document is read, of payloads the records.

    Raises
    ------
    Corrupt
        If the journal's chain is broken.
    WrongState
        If somebody keeps writing.
    """
    for _ in range(ATTEMPTS):
        head = journal.head()
        journal.verify()
        with Ledger(journal.store) as ledger:
            documents, number = _documents(journal.store, ledger)
            payloads, count = _payloads(journal.store, ledger)
        if journal.head() == head:
            parts = canonical([head.seq, head.digest, f"{documents:064x}", f"{payloads:064x}"])
            return StoreDigest(hashlib.sha256(parts).hexdigest(), head.seq, number, count)
    raise WrongState("the store was written to all the while; ask when nobody writes")


def _documents(store: Store, ledger: Ledger) -> tuple[int, int]:
    total = number = 0
    beside = ((JOURNAL_DATABASE, TAGS), (JOURNAL_DATABASE, TOKENS))
    for place in (*places(store), *beside):
        for document in store.find(*place):
            total = (total + _number([*place, document])) % _ALL_BITS
            number += 1
            ledger.note(place[0], document)
    return total, number


def _payloads(store: Store, ledger: Ledger) -> tuple[int, int]:
    total = number = 0
    for database in store.databases():
        if not database.startswith(PREFIX):
            continue
        for blob in store.blobs(database):
            sha256 = ledger.sha256_of(database, blob.id)
            if sha256 is not None:
                total = (total + _number([database, blob.id, sha256, blob.nbytes])) % _ALL_BITS
                number += 1
    return total, number


def _number(value: list[object]) -> int:
    return int.from_bytes(hashlib.sha256(canonical(value)).digest())
