"""The calibration-constants database for X-ray laser detectors.

>>> import cdb
>>> with cdb.open("memory://") as db:
...     version = db.add([4, 6, 30, 10], detector="epix_000001", ctype="common_mode", run=7)
...     det = db.detector("epix_000001", run=8)
>>> data, meta = det.calibconst["common_mode"]
>>> data
[4, 6, 30, 10]
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cdb.calibconst import Calibconst
    from cdb.constant import Version
    from cdb.database import Database
    from cdb.detector import Detector
    from cdb.errors import CalibError, NotFound
    from cdb.opening import open  # noqa: A004 - users write cdb.open()
    from cdb.replaying import replay
    from cdb.stamps import Stamp

__all__ = [
    "CalibError", "Calibconst", "Database", "Detector", "NotFound", "Stamp", "Version", "open",
    "replay",
]  # fmt: skip
__version__ = "0.1.0"

_HOMES = {
    "CalibError": "errors",
    "Calibconst": "calibconst",
    "Database": "database",
    "Detector": "detector",
    "NotFound": "errors",
    "Stamp": "stamps",
    "Version": "constant",
    "open": "opening",
    "replay": "replaying",
}


def __getattr__(name: str) -> object:
    """Load a public name on first use, so that importing the package stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'cdb' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"cdb.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted([*__all__, "__version__"])
