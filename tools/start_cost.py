#!/usr/bin/env python
"""What a whole process costs for one photograph: the original's, Darknet's line here, `detect`, and the floor below it.

    python tools/start_cost.py CFG WEIGHTS PICTURE [ROUNDS]

The floor imports numpy, OpenCV and ONNX Runtime, and does nothing. Each runs once beforehand, so that the network lies
in the cache and Python's files are compiled; then in turn. Medians, by the clock and of processor time, and against
the original's.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

NAMES = Path("/usr/share/darknet/data/coco.names")


def programs(cfg: str, weights: str, picture: str) -> dict[str, list[str]]:
    """What to run, by name, in a folder that has `its.data`."""
    line = ["detector", "test", "its.data", cfg, weights, picture, "-out", "drawn"]
    python = sys.executable
    found = {
        "darknet … detector test": [python, "-m", "darknet_compat", "darknet", *line],
        "detect": [python, "-m", "darknet_compat", "detect", cfg, picture, "--weights", weights],
        "imports alone": [python, "-c", "import numpy, cv2, onnxruntime"],
        "numpy alone": [python, "-c", "import numpy"],
    }
    original = shutil.which("darknet")
    return ({"the original": [original, *line]} if original else {}) | found


def cost(command: list[str], folder: Path) -> tuple[float, float]:
    """Seconds by the clock, and of processor time."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[1])
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    seconds, after = perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    if len(sys.argv) not in (4, 5):
        raise SystemExit(__doc__)
    files = [str(Path(name).resolve()) for name in sys.argv[1:4]]
    rounds = int(sys.argv[4]) if len(sys.argv) > 4 else 12
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "its.data").write_text(f"classes=80\nnames={NAMES}\n")
        commands = programs(*files)
        costs: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for command in commands.values():
            cost(command, folder)
        for _ in range(rounds):
            for one, command in commands.items():
                costs[one].append(cost(command, folder))
    first = next(iter(costs.values()))
    base = [median(one[part] for one in first) for part in (0, 1)]
    print(f"{'':24}{'clock, s':>10}{'processor, s':>14}{'times':>8}{'times':>8}")
    for one, found in costs.items():
        clock, processor = (median(each[part] for each in found) for part in (0, 1))
        print(f"{one:24}{clock:10.3f}{processor:14.3f}{clock / base[0]:8.2f}{processor / base[1]:8.2f}")


if __name__ == "__main__":
    main()
