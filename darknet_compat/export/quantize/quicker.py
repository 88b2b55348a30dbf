"""Nodes in an order, and of kinds, that ONNX Runtime computes on bytes in less time, with the very same results."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from copy import deepcopy

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from darknet_compat.export.quantize.roundings import ACTIVATING, Rounding


def pooled_first(
    nodes: Sequence[NodeProto], outputs: Container[str], roundings: Mapping[str, Rounding]
) -> dict[str, Rounding]:
    """Pool what a convolution gives before it is activated, in place, which leaves a quarter to be activated: larger
    values stay larger through the activations and through rounding. Returns `roundings` as they are then."""
    made_by = {name: node for node in nodes for name in node.output}
    readers = [name for node in nodes for name in node.input]
    found = dict(roundings)
    for pool in nodes:
        activation = made_by.get(pool.input[0]) if pool.op_type == "MaxPool" else None
        if activation is None or activation.op_type not in ACTIVATING:
            continue
        result, activated, pooled = activation.input[0], pool.input[0], pool.output[0]
        if not {result, activated} <= found.keys() or readers.count(activated) > 1 or pooled in outputs:
            continue
        first, second = deepcopy(pool), deepcopy(activation)
        first.input[0], first.output[0] = result, activated
        second.input[0], second.output[0] = activated, pooled
        activation.CopyFrom(first)
        pool.CopyFrom(second)
        found[pooled], found[activated] = found[activated], found[result]
    return found


def cut_out(nodes: Sequence[NodeProto], values: dict[str, TensorProto]) -> None:
    """Make a Slice of each Split of which one part alone is read, in place, since ONNX Runtime splits no bytes; its
    limits go into `values`."""
    read = {name for node in nodes for name in node.input}
    for node in nodes:
        parts = [number for number, name in enumerate(node.output) if name in read]
        if node.op_type != "Split" or len(parts) != 1 or len(node.input) < 2 or node.input[1] not in values:
            continue
        ends = np.cumsum(numpy_helper.to_array(values[node.input[1]]))
        axis = next((one.i for one in node.attribute if one.name == "axis"), 0)
        limits = {"from": [*np.append(0, ends)[parts]], "to": [*ends[parts]], "axis": [axis]}
        for word, numbers in limits.items():
            name = f"{node.name}/{word}"
            values[name] = numpy_helper.from_array(np.array(numbers, np.int64), name)
        inputs = [node.input[0], *(f"{node.name}/{word}" for word in limits)]
        node.CopyFrom(helper.make_node("Slice", inputs, [node.output[parts[0]]], node.name))


def pointwise(convolution: NodeProto) -> bool:
    """Whether each place of the result comes from the same place of the input alone."""
    plain = {"kernel_shape": 1, "pads": 0, "strides": 1, "dilations": 1, "group": 1}
    found = {one.name: set(one.ints or [one.i]) for one in convolution.attribute if one.name in plain}
    return "kernel_shape" in found and all(found[name] == {plain[name]} for name in found)


def product(convolution: NodeProto, rounded: Sequence[str], weights: Sequence[str]) -> list[NodeProto]:
    """A pointwise convolution of bytes as one product of integers, whose results are floats that nothing has rounded.

    `rounded`: the names of its input in bytes [N, C, H, W], of their scale and zero point; `weights`: of integers
    [C, filters], a scale and a zero point for each filter.
    """
    name, result = convolution.name, convolution.output[0]
    last, sums = f"{name}/channels last", f"{name}/sums"
    given = [last, weights[0], rounded[1], weights[1], rounded[2], weights[2], *convolution.input[2:]]
    return [
        helper.make_node("Transpose", [rounded[0]], [last], last, perm=[0, 2, 3, 1]),
        helper.make_node("MatMulIntegerToFloat", given, [sums], sums, domain="com.microsoft"),
        helper.make_node("Transpose", [sums], [result], name, perm=[0, 3, 1, 2]),
    ]
