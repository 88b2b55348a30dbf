"""A network as one self-describing ONNX file."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import GraphProto, TensorProto, helper

from darknet_compat.catalogue.fetch.checksum import sha256_of
from darknet_compat.definition.weights.network_weights import LayerArrays, NetworkWeights, weights_sha256
from darknet_compat.errors import ExportError, OptionError
from darknet_compat.export.onnx import heads
from darknet_compat.export.onnx.checks import answers, classes_of, refuse_build
from darknet_compat.export.onnx.form import form_of
from darknet_compat.export.onnx.graph import PLUGINS, Graph, value
from darknet_compat.export.onnx.half import halve
from darknet_compat.export.onnx.input_sizes import free_sizes, grid_cells
from darknet_compat.export.onnx.layers import EMIT
from darknet_compat.export.onnx.opset import expect_opset, raise_opset
from darknet_compat.export.onnx.options import OLDEST, OnnxOptions
from darknet_compat.export.onnx.outputs import outputs_of, sources
from darknet_compat.export.onnx.write import check, model_of, write_model
from darknet_compat.formats.exported.artefact import Artefact, to_properties
from darknet_compat.formats.metadata import class_names, names_beside
from darknet_compat.heads.answers import detects
from darknet_compat.options import Field, Option, checked, made

IR_VERSION = 8
"""The file format that belongs to the opset that graphs are made in."""

CANDIDATES = 90
"""Upper limit on candidates per image that get class probabilities in networks with many classes; each anchor gets an
equal share (`heads.split`). A graph of fixed shapes computes all of them always, so that here each costs
(`tools/head_cost.py`). In pictures of trained detectors 39 of YOLO9000's cells and anchors pass a threshold of 0.5, 93
one of 0.24 (`runtime.torch.CANDIDATES`); what finds no room is counted."""


def export_onnx(
    network: NetworkWeights,
    path: str | Path,
    *,
    options: OnnxOptions | None = None,
    candidates: int = CANDIDATES,
    cfg: str | Path | None = None,
    **given: Any,
) -> Artefact:
    """Write `network` to `path`, and return what the file says of itself.

    `network`: what `load_network` gives, or `load_weights` without torch. Takes an `OnnxOptions` or its fields as
    keyword arguments: `export_onnx(network, "m.onnx", outputs="detections", thresh=0.25)`.

    `outputs`: "heads", what the heads read, for training and parity; "boxes" (the default), `boxes` [N, D, 4] as centre
    and size in fractions of the input, `objectness` [N, D] and `classes` [N, D, C], a tree's nodes given their parent,
    and of [Gaussian_yolo] `uncertainties` [N, D, 4], or a classifier's `classes` [N, C]; "detections", `boxes` [M, 4]
    x1 y1 x2 y2 in pixels of the input, `scores`, `class_ids`, `images_of` [M] above `thresh` (0.5) after non-maximum
    suppression at `nms` (0.45).
    `layout`: the same in the form of another program (`heads.output_layouts.LAYOUTS`), of a WordTree with the node that
    `hier_thresh` leads to; "nms" has `max_detections` (100) a picture, for `target` "tensorrt" made by its plug-in.
    `heads_layout` "nchw" or "nhwc", `heads_cut` "before" or "after" activation: how "heads" end.
    `precision`: "fp16" halves the weights and computes in float16 what stands that (`export.onnx.half`), between inputs
    and outputs in float32; int8 is made of an exported file (`export.quantize.quantize_onnx`). `opset`: 17 (the
    default) to 26, if the onnx package here knows it.
    `input`: "float" (the default), `images` [N, C, H, W], RGB, 0..1; "uint8", [N, H, W, C], 0..255.
    `sizes`: the (least, most) pixels of a side, "fixed" for the network's own only; by default 288 to 608 where the
    layers permit. `batch`: a fixed number of pictures, by default any.
    `names`: a list or a file, () for none; by default the `.names` beside `cfg`, else the usual list of that length.
    `resize`: for whoever uses the file. `cfg`: the definition, whose checksum goes into it; by default
    the file that the network was loaded from.
    Raises ExportError, before any work, for layers that have no counterpart in ONNX, sizes that do not suit them, or
    values that an option does not take, and MetadataError for names that are not the classes'.
    """
    spec, path = network.spec, Path(path)
    try:
        options = made(OnnxOptions, options, given)
        candidates = checked("candidates", candidates, Field(int, False, Option("Candidates.", least=1)))
    except OptionError as error:
        raise ExportError(str(error)) from None
    if options.precision == "int8":
        raise ExportError("precision: int8 is made of an exported file and pictures, by quantize_onnx")
    cfg = Path(cfg or spec.name)
    form = form_of(spec, options)
    expect_opset(options.opset)
    refuse_build(spec, network.batchnorm)
    candidates = heads.whole_parts(spec, candidates)
    least, most, step = free_sizes(spec, options.sizes, candidates)
    thresholds = {name: getattr(options, name) for name in ("thresh", "hier_thresh", "nms")}
    artefact = Artefact(
        **_told_by(network),
        **{name: value for name, value in thresholds.items() if value is not None},
        **form,
        input=options.input or "float",
        precision="fp16" if options.precision == "fp16" else "fp32",
        sizes=(least, most) if step else None,
        step=step or 1,
        batch=options.batch,
        resize=options.resize or spec.resize,
        names=_names(options.names, classes_of(spec), cfg),
        cfg_sha256=sha256_of(cfg) if cfg.is_file() else None,
    )
    graph, proto = build(network, artefact, min(candidates, grid_cells(spec, least)) if candidates else 0)
    _write(path, graph, proto, artefact, options.opset or OLDEST)
    return artefact


def _told_by(network: NetworkWeights) -> dict[str, Any]:
    """What the definition and its weights say of themselves, as the artefact's fields."""
    spec = network.spec
    return {
        "name": Path(spec.name).stem,
        "task": ("detect" if detects(spec) else "classify") if answers(spec) else None,
        "width": spec.net.width,
        "height": spec.net.height,
        "channels": spec.net.channels,
        "classes": classes_of(spec),
        "beta_nms": spec.beta_nms,
        "are_probabilities": not spec.bare_classes,
        "map": spec.map,
        "tree": spec.tree,
        "weights_sha256": weights_sha256(network),
        "dialect": spec.dialect.name,
        "batchnorm": network.batchnorm,
        "tools": _tools(),
    }


def _write(path: Path, graph: Graph, proto: GraphProto, artefact: Artefact, opset: int) -> None:
    model = model_of(proto, OLDEST, IR_VERSION, "darknet-compat", artefact.tools["darknet-compat"])
    if artefact.target is not None:
        model.opset_import.append(helper.make_opsetid(PLUGINS, 1))
    raise_opset(model, opset)
    weights = halve(model, graph.weights) if artefact.precision == "fp16" else graph.weights
    check(model, weights)
    helper.set_model_props(model, to_properties(artefact))
    write_model(path, model, weights)


def _names(names: str | Path | Sequence[str] | None, classes: int, cfg: Path) -> tuple[str, ...] | None:
    """What the classes are called; None where there are none, or no names are wanted."""
    if not classes or (isinstance(names, tuple) and not names):
        return None
    return class_names(names_beside(cfg) if names is None else names, classes)


def build(network: NetworkWeights, artefact: Artefact, candidates: int) -> tuple[Graph, GraphProto]:
    """The graph, with its weights apart."""
    graph = Graph()
    images = _input(graph, artefact)
    made = body(network, graph, images, sources(network.spec, artefact))
    given = outputs_of(graph, network, artefact, made, candidates)
    inner = [one.inner for one in given]
    for one in given:
        name = one.output.name
        if inner.count(one.inner) > 1 or one.inner == "images":
            graph.nodes.append(helper.make_node("Identity", [one.inner], [name], name))
        else:
            graph.rename(one.inner, name)
    graph.keep(one.output.name for one in given)
    proto = helper.make_graph(
        graph.nodes,
        artefact.name,
        [_input_value(artefact)],
        [one.info() for one in given],
        list(graph.constants.values()),
    )
    return graph, proto


def body(trained: NetworkWeights, graph: Graph, images: str, wanted: Sequence[int]) -> dict[int, str]:
    """Add the nodes of all layers that `wanted` depend on; the name of each layer's output."""
    needed = set(wanted)
    for layer in reversed(trained.spec.layers):
        if layer.index in needed:
            needed.update(layer.sources)
    outputs = {-1: images}
    for layer in trained.spec.layers:
        if layer.index in needed:
            inputs = [outputs[source] for source in layer.sources]
            with graph.layer(f"{layer.index} {layer.type}"):
                outputs[layer.index] = EMIT[type(layer)](graph, layer, LayerArrays(trained, layer), inputs)
    return outputs


def _tools() -> dict[str, str]:
    from darknet_compat import __version__

    return {
        "darknet-compat": __version__,
        "onnx": onnx.__version__,
        "python": platform.python_version(),
    }


def _input_value(artefact: Artefact) -> Any:
    batch, height, width = _sides(artefact)
    if artefact.input == "uint8":
        return value("images", TensorProto.UINT8, [batch, height, width, artefact.channels])
    return value("images", TensorProto.FLOAT, [batch, artefact.channels, height, width])


def _sides(artefact: Artefact) -> list[int | str]:
    """N, H, W."""
    sides: list[int | str] = ["H", "W"] if artefact.sizes else [artefact.height, artefact.width]
    return [artefact.batch or "N", *sides]


def _input(graph: Graph, artefact: Artefact) -> str:
    """Float images from the graph's input."""
    if artefact.input == "float":
        return "images"
    with graph.layer("input"):
        values = graph.add("Cast", "images", to=TensorProto.FLOAT)  # first, since TensorRT does nothing else with uint8
        return graph.add("Div", graph.add("Transpose", values, perm=[0, 3, 1, 2]), graph.constant(255.0))
