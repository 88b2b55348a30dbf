"""Location as region proposals predict it: x = t_x · w_a + x_a, unconstrained (paper, section 2; Faster R-CNN).

Not Darknet's: its [region] has no such option, its weights would mean other boxes everywhere else, and nothing here is
part of the package. It is there to compare training with the paper's own form, sigmoid(t_x) within the cell.

The head's x and y become 0.5 + t · w_a, in cells from the corner of the anchor's own cell, so that whatever is made of
x and y stays as it is; the loss is the square in t, as of region proposals, whose derivative by t is 1 / w_a of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from darknet_compat.heads.ops import Ops, Value
from darknet_compat.heads.region import Region
from darknet_compat.network import heads
from darknet_compat.training.losses.region import BoxOutputs, RegionLoss
from darknet_compat.training.trainer import Trainer


class ProposalRegion(Region):
    """[region] with unconstrained locations."""

    def locate(self, ops: Ops, coordinates: Sequence[Value]) -> list[Value]:
        """x and y in cells from the cell's corner, width and height."""
        centre, size, *masks = coordinates
        return [centre * ops.constant(self.anchors, centre) + 0.5, size, *masks]


class ProposalLoss(RegionLoss):
    """Its loss."""

    def slope(self, located: BoxOutputs) -> Tensor:
        """What turns deltas of x and y into those of t."""
        slope = super().slope(located)
        anchors = self.head.anchors.view(1, -1, 2, 1, 1)
        slope[:, :, :2] = torch.ones_like(slope[:, :, :2]) / anchors
        return slope


def in_training(trainer: Trainer) -> None:
    """Have a network be trained this way, before its first batch."""
    (spec,) = trainer.network.spec.heads
    module = trainer.network.layers[spec.index]
    assert isinstance(module, heads.Region)
    module.head = ProposalRegion(module.spec, "cuda")
    trainer.losses.losses[0] = ProposalLoss(module.spec, module)  # type: ignore[union-attr, index]


def in_runtime(runtime: Any) -> None:
    """Have torch's runtime read a network's answers this way."""
    (module,) = runtime.heads
    assert runtime.split is None and isinstance(module, heads.Region)
    module.head = ProposalRegion(module.spec, "cuda")
