"""xtc2 as it lies in a file: datagrams one after the other, in them containers in containers.

Each datagram begins with a time stamp, 32 bits that say what it is (4 of them: Configure, BeginRun,
BeginStep, an event), and its length; each container with its length. So counts, times and steps
cost a few bytes a datagram, and a file that is cut short, is no xtc2, or whose containers do not
fit into each other never reaches psana, which would end the whole program.
"""

import mmap
import struct
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from cdb.errors import BadFile
from cdb.readers.trouble import told

_HEADER = struct.Struct("<QIIHHI")  # time, env; src, damage, type, extent
_CONTAINER = struct.Struct("<IHHI")  # src, damage, type, extent
_BEFORE_XTC = 12  # the extent counts from behind the time and env [bytes]
# Types of containers that hold containers.
_PARENT, _SHAPES_AND_DATA = 0, 1
CONFIGURE, BEGIN_RUN, BEGIN_STEP, ENABLE, EVENT = 2, 4, 6, 8, 12
# Seconds from 1970 to 1990, from which stamps count.
_1990 = 631_152_000
# Containers in containers, at most.
_DEPTH = 12
# Progress is told after so many bytes.
_TOLD = 2**24

# What psana raises for files that are damaged.
_TROUBLE = (
    OSError, RuntimeError, ValueError, LookupError, AttributeError, TypeError, SystemError,
    SystemExit,
)  # fmt: skip


@dataclass
class Chain:
    """What the datagrams of a file say of it.

    Attributes
    ----------
    events : list of int
        How many each step has.
    begin, end : int
        Of the first and last datagram since the run began [ns since 1970].
    cut : bool
        Whether the file ends in the middle of a datagram.
    starts_inside : bool
        Whether its first events belong to a step that began in the file before.
    """

    events: list[int] = field(default_factory=lambda: [0])
    begin: int = 0
    end: int = 0
    cut: bool = False
    starts_inside: bool = False


def walk(path: Path, advance: Callable[[int], object] | None = None) -> Chain:
    """Follow the chain of datagrams.

    Raises
    ------
    BadFile
        If this is no xtc2.
    """
    with readable(path), path.open("rb") as file:
        size = path.stat().st_size
        if size == 0:
            raise BadFile(f"{path} is empty")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as bytes_:
            return _walk(path, bytes_, advance or (lambda _: None))


def _walk(path: Path, bytes_: mmap.mmap, advance: Callable[[int], object]) -> Chain:
    chain, offset, told, size = Chain(), 0, 0, len(bytes_)
    # A step that was begun again before anything happened in it is one step.
    running = begun = False
    while offset < size:
        whole = offset + _HEADER.size <= size
        header = _HEADER.unpack_from(bytes_, offset) if whole else (0,) * 6
        stamp, env, _, _, type_, extent = header
        what, length = (env >> 24) & 0xF, _BEFORE_XTC + extent
        if offset == 0 and (what != CONFIGURE or type_ != _PARENT or length < _HEADER.size):
            raise BadFile(f"{path} is no xtc2: it does not begin with a configuration")
        if whole and length < _HEADER.size:
            raise BadFile(f"{path} is damaged: a datagram of {length} bytes at byte {offset}")
        if not whole or offset + length > size:
            chain.cut = True
            break
        _check_containers(path, bytes_, offset + _HEADER.size, offset + length)
        if what == BEGIN_STEP and running:
            chain.events.append(0)
        running = what in (ENABLE, EVENT) or (running and what != BEGIN_STEP)
        chain.starts_inside = chain.starts_inside or (what == EVENT and not begun)
        begun = begun or what == BEGIN_STEP
        chain.events[-1] += what == EVENT
        if what in (BEGIN_RUN, EVENT):
            chain.end = nanoseconds(stamp)
            chain.begin = chain.begin or chain.end
        offset += length
        if offset - told > _TOLD:
            advance(offset - told)
            told = offset
    if chain.cut and offset == 0:
        raise BadFile(f"{path} is cut short: its configuration is not whole")
    advance(size - told)
    return chain


def _check_containers(path: Path, bytes_: mmap.mmap, begin: int, end: int, depth: int = 0) -> None:
    """Make sure that containers fit into what holds them."""
    offset = begin
    while offset < end:
        whole = offset + _CONTAINER.size <= end
        _, _, type_, extent = _CONTAINER.unpack_from(bytes_, offset) if whole else (0,) * 4
        if extent < _CONTAINER.size or offset + extent > end or depth > _DEPTH:
            raise BadFile(f"{path} is damaged: at byte {offset} is no container that fits")
        if type_ in (_PARENT, _SHAPES_AND_DATA):
            _check_containers(path, bytes_, offset + _CONTAINER.size, offset + extent, depth + 1)
        offset += extent


def nanoseconds(stamp: int) -> int:
    """Return the nanoseconds since 1970 of a stamp of LCLS-II.

    Examples
    --------
    >>> nanoseconds(4776162079372773723) // 10**9
    1743188891
    """
    return ((stamp >> 32) + _1990) * 10**9 + (stamp & 0xFFFFFFFF)


def readable(path: Path | str) -> AbstractContextManager[None]:
    """Say in one sentence why a file cannot be read."""
    return told(path, "xtc2", _TROUBLE)
