"""Boxes that follow their picture onto the network's input (data.c)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from darknet_compat.datasets.base import Labels
from darknet_compat.formats.arrays import Floats, Ints
from darknet_compat.training.augment.draws import Draws

TINY = 0.001
"""Boxes that are narrower or lower than this part of the network's input are left out."""
TINY_IN_CELLS = 0.005
"""The same for YOLO's first detector."""


class PictureTruths(NamedTuple):
    """What one training picture shows: `boxes` float32 [T, 4], centre fractions of the network's input, and `classes`
    int64 [T]. A box of zeros belongs to a label of the whole picture, which has `shares` float32 [T] of it; None stands
    for all of it."""

    boxes: Floats
    classes: Ints
    shares: Floats | None = None


def shuffled(count: int, draws: Draws) -> list[int]:
    """An order of `count` boxes; not all orders are as likely (original: `randomize_boxes`)."""
    order = list(range(count))
    for i in range(count):
        other = draws.below(count)
        order[i], order[other] = order[other], order[i]
    return order


class Move(NamedTuple):
    """What becomes of a picture on its way to the network's input: edges are multiplied by `sx` and `sy`, `dx` and `dy`
    are subtracted, all in fractions of the input; then it is mirrored with `flip`."""

    dx: np.float32
    dy: np.float32
    sx: np.float32
    sy: np.float32
    flip: bool


def correct_boxes(boxes: Floats, move: Move) -> Floats:
    """[N, 4] moved, centre fractions of the picture to those of the network's input, cut off at 0 and 1.

    Rows centred on 0, 0 are labels of the whole picture, which become rows of zeros (the original marks them with
    999999).
    """
    x, y, w, h = np.asarray(boxes, np.float32).reshape(-1, 4).T
    whole = (x == 0) & (y == 0)
    left, right = (x - w / 2) * move.sx - move.dx, (x + w / 2) * move.sx - move.dx
    top, bottom = (y - h / 2) * move.sy - move.dy, (y + h / 2) * move.sy - move.dy
    if move.flip:
        left, right = 1 - right, 1 - left
    left, right, top, bottom = (np.clip(edge, 0, 1) for edge in (left, right, top, bottom))
    moved = np.stack([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top], axis=1)
    moved[whole] = 0
    return moved


def fill_truth_detection(labels: Labels, move: Move, most: int, draws: Draws) -> PictureTruths:
    """At most `most` of a picture's boxes in random order, moved as `correct_boxes` does, without the tiny ones.

    The limit counts tiny ones too, as the original's does.
    """
    return _moved(labels, move, shuffled(len(labels), draws)[:most], TINY)


def fill_truth_region(labels: Labels, move: Move, draws: Draws) -> PictureTruths:
    """All of a picture's boxes in random order, of which a cell learns the first, moved and without the tiny ones."""
    return _moved(labels, move, shuffled(len(labels), draws), TINY_IN_CELLS)


def _moved(labels: Labels, move: Move, order: list[int], tiny: float) -> PictureTruths:
    given = labels.boxes[order].astype(np.float32)
    moved = correct_boxes(given, move)
    whole = (given[:, 0] == 0) & (given[:, 1] == 0)
    kept = whole | ~(moved[:, 2:].astype(np.float64) < tiny).any(axis=1)
    return PictureTruths(moved[kept], labels.classes[order][kept])
