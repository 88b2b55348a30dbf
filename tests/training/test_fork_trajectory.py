"""Ten updates by the fork and by us, from the same weights on the same pictures."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from darknet_compat.network.load import load_network, save_weights
from darknet_compat.training.batches.truth import Truth
from darknet_compat.training.losses import Losses
from darknet_compat.training.update.optimizer import make_optimizer
from darknet_compat.training.update.schedule import learning_rate

Array = NDArray[np.float32]
NAMES = (
    "classifier", "gaussian", "yolo_batchnorm", "yolo_ciou", "yolo_dilation_groups", "yolo_learning_rate_factor",
    "yolo_mse", "yolo_new_coords", "yolo_reorg3d", "yolo_route_groups_swish", "yolo_shortcut", "yolo_two_heads",
)  # fmt: skip


def truth_of(rows: Array) -> Truth | torch.Tensor:
    """[N, T, 6] as the fork has it, ended by x = 0; a classifier's [N, classes] as it is."""
    if rows.ndim == 2:
        return torch.from_numpy(rows)
    there = np.cumprod(rows[..., 0] != 0, axis=1).astype(bool)
    return Truth(torch.from_numpy(rows[..., :4].copy()), torch.from_numpy(np.where(there, rows[..., 4], -1)).long())


def largest_difference(found: Array, expected: Array, manifest: list[str]) -> float:
    """Of the largest value of a slot."""
    at, worst = 0, 0.0
    for line in manifest:
        count = int(line.split()[-1])
        ours, theirs = found[at : at + count], expected[at : at + count]
        worst = max(worst, float(np.abs(ours - theirs).max() / np.abs(theirs).max()))
        at += count
    assert at == len(expected) == len(found)
    return worst


@pytest.mark.parametrize("name", NAMES)
def test_ten_updates_are_the_forks(name: str, shared_data: Path, tmp_path: Path) -> None:
    """Weights after 1, 2, 5 and 10 of them to 1e-3 of a slot's largest, losses to 1e-4, rates equal."""
    data = np.load(shared_data / "fork" / f"traj_{name}.npz")
    weights = tmp_path / "start.weights"
    weights.write_bytes(struct.pack("<iiiQ", 0, 2, 5, 0) + data["weights_before"].tobytes())
    cfg = shared_data / "fork" / f"traj_{name}.cfg"
    network = load_network(cfg, weights, dialect="fork", batchnorm="cpu").train()  # which the data are from
    if name == "yolo_batchnorm":  # its CPU build alone, by mistake, gives them no gradient
        for layer in network.layers:
            if getattr(layer, "normalized", False):
                layer.biases.requires_grad_(False)
    losses, optimizer, net = Losses(network), make_optimizer(network), network.spec.net
    seen = 0
    for step in range(1, 11):
        cost = 0.0
        for part in np.array_split(np.arange(4), net.subdivisions):
            seen += len(part)
            result = losses(network(torch.from_numpy(data["images"][part])), truth_of(data["truth"][part]), seen)
            result.loss.backward()
            cost += sum(map(float, result.costs)) / len(result.costs)
        rate = learning_rate(net, step)
        optimizer.step(rate)
        optimizer.zero_grad()
        assert rate == data["rate_after"][step - 1]
        assert cost / 4 == pytest.approx(float(data["loss"][step - 1]), rel=1e-4)
        if f"weights_after_{step:02d}" in data:
            save_weights(network, weights)
            found = np.frombuffer(weights.read_bytes()[20:], np.float32)
            off = largest_difference(found, data[f"weights_after_{step:02d}"], data["manifest"].tolist())
            assert off <= 1e-3, step
    moved = np.abs(data["weights_after_10"] - data["weights_before"]).max()
    assert moved > 1e-3
