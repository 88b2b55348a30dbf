"""[detection], YOLO's first head, against the original's own deltas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from darknet_compat.errors import TrainingError
from darknet_compat.parity.reference import Original
from darknet_compat.training.losses import Losses
from tests.training.losses.making import (
    TOLERANCE,
    Array,
    Batch,
    batches,
    head_only,
    off,
    printed_figures,
    same_figures,
)

FIGURES = ("avg_iou", "class", "all_class", "obj", "no_obj", "count")
SIDE, CLASSES, NUM = 5, 4, 3
VALUES = SIDE * SIDE * (CLASSES + 5 * NUM)


def cells(batch: Batch) -> Array:
    """What `fill_truth_region` makes of the boxes, [N, side²·(5 + classes)]: the first box in a cell counts."""
    grid = np.zeros((3, SIDE, SIDE, 5 + CLASSES), np.float32)
    for image, row in ((image, row) for image, rows in enumerate(batch.rows) for row in rows if row[0]):
        x, y = row[0] * np.float32(SIDE), row[1] * np.float32(SIDE)
        if row[2] >= 0.005 and row[3] >= 0.005 and not grid[image, int(y), int(x), 0]:
            onehot = np.arange(CLASSES) == row[4]
            grid[image, int(y), int(x)] = [1, *onehot, x - int(x), y - int(y), *row[2:4]]
    return grid.reshape(3, -1)


@pytest.mark.reference
@pytest.mark.parametrize("options", ["", "sqrt=1", "rescore=1\nsqrt=1", "softmax=1\nforced=1"])
def test_detection(darknet: Original, tmp_path: Path, options: str) -> None:
    layers = (
        f"[detection]\nclasses={CLASSES}\ncoords=4\nside={SIDE}\nnum={NUM}\nobject_scale=2\nnoobject_scale=.5\n"
        f"class_scale=1.5\ncoord_scale=5\n{options}"
    )
    network = head_only(tmp_path, layers, (VALUES, 1, 1))
    for batch in batches((VALUES, 1, 1), CLASSES, spread=0.4):
        (layer,), said = darknet.train_deltas(tmp_path / "head.cfg", None, batch.images, cells(batch))
        raw = torch.from_numpy(batch.images).requires_grad_()
        result = Losses(network)(raw, batch.truth, 0)
        assert off(result.heads[0].delta, layer.delta) < TOLERANCE
        assert float(result.costs[0]) == pytest.approx(layer.cost, rel=1e-4)
        (printed,) = printed_figures(said, FIGURES)
        assert same_figures(result.figures, printed)
        result.loss.backward()
        assert raw.grad is not None
        assert torch.equal(raw.grad.flatten(1), -result.heads[0].delta)


def test_random_chooses_any_box_of_a_cell_at_first(tmp_path: Path) -> None:
    layers = f"[detection]\nclasses={CLASSES}\ncoords=4\nside={SIDE}\nnum={NUM}\nrandom=1"
    network = head_only(tmp_path, layers, (VALUES, 1, 1))
    batch = list(batches((VALUES, 1, 1), CLASSES))[1]
    losses, raw = Losses(network), torch.from_numpy(batch.images)
    early = [losses(raw, batch.truth, 63_999).heads[0].delta for _ in range(5)]
    late = [losses(raw, batch.truth, 64_000).heads[0].delta for _ in range(5)]
    assert any(not torch.equal(early[0], other) for other in early)
    assert all(torch.equal(late[0], other) for other in late)


def test_boxes_of_other_than_four_numbers_are_refused(tmp_path: Path) -> None:
    network = head_only(tmp_path, "[detection]\nclasses=1\ncoords=5\nside=2\nnum=1", (28, 1, 1))
    with pytest.raises(TrainingError, match="coords=5"):
        Losses(network)
