"""`darknet-compat bench`: how fast a model is on this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from darknet_compat.cli.arguments import parser
from darknet_compat.cli.options import DialectOption, Json, MaxPixels, Model, Weights, explaining
from darknet_compat.cli.terminal import output as terminal
from darknet_compat.cli.terminal.startup_report import measure_loading, print_loading
from darknet_compat.formats.atomic import results_folder
from darknet_compat.options import parse_sizes

if TYPE_CHECKING:
    from darknet_compat.benchmark.contest import Contest
    from darknet_compat.benchmark.measure import Plan, Row
    from darknet_compat.inference.model import Sources


def parse_words(text: str | list[str]) -> list[str]:
    """`a,b` → ["a", "b"]."""
    return text if isinstance(text, list) else [part.strip() for part in text.split(",") if part.strip()]


def parse_counts(text: str | list[int]) -> list[int]:
    """`1,8` → [1, 8]. Raises BadParameter."""
    if isinstance(text, list):
        return text
    counts = [int(part) if part.isdecimal() and len(part) < 5 else 0 for part in parse_words(text)]
    if not counts or not all(0 < count <= 1024 for count in counts):
        raise typer.BadParameter(f"expected numbers from 1 to 1024 with commas between, such as 1,8, found '{text}'")
    return counts


Backends = Annotated[
    str | None,
    typer.Option(
        "--backends", parser=parse_words, metavar="A,B", help="What runs the network. Default: all that are installed."
    ),
]
Precisions = Annotated[
    str,
    typer.Option("--precisions", parser=parse_words, metavar="A,B", help="What the layers compute in: fp32, bf16, …"),
]
Sizes = Annotated[
    str | None,
    typer.Option(
        "--sizes",
        parser=parser(parse_sizes),
        metavar="A,B",
        help="Sizes of the input: 416, 608x416. Default: the model's.",
    ),
]
Batches = Annotated[
    str, typer.Option("--batches", parser=parse_counts, metavar="A,B", help="How many pictures at once.")
]
Artefacts = Annotated[
    list[Path] | None,
    typer.Option("--artefact", metavar="FILE", help="Also this .onnx or .engine, in its precision. Repeatable."),
]
Peers = Annotated[bool, typer.Option("--peers", help="Also the original Darknet and OpenCV, where installed.")]
Baseline = Annotated[
    str | None,
    typer.Option("--baseline", metavar="NAME", help="What ratios are to, as the table names it. Default: its first."),
]
Images = Annotated[
    list[Path] | None,
    typer.Option("--image", metavar="FILE", help="A picture to read; repeatable. Default: one of 768 x 576."),
]
Stream = Annotated[
    int, typer.Option("--stream", min=0, max=10**6, metavar="N", help="Also N pictures one after another.")
]
Runs = Annotated[
    int | None,
    typer.Option("--runs", min=1, max=1000, metavar="N", help="Counted runs of each. Default: 20; --load 9."),
]
Warmup = Annotated[int, typer.Option("--warmup", min=1, max=100, metavar="N", help="Runs of each before these.")]
Load = Annotated[bool, typer.Option("--load", help="Only loading, fitting a picture, starting the command line.")]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Write the rows as JSON and a plot of speed by size there.")
]


def bench(
    model: Model,
    weights: Weights = None,
    backends: Backends = None,
    precisions: Precisions = "fp32",
    sizes: Sizes = None,
    batches: Batches = "1",
    artefact: Artefacts = None,
    peers: Peers = False,
    baseline: Baseline = None,
    image: Images = None,
    stream: Stream = 0,
    runs: Runs = None,
    warmup: Warmup = 2,
    out: Out = None,
    load: Load = False,
    max_pixels: MaxPixels = None,
    dialect: DialectOption = None,
    json: Json = False,
) -> None:
    """Measure speed: all in turn in one run, so that what disturbs the machine disturbs all alike.

    The network alone, and from file to detections: median, 90th and 99th percentile, pictures a second, and how many
    times as fast as the baseline. Without weights they are seeded, which run as fast as trained ones.
    """
    from darknet_compat.benchmark.contenders import PRECISIONS
    from darknet_compat.benchmark.contest import Asked, contest, seeded_weights
    from darknet_compat.benchmark.measure import Plan
    from darknet_compat.inference.model import locate
    from darknet_compat.runtime.registry import NAMES, is_exported

    if load and out is not None:
        raise typer.BadParameter("--load prints its rows, and writes none into --out")
    _expect_known("--backends", backends or (), NAMES)
    _expect_known("--precisions", precisions, PRECISIONS)
    if out is not None:
        results_folder(out)
    sources = locate(model, weights, download=False)
    exported = is_exported(sources.cfg)
    seeded = sources.weights is None and not exported
    wanted: Any = sizes or ()
    with tempfile.TemporaryDirectory(prefix="darknet-compat-") as folder, ExitStack() as stack:
        place = Path(folder)
        with terminal.Transfers(model, quiet=json), explaining(wanted[0] if wanted else None):
            if seeded:
                sources = replace(sources, weights=seeded_weights(sources.cfg, place, dialect))
            if load:
                measured = measure_loading(sources.cfg, _weights(sources), runs or 9)
            else:
                files = _pictures(image, place)
                asked = Asked(backends or (), precisions, wanted, artefact or (), peers, dialect)
                ready = contest(sources, asked, files[0], place, seeded=seeded)
        if load:
            terminal.print_json(measured) if json else print_loading(measured)
            return
        for contender in ready.contenders:
            stack.enter_context(closing(contender))
        plan = Plan(batches, files, runs or 20, warmup, stream)  # type: ignore[arg-type]
        rows, document = _measure(ready, plan, baseline, json)
    given = "seeded" if seeded else str(sources.cfg if exported else sources.weights)
    document = {"model": str(sources.cfg), "weights": given, **document}
    written = _write(document, rows, sources.cfg.stem, out) if out else []
    if json:
        terminal.print_json(document)
        return
    _print(document, rows, written)


def _expect_known(option: str, given: Sequence[str], known: Sequence[str]) -> None:
    for one in given:
        if one not in known:
            raise typer.BadParameter(f"{option}: expected some of {', '.join(known)}, found {one}")


def _weights(sources: Sources) -> Path:
    if sources.weights is None:
        raise typer.BadParameter("--load is of a .cfg and its .weights")
    return sources.weights


def _pictures(images: Sequence[Path] | None, folder: Path) -> list[Path]:
    """The pictures to read: what was named, else one of blocks and grain, which takes as long to decode as a photo."""
    import cv2
    import numpy as np

    from darknet_compat.parity.picture import seeded_image
    from darknet_compat.vision.image import decode

    for file in images or ():
        decode(file)  # so that what cannot be read is told now
    if images:
        return list(images)
    planes = seeded_image((3, 576, 768), 0)
    _, encoded = cv2.imencode(".jpg", np.rint(255 * planes).astype(np.uint8).transpose(1, 2, 0))
    (folder / "picture.jpg").write_bytes(encoded.tobytes())
    return [folder / "picture.jpg"]


def _measure(ready: Contest, plan: Plan, baseline: str | None, quiet: bool) -> tuple[list[Row], dict[str, Any]]:
    """The rows, and the document without its model."""
    from darknet_compat.benchmark.measure import PAUSE, measure
    from darknet_compat.runtime.machine import describe_machine
    from darknet_compat.runtime.timing import PATIENCE, SELDOM

    machine = describe_machine()
    with ExitStack() as stack:

        def track(rounds: Iterable[int]) -> Iterable[int]:
            listed = list(rounds)
            return stack.enter_context(terminal.counted(iter(listed), len(listed)))

        rows, not_run = measure(ready.contenders, plan, baseline, track)
    protocol = {
        "runs": plan.runs,
        "warmup": plan.warmup,
        "pause_s": PAUSE,
        "slower_than_s": PATIENCE,
        "then_each": SELDOM,
        "stream": plan.stream,
        "thresh": ready.thresh,
        "baseline": baseline or ready.contenders[0].label,
    }
    skipped = [{"what": one.label, "why": one.why} for one in (*ready.not_run, *not_run)]
    return rows, {
        "machine": machine,
        "protocol": protocol,
        "rows": [row.to_dict() for row in rows],
        "not_run": skipped,
    }


def _write(document: dict[str, Any], rows: list[Row], stem: str, out: Path) -> list[Path]:
    import json

    from darknet_compat.benchmark.plot import save_speed_plot
    from darknet_compat.formats.atomic import atomic_write

    table, picture = out / f"{stem}-speed.json", out / f"{stem}-speed.png"
    with atomic_write(table) as file:
        file.write(json.dumps(document, indent=1).encode())
    machine = document["machine"]
    save_speed_plot(rows, f"{stem} on {machine['processor']}, {machine['cores']} cores", picture)
    return [table, picture]


_HEADINGS = {
    "network": "the network alone",
    "picture": "from file to answer",
    "stream": "one file after another, reading overlapped",
}


def _print(document: dict[str, Any], rows: list[Row], written: list[Path]) -> None:
    protocol, machine = document["protocol"], document["machine"]
    for measure, heading in _HEADINGS.items():
        shown = [_cells(row) for row in rows if row.measure == measure]
        if shown:
            terminal.print_line(heading, bold=True)
            headers = ("runtime", "size", "batch", "p50 ms", "p90 ms", "p99 ms", "pictures/s", "ratio")
            terminal.print_table(headers, shown, left=("runtime",), indent=2)
            print()
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    slow = f"; what takes over {protocol['slower_than_s']:g} s in each {protocol['then_each']}th"
    fields = [
        ("ratio", f"pictures a second against {protocol['baseline']}'s"),
        ("runs", f"{protocol['runs']} of each in turn, after {protocol['warmup']} to warm up{slow}"),
        ("weights", document["weights"]),
        ("thresh", "" if protocol["thresh"] is None else f"{protocol['thresh']:.4g}"),
        ("machine", f"{machine['processor']}, {machine['cores']} cores, {' '.join(machine['flags'])}"),
        ("", f"{machine['system']}, python {machine['python']}, {versions}"),
        *(("not run", f"{'; '.join(what)}: {why}") for why, what in _by_reason(document["not_run"]).items()),
        *(("written", str(path)) for path in written),
    ]
    terminal.print_fields([field for field in fields if field[1]])
    if (machine["load"] or 0) > 0.5 * machine["cores"]:
        terminal.say(f"the machine was busy (load {machine['load']:.1f}): trust the ratios, not the times")


def _by_reason(not_run: list[dict[str, str]]) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for one in not_run:
        reasons.setdefault(one["why"], []).append(one["what"])
    return reasons


def _cells(row: Row) -> tuple[str, ...]:
    size = f"{row.width}" if row.width == row.height else f"{row.width}x{row.height}"
    times = (f"{value:.1f}" for value in (row.p50_ms, row.p90_ms, row.p99_ms))
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    return row.label, size, str(row.batch), *times, f"{row.images_per_second:.1f}", ratio
