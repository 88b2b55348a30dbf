"""A graph in float32 → the same in float16, precision written into the graph itself.

TensorRT's strongly typed networks, the only kind from its version 11 on, compute every tensor in the type that the
graph gives it. So layers become float16 here, by Cast nodes where the types meet, and what loses too much in 11 bits
stays in float32: the decoding of boxes, anchors, every softmax, means over whole channels, sums of squares. Inputs and
outputs keep their types.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from darknet_compat.errors import ExportError
from darknet_compat.export.onnx.graph import layer_of

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

_HALF, _SINGLE, _EIGHT = TensorProto.FLOAT16, TensorProto.FLOAT, TensorProto.FLOAT8E4M3FN
_IN_HALF = " in half"
"""What a name ends in of a tensor that is there in float32 too."""
_ANY = frozenset(("Shape", "Cast", "ConstantOfShape"))
"""Operators that take any type, and give their own."""

_CONTROLS = {"Resize": (1, 2)}
"""Inputs that stay float32 by the operator's definition."""


def kept_single(node: NodeProto) -> bool:
    """Whether a node computes in float32 in a graph of lower precision."""
    return keeps_single(layer_type(node.name), node.op_type)


def layer_keeps_single(name: str) -> bool:
    """The same, of the name that a graph of ours gives a node: `30_region/Softmax_2`."""
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
    typed = onnx.shape_inference.infer_shapes(model)
    half = ModelProto()
    half.CopyFrom(model)
    if any(node.op_type in QUANTIZING for node in half.graph.node):
        raise_opset(half)
    _Cast(half, _floats(typed)).run()
    onnx.checker.check_model(half)
    return half


def keep_scales(half: ModelProto, model: ModelProto) -> None:
    """Give the scales of a graph that `to_half` made from `model` back their float32, in place; opset 23, the first in
    which they may have another type than what is quantized. Early parsers do not know it."""
    standard = next(entry for entry in half.opset_import if entry.domain in ("", "ai.onnx"))
    standard.version, half.ir_version = 23, max(half.ir_version, 11)
    single = {tensor.name: tensor for tensor in model.graph.initializer}
    scales = set()
    for node in half.graph.node:
        if node.op_type in QUANTIZING:
            scales.add(node.input[1])
        if node.op_type == "DequantizeLinear":
            kind = next(t.data_type for t in half.graph.initializer if t.name == node.input[1])
            node.attribute.append(helper.make_attribute("output_dtype", kind))
    for tensor in half.graph.initializer:
        if (name := tensor.name) in scales:
            tensor.CopyFrom(single[name.removesuffix(_IN_HALF)])
            tensor.name = name


def to_fp8(model: ModelProto) -> None:
    """Make the Q/DQ nodes of an int8 graph quantize to float8 (e4m3), in place; opset 19.

    The same largest value is mapped to 448, float8's largest, instead of 127.
    """
    raise_opset(model)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    done: set[str] = set()
    for node in model.graph.node:
        if node.op_type not in QUANTIZING:
            continue
        values, scale, zero = [*node.input, ""][:3]
        for name in {scale, zero, values} & constants.keys() - done:
            done.add(name)
            array = numpy_helper.to_array(constants[name])
            if name == scale:
                constants[name].CopyFrom(numpy_helper.from_array((array * (127 / 448)).astype(array.dtype), name))
            elif array.dtype == np.int8:
                eighths = array.astype(np.float32) * (448 / 127 if name == values else 1)
                constants[name].CopyFrom(helper.make_tensor(name, _EIGHT, array.shape, eighths.ravel()))
    del model.graph.value_info[:]


class _Cast:
    """One pass over the nodes, which knows of each float tensor in which type it is there."""

    def __init__(self, model: ModelProto, floats: set[str]) -> None:
        self.graph, self.floats = model.graph, floats
        self.weights = {tensor.name: tensor for tensor in model.graph.initializer if tensor.name in floats}
        self.types: dict[str, int] = {name: _SINGLE for name in floats}
        self.nodes: list[NodeProto] = []
        self.cast: dict[tuple[str, int], str] = {}
        self.read_as: dict[str, set[int]] = {}

    def run(self) -> None:
        """Change the graph in place."""
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
            return name if wanted == _SINGLE else f"{name}\0"  # settled in `_store`
        if self.types[name] == wanted:
            return name
        key = name, wanted
        if key not in self.cast:
            self.cast[key] = f"{name} as {'half' if wanted == _HALF else 'float'}"
            self.nodes.append(helper.make_node("Cast", [name], [self.cast[key]], self.cast[key], to=wanted))
        return self.cast[key]

    def _restore(self, name: str) -> None:
        """Give the graph's output `name` back its float32."""
        inner = f"{name}{_IN_HALF}"
        for node in self.nodes:
            for names in (node.input, node.output):
                for index, value in enumerate(names):
                    if value == name:
                        names[index] = inner
        self.nodes.append(helper.make_node("Cast", [inner], [name], f"{name} as float", to=_SINGLE))

    def _store(self, tensor: TensorProto) -> None:
        """Write a weight in the type, or both types, in which it is read; the name stays where there is one."""
        read_as = self.read_as.get(tensor.name, set())
        if _HALF not in read_as:
            return
        name = tensor.name if read_as == {_HALF} else f"{tensor.name}{_IN_HALF}"
        values = numpy_helper.to_array(tensor)
        if np.abs(values).max(initial=0) > np.finfo(np.float16).max and np.isfinite(values).all():
            raise ExportError(f"{tensor.name}: has values of {np.abs(values).max():.3g}, beyond fp16's range; use fp32")
        changed = numpy_helper.from_array(values.astype(np.float16), name)
        if name == tensor.name:
            tensor.CopyFrom(changed)
        else:
            self.graph.initializer.append(changed)
        for node in self.graph.node:
            for index, read in enumerate(node.input):
                if read == f"{tensor.name}\0":
                    node.input[index] = name


def _floats(typed: ModelProto) -> set[str]:
    """The names of all float32 tensors."""
    graph = typed.graph
    values: Iterable[onnx.ValueInfoProto] = (*graph.input, *graph.output, *graph.value_info)
    found = {value.name for value in values if value.type.tensor_type.elem_type == _SINGLE}
    return found | {tensor.name for tensor in graph.initializer if tensor.data_type == _SINGLE}


def raise_opset(model: ModelProto, opset: int = 19) -> None:
    """Make a model of opset 17 one of `opset`, 18 or 19, in place: what changed is Split's number of outputs, now an
    attribute, and the axes of reductions, now an input."""
    standard = next(entry for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    if standard.version >= opset:
        return
    standard.version = opset
    model.ir_version = max(model.ir_version, 9)
    for node, attribute in _attributes(model.graph.node):
        if node.op_type.startswith("Reduce") and attribute.name == "axes":
            axes = numpy_helper.from_array(np.array(attribute.ints, np.int64), f"{node.name} axes")
            model.graph.initializer.append(axes)
            node.input.append(axes.name)
            node.attribute.remove(attribute)
    for node in model.graph.node:
        if node.op_type == "Split" and len(node.input) == 1:
            node.attribute.append(helper.make_attribute("num_outputs", len(node.output)))


def _attributes(nodes: Iterable[NodeProto]) -> Iterator[tuple[NodeProto, onnx.AttributeProto]]:
    for node in nodes:
        for attribute in list(node.attribute):
            yield node, attribute
