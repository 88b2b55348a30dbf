"""COCO: the twelve figures of its evaluation, computed as pycocotools does and equal to its to the last bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from darknet_compat.evaluation.material.columns import Found, Truths
from darknet_compat.evaluation.scores.average_precision import falling
from darknet_compat.evaluation.scores.matching import Ranked, match_free, overlapping, rank
from darknet_compat.formats.arrays import Bools, Doubles, Ints

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
AREAS = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
"""Square pixels, both ends included."""
MOST = 100
"""How many detections of a picture and class count, the best ones."""

FIGURES = (
    *("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large"),
    *("AR1", "AR10", "AR100", "AR_small", "AR_medium", "AR_large"),
)
"""In the order of the paper's Table 5: average precision over IoU 0.5 to 0.95, at 0.5, at 0.75, of small, medium and
large objects; average recall with 1, 10 and 100 detections a picture, and of small, medium and large objects."""


@dataclass(frozen=True, eq=False)
class CocoScores:
    """`figures`: the twelve, None where there is nothing to find. `precision` float64 [10 thresholds, 101 recalls,
    classes], of all areas, -1 for classes without objects."""

    figures: dict[str, float | None]
    names: tuple[str, ...]
    precision: Doubles

    def class_precision(self, number: int) -> tuple[float | None, float | None]:
        """A class's AP, and its AP at IoU 0.5."""
        return _mean(self.precision[:, :, number]), _mean(self.precision[0, :, number])

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        rows = []
        for number, name in enumerate(self.names):
            everywhere, at_half = self.class_precision(number)
            rows.append({"name": name, "ap": everywhere, "ap50": at_half})
        return {"figures": self.figures, "classes": rows}


@dataclass(frozen=True, eq=False)
class _Matched:
    """One range of areas: per threshold and detection whether it is true or false, bool [T, N], and how many objects
    each class has there, [K]."""

    true: Bools
    false: Bools
    positives: Ints


def score(found: Found, truths: Truths, names: Sequence[str]) -> CocoScores:
    """The twelve figures and each class's precision.

    Pictures are to be numbered in the order of COCO's image ids, by which pycocotools orders equal scores.
    """
    ranked = rank(found, MOST)
    pairs = overlapping(ranked.found, truths, float(THRESHOLDS[0]), crowds=True)
    area = ranked.found.boxes[:, 2] * ranked.found.boxes[:, 3]
    precisions, recalls = {}, {}
    for name, (least, most) in AREAS.items():
        ignored = truths.crowd | (truths.areas < least) | (truths.areas > most)
        taken = match_free(ranked, pairs, ignored, THRESHOLDS, truths.crowd)
        given = taken >= 0
        ignored_match = ignored[taken] if len(ignored) else given
        neither = np.where(given, ignored_match, (area < least) | (area > most))
        positives = np.bincount(truths.classes[~ignored], minlength=len(names))
        matched = _Matched(given & ~neither, ~given & ~neither, positives)
        precisions[name], recalls[name] = _accumulate(ranked, matched, MOST)
        if name == "all":
            recalls |= {str(few): _accumulate(ranked, matched, few)[1] for few in (1, 10)}
    every = precisions["all"]
    values = [every, every[0], every[5], *(precisions[name] for name in ("small", "medium", "large"))]
    values += [recalls[name] for name in ("1", "10", "all", "small", "medium", "large")]
    return CocoScores({name: _mean(v) for name, v in zip(FIGURES, values, strict=True)}, tuple(names), every)


def _accumulate(ranked: Ranked, matched: _Matched, most: int) -> tuple[Doubles, Doubles]:
    """Precision [T, R, K] and recall [T, K] with `most` detections a picture and class; -1 where nothing is to find.

    Original: `COCOeval.accumulate`.
    """
    classes = len(matched.positives)
    precision = np.full((len(THRESHOLDS), len(RECALLS), classes), -1.0)
    recall = np.full((len(THRESHOLDS), classes), -1.0)
    bounds = np.searchsorted(ranked.found.classes, np.arange(classes + 1))
    for number in np.flatnonzero(matched.positives).tolist():
        rows = np.arange(bounds[number], bounds[number + 1])
        rows = rows[ranked.ranks[rows] < most]
        rows = rows[np.argsort(-ranked.found.scores[rows], kind="stable")]
        true = np.cumsum(matched.true[:, rows], axis=1, dtype=np.float64)
        false = np.cumsum(matched.false[:, rows], axis=1, dtype=np.float64)
        reached = true / matched.positives[number]
        exact = true / (false + true + np.spacing(1))
        recall[:, number] = reached[:, -1] if len(rows) else 0
        for level in range(len(THRESHOLDS)):
            place = np.searchsorted(reached[level], RECALLS, "left")
            precision[level, :, number] = np.append(falling(exact[level]), 0.0)[place]
    return precision, recall


def _mean(values: Doubles) -> float | None:
    """Over what there is; None for nothing."""
    known = values[values > -1]
    return float(np.mean(known)) if known.size else None
