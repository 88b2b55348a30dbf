"""A graph of opset 17 → the same in a later one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, helper, numpy_helper

from darknet_compat.errors import ExportError
from darknet_compat.formats.exported.onnxfile import OPSETS


def expect_opset(opset: int | None) -> None:
    """Raise ExportError for an opset that the onnx package here does not know."""
    known = onnx.defs.onnx_opset_version()
    if opset is not None and opset > known:
        raise ExportError(f"opset: onnx {onnx.__version__} knows those up to {known}, found {opset}")


def raise_opset(model: ModelProto, opset: int) -> None:
    """Make a model of an earlier opset, from 17 on, one of `opset`, in place.

    For the operators of our graphs (`graph.OPERATORS`) opset 18 alone changed what a node has to say: how many outputs
    a Split without sizes has, now an attribute, and the axes of reductions, now an input. What came later are types and
    attributes that they do not use (onnx's docs/Changelog.md up to opset 26).
    """
    assert opset in OPSETS
    standard = next(entry for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    if standard.version >= opset:
        return
    standard.version = opset
    model.ir_version = max(model.ir_version, helper.find_min_ir_version_for([helper.make_opsetid("", opset)]))
    for node, attribute in _attributes(model.graph.node):
        if node.op_type.startswith("Reduce") and attribute.name == "axes":
            axes = numpy_helper.from_array(np.array(attribute.ints, np.int64), f"{node.name}_axes")
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
