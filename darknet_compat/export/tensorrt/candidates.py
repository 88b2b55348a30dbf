"""A graph's answers cut down to the best candidates: little has to leave the GPU, and no shape depends on data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from darknet_compat.export.onnx.graph import Dims, value

BOXES = ("boxes", "objectness", "classes")
_BESIDE = ("boxes", "classes", "uncertainties")
"""What goes with an objectness."""
EVERY = "every_objectness"
"""[N, all of them]; by it a reader counts the candidates for which there was no room (`export.heads.CANDIDATES`)."""

MOST = 1024
"""How many candidates an image an engine gives by default, where the network has more; `dropped` counts what is above
the threshold and found no room."""


def limit_candidates(model: ModelProto, limit: int, least: tuple[int, ...]) -> bool:
    """Make a graph give only the `limit` best boxes by objectness, in place, and `every_objectness` beside them.

    Returns whether it was changed: not where the graph does so already, gives anything but boxes (a probe's layers,
    say), or has no more than `limit` of them for an input of the shape `least`.
    """
    outputs = {output.name: output for output in model.graph.output}
    if outputs.keys() - {"uncertainties"} != set(BOXES) or box_count(model, least) <= limit:
        return False
    graph = model.graph
    head = next(node.name for node in graph.node if "objectness" in node.output).partition("/")[0]
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name in outputs:
                    names[index] = EVERY if name == "objectness" else f"{head}/every {name}"
    graph.initializer.append(numpy_helper.from_array(np.array([limit], np.int64), f"{head}/limit"))
    graph.initializer.append(numpy_helper.from_array(np.array([2], np.int64), f"{head}/last axis"))
    beside = [name for name in _BESIDE if name in outputs]
    graph.node.extend(_best(head, beside))
    batch = _dimension(outputs["objectness"], 0)
    shapes: dict[str, Dims] = {
        name: [batch, limit] if name == "objectness" else [batch, limit, _dimension(output, 2)]
        for name, output in outputs.items()
    }
    del graph.output[:]
    shapes[EVERY] = [batch, "D"]
    graph.output.extend(value(name, TensorProto.FLOAT, shape) for name, shape in shapes.items())
    return True


def _best(head: str, beside: Sequence[str]) -> list[NodeProto]:
    """Objectness [N, D] → the best [N, K], and what stands beside them."""
    chosen, places = f"{head}/best:1", f"{head}/best places"
    return [
        helper.make_node("TopK", [EVERY, f"{head}/limit"], ["objectness", chosen], f"{head}/best"),
        helper.make_node("Unsqueeze", [chosen, f"{head}/last axis"], [places], places),  # [N, K, 1]
        *(
            helper.make_node("GatherND", [f"{head}/every {name}", places], [name], f"{head}/best {name}", batch_dims=1)
            for name in beside
        ),
    ]


def box_count(model: ModelProto, shape: tuple[int, ...]) -> int:
    """How many boxes a graph gives for an input of this shape; 0 where it cannot be told."""
    fixed = ModelProto()
    fixed.CopyFrom(model)
    sides = fixed.graph.input[0].type.tensor_type.shape.dim
    for side, length in zip(sides, shape, strict=True):
        side.dim_value = length
    for output in fixed.graph.output:
        for side in output.type.tensor_type.shape.dim:
            side.ClearField("dim_param")
    inferred = onnx.shape_inference.infer_shapes(fixed, data_prop=True).graph.output
    return next(int(_dimension(output, 1) or 0) for output in inferred if output.name == "objectness")


def _dimension(output: ValueInfoProto, axis: int) -> int | str:
    side = output.type.tensor_type.shape.dim[axis]
    return int(side.dim_value) or str(side.dim_param)
