#!/usr/bin/env bash
# MNN 3.6.1 (onnx 1.23.2, onnxruntime 1.31.1 beside it): in "high" precision a plain 3x3 convolution of 256 channels is off by
# a thousandth of its largest value, 500 times as far as with the hint WINOGRAD_MEMORY_LEVEL at 0.
#
# At the hint's default, 3, it appears to compute in large Winograd tiles, whose sums cancel; at 0 in small ones. The hint's name
# speaks of memory, not of numbers.
#
# Seen: 1.0e-3 of the largest value by default, 2.1e-6 with the hint, of ONNX Runtime's answer.
#
# It matters where a converted detector is held against the original: such convolutions are most of what YOLOv2 and YOLOv3 have,
# and the errors of several add up beyond what is usually allowed for float32.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check mnn==3.6.1 onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import _tools  # what the command `mnnconvert` calls
import MNN
import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

shape = (1, 256, 26, 26)
random = np.random.default_rng(0)
weights = (random.standard_normal((256, 256, 3, 3)) * np.sqrt(2 / (9 * 256))).astype(np.float32)
images = random.random(shape, np.float32)
ends = [helper.make_tensor_value_info(name, 1, shape) for name in "xy"]
node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
graph = helper.make_graph([node], "g", ends[:1], ends[1:], [numpy_helper.from_array(weights, "w")])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model, full_check=True)
onnx.save(model, "m.onnx")
_tools.mnnconvert(["mnnconvert", "-f", "ONNX", "--modelFile", "m.onnx", "--MNNModel", "m.mnn", "--bizCode", "none"])
expected = onnxruntime.InferenceSession("m.onnx", providers=["CPUExecutionProvider"]).run(None, {"x": images})[0]


def error(level):
    """The largest difference, as a part of the largest value; `level` of WINOGRAD_MEMORY_LEVEL, None for the default."""
    net = MNN.Interpreter("m.mnn")
    if level is not None:
        net.setSessionHint(3, level)
    session = net.createSession({"backend": "CPU", "precision": "high", "numThread": 1})
    kind, order = MNN.Halide_Type_Float, MNN.Tensor_DimensionType_Caffe
    net.getSessionInput(session, "x").copyFrom(MNN.Tensor(shape, kind, images, order))
    net.runSession(session)
    found = MNN.Tensor(shape, kind, np.zeros(shape, np.float32), order)
    net.getSessionOutput(session, "y").copyToHostTensor(found)
    return np.abs(np.array(found.getData(), np.float32).reshape(shape) - expected).max() / np.abs(expected).max()


default, small = error(None), error(0)
print(f"of the largest value: {default:.1e} by default, {small:.1e} with the hint at 0")
assert small < 2e-5, "the hint does not help any more"
assert default > 2e-4, "the default is as exact now"
PYTHON
