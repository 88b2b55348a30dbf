"""Two sets of answers to one picture held against each other: the same classes, each with the same score and box."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from darknet_compat.formats.arrays import Floats, Ints
from darknet_compat.parity.compare import Apart, Verdict


class PictureAnswers(NamedTuple):
    """What was found in a picture: `class_ids` [M], `scores` [M], `boxes` [M, 4], x1 y1 x2 y2 in its pixels; of a
    classifier's classes these are zeros."""

    class_ids: Ints
    scores: Floats
    boxes: Floats


@dataclass(frozen=True)
class Matching:
    """One picture's answers against the reference's.

    `matched` pairs of the same class; of these the largest difference in score, and in any side of a box, in pixels;
    `missing` and `extra` found no partner.
    """

    picture: str
    matched: int
    missing: int
    extra: int
    score: float
    box: float
    tolerance: Apart
    verdict: Verdict

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self) | {"tolerance": self.tolerance._asdict()}


class ObjectAgreement(NamedTuple):
    """How far the answers to all pictures together agree with the reference's `objects`, and the least that is asked
    for, in percent (`compare.AGREEMENT`)."""

    percent: float
    objects: int
    least: float

    @property
    def passed(self) -> bool:
        """Whether they agree, and there was something to agree on."""
        return self.objects > 0 and self.percent >= self.least


def match(picture: str, expected: PictureAnswers, found: PictureAnswers, tolerance: Apart) -> Matching:
    """Give each of the reference's answers the nearest one of its class, nearest pairs first."""
    free_left, free_right = np.ones(len(expected.scores), bool), np.ones(len(found.scores), bool)
    score = np.abs(expected.scores[:, None].astype(np.float64) - found.scores)  # [E, F]
    box = np.abs(expected.boxes[:, None].astype(np.float64) - found.boxes).max(2, initial=0)  # [E, F]
    score[np.isnan(score)], box[np.isnan(box)] = np.inf, np.inf  # which no maximum would notice
    far = np.maximum(score / tolerance.score, box / tolerance.box)
    same_class = expected.class_ids[:, None] == found.class_ids
    pairs = []
    for flat in np.argsort(far, axis=None, kind="stable"):
        i, j = divmod(int(flat), len(found.scores))
        if same_class[i, j] and free_left[i] and free_right[j]:
            free_left[i] = free_right[j] = False
            pairs.append((i, j))
    worst_score = max((float(score[pair]) for pair in pairs), default=0.0)
    worst_box = max((float(box[pair]) for pair in pairs), default=0.0)
    missing, extra = int(free_left.sum()), int(free_right.sum())
    same = not missing and not extra and worst_score <= tolerance.score and worst_box <= tolerance.box
    empty = not (pairs or missing or extra)
    verdict: Verdict = "nothing to compare" if empty else "same" if same else "differs"
    return Matching(picture, len(pairs), missing, extra, worst_score, worst_box, tolerance, verdict)
