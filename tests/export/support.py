"""An exported file held against the torch network that it came from, in every runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from darknet_compat.definition.lower import load_spec, lower
from darknet_compat.export.onnx.graph import OPERATORS, layer_of, operators
from darknet_compat.formats.cfg import parse_cfg
from darknet_compat.formats.words import Build
from darknet_compat.network.network import Network
from darknet_compat.parity.compare import TOLERANCES, compare
from darknet_compat.parity.picture import seeded_image
from darknet_compat.parity.seeded import seed_weights
from darknet_compat.runtime.onnxruntime import OnnxRuntime
from darknet_compat.runtime.openvino import OpenVinoRuntime
from darknet_compat.runtime.torch import TorchRuntime
from tests.network.conftest import filled, text_of

Floats = NDArray[np.float32]
SHIPPED = Path(__file__).resolve().parents[2] / "cfg"
ENGINES = {"onnxruntime": OnnxRuntime, "openvino": OpenVinoRuntime}


def small(layers: str, shape: tuple[int, ...], roots: list[Path] | None = None, batchnorm: Build = "cuda") -> Network:
    """A network of a few layers with weights that exercise everything."""
    return filled(Network(lower(parse_cfg(text_of(layers, shape)), roots), batchnorm=batchnorm)).eval()


def seeded(cfg: Path, size: tuple[int, int] | None = None) -> Network:
    """A network of a cfg with seeded weights."""
    network = Network(load_spec(cfg, size))
    seed_weights(network)
    return network.eval()


def pictures(channels: int, width: int, height: int, count: int = 2) -> Floats:
    """[N, C, H, W]."""
    return np.stack([seeded_image((channels, height, width), seed) for seed in range(count)])


def raw(network: Network, images: Floats) -> list[Floats]:
    """What the heads read, by torch."""
    with torch.inference_mode():
        found = network(torch.from_numpy(images))
    return [x.numpy() for x in (found if isinstance(found, tuple) else (found,))]


def assert_raw_same(network: Network, path: Path, images: Floats, engines: tuple[str, ...] = tuple(ENGINES)) -> None:
    """A file of outputs "heads", in each engine."""
    expected = raw(network, images)
    for engine in engines:
        found = list(run_graph(engine, path, images).values())
        assert len(found) == len(expected)
        for number, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
            assert ours.shape == theirs.shape
            same(f"{engine} output {number}", theirs, ours, engine)


def run_graph(engine: str, path: Path, images: NDArray[np.generic]) -> dict[str, Floats]:
    """The graph as it is; for files of raw outputs too, which no Detector takes."""
    if engine == "onnxruntime":
        import onnxruntime as ort

        session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(None, {"images": images}), strict=True))
    import openvino as ov

    compiled = ov.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled([images])
    return {str(number): found[output] for number, output in enumerate(compiled.outputs)}


def assert_answers_same(
    torch_runtime: TorchRuntime, path: Path, images: Floats, engines: tuple[str, ...] = tuple(ENGINES)
) -> None:
    """A file of outputs "boxes", in each engine, against the torch runtime."""
    expected = torch_runtime.infer(images)
    for engine in engines:
        found = ENGINES[engine](path, size=(images.shape[3], images.shape[2])).infer(images)
        assert found.keys() == expected.keys()
        for name, theirs in expected.items():
            if theirs.any():
                assert found[name].shape == theirs.shape
                same(f"{engine} {name}", theirs, found[name], engine)


def same(name: str, expected: Floats, found: Floats, engine: str) -> None:
    difference = compare(name, expected, found, TOLERANCES["torch", engine, "fp32"])
    assert difference.verdict == "same", difference


def assert_well_made(path: Path, layers: int) -> onnx.ModelProto:
    """What holds for every file: it is valid, of opset 17, of known operators, its nodes named after layers."""
    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.load(path)
    assert (model.ir_version, [(o.domain, o.version) for o in model.opset_import]) == (8, [("", 17)])
    assert operators(model.graph.node) <= OPERATORS
    assert_parsable(model)
    inner = [node.name for node in model.graph.node if node.op_type != "Identity"]
    assert len(set(inner)) == len(inner)
    for name in inner:
        layer = layer_of(name)
        assert name.startswith("input/") or (layer is not None and layer[0] < layers), name
    for name in every_name(model):
        assert name.isascii() and " " not in name, name
    return model


def every_name(model: onnx.ModelProto) -> set[str]:
    """What a graph calls its nodes, values and weights."""
    graph = model.graph
    values = {name for node in graph.node for name in (node.name, *node.input, *node.output)}
    return values | {one.name for one in (*graph.initializer, *graph.input, *graph.output)}


# fmt: off
CONSTANT_INPUTS = {
    "DequantizeLinear": (1, 2), "QuantizeLinear": (1, 2), "ReduceMax": (1,), "Slice": (3,), "Squeeze": (1,),
    "TopK": (1,), "Unsqueeze": (1,),
}
# fmt: on
"""Which inputs TensorRT's parser wants to be constants, by its docs/operators.md; of Q/DQ nodes the zero point has to
be 0."""


def assert_parsable(model: onnx.ModelProto) -> None:
    """What TensorRT's parser asks of the operators, beyond their names."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        for index in CONSTANT_INPUTS.get(node.op_type, ()):
            assert index >= len(node.input) or node.input[index] in constants, (node.name, index)
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            assert not onnx.numpy_helper.to_array(constants[node.input[2]]).any(), node.name
        if node.op_type == "MaxPool":
            assert len(node.output) == 1 and len(node.input) == 1, node.name
        if node.op_type == "Resize":
            asked = {attribute.name: attribute.s for attribute in node.attribute if attribute.s}
            assert asked.get("mode", b"nearest") in (b"nearest", b"linear"), node.name
