"""What a benchmark measured, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from darknet_compat.cli.terminal import output as terminal
from darknet_compat.runtime.machine import is_busy

if TYPE_CHECKING:
    from darknet_compat.benchmark.job import Measured
    from darknet_compat.benchmark.measure import SpeedRow

_HEADINGS = {
    "network": "the network alone",
    "picture": "from file to answer",
    "stream": "one file after another, reading overlapped",
}


def print_measured(measured: Measured) -> None:
    """The rows of a benchmark as tables, and what they were measured with."""
    document, rows, written = measured.document, measured.rows, measured.files
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
        (
            "machine",
            ", ".join([machine["processor"], terminal.count(machine["cores"], "core"), " ".join(machine["flags"])]),
        ),
        ("", f"{machine['system']}, python {machine['python']}, {versions}"),
        *(("not run", f"{'; '.join(what)}: {why}") for why, what in _by_reason(document["not_run"]).items()),
        *(("written", str(path)) for path in written),
    ]
    terminal.print_fields([field for field in fields if field[1]])
    if is_busy(machine):
        terminal.say(f"the machine was busy (load {machine['load']:.1f}): ratios are rough, times more so")


def _by_reason(not_run: list[dict[str, str]]) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for one in not_run:
        reasons.setdefault(one["why"], []).append(one["what"])
    return reasons


def _cells(row: SpeedRow) -> tuple[str, ...]:
    size = f"{row.width}" if row.width == row.height else f"{row.width}x{row.height}"
    times = (f"{value:.1f}" for value in (row.p50_ms, row.p90_ms, row.p99_ms))
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    return row.label, size, str(row.batch), *times, f"{row.images_per_second:.1f}", ratio


def print_loading(measured: dict[str, Any]) -> None:
    """What `bench --load` measured."""
    headers = ("what", "median", "least", "most", "against", "ratio")
    terminal.print_table(headers, [_loading_cells(row) for row in measured["rows"]], left=("what", "against"))
    memory, size = measured["load_memory_bytes"], measured["weights_bytes"]
    print()
    times = f"{terminal.in_bytes(memory)} to load, {memory / size:.2f} x the weights' {terminal.in_bytes(size)}"
    terminal.print_fields([("memory", times)])
    runs = f"{measured['runs']} of each in turn, after 2 to warm up"
    terminal.print_fields([("machine", measured["machine"]), ("runs", runs)])


def _loading_cells(row: dict[str, Any]) -> tuple[str, ...]:
    times = (f"{row[key]:.2f} ms" for key in ("median_ms", "min_ms", "max_ms"))
    return row["what"], *times, row["against"], f"{row['ratio']:.2f}" if row["ratio"] else ""
