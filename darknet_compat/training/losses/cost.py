"""The loss of [cost] (original: cost_layer.c), of whatever layer comes before it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from darknet_compat.definition import spec as s
from darknet_compat.formats.wordtree import WordTree
from darknet_compat.training.batches.truth import Truth
from darknet_compat.training.losses.base import HeadLoss
from darknet_compat.training.losses.classes import LabelPaths
from darknet_compat.training.losses.softmax import UNKNOWN, Targets

Differences = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def _l2(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    difference = target - output
    return difference, difference.square()


def _l1(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    difference = target - output
    return torch.where(difference > 0, 1.0, -1.0), difference.abs()


def _smooth(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    difference = target - output
    near = difference.abs() < 1
    cost = torch.where(near, difference.square(), 2 * difference.abs() - 1)
    return difference.clamp(-1, 1), cost


def _wgan(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    return torch.where(target > 0, 1.0, -1.0), torch.where(target != 0, -output, output)


_KINDS: dict[str, Differences] = {"sse": _l2, "masked": _l2, "seg": _l2, "L1": _l1, "smooth": _smooth, "wgan": _wgan}
"""How outputs and targets make a delta and a cost."""


class CostLoss(nn.Module):
    """Labels become targets by the `tree` of the [softmax] before it, as they do there.

    As the CUDA build has it: in the CPU build `smooth` pulls the wrong way from a distance of 1 on, `wgan` is `sse`,
    and `noobj`, `thresh` and label smoothing (`smooth=` of the section) do nothing."""

    def __init__(self, spec: s.Cost, layer: nn.Module, smooth: float = 0.0, tree: WordTree | None = None) -> None:
        super().__init__()
        self.spec = spec
        self.targets = Targets(spec.input.size, LabelPaths(spec.input.size, tree) if tree else None, smooth)

    def forward(self, output: Tensor, truth: Truth | Tensor, seen: int, size: tuple[int, int]) -> HeadLoss:
        """`output` [N, …] of the layer before, activated; its gradient is for that, `scale` included."""
        flat, target = output.flatten(1), self.targets(truth)
        unknown = (target == UNKNOWN) & (self.spec.cost == "masked")
        if self.spec.smooth:
            target = target * (1 - self.spec.smooth) + self.spec.smooth / target.shape[1]
        delta, cost = _KINDS[self.spec.cost](flat, target)
        if self.spec.cost == "seg":
            weight = torch.where(target == 0, self.spec.noobj, 1.0)
            delta, cost = weight * delta, weight * cost
        weak = delta.abs() < self.spec.thresh / target.shape[1]
        delta = torch.where(unknown | weak, 0.0, delta)
        return HeadLoss(delta, -self.spec.scale * delta.view_as(output), torch.where(unknown, 0.0, cost).sum())
