"""Questions and documents in SQLite's words: columns, conditions, orders.

Fields of `cdb.stores.layout` stand in columns of their own, fields of documents in a list in the
table ``parts``; of any other field a question reads the documents.
"""

import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from cdb.stores.layout import COLUMNS, JOURNAL_INDEXES
from cdb.stores.query import Query, Sort, kind

COLUMN_LIST = ", ".join(f'"{name}"' for name in COLUMNS)
KEPT = {"_id", *COLUMNS}
PARTS = {index.fields[0][0] for index in JOURNAL_INDEXES if "." in index.fields[0][0]}

_ORDERINGS = {"$lt": "<", "$lte": "<=", "$gt": ">", "$gte": ">="}


# Values ------------------------------------------------------------------------------------------


def column(name: str) -> str:
    """Return the column of a field, quoted."""
    return "id" if name == "_id" else f'"{name}"'


def to_column(value: object) -> object:
    """Return a value as a column holds it."""
    # Truth values sort after texts on MongoDB, as blobs do in SQLite.
    return bytes([value]) if isinstance(value, bool) else value


def from_column(value: object) -> object:
    """Return a value that a column holds."""
    return value != b"\0" if isinstance(value, bytes) else value


def body_of(document: Mapping[str, Any]) -> str:
    """Return the text of a whole document."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


# Questions ---------------------------------------------------------------------------------------


class Conditions:
    """Queries as SQL; the text of one that differs only in values is kept."""

    def __init__(self) -> None:
        self._kept: dict[tuple[object, ...], tuple[str, bool]] = {}

    def of(self, query: Query, sort: Sort = ()) -> tuple[str, list[Any], bool]:
        """Return a condition that every match fulfils, its values, and whether it is exact."""
        first = sort[0][0] if sort else None
        shape: list[object] = [first]
        values: list[Any] = []
        _flatten(query, shape, values)
        key = tuple(shape)
        if key not in self._kept:
            self._kept[key] = _where(query, first)
        where, exact = self._kept[key]
        return where, values, exact


@functools.lru_cache(256)
def selected(fields: tuple[str, ...]) -> str:
    """Return the columns of fields; nothing if one has none."""
    if not {*fields} <= KEPT:
        return ""
    return ", ".join(column(name) for name in fields)


@functools.lru_cache(256)
def order_by(sort: tuple[tuple[str, int], ...]) -> tuple[str, bool]:
    """Return the ORDER BY clause, and whether SQLite can do the sort."""
    if not all(name == "_id" or name in COLUMNS for name, _ in sort):
        return "", False
    terms = [f"{column(name)} {'ASC' if direction > 0 else 'DESC'}" for name, direction in sort]
    return f" ORDER BY {', '.join(terms)}" if terms else "", True


def _flatten(query: Query, shape: list[object], values: list[Any]) -> None:
    """Part a query into what its SQL text depends on and the values, in the order of the text."""
    for name, condition in query.items():
        shape.append(name)
        if name in ("$and", "$or"):
            shape.append(len(condition))
            for part in condition:
                _flatten(part, shape, values)
                shape.append(";")
        elif name in KEPT:
            if not isinstance(condition, dict):
                condition = {"=": condition}
            for operator, value in condition.items():
                shape.append(operator)
                members = value if operator == "$in" else (value,)
                for member in members:
                    shape.append(member if operator == "$exists" else kind(member))
                    if operator != "$exists" and member is not None:
                        values.append(to_column(member))
            shape.append(",")
        elif (members := _members(name, condition)) is not None:
            shape.append(len(members))
            values += [name, *members]
        else:
            shape.append(None)


def _where(query: Query, first: str | None) -> tuple[str, bool]:
    """Return a condition that every match fulfils, and whether it is exact.

    `first` is the first field of the sort: a range of another field is kept from SQLite's
    planner (by a ``+``), which would rather use its index and sort all that it finds.
    """
    terms: list[str] = []
    exact = True
    for name, condition in query.items():
        if name in ("$and", "$or"):
            parts = [_where(part, first) for part in condition]
            exact = exact and all(part[1] for part in parts)
            joined = (" AND " if name == "$and" else " OR ").join(part[0] for part in parts)
            terms.append(f"({joined})")
        elif name in KEPT:
            conditions = condition if isinstance(condition, Mapping) else {"=": condition}
            for operator, value in conditions.items():
                hidden = "+" if operator in _ORDERINGS and first not in (None, name) else ""
                terms.append(_term(hidden + column(name), operator, value))
        elif (members := _members(name, condition)) is not None:
            within = f"SELECT number FROM parts WHERE name = ? AND {_among('value', len(members))}"
            terms.append(f"number IN ({within})")
        else:
            exact = False
    return " AND ".join(terms) or "1", exact


def _members(name: str, condition: Any) -> Sequence[Any] | None:
    """Return what a field of documents in a list may be; None if table `parts` cannot say."""
    if name not in PARTS:
        return None
    several = isinstance(condition, Mapping) and condition.keys() == {"$in"}
    members: Sequence[Any] = condition["$in"] if several else [condition]
    return members if all(kind(member) in (1, 2) for member in members) else None


def _among(name: str, number: int) -> str:
    # A chain of OR as long as this may be is more than SQLite takes.
    return f"{name} = ?" if number == 1 else f"{name} IN ({', '.join('?' * number)})"


def _term(name: str, operator: str, value: Any) -> str:
    """Translate one condition on a column, which is NULL only where the field is missing."""
    if operator == "$exists":
        return f"{name} IS {'NOT ' if value else ''}NULL"
    if operator == "$in":
        missing = f" OR {name} IS NULL" if None in value else ""
        return f"({_among(name, sum(member is not None for member in value))}{missing})"
    if operator in ("=", "$ne"):
        if value is None:
            return f"{name} IS {'NOT ' if operator == '$ne' else ''}NULL"
        return f"{name} IS NOT ?" if operator == "$ne" else f"{name} = ?"
    # In SQLite numbers come before texts and texts before blobs; an ordering keeps to its kind.
    upward = operator in ("$gt", "$gte")
    term = f"{name} {_ORDERINGS[operator]} ?"
    if isinstance(value, str):
        return f"({term} AND {name} {'< x' if upward else '>= '}'')"
    return f"({term} AND {name} < '')" if upward else f"({term})"
