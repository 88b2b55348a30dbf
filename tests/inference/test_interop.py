"""Detections go out to other tools' structures, and come back the same."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from darknet_compat.errors import DatasetError
from darknet_compat.inference import interop
from darknet_compat.inference.results import Detections

NAMES = ("cat", "dog")
FOUND = Detections(
    np.array([[10, 20, 50, 60], [-1, 0, 5, 5]], np.float32),
    np.array([0.75, 0.5], np.float32),
    np.array([1, 0]),
    ("dog", "cat"),
    100,
    80,
)
NOTHING = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), (), 100, 80)


def same(a: Detections, b: Detections) -> None:
    assert a.boxes == pytest.approx(b.boxes, abs=1e-4) and a.names == b.names
    assert np.array_equal(a.scores, b.scores) and np.array_equal(a.class_ids, b.class_ids)
    assert (a.width, a.height) == (b.width, b.height)


@pytest.mark.parametrize("found", [FOUND, NOTHING])
def test_there_and_back(found: Detections) -> None:
    same(interop.from_fiftyone(interop.to_fiftyone(found), NAMES, (100, 80)), found)
    same(interop.from_supervision(SimpleNamespace(**interop.to_supervision(found)), NAMES, (100, 80)), found)


def test_as_fiftyone_has_it() -> None:
    first = interop.to_fiftyone(FOUND)[0]
    assert first == {"label": "dog", "bounding_box": pytest.approx([0.1, 0.25, 0.4, 0.5]), "confidence": 0.75}
    annotated = [{"label": "cat", "bounding_box": [0, 0, 1, 1]}]
    assert interop.from_fiftyone(annotated, NAMES, (10, 10)).scores.tolist() == [1]


def test_in_supervision_itself() -> None:
    supervision = pytest.importorskip("supervision", reason="supervision is not installed")
    theirs = supervision.Detections(**interop.to_supervision(FOUND))
    assert theirs.area.tolist() == [1600, 30]
    same(interop.from_supervision(theirs, NAMES, (100, 80)), FOUND)


def test_in_fiftyone_itself() -> None:
    """fiftyone, of which nothing here has need, is hundreds of megabytes: held with 1.22.1 by hand where it is not."""
    pytest.importorskip("fiftyone", reason="fiftyone is not installed")
    theirs = FOUND.to_fiftyone()
    assert [one.label for one in theirs.detections] == ["dog", "cat"]
    same(interop.from_fiftyone(theirs.detections, NAMES, (100, 80)), FOUND)


def test_unknown_classes() -> None:
    with pytest.raises(DatasetError, match="'cow' is not one of the 2 classes"):
        interop.from_fiftyone([{"label": "cow", "bounding_box": [0, 0, 1, 1]}], NAMES, (9, 9))
    found = SimpleNamespace(xyxy=np.zeros((1, 4)), confidence=None, class_id=np.array([2]))
    with pytest.raises(DatasetError, match="class 2 is not one of the 2"):
        interop.from_supervision(found, NAMES, (9, 9))
