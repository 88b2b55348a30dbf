"""Differences, their intervals, and agreement box by box."""

from __future__ import annotations

import numpy as np
import pytest

from darknet_compat.evaluation.compare import against
from darknet_compat.evaluation.material.columns import Found, Truths
from darknet_compat.evaluation.scores import bootstrap
from darknet_compat.evaluation.scores.metrics import METRICS
from tests.evaluation.making import random_results

NAMES = ("a", "b", "c", "d", "e")
COMPARED = sorted(set(METRICS) - {"map"})  # which comparisons refuse


@pytest.mark.parametrize("metric", COMPARED)
def test_a_whole_draw_is_the_score(metric: str) -> None:
    """With every picture once the judged detections give what the metric gives."""
    found, truths = random_results(4)
    judged = bootstrap.judge(metric, found, truths)
    counted = truths.rows(~bootstrap.neither(metric, truths))
    positives = np.bincount(counted.classes, minlength=5).astype(float)
    levels = {"voc07": bootstrap.ELEVEN, "coco": bootstrap.coco.RECALLS}.get(metric)
    ours = judged.mean(np.ones(12), positives, levels)
    assert ours == pytest.approx(METRICS[metric].score(found, truths, NAMES).headline, abs=1e-9)


def test_a_picture_drawn_twice_counts_as_two() -> None:
    found, truths = random_results(5)
    weights = np.ones(12)
    weights[3], weights[7] = 2, 0
    copied = found.rows(found.images == 3), truths.rows(truths.images == 3)
    kept = found.rows(found.images != 7), truths.rows(truths.images != 7)

    def moved(table: Found | Truths) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
        return {name: getattr(table, name) for name in table.__dataclass_fields__} | {"images": np.full(len(table), 12)}

    def joined(a: Found | Truths, b: Found | Truths) -> Found | Truths:
        other = moved(b)
        return type(a)(**{name: np.concatenate([getattr(a, name), other[name]]) for name in other})

    both, objects = joined(kept[0], copied[0]), joined(kept[1], copied[1])
    assert isinstance(both, Found) and isinstance(objects, Truths)
    judged = bootstrap.judge("voc", found, truths)
    counted = truths.rows(~bootstrap.neither("voc", truths))
    table = np.zeros((12, 5))
    np.add.at(table, (counted.images, counted.classes), 1)
    # equal scores may fall in another order among copies, which only moves false ones past true ones
    expected = METRICS["voc"].score(both, objects, NAMES).headline
    assert judged.mean(weights, weights @ table, None) == pytest.approx(expected, abs=0.02)


def test_the_same_twice_differs_by_nothing() -> None:
    found, truths = random_results(1)
    luck = bootstrap.interval("voc", found, found, truths, 12, 5)
    assert luck == bootstrap.Interval(0, 0, 0)


def test_a_worse_one_is_worse_beyond_luck() -> None:
    _, truths = random_results(2, pictures=60, objects=400, detections=1)
    found = Found.of(truths.images, truths.classes, truths.boxes, np.ones(len(truths)))
    worse = found.rows(np.random.default_rng(0).random(len(found)) < 0.5)
    luck = bootstrap.interval("voc", found, worse, truths, 60, 5)
    assert luck is not None and luck.low < luck.difference < luck.high < 0
    assert bootstrap.interval("voc", found, worse, Truths.of([], [], []), 60, 5) is None


def test_agreement_box_by_box() -> None:
    boxes = [[0, 0, 10, 10], [30, 0, 10, 10], [0, 0, 10, 10], [0, 0, 9, 9]]
    first = Found.of([0, 0, 1, 1], [0, 0, 1, 1], boxes, [0.9, 0.8, 0.7, 0.1])
    second = Found.of([0, 1, 1], [0, 1, 0], [[0, 1, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10]], [0.85, 0.7, 0.6])
    agreed = against.agreement(first, second, 3)
    assert (agreed.first, agreed.second, agreed.same) == (3, 3, 2)
    assert agreed.share == pytest.approx(4 / 6) and agreed.score == pytest.approx(0.05)
    assert agreed.overlap == pytest.approx(9 / 11)
    assert agreed.parted == pytest.approx([0.8, 0.6, 0])
    nothing = Found.of([], [], [], [])
    assert against.agreement(nothing, nothing, 2).share is None


@pytest.mark.parametrize("metric", COMPARED)
def test_whatever_is_drawn_a_perfect_one_is_perfect(metric: str) -> None:
    _, truths = random_results(3, objects=200)
    truths = truths.rows(~(truths.difficult | truths.crowd))
    perfect = Found.of(truths.images, truths.classes, truths.boxes, np.ones(len(truths)))
    luck = bootstrap.interval(metric, perfect, Found.of([], [], [], []), truths, 12, 5)
    assert luck is not None and (luck.difference, luck.low, luck.high) == pytest.approx((-1, -1, -1), abs=1e-9)
