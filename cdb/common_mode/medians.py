"""Rows, columns, banks and panels, corrected by the median of their good pixels, in place."""

from typing import Any

from numpy.typing import NDArray

from cdb.common_mode.groups import (
    Floats,
    Groups,
    Rule,
    at_least,
    checked_floats,
    correct,
    more_than,
)  # fmt: skip
from cdb.errors import BadArray, BadQuestion, shown

COMPAT = "psana"


def common_mode_rows(
    data: Floats,
    mask: NDArray[Any] | None = None,
    cormax: float | None = None,
    npix_min: float = 10,
) -> None:
    """Subtract from each row the median of its good pixels, in place.

    Parameters
    ----------
    data : ndarray of floats, shape (..., n_rows, n_cols)
        Corrected in place [ADU].
    mask : ndarray, optional
        Good pixels, shaped as the data or as a panel; all without it. Only they are changed.
    cormax : float, optional
        An offset as large as this, either way, is not subtracted [ADU].
    npix_min : float, optional
        In a row with only so many good pixels, or fewer, nothing is done.

    Raises
    ------
    BadArray
        If the data are no floats of two dimensions or more, or the mask does not fit.
    """
    correct(data, mask, Groups("rows", height=1), Rule(cormax, more_than(npix_min)))


def common_mode_cols(
    data: Floats,
    mask: NDArray[Any] | None = None,
    cormax: float | None = None,
    npix_min: float = 10,
) -> None:
    """Subtract from each column the median of its good pixels; see `common_mode_rows`."""
    correct(data, mask, Groups("columns", width=1), Rule(cormax, more_than(npix_min)))


def common_mode_2d(
    data: Floats,
    mask: NDArray[Any] | None = None,
    cormax: float | None = None,
    npix_min: float = 10,
) -> None:
    """Subtract from each panel the median of its good pixels; see `common_mode_rows`.

    So many good pixels are enough here, where rows want more.
    """
    correct(data, mask, Groups("panels"), Rule(cormax, at_least(npix_min)))


def common_mode_rows_hsplit_nbanks(
    data: Floats,
    mask: NDArray[Any] | None = None,
    nbanks: int = 4,
    cormax: float | None = None,
    npix_min: float = 10,
) -> None:
    """Correct the rows within each of several equal banks of columns; see `common_mode_rows`."""
    groups = Groups("rows", height=1, width=_width(data, nbanks))
    correct(data, mask, groups, Rule(cormax, more_than(npix_min)))


def common_mode_2d_hsplit_nbanks(
    data: Floats,
    mask: NDArray[Any] | None = None,
    nbanks: int = 4,
    cormax: float | None = None,
    npix_min: float = 10,
    *,
    compat: str | None = None,
) -> None:
    """Correct each of several equal banks of columns as a whole; see `common_mode_2d`.

    With ``compat="psana"`` its rows are corrected where no mask is given, as psana does.
    """
    check_compat(compat)
    if mask is None and compat == COMPAT:
        common_mode_rows_hsplit_nbanks(data, None, nbanks, cormax, npix_min)
        return
    groups = Groups("banks", width=_width(data, nbanks))
    correct(data, mask, groups, Rule(cormax, at_least(npix_min)))


def _width(data: Floats, nbanks: int) -> int:
    n_cols = int(checked_floats(data).shape[-1])
    if nbanks < 1 or n_cols % nbanks:
        raise BadArray(f"{n_cols} columns are not cut into {shown(nbanks)} equal banks")
    return n_cols // nbanks


def check_compat(compat: str | None) -> None:
    """Refuse a name that stands for no other program.

    Raises
    ------
    BadQuestion
        If it is neither None nor ``psana``.
    """
    if compat not in (None, COMPAT):
        raise BadQuestion(f"compat is {shown(compat)}; it is {COMPAT!r} or None")
