"""The heads cell by cell in float64: what activates, what decodes, and in which order candidates come."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from darknet_compat.definition import spec as s
from darknet_compat.errors import BackendError
from darknet_compat.export.onnx.checks import answers
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.formats.words import Build
from darknet_compat.formats.wordtree import WordTree, from_parents, read_tree
from darknet_compat.network import heads
from darknet_compat.network.load import load_network, save_weights
from darknet_compat.network.network import Network
from darknet_compat.parity.reference import Original
from darknet_compat.runtime.torch import TorchRuntime

Array = NDArray[np.float64]
Make = Callable[..., Network]
Write = Callable[..., Path]
Fill = Callable[[Network], Network]

FLAGS = list(itertools.product((0, 1), (0, 1), (4, 7)))
ANCHORS = [(1.0, 2.0), (3.5, 0.5)]
SHAPE = (3, 5)
"""Height and width of the grids here."""


def random(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(0, 2, shape)


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def softmax(x: Array) -> Array:
    exponentials = np.exp(x - x.max())
    return exponentials / exponentials.sum()


def head(network: Network) -> Any:
    return network.double().layers[-1]


def activated(network: Network, x: Array) -> Array:
    return network.double().layer_outputs(torch.from_numpy(x))[-1].numpy()


def assert_close(found: torch.Tensor, expected: Any) -> None:
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.numpy(), np.asarray(expected), rtol=1e-12, atol=1e-12)


# ------------------------------------------------------------------------------------------------ region


def region(make: Make, options: str = "", classes: int = 3, coords: int = 4, **how: Any) -> Network:
    anchors = ",".join(str(side) for anchor in ANCHORS for side in anchor)
    text = f"[region]\nnum=2\nclasses={classes}\ncoords={coords}\nanchors={anchors}\n{options}"
    return make(text, (2 * (coords + 1 + classes), *SHAPE), **how)


@pytest.mark.parametrize("build", ["cuda", "cpu"])
@pytest.mark.parametrize(("use_softmax", "background", "coords"), FLAGS)
def test_region_activates_box_by_box(make: Make, use_softmax: int, background: int, coords: int, build: Build) -> None:
    options = f"softmax={use_softmax}\nbackground={background}"
    x = random(2, 2 * (coords + 4), *SHAPE)
    expected = x.reshape(2, 2, coords + 4, *SHAPE).copy()
    for image, anchor, i, j in np.ndindex(2, 2, *SHAPE):
        box = expected[image, anchor, :, i, j]
        box[:2] = sigmoid(box[:2])
        if build == "cuda":  # the CPU build leaves masks as they are
            box[4:coords] = sigmoid(box[4:coords])
        if use_softmax and background:
            box[coords:] = softmax(box[coords:])
            continue
        if not background:
            box[coords] = sigmoid(box[coords])
        box[coords + 1 :] = softmax(box[coords + 1 :]) if use_softmax else sigmoid(box[coords + 1 :])
    found = activated(region(make, options, coords=coords, batchnorm=build), x)
    np.testing.assert_allclose(found, expected.reshape(x.shape), rtol=1e-12)


@pytest.mark.parametrize(("background", "coords"), [(0, 4), (1, 4), (0, 7)])
def test_region_decodes_box_by_box(make: Make, background: int, coords: int) -> None:
    network = region(make, f"softmax=1\nbackground={background}", coords=coords)
    x = activated(network, random(2, 2 * (coords + 4), *SHAPE))
    boxes, objectness, classes = head(network).boxes(torch.from_numpy(x), (160, 96))
    rows: list[Any] = [[], []]
    for image, anchor, i, j in np.ndindex(2, 2, *SHAPE):
        value = x.reshape(2, 2, coords + 4, *SHAPE)[image, anchor, :, i, j]
        width, height = (np.exp(value[2]) * ANCHORS[anchor][0] / 5, np.exp(value[3]) * ANCHORS[anchor][1] / 3)
        centre = [(value[0] + j) / 5, (value[1] + i) / 3]
        rows[image].append([*centre, width, height, 1 if background else value[coords], *value[coords + 1 :]])
    assert_close(torch.cat([boxes, objectness[..., None], classes], 2), rows)


def test_region_by_hand(make: Make) -> None:
    network = make("[region]\nclasses=1\nanchors=2,4\nsoftmax=1", (6, 1, 2))
    raw = torch.zeros(1, 6, 1, 2)
    raw[0, :, 0, 1] = torch.tensor([0, 0, np.log(0.5), 0, 0, 3])
    found = network.layers[0].boxes(network.activated(raw)[0], (64, 32))
    # the second of two cells: its centre at (1 + 1/2) / 2; half an anchor of 2 cells; a whole one of 4
    torch.testing.assert_close(found.xywh[0, 1], torch.tensor([0.75, 0.5, 0.5, 4]))
    assert found.objectness.tolist() == [[0.5, 0.5]]
    assert found.classes.tolist() == [[[1.0], [1.0]]]


def random_tree(seed: int, nodes: int) -> WordTree:
    """Nodes of which each has the last's parent, or begins a group below one that has none yet."""
    generator = np.random.default_rng(seed)
    parents, free = [-1], [0]
    while len(parents) < nodes:
        if free and generator.random() < 0.4:
            parents.append(free.pop(int(generator.integers(len(free)))))
        else:
            parents.append(parents[-1])
        free.append(len(parents) - 1)
        free = [node for node in free if node != parents[-1]]
    return from_parents([str(node) for node in range(nodes)], parents)


def with_tree(tree: WordTree, shape: tuple[int, int]) -> heads.Region:
    """A [region] of one anchor over a tree."""
    channels = s.Shape(5 + len(tree), *shape)
    common: dict[str, Any] = {"index": 0, "line": 1, "type": "region", "sources": (-1,), "input": channels}
    zero = dict.fromkeys(("object_scale", "noobject_scale", "class_scale", "coord_scale", "mask_scale"), 1.0)
    off = dict.fromkeys(("background", "rescore", "bias_match"), False)
    more: dict[str, Any] = {"map": None, "max_boxes": 30, "jitter": 0.2, "random": 0.0, "thresh": 0.5}
    spec = s.Region(
        **common, output=channels, **zero, **off, **more, softmax=True, tree=tree, classes=len(tree), coords=4, num=1,
        anchors=((1.0, 1.0),),
    )  # fmt: skip
    return heads.Region(spec, "cuda")


def siblings_softmax(tree: WordTree, logits: Array) -> Array:
    """Group by group; `logits` [nodes]."""
    result = np.empty_like(logits)
    for offset, size in zip(tree.group_offsets, tree.group_sizes, strict=True):
        result[offset : offset + size] = softmax(logits[offset : offset + size])
    return result


@given(st.integers(0, 10**6), st.integers(1, 60), st.sampled_from([torch.float64, torch.float16, torch.bfloat16]))
def test_region_with_a_tree(seed: int, nodes: int, dtype: torch.dtype) -> None:
    tree = random_tree(seed, nodes)
    x = torch.from_numpy(random(2, 5 + nodes, 2, 3, seed=seed) * 5).to(dtype)
    found = with_tree(tree, (2, 3))(x)
    assert found.dtype == dtype
    assert found.isfinite().all()
    allowed = {torch.float64: 1e-12, torch.float16: 2e-3, torch.bfloat16: 1e-2}[dtype]
    for image, i, j in np.ndindex(2, 2, 3):
        raw = x[image, :, i, j].double().numpy()
        expected = np.concatenate([sigmoid(raw[:2]), raw[2:4], sigmoid(raw[4:5]), siblings_softmax(tree, raw[5:])])
        np.testing.assert_allclose(found[image, :, i, j].double().numpy(), expected, atol=allowed, rtol=allowed)


def test_region_with_yolo9000s_tree() -> None:
    tree = read_tree(cfg_dir() / "data" / "9k.tree")
    raw = random(1, 5 + len(tree), 1, 2)
    found = with_tree(tree, (1, 2))(torch.from_numpy(raw))[0, 5:].numpy()
    for cell in range(2):
        np.testing.assert_allclose(found[:, 0, cell], siblings_softmax(tree, raw[0, 5:, 0, cell]), rtol=1e-12)


# -------------------------------------------------------------------------------------------------- yolo

YOLO = "[yolo]\nmask=2,0\nnum=3\nclasses=2\nanchors=10,20,30,40,50,60\n"


@pytest.mark.parametrize("scale", [1, 1.2])
def test_yolo_box_by_box(make: Make, scale: float) -> None:
    """x, y, objectness and classes through the logistic function; with the fork's scale_x_y centres reach further."""
    network = make(f"{YOLO}scale_x_y={scale}", (14, *SHAPE))
    raw = random(2, 14, *SHAPE)
    found = head(network).boxes(torch.from_numpy(activated(network, raw)), (160, 96))
    rows: list[Any] = [[], []]
    for image, i, j, place in np.ndindex(2, *SHAPE, 2):  # the original goes cell by cell, and there mask by mask
        value = raw.reshape(2, 2, 7, *SHAPE)[image, place, :, i, j]
        anchor = [(50, 60), (10, 20)][place]
        x, y = sigmoid(value[:2]) * scale - (scale - 1) / 2
        size = [np.exp(value[2]) * anchor[0] / 160, np.exp(value[3]) * anchor[1] / 96]
        rows[image].append([(j + x) / 5, (i + y) / 3, *size, *sigmoid(value[4:])])
    assert_close(torch.cat([found.xywh, found.objectness[..., None], found.classes], 2), rows)


# --------------------------------------------------------------------------------------------- detection


@pytest.mark.parametrize("use_softmax", [0, 1])
@pytest.mark.parametrize("sqrt", [0, 1])
def test_detection_box_by_box(make: Make, sqrt: int, use_softmax: int) -> None:
    network = make(f"[detection]\nside=3\nnum=2\nclasses=4\ncoords=4\nsqrt={sqrt}\nsoftmax={use_softmax}", (126,))
    raw = random(2, 126)
    found = head(network).boxes(torch.from_numpy(activated(network, raw)), (96, 96))
    rows: list[Any] = [[], []]
    for image, cell, box in np.ndindex(2, 9, 2):
        classes = raw[image, 4 * cell : 4 * cell + 4]
        x, y, w, h = raw[image, 54 + 4 * (2 * cell + box) :][:4]
        size = [w * w, h * h] if sqrt else [w, h]
        centre = [(x + cell % 3) / 3, (y + cell // 3) / 3]
        rows[image].append(
            [*centre, *size, raw[image, 36 + 2 * cell + box], *(softmax(classes) if use_softmax else classes)]
        )
    assert_close(torch.cat([found.xywh, found.objectness[..., None], found.classes], 2), rows)


@pytest.mark.parametrize("coords, classes, why", [(3, 1, "boxes of 3 numbers"), (4, 0, "classes=0")])
def test_a_detection_without_boxes_is_computed_and_answers_no_picture(
    coords: int, classes: int, why: str, make: Make
) -> None:
    """The original reads and runs it, beyond its memory for fewer than four numbers, and tells of nothing."""
    values = 4 * (2 * (1 + coords) + classes)
    layers = f"[connected]\noutput={values}\n[detection]\nside=2\nnum=2\ncoords={coords}\nclasses={classes}\nsoftmax=1"
    network = make(layers, (3, 6, 8))
    raw, activated = network.layer_outputs(torch.zeros(1, 3, 6, 8))
    assert activated.shape == (1, values) and (activated[:, 4 * classes :] == raw.flatten(1)[:, 4 * classes :]).all()
    with pytest.raises(BackendError, match=why):
        TorchRuntime(network)
    assert not answers(network.spec)


# ----------------------------------------------------------------------------------- softmax and the others


def test_softmax_of_groups_with_a_temperature(make: Make) -> None:
    x = random(2, 6, 1, 2)
    found = activated(make("[softmax]\ngroups=3\ntemperature=2.5", (6, 1, 2)), x)
    expected = [np.concatenate([softmax(part / 2.5) for part in np.split(row.ravel(), 3)]) for row in x]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("build", ["cuda", "cpu"])
def test_spatial_softmax_is_for_each_location_in_the_cuda_build_only(make: Make, build: Build) -> None:
    x = random(2, 4, 3, 2)
    found = activated(make("[softmax]\nspatial=1", (4, 3, 2), batchnorm=build), x)
    if build == "cpu":
        expected = np.stack([softmax(row.ravel()) for row in x])
    else:
        expected = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_softmax_with_a_tree(make: Make, tmp_path: Path) -> None:
    parents = [-1, -1, 0, 0, 0, 3, 1]
    (tmp_path / "small.tree").write_text("".join(f"n{node} {parent}\n" for node, parent in enumerate(parents)))
    x = random(2, 7, 1, 1)
    found = activated(make("[softmax]\ntree=small.tree\ntemperature=.5", (7, 1, 1), roots=[tmp_path]), x)
    tree = read_tree(tmp_path / "small.tree")
    expected = [siblings_softmax(tree, row.ravel() / 0.5) for row in x]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert (found[:, 5:] == 1).all()  # only children


def test_logistic_and_iseg(make: Make) -> None:
    x = random(2, 5, 3, 2)
    np.testing.assert_allclose(activated(make("[logistic]", (5, 3, 2)), x), sigmoid(x), rtol=1e-12)
    found = activated(make("[iseg]\nclasses=2\nids=3", (5, 3, 2)), x)
    np.testing.assert_allclose(found, np.concatenate([sigmoid(x[:, :2]), x[:, 2:]], 1), rtol=1e-12)


@pytest.mark.parametrize("text", ["[softmax]", "[logistic]", "[softmax]\ngroups=2"])
def test_extreme_logits_stay_finite(make: Make, text: str) -> None:
    x = np.array([[1e4, -1e4, 0, 1e4]]).reshape(1, 4, 1, 1)
    assert np.isfinite(activated(make(text, (4, 1, 1)), x)).all()


# --------------------------------------------------------------------------------------- the original's order


@pytest.fixture(scope="module")
def running() -> Iterator[Original]:
    with Original() as original:
        yield original


CONVOLUTION = "[convolutional]\nfilters={}\nsize=3\npad=1\nactivation=linear\n"
ORDERS = {
    "region": CONVOLUTION.format(16) + "[region]\nnum=2\nclasses=3\nanchors=1,2,3,4\nsoftmax=1\n",
    "yolo": f"{CONVOLUTION.format(14)}{YOLO}[route]\nlayers=0\n[maxpool]\nstride=2\n[yolo]\nmask=1,0"
    + YOLO.removeprefix("[yolo]\nmask=2,0"),
    "detection": "[connected]\noutput=117\nactivation=logistic\n"
    "[detection]\nside=3\nnum=2\nclasses=3\ncoords=4\nsqrt=1\n",
}


@pytest.mark.reference
@pytest.mark.parametrize("name", ORDERS)
def test_candidates_come_as_the_originals(name: str, running: Original, write: Write, fill: Fill) -> None:
    """Every class of every candidate that is above 0, without suppression: boxes, scores and their order."""
    cfg = write(ORDERS[name], (3, 6, 8))
    network, weights = fill(load_network(cfg, batchnorm="cpu")), cfg.with_suffix(".weights")
    save_weights(network, weights)
    image = np.random.default_rng(0).random((3, 6, 8), np.float32)
    theirs = running.detections(cfg, weights, image, thresh=0, nms=0)
    raw = network(torch.from_numpy(image)[None])
    found = [
        network.layers[one.index].boxes(x, (8, 6))
        for one, x in zip(network.spec.heads, network.activated(raw), strict=True)
    ]
    xywh, objectness, classes = (torch.cat(parts, 1)[0].detach().numpy() for parts in zip(*found, strict=True))
    corners = np.concatenate([xywh[:, :2] - xywh[:, 2:] / 2, xywh[:, :2] + xywh[:, 2:] / 2], 1) * (8, 6, 8, 6)
    scores = objectness[:, None] * classes
    candidates, ids = np.nonzero(scores > 0)
    assert len(ids) > 50
    assert (ids == theirs.class_ids).all()
    np.testing.assert_allclose(theirs.scores, scores[candidates, ids], rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(theirs.boxes, corners[candidates], rtol=1e-4, atol=1e-4)
