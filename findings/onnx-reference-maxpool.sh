#!/usr/bin/env bash
# onnx 1.23.2 (onnxruntime 1.31.1 beside it): ReferenceEvaluator takes MaxPool's pads in the wrong order where they differ.
#
# pads=[0, 0, 1, 1] is one row below and one column to the right: begins first, then ends. The reference evaluator answers as if
# it were two columns and no row: of 5x5, by a window of 2 and stride 1, it makes 4x6. onnx's own shape inference says 5x5.
#
# Seen: ONNX Runtime (5, 5), as numpy; reference evaluator (4, 6).
#
# It matters for the [maxpool] with size=2 stride=1 that YOLOv2-tiny and YOLOv3-tiny have, which Darknet pads so: who checks an
# exported file against onnx's reference finds a fault that is not the file's. A Pad of -inf before a MaxPool without pads, or
# another runtime, gives the judge back.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime
from onnx import checker, helper
from onnx.reference import ReferenceEvaluator


def both(pictures, operator, **attributes):
    """The operator's answer by ONNX Runtime and by the reference evaluator."""
    ends = [helper.make_tensor_value_info(name, 1, pictures.shape) for name in "xy"]
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"], **attributes)], "g", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": pictures})[0], ReferenceEvaluator(model).run(None, {"x": pictures})[0]



pictures = np.arange(1, 26, dtype=np.float32).reshape(1, 1, 5, 5)
padded = np.pad(pictures[0, 0], ((0, 1), (0, 1)), constant_values=-np.inf)
hand = np.lib.stride_tricks.sliding_window_view(padded, (2, 2)).max((2, 3))
runtime, reference = both(pictures, "MaxPool", kernel_shape=[2, 2], strides=[1, 1], pads=[0, 0, 1, 1])
print(f"numpy {hand.shape}, ONNX Runtime {runtime.shape[2:]}, reference evaluator {reference.shape[2:]}")
assert np.array_equal(runtime[0, 0], hand)
assert reference.shape[2:] == (4, 6), "the reference evaluator pads differently now"
PYTHON
