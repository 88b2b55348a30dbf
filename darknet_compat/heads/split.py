"""A [region] head whose cost does not grow with the number of classes.

At inference class logits matter only where there may be an object. So the 1x1 convolution before the head is split: its
rows for boxes and objectness run everywhere, its rows for classes only for candidates. The answers are the full head's;
the full head stays for training, parity and raw outputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from darknet_compat.definition import spec as s
from darknet_compat.definition.spec import NetworkSpec
from darknet_compat.heads.boxes import Boxes
from darknet_compat.heads.ops import Ops, Value
from darknet_compat.heads.region import Region


def splittable(spec: NetworkSpec) -> bool:
    """Whether the network ends in a plain 1x1 convolution and a [region] whose cost can be parted."""
    if len(spec.layers) < 2:
        return False
    convolution, region = spec.layers[-2:]
    return (
        isinstance(region, s.Region)
        and not region.background
        and isinstance(convolution, s.Convolutional)
        and (convolution.size, convolution.padding, convolution.groups) == (1, 0, 1)
        and convolution.strides == (1, 1)
        and not convolution.antialiasing
        and convolution.share_index is None
        and convolution.activation == "linear"
        and not (convolution.batch_normalize or convolution.xnor or convolution.binary)
    )


@dataclass(frozen=True)
class SplitWeights:
    """The parts of the last convolution's weights [num·(coords + 1 + C), channels, 1, 1] and biases.

    `boxes` [num·(coords + 1), channels, 1, 1] and `box_biases`; an anchor's `classes` [C, channels, 1, 1] and
    `class_biases` [C], a tree's nodes in the order of its softmax (`TreeSoftmax.order`).
    """

    boxes: Value
    box_biases: Value
    classes: tuple[Value, ...]
    class_biases: tuple[Value, ...]


class RowNumbers:
    """Which rows of the convolution's weights give boxes, and which classes."""

    def __init__(self, region: Region) -> None:
        spec = region.spec
        first, every = spec.coords + 1, spec.coords + 1 + spec.classes
        order = region.tree.order if region.tree else np.arange(spec.classes)
        starts = every * np.arange(spec.num)[:, None]
        self.boxes = (starts + np.arange(first)).ravel()  # [num·(coords + 1)]
        self.classes = starts + first + order  # [num, C]


def best_of_each_anchor(
    ops: Ops, region: Region, rows: SplitWeights, features: Value, each: int
) -> tuple[Boxes, Value]:
    """What the last convolution reads, [N, channels, H, W] → each anchor's `each` best candidates, anchor by anchor,
    best first, D = num·each; and every candidate's objectness [N, num·H·W].

    Always as many, and no shape that depends on data; every row of features meets its own anchor's weights only.
    """
    num = region.spec.num
    xywh, every = region.objects(ops, ops.conv1x1(features, rows.boxes, rows.box_biases))
    objectness, cells = ops.best(ops.reshape(every, (0, num, -1)), each)  # [N, num, each]
    xywh = ops.gather(ops.reshape(xywh, (0, num, -1, 4)), cells, 2)  # [N, num, each, 4]
    maps = ops.transpose(ops.reshape(features, (0, 0, -1)), (0, 2, 1))  # [N, H·W, channels]
    there = ops.gather(maps, ops.reshape(cells, (0, -1)), 1)  # [N, num·each, channels]
    # As maps one pixel high: of all forms that runtimes multiply this in, they are quickest at convolutions. And not
    # one of all anchors' weights: weights are laid out beforehand, but not stacks of them.
    there = ops.reshape(ops.transpose(there, (0, 2, 1)), (0, 0, 1, -1))  # [N, channels, 1, num·each]
    parts = zip(ops.split(there, [each] * num, 3), rows.classes, rows.class_biases, strict=True)
    logits = [ops.conv1x1(x, weights, biases) for x, weights, biases in parts]  # [N, C, 1, each] an anchor
    boxes = Boxes(
        ops.reshape(xywh, (0, -1, 4)),
        ops.reshape(objectness, (0, -1)),
        ops.transpose(_probabilities(ops, region, ops.reshape(ops.concat(logits, 3), (0, 0, -1))), (0, 2, 1)),
    )
    return boxes, every


def _probabilities(ops: Ops, region: Region, logits: Value) -> Value:
    """Logits [N, C, K] as the rows of classes lie → probabilities in the classes' own order."""
    if region.tree is None:
        return region.activate_classes(ops, logits, 1, last=False)
    return ops.take(region.tree.ordered(ops, logits, 1, last=False), region.tree.place, 1)
