"""Answers that a worker keeps: they hold as long as nothing in the store has changed."""

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

MANY = 2048


class Kept(Generic[T]):
    """Values by the text of the question, forgotten as soon as the store changes.

    Parameters
    ----------
    stamp : callable
        Returns what changes whenever the store does, by whatever process; None where the store
        cannot say, and nothing is kept then.
    many : int, optional
        As many are kept; all are forgotten when there are more.
    """

    def __init__(self, stamp: Callable[[], object | None], *, many: int = MANY) -> None:
        self._stamp = stamp
        self._many = many
        self._at: object | None = None
        self._values: dict[bytes, T] = {}

    def get(self, question: bytes) -> T | None:
        """Return the value of a question, None if it is not known as of now."""
        stamp = self._stamp()
        if stamp is None or stamp != self._at:
            return None
        return self._values.get(question)

    def stamp(self) -> object | None:
        """Return what to give to `put` with a value that is made after this."""
        return self._stamp()

    def put(self, question: bytes, value: T, stamp: object | None) -> None:
        """Keep a value, unless the store has changed since it was begun."""
        if stamp is None or stamp != self._stamp():
            return
        if stamp != self._at or len(self._values) >= self._many:
            self._values.clear()
            self._at = stamp
        self._values[question] = value
