"""Geometries as tiles."""

import numpy as np
import pytest

from cdb.errors import BadName, BadQuestion
from cdb.geometry import defaults, tree
from cdb.geometry.defaults import named
from cdb.geometry.pixels import branches, panel_coordinates
from cdb.geometry.segments import segment
from cdb.geometry.tiles import angles_of, placements, tiles

# Those two do not say how many pixels they have.
WITH_PIXELS = [name for name in defaults.names() if name not in ("archon", "axis")]


def centers(geometry, *, wide):
    pieces = tiles(geometry, wide=wide)
    shape = placements(geometry)[0].segment.shape
    places = np.full((1 + pieces[-1].panel, *shape, 3), np.nan)
    for tile in pieces:
        assert np.isnan(places[tile.panel, tile.rows, tile.cols]).all()
        places[tile.panel, tile.rows, tile.cols] = tile.centers()
    return np.moveaxis(places, -1, 0)


@pytest.mark.parametrize("name", [name for name in WITH_PIXELS if name != "jungfrau16m"])
def test_tiles_have_every_pixel_once_where_it_is(name):
    geometry = named(name)
    expected = panel_coordinates(branches(geometry, wide_centers=True)[-1], frame=1)
    np.testing.assert_allclose(centers(geometry, wide=True), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["cspad", "epix100a", "epix10ka2m", "epixuhr3x2-2", "pnccd"])
def test_tiles_of_whole_asics_have_wide_pixels_on_the_normal_grid(name):
    geometry = named(name)
    expected = panel_coordinates(branches(geometry)[-1], frame=1)
    np.testing.assert_allclose(centers(geometry, wide=False), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("cspad2x2", [(185, 194)] * 4),
        ("epix100a", [(352, 384)] * 4),
        ("jungfrau05m", [(256, 256)] * 8),
        ("pnccd", [(512, 512)] * 4),
    ],
)
def test_a_tile_is_an_asic(name, shapes):
    assert [tile.shape for tile in tiles(named(name))] == shapes


def test_wide_pixels_are_tiles_as_large_as_they_are():
    steps = {
        (tile.cols.start, tile.cols.stop): round(float(np.linalg.norm(tile.fs)), 6)
        for tile in tiles(named("cspad2x2"), wide=True)
    }
    assert steps == {(0, 193): 109.92, (193, 195): 274.8, (195, 388): 109.92}


def test_wide_tiles_cover_the_sensor_without_gaps():
    pieces = tiles(named("epix10ka"), wide=True)
    area = sum(np.linalg.norm(np.cross(t.fs, t.ss)) * t.shape[0] * t.shape[1] for t in pieces)
    kind = segment("EPIX10KA:V1")
    assert area == pytest.approx(kind.rows.sizes.sum() * kind.cols.sizes.sum())


@pytest.mark.parametrize(
    "angles", [(0, 0, 0), (90, 180, 0), (12, -34, 56), (20, 90, 30), (5, -90, 0)]
)
def test_angles_of_a_turn_make_the_same_turn(angles):
    def turn(about_z, about_y, about_x):
        row = f"IP 0 EPIX100:V1 0  0 0 0  {about_z!r} {about_y!r} {about_x!r}  0 0 0"
        return placements(tree.parse(row))[0].turn

    np.testing.assert_allclose(turn(*angles_of(turn(*angles))), turn(*angles), atol=1e-12)


def test_what_has_no_pixels_has_no_tiles():
    with pytest.raises(BadQuestion, match="no part with pixels"):
        tiles(tree.parse("IP 0 CAMERA 0  0 0 0  0 0 0  0 0 0"))
    with pytest.raises(BadName, match="ARCHON:V1 does not say its shape"):
        tiles(named("archon"))
