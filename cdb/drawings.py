"""Pictures of geometries: panels as they stand, a survey and what its fit left, an image.

Drawn as psana shows images: x, along the rows, downwards, and y, along the columns, to the right.
Needs matplotlib, extra [plot].
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cdb import plots
from cdb.errors import BadFile, BadQuestion

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from cdb.geometry.metrology import Metrology
    from cdb.geometry.outlines import Outline
    from cdb.geometry.survey_check import Check

# Endings of images that are values, not pictures of them.
IMAGES = (".npy", ".png", ".tif", ".tiff")
# The types of values that a TIFF keeps exactly; others become float32.
_TIFF = ("uint8", "uint16", "int32", "float32")
# The longest arrow of a residual is drawn this long, of the diagonal of a sensor.
_ARROW = 0.3
# Beyond this number names would cover each other.
_MAX_NAMES = 64


def panels(
    path: Path | str,
    drawn: "Sequence[Outline]",
    *,
    title: str = "",
    image: NDArray[Any] | None = None,
    origin: tuple[float, float] = (0.0, 0.0),
    pixel_size: float = 1.0,
) -> None:
    """Draw the outlines of panels with their numbers, and where the beam is.

    Parameters
    ----------
    path : Path or str
        Of the picture; its ending says what kind.
    drawn : sequence of Outline
        The panels; the first pixel of each gets a dot.
    title : str, optional
        Above all.
    image : ndarray, shape (rows, cols), optional
        What is drawn beneath.
    origin : (float, float), optional
        x and y of the outer corner of its first pixel [um].
    pixel_size : float, optional
        Of it [um].

    Raises
    ------
    BadQuestion
        If matplotlib is not installed.
    BadFile
        If the picture cannot be written.
    """
    plots.check(path)
    figure = plots.blank(10, 10)
    ax = figure.subplots()
    if image is not None:
        low, high = limits(image)
        rows, cols = image.shape
        x, y = (value / 1000 for value in origin)
        size = pixel_size / 1000
        extent = (y, y + cols * size, x + rows * size, x)
        shown = ax.imshow(image, vmin=low, vmax=high, extent=extent, interpolation="nearest")
        figure.colorbar(shown, ax=ax)
    _outline(ax, [panel.corners for panel in drawn], "C0" if image is None else "w")
    for panel in drawn if len(drawn) <= _MAX_NAMES else ():
        x, y, _ = panel.center / 1000
        part = panel.parts[-1]
        ax.text(y, x, f"{panel.number}\n{part.name} {part.index}", ha="center", va="center",
                fontsize=7, color="k" if image is None else "w")  # fmt: skip
    ax.plot(0, 0, "+", color="r", ms=12)
    _finish(ax, title)
    plots.save(figure, Path(path))


def _outline(ax: "Axes", corners: Sequence[NDArray[np.float64]], color: str) -> None:
    """Draw rectangles with a dot at the first corner: all in one line, for there may be many."""
    x, y, _ = np.moveaxis(np.array(corners), -1, 0) / 1000
    # A NaN lifts the pen.
    x, y = (np.column_stack([u, u[:, 0], np.full(len(u), np.nan)]) for u in (x, y))
    ax.plot(y.reshape(-1), x.reshape(-1), "-", color=color, lw=1)
    ax.plot(y[:, 0], x[:, 0], "o", color="C1", ms=4)


def _finish(ax: "Axes", title: str) -> None:
    ax.set_aspect("equal")
    if not ax.yaxis_inverted():
        ax.invert_yaxis()
    ax.set_xlabel("y, along the columns [mm]")
    ax.set_ylabel("x, along the rows [mm]")
    ax.set_title(title, fontsize=9)


def residuals(path: Path | str, found: "Metrology", *, title: str = "") -> None:
    """Draw the corners of a survey, and what the fit of each sensor left of them.

    Arrows are the residuals in the plane of the sensors, dots have the colour of those along z.
    Beside them is the root mean square of each sensor.

    Parameters
    ----------
    path : Path or str
        Of the picture.
    found : Metrology
        A survey made into a geometry.
    title : str, optional
        Above all.

    Raises
    ------
    BadQuestion, BadFile
        As `panels`.
    """
    plots.check(path)
    figure = plots.blank(15, 8)
    figure.suptitle(title, fontsize=9)
    left, right = figure.subplots(1, 2, width_ratios=(2, 1))
    # In the frame of the survey, as it was measured: x to the right, y up.
    corners = np.concatenate([fit.sensor.corners for fit in found.fits])
    apart = np.concatenate([fit.residuals @ fit.rotation.T for fit in found.fits])
    for n, fit in enumerate(found.fits):
        around = np.vstack([fit.sensor.corners, fit.sensor.corners[:1]]) / 1000
        left.plot(around[:, 0], around[:, 1], "-", color="0.7", lw=1)
        x, y, _ = fit.center / 1000
        left.text(x, y, f"{n}\n{fit.sensor.segment.name}", ha="center", va="center", fontsize=7)
    longest = float(np.hypot(apart[:, 0], apart[:, 1]).max())
    scale = _ARROW * float(np.hypot(*found.size)) / (longest or 1.0) / 1000
    left.quiver(
        corners[:, 0] / 1000, corners[:, 1] / 1000, apart[:, 0] * scale, apart[:, 1] * scale,
        angles="xy", scale_units="xy", scale=1, width=0.002, color="C3",
    )  # fmt: skip
    most = float(np.abs(apart[:, 2]).max()) or 1.0
    dots = left.scatter(
        corners[:, 0] / 1000, corners[:, 1] / 1000, c=apart[:, 2], cmap="RdBu_r",
        vmin=-most, vmax=most, s=25, edgecolors="0.5", zorder=3,
    )  # fmt: skip
    figure.colorbar(dots, ax=left, label="residual along z [um]")
    left.set_aspect("equal")
    left.set_xlabel("x [mm]")
    left.set_ylabel("y [mm]")
    left.set_title(f"in the plane: the longest arrow is {longest:.1f} um", fontsize=9)
    right.barh(range(len(found.fits)), [fit.rms for fit in found.fits], color="C0")
    names = [f"{n}: {fit.name}" for n, fit in enumerate(found.fits)]
    right.set_yticks(range(len(found.fits)), names, fontsize=7)
    right.invert_yaxis()
    right.set_xlabel("rms of the residuals [um]")
    plots.save(figure, Path(path))


def survey(path: Path | str, found: "Check", over: "Sequence[Outline]" = ()) -> None:
    """Draw a survey: its points by number, and how far its segments are from flat rectangles.

    Parameters
    ----------
    path : Path or str
        Of the picture.
    found : Check
        A survey that was checked.
    over : sequence of Outline, optional
        Panels of a geometry, laid over the survey by the middle of both.

    Raises
    ------
    BadQuestion, BadFile
        As `panels`.
    """
    plots.check(path)
    figure = plots.blank(15, 8)
    figure.suptitle(found.survey.name, fontsize=9)
    axes = figure.subplot_mosaic(
        [["map", *row] for row in (["dds", "ddl"], ["dd", "dz3"], ["angle", "angle_xz"])],
        width_ratios=(3, 1, 1),
    )
    ax = axes["map"]
    for n, quality in enumerate(found.segments):
        corners = quality.segment.corners
        around = np.vstack([corners, corners[:1]]) / 1000
        ax.plot(around[:, 0], around[:, 1], "-", color="C3", lw=1)
        x, y, _ = corners.mean(axis=0) / 1000
        ax.text(x, y, str(n), ha="center", va="center", fontsize=8)
        for point in quality.segment.points:
            ax.text(point.x / 1000, point.y / 1000, str(point.number), fontsize=6, rotation=45)
    middle = np.mean([quality.segment.corners.mean(axis=0) for quality in found.segments], axis=0)
    for around in _over(over, middle):
        ax.plot(around[:, 0], around[:, 1], "-", color="C0", lw=1)
    ax.set_aspect("equal")
    ax.set_xlabel("x [mm]")
    ax.set_ylabel("y [mm]")
    for name, label in _HISTOGRAMS.items():
        axes[name].hist([getattr(quality, name) for quality in found.segments], bins=30)
        axes[name].set_xlabel(label, fontsize=8)
    plots.save(figure, Path(path))


_HISTOGRAMS = {
    "dds": "short sides, difference [um]",
    "ddl": "long sides, difference [um]",
    "dd": "diagonals, difference [um]",
    "dz3": "off the plane [um]",
    "angle": "angle in the plane [deg]",
    "angle_xz": "slope along x [deg]",
}


def _over(over: "Sequence[Outline]", middle: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return panels in the frame of a survey, x to the right and y up [mm]."""
    if not over:
        return []
    # psana's x runs down, its y to the right.
    turned = [np.column_stack([p.corners[:, 1], -p.corners[:, 0]]) for p in over]
    shift = middle[:2] - np.mean(turned, axis=(0, 1))
    return [(np.vstack([each, each[:1]]) + shift) / 1000 for each in turned]


# Images ----------------------------------------------------------------------------------------


def limits(image: NDArray[Any]) -> tuple[float, float]:
    """Return the values between which nearly all of an image are."""
    values = image[np.isfinite(image)].astype(np.float64)
    if not values.size:
        return 0.0, 1.0
    low, high = (float(x) for x in np.percentile(values, (0.5, 99.5)))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def check_image(path: Path | str) -> None:
    """Refuse an image that cannot be written, before it is assembled.

    Raises
    ------
    BadQuestion
        If a picture is wanted and matplotlib is not installed.
    BadFile
        If the name has another ending than `IMAGES`, or there is no such folder.
    """
    path = Path(path)
    if path.suffix.lower() not in IMAGES:
        raise BadFile(f"{path} is no name of an image; give one that ends in {', '.join(IMAGES)}")
    if path.suffix.lower() != ".npy":
        plots.blank(1, 1)
    if not path.parent.is_dir():
        raise BadFile(f"there is no folder {path.parent} for {path.name}; make it first")


def write_image(path: Path | str, image: NDArray[Any]) -> None:
    """Write an image pixel by pixel: its values as .npy or .tiff, or as a picture of them (.png).

    Parameters
    ----------
    path : Path or str
        Its ending says what kind. A TIFF holds uint8, uint16, int32 or float32 as they are, and
        all else as float32; a PNG shows what lies between the percentiles 0.5 and 99.5.
    image : ndarray, shape (rows, cols)
        Values.

    Raises
    ------
    BadQuestion
        If it needs matplotlib, which is not installed.
    BadFile
        If it cannot be written.
    """
    check_image(path)
    path = Path(path)
    beside = path.with_name(f".{os.urandom(8).hex()}.part")
    try:
        with beside.open("xb") as file:
            if path.suffix.lower() == ".npy":
                np.save(file, image, allow_pickle=False)
            elif path.suffix.lower() == ".png":
                _write_png(file, image)
            else:
                _write_tiff(file, image)
        beside.replace(path)
    except OSError as error:
        raise BadFile(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        beside.unlink(missing_ok=True)


def _write_png(file: Any, image: NDArray[Any]) -> None:
    from matplotlib.image import imsave

    low, high = limits(image)
    imsave(file, image.astype(np.float64), vmin=low, vmax=high, format="png")


def _write_tiff(file: Any, image: NDArray[Any]) -> None:
    try:
        from PIL import Image
    except ImportError as error:  # matplotlib brings it
        raise BadQuestion("TIFF needs pillow; `pip install 'cdb[plot]'` installs it") from error
    kept = image if image.dtype.name in _TIFF else image.astype(np.float32)
    Image.fromarray(kept).save(file, format="TIFF")
