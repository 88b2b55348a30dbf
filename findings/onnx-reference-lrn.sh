#!/usr/bin/env bash
# onnx 1.23.2 (onnxruntime 1.31.1 beside it): ReferenceEvaluator normalises as many channels of an LRN as there are pictures
# in the batch, and returns the others as they came.
#
# The sums of squares appear to be taken for the first N channels, N being the batch, instead of for all; the rest is divided by 1.
# With as many pictures as channels the answer is right.
#
# Seen: of 6 channels right with 1 picture: 1, with 2: 2, with 6: 6; ONNX Runtime agrees with numpy in all.
#
# It matters for [normalization], which AlexNet-like cfgs have and which exports as LRN: checked with onnx's reference, on one
# picture as is usual, a right file looks wrong in every channel but the first.
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



for batch in (1, 2, 6):
    pictures = np.random.default_rng(0).standard_normal((batch, 6, 2, 2)).astype(np.float32) * 3
    squares = [(pictures[:, max(0, channel - 2) : channel + 3] ** 2).sum(1) for channel in range(6)]
    hand = pictures / (1 + np.stack(squares, 1) / 5) ** 0.75
    runtime, reference = both(pictures, "LRN", size=5, alpha=1.0, beta=0.75, bias=1.0)
    right = [np.allclose(reference[:, channel], hand[:, channel], atol=1e-5) for channel in range(6)]
    print(f"{batch} in the batch: channels right {sum(right)} of 6")
    assert np.allclose(runtime, hand, atol=1e-5)
    assert right == [channel < batch for channel in range(6)], "the reference evaluator normalises other channels now"
    assert np.array_equal(reference[:, batch:], pictures[:, batch:])
PYTHON
