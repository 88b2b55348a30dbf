"""How much of a difference between two models is luck with the pictures: scores of pictures drawn with replacement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from darknet_compat.evaluation.material.columns import Found, Truths
from darknet_compat.evaluation.scores import coco, imagenet
from darknet_compat.evaluation.scores.average_precision import ELEVEN, falling
from darknet_compat.evaluation.scores.matching import match_free, outcome_best, outcome_free, overlapping, rank
from darknet_compat.formats.arrays import Bools, Doubles, Ints

DRAWS = 500


@dataclass(frozen=True)
class Interval:
    """A difference, and the bounds between which 95 % of the redrawn ones lie."""

    difference: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Judged:
    """What a metric made of each detection, sorted by class and score, in which matching never looks beyond a picture:
    `images` and `classes` int64 [N]; `true` and `counted` bool [T, N] at each of T thresholds."""

    images: Ints
    classes: Ints
    true: Bools
    counted: Bools

    def mean(self, weights: Doubles, positives: Doubles, levels: Doubles | None) -> float | None:
        """Mean average precision where picture i counts `weights`[i] times and class k has `positives`[k] objects.

        At recall `levels`, or without them the area. Classes without objects are left out; None if that is all.
        """
        bounds = np.searchsorted(self.classes, np.arange(len(positives) + 1))
        values = []
        for number in np.flatnonzero(positives).tolist():
            rows = slice(int(bounds[number]), int(bounds[number + 1]))
            times = weights[self.images[rows]]
            for true, counted in zip(self.true[:, rows], self.counted[:, rows], strict=True):
                hits, seen = np.cumsum(times * true), np.cumsum(times * counted)
                recall = hits / positives[number]
                precision = falling(np.divide(hits, seen, out=np.zeros_like(hits), where=seen > 0))
                if levels is None:
                    values.append(float(np.sum(np.diff(recall, prepend=0.0) * precision)))
                else:
                    place = np.searchsorted(recall, levels, "left")
                    values.append(float(np.mean(np.append(precision, 0.0)[place])))
        return float(np.mean(values)) if values else None


def judge(metric: str, found: Found, truths: Truths) -> Judged:
    """Match detections by the rules of `metric`, a name of `metrics.METRICS`."""
    return _JUDGES[metric](found, truths)


def neither(metric: str, truths: Truths) -> Bools:
    """Which objects count neither way, bool [M]."""
    return truths.crowd if metric == "coco" else truths.difficult | truths.crowd


def interval(
    metric: str, one: Found, other: Found, truths: Truths, pictures: int, classes: int, *, seed: int = 0
) -> Interval | None:
    """The second's mean average precision less the first's, and how far it moves when pictures are drawn anew, both
    models on the same ones. None where there is nothing to find."""
    levels = {"voc07": ELEVEN, "coco": coco.RECALLS}.get(metric)
    judged = [judge(metric, found, truths) for found in (one, other)]
    counted = truths.rows(~neither(metric, truths))
    objects = np.zeros((pictures, classes))
    np.add.at(objects, (counted.images, counted.classes), 1)

    def difference(weights: Doubles) -> float | None:
        first, second = (part.mean(weights, weights @ objects, levels) for part in judged)
        return None if first is None or second is None else second - first

    whole = difference(np.ones(pictures))
    if whole is None:
        return None
    random = np.random.default_rng(seed)
    draws = [random.multinomial(pictures, np.full(pictures, 1 / pictures)).astype(np.float64) for _ in range(DRAWS)]
    redrawn = [value for value in map(difference, draws) if value is not None]
    low, high = np.percentile(redrawn or [whole], [2.5, 97.5])
    return Interval(whole, float(low), float(high))


def _sorted(found: Found, true: Bools, counted: Bools) -> Judged:
    order = np.lexsort((-found.scores, found.classes))
    # What comes after a class's last true detection changes no precision that counts.
    hits = np.logical_or.reduce(true[:, order], axis=0)
    kinds = found.classes[order]
    last = np.full(int(kinds.max(initial=-1)) + 1, -1)
    np.maximum.at(last, kinds[hits], np.flatnonzero(hits))
    order = order[np.arange(len(order)) <= last[kinds]]
    return Judged(found.images[order], found.classes[order], true[:, order], counted[:, order])


def _voc(found: Found, truths: Truths) -> Judged:
    ranked = rank(found)
    outcome = outcome_best(ranked, truths, 0.5, truths.difficult | truths.crowd)
    return _sorted(ranked.found, outcome.true[None], ~outcome.ignored[None])


def _det(found: Found, truths: Truths) -> Judged:
    ranked = rank(found)
    least = imagenet.least_overlaps(truths.boxes)
    outcome = outcome_free(ranked, truths, least, truths.difficult | truths.crowd)
    return _sorted(ranked.found, outcome.true[None], ~outcome.ignored[None])


def _coco(found: Found, truths: Truths) -> Judged:
    ranked = rank(found, coco.MOST)
    pairs = overlapping(ranked.found, truths, float(coco.THRESHOLDS[0]), crowds=True)
    taken = match_free(ranked, pairs, truths.crowd, coco.THRESHOLDS, truths.crowd)
    given = taken >= 0
    crowd = given & truths.crowd[taken] if len(truths) else given
    return _sorted(ranked.found, given & ~crowd, ~crowd)


_JUDGES: dict[str, Callable[[Found, Truths], Judged]] = {"voc": _voc, "voc07": _voc, "coco": _coco, "det": _det}
