"""The heads' operations on values of a graph in the making."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto

from darknet_compat.export.onnx.graph import Graph
from darknet_compat.formats.arrays import Floats, Ints


@dataclass(frozen=True)
class GraphValue:
    """A value of a graph, by name; `sides` are its height and width where it is a map and these are fixed."""

    graph: Graph
    name: str
    sides: tuple[int, int] | None = None

    def __add__(self, other: Any) -> GraphValue:
        return self._with("Add", other)

    def __sub__(self, other: Any) -> GraphValue:
        return self._with("Sub", other)

    def __mul__(self, other: Any) -> GraphValue:
        return self._with("Mul", other)

    def __truediv__(self, other: Any) -> GraphValue:
        return self._with("Div", other)

    def _with(self, operator: str, other: Any) -> GraphValue:
        name = other.name if isinstance(other, GraphValue) else self.graph.constant(float(other))
        return GraphValue(self.graph, self.graph.add(operator, self.name, name))


class GraphOps:
    """See `heads.ops.Ops`."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def value(self, name: str, sides: tuple[int, int] | None = None) -> GraphValue:
        """The value of a name; see `GraphValue`."""
        return GraphValue(self.graph, name, sides)

    def _add(self, operator: str, *inputs: str, **attributes: Any) -> GraphValue:
        return self.value(self.graph.add(operator, *inputs, **attributes))

    def _constant(self, array: Any) -> GraphValue:
        return self.value(self.graph.constant(array))

    def constant(self, array: Floats, like: GraphValue) -> GraphValue:
        """See `Ops.constant`."""
        return self._constant(array)

    def reshape(self, x: GraphValue, shape: Sequence[int]) -> GraphValue:
        """See `Ops.reshape`."""
        return self._add("Reshape", x.name, self.graph.constant(list(shape)))

    def transpose(self, x: GraphValue, axes: Sequence[int]) -> GraphValue:
        """See `Ops.transpose`."""
        return self._add("Transpose", x.name, perm=list(axes))

    def concat(self, parts: Sequence[GraphValue], axis: int) -> GraphValue:
        """See `Ops.concat`."""
        return self._add("Concat", *(part.name for part in parts), axis=axis)

    def split(self, x: GraphValue, sizes: Sequence[int], axis: int) -> list[GraphValue]:
        """See `Ops.split`."""
        sizes = [size for size in sizes if size]
        if len(sizes) == 1:
            return [x]
        given = [x.name, self.graph.constant(sizes)]
        return [self.value(name) for name in self.graph.add_many("Split", given, len(sizes), axis=axis)]

    def take(self, x: GraphValue, indices: Ints, axis: int) -> GraphValue:
        """See `Ops.take`."""
        return self._add("Gather", x.name, self.graph.constant(indices), axis=axis)

    def exp(self, x: GraphValue) -> GraphValue:
        """See `Ops.exp`."""
        return self._add("Exp", x.name)

    def sigmoid(self, x: GraphValue) -> GraphValue:
        """See `Ops.sigmoid`."""
        return self._add("Sigmoid", x.name)

    def softmax(self, x: GraphValue, axis: int, last: bool = True) -> GraphValue:
        """See `Ops.softmax`. Runtimes turn what is not last, and turn it back, and do short ones one by one."""
        if last:
            return self._add("Softmax", x.name, axis=axis)
        powers = self.exp(x - self._add("ReduceMax", x.name, axes=[axis], keepdims=1))
        return powers / self._add("ReduceSum", powers.name, self.graph.constant([axis]), keepdims=1)

    def cells(self, x: GraphValue) -> GraphValue:
        """See `Ops.cells`."""
        if x.sides is not None:
            height, width = x.sides
            columns, rows = np.tile(np.arange(width), height), np.arange(height).repeat(width)
            return self._constant(np.stack([columns, rows]).astype(np.float32))
        graph = self.graph
        sides = graph.add("Slice", graph.add("Shape", x.name), *map(graph.constant, ([2], [4], [0])))  # H, W
        lines = []
        for axis, beside in ((1, 0), (0, 1)):  # columns [1, W], rows [H, 1]
            length = graph.add("Gather", sides, graph.constant(np.int64(axis)))
            counted = graph.add("Range", graph.constant(np.int64(0)), length, graph.constant(np.int64(1)))
            counted = graph.add("Expand", graph.add("Unsqueeze", counted, graph.constant([beside])), sides)  # [H, W]
            lines.append(graph.add("Reshape", counted, graph.constant([1, -1])))
        return self._add("Cast", graph.add("Concat", *lines, axis=0), to=TensorProto.FLOAT)

    def size(self, x: GraphValue) -> GraphValue:
        """See `Ops.size`."""
        if x.sides is not None:
            return self._constant([[float(x.sides[1])], [float(x.sides[0])]])
        sides = self.graph.add("Gather", self.graph.add("Shape", x.name), self.graph.constant([[3], [2]]))
        return self._add("Cast", sides, to=TensorProto.FLOAT)

    def best(self, x: GraphValue, count: int) -> tuple[GraphValue, GraphValue]:
        """See `Ops.best`."""
        values, places = self.graph.add_many("TopK", [x.name, self.graph.constant([count])], 2)
        return self.value(values), self.value(places)

    def most(self, x: GraphValue, axis: int) -> tuple[GraphValue, GraphValue]:
        """See `Ops.most`."""
        values = self._add("ReduceMax", x.name, axes=[axis], keepdims=1)
        return values, self._floats(self.graph.add("ArgMax", x.name, axis=axis, keepdims=1))

    def above(self, x: GraphValue, number: float) -> GraphValue:
        """See `Ops.above`."""
        return self._floats(self.graph.add("Greater", x.name, self.graph.constant(float(number))))

    def equal(self, x: GraphValue, y: GraphValue) -> GraphValue:
        """See `Ops.equal`."""
        return self._floats(self.graph.add("Equal", x.name, y.name))

    def _floats(self, name: str) -> GraphValue:
        return self._add("Cast", name, to=TensorProto.FLOAT)

    def shaped(self, x: GraphValue, like: GraphValue) -> GraphValue:
        """See `Ops.shaped`."""
        return self._add("Reshape", x.name, self.graph.add("Shape", like.name))

    def gather(self, x: GraphValue, places: GraphValue, axis: int) -> GraphValue:
        """See `Ops.gather`."""
        rows = self.graph.add("Unsqueeze", places.name, self.graph.constant([axis + 1]))  # […, K, 1]
        return self._add("GatherND", x.name, rows, batch_dims=axis)

    def conv1x1(self, x: GraphValue, weights: GraphValue, biases: GraphValue) -> GraphValue:
        """See `Ops.conv1x1`."""
        return self._add("Conv", x.name, weights.name, biases.name, kernel_shape=[1, 1])
