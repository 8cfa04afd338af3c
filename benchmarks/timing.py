"""Times of actions: medians and percentiles, ours and the alternative's in turns."""

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

Action = Callable[[], object]
Clock = Callable[[], float]


def seconds(action: Action, clock: Clock = time.perf_counter) -> float:
    """Return how long an action takes [s]."""
    start = clock()
    action()
    return clock() - start


def medians(*actions: Action, repeats: int, clock: Clock = time.perf_counter) -> list[float]:
    """Return the median time of each action [s]; in turns, so that noise hits all alike."""
    times: list[list[float]] = [[] for _ in actions]
    for _ in range(repeats):
        for action, taken in zip(actions, times, strict=True):
            gc.collect()
            taken.append(seconds(action, clock))
    return [statistics.median(taken) for taken in times]


def latencies(actions: Sequence[Action]) -> list[float]:
    """Return the time of each of many quick actions [s]."""
    return [seconds(action) for action in actions]


def percentile(times: Sequence[float], percent: float) -> float:
    """Return the time that so many percent of the actions did not exceed [s].

    Examples
    --------
    >>> percentile([3.0, 1.0, 2.0], 50)
    2.0
    """
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def each(action: Callable[[Any], object], values: Sequence[Any]) -> Action:
    """Return an action that calls another for each value; for calls too short for the clock."""

    def call_all() -> None:
        for value in values:
            action(value)

    return call_all


def settle() -> None:
    """Take what there is out of the collector's sight: it is not part of what is measured."""
    gc.collect()
    gc.freeze()
