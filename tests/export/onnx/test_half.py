"""The graph in float16: near the one in float32 in two runtimes, and in float32 where that matters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from darknet_compat.definition.lower import load_spec
from darknet_compat.definition.weights.network_weights import StoredWeights
from darknet_compat.errors import ExportError
from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.export.onnx.half import HEADS, PRODUCTS, layer_keeps_single, layer_type, to_half
from darknet_compat.heads.output_layouts import LAYOUTS
from darknet_compat.inference.detector import Detector
from darknet_compat.network.load import load_network
from darknet_compat.network.network import Network
from darknet_compat.network.windows import Convolutional
from darknet_compat.parity.compare import TOLERANCES, compare
from darknet_compat.runtime.exported import read_artefact
from darknet_compat.runtime.torch import TorchRuntime
from darknet_compat.vision.image import decode, letterbox
from tests.export.onnx.test_layers import CASES
from tests.export.support import ENGINES, SHIPPED, Floats, assert_well_made, pictures, run_graph, seeded, small
from tests.export.targets.support import THRESH, detector, scene
from tests.inference.support import region

REAL = (
    "tiny-darknet/tiny",
    "yolo-lite-coco/yolo-lite-coco",
    "yolo-lite-voc3/yolo-lite-voc3",
    "yolo-fastest-1.1/yolo-fastest-1.1",
)


def halved(network: Network, folder: Path, **options: object) -> tuple[Path, onnx.ModelProto]:
    """The file in float16, and the model in it, beside `m.onnx` in float32."""
    export_onnx(network, folder / "m.onnx", **options)  # type: ignore[arg-type]
    export_onnx(network, folder / "half.onnx", precision="fp16", **options)  # type: ignore[arg-type]
    return folder / "half.onnx", onnx.load(folder / "half.onnx")


def kinds(model: onnx.ModelProto) -> dict[str, int]:
    """The type of every tensor."""
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    values = [*graph.input, *graph.output, *graph.value_info]
    known = {value.name: value.type.tensor_type.elem_type for value in values}
    return known | {tensor.name: tensor.data_type for tensor in graph.initializer}


def assert_near(name: str, expected: Floats, found: Floats, engine: str) -> None:
    difference = compare(name, expected, found, TOLERANCES["torch", engine, "fp16"])
    assert difference.verdict == "same", difference


def hold(network: Network, path: Path, images: Floats) -> None:
    expected = TorchRuntime(network, device="cpu").infer(images)
    for engine, kind in ENGINES.items():
        found = kind(path).infer(images)
        for name in expected.keys() - {"dropped"}:
            assert_near(f"{engine} {name}", expected[name], found[name], engine)


@pytest.mark.parametrize("name", REAL)
def test_real_models_on_photographs(name: str, shared_data: Path, photos: list[Path], tmp_path: Path) -> None:
    cfg = shared_data / "models" / f"{name}.cfg"
    network = load_network(cfg, cfg.with_suffix(".weights"))
    path, _ = halved(network, tmp_path)
    net = network.spec.net
    hold(network, path, np.stack([letterbox(decode(photo), net.width, net.height)[0] for photo in photos[:3]]))
    assert path.stat().st_size < 0.55 * (tmp_path / "m.onnx").stat().st_size


@pytest.mark.parametrize("name", ["yolov2-tiny-voc", "yolov3-tiny"])
def test_seeded_models(name: str, tmp_path: Path) -> None:
    network = seeded(SHIPPED / f"{name}.cfg", (224, 224))
    path, model = halved(network, tmp_path)
    hold(network, path, pictures(3, 224, 224))
    types = kinds(model)
    for node in model.graph.node:
        floats = {types[name] for name in node.output} & {TensorProto.FLOAT, TensorProto.FLOAT16}
        if node.op_type in PRODUCTS or (layer_type(node.name) not in HEADS and node.op_type != "Cast"):
            assert floats == {TensorProto.FLOAT16}, node.name
        elif node.op_type in ("Sigmoid", "Softmax", "Exp", "Div", "Mul", "Add"):
            assert TensorProto.FLOAT16 not in floats, node.name
    for value in (*model.graph.input, *model.graph.output):
        assert types[value.name] == TensorProto.FLOAT
    weights = [tensor for tensor in model.graph.initializer if tensor.name.endswith("/weights")]
    assert weights and all(tensor.data_type == TensorProto.FLOAT16 for tensor in weights)


def like_trained(network: Network) -> Network:
    """With a last layer whose boxes seldom reach far beyond the picture, as those of trained ones do not."""
    convolution = network.layers[-2]
    assert isinstance(convolution, Convolutional)
    convolution.weights.data.mul_(0.4)
    return network


def candidates_near(network: Network, path: Path, images: Floats) -> None:
    """The candidates of a split head; those nearly tied in objectness come in another order, so each is looked up."""
    expected = TorchRuntime(network, device="cpu").infer(images, 0.5)
    compared = 0
    for engine, kind in ENGINES.items():
        found = kind(path).infer(images, 0.5)
        for image in range(len(images)):
            count = int((expected["objectness"][image] > 0.52).sum())  # what is nearer to the limit may fall out
            count = min(count, found["objectness"].shape[1] // 3)  # which have room even if all are one anchor's
            boxes = expected["boxes"][image, :count]
            distance = np.abs(found["boxes"][image][None] - boxes[:, None]).sum(2)  # [expected, found]
            where = distance.argmin(1)
            for name in ("boxes", "objectness", "classes"):
                assert_near(f"{engine} {name}", expected[name][image, :count], found[name][image][where], engine)
            compared += count
    assert compared > 20


def test_a_split_head_has_its_products_in_float16(tmp_path: Path) -> None:
    cfg = tmp_path / "many.cfg"
    cfg.write_text(region(300, "softmax=1"))
    network = like_trained(seeded(cfg))
    path, model = halved(network, tmp_path, candidates=60)
    types = kinds(model)
    products = [node for node in model.graph.node if layer_type(node.name) == "region" and node.op_type in PRODUCTS]
    assert len(products) > 1
    assert all(types[node.output[0]] == TensorProto.FLOAT16 for node in products)
    assert types["boxes"] == types["every_objectness"] == TensorProto.FLOAT
    candidates_near(network, path, pictures(3, network.spec.net.width, network.spec.net.height))


@pytest.mark.slow
def test_yolo9000(tmp_path: Path) -> None:
    network = like_trained(seeded(SHIPPED / "yolo9000.cfg", (320, 320)))
    path, _ = halved(network, tmp_path, candidates=300)  # all there are
    candidates_near(network, path, pictures(3, 320, 320))


@pytest.mark.parametrize("name", sorted(set(CASES) - {"convolutional xnor"}))  # a sign is near to nothing
def test_every_kind_of_layer(name: str, tmp_path: Path) -> None:
    shape = (8 if "reorg" in name else 4, 12, 16)
    path, _ = halved(small(CASES[name], shape), tmp_path, outputs="heads")
    images = 8 * pictures(shape[0], 16, 12) - 4
    (found,) = run_graph("onnxruntime", path, images).values()
    (expected,) = run_graph("onnxruntime", tmp_path / "m.onnx", images).values()
    assert found.dtype == np.float32
    if name == "activation stair":  # a step near its edge may fall either way
        assert (found != expected).mean() < 0.02
    else:
        assert_near(name, expected, found, "onnxruntime")


@pytest.mark.parametrize("name", ["normalization", "l2norm"])
def test_sums_of_squares_do_not_overflow(name: str, tmp_path: Path) -> None:
    path, _ = halved(small(CASES[name], (4, 12, 16)), tmp_path, outputs="heads")
    images = 2000 * pictures(4, 16, 12)  # squares beyond 65504
    (expected,) = run_graph("onnxruntime", tmp_path / "m.onnx", images).values()
    (found,) = run_graph("onnxruntime", path, images).values()
    assert_near(name, expected, found, "onnxruntime")


def test_the_squares_of_l2norm_are_a_layer_with_a_name(tmp_path: Path) -> None:
    """So that TensorRT 8.6, which is told layer by layer, can hold them in float32."""
    export_onnx(small(CASES["l2norm"], (4, 12, 16)), tmp_path / "m.onnx", outputs="heads")
    nodes = onnx.load(tmp_path / "m.onnx").graph.node
    assert [node.op_type for node in nodes] == ["Mul", "ReduceSum", "Sqrt", "Div"]
    assert all(layer_keeps_single(node.name) for node in nodes)


def test_weights_beyond_the_range_are_named(tmp_path: Path) -> None:
    network = small("[convolutional]\nfilters=2\nsize=3\npad=1\nactivation=linear\n", (3, 8, 8))
    network.layers[0].weights.data.mul_(1e6)  # type: ignore[operator, union-attr]
    export_onnx(network, tmp_path / "m.onnx", outputs="heads")
    beyond = r"^0_convolutional/weights: has values of .* use fp32$"
    with pytest.raises(ExportError, match=beyond):
        to_half(onnx.load(tmp_path / "m.onnx"))
    with pytest.raises(ExportError, match=beyond):
        export_onnx(network, tmp_path / "half.onnx", outputs="heads", precision="fp16")
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_pixels_are_scaled_in_float32(tmp_path: Path) -> None:
    """TensorRT takes uint8 only into a cast."""
    path, model = halved(seeded(SHIPPED / "yolov2-tiny-voc.cfg", (96, 96)), tmp_path, input="uint8")
    (reader,) = (node for node in model.graph.node if "images" in node.input)
    assert reader.op_type == "Cast"
    assert kinds(model)[next(node for node in model.graph.node if node.op_type == "Div").output[0]] == TensorProto.FLOAT
    assert np.isfinite(ENGINES["onnxruntime"](path, size=(96, 96)).infer(pictures(3, 96, 96))["boxes"]).all()


@pytest.mark.parametrize("name", ["yolov2-digits", "yolo9000-digits"])
@pytest.mark.parametrize("layout", [*LAYOUTS, "heads"])
def test_every_layout_in_fp16_has_the_boxes(name: str, layout: str, tmp_path: Path) -> None:
    if (name, layout) == ("yolo9000-digits", "detections"):
        pytest.skip("a WordTree's detections are made when they are used")
    cfg, weights = detector(name)
    network, path = StoredWeights(load_spec(cfg), weights), tmp_path / "m.onnx"
    artefact = export_onnx(network, path, layout=layout, precision="fp16", thresh=THRESH)
    assert artefact.precision == read_artefact(path).precision == "fp16"
    expected = Detector(cfg, weights, thresh=THRESH)(scene())
    for backend in ENGINES:
        ours = Detector(path, backend=backend, thresh=THRESH)
        assert ours.runtime.description.precision == "fp16"
        found = ours(scene())
        assert len(found) == len(expected) > 0
        assert found.class_ids.tolist() == expected.class_ids.tolist()
        np.testing.assert_allclose(found.scores, expected.scores, atol=5e-3)
        np.testing.assert_allclose(found.boxes, expected.boxes, atol=1)


def test_to_half_of_a_file_in_fp32_is_what_is_exported(tmp_path: Path) -> None:
    path, exported = halved(seeded(SHIPPED / "yolov2-tiny-voc.cfg", (96, 96)), tmp_path)
    lifted = to_half(onnx.load(tmp_path / "m.onnx"))
    assert [node.name for node in lifted.graph.node] == [node.name for node in exported.graph.node]
    ours = {tensor.name: numpy_helper.to_array(tensor) for tensor in exported.graph.initializer}
    for tensor in lifted.graph.initializer:
        np.testing.assert_array_equal(ours[tensor.name], numpy_helper.to_array(tensor), strict=True)
    assert len(ours) == len(lifted.graph.initializer)
    assert_well_made(path, len(load_spec(SHIPPED / "yolov2-tiny-voc.cfg").layers))


def test_more_weights_than_a_message_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("darknet_compat.export.onnx.write.EXTERNAL_FROM", 1000)
    network = seeded(SHIPPED / "yolov2-digits.cfg")
    path, _ = halved(network, tmp_path)
    assert (tmp_path / "half.onnx.data").stat().st_size * 2 == (tmp_path / "m.onnx.data").stat().st_size
    hold(network, path, pictures(3, 192, 192))
