"""Masks that a sensor type alone tells: edges, borders between ASICs, unbonded pixels."""

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cdb.geometry.segments import Segment

# What the bits of a mask word ask for.
EDGES, CENTRAL, UNBONDED, FOUR_NEIGHBOURS, EIGHT_NEIGHBOURS = 1, 2, 4, 8, 16


def segment_mask(
    segment: Segment,
    *,
    mbits: int = 0o377,
    width: int | None = None,
    wcenter: int | None = None,
    edge_rows: int | None = None,
    edge_cols: int | None = None,
    center_rows: int | None = None,
    center_cols: int | None = None,
    dtype: DTypeLike = np.uint8,
) -> NDArray[np.generic]:
    """Return the mask of a sensor: 1 good, 0 masked.

    Of the generation ``psana`` the numbers of rows and columns say what is masked, and the bits
    are for unbonded pixels alone. Of ``PSCalib`` the bits say all, and `width` and `wcenter` how
    many rows and columns.

    Parameters
    ----------
    segment : Segment
        The sensor.
    mbits : int
        1 edges and 2 borders between ASICs (``PSCalib`` only); 4 unbonded pixels, 8 these and
        their four neighbours, 16 these and their eight.
    width : int, optional
        Rows and columns at the edge, instead of `edge_rows` and `edge_cols`, if above 0.
    wcenter : int, optional
        Rows and columns on either side of a border between ASICs, instead of `center_rows` and
        `center_cols`, if above 0.
    edge_rows, edge_cols, center_rows, center_cols : int, optional
        Each by itself; None: as many as the sensor type says, mostly one.
    dtype : dtype
        Of the mask.

    Returns
    -------
    mask : ndarray, shape (rows, cols)
        1 good, 0 masked.
    """
    good = np.ones(segment.shape, dtype=np.bool_)
    rule = segment.mask_rule
    if segment.generation == "PSCalib":
        edge = (1 if width is None else width) if mbits & EDGES else 0
        if wcenter is None:
            # The width of jungfrau's edges is that of its borders too.
            wcenter = width if segment.name.startswith("JUNGFRAU") else None
        center = (1 if wcenter is None else wcenter) if mbits & CENTRAL else 0
        edges, centers = (edge, edge), (center, center)
    else:
        edges = _chosen(width, edge_rows, rule.edges), _chosen(width, edge_cols, rule.edges)
        centers = (
            _chosen(wcenter, center_rows, rule.center_rows or 0),
            _chosen(wcenter, center_cols, rule.center_cols or 0),
        )
    _hide_edges(good, *edges)
    if rule.center_rows is not None:
        _hide_borders(good, segment.rows.gaps, centers[0])
    if rule.center_cols is not None:
        _hide_borders(good.T, segment.cols.gaps, centers[1])
    if rule.unbonded:
        _hide_unbonded(good, segment, mbits)
    good &= ~(np.isnan(segment.rows.places)[:, np.newaxis] | np.isnan(segment.cols.places))
    return good.astype(dtype)


def _chosen(width: int | None, own: int | None, default: int) -> int:
    """Return how many rows or columns are masked."""
    if width is not None and width > 0:
        return width
    return default if own is None else own


def _hide_edges(good: NDArray[np.bool_], n_rows: int, n_cols: int) -> None:
    for lines, n in ((good, n_rows), (good.T, n_cols)):
        if n > 0:
            lines[:n] = lines[-n:] = False


def _hide_borders(lines: NDArray[np.bool_], gaps: tuple[int, ...], n: int) -> None:
    if n > 0:
        for gap in gaps:
            lines[max(0, gap - n) : gap + n] = False


def _hide_unbonded(good: NDArray[np.bool_], segment: Segment, mbits: int) -> None:
    """Hide the pixels of each ASIC's diagonal that are not bonded, and their neighbours."""
    if not mbits & (UNBONDED | FOUR_NEIGHBOURS | EIGHT_NEIGHBOURS):
        return
    n_rows, n_cols = segment.asic_shape
    for row, col in segment.asics:
        asic = good[row : row + n_rows, col : col + n_cols]
        for place in range(0, n_rows, 10):
            near = slice(max(0, place - 1), place + 2)
            if mbits & EIGHT_NEIGHBOURS:
                asic[near, near] = False
            elif mbits & FOUR_NEIGHBOURS:
                itself = asic[place, place]
                asic[near, place] = asic[place, near] = False
                if segment.compat and place == 0:
                    asic[place, place] = itself
            else:
                asic[place, place] = False
