"""[Gaussian_yolo]: the fork's head whose boxes have an uncertainty beside each of their four numbers."""

from __future__ import annotations

from collections.abc import Sequence

from darknet_compat.definition import spec as s
from darknet_compat.heads.boxes import Boxes, grid_boxes, spread
from darknet_compat.heads.ops import Ops, Value
from darknet_compat.heads.yolo import YoloHead


class GaussianYolo(YoloHead):
    """x, σx, y, σy, w, σw, h, σh, objectness and classes of a box: all but the raw w and h through the logistic
    function. A class counts for less the less certain its box is (fork: `get_gaussian_yolo_detections`)."""

    uncertain = True
    spec: s.GaussianYolo

    def parts(self, ops: Ops, x: Value) -> list[Value]:
        """[N, masks·(9 + classes), H, W] → the eight of a box, objectness with classes, [N, masks, K, cells] each."""
        x = ops.reshape(x, (0, len(self.spec.mask), 9 + self.spec.classes, -1))
        return ops.split(x, [1] * 8 + [1 + self.spec.classes], 2)

    def activate(self, ops: Ops, x: Value) -> list[Value]:
        """The raw output [N, masks·(9 + classes), H, W] → its `parts`, activated."""
        x, sx, y, sy, w, sw, h, sh, rest = self.parts(ops, x)
        x, y = (spread(ops.sigmoid(place), self.spec.scale_x_y) for place in (x, y))
        sx, sy, sw, sh, rest = (ops.sigmoid(part) for part in (sx, sy, sw, sh, rest))
        return [x, sx, y, sy, w, sw, h, sh, rest]

    def boxes(self, ops: Ops, activated: Sequence[Value], like: Value, size_of_input: Value) -> Boxes:
        """`activate`'s result decoded, D = masks·cells, cell by cell."""
        x, sx, y, sy, w, sw, h, sh, rest = activated
        xywh = self.decode(ops, ops.concat([x, y], 2), ops.concat([w, h], 2), like, size_of_input)
        objectness, found = ops.split(rest, [1, self.spec.classes], 2)
        found = found * ((sx + sy + sw + sh) * -0.25 + 1)
        return self.by_cell(ops, [xywh, objectness, found])

    def uncertainties(self, ops: Ops, activated: Sequence[Value]) -> Value:
        """Those of x, y, w and h, 0..1, [N, D, 4], for each of `boxes` (the fork's `uc`)."""
        every = ops.concat(list(activated[1:8:2]), 2)  # [N, masks, 4, cells]
        return ops.reshape(ops.transpose(every, (0, 3, 1, 2)), (0, -1, 4))

    def decode(self, ops: Ops, centre: Value, size: Value, like: Value, size_of_input: Value) -> Value:
        """Activated x, y and raw w, h, both [N, masks, 2, cells] → boxes, 4 numbers each; anchors are in pixels.

        With `yolo_point` x and y are a corner, from which the centre lies half a box away.
        """
        boxes = grid_boxes(ops, centre, size, ops.constant(self.anchors, like) / size_of_input, like)
        if self.spec.yolo_point == "center":
            return boxes
        centre, size = ops.split(boxes, [2, 2], 2)
        half = 0.5 if self.spec.yolo_point == "left_top" else -0.5
        return ops.concat([centre + size * half, size], 2)
