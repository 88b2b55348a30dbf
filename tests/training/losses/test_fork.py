"""The fork's losses: against its own answers where they lie beside the checkout, and by hand and autograd."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from darknet_compat.definition.lower import load_spec
from darknet_compat.errors import TrainingError
from darknet_compat.network.network import Network
from darknet_compat.training.batches.truth import Truth
from darknet_compat.training.losses import Losses
from darknet_compat.training.losses.base import iou
from darknet_compat.training.losses.boxes import Overlap, box_gradient, overlap
from tests.training.losses.making import batches, off

MEASURES: tuple[Overlap, ...] = ("iou", "giou", "diou", "ciou")
ANCHORS = "anchors=2,3, 5,4, 8,13, 16,14\nnum=4\n"


def head(folder: Path, section: str, options: str = "", shape: tuple[int, int, int] = (20, 5, 6)) -> Network:
    """One head on the network's own input, of the fork's dialect; the input is twice as large as its grid."""
    c, h, w = shape
    path = folder / "head.cfg"
    net = f"[net]\nchannels={c}\nheight={2 * h}\nwidth={2 * w}\nbatch=1\n"
    pick = "[maxpool]\nsize=1\nstride=2\npadding=0\n"
    path.write_text(f"{net}{pick}[{section}]\nclasses=5\n{ANCHORS}{options}\n")
    return Network(load_spec(path, dialect="fork")).train()


def truth_of(rows: np.ndarray) -> Truth:
    """[N, T, 6] as the fork has it, ended by x = 0."""
    there = np.cumprod(rows[..., 0] != 0, axis=1).astype(bool)
    classes = np.where(there, rows[..., 4], -1)
    return Truth(torch.from_numpy(rows[..., :4].copy()), torch.from_numpy(classes).long())


def test_a_limit_below_nothing(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"head.cfg:\d+: layer 1 \[yolo\] max_delta must be from 0 on, found -1"):
        Losses(head(tmp_path, "yolo", "mask=0,1\nmax_delta=-1\n"))


@pytest.mark.parametrize("kind", ["yolo", "gaussian", "region"])
def test_every_head_is_the_forks(shared_data: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deltas of 59 [yolo], 17 [Gaussian_yolo] and 4 [region] to 1e-5 of the largest, costs to 1e-4."""
    monkeypatch.chdir(shared_data / "fork")  # where golden.map lies
    cases = sorted(Path().glob(f"train_{kind}_*.npz"))
    assert len(cases) == {"yolo": 59, "gaussian": 17, "region": 4}[kind]
    worst = [0.0, 0.0]
    for case in cases:
        expected = np.load(case)
        network = Network(load_spec(case.with_suffix(".cfg"), dialect="fork")).train()
        size = network.spec.net.width, network.spec.net.height
        raw = torch.from_numpy(expected["raw"])
        (found,) = Losses(network)(raw, truth_of(expected["truth"]), int(expected["seen"]), size).heads
        delta = off(found.delta, expected["delta"].reshape(len(raw), -1))
        cost = abs(float(found.cost) / float(expected["cost"]) - 1)
        assert delta < 1e-5 and cost <= 1e-4, (case.name, delta, cost)
        worst = [max(worst[0], delta), max(worst[1], cost)]
    print(f"{kind}: delta {worst[0]:.2g} of the largest, cost {worst[1]:.2g}")


# ------------------------------------------------------------------------------------------------ measures


def some_boxes(seed: int, count: int = 200) -> tuple[Tensor, Tensor]:
    """Boxes and truths that overlap, [count, 4] each."""
    random = np.random.default_rng(seed)
    truth = np.hstack([random.uniform(0.3, 0.7, (count, 2)), random.uniform(0.1, 0.5, (count, 2))])
    box = truth + np.hstack([random.uniform(-0.04, 0.04, (count, 2)), random.uniform(-0.05, 0.3, (count, 2))])
    return torch.from_numpy(box), torch.from_numpy(truth)


@pytest.mark.parametrize("measure", ["iou", "giou"])
def test_where_boxes_overlap_the_gradient_is_the_measures_and_twice_that_of_sides(measure: Overlap) -> None:
    box, truth = some_boxes(0)
    moving = box.clone().requires_grad_()
    (expected,) = torch.autograd.grad(overlap_of(moving, truth, measure).sum(), moving)
    found = box_gradient(box, truth, measure)
    torch.testing.assert_close(found[:, :2], expected[:, :2], atol=1e-9, rtol=1e-7)
    torch.testing.assert_close(found[:, 2:], 2 * expected[:, 2:], atol=1e-9, rtol=1e-7)


def overlap_of(a: Tensor, b: Tensor, measure: Overlap) -> Tensor:
    """The measure in plain torch, for autograd."""
    low = torch.maximum(a[:, :2] - a[:, 2:] / 2, b[:, :2] - b[:, 2:] / 2)
    high = torch.minimum(a[:, :2] + a[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2)
    shared = (high - low).prod(1)
    union = a[:, 2:].prod(1) + b[:, 2:].prod(1) - shared
    if measure == "iou":
        return shared / union
    first = torch.minimum(a[:, :2] - a[:, 2:] / 2, b[:, :2] - b[:, 2:] / 2)
    last = torch.maximum(a[:, :2] + a[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2)
    area = (last - first).prod(1)
    return shared / union - (area - union) / area


@pytest.mark.parametrize("measure", MEASURES)
def test_a_box_far_away_is_pulled_towards_its_truth_except_by_iou(measure: Overlap) -> None:
    box, truth = torch.tensor([[0.2, 0.3, 0.1, 0.1]]), torch.tensor([[0.8, 0.7, 0.2, 0.2]])
    gradient = box_gradient(box, truth, measure)[0]
    if measure == "iou":
        return  # its sides keep their signs where nothing is shared, so that it says nothing sensible
    assert gradient[0] > 0 and gradient[1] > 0
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("measure", MEASURES)
def test_measures_by_hand(measure: Overlap) -> None:
    """A square of side 2 and one of side 1 in its corner: IoU ¼, enclosed by the larger; centres ½, ½ apart."""
    a, b = torch.tensor([1.0, 1, 2, 2]), torch.tensor([0.5, 0.5, 1, 1])
    share = 0.5 / 8  # squared distance over squared diagonal
    expected = {"iou": 0.25, "giou": 0.25, "diou": 0.25 - share**0.6, "ciou": 0.25 - share}
    assert float(overlap(a, b, measure)) == pytest.approx(expected[measure])
    assert float(overlap(a, a, measure)) == pytest.approx(1)


# --------------------------------------------------------------------------------------------------- heads


def test_plain_squares_are_the_originals_where_no_two_truths_meet(tmp_path: Path) -> None:
    """Nothing is ignored, iou_normalizer is 1 and each image has one object: then both dialects say the same."""
    options = "mask=0,1,2,3\nignore_thresh=1\niou_normalizer=1\n"
    fork = head(tmp_path, "yolo", options, (40, 5, 6))
    original = Network(load_spec(tmp_path / "head.cfg", dialect="original")).train()
    for batch in list(batches((40, 5, 6), 5, limit=1))[:20]:
        raw = torch.from_numpy(batch.images)
        (ours,), (theirs,) = (Losses(network)(raw, batch.truth, 0).heads for network in (fork, original))
        torch.testing.assert_close(ours.delta, theirs.delta, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(ours.cost, theirs.cost)


@pytest.mark.parametrize("loss", ["mse", "giou", "ciou"])
def test_box_deltas_of_two_truths_in_one_slot_add_up_and_the_last_has_the_objectness(tmp_path: Path, loss: str) -> None:
    network = head(tmp_path, "yolo", f"mask=0,1\niou_loss={loss}\nlabel_smooth_eps=0.1\ncounters_per_class=1,2,4,8,8\n")
    raw = torch.from_numpy(np.random.default_rng(1).normal(0, 1, (1, 20, 5, 6)).astype(np.float32))
    boxes, classes = torch.tensor([[[0.42, 0.45, 0.2, 0.25], [0.43, 0.44, 0.18, 0.3]]]), torch.tensor([[1, 3]])

    def delta(rows: list[int]) -> Tensor:
        (found,) = Losses(network)(raw, Truth(boxes[:, rows], classes[:, rows]), 0).heads
        return found.delta.unflatten(1, (2, 10))[0, :, :, 2, 2]

    both, first, second = delta([0, 1]), delta([0]), delta([1])
    anchor = int(first[:, :4].abs().sum(1).argmax())
    torch.testing.assert_close(both[anchor, :4], first[anchor, :4] + second[anchor, :4])
    assert both[anchor, 4] == second[anchor, 4] != first[anchor, 4]
    # All classes as the first left them, but the second's own.
    torch.testing.assert_close(both[anchor, [5, 6, 7, 9]], first[anchor, [5, 6, 7, 9]])
    torch.testing.assert_close(both[anchor, 8], second[anchor, 8])


def test_more_anchors_learn_with_iou_thresh(tmp_path: Path) -> None:
    """Of four anchors those whose IoU of sizes with the truth is above the threshold get it too."""
    raw = torch.zeros(1, 40, 5, 6)
    truth = Truth(torch.tensor([[[0.5, 0.5, 5 / 12, 4 / 10]]]), torch.tensor([[0]]))

    def anchors(thresh: float) -> list[int]:
        network = head(tmp_path, "yolo", f"mask=0,1,2,3\niou_thresh={thresh}\n", (40, 5, 6))
        (found,) = Losses(network)(raw, truth, 0).heads
        return (found.delta.unflatten(1, (4, 10))[0, :, 4, 2, 3] > 0).nonzero().flatten().tolist()

    # 2x3 of 5x4 is 6/20; 8x13 holds it: 20/104; 16x14: 20/224.
    assert anchors(1) == [1]
    assert anchors(0.25) == [0, 1]
    assert anchors(0.15) == [0, 1, 2]


def test_boxes_are_let_be_only_where_some_class_is_probable(tmp_path: Path) -> None:
    """A cell whose box is the truth but whose classes all are below ¼ is taught that nothing is there."""
    network = head(tmp_path, "yolo", "mask=0,1\nignore_thresh=.3\n")
    truth = Truth(torch.tensor([[[0.5, 0.5, 16 / 12, 14 / 10]]]), torch.tensor([[0]]))  # another head's
    for bias, pushed in ((-3.0, True), (0.0, False)):
        raw = torch.zeros(1, 2, 10, 5, 6)
        raw[:, 1, 2], raw[:, 1, 3] = math.log(16 / 5), math.log(14 / 4)  # anchor 1 grown to the truth's size
        raw[:, :, 5:] = bias
        (found,) = Losses(network)(raw.flatten(1, 2), truth, 0).heads
        assert bool(found.delta.unflatten(1, (2, 10))[0, 1, 4, 2, 3] != 0) is pushed


def test_gaussian_deltas_descend_the_likelihood(tmp_path: Path) -> None:
    """Coordinates and uncertainties of the truth's slot: minus the gradient of -log(N + 1e-9)·(2 - wh)/2."""
    network = head(tmp_path, "Gaussian_yolo", "mask=0,1\niou_normalizer=1\n", (28, 5, 6))
    raw = torch.from_numpy(np.random.default_rng(2).normal(0, 0.5, (1, 28, 5, 6)).astype(np.float32))
    box = torch.tensor([0.42, 0.45, 0.4, 0.35])
    (found,) = Losses(network)(raw, Truth(box[None, None], torch.tensor([[2]])), 0).heads
    delta = found.delta.unflatten(1, (2, 14))[0, :, :, 2, 2]
    anchor = int(delta[:, :8].abs().sum(1).argmax())
    activated = network.layers[-1](raw).unflatten(1, (2, 14))[0, anchor, :8, 2, 2].double().requires_grad_()
    sides = torch.tensor([[2, 3], [5, 4]])[anchor] / torch.tensor([12, 10])
    target = torch.cat([box[:2] * torch.tensor([6, 5]) - 2, (box[2:] / sides).log()])
    value, sigma = activated[0::2], activated[1::2]
    density = torch.exp(-(((target - value) / sigma) ** 2) / 2) / (math.sqrt(2 * math.pi) * (sigma + 0.3))
    # The density's own factor: the fork's e is (t - x)/σ, its normalizer has σ + 0.3.
    loss = -(density + 1e-9).log().sum() * (2 - float(box[2] * box[3])) / 2
    (expected,) = torch.autograd.grad(loss, activated)
    rising = int((delta[anchor, 9:] > 0).sum())
    assert rising == 1
    torch.testing.assert_close(delta[anchor, :8].double(), -expected, atol=1e-5, rtol=1e-4)


def test_pictures_with_a_label_as_a_whole_have_no_gradient(tmp_path: Path) -> None:
    network = head(tmp_path, "yolo", "mask=0,1\niou_loss=ciou\n")
    raw = torch.from_numpy(np.random.default_rng(3).normal(0, 1, (2, 20, 5, 6)).astype(np.float32)).requires_grad_()
    boxes = torch.tensor([[[0.4, 0.4, 0.3, 0.3], [0, 0, 0, 0]], [[0.4, 0.4, 0.3, 0.3], [0.5, 0.5, 0.2, 0.2]]])
    result = Losses(network)(raw, Truth(boxes, torch.tensor([[1, 2], [1, 2]])), 0)
    result.loss.backward()
    assert raw.grad is not None
    assert (raw.grad[0] == 0).all() and (raw.grad[1] != 0).any()
    assert torch.equal(raw.grad, -result.heads[0].delta)


def test_no_truth_at_all(tmp_path: Path) -> None:
    network = head(tmp_path, "yolo", "mask=0,1\niou_loss=ciou\ntruth_thresh=.5\nobjectness_smooth=1\n")
    raw = torch.zeros(1, 20, 5, 6)
    (found,) = Losses(network)(raw, Truth(torch.zeros(1, 1, 4), torch.tensor([[-1]])), 0).heads
    delta = found.delta.unflatten(1, (2, 10))
    assert (delta[:, :, 4] == -0.5).all()
    assert (delta[:, :, [0, 1, 2, 3, 5, 6, 7, 8, 9]] == 0).all()
    assert float(iou(torch.zeros(4), torch.zeros(4))) == 0


def test_a_regions_deltas_are_of_raw_values_and_do_not_mind_a_boxs_area(tmp_path: Path) -> None:
    """Coordinates less than in the original by 2 - area, all of them with the logistic function's derivative."""
    section = "[region]\nanchors=1,1.2, 2,1.5\nnum=2\nclasses=3\nsoftmax=1\nbias_match=1\nrescore=1\nthresh=2\nmax=30\n"
    path = tmp_path / "head.cfg"
    path.write_text(f"[net]\nchannels=16\nheight=5\nwidth=6\n{section}")
    raw = torch.from_numpy(np.random.default_rng(4).normal(0, 1, (1, 16, 5, 6)).astype(np.float32))
    truth = Truth(torch.tensor([[[0.42, 0.45, 0.4, 0.5]]]), torch.tensor([[1]]))
    (ours,), (theirs,) = (
        Losses(Network(load_spec(path, dialect=dialect)).train())(raw, truth, 20_000).heads
        for dialect in ("fork", "original")
    )
    found, original = -ours.gradient.unflatten(1, (2, 8)), -theirs.gradient.unflatten(1, (2, 8))
    torch.testing.assert_close(found[:, :, :4] * (2 - 0.2), original[:, :, :4])
    torch.testing.assert_close(found[:, :, 4:], original[:, :, 4:])
    assert torch.equal(ours.delta, -ours.gradient)
    assert float(ours.cost) == pytest.approx(float(ours.gradient.square().sum()))
