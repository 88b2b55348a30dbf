"""A model's speed on every runner, size and batch: all in turn in one run, and each set against a baseline."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from darknet_compat.benchmark.runners import NotRun, Runner, cycled
from darknet_compat.errors import BackendError
from darknet_compat.runtime.timing import PATIENCE, Timing, interleaved

Measure = Literal["network", "picture", "stream"]
"""The network alone; from file to detections; the same for many files one after another, reading overlapped."""

MEASURES: tuple[Measure, ...] = get_args(Measure)

FEW = 5
"""How many pictures of a stream what takes one at a time is shown, the original say: nothing overlaps there, and
more of them would say no more."""
PAUSE = 0.02
"""Seconds between two measurements: threads of the runtime before may still be spinning."""


@dataclass(frozen=True)
class SpeedRow:
    """One runner's speed. Times are of one pass over `batch` pictures; of a stream, of so many of its pictures.

    `ratio`: how many times as many pictures a second as the baseline of the same measure and size.
    """

    measure: Measure
    label: str
    precision: str
    width: int
    height: int
    batch: int
    runs: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    images_per_second: float
    ratio: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Plan:
    """What is measured: `files` are read over and over; `stream` is how many pictures a stream has, 0 for none."""

    batches: Sequence[int]
    files: Sequence[Path]
    runs: int
    warmup: int
    stream: int = 0


@dataclass(frozen=True)
class _Pass:
    """One thing to time."""

    measure: Measure
    runner: Runner
    batch: int

    @property
    def key(self) -> tuple[Any, ...]:
        return self.measure, self.runner.size, self.batch, self.runner.label


def measure(
    runners: Sequence[Runner],
    plan: Plan,
    baseline: str | None = None,
    track: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> tuple[list[SpeedRow], list[NotRun]]:
    """Time all runners in turn; the rows, and what could not be run.

    `baseline` is a runner's label, by default the first's. Raises BackendError where there is no such.
    """
    labels = list(dict.fromkeys(runner.label for runner in runners))
    if baseline is not None and baseline not in labels:
        raise BackendError(f"baseline: expected one of {', '.join(labels)}, found {baseline}")
    passes, not_run = _passes(runners, plan)
    tasks = {one.key: _task(one, plan) for one in passes}
    timed = interleaved(tasks, plan.runs, plan.warmup, pause=PAUSE, patience=PATIENCE, track=track)
    rows = [_row(one, timed[one.key]) for one in passes]
    return with_ratios(rows, baseline or labels[0]), not_run


def with_ratios(rows: Sequence[SpeedRow], baseline: str) -> list[SpeedRow]:
    """Each row with its ratio to the baseline's of the same measure, size and batch, else of its smallest batch."""
    base: dict[tuple[Any, ...], float] = {}
    for row in sorted(rows, key=lambda row: -row.batch):
        if row.label == baseline:
            base[row.measure, row.width, row.height] = row.images_per_second
            base[row.measure, row.width, row.height, row.batch] = row.images_per_second

    def ratio(row: SpeedRow) -> float | None:
        any_batch = base.get((row.measure, row.width, row.height))
        against = base.get((row.measure, row.width, row.height, row.batch), any_batch)
        return None if against is None else row.images_per_second / against

    return [SpeedRow(**{**row.to_dict(), "ratio": ratio(row)}) for row in rows]


def _passes(runners: Sequence[Runner], plan: Plan) -> tuple[list[_Pass], list[NotRun]]:
    """All there is to time, in the order of the table."""
    passes, not_run = [], []
    for kind in MEASURES if plan.stream else MEASURES[:2]:
        for runner in sorted(runners, key=lambda one: one.size[0] * one.size[1]):
            for batch in plan.batches:
                if batch == 1 or runner.batches:
                    passes.append(_Pass(kind, runner, batch))
                elif kind == "network":
                    width, height = runner.size
                    name = f"{runner.label}, {width}x{height}, batch {batch}"
                    not_run.append(NotRun(name, "takes one picture at a time"))
    # Runners of the same size and batch stand together, to be read against each other.
    return sorted(passes, key=lambda one: (MEASURES.index(one.measure), *one.runner.size, one.batch)), not_run


def _task(one: _Pass, plan: Plan) -> Callable[[], float | None]:
    width, height = one.runner.size
    if one.measure == "network":
        images = np.random.default_rng(0).random((one.batch, one.runner.channels, height, width), np.float32)
        return partial(one.runner.network, images)
    if one.measure == "picture":
        return partial(one.runner.pictures, cycled(plan.files, one.batch), one.batch)
    files = cycled(plan.files, plan.stream if one.runner.batches else min(plan.stream, FEW))

    def stream() -> float:
        start = time.perf_counter()
        one.runner.pictures(files, one.batch)
        return (time.perf_counter() - start) * one.batch / len(files)

    return stream


def _row(one: _Pass, timing: Timing) -> SpeedRow:
    ms = {f"p{percent}_ms": 1000 * timing.percentile(percent) for percent in (50, 90, 99)}
    return SpeedRow(
        measure=one.measure,
        label=one.runner.label,
        precision=one.runner.precision,
        width=one.runner.size[0],
        height=one.runner.size[1],
        batch=one.batch,
        runs=len(timing.seconds),
        p50_ms=ms["p50_ms"],
        p90_ms=ms["p90_ms"],
        p99_ms=ms["p99_ms"],
        images_per_second=one.batch / timing.median,
    )
