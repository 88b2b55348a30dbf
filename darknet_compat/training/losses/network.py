"""The loss of a whole network: that of each of its heads, and of its [cost]."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from darknet_compat.definition import spec as s
from darknet_compat.definition.spec import LayerSpec
from darknet_compat.errors import TrainingError
from darknet_compat.network.network import Network
from darknet_compat.training.batches.truth import Truth
from darknet_compat.training.losses.base import HeadLoss, pull
from darknet_compat.training.losses.cost import CostLoss
from darknet_compat.training.losses.detection import DetectionLoss
from darknet_compat.training.losses.fork import ForkYoloLoss, GaussianLoss
from darknet_compat.training.losses.region import RegionLoss
from darknet_compat.training.losses.softmax import LogisticLoss, SoftmaxLoss
from darknet_compat.training.losses.yolo import YoloLoss
from darknet_compat.training.options import ObjectnessRule

LOSSES: dict[type[LayerSpec], Callable[[Any, Any], nn.Module]] = {
    s.Region: RegionLoss,
    s.Yolo: YoloLoss,
    s.GaussianYolo: GaussianLoss,
    s.Detection: DetectionLoss,
    s.Softmax: SoftmaxLoss,
    s.Logistic: LogisticLoss,
    s.Cost: CostLoss,
}
"""A layer's spec → what computes its loss from the spec and the layer's module; in the fork's dialect …"""

ADDING: dict[type[LayerSpec], Callable[[Any, Any], nn.Module]] = LOSSES | {s.Yolo: ForkYoloLoss}
"""… where box deltas add up."""

_OF_PICTURES = (SoftmaxLoss, LogisticLoss, CostLoss)
"""Those that learn labels of whole pictures, which `label_smooth_eps` of [net] is about."""


@dataclass(frozen=True)
class LossResult:
    """`loss` is a scalar, the sum of `costs`, whose `.backward()` gives the original's gradients, summed over images.

    `heads` are the parts it is made of: those of the network's heads, then those of its [cost] layers; `names` tells
    them apart where there are several.
    """

    loss: Tensor
    heads: tuple[HeadLoss, ...]
    names: tuple[str, ...]

    @property
    def costs(self) -> tuple[Tensor, ...]:
        """What the original computes for each; it prints the mean of them."""
        return tuple(head.cost for head in self.heads)

    @property
    def figures(self) -> dict[str, float]:
        """What the original prints, by name; of several heads each name is followed by the head's layer.

        Means over nothing are left out. Reading them waits for the device.
        """
        both = zip(self.names, self.heads, strict=True)
        sums = {key + name: pair for name, head in both for key, pair in head.figures.items()}
        if not sums:
            return {}
        values = torch.stack([torch.stack([x.double() for x in pair]) for pair in sums.values()]).tolist()
        return {name: total / count for name, (total, count) in zip(sums, values, strict=True) if count}


class LossSource(NamedTuple):
    """What a loss reads: the `number`-th raw output, or what the head `through` makes of it."""

    number: int
    through: nn.Module | None


class Losses(nn.Module):
    """What a network is trained with: `Losses(network)(raw, truth, seen)`.

    `rule` is about labels of whole pictures in a [region]. Raises TrainingError for a network without a head or [cost],
    or with one that cannot be trained.
    """

    def __init__(self, network: Network, *, rule: ObjectnessRule = "darknet") -> None:
        super().__init__()
        self.spec = network.spec
        costs = tuple(layer for layer in self.spec.layers if isinstance(layer, s.Cost))
        self.layers: tuple[LayerSpec, ...] = (*self.spec.heads, *costs)
        if not self.layers:
            raise TrainingError(f"{self.spec.name}: has neither a head nor a [cost], so there is nothing to be learned")
        self.sources = [self._source(layer, network) for layer in self.layers]
        self.losses = nn.ModuleList()
        known = ADDING if self.spec.dialect.adding_deltas else LOSSES
        for layer in self.layers:
            if (loss := known.get(type(layer))) is None:
                raise TrainingError(f"{self.spec.place(layer)} cannot be trained here")
            if isinstance(layer, s.Detection) and layer.coords != 4:
                where = self.spec.place(layer)
                raise TrainingError(f"{where} with coords={layer.coords} cannot be trained; expected 4")
            if (limit := getattr(layer, "max_delta", None)) is not None and limit < 0:
                raise TrainingError(f"{self.spec.place(layer)} max_delta must be from 0 on, found {limit:g}")
            self.losses.append(loss(layer, network.layers[layer.index], **self._extra(loss, layer, rule)))

    def _extra(self, loss: object, layer: LayerSpec, rule: ObjectnessRule) -> dict[str, Any]:
        """What a kind of loss is told of beside its layer."""
        if loss is RegionLoss:
            return {"rule": rule}
        smooth = {"smooth": self.spec.net.label_smooth_eps} if loss in _OF_PICTURES else {}
        trees = [one.tree for one in self.spec.heads if isinstance(one, s.Softmax) and one.index in layer.sources]
        return smooth | ({"tree": trees[0]} if loss is CostLoss and trees else {})

    def forward(
        self, raw: Tensor | tuple[Tensor, ...], truth: Truth | Tensor, seen: int, size: tuple[int, int] | None = None
    ) -> LossResult:
        """From `Network.forward`'s result. `seen` counts the images that training has seen, these included.

        Heads for whole pictures and [cost] also take a truth [N, values] as the original's data have it. `size` is the
        images' (width, height); by default what the cfg's makes of the heads' grids. Computed in float32 whatever the
        network computes in.
        """
        raws = (raw,) if isinstance(raw, Tensor) else raw
        size = size or self._size(raws)
        device = raws[0].device
        self.to(device)
        parts = []
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            for loss, (number, through) in zip(self.losses, self.sources, strict=True):
                x = raws[number].detach().float()
                parts.append(loss(x if through is None else through(x).view_as(x), truth, seen, size))
        pulls = [
            pull(raws[source.number], part.gradient, part.cost)
            for source, part in zip(self.sources, parts, strict=True)
        ]
        names = tuple(f"_{layer.index}" if len(self.spec.heads) > 1 else "" for layer in self.layers)
        return LossResult(torch.stack(pulls).sum(), tuple(parts), names)

    def _source(self, layer: LayerSpec, network: Network) -> LossSource:
        """Where among the network's raw outputs the layer finds what it reads."""
        heads = self.spec.heads
        if layer in heads:
            return LossSource(heads.index(layer), None)
        before = layer.sources[0]
        for number, head in enumerate(heads):
            if head.index == before and isinstance(head, s.Softmax | s.Logistic):
                return LossSource(number, network.layers[before])
        if heads or before != self.spec.output_index:
            what = self.spec.layers[before].type
            raise TrainingError(f"{self.spec.place(layer)} after [{what}] cannot be trained here")
        return LossSource(0, None)

    def _size(self, raws: Sequence[Tensor]) -> tuple[int, int]:
        """The (width, height) of the images that gave these, from the cfg's proportion of input to the finest grid."""
        net = self.spec.net
        grids = [
            (raws[source.number].shape[2:], layer.input)
            for layer, source in zip(self.layers, self.sources, strict=True)
            if raws[source.number].dim() == 4
        ]
        if not grids:
            return net.width, net.height
        found, grid = max(grids, key=lambda pair: pair[0].numel())
        return round(found[1] * net.width / grid.w), round(found[0] * net.height / grid.h)
