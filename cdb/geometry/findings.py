"""What is wrong with a geometry, or looks so.

=============== ======== ========================================================================
code            severity what it means
=============== ======== ========================================================================
grammar         error    the text cannot be read
unknown-segment error    a part with no parts of its own is no sensor that anybody knows
no-panels       error    there is no sensor at all
shapes          error    sensors have different shapes, and make no array
panel-count     error    the detector type has another number of panels
overlap         error    two panels cover each other by more than a pixel
far             error    a panel is far away from all others
wrong-side      error    the detector stands upstream of the interaction point
several-tops    warning  frames that nothing joins: parts below all but the last do not count
order           warning  an index is not the place of its part: arrays go by the order of rows
positive-z      note     the distance from the interaction point is positive; readers turn its sign
large-tilt      note     a tilt is no small one
open-shape      note     a sensor does not say its shape; panels are not looked at
whole-um        note     every origin is in whole um: an old program may have rounded them
=============== ======== ========================================================================
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cdb.errors import BadName, CalibError
from cdb.geometry.outlines import Outline, outlines
from cdb.geometry.pixels import Branch, branches
from cdb.geometry.segments import NO_SHAPE, Floats, known_segments, segment
from cdb.geometry.tree import Geometry, Part, named

# Panels are held against each other up to this number.
MAX_PANELS = 2000
# A panel is far away if the next one is further than this times its diagonal.
FAR = 5.0
# A tilt is small up to here [deg].
MAX_TILT = 5.0
SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, or looks so.

    Attributes
    ----------
    severity : str
        One of `SEVERITIES`.
    code : str
        What kind, see the module.
    message : str
        A sentence.
    line : int or None
        Where, in the text.
    """

    severity: str
    code: str
    message: str
    line: int | None = None

    def as_json(self) -> dict[str, str | int | None]:
        """Return it for a script."""
        return dict(vars(self))


def check(geometry: Geometry, *, panels: Sequence[int] | None = None) -> list[Finding]:
    """Return what is wrong with a geometry, or looks so.

    Parameters
    ----------
    geometry : Geometry
        Read, so its grammar is sound.
    panels : sequence of int, optional
        How many panels the detector may have.

    Examples
    --------
    >>> from cdb.geometry.tree import parse
    >>> [finding.code for finding in check(parse("IP 0 EPIX1:V1 0  0 0 5  0 0 0  9 0 0"))]
    ['unknown-segment', 'no-panels', 'positive-z', 'large-tilt', 'whole-um']
    """
    found = [*_of_sensors(geometry)]
    try:
        drawn = outlines(geometry)
    except CalibError:
        drawn = []
    if not drawn and not any(finding.code == "open-shape" for finding in found):
        found.append(Finding("error", "no-panels", "no part of this geometry has pixels"))
    if drawn:
        found += _of_panels(drawn, panels)
        found += _of_side(geometry, drawn)
    return found + [*_of_rows(geometry)]


def _of_sensors(geometry: Geometry) -> Iterator[Finding]:
    parents = {part.parent_key for part in geometry.parts}
    bad = [*filter(None, map(_of_name, geometry.parts))]
    if bad:
        yield from bad
        return
    nodes = branches(geometry)
    shapes: dict[tuple[int, int], Branch] = {}
    for node in nodes:
        part = node.part
        if node.segment is not None:
            shapes.setdefault(node.segment.shape, node)
        elif part.parent and part.key not in parents:
            yield Finding(
                "error",
                "unknown-segment",
                f"{part.name} {part.index} has no parts and is no sensor; sensors are "
                f"{', '.join(known_segments())}",
                part.line,
            )
    for shape, node in [*shapes.items()][1:]:
        first = next(iter(shapes))
        yield Finding(
            "error",
            "shapes",
            f"{node.part.name} {node.part.index} has {shape[0]} x {shape[1]} pixels, others "
            f"{first[0]} x {first[1]}: they make no array",
            node.part.line,
        )


def _of_name(part: Part) -> Finding | None:
    """Return what is wrong with the name of a sensor that is named, but not well."""
    if part.name in NO_SHAPE:
        message = f"{part.name} does not say its shape: panels are not looked at"
        return Finding("note", "open-shape", message, part.line or None)
    try:
        segment(part.name)
    except BadName as error:
        return Finding("error", "unknown-segment", str(error), part.line or None)
    return None


def _of_panels(drawn: Sequence[Outline], panels: Sequence[int] | None) -> Iterator[Finding]:
    if panels is not None and len(drawn) not in panels:
        yield Finding(
            "error",
            "panel-count",
            f"there are {len(drawn)} panels, and the detector has {_either(panels)}",
        )
    if len(drawn) > MAX_PANELS:
        yield Finding(
            "note", "overlap", f"more than {MAX_PANELS} panels are not held against each other"
        )
        return
    centers = np.array([panel.center for panel in drawn])
    apart = np.linalg.norm(centers[:, np.newaxis] - centers, axis=2)
    np.fill_diagonal(apart, np.inf)
    yield from _overlaps(drawn, apart)
    for panel, nearest in zip(drawn, apart.min(axis=1), strict=True):
        if len(drawn) > 1 and nearest > FAR * panel.diagonal:
            yield Finding(
                "error",
                "far",
                f"{panel.name} is {nearest / 1000:.0f} mm away from the next panel; it is "
                f"{panel.diagonal / 1000:.0f} mm large",
                panel.line or None,
            )


def _either(numbers: Sequence[int]) -> str:
    texts = [*map(str, sorted(numbers))]
    return " or ".join(filter(None, (", ".join(texts[:-1]), texts[-1])))


def _overlaps(drawn: Sequence[Outline], apart: Floats) -> Iterator[Finding]:
    diagonals = np.array([panel.diagonal for panel in drawn])
    near = apart < (diagonals[:, np.newaxis] + diagonals) / 2
    for i, j in np.argwhere(np.triu(near, 1)):
        one, other = drawn[i], drawn[j]
        depth = overlap(one.corners[:, :2], other.corners[:, :2])
        if depth > max(one.segment.scale, other.segment.scale):
            yield Finding(
                "error",
                "overlap",
                f"{one.name} and {other.name} cover each other by {depth:.0f} um",
                other.line or None,
            )


def overlap(a: Floats, b: Floats) -> float:
    """Return how far two rectangles reach into each other; 0 or less if they do not.

    Parameters
    ----------
    a, b : ndarray of float64, shape (4, 2)
        Their corners, around.

    Examples
    --------
    >>> square = np.array([(0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (0.0, 4.0)])
    >>> overlap(square, square + (3, 1)), overlap(square, square + (7, 0))
    (1.0, -3.0)
    """
    # Along one side of either there is a gap, if there is one at all (separating axis).
    depths = []
    for corners in (a, b):
        for side in (corners[1] - corners[0], corners[2] - corners[1]):
            length = float(np.hypot(*side))
            along: NDArray[np.float64] = np.array([-side[1], side[0]]) / (length or 1.0)
            first, second = a @ along, b @ along
            depths.append(min(first.max() - second.min(), second.max() - first.min()))
    return float(min(depths))


def _of_side(geometry: Geometry, drawn: Sequence[Outline]) -> Iterator[Finding]:
    if not geometry.top[0].startswith("IP"):
        return
    z = float(np.mean([panel.center[2] for panel in drawn]))
    if z > 0:
        yield Finding(
            "error",
            "wrong-side",
            f"the panels stand at z = {z:.0f} um, upstream of {geometry.top[0]}: z runs against "
            "the beam, so what the beam hits after the sample has a negative one",
        )


def _of_rows(geometry: Geometry) -> Iterator[Finding]:
    tops = set(geometry.tops)
    if len(tops) > 1:
        yield Finding(
            "warning",
            "several-tops",
            f"nothing joins the frames {named(geometry.tops)}; the last one is taken, and parts "
            "below the others do not count",
        )
    places: dict[tuple[str, int], int] = {}
    for part in geometry.parts:
        place = places.get(part.parent_key, 0)
        places[part.parent_key] = place + 1
        if part.index != place and not (part.parent_key in tops and place == 0):
            yield Finding(
                "warning",
                "order",
                f"{part.name} {part.index} is row {place} of {part.parent} {part.parent_index}: "
                "arrays go by the order of rows, not by the index",
                part.line or None,
            )
    for part in geometry.parts:
        if part.z != part.z0:
            yield Finding(
                "note",
                "positive-z",
                f"{part.name} {part.index} has z0 = {part.z0:.10g}; readers take it for "
                f"{part.z:.10g}",
                part.line or None,
            )
        tilt = max(map(abs, (part.tilt_z, part.tilt_y, part.tilt_x)))
        if tilt > MAX_TILT:
            yield Finding(
                "note",
                "large-tilt",
                f"{part.name} {part.index} is tilted by {tilt:g} deg",
                part.line or None,
            )
    if all(float(x).is_integer() for part in geometry.parts for x in (part.x0, part.y0, part.z0)):
        yield Finding(
            "note",
            "whole-um",
            "every origin is in whole um, as old programs write them; what was finer is lost",
        )
