"""What psana's clients ask and send, as text: parsed, never evaluated.

========================================= ====================================================
form                                      sent by
========================================= ====================================================
``?query_string={"run": {"$lte": 7}}``    clients with Kerberos, of old, and of C++
``?query_string={"_id": "ObjectId(..)"}`` the same; the text stands for the id
``?query_string={'a': None}``             ``str`` of a Python dict that JSON cannot say
``?ctype=pedestals&run=7``                people; equality of texts
a JSON body in the GET                    clients with a token
========================================= ====================================================
"""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from cdb import names
from cdb.drafts import is_id
from cdb.errors import BadDocument, BadName, BadQuery, BadQuestion, TooLarge, shown
from cdb.stores.query import MAX_DEPTH, check_query

Document = dict[str, Any]

MAX_DOCUMENT = 10**6  # bytes
MAX_QUESTION = 10**6  # characters of a query, wherever in a request it stands
MAX_LITERAL = 10**5  # characters: each may cost Python's parser a hundred bytes
MAX_TERMS = 200  # conditions: SQLite's expressions are at most 1000 deep
MAX_MEMBERS = 10_000  # of all lists: SQLite takes 32766 values
MAX_COLLECTION = 190  # bytes: MongoDB takes 255 with the database's name and a dot

# MongoDB's rules, for collections that other programs made.
_COLLECTION = re.compile(r"[^.$\0]+(\.[^.$\0]+)*")
_SERVERS_OWN = ("system.", "_ferretdb_")
_OBJECT_ID = re.compile(r"""(["']?)ObjectId\(\s*["']?([0-9a-fA-F]{24})["']?\s*\)\1""")


def parse_query(text: str) -> Document:
    """Return the query that a text says, in JSON or as a Python literal.

    Raises
    ------
    BadQuery
        If it says none, or one outside the subset of `cdb.stores.query`.

    Examples
    --------
    >>> parse_query('{"_id": "ObjectId(5FC6911AF587A598CBB1A601)"}')
    {'_id': '5fc6911af587a598cbb1a601'}
    >>> parse_query("{'ctype': 'pedestals', 'version': None}")
    {'ctype': 'pedestals', 'version': None}
    """
    if len(text) > MAX_QUESTION:
        raise BadQuery(
            f"a query of {len(text)} characters is too long, {MAX_QUESTION} is the limit"
        )
    text = _OBJECT_ID.sub(lambda found: f'"{found[2].lower()}"', text)
    try:
        value = _from_json(text)
    except (ValueError, RecursionError):
        value = _from_literal(text)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadQuery(f"a query is an object, as {{}}, not {shown(value)}")
    return checked_query(value)


def query_of(arguments: Mapping[str, str], body: bytes | bytearray) -> Document:
    """Return the query of a request: its `query_string`, its body, or its plain arguments.

    Examples
    --------
    >>> query_of({"ctype": "pedestals"}, b"")
    {'ctype': 'pedestals'}
    """
    if "query_string" in arguments:
        return parse_query(arguments["query_string"])
    if body.strip():
        return parse_query(_decoded(body, BadQuery))
    return checked_query(dict(arguments))


def checked_query(query: Document) -> Document:
    """Return a query if every store can answer it.

    Raises
    ------
    BadQuery
        Naming what it cannot ask.
    """
    _check_depth(query)
    terms = list(_terms(query))
    for name, _ in terms:
        if not name or "\0" in name or not _is_text(name):
            raise BadQuery(f"{name!a:.60} is no name of a field")
    check_query(query)
    number = sum(len(condition) if isinstance(condition, dict) else 1 for _, condition in terms)
    number += _n_parts(query)
    if number > MAX_TERMS:
        raise BadQuery(f"{number} conditions are too many, {MAX_TERMS} is the limit")
    members = sum(len(c.get("$in", ())) for _, c in terms if isinstance(c, dict))
    if members > MAX_MEMBERS:
        raise BadQuery(f"lists of {members} members are too long, {MAX_MEMBERS} is the limit")
    for name, condition in terms:
        if name == "_id":
            _check_ids(condition)
    return query


def _terms(query: object) -> Iterator[tuple[str, Any]]:
    """Yield the conditions of a query on its fields, wherever they stand."""
    if not isinstance(query, dict):
        raise BadQuery(f"a query is an object, as {{}}, not {shown(query)}")
    for name, condition in query.items():
        if not isinstance(name, str):
            raise BadQuery(f"{shown(name)} is no name of a field")
        if name in ("$and", "$or"):
            if not isinstance(condition, list):
                raise BadQuery(f"{name} wants a list of queries, not {shown(condition)}")
            for part in condition:
                yield from _terms(part)
        else:
            yield name, condition


def _n_parts(query: Document) -> int:
    """Return how many empty queries stand in a query: they ask nothing, and have to be told."""
    parts = [part for name in ("$and", "$or") for part in query.get(name, ())]
    return sum(_n_parts(part) if part else 1 for part in parts)


def _check_ids(condition: Any) -> None:
    values = condition.values() if isinstance(condition, dict) else [condition]
    for value in values:
        for member in value if isinstance(value, list) else [value]:
            if isinstance(member, bool) and isinstance(condition, dict):
                continue  # of $exists
            if not is_id(member):
                raise BadQuery(f"_id is asked for {shown(member)}; an id has 24 hexadecimal digits")


def _check_depth(value: object, depth: int = 0) -> None:
    if depth > 2 * MAX_DEPTH:
        raise BadQuery("the query is nested too deeply")
    if isinstance(value, dict | list):
        for member in value.values() if isinstance(value, dict) else value:
            _check_depth(member, depth + 1)


def _is_text(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _from_json(text: str) -> Any:
    return json.loads(text, parse_constant=_refused)


def _refused(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _from_literal(text: str) -> Any:
    if len(text) > MAX_LITERAL:
        raise BadQuery("the query is no JSON, and too long for a Python literal")
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise BadQuery(
            f'the query {shown(text)} is neither JSON, as {{"run": {{"$lte": 7}}}}, nor a '
            "Python dict"
        ) from None


def parse_document(body: bytes | bytearray) -> Any:
    """Return what a body says in JSON, under whatever content type it came.

    Raises
    ------
    BadDocument
        If it is no JSON.
    TooLarge
        If it has more than 1 MB.

    Examples
    --------
    >>> parse_document(b'{"ctype": "pedestals"}')
    {'ctype': 'pedestals'}
    """
    if len(body) > MAX_DOCUMENT:
        raise TooLarge(f"a document of {len(body)} bytes is too large; {MAX_DOCUMENT} is the limit")
    try:
        return _from_json(_decoded(body, BadDocument))
    except RecursionError:
        raise BadDocument("the document is nested too deeply") from None
    except ValueError as error:
        if isinstance(error, BadDocument):
            raise
        raise BadDocument(f"the document is no JSON: {error}") from None


def _decoded(body: bytes | bytearray, error: type[BadQuery] | type[BadDocument]) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise error("the body is no text in UTF-8") from None


def check_id(text: str) -> str:
    """Return an identifier, in lower case.

    Raises
    ------
    BadQuestion
        If it is none.

    Examples
    --------
    >>> check_id("5FC6911AF587A598CBB1A601")
    '5fc6911af587a598cbb1a601'
    """
    if not is_id(text.lower()):
        raise BadQuestion(f"{shown(text)} is no id; an id has 24 hexadecimal digits")
    return text.lower()


def check_place(database: str, collection: str | None = None) -> None:
    """Refuse names that no database or collection can have, not even one of another program.

    Raises
    ------
    BadName
        Saying which.

    Examples
    --------
    >>> check_place("cdb_xpp1", "opal.1")
    >>> check_place("cdb_xpp1", "$opal")
    Traceback (most recent call last):
        ...
    cdb.errors.BadName: there can be no collection '$opal' in cdb_xpp1
    """
    if database != names.REGISTER:
        names.check_database(database)
    if collection is None:
        return
    long = len(collection.encode(errors="replace")) > MAX_COLLECTION
    reserved = collection.startswith(_SERVERS_OWN)
    if long or reserved or not _COLLECTION.fullmatch(collection) or not _is_text(collection):
        raise BadName(f"there can be no collection {shown(collection)} in {database}")


def is_place(database: str, collection: str | None = None) -> bool:
    """Return whether there can be a database, and a collection in it; see `check_place`."""
    try:
        check_place(database, collection)
    except BadName:
        return False
    return True


def parse_path(method: str, path: str) -> tuple[str, ...] | None:
    """Return the names in a path; None where the method does not take it.

    Doubled and final slashes are forgiven where nothing can go wrong: psana's
    ``delete_document(db, coll, '')`` would otherwise delete a collection.

    Examples
    --------
    >>> parse_path("GET", "//cdb_xpp1/"), parse_path("DELETE", "/cdb_xpp1/epix_000001/")
    (('cdb_xpp1',), None)
    """
    named = tuple(name for name in path.split("/") if name)
    if method in ("GET", "HEAD"):
        return named
    plain = path.rstrip("/") if method == "POST" else path
    return named if plain == "".join(f"/{name}" for name in named) else None
