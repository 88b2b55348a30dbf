"""`darknet-compat export`: a network as one ONNX file."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Annotated, Any

from darknet_compat.cli.commands._int8 import quantize
from darknet_compat.cli.options import DialectOption, InputSize, Json, MaxPixels, ModelOption, WeightsOption, explaining
from darknet_compat.cli.terminal import output as terminal
from darknet_compat.errors import CatalogError, ExportError, OptionError
from darknet_compat.export.onnx.options import OnnxOptions
from darknet_compat.export.targets.table import TARGETS
from darknet_compat.formats.atomic import expect_no_input
from darknet_compat.options import Option, Options, flag, options_of
from darknet_compat.runtime.registry import is_onnx

if TYPE_CHECKING:
    from darknet_compat.catalogue.locate import Sources
    from darknet_compat.export.targets.base import Target
    from darknet_compat.formats.exported.artefact import Artefact


@dataclass(frozen=True)
class ExportOptions(Options):
    """What to export and where to; how, `OnnxOptions` says. Raises OptionError for options that do not go together."""

    model: ModelOption
    weights: WeightsOption = None
    out: Annotated[
        Path | None, Option("The file to write, or a folder for it. Default: MODEL's name, here.", metavar="PATH")
    ] = None
    size: InputSize = None
    dialect: DialectOption = None
    calibrate: Annotated[
        Path | None,
        Option(
            "Pictures of what the model is for: a folder of them, or labelled ones (VOC folder, COCO's JSON, list).",
            metavar="DIR|DATA",
        ),
    ] = None
    max_drop: Annotated[
        float,
        Option(
            "How much int8 may lose at most: points of mAP, or without labels of agreement with the fp32 detections.",
            metavar="POINTS",
            least=0,
            most=100,
        ),
    ] = 1.0
    mixed: Annotated[
        bool,
        Option(
            "With int8: leave those convolutions in float32 that cost more than their time is worth, by hundreds of"
            " passes of the network."
        ),
    ] = False
    max_pixels: MaxPixels = None
    bundle: Annotated[
        Path | None, Option("Write a folder to run it from: the file, names, run.py, README.", metavar="DIR")
    ] = None
    for_: Annotated[
        str | None,
        Option(
            "Write a folder (--out, or one named after both) for another program: the file as that wants it, its"
            " configuration, labels, README; for ncnn, tflite and coreml converted, where their tools are installed."
            f" PROGRAM is {', '.join(TARGETS)}.",
            metavar="PROGRAM",
            choices=tuple(TARGETS),
        ),
    ] = None
    web: Annotated[
        Path | None, Option("Write a page that runs the model in a browser: --for web --out DIR.", metavar="DIR")
    ] = None
    triton: Annotated[
        Path | None, Option("Write a model repository of Triton's: --for triton --out REPO.", metavar="REPO")
    ] = None
    ort_web: Annotated[
        Path | None,
        Option(
            "With --for web: where the npm package onnxruntime-web is, as .tgz, unpacked or in a node_modules folder."
            " Default: what lies here.",
            metavar="PATH",
        ),
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for short in ("web", "triton"):
            if (folder := getattr(self, short)) is not None:
                if self.for_ is not None or self.out is not None:
                    raise OptionError(f"is --for {short} --out {folder}; leave those out", short)
                object.__setattr__(self, "for_", short)
                object.__setattr__(self, "out", folder)
                object.__setattr__(self, short, None)
        if self.ort_web is not None and self.for_ != "web":
            raise OptionError("goes with --for web", "ort_web")
        if self.bundle is not None and self.out is not None:
            raise OptionError("--bundle names the folder that the file goes into; leave out --out")
        if self.for_ is not None and (self.bundle is not None or self.calibrate is not None):
            raise OptionError("goes neither with --bundle nor with --precision int8", "for_")
        if self.for_ is not None and self.out is not None and is_onnx(self.out):
            raise OptionError(f"--for writes a folder, found the file {self.out}", "out")


def export(options: ExportOptions, graph: OnnxOptions, json: Json = False) -> None:
    """Write a network as one ONNX file that describes itself.

    Size, classes, thresholds travel inside. Only operators that ONNX Runtime, OpenVINO and TensorRT have.
    `detect` and `classify` take the file as MODEL. For int8 MODEL may be a file that was exported before.
    """
    from darknet_compat.catalogue.locate import locate

    if (graph.precision == "int8") != (options.calibrate is not None):
        raise OptionError("int8 and --calibrate PICTURES go together", "precision")
    if options.mixed and graph.precision != "int8":
        raise OptionError(f"goes with --precision int8, found {graph.precision}", "mixed")
    start = time.perf_counter()
    bundle, calibrate, target = options.bundle, options.calibrate, TARGETS.get(options.for_ or "")
    with terminal.Transfers(options.model, quiet=json) as progress, explaining(options.size):
        sources = locate(options.model, options.weights, progress=progress)
        exported = is_onnx(sources.cfg)
        if exported:
            _refuse_exported(sources.cfg, options, graph)
        if bundle is not None:
            _expect_bundle(sources, exported, options, graph)
            graph = replace(graph, sizes=graph.sizes or "fixed", batch=graph.batch or 1)
        if target is not None:
            graph, folder = target.asked(graph), options.out or Path(f"{sources.cfg.stem}-{target.name}")
            path = target.model_in(folder, sources.cfg.stem)
            _expect_computed(target, sources, options)
            brought = target.brings(options.ort_web) if target.brings else {}
        else:
            reduced = "" if graph.precision == "fp32" else f"-{graph.precision}"
            path = _place(bundle or options.out, sources.cfg.stem + reduced)
        expect_no_input(path, (sources.cfg, sources.weights), ExportError)
        if calibrate is None:
            artefact = _export(sources, path, options, graph)
    if calibrate is not None:
        with tempfile.TemporaryDirectory(prefix=".fp32-", dir=path.parent) as work, explaining(options.size):
            source = sources.cfg if exported else Path(work) / f"{sources.cfg.stem}.onnx"
            if not exported:
                _export(sources, source, options, replace(graph, precision="fp32"))
            artefact = quantize(source, path, calibrate, options, quiet=json)
    if bundle is not None:
        _write_bundle(bundle, path, artefact)
    if target is not None:
        _write_target(target, folder, artefact, sources, brought)
    _tell(path, artefact, time.perf_counter() - start, json)


def _tell(path: Path, artefact: Artefact, seconds: float, json: bool) -> None:
    """What was written."""
    entry = _entry(path, artefact, seconds)
    line = (
        f"{path}: {entry['bytes']:,} bytes, {_sizes(artefact)}, {artefact.layout or artefact.outputs}{_loss(artefact)}"
    )
    terminal.print_json(entry) if json else terminal.print_line(line)


def _write_bundle(folder: Path, path: Path, artefact: Artefact) -> None:
    """What belongs beside the file."""
    from darknet_compat.export.bundle.write import write_bundle

    write_bundle(folder, path, artefact)
    terminal.say(f"{folder}/README.md says how to run it elsewhere")


def _expect_computed(target: Target, sources: Sources, options: ExportOptions) -> None:
    """Raise ExportError for a network that the target's tool gets wrong."""
    from darknet_compat.definition.lower import load_spec

    if target.trees and target.fork_trees:
        return
    spec = load_spec(sources.cfg, options.size, dialect=options.dialect)
    if spec.tree is not None and not target.trees:
        raise ExportError(f"{sources.cfg}: has a WordTree, which {target.title} computes wrongly; export its heads")
    if spec.tree is not None and spec.dialect.leaves_first:
        raise ExportError(f"{sources.cfg}: has a WordTree in the fork's dialect, which --for {target.name} cannot read")


def _write_target(
    target: Target, folder: Path, artefact: Artefact, sources: Sources, brought: Mapping[str, bytes]
) -> None:
    """What belongs beside the file, and the file in the program's own form where its tool is there."""
    from darknet_compat.export.targets.write import write_target
    from darknet_compat.runtime.registry import installed

    for said in write_target(target, folder, artefact, brought):
        terminal.say(said)
    if target.network is not None:
        if installed("torch"):
            said = resolve_name(target.network)(sources.cfg, sources.weights, folder, artefact)
        else:
            said = f"torch is not installed, by which {target.title} reads networks: README.md says what is to be done"
        terminal.say(said)
    terminal.say(f"{folder}/README.md says what to do next")


def _expect_bundle(sources: Sources, exported: bool, options: ExportOptions, graph: OnnxOptions) -> None:
    """Raise ExportError for a model that a bundle cannot run."""
    from darknet_compat.definition.lower import load_spec
    from darknet_compat.export.bundle.write import expect_runnable
    from darknet_compat.runtime.described import describe
    from darknet_compat.runtime.exported import read_artefact

    if exported:
        artefact = read_artefact(sources.cfg)
        expect_runnable(artefact, str(sources.cfg), artefact.layout or artefact.outputs)
    else:
        spec = load_spec(sources.cfg, options.size, dialect=options.dialect)
        expect_runnable(describe(spec), str(sources.cfg), graph.layout or graph.outputs or "boxes")


def _refuse_exported(path: Path, options: ExportOptions, graph: OnnxOptions) -> None:
    """Raise ExportError for a file that is what it shall become, OptionError for what can only be said of a `.cfg`."""
    if graph.precision != "int8":
        raise ExportError(f"{path}: is exported already; name the .cfg")
    asked = {"weights": options.weights, "size": options.size, "dialect": options.dialect}
    asked |= {name: getattr(graph, name) for name in options_of(OnnxOptions) if name != "precision"}
    given = ", ".join(flag(name) for name, value in asked.items() if value is not None)
    if given:
        raise OptionError(f"{path.name} is exported already, where this was decided: {given}")


def _export(sources: Sources, path: Path, options: ExportOptions, graph: OnnxOptions) -> Artefact:
    """The network of a `.cfg` to `path`."""
    if sources.weights is None:
        beside = sources.cfg.with_suffix(".weights").name
        raise CatalogError(f"{sources.cfg}: no weights are named, and there is no {beside} beside it")
    try:
        from darknet_compat.definition.lower import load_spec
        from darknet_compat.definition.weights.network_weights import StoredWeights
        from darknet_compat.export.onnx.export import export_onnx
        from darknet_compat.export.onnx.form import form_of
    except ModuleNotFoundError as error:
        raise ExportError(f"{error.name} is not installed: pip install 'darknet-compat[onnx]'") from None
    spec = load_spec(sources.cfg, options.size, dialect=options.dialect)
    form_of(spec, graph)  # before the weights are read
    path.parent.mkdir(parents=True, exist_ok=True)
    graph = graph if graph.names is not None else replace(graph, names=sources.names)
    return export_onnx(StoredWeights(spec, sources.weights), path, options=graph, cfg=sources.cfg)


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
        **{name: getattr(artefact, name) for name in _ENTRY},
        "quantization": _told(artefact),
        "weights_sha256": artefact.weights_sha256,
    }


_ENTRY = ("outputs", "layout", "input", "width", "height", "sizes", "step", "batch", "classes", "precision")
"""What `--json` has of an artefact as it is."""


def _told(artefact: Artefact) -> dict[str, Any] | None:
    """What int8 has cost and was made from, without the scales."""
    if artefact.quantization is None:
        return None
    return {name: value for name, value in artefact.quantization.items() if name not in ("roundings", "biases")}


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
