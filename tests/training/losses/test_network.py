"""The loss of whole networks: in every precision, with nothing to be seen, compiled, and in parts."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from darknet_compat.definition.lower import load_spec
from darknet_compat.errors import TrainingError
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.network.network import Network
from darknet_compat.training.batches.truth import Truth
from darknet_compat.training.losses import Losses
from tests.training.losses.making import head_only

DETECTORS = (
    "[region]\nclasses=3\nnum=2\nanchors=1,1,2,2\nsoftmax=1\nrescore=1",
    "[region]\nclasses=3\nnum=2\nanchors=1,1,2,2",
    "[yolo]\nclasses=3\nnum=2\nanchors=1,1,2,2",
)
NOTHING = Truth(torch.zeros(2, 1, 4), torch.full((2, 1), -1))


@pytest.mark.parametrize("layers", DETECTORS)
@pytest.mark.parametrize("size", [1.0, 1e4], ids=["usual", "huge"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_gradients_are_finite(tmp_path: Path, layers: str, size: float, dtype: torch.dtype) -> None:
    """Also where a side is exp(10000), and where there is nothing to be seen."""
    network = head_only(tmp_path, layers, (16, 4, 4))
    generator = torch.Generator().manual_seed(0)
    boxes = torch.rand(2, 6, 4, generator=generator) * 0.5 + 0.1
    for truth in (Truth(boxes, torch.ones(2, 6, dtype=torch.long)), NOTHING):
        raw = (size * torch.randn(2, 16, 4, 4, generator=generator)).to(dtype).requires_grad_()
        result = Losses(network)(raw, truth, 0)
        result.loss.backward()
        assert raw.grad is not None
        assert raw.grad.dtype == dtype
        assert raw.grad.isfinite().all()
        assert result.loss.isfinite()
        assert all(math.isfinite(value) for value in result.figures.values())
    assert result.figures["count"] == 0
    assert "avg_iou" not in result.figures


@pytest.mark.parametrize("name", ["yolov2-tiny-voc", "yolov3-tiny", "darknet19"])
def test_networks_learn_from_one_batch(name: str) -> None:
    """Small plain steps on the same batch: each lowers the cost."""
    torch.manual_seed(0)
    network = Network(load_spec(cfg_dir() / f"{name}.cfg")).train()
    losses, optimizer = Losses(network), torch.optim.SGD(network.parameters(), 1e-5)
    images = torch.rand(2, 3, 64, 64)
    boxes = torch.tensor([[[0.5, 0.5, 0.4, 0.6], [0.2, 0.3, 0.2, 0.2]], [[0.6, 0.4, 0.9, 0.3], [0, 0, 0, 0]]])
    truth = Truth(boxes, torch.tensor([[3, 1], [5, -1]]))
    costs = []
    for _ in range(3):
        result = losses(network(images), truth, 20_000, (64, 64))
        optimizer.zero_grad()
        result.loss.backward()
        optimizer.step()
        costs.append(sum(result.costs).item())  # type: ignore[union-attr]
    assert costs == sorted(costs, reverse=True)


def test_labels_that_the_head_does_not_have_do_not_count(tmp_path: Path) -> None:
    network = head_only(tmp_path, DETECTORS[0], (16, 4, 4))
    raw = torch.randn(2, 16, 4, 4)
    boxes = torch.full((2, 1, 4), 0.5)
    beyond = Losses(network)(raw, Truth(boxes, torch.tensor([[3], [-1]])), 0).heads[0].delta
    assert torch.equal(beyond, Losses(network)(raw, NOTHING, 0).heads[0].delta)


def test_images_do_not_meet(tmp_path: Path) -> None:
    """A batch's deltas are those of its images one by one."""
    for layers in DETECTORS:
        network = head_only(tmp_path, layers, (16, 4, 4))
        raw, boxes = torch.randn(4, 16, 4, 4), torch.rand(4, 9, 4) * 0.4 + 0.1
        classes = torch.randint(-1, 3, (4, 9)).sort(1, descending=True).values
        whole = Losses(network)(raw, Truth(boxes, classes), 0).heads[0].delta
        each = [
            Losses(network)(raw[n : n + 1], Truth(boxes[n : n + 1], classes[n : n + 1]), 0).heads[0].delta
            for n in range(4)
        ]
        torch.testing.assert_close(whole, torch.cat(each), rtol=0, atol=0)


def test_a_network_with_nothing_to_learn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="nothing to be learned"):
        Losses(head_only(tmp_path, "[maxpool]\nsize=1", (3, 4, 4)))
    with pytest.raises(TrainingError, match=r":\d: layer \d \[iseg\] cannot be trained"):
        Losses(head_only(tmp_path, "[iseg]\nclasses=2\nids=1", (3, 4, 4)))
