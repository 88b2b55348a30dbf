"""A graph in float32 → the same in float16, precision written into the graph itself.

TensorRT's strongly typed networks, the only kind from its version 11 on, compute every tensor in the type that the
graph gives it, and other runtimes store weights in it. So layers become float16 here, by Cast nodes where the types
meet, and what loses too much in 11 bits stays in float32: the decoding of boxes, anchors, every softmax, means over
whole channels, sums of squares. Inputs and outputs keep their types.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from darknet_compat.export.onnx.graph import Weight, layer_of
from darknet_compat.export.onnx.opset import raise_opset
from darknet_compat.export.onnx.write import declared, expect_in_half

HEADS = frozenset(("region", "yolo", "Gaussian_yolo", "detection", "softmax", "logistic", "iseg"))
"""Layers of which only the large products (PRODUCTS) are in float16."""

EXACT = frozenset(("input", "normalization", "l2norm"))
"""Layers that stay in float32: pixels that are scaled, and sums of squares, which exceed float16's range."""

PRODUCTS = frozenset(("Conv", "ConvTranspose", "Gemm", "MatMul"))
"""Where the time goes, and where hardware adds up in float32 whatever the inputs are."""

LONG_SUMS = frozenset(("AveragePool", "GlobalAveragePool", "Softmax", "Exp", "Pow", "ReduceSum"))
"""Operators that stay in float32 in every layer."""

MOVES = frozenset((
    "Concat", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity", "MaxPool", "Pad", "Reshape",
    "Resize", "Slice", "Split", "Squeeze", "TopK", "Transpose", "Unsqueeze",
))  # fmt: skip
"""Operators that hand on values as they are, in whatever type they come."""

QUANTIZING = frozenset(("QuantizeLinear", "DequantizeLinear"))

QDQ_OPSET = 19
"""The first in which Q/DQ nodes take float16."""

_HALF, _SINGLE = TensorProto.FLOAT16, TensorProto.FLOAT
IN_HALF = "_in_half"
"""What a name ends in of a tensor that is there in float32 too."""
_ANY = frozenset(("Shape", "Cast", "ConstantOfShape"))
"""Operators that take any type, and give their own."""

_CONTROLS = {"Resize": (1, 2)}
"""Inputs that stay float32 by the operator's definition."""


def kept_single(node: NodeProto) -> bool:
    """Whether a node computes in float32 in a graph of lower precision."""
    return keeps_single(layer_type(node.name), node.op_type)


def layer_keeps_single(name: str) -> bool:
    """As `kept_single`, by the name that our graphs give a node: `30_region/Softmax_2`."""
    return keeps_single(layer_type(name), re.split("[_ ]", name.partition("/")[2])[0])


def layer_type(name: str) -> str:
    """The type of the layer that a node is named after, "input" before all layers; empty for a node of no layer."""
    layer, (before, slash, _) = layer_of(name), name.partition("/")
    return layer[1] if layer else before if slash else ""


def keeps_single(layer: str, operator: str) -> bool:
    """Whether an operator of a layer of this type computes in float32."""
    if layer in EXACT:
        return True
    return operator not in PRODUCTS if layer in HEADS else operator in LONG_SUMS


def to_half(model: ModelProto) -> ModelProto:
    """A copy of `model` in float16 but for what has to stay in float32.

    A graph with Q/DQ nodes comes out in opset 19, the first that has them for float16. Raises ExportError for weights
    beyond float16's range.
    """
    half = ModelProto()
    half.CopyFrom(model)
    if any(node.op_type in QUANTIZING for node in half.graph.node):
        raise_opset(half, QDQ_OPSET)
    halve(half, ())
    onnx.checker.check_model(half)
    return half


def halve(model: ModelProto, weights: Sequence[Weight]) -> list[Weight]:
    """`to_half` in place, of a model whose `weights` are not made yet; they come back in the types that are read."""
    with declared(model, weights):
        floats = _floats(onnx.shape_inference.infer_shapes(model))
    return _Cast(model, floats, weights).run()


class _Cast:
    """One pass over the nodes, which knows of each float tensor in which type it is there."""

    def __init__(self, model: ModelProto, floats: set[str], weights: Sequence[Weight]) -> None:
        self.graph, self.floats, self.given = model.graph, floats, weights
        self.weights = {tensor.name for tensor in (*model.graph.initializer, *weights) if tensor.name in floats}
        self.types: dict[str, int] = {name: _SINGLE for name in floats}
        self.nodes: list[NodeProto] = []
        self.cast: dict[tuple[str, int], str] = {}
        self.read_as: dict[str, set[int]] = {}

    def run(self) -> list[Weight]:
        """Change the graph in place; the given weights in the types that are read."""
        for node in self.graph.node:
            self._take(node)
        for output in self.graph.output:
            if self.types.get(output.name) == _HALF:
                self._restore(output.name)
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)
        del self.graph.value_info[:]
        for tensor in list(self.graph.initializer):
            self._store(tensor)
        return [kept for weight in self.given for kept in self._typed(weight)]

    def _take(self, node: NodeProto) -> None:
        wanted = self._type_of(node)
        controls = _CONTROLS.get(node.op_type, ())
        for index, name in enumerate(node.input):
            if name in self.floats and node.op_type not in _ANY:
                node.input[index] = self._as(name, _SINGLE if index in controls else wanted)
        for name in node.output:
            if name in self.floats:
                self.types[name] = _SINGLE if node.op_type in _ANY else wanted
        self.nodes.append(node)

    def _type_of(self, node: NodeProto) -> int:
        given = [name for name in node.input if name in self.floats and name not in self.weights]
        if node.op_type in MOVES or node.op_type in QUANTIZING:
            return _HALF if given and all(self.types[name] == _HALF for name in given) else self._of_weights(node)
        return _SINGLE if kept_single(node) else _HALF

    def _of_weights(self, node: NodeProto) -> int:
        """The type of a node that reads no float tensor but weights: dequantized weights are for a layer."""
        only_weights = not any(name in self.types and name not in self.weights for name in node.input)
        return _HALF if only_weights and node.op_type in QUANTIZING and not kept_single(node) else _SINGLE

    def _as(self, name: str, wanted: int) -> str:
        if name in self.weights:
            self.read_as.setdefault(name, set()).add(wanted)
            return name if wanted == _SINGLE else f"{name}\0"  # settled in `_halved_name`
        if self.types[name] == wanted:
            return name
        key = name, wanted
        if key not in self.cast:
            layer = "" if "/" in name else "input/"
            self.cast[key] = f"{layer}{name}_as_{'half' if wanted == _HALF else 'float'}"
            self.nodes.append(helper.make_node("Cast", [name], [self.cast[key]], self.cast[key], to=wanted))
        return self.cast[key]

    def _restore(self, name: str) -> None:
        """Give the graph's output `name` back its float32."""
        inner = f"{name}{IN_HALF}"
        maker = next(node.name for node in self.nodes if name in node.output)
        for node in self.nodes:
            for names in (node.input, node.output):
                for index, value in enumerate(names):
                    if value == name:
                        names[index] = inner
        self.nodes.append(helper.make_node("Cast", [inner], [name], f"{maker}_as_float", to=_SINGLE))

    def _store(self, tensor: TensorProto) -> None:
        """Write a weight in the type, or both types, in which it is read."""
        name = self._halved_name(tensor.name)
        if name is None:
            return
        values = numpy_helper.to_array(tensor)
        expect_in_half(tensor.name, values)
        changed = numpy_helper.from_array(values.astype(np.float16), name)
        if name == tensor.name:
            tensor.CopyFrom(changed)
        else:
            self.graph.initializer.append(changed)

    def _typed(self, weight: Weight) -> list[Weight]:
        """As `_store`, of a weight whose values are made when it is written."""
        name = self._halved_name(weight.name)
        if name is None:
            return [weight]
        half = replace(weight, name=name, type=_HALF)
        return [half] if name == weight.name else [weight, half]

    def _halved_name(self, weight: str) -> str | None:
        """What a weight is called in float16, its own name where nothing reads it in float32, and told to its readers;
        None where it is not read so."""
        read_as = self.read_as.get(weight, set())
        if _HALF not in read_as:
            return None
        name = weight if read_as == {_HALF} else f"{weight}{IN_HALF}"
        for node in self.graph.node:
            for index, read in enumerate(node.input):
                if read == f"{weight}\0":
                    node.input[index] = name
        return name


def _floats(typed: ModelProto) -> set[str]:
    """The names of all float32 tensors."""
    graph = typed.graph
    values: Iterable[onnx.ValueInfoProto] = (*graph.input, *graph.output, *graph.value_info)
    found = {value.name for value in values if value.type.tensor_type.elem_type == _SINGLE}
    return found | {tensor.name for tensor in graph.initializer if tensor.data_type == _SINGLE}
