"""What answers look like to those who use them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from darknet_compat.inference.classification import Classification, Guess
from darknet_compat.inference.hierarchy import PathStep
from darknet_compat.inference.results import Detection, Detections

FOUND = Detections(
    boxes=np.array([[-10.5, 20, 30.25, 500], [1, 2, 3, 4]], np.float32),
    scores=np.array([0.9, 0.25], np.float32),
    class_ids=np.array([4, 1]),
    names=("dog", "cat"),
    width=100,
    height=80,
)
NOTHING = Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int64), (), 100, 80)


def test_detections_are_walked_through_in_plain_numbers() -> None:
    first, second = FOUND
    assert first == Detection("dog", pytest.approx(0.9), (-10.5, 20.0, 30.25, 500.0), 4)
    assert [type(value) for value in first] == [str, float, tuple, int]
    assert second.name == "cat"
    assert (len(FOUND), len(NOTHING), bool(FOUND), bool(NOTHING)) == (2, 0, True, False)
    assert list(NOTHING) == []


def test_clipped_boxes_end_at_the_picture() -> None:
    clipped = FOUND.clipped()
    np.testing.assert_array_equal(clipped.boxes, [[0, 20, 30.25, 80], [1, 2, 3, 4]])
    assert clipped.boxes.dtype == np.float32
    assert (clipped.names, clipped.width) == (FOUND.names, 100)
    assert FOUND.boxes[0, 0] == -10.5
    assert len(NOTHING.clipped()) == 0


def test_detections_as_json() -> None:
    assert json.loads(json.dumps(FOUND.to_dict())) == {
        "width": 100,
        "height": 80,
        "detections": [
            {"class": "dog", "class_id": 4, "score": 0.9, "box": [-10.5, 20.0, 30.25, 500.0]},
            {"class": "cat", "class_id": 1, "score": 0.25, "box": [1.0, 2.0, 3.0, 4.0]},
        ],
    }
    assert NOTHING.to_dict()["detections"] == []


def test_paths_as_json() -> None:
    path = (PathStep("animal", 0.75, 0), PathStep("dog", 0.5000001, 4))
    found = Detections(FOUND.boxes[:1], FOUND.scores[:1], FOUND.class_ids[:1], ("dog",), 100, 80, (path,))
    (entry,) = json.loads(json.dumps(found.to_dict()))["detections"]
    assert entry["path"] == [{"name": "animal", "probability": 0.75}, {"name": "dog", "probability": 0.5}]


# --------------------------------------------------------------------------------------------------------- classes

ANSWER = Classification(np.array([0.1, 0.4, 0.2, 0.3], np.float32), ("a", "b", "c", "d"))


def test_the_best_classes_come_first() -> None:
    assert [guess.name for guess in ANSWER.top(3)] == ["b", "d", "c"]
    assert ANSWER.top(1) == [Guess("b", pytest.approx(0.4), 1)]
    assert [type(value) for value in ANSWER.top(1)[0]] == [str, float, int]
    assert len(ANSWER.top()) == len(ANSWER.top(99)) == 4
    assert ANSWER.top(0) == []


def test_of_equal_classes_the_first_comes_first() -> None:
    assert [guess.class_id for guess in Classification(np.ones(4, np.float32), tuple("abcd")).top()] == [0, 1, 2, 3]


def test_of_a_tree_only_candidates_are_named() -> None:
    leaves = np.array([False, True, True, False])
    tree = Classification(ANSWER.probabilities, ANSWER.class_names, leaves)
    assert [(guess.name, guess.class_id) for guess in tree.top()] == [("b", 1), ("c", 2)]


def test_probabilities_that_are_no_numbers_are_no_guesses() -> None:
    broken = Classification(np.array([np.nan, 0.5], np.float32), ("a", "b"))
    assert [guess.name for guess in broken.top()] == ["b"]
    assert Classification(np.full(2, np.nan, np.float32), ("a", "b")).top() == []


def test_classes_as_json() -> None:
    (first, second) = json.loads(json.dumps(ANSWER.to_dict(2)))["classes"]
    assert first == {"name": "b", "probability": pytest.approx(0.4), "class_id": 1}
    assert second["name"] == "d"
