#!/usr/bin/env bash
# onnx2tf 2.6.9, LiteRT 2.1.2: of the two files that onnx2tf writes, LiteRT does not open the one in float16: its
# convolutions read float16, and its kernel for CONV_2D takes float32 and integers. (TensorFlow's own converter keeps
# float32 between layers and weights in float16, which LiteRT opens.)
#
# Seen: _float32.tflite runs; _float16.tflite: RuntimeError, "... Node number 0 (CONV_2D) failed to prepare."
#
# It matters to whoever ships the smaller file unseen, as it is written without being asked for. Python 3.12; 700 MB.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.12 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnx2tf==2.6.9 ai-edge-litert==2.1.2 onnxsim==0.6.5 onnx==1.20.1 onnxruntime==1.26.0 numpy==2.2.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import subprocess
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from onnx import checker, helper, numpy_helper, save

weights = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
graph = helper.make_graph(
    [helper.make_node("Conv", ["images", "w"], ["c"], pads=[1, 1, 1, 1]), helper.make_node("Relu", ["c"], ["out"])],
    "g",
    [helper.make_tensor_value_info("images", 1, [1, 3, 8, 8])],
    [helper.make_tensor_value_info("out", 1, [1, 4, 8, 8])],
    [numpy_helper.from_array(weights, "w")],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
checker.check_model(model, full_check=True)
save(model, "model.onnx")
command = [Path(sys.executable).with_name("onnx2tf"), "-i", "model.onnx", "-o", "converted", "-n"]
subprocess.run(command, check=True, capture_output=True)
Interpreter("converted/model_float32.tflite").allocate_tensors()
print("float32: opened")
try:
    Interpreter("converted/model_float16.tflite").allocate_tensors()
except RuntimeError as error:
    print(f"float16: {error}")
    assert "CONV_2D" in str(error)
else:
    raise SystemExit("float16: opened now")
PYTHON
