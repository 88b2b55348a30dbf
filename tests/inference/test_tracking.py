"""Ids that stay: on a scene made by hand, and by a published scorer on many that cross."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from darknet_compat.inference.results import Detections
from darknet_compat.inference.tracking import Tracker

pytest.importorskip("trackers")

NAMES = ("cat", "dog", "bird")
Update = Callable[[Detections], tuple[NDArray[np.float32], list[int]]]


def detections(boxes: object, scores: object, class_ids: object = None) -> Detections:
    array = np.array(boxes, np.float32).reshape(-1, 4)
    numbers = np.zeros(len(array), np.int64) if class_ids is None else np.array(class_ids, np.int64)
    names = tuple(NAMES[number] for number in numbers)
    return Detections(array, np.array(scores, np.float32).reshape(-1), numbers, names, 1280, 720)


def box(x: float, y: float = 100) -> list[float]:
    return [x, y, x + 60, y + 60]


# ------------------------------------------------------------------------------------------------------------ by hand


def test_an_id_stays_with_its_object_and_classes_do_not_mix() -> None:
    """A cat and a dog walk through one another."""
    tracker = Tracker(0.5, 30)
    seen: dict[str, set[int]] = {"cat": set(), "dog": set()}
    for step in range(60):
        found = tracker.update(detections([box(100 + 5 * step), box(400 - 5 * step)], [0.9, 0.8], [0, 1]))
        assert found.names == ("cat", "dog") and found.track_ids is not None
        for name, own in zip(found.names, found.track_ids.tolist(), strict=True):
            seen[name].add(own)
    assert {name: len(ids - {-1}) for name, ids in seen.items()} == {"cat": 1, "dog": 1}
    assert seen["cat"] - {-1} != seen["dog"] - {-1}
    assert min(own for ids in seen.values() for own in ids if own > 0) == 1


def test_a_weak_detection_carries_a_track_on_and_begins_none() -> None:
    tracker = Tracker(0.5, 30)
    for step in range(5):
        found = tracker.update(detections([box(100 + 4 * step)], [0.9]))
    assert found.track_ids is not None and found.track_ids.tolist() == [1]
    found = tracker.update(detections([box(120), box(900)], [0.2, 0.2]))
    assert found.track_ids is not None
    assert (found.track_ids.tolist(), found.scores.tolist()) == ([1], pytest.approx([0.2]))


def test_an_object_is_known_again_within_a_second() -> None:
    tracker = Tracker(0.5, 30)
    for step in range(10):
        tracker.update(detections([box(100 + step)], [0.9]))
    for _ in range(15):
        assert len(tracker.update(detections([], []))) == 0
    for step in range(2):
        found = tracker.update(detections([box(125 + step)], [0.9]))
    assert found.track_ids is not None and found.track_ids.tolist() == [1]


def test_ids_are_in_json_and_in_each_detection() -> None:
    tracker = Tracker(0.5, 30)
    first, second = (tracker.update(detections([box(100)], [0.9])) for _ in range(2))
    assert first.to_dict()["detections"][0]["track_id"] is None
    assert second.to_dict()["detections"][0]["track_id"] == 1
    assert [one.track_id for one in second] == [1]
    assert "track_id" not in detections([box(1)], [0.9]).to_dict()["detections"][0]


# --------------------------------------------------------------------------------------------------- many that cross


def scene(seed: int, objects: int = 30, frames: int = 600) -> Iterator[tuple[NDArray[np.float64], Detections]]:
    """The true boxes of objects that bounce off the edges of 1280x720, and what a detector would have made of them.

    One in twelve is missed, as are those that another hides, boxes are inexact, and now and then there is a wrong one.
    """
    random = np.random.default_rng(seed)
    size, place = random.uniform(30, 90, (objects, 2)), random.uniform(0, 1, (objects, 2)) * [1280, 720]
    speed, classes = random.normal(0, 3.5, (objects, 2)), random.integers(0, 3, objects)
    for _ in range(frames):
        speed += random.normal(0, 0.15, (objects, 2))
        place += speed
        outside = (place < 0) | (place > [1280, 720])
        speed[outside] *= -1
        place = np.clip(place, 0, [1280, 720])
        truth = np.concatenate([place - size / 2, place + size / 2], 1)
        hidden = np.triu(shared(truth, truth), 1).max(1) > 0.6  # by one that is nearer
        kept = np.flatnonzero(~hidden & (random.random(objects) > 0.08))
        boxes = truth[kept] + random.normal(0, 0.02, (len(kept), 4)) * np.tile(size[kept], 2)
        scores = np.clip(random.normal(0.7, 0.18, len(kept)), 0.1, 0.99)
        wrong = random.poisson(0.3)
        corner = random.uniform(0, 1, (wrong, 2)) * [1200, 640]
        boxes = np.concatenate([boxes, np.concatenate([corner, corner + random.uniform(30, 90, (wrong, 2))], 1)])
        scores = np.concatenate([scores, random.uniform(0.1, 0.5, wrong)])
        numbers = np.concatenate([classes[kept], random.integers(0, 3, wrong)])
        yield truth, detections(boxes, scores, numbers)


def shared(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """The part of each of `a` that lies in each of `b`."""
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    return np.clip(sides, 0, None).prod(-1) / (a[:, None, 2:] - a[:, None, :2]).prod(-1)


def overlap(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    part = shared(a, b) * (a[:, None, 2:] - a[:, None, :2]).prod(-1)
    return part / ((a[:, 2:] - a[:, :2]).prod(-1)[:, None] + (b[:, 2:] - b[:, :2]).prod(-1)[None] - part)


def judged(frames: list[tuple[NDArray[np.float64], Detections]], update: Update) -> tuple[float, float]:
    """(IDF1, MOTA) by motmetrics."""
    motmetrics = pytest.importorskip("motmetrics")
    found = motmetrics.MOTAccumulator(auto_id=True)
    for truth, given in frames:
        boxes, ids = update(given)
        distance = 1 - overlap(truth, boxes.astype(np.float64).reshape(-1, 4))
        found.update(list(range(len(truth))), ids, np.where(distance > 0.5, np.nan, distance))
    scores = motmetrics.metrics.create().compute(found, metrics=["idf1", "mota"], name="scene")
    return float(scores["idf1"].iloc[0]), float(scores["mota"].iloc[0])


def ours() -> Update:
    tracker = Tracker(0.4, 30)

    def update(found: Detections) -> tuple[NDArray[np.float32], list[int]]:
        found = tracker.update(found)
        assert found.track_ids is not None
        followed = found.track_ids > 0
        return found.boxes[followed], found.track_ids[followed].tolist()

    return update


def the_librarys_own() -> Update:
    import supervision
    from trackers import ByteTrackTracker

    tracker = ByteTrackTracker()

    def update(found: Detections) -> tuple[NDArray[np.float32], list[int]]:
        given = supervision.Detections(found.boxes, confidence=found.scores, class_id=found.class_ids)
        tracked = tracker.update(given)
        followed = tracked.tracker_id >= 0
        return tracked.xyxy[followed], tracked.tracker_id[followed].tolist()

    return update


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("seed", "frames"), [(1, 150), *(pytest.param(seed, 600, marks=pytest.mark.slow) for seed in (1, 2, 3))]
)
def test_ids_are_at_least_as_good_as_the_librarys_own(seed: int, frames: int) -> None:
    made = list(scene(seed, frames=frames))
    (idf1, mota), (own_idf1, own_mota) = judged(made, ours()), judged(made, the_librarys_own())
    assert idf1 >= own_idf1 and mota >= own_mota
    assert idf1 > 0.85 and mota > 0.85
