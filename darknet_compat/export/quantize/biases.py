"""Biases of convolutions that take back what rounding adds to their results on average.

Rounding errors mostly cancel out; what values lose by a limit, and weights by rounding, adds up the same way at every
place, and through the layers. The mean of each filter's results over a picture is compared with that in float32, and
corrected there and then, so that the next layer sees what it would see of a corrected one; the bias that remains is the
mean over the pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper

from darknet_compat.formats.arrays import Array, Floats

Given = Mapping[str, Array]
Open = Callable[[ModelProto], Any]

MOST = 24
"""How many pictures are looked at, at most."""


def biases_of(model: ModelProto) -> dict[str, Floats]:
    """The bias [filters] of each convolution that has one, by the convolution's name."""
    values = {tensor.name: tensor for tensor in model.graph.initializer}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv" and len(node.input) > 2]
    return {node.name: numpy_helper.to_array(values[node.input[2]]) for node in convolutions if node.input[2] in values}


def corrected(
    exact: ModelProto, rounded: ModelProto, names: Iterable[str], images: Sequence[Given], session: Open
) -> dict[str, Floats]:
    """What is to be added to the biases of the convolutions `names` of `rounded`, [filters] each, so that the means of
    their results are those of `exact`. `images`: the graph's inputs; `session` opens a model in ONNX Runtime."""
    order = list(names)
    means, corrections = session(with_means(exact, order)), session(recentred(rounded, order))
    total: dict[str, Any] = dict.fromkeys(order, 0.0)
    for given in images:
        wanted = means.run([mean_of(name) for name in order], dict(given))
        found = corrections.run(
            [_correction(name) for name in order],
            {**given, **{mean_of(name): mean for name, mean in zip(order, wanted, strict=True)}},
        )
        for name, value in zip(order, found, strict=True):
            total[name] = total[name] + value.mean((0, 2, 3), dtype=np.float64)
    return {name: (value / len(images)).astype(np.float32) for name, value in total.items()}


def with_biases(graph: GraphProto, biases: Mapping[str, Floats]) -> None:
    """Give the convolutions of these names other biases [filters], in place."""
    for node in graph.node:
        if node.op_type == "Conv" and node.name in biases:
            node.input[2] = f"{node.name}/bias"
            graph.initializer.append(numpy_helper.from_array(biases[node.name], node.input[2]))


def mean_of(name: str) -> str:
    """What the means of a convolution's results are called, by its own name."""
    return f"{name}/mean"


def _correction(name: str) -> str:
    return f"{name}/correction"


def with_means(model: ModelProto, names: Sequence[str]) -> ModelProto:
    """The same with the mean of each filter's results as outputs [N, filters, 1, 1]."""
    made = deepcopy(model)
    for node in model.graph.node:
        if node.name in names:
            made.graph.node.append(helper.make_node("GlobalAveragePool", [node.output[0]], [mean_of(node.name)]))
            made.graph.output.append(helper.make_tensor_value_info(mean_of(node.name), TensorProto.FLOAT, None))
    return made


def recentred(model: ModelProto, names: Sequence[str]) -> ModelProto:
    """The same with these means as inputs, to which results are moved; by how much, as outputs."""
    made = deepcopy(model)
    del made.graph.node[:]
    for original in model.graph.node:
        made.graph.node.append(original)
        node = made.graph.node[-1]
        if node.name not in names:
            continue
        result, raw, found = node.output[0], f"{node.name}/raw", f"{node.name}/found"
        node.output[0] = raw
        made.graph.node.append(helper.make_node("GlobalAveragePool", [raw], [found]))
        made.graph.node.append(helper.make_node("Sub", [mean_of(node.name), found], [_correction(node.name)]))
        made.graph.node.append(helper.make_node("Add", [raw, _correction(node.name)], [result]))
        made.graph.input.append(helper.make_tensor_value_info(mean_of(node.name), TensorProto.FLOAT, ["N", None, 1, 1]))
        made.graph.output.append(helper.make_tensor_value_info(_correction(node.name), TensorProto.FLOAT, None))
    return made
