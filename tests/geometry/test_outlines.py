"""Outlines of panels: where their corners are, against the coordinates of their pixels."""

import numpy as np
import pytest

from cdb.errors import BadName
from cdb.geometry import defaults
from cdb.geometry.outlines import outlines
from cdb.geometry.pixels import branches, panel_coordinates

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
