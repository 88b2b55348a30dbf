"""An ONNX graph in the making: nodes named after layers, and weights that are made only when they are written."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from darknet_compat.definition.weights.network_weights import LayerArrays
from darknet_compat.formats.arrays import Floats

Dims = Sequence[int | str]

# fmt: off
OPERATORS = frozenset((
    "Add", "And", "ArgMax", "AveragePool", "Cast", "Clip", "Concat", "ConstantOfShape", "Conv", "ConvTranspose",
    "DequantizeLinear", "Div", "Elu", "Equal", "Exp", "Expand", "Flatten", "Floor", "Gather", "GatherElements",
    "GatherND", "Gemm", "GlobalAveragePool", "Greater", "GreaterOrEqual", "HardSigmoid", "Identity", "LeakyRelu",
    "Less", "MatMul", "Max", "MaxPool", "Min", "Mod", "Mul", "Neg", "NonMaxSuppression", "Not", "Or", "Pad", "Pow",
    "QuantizeLinear", "Range", "ReduceMax", "ReduceSum", "Relu", "Reshape", "Resize", "Selu", "Shape", "Sigmoid",
    "Slice", "Softmax", "Softplus", "Split", "Sqrt", "Squeeze", "Sub", "Tanh", "TopK", "Transpose", "Unsqueeze",
    "Where",
))
# fmt: on
"""The only operators that an exported graph may hold: those that ONNX Runtime, OpenVINO and TensorRT's parser all take
(OperatorKernels.md of onnxruntime, the operations of OpenVINO's ONNX frontend, docs/operators.md of onnx-tensorrt at
6d0ab7be, for TensorRT 8.5, the first with opset 17)."""


PLUGINS = "TRT"
"""The domain of nodes that are TensorRT's plug-ins; its parser goes by their names alone."""


@dataclass(frozen=True)
class Weight:
    """An initializer whose values are made, in float32, when they are written; there in `type`, which is float32 or
    float16."""

    name: str
    shape: tuple[int, ...]
    values: Callable[[], Floats]
    type: int = TensorProto.FLOAT

    @property
    def bytes(self) -> int:
        """Length of its values in the file."""
        return (4 if self.type == TensorProto.FLOAT else 2) * math.prod(self.shape)


class Graph:
    """Nodes in order, small constants, and weights. While in `layer`, names begin with that layer's."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, TensorProto] = {}
        self.weights: list[Weight] = []
        self._prefix = ""
        self._counts: dict[str, int] = {}

    @contextmanager
    def layer(self, name: str) -> Iterator[None]:
        """Name what is added after the layer `name`, such as `3 convolutional`."""
        before, self._prefix = self._prefix, f"{plain_name(name)}/"
        yield
        self._prefix = before

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """A node with one output; the output's name, which is the node's."""
        return self.add_many(operator, inputs, 1, **attributes)[0]

    def add_many(self, operator: str, inputs: Sequence[str], count: int, **attributes: Any) -> list[str]:
        """A node with `count` outputs; their names."""
        name = self.unique(operator)
        outputs = [name] if count == 1 else [f"{name}:{number}" for number in range(count)]
        self.nodes.append(helper.make_node(operator, list(inputs), outputs, name, **attributes))
        return outputs

    def constant(self, value: Any, dtype: Any = None) -> str:
        """A small constant, int64 or float32 unless it says otherwise; equal ones are shared."""
        array = np.asarray(value, dtype)
        if dtype is None:
            array = array.astype(np.int64 if array.dtype.kind in "iu" else np.float32)
        shape, text = "x".join(map(str, array.shape)), "_".join(map(str, array.ravel()[:4])) or "none"
        key = f"constant_{array.dtype}{f'_{shape}' if shape else ''}_{text}{'_etc' if array.size > 4 else ''}"
        name, number = key, 1
        while (known := self.constants.get(name)) is not None:
            if np.array_equal(numpy_helper.to_array(known), array):
                return name
            name, number = f"{key}_{number}", number + 1
        self.constants[name] = numpy_helper.from_array(array, name)
        return name

    def weight(self, slot: str, shape: Sequence[int], values: Callable[[], Floats]) -> str:
        """An initializer named after the layer and its slot."""
        weight = Weight(self._prefix + plain_name(slot), tuple(shape), values)
        self.weights.append(weight)
        return weight.name

    def rename(self, old: str, new: str) -> None:
        """Give the value `old` another name, everywhere."""
        for node in self.nodes:
            for names in (node.input, node.output):
                for index, name in enumerate(names):
                    if name == old:
                        names[index] = new

    def keep(self, wanted: Iterable[str]) -> None:
        """Take out the nodes on which none of the values `wanted` depends."""
        needed, kept = set(wanted), []
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                needed.update(node.input)
                kept.append(node)
        self.nodes = kept[::-1]

    def unique(self, name: str) -> str:
        """`name`, after the current layer's, with a number where it is taken."""
        full = self._prefix + name
        count = self._counts[full] = self._counts.get(full, 0) + 1
        return full if count == 1 else f"{full}_{count}"


def value(name: str, kind: int, dims: Dims) -> Any:
    """A graph's input or output; a dimension that is a string is free."""
    return helper.make_tensor_value_info(name, kind, list(dims))


def plain_name(name: str) -> str:
    """A name in letters, digits and signs without a space: ncnn's files, and tools' options, part names by spaces."""
    return "".join(sign if sign.isascii() and not sign.isspace() else "_" for sign in name)


def layer_of(name: str) -> tuple[int, str] | None:
    """Number and type of the layer that a node or weight is named after: (30, "region") of `30_region/Conv_2`, and of
    `30 region/Conv 2`, as files before 2026-11-29 have it. None for a name of no layer."""
    found = re.match(r"(\d+)[ _]([^/ ]+)/", name)
    return (int(found[1]), found[2]) if found else None


def operators(nodes: Iterable[NodeProto]) -> set[str]:
    """The names of the operators of `nodes`."""
    return {node.op_type for node in nodes}


Emit = Callable[[Graph, Any, LayerArrays, Sequence[str]], str]
"""Adds a layer's nodes: graph, spec, arrays and the names of its inputs → the name of its output."""
