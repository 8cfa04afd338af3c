"""Position, slow, fast: three vectors that say where the pixels of an ASIC are.

Pixel (r, c) of an ASIC stands at p + r s + c f. All pixels are taken as normal ones; those that
are wide stand where the normal grid has them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdb.geometry.pixels import Branch, panel_coordinates, panel_stack, segments_of
from cdb.geometry.segments import Floats

Vector = tuple[float, float, float]
Psf = tuple[Vector, Vector, Vector]


def psf_of(branch: Branch, *, frame: int = 1) -> list[Psf]:
    """Return the vectors of each ASIC of a branch, panel by panel.

    Parameters
    ----------
    branch : Branch
        A part with pixels.
    frame : int
        0 psana's, 1 the laboratory's.

    Returns
    -------
    psf : list of (position, slow, fast)
        Of the first pixel, and steps to the next row and column [um].
    """
    coordinates = panel_coordinates(branch, frame=frame, regular=True)
    return [
        corner_psf([u[panel] for u in coordinates], row, col)
        for panel, kind in enumerate(segments_of(branch))
        for row, col in kind.asics
    ]


def corner_psf(coordinates: Sequence[Floats], row: int, col: int) -> Psf:
    """Return the vectors of the grid that begins at a pixel of a panel."""
    # Of a single row or column there is no next one: the step is 0.
    below, right = (
        min(place + 1, n - 1) for place, n in zip((row, col), coordinates[0].shape, strict=True)
    )
    position = [u[row, col] for u in coordinates]
    slow = [u[below, col] - u[row, col] for u in coordinates]
    fast = [u[row, right] - u[row, col] for u in coordinates]
    return _vector(position), _vector(slow), _vector(fast)


def _vector(values: Sequence[Any]) -> Vector:
    x, y, z = map(float, values)
    return x, y, z


def data_psf(branch: Branch, data: NDArray[Any]) -> NDArray[Any]:
    """Return data of a branch by ASIC, (asics, rows, cols).

    Raises
    ------
    BadPayload
        If they have another number of pixels.
    """
    stack = panel_stack(branch, data)
    return np.array(
        [
            panel[row : row + kind.asic_shape[0], col : col + kind.asic_shape[1]]
            for panel, kind in zip(stack, segments_of(branch), strict=True)
            for row, col in kind.asics
        ]
    )


def pixel_coords_psf(psf: Sequence[Psf], asic_shape: tuple[int, int]) -> list[Floats]:
    """Return x, y and z of the pixels that the vectors mean, each (asics, rows, cols) [um]."""
    rows = np.arange(asic_shape[0], dtype=np.float64)[:, np.newaxis]
    cols = np.arange(asic_shape[1], dtype=np.float64)
    return [
        np.array(
            [cols * fast[axis] + rows * slow[axis] + position[axis] for position, slow, fast in psf]
        )
        for axis in range(3)
    ]


def info_psf(psf: Sequence[Psf]) -> str:
    """Return the vectors as text, a line each."""
    return "".join(
        "\np=({:12.2f}, {:12.2f}, {:12.2f})  s=({:8.2f}, {:8.2f}, {:8.2f})"
        "  f=({:8.2f}, {:8.2f}, {:8.2f})".format(*position, *slow, *fast)
        for position, slow, fast in psf
    )
