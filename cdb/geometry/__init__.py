"""What a geometry constant means."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cdb.geometry.access import GeometryAccess
    from cdb.geometry.images import (
        ImageIndex,
        convert_mask2d_to_ndarray,
        data2x2ToTwo2x1,
        img_from_pixel_arrays,
        two2x1ToData2x2,
    )
    from cdb.geometry.objects import GeometryObject

__all__ = [
    "GeometryAccess", "GeometryObject", "ImageIndex", "convert_mask2d_to_ndarray",
    "data2x2ToTwo2x1", "img_from_pixel_arrays", "two2x1ToData2x2",
]  # fmt: skip

_HOMES = {
    "GeometryAccess": "access",
    "GeometryObject": "objects",
    "ImageIndex": "images",
    "convert_mask2d_to_ndarray": "images",
    "data2x2ToTwo2x1": "images",
    "img_from_pixel_arrays": "images",
    "two2x1ToData2x2": "images",
}


def __getattr__(name: str) -> object:
    """Load a public name on first use, so that importing the package stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'cdb.geometry' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"cdb.geometry.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
