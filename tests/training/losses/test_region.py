"""[region] against the original's own deltas: flat, by a tree, and with labels of whole pictures."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from darknet_compat.network.heads import by_anchor
from darknet_compat.network.network import Network
from darknet_compat.parity.definition import region_with_tree
from darknet_compat.parity.reference import Original
from darknet_compat.training.batches.truth import Truth
from darknet_compat.training.losses import Losses
from tests.training.losses.making import (
    TOLERANCE,
    Array,
    Batch,
    batches,
    head_only,
    off,
    printed_figures,
    random_tree,
    same_figures,
    truth_of,
)

FIGURES = ("avg_iou", "class", "obj", "no_obj", "recall", "count")
GRID = (5, 6)
ANCHORS = "anchors=0.4,0.7, 1,0.8, 2.5,3\nnum=3\n"
SCALES = "object_scale=5\nclass_scale=1.5\nnoobject_scale=0.5\ncoord_scale=2\nthresh=0.3\n"
PHASES = (3, 12_799, 12_800, 100_000)


def region(folder: Path, classes: int, options: str, coords: int = 4) -> Network:
    layers = f"[region]\nclasses={classes}\ncoords={coords}\n{ANCHORS}{SCALES}{options}"
    return head_only(folder, layers, (3 * (coords + 1 + classes), *GRID))


def check(network: Network, original: Original, folder: Path, batch: Batch, seen: int, given: Array) -> None:
    """Ours equals the original's, which reads `given`: delta, cost and figures."""
    (layer,), said = original.train_deltas(
        folder / "head.cfg", None, given, batch.rows, seen=seen, activated_trees=True
    )
    result = Losses(network)(torch.from_numpy(batch.images), batch.truth, seen)
    assert off(result.heads[0].delta, layer.delta) < TOLERANCE
    assert float(result.costs[0]) == pytest.approx(layer.cost, rel=1e-4)
    (printed,) = printed_figures(said, FIGURES)
    assert same_figures(result.figures, printed), (result.figures, printed)


@pytest.mark.reference
@pytest.mark.parametrize(
    "options", ["", "softmax=1", "absolute=1\nclassfix=1", "softmax=1\nbackground=1", "background=1", "max=30"]
)
def test_flat(darknet: Original, tmp_path: Path, options: str) -> None:
    """Every option, in both phases, on 50 batches; classes as the original's labels or as other ones."""
    choices = list(itertools.product((0, 1), (0, 1), PHASES))
    for number, batch in enumerate(batches((36, *GRID), 7)):
        match, rescore, seen = choices[number % len(choices)]
        network = region(tmp_path, 7, f"bias_match={match}\nrescore={rescore}\n{options}")
        check(network, darknet, tmp_path, batch, seen, batch.images)


@pytest.mark.reference
def test_a_slot_with_several_labels_forgets_as_the_original_does(darknet: Original, tmp_path: Path) -> None:
    """The trap: whether a slot has a label already is told from class 0, whose delta may be 0 by chance."""
    network = region(tmp_path, 3, "bias_match=1")
    for batch in batches((24, *GRID), 3):
        rng = np.random.default_rng(int(batch.rows.sum() * 1000))
        batch.images[:, 5::8] = rng.choice([-120, 0, 120], batch.images[:, 5::8].shape)
        batch.rows[..., :4] = np.where(batch.rows[..., :1] > 0, [0.55, 0.55, 0.2, 0.2], 0)
        check(network, darknet, tmp_path, batch._replace(truth=truth_of(batch.rows)), 20_000, batch.images)


@pytest.mark.reference
def test_a_map_takes_labels_to_classes(darknet: Original, tmp_path: Path) -> None:
    (tmp_path / "some.map").write_text("5\n0\n6\n")
    network = region(tmp_path, 7, "softmax=1\nmap=some.map")
    for batch in itertools.islice(batches((36, *GRID), 3), 10):
        check(network, darknet, tmp_path, batch, 20_000, batch.images)


def activated(network: Network, images: Array) -> Array:
    """The images with class outputs that are probabilities, computed in float64 from the definition."""
    (spec,) = network.spec.heads
    wide = region_with_tree(spec, images).reshape(3, spec.num, -1, *GRID).astype(np.float32)
    given = images.reshape(wide.shape).copy()
    given[:, :, spec.coords + 1 :] = wide[:, :, spec.coords + 1 :]
    return given.reshape(images.shape)


@pytest.mark.reference
@pytest.mark.parametrize("whole", [False, True], ids=["boxes", "whole pictures too"])
def test_tree(darknet: Original, tmp_path: Path, whole: bool) -> None:
    """The original's deltas of probabilities that are the definition's: its own softmax over a tree is another's."""
    choices = list(itertools.product((0, 1), (0, 1), PHASES))
    for number, batch in enumerate(batches((3 * 35, *GRID), 30, spread=1.5)):
        rng = np.random.default_rng(number)
        match, rescore, seen = choices[number % len(choices)]
        (tmp_path / "random.tree").write_text(random_tree(rng, 30))
        network = region(tmp_path, 30, f"bias_match={match}\nrescore={rescore}\nsoftmax=1\ntree=random.tree")
        if whole:
            boxes = int((batch.rows[0, :, 0] > 0).sum())
            batch.rows[0, min(int(rng.integers(0, boxes + 1)), 29)] = [999_999] * 4 + [rng.integers(30)]
            batch.rows[1, :1] = [999_999] * 4 + [rng.integers(30)]
            batch.rows[1, 1:] = 0
            batch = batch._replace(truth=truth_of(batch.rows))
        check(network, darknet, tmp_path, batch, seen, activated(network, batch.images))


@pytest.mark.reference
def test_the_cpu_builds_softmax_over_a_tree_is_not_the_definitions(darknet: Original, tmp_path: Path) -> None:
    (tmp_path / "random.tree").write_text(random_tree(np.random.default_rng(0), 30))
    network = region(tmp_path, 30, "softmax=1\ntree=random.tree")
    batch = list(itertools.islice(batches((3 * 35, *GRID), 30), 2))[1]
    (layer,), _ = darknet.train_deltas(tmp_path / "head.cfg", None, batch.images, batch.rows, seen=20_000)
    result = Losses(network)(torch.from_numpy(batch.images), batch.truth, 20_000)
    assert not off(result.heads[0].delta, layer.delta) < 0.1


def test_gradients_pass_the_logistic_of_x_y_and_objectness_only(tmp_path: Path) -> None:
    """As `backward_region_layer_gpu` has it; the CPU build passes nothing back."""
    network = region(tmp_path, 7, "softmax=1\nrescore=1")
    batch = list(itertools.islice(batches((36, *GRID), 7), 2))[1]
    raw = torch.from_numpy(batch.images).requires_grad_()
    result = Losses(network)(raw, batch.truth, 0)
    result.loss.backward()
    output = by_anchor(network.activated(raw)[0], 3).detach()
    expected = -by_anchor(result.heads[0].delta, 3).clone()
    for entry in (0, 1, 4):
        expected[:, :, entry] *= output[:, :, entry] * (1 - output[:, :, entry])
    assert raw.grad is not None
    torch.testing.assert_close(by_anchor(raw.grad, 3), expected)
    assert result.loss.item() == result.costs[0].item()


def test_a_label_can_go_to_the_box_that_is_surest_to_be_an_object(tmp_path: Path) -> None:
    """As below; the second cell has the higher objectness."""
    (tmp_path / "pairs.tree").write_text("a -1\nb -1\nc 0\nd 0\n")
    layers = "[region]\nclasses=4\nnum=1\nanchors=1,1\nsoftmax=1\ntree=pairs.tree\nobject_scale=5\n"
    network = head_only(tmp_path, layers, (9, 1, 2))
    raw = torch.zeros(1, 9, 1, 2)
    raw[0, 4:6, 0] = torch.tensor([[-1.5, -1.0], [2.0, 0.0]])
    truth = Truth(torch.zeros(1, 1, 4), torch.tensor([[2]]))
    delta = Losses(network, rule="surest")(raw, truth, 0).heads[0].delta[0, :, 0]
    objectness = torch.sigmoid(raw[0, 4, 0])
    torch.testing.assert_close(delta[4], torch.stack([torch.tensor(0.0), 5 * (0.3 - objectness[1])]))
    assert (delta[5:, 0] == 0).all()
    torch.testing.assert_close(delta[5:, 1], torch.tensor([0.5, -0.5, 0.5, -0.5]))


@pytest.mark.parametrize("rule", ["darknet", "paper"])
def test_what_a_whole_pictures_label_does(tmp_path: Path, rule: str) -> None:
    """By hand: two cells, one anchor, four classes below one another in pairs."""
    (tmp_path / "pairs.tree").write_text("a -1\nb -1\nc 0\nd 0\n")
    layers = "[region]\nclasses=4\nnum=1\nanchors=1,1\nsoftmax=1\ntree=pairs.tree\nobject_scale=5\n"
    network = head_only(tmp_path, layers, (9, 1, 2))
    raw = torch.zeros(1, 9, 1, 2)
    raw[0, 4, 0] = torch.tensor([-1.5, -1.0])  # objectness 0.182, 0.269
    raw[0, 5, 0] = torch.tensor([2.0, 0.0])  # P(a) 0.881, 0.5: the first cell has the likelier c
    truth = Truth(torch.zeros(1, 1, 4), torch.tensor([[2]]))
    delta = Losses(network, rule=rule)(raw, truth, 0).heads[0].delta[0, :, 0]  # type: ignore[arg-type]
    objectness = torch.sigmoid(raw[0, 4, 0])
    assert (delta[:4] == 0).all()
    pulled = 5 * (0.3 - objectness[0]) if rule == "paper" else torch.tensor(0.0)
    torch.testing.assert_close(delta[4], torch.stack([pulled, -objectness[1]]))
    likely = torch.sigmoid(torch.tensor(2.0))
    torch.testing.assert_close(delta[5:, 0], torch.stack([1 - likely, -(1 - likely), *torch.tensor([0.5, -0.5])]))
    assert (delta[5:, 1] == 0).all()


def test_a_flat_head_learns_whole_pictures_too(tmp_path: Path) -> None:
    network = region(tmp_path, 7, "softmax=1")
    batch = next(batches((36, *GRID), 7))
    truth = Truth(torch.zeros(3, 1, 4), torch.tensor([[3], [-1], [0]]))
    raw = torch.from_numpy(batch.images)
    delta = by_anchor(Losses(network)(raw, truth, 0).heads[0].delta, 3)  # [N, A, 12, H, W]
    output = by_anchor(network.activated(raw)[0], 3)
    for image, label in ((0, 3), (2, 0)):
        slot = (output[image, :, 4] * output[image, :, 5 + label]).argmax()
        rows = delta[image].movedim(1, -1).flatten(0, 2)[slot], output[image].movedim(1, -1).flatten(0, 2)[slot]
        torch.testing.assert_close(rows[0][5:], 1.5 * (torch.eye(7)[label] - rows[1][5:]))
        assert (delta[image, :, 5:] != 0).sum() == 7
    assert (delta[1, :, 5:] == 0).all()


def test_masks_are_learned_where_they_are_given(tmp_path: Path) -> None:
    network = region(tmp_path, 2, "softmax=1\nmask_scale=3\nbias_match=1", coords=6)
    raw = torch.randn(1, 27, *GRID)
    truth = Truth(torch.tensor([[[0.5, 0.5, 0.2, 0.2]]]), torch.tensor([[1]]))
    without = by_anchor(Losses(network)(raw, truth, 20_000).heads[0].delta, 3)
    assert (without[:, :, 4:6] == 0).all()
    head = Losses(network).losses[0]
    masks = torch.tensor([[[1.0, 0.0]]])
    delta = by_anchor(head(raw, truth, 20_000, (6, 5), masks).delta, 3)
    output = by_anchor(network.activated(raw)[0], 3)
    anchor = int(delta[0, :, 4, 2, 3].abs().argmax())
    torch.testing.assert_close(delta[0, anchor, 4:6, 2, 3], 3 * (masks[0, 0] - output[0, anchor, 4:6, 2, 3]))
    assert (delta[:, :, 4:6] != 0).sum() == 2


def test_more_truths_count_where_the_cfg_says_so(tmp_path: Path) -> None:
    boxes = torch.rand(1, 60, 4) * 0.5 + 0.1
    truth = Truth(boxes, torch.zeros(1, 60, dtype=torch.long))
    raw = torch.randn(1, 36, *GRID)
    for limit, count in (("", 30), ("max=50", 50), ("max=90", 60)):
        assert Losses(region(tmp_path, 7, limit))(raw, truth, 0).figures["count"] == count
