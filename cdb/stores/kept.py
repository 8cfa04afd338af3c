"""Answers that a process keeps: they hold as long as nothing in the store has changed."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")

MANY = 2048


class Kept(Generic[T]):
    """Values by their question, forgotten as soon as the store changes.

    Parameters
    ----------
    stamp : callable
        `Store.stamp`; where it says None nothing is kept.
    many : int, optional
        As many are kept; all are forgotten when there are more.
    """

    def __init__(self, stamp: Callable[[], object | None], *, many: int = MANY) -> None:
        self.stamp = stamp
        self._many = many
        # One attribute, so that a thread never sees the values of another's stamp.
        self._state: tuple[object | None, dict[Hashable, T]] = (None, {})

    def get(self, question: Hashable) -> T | None:
        """Return the value of a question, None if it is not known as of now."""
        at, values = self._state
        return values.get(question) if values and at == self.stamp() else None

    def put(self, question: Hashable, value: T, stamp: object | None) -> None:
        """Keep a value, unless the store has changed since `stamp`, from before it was made."""
        if stamp is None or stamp != self.stamp():
            return
        at, values = self._state
        if stamp != at or len(values) >= self._many:
            self._state = (stamp, {question: value})
        else:
            values[question] = value
