"""Anchors by k-means over the shapes of boxes (YOLO9000 paper, section 2, "Dimension Clusters").

In this room, not in training: it takes numpy and boxes, and comes before there is a network.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from darknet_compat.datasets.anchors.options import MOST, Distance
from darknet_compat.errors import DatasetError
from darknet_compat.formats.arrays import Doubles, Ints
from darknet_compat.formats.textfile import count

_SAMPLE = 20_000
"""Restarts look at this many boxes, until few change their centroid; the best one goes on with all."""
_MOST_STEPS = 1000
_BLOCK = 4096
"""Boxes at a time: what is computed of them stays in the processor's cache."""


@dataclass(frozen=True, eq=False)
class Anchors:
    """`sizes` float64 [k, 2], widths and heights in the boxes' unit, smallest area first, and the `average_iou` of the
    boxes with the anchor that fits each best, shape only, 0..1."""

    sizes: Doubles
    average_iou: float


def find_anchors(boxes: ArrayLike, k: int, *, by: Distance = "iou", seed: int = 0, restarts: int = 10) -> Anchors:
    """The `k` shapes that stand for `boxes`, [N, 2] widths and heights.

    The paper's distance is d = 1 - IoU ("iou"), which is no better for large boxes than for small ones; the usual
    k-means, by squared error, is "sse". A centroid is the mean of its boxes. Of `restarts` beginnings (k-means++ with
    the same distance) the one with the smallest sum of its own distances counts. The same seed gives the same anchors.

    Raises DatasetError for k below 1 or above MOST, and for fewer different shapes than k.
    """
    sizes = np.ascontiguousarray(np.asarray(boxes, np.float64).reshape(-1, 2).T)
    if not 1 <= k <= MOST:
        raise DatasetError(f"expected 1 to {MOST} anchors, found {k}")
    if not ((sizes > 0) & np.isfinite(sizes)).all():
        raise DatasetError("expected widths and heights above 0")
    different = np.unique(sizes, axis=1).shape[1]
    if different < k:
        shapes = count(different, "different shape of boxes is", "different shapes of boxes are")
        raise DatasetError(f"{shapes} too few for {count(k, 'anchor')}")
    rng = np.random.default_rng(seed)
    whole = sizes.shape[1]
    some = sizes if whole <= _SAMPLE else sizes[:, np.sort(rng.choice(whole, _SAMPLE, replace=False))]
    tries = [_settle(some, _begin(some, k, by, rng), by, some.shape[1] // 500) for _ in range(max(1, restarts))]
    centroids, _ = _settle(sizes, min(tries, key=lambda one: one[1])[0], by, whole // 10_000)
    centroids = centroids[:, np.argsort(centroids.prod(axis=0), kind="stable")]
    return Anchors(np.ascontiguousarray(centroids.T), average_iou(sizes.T, centroids.T))


def average_iou(boxes: ArrayLike, anchors: ArrayLike) -> float:
    """The mean over `boxes` [N, 2] of the best IoU with any of `anchors` [k, 2], both at the same place."""
    sizes, centroids = (np.asarray(values, np.float64).reshape(-1, 2).T for values in (boxes, anchors))
    return 1 - float(_nearest(sizes, centroids, "iou")[1].mean())


def curve(boxes: ArrayLike, ks: Iterable[int], *, by: Distance = "iou", seed: int = 0) -> list[tuple[int, float]]:
    """(k, average IoU) for each of `ks` for which there are enough shapes: the left half of the paper's Figure 2."""
    sizes = np.asarray(boxes, np.float64).reshape(-1, 2)
    different = len(np.unique(sizes, axis=0))
    return [(k, find_anchors(sizes, k, by=by, seed=seed).average_iou) for k in ks if k <= different]


def cfg_line(anchors: ArrayLike, unit: float, digits: int = 2) -> str:
    """The `anchors=` line of a definition, the sizes divided by `unit`: the stride for [region], 1 for [yolo]."""
    pairs = np.round(np.asarray(anchors, np.float64) / unit, digits).tolist()
    return "anchors = " + ",  ".join(f"{width:.{digits}f},{height:.{digits}f}" for width, height in pairs)


def _begin(sizes: Doubles, k: int, by: Distance, rng: np.random.Generator) -> Doubles:
    """k-means++: each next centroid is a box, the likelier the farther it is from those there are."""
    chosen = sizes[:, rng.integers(sizes.shape[1])][:, None]
    while chosen.shape[1] < k:
        distance = _nearest(sizes, chosen, by)[1]
        total = np.cumsum(np.maximum(distance, 0))
        index = int(np.searchsorted(total, rng.random() * total[-1], side="right"))
        chosen = np.concatenate([chosen, sizes[:, [min(index, sizes.shape[1] - 1)]]], axis=1)
    return chosen


def _settle(sizes: Doubles, centroids: Doubles, by: Distance, few: int) -> tuple[Doubles, float]:
    """Lloyd's two steps in turn until no more than `few` boxes change their centroid; with the sum of distances."""
    count, k = sizes.shape[1], centroids.shape[1]
    before = np.full(count, -1, np.int64)
    for _ in range(_MOST_STEPS):
        nearest, distance = _nearest(sizes, centroids, by)
        counts = np.bincount(nearest, minlength=k)
        for empty in np.flatnonzero(counts == 0):  # goes to the box that is served worst
            worst = int(distance.argmax())
            counts[nearest[worst]] -= 1
            counts[empty], nearest[worst], distance[worst] = 1, empty, 0
        if np.count_nonzero(nearest != before) <= few:
            break
        before = nearest
        centroids = np.stack([np.bincount(nearest, weights=side, minlength=k) for side in sizes]) / np.maximum(
            counts, 1
        )
    return centroids, float(_nearest(sizes, centroids, by)[1].sum())


def _nearest(sizes: Doubles, centroids: Doubles, by: Distance) -> tuple[Ints, Doubles]:
    """[N] the number of each box's nearest centroid, and [N] the distance. Both arguments are [2, …]."""
    boxes = sizes.shape[1]
    nearest, best = np.zeros(boxes, np.int64), np.full(boxes, np.inf)
    for start in range(0, boxes, _BLOCK):
        rows = slice(start, start + _BLOCK)
        _nearest_of(sizes[:, rows], centroids, by, nearest[rows], best[rows])
    return nearest, best


def _nearest_of(sizes: Doubles, centroids: Doubles, by: Distance, nearest: Ints, best: Doubles) -> None:
    """The same for one block, into `nearest` and `best`. Without a temporary array a step: it is all of the time."""
    width, height = sizes
    area = width * height
    one, two, closer = np.empty_like(width), np.empty_like(width), np.empty(len(width), bool)
    for number, (w, h) in enumerate(centroids.T.tolist()):
        if by == "iou":
            np.multiply(np.minimum(width, w, out=one), np.minimum(height, h, out=two), out=one)
            np.subtract(area, one, out=two)
            two += w * h
            np.divide(one, two, out=one)
            np.subtract(1, one, out=one)
        else:
            np.square(np.subtract(width, w, out=one), out=one)
            one += np.square(np.subtract(height, h, out=two), out=two)
        np.less(one, best, out=closer)
        np.copyto(best, one, where=closer)
        np.copyto(nearest, number, where=closer)
