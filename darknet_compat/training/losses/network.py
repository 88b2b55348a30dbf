"""The loss of a whole network: that of each of its heads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from darknet_compat.errors import TrainingError
from darknet_compat.formats import spec as s
from darknet_compat.formats.spec import LayerSpec
from darknet_compat.network.network import Network
from darknet_compat.training.losses.base import HeadLoss, pull
from darknet_compat.training.losses.region import RegionLoss, Rule
from darknet_compat.training.losses.softmax import LogisticLoss, SoftmaxLoss
from darknet_compat.training.truth import Truth

LOSSES: dict[type[LayerSpec], Callable[[Any, Any], nn.Module]] = {
    s.Region: RegionLoss,
    s.Softmax: SoftmaxLoss,
    s.Logistic: LogisticLoss,
}
"""A head's spec → what computes its loss from the spec and the head's module."""


@dataclass(frozen=True)
class LossResult:
    """`loss` is a scalar, the sum of `costs`, whose `.backward()` gives the original's gradients, summed over images.

    `costs` are what the original reports for each head, in order.
    """

    loss: Tensor
    costs: tuple[Tensor, ...]
    parts: tuple[tuple[str, HeadLoss], ...]

    @property
    def figures(self) -> dict[str, float]:
        """What the original prints, by name; of several heads each name is followed by the head's layer.

        Means over nothing are left out. Reading them waits for the device.
        """
        sums = {name + suffix: pair for suffix, part in self.parts for name, pair in part.figures.items()}
        if not sums:
            return {}
        values = torch.stack([torch.stack([x.double() for x in pair]) for pair in sums.values()]).tolist()
        return {name: total / count for name, (total, count) in zip(sums, values, strict=True) if count}


class Losses(nn.Module):
    """What a network is trained with: `Losses(network)(raw, truth, seen)`.

    `rule` is about labels of whole pictures in a [region]. Raises TrainingError for a network that has no head, or one
    that cannot be trained.
    """

    def __init__(self, network: Network, *, rule: Rule = "darknet") -> None:
        super().__init__()
        self.spec = network.spec
        heads = []
        for layer in self.spec.heads:
            loss = LOSSES.get(type(layer))
            if loss is None:
                raise TrainingError(f"{self.spec.name}:{layer.line}: [{layer.type}] cannot be trained here")
            extra = {"rule": rule} if loss is RegionLoss else {}
            heads.append(loss(layer, network.layers[layer.index], **extra))
        self.heads = nn.ModuleList(heads)

    def forward(
        self, raw: Tensor | tuple[Tensor, ...], truth: Truth | Tensor, seen: int, size: tuple[int, int] | None = None
    ) -> LossResult:
        """From `Network.forward`'s result. `seen` counts the images that training has seen, these included.

        `size` is the images' (width, height); by default what the cfg's makes of the heads' grids. Computed in float32
        whatever the network computes in.
        """
        raws = (raw,) if isinstance(raw, Tensor) else raw
        device = raws[0].device
        self.to(device)
        parts = []
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            for layer, head, x in zip(self.spec.heads, self.heads, raws, strict=True):
                parts.append(head(x.detach().float(), truth, seen, size or self._size(layer, x)))
        losses = [pull(x, part.gradient, part.cost) for x, part in zip(raws, parts, strict=True)]
        suffixes = [f"_{layer.index}" if len(parts) > 1 else "" for layer in self.spec.heads]
        named = tuple(zip(suffixes, parts, strict=True))
        return LossResult(torch.stack(losses).sum(), tuple(part.cost for part in parts), named)

    def _size(self, layer: LayerSpec, raw: Tensor) -> tuple[int, int]:
        """The (width, height) of the images that gave a raw output, from the cfg's proportion of input to grid."""
        net, grid = self.spec.net, layer.input
        if raw.dim() != 4:
            return net.width, net.height
        return round(raw.shape[3] * net.width / grid.w), round(raw.shape[2] * net.height / grid.h)
