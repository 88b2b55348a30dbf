"""Our files in the runtimes of others: writes docs/evidence/interop.md.

    make test-interop PYTEST_ARGS=--collect-only     # installs the runtimes, once
    python tools/interop_table.py [--runtimes ncnn,tract] [--networks yolov3-tiny] [--out FILE] [--record FILE.json]

With --record what was tried before is kept, and only what is missing is tried. An hour on two cores.
"""

# ruff: noqa: E402
from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY)]

from darknet_compat.formats.atomic import atomic_write
from tests.interop.cells import HALF, LAYOUTS, NETWORKS, TOLERANCE, Cell, Files, ask, cells
from tests.interop.known import KNOWN
from tests.interop.runtimes import RUNTIMES

Record = dict[str, Cell]

OPTIONS = {
    "default": "no option",
    "fixed": "`--sizes fixed --batch 1`",
    "heads": "`--outputs heads --sizes fixed --batch 1`",
    "detections": "`--outputs detections --sizes fixed --batch 1`",
    "fp16": "`--precision fp16 --sizes fixed --batch 1`",
}


def shown(cell: Cell | None) -> str:
    """A cell of the table."""
    if cell is None:
        return ""
    if not cell.agrees:
        return f"**{cell.difference:.0e}**" if cell.difference is not None else "**no**"
    return "built" if cell.difference is None else f"{cell.difference:.0e}"


def table(record: Record, layout: str) -> str:
    """A layout's table, runtime by network."""
    networks = [network for network in NETWORKS if any(f" {layout} {network}" in key for key in record)]
    lines = [f"| | {' | '.join(networks)} |", "|---|" + "---|" * len(networks)]
    for runtime in RUNTIMES:
        row = [record.get(f"{runtime.name} {layout} {network}") for network in networks]
        if any(row):
            version = next((cell.version for cell in row if cell and cell.version), runtime.title)
            lines.append(f"| {version} | {' | '.join(map(shown, row))} |")
    return "\n".join(lines) + "\n"


def page(record: Record) -> str:
    """The document."""
    agreeing = sum(cell.agrees for cell in record.values())
    titles = {runtime.name: runtime.title for runtime in RUNTIMES}
    failing = "".join(
        f"| {titles[row.runtime]} | {row.layout}{f', {row.network}' if row.network else ''} | {row.why} |\n"
        for row in KNOWN
        if any(key.startswith(f"{row.runtime} {row.layout} ") for key in record)
    )
    said = f"""# Our files in the runtimes of others

Written by `tools/interop_table.py` on {time.strftime("%Y-%m-%d")}; `make test-interop` installs the runtimes and
tries the same. Of {len(record)} files read, {agreeing} agree: no value is further from PyTorch's than {TOLERANCE:g} of
the output's largest (detections: than ONNX Runtime's; fp16: {HALF:g}). The picture and, but for the
digits', the weights are made from seeds. "built": TensorRT's parser and builder take it, nothing is run, for want of
a GPU. CoreML is not here: its tools read PyTorch's networks, not ONNX files, and run them on macOS alone.

What fails, and what helps:

| | file | |
|---|---|---|
{failing}"""
    parts = [f"\n## {layout}: {OPTIONS[layout]}\n\n{table(record, layout)}" for layout in LAYOUTS]
    return said + "".join(part for part in parts if "| |" in part)


def main() -> None:
    """Ask, and write the page after each cell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runtimes", default=",".join(runtime.name for runtime in RUNTIMES))
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--out", type=Path, default=REPOSITORY / "docs" / "evidence" / "interop.md")
    parser.add_argument("--record", type=Path)
    arguments = parser.parse_args()
    record: Record = {}
    if arguments.record and arguments.record.exists():
        record = {key: Cell(**one) for key, one in json.loads(arguments.record.read_text()).items()}
    wanted = [runtime for runtime in RUNTIMES if runtime.name in arguments.runtimes.split(",")]
    for runtime in wanted:
        if why := runtime.missing():
            print(why.upper(), flush=True)
    with tempfile.TemporaryDirectory(prefix="darknet-compat-") as folder:
        files = Files(Path(folder))
        for runtime, layout, network in sorted(cells(), key=lambda cell: list(NETWORKS).index(cell[2])):
            key = f"{runtime.name} {layout} {network}"
            if network not in arguments.networks.split(",") or runtime not in wanted or runtime.missing():
                continue
            if key not in record:
                record[key] = ask(runtime, *files.make(network, layout))
                print(key, record[key], flush=True)
            if arguments.record:
                arguments.record.write_text(json.dumps({one: asdict(cell) for one, cell in record.items()}, indent=1))
    with atomic_write(arguments.out) as file:
        file.write(page(record).encode())
    print(arguments.out)


if __name__ == "__main__":
    main()
