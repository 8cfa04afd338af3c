"""Which constants are asked for: of which detector, made of which panels, of which time."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Self

from cdb import lcls1_names, names
from cdb.errors import BadFile, BadName, BadQuestion, BadRun, CalibError, NotFound, shown
from cdb.files import repository

if TYPE_CHECKING:
    from cdb.readers.frames import Run, Source

# Of these the panels have ids that tell them from each other.
WITH_IDS = ("epix100", "epix10k", "jungfrau")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")


@dataclass(frozen=True)
class Asked:
    """A detector at a time.

    Attributes
    ----------
    detector : str
        A source, a short or a long name.
    ids : tuple of str
        Of its panels, in their order; empty where nobody says.
    stamp : str or None
        The time, 14 digits by SLAC's clock; None for the newest there is.
    time : datetime or None
        The same, in UTC: from when on the constants hold.
    shape : tuple of int or None
        Of a frame, where a run told it.
    """

    detector: str
    ids: tuple[str, ...] = ()
    stamp: str | None = None
    time: datetime | None = None
    shape: tuple[int, ...] | None = None

    @classmethod
    def of(
        cls,
        detector: str,
        *,
        ids: Sequence[str] = (),
        stamp: str | None = None,
        run: str | None = None,
    ) -> Self:
        """Return what is asked for, as users say it.

        Parameters
        ----------
        detector : str
            A source (``CxiDs1.0:Jungfrau.0``), a short or a long name; a long one says the ids.
        ids : sequence of str, optional
            Of the panels; several in one text are joined by ``_``.
        stamp : str, optional
            A time as `cdb.files.repository.parse_stamp` takes it; or the number of a run, up to
            9999, whose time is read from raw data.
        run : str, optional
            Raw data: a file, a folder, ``exp=...:run=...:dir=...``, that say what is not given.

        Raises
        ------
        BadName, BadTime
            If something is none.
        CalibError
            If the raw data do not tell.
        """
        names.check_detector(detector)
        source = lcls1_names.source_in(detector)
        known = _checked(one for each in ids for one in each.split("_") if one)
        if not known and source is None and not names.is_short_name(detector):
            known = names.panel_ids(detector)
        asked = cls(source or detector, known)
        if stamp is not None:
            digits = repository.parse_stamp(stamp)
            asked = cls(asked.detector, known, digits, repository.time_of_stamp(digits))
        return asked if run is None else asked._filled(run)

    @property
    def dettype(self) -> str:
        """Detector type, in small letters, as repositories call it."""
        return repository.dettype_of(self.detector)

    @property
    def source(self) -> str | None:
        """The source of LCLS-I, if it is named by one."""
        return lcls1_names.source_in(self.detector)

    @cached_property
    def id(self) -> str:
        """What folders of a repository are called by: the ids of the panels, or the source.

        Raises
        ------
        NotFound
            If nobody says the ids.
        """
        if self.ids:
            return "_".join(self.ids)
        if self.source is None or self.dettype.startswith(WITH_IDS):
            raise NotFound(
                f"the ids of the panels of {self.detector} are not given, and its constants are "
                "kept by them; give --id, or raw data that tell them (--raw, `cdb raw panels`)"
            )
        return repository.name_of_source(self.source)

    def _filled(self, run: str) -> Self:
        """Return the same with what raw data tell and nobody said."""
        try:
            return self._told_by(run)
        except (BadFile, BadQuestion, BadRun) as error:
            raise BadFile(f"{error}; or give the time with -t and ids with --id") from None

    def _told_by(self, run: str) -> Self:
        from cdb import readers, run_facts

        with readers.open_run(run) as opened:
            begin = opened.begin
            source = self._source_among(opened)
            ids = self.ids or tuple(run_facts.panels_of(opened, source))
        if self.stamp is not None:
            return replace(self, ids=ids, shape=source.shape)
        if begin is None:
            raise NotFound(f"{run} does not say when it began; give the time with -t")
        stamp = repository.stamp_of(begin)
        return replace(self, ids=ids, stamp=stamp, time=begin, shape=source.shape)

    def _source_among(self, opened: "Run") -> "Source":
        """Return the source of raw data that is the detector; not one that says to be another."""
        try:
            return opened.source(self.detector)
        except NotFound:
            only = opened.source(None)
            other = lcls1_names.source_in(only.name.partition("/")[0])
            is_same_type = other is not None and repository.dettype_of(other) == self.dettype
            if other is not None and (self.source is not None or not is_same_type):
                raise
            return only

    def before(self) -> str:
        """Return the time for a sentence."""
        return "" if self.stamp is None else f" at or before {self.stamp}"


def _checked(ids: Iterable[str]) -> tuple[str, ...]:
    """Return ids of panels if folders can be called by them, and each panel is there once."""
    known: dict[str, None] = {}
    for one in ids:
        if not _ID.fullmatch(one):
            raise BadName(
                f"{shown(one)} is no id of a panel; these are made of letters, digits and -"
            )
        if one in known:
            raise BadName(f"panel {shown(one)} is given twice; give each once, in their order")
        known[one] = None
    return tuple(known)


def run_of_stamp(text: str | None) -> int | None:
    """Return the number of a run that is given in place of a time, as the old tools take it.

    Examples
    --------
    >>> run_of_stamp("260"), run_of_stamp("20160318190730")
    (260, None)
    """
    if text is None or not text.isascii() or not text.isdecimal() or int(text[:20]) > 9999:
        return None
    return int(text)


def stamp_of_run(dataset: str, number: int) -> str:
    """Return the time of a run of a dataset, 14 digits.

    Raises
    ------
    NotFound
        If it cannot be told; the sentence says why, and what to give instead.
    """
    from cdb import readers

    why = "it does not say when it began"
    try:
        with readers.open_run(dataset) as opened:
            if opened.begin is not None:
                return repository.stamp_of(opened.begin)
    except CalibError as error:
        why = str(error)
    raise NotFound(f"the time of run {number} is not known: {why}; give it, -t YYYYmmddHHMMSS")
