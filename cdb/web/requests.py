"""What a request asks and brings, parsed: parameters, headers, bodies; hostile until then."""

import json
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from cdb import names, validity
from cdb.drafts import is_id
from cdb.errors import BadPayload, BadQuery, BadQuestion, BadRange, TooLarge, shown
from cdb.stores.query import MAX_DEPTH, check_query

MAX_PARAMETERS = 100
MAX_QUERY = 8_000  # characters
MAX_VALUES = 500  # in one query: SQLite's expressions are at most 1000 deep
MAX_JSON = 4 * 2**20  # bytes

_KEY = re.compile("[A-Za-z0-9_.:-]{8,128}")
_FIELD = re.compile(r"-?[A-Za-z_][A-Za-z0-9_]{0,63}")
_SHARE = re.compile(r"[0-9]{1,6}(\.[0-9]{1,17})?(e-[0-9]{1,2})?")
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")

Schema = dict[str, Any]


@dataclass(frozen=True)
class Parameter:
    """A parameter of a request.

    Attributes
    ----------
    name : str
        As it is written in the address.
    says : str
        What it means.
    parse : callable
        From the text to the value.
    schema : dict
        Of JSON Schema.
    example : object
        For the documentation.
    required, repeated : bool
        Whether it must be given; whether it may be given several times.
    """

    name: str
    says: str
    parse: Callable[[str], Any] = str
    schema: Schema = field(default_factory=lambda: {"type": "string"})
    example: Any = None
    required: bool = False
    repeated: bool = False


def arguments(parameters: Sequence[Parameter], query_string: bytes) -> dict[str, Any]:
    """Return the values of the parameters in an address; of those not given, nothing.

    Raises
    ------
    BadQuestion
        If one is unknown, missing, empty or given twice.

    Examples
    --------
    >>> arguments([Parameter("run", "Run.", int)], b"run=7")
    {'run': 7}
    >>> arguments([Parameter("run", "Run.", int)], b"rum=7")
    Traceback (most recent call last):
        ...
    cdb.errors.BadQuestion: unknown parameter 'rum'; good ones: run
    """
    found: dict[str, Any] = {}
    known = {parameter.name: parameter for parameter in parameters}
    for name, text in _pairs(query_string):
        parameter = known.get(name)
        if parameter is None:
            good = f"good ones: {', '.join(known)}" if known else "none is taken here"
            raise BadQuestion(f"unknown parameter {shown(name)}; {good}")
        if not text:
            raise BadQuestion(f"parameter {name} is empty; give a value, or leave it out")
        value = parameter.parse(text)
        if parameter.repeated:
            found.setdefault(name, []).append(value)
        elif name in found:
            raise BadQuestion(f"parameter {name} is given twice; give it once")
        else:
            found[name] = value
    for parameter in parameters:
        if parameter.required and parameter.name not in found:
            raise BadQuestion(f"parameter {parameter.name} is missing: {parameter.says}")
    return found


def _pairs(query_string: bytes) -> list[tuple[str, str]]:
    if not query_string:
        return []
    try:
        return parse_qsl(
            query_string.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_PARAMETERS,
        )
    except ValueError:  # UnicodeDecodeError is one
        raise BadQuestion(
            f"what follows the question mark cannot be read; write at most {MAX_PARAMETERS} "
            "parameters, name=value, in UTF-8 with percent signs"
        ) from None


# Values of parameters ---------------------------------------------------------------------------


def as_of(text: str) -> int | str:
    """Return a state: the number of an event, or the text of a time.

    Examples
    --------
    >>> as_of("42"), as_of("2021-10-01T00:00:00Z")
    (42, '2021-10-01T00:00:00Z')
    """
    is_number = text.isascii() and text.isdecimal() and len(text) <= 16
    if not is_number:
        validity.parse_time(text)
    return int(text) if is_number else text


def state_or_tag(text: str) -> int | str:
    """Return a state as `as_of` does, or how a tag is cited.

    Examples
    --------
    >>> state_or_tag("42"), state_or_tag("summer26")
    (42, 'summer26')
    """
    return str(text) if names.is_tag(text) and names.parse_tag(text) else as_of(text)


def number(name: str, lowest: int, highest: int) -> Callable[[str], int]:
    """Return what parses a whole number between two others."""

    def parse(text: str) -> int:
        good = text.isascii() and text.isdecimal() and len(text) <= 16
        if not good or not lowest <= int(text) <= highest:
            raise BadQuestion(
                f"{name} is {shown(text)}; give a whole number from {lowest} to {highest}"
            )
        return int(text)

    return parse


def share(name: str) -> Callable[[str], float]:
    """Return what parses a share, from 0 on: 0.05 is 5 %.

    Examples
    --------
    >>> share("max_bad")("0.05"), share("max_bad")("1e-05")
    (0.05, 1e-05)
    """

    def parse(text: str) -> float:
        if not _SHARE.fullmatch(text):
            raise BadQuestion(f"{name} is {shown(text)}; give a share, as 0.05")
        return float(text)

    return parse


def version_id(text: str) -> str:
    """Return the id of a version.

    Raises
    ------
    BadQuestion
        If it has not the form of one: `cdb.comparison` takes anything else for a file's path.
    """
    if not is_id(text):
        raise BadQuestion(f"{shown(text)} is no id of a version; give its 24 digits, as 6156c0...")
    return text


def one_of(name: str, *good: str) -> Callable[[str], str]:
    """Return what parses one of a few words."""

    def parse(text: str) -> str:
        if text not in good:
            raise BadQuestion(f"{name} is {shown(text)}; give one of {', '.join(good)}")
        return text

    return parse


def yes(name: str) -> Callable[[str], bool]:
    """Return what parses ``true`` and ``false``."""
    parse = one_of(name, "true", "false")
    return lambda text: parse(text) == "true"


def fields(text: str) -> list[str]:
    """Return the names in ``name,name``.

    Examples
    --------
    >>> fields("run,version")
    ['run', 'version']
    """
    found = text.split(",")
    for name in found:
        if not _FIELD.fullmatch(name) or name.startswith("-"):
            raise BadQuestion(f"{shown(name)} is no name of a field; write name,name")
    return found


def sort(text: str) -> list[tuple[str, int]]:
    """Return the fields with directions in ``field,-field``.

    Examples
    --------
    >>> sort("ctype,-run")
    [('ctype', 1), ('run', -1)]
    """
    found = text.split(",")
    for name in found:
        if not _FIELD.fullmatch(name):
            raise BadQuestion(f"{shown(name)} is no field to sort by; write field,-field")
    return [(name.removeprefix("-"), -1 if name.startswith("-") else 1) for name in found[:10]]


def query(text: str) -> dict[str, Any]:
    """Return a query in the common subset of MongoDB's language.

    Raises
    ------
    BadQuery
        If it is none.
    """
    if len(text) > MAX_QUERY:
        raise BadQuery(f"the query has {len(text)} characters; at most {MAX_QUERY} are taken")
    value = parsed_json(text)
    if not isinstance(value, dict):
        raise BadQuery('a query is an object, as {"run": {"$gte": 7}}')
    _check_parts(value)
    check_query(value)
    if _values(value) > MAX_VALUES:
        raise BadQuery(f"the query compares with more than {MAX_VALUES} values; ask in parts")
    return value


def _check_parts(value: Mapping[str, Any]) -> None:
    for name in ("$and", "$or"):
        parts = value.get(name, [])
        for part in parts if isinstance(parts, list) else []:
            if not isinstance(part, dict):
                raise BadQuery(f"{name} wants a list of queries, not of {shown(part)}")
            _check_parts(part)


def _values(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(map(_values, value.values()))
    return sum(map(_values, value)) if isinstance(value, list) else 1


# Headers and bodies -----------------------------------------------------------------------------


def idempotency_key(request: Request) -> str | None:
    """Return the key that makes a repeated write happen once, None if there is none.

    Raises
    ------
    BadQuestion
        If it is not 8 to 128 letters, digits and ``_ . : -``.
    """
    key = request.headers.get("idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        raise BadQuestion(
            f"Idempotency-Key {shown(key)} is not 8 to 128 letters, digits, '_', '.', ':' and "
            "'-'; a UUID is good"
        )
    return key


def range_of(header: str, nbytes: int) -> tuple[int, int] | None:
    """Return begin and end of the range that a header asks for, None if it asks for all.

    Several ranges at once, and what is no range, are answered with the whole, as HTTP allows.

    Raises
    ------
    BadRange
        If there is nothing in the range.

    References
    ----------
    RFC 9110, 14.1.1 and 14.1.2: a range whose last byte is before its first is none.

    Examples
    --------
    >>> range_of("bytes=2-3", 10), range_of("bytes=-4", 10), range_of("bytes=8-", 10)
    ((2, 4), (6, 10), (8, 10))
    >>> range_of("bytes=3-2", 10), range_of("bytes=0-1,4-5", 10)
    (None, None)
    """
    found = _RANGE.fullmatch(header.replace(" ", ""))
    if found is None or found[1] == found[2] == "":
        return None
    first, last = found[1], int(found[2] or 2**62)
    if first and last < int(first):
        return None
    begin = int(first) if first else max(nbytes - last, 0)
    end = min(last + 1, nbytes) if first else nbytes
    if begin >= end:
        raise BadRange(f"{shown(header)} lies outside of the {nbytes} bytes there are", nbytes)
    return begin, end


async def received(request: Request, limit: int) -> AsyncIterator[bytes]:
    """Yield the body of a request, piece by piece as it comes.

    Raises
    ------
    TooLarge
        As soon as it is longer than `limit` [bytes].
    BadPayload
        If its sender goes away before its end.
    """
    length = 0
    try:
        async for piece in request.stream():
            length += len(piece)
            if length > limit:
                raise TooLarge(
                    f"the body is longer than {limit} bytes, which is all that is taken here; "
                    "payloads have an address of their own"
                )
            yield piece
    except ClientDisconnect:
        raise BadPayload("the body ended before it was whole; send it again") from None


async def body(request: Request, limit: int) -> bytearray:
    """Return the body of a request, which is in memory once; see `received`."""
    whole = bytearray()
    async for piece in received(request, limit):
        whole += piece
    return whole


async def json_object(request: Request, good: Sequence[str]) -> dict[str, Any]:
    """Return the JSON object in the body of a request.

    Raises
    ------
    BadQuestion
        If it is none, or holds other names than the good ones.
    """
    raw = await body(request, MAX_JSON)
    try:
        value = parsed_json(raw.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise BadQuestion("the body is not UTF-8; send a JSON object") from None
    if not isinstance(value, dict):
        raise BadQuestion(f"the body is no JSON object; good names in it: {', '.join(good)}")
    for name in value:
        if name not in good:
            raise BadQuestion(f"unknown name {shown(name)} in the body; good: {', '.join(good)}")
    return value


def parsed_json(text: str) -> Any:
    """Return what a JSON text holds, of bounded depth and without what JSON does not know.

    Raises
    ------
    BadQuestion
        If it is not JSON, holds NaN, half a character, or is too deep.

    Examples
    --------
    >>> parsed_json('{"gain": NaN}')
    Traceback (most recent call last):
        ...
    cdb.errors.BadQuestion: NaN is no number of JSON; leave it out, or send null
    """
    try:
        value = json.loads(text, parse_constant=_refused)
    except RecursionError:
        raise BadQuestion(f"the JSON is nested deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:
        if isinstance(error, BadQuestion):
            raise
        raise BadQuestion(f"this is not JSON: {shown(str(error))}") from None
    _check_json(value, 0)
    return value


def _refused(text: str) -> Any:
    raise BadQuestion(f"{text} is no number of JSON; leave it out, or send null")


def _check_json(value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise BadQuestion(f"the JSON is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise BadQuestion(f"{shown(value)} holds half a character; write UTF-8") from None
    elif isinstance(value, dict):
        for name, member in value.items():
            _check_json(name, depth)
            _check_json(member, depth + 1)
    elif isinstance(value, list):
        for member in value:
            _check_json(member, depth + 1)
    elif isinstance(value, float) and value in (float("inf"), float("-inf")):
        raise BadQuestion("a number is too large for 64 bits; send a smaller one")
