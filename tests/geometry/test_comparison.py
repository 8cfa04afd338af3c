"""Two geometries: parts and pixels."""

import numpy as np
import pytest

from cdb.errors import BadName, BadQuestion
from cdb.geometry import tree
from cdb.geometry.comparison import is_reordered, moves, pixel_shift
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
    with pytest.raises(BadQuestion, match="1 panels of 512 x 1024 pixels in one .* and 2 panels"):
        pixel_shift(named("jungfrau05m"), named("jungfrau1m"))
    with pytest.raises(BadName, match="does not say its shape"):
        pixel_shift(named("archon"), named("archon"))
