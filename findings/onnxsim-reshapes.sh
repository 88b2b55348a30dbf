#!/usr/bin/env bash
# onnxsim 0.6.5: of two Reshapes one after another it drops the first. A 0 in the shape of the second, which keeps the side at
# its place, then keeps another side. simplify() says that it has checked the result.
#
# Seen: [2, 6, 4] through Reshape (0, 4, 6) and Reshape (0, 0, -1, 2) is [2, 4, 3, 2], and [2, 6, 2, 2] once simplified;
# "checked" is True. With 4 in place of the second 0 both are [2, 4, 3, 2].
#
# It matters to whoever cuts a YOLO's head by Reshapes with zeros and simplifies the file, or converts it by a tool that does
# so first (onnx2tf). Write the side itself, or -1, where it is an earlier Reshape that has made it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnxsim==0.6.5 onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime
import onnxsim
from onnx import checker, helper, numpy_helper


def shape_of(model):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.zeros((2, 6, 4), np.float32)})[0].shape


for second, expected in (([0, 0, -1, 2], (2, 6, 2, 2)), ([0, 4, -1, 2], (2, 4, 3, 2))):
    shapes = {"first": np.array([0, 4, 6]), "second": np.array(second)}
    graph = helper.make_graph(
        [
            helper.make_node("Relu", ["x"], ["r"]),
            helper.make_node("Reshape", ["r", "first"], ["y"]),
            helper.make_node("Reshape", ["y", "second"], ["out"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", 1, [2, 6, 4])],
        [helper.make_tensor_value_info("out", 1, [2, 4, 3, 2])],
        [numpy_helper.from_array(shape, name) for name, shape in shapes.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model, full_check=True)
    simple, checked = onnxsim.simplify(model)
    print(f"{second}: {shape_of(model)}, simplified {shape_of(simple)}, checked {checked}")
    assert shape_of(model) == (2, 4, 3, 2)
    assert checked and shape_of(simple) == expected
PYTHON
