"""[detection]: YOLO's first head."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from darknet_compat.definition import spec as s
from darknet_compat.formats.words import Build
from darknet_compat.heads.boxes import Boxes, BoxHead
from darknet_compat.heads.ops import Ops, Value


class Detection(BoxHead):
    """Per cell `classes` probabilities, `num` confidences, `num` boxes of 4 numbers."""

    axis = 1

    def __init__(self, spec: s.Detection, build: Build) -> None:
        self.spec = spec
        side = spec.side
        rows, columns = np.divmod(np.arange(side**2), side)
        self.cells = np.stack([columns, rows], 1)[:, None].astype(np.float32)  # [side², 1, 2]

    def parts(self, ops: Ops, x: Value) -> list[Value]:
        """[N, side²·(classes + num·(1 + coords))] → classes if any, confidences and boxes, [N, values] each."""
        spec, cells = self.spec, self.spec.side**2
        sizes = [cells * spec.classes, cells * spec.num, cells * spec.num * spec.coords]
        return ops.split(ops.reshape(x, (0, -1)), sizes, 1)

    def activate(self, ops: Ops, x: Value) -> list[Value]:
        """The raw output → its `parts`; with `softmax` on each cell's classes."""
        parts, spec, cells = self.parts(ops, x), self.spec, self.spec.side**2
        if spec.softmax and spec.classes:
            parts[0] = ops.reshape(ops.softmax(ops.reshape(parts[0], (0, cells, spec.classes)), 2), (0, -1))
        return parts

    def boxes(self, ops: Ops, activated: Sequence[Value], like: Value = None, size_of_input: Value = None) -> Boxes:
        """`activate`'s result decoded, D = side²·num, cell by cell, of a head without `spec.lack` (original:
        `get_detection_detections`)."""
        spec, (classes, objectness, boxes) = self.spec, activated
        cells = spec.side**2
        boxes = ops.reshape(boxes, (0, cells, spec.num, spec.coords))
        centre, size, *_ = ops.split(boxes, [2, 2, spec.coords - 4], 3)  # [N, side², num, 2] each
        centre = (centre + ops.constant(self.cells, boxes)) / spec.side
        xywh = ops.concat([centre, size * size if spec.sqrt else size], 3)
        shared = ops.concat([ops.reshape(classes, (0, cells, 1, spec.classes))] * spec.num, 2)
        return Boxes(ops.reshape(xywh, (0, -1, 4)), objectness, ops.reshape(shared, (0, -1, spec.classes)))
