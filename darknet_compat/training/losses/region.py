"""The loss of [region], YOLOv2's and YOLO9000's head (paper sections 2 and 4; original: `forward_region_layer`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from darknet_compat.definition import spec as s
from darknet_compat.network.heads import Region, by_anchor
from darknet_compat.training.batches.truth import Truth
from darknet_compat.training.losses.assignment import Slots, add_rows, box_targets, cells, rows_at, set_rows
from darknet_compat.training.losses.base import HeadLoss, iou, matched_figures, shape_iou, squares
from darknet_compat.training.losses.classes import ClassRows, LabelPaths, focal, many_labels, one_label
from darknet_compat.training.options import ObjectnessRule

PRIOR_IMAGES = 12_800
_PRIOR_SCALE = 0.01
_LEAST_OBJECTNESS = 0.3


class BoxOutputs(NamedTuple):
    """The part of a head without classes, activated: `coordinates` [N, A, coords, H, W], `objectness` [N, A, H, W], and
    `boxes` [N, D, 4], which the coordinates mean."""

    coordinates: Tensor
    objectness: Tensor
    boxes: Tensor


class Chosen(NamedTuple):
    """What a batch's truths are matched with.

    `boxes`: the slots of truths that have a box, with their `overlap` [N, T]. `classes`: slots with a `label` [N, T] to
    be learned there; the former ones, and the one box of an image that has a label as a whole, `whole` [N].
    """

    boxes: Slots
    overlap: Tensor
    classes: Slots
    label: Tensor
    whole: Tensor


class RegionLoss(nn.Module):
    """`delta` of a [region].

    Truths beyond the cfg's `max` (30 by default) do not count; nor do classes that the head does not have.

    `absolute` and `classfix` change nothing: the original reads them and forgets them. Labels of whole pictures are
    taken as nodes of the tree, those of boxes go through `map` first.
    """

    map: Tensor

    def __init__(self, spec: s.Region, head: Region, rule: ObjectnessRule = "darknet") -> None:
        super().__init__()
        self.spec, self.head, self.rule = spec, head, rule
        self.labels = LabelPaths(spec.classes, spec.tree)
        known = torch.arange(spec.classes) if spec.map is None else torch.tensor(spec.map)
        self.register_buffer("map", known, persistent=False)

    def forward(
        self, raw: Tensor, truth: Truth, seen: int, size: tuple[int, int], masks: Tensor | None = None
    ) -> HeadLoss:
        """`raw` [N, num·(coords + 1 + classes), H, W], float32; `seen` images, these included.

        `masks` [N, T, coords - 4] go with the truths where the head has coordinates for them.
        """
        first = self.spec.coords + 1
        activated = by_anchor(self.head(raw), self.spec.num)  # [N, A, coords + 1 + classes, H, W]
        classes = activated[:, :, first:]
        located = self.located(activated[:, :, :first])
        chosen = self.choose(located, truth, lambda label, _: self._probability(classes, label))
        rows = self.class_rows(chosen, rows_at(classes, chosen.classes.index))
        delta = torch.zeros_like(activated)
        add_rows(delta[:, :, first:], chosen.classes.index, rows.delta)
        delta[:, :, :first] = self.box_delta(located, truth, chosen, seen, masks)
        gradient = -delta
        gradient[:, :, :first] *= self.slope(located)
        figures = self.figures(located, chosen, rows)
        if self.spec.raw_deltas:
            delta = -gradient
        return HeadLoss(delta.flatten(1, 2), gradient.flatten(1, 2), squares(delta), figures)

    def located(self, activated: Tensor) -> BoxOutputs:
        """From coordinates and objectness, [N, A, coords + 1, H, W]."""
        coordinates = activated[:, :, :-1]
        return BoxOutputs(coordinates, activated[:, :, -1], self.head.decode(coordinates[:, :, :4]))

    def slope(self, located: BoxOutputs) -> Tensor:
        """The derivative of coordinates and objectness, [N, A, coords + 1, H, W] (`backward_region_layer_gpu`)."""
        both = torch.cat([located.coordinates, located.objectness[:, :, None]], 2)
        slope = both * (1 - both)
        slope[:, :, 2:4] = 1
        if not self.head.masks_activated:
            slope[:, :, 4:-1] = 1
        if self.spec.background:
            slope[:, :, -1] = 1
        return slope

    def choose(self, located: BoxOutputs, truth: Truth, probability: Callable[[Tensor, Tensor], Tensor]) -> Chosen:
        """Match truths with slots; `probability` gives that of labels [N] at every slot, [N, D], in images [N] that
        have a label as a whole (in others it does not matter)."""
        truth = truth.first(self.spec.max_boxes)
        in_map, in_head = (
            (truth.classes >= 0) & (truth.classes < count) for count in (len(self.map), self.spec.classes)
        )
        whole_labels = truth.labels & in_head  # [N, T]
        whole = whole_labels.any(1)  # [N]
        objects = truth.objects & in_map & ~whole[:, None]
        boxes = Slots.of(self._slots(located, truth), objects)
        overlap = iou(located.boxes.gather(1, boxes.index[..., None].expand(-1, -1, 4)), truth.boxes)  # [N, T]
        place = whole_labels.int().argmax(1)[:, None]  # [N, 1], the first such label
        label = truth.classes.gather(1, place)[:, 0]  # [N]
        likely = located.objectness.flatten(1)  # [N, D]
        if self.rule != "surest":
            likely = likely * probability(torch.where(whole, label, 0), whole)
        best = likely.nan_to_num(0.0).argmax(1)
        only = torch.zeros_like(objects).scatter(1, place, whole[:, None])
        classes = Slots.of(torch.where(only, best[:, None], boxes.index), objects | only)
        mapped = self.map[truth.classes.clamp(0, len(self.map) - 1)]
        labels = torch.where(only, truth.classes, mapped).clamp(0, self.spec.classes - 1)
        return Chosen(boxes, overlap, classes, labels, whole)

    def class_rows(self, chosen: Chosen, probabilities: Tensor) -> ClassRows:
        """Class deltas at the chosen slots, where probabilities are [N, T, C]."""
        scale = self.spec.class_scale
        if self.spec.tree is not None or self.spec.softmax:
            rows = one_label(self.labels, chosen.classes, chosen.label, probabilities, scale)
            if not self.spec.focal_loss:
                return rows
            return rows._replace(delta=rows.delta * focal(probabilities, chosen.label))
        before = torch.full_like(chosen.label, -1)
        return many_labels(chosen.classes, chosen.label, probabilities, scale, before, average_all=False)

    def box_delta(self, located: BoxOutputs, truth: Truth, chosen: Chosen, seen: int, masks: Tensor | None) -> Tensor:
        """What coordinates and objectness should move by, [N, A, coords + 1, H, W]."""
        truth = truth.first(self.spec.max_boxes)
        delta = self._without_truth(located, truth, chosen, seen)
        there = rows_at(torch.cat([located.coordinates, located.objectness[:, :, None]], 2), chosen.boxes.index)
        set_rows(delta, chosen.boxes, self._with_truth(located, there, truth, chosen, masks))
        return delta

    def figures(self, located: BoxOutputs, chosen: Chosen, rows: ClassRows) -> dict[str, tuple[Tensor, Tensor]]:
        """What the original prints (`HeadLoss`)."""
        slots, objectness = chosen.boxes, located.objectness.flatten(1)  # [N, D]
        counted = objectness * ~chosen.whole[:, None]
        here = objectness.gather(1, slots.index)
        figures = matched_figures(slots.matched, chosen.overlap, here, counted, rows.probability)
        return figures | {"class": (rows.probability.sum(), chosen.classes.matched.sum())}

    def _probability(self, classes: Tensor, label: Tensor) -> Tensor:
        """The absolute probability of labels [N] at every slot of `classes` [N, A, C, H, W]: [N, D]."""
        nodes = self.labels.nodes[label][:, None, :, None, None]  # [N, 1, depth, 1, 1]
        shape = (-1, classes.shape[1], -1, *classes.shape[3:])
        steps = classes.gather(2, nodes.clamp_min(0).expand(shape))
        return torch.where(nodes >= 0, steps, 1.0).prod(2).flatten(1)

    def _slots(self, located: BoxOutputs, truth: Truth) -> Tensor:
        """Each truth's slot [N, T]: its cell, and the anchor, or the predicted box there, that is most like it."""
        anchors, height, width = located.objectness.shape[1:]
        cell = cells(truth.boxes, (height, width))  # [N, T]
        if self.spec.bias_match:
            sizes = self.head.anchors / self.head.anchors.new_tensor([width, height])  # [A, 2]
        else:
            image = torch.arange(len(cell), device=cell.device)[:, None]
            sizes = located.boxes.unflatten(1, (anchors, -1)).transpose(1, 2)[image, cell, :, 2:]  # [N, T, A, 2]
        anchor = shape_iou(sizes, truth.boxes[:, :, None, 2:]).argmax(2)
        return anchor * (height * width) + cell

    def _without_truth(self, located: BoxOutputs, truth: Truth, chosen: Chosen, seen: int) -> Tensor:
        """Deltas of slots that no truth has, [N, A, coords + 1, H, W]."""
        delta = torch.zeros_like(torch.cat([located.coordinates, located.objectness[:, :, None]], 2))
        if seen < PRIOR_IMAGES:
            delta[:, :, :2] = _PRIOR_SCALE * (0.5 - located.coordinates[:, :, :2])
            delta[:, :, 2:4] = -_PRIOR_SCALE * located.coordinates[:, :, 2:4]
            delta = torch.where(chosen.whole[:, None, None, None, None], 0.0, delta)
        objectness, whole = located.objectness, chosen.whole[:, None, None, None]
        overlaps = iou(located.boxes[:, :, None], truth.boxes[:, None])  # [N, D, T]
        best = torch.where(chosen.boxes.matched[:, None], overlaps, 0.0).amax(2).view_as(objectness)
        wanted = torch.where(whole, 0.0, float(self.spec.background))
        nothing = self.spec.noobject_scale * (wanted - objectness)
        delta[:, :, -1] = torch.where((best > self.spec.thresh) | (whole & (self.rule == "surest")), 0.0, nothing)
        slot = torch.zeros_like(objectness.flatten(1), dtype=torch.bool)
        slot.scatter_(1, chosen.classes.index.gather(1, chosen.classes.matched.int().argmax(1)[:, None]), True)
        pull = self.spec.object_scale * (_LEAST_OBJECTNESS - objectness).clamp_min(0) if self.rule != "darknet" else 0.0
        delta[:, :, -1] = torch.where(slot.view_as(objectness) & whole, pull, delta[:, :, -1])
        return delta

    def _with_truth(
        self, located: BoxOutputs, there: Tensor, truth: Truth, chosen: Chosen, masks: Tensor | None
    ) -> Tensor:
        """Deltas of the slots of truths, whose coordinates and objectness are `there`, [N, T, coords + 1]."""
        spec, grid = self.spec, located.objectness.shape[2:]
        anchors = self.head.anchors / self.head.anchors.new_tensor([grid[1], grid[0]])
        wanted = box_targets(truth.boxes, chosen.boxes.index, anchors, grid)
        area = truth.boxes[..., 2:].prod(-1, keepdim=True)  # [N, T, 1]
        scale = spec.coord_scale * (torch.ones_like(area) if spec.raw_deltas else 2 - area)
        coordinates = scale * (wanted - there[..., :4])
        # The original takes mask_scale for a whole number, and a truth's mask from one place too far.
        extra = there[..., 4:-1]
        mask = torch.zeros_like(extra) if masks is None else int(spec.mask_scale) * (masks[:, : extra.shape[1]] - extra)
        full = chosen.overlap if spec.rescore else torch.ones_like(chosen.overlap)
        objectness = spec.object_scale * ((torch.zeros_like(full) if spec.background else full) - there[..., -1])
        return torch.cat([coordinates, mask, objectness[..., None]], -1)
