"""Candidates, and how a grid's cells and anchors become boxes."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from darknet_compat.heads.ops import Ops, Value


class BoxHead:
    """What every head that gives boxes has: `activate` and `boxes`, and how its parts come together.

    `activate(ops, x)` makes the raw output into activated parts, and `parts(ops, x)` takes an activated one apart the
    same way; they are joined along `axis`. `boxes(ops, activated, like, size_of_input)` decodes them: `like` is a map
    [N, C, H, W] of the grid, `size_of_input` [2, 1] the width and height of the network's input, None unless
    `needs_input_size`. One that is `uncertain` has a method `uncertainties(ops, activated)`, [N, D, 4], too.
    """

    axis: ClassVar[int] = 2
    needs_input_size: ClassVar[bool] = False
    uncertain: ClassVar[bool] = False


class Boxes(NamedTuple):
    """Candidates of one head, D = anchors · cells, in the original's order.

    That is anchor by anchor, and for each row by row, for [region]; cell by cell for [yolo] and [detection].
    `xywh`: [N, D, 4], centre and size as fractions of the network's input. `objectness`: [N, D]. `classes`: [N, D, C],
    each class's probability given an object; of a tree's nodes given their parent.
    """

    xywh: Value
    objectness: Value
    classes: Value


def grid_boxes(ops: Ops, centre: Value, size: Value, anchors: Value, like: Value) -> Value:
    """Activated x, y and raw w, h, both [N, A, 2, cells] → boxes [N, A, 4, cells].

    `anchors` [A, 2, 1] are fractions of the network's input, `like` is any map [N, C, H, W] of the grid (paper section
    2, direct location prediction; original: `get_region_box`, `get_yolo_box`).
    """
    return ops.concat([(centre + ops.cells(like)) / ops.size(like), ops.exp(size) * anchors], 2)


def spread(x: Value, scale: float) -> Value:
    """A place within its cell, 0..1, over `scale` times as much around the middle (the fork's scale_x_y)."""
    return x if scale == 1 else x * scale - (scale - 1) / 2


def joined(ops: Ops, parts: list[Boxes]) -> Boxes:
    """The candidates of several heads, one head's after another's."""
    return parts[0] if len(parts) == 1 else Boxes(*(ops.concat(column, 1) for column in zip(*parts, strict=True)))
