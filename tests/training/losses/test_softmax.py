"""[softmax], [logistic] and [cost] against the original's own deltas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from darknet_compat.errors import TrainingError
from darknet_compat.formats.wordtree import parse_tree
from darknet_compat.network.network import Network
from darknet_compat.parity.definition import tree_softmax
from darknet_compat.parity.reference import Original
from darknet_compat.training.batches.truth import Truth
from darknet_compat.training.losses import Losses
from darknet_compat.training.losses.softmax import UNKNOWN
from tests.training.losses.making import BATCHES, TOLERANCE, Array, head_only, off, random_tree

INPUTS = 24


def labels(rng: np.random.Generator, rows: int) -> Truth:
    """A label or two of each whole picture; the last has none."""
    classes = torch.from_numpy(rng.integers(0, INPUTS, (rows, 2)))
    classes[: rows // 2, 1] = -1
    classes[-1] = -1
    return Truth(torch.zeros(rows, 2, 4), classes)


def onehots(truth: Truth) -> Array:
    target = np.zeros((len(truth.classes), INPUTS), np.float32)
    for row, classes in enumerate(truth.classes.tolist()):
        target[row, [number for number in classes if number >= 0]] = 1
    return target


def inputs(rng: np.random.Generator, rows: int = 4) -> Array:
    return (2 * rng.normal(0, 1, (rows, INPUTS, 1, 1))).astype(np.float32)


@pytest.mark.reference
@pytest.mark.parametrize(
    "layers",
    ["[softmax]", "[softmax]\ngroups=3\ntemperature=2", "[softmax]\nnoloss=1", "[logistic]"],
)
def test_heads(darknet: Original, tmp_path: Path, layers: str) -> None:
    network = head_only(tmp_path, layers, (INPUTS, 1, 1))
    for number in range(BATCHES):
        rng = np.random.default_rng(number)
        images, truth = inputs(rng), labels(rng, 4)
        (layer,), _ = darknet.train_deltas(tmp_path / "head.cfg", None, images, onehots(truth))
        raw = torch.from_numpy(images).requires_grad_()
        result = Losses(network)(raw, truth, 0)
        assert off(result.heads[0].delta, layer.delta) < TOLERANCE
        assert float(result.costs[0]) == pytest.approx(layer.cost, rel=1e-5)
        result.loss.backward()
        assert raw.grad is not None
        assert torch.equal(raw.grad.flatten(1), -result.heads[0].delta)


def known_groups(text: str, truth: Truth) -> Array:
    """What `fill_hierarchy` makes of labels, group by group."""
    tree = parse_tree(text.splitlines())
    target = onehots(truth)
    for row in target:
        for node in np.flatnonzero(row):
            row[tree.path(int(node))] = 1
        for offset, size in zip(tree.group_offsets, tree.group_sizes, strict=True):
            if not row[offset : offset + size].any():
                row[offset : offset + size] = UNKNOWN
    return target


@pytest.mark.reference
def test_tree(darknet: Original, tmp_path: Path) -> None:
    """Equal to the original in groups that a label's way passes through, and to the definition everywhere.

    In the other groups the CPU build takes the mark for a probability and pulls with -1234 - p.
    """
    for number in range(BATCHES):
        rng = np.random.default_rng(number)
        text = random_tree(rng, INPUTS)
        (tmp_path / "random.tree").write_text(text)
        network = head_only(tmp_path, "[softmax]\ntree=random.tree\ntemperature=1.5", (INPUTS, 1, 1))
        images, truth = inputs(rng), labels(rng, 4)
        target = known_groups(text, truth)
        result = Losses(network)(torch.from_numpy(images), truth, 0)
        delta = result.heads[0].delta
        probabilities = tree_softmax(parse_tree(text.splitlines()), images.reshape(4, -1), temperature=1.5)
        defined = np.where(target == UNKNOWN, 0, target - probabilities)
        assert off(delta, defined.astype(np.float32)) < TOLERANCE
        assert float(result.costs[0]) == pytest.approx(-np.log(probabilities[target == 1]).sum(), rel=1e-5)
        (layer,), _ = darknet.train_deltas(tmp_path / "head.cfg", None, images, target)
        assert off(delta, np.where(target == UNKNOWN, 0, layer.delta)) < TOLERANCE
        assert (layer.delta[target == UNKNOWN] < UNKNOWN).all()
        given = Losses(network)(torch.from_numpy(images), torch.from_numpy(target), 0)
        assert torch.equal(given.heads[0].delta, delta)


@pytest.mark.reference
@pytest.mark.parametrize("kind", ["sse", "L1", "smooth", "masked", "seg"])
@pytest.mark.parametrize("before", ["[softmax]\n", ""], ids=["after softmax", "alone"])
def test_cost(darknet: Original, tmp_path: Path, kind: str, before: str) -> None:
    """With a [softmax] before it both count, and the gradient is the sum of the two."""
    activation = "" if before else "[activation]\nactivation=linear\n"
    network = head_only(tmp_path, f"{before}{activation}[cost]\ntype={kind}\nscale=3", (INPUTS, 1, 1))
    for number in range(BATCHES // 5):
        rng = np.random.default_rng(number)
        images, target = inputs(rng), rng.normal(0, 1, (4, INPUTS)).astype(np.float32)
        if kind == "masked":
            target[rng.random(target.shape) < 0.3] = UNKNOWN
        layers, _ = darknet.train_deltas(tmp_path / "head.cfg", None, images, target)
        raw = network(torch.from_numpy(images)).detach().requires_grad_()
        result = Losses(network)(raw, torch.from_numpy(target), 0)
        expected, cost = layers[-1].delta.copy(), layers[-1].cost
        if kind == "smooth":  # beyond a distance of 1 the CPU build pulls the wrong way
            far = np.abs(layers[-1].delta) == 1
            assert far.any() or before
            expected[far] *= -1
        assert off(result.heads[-1].delta, expected) < TOLERANCE
        assert float(result.costs[-1]) == pytest.approx(cost, rel=1e-5)
        result.loss.backward()
        first = result.heads[0].delta if before else torch.zeros(())
        assert raw.grad is not None
        torch.testing.assert_close(raw.grad.flatten(1), -(first + 3 * result.heads[-1].delta))


def test_a_masked_cost_behind_a_tree_learns_the_way_down_it(tmp_path: Path) -> None:
    """As in darknet9000.cfg: labels make the same targets for both, so that the two deltas are equal."""
    for number in range(20):
        rng = np.random.default_rng(number)
        text = random_tree(rng, INPUTS)
        (tmp_path / "random.tree").write_text(text)
        network = head_only(tmp_path, "[softmax]\ntree=random.tree\n[cost]\ntype=masked", (INPUTS, 1, 1))
        raw, truth = torch.from_numpy(inputs(rng)), labels(rng, 4)
        softmax, cost = Losses(network)(network(raw), truth, 0).heads
        assert torch.equal(cost.delta, softmax.delta)
        ready = torch.from_numpy(known_groups(text, truth))
        assert torch.equal(Losses(network)(network(raw), ready, 0).heads[1].delta, cost.delta)


def cost_of(folder: Path, options: str, output: list[float], target: list[float]) -> tuple[list[float], float]:
    layers = f"[activation]\nactivation=linear\n[cost]\n{options}"
    network = head_only(folder, layers, (len(output), 1, 1))
    raw = network(torch.tensor(output)[None, :, None, None])
    result = Losses(network)(raw, torch.tensor([target]), 0)
    return result.heads[0].delta[0].tolist(), float(result.costs[0])


def test_what_of_cost_the_cuda_build_alone_has(tmp_path: Path) -> None:
    """By hand: seg's noobj, thresh, label smoothing, wgan."""
    assert cost_of(tmp_path, "type=seg\nnoobj=.25", [2, 2], [0, 1]) == ([-0.5, -1], 2)
    assert cost_of(tmp_path, "type=sse\nthresh=1", [0.75, 0.25], [1, 1]) == ([0, 0.75], 0.625)
    assert cost_of(tmp_path, "type=sse\nsmooth=.5", [0, 0], [0, 1]) == ([0.25, 0.75], 0.625)
    assert cost_of(tmp_path, "type=wgan", [3, 5], [1, 0]) == ([1, -1], 2)


def test_a_cost_that_nothing_can_be_handed_to_is_refused(tmp_path: Path) -> None:
    layers = "[maxpool]\nsize=1\n[cost]\n[route]\nlayers=0\n[softmax]"
    with pytest.raises(TrainingError, match=r"\[cost\] after \[maxpool\]"):
        Losses(head_only(tmp_path, layers, (INPUTS, 1, 1)))


def test_an_impossible_answer_costs_a_finite_number(tmp_path: Path) -> None:
    network: Network = head_only(tmp_path, "[softmax]", (INPUTS, 1, 1))
    raw = torch.zeros(1, INPUTS)
    raw[0, 0] = 500
    result = Losses(network)(raw, Truth(torch.zeros(1, 1, 4), torch.tensor([[1]])), 0)
    assert result.costs[0].isfinite()


def test_labels_of_mixed_pictures_count_by_their_shares_and_are_smoothed(tmp_path: Path) -> None:
    network = head_only(tmp_path, "[softmax]", (4, 1, 1), net="label_smooth_eps=0.3")
    classes = torch.tensor([[2, 0], [1, -1], [3, 3]])
    truth = Truth(torch.zeros(3, 2, 4), classes, torch.tensor([[0.25, 0.75], [1, 1], [0.5, 0.5]]))
    result = Losses(network)(torch.zeros(3, 4, 1, 1), truth, 0)
    aims = torch.tensor([[0.75, 0, 0.25, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    aims = 0.7 * aims + 0.1 * (1 - aims)  # eps / 3 for each of the others
    torch.testing.assert_close(result.heads[0].delta, aims - 0.25)
    torch.testing.assert_close(aims.sum(1), torch.ones(3))
