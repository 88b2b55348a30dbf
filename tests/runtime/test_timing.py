"""Timings: who is measured when, and what the numbers mean. No clock is trusted here."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest

from darknet_compat.benchmark.measure import FEW, Plan, SpeedRow, measure, with_ratios
from darknet_compat.runtime import timing as speed
from darknet_compat.runtime.machine import describe_machine, machine
from darknet_compat.runtime.timing import SELDOM, Timing, interleaved


def test_tasks_run_in_turn_and_warm_ups_do_not_count() -> None:
    called: list[str] = []
    numbers = itertools.count(1.0)

    def task(name: str) -> float:
        called.append(name)
        return next(numbers)

    timed = interleaved({"a": lambda: task("a"), "b": lambda: task("b")}, runs=3, warmup=2)
    assert called == ["a", "b"] * 5
    assert timed["a"].seconds == (5.0, 7.0, 9.0)
    assert timed["b"].seconds == (6.0, 8.0, 10.0)


def test_what_measures_itself_is_believed_and_all_else_is_timed() -> None:
    timed = interleaved({"own": lambda: 123.0, "ours": lambda: None}, runs=2, warmup=1)
    assert timed["own"].seconds == (123.0, 123.0)
    assert all(0 <= value < 60 for value in timed["ours"].seconds)


def test_slow_tasks_run_in_the_first_and_then_each_nth_round(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr(speed.time, "perf_counter", lambda: float(next(clock)))
    timed = interleaved({"slow": lambda: None}, runs=2 * SELDOM + 1, warmup=1, patience=0.5)
    assert len(timed["slow"].seconds) == 3
    timed = interleaved({"quick": lambda: None}, runs=2 * SELDOM + 1, warmup=1, patience=1.5)
    assert len(timed["quick"].seconds) == 2 * SELDOM + 1


def test_progress_sees_every_round() -> None:
    seen: list[int] = []

    def track(rounds):  # type: ignore[no-untyped-def]
        for number in rounds:
            seen.append(number)
            yield number

    interleaved({"a": lambda: 0.0}, runs=2, warmup=2, track=track)
    assert seen == [-2, -1, 0, 1]


def test_percentiles_are_linear_between_runs() -> None:
    timing = Timing((0.3, 0.1, 0.2, 0.5, 0.4))
    assert timing.median == 0.3
    assert timing.percentile(50) == pytest.approx(0.3)
    assert timing.percentile(90) == pytest.approx(0.46)
    assert timing.to_dict() == {
        "median_ms": pytest.approx(300), "min_ms": pytest.approx(100), "max_ms": pytest.approx(500), "runs": 5
    }  # fmt: skip


def row(label: str, speed: float, batch: int = 1, side: int = 416) -> SpeedRow:
    return SpeedRow("network", label, "fp32", side, side, batch, 1, 1.0, 1.0, 1.0, speed)


def test_ratios_are_to_the_baseline_of_the_same_size_and_batch_else_of_one_picture() -> None:
    rows = [row("a", 10), row("a", 12, batch=8), row("b", 20), row("b", 36, batch=8), row("b", 50, side=288)]
    assert [one.ratio for one in with_ratios(rows, "a")] == [1, 1, 2, 3, None]
    assert [one.ratio for one in with_ratios(rows[:1] + rows[3:4], "a")] == [1, 3.6]


class Counts:
    """A runner that only counts the files of its passes."""

    precision, size, channels = "fp32", (32, 32), 3

    def __init__(self, label: str, batches: bool) -> None:
        self.label, self.batches = label, batches
        self.passes: list[int] = []

    def network(self, images: object) -> float:
        return 1.0

    def pictures(self, files: Sequence[Path], batch: int) -> None:
        self.passes.append(len(files))

    def close(self) -> None: ...


def test_what_takes_one_picture_at_a_time_has_a_short_stream() -> None:
    several, one = Counts("several", True), Counts("one", False)
    rows, _ = measure([several, one], Plan([1], [Path("a.jpg")], runs=1, warmup=1, stream=50))
    assert set(several.passes) == {1, 50}
    assert set(one.passes) == {1, FEW}
    assert [row.label for row in rows if row.measure == "stream"] == ["several", "one"]


def test_the_machine_is_described() -> None:
    found = describe_machine()
    assert found["processor"] and found["cores"] >= 1
    assert found["versions"]["numpy"]
    assert found["processor"] in machine()
