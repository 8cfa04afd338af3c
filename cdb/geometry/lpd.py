"""Geometry files of the LPD at the European XFEL: HDF5 with the places of quadrants and tiles.

Needs h5py, the extra ``[hdf5]``.

References
----------
EXtra-geom 1.17, ``LPD_1MGeometry.from_h5_file_and_quad_positions``: what the numbers mean. They
are the last corner of each quadrant, module and tile, in that order from the beam, x to the left
of one who looks along the beam and y up [mm].
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cdb.errors import BadFile, BadQuestion, shown
from cdb.geometry.tree import Geometry, Part

_SENSOR = "MTRX:V2:32:128:500:500"
# From the last corner of a tile to its centre [um].
_TO_CENTER = (-128 * 500 / 2, -32 * 500 / 2)
# As data go through the tiles: T01 to T08 stand from top to bottom, T09 to T16 from bottom to top
# beside them, and the first row of data is that at the bottom.
_TILES = tuple(tile for row in range(8) for tile in (8 - row, 9 + row))


def read(
    path: Path | str,
    quadrants: Sequence[tuple[float, float]] | None = None,
    *,
    distance: float = 0.0,
) -> Geometry:
    """Return the geometry of an LPD 1M.

    Parameters
    ----------
    path : Path or str
        Of the HDF5 file.
    quadrants : sequence of 4 (float, float), optional
        x and y of each quadrant [mm]; needed where the file does not have them.
    distance : float
        Of the detector behind the sample [m]; the file does not know it.

    Returns
    -------
    geometry : Geometry
        Quadrants of 4 modules of 16 tiles, in the order of the data: an array
        (16, 256, 256) is cut by ``array.reshape(16, 8, 32, 2, 128).swapaxes(2, 3)``.

    Raises
    ------
    BadFile
        If the file is no HDF5 or lacks a place.
    BadQuestion
        If h5py is missing, or there are not four places of quadrants.
    """
    try:
        import h5py
    except ImportError as error:
        raise BadQuestion("HDF5 files need h5py: pip install 'cdb[hdf5]'") from error
    if quadrants is not None and np.shape(quadrants) != (4, 2):
        raise BadQuestion(f"quadrants are 4 pairs of x and y, not {shown(quadrants)}")
    try:
        with h5py.File(path, "r") as file:
            parts = list(_parts(file, quadrants, str(path)))
    except OSError as error:
        raise BadFile(f"{path} cannot be read as HDF5: {error}") from None
    camera = Part("IP", 0, "LPD", 0, 0, 0, 0 - distance * 1e6, 90, 0, 0, 0, 0, 0)
    return Geometry((f"TITLE LPD 1M, made of {Path(path).name}",), (*parts, camera))


def _parts(file: Any, quadrants: Sequence[tuple[float, float]] | None, name: str) -> list[Part]:
    tiles, groups = [], []
    for quad in range(4):
        where = f"Q{quad + 1}"
        place = _place(file, where, name) if quadrants is None else quadrants[quad]
        groups.append(_part(("LPD", 0), ("QUAD", quad), place))
        for module in range(4):
            key = ("MODULE", 4 * quad + module)
            place = _place(file, f"{where}/M{module + 1}", name)
            groups.append(_part(("QUAD", quad), key, place))
            for n, tile in enumerate(_TILES):
                place = _place(file, f"{where}/M{module + 1}/T{tile:02}", name)
                tiles.append(_part(key, (_SENSOR, n), place, _TO_CENTER, rot_z=180))
    return [*tiles, *groups]


def _part(
    parent: tuple[str, int],
    key: tuple[str, int],
    place: Sequence[float],
    shift: tuple[float, float] = (0.0, 0.0),
    *,
    rot_z: float = 0.0,
) -> Part:
    """Return a part; in the frame of a camera x runs to the right of one who looks at it."""
    x, y = (float(value) * 1000 + by for value, by in zip(place, shift, strict=True))
    return Part(*parent, *key, 0.0 - x, y, 0.0, rot_z, 0.0, 0.0, 0.0, 0.0, 0.0)


def _place(file: Any, where: str, name: str) -> tuple[float, float]:
    try:
        values = np.asarray(file[f"{where}/Position"][:2], dtype=np.float64)
    except (KeyError, ValueError, TypeError):
        values = np.empty(0)
    if values.shape != (2,) or not np.isfinite(values).all():
        hint = "; give the quadrants" if where.startswith("Q") and "/" not in where else ""
        raise BadFile(f"{name} has no place of {where}{hint}")
    return float(values[0]), float(values[1])
