"""What it takes to get going: a weights file into a network, its memory, the command line's own start."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from darknet_compat.runtime.machine import machine
from darknet_compat.runtime.timing import Timing, interleaved


def measure_loading(cfg: Path, weights: Path, runs: int) -> dict[str, Any]:
    """All of it, as JSON has it: times in milliseconds, memory in bytes.

    How long a weights file takes to load beside numpy, a picture to be fitted beside the original, and `--help`.
    """
    from darknet_compat.parity.reference import find_original

    timed = interleaved(_load_tasks(cfg, weights), runs)
    rows = [_row("numpy.fromfile of the weights", timed["numpy"])]
    rows.append(_row("load_network", timed["load_network"], "numpy.fromfile", timed["numpy"]))
    rows += _letterbox(max(runs, 30) if find_original() else 0)
    rows.append(_row("darknet-compat --help", interleaved({"help": _help_task()}, runs)["help"]))
    return {
        "machine": machine(),
        "weights_bytes": weights.stat().st_size,
        "load_memory_bytes": _load_memory(cfg, weights),
        "runs": runs,
        "rows": rows,
    }


def _letterbox(runs: int) -> list[dict[str, Any]]:
    """Our letterbox against the original's, 768 x 576 to 416 x 416; nothing where the original is not installed."""
    if not runs:
        return []
    from darknet_compat.parity.reference import Original
    from darknet_compat.vision.image import letterbox

    picture = np.random.default_rng(0).integers(0, 256, (576, 768, 3), np.uint8)
    planes = np.ascontiguousarray(picture.transpose(2, 0, 1) / np.float32(255), np.float32)
    with Original() as original:
        timed = interleaved(
            {
                "ours": lambda: letterbox(picture, 416, 416) and None,
                "original": lambda: original.time_letterbox(planes, 416, 416)[0],
            },
            runs,
        )
    name = "letterbox 768x576 to 416x416"
    return [
        _row(f"{name}, original", timed["original"]),
        _row(name, timed["ours"], "the original", timed["original"]),
    ]


def _row(what: str, timing: Timing, against: str = "", other: Timing | None = None) -> dict[str, Any]:
    ratio = timing.median / other.median if other else None
    return {"what": what, **timing.to_dict(), "against": against, "ratio": ratio}


def _load_tasks(cfg: Path, weights: Path) -> dict[str, Callable[[], None]]:
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


def _load_memory(cfg: Path, weights: Path) -> int:
    """The peak of memory while a network is loaded, beyond importing torch, in bytes; each in its own process."""
    unit = 1 if sys.platform == "darwin" else 1024
    idle, loaded = (
        int(subprocess.run([sys.executable, "-c", _CHILD, *arguments], check=True, capture_output=True).stdout)
        for arguments in ([], [str(cfg), str(weights)])
    )
    return (loaded - idle) * unit


def _help_task() -> Callable[[], None]:
    """`darknet-compat --help` as a whole process."""

    def run() -> None:
        subprocess.run([sys.executable, "-m", "darknet_compat", "--help"], check=True, capture_output=True)

    return run
