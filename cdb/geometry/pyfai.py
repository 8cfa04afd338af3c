"""Geometries as pyFAI's: a NeXus detector with the corners of all pixels, and a .poni text.

pyFAI looks from the sample along the beam, 1 upwards, 2 to the right and 3 along the beam; the
point of normal incidence is where the beam goes. An image is the stack of panels, one below the
other. HDF5 needs h5py, the extra ``[hdf5]``.

References
----------
pyFAI 2026.9, ``pyFAI/detectors/_common.py`` (``NexusDetector``), ``pyFAI/io/ponifile.py``.
"""

import json
import math
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cdb.errors import BadFile, BadQuestion, shown
from cdb.geometry.pixels import branches, panel_stack
from cdb.geometry.tiles import Tile, placements, tiles
from cdb.geometry.tree import Geometry

# In steps of ss and fs; the order in which pyFAI goes around a pixel.
_AROUND = ((0, 0), (1, 0), (1, 1), (0, 1))
# Rows of a panel that are compressed together.
_CHUNK_ROWS = 64


def distance_of(geometry: Geometry, *, generation: str = "psana") -> float:
    """Return how far the panels are behind the sample, in the mean [m]."""
    placed = placements(geometry, generation=generation)
    return -float(np.mean([one.origin[2] for one in placed])) / 1e6


def corners(
    geometry: Geometry,
    *,
    distance: float,
    generation: str = "psana",
    wide: bool = True,
) -> Iterator[NDArray[np.float32]]:
    """Yield the corners of the pixels, panel by panel.

    Parameters
    ----------
    geometry : Geometry
        The parts.
    distance : float
        The plane from which the third coordinate counts [m].
    generation : str
        As for `cdb.geometry.segments.segment`.
    wide : bool
        Whether the pixels between ASICs are as wide as they are, or stand on the normal grid.

    Yields
    ------
    corners : ndarray of float32, shape (rows, cols, 4, 3)
        Of each corner the coordinates 3, 1, 2 (along the beam, up, right) [m]; NaN for pixels
        that do not exist.

    Raises
    ------
    BadName, BadQuestion
        As `cdb.geometry.tiles.tiles` does.
    """
    shapes = [placed.segment.shape for placed in placements(geometry, generation=generation)]
    pieces = tiles(geometry, generation=generation, wide=wide)
    for panel, members in groupby(pieces, key=lambda tile: tile.panel):
        found = np.full((*shapes[panel], 4, 3), np.nan, dtype=np.float32)
        for tile in members:
            found[tile.rows, tile.cols] = _corners(tile, distance)
        yield found


def _corners(tile: Tile, distance: float) -> NDArray[np.float32]:
    n_rows, n_cols = tile.shape
    places = tile.points(np.arange(n_rows + 1), np.arange(n_cols + 1))
    # x of the laboratory points to the left of one who looks along the beam.
    seen = np.stack(
        [places[..., 2] / 1e6 - distance, places[..., 1] / 1e6, -places[..., 0] / 1e6], axis=-1
    )
    around = [seen[row : row + n_rows, col : col + n_cols] for row, col in _AROUND]
    return np.stack(around, axis=2).astype(np.float32)


def write(
    path: Path | str,
    geometry: Geometry,
    *,
    name: str = "detector",
    mask: ArrayLike | None = None,
    generation: str = "psana",
    wide: bool = True,
) -> float:
    """Write a NeXus file that ``pyFAI.detectors.NexusDetector`` reads.

    Parameters
    ----------
    path : Path or str
        Of the file; one that is there is replaced.
    geometry : Geometry
        The parts; all panels of one shape.
    name : str
        Of the detector.
    mask : array_like, optional
        In the shape that arrays of the detector have; 0 where a pixel is bad.
    generation, wide
        As for `corners`.

    Returns
    -------
    distance : float
        That belongs into the .poni file beside it [m].

    Raises
    ------
    BadName, BadQuestion
        As `cdb.geometry.tiles.tiles` does, or if h5py is missing, or the name is none.
    BadPayload
        If the mask has another number of pixels.
    BadFile
        If the panels differ in shape, or the file cannot be written.
    """
    if not (name and name.isprintable() and "/" not in name and name.strip(".")):
        raise BadQuestion(f"{shown(name)} cannot be the name of a detector")
    placed = placements(geometry, generation=generation)
    shapes = {one.segment.shape: one.segment for one in placed}
    if len(shapes) > 1:
        raise BadFile(f"panels of {', '.join(map(str, shapes))} pixels do not stack to an image")
    ((shape, kind),) = shapes.items()
    whole = (len(placed) * shape[0], shape[1])
    distance = distance_of(geometry, generation=generation)
    found = corners(geometry, distance=distance, generation=generation, wide=wide)
    about: dict[str, Any] = {
        "API_VERSION": np.bytes_("1.1"),
        "IS_FLAT": False,
        "IS_CONTIGUOUS": False,
        "CORNERS": 4,
        "force_pixel": True,
        "max_shape": np.array(whole, dtype=np.int32),
        "shape": np.array(whole, dtype=np.int32),
        "orientation": np.int32(3),
        "pixel_size": np.array([kind.rows.pitch, kind.cols.pitch]) / 1e6,
    }
    if mask is not None:
        good = panel_stack(branches(geometry, generation=generation)[-1], np.asarray(mask))
        about["mask"] = (good == 0).reshape(whole).astype(np.int8)
    _write_nexus(Path(path), name, about, found, whole)
    return distance


def _write_nexus(
    path: Path,
    name: str,
    about: dict[str, Any],
    panels: Iterator[NDArray[np.float32]],
    shape: Sequence[int],
) -> None:
    """Write a file beside its place and move it there."""
    try:
        import h5py
    except ImportError as error:
        raise BadQuestion("NeXus files need h5py: pip install 'cdb[hdf5]'") from error
    beside = path.with_name(f".{os.urandom(8).hex()}.part")
    try:
        with h5py.File(beside, "w") as file:
            entry = file.create_group("entry_0000")
            entry.attrs["NX_class"] = "NXentry"
            entry["start_time"] = datetime.now(UTC).isoformat(timespec="seconds")
            part = entry.create_group("pyFAI")
            part.attrs["NX_class"] = "NXsubentry"
            detector = part.create_group(name)
            detector.attrs["NX_class"] = "NXdetector"
            for key, value in about.items():
                detector[key] = value
            detector["pixel_size"].attrs["unit"] = "m"
            chunks = (min(_CHUNK_ROWS, shape[0]), shape[1], 4, 3)
            data = detector.create_dataset(
                "pixel_corners",
                (*shape, 4, 3),
                dtype=np.float32,
                chunks=chunks,
                compression="gzip",
                compression_opts=1,
                shuffle=True,
            )
            data.attrs["interpretation"] = "vertex"
            first = 0
            for panel in panels:
                data[first : first + len(panel)] = panel
                first += len(panel)
        beside.replace(path)
    except OSError as error:
        raise BadFile(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        beside.unlink(missing_ok=True)


def poni(path: Path | str, distance: float, *, wavelength: float | None = None) -> str:
    """Return the .poni text of a detector: no rotation, the beam at the origin.

    Parameters
    ----------
    path : Path or str
        Of the NeXus file that `write` wrote.
    distance : float
        What `write` returned [m].
    wavelength : float, optional
        Of the X-rays [m].

    Raises
    ------
    BadQuestion
        If the wavelength is not above 0.

    Examples
    --------
    >>> print(poni("camera.h5", 0.1, wavelength=1e-10))
    poni_version: 2.1
    Detector: NexusDetector
    Detector_config: {"filename": "camera.h5", "orientation": 3}
    Distance: 0.1
    Poni1: 0.0
    Poni2: 0.0
    Rot1: 0.0
    Rot2: 0.0
    Rot3: 0.0
    Wavelength: 1e-10
    <BLANKLINE>
    """
    about: dict[str, Any] = {
        "poni_version": 2.1,
        "Detector": "NexusDetector",
        "Detector_config": json.dumps({"filename": str(path), "orientation": 3}),
        "Distance": float(distance),
    }
    about |= dict.fromkeys(("Poni1", "Poni2", "Rot1", "Rot2", "Rot3"), 0.0)
    if wavelength is not None:
        if not 0 < wavelength < math.inf:
            raise BadQuestion(f"a wavelength is above 0 m, not {wavelength}")
        about["Wavelength"] = float(wavelength)
    return "".join(f"{key}: {value}\n" for key, value in about.items())
