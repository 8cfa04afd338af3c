"""Where in data something is: the keys and indexes on the way to it."""

from cdb.errors import shown

MAX_DEPTH = 100  # containers inside each other

Place = tuple[object, ...]


def where(place: Place) -> str:
    """Return a place in words.

    Examples
    --------
    >>> where(("a", 3)), where(())
    ("data['a'][3]", 'data')
    """
    keys = "".join(f"[{shown(key)}]" for key in place[:6])
    return f"data{keys}{'[...]' if len(place) > 6 else ''}"
