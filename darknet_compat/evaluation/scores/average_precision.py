"""From true and false positives to precision over recall, and to the one number for a class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from darknet_compat.formats.arrays import Bools, Doubles

Interpolation = Literal["area", "11-point"]

ELEVEN = np.linspace(0, 1, 11)
"""VOC 2007's recall levels. In floating point 0.3, 0.6 and 0.7 come out one bit above: a recall of exactly 3/10 does
not reach the level, as in the implementations that figures were published with."""


@dataclass(frozen=True, eq=False)
class Curve:
    """Recall and precision, float64 [N], after each detection that counts, best first, and these detections' scores.
    `positives` is how many objects there are to find."""

    recall: Doubles
    precision: Doubles
    scores: Doubles
    positives: int


def curve(true: Bools, ignored: Bools, scores: Doubles, positives: int) -> Curve:
    """One class's curve from its detections [M] in any order; of equal scores the earlier row comes first."""
    order = np.argsort(-scores, kind="stable")
    order = order[~ignored[order]]
    hits = np.cumsum(true[order], dtype=np.float64)
    recall = hits / positives if positives else np.zeros_like(hits)
    return Curve(recall, hits / np.arange(1, len(order) + 1), scores[order], positives)


def average_precision(points: Curve, form: Interpolation = "area") -> float | None:
    """A class's average precision; None where there is nothing to find, and 0 where nothing was found.

    `area` is that under the curve after precision is made to fall with recall (VOC 2010 and later), `11-point` the mean
    of the best precision at recalls of at least 0, 0.1, ..., 1 (VOC 2007).
    """
    return _FORMS[form](points) if points.positives else None


def falling(precision: Doubles) -> Doubles:
    """The best precision at this recall or any higher one, [M]."""
    best: Doubles = np.maximum.accumulate(precision[::-1])[::-1]
    return best


def at_recalls(points: Curve, levels: Doubles) -> Doubles:
    """The best precision at recalls of at least each of `levels` [L], 0 where that is not reached: [L]."""
    place = np.searchsorted(points.recall, levels, "left")
    return np.append(falling(points.precision), 0.0)[place]


def _area(points: Curve) -> float:
    steps = np.diff(points.recall, prepend=0.0)
    return float(np.sum(steps * falling(points.precision)))


def _eleven_point(points: Curve) -> float:
    return float(np.mean(at_recalls(points, ELEVEN)))


_FORMS: dict[Interpolation, Callable[[Curve], float]] = {"area": _area, "11-point": _eleven_point}
