"""Pictures: two arrays and their difference, a value over time. Needs matplotlib, extra [plot]."""

import math
import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cdb import statistics
from cdb.errors import BadFile, BadQuestion
from cdb.shapes import axes_of, blocks, parts
from cdb.statistics import joined

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENDINGS = (".png", ".pdf", ".svg")
# A picture has no more pixels than this along a side, however large the array is.
PIXELS = 1200
BINS = 200

Values = NDArray[np.float64]


def check(path: Path | str) -> None:
    """Refuse a picture that cannot be made, before the numbers for it are computed.

    Raises
    ------
    BadQuestion
        If matplotlib is not installed.
    BadFile
        If the name has another ending than `ENDINGS`, or there is no such folder.
    """
    blank(1, 1)
    path = Path(path)
    if path.suffix.lower() not in ENDINGS:
        raise BadFile(f"{path} is no name of a picture; give one that ends in {', '.join(ENDINGS)}")
    if not path.parent.is_dir():
        raise BadFile(f"there is no folder {path.parent} for {path.name}; make it first")


def blank(width: float, height: float) -> "Figure":
    """Return an empty picture of a size [inches].

    Raises
    ------
    BadQuestion
        If matplotlib is not installed.
    """
    try:
        # Not through pyplot, which looks for a display and keeps figures.
        from matplotlib.figure import Figure
    except ImportError as error:
        raise BadQuestion(
            "pictures need matplotlib, which is not installed here; `pip install 'cdb[plot]'` "
            "installs it"
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def difference(
    path: Path | str,
    a: NDArray[Any],
    b: NDArray[Any],
    *,
    names: tuple[str, str] = ("A", "B"),
    title: str = "",
    dettype: str = "",
) -> None:
    """Draw two arrays, their difference, and the histograms of the three.

    Panels stand side by side, gain ranges one below the other. Of an array with more than
    `PIXELS` along a side every n-th pixel is drawn; in the difference the one that differs most.

    Parameters
    ----------
    path : Path or str
        Of the picture; its ending says what kind.
    a, b : ndarray of numbers, same shape
        Looked at panel by panel.
    names : (str, str), optional
        What the two are called.
    title : str, optional
        Above all.
    dettype : str, optional
        Detector type: which axes count gain ranges and panels.

    Raises
    ------
    BadQuestion
        If they are no arrays of numbers of one shape, or matplotlib is missing.
    BadFile
        If the picture cannot be written.
    """
    check(path)
    if a.shape != b.shape or not (statistics.has_numbers(a) and statistics.has_numbers(b)):
        raise BadQuestion(
            f"only arrays of numbers of one shape can be drawn beside each other, not {a.dtype} "
            f"{a.shape} and {b.dtype} {b.shape}"
        )
    if not a.size:
        raise BadQuestion(f"arrays of the shape {a.shape} have no value to be drawn")
    figure = blank(15, 9)
    if title:
        figure.suptitle(title)
    pictures = _pictures(a, b, dettype)
    above, below = figure.subplots(2, 3)
    first, second, apart = above
    low, high = _limits(np.concatenate([pictures[0].ravel(), pictures[1].ravel()]))
    for ax, picture, name in ((first, pictures[0], names[0]), (second, pictures[1], names[1])):
        figure.colorbar(ax.imshow(picture, vmin=low, vmax=high, interpolation="nearest"), ax=ax)
        ax.set_title(f"A: {name}" if ax is first else f"B: {name}")
    most = float(np.nanmax(np.abs(pictures[2]), initial=0)) or 1.0
    drawn = apart.imshow(pictures[2], vmin=-most, vmax=most, cmap="RdBu_r", interpolation="nearest")
    figure.colorbar(drawn, ax=apart)
    apart.set_title("B - A")
    made = zip(below, _histograms(a, b, dettype), ("A", "B", "B - A"), strict=True)
    for ax, (counts, edges), name in made:
        ax.stairs(counts, edges, fill=True)
        ax.set_yscale("symlog")
        ax.set_xlabel(name)
        ax.set_ylabel("pixels")
    save(figure, Path(path))


def _pictures(a: NDArray[Any], b: NDArray[Any], dettype: str) -> tuple[Values, Values, Values]:
    """Return pictures of a, b and b - a: panels side by side, gain ranges below each other."""
    axes = axes_of(a.shape, dettype)
    rows: dict[str | None, list[tuple[Values, Values, Values]]] = {}
    every = [*parts(a.shape, axes)]
    across = len({part.panel for part in every})
    for part in every:
        first, second = (_flat(array[part.index]) for array in (a, b))
        step = max(1, math.ceil(max(first.shape[0], first.shape[1] * across) / PIXELS))
        drawn = (first[::step, ::step], second[::step, ::step])
        rows.setdefault(part.gain, []).append(
            (
                _wide(drawn[0]),
                _wide(drawn[1]),
                _most_different(first, second, step),
            )
        )
    lines = [[np.hstack([panel[n] for panel in row]) for n in range(3)] for row in rows.values()]
    first, second, apart = (np.vstack([line[n] for line in lines]) for n in range(3))
    return first, second, apart


def _flat(panel: NDArray[Any]) -> NDArray[Any]:
    """Return a panel as rows and columns, whatever it is."""
    wide: NDArray[Any] = np.atleast_2d(panel)
    return wide if wide.ndim == 2 else wide.reshape(wide.shape[0], -1)


def _most_different(a: NDArray[Any], b: NDArray[Any], step: int) -> Values:
    """Return of each square of pixels the difference that is largest; one pixel is seen so."""
    lines: list[Values] = []
    for start in range(0, a.shape[0], step):
        rows = slice(start, start + step)
        apart = _apart(a[rows], b[rows])
        apart[~np.isfinite(apart)] = 0
        columns = np.arange(0, a.shape[1], step)
        most = np.maximum.reduceat(apart.max(axis=0), columns)
        least = np.minimum.reduceat(apart.min(axis=0), columns)
        lines.append(np.where(most >= -least, most, least))
    return np.array(lines)


def _limits(values: Values) -> tuple[float, float]:
    """Return the values between which nearly all are, so that few wild ones spoil no picture."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = (float(x) for x in np.percentile(finite, (0.5, 99.5)))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _histograms(
    a: NDArray[Any], b: NDArray[Any], dettype: str
) -> list[tuple[NDArray[np.int64], Values]]:
    """Return counts and edges of a, b and b - a, over all pixels, a piece at a time."""

    def pieces(which: int) -> Iterator[Values]:
        """Yield the finite values of a, b or b - a."""
        for part in parts(a.shape, axes_of(a.shape, dettype)):
            first, second = (np.atleast_1d(array[part.index]) for array in (a, b))
            for rows in blocks(first.shape):
                chosen = (first, second)[which][rows] if which < 2 else None
                values = _apart(first[rows], second[rows]) if chosen is None else _wide(chosen)
                yield values[np.isfinite(values)]

    made = []
    for which in range(3):
        whole = joined(map(statistics.of_values, pieces(which)))
        low, high = (whole.min, whole.max) if whole.n else (0.0, 1.0)
        if high <= low:
            low, high = low - 0.5, high + 0.5
        edges = np.linspace(low, high, BINS + 1)
        counts = np.zeros(BINS, np.int64)
        for values in pieces(which):
            counts += np.histogram(values, edges)[0]
        made.append((counts, edges))
    return made


def _wide(values: NDArray[Any]) -> Values:
    """Return values in float64."""
    with np.errstate(over="ignore"):
        return values.astype(np.float64)


def _apart(a: NDArray[Any], b: NDArray[Any]) -> Values:
    """Return b - a in float64."""
    with np.errstate(invalid="ignore", over="ignore"):
        return _wide(b) - _wide(a)


def over_time(
    path: Path | str,
    times: Sequence[datetime],
    values: Sequence[float],
    *,
    name: str,
    title: str = "",
) -> None:
    """Draw a value over time, a point each.

    Parameters
    ----------
    path : Path or str
        Of the picture; its ending says what kind.
    times : sequence of datetime
        Aware.
    values : sequence of float
        NaN is left out.
    name : str
        What the value is.
    title : str, optional
        Above all.

    Raises
    ------
    BadQuestion, BadFile
        As `difference`.
    """
    check(path)
    figure = blank(10, 5)
    ax = figure.subplots()
    ax.plot(list(times), list(values), "o-")  # type: ignore[arg-type]
    ax.set_title(title)
    ax.set_ylabel(name)
    ax.set_xlabel("valid from")
    ax.grid(visible=True, alpha=0.3)
    figure.autofmt_xdate()
    save(figure, Path(path))


def save(figure: "Figure", path: Path) -> None:
    """Write a picture beside its place and move it there.

    Raises
    ------
    BadFile
        If it cannot be written.
    """
    beside = path.with_name(f".{os.urandom(8).hex()}.part")
    try:
        figure.savefig(beside, format=path.suffix[1:].lower(), dpi=100)
        beside.replace(path)
    except OSError as error:
        raise BadFile(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        beside.unlink(missing_ok=True)
