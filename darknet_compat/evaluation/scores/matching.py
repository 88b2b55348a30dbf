"""Which detection found which object: sparse pairs that overlap enough, then one of the field's two rules.

Both work through a picture's detections of a class, best first. COCO's (and ImageNet's) gives each the object that it
overlaps most among those still `free`. VOC's gives each the object that it overlaps most, and if that is taken, the
detection is a duplicate even where it would do for another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from darknet_compat.evaluation.material.columns import Found, Truths
from darknet_compat.formats.arrays import Bools, Doubles, Int32s, Ints

PAIRS_AT_ONCE = 2_000_000
"""How many overlaps are computed in one go, which bounds the memory."""


@dataclass(frozen=True, eq=False)
class Ranked:
    """Detections sorted by class, picture and score, the best first; of equal scores the one that came first.

    `ranks` int64 [N]: the place among those of the same class and picture, from 0. `source` int64 [N]: the row that it
    was in before.
    """

    found: Found
    ranks: Ints
    source: Ints


@dataclass(frozen=True, eq=False)
class Pairs:
    """Detections and objects of one picture and class that overlap enough: rows of both, and their overlap."""

    found: Ints
    truth: Ints
    overlap: Doubles


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of each detection: `truth` int64 [N], the row of the object that it is taken for, else -1; `true`
    bool [N], it found an object; `ignored` bool [N], it counts neither way. Neither is a false positive."""

    truth: Ints
    true: Bools
    ignored: Bools


def rank(found: Found, most: int | None = None) -> Ranked:
    """Sort detections for matching; `most` are kept of each picture and class."""
    order = np.lexsort((-found.scores, found.images, found.classes))
    images, classes = found.images[order], found.classes[order]
    begins = np.ones(len(order), bool)
    begins[1:] = (np.diff(images) != 0) | (np.diff(classes) != 0)
    starts = np.flatnonzero(begins)
    ranks = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    if most is not None:
        order, ranks = order[ranks < most], ranks[ranks < most]
    return Ranked(found.rows(order), ranks, order)


def overlapping(found: Found, truths: Truths, least: float | Doubles, *, crowds: bool = False) -> Pairs:
    """Every detection with every object of its picture and class whose IoU is `least` (one number, or one an object).

    With `crowds` the overlap with a crowd is the share of the detection inside it (COCO's rule).
    """
    kinds = 1 + max(int(found.classes.max(initial=0)), int(truths.classes.max(initial=0)))
    keys = truths.images * kinds + truths.classes
    order = np.argsort(keys, kind="stable")
    wanted = found.images * kinds + found.classes
    first = np.searchsorted(keys[order], wanted, "left")
    counts = np.searchsorted(keys[order], wanted, "right") - first
    bounds = np.broadcast_to(np.asarray(least, np.float64), len(truths))
    parts = []
    for rows in _portions(counts):
        number = counts[rows]
        inside = np.arange(int(number.sum())) - np.repeat(np.cumsum(number) - number, number)
        truth = order[np.repeat(first[rows], number) + inside]
        row = np.repeat(rows, number)
        overlap = _iou(found.boxes[row], truths.boxes[truth], truths.crowd[truth] if crowds else None)
        near = overlap >= bounds[truth]
        parts.append((row[near], truth[near], overlap[near]))
    if not parts:
        return Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    return Pairs(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _portions(counts: Ints) -> Iterator[Ints]:
    """The rows that have any pair, in groups of about PAIRS_AT_ONCE."""
    rows = np.flatnonzero(counts)
    portion = np.cumsum(counts[rows]) // PAIRS_AT_ONCE
    for chunk in np.split(rows, np.flatnonzero(np.diff(portion)) + 1):
        if len(chunk):
            yield chunk


def _iou(a: Doubles, b: Doubles, crowd: Bools | None) -> Doubles:
    """Row by row, [N], of left, top, width, height, in the order of pycocotools' `bbIou`, to the last bit."""
    width = np.minimum(a[:, 2] + a[:, 0], b[:, 2] + b[:, 0]) - np.maximum(a[:, 0], b[:, 0])
    height = np.minimum(a[:, 3] + a[:, 1], b[:, 3] + b[:, 1]) - np.maximum(a[:, 1], b[:, 1])
    shared = np.where((width > 0) & (height > 0), width * height, 0.0)
    area = a[:, 2] * a[:, 3]
    union = area + b[:, 2] * b[:, 3] - shared
    if crowd is not None:
        union = np.where(crowd, area, union)
    overlap: Doubles = np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)
    return overlap


def match_free(
    ranked: Ranked, pairs: Pairs, ignored: Bools, thresholds: Doubles, reusable: Bools | None = None
) -> Int32s:
    """COCO's rule at several thresholds at once: int32 [T, N], the object that each detection is given, else -1.

    Objects that are not `ignored` [M] come first; of equal overlaps the object that comes last. `reusable` [M] objects,
    crowds, are given any number of times. Original: `COCOeval.evaluateImg`.
    """
    thresholds = np.minimum(np.asarray(thresholds, np.float64).reshape(-1, 1), 1 - 1e-10)
    order = np.lexsort((-pairs.truth, -pairs.overlap, ignored[pairs.truth], pairs.found, ranked.ranks[pairs.found]))
    found, truth, overlap = pairs.found[order], pairs.truth[order], pairs.overlap[order]
    free = np.ones((len(thresholds), len(ignored)), bool)
    matched = np.full((len(thresholds), len(ranked.found)), -1, np.int32)
    waves = np.flatnonzero(np.diff(ranked.ranks[found])) + 1  # detections of one rank never compete
    for start, end in zip([0, *waves], [*waves, len(found)], strict=True):
        if start == end:
            continue
        candidates, objects = found[start:end], truth[start:end]
        possible = free[:, objects] if reusable is None else free[:, objects] | reusable[objects]
        possible &= overlap[start:end] >= thresholds
        place = np.where(possible, np.arange(end - start), end - start)
        begins = np.flatnonzero(np.diff(candidates, prepend=-1))
        best = np.minimum.reduceat(place, begins, axis=1)  # [T, detections of this rank]
        level, which = np.nonzero(best < end - start)
        chosen = best[level, which]
        matched[level, candidates[chosen]] = objects[chosen]
        free[level, objects[chosen]] = False
    return matched


def outcome_free(ranked: Ranked, truths: Truths, least: float | Doubles, ignored: Bools) -> Outcome:
    """COCO's rule at one threshold (or one an object, as ImageNet DET has it); `ignored` objects count neither way and
    may be found any number of times."""
    pairs = overlapping(ranked.found, truths, least)
    (matched,) = match_free(ranked, pairs, ignored, np.zeros(1), ignored).astype(np.int64)
    given = matched >= 0
    neither = given & ignored[matched] if len(ignored) else given
    return Outcome(matched, given & ~neither, neither)


def outcome_best(ranked: Ranked, truths: Truths, least: float, ignored: Bools) -> Outcome:
    """VOC's rule (its development kit's `VOCevaldet`): the object that a detection overlaps most, by `least` at least,
    or nothing; of equal ones the first. Detections of `ignored` objects count neither way."""
    pairs = overlapping(ranked.found, truths, least)
    order = np.lexsort((pairs.truth, -pairs.overlap, pairs.found))
    row, place = np.unique(pairs.found[order], return_index=True)
    truth = np.full(len(ranked.found), -1, np.int64)
    truth[row] = pairs.truth[order][place]
    given = truth >= 0
    neither = given & ignored[truth] if len(ignored) else given
    true = np.zeros(len(truth), bool)
    counted = np.flatnonzero(given & ~neither)
    _, first = np.unique(truth[counted], return_index=True)  # rows are in order of score within a picture and class
    true[counted[first]] = True
    return Outcome(truth, true, neither)
