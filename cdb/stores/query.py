"""Queries, sorts and documents that every store understands alike: checked and evaluated here.

A query is a named subset of MongoDB's language: equality, ``$lt $lte $gt $gte $ne $in $exists``
on a field, ``$and`` and ``$or`` over queries. A field is a name, or ``list.field`` for a field of
the documents in a list. Values are numbers, texts, truth values and None; an ordering compares
only values of one kind, and None also stands for a missing field, as on MongoDB.
"""

import json
import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cdb.errors import BadDocument, BadQuery, shown

Document = dict[str, Any]
Query = Mapping[str, Any]
Sort = Sequence[tuple[str, int]]

MAX_DEPTH = 20
INT64 = 2**63

_ORDERINGS = {
    "$lt": operator.lt,
    "$lte": operator.le,
    "$gt": operator.gt,
    "$gte": operator.ge,
}
OPERATORS = (*_ORDERINGS, "$ne", "$in", "$exists")


# MongoDB's order of kinds: missing and null, numbers, texts, documents, lists, truth values.
def kind(value: object) -> int:
    """Return the place of a value's kind in MongoDB's order of kinds."""
    if value is None:
        return 0
    if isinstance(value, bool):
        return 5
    if isinstance(value, int | float):
        return 1
    if isinstance(value, str):
        return 2
    return 4 if isinstance(value, list) else 3


def check_query(query: Query) -> None:
    """Refuse a query that is not in the common subset.

    Raises
    ------
    BadQuery
        Naming the operator or the value.
    """
    for name, condition in query.items():
        if name in ("$and", "$or"):
            if not isinstance(condition, list | tuple) or not condition:
                raise BadQuery(f"{name} wants a list of queries, not {shown(condition)}")
            for part in condition:
                check_query(part)
        elif name.startswith("$"):
            raise BadQuery(f"unknown operator {name:.60}; known: $and, $or, {', '.join(OPERATORS)}")
        else:
            _check_condition(name, condition)


def _check_condition(name: str, condition: object) -> None:
    if "" in name.split("."):
        raise BadQuery(f"{shown(name)} is no name of a field; write field, or list.field")
    if not isinstance(condition, Mapping):
        _check_value(name, condition)
        return
    name = name[:60]  # of what a sentence can hold
    if not condition:
        raise BadQuery(f"the condition on {name} is empty; good ones: {', '.join(OPERATORS)}")
    for sign, value in condition.items():
        if sign not in OPERATORS:
            raise BadQuery(f"unknown operator {shown(sign)}; known: {', '.join(OPERATORS)}")
        if sign == "$in":
            if not isinstance(value, list | tuple):
                raise BadQuery(f"$in on {name} wants a list, not {shown(value)}")
            for member in value:
                _check_value(name, member)
        elif sign == "$exists":
            if not isinstance(value, bool):
                raise BadQuery(f"$exists on {name} wants true or false, not {shown(value)}")
        elif sign in _ORDERINGS and kind(value) not in (1, 2):
            raise BadQuery(f"{sign} on {name} wants a number or a text, not {shown(value)}")
        else:
            _check_value(name, value)


def _check_value(name: str, value: object) -> None:
    if kind(value) in (3, 4):
        raise BadQuery(
            f"{name:.60} is asked for {shown(value)}; good values: number, text, true, false"
        )
    check_value(value, name[:60], BadQuery)


def check_value(value: object, where: str, error: type[Exception], depth: int = 0) -> None:
    """Refuse a value that not every store can hold and give back unchanged."""
    if depth > MAX_DEPTH:
        raise error(f"{where:.200} is nested deeper than {MAX_DEPTH} levels")
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        if not value.isascii():
            _check_text(value, where, error)
    elif isinstance(value, int):
        if not -INT64 <= value < INT64:
            raise error(f"{where:.200} is {shown(value)}, which is more than 64 bits")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise error(f"{where:.200} is {value}; NaN and infinity are not stored")
    elif isinstance(value, list):
        for index, member in enumerate(value):
            if isinstance(member, list):
                raise error(f"{where:.200} holds a list directly in a list")
            check_value(member, f"{where}[{index}]", error, depth + 1)
    elif isinstance(value, dict):
        for key, member in value.items():
            _check_key(key, where, error)
            check_value(member, f"{where}.{key}", error, depth + 1)
    else:
        raise error(f"{where:.200} is of the type {type(value).__name__}, which no store holds")


def _check_text(text: str, where: str, error: type[Exception]) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as fault:
        raise error(
            f"{where:.200} holds {text[fault.start : fault.end]!a}, which is no text that UTF-8 "
            "can hold; write names and remarks in UTF-8"
        ) from None


def _check_key(key: object, where: str, error: type[Exception]) -> None:
    if not isinstance(key, str) or not key or key.startswith("$") or set(key) & {".", "\0"}:
        raise error(
            f"{where:.200} has the key {shown(key)}; keys are texts without '.', NUL or a first '$'"
        )
    _check_text(key, f"a key of {where}", error)


def check_fields(fields: Mapping[str, object], columns: Iterable[str] = ()) -> None:
    """Refuse fields that not every store can hold; see `check_document`."""
    for key, value in fields.items():
        _check_key(key, "the document", BadDocument)
        check_value(value, key, BadDocument)
    for name in columns:
        if name in fields and kind(fields[name]) not in (1, 2, 5):
            raise BadDocument(f"{name} is {shown(fields[name])}; it must be a number or a text")


def check_document(document: Mapping[str, object], columns: Iterable[str] = ()) -> None:
    """Refuse a document that not every store can hold.

    Parameters
    ----------
    document : mapping
        The document, with its ``_id``.
    columns : iterable of str, optional
        Fields that indexes serve: they hold a number, a text or a truth value, or are absent.

    Raises
    ------
    BadDocument
        Naming the field.
    """
    if kind(document.get("_id")) not in (1, 2):
        raise BadDocument(f"a document needs an _id that is a number or a text: {shown(document)}")
    check_fields(document, columns)


def matches(query: Query, document: Mapping[str, Any]) -> bool:
    """Return whether a document is one that a (checked) query asks for."""
    return all(_fulfils(name, condition, document) for name, condition in query.items())


def _fulfils(name: str, condition: Any, document: Mapping[str, Any]) -> bool:
    if name == "$and":
        return all(matches(part, document) for part in condition)
    if name == "$or":
        return any(matches(part, document) for part in condition)
    present, values = _values(name, document)
    if not isinstance(condition, Mapping):
        return _equals_any(values, condition)
    return all(_holds(sign, value, present, values) for sign, value in condition.items())


def _values(name: str, document: Mapping[str, Any]) -> tuple[bool, list[Any]]:
    """Return whether the field is there, and the values to compare: a list stands for its own."""
    if "." in name:
        outer, inner = name.split(".", 1)
        listed = document.get(outer)
        members = listed if isinstance(listed, list) else []
        members = [m for m in members if isinstance(m, Mapping) and inner in m]
        return bool(members), [m[inner] for m in members] or [None]
    if name not in document:
        return False, [None]
    value = document[name]
    return True, [*value, value] if isinstance(value, list) else [value]


def _holds(sign: str, wanted: Any, present: bool, values: list[Any]) -> bool:
    if sign == "$exists":
        return present is wanted
    if sign == "$ne":
        return not _equals_any(values, wanted)
    if sign == "$in":
        # A list is searched quicker than it is walked; what equals may still differ in kind.
        found = any(value in wanted for value in values)
        return found and any(_equals_any(values, member) for member in wanted)
    compare = _ORDERINGS[sign]
    return any(kind(value) == kind(wanted) and compare(value, wanted) for value in values)


def _equals_any(values: list[Any], wanted: Any) -> bool:
    return any(kind(value) == kind(wanted) and value == wanted for value in values)


def sort_documents(documents: Iterable[Document], sort: Sort) -> list[Document]:
    """Sort documents as MongoDB does: missing first, then numbers, then texts."""
    result = list(documents)
    for name, direction in reversed(sort):
        result.sort(key=lambda document: _sort_key(document.get(name)), reverse=direction < 0)  # noqa: B023
    return result


def sort_values(values: Iterable[Any]) -> list[Any]:
    """Sort the values of a field as MongoDB does: numbers, then texts."""
    return sorted(values, key=_sort_key)


def _sort_key(value: object) -> tuple[int, Any]:
    place = kind(value)
    if place == 0:
        return 0, 0
    return place, json.dumps(value, sort_keys=True) if place in (3, 4) else value
