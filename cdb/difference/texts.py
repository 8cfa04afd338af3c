"""What differs between two texts: lines; of geometries the parts that moved."""

import difflib
from dataclasses import dataclass
from typing import Any

from cdb.errors import BadFile
from cdb.geometry import tree
from cdb.geometry.tree import Geometry, Part

NUMBERS = ("x0", "y0", "z0", "rot_z", "rot_y", "rot_x", "tilt_z", "tilt_y", "tilt_x")
# To compare longer texts line by line takes minutes.
MAX_LINES = 20_000

Key = tuple[tuple[str, int], tuple[str, int]]


@dataclass(frozen=True)
class TextDifference:
    """What differs between two texts.

    Attributes
    ----------
    lines : tuple of str
        A unified diff without the names of files, empty if the texts are equal.
    """

    lines: tuple[str, ...]
    kind = "text"

    @property
    def equal(self) -> bool:
        """Whether the texts are the same."""
        return not self.lines

    def as_json(self) -> dict[str, Any]:
        """Return it for a script."""
        return {"kind": self.kind, "equal": self.equal, "diff": list(self.lines)}


@dataclass(frozen=True)
class Move:
    """A part of a detector that stands elsewhere, or in one of two geometries alone.

    Attributes
    ----------
    parent, parent_index, name, index : str, int, str, int
        Which part.
    before, after : Part or None
        Where it stands.
    """

    parent: str
    parent_index: int
    name: str
    index: int
    before: Part | None
    after: Part | None

    @property
    def what(self) -> str:
        """``moved``, ``added`` or ``removed``."""
        if self.before is None:
            return "added"
        return "removed" if self.after is None else "moved"

    @property
    def by(self) -> dict[str, float]:
        """By how much a moved part moved: what is not zero of `NUMBERS` [um, deg]."""
        if self.before is None or self.after is None:
            return {}
        moved = {name: getattr(self.after, name) - getattr(self.before, name) for name in NUMBERS}
        return {name: distance for name, distance in moved.items() if distance}

    def as_json(self) -> dict[str, Any]:
        """Return it for a script."""
        return {
            "parent": self.parent,
            "parent_index": self.parent_index,
            "name": self.name,
            "index": self.index,
            "what": self.what,
            "before": _numbers(self.before),
            "after": _numbers(self.after),
            "by": self.by,
        }


@dataclass(frozen=True)
class GeometryDifference:
    """What differs between two geometries.

    Attributes
    ----------
    moves : tuple of Move
        Parts that stand elsewhere, in the order of b; then those that only a has.
    reordered : bool
        Whether parts that both have stand in another order, which is that of the panels.
    lines : tuple of str
        A unified diff of the texts, comments among them.
    """

    moves: tuple[Move, ...]
    reordered: bool
    lines: tuple[str, ...]
    kind = "geometry"

    @property
    def equal(self) -> bool:
        """Whether the texts are the same."""
        return not self.lines

    def as_json(self) -> dict[str, Any]:
        """Return it for a script."""
        return {
            "kind": self.kind,
            "equal": self.equal,
            "moves": [move.as_json() for move in self.moves],
            "reordered": self.reordered,
            "diff": list(self.lines),
        }


def of_texts(a: str, b: str) -> TextDifference:
    r"""Return what differs between two texts.

    Examples
    --------
    >>> print(*of_texts("one\ntwo\n", "one\n2\n").lines, sep="\n")
    @@ -1,2 +1,2 @@
     one
    -two
    +2
    """
    return TextDifference(_lines(a, b))


def of_geometries(a: str, b: str) -> GeometryDifference | None:
    """Return what differs between two geometries; None if one of the texts is none."""
    try:
        before, after = tree.parse(a), tree.parse(b)
    except BadFile:
        return None
    old, new = _by_key(before), _by_key(after)
    moves = [
        Move(*key[0], *key[1], old.get(key), part)
        for key, part in new.items()
        if key not in old or _numbers(old[key]) != _numbers(part)
    ]
    moves += [Move(*key[0], *key[1], part, None) for key, part in old.items() if key not in new]
    reordered = [key for key in old if key in new] != [key for key in new if key in old]
    return GeometryDifference(tuple(moves), reordered, _lines(a, b))


def _by_key(geometry: Geometry) -> dict[Key, Part]:
    return {(part.parent_key, part.key): part for part in geometry.parts}


def _numbers(part: Part | None) -> dict[str, float] | None:
    return None if part is None else {name: getattr(part, name) for name in NUMBERS}


def _lines(a: str, b: str) -> tuple[str, ...]:
    if a == b:
        return ()
    old, new = a.split("\n"), b.split("\n")
    if max(len(old), len(new)) > MAX_LINES:
        pairs = zip(old, new, strict=False)
        same = next((n for n, (x, y) in enumerate(pairs) if x != y), min(len(old), len(new)))
        return (f"@@ {len(old)} and {len(new)} lines, which differ from line {same + 1} on @@",)
    # An end of line that only one text has at its end shows as a line that is empty.
    if not old[-1] and not new[-1]:
        del old[-1], new[-1]
    _, _, *lines = difflib.unified_diff(old, new, lineterm="")
    return tuple(lines)
