"""Surveys of cameras whose geometry is known: each sensor's corners, as a microscope sees them."""

from collections.abc import Sequence

import numpy as np

from cdb.geometry.metrology import CSPAD_FIRST, CSPAD_SLOTS, CSPAD_TURNED, EPIX, EPIX_WALKS
from cdb.geometry.tree import Part

# Between the marks of a sensor [um].
EPIX_SIZE = (39_000.0, 35_800.0)
CSPAD_SIZE = (43_550.0, 20_900.0)


def camera(seed: int = 1, *, turn: int = 0, tilts: float = 0.3) -> list[Part]:
    """Return the 16 sensors of an epix10ka2m, each out of place and tilted a little [um, deg]."""
    rng = np.random.default_rng(seed)
    parts = []
    for quad in range(4):
        for index in range(4):
            x, y = (-38450 + 950, 42850 - 500)
            # A sensor is longer along y here.
            dx, dy = ((-20950, -20150), (-20950, 20150), (20950, -20150), (20950, 20150))[index]
            x, y = turned(x + dx, y + dy, -90 * (quad + turn))
            parts.append(
                Part(
                    "CAMERA",
                    0,
                    EPIX,
                    4 * quad + index,
                    x + rng.normal(0, 100),
                    y + rng.normal(0, 100),
                    rng.normal(0, 30),
                    (270.0 - 90 * (quad + turn)) % 360,
                    0,
                    0,
                    *rng.normal(0, tilts, 3),
                )  # fmt: skip
            )
    return parts


def turned(x: float, y: float, angle: float) -> tuple[float, float]:
    """Return x, y turned by a multiple of 90 deg."""
    for _ in range(round(angle / 90) % 4):
        x, y = -y, x
    return x, y


def corners_of(part: Part, size: tuple[float, float]) -> np.ndarray:
    """Return the corners of a sensor, clockwise from its lower left one, as 6.2 transforms them.

    The order is that of psana's `GeometryObject.transform_geo_coord_arrays`: z, y, x.
    """
    x, y = size[0] / 2, size[1] / 2
    xs, ys, zs = np.array([-x, -x, x, x]), np.array([-y, y, y, -y]), np.zeros(4)
    for pair, angle in (
        ("xy", part.rot_z + part.tilt_z),
        ("zx", part.rot_y + part.tilt_y),
        ("yz", part.rot_x + part.tilt_x),
    ):
        c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        if pair == "xy":
            xs, ys = xs * c - ys * s, ys * c + xs * s
        elif pair == "zx":
            zs, xs = zs * c - xs * s, xs * c + zs * s
        else:
            ys, zs = ys * c - zs * s, zs * c + ys * s
    return np.column_stack([xs + part.x0, ys + part.y0, zs + part.z0])


def clockwise_from_lower_left(corners: np.ndarray) -> np.ndarray:
    """Return corners in the order of a survey."""
    around = corners - corners.mean(axis=0)
    first = int(np.argmax(-around[:, 0] - around[:, 1]))
    return np.roll(corners, -first, axis=0)


def epix_survey(
    parts: Sequence[Part], *, turn: int = 0, quads: bool = True, digits: int = 6, offset: int = 0
) -> str:
    """Return the survey of an epix10ka2m."""
    lines, number = ["# made up", "Point X Y Z"], 1
    for place in range(4):
        quad = (place + offset) % 4
        if quads:
            lines.append(f"Quad {place}")
        for index in EPIX_WALKS[(quad + turn) % 4]:
            corners = corners_of(parts[4 * quad + index], EPIX_SIZE)
            for x, y, z in clockwise_from_lower_left(corners):
                lines.append(f"{number} {x:.{digits}f} {y:.{digits}f} {z:.{digits}f}")
                number += 1
    return "\n".join(lines)


def cspad_quad(rng: np.random.Generator, turn: int, at: tuple[float, float]) -> list[Part]:
    """Return the 8 sensors of a cspad's quad, turned by `turn` * 90 deg around its middle."""
    # Centres in a standard quad whose lower left corner is the origin: a windmill of pairs.
    places = ((22, 34), (22, 11), (11, 66), (34, 66), (67, 78), (67, 55), (78, 22), (55, 22))
    parts = []
    for index, (x, y) in enumerate(places):
        cx, cy = turned(1000.0 * x - 44500, 1000.0 * y - 44500, 90 * turn)
        angle = 90 * ((turn + (0, 0, 3, 3, 2, 2, 3, 3)[index]) % 4)
        parts.append(
            Part(
                "QUAD",
                0,
                "SENS2X1:V1",
                index,
                cx + at[0] + rng.normal(0, 50),
                cy + at[1] + rng.normal(0, 50),
                rng.normal(0, 20),
                float(angle),
                0,
                0,
                *rng.normal(0, 0.2, 3),
            )  # fmt: skip
        )
    return parts


def cspad_quad_survey(parts: Sequence[Part], turn: int, digits: int = 6) -> list[str]:
    """Return the 32 points of a quad that lies turned by `turn` * 90 deg."""
    segments: list[np.ndarray | None] = [None] * 8
    for index, part in enumerate(parts):
        corners = corners_of(part, CSPAD_SIZE)
        first = (CSPAD_FIRST[index] - turn) % 4
        ordered = np.roll(corners, first, axis=0)
        assert np.allclose(ordered, clockwise_from_lower_left(corners))
        segments[CSPAD_TURNED[turn][CSPAD_SLOTS[index]]] = ordered
    rows = np.concatenate([each for each in segments if each is not None])
    return [
        f"{n} {x:.{digits}f} {y:.{digits}f} {z:.{digits}f}" for n, (x, y, z) in enumerate(rows, 1)
    ]


def cspad_camera(turn: int, seed: int = 3, digits: int = 6) -> tuple[list[Part], str]:
    """Return the 32 sensors of a cspad with fixed quads, turned by `turn` * 90 deg; its survey."""
    rng, parts, lines = np.random.default_rng(seed), [], []
    for quad, (x, y) in enumerate(((-45e3, 45e3), (45e3, 45e3), (45e3, -45e3), (-45e3, -45e3))):
        lies = ((1, 0, 3, 2)[quad] + turn) % 4
        there = cspad_quad(rng, lies, turned(x, y, 90 * turn))
        lines += [f"Quad {quad}", *cspad_quad_survey(there, lies, digits)]
        parts += there
    return parts, "\n".join(lines)


def cspad_quads(seed: int = 4, digits: int = 6, *, with_parts: bool = False) -> object:
    """Return the survey of four quads, each measured alone as the standard quad lies."""
    rng, parts, lines = np.random.default_rng(seed), [], []
    for quad in range(4):
        there = cspad_quad(rng, 0, (44500, 44500))
        lines += [f"Quad {quad}", *cspad_quad_survey(there, 0, digits)]
        parts += there
    text = "\n".join(lines)
    return (parts, text) if with_parts else text


def cspad_pair(seed: int = 5, digits: int = 6) -> tuple[list[Part], str]:
    """Return the two sensors of a cspad2x2, and its survey."""
    rng = np.random.default_rng(seed)
    parts = [
        Part(
            "CSPAD2X2:V1", 0, "SENS2X1:V1", n,
            22000 + rng.normal(0, 20), 34000 - 23000 * n + rng.normal(0, 20), rng.normal(0, 20),
            180.0, 0, 0, *rng.normal(0, 0.2, 3),
        )
        for n in range(2)
    ]  # fmt: skip
    rows = np.concatenate(
        [clockwise_from_lower_left(corners_of(part, CSPAD_SIZE)) for part in parts]
    )
    lines = [
        f"{n} {x:.{digits}f} {y:.{digits}f} {z:.{digits}f}" for n, (x, y, z) in enumerate(rows, 1)
    ]
    return parts, "\n".join(lines)
