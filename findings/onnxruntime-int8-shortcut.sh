#!/usr/bin/env bash
# onnxruntime 1.31.1, CPU (x86): where a tensor rounded to int8 has two readers, the convolutions beside it and the sum
# stay in float32; rounded to uint8 with zero point 128, which means the very same numbers, all become integer operators.
#
# Seen: int8: 2 Conv, 1 Add; uint8: 2 QLinearConv, 1 QLinearAdd; int8 with session.qdqisint8allowed=1: as uint8;
# int8, one convolution behind the other without a sum: 2 QLinearConv.
#
# It matters for [shortcut] and [route], which is to say for every residual block of Darknet-53: int8 with zero point 0, which
# TensorRT asks for, silently costs ONNX Runtime's integers unless that entry is set for the session. No message is logged.
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


def operators(zero, entry=None, summed=True):
    """A convolution, another over its answer, the sum of both if wanted, each rounded: the optimised model's operators."""
    numbers, node, step = np.random.default_rng(0), helper.make_node, ["step", "zero"]
    constants = {"wstep": np.float32(0.01), "wzero": np.int8(0), "step": np.float32(0.05), "zero": zero}

    def rounded(name, to):
        return [
            node("QuantizeLinear", [name, *step], [name + "8"]),
            node("DequantizeLinear", [name + "8", *step], [to]),
        ]

    def convolution(source, to):
        constants["w" + to] = numbers.integers(-127, 128, (16, 16, 1, 1)).astype(np.int8)
        return [
            node("DequantizeLinear", ["w" + to, "wstep", "wzero"], ["wf" + to]),
            node("Conv", [source, "wf" + to], ["c" + to]),
            *rounded("c" + to, to),
        ]

    nodes = [*rounded("x", "xf"), *convolution("xf", "a"), *convolution("a", "b")]
    nodes += [node("Add", ["a", "b"], ["sum"]), *rounded("sum", "y")] if summed else [node("Identity", ["b"], ["y"])]
    ends = [helper.make_tensor_value_info(name, 1, [1, 16, 32, 32]) for name in "xy"]
    graph = helper.make_graph(
        nodes, "g", ends[:1], ends[1:], [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = "optimised.onnx"
    options.log_severity_level = 3  # below this it warns only that the saved file suits this machine
    if entry:
        options.add_session_config_entry(entry, "1")
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return Counter(one.op_type for one in onnx.load("optimised.onnx").graph.node)


signed, unsigned = operators(np.int8(0)), operators(np.uint8(128))
allowed, chain = operators(np.int8(0), "session.qdqisint8allowed"), operators(np.int8(0), summed=False)
for name, seen in (("int8", signed), ("uint8", unsigned), ("int8, allowed", allowed), ("int8 without the sum", chain)):
    print(f"{name}: {dict(seen)}")
assert not signed["QLinearConv"] and not signed["QLinearAdd"], "int8 is computed in integers now"
assert unsigned["QLinearConv"] == allowed["QLinearConv"] == chain["QLinearConv"] == 2
assert unsigned["QLinearAdd"] == allowed["QLinearAdd"] == 1
PYTHON
