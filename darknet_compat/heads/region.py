"""[region]: YOLOv2's and YOLO9000's head."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from darknet_compat.definition import spec as s
from darknet_compat.formats.words import Build
from darknet_compat.heads.boxes import Boxes, BoxHead, grid_boxes
from darknet_compat.heads.classes import TreeSoftmax
from darknet_compat.heads.ops import Ops, Value


class Region(BoxHead):
    """x, y, objectness through the logistic function, classes through softmax, tree or logistic.

    The CPU build of the original walks a tree's groups as if classes were the outermost axis, so that its output is
    not the model's; this is the CUDA build's, with which the weights were trained.
    """

    def __init__(self, spec: s.Region, build: Build) -> None:
        self.spec = spec
        self.anchors = np.array(spec.anchors, np.float32)[:, :, None]  # [num, 2, 1] in cells
        self.tree = TreeSoftmax(spec.tree) if spec.tree else None
        self.masks_activated = build == "cuda"

    def parts(self, ops: Ops, x: Value) -> list[Value]:
        """[N, num·(coords + 1 + classes), H, W] → x and y, width and height, masks if there are any, objectness, and
        classes, [N, num, K, cells] each."""
        coords, classes = self.spec.coords, self.spec.classes
        x = ops.reshape(x, (0, self.spec.num, coords + 1 + classes, -1))
        return ops.split(x, [2, 2, coords - 4, 1, classes], 2)

    def activate(self, ops: Ops, x: Value) -> list[Value]:
        """The raw output, [N, num·(coords + 1 + classes), H, W] → its `parts`, activated."""
        *coordinates, objectness, classes = self.parts(ops, x)
        located = self.locate(ops, coordinates)
        if not self.spec.background:
            return [*located, ops.sigmoid(objectness), self.activate_classes(ops, classes, 2, last=False)]
        if self.spec.softmax and self.tree is None:  # the first is no objectness but a class of its own
            every = ops.softmax(ops.concat([objectness, classes], 2), 2)
            return [*located, *ops.split(every, [1, self.spec.classes], 2)]
        return [*located, objectness, self.activate_classes(ops, classes, 2, last=False)]

    def locate(self, ops: Ops, coordinates: Sequence[Value]) -> list[Value]:
        """x and y, width and height, masks, activated."""
        centre, size, *masks = coordinates
        return [ops.sigmoid(centre), size, *(map(ops.sigmoid, masks) if self.masks_activated else masks)]

    def activate_classes(self, ops: Ops, x: Value, axis: int, last: bool) -> Value:
        """Class logits along `axis` → probabilities, those of a tree's nodes given their parent (`TreeSoftmax`)."""
        if self.tree is not None:
            return self.tree(ops, x, axis, last)
        if self.spec.softmax:
            return ops.softmax(x, axis)
        return ops.sigmoid(x) if self.spec.logistic else x

    def boxes(self, ops: Ops, activated: Sequence[Value], like: Value, size_of_input: Value = None) -> Boxes:
        """`activate`'s result decoded, D = num·cells, anchor by anchor."""
        centre, size, *_, objectness, classes = activated
        if self.spec.background:
            objectness = objectness * 0 + 1
        xywh = self._by_anchor(ops, self.decode(ops, centre, size, like), 4)
        return Boxes(xywh, ops.reshape(objectness, (0, -1)), self._by_anchor(ops, classes, self.spec.classes))

    def decode(self, ops: Ops, centre: Value, size: Value, like: Value) -> Value:
        """Activated x, y and raw w, h, both [N, num, 2, cells] → boxes [N, num, 4, cells]; anchors are in cells."""
        return grid_boxes(ops, centre, size, ops.constant(self.anchors, like) / ops.size(like), like)

    def objects(self, ops: Ops, x: Value) -> tuple[Value, Value]:
        """Boxes [N, D, 4] and objectness [N, D] of raw [N, num·(coords + 1), H, W], without any classes."""
        coords = self.spec.coords
        parts = ops.split(ops.reshape(x, (0, self.spec.num, coords + 1, -1)), [2, 2, coords - 4, 1], 2)
        centre, size = ops.sigmoid(parts[0]), parts[1]
        xywh = self._by_anchor(ops, self.decode(ops, centre, size, x), 4)
        return xywh, ops.reshape(ops.sigmoid(parts[-1]), (0, -1))

    def _by_anchor(self, ops: Ops, x: Value, entries: int) -> Value:
        """[N, num, K, cells] → [N, num·cells, K]."""
        return ops.reshape(ops.transpose(x, (0, 1, 3, 2)), (0, -1, entries))
