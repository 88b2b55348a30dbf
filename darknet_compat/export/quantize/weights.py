"""A convolution's weights as 8-bit integers, with a scale for each filter."""

from __future__ import annotations

import numpy as np
from onnx import GraphProto, NodeProto, helper, numpy_helper

from darknet_compat.export.quantize.ranges import LEAST_SCALE, LEVELS
from darknet_compat.formats.arrays import Floats


def add_weights(graph: GraphProto, reader: str, name: str, values: Floats) -> NodeProto:
    """Put the weights `name` [filters, …] into the graph as int8, with scales and zero points; the node that makes
    floats of them for the node `reader`, which is to be added too."""
    scales = weight_scales(values)
    integers = np.rint(values / scales.reshape(-1, *[1] * (values.ndim - 1))).astype(np.int8)
    parts = {"int8": integers, "scales": scales, "zeros": np.zeros(len(scales), np.int8)}
    for part, array in parts.items():
        graph.initializer.append(numpy_helper.from_array(array, f"{name}_{part}"))
    back = f"{reader}/weights/DequantizeLinear"
    return helper.make_node("DequantizeLinear", [f"{name}_{part}" for part in parts], [back], back, axis=0)


def weight_scales(values: Floats) -> Floats:
    """[filters], float32: each filter's largest weight becomes 127, unless that takes a scale below LEAST_SCALE."""
    largest = np.abs(values).reshape(len(values), -1).max(1)
    scales: Floats = np.where(largest > 0, np.maximum(largest / LEVELS, LEAST_SCALE), 1.0).astype(np.float32)
    return scales
