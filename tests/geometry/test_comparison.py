"""Two geometries: parts and pixels."""

import numpy as np
import pytest

from cdb.errors import BadName, BadQuestion
from cdb.geometry import tree
from cdb.geometry.comparison import displacements, is_reordered, moves, pixel_shift
from cdb.geometry.crystfel import from_geometry, to_geometry
from cdb.geometry.defaults import named
from cdb.geometry.pixels import branches, panel_coordinates


def test_parts_that_moved_came_and_went_are_told():
    before = named("epix10kaquad")
    after = tree.tilt(before, "EPIX10KA:V1", 1, z=0.5)
    other = tree.parse(tree.format(after).replace("EPIX10KA:V1  3", "EPIX10KA:V1  7"))
    told = [(move.index, move.what, move.by) for move in moves(before, other)]
    assert told == [(1, "moved", {"tilt_z": 0.5}), (7, "added", {}), (3, "removed", {})]
    assert not is_reordered(before, after)


def test_the_order_of_parts_is_told():
    before = named("epix10kaquad")
    first, second, *rest = before.parts
    assert is_reordered(before, tree.Geometry((), (second, first, *rest)))


def test_the_shift_of_pixels_is_that_of_their_coordinates():
    before = named("jungfrau4m")
    after = tree.tilt(tree.move(before, "JUNGFRAU:V2", 2, x=7), "JFCAMERA:V1", z=0.1, y=-0.2)
    places = [np.stack(panel_coordinates(branches(each)[-1])) for each in (before, after)]
    apart = places[1] - places[0]
    distances = np.sqrt((apart**2).sum(axis=0))
    shift = pixel_shift(before, after)
    assert shift.max == pytest.approx(distances.max())
    assert shift.rms == pytest.approx(np.sqrt((distances**2).mean()))
    assert shift.mean == pytest.approx(apart.mean(axis=(1, 2, 3)))
    assert shift.as_json()["max"] == shift.max


def test_another_tree_with_the_same_pixels_has_no_shift():
    before = named("cspad")
    assert pixel_shift(before, to_geometry(from_geometry(before)).geometry).max < 1e-6


def test_only_the_same_pixels_are_compared():
    with pytest.raises(BadQuestion, match="1 panel of 512 x 1024 pixels here and 2 panels"):
        pixel_shift(named("jungfrau05m"), named("jungfrau1m"))
    with pytest.raises(BadName, match="does not say its shape"):
        pixel_shift(named("archon"), named("archon"))


QUAD = named("epix10kaquad")


def test_a_panel_that_moved_is_told_where_it_stands_in_the_end():
    # The quad is turned by 90 deg, so its x is -y of the frame around it.
    [moved] = [
        p for p in displacements(QUAD, tree.move(QUAD, "EPIX10KA:V1", 1, x=12.5)) if p.corner
    ]
    assert (moved.number, round(moved.dx, 9), round(moved.dy, 9)) == (1, 0, 12.5)
    assert (moved.corner, moved.turned, moved.leaned) == (pytest.approx(12.5), 0, 0)


def test_all_panels_turn_with_their_group():
    told = displacements(QUAD, tree.rotate(QUAD, "QUAD", 0, z=0.5))
    assert [panel.turned for panel in told] == pytest.approx([0.5] * 4)
    assert min(panel.corner for panel in told) > 100
    leaned = displacements(QUAD, tree.tilt(QUAD, "EPIX10KA:V1", 2, x=0.01))
    assert leaned[2].leaned == pytest.approx(0.01)


def test_trees_may_differ_where_the_panels_do_not():
    flat = tree.parse(
        "CAMERA 0 EPIX10KA:V2 0 -20150 20950 0 180 0 0 0 0 0\n"
        "CAMERA 0 EPIX10KA:V2 1 20150 20950 0 180 0 0 0 0 0\n"
        "CAMERA 0 EPIX10KA:V2 2 -20150 -20950 0 180 0 0 0 0 0\n"
        "CAMERA 0 EPIX10KA:V2 3 20150 -20950 0 180 0 0 0 0 0\n"
        "IP 0 CAMERA 0 0 0 -1000000 90 0 0 0 0 0\n"
    )
    assert max(panel.corner for panel in displacements(QUAD, flat)) == 0


def test_detectors_that_are_not_alike_are_not_compared():
    with pytest.raises(BadQuestion, match="4 panels of 352 x 384 pixels here and 16 panels"):
        displacements(QUAD, named("epix10ka2m"))
