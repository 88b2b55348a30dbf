"""The fork's losses of [yolo] and [Gaussian_yolo] (AlexeyAB/darknet 59596d78, `forward_yolo_layer` and kin)."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from darknet_compat.definition import spec as s
from darknet_compat.network.heads import Yolo, by_anchor
from darknet_compat.training.batches.truth import Truth
from darknet_compat.training.losses.assignment import add_rows, box_targets, cells, rows_at, set_rows
from darknet_compat.training.losses.base import AnchoredLoss, HeadLoss, matched_figures, squares
from darknet_compat.training.losses.boxes import box_gradient, overlap
from darknet_compat.training.losses.fork_assignment import (
    Assigned,
    ClassDeltas,
    Objects,
    assign,
    best_overlaps,
    shared_out,
)

SURE = 0.25
"""Boxes near a truth are ignored only where a class has a probability above this (`compare_yolo_class`)."""


class Placing(NamedTuple):
    """Slots that are to be moved towards truths, R of an image.

    `there` [N, R, entries] is what a slot holds and `found` [N, R, 4] the box that it means; `truth` [N, R, 4] and
    `label` [N, R] what it is to hold; `slot` [N, R] its number, on a grid (height, width) of an input of `size` (width,
    height).
    """

    there: Tensor
    found: Tensor
    truth: Tensor
    label: Tensor
    slot: Tensor
    grid: torch.Size
    size: tuple[int, int]


class ForkHead(AnchoredLoss):
    """What both share. A cell has `coordinates` entries for its box, then objectness and classes.

    `delta` goes back as it is, through no activation. Truths beyond the cfg's `max` do not count, nor do classes that
    the head does not have; an image with a label as a whole moves nothing.
    """

    coordinates = 4

    def __init__(self, spec: s.YoloHead, head: Yolo, *, focal: bool = False) -> None:
        super().__init__(spec, head)
        self.limit = float("inf") if spec.max_delta is None else spec.max_delta
        self.classes = ClassDeltas(spec, self.limit, focal=focal)

    def forward(self, raw: Tensor, truth: Truth, seen: int, size: tuple[int, int]) -> HeadLoss:
        """`raw` [N, masks·entries, H, W], float32; anchors are in pixels of an input of `size` (width, height)."""
        spec, mark = self.spec, self.coordinates  # where a cell's objectness stands
        output = by_anchor(self.head(raw), len(spec.mask))  # [N, A, entries, H, W]
        boxes = self.head.decode(self._located(output), size)  # [N, A, 4, H, W]
        objects = Objects.of(truth, spec.max_boxes, spec.classes, self.known)
        kind = "iou" if spec.iou_thresh_kind == "mse" else spec.iou_thresh_kind
        grid = output.shape[3:]
        cell = cells(self._pointed(objects.boxes), grid)
        rows = assign(objects, self._shapes(size), self.places, len(spec.mask), cell, grid, spec.iou_thresh, kind)
        delta, had = self._without_truth(output, boxes, objects, size)
        index, matched = rows.slots.index, rows.slots.matched
        before = rows_at(delta, index)  # [N, R, entries]
        label, mine = rows.of_truth(objects.label), rows.of_truth(objects.boxes)
        here = Placing(rows_at(output, index), rows_at(boxes, index), mine, label, index, grid, size)
        moved = torch.zeros_like(output[:, :, :mark])
        add_rows(moved, index, torch.where(matched[..., None], self._box(here), 0.0))
        sure = spec.obj_normalizer * self.classes.of(label) * (1 - here.there[..., mark])  # [N, R]
        sure = self._objectness(rows, sure, before[..., mark])
        marked = rows_at(had[:, :, None].float(), index)[..., 0] > 0
        probabilities = here.there[..., mark + 1 :]
        left = self.classes.rows(rows, label, probabilities, before[..., mark + 1 :], marked)
        set_rows(delta, rows.slots, torch.cat([before[..., :mark], sure[..., None], left], 2))
        delta = torch.cat([delta[:, :, :mark] + moved, delta[:, :, mark:]], 2)
        if self._shares:
            delta = shared_out(delta, mark)
        delta = torch.where(objects.whole[:, None, None, None, None], 0.0, delta) * spec.delta_normalizer
        own = torch.where(matched, probabilities.gather(2, label[..., None])[..., 0], 0.0)
        near = torch.where(matched, overlap(here.found, mine, "iou"), 0.0)
        figures = matched_figures(matched, near, here.there[..., mark], output[:, :, mark], own)
        figures["recall_75"] = ((near > 0.75) & matched).sum(), matched.sum()
        return HeadLoss(delta.flatten(1, 2), -delta.flatten(1, 2), self._cost(delta, here, matched), figures)

    def _without_truth(
        self, output: Tensor, boxes: Tensor, objects: Objects, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Deltas before any truth is given its slots, like `output`; and the cells [N, A, H, W] that have a truth's
        class already.

        Objectness is trained towards 0. Boxes that overlap a truth by more than `ignore_thresh` are ignored; above a
        `truth_thresh` below 1 they are treated as matched.
        """
        spec, mark = self.spec, self.coordinates
        best, which = best_overlaps(boxes, objects)
        near = torch.where((output[:, :, mark + 1 :] > SURE).any(2), best, 0.0)
        delta = torch.zeros_like(output)
        nothing = -spec.obj_normalizer * output[:, :, mark]
        delta[:, :, mark] = torch.where(near > spec.ignore_thresh, self._ignored(output[:, :, mark], near), nothing)
        taken = best > spec.truth_thresh if spec.truth_thresh < 1 else torch.zeros_like(best, dtype=torch.bool)
        labelled = self._labelled(near) | taken
        if not objects.boxes.shape[1] or not (spec.truth_thresh < 1 or spec.objectness_smooth):
            return delta, labelled
        chosen = which.flatten(1)  # [N, D]
        label = objects.label.gather(1, chosen)
        mine = objects.boxes.gather(1, chosen[..., None].expand(-1, -1, 4))
        every = torch.arange(chosen.shape[1], device=chosen.device).expand_as(chosen)
        here = Placing(rows_at(output, every), rows_at(boxes, every), mine, label, every, output.shape[3:], size)
        aim = best.flatten(1).square() if spec.objectness_smooth else torch.ones_like(here.there[..., 0])
        first = self.classes.first(label, here.there[..., mark + 1 :])
        aimed = self._aimed(first, here, aim)
        sure = (spec.obj_normalizer * (aim - here.there[..., mark]))[..., None]
        rows = _as_cells(torch.cat([self._box(here), sure, aimed], 2), output)
        delta[:, :, mark + 1 :] = torch.where(labelled[:, :, None], _as_cells(first, output), delta[:, :, mark + 1 :])
        return torch.where(taken[:, :, None], rows, delta), labelled

    def _aimed(self, first: Tensor, here: Placing, aim: Tensor) -> Tensor:
        """Class deltas of slots that take a truth by overlap, [N, D, C]: with objectness_smooth its own class aims at
        the squared IoU."""
        if not self.spec.objectness_smooth:
            return first
        own = here.there[..., self.coordinates + 1 :].gather(2, here.label[..., None])[..., 0]
        return first.scatter(2, here.label[..., None], (self.classes.of(here.label) * (aim - own))[..., None])

    def _by_measure(self, here: Placing) -> Tensor:
        """Deltas [N, R, 4] of x, y, w, h by `iou_loss`, before `iou_normalizer`."""
        box = torch.where(here.found == 0, _sides_of_one(here.found), here.found)
        assert self.spec.iou_loss != "mse"
        return box_gradient(box, here.truth, self.spec.iou_loss)

    def _factor(self, label: Tensor) -> Tensor:
        """What the deltas of boxes are multiplied by, [N, R, 1]."""
        return (self.spec.iou_normalizer * self.classes.of(label))[..., None]

    def _shapes(self, size: tuple[int, int], own: bool = False) -> Tensor:
        """Anchors as fractions of an input of `size`: all heads' [all, 2], or this one's [A, 2]."""
        anchors = self.anchors[list(self.spec.mask)] if own else self.anchors
        return anchors / anchors.new_tensor(size)

    def _pointed(self, truth: Tensor) -> Tensor:
        """Truths [..., 4] with the point in place of the centre whose cell they belong to."""
        return truth

    @property
    @abstractmethod
    def _shares(self) -> bool:
        """Whether box deltas are divided by how many classes of the cell are to rise."""

    @abstractmethod
    def _located(self, output: Tensor) -> Tensor:
        """The entries [N, A, 4, H, W] of x, y, w and h."""

    @abstractmethod
    def _box(self, here: Placing) -> Tensor:
        """Deltas [N, R, coordinates] towards truths."""

    @abstractmethod
    def _ignored(self, objectness: Tensor, near: Tensor) -> Tensor:
        """Objectness deltas of cells that overlap a truth by `near`, more than `ignore_thresh`."""

    @abstractmethod
    def _labelled(self, near: Tensor) -> Tensor:
        """Which cells get a truth's class because of that overlap."""

    @abstractmethod
    def _objectness(self, rows: Assigned, sure: Tensor, before: Tensor) -> Tensor:
        """The objectness delta [N, R] that a slot's last row leaves, of each row's own and what was there."""

    @abstractmethod
    def _cost(self, delta: Tensor, here: Placing, matched: Tensor) -> Tensor:
        """What the fork says the cost is."""


class ForkYoloLoss(ForkHead):
    """[yolo]. Its cost is not what its gradients descend: Σ delta² with iou_loss=mse or show_details=0, else
    iou_normalizer · mean(1 - IoU or GIoU, over truths) + obj_normalizer · Σ delta² of objectness and classes."""

    spec: s.Yolo

    def __init__(self, spec: s.Yolo, head: Yolo) -> None:
        super().__init__(spec, head, focal=spec.focal_loss)

    @property
    def _shares(self) -> bool:
        return self.spec.iou_thresh < 1

    def _located(self, output: Tensor) -> Tensor:
        return output[:, :, :4]

    def _box(self, here: Placing) -> Tensor:
        located, factor = here.there[..., :4], self._factor(here.label)
        if self.spec.iou_loss == "mse":
            wanted = box_targets(here.truth, here.slot, self._shapes(here.size, own=True), here.grid)
            if self.spec.new_coords:
                wanted = torch.cat([wanted[..., :2], (wanted[..., 2:].exp() / 4).sqrt()], -1)
            return (2 - here.truth[..., 2:].prod(-1, keepdim=True)) * factor * (wanted - located)
        gradient = self._by_measure(here)
        if not self.spec.new_coords:
            gradient = torch.cat([gradient[..., :2], gradient[..., 2:] * located[..., 2:].exp()], -1)
        return (gradient * factor).nan_to_num(0.0, 0.0, 0.0).clamp(-self.limit, self.limit)

    def _ignored(self, objectness: Tensor, near: Tensor) -> Tensor:
        if not self.spec.objectness_smooth:
            return torch.zeros_like(objectness)
        return torch.maximum(-objectness, near - objectness) * self.spec.obj_normalizer

    def _labelled(self, near: Tensor) -> Tensor:
        return torch.zeros_like(near, dtype=torch.bool)

    def _objectness(self, rows: Assigned, sure: Tensor, before: Tensor) -> Tensor:
        if not self.spec.objectness_smooth:
            return sure
        first = torch.where(rows.first, sure, 0.0)
        earliest = torch.zeros_like(sure).scatter_add_(1, rows.winner, first)
        return torch.where(before == 0, earliest, before)

    def _cost(self, delta: Tensor, here: Placing, matched: Tensor) -> Tensor:
        if self.spec.iou_loss == "mse" or not self.spec.show_details:
            return squares(delta)
        measure = overlap(here.found, here.truth, "giou" if self.spec.iou_loss == "giou" else "iou")
        away = torch.where(matched, 1 - measure, 0.0).sum() / matched.sum().clamp_min(1)
        return self.spec.iou_normalizer * away + self.spec.obj_normalizer * squares(delta[:, :, 4:])


class GaussianLoss(ForkHead):
    """[Gaussian_yolo] (Choi et al. 2019, arXiv 1904.04620): x, σx, y, σy, w, σw, h, σh. Its cost is Σ delta²."""

    spec: s.GaussianYolo
    coordinates = 8

    @property
    def _shares(self) -> bool:
        return True

    def _located(self, output: Tensor) -> Tensor:
        return output[:, :, 0:8:2]

    def _pointed(self, truth: Tensor) -> Tensor:
        return torch.cat([truth[..., :2] + self._corner * truth[..., 2:], truth[..., 2:]], -1)

    @property
    def _corner(self) -> float:
        """From the centre to the point that x and y mean, in sizes."""
        return {"center": 0.0, "left_top": -0.5, "right_bottom": 0.5}[self.spec.yolo_point]

    def _box(self, here: Placing) -> Tensor:
        located, sigma = here.there[..., 0:8:2], here.there[..., 1:8:2]
        pointed = self._pointed(here.truth)
        wanted = box_targets(pointed, here.slot, self._shapes(here.size, own=True), here.grid)
        error = (wanted - located) / sigma
        wide = sigma + 0.3
        density = torch.exp(-error.square() / 2) / (math.sqrt(2 * math.pi) * wide)
        share = density / (density + 1e-9) / 2 * (2 - here.truth[..., 2:].prod(-1, keepdim=True))
        towards = share * error / sigma
        uncertain = share * (error.square() / sigma - 1 / wide) * self.spec.uc_normalizer
        if self.spec.iou_loss != "mse":
            gradient = self._by_measure(here)
            centre = gradient[..., :2] + self._corner * gradient[..., 2:]
            towards = torch.cat([centre, gradient[..., 2:] * located[..., 2:].exp()], -1)
        both = torch.stack([towards * self._factor(here.label), uncertain], -1).flatten(-2)  # [N, R, 8]
        return both.nan_to_num(0.0, 0.0, 0.0).clamp(-self.limit, self.limit)

    def _ignored(self, objectness: Tensor, near: Tensor) -> Tensor:
        if not self.spec.objectness_smooth:
            return torch.zeros_like(objectness)
        return (near.square() - objectness) * self.spec.obj_normalizer

    def _labelled(self, near: Tensor) -> Tensor:
        return (near > self.spec.ignore_thresh) & self.spec.objectness_smooth

    def _objectness(self, rows: Assigned, sure: Tensor, before: Tensor) -> Tensor:
        return sure

    def _cost(self, delta: Tensor, here: Placing, matched: Tensor) -> Tensor:
        return squares(delta)


def _as_cells(rows: Tensor, output: Tensor) -> Tensor:
    """Rows [N, A·H·W, K], one a slot, as [N, A, K, H, W]."""
    cells: Tensor = rows.unflatten(1, (output.shape[1], *output.shape[3:])).permute(0, 1, 4, 2, 3)
    return cells


def _sides_of_one(boxes: Tensor) -> Tensor:
    """What stands for a side of 0: the fork takes such for 1."""
    return torch.cat([boxes[..., :2], torch.ones_like(boxes[..., 2:])], -1)
