#!/usr/bin/env bash
# tract 0.23.9: outputs of an ONNX file are called after the nodes that make them, not as the file calls them.
#
# Seen: a file with the outputs "boxes" and "scores" has "cut" and "relu" in tract. Their order is the file's.
#
# It matters to whoever asks a detector for its outputs by name: give each node the name of its output, or go by the order.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tract==0.23.9 onnx==1.23.2 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import tract
from onnx import checker, helper, save

graph = helper.make_graph(
    [helper.make_node("Relu", ["x"], ["scores"], name="relu"), helper.make_node("Neg", ["x"], ["boxes"], name="cut")],
    "g",
    [helper.make_tensor_value_info("x", 1, [1, 2])],
    [helper.make_tensor_value_info(name, 1, [1, 2]) for name in ("boxes", "scores")],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
checker.check_model(model, full_check=True)
save(model, "model.onnx")
read = tract.onnx().load("model.onnx")
names = [read.output_name(number) for number in range(read.output_count())]
print(f"in the file {[one.name for one in graph.output]}, in tract {names}")
assert names == ["cut", "relu"]
PYTHON
