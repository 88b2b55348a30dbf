"""Detections in the shapes that other tools take, and back; none of these tools is needed here.

supervision.Detections(**to_supervision(found))
fiftyone.Detections(detections=[fiftyone.Detection(**one) for one in to_fiftyone(found)])
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from darknet_compat.errors import DatasetError
from darknet_compat.formats.textfile import shown
from darknet_compat.inference.results import Detections


def to_supervision(found: Detections) -> dict[str, Any]:
    """The arguments of `supervision.Detections`: xyxy in pixels, confidence, class_id, and the classes' names."""
    return {
        "xyxy": found.boxes,
        "confidence": found.scores,
        "class_id": found.class_ids,
        "data": {"class_name": np.array(found.names, dtype=str)},
    }


def from_supervision(detections: Any, names: Sequence[str], size: tuple[int, int]) -> Detections:
    """From a `supervision.Detections` of a picture of `size` (width, height); boxes without a confidence have 1.

    Raises DatasetError for a class that is not one of `names`.
    """
    count = len(detections.xyxy)
    scores = np.ones(count) if detections.confidence is None else detections.confidence
    ids = np.zeros(count, int) if detections.class_id is None else detections.class_id
    return _sorted(detections.xyxy, scores, ids, names, size)


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


def from_fiftyone(detections: Iterable[Any], names: Sequence[str], size: tuple[int, int]) -> Detections:
    """From `fiftyone.Detection`s, or dicts like them, of a picture of `size` (width, height); those without a
    confidence have 1. Raises DatasetError for a label that is not one of `names`."""
    number_of = {name: number for number, name in enumerate(names)}
    boxes, scores, ids = [], [], []
    for one in detections:
        fields = (
            one if isinstance(one, Mapping) else {name: one[name] for name in ("label", "bounding_box", "confidence")}
        )
        if fields["label"] not in number_of:
            raise DatasetError(f"{shown(str(fields['label']))} is not one of the {len(names)} classes")
        left, top, width, height = fields["bounding_box"]
        boxes.append([left, top, left + width, top + height])
        confidence = fields.get("confidence")
        scores.append(1.0 if confidence is None else confidence)
        ids.append(number_of[fields["label"]])
    return _sorted(np.array(boxes).reshape(-1, 4) * np.array(size * 2), scores, ids, names, size)


def _sorted(boxes: Any, scores: Any, ids: Any, names: Sequence[str], size: tuple[int, int]) -> Detections:
    """Detections, the best first."""
    class_ids = np.asarray(ids, np.int64).reshape(-1)
    if len(class_ids) and not 0 <= class_ids.min() <= class_ids.max() < len(names):
        raise DatasetError(f"class {class_ids.max()} is not one of the {len(names)} classes")
    scores = np.asarray(scores, np.float32).reshape(-1)
    order = np.argsort(-scores, kind="stable")
    chosen = tuple(names[number] for number in class_ids[order].tolist())
    corners = np.asarray(boxes, np.float32).reshape(-1, 4)[order]
    return Detections(corners, scores[order], class_ids[order], chosen, *size)
