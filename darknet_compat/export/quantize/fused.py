"""An int8 file in the form that ONNX Runtime computes in integers: rounded before the activation as well as after it.

A file rounds what a convolution reads (`quantize`). ONNX Runtime makes an integer convolution of one only where its
result is rounded at once; elsewhere it computes in float32, silently. So the file's own roundings of activations are
taken out, and those that the calibration found for this form (`roundings`) put in, and its `biases`.

x86 has fast instructions for unsigned by signed bytes only: there activations are uint8; on ARM the same less 128.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper

from darknet_compat.export.quantize.biases import with_biases
from darknet_compat.export.quantize.roundings import Rounding
from darknet_compat.formats.arrays import Array


def fused(model: ModelProto, quantization: Mapping[str, Any]) -> ModelProto:
    """A copy of an int8 model as ONNX Runtime computes it in int8; `quantization` is what the artefact says of it."""
    biases = {name: np.array(values, np.float32) for name, values in quantization.get("biases", {}).items()}
    found = {name: (float(scale), int(zero)) for name, (scale, zero) in quantization.get("roundings", {}).items()}
    made = ModelProto()
    made.CopyFrom(model)
    if found:
        with_biases(made.graph, biases)
        made.graph.CopyFrom(_Graph(made).rounded(found))
    return made


class _Graph:
    def __init__(self, model: ModelProto) -> None:
        self.source = model.graph
        self.values = {tensor.name: tensor for tensor in model.graph.initializer}
        self.nodes = _unrounded([_copy(node) for node in model.graph.node])
        self.made_by = {name: node for node in self.nodes for name in node.output}

    def integer(self, node: NodeProto | None) -> bool:
        """Whether this is a convolution whose weights are integers."""
        maker = self.made_by.get(node.input[1]) if node is not None and node.op_type == "Conv" else None
        return maker is not None and maker.op_type == "DequantizeLinear"

    def array(self, name: str) -> Array:
        return numpy_helper.to_array(self.values[name])

    def rounded(self, roundings: Mapping[str, Rounding]) -> GraphProto:
        """The graph with tensors rounded where they are made, and integer biases."""
        graph = GraphProto(name=self.source.name, input=self.source.input, output=self.source.output)
        outputs = {value.name for value in self.source.output}
        behind = {
            value.name: _round(graph, value.name, roundings[value.name])
            for value in self.source.input
            if value.name in roundings
        }
        for node in self.nodes:
            if self.integer(node) and node.input[0] in roundings and len(node.input) > 2:
                node.input[2] = self._bias(graph, node, roundings[node.input[0]][0])
            for index, name in enumerate(node.input):
                node.input[index] = behind.get(name, name)
            graph.node.append(node)
            for name in node.output:
                if name in roundings and name not in outputs:
                    behind[name] = _round(graph, name, roundings[name])
        used = {name for node in graph.node for name in node.input}
        graph.initializer.extend(tensor for name, tensor in self.values.items() if name in used)
        return graph

    def _bias(self, graph: GraphProto, node: NodeProto, scale: float) -> str:
        """The bias in the units of the products, as 32-bit integers; what makes floats of them."""
        weight_scales = self.array(self.made_by[node.input[1]].input[1]).astype(np.float32)
        units = (weight_scales * np.float32(scale)).astype(np.float32)
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
    parts = [f"{name}/rounding scale", f"{name}/rounding zero"]
    graph.initializer.append(numpy_helper.from_array(np.array(rounding[0], np.float32), parts[0]))
    graph.initializer.append(numpy_helper.from_array(zero, parts[1]))
    quantized, back = f"{name}/rounded", f"{name}/back"
    graph.node.append(helper.make_node("QuantizeLinear", [name, *parts], [quantized], quantized))
    graph.node.append(helper.make_node("DequantizeLinear", [quantized, *parts], [back], back))
    return back


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


def _copy(node: NodeProto) -> NodeProto:
    made = NodeProto()
    made.CopyFrom(node)
    return made
