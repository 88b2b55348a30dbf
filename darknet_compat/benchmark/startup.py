"""What it takes to get going: a weights file into a network, its memory, the command line's own start."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np


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
