"""Boxes as arrays [N, 4]: forms, overlap, and non-maximum suppression of every kind that Darknets have."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from darknet_compat.formats.arrays import Bools, Floats, Indices

REMEMBERED = 64 << 20
"""Bytes of overlap flags that `nms` keeps between classes."""


def xywh_to_xyxy(boxes: Floats) -> Floats:
    """From [N, 4] centre x, centre y, width, height to [N, 4] x1 y1 x2 y2, in the same unit."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return np.concatenate([centre - half, centre + half], axis=-1)


def iou(a: Floats, b: Floats) -> Floats:
    """Intersection over union of every box of `a` [N, 4] with every one of `b` [M, 4], x1 y1 x2 y2: [N, M].

    Original: `box_iou`. Sides are x2 - x1 and y2 - y1, without adding a pixel, so that touching boxes and boxes
    without an area overlap by 0; also where both lack one, for which the original has 0/0. A box whose x2 < x1 or
    y2 < y1 meets nothing, but its area counts with its sign, as there.
    """
    return _overlap(a.T[:, :, None], b.T[:, None, :])


def _overlap(a: Floats, b: Floats) -> Floats:
    """IoU of coordinates [4, ...] that broadcast against each other."""
    with np.errstate(over="ignore", invalid="ignore"):  # boxes may be infinite: exp of anything gives their sides
        width = np.minimum(a[2], b[2]) - np.maximum(a[0], b[0])
        height = np.minimum(a[3], b[3]) - np.maximum(a[1], b[1])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
        overlap: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union != 0)
        return overlap


def _apart(a: Floats, b: Floats) -> Floats:
    """d² / c² of coordinates [4, ...] that broadcast against each other; 0 where c is 0."""
    with np.errstate(over="ignore", invalid="ignore"):
        (x, y), (width, height) = (
            (a[:2] + a[2:] - b[:2] - b[2:]) / 2,
            np.maximum(a[2:], b[2:]) - np.minimum(a[:2], b[:2]),
        )
        distance, diagonal = x * x + y * y, width * width + height * height
        apart: Floats = np.divide(distance, diagonal, out=np.zeros_like(distance), where=diagonal != 0)
        return apart


def distance_exponent(kind: str, beta: float) -> float | None:
    """The `exponent` that `nms` needs for a head's nms_kind and beta_nms; None where the distance does not matter.

    The fork gives greedynms 0.6 whatever beta says. cornersnms, and any kind it does not know, is the plain one.
    """
    return {"greedynms": 0.6, "diounms": beta}.get(kind)


def nms(
    boxes: Floats,
    scores: Floats,
    iou_threshold: float = 0.45,
    objectness: Floats | None = None,
    *,
    exponent: float | None = None,
) -> Floats:
    """Scores [N, C] with 0 where a better box of the same class is too near (original: `do_nms_sort`).

    `boxes` [N, 4] is x1 y1 x2 y2 in any unit, `scores` [N, C] is left as it is. Class by class, greedy: the best
    box stays, and every other one whose IoU with it is above `iou_threshold` (not equal to it) loses that class only.
    A box whose `objectness` [N] is 0 takes no part: it neither removes another nor is removed. Of two equal scores the
    box that comes first wins; in the original that is up to the C library's qsort.

    With an `exponent` boxes far apart stay though they overlap (the fork's `diounms_sort`): (d² / c²)^exponent goes off
    the IoU first, d being the distance of the two centres, c the diagonal of the smallest box around both. Unlike the
    IoU that depends on the unit: the fork counts in fractions of the picture.
    """
    kept = np.array(scores, np.float32)
    if iou_threshold >= 1:  # no IoU is above 1, and finding that out takes the square of the boxes' number
        return kept
    candidate = kept > 0
    if objectness is not None:
        candidate &= (objectness != 0)[:, None]
    overlaps = _Overlaps(boxes, iou_threshold, exponent)
    for column, order in _ranked(kept, candidate):
        staying = overlaps.survivors(order)
        best = kept[staying, column]
        kept[order, column] = 0
        kept[staying, column] = best
    return kept


def nms_obj(boxes: Floats, scores: Floats, objectness: Floats, iou_threshold: float = 0.45) -> tuple[Floats, Floats]:
    """(scores [N, C], objectness [N]) with 0 for every box that a more certain one is too near (`do_nms_obj`).

    As `nms`, but once for all classes: boxes [N, 4], x1 y1 x2 y2, are ranked by `objectness` [N], and a box that goes
    loses it and every class.
    """
    scores, objectness = np.array(scores, np.float32), np.array(objectness, np.float32)
    order = np.argsort(-objectness, kind="stable")
    order = order[objectness[order] != 0]
    staying = np.zeros(len(objectness), bool)
    staying[_Overlaps(boxes, iou_threshold).survivors(order)] = True
    going = order[~staying[order]]
    scores[going], objectness[going] = 0, 0
    return scores, objectness


def _ranked(scores: Floats, candidate: Bools) -> Iterator[tuple[int, Indices]]:
    """For each column that has more than one candidate: the column, and their rows, best score first."""
    rows, columns = np.nonzero(candidate)
    order = np.lexsort((rows, -scores[rows, columns], columns))
    columns, rows = columns[order], rows[order]
    starts = np.flatnonzero(np.diff(columns, prepend=-1))
    for start, end in pairwise([*starts, len(columns)]):
        if end - start > 1:
            yield int(columns[start]), rows[start:end]


class _Overlaps:
    """Which boxes overlap too much, one box's row at a time, and remembered: classes share their boxes."""

    def __init__(self, boxes: Floats, iou_threshold: float, exponent: float | None = None) -> None:
        self.coordinates = np.ascontiguousarray(np.asarray(boxes, np.float32).reshape(-1, 4).T)
        self.threshold = np.float32(iou_threshold)
        self.exponent = exponent
        self.rows: dict[int, Bools] = {}

    def clear_of(self, box: int) -> Bools:
        """[N]: whose IoU with `box` is not above the threshold."""
        row = self.rows.get(box)
        if row is None:
            if (len(self.rows) + 1) * self.coordinates.shape[1] > REMEMBERED:
                self.rows.clear()
            overlap = _overlap(self.coordinates[:, box, None], self.coordinates)
            if self.exponent is not None:
                overlap -= _apart(self.coordinates[:, box, None], self.coordinates) ** self.exponent
            row = ~(overlap > self.threshold)
            self.rows[box] = row
        return row

    def survivors(self, order: Indices) -> Indices:
        """Those of `order`, best first, that no better survivor overlaps too much."""
        staying = []
        while len(order) > 1:
            best, order = order[0], order[1:]
            staying.append(best)
            order = order[self.clear_of(int(best))[order]]
        return np.array([*staying, *order], np.intp)
