"""What differs between two texts: lines; of geometries the parts that moved."""

import difflib
from dataclasses import dataclass
from typing import Any

from cdb.errors import BadFile
from cdb.geometry import tree
from cdb.geometry.comparison import Move, is_reordered, moves

# To compare longer texts line by line takes minutes.
MAX_LINES = 20_000


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
    return GeometryDifference(moves(before, after), is_reordered(before, after), _lines(a, b))


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
