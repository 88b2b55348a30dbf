#!/usr/bin/env bash
# openvino 2026.4.1 (onnxruntime 1.31.1 and numpy 2.4.6 beside it): the CPU plugin gives a padded, strided 1x1 convolution
# another size, and other numbers, where another convolution stands directly before it.
#
# A 1x1 convolution with a stride of 2 takes every second row and column of its padded input. Behind another convolution
# OpenVINO seems to move the stride into that one, to before the padding. Of 8x8 it makes 6x6 instead of (8 + 2 - 1) // 2 + 1 = 5;
# with a LeakyRelu between the two the answer is right.
#
# Seen: conv, conv: numpy (5, 5), ONNX Runtime (5, 5), OpenVINO (6, 6); conv, leaky, conv: (5, 5) of all three.
#
# It matters to those who export a cfg where a [convolutional] with activation=linear is followed by one with size=1 stride=2
# padding=1: nothing warns, and boxes move. Pad by an operator of its own, or keep an activation between.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check openvino==2026.4.1 onnxruntime==1.31.1 onnx==1.23.2 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime
import openvino
from onnx import checker, helper, numpy_helper

numbers = np.random.default_rng(0)
picture = numbers.standard_normal((1, 3, 8, 8)).astype(np.float32)
first, second = (numbers.standard_normal(shape).astype(np.float32) for shape in ((4, 3, 1, 1), (4, 4, 1, 1)))


def by_hand(slope):
    middle = np.einsum("oi,nihw->nohw", first[:, :, 0, 0], picture)
    middle = np.where(middle > 0, middle, slope * middle)
    padded = np.pad(middle, ((0, 0), (0, 0), (1, 1), (1, 1)))[:, :, ::2, ::2]
    return np.einsum("oi,nihw->nohw", second[:, :, 0, 0], padded)


def model(slope):
    nodes = [helper.make_node("Conv", ["x", "first"], ["c"])]
    if slope != 1:
        nodes.append(helper.make_node("LeakyRelu", ["c"], ["a"], alpha=slope))
    nodes.append(helper.make_node("Conv", [nodes[-1].output[0], "second"], ["y"], pads=[1] * 4, strides=[2, 2]))
    weights = [numpy_helper.from_array(first, "first"), numpy_helper.from_array(second, "second")]
    ends = [helper.make_tensor_value_info(*end) for end in (("x", 1, [1, 3, 8, 8]), ("y", 1, [1, 4, 5, 5]))]
    made = helper.make_model(
        helper.make_graph(nodes, "g", ends[:1], ends[1:], weights),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    checker.check_model(made, full_check=True)
    return made.SerializeToString()


def answers(slope):
    made = model(slope)
    session = onnxruntime.InferenceSession(made, providers=["CPUExecutionProvider"])
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(made), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return by_hand(slope), session.run(None, {"x": picture})[0], compiled(picture)[0]


for name, slope in (("conv, conv", 1), ("conv, leaky, conv", 0.1)):
    hand, ort, vino = answers(slope)
    print(f"{name}: numpy {hand.shape[2:]}, ONNX Runtime {ort.shape[2:]}, OpenVINO {vino.shape[2:]}")
    assert np.allclose(hand, ort, atol=1e-5)
    if slope == 1:
        assert vino.shape != hand.shape, "OpenVINO agrees now"
    else:
        assert np.allclose(hand, vino, atol=1e-5)
PYTHON
