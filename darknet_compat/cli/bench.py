"""`darknet-compat bench`: how fast things are on this machine."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from darknet_compat.cli import terminal
from darknet_compat.cli.options import Json, Model, Weights

if TYPE_CHECKING:
    from darknet_compat.evaluation.speed import Timing

Load = Annotated[bool, typer.Option("--load", help="Time loading, fitting pictures, and starting the command line.")]
Runs = Annotated[int, typer.Option("--runs", min=1, max=1000, metavar="N", help="Counted runs of each, after two.")]


def bench(model: Model, weights: Weights = None, load: Load = False, runs: Runs = 9, json: Json = False) -> None:
    """Measure speed: everything in turn, so that what disturbs the machine disturbs all alike; medians and ratios.

    With --load: a weights file read by numpy against a ready network, its memory; a picture's letterbox against the
    original's, where that is installed; `darknet-compat --help`.
    """
    from darknet_compat.inference.model import locate

    if not load:
        raise typer.BadParameter("name what to measure: --load")
    sources = locate(model, weights, download=False)
    with tempfile.TemporaryDirectory() as folder, terminal.Transfers(model, quiet=json):
        measured = _measure(sources.cfg, sources.weights or _seeded(sources.cfg, Path(folder)), runs)
    if json:
        terminal.print_json(measured)
        return
    headers = ("what", "median", "least", "most", "against", "ratio")
    terminal.print_table(headers, [_cells(row) for row in measured["rows"]], left=("what", "against"))
    memory, size = measured["load_memory_bytes"], measured["weights_bytes"]
    print(
        f"\nmemory to load: {terminal.in_bytes(memory)}, {memory / size:.2f} x the weights' {terminal.in_bytes(size)}"
    )
    print(f"{measured['machine']}; {runs} runs each in turn, after 2 to warm up")


def _measure(cfg: Path, weights: Path, runs: int) -> dict[str, Any]:
    from darknet_compat.evaluation import speed
    from darknet_compat.parity.reference import find_original

    loading = speed.interleaved(speed.load_tasks(cfg, weights), runs)
    rows = [_row("numpy.fromfile of the weights", loading["numpy"])]
    rows.append(_row("load_network", loading["load_network"], "numpy.fromfile", loading["numpy"]))
    rows += _letterbox(max(runs, 30) if find_original() else 0)
    rows.append(_row("darknet-compat --help", speed.interleaved({"help": speed.help_task()}, runs)["help"]))
    size = weights.stat().st_size
    memory = speed.load_memory(cfg, weights)
    return {"machine": speed.machine(), "weights_bytes": size, "load_memory_bytes": memory, "rows": rows}


def _letterbox(runs: int) -> list[dict[str, Any]]:
    """Our letterbox against the original's, 768 x 576 to 416 x 416; nothing where the original is not installed."""
    if not runs:
        return []
    import numpy as np

    from darknet_compat.evaluation.speed import interleaved
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


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    times = (f"{row[key]:.2f} ms" for key in ("median_ms", "min_ms", "max_ms"))
    return row["what"], *times, row["against"], f"{row['ratio']:.2f}" if row["ratio"] else ""


def _seeded(cfg: Path, folder: Path) -> Path:
    """Seeded weights for a network that has none here."""
    from darknet_compat.network.load import load_network, save_weights
    from darknet_compat.parity.seeded import seed_weights

    network = load_network(cfg)
    seed_weights(network)
    save_weights(network, folder / "seeded.weights")
    return folder / "seeded.weights"
