"""The page of figures of the fork's `detector map`: mean average precision, and what a confidence threshold gives.

Its definition differs from VOC's in four ways (FORK is AlexeyAB/darknet 59596d78, `validate_detector_map`):

- a detection belongs to the object of its class that it overlaps most, by more than `iou_thresh`, whether or not
  another detection has that object already;
- the area under the curve is taken with the best precision from each detection on, that detection included, and the
  first point is extended to recall 0;
- the mean is over all classes; one without objects counts 0;
- at the confidence threshold the first detection of an object counts, in the order in which detections lie after
  suppression, which is not that of their scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from darknet_compat.evaluation.material.columns import Found, Truths
from darknet_compat.evaluation.scores.average_precision import Curve, at_recalls, curve, falling
from darknet_compat.evaluation.scores.matching import overlapping, rank
from darknet_compat.formats.arrays import Bools, Doubles, Ints


@dataclass(frozen=True)
class MapSettings:
    """`iou_thresh`: the overlap that a detection has to exceed; `points`: 0 for the area under the curve, else how many
    recall levels are averaged (11: VOC 2007, 101: COCO); `conf`: the score that counts as found."""

    iou_thresh: float = 0.5
    points: int = 0
    conf: float = 0.25


@dataclass(frozen=True, eq=False)
class ClassMap:
    """One class: average precision (0 without objects), and at the confidence true and false positives."""

    name: str
    average_precision: float
    true: int
    false: int
    objects: int


@dataclass(frozen=True, eq=False)
class DetectorMap:
    """All classes, and at `settings.conf` the sums over them. `best` is the confidence with the highest F1, and that F1
    (None where nothing is found)."""

    settings: MapSettings
    classes: tuple[ClassMap, ...]
    overlap: float
    """Sum of the true positives' IoU."""
    best: tuple[float, float] | None

    @property
    def mean(self) -> float | None:
        """Mean average precision over all classes; None without classes."""
        return float(np.mean([one.average_precision for one in self.classes])) if self.classes else None

    @property
    def true(self) -> int:
        """True positives at the confidence."""
        return sum(one.true for one in self.classes)

    @property
    def false(self) -> int:
        """False positives at the confidence."""
        return sum(one.false for one in self.classes)

    @property
    def missed(self) -> int:
        """Objects that nothing above the confidence found."""
        return sum(one.objects for one in self.classes) - self.true

    @property
    def figures(self) -> dict[str, float | None]:
        """By name, shares from 0 to 1; None where there is nothing to divide by."""
        found = self.true + self.false
        return {
            "mAP": self.mean,
            "precision": _share(self.true, found),
            "recall": _share(self.true, self.true + self.missed),
            "F1": _share(2 * self.true, found + self.true + self.missed),
            "average IoU": _share(self.overlap, found),
            "best F1": self.best[1] if self.best else None,
            "its score": self.best[0] if self.best else None,
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        classes = [
            {"name": c.name, "ap": c.average_precision, "tp": c.true, "fp": c.false, "objects": c.objects}
            for c in self.classes
        ]
        settings = {"iou_thresh": self.settings.iou_thresh, "points": self.settings.points, "conf": self.settings.conf}
        counts = {"tp": self.true, "fp": self.false, "fn": self.missed}
        return settings | {"mean_ap": self.mean} | counts | {"figures": self.figures, "classes": classes}


def score(found: Found, truths: Truths, names: Sequence[str], settings: MapSettings | None = None) -> DetectorMap:
    """What `detector map` prints for these detections. Difficult objects and crowds are no objects to find, and a
    detection that overlaps such a one and no other counts neither way (its `difficult=` list)."""
    settings = settings or MapSettings()
    neither = truths.difficult | truths.crowd
    ranked = rank(found)
    detections = ranked.found
    truth, overlap = _belongs(detections, truths.rows(~neither), settings.iou_thresh)
    beside, _ = _belongs(detections, truths.rows(neither), settings.iou_thresh)
    ignored = (truth < 0) & (beside >= 0)
    objects = np.bincount(truths.classes[~neither], minlength=len(names))

    true = _firsts(truth)  # rows of a class and picture lie in order of score
    curves = [
        curve(true[rows], ignored[rows], detections.scores[rows], int(objects[number]))
        for number, rows in enumerate(_by_class(detections.classes, len(names)))
    ]
    order = np.lexsort((detections.places, detections.images))
    first = np.zeros(len(truth), bool)
    first[order] = _firsts(truth[order])
    sure = (detections.scores > settings.conf) & ~ignored
    right = first & sure
    true_of = np.bincount(detections.classes[right], minlength=len(names))
    false_of = np.bincount(detections.classes[sure & ~first], minlength=len(names))
    classes = tuple(
        ClassMap(name, _area(points, settings.points), int(true_of[number]), int(false_of[number]), points.positives)
        for number, (name, points) in enumerate(zip(names, curves, strict=True))
    )
    best = _best_confidence(true[~ignored], detections.scores[~ignored], int(objects.sum()))
    return DetectorMap(settings, classes, float(overlap[right].sum()), best)


def _belongs(found: Found, truths: Truths, iou_thresh: float) -> tuple[Ints, Doubles]:
    """For each detection the row of the object that it overlaps most, by more than `iou_thresh`, else -1; the IoU."""
    pairs = overlapping(found, truths, float(np.nextafter(iou_thresh, 2)))
    order = np.lexsort((pairs.truth, -pairs.overlap, pairs.found))
    row, place = np.unique(pairs.found[order], return_index=True)
    truth, overlap = np.full(len(found), -1, np.int64), np.zeros(len(found))
    truth[row], overlap[row] = pairs.truth[order][place], pairs.overlap[order][place]
    return truth, overlap


def _firsts(truth: Ints) -> Bools:
    """Which detections are the first, in this order, of the object that they belong to."""
    flags = np.zeros(len(truth), bool)
    numbers, first = np.unique(truth, return_index=True)
    flags[first[numbers >= 0]] = True
    return flags


def _by_class(classes: Ints, count: int) -> list[slice]:
    bounds = np.searchsorted(classes, np.arange(count + 1)).tolist()
    return [slice(*pair) for pair in pairwise(bounds)]


def _area(points: Curve, levels: int) -> float:
    """Average precision from a class's curve; 0 where there is nothing to find or nothing found."""
    if not points.positives or not len(points.recall):
        return 0.0
    if levels:
        # Recall levels in float64, as the fork's `point * 1.0 / (points - 1)`.
        return float(np.mean(at_recalls(points, np.arange(levels) / (levels - 1))))
    best = falling(points.precision)
    # Between two detections the fork takes the best precision from the earlier one on.
    return float(points.recall[0] * best[0] + np.sum(np.diff(points.recall) * best[:-1]))


def _best_confidence(true: Bools, scores: Doubles, objects: int) -> tuple[float, float] | None:
    """The score above which F1 is highest, and that F1; the threshold lies between two scores."""
    if not objects or not true.any():
        return None
    order = np.argsort(-scores, kind="stable")
    hits, levels = np.cumsum(true[order]), scores[order]
    f1 = 2 * hits / (np.arange(1, len(order) + 1) + objects)
    f1[:-1][levels[:-1] == levels[1:]] = -1  # no threshold parts equal scores
    at = int(np.argmax(f1))
    below = levels[at + 1] if at + 1 < len(levels) else 0.0
    return float((levels[at] + below) / 2), float(f1[at])


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
