"""The last convolution and its [region] as one module that gives candidates (`heads.split`), for inference in torch."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from darknet_compat.heads.split import RowNumbers
from darknet_compat.network.heads import Region
from darknet_compat.network.windows import Convolutional


class Candidates(NamedTuple):
    """The K best candidates of each image, best first; where there are fewer, the rest have objectness 0.

    `xywh` [N, K, 4], `objectness` [N, K], `classes` [N, K, C] as in `heads.Boxes`; `dropped` [N] counts candidates
    beyond the limit.
    """

    xywh: Tensor
    objectness: Tensor
    classes: Tensor
    dropped: Tensor


class SplitRegion(nn.Module):
    """The last convolution and its [region] as one module, which then needs the convolution no more."""

    def __init__(self, convolution: Convolutional, region: Region, limit: int) -> None:
        super().__init__()
        self.region, self.limit = region, limit
        numbers = RowNumbers(region.head)
        weights, biases = convolution.weights.detach(), convolution.biases.detach()
        boxes, classes = torch.from_numpy(numbers.boxes), torch.from_numpy(numbers.classes)
        self.register_buffer("box_weights", weights[boxes], persistent=False)  # [num·(coords + 1), channels, 1, 1]
        self.register_buffer("box_biases", biases[boxes], persistent=False)
        # Lying this way, they are read once from end to end for a few candidates; the other way takes twice the time.
        class_weights = weights[classes, :, 0, 0].transpose(1, 2).contiguous()
        self.register_buffer("class_weights", class_weights, persistent=False)  # [num, channels, C]
        self.register_buffer("class_biases", biases[classes], persistent=False)  # [num, C]

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

    def objects(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes [N, D, 4] and objectness [N, D] of every candidate, in float32."""
        raw = F.conv2d(features, self.get_buffer("box_weights"), self.get_buffer("box_biases"))
        return self.region.objects(raw.float())

    def _class_logits(self, there: Tensor, anchor: int) -> Tensor:
        """Features [..., channels] → the logits of one anchor's classes, [..., C]."""
        return there @ self.get_buffer("class_weights")[anchor] + self.get_buffer("class_biases")[anchor]

    def _activate(self, logits: Tensor) -> Tensor:
        """Logits [N, K, C] as the weights lie here → probabilities in the classes' own order."""
        head, ops = self.region.head, self.region.ops
        if head.tree is not None:
            return ops.take(head.tree.ordered(ops, logits, 2, last=True), head.tree.place, 2)
        found: Tensor = head.activate_classes(ops, logits, 2, last=True)
        return found
