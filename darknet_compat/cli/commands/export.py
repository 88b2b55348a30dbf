"""`darknet-compat export`: a network as one ONNX file."""

from __future__ import annotations

import re
import tempfile
import time
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from darknet_compat.cli.commands.export_int8 import Calibrate, MaxDrop, Written, WrittenPrecision, quantize
from darknet_compat.cli.options import (
    DialectOption,
    HierThresh,
    InputSize,
    Json,
    MaxPixels,
    Model,
    Names,
    ResizeMode,
    Size,
    Weights,
    explaining,
)
from darknet_compat.cli.terminal import output as terminal
from darknet_compat.errors import CatalogError, ExportError
from darknet_compat.formats.atomic import expect_no_input
from darknet_compat.inference.options import Nms, Thresh
from darknet_compat.runtime.registry import is_onnx

if TYPE_CHECKING:
    from darknet_compat.formats.exported.artefact import Artefact
    from darknet_compat.formats.exported.artefact import Outputs as Kind
    from darknet_compat.inference.model import Sources


class Outputs(str, Enum):
    """What the graph gives (`formats.artefact.Outputs`)."""

    heads = "heads"
    boxes = "boxes"
    detections = "detections"


class Input(str, Enum):
    """What the graph takes (`formats.artefact.Input`)."""

    float = "float"
    uint8 = "uint8"


def parse_sizes(text: str | tuple[int, int]) -> tuple[int, int] | str:
    """`320-608` or `fixed`. Raises BadParameter."""
    if isinstance(text, tuple) or text == "fixed":
        return text
    match = re.fullmatch(r"(\d{1,6})(?:-|\.\.|:)(\d{1,6})", text.strip())
    if not match:
        raise typer.BadParameter(
            f"expected the least and the most pixels of a side such as 320-608, or fixed, '{text}'"
        )
    return int(match[1]), int(match[2])


Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="PATH", help="The file to write, or a folder for it. Default: MODEL's name, here."),
]
OutputsKind = Annotated[
    Outputs | None,
    typer.Option(
        "--outputs",
        help="heads: raw. boxes: decoded, or a classifier's classes; the default. detections: after non-maximum"
        " suppression, with --thresh and --nms.",
    ),
]
InputKind = Annotated[
    Input | None,
    typer.Option("--input", help="float: planes of 0..1, NCHW; the default. uint8: pixels of 0..255, NHWC. Both RGB."),
]
SizeRange = Annotated[
    str | None,
    typer.Option(
        "--sizes",
        parser=parse_sizes,
        metavar="A-B|fixed",
        help="From and up to how many pixels a side may have. Default: 288-608 where the layers permit.",
    ),
]
FixedBatch = Annotated[
    int | None, typer.Option("--batch", min=1, max=1024, metavar="N", help="A fixed number of pictures. Default: any.")
]


Bundle = Annotated[
    Path | None,
    typer.Option("--bundle", metavar="DIR", help="Write a folder to run it from: the file, names, run.py, README."),
]


def export(
    model: Model,
    weights: Weights = None,
    out: Out = None,
    outputs: OutputsKind = None,
    input: InputKind = None,
    size: InputSize = None,
    sizes: SizeRange = None,
    batch: FixedBatch = None,
    names: Names = None,
    resize: ResizeMode = None,
    dialect: DialectOption = None,
    thresh: Thresh = None,
    hier_thresh: HierThresh = None,
    nms: Nms = None,
    precision: WrittenPrecision = Written.fp32,
    calibrate: Calibrate = None,
    max_drop: MaxDrop = 1.0,
    max_pixels: MaxPixels = None,
    bundle: Bundle = None,
    json: Json = False,
) -> None:
    """Write a network as one ONNX file that says itself how it is to be used.

    Opset 17, only operators that ONNX Runtime, OpenVINO and TensorRT have. `detect` and `classify` take the file as
    MODEL. For int8 MODEL may be a file that was exported before.
    """
    from darknet_compat.inference.model import locate

    start = time.perf_counter()
    int8 = precision is Written.int8
    _expect_together(int8, calibrate, bundle, out)
    arguments = {
        "outputs": outputs.value if outputs else None,
        "input": input.value if input else None,
        "sizes": sizes,
        "batch": batch,
        "names": names,
        "resize": resize,
        "dialect": dialect,
        "thresh": thresh,
        "hier_thresh": hier_thresh,
        "nms": nms,
    }
    with terminal.Transfers(model, quiet=json) as progress, explaining(size):
        sources = locate(model, weights, progress=progress)
        exported = is_onnx(sources.cfg)
        if exported:
            _refuse_exported(sources.cfg, int8, {"weights": weights, "size": size, **arguments})
        if bundle is not None:
            _expect_bundle(sources, exported, size, arguments)
            arguments |= {"sizes": sizes or "fixed", "batch": batch or 1}
        path = _place(bundle or out, f"{sources.cfg.stem}-int8" if int8 else sources.cfg.stem)
        expect_no_input(path, (sources.cfg, sources.weights), ExportError)
        if not int8:
            artefact = _export(sources, path, size, arguments)
    if calibrate is not None:
        with tempfile.TemporaryDirectory(prefix=".fp32-", dir=path.parent) as folder, explaining(size):
            source = sources.cfg if exported else Path(folder) / f"{sources.cfg.stem}.onnx"
            if not exported:
                _export(sources, source, size, arguments)
            artefact = quantize(source, path, calibrate, max_drop, quiet=json)
    if bundle is not None:
        _write_bundle(bundle, path, artefact)
    _tell(path, artefact, time.perf_counter() - start, json)


def _tell(path: Path, artefact: Artefact, seconds: float, json: bool) -> None:
    """What was written."""
    entry = _entry(path, artefact, seconds)
    line = f"{path}: {entry['bytes']:,} bytes, {_sizes(artefact)}, {artefact.outputs}{_loss(artefact)}"
    terminal.print_json(entry) if json else terminal.print_line(line)


def _write_bundle(folder: Path, path: Path, artefact: Artefact) -> None:
    """What belongs beside the file, and what the bundle does not do."""
    from darknet_compat.export.bundle.write import left_out, write_bundle

    write_bundle(folder, path, artefact)
    missing = left_out(artefact)
    terminal.say(f"{folder}/README.md says how to run it elsewhere{f'; {missing}' if missing else ''}")


def _expect_bundle(sources: Sources, exported: bool, size: Size | None, arguments: dict[str, Any]) -> None:
    """Raise ExportError for a model that a bundle cannot run."""
    from darknet_compat.definition.lower import load_spec
    from darknet_compat.export.bundle.write import expect_runnable
    from darknet_compat.runtime.described import describe
    from darknet_compat.runtime.exported import read_artefact

    if exported:
        artefact = read_artefact(sources.cfg)
        expect_runnable(artefact, str(sources.cfg), artefact.outputs)
    else:
        spec = load_spec(sources.cfg, size, dialect=arguments["dialect"])
        expect_runnable(describe(spec), str(sources.cfg), arguments["outputs"] or "boxes")


def _expect_together(int8: bool, calibrate: Any, bundle: Path | None, out: Path | None) -> None:
    """Raise BadParameter for options of which one needs, or excludes, the other."""
    if int8 != (calibrate is not None):
        raise typer.BadParameter("int8 and --calibrate PICTURES go together", param_hint="--precision")
    if bundle is not None and out is not None:
        raise typer.BadParameter("--bundle names the folder that the file goes into; leave out --out")


def _refuse_exported(path: Path, int8: bool, options: dict[str, Any]) -> None:
    """Raise ExportError for a file that is what it shall become, BadParameter for what can only be said of a `.cfg`."""
    if not int8:
        raise ExportError(f"{path}: is exported already; name the .cfg")
    given = [f"--{name.replace('_', '-')}" for name, value in options.items() if value is not None]
    if given:
        raise typer.BadParameter(f"{path.name} is exported already, where this was decided", param_hint=given)


def _export(sources: Sources, path: Path, size: Size | None, arguments: dict[str, Any]) -> Artefact:
    """The network of a `.cfg` to `path`; `arguments` are `export_onnx`'s, None for what suits the network."""
    if sources.weights is None:
        beside = sources.cfg.with_suffix(".weights").name
        raise CatalogError(f"{sources.cfg}: no weights are named, and there is no {beside} beside it")
    try:
        from darknet_compat.definition.lower import load_spec
        from darknet_compat.definition.weights.arrays import StoredWeights
        from darknet_compat.export.onnx.export import export_onnx
        from darknet_compat.export.onnx.refusals import answers, refuse
    except ModuleNotFoundError as error:
        raise ExportError(f"{error.name} is not installed: pip install 'darknet-compat[onnx]'") from None
    dialect = arguments.pop("dialect")
    spec = load_spec(sources.cfg, size, dialect=dialect)
    kind: Kind = arguments["outputs"] or ("boxes" if answers(spec) else "heads")
    refuse(spec, kind, arguments["input"] or "float")
    trained = StoredWeights(spec, sources.weights)
    known = {"names": sources.names, "cfg": sources.cfg}
    return export_onnx(trained, path, **known | {name: one for name, one in arguments.items() if one is not None})


def _place(out: Path | None, stem: str) -> Path:
    """The file to write. Raises ExportError where its folder is missing."""
    path = Path(f"{stem}.onnx") if out is None else out if is_onnx(out) else out / f"{stem}.onnx"
    if out is not None and not is_onnx(out):
        out.mkdir(parents=True, exist_ok=True)
    if not path.parent.is_dir():
        raise ExportError(f"{path}: there is no folder {path.parent}")
    return path


def _entry(path: Path, artefact: Artefact, seconds: float) -> dict[str, Any]:
    return {
        "file": str(path),
        "bytes": path.stat().st_size,
        "seconds": round(seconds, 3),
        "outputs": artefact.outputs,
        "input": artefact.input,
        "width": artefact.width,
        "height": artefact.height,
        "sizes": artefact.sizes,
        "step": artefact.step,
        "batch": artefact.batch,
        "classes": artefact.classes,
        "precision": artefact.precision,
        "quantization": _told(artefact),
        "weights_sha256": artefact.weights_sha256,
    }


def _told(artefact: Artefact) -> dict[str, Any] | None:
    """What int8 has cost and was made from, without the scales."""
    if artefact.quantization is None:
        return None
    return {name: value for name, value in artefact.quantization.items() if name not in ("results", "before")}


def _loss(artefact: Artefact) -> str:
    """What int8 has cost."""
    said = artefact.quantization
    if said is None:
        return ""
    pictures = terminal.count(said["pictures"], "picture")
    return f", {said['drop']:.1f} points of {said['measure']} below fp32 ({said['int8']:.1f} %, {pictures})"


def _sizes(artefact: Artefact) -> str:
    if artefact.sizes is None:
        return f"{artefact.width} x {artefact.height}"
    return f"{artefact.sizes[0]} to {artefact.sizes[1]} a side in steps of {artefact.step}"
