"""What differs between two values of JSON and its tags: dicts, lists, numbers, arrays inside."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cdb.difference.arrays import of_arrays
from cdb.errors import shown
from cdb.payload import describe


@dataclass(frozen=True)
class Change:
    """A key that only one of two values has, or whose value differs.

    Attributes
    ----------
    key : str
        Where it is: ``gain.window[0]``; empty for the whole.
    what : str
        ``added``, ``removed`` or ``changed``.
    before, after : str
        What it is, for people; empty where it is not there.
    """

    key: str
    what: str
    before: str = ""
    after: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it for a script."""
        return {"key": self.key, "what": self.what, "before": self.before, "after": self.after}


@dataclass(frozen=True)
class ValueDifference:
    """What differs between two values.

    Attributes
    ----------
    changes : tuple of Change
        By key, in the order of a, then of b.
    """

    changes: tuple[Change, ...]
    kind = "value"

    @property
    def equal(self) -> bool:
        """Whether no key and no value differs."""
        return not self.changes

    def as_json(self) -> dict[str, Any]:
        """Return it for a script."""
        changes = [change.as_json() for change in self.changes]
        return {"kind": self.kind, "equal": self.equal, "changes": changes}


@dataclass(frozen=True)
class KindDifference:
    """That one payload is, say, an array, and the other is none.

    Attributes
    ----------
    a, b : any
        The payloads.
    """

    a: Any = field(repr=False)
    b: Any = field(repr=False)
    kind = "kind"
    equal = False

    @property
    def described(self) -> tuple[str, str]:
        """What the two are."""
        return describe(self.a), describe(self.b)

    def as_json(self) -> dict[str, Any]:
        """Return it for a script."""
        return {"kind": self.kind, "equal": self.equal, "described": list(self.described)}


def of_values(a: Any, b: Any) -> ValueDifference:
    """Return what differs between two values; parameters are those of `cdb.difference.of`.

    Examples
    --------
    >>> for change in of_values({"gain": 1, "bias": [5, 6]}, {"gain": 2, "bias": [5]}).changes:
    ...     print(change.key, change.what, change.before, change.after)
    gain changed 1 2
    bias[1] removed 6
    """
    found: list[Change] = []
    # No recursion: how deep values are is decided by who stored them.
    todo: list[tuple[str, Any, Any]] = [("", a, b)]
    while todo:
        key, old, new = todo.pop()
        children: list[tuple[str, Any, Any]] = []
        if old is _ABSENT or new is _ABSENT:
            what = "added" if old is _ABSENT else "removed"
            found.append(Change(key, what, _described(old), _described(new)))
        elif type(old) is type(new) is dict:
            names = [*old, *(name for name in new if name not in old)]
            children = [
                (_inside(key, name), old.get(name, _ABSENT), new.get(name, _ABSENT))
                for name in names
            ]
        elif type(old) is type(new) and isinstance(old, list | tuple):
            children = [
                (f"{key}[{n}]", old[n] if n < len(old) else _ABSENT,
                 new[n] if n < len(new) else _ABSENT)
                for n in range(max(len(old), len(new)))
            ]  # fmt: skip
        elif isinstance(old, np.ndarray) and isinstance(new, np.ndarray):
            arrays = of_arrays(old, new)
            if not arrays.equal:
                count = f", {arrays.total.changed} changed" if arrays.compared else ""
                found.append(Change(key, "changed", _described(old), _described(new) + count))
        elif not _same(old, new):
            found.append(Change(key, "changed", _described(old), _described(new)))
        todo += reversed(children)
    return ValueDifference(tuple(found))


_ABSENT = object()


def _inside(key: str, name: object) -> str:
    if not isinstance(name, str):
        return f"{key}[{shown(name)}]"
    return f"{key}.{name}" if key else name


def _same(a: Any, b: Any) -> bool:
    """Return whether two plain values are the same; NaN is equal to NaN, 1 is not to 1.0."""
    if type(a) is not type(b):
        return False
    return bool(a == b or (a != a and b != b))


def _described(value: Any) -> str:
    if value is _ABSENT:
        return ""
    return describe(value) if isinstance(value, np.ndarray | dict | list | tuple) else shown(value)
