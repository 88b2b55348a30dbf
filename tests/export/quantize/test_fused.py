"""The form that ONNX Runtime computes in integers: what is fused, which scales meet, and what stays as it is."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper

from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.export.quantize.fused import fused
from darknet_compat.export.quantize.quantize import quantize_onnx
from darknet_compat.export.quantize.ranges import LEVELS, Before
from darknet_compat.runtime.exported import read_artefact
from darknet_compat.runtime.onnxruntime import OnnxRuntime
from tests.export.support import pictures, small

CONV = "[convolutional]\nfilters={}\nsize={}\nstride=1\npad=1\nbatch_normalize=1\nactivation={}\n"
LAYERS = (
    CONV.format(8, 3, "leaky")
    + "[maxpool]\nsize=2\nstride=2\n"
    + CONV.format(12, 3, "leaky")
    + "[maxpool]\nsize=2\nstride=2\n"
    + CONV.format(16, 3, "relu")
    + CONV.format(16, 1, "linear")
    + "[route]\nlayers=-1,-2\n"
    + CONV.format(16, 3, "leaky")
    + "[convolutional]\nfilters=21\nsize=1\nactivation=linear\n"
    + "[region]\nnum=3\nclasses=2\nanchors=1,2,3,4,.5,.7\nsoftmax=1\n"
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("fused")
    export_onnx(small(LAYERS, (3, 32, 32)), folder / "m.onnx", sizes="fixed")
    quantize_onnx(folder / "m.onnx", folder / "q.onnx", [pictures(3, 32, 32, 4)], None)
    return folder / "m.onnx", folder / "q.onnx"


def made(file: Path) -> onnx.ModelProto:
    model = fused(onnx.load(file), read_artefact(file).quantization or {})
    onnx.checker.check_model(model, full_check=True)
    return model


def test_every_convolution_in_int8_is_computed_in_integers(files: tuple[Path, Path], tmp_path: Path) -> None:
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 4
    unwanted = ["QDQPropagationTransformer"]
    ort.InferenceSession(
        made(files[1]).SerializeToString(), options, ["CPUExecutionProvider"], disabled_optimizers=unwanted
    )
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node)
    assert kinds["QLinearConv"] == 4 and kinds["QLinearConcat"] == 1
    assert kinds["QLinearLeakyRelu"] == 2
    assert kinds["Conv"] + kinds["FusedConv"] == 2  # the first, and the one that gives boxes


def test_the_runtime_computes_so(files: tuple[Path, Path]) -> None:
    images = pictures(3, 32, 32, 3)
    exact, found = (OnnxRuntime(path).infer(images) for path in files)
    for name in ("objectness", "classes"):
        assert 0 < np.abs(found[name] - exact[name]).mean() < 0.01


def test_what_only_moves_values_has_one_scale_on_both_sides(files: tuple[Path, Path]) -> None:
    model = made(files[1])
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    behind = {node.input[0]: node for node in model.graph.node if node.op_type == "QuantizeLinear"}
    before = {node.output[0]: node for node in model.graph.node if node.op_type == "DequantizeLinear"}
    pools = [node for node in model.graph.node if node.op_type == "MaxPool"]
    assert len(pools) == 2 and pools[0].input[0] not in before  # the first is in float32: no integers come to it
    after, ahead = behind[pools[1].output[0]], before[pools[1].input[0]]
    assert values[after.input[1]] == values[ahead.input[1]] and values[after.input[2]] == 128


def test_biases_are_integers_in_the_units_of_the_products(files: tuple[Path, Path]) -> None:
    model, plain = made(files[1]), onnx.load(files[0])
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    exact = {tensor.name: numpy_helper.to_array(tensor) for tensor in plain.graph.initializer}
    biases = {node.name: node.input[2] for node in plain.graph.node if node.op_type == "Conv"}
    count = 0
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and values.get(node.input[0], np.zeros(0)).dtype == np.int32:
            integers, units = (values[name] for name in node.input[:2])
            expected = exact[biases[node.name.removesuffix("/bias/DequantizeLinear")]]
            np.testing.assert_allclose(integers * units, expected, atol=units.max())
            count += 1
    assert count == 4


@given(st.integers(0, 10**6), st.floats(0.5, 20))
def test_rounding_before_an_activation_is_no_worse_than_at_its_results_scale(seed: int, below: float) -> None:
    random = np.random.default_rng(seed)
    values = np.concatenate([np.abs(random.normal(0, 1, 500)), -np.abs(random.normal(0, below, 500))])
    before, scale = Before(), 3 / LEVELS
    before.add(values)

    def error(size: float, zero: int) -> float:
        exact = np.where(values < 0, 0.1 * values, values)
        found = size * np.clip(np.rint(values / size), -zero, 255 - zero)
        found = np.where(found < 0, 0.1 * found, found)
        found = scale * np.clip(np.rint(found / scale), -128, 127)
        return float(((found - exact) ** 2).sum())

    size, zero = before.rounding(scale, 0.1)
    assert 0 <= zero <= 255 and size >= scale
    assert error(size, zero) <= 1.05 * error(scale, 128) + 1e-4
    if below <= 1:
        assert (size, zero) == (scale, 128)  # nothing reaches further below than above
