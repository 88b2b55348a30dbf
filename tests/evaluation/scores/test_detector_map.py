"""The fork's `detector map` against a plain reading of its definition, and against figures counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from darknet_compat.evaluation.material.columns import Found, Truths
from darknet_compat.evaluation.scores.detector_map import MapSettings, score
from tests.evaluation.making import random_results
from tests.evaluation.scores.test_voc import overlap

NAMES = ["a", "b", "c", "d", "e"]


class Plain:
    """The definition (FORK.md 10.1) read line by line, one detection after another."""

    def __init__(self, found: Found, truths: Truths, settings: MapSettings) -> None:
        self.settings = settings
        self.real = [i for i in range(len(truths)) if not (truths.difficult[i] or truths.crowd[i])]
        self.rows: list[tuple[float, int, int, float, int, int]] = []  # score, class, truth, IoU, picture, place
        for i in np.lexsort((found.places, found.images)):
            best, most, beside = -1, settings.iou_thresh, False
            for t in range(len(truths)):
                if truths.images[t] != found.images[i] or truths.classes[t] != found.classes[i]:
                    continue
                met = overlap(found.boxes[i].tolist(), truths.boxes[t].tolist())
                if t not in self.real:
                    beside |= met > settings.iou_thresh
                elif met > most:
                    best, most = t, met
            if best < 0 and beside:
                continue
            self.rows.append((found.scores[i], int(found.classes[i]), best, most, int(found.images[i]), i))
        self.objects = [sum(truths.classes[t] == kind for t in self.real) for kind in range(len(NAMES))]

    def average_precision(self, kind: int) -> float:
        mine = sorted((row for row in self.rows if row[1] == kind), key=lambda row: (-row[0], row[4], row[5]))
        taken: set[int] = set()
        points, hits = [], 0
        for number, row in enumerate(mine, start=1):
            hits += row[2] >= 0 and row[2] not in taken
            taken.add(row[2])
            points.append((hits / self.objects[kind] if self.objects[kind] else 0.0, hits / number))
        if not points or not self.objects[kind]:
            return 0.0
        if self.settings.points:
            levels = [k / (self.settings.points - 1) for k in range(self.settings.points)]
            return sum(max((p for r, p in points if r >= level), default=0.0) for level in levels) / len(levels)
        area, recall, precision = 0.0, points[-1][0], points[-1][1]
        for r, p in reversed(points[:-1]):
            precision = max(precision, p)
            area += (recall - r) * precision
            recall = r
        return area + recall * precision

    def counts(self) -> tuple[int, int, float]:
        seen: set[int] = set()
        true, false, total = 0, 0, 0.0
        for value, _, truth, met, _, _ in self.rows:
            if value > self.settings.conf:
                new = truth >= 0 and truth not in seen
                true, false, total = true + new, false + (not new), total + met * new
            seen.add(truth)
        return true, false, total


@pytest.mark.parametrize("points", [0, 11, 101])
@pytest.mark.parametrize("seed", range(6))
def test_every_figure_is_the_definitions(seed: int, points: int) -> None:
    found, truths = random_results(seed)
    random = np.random.default_rng(seed)
    # Distinct scores: of equal ones the fork's own order is the C library's.
    scores = random.permutation(len(found)) / len(found)
    found = Found.of(found.images, found.classes, found.boxes, scores, random.permutation(len(found)))
    settings = MapSettings(iou_thresh=(0.5, 0.3, 0.75)[seed % 3], points=points, conf=0.25)
    plain, ours = Plain(found, truths, settings), score(found, truths, NAMES, settings)
    for kind, one in enumerate(ours.classes):
        assert one.average_precision == pytest.approx(plain.average_precision(kind), abs=1e-9)
        assert one.objects == plain.objects[kind]
    true, false, total = plain.counts()
    assert (ours.true, ours.false, ours.overlap) == (true, false, pytest.approx(total, abs=1e-9))
    assert ours.missed == sum(plain.objects) - true
    assert ours.mean == pytest.approx(np.mean([plain.average_precision(kind) for kind in range(len(NAMES))]))


def test_two_objects_by_hand() -> None:
    """Scores .9 (found), .8 (nothing there), .7 (found), .6 (found again): recall ½, ½, 1, 1."""
    truths = Truths.of([0, 0], [0, 0], [[0, 0, 10, 10], [50, 50, 10, 10]])
    boxes = [[0, 0, 10, 10], [90, 90, 5, 5], [50, 50, 10, 10], [0, 0, 10, 10]]
    found = Found.of([0] * 4, [0] * 4, boxes, [0.9, 0.8, 0.7, 0.6])
    ours = score(found, truths, ["a", "nothing"], MapSettings(conf=0.75))
    # From recall 0 to ½ the precision is 1; from there on 2/3, the best from the second detection on.
    assert ours.classes[0].average_precision == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert ours.mean == pytest.approx(ours.classes[0].average_precision / 2)  # a class without objects counts 0
    figures = ours.figures
    assert (ours.true, ours.false, ours.missed) == (1, 1, 1)
    assert figures["precision"] == figures["recall"] == figures["F1"] == 0.5
    assert figures["average IoU"] == pytest.approx(0.5)
    assert figures["best F1"] == pytest.approx(0.8)
    assert figures["its score"] == pytest.approx(0.65)


def test_a_weak_box_that_lies_first_takes_the_object() -> None:
    """At the confidence the first in Darknet's order counts; here that one is below it, so the strong one is false."""
    truths = Truths.of([0], [0], [[0, 0, 10, 10]])
    found = Found.of([0, 0], [0, 0], [[0, 0, 10, 10], [1, 0, 10, 10]], [0.9, 0.1], [1, 0])
    ours = score(found, truths, ["a"])
    assert (ours.true, ours.false, ours.missed) == (0, 1, 1)
    assert ours.mean == 1.0  # the curve goes by scores


def test_nothing_at_all() -> None:
    ours = score(Found.of([], [], [], []), Truths.of([], [], []), ["a"])
    assert ours.mean == 0.0
    assert ours.best is None
    assert ours.figures["precision"] is None
