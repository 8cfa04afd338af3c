"""The tables of the embedded store, and how those of an older layout get what they lack."""

import sqlite3
import time
from collections.abc import Iterator, Mapping
from typing import Any

from cdb.stores.folders import BUSY_SECONDS
from cdb.stores.layout import CONSTANT_INDEXES, JOURNAL_INDEXES, REGISTER_INDEXES
from cdb.stores.query import kind
from cdb.stores.sql import COLUMN_LIST, PARTS, column

VERSION = 2  # 2: the index of nonces


def make_tables(connection: sqlite3.Connection) -> None:
    """Make the tables and indexes that a database lacks."""
    _log_ahead(connection)
    connection.execute("BEGIN IMMEDIATE")
    if connection.execute("PRAGMA user_version").fetchone()[0] < VERSION:
        for statement in _schema():
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def _log_ahead(connection: sqlite3.Connection) -> None:
    """Switch to WAL mode, for which SQLite does not wait while another process does the same."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _schema() -> Iterator[str]:
    yield (
        "CREATE TABLE IF NOT EXISTS places (id INTEGER PRIMARY KEY, database TEXT,"
        " collection TEXT, UNIQUE (database, collection))"
    )
    # Columns without a type keep numbers and texts as they are; the body comes last, so that
    # reading columns does not walk over it.
    yield (
        "CREATE TABLE IF NOT EXISTS documents (number INTEGER PRIMARY KEY,"
        f" place INTEGER NOT NULL, id NOT NULL, {COLUMN_LIST}, body TEXT NOT NULL,"
        " UNIQUE (place, id))"
    )
    yield (
        "CREATE TABLE IF NOT EXISTS parts (number INTEGER NOT NULL, name TEXT NOT NULL,"
        " value NOT NULL, PRIMARY KEY (name, value, number)) WITHOUT ROWID"
    )
    yield (
        "CREATE TABLE IF NOT EXISTS uploads (database TEXT NOT NULL, id TEXT NOT NULL,"
        " sha256 TEXT NOT NULL, nbytes INTEGER NOT NULL, head INTEGER NOT NULL, at REAL NOT NULL,"
        " PRIMARY KEY (database, id)) WITHOUT ROWID"
    )
    yield "CREATE INDEX IF NOT EXISTS uploads_by_digest ON uploads (sha256)"
    for index in (*CONSTANT_INDEXES, *JOURNAL_INDEXES, *REGISTER_INDEXES):
        if "." in index.fields[0][0]:
            continue  # table `parts` serves it
        fields = ", ".join(
            f"{column(name)} {'ASC' if direction > 0 else 'DESC'}"
            for name, direction in index.fields
        )
        first = column(index.fields[0][0])
        yield (
            f"CREATE INDEX IF NOT EXISTS documents_{index.name} ON documents (place, {fields})"
            f" WHERE {first} IS NOT NULL"
        )


def add_parts(
    connection: sqlite3.Connection, number: int | None, document: Mapping[str, Any]
) -> None:
    """Note what the documents in a document's lists say, by the number of its row."""
    for name in PARTS:
        outer, inner = name.split(".")
        for member in document.get(outer) or ():
            if isinstance(member, dict) and kind(member.get(inner)) in (1, 2):
                connection.execute(
                    "INSERT OR IGNORE INTO parts VALUES (?, ?, ?)", (number, name, member[inner])
                )
