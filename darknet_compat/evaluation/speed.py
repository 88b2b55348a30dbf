"""Timings that can be trusted on a shared machine: interleaved, warmed up, medians, ratios within one run."""

from __future__ import annotations

import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Timing:
    """The seconds of every counted run, in order."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The figure to quote."""
        return statistics.median(self.seconds)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON, in milliseconds."""
        ms = [1000 * value for value in self.seconds]
        return {"median_ms": statistics.median(ms), "min_ms": min(ms), "max_ms": max(ms), "runs": len(ms)}


def interleaved(tasks: Mapping[str, Callable[[], float | None]], runs: int = 9, warmup: int = 2) -> dict[str, Timing]:
    """Time several tasks in turn, A B C A B C …, so that what disturbs the machine disturbs all alike.

    A task that returns a number has timed itself (in another process, say) and returns its seconds.
    """
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for run in range(warmup + runs):
        for name, task in tasks.items():
            start = time.perf_counter()
            own = task()
            elapsed = time.perf_counter() - start
            if run >= warmup:
                seconds[name].append(elapsed if own is None else own)
    return {name: Timing(tuple(values)) for name, values in seconds.items()}


def machine() -> str:
    """The machine in a line: processor, cores, system, Python."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    cores = len(_affinity())
    return f"{model}, {cores} cores, {platform.system()}, Python {platform.python_version()}"


def load_tasks(cfg: Path, weights: Path) -> dict[str, Callable[[], None]]:
    """Reading a weights file with numpy, and making a ready torch network of it."""
    from darknet_compat.network.load import load_network

    def read() -> None:
        np.fromfile(weights, np.float32)

    def load() -> None:
        load_network(cfg, weights)

    return {"numpy": read, "load_network": load}


_CHILD = """
import resource, sys
from pathlib import Path
from darknet_compat.network.load import load_network
if len(sys.argv) > 1:
    network = load_network(sys.argv[1], sys.argv[2])
status = Path("/proc/self/status")
if status.exists():  # Linux hands a parent's ru_maxrss down to its children
    print(next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM")))
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def load_memory(cfg: Path, weights: Path) -> int:
    """The peak of memory while a network is loaded, beyond importing torch, in bytes; each in its own process."""
    unit = 1 if sys.platform == "darwin" else 1024
    idle, loaded = (
        int(subprocess.run([sys.executable, "-c", _CHILD, *arguments], check=True, capture_output=True).stdout)
        for arguments in ([], [str(cfg), str(weights)])
    )
    return (loaded - idle) * unit


def help_task() -> Callable[[], None]:
    """`darknet-compat --help` as a whole process."""

    def run() -> None:
        subprocess.run([sys.executable, "-m", "darknet_compat", "--help"], check=True, capture_output=True)

    return run


def _affinity() -> set[int]:
    import os

    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


__all__ = ["Timing", "help_task", "interleaved", "load_memory", "load_tasks", "machine"]
