"""The tree of exceptions: what can go wrong, and the built-in that a caller may expect instead.

::

    CalibError
    ├── NotFound            KeyError          no such constant, detector, version
    ├── BadName             ValueError        detector, experiment, ctype, database
    ├── BadRun              ValueError        a run or a range of runs
    ├── BadTime             ValueError        a time text, number or stamp
    ├── BadQuestion         ValueError        a look-up that makes no sense
    │   └── BadRange                          bytes that a payload does not have
    ├── BadPayload          ValueError        data that cannot be stored or decoded
    │   └── UnsafePayload                     a pickle, and nobody allowed it
    ├── BadArray            ValueError        an array that a calculation cannot take
    ├── BadFile             ValueError        a file that is not what it should be
    ├── BadDocument         ValueError        a document that a store cannot hold
    ├── BadQuery            ValueError        a query outside the common subset
    ├── Corrupt             ValueError        bytes that do not agree with their digest
    ├── Purged              LookupError       bytes that an administrator removed for good
    ├── NotBundled          LookupError       what a bundle was not made for
    ├── Duplicate           ValueError        an ``_id`` that is taken
    ├── TooLarge            ValueError        more bytes than the service takes
    ├── TooOften            RuntimeError      more requests than the service takes
    ├── TooSlow             TimeoutError      a request whose bytes do not come
    ├── BadSettings         ValueError        a service that cannot run as it is told to
    ├── Refused             ValueError        data that the rules of a laboratory keep out
    ├── WrongState          RuntimeError      a version that cannot be retired, restored, amended
    ├── NotDelivered        RuntimeError      an event that a command or a webhook did not take
    ├── WrongServer         ValueError        a tag or a stamp that is another store's
    ├── WrongClock          RuntimeError      this machine's clock and the store's disagree
    └── StoreUnavailable    ConnectionError   no answer from the store
        └── OutcomeUnknown                    a write that may or may not have happened
    NotAuthenticated        CalibError, PermissionError   nobody in particular asks
    NotAllowed              CalibError, PermissionError   the one who asks may not
    StoreRefused            CalibError, PermissionError   rights are missing
    StoreFull               CalibError, OSError           no space left

A message holds the bad value; `shown` cuts it to what a sentence can hold.
"""

import reprlib


class _Brief(reprlib.Repr):
    """A repr that is brief of integers too, whose decimal digits Python may refuse to work out."""

    def repr_int(self, x: int, level: int) -> str:
        return f"an integer of {x.bit_length()} bits" if x.bit_length() > 200 else repr(x)


_abbreviate = _Brief()
_abbreviate.maxstring = _abbreviate.maxother = 60


def shown(value: object) -> str:
    """Return the repr of a value, cut to what a sentence can hold.

    Examples
    --------
    >>> shown("pedestals")
    "'pedestals'"
    >>> shown(10**5000)
    'an integer of 16610 bits'
    >>> shown({"run": [10**5000]})
    "{'run': [an integer of 16610 bits]}"
    """
    return _abbreviate.repr(value)


class CalibError(Exception):
    """Anything that this package reports to its caller."""


class NotFound(CalibError, KeyError):
    """No such constant, detector or version; the message says where it was looked for."""

    # KeyError shows the repr of its argument; a sentence should read as one.
    __str__ = Exception.__str__


class BadName(CalibError, ValueError):
    """A name of a detector, experiment, constant type or database that cannot be used."""


class BadRun(CalibError, ValueError):
    """A run number or a range of runs that cannot be used."""


class BadTime(CalibError, ValueError):
    """A time that cannot be understood."""


class BadQuestion(CalibError, ValueError):
    """A look-up that makes no sense: an unknown rule, a moment that has not come."""


class BadRange(BadQuestion):
    """A range that a payload does not have; `nbytes` is how long it is."""

    def __init__(self, message: str, nbytes: int = 0) -> None:
        super().__init__(message)
        self.nbytes = nbytes


class BadPayload(CalibError, ValueError):
    """Data that cannot be stored, or stored data that cannot be decoded."""


class UnsafePayload(BadPayload):
    """A pickle, which could run code; it is read only where the caller allows it by name."""


class BadArray(CalibError, ValueError):
    """An array whose shape, dtype or values a calculation cannot take."""


class BadFile(CalibError, ValueError):
    """A file whose content is not what its name or its reader promises."""


class BadDocument(CalibError, ValueError):
    """A document that no store may hold."""


class BadQuery(CalibError, ValueError):
    """A query outside the subset that every store answers alike."""


class Corrupt(CalibError, ValueError):
    """Stored bytes that do not agree with their digest."""


class Purged(CalibError, LookupError):
    """Bytes of a version that had left, which an administrator removed for good."""


class NotBundled(CalibError, LookupError):
    """A question that an offline bundle was not made for; the message says what answers it."""


class Duplicate(CalibError, ValueError):
    """A document with this ``_id`` is there already."""


class TooLarge(CalibError, ValueError):
    """More than a service takes at once."""


class TooOften(CalibError, RuntimeError):
    """More requests than a service takes of one caller; `seconds` says when to come back."""

    def __init__(self, message: str, seconds: int = 1) -> None:
        super().__init__(message)
        self.seconds = seconds


class TooSlow(CalibError, TimeoutError):
    """A request began, and the rest of it did not come."""

    __str__ = Exception.__str__


class BadSettings(CalibError, ValueError):
    """A service that cannot run as it is told to."""


class Refused(CalibError, ValueError):
    """A constant that the rules of the laboratory keep out; nothing of it is stored."""


class WrongState(CalibError, RuntimeError):
    """A version that, as things are, cannot be retired, restored or amended."""


class NotDelivered(CalibError, RuntimeError):
    """An event did not arrive; `seconds` says when it may at the earliest."""

    def __init__(self, message: str, seconds: float = 0) -> None:
        super().__init__(message)
        self.seconds = seconds


class WrongServer(CalibError, ValueError):
    """What another store says, with a meaning only there; the message names both identities."""


class WrongClock(CalibError, RuntimeError):
    """The clock of this machine and that of the store differ too much to write."""


class StoreUnavailable(CalibError, ConnectionError):
    """The store did not answer."""


class OutcomeUnknown(StoreUnavailable):
    """A write was sent and its answer never came: it may or may not have happened."""


class NotAuthenticated(CalibError, PermissionError):
    """A service wants to know who asks, and nobody in particular does."""

    __str__ = Exception.__str__


class NotAllowed(CalibError, PermissionError):
    """The one who asks may not do this."""

    __str__ = Exception.__str__


class StoreRefused(CalibError, PermissionError):
    """The store or its folder refuses what was asked."""

    __str__ = Exception.__str__


class StoreFull(CalibError, OSError):
    """The store has no space left for what was to be written."""

    __str__ = Exception.__str__
