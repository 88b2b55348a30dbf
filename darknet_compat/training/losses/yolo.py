"""The loss of [yolo], YOLOv3's head (original: `forward_yolo_layer`)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from darknet_compat.network.heads import by_anchor
from darknet_compat.training.batches.truth import Truth
from darknet_compat.training.losses.assignment import Slots, box_targets, cells, rows_at, set_rows
from darknet_compat.training.losses.base import AnchoredLoss, HeadLoss, iou, matched_figures, shape_iou, squares
from darknet_compat.training.losses.classes import many_labels


class YoloLoss(AnchoredLoss):
    """`delta` of a [yolo]; it goes back as it is, through none of the logistic functions.

    Truths beyond the cfg's `max` (90 by default) do not count, nor do classes that the head does not have. An image
    with a label as a whole, of which the original knows nothing here, moves nothing.
    """

    def forward(self, raw: Tensor, truth: Truth, seen: int, size: tuple[int, int]) -> HeadLoss:
        """`raw` [N, masks·(5 + classes), H, W], float32; anchors are in pixels of an input of `size`."""
        output = by_anchor(self.head(raw), len(self.spec.mask))  # [N, A, 5 + classes, H, W]
        boxes = self.head.decode(output[:, :, :4], size)  # [N, A, 4, H, W]
        truth = truth.first(self.spec.max_boxes)
        whole = truth.labels.any(1, keepdim=True)  # [N, 1]
        objects = truth.objects & (truth.classes < len(self.known)) & ~whole
        label = self.known[truth.classes.clamp(0, len(self.known) - 1)].clamp_max(self.spec.classes - 1)  # [N, T]
        slots = self._slots(truth, objects, size, output.shape[3:])
        delta, before = self._without_truth(output, boxes, truth, objects, label, size)
        there = rows_at(output, slots.index)  # [N, T, 5 + classes]
        already = rows_at(before, slots.index)[..., 0]
        classes = many_labels(slots, label, there[..., 5:], 1.0, already, average_all=True)
        wanted = box_targets(truth.boxes, slots.index, self._shapes(self.head.anchors, size), output.shape[3:])
        scale = 2 - truth.boxes[..., 2:].prod(-1, keepdim=True)
        set_rows(delta, slots, torch.cat([scale * (wanted - there[..., :4]), 1 - there[..., 4:5], classes.delta], 2))
        delta = torch.where(whole[..., None, None, None], 0.0, delta)
        overlap = iou(rows_at(boxes, slots.index), truth.boxes)  # [N, T]
        figures = matched_figures(slots.matched, overlap, there[..., 4], output[:, :, 4], classes.probability)
        figures["recall_75"] = ((overlap > 0.75) & slots.matched).sum(), slots.matched.sum()
        return HeadLoss(delta.flatten(1, 2), -delta.flatten(1, 2), squares(delta), figures)

    def _shapes(self, anchors: Tensor, size: tuple[int, int]) -> Tensor:
        """Anchors [A, 2] as fractions of the input."""
        return anchors / anchors.new_tensor(size)

    def _slots(self, truth: Truth, objects: Tensor, size: tuple[int, int], grid: Sequence[int]) -> Slots:
        """Each truth's slot, if the anchor most like it, of all heads', is one of this head's."""
        shapes = self._shapes(self.anchors, size)  # [all, 2]
        anchor = self.places[shape_iou(shapes, truth.boxes[:, :, None, 2:]).argmax(2)]  # [N, T]
        return Slots.of(anchor * (grid[0] * grid[1]) + cells(truth.boxes, grid), objects & (anchor >= 0))

    def _without_truth(
        self, output: Tensor, boxes: Tensor, truth: Truth, objects: Tensor, label: Tensor, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Deltas of slots that no truth has, like `output`, and the label that they got [N, A, 1, H, W], or -1.

        Background slots are trained towards objectness 0. Slots whose best IoU exceeds `ignore_thresh` are ignored;
        above `truth_thresh`, if that is below 1, they are treated as matched.
        """
        delta = torch.zeros_like(output)
        flat = boxes.permute(0, 1, 3, 4, 2).flatten(1, 3)  # [N, D, 4]
        overlaps = torch.where(objects[:, None], iou(flat[:, :, None], truth.boxes[:, None]), 0.0)  # [N, D, T]
        best, which = (x.view_as(output[:, :, 4]) for x in overlaps.max(2))
        delta[:, :, 4] = torch.where(best > self.spec.ignore_thresh, 0.0, -output[:, :, 4])
        before = torch.full_like(which, -1)[:, :, None]
        if self.spec.truth_thresh >= 1:
            return delta, before
        taken = (best > self.spec.truth_thresh)[:, :, None]
        chosen = which.flatten(1)  # [N, D]
        mine = truth.boxes.gather(1, chosen[..., None].expand(-1, -1, 4))  # [N, D, 4]
        every = torch.arange(chosen.shape[1], device=chosen.device).expand_as(chosen)
        wanted = box_targets(mine, every, self._shapes(self.head.anchors, size), output.shape[3:])
        scale = 2 - mine[..., 2:].prod(-1, keepdim=True)
        own = label.gather(1, chosen)  # [N, D]
        onehot = nn.functional.one_hot(own, self.spec.classes).float()
        rows = torch.cat([scale * wanted, torch.ones_like(scale), onehot], 2)  # [N, D, 5 + classes]
        rows = rows.unflatten(1, (-1, *output.shape[3:])).permute(0, 1, 4, 2, 3)
        factor = torch.cat([scale.expand(-1, -1, 4), torch.ones_like(scale), torch.ones_like(onehot)], 2)
        factor = factor.unflatten(1, (-1, *output.shape[3:])).permute(0, 1, 4, 2, 3)
        delta = torch.where(taken, rows - factor * output, delta)
        return delta, torch.where(taken, own.view_as(which)[:, :, None], before)
