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
from darknet_compat.export.quantize.biases import biases_of
from darknet_compat.export.quantize.fused import fused
from darknet_compat.export.quantize.quantize import quantize_onnx
from darknet_compat.export.quantize.ranges import LEVELS, Signed
from darknet_compat.export.quantize.roundings import common
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
    assert values[after.input[1]] == values[ahead.input[1]] and values[after.input[2]] == values[ahead.input[2]] < 128


def test_biases_are_integers_in_the_units_of_the_products(files: tuple[Path, Path]) -> None:
    model, biases = made(files[1]), (read_artefact(files[1]).quantization or {})["biases"]
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    count = 0
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and values.get(node.input[0], np.zeros(0)).dtype == np.int32:
            integers, units = (values[name] for name in node.input[:2])
            expected = biases[node.name.removesuffix("/bias/DequantizeLinear")]
            np.testing.assert_allclose(integers * units, expected, atol=units.max())
            count += 1
    assert count == 4


@given(st.integers(0, 10**6), st.floats(0.2, 40), st.booleans())
def test_roundings_around_an_activation_are_no_worse_than_any_with_the_zero_in_the_middle(
    seed: int, below: float, leaky: bool
) -> None:
    """Counted here value by value: round, activate, round again."""
    random = np.random.default_rng(seed)
    given = np.concatenate([np.abs(random.normal(0, 1, 500)), -np.abs(random.normal(0, below, 500))])
    slope = 0.1 if leaky else 1.0
    values, seen = np.where(given < 0, slope * given, given), Signed()
    seen.add(values)
    scale, zero, before = common([(seen, slope, "x" if leaky else None)])

    def error(scale: float, before: int, after: int) -> float:
        found = scale * np.clip(np.rint(given / scale), -before, 255 - before)
        found = np.where(found < 0, slope * found, found)
        found = scale * np.clip(np.rint(found / scale), -after, 255 - after)
        return float(((found - values) ** 2).sum())

    found = error(scale, before["x"] if leaky else zero, zero)
    assert 0 <= zero <= before.get("x", 255) <= 255
    largest = np.abs(values).max() / LEVELS
    assert found <= 1.1 * min(error(largest * share, 128, 128) for share in (0.3, 0.5, 0.7, 1.0)) + 1e-4


def test_tensors_that_are_joined_have_one_rounding_and_each_its_own_before() -> None:
    """A small part, and one whose values reach a hundred times as far below zero."""
    random = np.random.default_rng(0)
    small, deep = Signed(), Signed()
    small.add(random.normal(0, 0.1, 1000))
    deep.add(np.concatenate([np.abs(random.normal(0, 1, 1000)), -np.abs(random.normal(0, 1, 1000))]))
    scale, zero, before = common([(small, 1.0, None), (deep, 0.1, "deep")])
    assert before.keys() == {"deep"} and before["deep"] > zero > 0.3 / scale * 0.5
    assert common([(Signed(), 0.1, "x")]) == (1.0, 128, {"x": 128})


def test_biases_take_back_what_rounding_adds(tmp_path: Path) -> None:
    """On the pictures that they come from each integer convolution's mean is that of float32, to a tenth of what it
    departs without."""
    export_onnx(small(LAYERS, (3, 32, 32)), tmp_path / "m.onnx", sizes="fixed")
    quantize_onnx(tmp_path / "m.onnx", tmp_path / "q.onnx", [pictures(3, 32, 32, 4)], None)
    said = read_artefact(tmp_path / "q.onnx").quantization or {}
    model, exact = onnx.load(tmp_path / "q.onnx"), onnx.load(tmp_path / "m.onnx")
    names = [node.output[0] for node in exact.graph.node if node.name in said["biases"]]
    assert len(names) == 5
    plain = said | {"biases": {name: value.tolist() for name, value in biases_of(exact).items()}}

    def means(graph: onnx.ModelProto) -> list[np.ndarray]:
        graph.graph.output.extend(onnx.helper.make_tensor_value_info(name, 1, None) for name in names)
        session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
        return [value.mean((0, 2, 3)) for value in session.run(names, {"images": pictures(3, 32, 32, 4)})]

    wanted, with_them, without = means(exact), means(fused(model, said)), means(fused(model, plain))
    for right, better, worse in zip(wanted, with_them, without, strict=True):
        assert np.abs(better - right).mean() < 0.5 * np.abs(worse - right).mean()
