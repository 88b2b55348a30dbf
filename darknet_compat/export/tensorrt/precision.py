"""What TensorRT alone is given in less than float32: float8, and int8 whose scales stay in float32."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from darknet_compat.export.onnx.half import IN_HALF, QDQ_OPSET, QUANTIZING
from darknet_compat.export.onnx.opset import raise_opset

SCALES_OPSET = 23
"""The first in which scales may have another type than what is quantized."""

_EIGHT = TensorProto.FLOAT8E4M3FN


def keep_scales(half: ModelProto, model: ModelProto) -> None:
    """Give the scales of a graph that `to_half` made from `model` back their float32, in place; opset 23, which
    early parsers do not know."""
    raise_opset(half, SCALES_OPSET)
    single = {tensor.name: tensor for tensor in model.graph.initializer}
    scales = set()
    for node in half.graph.node:
        if node.op_type in QUANTIZING:
            scales.add(node.input[1])
        if node.op_type == "DequantizeLinear":
            kind = next(t.data_type for t in half.graph.initializer if t.name == node.input[1])
            node.attribute.append(helper.make_attribute("output_dtype", kind))
    for tensor in half.graph.initializer:
        if (name := tensor.name) in scales:
            tensor.CopyFrom(single[name.removesuffix(IN_HALF)])
            tensor.name = name


def to_fp8(model: ModelProto) -> None:
    """Make the Q/DQ nodes of an int8 graph quantize to float8 (e4m3), in place; opset 19.

    The same largest value is mapped to 448, float8's largest, instead of 127.
    """
    raise_opset(model, QDQ_OPSET)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    done: set[str] = set()
    for node in model.graph.node:
        if node.op_type not in QUANTIZING:
            continue
        values, scale, zero = [*node.input, ""][:3]
        for name in {scale, zero, values} & constants.keys() - done:
            done.add(name)
            array = numpy_helper.to_array(constants[name])
            if name == scale:
                constants[name].CopyFrom(numpy_helper.from_array((array * (127 / 448)).astype(array.dtype), name))
            elif array.dtype == np.int8:
                eighths = array.astype(np.float32) * (448 / 127 if name == values else 1)
                constants[name].CopyFrom(helper.make_tensor(name, _EIGHT, array.shape, eighths.ravel()))
    del model.graph.value_info[:]
