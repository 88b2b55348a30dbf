"""The loss of [detection], YOLO's first head (original: `forward_detection_layer`, `fill_truth_region`)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from darknet_compat.definition import spec as s
from darknet_compat.network.heads import Head
from darknet_compat.training.batches.truth import Truth
from darknet_compat.training.losses.assignment import Slots, cells
from darknet_compat.training.losses.base import HeadLoss, iou, squares

_LEAST_SIDE = 0.005
_RANDOM_IMAGES = 64_000
_FARTHEST = 20.0


class DetectionLoss(nn.Module):
    """`delta` of a [detection]; it goes back as it is. Of several truths in a cell the first counts.

    Boxes below a two-hundredth of the image are no truths, as in the original. There `random` lets C's `rand` choose a
    cell's box for the first 64,000 images, here torch's generator does.
    """

    def __init__(self, spec: s.Detection, head: Head) -> None:
        super().__init__()
        self.spec, self.head = spec, head

    def forward(self, raw: Tensor, truth: Truth, seen: int, size: tuple[int, int]) -> HeadLoss:
        """`raw` [N, side²·(classes + num·5)], float32."""
        spec, area = self.spec, self.spec.side**2
        output = self.head(raw)
        parts = output.split([area * spec.classes, area * spec.num, area * spec.num * 4], 1)
        classes, objectness = parts[0].unflatten(1, (area, -1)), parts[1].unflatten(1, (area, -1))  # [N, cells, …]
        boxes = parts[2].unflatten(1, (area, spec.num, 4))  # [N, cells, num, 4]
        there, box, onehot = self._cells(truth)  # [N, cells], [N, cells, 4], [N, cells, classes]
        scaled = box / box.new_tensor([spec.side, spec.side, 1, 1])
        predicted = boxes / box.new_tensor([spec.side, spec.side, 1, 1])
        if spec.sqrt:
            predicted = torch.cat([predicted[..., :2], predicted[..., 2:].square()], -1)
        overlaps = iou(predicted, scaled[:, :, None])  # [N, cells, num]
        chosen = self._chosen(predicted, scaled, overlaps, seen)[..., None]  # [N, cells, 1]
        overlap = overlaps.gather(2, chosen)[..., 0]  # [N, cells]
        responsible = torch.zeros_like(objectness, dtype=torch.bool).scatter(2, chosen, there[..., None])
        full = overlap[..., None] if spec.rescore else torch.ones_like(overlap)[..., None]
        wanted = torch.cat([box[..., :2], box[..., 2:].sqrt() if spec.sqrt else box[..., 2:]], -1)
        deltas = (
            torch.where(there[..., None], spec.class_scale * (onehot - classes), 0.0),
            torch.where(responsible, spec.object_scale * (full - objectness), -spec.noobject_scale * objectness),
            torch.where(responsible[..., None], spec.coord_scale * (wanted[:, :, None] - boxes), 0.0),
        )
        delta = torch.cat([part.flatten(1) for part in deltas], 1)
        count, one = there.sum(), there.new_ones((), dtype=torch.int64)
        figures = {
            "avg_iou": ((overlap * there).sum(), count),
            "class": ((classes * onehot).sum(), count),
            "all_class": ((classes * there[..., None]).sum(), count * spec.classes),
            "obj": ((objectness * responsible).sum(), count),
            "no_obj": (objectness.sum(), one * objectness.numel()),
            "count": (count, one),
        }
        return HeadLoss(delta, -delta.view_as(raw), squares(delta), figures)

    def _cells(self, truth: Truth) -> tuple[Tensor, Tensor, Tensor]:
        """Whether each cell has an object [N, cells], its box, x and y within the cell [N, cells, 4], and its class as
        onehot [N, cells, classes]; none where the head does not have the class."""
        spec, side = self.spec, self.spec.side
        objects = truth.objects & (truth.boxes[..., 2:] >= _LEAST_SIDE).all(-1)
        cell = cells(truth.boxes, (side, side))  # [N, T]
        slots = Slots.of(cell, objects)
        first = objects & ~slots.earlier.any(2)  # [N, T]
        corner = torch.stack([cell % side, cell // side], -1)
        box = torch.cat([truth.boxes[..., :2] * side - corner, truth.boxes[..., 2:]], -1)
        known = first & (truth.classes < spec.classes)
        onehot = nn.functional.one_hot(truth.classes.clamp(0, spec.classes - 1), spec.classes) * known[..., None]
        rows = torch.cat([first[..., None].float(), box * first[..., None], onehot.float()], 2)  # [N, T, 5 + classes]
        grid = rows.new_zeros(len(rows), side * side, rows.shape[2])
        grid = grid.scatter_add(1, slots.index[..., None].expand_as(rows), rows)
        return grid[..., 0] > 0, grid[..., 1:5], grid[..., 5:]

    def _chosen(self, predicted: Tensor, wanted: Tensor, overlaps: Tensor, seen: int) -> Tensor:
        """Which of its boxes each cell has learn, [N, cells]: the one that overlaps most, or else lies nearest."""
        if self.spec.random and seen < _RANDOM_IMAGES:
            return torch.randint(self.spec.num, overlaps.shape[:2], device=overlaps.device)
        if self.spec.forced:
            return (wanted[..., 2:].prod(-1) < 0.1).long().clamp_max(self.spec.num - 1)
        distance = (predicted - wanted[:, :, None]).square().sum(-1).sqrt()  # [N, cells, num]
        best, nearest = overlaps.max(2), distance.clamp_max(_FARTHEST).argmin(2)
        return torch.where(best.values > 0, best.indices, nearest)
