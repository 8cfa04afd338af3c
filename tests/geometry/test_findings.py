"""What is wrong with a geometry, or looks so."""

import time

import numpy as np
import pytest

from cdb.geometry import defaults
from cdb.geometry.findings import check, overlap
from cdb.geometry.tree import Geometry, Part, move, parse, place, tilt

QUAD = place(defaults.named("epix10kaquad"), "QUAD", z0=-1e6, x0=0.5)


def codes(geometry, **more):
    return [finding.code for finding in check(geometry, **more)]


def part(name, index=0, x=0.0, y=0.0, parent="CAMERA", z=0.5):
    return Part(parent, 0, name, index, x, y, z, 0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("name", defaults.names())
def test_no_packaged_geometry_has_an_error(name):
    found = check(defaults.named(name))
    assert [finding for finding in found if finding.severity == "error"] == []


def test_a_sound_geometry_has_no_finding():
    assert codes(QUAD, panels=(4,)) == []


def test_a_part_that_nobody_knows_is_told_with_its_line():
    found = check(
        parse("IP 0 CAMERA 0  0.5 0 0 0 0 0 0 0 0\nCAMERA 0 EPIX1:V1 0  0 0 0 0 0 0 0 0 0")
    )
    assert [(f.code, f.line) for f in found] == [("unknown-segment", 2), ("no-panels", None)]
    assert "EPIX10KA:V1" in found[0].message


def test_a_bad_matrix_is_told():
    found = check(Geometry((), (part("MTRX:0:5:1:1"),)))
    assert found[0].code == "unknown-segment"


def test_another_number_of_panels_is_told():
    [found] = check(QUAD, panels=(1, 16))
    assert (found.code, found.severity) == ("panel-count", "error")
    assert found.message == "there are 4 panels, and the detector has 1 or 16"


def test_panels_that_cover_each_other_are_told():
    [found] = check(move(QUAD, "EPIX10KA:V1", 1, x=-3000))
    assert found.code == "overlap"
    assert "EPIX10KA:V1 0 and QUAD 0 / EPIX10KA:V1 1 cover each other by" in found.message


def test_a_pixel_of_overlap_is_none():
    gap = 40300 - 38650
    assert codes(move(QUAD, "EPIX10KA:V1", 1, x=-gap - 90)) == []
    assert codes(move(QUAD, "EPIX10KA:V1", 1, x=-gap - 110)) == ["overlap"]


def test_a_panel_far_away_is_told():
    assert codes(move(QUAD, "EPIX10KA:V1", 3, x=2e6)) == ["far"]


def test_sensors_of_two_shapes_are_told():
    parts = (part("EPIX10KA:V1"), part("JUNGFRAU:V2", 1, x=1e5))
    assert "shapes" in codes(Geometry((), parts))


def test_a_detector_upstream_is_told():
    parts = (
        part("EPIX100:V1"),
        part("CAMERA", parent="RAIL", z=1e5),
        part("RAIL", parent="IP", z=0),
    )
    assert codes(Geometry((), parts)) == ["wrong-side"]


def test_a_positive_distance_is_noted():
    [found] = check(place(QUAD, "QUAD", z0=1e6))
    assert (found.severity, found.code) == ("note", "positive-z")


def test_an_index_out_of_order_is_told():
    parts = (
        part("EPIX100:V1", 1),
        part("EPIX100:V1", 0, x=1e5),
        part("CAMERA", parent="IP", z=-1e5),
    )
    found = check(Geometry((), parts))
    assert [f.code for f in found] == ["order", "order"]
    assert found[0].severity == "warning"


def test_frames_that_nothing_joins_are_told():
    parts = (part("EPIX100:V1"), part("EPIX100:V1", 0, parent="OTHER"))
    assert "several-tops" in codes(Geometry((), parts))


def test_large_tilts_and_whole_um_are_noted():
    assert codes(tilt(QUAD, "QUAD", z=6)) == ["large-tilt"]
    assert codes(place(QUAD, "QUAD", x0=0)) == ["whole-um"]


def test_turned_rectangles_overlap_or_not():
    square = np.array([(0.0, 0.0), (2.0, 0.0), (2.0, 2.0), (0.0, 2.0)])
    diamond = np.array([(2.0, 0.0), (4.0, 2.0), (2.0, 4.0), (0.0, 2.0)])
    # Their bounding boxes meet, they themselves by half of the square's diagonal.
    assert overlap(square, diamond) == pytest.approx(np.sqrt(2))
    assert overlap(square, diamond + (1.9, 1.9)) < 0


def test_many_panels_take_no_long_time():
    parts = tuple(part("MTRX:V2:4:4:10:10", n, x=50.0 * (n % 40), y=50.0 * (n // 40))
                  for n in range(1600))  # fmt: skip
    start = time.perf_counter()
    assert codes(Geometry((), parts)) == []
    assert time.perf_counter() - start < 5
    many = tuple(part("MTRX:V2:4:4:10:10", n, x=50.0 * n) for n in range(2001))
    assert codes(Geometry((), many)) == ["overlap"]
