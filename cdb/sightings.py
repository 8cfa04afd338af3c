"""Where a detector was seen: the experiments and runs that have constants of it.

The database and the calib trees of LCLS-I answer alike; a tree is looked for where LCLS has them,
``<INS>/<exp>/calib`` below a root, so that folders of data are not walked through.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cdb import lcls1_names
from cdb.errors import BadFile
from cdb.files import lcls1
from cdb.files.lcls1 import Report, warn
from cdb.names import experiment_database
from cdb.validity import RunRange

if TYPE_CHECKING:
    from cdb.database import Database
    from cdb.reading import AsOf
    from cdb.remote import RemoteDatabase


@dataclass(frozen=True)
class Sighting:
    """Constants of one type that there are of a detector.

    Attributes
    ----------
    detector : str
        The source of LCLS-I, where it is one, else the short name.
    longname : str
        Which the register has, or would have. Of a source in the table of LCLS-I it begins with
        the name under which psana converts it, such as ``cspad_0001``.
    experiment : str or None
        None where the folder tells none.
    ctype : str
    runs : tuple of str
        The ranges, as ``5-end``, in order of their first runs.
    where : str
        The database or the tree.
    """

    detector: str
    longname: str
    experiment: str | None
    ctype: str
    runs: tuple[str, ...]
    where: str

    def fits(self, *, detector: str | None = None, instrument: str | None = None) -> bool:
        """Return whether the name has a text in it, and the experiment is of an instrument.

        Examples
        --------
        >>> seen = Sighting("CxiDs1.0:Cspad.0", "cspad_0001", "cxi01516", "pedestals", (), "")
        >>> seen.fits(detector="cspad.", instrument="CXI"), seen.fits(detector="cspad2x2")
        (True, False)
        """
        asked = (detector or "").lower()
        named = asked in self.detector.lower() or asked in self.longname.lower()
        of = (self.experiment or "").lower()
        return named and (instrument is None or of.startswith(instrument.lower()))


def trees_below(root: Path | str) -> list[Path]:
    """Return the calib trees below a root: PATH, PATH/INS, an experiment, or a tree itself.

    Raises
    ------
    BadFile
        If the root is no folder.
    """
    root = Path(root)
    if not root.is_dir():
        raise BadFile(f"there is no folder {root}; give one below which calib trees lie")
    if root.name == "calib" or any(root.glob("*::*")):
        return [root]
    patterns = ("calib", "*/calib", "*/*/calib")
    return [path for pattern in patterns for path in sorted(root.glob(pattern)) if path.is_dir()]


def in_tree(calib: Path | str, report: Report = warn) -> Iterator[Sighting]:
    """Yield what a calib tree has, in the order of its names.

    Parameters
    ----------
    calib : Path or str
        The tree.
    report : callable, optional
        Called with each name that cannot be used.
    """
    experiment = lcls1.experiment_of(calib)
    for folder in lcls1.walk(calib, report):
        files = lcls1.valid_files(folder.path, report)
        runs = sorted({file.runs for file in files}, key=lambda one: (one.begin, one.end))
        yield Sighting(
            folder.source, lcls1_names.long_name(folder.source, folder.group), experiment,
            folder.ctype, tuple(map(str, runs)), str(calib),
        )  # fmt: skip


def in_database(
    db: "Database | RemoteDatabase",
    detector: str | None = None,
    *,
    as_of: "AsOf | None" = None,
    tag: str | None = None,
) -> Iterator[Sighting]:
    """Yield what the experiments of a database have, in the order of their names.

    Parameters
    ----------
    db : Database
    detector : str, optional
        Only detectors with this in their names.
    as_of, tag : optional
        The state that is asked, see `Database.find`.
    """
    registered = db.detectors(as_of=as_of, tag=tag)
    long_names = {str(one["detector"]): str(one["longname"] or "") for one in registered}
    for known in db.experiments(as_of=as_of, tag=tag):
        experiment = str(known["experiment"])
        for short in known["detectors"]:
            longname = long_names.get(short) or short
            name = source_of(longname) or short
            if not any((detector or "").lower() in one.lower() for one in (name, longname, short)):
                continue
            runs: dict[str, set[RunRange]] = {}
            for version in db.find(experiment=experiment, detector=short, as_of=as_of, tag=tag):
                runs.setdefault(version.ctype, set()).update([version.runs] if version.runs else [])
            for ctype, ranges in sorted(runs.items()):
                ordered = sorted(ranges, key=lambda one: (one.begin, one.end))
                yield Sighting(
                    name, longname, experiment, ctype, tuple(map(str, ordered)),
                    experiment_database(experiment),
                )  # fmt: skip


def source_of(longname: str) -> str | None:
    """Return the source of LCLS-I that a long name ends with; None if there is none.

    Examples
    --------
    >>> source_of("cspad_0001_CxiDs1.0:Cspad.0"), source_of("epix10ka_0123-45")
    ('CxiDs1.0:Cspad.0', None)
    """
    return lcls1_names.source_in(longname.rpartition("_")[2])
