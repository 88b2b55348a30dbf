"""A benchmark as one piece of work: from an options value to rows of times, with a table and a plot if asked for."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from darknet_compat.benchmark.measure import PAUSE, Plan, SpeedRow, measure
from darknet_compat.benchmark.options import BenchOptions
from darknet_compat.benchmark.participants import Participants, participants, seeded_weights
from darknet_compat.catalogue.locate import Sources, locate
from darknet_compat.errors import OptionError
from darknet_compat.formats.atomic import atomic_write, results_folder
from darknet_compat.inference.progress import Counted, Loading, Progress, counting, silent
from darknet_compat.options import made
from darknet_compat.runtime.machine import describe_machine, is_busy
from darknet_compat.runtime.registry import is_exported
from darknet_compat.runtime.timing import PATIENCE, SELDOM
from darknet_compat.vision.header import limited_pixels

BenchEvent = Loading | Counted

RUNS, LOADING_RUNS = 20, 9


@dataclass(frozen=True)
class Measured:
    """The whole as a `document` of plain values, its `rows` (none of `load`), the `files` written."""

    document: dict[str, Any]
    rows: tuple[SpeedRow, ...] = ()
    files: tuple[Path, ...] = ()


def bench(
    options: BenchOptions | None = None, *, progress: Progress[BenchEvent] | None = None, **given: Any
) -> Measured:
    """Measure a model on everything that is asked for, all in turn in one run.

    Takes a `BenchOptions` or its fields as keyword arguments. Without weights they are seeded. `progress` is called
    with each event. Raises OptionError for options that cannot be, BackendError where nothing can run, and other
    DarknetCompatErrors for whatever is missing or wrong.
    """
    options, tell = made(BenchOptions, options, given), progress or silent
    if options.out is not None:
        results_folder(options.out)
    sources = locate(options.model, options.weights, download=False)
    exported = is_exported(sources.cfg)
    seeded = sources.weights is None and not exported
    with (
        tempfile.TemporaryDirectory(prefix="darknet-compat-") as name,
        limited_pixels(options.max_pixels),
        ExitStack() as stack,
    ):
        folder = Path(name)
        tell(Loading(options.model))
        if seeded:
            sources = replace(sources, weights=seeded_weights(sources.cfg, folder, options.dialect))
        if options.load:
            return Measured(_loading(sources, options.runs or LOADING_RUNS))
        files = _pictures(options.image, folder)
        ready = participants(sources, options, files[0], folder, seeded=seeded)
        for runner in ready.runners:
            stack.enter_context(closing(runner))
        plan = Plan(options.batches, files, options.runs or RUNS, options.warmup, options.stream)
        rows, document = _measure(ready, plan, options.baseline, tell)
    used = "seeded" if seeded else str(sources.cfg if exported else sources.weights)
    document = {"model": str(sources.cfg), "weights": used, **document}
    written = _write(document, rows, sources.cfg.stem, options.out) if options.out else ()
    return Measured(document, tuple(rows), written)


def _loading(sources: Sources, runs: int) -> dict[str, Any]:
    from darknet_compat.benchmark.startup import measure_loading

    if sources.weights is None:
        raise OptionError("is of a .cfg and its .weights", "load")
    return measure_loading(sources.cfg, sources.weights, runs)


def _pictures(images: Sequence[Path], folder: Path) -> list[Path]:
    """The pictures to read: what was named, else one of blocks and grain, which takes as long to decode as a photo."""
    import cv2
    import numpy as np

    from darknet_compat.parity.picture import seeded_image
    from darknet_compat.vision.image import decode

    for file in images:
        decode(file)  # so that what cannot be read is told now
    if images:
        return list(images)
    planes = seeded_image((3, 576, 768), 0)
    _, encoded = cv2.imencode(".jpg", np.rint(255 * planes).astype(np.uint8).transpose(1, 2, 0))
    (folder / "picture.jpg").write_bytes(encoded.tobytes())
    return [folder / "picture.jpg"]


def _measure(
    ready: Participants, plan: Plan, baseline: str | None, tell: Progress[BenchEvent]
) -> tuple[list[SpeedRow], dict[str, Any]]:
    """The rows, and the document without its model."""
    count = counting(tell, "rounds")

    def track(rounds: Iterable[int]) -> Iterator[int]:
        listed = list(rounds)
        for done, number in enumerate(listed):
            count(done, len(listed))
            yield number

    machine = describe_machine()
    rows, not_run = measure(ready.runners, plan, baseline, track)
    protocol = {
        "runs": plan.runs,
        "warmup": plan.warmup,
        "pause_s": PAUSE,
        "slower_than_s": PATIENCE,
        "then_each": SELDOM,
        "stream": plan.stream,
        "thresh": ready.thresh,
        "baseline": baseline or ready.runners[0].label,
    }
    skipped = [{"what": one.label, "why": one.why} for one in (*ready.not_run, *not_run)]
    return rows, {
        "machine": machine,
        "protocol": protocol,
        "rows": [row.to_dict() for row in rows],
        "not_run": skipped,
    }


def _write(document: dict[str, Any], rows: list[SpeedRow], stem: str, out: Path) -> tuple[Path, ...]:
    from darknet_compat.benchmark.plot import save_speed_plot

    table, picture = out / f"{stem}-speed.json", out / f"{stem}-speed.png"
    with atomic_write(table) as file:
        file.write(json.dumps(document, indent=1).encode())
    machine = document["machine"]
    title = f"{stem} on {machine['processor']}, {machine['cores']} cores"
    if is_busy(machine):
        title += f"\nThe machine was busy (load {machine['load']:.1f}): ratios are rough, speeds more so"
    save_speed_plot(rows, title, picture)
    return table, picture
