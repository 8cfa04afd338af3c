"""Others at the same store: programs that know no journal, and writers that die or come between."""

import contextlib
import hashlib
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cdb.adoption import adopt, strangers
from cdb.database import Database
from cdb.errors import WrongState
from cdb.purge import Choice, purge, purgeable
from cdb.stores import Store
from cdb.stores.cached import CachedStore
from cdb.stores.embedded import EmbeddedStore
from cdb.stores.memory import MemoryStore
from cdb.stores.mongo import _to_id

EPIX = "epix_000001"
SECOND = 1_600_000_000


class Died(Exception):
    """A writer was killed."""


def dying_at(store: Store, step: str) -> Database:
    """Return a database whose writer dies at a step."""

    def die(name: str) -> None:
        if name == step:
            raise Died(step)

    return Database(store, step=die)


def interrupted_at(store: Store, step: str, call: Callable[[], Any]) -> Database:
    """Return a database during whose first write something else happens at a step."""
    calls = [call]

    def at_step(name: str) -> None:
        if name == step and calls:
            calls.pop()()

    return Database(store, step=at_step)


def live_at_random(db: Database, seed: int, n: int = 25) -> None:
    """Add, retire, restore, amend, adopt and purge, as a store sees it over the years."""
    rng, kin = random.Random(seed), random.Random(f"parents {seed}")
    other, known = OtherProgram(db.store), []

    def made_from() -> dict[str, Any]:
        there = list(dict.fromkeys(known))
        parents = kin.sample(there, min(len(there), kin.choice([0, 0, 1, 2])))
        return {"source": {"parents": [{"id": id_} for id_ in parents]}} if parents else {}

    for step in range(n):
        act = rng.choice(
            ["add"] * 4 + ["retire", "retire", "restore", "amend", "theirs", "adopt", "purge"]
        )
        if act == "add" or not known:
            asked = {"experiment": rng.choice(["xpp1", "xpp2", None]), "detector": EPIX}
            begin = rng.randrange(6)
            runs = {"run": begin, "run_end": rng.choice(["end", begin + 3])}
            asked |= {"ctype": rng.choice(["notes", "gains"]), "time": SECOND + rng.randrange(99)}
            known.append(db.add(rng.choice("abcdef"), **asked, **runs, **made_from()).id)
        elif act == "theirs":
            other.insert(f"theirs {step}", number=1000 * seed + step + 1, run=rng.randrange(6))
        elif act == "adopt":
            adopt(db.journal, list(strangers(db.journal)))
        elif act == "purge":
            found, seen = purgeable(db.journal, Choice())
            purge(db.journal, found, seen=seen, reason="space")
        else:
            change = {"comment": str(step), **made_from()} if act == "amend" else {}
            with contextlib.suppress(WrongState):
                known.append(getattr(db, act)(rng.choice(known), reason="test", **change).id)


class OtherProgram:
    """A program that writes, changes and deletes in a store with no event."""

    def __init__(self, store: Store) -> None:
        # Another program knows nothing of our cache.
        self.store = store.store if isinstance(store, CachedStore) else store

    def insert(
        self,
        text: str = "theirs",
        *,
        number: int = 1,
        second: int = SECOND,
        database: str = "cdb_xpp1",
        **fields: Any,
    ) -> str:
        """Store a constant as psana's server does; a field None is left out."""
        document = {
            "_id": f"{second:08x}{number:016x}", "detector": EPIX, "ctype": "notes",
            "experiment": "xpp1", "run": 0, "run_end": "end", "time_sec": second,
            "data_type": "str",
        } | fields  # fmt: skip
        if "id_data" not in document:
            document["id_data"] = self.upload(text.encode(), database=database)
        document = {name: value for name, value in document.items() if value is not None}
        self.store.insert(database, EPIX, [document])
        return str(document["_id"])

    def upload(self, data: bytes, *, database: str = "cdb_xpp1") -> str:
        """Store bytes with no head, where the store lets other programs do so."""
        sha256 = hashlib.sha256(data).hexdigest()
        blob_id = self.store.write(database, data, sha256=sha256, head=0)
        if isinstance(self.store, MemoryStore):
            blob, _ = self.store._blobs[database, blob_id]
            self.store._blobs[database, blob_id] = replace(blob, head=None, sha256=None), data
        elif not isinstance(self.store, EmbeddedStore):
            self.store.client[database]["fs.files"].update_one(
                {"_id": _to_id(blob_id)}, {"$unset": {"head": "", "sha256": ""}}
            )
        return blob_id

    def change(self, database: str, collection: str, document_id: Any, **fields: Any) -> None:
        self.store.update(database, collection, {"_id": document_id}, set=fields)

    def delete(self, database: str, collection: str, document_id: Any) -> None:
        if isinstance(self.store, MemoryStore):
            del self.store._documents[database, collection][document_id]
        elif isinstance(self.store, EmbeddedStore):
            place = self.store._place(database, collection)
            self.store._writing().execute(
                "DELETE FROM documents WHERE place = ? AND id = ?", (place, document_id)
            )
        else:
            self.store.client[database][collection].delete_one({"_id": _to_id(document_id)})

    def flip_a_byte(self, database: str, blob_id: str) -> None:
        """Damage stored bytes, their length kept."""
        data = bytearray(self.store.read(database, blob_id))
        data[0] ^= 1
        if isinstance(self.store, MemoryStore):
            blob, _ = self.store._blobs[database, blob_id]
            self.store._blobs[database, blob_id] = blob, bytes(data)
        elif isinstance(self.store, EmbeddedStore):
            path = self.store._files.path(self.store._record(database, blob_id)[1])
            path.chmod(0o600)
            path.write_bytes(data)
        else:
            self.store.client[database]["fs.chunks"].update_one(
                {"files_id": _to_id(blob_id)}, {"$set": {"data": bytes(data)}}
            )

    def lose(self, database: str, blob_id: str) -> None:
        """Delete stored bytes."""
        self.store.remove(database, [blob_id])
