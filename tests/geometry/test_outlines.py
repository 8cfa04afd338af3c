"""Outlines of panels: where their corners are, against the coordinates of their pixels."""

import numpy as np
import pytest

from cdb.errors import BadName, BadQuestion
from cdb.geometry import defaults
from cdb.geometry.outlines import displacements, outlines
from cdb.geometry.pixels import branches, panel_coordinates
from cdb.geometry.tree import move, parse, rotate, tilt

OPEN = ("archon", "axis")


@pytest.mark.parametrize("name", [name for name in defaults.names() if name not in OPEN])
def test_corners_are_half_a_pixel_outside_of_the_corner_pixels(name):
    geometry = defaults.named(name)
    drawn = outlines(geometry)
    xyz = panel_coordinates(branches(geometry)[-1])
    assert len(drawn) == len(xyz[0])
    for panel in drawn:
        corner = [(0, 0), (0, -1), (-1, -1), (-1, 0)]
        pixels = np.array([[axis[panel.number][at] for axis in xyz] for at in corner])
        outside = np.linalg.norm(panel.corners - pixels, axis=1)
        half = np.hypot(panel.segment.rows.pitch, panel.segment.cols.pitch) / 2
        assert outside == pytest.approx(half, rel=1e-6)
        assert np.allclose(panel.center, pixels.mean(axis=0), atol=1e-6)


def test_a_panel_is_named_with_its_group():
    names = [panel.name for panel in outlines(defaults.named("epix10ka2m"))]
    assert names[:2] == ["CAMERA 0 / EPIX10KA:V1 0", "CAMERA 0 / EPIX10KA:V1 1"]
    assert names[-1] == "CAMERA 0 / EPIX10KA:V1 15"


def test_a_sensor_without_a_shape_is_told():
    with pytest.raises(BadName, match="does not say its shape"):
        outlines(defaults.named("axis"))


QUAD = defaults.named("epix10kaquad")


def test_a_panel_that_moved_is_told_where_it_stands_in_the_end():
    # The quad is turned by 90 deg, so its x is -y of the frame around it.
    [moved] = [p for p in displacements(QUAD, move(QUAD, "EPIX10KA:V1", 1, x=12.5)) if p.corner]
    assert (moved.number, round(moved.dx, 9), round(moved.dy, 9)) == (1, 0, 12.5)
    assert (moved.corner, moved.turned, moved.leaned) == (pytest.approx(12.5), 0, 0)


def test_all_panels_turn_with_their_group():
    told = displacements(QUAD, rotate(QUAD, "QUAD", 0, z=0.5))
    assert [panel.turned for panel in told] == pytest.approx([0.5] * 4)
    assert min(panel.corner for panel in told) > 100
    leaned = displacements(QUAD, tilt(QUAD, "EPIX10KA:V1", 2, x=0.01))
    assert leaned[2].leaned == pytest.approx(0.01)


def test_trees_may_differ_where_the_panels_do_not():
    flat = parse(
        "CAMERA 0 EPIX10KA:V2 0 -20150 20950 0 180 0 0 0 0 0\n"
        "CAMERA 0 EPIX10KA:V2 1 20150 20950 0 180 0 0 0 0 0\n"
        "CAMERA 0 EPIX10KA:V2 2 -20150 -20950 0 180 0 0 0 0 0\n"
        "CAMERA 0 EPIX10KA:V2 3 20150 -20950 0 180 0 0 0 0 0\n"
        "IP 0 CAMERA 0 0 0 -1000000 90 0 0 0 0 0\n"
    )
    assert max(panel.corner for panel in displacements(QUAD, flat)) == 0


def test_detectors_that_are_not_alike_are_not_compared():
    with pytest.raises(BadQuestion, match="4 panels of 352 x 384 pixels here and 16 panels"):
        displacements(QUAD, defaults.named("epix10ka2m"))
