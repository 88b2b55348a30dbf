"""Detections in the shapes that other tools take; none of these tools is needed here.

supervision.Detections(**to_supervision(found))
fiftyone.Detections(detections=[fiftyone.Detection(**one) for one in to_fiftyone(found)])
"""

from __future__ import annotations

from typing import Any

import numpy as np

from darknet_compat.inference.results import Detections


def to_supervision(found: Detections) -> dict[str, Any]:
    """The arguments of `supervision.Detections`: xyxy in pixels, confidence, class_id, and the classes' names."""
    return {
        "xyxy": found.boxes,
        "confidence": found.scores,
        "class_id": found.class_ids,
        "data": {"class_name": np.array(found.names, dtype=str)},
    }


def to_fiftyone(found: Detections) -> list[dict[str, Any]]:
    """The arguments of a `fiftyone.Detection` each: label, bounding_box as fractions left, top, width, height of the
    picture, confidence."""
    whole = np.array([found.width, found.height] * 2, np.float64)
    x1, y1, x2, y2 = (found.boxes / whole).reshape(-1, 4).T
    boxes = np.stack([x1, y1, x2 - x1, y2 - y1], axis=1).tolist()
    return [
        {"label": name, "bounding_box": box, "confidence": float(score)}
        for name, box, score in zip(found.names, boxes, found.scores, strict=True)
    ]
