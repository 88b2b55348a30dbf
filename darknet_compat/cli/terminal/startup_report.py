"""What `bench --load` measures: a network's loading, a picture's fitting, the command line's own start."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from darknet_compat.cli.terminal import output as terminal

if TYPE_CHECKING:
    from darknet_compat.runtime.timing import Timing


def measure_loading(cfg: Path, weights: Path, runs: int) -> dict[str, Any]:
    """All of it, as JSON has it."""
    from darknet_compat.benchmark import startup as loading
    from darknet_compat.parity.reference import find_original
    from darknet_compat.runtime.machine import machine
    from darknet_compat.runtime.timing import interleaved

    timed = interleaved(loading.load_tasks(cfg, weights), runs)
    rows = [_row("numpy.fromfile of the weights", timed["numpy"])]
    rows.append(_row("load_network", timed["load_network"], "numpy.fromfile", timed["numpy"]))
    rows += _letterbox(max(runs, 30) if find_original() else 0)
    rows.append(_row("darknet-compat --help", interleaved({"help": loading.help_task()}, runs)["help"]))
    return {
        "machine": machine(),
        "weights_bytes": weights.stat().st_size,
        "load_memory_bytes": loading.load_memory(cfg, weights),
        "runs": runs,
        "rows": rows,
    }


def print_loading(measured: dict[str, Any]) -> None:
    """The same for people."""
    headers = ("what", "median", "least", "most", "against", "ratio")
    terminal.print_table(headers, [_cells(row) for row in measured["rows"]], left=("what", "against"))
    memory, size = measured["load_memory_bytes"], measured["weights_bytes"]
    print()
    times = f"{terminal.in_bytes(memory)} to load, {memory / size:.2f} x the weights' {terminal.in_bytes(size)}"
    terminal.print_fields([("memory", times)])
    runs = f"{measured['runs']} of each in turn, after 2 to warm up"
    terminal.print_fields([("machine", measured["machine"]), ("runs", runs)])


def _letterbox(runs: int) -> list[dict[str, Any]]:
    """Our letterbox against the original's, 768 x 576 to 416 x 416; nothing where the original is not installed."""
    if not runs:
        return []
    import numpy as np

    from darknet_compat.parity.reference import Original
    from darknet_compat.runtime.timing import interleaved
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


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    times = (f"{row[key]:.2f} ms" for key in ("median_ms", "min_ms", "max_ms"))
    return row["what"], *times, row["against"], f"{row['ratio']:.2f}" if row["ratio"] else ""
