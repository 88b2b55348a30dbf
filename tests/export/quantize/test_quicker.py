"""What ONNX Runtime is given in another order, or as other nodes, gives the very same bytes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.export.quantize import fused
from darknet_compat.export.quantize.quantize import allowed, quantizable, quantize_onnx
from darknet_compat.export.quantize.quicker import cut_out, pointwise, pooled_first
from darknet_compat.runtime.exported import read_artefact
from darknet_compat.runtime.onnxruntime import OnnxRuntime
from tests.export.quantize.test_fused import CONV
from tests.export.support import pictures, small

LAYERS = (
    CONV.format(8, 3, "leaky")
    + CONV.format(12, 3, "leaky")
    + "[maxpool]\nsize=2\nstride=2\n[maxpool]\nsize=2\nstride=1\n"
    + CONV.format(16, 3, "leaky")
    + "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n"
    + CONV.format(8, 3, "relu")
    + "[maxpool]\nsize=2\nstride=2\n"
    + CONV.format(16, 3, "leaky")
    + "[convolutional]\nfilters=21\nsize=1\nactivation=linear\n"
    + "[region]\nnum=3\nclasses=2\nanchors=1,2,3,4,.5,.7\nsoftmax=1\n"
)
IMAGES = pictures(3, 32, 32, 4)


@pytest.fixture(scope="module")
def int8(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quicker")
    export_onnx(small(LAYERS, (3, 32, 32)), folder / "m.onnx", sizes="fixed")
    quantize_onnx(folder / "m.onnx", folder / "q.onnx", [IMAGES], None)
    return folder / "q.onnx"


def test_the_answers_are_the_same_to_the_bit(int8: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = OnnxRuntime(int8).infer(IMAGES)
    for name, as_it_is in (
        ("pooled_first", lambda nodes, outputs, roundings: dict(roundings)),
        ("cut_out", lambda nodes, values: None),
    ):
        monkeypatch.setattr(fused, name, as_it_is)
        plain = OnnxRuntime(int8).infer(IMAGES)
        for output, values in quick.items():
            np.testing.assert_array_equal(values, plain[output])


def test_what_is_given_to_the_runtime(int8: Path) -> None:
    """Pooled before activating, also twice in a row; a Slice for the Split."""
    model = fused.fused(onnx.load(int8), read_artefact(int8).quantization or {})
    onnx.checker.check_model(model, full_check=True)
    made_by = {name: node for node in model.graph.node for name in node.output}
    kinds = Counter(node.op_type for node in model.graph.node)
    assert [node.name.split("/")[0] for node in model.graph.node if node.op_type == "Split"] == ["10_region"]
    assert kinds["MaxPool"] == 3

    def source(node: onnx.NodeProto) -> str:
        while (node := made_by[node.input[0]]).op_type in ("QuantizeLinear", "DequantizeLinear"):
            pass
        return node.op_type

    pools = [node for node in model.graph.node if node.op_type == "MaxPool"]
    activations = [node for node in model.graph.node if node.op_type in ("LeakyRelu", "Relu")]
    assert [source(node) for node in pools] == ["Conv", "MaxPool", "Conv"]
    assert [source(node) for node in activations] == ["Conv", "MaxPool", "Conv", "MaxPool", "Conv"]


def test_what_is_read_elsewhere_or_given_is_activated_first() -> None:
    def nodes() -> list[onnx.NodeProto]:
        return [
            helper.make_node("LeakyRelu", ["conv"], ["activated"], alpha=0.1),
            helper.make_node("MaxPool", ["activated"], ["pooled"], kernel_shape=[2, 2]),
        ]

    found = {"conv": (1.0, 7), "activated": (1.0, 1), "pooled": (1.0, 1)}
    for more, outputs, roundings in (
        ([helper.make_node("Neg", ["activated"], ["x"])], (), found),
        ([], ("pooled",), found),
        ([], (), {"pooled": (1.0, 1)}),
    ):
        graph = nodes() + more
        assert pooled_first(graph, outputs, roundings) == roundings
        assert [node.op_type for node in graph[:2]] == ["LeakyRelu", "MaxPool"]
    graph = nodes()
    assert pooled_first(graph, (), found) == {"conv": (1.0, 7), "activated": (1.0, 7), "pooled": (1.0, 1)}
    assert [node.op_type for node in graph] == ["MaxPool", "LeakyRelu"]
    assert [node.output[0] for node in graph] == ["activated", "pooled"]


def test_a_split_of_which_all_is_read_stays() -> None:
    sizes = {"sizes": numpy_helper.from_array(np.array([2, 3, 4]), "sizes")}
    for read, kind in ((("a", "b"), "Split"), (("b",), "Slice")):
        node = helper.make_node("Split", ["x", "sizes"], ["a", "b", "c"], "s", axis=1)
        values = dict(sizes)
        cut_out([node, *(helper.make_node("Neg", [name], [f"-{name}"]) for name in read)], values)
        assert node.op_type == kind
    assert [list(numpy_helper.to_array(values[name])) for name in node.input[1:]] == [[2], [5], [1]]
    assert list(node.output) == ["b"]


def test_which_convolutions_are_products(tmp_path: Path) -> None:
    """Those of 1 x 1 that nothing follows, which `--mixed` may have in integers."""
    plain = {"kernel_shape": [1, 1], "pads": [0, 0, 0, 0], "strides": [1, 1], "group": 1, "dilations": [1, 1]}
    assert pointwise(helper.make_node("Conv", ["x", "w"], ["y"], **plain))
    for name, value in (("kernel_shape", [1, 3]), ("pads", [0, 0, 0, 1]), ("strides", [2, 2]), ("group", 2)):
        assert not pointwise(helper.make_node("Conv", ["x", "w"], ["y"], **(plain | {name: value})))
    for size, more in ((1, 2), (3, 1)):
        layers = LAYERS.replace("filters=21\nsize=1", f"filters=21\nsize={size}\npad=1")
        export_onnx(small(layers, (3, 32, 32)), tmp_path / "m.onnx", sizes="fixed")
        model = onnx.load(tmp_path / "m.onnx")
        assert len(allowed(model)) == len(quantizable(model)) + more


def test_a_product_is_what_the_convolution_is(int8: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its last convolution in integers, the runtime's answers are those of the same rounded values in float32."""
    from darknet_compat.export.quantize import quantize

    monkeypatch.setattr(quantize, "quantizable", lambda model: allowed(model)[1:])
    quantize_onnx(int8.with_name("m.onnx"), tmp_path / "q.onnx", [IMAGES], None)
    said = read_artefact(tmp_path / "q.onnx").quantization or {}
    assert said["float32"]["onnxruntime"] == said["float32"]["file"] == ["0_convolutional/Conv"]
    whole = fused.fused(onnx.load(tmp_path / "q.onnx"), said)
    assert Counter(node.op_type for node in whole.graph.node)["MatMulIntegerToFloat"] == 1
    found = OnnxRuntime(tmp_path / "q.onnx").infer(IMAGES)
    monkeypatch.setattr(fused, "pointwise", lambda node: False)
    floats = OnnxRuntime(tmp_path / "q.onnx").infer(IMAGES)
    for output, values in found.items():
        np.testing.assert_allclose(values, floats[output], atol=1e-5)
    assert np.abs(found["classes"] - OnnxRuntime(int8).infer(IMAGES)["classes"]).max() > 1e-4
