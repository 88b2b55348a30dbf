"""An exported model whose layers' values are outputs as well: to see where two engines part."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import onnx
from onnx import helper

from darknet_compat.export.onnx.graph import layer_of


def expose_layers(path: Path, to: Path, layers: Collection[int] | None = None) -> dict[int, str]:
    """Write the model at `path` to `to`, with the values of `layers` (None: all that there are) among its outputs.

    Returns the outputs' names, `layer 13`. A layer's value is what the last node gives that is named after it; layers
    that leave no node, such as [dropout] or a [route] of one, have none, and heads are the model's own outputs.
    """
    model = onnx.load(path)
    own = {output.name for output in model.graph.output}
    values: dict[int, str] = {}
    for node in model.graph.node:
        if layer := layer_of(node.name):
            values[layer[0]] = node.output[0]
    last = max(values, default=-1)  # the head's, whose nodes end in the model's outputs
    names = {
        number: f"layer {number}"
        for number, value in sorted(values.items())
        if (layers is None or number in layers) and value not in own and number != last
    }
    for number, name in names.items():
        model.graph.node.append(helper.make_node("Identity", [values[number]], [name], name))
    inferred = {value.name: value for value in onnx.shape_inference.infer_shapes(model).graph.value_info}
    model.graph.output.extend(inferred[name] for name in names.values())
    onnx.save(model, to)
    return names
