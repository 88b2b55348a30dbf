"""Every head on the three kinds of values: torch and a graph are held to numpy in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper

from darknet_compat.definition.lower import lower
from darknet_compat.export.onnx.graph import Graph, value
from darknet_compat.export.onnx.graph_ops import GraphOps
from darknet_compat.formats.cfg import parse_cfg
from darknet_compat.formats.wordtree import format_tree
from darknet_compat.heads import answers
from darknet_compat.heads.numpy_ops import NumpyOps
from darknet_compat.heads.ops import Ops, Value
from darknet_compat.heads.region import Region
from darknet_compat.heads.split import RowNumbers, SplitWeights, best_of_each_anchor
from darknet_compat.network.torch_ops import TorchOps
from tests.heads.test_tree import random_tree
from tests.network.conftest import text_of

Floats = NDArray[Any]
Task = Callable[[Ops, Sequence[Value]], Sequence[Value]]
TREE = random_tree(5, 12)
GRID = 3, 5

REGION = "[region]\nnum=2\nclasses={}\ncoords={}\nanchors=1,2,3.5,.5\n"
CASES = {
    "region": (REGION.format(3, 4) + "softmax=1", 2 * 8),
    "region logistic": (REGION.format(3, 4), 2 * 8),
    "region masks": (REGION.format(3, 7) + "softmax=1", 2 * 11),
    "region background": (REGION.format(3, 4) + "softmax=1\nbackground=1", 2 * 8),
    "region background logistic": (REGION.format(3, 4) + "background=1", 2 * 8),
    "region tree": (REGION.format(len(TREE), 4) + "softmax=1\ntree=its.tree", 2 * (5 + len(TREE))),
    "yolo": ("[yolo]\nmask=2,0\nnum=3\nclasses=2\nanchors=10,20,30,40,50,60", 14),
    "yolo scaled": ("[yolo]\nmask=2,0\nnum=3\nclasses=2\nanchors=10,20,30,40,50,60\nscale_x_y=1.2", 14),
    "yolo new_coords": ("[yolo]\nmask=2,0\nnum=3\nclasses=2\nanchors=10,20,30,40,50,60\nnew_coords=1\nscale_x_y=2", 14),
    "gaussian": ("[Gaussian_yolo]\nmask=2,0\nnum=3\nclasses=2\nanchors=10,20,30,40,50,60\nscale_x_y=1.1", 22),
    "gaussian corner": ("[Gaussian_yolo]\nnum=1\nclasses=3\nyolo_point=right_bottom", 12),
    "region raw": (REGION.format(3, 4) + "focal_loss=0", 2 * 8),
    "detection": ("[detection]\nside=3\nnum=2\nclasses=4\ncoords=4\nsqrt=1\nsoftmax=1", 126),
    "detection plain": ("[detection]\nside=3\nnum=1\nclasses=4\ncoords=4", 81),
    "softmax": ("[softmax]\ngroups=2\ntemperature=2.5", 6),
    "softmax spatial": ("[softmax]\nspatial=1", 4),
    "softmax tree": ("[softmax]\ntree=its.tree", len(TREE)),
    "logistic": ("[logistic]", 4),
    "iseg": ("[iseg]\nclasses=2\nids=3", 5),
}


def head_of(text: str, shape: tuple[int, ...], folder: Path) -> answers.Head:
    (folder / "its.tree").write_text(format_tree(TREE))
    spec = lower(parse_cfg(text_of(text, shape)), [folder]).layers[-1]
    head: answers.Head = answers.HEADS[type(spec)](spec, "cuda")
    return head


def by_graph(task: Task, inputs: Sequence[Floats], free: bool) -> list[Floats]:
    """The graph's outputs in ONNX Runtime; with `free` it knows no height and width."""
    import onnxruntime

    graph = Graph()
    ops = GraphOps(graph)
    sides = [None if free or x.ndim < 4 else (x.shape[2], x.shape[3]) for x in inputs]
    outputs = [found.name for found in task(ops, [ops.value(f"x{at}", side) for at, side in enumerate(sides)])]
    dims = [["N", x.shape[1], "H", "W"] if free and x.ndim == 4 else ["N", *x.shape[1:]] for x in inputs]
    given = [value(f"x{at}", TensorProto.FLOAT, side) for at, side in enumerate(dims)]
    wanted = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    proto = helper.make_graph(graph.nodes, "heads", given, wanted, list(graph.constants.values()))
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: list[Floats] = session.run(None, {f"x{at}": x.astype(np.float32) for at, x in enumerate(inputs)})
    return found


def assert_three_alike(task: Task, inputs: Sequence[Floats]) -> None:
    expected = task(NumpyOps(), inputs)
    doubles = task(TorchOps(), [torch.from_numpy(x) for x in inputs])
    for theirs, ours in zip(expected, doubles, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-12, atol=1e-12)
    for free in (False, True):
        for theirs, ours in zip(expected, by_graph(task, inputs, free), strict=True):
            assert ours.shape == theirs.shape
            np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)


def random(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(0, 2, shape)


@pytest.mark.parametrize("name", CASES)
def test_heads_mean_the_same_to_numpy_torch_and_a_graph(name: str, tmp_path: Path) -> None:
    text, channels = CASES[name]
    shape = (channels,) if "detection" in name else (channels, *GRID) if "softmax" not in name else (channels, 1, 1)
    shape = (channels, *GRID) if "spatial" in name else shape
    head = head_of(text, shape, tmp_path)
    raw, images = random(2, *shape), random(2, 3, 96, 160)

    def task(ops: Ops, values: Sequence[Value]) -> Sequence[Value]:
        if name.split()[0] in ("region", "yolo", "gaussian", "detection"):
            return answers.boxes(ops, [head], values[:1], values[1])
        return [answers.probabilities(ops, head, values[0])]

    assert_three_alike(task, [raw, images])


def test_several_heads_come_one_after_another(tmp_path: Path) -> None:
    text, channels = CASES["yolo"]
    head = head_of(text, (channels, *GRID), tmp_path)
    raws = [random(2, channels, *GRID), random(2, channels, 6, 10, seed=1)]
    assert_three_alike(
        lambda ops, values: answers.boxes(ops, [head, head], values[:2], values[2]), [*raws, random(2, 3, 96, 160)]
    )


@pytest.mark.parametrize("tree", [False, True])
def test_candidates_are_the_same_and_those_of_the_full_head(tree: bool, tmp_path: Path) -> None:
    classes = len(TREE) if tree else 6
    text = REGION.format(classes, 4) + "softmax=1" + "\ntree=its.tree" * tree
    head = head_of(text, (2 * (5 + classes), *GRID), tmp_path)
    assert isinstance(head, Region)
    weights, biases = random(2 * (5 + classes), 7, 1, 1, seed=1), random(2 * (5 + classes), seed=2)
    numbers = RowNumbers(head)
    parts = [weights[numbers.boxes], biases[numbers.boxes]]
    parts += [weights[rows] for rows in numbers.classes] + [biases[rows] for rows in numbers.classes]

    def task(ops: Ops, values: Sequence[Value]) -> Sequence[Value]:
        features, box_weights, box_biases, *rest = values
        rows = SplitWeights(box_weights, box_biases, tuple(rest[:2]), tuple(rest[2:]))
        found, every = best_of_each_anchor(ops, head, rows, features, 4)
        return [*found, every]

    features = random(2, 7, *GRID)
    ops = NumpyOps()
    xywh, objectness, probabilities, every = task(ops, [features, *parts])
    raw = ops.conv1x1(features, weights, biases)
    full = head.boxes(ops, head.activate(ops, raw), raw)
    np.testing.assert_allclose(every, full.objectness, atol=1e-12)
    for image in range(2):
        for anchor in range(2):
            cells = slice(anchor * 15, anchor * 15 + 15)
            best = np.argsort(-full.objectness[image, cells])[:4] + anchor * 15
            mine = slice(anchor * 4, anchor * 4 + 4)
            np.testing.assert_allclose(objectness[image, mine], full.objectness[image, best], atol=1e-12)
            np.testing.assert_allclose(xywh[image, mine], full.xywh[image, best], atol=1e-12)
            np.testing.assert_allclose(probabilities[image, mine], full.classes[image, best], atol=1e-12)
    doubles = task(TorchOps(), [torch.from_numpy(x) for x in (features, *parts)])
    for theirs, ours in zip((xywh, objectness, probabilities, every), doubles, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-12)


def test_extreme_values_stay_finite_and_quiet() -> None:
    x = np.array([[-1e4, -50.0, 0.0, 50.0, 1e4]], np.float32)
    found = NumpyOps().sigmoid(x)
    np.testing.assert_allclose(found, torch.from_numpy(x).sigmoid(), rtol=1e-6)
    assert np.isfinite(NumpyOps().softmax(x, 1)).all()


def test_a_head_that_gives_something_else_is_refused(tmp_path: Path) -> None:
    softmax, region = (head_of(CASES[name][0], (CASES[name][1], 1, 1), tmp_path) for name in ("softmax", "region"))
    with pytest.raises(TypeError, match="Softmax gives no boxes"):
        answers.boxes(NumpyOps(), [softmax], [random(1, 6, 1, 1)], random(1, 3, 8, 8))
    with pytest.raises(TypeError, match="Region gives no classes alone"):
        answers.probabilities(NumpyOps(), region, random(1, 16, 1, 1))


def test_constants_survive_a_copy_and_training_after_inference() -> None:
    import copy

    ops, array = TorchOps(), np.ones(3, np.float32)
    with torch.inference_mode():
        ops.constant(array, torch.zeros(1))
    x = torch.ones(3, requires_grad=True)
    (x * ops.constant(array, x)).sum().backward()
    copied = copy.deepcopy(ops)
    assert copied.constant(np.zeros(3, np.float32), x).tolist() == [0, 0, 0]
