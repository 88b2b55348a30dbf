"""Speed: the paper's 67 images a second at the head of what each runtime here does with the same network."""

from __future__ import annotations

from pathlib import Path

from darknet_compat.benchmark.job import bench
from darknet_compat.runtime.machine import machine
from tools.miniature.cells import Cell, Result, Setting

TABLE = "speed"
MODEL, SIDE = "yolov2-voc", 416
PAPER = ("Titan X (Maxwell), the original", 67.0)
RUNS = 5


def cells(setting: Setting) -> list[list[Cell]]:
    """What there is to run: the network at its own size, with its weights or, where they are not here, seeded ones."""
    return [[Cell(TABLE, MODEL, 0, time)]]


def time(setting: Setting, cell: Cell, folder: Path) -> Result:
    """Images a second of every runtime that is installed, of the original and of OpenCV where they are, in turn."""
    document = bench(model=MODEL, peers=True, runs=RUNS, warmup=1).document
    kept = ("measure", "label", "precision", "images_per_second", "p50_ms")
    return {
        "machine": machine(),
        "load": document["machine"].get("load"),
        "weights": Path(document["weights"]).name,
        "rows": [{name: row[name] for name in kept} for row in document["rows"]],
        "not_run": document["not_run"],
    }
