"""An int8 file in the form that ONNX Runtime computes in integers: rounded before the activation as well as after it.

A file rounds what a convolution reads (`quantize`). ONNX Runtime makes an integer convolution of one only where its
result is rounded at once, before LeakyRelu; elsewhere it computes in float32, silently. So a pair of nodes that round
and a pair behind the activation are added. Before it as the calibration found best (`ranges.Before`), which is nearly
always the scale behind it: then values above zero are rounded once, since the second rounding finds them on its grid,
and of those below LeakyRelu leaves a tenth of the error. Operators that only move values get one scale on both sides,
and so move bytes.

x86 has fast instructions for unsigned by signed bytes only: there activations are uint8 with zero point 128, which are
the same numbers.
"""

from __future__ import annotations

import platform
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper

from darknet_compat.formats.arrays import Array

MOVING = frozenset({"Concat", "Identity", "MaxPool", "Reshape", "Resize", "Slice", "Split", "Transpose"})
"""Operators whose results are values that they read; of these the first input, and of Concat all, are values."""

ACTIVATING = frozenset({"LeakyRelu", "Relu"})
"""Activations that leave large values as they are, so that one scale serves before and after."""


Rounding = tuple[float, int]
"""A scale, and the zero point among 0 to 255."""


def fused(model: ModelProto, quantization: Mapping[str, Any]) -> ModelProto:
    """A copy of an int8 model as ONNX Runtime computes it in int8; `quantization` is what the artefact says of it."""
    graph = _Graph(model)
    scales = graph.unrounded() | quantization.get("results", {})
    graph.spread(scales)
    before = {name: (float(scale), int(zero)) for name, (scale, zero) in quantization.get("before", {}).items()}
    made = ModelProto()
    made.CopyFrom(model)
    made.graph.CopyFrom(graph.rounded({name: (scale, 128) for name, scale in scales.items()} | before))
    return made


def given(node: NodeProto) -> list[str]:
    """The values that a node moves or activates."""
    return list(node.input) if node.op_type == "Concat" else [node.input[0]]


def spread_back(nodes: Sequence[NodeProto], scales: dict[str, float], whole: Collection[str] | None = None) -> None:
    """Give what the tensors with a scale are moved from the same one, unless a convolution reads that too; all of them,
    or only tensors of `whole`."""
    read = {node.input[0] for node in nodes if node.op_type == "Conv" and node.input[0] in scales}
    for node in reversed(nodes):
        for name in node.output:
            if name in scales and node.op_type in MOVING and (whole is None or name in whole):
                scales.update(dict.fromkeys(set(given(node)) - read, scales[name]))


class _Graph:
    def __init__(self, model: ModelProto) -> None:
        self.source = model.graph
        self.values = {tensor.name: tensor for tensor in model.graph.initializer}
        self.nodes = [_copy(node) for node in model.graph.node]
        self.made_by = {name: node for node in self.nodes for name in node.output}

    def unrounded(self) -> dict[str, float]:
        """Take out the nodes that round activations; the scale of each tensor that was."""
        scales: dict[str, float] = {}
        behind: dict[str, str] = {}
        for node in self.nodes:
            if node.op_type == "QuantizeLinear":
                scales[node.input[0]] = float(self.array(node.input[1]))
                behind[node.output[0]] = node.input[0]
            elif node.op_type == "DequantizeLinear" and node.input[0] in behind:
                behind[node.output[0]] = behind[node.input[0]]
        kept = [node for node in self.nodes if not behind.keys() & set(node.output)]
        for node in kept:
            for index, name in enumerate(node.input):
                node.input[index] = behind.get(name, name)
        self.nodes = kept
        self.made_by = {name: node for node in self.nodes for name in node.output}
        return scales

    def spread(self, scales: dict[str, float]) -> None:
        """Give what the tensors with a scale are moved from the same one, back to the integer convolutions.

        A tensor that convolutions read keeps its own, and then what is made of it by moving has that. What comes from
        no integer convolution is rounded only where one reads it.
        """
        whole = self._from_integers()
        spread_back(self.nodes, scales, whole)
        for node in self.nodes:
            if node.op_type in MOVING - {"Concat"} and (scale := scales.get(node.input[0])) is not None:
                scales.update(dict.fromkeys(set(node.output) & scales.keys(), scale))
        for node in self.nodes:
            if (
                node.op_type in ACTIVATING
                and node.output[0] in scales
                and self.integer(self.made_by.get(node.input[0]))
            ):
                scales.setdefault(node.input[0], scales[node.output[0]])

    def _from_integers(self) -> set[str]:
        """The tensors that are made of nothing but the results of integer convolutions."""
        found: set[str] = set()
        for node in self.nodes:
            moved = node.op_type in MOVING | ACTIVATING and found.issuperset(given(node))
            if moved or self.integer(node):
                found.update(node.output)
        return found

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


def _copy(node: NodeProto) -> NodeProto:
    made = NodeProto()
    made.CopyFrom(node)
    return made
