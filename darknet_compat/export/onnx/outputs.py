"""What a graph gives, from the layers that its answers are made of: the heads as they are, or answers in a layout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from onnx import TensorProto

from darknet_compat.definition.spec import NetworkSpec
from darknet_compat.definition.weights.network_weights import NetworkWeights
from darknet_compat.export.onnx import heads, suppression
from darknet_compat.export.onnx.graph import Dims, Graph, value
from darknet_compat.export.onnx.graph_ops import GraphOps, GraphValue
from darknet_compat.formats.exported.artefact import Artefact
from darknet_compat.heads.answers import HEADS, detects, splits
from darknet_compat.heads.boxes import Boxes
from darknet_compat.heads.cut import Cut, cut_of, ended
from darknet_compat.heads.descent import Descent
from darknet_compat.heads.output_layouts import LAYOUTS, Output, OutputLayout, axis_length

_TYPES = {"float32": TensorProto.FLOAT, "int32": TensorProto.INT32, "int64": TensorProto.INT64}

SUPPRESSING: dict[str, Callable[[Graph, Boxes, suppression.Suppression], list[str]]] = {
    "detections": suppression.detections,
    "nms": suppression.fixed,
}
"""Layouts that have no `encode`: what makes them of candidates."""


@dataclass(frozen=True)
class GraphOutput:
    """An output: its name, the value in the graph that becomes it, and what is to be said of it."""

    output: Output
    inner: str
    dims: Dims

    def info(self) -> Any:
        """The ValueInfo that declares it in the graph."""
        return value(self.output.name, _TYPES[self.output.type], self.dims)


def sources(spec: NetworkSpec, artefact: Artefact) -> list[int]:
    """The layers that the outputs are made of; -1: the images."""
    if artefact.outputs != "heads":
        return heads.sources(spec)
    return [head.sources[0] for head in spec.heads] or [spec.output_index]


def outputs_of(
    graph: Graph, network: NetworkWeights, artefact: Artefact, made: Mapping[int, str], candidates: int
) -> list[GraphOutput]:
    """Add the nodes that make the outputs of the `sources`, whose values are `made`.

    `candidates`: how many there are of a network with many classes.
    """
    spec = network.spec
    head = (spec.heads or spec.layers)[-1]
    if artefact.outputs == "heads":
        return _heads(graph, network, artefact, made)
    values = [GraphValue(graph, made[index], _sides_of(spec, index, artefact)) for index in heads.sources(spec)]
    with graph.layer(f"{head.index} {head.type}"):
        found = heads.answers(graph, network, values, candidates)
        if not detects(spec):
            only = Output("classes", ("N", "C"))
            return [GraphOutput(only, found[0].name, _dims(only, artefact, None))]
        row = LAYOUTS[artefact.layout or artefact.outputs]
        count = candidates if splits(spec) else None
        first = Boxes(*found[:3])
        if artefact.tree is not None and artefact.layout is not None:
            first = first._replace(classes=Descent(artefact.tree, artefact.hier_thresh)(GraphOps(graph), first.classes))
        inner = _laid_out(graph, row, first, artefact)
        every = [GraphOutput(o, name, _dims(o, artefact, count)) for o, name in zip(row.outputs, inner, strict=True)]
        beside = {output.name: output for output in row.optional}
        for name, part in zip(heads.names(spec)[3:], found[3:], strict=True):
            if name in beside:
                every.append(GraphOutput(beside[name], part.name, _dims(beside[name], artefact, None)))
        return every


def _laid_out(graph: Graph, row: OutputLayout, found: Boxes, artefact: Artefact) -> list[str]:
    """The values of the outputs of one layout."""
    if row.name == "boxes":
        return [part.name for part in found]
    ops, size = GraphOps(graph), _pixels(graph, artefact)
    if row.encode is None:
        make = suppression.plugged if artefact.target == "tensorrt" else SUPPRESSING[row.name]
        most = artefact.max_detections or 0
        return make(graph, found, suppression.Suppression(artefact.thresh, artefact.nms, most, size))
    parts = row.encode(ops, found, ops.value(size))
    if row.drops(artefact.batch):
        parts = [ops.reshape(part, (-1, 5 + artefact.classes)) for part in parts]
    return [part.name for part in parts]


def _heads(graph: Graph, network: NetworkWeights, artefact: Artefact, made: Mapping[int, str]) -> list[GraphOutput]:
    """What the heads read, or what they make of it without boxes."""
    spec, ops = network.spec, GraphOps(graph)
    cut: Cut = cut_of(spec, **{name: (artefact.cut or {})[name] for name in ("order", "activated")})
    found = []
    for layer in spec.heads or [spec.layers[spec.output_index]]:
        index = layer.sources[0] if layer.answers else layer.index
        name = f"{'head' if cut.activated else 'raw'}_{layer.index}" if layer.answers else "output"
        shape = _shape(spec, index)
        with graph.layer(f"{layer.index} {layer.type}"):
            head = HEADS[type(layer)](layer, network.batchnorm) if layer.answers and cut.activated else None
            inner = ended(
                ops, head, ops.value(made[index], _sides_of(spec, index, artefact)), cut, image=len(shape) == 3
            )
        free = artefact.sizes and len(shape) == 3 and shape[1:] != (1, 1)
        dims: list[int | str] = [shape[0], f"{name} H", f"{name} W"] if free else list(shape)
        if cut.order == "nhwc" and len(shape) == 3:
            dims = [*dims[1:], dims[0]]
        found.append(GraphOutput(Output(name, ()), inner.name, [artefact.batch or "N", *dims]))
    return found


def _pixels(graph: Graph, artefact: Artefact) -> str:
    """[width, height, width, height] of the input."""
    if not artefact.sizes:
        return graph.constant([float(artefact.width), float(artefact.height)] * 2)
    rows = 1 if artefact.input == "uint8" else 2
    order = graph.constant([rows + 1, rows] * 2)
    return graph.add("Cast", graph.add("Gather", graph.add("Shape", "images"), order), to=TensorProto.FLOAT)


def _sides_of(spec: NetworkSpec, index: int, artefact: Artefact) -> tuple[int, int] | None:
    """Height and width of a layer's output where they are fixed."""
    shape = _shape(spec, index)
    return (shape[1], shape[2]) if artefact.sizes is None and len(shape) == 3 else None


def _shape(spec: NetworkSpec, index: int) -> tuple[int, ...]:
    shape = spec.net.input if index < 0 else spec.layers[index].output
    return tuple(shape[:3]) if shape.image else (shape.c,)


def _dims(output: Output, artefact: Artefact, candidates: int | None) -> Dims:
    """An output's dimensions; free ones as strings."""
    row = LAYOUTS[artefact.layout or artefact.outputs]
    known = {"N": artefact.batch, "D": candidates, "C": artefact.classes, "K": artefact.max_detections}
    axes = output.axes[1:] if row.drops(artefact.batch) else output.axes
    return [axis if (length := axis_length(axis, known)) is None else length for axis in axes]
