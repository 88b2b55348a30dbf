"""What the real parser and builder of TensorRT-RTX make of our files: docs/gpu/parsers.md, written anew.

    make test-trt                                  # installs them, once
    python tools/tensorrt_table.py                 # every layer, head, layout, network: hours on two busy cores
    python tools/tensorrt_table.py --only network=yolov2-voc --only layer
    python tools/tensorrt_table.py --rows FILE     # keep what was asked in FILE, and go on from there

Networks are asked in a process each: what one takes of memory is given back, and an end of the library is a row.
Nothing is run: that takes a GPU (tools/gpu_check.py).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY)]
sys.path.append(str(Path(sys.prefix) / "share" / "tensorrt-rtx"))

ORIGINAL = Path("/usr/share/darknet/cfg")
TITLES = {
    "layer": "Every kind of layer, alone",
    "head": "Every kind of head, alone",
    "layout": "The forms of other programs",
    "network": "The networks of the catalogue",
    "quantized": "The same in int8 and fp8",
    "original": "The original's definitions",
}

Rows = dict[str, list[list[str]]]
"""Of "kind=name": file, parser, builder, rules."""


def subjects() -> list[str]:
    """All that can be asked, as "kind=name"."""
    from darknet_compat.catalogue import catalog
    from darknet_compat.heads.output_layouts import LAYOUTS
    from tests.export.tensorrt.verdicts import CASES, HEADS

    names = {
        "layer": CASES,
        "head": HEADS,
        "layout": [name for name in LAYOUTS if name not in ("heads", "boxes", "detections")],
        "network": catalog.MODELS,
        "quantized": catalog.MODELS,
        "original": map(str, sorted(ORIGINAL.glob("*.cfg"))),
    }
    return [f"{kind}={name}" for kind, some in names.items() for name in some]


def ask(asked: list[str]) -> Iterator[tuple[str, list[list[str]]]]:
    """The rows of each, from a process of its own; where that ends before its time, from another for those behind."""
    while asked:
        command = [sys.executable, __file__, *(f"--one={subject}" for subject in asked)]
        with (
            tempfile.TemporaryFile("w+") as complaints,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints, text=True, cwd=REPOSITORY) as child,
        ):
            assert child.stdout is not None
            for line in child.stdout:
                yield asked.pop(0), json.loads(line)
            code = child.wait()
            complaints.seek(0)
            last = (complaints.read().splitlines() or ["no reason"])[-1][:160]
        if asked:
            how = f"signal {-code}" if code < 0 else last
            subject = asked.pop(0)
            yield subject, [[subject.partition("=")[2], f"**the process ended: {how}**", "not asked", "not asked"]]


def one(asked: list[str]) -> None:
    """Print the rows of each as JSON, a line each."""
    from tests.export.tensorrt.verdicts import SUBJECTS

    for subject in asked:
        kind, _, name = subject.partition("=")
        with tempfile.TemporaryDirectory(prefix="darknet-compat-") as folder:
            print(json.dumps(SUBJECTS[kind](name, Path(folder))), flush=True)


def page(rows: Rows, order: list[str], version: str) -> str:
    """The document."""
    every = [row for some in rows.values() for row in some]

    def count(column: int, one: str, four: str) -> int:
        return sum(4 if row[column] == four else row[column].startswith(one) for row in every)

    taken, built = count(1, "takes it", "takes all four"), count(2, "built", "builds all four")
    files = taken + sum(row[1].startswith("refuses") for row in every)
    missing = [subject for subject in order if subject not in rows]
    text = f"""# What NVIDIA's parser and builder make of our files

Written by `tools/tensorrt_table.py` on {time.strftime("%Y-%m-%d")}, with seeded weights, on a machine without a GPU:
{files} files as they are handed over, of which the parser of TensorRT-RTX {version} takes {taken}, and its builder
builds {built} for compute capability 8.9. The last column is `export.tensorrt.parser_checks`, the restrictions of
TensorRT 8.6's parser as read off its sources. [The overview](README.md) says what was run, and by which other versions.
"""
    if missing:
        text += f"\nNot asked: {', '.join(missing)}.\n"
    for kind, title in TITLES.items():
        of_kind = [row for subject in order if subject.startswith(f"{kind}=") for row in rows.get(subject, [])]
        text += (
            f"\n## {title}\n\n| file | TensorRT-RTX's parser | its builder | the rules of 8.6 |\n|---|---|---|---|\n"
        )
        text += "".join(f"| {' | '.join(row)} |\n" for row in of_kind)
    return text


def main() -> None:
    """Ask, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="KIND[=NAME]", help="Ask these alone; may be repeated.")
    parser.add_argument("--rows", type=Path, metavar="FILE", help="What was asked before, as JSON, and will be now.")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "docs" / "gpu" / "parsers.md")
    parser.add_argument("--one", action="append", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        one(arguments.one)
        return
    import tensorrt_rtx

    order = subjects()
    only = arguments.only or list(TITLES)
    rows: Rows = json.loads(arguments.rows.read_text()) if arguments.rows and arguments.rows.exists() else {}
    wanted = [name for name in order if name not in rows and (name in only or name.partition("=")[0] in only)]
    small = [name for name in wanted if name.startswith(("layer", "head", "layout"))]
    for group in (small, *([name] for name in wanted if name not in small)):
        for subject, found in ask(list(group)):
            rows[subject] = found
            for row in found:
                print(*row, sep=" | ", flush=True)
            if arguments.rows:
                arguments.rows.write_text(json.dumps(rows))
    arguments.out.write_text(page(rows, order, str(tensorrt_rtx.__version__)))
    print(arguments.out)


if __name__ == "__main__":
    main()
