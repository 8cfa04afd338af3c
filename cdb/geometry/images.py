"""Images: the values of pixels where the pixels are, and back."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from cdb.errors import BadPayload, shown
from cdb.geometry.pixels import NOWHERE
from cdb.geometry.segments import MOST_PIXELS


class ImageIndex:
    """Where each pixel goes in an image, worked out once for many images.

    Parameters
    ----------
    rows, cols : ndarray of integers
        Row and column of each pixel, as `cdb.geometry.pixels.indexes` gives them.

    Attributes
    ----------
    shape : tuple of int
        Of the images.
    pixels_shape : tuple of int
        Of the arrays that fill them.

    Raises
    ------
    BadPayload
        If rows and columns differ in shape, are negative or make no image.

    Examples
    --------
    >>> index = ImageIndex(np.array([0, 0, 1]), np.array([0, 2, 1]))
    >>> index.assemble([1, 2, 3], vbase=-1)
    array([[ 1., -1.,  2.],
           [-1.,  3., -1.]], dtype=float32)
    """

    def __init__(self, rows: ArrayLike, cols: ArrayLike) -> None:
        rows, cols = np.asarray(rows), np.asarray(cols)
        if rows.shape != cols.shape or not rows.size:
            raise BadPayload(
                f"rows {rows.shape} and columns {cols.shape} of an image do not belong together"
            )
        if rows.dtype.kind not in "ui" or cols.dtype.kind not in "ui":
            raise BadPayload(f"rows and columns are integers, not {rows.dtype} and {cols.dtype}")
        self.pixels_shape = rows.shape
        flat_rows, flat_cols = rows.reshape(-1), cols.reshape(-1)
        self._present: NDArray[np.intp] | None = None
        missing = (flat_rows == NOWHERE) | (flat_cols == NOWHERE)
        if missing.any():
            self._present = np.flatnonzero(~missing)
            flat_rows, flat_cols = flat_rows[self._present], flat_cols[self._present]
        if not flat_rows.size or min(flat_rows.min(), flat_cols.min()) < 0:
            raise BadPayload("rows and columns of an image count from 0")
        self.shape = int(flat_rows.max()) + 1, int(flat_cols.max()) + 1
        if self.shape[0] * self.shape[1] > MOST_PIXELS:
            raise BadPayload(
                f"an image of {self.shape} pixels is more than the {MOST_PIXELS} that can be had"
            )
        # int64, or numpy would turn it into this for each image.
        self._places = flat_rows.astype(np.int64)
        self._places *= self.shape[1]
        self._places += flat_cols.astype(np.int64, copy=False)

    def assemble(
        self,
        data: ArrayLike,
        *,
        dtype: DTypeLike = np.float32,
        vbase: float = 0,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Return the image of some data; where several pixels meet, the last one is seen.

        Parameters
        ----------
        data : array
            A value for each pixel.
        dtype : dtype
            Of the image.
        vbase : float
            Value where no pixel is.
        out : ndarray, optional
            An image of `shape` to fill instead of a new one; its dtype counts.

        Returns
        -------
        image : ndarray, shape `shape`
            The values, none of them changed but by the dtype.

        Raises
        ------
        BadPayload
            If the data or `out` have another size, or the image cannot hold `vbase`.
        """
        values = np.asarray(data)
        if values.size != np.prod(self.pixels_shape):
            raise BadPayload(
                f"data of {shown(values.shape)} do not fill the image of {self.pixels_shape} pixels"
            )
        if out is not None and (out.shape != self.shape or not out.flags.c_contiguous):
            raise BadPayload(f"an image has {self.shape} pixels in one piece, not {out.shape}")
        try:
            if out is None:
                out = np.empty(self.shape, dtype=(vbase * np.ones((), dtype=dtype)).dtype)
            out.fill(vbase)
        except (OverflowError, ValueError):
            held = np.dtype(dtype) if out is None else out.dtype
            raise BadPayload(f"an image of {held} cannot hold vbase = {shown(vbase)}") from None
        values = values.reshape(-1)
        # numpy promises that of several values for one place the last remains.
        out.reshape(-1)[self._places] = values if self._present is None else values[self._present]
        return out

    def values_of(self, image: NDArray[Any]) -> NDArray[Any]:
        """Return what an image holds at each pixel; 0 for pixels that do not exist.

        Raises
        ------
        BadPayload
            If the image is too small.
        """
        if image.ndim != 2 or image.shape[0] < self.shape[0] or image.shape[1] < self.shape[1]:
            raise BadPayload(f"an image of {image.shape} does not hold {self.shape} pixels")
        found = image[: self.shape[0], : self.shape[1]].reshape(-1)[self._places]
        if self._present is not None:
            full = np.zeros(np.prod(self.pixels_shape), dtype=image.dtype)
            full[self._present] = found
            found = full
        return found.reshape(self.pixels_shape)


def img_from_pixel_arrays(
    rows: ArrayLike,
    cols: ArrayLike,
    W: ArrayLike | None = None,  # noqa: N803 - psana's name
    dtype: DTypeLike = np.float32,
    vbase: float = 0,
) -> NDArray[Any]:
    """Return the image of some data, or of ones; psana's name for `ImageIndex.assemble`.

    Raises
    ------
    BadPayload
        If the sizes differ.
    """
    rows, cols = np.asarray(rows), np.asarray(cols)
    if rows.size != cols.size:
        raise BadPayload(f"rows {rows.shape} and columns {cols.shape} do not belong together")
    index = ImageIndex(rows.reshape(-1), cols.reshape(-1))
    values = np.ones(rows.size) if W is None else W
    return index.assemble(values, dtype=dtype, vbase=vbase)


def convert_mask2d_to_ndarray(
    mask2d: NDArray[Any],
    rows: NDArray[Any],
    cols: NDArray[Any],
    dtype: DTypeLike = np.uint8,
    *,
    compat: bool = False,
) -> NDArray[Any]:
    """Return what an image, say a mask, holds at each pixel, in the shape of the rows.

    Parameters
    ----------
    mask2d : ndarray, shape (rows, cols)
        The image.
    rows, cols : ndarray of integers
        Row and column of each pixel.
    dtype : dtype
        Of the result.
    compat : bool
        Whether the result is flat, as psana's is.
    """
    values = ImageIndex(rows, cols).values_of(mask2d).astype(dtype)
    return values.reshape(-1) if compat else values


def data2x2ToTwo2x1(arr2x2: NDArray[Any]) -> NDArray[Any]:  # noqa: N802 - psana's name
    """Return the data of a CSPAD2X2, (185, 388, 2), as two panels, (2, 185, 388).

    Raises
    ------
    BadPayload
        If they have another size or shape.
    """
    _check_pairs(arr2x2, 2, "(185, 388, 2)")
    return np.ascontiguousarray(np.moveaxis(arr2x2.reshape(185, 388, 2), -1, 0))


def two2x1ToData2x2(arrTwo2x1: NDArray[Any]) -> NDArray[Any]:  # noqa: N802, N803 - psana's names
    """Return two panels, (2, 185, 388), as the data of a CSPAD2X2, (185, 388, 2).

    Raises
    ------
    BadPayload
        If they have another size or shape.
    """
    _check_pairs(arrTwo2x1, 388, "(2, 185, 388)")
    return np.ascontiguousarray(np.moveaxis(arrTwo2x1.reshape(2, 185, 388), 0, -1))


def _check_pairs(array: NDArray[Any], last: int, wanted: str) -> None:
    if array.size != 2 * 185 * 388 or array.shape[-1] != last:
        raise BadPayload(f"data of a CSPAD2X2 are {wanted}, not {shown(array.shape)}")
