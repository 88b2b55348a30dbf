#!/usr/bin/env bash
# onnx2tf 2.6.9: the file that is to be converted is written over with a simplified one, though -o names another folder.
#
# Seen: the SHA-256 of model.onnx differs afterwards.
#
# It matters where the file is the only copy, where a checksum was published of it, and where it is converted a second time
# by another tool: convert a copy. Python 3.12; 700 MB.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.12 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnx2tf==2.6.9 ai-edge-litert==2.1.2 onnxsim==0.6.5 onnx==1.20.1 onnxruntime==1.26.0 numpy==2.2.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
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
path = Path("model.onnx")
save(model, path)
before = hashlib.sha256(path.read_bytes()).hexdigest()
command = [Path(sys.executable).with_name("onnx2tf"), "-i", path, "-o", "converted", "-n"]
subprocess.run(command, check=True, capture_output=True)
after = hashlib.sha256(path.read_bytes()).hexdigest()
print(f"{before[:12]} before, {after[:12]} after")
assert before != after, "the input is left alone now"
PYTHON
