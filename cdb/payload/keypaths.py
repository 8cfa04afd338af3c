"""Where in data something is: the keys and indexes on the way to it."""

from cdb.errors import shown

MAX_NESTING = 100  # containers inside each other

KeyPath = tuple[object, ...]


def where(path: KeyPath) -> str:
    """Return a path of keys in words.

    Examples
    --------
    >>> where(("a", 3)), where(())
    ("data['a'][3]", 'data')
    """
    keys = "".join(f"[{shown(key)}]" for key in path[:6])
    return f"data{keys}{'[...]' if len(path) > 6 else ''}"
