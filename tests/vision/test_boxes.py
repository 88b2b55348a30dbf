"""Box forms, IoU and NMS: against one-at-a-time definitions, and against the original's library."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from darknet_compat.vision import boxes as module
from darknet_compat.vision.boxes import distance_exponent, iou, nms, nms_obj, xywh_to_xyxy

Floats = NDArray[np.float32]

# Multiples of 1/64: every sum and product below is exact, so that two orders of computing give the same overlap.
COORDINATES = st.integers(-64, 128).map(lambda n: n / 64)
BOXES = arrays(np.float32, st.tuples(st.integers(0, 12), st.just(4)), elements=COORDINATES.map(np.float32))
PROBABILITIES = st.sampled_from([0, 0, 0.125, 0.25, 0.5, 0.5, 0.75, 1])


def random_boxes(rng: np.random.Generator, count: int) -> Floats:
    return np.concatenate([rng.random((count, 2)), rng.random((count, 2)) * 0.5], axis=1).astype(np.float32)


def random_scores(rng: np.random.Generator, count: int, classes: int, share: float = 0.5) -> Floats:
    return (rng.random((count, classes)) * (rng.random((count, classes)) < share)).astype(np.float32)


def plain_iou(a: list[float], b: list[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = width * height if width > 0 and height > 0 else 0.0
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return float(np.float32(shared) / np.float32(union)) if union else 0.0


def plain_apart(a: list[float], b: list[float]) -> float:
    distance = ((a[0] + a[2] - b[0] - b[2]) / 2) ** 2 + ((a[1] + a[3] - b[1] - b[3]) / 2) ** 2
    diagonal = (max(a[2], b[2]) - min(a[0], b[0])) ** 2 + (max(a[3], b[3]) - min(a[1], b[1])) ** 2
    return distance / diagonal if diagonal else 0.0


def plain_nms(
    boxes: list[list[float]],
    scores: Floats,
    threshold: float,
    objectness: list[float],
    exponent: float | None = None,
) -> Floats:
    """The definition: going down the scores, keep a box unless one kept before overlaps it by more."""

    def overlap(a: list[float], b: list[float]) -> float:
        return plain_iou(a, b) - (0 if exponent is None else plain_apart(a, b) ** exponent)

    result = scores.copy()
    for column in range(scores.shape[1]):
        taking_part = [n for n in range(len(boxes)) if objectness[n] != 0 and scores[n, column] > 0]
        kept: list[int] = []
        for n in sorted(taking_part, key=lambda n: (-scores[n, column], n)):
            if any(overlap(boxes[m], boxes[n]) > threshold for m in kept):
                result[n, column] = 0
            else:
                kept.append(n)
    return result


# ------------------------------------------------------------------------------------------- forms and overlap


@given(BOXES)
def test_corners_are_as_far_apart_as_the_sides_are_long(boxes: Floats) -> None:
    corners = xywh_to_xyxy(boxes)
    np.testing.assert_array_equal((corners[:, :2] + corners[:, 2:]) / 2, boxes[:, :2])
    np.testing.assert_array_equal(corners[:, 2:] - corners[:, :2], boxes[:, 2:])
    assert corners.dtype == np.float32


def test_corners_by_hand() -> None:
    np.testing.assert_array_equal(xywh_to_xyxy(np.array([[10.0, 20.0, 4.0, 6.0]])), [[8, 17, 12, 23]])


@given(BOXES, BOXES)
def test_iou_follows_the_definition(a: Floats, b: Floats) -> None:
    found = iou(a, b)
    assert found.shape == (len(a), len(b)) and found.dtype == np.float32
    wanted = [[plain_iou(x, y) for y in b.tolist()] for x in a.tolist()]
    np.testing.assert_array_equal(found, np.array(wanted, np.float32).reshape(len(a), len(b)))


def test_iou_by_hand() -> None:
    square = np.array([[0, 0, 2, 2]], np.float32)
    others = np.array([[0, 0, 2, 2], [1, 0, 3, 2], [2, 0, 4, 2], [5, 5, 6, 6], [1, 1, 1, 1], [2, 2, 0, 0]], np.float32)
    np.testing.assert_allclose(iou(square, others), [[1, 1 / 3, 0, 0, 0, 0]])
    assert iou(others[4:5], others[4:5]) == 0  # two boxes without an area: 0/0 in the original


def test_infinite_boxes_meet_nothing_and_make_no_noise() -> None:
    wild = np.array([[-np.inf, 0, np.inf, 1], [np.nan, 0, 1, 1], [0, 0, 3e38, 3e38], [0, 0, 1, 1]], np.float32)
    assert not (iou(wild, wild)[:3, :3] > 0.45).any()
    np.testing.assert_array_equal(nms(wild, np.ones((4, 1), np.float32)), np.ones((4, 1)))


# -------------------------------------------------------------------------------------------------------- nms


@settings(max_examples=200)
@given(BOXES, st.integers(1, 4), st.sampled_from([0.0, 0.25, 0.45, 0.5, 1.0]), st.data())
def test_nms_follows_the_definition(boxes: Floats, classes: int, threshold: float, data: st.DataObject) -> None:
    shape = (len(boxes), classes)
    scores = data.draw(arrays(np.float32, shape, elements=PROBABILITIES.map(np.float32)))
    objectness = data.draw(arrays(np.float32, len(boxes), elements=st.sampled_from([0, 0.5, 1]).map(np.float32)))
    before = scores.copy()
    found = nms(boxes, scores, threshold, objectness)
    np.testing.assert_array_equal(found, plain_nms(boxes.tolist(), scores, threshold, objectness.tolist()))
    np.testing.assert_array_equal(scores, before)
    everyone = [1.0] * len(boxes)
    np.testing.assert_array_equal(nms(boxes, scores, threshold), plain_nms(boxes.tolist(), scores, threshold, everyone))


def test_the_threshold_itself_does_not_suppress() -> None:
    halves = np.array([[0, 0, 2, 1], [0, 0, 1, 1]], np.float32)  # IoU 1/2
    scores = np.array([[0.9], [0.8]], np.float32)
    assert nms(halves, scores, 0.5).tolist() == scores.tolist()
    assert nms(halves, scores, 0.4999)[1] == 0


def test_a_threshold_of_one_keeps_all_however_many_they_are() -> None:
    """An untrained network has millions of candidates, of which `detect` names the best: in pairs that took an hour."""
    boxes = np.tile(np.array([[0, 0, 10, 10]], np.float32), (1_000_000, 1))
    scores = np.linspace(1, 0.1, 2_000_000, dtype=np.float32).reshape(-1, 2)
    for exponent in (None, 0.6):
        np.testing.assert_array_equal(nms(boxes, scores, 1.0, exponent=exponent), scores)


def test_of_equal_scores_the_first_box_stays() -> None:
    same = np.tile(np.array([[0, 0, 1, 1]], np.float32), (3, 1))
    assert nms(same, np.full((3, 1), 0.5, np.float32)).ravel().tolist() == [0.5, 0, 0]


def test_a_box_loses_one_class_and_keeps_another() -> None:
    same = np.tile(np.array([[0, 0, 1, 1]], np.float32), (2, 1))
    scores = np.array([[0.9, 0.2], [0.8, 0.7]], np.float32)
    np.testing.assert_array_equal(nms(same, scores), np.array([[0.9, 0], [0, 0.7]], np.float32))


def test_nothing_and_no_classes() -> None:
    nothing = np.empty((0, 4), np.float32)
    assert nms(nothing, np.empty((0, 3), np.float32)).shape == (0, 3)
    assert nms(np.zeros((2, 4), np.float32), np.empty((2, 0), np.float32)).shape == (2, 0)
    assert nms_obj(nothing, np.empty((0, 3), np.float32), np.empty(0, np.float32))[0].shape == (0, 3)


# Two squares of side 1, a quarter apart: IoU 0.75/1.25, d² 1/16, c² 1.25² + 1.
APART = (1 / 16) / (1.25**2 + 1)


@pytest.mark.parametrize(
    ("kind", "beta", "overlap"),
    [
        ("default", 0.6, 0.6),
        ("cornersnms", 0.6, 0.6),
        ("greedynms", 0.6, 0.6 - APART**0.6),
        ("greedynms", 0.1, 0.6 - APART**0.6),  # beta_nms is not its
        ("diounms", 0.6, 0.6 - APART**0.6),
        ("diounms", 0.3, 0.6 - APART**0.3),
        ("diounms", 1.0, 0.6 - APART),
    ],
)
def test_the_distance_spares_a_box(kind: str, beta: float, overlap: float) -> None:
    boxes = np.array([[0, 0, 1, 1], [0.25, 0, 1.25, 1]], np.float32)
    scores = np.array([[0.9], [0.8]], np.float32)
    exponent = distance_exponent(kind, beta)
    assert nms(boxes, scores, overlap - 1e-4, exponent=exponent)[1] == 0
    assert nms(boxes, scores, overlap + 1e-4, exponent=exponent)[1] > 0


def test_distances_of_boxes_without_size_and_of_infinite_ones() -> None:
    points = np.zeros((2, 4), np.float32)
    assert nms(points, np.ones((2, 1), np.float32), 0.45, exponent=0.6).all()  # c is 0
    same = np.tile(np.array([[0, 0, 1, 1]], np.float32), (2, 1))
    assert nms(same, np.ones((2, 1), np.float32), 0.45, exponent=0.6).ravel().tolist() == [1, 0]  # d is 0
    wild = np.array([[-np.inf, 0, np.inf, 1], [np.nan, 0, 1, 1], [0, 0, 3e38, 3e38], [0, 0, 1, 1]], np.float32)
    assert nms(wild, np.ones((4, 1), np.float32), exponent=0.6).all()


@pytest.mark.parametrize("exponent", [0.3, 0.6, 0.9])
def test_nms_with_distances_follows_the_definition(exponent: float) -> None:
    rng = np.random.default_rng(3)
    boxes, scores = xywh_to_xyxy(random_boxes(rng, 80)), random_scores(rng, 80, 3, 0.8)
    found = nms(boxes, scores, 0.2, exponent=exponent)
    everyone = [1.0] * len(boxes)
    np.testing.assert_array_equal(found, plain_nms(boxes.tolist(), scores, 0.2, everyone, exponent))
    plain = nms(boxes, scores, 0.2)
    assert 0 < (plain > 0).sum() < (found > 0).sum() < (scores > 0).sum()


@pytest.mark.parametrize(
    "case",
    [
        "default",
        "default_thresh0005",
        "unknown",
        "greedynms",
        "greedynms_t06",
        "greedynms_beta_ignored",
        "diounms",
        "diounms_beta03",
        "diounms_beta09",
    ],
)
def test_nms_as_the_fork(case: str, shared_data: Path) -> None:
    golden = np.load(shared_data / "fork" / f"nms_{case}.npz")
    text = (shared_data / "fork" / f"nms_{case}.cfg").read_text().replace(" ", "")
    options = dict(line.split("=") for line in text.splitlines() if "=" in line and line[0] != "#")
    exponent = distance_exponent(options.get("nms_kind", "default"), float(options.get("beta_nms", 0.6)))
    before, after = golden["boxes_before_nms"], golden["boxes"]
    scores = nms(xywh_to_xyxy(before[:, :4]), before[:, 5:], float(golden["nms"]), before[:, 4], exponent=exponent)
    found = np.concatenate([before[:, :5], scores], axis=1)
    rows = [boxes[np.lexsort(boxes[:, :5].round(4).T)] for boxes in (found, after)]
    np.testing.assert_allclose(*rows, atol=1e-4)
    assert (after[:, 5:] > 0).sum() < (before[:, 5:] > 0).sum()


def test_forgetting_overlaps_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    boxes, scores = xywh_to_xyxy(random_boxes(rng, 100)), random_scores(rng, 100, 10)
    wanted = nms(boxes, scores)
    monkeypatch.setattr(module, "REMEMBERED", 300)
    np.testing.assert_array_equal(nms(boxes, scores), wanted)


def test_nms_obj_takes_every_class_of_a_box() -> None:
    boxes = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [5, 5, 6, 6], [0, 0, 1, 1]], np.float32)
    scores = np.array([[0.1, 0.2], [0.9, 0.3], [0.4, 0.4], [0.7, 0.7]], np.float32)
    objectness = np.array([0.9, 0.8, 0.1, 0], np.float32)
    kept, certain = nms_obj(boxes, scores, objectness)
    np.testing.assert_array_equal(kept, scores * np.array([[1], [0], [1], [1]], np.float32))
    np.testing.assert_array_equal(certain, objectness * np.array([1, 0, 1, 1], np.float32))


@pytest.mark.reference
def test_nms_as_the_original(library: Any) -> None:
    rng = np.random.default_rng(11)
    suppressed = 0
    for _ in range(150):
        count, classes = int(rng.integers(1, 80)), int(rng.integers(1, 6))
        boxes, scores = random_boxes(rng, count), random_scores(rng, count, classes)
        objectness = (rng.random(count) * (rng.random(count) < 0.8)).astype(np.float32)
        corners, threshold = xywh_to_xyxy(boxes), float(rng.uniform(0.1, 0.9))
        wanted, _ = library.nms_sort(boxes, scores, objectness, threshold)
        np.testing.assert_array_equal(nms(corners, scores, threshold, objectness), wanted)
        suppressed += int((wanted != scores).sum())
        wanted_scores, wanted_objectness = library.nms_obj(boxes, scores, objectness, threshold)
        found_scores, found_objectness = nms_obj(corners, scores, objectness, threshold)
        np.testing.assert_array_equal(found_scores, wanted_scores)
        np.testing.assert_array_equal(found_objectness, wanted_objectness)
    assert suppressed > 300


@pytest.mark.reference
def test_degenerate_boxes_as_the_original(library: Any) -> None:
    sides = [(0, 0), (0, 0), (0, 0.25), (0.25, 0.25), (0.25, 0.25), (-0.125, 0.25), (-0.125, 0.25), (-0.125, -0.25)]
    boxes = np.array([[0.5, 0.5, w, h] for w, h in sides], np.float32)
    scores = np.linspace(0.9, 0.1, len(boxes), dtype=np.float32)[:, None]
    wanted, _ = library.nms_sort(boxes, scores, np.ones(len(boxes), np.float32), 0.45)
    assert (wanted == 0).sum() == 1
    np.testing.assert_array_equal(nms(xywh_to_xyxy(boxes), scores), wanted)


@pytest.mark.parametrize("count, classes, share", [(2000, 80, 0.05), (300, 9418, 0.002)])
def test_many_candidates_and_many_classes_are_quick(count: int, classes: int, share: float) -> None:
    rng = np.random.default_rng(1)
    boxes, scores = xywh_to_xyxy(random_boxes(rng, count)), random_scores(rng, count, classes, share)
    start = time.process_time()
    nms(boxes, scores)
    assert time.process_time() - start < 1  # measured: under 0.1 s; pairwise in Python it would be minutes
