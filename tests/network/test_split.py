"""The split head against the full one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from darknet_compat.definition.lower import lower
from darknet_compat.formats.cfg import parse_cfg
from darknet_compat.formats.wordtree import format_tree
from darknet_compat.heads.split import SplitWeights, best_of_each_anchor, splittable
from darknet_compat.network.network import Network
from darknet_compat.network.split import Candidates, SplitRegion
from tests.heads.test_tree import random_tree

NODES = 300


def network_text(head: str, num: int = 3, classes: int = NODES, last: str = "activation=linear") -> str:
    return f"""[net]
width=96
height=64
channels=3
[convolutional]
filters=16
size=3
stride=8
pad=1
activation=leaky
[convolutional]
filters={num * (5 + classes)}
size=1
pad=1
{last}
[region]
num={num}
classes={classes}
anchors={",".join(["1,2", "3,4", "0.5,0.7"][:num])}
{head}
"""


@pytest.fixture(params=["softmax=1", "softmax=0", "softmax=1\ntree=small.tree"])
def network(request: pytest.FixtureRequest, tmp_path: Path, fill: Callable[[Network], Network]) -> Network:
    tree = random_tree(1, NODES)
    (tmp_path / "small.tree").write_text(format_tree(tree))
    classes = len(tree) if "tree" in request.param else NODES
    spec = lower(parse_cfg(network_text(request.param, classes=classes)), [tmp_path])
    return fill(Network(spec)).eval()


def split_of(network: Network, limit: int = 64) -> SplitRegion:
    return SplitRegion(network.layers[-2], network.layers[-1], limit)


def as_exported(split: SplitRegion, features: torch.Tensor) -> Candidates:
    """What a graph computes (`heads.split`), in torch: each anchor's best, an equal part of the limit, rounded up."""
    each = min(-(-split.limit // split.region.spec.num), features.shape[2] * features.shape[3])
    weights = split.get_buffer("class_weights").mT[..., None, None]
    classes = tuple(weights), tuple(split.get_buffer("class_biases"))
    rows = SplitWeights(split.get_buffer("box_weights"), split.get_buffer("box_biases"), *classes)
    found, _ = best_of_each_anchor(split.region.ops, split.region.head, rows, features, each)
    return Candidates(*found, found.objectness.new_zeros(len(features)))


def images(seed: int, batch: int = 2) -> torch.Tensor:
    return torch.rand(batch, 3, 64, 96, generator=torch.Generator().manual_seed(seed)) * 4 - 2


@torch.no_grad()
@pytest.mark.parametrize("thresh", [0.2, 0.6, 0.9])
def test_candidates_are_the_full_heads(network: Network, thresh: float) -> None:
    for seed in range(7):
        x = images(seed)
        full = network.layers[-1].boxes(network.layers[-1](network(x)), (96, 64))
        (features,) = network.outputs_of(x, [0])
        split = split_of(network, 999)
        for found in (split(features, thresh), best_first(as_exported(split, features))):
            check(found, full, thresh)


def best_first(found: Candidates) -> Candidates:
    """Of those that come anchor by anchor."""
    order = torch.argsort(found.objectness, dim=1, descending=True, stable=True)
    parts = [part.take_along_dim(order.reshape(*order.shape, *[1] * (part.dim() - 2)), 1) for part in found[:3]]
    return Candidates(*parts, found.dropped)


@torch.no_grad()
def test_in_an_export_each_anchor_has_a_part_of_the_limit(network: Network) -> None:
    (features,) = network.outputs_of(images(0), [0])
    everything = as_exported(split_of(network, 999), features)
    cells = everything.objectness.shape[1] // 3
    few = as_exported(split_of(network, 7), features)  # 3 each: the next whole part
    assert few.classes.shape == (2, 9, everything.classes.shape[2])
    for anchor in range(3):
        theirs, ours = slice(anchor * cells, anchor * cells + 3), slice(3 * anchor, 3 * anchor + 3)
        for name in ("xywh", "objectness", "classes"):
            torch.testing.assert_close(getattr(few, name)[:, ours], getattr(everything, name)[:, theirs])


def check(found: Candidates, full: Candidates, thresh: float) -> None:
    for image in range(len(full.objectness)):
        expected = torch.argsort(full.objectness[image], descending=True, stable=True)
        expected = expected[full.objectness[image, expected] > thresh]
        count = len(expected)
        assert int((found.objectness[image] > thresh).sum()) == count > 0
        torch.testing.assert_close(found.objectness[image, :count], full.objectness[image, expected], atol=1e-6, rtol=0)
        torch.testing.assert_close(found.xywh[image, :count], full.xywh[image, expected], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(found.classes[image, :count], full.classes[image, expected], atol=1e-5, rtol=0)
        assert found.dropped[image] == 0


@torch.no_grad()
def test_candidates_beyond_the_limit_are_counted_and_the_best_ones_stay(network: Network) -> None:
    (features,) = network.outputs_of(images(0), [0])
    everything = split_of(network, 999)(features, 0.5)
    few = split_of(network, 4)(features, 0.5)
    assert few.classes.shape[1] == 4
    above = (everything.objectness > 0.5).sum(1)
    assert (above > 4).all()
    assert few.dropped.tolist() == (above - 4).tolist()
    torch.testing.assert_close(few.objectness, everything.objectness[:, :4])
    torch.testing.assert_close(few.classes, everything.classes[:, :4])


@torch.no_grad()
def test_images_with_different_numbers_of_candidates_share_a_batch(network: Network) -> None:
    (features,) = network.outputs_of(images(0), [0])
    features[1] *= 0  # the same few values everywhere
    alone = [split_of(network)(part[None], 0.5) for part in features]
    together = split_of(network)(features, 0.5)
    for image, single in enumerate(alone):
        count = single.objectness.shape[1]
        torch.testing.assert_close(together.objectness[image, :count], single.objectness[0])
        torch.testing.assert_close(together.classes[image, :count], single.classes[0], atol=1e-6, rtol=0)
        assert not together.objectness[image, count:].any()


@torch.no_grad()
def test_no_candidate_at_all(network: Network) -> None:
    (features,) = network.outputs_of(images(0), [0])
    found = split_of(network)(features, 1.0)
    assert found.objectness.shape == (2, 0)
    assert found.dropped.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("head", "last"),
    [
        ("background=1", "activation=linear"),
        ("softmax=1", "activation=leaky"),
        ("softmax=1", "activation=linear\nbatch_normalize=1"),
        ("softmax=1", "activation=linear\nstride=2"),
    ],
)
def test_other_endings_keep_the_full_head(head: str, last: str) -> None:
    assert splittable(lower(parse_cfg(network_text("softmax=1"))))
    assert not splittable(lower(parse_cfg(network_text(head, last=last))))
