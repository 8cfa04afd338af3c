"""Which geometry a command is about: a file, or the constant in force."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cdb.cli import options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cdb.constant import Version
    from cdb.geometry.tree import Geometry

# What says which constant, of which nothing is asked where a file is given.
_OF_CONSTANTS = ("detector", "experiment", "dbsuffix", "run", "time", "version")


replace = click.option("-y", "--yes", is_flag=True, help="Replace a file that is there.")


@dataclass(frozen=True)
class Found:
    """A geometry that was read.

    Attributes
    ----------
    geometry : Geometry
        Its parts.
    name : str
        What sentences and titles call it.
    dettype : str or None
        Detector type, where it is known.
    version : Version or None
        The constant, where it is one.
    """

    geometry: "Geometry"
    name: str
    dettype: str | None
    version: "Version | None"

    def as_json(self) -> dict[str, Any]:
        """Return where it was found."""
        constant = None if self.version is None else self.version.as_json()
        return {"name": self.name, "constant": constant}


@dataclass(frozen=True)
class Where:
    """A file with a geometry, or what names constants.

    Attributes
    ----------
    file : Path or None
        The file.
    asked : dict
        Arguments of `Database.version`, without the type of the constant.
    url : str or None
        The store.
    """

    file: Path | None
    asked: dict[str, Any]
    url: str | None

    def require_alone(self, *allowed: str, reason: str = "") -> None:
        """Refuse options that name a constant beside a file.

        Parameters
        ----------
        allowed : str
            Options that mean something all the same.
        reason : str, optional
            Ends the sentence.
        """
        given = [name for name in _OF_CONSTANTS if self.asked[name] is not None]
        beside = [f"--{name}" for name in given if name not in allowed]
        if self.file is not None and beside:
            raise click.UsageError(
                f"{self.file} is a file, and {', '.join(beside)} name a constant; give one of "
                f"them{reason}"
            )
        if self.file is None and self.asked["detector"] is None:
            raise click.UsageError("which geometry? give a FILE, or -d DETECTOR (and -e, -r)")

    def read(self) -> Found:
        """Return the geometry of the file, or the one in force."""
        return self.from_store() if self.file is None else read_file(self.file, self.dettype)

    @property
    def dettype(self) -> str | None:
        """The detector type that was said beside a file."""
        name = self.asked["detector"]
        return name.partition("_")[0].lower() if name else None

    def from_store(self) -> Found:
        """Return the geometry in force."""
        import cdb
        from cdb.geometry import tree

        with cdb.open(self.url) as db:
            version = db.version(ctype="geometry", **self.asked)
            text = db.data(version)
        name = f"geometry of {version.detector}, runs {version.runs}"
        return Found(tree.parse(str(text), name), name, version.dettype, version)

    def array(self, ctype: str) -> "tuple[NDArray[np.generic], Version]":
        """Return the constant in force of another type, an array."""
        import numpy as np

        import cdb
        from cdb.cli.command import failure

        with cdb.open(self.url) as db:
            version = db.version(ctype=ctype, **self.asked)
            data = db.data(version)
        if not isinstance(data, np.ndarray):
            raise failure(f"{ctype} of {version.detector} is no array: only arrays make an image")
        return data, version


def read_file(path: Path, dettype: str | None = None) -> Found:
    """Return the geometry in a file: a geometry text, or CrystFEL's if it ends in .geom."""
    return parsed(text_of(path), path, dettype)


def parsed(text: str, path: Path, dettype: str | None = None) -> Found:
    """Return the geometry in the text of a file."""
    from cdb.geometry import crystfel, geom_file, tree

    if path.suffix.lower() == ".geom":
        geometry = crystfel.to_geometry(geom_file.parse(text, str(path))).geometry
    else:
        geometry = tree.parse(text, str(path))
    return Found(geometry, str(path), dettype, None)


def text_of(path: Path) -> str:
    """Return the text in a file."""
    from cdb.files import formats

    return str(formats.read(path, dtype="txt"))


def which_geometry(command: Callable[..., Any]) -> Any:
    """Give a command FILE and the options that name a constant, as its first argument."""

    @functools.wraps(command)
    def gathered(
        *,
        file: Path | None,
        detector: str | None,
        experiment: str | None,
        dbsuffix: str | None,
        run: int | None,
        time_stamp: int | str | None,
        time_sec: int | str | None,
        version: str | None,
        rule: str,
        as_of: int | str | None,
        tag: str | None,
        url: str | None,
        **others: Any,
    ) -> None:
        asked = {
            "detector": detector, "experiment": experiment, "dbsuffix": dbsuffix, "run": run,
            "time": options.given_time(time_stamp, time_sec), "version": version, "rule": rule,
            "as_of": as_of, "tag": tag,
        }  # fmt: skip
        command(Where(file, asked, url), **others)

    run = options.run_option("-r", "--run", help="Run.  [default: the far future]")
    return options.together(
        click.argument("file", required=False, type=options.file_path, metavar="[FILE]"),
        options.any_detector, options.experiment, options.dbsuffix, run, options.times,
        options.label, options.rule, options.as_of, options.tag, options.url,
    )(gathered)  # fmt: skip
