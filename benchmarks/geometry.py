"""The pixels of a detector of 16 Mpixels: where they are, and their image.

Run as ``python benchmarks/run.py geometry``.
"""

import math
from typing import Any

import numpy as np
from table import Row, Target
from timing import medians, seconds

from cdb.geometry import GeometryAccess, ImageIndex
from cdb.geometry.segments import segment

REPEATS = 5
N_PANELS = 32
COORDINATES, IMAGE = Target(1.0), Target(0.05)
FANCY = "image[rows, cols] = data"

Arrays = tuple[np.ndarray, ...]


def rows() -> list[Row]:
    """Measure a jungfrau of 32 slightly tilted panels."""
    geo = GeometryAccess(detector(quarter_turns=1))
    check(geo)
    ours, theirs = medians(
        geo.get_pixel_coords, lambda: level_by_level(geo.geometry), repeats=REPEATS
    )
    found = [
        Row("coordinates of 16 Mpixels", ours, "whole arrays, level by level", theirs, COORDINATES)
    ]
    found += image_rows(geo, "panels upright", loop=True)
    turned = GeometryAccess(detector(quarter_turns=0))
    return found + image_rows(turned, "panels lying", loop=False)


def image_rows(geo: GeometryAccess, how: str, *, loop: bool) -> list[Row]:
    """Measure images of panels whose rows lie along those of the image, or across."""
    places = geo.get_pixel_coord_indexes()
    data = np.random.default_rng(1).random(places[0].shape, dtype=np.float32)
    index = ImageIndex(*places)
    page = np.empty(index.shape, dtype=np.float32)
    new, reused, fancy, built, indexed = medians(
        lambda: index.assemble(data),
        lambda: index.assemble(data, out=page),
        lambda: by_rows_and_cols(*places, data),
        lambda: ImageIndex(*places),
        geo.get_pixel_coord_indexes,
        repeats=REPEATS,
    )
    found = []
    if loop:
        naive = seconds(lambda: naive_loop(*places, data))
        found.append(Row("image of 16 Mpixels", new, "a loop over the pixels", naive, IMAGE))
    return [
        *found,
        Row(f"image of 16 Mpixels, {how}", new, FANCY, fancy, IMAGE),
        Row(f"the same into a given array, {how}", reused, FANCY, fancy, IMAGE),
        Row(f"its rows and columns found, {how}", indexed, FANCY, fancy),
        Row(f"its index made of them, {how}", built, FANCY, fancy),
    ]


def detector(*, quarter_turns: int) -> str:
    """Return a geometry of 4 x 8 panels, each tilted a little."""
    lines = [
        f"CAM 0 JUNGFRAU:V2 {n} {(n % 4 - 1.5) * 80_000:.0f} {(n // 4 - 3.5) * 40_000:.0f} 0"
        f"  {180 * (n % 2)} 0 0  {0.3 * math.sin(n):.4f} 0.001 0"
        for n in range(N_PANELS)
    ]
    lines.append(f"IP 0 CAM 0  0 0 -100000  {90 * quarter_turns} 0 0  0.01 0 0")
    return "\n".join(lines) + "\n"


def check(geo: GeometryAccess) -> None:
    """Make sure that what is compared is the same."""
    for ours, theirs in zip(geo.get_pixel_coords(), level_by_level(geo.geometry), strict=True):
        assert np.array_equal(ours, theirs)
    places = geo.get_pixel_coord_indexes()
    data = np.arange(places[0].size).reshape(places[0].shape) % 1000
    image = ImageIndex(*places).assemble(data)
    assert np.array_equal(image, by_rows_and_cols(*places, data))


def level_by_level(geometry: Any) -> Arrays:
    """Return the coordinates as psana works them out: panels stacked, then turned as a whole."""
    kind = segment("JUNGFRAU:V2")
    assert kind is not None
    *panels, camera = geometry.parts
    placed = [turned(part, *kind.coordinates()) for part in panels]
    return turned(camera, *(np.stack(axis) for axis in zip(*placed, strict=True)))


def turned(part: Any, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> Arrays:
    x, y = rotated(x, y, part.rot_z + part.tilt_z)
    z, x = rotated(z, x, part.rot_y + part.tilt_y)
    y, z = rotated(y, z, part.rot_x + part.tilt_x)
    return x + part.x0, y + part.y0, z + part.z0


def rotated(u: np.ndarray, v: np.ndarray, angle: float) -> Arrays:
    sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    return u * cosine - v * sine, v * cosine + u * sine


def by_rows_and_cols(rows: np.ndarray, cols: np.ndarray, data: np.ndarray) -> np.ndarray:
    """Return the image by numpy's own means."""
    image = np.zeros((int(rows.max()) + 1, int(cols.max()) + 1), dtype=np.float32)
    image[rows, cols] = data
    return image


def naive_loop(rows: np.ndarray, cols: np.ndarray, data: np.ndarray) -> np.ndarray:
    """Return the image pixel by pixel."""
    image = np.zeros((int(rows.max()) + 1, int(cols.max()) + 1), dtype=np.float32)
    for panel in range(len(data)):
        lists = (array[panel].ravel().tolist() for array in (rows, cols, data))
        for row, col, value in zip(*lists, strict=True):
            image[row, col] = value
    return image
