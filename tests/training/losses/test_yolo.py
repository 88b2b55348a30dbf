"""[yolo] against the original's own deltas."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from darknet_compat.network.network import Network
from darknet_compat.parity.reference import Original
from darknet_compat.training.batches.truth import Truth
from darknet_compat.training.losses import Losses
from tests.training.losses.making import TOLERANCE, Batch, batches, head_only, off, printed_figures, same_figures

FIGURES = ("avg_iou", "class", "obj", "no_obj", "recall", "recall_75", "count")
ANCHORS = "anchors=2,3, 5,4, 8,13, 16,14\nnum=4\n"


def two_heads(folder: Path, options: str = "") -> Network:
    """5 x 6 and 2 x 3 cells of an image of 10 x 12, with half of the anchors each."""
    head = f"[yolo]\nclasses=5\n{ANCHORS}{options}\n"
    halve = "[maxpool]\nsize=2\nstride=2\npadding=0\n"
    layers = f"{halve}{head}mask=0,1\n[route]\nlayers=0\n{halve}{head}mask=3,2"
    return head_only(folder, layers, (20, 10, 12))


def check(network: Network, original: Original, folder: Path, batch: Batch) -> None:
    layers, said = original.train_deltas(folder / "head.cfg", None, batch.images, batch.rows, seen=20_000)
    result = Losses(network)(network(torch.from_numpy(batch.images)), batch.truth, 20_000)
    printed: dict[str, float] = {}
    for head, figures in zip(network.spec.heads, printed_figures(said, FIGURES), strict=True):
        printed |= {f"{name}_{head.index}": value for name, value in figures.items()}
    for head, found in zip(network.spec.heads, result.heads, strict=True):
        assert off(found.delta, layers[head.index].delta) < TOLERANCE
        assert float(found.cost) == pytest.approx(layers[head.index].cost, rel=1e-4)
    assert same_figures(result.figures, printed), (result.figures, printed)


@pytest.mark.reference
@pytest.mark.parametrize(
    "options", ["", "ignore_thresh=.2", "ignore_thresh=.1\ntruth_thresh=.3", "truth_thresh=.2\nmax=20"]
)
def test_yolo(darknet: Original, tmp_path: Path, options: str) -> None:
    """50 batches, with up to 90 boxes an image."""
    network = two_heads(tmp_path, options)
    for batch in batches((20, 10, 12), 5, limit=90):
        check(network, darknet, tmp_path, batch)


@pytest.mark.reference
@pytest.mark.parametrize("truth_thresh", [1, 0.2])
def test_a_slot_with_several_labels_forgets_as_the_original_does(
    darknet: Original, tmp_path: Path, truth_thresh: float
) -> None:
    """The trap: whether a slot has a label already is told from class 0, whose delta may be 0 by chance."""
    network = two_heads(tmp_path, f"truth_thresh={truth_thresh}")
    for number, batch in enumerate(batches((20, 10, 12), 5, limit=90)):
        rng = np.random.default_rng(number)
        batch.images[:, 5::10] = rng.choice([-120, 0, 120], batch.images[:, 5::10].shape)
        there = batch.rows[..., 0] > 0
        batch.rows[there, :4] = [0.45, 0.45, 0.3, 0.3]
        batch.rows[there, 4] = rng.integers(0, 3, int(there.sum()))
        batch.truth.boxes[:] = torch.from_numpy(batch.rows[..., :4])
        batch.truth.classes[:] = torch.from_numpy(np.where(there, batch.rows[..., 4], -1)).long()
        check(network, darknet, tmp_path, batch)


@pytest.mark.reference
def test_a_map_takes_labels_to_classes(darknet: Original, tmp_path: Path) -> None:
    (tmp_path / "some.map").write_text("3\n0\n4\n1\n2\n")
    network = two_heads(tmp_path, "map=some.map")
    for batch in itertools.islice(batches((20, 10, 12), 5, limit=90), 10):
        check(network, darknet, tmp_path, batch)


def test_gradients_are_the_deltas_and_pictures_with_a_label_as_a_whole_have_none(tmp_path: Path) -> None:
    network = two_heads(tmp_path)
    batch = list(itertools.islice(batches((20, 10, 12), 5), 2))[1]
    classes = torch.cat([batch.truth.classes, torch.tensor([[-1], [2], [-1]])], 1)
    truth = Truth(torch.cat([batch.truth.boxes, torch.zeros(3, 1, 4)], 1), classes)
    raws = tuple(raw.detach().requires_grad_() for raw in network(torch.from_numpy(batch.images)))
    result = Losses(network)(raws, truth, 0)
    result.loss.backward()
    for raw, head in zip(raws, result.heads, strict=True):
        assert raw.grad is not None
        assert torch.equal(raw.grad, -head.delta)
        assert (raw.grad[1] == 0).all()
        assert (raw.grad[0] != 0).any()


def test_the_size_of_the_images_follows_the_grid(tmp_path: Path) -> None:
    """Anchors are in pixels; images of twice the size have twice the grid."""
    network = two_heads(tmp_path)
    truth = Truth(torch.tensor([[[0.4, 0.4, 0.3, 0.3]]]), torch.tensor([[1]]))
    raws = network(torch.zeros(1, 20, 20, 24))
    by_grid = Losses(network)(raws, truth, 0).heads
    told = Losses(network)(raws, truth, 0, size=(24, 20)).heads
    other = Losses(network)(raws, truth, 0, size=(12, 10)).heads
    assert all(torch.equal(a.delta, b.delta) for a, b in zip(by_grid, told, strict=True))
    assert not all(torch.equal(a.delta, b.delta) for a, b in zip(by_grid, other, strict=True))
