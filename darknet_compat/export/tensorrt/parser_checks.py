"""What TensorRT's ONNX parser takes, beyond the names of operators: told before it is asked.

From onnx-tensorrt's docs/operators.md and TensorRT's operator pages; the restrictions of 8.6, which later versions only
loosen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from darknet_compat.export.onnx.graph import OPERATORS, PLUGINS
from darknet_compat.export.onnx.half import QUANTIZING

MOST_OF_TOPK = 3840
"""TensorRT's ITopKLayer holds no more."""

_TYPES = frozenset((
    TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT32, TensorProto.INT64, TensorProto.INT8, TensorProto.BOOL,
    TensorProto.UINT8, TensorProto.FLOAT8E4M3FN,
))  # fmt: skip

_MOST = 2**31 - 1

_MUST_BE_CONSTANT = {
    "Conv": (1, 2),
    "ConvTranspose": (1, 2),
    "CumSum": (1,),
    "NonMaxSuppression": (2, 3, 4),
    "ReduceSum": (1,),
    "Slice": (3, 4),
    "Squeeze": (1,),
    "TopK": (1,),
    "Unsqueeze": (1,),
    "DequantizeLinear": (1, 2),
    "QuantizeLinear": (1, 2),
}
"""Inputs that have to be initializers."""


class _Forms:
    def __init__(self, model: ModelProto) -> None:
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self.made_by = {name: node for node in model.graph.node for name in node.output}
        self.read_by: dict[str, list[NodeProto]] = {}
        for node in model.graph.node:
            for name in node.input:
                self.read_by.setdefault(name, []).append(node)
        self.types = {name: tensor.data_type for name, tensor in self.constants.items()}

    def constant(self, name: str) -> bool:
        """Whether a value is known: an initializer, or one that is dequantized."""
        if not name or name in self.constants:
            return True
        node = self.made_by.get(name)
        return node is not None and node.op_type in QUANTIZING and self.constant(node.input[0])


def shorten_ends(model: ModelProto) -> None:
    """Write the ends of slices, where they are beyond, as the largest of 32 bits, in place: a file of another exporter
    or of an earlier version has INT64_MAX, of which TensorRT 8.6 warns that it had to be clamped."""
    ends = {node.input[2] for node in model.graph.node if node.op_type == "Slice"}
    for tensor in model.graph.initializer:
        if tensor.name in ends and tensor.data_type == TensorProto.INT64:
            values = numpy_helper.to_array(tensor)
            if (abs(values) > _MOST).any():
                tensor.CopyFrom(numpy_helper.from_array(values.clip(-_MOST, _MOST), tensor.name))


def problems(model: ModelProto) -> list[str]:
    """A line for each node that the parser would refuse, naming it; empty where all is well."""
    forms = _Forms(model)
    found = [f"{tensor.name}: values of type {_type(tensor.data_type)}" for tensor in forms.constants.values()
             if tensor.data_type not in _TYPES]  # fmt: skip
    for value in model.graph.input:
        if value.type.tensor_type.elem_type == TensorProto.UINT8:
            found += [
                f"{node.name}: {node.op_type} reads uint8 pixels, which nothing but Cast may"
                for node in forms.read_by.get(value.name, [])
                if node.op_type != "Cast"
            ]
    for node in model.graph.node:
        if (node.domain, node.op_type) == (PLUGINS, "EfficientNMS_TRT"):
            continue  # which TensorRT-RTX lacks: `planned` refuses such files for it
        if node.domain or node.op_type not in OPERATORS | QUANTIZING | {"CumSum", "ReduceL2", "ScatterND"}:
            found.append(f"{node.name}: the operator {node.op_type}")
            continue
        for index in _MUST_BE_CONSTANT.get(node.op_type, ()):
            if index < len(node.input) and not forms.constant(node.input[index]):
                found.append(f"{node.name}: {node.op_type} whose input {index} is computed")
        if (check := _CHECKS.get(node.op_type)) and (problem := check(node, forms)):
            found.append(f"{node.name}: {node.op_type} {problem}")
    return found


def _topk(node: NodeProto, forms: _Forms) -> str | None:
    attributes = _attributes(node)
    if attributes.get("sorted", 1) != 1:
        return "that is not sorted"
    k = forms.constants.get(node.input[1])
    count = int(numpy_helper.to_array(k).item()) if k is not None else 0
    return f"of {count}, more than {MOST_OF_TOPK}" if count > MOST_OF_TOPK else None


def _scatter(node: NodeProto, forms: _Forms) -> str | None:
    reduction = _attributes(node).get("reduction", b"none")
    return None if reduction in (b"none", "none") else f"with reduction {reduction!r}"


def _cast(node: NodeProto, forms: _Forms) -> str | None:
    to = _attributes(node)["to"]
    return None if to in _TYPES else f"to {_type(to)}"


def _range(node: NodeProto, forms: _Forms) -> str | None:
    floats = any(forms.types.get(name) == TensorProto.FLOAT for name in node.input)
    return "of floats that are computed" if floats and not all(map(forms.constant, node.input)) else None


def _maxpool(node: NodeProto, forms: _Forms) -> str | None:
    return "with indices" if len(node.output) > 1 and node.output[1] else None


def _resize(node: NodeProto, forms: _Forms) -> str | None:
    attributes = _attributes(node)
    mode = attributes.get("mode", b"nearest")
    place = attributes.get("coordinate_transformation_mode", b"half_pixel")
    good = mode in (b"nearest", b"linear") and place in (b"half_pixel", b"asymmetric", b"align_corners")
    return None if good else f"of mode {mode.decode()}, {place.decode()}"


def _quantize(node: NodeProto, forms: _Forms) -> str | None:
    zero = forms.constants.get(node.input[2]) if len(node.input) > 2 and node.input[2] else None
    if zero is None:
        return "of uint8: it has no zero point to say otherwise"
    if zero.data_type not in (TensorProto.INT8, TensorProto.FLOAT8E4M3FN):
        return f"of {_type(zero.data_type)}"
    if bytes(zero.raw_data).strip(b"\0") or any(zero.int32_data):
        return "whose zero point is not 0"
    scale = forms.constants.get(node.input[1])
    too_small = scale is not None and not (numpy_helper.to_array(scale) > 0).all()
    return "with a scale of 0; export it with --precision int8 again" if too_small else None


_CHECKS: dict[str, Callable[[NodeProto, _Forms], str | None]] = {
    "TopK": _topk,
    "ScatterND": _scatter,
    "Cast": _cast,
    "Range": _range,
    "MaxPool": _maxpool,
    "Resize": _resize,
    "QuantizeLinear": _quantize,
    "DequantizeLinear": _quantize,
}


def _attributes(node: NodeProto) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _type(kind: int) -> str:
    return str(TensorProto.DataType.Name(kind)).lower()
