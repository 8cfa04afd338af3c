"""What a detector is: its name, its run, its constants, and how to ask for another run."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, Self

from cdb.calibconst import Calibconst, Recipe
from cdb.detector import gone
from cdb.errors import NotFound, WrongState
from cdb.names import TagName
from cdb.validity import parse_run

if TYPE_CHECKING:
    from cdb.pixel_map import Motion


class Event(Protocol):
    """An event of psana, which knows its run."""

    def run(self) -> Any:
        """Return the number of the run, or what has it as `runnum`."""


Run = int | str | Event | None
# Detectors of so many other runs are kept.
_KEPT_RUNS = 8


@dataclass(frozen=True)
class OfRun:
    """What a detector is; its attributes are those of `cdb.Detector`."""

    name: str
    longname: str
    experiment: str | None
    run: int | None
    seq: int
    calibconst: Calibconst
    tag: TagName | None = None
    ask: "Callable[[int], Any] | None" = field(default=None, repr=False, compare=False)
    motions: "tuple[Motion, ...]" = ()
    _kept: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Keep the detectors of some other runs."""
        object.__setattr__(self, "_asked", lru_cache(_KEPT_RUNS)(self._ask))

    def __reduce__(self) -> Recipe:
        """Pickle by reference, as the constants do."""
        remake, arguments = self.calibconst.__reduce__()
        again = remake, (*arguments[:-1], "detector")
        return (_moved_again, (*again, self.motions)) if self.motions else again

    @property
    def dettype(self) -> str:
        """Detector type, as the name begins."""
        return self.name.partition("_")[0]

    def instrument(self) -> str:
        """Return the instrument whose experiment it is, such as ``CXI``.

        Raises
        ------
        NotFound
            If no experiment was named, or its name does not begin with an instrument.
        """
        named = re.fullmatch(r"([a-z]{3})[a-z0-9]{3,}", self.experiment or "")
        if not named:
            raise NotFound(
                f"{self.experiment or 'no experiment'} tells no instrument, as cxi01516 does; "
                f"ask for db.detector({self.longname!r}, experiment=...)"
            )
        return named[1].upper()

    def for_run(self, run: Run = None) -> Self:
        """Return the detector for another run, as of the same state; itself for its own run.

        Parameters
        ----------
        run : int, str or Event, optional
            Its number, or an event of psana of that run; its own without it.

        Raises
        ------
        BadRun
            If it is no run number.
        WrongState
            If only its own run is known, as of one that was replayed from a stamp.
        """
        if run is None:
            return self
        number = parse_run(_number_of(run))
        if number == self.run:
            return self
        asked: Callable[[int], Self] = self.__dict__["_asked"]
        return asked(number)

    def _ask(self, run: int) -> Self:
        if self.ask is None:
            raise WrongState(
                f"these are the constants of {self.name} for run {self.run} alone, as a stamp "
                f"names them; for run {run} ask the database: db.detector({self.longname!r}, "
                f"run={run})"
            )
        other: Self = self.ask(run)
        return replace(other, motions=self.motions)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Say what became of a call of LCLS-I that is not here."""
            raise AttributeError(gone.sentence(name, type(self).__name__))

    def _once(self, key: Any, make: Callable[[], Any]) -> Any:
        """Return what was made before under a key, or make it."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]


def _number_of(run: int | str | Event) -> Any:
    """Return the number of a run: itself, or what an event of psana says."""
    asked = getattr(run, "run", None)
    if not callable(asked):
        return run
    found = asked()
    return getattr(found, "runnum", found)  # LCLS-II's events return their run


def _moved_again(
    remake: Callable[..., OfRun], arguments: tuple[Any, ...], motions: "tuple[Motion, ...]"
) -> OfRun:
    """Make a detector that was moved again in another process, from its reference."""
    return replace(remake(*arguments), motions=motions)
