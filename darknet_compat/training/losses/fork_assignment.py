"""What the fork's heads share: which anchors a truth is given to, and what several truths leave at one slot.

The fork takes an image's truths one after another (AlexeyAB/darknet, `forward_yolo_layer`): a truth goes to the anchor
most like it, of all heads', and with `iou_thresh` below 1 to every other one of this head that is like it enough. At a
slot that had a truth before, box deltas add up, the last objectness stays, and of the classes only the truth's own is
set. Here all truths are taken at once. One trap is not followed: where a probability is exactly its target, the fork
takes a slot for one that had no truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from darknet_compat.definition.spec import YoloHead
from darknet_compat.training.batches.truth import Truth
from darknet_compat.training.losses.assignment import Slots
from darknet_compat.training.losses.base import iou, shape_iou
from darknet_compat.training.losses.boxes import Overlap, overlap
from darknet_compat.training.losses.classes import focal


@dataclass(frozen=True)
class Objects:
    """The truths of a batch as a head takes them: `boxes` [N, T, 4], `label` [N, T], and which of them are `there`.

    `whole` [N]: images with a label as a whole, of which the fork knows nothing; nothing moves for them.
    """

    boxes: Tensor
    label: Tensor
    there: Tensor
    whole: Tensor

    @classmethod
    def of(cls, truth: Truth, most: int, classes: int, known: Tensor) -> Objects:
        """The first `most` of an image; `known` [classes] is what the head calls each class (`map`)."""
        truth = truth.first(most)
        whole = truth.labels.any(1)
        there = truth.objects & (truth.classes < min(classes, len(known))) & ~whole[:, None]
        label = known[torch.where(there, truth.classes, 0)].clamp_max(classes - 1)
        return cls(truth.boxes, label, there, whole)


@dataclass(frozen=True)
class Assigned:
    """Truths at slots, a row for each truth and anchor of the head, R = T·A: `slots`, and each row's `truth` [R]."""

    slots: Slots
    truth: Tensor

    @property
    def winner(self) -> Tensor:
        """[N, R], the last row at each row's slot."""
        order = torch.arange(self.slots.index.shape[1], device=self.slots.index.device)
        return torch.where(self.slots.same, order, -1).amax(2).clamp_min(0)

    @property
    def first(self) -> Tensor:
        """[N, R], rows that no earlier one precedes at their slot."""
        return self.slots.matched & ~self.slots.earlier.any(2)

    def of_truth(self, values: Tensor) -> Tensor:
        """Values [N, T, ...] of truths for each row, [N, R, ...]."""
        return values[:, self.truth]


def assign(
    objects: Objects,
    shapes: Tensor,
    places: Tensor,
    count: int,
    cell: Tensor,
    grid: Sequence[int],
    iou_thresh: float,
    measure: Overlap,
) -> Assigned:
    """Each truth's slots in a head with `count` anchors, whose grid is (height, width); `cell` [N, T] is its cell.

    `shapes` [all, 2] are all heads' anchors as fractions, `places` [all] where each stands in this head's mask, or -1.
    """
    size = objects.boxes[:, :, None, 2:]  # [N, T, 1, 2]
    best = shape_iou(shapes, size).argmax(2)  # [N, T]
    wanted = nn.functional.one_hot(best, len(shapes)).bool()  # [N, T, all]
    if iou_thresh < 1:
        centre = torch.zeros_like(size)
        like = overlap(_at_origin(shapes).expand(*size.shape[:2], -1, -1), torch.cat([centre, size], -1), measure)
        wanted = wanted | (like > iou_thresh)
    order = torch.tensor([int((places == place).nonzero()[0]) for place in range(count)], device=places.device)
    matched = wanted[:, :, order] & objects.there[..., None]  # [N, T, A]
    index = torch.arange(count, device=cell.device) * (grid[0] * grid[1]) + cell[..., None]  # [N, T, A]
    truth = torch.arange(matched.shape[1], device=cell.device).repeat_interleave(count)
    return Assigned(Slots.of(index.flatten(1), matched.flatten(1)), truth)


def best_overlaps(boxes: Tensor, objects: Objects) -> tuple[Tensor, Tensor]:
    """Each cell's best IoU with a truth and which truth that is, [N, A, H, W], of `boxes` [N, A, 4, H, W]."""
    flat = boxes.permute(0, 1, 3, 4, 2).flatten(1, 3)  # [N, D, 4]
    if not objects.boxes.shape[1]:
        nothing = boxes.new_zeros(boxes[:, :, 0].shape)
        return nothing, nothing.long()
    overlaps = torch.where(objects.there[:, None], iou(flat[:, :, None], objects.boxes[:, None]), 0.0)  # [N, D, T]
    best, which = overlaps.max(2)
    return best.view_as(boxes[:, :, 0]), which.view_as(boxes[:, :, 0])


class ClassDeltas(nn.Module):
    """Class deltas as `delta_yolo_class` of the fork makes them.

    `multipliers` [classes] are those of `counters_per_class`: the largest count over a class's own, at most `limit`
    (original: the same function's `classes_multipliers`); `cls_normalizer` counts only with them.
    """

    multipliers: Tensor

    def __init__(self, spec: YoloHead, limit: float, *, focal: bool = False) -> None:
        super().__init__()
        self.focal, self.smooth = focal, spec.label_smooth_eps
        values = torch.ones(spec.classes)
        if spec.counters_per_class:
            counts = torch.tensor([float(count) for count in spec.counters_per_class]).clamp_min(1)
            values = (counts.max() / counts).clamp_max(limit)
        self.own = spec.cls_normalizer if spec.counters_per_class else 1.0
        self.register_buffer("multipliers", values, persistent=False)

    def of(self, label: Tensor) -> Tensor:
        """The multiplier of each label's class, of the same shape."""
        return self.multipliers[label]

    def first(self, label: Tensor, probabilities: Tensor) -> Tensor:
        """All classes' deltas at a slot that had no truth, [..., C]."""
        onehot = nn.functional.one_hot(label, probabilities.shape[-1]).to(probabilities.dtype)
        if self.focal:
            return focal(probabilities, label) * (onehot - probabilities)
        delta = self._target(onehot) - probabilities
        return torch.where(onehot > 0, delta * (self.of(label) * self.own)[..., None], delta)

    def again(self, label: Tensor, probabilities: Tensor) -> Tensor:
        """The delta of the label's own class at a slot that had a truth before, [...]."""
        own = probabilities.gather(-1, label[..., None])[..., 0]
        return (self._target(torch.ones_like(own)) - own) * self.of(label)

    def rows(self, assigned: Assigned, label: Tensor, probabilities: Tensor, before: Tensor, had: Tensor) -> Tensor:
        """What a slot's classes are left with, [N, R, C], at the last row of each.

        `label` and `had` [N, R]: a row's class, and whether its slot had a truth already, with the deltas `before`
        [N, R, C].
        """
        first = assigned.first & ~had
        winner = assigned.winner
        base = torch.where(first[..., None], self.first(label, probabilities), 0.0)
        rows = torch.zeros_like(base).scatter_add_(1, winner[..., None].expand_as(base), base)
        rows = torch.where(had[..., None], before, rows)
        rows = torch.cat([rows, torch.zeros_like(rows[..., :1])], -1)  # a column for those that set nothing
        image = torch.arange(len(label), device=label.device)[:, None]
        column = torch.where(assigned.slots.matched & ~first, label, rows.shape[-1] - 1)
        rows[image, winner, column] = self.again(label, probabilities)
        return rows[..., :-1]

    def _target(self, onehot: Tensor) -> Tensor:
        return onehot * (1 - self.smooth) + 0.5 * self.smooth


def shared_out(delta: Tensor, mark: int) -> Tensor:
    """`delta` [N, A, entries, H, W] with the `mark` entries before a cell's objectness divided by how many of its
    classes are to rise, where the objectness is to change (`averages_yolo_deltas`)."""
    rising = (delta[:, :, mark + 1 :] > 0).sum(2, keepdim=True)
    divisor = torch.where((delta[:, :, mark : mark + 1] != 0) & (rising > 0), rising, 1)
    return torch.cat([delta[:, :, :mark] / divisor, delta[:, :, mark:]], 2)


def _at_origin(shapes: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(shapes), shapes], -1)
