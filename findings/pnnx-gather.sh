#!/usr/bin/env bash
# pnnx 20261020 (onnx 1.23.2 beside it): a Gather with several indices, which puts an axis in another order, becomes a crop of the
# first index alone, without a word.
#
# It appears to take every Gather of constant indices for the selection of one: of the five that were asked for index 2 is left,
# and the axis is gone.
#
# Seen: Gather(axis=2, [2, 0, 3, 1, 4]) -> Crop from 2 to 3 and Squeeze.
#
# It matters for heads whose channels or classes are put into another order, such as YOLO9000's tree: the file converts, loads, and
# its scores are others.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 numpy==2.4.6
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps pnnx==20261020
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnx
from onnx import helper, numpy_helper

ends = [helper.make_tensor_value_info(name, 1, [1, 3, 5]) for name in "xy"]
nodes = [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Gather", ["r", "order"], ["y"], axis=2)]
order = numpy_helper.from_array(np.array([2, 0, 3, 1, 4]), "order")
graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [order])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model, full_check=True)
onnx.save(model, "m.onnx")
PYTHON
# The program itself: its wrapper in bin/ imports torch.
"$folder"/venv/lib/python*/site-packages/pnnx/pnnx m.onnx "inputshape=[1,3,5]f32" fp16=0 >log 2>&1 || { tail -3 log; exit 1; }
for layer in Crop Squeeze; do
    grep "^$layer " m.ncnn.param || { echo "the Gather is something else now"; exit 1; }
done
