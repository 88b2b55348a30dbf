"""What the real parser and builder, and the rules of TensorRT 8.6, make of a file: the rows of docs/gpu/parsers.md.

`tools/tensorrt_table.py` writes them, `test_verdicts.py` holds what stands there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import onnx

from darknet_compat.definition.lower import lower
from darknet_compat.errors import DarknetCompatError, ExportError
from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.export.quantize.quantize import quantizable, quantize_onnx
from darknet_compat.export.tensorrt.engine import planned, prepared
from darknet_compat.export.tensorrt.parser_checks import problems
from darknet_compat.export.tensorrt.profiles import input_shape
from darknet_compat.export.tensorrt.settings import Settings
from darknet_compat.formats.cfg import parse_cfg
from darknet_compat.formats.wordtree import format_tree
from darknet_compat.heads.output_layouts import LAYOUTS
from darknet_compat.network.network import Network
from darknet_compat.runtime.exported import read_artefact
from tests.export.onnx.test_layers import CASES
from tests.export.support import SHIPPED, pictures, seeded, small
from tests.export.tensorrt.real import Parsed
from tests.heads.test_ops import CASES as HEADS
from tests.heads.test_ops import TREE
from tests.network.conftest import filled, text_of

FORMS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "any size": ({}, ("fp32", "fp16")),
    "uint8, one size": ({"input": "uint8", "sizes": "fixed", "batch": 1}, ("fp16",)),
    "heads": ({"outputs": "heads"}, ("fp32",)),
    "detections": ({"outputs": "detections"}, ("fp32",)),
}
"""A network's files → the options of their export, and the precisions that they are built in."""

QUANTIZED: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {"quantized": ({}, ("int8", "fp8"))}
FREE, ONE = FORMS["any size"], ({"sizes": "fixed", "batch": 2}, ("fp32", "fp16"))
TAKEN, BUILT, NOTHING = "takes it", "built", "nothing against it"
NOT_EXPORTED = "not exported: "
NO_SUPPRESSION = "has no NonMaxSuppression; we refuse it before, Detector suppresses"


class Row(NamedTuple):
    """A file, and what each makes of it."""

    file: str
    parser: str
    builder: str
    rules: str

    @property
    def alike(self) -> tuple[str, str, str]:
        """The verdicts without the numbers."""
        return self.parser.partition(",")[0], self.builder.partition(",")[0], self.rules


def judged(path: Path, what: str, precision: Any) -> Row:
    """What the parser, the builder and the rules say of a file in a precision."""
    artefact = read_artefact(path)
    settings = Settings(target="rtx", precision=precision, batches=(artefact.batch or 1,))
    if suppresses := artefact.outputs == "detections":
        graph, found = path.read_bytes(), problems(onnx.load(path))
        shapes = {"images": [input_shape(artefact, (1, artefact.height, artefact.width))] * 3}
    else:
        profile = planned(artefact, settings, str(path))[0]
        graph, found = prepared(path, settings, [profile], typed=True), []
        sides = (profile.least, profile.best, profile.most)
        shapes = {"images": [input_shape(artefact, side) for side in sides]}
    parsed = Parsed(graph)
    rules = "; ".join(found) or NOTHING
    if parsed.refused:
        return Row(what, f"refuses it: {parsed.refused[:100]}", "not asked", rules)
    warned = f", warns: {parsed.logger.warnings[0][:100]}" if parsed.logger.warnings else ""
    plan = parsed.build(shapes)  # type: ignore[arg-type]
    if plan is not None:
        builder = f"{BUILT}, {len(plan) / 1e6:,.1f} MB"
    elif suppresses and any("no runners" in line for line in parsed.logger.errors):
        builder = NO_SUPPRESSION
    else:
        builder = f"refuses it: {parsed.logger.errors[0][:120]}"
    return Row(what, f"{TAKEN}, {parsed.network.num_layers} layers", builder + warned, rules)


def rows_of(what: str, network: Network, folder: Path, forms: dict[str, Any]) -> Iterator[Row]:
    """The rows of a network's files, of whatever can be exported of it."""
    path = folder / "m.onnx"
    for form, (options, precisions) in forms.items():
        try:
            export_onnx(network, path, **options)
            if form == "quantized":
                if not quantizable(onnx.load(path)):
                    raise ExportError(f"{what}: has no convolution between its first and its last")
                net = network.spec.net
                images = [pictures(net.channels, net.width, net.height, 1)]
                quantize_onnx(path, folder / "q.onnx", images, None)
        except DarknetCompatError as error:
            yield Row(f"{what}, {form}", "no such file", "no such file", NOT_EXPORTED + _reason(error))
            continue
        for precision in precisions:
            yield judged(folder / "q.onnx" if form == "quantized" else path, f"{what}, {form}, {precision}", precision)


def _reason(error: DarknetCompatError) -> str:
    text = str(error)
    return text.partition(": ")[2] or text


def of_network(name: str, folder: Path) -> list[Row]:
    """A network of the catalogue, seeded, in every form but int8 and fp8."""
    return list(rows_of(name, seeded(SHIPPED / f"{name}.cfg"), folder, FORMS))


def of_quantized(name: str, folder: Path) -> list[Row]:
    """A network of the catalogue, quantized."""
    return list(rows_of(name, seeded(SHIPPED / f"{name}.cfg"), folder, QUANTIZED))


def of_original(path: str, folder: Path) -> list[Row]:
    """A definition of the original's, seeded, in both precisions."""
    cfg = Path(path)
    return list(rows_of(f"{cfg.stem} (original's)", seeded(cfg), folder, {"any size": FREE}))


def of_layer(name: str, folder: Path) -> list[Row]:
    """A kind of layer alone, in every form; one row where all say the same."""
    network = small(CASES[name], (8 if "reorg" in name else 4, 12, 16))
    forms = {"any size": ({"outputs": "heads"}, FREE[1]), "one size": (ONE[0] | {"outputs": "heads"}, ONE[1])}
    return together(f"[{name}]", list(rows_of(f"[{name}]", network, folder, forms)))


def of_head(name: str, folder: Path) -> list[Row]:
    """A kind of head alone."""
    text, channels = HEADS[name]
    (folder / "its.tree").write_text(format_tree(TREE))
    flat = name.startswith("detection") or name == "softmax tree"
    shape = (channels, 1, 1) if flat else (channels, 3, 5)
    before = f"[convolutional]\nfilters={channels}\nactivation=linear\n"
    network = filled(Network(lower(parse_cfg(text_of(before + text, shape)), [folder]))).eval()
    what = f"head [{name}]"
    return together(what, list(rows_of(what, network, folder, {"any size": FREE, "one size": ONE})))


def of_layout(name: str, folder: Path) -> list[Row]:
    """Another program's form of the outputs, of yolov2-tiny-voc."""
    forms = {f"layout {name}": ({"layout": name}, ("fp32", "fp16") if LAYOUTS[name].gives == "boxes" else ("fp32",))}
    return list(rows_of("yolov2-tiny-voc", seeded(SHIPPED / "yolov2-tiny-voc.cfg"), folder, forms))


def together(what: str, rows: list[Row]) -> list[Row]:
    """One row where all say the same."""
    if len({row.alike for row in rows}) == 1 and len(rows) == 4 and rows[0].alike[:2] == (TAKEN, BUILT):
        return [Row(f"{what}, any size and one, fp32 and fp16", "takes all four", "builds all four", rows[0].rules)]
    return rows


SUBJECTS: dict[str, Callable[[str, Path], list[Row]]] = {
    "layer": of_layer,
    "head": of_head,
    "layout": of_layout,
    "network": of_network,
    "quantized": of_quantized,
    "original": of_original,
}
"""What rows there are of, by kind."""
