"""[yolo]: YOLOv3's head."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from darknet_compat.definition import spec as s
from darknet_compat.formats.words import Build
from darknet_compat.heads.boxes import Boxes, BoxHead, grid_boxes, spread
from darknet_compat.heads.ops import Ops, Value


class YoloHead(BoxHead):
    """What [yolo] and [Gaussian_yolo] share."""

    needs_input_size = True

    def __init__(self, spec: s.YoloHead, build: Build) -> None:
        self.spec = spec
        anchors = np.array([spec.anchors[number] for number in spec.mask], np.float32)
        self.anchors = anchors[:, :, None]  # [masks, 2, 1] in pixels of the network's input

    def by_cell(self, ops: Ops, parts: Sequence[Value]) -> Boxes:
        """Boxes, objectness and classes, together [N, masks, 5 + classes, cells] → candidates, cell by cell."""
        every = ops.concat(parts, 2)
        every = ops.reshape(ops.transpose(every, (0, 3, 1, 2)), (0, -1, 5 + self.spec.classes))  # [N, D, 5 + classes]
        xywh, objectness, found = ops.split(every, [4, 1, self.spec.classes], 2)
        return Boxes(xywh, ops.reshape(objectness, (0, -1)), found)


class Yolo(YoloHead):
    """Everything but width and height through the logistic function; with `new_coords` the layer before has done so."""

    spec: s.Yolo

    def parts(self, ops: Ops, x: Value) -> list[Value]:
        """[N, masks·(5 + classes), H, W] → x and y, width and height, objectness with classes, [N, masks, K, cells]
        each."""
        x = ops.reshape(x, (0, len(self.spec.mask), 5 + self.spec.classes, -1))
        return ops.split(x, [2, 2, 1 + self.spec.classes], 2)

    def activate(self, ops: Ops, x: Value) -> list[Value]:
        """The raw output [N, masks·(5 + classes), H, W] → its `parts`, activated."""
        centre, size, rest = self.parts(ops, x)
        if self.spec.new_coords:
            return [spread(centre, self.spec.scale_x_y), size, rest]
        return [spread(ops.sigmoid(centre), self.spec.scale_x_y), size, ops.sigmoid(rest)]

    def boxes(self, ops: Ops, activated: Sequence[Value], like: Value, size_of_input: Value) -> Boxes:
        """`activate`'s result decoded, D = masks·cells, cell by cell."""
        centre, size, rest = activated
        return self.by_cell(ops, [self.decode(ops, centre, size, like, size_of_input), rest])

    def decode(self, ops: Ops, centre: Value, size: Value, like: Value, size_of_input: Value) -> Value:
        """Activated x, y and raw w, h, both [N, masks, 2, cells] → boxes, 4 numbers each; anchors are in pixels."""
        if self.spec.new_coords:  # (2·size)², where e^size is else
            sides = size * size * (ops.constant(4 * self.anchors, like) / size_of_input)
            return ops.concat([(centre + ops.cells(like)) / ops.size(like), sides], 2)
        return grid_boxes(ops, centre, size, ops.constant(self.anchors, like) / size_of_input, like)
