#!/usr/bin/env bash
# pnnx 20261020: a Split without the sizes of its parts, which ONNX permits (they are equal then), becomes a Slice of ncnn
# without any of its parameters. pnnx prints "ignore Slice split_0 param", and its exit code is 0.
#
# Seen: the line of the Slice ends after its blobs; with the sizes said it ends in -23300=2,2,2 1=1.
#
# It matters for [route] with groups=2, of which yolov4-tiny has three: say the sizes, also where they are equal.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 numpy==2.4.6
# Its program alone: as a Python package it wants torch.
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps pnnx==20261020
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import subprocess
import sys
from pathlib import Path

import numpy as np
from onnx import checker, helper, numpy_helper, save

(program,) = Path(sys.prefix).glob("lib/python*/site-packages/pnnx/pnnx")
program.chmod(0o755)
found = {}
for name, sizes in (("without", []), ("with", ["sizes"])):
    graph = helper.make_graph(
        [
            helper.make_node("Relu", ["x"], ["r"]),
            helper.make_node("Split", ["r", *sizes], ["a", "b"], axis=1),
            helper.make_node("Neg", ["b"], ["out"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", 1, [1, 4, 8, 8])],
        [helper.make_tensor_value_info("out", 1, [1, 2, 8, 8])],
        [numpy_helper.from_array(np.array([2, 2]), one) for one in sizes],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model, full_check=True)
    save(model, f"{name}.onnx")
    subprocess.run([program, f"{name}.onnx", "inputshape=[1,4,8,8]f32", "fp16=0"], check=True, capture_output=True)
    lines = Path(f"{name}.ncnn.param").read_text().splitlines()
    (found[name],) = (line.split()[4:] for line in lines if line.startswith("Slice"))
    print(f"Slice, sizes {name}: {' '.join(found[name])}")
assert [one for one in found["without"] if "=" in one] == []
assert [one for one in found["with"] if "=" in one] == ["-23300=2,2,2", "1=1"]
PYTHON
