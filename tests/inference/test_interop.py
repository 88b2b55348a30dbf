"""Detections in other tools' structures."""

from __future__ import annotations

import numpy as np
import pytest

from darknet_compat.inference import interop
from darknet_compat.inference.results import Detections

FOUND = Detections(
    np.array([[10, 20, 50, 60], [-1, 0, 5, 5]], np.float32),
    np.array([0.75, 0.5], np.float32),
    np.array([1, 0]),
    ("dog", "cat"),
    100,
    80,
)
NOTHING = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), (), 100, 80)


@pytest.mark.parametrize("found", [FOUND, NOTHING])
def test_as_supervision_has_it(found: Detections) -> None:
    theirs = interop.to_supervision(found)
    assert theirs["xyxy"] is found.boxes and theirs["confidence"] is found.scores
    assert theirs["class_id"] is found.class_ids and theirs["data"]["class_name"].tolist() == list(found.names)


def test_as_fiftyone_has_it() -> None:
    first, second = interop.to_fiftyone(FOUND)
    assert first == {"label": "dog", "bounding_box": pytest.approx([0.1, 0.25, 0.4, 0.5]), "confidence": 0.75}
    assert second["bounding_box"] == pytest.approx([-0.01, 0, 0.06, 0.0625])
    assert interop.to_fiftyone(NOTHING) == []


def test_in_supervision_itself() -> None:
    supervision = pytest.importorskip("supervision", reason="supervision is not installed")
    theirs = supervision.Detections(**interop.to_supervision(FOUND))
    assert theirs.area.tolist() == [1600, 30]
    assert theirs.data["class_name"].tolist() == ["dog", "cat"]


def test_in_fiftyone_itself() -> None:
    """fiftyone, of which nothing here has need, is hundreds of megabytes: held with 1.22.1 by hand where it is not."""
    pytest.importorskip("fiftyone", reason="fiftyone is not installed")
    theirs = FOUND.to_fiftyone()
    assert [one.label for one in theirs.detections] == ["dog", "cat"]
    assert [one.confidence for one in theirs.detections] == [0.75, 0.5]
