#!/usr/bin/env bash
# onnxconverter-common 1.16.0 (onnx 1.23.2, onnxruntime 1.31.1 beside it): convert_float_to_float16 of a graph with a Cast to
# float32 writes a file that ONNX Runtime does not load.
#
# It appears to declare the Cast's result as float16 and to leave its attribute `to` at float32. ONNX Runtime's own copy of the
# converter (onnxruntime.transformers.float16) writes one that loads.
#
# Seen: "Type (tensor(float16)) of output arg (...) of node (...) does not match expected type (tensor(float))".
#
# It matters for detectors of any size: their grids are counted as integers from the input's shape and cast to float. Files of one
# size have constants there, and convert.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxconverter-common==1.16.0 onnx==1.23.2 onnxruntime==1.31.1 \
    numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnxconverter_common.float16 import convert_float_to_float16

ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 4]) for name in "xy"]
nodes = [
    helper.make_node("Shape", ["x"], ["sides"], "shape"),
    helper.make_node("Cast", ["sides"], ["numbers"], "cast", to=TensorProto.FLOAT),
    helper.make_node("ReduceMax", ["numbers"], ["largest"], "max"),
    helper.make_node("Mul", ["x", "largest"], ["y"], "mul"),
]
model = helper.make_model(
    helper.make_graph(nodes, "g", ends[:1], ends[1:]), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
)
onnx.checker.check_model(model, full_check=True)
onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
half = convert_float_to_float16(onnx.shape_inference.infer_shapes(model), keep_io_types=True)
try:
    onnxruntime.InferenceSession(half.SerializeToString(), providers=["CPUExecutionProvider"])
except Exception as error:
    print(next(line for line in str(error).splitlines() if line.strip()))
    assert "does not match expected type" in str(error)
else:
    raise SystemExit("the converted file loads now")
PYTHON
