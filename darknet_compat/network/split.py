"""A [region] head whose cost does not grow with the number of classes.

At inference class logits matter only where there may be an object. So the 1x1 convolution before the head is split: its
rows for boxes and objectness run everywhere, its rows for classes only for candidates, the `limit` best of those cells
and anchors whose objectness passes the threshold. The answers are the full head's; the full head stays for training,
parity and raw outputs.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from darknet_compat.definition import spec as s
from darknet_compat.definition.spec import NetworkSpec
from darknet_compat.network.heads import Region, by_anchor
from darknet_compat.network.layers import Convolutional


class Candidates(NamedTuple):
    """The K best candidates of each image, best first; where there are fewer, the rest have objectness 0.

    `xywh` [N, K, 4], `objectness` [N, K], `classes` [N, K, C] as in `heads.Boxes`; `dropped` [N] counts candidates
    beyond the limit.
    """

    xywh: Tensor
    objectness: Tensor
    classes: Tensor
    dropped: Tensor


def splittable(spec: NetworkSpec) -> bool:
    """Whether the network ends in a plain 1x1 convolution and a [region] that `SplitRegion` can stand for."""
    if len(spec.layers) < 2:
        return False
    convolution, region = spec.layers[-2:]
    return (
        isinstance(region, s.Region)
        and not region.background
        and isinstance(convolution, s.Convolutional)
        and (convolution.size, convolution.stride, convolution.padding, convolution.groups) == (1, 1, 0, 1)
        and convolution.activation == "linear"
        and not (convolution.batch_normalize or convolution.xnor or convolution.binary)
    )


class SplitRegion(nn.Module):
    """The last convolution and its [region] as one module, which then needs the convolution no more."""

    def __init__(self, convolution: Convolutional, region: Region, limit: int) -> None:
        super().__init__()
        spec = region.spec
        self.region, self.limit = region, limit
        self.box_entries = spec.coords + 1
        weights = (
            convolution.weights.detach().flatten(1).unflatten(0, (spec.num, -1))
        )  # [num, coords + 1 + C, channels]
        biases = convolution.biases.detach().unflatten(0, (spec.num, -1))  # [num, coords + 1 + C]
        box_weights = weights[:, : self.box_entries].flatten(0, 1)[:, :, None, None]
        self.register_buffer("box_weights", box_weights, persistent=False)  # [num·(coords + 1), channels, 1, 1]
        self.register_buffer("box_biases", biases[:, : self.box_entries].flatten(), persistent=False)
        class_weights, class_biases = weights[:, self.box_entries :], biases[:, self.box_entries :]
        if region.tree is not None:  # so that its softmax need not rearrange every candidate's classes
            class_weights, class_biases = class_weights[:, region.tree.order], class_biases[:, region.tree.order]
        # Lying this way, they are read once from end to end for a few candidates; the other way takes twice the time.
        class_weights = class_weights.transpose(1, 2).contiguous()
        self.register_buffer("class_weights", class_weights, persistent=False)  # [num, channels, C]
        self.register_buffer("class_biases", class_biases, persistent=False)  # [num, C]

    def forward(self, features: Tensor, thresh: float = 0.0) -> Candidates:
        """What the last convolution reads, [N, channels, H, W] → the candidates with objectness above `thresh`."""
        xywh, objectness = self.objects(features)  # [N, D, 4], [N, D]
        above = objectness > thresh  # [N, D]
        counts = above.sum(1)  # [N]
        kept = min(int(counts.max()), self.limit)
        objectness, chosen = torch.where(above, objectness, 0).topk(kept)  # [N, K]
        xywh = xywh.take_along_dim(chosen[..., None], 1)  # [N, K, 4]
        classes = features.new_zeros(*chosen.shape, self.region.spec.classes, dtype=torch.float32)  # [N, K, C]
        area = features.shape[2] * features.shape[3]
        cells = features.flatten(2).mT  # [N, H·W, channels]
        for anchor in range(self.region.spec.num):
            image, rank = ((objectness > 0) & (chosen // area == anchor)).nonzero(as_tuple=True)  # [M], [M]
            if len(image):
                there = cells[image, chosen[image, rank] % area]  # [M, channels]
                classes[image, rank] = self._class_logits(there, anchor).float()  # [M, C]
        return Candidates(xywh, objectness, self._activate(classes), (counts - kept).clamp_min(0))

    def static(self, features: Tensor) -> Candidates:
        """The same for an exported graph: always as many candidates, and no shape that depends on data.

        Each anchor has an equal part of `limit`, rounded up, for its own best; anchor by anchor, each best first. So
        every row of features meets its own anchor's weights only.
        """
        xywh, objectness = self.objects(features)
        num, area = self.region.spec.num, features.shape[2] * features.shape[3]
        each = -(-self.limit // num)
        # In an export a size is no number; who exports makes `limit` small enough for every size.
        each = each if torch.onnx.is_in_onnx_export() else min(each, area)
        objectness, cell = objectness.reshape(features.shape[0], num, -1).topk(each)  # [N, num, K/num]
        cells = features.flatten(2).transpose(1, 2)  # [N, H·W, channels]
        chosen = cell.flatten(1)[..., None]  # [N, K, 1]
        there = cells.gather(1, chosen.expand(-1, -1, features.shape[1]))  # [N, K, channels]
        # Not one product of all anchors' weights: runtimes lay out matrices beforehand, but not stacks of them.
        logits = torch.cat([self._class_logits(part, anchor) for anchor, part in enumerate(there.split(each, 1))], 1)
        classes = self._activate(logits.float())  # [N, K, C]
        boxes = xywh.reshape(features.shape[0], num, -1, 4)  # [N, num, H·W, 4]
        boxes = boxes.gather(2, cell[..., None].expand(-1, -1, -1, 4)).flatten(1, 2)  # [N, K, 4]
        dropped = torch.zeros_like(chosen[:, 0, 0])
        return Candidates(boxes, objectness.flatten(1), classes, dropped)

    def objects(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes [N, D, 4] and objectness [N, D] of every candidate, in float32."""
        raw = F.conv2d(features, self.get_buffer("box_weights"), self.get_buffer("box_biases")).float()
        return self.region.objects(by_anchor(raw, self.region.spec.num))

    def _class_logits(self, there: Tensor, anchor: int) -> Tensor:
        """Features [..., channels] → the logits of one anchor's classes, [..., C]."""
        return there @ self.get_buffer("class_weights")[anchor] + self.get_buffer("class_biases")[anchor]

    def _activate(self, logits: Tensor) -> Tensor:
        """Logits [N, K, C] as the weights lie here → probabilities in the classes' own order."""
        if self.region.tree is not None:
            return self.region.tree.ordered(logits)
        return self.region.activate_classes(logits, -1)
