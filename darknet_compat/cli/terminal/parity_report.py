"""What `darknet-compat parity` prints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from darknet_compat.cli.terminal import output as terminal
from darknet_compat.formats.textfile import count

if TYPE_CHECKING:
    from darknet_compat.parity.compare import Difference
    from darknet_compat.parity.layers import LayerParity
    from darknet_compat.parity.stages import Chain


def print_layers(result: LayerParity, written: Sequence[Path]) -> None:
    """The table and the verdict."""
    rows = [_cells(row) for row in result.rows]
    headers = ("layer", "output", "max abs", "relative", "mean", "worst at", "")
    terminal.print_table(headers, rows, left=("layer", "worst at", ""))
    compared = [row for row in result.rows if row.verdict != "nothing to compare"]
    failed = [row for row in compared if row.verdict == "differs"]
    worst = max(compared, key=lambda row: row.relative, default=None)
    print(f"\nweights {result.weights}, input {result.input}")
    for remark in result.remarks:
        print(remark)
    if failed:
        print(f"FAILED: {len(failed)} of {count(len(compared), 'layer')} differ, the first is {failed[0].name}")
    elif worst is None:
        print("FAILED: nothing could be compared")
    else:
        at = f"{worst.relative:.1e} of scale at {worst.name}, tolerance {worst.tolerance:.0e}"
        print(
            f"passed: {count(len(compared), 'layer equals', 'layers equal')} {result.reader}'s; largest difference {at}"
        )
    for path in written:
        print(path)


def _cells(row: Difference) -> tuple[str, ...]:
    shape = "x".join(str(side) for side in row.shape[1:])
    if row.verdict == "nothing to compare":
        return row.name, shape, "", "", "", "", row.note
    at = ",".join(str(index) for index in row.worst[1:])
    mark = f"DIFFERS {row.note}".rstrip() if row.verdict == "differs" else row.note
    return row.name, shape, f"{row.max_abs:.1e}", f"{row.relative:.1e}", f"{row.mean_abs:.1e}", at, mark


def print_chain(chain: Chain, written: Sequence[Path]) -> None:
    """The tables and the verdict."""
    from darknet_compat.parity.report import ANSWER_HEADERS, STAGE_HEADERS, answer_rows, stage_cells

    terminal.print_table(STAGE_HEADERS, map(stage_cells, chain.stages), left=("stage", "worst at", ""))
    print()
    terminal.print_table(ANSWER_HEADERS, answer_rows(chain.stages), left=("stage", ""))
    width, height = chain.size
    thresh = "" if chain.thresh is None else f", thresh {chain.thresh:.4g}"
    pictures = terminal.count(len(chain.pictures), "picture")
    print()
    terminal.print_line(f"weights {chain.weights}, {pictures} at {width}x{height}{thresh}")
    for stage, why in chain.not_run:
        terminal.print_line(f"not run: {stage}: {why}")
    terminal.print_line(_verdict(chain))
    for path in written:
        print(path)


def _verdict(chain: Chain) -> str:
    for stage in chain.stages:
        name = f"{stage.reference} → {stage.stage}"
        if stage.first is not None:
            how = stage.first.note or f"{stage.first.relative:.1e} of its largest value"
            return f"FAILED: {name} departs at {stage.first.name} ({how})"
        if stage.worst is None:
            return f"FAILED: {name}: nothing could be compared"
        if (agreed := stage.agreement) is not None and agreed.objects and not agreed.passed:
            return (
                f"FAILED: {name}: {agreed.percent:.1f} % of answers agree in {stage.precision}, {agreed.least:g} asked"
            )
        differing = next((one for one in stage.answers if one.verdict == "differs"), None)
        if differing is not None:
            return f"FAILED: {name}: other answers to {differing.picture}"
        if not stage.passed:
            return f"FAILED: {name}: no answers to compare; --thresh is {chain.thresh}, lower it or name other pictures"
    if not chain.passed:
        return "FAILED: no runtime of exported files could be compared"
    return f"passed: {terminal.count(len(chain.stages), 'stage')} of the same values and the same answers"
