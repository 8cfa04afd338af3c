"""What every reader yields: a run, what was recorded in it, and its raw frames in blocks."""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from cdb.errors import BadQuestion, NotFound, shown

# A block holds about this much, and at least one frame [bytes].
BLOCK_BYTES = 64 * 2**20
# No detector has larger frames; what claims to be larger is no frame [bytes].
FRAME_BYTES = 2**30
# Events whose codes are counted.
EVENTS = 1000
# What a stamp is: nanoseconds since 1970 UTC, the number of a train, one counted by the readout,
# or one counted here.
TIME, TRAIN, SEQUENCE, INDEX = "time", "train", "sequence", "index"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Longer names first, so that none hides another.
_TYPES = (
    ("epix10ka2m", "epix10ka2m"), ("epix10kaquad", "epix10kaquad"), ("epix10ka", "epix10ka"),
    ("epixquad", "epix10ka"), ("epix100", "epix100"), ("jungfrau", "jungfrau"),
    ("jngfr", "jungfrau"), ("agipd", "agipd"), ("dssc", "dssc"), ("lpd", "lpd"),
    ("cspad2x2", "cspad2x2"), ("cspad", "cspad"), ("pnccd", "pnccd"), ("gotthard", "gotthard2"),
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A source of frames: a detector, or of the European XFEL one of its modules.

    Attributes
    ----------
    name : str
        As the data acquisition calls it.
    detector_type : str
        ``jungfrau``, ``epix10ka``, ``agipd``, ...; empty where nothing tells it.
    key : str
        Where its frames lie in the run.
    shape : tuple of int
        Of a frame: ([n_panels,] n_rows, n_cols).
    dtype : numpy.dtype
        Of a raw value.
    n_frames : int
        How many frames the run has. Of xtc2 how many events, any of which may lack this source.
    stamped_by : str
        What the stamps of its frames are: ``time`` (nanoseconds since 1970 UTC), ``train``,
        ``sequence`` (counted by the readout) or ``index`` (counted here).
    """

    name: str
    detector_type: str
    key: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    n_frames: int
    stamped_by: str = INDEX

    @property
    def n_panels(self) -> int:
        """How many panels a frame has."""
        return int(math.prod(self.shape[:-2]))

    @property
    def frame_bytes(self) -> int:
        """How long a frame is [bytes]."""
        return int(math.prod(self.shape)) * self.dtype.itemsize


@dataclass(frozen=True)
class Step:
    """A part of a run during which nothing was moved: a calibration cycle.

    Attributes
    ----------
    number : int
        From 0.
    n_events : int
        Events or trains.
    values : mapping of str to number or str
        What was set for it, by name.
    """

    number: int
    n_events: int
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Key:
    """Something that a run has recorded.

    Attributes
    ----------
    kind : str
        ``data`` or ``configuration``.
    source, name : str
        Whose it is, and what.
    dtype : str
        Of a value; empty where nothing tells it.
    shape : tuple of int or None
        Of all values; None where only reading them would tell.
    """

    kind: str
    source: str
    name: str
    dtype: str = ""
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Block:
    """Some frames of one source, one after the other, all of one step.

    Attributes
    ----------
    data : ndarray, shape (n_frames, [n_panels,] n_rows, n_cols)
        Raw values, gain bits included.
    stamps : ndarray of uint64, shape (n_frames,)
        When each was taken: what `Source.stamped_by` says.
    step : int
        The number of the step.
    more : mapping of str to ndarray
        What else is known of each frame, first axis (n_frames,): ``cell``, ``pulse``, ``gain``
        (of AGIPD the raw gain signal of each pixel), ``error``.
    """

    data: npt.NDArray[Any]
    stamps: npt.NDArray[np.uint64]
    step: int = 0
    more: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Selection:
    """Which frames of a run are wanted.

    Attributes
    ----------
    steps : frozenset of int or None
        Numbers of steps; None for all.
    skip : int
        How many frames of each step are left out first.
    limit : int or None
        How many of each step come at most after these.
    """

    steps: frozenset[int] | None = None
    skip: int = 0
    limit: int | None = None

    def __post_init__(self) -> None:
        """Refuse what selects nothing by mistake."""
        if self.skip < 0 or (self.limit is not None and self.limit < 0):
            raise BadQuestion("how many frames to skip or to take is a number from 0 on")

    def takes(self, step: int) -> bool:
        """Return whether frames of a step are wanted."""
        return self.steps is None or step in self.steps

    @property
    def end(self) -> float:
        """The place in its step behind the last wanted frame."""
        return math.inf if self.limit is None else self.skip + self.limit


class Run(ABC):
    """A run: what was recorded, and the frames of each source as a stream.

    A reader has `sources`, `steps` and `recorded`, which cost no more than opening, and streams
    frames with `_stream`. A context manager; blocks cannot be read after it was left.

    Attributes
    ----------
    where : str
        The file or folder.
    kind : str
        ``hdf5``, ``euxfel`` or ``xtc2``.
    experiment : str or None
    number : int or None
        Of the run.
    begin, end : aware datetime or None
        Of the first and last event.
    sources : mapping of str to Source
        Sources of frames.
    steps : sequence of Step
    notes : list of str
        What was passed over, and why.
    """

    where: str
    kind: str
    experiment: str | None = None
    number: int | None = None
    begin: datetime | None = None
    end: datetime | None = None
    sources: Mapping[str, Source]
    steps: Sequence[Step]
    notes: list[str]

    @abstractmethod
    def recorded(self) -> list[Key]:
        """Return all that was recorded, frames or not, in the order of its names."""

    @abstractmethod
    def configuration(self, source: Source) -> list[Mapping[str, Any]]:
        """Return how each panel was configured; one mapping for all where they share one."""

    def event_codes(self, limit: int = EVENTS) -> Mapping[int, int]:
        """Return with how many events each event code came; nothing where no codes are recorded.

        Parameters
        ----------
        limit : int, optional
            So many events are looked at, the first ones.

        Notes
        -----
        See `cdb.readers.event_codes` for HDF5; of xtc2 the timing system has them.
        """
        del limit
        return {}

    @abstractmethod
    def _stream(self, source: Source, selection: Selection, n_frames: int) -> Iterator[Block]:
        """Yield the selected frames, at most `n_frames` in a block."""

    def close(self) -> None:  # noqa: B027 - a reader that holds nothing open closes nothing
        """Let go of what is open."""

    def __enter__(self) -> Self:
        """Enter."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def source(self, text: str | None = None) -> Source:
        """Return a source of frames.

        Parameters
        ----------
        text : str, optional
            Its name, or a part of it that no other has; in small or in capital letters. Not
            needed where there is one.

        Raises
        ------
        NotFound
            If none is so named, or more than one; the message lists them.
        """
        if text in self.sources:
            return self.sources[str(text)]
        found = self.matching(text)
        if len(found) == 1:
            return found[0]
        asked = f"named {shown(text)}" if text else "asked for"
        known = ", ".join(_some([one.name for one in found] or list(self.sources))) or "none"
        what = "more than one source of frames is" if found else "no source of frames is"
        raise NotFound(f"{self.where}: {what} {asked}; there are: {known}")

    def matching(self, text: str | None = None) -> list[Source]:
        """Return the sources with a text in their names; all without one."""
        asked = (text or "").lower()
        return [one for one in self.sources.values() if asked in one.name.lower()]

    def blocks(
        self,
        source: Source | str | None = None,
        *,
        steps: Sequence[int] | None = None,
        skip: int = 0,
        limit: int | None = None,
        nbytes: int = BLOCK_BYTES,
    ) -> Iterator[Block]:
        """Yield the raw frames of a source, in the order of their recording.

        Memory holds about two blocks, however long the run is. Each call begins anew.

        Parameters
        ----------
        source : Source or str, optional
            See `source`.
        steps : sequence of int, optional
            The steps that are wanted.
        skip, limit : int, optional
            Leave out this many frames of each step; take this many after them, at most.
        nbytes : int, optional
            How large a block may be [bytes]; a frame that is larger is a block by itself.

        Raises
        ------
        NotFound
            If there is no such source or step.
        BadFile
            If the data cannot be read.
        """
        asked = source if isinstance(source, Source) else self.source(source)
        known = {step.number for step in self.steps}
        if steps is not None and not known.issuperset(steps):
            raise NotFound(
                f"{self.where} has no step {min({*steps} - known)}; "
                f"it has {len(known)}, from {min(known, default=0)} on"
            )
        selection = Selection(None if steps is None else frozenset(steps), skip, limit)
        return self._stream(asked, selection, max(1, nbytes // max(1, asked.frame_bytes)))


def time_of(nanoseconds: int) -> datetime:
    """Return the time of a stamp: nanoseconds since 1970."""
    return _EPOCH + timedelta(microseconds=int(nanoseconds) // 1000)


def detector_type_of(name: str) -> str:
    """Return the type of a detector that its name tells; empty where it tells none.

    Examples
    --------
    >>> detector_type_of("XcsEndstation.0:Opal1000.1")
    'opal1000'
    >>> detector_type_of("SPB_IRDA_JF4M/DET/JNGFR01:daqOutput"), detector_type_of("entry/data")
    ('jungfrau', '')
    """
    device = re.search(r":([A-Za-z]\w*)\.\d+$", name)
    if device:
        return device[1].lower()
    small = name.lower()
    return next((known for text, known in _TYPES if text in small), "")


def _some(names: Sequence[str], n: int = 20) -> list[str]:
    """Return names for a sentence."""
    return [*names[:n], f"and {len(names) - n} more"] if len(names) > n else list(names)
