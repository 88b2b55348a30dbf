"""What TensorRT's parser takes: every exported graph keeps to it, and what does not is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from darknet_compat.definition.lower import load_spec
from darknet_compat.errors import ExportError
from darknet_compat.export.onnx.checks import answers
from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.export.onnx.half import to_half
from darknet_compat.export.onnx.opset import raise_opset
from darknet_compat.export.tensorrt.candidates import box_count, limit_candidates
from darknet_compat.export.tensorrt.parser_checks import problems, shorten_ends
from darknet_compat.network.network import Network
from tests.conftest import Original
from tests.export.onnx.test_layers import CASES
from tests.export.support import SHIPPED, pictures, run_graph, seeded, small
from tests.inference.support import region


def forms_of(network: Network, path: Path, **options: object) -> list[str]:
    """The problems of a network's graph, in float32, in float16 and with its candidates limited."""
    export_onnx(network, path, **options)  # type: ignore[arg-type]
    model = onnx.load(path)
    values = [numpy_helper.to_array(t) for t in model.graph.initializer if t.data_type == TensorProto.INT64]
    assert all((abs(array) < 2**31).all() for array in values), "TensorRT 8.6 warns of these"
    found = problems(model) + problems(to_half(model))
    limit_candidates(model, 16, (1, *network.spec.net.input[:3]))
    return found + problems(model)


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_layer(name: str, tmp_path: Path) -> None:
    shape = (8 if "reorg" in name else 4, 12, 16)
    assert forms_of(small(CASES[name], shape), tmp_path / "m.onnx", outputs="heads") == []


def test_ends_of_slices_are_made_to_fit_32_bits(tmp_path: Path) -> None:
    export_onnx(small(CASES["crop"], (4, 12, 16)), tmp_path / "m.onnx", outputs="heads")
    model = onnx.load(tmp_path / "m.onnx")
    (node,) = (node for node in model.graph.node if node.op_type == "Slice")
    end = next(tensor for tensor in model.graph.initializer if tensor.name == node.input[2])
    end.CopyFrom(numpy_helper.from_array(np.array([2**63 - 1, -(2**63)]), end.name))
    shorten_ends(model)
    assert numpy_helper.to_array(end).tolist() == [2**31 - 1, 1 - 2**31]


@pytest.mark.parametrize(("name", "input"), [("yolov3-tiny", "float"), ("tiny", "uint8")])
def test_networks(name: str, input: str, tmp_path: Path) -> None:
    assert forms_of(seeded(SHIPPED / f"{name}.cfg", (96, 96)), tmp_path / "m.onnx", input=input) == []


def test_a_split_head_with_a_tree(tmp_path: Path) -> None:
    ordered = sorted(range(4, 300), key=lambda i: i % 4)
    (tmp_path / "its.tree").write_text(
        "".join(f"n{i} -1\n" for i in range(4)) + "".join(f"n{i} {i % 4}\n" for i in ordered)
    )
    (tmp_path / "many.cfg").write_text(region(300, "softmax=1\ntree=its.tree"))
    assert forms_of(seeded(tmp_path / "many.cfg"), tmp_path / "m.onnx", candidates=60) == []


@pytest.mark.slow
def test_every_feed_forward_network_that_the_original_ships(original: Original, tmp_path: Path) -> None:
    tried = 0
    for cfg in sorted([*original.cfg.glob("*.cfg"), *SHIPPED.glob("*.cfg")]):
        network = Network(load_spec(cfg)).eval()
        try:
            found = forms_of(network, tmp_path / "m.onnx", outputs="boxes" if answers(network.spec) else "heads")
        except ExportError:
            continue  # a recurrent one
        assert found == [], cfg.name
        tried += 1
    assert tried >= 50


def graph_of(*nodes: onnx.NodeProto, **constants: np.ndarray) -> onnx.ModelProto:
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4]),
        helper.make_tensor_value_info("k", TensorProto.INT64, [1]),
        helper.make_tensor_value_info("u", TensorProto.UINT8, ["N", 4]),
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    return helper.make_model(helper.make_graph(list(nodes), "g", inputs, outputs, tensors))


def node(operator: str, *inputs: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(operator, list(inputs), ["y", "z"] if operator == "TopK" else ["y"], "n", **attributes)


ONE, ZERO = np.float32(1), np.int8(0)


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (graph_of(node("TopK", "x", "k")), "n: TopK whose input 1 is computed"),
        (graph_of(node("TopK", "x", "c"), c=np.array([3841])), "n: TopK of 3841, more than 3840"),
        (graph_of(node("TopK", "x", "c", sorted=0), c=np.array([2])), "n: TopK that is not sorted"),
        (graph_of(node("CumSum", "x", "k")), "n: CumSum whose input 1 is computed"),
        (graph_of(node("ReduceSum", "x", "k")), "n: ReduceSum whose input 1 is computed"),
        (graph_of(node("ScatterND", "x", "k", "x", reduction="add")), "n: ScatterND with reduction"),
        (graph_of(node("Conv", "x", "x")), "n: Conv whose input 1 is computed"),
        (graph_of(node("Transpose", "u")), "n: Transpose reads uint8 pixels"),
        (graph_of(node("Cast", "x", to=TensorProto.DOUBLE)), "n: Cast to double"),
        (graph_of(node("Range", "x", "x", "c"), c=ONE), "n: Range of floats that are computed"),
        (graph_of(node("Resize", "x", "", "c", mode="cubic"), c=ONE), "n: Resize of mode cubic, half_pixel"),
        (graph_of(node("Einsum", "x", equation="ij->ji")), "n: the operator Einsum"),
        (graph_of(node("QuantizeLinear", "x", "s", "z"), s=ONE, z=np.uint8(0)), "n: QuantizeLinear of uint8"),
        (graph_of(node("QuantizeLinear", "x", "s", "z"), s=ONE, z=np.int8(3)), "whose zero point is not 0"),
        (
            graph_of(node("QuantizeLinear", "x", "s", "z"), s=np.float16(1e-9), z=ZERO),
            "n: QuantizeLinear with a scale of 0",
        ),
        (graph_of(node("QuantizeLinear", "x", "s"), s=ONE), "n: QuantizeLinear of uint8: it has no zero point"),
        (graph_of(node("Identity", "c"), c=np.float64(1)), "c: values of type double"),
        (graph_of(node("QuantizeLinear", "x", "s", "z"), s=ONE, z=ZERO), None),
        (graph_of(node("TopK", "x", "c"), c=np.array([3840])), None),
    ],
)
def test_what_it_would_refuse_is_named(model: onnx.ModelProto, problem: str | None) -> None:
    found = problems(model)
    assert (len(found) == 1 and problem in found[0]) if problem else not found, found


def test_boxes_are_counted(tmp_path: Path) -> None:
    export_onnx(seeded(SHIPPED / "yolov3-tiny.cfg", (96, 96)), tmp_path / "m.onnx", sizes=(64, 128))
    model = onnx.load(tmp_path / "m.onnx")
    for height, width in ((96, 96), (64, 128)):
        expected = 3 * (height // 32 * (width // 32) + height // 16 * (width // 16))
        assert box_count(model, (1, 3, height, width)) == expected
    assert not limit_candidates(model, 135, (1, 3, 96, 96))
    assert limit_candidates(model, 134, (1, 3, 96, 96))
    assert not limit_candidates(model, 10, (1, 3, 96, 96))  # it has been done
    onnx.checker.check_model(model, full_check=True)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_the_best_candidates_are_the_best(engine: str, tmp_path: Path) -> None:
    export_onnx(seeded(SHIPPED / "yolov3-tiny.cfg", (96, 96)), tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx")
    assert limit_candidates(model, 20, (1, 3, 96, 96))
    raise_opset(model, 19)
    onnx.save(model, tmp_path / "best.onnx")
    images = pictures(3, 96, 96)
    every = run_graph("onnxruntime", tmp_path / "m.onnx", images)
    found = dict(zip(("boxes", "objectness", "classes", "every_objectness"),
                     run_graph(engine, tmp_path / "best.onnx", images).values(), strict=True))  # fmt: skip
    order = np.argsort(-every["objectness"], 1, kind="stable")[:, :20]
    np.testing.assert_allclose(found["objectness"], np.take_along_axis(every["objectness"], order, 1), rtol=1e-4)
    np.testing.assert_allclose(found["every_objectness"], every["objectness"], rtol=1e-3, atol=1e-5)
    for name in ("boxes", "classes"):
        expected = np.take_along_axis(every[name], order[..., None], 1)
        assert np.abs(found[name] - expected).max() < 1e-3 * np.abs(expected).max()
