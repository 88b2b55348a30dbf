#!/usr/bin/env bash
# onnxruntime 1.31.1, CPU (x86): a quantised convolution whose rounding stands behind its LeakyRelu, where one would put it,
# is computed in float32, without a warning.
#
# The usual form (input and weights behind DequantizeLinear; Conv, LeakyRelu, QuantizeLinear) becomes a float convolution
# fused with its activation. Only with one more QuantizeLinear/DequantizeLinear pair between Conv and LeakyRelu do QLinearConv
# and QLinearLeakyRelu appear. Both files are valid and both are "int8".
#
# Seen: rounded behind the activation: no QLinearConv; rounded on both sides: 1 QLinearConv, 1 QLinearLeakyRelu.
#
# It matters since nearly every [convolutional] of YOLO v2 and v3 has activation=leaky: such an int8 file is smaller,
# but computes in floats and rounds besides. Look at the optimised graph before believing a file's name.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.31.1 onnx==1.23.2 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
from collections import Counter

import numpy as np
import onnx
import onnxruntime
from onnx import checker, helper, numpy_helper


def operators(between):
    """What the session made of the graph: operators of the optimised model, counted."""
    weights = np.random.default_rng(0).integers(-127, 128, (16, 16, 3, 3)).astype(np.int8)
    step = ["step", "zero"]
    node = helper.make_node
    nodes = [
        node("QuantizeLinear", ["x", *step], ["x8"]),
        node("DequantizeLinear", ["x8", *step], ["xf"]),
        node("DequantizeLinear", ["w8", "wstep", "wzero"], ["wf"]),
        node("Conv", ["xf", "wf"], ["c"], pads=[1] * 4),
    ]
    if between:
        nodes += [node("QuantizeLinear", ["c", *step], ["c8"]), node("DequantizeLinear", ["c8", *step], ["cf"])]
    nodes += [
        node("LeakyRelu", ["cf" if between else "c"], ["a"], alpha=0.1),
        node("QuantizeLinear", ["a", *step], ["a8"]),
        node("DequantizeLinear", ["a8", *step], ["y"]),
    ]
    constants = {"w8": weights, "wstep": np.float32(0.01), "wzero": np.int8(0)}
    constants |= {"step": np.float32(0.05), "zero": np.uint8(128)}
    ends = [helper.make_tensor_value_info(name, 1, [1, 16, 32, 32]) for name in "xy"]
    graph = helper.make_graph(
        nodes, "g", ends[:1], ends[1:], [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = "optimised.onnx"
    options.log_severity_level = 3  # below this it warns only that the saved file suits this machine
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return Counter(one.op_type for one in onnx.load("optimised.onnx").graph.node)


behind, both = operators(between=False), operators(between=True)
print("rounded behind the activation:", dict(behind))
print("rounded on both sides:", dict(both))
assert not behind["QLinearConv"], "the usual form is computed in integers now"
assert both["QLinearConv"] == 1 and both["QLinearLeakyRelu"] == 1
PYTHON
