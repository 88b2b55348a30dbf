"""`darknet-compat parity --stages`: what it prints and writes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from darknet_compat.cli.terminal import output as terminal

if TYPE_CHECKING:
    from darknet_compat.parity.stages import Chain


def photographs() -> list[Path]:
    """Those that come with the original. Raises OriginalError where it is not installed, or they are not."""
    from darknet_compat.errors import OriginalError

    folder = Path("/usr/share/darknet/data")
    found = sorted(folder.glob("*.jpg"))
    if not found:
        raise OriginalError(f"{folder}: has no pictures to send through; name some with --image")
    return found


def write_chain(chain: Chain, out: Path) -> list[Path]:
    """The comparison as JSON, and as a page."""
    import json

    from darknet_compat.formats.atomic import atomic_write
    from darknet_compat.parity.report import write_report

    stem = f"{Path(chain.cfg).stem}-stages"
    document, page = out / f"{stem}.json", out / f"{stem}.html"
    with atomic_write(document) as file:
        file.write(json.dumps(finite(chain.to_dict()), indent=1).encode())
    write_report(chain, page)
    return [document, page]


def finite(value: object) -> object:
    """The same with null for numbers that JSON does not have, such as the difference to a nan."""
    if isinstance(value, dict):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and value - value != 0 else value


def print_chain(chain: Chain, written: list[Path]) -> None:
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
