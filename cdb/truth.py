"""What the events say: how each document should be, and which bytes are named."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cdb.events import PURGE
from cdb.stores.base import Place
from cdb.stores.query import Document


@dataclass
class Truth:
    """What events say, followed one after the other.

    Attributes
    ----------
    head : int
        The last event that was followed.
    documents : dict
        By place and id.
    named, purged : set of (database, id)
        Bytes that documents name, and those that were removed for good.
    """

    head: int = 0
    documents: dict[Place, dict[str, Document]] = field(default_factory=dict)
    named: set[tuple[str, str]] = field(default_factory=set)
    purged: set[tuple[str, str]] = field(default_factory=set)

    def follow(self, event: Mapping[str, Any]) -> None:
        """Take in the next event."""
        self.head = event["_id"]
        for made in entries(event):
            documents = self.documents.get((made["database"], made["collection"]), {})
            if "document" in made:
                documents[made["id"]] = made["document"]
                self.documents[made["database"], made["collection"]] = documents
                self.named.add((made["database"], made["document"].get("id_data")))
            elif event.get("action") == PURGE:
                self.purged.add((made["database"], made["id"]))
            elif "set" in made and "out" not in documents.get(made["id"], {"out": 0}):
                # A document leaves once, whatever later events say.
                documents[made["id"]] = _left(documents[made["id"]], made)


def entries(event: Mapping[str, Any]) -> Iterator[Document]:
    """Yield the entries that can be read; others are in events that were tampered with."""
    made_by = event.get("versions")
    for made in made_by if isinstance(made_by, list) else ():
        if (
            isinstance(made, dict)
            and isinstance(made.get("database"), str)
            and isinstance(made.get("collection"), str)
            and isinstance(made.get("id"), str)
            and isinstance(made.get("document", made), dict)
            and isinstance(made.get("set", made), dict)
            and ("unset" not in made or all(isinstance(name, str) for name in made["unset"]))
        ):
            yield made


def _left(document: Document, made: Mapping[str, Any]) -> Document:
    changed: Document = {**document, **made["set"]}
    for name in made.get("unset", ()):
        changed.pop(name, None)
    return changed
