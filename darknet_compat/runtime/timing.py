"""Timings that can be trusted on a shared machine: interleaved, warmed up, medians, ratios within one run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

Key = TypeVar("Key", bound=Hashable)

WARMUP = 2
PATIENCE = 1.0
"""Seconds. What took longer in its last warm-up is measured in each SELDOM-th round only."""
SELDOM = 5


@dataclass(frozen=True)
class Timing:
    """The seconds of every counted run, in order."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The figure to quote."""
        return statistics.median(self.seconds)

    def percentile(self, percent: float) -> float:
        """The seconds that so many percent of the runs do not exceed, linearly between two runs."""
        return float(np.percentile(self.seconds, percent))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON, in milliseconds."""
        ms = [1000 * value for value in self.seconds]
        return {"median_ms": statistics.median(ms), "min_ms": min(ms), "max_ms": max(ms), "runs": len(ms)}


def interleaved(
    tasks: Mapping[Key, Callable[[], float | None]],
    runs: int = 9,
    warmup: int = WARMUP,
    *,
    pause: float = 0.0,
    patience: float = float("inf"),
    track: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> dict[Key, Timing]:
    """Time several tasks in turn, A B C A B C …, so that what disturbs the machine disturbs all alike.

    A task that returns a number has timed itself (in another process, say) and returns its seconds. `pause` is between
    two tasks, seconds in which the threads of the one before go to sleep. A task whose last warm-up took longer than
    `patience` seconds runs in the first and then each SELDOM-th round. `track` wraps the rounds, to show progress.
    """
    seconds: dict[Key, list[float]] = {name: [] for name in tasks}
    last: dict[Key, float] = {}
    for number in track(range(-warmup, runs)):
        for name, task in tasks.items():
            if number > 0 and number % SELDOM and last.get(name, 0.0) > patience:
                continue
            if pause:
                time.sleep(pause)
            start = time.perf_counter()
            own = task()
            elapsed = time.perf_counter() - start
            if number < 0:
                last[name] = elapsed
            else:
                seconds[name].append(elapsed if own is None else own)
    return {name: Timing(tuple(values)) for name, values in seconds.items()}
