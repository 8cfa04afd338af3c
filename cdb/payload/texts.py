"""Texts <-> UTF-8: what UTF-8 cannot hold is refused at its place."""

import re

from cdb.errors import BadPayload
from cdb.payload.arrays import Bytes
from cdb.payload.keypaths import KeyPath, where

_SURROGATE = re.compile("[\ud800-\udfff]")


def checked_text(text: str, path: KeyPath = ()) -> str:
    """Return a text that UTF-8 can hold.

    Raises
    ------
    BadPayload
        If it holds half a surrogate pair.
    """
    lone = None if text.isascii() else _SURROGATE.search(text)
    if lone:
        raise BadPayload(
            f"{where(path)} holds {lone[0]!a} at {lone.start()}, half a character, which UTF-8 "
            "cannot hold; read the text in its own encoding first"
        )
    return text


def utf8(data: Bytes) -> str:
    """Return the text that bytes hold.

    Raises
    ------
    BadPayload
        If they are not UTF-8.
    """
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise BadPayload(
            f"the text is not UTF-8: {error.reason} at byte {error.start}; "
            "take the stored bytes, and decode them yourself"
        ) from None
