"""Tables from detectors and labels."""

from __future__ import annotations

import numpy as np
import pytest

from darknet_compat.datasets.base import Labels
from darknet_compat.evaluation.material.columns import Found, Truths, from_corners, to_corners
from darknet_compat.evaluation.report import plots
from darknet_compat.evaluation.scores.average_precision import curve
from darknet_compat.evaluation.scores.metrics import METRICS
from darknet_compat.inference.results import Detections


def answer(boxes: list[list[float]]) -> Detections:
    count = len(boxes)
    corners = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(corners, np.full(count, 0.5, np.float32), np.zeros(count, np.int64), ("a",) * count, 100, 80)


def test_boxes_that_are_not_finite_go_through_every_score() -> None:
    inf, nan = np.inf, np.nan
    found = Found.from_detections([None, answer([[-inf, -inf, inf, inf], [nan, 0, 5, 5], [inf, inf, inf, inf]])])
    truths = Truths.of([0, 1], [0, 0], [[0, 0, 100, 80]] * 2)
    sizes = np.array([[1, 1], [100, 80]])
    for name, metric in METRICS.items():
        score = metric.score(metric.as_scored(found, sizes), truths, ["a"])
        # The fork does not cut boxes to their pictures, so that an endless one finds nothing.
        assert score.headline is not None and (score.headline == 0 if name == "map" else 0 < score.headline <= 1)


def test_cut_to_the_picture() -> None:
    found = Found.of([0, 0], [0, 0], [[-5, 10, 30, 600], [95, 70, 4, 4]], [1, 1])
    sizes = np.array([[100, 80]])
    assert to_corners(found.clipped(sizes).boxes).tolist() == [[0, 10, 25, 80], [95, 70, 99, 74]]
    assert to_corners(found.clipped(sizes, 2).boxes).tolist() == [[0, 10, 27, 80], [95, 70, 100, 76]]


def test_labels_of_whole_pictures_have_no_box() -> None:
    labels = [Labels.whole_picture(3), Labels.drawn([[0.5, 0.5, 0.5, 0.5]], [1], [True])]
    truths = Truths.from_labels(labels, [(10, 10), (8, 4)])
    assert truths.images.tolist() == [1] and truths.boxes.tolist() == [[2, 1, 4, 2]]
    assert truths.areas.tolist() == [8] and truths.difficult.tolist() == [True]
    assert len(Truths.from_labels([], [])) == 0 and len(Found.from_detections([None])) == 0


def test_corners_and_back() -> None:
    boxes = np.array([[1.0, 2, 3, 4]])
    assert to_corners(boxes).tolist() == [[1, 2, 4, 6]] and np.array_equal(from_corners(to_corners(boxes)), boxes)


@pytest.mark.parametrize("name", ["狗", "$x$ \\frac", "a" * 300])
def test_names_of_any_kind_are_drawn(name: str) -> None:
    pytest.importorskip("matplotlib")
    points = curve(np.array([True, False]), np.zeros(2, bool), np.array([0.9, 0.8]), 2)
    assert plots.curves([(name, 0.5, points)]).startswith(b"\x89PNG")
    assert plots.curves([]).startswith(b"\x89PNG") and plots.trade_off({}).startswith(b"\x89PNG")
