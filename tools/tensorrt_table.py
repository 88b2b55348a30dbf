"""What NVIDIA's parser and builder make of every network and kind of layer: writes docs/gpu/parsers.md.

    make test-trt PYTEST_ARGS=--collect-only     # installs TensorRT-RTX beside the environment, once
    python tools/tensorrt_table.py [--networks yolov2-voc,tiny] [--out FILE]

Nothing is run: that takes a GPU (tools/gpu_check.py). A quarter of an hour on two cores.
"""

# ruff: noqa: E402
from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import onnx

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY)]
sys.path.append(str(Path(sys.prefix) / "share" / "tensorrt-rtx"))

from darknet_compat.catalogue import catalog
from darknet_compat.errors import ExportError
from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.export.quantize.quantize import quantizable, quantize_onnx
from darknet_compat.export.tensorrt.engine import planned, prepared
from darknet_compat.export.tensorrt.parserforms import problems
from darknet_compat.export.tensorrt.profiles import input_shape
from darknet_compat.export.tensorrt.settings import Settings
from darknet_compat.formats.atomic import atomic_write
from darknet_compat.runtime.exported import read_artefact
from tests.export.onnx.test_layers import CASES
from tests.export.support import SHIPPED, pictures, seeded, small
from tests.export.tensorrt.real import Parsed

FORMS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "any size": ({}, ("fp32", "fp16")),
    "uint8, one size": ({"input": "uint8", "sizes": "fixed", "batch": 1}, ("fp16",)),
    "heads": ({"outputs": "heads"}, ("fp32",)),
    "detections": ({"outputs": "detections"}, ("fp32",)),
    "quantized": ({}, ("int8", "fp8")),
}


class Row(NamedTuple):
    """A file, and what each makes of it."""

    file: str
    parser: str
    builder: str
    rules: str


def judged(path: Path, what: str, precision: Any) -> Row:
    """What the parser, the builder and the rules of 8.6 say of a file in a precision."""
    artefact = read_artefact(path)
    settings = Settings(target="rtx", precision=precision, batches=(artefact.batch or 1,))
    if artefact.outputs == "detections":
        model, shapes = onnx.load(path), {}
        found = problems(model)
        graph = model.SerializeToString()
    else:
        profiles = planned(artefact, settings, str(path))
        found = []
        try:
            graph = prepared(path, settings, profiles, typed=True)
        except ExportError as error:
            return Row(what, "not asked", "not asked", str(error).partition(": ")[2])
        shapes = {"images": [input_shape(artefact, side) for side in (profiles[0].least, *[profiles[0].best] * 2)]}
    parsed = Parsed(graph)
    if artefact.outputs == "detections":
        side = (1, artefact.height, artefact.width)
        shapes = {"images": [input_shape(artefact, side)] * 3}
    rules = "; ".join(found) or "nothing against it"
    if parsed.refused:
        return Row(what, parsed.refused, "not asked", rules)
    plan = parsed.build(shapes)  # type: ignore[arg-type]
    if plan is not None:
        builder = f"built, {len(plan) / 1e6:,.1f} MB"
    elif artefact.outputs == "detections":
        builder = "has no NonMaxSuppression; we refuse it before, Detector suppresses"
    else:
        builder = f"refuses it: {parsed.logger.errors[0][:120]}"
    warned = f", warns: {parsed.logger.warnings[0][:100]}" if parsed.logger.warnings else ""
    return Row(what, f"takes it, {parsed.network.num_layers} layers", builder + warned, rules)


def of_network(name: str, folder: Path) -> Iterator[Row]:
    """A network of the catalogue, seeded, in every form."""
    network, path = seeded(SHIPPED / f"{name}.cfg"), folder / "m.onnx"
    for form, (options, precisions) in FORMS.items():
        try:
            export_onnx(network, path, **options)
            if form == "quantized":
                if not quantizable(onnx.load(path)):
                    raise ExportError(f"{name}: has no convolution between its first and its last")
                net = network.spec.net
                images = [pictures(net.channels, net.width, net.height, 1)]
                quantize_onnx(path, folder / "q.onnx", images, None)
        except ExportError as error:
            yield Row(
                f"{name}, {form}", "no such file", "no such file", f"not exported: {str(error).partition(': ')[2]}"
            )
            continue
        for precision in precisions:
            yield judged(folder / "q.onnx" if form == "quantized" else path, f"{name}, {form}, {precision}", precision)


def of_layers(folder: Path) -> Iterator[Row]:
    """Every kind of layer alone, of any size and of one, in float32 and float16."""
    for name, text in CASES.items():
        network = small(text, (8 if "reorg" in name else 4, 12, 16))
        rows: list[Row] = []
        for sizes in ("any size", "one size"):
            fixed: Any = {"sizes": "fixed", "batch": 2} if sizes == "one size" else {}
            export_onnx(network, folder / "l.onnx", outputs="heads", **fixed)
            rows += [judged(folder / "l.onnx", f"[{name}], {sizes}, {one}", one) for one in ("fp32", "fp16")]
        alike = all(row.parser.startswith("takes") and row.builder.startswith("built") for row in rows)
        if alike and len({row.rules for row in rows}) == 1:
            yield Row(f"[{name}], any size and one, fp32 and fp16", "takes all four", "builds all four", rows[0].rules)
        else:
            yield from rows


def overview(version: str) -> str:
    """What has been parsed, built and run, by which version."""
    before = "228 files of an export before this one, by its own parser: none refused. Those below by its rules"
    names = "not tried; the names that we use are held against the bindings 10.0.1, 10.16.1, 11.0.0 and 11.4.0"
    rows = (
        ("", f"TensorRT-RTX {version}", "TensorRT 8.6.0", "TensorRT 10 and 11"),
        ("---", "---", "---", "---"),
        ("parsed", "all below, on a machine without a GPU", before, names),
        ("built", "all below, on the same machine", "not tried: it takes a GPU", "not tried: it takes a GPU"),
        ("run", "**open**: no GPU was at hand", "**open**", "**open**; `tools/gpu_check.py` is for that"),
    )
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def page(rows: list[Row], version: str) -> str:
    """The document."""
    count = sum(4 if "four" in row.parser else row.parser != "no such file" for row in rows)
    taken = sum(4 if "four" in row.parser else row.parser.startswith("takes") for row in rows)
    built = sum(4 if "four" in row.builder else row.builder.startswith("built") for row in rows)
    lines = [f"| {row.file} | {row.parser} | {row.builder} | {row.rules} |" for row in rows]
    said = f"""# What NVIDIA's parser and builder make of our files

Written by `tools/tensorrt_table.py` on {time.strftime("%Y-%m-%d")}, with seeded weights: {count} files as they are
handed over, of which the parser of TensorRT-RTX {version} takes {taken}, and its builder builds {built} for compute
capability 8.9. The last column is `export.tensorrt.parserforms`, the restrictions of TensorRT 8.6's parser as read off
its sources.

{overview(version)}
| file | TensorRT-RTX's parser | its builder | the rules of 8.6 |
|---|---|---|---|
"""
    return said + "\n".join(lines) + "\n"


def main() -> None:
    """Ask, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default=",".join(catalog.MODELS), help="Default: all of the catalogue.")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "docs" / "gpu" / "parsers.md")
    arguments = parser.parse_args()
    import tensorrt_rtx

    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="darknet-compat-") as folder:
        rows += of_layers(Path(folder))
        for name in arguments.networks.split(","):
            rows += of_network(name, Path(folder))
            print(*rows[-1], sep=" | ", flush=True)
            with atomic_write(arguments.out) as file:
                file.write(page(rows, str(tensorrt_rtx.__version__)).encode())
    print(arguments.out)


if __name__ == "__main__":
    main()
