"""An int8 file in the form that ONNX Runtime computes in integers: rounded before the activation as well as after it.

A file rounds what a convolution reads (`quantize`). ONNX Runtime makes an integer convolution of one only where its
result is rounded at once; elsewhere it computes in float32, silently. So the file's own roundings of activations are
taken out, and those that the calibration found for this form (`roundings`) put in, and its `biases`. What gives boxes
is not to be rounded, and so comes from a product of integers, where that is to be in integers and is pointwise.

x86 has fast instructions for unsigned by signed bytes only: there activations are uint8; on ARM the same less 128.
"""

from __future__ import annotations

import platform
from collections.abc import Collection, Mapping
from copy import deepcopy
from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper

from darknet_compat.export.quantize.biases import with_biases
from darknet_compat.export.quantize.quicker import cut_out, pointwise, pooled_first, product
from darknet_compat.export.quantize.roundings import Rounding, followed
from darknet_compat.export.quantize.weights import add_weights
from darknet_compat.formats.arrays import Array, Floats


def fused(model: ModelProto, quantization: Mapping[str, Any]) -> ModelProto:
    """A copy of an int8 model as ONNX Runtime computes it in int8; `quantization` is what the artefact says of it."""
    biases = {name: np.array(values, np.float32) for name, values in quantization.get("biases", {}).items()}
    found = {name: (float(scale), int(zero)) for name, (scale, zero) in quantization.get("roundings", {}).items()}
    made = deepcopy(model)
    if found:
        with_biases(made.graph, biases)
        left = quantization.get("float32")
        made.graph.CopyFrom(_Graph(made, None if left is None else left["onnxruntime"]).rounded(found))
        made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return made


class _Graph:
    def __init__(self, model: ModelProto, left: Collection[str] | None) -> None:
        """`left`: the convolutions that are not computed in integers; None: those whose weights are not."""
        self.source, self.left = model.graph, left
        self.values = {tensor.name: tensor for tensor in model.graph.initializer}
        self.nodes = _unrounded([deepcopy(node) for node in model.graph.node])
        cut_out(self.nodes, self.values)
        self.made_by = {name: node for node in self.nodes for name in node.output}
        self.followed = followed(self.nodes)

    def integer(self, node: NodeProto) -> bool:
        """Whether this is a convolution that may be computed in integers."""
        if node.op_type != "Conv":
            return False
        return node.input[1] in self.made_by if self.left is None else node.name not in self.left

    def array(self, name: str) -> Array:
        return numpy_helper.to_array(self.values[name])

    def rounded(self, roundings: Mapping[str, Rounding]) -> GraphProto:
        """The graph with tensors rounded where they are made, and integer biases."""
        graph = GraphProto(name=self.source.name, input=self.source.input, output=self.source.output)
        outputs = {value.name for value in self.source.output}
        roundings = pooled_first(self.nodes, outputs, roundings)
        behind = {
            value.name: _round(graph, value.name, roundings[value.name])
            for value in self.source.input
            if value.name in roundings
        }
        for node in self.nodes:
            if node.op_type == "DequantizeLinear":  # comes with the convolution that reads it
                continue
            whole = self.integer(node) and node.input[0] in behind
            if whole and node.output[0] in roundings:
                scales = self._integer_weights(graph, node)
                if len(node.input) > 2:
                    node.input[2] = self._bias(graph, node, scales * np.float32(roundings[node.input[0]][0]))
            elif whole and node.output[0] not in self.followed and pointwise(node):
                graph.node.extend(self._product(node))
                continue
            elif node.op_type == "Conv" and node.input[1] in self.made_by:
                node.input[1] = self._float_weights(node)
            for index, name in enumerate(node.input):
                node.input[index] = behind.get(name, name)
            graph.node.append(node)
            for name in node.output:
                if name in roundings and name not in outputs:
                    behind[name] = _round(graph, name, roundings[name])
        used = {name for node in graph.node for name in node.input}
        graph.initializer.extend(tensor for name, tensor in self.values.items() if name in used)
        return graph

    def _weights(self, node: NodeProto) -> NodeProto:
        """What makes floats of a convolution's integer weights, which are made here where there are none."""
        if node.input[1] not in self.made_by:
            own = GraphProto()
            back = add_weights(own, node.name, node.input[1], self.array(node.input[1]))
            self.values.update({tensor.name: tensor for tensor in own.initializer})
            return back
        return self.made_by[node.input[1]]

    def _integer_weights(self, graph: GraphProto, node: NodeProto) -> Floats:
        """Give a convolution integer weights; their scales [filters]."""
        back = self._weights(node)
        graph.node.append(back)
        node.input[1] = back.output[0]
        return self.array(back.input[1]).astype(np.float32)

    def _float_weights(self, node: NodeProto) -> str:
        """What a convolution's integer weights stand for, so that ONNX Runtime lays them out once and for all."""
        integers, scales = (self.array(name) for name in self.made_by[node.input[1]].input[:2])
        name = f"{node.name}/weights/float32"
        floats = integers * scales.astype(np.float32).reshape(-1, *[1] * (integers.ndim - 1))
        self.values[name] = numpy_helper.from_array(floats.astype(np.float32), name)
        return name

    def _product(self, node: NodeProto) -> list[NodeProto]:
        """A pointwise convolution as a product of integers."""
        weights = list(self._weights(node).input)
        columns = f"{weights[0]}/columns"
        self.values[columns] = numpy_helper.from_array(
            np.ascontiguousarray(self.array(weights[0])[:, :, 0, 0].T), columns
        )
        return product(node, _parts(node.input[0]), [columns, *weights[1:]])

    def _bias(self, graph: GraphProto, node: NodeProto, units: Floats) -> str:
        """The bias in the units of the products, as 32-bit integers; what makes floats of them."""
        bias = np.rint(self.array(node.input[2]).astype(np.float64) / units)
        parts = {
            "int32": np.clip(bias, -(2**31), 2**31 - 1).astype(np.int32),
            "units": units,
            "zeros": np.zeros(len(units), np.int32),
        }
        names = [f"{node.name}/bias_{part}" for part in parts]
        graph.initializer.extend(
            numpy_helper.from_array(value, name) for name, value in zip(names, parts.values(), strict=True)
        )
        back = f"{node.name}/bias/DequantizeLinear"
        graph.node.append(helper.make_node("DequantizeLinear", names, [back], back, axis=0))
        return back


def _round(graph: GraphProto, name: str, rounding: Rounding) -> str:
    """Nodes that round `name`; what it is called then."""
    signed = platform.machine().lower() in ("arm64", "aarch64")
    zero = np.array(rounding[1] - 128, np.int8) if signed else np.array(rounding[1], np.uint8)
    (quantized, *parts), back = _parts(name), f"{name}/back"
    graph.initializer.append(numpy_helper.from_array(np.array(rounding[0], np.float32), parts[0]))
    graph.initializer.append(numpy_helper.from_array(zero, parts[1]))
    graph.node.append(helper.make_node("QuantizeLinear", [name, *parts], [quantized], quantized))
    graph.node.append(helper.make_node("DequantizeLinear", [quantized, *parts], [back], back))
    return back


def _parts(name: str) -> list[str]:
    """What a rounded tensor in bytes, its scale and its zero point are called."""
    return [f"{name}/rounded", f"{name}/rounding scale", f"{name}/rounding zero"]


def _unrounded(nodes: list[NodeProto]) -> list[NodeProto]:
    """Without the nodes that round activations."""
    behind: dict[str, str] = {}
    for node in nodes:
        if node.op_type == "QuantizeLinear" or (node.op_type == "DequantizeLinear" and node.input[0] in behind):
            behind[node.output[0]] = behind.get(node.input[0], node.input[0])
    kept = [node for node in nodes if not behind.keys() & set(node.output)]
    for node in kept:
        for index, name in enumerate(node.input):
            node.input[index] = behind.get(name, name)
    return kept
