"""The indexes of every store, in one table: no query of the library is served by anything else.

A store knows the names of these fields and nothing of what they mean: MongoDB makes an index of
each line, the embedded store keeps the fields in columns of their own.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Index:
    """An index over documents: what it is called, its fields with directions, what it serves."""

    name: str
    fields: tuple[tuple[str, int], ...]
    serves: str
    sparse: bool = False
    unique: bool = False


JOURNAL_DATABASE = "cdbjournal"
JOURNAL = "journal"
INVENTORY = "inventory"
TOKENS = "tokens"
TAGS = "tags"
REGISTER_DATABASE = "cdb_detnames"

JOURNAL_INDEXES = (
    Index("at", (("at", 1),), "a time turned into the state that held then"),
    Index("pending", (("pending", 1),), "events still to be completed", sparse=True),
    Index("nonce", (("nonce", 1),), "the event of a request that is repeated"),
    Index("versions_id", (("versions.id", 1),), "the event that added or retired a version"),
)
CONSTANT_INDEXES = (
    Index(
        "by_run",
        (("detector", 1), ("ctype", 1), ("run", -1), ("end", 1), ("order", -1)),
        "rule range: the latest-starting range that covers a run; what was added for a key",
    ),
    Index(
        "by_time",
        (("detector", 1), ("ctype", 1), ("time_sec", -1), ("_id", -1)),
        "rules prior and closest, and the detector's database as a fallback",
    ),
    Index(
        "by_insertion",
        (("detector", 1), ("ctype", 1), ("_id", -1)),
        "rules latest and psana: the last added; lists of types",
    ),
    Index("by_seq", (("detector", 1), ("seq", 1)), "documents that no event names yet"),
)
REGISTER_INDEXES = (
    Index("long", (("long", 1),), "the short name of a long one"),
    Index("short", (("short", 1),), "the long name of a short one"),
)
# As the GridFS specification has them and psana's server makes them, and one of ours.
FILE_INDEXES = {
    "fs.files": (
        Index("filename_1_uploadDate_1", (("filename", 1), ("uploadDate", 1)), "GridFS"),
        Index("by_digest", (("sha256", 1),), "bytes sent before their document", sparse=True),
    ),
    "fs.chunks": (Index("files_id_1_n_1", (("files_id", 1), ("n", 1)), "GridFS", unique=True),),
}


def indexes_of(database: str, collection: str) -> tuple[Index, ...]:
    """Return the indexes that a collection wants."""
    if database == JOURNAL_DATABASE:
        return JOURNAL_INDEXES if collection == JOURNAL else ()
    if database == REGISTER_DATABASE:
        return () if collection in FILE_INDEXES else REGISTER_INDEXES
    return FILE_INDEXES.get(collection, CONSTANT_INDEXES)


# Fields that the embedded store keeps in columns: those of the indexes, and those that the hot
# paths filter by or read without the rest of the document.
COLUMNS = (
    "detector", "ctype", "run", "end", "time_sec", "order", "seq", "out", "experiment",
    "at", "pending", "open", "digest", "nonce", "action", "long", "short",
)  # fmt: skip
